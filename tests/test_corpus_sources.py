"""Every kind of source gives the same words. Every fault is one sentence that names it."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import zstandard

from w2vjax.corpus.count import build_vocab
from w2vjax.corpus.sources import Reading, blocks, lines
from w2vjax.errors import CorpusError, FormatError, SettingError
from w2vjax.reading import contents

TEXT = "the king\nthe queen and the king\n\nüber日本 the\n"
COUNTS = Counter(TEXT.split())
PACKERS = {
    ".txt": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
SUFFIXES = [".gz", ".bz2", ".xz", ".zst"]
MEMBERS = ["the king\n", "the queen and the king\n", "\n", "", "über日本 the\n"]


def counts(source, **options):
    vocab = build_vocab(source, 1, reading=Reading(**options))
    return dict(zip(vocab.words, vocab.counts.tolist(), strict=True))


def message(source, **options):
    with pytest.raises(CorpusError) as caught:
        build_vocab(source, 1, reading=Reading(**options))
    text = str(caught.value)
    assert "\n" not in text
    assert re.search(r"[.:] [A-Z]", text), f"no remedy: {text}"
    return text


@pytest.mark.parametrize("suffix", PACKERS)
def test_plain_and_packed_files(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(PACKERS[suffix](TEXT.encode()))
    assert counts(path) == COUNTS
    assert counts(str(path), block_bytes=3) == COUNTS


def packed(suffix):
    """TEXT in five members, two of them small or empty."""
    return [PACKERS[suffix](text.encode()) for text in MEMBERS]


def unpacked(path):
    """The bytes that both readers get from a compressed file, or None if they refuse it by name."""
    results = []
    for read, error in (
        (lambda: contents(path), FormatError),
        (lambda: corpus_bytes(path), CorpusError),
    ):
        try:
            results.append(read())
        except error as refused:
            results.append(str(refused).startswith(f"{path}, byte "))
    assert results[0] == results[1] is not False
    return None if results[0] is True else results[0]


def corpus_bytes(path):
    return b"".join(block.data.tobytes() for block in blocks(path)).removesuffix(b"\n")


@pytest.mark.parametrize("padding", [0, 1, 4, 5_000])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_packed_files_of_several_members_are_read_to_the_end(tmp_path, suffix, padding):
    path, zeros = tmp_path / f"text{suffix.upper()}", bytes(padding)
    path.write_bytes(zeros.join(packed(suffix)) + zeros)
    assert unpacked(path) == TEXT.encode()
    assert counts(path) == counts(path, block_bytes=1) == COUNTS


@pytest.mark.parametrize(
    "rubbish", [b"x", b"\0\0\0x", b"the king\n" * 500, b"\x1f\x8b", b"PK\x03\x04"]
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rubbish_behind_a_member_is_refused(tmp_path, suffix, rubbish):
    path, members = tmp_path / f"text{suffix}", packed(suffix)
    for data in (members[0] + rubbish + members[1], b"".join(members) + rubbish):
        path.write_bytes(data)
        assert unpacked(path) is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_flipped_bit_and_no_cut_ends_a_packed_file_in_silence(tmp_path, suffix):
    path, whole = tmp_path / f"text{suffix}", b"".join(packed(suffix))
    harmless = 0
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        result = unpacked(path)
        assert result in (None, TEXT.encode()), place
        harmless += result is not None
    assert harmless < 4 * len(
        whole
    )  # the time in a header of gzip; measured: 0 (xz) to 26 % (gzip) of the bits
    ends = set(itertools.accumulate(map(len, packed(suffix))))
    for size in set(range(len(whole))) - ends:
        path.write_bytes(whole[:size])
        assert unpacked(path) is None


def test_folders_are_read_recursively_in_sorted_order(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("second one")
    # without a newline: the end of a file ends word and line
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"third"))
    (tmp_path / ".hidden").write_text("not read")
    assert list(counts(tmp_path)) == ["first", "second", "one", "third"]
    assert list(counts([tmp_path / "c.txt.gz", tmp_path / "b"])) == ["third", "second", "one"]


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert counts("-") == COUNTS


def test_the_built_in_text_is_read_without_a_source():
    assert counts(None)["learning"] == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbfking queen", ["king", "queen"]),
        (b"king\xef\xbb\xbf", ["king\ufeff"]),
        (b"king\0queen\0\0and", ["king", "queen", "and"]),
        (b"king\r\nqueen\r\rand", ["king", "queen", "and"]),
        ("king\xa0queen\u2028and\x85it".encode(), ["king\xa0queen\u2028and\x85it"]),
    ],
)
def test_marks_and_separators(tmp_path, data, words):
    path = tmp_path / "text"
    path.write_bytes(data)
    for size in (1, 2, 1000):
        assert list(counts(path, block_bytes=size)) == words
    assert [word for line in lines(path) for word in re.findall(r"[^\x00-\x20]+", line)] == words


def test_lines_have_no_line_ends(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a b\r\nc\n\nd")
    for size in (1, 4, 100):
        assert list(lines(path, Reading(block_bytes=size)))[:4] == ["a b", "c", "", "d"]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xe6\x97", b"\xed\xa0\x80", b"\xc0\xaf"])
def test_invalid_utf8_names_file_and_byte_or_is_replaced(tmp_path, size, bad):
    path = tmp_path / "bad.txt"
    data = b"king queen " + bad + b" and king"
    path.write_bytes(data)
    assert f"bad.txt: invalid UTF-8 at byte 11 (0x{bad[0]:02x})" in message(path, block_bytes=size)
    assert counts(path, block_bytes=size, errors="replace") == Counter(
        data.decode("utf-8", "replace").split()
    )
    path.write_bytes(b"\xef\xbb\xbf" + data)
    assert "at byte 14" in message(path, block_bytes=size)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_and_damaged_packed_files_are_named(tmp_path, suffix):
    text = " ".join(map(str, np.random.default_rng(0).integers(0, 10**6, 3000))).encode()
    whole = PACKERS[suffix](text)
    path = tmp_path / f"cut{suffix}"
    for keep in (5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        assert re.search(
            rf"cut{suffix}, byte [0-9,]+ of the decompressed data: the compressed data",
            message(path),
        )
    path.write_bytes(b"this is no compressed file at all")
    assert (
        f"cut{suffix}, byte 0 of the decompressed data: the compressed data is damaged"
        in message(path)
    )
    path.write_bytes(b"")
    assert "the compressed data stops before its end" in message(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bombs_stop_at_the_stated_cap(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("w2vjax.compressed.FREE_OUTPUT", 1 << 16)
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(PACKERS[suffix](b"boom " * 4_000_000))
    assert "max_expansion=200 times their size" in message(path)
    assert counts(path, max_expansion=1e9) == {"boom": 4_000_000}


def test_paths_that_cannot_be_read(tmp_path):
    assert "There is no file or folder 'the quick brown fox'" in message("the quick brown fox")
    assert "holds no files" in message(tmp_path)
    assert "named twice" in message(["-", "-"])
    secret = tmp_path / "secret"
    secret.write_text("text")
    secret.chmod(0)
    if os.geteuid():
        assert "secret: cannot be read: Permission denied" in message(secret)


@pytest.mark.parametrize("data", [b"", b"\n\n\r\n", b"\xef\xbb\xbf", b" \0 ", b"\xef\xbb\xbf\n"])
def test_a_corpus_without_words_is_an_error(tmp_path, data):
    path = tmp_path / "empty"
    path.write_bytes(data)
    assert (
        message(path)
        == "The corpus holds no words: it is empty, or nothing but white space. Read more text."
    )


def test_something_without_white_space_is_not_text(tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.corpus.sources.LONGEST_WORD", 10_000)
    path = tmp_path / "blob"
    path.write_bytes(b"word " + b"x" * 20_000)
    assert "blob: no white space in 10,000 bytes from byte 5 on" in message(path, block_bytes=512)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (["king queen", "the"], "no file or folder 'king queen'"),
        (
            (line for line in ["king queen"]),
            "Item 1 of the corpus is 'king queen', not a list of tokens",
        ),
        ([["king"], 7], "Item 2 of the corpus is 7"),
        ([["king", 7]], "Line 1 of the corpus holds 7, a int"),
        ([], "The corpus holds no words"),
        ([[], []], "The corpus holds no words"),
        (iter([]), "it is an iterator, which can be read only once"),
        (b"king", "cannot be read from a bytes"),
        (7, "cannot be read from a int"),
    ],
)
def test_what_is_not_a_corpus_is_refused(source, expected):
    assert expected in message(source)


def test_a_used_up_generator_is_refused():
    source = (line.split() for line in ["king queen"])
    assert counts(source) == {"king": 1, "queen": 1}
    assert "it is an iterator" in message(source)


def test_a_tokenizer_must_return_words(tmp_path):
    path = tmp_path / "text"
    path.write_text("king queen")
    with pytest.raises(CorpusError, match="returned the string 'KING QUEEN' for line 1"):
        build_vocab(path, 1, tokenizer=str.upper)
    assert build_vocab(path, 1, tokenizer=list).counts.sum() == 10


@pytest.mark.parametrize(
    "options", [{"errors": "ignore"}, {"block_bytes": 0}, {"max_expansion": float("nan")}]
)
def test_reading_settings_are_checked(options):
    with pytest.raises(SettingError):
        next(blocks(None, Reading(**options)))


PEAK = """
import sys
from w2vjax.corpus.encode import prepare
def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1])
before = peak()
corpus = prepare(sys.argv[1], min_count=1)
print(len(corpus.ids), len(corpus.vocab), len(corpus.starts), peak() - before)
"""


def peak(path):
    """Tokens, words, lines and the growth of the peak memory in MB, of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    tokens, words, starts, kilobytes = map(int, done.stdout.split())
    return tokens, words, starts, kilobytes / 1024


