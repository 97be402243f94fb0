"""No loader runs code, writes, imports or uses the network: an audit hook watches it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz_formats.py")


def fuzz(folder, *arguments):
    run = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", FUZZ, folder, *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    print(json.dumps(report))
    return report


def test_the_audit_hook_sees_what_it_has_to_see(tmp_path):
    events = fuzz(tmp_path, "control")["events"]
    expected = "pickle.find_class os.system exec compile import socket.__new__".split()
    assert {*expected, "open for writing"} <= set(events)


def test_no_load_path_runs_code(tmp_path):
    """1,000 fuzzed files, and pickles under every extension, cause no event of the audit hook."""
    report = fuzz(tmp_path, "files", 1000)
    assert report["events"] == {}
    assert report["untyped"] == []
    assert report["files"] >= 1000 + 60
    assert report["refused"] > 500
    assert report["slowest"] < 5
    assert not (tmp_path / "ran").exists()


PARSERS = "x.txt x.bin x.npy tensors.tsv x.safetensors x.vocab x.txt.gz model.safetensors pairs"
PARSERS += " analogies corpus corpus-invalid journal log.jsonl record"
CHECKPOINT = "checkpoint-000000000000.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PARSERS.split(), CHECKPOINT])
def test_fuzzing_a_parser_for_half_a_minute(tmp_path, name):
    """No crash, no load over 5 s, no exception of another type, at most 512 MB."""
    report = fuzz(tmp_path, "minutes", 0.5, name)
    assert report["untyped"] == []
    assert report["events"] == {}
    assert report["slowest"] < 5
    assert report["megabytes"] < 512
    assert report["files"] > 1000
