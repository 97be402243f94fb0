"""Copies on several devices and in several processes: equal streams, equal bits, no hangs.

A CPU simulates devices, and it does so from the start of a process. So each test starts processes
of its own.
"""

import gzip
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from marks import slow
from planted import planted_text

import w2vjax as w2v
from w2vjax.processes import guard
from w2vjax.processes.guard import Guard

# Runs each of a list of settings, and prints what came out of it as JSON.
RUNS = """
import hashlib, json, sys
import jax, numpy as np
import w2vjax as w2v
from planted import planted_text
from w2vjax.devices import feed
from w2vjax.types import Params

feed.CHUNK = 512
jobs = json.loads(sys.argv[1])
chunks_on, seen = feed.chunks_on, {}

def digest(arrays):
    return hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in arrays)).hexdigest()

def watched(mesh, place, seed, epoch, numbers):
    turns = chunks_on(mesh, place, seed, epoch, numbers)
    for turn, (ids, offset, count, key) in enumerate(turns):
        rows = [(ids, offset, count, key)] if np.ndim(offset) == 0 else zip(
            *([shard.data[0] for shard in each.addressable_shards] for each in
              (ids, offset, count, key)), strict=True)
        size = mesh.size if np.ndim(offset) else 1
        first = offset.addressable_shards[0].index[0].start or 0 if np.ndim(offset) else 0
        for at, row in enumerate(rows):
            if int(row[2]):
                number = numbers.start + turn * size + first + at
                assert seen.setdefault((epoch, number), digest(row)) == digest(row)
    return turns

import w2vjax.runs.rounds
w2vjax.runs.rounds.chunks_on = watched
corpus = w2v.prepare(planted_text(words=7), min_count=1)  # 21 words: no number of devices divides
for job in jobs:
    seen.clear()
    if "folder" in job:  # go on from there, or train half of it
        job["checkpoint"] = w2v.Checkpoints(job.pop("folder"), resume=True)
    half = job.pop("half", None)
    optimizer = {"adagrad": w2v.row_adagrad, "none": None}[job.pop("optimizer", "none")]
    every = 0.0 if half else float("inf")
    stop = (lambda record: record["words"] >= half) if half else None
    ends = []
    trained = w2v.train(corpus, **job, optimizer=optimizer, log_every=every, callback=stop,
                        on_epoch=lambda _, vectors: ends.append(vectors.matrix.copy()))
    if jax.process_index() == 0 and not half:  # each epoch's vectors, and the last are the result
        assert len(ends) <= job["epochs"] and np.array_equal(ends[-1], trained.vectors.matrix)
    stream = sorted(seen.items())
    tables = [np.asarray(table) for table in trained.params]
    print(json.dumps({"bits": digest(tables), "loss": trained.summary["loss"],
                      "steps": trained.summary["steps"], "words": trained.summary["words"],
                      "stream": stream, "devices": jax.device_count()}), flush=True)
"""
SMALL: dict[str, Any] = {"dim": 8, "epochs": 2, "batch_words": 32, "block_words": 8}
HERE = os.path.dirname(os.path.abspath(__file__))


def environment(devices: int = 1) -> dict[str, str]:
    """Of a process with so many simulated devices. It compiles as this test run does."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    path = os.pathsep.join([HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}


def runs(jobs: Sequence[dict[str, Any]], devices: int) -> list[dict[str, Any]]:
    """What came out of each job, in one process."""
    return printed(RUNS, jobs, devices)


def printed(code: str, jobs: Sequence[dict[str, Any]], devices: int) -> list[dict[str, Any]]:
    """What a process prints of each job, a line of JSON."""
    command = [sys.executable, "-c", code, json.dumps([SMALL | job for job in jobs])]
    done = subprocess.run(
        command, env=environment(devices), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# 400 lines of 12 words: 4 800 words, 10 chunks of 512 at most, so the last round is not full
@pytest.mark.slow
@pytest.mark.parametrize(("copies", "devices"), [(4, [1, 2]), (8, [1, 2, 4, 8])])
def test_the_result_follows_from_the_copies_and_not_from_the_devices(
    copies: int, devices: list[int]
) -> None:
    alone, *others = runs(
        [{"copies": copies, "devices": each, "join_words": 512} for each in devices], devices[-1]
    )
    assert alone["devices"] == devices[-1]
    assert alone["words"] == 2 * 4800
    assert len(alone["stream"]) == 20
    for other in others:
        assert other == alone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "optimizer"), [(4, 1, "none"), (1, 4, "none"), (2, 4, "adagrad")]
)
def test_a_checkpoint_goes_on_with_other_devices(
    tmp_path: Path, first: int, then: int, optimizer: str
) -> None:
    """With as many copies. The bits are those of a run that was never stopped."""
    job = {"copies": 4, "join_words": 512, "optimizer": optimizer}
    kept = job | {"folder": str(tmp_path)}
    halved, resumed, whole = runs(
        [
            {**kept, "devices": first, "half": 3000},
            {**kept, "devices": then},
            {**job, "devices": then},
        ],
        4,
    )
    assert 0 < halved["words"] < whole["words"] == resumed["words"]
    assert resumed["bits"] == whole["bits"]
    assert resumed["steps"] == whole["steps"]


# Prints the collectives of compiled programs: (kind, bytes of the result) of each, as JSON.
COLLECTIVES = """
import collections, json, math, re, sys
import jax, numpy as np
from jax.sharding import Mesh
import w2vjax as w2v
from planted import planted_text
from w2vjax.training.copies import Joined, join_on, spread, stacked
from w2vjax.devices.mesh import mesh_of
from w2vjax.training.setup import lower

