"""Negative sampling: each positive word against words drawn from unigram^0.75 noise.

    loss[t] = sum_p w[t, p] * (-log sigmoid(s_p) - num_negatives / K * noise[p])
    noise[p] = sum_{k: id_k != id_p} log sigmoid(-s_k)

The T hidden vectors of a group share the K negatives. A group of one pair with K = num_negatives is
the paper. A block of T words with K shared negatives has the same expected gradient, because each
negative weighs num_negatives / K times the positives that are other words. Mikolov et al.,
"Distributed Representations of Words and Phrases and their Compositionality", 2013.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from w2vjax.bits import random_bits
from w2vjax.errors import SettingError, whole_number
from w2vjax.lazy import cached
from w2vjax.objectives.logistic import (
    logistic_rows_backward,
    logistic_rows_bounded,
    logistic_rows_loss,
)
from w2vjax.real import number, sound_counts
from w2vjax.types import Objective, Targets


class Alias(NamedTuple):
    """Walker's alias table: slot v gives word v or another word.

    Attributes:
        keep: [V] uint32, the share of draws of slot v that give word v, times 2^32.
        other: [V] int32, the word that the other draws give.
    """

    keep: Array
    other: Array


def finite_exponent(exponent: float) -> float:
    """The exponent of the noise as a float. SettingError if it is no finite number."""
    found = number("exponent", exponent)
    if not np.isfinite(found):
        raise SettingError(f"exponent={exponent} cannot work. Use a finite number, such as 0.75.")
    return found


def noise_mass(counts: ArrayLike, exponent: float = 0.75) -> np.ndarray:
    """counts^exponent, [V] float64; 0 stays 0.

    Raises:
        SettingError: counts are empty, negative, not finite, no numbers, or have no mass; or the
            exponent is no finite number.

    >>> noise_mass([16, 0, 1]).tolist()
    [8.0, 0.0, 1.0]
    """
    mass, exponent = sound_counts(counts), finite_exponent(exponent)
    mass = np.where(mass > 0, np.maximum(mass, 1e-300) ** exponent, 0.0)
    if not 0 < mass.sum() < np.inf:
        cause = f"Counts raised to exponent={exponent} sum to {mass.sum()}"
        raise SettingError(f"{cause}. Use an exponent near 0.75 and positive counts.")
    return mass


def alias_table(counts: ArrayLike, exponent: float = 0.75) -> Alias:
    """The table to draw words with a probability proportional to counts^exponent.

    It is made on the host in O(V), by Vose's construction.

    Args:
        counts: [V].
        exponent: 1 for the frequencies of the words, 0 for equal ones.

    Raises:
        SettingError: as :func:`noise_mass`.

    >>> table = alias_table([3, 1], exponent=1.0)
    >>> [round(float(k) / 2**32, 6) for k in table.keep], table.other.tolist()
    ([1.0, 0.5], [0, 0])
    """
    mass = noise_mass(counts, exponent)
    share = (mass * (mass.size / mass.sum())).tolist()  # 1 fills a slot exactly
    keep, other = [1.0] * mass.size, list(range(mass.size))
    small = [v for v, s in enumerate(share) if s < 1]
    large = [v for v, s in enumerate(share) if s >= 1]
    while small and large:
        poor, rich = small.pop(), large[-1]
        keep[poor], other[poor] = share[poor], rich
        share[rich] -= 1 - share[poor]
        if share[rich] < 1:
            small.append(large.pop())
    # what rounding leaves in `small` or `large` fills its slot; its `other` is itself
    thresholds = np.minimum(np.rint(np.asarray(keep) * 2.0**32), 2**32 - 1).astype(np.uint32)
    # asarray would compile a program for every shape and type
    return Alias(*jax.device_put((thresholds, np.asarray(other, np.int32))))


def draw(key: Array, table: Alias, shape: tuple[int, ...]) -> Array:
    """Words of this shape, int32, drawn on the device.

    One number x of 64 bits gives slot and coin: x * V / 2^64 has the slot before the point and the
    coin after it. The coin has 32 bits, so the probability of each word is exact to 2^-32 / V.
    """
    high, low = random_bits(key, (2, *shape))
    return pick(high, low, table)


def pick(high: Array, low: Array, table: Alias) -> Array:
    """The words for 64 random bits, two uint32 arrays of one shape."""
    size = table.keep.shape[0]
    carry, _ = multiply_wide(low, size)
    slot, coin = multiply_wide(high, size)
    coin_carried = coin + carry
    slot = (slot + (coin_carried < coin).astype(jnp.uint32)).astype(jnp.int32)
    return jnp.where(coin_carried < table.keep[slot], slot, table.other[slot])


def multiply_wide(x: Array, factor: int) -> tuple[Array, Array]:
    """High and low 32 bits of x * factor without 64-bit integers; x uint32, 0 < factor < 2^31."""
    half, mask = jnp.uint32(16), jnp.uint32(0xFFFF)
    f_high, f_low = jnp.uint32(factor >> 16), jnp.uint32(factor & 0xFFFF)
    x_high, x_low = x >> half, x & mask
    middle = x_high * f_low + ((x_low * f_low) >> half)  # < 2^32: (2^16-1)^2 + 2^16
    crossed = x_low * f_high + (middle & mask)
    return x_high * f_high + (middle >> half) + (crossed >> half), x * jnp.uint32(factor)


def negative_targets(words: Array, weights: Array, negatives: Array, num_negatives: int) -> Targets:
    """Targets with R = P + K rows: the positives, then the negatives.

    Negative k weighs num_negatives / K * sum_p weights[t, p] * [id_k != id_p] for hidden vector t.
    So a drawn word that is a positive of t is skipped for that positive alone: to drop it for the
    whole block would bias the noise.

    Args:
        words: [B, P], the positives.
        weights: [B, T, P].
        negatives: [B, K], the words drawn.
        num_negatives: that each positive counts.
    """
    scale = num_negatives / negatives.shape[1]
    differs = (negatives[:, :, None] != words[:, None, :]).astype(weights.dtype)  # [B, K, P]
    counted = differs * jnp.asarray(scale, weights.dtype)
    negative_weights = jnp.einsum("btp,bkp->btk", weights, counted)
    labels = jnp.concatenate([jnp.ones_like(weights), jnp.zeros_like(negative_weights)], -1)
    ids = jnp.concatenate([words, negatives], -1)
    return Targets(ids, labels, jnp.concatenate([weights, negative_weights], -1))


@cached
def negative_sampling(
    num_negatives: int = 5, exponent: float = 0.75, shared: int | None = None
) -> Objective:
    """Skip-gram or CBOW with negative sampling.

    Args:
        num_negatives: negatives that each positive counts, on average.
        exponent: of the counts that the noise follows: 1 for the frequencies, 0 for equal ones.
        shared: K, the negatives drawn for a group; num_negatives by default.

    Returns:
        An objective with R = P + K. Its ``init`` raises what :func:`alias_table` raises.

    Raises:
        SettingError: a number is not a whole number of at least 1, or the exponent is not finite.

    >>> objective = negative_sampling(num_negatives=2)
    >>> tables = objective.init([5, 3, 2])
    >>> draws = objective.draw(jax.random.key(0), tables, (1,))
    >>> targets = objective.select(draws, tables, jnp.asarray([[1]]), jnp.ones((1, 1, 1)))
    >>> targets.ids.shape, targets.labels.tolist()
    ((1, 3), [[[1.0, 0.0, 0.0]]])
    """
    whole_number("num_negatives", num_negatives)
    drawn = num_negatives if shared is None else whole_number("shared", shared)
    exponent = finite_exponent(exponent)
    return Objective(
        partial(alias_table, exponent=exponent),
        partial(_select, num_negatives),
        *(logistic_rows_loss, logistic_rows_backward),
        partial(_draw_negatives, drawn),
        logistic_rows_bounded,
    )


def _draw_negatives(number: int, key: Array, tables: Alias, shape: tuple[int, ...]) -> Array:
    return draw(key, tables, (*shape, number))


def _select(number: int, negatives: Array, _: Alias, words: Array, weights: Array) -> Targets:
    return negative_targets(words, weights, negatives, number)
