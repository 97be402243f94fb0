"""Questions to vectors: what is similar, what completes an analogy, what does not belong.

Each function takes a :class:`~w2vjax.vectors.vectors.Vectors` first and is also its method of the
same name. All share one meaning. Similarity is the cosine, dot(a, b) / (|a| |b|), in [-1, 1]; a
zero vector has similarity 0 to everything. A query of several words is their mean after each was
brought to length 1, a negative word counting as its opposite. The words of the query are never
among the answers. Equal similarities keep the order of the vocabulary, so an answer is the same on
every run. ``restrict_vocab=n`` looks only among the first n words, the most frequent where the
vocabulary is sorted by frequency, as training writes it.

Names and results are those of gensim's ``KeyedVectors``, where it has them.
"""

import functools
from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError, whole_number
from w2vjax.vectors.nearest import (
    Query,
    Searched,
    has_weight,
    nearest,
    query_items,
    query_vectors,
    searched_words,
    top_k,
    unit_rows,
    weighted_terms,
)

Answer: TypeAlias = list[tuple[str, float]]


def most_similar(
    vectors: Searched,
    positive: Query = None,
    negative: Query = None,
    topn: int = 10,
    restrict_vocab: int | None = None,
) -> Answer:
    r"""The ``topn`` words nearest to a query, nearest first, with their similarities.

    .. math:: q = \sum_i w_i \hat v_i, \qquad \hat v = v / |v|, \qquad \text{similarity}(x) =
    \cos(q, v_x)

    with weight 1 for ``positive`` and -1 for ``negative`` items:
    ``positive=["king", "woman"], negative=["man"]`` asks what is to king as woman is to man
    (3CosAdd, Mikolov et al. 2013). The mean and the sum have the same cosines.

    Args:
        vectors: where to look.
        positive: a word, or a sequence whose items are words, vectors [D], or pairs (word or
            vector, weight). A vector is used as it is, not brought to length 1.
        negative: the same. A weight given in a pair is used as it is, so a subtracted item's weight
            is negative.
        topn: how many words, 1 or more; fewer come back only where there are no more.
        restrict_vocab: answer with the first so many words of the vocabulary only.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: there is no query, it adds up to the zero vector or is not finite, or ``topn``
            or ``restrict_vocab`` is not a whole number of 1 or more.
        DivergedError: the vectors hold NaN or infinity.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> [word for word, similarity in vectors.most_similar("cat")]
    ['dog', 'tea']
    """
    return most_similar_batch(
        vectors, [query_items(positive)], [query_items(negative)], topn, restrict_vocab
    )[0]


def most_similar_batch(
    vectors: Searched,
    positive: Sequence[Query],
    negative: Sequence[Query] | None = None,
    topn: int = 10,
    restrict_vocab: int | None = None,
) -> list[Answer]:
    """:func:`most_similar` for many queries at once, as matrix products: query i is positive[i] and
    negative[i].

    Raises:
        SettingError: the two have different lengths, and all that :func:`most_similar` raises.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> [answer[0][0] for answer in vectors.most_similar_batch(["cat", ["dog", "tea"]])]
    ['dog', 'cat']
    """
    if negative is not None and len(negative) != len(positive):
        raise SettingError(
            f"There are {len(positive)} positive but {len(negative)} negative queries. Pair them "
            "up."
        )
    whole_number("topn", topn)
    minus = [None] * len(positive) if negative is None else negative
    queries, used = query_vectors(
        vectors, [weighted_terms(*pair) for pair in zip(positive, minus, strict=True)]
    )
    widest = max(map(len, used), default=0)
    ids, similarities = nearest(vectors, queries, topn + widest, restrict_vocab)
    return [
        [
            (vectors.words[id], similarity)
            for id, similarity in zip(row_ids, row_similarities, strict=True)
            if id not in row_used
        ][:topn]
        for row_ids, row_similarities, row_used in zip(
            ids.tolist(), similarities.tolist(), used, strict=True
        )
    ]


