"""Analogies: a is to b as c is to what? Matrix products answer a whole set of questions.

Every figure comes with its coverage, and words are matched as in
:mod:`w2vjax.evaluation.word_pairs`.
"""

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.devices.tracing import check_measure
from w2vjax.errors import FormatError, SettingError, require_function, shown
from w2vjax.evaluation.readers import Question, read_word_analogies
from w2vjax.evaluation.word_pairs import first_rows, has_words, items
from w2vjax.files import AnyPath
from w2vjax.lazy import as_it_is_now
from w2vjax.vectors.nearest import searched_words
from w2vjax.vectors.vectors import Vectors, require_vectors

# Scores [Q, V'] from the cosines of every word with a, b and c, each [Q, V'].
Measure: TypeAlias = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

# So many cosines and scores at once stay in a processor's cache. The first bounds a slice of the
# vocabulary, the second a batch of questions.
_COSINES = 1 << 22
_SCORES = 1 << 18
_NARROWEST = 1024  # the smallest slice, in words
_BLOCK = 32  # as in batches.py: the search compares the maxima of blocks, then looks into one block


class Accuracy(NamedTuple):
    """The questions of one section, or of all.

    Attributes:
        section: the name of the section; "total" for all.
        correct: the number of right answers.
        answered: the number of questions whose four words are known.
        total: the number of questions.
    """

    section: str
    correct: int
    answered: int
    total: int

    @property
    def accuracy(self) -> float:
        """correct / answered, the usual figure; 0 if no question was answered."""
        return self.correct / self.answered if self.answered else 0.0

    @property
    def accuracy_all(self) -> float:
        """correct / total (gensim's dummy4unknown=True)."""
        return self.correct / self.total if self.total else 0.0

    @property
    def coverage(self) -> float:
        """answered / total."""
        return self.answered / self.total if self.total else 0.0


class AnalogyScores(NamedTuple):
    """Accuracy on analogies.

    Attributes:
        overall: over the questions of all sections.
        sections: for each section, in the order of the file.
    """

    overall: Accuracy
    sections: tuple[Accuracy, ...]

    @property
    def accuracy(self) -> float:
        """Over the questions answered."""
        return self.overall.accuracy

    @property
    def accuracy_all(self) -> float:
        """Over all questions."""
        return self.overall.accuracy_all

    @property
    def coverage(self) -> float:
        """The share of questions answered."""
        return self.overall.coverage


