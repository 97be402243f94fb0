"""A file written by w2vjax.files is the old one or the new one, whatever fails in between."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from functools import partial
from pathlib import Path

import pytest
from faults import Faults, as_nobody
from marks import slow

import w2vjax as w2v
from w2vjax import files
from w2vjax.cli.output import write_json
from w2vjax.corpus.encode import encode, prepare
from w2vjax.corpus.phrases import phrases
from w2vjax.errors import FileError, SettingError, W2VError
from w2vjax.formats.continued import continue_from
from w2vjax.pictures.plot import plot_map
from w2vjax.pictures.plot_loss import read_losses
from w2vjax.pictures.projection import Projection
from w2vjax.runs.checkpoint import check_folder, load_checkpoint
from w2vjax.vocab import Vocab

OLD, NEW = b"old" * 1000, b"new" * 1000


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """No test cuts the power, and a real fsync takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def write_pair(folder, data):
    with files.atomic_files([folder / "a", folder / "b"]) as (first, second):
        first.write(data)
        second.write(data)


def write_one(folder, data):
    with files.atomic_file(folder / "a") as file:
        file.write(data)


def state(folder, names):
    """What a reader sees; every name has to tell the same."""
    seen = {path.read_bytes() for path in files.settled([folder / name for name in names])}
    assert len(seen) == 1
    return seen.pop()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize(("write", "names"), [(write_one, ["a"]), (write_pair, ["a", "b"])])
def test_every_failing_call_is_an_error_that_names_the_file_and_leaves_old_or_new(
    tmp_path, write, names, number
):
    with pytest.MonkeyPatch.context() as patch:
        write(tmp_path, OLD)
        calls = Faults(patch).calls
        write(tmp_path, OLD)
    assert {"open", "write", "flush", "fsync", "close", "replace"} <= set(calls)
    for step in range(len(calls)):
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, step, number)
            with pytest.raises(FileError, match="cannot be written") as caught:
                write(tmp_path, NEW)
        assert str(tmp_path / "a") in str(caught.value)
        committed = calls.index("replace") < step
        assert state(tmp_path, names) == (NEW if committed else OLD)
        write(tmp_path, OLD)  # the next writer clears away whatever is left
        assert sorted(path.name for path in tmp_path.iterdir()) == names


FOUND = {
    age: phrases([[age, "york"], ["old", "boat"]] * 9, min_count=1, threshold=0.0)
    for age in ("new", "other")
}
VOCAB = Vocab(("new", "other"), [1, 1])


def draw(path, age):
    """A map of two words."""
    vectors, path = w2v.Vectors([age, "word"], [[1.0, 0.0], [0.0, 1.0]]), path.with_suffix(".png")
    plot_map(vectors, path=path, project=lambda rows: Projection(rows, ("x", "y")))


# Every writer that is not a format of vectors: its files, and a function that writes.
WRITERS = {
    "joined corpus": (["a"], lambda path, age: FOUND[age].save_corpus(path)),
    "list of phrases": (["a"], lambda path, age: FOUND[age].save_list(path)),
    "vocabulary": (["a"], lambda path, age: Vocab((age,), [1]).save(path)),
    "json": (["a"], lambda path, age: write_json(str(path), {"age": age})),
    "ids": (["a", "a.starts"], lambda path, age: encode([[age], [age]], VOCAB, path)),
    "cache": (None, lambda path, age: prepare([[age], [age]], path.parent, 1)),
    "picture": (["a.png"], draw),
}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("kind", [*list(WRITERS)[:-1], *slow("picture")])
def test_every_failing_call_of_every_writer(tmp_path, kind, number):
    names, write = WRITERS[kind]
    write(tmp_path / "a", "new")
    names = names or [next(tmp_path.glob(f"*.{end}")).name for end in ("json", "ids", "starts")]

    def seen():
        return [path.read_bytes() for path in files.settled([tmp_path / name for name in names])]

    new = seen()
    write(tmp_path / "a", "other")
    old = seen()
    assert old != new
    with pytest.MonkeyPatch.context() as patch:
        calls = Faults(patch).calls
        write(tmp_path / "a", "other")
    for step in range(len(calls)):
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, step, number)
            with (
                contextlib.suppress(FileError)
                if calls[step] == "close"
                else pytest.raises(FileError, match=f"{tmp_path}.* cannot be written")
            ):
                write(tmp_path / "a", "new")
        assert seen() in (old, new)
        write(tmp_path / "a", "other")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
        assert seen() == old


