"""Threads that read parts of the text give what one thread gives, to the bit, errors included."""

import contextlib
import errno
import gc
import gzip
import io
import os
import signal
import subprocess
import sys
import threading
import weakref
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from w2vjax.corpus import sources
from w2vjax.corpus import table as table_module
from w2vjax.corpus.count import rank, spelled
from w2vjax.corpus.encode import prepare
from w2vjax.corpus.scan import renumber, scan
from w2vjax.corpus.sources import Part, Reading, parts, split, threads_for
from w2vjax.errors import CorpusError, SettingError
from w2vjax.threads import share

TOKENS = ["a", "b", "the", "é", "日本語", "internet" * 9, "x" * 40, "\ufeff"]
BETWEEN = [b" ", b"\n", b"\r\n", b"\t\t", b"\0", b"\n\n \n", b""]
INVALID = [b"\xff", b"\xc3", b"\xe6\x97", b"\xed\xa0\x80"]
PIECES = st.tuples(
    st.sampled_from([*(token.encode() for token in TOKENS), *INVALID[:1]]), st.sampled_from(BETWEEN)
)
FILES = st.lists(st.lists(PIECES, max_size=30).map(lambda found: b"".join(map(b"".join, found))))


def read(paths, **options):
    """(words, counts, ids, starts, tokens, lines) of a source, or the message of its error."""
    ids, starts = io.BytesIO(), io.BytesIO()
    try:
        seen = scan(paths, reading=Reading(**options), scratch=io.BytesIO)
    except CorpusError as error:
        return str(error)
    kept, dropped, ids_of = rank(seen, 1, None)
    vocab = spelled(seen, kept, dropped, 1)
    renumber(seen, ids_of, ids, starts)
    numbers = np.frombuffer(ids.getvalue(), "<i4").tolist()
    lines = np.frombuffer(starts.getvalue(), "<i8").tolist()
    firsts = [numbers.index(word) for word in range(len(vocab))]
    met = np.flatnonzero(seen.counts)
    in_order = seen.spell(met[np.argsort(seen.first[met])])
    assert in_order == [vocab.words[word] for word in np.argsort(firsts)]
    return vocab.words, vocab.counts.tolist(), numbers, lines, seen.tokens, seen.lines


