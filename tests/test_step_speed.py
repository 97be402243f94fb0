"""The step's benchmark fails when the step is broken on purpose, and its figures add up."""

import jax
import jax.numpy as jnp
import pytest
import step_speed

import w2vjax as w2v

CASE = step_speed.Case(dim=8, window=2, run=4, batch_words=16)


def wrong(objective: w2v.Objective) -> w2v.Objective:
    def backward(hidden, output, targets):
        d_hidden, d_output = objective.backward(hidden, output, targets)
        return d_hidden * 1.001, d_output

    return objective._replace(backward=backward)


def checked(recipe, case=CASE):
    text = step_speed.zipf_text(512, 60)
    key, tables = jax.random.key(5), recipe.objective.init(text.counts)
    batch, targets = (
        jax.tree.map(lambda leaf: leaf[0], part)
        for part in step_speed.stack(recipe, text.ids, tables, key)
    )
    return step_speed.check_step(case, recipe, batch, targets, text.counts, key)


@pytest.mark.slow
def test_a_step_that_is_off_by_a_thousandth_is_not_timed() -> None:
    recipe = step_speed.recipe_of(CASE)
    assert checked(recipe) < step_speed.TOLERANCE
    with pytest.raises(step_speed.CheckFailed, match=r"step of Case.*input"):
        checked(recipe._replace(objective=wrong(recipe.objective)))


def test_a_program_that_copies_a_table_in_its_loop_is_not_timed() -> None:
    ids, shape = jnp.asarray([3, 1, 3]), (100, 4)

    def program(copying):
        def body(_, carry):
            table, other = carry
            moved = table.at[ids].add(other)
            # rows of the table as it was, read at places that depend on what it became: both have
            # to be kept
            late = (table if copying else moved)[(moved[0, :3] > 0).astype(jnp.int32)]
            return moved, late

        start = jnp.zeros(shape), jnp.ones((3, 4))
        return (
            jax.jit(lambda carry: jax.lax.fori_loop(0, 9, body, carry), donate_argnums=0)
            .lower(start)
            .compile()
        )

    step_speed.check_in_place(CASE, program(False), shape)
    with pytest.raises(step_speed.CheckFailed, match="copies a table"):
        step_speed.check_in_place(CASE, program(True), shape)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["negative", "hierarchical", "softmax"])
def test_every_objective_is_measured_and_the_parts_make_the_whole(objective: str) -> None:
    row = step_speed.measure(
        CASE._replace(objective=objective), step_speed.zipf_text(512, 60), rounds=1
    )
    parts = sum(row[f"{name}_ns"] for name in ("gather", "products", "scatter", "random", "rest"))
    assert parts == pytest.approx(row["step_ns"])
    assert row["words_per_second"] == pytest.approx(1e9 / row["step_ns"])
    assert row["error"] < step_speed.TOLERANCE


def test_cases_vary_one_setting_at_a_time_or_all() -> None:
    axes = {"dim": [100, 300], "window": [5, 10]}
    assert len(step_speed.cases(axes, cross=False)) == 3
    assert len(step_speed.cases(axes, cross=True)) == 4
