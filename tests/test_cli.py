"""What holds for every command: how it ends, what it writes, what it refuses before any work."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from marks import slow
from planted import planted_text

import w2vjax as w2v
from w2vjax import cli as command_line
from w2vjax import errors, files, reading
from w2vjax.log_file import Log
from w2vjax.runs import loop
from w2vjax.runs.checkpoint import _compare

RESULTS = ["log.jsonl", "model.safetensors", "summary.json", "vectors.bin"]
FOREIGN = "plain 中文 été ß 🙂"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(" ".join(line) for line in planted_text(40)), "utf-8")
    return path


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    rows = [f"{word} {place} 1" for place, word in enumerate(FOREIGN.split())]
    path.write_text(f"{len(rows)} 2\n" + "\n".join(rows) + "\n", "utf-8")
    return path


def train(cli, text, out, *options):
    return cli("train", text, "--out", out, "--dim", 4, "--epochs", 1, "--quiet", *options)


@pytest.fixture(scope="module")
def trained(text):
    """One run, for all tests of what the command does with a run."""
    return loop.train(text, dim=4, epochs=1)


@pytest.fixture
def quick(trained, monkeypatch):
    """The command "trains" at once, and logs as training does."""

    def logged(text, progress, log, seed=0, **keywords):
        file = Log(log, [])
        for record in trained.history:
            file.write(record)
        file.close(failed=seed == 6)
        if seed == 6:
            raise errors.DivergedError("Training has diverged.")
        summary = trained.summary | {"seconds": seed}
        history = [record | {"seconds": seed} for record in trained.history]
        table = trained.params.input + seed
        return trained._replace(
            summary=summary,
            history=history,
            params=trained.params._replace(input=table),
            vectors=w2v.Vectors(trained.vocab.words, table),
        )

    monkeypatch.setattr(loop, "train", logged)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- one run in a folder ------------------------------------------------------------------------

CLAIM = """
import sys, time
from w2vjax.files import claimed
with claimed(sys.argv[1]):
    print("claimed", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def busy(tmp_path):
    """A folder that another process has claimed, and that process."""
    folder = tmp_path / "out"
    other = subprocess.Popen([sys.executable, "-c", CLAIM, folder], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"claimed\n"
    yield folder, other
    other.kill()
    other.communicate()


def test_a_folder_in_use_is_refused_by_every_name_and_free_once_its_run_is_killed(
    cli, busy, text, tmp_path, monkeypatch
):
    folder, other = busy
    link = tmp_path / "link"
    link.symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    for name in (folder, "out", "./out/../out", link):
        done = train(cli, text, name, "--checkpoint", tmp_path / "kept")
        assert (done.code, done.out) == (7, "")
        assert done.err == (
            f"w2vjax train: Another run writes into {Path(name)}. Wait for its end, or name "
            "another folder.\n"
        )
    assert names(tmp_path) == ["link", "out"]
    other.kill()
    other.wait()
    with files.claimed(folder):
        assert names(folder) == [".w2vjax-lock"], "the file of the killed run is taken over"
    assert names(folder) == []


def test_claims_exclude_each_other_and_leave_nothing(tmp_path):
    folder = tmp_path / "new" / "out"
    with files.claimed(folder):
        for _ in range(3):
            with pytest.raises(errors.FileError, match="Another run"), files.claimed(folder):
                pass
        with files.claimed(folder.parent), files.claimed(tmp_path / "other"):
            pass
    with files.claimed(folder):
        pass
    assert names(folder) == []
    with pytest.raises(ZeroDivisionError), files.claimed(tmp_path / "a" / "b"):
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["new", "other"], "folders that failed work made are removed"


# --- results appear together, or not at all -------------------------------------------------------


def test_a_run_that_fails_at_its_end_leaves_the_results_of_the_one_before(
    cli, text, quick, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    assert train(cli, text, out).code == 0
    assert names(out) == RESULTS
    before = {name: (out / name).read_bytes() for name in RESULTS}
    logged = [json.loads(line) for line in before["log.jsonl"].splitlines()]
    assert logged[-1]["loss"] == json.loads(before["summary.json"])["loss"]
    true_replace = os.replace
    for failing in RESULTS:

        def replace(source, target, failing=failing):
            if Path(target).name == failing:
                raise OSError(28, "No space left on device")
            true_replace(source, target)

        monkeypatch.setattr(os, "replace", replace)
        done = train(cli, text, out, "--seed", 1)
        assert (done.code, done.out) == (7, "")
        assert f"{out / failing} cannot be written: No space left" in done.err
        assert {name: (out / name).read_bytes() for name in RESULTS} == before
        assert names(out) == sorted([*RESULTS, "log.jsonl.partial"])
    monkeypatch.setattr(os, "replace", true_replace)
    assert train(cli, text, out, "--seed", 6).code == 6
    assert {name: (out / name).read_bytes() for name in RESULTS} == before
    kept = (out / "log.jsonl.partial").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in kept] == [record["loss"] for record in logged]
    assert train(cli, text, out, "--seed", 1).code == 0
    assert names(out) == RESULTS
    assert all((out / name).read_bytes() != before[name] for name in RESULTS)


KILLED = """
import os, signal, sys
from w2vjax.files import appearing_together
steps = iter(range(99))
def wrap(act):
    def step(*arguments, **options):
        if next(steps) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*arguments, **options)
    return step
for name in ("replace", "fsync", "mkdir", "rmdir"):
    setattr(os, name, wrap(getattr(os, name)))
with appearing_together(sys.argv[1]) as place:
    for name in "abc":
        (place / name).write_text("new")
"""


def contents(folder):
    return {name: (folder / name).read_text() for name in "abc"}


def test_a_writer_killed_at_any_step_leaves_the_old_files_or_the_next_writer_moves_the_new(
    tmp_path,
):
    seen = []
    for step in range(20):
        folder = tmp_path / str(step)
        folder.mkdir()
        for name in "abc":
            (folder / name).write_text("old")
        done = subprocess.run([sys.executable, "-c", KILLED, folder, str(step)])
        read = {bytes(reading.contents(folder / name)) for name in "abc"}
        assert read in ({b"old"}, {b"new"}), "a reader never sees old beside new"
        with contextlib.suppress(ZeroDivisionError), files.appearing_together(folder):
            1 / 0  # noqa: B018
        assert set(contents(folder).values()) in ({"old"}, {"new"})
        assert names(folder) == ["a", "b", "c"]
        seen.append((done.returncode, contents(folder)["a"]))
        if done.returncode == 0:
            break
    assert {(-signal.SIGKILL, "old"), (-signal.SIGKILL, "new"), (0, "new")} <= set(seen)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("failing", [["a"], ["b"], ["c"], ["a", "c"]])
def test_a_file_that_cannot_be_moved_is_read_where_it_is(tmp_path, monkeypatch, failing, number):
    for name in "abc":
        (tmp_path / name).write_text("old")

    def replace(source, target):
        if Path(source).parent.name == ".w2vjax-complete" and Path(target).name in failing:
            raise OSError(number, os.strerror(number), str(source))
        true_replace(source, target)

    true_replace = os.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(errors.FileError, match=f"{tmp_path} cannot be written"):
            write_all(tmp_path)
    assert {name for name in "abc" if (tmp_path / name).read_text() == "old"} == set(failing)
    assert {bytes(reading.contents(tmp_path / name)) for name in "abc"} == {b"new"}
    with contextlib.suppress(ZeroDivisionError), files.appearing_together(tmp_path):
        1 / 0  # noqa: B018
    assert set(contents(tmp_path).values()) == {"new"}
    assert names(tmp_path) == ["a", "b", "c"]


def write_all(folder):
    with files.appearing_together(folder) as place:
        for name in "abc":
            (place / name).write_text("new")


@pytest.mark.parametrize("kind", ["a link to a folder", "a link to nothing", "a file"])
@pytest.mark.parametrize("name", [".w2vjax-complete", ".w2vjax-staged"])
def test_what_others_put_in_the_place_of_our_folders_leads_nowhere(tmp_path, name, kind):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret").write_text("untouched")
    if kind == "a file":
        (folder / name).write_text("a file")
    else:
        (folder / name).symlink_to(outside if kind == "a link to a folder" else tmp_path / "none")
    write_all(folder)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "untouched"}
    assert set(contents(folder).values()) == {"new"}
    assert names(folder) == ["a", "b", "c"]
    assert names(tmp_path) == ["folder", "outside"]


def test_a_link_in_the_place_of_a_lock_or_a_log_is_refused(cli, text, quick, tmp_path):
    for name in (".w2vjax-lock", "log.jsonl.partial"):
        for target in (tmp_path / "new", tmp_path / "kept"):
            (tmp_path / "kept").write_text("untouched")
            out = tmp_path / "out"
            out.mkdir()
            (out / name).symlink_to(target)
            done = train(cli, text, out)
            assert done.code == 7
            assert " link" in done.err
            assert "emove it." in done.err
            assert done.err.count("\n") == 1
            assert (tmp_path / "kept").read_text() == "untouched"
            assert not (tmp_path / "new").exists()
            (out / name).unlink()
            out.rmdir()


class Failure(Exception):
    """An error of the caller."""


def write_and_fail(folder, error):
    with files.appearing_together(folder) as place:
        (place / "a").write_text("new")
        if error is None:
            (folder / "b").mkdir()  # a folder in the place of a result
            (place / "b").write_text("new")
        else:
            raise error(f"{place / 'a'}: bad")


@pytest.mark.parametrize(
    ("error", "says"),
    [(errors.FormatError, "{}/a: bad"), (OSError, "bad"), (Failure, "bad"), (None, "{}/b cannot")],
)
def test_files_of_failed_work_do_not_appear_and_errors_name_them_by_their_place(
    tmp_path, error, says
):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error or errors.FileError, match=says.format(tmp_path)):
        write_and_fail(tmp_path, error)
    assert (tmp_path / "a").read_text() == "old"
    assert [name for name in names(tmp_path) if name != "b"] == ["a"]


