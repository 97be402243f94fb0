"""word2vec and GloVe text: a line per word, the word, then D numbers, all separated by single spaces.

    V D                     word2vec only; GloVe starts with the first word
    the 0.418 0.24968 ...

The last D fields of a line are the vector and what stands before them is the word, so a GloVe word may hold spaces.
Lines end in ``\\n`` or ``\\r\\n``; the C tool's space at the end of a line and a byte order mark are accepted.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from w2vjax.files import atomic_file
from w2vjax.vectors.reading import (
    Reading,
    Table,
    checked,
    contents,
    decode,
    header,
    refuse,
    refuse_pickle,
    writable,
)
from w2vjax.vectors.vectors import Vectors

FORBIDDEN = " \t\n\r\v\f\0"  # the C tools split on all white space
_CHUNK = 1 << 22
_NUMBER = re.compile(
    rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE
)
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_LETTERS = b"0123456789+-.eE "


class _Layout(NamedTuple):
    start: int  # byte of the first row
    first_line: int  # its line number
    rows: int | None  # V, None without a header
    dim: int


def read_text(path: Path, options: Reading) -> Vectors:
    """Vectors of a word2vec or GloVe text file; the header, if there is one, is recognised by its two integers.

    Raises:
        FormatError: with file and line, for a row of the wrong width, a number that is none, too few or too many rows,
            and whatever :func:`~w2vjax.vectors.reading.checked` refuses.
    """
    data = contents(path)
    layout = _layout(path, data)
    words: list[str] = []
    numbers: list[np.ndarray] = []
    wanted = min(value for value in (options.limit, layout.rows, len(data)) if value is not None)
    matrix = np.empty((wanted, layout.dim), np.float32) if layout.rows is not None else None
    for line, chunk in _chunks(data, layout):
        if len(words) + len(chunk) > wanted:
            if options.limit is None and "trailing-bytes" not in options.allow:
                extra = line + wanted - len(words)
                refuse(path, f"line {extra}", f"the header promises {wanted:,} words, and this is one more",
                       "Correct the header, or read with allow='trailing-bytes'.")  # fmt: skip
            del chunk[wanted - len(words) :]
        names, block = _rows(path, chunk, line, layout.dim, options)
        if matrix is not None:
            matrix[len(words) : len(words) + len(names)] = block
        else:
            numbers.append(block)
        words += names
        if len(words) == wanted and (options.limit or "trailing-bytes" in options.allow):
            break
    if matrix is not None and len(words) < wanted:
        refuse(path, f"line {layout.first_line + len(words)}",
               f"the file ends after {len(words):,} of the {layout.rows:,} words that its header promises")  # fmt: skip
    if matrix is None:
        matrix = np.concatenate(numbers)
    from_top = layout.first_line
    return checked(path, Table(words, matrix), options, lambda row: f"line {from_top + row}")


def _layout(path: Path, data: Any) -> _Layout:
    """Where the rows start and how wide they are."""
    refuse_pickle(path, data[:8])
    start = 3 if data[:3] == b"\xef\xbb\xbf" else 0
    end = _line_end(data, start)
    fields = data[start:end].rstrip(b"\r ").split(b" ")
    if not data[start:end].strip():
        refuse(path, "line 1", "it is empty")
    if len(fields) == 2 and all(map(_INTEGER.fullmatch, fields)):
        # A row is at least "\n", a letter and D times " 0"; the last needs no "\n".
        rows, dim = header(path, data[start:end], "line 1", len(data) - end, 2, 2)
        return _Layout(end + 1, 2, rows, dim)
    dim = 0
    while dim < len(fields) - 1 and _NUMBER.fullmatch(fields[-1 - dim]):
        dim += 1
    if not dim:
        shown = data[start : min(end, start + 40)]
        refuse(path, "line 1", f"{shown!r} is neither a header 'words dimensions' nor a word and its numbers")
    return _Layout(start, 1, None, dim)


def _line_end(data: Any, start: int) -> int:
    end = data.find(b"\n", start)
    return len(data) if end < 0 else end


def _chunks(data: Any, layout: _Layout) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first line, lines without their ends), about 4 MiB at a time."""
    position, line = layout.start, layout.first_line
    while position < len(data):
        end = min(position + _CHUNK, len(data))
        if end < len(data):
            cut = data.rfind(b"\n", position, end)
            end = (cut if cut >= 0 else _line_end(data, end)) + 1
        lines = data[position:end].split(b"\n")
        if not lines[-1]:
            lines.pop()
        yield line, lines
        position, line = end, line + len(lines)


