"""How ``sweep.py`` runs its cells: a process each, a log of finished ones, a row for each."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from peers import append, logged
from peers_tools import TOOLS
from sweep_cells import Cell
from sweep_texts import path_of, sha256

HERE = Path(__file__).resolve().parent
LOCAL = HERE.parent / "local"
# With the library, the code that a cell's numbers follow from.
MEASURING = ("sweep_job.py", "sweep_gensim.py", "sweep_npmi.py", "peers_evaluate.py")
BAD = ("crashed", "too slow")  # these are tried again
NUMBERS = {
    "loss": "loss",
    "held_out": "held out",
    "mean": "quality",
    "npmi": "NPMI",
    "npmi_frequent": "of frequent words",
    "train_s": "seconds",
}
Run = dict[str, Any]


class Options(NamedTuple):
    """How cells are run, and what for."""

    texts: Mapping[str, Path | None]  # the files of "10mb" and "100mb"
    log: Path
    eval_dir: Path | None = None
    held_out_words: int = 10_000
    limit: float = 900.0  # seconds
    jobs: int = 1
    resume: bool = False


def code_of(tool: str) -> str:
    """Version and digest of the code that a cell's numbers follow from."""
    digests = [sha256(HERE / file)[:8] for file in MEASURING]
    return f"{TOOLS[tool].version(sys.executable)} measured by {' '.join(digests)}"


def job_of(cell: Cell, options: Options, text: Path) -> Run:
    """What ``sweep_job.py`` is told."""
    public = cell.corpus.endswith("mb")  # the other texts lack the words of the evaluation sets
    folder = options.eval_dir.resolve() if options.eval_dir is not None and public else None
    return {
        "tool": cell.tool,
        "settings": cell.settings,
        "corpus": str(text),
        "cache": str(LOCAL / "sweep" / "cache"),
        "held_out_words": options.held_out_words,
        "eval_dir": None if folder is None else str(folder),
        "npmi": cell.corpus == "lee",
    }


def run_job(job: Run, limit: float) -> Run:
    """Train a cell in a process of its own; what it reports."""
    paths = filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
    }  # the library whose digest is in the log
    command = [sys.executable, str(HERE / "sweep_job.py"), json.dumps(job)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return {
            "exit": None,
            "sentence": f"It took longer than {limit:g} s.",
            "verdict": "too slow",
        }
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["It said nothing."]
        return {
            "exit": done.returncode,
            "sentence": lines[-1],
            "verdict": "crashed",
            "output": done.stderr[-3000:],
        }
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def run_all(cells: Sequence[Cell], options: Options) -> list[Run]:
    """Every cell's run, in the order of the cells; those that the log has are taken from there."""
    names = dict.fromkeys(cell.corpus for cell in cells)
    texts = {name: path_of(name, LOCAL / "sweep", options.texts) for name in names}
    digests = {name: sha256(path) for name, path in texts.items()}
    codes = {tool: code_of(tool) for tool in {cell.tool for cell in cells}}
    options.log.parent.mkdir(parents=True, exist_ok=True)
    kept = [
        run for run in (logged(options.log) if options.resume else []) if run["verdict"] not in BAD
    ]
    old = {json.dumps(run["key"], sort_keys=True): run for run in kept}

    def one(number: int, cell: Cell) -> Run:
        job = job_of(cell, options, texts[cell.corpus])
        key = {name: job[name] for name in ("tool", "settings", "held_out_words", "npmi")}
        key |= {
            "corpus": cell.corpus,
            "text": digests[cell.corpus],
            "code": codes[cell.tool],
            "scored": job["eval_dir"] is not None,
        }
        run = old.get(json.dumps(key, sort_keys=True))
        known = "" if run is None else " (from the log)"
        if run is None:
            run = {
                "key": key,
                "cell": cell.name,
                "seed": cell.settings["seed"],
                **run_job(job, options.limit),
            }
            append(options.log, run)
        print(f"[{number}/{len(cells)}] {shown(run)}{known}", flush=True)
        return run

    with ThreadPoolExecutor(options.jobs) as threads:
        try:
            return list(threads.map(one, range(1, len(cells) + 1), cells))
        except BaseException:
            # Ctrl-C: the cells under way have got it too, and no other is to begin
            threads.shutdown(cancel_futures=True)
            raise


def shown(run: Run) -> str:
    """A run as one line."""
    parts = [f"{text} {run[key]:.4g}" for key, text in NUMBERS.items() if run.get(key) is not None]
    parts += [run["sentence"]] if run["sentence"] else []
    ended = f"{run['verdict']}, exit {run['exit']}"
    return f"{run['cell']} seed {run['seed']}: {ended}, {', '.join(parts)}"


def rows_of(runs: Sequence[Run]) -> list[Run]:
    """A row for each cell: means over its seeds, and every exit and verdict that there was."""
    rows = []
    columns = [key for key in NUMBERS if any(run.get(key) is not None for run in runs)]
    for name in dict.fromkeys(run["cell"] for run in runs):
        same = [run for run in runs if run["cell"] == name]
        means = {}
        for column in columns:
            values = [run[column] for run in same if run.get(column) is not None]
            means[column] = sum(values) / len(values) if values else None
        exits, verdicts = (
            {key: None for key in (str(run[what]) for run in same)} for what in ("exit", "verdict")
        )
        rows.append(
            {
                "cell": name,
                "seeds": len(same),
                "exit": ", ".join(exits),
                **means,
                "verdict": ", ".join(verdicts),
            }
        )
    return rows
