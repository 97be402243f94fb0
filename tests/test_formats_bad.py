"""Malformed, truncated, flipped and lying files: every one is an error that names the file and the
place.
"""

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import zstandard

import w2vjax as w2v
from w2vjax.formats.safetensors import pack_words, write_tensors
from w2vjax.formats.table import first_non_finite

ONE = struct.pack("<f", 1.0)
NAN = struct.pack("<f", float("nan"))


def safe(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


WORDS = {"words.offsets": tensor("I64", [2], 4, 20), "words.bytes": tensor("U8", [1], 20, 21)}
TABLE = {"input": tensor("F32", [1, 1], 0, 4)}
OFFSETS = struct.pack("<2q", 0, 1)


def npy(header, data=ONE):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def shaped(shape, dtype="<f4"):
    return b"{'descr': '%b', 'fortran_order': False, 'shape': %b, }\n" % (dtype.encode(), shape)


# (what is wrong, file name, content, what the message has to say about the place)
BAD = [
    ("empty text", "x.txt", b"", "line 1"),
    ("blank first line", "x.txt", b"\n1 1\n", "line 1"),
    ("only a word", "x.txt", b"hello\n", "line 1"),
    ("header with a negative number", "x.txt", b"-2 3\na 1 2 3\n", "line 1"),
    ("header with no dimensions", "x.txt", b"2 0\na\nb\n", "line 1"),
    ("no words of a width that nothing has", "x.txt", b"0 900000000000000000\n", "line 1"),
    ("the same in binary", "x.bin", b"0 900000000000000000\n", "byte 0"),
    ("header of 10,000 digits", "x.txt", b"9" * 10_000 + b" 3\na 1 2 3\n", "line 1"),
    ("more words promised than lines", "x.txt", b"3 2\na 1.25 2.25\nb 1.25 2.25\n", "line 4"),
    ("more words promised than bytes", "x.txt", b"1000000 2\na 1 2\n", "line 1"),
    ("a few more words promised than bytes", "x.txt", b"9 2\na 1 2\n", "line 1"),
    ("fewer words promised", "x.txt", b"1 2\na 1 2\nb 1 2\n", "line 3"),
    ("a short row", "x.txt", b"2 2\na 1.5 2.5\nb 1.5\n", "line 3"),
    ("a row that lacks its word or a number", "x.txt", b"2 2\n1 2\nb 3 4\n", "line 2: there are 1"),
    ("a single number, which gensim broadcasts", "x.txt", b"2 3\na 1.5 2.5 3.5\nb 1.5\n", "line 3"),
    ("rows longer than the header says", "x.txt", b"2 2\na 1. 2 3\nb 1e5 2 3\n", "line 1"),
    ("a long row without a header", "x.txt", b"a 1 2\nb 1 2 3\n", "line 2"),
    ("short and long rows that add up", "x.txt", b"2 2\na 1\nb 1 2 3\n", "line 2"),
    ("not a number", "x.txt", b"2 2\na 1 2\nb 1 two\n", "line 3"),
    ("hexadecimal", "x.txt", b"1 1\na 0x1p3\n", "line 2"),
    ("underscores, which float() takes", "x.txt", b"1 1\na 1_0\n", "line 2"),
    ("a decimal comma", "x.txt", b"1 1\na 1,5\n", "line 2"),
    ("two signs", "x.txt", b"1 1\na 1-5\n", "line 2"),
    ("NaN", "x.txt", b"2 1\na 1\nb nan\n", "line 3"),
    ("overflow", "x.txt", b"1 1\na 1e39\n", "line 2"),
    ("the same word twice", "x.txt", b"3 1\na 1\nb 1\na 2\n", "line 4"),
    ("tabs between numbers", "x.txt", b"1 2\na 1\t2\n", "line 2"),
    ("two spaces", "x.txt", b"1 2\na 1  2\n", "line 2"),
    ("an empty word", "x.txt", b"1 1\n 1\n", "line 2"),
    ("a space before a word", "x.txt", b"2 2\na 1 2\n b 3 4\n", "line 3: a space stands before"),
    ("spaces before the first", "x.txt", b"1 2\n  b c 3 4\n", "line 2: a space stands before"),
    ("a space and no header", "x.txt", b" a 1 2\nb 1 2\n", "line 1: a space stands before"),
    ("a last line of spaces", "x.txt", b"2 1\na 1\nb 1\n  \n", "line 4: the line is empty"),
    ("the same of one space", "x.txt", b"1 2\r\na 1 2\r\n \r\n", "line 3: the line is empty"),
    (
        "numbers, last line empty",
        "tensors.tsv",
        b"1\t2\n3\t4\n\n",
        r"tensors.tsv, line 3: the line is",
    ),
    ("the same of one dimension", "tensors.tsv", b"1\r\n3\r\n\r\n\n", "line 3: the line is empty"),
    ("an empty line", "x.txt", b"2 1\na 1\n\nb 1\n", "line 3"),
    ("NUL in a word", "x.txt", b"1 1\na\0b 1\n", "line 2"),
    ("invalid UTF-8", "x.txt", b"2 1\na 1\n\xff\xfe 1\n", "line 3"),
    ("UTF-16", "x.txt", "1 1\na 1\n".encode("utf-16"), "byte 0: it is UTF-16"),
    ("no end of the last line", "x.txt", b"1 1\na 0.12", "byte 10"),
    ("GloVe rows of two widths", "x.txt", b"a 1 2\nb 1 2\nc 1\n", "line 3"),
    ("empty binary", "x.bin", b"", "byte 0"),
    ("binary without header", "x.bin", b"\0" * 100, "byte 0"),
    ("binary, header promises more", "x.bin", b"2 1\na " + ONE + b"\n", "byte 0"),
    (
        "binary, record cut",
        "x.bin",
        b"2 1\naaaaaaaa " + ONE + b"\nb " + ONE[:2],
        r"byte 18 \(row 1\)",
    ),
    ("binary, no space", "x.bin", b"1 1\naaaaaaaaaaa", r"byte 4 \(row 0\)"),
    ("binary, bytes after the end", "x.bin", b"1 1\na " + ONE + b"\nb " + ONE + b"\n", "byte 11"),
    ("binary, dimensions too few", "x.bin", b"1 1\na " + ONE + ONE + b"\n", "byte 10"),
    ("binary, NaN", "x.bin", b"2 1\na " + ONE + b"\nb " + NAN + b"\n", r"byte 11 \(row 1\)"),
    ("binary, twice", "x.bin", b"2 1\na " + ONE + b"\na " + ONE + b"\n", r"byte 11 \(row 1\)"),
    ("binary, NUL", "x.bin", b"1 1\na\0 " + ONE + b"\n", r"byte 4 \(row 0\)"),
    ("binary, invalid UTF-8", "x.bin", b"1 1\n\xff " + ONE + b"\n", r"byte 4 \(row 0\)"),
    ("binary, empty word", "x.bin", b"1 1\n " + ONE + b"\n", "byte 4"),
    ("a fastText model", "x.bin", struct.pack("<2i", 793712314, 12), "byte 0"),
    ("a pickle", "x.bin", b"\x80\x04\x95\x05", "byte 0"),
    ("a zip archive", "x.npy", b"PK\x03\x04", "byte 0"),
    ("safetensors, too short", "x.safetensors", b"\x01", "byte 1"),
    ("safetensors, header too long", "x.safetensors", struct.pack("<Q", 2**60) + b"{}", "byte 0"),
    ("safetensors, no JSON", "x.safetensors", safe(b"{"), "byte 8"),
    ("safetensors, deep JSON", "x.safetensors", safe(b"[" * 200_000), "byte 8"),
    *(
        (
            "safetensors, no array has this shape",
            "x.safetensors",
            safe({"a": tensor("F32", shape, 0, 0)}),
            "byte 8",
        )
        for shape in ([0, 2**47, 2**47], [2**47, 0, 2**40], [1, 2**24, 2**24, 0], [0] + [2**7] * 7)
    ),
    ("safetensors, a list", "x.safetensors", safe([]), "byte 8"),
    ("safetensors, name twice", "x.safetensors", safe(b'{"a":1,"a":2}'), "byte 8"),
    (
        "safetensors, unknown dtype",
        "x.safetensors",
        safe({"a": tensor("PY", [1], 0, 4)}, ONE),
        "byte 8, tensor 'a'",
    ),
    (
        "safetensors, a width that nothing has",
        "x.safetensors",
        safe({"input": tensor("F32", [0, 2**61], 0, 0)}),
        "byte 8, tensor 'input'",
    ),
    (
        "safetensors, shape lies",
        "x.safetensors",
        safe({"a": tensor("F32", [9], 0, 4)}, ONE),
        "byte 8, tensor 'a'",
    ),
    (
        "safetensors, negative",
        "x.safetensors",
        safe({"a": tensor("F32", [-1], 0, -4)}),
        "byte 8, tensor 'a'",
    ),
    (
        "safetensors, true as size",
        "x.safetensors",
        safe({"a": tensor("F32", [True], 0, 4)}, ONE),
        "byte 8, tensor 'a'",
    ),
    (
        "safetensors, gap",
        "x.safetensors",
        safe({"a": tensor("F32", [1], 4, 8)}, ONE + ONE),
        "byte [0-9]+",
    ),
    (
        "safetensors, overlap",
        "x.safetensors",
        safe({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 0, 4)}, ONE),
        "byte [0-9]+",
    ),
    (
        "safetensors, trailing bytes",
        "x.safetensors",
        safe({"a": tensor("F32", [1], 0, 4)}, ONE + b"!"),
        "byte [0-9]+",
    ),
    ("safetensors, no words", "x.safetensors", safe(TABLE, ONE), "it holds no words"),
    (
        "safetensors, offsets run back",
        "x.safetensors",
        safe(TABLE | WORDS, ONE + struct.pack("<2q", 1, 1) + b"a"),
        "tensor 'words.offsets'",
    ),
    (
        "safetensors, word not UTF-8",
        "x.safetensors",
        safe(TABLE | WORDS, ONE + OFFSETS + b"\xff"),
        r"tensor 'words.bytes', byte 0 \(row 0\)",
    ),
    (
        "safetensors, NaN without checksum",
        "x.safetensors",
        safe(TABLE | WORDS, NAN + OFFSETS + b"a"),
        "row 0",
    ),
    (
        "safetensors, checksum gone",
        "x.safetensors",
        safe({"__metadata__": {"format": "w2vjax 1"}} | TABLE | WORDS, ONE + OFFSETS + b"a"),
        "byte 8, __metadata__",
    ),
    (
        "safetensors, checksum no hash",
        "x.safetensors",
        safe({"__metadata__": {"sha256": "\ud800"}} | TABLE | WORDS, ONE + OFFSETS + b"a"),
        "byte 8, __metadata__",
    ),
    ("npy, not one", "x.npy", b"hello", "byte 0"),
    ("npy, objects, which is a pickle", "x.npy", npy(shaped(b"(1, 1)", "|O")), "byte 10"),
    ("npy, code for a header", "x.npy", npy(b"__import__('os').system('true')\n"), "byte 10"),
    ("npy, one dimension", "x.npy", npy(shaped(b"(1,)")), "byte 10"),
    ("npy, integers", "x.npy", npy(shaped(b"(1, 1)", "<i4")), "byte 10"),
    ("npy, lies about its size", "x.npy", npy(shaped(b"(999999999, 999999999)")), "byte [0-9]+"),
    (
        "npy, more vectors than words",
        "x.npy",
        npy(shaped(b"(2, 1)"), ONE + ONE),
        r"x.vocab, line 1",
    ),
    ("npy, NaN", "x.npy", npy(shaped(b"(1, 1)"), NAN), r"byte [0-9]+ \(row 0\)"),
    ("projector, two widths", "tensors.tsv", b"1\t2\n1\n", "line 2"),
    ("projector, no number", "tensors.tsv", b"1\t2\n1\tx\n", "line 2"),
    ("projector, more labels", "tensors.tsv", b"1\t2\n", "metadata.tsv, line 2"),
    ("projector, empty", "tensors.tsv", b"", "line 1"),
    ("gzip, cut", "x.txt.gz", gzip.compress(b"1 1\na 1\n")[:-5], "byte 0 of the decompressed"),
    ("gzip, none", "x.txt.gz", b"1 1\na 1\n", "byte 0 of the decompressed"),
    (
        "gzip, a bomb of 1000:1",
        "x.txt.gz",
        partial(gzip.compress, bytes(80_000_000)),
        "byte [0-9,]+ of the decompressed",
    ),
    ("bzip2, none", "x.txt.bz2", b"1 1\na 1\n", "byte 0 of the decompressed"),
    (
        "bzip2, a bomb",
        "x.bin.bz2",
        partial(bz2.compress, bytes(80_000_000)),
        "byte [0-9,]+ of the decompressed",
    ),
    (
        "xz, a bomb",
        "x.vec.xz",
        partial(lzma.compress, bytes(80_000_000), preset=0),
        "byte [0-9,]+ of the decompressed",
    ),
    (
        "zstd, a bomb",
        "x.vec.zst",
        partial(zstandard.compress, bytes(80_000_000)),
        "byte [0-9,]+ of the decompressed",
    ),
    (
        "zstd, cut",
        "x.vec.zst",
        zstandard.compress(b"1 1\na 1\n")[:-1],
        "byte 0 of the decompressed",
    ),
    (
        "npy, float64 beyond float32",
        "x.npy",
        npy(shaped(b"(1, 1)", "<f8"), struct.pack("<d", -1e300)),
        "row 0",
    ),
    (
        "safetensors, float64 beyond float32",
        "x.safetensors",
        safe(
            {"input": tensor("F64", [1, 1], 21, 29)}
            | {"words.offsets": tensor("I64", [2], 0, 16), "words.bytes": tensor("U8", [1], 16, 17)}
            | {"pad": tensor("U8", [4], 17, 21)},
            OFFSETS + b"a" + bytes(4) + struct.pack("<d", 1e39),
        ),
        "row 0",
    ),
    (
        "two spaces after a word",
        "x.txt",
        b"2 3\na  1 2 3\nb 4 5 6\n",
        "line 2: two spaces follow the word",
    ),
    (
        "three spaces after a word",
        "x.vec",
        b"b 4 5 6\na   1 2 3\n",
        "line 2: two spaces follow the word",
    ),
    *(
        (f"two spaces after a word, {kind}", "x.txt", data, f"line {line}: two spaces follow")
        for kind, data, line in (
            ("of one number", b"2 1\nb 4\na  1\n", 3),
            ("CRLF", b"2 3\r\na 1 2 3\r\nb  4 5 6\r\n", 3),
            ("in UTF-8", "1 2\n中文  1 2\n".encode(), 2),
        )
    ),
]
assert len(BAD) >= 40


