"""The comparison of tools: results are checked, runs are resumed, and the table is right."""

import hashlib
import json
import sys
from pathlib import Path

import corpus
import numpy as np
import peers
import peers_evaluate
import peers_job
import peers_table
import peers_tools
import pytest

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
        peers_job.run_job(
            [sys.executable, "-c", "print('no such corpus'); raise SystemExit(3)"], tmp_path
        )
    with pytest.raises(peers_job.JobFailed, match="cannot be started"):
        peers_job.run_job([str(tmp_path / "absent")], tmp_path)


def test_a_job_is_measured(tmp_path: Path) -> None:
    code = "import time; held = bytearray(200_000_000); print('Progress: 10.0%', flush=True); "
    own = bytearray(300_000_000)  # of the process that starts the job, which must not count
    del own
    finished = peers_job.run_job(
        [sys.executable, "-c", code + "time.sleep(1); print('Progress: 90.0%')"], tmp_path
    )
    assert 190 <= finished.peak_rss_mb < 300  # 200 million bytes are 190.7 MiB
    assert finished.peak_anonymous_mb is None or finished.peak_anonymous_mb >= 190
    # of the second between the two, half may pass before a busy machine reads the first
    assert 0.5 / 0.8 <= peers_job.training_seconds(finished.progress) <= finished.seconds / 0.8
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
        row = rng.standard_normal(100) * float(sys.argv[2])
        file.write(word + " " + " ".join(map(str, row)) + "\\n")
open("ran", "a").write("x")
"""


def fake(scale: float) -> peers_tools.Tool:
    return peers_tools.Tool(
        sys.executable,
        (("sg", "ns"),),
        (0.05,),
        lambda setting, text, out, program: [program, "-c", FAKE, str(out), str(scale)],
        lambda finished, out: peers_tools.Trained(finished.seconds / 2, None),
        lambda program: "1",
        "vectors.txt",
    )


@pytest.mark.slow
def test_peers_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(peers_tools.TOOLS, "gensim", fake(1.0))
    monkeypatch.setitem(peers_tools.TOOLS, "w2vjax", fake(1.0))
    work, log = tmp_path / "work", tmp_path / "log.jsonl"
    text = tmp_path / "planted.txt"
    sets = corpus.write_planted(text, tmp_path / "planted", sentences=200)
    options = f"--corpus {text} --eval-dir {sets} --work {work} --log {log} --tools gensim w2vjax"
    options = options.split()
    arguments = [*options, "word2vec.c", "--passes", "1"]
    assert peers.main(arguments) == 0
    said = capsys.readouterr().out
    assert "skipped: word2vec.c (no path to its binary was given)" in said
    assert "| gensim " in said
    assert [json.loads(line)["key"]["tool"] for line in log.read_text().splitlines()] == [
        "gensim",
        "w2vjax",
    ]

    with open(log, "a") as file:
        file.write('{"key": {"tool": "gen')  # an interruption while a line is written
    assert peers.main([*arguments, "--resume"]) == 0
    assert (work / "ran").read_text() == "xx", "a run of the log was repeated"
    assert "a damaged line is left out" in capsys.readouterr().out

    # one tool breaks: the other still runs and is kept, nothing is reported, and a second try
    # repeats only what broke
    for tool, scale in (("gensim", 0.001), ("w2vjax", 1.0)):
        monkeypatch.setitem(
            peers_tools.TOOLS, tool, fake(scale)._replace(version=lambda program: "2")
        )
    assert peers.main([*arguments, "--resume"]) == 1
    assert "gensim sg-ns" in (error := capsys.readouterr().err)
    assert "not trained" in error
    assert (work / "ran").read_text() == "xxxx"
    assert peers.main([*arguments, "--resume"]) == 1
    assert (work / "ran").read_text() == "xxxxx"
    assert "w2vjax sg-ns rate 0.05 seed 1: training" in (said := capsys.readouterr().out)
    assert "(from the log)" in said


def run_of(
    tool: str, seconds: float, quality: float, rate: float | None = 0.05, seed: int = 1
) -> dict:
    key = {"tool": tool, "model": "sg", "objective": "ns", "rate": rate, "seed": seed}
    return {
        "key": key,
        "training_s": seconds,
        "whole_s": 2 * seconds,
        "complete": True,
        "peak_rss_mb": 100.0,
        "peak_anonymous_mb": 50.0,
        "training_words_per_s": 1e6 / seconds,
        "whole_words_per_s": 5e5 / seconds,
        "quality": {"wordsim353": quality},
    }


def test_table_means_ratios_and_who_wins() -> None:
    runs = [
        run_of("gensim", 10, 0.6),
        run_of("gensim", 30, 0.7, seed=2),
        run_of("gensim", 1, 0.1, rate=0.025),
        run_of("w2vjax", 2, 0.66, rate=None),
        run_of("pWord2Vec", 1, 0.5),
    ]
    rows = {(row["tool"], row["rate"]): row for row in peers_table.summarise(runs)}
    assert rows["gensim", 0.05]["training_s"] == 20
    assert rows["gensim", 0.05]["mean"] == pytest.approx(0.65)
    assert rows["w2vjax", None]["training_times_gensim"] == pytest.approx(10)
    assert rows["w2vjax", None]["whole_times_gensim"] == pytest.approx(10)
    wins = peers_table.peer_wins(list(rows.values()))
    assert any(
        line.startswith("pWord2Vec") and "training (1.0 against 2.0 s)" in line for line in wins
    )
    assert not any(line.startswith("gensim (sg-ns, rate 0.05)") for line in wins)


def test_training_is_given_with_and_without_compiling() -> None:
    ours = run_of("w2vjax", 4, 0.66, rate=None) | {"compile_s": 1.0}
    shown = {
        row["tool"]: row
        for row in map(peers_table.cells, peers_table.summarise([run_of("gensim", 10, 0.6), ours]))
    }
    assert shown["w2vjax"]["training"] == "4.0 s (1.0 compiling)"
    assert shown["w2vjax"]["M words/s"] == "0.250"
    assert shown["w2vjax"]["without compiling"] == "0.333"
    assert shown["gensim"]["without compiling"] == "-"


def test_picture_has_a_point_for_each_row(tmp_path: Path) -> None:
    rows = peers_table.summarise([run_of("gensim", 10, 0.6), run_of("w2vjax", 2, 0.66, rate=None)])
    environment = {"processor": {"usable_cores": 2, "name": "a processor"}}
    record = {
        "rows": rows,
        "settings": {"corpus": "text8", "passes": 3},
        "environment": environment,
    }
    assert peers_table.picture(record, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5_000
