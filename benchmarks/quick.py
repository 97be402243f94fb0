"""How fast this machine trains, in two minutes: words/s of each method, on a generated text.

    python benchmarks/quick.py                          the table, with gensim if it is installed
    python benchmarks/quick.py --json here.json --picture here.png
    python benchmarks/quick.py --compare there.json     beside another machine or commit
    python benchmarks/quick.py --write                  keep the result under results/
    python benchmarks/quick.py --seeds 20               one small model from 20 seeds instead

Each method trains ``--rounds`` times through ``w2v.train``; the fastest run counts. "roofline" is
the share of the speed that this machine could reach: a step cannot take less than its operations at
the speed of one large product, nor less than its different rows, read and written, at the speed of
a copy. "compile" is the time of the first run before its first step. Gensim trains on the same file
with as many threads as cores. A run that did not train all words, or whose loss is not sane, ends
the benchmark. The words of the text are independent, so that there is little to learn.

``--seeds`` times three ways to train models of up to 2,000 different words from many seeds, on
texts of Zipf's frequencies and on one that has each word twice: a loop over ``w2v.train``, the same
in a thread for each core, and ``w2v.train_many``. Threads must give the bits of the loop, and
``train_many`` the same vectors to 1e-4.
"""

import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from softmax_scaling import machine
from step_speed import zipf_text
from timing import (
    CheckFailed,
    check_close,
    compare,
    exact_products,
    parser_of,
    report,
    table,
    write_json,
)

import w2vjax as w2v
from w2vjax.training.methods import METHODS
from w2vjax.training.setup import Run

VOCABULARY, SOFTMAX_VOCABULARY = 20_000, 2_000  # a softmax costs V numbers a word
KEY = ("model", "objective", "dim")
INSANE = 1.5  # times the loss of untrained tables; a tree's has little to win on independent words


def write_text(path: Path, words: int, vocabulary: int) -> None:
    """Words of Zipf's frequencies, in lines of 1,000."""
    ids = zipf_text(words, vocabulary).ids
    names = np.char.add("w", np.where(ids < 0, ~ids, ids).astype(str))
    lines = (" ".join(names[start : start + 1000]) for start in range(0, words, 1000))
    path.write_text("\n".join(lines) + "\n")


def least_work(run: Run) -> tuple[float, float]:
    """(operations, bytes) that one word of a step needs at least: its gradient, and its rows."""
    recipe, params = run.recipe, run.state.params
    wide = (recipe.groups, recipe.block_words + 2 * recipe.window)
    ids = np.abs(np.resize(run.feed.corpus.ids[: run.feed.words], wide))
    reach = np.full((recipe.groups, recipe.block_words), recipe.window, np.int32)
    batch = recipe.windows(jnp.asarray(ids), jnp.zeros(wide, jnp.int32), jnp.asarray(reach))
    targets = w2v.draw_targets(recipe.objective, jax.random.key(0), run.tables, batch)
    backward = jax.jit(partial(w2v.backward, recipe.objective))
    _, gradient = backward(params, batch, targets)
    operations = backward.lower(params, batch, targets).cost_analysis()["flops"]
    parts = [part if isinstance(part, tuple) else (np.arange(len(part)),) for part in gradient]
    rows = sum(len(np.unique(part[0])) for part in parts)
    size = recipe.groups * recipe.block_words
    moved = 2 * params.input.dtype.itemsize * params.input.shape[1] * rows
    return operations / size, moved / size


def train(text: Path, words: int, rounds: int, **settings: Any) -> tuple[float, float, Run]:
    """(words a second, seconds of compiling, the run); CheckFailed if one did not do its work."""
    runs = []
    for _ in range(rounds):
        trained = w2v.train(text, epochs=1, min_count=1, sample=0.0, progress=False, **settings)
        runs.append(trained.summary)
        loss, untrained = runs[-1]["loss"], runs[-1]["untrained_loss"]
        if runs[-1]["words"] != words or not loss < INSANE * (untrained or math.inf):
            raise CheckFailed(
                f"{settings}: {runs[-1]['words']:,} of {words:,} words trained, loss {loss}, "
                f"untrained {untrained}."
            )
    speed = max(run["raw_words_per_second"] for run in runs)
    return speed, runs[0]["compile_seconds"], trained.run


