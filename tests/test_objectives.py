"""Objectives against independent losses and identities. test_gradcheck.py has the gradients."""

import itertools
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import LISTED, OBJECTIVES, dense_gradients

import w2vjax as w2v
from w2vjax import trees
from w2vjax.gradcheck.cases import Size, make_case
from w2vjax.gradcheck.differences import difference_error
from w2vjax.gradcheck.objectives import WINDOWS, make_inputs, tables_of
from w2vjax.objectives.huffman import huffman_tree
from w2vjax.objectives.logistic import logistic, logistic_backward
from w2vjax.objectives.model import init_params
from w2vjax.objectives.softmax import add_logits, no_logits, softmax_backward, softmax_loss
from w2vjax.training.methods import make_objective, method

TINY = Size(7, 3, 2, 4, 2)


def tiny(name: str, window: str = "blocks", kind: str = "ordinary", size: Size = TINY) -> Any:
    case = make_case(kind, size)
    inputs = make_inputs(OBJECTIVES[name], WINDOWS[window], size, case, "float64")
    return OBJECTIVES[name], inputs, tables_of(OBJECTIVES[name], size)


@pytest.mark.parametrize(
    "window",
    ["blocks", *(pytest.param(w, marks=pytest.mark.slow) for w in WINDOWS if w != "blocks")],
)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "shared_negatives" else pytest.mark.slow)
        for name in oracles.LOSSES
    ],
)
def test_loss_and_whole_jacobian_equal_an_independent_loss(
    name: str, window: str, x64: None
) -> None:
    objective, (params, batch, targets), tables = tiny(name, window)
    loss, gradients = dense_gradients(objective, params, batch, targets)

    def oracle(moved: Any) -> float:
        return oracles.LOSSES[name](moved, batch, targets, tables)

    # 1/3 is stored in float32: measured 2e-8
    assert float(loss) == pytest.approx(oracle(params), rel=1e-7)
    dense = w2v.Params(*map(np.asarray, gradients))
    everything = sum(p.size for p in params)
    # measured 2e-8: 1/3, again
    found = difference_error(oracle, dense, params, everything, 1e-3)
    assert found is not None
    assert found[0] <= 1e-7


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_logistic_at_the_extremes(dtype: Any, x64: None) -> None:
    half = float(np.finfo(dtype).max) / 2
    scores = jnp.asarray([0, 50, -50, 1e4, -1e4, half, -half], dtype)
    one, zero = jnp.ones_like(scores), jnp.zeros_like(scores)
    positive = [math.log(2), math.exp(-50), 50, 0, 1e4, 0, half]
    negative = [math.log(2), 50, math.exp(-50), 1e4, 0, half, 0]
    np.testing.assert_allclose(logistic(scores, one, one), positive, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(logistic(scores, zero, one), negative, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        logistic_backward(scores, one, one), [-0.5, 0, -1, 0, -1, 0, -1], atol=1e-6
    )
    np.testing.assert_allclose(
        logistic_backward(scores, zero, one), [0.5, 1, 0, 1, 0, 1, 0], atol=1e-6
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_softmax_at_the_extremes(dtype: Any, x64: None) -> None:
    half = float(np.finfo(dtype).max) / 2
    rows = [[50, -50], [1e4, -1e4], [half, -half], [-half, -half], [0, -np.inf], [-np.inf, -np.inf]]
    logits = jnp.asarray(rows, dtype)[None]  # [B=1, T=6, V=2]
    weights = jnp.ones((1, 6, 1), dtype).at[0, 5].set(0)  # the last is masked
    ids = jnp.zeros((1, 1), jnp.int32)
    nothing = no_logits(jnp.zeros((1, 6, 1), dtype))

    @jax.jit
    def computed(logits: jax.Array) -> Any:
        total = add_logits(nothing, logits)
        chunked = add_logits(add_logits(nothing, logits[..., :1]), logits[..., 1:])
        losses = [softmax_loss(found, logits[..., :1], weights)[0] for found in (total, chunked)]
        errors = [softmax_backward(logits, total, ids + right, weights) for right in (0, 1)]
        return losses, errors

    losses, (error, other) = computed(logits)
    for found in losses:
        np.testing.assert_allclose(found, [0, 0, 0, math.log(2), 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        error[0], [[0, 0], [0, 0], [0, 0], [-0.5, 0.5], [0, 0], [0, 0]], atol=1e-6
    )
    np.testing.assert_allclose(other[0, :3], [[1, -1]] * 3, atol=1e-6)


@pytest.mark.parametrize("name", LISTED)
def test_an_empty_batch_has_loss_and_gradient_zero(name: str) -> None:
    objective, (params, batch, targets), _ = tiny(name, kind="empty")
    params, batch, targets = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float32) if leaf.dtype == float else leaf,
        (params, batch, targets),
    )
    loss, gradients = dense_gradients(objective, params, batch, targets)
    assert float(loss) == 0
    assert not any(np.asarray(gradient).any() for gradient in gradients)


@pytest.mark.parametrize("vocab_size", [1, 2, 3, 60])
def test_hierarchical_probabilities_sum_to_one(vocab_size: int, x64: None) -> None:
    rng = np.random.default_rng(vocab_size)
    objective = w2v.hierarchical_softmax()
    tables = objective.init(rng.integers(0, 1000, vocab_size))
    words = np.arange(vocab_size, dtype=np.int32)[None]
    hidden = np.broadcast_to(rng.normal(size=(1, 1, 4)), (1, vocab_size, 4))
    targets = jax.jit(objective.select)((), tables, words, np.eye(vocab_size)[None])
    output = rng.normal(size=(vocab_size, 4))
    losses = jax.jit(objective.loss)(hidden, output, targets)
    assert np.exp(-np.asarray(losses)).sum() == pytest.approx(1, abs=1e-12)  # measured 2e-16


def test_huffman_tree_is_optimal_and_prefix_free() -> None:
    """Its cost equals that of merging the two lightest again and again, by sorting each time."""
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 100):
        mass = rng.integers(0, 50, size).tolist()
        tree = huffman_tree(mass)
        weights, cost = sorted(mass), 0
        while len(weights) > 1:
            merged = weights[0] + weights[1]
            cost += merged
            weights = sorted([merged, *weights[2:]])
        assert int((np.asarray(mass) * np.asarray(tree.lengths)).sum()) == cost
        check_tree(tree)


