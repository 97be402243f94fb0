"""How commands print: JSON for scripts, aligned columns for people."""

import json as json_format
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from w2vjax.files import atomic_file
from w2vjax.processes.streams import reconfigure


def write_json(target: str, record: object) -> None:
    """Write a record to a file, whole or not at all, or to standard output for ``-``.

    NaN and infinity become null. A standard output that is not UTF-8 gets ASCII with JSON's own
    escapes, and so do bytes of a file name that are not UTF-8.
    """
    ascii_only = target == "-" and (sys.stdout.encoding or "utf-8").lower() != "utf-8"
    text = json_format.dumps(_finite(record), indent=2, ensure_ascii=ascii_only, allow_nan=False)
    if target == "-":
        print(text)
        return
    with atomic_file(Path(target)) as file:
        file.write(f"{text}\n".encode("utf-8", "backslashreplace"))


def answer(json: str | None, record: object, *texts: str) -> None:
    """Write a record to ``json``, if it is named. Print the texts, unless that is "-"."""
    if json is not None:
        write_json(json, record)
    if json != "-":
        print(*texts, sep="\n")


def write_lines(lines: Iterable[str]) -> None:
    """Write lines for another program to standard output, in UTF-8 whatever its encoding is."""
    reconfigure(sys.stdout, encoding="utf-8", newline="\n")
    sys.stdout.writelines(f"{line}\n" for line in lines)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as lines, the first column to the left and the others to the right.

    >>> print(columns([["word", "similarity"], ["tea", "0.5"]]))
    word  similarity
    tea          0.5
    """
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], others, strict=True)]
        return "  ".join([row[0].ljust(first), *cells])

    return "\n".join(map(line, rows))


def _finite(value: object) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
