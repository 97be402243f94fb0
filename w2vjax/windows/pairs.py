"""Skip-gram as plain pairs: one hidden vector, one positive, a group each.

All functions here are jit-able, with shapes that depend on shapes only, and trust their ids.
"""

from typing import Any

import jax
import jax.numpy as jnp

from w2vjax.ids import as_ids
from w2vjax.types import Batch, Inputs


def pairs(
    centers: Any,
    contexts: Any,
    weights: Any = None,
    *,
    vocab_size: int | None = None,
    dtype: Any = jnp.float32,
) -> Batch:
    """A batch of B (center, context) pairs from two id arrays [B]; ``weights`` [B] are 0 on padding, 1 by default.

    Given ``vocab_size``, ids are checked on the host (IdError); without it, as inside jit, they are trusted.

    >>> batch = pairs([0, 1], [1, 0], vocab_size=2)
    >>> batch.inputs.ids.shape, batch.words.tolist()
    ((2, 1, 1), [[1], [0]])
    """
    centers, contexts = as_ids(centers, vocab_size), as_ids(contexts, vocab_size)
    ones = jnp.ones(centers.shape, dtype)
    weights = ones if weights is None else jnp.asarray(weights, dtype)
    inputs = Inputs(centers[:, None, None], ones[:, None, None])
    return Batch(inputs, contexts[:, None], weights[:, None, None])


def neighbours(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Centers [B, T], contexts [B, T, C] and mask [B, T, C] (bool), C = 2 * window, of B runs of consecutive tokens.

    tokens [B, T + 2*window] holds T centers between two margins; segments, of the same shape, numbers the lines (-1
    is padding); reach [B, T], at most window, is how far each center looks. A context counts when it is within reach
    and on its center's line.
    """
    count = reach.shape[1]
    window = (tokens.shape[1] - count) // 2
    offsets = [offset for offset in range(-window, window + 1) if offset]

    def shifted(values: jax.Array, offset: int) -> jax.Array:
        return values[:, window + offset : window + offset + count]

    def gathered(values: jax.Array) -> jax.Array:
        columns = [shifted(values, offset) for offset in offsets]
        return jnp.stack(columns, -1) if columns else jnp.zeros((*reach.shape, 0), values.dtype)

    own = shifted(segments, 0)[..., None]
    distance = jnp.asarray([[[abs(offset) for offset in offsets]]], jnp.int32)
    mask = (distance <= reach[..., None]) & (gathered(segments) == own) & (own >= 0)
    return shifted(tokens, 0), gathered(tokens), mask


def pair_batch(tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32) -> Batch:
    """Every (center, context) pair of B runs of tokens, [B*T*2*window] groups; arguments as in :func:`neighbours`."""
    centers, contexts, mask = neighbours(tokens, segments, reach)
    centers = jnp.broadcast_to(centers[..., None], contexts.shape)
    return pairs(centers.reshape(-1), contexts.reshape(-1), mask.reshape(-1), dtype=dtype)
