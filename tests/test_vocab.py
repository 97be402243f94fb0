"""The vocabulary: order, look-up, what it says of words it lacks, and its files."""

import copy
import difflib
import gzip
import hashlib
import itertools
import pickle
import unicodedata
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2vjax as w2v
from w2vjax.corpus.count import build_vocab
from w2vjax.data import machine_learning_text
from w2vjax.vocab import Vocab, closest_spellings

LISTS = [["the", "king", "the", "queen"], ["a", "king", "sees", "the", "queen"]]


def test_order_is_by_count_and_then_by_first_occurrence():
    vocab = build_vocab(LISTS, 1)
    assert vocab.words == ("the", "king", "queen", "a", "sees")
    assert vocab.counts.tolist() == [3, 2, 2, 1, 1]
    assert vocab.counts.dtype == np.int64
    assert list(vocab) == list(vocab.words)
    assert [vocab[word] for word in vocab] == list(range(len(vocab)))
    assert vocab.lookup(["queen", "the"]).tolist() == [2, 0]
    assert vocab.lookup(word for word in ("a", "the")).tolist() == [3, 0]
    for words in ("a", "the king", {"a", "the"}, 3):
        with pytest.raises(w2v.errors.SettingError, match="Pass a list"):
            vocab.lookup(words)
    for counts in (np.array([2.0, 1.0]), np.array([2, 1], np.uint8), [np.int64(2), 1]):
        assert Vocab(["b", "a"], counts).counts.tolist() == [2, 1]
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
    for twin in (pickle.loads(pickle.dumps(vocab)), copy.deepcopy(vocab)):
        assert twin == vocab
        assert (twin.report, twin.counts.flags.writeable) == (vocab.report, False)


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
        "No word occurs min_count=5 times (most frequent: 'the', 3). "
        "Lower min_count or read more text."
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
    assert str(caught.value) == "The word 'kings' is not among the 3 words. Did you mean 'king'?"
    with pytest.raises(
        w2v.errors.UnknownWordError, match=r"the 3 words: it was seen 1 time, min_count=2\."
    ):
        vocab["sees"]
    with pytest.raises(
        w2v.errors.UnknownWordError, match=r"it was seen 2 times, and max_vocab left it out\."
    ):
        build_vocab(LISTS, 2, max_vocab=2)["queen"]
    with pytest.raises(KeyError):
        vocab.lookup(["the", "sees"])


@pytest.mark.parametrize("word", [0, None, float("nan"), b"the", ["the"], True, 10**5000], ids=type)
def test_a_word_is_a_string(word):
    vocab = build_vocab(LISTS, 1)
    assert word not in vocab
    with pytest.raises(w2v.errors.SettingError, match="A word is a string"):
        vocab[word]


def test_dropped_words_are_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("w2vjax.corpus.count.REMEMBERED", 2)
    lists = [["a"] * 5 + ["b"] * 3 + ["c"] * 4 + ["d"] * 2]
    assert dict(build_vocab(lists, 5).dropped) == {"c": 4, "b": 3}


def test_closest_spellings_find_case_first():
    def closest(word, *words):
        return closest_spellings(word, Vocab(words).ids)

    assert closest("King", "kind", "king", "ring")[0] == "king"
    assert closest("", "a") == []
    assert closest("zzzzzzz", "a", "b") == []
    assert closest("PARIS", "Paris", "paris")[0] == "paris"


NO_COUNTS = [-1, 1.5, float("nan"), "x", "3", None, b"1", 1j, 2**63, True, [1], np.array([1, 2])]
NO_DROPPED = [["x"], "x", 3, [("x", 1)], {"x"}, b"x", {3: 4}, {None: 1}, {"y": 1, b"x": 2}]
NO_DROPPED += [{"x": count} for count in NO_COUNTS]


@pytest.mark.parametrize("dropped", NO_DROPPED, ids=repr)
def test_dropped_are_words_with_counts(dropped):
    for make in (Vocab, lambda words, dropped: w2v.Vectors(words, [[1.0]], dropped=dropped)):
        with pytest.raises(w2v.errors.SettingError, match="dropped="):
            make(["a"], dropped=dropped)


