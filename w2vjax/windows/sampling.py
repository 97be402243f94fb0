"""What is drawn before a window is cut: the words that stay, and how far each center looks.

    keep(w) = min(1, (sqrt(f / t) + 1) * t / f)        f = count / total, t = ``sample``
    reach ~ uniform on 1 .. window

The first is word2vec.c's formula (the paper drops a share of 1 - sqrt(t / f)). The second is its
shrinking window: a neighbour at distance d counts with probability (window - d + 1) / window.
Dropped words leave the line, so windows reach over them. Mikolov et al., "Distributed
Representations of Words and Phrases and their Compositionality", 2013.

Functions of arrays can be jitted and trust their ids. Every draw is a function of its key alone.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from w2vjax.bits import random_bits
from w2vjax.errors import SettingError, whole_number
from w2vjax.real import number, sound_counts

# Prefix sums are products with a triangle of ones of this size. XLA's cumsum on a CPU is ten times
# slower.
_TRIANGLE = 128
# Words counted at once. NumPy counts a copy of them in int64.
_PIECE = 1 << 24


def text_counts(ids: np.ndarray, size: int) -> np.ndarray:
    """[V] int64: how often each of V = ``size`` words is in a text.

    The counts of a vocabulary that was given are those of another text. 10^8 words take 0.3 s.

    >>> text_counts(np.array([0, 2, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    found = np.zeros(size, np.int64)
    for begin in range(0, len(ids), _PIECE):
        found += np.bincount(ids[begin : begin + _PIECE], minlength=size)
    return found


def keep_probabilities(counts: ArrayLike, sample: float = 1e-3) -> np.ndarray:
    """The share of the occurrences of each word that stays.

    Args:
        counts: [V].
        sample: t; 0 keeps all words.

    Returns:
        [V] float64.

    Raises:
        SettingError: sample is negative or no finite number, or counts are negative or not finite.

    >>> keep_probabilities([90, 10], sample=0.1).round(3).tolist()
    [0.444, 1.0]
    """
    sample, mass = number("sample", sample), sound_counts(counts, least=0)
    if not (math.isfinite(sample) and sample >= 0):
        cause = f"sample={sample} cannot work"
        raise SettingError(f"{cause}. Use about 1e-3 or 1e-5, or 0 to keep every word.")
    if sample == 0 or not mass.sum():
        return np.ones(mass.shape)
    rarity = sample / np.maximum(mass / mass.sum(), 1e-300)  # t / f
    return np.asarray(np.minimum(1.0, np.sqrt(rarity) + rarity))


def keep_thresholds(counts: ArrayLike, sample: float = 1e-3) -> Array:
    """:func:`keep_probabilities` as whole numbers, to compare with random bits.

    Args:
        counts, sample: as in :func:`keep_probabilities`.

    Returns:
        min(round(2^32 * keep), 2^32 - 1), [V] uint32. 2^32 - 1 keeps all.

    >>> keep_thresholds([80, 20], sample=0.2).tolist()  # 3/4 and 1
    [3221225472, 4294967295]
    """
    scaled = np.rint(keep_probabilities(counts, sample) * 2.0**32)
    thresholds: Array = jax.device_put(np.minimum(scaled, 2**32 - 1).astype(np.uint32))
    return thresholds


def prefix_sum(mask: Array) -> Array:
    """How many are true before each place of a mask [M], [M] int32.

    >>> prefix_sum(jnp.asarray([True, False, True, True])).tolist()
    [0, 1, 1, 2]
    """
    size = mask.shape[0]
    width = -size % _TRIANGLE
    rows = jnp.pad(mask.astype(jnp.float32), (0, width)).reshape(-1, _TRIANGLE)
    before = jnp.asarray(np.triu(np.ones((_TRIANGLE, _TRIANGLE), np.float32), 1))
    # whole numbers up to 128: exact in any precision
    within = jnp.matmul(rows, before, precision="highest")
    totals = rows.sum(1).astype(jnp.int32)  # float32 would lose the count from 2^24 on
    offset = jnp.cumsum(totals) - totals
    return (within.astype(jnp.int32) + offset[:, None]).reshape(-1)[:size]


def split_lines(ids: Array, count: Array) -> tuple[Array, Array]:
    """(tokens [M], segments [M]) of ids [M]. ``~id`` opens a line. From ``count`` on: -1.

    >>> tokens, segments = split_lines(jnp.asarray([~4, 5, ~4, 0]), 3)
    >>> tokens.tolist(), segments.tolist()
    ([4, 5, 4, 0], [1, 1, 2, -1])
    """
    opens = ids < 0
    lines = prefix_sum(opens) + opens.astype(jnp.int32)
    real = jnp.arange(ids.shape[0], dtype=jnp.int32) < count
    return jnp.where(opens, ~ids, ids), jnp.where(real, lines, -1)


def subsample(
    key: Array, tokens: Array, segments: Array, keep: Array
) -> tuple[Array, Array, Array]:
    """Drop frequent words at random and close the gaps.

    Args:
        key: of the random numbers.
        tokens: [M] int32 ids.
        segments: [M] int32 lines, -1 on padding.
        keep: [V], from :func:`keep_thresholds`.

    Returns:
        tokens [M] and segments [M] with padding at the end (token 0, segment -1), and the number of
        words that stay.

    >>> text, keep = jnp.asarray([[0, 1, 1], [0, 0, 1]]), jnp.asarray([0, 2**32 - 1], jnp.uint32)
    >>> [each.tolist() for each in subsample(jax.random.key(0), *text, keep)]  # drops word 0
    [[1, 1, 0], [0, 1, -1], 2]
    """
    threshold = keep[tokens]
    bits = random_bits(key, tokens.shape)
    stays = (segments >= 0) & ((bits < threshold) | (threshold == jnp.uint32(2**32 - 1)))
    place = jnp.where(stays, prefix_sum(stays), tokens.shape[0])
    source = jnp.full(tokens.shape, -1, jnp.int32)
    # places are distinct and rising; dropped words go to one past the end
    source = source.at[place].set(
        jnp.arange(tokens.shape[0], dtype=jnp.int32), mode="drop", unique_indices=True
    )
    real = source >= 0
    return (
        jnp.where(real, tokens[source], 0),
        jnp.where(real, segments[source], -1),
        stays.sum(dtype=jnp.int32),
    )


def draw_reach(key: Array, shape: tuple[int, ...], window: int) -> Array:
    """How far each center looks: uniform on 1 .. window.

    Args:
        key: of the random numbers.
        shape: of the result.
        window: the largest reach.

    Returns:
        int32 of this shape. The relative error of a probability is below window / 2^16.

    >>> reach = draw_reach(jax.random.key(0), (9000,), 3)
    >>> [round(float((reach == r).mean()), 2) for r in (1, 2)]
    [0.33, 0.33]
    """
    bits = random_bits(key, shape, jnp.uint16).astype(jnp.uint32)
    return jnp.asarray(1 + ((bits * jnp.uint32(window)) >> 16), jnp.int32)


def full_reach(key: Array, shape: tuple[int, ...], window: int) -> Array:
    """Every center looks ``window`` words to each side, as in the reference model.

    Args:
        key, shape, window: as in :func:`draw_reach`. The key is not used.

    Returns:
        int32 of this shape, ``window`` everywhere.

    >>> full_reach(jax.random.key(0), (1, 3), 5).tolist()
    [[5, 5, 5]]
    """
    del key
    return jnp.full(shape, window, jnp.int32)


def chunk_seed(seed: int, epoch: int, chunk: int) -> np.ndarray:
    """What all random numbers of one chunk of one epoch follow from.

    Args:
        seed, epoch, chunk: from 0 to 2^32 - 1.

    Returns:
        The three numbers, [3] uint32 on the host.

    Raises:
        SettingError: one is not a whole number from 0 to 2^32 - 1.

    >>> chunk_seed(seed=7, epoch=0, chunk=2).tolist()
    [7, 0, 2]
    """
    named = {"seed": seed, "epoch": epoch, "chunk": chunk}
    numbers = [whole_number(name, value, 0, 2**32 - 1) for name, value in named.items()]
    return np.array(numbers, np.uint32)


def chunk_key(numbers: Array) -> Array:
    """The key of a chunk: the seed, folded with epoch and chunk. Jit-able.

    >>> one, other = chunk_key(chunk_seed(7, 0, 2)), chunk_key(chunk_seed(7, 1, 2))
    >>> bool((jax.random.key_data(one) == jax.random.key_data(other)).all())
    False
    """
    seed, epoch, chunk = numbers
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), epoch), chunk)
