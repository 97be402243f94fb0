"""Every benchmark, and the tables of the README from their results.

    python benchmarks/run_all.py --quick             everything small, 10 minutes; writes nothing
    python benchmarks/run_all.py --full --write      the real thing; says first what it will take
    python benchmarks/run_all.py --full --write --resume        goes on where that was stopped
    python benchmarks/run_all.py --full --write --only step_speed peers-100mb
    python benchmarks/run_all.py --tables --write    measure nothing, only renew tables and pictures

Results go to results/DEVICE/NAME.json (--quick: results/DEVICE-quick), and from there into
README.md, here and one folder up, between the lines "<!-- table:NAME -->" and "<!-- end -->": no
number is typed by hand. A benchmark that fails its checks ends with its message, the others still
run, and this command exits with 1. ``--corpus``, ``--small-corpus``, ``--eval-dir`` and
``--program`` go to the benchmarks of --full that want them; what needs a corpus is skipped without
one, and so are absent tools.
"""

import argparse
import functools
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from corpus import text_parser
from results_tables import RESULTS, renew_files

HERE = Path(__file__).resolve().parent


class Job(NamedTuple):
    """One command: options for --quick (None: not run) and --full, and the minutes of --full."""

    script: str
    quick: str | None
    full: str
    minutes: float
    takes: tuple[str, ...] = ()  # the options of this command that go to it with --full
    needs: str | None = None  # a package without which it is skipped
    needs_option: str | None = None  # an option of this command without which --full skips it

    @property
    def name(self) -> str:
        """That of its result: its --name, or its script's."""
        words = self.full.split()
        return (
            words[words.index("--name") + 1]
            if "--name" in words
            else self.script.removesuffix(".py")
        )


PEERS = {"takes": ("corpus", "eval_dir", "program"), "needs_option": "corpus"}
SMALL = {"takes": ("small_corpus", "eval_dir", "program"), "needs_option": "small_corpus"}
THREE = "--seeds 1 2 3 --tools gensim w2vjax pWord2Vec --rates gensim=.05 pWord2Vec=.05"
TWO = "--passes 3 --tools gensim w2vjax --rates gensim=.05"
ALL_RATES = "--rates w2vjax=default,.025 PyTorch=.001,.01"
JOBS = (
    Job("reference_speed.py", "--quick", "", 1),
    Job("handwritten_vs_autodiff.py", "--vocab-sizes 1000 10000 --rounds 3", "", 2),
    Job("gradient_checks.py", "--quick", "", 3),
    Job("quick.py", "--methods skip-gram-negative --dims 25 --words 60000", "", 3),
    Job("softmax_scaling.py", "--quick", "", 8),
    Job("step_speed.py", "--quick", "", 15),
    Job("pipeline_speed.py", "--quick", "", 5, ("corpus",)),
    Job(
        "query_speed.py",
        "--vocab-size 10000 --dim 100 --queries 100 --rounds 3",
        "",
        5,
        needs="gensim",
    ),
    Job("scaling.py", "--quick", "", 15, ("corpus",), needs_option="corpus"),
    Job(
        "peers.py",
        "--quick --tools gensim w2vjax fastText",
        f"--name peers-100mb --passes 3 {THREE}",
        25,
        **PEERS,
    ),
    Job("peers.py", None, f"--name peers-10mb --passes 15 {THREE}", 15, **SMALL),
    Job(
        "peers.py",
        None,
        f"--name peers-cbow --models cbow --objectives ns hs --seeds 1 2 3 {TWO}",
        15,
        **PEERS,
    ),
    Job("peers.py", None, f"--name peers-hs --objectives hs {TWO}", 15, **PEERS),
    Job("peers.py", None, f"--name peers-all --passes 3 {ALL_RATES}", 45, **PEERS),
)


def options(job: Job, quick: bool) -> str:
    return (job.quick or "") if quick else job.full


def command(job: Job, arguments: argparse.Namespace) -> list[str]:
    words = [sys.executable, str(HERE / job.script), *options(job, arguments.quick).split()]
    if not arguments.quick:
        for name in job.takes:
            value = getattr(arguments, name)
            if value:
                option = {"small_corpus": "corpus"}.get(name, name).replace("_", "-")
                words += [f"--{option}", *(value if isinstance(value, list) else [str(value)])]
    if arguments.resume and job.script == "peers.py":
        words.append("--resume")
    return [*words, "--write"] if arguments.write else words