# --- the log ------------------------------------------------------------------------------------


class Full(io.StringIO):
    """A file on a disk that is full after ``room`` characters, as the kernel tells it."""

    room = 0

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)

    def close(self):
        if not self.closed:
            super().close()
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("room", [0, 20, 45])
def test_a_log_that_cannot_be_written_is_told_of_once_and_training_goes_on(tmp_path, room):
    log = Log(tmp_path / "log.jsonl", [])
    log._file.close()
    log._file = Full()
    log._file.room = room
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(9):
            log.write({"step": step, "loss": 1.0})
        log.close(failed=False)
    assert [str(each.message).partition(": No space")[0] for each in told] == [
        f"{tmp_path / 'log.jsonl'} cannot be written"
    ]


def test_a_log_that_cannot_be_removed_does_not_hide_the_error_of_a_run(tmp_path, monkeypatch):
    log = Log(tmp_path / "log.jsonl", [])
    monkeypatch.setattr(os, "unlink", refuse)
    log.close(failed=True)
    assert names(tmp_path) == ["log.jsonl"]


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


def test_the_command_tells_of_its_log_and_goes_on(cli, text, quick, tmp_path, monkeypatch):
    def break_it(self, *given):
        true_init(self, *given)
        self._file.close()
        self._file = Full()

    true_init = Log.__init__

    def kept(path, **options):
        return refuse() if path.suffix == ".partial" else true_unlink(path, **options)

    true_unlink = Path.unlink
    monkeypatch.setattr(Log, "__init__", break_it)
    monkeypatch.setattr(Path, "unlink", kept)
    done = train(cli, text, tmp_path / "out")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert "log.jsonl.partial cannot be written: No space left on device. The run" in done.err
    assert names(tmp_path / "out") == sorted([*RESULTS, "log.jsonl.partial"])
    assert (tmp_path / "out" / "log.jsonl").read_text().count("\n") >= 1
    monkeypatch.undo()
    assert train(cli, text, tmp_path / "out").code == 0
    assert names(tmp_path / "out") == RESULTS


