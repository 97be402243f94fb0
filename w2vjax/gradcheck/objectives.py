"""Every objective against every window, batch kind, size and dtype: what ``w2vjax gradcheck`` runs.

for objective, window, size, kind, dtype:   check_gradients(cross_entropy, backward, params, batch, targets)
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import jax
import ml_dtypes
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.gradcheck.cases import KINDS, SHIPPED_SIZES, SIZES, Case, Size, counts, make_case
from w2vjax.gradcheck.check import GradientCheck, check_gradients, failed_check, host_copy, widen
from w2vjax.gradcheck.expansions import cbow_batch, cbow_block_batch, pair_batch
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.model import backward, bounded_backward, cross_entropy, draw_targets
from w2vjax.objectives.negative import negative_sampling
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.training.methods import MANY_WORDS, METHODS, SHORT_TEXT, make_objective, method
from w2vjax.types import Batch, Goal, Objective, Params, Tables, Windows
from w2vjax.windows.cbow import (
    cbow_counted_batch,
    cbow_counted_run_batch,
    cbow_lone_batch,
    cbow_run_batch,
)
from w2vjax.windows.skipgram import block_batch, fan_batch

# What train's names stand for: the forms of each objective, clear and fast, with parameters that
# are easy to get wrong.
FORMS: dict[str, dict[str, Objective]] = {
    "softmax": {
        "softmax": softmax(),
        # leaves a rest of 12 for 60 words and of 40 for 1000; 1 and 2 are all rest
        "chunked_softmax": softmax(chunk=48),
    },
    "negative": {
        "negative_sampling": negative_sampling(num_negatives=5),
        "negative_sampling_shared": negative_sampling(num_negatives=5, shared=12),
        # a positive drawn twice cancels its own softplus (5 / 10 * 2 = 1), drawn more often it
        # turns its sign
        "shared_negatives": shared_negatives(num_negatives=5, shared=10, span=2),
    },
    "hierarchical": {"hierarchical_softmax": hierarchical_softmax()},
}
OBJECTIVES: dict[str, Objective] = {
    name: form for forms in FORMS.values() for name, form in forms.items()
}
WINDOWS: dict[str, Windows] = {
    "pairs": pair_batch,
    "cbow": cbow_batch,
    "cbow_blocks": cbow_block_batch,
    "cbow_runs": cbow_run_batch,
    "cbow_lone": cbow_lone_batch,
    "cbow_counted": cbow_counted_batch,
    "cbow_counted_runs": cbow_counted_run_batch,
    "blocks": block_batch,
    "fans": fan_batch,
}
LossOf: TypeAlias = Callable[[Params, Batch, Goal], jax.Array]
BackwardOf: TypeAlias = Callable[[Params, Batch, Goal], tuple[jax.Array, Params]]
# Words of a text, for each length that changes what train uses.
TEXTS = {"short": 0, "middling": SHORT_TEXT, "long": MANY_WORDS}
# one for each form of a batch: pairs apart, means of words read once, many hidden vectors against
# many positives
EVERY_SIZE = ("pairs", "cbow_runs", "blocks")
# where the costly extras run: empty batches, every window, and blocks of every kind without jit
MAIN_SIZE = "60 x 10, 330 pairs"
EAGER_KINDS = ("ordinary", "two words", "scores past 6")  # without jit at the other sizes too
DTYPES = ("float64", "float32", "bfloat16")


class Record(NamedTuple):
    """One line of the report: what was checked, and what was found."""

    objective: str
    window: str
    size: str
    kind: str
    check: GradientCheck
    bounded: GradientCheck | None = (
        None  # of the gradient beside bounds, which trains; None where it was not checked
    )

    @property
    def passed(self) -> bool:
        """Every check that was made has passed."""
        return self.check.passed and (self.bounded is None or self.bounded.passed)

    def row(self) -> dict[str, Any]:
        """Flat, for JSON."""
        head = {
            "objective": self.objective,
            "window": self.window,
            "size": self.size,
            "kind": self.kind,
        }
        error, raised = (
            (None, None) if self.bounded is None else (self.bounded.error, self.bounded.raised)
        )
        beside = {"bounded_error": error, "bounded_raised": raised}
        return {**head, **self.check._asdict(), **beside, "passed": self.passed}


class Shipped(NamedTuple):
    """What ``train`` uses for one pair of model and objective and one length of text."""

    model: str
    name: str  # of the objective, as train has it
    length: str  # of the text: a key of TEXTS
    objective: Objective
    windows: Windows

    @property
    def window(self) -> str:
        """How a report calls this method's window shape."""
        return f"train: {self.model}, {self.length} text"


