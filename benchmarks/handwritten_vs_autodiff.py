"""Eight steps of skip-gram with negative sampling, four ways: time and peak memory against V.

    row-sparse     the handwritten gradient of the touched rows, added to them
    dense          the same gradient as whole tables, through optax.sgd
    custom_vjp     jax.grad of the composed loss (the handwritten rule), through optax.sgd
    jax.grad       automatic differentiation of the same loss, through optax.sgd

All four make the same steps, which is checked before anything is timed. On a GPU that check has
exact products, and what is timed multiplies in TF32, as training does.

    python benchmarks/handwritten_vs_autodiff.py --write
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import check_close, compare, exact_products, parser_of, report, table

import w2vjax as w2v

LEARNING_RATE = 0.025
OBJECTIVE = w2v.negative_sampling(num_negatives=5)
OPTIMISER = optax.sgd(LEARNING_RATE)
# Steps in a timed call, each on a batch of its own, one after the other as in training: a lone step
# between two dense ones would find its rows driven out of the cache.
BATCHES = 8


def row_sparse(params: w2v.Params, batch: w2v.Batch, targets: Any) -> w2v.Params:
    # The gradient is linear in the weights of the targets: there the learning rate is multiplied
    # with one number for each score, behind the products with D of them.
    scaled = targets._replace(weights=-LEARNING_RATE * targets.weights)
    _, updates = w2v.backward(OBJECTIVE, params, batch, scaled)
    return w2v.Params(*(p.at[u.ids].add(u.values) for p, u in zip(params, updates, strict=True)))


def through_optax(gradients_of: Callable[..., w2v.Params]) -> Callable[..., w2v.Params]:
    def step(params: w2v.Params, batch: w2v.Batch, targets: Any) -> w2v.Params:
        updates, _ = OPTIMISER.update(gradients_of(params, batch, targets), OPTIMISER.init(params))
        return optax.apply_updates(params, updates)

    return step


def dense(params: w2v.Params, batch: w2v.Batch, targets: Any) -> w2v.Params:
    _, gradients = w2v.backward(OBJECTIVE, params, batch, targets)
    return w2v.Params(*(w2v.to_dense(g, p) for g, p in zip(gradients, params, strict=True)))


STEPS = {
    "row-sparse": row_sparse,
    "dense": through_optax(dense),
    "custom_vjp": through_optax(jax.grad(w2v.objectives.compose(OBJECTIVE))),
    "jax.grad": through_optax(jax.grad(partial(w2v.cross_entropy, OBJECTIVE))),
}


def measure(vocab_size: int, pairs: int, dim: int, rounds: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    counts = 1e6 / np.arange(1, vocab_size + 1)
    tables, steps = OBJECTIVE.init(counts), []
    for number in range(BATCHES):
        # Zipf, as text is
        centers, contexts = (vocab_size ** rng.random((2, pairs)) - 1).astype(np.int32)
        batch = w2v.pairs(centers, contexts, vocab_size=vocab_size)
        steps.append((batch, w2v.draw_targets(OBJECTIVE, jax.random.key(number), tables, batch)))
    batch, targets = steps[0]
    start = [rng.normal(size=(vocab_size, dim)).astype(np.float32) / dim for _ in range(2)]
    params = w2v.Params(*map(jnp.asarray, start))
    with exact_products():
        moved = {name: jax.jit(step)(params, batch, targets) for name, step in STEPS.items()}
        for name, found in moved.items():
            check_close(name, found, moved["row-sparse"], tolerance=1e-5)  # measured 3e-8
    compiled = {
        name: jax.jit(step, donate_argnums=0).lower(params, batch, targets).compile()
        for name, step in STEPS.items()
    }
    state = {name: w2v.Params(*map(jnp.asarray, start)) for name in STEPS}

    # params are donated, as in training: the step may work in place
    def run(name: str) -> w2v.Params:
        for step in steps:
            state[name] = compiled[name](state[name], *step)
        return state[name]

    timings = compare({name: partial(run, name) for name in STEPS}, rounds=rounds)
    slowest = timings["jax.grad"].median
    rows = []
    for name, timing in timings.items():
        memory = compiled[name].memory_analysis()
        used = (
            memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
        )
        peak = (used - memory.alias_size_in_bytes) / 2**20
        speed = round(slowest / timing.median, 1)
        rows.append(
            {"V": vocab_size, "peak_MiB": round(peak, 1), "times_jax_grad": speed, **timing.row()}
        )
    return rows


def main() -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--vocab-sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    add("--pairs", type=int, default=4096)
    add("--dim", type=int, default=100)
    add("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows = [
        row
        for size in options.vocab_sizes
        for row in measure(size, options.pairs, options.dim, options.rounds)
    ]
    print(table(rows))
    settings = {"pairs": options.pairs, "dim": options.dim, "negatives": 5, "optimiser": "sgd"}
    report("handwritten_vs_autodiff", settings, rows, write=options.write)


if __name__ == "__main__":
    main()
