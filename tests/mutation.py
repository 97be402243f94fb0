"""A program: how many small faults do the tests find? Mutation testing by cosmic-ray, in a sample.

    python tests/mutation.py objectives --sample 40 --seed 0

It needs `pip install cosmic-ray`, and is no part of the test suite. It copies the project to a
temporary folder, makes one change at a time there (another operator, another number, a condition
turned round, a loop left out), and runs the tests of the group, quickest first, until one fails.
It prints the changes that no test finds, and the share of those that a test finds.
"""

import argparse
import ast
import json
import os
import random
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# what is changed, and the tests that have to notice
UPDATES = "optimizer or chain or clipping or adam or published or numpy or pair_counted"
GROUPS = {
    "objectives": (
        "w2vjax/objectives/*.py w2vjax/devices/fused.py",
        "objectives bounds noise fused held_out",
        "",
    ),
    "windows": ("w2vjax/windows/*.py", "windows sampling", ""),
    "updates": ("w2vjax/training/updates.py", "training", UPDATES),
    "checkpoint": ("w2vjax/runs/checkpoint.py", "training_resume training_refusals", ""),
    "readers": ("w2vjax/formats/*.py", "formats formats_bad formats_round_trip", ""),
    "corpus": ("w2vjax/corpus/[rst]*.py", "corpus_scan corpus_threads corpus_sources", ""),
}
CONFIG = """[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = {command}
distributor = {{ name = "local" }}
"""
# Importing JAX would take most of the time. So one process imports it, and a copy of that process
# runs the tests of each change. The quick tests go first: most changes are found by one of them.
SERVER = """
import collections, json, os, pathlib, select, signal, socket, sys
import jax, matplotlib.pyplot, numpy, optax, pytest

class QuickFirst:
    times, taken = pathlib.Path("times.json"), collections.Counter()

    def pytest_runtest_logreport(self, report):
        self.taken[report.nodeid] += report.duration

    def pytest_sessionfinish(self):
        if not self.times.exists():
            self.times.write_text(json.dumps(self.taken))

    def pytest_collection_modifyitems(self, items):
        if self.times.exists():
            known = json.loads(self.times.read_text())
            items.sort(key=lambda item: known.get(item.nodeid, 0))

def tested(client):
    child = os.fork()
    if not child:
        try:
            os.dup2(client.fileno(), 1)
            code = int(pytest.main(sys.argv[1:], [QuickFirst()]))
            sys.stdout.flush()
            os._exit(code)
        finally:
            os._exit(1)
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if select.select([client], [], [], 0.05)[0]:  # cosmic-ray has given up
            os.kill(child, signal.SIGKILL)
    client.sendall(bytes([os.waitstatus_to_exitcode(done[1]) != 0]))

listener = socket.socket(socket.AF_UNIX)
listener.bind("tests.socket")
listener.listen()
while True:
    with listener.accept()[0] as client:
        try:
            tested(client)
        except OSError:
            pass
"""
# asks for the tests, prints what they print, and ends as they do
CLIENT = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect("tests.socket")
told = b""
while data := server.recv(1 << 16):
    told += data
sys.stdout.write(told[:-1].decode(errors="replace"))
sys.exit(told[-1])
"""


def meaningless(path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where a change cannot matter to a test, or ends the import: annotations and messages."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        parts = [node] if isinstance(node, ast.Raise | ast.JoinedStr) else []
        parts += [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("refuse", "TypeVar"):
            parts.append(node)
        for part in filter(None, parts):
            yield (
                (part.lineno, part.col_offset),
                (part.end_lineno or 0, part.end_col_offset or 0),
            )


def keep_sample(session: Path, folder: Path, number: int, seed: int) -> int:
    """Drop all but a few changes from cosmic-ray's list. Returns how many there were."""
    with sqlite3.connect(session) as database:
        found = database.execute(
            "select job_id, module_path, start_pos_row, start_pos_col from mutation_specs "
            "order by module_path, start_pos_row, start_pos_col, operator_name, occurrence"
        ).fetchall()
        spans = {path: list(meaningless(folder / path)) for path in {row[1] for row in found}}
        jobs = [
            job
            for job, path, *place in found
            if not any(begin <= tuple(place) < end for begin, end in spans[path])
        ]
        kept = set(random.Random(seed).sample(jobs, min(number, len(jobs))))
        for job, *_ in found:
            if job not in kept:
                for table in ("mutation_specs", "work_items"):
                    database.execute(f"delete from {table} where job_id = ?", (job,))
    return len(jobs)


def copied(folder: Path) -> None:
    """The project as it stands, without what git ignores."""
    names = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for the tests")
    parser.add_argument("--python", default=sys.executable, help="the one that runs the tests")
    options = parser.parse_args()
    pattern, names, chosen = GROUPS[options.group]
    with tempfile.TemporaryDirectory(prefix="mutation-") as temporary:
        folder = Path(temporary)
        copied(folder)
        found = (path for part in pattern.split() for path in folder.glob(part))
        modules = sorted(str(path.relative_to(folder)) for path in found)
        tests = [f"tests/test_{name}.py" for name in names.split()]
        (folder / "server.py").write_text(SERVER)
        (folder / "client.py").write_text(CLIENT)
        wanted = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--doctest-modules"]
        wanted += [f"-k={chosen or 'test'} or w2vjax", *modules, *tests]
        command = [options.python, "-IS", "client.py"]
        (folder / "config.toml").write_text(
            CONFIG.format(
                modules=json.dumps(modules),
                timeout=options.timeout,
                command=json.dumps(shlex.join(command)),
            )
        )
        environment = os.environ | {"PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu"}
        environment |= {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.05",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

        def run(*words: str) -> str:
            return subprocess.run(
                words, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout

        run("cosmic-ray", "init", "config.toml", "session.sqlite")
        total = keep_sample(folder / "session.sqlite", folder, options.sample, options.seed)
        served = [options.python, "server.py", *wanted]
        with subprocess.Popen(served, cwd=folder, env=environment) as server:
            try:
                while not (folder / "tests.socket").exists() and server.poll() is None:
                    time.sleep(0.1)
                run(*command)  # they have to pass before a change
                run("cosmic-ray", "exec", "config.toml", "session.sqlite")
            finally:
                server.terminate()
        rows = map(json.loads, run("cosmic-ray", "dump", "session.sqlite").splitlines())
        show(list(rows), total)


def show(rows: list[list[dict[str, Any]]], total: int) -> None:
    survived = [result for _, result in rows if result["test_outcome"] == "survived"]
    for result in survived:
        print(result["diff"], "\n")
    killed = len(rows) - len(survived)
    slow = sum(result["output"] == "timeout" for _, result in rows)
    print(f"killed {killed} of {len(rows)} ({killed / len(rows):.0%}), a sample of {total:,}")
    print(f"{slow} of the killed ran longer than the timeout")


if __name__ == "__main__":
    main()
