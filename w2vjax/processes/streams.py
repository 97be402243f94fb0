"""The standard streams of this process, as the program that started it has left them.

They may be closed, full, or set not to wait. Python then has None for a stream, raises an OSError
that does not name it, or takes "no bytes yet" for the end of the text.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import IO, Any, TextIO

from w2vjax.errors import CorpusError, FileError


def standard_input() -> TextIO:
    """Standard input, which waits for what is still to come.

    Raises:
        FileError: it is closed.
    """
    stream: Any = sys.stdin
    if stream is None or getattr(stream, "closed", False):
        raise FileError("Standard input is closed. Pipe text to it, or give files or words.")
    # Node, asyncio and ssh leave pipes that do not wait: a read then ends where the writer is slow
    with suppress(OSError, ValueError, AttributeError):  # a stream in memory has no number
        os.set_blocking(stream.fileno(), True)
    return stream  # type: ignore[no-any-return]


def standard_bytes() -> IO[bytes]:
    """The bytes of standard input.

    Raises:
        FileError: it is closed.
        CorpusError: the program has put an object without bytes in its place.
    """
    stream = standard_input()
    if not hasattr(stream, "buffer"):
        cause = f"Standard input is a {type(stream).__name__}, which has no bytes"
        raise CorpusError(f"{cause}. Pass files or token lists.")
    return stream.buffer


def chunks(file: IO[bytes], size: int, most: int = sys.maxsize) -> Iterator[bytes]:
    """At most ``most`` bytes of a file or stream, ``size`` at a time.

    Raises BlockingIOError for a stream that does not wait and has no bytes yet.
    """
    while piece := file.read(min(size, most)):
        yield piece
        most -= len(piece)
    if piece is None:
        raise BlockingIOError(errno.EAGAIN, "it has no bytes yet, and does not wait for them")


class _Output:
    """A stream whose writes are made under a guard."""

    def __init__(self, stream: TextIO, guard: Callable[[], AbstractContextManager[Any]]) -> None:
        self._stream, self._guard = stream, guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._guard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._guard():
            self._stream.flush()


def hold_streams() -> None:
    """Let no file take the place of a closed stream, and no failure of standard error end a run.

    Of a whole process, at its start. ``sys.stdin`` and ``sys.stdout`` stay None if they are closed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    # print(file=None) would write the errors to standard output, among the answers
    errors = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = _Output(errors, partial(suppress, OSError))


@contextlib.contextmanager
def _naming() -> Iterator[None]:
    """Name standard output in its errors. An OSError alone does not say of what."""
    try:
        yield
    except BrokenPipeError:  # the reader has seen enough
        raise
    except OSError as error:
        said = error.strerror or error
        raise FileError(f"standard output cannot be written: {said}. Send it elsewhere.") from error


@contextlib.contextmanager
def named_output() -> Iterator[None]:
    """Name standard output in its errors, and flush it at the end.

    Characters that its encoding lacks are written as escapes, and foreign bytes of standard input
    are read as escapes.

    Raises:
        FileError: standard output is closed.
    """
    if sys.stdout is None:
        raise FileError("Standard output is closed. Send it to /dev/null if you do not need it.")
    for stream in (sys.stdin, sys.stdout):
        reconfigure(stream, errors="backslashreplace")
    stream = sys.stdout
    try:
        with contextlib.redirect_stdout(_Output(stream, _naming)):
            yield
    finally:
        try:
            stream.flush()
        except OSError:  # else Python reports it once more at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def reconfigure(stream: Any, **how: str) -> None:
    """Change the encoding of a stream, if it has one."""
    with suppress(AttributeError):  # a stream that Python keeps in memory, or none
        stream.reconfigure(**how)
