"""Words with their vectors: look a word up, slice, normalize, and ask (the questions are in
``queries.py``).

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import DivergedError, IdError, SettingError
from w2vjax.vectors import nearest, queries
from w2vjax.vocab import Vocab, not_a_word


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Vectors:
    """V words and their vectors. Immutable; a pytree whose one leaf is ``matrix``.

    Args:
        words: V different strings, or a :class:`~w2vjax.vocab.Vocab`. Row ``i`` of the matrix is
            the vector of word ``i``. ``restrict_vocab`` relies on the convention that frequent
            words come first.
        matrix: [V, D] of NumPy or JAX. A float32 matrix is kept as it is (a memory map stays one),
            others are rounded to float32.
        counts: [V] how often each word occurs; None where that is not known.
        dropped: the counts of words that training left out. The error for such a word says so.
        min_count: the threshold that left them out; None where that is not known.

    Raises:
        SettingError: the shapes disagree, a word occurs twice or is no string, a count is negative,
            or counts, dropped or min_count come beside a Vocab, which has its own.

    The constructor does not look at the numbers, so that a memory map opens at once. The first
    query that needs :attr:`unit` refuses NaN and infinity and names the word.
    """

    vocab: Vocab
    matrix: Any  # [V, D] float32, np.ndarray (read-only) or jax.Array

    def __init__(
        self,
        words: Iterable[str] | Vocab,
        matrix: ArrayLike,
        counts: ArrayLike | None = None,
        *,
        dropped: Mapping[str, int] | None = None,
        min_count: int | None = None,
    ) -> None:
        if not isinstance(words, Vocab):
            words = Vocab(words, counts, 1 if min_count is None else min_count, dropped)
        elif any(given is not None for given in (counts, dropped, min_count)):
            raise SettingError(
                "A Vocab has counts, dropped and min_count of its own. Leave them out."
            )
        object.__setattr__(self, "vocab", words)
        object.__setattr__(self, "matrix", _matrix(matrix))
        if self.matrix.ndim != 2 or len(self.matrix) != len(words):
            shape = self.matrix.shape
            raise SettingError(
                f"{len(words)} words need a matrix of as many rows; its shape is {shape}."
            )

    def tree_flatten(self) -> tuple[tuple[Any], Vocab]:
        return (self.matrix,), self.vocab

    @classmethod
    def tree_unflatten(cls, vocab: Vocab, leaves: Sequence[Any]) -> "Vectors":
        # JAX puts tracers, shapes and placeholders here: nothing may be checked or converted.
        self = object.__new__(cls)
        object.__setattr__(self, "vocab", vocab)
        object.__setattr__(self, "matrix", leaves[0])
        return self

    def __reduce__(self) -> tuple[type["Vectors"], tuple[Vocab, Any]]:
        return Vectors, (self.vocab, self.matrix)

    @property
    def words(self) -> tuple[str, ...]:
        """The V words, in the order of the rows."""
        return self.vocab.words

    @property
    def counts(self) -> np.ndarray | None:
        """[V] int64 occurrences of each word in the training text, or None."""
        return self.vocab.counts

    @property
    def index(self) -> Mapping[str, int]:
        """From word to row, read-only."""
        return self.vocab.ids

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
        return word in self.vocab

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __repr__(self) -> str:
        return f"Vectors({len(self):,} words x {self.dim}{'' if self.counts is None else ', with counts'})"

    def id(self, word: str) -> int:
        """The row of a word.

        Raises:
            UnknownWordError: the word is not in the vocabulary; the message gives the closest
                spellings.
            SettingError: the word is not a string.
        """
        return self.vocab[word]

    @overload
    def __getitem__(self, key: slice) -> "Vectors": ...
    @overload
    def __getitem__(self, key: str | int | Sequence[str]) -> Any: ...
    def __getitem__(self, key: str | int | slice | Sequence[str]) -> Any:
        """The vector [D] of a word or a row number, the matrix [n, D] of n words, or the Vectors of
        a slice of rows.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            IdError: a row number is outside [-V, V).
            SettingError: a word is not a string.
        """
        if isinstance(key, str):
            return self.matrix[self.id(key)]
        if isinstance(key, slice):
            counts = None if self.counts is None else self.counts[key]
            vocab = dataclasses.replace(
                self.vocab, words=self.words[key], counts=counts, report=None
            )
            return Vectors(vocab, self.matrix[key])
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise IdError(
                    f"There is no row {key}: there are {len(self):,} words. Ask for 0 to "
                    f"{len(self) - 1}."
                )
            return self.matrix[int(key)]
        if not isinstance(key, Iterable):
            raise not_a_word(key)
        return self.matrix[self.vocab.lookup(key)]

    @functools.cached_property
    def unit(self) -> jax.Array:
        """[V, D] every vector divided by its length, on the default device; kept, so it doubles the
        memory.

        A zero vector stays zero: its cosine to everything is 0 by definition here.

        Raises:
            DivergedError: a vector holds NaN or infinity (not inside jit, where values are not
                known).
        """
        unit: jax.Array
        unit, finite = _unit(jnp.asarray(self.matrix))
        try:
            all_finite = np.asarray(finite).all()
        except jax.errors.TracerArrayConversionError:
            # inside jit nothing can be raised: NaN stays NaN
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
        return Vectors.tree_unflatten(self.vocab, (self.unit,))

    # The questions, written and documented as plain functions of the vectors; here they become
    # methods.
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
    # A power of two, which costs no bit, keeps the squares of very large and very small rows inside
    # float32.
    largest = jnp.max(jnp.abs(matrix), axis=1, keepdims=True, initial=0.0)
    scale = jnp.where(largest > 1e15, 2.0**-96, jnp.where(largest < 1e-15, 2.0**96, 1.0))
    scaled = matrix * scale.astype(matrix.dtype)
    length = jnp.sqrt(jnp.sum(scaled * scaled, axis=1, keepdims=True))
    return scaled / jnp.where(length == 0, 1.0, length), jnp.isfinite(largest[:, 0])


def _matrix(matrix: ArrayLike) -> Any:
    if isinstance(matrix, jax.Array):
        return jnp.asarray(matrix, jnp.float32)
    with np.errstate(
        over="ignore"
    ):  # a float64 beyond float32 becomes infinity, which `unit` refuses by name
        view = np.asarray(matrix, np.float32).view()
    view.flags.writeable = False
    return view
