"""Phrases: scores worked out by hand, joining equal to the plain loop and to gensim's, whatever the
batch size.
"""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2vjax as w2v
from w2vjax.corpus import neighbours
from w2vjax.corpus.neighbours import npmi_score, word2phrase_score
from w2vjax.corpus.phrases import ENGLISH_CONNECTORS, phrases

NEW_YORK = [
    ["new", "york", "is", "big"],
    ["new", "york", "is", "far"],
    ["a", "new", "boat"],
    ["big", "is", "new"],
]


def test_scores_by_hand():
    """14 tokens; new 4, york 2, is 3, big 2; 'new york' 2 times, 'york is' 2 times."""
    found = phrases(NEW_YORK, min_count=1, threshold=0.0).found[0]
    scores = {phrase.parts: (phrase.seen, phrase.score) for phrase in found}
    assert scores == {
        ("york", "is"): (2, pytest.approx((2 - 1) * 14 / (2 * 3))),
        ("new", "york"): (2, pytest.approx((2 - 1) * 14 / (4 * 2))),
    }
    assert [phrase.parts for phrase in found] == [("york", "is"), ("new", "york")]
    npmi = phrases(NEW_YORK, min_count=2, threshold=-1.0, score=npmi_score).found[0]
    expected = np.log((2 / 14) / (4 / 14 * 2 / 14)) / -np.log(2 / 14)
    assert {p.parts: p.score for p in npmi}["new", "york"] == pytest.approx(expected)
    assert {p.parts for p in npmi} == {("new", "york"), ("york", "is")}


def test_joining_goes_from_left_to_right():
    found = phrases(NEW_YORK, min_count=1, threshold=0.0)
    assert list(found.lines()) == [
        ["new_york", "is", "big"],
        ["new_york", "is", "far"],
        *NEW_YORK[2:],
    ]
    assert list(found.lines()) == list(found.lines())


def test_several_passes_join_longer_phrases():
    text = [["the", "new", "york", "times", "says"], ["no", "times", "york", "new"]] * 30
    found = phrases(text, min_count=5, threshold=(2.0, 2.0), passes=2)
    assert any("_" in part for phrase in found.found[1] for part in phrase.parts)
    assert next(iter(found.lines())) == found.join(text[0])
    assert max(word.count("_") for line in found.lines() for word in line) > 1


def test_connectors_stand_inside_but_not_at_the_ends():
    text = [
        ["bill", "of", "rights", "of", "the"],
        ["the", "bill", "rights"],
        ["rights", "x", "bill"],
    ] * 10
    found = phrases(text, min_count=1, threshold=1.0, connectors=ENGLISH_CONNECTORS)
    assert ("bill", "of", "rights") in {phrase.parts for phrase in found.found[0]}
    assert next(iter(found.lines())) == ["bill_of_rights", "of", "the"]
    for phrase in found.found[0]:
        assert not {phrase.parts[0], phrase.parts[-1]} & ENGLISH_CONNECTORS


def test_rare_words_and_line_ends_part_neighbours():
    text = [["a", "rare1", "b"], ["a"], ["b"]] * 1 + [["a", "x"], ["x", "b"]] * 10
    assert ("a", "b") not in {
        phrase.parts for phrase in phrases(text, min_count=2, threshold=-9.0).found[0]
    }


WORDS = st.sampled_from(["a", "b", "c", "d", "of", "the"])
TEXTS = st.lists(st.lists(WORDS, max_size=9), min_size=1, max_size=12).filter(any)