@pytest.mark.parametrize("min_count", [-5, -1, 1.5, "x", "5", None, True, [1], float("nan")])
def test_a_vocabulary_refuses_a_min_count_that_is_none(min_count):
    with pytest.raises(w2v.errors.SettingError, match=r"min_count=.* cannot work"):
        Vocab(["a"], [1], min_count)
    if min_count is not None:
        with pytest.raises(w2v.errors.SettingError, match=r"min_count=.* cannot work"):
            w2v.Vectors(["a"], [[1.0]], min_count=min_count)


@pytest.mark.parametrize("report", ["x", {}, (1, 2, 3, 4, 5), 0])
def test_a_vocabulary_refuses_a_report_that_is_none(report):
    with pytest.raises(w2v.errors.SettingError, match=r"report=.* is no Report"):
        Vocab(["a"], [1], report=report)


@pytest.mark.parametrize("whole", [np.int64, np.uint8, np.int32, np.array, jnp.int32])
def test_whole_numbers_of_other_libraries_are_those_of_python(whole, tmp_path):
    if whole not in (np.array, jnp.int32):
        vectors = w2v.Vectors(["a"], [[1.0]], [4], dropped={"b": whole(2)}, min_count=whole(3))
        w2v.save(vectors, tmp_path / "a.safetensors")
        back = w2v.load(tmp_path / "a.safetensors")
        assert (back.vocab, back.vocab.min_count) == (vectors.vocab, 3)
        assert type(vectors.vocab.min_count) is int
    dropped = Vocab(["a"], dropped={"b": whole(2), "c": 1}).dropped
    assert dropped == {"b": 2, "c": 1}
    assert {type(count) for count in dropped.values()} == {int}


def test_the_dropped_words_of_the_caller_are_not_changed():
    given = {"b": np.int64(2)}
    assert Vocab(["a"], dropped=given).dropped is not given
    assert type(given["b"]) is np.int64


@pytest.mark.parametrize(
    "new", [None, ["c"], {"c": 1}, 3, w2v.Vectors(["c"], [[1.0]], [2]), Counter("cc")], ids=repr
)
def test_a_vocabulary_grows_by_a_vocabulary(new):
    with pytest.raises(w2v.errors.SettingError, match=r"no Vocab\. Pass one, such as corpus.vocab"):
        Vocab(["a"], [1]).grow(new)


def digests(n):
    return [hashlib.sha256(str(i).encode()).hexdigest() for i in range(n)]


LONG_WORDS = {
    "digests": digests(3000),
    "addresses": [f"https://example.org/pages/{word[:12]}.html" for word in digests(3000)],
    "two letters": [f"{int(word, 16):b}"[:80] for word in digests(3000)],
    "longer than any hint": [word * 40 for word in digests(3000)],
}


@pytest.mark.parametrize("words", LONG_WORDS.values(), ids=LONG_WORDS)
def test_a_hint_among_long_words_aligns_few_of_them(words, monkeypatch):
    aligned, ratio = [], difflib.SequenceMatcher.ratio

    def counted(matcher):
        aligned.append(len(matcher.a) * len(matcher.b))
        return ratio(matcher)

    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", counted)
    known, ids = words[2000], Vocab(words).ids
    hints = closest_spellings(known[:30] + "x" + known[31:], ids)
    assert hints[:1] == ([known] if len(known) <= 100 else [])
    assert closest_spellings(known[::-1], ids) == closest_spellings(known[::-1], ids)
    assert sum(aligned) <= 1_500_000


def test_many_spellings_with_other_capitals_take_no_time_of_their_own():
    word = "abcdefghijklmnop"
    shapes = itertools.product(*zip(word, word.upper(), strict=True))
    words = ["".join(shape) for shape in itertools.islice(shapes, 1, 20_000)]
    assert closest_spellings(word, Vocab(words).ids) == words[:3]


