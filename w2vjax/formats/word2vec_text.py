"""word2vec and GloVe text: on each line a word and D numbers, separated by single spaces.

    V D                     word2vec only; GloVe starts with the first word
    the 0.418 0.24968 ...

The last D fields of a line are the vector, and all before them is the word. So a word may hold
spaces. Lines end in ``\\n`` or ``\\r\\n``. The reader accepts a space at the end of a line, as the
C tool writes it, empty lines at the end of the file, and a byte order mark.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from w2vjax import reading
from w2vjax.files import atomic_file
from w2vjax.formats.decimals import NUMBER, decimals, plain_numbers, shortest, slow_numbers
from w2vjax.formats.table import Format, Table, checked, header, nameless, writable
from w2vjax.reading import MARK, Data, ReadOptions, contents, decode, decode_all, or_allow, refuse
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocabulary_file import FORBIDDEN

_CHUNK = 1 << 22
# A number with a point or an exponent. If all words end in one, the header's D is too small.
_DECIMAL = re.compile(r".* [+-]?([0-9]*\.[0-9]*|[0-9]+[eE][+-]?[0-9]+)")


class _Layout(NamedTuple):
    start: int  # byte of the first row
    end: int  # byte after the last row
    first_line: int  # number of the line of the first row
    rows: int | None  # V, None without a header
    dim: int


def read_text(path: Path, options: ReadOptions) -> Vectors:
    """Vectors of a word2vec or GloVe text file. A first line of two numbers is a header.

    Raises:
        FormatError: with file and line, for a row of the wrong width, a field that is not a number,
            too few or too many rows, and what :func:`~w2vjax.formats.table.checked` refuses.
    """
    data = contents(path)
    layout = _layout(path, data, options)
    words: list[str] = []
    numbers: list[np.ndarray] = []
    wanted = min(value for value in (options.limit, layout.rows, len(data)) if value is not None)
    # a limit beyond the header's number of rows is none
    limited = options.limit is not None and options.limit <= (layout.rows or options.limit)
    matrix = np.empty((wanted, layout.dim), np.float32) if layout.rows is not None else None
    chunks, whole = _chunks(data, layout), True
    for line, chunk in chunks:
        room = wanted - len(words)
        whole = len(chunk) <= room
        names, block = _rows(path, chunk[:room], line, layout, options)
        if not whole and not limited and "trailing-bytes" not in options.allow:
            cause = f"the header promises {wanted:,} words, and this is one more"
            remedy = f"Correct the header, {or_allow('trailing-bytes')}."
            if not chunk[room].strip():
                cause, remedy = "the line is empty", "Delete it."
            refuse(path, f"line {line + room}", cause, remedy)
        if matrix is not None:
            matrix[len(words) : len(words) + len(names)] = block
        else:
            numbers.append(block)
        words += names
        if len(words) == wanted and (limited or "trailing-bytes" in options.allow):
            break
    if whole and next(chunks, None) is None:
        reading.refuse_unfinished(path, data, options)
    if matrix is not None and len(words) < wanted:
        cause = f"the file ends after {len(words):,} words, and the header promises {layout.rows:,}"
        refuse(path, f"line {layout.first_line + len(words)}", cause)
    if layout.rows and all(map(_DECIMAL.fullmatch, words)):
        cause = f"the header promises {layout.dim:,} numbers on each line, and every line has more"
        refuse(path, "line 1", cause, "Correct the header.")
    if matrix is None:
        matrix = np.concatenate(numbers)
    table, top = Table(words, matrix, nameless=nameless(words)), layout.first_line
    return checked(path, table, options, lambda row: f"line {top + row}")


def _layout(path: Path, data: Data, options: ReadOptions) -> _Layout:
    """Where the rows start and how wide they are."""
    reading.refuse_foreign(path, data[:8])
    if options.limit is None:  # what lies behind a limit is not read
        reading.refuse_unfinished(path, data, options)
    start, last = len(MARK) if data[:3] == MARK else 0, len(data)
    while ends := re.search(rb"\n\r?\n\Z", data[max(0, last - 3) : last]):
        last -= len(ends[0]) - 1
    end = _line_end(data, start)
    fields = data[start:end].rstrip(b"\r ").split(b" ")
    if not data[start:end].strip():
        refuse(path, "line 1", "it is empty")
    # Two numbers are a header, even if "5 0.3" could be the word 5 with a vector of one dimension.
    if len(fields) == 2 and all(map(NUMBER.fullmatch, fields)):
        # A row is at least "\n" and D times " 0". The last one needs no "\n".
        rows, dim = header(path, data[start:end], "line 1", len(data) - end, 1, 2)
        return _Layout(end + 1, last, 2, rows, dim)
    dim = 0
    while dim < len(fields) - 1 and NUMBER.fullmatch(fields[-1 - dim]):
        dim += 1
    if not dim:
        shown = data[start : min(end, start + 40)]
        cause = f"{shown!r} is neither a header 'words dimensions' nor a word and its numbers"
        refuse(path, "line 1", cause)
    return _Layout(start, last, 1, None, dim)


def _line_end(data: Data, start: int) -> int:
    end = data.find(b"\n", start)
    return len(data) if end < 0 else end


def _chunks(data: Data, layout: _Layout) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first line, lines without their ends), about 4 MiB at a time."""
    position, line = layout.start, layout.first_line
    while position < layout.end:
        end = min(position + _CHUNK, layout.end)
        if end < layout.end:
            cut = data.rfind(b"\n", position, end)
            end = (cut if cut >= 0 else _line_end(data, end)) + 1
        lines = data[position:end].split(b"\n")
        if not lines[-1]:
            lines.pop()
        yield line, lines
        position, line = end, line + len(lines)


