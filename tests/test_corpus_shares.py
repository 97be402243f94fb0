"""Processes that share a text give what one process gives, to the bit, errors included.

Here a process is a thread, and the exchange of arrays is a list that all threads fill. The tests of
real processes are in ``test_devices.py``.
"""

import gzip
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import slow
from test_corpus_threads import FILES, written
from test_devices import page_formula

from w2vjax.corpus import sources
from w2vjax.corpus.count import build_vocab, rank, spelled
from w2vjax.corpus.encode import prepare
from w2vjax.corpus.scan import renumber, scan
from w2vjax.corpus.sources import READING, Reading
from w2vjax.errors import CorpusError, SettingError, W2VError
from w2vjax.processes import exchange
from w2vjax.vocab import Vocab


class Crew:
    """Threads that stand for the processes of a run."""

    def __init__(self, size, patch):
        self.size, self.numbers, self.sent = size, {}, [None] * size
        self.meeting = threading.Barrier(size)
        patch.setattr(exchange, "own_number", lambda: self.numbers[threading.get_ident()])
        patch.setattr(exchange, "how_many", lambda: size)
        patch.setattr(exchange, "meet", lambda: None)
        patch.setattr(exchange, "_arrays", self.arrays)

    def arrays(self, own):
        """Every thread gets the arrays of all. Arrays of several shapes would hang a collective."""
        self.sent[exchange.own_number()] = own
        self.meeting.wait(20)
        found = list(self.sent)
        self.meeting.wait(20)
        assert len({(each.shape, each.dtype) for each in found}) == 1
        return np.stack(found)

    def results(self, work):
        """What ``work(number)`` returns in each thread, or the error that it raises."""

        def run(number):
            self.numbers[threading.get_ident()] = number
            try:
                return work(number)
            except W2VError as error:
                return error
            except threading.BrokenBarrierError:
                return "alone"  # another thread did not come
            except BaseException:
                self.meeting.abort()
                raise

        with ThreadPoolExecutor(self.size) as pool:
            gate = threading.Barrier(self.size)  # so that no thread takes two numbers
            return list(pool.map(lambda number: (gate.wait(20), run(number))[1], range(self.size)))


def facts(corpus):
    """All of a corpus, or the message of an error."""
    if isinstance(corpus, Exception):
        return type(corpus), str(corpus)
    return corpus.digest, corpus.vocab, corpus.report, corpus.ids.tolist(), corpus.starts.tolist()


def alone(source, **given):
    try:
        return facts(prepare(source, **given))
    except W2VError as error:
        return facts(error)


def read(paths, reading, min_count=1, max_vocab=None):
    """As ``prepare``, without files: a disk that is flushed takes most of its time."""
    ids, starts = io.BytesIO(), io.BytesIO()
    try:
        seen = scan(paths, None, reading, io.BytesIO)
        kept, dropped, ids_of = rank(seen, min_count, max_vocab)
    except W2VError as error:
        return facts(error)
    vocab, number = spelled(seen, kept, dropped, min_count), renumber(seen, ids_of, ids, starts)
    assert number == vocab.report.tokens_kept == len(ids.getvalue()) // 4
    return vocab, vocab.report, ids.getvalue(), starts.getvalue()


def read_by(size, paths, reading=READING, **given):
    """What each of so many processes reads."""
    with pytest.MonkeyPatch.context() as patch:
        together = reading._replace(together=True)
        return Crew(size, patch).results(lambda number: read(paths, together, **given))


def shared(size, source, reading=READING, **given):
    """What each of so many processes makes of a source, which may be a function of its number."""
    with pytest.MonkeyPatch.context() as patch:
        crew = Crew(size, patch)

        def work(number):
            own = source(number) if callable(source) else source
            return prepare(own, reading=reading._replace(together=True), **given)

        return [facts(each) for each in crew.results(work)]


