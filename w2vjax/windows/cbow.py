"""CBOW: the mean of the context words predicts the center.

All functions here are jit-able, with shapes that depend on shapes only, and trust their ids.
"""

from typing import Any

import jax
import jax.numpy as jnp

from w2vjax.ids import as_ids
from w2vjax.types import Batch, Inputs
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.pairs import neighbours


def mean_weights(mask: jax.Array, dtype: Any) -> jax.Array:
    """1/count on real words and 0 on padding, along the last axis of a mask."""
    real = mask.astype(dtype)
    return real / jnp.maximum(real.sum(-1, keepdims=True), jnp.ones((), dtype))


def cbow(
    contexts: Any, centers: Any, mask: Any = None, *, vocab_size: int | None = None, dtype: Any = jnp.float32
) -> Batch:
    """A batch of B means of contexts [B, C] that predict centers [B]; mask [B, C] is 0 on padding, 1 by default.

    A center without context has weight 0. Given ``vocab_size``, ids are checked on the host (IdError); without it, as
    inside jit, they are trusted.

    >>> batch = cbow([[0, 2]], [1], vocab_size=3)
    >>> batch.inputs.weights.tolist(), batch.words.tolist()
    ([[[0.5, 0.5]]], [[1]])
    """
    contexts, centers = as_ids(contexts, vocab_size), as_ids(centers, vocab_size)
    mask = jnp.ones(contexts.shape, bool) if mask is None else jnp.asarray(mask).astype(bool)
    inputs = Inputs(contexts[:, None], mean_weights(mask, dtype)[:, None])
    return Batch(inputs, centers[:, None], mask.any(-1).astype(dtype)[:, None, None])


def cbow_batch(tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32) -> Batch:
    """The CBOW groups of B runs of tokens, [B*T] of them; arguments as in :func:`w2vjax.windows.pairs.neighbours`."""
    centers, contexts, mask = neighbours(tokens, segments, reach)
    flat = (centers.size, contexts.shape[-1])
    return cbow(contexts.reshape(flat), centers.reshape(-1), mask.reshape(flat), dtype=dtype)


def cbow_block_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32
) -> Batch:
    """The same groups kept together, T hidden vectors in each of B blocks, so that a block can share its negatives.

    Center t is the positive of hidden t alone: weights [B, T, P=T] are a masked identity.
    """
    centers, contexts, mask = neighbours(tokens, segments, reach)
    alive = mask.any(-1).astype(dtype)  # [B, T]
    identity = jnp.eye(centers.shape[1], dtype=dtype)
    return Batch(Inputs(contexts, mean_weights(mask, dtype)), centers, alive[..., None] * identity[None])


def cbow_run_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32
) -> Batch:
    """The groups of :func:`cbow_block_batch` with each of a run's T + 2*window words read once for all of its means.

    inputs.ids [B, 1, C=T+2*window]; inputs.weights [B, T, C] are 1/count on the neighbours of center t.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> cbow_run_batch(tokens, segments, jnp.asarray([[1, 1]])).inputs.weights.tolist()
    [[[0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 0.5]]]
    """
    block = block_batch(tokens, segments, reach, dtype)
    mask = block.weights > 0
    alive = mask.any(-1).astype(dtype)
    identity = jnp.eye(reach.shape[1], dtype=dtype)
    inputs = Inputs(tokens[:, None], mean_weights(mask, dtype))
    return Batch(inputs, block.inputs.ids[..., 0], alive[..., None] * identity[None])


def cbow_lone_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32
) -> Batch:
    """:func:`cbow_run_batch` with each mean a group of its own for what it predicts: words [B*T, 1].

    For an objective that scores rows of each word's own (hierarchical softmax): in a group of T, every hidden vector
    would be scored against the paths of all T words.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> batch = cbow_lone_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.inputs.weights.shape, batch.words.tolist(), batch.weights.tolist()
    ((1, 2, 4), [[4], [5]], [[[1.0]], [[1.0]]])
    """
    return lone(cbow_run_batch(tokens, segments, reach, dtype))


def cbow_counted_run_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32
) -> Batch:
    """:func:`cbow_run_batch` with each mean weighed by its number n_b of words: sum_b n_b / (window + 1) * loss_b.

    CBOW's usual loss takes a mean of two words as seriously as one of ten. Here, as in skip-gram, a center counts by
    its pairs; window + 1 is their mean where the reach is drawn evenly from 1 to window, so that learning rates stay
    what they are. The 1/n_b of the mean cancels: each context word receives d_hidden of loss_b over window + 1. That
    is word2vec.c's undivided step (:func:`~w2vjax.objectives.hidden.embed_backward_undivided`) at a smaller rate, here
    as an exact gradient; output rows, other than in word2vec.c, follow n_b too.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> batch = cbow_counted_run_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.tolist(), batch.weights.tolist()
    ([[4, 5]], [[[0.5, 0.0], [0.0, 1.0]]])
    """
    batch = cbow_run_batch(tokens, segments, reach, dtype)
    window = (tokens.shape[1] - reach.shape[1]) // 2
    words = (batch.inputs.weights > 0).sum(-1).astype(dtype)  # [B, T]
    return batch._replace(weights=batch.weights * (words / (window + 1))[..., None])


def cbow_counted_batch(
    tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32
) -> Batch:
    """:func:`cbow_counted_run_batch` with each mean a group of its own, as in :func:`cbow_lone_batch`.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> batch = cbow_counted_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.tolist(), batch.weights.tolist()
    ([[4], [5]], [[[0.5]], [[1.0]]])
    """
    return lone(cbow_counted_run_batch(tokens, segments, reach, dtype))


def lone(batch: Batch) -> Batch:
    """A batch of runs in which each mean is scored against its own center only: words [B*T, 1]."""
    return batch._replace(words=batch.words.reshape(-1, 1), weights=batch.weights.sum(-1).reshape(-1, 1, 1))
