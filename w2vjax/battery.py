"""Every objective against every window, batch kind, size and dtype: what ``w2vjax gradcheck`` runs.

    for objective, window, size, kind, dtype:   check_gradients(cross_entropy, backward, params, batch, targets)
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from w2vjax import reference
from w2vjax.adversarial import KINDS, SIZES, Case, Size, counts, make_case
from w2vjax.errors import SettingError
from w2vjax.gradcheck import GradientCheck, check_gradients
from w2vjax.model import backward, cross_entropy
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.negative import negative_sampling
from w2vjax.objectives.softmax import softmax
from w2vjax.types import Batch, Objective, Params
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.cbow import cbow_batch, cbow_block_batch
from w2vjax.windows.pairs import pair_batch

OBJECTIVES: dict[str, Objective] = {
    "softmax": softmax(),
    "chunked_softmax": softmax(chunk=401),  # 60 words are less than a chunk, 1000 are two and a rest
    "small_chunks": softmax(chunk=7),
    "negative_sampling": negative_sampling(num_negatives=5),
    "shared_negatives": negative_sampling(num_negatives=5, shared=12),
    "hierarchical_softmax": hierarchical_softmax(),
}
WINDOWS: dict[str, Callable[..., Batch]] = {
    "pairs": pair_batch,
    "cbow": cbow_batch,
    "cbow_blocks": cbow_block_batch,
    "blocks": block_batch,
}
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
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(f"{name!r} cannot be loaded ({error}). Give package.module:name on the Python path.") from None
    objective = found() if callable(found) and not isinstance(found, Objective) else found
    if not isinstance(objective, Objective):
        raise SettingError(f"{name!r} is {type(objective).__name__}, not an Objective. Name one, or a function that makes one.")
    return {name: objective}


@lru_cache(maxsize=128)
def functions(objective: Objective) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Loss and backward of an objective as the same two objects each time, so that they compile once."""
    return partial(cross_entropy, objective), partial(backward, objective)


@lru_cache(maxsize=128)
def tables_of(objective: Objective, size: Size) -> Any:
    return objective.init(counts(size))


@lru_cache(maxsize=256)
def compiled_select(objective: Objective, window: Callable[..., Batch], dtype: str) -> Callable[..., Any]:
    def select(case: Case, key: jax.Array, tables: Any) -> tuple[Batch, Any]:
        batch = window(case.tokens, case.segments, case.reach, dtype=dtype)
        return batch, objective.select(key, tables, batch.words, batch.weights)

    return jax.jit(select)


def make_inputs(
    objective: Objective, window: Callable[..., Batch], size: Size, case: Case, dtype: str
) -> tuple[Params, Batch, Any]:
    """Params rounded to dtype, and batch and targets in the dtype that their arithmetic has (at least float32)."""
    wide = "float64" if dtype == "float64" else "float32"
    storage = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    params = Params(case.input.astype(storage), case.output.astype(storage))
    with jax.enable_x64(wide == "float64"):
        bare = case._replace(input=None, output=None)  # type: ignore[arg-type]
        select = compiled_select(objective, window, wide)
        batch, targets = select(bare, jax.random.key(0), tables_of(objective, size))
    return params, batch, targets


def check_objectives(
    objectives: dict[str, Objective],
    windows: dict[str, Callable[..., Batch]] = WINDOWS,
    sizes: dict[str, Size] = SIZES,
    kinds: Iterable[str] = tuple(KINDS),
    dtypes: Iterable[str] = DTYPES,
) -> Iterator[Record]:
    """One record for each objective, window, size, kind and dtype, as it is found."""
    for name, objective in objectives.items():
        loss, handwritten = functions(objective)
        for window_name, window in windows.items():
            for size_name, size in sizes.items():
                for kind in kinds:
                    case = make_case(kind, size)
                    for dtype in dtypes:
                        inputs = make_inputs(objective, window, size, case, dtype)
                        check = check_gradients(loss, handwritten, *inputs)
                        yield Record(name, window_name, size_name, kind, check)
