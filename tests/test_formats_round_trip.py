"""Generated vocabularies through every format: bit for bit or refused by name, and the same through
gensim.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marks import slow

import w2vjax as w2v
from w2vjax.formats import word2vec_binary, word2vec_text
from w2vjax.formats.decimals import shortest

SUFFIX = {
    "safetensors": ".safetensors",
    "text": ".txt",
    "binary": ".bin",
    "npy": ".npy",
    "projector": ".tsv",
}
CHARACTERS = st.sampled_from(
    list("abé中😀 \n\r\t\0\v\f\u00a0\u2028\u2029\ufeff\ud800\x85\x1c_-.0159e\"'\\")
)
# One word of 1 MB: more of those would only make the other vocabularies fewer in the same time.
EDGES = [
    "",
    "</s>",
    "1",
    "-1.5",
    "nan",
    "\ufeffa",
    "\n",
    "\0",
    "a b",
    "\u00a0",
    "\u2028",
    "a\udcff",
    "x" * 5_000,
    "é" * 500_000,
]
WORD = st.one_of(
    st.text(st.characters(), max_size=12),
    st.text(CHARACTERS, max_size=6),
    st.text("ab12.e-", min_size=1, max_size=5),
    st.sampled_from(EDGES),
)
FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def vectors(draw):
    words = draw(st.lists(WORD, unique=True, max_size=6))
    dim = draw(st.integers(1, 5))
    rows = draw(
        st.lists(
            st.lists(FLOAT, min_size=dim, max_size=dim), min_size=len(words), max_size=len(words)
        )
    )
    counts = draw(
        st.none() | st.lists(st.integers(0, 2**50), min_size=len(words), max_size=len(words))
    )
    return w2v.Vectors(words, np.array(rows, np.float32).reshape(len(words), dim), counts)


def carried(name, word, row):
    """Written anew from the documentation: may this format hold this word?"""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    if name == "safetensors":
        return True
    if name == "projector":
        trimmed = (
            word.replace("\ufeff", "").strip() if word.strip("\ufeff") != word else word.strip()
        )
        return (
            bool(trimmed)
            and not set(word) & set("\t\n\r\0")
            and not (row == 0 and word[0] == "\ufeff")
        )
    if name == "npy" and row == 0 and word[:1] == "\ufeff":
        return False
    return bool(word) and not set(word) & set(" \n\0" if name == "binary" else " \n\0\t\r\v\f")


def check_round_trip(folder, name, given_vectors):
    path = folder / f"vectors{SUFFIX[name]}"
    bad = [word for row, word in enumerate(given_vectors.words) if not carried(name, word, row)]
    if bad or (name == "projector" and not len(given_vectors)):
        with pytest.raises(w2v.errors.FormatError) as caught:
            w2v.save(given_vectors, path)
        message = str(caught.value)
        named = any(repr(word[:60])[1:-1] in message for word in bad) or "an empty word" in message
        assert named or not bad, f"{message} does not name one of {bad!r}"
        return False
    w2v.save(given_vectors, path)
    back = w2v.load(path)
    assert back.words == given_vectors.words
    assert np.asarray(back.matrix).tobytes() == np.asarray(given_vectors.matrix).tobytes()
    if given_vectors.counts is not None and name not in {"text", "binary"} and len(back):
        assert back.counts.tolist() == given_vectors.counts.tolist()
    return True


QUICK = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
)


@pytest.mark.parametrize("examples", [100, *slow(10_000)])
def test_round_trip_of_generated_vocabularies(examples, tmp_path):
    """Each through every format. The slow run draws other ones each time."""
    tried = Counter()

    def check(generated):
        for name in SUFFIX:
            tried[name, check_round_trip(tmp_path, name, generated)] += 1

    drawn = settings(QUICK, max_examples=examples, derandomize=examples == 100)
    drawn(given(vectors())(check))()
    print(dict(tried))
    for name in SUFFIX:
        assert tried[name, True] + tried[name, False] >= examples
        assert tried[name, True] > examples / 5, "too few were written to mean anything"
        assert tried[name, False] > 0


@pytest.mark.parametrize("size", [0, 1, 3000])
@pytest.mark.parametrize("name", SUFFIX)
def test_round_trip_of_no_one_and_many_words(name, size, tmp_path, monkeypatch):
    """Small pieces, so that words and numbers lie across their edges."""
    monkeypatch.setattr(word2vec_text, "_CHUNK", 100)
    monkeypatch.setattr(word2vec_binary, "_BLOCK", 100)
    hostile = ["-1.5", "nan", "1e5", "\u00a0x", "é" * 300, "</s>", "'", "{{data}}", "😀"]
    words = [f"{hostile[i % 9]}{i // 9 or ''}" for i in range(size)]
    matrix = np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32)
    given_vectors = w2v.Vectors(words, matrix, np.arange(size))
    assert check_round_trip(tmp_path, name, given_vectors) == bool(size or name != "projector")


def test_every_kind_of_float32_survives_text(tmp_path):
    """Random bit patterns cover all exponents, subnormals among them; the decimals are short."""
    bits = np.random.default_rng(0).integers(0, 2**32, 30_000, dtype=np.uint64).astype(np.uint32)
    edges = [
        0,
        0x80000000,
        1,
        0x007FFFFF,
        0x00800000,
        0x7F7FFFFF,
        0x3F800000,
        0x3F7FFFFF,
        0x4B800000,
        0x4B800001,
    ]
    powers = np.ldexp(np.float32(1), np.arange(-149, 128)).astype(np.float32)
    values = np.concatenate(
        [bits.view(np.float32), np.array(edges, np.uint32).view(np.float32), powers]
    )
    values = values[np.isfinite(values)]
    values = values[: len(values) // 10 * 10].reshape(-1, 10)
    path = tmp_path / "floats.txt"
    w2v.save(w2v.Vectors([f"w{i}" for i in range(len(values))], values), path)
    assert w2v.load(path).matrix.tobytes() == values.tobytes()
    ordinary = np.random.default_rng(1).normal(0, 0.3, 20_000).astype(np.float32)
    ours = sum(len(repr(value)) for value in shortest(ordinary).tolist())
    theirs = sum(len(np.format_float_positional(value, unique=True)) for value in ordinary)
    assert ours <= theirs * 1.01


@pytest.mark.slow
@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_what_we_write_for_generated_vocabularies(binary, tmp_path):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    compared = []

    def check(generated):
        if not len(generated) or not all(
            carried("text", word, row) for row, word in enumerate(generated.words)
        ):
            return
        path = tmp_path / "x"
        w2v.formats.save_word2vec_format(generated, path, binary=binary)
        read = keyed.load_word2vec_format(str(path), binary=binary)
        assert tuple(read.index_to_key) == generated.words
        assert read.vectors.tobytes() == np.asarray(generated.matrix).tobytes()
        read.save_word2vec_format(str(path), binary=binary)
        assert (
            w2v.formats.load_word2vec_format(path, binary=binary).matrix.tobytes()
            == read.vectors.tobytes()
        )
        compared.append(1)

    settings(QUICK, max_examples=2_000)(given(vectors())(check))()
    assert len(compared) > 200