@lru_cache(maxsize=1)
def shipped() -> tuple[Shipped, ...]:
    """All methods that ``train`` has: for each pair, those that differ from the method of a shorter
    text.
    """
    found: dict[tuple[str, str, Windows, bool], Shipped] = {}
    for each, (length, words) in product(METHODS.values(), TEXTS.items()):
        name, windows = str(each.objective), method(each.model, each.objective, words).windows
        one = Shipped(each.model, name, length, make_objective(name, words=words), windows)
        found.setdefault(
            (each.model, name, windows, name == "negative" and words >= MANY_WORDS), one
        )
    return tuple(found.values())


def find_shipped(name: str) -> list[Shipped]:
    """The methods of ``train`` that a name stands for: all, or those of one objective by train's
    name for it.
    """
    return [one for one in shipped() if name in ("all", one.name)]


def find_objectives(name: str) -> dict[str, Objective]:
    """The objectives that a name stands for.

    The name is all, one of train's, one of a form, or ``package.module:name``, an Objective or its
    factory. Raises SettingError for a name that leads nowhere.
    """
    if name == "all":
        return OBJECTIVES
    if name in FORMS:
        return FORMS[name]
    if name in OBJECTIVES:
        return {name: OBJECTIVES[name]}
    module, separator, attribute = name.partition(":")
    if not separator:
        names = ", ".join(dict.fromkeys([*FORMS, *OBJECTIVES]))
        raise SettingError(
            f"There is no objective {name!r}. It is one of: all, reference, {names}; or "
            "package.module:name."
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
        objective = found() if callable(found) and not isinstance(found, Objective) else found
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise SettingError(
            f"{name!r} cannot be loaded ({error}). Give package.module:name."
        ) from None
    if not isinstance(objective, Objective):
        raise SettingError(
            f"{name!r} is a {type(objective).__name__}, not an Objective. Name one, or its factory."
        )
    return {name: objective}


@lru_cache(maxsize=128)
def functions(objective: Objective) -> tuple[LossOf, BackwardOf]:
    """Loss and backward of an objective as the same two objects each time, so that they compile
    once.
    """
    return partial(cross_entropy, objective), partial(backward, objective)


@lru_cache(maxsize=128)
def beside_bounds(objective: Objective) -> BackwardOf:
    """The gradient that trains: that of ``bounded_backward``, with the loss."""

    def rule(params: Params, batch: Batch, targets: Goal) -> tuple[jax.Array, Params]:
        gradients, _ = bounded_backward(objective, params, batch, targets)
        return cross_entropy(objective, params, batch, targets), gradients

    return rule


@lru_cache(maxsize=128)
def tables_of(objective: Objective, size: Size) -> Tables:
    return objective.init(counts(size))


@lru_cache(maxsize=256)
def compiled_select(objective: Objective, window: Windows) -> Callable[..., tuple[Batch, Goal]]:
    def select(key: jax.Array, tables: Tables, *runs: jax.Array) -> tuple[Batch, Goal]:
        batch = window(*runs)
        return batch, draw_targets(objective, key, tables, batch)

    # run a few times only: see the reference in check.py
    return jax.jit(select, compiler_options={"xla_backend_optimization_level": 0})


def make_inputs(
    objective: Objective, window: Windows, size: Size, case: Case, dtype: str
) -> tuple[Params, Batch, Goal]:
    """Params rounded to dtype, and batch and targets for arithmetic in float64, or float32 for
    anything less.
    """
    storage = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    params = Params(case.input.astype(storage), case.output.astype(storage))
    runs = (case.tokens, case.segments, case.reach)
    batch, targets = compiled_select(objective, window)(
        jax.random.key(0), tables_of(objective, size), *runs
    )
    return params, *((widen if dtype == "float64" else host_copy)((batch, targets)))


def magnitudes(params: Params, batch: Batch) -> dict[str, Any]:
    """What a case adds up before anything cancels, for
    :func:`~w2vjax.gradcheck.check.check_gradients`.

    An example (hidden t, positive p) is an error of at most 1 times a row, and one for each of its
    5 negatives, which cancel where they are one word. ``terms`` are those of the busiest word,
    times the largest element of the rows that it may meet. The loss adds scores.
    """
    examples = np.asarray(batch.weights, np.float64)  # [B, T, P]
    shares = np.abs(np.asarray(batch.inputs.weights, np.float64))  # [B, T, C]
    of_inputs = shares * examples.sum(-1).reshape(*shares.shape[:2], 1)
    hits = np.zeros((2, len(params.input)))
    np.add.at(hits[0], np.broadcast_to(np.asarray(batch.inputs.ids), of_inputs.shape), of_inputs)
    np.add.at(hits[1], np.asarray(batch.words), examples.sum(1))
    largest_input, largest_output = (
        float(np.abs(table.astype(np.float64)).max(initial=0)) for table in params
    )
    score = params.input.shape[1] * largest_input * largest_output
    hits *= 6
    terms = Params(float(hits[0].max()) * largest_output, float(hits[1].max()) * largest_input)
    return {"terms": terms, "loss_terms": float(examples.sum()) * (1 + score)}


def applies(window: str, size: str, kind: str) -> bool:
    """Whether a combination is run: each costs a compilation, so extras of one size stand for all."""
    return size == MAIN_SIZE or (kind != "empty" and window in EVERY_SIZE)


def check_objectives(
    objectives: dict[str, Objective],
    windows: Iterable[str] = tuple(WINDOWS),
    sizes: Iterable[str] = tuple(SIZES),
    kinds: Iterable[str] = tuple(KINDS),
    dtypes: Iterable[str] = DTYPES,
) -> Iterator[Record]:
    """One record for each objective, window, size, kind and dtype that :func:`applies`, as it is
    found.

    An objective that raises on a batch has failed there. The gradient beside bounds is checked on
    blocks of 60 words.
    """
    for name, window, size, kind in product(objectives, windows, sizes, kinds):
        if not applies(window, size, kind):
            continue
        every_kind = size == MAIN_SIZE and window == "blocks"
        eager = kind != "empty" and (every_kind or kind in EAGER_KINDS)
        for dtype in dtypes:
            found = check_case(
                objectives[name], WINDOWS[window], SIZES[size], kind, dtype, eager, every_kind
            )
            yield Record(name, window, size, kind, *found)


def check_shipped(
    methods: Iterable[Shipped], kinds: Iterable[str] = tuple(KINDS), dtypes: Iterable[str] = DTYPES
) -> Iterator[Record]:
    """One record for each method of ``train``, size of
    :data:`~w2vjax.gradcheck.cases.SHIPPED_SIZES`, kind and dtype.

    Each record has the gradient beside bounds too.
    """
    for one, size, kind, dtype in product(methods, SHIPPED_SIZES, kinds, dtypes):
        eager = kind in EAGER_KINDS and SHIPPED_SIZES[size].vocab_size < 100
        found = check_case(
            one.objective, one.windows, SHIPPED_SIZES[size], kind, dtype, eager, True
        )
        yield Record(one.name, one.window, size, kind, *found)


def check_case(
    objective: Objective,
    window: Windows,
    size: Size,
    kind: str,
    dtype: str,
    eager: bool,
    beside: bool,
) -> tuple[GradientCheck, GradientCheck | None]:
    """The check of one batch, and that of the gradient beside bounds if ``beside`` and the
    objective gives bounds.
    """
    loss, handwritten = functions(objective)

    def check(rule: BackwardOf, eager: bool, samples: int) -> GradientCheck:
        try:
            inputs = make_inputs(objective, window, size, make_case(kind, size), dtype)
            terms = magnitudes(*inputs[:2])
            return check_gradients(loss, rule, *inputs, eager=eager, samples=samples, **terms)
        except MemoryError:
            raise
        except Exception as error:  # of a caller's own objective, on this batch: the others may do
            return failed_check(dtype, error)

    own = check(handwritten, eager, 6)
    # without ``bounded``, the gradient beside bounds is the handwritten one itself
    beside = beside and objective.bounded is not None
    return own, check(beside_bounds(objective), False, 0) if beside else None
