"""Words to numbers: equal to a Counter and a dict for all block sizes, lengths and alphabets."""

import io
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2vjax.corpus import table as table_module
from w2vjax.corpus.count import build_vocab, rank, spelled
from w2vjax.corpus.scan import renumber, scan
from w2vjax.corpus.sources import Reading
from w2vjax.corpus.table import PIECE, PIECES, WordTable
from w2vjax.errors import CorpusError

SEPARATORS = [" ", "\n", "\r\n", "\t", "\0", "\x0b", "  ", "\n\n", " \n "]
LENGTHS = [1, 7, 8, 9, 15, 16, 17, 24, 63, 64, 65, 200]
WORDS = st.one_of(
    st.sampled_from(
        ["a", "b", "the", "internet", "internets", "internetinternet", "é", "日本語", "no\xa0break"]
    ),
    st.text(st.characters(min_codepoint=33, exclude_categories=("Cs",)), min_size=1, max_size=20),
    st.builds(
        lambda letter, length: letter * length, st.sampled_from("xyé"), st.sampled_from(LENGTHS)
    ),
)


def reference(text):
    """Words by count, then first occurrence; ids; line starts: written as plainly as it gets."""
    lines = [re.findall(r"[^\x00-\x20]+", line) for line in text.split("\n")]
    words = [word for line in lines for word in line]
    counts = Counter(words)  # a Counter keeps first occurrence, and sorted is stable
    vocabulary = sorted(counts, key=lambda word: -counts[word])
    return lines, words, counts, vocabulary


def encoded(source, min_count, block_bytes, max_vocab=None, tokenizer=None, threads=1):
    ids, starts = io.BytesIO(), io.BytesIO()
    seen = scan(source, tokenizer, Reading(block_bytes=block_bytes, threads=threads), io.BytesIO)
    kept, dropped, ids_of = rank(seen, min_count, max_vocab)
    vocab = spelled(seen, kept, dropped, min_count)
    size = renumber(seen, ids_of, ids, starts)
    assert size * 4 == len(ids.getvalue())
    return (
        vocab,
        np.frombuffer(ids.getvalue(), "<i4"),
        np.frombuffer(starts.getvalue(), "<i8"),
        seen,
    )


def expected(text, min_count):
    lines, _, counts, vocabulary = reference(text)
    kept = [word for word in vocabulary if counts[word] >= min_count]
    ids_of = {word: place for place, word in enumerate(kept)}
    ids, starts = [], []
    for line in lines:
        here = [ids_of[word] for word in line if word in ids_of]
        if here:
            starts.append(len(ids))
        ids += here
    return kept, [counts[word] for word in kept], ids, starts


@settings(deadline=None)
@given(
    pieces=st.lists(st.tuples(WORDS, st.sampled_from(SEPARATORS)), min_size=1, max_size=60),
    block_bytes=st.sampled_from([1, 2, 3, 5, 8, 64, 1000]),
    min_count=st.integers(1, 2),
)
def test_equals_counter_and_dict_for_any_block_size(
    tmp_path_factory, pieces, block_bytes, min_count
):
    text = "".join(word + separator for word, separator in pieces)
    kept, counts, ids, starts = expected(text, min_count)
    if not kept:
        return
    path = tmp_path_factory.mktemp("scan") / "text.txt"
    path.write_bytes(text.encode())
    has_mark = text.startswith("\ufeff")
    if has_mark:
        kept, counts, ids, starts = expected(text[1:], min_count)
        if not kept:
            return
    vocab, got_ids, got_starts, seen = encoded(path, min_count, block_bytes)
    assert list(vocab.words) == kept
    assert vocab.counts.tolist() == counts
    assert got_ids.tolist() == ids
    assert got_starts.tolist() == starts
    assert seen.tokens == len(reference(text[has_mark:])[1])


@settings(deadline=None)
@given(
    lists=st.lists(
        st.lists(st.sampled_from(["a", "b", "c d", "\n", "x" * 99]), max_size=6),
        min_size=1,
        max_size=12,
    )
)
def test_token_lists_take_any_string_as_a_word(lists):
    counts = Counter(word for line in lists for word in line)
    if not counts:
        return
    vocab, ids, starts, _ = encoded(lists, 1, 1)
    assert dict(zip(vocab.words, vocab.counts.tolist(), strict=True)) == counts
    assert [vocab.words[i] for i in ids] == [word for line in lists for word in line]
    places = np.cumsum([0, *map(len, lists)])[:-1]
    assert starts.tolist() == [
        int(place) for place, line in zip(places, lists, strict=True) if line
    ]


