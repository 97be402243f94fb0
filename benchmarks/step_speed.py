"""One training step: words/s by setting, and where each nanosecond goes.

    python benchmarks/step_speed.py        one setting varied at a time, on a Zipf text
    python benchmarks/step_speed.py --dim 128 300 --batch-words 1024 4096 --cross \\
        --corpus text8 --write

A chunk of text is trained as ``w2v.train`` does it, by one compiled program. Beside it, with the
same shapes and alone:

    products    the matrix products: scores, d_rows and d_hidden, or those of a softmax
    gather      input rows to hidden vectors, and output rows where an objective scores few of them
    scatter     the optimizer's row update: adding up bounds, scaling, adding up repeated rows
    random      subsampling bits, reaches, negatives
    rest        windows, masks, sigmoid, loss, compaction after subsampling. It can be below 0:
                a piece alone reads from memory what the step may have in a cache

Nanoseconds are per raw word, before subsampling, as are words/s. "run" is T, the words of a block,
"rows" what a hidden vector is scored against, "kept" the share of words that subsampling leaves. On
a CPU training runs two such programs side by side, on a copy of the tables each: "two copies" is
their speed together, without the joining in between.

A step is timed only after it has moved the params as ``jax.grad`` of the clear objective does, and
only if its program copies neither table inside its loop. On a GPU that check has exact products,
and what is timed multiplies in TF32, as training does.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from step_pieces import STACK, first, pieces, randomness, scored_ids, stack
from timing import (
    CheckFailed,
    Timing,
    check_close,
    compare,
    exact_products,
    parser_of,
    report,
    table,
)

import w2vjax as w2v
from w2vjax.corpus.encode import prepare
from w2vjax.devices.feed import marked
from w2vjax.objectives.negative import negative_targets
from w2vjax.objectives.shared import SharedTargets
from w2vjax.training.methods import Method, make_objective, method
from w2vjax.training.step import Recipe, State, compile_chunk, gradient_step
from w2vjax.windows.sampling import chunk_seed

# max|change - expected| / max|expected|; measured 2e-7 to 2e-6 over the settings below, float32
TOLERANCE = 2e-5


class Case(NamedTuple):
    """One setting."""

    model: str = "skip-gram"
    # of w2vjax.training.methods, or "clear": negative sampling in its clear form
    objective: str = "negative"
    dim: int = 100
    window: int = 5
    negatives: int = 5
    run: int = 0  # T; 0 is the default of model and objective, here and below
    batch_words: int = 0


class Text(NamedTuple):
    """A piece of a corpus as the compiled program takes it."""

    ids: np.ndarray  # [M] int32, lines opened by ~id
    counts: np.ndarray  # [V]


def zipf_text(words: int, vocab_size: int, seed: int = 0) -> Text:
    """Words drawn with the frequencies of English, about 1 / (rank + 2.7), in lines of 1,000."""
    share = 1 / (np.arange(vocab_size) + 2.7)
    share /= share.sum()
    ids = np.random.default_rng(seed).choice(vocab_size, words, p=share).astype(np.int32)
    ids[::1000] = ~ids[::1000]
    return Text(ids, np.maximum(1, np.rint(share * 1e8)).astype(np.int64))


def corpus_text(path: str, words: int) -> Text:
    corpus = prepare(path)
    words = min(words, len(corpus.ids))
    return Text(marked(corpus, 0, words, words), np.asarray(corpus.vocab.counts))


def recipe_of(case: Case) -> Recipe:
    chosen = chosen_for(case)
    objective = (
        clear_form(case)
        if case.objective == "clear"
        else make_objective(chosen.objective, case.negatives, model=case.model)
    )
    groups = case.batch_words // case.run
    return Recipe(
        objective,
        chosen.windows,
        chosen.optimizer,
        chosen.learning_rate,
        case.window,
        groups,
        case.run,
        measured=max(1, groups // 8),
        every=32,
    )


def clear_form(case: Case, shared: int = 16) -> w2v.Objective:
    """The objective that states the same loss most plainly."""
    if case.objective == "softmax":
        return w2v.softmax()
    if case.objective == "hierarchical":
        return make_objective(
            case.objective, case.negatives, model=case.model
        )  # with the tree that trains
    return w2v.negative_sampling(case.negatives, shared=shared)


@exact_products()
def check_step(
    case: Case, recipe: Recipe, batch: w2v.Batch, targets: Any, counts: Any, key: Any
) -> float:
    """The error of one step's change of the params, against jax.grad and the same optimizer.

    The clear gradient is dense; it goes to the optimizer as one row for each word, with the bounds
    of the step, so that bounded steps and AdaGrad are checked along with the gradient.
    """
    random = np.random.default_rng(1)
    # scores of about 1: at word2vec's own start, near 0, a wrong sigmoid would pass
    params = w2v.Params(
        *(
            jnp.asarray(random.normal(size=(len(counts), case.dim)) / case.dim**0.25, jnp.float32)
            for _ in "io"
        )
    )
    state = State(params, recipe.optimizer.init(params))
    tables = recipe.objective.init(counts)
    (found, _), loss, _ = jax.jit(partial(gradient_step, recipe))(state, tables, batch, key)
    clear = clear_form(case)

    # all of it as arguments: what is closed over becomes a constant, and XLA would compute with it
    # while compiling
    def clear_step(params: w2v.Params, state: State, batch: w2v.Batch, targets: Any) -> Any:
        goal = w2v.draw_targets(clear, key, clear.init(counts), batch)
        # each block's own view of the negatives that it shares
        if isinstance(targets, SharedTargets):
            drawn = jnp.repeat(targets.negatives, len(batch.words) // len(targets.negatives), 0)
            goal = negative_targets(batch.words, batch.weights, drawn, case.negatives)
        grow = jax.value_and_grad(lambda p: w2v.cross_entropy(clear, p, batch, goal))
        total, dense = grow(params)
        gradients, bounds = w2v.objectives.bounded_backward(
            recipe.objective, params, batch, targets, recipe.embed_backward
        )

        def whole(value: jax.Array, gradient: Any, bound: jax.Array) -> tuple[Any, jax.Array]:
            if not isinstance(gradient, w2v.Rows):
                return value, bound
            rows = w2v.Rows(jnp.arange(len(counts), dtype=jnp.int32), value)
            return rows, jnp.zeros(len(counts), bound.dtype).at[gradient.ids].add(bound)

        pairs = [whole(*leaf) for leaf in zip(dense, gradients, bounds, strict=True)]
        gradients, bounds = (w2v.Params(*(pair[i] for pair in pairs)) for i in (0, 1))
        return total, w2v.updates.apply_gradients(
            recipe.optimizer, state.optimizer, params, gradients, bounds
        )[0]

    total, expected = jax.jit(clear_step)(params, state, batch, targets)
    if recipe.measured == recipe.groups:
        check_close(f"loss of {case}", loss / total, jnp.ones(()), TOLERANCE)

    def change(after: w2v.Params) -> w2v.Params:
        moved = jax.tree.map(jnp.subtract, expected, params)
        return jax.tree.map(lambda a, p, m: (a - p) / jnp.abs(m).max(), after, params, moved)

    return check_close(f"step of {case}", change(found), change(expected), TOLERANCE)


def check_in_place(case: Case, program: Any, shape: tuple[int, int]) -> None:
    """Raise CheckFailed if each step copies a table. A copy before the loop costs nothing.

    A reader that is not ordered before the scatter forces XLA to copy the table.
    """
    wanted = re.compile(rf"= f32\[{shape[0]},{shape[1]}\]\S* copy\(")
    for computation in program.as_text().split("\n\n"):
        name = computation.lstrip().partition(" ")[0]
        if name != "ENTRY" and wanted.search(computation):
            raise CheckFailed(
                f"{case}: the program copies a table of shape {shape} in every step ({name})."
            )


def program_of(
    case: Case, recipe: Recipe, text: Text, sample: float
) -> tuple[Any, Callable[[int], State], tuple[Any, ...]]:
    """(the compiled chunk, a fresh state for a copy of the tables, the arguments behind it)."""
    counts, chunk = text.counts, len(text.ids)
    params = w2v.init_params(jax.random.key(0), len(counts), case.dim)
    keep = w2v.windows.keep_thresholds(counts, sample)

    def fresh(_: int = 0) -> State:
        return State(jax.tree.map(jnp.copy, params), recipe.optimizer.init(params))

    arguments = (
        recipe.objective.init(counts),
        keep,
        jnp.asarray(text.ids),
        np.int32(0),
        np.int32(chunk),
        chunk_seed(0, 0, 0),
    )
    program = compile_chunk(recipe, chunk)
    if case.objective != "softmax":
        check_in_place(case, program.lower(fresh(), *arguments).compile(), params.input.shape)
    return program, fresh, arguments


def copies_at_once(
    program: Any, states: Sequence[State], arguments: tuple[Any, ...]
) -> Callable[[], list[Any]]:
    """A call that trains one chunk on each copy at once. It returns each one's progress."""
    held = list(states)

    def one(place: int) -> Any:
        # waits for the end: a CPU runs a program in the thread that waits for it
        held[place], told = jax.block_until_ready(program(held[place], *arguments))
        return told

    if len(held) == 1:
        return lambda: [one(0)]
    threads = ThreadPoolExecutor(len(held))
    return lambda: list(threads.map(one, range(len(held))))