# --- signals ------------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys, threading
from w2vjax import cli
def act():
    with cli_stop:
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        threading.Event().wait(20)
class Turned:
    def __enter__(self): pass
    def __exit__(self, kind, error, place):
        if sys.argv[3] == "turned into another error":
            raise RuntimeError("INTERNAL: compilation failed") from error
        if sys.argv[3] == "taken for the end of the input":
            return True
cli_stop = Turned()
def run(*given):
    act()
    return 0
from w2vjax.cli import help
help.run = run
sys.argv[1:2] = ["info"]
print("some output")
sys.exit(cli.main())
"""


HOW = ("raised", "turned into another error", "taken for the end of the input")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *zip(("SIGINT", "SIGTERM", "SIGTERM"), HOW, strict=True),
        *slow(*zip(("SIGTERM", "SIGINT", "SIGINT"), HOW, strict=True)),
    ],
)
def test_a_signal_ends_a_command_with_its_code_and_one_line(name, how):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "info", name, how], capture_output=True, text=True
    )
    ends = how == HOW[-1] and name == "SIGINT"
    assert done.returncode == (0 if ends else 128 + getattr(signal, name))
    assert done.stdout == "some output\n"
    if how != HOW[-1]:
        assert done.stderr in (
            f"w2vjax info: Stopped by {name}.\n",
            f"w2vjax: Stopped by {name}.\n",
        )


def interrupted_after(seconds, text, out, number):
    program = "import sys; from w2vjax.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "train", text, "--out", out, "--quiet"]
    process = subprocess.Popen(
        [*map(str, command), "--epochs", "20000"], stderr=subprocess.PIPE, text=True
    )
    while not out.exists() and process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(number)
    return process.communicate(timeout=60)[1], process.returncode


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        (signal.SIGINT, 0.6),
        *(
            pytest.param(number, seconds, marks=pytest.mark.slow)
            for number in (signal.SIGINT, signal.SIGTERM)
            for seconds in (0.0, 0.3, 1.0, 1.5, 2.0, 3.0, 5.0)
        ),
    ],
)
def test_training_can_be_interrupted_while_it_traces_and_compiles(text, tmp_path, number, seconds):
    said, code = interrupted_after(seconds, text, tmp_path / "out", number)
    assert code == 128 + number
    assert said == f"w2vjax train: Stopped by {number.name}.\n"
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == ["log.jsonl.partial"]


LOST = """
import os, signal, sys, time
from w2vjax import cli

