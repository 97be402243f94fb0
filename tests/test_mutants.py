"""The check catches every mutant, whatever the seed, and never accuses the right backward."""

from typing import Any

import jax
import mutants
import numpy as np
import pytest
from cases import QUICK_OBJECTIVES, largest_error, nce, rounding_floors
from marks import slow
from mutants import Mutant
from mutants_shared import SPANS

import w2vjax as w2v
from w2vjax.gradcheck.cases import KINDS, SHIPPED_SIZES, Size, make_case
from w2vjax.gradcheck.check import check_gradients
from w2vjax.gradcheck.compiled import compiled
from w2vjax.gradcheck.objectives import (
    WINDOWS,
    beside_bounds,
    check_case,
    compiled_select,
    find_shipped,
    magnitudes,
    make_inputs,
    tables_of,
)
from w2vjax.gradcheck.objectives import functions as functions_of
from w2vjax.trees import widen

SIZE = Size(12, 5, 4, 6, 2)  # an even number of runs, so that spans of two blocks share negatives
OBJECTIVES = {
    "softmax": w2v.softmax(),
    "chunked_softmax": w2v.softmax(chunk=5),
    "negative_sampling": w2v.negative_sampling(5),
    "negative_sampling_shared": w2v.negative_sampling(5, shared=12),
    # 1.2 negatives a draw: one repeat already takes back more than all, so no seed can hide what
    # repeats do
    "shared_negatives": w2v.shared_negatives(12, shared=10, span=2),
    "hierarchical_softmax": w2v.hierarchical_softmax(),
    "nce": nce(5),
}
SPECIFIC = {
    "softmax": mutants.SOFTMAX,
    "chunked_softmax": {},
    "negative_sampling": {**mutants.LOGISTIC, **mutants.NEGATIVE},
    "negative_sampling_shared": {**mutants.LOGISTIC, **mutants.NEGATIVE, **mutants.SHARED},
    "shared_negatives": SPANS,
    "hierarchical_softmax": {**mutants.LOGISTIC, **mutants.HUFFMAN},
    "nce": mutants.NCE,
}
# (objective, window, mutant name, mutant)
ALL = [(o, "blocks", n, m) for o in OBJECTIVES for n, m in {**mutants.ANY, **SPECIFIC[o]}.items()]
ALL += [(o, "cbow", n, m) for o in OBJECTIVES for n, m in mutants.CBOW.items()]
# the shapes that training uses: words shared by a block, and paths shared by the words around a
# center
ALL += [
    ("shared_negatives", "cbow_blocks", n, m) for n, m in {**mutants.CBOW, **mutants.BLOCKS}.items()
]
ALL += [("hierarchical_softmax", "to_center", n, m) for n, m in mutants.HUFFMAN.items()]
# the default run: every mutant once, the general ones on the objective that training uses
ONCE = {
    m: (o, w, name, m)
    for o, w, name, m in sorted(ALL, key=lambda row: row[0] == "shared_negatives")
}
QUICK = list(ONCE.values())
TOLERANCE = 1e-12
# The kinds that see most come first; a mutant is caught by the first that it fails.
ORDER = [
    "ordinary",
    "scores past 6",
    "everything equal",
    "half padded",
    "two words",
    "zipf duplicates",
    "one real pair",
]
ORDER += [kind for kind in KINDS if kind not in ORDER and kind != "empty"]


def test_there_are_forty_different_mutants() -> None:
    groups = [
        mutants.ANY,
        mutants.LOGISTIC,
        mutants.NEGATIVE,
        mutants.SHARED,
        SPANS,
        mutants.HUFFMAN,
        mutants.SOFTMAX,
        mutants.NCE,
    ]
    assert sum(map(len, [*groups, mutants.CBOW, mutants.BLOCKS])) >= 40
    assert len(ALL) >= 180
    assert {n for _, _, n, _ in QUICK} == {n for _, _, n, _ in ALL}