def three_cos_add(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """3CosAdd, cos(d, b) - cos(d, a) + cos(d, c) (Mikolov et al. 2013).

    Args:
        a, b, c: [Q, V'], the cosines of V' words d with the words a, b and c of Q questions.

    Returns:
        [Q, V'], the score of each word d as the answer.

    >>> three_cos_add(0.25, 0.5, 1.0)
    1.25
    """
    return b - a + c


def three_cos_mul(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """3CosMul, cos(d, b) cos(d, c) / (cos(d, a) + 1e-6), with (1 + cos) / 2 for each cos.

    Levy and Goldberg 2014, equation 4.

    Args:
        a, b, c: [Q, V'], the cosines of V' words d with the words a, b and c of Q questions.

    Returns:
        [Q, V'], the score of each word d as the answer.

    >>> round(three_cos_mul(0.0, 1.0, 1.0), 3)
    2.0
    """
    return (1 + b) / 2 * ((1 + c) / 2) / ((1 + a) / 2 + 1e-6)


def evaluate_word_analogies(
    vectors: Vectors,
    analogies: AnyPath | Mapping[str, Sequence[Question]] | Iterable[Question],
    restrict_vocab: int | None = 300_000,
    *,
    measure: Measure = three_cos_add,
    case_insensitive: bool = True,
) -> AnalogyScores:
    """The share of questions "a is to b as c is to ?" whose answer is exactly the expected word.

    The answer is the word with the largest ``measure``, without a, b and c; of equals the first in
    the vocabulary. With ``case_insensitive`` all spellings of a, b and c are left out. A question
    with an unknown word is not answered.

    Args:
        vectors: what to evaluate.
        analogies: a file (:func:`read_word_analogies`), questions by section, or questions (a, b,
            c, d).
        restrict_vocab: use only the first so many words of the vocabulary, in questions and as
            answers; None for all. 30,000 is usual.
        measure: :func:`three_cos_add`, :func:`three_cos_mul`, or another function of the three
            cosines.
        case_insensitive: match upper-cased words.

    Returns:
        The numbers of questions and of right answers, by section and in all.

    Raises:
        FileError: the file cannot be read.
        FormatError: the file does not hold analogies, or a question is not four words.
        SettingError: ``analogies`` is neither a file nor a list, ``measure`` is no function
            of JAX that returns a number for each word, ``restrict_vocab`` is not a whole number of
            1 or more, or ``case_insensitive`` is not True or False.
        DivergedError: the vectors hold NaN or infinity.

    >>> import w2vjax as w2v
    >>> words = ["king", "queen", "man", "woman", "tea"]
    >>> vectors = w2v.Vectors(words, [[1.0, 1, 0], [1, -1, 0], [0, 1, 1], [0, -1, 1], [1, 1, 1]])
    >>> questions = [("man", "woman", "king", "queen"), ("tea", "king", "cup", "man")]
    >>> w2v.evaluate_word_analogies(vectors, questions).overall
    Accuracy(section='total', correct=1, answered=1, total=2)
    """
    require_vectors(vectors)
    remedy = "Pass three_cos_add, three_cos_mul, or a function of the three cosines."
    require_function("measure", measure, remedy)
    sections = _sections(analogies)
    questions = [question for part in sections.values() for question in part]
    lookup, fold = first_rows(vectors, restrict_vocab, case_insensitive)
    words = [[lookup.get(fold(word), -1) for word in question] for question in questions]
    ids = np.array(words, np.int32).reshape(-1, 4)  # of the first spelling of each word
    answered: np.ndarray = np.all(ids >= 0, axis=1)
    searched = vectors.words[: searched_words(vectors, restrict_vocab)]
    first = np.array([lookup[fold(word)] for word in searched], np.int32)
    correct = np.zeros(len(ids), bool)
    if answered.any():
        predicted = _answers(
            vectors.unit_on_device, first, ids[answered, :3], as_it_is_now(measure)
        )
        hits: np.ndarray = first[predicted] == ids[answered, 3]
        correct[answered] = hits & (predicted >= 0)
    results, start = [], 0
    for name, part in sections.items():
        rows = slice(start, start := start + len(part))
        right, asked = int(correct[rows].sum()), int(answered[rows].sum())
        results.append(Accuracy(name, right, asked, len(part)))
    overall = Accuracy("total", int(correct.sum()), int(answered.sum()), len(ids))
    return AnalogyScores(overall, tuple(results))


def _sections(
    analogies: AnyPath | Mapping[str, Sequence[Question]] | Iterable[Question],
) -> dict[str, list[Question]]:
    """The questions by section. FormatError for one that is not four words."""
    if isinstance(analogies, str | os.PathLike):
        return read_word_analogies(analogies)
    named = analogies if isinstance(analogies, Mapping) else {"": analogies}
    sections = {name: items("analogies", part) for name, part in named.items()}
    for place, question in enumerate(question for part in sections.values() for question in part):
        if not has_words(question, 4) or len(question) != 4:
            cause = f"Question {place} is {shown(question)}, not four words"
            raise FormatError(f"{cause}. Give (a, b, c, d): a is to b as c is to d.")
    return sections


def _answers(unit: jax.Array, first: np.ndarray, ids: np.ndarray, measure: Measure) -> np.ndarray:
    """The rows [Q] that answer questions ids [Q, 3] of a, b, c, in first [V']; -1 for none."""
    # A set asks for few words (905 in Google's 19,544 questions). One product gives all cosines. A
    # question then reads three of its rows, whatever D is.
    rows, places = np.unique(ids, return_inverse=True)
    width = min(len(first), max(_COSINES // len(rows), _NARROWEST))
    batch = min(max(_SCORES // width, 1), len(ids))
    check_measure(measure, (batch, width))
    padding = ((0, -len(ids) % batch), (0, 0))
    both = np.concatenate([places.reshape(-1, 3), ids], axis=1)
    questions = np.pad(both, padding).astype(np.int32)
    best = np.full(len(questions), -np.inf, np.float32)
    answers = np.full(len(questions), -1, np.int32)
    for begin in range(0, len(first), width):
        # The last slice overlaps the one before. Another size would be compiled for itself.
        start = min(begin, len(first) - width)
        asked = questions.reshape(-1, batch, 6)
        places = rows.astype(np.int32)
        values, columns = _best(unit, places, first, asked, np.int32(start), width, measure)
        scores = np.asarray(values).ravel()
        if np.isnan(scores[: len(ids)]).any():  # the largest of scores with NaN is NaN
            cause = "measure returns NaN for some cosines, which compares with no score"
            raise SettingError(f"{cause}. Clip what it takes a root, a logarithm or a quotient of.")
        better = scores > best
        best[better] = scores[better]
        answers[better] = np.asarray(columns).ravel()[better] + start
    return answers[: len(ids)]


@functools.partial(jax.jit, static_argnames=("width", "measure"))
def _best(
    unit: jax.Array,
    rows: jax.Array,
    first: jax.Array,
    questions: jax.Array,
    start: jax.Array,
    width: int,
    measure: Measure,
) -> tuple[jax.Array, jax.Array]:
    """The best words of ``width`` from ``start`` on: scores and columns, [N, Q] each.

    unit [V, D], rows [W] of the words asked for, first [V'], questions [N, Q, 6]: places in rows,
    then ids, of a, b, c.
    """
    # One program for all: outside it, each slice and each gather would be compiled for itself.
    searched = jax.lax.dynamic_slice_in_dim(unit, start, width)
    first = jax.lax.dynamic_slice_in_dim(first, start, width)
    cosines = jnp.matmul(unit[rows], searched.T, precision="highest")  # [W, width]

    def answer(questions: jax.Array) -> tuple[jax.Array, jax.Array]:
        a, b, c = (cosines[questions[:, side]] for side in range(3))  # [Q, width] each
        asked = (first[None] == questions[:, side, None] for side in (3, 4, 5))
        given = functools.reduce(jnp.logical_or, asked)
        scores = jnp.where(given, -jnp.inf, measure(a, b, c))
        # argmax is slow on a CPU; maxima of blocks are not. Both keep the first of equals.
        block, ends = (1, _BLOCK), ((0, 0), (0, -width % _BLOCK))
        maxima = jax.lax.reduce_window(scores, -jnp.inf, jax.lax.max, block, block, ends)
        columns = jnp.argmax(maxima, axis=1)[:, None] * _BLOCK + jnp.arange(_BLOCK)[None]
        columns = jnp.minimum(columns, width - 1)
        candidates = jnp.take_along_axis(scores, columns, axis=1)
        place = jnp.argmax(candidates, axis=1)[:, None]
        return (
            jnp.take_along_axis(candidates, place, axis=1)[:, 0],
            jnp.take_along_axis(columns, place, axis=1)[:, 0],
        )

    values, columns = jax.lax.map(answer, questions)
    return values, columns
