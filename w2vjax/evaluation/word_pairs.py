"""How good are vectors? Their similarities are compared with people's scores of word pairs.

A score without its coverage says little, because any vectors look good if hard words are left out.
So a result has the number of pairs, the number of pairs answered, and each figure twice: over the
pairs answered, as is usual, and over all pairs.

Words are matched without regard to case, as in gensim: both sides are upper-cased. If several words
of the vocabulary become the same, the first one, the most frequent, counts. On a sound file the
figures are gensim's. gensim skips a damaged line; here it is refused.
"""

import math
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from w2vjax.errors import FormatError, SettingError, shown
from w2vjax.evaluation.readers import ScoredPair, read_word_pairs
from w2vjax.files import AnyPath
from w2vjax.real import true_or_false
from w2vjax.vectors.nearest import searched_words, unit_rows
from w2vjax.vectors.vectors import Vectors, require_vectors


class PairScores(NamedTuple):
    """Agreement with people's scores of word pairs.

    Attributes:
        spearman: Spearman's rho over the pairs answered; NaN if one side is constant.
        pearson: Pearson's r over the pairs answered.
        spearman_all: Spearman's rho over all pairs, with similarity 0 for a pair that was not
            answered (gensim's ``dummy4unknown=True``).
        pearson_all: Pearson's r over all pairs.
        answered: the number of pairs with both words in the vocabulary.
        total: the number of pairs.
        unknown: the words that were not found, in order of appearance.
    """

    spearman: float
    pearson: float
    spearman_all: float
    pearson_all: float
    answered: int
    total: int
    unknown: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """answered / total."""
        return self.answered / self.total if self.total else 0.0


def evaluate_word_pairs(
    vectors: Vectors,
    pairs: AnyPath | Iterable[ScoredPair],
    restrict_vocab: int | None = 300_000,
    *,
    case_insensitive: bool = True,
) -> PairScores:
    """Correlation of cosine similarities with people's scores.

    Args:
        vectors: what to evaluate.
        pairs: a file (:func:`read_word_pairs`) or (word, word, score) triples.
        restrict_vocab: use only the first so many words of the vocabulary; None for all.
        case_insensitive: match upper-cased words.

    Returns:
        Spearman's rho (average ranks for ties) and Pearson's r, with coverage. A zero vector has
        similarity 0.

    Raises:
        FileError: the file cannot be read.
        FormatError: the file does not hold word pairs, an item is no triple, or a score is not
            finite.
        SettingError: ``pairs`` is neither a file nor a list, ``restrict_vocab`` is not a whole
            number of 1 or more, a vector is not finite, or ``case_insensitive`` is not
            True or False.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> pairs = [("Cat", "dog", 9), ("cat", "tea", 4), ("dog", "tea", 1), ("cup", "tea", 7)]
    >>> scores = w2v.evaluate_word_pairs(vectors, pairs)
    >>> round(scores.spearman, 6), scores.coverage, scores.unknown
    (1.0, 0.75, ('cup',))
    """
    require_vectors(vectors)
    file = pairs if isinstance(pairs, str | os.PathLike) else None
    triples = items("pairs", pairs) if file is None else read_word_pairs(file)
    for place, triple in enumerate(triples):
        if not has_words(triple, 2) or len(triple) != 3 or not is_finite(triple[2]):
            cause = f"Pair {place} is {shown(triple)}, not two words and a finite score"
            raise FormatError(f"{cause}. Give (word, word, score).")
    gold = np.array([score for _, _, score in triples], np.float64)
    lookup, fold = first_rows(vectors, restrict_vocab, case_insensitive)
    found = [[lookup.get(fold(word), -1) for word in triple[:2]] for triple in triples]
    ids = np.array(found, np.int64).reshape(-1, 2)
    known = (ids >= 0).all(axis=1)
    matrix = np.asarray(vectors.matrix)
    first, second = (unit_rows(np.asarray(matrix[ids[known, side]], np.float64)) for side in (0, 1))
    similarities = np.zeros(len(triples))
    # In float32 the similarity of every word to itself is exactly 1, so equal values are equal.
    similarities[known] = np.einsum("nd,nd->n", first, second).astype(np.float32)
    words = (word for triple in triples for word in triple[:2])
    unknown = dict.fromkeys(word for word in words if fold(word) not in lookup)
    of_answered = gold[known], similarities[known]
    scores = spearman(*of_answered), pearson(*of_answered)
    scores_all = spearman(gold, similarities), pearson(gold, similarities)
    return PairScores(*scores, *scores_all, int(known.sum()), len(triples), tuple(unknown))


def items(name: str, given: object) -> list[Any]:
    """The items of an evaluation set. SettingError if it has none, as None and numbers."""
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        raise SettingError(f"{name}={shown(given)} cannot work. Pass a file or a list of items.")
    return list(given)


def has_words(given: object, n: int) -> bool:
    """Whether something is a sequence, not a string, whose first ``n`` items are strings."""
    if isinstance(given, str) or not hasattr(given, "__getitem__") or not hasattr(given, "__len__"):
        return False
    with suppress(KeyError, IndexError, TypeError):  # a dict, or a row of pandas
        return len(given) >= n and all(isinstance(given[place], str) for place in range(n))
    return False


def is_finite(score: object) -> bool:
    """Whether something is a number that is finite in float64."""
    try:
        return isinstance(score, int | float | np.integer | np.floating) and math.isfinite(score)
    except OverflowError:  # an int beyond float64
        return False


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r of x [n] and y [n]; NaN if one side is constant or n is less than 2.

    >>> import numpy as np
    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0])), 6)
    0.866025
    """
    if len(x) < 2 or np.all(x == x[0]) or np.all(y == y[0]):
        return float("nan")
    x, y = (each / np.abs(each).max() for each in (x, y))  # squares of 1e200 are no float64
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)), -1.0, 1.0))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho of x [n] and y [n]: Pearson's r of :func:`average_ranks`.

    >>> import numpy as np
    >>> round(spearman(np.array([1.0, 2.0, 30.0]), np.array([-5.0, 0.0, 0.1])), 6)
    1.0
    """
    return pearson(average_ranks(x), average_ranks(y))


def average_ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each of n values, from 1; equal values get the average of their ranks.

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
    true_or_false("case_insensitive", case_insensitive)
    fold: Callable[[str], str] = str.upper if case_insensitive else str
    words = vectors.words[: searched_words(vectors, restrict_vocab)]
    return {fold(word): row for row, word in reversed(list(enumerate(words)))}, fold