def check_tree(tree: Any) -> None:
    """One tree: all paths differ, none begins another, and they share only their beginnings."""
    nodes, codes, lengths = map(np.asarray, tree)
    size = len(lengths)
    paths = {tuple(codes[w, : lengths[w]]) for w in range(size)}
    assert len(paths) == size
    assert not any(a != b and a == b[: len(a)] for a in paths for b in paths)
    after = {}  # the node that is reached by these branches
    for word in range(size):
        for step in range(lengths[word]):
            branches = tuple(codes[word, :step])
            assert after.setdefault(branches, nodes[word, step]) == nodes[word, step]
    # a node each, and every row but the last is one
    assert sorted(after.values()) == list(range(size - 1))
    assert not any(
        nodes[w, lengths[w] :].any() or codes[w, lengths[w] :].any() for w in range(size)
    )


@pytest.mark.parametrize("spare", [0, 1 / 3, 1, 3])
def test_a_tree_of_few_levels_is_the_cheapest_of_all_such(spare: float) -> None:
    """Against every list of rising lengths that a tree can have (Kraft's inequality)."""
    rng = np.random.default_rng(int(3 * spare))
    for size in (1, 2, 3, 4, 5, 7, 8):
        mass = np.sort(rng.integers(0, 3**8, size) // 3 ** rng.integers(0, 8, size))[::-1]
        tree = huffman_tree(mass, spare)
        longest = int(np.ceil(np.log2(size * (1 + spare))))
        assert tree.nodes.shape[1] <= max(longest, 1)
        every = itertools.combinations_with_replacement(range(1, longest + 1), size)
        costs = [
            int((mass * lengths).sum()) for lengths in every if sum(2.0**-n for n in lengths) <= 1
        ]
        assert int((mass * np.asarray(tree.lengths)).sum()) == (min(costs) if size > 1 else 0)
        check_tree(tree)


def test_the_tree_that_trains_is_near_huffmans_whatever_the_size_of_the_vocabulary() -> None:
    """Also at powers of two, where the fewest levels would put all words at one depth."""
    shipped = make_objective("hierarchical")
    for size in (1000, 1024, 1025, 4000, 4096):
        mass = 1e6 / np.arange(1, size + 1)
        best, tree = huffman_tree(mass), shipped.init(mass)
        deeper = (mass * np.asarray(tree.lengths)).sum() / (mass * np.asarray(best.lengths)).sum()
        assert deeper < 1.06, (size, deeper)  # measured 1.034 at most
        assert tree.nodes.shape[1] < best.nodes.shape[1]


def test_a_tree_deeper_than_64_bits_is_cut() -> None:
    counts = [1, 1]
    while len(counts) < 80:  # Fibonacci's: each level holds one word
        counts.append(counts[-1] + counts[-2])
    tree = huffman_tree(counts)
    assert int(tree.lengths.max()) == 62
    check_tree(tree)


def test_groups_that_share_negatives_have_no_gradient_of_their_own() -> None:
    objective, (params, batch, targets), _ = tiny("shared_negatives")
    with pytest.raises(w2v.errors.SettingError, match="span=1"):
        w2v.objectives.per_example_backward(objective, params, batch, targets)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: w2v.shared_negatives(5, span=0), "span=0"),
        (lambda: w2v.negative_sampling(0), "num_negatives=0"),
        (lambda: w2v.negative_sampling(5, shared=0), "shared=0"),
        (lambda: w2v.negative_sampling(5, exponent=float("nan")), "exponent=nan"),
        (lambda: w2v.softmax(chunk=0), "chunk=0"),
        (lambda: w2v.softmax(chunk=2.5), "chunk=2.5"),
        (lambda: w2v.shared_negatives(5, span=1.5), "span=1.5"),
        (lambda: w2v.negative_sampling(2.5), "num_negatives=2.5"),
        (lambda: w2v.negative_sampling(float("nan")), "num_negatives=nan"),
        (lambda: w2v.negative_sampling(5, shared=True), "shared=True"),
        (lambda: w2v.hierarchical_softmax(float("nan")).init([1, 2]), "spare=nan"),
        (lambda: w2v.hierarchical_softmax(float("inf")).init([1, 2]), "spare=inf"),
        (lambda: w2v.hierarchical_softmax(a=0), "a=0"),
        (lambda: w2v.hierarchical_softmax(b=-1), "b=-1"),
        *(
            (lambda bad=bad, of=of: w2v.hierarchical_softmax(**{of: bad}).init([1, 2]), of)
            for of in ("a", "b", "spare")
            for bad in ("x", 1j, [0.5], np.ones(2))
        ),
        (lambda: w2v.negative_sampling().init([]), "counts"),
        (lambda: w2v.negative_sampling().init([0, 0]), "sum to 0"),
        (lambda: w2v.hierarchical_softmax(spare=-1).init([1, 2]), "spare=-1"),
        (lambda: w2v.hierarchical_softmax().init([1, -1]), "counts"),
        (lambda: w2v.hierarchical_softmax().init([1, float("nan")]), "counts"),
        *(
            (lambda make=make, bad=bad: make(5, bad), "exponent")
            for make in (w2v.negative_sampling, w2v.shared_negatives)
            for bad in ("a", None, 1j, [0.5], float("-inf"), np.ones(2), 10**400)
        ),
        *(
            (lambda make=make, bad=bad: make().init(bad), "counts")
            for make in (w2v.negative_sampling, w2v.shared_negatives, w2v.hierarchical_softmax)
            for bad in (["a"], ["7"], [1j], np.ones(3, complex), [[1, 2], [3]], None, {}, 3)
        ),
        *(
            (lambda bad=bad: init_params(jax.random.key(0), *bad), f"{name}=")
            for name, *several in (
                ("vocab_size", (-3, 2), (2.5, 2), ("a", 2), (None, 2)),
                ("dim", (3, -2), (3, 0), (3, "a"), (3, 1.5), (3, True)),
                ("dtype", (3, 2, int), (3, 2, bool), (3, 2, complex), (3, 2, "x"), (3, 2, "S3")),
            )
            for bad in several
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, message: str) -> None:
    with pytest.raises(w2v.errors.SettingError, match=message):
        make()


