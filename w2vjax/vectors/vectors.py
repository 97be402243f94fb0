"""Words with their vectors: look a word up, slice, normalize, and ask (the questions are in ``queries.py``).

>>> import numpy as np
>>> import w2vjax as w2v
>>> vectors = w2v.Vectors(["cat", "dog", "tea"], np.array([[3, 4], [4, 3], [-4, 3]]))
>>> "cat" in vectors, len(vectors), vectors.dim
(True, 3, 2)
>>> vectors["dog"].tolist()
[4.0, 3.0]
>>> [word for word, similarity in vectors.most_similar("cat")]
['dog', 'tea']
"""

import dataclasses
import functools
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.errors import DivergedError, FormatError, IdError
from w2vjax.vectors import nearest, queries
from w2vjax.vectors.unknown import unknown_word


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """What names the rows of a matrix: the part of :class:`Vectors` that no transformation of JAX touches."""

    words: tuple[str, ...]
    counts: np.ndarray | None = None  # [V] int64
    dropped: Mapping[str, int] | None = None  # the count of each word that min_count left out
    min_count: int | None = None

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """word: id, read-only."""
        return types.MappingProxyType({word: id for id, word in enumerate(self.words)})

    # jit hashes a pytree's static part on every call and compares it on every hit: a hash of three things and a
    # comparison that ends at identity keep both free of V.
    def __hash__(self) -> int:
        return hash((len(self.words), self.words[:1], self.words[-1:]))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Labels)
            and self.words == other.words
            and _same_counts(self.counts, other.counts)
            and (self.dropped, self.min_count) == (other.dropped, other.min_count)
        )


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Vectors:
    """V words and their vectors. Immutable; a pytree whose one leaf is ``matrix``.

    Args:
        words: V different strings; row ``i`` of the matrix is the vector of word ``i``. Most frequent first is the
            convention that ``restrict_vocab`` relies on.
        matrix: [V, D] of NumPy or JAX, kept as it is when it is float32 (a memory map stays one), else rounded to
            float32.
        counts: [V] how often each word occurred, or None where that is not known.
        dropped: the counts of words that training left out, so that asking for one can say so.
        min_count: the threshold that left them out.

    Raises:
        FormatError: the shapes disagree, a word occurs twice or is no string, or a count is negative.

    Values are not looked at here, so that opening a memory map stays instant: the first query that needs
    :attr:`unit` refuses NaN and infinity, naming the word.
    """

    labels: Labels
    matrix: Any  # [V, D] float32, np.ndarray (read-only) or jax.Array

    def __init__(
        self,
        words: Iterable[str],
        matrix: Any,
        counts: Any = None,
        *,
        dropped: Mapping[str, int] | None = None,
        min_count: int | None = None,
    ) -> None:
        labels = Labels(tuple(words), _counts(counts), dropped, min_count)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "matrix", _matrix(matrix))
        _check(labels, self.matrix)

    def tree_flatten(self) -> tuple[tuple[Any], Labels]:
        return (self.matrix,), self.labels

    @classmethod
    def tree_unflatten(cls, labels: Labels, leaves: Sequence[Any]) -> "Vectors":
        # JAX puts tracers, shapes and placeholders here: nothing may be checked or converted.
        self = object.__new__(cls)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "matrix", leaves[0])
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """The V words, in the order of the rows."""
        return self.labels.words

    @property
    def counts(self) -> np.ndarray | None:
        """[V] int64 occurrences of each word in the training text, or None."""
        return self.labels.counts

    @property
    def index(self) -> Mapping[str, int]:
        """From word to row, read-only."""
        return self.labels.index

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return int(self.matrix.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(V, D)."""
        return len(self), self.dim

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __repr__(self) -> str:
        return f"Vectors({len(self):,} words x {self.dim}{'' if self.counts is None else ', with counts'})"

    def id(self, word: str) -> int:
        """The row of a word.

        Raises:
            UnknownWordError: the word is not in the vocabulary; the message gives the closest spellings.
        """
        id = self.index.get(word)
        if id is None:
            raise unknown_word(word, self.index, self.labels.dropped, self.labels.min_count)
        return id

    @overload
    def __getitem__(self, key: slice) -> "Vectors": ...
    @overload
    def __getitem__(self, key: str | int | Sequence[str]) -> Any: ...
    def __getitem__(self, key: str | int | slice | Sequence[str]) -> Any:
        """The vector [D] of a word or a row number, the matrix [n, D] of n words, or the Vectors of a slice of rows.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            IdError: a row number is outside [-V, V).
        """
        if isinstance(key, str):
            return self.matrix[self.id(key)]
        if isinstance(key, slice):
            counts = None if self.counts is None else self.counts[key]
            dropped, min_count = self.labels.dropped, self.labels.min_count
            return Vectors(self.words[key], self.matrix[key], counts, dropped=dropped, min_count=min_count)
        if isinstance(key, int | np.integer):
            if not -len(self) <= key < len(self):
                raise IdError(
                    f"There is no row {key}: there are {len(self):,} words. Ask for 0 to {len(self) - 1}."
                )
            return self.matrix[int(key)]
        return self.matrix[np.array([self.id(word) for word in key], np.int32)]

    @functools.cached_property
    def unit(self) -> jax.Array:
        """[V, D] every vector divided by its length, on the default device; kept, so it doubles the memory.

        A zero vector stays zero: its cosine to everything is 0 by definition here.

        Raises:
            DivergedError: a vector holds NaN or infinity (not inside jit, where values are not known).
        """
        unit: jax.Array
        unit, finite = _unit(jnp.asarray(self.matrix))
        try:
            all_finite = np.asarray(finite).all()
        except jax.errors.TracerArrayConversionError:  # inside jit nothing can be raised: NaN stays NaN
            return unit
        if not all_finite:
            row = int(np.flatnonzero(~np.asarray(finite))[0])
            raise DivergedError(
                f"The vector of {self.words[row]!r} (row {row}) holds NaN or infinity. "
                "Train again with a lower learning rate, or leave the word out."
            )
        return unit

    def normalize(self) -> "Vectors":
        """The same words, each vector divided by its Euclidean length (a zero vector stays zero).

        >>> Vectors(["cat"], [[3.0, 4.0]]).normalize().matrix.round(3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
        """
        return Vectors.tree_unflatten(self.labels, (self.unit,))

    # The questions, written and documented as plain functions of the vectors; here they become methods.
    most_similar = queries.most_similar
    most_similar_batch = queries.most_similar_batch
    most_similar_cosmul = queries.most_similar_cosmul
    similar_by_vector = queries.similar_by_vector
    nearest = nearest.nearest
    similarity = queries.similarity
    n_similarity = queries.n_similarity
    distances = queries.distances
    doesnt_match = queries.doesnt_match
    rank = queries.rank
    mean_vector = queries.mean_vector


@jax.jit
def _unit(matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[V, D] -> the rows at length 1, [V] whether a row is finite."""
    # A power of two, which costs no bit, keeps the squares of very large and very small rows inside float32.
    largest = jnp.max(jnp.abs(matrix), axis=1, keepdims=True, initial=0.0)
    scale = jnp.where(largest > 1e15, 2.0**-96, jnp.where(largest < 1e-15, 2.0**96, 1.0))
    scaled = matrix * scale.astype(matrix.dtype)
    length = jnp.sqrt(jnp.sum(scaled * scaled, axis=1, keepdims=True))
    return scaled / jnp.where(length == 0, 1.0, length), jnp.isfinite(largest[:, 0])


def _matrix(matrix: Any) -> Any:
    if isinstance(matrix, jax.Array):
        return jnp.asarray(matrix, jnp.float32)
    with np.errstate(
        over="ignore"
    ):  # a float64 beyond float32 becomes infinity, which `unit` refuses by name
        view = np.asarray(matrix, np.float32).view()
    view.flags.writeable = False
    return view


def _counts(counts: Any) -> np.ndarray | None:
    if counts is None:
        return None
    view = np.asarray(counts, np.int64).view()
    view.flags.writeable = False
    return view


def _same_counts(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _check(labels: Labels, matrix: Any) -> None:
    words, counts = labels.words, labels.counts
    if matrix.ndim != 2 or len(matrix) != len(words):
        raise FormatError(f"{len(words)} words need a matrix of as many rows; its shape is {matrix.shape}.")
    for position, word in enumerate(words):
        if not isinstance(word, str):
            raise FormatError(f"Word {position} is {word!r}, not a string. Decode it first.")
    if len(labels.index) != len(words):
        row = next(row for row, word in enumerate(words) if labels.index[word] != row)
        raise FormatError(
            f"The word {words[row]!r} stands in rows {row} and {labels.index[words[row]]}. Keep one of them."
        )
    if counts is not None and (counts.shape != (len(words),) or (counts < 0).any()):
        raise FormatError(
            f"{len(words)} words need as many counts of 0 or more; their shape is {counts.shape}."
        )
