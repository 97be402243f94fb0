"""How good are vectors? Their similarities against what people say of word pairs.

A score without its coverage says little: leaving hard words out makes any vectors look good. So
every result carries how many pairs there were and how many could be answered, and a figure over all
of them besides the usual one over those answered.

Words are matched without regard to case, as in gensim: both sides are upper-cased, and where
several words of the vocabulary become the same, the first one (the most frequent) stands for them
all. On a sound file the figures are gensim's; a line that gensim would skip without a word is
refused.
"""

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from w2vjax.errors import FormatError
from w2vjax.evaluation.readers import ScoredPair, read_word_pairs
from w2vjax.vectors.nearest import searched_words, unit_rows
from w2vjax.vectors.vectors import Vectors


class PairScores(NamedTuple):
    """Agreement with people's scores of word pairs; NaN where fewer than two pairs differ on either
    side.
    """

    spearman: float  # over the pairs answered
    pearson: float
    # over all pairs, similarity 0 for those not answered (gensim's dummy4unknown=True)
    spearman_all: float
    pearson_all: float
    answered: int
    total: int
    unknown: tuple[str, ...]  # the words not found, in order of appearance

    @property
    def coverage(self) -> float:
        """answered / total."""
        return self.answered / self.total if self.total else 0.0


def evaluate_word_pairs(
    vectors: Vectors,
    pairs: str | os.PathLike[str] | Iterable[ScoredPair],
    restrict_vocab: int | None = 300_000,
    *,
    case_insensitive: bool = True,
) -> PairScores:
    """Correlation of cosine similarities with people's scores.

    Args:
        vectors: what to evaluate.
        pairs: a file (:func:`read_word_pairs`) or (word, word, score) triples.
        restrict_vocab: use the first so many words of the vocabulary, None for all.
        case_insensitive: match upper-cased words.

    Returns:
        Spearman's rho (average ranks for ties) and Pearson's r, with coverage. A zero vector has
        similarity 0.

    Raises:
        FileError: the file cannot be read.
        FormatError: the file does not hold word pairs, or a score given is not finite.
        SettingError: ``restrict_vocab`` is no integer of 1 or more, or a vector asked for is not
            finite.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> pairs = [("Cat", "dog", 9), ("cat", "tea", 4), ("dog", "tea", 1), ("cup", "tea", 7)]
    >>> scores = w2v.evaluate_word_pairs(vectors, pairs)
    >>> round(scores.spearman, 6), scores.coverage, scores.unknown
    (1.0, 0.75, ('cup',))
    """
    triples = read_word_pairs(pairs) if isinstance(pairs, str | os.PathLike) else list(pairs)
    gold = np.array([score for _, _, score in triples], np.float64)
    if not np.isfinite(gold).all():
        raise FormatError(
            f"Pair {np.flatnonzero(~np.isfinite(gold))[0]} has no finite score. Leave it out."
        )
    lookup, fold = first_rows(vectors, restrict_vocab, case_insensitive)
    ids = np.array(
        [[lookup.get(fold(a), -1), lookup.get(fold(b), -1)] for a, b, _ in triples], np.int64
    ).reshape(-1, 2)
    known = (ids >= 0).all(axis=1)
    matrix = np.asarray(vectors.matrix)
    first, second = (unit_rows(np.asarray(matrix[ids[known, side]], np.float64)) for side in (0, 1))
    similarities = np.zeros(len(triples))
    # Rounded to float32, the similarity of a word to itself is exactly 1 for every word, and ties
    # are ties.
    similarities[known] = np.einsum("nd,nd->n", first, second).astype(np.float32)
    unknown = dict.fromkeys(
        word for a, b, _ in triples for word in (a, b) if fold(word) not in lookup
    )
    return PairScores(
        spearman(gold[known], similarities[known]),
        pearson(gold[known], similarities[known]),
        spearman(gold, similarities),
        pearson(gold, similarities),
        int(known.sum()),
        len(triples),
        tuple(unknown),
    )


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r of [n] and [n]; NaN where it is undefined: one side constant, or fewer than two
    values.

    >>> import numpy as np
    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0])), 6)
    0.866025
    """
    if len(x) < 2 or np.all(x == x[0]) or np.all(y == y[0]):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)), -1.0, 1.0))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho: Pearson's r of the ranks, equal values sharing the average of their ranks.

    >>> import numpy as np
    >>> round(spearman(np.array([1.0, 2.0, 30.0]), np.array([-5.0, 0.0, 0.1])), 6)
    1.0
    """
    return pearson(average_ranks(x), average_ranks(y))


def average_ranks(values: np.ndarray) -> np.ndarray:
    """[n] the rank of each value from 1; equal values share the average of theirs.

    >>> import numpy as np
    >>> average_ranks(np.array([0.5, 0.1, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], np.float64)


def first_rows(
    vectors: Vectors, restrict_vocab: int | None, case_insensitive: bool
) -> tuple[dict[str, int], Callable[[str], str]]:
    """From a folded word to the first row that has it, and the folding."""
    fold: Callable[[str], str] = str.upper if case_insensitive else str
    words = vectors.words[: searched_words(vectors, restrict_vocab)]
    return {fold(word): row for row, word in reversed(list(enumerate(words)))}, fold
