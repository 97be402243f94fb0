"""One training step: words/s by objective, dim, window, negatives, block and batch, and where each nanosecond goes.

    python benchmarks/step_speed.py                                   one setting varied at a time, on a Zipf text
    python benchmarks/step_speed.py --dim 128 300 --batch-words 1024 4096 --cross --corpus text8 --write

A chunk of text is trained as ``w2v.train`` does it, by one compiled program. Beside it, with the same shapes and alone:

    products    the matrix products: scores, d_rows and d_hidden of a block; logits and two more of a softmax
    gather      input rows to hidden vectors, and output rows where an objective scores few of them
    scatter     the optimizer's row update: counting hits, scaling, adding up repeated rows
    random      subsampling bits, reaches, negatives
    rest        what is left: windows, masks, sigmoid, loss, subsampling's compaction. Pieces alone read their operands
                from memory where the step may have them in a cache, so it can come out below 0

Nanoseconds are per raw word, before subsampling, as are words/s. A step is timed only after it has moved the params as
``jax.grad`` of the clear objective does, and only if its program copies neither table inside its loop.
"""

import argparse
import itertools
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from timing import CheckFailed, check_close, compare, report, table

import w2vjax as w2v
from w2vjax.corpus.encode import prepare
from w2vjax.objectives.negative import draw, negative_targets
from w2vjax.objectives.shared import SharedTargets
from w2vjax.training.choices import Choice, choice
from w2vjax.training.feed import marked
from w2vjax.training.step import Recipe, State, chunk_key, compile_chunk, gradient_step, hits, split_lines

# max|change - expected| / max|expected|; measured 2e-7 to 2e-6 over the settings below, float32
TOLERANCE = 2e-5
STACK = 16  # steps of different words that the pieces walk through


