"""The loss curve: what a log says, what a damaged one is told, and what is drawn."""

import gzip
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import w2vjax as w2v
from w2vjax.pictures.plot_loss import moving_average, read_losses

pytest.importorskip("matplotlib")


def write_log(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_log_of_training_is_drawn_over_the_words_read(tmp_path: Path) -> None:
    records = [
        {
            "step": 10 * i,
            "words": 1000 * i,
            "loss": 5.0 / i,
            "learning_rate": 0.1,
            "words_per_second": 9.0,
        }
        for i in range(1, 21)
    ]
    axes = w2v.plot_loss(write_log(tmp_path / "log.jsonl", records), tmp_path / "loss.png").axes[0]
    x, y = axes.lines[0].get_data()
    assert list(x) == [record["words"] for record in records]
    assert list(y) == [record["loss"] for record in records]
    assert axes.get_xlabel() == "words read"


def test_a_resumed_run_counts_the_later_line_of_a_step(tmp_path: Path) -> None:
    steps = [(1, 5.0), (2, 4.0), (3, 3.5), (2, 4.5), (3, 3.0)]
    log = write_log(tmp_path / "log.jsonl", [{"step": step, "loss": loss} for step, loss in steps])
    found = read_losses(log)
    assert found.steps.tolist() == [1, 2, 3]
    assert found.losses.tolist() == [5.0, 4.5, 3.0]
    assert w2v.plot_loss(log).axes[0].get_xlabel() == "step"
    found_files: Any = tmp_path.glob("*.jsonl")
    assert w2v.plot_loss(found_files).axes[0].get_xlabel() == "step"
    bytes_in_name = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.jsonl"))
    shutil.copy(log, bytes_in_name)
    axes = w2v.plot_loss(bytes_in_name, tmp_path / "a.png", title="loss of b\udcff").axes[0]
    assert axes.get_legend().get_texts()[0].get_text() == r"b\udcff.jsonl"
    packed = tmp_path / "log.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert read_losses(packed).losses.tolist() == found.losses.tolist()


def test_gaps_and_an_unfinished_line_are_told(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"step": 1, "loss": 2}\n{"event": "start"}\n{"step": 2, "loss": null}\n{"step": 3, '
        '"loss": NaN}\n{"st'
    )
    found = read_losses(log)
    assert found.unfinished
    assert len(found.steps) == 3
    legend = w2v.plot_loss(log).axes[0].get_legend().get_texts()[0].get_text()
    assert "2 points without a finite loss" in legend
    assert "last line unfinished" in legend


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'no line has a "loss"'),
        ('{"step": 1}\n', 'no line has a "loss"'),
        ('{"step": 1, "loss": 1}\nnothing\n', "line 2: it is not JSON"),
        ("[1]\n", "line 1: it is not a JSON object"),
        ("[" * 100_000 + "\n", "line 1: it is not JSON"),
        ('{"step": "1", "loss": 1}\n', "line 1: \"step\" is '1', not a number"),
        ('{"step": 1, "loss": "low"}\n', "line 1: \"loss\" is 'low', not a number"),
        ('{"step": true, "loss": 1}\n', 'line 1: "step" is True'),
        ('{"loss": 1}\n', 'line 1: "step" is None'),
        ('{"step": 1, "loss": 1%s}\n' % ("0" * 400), 'line 1: "loss" is 1000'),
        ('{"step": -1%s, "loss": 1}\n' % ("0" * 19), 'line 1: "step" is -1000'),
        ('{"step": 1, "loss": 1, "words": 1%s}\n' % ("0" * 400), "not a number of 64 bits"),
        ("\0\udcff\n", "line 1: it is not JSON"),
    ],
)
def test_a_damaged_log_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(w2v.errors.FormatError, match=re.escape(message)) as error:
        read_losses(log)
    assert str(log) in str(error.value)


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(w2v.errors.FileError, match="cannot be read"):
        w2v.plot_loss(tmp_path / "none.jsonl")


def test_the_moving_average_is_a_mean_and_passes_over_gaps() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    values[[20, 21, 199]] = np.nan
    expected = [np.nanmean(values[max(0, i - 4) : i + 5]) for i in range(200)]
    found = moving_average(values, 4)
    finite = np.isfinite(values)
    assert (np.isfinite(found) == finite).all()
    assert np.abs(found - expected)[finite].max() < 1e-12  # measured: 4e-16