@pytest.mark.parametrize("words", ["a", 1j, [3], float("nan"), 1.5, -1, True, np.ones(2)])
def test_words_of_a_text_are_a_whole_number(words: Any) -> None:
    for make in (method, make_objective):
        with pytest.raises(w2v.errors.SettingError, match="words="):
            make(*["cbow", "negative"][-1 if make is make_objective else 0 :], words=words)
    with pytest.raises(w2v.errors.SettingError, match="epochs="):
        method("cbow", words=5, epochs=words)


def test_chunked_equals_dense_at_every_chunk(x64: None) -> None:
    _, (params, batch, targets), _ = tiny("softmax")
    loss, gradients = dense_gradients(w2v.softmax(), params, batch, targets)
    for chunk in (1, 3, 7, 100):  # one at a time, with a rest, all, more than all
        found_loss, found = dense_gradients(w2v.softmax(chunk), params, batch, targets)
        assert float(found_loss) == pytest.approx(float(loss), rel=1e-12)
        for a, b in zip(found, gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)  # measured 4e-15


@pytest.mark.parametrize(("vocab_size", "chunk"), [(200_000, 4096), (200_001, 8000)])
def test_chunked_softmax_needs_one_chunk_of_memory(vocab_size: int, chunk: int) -> None:
    """Only compiled, never run. Measured: see benchmarks/softmax_scaling.py."""
    shape = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    params = w2v.Params(shape((vocab_size, 128)), shape((vocab_size, 128)))
    ids = jax.ShapeDtypeStruct((512,), jnp.int32)
    batch = jax.eval_shape(w2v.pairs, ids, ids)
    objective = w2v.softmax(chunk)
    targets = jax.eval_shape(partial(objective.select, None, ()), batch.words, batch.weights)
    compiled = jax.jit(partial(w2v.backward, objective)).lower(params, batch, targets).compile()
    temporary = compiled.memory_analysis().temp_size_in_bytes
    params_and_gradients = 4 * 128 * (2 * vocab_size + 512 + vocab_size)
    one_chunk = 4 * chunk * (128 + 512)
    assert temporary <= 0.2 * params_and_gradients + one_chunk


