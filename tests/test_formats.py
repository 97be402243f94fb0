"""What each format keeps, who else reads and writes it, and the commands over them."""

import bz2
import functools
import gzip
import lzma
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import zstandard

import w2vjax as w2v
from w2vjax.formats.formats import FORMATS, by_suffix
from w2vjax.formats.table import Format, Table, checked
from w2vjax.reading import contents

PETS = w2v.Vectors(
    ["cat", "dog", "chat·noir"], np.array([[0.1, -2], [3, 1e-20], [-0.0, 7]], np.float32), [9, 5, 1]
)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_ours_and_we_read_gensims(binary, tmp_path):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    ours, theirs, vocab = tmp_path / "ours", tmp_path / "theirs", tmp_path / "vocab"
    w2v.formats.save_word2vec_format(PETS, ours, fvocab=vocab, binary=binary)
    read = keyed.load_word2vec_format(str(ours), fvocab=str(vocab), binary=binary)
    assert tuple(read.index_to_key) == PETS.words
    assert read.vectors.tobytes() == np.asarray(PETS.matrix).tobytes()
    assert [read.get_vecattr(word, "count") for word in PETS.words] == [9, 5, 1]
    read.save_word2vec_format(str(theirs), fvocab=str(vocab), binary=binary)
    back = w2v.formats.load_word2vec_format(theirs, fvocab=vocab, binary=binary)
    assert (back.words, back.counts.tolist()) == (PETS.words, [9, 5, 1])
    assert back.matrix.tobytes() == np.asarray(PETS.matrix).tobytes()


def test_what_the_c_tools_and_fasttext_write_is_read(tmp_path):
    expected = [("</s>", [0.25, -1.5]), ("cat", [0.125, 2.0])]
    rows = struct.pack("<2f", 0.25, -1.5), struct.pack("<2f", 0.125, 2.0)
    cases = {
        "c.txt": b"2 2\n</s> 0.250000 -1.500000 \ncat 0.125000 2.000000 \n",
        "fasttext.vec": b"2 2\n</s> 0.25 -1.5 \ncat 0.125 2 \n",
        "gensim.txt": b"2 2\n</s> 0.25 -1.5\ncat 0.125 2.0\n",
        "windows.txt": b"\xef\xbb\xbf2 2\r\n</s> 0.25 -1.5\r\ncat 0.125 2.0 \r\n",
        "glove.txt": b"</s> 0.25 -1.5\ncat 0.125 2.0\n",
        "c.bin": b"2 2\n</s> " + rows[0] + b"\ncat " + rows[1] + b"\n",
        "gensim.bin": b"2 2\n</s> " + rows[0] + b"cat " + rows[1],
        "odd_name": b"2 2\n</s> " + rows[0] + b"\ncat " + rows[1] + b"\n",
        "odd_text": b"2 2\n</s> 0.25 -1.5\ncat 0.125 2.0\n",
        "tensors.tsv": b"0.25\t-1.5\r\n0.125\t2\r\n",
        "shout.TXT": b"</s> .25e0 -1.5\ncat +0.125 2.\n",
    }
    (tmp_path / "metadata.tsv").write_bytes(b"</s>\r\ncat\r\n")
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
        for path in [tmp_path / name] + [tmp_path / f"{name}.gz"] * (
            "." in name and "tsv" not in name
        ):
            read = w2v.load(path)
            assert [(word, read[word].tolist()) for word in read] == expected, path
        assert w2v.load(tmp_path / name, limit=1).words == ("</s>",)


