"""Every kind of source gives the same words. Every fault is one sentence that names it."""

import bz2
import contextlib
import gzip
import io
import itertools
import json
import lzma
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import zstandard
from faults import as_nobody
from marks import slow

from w2vjax.corpus.count import build_vocab
from w2vjax.corpus.encode import encode, prepare
from w2vjax.corpus.sources import READING, Reading, blocks_of, lines, parts
from w2vjax.errors import CorpusError, FormatError, SettingError
from w2vjax.formats.safetensors import write_tensors
from w2vjax.reading import contents
from w2vjax.vocab import Vocab

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
RESULT = (
    "is a result of w2vjax, which is no text. Leave it out: name the texts one by one, or keep "
    "results in another folder."
)
MEMBERS = ["the king\n", "the queen and the king\n", "\n", "", "über日本 the\n"]


def counts(source, **options):
    vocab = build_vocab(source, 1, reading=Reading(**options))
    return dict(zip(vocab.words, vocab.counts.tolist(), strict=True))


def tar_of(text, form):
    """The bytes of a tar archive with one text in it."""
    file, member = io.BytesIO(), tarfile.TarInfo("ü.txt")
    member.size = len(text)
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        archive.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()


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
    [part] = parts(path)
    return b"".join(block.tobytes() for block in blocks_of(part, READING)).removesuffix(b"\n")


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


def check_damage(path, members, flips, cuts):
    """Each flipped bit is refused or changes nothing. Returns the share that changes nothing."""
    whole, harmless = b"".join(members), 0
    path.write_bytes(whole)
    text = corpus_bytes(path)
    for bit in flips:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        result = unpacked(path)
        assert result in (None, text), bit
        harmless += result is not None
    for size in set(cuts) - set(itertools.accumulate(map(len, members))):
        path.write_bytes(whole[:size])
        assert unpacked(path) is None
    return harmless / len(flips)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_flipped_bit_and_no_cut_ends_a_packed_file_in_silence(tmp_path, suffix):
    members = packed(suffix)
    size = len(b"".join(members))
    flips = range(0, 8 * size, 11)  # 11 and 8 share no divisor: every byte, every place in a byte
    # what is harmless is a time in a header of gzip; measured: 0 (xz) to 26 % (gzip) of all bits
    assert check_damage(tmp_path / f"text{suffix}", members, flips, range(0, size, 3)) < 0.5


@pytest.mark.parametrize("text", [TEXT, TEXT * 9, "x\n"])
def test_no_flipped_bit_ends_a_zstandard_file_without_a_checksum(tmp_path, text):
    """A letter may be another one."""
    path, whole = tmp_path / "text.zst", zstandard.ZstdCompressor().compress(text.encode())
    for bit in range(0, 8 * len(whole), 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with contextlib.suppress(CorpusError):
            assert len(corpus_bytes(path)) == len(text.encode()), bit
    path.write_bytes(whole)
    assert corpus_bytes(path) == text.encode()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_thousand_flips_and_two_hundred_cuts_of_a_large_packed_file(tmp_path, suffix):
    rng = np.random.default_rng(7)
    words = rng.integers(0, 10**5, (3, 20_000))
    members = [PACKERS[suffix](" ".join(map(str, row.tolist())).encode() + b"\n") for row in words]
    size = len(b"".join(members))
    flips, cuts = rng.integers(0, 8 * size, 1000), rng.integers(0, size, 200)
    harmless = check_damage(tmp_path / f"text{suffix}", members, flips.tolist(), cuts.tolist())
    print(f"{suffix}: {harmless:.1%} of 1,000 flips harmless, all cuts refused")


def test_folders_are_read_recursively_in_sorted_order(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("second one")
    # without a newline: the end of a file ends word and line
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"third", mtime=0))
    (tmp_path / ".hidden").write_text("not read")
    assert list(counts(tmp_path)) == ["first", "second", "one", "third"]
    assert list(counts([tmp_path / "c.txt.gz", tmp_path / "b"])) == ["third", "second", "one"]


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("kind", "name", "make"),
    [
        ("a named pipe", "other", os.mkfifo),
        ("a named pipe", "b.txt", os.mkfifo),
        ("a named pipe", "b.txt.gz", os.mkfifo),
        ("a link to a named pipe", "c.txt", lambda path: path.symlink_to("../pipe")),
        ("a socket", "other", bound_socket),
        ("a link to a folder", "other", lambda path: path.symlink_to(path.parent)),
        ("a link to a folder", "b.txt", lambda path: path.symlink_to("../folder")),
        ("a link to a folder", "b", lambda path: path.symlink_to(Path("../folder").resolve())),
        ("a link to a folder", "b", lambda path: path.symlink_to("../link")),
        ("a link to a device", "other", lambda path: path.symlink_to("/dev/zero")),
        ("a link to a device", "b.txt", lambda path: path.symlink_to("/dev/null")),
        ("cannot be read: No such file", "other", lambda path: path.symlink_to("nowhere")),
        ("cannot be read: Too many levels", "other", lambda path: path.symlink_to(path)),
    ],
)
def test_what_is_no_file_in_a_folder_is_refused_by_name(tmp_path, monkeypatch, kind, name, make):
    os.mkfifo(tmp_path / "pipe")
    for folder in ("sub", "folder"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("a b")
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path / "sub")  # the address of a socket is short
    make(Path(name))
    said = message(tmp_path / "sub")
    assert str(tmp_path / "sub" / name) in said
    assert kind in said
    Path(name).unlink()
    Path("link.txt").symlink_to("a.txt")
    assert counts(tmp_path / "sub") == {"a": 2, "b": 2}  # a link to a file is read


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_corpus(path):
    assert f"{path} is a device. Name a file, or - for standard input" in message(path)


