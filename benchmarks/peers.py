"""word2vec tools side by side: one corpus, equal settings, one evaluation, a process for each run.

    python benchmarks/peers.py --quick      a generated text, about a minute a tool
    python benchmarks/peers.py --corpus enwiki.txt --eval-dir eval --passes 3 --seeds 1 2 3 \\
        --tools gensim w2vjax pWord2Vec --program pWord2Vec=path/to/pWord2Vec \\
        --name peers-100mb --write

Every tool gets the same file, a copy of the corpus in lines of --line-words words, where windows
stop. Tools take turns seed by seed (A B C A B C), so that a machine that slows down slows them all.
Each finished run is appended to --log; with --resume the runs found there are not repeated. A tool
that is not installed is reported as skipped. If a tool fails, or its vectors are not of this
corpus, the others still run and are logged, but no result is written and the benchmark ends with 1.

Raw words/s, by one definition for all: words of the corpus x passes / seconds. "training": from the
vocabulary being ready to the last update, including compilation, without which w2vjax's is given
too. "whole job": the process from its start to its end, text to vectors on disk. Quality:
Spearman's rho on word pairs and the accuracy on analogies among the 30,000 most frequent words.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from peers_job import JobFailed, run_job
from peers_tools import TOOLS, Setting, check_words, environment

HERE = Path(__file__).resolve().parent
Run = dict[str, Any]


def arguments_of(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--corpus", type=Path, help="a text file; without one a text is generated")
    add(
        "--eval-dir",
        type=Path,
        help="folder with wordsim353.tsv, simlex999.tsv, questions-words.txt",
    )
    add("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS), metavar="TOOL")
    add("--models", nargs="+", default=["sg"], choices=["sg", "cbow"])
    add("--objectives", nargs="+", default=["ns"], choices=["ns", "hs"])
    add("--passes", type=int, default=3)
    add("--dim", type=int, default=Setting._field_defaults["dim"])
    add("--seeds", type=int, nargs="+", default=[1])
    add("--rates", nargs="*", default=[], metavar="TOOL=R,R", help="rates to try, or 'default'")
    add("--program", nargs="*", default=[], metavar="TOOL=PATH", help="its binary, or its Python")
    add("--threads", type=int, default=os.cpu_count() or 2)
    add("--line-words", type=int, default=1000, help="0: leave the corpus as it is")
    add("--torch-seconds", type=float, default=120.0, help="PyTorch is stopped after so long")
    add("--name", default="peers", help="name of the result, results/DEVICE/NAME.json")
    add("--log", type=Path, help="JSON lines, one a run (default: local/NAME.jsonl with --write)")
    add("--work", type=Path, help="folder for copies and vectors (default: a temporary one)")
    add("--resume", action="store_true", help="do not repeat the runs that --log has")
    add("--quick", action="store_true", help="generated text, 1 pass, 1 seed, first rates only")
    add("--write", action="store_true", help="keep results and picture under benchmarks/results")
    arguments = parser.parse_args(argv)
    if arguments.log is None and arguments.write:
        arguments.log = HERE.parent / "local" / f"{arguments.name}.jsonl"
    if arguments.resume and arguments.log is None:
        parser.error("--resume needs --log FILE or --write")
    return arguments


def named(pairs: Iterable[str], option: str) -> dict[str, str]:
    """['gensim=.05'] -> {'gensim': '.05'}; a name that is no tool's is refused."""
    found = {}
    for pair in pairs:
        tool, equals, value = pair.partition("=")
        if not equals or tool not in TOOLS:
            raise SystemExit(
                f"peers.py: {option} {pair}: give TOOL=VALUE, TOOL one of {', '.join(TOOLS)}."
            )
        found[tool] = value
    return found


def plan(arguments: argparse.Namespace) -> list[Setting]:
    """Every run, in the order that lets tools take turns."""
    given = {
        tool: tuple(None if text == "default" else float(text) for text in value.split(","))
        for tool, value in named(arguments.rates, "--rates").items()
    }
    rates = {
        tool: given.get(tool, TOOLS[tool].rates[: 1 if arguments.quick else None])
        for tool in arguments.tools
    }
    settings = []
    for seed in arguments.seeds:
        for model in arguments.models:
            for objective in arguments.objectives:
                for turn in range(max(map(len, rates.values()))):
                    settings += [
                        Setting(
                            tool,
                            model,
                            objective,
                            rates[tool][turn],
                            seed,
                            arguments.passes,
                            arguments.dim,
                            threads=arguments.threads,
                            torch_seconds=arguments.torch_seconds,
                        )
                        for tool in arguments.tools
                        if turn < len(rates[tool]) and (model, objective) in TOOLS[tool].can
                    ]
    return settings


