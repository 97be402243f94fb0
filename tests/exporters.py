"""A program: stops each writer at each step, in a child, and reports what a reader finds.

python exporters.py FOLDER steps              SIGKILL at every call that tests/faults.py counts
python exporters.py FOLDER syscalls           SIGKILL at every system call, by strace
python exporters.py FOLDER errors    ENOSPC, EIO, EDQUOT, EACCES from every system call, by strace

Names of writers after it choose some of them.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from faults import Kill

import w2vjax as w2v
from w2vjax.cli.output import write_json
from w2vjax.cli.reproduce import write_files
from w2vjax.corpus.encode import _reuse, encode, prepare
from w2vjax.corpus.phrases import phrases
from w2vjax.files import appearing_together, claimed, settled
from w2vjax.pictures.html import write_html
from w2vjax.pictures.plot import plot_map
from w2vjax.pictures.projection import Projection
from w2vjax.runs.checkpoint import Position, load_checkpoint, save_checkpoint
from w2vjax.training.copies import Joined

OLD, NEW = (
    w2v.Vectors([f"{age}{i}" for i in range(50)], np.full((50, 8), value, np.float32), [value] * 50)
    for age, value in (("old", 1), ("new", 2))
)
CALLS = (
    "openat write fsync close rename flock dup fcntl unlink getdents64 lseek mkdir rmdir".split()
)


def model(path, vectors):
    w2v.save_model(
        path, w2v.Params(vectors.matrix, -vectors.matrix), vectors.words, vectors.counts, {"dim": 8}
    )


def read_model(path):
    found = w2v.load_model(path)
    assert np.array_equal(found.params.output, -found.params.input)
    return w2v.Vectors(found.words, found.params.input, found.counts)


def vocabulary(path, vectors):
    w2v.formats.write_vocabulary(path, vectors.words, vectors.counts)


def read_vocabulary(path):
    words, counts = w2v.formats.read_vocabulary(path)
    return w2v.Vectors(words, np.repeat(counts[:, None], 8, 1).astype(np.float32), counts)


def save(path, vectors):
    w2v.save(vectors, path)


def results(path, vectors):
    with claimed(path.parent), appearing_together(path.parent) as place:
        for name in (path.name, "b.safetensors", "c.txt"):
            w2v.save(vectors, place / name)


def read_results(path):
    """The vectors, if the three files are of one age."""
    found = [w2v.load(path.with_name(name)) for name in (path.name, "b.safetensors", "c.txt")]
    return found[0] if len({each.words for each in found}) == 1 else w2v.Vectors(["mixed"], [[0.0]])


IDENTITY = {f"settings.{name}": value for name, value in w2v.Settings().as_json().items()}
IDENTITY |= {"program": "p", "start": None}


def checkpoint(path, vectors):
    folder, age = path.parent, int(vectors.counts[0])
    if vectors is OLD:
        for file in folder.iterdir():
            file.unlink()
    words = range(1, 3) if vectors is OLD else range(3, 5)  # two are kept
    for number in words:
        params = w2v.Params(vectors.matrix, -vectors.matrix)
        state = Joined(params, ((np.int32(age),),))
        save_checkpoint(folder, state, Position(words=number), IDENTITY, [])


def read_checkpoint(path):
    like = Joined(w2v.Params(OLD.matrix, OLD.matrix), ((np.int32(0),),))
    state, position, _ = load_checkpoint(path.parent, like, IDENTITY)
    of = OLD if position.words < 3 else NEW
    assert np.array_equal(state.params.output, -of.matrix)
    assert state.optimizers[0][0] == of.counts[0]
    return of


def as_json(path, vectors):
    write_json(str(path), {"words": vectors.words})


FOUND = {
    age: phrases([[age, "york"], ["old", "boat"]] * 9, min_count=1, threshold=0.0)
    for age in ("old0", "new0")
}


def joined(path, vectors):
    FOUND[vectors.words[0]].save_corpus(path)


def read_text(path):
    """The vectors whose first word stands in the file. It is whole."""
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return OLD if OLD.words[0] in text else NEW


def numbers(path, vectors):
    vocab = w2v.Vocab((OLD.words[0], NEW.words[0]), [1, 1])
    encode([[vectors.words[0]]] * 9, vocab, path)


def read_numbers(path):
    ids, starts = settled([path, path.with_name(f"{path.name}.starts")])
    assert np.fromfile(starts, np.int64).tolist() == list(range(9))
    (age,) = set(np.fromfile(ids, np.int32).tolist())
    return (OLD, NEW)[age]


def cached(path, vectors):
    prepare([[vectors.words[0]] * 9], path.parent, min_count=1)


def read_cached(path):
    """The vectors whose first word the cache holds. It is whole, or warns that it is damaged."""
    (record,) = path.parent.glob("corpus-*.json")
    paths = [record.with_suffix(f".{kind}") for kind in ("json", "ids", "starts")]
    whole = settled(paths)[0].read_bytes().partition(b"\n")[2]
    settings, marks, _ = json.loads(whole)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus = _reuse(paths, settings, marks)
    assert corpus.ids.tolist() == [0] * 9
    return {age.words[0]: age for age in (OLD, NEW)}[corpus.vocab.words[0]]


def project(matrix):
    """JAX cannot compute in a forked child."""
    return Projection(np.asarray(matrix)[:, :2], ("one", "two"))


def picture(path, vectors):
    plot_map(vectors, path=path, limit=9, project=project)


def page(path, vectors):
    write_html(vectors, path, limit=1, project=project)  # no neighbours, which JAX would find


@cache
def _bytes(write, name, age):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, name), (OLD, NEW)[age])
        return Path(folder, name).read_bytes()


def same_bytes(write):
    """A reader: the vectors of which the writer makes the bytes that the file has."""

    def read(path):
        found = path.read_bytes()
        ages = [age for age in range(2) if found == _bytes(write, path.name, age)]
        return (OLD, NEW)[ages[0]] if ages else w2v.Vectors(["other"], [[0.0]])

    return read


def reproduced(path, vectors):
    run = SimpleNamespace(
        vocabulary=vectors.words,
        w1=vectors.matrix,
        history=[2.0, vectors.matrix[0, 0]],
        shapes=[[9]],
    )
    with redirect_stdout(io.StringIO()):
        write_files(run, path.parent, quiet=False)


def read_reproduced(path):
    """The vectors. The curve beside them is whole: it ends as a PNG does."""
    assert path.with_name("loss.png").read_bytes()[-8:-4] == b"IEND"
    return w2v.load(path)


EXPORTERS = {
    name: (save, w2v.load) for name in ("x.txt", "x.bin", "x.npy", "tensors.tsv", "x.safetensors")
} | {
    "model.safetensors": (model, read_model),
    "x.vocab": (vocabulary, read_vocabulary),
    "vectors.bin": (results, read_results),
    "checkpoints": (checkpoint, read_checkpoint),
    "x.json": (as_json, read_text),
    "phrases.txt": (joined, read_text),
    "ids": (numbers, read_numbers),
    "cache": (cached, read_cached),
    "x.png": (picture, same_bytes(picture)),
    "x.html": (page, same_bytes(page)),
    "embedding.txt": (reproduced, read_reproduced),
}
# matplotlib opens hundreds of fonts while it draws, and what it then says is not of a writer
UNDRAWN = [name for name in EXPORTERS if name not in ("x.png", "embedding.txt")]


def found(read, path):
    """ "old", "new", or what went wrong."""
    try:
        vectors = read(path)
    except w2v.W2VError as error:
        return f"unreadable: {error}"
    for name, expected in (("old", OLD), ("new", NEW)):
        if vectors.words == expected.words and np.array_equal(vectors.matrix, expected.matrix):
            return name
    return "neither"


def child(work, folder):
    """Fork, and work in the child. Its code is 3 for an error that names the file, 4 for others."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except w2v.errors.FileError as error:
        os._exit(3 if f"{folder}" in str(error) and " cannot be " in str(error) else 4)
    except BaseException:
        os._exit(4)


