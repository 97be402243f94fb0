"""A program: loads damaged files under an audit hook and reports all that loading may not do.

python fuzz_formats.py FOLDER files COUNT | minutes MINUTES NAME | control
"""

import contextlib
import gzip
import hashlib
import json
import os
import pickle
import random
import socket
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import w2vjax as w2v
from w2vjax import files
from w2vjax.corpus import encode
from w2vjax.corpus.count import build_vocab
from w2vjax.corpus.sources import Reading
from w2vjax.pictures.plot_loss import read_losses
from w2vjax.runs.checkpoint import Position, load_checkpoint, save_checkpoint
from w2vjax.training.copies import Joined

FORBIDDEN = tuple(
    "exec compile import pickle. os. socket. subprocess. shutil. tempfile. ctypes. marshal. code. "
    "function.__new__ urllib. ftplib. http. sys._getframe".split()
)
ALLOWED = {"os.scandir", "os.listdir"}
VECTORS = w2v.Vectors(
    ["cat", "dögs", "x1"], np.array([[0.25, -1.5e-9], [2, 3], [-0.0, 7]], np.float32), [30, 20, 10]
)
NAMES = ("x.txt", "x.bin", "x.npy", "tensors.tsv", "x.safetensors", "x.vocab")
TABLE = np.ones((2, 3), np.float32)
STATE = Joined(w2v.Params(TABLE, TABLE), ((np.int32(4),),))
IDENTITY = {f"settings.{name}": value for name, value in w2v.Settings().as_json().items()}
IDENTITY |= {"program": "p", "start": None}
CHECKPOINT = "checkpoint-000000000000.safetensors"


def read_checkpoint(path):
    return load_checkpoint(path.parent, STATE, IDENTITY)


def read_cache(path):
    """The ids that a record names. Both files of ids hold zeros."""
    paths = [path, path.with_name("numbers"), path.with_name("numbers")]
    return encode._reuse(paths, {"min_count": 1}, [])


NUMBERS = bytes(8)
RECORD = [
    [{"min_count": 1}, [], [hashlib.sha256(NUMBERS).hexdigest()] * 2],
    [["a", "b"], [2, 1], ["c"], [1], [1, 2, 0, 3, 0]],
]
# What reads neither vectors nor a vocabulary: its reader, and a sound file.
OTHERS = {
    "pairs": (
        w2v.evaluation.read_word_pairs,
        b"word\tword\tscore\n# people\ncat\td\xc3\xb6gs\t7.35\ncat\tx1\t0.5\n",
    ),
    "analogies": (
        w2v.evaluation.read_word_analogies,
        b": pets one\ncat d\xc3\xb6gs x1 cat\n: two\r\ncat x1 cat x1\r\n",
    ),
    "corpus": (
        lambda path: build_vocab(path, 1, reading=Reading("strict", block_bytes=7)),
        b"the king\r\nthe queen\n\n\xc3\xbcber\xe6\x97\xa5 the",
    ),
    "corpus-invalid": (
        lambda path: build_vocab(path, 1, reading=Reading("replace", block_bytes=7)),
        b"\xef\xbb\xbfthe \xff king\n",
    ),
    "journal": (files._read_journal, b'{"a": ".a.0123456789abcdef.w2vjax-tmp"}'),
    "log.jsonl": (
        read_losses,
        b'{"step": 1, "loss": 4.0}\n{"step": 2, "words": 9, "loss": 3}\n',
    ),
    "record": (read_cache, json.dumps(RECORD).encode()),
}
events, watching = {}, False
BITS = [b"", b" ", b"\n", b"\0", b"\t", b"\r\n", b"\xef\xbb\xbf", b"nan", b"inf", b"1e999", b"-1"]
BITS += [b"99999999999", b"{", b"}", b'"', b"\\u0000", b"[[[[", b"\x80\x04", b"9" * 400]
BITS += [b"__import__('os').system('touch ran')", b"\xff" * 4]


def hook(event, arguments):
    if not watching or event in ALLOWED:
        return
    _, mode, flags = arguments if event == "open" else ("", "r", 0)
    writing = (
        flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if mode is None else mode.strip("bt") != "r"
    )
    if writing:
        event = "open for writing"
    elif event == "open" or not event.startswith(FORBIDDEN):
        return
    events[event] = events.get(event, 0) + 1