KINDS = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"

def collectives(lowered):
    found, inside = collections.defaultdict(list), None
    for line in lowered.compile().as_text().splitlines():
        if line.endswith("{") and not line.startswith(" "):
            inside = line.split()[0]
        if match := re.search(rf"= (.*?) ({KINDS})(-start)?[(]", line):
            shapes = re.findall(r"[a-z]+[0-9]*[[]([0-9,]*)[]]", match[1])
            sizes = [4 * math.prod(int(n) for n in each.split(",") if n) for each in shapes]
            found[inside].append((match[2], sum(sizes)))
    return list(found.values())

corpus = w2v.prepare(planted_text(words=7), min_count=1)
for job in json.loads(sys.argv[1]):
    axes, copies = job.pop("axes", None), job.get("copies")
    mesh = mesh_of(job.pop("devices", None))
    if axes:
        devices = np.array(jax.devices()[: math.prod(axes.values())])
        mesh = Mesh(devices.reshape(*axes.values()), tuple(axes))
    run = w2v.set_up(corpus, w2v.Settings(**job), mesh=mesh)
    made = {"chunk": collectives(lower(run, w2v.compile_chunk(run.recipe, run.feed.size)))}
    if copies:
        turns = copies // mesh.size
        held = spread(Joined(run.state.params, (run.state.optimizer,) * copies), mesh)
        notes = stacked(mesh, lambda d: np.zeros(5 * turns + 3, np.int32))
        given = held.start, held.states, np.float32(copies), notes
        made["join"] = collectives(join_on(mesh).lower(*given))
    print(json.dumps(made), flush=True)
"""


def collectives(jobs: Sequence[dict[str, Any]], devices: int) -> list[dict[str, Any]]:
    """The collectives of the programs of each job, in lists of the computations they are in."""
    return printed(COLLECTIVES, jobs, devices)


def page_formula(name: str) -> Callable[..., float]:
    """A function that docs/devices.md has."""
    page = Path(HERE, "..", "docs", "devices.md").read_text()
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(next(block for block in blocks if f"def {name}(" in block), names)
    formula: Callable[..., float] = names[name]
    return formula


@pytest.mark.parametrize(
    ("devices", "copies"), [(2, 2), *(pytest.param(4, r, marks=pytest.mark.slow) for r in (4, 12))]
)
def test_a_join_sends_the_bytes_of_the_page_and_a_chunk_none(devices: int, copies: int) -> None:
    [made] = collectives([{"copies": copies, "devices": devices, "min_count": 1}], devices)
    assert made["chunk"] == []
    [join] = made["join"]
    assert {kind for kind, _ in join} == {"all-gather", "all-to-all"}
    sent = sum(size for _, size in join) * (devices - 1) / devices
    assert sent == page_formula("join_bytes")(21, SMALL["dim"], devices, copies // devices)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "dim", "blocks"), [(2, 8, 8), (2, 8, 6), (4, 12, 8), (4, 12, 12)]
)
def test_a_step_of_all_devices_exchanges_the_numbers_of_the_page(
    devices: int, dim: int, blocks: int
) -> None:
    block, window, negatives = 8, 5, 48
    spans = blocks // math.gcd(blocks, 3)  # three blocks share negatives, where they can
    near = block + 2 * window
    base = {"dim": dim, "batch_words": blocks * block, "min_count": 1}
    meshes = [{"data": devices, "dim": 1}, {"dim": devices}, {"vocabulary": devices}]
    data, columns, words = collectives([base | {"axes": axes} for axes in meshes], devices)
    # the step has more than what runs beside it, such as a measured loss
    step = max(data["chunk"], key=lambda found: sum(size for _, size in found))
    by_kind = {kind: sum(size for k, size in step if k == kind) for kind, _ in step}
    rows = blocks * near + spans * negatives
    assert by_kind == {
        "all-gather": 4 * (blocks * block + rows) * (dim + 2),
        "all-reduce": 4,
        "all-to-all": 2 * 4 * rows * dim // devices,
    }
    step = max(columns["chunk"], key=lambda found: sum(size for _, size in found))
    scores = blocks * (2 * block * (near + negatives) + near + 2 * block) + spans * negatives
    assert [kind for kind, _ in step] == ["all-reduce"]
    assert step[0][1] == 4 * scores
    # a table that is read whole would be an all-gather
    assert {kind for found in words["chunk"] for kind, _ in found} == {"all-reduce"}
    step = max(words["chunk"], key=lambda found: sum(size for _, size in found))
    assert sum(size for _, size in step) == 4 * (blocks * block + rows) * (dim + 2)


# Trains on meshes, and prints how far the weights are from those of one device.
TOGETHER = """
import json, sys
import jax, numpy as np
from jax.sharding import Mesh
import w2vjax as w2v
from planted import planted_text

