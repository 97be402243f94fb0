"""Settings around the defaults: each cell trained in a process of its own, one JSON for each named sweep.

    python benchmarks/sweep.py custom --corpus-name 10mb --small-corpus text8-10mb --eval-dir eval --epochs 15 \\
        --pair skip-gram negative --grid learning_rate=.05,.1,.2 batch_words=384,768 --seeds 1 2
    python benchmarks/sweep.py custom --corpus-name words100 --held-out .01 --cells '[{"a": 2, "b": 6}, {"window": 20}]'

``custom`` trains the product of --cells and --grid. Settings are arguments of ``w2v.train``, and those of
``sweep_cells.py``. ``--list`` prints the cells and trains nothing. Finished cells are kept in local/sweep-NAME.jsonl;
with --resume those of the same settings, text and code are not repeated. ``--write`` keeps the JSON under results.

A cell that w2vjax refuses, or that diverges, is a result: its exit code and sentence. Any other end is a crash, and so
is a cell that takes longer than --limit seconds; the sweep then ends with 1.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sweep_cells
from peers import append, logged
from peers_tools import TOOLS
from sweep_cells import CORPORA, PAIRS, SPECIAL, Cell
from sweep_texts import path_of, sha256

HERE = Path(__file__).resolve().parent
LOCAL = HERE.parent / "local"
Run = dict[str, Any]


def arguments_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sweep", choices=["custom"], help="which cells")
    add("--corpus", type=Path, help='the text "100mb"')
    add("--small-corpus", type=Path, help='the text "10mb"')
    add("--eval-dir", type=Path, help="folder with wordsim353.tsv, simlex999.tsv, questions-words.txt")
    add("--pair", nargs=2, action="append", metavar=("MODEL", "OBJECTIVE"), help="only this; may be repeated")
    add("--corpus-name", nargs="+", choices=CORPORA, help="only these texts; custom needs one")
    add("--grid", nargs="+", default=[], metavar="NAME=VALUE,VALUE", help="axes of custom")
    add(
        "--cells", type=json.loads, default=[{}], metavar="JSON", help="settings of custom, a list of objects"
    )
    add("--epochs", type=int, help="of custom")
    add("--held-out", type=float, default=0.0, help="share of the text that custom holds out")
    add("--held-out-words", type=int, default=20_000, help="the most words that are scored")
    add("--seeds", type=int, nargs="+", help="default: 1, or what the sweep says")
    add("--only", nargs="+", default=[], metavar="SUBSTRING", help="cells whose name has one of these")
    add("--list", action="store_true", help="print the cells and train nothing")
    add("--jobs", type=int, default=1, help="cells at once; their seconds are then not comparable")
    add("--limit", type=float, default=900.0, help="seconds that a cell may take")
    add("--name", help="of the result, results/DEVICE/NAME.json (default: sweep-SWEEP)")
    add("--resume", action="store_true", help="do not repeat cells that local/NAME.jsonl has")
    add("--write", action="store_true", help="keep the result under benchmarks/results")
    arguments = parser.parse_args(argv)
    arguments.name = arguments.name or f"sweep-{arguments.sweep}"
    pairs = [tuple(pair) for pair in arguments.pair or []]
    if unknown := set(pairs) - set(PAIRS):
        parser.error(f"--pair {' '.join(unknown.pop())}: not a model and an objective of the library")
    arguments.pair = pairs
    if arguments.sweep == "custom" and not arguments.corpus_name:
        parser.error("custom needs --corpus-name NAME")
    return arguments


def planned(arguments: argparse.Namespace) -> list[Cell]:
    """The cells of the sweep that the options leave."""
    cells = custom(arguments)
    cells = [
        cell
        for cell in cells
        if (not arguments.pair or cell.pair in arguments.pair)
        and (not arguments.corpus_name or cell.corpus in arguments.corpus_name)
        and (not arguments.only or any(part in cell.name for part in arguments.only))
    ]
    for cell in cells:
        check(cell)
    return cells


def custom(arguments: argparse.Namespace) -> list[Cell]:
    """The product of --cells, --grid and --seeds, for every text and pair."""
    grid = sweep_cells.product(sweep_cells.axes_of(arguments.grid))
    changes = [{**given, **point} for given in arguments.cells for point in grid]
    fixed: dict[str, Any] = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    if arguments.held_out:
        fixed["held_out"] = arguments.held_out
    return [
        cell
        for corpus in arguments.corpus_name
        for pair in arguments.pair or [sweep_cells.MAIN]
        for cell in sweep_cells.cells_of(corpus, pair, changes, arguments.seeds or [1], **fixed)
    ]


def check(cell: Cell) -> None:
    """Refuse a setting that is nobody's before anything is trained."""
    import inspect

    from w2vjax.training.loop import train

    unknown = set(cell.settings) - set(inspect.signature(train).parameters) - SPECIAL
    if unknown:
        raise SystemExit(f"sweep.py: {cell.name}: there is no setting {', '.join(sorted(unknown))}.")
    if len({"shared", "span"} & set(cell.settings)) == 1:
        raise SystemExit(f"sweep.py: {cell.name}: shared and span go together. Give both.")


