"""Every benchmark, and the tables of the README from their results.

    python benchmarks/run_all.py --quick             everything small, under 10 minutes on two cores; nothing is written
    python benchmarks/run_all.py --full --write      the real thing; says first what it will take
    python benchmarks/run_all.py --tables --write    measure nothing, only renew tables and pictures

Results go to results/DEVICE/NAME.json, and from there into README.md, here and one folder up, between the lines
"<!-- table:NAME -->" and "<!-- end -->": no number is typed by hand. A benchmark that fails its checks ends with
its message, the others still run, and this command exits with 1. ``--corpus``, ``--small-corpus``, ``--eval-dir`` and
``--program`` go to the benchmarks that want them; without them texts are generated and absent tools are skipped.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
READMES = (HERE / "README.md", HERE.parent / "README.md")
NOT_YET = "not yet measured"
# The devices a README speaks of, whether they have been measured or not: folder of results, name.
DEVICES = {"cpu-2-cores": "two CPU cores", "nvidia-h100-80gb-hbm3": "NVIDIA H100"}


class Job(NamedTuple):
    """One command: its options for --quick (None: not run then) and for --full, and the minutes --full takes."""

    script: str
    quick: str | None
    full: str
    minutes: float
    takes: tuple[str, ...] = ()  # the options of this command that go to it with --full
    needs: str | None = None  # a package without which it is skipped


PEERS = ("corpus", "eval_dir", "program")
SMALL = ("small_corpus", "eval_dir", "program")
THREE = "--seeds 1 2 3 --tools gensim w2vjax pWord2Vec --rates pWord2Vec=.05"
TWO = "--passes 3 --tools gensim w2vjax"
JOBS = (
    Job("reference_speed.py", "--quick", "", 2),
    Job("handwritten_vs_autodiff.py", "--vocab-sizes 1000 10000 --rounds 3", "", 5),
    Job("softmax_scaling.py", "--vocab-size 4000 --pairs 256 --dim 64 --chunk 1000 --rounds 3", "", 10),
    Job("step_speed.py", "--quick", "", 20),
    Job("pipeline_speed.py", "--quick", "", 3, ("corpus",)),
    Job("query_speed.py", "--vocab-size 10000 --dim 100 --queries 100 --rounds 3", "", 5, needs="gensim"),
    Job("scaling.py", "--quick", "", 15, ("corpus",)),
    Job(
        "peers.py",
        "--quick --tools gensim w2vjax fastText",
        f"--name peers-100mb --passes 3 {THREE}",
        25,
        PEERS,
    ),
    Job("peers.py", None, f"--name peers-10mb --passes 15 {THREE}", 15, SMALL),
    Job("peers.py", None, f"--name peers-cbow --models cbow --objectives ns hs {TWO}", 15, PEERS),
    Job("peers.py", None, f"--name peers-hs --objectives hs {TWO}", 15, PEERS),
    Job(
        "peers.py",
        None,
        "--name peers-all --passes 3 --rates w2vjax=default,.025 PyTorch=.001,.01",
        45,
        PEERS,
    ),
)


def command(job: Job, arguments: argparse.Namespace) -> list[str]:
    words = [sys.executable, str(HERE / job.script), *options(job, arguments.quick).split()]
    if not arguments.quick:
        for name in job.takes:
            value = getattr(arguments, name)
            if value:
                option = {"small_corpus": "corpus"}.get(name, name).replace("_", "-")
                words += [f"--{option}", *(value if isinstance(value, list) else [str(value)])]
    return [*words, "--write"] if arguments.write else words


def options(job: Job, quick: bool) -> str:
    return (job.quick or "") if quick else job.full


def measure(arguments: argparse.Namespace) -> list[str]:
    """Run the jobs one after another; returns the failures."""
    jobs = [job for job in JOBS if not arguments.quick or job.quick is not None]
    if arguments.full:
        minutes = sum(job.minutes for job in jobs)
        print(f"{len(jobs)} benchmarks, about {minutes:.0f} minutes on two cores with nothing else running:")
        for job in jobs:
            print(f"  {job.minutes:4.0f} min  {job.script} {job.full}")
    failures = []
    for job in jobs:
        name = f"{job.script} {options(job, arguments.quick)}".strip()
        print(f"\n== {name}", flush=True)
        if not (HERE / job.script).is_file():
            failures.append(f"{name}: there is no such file")
            continue
        if job.needs is not None and importlib.util.find_spec(job.needs) is None:
            print(f"skipped: {job.needs} is not installed")
            continue
        start = time.perf_counter()
        code = subprocess.run(command(job, arguments)).returncode
        print(f"== {time.perf_counter() - start:.0f} s", flush=True)
        if code != 0:
            failures.append(f"{name}: ended with {code}")
    return failures


def peers_section(record: dict[str, Any], folder: Path) -> str:
    from peers_table import markdown, peer_wins

    name = record["benchmark"]
    parts = [markdown(record["rows"]), f"`{record['settings']['command']}`"]
    wins = peer_wins(record["rows"])
    parts += ["Where a peer wins:\n\n" + "\n".join(f"- {sentence}" for sentence in wins)] if wins else []
    skipped = record.get("skipped", {})
    parts += (
        ["Skipped: " + ", ".join(f"{tool} ({why})" for tool, why in skipped.items()) + "."] if skipped else []
    )
    picture = folder / f"{name}.png"
    parts += (
        [f"![{name}: speed against quality]({{base}}{picture.relative_to(HERE)})"]
        if picture.is_file()
        else []
    )
    return "\n\n".join(parts)


def plain_section(record: dict[str, Any], folder: Path) -> str:
    from timing import table

    rows = [
        {key: value for key, value in row.items() if not isinstance(value, dict | list)}
        for row in record["rows"]
    ]
    parts = [table(rows)]
    if "slopes" in record:
        from scaling import slope_table

        parts.append("Slopes of log(time) against log(size):\n\n" + slope_table(record["slopes"]))
    plain = {key: value for key, value in record["settings"].items() if not isinstance(value, dict | list)}
    parts.append(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items()))
    return "\n\n".join([*parts, f"`python benchmarks/{record['benchmark']}.py`"])


def section(name: str, base: str) -> str:
    """The tables of one result, device by device; a device without a result says so."""
    found = {path.parent.name for path in RESULTS.glob(f"*/{name}.json")}
    parts = []
    for device in [*DEVICES, *sorted(found - set(DEVICES))]:
        title = f"**{DEVICES.get(device, device)}**"
        if device not in found:
            parts.append(f"{title}: {NOT_YET}")
            continue
        record = json.loads((RESULTS / device / f"{name}.json").read_text(encoding="utf-8"))
        show: Callable[[dict[str, Any], Path], str] = (
            peers_section if name.startswith("peers") else plain_section
        )
        environment = record["environment"]
        where = (
            f"{environment['processor']['name']}, {environment['device']['kind']}, {environment['date'][:10]}"
        )
        parts.append(f"{title} ({where})\n\n{show(record, RESULTS / device).replace('{base}', base)}")
    return "\n\n".join(parts)


def renew(text: str, base: str) -> str:
    """The text with what stands between "<!-- table:NAME -->" and "<!-- end -->" made anew.

    >>> print(renew("<!-- table:no-such -->old<!-- end -->", "").splitlines()[2])
    **two CPU cores**: not yet measured
    """
    opened, closed = len(re.findall(r"<!-- table:", text)), len(re.findall(r"<!-- end -->", text))
    if opened != closed:
        raise ValueError(f"There are {opened} lines '<!-- table:NAME -->' and {closed} lines '<!-- end -->'.")

    def fresh(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{section(match[2], base)}\n\n<!-- end -->"

    return re.sub(r"(<!-- table:([\w.-]+) -->).*?<!-- end -->", fresh, text, flags=re.DOTALL)


def renew_files(write: bool) -> list[Path]:
    """Pictures and READMEs that differ from what the results say; with ``write`` they are renewed."""
    from peers_table import picture

    if write:
        for path in sorted(RESULTS.glob("*/peers*.json")):
            picture(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".png"))
    stale = []
    for path in READMES:
        if not path.is_file():
            continue
        old = path.read_text(encoding="utf-8")
        new = renew(old, "" if path.parent == HERE else "benchmarks/")
        if new != old:
            stale.append(path)
            if write:
                path.write_text(new, encoding="utf-8")
    return stale


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--quick", action="store_true", help="small sizes, under 10 minutes on two cores")
    mode.add_argument("--full", action="store_true", help="every size")
    mode.add_argument("--tables", action="store_true", help="only renew tables and pictures from results")
    parser.add_argument("--write", action="store_true", help="keep results, tables and pictures")
    parser.add_argument("--corpus", type=Path, help="text for --full, such as 100 MB of Wikipedia")
    parser.add_argument("--small-corpus", type=Path, help="text for --full, such as its first 10 MB")
    parser.add_argument(
        "--eval-dir", type=Path, help="folder with wordsim353.tsv, simlex999.tsv, questions-words.txt"
    )
    parser.add_argument("--program", nargs="*", default=[], metavar="TOOL=PATH", help="see peers.py")
    arguments = parser.parse_args(argv)
    failures = [] if arguments.tables else measure(arguments)
    stale = renew_files(arguments.write)
    for path in stale:
        print(
            f"{'renewed' if arguments.write else 'would change, with --write'}: {path.relative_to(HERE.parent)}"
        )
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
