"""The search under all queries: from words to query vectors, and from those to the nearest words.

A query is a weighted sum of words at length 1. The nearest words have the largest cosines with it.
NumPy answers a few queries, so that nothing has to be compiled. JAX answers many at once.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import DivergedError, SettingError, shown, whole_number
from w2vjax.real import real_numbers
from w2vjax.vocab import listed

# A word, a vector [D], or a pair of either with a weight; or a sequence of those.
Query: TypeAlias = Any

# From so many queries on, one matrix product is faster than a product for each.
_MANY = 8
# Scores are compared in this many strides. 64 is the fastest of 16 to 256 for 70,000 words.
_STRIDES = 64
_ROUNDING = float(np.finfo(np.float32).eps)


class Searched(Protocol):
    """What a search needs; :class:`~w2vjax.vectors.vectors.Vectors` has it."""

    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def matrix(self) -> Any: ...  # [V, D] float32
    @property
    def unit(self) -> np.ndarray: ...  # [V, D], each row at length 1
    @property
    def unit_to_search(self) -> np.ndarray: ...  # the same, in any order of memory
    @property
    def unit_on_device(self) -> Any: ...  # the same as a jax.Array
    @property
    def dim(self) -> int: ...  # D
    def id(self, word: str) -> int: ...
    def _diverged(self, row: int) -> DivergedError: ...  # names the word of a broken row
    def __len__(self) -> int: ...  # V
    def __contains__(self, word: object) -> bool: ...


class Neighbours(NamedTuple):
    """The nearest words of Q queries, nearest first.

    Attributes:
        ids: [Q, topn] int32, the rows of the words.
        similarities: [Q, topn] float32, the cosines, in [-1, 1].
    """

    ids: np.ndarray
    similarities: np.ndarray


def nearest(
    vectors: Searched, queries: ArrayLike, topn: int = 10, restrict_vocab: int | None = None
) -> Neighbours:
    """The nearest words of Q vectors, as arrays. No word is left out.

    Args:
        vectors: where to search.
        queries: [Q, D], of any length; a zero vector has similarity 0 to every word.
        topn: the number of words for each query.
        restrict_vocab: search only the first so many words.

    Returns:
        The ids and the similarities, ``min(topn, V)`` for each query.

    Raises:
        SettingError: the queries' shape is not [Q, D], one is not of real and finite numbers, or
            ``topn`` or ``restrict_vocab`` is not a whole number of 1 or more.
        DivergedError: the vectors hold NaN or infinity.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> vectors.nearest([[1.0, 0.0], [-1.0, 0.0]], topn=1).ids.tolist()
    [[1], [2]]
    """
    queries = real_numbers("queries", queries)
    if queries.ndim != 2 or queries.shape[1] != vectors.dim:
        cause = f"The queries have shape {queries.shape}"
        raise SettingError(f"{cause}. They must be [Q, {vectors.dim}].")
    return nearest_to_units(vectors, directions(queries), topn, restrict_vocab)


def nearest_to_units(
    vectors: Searched, queries: np.ndarray, topn: int, restrict_vocab: int | None
) -> Neighbours:
    """:func:`nearest` for queries [Q, D] float32 of length 1."""
    searched = searched_words(vectors, restrict_vocab)
    topn = min(whole_number("topn", topn), searched)
    if len(queries) >= _MANY:
        from w2vjax.vectors.batches import nearest_of_many

        return Neighbours(*nearest_of_many(vectors.unit_on_device, queries, topn, searched))
    unit = vectors.unit_to_search[:searched]
    ids = np.zeros((len(queries), topn), np.int32)
    similarities = np.zeros(ids.shape, np.float32)
    for place, query in enumerate(queries):
        ids[place], similarities[place] = best(unit, query, topn)
    return Neighbours(ids, similarities)


def best(unit: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows [k], cosines [k]) of the k rows of [V, D] nearest to a query [D], nearest first.

    Both have length 1. Equal rows have equal cosines, and the first of them comes first. A matrix
    product is the fastest, and its last digit depends on where a row is. So the product chooses the
    rows that may be among the k, and ``vecdot`` scores these rows.
    """
    # A sum of D products of vectors of length 1 is off by D roundings at most, in either form.
    doubt = 4 * len(query) * _ROUNDING
    rows = candidates(unit @ query, k, doubt)
    cosines = np.vecdot(np.ascontiguousarray(unit[rows]), query)
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order], cosines[order].clip(-1.0, 1.0)


def largest(scores: np.ndarray, k: int) -> np.ndarray:
    """The places of the k largest of scores [N], largest first; of equal ones the first.

    >>> largest(np.array([1.0, 3.0, 2.0, 3.0]), 3).tolist()
    [1, 3, 2]
    """
    places = candidates(scores, k)
    return places[np.argsort(-scores[places], kind="stable")[:k]]


def candidates(scores: np.ndarray, k: int, doubt: float = 0.0) -> np.ndarray:
    """In order, the places of the k largest of scores [N], and of all up to ``doubt`` below them.

    Some more places may be among them.
    """
    columns = len(scores) // _STRIDES
    if columns <= 2 * k:
        return np.arange(len(scores))
    # k columns have a maximum of this value or more, so the k largest have it too.
    maxima = scores[: columns * _STRIDES].reshape(_STRIDES, columns).max(axis=0)
    return np.flatnonzero(scores >= np.partition(maxima, -k)[-k] - doubt)


