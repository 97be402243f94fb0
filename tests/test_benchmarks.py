"""Benchmarks fail loudly when what they check does not hold, each broken here on purpose, and resume and tell truly."""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import corpus
import numpy as np
import peers
import peers_evaluate
import peers_job
import peers_table
import peers_tools
import pytest
import run_all
import scaling

import w2vjax as w2v

WORDS = {f"word{i}": 100 - i for i in range(50)}


def trained_matrix() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32)


def test_vectors_of_the_corpus_pass() -> None:
    found = peers_evaluate.check_vectors([*WORDS, "</s>"], np.ones((51, 8), np.float32), WORDS, 8)
    assert found["missing_words"] == found["other_words"] == 0


@pytest.mark.parametrize(
    ("words", "matrix", "message"),
    [
        (list(WORDS), trained_matrix()[:, :7], "shape"),
        (list(WORDS), np.where(np.arange(8) == 3, np.nan, trained_matrix()), "not finite"),
        (list(WORDS), trained_matrix() * 0.01, "not trained"),
        ([*list(WORDS)[1:], "stranger"], trained_matrix(), "1 words are missing and 1 are not"),
    ],
)
def test_wrong_vectors_are_refused(words: list[str], matrix: np.ndarray, message: str) -> None:
    with pytest.raises(peers_evaluate.CheckFailed, match=message):
        peers_evaluate.check_vectors(words, matrix, WORDS, 8)


@pytest.mark.parametrize("block", [b"a b\nc d e f\ng " * 3, b"x" * 50 + b" y\tz"])
def test_prepare_changes_lines_and_no_word(tmp_path: Path, block: bytes) -> None:
    source = tmp_path / "corpus.txt"
    source.write_bytes(block)
    found = peers_evaluate.prepare(source, tmp_path / "lined", tmp_path / "words", 1, 4)
    lined = (tmp_path / "lined").read_bytes()
    assert lined.split() == block.split()
    assert {len(line.split()) for line in lined.splitlines()[:-1]} <= {4}
    assert found["words"] == found["kept_words"] == len(block.split())
    assert found["sha256"] == hashlib.sha256(block).hexdigest()


def test_prepare_refuses_lines_that_gensim_would_cut(tmp_path: Path) -> None:
    source = tmp_path / "corpus.txt"
    source.write_bytes(b"word " * 10_001)
    with pytest.raises(peers_evaluate.CheckFailed, match="10,001 words"):
        peers_evaluate.prepare(source, tmp_path / "lined", tmp_path / "words", 1, 0)


def test_a_tool_that_skips_words_is_refused() -> None:
    setting = peers_tools.Setting("gensim", "sg", "ns", 0.05, 1, passes=3)
    counted = {"words": 1_000_000, "kept_words": 900_000}
    peers_tools.check_words(setting, peers_tools.Trained(1.0, 3_000_000), counted)
    with pytest.raises(peers_job.JobFailed, match="120,000 words instead of 3,000,000"):
        peers_tools.check_words(setting, peers_tools.Trained(1.0, 120_000), counted)
    ours = setting._replace(tool="w2vjax")
    peers_tools.check_words(ours, peers_tools.Trained(1.0, 2_700_000), counted)
    with pytest.raises(peers_job.JobFailed, match="2,699,999"):
        peers_tools.check_words(ours, peers_tools.Trained(1.0, 2_699_999), counted)


def test_a_job_that_fails_shows_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(peers_job.JobFailed, match=r"(?s)ended with 3.*no such corpus"):
        peers_job.run_job([sys.executable, "-c", "print('no such corpus'); raise SystemExit(3)"], tmp_path)
    with pytest.raises(peers_job.JobFailed, match="cannot be started"):
        peers_job.run_job([str(tmp_path / "absent")], tmp_path)


def test_a_job_is_measured(tmp_path: Path) -> None:
    code = "import time; held = bytearray(200_000_000); print('Progress: 10.0%', flush=True); time.sleep(.4);"
    finished = peers_job.run_job([sys.executable, "-c", code + "print('Progress: 90.0%')"], tmp_path)
    assert 190 <= finished.peak_rss_mb < 300  # 200 million bytes are 190.7 MiB
    assert finished.peak_anonymous_mb is None or finished.peak_anonymous_mb >= 190
    assert 0.4 / 0.8 <= peers_job.training_seconds(finished.progress) <= finished.seconds / 0.8
    with pytest.raises(peers_job.JobFailed, match="too little progress"):
        peers_job.training_seconds(finished.progress[:1])


FAKE = """
import json, sys, time
import numpy as np
words = json.load(open("words.json"))
rng = np.random.default_rng(0)
with open(sys.argv[1] + "/vectors.txt", "w") as file:
    file.write(f"{len(words)} 100\\n")
    for word in words:
        file.write(word + " " + " ".join(map(str, rng.standard_normal(100) * float(sys.argv[2]))) + "\\n")
open("ran", "a").write("x")
"""


