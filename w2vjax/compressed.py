"""Compressed files: one opener, and one rule, for .gz, .bz2, .xz and .zst.

A compressed file holds one or more members, one after the other (bzip2 and xz call them streams,
zstd frames). Zero bytes after a member are padding. Everything else has to be a whole member. So a
cut, other bytes after a member and a flipped bit that a checksum covers are errors in every member.
Python's own readers of .bz2 and .xz end without an error at a damaged second member.
"""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

from w2vjax.errors import FileError, FormatError, SettingError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
FREE_OUTPUT = 1 << 26  # bytes that any file may expand to; beyond them its ratio counts
# Compressed bytes that a decompressor gets at once. They bound what it returns: 1 kB makes 1 MiB of
# gzip or 32 MiB of zstd at most; 32 bytes make at most one block of bzip2, of up to 46 MB.
_PIECE, _PIECE_OF_BZ2 = 1 << 10, 1 << 5
_XZ_MEMORY = 1 << 30  # bytes an xz file may ask for; xz -9 asks for 65 MiB


class _Member(Protocol):
    """What the four libraries offer to decompress one member."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def is_compressed(path: str | os.PathLike[str]) -> bool:
    """Whether a file's extension names a compression.

    >>> is_compressed("glove.txt.ZST"), is_compressed("glove.txt")
    (True, False)
    """
    return Path(path).suffix.lower() in SUFFIXES


def refuse_compressed(path: Path) -> None:
    """Refuse to write a file whose extension says that it is compressed: it would not be.

    Raises:
        SettingError: the extension names a compression.
    """
    if is_compressed(path):
        remedy = f"Leave out {path.suffix} and compress after."
        raise SettingError(f"{path}: a result is not written compressed. {remedy}")


def decompress(
    path: str | os.PathLike[str], size: int, max_expansion: float, remedy: str
) -> Iterator[bytes]:
    """The decompressed bytes of a file, in pieces of ``size`` bytes; the last piece may be shorter.

    Args:
        path: a file whose extension is one of :data:`SUFFIXES`.
        size: bytes in a piece.
        max_expansion: the file may expand to this many times its size, or to 64 MiB.
        remedy: a sentence for a file that expands further.

    Raises:
        FormatError: the data is damaged, cut, or expands too far. The message names the byte.
        FileError: the file is a .zst and the zstandard package is missing.
        OSError: the file cannot be read.

    >>> import gzip, tempfile
    >>> path = tempfile.mkdtemp() + "/two members.gz"
    >>> _ = Path(path).write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    >>> list(decompress(path, 4, 100, "Decompress it."))
    [b'one ', b'two']
    """
    start, piece_size, damage = _opener(path)
    packed, done = os.path.getsize(path), 0
    limit = max(FREE_OUTPUT, packed * max_expansion)
    try:
        with open(path, "rb") as file:
            for piece in _regrouped(_members(file, start, piece_size), size):
                done += len(piece)
                if done > limit:
                    raise FormatError(
                        f"{os.fspath(path)}, byte {done:,} of the decompressed data: its "
                        f"{packed:,} bytes expand to more than max_expansion={max_expansion:g} "
                        f"times their size. {remedy}"
                    )
                yield piece
    except EOFError as error:
        cause = "the compressed data stops before its end"
        raise FormatError(_sentence(path, done, cause)) from error
    except (damage, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "emory" in str(error):  # the data may be sound
            place = f"{os.fspath(path)}, byte {done:,} of the decompressed data"
            cause = f"decompressing needs too much memory ({error})"
            raise FormatError(f"{place}: {cause}. Decompress the file yourself.") from error
        # bz2 raises an OSError without a number for damaged data.
        cause = f"the compressed data is damaged ({error})"
        raise FormatError(_sentence(path, done, cause)) from error


def _sentence(path: str | os.PathLike[str], done: int, cause: str) -> str:
    place = f"{os.fspath(path)}, byte {done:,} of the decompressed data"
    return f"{place}: {cause}. Get the file again."


def _opener(path: str | os.PathLike[str]) -> tuple[Callable[[], _Member], int, type[Exception]]:
    """(what starts a member, its compressed bytes at once, the exception that damage raises)."""
    match Path(path).suffix.lower():
        case ".gz":
            return lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), _PIECE, zlib.error
        case ".bz2":
            return bz2.BZ2Decompressor, _PIECE_OF_BZ2, OSError
        case ".xz":
            return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), _PIECE, lzma.LZMAError
    try:
        import zstandard
    except ImportError as error:
        cause = f"{os.fspath(path)}: reading .zst files needs the zstandard package"
        raise FileError(f"{cause}. Install it: pip install 'w2vjax[zstd]'.") from error
    return lambda: zstandard.ZstdDecompressor().decompressobj(), _PIECE, zstandard.ZstdError


def _members(file: IO[bytes], start: Callable[[], _Member], size: int) -> Iterator[bytes]:
    """The output of one member after the other. Raises EOFError if the last one is cut."""
    data = file.read(size)
    if not data:
        raise EOFError
    while data:
        member = start()
        yield member.decompress(data)
        while not member.eof:
            if not (data := file.read(size)):
                raise EOFError
            yield member.decompress(data)
        data = member.unused_data.lstrip(b"\0")
        while not data and (more := file.read(size)):
            data = more.lstrip(b"\0")


def _regrouped(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of ``size``."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