@pytest.mark.parametrize("letters", ["ab", "abcdef", "aeioustrn\xe9\0"])
def test_hints_are_those_of_difflib(letters):
    random = np.random.default_rng(7)

    def word():
        return "".join(random.choice([*letters], random.integers(1, 10)))

    for _ in range(50):
        asked, words = word(), list(dict.fromkeys(word() for _ in range(50)))
        near = [other for other in words if abs(len(other) - len(asked)) <= 2 and other != asked]
        expected = difflib.get_close_matches(asked, near, 3, cutoff=0.7)
        assert closest_spellings(asked, dict.fromkeys(near, 0)) == expected


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("fin", "\ufb01n"),
        ("full", "\uff46\uff55\uff4c\uff4c"),
        ("\xc9t\xe9", "e\u0301te\u0301"),
        ("E\u0301TE\u0301", "\xe9t\xe9"),
        ("STRASSE", "stra\xdfe"),
        ("2", "\xb2"),
        ("\u212b", "a\u030a"),
        ("\u2167", "viii"),
        ("Viii", "\u2167"),
    ],
)
def test_another_unicode_form_and_other_capitals_are_hinted_at(asked, known):
    words = ["tea", known, "entirely", "else"]
    with pytest.raises(w2v.errors.UnknownWordError) as caught:
        Vocab(words)[asked]
    compatible = unicodedata.normalize("NFKC", known) != known
    meant = f"{known!r} ({known!a})" if compatible else f"{known!r}"
    assert meant in str(caught.value)


MOST = 2**63 - 1


@pytest.mark.parametrize(
    "counts",
    [[0, 0, 0], [2**62] * 3, [MOST, MOST, 5], [MOST, 1, 0], [2**62, 2**61, 2**62], [MOST] * 3],
)
def test_counts_without_a_sum_are_no_vocabulary_to_train_with(counts):
    vocab = Vocab(("a", "b", "c"), counts)
    text = [["a", "b", "c"]] * 3
    with pytest.raises(w2v.errors.SettingError, match=rf"sum to {sum(counts):,}\. Pass"):
        w2v.prepare(text, vocab=vocab)
    with pytest.raises(w2v.errors.SettingError, match=rf"sum to {sum(counts):,}\. Pass"):
        w2v.train(text, vocab=vocab, dim=2, objective="hierarchical")


@pytest.mark.parametrize("counts", [[0, 1, 0], [MOST, 0, 0], [2**62, 2**62 - 1, 0]])
def test_counts_with_a_sum_are_a_vocabulary_to_train_with(counts):
    corpus = w2v.prepare([["a", "b", "c"]] * 3, vocab=Vocab(("a", "b", "c"), counts))
    assert corpus.counts.tolist() == counts