def fake(scale: float) -> peers_tools.Tool:
    return peers_tools.Tool(
        sys.executable, (("sg", "ns"),), (0.05,),
        lambda setting, text, out, program: [program, "-c", FAKE, str(out), str(scale)],
        lambda finished, out: peers_tools.Trained(finished.seconds / 2, None),
        lambda program: "1", "vectors.txt",
    )  # fmt: skip


def test_peers_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(peers_tools.TOOLS, "gensim", fake(1.0))
    monkeypatch.setitem(peers_tools.TOOLS, "w2vjax", fake(1.0))
    work, log = tmp_path / "work", tmp_path / "log.jsonl"
    text = tmp_path / "planted.txt"
    sets = corpus.write_planted(text, tmp_path / "planted", sentences=200)
    options = [
        "--corpus",
        text,
        "--eval-dir",
        sets,
        "--work",
        work,
        "--log",
        log,
        "--tools",
        "gensim",
        "w2vjax",
    ]
    arguments = [str(word) for word in [*options, "word2vec.c", "--passes", 1]]
    assert peers.main(arguments) == 0
    said = capsys.readouterr().out
    assert "skipped: word2vec.c (no path to its binary was given)" in said
    assert "| gensim " in said
    assert [json.loads(line)["key"]["tool"] for line in log.read_text().splitlines()] == ["gensim", "w2vjax"]

    with open(log, "a") as file:
        file.write('{"key": {"tool": "gen')  # an interruption while a line is written
    assert peers.main([*arguments, "--resume"]) == 0
    assert (work / "ran").read_text() == "xx", "a run of the log was repeated"
    assert "a damaged line is left out" in capsys.readouterr().out

    monkeypatch.setitem(peers_tools.TOOLS, "w2vjax", fake(0.001)._replace(version=lambda program: "2"))
    assert peers.main([*arguments, "--resume"]) == 1
    error = capsys.readouterr().err
    assert "w2vjax sg-ns" in error
    assert "not trained" in error


def run_of(tool: str, seconds: float, quality: float, rate: float | None = 0.05, seed: int = 1) -> dict:
    key = {"tool": tool, "model": "sg", "objective": "ns", "rate": rate, "seed": seed}
    return {
        "key": key, "training_s": seconds, "whole_s": 2 * seconds, "complete": True, "peak_rss_mb": 100.0,
        "peak_anonymous_mb": 50.0, "training_words_per_s": 1e6 / seconds, "whole_words_per_s": 5e5 / seconds,
        "quality": {"wordsim353": quality},
    }  # fmt: skip


def test_table_means_ratios_and_who_wins() -> None:
    runs = [
        run_of("gensim", 10, 0.6), run_of("gensim", 30, 0.7, seed=2), run_of("gensim", 1, 0.1, rate=0.025),
        run_of("w2vjax", 2, 0.66, rate=None), run_of("pWord2Vec", 1, 0.5),
    ]  # fmt: skip
    rows = {(row["tool"], row["rate"]): row for row in peers_table.summarise(runs)}
    assert rows["gensim", 0.05]["training_s"] == 20
    assert rows["gensim", 0.05]["mean"] == pytest.approx(0.65)
    assert rows["w2vjax", None]["training_times_gensim"] == pytest.approx(10)
    assert rows["w2vjax", None]["whole_times_gensim"] == pytest.approx(10)
    wins = peers_table.peer_wins(list(rows.values()))
    assert any(line.startswith("pWord2Vec") and "training (1.0 against 2.0 s)" in line for line in wins)
    assert not any(line.startswith("gensim (sg-ns, rate 0.05)") for line in wins)


