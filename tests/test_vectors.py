"""Vectors: lookup, slices, immutability, being a pytree, and what they refuse."""

import copy
import dataclasses
import inspect
import pickle
import re
import subprocess
import sys
import time
import unicodedata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import w2vjax as w2v
from w2vjax import errors
from w2vjax.vocab import Vocab


def pets(**more):
    return w2v.Vectors(
        ["cat", "dog", "tea"], np.array([[3, 4], [4, 3], [-4, 3]]), [9, 5, 1], **more
    )


def test_lookup_by_word_row_words_and_slice():
    vectors = pets()
    assert vectors["dog"].tolist() == vectors[1].tolist() == vectors[-2].tolist() == [4, 3]
    assert vectors[["tea", "cat"]].tolist() == [[-4, 3], [3, 4]]
    assert vectors[[]].shape == (0, 2)
    part = vectors[1:]
    assert (part.words, part.matrix.tolist(), part.counts.tolist()) == (
        ("dog", "tea"),
        [[4, 3], [-4, 3]],
        [5, 1],
    )
    assert vectors[::-1].words == ("tea", "dog", "cat")
    assert ("cat" in vectors, "cup" in vectors, 0 in vectors) == (True, False, False)
    assert (len(vectors), vectors.dim, vectors.shape, list(vectors)) == (
        3,
        2,
        (3, 2),
        ["cat", "dog", "tea"],
    )
    assert vectors.index == {"cat": 0, "dog": 1, "tea": 2}
    assert repr(vectors) == "Vectors(3 words x 2, with counts)"