def steps(folder, name, write):
    """One death for every counted call, until a child lives."""
    for step in range(1000):

        def work(step=step):
            with pytest.MonkeyPatch.context() as patch:
                Kill(patch, step)
                write(folder / name, NEW)

        _, status = os.waitpid(child(work, folder), 0)
        yield f"step {step}", status
        if not os.WIFSIGNALED(status):
            return


def traced(folder, name, write, faults):
    """One injected fault at each system call of each kind, until a child meets none."""
    for fault in faults:
        for call in CALLS:
            for when in range(1, 1000):

                def work():
                    os.kill(os.getpid(), signal.SIGSTOP)
                    write(folder / name, NEW)

                pid = child(work, folder)
                os.waitpid(pid, os.WUNTRACED)
                log = folder.with_suffix(".log")
                inject = [
                    "-e",
                    f"trace={call}",
                    "-e",
                    f"inject={call}:{fault}:when={when}",
                    "-p",
                    str(pid),
                ]
                strace = subprocess.Popen(
                    ["strace", "-qq", "-f", "-o", log, *inject], stderr=subprocess.PIPE
                )
                while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
                    if strace.poll() is not None:
                        os.kill(pid, signal.SIGKILL)
                        sys.exit(f"strace cannot attach: {strace.stderr.read().decode()}")
                    time.sleep(0.001)
                os.kill(pid, signal.SIGCONT)
                _, status = os.waitpid(pid, 0)
                strace.wait()
                hit = os.WIFSIGNALED(status) or "INJECTED" in log.read_text()
                yield f"{fault} in {call} {when}", status if hit else 0
                if not hit:
                    break


def main(folder, mode, *names):
    report = {}
    for name in names or EXPORTERS:
        write, read = EXPORTERS[name]
        place = Path(folder, name.replace(".", "_"))
        place.mkdir()
        write(place / name, NEW)  # so that fonts and modules are read before the faults begin
        write(place / name, OLD)
        kept = sorted(place.iterdir())
        faults = (
            ["signal=KILL"]
            if mode == "syscalls"
            else [f"error={e}" for e in ("ENOSPC", "EIO", "EDQUOT", "EACCES")]
        )
        runs = steps(place, name, write) if mode == "steps" else traced(place, name, write, faults)
        outcomes = {"faults": 0, "old": 0, "new": 0, "wrong": []}
        for fault, status in runs:
            state = found(read, place / name)
            hit = (
                os.WIFSIGNALED(status)
                or os.WEXITSTATUS(status) != 0
                or (mode == "errors" and status)
            )
            outcomes["faults"] += bool(hit)
            outcomes[state] = outcomes.get(state, 0) + 1
            bad_end = not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) not in (0, 3)
            if state not in ("old", "new") or bad_end or (status == 0 and state != "new"):
                outcomes["wrong"].append([fault, status, state])
            write(place / name, OLD)
            if sorted(place.iterdir()) != kept:
                outcomes["wrong"].append(
                    [fault, "left over", [file.name for file in place.iterdir()]]
                )
        report[name] = outcomes
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
