"""The pieces of a training step, each alone in a compiled loop of its own, for ``step_speed.py``.

STACK steps of different words lie one behind the other, and a piece walks through them as training
does: the same ids again and again would find their rows in the cache.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import w2vjax as w2v
from w2vjax.bits import random_bits
from w2vjax.objectives.negative import draw
from w2vjax.objectives.shared import SharedTargets
from w2vjax.training.step import Recipe, State
from w2vjax.windows.sampling import split_lines

STACK = 16
Call = Callable[[], Any]


def first(tree: Any) -> Any:
    """The first of a stack of steps."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def stack(recipe: Recipe, ids: np.ndarray, tables: Any, key: jax.Array) -> tuple[w2v.Batch, Any]:
    """(batches, targets) of STACK steps, on a new first axis. ids [M]: ~id opens a line."""
    size, window = recipe.groups * recipe.block_words, recipe.window
    ids = np.resize(ids, STACK * size + 2 * window)
    tokens, segments = split_lines(jnp.asarray(ids), jnp.int32(len(ids)))
    width = jnp.arange(recipe.block_words + 2 * window, dtype=jnp.int32)[None]

    def one(number: jax.Array) -> tuple[w2v.Batch, Any]:
        at = (
            number * size
            + jnp.arange(recipe.groups, dtype=jnp.int32)[:, None] * recipe.block_words
            + width
        )
        reach = recipe.reach(
            jax.random.fold_in(key, number), (recipe.groups, recipe.block_words), window
        )
        batch = recipe.windows(tokens[at], segments[at], reach)
        return batch, w2v.draw_targets(recipe.objective, key, tables, batch)

    return jax.jit(lambda: jax.lax.map(one, jnp.arange(STACK, dtype=jnp.int32)))()


def scored_ids(targets: Any) -> list[jax.Array]:
    """The rows that are scored, in blocks [G, R] for G equal parts of the hidden vectors."""
    return (
        [targets.words, targets.negatives] if isinstance(targets, SharedTargets) else [targets.ids]
    )


def rows_of_step(
    params: w2v.Params, batch: w2v.Batch, targets: Any, few: bool
) -> tuple[jax.Array, list[jax.Array]]:
    """(hidden vectors, blocks of output rows) of one step. One block if all rows are scored."""
    hidden = w2v.objectives.hidden_vectors(params.input, batch)
    return hidden, [params.output[ids] for ids in scored_ids(targets)] if few else [
        params.output[None]
    ]


def gather(params: w2v.Params, batches: w2v.Batch, targets: Any, few: bool) -> Call:
    """Input rows to hidden vectors, and output rows where few are scored."""

    def one(number: jax.Array, params: w2v.Params, batches: w2v.Batch, targets: Any) -> Any:
        batch, target = jax.tree.map(lambda leaf: leaf[number], (batches, targets))
        return rows_of_step(params, batch, target, few)

    def all_of(*arguments: Any) -> Any:
        def body(number: jax.Array, kept: Any) -> Any:
            hidden, rows = one(number, *arguments)
            return hidden, rows if few else kept[1]

        return jax.lax.fori_loop(0, STACK, body, one(jnp.int32(0), *arguments))

    return partial(jax.jit(all_of), params, batches, targets)


def three_products(hidden: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scores, d_hidden and d_rows as ``product_backward`` multiplies them, without an error."""
    if (
        len(rows) == 1
    ):  # the whole vocabulary: XLA's CPU compiler multiplies a batch of one at a tenth of the speed
        flat = hidden.reshape(-1, hidden.shape[-1])
        scores = flat @ rows[0].T
        return (scores @ rows[0])[None], (scores.T @ flat)[None]
    hidden = hidden.reshape(len(rows), -1, hidden.shape[-1])
    scores = jnp.einsum("brd,btd->brt", rows, hidden)
    turned = jax.lax.optimization_barrier(scores.swapaxes(1, 2))
    return jnp.einsum("btr,brd->btd", turned, rows), jnp.einsum("brt,btd->brd", scores, hidden)


def products(hidden: jax.Array, blocks: list[jax.Array]) -> Call:
    def all_of(hidden: jax.Array, blocks: list[jax.Array]) -> Any:
        def body(_: jax.Array, carry: Any) -> Any:
            # tied to the last turn by a zero that the compiler cannot know: it would take the
            # products out of the loop
            tied = hidden * (1 + 0 * carry[0][1][0, 0, 0])
            return [three_products(tied, rows) for rows in blocks]

        return jax.lax.fori_loop(0, STACK, body, [three_products(hidden, rows) for rows in blocks])

    return partial(jax.jit(all_of), hidden, blocks)


def scatter(
    recipe: Recipe,
    params: w2v.Params,
    batches: w2v.Batch,
    targets: Any,
    gradients: w2v.Params,
    bounds: w2v.Params,
) -> Call:
    """The optimizer's update by the rows of each step. All steps have one gradient's values."""

    def all_of(
        state: State, batches: Any, targets: Any, gradients: w2v.Params, bounds: w2v.Params
    ) -> State:
        def body(number: jax.Array, state: State) -> State:
            batch, target = jax.tree.map(lambda leaf: leaf[number], (batches, targets))
            scored = jnp.concatenate([ids.reshape(-1) for ids in scored_ids(target)])
            ids = w2v.Params(batch.inputs.ids.reshape(-1), scored)
            rows = w2v.Params(
                *(
                    g._replace(ids=i) if isinstance(g, w2v.Rows) else g
                    for g, i in zip(gradients, ids, strict=True)
                )
            )
            return State(
                *w2v.updates.apply_gradients(
                    recipe.optimizer, state.optimizer, state.params, rows, bounds
                )
            )

        return jax.lax.fori_loop(0, STACK, body, state)

    held = [State(jax.tree.map(jnp.copy, params), recipe.optimizer.init(params))]
    update = jax.jit(all_of, donate_argnums=0)

    def in_turn() -> State:
        held[0] = update(held[0], batches, targets, gradients, bounds)
        return held[0]

    return in_turn


def pieces(recipe: Recipe, params: w2v.Params, batches: w2v.Batch, targets: Any) -> dict[str, Call]:
    """The pieces of STACK steps."""
    both = jax.jit(partial(w2v.objectives.bounded_backward, recipe.objective))
    gradients, bounds = both(params, first(batches), first(targets))
    few = isinstance(gradients.output, w2v.Rows)
    hidden, blocks = jax.jit(partial(rows_of_step, few=few))(params, first(batches), first(targets))
    return {
        "gather": gather(params, batches, targets, few),
        "products": products(hidden, blocks),
        "scatter": scatter(recipe, params, batches, targets, gradients, bounds),
    }


def randomness(recipe: Recipe, chunk: int, steps: int, tables: Any, each_step: bool) -> Call:
    """All draws of a chunk: subsampling, reaches, negatives (``each_step``: step by step)."""

    def negatives(key: jax.Array) -> Any:
        if recipe.objective.ahead:
            return recipe.objective.draw(key, tables, (steps, recipe.groups))
        if not each_step:
            return ()
        start = draw(key, tables, (recipe.groups, 16))
        return jax.lax.fori_loop(
            0,
            steps,
            lambda n, kept: kept ^ draw(jax.random.fold_in(key, n), tables, start.shape),
            start,
        )

    def all_of(key: jax.Array) -> Any:
        keys = jax.random.split(key, 3)
        size = recipe.groups * recipe.block_words
        reach = recipe.reach(keys[1], (chunk + size,), recipe.window)
        return random_bits(keys[0], (chunk,)), reach, negatives(keys[2])

    return partial(jax.jit(all_of), jax.random.key(0))
