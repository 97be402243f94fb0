"""What every reader of vectors shares: a file's bytes, what may be forgiven, and sentences that name file and place.

A reader believes the size of a file before it believes a header, and hands over words and numbers only when every rule
of the format holds. Nothing here or in the readers evaluates, unpickles or imports what a file says.
"""

import bz2
import gzip
import lzma
import mmap
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from w2vjax.errors import FileError, FormatError, SettingError
from w2vjax.vectors.vectors import Vectors

ALLOWANCES = {
    "duplicates": "of words that occur twice, the first is kept",
    "non-finite": "NaN and infinity are read as they are",
    "trailing-bytes": "bytes after the last row are ignored",
    "unfinished-line": "a text file may end without a line end, as one cut within its last number does",
}
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_RATIO = 100  # vectors compress 1.1 to 10 times; 1,000 times is a decompression bomb
_SLACK = 1 << 24


class ReadOptions(NamedTuple):
    """How strictly to read: what is forgiven (:data:`ALLOWANCES`), and how many rows are wanted."""

    allow: frozenset[str] = frozenset()
    unicode_errors: str = "strict"  # as in bytes.decode: "replace" and "ignore" forgive invalid UTF-8
    limit: int | None = None


STRICT = ReadOptions()


class Table(NamedTuple):
    """What a file held, before it becomes a :class:`~w2vjax.vectors.vectors.Vectors`."""

    words: Sequence[str]
    matrix: np.ndarray  # [V, D]
    counts: np.ndarray | None = None  # [V]


def reading(
    allow: Collection[str] = (), unicode_errors: str = "strict", limit: int | None = None
) -> ReadOptions:
    """Checked reading options.

    >>> reading(allow=["duplicates"]).limit is None
    True
    """
    allowed = frozenset([allow] if isinstance(allow, str) else allow)
    if unknown := sorted(allowed - set(ALLOWANCES)):
        raise SettingError(f"allow={unknown[0]!r} is not known. It can hold: {', '.join(ALLOWANCES)}.")
    if unicode_errors not in {"strict", "replace", "ignore"}:
        raise SettingError(f"unicode_errors={unicode_errors!r} is not known. Use strict, replace or ignore.")
    if limit is not None and limit < 1:
        raise SettingError(f"limit={limit} reads nothing. Pass 1 or more, or None for all.")
    return ReadOptions(allowed, unicode_errors, limit)


def refuse(path: Path, place: str, cause: str, remedy: str = "Get or write the file again.") -> NoReturn:
    """Raise the sentence: file, place, cause, remedy."""
    where = f"{path}, {place}" if place else f"{path}"
    raise FormatError(f"{where}: {cause}. {remedy}")


def contents(path: Path) -> Any:
    """All bytes of a file: a memory map, or ``bytes`` if it is empty, compressed or no regular file.

    A compressed file may grow to 100 times its size and 16 MiB, no further.
    """
    try:
        if opener := _OPENERS.get(path.suffix.lower()):
            return _decompressed(path, opener)
        with path.open("rb") as file:
            if not os.path.isfile(path):
                return file.read()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    except OSError as error:
        if path.is_dir():
            raise FileError(f"{path} cannot be read: it is a folder. Name a file in it.") from error
        remedy = "Check the name." if isinstance(error, FileNotFoundError) else "Check the file and the disk."
        raise FileError(f"{path} cannot be read: {error.strerror or error}. {remedy}") from error


def release(data: Any) -> None:
    """Let go of the memory that reading a map has filled; what is read again comes from the system's file cache."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def _decompressed(path: Path, opener: Any) -> bytes:
    cap = path.stat().st_size * _RATIO + _SLACK
    pieces: list[bytes] = []
    size = 0
    with opener(path, "rb") as file:
        while True:
            try:
                piece = file.read(1 << 20)
            except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
                refuse(
                    path,
                    f"byte {size:,} of the decompressed data",
                    f"the {path.suffix} data is damaged ({error})",
                )
            except OSError as error:  # what bz2 raises for bad data; a real I/O error has a number
                if error.errno:
                    raise
                refuse(
                    path,
                    f"byte {size:,} of the decompressed data",
                    f"the {path.suffix} data is damaged ({error})",
                )
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > cap:
                refuse(path, f"byte {size:,} of the decompressed data", f"it grows to more than {_RATIO} times its "
                       "compressed size", "If you trust it, decompress it yourself.")  # fmt: skip


def refuse_unfinished(path: Path, data: Any, options: ReadOptions) -> None:
    """Every writer ends the last line; without its end, 0.25 may be what is left of 0.2537."""
    if len(data) and data[-1:] != b"\n" and options.limit is None and "unfinished-line" not in options.allow:
        refuse(path, f"byte {len(data):,}", "the last line has no end, so it may have been cut",
               "Get the whole file, or read with allow='unfinished-line'.")  # fmt: skip


def refuse_foreign(path: Path, start: bytes) -> None:
    """A clear word for the files of gensim's ``save``, torch, ``pickle`` and fastText, and for UTF-16."""
    if re.match(rb"\x80[\x02-\x05]|PK\x03\x04", start):
        refuse(path, "byte 0", "it is a Python pickle or a zip archive, which is never opened because it can run code",
               "Export the vectors as word2vec text, word2vec binary or safetensors.")  # fmt: skip
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        refuse(path, "byte 0", "it is UTF-16 text", "Convert it to UTF-8.")
    if start.startswith(b"\xba\x16\x4f\x2f"):
        refuse(path, "byte 0", "it is a fastText model", "Read the .vec file that fastText wrote beside it.")


