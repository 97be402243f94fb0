"""Which words are kept: word2vec's probabilities, and the order and lines of what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import w2vjax as w2v
from w2vjax import bits
from w2vjax.bits import random_bits
from w2vjax.training import methods
from w2vjax.training.settings import Settings
from w2vjax.training.setup import lower, set_up
from w2vjax.training.step import compile_chunk
from w2vjax.windows import sampling
from w2vjax.windows.sampling import (
    chunk_seed,
    keep_probabilities,
    keep_thresholds,
    prefix_sum,
)

PIECE = bits._PIECE


@pytest.mark.parametrize("dtype", [jnp.uint32, jnp.uint16, jnp.uint8])
@pytest.mark.parametrize(
    "shape",
    [(), (0,), (7,), (2 * PIECE - 1,), (2 * PIECE,), (2 * PIECE + 1,), (3, 5, PIECE), (2, 77_777)],
)
def test_random_bits_are_those_of_jax(shape, dtype):
    for seed in (0, 1, 2**32 - 1):
        key = jax.random.fold_in(jax.random.key(seed), 3)
        found, drawn = random_bits(key, shape, dtype), jax.random.bits(key, shape, dtype)
        assert found.dtype == drawn.dtype
        np.testing.assert_array_equal(found, drawn)


def test_random_bits_of_other_keys_are_those_of_jax():
    shape = (3 * PIECE,)
    for key in (jax.random.key(5, impl="rbg"), jax.random.PRNGKey(5), jax.random.key(5)):
        np.testing.assert_array_equal(random_bits(key, shape), jax.random.bits(key, shape))
    keys = jax.random.split(jax.random.key(6), 3)
    each = [jax.random.bits(key, shape) for key in keys]
    np.testing.assert_array_equal(jax.vmap(lambda key: random_bits(key, shape))(keys), each)
    with pytest.raises(ValueError, match="key"):
        random_bits(keys, shape)


def test_random_bits_outside_jit_compile_once():
    bits._by_pieces.clear_cache()
    for seed in range(3):
        random_bits(jax.random.key(seed), (2 * PIECE,))
    assert bits._by_pieces._cache_size() == 1


def test_random_bits_of_no_single_key_are_refused_as_jax_does():
    with pytest.raises(ValueError, match="single key"):
        random_bits(jax.random.split(jax.random.key(6), 1), (2 * PIECE,))


def test_random_bits_of_an_unknown_size_are_left_to_jax():
    (size,) = jax.export.symbolic_shape("size")
    key = jax.eval_shape(lambda: jax.random.key(0))
    like = jax.ShapeDtypeStruct((size,), jnp.float32)
    drawn = jax.export.export(jax.jit(lambda key, like: random_bits(key, like.shape)))(key, like)
    assert drawn.out_avals[0].shape == (size,)


def test_many_random_bits_are_drawn_in_pieces():
    """Else the tests above would compare JAX with itself. A GPU keeps JAX's own."""

    def program(size, platform):
        traced = jax.jit(lambda key: random_bits(key, (size,))).trace(jax.random.key(0))
        return traced.lower(lowering_platforms=(platform,)).as_text()

    of_pieces = [f"tensor<{PIECE}xui32>" in program(n, "cpu") for n in (PIECE + 1, 3 * PIECE)]
    assert of_pieces == [False, True]
    assert f"tensor<{PIECE}xui32>" not in program(3 * PIECE, "cuda")


@pytest.mark.slow
def test_words_are_counted_exactly_where_float32_has_no_odd_numbers():
    """A chunk may have 2^30 words, and float32 counts to 2^24."""
    mask = np.ones((1 << 24) + 1000, bool)
    mask[0] = False
    found = np.asarray(jax.jit(prefix_sum)(mask))
    np.testing.assert_array_equal(found, np.cumsum(mask) - mask)


@pytest.mark.parametrize("piece", [1, 7, 1000, 1001, 1 << 24])
def test_a_text_is_counted_in_any_pieces(piece, monkeypatch):
    monkeypatch.setattr(sampling, "_PIECE", piece)
    ids = (np.arange(1000) ** 2 % 11).astype(np.int32)
    found = sampling.text_counts(ids, 13)
    assert found.tolist() == [ids.tolist().count(word) for word in range(13)]
    assert sampling.text_counts(ids[:0], 13).tolist() == [0] * 13


def test_keep_probabilities_are_word2vecs():
    counts = np.array([60_000, 3_000, 50, 1])
    f = counts / counts.sum()
    expected = np.minimum(1, (np.sqrt(f / 1e-3) + 1) * 1e-3 / f)
    np.testing.assert_allclose(keep_probabilities(counts, 1e-3), expected, rtol=1e-12)


