"""Where text comes from: files, compressed files, folders, standard input. It is read in blocks.

A block is a uint8 array that ends after a separator (a byte <= 0x20). So no block cuts a word, a
UTF-8 sequence or a CRLF, and the result cannot depend on the size of the blocks.
"""

import codecs
import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias, TypeGuard

import numpy as np

from w2vjax.compressed import decompress, is_compressed
from w2vjax.data import machine_learning_text
from w2vjax.errors import CorpusError, FileError, FormatError, SettingError, shown, whole_number
from w2vjax.files import AnyPath, refuse_to_overwrite
from w2vjax.processes.streams import chunks, standard_bytes
from w2vjax.reading import MARK, archive, contents, is_result, wide_text
from w2vjax.real import true_or_false
from w2vjax.threads import usable_cores

BLOCK = 1 << 20  # bytes: the arrays made from one block stay in the second-level cache
SEPARATOR = 0x20  # this byte and all below it separate words
LONGEST_WORD = 1 << 24  # bytes without a separator; a file with more is not text
PART = 1 << 22  # bytes of a plain file that a thread reads before it takes the next part
# With more threads the part of the work that holds Python's lock sets the speed.
_MOST_THREADS = 8
_SEPARATOR = re.compile(rb"[\0- ]")
_START = 1 << 12  # bytes that show whether a file is text

Errors = Literal["strict", "replace"]
TextSource: TypeAlias = AnyPath | Sequence[AnyPath] | None  # None is the built-in text
# A corpus is text, or an iterable of token lists. With a tokenizer it may be an iterable of lines.
Source: TypeAlias = TextSource | Iterable[str | Iterable[str]]


class Reading(NamedTuple):
    """How files are read.

    Args:
        errors: "strict" refuses bytes that are invalid in the encoding; "replace" reads U+FFFD.
        max_expansion: a compressed file may expand to this many times its size, or to 64 MiB.
        block_bytes: bytes read at a time. The result does not depend on it.
        encoding: the encoding of the text, by any name that Python knows.
        leave_out: files and folders that a walk through a folder leaves out, such as results.
        threads: threads that read. None is one for each core, at most 8, and 1 for little text.
            The result does not depend on it.
        together: every process of a ``jax.distributed`` run reads the same text now. Each reads a
            share of it, and all get the whole result. Streams and token lists are read by each.
    """

    errors: Errors = "strict"
    max_expansion: float = 200.0
    block_bytes: int = BLOCK
    encoding: str = "utf-8"
    leave_out: Sequence[AnyPath] = ()
    threads: int | None = None
    together: bool = False

    def without(self, *paths: AnyPath | None) -> "Reading":
        """The same, with more paths to leave out. None is no path.

        >>> Reading(encoding="latin-1").without("run", None).leave_out
        ('run',)
        """
        more = (path for path in paths if path is not None)
        return self._replace(leave_out=(*self.leave_out, *more))

    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8, which needs no conversion."""
        return codecs.lookup(self.encoding).name == "utf-8"


READING = Reading()


def check_reading(reading: Reading) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` for a value that cannot work."""
    if not isinstance(reading, Reading):
        raise SettingError(f"reading={shown(reading)} is no Reading. Pass w2vjax.corpus.Reading().")
    if reading.errors not in ("strict", "replace"):
        raise SettingError(f"errors={reading.errors!r} is not known. It is 'strict' or 'replace'.")
    whole_number("block_bytes", reading.block_bytes)
    most: Any = reading.max_expansion
    if isinstance(most, bool) or not isinstance(most, int | float | np.number) or not most > 0:
        raise SettingError(f"max_expansion={shown(most)} cannot work. Use a number above 0.")
    true_or_false("together", reading.together)
    if reading.threads is not None:
        whole_number("threads", reading.threads)
    paths = reading.leave_out
    if not isinstance(paths, (tuple, list)) or not all(map(_is_path, paths)):
        raise SettingError(f"leave_out={shown(paths)} is no list of paths. Pass a list of paths.")
    try:
        "a".encode(reading.encoding)  # fails for a codec that is not of text, such as rot13
        codecs.getincrementaldecoder(reading.encoding)
    except (LookupError, TypeError, ValueError) as error:
        cause = f"encoding={reading.encoding!r:.60} is no encoding that Python knows"
        remedy = "Use a name such as 'latin-1', 'cp1252' or 'utf-16'."
        raise SettingError(f"{cause}. {remedy}") from error


