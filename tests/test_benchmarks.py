"""Each benchmark fails when its check is broken on purpose. The tables show the results."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bits
import handwritten_vs_autodiff
import jax
import numpy as np
import peers_job
import pytest
import quick
import results_tables
import run_all
import scaling
import softmax_scaling
import timing
from marks import slow

ROW = {"axis": "devices", "value": 2, "words": 10, "expected_words": 10, "loss": 3.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": 9}, "9 words of 10"),
        ({"loss": scaling.UNTRAINED}, "untrained"),
        ({"loss": float("nan")}, "untrained"),
        ({"loss": 3.1}, "on one device 3.0"),
    ],
)
def test_scaling_refuses_a_run_that_did_not_work(change: dict, message: str) -> None:
    scaling.check(ROW, {**ROW, "value": 1})
    with pytest.raises(peers_job.JobFailed, match=message):
        scaling.check(ROW | change, {**ROW, "value": 1})


@pytest.mark.parametrize("size", [50, 100, 330, 1_000])
def test_sized_repeats_and_cuts_between_words(tmp_path: Path, size: int) -> None:
    source = tmp_path / "text"
    source.write_bytes(b"some words here " * 10 + b"last")
    made = scaling.sized(source, size, tmp_path / "made").read_bytes()
    assert size - 10 <= len(made) <= size
    assert set(made.split()) <= {b"some", b"words", b"here", b"last"}


def test_tables_come_from_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_tables, "RESULTS", tmp_path)
    text = "before\n<!-- table:speed -->\n1.23 typed by hand\n<!-- end -->\nafter\n"
    fresh = results_tables.renew(text, "")
    assert "by hand" not in fresh
    assert fresh.count("not yet measured") == 2
    assert results_tables.renew(fresh, "") == fresh
    (tmp_path / "cpu-2-cores").mkdir()
    environment = {
        "processor": {"name": "a processor"},
        "device": {"kind": "cpu"},
        "date": "2026-01-02T03",
    }
    rows = [{"name": "w2vjax", "median_s": 0.5}]
    record = {
        "benchmark": "speed",
        "environment": environment,
        "settings": {"rounds": 3},
        "rows": rows,
    }
    (tmp_path / "cpu-2-cores" / "speed.json").write_text(json.dumps(record))
    fresh = results_tables.renew(text, "")
    assert "500 ms" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("after\n")
    assert fresh.count("not yet measured") == 1
    with pytest.raises(ValueError, match="1 lines"):
        results_tables.renew("<!-- table:speed -->", "")


def test_the_readme_is_what_the_results_say() -> None:
    for path in results_tables.READMES:
        text = path.read_text()
        assert (
            results_tables.renew(text, "" if path.parent == results_tables.HERE else "benchmarks/")
            == text
        )


def test_a_failed_benchmark_fails_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.py").write_text("print('measured')")
    (tmp_path / "bad.py").write_text("raise SystemExit('speed: error 1 exceeds 0.1')")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    jobs = [run_all.Job(f"{name}.py", "", "", 1) for name in ("bad", "absent", "good")]
    monkeypatch.setattr(
        run_all, "JOBS", [*jobs, run_all.Job("good.py", "", "", 1, needs="no_such_package")]
    )
    assert run_all.main(["--quick"]) == 1
    out, err = capfd.readouterr()
    assert "error 1 exceeds 0.1" in err
    assert "FAILED bad.py: ended with 1" in err
    assert "FAILED absent.py: there is no such file" in err
    assert out.count("measured") == 1
    assert "skipped: no_such_package is not installed" in out


def test_queries_that_differ_from_gensim_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gensim", reason="the peer of query_speed.py")
    import query_speed

    vectors = query_speed.generated(1000, 8, None)
    peer = query_speed.KeyedVectors(8)
    peer.add_vectors(list(vectors.words), np.array(vectors.matrix))
    questions = query_speed.generated_questions(str(tmp_path), vectors, 40)
    sample = query_speed.every_nth(questions, str(tmp_path), 10)
    assert sum(map(len, query_speed.w2v.evaluation.read_word_analogies(sample).values())) == 10
    assert query_speed.every_nth(questions, str(tmp_path), 40) == questions
    query_speed.analogies(vectors, peer, questions, sample)
    query_speed.similarity(vectors, peer, 5)
    peer.vectors[3] *= -1
    peer.norms = None
    with pytest.raises(query_speed.CheckFailed, match="differ"):
        query_speed.similarity(vectors, peer, 1000)
    true = query_speed.w2v.evaluate_word_analogies
    monkeypatch.setattr(
        query_speed.w2v, "evaluate_word_analogies", lambda v, path, _: true(v, path, 10)
    )
    with pytest.raises(query_speed.CheckFailed, match="gensim has"):
        query_speed.analogies(vectors, peer, questions, sample)


def test_every_job_of_run_all_exists() -> None:
    assert [job.script for job in run_all.JOBS if not (run_all.HERE / job.script).is_file()] == []
    assert len({job.name for job in run_all.JOBS}) == len(run_all.JOBS)


def only_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    (tmp_path / "speed.py").write_text(
        "import os, sys; print('ran', sys.argv[1:], 'W2VJAX_QUICK_BENCHMARKS' in os.environ)"
    )
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run_all, "renew_files", lambda write: [])
    monkeypatch.setattr(run_all, "here_and_now", lambda: ("cpu-2-cores", "abc"))
    monkeypatch.setattr(
        run_all, "JOBS", [run_all.Job("speed.py", "--small", "--large", 7, **changes)]
    )


def test_full_says_what_it_takes_and_quick_writes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    only_one_job(tmp_path, monkeypatch, takes=("small_corpus",), needs_option="small_corpus")
    assert run_all.main(["--quick"]) == 0
    assert "ran ['--small'] True" in capfd.readouterr().out
    assert run_all.main(["--full"]) == 0
    said = capfd.readouterr().out
    assert "0 benchmarks, about 0 minutes" in said
    assert "needs --small-corpus FILE" in said
    assert "ran" not in said
    (tmp_path / "text").touch()
    assert run_all.main(["--full", "--write", "--small-corpus", str(tmp_path / "text")]) == 0
    said = capfd.readouterr().out
    assert "1 benchmarks, about 7 minutes" in said
    assert f"ran ['--large', '--corpus', '{tmp_path / 'text'}', '--write'] False" in said
    assert said.index("7 minutes") < said.index("ran")


def test_resume_repeats_what_other_code_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    only_one_job(tmp_path, monkeypatch)
    path = tmp_path / "results" / "cpu-2-cores" / "speed.json"
    path.parent.mkdir(parents=True)
    for code, runs in (("abc", 0), ("abd", 1)):
        path.write_text(json.dumps({"environment": {"code": code}}))
        assert run_all.main(["--full", "--write", "--resume"]) == 0
        assert capfd.readouterr().out.count("ran") == runs


def test_small_results_do_not_replace_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = timing.result_path("x")
    assert timing.result_path("x", quick=True).parent.name == usual.parent.name + "-quick"
    monkeypatch.setenv(timing.QUICK, "1")
    assert timing.result_path("x") == timing.result_path("x", quick=True)


def test_tables_leave_quick_results_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_tables, "RESULTS", tmp_path)
    (tmp_path / "cpu-2-cores-quick").mkdir()
    (tmp_path / "cpu-2-cores-quick" / "speed.json").write_text("{}")
    assert results_tables.section("speed", "").count("not yet measured") == 2


def test_scaling_measures_a_point_of_several_axes_once_and_fails_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def measure(axis: str, value: int, work: Path, *setting: Any) -> dict[str, Any]:
        measured.append((axis == "devices", *setting))  # those train one copy of the tables
        return {**ROW, "vocabulary": setting[1] or 524, "training_s": 1.0, "whole_s": 2.0}

    monkeypatch.setattr(scaling, "measure", measure)
    (tmp_path / "text").write_text("some words " * 99)
    arguments = scaling.argparse.Namespace(
        corpus=tmp_path / "text",
        sizes=[1, 2],
        megabytes=1,
        vocabularies=[100, 0],
        dims=[100, 256],
        devices=[1, 2],
        dim=100,
    )
    rows = scaling.run(arguments, tmp_path)
    assert len(rows) == 8
    assert len(measured) == len(set(measured)) == 6
    assert [row["value"] for row in rows if row["axis"] == "vocabulary"] == [100, 524]

    monkeypatch.setattr(scaling, "measure", lambda *_: {**ROW, "words": 9, "vocabulary": 1})
    monkeypatch.setattr(timing, "report", lambda *_, **__: pytest.fail("it reported"))
    assert scaling.main(["--quick", "--corpus", str(tmp_path / "text"), "--write"]) == 1
    assert "9 words of 10" in capsys.readouterr().err


PEAKS = {"product_GFLOPs": 100.0, "copy_GB_per_s": 10.0}


def test_every_form_of_the_softmax_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = softmax_scaling.measure(40, 8, 4, 10, rounds=1, peaks=PEAKS)
    assert [row["name"] for row in rows] == ["dense", "chunked", "jax.grad", "products"]
    assert all(row["median_s"] > 0 and row["peak_MiB"] >= 0 for row in rows)
    monkeypatch.setattr(softmax_scaling, "free_bytes", lambda: 1)
    rows = softmax_scaling.measure(40, 8, 4, 10, rounds=1, peaks=PEAKS)
    assert {row["note"] for row in rows} == {"too large to run"}


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *(("dense", True), ("chunked", False), ("jax.grad", True)),
        *slow(("dense", False), ("chunked", True), ("jax.grad", False)),
    ],
)
def test_a_wrong_softmax_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, name: str, fits: bool
) -> None:
    true = softmax_scaling.forms

    def wrong(chunk: int) -> dict[str, Any]:
        def form(*given: Any) -> Any:
            loss, (d_hidden, d_output) = true(chunk)[name](*given)
            return loss, (d_hidden, d_output.at[3].multiply(1.001))

        return true(chunk) | {name: form}

    monkeypatch.setattr(softmax_scaling, "forms", wrong)
    monkeypatch.setattr(
        softmax_scaling, "compare", lambda *_, **__: pytest.fail("it went on to time")
    )
    if not fits:
        monkeypatch.setattr(softmax_scaling, "free_bytes", lambda: 1)
    with pytest.raises(timing.CheckFailed, match="V=40"):
        softmax_scaling.measure(40, 8, 4, 10, rounds=1, peaks=PEAKS)


def test_a_softmax_that_needs_more_memory_than_one_chunk_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert softmax_scaling.check_memory(50_000, 512, 128, 1000)["temporaries_MiB"] > 0
    true = softmax_scaling.forms
    monkeypatch.setattr(softmax_scaling, "forms", lambda chunk: {"chunked": true(chunk)["dense"]})
    with pytest.raises(timing.CheckFailed, match="exceed"):
        softmax_scaling.check_memory(50_000, 512, 128, 1000)


def test_a_wrong_gradient_by_hand_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    name = list(handwritten_vs_autodiff.STEPS)[1]
    true = handwritten_vs_autodiff.STEPS[name]

    def wrong(params: Any, *step: Any) -> Any:
        return jax.tree.map(lambda new, old: old + 1.01 * (new - old), true(params, *step), params)

    monkeypatch.setitem(handwritten_vs_autodiff.STEPS, name, wrong)
    monkeypatch.setattr(
        handwritten_vs_autodiff, "compare", lambda *_, **__: pytest.fail("it went on to time")
    )
    with pytest.raises(timing.CheckFailed, match=name):
        handwritten_vs_autodiff.measure(50, 64, 8, rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "objective"), bits.PAIRS)
def test_bits_are_those_of_the_pair_and_the_seed(model: str, objective: str) -> None:
    found = bits.sha256_of_run(model, objective)
    assert found == bits.sha256_of_run(model, objective)
    assert found != bits.sha256_of_run(model, objective, seed=2)


@pytest.mark.slow
def test_quick_measures_compares_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quick, "machine", lambda rounds: PEAKS)
    monkeypatch.setattr(quick, "gensim_speed", lambda *_, **__: 1e5)
    first, options = tmp_path / "first.json", "--methods skip-gram-negative --dims 4 --words 20000"
    usual = [*options.split(), "--rounds", "1"]
    assert quick.main([*usual, "--json", str(first), "--picture", str(tmp_path / "x.png")]) is None
    (row,) = json.loads(first.read_text())["rows"]
    assert row["times_gensim"] == pytest.approx(row["words_per_second"] / 1e5)
    assert 0 < row["roofline_%"] < 100
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert len(row) == 8
    other = {**row, "words_per_second": row["words_per_second"] / 2}
    (beside,) = quick.compared([row], [other, {**row, "dim": 5}])
    assert (len(beside), beside["times"]) == (8, 2)
    assert quick.compared([row], []) == []
    assert "| roofline % |" in capsys.readouterr().out


def test_quick_refuses_a_run_that_did_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text"
    for words, loss in ((9, 1.0), (10, 7.0), (10, float("nan"))):
        summary = {"words": words, "loss": loss, "untrained_loss": 4.0}
        trained = SimpleNamespace(summary=summary)
        monkeypatch.setattr(quick.w2v, "train", lambda *_, trained=trained, **__: trained)
        with pytest.raises(timing.CheckFailed, match=f"{words} of 10 words trained, loss {loss}"):
            quick.train(text, 10, 1, dim=4)


@pytest.mark.slow
@pytest.mark.parametrize("words", [20_000, 150_000])
def test_quick_measures_every_method(monkeypatch: pytest.MonkeyPatch, words: int) -> None:
    monkeypatch.setattr(quick, "machine", lambda rounds: PEAKS)
    monkeypatch.setattr(quick, "gensim_speed", lambda *_, **__: None)
    rows, _ = quick.measure(list(quick.METHODS), [100], words, 1)
    assert [(row["model"], row["objective"]) for row in rows] == list(quick.METHODS)
    assert all(row["roofline_%"] > 0 for row in rows)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"benchmark": "scaling"}'])
def test_quick_reads_what_it_compares_with_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(quick, "measure", lambda *_: pytest.fail("it went on to measure"))
    path = tmp_path / "other.json"
    for _ in range(2):  # absent, and no result
        with pytest.raises(SystemExit, match=r"is no result of quick\.py"):
            quick.main(["--compare", str(path)])
        path.write_text(text)


@pytest.mark.slow
def test_seeds_are_timed_after_all_ways_gave_the_same_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = quick.from_seeds(3, [2000], 8, 1)
    assert [row["name"] for row in rows[:3]] == [row["name"] for row in rows[3:]]
    assert [row["vocabulary"] for row in rows[::3]][1] == 2000
    assert rows[0]["name"] == "a loop over train"
    assert rows[0]["times_faster"] == 1
    wrong = lambda *_, **__: SimpleNamespace(input=np.zeros((3, 1, 8)))  # noqa: E731
    monkeypatch.setattr(quick.w2v, "train_many", wrong)
    with pytest.raises(timing.CheckFailed, match="train_many"):
        quick.from_seeds(3, [2000], 8, 1)
