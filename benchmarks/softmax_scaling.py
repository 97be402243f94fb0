"""Full softmax over V words: dense, chunked and by ``jax.grad``. Time and peak memory against V.

    python benchmarks/softmax_scaling.py --quick
    python benchmarks/softmax_scaling.py --vocab-sizes 100000 --pairs 4096 --dim 300 --write

    dense        the handwritten gradient, logits [B, V] in memory
    chunked      the same in slices of V: less memory, but logits are computed twice
    jax.grad     automatic differentiation of the dense loss
    products     only the three products of a dense loss: logits, d_hidden, d_output

Each gives the summed loss of B pairs with its derivatives by hidden vectors and output table. They
are checked to be equal before anything is timed. What would need more than half of the memory that
is free is compiled, for its peak memory, and not run; the others are then checked against it on the
first pairs. On a GPU, programs with exact products are checked, and those that are timed multiply
in TF32, as training does.

The roofline is the larger of 6 V B D operations at the speed of one large product and 2 V D
numbers, the table and its gradient, at that of a copy, both measured here: "times roofline" is the
distance from what this machine can do.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from timing import CheckFailed, check_close, compare, exact_products, parser_of, report, table

import w2vjax as w2v

TOLERANCE = 1e-5  # max|got - expected| / max(max|expected|, 1), float32; measured at most 1e-6
FEW = 64  # pairs on which the forms are compared where one of them is too large to be run with all


class Data(NamedTuple):
    """The arguments of every form: hidden vectors [B, D], output [V, D], positives [B]."""

    hidden: jax.Array  # [B, D]
    output: jax.Array  # [V, D]
    targets: Any

    def first(self, pairs: int) -> "Data":
        return Data(
            self.hidden[:pairs], self.output, jax.tree.map(lambda leaf: leaf[:pairs], self.targets)
        )


def data(vocab_size: int, pairs: int, dim: int) -> Data:
    rng = np.random.default_rng(0)
    # logits of about 1: near 0 a softmax is flat, and a wrong one would hardly show
    hidden, output = (
        rng.standard_normal((n, dim), np.float32) / dim**0.25 for n in (pairs, vocab_size)
    )
    ids = jnp.asarray(rng.integers(0, vocab_size, (pairs, 1)), jnp.int32)
    targets = w2v.softmax().select((), (), ids, jnp.ones((pairs, 1, 1)))
    return Data(jnp.asarray(hidden), jnp.asarray(output), targets)


def by_hand(objective: w2v.Objective, hidden: jax.Array, output: jax.Array, targets: Any) -> Any:
    loss = objective.loss(hidden[:, None], output, targets).sum()
    d_hidden, d_output = objective.backward(hidden[:, None], output, targets)
    return loss, (d_hidden[:, 0], d_output)


def by_autodiff(hidden: jax.Array, output: jax.Array, targets: Any) -> Any:
    def loss(hidden: jax.Array, output: jax.Array) -> jax.Array:
        return w2v.softmax().loss(hidden[:, None], output, targets).sum()

    return jax.value_and_grad(loss, argnums=(0, 1))(hidden, output)


def products(
    chunk: int, hidden: jax.Array, output: jax.Array, _: Any
) -> tuple[jax.Array, jax.Array]:
    """The products alone, in slices of V: the loop keeps them in the same small memory."""

    def step(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        d_hidden, d_output = carry
        rows = jax.lax.dynamic_slice_in_dim(output, i * chunk, chunk)
        logits = hidden @ rows.T
        part = logits.T @ hidden
        return d_hidden + logits @ rows, jax.lax.dynamic_update_slice_in_dim(
            d_output, part, i * chunk, 0
        )

    start = jnp.zeros_like(hidden), jnp.zeros_like(output)
    return jax.lax.fori_loop(0, output.shape[0] // chunk, step, start)


def forms(chunk: int) -> dict[str, Callable[..., Any]]:
    return {
        "dense": partial(by_hand, w2v.softmax()),
        "chunked": partial(by_hand, w2v.softmax(chunk)),
        "jax.grad": by_autodiff,
    }


def compiled(form: Callable[..., Any], given: Data) -> tuple[Callable[[], Any], int]:
    """(the form as a call without arguments, its peak bytes with arguments and results)."""
    program = jax.jit(form).lower(*given).compile()
    need = program.memory_analysis()
    return partial(program, *given), (
        need.argument_size_in_bytes + need.output_size_in_bytes + need.temp_size_in_bytes
    )


def free_bytes() -> int:
    """Memory that is free on the device, or on the host where that is the device."""
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats["bytes_in_use"])
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:
        return 4 << 30
    return int(lines["MemAvailable"].split()[0]) * 1024


@exact_products()
def check(names: Sequence[str], chunk: int, given: Data, what: str) -> dict[str, float]:
    """{form: largest error against jax.grad or the first form}. CheckFailed above TOLERANCE."""
    calls = {name: compiled(forms(chunk)[name], given)[0] for name in names}
    base = "jax.grad" if "jax.grad" in calls else names[0]
    expected = jax.tree.map(np.asarray, calls[base]())
    return {
        name: check_close(f"{name}, {what}", call(), expected, TOLERANCE)
        for name, call in calls.items()
    }


def check_memory(vocab_size: int, pairs: int, dim: int, chunk: int) -> dict[str, Any]:
    """Raise CheckFailed if temporaries exceed one chunk and a fifth of params and gradients.

    Compiled from shapes alone, so that a large V costs nothing.
    """
    shapes = jax.eval_shape(partial(data, 2, pairs, dim))
    given = shapes._replace(output=jax.ShapeDtypeStruct((vocab_size, dim), jnp.float32))
    program = jax.jit(forms(chunk)["chunked"]).lower(*given).compile()
    used = program.memory_analysis().temp_size_in_bytes
    bound = 0.2 * 4 * dim * (3 * vocab_size + pairs) + 4 * chunk * (dim + pairs)
    if used > bound:
        raise CheckFailed(
            f"chunked, V={vocab_size}: {used:,} bytes of temporaries exceed {bound:,.0f}."
        )
    return {
        "V": vocab_size,
        "B": pairs,
        "D": dim,
        "chunk": chunk,
        "temporaries_MiB": used / 2**20,
        "bound_MiB": bound / 2**20,
    }


def machine(rounds: int) -> dict[str, float]:
    """Operations a second of one large product, bytes a second (read and written) of a copy."""
    square = jnp.ones((2048, 2048), jnp.float32)
    long = jnp.ones(1 << 25, jnp.float32)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    timings = compare(
        {"product": lambda: product(square, square), "copy": lambda: copy(long)}, rounds=rounds
    )
    return {
        "product_GFLOPs": 2 * 2048**3 / min(timings["product"].seconds) / 1e9,
        "copy_GB_per_s": 2 * long.nbytes / min(timings["copy"].seconds) / 1e9,
    }


def measure(
    vocab_size: int, pairs: int, dim: int, chunk: int, rounds: int, peaks: dict[str, float]
) -> list[dict[str, Any]]:
    """The rows of one V: checked, then timed in turns."""
    given = data(vocab_size, pairs, dim)
    chunk = min(chunk, vocab_size)
    made = {name: compiled(form, given) for name, form in forms(chunk).items()}
    made["products"] = compiled(partial(products, chunk), given)
    free = free_bytes()
    run = {name: call for name, (call, need) in made.items() if need <= free / 2}
    absent = [name for name in made if name not in run]
    ours = [name for name in run if name != "products"]
    what = f"V={vocab_size:,}"
    errors = check(ours, chunk, given, what) if ours else {}
    if absent:
        check(list(forms(chunk)), chunk, given.first(FEW), f"{what}, {FEW} pairs")
    timings = compare(run, rounds=rounds, warmup=1)
    flops, numbers = 6 * vocab_size * pairs * dim, 2 * vocab_size * dim + 2 * pairs * dim
    roofline = max(flops / peaks["product_GFLOPs"], 4 * numbers / peaks["copy_GB_per_s"]) / 1e9
    rows = []
    for name, (_, need) in made.items():
        row = {
            "V": vocab_size,
            "B": pairs,
            "D": dim,
            "chunk": chunk,
            "name": name,
            "peak_MiB": round(need / 2**20, 1),
        }
        if name in absent:
            rows.append(row | {"note": "too large to run"})
            continue
        median = timings[name].median
        row |= {
            "GFLOPs": flops / median / 1e9,
            "times_roofline": median / roofline,
            "error": errors.get(name, ""),
        }
        if "products" in run:
            row["times_products"] = median / timings["products"].median
        rows.append(row | timings[name].row())
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--vocab-sizes", type=int, nargs="+", default=[4_000, 20_000, 100_000, 1_000_000])
    add("--pairs", type=int, default=512, help="B")
    add("--dim", type=int, default=128)
    add("--chunk", type=int, default=4000, help="words in a slice; must divide every V above it")
    add("--rounds", type=int, default=5)
    add("--quick", action="store_true", help="V of 4,000 and 20,000, 128 pairs, dim 64, 3 rounds")
    options = parser.parse_args(arguments)
    if options.quick:
        options.vocab_sizes, options.pairs = [4_000, 20_000], 128
        options.dim, options.rounds = 64, 3
    if any(size > options.chunk and size % options.chunk for size in options.vocab_sizes):
        parser.error("--chunk must divide the vocabulary: the products are timed in whole slices")
    bounds = [check_memory(size, 512, 128, 4096) for size in (200_000, 200_001)]
    print(table(bounds))
    peaks = machine(options.rounds)
    rows = []
    for size in options.vocab_sizes:
        rows += measure(size, options.pairs, options.dim, options.chunk, options.rounds, peaks)
        print(f"V={size:,}: measured", flush=True)
    print(table(rows))
    settings = {
        "pairs": options.pairs,
        "dim": options.dim,
        "chunk": options.chunk,
        "rounds": options.rounds,
        **peaks,
    }
    report(
        "softmax_scaling", settings, rows, write=options.write, quick=options.quick, memory=bounds
    )


if __name__ == "__main__":
    main()