def measure(case: Case, text: Text, rounds: int, sample: float = 1e-3) -> dict[str, Any]:
    """One row: the check, then the chunk and its pieces in turns."""
    recipe, chunk = recipe_of(case), len(text.ids)
    tables, key = recipe.objective.init(text.counts), jax.random.key(5)
    batches, targets = stack(recipe, text.ids, tables, key)
    error = check_step(case, recipe, first(batches), first(targets), text.counts, key)

    program, fresh, arguments = program_of(case, recipe, text, sample)
    train = copies_at_once(program, [fresh()], arguments)
    (progress,) = train()
    calls = {"step": train, **pieces(recipe, fresh().params, batches, targets)}
    drawn = -(-chunk // case.batch_words)
    calls["random"] = randomness(
        recipe, chunk, drawn, tables, case.objective in {"negative", "clear"}
    )
    if jax.devices()[0].platform == "cpu":
        calls["two copies"] = copies_at_once(program, [fresh(), fresh()], arguments)
    timings = compare(calls, rounds=rounds, warmup=1)
    if not np.isfinite(float(train()[0].loss)):
        raise CheckFailed(f"{case}: the loss is not finite after the timed steps.")
    return row(case, text, progress, first(targets), batches.inputs.weights.shape, timings) | {
        "error": error
    }


def row(
    case: Case,
    text: Text,
    progress: Any,
    targets: Any,
    shape: tuple[int, ...],
    timings: dict[str, Timing],
) -> dict[str, Any]:
    """Words/s and nanoseconds a word; ``shape`` is that of the input weights, [STACK, B, T, C]."""
    chunk, steps = len(text.ids), int(progress.steps)
    seconds = {
        name: timing.median * (steps / STACK if name in ("gather", "products", "scatter") else 1)
        for name, timing in timings.items()
    }
    both = seconds.pop("two copies", None)
    ns = {f"{name}_ns": 1e9 * value / chunk for name, value in seconds.items()}
    rows = (
        sum(ids.shape[-1] for ids in scored_ids(targets))
        if case.objective != "softmax"
        else len(text.counts)
    )
    flops = 6 * steps * shape[1] * shape[2] * rows * case.dim
    return {
        **case._asdict(),
        "rows": rows,
        "words_per_second": chunk / seconds["step"],
        "two_copies_words_per_second": 2 * chunk / both if both else None,
        "products_words_per_second": chunk / seconds["products"],
        **ns,
        "rest_ns": 2 * ns["step_ns"] - sum(ns.values()),
        "products_GFLOPs": flops / seconds["products"] / 1e9,
        "kept": int(progress.words) / chunk,
        "median_s": timings["step"].median,
        "q1_s": timings["step"].quartiles[0],
        "q3_s": timings["step"].quartiles[1],
    }


AXES = {
    "model": ["skip-gram", "cbow"],
    "objective": ["negative", "clear", "hierarchical", "softmax"],
    "dim": [50, 100, 128, 300],
    "window": [5, 10],
    "negatives": [5, 15],
    "run": [8, 16, 32],
    "batch_words": [96, 192, 384, 1536, 6144],
}
QUICK = {"objective": AXES["objective"], "dim": [128]}


def chosen_for(case: Case) -> Method:
    return method(case.model, "negative" if case.objective == "clear" else case.objective)


def filled(case: Case) -> Case:
    """The case with its defaults of run and batch_words written out."""
    default = chosen_for(case)
    run = case.run or default.block_words
    words = case.batch_words or default.batch_words
    return case._replace(run=run, batch_words=max(run, words // run * run))


def cases(axes: dict[str, Sequence[Any]], cross: bool) -> list[Case]:
    """The default with one setting varied at a time, or with ``cross`` every combination."""
    if cross:
        return [
            filled(Case(**dict(zip(axes, values, strict=True))))
            for values in itertools.product(*axes.values())
        ]
    varied = [Case()._replace(**{name: value}) for name, values in axes.items() for value in values]
    return list(dict.fromkeys(map(filled, [Case(), *varied])))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    for name, values in AXES.items():
        add(f"--{name.replace('_', '-')}", type=type(values[0]), nargs="+", metavar="X")
    add("--cross", action="store_true", help="every combination instead of one at a time")
    add("--corpus", help="a text file instead of generated words")
    add("--words", type=int, default=1 << 17, help="words of the timed chunk")
    add("--vocab-size", type=int, default=50_000, help="of the generated words")
    add("--softmax-vocab-size", type=int, default=2_000, help="the same for the full softmax")
    add("--rounds", type=int, default=9)
    add("--quick", action="store_true", help="a short chunk, 3 rounds and few settings")
    options = parser.parse_args(arguments)
    if options.quick:
        options.words, options.rounds = min(options.words, 1 << 15), min(options.rounds, 3)
    given = {name: getattr(options, name) for name in AXES if getattr(options, name)}
    wanted = cases(given or (QUICK if options.quick else AXES), options.cross)
    # every objective with every model, and the rest one at a time
    if not given and not options.quick:
        pairs = cases({n: AXES[n] for n in ("model", "objective")}, True)
        trees = {"objective": ["hierarchical"], "batch_words": [64, 256]}
        wanted = list(dict.fromkeys([*pairs, *wanted, *cases(trees, True)]))
    rows = []
    for case in wanted:
        small = case.objective == "softmax"
        words, size = (
            (options.words // 8, options.softmax_vocab_size)
            if small
            else (options.words, options.vocab_size)
        )
        # the generated vocabulary of the softmax is smaller: its cost is that of every word
        text = corpus_text(options.corpus, words) if options.corpus else zipf_text(words, size)
        rows.append(measure(case, text, options.rounds))
        print(f"{case}: {rows[-1]['words_per_second'] / 1e6:.2f} M words/s", flush=True)
    print(table(rows))
    corpus = Path(options.corpus).name if options.corpus else "generated, Zipf"
    settings = {
        "words": options.words,
        "vocab_size": options.vocab_size,
        "rounds": options.rounds,
        "corpus": corpus,
        "tolerance": TOLERANCE,
    }
    report("step_speed", settings, rows, write=options.write, quick=options.quick)


if __name__ == "__main__":
    main()
