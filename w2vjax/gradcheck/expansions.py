"""Slow window shapes for checks: one group for each pair, or for each mean.

They share no rows and have no candidates of weight 0, so they are easy to understand. Their
arguments are those of :func:`~w2vjax.windows.neighbourhood.around_each`. All can be jitted.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from w2vjax.types import Batch, Inputs
from w2vjax.windows.cbow import cbow, mean_weights
from w2vjax.windows.neighbourhood import around_each
from w2vjax.windows.skipgram import pairs


def pair_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """Skip-gram: every (center, context) pair, [B*T*2*window] groups.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 1]])
    >>> batch = pair_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.ravel().tolist(), batch.weights.ravel().tolist()
    ([9, 5, 4, 6], [0.0, 1.0, 1.0, 0.0])
    """
    centers, contexts, mask = around_each(tokens, segments, reach)
    centers = jnp.broadcast_to(centers[..., None], contexts.shape)
    return pairs(centers.reshape(-1), contexts.reshape(-1), mask.reshape(-1), dtype=dtype)


def cbow_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """CBOW: every mean, [B*T] groups."""
    centers, contexts, mask = around_each(tokens, segments, reach)
    flat = (centers.size, contexts.shape[-1])
    return cbow(contexts.reshape(flat), centers.reshape(-1), mask.reshape(flat), dtype=dtype)


def cbow_apart_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """CBOW: T means in each of B groups, each with its own words: inputs.ids [B, T, C].

    Center t is the positive of mean t alone: weights [B, T, P=T] are a masked identity.
    """
    centers, contexts, mask = around_each(tokens, segments, reach)
    alive = mask.any(-1).astype(dtype)  # [B, T]
    identity = jnp.eye(centers.shape[1], dtype=dtype)
    inputs = Inputs(contexts, mean_weights(mask, dtype))
    return Batch(inputs, centers, alive[..., None] * identity[None])