def command(arguments):
    for attempt in range({lost}):
        try:
            os.kill(os.getpid(), signal.{name}) if attempt == 0 else time.sleep(60)
        except KeyboardInterrupt:
            pass
    time.sleep(60)

cli._dispatch = command
sys.exit(cli.main())
"""


@pytest.mark.parametrize(("name", "lost"), [("SIGTERM", 1), *slow(("SIGINT", 1), ("SIGINT", 3))])
def test_an_interruption_that_a_library_loses_comes_again(name, lost):
    code = LOST.format(name=name, lost=lost)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr.endswith(f"Stopped by {name}.\n")


COLLECTED = """
import gc, os, signal, sys, time
from w2vjax import cli

def interrupt(phase, info):
    if sent:
        os.kill(os.getpid(), sent.pop())
        time.sleep(0.01)

def command(arguments):
    gc.callbacks.append(interrupt)
    gc.collect()
    time.sleep(60)

sent = [signal.{name}]
cli._dispatch = command
sys.exit(cli.main())
"""


@pytest.mark.parametrize("name", ["SIGTERM", *slow("SIGINT")])
def test_an_interruption_of_the_garbage_collector_is_one_line(name):
    code = COLLECTED.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr == f"w2vjax: Stopped by {name}.\n"


# --- standard output and input --------------------------------------------------------------------


@contextlib.contextmanager
def output_in(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(io.StringIO()) as told:
        yield stream, told


COMMANDS = [
    ["nn", "V", "plain"],
    ["nn", "V", "中文", "--json", "-"],
    ["info", "V"],
    ["info", "V", "--json", "-"],
    ["similarity", "V", "plain", "中文", "été"],
    ["similarity", "V", "🙂", "ß", "--json", "-"],
    ["analogy", "V", "plain", "ß", "été"],
    ["odd", "V", "中文", "plain"],
    ["phrases", "T", "--threshold", "0", "--min-count", "1"],
    ["phrases", "T", "--threshold", "0", "--min-count", "1", "--json", "-"],
    ["phrases", "T", "--threshold", "0", "--min-count", "1", "--out", "-"],
    ["eval", "V", "--pairs", "P"],
    ["train", "T", "--out", "O", "--dim", "4"],
]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_words_outside_the_encoding_of_standard_output_are_escaped(
    vectors, quick, tmp_path, encoding
):
    text, pairs, out = tmp_path / "text.txt", tmp_path / "été.tsv", tmp_path / "中文"
    text.write_text(f"{FOREIGN}\n" * 9, "utf-8")
    pairs.write_text("plain\t中文\t1\nété\tß\t2\nplain\t🙂\t3\n", "utf-8")
    places = {"V": str(vectors), "T": str(text), "P": str(pairs), "O": str(out)}
    for command in COMMANDS:
        given = [places.get(each, each) for each in command]
        with output_in(encoding) as (stream, told):
            code = command_line.main(given)
            printed = stream.buffer.getvalue()
        assert (code, told.getvalue() == "" or "--out" in command) == (0, True), command
        if "--json" in command:
            record = json.loads(printed.decode(encoding))
            assert any(word in json.dumps(record, ensure_ascii=False) for word in FOREIGN.split())
        elif command[-2:] == ["--out", "-"]:
            assert "中文" in printed.decode("utf-8"), "a text for other programs is UTF-8"
        elif encoding == "ascii":
            assert b"\\" in printed, command


TEXTS = [
    ("latin-1", "strict", b"caf\xe9 b", "café b"),
    ("cp1252", "strict", b"\x93a\x94 b\x80", "“a” b€"),
    ("utf-16", "strict", "été 中文".encode("utf-16"), "été 中文"),
    ("cp1251", "strict", "мир и".encode("cp1251"), "мир и"),
    ("utf-8", "replace", b"a\xff b\xc3", "a\ufffd b\ufffd"),
    ("ascii", "replace", b"caf\xe9 b", "caf\ufffd b"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "invalid", "data", "printed"), TEXTS)
def test_training_on_a_text_in_its_encoding(cli, tmp_path, encoding, invalid, data, printed):
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_bytes(data)
    options = ["--encoding", encoding, "--invalid", invalid, "--min-count", 1, "--sample", 0]
    assert train(cli, text, out, *options).code == 0
    assert set(w2v.load(out / "vectors.bin").words) == set(printed.split())


@pytest.mark.parametrize(
    ("encoding", "invalid", "data", "printed"),
    [
        *TEXTS,
        ("utf-8", "strict", b"a\xff b", "invalid UTF-8"),
        ("utf8x", "strict", b"a b", "encoding='utf8x' is no"),
    ],
)
def test_the_encoding_of_a_text(cli, tmp_path, encoding, invalid, data, printed):
    text, out = tmp_path / "text.txt", tmp_path / "out.txt"
    text.write_bytes(data)
    options = ["--encoding", encoding, "--invalid", invalid, "--min-count", 1, "--out", out]
    done = cli("phrases", text, *options)
    if invalid == "strict" and done.code != 0:
        assert printed in done.err
        assert done.err.count("\n") == 1
        assert not out.exists()
    else:
        assert out.read_text("utf-8") == f"{printed}\n"


def test_a_query_that_is_not_text_is_unknown_and_the_next_one_is_answered(vectors, monkeypatch):
    for data, good in ((b"caf\xe9\nplain\n", 1), (b"\xff\xfe\n\xc3\n", 0), (b"plain\n\x80\n", 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        with output_in("utf-8") as (stream, told):
            assert command_line.main(["nn", str(vectors), "--topn", "1"]) == 1
            assert stream.buffer.getvalue().count(b"similarity") == good
        assert "is not among the 5 words" in told.getvalue()


@pytest.mark.parametrize(
    "command", [["--help"], ["info", "V"], ["nn", "V", "plain"], ["nn", "V", "ß", "--json", "-"]]
)
@pytest.mark.parametrize("stream", ["full", "closed"])
def test_standard_output_that_cannot_be_written_is_named(vectors, command, stream, monkeypatch):
    given = [str(vectors) if each == "V" else each for each in command]
    with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.ExitStack() as opened:
        if stream == "full":
            full = opened.enter_context(open("/dev/full", "w"))
            opened.enter_context(contextlib.redirect_stdout(full))
        else:
            monkeypatch.setattr(sys, "stdout", None)
        assert command_line.main(given) == 7
    says = {"full": "standard output cannot be written: No space", "closed": "output is closed"}
    assert says[stream] in told.getvalue()
    assert told.getvalue().count("\n") == 1


# --- what is refused before any work --------------------------------------------------------------

# what each option of a command does with a place that it cannot write to
UNWRITABLE = [
    ("train T --out", "folder"),
    ("train T --json", "file"),
    ("plan T --json", "file"),
    ("phrases T --out", "file"),
    ("phrases T --list", "file"),
    ("phrases T --json", "file"),
    ("nn V plain --json", "file"),
    ("analogy V plain ß été --json", "file"),
    ("similarity V plain ß --json", "file"),
    ("odd V plain ß --json", "file"),
    ("eval V --pairs T --json", "file"),
    ("info V --json", "file"),
    ("gradcheck --json", "file"),
    ("reproduce --json", "file"),
    ("reproduce --out", "folder"),
    ("convert V", "file"),
    ("export V", "file"),
    ("export V --html", "file"),
    *((f"plot {kind} V", "file") for kind in ("map", "loss", "analogy", "heatmap")),
]


@pytest.mark.parametrize(("command", "kind"), UNWRITABLE)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    cli, tmp_path, monkeypatch, command, kind
):
    (tmp_path / "there").write_text("")
    (tmp_path / "folder").mkdir()
    places = {
        "folder": [tmp_path / "there", tmp_path / "there" / "in"],
        "file": [tmp_path / "missing" / "x.txt", tmp_path / "folder", tmp_path / "there" / "in"],
    }
    # neither a corpus nor a file of vectors is there: reading them would be another error
    given = [str(tmp_path / each) if each in ("T", "V") else each for each in command.split()]
    for place in places[kind]:
        done = cli(*given, place)
        assert (done.code, done.out) == (7, "")
        assert f"{place} cannot be written: " in done.err
        assert done.err.count("\n") == 1
    assert names(tmp_path) == ["folder", "there"]


@pytest.mark.parametrize(
    ("command", "result"),
    [
        *(("train T --out out", name) for name in [*RESULTS, "log.jsonl.partial"]),
        ("reproduce --out out", "embedding.txt"),
        ("reproduce --out out", "loss.png"),
        ("convert V out/x.npy", "x.vocab"),
        ("convert V out/tensors.tsv", "metadata.tsv"),
        ("export V out/y.npy", "y.vocab"),
    ],
)
def test_a_folder_in_the_place_of_a_result_is_found_before_any_work(
    cli, tmp_path, monkeypatch, command, result
):
    monkeypatch.chdir(tmp_path)
    Path("out", result).mkdir(parents=True)
    done = cli(*command.split())
    assert (done.code, done.out) == (7, "")
    assert f"{Path('out', result)} cannot be written: it is a folder" in done.err
    assert done.err.count("\n") == 1
    assert names(tmp_path / "out") == [result]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("phrases T --out T", "T is the file to read, and would be overwritten"),
        ("phrases T --list T", "T is the file to read"),
        ("phrases T --out a --list ./a", "a is named for two results"),
        ("phrases T --out - --json -", "Standard output is named for two results"),
        ("phrases T --list -", "'-' is standard output, and a file is written here"),
        ("phrases T --out T.gz", "T.gz: a result is not written compressed"),
        ("phrases T --out T.ZST", "T.ZST: a result is not written compressed"),
        ("phrases T --out T.bz2", "T.bz2: a result is not written compressed"),
        ("phrases T --out T.xz", "T.xz: a result is not written compressed"),
        ("phrases T --list T.gz", "T.gz: a result is not written compressed"),
        ("train T --json T.zst", "T.zst: a result is not written compressed"),
        ("export V V.vec.gz", "V.vec.gz: a result is not written compressed"),
        ("train T --json T", "T is the file to read"),
        ("nn T word --json T", "T is the file to read"),
        ("eval V --pairs T --json ./T", "T is the file to read"),
        ("convert T T", "T is the file to read"),
        ("convert T -", "'-' is standard output"),
        ("export T -", "'-' is standard output"),
        ("plot map T -", "'-' is standard output"),
        ("train T --out -", "'-' is standard output, and a folder is needed here"),
        ("train T --out ./-", "'-' is standard output, and a folder"),
        ("train T --cache -", "'-' is standard output, and a folder"),
        ("plan T --cache=-", "'-' is standard output, and a folder"),
        ("train T --checkpoint -", "'-' is standard output, and a folder"),
        ("reproduce --out -", "'-' is standard output, and a folder"),
        ("train log.jsonl --out .", "log.jsonl is the file to read"),
        ("train T vectors.bin --out ./", "vectors.bin is the file to read"),
        ("train T --json vectors.bin --out .", "vectors.bin is named for two results"),
        ("train T --json run/log.jsonl --out run", "log.jsonl is named for two results"),
        ("reproduce --text embedding.txt --out .", "embedding.txt is the file to read"),
        ("reproduce --json new/loss.png --out new", "loss.png is named for two results"),
        ("convert x.vocab x.npy --from text", "x.vocab is the file to read"),
    ],
)
def test_files_that_would_be_lost_are_refused(cli, tmp_path, monkeypatch, command, says):
    monkeypatch.chdir(tmp_path)
    there = ["T", "embedding.txt", "log.jsonl", "vectors.bin", "x.vocab"]
    for name in there:
        Path(name).write_text("a b\n")
    done = cli(*command.split())
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert names(tmp_path) == there
    assert {Path(name).read_text() for name in there} == {"a b\n"}


def test_phrases_print_the_joined_text_and_write_a_file_of_the_name(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("new york is big\n" * 50)
    done = cli("phrases", "t.txt", "--threshold", 0, "--min-count", 2, "--out", "-")
    assert done.code == 0
    assert done.out == "new_york is_big\n" * 50
    assert "100 tokens with the phrases joined\n" in done.err
    assert names(tmp_path) == ["t.txt"]
    assert cli("phrases", "t.txt", "--threshold", 0, "--out", "./-").out.endswith(
        "written to ./-\n"
    )
    assert Path("-").read_text() == done.out


@pytest.mark.parametrize(
    "command",
    [
        "nn V zzz plain Plane",
        "analogy V zzz plain Plane",
        "similarity V zzz Plane",
        "odd V plain zzz Plane",
        "plot map V OUT zzz Plane",
    ],
)
def test_all_unknown_words_are_named_at_once(cli, vectors, tmp_path, command):
    places = {"V": vectors, "OUT": tmp_path / "map.png"}
    done = cli(*(places.get(each, each) for each in command.split()))
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "'zzz'" in done.err
    assert "'Plane' is not among the 5 words. Did you mean 'plain'?" in done.err


def test_a_checkpoint_of_other_epochs_says_how_to_go_on_and_other_fields_do_not():
    usual = {"settings.epochs": 1, "settings.dim": 4, "program": "p"}
    for kept, now in ((1, 2), (5, 3), (2, 40)):
        says = rf"settings.epochs={kept} .* has {now}\. .*--allow settings.epochs"
        theirs, ours = ({**usual, "settings.epochs": number} for number in (kept, now))
        with pytest.raises(errors.CheckpointError, match=says):
            _compare(Path("checkpoint"), theirs, ours, set())
    for name, says in (("settings.epochs", "--allow settings.epochs"), ("settings.dim", "empty")):
        with pytest.raises(errors.CheckpointError, match=rf"{name}=[14] .* has 3\. .*{says}"):
            _compare(Path("checkpoint"), usual, usual | {name: 3}, set())


@pytest.mark.slow
def test_to_resume_for_more_epochs_the_message_says_how_and_that_works(cli, text, tmp_path):
    given = ("--checkpoint", tmp_path / "kept")
    assert train(cli, text, tmp_path / "out", *given).code == 0
    longer = (*given, "--resume", "--epochs", 3)
    done = train(cli, text, tmp_path / "out", *longer)
    assert (done.code, "--allow settings.epochs" in done.err) == (5, True)
    assert train(cli, text, tmp_path / "out", *longer, "--allow", "settings.epochs").code == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["words"] == 3 * len(w2v.prepare(text).ids)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), "allocating 9 b"),
        (ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), "allocating 9 b"),
        (RuntimeError("INTERNAL: Error dispatching: Out of memory allocating 9 bytes."), "ing 9"),
        (MemoryError(), "it is used up"),
        (MemoryError("Unable to allocate 3 GiB"), "3 GiB"),
    ],
)
def test_a_lack_of_memory_is_one_sentence_with_a_remedy(cli, monkeypatch, error, said):
    """XLA says it in three ways. They ended in a traceback."""

    def fail(_):
        raise error

    monkeypatch.setattr("w2vjax.cli._dispatch", fail)
    done = cli("train")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert re.fullmatch(
        rf"w2vjax train: There is not enough memory: .*{said}.* Choose .*dim.*\n", done.err
    )


def test_an_error_that_is_no_lack_of_memory_stays_as_it_is(cli, monkeypatch):
    def fail(_):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("w2vjax.cli._dispatch", fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        cli("train")


@pytest.mark.parametrize(("name", "second"), [("m.npy", "m.vocab"), ("m.tsv", "m_metadata.tsv")])
@pytest.mark.parametrize("command", ["convert", "export"])
def test_the_second_file_of_a_format_replaces_no_file_of_another(
    cli, vectors, tmp_path, command, name, second
):
    """text8.vocab holds the counts of text8.bin, and text8.npy is written beside it."""
    (tmp_path / second).write_text("keep 100\nmine 7\n")
    done = cli(command, vectors, tmp_path / name)
    assert (done.code, done.err.count("\n")) == (7, 1)
    assert f"{second} is there, and" in done.err
    assert (tmp_path / second).read_text() == "keep 100\nmine 7\n"
    assert not (tmp_path / name).exists()
    with pytest.raises(errors.FileError, match="Move it away, or name another file"):
        w2v.save(w2v.load(vectors), tmp_path / name)
    (tmp_path / second).unlink()
    for _ in range(2):  # the second time, both are replaced
        assert cli(command, vectors, tmp_path / name).code == 0


def test_a_fault_that_no_format_can_write_is_not_offered(cli, vectors, tmp_path):
    done = cli("convert", vectors, tmp_path / "new.bin", "--allow", "non-finite")
    assert done.code == 2
    assert "non-finite" not in cli("convert", "--help").out
    assert cli("info", vectors, "--allow", "non-finite").code == 0


def test_a_remedy_is_there_for_every_command(cli, tmp_path):
    """``nn`` has no option --allow: the remedy names the command that has it."""
    (tmp_path / "cut.txt").write_text("1 2\nking 0.5 0.25")
    done = cli("nn", tmp_path / "cut.txt", "king")
    assert (done.code, done.err.count("\n")) == (4, 1)
    (said,) = re.findall(r"first w2vjax (convert --allow \S+)\)", done.err)
    assert cli(*said.split(), tmp_path / "cut.txt", tmp_path / "new.bin").code == 0


@pytest.mark.parametrize(("epochs", "code"), [(1, 5), (2, 5), (3, 0), (4, 0)])
def test_a_run_does_not_go_on_with_fewer_epochs_than_it_has_done(cli, text, tmp_path, epochs, code):
    """It wrote vectors of a rate that had not fallen, and said that it had 2 epochs."""
    kept = tmp_path / "kept"
    usual = ("--dim", 8, "--checkpoint", kept, "--out", tmp_path / "out")
    assert cli("train", text, *usual, "--quiet", "--epochs", 3).code == 0
    before = {path.name: path.read_bytes() for path in kept.glob("checkpoint-*")}
    allow = ("--resume", "--allow", "settings.epochs")
    done = cli("train", text, *usual, "--quiet", "--epochs", epochs, *allow)
    assert done.code == code, done.err
    if code:
        assert f"stands in epoch 3, and epochs={epochs}. Use 3 or more (--epochs 3)" in done.err
        assert {path.name: path.read_bytes() for path in kept.glob("checkpoint-*")} == before
