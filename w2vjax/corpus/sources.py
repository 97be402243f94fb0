"""Where text comes from: files, compressed files, folders, standard input, token lists; read in
blocks of bytes.

A block is a uint8 array that ends after a separator (a byte <= 0x20), so no word, UTF-8 sequence or
CRLF is ever cut: what follows cannot depend on the block size.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Literal, NamedTuple, TypeAlias, TypeGuard

import numpy as np

from w2vjax.compressed import decompress, is_compressed
from w2vjax.data import machine_learning_text
from w2vjax.errors import CorpusError, FileError, FormatError, SettingError

BLOCK = 1 << 20  # bytes: the arrays made from one block stay in the second-level cache
SEPARATOR = 0x20  # this byte and all below it separate words
# bytes without a separator before the file is taken for something other than text
LONGEST_WORD = 1 << 24

Errors = Literal["strict", "replace"]
Path: TypeAlias = str | os.PathLike[str]
TextSource: TypeAlias = Path | Sequence[Path] | None  # read from files; None is the built-in text
# What can be read as a corpus: text, or an iterable of token lists (of lines, where there is a
# tokenizer).
Source: TypeAlias = TextSource | Iterable[str | Iterable[str]]


class Reading(NamedTuple):
    """How files are read.

    ``errors``: "strict" refuses invalid UTF-8, naming the byte; "replace" puts U+FFFD in its place.
    ``max_expansion``: how many times its own size a compressed file may grow to (above 64 MiB)
    before it is refused. ``block_bytes``: bytes read at a time; the result does not depend on it.
    """

    errors: Errors = "strict"
    max_expansion: float = 200.0
    block_bytes: int = BLOCK


READING = Reading()


class Block(NamedTuple):
    """Bytes of one file, ending after a separator; ``ends_file`` on the last (which may be a lone
    newline).
    """

    data: np.ndarray  # [bytes] uint8
    ends_file: bool


def is_text(source: Source) -> TypeGuard[TextSource]:
    """Whether a source is read from files (a path, paths, "-", None), rather than iterated over as
    token lists.
    """
    if source is None or isinstance(source, (str, os.PathLike)):
        return True
    paths = isinstance(source, (list, tuple)) and len(source) > 0
    return paths and all(isinstance(item, (str, os.PathLike)) for item in source)


def files(source: Path | Sequence[Path]) -> list[str]:
    """The files of a source in reading order: folders are walked recursively in sorted order, "-"
    stays.

    Raises :class:`~w2vjax.errors.CorpusError` for a path that is not there and for a folder without
    files.
    """
    paths = [source] if isinstance(source, (str, os.PathLike)) else source
    found: list[str] = []
    for path in [os.fspath(path) for path in paths]:
        if path == "-":
            found.append(path)
        elif os.path.isdir(path):
            inside = [
                os.path.join(folder, name)
                for folder, _, names in os.walk(path)
                for name in names
                if not name.startswith(".")
            ]
            if not inside:
                raise CorpusError(
                    f"The folder {path!r} holds no files. Name a folder with text files in it."
                )
            found += sorted(inside)
        elif os.path.exists(path):
            found.append(path)
        else:
            shown = path if len(path) < 80 else path[:77] + "..."
            raise CorpusError(
                f"There is no file or folder {shown!r}. Check its name. (Python takes text in memory "
                "as token lists.)"
            )
    if found.count("-") > 1:
        raise CorpusError('Standard input ("-") is named twice. It can be read once: name it once.')
    return found


def blocks(source: TextSource, reading: Reading = READING) -> Iterator[Block]:
    """Every file of a text source as blocks of valid UTF-8, byte-order marks dropped."""
    if reading.errors not in ("strict", "replace"):
        raise SettingError(f"errors={reading.errors!r} is not known. It is 'strict' or 'replace'.")
    if reading.block_bytes < 1 or not reading.max_expansion > 0:
        raise SettingError(
            f"block_bytes={reading.block_bytes} and max_expansion={reading.max_expansion} must be "
            "positive. "
            "Leave them out for the defaults."
        )
    if source is None:
        yield from _cut(builtin(), "the built-in text", reading)
        return
    for path in files(source):
        name = "standard input" if path == "-" else path
        yield from _cut(_pieces(path, name, reading), name, reading)


def builtin() -> Iterator[bytes]:
    """The built-in text, as the one piece it is."""
    yield machine_learning_text().encode()


def _pieces(path: str, name: str, reading: Reading) -> Iterator[bytes]:
    """The bytes of a file, decompressed, in pieces. Every error is a CorpusError that names the
    file.
    """
    size = reading.block_bytes
    try:
        if path == "-":
            yield from _chunks(sys.stdin.buffer, size)
        elif is_compressed(path):
            remedy = "If you trust it, raise max_expansion or decompress it yourself."
            yield from decompress(path, size, reading.max_expansion, remedy)
        else:
            with open(path, "rb") as file:
                yield from _chunks(file, size)
    except (FormatError, FileError) as error:
        raise CorpusError(str(error)) from error
    except OSError as error:
        raise CorpusError(
            f"{name}: cannot be read: {error.strerror}. Check the path and its permissions."
        ) from error


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece


def _cut(pieces: Iterable[bytes], name: str, reading: Reading) -> Iterator[Block]:
    """Cut behind the last separator of each piece; check the UTF-8; drop the mark; close the file
    with a newline.
    """
    rest = bytearray()  # since the last separator
    offset = 0  # of rest, in the (decompressed) file
    for piece in pieces:
        cut = _behind_last_separator(piece)
        if cut == 0:
            rest += piece
            if len(rest) > LONGEST_WORD:
                raise CorpusError(
                    f"{name}: no white space in {LONGEST_WORD:,} bytes from byte {offset:,} on. Is "
                    "it text? Words have to be separated by spaces or newlines."
                )
            continue
        data = bytes(rest) + piece[:cut] if rest else piece[:cut]
        rest = bytearray(piece[cut:])
        yield Block(_checked(data, offset, name, reading.errors), ends_file=False)
        offset += len(data)
    yield Block(_checked(bytes(rest) + b"\n", offset, name, reading.errors), ends_file=True)


def _behind_last_separator(piece: bytes) -> int:
    """The length of the longest beginning of ``piece`` that ends in a separator; 0 if it holds
    none.
    """
    data = np.frombuffer(piece, np.uint8)
    end, width = len(data), 64
    while end > 0:
        begin = max(0, end - width)
        found = np.flatnonzero(data[begin:end] <= SEPARATOR)
        if len(found):
            return begin + int(found[-1]) + 1
        end, width = begin, width * 8
    return 0


def _checked(data: bytes, offset: int, name: str, errors: Errors) -> np.ndarray:
    if offset == 0 and data.startswith(b"\xef\xbb\xbf"):
        data, offset = data[3:], 3
    array = np.frombuffer(data, np.uint8)
    if not data.isascii():
        try:
            data.decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            if errors == "strict":
                raise CorpusError(
                    f"{name}: invalid UTF-8 at byte {offset + error.start:,} "
                    f"(0x{data[error.start]:02x}): "
                    f"{error.reason}. Convert the file, or read it with errors='replace'."
                ) from None
            array = np.frombuffer(data.decode("utf-8", "replace").encode(), np.uint8)
    return array


def lines(source: TextSource, reading: Reading = READING) -> Iterator[str]:
    """The lines of a text source as strings without their ends, for tokenizers that are Python
    functions.

    A line is held in memory whole; only the default tokenizer reads an endless line in constant
    memory.
    """
    rest: list[bytes] = []
    for block in blocks(source, reading):
        head, *tail = block.data.tobytes().split(b"\n")
        rest.append(head)
        for line in tail:
            yield b"".join(rest).decode().removesuffix("\r")
            rest = [line]
        if block.ends_file:
            rest = []