class Case(NamedTuple):
    """One setting."""

    model: str = "skip-gram"
    objective: str = "negative"  # of w2vjax.training.choices, or "clear": negative sampling in its clear form
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
    objective = clear_form(case) if case.objective == "clear" else chosen.objective(case.negatives, 0.75)
    groups = case.batch_words // case.run
    return Recipe(objective, chosen.windows, chosen.optimizer(chosen.learning_rate), case.window, groups, case.run,
                  measured=max(1, groups // 16))  # fmt: skip


def clear_form(case: Case, shared: int = 16) -> w2v.Objective:
    """The objective that states the same loss most plainly."""
    if case.objective == "softmax":
        return w2v.softmax()
    if case.objective == "hierarchical":
        return w2v.hierarchical_softmax()
    return w2v.negative_sampling(case.negatives, shared=shared)


def stack(recipe: Recipe, text: Text, tables: Any, key: jax.Array) -> tuple[w2v.Batch, Any]:
    """(batches, targets) of STACK steps in a row, one more axis in front of each leaf."""
    size, window = recipe.groups * recipe.run, recipe.window
    ids = np.resize(text.ids, STACK * size + 2 * window)
    tokens, segments = split_lines(jnp.asarray(ids), jnp.int32(len(ids)))
    width = jnp.arange(recipe.run + 2 * window, dtype=jnp.int32)[None]

    def one(number: jax.Array) -> tuple[w2v.Batch, Any]:
        at = number * size + jnp.arange(recipe.groups, dtype=jnp.int32)[:, None] * recipe.run + width
        reach = recipe.reach(jax.random.fold_in(key, number), (recipe.groups, recipe.run), window)
        batch = recipe.windows(tokens[at], segments[at], reach)
        return batch, recipe.objective.select(key, tables, batch.words, batch.weights)

    return jax.jit(lambda: jax.lax.map(one, jnp.arange(STACK, dtype=jnp.int32)))()


def check_step(case: Case, recipe: Recipe, batch: w2v.Batch, targets: Any, counts: Any, key: Any) -> float:
    """The error of the change of the params by one step, against jax.grad of the clear loss and the same optimizer.

    The clear gradient is dense; it goes to the optimizer as one row for each word, with the hits of the step, so that
    count-clipping and AdaGrad are checked along with the gradient.
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
    (found, _), loss = jax.jit(partial(gradient_step, recipe))(state, tables, batch, key)
    clear = clear_form(case)

    # all of it as arguments: what is closed over becomes a constant, and XLA would compute with it while compiling
    def clear_step(params: w2v.Params, state: State, batch: w2v.Batch, targets: Any) -> Any:
        goal = clear.select(key, clear.init(counts), batch.words, batch.weights)
        if isinstance(targets, SharedTargets):  # each block's own view of the negatives that it shares
            drawn = jnp.repeat(targets.negatives, len(batch.words) // len(targets.negatives), 0)
            goal = negative_targets(batch.words, batch.weights, drawn, case.negatives)
        grow = jax.value_and_grad(lambda p: w2v.cross_entropy(clear, p, batch, goal))
        total, dense = grow(params)
        _, gradients = w2v.backward(recipe.objective, params, batch, targets, recipe.embed_backward)
        counted = hits(batch, targets, gradients)

        def whole(value: jax.Array, gradient: Any, count: jax.Array) -> tuple[Any, jax.Array]:
            if not isinstance(gradient, w2v.Rows):
                return value, count
            rows = w2v.Rows(jnp.arange(len(counts), dtype=jnp.int32), value)
            return rows, jnp.zeros(len(counts), count.dtype).at[gradient.ids].add(count)

        pairs = [whole(*leaf) for leaf in zip(dense, gradients, counted, strict=True)]
        gradients, counted = (w2v.Params(*(pair[i] for pair in pairs)) for i in (0, 1))
        return total, w2v.apply_gradients(recipe.optimizer, state.optimizer, params, gradients, counted)[0]

    total, expected = jax.jit(clear_step)(params, state, batch, targets)
    if recipe.measured == recipe.groups:
        check_close(f"loss of {case}", loss / total, jnp.ones(()), TOLERANCE)

    def change(after: w2v.Params) -> w2v.Params:
        moved = jax.tree.map(jnp.subtract, expected, params)
        return jax.tree.map(lambda a, p, m: (a - p) / jnp.abs(m).max(), after, params, moved)

    return check_close(f"step of {case}", change(found), change(expected), TOLERANCE)


def scored_ids(targets: Any) -> list[jax.Array]:
    """The rows that are scored, in the blocks [G, R] that are products with G equal parts of the hidden vectors."""
    return [targets.words, targets.negatives] if isinstance(targets, SharedTargets) else [targets.ids]


def flat_ids(targets: Any) -> jax.Array:
    return jnp.concatenate([ids.reshape(-1) for ids in scored_ids(targets)])


def check_in_place(case: Case, program: Any, shape: tuple[int, int]) -> None:
    """Raise CheckFailed if the compiled loop copies a table in every step (a reader that is not ordered before the
    scatter forces it to). Copies before the loop cost nothing and are allowed."""
    wanted = re.compile(rf"= f32\[{shape[0]},{shape[1]}\]\S* copy\(")
    for computation in program.as_text().split("\n\n"):
        name = computation.lstrip().partition(" ")[0]
        if name != "ENTRY" and wanted.search(computation):
            raise CheckFailed(f"{case}: the program copies a table of shape {shape} in every step ({name}).")


def pieces(recipe: Recipe, params: w2v.Params, batches: Any, targets: Any) -> dict[str, Callable[[], Any]]:
    """The pieces of a step alone, each for STACK steps in one compiled loop."""
    first = partial(jax.tree.map, lambda leaf: leaf[0])
    _, gradients = jax.jit(partial(w2v.backward, recipe.objective))(params, first(batches), first(targets))
    few = isinstance(gradients.output, w2v.Rows)

    def gather_one(number: jax.Array, params: w2v.Params, batches: Any, targets: Any) -> Any:
        hidden = w2v.embed(params.input, jax.tree.map(lambda leaf: leaf[number], batches.inputs))
        return hidden, [params.output[ids[number]] for ids in scored_ids(targets)] if few else [
            params.output[None]
        ]

    def gather(*arguments: Any) -> Any:
        def body(number: jax.Array, kept: Any) -> Any:
            hidden, rows = gather_one(number, *arguments)
            return hidden, rows if few else kept[1]

        return jax.lax.fori_loop(0, STACK, body, gather_one(jnp.int32(0), *arguments))

    def products(hidden: jax.Array, blocks: list[jax.Array]) -> Any:
        def three(h: jax.Array, r: jax.Array) -> Any:
            if (
                len(r) == 1
            ):  # the whole vocabulary: XLA's CPU compiler multiplies a batch of one at a tenth of the speed
                h = h.reshape(-1, h.shape[-1])
                scores = h @ r[0].T
                return (scores @ r[0])[None], (scores.T @ h)[None]
            h = h.reshape(len(r), -1, h.shape[-1])
            scores = jnp.einsum("brd,btd->brt", r, h)
            turned = jax.lax.optimization_barrier(scores.swapaxes(1, 2))
            return jnp.einsum("btr,brd->btd", turned, r), jnp.einsum("brt,btd->brd", scores, h)

        def body(_: jax.Array, carry: Any) -> Any:
            # tied to the last turn by a zero that the compiler cannot know: it would take the products out of the loop
            h = hidden * (1 + 0 * carry[0][1][0, 0, 0])
            return [three(h, rows) for rows in blocks]

        return jax.lax.fori_loop(0, STACK, body, [three(hidden, rows) for rows in blocks])

    def scatter(state: State, batches: Any, targets: Any, gradients: w2v.Params) -> State:
        def body(number: jax.Array, state: State) -> State:
            batch, target = (jax.tree.map(lambda leaf: leaf[number], part) for part in (batches, targets))
            ids = w2v.Params(batch.inputs.ids, flat_ids(target))
            rows = w2v.Params(*(g._replace(ids=i.reshape(-1)) if isinstance(g, w2v.Rows) else g
                                for g, i in zip(gradients, ids, strict=True)))  # fmt: skip
            counted = hits(batch, target, rows)
            return State(*w2v.apply_gradients(recipe.optimizer, state.optimizer, state.params, rows, counted))

        return jax.lax.fori_loop(0, STACK, body, state)

    hidden, blocks = jax.jit(gather_one)(jnp.int32(0), params, batches, targets)
    held = [State(jax.tree.map(jnp.copy, params), recipe.optimizer.init(params))]
    update = jax.jit(scatter, donate_argnums=0)

    def scatter_in_turn() -> Any:
        held[0] = update(held[0], batches, targets, gradients)
        return held[0]

    return {"gather": partial(jax.jit(gather), params, batches, targets),
            "products": partial(jax.jit(products), hidden, blocks), "scatter": scatter_in_turn}  # fmt: skip


def randomness(recipe: Recipe, case: Case, chunk: int, steps: int, tables: Any) -> Callable[[], Any]:
    """Everything that a chunk draws: bits for subsampling, reaches, negatives."""

    def negatives(key: jax.Array) -> Any:
        if recipe.objective.draw is not None:
            return recipe.objective.draw(key, tables, steps, recipe.groups)
        if case.objective not in {"negative", "clear"}:
            return ()
        start = draw(key, tables, (recipe.groups, 16))
        return jax.lax.fori_loop(
            0, steps, lambda n, kept: kept ^ draw(jax.random.fold_in(key, n), tables, start.shape), start
        )

    def all_of(key: jax.Array) -> Any:
        keys = jax.random.split(key, 3)
        size = recipe.groups * recipe.run
        reach = recipe.reach(keys[1], (chunk + size,), recipe.window)
        return jax.random.bits(keys[0], (chunk,), jnp.uint32), reach, negatives(keys[2])

    return partial(jax.jit(all_of), jax.random.key(0))


def measure(case: Case, text: Text, rounds: int, sample: float = 1e-3) -> dict[str, Any]:
    """One row: the check, then the chunk and its pieces in turns."""
    recipe, counts, chunk = recipe_of(case), text.counts, len(text.ids)
    tables = recipe.objective.init(counts)
    key = jax.random.key(5)
    batches, targets = stack(recipe, text, tables, key)
    first = partial(jax.tree.map, lambda leaf: leaf[0])
    error = check_step(case, recipe, first(batches), first(targets), counts, key)

    params = w2v.init_params(jax.random.key(0), len(counts), case.dim)
    keep = w2v.keep_thresholds(counts, sample)
    held = [State(jax.tree.map(jnp.copy, params), recipe.optimizer.init(params))]
    arguments = (tables, keep, jnp.asarray(text.ids), np.int32(0), np.int32(chunk), chunk_key(0, 0, 0))
    program = compile_chunk(recipe, chunk).lower(held[0], *arguments).compile()
    if case.objective != "softmax":
        check_in_place(case, program, params.input.shape)
    held[0], progress = program(held[0], *arguments)
    steps = int(progress.steps)

    def train() -> Any:
        held[0], told = program(held[0], *arguments)
        return told

    alone = pieces(recipe, params, batches, targets)
    alone["random"] = randomness(recipe, case, chunk, -(-chunk // case.batch_words), tables)
    timings = compare({"step": train, **alone}, rounds=rounds, warmup=1)
    if not np.isfinite(float(train().loss)):
        raise CheckFailed(f"{case}: the loss is not finite after the timed steps.")
    seconds = {name: timing.median * (steps / STACK if name in ("gather", "products", "scatter") else 1)
               for name, timing in timings.items()}  # fmt: skip
    ns = {f"{name}_ns": 1e9 * value / chunk for name, value in seconds.items()}
    groups, hidden = batches.inputs.ids.shape[1:3]
    blocks = [ids.shape[-1] for ids in scored_ids(targets)] if case.objective != "softmax" else [len(counts)]
    flops = 6 * steps * groups * hidden * sum(blocks) * case.dim
    return {
        **case._asdict(), "rows": sum(blocks), "words_per_second": chunk / seconds["step"],
        "products_words_per_second": chunk / seconds["products"], **ns, "rest_ns": 2 * ns["step_ns"] - sum(ns.values()),
        "products_GFLOPs": flops / seconds["products"] / 1e9, "kept": int(progress.words) / chunk, "error": error,
        "median_s": timings["step"].median, "q1_s": timings["step"].quartiles[0], "q3_s": timings["step"].quartiles[1],
    }  # fmt: skip


AXES = {"model": ["skip-gram", "cbow"], "objective": ["negative", "clear", "hierarchical", "softmax"],
        "dim": [100, 128, 300], "window": [5, 10], "negatives": [5, 15], "run": [8, 16, 32],
        "batch_words": [256, 1024, 4096]}  # fmt: skip
QUICK = {"objective": AXES["objective"], "dim": [128]}


def chosen_for(case: Case) -> Choice:
    return choice(case.model, "negative" if case.objective == "clear" else case.objective)


def filled(case: Case) -> Case:
    """The case with its defaults of run and batch_words written out."""
    default = chosen_for(case)
    run = case.run or default.run
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, values in AXES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(values[0]), nargs="+", metavar="X")
    parser.add_argument("--cross", action="store_true", help="every combination instead of one at a time")
    parser.add_argument("--corpus", help="a text file instead of generated words")
    parser.add_argument("--words", type=int, default=1 << 17, help="words of the timed chunk")
    parser.add_argument("--vocab-size", type=int, default=50_000, help="of the generated words")
    parser.add_argument("--softmax-vocab-size", type=int, default=2_000, help="the same for the full softmax")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="a short chunk, 3 rounds and few settings")
    parser.add_argument("--write", action="store_true", help="write results/<device>/step_speed.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.words, options.rounds = min(options.words, 1 << 15), min(options.rounds, 3)
    given = {name: getattr(options, name) for name in AXES if getattr(options, name)}
    rows = []
    for case in cases(given or (QUICK if options.quick else AXES), options.cross):
        small = case.objective == "softmax"
        words, size = (
            (options.words // 8, options.softmax_vocab_size) if small else (options.words, options.vocab_size)
        )
        # the generated vocabulary of the softmax is smaller: its cost is that of every word
        text = corpus_text(options.corpus, words) if options.corpus else zipf_text(words, size)
        rows.append(measure(case, text, options.rounds))
        print(f"{case}: {rows[-1]['words_per_second'] / 1e6:.2f} M words/s", flush=True)
    print(table(rows))
    report("step_speed", {"words": options.words, "vocab_size": options.vocab_size, "rounds": options.rounds,
                          "corpus": options.corpus or "generated, Zipf", "tolerance": TOLERANCE}, rows,
           write=options.write)  # fmt: skip


if __name__ == "__main__":
    main()
