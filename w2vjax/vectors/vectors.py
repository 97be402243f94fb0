"""Words with their vectors: look a word up, slice, normalize, and ask (see ``queries.py``).

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
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import (
    DivergedError,
    IdError,
    SettingError,
    UnknownWordError,
    did_you_mean,
    shown,
)
from w2vjax.real import is_real, not_real
from w2vjax.vectors import nearest, queries
from w2vjax.vectors.pytree import pytree
from w2vjax.vocab import Vocab, not_a_word

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

# Rows that are brought to length 1 at once; they stay in a processor's cache.
_ROWS = 1024


def asked(question: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """A question as a method. A misspelt keyword raises SettingError with a suggestion."""
    known = list(inspect.signature(question).parameters)[1:]

    @functools.wraps(question)
    def ask(*given: Given.args, **named: Given.kwargs) -> Answer:
        for name in named:
            if name not in known:
                near = did_you_mean(name, {each: each for each in known})
                remedy = near or f"Its arguments: {', '.join(known)}."
                raise SettingError(f"{question.__name__} has no argument {name}. {remedy}")
        return question(*given, **named)

    return ask


@pytree
@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Vectors:
    """V words and their vectors. Immutable; a pytree whose one leaf is ``matrix``.

    Args:
        words: V different strings, or a :class:`~w2vjax.vocab.Vocab`. Row ``i`` of the matrix is
            the vector of word ``i``. ``restrict_vocab`` needs frequent words first.
        matrix: [V, D] of NumPy or JAX. A float32 matrix is not copied (a memory map stays one).
            Others are rounded to float32.
        counts: [V] how often each word occurs; None if that is not known.
        dropped: the counts of words that training left out. The error for such a word says so.
        min_count: the threshold that left them out; None if that is not known.

    Raises:
        SettingError: the shapes disagree, the matrix does not hold real numbers, a word occurs
            twice or is not a string, the words are one string, a set or a dict, a count or
            min_count is no whole number from 0 on, dropped is no dict of words and counts, or one
            of these three comes beside a Vocab, which has its own.

    The constructor does not read the numbers, so that a memory map opens at once. The first query
    refuses NaN and infinity and names the word.
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
        elif any(more is not None for more in (counts, dropped, min_count)):
            cause = "A Vocab has counts, dropped and min_count of its own"
            raise SettingError(f"{cause}. Leave them out.")
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
        """The V words, in the order of the rows (gensim's ``index_to_key``)."""
        return self.vocab.words

    @property
    def counts(self) -> np.ndarray | None:
        """[V] int64, how often each word occurs in the training text, or None."""
        return self.vocab.counts

    @property
    def index(self) -> Mapping[str, int]:
        """From word to row, read-only (gensim's ``key_to_index``)."""
        return self.vocab.ids

    @property
    def dim(self) -> int:
        """D, the number of dimensions (gensim's ``vector_size``)."""
        return int(self.matrix.shape[1])

    index_to_key, key_to_index, vector_size = words, index, dim

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
        counts = "" if self.counts is None else ", with counts"
        return f"Vectors({len(self):,} words x {self.dim}{counts})"

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
        """The vector [D] of a word or row, the matrix [n, D] of n words, the Vectors of a slice.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            IdError: a row number is outside [-V, V).
            SettingError: a word is not a string, or the ends of a slice are no row numbers.
        """
        if getattr(key, "ndim", None) == 0:  # a number or a word of NumPy or JAX
            key = np.asarray(key).item()
        if isinstance(key, str):
            return self.matrix[self.id(key)]
        if isinstance(key, slice):
            return self._sliced(key)
        if isinstance(key, int) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                cause = f"There is no row {key}: there are {len(self):,} words"
                raise IdError(f"{cause}. Ask for 0 to {len(self) - 1}.")
            return self.matrix[key]
        if not isinstance(key, Iterable):
            raise not_a_word(key)
        return self.matrix[self.vocab.lookup(nearest.several(key))]

    def _sliced(self, rows: slice) -> "Vectors":
        try:
            words = self.words[rows]
        except (TypeError, ValueError) as error:
            cause = f"Vectors cannot be sliced by {rows}"
            raise SettingError(f"{cause}. Use row numbers, with a step that is not 0.") from error
        counts = None if self.counts is None else self.counts[rows]
        vocab = dataclasses.replace(self.vocab, words=words, counts=counts, report=None)
        return Vectors(vocab, self.matrix[rows])

    @functools.cached_property
    def unit(self) -> np.ndarray:
        """[V, D] float32, every vector divided by its length. Kept, so it doubles the memory.

        A zero vector stays zero: its cosine with every vector is defined as 0 here.

        Raises:
            DivergedError: a vector holds NaN or infinity. Inside ``jit`` the values are not known:
                there :attr:`unit` is a JAX array, and NaN stays NaN.
        """
        try:
            np.asarray(self.matrix)
        except TypeError:  # a tracer
            from w2vjax.vectors.batches import traced_unit

            traced: np.ndarray = traced_unit(self.matrix)  # a tracer too
            return traced
        vars(self).pop("unit_to_search", None)  # so that memory holds one copy
        return self._unit("C")

    @functools.cached_property
    def unit_to_search(self) -> np.ndarray:
        """:attr:`unit`, column after column in memory unless it is there already. Kept.

        The product with a query reads columns up to twice as fast as rows.
        """
        there: np.ndarray | None = vars(self).get("unit")
        return self._unit("F") if there is None else there

    def _unit(self, order: Literal["C", "F"]) -> np.ndarray:
        matrix = np.asarray(self.matrix)
        unit = np.empty(self.shape, np.float32, order)
        for start in range(0, len(self), _ROWS):
            rows, lengths = nearest.scaled(matrix[start : start + _ROWS])
            if not np.isfinite(lengths).all():
                raise self._diverged(start + int(np.flatnonzero(~np.isfinite(lengths))[0]))
            unit[start : start + _ROWS] = rows
        unit.flags.writeable = False
        return unit

    def _diverged(self, row: int) -> DivergedError:
        return DivergedError(
            f"The vector of {self.words[row]!r} (row {row}) holds NaN or infinity. "
            "Train again with a lower learning rate, or leave the word out."
        )

    @functools.cached_property
    def unit_on_device(self) -> Any:
        """:attr:`unit` as a ``jax.Array`` on the default device. Kept."""
        import jax.numpy as jnp

        unit = jnp.asarray(self.unit)
        if all(device.platform == "cpu" for device in unit.devices()):
            vars(self)["unit"] = np.asarray(unit)  # a view, so that memory holds one copy
            vars(self).pop("unit_to_search", None)
        return unit

    def normalize(self) -> "Vectors":
        """The same words, each vector divided by its length. A zero vector stays zero.

        >>> Vectors(["cat"], [[3.0, 4.0]]).normalize().matrix.round(3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
        """
        return Vectors.tree_unflatten(self.vocab, (self.unit,))

    # The questions are plain functions of the vectors. Here they become methods.
    most_similar = asked(queries.most_similar)
    most_similar_batch = asked(queries.most_similar_batch)
    most_similar_cosmul = asked(queries.most_similar_cosmul)
    similar_by_vector = asked(queries.similar_by_vector)
    nearest = asked(nearest.nearest)
    similarity = asked(queries.similarity)
    n_similarity = asked(queries.n_similarity)
    distances = asked(queries.distances)
    doesnt_match = asked(queries.doesnt_match)
    rank = asked(queries.rank)
    mean_vector = asked(queries.mean_vector)


def require_vectors(given: object) -> None:
    """Raise SettingError for anything but Vectors, such as a list of words."""
    if not isinstance(given, Vectors):
        cause = f"{shown(given)} is of type {type(given).__name__} and no Vectors"
        cause = " ".join(cause.split())
        raise SettingError(f"{cause}. Pass w2v.load(path) or w2v.Vectors(words, matrix).")


def _matrix(matrix: ArrayLike) -> Any:
    jax = sys.modules.get("jax")  # who has a JAX array has imported JAX
    if jax is not None and isinstance(matrix, jax.Array):
        if not is_real(matrix.dtype):
            raise not_real("matrix", matrix, f"its type is {matrix.dtype}")
        return jax.numpy.asarray(matrix, np.float32)
    view = nearest.float32("matrix", matrix).view()
    view.flags.writeable = False
    return view


def require_words(vectors: Vectors, words: Sequence[str]) -> None:
    """Raise one :class:`~w2vjax.errors.UnknownWordError` that names every unknown word."""
    told = []
    for word in dict.fromkeys(words):
        try:
            vectors.id(word)
        except UnknownWordError as error:
            told.append(str(error))
    if told:
        raise UnknownWordError(" ".join(told))
