"""Full softmax, dense and chunked: time over that of its matrix products alone, and memory, against V.

    products       the three products of a dense loss and gradient (logits, d_hidden, d_output) and nothing else
    products x 4   with the logits computed twice, which is what O(B * chunk) memory costs

Dense and chunked are checked to be equal before anything is timed. Temporaries at V = 200,000, B = 512, D = 128 are
compiled and not run: the bound is 0.2 x (params + gradients) + one chunk (its rows and logits).

    python benchmarks/softmax_scaling.py --vocab-size 100000 --pairs 4096 --dim 300 --write
"""

import argparse
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import check_close, compare, report, table

import w2vjax as w2v


def products(repeats: int, hidden: jax.Array, output: jax.Array, chunk: int) -> tuple[jax.Array, jax.Array]:
    """The products alone, in the same slices of V; ``repeats`` of them make logits."""

    def step(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        d_hidden, d_output = carry
        rows = jax.lax.dynamic_slice_in_dim(output, i * chunk, chunk)
        logits = hidden @ rows.T
        for _ in range(repeats - 1):  # tied to the carry, so that the compiler cannot merge it with the first
            logits = logits + (hidden + 0 * d_hidden) @ rows.T
        return d_hidden + logits @ rows, jax.lax.dynamic_update_slice_in_dim(
            d_output, logits.T @ hidden, i * chunk, 0
        )

    return jax.lax.fori_loop(
        0, output.shape[0] // chunk, step, (jnp.zeros_like(hidden), jnp.zeros_like(output))
    )


def gradient(objective: w2v.Objective, hidden: jax.Array, output: jax.Array, targets: Any) -> Any:
    loss = objective.loss(hidden[:, None], output, targets).sum()
    return loss, objective.backward(hidden[:, None], output, targets)


def memory(vocab_size: int, chunk: int | None, pairs: int = 512, dim: int = 128) -> dict[str, Any]:
    """Temporaries of a compiled loss and gradient, beside the bound."""
    params = w2v.Params(*(jax.ShapeDtypeStruct((vocab_size, dim), jnp.float32) for _ in range(2)))
    ids = jax.ShapeDtypeStruct((pairs,), jnp.int32)
    batch, objective = jax.eval_shape(w2v.pairs, ids, ids), w2v.softmax(chunk)
    targets = jax.eval_shape(partial(objective.select, None, ()), batch.words, batch.weights)
    compiled = jax.jit(partial(w2v.backward, objective)).lower(params, batch, targets).compile()
    temporary = compiled.memory_analysis().temp_size_in_bytes
    bound = 0.2 * 4 * dim * (3 * vocab_size + pairs) + 4 * (chunk or vocab_size) * (dim + pairs)
    return {"V": vocab_size, "B": pairs, "D": dim, "chunk": chunk or 0, "temporaries_MiB": temporary / 2**20,
            "bound_MiB": bound / 2**20}  # fmt: skip


def speed(
    vocab_size: int, pairs: int, dim: int, chunk: int, rounds: int, with_dense: bool
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    hidden, output = (jnp.asarray(rng.normal(size=(n, dim)) / 8, jnp.float32) for n in (pairs, vocab_size))
    ids = jnp.asarray(rng.integers(0, vocab_size, (pairs, 1)), jnp.int32)
    targets = w2v.softmax().select(None, (), ids, jnp.ones((pairs, 1, 1)))
    forms = {"chunked": w2v.softmax(chunk), **({"dense": w2v.softmax()} if with_dense else {})}
    steps = {
        name: partial(jax.jit(partial(gradient, form)), hidden, output, targets)
        for name, form in forms.items()
    }
    if with_dense:
        check_close(
            "chunked against dense", steps["chunked"](), steps["dense"](), tolerance=1e-5
        )  # measured 1e-6
    for name, repeats in (("products", 1), ("products x 4", 2)):
        steps[name] = partial(jax.jit(partial(products, repeats, chunk=chunk)), hidden, output)
    timings = compare(steps, rounds=rounds, warmup=1)
    base, flops = timings["products"].median, 6 * vocab_size * pairs * dim
    return [{"V": vocab_size, "B": pairs, "D": dim, "chunk": chunk, "times_products": timing.median / base,
             "GFLOPs": flops / timing.median / 1e9, **timing.row()} for timing in timings.values()]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab-size", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=1024)
    parser.add_argument("--dim", type=int, default=300)
    parser.add_argument("--chunk", type=int, default=4000, help="must divide the vocabulary here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no-dense", action="store_true", help="leave out the dense form, which needs O(B * V)"
    )
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/<device>/...json")
    options = parser.parse_args()
    if options.vocab_size % options.chunk:
        parser.error("--chunk must divide --vocab-size: the products are timed in whole chunks")
    bounds = [memory(200_000, 4096), memory(200_001, 4096), memory(50_000, None)]
    print(table(bounds))
    rows = speed(
        options.vocab_size, options.pairs, options.dim, options.chunk, options.rounds, not options.no_dense
    )
    print(table(rows))
    report("softmax_scaling", vars(options), rows, write=options.write, memory=bounds)


if __name__ == "__main__":
    main()
