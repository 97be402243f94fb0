"""Skip-gram: each word predicts its neighbours.

Two groupings of the same pairs train, each where it reads few rows:

    block_batch      T consecutive centers against their T + 2*window neighbours, as matrix
                     products. A row is read once for all of its pairs.
    to_center_batch  the neighbours of a center, each a hidden vector, all predict that center.
                     Where a word costs a path of rows (hierarchical softmax), the path is read once
                     for 2*window hidden vectors. word2vec.c trains in this direction. Over a corpus
                     the pairs are the same, except that the predicted word's reach limits them.

The idea of shared rows is pWord2Vec's (Ji et al., "Parallelizing Word2Vec in Shared and Distributed
Memory", 2016). Functions of blocks can be jitted and trust their ids.
:mod:`w2vjax.windows.neighbourhood` defines a block.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError
from w2vjax.ids import as_ids
from w2vjax.real import is_real, real_numbers
from w2vjax.trees import float_dtype
from w2vjax.types import Batch, Inputs
from w2vjax.windows.neighbourhood import around_each, in_block


def pairs(
    centers: ArrayLike,
    contexts: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    vocab_size: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Batch:
    """A batch of B (center, context) pairs.

    Args:
        centers: [B] ids.
        contexts: [B] ids.
        weights: [B], 0 on padding; 1 by default.
        vocab_size: ids are checked against it, on the host. None trusts them, as inside jit.
        dtype: of the weights.

    Returns:
        Inputs [B, 1, 1] of weight 1, words [B, 1] and weights [B, 1, 1].

    Raises:
        IdError: an id is not in [0, vocab_size).
        SettingError: the arrays differ in length, weights are not real numbers, or their dtype is
            not of floats.

    >>> batch = pairs([0, 1], [1, 0], vocab_size=2)
    >>> batch.inputs.ids.shape, batch.words.tolist()
    ((2, 1, 1), [[1], [0]])
    """
    centers, contexts = as_ids(centers, vocab_size), as_ids(contexts, vocab_size)
    ones = jnp.ones(centers.shape, float_dtype(dtype))
    weights = ones if weights is None else real_weights("weights", weights).astype(dtype)
    if not centers.shape == contexts.shape == weights.shape or centers.ndim != 1:
        raise SettingError(
            f"Centers {centers.shape}, contexts {contexts.shape} and weights {weights.shape} make "
            "no pairs. Give arrays [B] of one length."
        )
    inputs = Inputs(centers[:, None, None], ones[:, None, None])
    return Batch(inputs, contexts[:, None], weights[:, None, None])


def real_weights(what: str, given: ArrayLike) -> Array:
    """Real numbers as an array of JAX, also inside jit. SettingError for anything else."""
    traced = isinstance(given, jax.Array) and is_real(given.dtype)
    return jnp.asarray(given if traced else real_numbers(what, given))


def block_batch(
    tokens: Array, segments: Array, reach: Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """B groups of T centers, with all P = T + 2*window words of a block as candidate positives.

    Args:
        tokens: [B, T + 2*window] ids.
        segments: [B, T + 2*window] lines, -1 on padding.
        reach: [B, T], how far each center looks.
        dtype: of the weights.

    Returns:
        Inputs [B, T, 1], words [B, P], weights [B, T, P]: 1 where p is a neighbour of t, else 0.

    Raises:
        SettingError: the dtype is not of floats.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 1]])
    >>> block_batch(tokens, segments, jnp.asarray([[1, 1]])).weights.tolist()
    [[[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]]
    """
    count, width = reach.shape[1], tokens.shape[1]
    window = (width - count) // 2
    weights = in_block(segments, reach).astype(float_dtype(dtype))
    # Padding centers have weight 1 too: they have no positives, and a constant costs nothing.
    inputs = Inputs(tokens[:, window : window + count, None], jnp.ones((*reach.shape, 1), dtype))
    return Batch(inputs, tokens, weights)


def to_center_batch(
    tokens: Array, segments: Array, reach: Array, dtype: DTypeLike = jnp.float32
) -> Batch:
    """B*T groups of 2*window hidden vectors and one positive.

    Args:
        tokens: [B, T + 2*window] ids.
        segments: [B, T + 2*window] lines, -1 on padding.
        reach: [B, T], how far each center looks.
        dtype: of the weights.

    Returns:
        Inputs [B*T, 2*window, 1], words [B*T, 1], weights [B*T, 2*window, 1]: 1 on neighbours.

    Raises:
        SettingError: the dtype is not of floats.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 1]])
    >>> batch = to_center_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.tolist(), batch.inputs.ids[..., 0].tolist(), batch.weights[..., 0].tolist()
    ([[4], [5]], [[9, 5], [4, 6]], [[0.0, 1.0], [1.0, 0.0]])
    """
    centers, contexts, mask = around_each(tokens, segments, reach)
    columns = contexts.shape[-1]
    weights = mask.reshape(-1, columns, 1).astype(float_dtype(dtype))
    inputs = Inputs(contexts.reshape(-1, columns, 1), jnp.ones(weights.shape, dtype))
    return Batch(inputs, centers.reshape(-1, 1), weights)