def code_of(cell: Cell) -> str:
    """Version and digest of the code that a cell's numbers follow from."""
    return f"{TOOLS[cell.tool].version(sys.executable)} job {sha256(HERE / 'sweep_job.py')[:16]}"


def job_of(cell: Cell, text: Path, arguments: argparse.Namespace) -> Run:
    """Train a cell in a process of its own; what it reports."""
    scored = arguments.eval_dir is not None and cell.corpus.endswith("mb")
    job = {
        "tool": cell.tool, "corpus": str(text), "settings": cell.settings, "cache": str(LOCAL / "sweep" / "cache"),
        "held_out_words": arguments.held_out_words, "eval_dir": str(arguments.eval_dir.resolve()) if scored else None,
    }  # fmt: skip
    paths = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "sweep_job.py"), json.dumps(job)], capture_output=True, text=True,
            timeout=arguments.limit, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return failed("too slow", f"It took longer than {arguments.limit:g} s.", None)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        return failed("crashed", lines[-1], done.returncode) | {"output": done.stderr[-3000:]}
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def failed(verdict: str, sentence: str, code: int | None) -> Run:
    return {"exit": code, "sentence": sentence, "verdict": verdict}


def shown(cell: Cell, run: Run) -> str:
    numbers = {"loss": "loss", "held_out": "held out", "mean": "quality"}
    parts = [f"{text} {run[key]:.4f}" for key, text in numbers.items() if run.get(key) is not None]
    if "train_s" in run:
        parts.append(f"{run['train_s']:.1f} s")
    if run["sentence"]:
        parts.append(run["sentence"])
    return (
        f"{cell.name} seed {cell.settings['seed']}: {run['verdict']}, exit {run['exit']}, {', '.join(parts)}"
    )


def run_all(arguments: argparse.Namespace, cells: Sequence[Cell]) -> list[Run]:
    """Every cell's run, in the order of the cells; those that a log has are taken from there."""
    given = {"10mb": arguments.small_corpus, "100mb": arguments.corpus}
    texts = {name: path_of(name, LOCAL / "sweep", given) for name in dict.fromkeys(c.corpus for c in cells)}
    digests = {name: sha256(path) for name, path in texts.items()}
    codes = {cell.tool: code_of(cell) for cell in {cell.tool: cell for cell in cells}.values()}
    log = LOCAL / f"{arguments.name}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    old = {
        json.dumps(run["key"], sort_keys=True): run
        for run in (logged(log) if arguments.resume else [])
        if run["verdict"] not in {"crashed", "too slow"}
    }

    def one(numbered: tuple[int, Cell]) -> Run:
        number, cell = numbered
        key = {
            "tool": cell.tool, "corpus": cell.corpus, "sha256": digests[cell.corpus], "settings": cell.settings,
            "code": codes[cell.tool], "scored": arguments.eval_dir is not None,
        }  # fmt: skip
        run = old.get(json.dumps(key, sort_keys=True))
        known = "" if run is None else " (from the log)"
        if run is None:
            run = {"cell": cell.name, "key": key, **job_of(cell, texts[cell.corpus], arguments)}
            append(log, run)
        print(f"[{number}/{len(cells)}] {shown(cell, run)}{known}", flush=True)
        return run

    with ThreadPoolExecutor(arguments.jobs) as threads:
        return list(threads.map(one, enumerate(cells, 1)))


def rows_of(runs: Sequence[Run]) -> list[Run]:
    """A row for each cell, means over its seeds."""
    rows = []
    for name in dict.fromkeys(run["cell"] for run in runs):
        same = [run for run in runs if run["cell"] == name]

        def mean(key: str, same: list[Run] = same) -> float | None:
            values = [run[key] for run in same if run.get(key) is not None]
            return sum(values) / len(values) if values else None

        verdicts = ", ".join(dict.fromkeys(run["verdict"] for run in same))
        exits = ", ".join(dict.fromkeys(str(run["exit"]) for run in same))
        numbers = {key: mean(key) for key in ("loss", "held_out", "mean", "train_s")}
        rows.append({"cell": name, "seeds": len(same), "exit": exits, **numbers, "verdict": verdicts})
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    arguments = arguments_of(argv)
    cells = planned(arguments)
    if arguments.list or not cells:
        print("\n".join(f"{cell.name} seed {cell.settings['seed']}" for cell in cells) or "no cell")
        return 0 if cells else 1
    runs = run_all(arguments, cells)
    from timing import report, table

    rows = rows_of(runs)
    print(table(rows))
    settings = {
        "sweep": arguments.sweep, "cells": len(cells), "jobs": arguments.jobs, "limit": arguments.limit,
        "held_out_words": arguments.held_out_words, "seconds_comparable": arguments.jobs == 1,
    }  # fmt: skip
    report(arguments.name, settings, rows, write=arguments.write, runs=runs)
    bad = [run for run in runs if run["verdict"] in {"crashed", "too slow"}]
    for run in bad:
        print(f"sweep.py: {run['cell']}: {run['verdict']}: {run['sentence']}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