def _rows(
    path: Path, lines: list[bytes], line: int, layout: _Layout, options: ReadOptions
) -> tuple[list[str], np.ndarray]:
    """Words and [n, D] numbers: all at once if every line is plain, otherwise line by line."""
    lines = [text.rstrip(b"\r ") if text[-1:] in {b"\r", b" "} else text for text in lines]
    parts = [text.split(b" ", 1) for text in lines]
    plain = all(len(part) == 2 and part[0] for part in parts)
    if plain and b"\0" not in b"".join([part[0] for part in parts]):
        block = plain_numbers([part[1] for part in parts], layout.dim)
        if block is not None:
            names = [part[0] for part in parts]
            return decode_all(path, names, lambda row: f"line {line + row}", options), block
    rows = [_row(path, text, f"line {line + n}", layout, options) for n, text in enumerate(lines)]
    return [word for word, _ in rows], np.stack([numbers for _, numbers in rows])


def _row(
    path: Path, text: bytes, place: str, layout: _Layout, options: ReadOptions
) -> tuple[str, np.ndarray]:
    fields, dim = text.split(b" "), layout.dim
    if len(fields) < dim + 1:
        cause = f"there are {len(fields) - 1} numbers after the word, and every row has {dim}"
        refuse(path, place, cause if text else "the line is empty")
    numbers = slow_numbers(path, place, fields[-dim:])
    # Without a header, the first line says how many numbers there are, and so this may be one more.
    if layout.rows is None and len(fields) > dim + 1 and NUMBER.fullmatch(fields[-dim - 1]):
        cause = f"there are more than {dim} numbers after the word, and every row has {dim}"
        refuse(path, place, cause)
    word = b" ".join(fields[:-dim])
    if word[:1] == b" " and word.strip(b" "):
        cause = f"a space stands before the word {word.strip(b' ')[:40]!r}"
        refuse(path, place, cause, "Let the line begin with the word.")
    if word[-1:] == b" " and word.strip(b" "):
        cause = f"two spaces follow the word {word[:40]!r}, and a single one separates fields"
        refuse(path, place, cause)
    if b"\0" in word:
        refuse(path, place, f"the word {word[:40]!r} holds a NUL byte")
    return decode(path, word, place, options), numbers


def write_text(path: Path, vectors: Vectors) -> None:
    """word2vec text with the shortest decimals that read back as the same float32."""
    words, matrix = writable(path, vectors, FORBIDDEN, "word2vec text")
    with atomic_file(path) as file:
        file.write(b"%d %d\n" % matrix.shape)
        step = max(1, (1 << 18) // matrix.shape[1])
        for start in range(0, len(words), step):
            block = shortest(matrix[start : start + step])
            rows = zip(words[start : start + step], block, strict=True)
            file.write(b"".join(b"%b %b\n" % (word, decimals(row)) for word, row in rows))


def _sniff(start: bytes, size: int) -> bool:
    """A line of a word and its numbers, after a header of two numbers or without one."""
    lines = start.removeprefix(MARK).split(b"\n")
    fields = lines[0].split()
    if len(fields) != 2 or len(lines) < 2:
        return len(fields) > 2 and bool(NUMBER.fullmatch(fields[-1]))
    # The start of the file may end within the last number of the second line.
    numbers = lines[1].split(b" ")[1 : None if len(lines) > 2 else -1]
    return bool(numbers) and all(NUMBER.fullmatch(number) for number in numbers if number.strip())


FORMAT = Format("word2vec or GloVe text", (".txt", ".vec"), _sniff, read_text, write_text)