BOMB = """
from w2vjax.errors import CorpusError
try:
    prepare(sys.argv[1], min_count=1)
except CorpusError as error:
    print(error)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", [".zst", ".bz2"])
def test_a_bomb_is_refused_in_constant_memory(tmp_path, suffix):
    """256 MiB of zeros: 8 kB of zstd, 200 bytes of bzip2."""
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(PACKERS[suffix](bytes(1 << 28)))
    program = PEAK[: PEAK.index("corpus =")] + BOMB
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    said, kilobytes = done.stdout.splitlines()
    assert "expand to more than max_expansion=200 times their size" in said
    assert int(kilobytes) < 200_000  # measured: 102 MB for a gigabyte in 32 kB of zstd


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "kind", ["one 200 MB line", "one line of a million tokens", "1 MB tokens", "short lines"]
)
def test_memory_is_flat_in_the_size_of_the_corpus(tmp_path, kind):
    """Measured 12 to 87 MB. One-letter words take most: a block has most of them."""
    path = tmp_path / "text"
    line = b" ".join(b"w%d" % n for n in range(1000))
    expected = {
        "one 200 MB line": (line + b" ", 200_000_000 // 4_890, 1000, 1),
        "one line of a million tokens": (line + b" ", 1000, 1000, 1),
        "1 MB tokens": (b"x" * 1_000_000 + b" " + b"y" * 1_000_000 + b"\n", 20, 2, 20),
        "short lines": (b"a b\n" * 1000, 40_000, 2, 40_000_000),
    }[kind]
    unit, times, words, starts = expected
    with open(path, "wb") as file:
        for _ in range(times):
            file.write(unit)
    got = peak(path)
    assert got[:3] == (len(unit.split()) * times, words, starts)
    print(f"{kind}: {got[3]:.0f} MB")
    assert got[3] < 150


def test_without_zstandard_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = tmp_path / "text.zst"
    path.write_bytes(b"")
    assert "needs the zstandard package. Install it: pip install 'w2vjax[zstd]'" in message(path)
