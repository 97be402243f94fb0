"""The vocabulary: order, look-up, what it says of words it lacks, and its files."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2vjax as w2v
from w2vjax.corpus.vocab import Vocab, build_vocab, closest
from w2vjax.data import machine_learning_text

LISTS = [["the", "king", "the", "queen"], ["a", "king", "sees", "the", "queen"]]


def test_order_is_by_count_and_then_by_first_occurrence():
    vocab = build_vocab(LISTS, 1)
    assert vocab.words == ("the", "king", "queen", "a", "sees")
    assert vocab.counts.tolist() == [3, 2, 2, 1, 1]
    assert vocab.counts.dtype == np.int64
    assert list(vocab) == list(vocab.words)
    assert [vocab[word] for word in vocab] == list(range(len(vocab)))
    assert vocab.lookup(["queen", "the"]).tolist() == [2, 0]
    assert "king" in vocab
    assert "King" not in vocab
    assert 3 not in vocab


def test_it_cannot_be_changed():
    vocab = build_vocab(LISTS, 1)
    with pytest.raises(AttributeError):
        vocab.words = ()
    with pytest.raises(ValueError, match="read-only"):
        vocab.counts[0] = 7
    assert hash(vocab) == hash(build_vocab(LISTS, 1))
    assert pickle.loads(pickle.dumps(vocab)) == vocab


def test_report():
    report = build_vocab(LISTS, 2).report
    assert report == (2, 3, 2, 7, 2)
    assert str(report) == "2 lines, 9 tokens of 5 words; kept 3 words (60.0%), 7 tokens (77.8%)"


@pytest.mark.parametrize("min_count", [0, 1])
def test_min_count_0_and_1_keep_every_word(min_count):
    assert len(build_vocab(LISTS, min_count)) == 5


def test_one_word():
    assert build_vocab([["only"]], 1).words == ("only",)


def test_everything_below_min_count():
    with pytest.raises(w2v.errors.CorpusError) as caught:
        build_vocab(LISTS, 5)
    sentence = (
        "No word occurs min_count=5 times (most frequent: 'the', 3). Lower min_count or read more text."
    )
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("min_count", "max_vocab"),
    [(-1, None), (1.5, None), (True, None), ("5", None), (5, 0), (5, -3), (5, 2.0), (5, True)],
)
def test_settings_are_refused_before_anything_is_read(min_count, max_vocab):
    with pytest.raises(w2v.errors.SettingError, match=r"min_count=|max_vocab="):
        build_vocab(iter(lambda: pytest.fail("read"), None), min_count, max_vocab)


def test_an_unknown_word_is_explained():
    vocab = build_vocab(LISTS, 2)
    with pytest.raises(w2v.errors.UnknownWordError) as caught:
        vocab["kings"]
    assert str(caught.value) == "'kings' is not in the vocabulary. Close spellings: 'king'."
    with pytest.raises(
        w2v.errors.UnknownWordError, match=r"'sees' is not in the vocabulary: seen 1 time, min_count=2\."
    ):
        vocab["sees"]
    with pytest.raises(
        w2v.errors.UnknownWordError, match=r"'queen' is not in the vocabulary: seen 2 times, max_vocab=2\."
    ):
        build_vocab(LISTS, 2, max_vocab=2)["queen"]
    with pytest.raises(KeyError):
        vocab.lookup(["the", "sees"])


def test_dropped_words_are_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("w2vjax.corpus.vocab.REMEMBERED", 2)
    lists = [["a"] * 5 + ["b"] * 3 + ["c"] * 4 + ["d"] * 2]
    assert dict(build_vocab(lists, 5).dropped) == {"c": 4, "b": 3}


def test_closest_spellings_find_case_first():
    assert closest("King", ["kind", "king", "ring"])[0] == "king"
    assert closest("", ["a"]) == []
    assert closest("zzzzzzz", ["a", "b"]) == []


SAVEABLE = st.lists(
    st.tuples(
        st.text(st.characters(min_codepoint=33, exclude_categories=("Cs",)), min_size=1, max_size=12),
        st.integers(0, 2**62),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda pair: pair[0],
)


@settings(deadline=None)
@given(SAVEABLE)
def test_the_vocabulary_file_gives_back_what_was_saved(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    vocab = Vocab(tuple(word for word, _ in pairs), np.array([count for _, count in pairs]))
    vocab.save(path)
    if pairs[0][0].startswith("\ufeff"):  # taken for a byte-order mark, as every reader of the format would
        return
    assert Vocab.load(path) == vocab


def test_the_vocabulary_file_is_word2vecs(tmp_path):
    path = tmp_path / "vocab.txt"
    build_vocab(LISTS, 1).save(path)
    assert path.read_bytes() == b"the 3\nking 2\nqueen 2\na 1\nsees 1\n"
    path.write_bytes(b"\xef\xbb\xbf</s> 0\r\nthe 3\r\nnew york 2")
    assert Vocab.load(path).words == ("</s>", "the", "new york")


@pytest.mark.parametrize("word", ["new york", "a\n", "nul\0", "", "tab\t", "\ud800"])
def test_words_that_the_file_cannot_carry_are_refused_by_name(tmp_path, word):
    with pytest.raises(w2v.errors.FormatError) as caught:
        Vocab(("fine", word), [1, 1]).save(tmp_path / "vocab.txt")
    assert repr(word) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "holds no words"),
        (b"the\n", "line 1: b'the\\n' is not a word, a space and a count"),
        (b"the 3\n\n", "line 2"),
        (b"the 3\nking -2\n", "line 2"),
        (b"the 3.5\n", "line 1"),
        (b"the " + b"9" * 5000, "line 1"),
        (b"the 9223372036854775808", "line 1"),
        (b" 3\n", "line 1"),
        (b"the 3\nthe 2\n", "line 2: the word 'the' has been there before"),
        (b"the 3\n\xff 2\n", "line 2: invalid UTF-8"),
    ],
)
def test_malformed_vocabulary_files_name_the_line(tmp_path, data, expected):
    path = tmp_path / "vocab.txt"
    path.write_bytes(data)
    with pytest.raises(w2v.errors.FormatError) as caught:
        Vocab.load(path)
    assert expected in str(caught.value)
    assert "vocab.txt" in str(caught.value)
    with pytest.raises(w2v.errors.FormatError, match="cannot be read: No such file"):
        Vocab.load(tmp_path / "none")


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=12), max_size=20, unique=True))
def test_arrays_give_back_any_words(words):
    vocab = Vocab(tuple(words), np.arange(len(words)))
    assert Vocab.from_arrays(vocab.arrays()) == vocab


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": np.array([0, 2, 1, 4])},
        {"offsets": np.array([0, 1, 2, 9])},
        {"offsets": np.array([1, 1, 2, 4])},
        {"offsets": np.array([], np.int64)},
        {"words": np.frombuffer(b"a\xffcd", np.uint8)},
        {"words": np.frombuffer(b"aacd", np.uint8)},
        {"counts": np.array([1])},
    ],
)
def test_damaged_arrays_are_refused(change):
    arrays = Vocab(("a", "b", "cd"), [3, 2, 1]).arrays()
    with pytest.raises(w2v.errors.FormatError, match=r"Write the file again|write it again"):
        Vocab.from_arrays({**arrays, **change})


def test_words_twice_are_refused():
    with pytest.raises(w2v.errors.SettingError, match="'a' is in the vocabulary twice"):
        Vocab(("a", "b", "a"), [1, 1, 1])


def test_the_built_in_text_with_the_posts_tokenizer():
    vocab = build_vocab(None, 1, tokenizer=w2v.reference.tokenize)
    counts = Counter(w2v.reference.tokenize(machine_learning_text()))
    assert vocab.words == tuple(sorted(counts, key=lambda word: -counts[word]))
    assert len(vocab) == 60