class Part(NamedTuple):
    """Bytes of one file that one thread reads. They begin and end between two words."""

    path: str | None  # None is the built-in text
    begin: int = 0
    end: int | None = None  # None is the end of the file


def is_text(source: Source) -> TypeGuard[TextSource]:
    """Whether a source is read from files (a path, paths, "-", None) and is no token lists."""
    if source is None or _is_path(source):
        return True
    return isinstance(source, (list, tuple)) and len(source) > 0 and all(map(_is_path, source))


def keep_text(source: object, *results: AnyPath | None) -> None:
    """Refuse results that would overwrite a file of the text."""
    listed = source if isinstance(source, (list, tuple)) else [source]
    for result in results:
        if result is not None:
            refuse_to_overwrite(result, filter(_is_path, listed))


def _is_path(item: object) -> TypeGuard[AnyPath]:
    return isinstance(item, (str, os.PathLike))


def files(source: AnyPath | Sequence[AnyPath], leave_out: Iterable[AnyPath] = ()) -> list[str]:
    """The files of a source in the order of reading. A folder gives its files in sorted order.

    A walk passes over the paths to ``leave_out``. A file that is named itself is read.
    """
    left_out = {os.path.realpath(path) for path in leave_out}
    found: list[str] = []
    for path in [source] if isinstance(source, (str, os.PathLike)) else source:
        name = os.fspath(path)
        mode = stat.S_IFIFO if name == "-" else _mode(name)
        if stat.S_ISDIR(mode):
            found += _files_in(name, left_out)
        elif stat.S_ISREG(mode) or stat.S_ISFIFO(mode):  # a shell makes <(zcat text.gz) a pipe
            found.append(name)
        else:
            raise CorpusError(f"{name} is {_kind(mode)}. Name a file, or - for standard input.")
    if found.count("-") > 1:
        raise CorpusError('Standard input ("-") is named twice. It can be read once: name it once.')
    return found


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except PermissionError as error:
        refuse_unreadable(error)
    except (OSError, ValueError) as error:
        remedy = "Check its name. (Python takes text in memory as token lists.)"
        raise CorpusError(f"There is no file or folder {path!r:.80}. {remedy}") from error


def refuse_unreadable(error: OSError, name: str | None = None) -> NoReturn:
    """Raise CorpusError for a file or folder that the system does not let us read."""
    cause = f"{name or error.filename}: cannot be read: {error.strerror or error}"
    raise CorpusError(f"{cause}. Check the path and its permissions.") from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _files_in(folder: str, left_out: Collection[str]) -> list[str]:
    """The files in a folder and in its folders. Names that begin with a dot are passed over."""
    if os.path.realpath(folder) in left_out:
        remedy = "Write the results to another folder."
        raise CorpusError(f"The folder {folder!r} is for results, which are no corpus. {remedy}")
    found = []
    for place, folders, names in os.walk(folder, onerror=refuse_unreadable):
        paths = [os.path.join(place, name) for name in folders + names if name[0] != "."]
        paths = [path for path in paths if not left_out or os.path.realpath(path) not in left_out]
        folders[:] = [name for name in folders if os.path.join(place, name) in paths]
        found += [path for path in paths if _is_file(path)]
    if not found:
        remedy = "Name a folder with text files in it."
        raise CorpusError(f"The folder {folder!r} holds no files. {remedy}")
    for path in sorted(found):
        if is_result(path):
            remedy = "Leave it out: name the texts one by one, or keep results in another folder."
            raise CorpusError(f"{path} is a result of w2vjax, which is no text. {remedy}")
    return sorted(found)


