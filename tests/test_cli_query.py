"""The commands that ask a file of vectors: what they print, their JSON, and how they end."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import w2vjax as w2v

WORDS = ["king", "queen", "man", "woman", "cat", "dog", "tea"]


@pytest.fixture
def path(tmp_path):
    """king - man = queen - woman; cat is near dog; as word2vec text."""
    rows = [
        [1, 1, 0, 0],
        [1, -1, 0, 0],
        [0, 1, 1, 0],
        [0, -1, 1, 0],
        [0, 0, 3, 4],
        [0, 0, 4, 3],
        [0.2, 0, 0, -1],
    ]
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, rows, strict=True)]
    target = tmp_path / "vectors.txt"
    target.write_text("7 4\n" + "\n".join(lines) + "\n")
    return target


@pytest.fixture
def pairs(tmp_path):
    target = tmp_path / "pairs.tsv"
    target.write_text("cat\tdog\t9\nking\tcat\t2\nman\tqueen\t1\nking\tcup\t5\n")
    return target


@pytest.fixture
def questions(tmp_path):
    target = tmp_path / "questions.txt"
    target.write_text(
        ": family\nman woman king queen\nman king cat dog\n: drinks\nman tea king cup\n"
    )
    return target


def test_nn_prints_a_table(cli, path):
    done = cli("nn", path, "cat", "--topn", "2")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["word  similarity", "dog     0.960000", "man     0.424264"]
    several = cli("nn", path, "cat", "king", "--topn", "1").out.splitlines()
    assert several[0::3] == ["cat:", "king:"]


def test_nn_writes_json_and_then_nothing_else(cli, path, tmp_path):
    done = cli("nn", path, "cat", "tea", "--topn", "2", "--restrict-vocab", "3", "--json", "-")
    record = json.loads(done.out)
    assert (record["command"], record["vectors"]) == ("nn", str(path))
    assert [query["query"] for query in record["queries"]] == [["cat"], ["tea"]]
    best = record["queries"][0]["neighbours"][0]
    assert (best["word"], best["similarity"]) == (
        "man",
        pytest.approx(3 / 5 / np.sqrt(2), abs=1e-6),
    )
    target = tmp_path / "out.json"
    done = cli("nn", path, "cat", "--json", target)
    assert "dog" in done.out
    assert json.loads(target.read_text())["queries"][0]["neighbours"][0]["word"] == "dog"


def test_nn_converses_line_by_line_and_survives_mistakes(cli, path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeffcat\n\ndogg\nking woman\n"))
    done = cli("nn", path, "--topn", "1")
    assert done.code == 1, "a script has to learn that a line had no answer"
    assert done.out.splitlines()[:3] == ["cat:", "word  similarity", "dog     0.960000"]
    assert done.out.splitlines()[3] == "king woman:"
    assert done.err == "The word 'dogg' is not among the 7 words. Did you mean 'dog'?\n"


@pytest.mark.parametrize("place", ["terminal", "file", "json"])
def test_a_person_is_prompted_and_a_file_holds_only_answers(path, tmp_path, place):
    program = "import sys; from w2vjax.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "analogy", str(path), "--topn", "1"]
    command += ["--json", "-"] if place == "json" else []
    keyboard, terminal = pty.openpty()
    with open(tmp_path / "out", "wb") as file:
        out, err = (terminal, terminal) if place == "terminal" else (file, subprocess.PIPE)
        with subprocess.Popen(command, stdin=terminal, stdout=out, stderr=err) as child:
            prompts = keyboard if place == "terminal" else child.stderr.fileno()
            seen = b""
            for typed in (b"man king woman\n", b"\x04"):  # each after a prompt, as a person does
                while not seen.endswith(b"A B C> "):
                    seen += os.read(prompts, 1)
                os.write(keyboard, typed)
                seen += b"|"
            assert child.wait(60) == 0
    os.close(terminal)
    os.close(keyboard)
    written = (tmp_path / "out").read_text()
    if place == "terminal":
        assert (b"queen" in seen, written) == (True, "")
    elif place == "json":
        assert json.loads(written)["queries"][0]["neighbours"][0]["word"] == "queen"
    else:
        assert written.split() == "man king woman: word similarity queen 1.000000".split()


def test_conversations_end_as_json_too(cli, path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("man king woman\nman king\n"))
    done = cli("analogy", path, "--json", "-")
    good, bad = json.loads(done.out)["queries"]
    assert (good["query"], bad["query"]) == (["man", "king", "woman"], ["man", "king"])
    assert "2 words given: man king. Give three" in bad["error"]
    assert (done.code, done.err) == (1, bad["error"] + "\n")


@pytest.mark.parametrize(("measure", "column"), [("3cosadd", "similarity"), ("3cosmul", "score")])
def test_analogy_by_either_measure(cli, path, measure, column):
    done = cli("analogy", path, "man", "king", "woman", "--measure", measure, "--json", "-")
    query = json.loads(done.out)["queries"][0]
    vectors = w2v.Vectors(WORDS, np.loadtxt(path, skiprows=1, usecols=(1, 2, 3, 4)))
    ask = vectors.most_similar if measure == "3cosadd" else vectors.most_similar_cosmul
    assert query["measure"] == measure
    assert [(found["word"], found[column]) for found in query["neighbours"]] == ask(
        ["king", "woman"], "man"
    )
    assert query["neighbours"][0]["word"] == "queen"


def test_similarity_of_two_words_is_one_number(cli, path):
    assert cli("similarity", path, "cat", "dog").out == "0.960000\n"
    assert cli("similarity", path, "cat", "dog", "king").out.splitlines()[0] == "cat dog   0.960000"
    record = json.loads(cli("similarity", path, "cat", "dog", "king", "--json", "-").out)
    assert [pair["words"] for pair in record["pairs"]] == [
        ["cat", "dog"],
        ["cat", "king"],
        ["dog", "king"],
    ]
    assert record["pairs"][0]["similarity"] == pytest.approx(0.96, abs=1e-6)


def test_odd(cli, path):
    assert cli("odd", path, "cat", "tea", "dog").out == "tea\n"
    assert json.loads(cli("odd", path, "cat", "tea", "dog", "--json", "-").out)["odd"] == "tea"


def test_eval_prints_tables_with_coverage(cli, path, pairs, questions):
    done = cli("eval", path, "--pairs", pairs, "--analogies", questions, "--measure", "both")
    assert (done.code, done.err) == (0, "")
    tables = [[line.split() for line in part.splitlines()] for part in done.out.split("\n\n")]
    assert len(tables) == 3
    assert tables[0][1][0] == "pairs.tsv"
    assert tables[0][1][5:] == ["3", "4", "75.0%"]
    assert tables[1][1:] == [
        ["family", "50.0%", "50.0%", "1", "2", "2", "100.0%"],
        ["drinks", "-", "0.0%", "0", "0", "1", "0.0%"],
        ["total", "50.0%", "33.3%", "1", "2", "3", "66.7%"],
    ]


def test_eval_writes_what_the_library_returns(cli, path, pairs, questions):
    done = cli(
        "eval",
        path,
        "--pairs",
        pairs,
        "--analogies",
        questions,
        "--restrict-vocab",
        "6",
        "--json",
        "-",
    )
    record = json.loads(done.out)
    vectors = w2v.Vectors(WORDS, np.loadtxt(path, skiprows=1, usecols=(1, 2, 3, 4)))
    scores = w2v.evaluate_word_pairs(vectors, pairs, 6)
    solved = w2v.evaluate_word_analogies(vectors, questions, 6)
    assert record["pairs"] == [
        {"file": str(pairs), **scores._asdict(), "unknown": ["cup"], "coverage": scores.coverage}
    ]
    overall = record["analogies"][0]["overall"]
    assert (overall["correct"], overall["accuracy"]) == (solved.overall.correct, solved.accuracy)
    assert [part["section"] for part in record["analogies"][0]["sections"]] == ["family", "drinks"]


def test_eval_fails_where_nothing_could_be_answered(cli, path, tmp_path):
    strange = tmp_path / "strange.tsv"
    strange.write_text("x\ty\t1\ny\tz\t2\n")
    done = cli("eval", path, "--pairs", strange, "--json", "-")
    assert done.code == 1
    assert json.loads(done.out)["pairs"][0]["spearman"] is None
    assert "strange.tsv: nothing in it could be answered" in done.err
    assert cli("eval", path, "--pairs", strange).out.splitlines()[1].split()[1] == "-"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nn", "PATH", "catt"], 2, "'catt' is not among the 7 words. Did you mean 'cat'?"),
        (["nn", "PATH", "cat", "--topn", "0"], 2, "topn=0"),
        (["nn", "nowhere.bin", "cat"], 7, "nowhere.bin"),
        (["analogy", "PATH", "man", "king"], 2, "2 words given"),
        (["similarity", "PATH", "cat"], 2, "1 word given"),
        (["odd", "PATH", "cat"], 2, "Words given: 1"),
        (["eval", "PATH"], 2, "nothing to evaluate on"),
        (["eval", "PATH", "--pairs", "nowhere.tsv"], 7, "nowhere.tsv"),
        (["eval", "PATH", "--pairs", "PATH"], 4, "line 1"),
    ],
)
def test_mistakes_end_in_one_line_and_an_exit_code(cli, path, arguments, code, says):
    done = cli(*[path if argument == "PATH" else argument for argument in arguments])
    assert done.code == code
    assert says in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_device_is_not_replaced_by_a_result(cli, path):
    done = cli("similarity", path, "cat", "dog", "--json", "/dev/full")
    assert done.code == 7
    assert "/dev/full cannot be written: it is a device or a pipe" in done.err
    assert Path("/dev/full").is_char_device()


def test_a_full_disk_behind_standard_output_is_one_sentence(path):
    program = "import sys; from w2vjax.cli import main; sys.exit(main(sys.argv[1:]))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "similarity", path, "cat", "dog"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 7
    assert done.stderr.count("\n") == 1
    assert "standard output cannot be written: No space left" in done.stderr


def test_a_query_loads_neither_jax_nor_a_type_checker(path):
    program = "import sys; from w2vjax.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    pets = "cat", "dog", "cat"
    for command in (
        ("nn", path, "cat", "--topn", "2"),
        ("nn", path, *9 * pets),
        ("similarity", path, *9 * pets),
        ("analogy", path, *pets),
        ("odd", path, *pets),
    ):
        done = subprocess.run([sys.executable, "-c", program, *command], stdout=subprocess.PIPE)
        loaded = set(done.stdout.decode().split())
        assert "w2vjax.vectors.queries" in loaded
        assert not {"jax", "typeguard", "asyncio", "importlib.metadata"} & loaded, command


def test_the_options_of_a_command_are_read_without_a_type_checker():
    program = """import sys; from w2vjax.cli import main
