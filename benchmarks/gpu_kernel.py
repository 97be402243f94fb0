"""The kernel of devices/fused.py against XLA's, in turns, in whole chunks of training on a GPU.

    python benchmarks/gpu_kernel.py --write

Both train the same generated text. Before they are timed, gradients and bounds of a step at random
tables are compared with float32 products. Timed steps multiply in TF32, as training does.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mesh_speed import zipf_corpus
from step_pieces import first, stack
from timing import check_close, compare, exact_products, parser_of, report, table

import w2vjax as w2v
from w2vjax.objectives.shared import shared_bounded
from w2vjax.training.settings import Settings
from w2vjax.training.setup import Run, set_up
from w2vjax.training.step import Recipe, compile_chunk
from w2vjax.windows.sampling import chunk_seed

TOLERANCE = 1e-5


def by_xla(recipe: Recipe) -> Recipe:
    """The recipe with XLA's kernels."""
    return recipe._replace(objective=recipe.objective._replace(bounded=shared_bounded))


def check(run: Run, ids: np.ndarray) -> float:
    """The largest error of gradients and bounds of one step at random tables."""
    shape = run.state.params.input.shape
    keys = jax.random.split(jax.random.key(0), 3)
    params = w2v.Params(*(0.3 * jax.random.normal(key, shape) for key in keys[:2]))
    found = []
    with exact_products():
        batches, targets = stack(run.recipe, ids, run.tables, keys[2])
        for recipe in (run.recipe, by_xla(run.recipe)):
            step = jax.jit(partial(w2v.objectives.bounded_backward, recipe.objective))
            found.append(step(params, first(batches), first(targets)))
        return check_close(run.settings.model, *found, TOLERANCE)


def trainer(run: Run, recipe: Recipe) -> Callable[[], Any]:
    """A function that trains the first chunk once more and returns the state after it."""
    program, piece, number = compile_chunk(recipe, run.feed.room), run.feed.chunk(0), 0
    state = jax.tree.map(jnp.copy, run.state)

    def train() -> Any:
        nonlocal state, number
        state, _ = program(state, run.tables, run.keep, *piece, chunk_seed(0, 0, number))
        number += 1
        return state

    return train


def measured(corpus: Any, options: Any) -> list[dict[str, Any]]:
    """A row for each pair, dim and program."""
    rows = []
    for model in options.models:
        for dim in options.dims:
            settings = Settings(model=model, dim=dim, copies=1, min_count=1)
            run = set_up(corpus, settings)
            error = check(run, run.feed.chunk(0)[0][: options.words])
            programs = {"kernel": run.recipe, "xla": by_xla(run.recipe)}
            trains = {name: trainer(run, recipe) for name, recipe in programs.items()}
            timings = compare(trains, rounds=options.rounds, sample_seconds=0.1)
            words, alone = int(run.feed.chunk(0)[2]), timings["xla"].median
            rows += [
                timing.row(
                    **{"model": model, "dim": dim},
                    words_per_second=words / timing.median,
                    speed=alone / timing.median,
                    error=error if name == "kernel" else 0.0,
                )
                for name, timing in timings.items()
            ]
            print(table(rows[-2:]), flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--words", type=int, default=1 << 21, help="of the timed chunk")
    parser.add_argument("--vocab-size", type=int, default=70_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[100, 128, 300])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", nargs="+", default=["skip-gram", "cbow"])
    options = parser.parse_args(arguments)
    if jax.default_backend() != "gpu":
        sys.exit("gpu_kernel.py: JAX finds no GPU. Run it on a machine that has one.")
    rows = measured(zipf_corpus(options.words, options.vocab_size), options)
    settings = {
        name: getattr(options, name) for name in ("words", "vocab_size", "models", "dims", "rounds")
    }
    report("gpu-kernel", settings, rows, write=options.write)


if __name__ == "__main__":
    main()
