"""What every reader shares: a file's bytes, the options of reading, and messages that name the file
and the place.

A reader trusts the size of a file more than its header. It returns words and numbers only when
every rule of the format holds. Nothing here and in the readers evaluates, unpickles or imports what
a file says.
"""

import mmap
import os
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from w2vjax.compressed import decompress, is_compressed
from w2vjax.errors import FileError, FormatError, SettingError, whole_number

ALLOWANCES = {
    "duplicates": "of words that occur twice, the first is kept",
    "non-finite": "NaN and infinity are read as they are",
    "trailing-bytes": "bytes after the last row are ignored",
    "nameless-rows": "rows without a word, which gensim writes, are left out",
    "unfinished-line": "a text file may end without a line end, as one that was cut within its "
    "last number does",
}
MAX_EXPANSION = (
    # vectors compress 1.1 to 10 times; a file that compresses 1,000 times is made to fill the
    # memory
    100
)
MARK = b"\xef\xbb\xbf"  # the byte order mark of UTF-8
Data: TypeAlias = bytes | mmap.mmap


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file of vectors. Each format uses the options that it knows; see
    ``Format.takes``.

    Raises :class:`~w2vjax.errors.SettingError` for a value that is not known.

    >>> ReadOptions(allow=["duplicates"], limit=0)
    Traceback (most recent call last):
    w2vjax.errors.SettingError: limit=0 cannot work. Use a whole number of 1 or more.
    """

    allow: Collection[str] = ()  # the faults to forgive, from ALLOWANCES
    # as in bytes.decode; "replace" and "ignore" accept invalid UTF-8
    unicode_errors: str = "strict"
    limit: int | None = None  # read this many rows; None reads all
    table: str = "input"  # which table of a model: "input" or "output"
    vocabulary: str | os.PathLike[str] | None = None  # the file with the words or the counts
    verify: bool = True  # compare the checksum

    def __post_init__(self) -> None:
        if isinstance(self.allow, str):
            object.__setattr__(self, "allow", (self.allow,))
        for name in self.allow:
            _one_of("allow", name, ALLOWANCES)
        _one_of("unicode_errors", self.unicode_errors, ("strict", "replace", "ignore"))
        _one_of("table", self.table, ("input", "output"))
        if self.limit is not None:
            whole_number("limit", self.limit)


def _one_of(option: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise SettingError(f"{option}={value!r} is not known. Use one of: {', '.join(known)}.")


STRICT = ReadOptions()


def refuse(
    path: Path, place: str, cause: str, remedy: str = "Get or write the file again."
) -> NoReturn:
    """Raise :class:`~w2vjax.errors.FormatError` with file, place, cause and remedy."""
    where = f"{path}, {place}" if place else f"{path}"
    raise FormatError(f"{where}: {cause}. {remedy}")


def contents(path: Path) -> Data:
    """All bytes of a file: a memory map, or ``bytes`` if it is empty, compressed or no regular
    file.

    Raises :class:`~w2vjax.errors.FileError` if the file cannot be read, and what
    :func:`~w2vjax.compressed.decompress` raises; a compressed file may expand to 100 times its
    size.
    """
    try:
        if is_compressed(path):
            pieces = decompress(
                path, 1 << 20, MAX_EXPANSION, "If you trust it, decompress it yourself."
            )
            return b"".join(pieces)
        with path.open("rb") as file:
            if not os.path.isfile(path):
                return file.read()
            return (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
            )
    except FileError:
        raise
    except OSError as error:
        if path.is_dir():
            raise FileError(f"{path} cannot be read: it is a folder. Name a file in it.") from error
        remedy = (
            "Check the name."
            if isinstance(error, FileNotFoundError)
            else "Check the file and the disk."
        )
        raise FileError(f"{path} cannot be read: {error.strerror or error}. {remedy}") from error


def release(data: Data) -> None:
    """Release the memory that reading a map has filled; the system's file cache keeps the bytes."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def split_lines(data: Data) -> list[bytes]:
    """The lines of a file without their ends; a byte order mark at its start is left out.

    >>> split_lines(b"the 5\\r\\nof 3\\n")
    [b'the 5', b'of 3']
    """
    lines = bytes(data).removeprefix(MARK).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def refuse_unfinished(path: Path, data: Data, options: ReadOptions) -> None:
    """Refuse a last line without an end: 0.25 may be the start of 0.2537, and every writer ends the
    last line.
    """
    if (
        len(data)
        and data[-1:] != b"\n"
        and options.limit is None
        and "unfinished-line" not in options.allow
    ):
        cause = "the last line has no end, so it may have been cut"
        refuse(
            path,
            f"byte {len(data):,}",
            cause,
            "Get the whole file, or read with allow='unfinished-line'.",
        )


def refuse_foreign(path: Path, start: bytes) -> None:
    """Name the files of gensim's ``save``, torch, ``pickle`` and fastText, and UTF-16 text, which
    are not read.
    """
    export = "Export the vectors as word2vec text, word2vec binary or safetensors."
    if re.match(rb"\x80[\x02-\x05]", start):
        cause = "it is a Python pickle, which is never opened because it can run code"
        refuse(path, "byte 0", cause, export)
    if start.startswith(b"PK\x03\x04"):
        cause = "it is a zip archive, as numpy.savez and torch.save write too"
        refuse(path, "byte 0", cause, f"Unpack the vectors from it. {export}")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        refuse(path, "byte 0", "it is UTF-16 text", "Convert it to UTF-8.")
    if start.startswith(b"\xba\x16\x4f\x2f"):
        refuse(
            path,
            "byte 0",
            "it is a fastText model",
            "Read the .vec file that fastText wrote beside it.",
        )


def decode(path: Path, word: bytes, place: str, options: ReadOptions) -> str:
    """The text of a word, which is at ``place`` in the file. Raises FormatError if it is not UTF-8."""
    return decode_all(path, [word], lambda row: place, options)[0]


def decode_all(
    path: Path, words: list[bytes], place: Callable[[int], str], options: ReadOptions
) -> list[str]:
    """The text of words. ``place(row)`` says where a word is; it is called only for one that is not
    UTF-8.
    """
    try:
        return [word.decode("utf-8", options.unicode_errors) for word in words]
    except UnicodeDecodeError as error:
        row = words.index(error.object)
        why = f"{error.reason} at its byte {error.start}"
        remedy = "Convert the file to UTF-8, or read it with unicode_errors='replace'."
        refuse(path, place(row), f"the word {words[row][:60]!r} is not UTF-8 ({why})", remedy)


def encoded(path: Path, words: Iterable[str], forbidden: str, form: str) -> list[bytes]:
    """Words as UTF-8. Refuses an empty word, a character of ``forbidden``, and a word that UTF-8
    cannot hold.
    """
    pattern = re.compile(f"[{re.escape(forbidden)}]" if forbidden else r"(?!)")
    result = []
    for row, word in enumerate(words):
        shown = repr(word if len(word) <= 60 else word[:60] + "...")
        if forbidden and not word:
            refuse(
                path,
                "",
                f"{form} cannot carry an empty word, and row {row} is one",
                "Write safetensors.",
            )
        if found := pattern.search(word):
            cause = (
                f"{form} cannot carry {found.group()!r}, and the word {shown} (row {row}) holds it"
            )
            refuse(path, "", cause, "Write safetensors, or replace the character.")
        try:
            result.append(word.encode())
        except UnicodeEncodeError:
            cause = f"the word {shown} (row {row}) holds half a surrogate pair, which is not text"
            refuse(path, "", cause, "Replace the character.")
    return result
