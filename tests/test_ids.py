"""A bad id raises before it is used. JAX alone would clamp, wrap or drop it silently."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2vjax as w2v

BAD = [-1, -7, 7, 2**31 + 3, 2**32 + 1, 2**70, 1.5, 3.0, float("nan"), "3", None, 1 + 2j]


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize(
    "wrap", [lambda x: [0, x], lambda x: np.asarray([0, x]), lambda x: np.asarray([[x]])]
)
def test_each_bad_id_is_refused(bad: Any, wrap: Any) -> None:
    with pytest.raises(w2v.errors.IdError, match=r"\. "):
        w2v.ids.check_ids(wrap(bad), vocab_size=7)


def test_booleans_are_no_ids() -> None:
    for bad in ([0, True], [True, False], np.asarray([True])):
        with pytest.raises(w2v.errors.IdError):
            w2v.ids.check_ids(bad, vocab_size=7)


def test_ids_that_may_have_wrapped_are_refused() -> None:
    wrapped = np.asarray([300], np.int64).astype(np.uint8)  # 44, a perfectly valid id
    with pytest.raises(w2v.errors.IdError, match="wrapped"):
        w2v.ids.check_ids(wrapped, vocab_size=1000)
    assert w2v.ids.check_ids(wrapped, vocab_size=256).tolist() == [44]


@pytest.mark.parametrize(
    "make",
    [
        lambda ids: w2v.pairs(ids, [0], vocab_size=7),
        lambda ids: w2v.pairs([0], ids, vocab_size=7),
        lambda ids: w2v.cbow([ids], [0], vocab_size=7),
        lambda ids: w2v.cbow([[0]], ids, vocab_size=7),
    ],
)
@pytest.mark.parametrize("bad", [-1, 7, 2**31 + 3, 1.0, float("nan")])
def test_batches_refuse_bad_ids(make: Any, bad: Any) -> None:
    with pytest.raises(w2v.errors.IdError):
        make([bad])


@pytest.mark.parametrize(
    "make",
    [
        lambda: w2v.pairs([0, 1, 2], [1]),
        lambda: w2v.pairs([1], [0, 1, 2]),
        lambda: w2v.pairs([0, 1], [1, 2], weights=[1.0]),
        lambda: w2v.pairs([0, 1], [1, 2], weights=0.5),
        lambda: w2v.pairs(0, 1),
        lambda: jax.jit(w2v.pairs)(jnp.arange(3), jnp.arange(1)),
        lambda: w2v.cbow([[0, 1]], [1, 2]),
        lambda: w2v.cbow([0, 1], [1, 2]),
        lambda: w2v.cbow([[0, 1], [1, 2]], [1, 2], mask=[1, 0]),
        lambda: w2v.cbow([[0, 1], [1, 2]], [1, 2], mask=[[1, 0]]),
    ],
)
def test_arrays_that_do_not_fit_each_other_make_no_batch(make: Any) -> None:
    """JAX would take one context for each of three centers."""
    with pytest.raises(w2v.errors.SettingError, match=r"Give .*\[B\]"):
        make()


def test_no_pairs_and_no_contexts_make_an_empty_batch() -> None:
    assert w2v.pairs([], []).weights.shape == (0, 1, 1)
    assert w2v.cbow([[]], [1]).weights.tolist() == [[[0.0]]]


def test_a_batch_made_by_hand_is_checked() -> None:
    batch = w2v.pairs([0, 1], [1, 2])
    assert w2v.ids.check_batch(batch, 3).words.tolist() == [[1], [2]]
    for broken in (
        batch._replace(words=batch.words + 1),
        batch._replace(words=batch.words.astype(jnp.float32)),
        batch._replace(inputs=batch.inputs._replace(ids=batch.inputs.ids - 1)),
    ):
        with pytest.raises(w2v.errors.IdError):
            w2v.ids.check_batch(broken, 3)


def test_without_a_vocabulary_size_floats_and_wide_ids_are_still_refused() -> None:
    for bad in ([0.5], np.asarray([2**33]), np.asarray([-5], np.int64), jnp.asarray([1.0])):
        with pytest.raises(w2v.errors.IdError):
            w2v.pairs(bad, [0])


@pytest.mark.parametrize("vocab_size", [0, -3, 2**31 + 1, 2.5, "3", None])
def test_impossible_vocabulary_sizes_are_refused(vocab_size: Any) -> None:
    with pytest.raises(w2v.errors.IdError):
        w2v.ids.check_ids([0], vocab_size)


def test_integers_of_python_numpy_and_jax_pass() -> None:
    ids = [1, np.uint8(2), jnp.int32(0), jnp.arange(3)[1]]
    assert w2v.ids.check_ids(ids, 3).tolist() == [1, 2, 0, 1]
    assert w2v.pairs(ids, ids).words.ravel().tolist() == [1, 2, 0, 1]
    for bad in (jnp.float32(1), jnp.bool_(True), np.bool_(True), jnp.int32(3)):
        with pytest.raises(w2v.errors.IdError):
            w2v.ids.check_ids([0, bad], 3)


def test_empty_and_nested_ids_pass() -> None:
    assert w2v.ids.check_ids([], 3).dtype == np.int32
    assert w2v.ids.check_ids([[0, 1], [2, 0]], 3).shape == (2, 2)
    assert w2v.ids.check_ids(2**31 - 1, 2**31) == 2**31 - 1
    with pytest.raises(w2v.errors.IdError):
        w2v.ids.check_ids([[0], [1, 2]], 3)


INTEGERS = st.integers(-(2**40), 2**40) | st.sampled_from(
    [-1, 0, 2**31 - 1, 2**31, 2**31 + 3, 2**32, 2**32 + 1, 2**64]
)


def accepted_exactly_when_every_id_is_a_word(vocab_size: int, ids: list[int], dtype: Any) -> None:
    given_ids: Any = ids
    narrow = False
    if dtype is not None:
        limits = np.iinfo(dtype)
        ids = [i for i in ids if limits.min <= i <= limits.max]
        given_ids = np.asarray(ids, dtype)
        narrow = bool(ids) and limits.max < vocab_size - 1
    if all(0 <= i < vocab_size for i in ids) and not narrow:
        found = w2v.ids.check_ids(given_ids, vocab_size)
        assert found.dtype == np.int32
        assert found.tolist() == ids
    else:
        with pytest.raises(w2v.errors.IdError):
            w2v.ids.check_ids(given_ids, vocab_size)


def refused_before_any_parameter_changes(ids: list[Any]) -> None:
    params = np.arange(12.0).reshape(6, 2)
    before = params.tobytes()
    if all(type(i) is int for i in ids):
        assert w2v.ids.check_ids(ids, 6).tolist() == ids
        return
    with pytest.raises(w2v.errors.IdError):
        np.subtract.at(params, w2v.ids.check_ids(ids, 6), 1.0)
    assert params.tobytes() == before


WORDS = given(
    vocab_size=st.integers(1, 300) | st.sampled_from([2**16, 2**31]),
    ids=st.lists(INTEGERS, max_size=5),
    dtype=st.sampled_from([None, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64]),
)
ANYTHING = given(
    ids=st.lists(
        st.floats() | st.integers(0, 5) | st.booleans() | st.text(max_size=2) | st.none(),
        min_size=1,
        max_size=4,
    )
)


@WORDS
@settings(max_examples=400)
def test_accepted_exactly_when_every_id_is_a_word(
    vocab_size: int, ids: list[int], dtype: Any
) -> None:
    accepted_exactly_when_every_id_is_a_word(vocab_size, ids, dtype)


@ANYTHING
@settings(max_examples=100)
def test_what_is_no_integer_is_refused(ids: list[Any]) -> None:
    refused_before_any_parameter_changes(ids)


@pytest.mark.slow
@WORDS
@settings(max_examples=8000, derandomize=False)
def test_eight_thousand_lists_of_ids(vocab_size: int, ids: list[int], dtype: Any) -> None:
    accepted_exactly_when_every_id_is_a_word(vocab_size, ids, dtype)


@pytest.mark.slow
@ANYTHING
@settings(max_examples=2000, derandomize=False)
def test_two_thousand_lists_of_anything(ids: list[Any]) -> None:
    refused_before_any_parameter_changes(ids)


@pytest.mark.parametrize(
    "ids", [[-1], np.asarray([2**31 + 3], np.uint32), jnp.asarray([-1]), [2**31 - 1]]
)
def test_what_is_no_id_is_refused_without_a_vocabulary_too(ids: Any) -> None:
    with pytest.raises(w2v.errors.IdError):
        w2v.pairs(ids, [0])
    assert w2v.pairs(np.asarray([200], np.uint8), jnp.asarray([3])).inputs.ids.ravel().tolist() == [
        200
    ]
    under_jit = jax.jit(lambda centers: w2v.pairs(centers, centers).words)(jnp.asarray([1, 2]))
    assert under_jit.tolist() == [[1], [2]]