def test_picture_has_a_point_for_each_row(tmp_path: Path) -> None:
    rows = peers_table.summarise([run_of("gensim", 10, 0.6), run_of("w2vjax", 2, 0.66, rate=None)])
    environment = {"processor": {"usable_cores": 2, "name": "a processor"}}
    record = {"rows": rows, "settings": {"corpus": "text8", "passes": 3}, "environment": environment}
    assert peers_table.picture(record, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5_000


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


def test_planted_text_has_its_analogies_and_neighbours() -> None:
    """Counting which words stand within two words of which, and nothing learned, answers the planted analogies."""
    sentences = list(corpus.planted_corpus(4000, seed=1))
    words = sorted({word for sentence in sentences for word in sentence})
    place = {word: at for at, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)), np.float32)
    for sentence in sentences:
        ids = [place[word] for word in sentence]
        for step in (1, 2):
            for left, right in zip(ids, ids[step:], strict=False):
                counts[left, right] += 1
                counts[right, left] += 1
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    vectors = w2v.Vectors(words, np.log1p(counts / expected).astype(np.float32))
    assert w2v.evaluate_word_analogies(vectors, corpus.planted_analogies()).accuracy > 0.9  # measured 1.0
    assert (
        w2v.evaluate_word_pairs(vectors, corpus.planted_pairs()).spearman > 0.6
    )  # ties keep it from 1; .8 measured


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a packed text8 of five words, and a source that describes it."""
    folder = tmp_path / "local"
    folder.mkdir()
    with zipfile.ZipFile(folder / "text8.zip", "w") as archive:
        archive.writestr("text8", "a rose is a rose")
    md5 = hashlib.md5(b"a rose is a rose").hexdigest()
    monkeypatch.setitem(corpus.SOURCES, "text8", corpus.SOURCES["text8"]._replace(size=16, md5=md5))
    return folder


def test_fetch_takes_local_files_and_checks_them(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corpus.fetch("text8", tmp_path / "into", local)
    assert path.read_text() == "a rose is a rose"
    path.write_text("a rose is a nose")
    with pytest.raises(corpus.FetchFailed, match="has MD5"):
        corpus.fetch("text8", tmp_path / "into", local)
    path.write_text("a rose")
    with pytest.raises(corpus.FetchFailed, match="6 bytes, not 16"):
        corpus.fetch("text8", tmp_path / "into", local)
    with pytest.raises(corpus.FetchFailed, match="has no questions-words"):
        corpus.fetch("google", tmp_path / "into", local)
    monkeypatch.setitem(corpus.SOURCES, "text8", corpus.SOURCES["text8"]._replace(md5="0" * 32))
    with pytest.raises(corpus.FetchFailed, match="has MD5"):
        corpus.fetch("text8", tmp_path / "other", local)
    assert list((tmp_path / "other").iterdir()) == [], "a damaged file was left"


def test_no_network_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(corpus.urllib.request, "urlopen", refuse)
    with pytest.raises(corpus.FetchFailed, match="give its folder with --from"):
        corpus.fetch("text8", tmp_path)


def test_tables_come_from_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_all, "RESULTS", tmp_path)
    text = "before\n<!-- table:speed -->\n1.23 typed by hand\n<!-- end -->\nafter\n"
    fresh = run_all.renew(text, "")
    assert "by hand" not in fresh
    assert fresh.count("not yet measured") == 2
    assert run_all.renew(fresh, "") == fresh
    (tmp_path / "cpu-2-cores").mkdir()
    environment = {"processor": {"name": "a processor"}, "device": {"kind": "cpu"}, "date": "2026-01-02T03"}
    rows = [{"name": "w2vjax", "median_s": 0.5}]
    record = {"benchmark": "speed", "environment": environment, "settings": {"rounds": 3}, "rows": rows}
    (tmp_path / "cpu-2-cores" / "speed.json").write_text(json.dumps(record))
    fresh = run_all.renew(text, "")
    assert "500 ms" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("after\n")
    assert fresh.count("not yet measured") == 1
    with pytest.raises(ValueError, match="1 lines"):
        run_all.renew("<!-- table:speed -->", "")


def test_the_readme_is_what_the_results_say() -> None:
    for path in run_all.READMES:
        text = path.read_text()
        assert run_all.renew(text, "" if path.parent == run_all.HERE else "benchmarks/") == text


def test_a_failed_benchmark_fails_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.py").write_text("print('measured')")
    (tmp_path / "bad.py").write_text("raise SystemExit('speed: error 1 exceeds 0.1')")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "READMES", ())
    jobs = [run_all.Job(f"{name}.py", "", "", 1) for name in ("bad", "absent", "good")]
    monkeypatch.setattr(run_all, "JOBS", [*jobs, run_all.Job("good.py", "", "", 1, needs="no_such_package")])
    assert run_all.main(["--quick"]) == 1
    out, err = capfd.readouterr()
    assert "error 1 exceeds 0.1" in err
    assert "FAILED bad.py: ended with 1" in err
    assert "FAILED absent.py: there is no such file" in err
    assert out.count("measured") == 1
    assert "skipped: no_such_package is not installed" in out


def test_queries_that_differ_from_gensim_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gensim", reason="the peer of query_speed.py")
    import query_speed

    vectors = query_speed.generated(1000, 8, None)
    peer = query_speed.KeyedVectors(8)
    peer.add_vectors(list(vectors.words), np.array(vectors.matrix))
    questions = query_speed.generated_questions(str(tmp_path), vectors, 40)
    query_speed.analogies(vectors, peer, questions)
    query_speed.similarity(vectors, peer, 5)
    peer.vectors[3] *= -1
    peer.norms = None
    with pytest.raises(query_speed.CheckFailed, match="differ"):
        query_speed.similarity(vectors, peer, 1000)
    true = query_speed.w2v.evaluate_word_analogies
    monkeypatch.setattr(query_speed.w2v, "evaluate_word_analogies", lambda v, path, _: true(v, path, 10))
    with pytest.raises(query_speed.CheckFailed, match="gensim has"):
        query_speed.analogies(vectors, peer, questions)


def test_every_job_of_run_all_exists() -> None:
    assert [job.script for job in run_all.JOBS if not (run_all.HERE / job.script).is_file()] == []
