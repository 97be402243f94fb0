"""What is drawn before a window is cut: which words stay (subsampling) and how far each center
looks (reach).

    keep(w) = min(1, (sqrt(f / t) + 1) * t / f)        f = count / total, t = ``sample``
    reach ~ uniform on 1 .. window

The first is word2vec.c's formula (the paper's is 1 - sqrt(t / f) dropped), the second its shrinking
window: a neighbour at distance d counts with probability (window - d + 1) / window. Dropped words
leave the line, so windows reach over them. Mikolov et al., "Distributed Representations of Words
and Phrases and their Compositionality", 2013.

Functions of arrays here are jit-able and trust their ids; every draw is a function of its key
alone.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from w2vjax.errors import SettingError

# Prefix sums are products with a triangle of ones of this size: on a CPU, XLA's own cumsum is ten
# times slower.
_TRIANGLE = 128


def keep_probabilities(counts: ArrayLike, sample: float = 1e-3) -> np.ndarray:
    """The share of each word's occurrences that stays, [V] float64; all ones for ``sample=0``,
    which turns it off.

    Raises :class:`~w2vjax.errors.SettingError` if ``sample`` is negative or not finite.

    >>> keep_probabilities([90, 10], sample=0.1).round(3).tolist()
    [0.444, 1.0]
    """
    if not (math.isfinite(sample) and sample >= 0):
        raise SettingError(
            f"sample={sample} cannot work. Use about 1e-3 or 1e-5, or 0 to keep every word."
        )
    mass = np.asarray(counts, np.float64)
    if sample == 0 or not mass.sum():
        return np.ones(mass.shape)
    rarity = sample / np.maximum(mass / mass.sum(), 1e-300)  # t / f
    return np.asarray(np.minimum(1.0, np.sqrt(rarity) + rarity))


def keep_thresholds(counts: ArrayLike, sample: float = 1e-3) -> jax.Array:
    """:func:`keep_probabilities` as [V] uint32 for a comparison with random bits; 2^32 - 1 stands
    for always.
    """
    scaled = np.rint(keep_probabilities(counts, sample) * 2.0**32)
    thresholds: jax.Array = jax.device_put(np.minimum(scaled, 2**32 - 1).astype(np.uint32))
    return thresholds


def prefix_sum(mask: jax.Array) -> jax.Array:
    """How many are true before each place of a mask [M]: [M] int32, exact for M < 2^24.

    >>> prefix_sum(jnp.asarray([True, False, True, True])).tolist()
    [0, 1, 1, 2]
    """
    size = mask.shape[0]
    width = -size % _TRIANGLE
    rows = jnp.pad(mask.astype(jnp.float32), (0, width)).reshape(-1, _TRIANGLE)
    before = jnp.asarray(np.triu(np.ones((_TRIANGLE, _TRIANGLE), np.float32), 1))
    # whole numbers up to 128: exact in any precision
    within = jnp.matmul(rows, before, precision="highest")
    totals = rows.sum(1)
    offset = jnp.cumsum(totals) - totals
    return (within + offset[:, None]).reshape(-1)[:size].astype(jnp.int32)


def subsample(
    key: jax.Array, tokens: jax.Array, segments: jax.Array, keep: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Drop frequent words at random and close the gaps: (tokens [M], segments [M], count), padding
    at the end.

    tokens [M] int32, segments [M] int32 number the lines, -1 on padding; keep [V] from
    :func:`keep_thresholds`. Padding of the result is token 0 in segment -1.
    """
    threshold = keep[tokens]
    bits = jax.random.bits(key, tokens.shape, jnp.uint32)
    stays = (segments >= 0) & ((bits < threshold) | (threshold == jnp.uint32(2**32 - 1)))
    place = jnp.where(stays, prefix_sum(stays), tokens.shape[0])
    source = jnp.full(tokens.shape, -1, jnp.int32)
    # places are distinct and rising; one past the end is the bin for what is dropped
    source = source.at[place].set(
        jnp.arange(tokens.shape[0], dtype=jnp.int32), mode="drop", unique_indices=True
    )
    real = source >= 0
    return (
        jnp.where(real, tokens[source], 0),
        jnp.where(real, segments[source], -1),
        stays.sum(dtype=jnp.int32),
    )


def draw_reach(key: jax.Array, shape: tuple[int, ...], window: int) -> jax.Array:
    """How far each center looks: uniform on 1 .. window, int32, to within a relative error of
    window / 2^16.

    >>> reach = draw_reach(jax.random.key(0), (9000,), 3)
    >>> [round(float((reach == r).mean()), 2) for r in (1, 2)]
    [0.33, 0.33]
    """
    bits = jax.random.bits(key, shape, jnp.uint16).astype(jnp.uint32)
    return jnp.asarray(1 + ((bits * jnp.uint32(window)) >> 16), jnp.int32)


def full_reach(key: jax.Array, shape: tuple[int, ...], window: int) -> jax.Array:
    """Every center looks ``window`` words to either side, as in the reference model; nothing is
    drawn.
    """
    del key
    return jnp.full(shape, window, jnp.int32)
