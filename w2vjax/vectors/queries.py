"""Questions to vectors: what is similar, what completes an analogy, what does not belong.

Each function takes a :class:`~w2vjax.vectors.vectors.Vectors` first and is also its method of the
same name. All share these meanings:

- Similarity is the cosine, dot(a, b) / (|a| |b|), in [-1, 1]. A zero vector has similarity 0 to
  every word.
- A query of several words is their mean, each at length 1. A negative word counts as its opposite.
- The words of a query are never among its answers.
- Equal similarities keep the order of the vocabulary, so every run gives the same answer.
- ``restrict_vocab=n`` searches only the first n words. They are the most frequent ones if the
  vocabulary is sorted by frequency, as training sorts it.

Where gensim's ``KeyedVectors`` has a question, its name and result are the same.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError, whole_number
from w2vjax.real import real_numbers, true_or_false
from w2vjax.vectors.nearest import (
    Query,
    Searched,
    finite,
    float32,
    has_weight,
    largest,
    nearest_to_units,
    query_items,
    query_vectors,
    searched_words,
    several,
    unit_rows,
    weighted_terms,
)
from w2vjax.vocab import listed_words

Answer: TypeAlias = list[tuple[str, float]]
Terms: TypeAlias = list[tuple[Any, float]]


def most_similar(
    vectors: Searched,
    positive: Query = None,
    negative: Query = None,
    topn: int = 10,
    restrict_vocab: int | None = None,
) -> Answer:
    r"""The ``topn`` words nearest to a query.

    .. math:: q = \sum_i w_i \hat v_i, \qquad \hat v = v / |v|, \qquad
        \text{similarity}(x) = \cos(q, v_x)

    The weight is 1 for ``positive`` and -1 for ``negative`` items:
    ``positive=["king", "woman"], negative=["man"]`` asks what is to king as woman is to man
    (3CosAdd, Mikolov et al. 2013). The mean and the sum have the same cosines.

    Args:
        vectors: where to search.
        positive: a word, or a list of words, vectors [D] and pairs (word or vector, weight). A
            vector keeps its length.
        negative: the same. The weight of a pair is used as it is, so give a negative one to
            subtract.
        topn: the number of words, 1 or more. Fewer come back only if there are no more.
        restrict_vocab: search only the first so many words.

    Returns:
        (word, similarity) pairs, nearest first.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: there is no query, it adds up to the zero vector or is not finite, it is a
            set or a dict, or ``topn`` or ``restrict_vocab`` is not a whole number of 1 or more.
        DivergedError: the vectors hold NaN or infinity.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> [word for word, similarity in vectors.most_similar("cat")]
    ['dog', 'tea']
    """
    return _answers(vectors, [weighted_terms(positive, negative)], topn, restrict_vocab)[0]


def most_similar_batch(
    vectors: Searched,
    positive: Sequence[Query],
    negative: Sequence[Query] | None = None,
    topn: int = 10,
    restrict_vocab: int | None = None,
) -> list[Answer]:
    """:func:`most_similar` for many queries at once: query i is positive[i] and negative[i].

    Args:
        vectors: where to search.
        positive: Q queries, each as :func:`most_similar` takes it.
        negative: as many, or None.
        topn: the number of words for each query.
        restrict_vocab: search only the first so many words.

    Returns:
        Q answers.

    Raises:
        SettingError: the two have different lengths, and all that :func:`most_similar` raises.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> [answer[0][0] for answer in vectors.most_similar_batch(["cat", ["dog", "tea"]])]
    ['dog', 'cat']
    """
    plus = several(positive)
    minus = [None] * len(plus) if negative is None else several(negative)
    if len(minus) != len(plus):
        cause = f"There are {len(plus)} positive but {len(minus)} negative queries"
        raise SettingError(f"{cause}. Pair them up.")
    terms = [weighted_terms(*pair) for pair in zip(plus, minus, strict=True)]
    return _answers(vectors, terms, topn, restrict_vocab)


def _answers(
    vectors: Searched, terms: list[Terms], topn: int, restrict_vocab: int | None
) -> list[Answer]:
    """The ``topn`` words nearest to each query, from its items with their weights."""
    topn = whole_number("topn", topn)
    queries, used = query_vectors(vectors, terms)
    most = topn + max(map(len, used), default=0)
    found = nearest_to_units(vectors, queries, most, restrict_vocab)
    return [_answer(vectors, *one, topn) for one in zip(*found, used, strict=True)]


def _answer(
    vectors: Searched, ids: np.ndarray, values: np.ndarray, used: frozenset[int], topn: int
) -> Answer:
    """The first ``topn`` words, without the words of the query."""
    words, pairs = vectors.words, zip(ids.tolist(), values.tolist(), strict=True)
    return [(words[id], value) for id, value in pairs if id not in used][:topn]


def most_similar_cosmul(
    vectors: Searched,
    positive: Query = None,
    negative: Query = None,
    topn: int = 10,
    restrict_vocab: int | None = None,
) -> Answer:
    r"""The ``topn`` words by the multiplicative measure 3CosMul.

    .. math:: \frac{\prod_{p} (1 + \cos(x, p)) / 2}{\prod_{n} (1 + \cos(x, n)) / 2 + 10^{-6}}

    No single large similarity dominates (Levy and Goldberg 2014, equation 4). gensim searches all
    words whatever ``restrict_vocab`` is.

    Args:
        vectors: where to search.
        positive: a word, or a list of words and vectors [D]. A product has no weights.
        negative: the same.
        topn: the number of words.
        restrict_vocab: search only the first so many words.

    Returns:
        (word, score) pairs, the largest score first.

    Raises:
        SettingError: there is no positive word, an item has a weight, is the zero vector or is not
            finite, or ``topn`` or ``restrict_vocab`` is not a whole number of 1 or more.
        UnknownWordError: a word is not in the vocabulary.
        DivergedError: the vectors hold NaN or infinity.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> [word for word, score in vectors.most_similar_cosmul(["cat", "tea"])]
    ['dog']
    """
    plus, minus = query_items(positive), query_items(negative)
    if not plus:
        raise SettingError("There is no positive word to compare with. Give at least one.")
    if any(has_weight(item) for item in plus + minus):
        raise SettingError("A product of similarities has no weights. Give words or vectors only.")
    unit = vectors.unit[: searched_words(vectors, restrict_vocab)]
    topn = whole_number("topn", topn)
    terms, words = query_vectors(vectors, [[(item, 1.0)] for item in plus + minus])
    used = frozenset().union(*words)
    shifted = [(1 + np.vecdot(unit, term)) / 2 for term in unit_rows(terms)]
    above, below = (np.prod(side, axis=0) for side in (shifted[: len(plus)], shifted[len(plus) :]))
    scores = (above / (below + 1e-6)).astype(np.float32)
    ids = largest(scores, topn + len(used))
    return _answer(vectors, ids, scores[ids], used, topn)


def similar_by_vector(
    vectors: Searched, vector: ArrayLike, topn: int = 10, restrict_vocab: int | None = None
) -> Answer:
    """The ``topn`` words nearest to a vector [D] of any length. No word is left out.

    Returns:
        (word, similarity) pairs, nearest first.

    Raises:
        SettingError: the vector's shape is not [D], it is zero or not finite, or as
            :func:`most_similar`.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> vectors.similar_by_vector([-8.0, 6.0], topn=1)
    [('tea', 1.0)]
    """
    return most_similar(vectors, [real_numbers("vector", vector)], None, topn, restrict_vocab)


def similarity(vectors: Searched, a: str, b: str) -> float:
    """The cosine of two words' vectors, in [-1, 1]; 0 where one is zero.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: a vector holds NaN or infinity.

    >>> import w2vjax as w2v
    >>> w2v.Vectors(["cat", "tea"], [[3.0, 4.0], [-4.0, 3.0]]).similarity("cat", "tea")
    0.0
    """
    first, second = unit_rows(_rows(vectors, [a, b]))
    return float(np.clip(first @ second, -1.0, 1.0))


def n_similarity(vectors: Searched, first: Sequence[str], second: Sequence[str]) -> float:
    """The cosine of the means of two lists of words, each vector at its own length.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: a list is empty, or a vector holds NaN or infinity.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[1.0, 0.0], [0.0, 3.0], [1.0, 3.0]])
    >>> round(vectors.n_similarity(["cat", "dog"], ["tea"]), 6)
    1.0
    """
    means = [
        mean_vector(vectors, words, pre_normalize=False, ignore_missing=False)
        for words in (first, second)
    ]
    a, b = unit_rows(np.stack(means))
    return float(np.clip(a @ b, -1.0, 1.0))


def distances(
    vectors: Searched, word: str | ArrayLike, others: Sequence[str] | None = None
) -> np.ndarray:
    """The cosine distances, 1 - similarity, from a word or a vector [D] to other words.

    Returns:
        [n] for n other words; [V], for all words, if ``others`` is None.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: the vector's shape is not [D], or it is zero or not finite.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    >>> vectors.distances("cat").tolist()
    [0.0, 1.0, 2.0]
    """
    query, _ = query_vectors(vectors, [[(word, 1.0)]])
    unit = vectors.unit if others is None else unit_rows(_rows(vectors, others))
    return np.asarray(1 - np.clip(np.vecdot(unit, unit_rows(query)[0]), -1.0, 1.0), np.float32)


def rank(vectors: Searched, a: str, b: str) -> int:
    """How near b is to a: 1 if no other word is nearer to a, 2 if one is, and so on.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: a is the zero vector.

    >>> import w2vjax as w2v
    >>> w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]]).rank("cat", "tea")
    2
    """
    away = distances(vectors, a)
    nearer = away < away[vectors.id(b)]
    nearer[vectors.id(a)] = False
    return int(nearer.sum()) + 1


def doesnt_match(vectors: Searched, words: Sequence[str]) -> str:
    """The word whose cosine with the mean of all of them is smallest; of equals the first given.

    Each vector is at length 1.

    Raises:
        UnknownWordError: a word is not in the vocabulary (gensim leaves such a word out).
        SettingError: there are fewer than two words, or they are one string, a set or a dict.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> vectors.doesnt_match(["cat", "tea", "dog"])
    'tea'
    """
    words = several(words)
    if len(words) < 2:
        cause = f"Words given: {len(words)}"
        raise SettingError(f"{cause}. One is odd only among others: give two or more.")
    unit = unit_rows(_rows(vectors, words))
    return str(words[int(np.argmin(np.vecdot(unit, unit.mean(axis=0))))])


def mean_vector(
    vectors: Searched,
    words: Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    pre_normalize: bool = True,
    post_normalize: bool = False,
    ignore_missing: bool = True,
) -> np.ndarray:
    r"""The mean vector of a document's words, :math:`\sum_i w_i \hat v_i / \sum_i |w_i|`.

    Args:
        vectors: where the words are.
        words: a list, the document; a repeated word counts as often as it occurs.
        weights: one for each word, 1 by default.
        pre_normalize: bring each vector to length 1 first.
        post_normalize: bring the mean to length 1.
        ignore_missing: leave out words that are not in the vocabulary.

    Returns:
        [D] float32.

    Raises:
        UnknownWordError: a word is not in the vocabulary, and ``ignore_missing`` is off.
        SettingError: no word is left, there are not as many weights as words, a weight or a vector
            is not finite, a word is not a string, the words are one string, a set or a dict, or a
            flag is not True or False.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog"], [[2.0, 0.0], [0.0, 4.0]])
    >>> vectors.mean_vector("cat and dog".split()).tolist()
    [0.5, 0.5]
    """
    words = listed_words(words)
    true_or_false("pre_normalize", pre_normalize)
    true_or_false("post_normalize", post_normalize)
    true_or_false("ignore_missing", ignore_missing)
    scale = (
        np.ones(len(words))
        if weights is None
        else finite(float32("weights", weights)).astype(float)
    )
    if scale.shape != (len(words),):
        cause = f"{len(words)} words need as many weights"
        raise SettingError(f"{cause}; their shape is {scale.shape}.")
    kept = [place for place, word in enumerate(words) if not ignore_missing or word in vectors]
    total = np.abs(scale[kept]).sum()
    if not total > 0:
        cause = f"None of the {len(words)} words is in the vocabulary with a weight"
        raise SettingError(f"{cause}. There is no mean.")
    rows = finite(_rows(vectors, [words[place] for place in kept]).astype(np.float64))
    mean = scale[kept] @ (unit_rows(rows) if pre_normalize else rows) / total
    return np.asarray(unit_rows(mean[None])[0] if post_normalize else mean, np.float32)


def _rows(vectors: Searched, words: Sequence[str]) -> np.ndarray:
    """[n, D] the vectors of words. Gathered in NumPy, so that JAX compiles nothing."""
    ids = [vectors.id(word) for word in several(words)]
    return np.asarray(np.asarray(vectors.matrix)[np.array(ids, np.int64)])