def load(path):
    if path.name.endswith(".vocab"):
        return w2v.formats.read_vocabulary(path)
    if path.name in OTHERS:
        return OTHERS[path.name][0](path)
    if path.name == CHECKPOINT:
        return read_checkpoint(path)
    if path.name.startswith("model"):
        return w2v.load_model(path)
    return w2v.load(path)


def write(path, data):
    """Write damaged data. The record of a cache gets a checksum that fits."""
    if path.name == "record":
        data = hashlib.sha256(data).hexdigest().encode() + b"\n" + data
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


def watched(path, report):
    """Load once under the hook."""
    global watching
    start = time.process_time()
    watching = True
    try:
        load(path)
        outcome = "read"
    except w2v.W2VError:
        outcome = "refused"
    except Exception as error:
        outcome = "untyped"
        report["untyped"].append([path.name, path.read_bytes()[:200].hex(), repr(error)[:200]])
    finally:
        watching = False
    report["slowest"] = max(report["slowest"], time.process_time() - start)
    report["files"] += 1
    report["refused"] += outcome == "refused"


def mutated(data, rng):
    """A few byte flips, cuts, insertions and repetitions."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice([0, 1, 1, 4, 20]))
        kind = rng.randrange(5)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place:end] = rng.choice(BITS)
        elif kind == 2:
            del data[place : end if rng.random() < 0.8 else None]
        elif kind == 3:
            data[place:place] = data[place:end] * rng.randint(1, 20)
        else:
            data[place:end] = rng.randbytes(end - place)
    return bytes(data)


class Payload:
    def __reduce__(self):
        return os.system, ("touch ran",)


def pickles():
    """Every protocol, bare and wrapped as numpy and gzip wrap them."""
    for protocol in range(6):
        yield pickle.dumps(Payload(), protocol)
    yield (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }".ljust(117)
        + b"\n"
        + pickle.dumps(np.array([[Payload()]], object))
    )
    yield b"1 1\n" + pickle.dumps(Payload()) + b"\n"


def seeds(folder):
    """One sound file of each format; loading it also brings in what is imported on first use."""
    for name in (*NAMES, "plain"):
        w2v.save(VECTORS, folder / name, "binary" if name == "plain" else None)
    w2v.save_model(
        folder / "model.safetensors",
        w2v.Params(VECTORS.matrix, VECTORS.matrix),
        VECTORS.words,
        VECTORS.counts,
    )
    for name in ("x.txt", "x.bin"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    save_checkpoint(folder, STATE, Position(), IDENTITY, [])
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    found |= {name: data for name, (_, data) in OTHERS.items()}
    (folder / "numbers").write_bytes(NUMBERS)
    for name, data in found.items():
        if not name.endswith(".gz"):
            write(folder / name, data)
        assert "metadata" in name or load(folder / name)
    return found


def control():
    """Do what loading must not do, to show that the hook sees it."""
    global watching
    watching = True
    pickle.loads(pickle.dumps(Payload()))
    exec("pass")
    with contextlib.suppress(ImportError):
        import module_that_does_not_exist  # noqa: F401
    socket.socket().close()
    Path("ran").write_text("")
    watching = False


def main(folder, mode, amount="0", only=None):
    folder = Path(folder)
    os.chdir(folder)
    sys.addaudithook(hook)
    rng = random.Random(0)
    warnings.simplefilter("ignore", UserWarning)  # a damaged cache and checkpoint are told of
    found = seeds(folder)
    report = {"files": 0, "refused": 0, "slowest": 0.0, "untyped": [], "events": events}
    if mode == "control":
        control()
    elif mode == "files":
        for data in pickles():
            for name in found:
                write(folder / name, data)
                watched(folder / name.replace("metadata", "tensors"), report)
                (folder / name).write_bytes(found[name])
    names, end = [only] if only else sorted(found), time.process_time() + 60 * float(amount)
    while (mode == "minutes" and time.process_time() < end) or (
        mode == "files" and report["files"] < int(amount) + 70
    ):
        name = rng.choice(names)
        damaged = mutated(found[name], rng)
        write(folder / name, damaged) if rng.random() < 0.5 else (folder / name).write_bytes(
            damaged
        )
        watched(folder / name.replace("metadata", "tensors"), report)
        (folder / name).write_bytes(found[name])
    # getrusage would count the memory of the process that started this one
    _, _, peak = Path("/proc/self/status").read_text().partition("VmHWM:")
    report["megabytes"] = int(peak.split()[0]) // 1024
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