SAVEABLE = st.lists(
    st.tuples(
        st.text(
            st.characters(min_codepoint=33, exclude_categories=("Cs",)), min_size=1, max_size=12
        ),
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
    vocab = Vocab([word for word, _ in pairs], [count for _, count in pairs])
    if pairs[0][0].startswith("\ufeff"):  # every reader takes it for a byte order mark
        with pytest.raises(w2v.errors.FormatError, match="byte order mark"):
            vocab.save(path)
        return
    vocab.save(path)
    assert Vocab.load(path) == vocab
    words, counts = w2v.formats.read_vocabulary(path)
    assert (tuple(words), counts.tolist()) == (vocab.words, vocab.counts.tolist())


def test_the_vocabulary_file_is_word2vecs(tmp_path):
    path = tmp_path / "vocab.txt"
    build_vocab(LISTS, 1).save(path)
    assert path.read_bytes() == b"the 3\nking 2\nqueen 2\na 1\nsees 1\n"
    path.write_bytes(b"\xef\xbb\xbf</s> 0\r\nthe 3\r\nnew\xc2\xa0york 2\n")
    assert Vocab.load(path).words == ("</s>", "the", "new\xa0york")
    with gzip.open(tmp_path / "vocab.txt.gz", "wb") as file:
        file.write(path.read_bytes())
    assert Vocab.load(tmp_path / "vocab.txt.gz") == Vocab.load(path)


@pytest.mark.parametrize(
    "word", ["new york", "a\n", "nul\0", "", "tab\t", "\ud800", "page\f", "\v"]
)
def test_words_that_the_file_cannot_carry_are_refused_by_name(tmp_path, word):
    with pytest.raises(w2v.errors.FormatError) as caught:
        Vocab(("fine", word), [1, 1]).save(tmp_path / "vocab.txt")
    assert (repr(word) if word else "empty word, and row 1") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Both readers of the format, of which one was more lenient, have to refuse all of these.
@pytest.mark.parametrize("read", [Vocab.load, w2v.formats.read_vocabulary])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"the 3\n\n", "line 2"),
        (b"the 3\nking -2\n", "line 2"),
        (b"the 3.5\n", "line 1"),
        (b"the " + b"9" * 5000 + b"\n", "line 1"),
        (b"the 9223372036854775808\n", "line 1"),
        (b" 3\n", "line 1: b' 3' is not a word, one space and a count"),
        (b"the 5 \n", "line 1: b'the 5 ' is not a word, one space and a count"),
        (b"the  5\n", "line 1"),
        (b"the 5\nnew york 2\n", "line 2"),
        (b"a\tb 2\n", "line 1"),
        (b"the 5\nof 59", "byte 11: the last line has no end, so it may have been cut"),
        (b"the 5\nof\n", "line 2: only one of this line and line 1 has a count"),
        (b"the 3\nthe 2\n", "line 2: the word 'the' is on an earlier line too"),
        (b"the 3\n\xff 2\n", "line 2: the word b'\\xff' is not UTF-8"),
    ],
)
def test_malformed_vocabulary_files_name_the_line(tmp_path, data, expected, read):
    path = tmp_path / "vocab.txt"
    path.write_bytes(data)
    with pytest.raises(w2v.errors.FormatError) as caught:
        read(path)
    assert f"vocab.txt, {expected}" in str(caught.value)


@pytest.mark.parametrize(("data", "missing"), [(b"", "words"), (b"the\nof\n", "counts")])
def test_a_vocabulary_needs_words_and_counts(tmp_path, data, missing):
    path = tmp_path / "vocab.txt"
    path.write_bytes(data)
    with pytest.raises(w2v.errors.FormatError, match=f"holds no {missing}"):
        Vocab.load(path)
    with pytest.raises(w2v.errors.FileError, match="cannot be read: No such file"):
        Vocab.load(tmp_path / "none")
    with pytest.raises(w2v.errors.FileError, match="it is a folder"):
        Vocab.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("missing", None, 7),
        ("missing/words.txt", None, 7),
        (".", None, 7),
        ("words.txt", b"to 2\nbe 2", 4),
        ("words.txt", b"", 4),
        ("words.txt", b"to two\n", 4),
    ],
)
def test_a_vocabulary_file_that_is_missing_or_bad_has_the_exit_code_of_its_fault(
    cli, tmp_path, name, data, code
):
    text, words = tmp_path / "text.txt", tmp_path / name
    text.write_text("to be or not to be\n")
    if data is not None:
        words.write_bytes(data)
    done = cli("train", text, "--vocab", words, "--out", tmp_path / "out")
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert str(words) in done.err
    assert not (tmp_path / "out").exists()


def test_growing_adds_words_and_counts():
    old = Vocab(("a", "b"), [5, 2], dropped={"z": 1})
    new = Vocab(("c", "b"), [4, 1], min_count=3, dropped={"a": 1, "d": 2})
    grown = old.grow(new)
    assert (grown.words, grown.counts.tolist()) == (("a", "b", "c"), [6, 3, 4])
    assert (grown.min_count, grown.dropped) == (3, {"d": 2})
    with pytest.raises(w2v.errors.SettingError, match="min_count=-1"):
        old.grow(new, min_count=-1)
    assert Vocab(()).counts is None
    for other in (Vocab(("c",)), Vocab(())):
        with pytest.raises(w2v.errors.SettingError, match="Pass vocabularies with counts"):
            old.grow(other)