def written(folder, texts):
    paths = [folder / f"{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    return paths


@settings(deadline=None, max_examples=75)
@given(
    texts=FILES.filter(bool),
    size=st.sampled_from([1, 2, 3, 5, 17, 64]),
    count=st.integers(2, 7),
    block=st.sampled_from([1, 3, 1000]),
    errors=st.sampled_from(["strict", "replace"]),
)
@example([b"\xef\xbb\xbfa b\r\nc"], 1, 3, 1000, "strict")
@example([b"", b"a", b"", b"\n\nb c"], 2, 2, 1, "strict")
@example([b"a b \xff c", b"\xff"], 3, 2, 1000, "strict")
def test_any_cuts_and_any_number_of_threads(tmp_path_factory, texts, size, count, block, errors):
    paths = written(tmp_path_factory.mktemp("threads"), texts)
    options = {"errors": errors, "block_bytes": block}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PART", size)
        assert read(paths, threads=count, **options) == read(paths, threads=1, **options)


@pytest.mark.parametrize(
    "text", ["a b\r\nc é\n\nx日本 y", "\ufeffone line only", "\n\na", "a " * 9]
)
def test_every_place_to_cut(tmp_path, monkeypatch, text):
    """A cut inside a line, a character or CRLF moves behind the next separator."""
    (path,) = written(tmp_path, [text.encode()])
    expected = read(path, threads=1)
    for place in range(1, len(text.encode()) + 2):
        monkeypatch.setattr(sources, "PART", place)
        found = split(Part(str(path)), Reading())
        assert found[0].begin == 0
        assert found[-1].end is None
        for before, after in pairwise(found):
            assert before.end == after.begin
            assert text.encode()[before.end - 1] <= 0x20
        assert read(path, threads=2) == expected


@pytest.mark.parametrize("where", [0, 1, 5])
def test_a_word_that_is_longer_than_parts_and_one_that_is_too_long(tmp_path, monkeypatch, where):
    monkeypatch.setattr(sources, "PART", 7)
    monkeypatch.setattr(sources, "LONGEST_WORD", 100)
    short = [b"word"] * 5
    (path,) = written(tmp_path, [b" ".join([*short[:where], b"y" * 90, *short[where:]])])
    assert read(path, threads=3, block_bytes=8) == read(path, threads=1, block_bytes=8)
    path.write_bytes(b" ".join([*short[:where], b"y" * 190, *short[where:]]))
    message = read(path, threads=3, block_bytes=8)
    assert message == read(path, threads=1, block_bytes=8)
    assert f"no white space in 100 bytes from byte {5 * where} on" in message


def test_compressed_files_and_other_encodings_are_read_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PART", 10)
    texts = [f"the {name} king\nand the {name}".encode("latin-1") for name in "äbcö"]
    paths = written(tmp_path, texts)
    for path in paths[:2]:
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for count in (2, 3, 5):
        found = read(tmp_path, threads=count, encoding="latin-1")
        assert found == read(tmp_path, threads=1, encoding="latin-1")
        assert found[4] == 24


@pytest.mark.slow
def test_a_large_text_on_disk_is_equal_and_its_cache_is_shared(tmp_path):
    rng = np.random.default_rng(3)
    words = np.array([f"w{n}" * (1 + n % 9) for n in range(5000)])
    lines = [" ".join(words[rng.zipf(1.2, 9) % 5000]) for _ in range(120_000)]
    (path,) = written(tmp_path, ["\n".join(lines).encode()])
    assert path.stat().st_size > 2 * sources.PART
    found = {prepare(path, min_count=5, reading=Reading(threads=n)).digest for n in (1, 2, 5)}
    assert len(found) == 1
    prepare(path, tmp_path / "cache", reading=Reading(threads=1))
    assert prepare(path, tmp_path / "cache", reading=Reading(threads=3)).reused


def test_how_many_threads_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PART", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(32), raising=False)
    for size, expected in [(0, 1), (9, 1), (19, 1), (20, 2), (55, 5), (999, 8)]:
        (path,) = written(tmp_path, [b"a" * size])
        assert threads_for(parts(path), Reading()) == expected
    assert threads_for(parts(path), Reading(threads=3)) == 3
    os.mkfifo(tmp_path / "pipe")
    for stream in ("-", tmp_path / "pipe", None):
        found = parts(stream if stream is None else [stream, path])
        assert threads_for(found, Reading(threads=3)) == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert threads_for(parts(path), Reading()) == 1


@pytest.mark.parametrize("value", [0, -1, 1.5, "two", True])
def test_a_number_of_threads_that_cannot_work(value):
    with pytest.raises(SettingError, match="threads="):
        prepare([["a"]], min_count=1, reading=Reading(threads=value))


def test_a_text_has_no_more_threads_than_parts(tmp_path):
    """Each has files of its own, of which a process may open a thousand or so."""
    for texts in ([b"a b"], [b"a b", b"", b"c"]):
        paths = written(tmp_path, texts)
        assert scan(paths, reading=Reading(threads=100_000)).threads == len(texts)


def test_a_little_text_starts_no_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "w2vjax.threads.ThreadPoolExecutor", lambda *_, **__: pytest.fail("a thread")
    )
    prepare(written(tmp_path, [b"a b c\n" * 1000]), min_count=1)


