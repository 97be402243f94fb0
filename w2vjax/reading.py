"""What every reader shares: the bytes of a file, options, and messages that name file and place.

A reader trusts the size of a file more than its header. It returns words and numbers only if every
rule of the format holds. No reader evaluates, unpickles or imports what a file says.
"""

import errno
import mmap
import os
import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from w2vjax.compressed import decompress, is_compressed
from w2vjax.errors import FileError, FormatError, SettingError, as_names, whole_number
from w2vjax.files import AnyPath, as_path, current_path
from w2vjax.real import true_or_false

ALLOWANCES = {
    "duplicates": "of words that occur twice, the first is kept",
    "non-finite": "NaN and infinity are read as they are",
    "trailing-bytes": "bytes after the last row are ignored",
    "nameless-rows": "rows without a word, which gensim writes, are left out",
    "unfinished-line": "the last line of a text file may have no end, though it may have been cut",
}
# Vectors compress 1.1 to 10 times. A file that compresses 1,000 times is made to fill the memory.
MAX_EXPANSION = 100
MARK = b"\xef\xbb\xbf"  # the byte order mark of UTF-8
Data: TypeAlias = bytes | mmap.mmap


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file of vectors. ``Format.takes`` names the options that a format uses.

    Args:
        allow: faults to forgive: names from ``ALLOWANCES``, or one of them.
        unicode_errors: as in ``bytes.decode``; "replace" and "ignore" accept invalid UTF-8.
        limit: read this many rows; None reads all.
        table: which table of a model to read, "input" or "output".
        vocabulary: the file with the words or the counts.
        verify: compare the checksum.

    Raises:
        SettingError: a value is not known.

    >>> ReadOptions(allow=["duplicates"], limit=0)
    Traceback (most recent call last):
    w2vjax.errors.SettingError: limit=0 cannot work. Use a whole number of 1 or more.
    """

    allow: Collection[str] = ()
    unicode_errors: str = "strict"
    limit: int | None = None
    table: str = "input"
    vocabulary: AnyPath | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", as_names(self.allow))
        for name in self.allow:
            _one_of("allow", name, ALLOWANCES)
        _one_of("unicode_errors", self.unicode_errors, ("strict", "replace", "ignore"))
        _one_of("table", self.table, ("input", "output"))
        if self.limit is not None:
            whole_number("limit", self.limit)
        true_or_false("verify", self.verify)
        if self.vocabulary is not None:
            as_path(self.vocabulary)


def _one_of(option: str, value: str, known: Collection[str]) -> None:
    if value not in tuple(known):
        raise SettingError(f"{option}={value!r} is not known. Use one of: {', '.join(known)}.")


STRICT = ReadOptions()


def refuse(
    path: Path, place: str, cause: str, remedy: str = "Get or write the file again."
) -> NoReturn:
    """Raise :class:`~w2vjax.errors.FormatError` with file, place, cause and remedy."""
    where = f"{path}, {place}" if place else f"{path}"
    raise FormatError(f"{where}: {cause}. {remedy}")


def contents(path: Path) -> Data:
    """All bytes of a file: a memory map, or ``bytes`` if it is empty, compressed or a pipe.

    Raises:
        FileError: the file cannot be read.
        FormatError: compressed data is damaged, or expands to more than 100 times its size.
    """
    try:
        if is_compressed(path):
            remedy = "If you trust it, decompress it yourself."
            pieces = decompress(path, 1 << 20, MAX_EXPANSION, remedy)
            return b"".join(pieces)
        with current_path(path).open("rb") as file:
            if not os.path.isfile(path):
                return file.read()
            empty = not os.fstat(file.fileno()).st_size
            return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileError:
        raise
    except OSError as error:
        if os.path.isdir(path):
            raise FileError(f"{path} cannot be read: it is a folder. Name a file in it.") from error
        remedy = {
            errno.ENOENT: "Check the name.",
            errno.ENAMETOOLONG: "Check the name.",
            errno.EACCES: "Check the path and its permissions.",
        }.get(error.errno or 0, "Check the file and the disk.")
        raise FileError(f"{path} cannot be read: {error.strerror or error}. {remedy}") from error


def release(data: Data) -> None:
    """Release the memory that reading a map has filled. The system's file cache keeps the bytes."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def split_lines(data: Data) -> list[bytes]:
    """The lines of a file without their ends, and without a byte order mark.

    >>> split_lines(b"the 5\\r\\nof 3\\n")
    [b'the 5', b'of 3']
    """
    lines = bytes(data).removeprefix(MARK).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def or_allow(name: str) -> str:
    """The end of a remedy: how to read a file with this fault, in Python and as a command.

    >>> or_allow("duplicates")
    "or read with allow='duplicates' (first w2vjax convert --allow duplicates)"
    """
    return f"or read with allow={name!r} (first w2vjax convert --allow {name})"


