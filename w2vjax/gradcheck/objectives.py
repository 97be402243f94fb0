"""Every objective on every window, kind of batch, size and dtype: what ``w2vjax gradcheck`` runs.

for objective, window, size, kind, dtype:
    check_gradients(cross_entropy, backward, params, batch, targets)
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.gradcheck import cases
from w2vjax.gradcheck.cases import KINDS, SHIPPED_SIZES, SIZES, Case, Size, counts, make_case
from w2vjax.gradcheck.check import check_gradients
from w2vjax.gradcheck.compare import TOLERANCES
from w2vjax.gradcheck.compiled import QUICK, AnyBackward, AnyLoss
from w2vjax.gradcheck.expansions import cbow_apart_batch, cbow_batch, pair_batch
from w2vjax.gradcheck.report import GradientCheck, failed_check
from w2vjax.lazy import cached
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.model import backward, bounded_backward, cross_entropy, draw_targets
from w2vjax.objectives.negative import negative_sampling
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.training.methods import MANY_WORDS, METHODS, SHORT_TEXT, make_objective, method
from w2vjax.trees import host_copy, widen
from w2vjax.types import Batch, Goal, Objective, Params, Tables, Windows
from w2vjax.windows import cbow
from w2vjax.windows.skipgram import block_batch, to_center_batch

# The forms of each objective of train, clear and fast, with settings that are easy to get wrong.
FORMS: dict[str, dict[str, Objective]] = {
    "softmax": {
        "softmax": softmax(),
        # 60 words leave a rest of 12, 1000 words one of 40; 1 or 2 words are all rest
        "chunked_softmax": softmax(chunk=48),
    },
    "negative": {
        "negative_sampling": negative_sampling(num_negatives=5),
        "negative_sampling_shared": negative_sampling(num_negatives=5, shared=12),
        # A positive drawn twice cancels its own softplus (5 / 10 * 2 = 1). Drawn more often, it
        # turns the sign.
        "shared_negatives": shared_negatives(num_negatives=5, shared=10, span=2),
    },
    "hierarchical": {"hierarchical_softmax": hierarchical_softmax()},
}
OBJECTIVES = {name: form for forms in FORMS.values() for name, form in forms.items()}
WINDOWS: dict[str, Windows] = {
    "pairs": pair_batch,
    "cbow": cbow_batch,
    "cbow_apart": cbow_apart_batch,
    "cbow_blocks": cbow.cbow_block_batch,
    "cbow_single": cbow.cbow_single_batch,
    "cbow_weighted": cbow.cbow_weighted_batch,
    "cbow_weighted_blocks": cbow.cbow_weighted_block_batch,
    "blocks": block_batch,
    "to_center": to_center_batch,
}
Names: TypeAlias = Iterable[str]
# Words of a text, for each length that changes what train uses.
TEXTS = {"short": 0, "middling": SHORT_TEXT, "long": MANY_WORDS}
# One for each form of a batch: single pairs, means of shared words, and many hidden vectors against
# many positives.
EVERY_SIZE = ("pairs", "cbow_blocks", "blocks")
# The size of the costly extras: empty batches, every window, and blocks of every kind without jit.
MAIN_SIZE = "60 x 10, 330 pairs"
EAGER_KINDS = ("ordinary", "two words", "scores past 6")  # without jit at the other sizes too
AS_IT_IS: dict[str, Any] = {"scales": (1,), "allow_zero": True}  # how a case is checked
DTYPES = ("float64", "float32", "bfloat16")
# The least share of the rows touched by the batches whose reference has to be other than zero.
LEAST_SHARE = 0.95


class Record(NamedTuple):
    """What was checked, and what was found."""

    objective: str
    window: str  # a key of WINDOWS, or "train: ..."
    size: str  # a key of SIZES or SHIPPED_SIZES
    kind: str
    check: GradientCheck  # of the backward
    bounded: GradientCheck | None = None  # of the gradient beside bounds, which trains

    @property
    def passed(self) -> bool:
        """Every check that was made has passed."""
        return self.check.passed and (self.bounded is None or self.bounded.passed)

    def row(self) -> dict[str, Any]:
        """For JSON: the parts of the check beside those of the record."""
        head = dict(zip(("objective", "window", "size", "kind"), self[:4], strict=True))
        bounded = None if self.bounded is None else self.bounded.row()
        return {**head, **self.check.row(), "bounded": bounded, "passed": self.passed}


def exercised(records: Iterable[Record]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(rows tested, rows touched) of each objective, window and dtype.

    A row is tested if its reference is not zero. Kinds with zero gradients on purpose are left out,
    and so is a vocabulary of one word, whose gradient vanishes.
    """
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for record in records:
        if record.kind in cases.ZERO_ON_PURPOSE or record.size == "V=1":
            continue
        key = (record.objective, record.window, record.check.dtype)
        tested, touched = found.get(key, (0, 0))
        for leaf in record.check.leaves:
            tested, touched = tested + leaf.exercise.tested, touched + leaf.exercise.touched
        found[key] = tested, touched
    return found