@given(
    st.lists(st.integers(0, 2**40), min_size=1).filter(any),
    st.just(0.0) | st.floats(1e-12, 1e6),
)
def test_any_counts_are_kept_by_word2vecs_formula(counts, sample):
    counts = np.array(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sample / (counts / counts.sum())
        expected = np.minimum(1, np.sqrt(rate) + rate)
    expected = np.where((counts == 0) | (sample == 0), 1, expected)
    share, found = keep_probabilities(counts, sample), np.asarray(keep_thresholds(counts, sample))
    np.testing.assert_allclose(share, expected, rtol=1e-12)
    np.testing.assert_allclose(found / 2.0**32, share, rtol=0, atol=2.0**-32)
    order = np.argsort(counts)
    assert (np.diff(share[order]) <= 1e-15).all(), "a more frequent word is never kept more often"


@pytest.mark.parametrize("sample", ["a", None, 1j, [0.1], np.ones(2), -1, np.nan, np.inf])
def test_a_sample_that_is_no_number_from_0_on_is_refused(sample):
    for share in (keep_probabilities, keep_thresholds):
        with pytest.raises(w2v.errors.SettingError, match="sample"):
            share([3, 1], sample)


@pytest.mark.parametrize("counts", [["a"], ["3"], [1j], [-1, 2], [np.nan], [np.inf, 1], None, 3])
def test_counts_that_are_no_counts_are_refused(counts):
    for share in (keep_probabilities, keep_thresholds):
        with pytest.raises(w2v.errors.SettingError, match="counts"):
            share(counts, 1e-3)
    assert keep_probabilities([], 1e-3).shape == (0,), "an empty vocabulary has no shares"


@pytest.mark.parametrize("bad", [-1, 2**32, 1.5, "7", None, True, [3]])
@pytest.mark.parametrize("place", ["seed", "epoch", "chunk"])
def test_a_chunk_has_whole_numbers_of_32_bits(place, bad):
    with pytest.raises(w2v.errors.SettingError, match=f"{place}="):
        chunk_seed(**{"seed": 0, "epoch": 0, "chunk": 0, place: bad})
    assert chunk_seed(2**32 - 1, 0, np.int64(3)).tolist() == [2**32 - 1, 0, 3]


@pytest.mark.parametrize("sample", [0.0, 1e-5, 1e-3, 0.1, 1.0])
def test_thresholds_are_the_probabilities_times_two_to_the_32(sample):
    counts = np.array([60_000, 3_000, 50, 1])
    share, found = keep_probabilities(counts, sample), np.asarray(keep_thresholds(counts, sample))
    assert (found[share == 1] == 2**32 - 1).all()
    np.testing.assert_allclose(found / 2.0**32, share, rtol=0, atol=2.0**-32)


def test_subsampling_keeps_order_lines_and_the_expected_share():
    random = np.random.default_rng(0)
    tokens, segments = random.integers(0, 3, 20_000), np.repeat(np.arange(200), 100)
    segments[-500:] = -1
    keep = jnp.asarray([2**31, 2**32 - 1, 0], jnp.uint32)
    out, lines, count = jax.jit(w2v.windows.subsample)(
        jax.random.key(3), jnp.asarray(tokens, jnp.int32), jnp.asarray(segments, jnp.int32), keep
    )
    out, lines, count = np.asarray(out), np.asarray(lines), int(count)
    real = segments >= 0
    assert (lines[count:] == -1).all()
    assert (np.diff(lines[:count]) >= 0).all()
    assert set(out[:count]) == {0, 1}
    for line in (0, 57, 194):  # word 1 always stays
        assert (out[lines == line] == 1).sum() == (tokens[segments == line] == 1).sum()
    share = (out[:count] == 0).sum() / (tokens[real] == 0).sum()
    assert abs(share - 0.5) < 0.02  # 3.2 standard deviations of a binomial of 6,500


@pytest.mark.parametrize(
    ("drawn", "kept"),
    [
        (0, [1, 2, 3]),
        (6, [1, 2, 3]),
        (7, [2, 3]),
        (2**32 - 3, [2, 3]),
        (2**32 - 2, [3]),
        (2**32 - 1, [3]),
    ],
)
def test_a_word_stays_where_the_random_bits_are_below_its_threshold_or_it_always_stays(
    monkeypatch, drawn, kept
):
    bits = lambda key, shape, dtype: jnp.full(shape, np.uint32(drawn), dtype)  # noqa: E731
    monkeypatch.setattr(jax.random, "bits", bits)
    keep = jnp.asarray([0, 7, 2**32 - 2, 2**32 - 1], jnp.uint32)
    tokens = jnp.arange(4, dtype=jnp.int32)
    out, lines, count = w2v.windows.subsample(jax.random.key(0), tokens, tokens + 5, keep)
    assert out[: len(kept)].tolist() == kept
    assert lines[: len(kept)].tolist() == [5 + word for word in kept]
    assert int(count) == len(kept)


def test_no_key_is_used_twice(planted):
    # the first draws ahead, the second draws nothing, and the last draws in each step
    for objective in ("negative", "softmax", w2v.negative_sampling(3)):
        method = methods.method("skip-gram", objective, 100, 1)
        run = set_up(planted, Settings(dim=3, objective=objective), method)
        with jax.debug_key_reuse(True):
            lower(run, compile_chunk(run.recipe, run.feed.size))