def refuse_unfinished(path: Path, data: Data, options: ReadOptions) -> None:
    """Refuse a last line without an end. Every writer ends it, and 0.25 may be a cut 0.2537."""
    if len(data) and data[-1:] != b"\n" and "unfinished-line" not in options.allow:
        cause = "the last line has no end, so it may have been cut"
        remedy = f"Get the whole file, {or_allow('unfinished-line')}."
        refuse(path, f"byte {len(data):,}", cause, remedy)


_ARCHIVES = (  # how a file begins, what it is, and the remedy
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive", "Unpack it, and name a file in it."),
    (rb"\x1f\x8b\x08", "compressed by gzip", "Let its name end in .gz."),
    (rb"BZh[1-9]1AY&SY", "compressed by bzip2", "Let its name end in .bz2."),
    (rb"\xfd7zXZ\0", "compressed by xz", "Let its name end in .xz."),
    (rb"\x28\xb5\x2f\xfd", "compressed by zstd", "Let its name end in .zst."),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it, and name a file in it."),
    (rb"(?s:.{257})ustar", "a tar archive", "Unpack it, and name the folder with its files."),
    (rb"%PDF-", "a PDF document", "Extract its text."),
)
_TOOLS = {
    f"compressed by {form}": tool
    for form, tool in {"gzip": "zcat", "bzip2": "bzcat", "xz": "xzcat", "zstd": "zstdcat"}.items()
}
_PICKLE = "a Python pickle, which is never opened because it can run code"
_EXPORT = "Export the vectors as word2vec text, word2vec binary or safetensors."
_MODELS = (
    (rb"\xba\x16\x4f\x2f", "a fastText model", "Read the .vec file that is beside it."),
    (rb"\x80[\x02-\x05]", _PICKLE, _EXPORT),
)
_HIGH_BYTES = {"0101": "utf-16-le", "1010": "utf-16-be", "0111": "utf-32-le", "1110": "utf-32-be"}


def archive(start: bytes, stream: bool = False) -> tuple[str, str] | None:
    """(What it is, the remedy) for the first bytes of an archive, which is never text.

    A stream has no name that could end in .gz.
    """
    for form, what, remedy in _ARCHIVES:
        if re.match(form, start):
            tool = _TOOLS.get(what) if stream else None
            return what, f"Decompress it: {tool} FILE | w2vjax ... -" if tool else remedy
    if re.match(rb'(?s).{4}\0{4}\{"', start):
        return "a safetensors file, which holds tables of numbers", "Leave it out."
    return None


_RESULT = re.compile(
    r"vectors\.bin|(model|checkpoint-\d{12,})\.safetensors|log\.jsonl\.partial"
    r"|corpus-[0-9a-f]{16}\.(ids|json|starts)"
)
# How a log and a summary begin, whatever their names are.
_WRITTEN = re.compile(
    rb'\{(?=.*"epoch":)(?=.*"step":)(?=.*"words":).*"loss":'
    rb'|(?s:\{(?=.*"words":)(?=.*"vocabulary":).*"raw_words_per_second":)'
)