@pytest.mark.parametrize(
    ("name", "data", "place"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_malformed_files_are_named_with_the_place(tmp_path, cli, name, data, place):
    path = tmp_path / name
    path.write_bytes(data() if callable(data) else data)  # a bomb takes long to make
    (tmp_path / "x.vocab").write_bytes(b"a 1\n")
    (tmp_path / "metadata.tsv").write_bytes(b"a\nb\n")
    with pytest.raises(w2v.errors.FormatError) as caught:
        w2v.load(path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert re.search(place, message), message
    assert "\n" not in message
    run = cli("info", path)
    assert (run.code, run.out) == (4, "")
    assert run.err == f"w2vjax info: {message}\n"


# 3.4028235e38 is the largest float32; from half a step above it on, a number rounds to infinity.
BEYOND = [3.40282346e38, -3.40282356e38, 3.40282357e38, -3.4028236e38, 1e39, -1e300]


@pytest.mark.parametrize("number", BEYOND)
@pytest.mark.parametrize("name", ["x.txt", "x.npy", "x.safetensors", "tensors.tsv"])
def test_a_number_beyond_float32_is_refused_and_the_largest_is_kept(tmp_path, name, number):
    table = np.array([[1.0], [number]])
    np.save(tmp_path / "x.npy", table)
    (tmp_path / "x.vocab").write_bytes(b"a 2\nb 1\n")
    write_tensors(
        tmp_path / "x.safetensors", {"input": table} | pack_words("words", [b"a", b"b"]), {}
    )
    (tmp_path / "x.txt").write_text(f"2 1\na 1\nb {number!r}\n")
    (tmp_path / "tensors.tsv").write_text(f"1\n{number!r}\n")
    (tmp_path / "metadata.tsv").write_text("a\nb\n")
    if abs(number) < 3.402823567e38:
        assert w2v.load(tmp_path / name)["b"] == np.copysign(np.finfo(np.float32).max, number)
    else:
        with pytest.raises(w2v.errors.FormatError, match=r"row 1|line [23]"):
            w2v.load(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a 1\n\n", "line 2: the line is empty"),
        (b"a\r\nb\r\n\r\n\n", "line 3: the line is empty"),
        (b"\n", "line 1: the line is empty"),
        (b"a 1\nb\n", "line 2"),
        (b"a\nb 1\n", "line 2"),
        (b"a -1\n", "line 1"),
        (b"a 1\na 1\n", "line 2"),
        (b"\xff 1\n", "line 1"),
        (b"a 1.5\n", "line 1"),
        (b"a 1", "byte 3"),
        (b"a 1 2\n", "line 1"),
        (b"a\0 1\n", "line 1"),
        (b"a " + b"9" * 5_000 + b"\n", "line 1"),
    ],
)
def test_malformed_vocabularies(tmp_path, data, place):
    path = tmp_path / "x.vocab"
    path.write_bytes(data)
    with pytest.raises(w2v.errors.FormatError, match=f"x.vocab, {place}"):
        w2v.formats.read_vocabulary(path)


@pytest.mark.parametrize("labels", [b"a\nb\n\n", b"a\r\nb\r\n\r\n\r\n"])
@pytest.mark.parametrize(
    ("name", "beside"), [("tensors.tsv", "metadata.tsv"), ("x.npy", "x.vocab")]
)
def test_an_empty_last_label_is_named(tmp_path, name, beside, labels):
    w2v.save(w2v.Vectors(["a", "b"], [[1, 2], [3, 4]]), tmp_path / name)
    (tmp_path / beside).write_bytes(labels)
    with pytest.raises(w2v.errors.FormatError, match=f"{beside}, line 3: the line is empty. Del"):
        w2v.load(tmp_path / name)


VECTORS = w2v.Vectors(
    ["a", "bé", "ccc"], np.array([[0.25, 1.5], [2, -3], [1e-7, 0]], np.float32), [30, 20, 10]
)


@pytest.mark.parametrize("name", ["x.txt", "x.bin", "x.npy", "x.safetensors", "tensors.tsv"])
def test_a_file_cut_at_any_byte_is_refused(tmp_path, name):
    path = tmp_path / name
    w2v.save(VECTORS, path)
    whole = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for file, data in whole.items():
        for size in range(len(data)):
            file.write_bytes(data[:size])
            if name == "x.bin" and size == len(data) - 1:
                continue  # gensim's files end without the newline
            with pytest.raises(w2v.errors.FormatError, match=re.escape(str(tmp_path))):
                w2v.load(path)
        file.write_bytes(data)
    assert w2v.load(path).words == VECTORS.words


@pytest.mark.parametrize("name", ["x.txt", "x.bin", "x.npy", "x.safetensors", "tensors.tsv"])
def test_a_file_gone_or_emptied_is_named(tmp_path, name):
    """Each file of a format, the one beside it among them, deleted and cut to nothing."""
    w2v.save(VECTORS, tmp_path / name)
    for file, whole in {file: file.read_bytes() for file in tmp_path.iterdir()}.items():
        file.unlink()
        with pytest.raises(w2v.W2VError, match=re.escape(str(file))) as gone:
            w2v.load(tmp_path / name)
        assert isinstance(gone.value, w2v.errors.FileError)
        file.touch()
        with pytest.raises(w2v.errors.FormatError, match=re.escape(str(file))):
            w2v.load(tmp_path / name)
        file.write_bytes(whole)
    assert w2v.load(tmp_path / name).words == VECTORS.words


WHOLE = w2v.Vectors(
    [f"wörd {i}" if i % 2 else f"w{i}" for i in range(40)],
    np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32),
    range(140, 100, -1),
)
PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def same_but_for_one_row(read, whole):
    """What a flipped bit may do to a file without a checksum: change one word and one vector."""
    if read.shape != whole.shape:
        return False
    changed = sum(a != b for a, b in zip(read.words, whole.words, strict=True))
    rows = (np.asarray(read.matrix) != np.asarray(whole.matrix)).any(axis=1).sum()
    return changed <= 1 and rows <= 1


def check_bit_rot(folder, name, flips, cuts):
    """Damaged files are refused, or hold as many words, with at most one other word and vector."""
    path, rng = folder / name, np.random.default_rng(1)
    whole = (
        WHOLE
        if name.endswith("safetensors")
        else w2v.Vectors(
            [word.replace(" ", "_") for word in WHOLE.words], WHOLE.matrix, WHOLE.counts
        )
    )
    plain = path.with_suffix("") if path.suffix in PACK else path
    w2v.save(whole, plain)
    if plain != path:
        data, pack = plain.read_bytes(), PACK[path.suffix]
        path.write_bytes(pack(data[:400]) + pack(data[400:]))
        plain.unlink()
    refused = harmless = 0
    files = {file: file.read_bytes() for file in folder.iterdir()}
    for file, data in files.items():
        for place in rng.integers(0, 8 * len(data), flips // len(files)):
            damaged = bytearray(data)
            damaged[place // 8] ^= 1 << (place % 8)
            if b"'>f4'" in damaged:
                continue  # one bit of a .npy swaps the bytes of all numbers, and nothing tells
            file.write_bytes(damaged)
            refused, harmless = outcome(path, whole, refused, harmless)
        for size in rng.integers(0, len(data), cuts // len(files)):
            file.write_bytes(data[:size])
            refused, harmless = outcome(path, whole, refused, harmless)
        file.write_bytes(data)
    print(f"{name}: {refused} refused, {harmless} harmless")
    assert same_but_for_one_row(w2v.load(path), whole)
    assert refused > cuts / 2
    if name.endswith("safetensors"):
        assert harmless == 0, "its checksum covers every byte"


def outcome(path, whole, refused, harmless):
    try:
        read = w2v.load(path)
    except w2v.errors.FormatError:
        return refused + 1, harmless
    assert same_but_for_one_row(read, whole), path.read_bytes()
    return refused, harmless + 1


ROTTING = ["x.safetensors", "x.txt", "x.bin", "x.npy", "tensors.tsv"]
ROTTING += ["x.txt.gz", "x.bin.bz2", "x.txt.xz", "x.bin.zst"]


@pytest.mark.parametrize("name", ROTTING)
def test_a_few_flipped_bits_and_cuts_are_detected_or_harmless(tmp_path, name):
    check_bit_rot(tmp_path, name, 60, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROTTING)
def test_a_thousand_flipped_bits_and_200_cuts_are_detected_or_harmless(tmp_path, name):
    check_bit_rot(tmp_path, name, 1000, 200)


@pytest.mark.slow
def test_no_flipped_bit_passes_the_checksum(tmp_path):
    """1,000 flips, 200 truncations, and a file emptied or gone: none is silent."""
    path, rng = tmp_path / "model.safetensors", np.random.default_rng(0)
    w2v.save_model(
        path,
        w2v.Params(*rng.normal(size=(2, 20, 8)).astype(np.float32)),
        [f"w{i}" for i in range(20)],
        range(20),
        {"dim": 8},
    )
    whole = path.read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    places = np.concatenate(
        [np.arange(8 * header)[:: 8 * header // 500 or 1], rng.integers(0, 8 * len(whole), 700)]
    )
    assert len(places) >= 1000
    for place in places:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        for read in (w2v.load_model, w2v.load):
            with pytest.raises(w2v.errors.FormatError, match=re.escape(str(path))):
                read(path)
    for size in [0, *rng.integers(0, len(whole), 200)]:
        path.write_bytes(whole[:size])
        with pytest.raises(w2v.errors.FormatError):
            w2v.load_model(path)
    path.unlink()
    with pytest.raises(w2v.errors.FileError, match="No such file"):
        w2v.load_model(path)
    path.write_bytes(whole)
    assert w2v.load_model(path).metadata == {"dim": 8}


HEADERS = """
import json, sys, time
import numpy as np
import w2vjax as w2v
w2v.save(w2v.Vectors(["a"], np.ones((1, 1))), sys.argv[1] + "/warm.txt")
w2v.load(sys.argv[1] + "/warm.txt")
import struct
texts = [b"1000000000000 1000000\\n"]
texts += [b"1 1000000000\\n", b"400000000 1\\n", b"-1 300\\n", b"3 -3\\n", b"0 1000000\\n!"]
texts += [b"9" * 30 + b" 3", b"9" * 31 + b"\\n", b"1e9 300\\n", b"\\xef\\xbb\\xbf3000000 300\\n"]
texts += [b"3000000 300\\na 1\\n", b"2 99999999999999999\\n"]
files = [(data, suffix) for data in texts for suffix in (".txt", ".bin", "")]
sizes = [struct.pack("<Q", size) for size in (2**63, 2**40, 99_999_999, 16)]
files += [(size + b'{"a":{}}', ".safetensors") for size in sizes]
sizes = [struct.pack("<I", size) for size in (2**31, 8)]
files += [(b"\\x93NUMPY\\x02\\x00" + size + b"{'descr'", ".npy") for size in sizes]
def peak():  # getrusage would count the memory of the process that started this one
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
worst, before = 0.0, peak()
for number, (data, suffix) in enumerate(files):
    assert len(data) <= 32, data
    path = f"{sys.argv[1]}/{number}{suffix}"
    open(path, "wb").write(data)
    start = time.process_time()
    try:
        w2v.load(path)
        print("read in silence:", data, suffix)
    except w2v.errors.FormatError:
        pass
    worst = max(worst, time.process_time() - start)
print(json.dumps([worst, peak() - before]))
"""


def test_a_lying_header_costs_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEADERS, tmp_path], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    worst, megabytes = json.loads(run.stdout)
    print(f"slowest refusal {worst * 1000:.1f} ms, {megabytes:.1f} MB more")
    assert worst < 0.1  # measured: 0.3 ms
    assert megabytes < 50  # measured: 0.0 MB


@pytest.mark.parametrize("shape", [(), (2,), (2, 1, 1), (1, 2)])
def test_a_tensor_of_another_shape_is_no_table(tmp_path, shape):
    words = pack_words("words", [b"a", b"b"])
    write_tensors(tmp_path / "x.safetensors", {"input": np.ones(shape, np.float32), **words}, {})
    with pytest.raises(
        w2v.errors.FormatError, match=r"tensor 'input': .* is not a table for 2 words"
    ):
        w2v.load(tmp_path / "x.safetensors")


def test_the_first_row_that_is_not_finite_is_found_in_any_piece():
    matrix = np.zeros((7, 1_300_000), np.float32)  # three rows a piece
    assert first_non_finite(matrix) is None
    for row in (5, 4, 3, 0):
        matrix[row, row] = np.nan
        assert first_non_finite(matrix) == row


PATHS = [w2v.load, w2v.load_model, w2v.describe, w2v.Vocab.load, w2v.formats.read_vocabulary]
PATHS += [w2v.formats.load_word2vec_format, w2v.evaluation.read_word_pairs]
PATHS += [w2v.evaluation.read_word_analogies, w2v.Vocab(("a",), [1]).save]
PATHS += [lambda path: w2v.save(w2v.Vectors(["a"], np.eye(1)), path)]


@pytest.mark.parametrize("call", PATHS)
def test_what_is_no_path_is_refused(call):
    for given in (io.BytesIO(b"1 1\na 1\n"), 3, None, b"x.bin", ["x.bin"], True):
        with pytest.raises(w2v.errors.SettingError, match=r"is of type \w+\. Pass the path"):
            call(given)


@pytest.mark.parametrize("name", ["x.bin", "x.txt", "x.npy", "x.safetensors"])
def test_vectors_are_no_model_to_train_further(tmp_path, name):
    w2v.save(w2v.Vectors(["a", "b"], np.eye(2)), tmp_path / name)
    with pytest.raises(w2v.errors.FormatError, match=r"Give (a|the) .*safetensors.* training wr"):
        w2v.load_model(tmp_path / name)


@pytest.mark.parametrize("given", [["a"], None, np.eye(2), {"a": [1.0]}])
def test_only_vectors_are_saved(tmp_path, given):
    with pytest.raises(w2v.errors.SettingError, match="no Vectors"):
        w2v.save(given, tmp_path / "x.bin")
    with pytest.raises(w2v.errors.SettingError, match="no Vectors"):
        w2v.formats.save_word2vec_format(given, tmp_path / "x", fvocab=tmp_path / "x.vocab")
    assert not list(tmp_path.iterdir())
