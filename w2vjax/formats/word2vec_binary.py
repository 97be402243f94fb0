"""word2vec binary: a header, then for each word its bytes, a space, and D little-endian float32.

    V D\\n
    word <4 * D bytes>\\n

The C tool ends a record with a newline, and gensim does not. Both are read; the newline is written.
"""

from pathlib import Path

import numpy as np

from w2vjax import reading
from w2vjax.files import atomic_file
from w2vjax.formats.table import Format, Table, checked, header, nameless, writable
from w2vjax.reading import MARK, Data, ReadOptions, contents, decode_all, or_allow, refuse
from w2vjax.vectors.vectors import Vectors

FORBIDDEN = " \n\0"
_HEADER = 64  # two numbers of 18 digits need no more
_BLOCK = 1 << 25


def read_binary(path: Path, options: ReadOptions) -> Vectors:
    """Vectors of a word2vec binary file: a walk over the words, then one gather of the rows.

    Raises:
        FormatError: with file, byte and row, for a header that the file cannot hold, a cut record,
            bytes after the last row, and what :func:`~w2vjax.formats.table.checked` refuses.
    """
    data = contents(path)
    reading.refuse_foreign(path, data[:8])
    end = data.find(b"\n", 0, _HEADER)
    if end < 0:
        cause = f"there is no header line 'words dimensions' in its first {_HEADER} bytes"
        refuse(path, "byte 0", cause)
    rows, dim = header(path, data[:end], "byte 0", len(data) - end - 1, 1, 4)
    wanted = rows if options.limit is None else min(rows, options.limit)
    words, starts, stop = _walk(path, data, end + 1, wanted, dim)
    if wanted == rows and data[stop : stop + 1] == b"\n":
        stop += 1
    if wanted == rows and stop != len(data) and "trailing-bytes" not in options.allow:
        cause = f"{len(data) - stop:,} bytes follow the last of {rows:,} words"
        remedy = f"Correct the header, {or_allow('trailing-bytes')}."
        refuse(path, f"byte {stop:,}", cause, remedy)

    def place(row: int) -> str:
        return f"byte {starts[row] - len(words[row]) - 1:,} (row {row})"

    texts = decode_all(path, words, place, options)
    table = Table(texts, _gather(data, starts, dim), nameless=nameless(texts))
    return checked(path, table, options, place)


def _walk(
    path: Path, data: Data, position: int, rows: int, dim: int
) -> tuple[list[bytes], list[int], int]:
    """The words, the byte at which each vector starts, and the byte after the last vector."""
    words, starts, width = [], [], 4 * dim
    find, last = data.find, len(data) - width
    for row in range(rows):
        start = find(b" ", position) + 1
        if not 0 < start <= last:
            position += data[position : position + 1] == b"\n"
            what = f"its {width:,} bytes of numbers" if start else "its word"
            cause = f"the file ends at byte {len(data):,}, before {what} does"
            promise = f"the header promises {rows:,} rows"
            refuse(path, f"byte {position:,} (row {row})", f"{cause}; {promise}")
        words.append(data[position : start - 1])
        starts.append(start)
        position = start + width
    words = [word[1:] if word[:1] == b"\n" else word for word in words]
    joined = b" ".join(words)
    if not all(words) or b"\n" in joined or b"\0" in joined:
        _refuse_words(path, data, words, starts)
    return words, starts, position


def _refuse_words(path: Path, data: Data, words: list[bytes], starts: list[int]) -> None:
    """Refuse a word with a newline or a NUL, and an empty word that may be a space."""
    for row, (word, start) in enumerate(zip(words, starts, strict=True)):
        place = f"byte {start - len(word) - 1:,} (row {row})"
        if b"\n" in word or b"\0" in word:
            remedy = "The dimensions in the header may be wrong, or the file damaged."
            refuse(path, place, f"the word {word[:40]!r} holds a newline or a NUL", remedy)
        if not word and data[start : start + 1] == b" ":
            cause = "the word is empty or a space, and the bytes do not tell which"
            refuse(path, place, cause, "Write the vectors anew, without it or as text.")


def _gather(data: Data, starts: list[int], dim: int) -> np.ndarray:
    """[n, D] float32 from rows at any byte: windows of 4 * D bytes, indexed by their starts."""
    matrix = np.empty((len(starts), dim), "<f4")
    if not starts:
        return matrix.astype(np.float32)
    window = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), 4 * dim)
    into, offsets = matrix.view(np.uint8), np.array(starts)
    step = max(1, _BLOCK // (4 * dim))
    for start in range(0, len(starts), step):
        reading.release(data)
        into[start : start + step] = window[offsets[start : start + step]]
    reading.release(data)
    return matrix.astype(np.float32, copy=False)


def write_binary(path: Path, vectors: Vectors) -> None:
    """word2vec binary as the C tool writes it."""
    words, matrix = writable(path, vectors, FORBIDDEN, "word2vec binary")
    rows = matrix.astype("<f4", copy=False)
    with atomic_file(path) as file:
        file.write(b"%d %d\n" % rows.shape)
        for word, row in zip(words, rows, strict=True):
            file.write(b"%b %b\n" % (word, row.tobytes()))


def _sniff(start: bytes, size: int) -> bool:
    """A first line of two fields. Text is tried before."""
    lines = start.removeprefix(MARK).split(b"\n")
    return len(lines) > 1 and len(lines[0].split()) == 2


FORMAT = Format("word2vec binary", (".bin",), _sniff, read_binary, write_binary)
