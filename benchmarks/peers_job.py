"""Run one job in its own process and measure it: one clock and memory counter for every tool.

Only the standard library is imported here. Linux starts a child's peak memory at the most that its
parent ever held, so the process that starts the jobs stays small: no JAX, no NumPy. What a job
needs beyond that is exact; what lies below is read off while it runs, every 0.1 s.
"""

import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PROGRESS = re.compile(rb"Progress:\s*([0-9.]+)%")
SAMPLE_EVERY = 0.1  # seconds between two looks at a job's anonymous memory


class JobFailed(Exception):
    """A job ended with an error, or did not do what it was asked to do: its time means nothing."""


class Finished(NamedTuple):
    """What a job took and printed."""

    seconds: float  # from starting the process to its end
    peak_rss_mb: float  # pages of mapped files that are in memory count
    peak_anonymous_mb: (
        float | None
    )  # without mapped files, sampled every 0.1 s; None where /proc has no such field
    # of all its threads: on a busy machine it tells how much of ``seconds`` was waiting
    cpu_seconds: float
    # (seconds since the start, percent), as the tool printed them
    progress: tuple[tuple[float, float], ...]
    output: str


def run_job(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run ``command`` in ``folder``. If it fails, :class:`JobFailed` has the end of its output."""
    start = time.perf_counter()
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise JobFailed(f"{command[0]} cannot be started: {error.strerror}.") from error
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    anonymous: list[float] = []
    peaks: list[float] = []
    done = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(process.pid, anonymous, peaks, done), daemon=True
    )
    watcher.start()
    progress, output = _read(process, start)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode != 0:
        raise JobFailed(f"{' '.join(command)}\nended with {process.returncode}:\n{output[-3000:]}")
    peak = usage.ru_maxrss / 1024
    if peak <= inherited:
        peak = max(peaks, default=peak)
    used = usage.ru_utime + usage.ru_stime
    return Finished(seconds, peak, max(anonymous, default=None), used, progress, output)


def _read(
    process: subprocess.Popen[bytes], start: float
) -> tuple[tuple[tuple[float, float], ...], str]:
    """What the process prints until it closes its output, and when each percentage came."""
    assert process.stdout is not None
    progress: list[tuple[float, float]] = []
    parts: list[bytes] = []
    while block := os.read(process.stdout.fileno(), 1 << 16):
        now = time.perf_counter() - start
        progress += [(now, float(percent)) for percent in PROGRESS.findall(block)]
        parts.append(block)
    process.stdout.close()
    return tuple(progress), b"".join(parts).decode("utf-8", "replace")


def _watch(pid: int, anonymous: list[float], peaks: list[float], done: threading.Event) -> None:
    while not done.wait(SAMPLE_EVERY):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        for field, values in (("RssAnon", anonymous), ("VmHWM", peaks)):
            if found := re.search(rf"{field}:\s*(\d+) kB", status):
                values.append(int(found.group(1)) / 1024)


def training_seconds(progress: Sequence[tuple[float, float]]) -> float:
    """The time of the training alone, of a tool that prints percentages but no time.

    From the first percentage printed to the last, scaled to the whole: word2vec.c prints each
    10,000 words of a thread, so what is left out at both ends is short, and the scale accounts for
    it.

    >>> training_seconds([(2.0, 1.0), (3.0, 50.0), (4.0, 99.0)])
    2.0408163265306123
    """
    if len(progress) < 2 or progress[-1][1] - progress[0][1] < 50:
        raise JobFailed(
            f"The tool printed too little progress to time it: {list(progress[:3])} ..."
        )
    (begin, first), (end, last) = progress[0], progress[-1]
    return (end - begin) * 100 / (last - first)
