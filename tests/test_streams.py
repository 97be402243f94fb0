"""Standard streams as other programs leave them: closed, full, or set not to wait for bytes."""

import io
import json
import os
import subprocess
import sys
import threading
import time

import jax
import pytest
from marks import slow

import w2vjax as w2v
from w2vjax.errors import CorpusError, SettingError, variable_error

PROGRAM = "import sys; from w2vjax.cli import main; sys.exit(main())"


@pytest.fixture
def vectors(tmp_path):
    words = ["king", "queen", "man", "woman"]
    w2v.save(w2v.Vectors(words, [[1.0, 0], [1, 1], [2, 0], [2, 2]]), tmp_path / "vectors.txt")
    return tmp_path / "vectors.txt"


@pytest.fixture
def slow_input(monkeypatch):
    """Make standard input a pipe that does not block, whose pieces come one after the other."""
    writers = []

    def give(pieces):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        monkeypatch.setattr("sys.stdin", open(reading, encoding="utf-8"))  # noqa: SIM115

        def write():
            with open(writing, "wb", buffering=0) as file:
                for piece in pieces:
                    time.sleep(0.1)
                    file.write(piece)

        writers.append(threading.Thread(target=write))
        writers[0].start()

    yield give
    writers[0].join()
    sys.stdin.close()


LINES = [b"king man\n", b"queen woman king\n", b"man", b" man\n", b"woman king\n"]


def test_a_text_that_comes_late_is_read_whole(slow_input):
    slow_input(LINES)
    assert len(w2v.prepare("-", min_count=1).ids) == 9


def test_phrases_read_all_of_a_text_that_comes_late(cli, slow_input):
    slow_input(LINES)
    done = cli("phrases", "-", "--json", "-")
    assert json.loads(done.out)["tokens"] == 9


@pytest.mark.parametrize(
    ("command", "lines"),
    [("nn", ["king\n", "man queen\n"]), ("analogy", ["man king woman\n", "king man queen\n"])],
)
def test_questions_that_come_late_are_answered(cli, vectors, slow_input, command, lines):
    slow_input([line.encode() for line in lines])
    done = cli(command, vectors, "--json", "-")
    asked = [" ".join(record["query"]) + "\n" for record in json.loads(done.out)["queries"]]
    assert (done.code, asked) == (0, lines)


def test_a_stream_that_has_no_bytes_yet_is_no_end(monkeypatch):
    class Waiting(io.StringIO):
        buffer = property(lambda self: self)

        def read(self, size=-1):
            return None

    monkeypatch.setattr("sys.stdin", Waiting())
    with pytest.raises(CorpusError, match="standard input: cannot be read: it has no bytes yet"):
        w2v.prepare("-", min_count=1)


@pytest.mark.parametrize("closed", ["none", "ended"])
@pytest.mark.parametrize("command", ["train", "plan", "phrases", "nn", "analogy"])
def test_a_closed_standard_input_is_named(cli, vectors, tmp_path, monkeypatch, command, closed):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr("sys.stdin", None if closed == "none" else stream)
    source = vectors if command in {"nn", "analogy"} else "-"
    done = cli(command, source, *(["--out", tmp_path / "out"] if command == "train" else []))
    assert (done.code, done.out) == (7 if source == vectors else 3, "")
    assert "tandard input is closed. Pipe" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [w2v.train, w2v.plan, w2v.prepare, w2v.phrases])
def test_a_standard_input_that_has_text_and_no_bytes_is_named(monkeypatch, command):
    monkeypatch.setattr("sys.stdin", io.StringIO("king man\n"))
    with pytest.raises(CorpusError, match="StringIO, which has no bytes"):
        command("-")


WITHOUT_ERRORS = ["2>&-", "0<&- 2>&-", "2>/dev/full"]