def test_nothing_can_be_changed():
    source = np.ones((1, 2), np.float32)
    vectors = w2v.Vectors(["a"], source, [1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        vectors.matrix = source
    for array in (vectors.matrix, vectors.counts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        vectors.index["b"] = 1
    source[0, 0] = 2  # the caller's array is theirs to write


def test_a_vocabulary_names_the_rows():
    vocab = Vocab(("cat", "dog"), [9, 5], 3, {"cup": 2})
    vectors = w2v.Vectors(vocab, np.eye(2))
    assert vectors.vocab is vocab
    assert (vectors.words, vectors.counts.tolist(), vectors.index["dog"]) == (
        ("cat", "dog"),
        [9, 5],
        1,
    )
    assert (vectors[:1].vocab.min_count, vectors[:1].vocab.dropped) == (3, {"cup": 2})
    for more in ({"counts": [1, 1]}, {"min_count": 1}, {"dropped": {}}):
        with pytest.raises(w2v.errors.SettingError, match="Leave them out"):
            w2v.Vectors(vocab, np.eye(2), **more)


@pytest.mark.parametrize("kind", ["NumPy", "JAX", "x.npy", "x.safetensors", "dropped"])
def test_vectors_go_to_other_processes_and_through_deepcopy(tmp_path, kind):
    vectors = w2v.Vectors(["a", "b", "c"], np.eye(3) + 0.1, [3, 2, 1])
    if kind == "JAX":
        vectors = w2v.Vectors(vectors.vocab, jnp.asarray(vectors.matrix))
    elif kind == "dropped":
        vectors = w2v.Vectors(Vocab(("a", "b", "c"), [3, 2, 2], 2, {"d": 1}), vectors.matrix)
    elif kind != "NumPy":  # a memory map
        w2v.save(vectors, tmp_path / kind)
        vectors = w2v.load(tmp_path / kind)
    answer = vectors.most_similar("a")
    for twin in (pickle.loads(pickle.dumps(vectors)), copy.deepcopy(vectors), copy.copy(vectors)):
        assert (twin.vocab, twin.most_similar("a")) == (vectors.vocab, answer)
        assert not getattr(getattr(twin.matrix, "flags", None), "writeable", False)


@pytest.mark.parametrize(
    "key",
    [None, [0, 1], np.array([True, False, True]), float("nan"), True, ["cat", 3], np.array(0.5)],
)
def test_what_is_no_word_and_no_row_is_refused(key):
    with pytest.raises(w2v.errors.SettingError, match="A word is a string"):
        pets()[key]


def test_float32_is_kept_and_the_rest_rounded(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((2, 3), np.float32))
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    assert np.shares_memory(w2v.Vectors(["a", "b"], mapped).matrix, mapped)
    assert w2v.Vectors(["a", "b"], np.ones((2, 3), np.int8)).matrix.dtype == np.float32
    on_device = jnp.ones((2, 3))
    assert w2v.Vectors(["a", "b"], on_device).matrix is on_device
    assert w2v.Vectors(["a", "b"], on_device.astype(jnp.bfloat16)).matrix.dtype == jnp.float32


def test_a_pytree_whose_leaf_is_the_matrix():
    vectors = pets()
    doubled = jax.tree.map(lambda x: 2 * x, vectors)
    assert isinstance(doubled, w2v.Vectors)
    assert doubled["cat"].tolist() == [6, 8]
    assert doubled.vocab is vectors.vocab
    assert [leaf.shape for leaf in jax.tree.leaves(vectors)] == [(3, 2)]
    gradient = jax.grad(lambda v: jnp.sum(v.matrix**2))(jax.tree.map(jnp.asarray, vectors))
    np.testing.assert_array_equal(gradient["dog"], [8, 6])


def test_jit_compiles_once_for_equal_labels_and_again_for_others():
    traced = []

    @jax.jit
    def total(vectors):
        traced.append(vectors.words)
        return vectors.matrix.sum()

    total(pets())
    total(pets())  # made anew: equal, not identical
    assert len(traced) == 1
    # the same hash, other words
    total(w2v.Vectors(["cat", "cow", "tea"], np.zeros((3, 2)), [9, 5, 1]))
    total(pets(min_count=2))
    assert len(traced) == 3


def test_hashing_does_not_walk_the_words():
    class Word(str):
        def __hash__(self):
            hashed.append(self)
            return super().__hash__()

    hashed = []
    vocab = Vocab([Word(i) for i in range(1000)])
    hashed.clear()
    hash(vocab)
    assert len(hashed) <= 2
    assert vocab == vocab


def test_unit_handles_zero_huge_and_tiny_vectors_without_a_warning():
    matrix = np.array([[3, 4], [0, 0], [3e38, -3e38], [3e-38, 4e-38]], np.float32)
    unit = np.asarray(w2v.Vectors(list("abcd"), matrix).unit)
    half = np.sqrt(0.5)
    # measured 2.4e-8; 2e-7 is under two units in the last place of 1
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [half, -half], [0.6, 0.8]], atol=2e-7)
    assert w2v.Vectors(list("abcd"), matrix).normalize()["a"].tolist() == unit[0].tolist()


def test_vectors_can_be_normalized_inside_jit():
    unit = jax.jit(lambda vectors: vectors.normalize())(
        w2v.Vectors(["a", "b"], np.array([[3.0, 4.0], [np.nan, 4.0]]))
    )
    assert isinstance(unit, w2v.Vectors)
    np.testing.assert_allclose(unit["a"], [0.6, 0.8], atol=2e-7)  # measured 2.4e-8
    assert np.isnan(unit["b"]).all()


def test_unit_is_computed_once():
    vectors = pets()
    assert vectors.unit is vectors.unit
    assert vectors.normalize().vocab is vectors.vocab


def test_unit_vectors_are_in_memory_once_whoever_asks_first():
    rows = np.random.default_rng(0).standard_normal((2500, 6))
    searched = w2v.Vectors([f"w{i}" for i in range(2500)], rows)
    before = searched.most_similar("w7")
    columns = searched.unit_to_search
    assert columns.flags.f_contiguous
    assert "unit" not in vars(searched)
    unit = searched.unit
    assert unit.flags.c_contiguous
    assert searched.unit_to_search is unit
    np.testing.assert_array_equal(columns, unit)
    assert searched.most_similar("w7") == before
    searched.most_similar_batch([f"w{i}" for i in range(20)])  # on the device
    assert searched.unit_to_search is searched.unit
    assert searched.most_similar("w7") == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_a_query_refuses_what_is_not_finite_and_names_the_word(bad):
    vectors = w2v.Vectors(["cat", "dog"], np.array([[1.0, 2.0], [bad, 0.0]]))
    with pytest.raises(w2v.errors.DivergedError, match=r"'dog' \(row 1\) holds NaN or infinity"):
        vectors.most_similar("cat")
    with pytest.raises(w2v.errors.SettingError, match="NaN or infinity"):
        vectors.similarity("cat", "dog")


@pytest.mark.parametrize(
    ("words", "matrix", "counts", "says"),
    [
        (["a", "b"], np.ones((3, 2)), None, "2 words need a matrix of as many rows"),
        (["a"], np.ones(2), None, "shape is"),
        (["a", "b", "a"], np.ones((3, 2)), None, "'a' is in the vocabulary twice, at 0 and 2"),
        (["a", b"b"], np.ones((2, 2)), None, "not a string"),
        (["a", "b"], np.ones((2, 2)), [1], "as many counts"),
        (["a", "b"], np.ones((2, 2)), [1, -1], "counts=.* cannot work"),
        ({"a", "b"}, np.ones((2, 2)), None, "is a set. Its order"),
        (frozenset("ab"), np.ones((2, 2)), None, "is a set. Its order"),
        (["a"], [["x"]], None, "is not an array of real numbers"),
        (["a", "b"], [[1, 2], [3]], None, "is not an array of real numbers"),
        (["a"], [[1j]], None, "is not an array of real numbers"),
    ],
)
def test_disagreeing_parts_are_refused(words, matrix, counts, says):
    with pytest.raises(w2v.errors.SettingError, match=says):
        w2v.Vectors(words, matrix, counts)


@pytest.mark.parametrize("row", [np.int64(1), np.array(1), jnp.int32(-2), np.uint8(1)])
def test_a_number_of_numpy_or_jax_names_a_row(row):
    """jnp.argmax returns an array without dimensions."""
    assert pets()[row].tolist() == [4, 3]


@pytest.mark.parametrize("row", [3, -4, 10**12])
def test_a_row_outside_the_matrix_is_refused(row):
    with pytest.raises(w2v.errors.IdError, match="There is no row"):
        pets()[row]


def test_an_unknown_word_gives_close_spellings_and_why_it_is_missing():
    vectors = w2v.Vectors(
        ["Paris", "king", "kings", "queen"],
        np.ones((4, 2)),
        dropped={"kin": 3, "qeen": 1},
        min_count=5,
    )
    with pytest.raises(w2v.errors.UnknownWordError) as raised:
        vectors["kin"]
    assert str(raised.value) == (
        "The word 'kin' is not among the 4 words: it was seen 3 times, min_count=5. Did you mean "
        "'king', 'kings'?"
    )
    with pytest.raises(KeyError, match=r"seen 1 time, min_count=5\. Did you mean 'queen'"):
        vectors.most_similar("qeen")
    with pytest.raises(w2v.errors.UnknownWordError, match=r"Did you mean 'Paris'\?"):
        vectors.similarity("paris", "king")
    with pytest.raises(w2v.errors.UnknownWordError, match="Check its spelling"):
        vectors.id("xylophone")
    assert vectors[1:].vocab.dropped == {"kin": 3, "qeen": 1}


@pytest.mark.parametrize("word", ["caf\u00e9", "\u00c5ngstr\u00f6m", "\ud55c\uae00"])
@pytest.mark.parametrize("forms", ["NFC NFD", "NFD NFC"])
def test_a_word_in_another_unicode_form_gets_a_hint(word, forms):
    asked, known = (unicodedata.normalize(form, word) for form in forms.split())
    vectors = w2v.Vectors(["tea", known], np.eye(2))
    with pytest.raises(w2v.errors.UnknownWordError, match="Unicode form") as raised:
        vectors.most_similar(asked)
    assert ascii(known) in str(raised.value)


def test_gensims_names():
    vectors = pets()
    assert vectors.index_to_key == vectors.words
    assert vectors.key_to_index["tea"] == 2
    assert vectors.vector_size == 2


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("most_similar", {"topN": 5}, "most_similar has no argument topN. Did you mean topn?"),
        ("most_similar", {"restrict": 5}, "Did you mean restrict_vocab?"),
        ("similar_by_vector", {"top": 5}, "Did you mean topn?"),
        ("nearest", {"indexer": None}, "Its arguments: queries, topn, restrict_vocab."),
        ("mean_vector", {"ignore_mising": True}, "Did you mean ignore_missing?"),
        ("doesnt_match", {"topn": 5}, "Its arguments: words."),
    ],
)
def test_a_misspelt_keyword_of_a_question_is_named_with_a_remedy(method, given, said):
    ask = getattr(pets(), method)
    with pytest.raises(errors.SettingError, match=re.escape(said)):
        ask("cat", **given)
    assert set(given).isdisjoint(inspect.signature(ask).parameters)


