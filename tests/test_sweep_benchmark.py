"""The sweep of settings: measures by hand, verdicts, cells, and what follows a failed cell."""

import doctest
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep
import sweep_cells
import sweep_job
import sweep_named
import sweep_npmi
import sweep_run
import sweep_texts
from planted import planted_text

import w2vjax as w2v
from w2vjax.training.methods import method


@pytest.mark.parametrize("module", [sweep_cells, sweep_named, sweep_npmi, sweep_texts])
def test_examples_of_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# x is in articles 0 and 1, y in 0 to 2, z in 0 and 2, w in the last alone, and v in all.
OCCURS = np.array([[1, 1, 1, 0, 1], [1, 1, 0, 0, 1], [0, 1, 1, 0, 1], [0, 0, 0, 1, 1]], bool)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((0, 1), math.log((2 / 4) / (2 / 4 * 3 / 4)) / -math.log(2 / 4)),  # 0.415
        ((0, 2), 0.0),  # 1/4 = 1/2 * 1/2: independent
        ((0, 3), -1.0),  # never in one article
        ((4, 4), 1.0),  # in all
        ((0, 4), 0.0),  # a word that is everywhere says nothing
        ((3, 3), 1.0),  # only together
    ],
)
def test_npmi_by_hand(pair: tuple[int, int], expected: float) -> None:
    left, right = (np.array([word]) for word in pair)
    assert sweep_npmi.npmi(OCCURS, left, right).tolist() == pytest.approx([expected], abs=1e-12)


def test_coherence_is_high_where_near_words_share_articles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_npmi, "NEIGHBOURS", 1)
    articles = [["a", "b"] * 10, ["c", "d"] * 10, ["a", "b"] * 10, ["c", "d", "rare"] * 10]
    words = ["a", "b", "c", "d", "rare"]
    together = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, -1]])
    apart = together[[0, 2, 1, 3, 4]]
    found = sweep_npmi.coherence(words, together, articles)
    assert found == {"npmi": 1.0, "npmi_frequent": 1.0, "npmi_words": 4}  # "rare" is there 10 times
    assert sweep_npmi.coherence(words, apart, articles)["npmi"] == -1.0


SANE = {
    "exit": 0,
    "finite": True,
    "loss": 2.0,
    "untrained_loss": 4.0,
    "held_out": 6.0,
    "unigram": 7.0,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "fine"),
        ({"untrained_loss": None}, "fine"),
        ({"held_out": 7.0}, "unlearned"),
        ({"held_out": 10.5}, "unlearned"),
        ({"held_out": 10.6}, "garbage"),
        ({"held_out": None}, "garbage"),  # it was not a number
        ({"finite": False}, "garbage"),
        ({"loss": 4.3}, "fine"),  # measured on few pairs
        ({"loss": 4.5}, "garbage"),
        ({"exit": 6}, "refused"),
        ({"exit": 2}, "refused"),
        ({"held_out": None, "unigram": None}, "finite"),
    ],
)
def test_verdicts(change: dict[str, Any], expected: str) -> None:
    assert sweep_job.verdict({**SANE, **change}) == expected


def job(path: Path, **settings: Any) -> dict[str, Any]:
    text = path / "text.txt"
    text.write_text("\n".join(map(" ".join, planted_text(200))) + "\n")
    usual = {
        "model": "skip-gram",
        "objective": "negative",
        "dim": 8,
        "epochs": 1,
        "min_count": 1,
        "block_words": 8,
    }
    return {
        "tool": "w2vjax",
        "corpus": str(text),
        "cache": str(path / "cache"),
        "held_out_words": 500,
        "settings": {**usual, **settings},
    }


