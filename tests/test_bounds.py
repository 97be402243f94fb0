"""Steps bounded by curvature: the bounds against Hessians, and steps that cannot run away."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import LISTED, OBJECTIVES, QUICK_OBJECTIVES
from marks import slow

import w2vjax as w2v
from w2vjax.errors import SettingError
from w2vjax.gradcheck.cases import Size, make_case
from w2vjax.gradcheck.objectives import WINDOWS, make_inputs
from w2vjax.objectives.bounds import MANY, bounded_steps, stiffness, zero_totals

TINY = Size(7, 3, 2, 4, 2)
KINDS = ("ordinary", "two words", "scores past 6")


def inputs_of(name: str, window: str, kind: str) -> tuple[w2v.Objective, Any]:
    inputs = make_inputs(OBJECTIVES[name], WINDOWS[window], TINY, make_case(kind, TINY), "float64")
    return OBJECTIVES[name], jax.tree.map(jnp.asarray, inputs)


def bounds_of_rows(
    objective: w2v.Objective, params: Any, batch: Any, targets: Any, **constants: float
) -> Any:
    """The bound of every row of both tables [V], with a = b = 1 unless told otherwise."""
    given = objective.bounded or w2v.objectives.bounded_by_weights
    objective = objective._replace(bounded=partial(given, **({"a": 1.0, "b": 1.0} | constants)))
    compute = jax.jit(partial(w2v.objectives.bounded_backward, objective))
    gradients, bounds = compute(params, batch, targets)

    def summed(gradient: Any, bound: Any, table: Any) -> np.ndarray:
        if not isinstance(gradient, w2v.Rows):
            return np.asarray(bound)
        total = np.zeros(len(table))
        np.add.at(total, np.asarray(gradient.ids), np.asarray(bound))
        return total

    return w2v.Params(*map(summed, gradients, bounds, params))


def curvatures(objective: w2v.Objective, params: Any, batch: Any, targets: Any) -> Any:
    """The largest eigenvalue of the block of the Hessian of each row, [V] for each table."""

    def of_table(name: str) -> np.ndarray:
        def loss(table: jax.Array) -> jax.Array:
            return w2v.cross_entropy(objective, params._replace(**{name: table}), batch, targets)

        table = jnp.asarray(getattr(params, name))
        # run once: compiling it well would take longer than running it
        compiled = jax.jit(
            jax.hessian(loss), compiler_options={"xla_backend_optimization_level": 0}
        )
        hessian = np.asarray(compiled(table))  # [V, D, V, D]
        return np.array(
            [np.linalg.eigvalsh(hessian[row, :, row]).max() for row in range(len(table))]
        )

    return w2v.Params(of_table("input"), of_table("output"))


def every_case() -> list[Any]:
    """Objective, window and kind of batch. The default run has each objective and window once."""
    quick = {(name, "blocks", "ordinary") for name in QUICK_OBJECTIVES}
    quick |= {
        ("shared_negatives", "cbow_blocks", "two words"),
        ("hierarchical_softmax", "to_center", "scores past 6"),
    }
    cases = itertools.product(
        OBJECTIVES, ("blocks", "cbow_blocks", "to_center", "cbow_weighted", "pairs"), KINDS
    )
    return [pytest.param(*case, marks=[] if case in quick else pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(("name", "window", "kind"), every_case())
def test_the_bound_is_above_the_curvature_of_every_row(
    name: str, window: str, kind: str, x64: None
) -> None:
    objective, inputs = inputs_of(name, window, kind)
    found, bounds = curvatures(objective, *inputs), bounds_of_rows(objective, *inputs)
    for curvature, bound in zip(found, bounds, strict=True):
        assert (bound >= curvature - 1e-9).all()
    assert max(table.max() for table in found) > 0.05


def test_a_bound_of_half_the_size_is_below_a_curvature(x64: None) -> None:
    """The check above can fail: one example alone, at a score of 0, where sigma' = |error| / 2."""
    objective = OBJECTIVES["negative_sampling"]
    batch = w2v.pairs([0], [1], vocab_size=3, dtype=jnp.float64)
    targets = w2v.Targets(jnp.asarray([[1]]), jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)))
    params = w2v.Params(jnp.full((3, 4), 3.0), jnp.zeros((3, 4)))
    curvature = curvatures(objective, params, batch, targets).output[1]
    assert curvature == pytest.approx(36 / 4)
    assert bounds_of_rows(objective, params, batch, targets).output[1] == pytest.approx(
        36 / 2 + 0.5
    )
    assert bounds_of_rows(objective, params, batch, targets, a=4.0, b=100.0).output[1] < curvature


