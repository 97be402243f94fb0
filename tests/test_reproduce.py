"""``w2vjax reproduce``: right in float64 and float32, and wrong when one figure is."""

import builtins
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from w2vjax import data


def test_float64_reproduces_every_figure(cli: Callable[..., Any]) -> None:
    done = cli("reproduce")
    assert done.code == 0, done.err
    assert (
        done.out.splitlines()[-1] == "60/60 ranks equal; max |w1 - published| = 5.0e-09 (float64)"
    )
    for shown in (
        "(330, 60)",
        "2645.1162566900725",
        "663.1150473548",
        "without printing them",
        "jaketae.github.io",
    ):
        assert shown in done.out
    for word in data.published_figures()["vocabulary"]:
        assert done.out.count(f" {word} ") >= 1
    for value in data.published_figures()["vector"]["values"]:
        assert done.out.count(f"{value:.8f}") == 2, "published and computed"


@pytest.mark.parametrize(
    ("dtype", "w1", "loss"), [("float64", 1e-8, 1e-6 / 663), ("float32", 2e-3, 1e-4)]
)
def test_json_alone_on_standard_output_holds_the_bars(
    cli: Callable[..., Any], dtype: str, w1: float, loss: float
) -> None:
    done = cli("reproduce", "--dtype", dtype, "--json", "-")
    assert (done.code, done.err) == (0, "")
    record, published = json.loads(done.out), data.published_figures()
    assert record["ok"] is True
    assert record["dtype"] == dtype
    assert record["ranking"] == published["ranking"]["words"]
    assert np.abs(np.array(record["w1"]) - published["w1"]).max() <= w1
    assert record["history"][0] == pytest.approx(2645.1162566900725, rel=loss)
    assert record["history"][-1] == pytest.approx(663.115047354851, rel=loss)
    assert len(record["history"]) == 50


def test_bfloat16_is_shown_and_not_judged(cli: Callable[..., Any]) -> None:
    done = cli("reproduce", "--dtype", "bfloat16", "--json", "-")
    assert done.code == 0
    assert json.loads(done.out)["ok"] is None
    assert json.loads(done.out)["verdict"].endswith("not judged")


def test_the_precision_is_of_the_run_alone(cli: Callable[..., Any]) -> None:
    assert cli("reproduce").code == 0
    assert jnp.zeros(1).dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_learning_rate_one_per_cent_off_exits_1(cli: Callable[..., Any], dtype: str) -> None:
    done = cli("reproduce", "--learning-rate", "0.0505", "--dtype", dtype)
    assert done.code == 1
    assert "OFF" in done.out


@pytest.mark.parametrize("setting", ["--window=3", "--dim=9", "--steps=49", "--seed=43"])
def test_other_settings_exit_1(cli: Callable[..., Any], setting: str) -> None:
    done = cli("reproduce", setting, "--json", "-")
    assert done.code == 1
    assert json.loads(done.out)["ok"] is False


def _w1(figures: dict[str, Any]) -> None:
    figures["w1"][59][9] += 1e-6


def _vector(figures: dict[str, Any]) -> None:
    figures["vector"]["values"][0] -= 1e-6


def _last_loss(figures: dict[str, Any]) -> None:
    figures["losses"]["last"] += 2e-6  # the bar itself is 1e-6


def _ranking(figures: dict[str, Any]) -> None:
    words = figures["ranking"]["words"]
    words[40], words[41] = words[41], words[40]


def _tokens(figures: dict[str, Any]) -> None:
    figures["tokens"] += 1


def _shape(figures: dict[str, Any]) -> None:
    figures["shape"][0] += 1


@pytest.mark.parametrize("change", [_w1, _vector, _last_loss, _ranking, _tokens, _shape])
def test_a_changed_published_number_exits_1(
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, Any]], None],
) -> None:
    figures = data.published_figures()
    change(figures)
    monkeypatch.setattr(data, "published_figures", lambda: figures)
    done = cli("reproduce")
    assert done.code == 1
    assert "OFF: " in done.out.splitlines()[-1]


def test_out_writes_the_plot_and_the_embedding(cli: Callable[..., Any], tmp_path: Path) -> None:
    done = cli("reproduce", "--out", tmp_path / "new", "--json", tmp_path / "run.json")
    assert done.code == 0
    assert (tmp_path / "new" / "loss.png").read_bytes().startswith(b"\x89PNG\r\n")
    header, *lines = (tmp_path / "new" / "embedding.txt").read_text().splitlines()
    assert header == "60 10"
    record, rows = (
        json.loads((tmp_path / "run.json").read_text()),
        [line.split(" ") for line in lines],
    )
    assert [row[0] for row in rows] == data.published_figures()["vocabulary"]
    assert [[float(value) for value in row[1:]] for row in rows] == record["w1"], (
        "every bit survives"
    )


def test_without_matplotlib_it_says_so_and_goes_on(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_import = builtins.__import__

    def no_matplotlib(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return true_import(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    done = cli("reproduce", "--out", tmp_path)
    assert done.code == 0
    assert "pip install" in done.out
    assert (tmp_path / "embedding.txt").exists()
    assert not (tmp_path / "loss.png").exists()


def test_another_text_is_shown_and_not_judged(cli: Callable[..., Any], tmp_path: Path) -> None:
    text = tmp_path / "tea.txt"
    text.write_text("Tea is hot. Tea is green, and tea is cheap.")
    done = cli("reproduce", "--text", text, "--word", "tea", "--vector-of", "hot", "--dim", 3)
    assert done.code == 0
    assert "Nothing is published for this text" in done.out
    text.write_text("Tea")
    done = cli("reproduce", "--text", text)
    assert (done.code, done.out) == (3, "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--word", "kettle"], "'kettle'"),
        (["--vector-of", "kettle"], "'kettle'"),
        (["--dim", "0"], "dim=0"),
        (["--window", "0"], "window=0"),
        (["--steps", "-1"], "steps=-1"),
        (["--learning-rate", "nan"], "learning_rate is nan"),
        (["--learning-rate", "inf"], "learning_rate is inf"),
        (["--learning-rate", "1e6"], "at step"),
        (["--seed", "-1"], "seed=-1"),
        (["--text", "EMPTY"], "no words"),
        (["--text", "BINARY"], "not UTF-8"),
        (["--text", "UTF-16"], "it is UTF-16 text. Convert it to UTF-8"),
        (["--text", "PACKED"], "it is compressed by gzip. Let its name end in .gz"),
        (["--text", "missing.txt"], "missing.txt"),
        (["--json", "no/such/folder.json"], "no/such"),
    ],
)
def test_bad_input_is_one_sentence_and_a_code(
    cli: Callable[..., Any], tmp_path: Path, arguments: list[str], named: str
) -> None:
    (tmp_path / "EMPTY").write_bytes(b"")
    (tmp_path / "BINARY").write_bytes(b"\xff\x00\x00")
    (tmp_path / "UTF-16").write_bytes("hot tea".encode("utf-16"))
    (tmp_path / "PACKED").write_bytes(gzip.compress(b"hot tea"))
    done = cli("reproduce", *(str(tmp_path / a) if a.isupper() else a for a in arguments))
    assert done.code >= 2
    assert named in done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_from_shell_to_prompt_within_five_seconds() -> None:
    program = "import sys; from w2vjax.cli import main; sys.exit(main(['reproduce']))"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) <= 5, seconds  # measured: 2.0 s on two idle cores