@pytest.mark.parametrize("streams", WITHOUT_ERRORS)
@pytest.mark.parametrize(
    ("given", "code"), [("similarity {} king zzz --json -", 2), ("nope", 2), ("nn {} --tpn 3", 2)]
)
def test_an_error_never_goes_into_standard_output(vectors, streams, given, code):
    if "full" in streams and not os.path.exists("/dev/full"):
        pytest.skip("there is no full device")
    line = f'"$0" -c "$1" {given.format(vectors)} {streams}'
    done = subprocess.run(["sh", "-c", line, sys.executable, PROGRAM], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (code, b"")


def test_no_file_becomes_a_standard_stream(vectors):
    line = f'"$0" -c "$1" nn {vectors} king --json - 0<&- 2>&-'
    done = subprocess.run(["sh", "-c", line, sys.executable, PROGRAM], stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert json.loads(done.stdout)["queries"][0]["query"] == ["king"]


BROKEN = """
import w2vjax as w2v
from w2vjax.errors import SettingError
for act in (w2v.train, w2v.plan, w2v.train_many):
    try:
        act([["king", "man"]], min_count=1)
    except SettingError as error:
        print(error)
"""


def test_a_platform_that_jax_does_not_have_is_named():
    surroundings = os.environ | {"JAX_PLATFORMS": "wrong"}
    command = [sys.executable, "-c", BROKEN]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    told = done.stdout.splitlines()
    assert len(told) == 3, done.stderr
    assert all(line.startswith("JAX finds no device for JAX_PLATFORMS='wrong'") for line in told)
    assert all(line.endswith("Unset it, or set it to cpu.") for line in told)


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable: no list. (set it)")])
def test_a_platform_without_its_plugin_is_named(monkeypatch, error):
    def devices():
        raise error

    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(SettingError, match=r"JAX finds no device: [^.]*[.] Set JAX_PLATFORMS=c"):
        w2v.train([["king", "man"]], min_count=1)


@pytest.mark.parametrize("asked", ["cpu,other", *slow("other", "other,cpu")])
@pytest.mark.parametrize(
    "given",
    [
        "eval x.txt --analogies a",
        *slow("train", "plan", "gradcheck --objective softmax", "reproduce"),
    ],
)
def test_a_command_names_the_platform_that_jax_does_not_have(tmp_path, given, asked):
    """JAX refuses such a platform once, and then goes on with those that it could start."""
    (tmp_path / "x.txt").write_text("king 1 0\nman 0 1\nqueen 1 1\nwoman 1 2\n")
    (tmp_path / "a").write_text(": all\n" + "king man queen woman\n" * 300)
    surroundings = os.environ | {"JAX_PLATFORMS": asked}
    command = [sys.executable, "-c", PROGRAM, *given.split()]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, cwd=tmp_path)
    said = f"JAX finds no device for JAX_PLATFORMS='{asked}'"
    assert (done.returncode, done.stderr.count("\n")) == (2, 1 + done.stderr.count("checking"))
    assert done.stderr.splitlines()[-1].startswith(f"w2vjax {given.split()[0]}: {said}")


@pytest.mark.parametrize(
    ("given", "variable", "why"),
    [
        ("reproduce", "JAX_ENABLE_X64=maybe", "invalid truth value"),
        ("plot map vectors.txt m.svg", "MPLBACKEND=bogus", "matplotlib has no such backend"),
        *slow(
            ("plot map vectors.txt m.svg", "SOURCE_DATE_EPOCH=bad", "invalid literal for int"),
            ("train text --min-count 1", "JAX_DEFAULT_MATMUL_PRECISION=bogus", "Invalid value"),
            ("train text --min-count 1", "JAX_NUM_CPU_DEVICES=many", "Invalid value"),
            ("train text --min-count 1", "JAX_TRANSFER_GUARD=disallow", "Disallowed host-to-"),
            ("plan text --min-count 1", "JAX_TRANSFER_GUARD=disallow_explicit", "Disallowed host"),
            ("reproduce", "JAX_TRANSFER_GUARD=disallow", "Disallowed host-to-device"),
            ("gradcheck", "JAX_TRACER_ERROR_NUM_TRACEBACK_FRAMES=two", "invalid literal"),
            ("plot map vectors.txt m.png", "SOURCE_DATE_EPOCH=1.5", "invalid literal for int"),
        ),
    ],
)
def test_a_command_names_the_variable_that_stops_it(vectors, given, variable, why):
    (vectors.parent / "text").write_text("king man queen woman\n" * 9)
    name, value = variable.split("=")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given.split()],
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        cwd=vectors.parent,
    )
    told = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert told[-1].startswith(f"w2vjax {given.split()[0]}: {name}={value!r} cannot work")
    assert why in told[-1]
    assert "Unset it" in told[-1]
    assert "Traceback" not in done.stderr


def test_an_error_of_another_cause_keeps_its_traceback(monkeypatch):
    monkeypatch.setenv("JAX_TRANSFER_GUARD", "disallow")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    for error in (ValueError("JAX_ENABLE_X64 is '1'"), RuntimeError("no transfer"), ValueError()):
        assert variable_error(error) is None