def _is_file(path: str) -> bool:
    """Whether a path in a folder is a file; False for a folder. Everything else is refused."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        refuse_unreadable(error)
    if stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and not os.path.islink(path)):
        return stat.S_ISREG(mode)
    kind = ("a link to " if os.path.islink(path) else "") + _kind(mode)
    remedy = "Remove it, or name the files and folders to read one by one."
    raise CorpusError(f"{path} is {kind}, which is not read as a part of a folder. {remedy}")


def parts(source: TextSource, reading: Reading = READING) -> list[Part]:
    """A text source in the order of reading. Only threads need more than one part of a file."""
    check_reading(reading)
    if source is None:
        return [Part(None)]
    return [Part(path) for path in files(source, reading.leave_out)]


def split(part: Part, reading: Reading) -> list[Part]:
    """A whole file in parts of about PART bytes. Compressed text and other encodings stay whole."""
    path = part.path
    if path is None or is_compressed(path) or not reading.is_utf8():
        return [part]
    cuts = [0]
    # an error is raised later, by the thread that reads the part
    with suppress(OSError, ValueError):
        data = contents(Path(path))
        for place in range(PART, len(data), PART):
            if place > cuts[-1]:
                if not (found := _SEPARATOR.search(data, place, place + LONGEST_WORD)):
                    break
                cuts.append(found.end())
    return [Part(path, *ends) for ends in zip(cuts, [*cuts[1:], None], strict=True)]


def sizes_of(parts: Sequence[Part]) -> list[int] | None:
    """The bytes of these files. None if one is a pipe or another stream, or the built-in text."""
    paths = [part.path or "-" for part in parts]
    regular = all(path != "-" and os.path.isfile(path) for path in paths)
    return list(map(os.path.getsize, paths)) if regular else None


def threads_for(parts: Sequence[Part], reading: Reading) -> int:
    """Threads that read these files: one for a little text, and for pipes and other streams."""
    if (sizes := sizes_of(parts)) is None:
        return 1  # Ctrl-C can end a read that waits only where the main thread reads
    return reading.threads or max(1, min(usable_cores(), _MOST_THREADS, sum(sizes) // PART))


def blocks_of(part: Part, reading: Reading) -> Iterator[np.ndarray]:
    """One part of a source as blocks [bytes] uint8 of valid UTF-8, without a byte order mark."""
    if part.path is None:
        yield from _cut([machine_learning_text().encode()], part, "the built-in text", reading)
        return
    name = "standard input" if part.path == "-" else part.path
    pieces = _pieces(part, name, reading)
    if part.begin == 0:
        pieces = _of_text(pieces, name, reading)
    if not reading.is_utf8():
        pieces = _converted(pieces, name, reading)
    yield from _cut(pieces, part, name, reading)


def _pieces(part: Part, name: str, reading: Reading) -> Iterator[bytes]:
    """The bytes of a part, decompressed, in pieces. Every error is a CorpusError with its name."""
    path, size = str(part.path), reading.block_bytes
    try:
        if path == "-":
            yield from chunks(standard_bytes(), size)
        elif is_compressed(path):
            remedy = "If you trust it, raise max_expansion or decompress it yourself."
            yield from decompress(path, size, reading.max_expansion, remedy)
        else:
            with open(path, "rb") as file:
                if part.begin:  # a pipe cannot seek, and has no parts
                    file.seek(part.begin)
                yield from chunks(file, size, (part.end or sys.maxsize) - part.begin)
    except (FormatError, FileError) as error:
        raise CorpusError(str(error)) from error
    except OSError as error:
        refuse_unreadable(error, name)


def _of_text(pieces: Iterator[bytes], name: str, reading: Reading) -> Iterator[bytes]:
    """The same pieces. Refuses an archive, and UTF-16 that is taken for UTF-8."""
    held, start = [], b""
    while len(start) < _START and (piece := next(pieces, b"")):
        held.append(piece)
        start += piece
    start = start[:_START]
    if found := archive(start, stream=not os.path.isfile(name)):
        raise CorpusError(f"{name}: it is {found[0]}. {found[1]}")
    if reading.is_utf8() and (encoding := wide_text(start)):
        remedy = f"name its encoding: --encoding {encoding} (Reading(encoding={encoding!r}))"
        cause = f"{name}: it is {encoding.upper()} text, which is not UTF-8"
        raise CorpusError(f"{cause}. Convert the file, or {remedy}.")
    return chain(held, pieces)


def _converted(pieces: Iterator[bytes], name: str, reading: Reading) -> Iterator[bytes]:
    """Pieces in another encoding as UTF-8."""
    decoder = codecs.getincrementaldecoder(reading.encoding)(reading.errors)
    done = 0
    for piece in chain(pieces, [b""]):
        begin = done - len(decoder.getstate()[0])
        try:
            yield decoder.decode(piece, final=not piece).encode()
        except UnicodeError as error:
            place = begin + getattr(error, "start", 0)
            why = f": {getattr(error, 'reason', error)}"
            raise CorpusError(_invalid(name, reading.encoding, place, why)) from None
        done += len(piece)


def _invalid(name: str, encoding: str, place: int, why: str) -> str:
    return (
        f"{name}: invalid {encoding.upper()} at byte {place:,}{why}. Name the encoding of the file "
        "(--encoding latin-1, Reading(encoding='latin-1')), or read U+FFFD for what is invalid "
        "(--invalid replace, Reading(errors='replace'))."
    )


def _cut(pieces: Iterable[bytes], part: Part, name: str, reading: Reading) -> Iterator[np.ndarray]:
    """Pieces cut behind their last separator, as checked UTF-8. A newline ends the file."""
    rest = bytearray()  # since the last separator
    offset = part.begin  # of rest, in the (decompressed) file
    for piece in pieces:
        cut = _behind_last_separator(piece)
        if cut == 0:
            rest += piece
            if len(rest) > LONGEST_WORD:
                cause = f"no white space in {LONGEST_WORD:,} bytes from byte {offset:,} on"
                remedy = "Is it text? Words have to be separated by spaces or newlines."
                raise CorpusError(f"{name}: {cause}. {remedy}")
            continue
        data = b"".join([rest, memoryview(piece)[:cut]])
        rest = bytearray(piece[cut:])
        yield _checked(data, offset, name, reading.errors)
        offset += len(data)
    rest += b"\n" if part.end is None else b" "
    yield _checked(bytes(rest), offset, name, reading.errors)


def _behind_last_separator(piece: bytes) -> int:
    """Bytes of a piece up to and with its last separator; 0 if it holds none."""
    data = np.frombuffer(piece, np.uint8)
    for width in (1 << 6, 1 << 12, len(data)):
        if len(found := np.flatnonzero(data[-width:] <= SEPARATOR)):
            return max(len(data) - width, 0) + int(found[-1]) + 1
    return 0


def _checked(data: bytes, offset: int, name: str, errors: Errors) -> np.ndarray:
    """A block as an array. Raises CorpusError for invalid UTF-8, or replaces it."""
    if offset == 0 and data.startswith(MARK):
        data, offset = data[len(MARK) :], len(MARK)
    array = np.frombuffer(data, np.uint8)
    if not data.isascii():
        try:
            data.decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            if errors == "strict":
                why = f" (0x{data[error.start]:02x}): {error.reason}"
                raise CorpusError(_invalid(name, "UTF-8", offset + error.start, why)) from None
            array = np.frombuffer(data.decode("utf-8", "replace").encode(), np.uint8)
    return array


def lines(source: TextSource, reading: Reading = READING) -> Iterator[str]:
    """The lines of a text source as strings without their ends, for a tokenizer in Python.

    Memory holds a whole line. Only the default tokenizer reads an endless line in constant memory.
    A newline at the end of a file begins no further line.
    """
    for part in parts(source, reading):
        ended: list[str] = []  # at most one line: the last of a file counts only if it is not empty
        rest: list[bytes] = []
        for block in blocks_of(part, reading):
            head, *tail = block.tobytes().split(b"\n")
            rest.append(head)
            for begun in tail:
                yield from ended
                ended, rest = [b"".join(rest).decode().removesuffix("\r")], [begun]
        yield from filter(None, ended)