def test_a_named_pipe_that_is_named_is_read(tmp_path):
    """A shell makes <(zcat text.gz) such a pipe."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a b a",))
    writer.start()
    assert counts(tmp_path / "pipe") == {"a": 2, "b": 1}
    writer.join()


@pytest.mark.parametrize("name", ["sub", "sub/a.txt", "."])
def test_what_may_not_be_read_is_refused_by_name(name):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sub").mkdir()
        Path(folder, "sub/a.txt").write_text("a b")
        os.chmod(folder, 0o755)
        os.chmod(Path(folder, name), 0)
        with as_nobody():
            said = message(folder)
        assert str(Path(folder, name)) in said
        assert "cannot be read: Permission denied. Check the path" in said


def test_results_in_a_folder_of_text_are_left_out(tmp_path, monkeypatch):
    for name in ("a.txt", "run/log.jsonl", "run/deep/x", "runs/b.txt", ".git/objects"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("run/log.jsonl")
    for out in ("run", "./run/", tmp_path / "run", Path("runs/../run")):
        assert set(counts(".", leave_out=(out, "link"))) == {"a.txt", "runs/b.txt"}
    assert set(counts(tmp_path, leave_out=("run/deep", "runs"))) == {"a.txt", "run/log.jsonl"}
    assert set(counts("run/log.jsonl", leave_out=("run",))) == {"run/log.jsonl"}  # it is named
    assert "The folder 'run' is for results" in message("run", leave_out=(tmp_path / "run",))
    again = [prepare("runs", "runs/cache", 1).vocab.words for _ in range(2)]
    assert again == [("runs/b.txt",)] * 2


def test_a_command_in_its_own_folder_of_text_does_not_read_its_results(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_bytes("café noir\n".encode("latin-1") * 60)
    find = ("phrases", ".", "--out", "joined.txt", "--list", "list.tsv", "--json", "all.json")
    assert "--encoding latin-1" in cli(*find).err
    assert not list(tmp_path.glob("*.*s*"))
    for _ in range(2):
        assert cli(*find, "--encoding", "latin-1").code == 0
        assert Path("joined.txt").read_text() == "café noir\n" * 60
    for name in ("joined.txt", "list.tsv", "all.json"):
        Path(name).unlink()
    train = ("train", ".", "--out", "run", "--checkpoint", "kept", "--cache", "cache", "--quiet")
    small = ("--dim", 2, "--epochs", 1, "--sample", 0, "--encoding", "latin-1")
    for folder in ("run", "kept", "cache"):
        Path(folder).mkdir()
        Path(folder, "log.jsonl").write_text("an earlier run\n" * 9)
    assert cli(*train, *small).code == 0
    summary = Path("run/summary.json")
    assert json.loads(summary.read_text())["corpus"].startswith("60 lines")
    # a later run elsewhere, from the same folder, does not take them for text either
    (cached,) = Path("cache").glob("*.json")
    for name, file in {"s": summary, "l.txt": Path("run/log.jsonl"), cached.name: cached}.items():
        place = tmp_path / "texts" / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(file.read_bytes())
        assert message("texts") == f"{Path('texts', name)} {RESULT}"
        place.unlink()


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "café à la crème\ncafé"),
        ("cp1252", "“café” – 5 €\nŒuvre"),
        ("utf-16", TEXT),
        ("utf-16-be", TEXT),
        ("utf-32", "\U0001f600 a\n"),
        ("shift_jis", "日本 語\n日本"),
        ("gb18030", "中文 文字\r\n中文"),
        ("utf-8-sig", TEXT),
    ],
)
def test_other_encodings(tmp_path, encoding, text, size):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(text.encode(encoding)))
    assert counts(path, encoding=encoding, block_bytes=size) == Counter(text.split())
    found = list(lines(path, Reading(encoding=encoding, block_bytes=size)))
    assert len(found) == len(text.removesuffix("\n").split("\n"))


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    ("encoding", "data", "place"),
    [
        ("ascii", b"king \xe9", 5),
        ("shift_jis", b"a b \x81", 4),
        ("utf-16-le", b"a\0 \0\0\xd8 \0", 4),
    ],
)
def test_what_another_encoding_does_not_allow_is_named(tmp_path, encoding, data, place, size):
    path = tmp_path / "text"
    path.write_bytes(data)
    options = {"encoding": encoding, "block_bytes": size}
    assert f"invalid {encoding.upper()} at byte {place}" in message(path, **options)
    assert any("\ufffd" in word for word in counts(path, **options, errors="replace"))


@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("a".encode("utf-16"), "it is UTF-16 text, which is not UTF-8. Convert"),
        (b"\xfe\xff\0a", "it is UTF-16 text"),
        ("a".encode("utf-32"), "it is UTF-32 text"),
        (("the king " * 20).encode("utf-16-le"), "it is UTF-16-LE text, which is not UTF-8"),
        (("the king " * 20).encode("utf-16-be"), "it is UTF-16-BE text"),
        (("король и королева " * 9).encode("utf-16-le"), "it is UTF-16-LE text"),
        (("the king " * 20).encode("utf-32-le"), "it is UTF-32-LE text"),
        (b"PK\x03\x04text", "it is a zip archive. Unpack it"),
        (gzip.compress(b"a", mtime=0), "it is compressed by gzip. Let its name end in .gz"),
        (bz2.compress(b"a"), "it is compressed by bzip2"),
        (lzma.compress(b"a"), "it is compressed by xz"),
        (zstandard.compress(b"a"), "it is compressed by zstd"),
        (b"%PDF-1.7\n", "it is a PDF document"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "it is a 7z archive"),
        (tar_of("the king\n", tarfile.USTAR_FORMAT), "it is a tar archive. Unpack it"),
        (tar_of("", tarfile.GNU_FORMAT), "it is a tar archive"),
        (tar_of("the king\n" * 999, tarfile.PAX_FORMAT), "it is a tar archive"),
    ],
)
def test_what_is_no_text_is_named_whatever_the_block_size(tmp_path, data, says, errors):
    path = tmp_path / "data"
    path.write_bytes(data)
    for size in (1, 50, 1000):
        assert f"data: {says}" in message(path, errors=errors, block_bytes=size)
    if "UTF" in says:  # the remedy is one
        said = message(path)
        name = said.partition("--encoding ")[2].partition(" ")[0]
        assert f"Reading(encoding={name!r})" in said
        assert next(iter(counts(path, encoding=name))) in {"a", "the", "король"}


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
        assert list(lines(path, Reading(block_bytes=size))) == ["a b", "c", "", "d"]


@pytest.mark.parametrize("data", [b"a b\na\n", b"a b\na", b"\xef\xbb\xbfa b\r\na\r\n"])
def test_a_tokenizer_gets_no_line_behind_the_last(tmp_path, data):
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty").touch()
    for size in (1, 5, 100):
        marked = build_vocab(
            tmp_path,
            1,
            tokenizer=lambda line: ["<s>", *line.split()],
            reading=Reading(block_bytes=size),
        )
        assert dict(zip(marked.words, marked.counts.tolist(), strict=True)) == {
            "<s>": 4,
            "a": 4,
            "b": 2,
        }


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
    path.write_bytes(PACKERS[suffix](b"boom " * 400_000))
    assert "max_expansion=200 times their size" in message(path)
    assert counts(path, max_expansion=1e9) == {"boom": 400_000}


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
        (b"king", "cannot be read from an object of type bytes"),
        (7, "cannot be read from an object of type int"),
        (np.array("a.txt"), "cannot be read from an object of type ndarray"),
        (jnp.arange(3)[0], "cannot be read from an object of type ArrayImpl"),
        ([np.array("king")], "Item 1 of the corpus is array('king', dtype='<U4'), not a list"),
        ({("king", "queen"), ("the",)}, "cannot be read from an object of type set"),
        ([["the"], {"king", "queen"}], "Item 2 of the corpus is {"),
        ([["the"], frozenset(["king"])], "Item 2 of the corpus is frozenset"),
        ((Path(name) for name in ("a.txt", "b.txt")), "Item 1 of the corpus is the path 'a.txt'"),
        ([["the"], Path("a.txt")], "Item 2 of the corpus is the path 'a.txt'"),
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
    for tokenizer, said in (
        (str.upper, "'KING QUEEN'"),
        (lambda line: None, "None"),
        (len, "10"),
        (lambda line: {*line.split()}, "{"),
    ):
        with pytest.raises(CorpusError, match=f"returned {said}.* for line 1"):
            build_vocab(path, 1, tokenizer=tokenizer)
    assert build_vocab(path, 1, tokenizer=list).counts.sum() == 10


@pytest.mark.parametrize(
    "options",
    [
        {"errors": "ignore"},
        *({"block_bytes": value} for value in (0, None, 1.5, "1")),
        *({"max_expansion": value} for value in (float("nan"), 0, None, "2", True)),
        *({"encoding": name} for name in ("klingon", "rot13", "", 8, None, "a\0")),
        *({"leave_out": paths} for paths in ("run", (3,), None, [None])),
        *({"together": value} for value in ("yes", 1, None)),
    ],
)
def test_reading_settings_are_checked(options):
    for read in (lambda how: parts(None, how), lambda how: prepare(None, reading=how)):
        with pytest.raises(SettingError, match=next(iter(options))):
            read(Reading(**options))


PEAK = """
import sys
from w2vjax.corpus.encode import encode, prepare
from w2vjax.corpus.sources import Reading
def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1])
before = peak()
corpus = prepare(sys.argv[1], min_count=1, reading=Reading(threads=2))
print(len(corpus.ids), len(corpus.vocab), len(corpus.starts), peak() - before)
"""


def peak(path):
    """Tokens, words, lines and the growth of the peak memory in MB, of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    tokens, words, starts, kilobytes = map(int, done.stdout.split())
    return tokens, words, starts, kilobytes / 1024


