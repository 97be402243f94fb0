"""The benchmark of text to ids: its candidates agree, and it refuses to time one that does not."""

from pathlib import Path

import pytest


@pytest.fixture
def pipeline_speed(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return pytest.importorskip("pipeline_speed")


@pytest.fixture
def text(tmp_path, pipeline_speed):
    path = pipeline_speed.generated(tmp_path, 0.2)
    path.write_bytes(path.read_bytes() + b"\nlong" * 7 + b"er" * 30 + b" ")
    return path


@pytest.mark.slow
def test_the_candidates_agree_and_are_reported(pipeline_speed, text, capsys):
    record = pipeline_speed.run(text, rounds=1, write=False)
    assert {row["name"] for row in record["rows"]} >= {
        "w2vjax",
        "split + Counter + dict",
        "NumPy sort",
    }
    assert all(row["million_words_a_second"] > 0 for row in record["rows"])
    assert all(row["cpu_s"] > 0 for row in record["rows"])
    assert "w2vjax" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["w2vjax", "NumPy sort"])
def test_a_wrong_candidate_is_named_before_anything_is_timed(
    pipeline_speed, text, monkeypatch, name
):
    right = pipeline_speed.CANDIDATES[name]
    monkeypatch.setitem(pipeline_speed.CANDIDATES, name, lambda path: right(path)[::-1])
    monkeypatch.setattr(pipeline_speed, "compare", lambda *a, **k: pytest.fail("timed"))
    with pytest.raises(pipeline_speed.CheckFailed, match=name):
        pipeline_speed.run(text, rounds=1, write=False)
