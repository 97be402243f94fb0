"""Two devices that take each step together, against one device on the same cores, in turns.

    python benchmarks/mesh_speed.py --write

A CPU simulates the devices, so both share its cores. The share of one device's words a second says
what it costs to divide a step, not what a second device gains. Before anything is timed, the
weights after a chunk of 100 steps are compared: equal bits for "data" and "vocabulary", 1e-6 for
"dim", which adds in another order. On real GPUs that check has exact products, and what is timed
multiplies in TF32, as training does.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from step_speed import zipf_text
from timing import CheckFailed, compare, exact_products, parser_of, report, table

from w2vjax.corpus.encode import Corpus
from w2vjax.training.settings import Settings
from w2vjax.training.setup import set_up
from w2vjax.training.step import State, compile_chunk
from w2vjax.vocab import Vocab
from w2vjax.windows.sampling import chunk_seed

TOLERANCE = {"data": 0.0, "dim": 1e-6, "vocabulary": 0.0}


def zipf_corpus(words: int, vocab_size: int) -> Corpus:
    """Generated words, as frequent as in English."""
    text = zipf_text(words, vocab_size)
    vocab = Vocab(tuple(f"w{number}" for number in range(vocab_size)), text.counts)
    starts, ids = np.flatnonzero(text.ids < 0), np.where(text.ids < 0, ~text.ids, text.ids)
    return Corpus(vocab=vocab, ids=ids, starts=starts, digest="zipf", reused=False)


def trainer(corpus: Any, axis: str | None, dim: int) -> Callable[[], State]:
    """A function that trains one more chunk and returns the state after it."""
    mesh = None if axis is None else Mesh(np.array(jax.devices()), (axis,))
    run = set_up(corpus, Settings(copies=1, min_count=1, dim=dim), mesh=mesh)
    program, piece = compile_chunk(run.recipe, run.feed.room), run.feed.chunk(0)
    state, number = run.state, 0

    def train() -> State:
        nonlocal state, number
        seed = chunk_seed(0, 0, number)
        state, _ = program(state, run.tables, run.keep, *piece, seed)
        number += 1
        return state

    return train


def check(axis: str, one: State, many: State) -> float:
    """The largest difference of weights, relative. Raises CheckFailed if it is too large."""
    words = one.params.input.shape[0]
    pairs = [
        (np.asarray(a), np.asarray(b)[:words]) for a, b in zip(one.params, many.params, strict=True)
    ]
    error = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)
    if not error <= TOLERANCE[axis]:
        raise CheckFailed(f'"{axis}" over 2 devices: weights differ by {error:.1e}.')
    return error


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--words", type=int, default=38_400, help="of the timed chunk")
    parser.add_argument("--vocab-size", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="a short chunk and 3 rounds")
    options = parser.parse_args(arguments)
    if options.quick:
        options.words, options.rounds = min(options.words, 1 << 14), min(options.rounds, 3)
    jax.config.update("jax_num_cpu_devices", 2)
    corpus = zipf_corpus(options.words, options.vocab_size)
    candidates = {"one": trainer(corpus, None, options.dim)}
    candidates |= {axis: trainer(corpus, axis, options.dim) for axis in TOLERANCE}
    with exact_products():
        first = {name: train() for name, train in candidates.items()}
        errors = {axis: check(axis, first["one"], first[axis]) for axis in TOLERANCE}
    timings = compare(candidates, rounds=options.rounds)
    alone = timings["one"].median
    rows = [
        timing.row(
            layout=name,
            words_per_second=options.words / timing.median,
            share_of_one=alone / timing.median,
            difference=errors.get(name, 0.0),
        )
        for name, timing in timings.items()
    ]
    print(table(rows))
    settings = {name: getattr(options, name) for name in ("words", "vocab_size", "dim", "rounds")}
    report("mesh_speed", settings, rows, write=options.write, quick=options.quick)


if __name__ == "__main__":
    main()