REFUSED = """
import gc
from w2vjax.errors import CorpusError
gc.disable()  # what a refused file has filled is free at once
for path in sys.argv[1:]:
    try:
        prepare(path, min_count=1)
    except CorpusError as error:
        print(error)
print(peak() - before)
"""


BOMBS = list(itertools.product((b"\0", b" ", b"\n", b"x"), SUFFIXES))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("bombs", [[(b" ", ".zst")], *slow(BOMBS)], ids=len)
def test_bombs_are_refused_in_constant_memory(tmp_path, bombs):
    """256 MiB of one byte in 8 kB of .zst, 72 MiB in 50 bytes of .bz2 and in 11 kB of .xz."""
    paths = [tmp_path / f"{number}{suffix}" for number, (_, suffix) in enumerate(bombs)]
    for path, (byte, suffix) in zip(paths, bombs, strict=True):
        path.write_bytes(PACKERS[suffix](byte * (1 << 28 if suffix == ".zst" else 9 << 23)))
    program = PEAK[: PEAK.index("corpus =")] + REFUSED
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True
    )
    *said, kilobytes = done.stdout.splitlines()
    for path, (byte, _), line in zip(paths, bombs, said, strict=True):
        refused = "no white space in 16,777,216 bytes" if byte == b"x" else "max_expansion=200"
        assert line.startswith(str(path))
        assert refused in line
    assert int(kilobytes) < 300_000  # measured: 24 to 188 MB for each


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "kind", ["one 200 MB line", "one line of a million tokens", "1 MB tokens", "short lines"]
)
def test_memory_is_flat_in_the_size_of_the_corpus(tmp_path, kind):
    """Measured up to 164 MB for two threads. A block of one-letter words has most of them."""
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
    assert got[3] < 220