corpus = w2v.prepare(planted_text(words=7)[:60], min_count=1)  # 21 words
for job in json.loads(sys.argv[1]):
    axes = job.pop("axes")
    job |= {"optimizer": {"adagrad": w2v.row_adagrad}.get(job.pop("optimizer", None))}
    mesh = Mesh(np.array(jax.devices()).reshape(*axes.values()), tuple(axes))
    try:
        many = w2v.train(corpus, **job, mesh=mesh)
        one = w2v.train(corpus, **job, copies=1)
    except w2v.errors.SettingError as error:
        print(json.dumps({"refused": str(error)}), flush=True)
        continue
    far = [np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(a)).max()
           for a, b in zip(one.params, many.params, strict=True)]
    print(json.dumps({"far": float(max(far)), "steps": many.summary["steps"],
                      "shapes": [np.shape(table) for table in many.params]}), flush=True)
"""


def far(jobs: Sequence[dict[str, Any]], devices: int) -> list[dict[str, Any]]:
    """How far the weights of each job are from those of one device, relative to the largest."""
    return printed(TOGETHER, jobs, devices)


# Equal bits: an exchange adds zeros to the row. 21 words: each device holds 11 rows.
@pytest.mark.slow
def test_tables_over_the_vocabulary_train_as_on_one_device() -> None:
    over = {"axes": {"vocabulary": 2}, "epochs": 1, "sample": 0}
    first, softmax = far([over, over | {"objective": "softmax"}], 2)
    assert first == {"far": 0.0, "steps": first["steps"], "shapes": [[21, 8], [21, 8]]}
    assert first["steps"] > 20
    assert "A softmax reads every row" in softmax["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
@pytest.mark.parametrize("objective", ["negative", "hierarchical"])
def test_all_axes_together_train_as_on_one_device(model: str, objective: str) -> None:
    named = {"model": model, "objective": objective, "epochs": 5, "sample": 0}
    meshes = [{"vocabulary": 4}, {"data": 2, "vocabulary": 2}, {"vocabulary": 2, "dim": 2}]
    found = far([named | {"axes": axes} for axes in meshes], 4)
    assert all(each["steps"] >= 100 for each in found), found
    assert found[0]["far"] == found[1]["far"] == 0.0
    # Scores over "dim" are added in another order: measured 1.7e-6 at most, after 115 steps.
    assert found[2]["far"] <= 4e-6
    [counted] = far([named | {"axes": meshes[0], "optimizer": "adagrad"}], 4)
    assert counted["far"] == 0.0


COMMAND = """
import os, sys, time
from w2vjax.cli import main
from w2vjax.corpus import sources
import w2vjax.runs.rounds as loop
sources.PART = 4096  # several parts of a small text, so that the processes share it
if pause := float(os.environ.get("TEST_READ", 0)):  # one process pauses while it reads
    blocks_of = sources.blocks_of
    def slow(part, reading):
        with open(f"{part.path}.begun", "w") as note:
            note.write("reading")
        time.sleep(pause)
        return blocks_of(part, reading)
    sources.blocks_of = slow
if pause := float(os.environ.get("TEST_PAUSE", 0)):  # one process pauses in its fourth round
    advance, rounds = loop.advance, []
    def paused(*given):
        rounds.append(1)
        if len(rounds) == 4:
            time.sleep(pause)
        return advance(*given)
    loop.advance = paused
sys.exit(main())
"""
HEARTBEAT = 6


class Crew:
    """The processes of one run of ``w2vjax train``. They are killed at the end."""

    def __init__(
        self,
        count: int,
        *arguments: object,
        devices: int = 1,
        coordinator: str = "",
        each: dict[int, Sequence[object]] | None = None,
        pauses: dict[int, float] | None = None,
        reads: dict[int, float] | None = None,
        only: Sequence[int] | None = None,
    ):
        place = coordinator or f"127.0.0.1:{free_port()}"
        self.processes, self.printed = [], []
        for number in range(count) if only is None else only:
            common = ["--distributed", "--coordinator", place, "--processes", count]
            timing = ["--process", number, "--heartbeat", HEARTBEAT, "--start-timeout", 60]
            alone = [*arguments, *common, *timing] if count > 1 else [*arguments]
            words = map(str, ["train", *alone, *(each or {}).get(number, ())])
            own = environment(devices) | {"TEST_PAUSE": str((pauses or {}).get(number, 0))}
            own["TEST_READ"] = str((reads or {}).get(number, 0))
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", COMMAND, *words],
                    env=own,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def ended(self, seconds: float, *but: int) -> list[tuple[int, str]]:
        """(exit code, standard error) of all processes, or of all but these, within a time."""
        until, found = time.monotonic() + seconds, []
        for number, process in enumerate(self.processes):
            if number not in but:
                out, said = process.communicate(timeout=max(0.1, until - time.monotonic()))
                self.printed.append(out)
                found.append((process.returncode, said))
        return found

    def wait_for(self, folder: Path, name: str = "log.jsonl.partial", after: str = "") -> None:
        """Until the folder has a file of this name that is not empty, and later than ``after``."""
        until = time.monotonic() + 300
        while not any(p.name > after and size_of(p) for p in folder.glob(name)):
            assert all(process.poll() is None for process in self.processes)
            assert time.monotonic() < until
            time.sleep(0.1)


def size_of(path: Path) -> int:
    """In bytes; 0 of a file that was removed meanwhile."""
    return path.stat().st_size if path.exists() else 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(" ".join(line) + "\n" for line in planted_text(words=7)))
    return path


def options(text: Path, out: Path, epochs: int = 2, *more: object) -> list[object]:
    named = {**SMALL, "copies": 4, "join_words": 512, "epochs": epochs, "min_count": 1}
    pairs = [(f"--{name.replace('_', '-')}", value) for name, value in named.items()]
    return [text, "--out", out, "--quiet", *(each for pair in pairs for each in pair), *more]


def table_bits(out: Path) -> bytes:
    return (out / "vectors.bin").read_bytes()


@pytest.fixture(scope="module")
def alone(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of the text on one device."""
    out = tmp_path_factory.mktemp("alone")
    with Crew(1, *options(text, out)) as crew:
        [(code, said)] = crew.ended(300)
    assert code == 0, said
    return out


