"""The kernel for GPUs against the functions that it stands for, computed without a GPU."""

import sys
import warnings
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow

from w2vjax.devices import fused
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.training.methods import make_objective
from w2vjax.types import Objective


class Case(NamedTuple):
    """Sizes of a step. Few are powers of two, as the kernel's own sizes are."""

    V: int = 60
    D: int = 20
    B: int = 4
    T: int = 3
    P: int = 7
    K: int = 5
    S: int = 2
    dtype: str = "float32"


CASES = [
    *slow((Case(),)),
    *slow((Case(D=128, T=16, P=26, K=32, S=4),)),  # as shipped
    *slow((Case(D=300, B=2, T=4),)),  # in three parts
    *slow((Case(B=1, T=1, P=1, K=1, S=1, D=1),)),
    Case(B=3, S=3, T=17, P=19, V=4),  # above powers of two, and rows that repeat
    *slow((Case(dtype="bfloat16"),)),
]


@cache
def objective_of(case: Case) -> Objective:
    return shared_negatives(3, 0.75, case.K, case.S)


def step_of(objective: Objective, case: Case) -> tuple[Any, ...]:
    """Hidden vectors, an output table and targets, all random."""
    rng = np.random.default_rng(1)
    words = jnp.asarray(rng.integers(0, case.V, (case.B, case.P)), jnp.int32)
    weights = jnp.asarray(rng.random((case.B, case.T, case.P)) < 0.8, jnp.float32)
    weights = weights.at[0, 0, 0].set(1)
    tables = objective.init(np.arange(case.V, 0, -1))
    draws = objective.draw(jax.random.key(0), tables, (case.B,))
    hidden, output = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((case.B, case.T, case.D), (case.V, case.D))
    )
    return hidden, output.astype(case.dtype), objective.select(draws, tables, words, weights)


@cache
def programs(objective: Objective) -> tuple[Any, Any]:
    """What XLA computes, and what the kernel does."""
    kernel = partial(fused.on_gpu(objective).bounded, objective.backward, interpret=True)
    return jax.jit(partial(objective.bounded, objective.backward)), jax.jit(kernel)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_is_the_function(case: Case) -> None:
    objective = objective_of(case)
    wanted, found = (run(*step_of(objective, case)) for run in programs(objective))
    np.testing.assert_array_equal(wanted[1].ids, found[1].ids)
    for want, got in zip(jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
        assert (want.shape, want.dtype) == (got.shape, got.dtype)
        # measured: 2.5e-7, at D=300
        assert float(jnp.abs(want - got).max()) < 1e-6 * float(jnp.abs(want).max())


@pytest.mark.slow
def test_runs_side_by_side_are_runs_alone() -> None:
    objective, steps = objective_of(Case()), []
    for scale in (1.0, 2.0):
        hidden, output, targets = step_of(objective, Case())
        steps.append((hidden * scale, output, targets))
    _, kernel = programs(objective)
    together = jax.vmap(kernel)(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps))
    for number, step in enumerate(steps):
        for want, got in zip(
            jax.tree.leaves(kernel(*step)), jax.tree.leaves(together), strict=True
        ):
            np.testing.assert_allclose(want, got[number], rtol=1e-6)


@pytest.mark.parametrize("place", [0, *slow(1)])
def test_what_is_not_finite_reaches_the_bounds(place: int) -> None:
    """Training reads off them whether a step was sound."""
    objective = objective_of(Case())
    step = list(step_of(objective, Case()))
    row = (0, 0, 0) if place == 0 else (int(step[2].words[0, 0]), 0)
    step[place] = step[place].at[row].set(jnp.nan)
    _, _, of_hidden, _ = programs(objective)[1](*step)
    assert not bool(jnp.isfinite(of_hidden.sum()))


@pytest.mark.slow
def test_groups_that_are_too_large_are_left_to_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    def launched(*_: Any) -> None:
        raise AssertionError("the kernel was launched")

    monkeypatch.setattr(fused, "scored", launched)

    def traced(case: Case) -> None:
        objective = objective_of(case)
        kernel = partial(fused.on_gpu(objective).bounded, objective.backward, interpret=True)
        jax.eval_shape(kernel, *step_of(objective, case))

    traced(Case(T=64, S=4, K=64))
    traced(Case(T=64, S=1, P=130))
    with pytest.raises(AssertionError, match="launched"):
        traced(Case())


def test_an_objective_without_a_kernel_stays_as_it_is() -> None:
    for mine in (softmax(), hierarchical_softmax(), objective_of(Case())._replace(bounded=None)):
        assert fused.on_gpu(mine) is mine
    assert fused.on_gpu(objective_of(Case())) == fused.on_gpu(objective_of(Case()))  # one program


def test_a_jax_without_triton_trains_by_the_kernels_of_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_objective("negative", platform="gpu").bounded is fused.shared_bounded_on_gpu
    monkeypatch.delitem(sys.modules, "w2vjax.devices.fused")
    monkeypatch.delattr("w2vjax.devices.fused")
    monkeypatch.setitem(sys.modules, "jax.experimental.pallas.triton", None)
    monkeypatch.delattr("jax.experimental.pallas.triton")
    assert make_objective("negative", platform="gpu") == make_objective("negative")


def test_a_warning_of_triton_does_not_end_a_training_where_warnings_are_errors() -> None:
    case = Case()
    objective = objective_of(case)
    kernel = partial(fused.on_gpu(objective).bounded, objective.backward, interpret=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(kernel, *step_of(objective, case))
        warnings.warn(
            "The Pallas Triton backend is deprecated and will be removed in a future JAX version.",
            DeprecationWarning,
            stacklevel=1,
        )
        with pytest.raises(DeprecationWarning, match="another"):
            warnings.warn("another", DeprecationWarning, stacklevel=1)
