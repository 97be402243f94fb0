"""The noise of negative sampling: its table, its draws, and negatives that blocks share."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import LISTED, OBJECTIVES
from hypothesis import example, given
from hypothesis import strategies as st

import w2vjax as w2v
from w2vjax.gradcheck.cases import Size, counts, make_case
from w2vjax.gradcheck.objectives import WINDOWS, tables_of
from w2vjax.objectives.negative import alias_table, multiply_wide, negative_targets, pick

TINY = Size(7, 3, 2, 4, 2)


@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=70).filter(any)
    | st.integers(0, 99).map(lambda seed: np.random.default_rng(seed).integers(0, 1000, 999)),
    st.sampled_from([0.75, 0.0, 0.5, 1.0]),
)
@example([5], 0.75)
@example([0, 0, 3], 0.75)
@example([1] * 64, 0.75)
def test_alias_table_holds_the_distribution_exactly(mass: Any, exponent: float) -> None:
    keep, other = (np.asarray(leaf).astype(np.int64) for leaf in alias_table(mass, exponent))
    size = len(keep)
    share = np.where(other == np.arange(size), 2**32, keep) / 2**32
    found = share.copy()
    np.add.at(found, other, 1 - share)
    wanted = np.asarray(mass, float) ** exponent * (np.asarray(mass) > 0)
    # 2^-33 a slot
    np.testing.assert_allclose(found / size, wanted / wanted.sum(), rtol=0, atol=1.5 * 2.0**-32)


@pytest.mark.parametrize("factor", [1, 7, 65536, 99_999, 2**31 - 1])
def test_wide_products_are_exact(factor: int) -> None:
    x = np.random.default_rng(0).integers(0, 2**32, 1000, dtype=np.uint32)
    x[:2] = 0, 2**32 - 1
    high, low = multiply_wide(jnp.asarray(x), factor)
    for value, h, l in zip(
        x.tolist(), np.asarray(high).tolist(), np.asarray(low).tolist(), strict=True
    ):
        assert h * 2**32 + l == value * factor


def test_pick_is_the_fixed_point_product() -> None:
    rng = np.random.default_rng(1)
    table = alias_table(rng.integers(1, 100, 77))
    high, low = rng.integers(0, 2**32, (2, 2000), dtype=np.uint32)
    keep, other = np.asarray(table.keep).tolist(), np.asarray(table.other).tolist()
    found = np.asarray(pick(jnp.asarray(high), jnp.asarray(low), table)).tolist()
    for h, l, word in zip(high.tolist(), low.tolist(), found, strict=True):
        point = (h * 2**32 + l) * 77
        slot, coin = point >> 64, (point >> 32) % 2**32
        assert word == (slot if coin < keep[slot] else other[slot])


@pytest.mark.parametrize("exponent", [0.75, 1.0, 0.0])
def test_negatives_follow_the_noise(exponent: float) -> None:
    """Chi-square of 200,000 draws over 40 words: 39 degrees of freedom, 99.9 % below 73.4."""
    mass = np.arange(1, 41) ** 2
    objective = w2v.negative_sampling(num_negatives=1, exponent=exponent, shared=1000)
    words, weights = jnp.zeros((200, 1), jnp.int32), jnp.ones((200, 1, 1))
    tables = objective.init(mass)

    @jax.jit
    def select(key: jax.Array) -> Any:
        return objective.select(objective.draw(key, tables, (200,)), tables, words, weights)

    targets = select(jax.random.key(3))
    drawn = np.bincount(np.asarray(targets.ids)[:, 1:].ravel(), minlength=40)
    wanted = mass**exponent / (mass**exponent).sum() * drawn.sum()
    assert ((drawn - wanted) ** 2 / wanted).sum() < 73.4  # measured 27 to 45


def test_shared_negatives_keep_the_expected_weight() -> None:
    objective = w2v.negative_sampling(num_negatives=5, shared=10)
    batch = jax.jit(w2v.windows.block_batch)(*make_case("two words", TINY)[2:])
    draw = jax.jit(partial(w2v.draw_targets, objective))
    targets = draw(jax.random.key(0), objective.init(counts(TINY)), batch)
    batch, targets = jax.tree.map(np.asarray, (batch, targets))
    P = batch.words.shape[1]
    for b, t, k in np.ndindex(*batch.weights.shape[:2], 10):
        differs = np.asarray(batch.words[b] != targets.ids[b, P + k])
        wanted = 5 / 10 * float((np.asarray(batch.weights[b, t]) * differs).sum())
        assert float(targets.weights[b, t, P + k]) == pytest.approx(wanted, rel=1e-6)


CLASHING = Size(4, 3, 4, 4, 2)
FAST_AND_CLEAR = [
    ("blocks", 1),
    ("blocks", 2),
    *(
        pytest.param(window, span, marks=pytest.mark.slow)
        for window, span in [("cbow_apart", 4), ("pairs", 2)]
    ),
]


@pytest.mark.parametrize(("window", "span"), FAST_AND_CLEAR)
def test_the_fast_shared_negatives_equal_the_clear_ones(window: str, span: int, x64: None) -> None:
    """Losses and both gradients, where a positive is drawn once, twice (1 - c = 0) or more."""
    fast, clear = w2v.shared_negatives(5, shared=10, span=span), w2v.negative_sampling(5, shared=10)
    case, key = make_case("ordinary", CLASHING), jax.random.key(1)
    tables = tables_of(clear, CLASHING)

    @jax.jit
    def made(*blocks: jax.Array) -> Any:
        batch = WINDOWS[window](*blocks, dtype=jnp.float64)
        mine = w2v.draw_targets(fast, key, tables, batch)
        if span == 1:
            other = w2v.draw_targets(clear, key, tables, batch)
        else:
            drawn = jnp.repeat(mine.negatives, span, 0)
            other = negative_targets(batch.words, batch.weights, drawn, 5)
        return batch, mine, other

    batch, mine, other = made(*case[2:])
    kept = np.asarray(mine.kept)[np.asarray(batch.weights).any(1)]
    assert (kept == 0).any()
    assert (kept < 0).any()
    assert (kept > 0).any()
    hidden = w2v.objectives.embed(jnp.asarray(case.input), batch.inputs)
    output = jnp.asarray(case.output)
    (losses, (d_hidden, rows)), (wanted, (d_wanted, wanted_rows)) = (
        jax.jit(lambda *inputs, o=o: (o.loss(*inputs), o.backward(*inputs)))(hidden, output, t)
        for o, t in ((fast, mine), (clear, other))
    )
    np.testing.assert_allclose(losses, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(d_hidden, d_wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        w2v.to_dense(rows, output), w2v.to_dense(wanted_rows, output), rtol=0, atol=1e-12
    )


@pytest.mark.slow
def test_negatives_drawn_ahead_are_selected_step_by_step() -> None:
    """Draws for three steps at once: each step has its own, in the shape of a single step."""
    words, weights, key = jnp.zeros((6, 3), jnp.int32), jnp.ones((6, 2, 3)), jax.random.key(0)
    for objective, spans in (
        (w2v.shared_negatives(5, shared=10, span=2), 3),
        (w2v.negative_sampling(10), 6),
    ):
        tables = objective.init([5, 3, 2])
        ahead, single = (objective.draw(key, tables, shape) for shape in ((3, 6), (6,)))
        assert ahead.shape == (3, *single.shape) == (3, spans, 10)
        assert not (ahead[0] == ahead[1]).all()
        targets = objective.select(ahead[1], tables, words, weights)
        drawn = targets.negatives if spans == 3 else targets.ids[:, 3:]
        np.testing.assert_array_equal(drawn, ahead[1])
        assert objective.sharing(targets) == 6 // spans


@pytest.mark.parametrize("name", LISTED)
def test_a_key_of_the_old_kind_draws_what_a_new_one_does(name: str) -> None:
    """jax.random.PRNGKey is an array of numbers, as draws are. The two must not be confused."""
    objective, batch = OBJECTIVES[name], w2v.pairs([0, 1, 2, 3], [1, 2, 3, 0], vocab_size=4)
    tables = objective.init([4, 3, 2, 1])
    old, new = (
        jax.jit(partial(w2v.draw_targets, objective))(key, tables, batch)
        for key in (jax.random.PRNGKey(7), jax.random.key(7, impl="threefry2x32"))
    )
    for one, other in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rows_of_shared_negatives_are_words_and_then_negatives() -> None:
    objective, words = (
        w2v.shared_negatives(2, shared=3, span=2),
        jnp.asarray([[0, 1], [2, 3]], jnp.int32),
    )
    targets = objective.select(jnp.asarray([[3, 0, 3]]), (), words, jnp.ones((2, 1, 2)))
    assert targets.ids.tolist() == [[0, 1, 3, 0, 3], [2, 3, 3, 0, 3]]