@pytest.mark.parametrize(
    ("processes", "devices"),
    [
        (2, 1),
        *(pytest.param(p, d, marks=pytest.mark.slow) for p, d in [(1, 2), (2, 2), (4, 1)]),
    ],
)
def test_processes_give_the_bits_of_one(
    text: Path, alone: Path, tmp_path: Path, processes: int, devices: int
) -> None:
    more = ["--json", "-", *(["--devices", devices] if processes == 1 else [])]
    with Crew(processes, *options(text, tmp_path, 2, *more), devices=devices) as crew:
        ended = crew.ended(300)
    assert [code for code, _ in ended] == [0] * processes, ended
    assert json.loads(crew.printed[0])["epochs"] == 2  # without the lines that Gloo prints
    assert crew.printed[1:] == [""] * (processes - 1)
    assert table_bits(tmp_path) == table_bits(alone)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in alone.iterdir()
    )


# One of several processes that read a text. Prints the digest of each source, and what it has read.
READS = """
import json, sys
from w2vjax.corpus import sources
sources.PART = 4096
port, count, number, jobs = sys.argv[1], *map(int, sys.argv[2:4]), json.loads(sys.argv[4])
from w2vjax.processes.connect import connect
from w2vjax.processes.guard import guarded
connect(f"127.0.0.1:{port}", count, number)
from w2vjax.runs.arguments import arguments_of
from w2vjax.runs.loop import read_corpus

read, blocks_of = [], sources.blocks_of
def noted(part, reading):
    read.append([str(part.path), part.begin])
    return blocks_of(part, reading)
sources.blocks_of = noted
with guarded():
    for source, cache in jobs:
        read.clear()
        cache = cache and cache[number]
        corpus = read_corpus(source, arguments_of({"min_count": 2, "cache": cache}))
        print(json.dumps([corpus.digest, corpus.reused, read]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_a_text_and_read_what_one_reads(
    text: Path, tmp_path: Path, processes: int
) -> None:
    """Plain and compressed files, and a folder. A cache is used if every process has it."""
    folder = tmp_path / "folder"
    (folder / "more").mkdir(parents=True)
    data = text.read_bytes()
    plain, zipped = folder / "more" / "a.txt", [folder / f"{n}.gz" for n in range(4)]
    plain.write_bytes(data[:20_000])
    for number, path in enumerate(zipped):
        path.write_bytes(gzip.compress(b"%d " % number + data))
    caches = [str(tmp_path / f"cache{number}") for number in range(processes)]
    w2v.prepare(text, caches[0], min_count=2)  # one has it already
    sources: list[Any] = [str(text), list(map(str, zipped)), str(folder), str(zipped[0])]
    jobs = [*((source, None) for source in sources), *[(str(text), caches)] * 2]
    command, port = [sys.executable, "-c", READS], str(free_port())
    started = [
        subprocess.Popen(
            [*command, port, str(processes), str(number), json.dumps(jobs)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    lines = [process.communicate(timeout=300)[0].splitlines() for process in started]
    said = [[line for line in own if line[:2] == '["'] for own in lines]  # Gloo says something, too
    assert [process.returncode for process in started] == [0] * processes
    for at, (source, _) in enumerate(jobs):
        digests, reused, read = zip(*(json.loads(own[at]) for own in said), strict=True)
        assert set(digests) == {w2v.prepare(source, min_count=2).digest}
        assert set(reused) == {at == len(jobs) - 1}
        parts = [tuple(part) for own in read for part in own]
        assert len(set(parts)) == len(parts)  # no part is read twice
        # a compressed file is read by one process, and a cache that all have by none
        some = {3: 1, len(jobs) - 1: 0}.get(at, processes)
        assert sum(map(bool, read)) == some, (source, read)


@pytest.mark.slow
def test_a_text_that_one_process_cannot_read_or_has_otherwise_ends_all(
    text: Path, tmp_path: Path
) -> None:
    data = text.read_bytes()
    wrong, invalid, rare = (tmp_path / name for name in ("wrong.txt", "invalid.txt", "rare.txt"))
    wrong.write_bytes(data[:9000] + b"x" + data[9001:])
    invalid.write_bytes(data[:-9000] + b"\xff" + data[-8999:])
    rare.write_bytes(b"once\n")
    settings = options(text, tmp_path / "out")[1:]
    for texts, code, says in (
        ((text, wrong), 2, "The processes of this run differ in corpus. Give every process"),
        ((text, rare), 2, "The processes of this run differ in corpus. Give every process"),
        ((invalid, invalid), 3, f"invalid UTF-8 at byte {len(data) - 9000:,}"),
    ):
        with Crew(2, *settings, each=dict(enumerate([[each] for each in texts]))) as crew:
            ended = crew.ended(120)
        assert [each for each, _ in ended] == [code] * 2, ended
        assert all(says in said for _, said in ended), ended
    # a process that dies while it reads, and one that is slow, which is waited for
    with Crew(2, *settings, wrong, reads={1: 1e6}) as crew:
        crew.wait_for(tmp_path, "wrong.txt.begun")
        crew.processes[1].kill()
        [(code, said)] = crew.ended(HEARTBEAT + 10, 1)
    assert code == 8, said
    assert "Process 1 has not been heard of" in said
    with Crew(2, *settings, text, reads={1: 2}) as crew:
        assert [code for code, _ in crew.ended(300)] == [0, 0]


GATHER = """
import json, sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from w2vjax.devices.mesh import gathered
from w2vjax.processes.connect import array_of_first, multihost_utils