@pytest.mark.slow
def test_a_cell_is_trained_and_measured(tmp_path: Path) -> None:
    found = sweep_job.run(
        job(
            tmp_path,
            held_out=0.1,
            batch_words_times=0.1,
            shared=8,
            span=2,
            seed=3,
            chunk=512,
            copies=2,
        )
    )
    json.dumps(found, allow_nan=False)
    assert found["exit"] == 0
    assert found["used"]["batch_words"] == 40  # a tenth of 384, in groups of 8
    assert found["used"]["objective"] == "custom"
    assert found["used"]["learning_rate"] == w2v.method().learning_rate
    assert found["chunk_words"] == 360  # steps of 40 words, six chunks of at most 512
    assert found["verdict"] in {"fine", "unlearned"}
    assert found["unigram"] == pytest.approx(math.log(24), rel=0.05)  # 24 words, equally frequent


def test_an_error_of_the_library_is_a_result_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = sweep_job.run(job(tmp_path, dim=0))
    assert (refused["exit"], refused["verdict"]) == (2, "refused")
    assert "dim=0 cannot work" in refused["sentence"]

    def diverge(*_: Any, **__: Any) -> None:
        raise w2v.errors.DivergedError("The loss is not finite.")

    monkeypatch.setattr(w2v, "train", diverge)
    found = sweep_job.run(job(tmp_path))
    assert found == {"exit": 6, "sentence": "The loss is not finite.", "verdict": "refused"}
    monkeypatch.setattr(w2v, "train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep_job.run(job(tmp_path))


def test_names_and_numbers_become_functions() -> None:
    given = {
        "optimizer": "row_adagrad",
        "windows": "cbow_single_batch",
        "shared": 8,
        "span": 2,
        "negatives": 3,
    }
    made = sweep_job.with_functions(given)
    assert made["windows"] is w2v.windows.cbow_single_batch
    assert made["optimizer"] is w2v.row_adagrad
    assert isinstance(made["objective"], w2v.Objective)
    assert set(made) == {"windows", "optimizer", "objective"}
    assert sweep_job.with_functions({"window": 3}) == {"window": 3}
    for model, objective in sweep_cells.PAIRS:
        made = sweep_job.with_functions(
            {"model": model, "objective": objective, "a": 2.0, "b": 3.0}
        )
        assert made["objective"].bounded.keywords.items() >= {"a": 2.0, "b": 3.0}.items()
        assert made["windows"] is method(model, objective, words=0).windows


def cells(*words: str) -> list[str]:
    return [
        f"{cell.name} {cell.settings['seed']}" for cell in sweep.planned(sweep.arguments_of(words))
    ]


def test_custom_is_a_product() -> None:
    one = ["custom", "--corpus-name", "10mb", "--epochs", "15", "--pair", "cbow", "negative"]
    found = cells(
        *one, "--grid", "learning_rate=.05,.1", "batch_words=384,768", "--seeds", "1", "2"
    )
    begin = "10mb cbow-negative epochs=15"
    assert found == [
        f"{begin} learning_rate={rate} batch_words={words} {seed}"
        for rate in (0.05, 0.1)
        for words in (384, 768)
        for seed in (1, 2)
    ]
    given = [*one, "--cells", '[{"dim": 20}, {"window": 9}]', "--grid", "epochs=1,2"]
    assert cells(*given, "--only", "window") == [
        f"10mb cbow-negative epochs={n} window=9 1" for n in (1, 2)
    ]
    for wrong, message in (("rate=1", "there is no setting rate"), ("span=2", "go together")):
        with pytest.raises(SystemExit, match=message):
            cells(*one, "--grid", wrong)


@pytest.mark.parametrize("name", sorted(sweep_named.SWEEPS))
def test_named_sweeps_know_their_settings(name: str) -> None:
    found = cells(name)
    assert len(set(found)) == len(found) > 4


def test_levels_thin_the_grid_and_say_so() -> None:
    usual = sweep_named.left_out_of_grid(sweep.planned(sweep.arguments_of(["grid"])))
    assert set(usual) == {f"100mb {'-'.join(pair)}" for pair in sweep_named.PAIRS[1:]}
    few = sweep.planned(
        sweep.arguments_of(["grid", "--level", "10mb=few", "100mb=none", "words100=none"])
    )
    assert len(few) == 4 * 4
    left_out = sweep_named.left_out_of_grid(few)
    assert left_out["1mb cbow-softmax"] == "0 of 18 cells"
    assert left_out["10mb cbow-negative"] == "4 of 23 cells"
    with pytest.raises(SystemExit, match="10mb=most"):
        cells("grid", "--level", "10mb=most")


def test_cells_are_resumed_and_failures_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "LOCAL", tmp_path)
    monkeypatch.setattr(sweep_run, "LOCAL", tmp_path)
    monkeypatch.setattr(sweep_run, "code_of", lambda tool: "1")
    text, ran = tmp_path / "some.txt", []
    text.write_text("a text\n")
    crash = {"exit": 1, "sentence": "ValueError: 3", "verdict": "crashed"}
    good = {"exit": 0, "sentence": None, "loss": 2.0, "train_s": 1.0, "verdict": "finite"}

    def run_job(job: dict[str, Any], limit: float) -> dict[str, Any]:
        ran.append(job["settings"]["window"])
        return crash if job["settings"]["window"] == 3 else good

    monkeypatch.setattr(sweep_run, "run_job", run_job)
    words = "custom --corpus-name 10mb --grid window=2,3,4 --resume --small-corpus".split()
    words += [str(text)]
    assert sweep.main(words) == 1
    assert "window=3: crashed: ValueError: 3" in capsys.readouterr().err
    with open(tmp_path / "sweep-custom.jsonl", "a") as log:
        log.write('{"key": {"to')  # an interruption while a line is written
    assert sweep.main(words) == 1
    assert ran == [2, 3, 4, 3]
    assert (
        "window=4 seed 1: finite, exit 0, loss 2, seconds 1 (from the log)"
        in capsys.readouterr().out
    )
    monkeypatch.setattr(sweep_run, "code_of", lambda tool: "2")
    sweep.main([*words, "--only", "window=2", "window=4", "--jobs", "2"])
    assert sorted(ran[4:]) == [2, 4]