class Situation:
    """Inputs and float64 reference of an objective, window, kind and seed, kept for all mutants."""

    made: dict[tuple[str, str, str, int], Any] = {}  # noqa: RUF012

    @classmethod
    def get(cls, name: str, window: str, kind: str, seed: int) -> Any:
        key = (name, window, kind, seed)
        if key not in cls.made:
            objective, case = OBJECTIVES[name], make_case(kind, SIZE, seed)
            select = compiled_select(objective, WINDOWS[window])
            with jax.enable_x64(False):
                runs = (case.tokens, case.segments, case.reach)
                batch, targets = select(jax.random.key(seed), tables_of(objective, SIZE), *runs)
            params = w2v.Params(case.input, case.output)
            inputs = jax.tree.map(jax.numpy.asarray, (params, *widen((batch, targets))))
            reference = compiled(*functions(name)).reference(params, params, *inputs[1:])[1]
            terms = tuple(magnitudes(params, batch)["terms"])
            floors = rounding_floors("float64", TOLERANCE, terms)
            cls.made[key] = (objective, inputs, tuple(map(np.asarray, reference)), floors)
        return cls.made[key]


RULES: dict[str, Any] = {}


def functions(name: str) -> Any:
    if name not in RULES:
        objective = OBJECTIVES[name]
        RULES[name] = (
            lambda *inputs: w2v.cross_entropy(objective, *inputs),
            lambda *inputs: w2v.backward(objective, *inputs),
        )
    return RULES[name]


def survivors(seeds: Any, chosen: Any = ALL) -> list[str]:
    """The mutants that no kind of batch catches. Those of one objective are one program."""
    groups: dict[tuple[str, str], list[tuple[str, Mutant]]] = {}
    for name, window, label, mutant in chosen:
        groups.setdefault((name, window), []).append((label, mutant))
    left = []
    for (name, window), group in groups.items():

        @jax.jit
        def wrong(*inputs: Any, name: str = name, group: Any = group) -> Any:
            return [mutant(OBJECTIVES[name], *inputs) for _, mutant in group]

        for seed in seeds:
            alive = {label for label, _ in group}
            for kind in ORDER:
                _, inputs, reference, floors = Situation.get(name, window, kind, seed)
                for (label, _), found in zip(group, wrong(*inputs), strict=True):
                    if (
                        largest_error(tuple(map(np.asarray, found)), reference, floors)[0]
                        > TOLERANCE
                    ):
                        alive.discard(label)
                if not alive:
                    break
            left += [f"{label} ({name}, {window}), seed {seed}" for label in sorted(alive)]
    return left


def false_alarms(
    seeds: Any, windows: Any = ("blocks", "cbow"), names: Any = tuple(OBJECTIVES)
) -> list[str]:
    alarms = []
    for seed in seeds:
        for name in names:
            for window in windows:
                for kind in ORDER:
                    _, inputs, reference, floors = Situation.get(name, window, kind, seed)
                    found = compiled(*functions(name)).backward(*inputs)[1]
                    found = tuple(map(np.asarray, mutants.dense(inputs[0], found)))
                    error, worst = largest_error(found, reference, floors)
                    if error > TOLERANCE:
                        alarms.append(f"{name}, {window}, {kind}, seed {seed}: {error} at {worst}")
    return alarms


def test_every_mutant_is_caught(x64: None, standard_promotion: None) -> None:
    assert survivors([0], QUICK) == []


def test_the_right_backward_is_never_accused(x64: None, standard_promotion: None) -> None:
    names = [name for name in OBJECTIVES if name in QUICK_OBJECTIVES]
    assert false_alarms([0], ["blocks"], names) == []


@pytest.mark.slow
def test_every_mutant_is_caught_whatever_the_seed(x64: None, standard_promotion: None) -> None:
    assert survivors(range(20)) == []


@pytest.mark.slow
def test_no_false_alarm_over_twenty_seeds(x64: None, standard_promotion: None) -> None:
    assert false_alarms(range(20)) == []


# What would be wrong with the parameters that ship: spans of 3 and 4 blocks, a whole chunk of 4096
# words and a rest.
SHIPPED: dict[str, tuple[str, dict[str, Mutant]]] = {
    "negative": ("60 x 10, 12 blocks", SPANS),
    "hierarchical": ("60 x 10, 12 blocks", mutants.HUFFMAN),
    "softmax": (
        "4500 x 3, 12 blocks",
        {
            "rest of the vocabulary dropped": mutants.chunked_away(lambda v, V: v < 4096),
            "whole chunk dropped": mutants.chunked_away(lambda v, V: v >= 4096),
            "last word of the whole chunk dropped": mutants.chunked_away(lambda v, V: v != 4095),
            "first word of the rest dropped": mutants.chunked_away(lambda v, V: v != 4096),
        },
    ),
}