def gensim_speed(text: Path, words: int, model: str, objective: str, dim: int) -> float | None:
    """Gensim's words a second with the same settings; None without it, and for a full softmax."""
    try:
        from gensim.models import Word2Vec
    except ImportError:
        return None
    if objective == "softmax":
        return None
    hs = int(objective == "hierarchical")
    kind = {"sg": int(model == "skip-gram"), "hs": hs, "negative": 0 if hs else 5, "window": 5}
    threads = os.cpu_count() or 1
    other = Word2Vec(vector_size=dim, min_count=1, sample=0, workers=threads, **kind)
    other.build_vocab(corpus_file=str(text))
    start = time.perf_counter()
    lines = {"total_examples": other.corpus_count, "total_words": other.corpus_total_words}
    other.train(corpus_file=str(text), epochs=1, **lines)
    return words / (time.perf_counter() - start)


def measure(
    methods: Sequence[tuple[str, str]], dims: Sequence[int], words: int, rounds: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """A row for each method and dim, and what this machine can do at most."""
    before, measured = machine(rounds), []
    with tempfile.TemporaryDirectory() as folder:
        text, short = Path(folder) / "text.txt", Path(folder) / "short.txt"
        few = max(1, words // 10)
        write_text(text, words, VOCABULARY)
        write_text(short, few, SOFTMAX_VOCABULARY)
        for model, objective in methods:
            source, size = (short, few) if objective == "softmax" else (text, words)
            for dim in dims:
                setting = {"model": model, "objective": objective, "dim": dim}
                speed, compiling, run = train(source, size, rounds, **setting)
                theirs = gensim_speed(source, size, **setting)
                measured.append((setting, speed, compiling, least_work(run), theirs))
                print(f"{model}, {objective}, dim {dim}: measured", flush=True)
    # others may use the machine at any time
    peaks = {name: max(before[name], now) for name, now in machine(rounds).items()}
    rows = []
    for setting, speed, compiling, (operations, moved), theirs in measured:
        least = max(operations / peaks["product_GFLOPs"], moved / peaks["copy_GB_per_s"]) / 1e9
        rows.append(
            {
                **setting,
                "words_per_second": speed,
                "roofline_%": 100 * speed * least,
                "compile_s": compiling,
                "gensim_per_second": theirs,
                "times_gensim": None if theirs is None else speed / theirs,
            }
        )
    return rows, peaks


def compared(
    rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows that both results have, side by side."""
    found = {tuple(row[name] for name in KEY): row for row in others}
    return [
        {
            **{name: row[name] for name in KEY},
            "words_per_second": row["words_per_second"],
            "other_per_second": other["words_per_second"],
            "times": row["words_per_second"] / other["words_per_second"],
            "compile_s": row["compile_s"],
            "other_compile_s": other["compile_s"],
        }
        for row in rows
        if (other := found.get(tuple(row[name] for name in KEY)))
    ]


def from_seeds(number: int, words: Sequence[int], dim: int, rounds: int) -> list[dict[str, Any]]:
    """Rows for each way to train a model of 2,000 words from ``number`` seeds, by words of text."""
    twice = np.random.default_rng(0).permutation(np.repeat(np.arange(SOFTMAX_VOCABULARY), 2))
    even = [[f"w{i}" for i in line] for line in np.array_split(twice, 4)]
    texts = {size: None for size in words} | ({len(twice): even} if words else {})
    made = [_from_seeds(number, size, dim, rounds, texts[size]) for size in sorted(texts)]
    return [row for rows in made for row in rows]


def _from_seeds(
    number: int, words: int, dim: int, rounds: int, text: list[list[str]] | None
) -> list[dict[str, Any]]:
    seeds = range(number)
    # A GPU adds in another order each time. In a fixed order, all ways can be compared bit by bit.
    fixed = jax.default_backend() != "cpu"
    settings = {"dim": dim, "min_count": 1, "deterministic": fixed}
    with tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / "text.txt", words, SOFTMAX_VOCABULARY)
        corpus = w2v.prepare(text or Path(folder) / "text.txt", min_count=1)

    def one(seed: int) -> np.ndarray:
        return w2v.train(corpus, seed=seed, copies=1, **settings).vectors.matrix

    def in_threads() -> list[np.ndarray]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, seeds))

    ways: dict[str, Callable[[], Any]] = {
        "a loop over train": lambda: [one(seed) for seed in seeds],
        "train in threads": in_threads,
        "train_many": lambda: w2v.train_many(corpus, seeds, **settings).input,
    }
    with exact_products():
        looped, threaded, together = (np.asarray(way()) for way in ways.values())
        if not np.array_equal(looped, threaded):
            raise CheckFailed("Training in threads gave other bits than a loop.")
        check_close("train_many", together, looped, 1e-4)
    timings = compare(ways, rounds=rounds, warmup=1)
    loop = timings["a loop over train"].median
    sizes = {"words": words, "vocabulary": len(corpus.vocab), "seeds": number, "dim": dim}
    return [timing.row(**sizes, times_faster=loop / timing.median) for timing in timings.values()]


def picture(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Words a second of each row as bars, gensim's beside them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 0.6 + 0.5 * len(rows)))
    places = np.arange(len(rows))
    for name, column, shift in (
        ("w2vjax", "words_per_second", -0.2),
        ("gensim", "gensim_per_second", 0.2),
    ):
        axes.barh(places + shift, [(row[column] or 0) / 1e6 for row in rows], 0.4, label=name)
    axes.set_yticks(places, [f"{r['model']}, {r['objective']}, {r['dim']}" for r in rows])
    axes.invert_yaxis()
    axes.set_xlabel("million words per second")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def earlier(path: Path, words: int, keys: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """A result of --json that has rows of these keys; read before anything is measured."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        there = [tuple(row[name] for name in KEY) for row in found["rows"]]
        if found["benchmark"] != "quick" or not found["environment"]["commit"]:
            raise ValueError(found["benchmark"])
        before = found["settings"]["words"]
    except (OSError, ValueError, KeyError, TypeError):
        remedy = "Name a file that it has written."
        raise SystemExit(f"{path} is no result of quick.py --json. {remedy}") from None
    if before != words:
        cause = f"{path} is of {before:,} words, and this run of {words:,}"
        raise SystemExit(f"{cause}. Give --words {before}.")
    if not set(there) & set(keys):
        cause = f"{path} has none of the methods and dims of this run"
        raise SystemExit(f"{cause}. It has: {', '.join(' '.join(map(str, key)) for key in there)}.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    names = ["-".join(pair) for pair in METHODS]
    add("--methods", nargs="+", choices=names, default=names, metavar="METHOD")
    add("--dims", type=int, nargs="+", help="default: 100 and 300; 100 with --seeds")
    add("--words", type=int, default=600_000, help="of the text; a full softmax gets a tenth")
    add("--rounds", type=int, default=2)
    add("--json", type=Path, help="write the result to this file")
    add("--picture", type=Path, help="draw the words a second to this file")
    add("--compare", type=Path, help="a result of --json, to stand beside this one")
    add("--seeds", type=int, help="train one small model from so many seeds instead")
    options = parser.parse_args(arguments)
    options.dims = options.dims or ([100] if options.seeds else [100, 300])
    if options.seeds:
        left_out = {"--picture": options.picture, "--compare": options.compare}
        left_out |= {
            "--methods": options.methods != names,
            "more than one of --dims": options.dims[1:],
        }
        if given := [name for name, value in left_out.items() if value]:
            parser.error(f"--seeds does not take {' and '.join(given)}")
        sizes = [options.words // 300, options.words // 30, options.words // 6]
        rows = from_seeds(options.seeds, sizes, options.dims[0], options.rounds)
        same = ("seeds", "dim", "samples", "calls_per_sample")  # in all rows
        print(table([{n: v for n, v in row.items() if n not in same} for row in rows]))
        settings = {"epochs": 5, "rounds": options.rounds}
        record = report("quick-seeds", settings, rows, write=options.write)
        if options.json:
            write_json(options.json, record)
        return
    chosen = [pair for pair in METHODS if "-".join(pair) in options.methods]
    keys = [(*pair, dim) for pair in chosen for dim in options.dims]
    other = earlier(options.compare, options.words, keys) if options.compare else None
    rows, peaks = measure(chosen, options.dims, options.words, options.rounds)
    print(table(rows))
    settings = {"words": options.words, "rounds": options.rounds, **peaks}
    record = report("quick", settings, rows, write=options.write)
    if options.json:
        write_json(options.json, record)
    if options.picture:
        picture(rows, options.picture)
    if other:
        print(f"beside {options.compare} of commit {other['environment']['commit']}:")
        print(table(compared(rows, other["rows"])))


if __name__ == "__main__":
    main()
