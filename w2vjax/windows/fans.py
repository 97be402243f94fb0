"""Skip-gram as fans: the words around a center, each a hidden vector of its own, all predicting that one center.

The pairs of a block, grouped by the word that is predicted. Where scoring a word costs a whole path of rows
(hierarchical softmax), each path is read once for the 2 * window words that it is scored against. word2vec.c trains in
this direction; over a corpus the pairs are the same but for whose reach decides.
"""

from typing import Any

import jax
import jax.numpy as jnp

from w2vjax.types import Batch, Inputs
from w2vjax.windows.pairs import neighbours


def fan_batch(tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32) -> Batch:
    """B*T groups of 2*window hidden vectors and one positive; arguments as in :func:`w2vjax.windows.pairs.neighbours`.

    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 1]])
    >>> batch = fan_batch(tokens, segments, jnp.asarray([[1, 1]]))
    >>> batch.words.tolist(), batch.inputs.ids[..., 0].tolist(), batch.weights[..., 0].tolist()
    ([[4], [5]], [[9, 5], [4, 6]], [[0.0, 1.0], [1.0, 0.0]])
    """
    centers, contexts, mask = neighbours(tokens, segments, reach)
    columns = contexts.shape[-1]
    weights = mask.reshape(-1, columns, 1).astype(dtype)
    inputs = Inputs(contexts.reshape(-1, columns, 1), jnp.ones(weights.shape, dtype))
    return Batch(inputs, centers.reshape(-1, 1), weights)
