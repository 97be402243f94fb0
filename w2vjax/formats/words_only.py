"""word2vec's vocabulary file as a format to write vectors to: words and counts, no numbers."""

from pathlib import Path
from typing import Any

from w2vjax.formats.table import Format, describe_words, never
from w2vjax.reading import ReadOptions, refuse
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocabulary_file import read_vocabulary, write_vocabulary


def _read(path: Path, options: ReadOptions) -> Vectors:
    remedy = "Read it with w2vjax.formats.read_vocabulary."
    refuse(path, "", "a vocabulary file holds no vectors", remedy)


def _write(path: Path, vectors: Vectors) -> None:
    write_vocabulary(path, vectors.words, vectors.counts)


def _describe(path: Path, options: ReadOptions) -> dict[str, Any]:
    return {"holds": "vocabulary", **describe_words(*read_vocabulary(path, options))}


_ABOUT = "word2vec vocabulary file (words and counts)"
FORMAT = Format(_ABOUT, (".vocab",), never, _read, _write, frozenset(), _describe)