def sent(part):  # as by several processes: zeros of the others are added
    assert part.dtype == np.uint8 and len(part) <= block
    return part + np.zeros_like(part)

multihost_utils.broadcast_one_to_all = sent
jax.config.update("jax_enable_x64", True)
for job in json.loads(sys.argv[1]):
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("dim", "vocabulary"))
    whole = np.random.default_rng(0).normal(size=job["shape"]).astype(job["dtype"])
    if whole.size:
        whole.reshape(-1)[:2] = -0.0, np.nan
    place = NamedSharding(mesh, PartitionSpec(*job["spec"]))
    found = [gathered(jax.device_put(whole, place), block) for block in job["blocks"]]
    for block in job["blocks"]:
        found.append(array_of_first(whole, block))
    same = [each.tobytes() == whole.tobytes() and each.shape == whole.shape for each in found]
    print(json.dumps({"same": same}))
"""


@pytest.mark.parametrize(
    "spec", [["vocabulary", "dim"], *slow(["vocabulary"], [None, "dim"], ["dim", "vocabulary"])]
)
def test_tables_that_no_device_holds_are_gathered_and_sent_in_parts(spec: list[str | None]) -> None:
    """Rows of a share that blocks divide and do not, one row at a time, and all at once."""
    blocks = [1, 600, 1200, 1 << 30]
    given = [([28, 8], "float32"), ([8, 4, 3], "float64"), ([8, 4], "float16"), ([0, 8], "int8")]
    jobs = [{"shape": a, "dtype": b, "spec": spec, "blocks": blocks} for a, b in given]
    with_wide = GATHER.replace(
        "import jax,", "import jax; jax.config.update('jax_enable_x64', 1)\nimport"
    )
    for done in printed(with_wide, jobs, 8):
        assert done == {"same": [True] * 8}


LIVE = """
import json, sys
import jax
import w2vjax as w2v
from planted import planted_text

for job in json.loads(sys.argv[1]):
    seen = []
    def count(record):
        seen.append(sum(array.shape == (21, 8) for array in jax.live_arrays()))
    corpus = w2v.prepare(planted_text(words=7), min_count=1)
    w2v.train(corpus, **job, log_every=0.0, callback=count)
    print(json.dumps(seen))
"""


@pytest.mark.slow
def test_a_device_holds_its_copies_and_their_start_alone() -> None:
    jobs = [{"devices": devices, "copies": 4, "join_words": 512} for devices in (4, 2)]
    for seen in printed(LIVE, jobs, 4):
        assert set(seen) == {2}  # both tables at the start of the round; copies have one more axis


# One of several processes that take each step together. Process 0 prints the digest of its tables.
TOGETHER_IN_PROCESSES = """
import hashlib, json, sys
port, count, number, folder, axes = sys.argv[1], *map(int, sys.argv[2:4]), *sys.argv[4:]
from w2vjax.processes.connect import connect
if count > 1:
    connect(f"127.0.0.1:{port}", count, number)
import jax, numpy as np
from jax.sharding import Mesh
import w2vjax as w2v
from planted import planted_text

