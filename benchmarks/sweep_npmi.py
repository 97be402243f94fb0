"""How often near words share an article: a measure for texts too small for evaluation sets."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

NEIGHBOURS = 10
LEAST_COUNT = 20  # of a word whose neighbours count
FREQUENT = 100  # words that are reported apart as well


def npmi(occurs: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Normalised pointwise mutual information of pairs of words (Bouma 2009), from -1 to 1.

        NPMI(x, y) = log(p(x, y) / (p(x) p(y))) / -log p(x, y)

    p(x) is the share of articles that x occurs in, p(x, y) the share that both occur in. A pair
    that never shares an article has -1, the limit of p(x, y) to 0. A pair that shares all of them
    has 1, the limit of p(x) = p(y) = p(x, y) to 1.

    occurs [A, V] bool: whether a word occurs in an article; left, right [N]: ids. Returns [N].

    >>> occurs = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]], bool)
    >>> npmi(occurs, np.array([0, 0]), np.array([1, 2])).tolist()
    [1.0, -1.0]
    """
    share = occurs.mean(0)
    both = (occurs[:, left] & occurs[:, right]).mean(0)
    values = np.full(both.shape, -1.0)
    values[both == 1] = 1.0
    some = (both > 0) & (both < 1)
    information = np.log(both[some] / (share[left] * share[right])[some])
    values[some] = information / -np.log(both[some])
    return values


def nearest(matrix: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """For each of ``ids`` [N], its ``count`` nearest other rows of ``matrix`` [V, D] by cosine.

    >>> matrix = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    >>> nearest(matrix, np.array([0, 1]), 1).tolist()
    [[2], [2]]
    """
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-30)
    cosines = unit[ids] @ unit.T
    cosines[np.arange(len(ids)), ids] = -np.inf
    return np.argsort(-cosines, axis=1, kind="stable")[:, :count]


def coherence(
    words: Sequence[str], matrix: np.ndarray, articles: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Mean NPMI of words with their ten nearest: words seen 20 times, and the 100 most frequent.

    Neighbours are words of the whole vocabulary. ``npmi_words`` is how many words the first mean is
    of.
    """
    counts = Counter(word for article in articles for word in article)
    place = {word: at for at, word in enumerate(words)}
    occurs = np.zeros((len(articles), len(words)), bool)
    for row, article in enumerate(articles):
        occurs[row, [place[word] for word in set(article) if word in place]] = True
    often = sorted(
        (word for word in words if counts[word] >= LEAST_COUNT),
        key=lambda word: (-counts[word], word),
    )
    ids = np.array([place[word] for word in often], int)
    near = nearest(np.asarray(matrix, np.float64), ids, NEIGHBOURS)
    values = npmi(occurs, np.repeat(ids, near.shape[1]), near.ravel()).reshape(near.shape)
    return {
        "npmi": float(values.mean()),
        "npmi_frequent": float(values[:FREQUENT].mean()),
        "npmi_words": len(often),
    }