def is_result(path: str) -> bool:
    """Whether a file is a result of training, a cache or encoded text: by name or first bytes.

    A file that cannot be read is none. Whoever reads it raises the error.
    """
    start = b""
    with suppress(OSError), open(path, "rb", buffering=0) as file:
        start = file.read(1 << 12)
    encoded = path.endswith(".starts") and start.startswith(bytes(8))  # the first line begins at 0
    return bool(encoded or _RESULT.fullmatch(os.path.basename(path)) or _WRITTEN.match(start))


def wide_text(start: bytes) -> str | None:
    """The encoding of text in UTF-16 or UTF-32, by its mark or the places of its high bytes.

    >>> wide_text("\\ufeffking".encode("utf-16-le")), wide_text(b"king")
    ('utf-16', None)
    """
    for width in (32, 16):  # the mark of UTF-32 begins with that of UTF-16
        if start[: width // 8] in ("\ufeff".encode(f"utf-{width}-{end}") for end in ("le", "be")):
            return f"utf-{width}"
    if len(start) < 64:
        return None
    # High bytes of Latin, Greek, Cyrillic, Hebrew and Arabic are 0 to 8. UTF-8 has none.
    high = [sum(byte < 9 for byte in start[place::4]) / len(start[place::4]) for place in range(4)]
    return _HIGH_BYTES.get("".join("1" if x > 0.9 else "0" if x < 0.1 else "-" for x in high))


def refuse_foreign(path: Path, start: bytes) -> None:
    """Refuse by name: archives, pickles, fastText models, and text in UTF-16 or UTF-32."""
    for form, what, remedy in _ARCHIVES + _MODELS:
        if re.match(form, start):
            refuse(path, "byte 0", f"it is {what}", remedy)
    if encoding := wide_text(start):
        refuse(path, "byte 0", f"it is {encoding.upper()} text", "Convert it to UTF-8.")


def decode(path: Path, word: bytes, place: str, options: ReadOptions) -> str:
    """The text of a word at ``place`` in the file. Raises FormatError if it is not UTF-8."""
    return decode_all(path, [word], lambda row: place, options)[0]


def decode_all(
    path: Path, words: list[bytes], place: Callable[[int], str], options: ReadOptions
) -> list[str]:
    """The text of words. ``place(row)`` says where the first word that is not UTF-8 is."""
    with suppress(UnicodeDecodeError):
        texts = b"\n".join(words).decode().split("\n")  # five times as fast
        if len(texts) == len(words):  # no word holds a newline
            return texts
    try:
        return [word.decode("utf-8", options.unicode_errors) for word in words]
    except UnicodeDecodeError as error:
        row = words.index(error.object)
        why = f"{error.reason} at its byte {error.start}"
        remedy = (
            "Convert the file to UTF-8, or read it with unicode_errors='replace' (first w2vjax "
            "convert --unicode-errors replace)."
        )
        refuse(path, place(row), f"the word {words[row][:60]!r} is not UTF-8 ({why})", remedy)


def encoded(
    path: Path,
    words: Iterable[str],
    forbidden: str,
    form: str,
    instead: str = "Write safetensors",
) -> list[bytes]:
    """Words as UTF-8. Refuses what the format or UTF-8 cannot hold, and empty words.

    Args:
        path: of the file that is to be written, for the message.
        words: [V] the words.
        forbidden: the characters that a word of the file cannot hold.
        form: the name of the format.
        instead: the beginning of the remedy.
    """
    pattern = re.compile(f"[{re.escape(forbidden)}]" if forbidden else r"(?!)")
    result = []
    for row, word in enumerate(words):
        shown = repr(word if len(word) <= 60 else word[:60] + "...")
        if forbidden and not word:
            cause = f"{form} cannot carry an empty word, and row {row} is one"
            refuse(path, "", cause, f"{instead}.")
        if found := pattern.search(word):
            bad = found.group()
            cause = f"{form} cannot carry {bad!r}, and the word {shown} (row {row}) holds it"
            refuse(path, "", cause, f"{instead}, or replace the character.")
        try:
            result.append(word.encode())
        except UnicodeEncodeError:
            cause = f"the word {shown} (row {row}) holds half a surrogate pair, which is not text"
            refuse(path, "", cause, "Replace the character.")
    return result