def most_similar_cosmul(
    vectors: Searched,
    positive: Query = None,
    negative: Query = None,
    topn: int = 10,
    restrict_vocab: int | None = None,
) -> Answer:
    r"""The ``topn`` words by the multiplicative measure 3CosMul, with their scores.

    .. math:: \frac{\prod_{p} (1 + \cos(x, p)) / 2}{\prod_{n} (1 + \cos(x, n)) / 2 + 10^{-6}}

    (Levy and Goldberg 2014, equation 4): no single large similarity dominates. Arguments as in
    :func:`most_similar`, but without weights, which a product has no place for. gensim looks among
    all words whatever ``restrict_vocab`` is.

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
    searched = searched_words(vectors, restrict_vocab)
    terms, words = query_vectors(vectors, [[(item, 1.0)] for item in plus + minus])
    used = frozenset().union(*words)
    topn = whole_number("topn", topn)
    values, ids = _cosmul(
        vectors.unit, unit_rows(terms), len(plus), min(topn + len(used), searched), searched
    )
    answers = zip(np.asarray(ids).tolist(), np.asarray(values).tolist(), strict=True)
    return [(vectors.words[id], score) for id, score in answers if id not in used][:topn]


@functools.partial(jax.jit, static_argnames=("num_positive", "topn", "searched"))
def _cosmul(
    unit: jax.Array, terms: jax.Array, num_positive: int, topn: int, searched: int
) -> tuple[jax.Array, jax.Array]:
    """unit [V, D], terms [n, D] -> scores [topn], ids [topn]."""
    shifted = (1 + jnp.matmul(terms, unit[:searched].T, precision="highest")) / 2  # [n, searched]
    scores = jnp.prod(shifted[:num_positive], axis=0) / (
        jnp.prod(shifted[num_positive:], axis=0) + 1e-6
    )
    values, ids = top_k(scores[None], topn)
    return values[0], ids[0]


def similar_by_vector(
    vectors: Searched, vector: ArrayLike, topn: int = 10, restrict_vocab: int | None = None
) -> Answer:
    """The ``topn`` words nearest to a vector [D] of any length, with their similarities; no word is
    left out.

    Raises:
        SettingError: the vector's shape is not [D], it is zero or not finite, or as
            :func:`most_similar`.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> vectors.similar_by_vector([-8.0, 6.0], topn=1)
    [('tea', 1.0)]
    """
    return most_similar(vectors, [np.asarray(vector, np.float32)], None, topn, restrict_vocab)


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
    """The cosine of the means of two sets of words, each vector with its own length (not brought to
    length 1).

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: a set is empty, or a vector holds NaN or infinity.

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
    """[n] or [V] cosine distances, 1 - similarity, from a word (or vector [D]) to other words, by
    default to all.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: the vector's shape is not [D], or it is zero or not finite.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    >>> vectors.distances("cat").tolist()
    [0.0, 1.0, 2.0]
    """
    query, _ = query_vectors(vectors, [[(word, 1.0)]])
    unit = np.asarray(vectors.unit) if others is None else unit_rows(_rows(vectors, others))
    return np.asarray(1 - np.clip(unit @ unit_rows(query)[0], -1.0, 1.0), np.float32)


def rank(vectors: Searched, a: str, b: str) -> int:
    """How near b is to a: 1 where no other word is nearer to a, 2 where one is.

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
    """The word farthest, by cosine, from the mean of all of them at length 1; of equals the one
    given first.

    Raises:
        UnknownWordError: a word is not in the vocabulary (gensim leaves such a word out).
        SettingError: there are fewer than two words.

    >>> import w2vjax as w2v
    >>> w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]]).doesnt_match(["cat", "tea", "dog"])
    'tea'
    """
    words = list(words)
    if len(words) < 2:
        raise SettingError(
            f"Words given: {len(words)}. One is odd only among others: give two or more."
        )
    unit = unit_rows(_rows(vectors, words))
    return words[int(np.argmin(unit @ unit.mean(axis=0)))]


def mean_vector(
    vectors: Searched,
    words: Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    pre_normalize: bool = True,
    post_normalize: bool = False,
    ignore_missing: bool = True,
) -> np.ndarray:
    r"""[D] the mean of a document's words, :math:`\sum_i w_i \hat v_i / \sum_i |w_i|`.

    Args:
        vectors: where the words are.
        words: the document; a repeated word counts as often as it occurs.
        weights: one for each word, 1 by default.
        pre_normalize: bring each vector to length 1 first.
        post_normalize: bring the mean to length 1.
        ignore_missing: leave out words that are not in the vocabulary.

    Raises:
        UnknownWordError: a word is not in the vocabulary, and ``ignore_missing`` is off.
        SettingError: no word is left, or there are not as many weights as words.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog"], [[2.0, 0.0], [0.0, 4.0]])
    >>> vectors.mean_vector("cat and dog".split()).tolist()
    [0.5, 0.5]
    """
    scale = np.ones(len(words)) if weights is None else np.asarray(weights, np.float64)
    if scale.shape != (len(words),):
        raise SettingError(
            f"{len(words)} words need as many weights; their shape is {scale.shape}."
        )
    kept = [place for place, word in enumerate(words) if not ignore_missing or word in vectors]
    total = np.abs(scale[kept]).sum()
    if not total > 0:
        raise SettingError(
            f"None of the {len(words)} words is in the vocabulary with a weight. There is no mean."
        )
    rows = _rows(vectors, [words[place] for place in kept]).astype(np.float64)
    mean = scale[kept] @ (unit_rows(rows) if pre_normalize else rows) / total
    return np.asarray(unit_rows(mean[None])[0] if post_normalize else mean, np.float32)


def _rows(vectors: Searched, words: Sequence[str]) -> np.ndarray:
    # np.asarray of a whole array on the CPU is a view, so this gathers on the host without
    # compiling anything.
    return np.asarray(np.asarray(vectors.matrix)[[vectors.id(word) for word in words]])