@settings(max_examples=30)
@given(
    text=TEXTS,
    batch=st.integers(5, 12),
    part=st.sampled_from([3, 10, 1000]),
    passes=st.integers(1, 3),
)
def test_batches_and_parts_change_nothing(text, batch, part, passes):
    options = {"min_count": 1, "threshold": 0.3, "passes": passes, "connectors": ["of", "the"]}
    whole = phrases(text, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BATCH", batch)
        patch.setattr(neighbours, "PART", part)
        small = phrases(text, **options)
        lines = list(small.lines())
    assert small.found == whole.found
    assert lines == list(whole.lines())
    assert lines == [whole.join(line) for line in text if line]


def plain_counts(text, connectors):
    """Neighbours and what is between them, counted as plainly as it gets."""
    counts = {}
    for line in text:
        places = [place for place, word in enumerate(line) if word not in connectors]
        for left, right in itertools.pairwise(places):
            if right - left - 1 <= neighbours.LONGEST_GAP:
                key = tuple(line[left : right + 1])
                counts[key] = counts.get(key, 0) + 1
    return counts


@settings(max_examples=30)
@given(text=TEXTS)
def test_counts_equal_the_plain_loop(text):
    connectors = {"of", "the"}
    found = phrases(
        text, 1, -1.0, connectors=connectors, score=lambda pair, a, b, tokens, least: pair * 1.0
    )
    assert {phrase.parts: phrase.seen for phrase in found.found[0]} == plain_counts(
        text, connectors
    )


def zipf_text():
    rng = np.random.default_rng(3)
    words = ["of", "the", *(f"w{n}" for n in range(60))]
    return [[words[i] for i in rng.zipf(1.4, 25) % len(words)] for _ in range(800)]


def longest_gap(line, connectors):
    return max(
        len(list(run)) if word else 0
        for word, run in itertools.groupby(line, connectors.__contains__)
    )


@pytest.mark.parametrize("connectors", [frozenset(), frozenset({"of", "the"})])
@pytest.mark.parametrize("name", ["default", "npmi"])
def test_equal_to_gensim(name, connectors):
    """gensim's default score has the size of the vocabulary in place of the number of tokens."""
    gensim = pytest.importorskip("gensim.models.phrases")
    text = [line for line in zipf_text() if longest_gap(line, connectors) <= neighbours.LONGEST_GAP]
    assert len(text) > 100
    threshold = {"default": 0.02, "npmi": 0.05}[name]
    theirs = gensim.Phrases(
        text, min_count=5, threshold=threshold, scoring=name, connector_words=connectors
    )
    if name == "default":
        tokens, size = sum(map(len, text)), len(theirs.vocab)
        ours, scale = (
            phrases(text, 5, threshold / size * tokens, connectors=connectors),
            size / tokens,
        )
    else:
        ours, scale = phrases(text, 5, threshold, score=npmi_score, connectors=connectors), 1.0
    scores = {"_".join(phrase.parts): phrase.score * scale for phrase in ours.found[0]}
    expected = theirs.export_phrases()
    assert len(expected) > 20
    # measured difference 4e-16; a phrase that is never joined, its words being used by others, is
    # in ours alone
    assert {word: scores[word] for word in expected} == pytest.approx(expected, rel=1e-12)
    joined = [ours.join(line) for line in text]
    assert [theirs[line] for line in text] == joined == list(ours.lines())


def test_files(tmp_path):
    found = phrases(NEW_YORK, min_count=1, threshold=0.0)
    found.save_corpus(tmp_path / "joined.txt")
    assert (
        tmp_path / "joined.txt"
    ).read_text() == "new_york is big\nnew_york is far\na new boat\nbig is new\n"
    found.save_list(tmp_path / "list.tsv")
    assert (tmp_path / "list.tsv").read_text().splitlines() == [
        "phrase\tcount\tscore\tpass",
        "york_is\t2\t2.33333\t1",
        "new_york\t2\t1.75\t1",
    ]
    corpus = w2v.prepare(found.lines(), None, 1)
    assert corpus.vocab["new_york"] >= 0
    for word in ("new york", "a\tb", "a\n", "\ud800"):
        found = phrases([[word, "b"]], 1, -9.0)
        for save in (found.save_corpus, found.save_list):
            with pytest.raises(w2v.errors.FormatError, match=r"cannot carry|is not text"):
                save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_line_to_join_is_a_list():
    found = phrases(NEW_YORK, min_count=1, threshold=0.0)
    assert found.join(word for word in ("new", "york")) == ["new_york"]
    for line in ("new york", {"new", "york"}, 3):
        with pytest.raises(w2v.errors.SettingError, match="Pass a list"):
            found.join(line)


@pytest.mark.parametrize("scores", [5.0, None, "x", [1.0], [[1.0]] * 8, [None] * 8, [True] * 8])
def test_a_score_function_returns_a_number_for_each_pair(scores):
    with pytest.raises(w2v.errors.SettingError, match=r"returned .* for 8 pairs"):
        phrases(NEW_YORK, 1, 0.0, score=lambda *counts: scores)


@pytest.mark.parametrize(
    "options",
    [
        {"min_count": 0},
        {"min_count": True},
        {"min_count": 2.0},
        {"passes": 0},
        {"passes": True},
        {"threshold": float("nan")},
        {"threshold": [1.0, 2.0]},
        {"threshold": [1.0], "passes": 2},
        {"score": lambda pair, a, b, tokens, least: pair},
        *({"score": score} for score in ("npmi", None, 3)),
        *({"threshold": value} for value in ("high", [1.0, "b"], {}, [[1.0]], "1.0")),
        *({"threshold": value} for value in (10**400, [10**400], 1j, np.array("2020", "M8[D]"))),
        *({"connectors": words} for words in ("of", 3, None, ["of", 3])),
        *({"delimiter": value} for value in (" ", "a\n", None, 3)),
        *({"tokenizer": value} for value in ("whitespace", 3)),
        *({"reading": value} for value in ("replace", None)),
    ],
)
def test_settings_are_checked_before_anything_is_read(options):
    with pytest.raises(w2v.errors.SettingError, match=rf"{next(iter(options))}.*\. [A-Z]"):
        phrases(iter(lambda: pytest.fail("read"), None), **options)


@pytest.mark.parametrize("score", [len, max, str.join, lambda pair: pair])
def test_a_score_of_other_arguments_is_refused(score):
    with pytest.raises(w2v.errors.SettingError, match=r"score=.* failed: .*\. Pass "):
        phrases(NEW_YORK, 1, 0.0, score=score)


@pytest.mark.parametrize("tokens", [[["new"]], [3], ["new", None], [("new", "york")]])
def test_only_words_are_joined(tokens):
    found = phrases(NEW_YORK, min_count=1, threshold=0.0)
    with pytest.raises(w2v.errors.SettingError, match="A word is a string"):
        found.join(tokens)


def test_a_result_prints_as_one_line():
    found, corpus = phrases(NEW_YORK, 1, 0.0, passes=2), w2v.prepare(NEW_YORK * 400, min_count=1)
    assert repr(found) == "Phrases(2 + 1 found, 10 tokens, 4 lines)"
    assert repr(corpus) == "Corpus(7 words, 5,600 tokens, 1,600 lines)"
    assert repr(corpus.vocab) == "Vocab(7 words, with counts)"


def test_one_word_makes_no_phrase():
    found = phrases([["only"]], 1, 0.0)
    assert found.found == ((),)
    assert list(found.lines()) == [["only"]]
    assert word2phrase_score(np.array([5]), np.array([5]), np.array([5]), 10, 5) == 0


def test_command(tmp_path, cli):
    path = tmp_path / "text.txt"
    path.write_text("".join(" ".join(line) + "\n" for line in NEW_YORK))
    done = cli(
        "phrases",
        path,
        "--out",
        tmp_path / "out.txt",
        "--list",
        tmp_path / "l.tsv",
        "--min-count",
        1,
        "--threshold",
        0,
    )
    assert done.code == 0
    assert done.out.splitlines() == [
        "pass 1: 2 phrases above the threshold",
        "phrase    count  score",
        "york_is       2  2.333",
        "new_york      2   1.75",
        f"12 tokens with the phrases joined, written to {tmp_path / 'out.txt'}",
    ]
    assert (tmp_path / "out.txt").read_text().startswith("new_york is big\n")
    assert len((tmp_path / "l.tsv").read_text().splitlines()) == 3
    record = json.loads(
        cli(
            "phrases", path, "--score", "npmi", "--min-count", 2, "--threshold", 0, "--json", "-"
        ).out
    )
    assert record["passes"][0][0]["phrase"] in {"new_york", "york_is"}
    assert cli("phrases", tmp_path / "none").code == 3
    assert cli("phrases", path, "--delimiter", " ").code == 2
    assert cli("phrases", path, "--passes", 0).err.startswith(
        "w2vjax phrases: passes=0 cannot work. Use a whole number of 1 or more."
    )
    twice = cli("phrases", path, "--out", tmp_path / "same", "--list", tmp_path / "same")
    assert twice.code == 2
    assert "is named for two results" in twice.err
    assert not (tmp_path / "same").exists()