corpus, axes = w2v.prepare(planted_text(words=7)[:60], min_count=1), json.loads(axes)
mesh = Mesh(np.array(jax.devices()).reshape(*axes.values()), tuple(axes))
small = {"dim": 8, "epochs": 1, "batch_words": 32, "block_words": 8}
trained = w2v.train(corpus, **small, mesh=mesh, checkpoint=folder)
tables = [np.asarray(table) for table in trained.params]
print(hashlib.sha256(b"".join(table.tobytes() for table in tables)).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(2, 1), (2, 2)])
@pytest.mark.parametrize("axis", ["data", "dim", "vocabulary"])
def test_steps_together_in_processes_give_the_bits_of_one(
    tmp_path: Path, axis: str, processes: int, devices: int
) -> None:
    digests = []
    for count in (1, processes):
        own = environment(processes * devices // count)
        axes, port = json.dumps({axis: processes * devices}), free_port()
        command = [sys.executable, "-c", TOGETHER_IN_PROCESSES, str(port), str(count)]
        given = [str(tmp_path / str(count)), axes]
        started = [
            subprocess.Popen(
                [*command, str(number), *given], env=own, stdout=subprocess.PIPE, text=True
            )
            for number in range(count)
        ]
        said = [process.communicate(timeout=600)[0].split()[-1] for process in started]
        assert [process.returncode for process in started] == [0] * count
        digests.append(set(said))
    assert len(digests[0]) == 1
    assert digests[0] == digests[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "victim", "number"),
    [
        (2, 1, signal.SIGKILL),
        (2, 0, signal.SIGKILL),
        (2, 1, signal.SIGSTOP),
        (2, 0, signal.SIGSTOP),
        (4, 3, signal.SIGKILL),
    ],
)
def test_a_dead_process_ends_the_others_and_a_restart_resumes(
    text: Path, tmp_path: Path, count: int, victim: int, number: int
) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    saved = ["--checkpoint", kept, "--checkpoint-every", 0]
    with Crew(count, *options(text, out, 100_000, *saved)) as crew:
        crew.wait_for(out)
        crew.wait_for(kept, "checkpoint-*.safetensors")
        crew.processes[victim].send_signal(number)
        ended = crew.ended(HEARTBEAT + 10, victim)
    for code, said in ended:
        assert code != 0
        if (victim, number) == (0, signal.SIGKILL):  # JAX may be the first to say so
            assert "Process 0" in said or "JAX distributed service" in said, said
        elif victim == 0:
            assert code == 8, said
            assert "Process 0, which connects the others, has not answered for 3 s" in said, said
        else:
            assert code == 8, said
            assert f"Process {victim} has not been heard of" in said, said
    before = max(kept.glob("checkpoint-*"))
    resumed = options(text, out, 100_000, *saved, "--resume")
    with Crew(count, *resumed) as crew:
        crew.wait_for(kept, "checkpoint-*.safetensors", after=before.name)
        crew.processes[-1].send_signal(signal.SIGTERM)
        ended = crew.ended(60)
    assert [code for code, _ in ended] == [143] * count, ended
    assert max(kept.glob("checkpoint-*")) > before


@pytest.mark.parametrize("heartbeat", [4, 6, 10.5, 45, 100, 1e6])
def test_jax_never_speaks_before_a_guard(heartbeat: float) -> None:
    """JAX may notice a death after half of its time, since processes report at the other half."""
    needs = guard.silence_of(heartbeat) + guard._FAREWELL + 2 * guard._BEAT
    assert guard.time_of_jax(heartbeat) / 2 > needs + 5
    assert needs < heartbeat + 10
    assert guard.silence_of(heartbeat) >= 4 * guard._BEAT  # a note may come late
    if heartbeat == guard.HEARTBEAT_OF_JAX:  # with the time that JAX has by itself
        assert needs < 100 / 2


class Coordinator:
    """Of process 0. It answers until it is stopped."""

    def __init__(self, notes: int):
        self.notes, self.stopped = notes, threading.Event()

    def key_value_set(self, *_: object, **__: object) -> None:
        self.notes -= 1
        if self.notes < 0:
            self.stopped.wait(20)

    def key_value_dir_get(self, _: str) -> list[tuple[str, str]]:
        return []


@pytest.mark.parametrize("notes", [0, 1, 3, 9999])
def test_a_guard_ends_a_process_if_process_0_does_not_answer(notes: int, monkeypatch: Any) -> None:
    """At the first note, at later ones, at the last one, or never."""
    ended, over = threading.Event(), threading.Event()
    coordinator, said = Coordinator(notes), []

    def end_now(message: str) -> None:
        said.append(message)
        ended.set()
        coordinator.stopped.set()
        over.wait(20)

    monkeypatch.setattr("jax.process_index", lambda: 1)
    monkeypatch.setattr("w2vjax.processes.guard.end_now", end_now)
    monkeypatch.setattr("w2vjax.processes.guard._BEAT", 0.02)
    own = Guard(coordinator, 0.6, 1e9)  # 0.3 s of silence
    if notes < 10:
        assert notes == 0 or ended.wait(10)
    else:
        assert not ended.wait(1)
        coordinator.notes = 0
        own.end(None)  # the last note
    assert ended.wait(10)
    assert said[0].startswith("Process 0, which connects the others, has not answered for 0.3 s")
    own._left.set()
    own._over.set()
    over.set()


