"""Window shapes: one value by hand, and each shape equals its expansion into pairs."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import dense_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from marks import slow

import w2vjax as w2v
from w2vjax.gradcheck.cases import SIZES, make_case
from w2vjax.gradcheck.expansions import cbow_apart_batch, cbow_batch, pair_batch
from w2vjax.objectives.softmax import softmax
from w2vjax.types import Batch, Inputs, Params
from w2vjax.windows.cbow import cbow, cbow_block_batch, cbow_single_batch, cbow_weighted_batch
from w2vjax.windows.skipgram import pairs

SIZE = SIZES["60 x 10, 330 pairs"]
KINDS = ["ordinary", "zipf duplicates", "half padded", "one-word lines", "short reach", "empty"]


def expected_pairs(case: Any) -> list[tuple[int, int, int, int]]:
    """(run, place of center, center, context) by the definition, in plain Python."""
    window = (case.tokens.shape[1] - case.reach.shape[1]) // 2
    found = []
    for b, run in enumerate(case.tokens):
        for t in range(case.reach.shape[1]):
            center = t + window
            for p in range(len(run)):
                near = 0 < abs(p - center) <= case.reach[b, t]
                if near and case.segments[b, p] == case.segments[b, center] >= 0:
                    found.append((b, t, int(run[center]), int(run[p])))
    return sorted(found)


PROGRAMS = [jax.jit(each) for each in (w2v.windows.block_batch, pair_batch, cbow_apart_batch)]


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_pairs_and_cbow_hold_the_pairs_of_the_definition(kind: str) -> None:
    hold_the_pairs_of_the_definition(make_case(kind, SIZE))


def entries(least: int, most: int, *shape: int) -> st.SearchStrategy[Any]:
    return arrays(np.int32, shape, elements=st.integers(least, most))


@given(entries(0, 4, 2, 11), entries(-1, 3, 2, 11), entries(0, 3, 2, 5))
@settings(max_examples=150)
def test_any_words_lines_and_reaches_give_the_pairs_of_the_definition(
    tokens: Any, lines: Any, reach: Any
) -> None:
    segments = np.where(lines < 0, -1, np.maximum.accumulate(lines, 1)).astype(np.int32)
    hold_the_pairs_of_the_definition(SimpleNamespace(tokens=tokens, segments=segments, reach=reach))


def hold_the_pairs_of_the_definition(case: Any) -> None:
    block_of, pairs_of, cbow_of = PROGRAMS
    runs, expected = (case.tokens, case.segments, case.reach), expected_pairs(case)
    block = jax.tree.map(np.asarray, block_of(*runs))
    in_block = [
        (b, t, block.inputs.ids[b, t, 0], block.words[b, p])
        for b, t, p in np.argwhere(block.weights)
    ]
    assert sorted(in_block) == expected
    pairs = jax.tree.map(np.asarray, pairs_of(*runs))
    real = np.flatnonzero(pairs.weights)
    in_pairs = zip(pairs.inputs.ids[real, 0, 0], pairs.words[real, 0], strict=True)
    assert sorted(in_pairs) == sorted((center, context) for _, _, center, context in expected)
    cbow = jax.tree.map(np.asarray, cbow_of(*runs))
    in_cbow = [
        (b, t, cbow.words[b, t], cbow.inputs.ids[b, t, c])
        for b, t, c in np.argwhere(cbow.inputs.weights)
    ]
    assert sorted(in_cbow) == expected
    sums = cbow.inputs.weights.sum(-1)
    np.testing.assert_allclose(sums[sums > 0], 1, rtol=1e-6)  # measured 1.2e-7
    assert ((cbow.weights.sum(-1) > 0) == (sums > 0)).all()


def gradients(objective: Any, params: Any, batch: Batch, targets: Any) -> Any:
    loss, found = dense_gradients(objective, params, batch, targets)
    return float(loss), [np.asarray(table) for table in found]


def assert_same(first: Any, second: Any) -> None:
    assert first[0] == pytest.approx(second[0], rel=1e-12)
    for a, b in zip(first[1], second[1], strict=True):
        # measured 4e-15
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(b).max()))


def double(batch: Batch) -> Batch:
    return jax.tree.map(
        lambda leaf: leaf.astype(float) if leaf.dtype == jnp.float32 else leaf, batch
    )


def spread(block: Any) -> tuple[Batch, np.ndarray]:
    """A block as pairs, with the block that each pair came from."""
    at = np.argwhere(np.asarray(block.weights))
    b, t, p = at.T
    ids, words = np.asarray(block.inputs.ids), np.asarray(block.words)
    return w2v.pairs(ids[b, t, 0], words[b, p], dtype=float), b


def test_a_block_equals_its_pairs_for_every_objective(x64: None) -> None:
    case = make_case("zipf duplicates", SIZE)
    params = w2v.Params(jnp.asarray(case.input), jnp.asarray(case.output))
    block = double(jax.jit(w2v.windows.block_batch)(case.tokens, case.segments, case.reach))
    pairs, origin = spread(block)
    for objective in (w2v.softmax(), w2v.hierarchical_softmax()):
        tables = objective.init(np.arange(1, 61))
        of_block = jax.jit(objective.select)((), tables, block.words, block.weights)
        of_pairs = jax.jit(objective.select)((), tables, pairs.words, pairs.weights)
        assert_same(
            gradients(objective, params, block, of_block),
            gradients(objective, params, pairs, of_pairs),
        )
    from w2vjax.objectives.negative import negative_targets

    objective = w2v.negative_sampling(5, shared=12)
    negatives = jnp.asarray(
        np.random.default_rng(0).integers(0, 5, (len(case.tokens), 12)), jnp.int32
    )
    select = jax.jit(partial(negative_targets, num_negatives=5))
    of_block = select(block.words, block.weights, negatives)
    of_pairs = select(pairs.words, pairs.weights, negatives[origin])
    assert_same(
        gradients(objective, params, block, of_block), gradients(objective, params, pairs, of_pairs)
    )


def test_cbow_equals_its_expansion_into_pairs(x64: None) -> None:
    """The loss is that of one pair whose input row is the mean; its gradient is shared out."""
    case = make_case("ordinary", SIZE)
    params = w2v.Params(jnp.asarray(case.input), jnp.asarray(case.output))
    contexts = np.random.default_rng(0).integers(0, 60, (20, 4))
    centers = np.arange(20)
    batch = w2v.cbow(contexts, centers, dtype=float)
    objective = w2v.softmax()
    targets = jax.jit(objective.select)((), (), batch.words, batch.weights)
    loss, (d_input, d_output) = gradients(objective, params, batch, targets)
    mean_params = w2v.Params(params.input[contexts].mean(1), params.output)
    pairs = w2v.pairs(np.arange(20), centers, dtype=float)
    pair_loss, (d_mean, d_pair_output) = gradients(objective, mean_params, pairs, targets)
    wanted = np.zeros((60, 10))
    np.add.at(wanted, contexts, d_mean[:, None] / 4)
    assert_same((loss, [d_input, d_output]), (pair_loss, [wanted, d_pair_output]))
    block = double(jax.jit(cbow_apart_batch)(case.tokens, case.segments, case.reach))
    single = double(jax.jit(cbow_batch)(case.tokens, case.segments, case.reach))
    of_block = jax.jit(objective.select)((), (), block.words, block.weights)
    of_single = jax.jit(objective.select)((), (), single.words, single.weights)
    assert_same(
        gradients(objective, params, block, of_block),
        gradients(objective, params, single, of_single),
    )


def test_undivided_cbow_is_count_times_the_gradient() -> None:
    batch = w2v.cbow([[0, 1, 2], [3, 3, 0]], [1, 2], [[1, 1, 1], [1, 1, 0]])
    d_hidden = jnp.asarray([[[3.0, 6.0]], [[2.0, 4.0]]])
    exact = w2v.objectives.embed_backward(d_hidden, batch.inputs).values.reshape(2, 3, 2)
    undivided = w2v.objectives.embed_backward_undivided(d_hidden, batch.inputs).values.reshape(
        2, 3, 2
    )
    np.testing.assert_allclose(undivided[0], 3 * exact[0], rtol=1e-6)
    np.testing.assert_array_equal(undivided[1], [[2, 4], [2, 4], [0, 0]])


def test_window_larger_than_the_line_and_window_zero() -> None:
    tokens, segments = jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3), jnp.int32)
    reach = jnp.zeros((1, 3), jnp.int32)
    for window in (w2v.windows.block_batch, pair_batch, cbow_batch):
        assert float(jax.jit(window)(tokens, segments, reach).weights.sum()) == 0


def test_inputs_are_a_pytree() -> None:
    assert isinstance(jax.tree.map(lambda x: x, w2v.pairs([0], [1])).inputs, Inputs)


def test_a_run_of_cbow_equals_its_blocks() -> None:
    random = np.random.default_rng(4)
    tokens = jnp.asarray(random.integers(0, 9, (3, 14)), jnp.int32)
    segments = jnp.asarray(np.sort(random.integers(-1, 3, (3, 14)), -1), jnp.int32)
    reach = jnp.asarray(random.integers(1, 4, (3, 8)), jnp.int32)
    params = Params(*(jnp.asarray(random.normal(size=(9, 5)), jnp.float32) for _ in range(2)))
    results = []
    for windows in (cbow_apart_batch, cbow_block_batch, cbow_single_batch):
        batch = jax.jit(windows)(tokens, segments, reach)
        targets = jax.jit(softmax().select)((), (), batch.words, batch.weights)
        loss, dense = gradients(softmax(), params, batch, targets)
        results.append((loss, *dense))
    for blocks, *others in zip(*results, strict=True):
        for other in others:
            # measured 5e-7 in float32
            np.testing.assert_allclose(blocks, other, rtol=1e-5, atol=2e-6)


def test_a_counted_mean_weighs_its_words_and_each_of_them_gets_the_whole_step(x64: None) -> None:
    case = make_case("zipf duplicates", SIZE)
    runs = (case.tokens, case.segments, case.reach)
    plain, counted = (
        jax.jit(partial(windows, dtype=jnp.float64))(*runs)
        for windows in (cbow_single_batch, cbow_weighted_batch)
    )
    words = np.asarray(plain.inputs.weights > 0).sum(-1).reshape(-1)
    assert set(words) > {0, 2, 6}
    scale = SIZE.window + 1
    np.testing.assert_allclose(scale * counted.weights.reshape(-1), words, rtol=1e-15)  # measured 0
    random = np.random.default_rng(5)
    params = Params(
        *(jnp.asarray(random.normal(size=(SIZE.vocab_size, SIZE.dim))) for _ in range(2))
    )

    @jax.jit
    def found(counted: Batch, plain: Batch) -> Any:
        select, undivided = softmax().select, w2v.objectives.embed_backward_undivided
        targets = select((), (), plain.words, plain.weights)
        hidden = w2v.objectives.hidden_vectors(params.input, plain)
        losses = softmax().loss(hidden, params.output, targets)
        _, rows = w2v.backward(softmax(), params, plain, targets, undivided)
        targets = select((), (), counted.words, counted.weights)
        loss, by_input = w2v.backward(softmax(), params, counted, targets)
        dense = [w2v.to_dense(found.input, params.input) for found in (by_input, rows)]
        return losses, loss, *dense

    losses, loss, by_input, undivided = map(np.asarray, found(counted, plain))
    # measured 2e-16
    assert scale * loss == pytest.approx(words @ losses.reshape(-1), rel=1e-12)
    # measured 5e-16
    np.testing.assert_allclose(scale * by_input, undivided, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("window", [1, 10, *slow(2)])
def test_counted_means_weigh_one_on_average_at_any_window(window: int) -> None:
    tokens = jnp.ones((1, 4000 + 2 * window), jnp.int32)
    reach = w2v.windows.draw_reach(jax.random.key(0), (1, 4000), window)
    batch = jax.jit(cbow_weighted_batch)(tokens, jnp.zeros_like(tokens), reach)
    # 4 standard errors at window 10
    assert float(batch.weights.mean()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("dtype", [int, "uint8", bool, complex, "x", "S3"])
def test_weights_are_floats_for_every_shape(dtype: Any) -> None:
    """Whole numbers would make 0 of the weights 0.5 and 1/2."""
    block = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]]), jnp.asarray([[1, 1]])
    shapes = [getattr(w2v.windows, name) for name in w2v.windows.__all__ if name.endswith("_batch")]
    assert len(shapes) >= 6
    for shape in shapes:
        with pytest.raises(w2v.errors.SettingError, match="dtype="):
            shape(*block, dtype)
    for batch in (
        lambda: pairs([0], [1], [0.5], dtype=dtype),
        lambda: pairs([0], [1], dtype=dtype),
        lambda: cbow([[0, 2]], [1], dtype=dtype),
    ):
        with pytest.raises(w2v.errors.SettingError, match="dtype="):
            batch()


@pytest.mark.parametrize("bad", [["a"], ["1"], [1j], jnp.asarray([1j]), [[1], [1, 2]], {}, [{}]])
def test_weights_and_masks_are_real_numbers(bad: Any) -> None:
    with pytest.raises(w2v.errors.SettingError, match=r"weights=.*real numbers"):
        pairs([0], [1], bad)
    with pytest.raises(w2v.errors.SettingError, match=r"mask=.*real numbers"):
        cbow([[0]], [1], bad)


def test_weights_may_be_traced() -> None:
    found = jax.jit(lambda weights: pairs([0, 1], [1, 2], weights).weights)(jnp.asarray([1, 2]))
    assert found.ravel().tolist() == [1.0, 2.0]
    masked = jax.jit(lambda mask: cbow([[0, 2]], [1], mask).inputs.weights)
    assert masked(jnp.asarray([[True, False]])).tolist() == [[[1.0, 0.0]]]


def test_the_letters_of_shapes_stand_in_the_package_and_nowhere_else() -> None:
    legend = [line for line in (w2v.__doc__ or "").splitlines() if line.startswith("    ")]
    letters = [line for line in legend if not line.startswith("    >>>")]
    assert len(letters) == 7
    elsewhere = w2v.types.__doc__ or ""
    assert not set(letters) & set(elsewhere.splitlines())
    assert "``help(w2vjax)`` explains the letters of shapes" in elsewhere
    assert "[B, T, P] how much hidden vector t" in (w2v.Batch.__doc__ or "")
