"""The reference model's text and pairs: the post's counts, and each function by a plain loop."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2vjax import data, reference
from w2vjax.errors import CorpusError, IdError, SettingError, UnknownWordError

IDS = {"a": 0, "b": 1, "c": 2}


@given(st.text(alphabet="aZé9_^' ,.\n\u0130中-", max_size=30))
@settings(max_examples=200)
def test_tokenize_agrees_with_a_loop_over_characters(text: str) -> None:
    expected, run = [], ""
    for character in text.lower() + " ":
        if character.isalnum() or character in "_^'":
            run += character
            continue
        if any("a" <= c <= "z" for c in run):
            expected.append(run)
        run = ""
    assert reference.tokenize(text) == expected


def test_the_built_in_text_gives_the_published_counts() -> None:
    published = data.published_figures()
    tokens = reference.tokenize(data.machine_learning_text())
    word_to_id, id_to_word = reference.mapping(tokens, published["vocabulary"])
    assert len(tokens) == published["tokens"]
    assert list(word_to_id) == published["vocabulary"]
    assert all(word_to_id[word] == i for i, word in id_to_word.items())
    X, y = reference.generate_training_data(tokens, word_to_id, 2)
    assert X.shape == y.shape == tuple(published["shape"])
    assert (X.sum(axis=1) == 1).all()
    assert (y.sum(axis=1) == 1).all()


@given(st.lists(st.sampled_from("abcdef"), min_size=1))
@settings(max_examples=100)
def test_mapping_orders_by_frequency_then_first_occurrence(tokens: list[str]) -> None:
    word_to_id, id_to_word = reference.mapping(tokens)
    counts = Counter(tokens)
    assert list(id_to_word.values()) == sorted(counts, key=lambda w: (-counts[w], tokens.index(w)))
    assert {id_to_word[i] for i in range(len(counts))} == set(word_to_id)


def test_five_hash_seeds_give_one_vocabulary() -> None:
    # Arrays play no part in it and importing them is nearly all of the start-up, so stand-ins take
    # their place.
    program = (
        "import sys; from unittest.mock import MagicMock\n"
        "sys.modules.update(dict.fromkeys(['jax', 'jax.numpy', 'jax.typing', 'numpy', "
        "'numpy.typing'], MagicMock(bool_=bool)))\n"
        "from w2vjax import data, reference\n"
        "tokens = reference.tokenize(data.machine_learning_text())\n"
        "print(reference.mapping(tokens), list(set(tokens)))"
    )
    outputs = set()
    for seed in range(5):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=True
        )
        mapped, shuffled = done.stdout.split(b") [")
        outputs.add((mapped, shuffled))
    assert len({mapped for mapped, _ in outputs}) == 1
    assert len({shuffled for _, shuffled in outputs}) > 1, "the seeds did change the order of a set"


def test_mapping_refuses_what_cannot_be_numbered() -> None:
    with pytest.raises(CorpusError, match="no words"):
        reference.mapping(reference.tokenize("2013, 42!"))
    with pytest.raises(CorpusError, match="lacks 'tea'"):
        reference.mapping(["tea", "time"], ["time"])
    with pytest.raises(SettingError, match="'time' more than once"):
        reference.mapping(["tea", "time"], ["time", "tea", "time"])
    assert reference.mapping(["tea"], ["time", "tea"])[0] == {"time": 0, "tea": 1}


@given(st.lists(st.sampled_from("abc"), max_size=9), st.integers(1, 12))
@settings(max_examples=100)
def test_training_pairs_are_all_pairs_within_the_window(tokens: list[str], window: int) -> None:
    centers, contexts = reference.training_pairs(tokens, IDS, window)
    near = [
        (IDS[a], IDS[b])
        for i, a in enumerate(tokens)
        for j, b in enumerate(tokens)
        if 0 < abs(i - j) <= window
    ]
    assert list(zip(centers.tolist(), contexts.tolist(), strict=True)) == near
    X, y = reference.generate_training_data(tokens, IDS, window)
    assert X.shape == y.shape == (len(near), 3)
    np.testing.assert_array_equal(X.argmax(1)[: len(near)], centers)
    np.testing.assert_array_equal(y.argmax(1)[: len(near)], contexts)


def test_small_texts() -> None:
    assert reference.tokenize("") == []
    # one word: no neighbour
    assert reference.generate_training_data(["a"], {"a": 0}, 2)[0].shape == (0, 1)
    assert reference.generate_training_data(["a", "b", "a"], {"a": 0, "b": 1}, 99)[0].shape == (
        6,
        2,
    )
    with pytest.raises(UnknownWordError, match="'kettle'"):
        reference.generate_training_data(["kettle"], IDS, 2)


def test_one_hot_encode_refuses_ids_outside_the_vocabulary() -> None:
    assert reference.one_hot_encode(1, 3).tolist() == [0, 1, 0]
    assert reference.one_hot_encode(np.zeros((2, 0), np.int32), 3).shape == (2, 0, 3)
    for bad in (-1, 3, [0, 3], 1.0, 2**40):
        with pytest.raises(IdError):
            reference.one_hot_encode(bad, 3)