@pytest.mark.parametrize(
    "kind", ["full disk", "no folder", "no permission", "a folder", "a device"]
)
def test_real_faults_of_the_system(tmp_path, kind):
    write_one(tmp_path, OLD)
    if kind == "full disk":
        code = """
            import resource, signal, sys
            from w2vjax import files
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
            with files.atomic_file(sys.argv[1]) as file:
                file.write(bytes(100_000))
        """
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), tmp_path / "a"],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1
        assert f"FileError: {tmp_path / 'a'} cannot be written: File too large" in run.stderr
    else:
        target = {
            "no folder": tmp_path / "none" / "a",
            "a folder": tmp_path,
            "a device": Path("/dev/full"),
        }.get(kind, Path("/proc/version"))
        with (
            pytest.raises(FileError, match=f"{target} cannot be written"),
            files.atomic_file(target) as file,
        ):
            file.write(NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert state(tmp_path, ["a"]) == OLD
    assert Path("/dev/full").is_char_device(), "the device has been replaced by a file"


FULL = """
import resource, signal, sys
from w2vjax.corpus.encode import encode, prepare
from w2vjax.corpus.phrases import phrases
from w2vjax.errors import FileError, SettingError
from w2vjax.vocab import Vocab
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
folder, vocab = sys.argv[1], Vocab(("a", "b"), [1, 1])
for pairs in (9, 1_000, 300_000):  # the numbers of the first two fit the buffer of a file
    text = [["a", "b"] * pairs]
    for write in (
        lambda: prepare(text, folder, 1),
        lambda: prepare(text, min_count=1),
        lambda: phrases(text, 1),
        lambda: encode(text, vocab, folder + "/ids"),
    ):
        try:
            write()
        except FileError as error:
            print(error)
"""


def test_a_full_disk_under_the_ids_is_named(tmp_path):
    """Closing a file whose buffer cannot be written fails again, by an error without a name."""
    run = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    assert len(said) == 12
    for line in said:
        assert line.startswith(str(tmp_path))
        assert "cannot be written: File too large. Check the disk and try again." in line
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_the_file_it_stands_for_is_written(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path / "elsewhere" / name)
    for data in (OLD, NEW):
        write_pair(tmp_path, data)
        assert (tmp_path / "a").is_symlink()
        assert (tmp_path / "elsewhere" / "b").read_bytes() == data
        assert state(tmp_path, ["a", "b"]) == data
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["a", "b"]


KILL = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faults import Kill
from test_files import NEW, write_one, write_pair
import pytest
folder, step = Path(sys.argv[2]), int(sys.argv[4])
write = {"one": write_one, "pair": write_pair}[sys.argv[3]]
with pytest.MonkeyPatch.context() as patch:
    Kill(patch, step)
    write(folder, NEW)
"""


@pytest.mark.parametrize(
    ("kind", "names", "steps"),
    [
        ("pair", ["a", "b"], (17, 20)),
        *slow(("one", ["a"], (1, 2, 5)), ("pair", ["a", "b"], (4, 17, 20, 21))),
    ],
)
def test_sigkill_leaves_old_or_new_and_the_next_writer_clears_up(tmp_path, kind, names, steps):
    write = {"one": write_one, "pair": write_pair}[kind]
    for step in steps:
        write(tmp_path, OLD)
        arguments = [sys.executable, "-c", KILL, Path(__file__).parent, tmp_path, kind, str(step)]
        run = subprocess.run(arguments, capture_output=True, text=True)
        assert run.returncode == -9, run.stderr
        assert len(list(tmp_path.iterdir())) > len(names), "the kill has to leave something behind"
        assert state(tmp_path, names) in {OLD, NEW}
        files.remove_leftovers(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        assert state(tmp_path, names) in {OLD, NEW}


def test_a_living_writer_keeps_its_temporary_file(tmp_path):
    with files.atomic_file(tmp_path / "a") as file:
        file.write(NEW)
        write_one(tmp_path, OLD)  # another writer, which looks for leftovers first
    assert state(tmp_path, ["a"]) == NEW


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path):
    write_pair(tmp_path, OLD)

    def interrupted():
        with files.atomic_files([tmp_path / "a", tmp_path / "b"]) as (first, _):
            first.write(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert state(tmp_path, ["a", "b"]) == OLD


@pytest.mark.parametrize(
    "journal",
    [
        b"",
        b"[",
        b"[1]",
        b'{"a": "../evil"}',
        b'{"a": "b"}',
        b'{"../x": ".../x.1.w2vjax-tmp"}',
        b"[" * 100_000,
        rb'{"\ud800": ".\ud800.0123456789abcdef.w2vjax-tmp"}',
        b'{"a": ".a.0123456789abcdef/../b.w2vjax-tmp"}',
        b'{"a": ".a.%s.w2vjax-tmp"}' % (b"0" * 300),
    ],
)
def test_a_journal_that_is_not_ours_moves_nothing(tmp_path, journal):
    write_one(tmp_path, OLD)
    (tmp_path / "b").write_bytes(b"untouched")
    (tmp_path / ".a.w2vjax-journal").write_bytes(journal)
    assert state(tmp_path, ["a"]) == OLD
    write_one(tmp_path, NEW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": NEW,
        "b": b"untouched",
    }


def save_beside(folder):
    w2v.save(w2v.Vectors(["a"], [[1.0]]), folder / "x.npy")


WAITING = {
    ".a.0123456789abcdef.w2vjax-tmp": save_beside,
    ".x.npy.w2vjax-journal": lambda folder: w2v.load(folder / "x.npy"),
    ".y.w2vjax-journal": save_beside,
    "x.vocab": lambda folder: w2v.load(folder / "x.npy"),
    "metadata.tsv": lambda folder: w2v.load(folder / "tensors.tsv"),
    "checkpoint-000000000009.safetensors": lambda folder: load_checkpoint(folder, None, {}),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize("name", WAITING)
def test_a_pipe_among_the_files_is_not_waited_for(tmp_path, name):
    save_beside(tmp_path)
    w2v.save(w2v.Vectors(["a"], [[1.0]]), tmp_path / "tensors.tsv")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for the pipe"))
    signal.alarm(5)
    try:
        with contextlib.suppress(W2VError):
            WAITING[name](tmp_path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / name).is_fifo()


WORDS = "a b a b a b\n" * 30
OVER_ITS_TEXT = {
    "log": lambda text: w2v.train(text, min_count=1, dim=2, log=text),
    "log of one of two texts": lambda text: w2v.train([f"{text}2", text], log=str(text)),
    "log under another name": lambda text: w2v.train(str(text), log=text.parent / "." / "link"),
    "ids": lambda text: encode(text, Vocab(["a", "b"], [1, 1]), text),
    "lines": lambda text: encode([text], Vocab(["a"], [1]), text.with_name("t")),
}


@pytest.mark.parametrize("kind", OVER_ITS_TEXT)
def test_a_result_never_overwrites_the_text_that_is_read(tmp_path, kind):
    text = tmp_path / "t.starts"
    for path in (text, tmp_path / "t.starts2"):
        path.write_text(WORDS)
    (tmp_path / "link").symlink_to(text)
    with pytest.raises(SettingError, match="is the file to read, and would be overwritten"):
        OVER_ITS_TEXT[kind](text)
    assert text.read_text() == WORDS
    assert len(list(tmp_path.iterdir())) == 3


def test_an_error_of_another_file_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), files.atomic_file(tmp_path / "a"):
        (tmp_path / "elsewhere").read_bytes()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "中" * 85, "😀" * 63, "a b ü.txt"])
def test_a_name_as_long_as_the_system_takes(tmp_path, name):
    with files.atomic_file(tmp_path / name) as file:
        file.write(b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
    pair = [tmp_path / name[: len(name) * 9 // 10], tmp_path / "other"]
    with files.atomic_files(pair) as opened:
        for file in opened:
            file.write(b"both")
    assert [path.read_bytes() for path in pair] == [b"both"] * 2
    assert len(list(tmp_path.iterdir())) == 3


def vectors_with(vocabulary):
    """Read the words and counts of vectors from a file beside them."""
    Path("v.txt").write_text("a 1 2\n")
    return w2v.load("v.txt", vocabulary=vocabulary)


PETS = w2v.Vectors(["cat", "dog"], [[1.0, 2.0], [3.0, 0.5]])
READERS = {
    "load": w2v.load,
    **{
        f"load {suffix}": lambda path, suffix=suffix: w2v.load(f"{path}{suffix}")
        for suffix in (".txt", ".bin", ".npy", ".npy.gz", ".tsv", ".tsv.xz", ".safetensors", ".gz")
    },
    "load npy": partial(w2v.load, format="npy"),
    "load vocabulary": vectors_with,
    "load_model": w2v.load_model,
    "describe": w2v.describe,
    "describe vocabulary": partial(w2v.describe, format="vocabulary"),
    "Vocab.load": w2v.Vocab.load,
    "word pairs": partial(w2v.evaluate_word_pairs, PETS),
    "analogies": partial(w2v.evaluate_word_analogies, PETS),
    "continue_from": lambda path: continue_from(path, [["a", "b"]], 1),
    "losses": read_losses,
    "checkpoint": lambda path: check_folder(path, resume=False),
    "checkpoint to resume": lambda path: check_folder(path, resume=True),
    "cache": lambda path: prepare([["a", "b"]], path, 1),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["a" * 300, "ü" * 150, "f/" + "a" * 300])
def test_a_name_that_is_too_long_is_an_error_that_names_it(tmp_path, monkeypatch, kind, name):
    monkeypatch.chdir(tmp_path)
    Path("f").mkdir()
    with pytest.raises(FileError, match=r"File name too long\. (Check|Choose|Name) ") as caught:
        READERS[kind](Path(name))
    assert name in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["file", "no/such/file", "folder"])
def test_a_folder_that_may_not_be_searched_is_an_error_that_names_the_file(kind, name):
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        os.chmod(made, 0o777)
        Path("locked/folder").mkdir(parents=True)
        Path("locked/file").write_text("text")
        os.chmod("locked", 0)
        denied = pytest.raises(FileError, match=r"locked.*(denied|lacking)[^.]*\. \w+")
        with as_nobody(), denied as caught:
            READERS[kind](Path("locked", name))
    assert str(Path("locked", name)) in str(caught.value)


@pytest.mark.parametrize("path", [3, None, b"x", io.BytesIO(), "", "a\0b", "\ud800"])
def test_what_is_no_path_is_refused(path):
    says = "Pass the path of a file|cannot be the name of a file"
    with pytest.raises(SettingError, match=says), files.atomic_file(path):
        pass


def test_a_system_without_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    vocab = Vocab(["a"], [1])
    for read in (prepare, partial(prepare, vocab=vocab), partial(phrases, min_count=1)):
        with pytest.raises(FileError, match=r"No temporary folder .* Set TMPDIR"):
            read([["a", "b"]])


def test_files_of_two_folders_cannot_change_together(tmp_path):
    with (
        pytest.raises(FileError, match="different folders"),
        files.atomic_files([tmp_path / "a", tmp_path.parent / "b"]),
    ):
        pass