@settings(deadline=None, max_examples=60)
@given(
    texts=FILES.filter(bool),
    processes=st.sampled_from([1, 2, 3, 7]),
    part=st.sampled_from([1, 2, 5, 17, 64]),
    threads=st.integers(1, 3),
    min_count=st.integers(1, 3),
    max_vocab=st.sampled_from([None, 2]),
    block=st.sampled_from([1, 1000]),
)
@pytest.mark.slow
def test_any_text_and_any_number_of_processes(
    tmp_path_factory, texts, processes, part, threads, min_count, max_vocab, block
):
    paths = written(tmp_path_factory.mktemp("shares"), texts)
    chosen = {"min_count": min_count, "max_vocab": max_vocab}
    how = Reading(threads=threads, block_bytes=block)
    expected = read(paths, how._replace(threads=1), **chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PART", part)
        patch.setattr(exchange, "WORDS", 3)
        patch.setattr(exchange, "AT_ONCE", 64)
        assert read_by(processes, paths, how, **chosen) == [expected] * processes


TO_CUT = [
    "b a\na b\nc c d d e f",  # ties in two shares, and a word on both sides of each cut
    "one line without an end " * 9,
    "\n\nx rare\nx x x\n\n",  # lines that keep no word, at both ends of a share
    "once\n" * 3 + "a a a\nonce2 once3 once4\nonce5 a\n" + "b",
    "a a a\nb1 b2 b3 b4 b5 a a",  # a line goes through a share that keeps no word of it
    "a",
    "日本 é é 日本\n" + "z" * 99 + " z",
]


@pytest.mark.parametrize(
    ("text", "min_count"),
    [
        *((text, 1) for text in TO_CUT[::2]),
        (TO_CUT[2], 2),
        *slow(*((text, 1) for text in TO_CUT[1::2])),
        *slow(*((text, 2) for text in TO_CUT if text != TO_CUT[2])),
    ],
)
def test_every_place_to_cut(tmp_path, monkeypatch, text, min_count):
    (path,) = written(tmp_path, [text.encode()])
    expected = read(path, Reading(), min_count)
    for place in range(1, min(len(text.encode()), 40) + 2):
        monkeypatch.setattr(sources, "PART", place)
        for processes in (2, 3):
            found = read_by(processes, path, min_count=min_count)
            assert found == [expected] * processes


@pytest.mark.parametrize(("case", "least"), [("plain", 18), ("gz", 1), ("latin-1", 1)])
def test_each_process_reads_a_share(tmp_path, monkeypatch, case, least):
    """Bytes of a plain file, and whole files that cannot be cut. Each part is read once."""
    monkeypatch.setattr(sources, "PART", 100)
    text = b"all the king's men and all the king's horses\n" * 60
    paths = written(tmp_path, [text, b"x" + text])
    if case == "gz":
        for number in range(5):
            (tmp_path / f"{number}.txt.gz").write_bytes(gzip.compress(b"y %d " % number + text))
        paths = [tmp_path]
    how = Reading(encoding="latin-1" if case == "latin-1" else "utf-8", threads=1)
    expected, right, seen = read(paths, how), sources.blocks_of, []

    def blocks_of(part, reading):
        seen.append((exchange.own_number(), part))
        return right(part, reading)

    monkeypatch.setattr(sources, "blocks_of", blocks_of)
    assert read_by(2, paths, how) == [expected] * 2
    assert len({part for _, part in seen}) == len(seen) > 1
    assert min(sum(number == each for number, _ in seen) for each in range(2)) >= least


@pytest.mark.parametrize("processes", [2, 3])
def test_the_processes_send_the_bytes_of_the_page(tmp_path, monkeypatch, processes):
    monkeypatch.setattr(sources, "PART", 2000)
    rng = np.random.default_rng(5)
    lines = [" ".join(f"w{n}" for n in rng.zipf(1.4, 9) % 997) for _ in range(900)]
    (path,) = written(tmp_path, ["\n".join(lines).encode()])
    sent, own = [], [set() for _ in range(processes)]
    right_gathered, right_blocks_of = exchange.gathered, sources.blocks_of

    def gathered(own_file, out):
        sizes = right_gathered(own_file, out)
        sent.append(sum(sizes))
        return sizes

    def blocks_of(part, reading):
        for block in right_blocks_of(part, reading):
            own[exchange.own_number()] |= set(block.tobytes().split())
            yield block

    monkeypatch.setattr(exchange, "gathered", gathered)
    monkeypatch.setattr(sources, "blocks_of", blocks_of)
    monkeypatch.setattr(sources, "usable_cores", lambda: 1)  # each process reads by its own thread
    _, report, *_ = read_by(processes, path)[0]
    letters = sum(len(word) for words in own for word in words)
    numbers = sum(map(len, own)), letters, report.tokens_kept, report.lines
    expected = page_formula("reading_bytes")(*numbers)
    # all processes note what all have sent; parts, facts and checksums take 1 kB here
    assert 0 < sum(sent) / processes - expected < 2000


def test_shares_have_equally_many_bytes():
    for sizes in ([7], [0, 0], [5] * 40, [1, 100, 1, 1], [10**15] * 9, [3, 0, 0], [0, 3, 0]):
        for processes in (1, 2, 3, 7, 1000):
            readers = exchange.readers_of(sizes, processes)
            assert 0 <= readers[0] <= readers[-1] < processes
            assert (np.diff(readers) >= 0).all()
            for process in set(readers.tolist()):
                own = np.array(sizes)[readers == process].sum()
                assert own <= sum(sizes) / processes + max(sizes)


def test_streams_token_lists_and_tokenizers_are_read_by_each(tmp_path):
    text = ["the king and the queen\n", "the men\n"] * 9
    (path,) = written(tmp_path, ["".join(text).encode()])
    lists = [line.split() for line in text]
    for source, tokenizer in ((None, None), (lists, None), (path, str.split), (text, str.split)):
        given = {"min_count": 1, "tokenizer": tokenizer}
        expected = alone(source, **given)
        assert expected[0] != SettingError
        assert shared(2, source, **given) == [expected] * 2


def differ(name):
    remedy = "Give every process the same corpus and the same settings."
    return SettingError, f"The processes of this run differ in {name}. {remedy}"


@pytest.mark.parametrize("at", [0, 40, 89])
@pytest.mark.parametrize("change", ["byte", "longer", "gz", "lists"])
def test_another_text_at_one_process_is_refused(tmp_path, monkeypatch, at, change):
    monkeypatch.setattr(sources, "PART", 10)
    texts = [bytearray(b"word " * 18) for _ in range(3)]
    texts[1][at] = ord("x") if change == "byte" else texts[1][at]
    texts[1] += b"more" if change == "longer" else b""
    paths = written(tmp_path, texts)
    if change == "gz":
        paths[1] = tmp_path / "1.gz"
        paths[1].write_bytes(gzip.compress(bytes(texts[0])))
    if change == "lists":
        paths[1] = [["word"] * 18]
    assert shared(3, lambda number: paths[number], min_count=1) == [differ("corpus")] * 3


def test_an_error_at_one_process_is_the_error_of_all(tmp_path, monkeypatch):
    """The sentence is that of one process: of the earliest place, where several cannot be read."""
    monkeypatch.setattr(sources, "PART", 10)
    for bad in ([5], [40], [85], [40, 85], [3, 40, 85]):
        text = bytearray(b"word " * 18)
        for place in bad:
            text[place] = 0xFF
        (path,) = written(tmp_path, [text])
        expected = alone(path, min_count=1)
        assert f"invalid UTF-8 at byte {bad[0]}" in expected[1]
        assert shared(3, path, min_count=1) == [expected] * 3
    text = written(tmp_path, [b"a b c"])
    assert shared(2, text, min_count=2) == [alone(text, min_count=2)] * 2  # no word is frequent
    (empty,) = written(tmp_path, [b" \n"])
    assert shared(2, empty) == [alone(empty)] * 2


def test_a_file_that_vanishes_at_one_process_ends_all(tmp_path, monkeypatch):
    paths = written(tmp_path, [b"a b"] * 3)
    right, calls = exchange.checksum, count()

    def vanished(part, wanted):
        name = f"{part.path}.gone" if next(calls) == 4 else part.path
        return right(part._replace(path=name), wanted)

    monkeypatch.setattr(exchange, "checksum", vanished)
    found = shared(3, paths, min_count=1)
    assert found[0] == found[1] == found[2]
    assert found[0][0] is CorpusError
    assert ".gone: cannot be read: No such file" in found[0][1]


def test_a_cache_is_used_if_every_process_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PART", 10)
    paths = written(tmp_path, [b"all the king's men\n" * 9])

    def run(folders):
        with pytest.MonkeyPatch.context() as patch:
            reading = Reading(together=True)
            return Crew(len(folders), patch).results(
                lambda number: prepare(paths, folders[number], 1, reading=reading)
            )

    own = [tmp_path / name for name in "abc"]
    assert not run([tmp_path / "one"])[0].reused
    expected = alone(paths, cache_dir=own[0], min_count=1)
    for folders, reused in (
        (own, False),  # one process has a cache of an earlier run
        (own, True),
        ([tmp_path / "one"] * 2, True),
        ([tmp_path / "all"] * 3, False),  # a folder of all
        ([tmp_path / "all"] * 3, True),
    ):
        found = run(folders)
        assert [facts(each) for each in found] == [expected] * len(found)
        assert [each.reused for each in found] == [reused] * len(found)
    damaged = next(own[2].glob("*.ids"))
    damaged.write_bytes(b"\1" + damaged.read_bytes()[1:])
    with pytest.warns(UserWarning, match="is damaged and is made again"):
        assert [each.reused for each in run(own)] == [False] * 3
    refused = run([own[0], None])  # one without a cache
    assert all("differ in" in str(each) and "cache" in str(each) for each in refused)


def test_a_vocabulary_that_is_there_and_words_to_go_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PART", 10)
    paths = written(tmp_path, [b"new words and old words and so on\n" * 9])
    vocab = Vocab(["and", "words", "never"], [5, 4, 3])
    assert shared(3, paths, vocab=vocab) == [alone(paths, vocab=vocab)] * 3
    with pytest.MonkeyPatch.context() as patch:
        reading = Reading(together=True)
        crew = Crew(3, patch)
        counted = crew.results(lambda number: build_vocab(paths, 9, reading=reading))
        assert counted == [build_vocab(paths, 9)] * 3
        assert counted[0].report == build_vocab(paths, 9).report