def test_without_zstandard_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = tmp_path / "text.zst"
    path.write_bytes(b"")
    assert "needs the zstandard package. Install it: pip install 'w2vjax[zstd]'" in message(path)


# --- compressed text without a name, and results among texts -------------------------------------


@pytest.mark.parametrize(
    ("pack", "tool"),
    [
        (gzip.compress, "zcat"),
        (bz2.compress, "bzcat"),
        (lzma.compress, "xzcat"),
        (zstandard.compress, "zstdcat"),
    ],
)
def test_a_compressed_stream_is_told_how_to_decompress_itself(tmp_path, monkeypatch, pack, tool):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(pack(b"the king"))))
    said = message("-")
    assert said.endswith(f"Decompress it: {tool} FILE | w2vjax ... -")
    os.mkfifo(tmp_path / "pipe")  # as <(cat text.gz) is one
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(pack(b"the king"),))
    writer.start()
    assert message(tmp_path / "pipe").endswith(f"Decompress it: {tool} FILE | w2vjax ... -")
    writer.join()


CACHED = [f"corpus-0123456789abcdef.{kind}" for kind in ("ids", "json", "starts")]


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "vectors.bin", "checkpoint-000000000123.safetensors"),
        *("log.jsonl.partial", *CACHED),
    ],
)
def test_a_result_in_a_folder_of_texts_is_named_as_one(tmp_path, name):
    (tmp_path / "text.txt").write_text("a b")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"\xff\xfe\xfd")
    said = message(tmp_path)
    assert said.startswith(f"{tmp_path / 'run' / name} is a result of w2vjax, which is no text.")
    assert "Leave it out" in said
    assert counts(tmp_path, leave_out=[tmp_path / "run"]) == {"a": 1, "b": 1}


