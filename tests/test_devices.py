"""Copies on several devices and in several processes: equal streams, equal bits, no hangs.

A CPU simulates devices, and it does so from the start of a process. So each test starts processes
of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

# Runs each of a list of settings, and prints what came out of it as JSON.
RUNS = """
import hashlib, json, sys
import jax, numpy as np
import w2vjax as w2v
from planted import planted_text
from w2vjax.training import copies, feed
from w2vjax.types import Params

feed.CHUNK = 512
jobs = json.loads(sys.argv[1])
chunks_on, seen = copies.chunks_on, {}

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

import w2vjax.runs.loop
w2vjax.runs.loop.chunks_on = watched
corpus = w2v.prepare(planted_text(words=7), min_count=1)  # 21 words: no number of devices divides
for job in jobs:
    seen.clear()
    if "folder" in job:  # go on from there, or train half of it
        job["checkpoint"] = w2v.Checkpoints(job.pop("folder"), resume=True)
    half = job.pop("half", None)
    optimizer = {"adagrad": w2v.row_adagrad, "none": None}[job.pop("optimizer", "none")]
    every = 0.0 if half else float("inf")
    stop = (lambda record: record["words"] >= half) if half else None
    trained = w2v.train(corpus, **job, optimizer=optimizer, log_every=every, callback=stop)
    stream = sorted(seen.items())
    tables = [np.asarray(table) for table in trained.params]
    print(json.dumps({"bits": digest(tables), "loss": trained.summary["loss"],
                      "steps": trained.summary["steps"], "words": trained.summary["words"],
                      "stream": stream, "devices": jax.device_count()}), flush=True)
"""
SMALL: dict[str, Any] = {"dim": 8, "epochs": 2, "batch_words": 32, "block_words": 8}
HERE = os.path.dirname(os.path.abspath(__file__))


def environment(devices: int = 1) -> dict[str, str]:
    """Of a process with so many simulated devices, compiled as users have it."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    path = os.pathsep.join([HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}


def runs(jobs: Sequence[dict[str, Any]], devices: int) -> list[dict[str, Any]]:
    """What came out of each job, in one process."""
    command = [sys.executable, "-c", RUNS, json.dumps([SMALL | job for job in jobs])]
    done = subprocess.run(
        command, env=environment(devices), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# 400 lines of 12 words: 4 800 words, 10 chunks of 512 at most, so the last round is not full
@pytest.mark.parametrize(
    ("copies", "devices"), [(4, [1, 2]), pytest.param(8, [1, 2, 4, 8], marks=pytest.mark.slow)]
)
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


@pytest.mark.parametrize(
    ("first", "then", "optimizer"),
    [
        (4, 1, "none"),
        pytest.param(1, 4, "none", marks=pytest.mark.slow),
        pytest.param(2, 4, "adagrad", marks=pytest.mark.slow),
    ],
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