# Vectors are made before JAX is imported, asked by NumPy in a new process, and then a pytree.
WITHOUT_JAX = """
import concurrent.futures, multiprocessing, operator, sys
import w2vjax as w2v
from w2vjax.cli import main

if __name__ == "__main__":
    vectors = w2v.load(sys.argv[1])
    answers = [vectors.most_similar(["cat", "dog"][:n], topn=n) for n in (1, 2)]
    vectors.most_similar_cosmul("cat"), vectors.doesnt_match(["cat", "tea"])
    vectors.rank("cat", "tea"), vectors.distances("cat"), vectors.mean_vector(["cat"])
    assert main(["nn", sys.argv[1], "cat"]) == main(["odd", sys.argv[1], "cat", "tea"]) == 0
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        ask = operator.methodcaller("most_similar", ["cat"], topn=1)
        assert pool.submit(ask, vectors).result() == answers[0]
    assert "jax" not in sys.modules
    import jax
    assert jax.tree.leaves(vectors)[0] is vectors.matrix
    assert jax.jit(lambda v: v.matrix.sum())(vectors) == 13
    assert type(jax.tree.map(lambda x: x, vectors)) is w2v.Vectors
"""


def test_few_queries_do_not_import_jax(tmp_path):
    w2v.save(pets(), tmp_path / "pets.bin")
    (tmp_path / "program.py").write_text(WITHOUT_JAX)
    subprocess.run([sys.executable, tmp_path / "program.py", tmp_path / "pets.bin"], check=True)


