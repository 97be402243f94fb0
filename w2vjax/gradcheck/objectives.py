"""Every objective against every window, batch kind, size and dtype: what ``w2vjax gradcheck`` runs.

for objective, window, size, kind, dtype:   check_gradients(cross_entropy, backward, params, batch, targets)
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import product
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.gradcheck.cases import KINDS, SIZES, Case, Size, counts, make_case
from w2vjax.gradcheck.check import GradientCheck, check_gradients, failed_check, host_copy, widen
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.model import backward, cross_entropy
from w2vjax.objectives.negative import negative_sampling
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.types import Batch, Objective, Params
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.cbow import (
    cbow_batch,
    cbow_block_batch,
    cbow_counted_batch,
    cbow_counted_run_batch,
    cbow_lone_batch,
    cbow_run_batch,
)
from w2vjax.windows.fans import fan_batch
from w2vjax.windows.pairs import pair_batch

OBJECTIVES: dict[str, Objective] = {
    "softmax": softmax(),
    # leaves a rest of 12 for 60 words and of 40 for 1000; 1 and 2 are all rest
    "chunked_softmax": softmax(chunk=48),
    "negative_sampling": negative_sampling(num_negatives=5),
    "negative_sampling_shared": negative_sampling(num_negatives=5, shared=12),
    # a positive drawn twice cancels its own softplus (5 / 10 * 2 = 1), drawn more often it turns its sign
    "shared_negatives": shared_negatives(num_negatives=5, shared=10, span=2),
    "hierarchical_softmax": hierarchical_softmax(),
}
WINDOWS: dict[str, Callable[..., Batch]] = {
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
# one for each form of a batch: pairs apart, means of words read once, many hidden vectors against many positives
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

    def row(self) -> dict[str, Any]:
        """Flat, for JSON."""
        head = {"objective": self.objective, "window": self.window, "size": self.size, "kind": self.kind}
        return {**head, **self.check._asdict(), "passed": self.check.passed}


def find_objectives(name: str) -> dict[str, Objective]:
    """The objectives that a name stands for: all, one of ours, or ``package.module:name``, an Objective or its factory.

    Raises SettingError for a name that leads nowhere.
    """
    if name == "all":
        return OBJECTIVES
    if name in OBJECTIVES:
        return {name: OBJECTIVES[name]}
    module, separator, attribute = name.partition(":")
    if not separator:
        raise SettingError(
            f"There is no objective {name!r}. It is one of: all, {', '.join(OBJECTIVES)}; or package.module:name."
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
        objective = found() if callable(found) and not isinstance(found, Objective) else found
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise SettingError(f"{name!r} cannot be loaded ({error}). Give package.module:name.") from None
    if not isinstance(objective, Objective):
        raise SettingError(
            f"{name!r} is a {type(objective).__name__}, not an Objective. Name one, or its factory."
        )
    return {name: objective}


@lru_cache(maxsize=128)
def functions(objective: Objective) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Loss and backward of an objective as the same two objects each time, so that they compile once."""
    return partial(cross_entropy, objective), partial(backward, objective)


@lru_cache(maxsize=128)
def tables_of(objective: Objective, size: Size) -> Any:
    return objective.init(counts(size))


@lru_cache(maxsize=256)
def compiled_select(objective: Objective, window: Callable[..., Batch]) -> Callable[..., Any]:
    def select(key: jax.Array, tables: Any, *runs: jax.Array) -> tuple[Batch, Any]:
        batch = window(*runs)
        return batch, objective.select(key, tables, batch.words, batch.weights)

    # run a few times only: see the reference in check.py
    return jax.jit(select, compiler_options={"xla_backend_optimization_level": 0})


def make_inputs(
    objective: Objective, window: Callable[..., Batch], size: Size, case: Case, dtype: str
) -> tuple[Params, Batch, Any]:
    """Params rounded to dtype, and batch and targets for arithmetic in float64, or float32 for anything less."""
    storage = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    params = Params(case.input.astype(storage), case.output.astype(storage))
    runs = (case.tokens, case.segments, case.reach)
    batch, targets = compiled_select(objective, window)(jax.random.key(0), tables_of(objective, size), *runs)
    return params, *((widen if dtype == "float64" else host_copy)((batch, targets)))


def magnitudes(params: Params, batch: Batch) -> dict[str, Any]:
    """What a case adds up before anything cancels, for :func:`~w2vjax.gradcheck.check.check_gradients`.

    An example (hidden t, positive p) is an error of at most 1 times a row, and one for each of its 5 negatives, which
    cancel where they are one word. ``terms`` are those of the busiest word, times the largest element of the rows that
    it may meet. The loss adds scores.
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
    """One record for each objective, window, size, kind and dtype that :func:`applies`, as it is found.

    An objective that raises on a batch has failed there.
    """
    for name, window, size, kind in product(objectives, windows, sizes, kinds):
        if not applies(window, size, kind):
            continue
        objective, case = objectives[name], make_case(kind, SIZES[size])
        loss, handwritten = functions(objective)
        every_kind = size == MAIN_SIZE and window == "blocks"
        eager = kind != "empty" and (every_kind or kind in EAGER_KINDS)
        for dtype in dtypes:
            try:
                inputs = make_inputs(objective, WINDOWS[window], SIZES[size], case, dtype)
                check = check_gradients(loss, handwritten, *inputs, eager=eager, **magnitudes(*inputs[:2]))
            except MemoryError:
                raise
            except Exception as error:  # of a caller's own objective, on this batch: the others may do
                check = failed_check(dtype, error)
            yield Record(name, window, size, kind, check)
