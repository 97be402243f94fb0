"""What all formats of vectors share: the entry in the table of formats, and the checks of what is
read and written.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from w2vjax.reading import ReadOptions, encoded, refuse
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import Vocab
from w2vjax.vocabulary_file import read_vocabulary


class Format(NamedTuple):
    """One way to store vectors. Each module of a format has one, and ``formats.py`` lists them."""

    about: str  # what the format is, for people
    suffixes: tuple[str, ...]
    # (the first 4,096 bytes, the size of the file) -> whether the file is of this format, if its
    # extension does not say
    sniff: Callable[[bytes, int], bool]
    read: Callable[[Path, ReadOptions], Vectors]
    write: Callable[[Path, Vectors], None]
    takes: frozenset[str] = frozenset(
        {"vocabulary"}
    )  # those of the options table and vocabulary that read uses
    describe: Callable[[Path, ReadOptions], dict[str, Any]] | None = (
        None  # None: describe_vectors of what read returns
    )


def never(start: bytes, size: int) -> bool:
    """The ``sniff`` of a format that only its extension tells."""
    return False


def describe_vectors(vectors: Vectors) -> dict[str, Any]:
    """What a file of vectors holds, in values of JSON."""
    return {"holds": "vectors", **describe_words(vectors.words, vectors.counts), "dim": vectors.dim}


def describe_words(words: Sequence[str], counts: np.ndarray | None) -> dict[str, Any]:
    """How many words and tokens there are, and the first words."""
    tokens = None if counts is None else int(counts.sum())
    return {"words": len(words), "dim": None, "first_words": list(words[:8]), "tokens": tokens}


class Table(NamedTuple):
    """What a file held, before it becomes a :class:`~w2vjax.vectors.vectors.Vectors`."""

    words: Sequence[str]
    matrix: np.ndarray  # [V, D]
    counts: np.ndarray | None = None  # [V]
    dropped: Mapping[str, int] | None = None
    min_count: int = 1


def header(
    path: Path, line: bytes, place: str, size: int, least_row: int, least_number: int
) -> tuple[int, int]:
    """V and D of a word2vec header, which is trusted only if ``size`` bytes can hold that many
    rows.

    A row takes at least ``least_row + D * least_number`` bytes.
    """
    fields = line.split()
    if len(fields) != 2 or not all(re.fullmatch(rb"[0-9]{1,18}", field) for field in fields):
        shown = line[:40].decode("utf-8", "backslashreplace") + ("..." if len(line) > 40 else "")
        refuse(
            path, place, f"the header has to be two numbers, words and dimensions, and is {shown!r}"
        )
    rows, dim = int(fields[0]), int(fields[1])
    if not 1 <= dim < 2**24:
        refuse(path, place, f"the header promises vectors of {dim:,} dimensions")
    room = size // (least_row + dim * least_number)
    if rows > room:
        cause = f"the header promises {rows:,} words x {dim:,} dimensions, and the {size:,} bytes after it"
        refuse(path, place, f"{cause} can hold {room:,} such rows")
    return rows, dim


def checked(path: Path, table: Table, options: ReadOptions, place: Callable[[int], str]) -> Vectors:
    """The table as Vectors, after the checks that all formats need: finite float32 numbers, and no
    word twice.

    ``place(row)`` says where a row is in the file. Counts come from ``options.vocabulary`` if it is
    given.
    """
    words, counts = table.words, table.counts
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity
        matrix = np.asarray(table.matrix, np.float32)
    if "non-finite" not in options.allow and (row := first_non_finite(matrix)) is not None:
        cause = f"the vector of {words[row]!r} holds NaN or infinity, or a number beyond float32"
        refuse(path, place(row), cause, "Leave the word out, or read with allow='non-finite'.")
    if len(set(words)) != len(words):
        first: dict[str, int] = {}
        keep = [row for row, word in enumerate(words) if first.setdefault(word, row) == row]
        if "duplicates" not in options.allow:
            row = next(row for row, word in enumerate(words) if first[word] != row)
            cause = (
                f"the word {words[row]!r} is in the file twice, first at {place(first[words[row]])}"
            )
            remedy = "Keep one of them, or read with allow='duplicates' to keep the first."
            refuse(path, place(row), cause, remedy)
        words, matrix = [words[row] for row in keep], matrix[keep]
        counts = None if counts is None else counts[keep]
    if options.vocabulary is not None:
        counts = _counts_of(words, Path(options.vocabulary), options)
    vectors = Vectors(Vocab(words, counts, table.min_count, table.dropped), matrix)
    return vectors[: options.limit] if options.limit and len(words) > options.limit else vectors


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
    """The first row with NaN or infinity. The search goes in pieces, so that a memory map is not
    copied whole.
    """
    step = max(1, (1 << 22) // max(1, matrix.shape[1]))
    for start in range(0, len(matrix), step):
        finite = np.isfinite(matrix[start : start + step])
        if not finite.all():
            return start + int(np.argmin(finite.all(axis=1)))
    return None


def writable(
    path: Path, vectors: Vectors, forbidden: str, form: str
) -> tuple[list[bytes], np.ndarray]:
    """The words as UTF-8 and the matrix as float32. Refuses what ``form`` cannot carry, and names
    the word.
    """
    matrix = np.asarray(vectors.matrix, np.float32)
    if vectors.dim < 1:
        refuse(path, "", f"{form} cannot carry vectors of no dimensions", "Write safetensors.")
    row = first_non_finite(matrix)
    if row is not None:
        cause = f"the vector of {vectors.words[row]!r} (row {row}) holds NaN or infinity and is not written"
        refuse(path, "", cause, "Leave the word out.")
    return encoded(path, vectors.words, forbidden, form), matrix