def test_file_and_token_lists_and_tokenizer_give_the_same(tmp_path):
    rng = np.random.default_rng(5)
    words = [f"w{n}" * int(rng.integers(1, 9)) for n in range(300)]
    lines = [[words[i] for i in rng.integers(0, 300, int(rng.integers(0, 30)))] for _ in range(500)]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(map(" ".join, lines)))
    results = [
        encoded(path, 3, 4096),
        encoded(lines, 3, 1),
        encoded(path, 3, 4096, tokenizer=str.split),
    ]
    for vocab, ids, starts, _ in results[1:]:
        assert vocab == results[0][0]
        assert np.array_equal(ids, results[0][1])
        assert np.array_equal(starts, results[0][2])


def test_lines_that_keep_nothing_leave_no_start():
    lists = [["rare1"], ["a", "a"], ["rare2"], ["rare3"], ["a"], ["rare4"]]
    _, ids, starts, seen = encoded(lists, 2, 1)
    assert ids.tolist() == [0, 0, 0]
    assert starts.tolist() == [0, 2]
    assert seen.lines == 6


def test_renumber_in_many_small_steps(monkeypatch):
    rng = np.random.default_rng(1)
    lists = [[f"w{i}" for i in rng.integers(0, 40, int(rng.integers(0, 5)))] for _ in range(400)]
    whole = encoded(lists, 20, 1)
    for batch in (1, 2, 3, 7):
        monkeypatch.setattr("w2vjax.corpus.scan.BATCH", batch)
        vocab, ids, starts, _ = encoded(lists, 20, 1)
        assert vocab == whole[0]
        assert np.array_equal(ids, whole[1])
        assert np.array_equal(starts, whole[2])


def numbers(table, words):
    text = "".join(word + " " for word in words).encode()
    ends = np.cumsum([len(word.encode()) + 1 for word in words]) - 1
    lengths = np.array([len(word.encode()) for word in words])
    return table.numbers(
        np.frombuffer(text + bytes(PIECE), np.uint8), ends - lengths, lengths
    ).tolist()


def test_crafted_collisions_change_the_speed_only(monkeypatch):
    """All words in one slot, until the table tries another multiplier: still one state a word."""
    monkeypatch.setattr(table_module, "_ROUNDS", 8)
    multipliers = table_module._MULTIPLIERS.copy()
    multipliers[0] = 0
    monkeypatch.setattr(table_module, "_MULTIPLIERS", multipliers)
    words = [f"{n}{'z' * (n % 30)}" for n in range(500)]
    table = WordTable()
    first = numbers(table, words)
    assert len(set(first)) == len(words)
    assert numbers(table, words[::-1]) == first[::-1]
    assert table.spell(np.array(first)) == words


def test_a_table_that_grows_keeps_its_states():
    words = [f"{n * 7919:x}" for n in range(60_000)] + [
        "prefix" * n for n in range(1, PIECE * PIECES)
    ]
    table = WordTable()
    first = [
        number
        for begin in range(0, len(words), 777)
        for number in numbers(table, words[begin : begin + 777])
    ]
    assert len(set(first)) == len(words)
    assert numbers(table, words) == first
    assert table.spell(np.array(first)) == words


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_max_vocab_takes_the_frequent_then_the_earlier(size):
    lists = [["b", "a", "c", "a", "c", "d"]]
    vocab, ids, _, _ = encoded(lists, 1, 1, max_vocab=size)
    assert vocab.words == ("a", "c", "b", "d")[:size]
    assert len(ids) == vocab.counts.sum()


class Frame:
    """What pandas gives a loop over a table: the names of its columns."""

    columns = ("text", "label")

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize(
    ("source", "tokenizer"),
    [
        ([{"text": "the cat sat", "label": 1}] * 9, None),
        ({"text": ["the cat"], "label": [1]}, str.split),
        (["the cat"] * 9, lambda line: {"input_ids": [1], "attention_mask": [1]}),
        (Frame(), str.split),
        (Frame(), None),
    ],
)
def test_names_of_columns_are_not_taken_for_words(source, tokenizer):
    lines = iter(source) if isinstance(source, list) else source
    with pytest.raises(CorpusError, match=r"not a list of tokens|returned|of type"):
        build_vocab(lines, min_count=1, tokenizer=tokenizer)