for name in sys.argv[1:]:
    main([name, "--help"])
    print("loaded", name, *{"typeguard"} & set(sys.modules))"""
    names = "train plan nn analogy similarity odd export reproduce".split()
    done = subprocess.run([sys.executable, "-c", program, *names], stdout=subprocess.PIPE)
    said = [line for line in done.stdout.decode().splitlines() if line.startswith("loaded")]
    assert said == [f"loaded {name}" for name in names]


def test_a_file_is_not_converted_into_itself(cli, path, tmp_path):
    before = path.read_bytes()
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    for out in (path, link):
        done = cli("convert", path, out)
        assert done.code != 0
        assert "is the file to read" in done.err
    text = tmp_path / "text.txt"
    text.write_text("a b a b\n" * 30)
    assert "is the file to read" in cli("phrases", text, "--out", text).err
    assert path.read_bytes() == before
    assert text.read_text() == "a b a b\n" * 30
    words = tmp_path / "words.vocab"
    words.write_text("".join(f"{word} 5\n" for word in [*WORDS, "more"]))
    for out in ("words.npy", "words.NPY"):
        done = cli("convert", path, tmp_path / out, "--vocabulary", words, "--limit", "2")
        assert "words.vocab is the file to read" in done.err
    labels = tmp_path / "metadata.tsv"
    words.rename(labels)
    done = cli("convert", path, tmp_path / "tensors.tsv", "--vocabulary", labels)
    assert "metadata.tsv is the file to read" in done.err
    assert labels.read_text().endswith("more 5\n")
    assert cli("convert", path, tmp_path / "fine.npy", "--vocabulary", labels).code == 0
    packed = cli("convert", path, tmp_path / "new.bin.GZ")
    assert "not written compressed" in packed.err


@pytest.mark.parametrize("word", ["10\xa0000", "a\u2028b", "\u3000", "x\x85y"])
def test_words_from_standard_input_are_cut_where_training_cuts(cli, tmp_path, monkeypatch, word):
    path = tmp_path / "spaces.vec"
    rows = [[1, 0], [0.9, 0.2], [0, 1], [1, 1]]
    parts = [part for part in word.split() if part][:2]
    names = [word, *dict.fromkeys([*parts, "cat", "dog", "tea"])][:4]
    w2v.save(w2v.Vectors(names, rows), path)
    answers = []
    for command, given in (("nn", [word]), ("analogy", [word, names[-1], names[-2]])):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"\x0c{chr(9).join(given)}\x1f \n"))
        for words in (given, []):
            done = cli(command, path, *words, "--json", "-")
            assert (done.code, done.err) == (0, "")
            answers.append(json.loads(done.out)["queries"])
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]


@pytest.mark.parametrize(
    ("source", "out"),
    [("x.npy", "x.vocab"), ("tensors.tsv", "metadata.tsv"), ("x.npy", "./x.vocab")],
)
@pytest.mark.parametrize("command", ["convert", "export"])
def test_words_beside_a_file_are_not_overwritten(cli, tmp_path, monkeypatch, source, out, command):
    monkeypatch.chdir(tmp_path)
    w2v.save(w2v.Vectors(["cat", "dog", "tea"], np.eye(3), counts=[5, 3, 1]), source)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    to = ["--to", "vocabulary"]
    done = cli(command, source, out, *to, "--limit", 2)
    assert done.code == 2
    assert "is the file to read, and would be overwritten" in done.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
