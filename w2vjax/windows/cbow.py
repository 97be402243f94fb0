"""CBOW: the mean of the neighbours predicts the center.

``cbow_block_batch`` reads each word of a block once for all of its means. Two regroupings make the
other window shapes:

    one_word_each(batch)               each mean is scored against its own center only
    weighted_by_words(batch, window)   each mean counts by its number of words

    cbow_single_batch          = one_word_each(block)
    cbow_weighted_block_batch  = weighted_by_words(block)
    cbow_weighted_batch        = one_word_each(weighted_by_words(block))

Functions of blocks can be jitted and trust their ids. :mod:`w2vjax.windows.neighbourhood` defines a
block, and what tokens, segments and reach are.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError
from w2vjax.ids import as_ids
from w2vjax.trees import float_dtype
from w2vjax.types import Batch, Inputs, Windows
from w2vjax.windows.skipgram import block_batch, real_weights


def mean_weights(mask: Array, dtype: DTypeLike) -> Array:
    """1/count on real words and 0 on padding, along the last axis of a mask.

    >>> mean_weights(jnp.asarray([[True, True, False]]), jnp.float32).tolist()
    [[0.5, 0.5, 0.0]]
    """
    real = mask.astype(dtype)
    return real / jnp.maximum(real.sum(-1, keepdims=True), jnp.ones((), dtype))


def cbow(
    contexts: ArrayLike,
    centers: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    vocab_size: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Batch:
    """A batch of B means of context words that predict their centers.

    Args:
        contexts: [B, C] ids.
        centers: [B] ids. A center without context has weight 0.
        mask: [B, C], 0 on padding; 1 by default.
        vocab_size: ids are checked against it, on the host. None trusts them, as inside jit.
        dtype: of the weights.

    Returns:
        Inputs [B, 1, C] with weights 1/count, 0 on padding; words [B, 1] and weights [B, 1, 1].

    Raises:
        IdError: an id is not in [0, vocab_size).
        SettingError: the shapes do not fit each other, the mask is not of real numbers, or the
            dtype is not of floats.

    >>> batch = cbow([[0, 2]], [1], vocab_size=3)
    >>> batch.inputs.weights.tolist(), batch.words.tolist()
    ([[[0.5, 0.5]]], [[1]])
    """
    contexts, centers = as_ids(contexts, vocab_size), as_ids(centers, vocab_size)
    real = jnp.ones(contexts.shape, bool)
    if mask is not None:
        real = real_weights("mask", mask).astype(bool)
    if contexts.ndim != 2 or real.shape != contexts.shape or centers.shape != contexts.shape[:1]:
        raise SettingError(
            f"Contexts {contexts.shape}, centers {centers.shape} and a mask {real.shape} do not "
            "fit. Give contexts [B, C], centers [B] and a mask [B, C]."
        )
    inputs = Inputs(contexts[:, None], mean_weights(real, float_dtype(dtype))[:, None])
    return Batch(inputs, centers[:, None], real.any(-1).astype(dtype)[:, None, None])


def cbow_block_batch(
    tokens: Array, segments: Array, reach: Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """B groups of T means, each of which predicts its own center.

    Args:
        tokens: [B, T + 2*window] ids.
        segments: [B, T + 2*window] lines, -1 on padding.
        reach: [B, T], how far each center looks.
        dtype: of the weights.

    Returns:
        inputs.ids [B, 1, C=T+2*window] are the words of the block, and inputs.weights [B, T, C] are
        1/count on the neighbours of center t. words [B, P=T] are the centers, and weights [B, T, P]
        are a masked identity.

    Raises:
        SettingError: the dtype is not of floats.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> cbow_block_batch(tokens, segments, jnp.asarray([[1, 1]])).inputs.weights.tolist()
    [[[0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 0.5]]]
    """
    block = block_batch(tokens, segments, reach, dtype)
    mask = block.weights > 0
    alive = mask.any(-1).astype(dtype)
    identity = jnp.eye(reach.shape[1], dtype=dtype)
    inputs = Inputs(tokens[:, None], mean_weights(mask, dtype))
    return Batch(inputs, block.inputs.ids[..., 0], alive[..., None] * identity[None])


def one_word_each(batch: Batch) -> Batch:
    """The means of blocks as groups of one: words [B*T, 1], weights [B*T, 1, 1].

    Use it for an objective with rows for each word (hierarchical softmax). In a group of T, every
    mean would be scored against the paths of all T words.
    """
    weights = batch.weights.sum(-1).reshape(-1, 1, 1)
    return batch._replace(words=batch.words.reshape(-1, 1), weights=weights)


def weighted_by_words(batch: Batch, window: int) -> Batch:
    """The means of blocks, each weighted by its number n of words: n / (window + 1) * loss.

    CBOW's usual loss gives a mean of two words the same weight as a mean of ten. Here, as in
    skip-gram, a center counts by its pairs. The average of n is window + 1 where the reach is drawn
    evenly from 1 to window, so learning rates stay the same. The 1/n of the mean cancels: each
    context word receives d_hidden / (window + 1). That is word2vec.c's undivided step
    (:func:`~w2vjax.objectives.hidden.embed_backward_undivided`) at a smaller rate, as an exact
    gradient. Output rows follow n too, which they do not in word2vec.c.
    """
    words = (batch.inputs.weights > 0).sum(-1).astype(batch.weights.dtype)  # [B, T]
    return batch._replace(weights=batch.weights * (words / (window + 1))[..., None])


def cbow_single_batch(
    tokens: Array, segments: Array, reach: Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """:func:`cbow_block_batch`, then :func:`one_word_each`.

    Args:
        tokens, segments, reach, dtype: as in :func:`cbow_block_batch`.

    Returns:
        Inputs as there, words [B*T, 1] and weights [B*T, 1, 1], 0 for a center without neighbours.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> batch = cbow_single_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.inputs.weights.shape, batch.words.tolist(), batch.weights.tolist()
    ((1, 2, 4), [[4], [5]], [[[1.0]], [[1.0]]])
    """
    return one_word_each(cbow_block_batch(tokens, segments, reach, dtype))


def cbow_weighted_block_batch(
    tokens: Array, segments: Array, reach: Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """:func:`cbow_block_batch`, then :func:`weighted_by_words`.

    Args:
        tokens, segments, reach, dtype: as in :func:`cbow_block_batch`.

    Returns:
        Inputs and words as there, weights [B, T, T]: n / (window + 1) on the diagonal, else 0.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> batch = cbow_weighted_block_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.tolist(), batch.weights.tolist()
    ([[4, 5]], [[[0.5, 0.0], [0.0, 1.0]]])
    """
    window = (tokens.shape[1] - reach.shape[1]) // 2
    return weighted_by_words(cbow_block_batch(tokens, segments, reach, dtype), window)


def cbow_weighted_batch(
    tokens: Array, segments: Array, reach: Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """:func:`cbow_weighted_block_batch`, then :func:`one_word_each`.

    Args:
        tokens, segments, reach, dtype: as in :func:`cbow_block_batch`.

    Returns:
        Inputs as there, words [B*T, 1], weights [B*T, 1, 1]: n / (window + 1) for n neighbours.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 0]])
    >>> batch = cbow_weighted_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.tolist(), batch.weights.tolist()
    ([[4], [5]], [[[0.5]], [[1.0]]])
    """
    return one_word_each(cbow_weighted_block_batch(tokens, segments, reach, dtype))


# The same windows, whose means count by their number of words.
WEIGHTED: dict[Windows, Windows] = {
    cbow_single_batch: cbow_weighted_batch,
    cbow_block_batch: cbow_weighted_block_batch,
}
UNWEIGHTED = {weighted: plain for plain, weighted in WEIGHTED.items()}