def test_the_coupling_of_the_tables_is_in_the_bound(x64: None) -> None:
    """Where both rows are 0, no row's block has curvature. The whole Hessian has |error|."""
    objective = OBJECTIVES["negative_sampling"]
    batch = w2v.pairs([0, 0, 0], [1, 1, 1], vocab_size=2, dtype=jnp.float64)
    targets = w2v.Targets(jnp.ones((3, 1), jnp.int32), jnp.ones((3, 1, 1)), jnp.ones((3, 1, 1)))
    params = w2v.Params(jnp.zeros((2, 2)), jnp.zeros((2, 2)))

    def loss(flat: jax.Array) -> jax.Array:
        return w2v.cross_entropy(objective, w2v.Params(*flat.reshape(2, 2, 2)), batch, targets)

    hessian = jax.jit(jax.hessian(loss))(jnp.zeros(8))
    largest = np.linalg.eigvalsh(np.asarray(hessian)).max()
    bounds = bounds_of_rows(objective, params, batch, targets)
    assert largest == pytest.approx(1.5)  # three examples of error 1/2
    assert bounds.input[0] == bounds.output[1] == pytest.approx(largest)


@pytest.mark.parametrize("window", ["blocks", "cbow_blocks"])
def test_shared_negatives_bound_what_their_clear_form_does(window: str, x64: None) -> None:
    """Equal where no negative is a positive; elsewhere the fast form adds what it takes back."""
    from w2vjax.objectives.negative import negative_targets

    objective, (params, batch, targets) = inputs_of("shared_negatives", window, "ordinary")
    drawn = jnp.repeat(targets.negatives, len(batch.words) // len(targets.negatives), 0)
    clear = negative_targets(batch.words, batch.weights, drawn, 5)
    fast = bounds_of_rows(objective, params, batch, targets)
    plain = bounds_of_rows(OBJECTIVES["negative_sampling"], params, batch, clear)
    assert all((f >= p - 1e-12).all() for f, p in zip(fast, plain, strict=True))
    apart = jnp.full_like(targets.negatives, 6)  # a word that is no positive
    fresh = targets._replace(negatives=apart, kept=jnp.ones_like(targets.kept))
    words = jnp.where(batch.words == 6, 0, batch.words)
    batch, fresh = batch._replace(words=words), fresh._replace(words=words)
    clear = negative_targets(
        words, batch.weights, jnp.repeat(apart, len(words) // len(apart), 0), 5
    )
    for f, p in zip(
        bounds_of_rows(objective, params, batch, fresh),
        bounds_of_rows(OBJECTIVES["negative_sampling"], params, batch, clear),
        strict=True,
    ):
        np.testing.assert_allclose(f, p, rtol=1e-6)


def same_pair(count: int, dim: int) -> tuple[w2v.Params, w2v.Batch, w2v.Targets]:
    """One pair of words in all examples, which are positive nine times of ten."""
    labels = jnp.arange(count) % 10 != 9
    return (
        w2v.Params(*(0.1 * jax.random.normal(jax.random.key(i), (1, dim)) for i in (0, 1))),
        w2v.pairs(np.zeros(count, int), np.zeros(count, int), vocab_size=1),
        w2v.Targets(
            jnp.zeros((count, 1), jnp.int32),
            labels.astype(jnp.float32)[:, None, None],
            jnp.ones((count, 1, 1)),
        ),
    )


@partial(jax.jit, static_argnums=(0, 2, 3))
def losses_of_steps(
    make: Any, rate: float, bounded: Any, steps: int, params: Any, batch: Any, targets: Any
) -> jax.Array:
    """The loss before each of some steps on one batch, [steps]."""
    objective, optimizer = OBJECTIVES["negative_sampling"]._replace(bounded=bounded), make(rate)

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        loss = w2v.cross_entropy(objective, params, batch, targets)
        gradients, bounds = w2v.objectives.bounded_backward(objective, params, batch, targets)
        return w2v.updates.apply_gradients(optimizer, state, params, gradients, bounds), loss

    return jax.lax.scan(step, (params, optimizer.init(params)), None, steps)[1]


TIGHT = partial(OBJECTIVES["negative_sampling"].bounded, a=1.0, b=1.0)


@pytest.mark.parametrize(
    ("count", "dim", "rate"),
    [
        *itertools.product((1, 256), (8,), (0.005, 0.5, 50.0, 5e5)),
        (2_000, 20, 5e5),
        *slow((1, 1, 0.5), *((10_000, 20, rate) for rate in (0.005, 0.5, 50.0, 5e5))),
    ],
)
def test_one_pair_in_every_example_of_a_step_settles_at_any_rate(
    count: int, dim: int, rate: float
) -> None:
    """The worst case for many examples at once: all of them are of the same two words."""
    losses = losses_of_steps(w2v.row_sgd, rate, TIGHT, 200, *same_pair(count, dim)) / count
    assert float(losses[-1]) <= 0.7
    assert float(losses.max()) <= 0.75
    if rate * count > 1 and count > 1:
        share = (np.arange(count) % 10 != 9).mean()
        entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
        assert float(losses[-1]) == pytest.approx(entropy, abs=1e-3)


def test_plain_steps_on_the_same_pair_run_away() -> None:
    """What the test above would find without a bound."""
    losses = losses_of_steps(optax.sgd, 0.5, TIGHT, 20, *same_pair(256, 8))
    assert float(losses[:6].max()) / 256 > 100  # and soon NaN


def test_an_objective_without_bounds_gets_them_from_its_weights(x64: None) -> None:
    objective, inputs = inputs_of("negative_sampling", "blocks", "ordinary")
    own, default = (
        bounds_of_rows(o, *inputs) for o in (objective, objective._replace(bounded=None))
    )
    assert all((d >= o).all() for d, o in zip(default, own, strict=True))
    blind = objective._replace(
        bounded=None, backward=lambda h, o, _: objective.backward(h, o, inputs[2])
    )
    with pytest.raises(
        SettingError, match=r"int has no ids .* Give the objective a function ``bounded``"
    ):
        w2v.objectives.bounded_backward(blind, *inputs[:2], 5)


def test_a_dense_gradient_without_bounds_gets_them_too(x64: None) -> None:
    objective, inputs = inputs_of("softmax", "blocks", "ordinary")
    own, default = (
        bounds_of_rows(o, *inputs) for o in (objective, objective._replace(bounded=None))
    )
    assert default.output.shape == own.output.shape == (7,)
    assert default.output.sum() == pytest.approx(own.output.sum(), rel=0.9)


@pytest.mark.parametrize("name", LISTED)
def test_the_gradient_beside_bounds_is_the_objectives_own(name: str, x64: None) -> None:
    """Also where the backward is replaced and the bounds are not: what is proven is what trains."""
    objective, inputs = inputs_of(name, "blocks", "ordinary")
    twice = objective._replace(
        backward=lambda *i: jax.tree.map(lambda g: g + g, objective.backward(*i))
    )
    for changed in (objective, twice) if not name.endswith("softmax") else (objective,):

        @jax.jit
        def both(*inputs: Any, changed: Any = changed) -> Any:
            bounded = w2v.objectives.bounded_backward(changed, *inputs)
            return w2v.backward(changed, *inputs)[1], bounded[0]

        expected, found = both(*inputs)
        for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)  # measured 3e-15


def test_bounds_of_another_number_than_the_rows_are_refused() -> None:
    objective = OBJECTIVES["negative_sampling"]
    wrong = objective._replace(
        bounded=lambda f, h, o, t: (*f(h, o, t), jnp.zeros(h.shape[:2]), jnp.zeros(3))
    )
    batch, tables = w2v.pairs([0, 1], [1, 2], vocab_size=3), objective.init([3, 2, 1])
    draw = partial(w2v.draw_targets, objective)
    targets = jax.eval_shape(draw, jax.random.key(0), tables, batch)
    params = w2v.Params(jnp.zeros((3, 2)), jnp.zeros((3, 2)))
    with pytest.raises(
        SettingError,
        match=r"bounds of shapes \(2, 1\) and \(3,\) for hidden vectors \(2, 1\) and 12 rows",
    ):
        jax.eval_shape(partial(w2v.objectives.bounded_backward, wrong), params, batch, targets)


def test_the_bound_costs_no_product_with_a_vector() -> None:
    """Gradient and bound call the same error, so the compiler computes gathers and scores once."""
    for name in ("shared_negatives", "hierarchical_softmax", "softmax"):
        objective = OBJECTIVES[name]
        size = Size(60, 64, 4, 16, 5)
        inputs = make_inputs(
            objective, WINDOWS["blocks"], size, make_case("ordinary", size), "float32"
        )

        flops = [
            jax.jit(f).lower(*inputs).compile().cost_analysis()["flops"]
            for f in (
                lambda *i, o=objective: w2v.backward(o, *i)[1],
                partial(w2v.objectives.bounded_backward, objective),
            )
        ]
        # 5 % more; 21 % for a softmax over 60 words, which scores 26 positives once more
        assert flops[1] < (1.3 if name == "softmax" else 1.15) * flops[0], (name, flops)


def steps_of(ways: list[float], ids: list[int] | None) -> list[float]:
    """Steps over the rate for rows of gradient 1, whose c are ``ways`` in both tables."""
    values, bounds = jnp.ones((len(ways), 2)), 10 * jnp.asarray(ways)
    both = w2v.Params(values, values)
    at = w2v.Params(*2 * [None if ids is None else jnp.asarray(ids)])
    sizes = w2v.Params(0.1, 0.1)
    steps, _ = bounded_steps(both, at, w2v.Params(bounds, bounds), sizes, zero_totals(both))
    np.testing.assert_array_equal(*steps)
    return (-10 * np.asarray(steps[0][:, 0], np.float64)).tolist()


@pytest.mark.parametrize(
    "ways",
    [
        *([0.5, 2.0, 0.0], [MANY, MANY], [1.0, 300.0, 1e4], [0.0]),
        [MANY * (place % 17 == 1) for place in range(17 * 1024)],  # a sample could miss them all
    ],
    ids=["small", "MANY", "large", "none", "every 17th"],
)
def test_a_row_moves_by_the_rate_or_by_1_over_k_of_its_bound(ways: list[float]) -> None:
    m = sum(way**2 for way in ways) / max(sum(ways), 1e-9)
    k = 1 + 3 * m**2 / (m**2 + MANY**2)
    expected = [1 / max(1, k * way) for way in ways]
    halves = [way / 2 for way in ways for _ in range(2)]
    assert steps_of(ways, None) == pytest.approx([1 / max(1, way) for way in ways])
    for found in (
        steps_of(ways, list(range(len(ways)))),
        steps_of(halves, [row for row in range(len(ways)) for _ in range(2)])[::2],
    ):
        assert found == pytest.approx(expected, rel=1e-4)


def test_a_way_beyond_all_bounds_moves_no_row_and_spoils_no_other() -> None:
    assert steps_of([np.inf, 0.0], [0, 1]) == pytest.approx([0, 1])
    assert steps_of([3e38, 0.0], None) == pytest.approx([0, 1])


def test_stiffness_by_hand() -> None:
    assert stiffness(jnp.asarray([1.0, 2.0]), a=2.0, b=4.0) == 2.75
