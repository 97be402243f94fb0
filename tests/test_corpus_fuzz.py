"""Random and damaged bytes into every reader of a corpus give words or a typed error."""

import bz2
import contextlib
import gzip
import lzma
import os
import re
import time
from collections import Counter

import numpy as np
import pytest
import zstandard

import w2vjax as w2v
from w2vjax.corpus.sources import Reading

PACKERS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
PARTS = [
    b" ",
    b"\n",
    b"\r\n",
    b"\0",
    b"\t",
    b"king",
    b"a",
    b"x" * 70,
    b"internet",
    b"\x1f",
    b"\x7f",
]
PARTS += ["é".encode(), "日本".encode(), b"\xe2\x80\xa8", b"\xc2\xa0", b"\xef\xbb\xbf"]
PARTS += [b"\xff", b"\xc3", b"\xed\xa0\x80"]  # no UTF-8
SECONDS = float(os.environ.get("W2VJAX_FUZZ_SECONDS", "20"))


def damaged(rng, data):
    """``data`` with some bytes flipped, cut, doubled or moved."""
    data = bytearray(data)
    for _ in range(rng.integers(0, 4)):
        if not data:
            break
        place = int(rng.integers(len(data)))
        match int(rng.integers(4)):
            case 0:
                data[place] ^= 1 << int(rng.integers(8))
            case 1:
                del data[place:]
            case 2:
                data[place:place] = data[: int(rng.integers(1, 40))]
            case 3:
                del data[place : place + int(rng.integers(1, 9))]
    return bytes(data)


def check_text(path, data, reading):
    """The words of an independent counter, or an error for invalid UTF-8 or no words."""
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", reading.errors)
    except UnicodeDecodeError:
        text = ""
    expected = Counter(re.findall(r"[^\x00-\x20]+", text))
    if not expected:
        with pytest.raises(
            w2v.errors.CorpusError, match=f"{path.name}: invalid UTF-8|holds no words"
        ):
            w2v.build_vocab(path, 1, reading=reading)
        return
    vocab = w2v.build_vocab(path, 1, reading=reading)
    assert dict(zip(vocab.words, vocab.counts.tolist(), strict=True)) == expected


def rounds(tmp_path, seconds, seed):
    rng = np.random.default_rng(seed)
    start, done = time.process_time(), 0
    while time.process_time() - start < seconds:
        data = b"".join(PARTS[i] for i in rng.integers(0, len(PARTS), int(rng.integers(0, 60))))
        if rng.random() < 0.6:  # valid text more often than chance would have it
            data = data.decode("utf-8", "ignore").encode()
        suffix = list(PACKERS)[done % len(PACKERS)]
        reading = Reading(
            str(rng.choice(["strict", "replace"])), block_bytes=int(rng.choice([1, 3, 16, 1 << 20]))
        )
        path = tmp_path / f"fuzz{suffix}"
        packed = PACKERS[suffix](data)
        path.write_bytes(packed)
        begun = time.process_time()
        check_text(path, data, reading)
        path.write_bytes(damaged(rng, packed))
        read_anything(path, reading)
        assert time.process_time() - begun < 5
        done += 1
    return done


def read_anything(path, reading):
    for read in (lambda: w2v.build_vocab(path, 1, reading=reading), lambda: w2v.Vocab.load(path)):
        with contextlib.suppress(w2v.errors.CorpusError, w2v.errors.FormatError):
            assert len(read()) > 0


def test_fuzz_for_a_second(tmp_path):
    assert rounds(tmp_path, 1.0, 0) > 20


@pytest.mark.slow
def test_fuzz(tmp_path):
    """W2VJAX_FUZZ_SECONDS=600 for the long run."""
    done = rounds(tmp_path, SECONDS, time.time_ns() % 2**32)
    print(f"{done:,} inputs")
    assert done > 100
