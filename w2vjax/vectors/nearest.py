"""The search under all queries: from words to query vectors, and from those to the nearest words.

A query is a weighted sum of words at length 1; the nearest words are those with the largest
cosines, found by one matrix product and a selection, for up to 256 queries at once.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError, whole_number

# A word, a vector [D], or a pair of either with a weight; or a sequence of those.
Query: TypeAlias = Any

# 256 queries against V = 100,000 make 100 MB of scores: enough for a matrix product to run at full
# speed.
_CHUNK = 256
# The length of the blocks in top_k. 32 is the fastest of 16 to 256: 6 ms for 256 rows of 100,000.
_BLOCK = 32


class Searched(Protocol):
    """What a search needs of the words and their vectors. :class:`~w2vjax.vectors.vectors.Vectors`
    offers it.
    """

    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def matrix(self) -> Any: ...  # [V, D] float32
    @property
    def unit(self) -> jax.Array: ...  # [V, D], each row at length 1
    @property
    def dim(self) -> int: ...  # D
    def id(self, word: str) -> int: ...
    def __len__(self) -> int: ...  # V
    def __contains__(self, word: object) -> bool: ...


class Neighbours(NamedTuple):
    """The nearest words of Q queries, nearest first."""

    ids: np.ndarray  # [Q, topn] int32
    similarities: np.ndarray  # [Q, topn] float32


def nearest(
    vectors: Searched, queries: ArrayLike, topn: int = 10, restrict_vocab: int | None = None
) -> Neighbours:
    """The nearest words of Q vectors [Q, D], as arrays of ids and similarities; nothing is left
    out.

    A zero query has similarity 0 to every word.

    Raises:
        SettingError: the queries' shape is not [Q, D], one is not finite, or ``topn`` or
            ``restrict_vocab`` is not a whole number of 1 or more.
        DivergedError: the vectors hold NaN or infinity.

    >>> import w2vjax as w2v
    >>> vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> vectors.nearest([[1.0, 0.0], [-1.0, 0.0]], topn=1).ids.tolist()
    [[1], [2]]
    """
    queries = np.asarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != vectors.dim:
        raise SettingError(
            f"The queries have shape {queries.shape}. They must be [Q, {vectors.dim}]."
        )
    searched = searched_words(vectors, restrict_vocab)
    topn = min(whole_number("topn", topn), searched)
    queries = unit_rows(queries)
    parts = []
    for start in range(0, len(queries), _CHUNK):
        chunk = queries[start : start + _CHUNK]
        # One compiled program for every number of queries up to 1, 8, 64 and 256.
        size = next(size for size in (1, 8, 64, _CHUNK) if size >= len(chunk))
        padded = np.zeros((size, vectors.dim), np.float32)
        padded[: len(chunk)] = chunk
        parts.append((len(chunk), _nearest(vectors.unit, padded, topn, searched)))
    empty = np.zeros((0, topn), np.int32), np.zeros((0, topn), np.float32)
    ids = np.concatenate([empty[0], *(np.asarray(ids)[:size] for size, (ids, _) in parts)])
    similarities = np.concatenate(
        [empty[1], *(np.asarray(values)[:size] for size, (_, values) in parts)]
    )
    return Neighbours(ids, similarities)


@functools.partial(jax.jit, static_argnames=("topn", "searched"))
def _nearest(
    unit: jax.Array, queries: jax.Array, topn: int, searched: int
) -> tuple[jax.Array, jax.Array]:
    """unit [V, D], queries [Q, D] -> ids [Q, topn], similarities [Q, topn]."""
    scores = jnp.matmul(queries, unit[:searched].T, precision="highest")  # [Q, searched]
    similarities, ids = top_k(scores, topn)
    return ids, jnp.clip(similarities, -1.0, 1.0)


def top_k(scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k largest of scores [Q, N] and where they are, as ``lax.top_k`` gives them, in a sixth of
    its time on a CPU.

    The k largest lie in the k blocks with the largest maxima: any other block has k elements before
    its best one. Ties keep the smaller index first, in choosing blocks as in sorting their
    contents, so this holds for ties too.
    """
    rows, length = scores.shape
    blocks = -(-length // _BLOCK)
    if blocks < 2 * k:
        values, ids = jax.lax.top_k(scores, k)
        return values, ids
    # reduce_window reads in place whatever the length: reshaping a slice or a padded copy costs ten
    # times as much.
    block, tail = (1, _BLOCK), blocks * _BLOCK - length
    maxima = jax.lax.reduce_window(scores, -jnp.inf, jax.lax.max, block, block, ((0, 0), (0, tail)))
    _, best = jax.lax.top_k(maxima, k)  # [Q, k]
    columns = (
        jnp.sort(best, axis=1)[:, :, None] * _BLOCK + jnp.arange(_BLOCK)[None, None]
    )  # ascending, for ties
    columns = columns.reshape(rows, k * _BLOCK)
    candidates = jnp.take_along_axis(scores, jnp.minimum(columns, length - 1), axis=1)
    values, places = jax.lax.top_k(jnp.where(columns < length, candidates, -jnp.inf), k)
    return values, jnp.take_along_axis(columns, places, axis=1)


def query_vectors(
    vectors: Searched, terms: Sequence[Sequence[tuple[Any, float]]]
) -> tuple[np.ndarray, list[frozenset[int]]]:
    """[Q, D] the weighted sum of each query's words, at length 1, and vectors, as given; the rows
    of its words.
    """
    # of every word of every query, to gather and normalize all at once
    rows, weights, ids = [], [], []
    total = np.zeros((len(terms), vectors.dim))
    for row, query in enumerate(terms):
        for item, weight in query:
            if isinstance(item, str):
                rows.append(row)
                weights.append(weight)
                ids.append(vectors.id(item))
            elif np.shape(item) == (vectors.dim,):
                total[row] += weight * np.asarray(item, np.float64)
            else:
                raise SettingError(
                    f"A query is a word or a vector of shape ({vectors.dim},), not {item!r:.60}."
                )
    units = unit_rows(np.asarray(vectors.matrix)[np.array(ids, np.int64)].astype(np.float64))
    np.add.at(total, np.array(rows, np.int64), np.array(weights)[:, None] * units)
    queries = unit_rows(total).astype(np.float32)
    if not queries.any(axis=1).all():
        raise SettingError(
            "A query is empty or adds up to the zero vector, which points nowhere. Give other "
            "words."
        )
    used: list[set[int]] = [set() for _ in terms]
    for row, id in zip(rows, ids, strict=True):
        used[row].add(id)
    return queries, [frozenset(words) for words in used]


def weighted_terms(positive: Query, negative: Query) -> list[tuple[Any, float]]:
    signed = [(item, 1.0) for item in query_items(positive)] + [
        (item, -1.0) for item in query_items(negative)
    ]
    return [item if has_weight(item) else (item, sign) for item, sign in signed]


def query_items(given: Query) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, str) or has_weight(given) or (hasattr(given, "ndim") and given.ndim == 1):
        return [given]
    return list(given)


def has_weight(item: object) -> bool:
    return (
        isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], int | float | np.number)
    )


def searched_words(vectors: Searched, restrict_vocab: int | None) -> int:
    return (
        len(vectors)
        if restrict_vocab is None
        else min(whole_number("restrict_vocab", restrict_vocab), len(vectors))
    )


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """[n, D] each row divided by its length, a zero row left zero; of the dtype it came in.

    Raises:
        SettingError: a row holds NaN or infinity.
    """
    if not np.isfinite(rows).all():
        raise SettingError("A vector of the query holds NaN or infinity. Leave it out.")
    wide = rows.astype(np.float64)
    length = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    return (wide / np.where(length > 0, length, 1.0)[:, None]).astype(rows.dtype)