@pytest.mark.parametrize(
    ("note", "says"),
    [
        ("alive 7 0.0", "Process 1 has not gone on"),
        ("alive 5 0.0", "A round of all processes has not gone on"),
        ("alive 4 0.0", "Process 0 has not gone on"),
        ("done", "Process 1 has not gone on"),
        ("failed Why.", None),  # it is waited for its end, and then told
    ],
)
def test_a_guard_names_who_is_behind(note: str, says: str | None, monkeypatch: Any) -> None:
    """Process 1 of two, at its fifth mark for longer than the time of a step."""
    notes = SimpleNamespace(key_value_set=Mock(), key_value_dir_get=lambda _: [("notes/0", note)])
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("w2vjax.processes.guard.end_now", Mock(side_effect=InterruptedError))
    own = Guard.__new__(Guard)  # without its thread
    own._client, own._own, own._silence, own.step_timeout = notes, 1, 1e9, 1.0
    own._mark, own._since, own._training = 5, time.monotonic() - 2, True
    own._heard, own._failed = {}, {}
    if says is None:
        own._look()
        own._failed = {0: (time.monotonic() - 60, "Why.")}
        says = "Process 0 has ended, so this one ends too. It said: Why."
    with pytest.raises(InterruptedError):
        own._look()
    assert guard.end_now.call_args.args[0].startswith(says)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_stuck_process_is_named_and_a_slow_one_is_waited_for(
    text: Path, alone: Path, tmp_path: Path
) -> None:
    # A busy machine that compiles for so long counts as stuck as a whole: that is another sentence.
    limit = ["--step-timeout", 30]
    with Crew(2, *options(text, tmp_path, 100_000, *limit), pauses={1: 1e6}) as crew:
        ended = crew.ended(120)
    for code, said in ended:
        assert code == 8, said
        assert "Process 1 has not gone on for 30 s" in said, said
    with Crew(2, *options(text, tmp_path, 2, "--step-timeout", 60), pauses={1: 20}) as crew:
        assert [code for code, _ in crew.ended(300)] == [0, 0]
    assert table_bits(tmp_path) == table_bits(alone)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2), (2, 4)])
def test_a_signal_at_one_process_saves_at_all_and_others_go_on(
    text: Path, tmp_path: Path, first: int, then: int
) -> None:
    """A run of ``first`` processes is stopped and goes on with ``then``: the bits of one run."""
    whole, out, saved = tmp_path / "whole", tmp_path / "out", ["--checkpoint", tmp_path / "kept"]
    epochs = 400
    with Crew(1, *options(text, whole, epochs)) as crew:
        assert crew.ended(300)[0][0] == 0
    with Crew(first, *options(text, out, epochs, *saved)) as crew:
        crew.wait_for(out)
        crew.processes[-1].send_signal(signal.SIGTERM)
        ended = crew.ended(60)
    assert [code for code, _ in ended] == [143] * first, ended
    assert all("Stopped by SIGTERM" in said for _, said in ended)
    with Crew(then, *options(text, out, epochs, *saved, "--resume")) as crew:
        ended = crew.ended(300)
    assert [code for code, _ in ended] == [0] * then, ended
    assert table_bits(out) == table_bits(whole)


@pytest.mark.slow
def test_processes_that_differ_or_fail_say_so(text: Path, tmp_path: Path) -> None:
    for own, says, codes in (
        (["--seed", 3], "The processes of this run differ in seed", [2, 2]),
        (["--dim", 9], "The processes of this run differ in dim", [2, 2]),
        (["--deterministic"], "The processes of this run differ in deterministic", [2, 2]),
        (["--window", 0], "window=0 cannot work", [8, 2]),
        (["--devices", 3], "devices=3 cannot work: JAX has 2", [8, 2]),
    ):
        with Crew(2, *options(text, tmp_path / "out"), each={1: own}) as crew:
            ended = crew.ended(120)
        assert [code for code, _ in ended] == codes, ended
        assert all(says in said for _, said in ended), ended
    cbow = ["--model", "cbow", "--learning-rate", 0.1]
    own = {0: cbow, 1: [*cbow, "--cbow-sum-gradient"]}
    with Crew(2, *options(text, tmp_path / "out"), each=own) as crew:
        ended = crew.ended(120)
    assert [code for code, _ in ended] == [2, 2], ended
    assert all("The processes of this run differ in program. " in said for _, said in ended), ended
    arguments = options(text, tmp_path / "out")
    with Crew(2, *arguments, each={1: ["--vocab", "missing"]}) as crew:
        ended = crew.ended(120)
    assert [code for code, _ in ended] == [8, 7], ended
    assert "Process 1 has ended, so this one ends too. It said: missing" in ended[0][1]
    assert not (tmp_path / "out" / "vectors.bin").exists()