RECORD = {"epoch": 1, "step": 5, "words": 1600, "loss": 2.99, "learning_rate": 1e-5}
RECORDS = [
    json.dumps(RECORD) + "\n" + json.dumps(RECORD),
    json.dumps(RECORD | {"loss": None}),
    json.dumps(RECORD, separators=(",", ":"), sort_keys=True),
    json.dumps(RECORD)[:60],  # the run was killed while it wrote
]


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("name", ["log.jsonl", "run.txt", "deep/er/any name"])
def test_a_log_of_any_name_in_a_folder_of_texts_is_named_as_one(tmp_path, name, record):
    log = tmp_path / name
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(record)
    (tmp_path / "text.txt").write_text("a b")
    assert message(tmp_path) == f"{log} {RESULT}"
    assert counts(tmp_path, leave_out=[log]) == {"a": 1, "b": 1}
    assert sum(counts(log).values()) == len(record.split())  # who names it wants it


@pytest.mark.parametrize("lines", [["", "a b"], ["c", "b a", "a"], ["a"]])
def test_encoded_text_in_a_folder_of_texts_is_named_as_a_result(tmp_path, lines):
    (tmp_path / "text.txt").write_text("\n".join(lines))
    encode(tmp_path, Vocab(("a", "b"), [2, 1]), tmp_path / "any.name")
    assert message(tmp_path) == f"{tmp_path / 'any.name.starts'} {RESULT}"
    leave_out = [tmp_path / "any.name", tmp_path / "any.name.starts"]
    assert counts(tmp_path, leave_out=leave_out) == Counter(" ".join(lines).split())


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "a", "words": 3, "loss": 1}\n',
        '{"text": "\\"epoch\\": 1 \\"step\\": 1 \\"words\\": 1 \\"loss\\": 1"}\n',
        '{"epoch": 1}\n{"step": 1}\n{"words": 1, "loss": 1}\n',
        '["epoch":, "step":, "words":, "loss":]',
        'a log has {"epoch": 1, "step": 1, "words": 1, "loss": 1}',
        '{"words": 3, "vocabulary": "Latin"}',
        "{" * 9999,
    ],
)
@pytest.mark.parametrize("name", ["log.jsonl", "summary.json", "corpus-1.json", "a.starts"])
def test_text_that_looks_like_a_result_is_read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert sum(counts(tmp_path).values()) == len(text.split())


@pytest.mark.parametrize("header", [{}, {"format": "w2vjax model 1"}, {"x": "y" * 300}])
def test_safetensors_of_any_name_are_no_text(tmp_path, header):
    path = tmp_path / "data"
    write_tensors(path, {"input": np.ones((2, 2), np.float32)}, header)
    said = message(path)
    assert "it is a safetensors file, which holds tables of numbers. Leave it out" in said


def test_an_archive_that_needs_much_memory_is_not_called_damaged(tmp_path):
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=28)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (tmp_path / "x.txt.zst").write_bytes(packer.compress(b"a b\n" * 50) + packer.flush())
    with pytest.raises(CorpusError, match=r"needs too much memory .* yourself"):
        prepare(tmp_path / "x.txt.zst", min_count=1)