class Shipped(NamedTuple):
    """What ``train`` uses for one pair of model and objective and one kind of text."""

    model: str
    name: str  # of the objective, as train has it
    text: str  # "short text", "middling text", "long text", or "15 negatives"
    objective: Objective  # with the settings of train
    windows: Windows

    @property
    def window(self) -> str:
        """How a report calls this method's window shape."""
        return f"train: {self.model}, {self.text}"


@lru_cache(maxsize=1)
def shipped() -> tuple[Shipped, ...]:
    """All methods of ``train``: for each pair, those that differ between texts.

    With more than 12 negatives a positive (8 on long texts), train draws 4 for each: one more.
    """
    found: dict[tuple[str, str, Windows, bool], Shipped] = {}
    platform = jax.default_backend()
    for each, (length, words) in product(METHODS.values(), TEXTS.items()):
        name, windows = str(each.objective), method(each.model, each.objective, words).windows
        objective = make_objective(name, words=words, model=each.model, platform=platform)
        one = Shipped(each.model, name, f"{length} text", objective, windows)
        many = name == "negative" and words >= MANY_WORDS
        found.setdefault((each.model, name, windows, many), one)
    fifteen = make_objective("negative", negatives=15, platform=platform)
    more = Shipped("skip-gram", "negative", "15 negatives", fifteen, block_batch)
    return (*found.values(), more)


def find_shipped(name: str) -> list[Shipped]:
    """The methods of ``train`` for a name: "all", or what train calls an objective."""
    return [one for one in shipped() if name in ("all", one.name)]


def find_objectives(name: str) -> dict[str, Objective]:
    """The objectives that a name stands for. Another name raises SettingError.

    It is "all", what train calls an objective, one form of it, or "package.module:name" of an
    Objective or of a function that makes one.

    >>> list(find_objectives("softmax"))
    ['softmax', 'chunked_softmax']
    """
    alone = {each: {each: objective} for each, objective in OBJECTIVES.items()}
    known = {"all": OBJECTIVES} | alone | FORMS
    if name in known:
        return known[name]
    module, separator, attribute = name.partition(":")
    if not separator:
        names = ", ".join(["all", "reference", *dict.fromkeys([*FORMS, *OBJECTIVES])])
        remedy = f"It is one of: {names}; or package.module:name."
        raise SettingError(f"There is no objective {name!r}. {remedy}")
    try:
        found = getattr(importlib.import_module(module), attribute)
        objective = found() if callable(found) and not isinstance(found, Objective) else found
    except (Exception, SystemExit) as error:  # it is not our code: it may raise anything
        said = f"{name!r} cannot be loaded ({type(error).__name__}: {error})"
        raise SettingError(f"{said}. Give package.module:name.") from None
    if not isinstance(objective, Objective):
        cause = f"{name!r} is a {type(objective).__name__}, not an Objective"
        raise SettingError(f"{cause}. Name one, or its factory.")
    return {name: objective}


@partial(cached, most=128)
def functions(objective: Objective) -> tuple[AnyLoss, AnyBackward]:
    """Loss and backward of an objective, the same two objects each time, so they compile once."""
    return partial(cross_entropy, objective), partial(backward, objective)


@partial(cached, most=128)
def beside_bounds(objective: Objective) -> AnyBackward:
    """The gradient that trains: that of ``bounded_backward``, with the loss."""

    def rule(*inputs: Any) -> tuple[jax.Array, Params]:
        return cross_entropy(objective, *inputs), bounded_backward(objective, *inputs)[0]

    return rule


@partial(cached, most=128)
def tables_of(objective: Objective, size: Size) -> Tables:
    return objective.init(counts(size))


@partial(cached, most=256)
def compiled_select(objective: Objective, window: Windows) -> Callable[..., tuple[Batch, Goal]]:
    def select(key: jax.Array, tables: Tables, *blocks: jax.Array) -> tuple[Batch, Goal]:
        batch = window(*blocks)
        return batch, draw_targets(objective, key, tables, batch)

    return jax.jit(select, compiler_options=QUICK)