EPOCHS = """
import json, sys, time
import jax
place, number, only = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "only"
jax.distributed.initialize(place, 2, number)
import numpy as np
import w2vjax as w2v
from planted import planted_text
seen = []

def on_epoch(record, vectors):  # longer than the timeout, and it stops the run
    seen.append((record["epoch"], vectors.matrix.copy()))
    time.sleep(8)
    return record["epoch"] == 2

given = {"on_epoch": on_epoch} if number == 0 or not only else {}
try:
    trained = w2v.train(planted_text(), dim=8, epochs=5, min_count=1, sample=0, copies=2, devices=2,
                        batch_words=32, block_words=8, step_timeout=5, **given)
except w2v.errors.SettingError as error:
    sys.exit(str(error))
assert not number or not seen
assert number or [epoch for epoch, _ in seen] == [1, 2]
assert number or np.array_equal(seen[-1][1], trained.vectors.matrix)
print(json.dumps(trained.summary["words"] / trained.run.feed.words))
"""


@pytest.mark.slow
def test_the_vectors_of_an_epoch_in_two_processes() -> None:
    """The function takes longer than the timeout and stops all processes there."""
    for only, code in (("all", 0), ("only", 2)):
        place = f"127.0.0.1:{free_port()}"
        running = [
            subprocess.Popen(
                [sys.executable, "-c", EPOCHS, place, str(number), only],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        for process in running:
            out, said = process.communicate(timeout=180)
            assert process.returncode == code, said
            if code:
                assert "differ in on_epoch (whether there is one)" in said
            else:
                assert float(out.splitlines()[-1]) == 2


@pytest.mark.slow
def test_processes_that_do_not_meet_say_so(text: Path, tmp_path: Path) -> None:
    arguments = options(text, tmp_path / "out")
    for only in (0, 1):
        late = {only: ["--start-timeout", 5]}
        with Crew(2, *arguments, only=[only], each=late) as crew:
            [(code, said)] = crew.ended(90)
        assert code == 8, said
        assert "After 5 s, not all of the 2 processes have come to 127.0.0.1" in said
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Crew(2, *arguments, only=[0], coordinator=address) as crew:
            [(code, said)] = crew.ended(60)
    assert code == 2
    assert "cannot be used: Address already in use. Name another port" in said
    missing, taken_number = "not all of the", "Another process of this host is process 0 already"
    for count, number, codes, first, second in (
        (2, 2, [8, 2], missing, "--process 2 is not one of 2 processes"),
        (3, 1, [8, 2], "Process 1 has ended, so this one ends too. It said: This", "2 have come"),
        (2, 0, [2, 8], taken_number, missing),
    ):
        place = f"127.0.0.1:{free_port()}"
        wrong = ["--processes", count, "--process", number, "--start-timeout", 20]
        each = {0: ["--start-timeout", 20], 1: wrong}
        with Crew(2, *arguments, coordinator=place, each=each) as crew:
            ended = crew.ended(90)
        if number == 0 and ended[0][0] == 8:  # whoever came first has the number
            ended = ended[::-1]
        assert [code for code, _ in ended] == codes, ended
        assert first in ended[0][1], ended
        assert second in ended[1][1], ended


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--processes", 2], "--processes is for several processes. Add --distributed."),
        (["--distributed", "--processes", 2], "one is missing"),
        (["--distributed", "--coordinator", "x", "--processes", 2, "--process", 0], "HOST:PORT"),
        (["--distributed", "--coordinator", "x:1", "--processes", 2, "--process", 2], "not one of"),
        (["--devices", 3], "devices=3 cannot work: JAX has 1"),
        (["--devices", 0], "devices=0 cannot work"),
        (["--step-timeout", "nan"], "step_timeout=nan cannot work"),
        (["--step-timeout", 0], "step_timeout=0.0 would end every run"),
        (["--step-timeout", 0.5], "step_timeout=0.5 would end every run"),
        (["--step-timeout", 60], "--step-timeout is for several processes. Add --distributed."),
        (["--distributed", "--heartbeat", 0], "--heartbeat 0 cannot work"),
        (["--distributed", "--heartbeat", "nan"], "--heartbeat nan cannot work"),
        (["--distributed", "--start-timeout", -3], "--start-timeout -3 cannot work"),
        (["--distributed", "--start-timeout", "inf"], "--start-timeout inf cannot work"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    cli: Any, tmp_path: Path, given: list[object], says: str
) -> None:
    done = cli("train", "missing.txt", "--out", tmp_path / "out", *given)
    assert done.code == 2
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


PLANS = """
import json, sys
import w2vjax as w2v
from planted import planted_text
for given in json.loads(sys.argv[1]):
    plan = w2v.plan(planted_text(), **given)
    print(json.dumps([plan.params_bytes, plan.optimizer_bytes, plan.temporary_bytes]), flush=True)
"""


@pytest.mark.slow
def test_a_plan_counts_the_memory_of_one_device() -> None:
    given = [{"copies": 1}, {"devices": 2}, {"devices": 4}, {"devices": 2, "copies": 8}]
    one, two, four, eight = printed(PLANS, given, 4)
    assert two[:2] == four[:2] == [2 * one[0], one[1]]  # its copy, and the joined tables
    assert eight[:2] == [5 * one[0], 4 * one[1]]
    assert max(two[2], four[2], eight[2]) <= 1.1 * one[2]  # its copies take turns
