"""Skip-gram as blocks: T consecutive centers against their T + 2*window neighbours, as matrix products.

Rows of a block are read once for all the pairs they take part in. A block equals its expansion into pairs exactly
(:func:`w2vjax.windows.pairs.pair_batch` makes it from the same arguments). The idea of shared rows is pWord2Vec's
(Ji et al., "Parallelizing Word2Vec in Shared and Distributed Memory", 2016).
"""

from typing import Any

import jax
import jax.numpy as jnp

from w2vjax.types import Batch, Inputs


def block_batch(tokens: jax.Array, segments: jax.Array, reach: jax.Array, dtype: Any = jnp.float32) -> Batch:
    """B blocks of T centers with P = T + 2*window candidate positives.

    tokens [B, P] int32 holds T centers between two margins of ``window`` words; segments [B, P] numbers the lines (-1
    is padding); reach [B, T], at most window, is how far each center looks. weights[b, t, p] is 1 where token p is
    another token than center t, within its reach and on its line. Jit-able; ids are trusted.

    >>> import jax.numpy as jnp
    >>> tokens, segments = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 1]])
    >>> block_batch(tokens, segments, jnp.asarray([[1, 1]])).weights.tolist()
    [[[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]]
    """
    count, width = reach.shape[1], tokens.shape[1]
    window = (width - count) // 2
    centers = slice(window, window + count)
    at, center = jnp.arange(width, dtype=jnp.int32)[None], jnp.arange(window, window + count, dtype=jnp.int32)
    distance = jnp.abs(at - center[:, None])[None]  # [1, T, P], a constant
    own = segments[:, centers, None]
    alike = (segments[:, None] == own) & (own >= 0)  # [B, T, P]
    weights = (alike & (distance > 0) & (distance <= reach[..., None])).astype(dtype)
    # weight 1 on padding centers too: nothing weighs on their loss, and a constant costs the compiled step nothing
    inputs = Inputs(tokens[:, centers, None], jnp.ones((*reach.shape, 1), dtype))
    return Batch(inputs, tokens, weights)
