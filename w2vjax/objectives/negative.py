"""Negative sampling: each positive word against words drawn from unigram^0.75 noise.

    loss[t] = sum_p w[t, p] * ( -log sigmoid(s_p)  -  num_negatives / K * sum_{k: id_k != id_p} log
    sigmoid(-s_k) )

Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality", 2013.
The K negatives are shared by the T hidden vectors of a group. A group of one pair with K =
num_negatives is the paper; a block of T words with K shared negatives has the same expected
gradient, because each negative is weighted by num_negatives / K times the positives it does not
coincide with.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from w2vjax.errors import SettingError
from w2vjax.lazy import kept
from w2vjax.objectives.logistic import (
    logistic_rows_backward,
    logistic_rows_bounded,
    logistic_rows_loss,
)
from w2vjax.types import Objective, Targets


class Alias(NamedTuple):
    """Walker's alias table: slot v keeps word v for a share ``keep[v]`` / 2^32 of its draws and
    gives the rest away.
    """

    keep: jax.Array  # [V] uint32
    other: jax.Array  # [V] int32


def noise_mass(counts: ArrayLike, exponent: float = 0.75) -> np.ndarray:
    """counts^exponent, [V] float64; 0 stays 0. Raises SettingError as :func:`alias_table` does.

    >>> noise_mass([16, 0, 1]).tolist()
    [8.0, 0.0, 1.0]
    """
    mass = np.asarray(counts, np.float64)
    if mass.ndim != 1 or not mass.size or not np.isfinite(mass).all() or (mass < 0).any():
        raise SettingError(
            "Word counts must be finite and at least 0, one for each word. Count the vocabulary "
            "again."
        )
    mass = np.where(mass > 0, np.maximum(mass, 1e-300) ** exponent, 0.0)
    if not 0 < mass.sum() < np.inf:
        raise SettingError(
            f"Counts raised to exponent={exponent} sum to {mass.sum()}. Use an exponent near 0.75 "
            "and positive counts."
        )
    return mass


def alias_table(counts: ArrayLike, exponent: float = 0.75) -> Alias:
    """Table to draw words with probability proportional to counts^exponent, in O(V) on the host
    (Vose's construction).

    Raises SettingError for counts that are empty, negative, not finite, or all without mass.

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
    # what rounding left over in `small` or `large` fills its slot; its `other` is itself
    thresholds = np.minimum(np.rint(np.asarray(keep) * 2.0**32), 2**32 - 1).astype(np.uint32)
    # device_put and not asarray, which compiles a program of its own for every shape and type
    return Alias(*jax.device_put((thresholds, np.asarray(other, np.int32))))


def draw(key: jax.Array, table: Alias, shape: tuple[int, ...]) -> jax.Array:
    """Words [shape] int32 drawn on the device. One 64-bit number x makes slot and coin at once.

    x * V / 2^64 has the slot before the point and the coin behind it. The coin is compared at 32
    bits, so each word's probability is met to within 2^-32 / V, whatever V is.
    """
    high, low = jax.random.bits(key, (2, *shape), jnp.uint32)
    return pick(high, low, table)


def pick(high: jax.Array, low: jax.Array, table: Alias) -> jax.Array:
    """The words that the 64 random bits (high, low), two uint32 arrays of one shape, fall on."""
    size = table.keep.shape[0]
    carry, _ = multiply_wide(low, size)
    slot, coin = multiply_wide(high, size)
    coin_carried = coin + carry
    slot = (slot + (coin_carried < coin).astype(jnp.uint32)).astype(jnp.int32)
    return jnp.where(coin_carried < table.keep[slot], slot, table.other[slot])


def multiply_wide(x: jax.Array, factor: int) -> tuple[jax.Array, jax.Array]:
    """High and low 32 bits of x * factor, for uint32 x and 0 < factor < 2^31, without 64-bit
    integers.
    """
    half, mask = jnp.uint32(16), jnp.uint32(0xFFFF)
    f_high, f_low = jnp.uint32(factor >> 16), jnp.uint32(factor & 0xFFFF)
    x_high, x_low = x >> half, x & mask
    middle = x_high * f_low + ((x_low * f_low) >> half)  # < 2^32: (2^16-1)^2 + 2^16
    crossed = x_low * f_high + (middle & mask)
    return x_high * f_high + (middle >> half) + (crossed >> half), x * jnp.uint32(factor)


def negative_targets(
    words: jax.Array, weights: jax.Array, negatives: jax.Array, num_negatives: int
) -> Targets:
    """Targets that score positives ``words`` [B, P] and ``negatives`` [B, K] for weights [B, T, P];
    R = P + K.

    Negative k weighs num_negatives / K * sum_p weights[t, p] * [id_k != id_p] for hidden t: a word
    that is drawn while it is a positive of t is skipped for that positive alone (dropping it for
    the whole block would bias the noise).
    """
    scale = num_negatives / negatives.shape[1]
    differs = (negatives[:, :, None] != words[:, None, :]).astype(weights.dtype)  # [B, K, P]
    negative_weights = jnp.einsum(
        "btp,bkp->btk", weights, differs * jnp.asarray(scale, weights.dtype)
    )
    labels = jnp.concatenate([jnp.ones_like(weights), jnp.zeros_like(negative_weights)], -1)
    ids = jnp.concatenate([words, negatives], -1)
    return Targets(ids, labels, jnp.concatenate([weights, negative_weights], -1))


@kept
def negative_sampling(
    num_negatives: int = 5, exponent: float = 0.75, shared: int | None = None
) -> Objective:
    """Skip-gram or CBOW with negative sampling.

    num_negatives is the (expected) number of negatives that each positive meets, exponent flattens
    the noise (1 unigram, 0 uniform), shared is K, the draws that a group shares (default:
    num_negatives).

    >>> import jax, jax.numpy as jnp
    >>> objective = negative_sampling(num_negatives=2)
    >>> tables = objective.init([5, 3, 2])
    >>> draws = objective.draw(jax.random.key(0), tables, (1,))
    >>> targets = objective.select(draws, tables, jnp.asarray([[1]]), jnp.ones((1, 1, 1)))
    >>> targets.ids.shape, targets.labels.tolist()
    ((1, 3), [[[1.0, 0.0, 0.0]]])
    """
    drawn = num_negatives if shared is None else shared
    if num_negatives < 1 or drawn < 1 or not np.isfinite(exponent):
        raise SettingError(
            f"num_negatives={num_negatives}, shared={shared}, exponent={exponent} cannot work. "
            "Use at least 1 negative and a finite exponent."
        )

    def init(counts: ArrayLike) -> Alias:
        return alias_table(counts, exponent)

    def draw_negatives(key: jax.Array, tables: Alias, shape: tuple[int, ...]) -> jax.Array:
        return draw(key, tables, (*shape, drawn))

    def select(
        negatives: jax.Array, tables: Alias, words: jax.Array, weights: jax.Array
    ) -> Targets:
        del tables
        return negative_targets(words, weights, negatives, num_negatives)

    return Objective(
        init,
        select,
        logistic_rows_loss,
        logistic_rows_backward,
        draw_negatives,
        logistic_rows_bounded,
    )
