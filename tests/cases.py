"""The one list of objectives and window shapes: all tests of them run on what is added here."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import pytest

import w2vjax as w2v
from w2vjax.gradcheck import objectives as battery
from w2vjax.gradcheck.compare import leaf_error, place_of, rounding_floor
from w2vjax.trees import name_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from nce import nce

OBJECTIVES: dict[str, w2v.Objective] = {**battery.OBJECTIVES, "nce": nce()}
WINDOWS = battery.WINDOWS

# What the default run covers: each kind of batch for each objective at the size of the post, in
# float64 on blocks (the hardest window: shared rows, P > 1); every other combination is in the slow
# tests and in `w2vjax gradcheck`.
QUICK_WINDOW = "blocks"
# Every objective is in the default gradient check. Costlier identities run by default for one
# objective of each kind of target (all rows, drawn rows, paths) and for the others in the slow
# tests.
QUICK_OBJECTIVES = ("softmax", "shared_negatives", "hierarchical_softmax")
LISTED = [
    pytest.param(name, marks=[] if name in QUICK_OBJECTIVES else pytest.mark.slow)
    for name in OBJECTIVES
]


@partial(jax.jit, static_argnums=0)
def dense_gradients(objective: w2v.Objective, params: Any, batch: Any, targets: Any) -> Any:
    """Loss and gradients of both tables, in one program: jax.numpy compiles every step alone."""
    loss, found = w2v.backward(objective, params, batch, targets)
    return loss, [w2v.to_dense(g, p) for g, p in zip(found, params, strict=True)]


def rounding_floors(dtype: str, tolerance: float, terms: Any) -> Any:
    """:func:`rounding_floor` of each leaf of ``terms``."""
    return jax.tree.map(lambda size: rounding_floor(dtype, tolerance, size), terms)


def largest_error(gradient: Any, reference: Any, floors: Any) -> tuple[float, str]:
    """The error of the worst leaf and the name of its worst entry: "input[3, 2]"."""
    worst = (0.0, "")
    named = jax.tree_util.tree_leaves_with_path(gradient)
    leaves = zip(named, jax.tree.leaves(reference), jax.tree.leaves(floors), strict=True)
    for (path, found), wanted, floor in leaves:
        error, at = leaf_error(found, wanted, floor)
        if found.size and error >= worst[0]:
            worst = (error, place_of(name_of(path), found, wanted, at))
    return worst
