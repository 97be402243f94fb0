"""What all formats of vectors share: the form of a format, and the checks of a file's content."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from w2vjax.compressed import is_compressed
from w2vjax.reading import ReadOptions, encoded, or_allow, refuse
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import Vocab
from w2vjax.vocabulary_file import read_vocabulary


class Format(NamedTuple):
    """One way to store vectors. Each module of a format has one, and ``formats.py`` lists them.

    Attributes:
        about: what the format is, for people.
        suffixes: the extensions that name it.
        sniff: (the first 4,096 bytes, the size of the file) -> whether the file has this format,
            for a file whose extension does not say.
        read: (path, options) -> the vectors.
        write: (path, vectors) writes a file.
        takes: which of the options ``table`` and ``vocabulary`` the reader uses.
        describe: (path, options) -> what a file holds; None describes what ``read`` returns.
        beside: (path) -> the second file, which holds the words; None for a format of one file.
    """

    about: str
    suffixes: tuple[str, ...]
    sniff: Callable[[bytes, int], bool]
    read: Callable[[Path, ReadOptions], Vectors]
    write: Callable[[Path, Vectors], None]
    takes: frozenset[str] = frozenset({"vocabulary"})
    describe: Callable[[Path, ReadOptions], dict[str, Any]] | None = None
    beside: Callable[[Path], Path] | None = None


def never(start: bytes, size: int) -> bool:
    """The ``sniff`` of a format that only its extension tells."""
    return False


def describe_vectors(vectors: Vectors) -> dict[str, Any]:
    """What a file of vectors holds, in values of JSON."""
    return {"holds": "vectors", **describe_words(vectors.words, vectors.counts), "dim": vectors.dim}


def describe_words(words: Sequence[str], counts: np.ndarray | None) -> dict[str, Any]:
    """How many words and tokens there are, and the first words."""
    tokens = None if counts is None else sum(counts.tolist())
    return {"words": len(words), "dim": None, "first_words": list(words[:8]), "tokens": tokens}


class Table(NamedTuple):
    """What a file holds, before the checks make it a :class:`~w2vjax.vectors.vectors.Vectors`.

    Attributes:
        words: V words.
        matrix: [V, D].
        counts: [V], or None.
        dropped: the counts of words that training left out.
        min_count: the threshold that left them out.
        nameless: the rows that have no word.
    """

    words: Sequence[str]
    matrix: np.ndarray
    counts: np.ndarray | None = None
    dropped: Mapping[str, int] | None = None
    min_count: int = 1
    nameless: Sequence[int] = ()


def header(
    path: Path, line: bytes, place: str, size: int, least_row: int, least_number: int
) -> tuple[int, int]:
    """V and D of a word2vec header, if the ``size`` bytes after it can hold that many rows.

    A row takes at least ``least_row + D * least_number`` bytes.
    """
    fields = line.split()
    if len(fields) != 2 or not all(re.fullmatch(rb"[0-9]{1,18}", field) for field in fields):
        shown = line[:40].decode("utf-8", "backslashreplace") + ("..." if len(line) > 40 else "")
        cause = f"the header has to be two numbers, words and dimensions, and is {shown!r}"
        refuse(path, place, cause)
    rows, dim = int(fields[0]), int(fields[1])
    if not 1 <= dim < 2**24:
        refuse(path, place, f"the header promises vectors of {dim:,} dimensions")
    room = size // (least_row + dim * least_number)
    if rows > room:
        cause = f"the header promises {rows:,} words x {dim:,} dimensions, and the {size:,} bytes"
        refuse(path, place, f"{cause} after it can hold {room:,} such rows")
    return rows, dim


def checked(path: Path, table: Table, options: ReadOptions, place: Callable[[int], str]) -> Vectors:
    """The table as Vectors, after the checks of all formats.

    The numbers have to be finite in float32, and each row has a word of its own. ``place(row)``
    says where a row is in the file. Counts come from ``options.vocabulary`` if it is given.
    """
    words, counts = table.words, table.counts
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity
        matrix = np.asarray(table.matrix, np.float32)
    rows = _kept(path, table, options, place)
    if rows is not None:
        words, matrix = [words[row] for row in rows], matrix[rows]
        counts = None if counts is None else counts[rows]
    if "non-finite" not in options.allow and (row := first_non_finite(matrix)) is not None:
        cause = f"the vector of {words[row]!r} holds NaN or infinity, or a number beyond float32"
        remedy = "Leave the word out, or, in Python, read with allow='non-finite'."
        refuse(path, place(row if rows is None else rows[row]), cause, remedy)
    if options.vocabulary is not None:
        counts = _counts_of(words, Path(options.vocabulary), options)
    vectors = Vectors(Vocab(words, counts, table.min_count, table.dropped), matrix)
    return vectors[: options.limit] if options.limit and len(words) > options.limit else vectors


def nameless(words: Sequence[str]) -> list[int]:
    """The rows whose word is empty or only spaces, as gensim writes the tokens "" and " "."""
    if all(words) and not any(map(str.isspace, words)):  # five times as fast
        return []
    return [row for row, word in enumerate(words) if not word.strip(" ")]


def _kept(
    path: Path, table: Table, options: ReadOptions, place: Callable[[int], str]
) -> list[int] | None:
    """The rows to keep: those with a word, and the first of a word's rows; None for all."""
    words = table.words
    if not table.nameless and len(set(words)) == len(words):
        return None
    if table.nameless and "nameless-rows" not in options.allow:
        remedy = f"Delete it, {or_allow('nameless-rows')} to leave such rows out."
        refuse(path, place(table.nameless[0]), "there is no word before the numbers", remedy)
    first: dict[str, int] = {}
    for row in sorted(set(range(len(words))) - set(table.nameless)):
        earlier = first.setdefault(words[row], row)
        if earlier != row and "duplicates" not in options.allow:
            cause = f"the word {words[row]!r} is in the file twice, first at {place(earlier)}"
            remedy = f"Keep one of them, {or_allow('duplicates')} to keep the first."
            refuse(path, place(row), cause, remedy)
    return list(first.values())


