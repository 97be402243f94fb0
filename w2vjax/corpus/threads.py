"""Threads for the text. NumPy and the decompressors release Python's lock in most of their work."""

import os
from collections.abc import Sequence

from w2vjax.corpus.sources import PART, Part, Reading

MOST = 8  # with more threads the part of the work that holds Python's lock sets the speed


def usable_cores() -> int:
    """The cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def sizes_of(parts: Sequence[Part]) -> list[int] | None:
    """The bytes of these files. None if one is a pipe or another stream, or the built-in text."""
    paths = [part.path or "-" for part in parts]
    regular = all(path != "-" and os.path.isfile(path) for path in paths)
    return list(map(os.path.getsize, paths)) if regular else None


def how_many(parts: Sequence[Part], reading: Reading) -> int:
    """Threads that read these files: one for a little text, and for pipes and other streams."""
    if (sizes := sizes_of(parts)) is None:
        return 1  # Ctrl-C can end a read that waits only where the main thread reads
    return reading.threads or max(1, min(usable_cores(), MOST, sum(sizes) // PART))