def wrong_for(method: Any) -> dict[str, Mutant]:
    """What can be wrong with one method of train: its objective, and the means of CBOW."""
    found = SHIPPED[method.name][1]
    if method.model == "cbow":
        # a mean has one positive, so not to count its positives changes nothing
        one = "positives of a hidden vector not counted"
        found = {**{name: found[name] for name in found if name != one}, **mutants.CBOW}
        found |= mutants.BLOCKS if "block" in method.windows.__name__ else {}
    return found


SHIPPED_METHODS = [method for name in SHIPPED for method in find_shipped(name)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "wrong"),
    [(each, wrong_for(each)) for each in SHIPPED_METHODS],
    ids=lambda one: f"{one.name}, {one.window}" if hasattr(one, "window") else str(len(one)),
)
def test_every_mutant_of_what_ships_is_caught(
    method: Any, wrong: dict[str, Mutant], x64: None, standard_promotion: None
) -> None:
    size, left = SHIPPED[method.name][0], dict(wrong)
    for kind in ORDER[:5]:
        case = make_case(kind, SHIPPED_SIZES[size])
        inputs = make_inputs(method.objective, method.windows, SHIPPED_SIZES[size], case, "float64")
        inputs = jax.tree.map(jax.numpy.asarray, inputs)
        reference = compiled(*functions_of(method.objective)).reference(inputs[0], *inputs)[1]
        terms = tuple(magnitudes(*inputs[:2])["terms"])
        floors = rounding_floors("float64", TOLERANCE, terms)
        for name, mutant in list(left.items()):
            found = tuple(map(np.asarray, mutant(method.objective, *inputs)))
            if largest_error(found, tuple(map(np.asarray, reference)), floors)[0] > TOLERANCE:
                del left[name]
        if not left:
            break
    assert list(left) == []


def scaled(which: int, factor: float) -> Any:
    """A bounded whose gradient of the hidden vectors (0) or of the rows (1) is off by a factor."""

    def change(found: Any) -> Any:
        parts = list(found)
        parts[which] = jax.tree.map(
            lambda leaf: leaf * np.asarray(factor, leaf.dtype) if leaf.dtype.kind == "f" else leaf,
            parts[which],
        )
        return tuple(parts)

    return change


def a_row_lost(found: Any) -> Any:
    d_hidden, d_output, *bounds = found
    values = d_output.values if isinstance(d_output, w2v.Rows) else d_output
    values = values.at[jax.numpy.abs(values).max(-1).argmax()].set(0)
    return (
        d_hidden,
        d_output._replace(values=values) if isinstance(d_output, w2v.Rows) else values,
        *bounds,
    )


# Wrong gradients beside bounds: the backward alone stays right.
BESIDE_BOUNDS = {
    "hidden off by 1e-9": scaled(0, 1 + 1e-9),
    "rows off by 1e-9": scaled(1, 1 + 1e-9),
    "hidden sign": scaled(0, -1.0),
    "rows forgotten": scaled(1, 0.0),
    "a row lost": a_row_lost,
    "hidden of the next group": lambda found: (jax.numpy.roll(found[0], 1, 0), *found[1:]),
    "bound in place of a gradient": lambda found: (found[0].at[..., -1].set(found[2]), *found[1:]),
}


@pytest.mark.parametrize(
    "name", ["shared_negatives", *slow("softmax", "chunked_softmax", "hierarchical_softmax")]
)
@pytest.mark.slow
def test_every_mutant_beside_bounds_is_caught(name: str) -> None:
    objective, case = OBJECTIVES[name], (WINDOWS["blocks"], SIZE, "whole windows")
    inputs = make_inputs(objective, *case[:2], make_case(case[2], SIZE), "float64")
    loss, options = functions_of(objective)[0], {"also": (), "scales": (1,), "allow_zero": True}
    check = check_gradients(loss, beside_bounds(objective), *inputs, **options)
    assert check.passed
    for label, change in BESIDE_BOUNDS.items():

        def wrong(*inputs: Any, change: Any = change) -> Any:
            return change(objective.bounded(*inputs))

        mutant = objective._replace(bounded=wrong)
        # the loss of the objective itself, so that the reference is compiled once
        check = check_gradients(loss, beside_bounds(mutant), *inputs, **options)
        assert not check.passed, label
    own, beside = check_case(mutant, *case, "float64", False, True)
    assert own.passed
    assert beside is not None
    assert not beside.passed
    own, beside = check_case(objective, *case, "float64", False, True)
    assert own.passed
    assert beside is not None
    assert beside.passed