def make_inputs(
    objective: Objective, window: Windows, size: Size, case: Case, dtype: str
) -> tuple[Params, Batch, Goal]:
    """Params in dtype, with batch and targets in float64, or float32 for a narrower dtype."""
    params = Params(case.input.astype(dtype), case.output.astype(dtype))
    select, blocks = compiled_select(objective, window), (case.tokens, case.segments, case.reach)
    batch, targets = select(jax.random.key(0), tables_of(objective, size), *blocks)
    return params, *((widen if dtype == "float64" else host_copy)((batch, targets)))


def magnitudes(params: Params, batch: Batch) -> dict[str, Any]:
    """``terms`` and ``loss_terms`` of a case for check_gradients: what adds up before it cancels.

    An example (hidden t, positive p) adds a row times an error of at most 1, and the same for each
    of its 5 negatives, which cancel where they are one word. ``terms`` counts the examples of the
    busiest word, times the largest entry of the rows that it may meet. The loss adds scores.
    """
    examples = np.asarray(batch.weights, np.float64)  # [B, T, P]
    shares = np.abs(np.asarray(batch.inputs.weights, np.float64))  # [B, T, C]
    of_inputs = shares * examples.sum(-1).reshape(*shares.shape[:2], 1)
    hits = np.zeros((2, len(params.input)))
    np.add.at(hits[0], np.broadcast_to(np.asarray(batch.inputs.ids), of_inputs.shape), of_inputs)
    np.add.at(hits[1], np.asarray(batch.words), examples.sum(1))
    largest = [float(np.abs(table.astype(np.float64)).max(initial=0)) for table in params]
    score = params.input.shape[1] * largest[0] * largest[1]
    hits *= 6
    terms = Params(float(hits[0].max()) * largest[1], float(hits[1].max()) * largest[0])
    return {"terms": terms, "loss_terms": float(examples.sum()) * (1 + score)}


def applies(window: str, size: str, kind: str) -> bool:
    """Whether a combination is run. Each costs a compilation, so not all are."""
    return size == MAIN_SIZE or (kind != "empty" and window in EVERY_SIZE)


def check_objectives(
    objectives: dict[str, Objective],
    windows: Names = tuple(WINDOWS),
    sizes: Names = tuple(SIZES),
    kinds: Names = tuple(KINDS),
    dtypes: Names = DTYPES,
) -> Iterator[Record]:
    """One record for each objective, window, size, kind and dtype that :func:`applies`.

    The gradient beside bounds is checked on blocks of 60 words.
    """
    for name, window, size, kind in product(objectives, windows, sizes, kinds):
        if not applies(window, size, kind):
            continue
        every_kind = size == MAIN_SIZE and window == "blocks"
        eager = kind != "empty" and (every_kind or kind in EAGER_KINDS)
        for dtype in dtypes:
            given = objectives[name], WINDOWS[window], SIZES[size], kind, dtype
            found = check_case(*given, eager, every_kind)
            yield Record(name, window, size, kind, *found)


def check_shipped(
    methods: Iterable[Shipped], kinds: Names = tuple(KINDS), dtypes: Names = DTYPES
) -> Iterator[Record]:
    """One record for each method, size, kind and dtype, with the gradient beside bounds."""
    for one, size, kind, dtype in product(methods, SHIPPED_SIZES, kinds, dtypes):
        shape = SHIPPED_SIZES[size]
        eager = kind in EAGER_KINDS and shape.vocab_size < 100
        found = check_case(one.objective, one.windows, shape, kind, dtype, eager, True)
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
    """The check of one batch, and that of the gradient beside bounds where there are bounds."""
    loss, handwritten = functions(objective)

    def check(rule: AnyBackward, also: tuple[str, ...], samples: int) -> GradientCheck:
        try:
            inputs = make_inputs(objective, window, size, make_case(kind, size), dtype)
            options = {"also": also, "samples": samples, **AS_IT_IS, **magnitudes(*inputs[:2])}
            return check_gradients(loss, rule, *inputs, **options)
        except MemoryError:
            raise
        except Exception as error:  # of a caller's own objective; other batches may still work
            return failed_check(dtype, TOLERANCES[dtype], error)

    own = check(handwritten, ("eager",) if eager else (), 6)
    # without ``bounded``, the gradient beside bounds is the handwritten one itself
    beside = beside and objective.bounded is not None
    return own, check(beside_bounds(objective), (), 0) if beside else None