@pytest.mark.parametrize("name", LISTED)
def test_composed_and_per_example_gradients(name: str, x64: None) -> None:
    three = TINY._replace(blocks=3)  # an odd number of blocks: no two share negatives
    objective, (params, batch, targets), _ = tiny(name, size=three)
    loss, wanted = dense_gradients(objective, params, batch, targets)
    composed = w2v.objectives.compose(objective)

    @jax.jit
    def found(params: Any) -> Any:
        twice = jax.grad(lambda p: 2 * composed(p, batch, targets))(params)
        losses, each = w2v.objectives.per_example_backward(objective, params, batch, targets)
        whole = [*map(jax.vmap(w2v.to_dense, (0, None)), each, params)]
        norms = [jnp.sqrt(jnp.square(examples).sum((1, 2))) for examples in whole]
        of_rows = [w2v.objectives.gradient_norms(rows) for rows in each]
        return twice, losses.sum(), [examples.sum(0) for examples in whole], norms, of_rows

    twice, total, each, norms, of_rows = found(params)
    np.testing.assert_allclose(of_rows, norms, rtol=1e-12)
    assert float(total) == pytest.approx(float(loss), rel=1e-12)
    for w, c, e in zip(wanted, twice, each, strict=True):
        np.testing.assert_allclose(c, 2 * w, rtol=0, atol=1e-12)
        np.testing.assert_allclose(e, w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LISTED)
