"""The gradient check catches every mutant, whatever the seed, and never accuses the right backward."""

from typing import Any

import jax
import mutants
import numpy as np
import pytest
from mutants import Mutant
from mutants_shared import SPANS

import w2vjax as w2v
from w2vjax.gradcheck.cases import KINDS, Size, make_case
from w2vjax.gradcheck.check import compiled, largest_error, rounding_floors, widen
from w2vjax.gradcheck.objectives import WINDOWS, compiled_select, magnitudes, tables_of

SIZE = Size(12, 5, 4, 6, 2)  # an even number of runs, so that spans of two blocks share negatives
OBJECTIVES = {
    "softmax": w2v.softmax(),
    "chunked_softmax": w2v.softmax(chunk=5),
    "negative_sampling": w2v.negative_sampling(5),
    "negative_sampling_shared": w2v.negative_sampling(5, shared=12),
    # 1.2 negatives a draw: one repeat already takes back more than all, so no seed can hide what repeats do
    "shared_negatives": w2v.shared_negatives(12, shared=10, span=2),
    "hierarchical_softmax": w2v.hierarchical_softmax(),
}
SPECIFIC = {
    "softmax": mutants.SOFTMAX,
    "chunked_softmax": {},
    "negative_sampling": {**mutants.LOGISTIC, **mutants.NEGATIVE},
    "negative_sampling_shared": {**mutants.LOGISTIC, **mutants.NEGATIVE, **mutants.SHARED},
    "shared_negatives": SPANS,
    "hierarchical_softmax": {**mutants.LOGISTIC, **mutants.HUFFMAN},
}
# (objective, window, mutant name, mutant)
ALL = [(o, "blocks", n, m) for o in OBJECTIVES for n, m in {**mutants.ANY, **SPECIFIC[o]}.items()]
ALL += [(o, "cbow", n, m) for o in OBJECTIVES for n, m in mutants.CBOW.items()]
# the shapes that training uses: words shared by a run, and paths shared by the words around a center
ALL += [("shared_negatives", "cbow_runs", n, m) for n, m in {**mutants.CBOW, **mutants.RUNS}.items()]
ALL += [("hierarchical_softmax", "fans", n, m) for n, m in mutants.HUFFMAN.items()]
# the default run: every mutant once, the general ones on the objective that training uses
ONCE = {m: (o, w, name, m) for o, w, name, m in sorted(ALL, key=lambda row: row[0] == "shared_negatives")}
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
    ]
    assert sum(map(len, [*groups, mutants.CBOW, mutants.RUNS])) >= 40
    assert len(ALL) >= 180
    assert {n for _, _, n, _ in QUICK} == {n for _, _, n, _ in ALL}


class Situation:
    """Inputs and the float64 reference of one objective, window, kind and seed, made once for all mutants."""

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
            floors = rounding_floors("float64", TOLERANCE, terms, tuple(params))
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


def caught(name: str, window: str, mutant: Mutant, seed: int) -> bool:
    for kind in ORDER:
        objective, inputs, reference, floors = Situation.get(name, window, kind, seed)
        found = tuple(mutant(objective, *inputs))
        if largest_error(found, reference, floors)[0] > TOLERANCE:
            return True
    return False


def survivors(seeds: Any, chosen: Any = ALL) -> list[str]:
    return [
        f"{n} ({o}, {w}), seed {seed}" for seed in seeds for o, w, n, m in chosen if not caught(o, w, m, seed)
    ]


def false_alarms(seeds: Any, windows: Any = ("blocks", "cbow")) -> list[str]:
    alarms = []
    for seed in seeds:
        for name in OBJECTIVES:
            for window in windows:
                for kind in ORDER:
                    _, inputs, reference, floors = Situation.get(name, window, kind, seed)
                    found = compiled(*functions(name)).backward(*inputs)[1]
                    error, worst = largest_error(mutants.dense(inputs[0], found), reference, floors)
                    if error > TOLERANCE:
                        alarms.append(f"{name}, {window}, {kind}, seed {seed}: {error} at {worst}")
    return alarms


def test_every_mutant_is_caught(x64: None, standard_promotion: None) -> None:
    assert survivors([0], QUICK) == []


def test_the_right_backward_is_never_accused(x64: None, standard_promotion: None) -> None:
    assert false_alarms([0], ["blocks"]) == []


@pytest.mark.slow
def test_every_mutant_is_caught_whatever_the_seed(x64: None, standard_promotion: None) -> None:
    assert survivors(range(20)) == []


@pytest.mark.slow
def test_no_false_alarm_over_twenty_seeds(x64: None, standard_promotion: None) -> None:
    assert false_alarms(range(20)) == []