C_READER = r"""
#include <stdio.h>
int main(int count, char **arguments) {  /* reads as word2vec's distance tool does */
  long long words, dim; char word[2000]; float value; int binary = arguments[2][0] == 'b';
  FILE *file = fopen(arguments[1], "rb");
  if (fscanf(file, "%lld", &words) != 1 || fscanf(file, "%lld", &dim) != 1) return 1;
  for (long long row = 0; row < words; row++) {
    if (binary) {
      int length = 0;
      for (int c = fgetc(file); c != EOF && c != ' '; c = fgetc(file))
        if (c != '\n') word[length++] = c;
      word[length] = 0;
    } else if (fscanf(file, "%s", word) != 1) return 2;
    printf("%s", word);
    for (long long d = 0; d < dim; d++) {
      if ((binary ? fread(&value, sizeof value, 1, file) : fscanf(file, "%f", &value)) != 1)
        return 3;
      printf(" %a", value);
    }
    printf("\n");
  }
  return 0;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_a_c_program_reads_what_we_write(tmp_path):
    (tmp_path / "reader.c").write_text(C_READER)
    subprocess.run(["cc", "-o", tmp_path / "reader", tmp_path / "reader.c"], check=True)
    matrix = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    given_vectors = w2v.Vectors([f"wörd\u00a0{i}" for i in range(50)], matrix)
    for suffix, mode in ((".bin", "b"), (".txt", "t")):
        w2v.save(given_vectors, tmp_path / f"x{suffix}")
        run = subprocess.run(
            [tmp_path / "reader", tmp_path / f"x{suffix}", mode], capture_output=True, check=True
        )
        rows = [line.split(" ") for line in run.stdout.decode().split("\n")[:-1]]
        assert [row[0] for row in rows] == list(given_vectors.words)
        assert [[float.fromhex(value) for value in row[1:]] for row in rows] == matrix.tolist()


def test_a_glove_word_may_hold_spaces(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_bytes(b"the 1 2 3\n. . . 4 5 6\nat me@here.org 7 8 9\n")
    assert w2v.load(path).words == ("the", ". . .", "at me@here.org")


@pytest.mark.parametrize(
    ("allow", "data", "words"),
    [
        ("duplicates", b"3 1\na 1\nb 2\na 3\n", ("a", "b")),
        ("trailing-bytes", b"1 1\na 1\nb 2\n", ("a",)),
        ("non-finite", b"2 1\na nan\nb -inf\n", ("a", "b")),
        ("unfinished-line", b"2 1\na 1\nb 2", ("a", "b")),
        ("nameless-rows", b"3 1\na 1\n 2\nb 3\n", ("a", "b")),
        ("nameless-rows", b"3 1\na 1\n  2\nb 3\n", ("a", "b")),
        ("nameless-rows", b"a 1 2\n 3 4\n   5 6\nb 7 8\n", ("a", "b")),
    ],
)
def test_named_options_forgive(tmp_path, allow, data, words):
    path = tmp_path / "x.txt"
    path.write_bytes(data)
    with pytest.raises(w2v.errors.FormatError, match=f"allow='{allow}'"):
        w2v.load(path)
    read = w2v.load(path, allow=[allow])
    assert read.words == words
    assert w2v.load(path, allow=iter([allow])).words == words
    if allow != "non-finite":
        assert read["a"][0] == 1.0, "the first of two is kept"


def test_the_words_without_letters_that_gensim_writes(tmp_path):
    """The tokens "" and " " in its text, binary and vocabulary file."""
    keyed = pytest.importorskip("gensim.models").KeyedVectors(2)
    keyed.add_vectors(["a", "", "b"], np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    keyed.expandos["count"] = np.array([9, 5, 2])
    options = {"allow": ["nameless-rows"], "fvocab": tmp_path / "vocab"}
    for binary in (False, True):
        keyed.save_word2vec_format(str(tmp_path / "x"), str(tmp_path / "vocab"), binary=binary)
        with pytest.raises(w2v.errors.FormatError, match="no word before the numbers"):
            w2v.formats.load_word2vec_format(tmp_path / "x", binary=binary)
        read = w2v.formats.load_word2vec_format(tmp_path / "x", binary=binary, **options)
        assert (read.words, read.matrix.tolist()) == (("a", "b"), [[1, 2], [5, 6]])
        assert read.counts.tolist() == [9, 2]
    # A space before the space that ends the word: the bytes do not tell where the numbers start.
    (tmp_path / "x").write_bytes(b"2 1\n  " + struct.pack("<f", 1) + b"b " + struct.pack("<f", 2))
    with pytest.raises(w2v.errors.FormatError, match="empty or a space"):
        w2v.formats.load_word2vec_format(tmp_path / "x", binary=True, allow=["nameless-rows"])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"2 2\nchapter 2 1 2\nb 3 4\n", ("chapter 2", "b")),
        (b"2 2\n1 1 2\n2.5 3 4\n", ("1", "2.5")),
        (b"2 1\ntype 1 1\ntype 2 3\n", ("type 1", "type 2")),
        (b"3 1\n1 2 3 1\n4 1 1\nb 1\n", ("1 2 3", "4 1", "b")),
    ],
)
def test_a_word_may_end_in_a_number_after_a_header(tmp_path, data, words):
    (tmp_path / "x.txt").write_bytes(data)
    assert w2v.load(tmp_path / "x.txt").words == words


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n\r\n"])
@pytest.mark.parametrize("data", [b"2 1\na 1\nb 2\n", b"a 1 2\nb 3 4\n", b"2 1\r\na 1\r\nb 2\r\n"])
def test_empty_lines_at_the_end_of_text_are_no_words(tmp_path, data, end):
    (tmp_path / "x.txt").write_bytes(data + end)
    assert w2v.load(tmp_path / "x.txt").words == ("a", "b")


def test_the_rows_of_a_tree_are_no_words(tmp_path):
    """Training pads the output table of hierarchical softmax to one row a word."""
    path = tmp_path / "model.safetensors"
    table = np.ones((3, 2), np.float32)
    for objective, rows in (("hierarchical", 3), ("hierarchical", 2), ("custom", 2)):
        params = w2v.Params(table, table[:rows])
        w2v.save_model(path, params, ["a", "b", "c"], [3, 2, 1], {"objective": objective})
        with pytest.raises(w2v.errors.FormatError, match="inner nodes of a Huffman tree"):
            w2v.load(path, table="output")
        assert w2v.load(path).words == ("a", "b", "c")
        assert len(w2v.load_model(path).params.output) == rows
    w2v.save_model(path, w2v.Params(table, table), [*"abc"], None, {"objective": "negative"})
    assert w2v.load(path, table="output").words == ("a", "b", "c")


FINE = w2v.Params(np.ones((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("params", "words", "counts", "says"),
    [
        (FINE, ["a", "b"], [3], "2 words need as many counts"),
        (FINE, ["a", "b"], [3, -1], "counts=.* cannot work"),
        (FINE, ["a", "a"], [3, 1], "in the vocabulary twice"),
        (FINE, [1, "a"], None, "not a string"),
        (w2v.Params(np.float32(1), np.float32(1)), ["a"], None, "do not fit the input table"),
        (w2v.Params(np.ones((5, 3)), np.ones((5, 3))), ["a"], None, "do not fit the input table"),
        (FINE._replace(output=np.ones((2, 1))), ["a", "b"], None, "do not fit the output table"),
        (
            FINE._replace(output=np.ones((2, 3), int)),
            ["a", "b"],
            None,
            "output table is of type int64",
        ),
        (
            FINE._replace(input=np.ones((2, 3), bool)),
            ["a", "b"],
            None,
            "input table is of type bool",
        ),
    ],
)
def test_a_model_that_could_not_be_read_is_not_written(tmp_path, params, words, counts, says):
    path = tmp_path / "model.safetensors"
    with pytest.raises((w2v.errors.SettingError, w2v.errors.FormatError), match=says):
        w2v.save_model(path, params, words, counts)
    with pytest.raises(w2v.errors.SettingError, match="not written compressed"):
        w2v.save_model(tmp_path / "model.safetensors.gz", FINE, ["a", "b"])
    with pytest.raises(w2v.errors.SettingError, match="is not a dict"):
        w2v.save_model(path, FINE, ["a", "b"], None, [("dim", 3)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".bin", ".txt", ".safetensors"])
def test_a_pipe_is_read_if_its_format_is_named(tmp_path, suffix):
    w2v.save(PETS, tmp_path / f"pets{suffix}")
    data, name = (tmp_path / f"pets{suffix}").read_bytes(), by_suffix(tmp_path / f"pets{suffix}")

    def piped(use):
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        try:
            return use(f"/dev/fd/{read}")
        finally:
            os.close(read)

    assert piped(lambda path: w2v.load(path, format=name)).words == PETS.words
    assert piped(lambda path: w2v.describe(path, format=name))["words"] == len(PETS)
    for use in (w2v.load, w2v.describe):
        with pytest.raises(w2v.errors.FormatError, match="a pipe can be read only once"):
            piped(use)


def test_what_is_no_path_is_refused(tmp_path):
    w2v.save(PETS, tmp_path / "x.txt")
    with open(tmp_path / "x.txt") as file:
        for given in (file, 3, None, b"x.txt", "", "x\0.txt", "x\ud800.txt"):
            says = "cannot be the name" if isinstance(given, str) else "Pass the path of a file"
            for use in (
                w2v.load,
                w2v.describe,
                w2v.load_model,
                w2v.formats.read_vocabulary,
                w2v.evaluation.read_word_pairs,
                w2v.evaluation.read_word_analogies,
                w2v.plot_loss,
                lambda path: w2v.save(PETS, path),
                lambda path: w2v.save_model(path, w2v.Params(PETS.matrix, PETS.matrix), PETS.words),
                lambda path: w2v.pictures.write_html(PETS, path),
                lambda path: w2v.load(tmp_path / "x.txt", vocabulary=0 if path is None else path),
                lambda folder: w2v.prepare([["a"]], 0 if folder is None else folder),
                lambda folder: w2v.use_compile_cache(0 if folder is None else folder),
            ):
                with pytest.raises(w2v.errors.SettingError, match=says):
                    use(given)


def test_invalid_utf8_can_be_replaced(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"1 1\n\xff " + struct.pack("<f", 1) + b"\n")
    assert w2v.load(path, unicode_errors="replace").words == ("\ufffd",)


def test_the_model_file_keeps_everything(tmp_path):
    import ml_dtypes

    path, rng = tmp_path / "model.safetensors", np.random.default_rng(0)
    for dtype in (np.float32, np.float64, ml_dtypes.bfloat16):
        params = w2v.Params(
            rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(2, 4)).astype(dtype)
        )
        w2v.save_model(
            path,
            params,
            ["a b", "", "\n\0"],
            [3, 2, 1],
            {"dim": 4, "min_count": 2},
            dropped={"rare": 1},
        )
        model = w2v.load_model(path)
        for ours, kept in zip(params, model.params, strict=True):
            assert kept.dtype == dtype
            assert kept.tobytes() == ours.tobytes()
        assert (model.words, model.counts.tolist()) == (["a b", "", "\n\0"], [3, 2, 1])
        assert model.metadata == {"dim": 4, "min_count": 2}
        assert repr(model) == "Model(3 words x 4)"
        read = w2v.load(path)
        assert np.array_equal(read.matrix, params.input.astype(np.float32))
        assert (read.vocab.dropped, read.vocab.min_count) == ({"rare": 1}, 2)
        with pytest.raises(w2v.errors.FormatError, match="Huffman"):
            w2v.load(path, table="output")
    w2v.save_model(path, w2v.Params(np.eye(2), 2 * np.eye(2)), ["a", "b"])
    assert w2v.load(path, table="output")["b"].tolist() == [0, 2]
    w2v.save(w2v.load(path), tmp_path / "vectors.safetensors")
    with pytest.raises(w2v.errors.FormatError, match="cannot be trained further"):
        w2v.load_model(tmp_path / "vectors.safetensors")


def test_the_safetensors_library_reads_ours(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.safetensors"
    w2v.save(PETS, path)
    tensors = library.load_file(path)
    assert tensors["input"].tobytes() == np.asarray(PETS.matrix).tobytes()
    library.save_file(tensors, path)  # without metadata, so without a checksum
    assert w2v.load(path).words == PETS.words


@pytest.mark.parametrize("count", range(1, 9))
def test_tensors_begin_at_a_multiple_of_64_bytes(tmp_path, count):
    words = [f"w{n}" * n for n in range(1, count + 1)]
    w2v.save(w2v.Vectors(words, np.eye(count)), tmp_path / "x.safetensors")
    header = int.from_bytes((tmp_path / "x.safetensors").read_bytes()[:8], "little")
    assert (8 + header) % 64 == 0


def test_the_first_bytes_tell_a_format_apart(tmp_path):
    for name in ("safetensors", "text", "binary", "npy"):
        w2v.save(PETS, tmp_path / "x", name)
        start, size = (tmp_path / "x").read_bytes()[:4096], (tmp_path / "x").stat().st_size
        assert next(key for key, form in FORMATS.items() if form.sniff(start, size)) == name
        assert w2v.describe(tmp_path / "x") == w2v.describe(tmp_path / "x", format=name)
        assert w2v.load(tmp_path / "x").words == PETS.words


def test_an_entry_in_the_table_is_all_that_a_format_needs(tmp_path, monkeypatch):
    def read(path, options):
        words = bytes(contents(path)).decode().split(",")
        return checked(
            path, Table(words, np.ones((len(words), 1))), options, lambda row: f"word {row}"
        )

    def write(path, vectors):
        path.write_text(",".join(vectors.words))

    monkeypatch.setitem(
        FORMATS, "toy", Format("words", (".toy",), lambda start, size: b"," in start, read, write)
    )
    ones, path = w2v.Vectors(["a", "b"], np.ones((2, 1))), tmp_path / "x.toy"
    w2v.save(ones, path)
    (tmp_path / "x").write_text("a,b")
    (tmp_path / "x.toy.zst").write_bytes(zstandard.compress(b"a,b"))
    for name in ("x.toy", "x", "x.toy.zst"):
        assert w2v.load(tmp_path / name, limit=1).words == ("a",)
        assert w2v.describe(tmp_path / name)["format"] == "toy"
    (tmp_path / "x.vocab").write_bytes(b"b 2\na 7\n")
    assert w2v.load(path, vocabulary=tmp_path / "x.vocab").counts.tolist() == [7, 2]
    path.write_text("a,b,a")
    with pytest.raises(
        w2v.errors.FormatError, match="word 2: the word 'a' is in the file twice, first at word 0"
    ):
        w2v.load(path)
    with pytest.raises(w2v.errors.SettingError, match="table has no effect on words"):
        w2v.load(path, table="output")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize(
    "name",
    ["pets.vec", "pets.bin", "pets.safetensors", "pets.npy", "pets.tsv", "my.tensors.tsv"],
)
def test_compressed_vectors_are_read(tmp_path, name, suffix):
    """The second file of a format of two may be compressed or not."""
    w2v.save(PETS, tmp_path / name)
    written = sorted(tmp_path.iterdir())
    pack = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.compress,
    }[suffix]
    (tmp_path / f"{name}{suffix}").write_bytes(pack((tmp_path / name).read_bytes()))
    read = [w2v.load(tmp_path / f"{name}{suffix}")]
    for file in written:
        file.with_name(file.name + suffix).write_bytes(pack(file.read_bytes()))
        file.unlink()
    read.append(w2v.load(tmp_path / f"{name}{suffix}"))
    for vectors in read:
        assert (vectors.words, vectors.matrix.tobytes()) == (PETS.words, PETS.matrix.tobytes())
    with pytest.raises(w2v.errors.SettingError, match="compress"):
        w2v.save(PETS, tmp_path / f"{name}{suffix}")


def test_mapped_formats_are_not_copied(tmp_path):
    for suffix in (".npy", ".safetensors"):
        w2v.save(PETS, tmp_path / f"x{suffix}")
        matrix = base = w2v.load(tmp_path / f"x{suffix}").matrix
        while isinstance(base, np.ndarray):
            base = base.base
        assert type(getattr(base, "obj", base)).__name__ == "mmap"
        assert not matrix.flags.writeable


def test_matrices_whose_names_have_dots_keep_their_own_words(tmp_path):
    for name, words in (("v1.0", "ab"), ("v1.1", "cd"), ("v1", "ef"), ("v2.NPY", "gh")):
        w2v.save(w2v.Vectors([*words], np.eye(2)), tmp_path / name, "npy")
    for name, words in (("v1.0", "ab"), ("v1.1", "cd"), ("v1", "ef"), ("v2.NPY", "gh")):
        assert w2v.load(tmp_path / name, format="npy").words == tuple(words)


def test_numpy_reads_our_npy_and_we_read_numpys(tmp_path):
    path = tmp_path / "x.npy"
    w2v.save(PETS, path)
    assert np.load(path, allow_pickle=False).tobytes() == np.asarray(PETS.matrix).tobytes()
    for array in (
        PETS.matrix.astype(">f8"),
        np.asfortranarray(PETS.matrix),
        PETS.matrix.astype(np.float16),
    ):
        np.save(path, array)
        assert np.array_equal(w2v.load(path).matrix, array.astype(np.float32))


def test_writers_refuse_nan_and_keep_the_old_file(tmp_path):
    bad = w2v.Vectors(["fine", "broken"], [[1.0], [np.nan]])
    for suffix in (".safetensors", ".txt", ".bin", ".npy", ".tsv"):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(b"old")
        with pytest.raises(w2v.errors.FormatError, match=r"'broken'|row 1"):
            w2v.save(bad, path)
        assert path.read_bytes() == b"old"


WRITERS = {
    "vectors": lambda path: w2v.save(PETS, path, "text"),
    "gensim's": lambda path: w2v.formats.save_word2vec_format(PETS, path),
    "their vocabulary": lambda path: w2v.formats.save_word2vec_format(
        PETS, path.with_name("x.txt"), fvocab=path
    ),
    "model": lambda path: w2v.save_model(path, FINE, ["a", "b"]),
    "vocabulary": lambda path: w2v.Vocab(("a", "b"), [2, 1]).save(path),
    "joined text": lambda path: w2v.phrases([["a", "b"]] * 9, min_count=1).save_corpus(path),
    "phrases": lambda path: w2v.phrases([["a", "b"]] * 9, min_count=1).save_list(path),
    "page": lambda path: w2v.pictures.write_html(PETS, path),
    "log": lambda path: w2v.train([["a", "b"]] * 9, dim=2, min_count=1, log=path),
}


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_written_under_the_name_of_a_compressed_file(writer, suffix, tmp_path):
    says = f"not written compressed. Leave out {suffix}"
    with pytest.raises(w2v.errors.SettingError, match=re.escape(says)):
        WRITERS[writer](tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "counts", [[1], [1, 2, 3], [[1], [2]], [1.5, 2.0], ["1", "2"], 3, [1, -1], [1, 2**64 - 1]]
)
def test_a_vocabulary_file_has_one_count_for_each_word(counts, tmp_path):
    kinds = w2v.errors.FormatError, w2v.errors.SettingError
    with pytest.raises(kinds, match=r"2 words have counts of shape|Pass whole numbers"):
        w2v.formats.write_vocabulary(tmp_path / "x.vocab", ["a", "b"], counts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "counts", [[5.0, 3.0], np.array([5, 3], object), (np.int64(5), np.uint64(3))]
)
def test_a_vocabulary_file_takes_the_counts_that_a_vocabulary_takes(counts, tmp_path):
    w2v.formats.write_vocabulary(tmp_path / "x.vocab", ["a", "b"], counts)
    assert w2v.Vocab.load(tmp_path / "x.vocab").counts.tolist() == [5, 3]
    w2v.formats.write_vocabulary(tmp_path / "none.vocab", [], [])


def test_settings_that_mean_nothing(tmp_path):
    with pytest.raises(w2v.errors.SettingError, match="no known extension"):
        w2v.save(PETS, tmp_path / "x.foo")
    with pytest.raises(w2v.errors.SettingError, match="compress"):
        w2v.save(PETS, tmp_path / "x.txt.gz")
    with pytest.raises(w2v.errors.SettingError, match="no format 'foo'"):
        w2v.save(PETS, tmp_path / "x", "foo")
    for name in (["text"], {"text": 1}, 3, b"text", bytearray(b"text"), {"text"}):
        for use in (w2v.load, w2v.describe, functools.partial(w2v.save, PETS)):
            with pytest.raises(w2v.errors.SettingError, match="There is no format"):
                use(tmp_path / "x", format=name)
    with pytest.raises(w2v.errors.SettingError, match="Name the matrix x"):
        w2v.save(PETS, tmp_path / "x.vocab", "npy")
    w2v.save(PETS, tmp_path / "x.txt")
    for options in (
        {"allow": "everything"},
        {"limit": 0},
        {"unicode_errors": "x"},
        {"table": "output"},
    ):
        with pytest.raises(w2v.errors.SettingError):
            w2v.load(tmp_path / "x.txt", **options)


@pytest.mark.parametrize(
    "tables",
    [None, 3, "x", np.eye(1), [np.eye(2)], [np.eye(2)] * 3, [[[1], [1, 2]], np.eye(2)], w2v.train],
)
def test_what_is_no_pair_of_tables_is_no_model(tmp_path, tables):
    with pytest.raises(w2v.errors.SettingError, match=r"is not two tables of numbers\. Pass"):
        w2v.save_model(tmp_path / "m.safetensors", tables, ["a", "b"])


@pytest.mark.parametrize("min_count", [-5, True, 2.5, "x", None, [1]])
def test_a_min_count_in_a_file_that_is_none_is_not_taken(tmp_path, min_count):
    params = w2v.Params(np.eye(2), np.eye(2))
    metadata = {"min_count": min_count}
    w2v.save_model(tmp_path / "m.safetensors", params, ["a", "b"], metadata=metadata)
    found = w2v.load(tmp_path / "m.safetensors").vocab.min_count
    assert (found, type(found)) == (1, int)


def test_the_commands(cli, tmp_path):
    import json

    source = tmp_path / "pets.safetensors"
    w2v.save_model(
        source, w2v.Params(PETS.matrix, -PETS.matrix), PETS.words, PETS.counts, {"window": 5}
    )
    for name, form in FORMATS.items():
        out = tmp_path / f"pets{form.suffixes[0] if name != 'safetensors' else '2.safetensors'}"
        assert cli("convert", source, out).code == 0
        assert cli("convert", source, tmp_path / "other", "--to", name).code == 0
        found = cli("info", out, "--json", "-")
        assert found.code == 0
        assert json.loads(found.out)["words"] == 3
        assert json.loads(found.out)["format"] == name
    assert "can go on from here" in cli("info", source).out
    assert cli("convert", source, tmp_path / "o.txt", "--table", "output").code == 0
    assert w2v.load(tmp_path / "o.txt")["cat"].tolist() == np.float32([-0.1, 2]).tolist()
    assert cli("export", source, tmp_path / "e.bin", "--to", "text").code == 0
    assert (tmp_path / "e.bin").read_bytes().startswith(b"3 2\ncat 0.1 -2.0\n")
    source.write_bytes(source.read_bytes()[:-1])
    broken = cli("info", source)
    assert broken.code == 4
    assert broken.err.startswith(f"w2vjax info: {source}, byte ")
    assert broken.err.count("\n") == 1
    assert cli("info", tmp_path / "nothing.bin").code == 7


def test_a_large_vocabulary_notes_what_the_projector_shows(cli, tmp_path):
    w2v.save(w2v.Vectors(map(str, range(10_001)), np.zeros((10_001, 1))), tmp_path / "x.bin")
    assert "--limit 10000" in cli("convert", tmp_path / "x.bin", tmp_path / "tensors.tsv").err


def made_of_kind(kind, folder):
    """The bytes of a file of vectors, by the ending of its name, or of something else."""
    path = folder / f"source{kind}"
    if kind == ".zip":
        with open(path, "wb") as file:
            np.savez(file, PETS.matrix)
    elif kind in (".pickle", ".gz"):
        path.write_bytes(pickle.dumps([1.0]) if kind == ".pickle" else gzip.compress(b"1 1\na 1\n"))
    else:
        w2v.save(PETS, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (".zip", "a zip archive"),
        (".pickle", "a Python pickle"),
        (".gz", "compressed by gzip|not a safetensors file"),
        (".bin", "not a safetensors file|not how an .npy file"),
        (".txt", "not a safetensors file|not how an .npy file"),
        (".npy", "not a safetensors file"),
        (".safetensors", "without the output table|not how an .npy file"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, kind, says):
    data = made_of_kind(kind, tmp_path)
    reads = [(w2v.load_model, ".bin"), (w2v.load, ".npy"), (w2v.load, ".safetensors")]
    for read, ending in reads:
        if read == w2v.load and ending == kind:
            continue  # it is what its name says
        path = tmp_path / f"x{ending}"
        path.write_bytes(data)
        with pytest.raises(w2v.errors.FormatError, match=says) as raised:
            read(path)
        assert kind == ".pickle" or not re.search("pickle|[0-9]{7}", str(raised.value))


def test_importing_the_package_imports_no_reader():
    code = (
        "import sys, w2vjax\n"
        "unwanted = ('w2vjax.formats', 'w2vjax.vectors', 'tyro')\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        == "[]\n"
    )


CUT = {
    "no header": b"cat 1 2\ndog 3 0.2",
    "header": b"2 2\ncat 1 2\ndog 3 0.2",
    "one more": b"2 2\ncat 1 2\ndog 3 0.2\ntea 1 1\n",
}


@pytest.mark.parametrize("name", CUT)
def test_a_limit_that_reads_all_refuses_what_no_limit_refuses(name, tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(CUT[name])
    for limit in (None, 3, 9, 10**9):
        with pytest.raises(w2v.errors.FormatError, match=r"may have been cut|one more"):
            w2v.load(path, limit=limit)
    assert w2v.load(path, limit=1).words == ("cat",)


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_a_second_file_is_read_whole_whatever_the_limit(limit, tmp_path):
    for suffix in (".npy", ".tsv"):
        path = tmp_path / f"tensors{suffix}"
        w2v.save(w2v.Vectors(["cat", "dog"], [[1.0, 2.0], [3.0, 0.5]]), path)
        words = tmp_path / ("tensors.vocab" if suffix == ".npy" else "metadata.tsv")
        words.write_bytes(words.read_bytes()[:-2])
        with pytest.raises(w2v.errors.FormatError, match="may have been cut"):
            w2v.load(path, limit=limit)
    path = tmp_path / "x.txt"
    path.write_bytes(b"2 2\ncat 1 2\ndog 3 0.2\n")
    (tmp_path / "cut.vocab").write_bytes(b"cat 500\ndog 4")
    with pytest.raises(w2v.errors.FormatError, match="may have been cut"):
        w2v.load(path, vocabulary=tmp_path / "cut.vocab", limit=limit)


@pytest.mark.parametrize(
    ("words", "matrix"), [(["x", "y"], [[np.nan], [1.0]]), (["x", "y z"], [[1.0], [1.0]])]
)
def test_a_pair_that_cannot_be_written_leaves_both_files(words, matrix, tmp_path):
    path, counts = tmp_path / "x.txt", tmp_path / "x.vocab"
    save = w2v.formats.save_word2vec_format
    save(w2v.Vectors(["cat", "dog"], [[1.0, 2.0], [3.0, 0.5]], counts=[5, 3]), path, fvocab=counts)
    before = path.read_bytes(), counts.read_bytes()
    for wrong in (w2v.Vectors(words, matrix, counts=[1, 1]), w2v.Vectors(words, [[1.0], [2.0]])):
        with pytest.raises(w2v.errors.FormatError):
            save(wrong, path, fvocab=counts)
        assert (path.read_bytes(), counts.read_bytes()) == before
    with pytest.raises(w2v.errors.SettingError, match="named for both files"):
        save(w2v.Vectors(["cat"], [[1.0]], counts=[1]), path, fvocab=path)
    assert path.read_bytes() == before[0]


def test_counts_beyond_int64_add_up(tmp_path):
    vectors = w2v.Vectors(["a", "b"], [[1.0], [2.0]], counts=[2**63 - 1, 5])
    w2v.save(vectors, tmp_path / "x.npy")
    assert w2v.describe(tmp_path / "x.npy")["tokens"] == 2**63 + 4
