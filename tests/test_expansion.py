"""Each window shape equals its expansion into single pairs, and padding adds nothing."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import OBJECTIVES, QUICK_OBJECTIVES, WINDOWS, dense_gradients
from marks import slow

import w2vjax as w2v
from w2vjax.devices.mesh import on_accelerator
from w2vjax.gradcheck.cases import Size, make_case
from w2vjax.gradcheck.objectives import make_inputs, tables_of
from w2vjax.objectives.negative import negative_targets

SIZE = Size(7, 3, 2, 4, 2)
# training's own; blocks have a test of their own in test_windows.py
TRAINED = ("cbow_blocks", "cbow_weighted", "to_center")
QUICK_WINDOWS = ("blocks", *TRAINED)
# batches are made in float32, where the list's 5/12 of a negative is rounded; 5/10 is not
EXACT = OBJECTIVES | {"negative_sampling_shared": w2v.negative_sampling(num_negatives=5, shared=10)}
EVERYTHING = [
    pytest.param(
        name,
        window,
        marks=[] if name in QUICK_OBJECTIVES and window in TRAINED else pytest.mark.slow,
    )
    for name in OBJECTIVES
    for window in WINDOWS
    if window != "pairs"
]


def expand(batch: w2v.Batch) -> tuple[w2v.Batch, np.ndarray]:
    """A group for each hidden vector and each word it predicts, and where each came from."""
    group, hidden, word = np.nonzero(np.asarray(batch.weights))
    input_weights = np.asarray(batch.inputs.weights)
    input_ids = np.broadcast_to(np.asarray(batch.inputs.ids), input_weights.shape)
    # a run may have each of its means in a group of its own
    regrouped = (*batch.weights.shape[:2], -1)
    input_ids, input_weights = input_ids.reshape(regrouped), input_weights.reshape(regrouped)
    inputs = w2v.Inputs(
        jnp.asarray(input_ids[group, hidden, None]), jnp.asarray(input_weights[group, hidden, None])
    )
    words, weights = (
        np.asarray(batch.words)[group, word],
        np.asarray(batch.weights)[group, hidden, word],
    )
    return w2v.Batch(
        inputs, jnp.asarray(words[:, None]), jnp.asarray(weights[:, None, None])
    ), group


def expand_targets(
    name: str, tables: Any, batch: w2v.Batch, targets: Any, single: w2v.Batch, group: Any
) -> Any:
    """The objective of the expansion and its targets. Each group keeps its negatives."""
    if not name.startswith(("negative", "shared", "nce")):
        return OBJECTIVES[name], jax.jit(OBJECTIVES[name].select)(
            (), tables, single.words, single.weights
        )
    select = jax.jit(partial(negative_targets, num_negatives=5))
    drawn = jnp.asarray(oracles.negatives_of(batch, targets)[group])
    rows = select(single.words, single.weights, drawn)
    if name == "nce":
        shift = jnp.asarray(
            np.asarray(tables[1], np.float32)[np.asarray(rows.ids)][:, None].astype(float)
        )
        return OBJECTIVES[name], type(targets)(*rows, shift)
    return w2v.negative_sampling(5), rows


def gradients(objective: Any, params: Any, batch: Any, targets: Any) -> Any:
    loss, found = dense_gradients(objective, params, batch, targets)
    return float(loss), [np.asarray(table) for table in found]


@pytest.mark.parametrize(("name", "window"), EVERYTHING)
def test_a_window_equals_its_expansion(name: str, window: str, x64: None) -> None:
    case = make_case("zipf duplicates", SIZE)
    params, batch, targets = make_inputs(EXACT[name], WINDOWS[window], SIZE, case, "float64")
    single, group = expand(batch)
    assert len(group) >= 8
    objective, expanded = expand_targets(
        name, tables_of(EXACT[name], SIZE), batch, targets, single, group
    )
    loss, found = gradients(EXACT[name], params, batch, targets)
    expected_loss, expected = gradients(objective, params, single, expanded)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for leaf, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(leaf, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "window", [*QUICK_WINDOWS, *slow(*(name for name in WINDOWS if name not in QUICK_WINDOWS))]
)
def test_padding_changes_nothing(window: str, x64: None) -> None:
    """Equal bits with another id on padding; equal to 1e-12 with twice the runs, half padded."""
    case = make_case("half padded", SIZE)
    other = np.where(case.segments < 0, np.int32(SIZE.vocab_size - 1), case.tokens)
    objective = OBJECTIVES["hierarchical_softmax"]
    tables, shape = tables_of(objective, SIZE), WINDOWS[window]

    @jax.jit
    def made(*runs: Any) -> tuple[w2v.Batch, Any]:
        batch = shape(*runs, dtype=jnp.float64)
        return batch, objective.select((), tables, batch.words, batch.weights)

    params = w2v.Params(jnp.asarray(case.input), jnp.asarray(case.output))

    def run(*runs: Any) -> Any:
        return gradients(objective, params, *made(*runs))

    loss, plain = run(case.tokens, case.segments, case.reach)
    same_loss, refilled = run(other, case.segments, case.reach)
    padding = np.full_like(case.segments, -1)
    twice_loss, twice = run(
        np.concatenate([case.tokens, other]),
        np.concatenate([case.segments, padding]),
        np.concatenate([case.reach, case.reach]),
    )
    assert loss == same_loss > 0
    assert loss == pytest.approx(twice_loss, rel=1e-12)
    for leaf, bits, padded in zip(plain, refilled, twice, strict=True):
        # a GPU adds the numbers of a row in any order
        same = 1e-15 if on_accelerator(None) else 0
        np.testing.assert_allclose(leaf, bits, rtol=same, atol=same)
        np.testing.assert_allclose(leaf, padded, rtol=0, atol=1e-12 * np.abs(leaf).max())