def test_a_process_that_fails_is_a_crash_and_one_that_does_not_end_is_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_run, "HERE", tmp_path)
    for code, limit, expected in (
        ("print('{\"exit\": 6}')", 60, {"exit": 6}),
        ("raise ValueError(3)", 60, {"exit": 1, "verdict": "crashed", "sentence": "ValueError: 3"}),
        ("import time; time.sleep(60)", 0.2, {"exit": None, "verdict": "too slow"}),
    ):
        (tmp_path / "sweep_job.py").write_text(code)
        assert sweep_run.run_job({}, limit).items() >= expected.items()


def test_rows_are_means_over_seeds_and_keep_every_verdict() -> None:
    runs = [
        {"cell": "one", "exit": 0, "loss": 2.0, "verdict": "fine"},
        {"cell": "one", "exit": 0, "loss": 3.0, "verdict": "garbage"},
        {"cell": "two", "exit": 6, "verdict": "refused"},
    ]
    assert sweep_run.rows_of(runs) == [
        {"cell": "one", "seeds": 2, "exit": "0", "loss": 2.5, "verdict": "fine, garbage"},
        {"cell": "two", "seeds": 1, "exit": "6", "loss": None, "verdict": "refused"},
    ]


def test_a_cell_of_gensim_has_the_defaults_of_w2vjax(tmp_path):
    pytest.importorskip("gensim")
    from sweep_gensim import train_gensim

    text = tmp_path / "text.txt"
    text.write_text("a rose is a rose\n" * 5 + "rare\n")
    found = train_gensim(
        {"corpus": str(text), "settings": {"epochs": 1, "learning_rate": 0.05, "seed": 1}}
    )
    assert sorted(found["vectors"].words) == ["a", "is", "rose"]  # min_count=5
    assert found["vectors"].matrix.shape == (3, 100)
    assert found["finite"]