@pytest.mark.parametrize(
    "error", [MemoryError("no memory"), OSError(errno.EIO, "I/O"), RuntimeError()]
)
@pytest.mark.parametrize("fails", [[2], [4, 1], range(9)])
def test_the_error_of_the_earliest_part_is_raised(tmp_path, monkeypatch, error, fails):
    """Whatever it is, as from one thread. No thread is left."""
    monkeypatch.setattr(sources, "PART", 8)
    right = sources.blocks_of

    def blocks_of(part, reading):
        if part.begin // 8 in fails:
            raise error.with_traceback(None)
        return right(part, reading)

    monkeypatch.setattr(sources, "blocks_of", blocks_of)
    before = set(threading.enumerate())
    with pytest.raises(type(error)) as caught:
        scan(written(tmp_path, [b"a bcd ef" * 9]), reading=Reading(threads=3))
    assert caught.value is error
    for thread in set(threading.enumerate()) - before:
        thread.join(9)
        assert not thread.is_alive()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_error_and_what_its_frames_hold_is_freed_at_once(count):
    """Not only when the garbage collector runs: a frame may hold 100 MB of a refused text."""

    class Failure(Exception):
        pass

    def read(reader, item, wanted):
        raise Failure

    gc.disable()
    try:
        with contextlib.suppress(Failure):
            try:
                share(range(4), range(count), read)
            except Failure as error:
                kept = weakref.ref(error)
                raise
        assert kept() is None
    finally:
        gc.enable()


def test_an_error_ends_the_work_of_later_parts(tmp_path, monkeypatch):
    """A part that would never end is given up when an earlier one has failed."""
    begun = threading.Event()

    def blocks_of(part, reading):
        if part.path.endswith("0.txt"):
            begun.wait(20)
            raise MemoryError
        begun.set()
        while True:
            yield np.frombuffer(b"a ", np.uint8)

    monkeypatch.setattr(sources, "blocks_of", blocks_of)
    with pytest.raises(MemoryError):
        scan(written(tmp_path, [b"a", b"b"]), reading=Reading(threads=2))


# A shell's background job ignores SIGINT, and so would what it starts.
ENDLESS = """
import os, signal, sys, threading
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)
from w2vjax.corpus import scan, sources
def blocks_of(part, reading):
    os.write(1, b"reading\\n")
    while True:
        yield np.frombuffer(b"a ", np.uint8)
sources.blocks_of = blocks_of
try:
    scan.scan(sys.argv[1:], reading=sources.Reading(threads=3))
except KeyboardInterrupt:
    for thread in threading.enumerate()[1:]:
        thread.join(9)
    print(threading.active_count(), "thread left")
"""


def test_ctrl_c_ends_all_threads(tmp_path):
    paths = written(tmp_path, [b"a"] * 4)
    command = [sys.executable, "-c", ENDLESS, *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(3):
                assert process.stdout.readline() == "reading\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[0] == "1 thread left\n"
        finally:
            process.kill()


@pytest.mark.parametrize("crafted", [False, True])
def test_threads_share_a_table(monkeypatch, crafted):
    """Words of one piece, of several and of more, met by all threads at once and by one alone."""
    if crafted:  # all pieces in one slot, until another multiplier is taken
        monkeypatch.setattr(table_module, "_ROUNDS", 40)
        multipliers = table_module._MULTIPLIERS.copy()
        multipliers[0] = 0
        monkeypatch.setattr(table_module, "_MULTIPLIERS", multipliers)
    rng = np.random.default_rng(4)
    words = [f"{n * 7919:x}" * int(rng.integers(1, 20)) for n in range(3000)]
    table, found = table_module.WordTable(), {}
    every = threading.Barrier(4)

    def meet(thread):
        order = np.random.default_rng(thread).permutation(3000)
        for chosen in np.array_split(order, 30):
            every.wait(60)
            data = b"".join(words[n].encode() + b" " for n in chosen) + bytes(8)
            lengths = np.array([len(words[n]) for n in chosen])
            starts = np.cumsum(lengths + 1) - lengths - 1
            numbers = table.numbers(np.frombuffer(data, np.uint8), starts, lengths)
            found[thread] = found.get(thread, {}) | dict(zip(chosen, numbers, strict=True))

    running = [threading.Thread(target=meet, args=[n]) for n in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert len(set(found[0].values())) == 3000
    assert all(found[thread] == found[0] for thread in range(4))
    assert table.spell(np.array([found[0][n] for n in range(3000)])) == words