def query_vectors(
    vectors: Searched, terms: Sequence[Sequence[tuple[Any, float]]]
) -> tuple[np.ndarray, list[frozenset[int]]]:
    """The query vectors [Q, D], at length 1, and the rows of each query's words.

    A query is the weighted sum of its words at length 1 and of its vectors as they are given.
    """
    # All words of all queries are gathered and brought to length 1 at once.
    places, weights, ids = [], [], []
    total = np.zeros((len(terms), vectors.dim))
    for place, query in enumerate(terms):
        for item, weight in query:
            if isinstance(item, str):
                places.append(place)
                weights.append(weight)
                ids.append(vectors.id(item))
            else:
                total[place] += weight * _vector(vectors, item)
    rows = np.asarray(vectors.matrix)[np.array(ids, np.int64)].astype(np.float64)
    units, lengths = scaled(rows)
    if not np.isfinite(lengths).all():
        raise vectors._diverged(ids[int(np.argmin(np.isfinite(lengths)))])
    units *= np.array(weights)[:, None]
    for place, unit in zip(places, units, strict=True):
        total[place] += unit
    queries = directions(total)
    if not queries.any(axis=1).all():
        cause = "A query is empty or adds up to the zero vector, which points nowhere"
        raise SettingError(f"{cause}. Give other words.")
    used: list[set[int]] = [set() for _ in terms]
    for place, id in zip(places, ids, strict=True):
        used[place].add(id)
    return queries, [frozenset(words) for words in used]


def _vector(vectors: Searched, item: Any) -> np.ndarray:
    """An item of a query that is no word, as a vector [D] float64."""
    with contextlib.suppress(SettingError):
        vector = real_numbers("vector", item)
        if vector.shape == (vectors.dim,):
            return vector.astype(np.float64)
    cause = f"A query is a word or a vector of shape ({vectors.dim},) of real numbers"
    raise SettingError(f"{cause}, not {shown(item)}. Give one of these, or a list of them.")


def weighted_terms(positive: Query, negative: Query) -> list[tuple[Any, float]]:
    """The items of a query with their weights."""
    signed = [(item, 1.0) for item in query_items(positive)]
    signed += [(item, -1.0) for item in query_items(negative)]
    return [
        (item[0], float(real_numbers("weight", item[1]))) if has_weight(item) else (item, sign)
        for item, sign in signed
    ]


def query_items(given: Query) -> list[Any]:
    """The items of one side of a query: one word, one vector, one weighted item, or a list."""
    if given is None:
        return []
    of_words = getattr(getattr(given, "dtype", None), "kind", None) in ("O", "U", "T")
    is_vector = getattr(given, "ndim", None) == 1 and not of_words
    return [given] if isinstance(given, str) or has_weight(given) or is_vector else several(given)


def several(given: Iterable[Any]) -> list[Any]:
    """The items as a list. Refuses what :func:`~w2vjax.vocab.listed` refuses, and a number."""
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        raise SettingError(
            f"{shown(given)} is of type {type(given).__name__}. Give a word, a vector, or a list "
            "of words and vectors."
        )
    return listed(given)


def has_weight(item: object) -> bool:
    """Whether an item is a pair (word or vector, weight)."""
    if not isinstance(item, tuple) or len(item) != 2 or isinstance(item[1], str):
        return False
    return isinstance(item[1], int | float) or getattr(item[1], "ndim", None) == 0


def searched_words(vectors: Searched, restrict_vocab: int | None) -> int:
    """How many words are searched, from the first."""
    if restrict_vocab is None:
        return len(vectors)
    return min(whole_number("restrict_vocab", restrict_vocab), len(vectors))


def float32(what: str, given: ArrayLike) -> np.ndarray:
    """The array in float32. Refuses what is not an array of real numbers."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity
        return np.asarray(real_numbers(what, given), np.float32)


def finite(array: np.ndarray) -> np.ndarray:
    """The same array. Refuses NaN and infinity."""
    if not np.isfinite(array).all():
        cause = "A vector or a weight holds NaN or infinity, or is too large for float32"
        raise SettingError(f"{cause}. Leave it out.")
    return array


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """[n, D] each row divided by its length, in its dtype; a zero row stays zero.

    Raises:
        SettingError: a row holds NaN or infinity.
    """
    return scaled(finite(rows))[0]


def directions(rows: np.ndarray) -> np.ndarray:
    """[n, D] float32, rows of any length at length 1; a zero row stays zero.

    Raises:
        SettingError: a row holds NaN or infinity.
    """
    # The square of a very large or small float64 is no float64. A power of two changes no bit.
    wide = finite(rows.astype(np.float64))
    exponents = np.frexp(np.abs(wide).max(axis=1, keepdims=True, initial=0.0))[1]
    return scaled(np.ldexp(wide, -exponents))[0].astype(np.float32)


def scaled(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows [n, D] divided by their lengths, in their dtype, and the lengths [n] in float64."""
    wide = rows.astype(np.float64)
    length = np.sqrt(np.vecdot(wide, wide))
    with np.errstate(invalid="ignore"):  # of infinity, which the callers refuse
        wide /= np.where(length > 0, length, 1.0)[:, None]
    return wide.astype(rows.dtype), length