@functools.cache
def here_and_now() -> tuple[str, str]:
    """(folder of this device's results, code digest), from a process that frees the GPU again."""
    code = "from timing import code_digest, device_folder; print(device_folder(), code_digest())"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True
    )
    folder, digest = said.stdout.split()
    return folder, digest


def done(job: Job) -> bool:
    """Whether results hold this benchmark, measured on this device by the code as it is now."""
    folder, digest = here_and_now()
    path = RESULTS / folder / f"{job.name}.json"
    return path.is_file() and json.loads(path.read_text())["environment"].get("code") == digest


def skipped(job: Job, arguments: argparse.Namespace) -> str | None:
    """Why a job is left out, or None."""
    if job.needs is not None and importlib.util.find_spec(job.needs) is None:
        return f"{job.needs} is not installed"
    if arguments.full and job.needs_option and not getattr(arguments, job.needs_option):
        return f"needs --{job.needs_option.replace('_', '-')} FILE"
    if arguments.resume and done(job):
        return "results has it, measured by the same code"
    return None


def announce(jobs: Sequence[Job], arguments: argparse.Namespace) -> None:
    """What --full will take."""
    reasons = [skipped(job, arguments) for job in jobs]
    minutes = sum(job.minutes for job, reason in zip(jobs, reasons, strict=True) if reason is None)
    print(
        f"{reasons.count(None)} benchmarks, about {minutes:.0f} minutes on two cores with nothing "
        "else running, 8 GB of memory and 3 GB of disk under the temporary folder:"
    )
    for job, reason in zip(jobs, reasons, strict=True):
        takes = f"{job.minutes:4.0f} min" if reason is None else "   skip "
        print(f"  {takes}  {job.script} {job.full}" + (f" ({reason})" if reason else ""))
    print(
        "Peers whose programs are not found are reported as skipped. See benchmarks/README.md for "
        "--program."
    )
    if not arguments.write:
        print("Nothing will be kept: --write is not given.")


def measure(arguments: argparse.Namespace) -> list[str]:
    """Run the jobs one after another; returns the failures."""
    jobs = [job for job in JOBS if not arguments.quick or job.quick is not None]
    if arguments.only:
        jobs = [job for job in jobs if job.name in arguments.only]
    if arguments.full:
        announce(jobs, arguments)
    environment = {**os.environ, "W2VJAX_QUICK_BENCHMARKS": "1"} if arguments.quick else None
    failures = []
    for job in jobs:
        name = f"{job.script} {options(job, arguments.quick)}".strip()
        print(f"\n== {name}", flush=True)
        if not (HERE / job.script).is_file():
            failures.append(f"{name}: there is no such file")
            continue
        if reason := skipped(job, arguments):
            print(f"skipped: {reason}")
            continue
        start, used = time.perf_counter(), cpu_seconds()
        code = subprocess.run(command(job, arguments), env=environment).returncode
        print(
            f"== {time.perf_counter() - start:.0f} s, {cpu_seconds() - used:.0f} s of CPU",
            flush=True,
        )
        if code != 0:
            failures.append(f"{name}: ended with {code}")
    return failures


def cpu_seconds() -> float:
    """CPU time of all children that have ended: fairer than the clock on a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(argv: Sequence[str] | None = None) -> int:
    parser = text_parser(__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    for name, about in {
        "quick": "small sizes, under 10 minutes on two cores",
        "full": "every size",
        "tables": "only renew tables and pictures from results",
    }.items():
        mode.add_argument(f"--{name}", action="store_true", help=about)
    add, names = parser.add_argument, [job.name for job in JOBS]
    add("--write", action="store_true", help="keep results, tables and pictures")
    add("--resume", action="store_true", help="leave out what results has from the same code")
    told = "only these: " + ", ".join(names)
    add("--only", nargs="+", metavar="NAME", choices=names, default=[], help=told)
    add("--program", nargs="*", default=[], metavar="TOOL=PATH", help="see peers.py")
    arguments = parser.parse_args(argv)
    if arguments.resume and not (arguments.full and arguments.write):
        parser.error("--resume goes with --full --write: only what was written can be gone on from")
    for name in ("corpus", "small_corpus", "eval_dir"):
        path = getattr(arguments, name)
        if path is not None and not path.exists():
            parser.error(f"--{name.replace('_', '-')} {path}: there is no such file")
    failures = [] if arguments.tables else measure(arguments)
    for path in [] if arguments.quick else renew_files(arguments.write):
        what = "renewed" if arguments.write else "would change, with --tables --write"
        print(f"{what}: {path.relative_to(HERE.parent)}")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