TOKENS = st.lists(st.sampled_from(list("abcdefgh")), min_size=1, max_size=80)


@given(TOKENS, st.integers(0, 6), st.none() | st.integers(1, 8))
def test_every_token_is_kept_or_dropped_and_the_frequent_ones_are_kept(tokens, least, most):
    counts = Counter(tokens)
    if max(counts.values()) < least:
        with pytest.raises(w2v.errors.CorpusError, match="No word occurs"):
            build_vocab([tokens], least, most)
        return
    vocab = build_vocab([tokens], least, most)
    ranked = sorted(counts, key=lambda word: -counts[word])  # sorted keeps first occurrence
    expected = [word for word in ranked if counts[word] >= least][:most]
    kept = dict(zip(vocab.words, vocab.counts.tolist(), strict=True))
    assert list(vocab) == expected
    assert {**kept, **vocab.dropped} == counts
    assert (sum(vocab.report[1:3]), sum(vocab.report[3:])) == (len(counts), len(tokens))
    assert pickle.loads(pickle.dumps(vocab)) == vocab


@given(TOKENS, TOKENS, st.integers(0, 6))
def test_a_grown_vocabulary_counts_both_texts(old_tokens, new_tokens, least):
    """min_count is for new words: a known word gains its counts, however rare it is."""
    old = build_vocab([old_tokens], 1)
    grown = old.grow(build_vocab([new_tokens], 1), least)
    assert grown.words[: len(old)] == old.words
    counts, new = Counter(old_tokens) + Counter(new_tokens), Counter(new_tokens)
    assert set(grown.words) == {word for word in counts if word in old or new[word] >= least}
    assert [counts[word] for word in grown] == grown.counts.tolist()
    assert grown.dropped == {word: new[word] for word in new if word not in grown}


def test_vocabularies_differ_in_each_of_their_parts():
    vocab = Vocab(("a", "b"), [5, 2], 2, {"z": 1})
    same = Vocab(["a", "b"], np.array([5, 2]), 2, {"z": 1})
    assert (vocab == same, hash(vocab) == hash(same)) == (True, True)
    others = (
        [("a", "c"), [5, 2], 2, {"z": 1}],
        [("a", "b"), None, 2, {"z": 1}],
        [("a", "b"), [5, 3], 2, {"z": 1}],
    )
    for other in (*others, [("a", "b"), [5, 2], 1, {"z": 1}], [("a", "b"), [5, 2], 2, {}]):
        assert vocab != Vocab(*other)
    assert vocab != ("a", "b")


@pytest.mark.parametrize(
    ("words", "counts", "says"),
    [
        (("a", "b", "a"), [1, 1, 1], "'a' is in the vocabulary twice, at 0 and 2"),
        (("a", 3), None, "Word 1 is 3"),
        (("a",), [1, 2], "as many counts"),
        *(
            (("a", "b"), counts, r"counts=.* cannot work\. Pass whole numbers from 0")
            for counts in (
                *([-1, 1], [1.5, 2], [float("nan"), 1], [2**63, 1], [1e20, 1], ["5", "3"]),
                *([True, False], {"a": 1}, [[1], [1, 2]]),
                *(np.array([2**63, 1], np.uint64), np.array([None, 1])),
            )
        ),
        *((words, None, "not a list of words|is a set|Pass a list") for words in ("ab", {"a"}, 3)),
    ],
)
def test_parts_that_disagree_are_refused(words, counts, says):
    with pytest.raises(w2v.errors.SettingError, match=says):
        Vocab(words, counts)


def test_the_built_in_text_with_the_posts_tokenizer():
    vocab = build_vocab(None, 1, tokenizer=w2v.reference.tokenize)
    counts = Counter(w2v.reference.tokenize(machine_learning_text()))
    assert vocab.words == tuple(sorted(counts, key=lambda word: -counts[word]))
    assert len(vocab) == 60
