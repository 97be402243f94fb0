"""Each exporter is killed or fails at each step: a reader finds the old file or the new one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from exporters import UNDRAWN
from marks import slow


def run(folder, mode, names=()):
    program = Path(__file__).with_name("exporters.py")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", program, folder, mode, *names],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    print(
        json.dumps(
            {name: {key: value for key, value in found.items()} for name, found in report.items()}
        )
    )
    return report


@pytest.mark.parametrize(
    "names", [("x.txt", "model.safetensors", "checkpoints"), *slow(((),))], ids=["three", "all"]
)
def test_sigkill_at_every_step_of_every_exporter(tmp_path, names):
    for name, found in run(tmp_path, "steps", names).items():
        assert found["wrong"] == [], name
        assert found["faults"] >= 8, name
        assert found["old"], name
        assert found["new"], name


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("part", range(7))
@pytest.mark.parametrize("mode", ["syscalls", "errors"])
def test_faults_of_every_system_call_of_every_exporter(tmp_path, mode, part):
    for name, found in run(tmp_path, mode, UNDRAWN[part::7]).items():
        assert found["wrong"] == [], name
        assert found["faults"] >= 8, name