def test_an_unknown_word_is_told_within_a_second_among_a_million():
    words = [f"word{i}" for i in range(1_000_000)]
    vectors = w2v.Vectors(words, np.zeros((len(words), 1), np.float32))
    start = time.process_time()
    with pytest.raises(w2v.errors.UnknownWordError, match="Did you mean"):
        vectors.id("wordd77")
    assert time.process_time() - start < 3  # of processor time; measured 0.2


def test_no_words_at_all():
    empty = w2v.Vectors([], np.zeros((0, 4), np.float32))
    assert (len(empty), empty.dim) == (0, 4)
    assert empty.unit.shape == (0, 4)
    assert empty.nearest(np.ones((1, 4))).ids.shape == (1, 0)
    with pytest.raises(w2v.errors.UnknownWordError, match="not among the 0 words"):
        empty["a"]


@pytest.mark.parametrize(
    "key", [slice(None, None, 0), slice("cat", "tea"), slice(1.5), slice(b"c")]
)
def test_a_slice_that_cannot_work_is_refused(key):
    with pytest.raises(
        w2v.errors.SettingError, match=r"cannot be sliced by slice.*\. Use row numbers"
    ):
        pets()[key]


def test_a_word_as_an_array_names_its_row():
    for word in (np.array("dog"), np.str_("dog"), np.array("dog", object)):
        assert pets()[word].tolist() == pets()["dog"].tolist()
    with pytest.raises(w2v.errors.UnknownWordError, match="'dogg' is not among"):
        pets()[np.array("dogg")]