def _counts_of(words: Sequence[str], path: Path, options: ReadOptions) -> np.ndarray:
    """[V] the counts of words in a vocabulary file, which may hold more words."""
    known, counts = read_vocabulary(path, options)
    if counts is None:
        refuse(path, "line 1", "it holds no counts")
    ids = {word: position for position, word in enumerate(known)}
    missing = next((word for word in words if word not in ids), None)
    if missing is not None:
        remedy = "Give the vocabulary that was written with the vectors."
        refuse(path, "", f"it has no count for {missing!r}", remedy)
    return counts[[ids[word] for word in words]]


def first_non_finite(matrix: np.ndarray) -> int | None:
    """The first row with NaN or infinity. It reads pieces: no memory map is copied whole."""
    step = max(1, (1 << 22) // max(1, matrix.shape[1]))
    for start in range(0, len(matrix), step):
        finite = np.isfinite(matrix[start : start + step])
        if not finite.all():
            return start + int(np.argmin(finite.all(axis=1)))
    return None


def beside(path: Path, name_of: Callable[[Path], Path]) -> Path:
    """The second file of a format of two, to read. If the first is compressed, it may be too."""
    if not is_compressed(path):
        return name_of(path)
    plain = name_of(path.with_suffix(""))
    packed = plain.with_name(plain.name + path.suffix)
    return packed if os.path.exists(packed) else plain


def writable(
    path: Path, vectors: Vectors, forbidden: str, form: str
) -> tuple[list[bytes], np.ndarray]:
    """The words as UTF-8 and the matrix as float32. Refuses what ``form`` cannot hold, by name."""
    matrix = np.asarray(vectors.matrix, np.float32)
    if vectors.dim < 1:
        refuse(path, "", f"{form} cannot carry vectors of no dimensions", "Write safetensors.")
    row = first_non_finite(matrix)
    if row is not None:
        cause = f"the vector of {vectors.words[row]!r} (row {row}) holds NaN or infinity"
        refuse(path, "", f"{cause} and is not written", "Leave the word out.")
    return encoded(path, vectors.words, forbidden, form), matrix