def test_composed_loss_has_the_gradient_of_the_weights_too(name: str, x64: None) -> None:
    """So weights that a larger program learns are trained, alone or beside the params."""
    objective, given, _ = tiny(name, size=TINY._replace(blocks=2))

    def gradients(loss: Any) -> Any:
        alone = jax.grad(lambda *rest: 3 * loss(given[0], *rest), (0, 1), allow_int=True)
        whole = jax.grad(loss, (0, 1, 2), allow_int=True)
        mixed = jax.jacrev(
            lambda weights: jax.grad(loss)(given[0], with_weights(weights), given[2])
        )
        return alone(*given[1:]), whole(*given), mixed(given[1].inputs.weights)

    def with_weights(weights: Any) -> w2v.Batch:
        return given[1]._replace(inputs=given[1].inputs._replace(weights=weights))

    found = gradients(w2v.objectives.compose(objective))
    wanted = gradients(partial(w2v.cross_entropy, objective))
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if one.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)
    assert any(
        np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(found[0]) if leaf.dtype.kind == "f"
    )


def test_composed_loss_feeds_any_optimiser(standard_promotion: None) -> None:
    import optax

    params = w2v.init_params(jax.random.key(0), 5, 4)
    objective, batch = w2v.softmax(), w2v.pairs([0, 1, 2], [1, 2, 3])
    targets = objective.select((), (), batch.words, batch.weights)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        loss, gradients = jax.value_and_grad(w2v.objectives.compose(objective))(
            params, batch, targets
        )
        updates, state = optimiser.update(gradients, state)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimiser.init(params), []
    for _ in range(60):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    assert losses[0] == pytest.approx(3 * math.log(5), rel=1e-5)
    assert losses[-1] < 0.1 * losses[0]


def test_bfloat16_params_keep_their_dtype_and_compute_in_float32() -> None:
    params = w2v.init_params(jax.random.key(0), 5, 4, jnp.bfloat16)
    objective, batch = w2v.hierarchical_softmax(), w2v.pairs([0, 1], [1, 2])
    targets = objective.select((), objective.init([5, 4, 3, 2, 1]), batch.words, batch.weights)
    _, gradients = jax.jit(partial(w2v.backward, objective))(params, batch, targets)
    assert gradients.input.values.dtype == jnp.float32
    assert (
        jax.jit(jax.grad(w2v.objectives.compose(objective)))(params, batch, targets).input.dtype
        == jnp.bfloat16
    )