def _rows(
    path: Path, lines: list[bytes], line: int, dim: int, options: Reading
) -> tuple[list[str], np.ndarray]:
    """Words and [n, D] numbers. All at once where every line is plain; otherwise one by one, which finds the place."""
    lines = [text.rstrip(b"\r ") if text[-1:] in {b"\r", b" "} else text for text in lines]
    parts = [text.split(b" ", 1) for text in lines]
    if all(len(part) == 2 and part[0] and part[1].count(b" ") == dim - 1 for part in parts):
        joined = b" ".join([part[1] for part in parts])
        clean = b"  " not in joined and not joined.translate(None, _LETTERS)
        if clean and b"\0" not in b" ".join([part[0] for part in parts]):
            with warnings.catch_warnings():  # how NumPy says that it stopped early; then the sizes differ
                warnings.simplefilter("ignore", DeprecationWarning)
                numbers = np.fromstring(joined, np.float64, sep=" ")
            if numbers.size == len(parts) * dim:
                words = [
                    decode(path, part[0], f"line {line + row}", options) for row, part in enumerate(parts)
                ]
                return words, _to_float32(numbers).reshape(len(parts), dim)
    rows = [_row(path, text, f"line {line + row}", dim, options) for row, text in enumerate(lines)]
    return [word for word, _ in rows], np.stack([numbers for _, numbers in rows])


def _row(path: Path, text: bytes, place: str, dim: int, options: Reading) -> tuple[str, np.ndarray]:
    fields = text.split(b" ")
    if len(fields) < dim + 1 or not fields[0]:
        numbers = max(0, len(fields) - 1)
        cause = f"there are {numbers} numbers after the word, and every row has {dim}"
        refuse(path, place, cause if fields[0] else "the line does not start with a word")
    for field in fields[-dim:]:
        if not _NUMBER.fullmatch(field):
            refuse(path, place, f"{field[:40]!r} is not a number")
    if len(fields) > dim + 1 and _NUMBER.fullmatch(fields[-dim - 1]):
        refuse(path, place, f"there are more than {dim} numbers after the word, and every row has {dim}")
    word = b" ".join(fields[:-dim])
    if b"\0" in word:
        refuse(path, place, f"the word {word[:40]!r} holds a NUL byte")
    return decode(path, word, place, options), _to_float32(
        np.array([float(field) for field in fields[-dim:]])
    )


def _to_float32(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):  # 1e300 becomes infinity, which is refused by name later
        return numbers.astype(np.float32)


def write_text(path: Path, vectors: Vectors) -> None:
    """word2vec text with the shortest decimals that read back as the same float32."""
    words, matrix = writable(path, vectors, FORBIDDEN, "word2vec text")
    with atomic_file(path) as file:
        file.write(b"%d %d\n" % matrix.shape)
        step = max(1, (1 << 18) // matrix.shape[1])
        for start in range(0, len(words), step):
            block = shortest(matrix[start : start + step])
            rows = zip(words[start : start + step], block, strict=True)
            file.write(b"".join(b"%b %b\n" % (word, numbers(row)) for word, row in rows))


def numbers(row: np.ndarray, separator: str = " ") -> bytes:
    """[D] float64 -> its decimals. The repr of a list is one call into C."""
    return repr(row.tolist())[1:-1].replace(", ", separator).encode()


def shortest(matrix: np.ndarray) -> np.ndarray:
    """The float64 nearest to the shortest decimal of each float32, so that its ``repr`` is that decimal.

    Rounds to 6, 7, 8 and 9 significant digits, until the float32 comes back; 9 always do for a float32.

    >>> shortest(np.array([0.1, 1 / 3], np.float32)).tolist()
    [0.1, 0.33333334]
    """
    wide = matrix.astype(np.float64)
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log10(np.abs(wide)))
    result, open_ = np.zeros_like(wide), wide != 0
    result[~open_] = wide[~open_]  # keeps -0.0
    # Up to 10**22 a power of ten is exact in float64, so that mantissa / power is the float64 nearest to the decimal.
    plain = open_ & (exponent > -14) & (exponent < 5)
    for digits in (6, 7, 8, 9):
        left = np.flatnonzero(plain & open_)
        if not left.size:
            break
        power = 10.0 ** (digits - 1 - exponent.flat[left])
        candidate = np.rint(wide.flat[left] * power) / power
        fits = candidate.astype(np.float32) == matrix.flat[left]
        result.flat[left[fits]] = candidate[fits]
        open_.flat[left[fits]] = False
    for index in np.flatnonzero(open_):  # very small and very large numbers
        result.flat[index] = float(np.format_float_scientific(matrix.flat[index], unique=True))
    return result