def present(
    tools: Iterable[str], programs: dict[str, str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """({tool: (program, version)}, {tool: why it is skipped})."""
    found, skipped = {}, {}
    for tool in tools:
        program = programs.get(tool, TOOLS[tool].program)
        if (
            program and os.sep in program
        ):  # jobs run in another folder; a link in a virtual environment stays one
            program = os.path.abspath(program)
        try:
            found[tool] = (program, TOOLS[tool].version(program))
        except (LookupError, OSError) as error:
            skipped[tool] = str(error)
    return found, skipped


def helper(*words: object) -> Any:
    """Run peers_evaluate.py in its own process: its memory would count as that of later jobs."""
    command = [sys.executable, str(HERE / "peers_evaluate.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise JobFailed(
            done.stderr.strip().splitlines()[-1]
            if done.stderr.strip()
            else "peers_evaluate.py failed"
        )
    return json.loads(done.stdout.splitlines()[-1])


def run_once(
    setting: Setting, program: str, work: Path, corpus: dict[str, Any], eval_dir: Path | None
) -> Run:
    """Train once, check the vectors, score them."""
    tool = TOOLS[setting.tool]
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)  # nothing cached by the run before may help this one
    out.mkdir()
    command = tool.command(setting, work / "corpus.txt", out, program)
    finished = run_job(command, work, environment(setting))
    trained = tool.trained(finished, out)
    check_words(setting, trained, corpus)
    words = corpus["words"] * setting.passes
    run: Run = {
        "training_s": trained.seconds,
        "whole_s": finished.seconds,
        "complete": trained.complete,
        "training_words_per_s": (words if trained.complete else trained.words or 0)
        / trained.seconds,
        "whole_words_per_s": words / finished.seconds if trained.complete else None,
        "words_counted_by_tool": trained.words,
        "peak_rss_mb": finished.peak_rss_mb,
        "peak_anonymous_mb": finished.peak_anonymous_mb,
        "cpu_s": finished.cpu_seconds,
        **trained.more,
    }
    if trained.complete:
        empty = work / "no-sets"
        empty.mkdir(exist_ok=True)
        run |= helper(
            "vectors", out / tool.vectors, work / "words.json", setting.dim, eval_dir or empty
        )
    return run


def logged(log: Path) -> list[Run]:
    """The runs of a log; a last line that an interruption cut short is left out."""
    runs = []
    for line in log.read_text().splitlines() if log.is_file() else []:
        try:
            runs.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"{log.name}: a damaged line is left out")
    return runs


def run_all(
    arguments: argparse.Namespace, work: Path
) -> tuple[dict[str, Any], list[Run], dict[str, str], list[str]]:
    """(the corpus, the runs, the tools skipped, what failed)."""
    tools, skipped = present(arguments.tools, named(arguments.program, "--program"))
    for tool, why in skipped.items():
        print(f"skipped: {tool} ({why})")
    corpus = helper(
        "prepare",
        arguments.corpus,
        work / "corpus.txt",
        work / "words.json",
        Setting._field_defaults["min_count"],
        arguments.line_words,
    )
    size = "{words:,} words, {vocabulary:,} different ones kept, {lines:,} lines".format(**corpus)
    print(f"{arguments.corpus.name}: {size}", flush=True)
    log = arguments.log or work / f"{arguments.name}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    old = {
        json.dumps(run["key"], sort_keys=True): run
        for run in (logged(log) if arguments.resume else [])
    }
    runs, failed = [], []
    settings = [setting for setting in plan(arguments) if setting.tool in tools]
    for number, setting in enumerate(settings, 1):
        program, version = tools[setting.tool]
        same = {key: corpus[key] for key in ("sha256", "lines")}
        key = {**setting._asdict(), "version": version, "corpus": same}
        run = old.get(json.dumps(key, sort_keys=True))
        known = "" if run is None else " (from the log)"
        pair = f"{setting.model}-{setting.objective}"
        what = f"[{number}/{len(settings)}] {setting.tool} {pair} rate {setting.rate}"
        what += f" seed {setting.seed}"
        if run is None:
            try:
                run = {"key": key, **run_once(setting, program, work, corpus, arguments.eval_dir)}
            except JobFailed as error:
                print(f"{what}: failed", flush=True)
                failed.append(f"{what}: {error}")
                continue
            append(log, run)
        runs.append(run)
        scores = " ".join(f"{name} {value:.3f}" for name, value in run.get("quality", {}).items())
        times = f"training {run['training_s']:.1f} s, whole {run['whole_s']:.1f} s"
        print(f"{what}: {times}, {scores}{known}", flush=True)
    return corpus, runs, skipped, failed


def append(log: Path, run: Run) -> None:
    """Append one line. If an interruption cut the line before, end that line first."""
    torn = log.is_file() and log.stat().st_size and not log.read_bytes().endswith(b"\n")
    with open(log, "a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(run) + "\n")


def main(argv: list[str] | None = None) -> int:
    arguments = arguments_of(argv)
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        work = work.resolve()
        if arguments.corpus is None:
            from corpus import write_planted

            arguments.corpus = work / "planted.txt"
            arguments.eval_dir = write_planted(arguments.corpus, work / "planted", sentences=30_000)
        if arguments.eval_dir is not None:
            arguments.eval_dir = arguments.eval_dir.resolve()
        try:
            corpus, runs, skipped, failed = run_all(arguments, work)
        except JobFailed as error:
            print(f"peers.py: {error}", file=sys.stderr)
            return 1
    # Only now, with no job left to start, may this process grow: these import JAX.
    from peers_table import picture, print_tables, summarise
    from timing import report, result_path

    rows = summarise(runs)
    print_tables(rows)
    if failed:
        print("peers.py: " + "\npeers.py: ".join(failed), file=sys.stderr)
        return 1
    fixed = {
        name: Setting._field_defaults[name]
        for name in ("window", "negatives", "min_count", "sample")
    }
    settings = {
        "corpus": arguments.corpus.name,
        **corpus,
        "passes": arguments.passes,
        "dim": arguments.dim,
        "threads": arguments.threads,
        "line_words": arguments.line_words,
        **fixed,
    }
    notes = {tool: TOOLS[tool].about for tool in arguments.tools}
    record = report(
        arguments.name,
        settings,
        rows,
        write=arguments.write,
        quick=arguments.quick,
        runs=runs,
        skipped=skipped,
        notes=notes,
    )
    if arguments.write:
        picture(record, result_path(arguments.name, arguments.quick).with_suffix(".png"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
