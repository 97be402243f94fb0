"""The training program, compiled for an H100 on a machine that need not have one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu_program
import pytest

from w2vjax.training.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
THUNKS = """\
000: kCommandBuffer [source | sink]
    001: kCustomKernel [source] a
    002: kWhile        [prev=001]
condition:
        003: kCustomKernel [source] b
      body:
        004: kCustomKernel [source] c
        005: kWhile        [prev=004]
condition:
            006: kCustomKernel [source] d
          body:
            007: kCopy         [source] e
            008: kCustomKernel [prev=007] f
        009: kCustomKernel [prev=005] g
"""


def test_kernels_of_a_step_are_those_of_the_innermost_loop() -> None:
    assert gpu_program.kernels_of_a_step(THUNKS) == 2
    assert gpu_program.kernels_of_a_step(THUNKS.replace("kCopy", "kCommandBuffer")) == 1


def test_a_loop_outside_of_a_graph_waits_for_the_host() -> None:
    assert gpu_program.waits_for_host(THUNKS) == 0
    assert gpu_program.waits_for_host(THUNKS.replace("kCommandBuffer", "kSequential")) == 2
    driven = "000: kWhile [source]\nbody:\n    001: kCommandBuffer [source]\n002: kConditional []\n"
    assert gpu_program.waits_for_host(driven) == 2


def test_bytes_of_collectives_are_those_of_their_results() -> None:
    begin = "%a = ((f32[3,2]{1,0}, s32[1]{0}), (f32[3,4]{1,0}, s32[2]{0})) all-gather-start(%x, %y)"
    end = "%b = (f32[3,4]{1,0}, s32[2]{0}) all-gather-done(%a)"
    for lines in (f"{begin}\n{end}", end.replace("-done", "")):
        assert gpu_program.collective_bytes(lines) == {"all-gather": 56}
    assert gpu_program.collective_bytes(end.replace("all-gather-done", "add")) == {}
    small = "%a = (u8[5]{0}, pred[3]{0}, bf16[2,2]{1,0}, s64[]) all-reduce(%x)"
    assert gpu_program.collective_bytes(small) == {"all-reduce": 5 + 3 + 8 + 8}


@pytest.mark.slow
@pytest.mark.parametrize("pair", METHODS, ids="-".join)
def test_what_a_gpu_runs(pair: tuple[str, str], tmp_path: Path) -> None:
    pytest.importorskip("jax_plugins.xla_cuda13", reason="needs the extra 'cuda'")
    layouts = ["one", "data", "dim", "vocabulary"] if pair == ("skip-gram", "negative") else ["one"]
    code = (
        "import sys, json; sys.path.insert(0, 'benchmarks'); import gpu_program; "
        f"print(json.dumps([gpu_program.describe(*{pair!r}, each) for each in {layouts}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    for row in json.loads(done.stdout.splitlines()[-1]):
        tables = 2 * 4 * 70_000 * 100
        assert row["table_copies"] == 0, row
        assert row["compare_and_swap"] in (0, None), row
        assert row["aliased_bytes"] >= tables // (
            2 if row["layout"] in ("dim", "vocabulary") else 1
        ), row
        if row["layout"] == "one":
            # XLA leaves the softmax's loop over the vocabulary to the host: 10 ms a step hide it
            assert row["host_waits"] == 0 or row["objective"] == "softmax", row
            assert row["kernels"] <= 25 or row["objective"] == "softmax", row
            assert not row["collective_bytes"], row
        else:
            # rows cross the wire and never tables
            assert max(row["collective_bytes"].values()) < tables // 3, row