def header(
    path: Path, line: bytes, place: str, size: int, least_row: int, least_number: int
) -> tuple[int, int]:
    """V and D of a word2vec header, believed only as far as ``size`` bytes can hold that many rows.

    A row takes at least ``least_row + D * least_number`` bytes.
    """
    fields = line.split()
    if len(fields) != 2 or not all(re.fullmatch(rb"[0-9]{1,18}", field) for field in fields):
        shown = line[:40].decode("utf-8", "backslashreplace") + ("..." if len(line) > 40 else "")
        refuse(path, place, f"the header has to be two numbers, words and dimensions, and is {shown!r}")
    rows, dim = int(fields[0]), int(fields[1])
    if not 1 <= dim < 2**24:
        refuse(path, place, f"the header promises vectors of {dim:,} dimensions")
    if rows * (least_row + dim * least_number) > size:
        refuse(path, place, f"the header promises {rows:,} words x {dim:,} dimensions, and the {size:,} bytes after it "
               f"can hold {size // (least_row + dim * least_number):,} such rows")  # fmt: skip
    return rows, dim


def decode(path: Path, word: bytes, place: str, options: ReadOptions) -> str:
    """A word's text, or the sentence that says where it is not UTF-8."""
    return decode_all(path, [word], lambda row: place, options)[0]


def decode_all(
    path: Path, words: list[bytes], place: Callable[[int], str], options: ReadOptions
) -> list[str]:
    """The text of words; ``place(row)`` is only asked for a word that is not UTF-8."""
    try:
        return [word.decode("utf-8", options.unicode_errors) for word in words]
    except UnicodeDecodeError as error:
        row = words.index(error.object)
        why = f"{error.reason} at its byte {error.start}"
        refuse(path, place(row), f"the word {words[row][:60]!r} is not UTF-8 ({why})",
               "Convert the file to UTF-8, or read it with unicode_errors='replace'.")  # fmt: skip


def checked(path: Path, table: Table, options: ReadOptions, place: Callable[[int], str]) -> Vectors:
    """The table as Vectors, after the two checks every format needs: finite numbers, and no word twice.

    ``place(row)`` says where a row stands in the file.
    """
    words, matrix, counts = table
    if "non-finite" not in options.allow:
        row = first_non_finite(matrix)
        if row is not None:
            refuse(path, place(row), f"the vector of {words[row]!r} holds NaN or infinity",
                   "Leave the word out, or read with allow='non-finite'.")  # fmt: skip
    if len(set(words)) != len(words):
        first: dict[str, int] = {}
        keep = [row for row, word in enumerate(words) if first.setdefault(word, row) == row]
        if "duplicates" not in options.allow:
            row = next(row for row, word in enumerate(words) if first[word] != row)
            refuse(path, place(row), f"the word {words[row]!r} stands there again, first at {place(first[words[row]])}",
                   "Keep one of them, or read with allow='duplicates' to keep the first.")  # fmt: skip
        words, matrix = [words[row] for row in keep], matrix[keep]
        counts = None if counts is None else counts[keep]
    return Vectors(words, matrix, counts)


def first_non_finite(matrix: np.ndarray) -> int | None:
    """The first row with NaN or infinity, looked for in pieces so that a memory map is not copied whole."""
    step = max(1, (1 << 22) // max(1, matrix.shape[1]))
    for start in range(0, len(matrix), step):
        finite = np.isfinite(matrix[start : start + step])
        if not finite.all():
            return start + int(np.argmin(finite.all(axis=1)))
    return None


def writable(path: Path, vectors: Vectors, forbidden: str, form: str) -> tuple[list[bytes], np.ndarray]:
    """The words as UTF-8 and the matrix as float32, or the sentence that names the word ``form`` cannot carry."""
    matrix = np.asarray(vectors.matrix, np.float32)
    if vectors.dim < 1:
        refuse(path, "", f"{form} cannot carry vectors of no dimensions", "Write safetensors.")
    row = first_non_finite(matrix)
    if row is not None:
        refuse(path, "", f"the vector of {vectors.words[row]!r} (row {row}) holds NaN or infinity and is not written",
               "Leave the word out.")  # fmt: skip
    return encoded(path, vectors.words, forbidden, form), matrix


def encoded(path: Path, words: Iterable[str], forbidden: str, form: str) -> list[bytes]:
    """Words as UTF-8; refuses an empty word, one with a character in ``forbidden``, one that has no UTF-8."""
    pattern = re.compile(f"[{re.escape(forbidden)}]" if forbidden else r"(?!)")
    result = []
    for row, word in enumerate(words):
        shown = repr(word if len(word) <= 60 else word[:60] + "...")
        if forbidden and not word:
            refuse(path, "", f"{form} cannot carry an empty word, and row {row} is one", "Write safetensors.")
        if found := pattern.search(word):
            refuse(path, "", f"{form} cannot carry {found.group()!r}, and the word {shown} (row {row}) holds it",
                   "Write safetensors, or replace the character.")  # fmt: skip
        try:
            result.append(word.encode())
        except UnicodeEncodeError:
            refuse(path, "", f"the word {shown} (row {row}) holds half a surrogate pair, which is not text",
                   "Replace the character.")  # fmt: skip
    return result