def test_held_out_loss(x64: None) -> None:
    held_out_loss = jax.jit(w2v.objectives.held_out_loss, static_argnames=("objective", "chunk"))
    for name in ("softmax", "negative_sampling", "hierarchical_softmax"):
        objective, (params, batch, targets), tables = tiny(name)
        params, batch, targets = jax.tree.map(jnp.asarray, (params, batch, targets))
        exact = held_out_loss(params, batch, chunk=3)
        wanted = oracles.softmax_loss(params, batch, None, None) / float(batch.weights.sum())
        assert float(exact) == pytest.approx(wanted, rel=1e-12)
        if name == "hierarchical_softmax":
            own = held_out_loss(params, batch, objective, tables) * batch.weights.sum()
            assert float(own) == pytest.approx(
                oracles.hierarchical_softmax_loss(params, batch, None, tables), rel=1e-12
            )
    # an offset is what a score that every hidden vector gives alike would be
    offset = jnp.arange(7.0)
    constant = params._replace(
        input=jnp.concatenate([params.input, jnp.ones((7, 1))], 1),
        output=jnp.concatenate([params.output, offset[:, None]], 1),
    )
    found, expected = (
        held_out_loss(params, batch, offset=offset),
        held_out_loss(constant, batch),
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    assert float(held_out_loss(params, jax.tree.map(lambda leaf: leaf[:0], batch))) == 0


def test_an_offset_keeps_its_digits_beside_bfloat16_params() -> None:
    _, (params, batch, _), _ = tiny("softmax")
    narrow = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    same = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), narrow)
    batch = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float32 if leaf.dtype == np.float64 else None), batch
    )
    offset = jnp.linspace(-11, -9.1, len(params.output), dtype=jnp.float32)
    found, wanted = (w2v.objectives.held_out_loss(p, batch, offset=offset) for p in (narrow, same))
    assert float(found) == pytest.approx(float(wanted), rel=1e-6)  # in bfloat16 1e-2 off


def test_ten_thousand_repeats_of_one_id_add_up(x64: None) -> None:
    rng = np.random.default_rng(0)
    ids, values = rng.integers(0, 3, 11_000).astype(np.int32), rng.normal(size=(11_000, 4))
    ids[:10_000] = 1
    wanted = np.zeros((3, 4))
    np.add.at(wanted, ids, values)
    found = w2v.to_dense(w2v.Rows(jnp.asarray(ids), jnp.asarray(values)), jnp.zeros((3, 4)))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)  # measured 4e-14


@pytest.mark.parametrize("in_pairs", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 6, 10, 50])
def test_rows_are_added_in_one_piece_or_two_to_the_same_bits(dim, in_pairs, monkeypatch):
    monkeypatch.setattr(trees, "_SLOW_IN_PAIRS", in_pairs)
    random = np.random.default_rng(dim)
    ids, values = random.integers(0, 5, 40), random.normal(size=(40, dim)).astype(np.float32)
    expected = start = random.normal(size=(7, dim)).astype(np.float32)
    expected = expected.copy()
    np.add.at(expected, ids, values)
    add = jax.jit(lambda *given: trees.add_rows(*given))  # traced anew
    found = add(jnp.asarray(start), jnp.asarray(ids), jnp.asarray(values))
    assert np.array_equal(found, expected)
    pieces = add.lower(start, ids, values).as_text().count('"stablehlo.scatter"(')
    assert pieces == 1 + (in_pairs and dim % 4 == 2)
    narrow = add.lower(jnp.bfloat16(start), ids, jnp.bfloat16(values))
    assert narrow.as_text().count('"stablehlo.scatter"(') == 1


def test_the_start_is_uniform_with_a_range_that_shrinks_with_dim() -> None:
    params = w2v.init_params(jax.random.key(0), 1000, 8)
    assert 0.99 / 8 < float(jnp.abs(params.input).max()) <= 1 / 8
    assert float(params.input.std()) == pytest.approx(2 / 8 / math.sqrt(12), rel=0.05)
    assert not np.asarray(params.output).any()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("size", [1e-3, 1e-4, 1e-5])
def test_differences_of_a_rounded_loss_do_not_accuse_a_right_gradient(size: float) -> None:
    """The slopes of two steps may agree by chance, and both be off by the rounding of the loss."""
    params = {"w": np.linspace(-1e-5, 1e-5, 6)}
    right = size * np.cos(params["w"])
    for number in range(20):

        def loss(params: dict[str, np.ndarray], constant: float = 200 + number / 7) -> float:
            return float((constant + size * np.sin(params["w"]).sum() + 1000) - 1000)

        for wrong, found in (
            (factor - 1, difference_error(loss, {"w": factor * right}, params, 6, 0.0))
            for factor in (1.0, 1.001)
        ):
            assert found is not None
            assert (found[0] > 1e-7) == bool(wrong), (number, found)
