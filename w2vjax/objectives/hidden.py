"""Input side: the hidden vector of skip-gram (one word) and CBOW (the mean of several), with its
derivative.

    hidden[b, t] = sum_c weights[b, t, c] * table[ids[b, t, c]]

``weights`` carry the mean (1/count) and the mask (0). They also set the dtype of the arithmetic:
bfloat16 params with the float32 weights that every batch has by default are read once and then
computed with in float32.
"""

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.types import Batch, Inputs, Rows


def embed(table: jax.Array, inputs: Inputs) -> jax.Array:
    """Weighted sum of input rows, hidden [B, T, D], in the wider dtype of table and weights. Ids
    are trusted.

    >>> import jax.numpy as jnp
    >>> table = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> print(embed(table, Inputs(jnp.asarray([[[0, 1]]]), jnp.asarray([[[0.5, 0.5]]]))))
    [[[2. 3.]]]
    """
    # NumPy's promotion, not JAX's: it stays defined under jax_numpy_dtype_promotion="strict"
    dtype = np.promote_types(table.dtype, inputs.weights.dtype)
    if shared(inputs):
        return jnp.einsum(
            "btc,bcd->btd", inputs.weights.astype(dtype), table[inputs.ids[:, 0]].astype(dtype)
        )
    return jnp.einsum(
        "btc,btcd->btd", inputs.weights.astype(dtype), table[inputs.ids].astype(dtype)
    )


def shared(inputs: Inputs) -> bool:
    """Whether the T hidden vectors of a group are sums of the same C words, ids [B, 1, C]: each row
    is read once.
    """
    return inputs.ids.shape[1] == 1 < inputs.weights.shape[1]


def hidden_vectors(table: jax.Array, batch: Batch) -> jax.Array:
    """:func:`embed` of a batch, grouped as its positive words are: [B, T, D] as ``batch.weights``
    has B and T.
    """
    hidden = embed(table, batch.inputs)
    return hidden.reshape(*batch.weights.shape[:2], hidden.shape[-1])


def embed_backward(d_hidden: jax.Array, inputs: Inputs) -> Rows:
    """The derivative of :func:`embed`: each word receives its weight times d_hidden [B, T, D], in
    any grouping.

    Returns Rows with ids [B*T*C] and values [B*T*C, D], [B*C] where a group's words are shared;
    a word that occurs twice has two rows, which add up.
    """
    weights = inputs.weights.astype(d_hidden.dtype)
    d_hidden = d_hidden.reshape(*weights.shape[:2], d_hidden.shape[-1])
    if shared(inputs):
        # turned in memory first, as the smaller factor: a CPU multiplies by a transposed view at
        # half the speed
        turned = jax.lax.optimization_barrier(weights.swapaxes(1, 2))
        values = jnp.einsum("bct,btd->bcd", turned, d_hidden)
    else:
        values = weights[..., None] * d_hidden[:, :, None]  # [B, T, C, D]
    return Rows(inputs.ids.reshape(-1), values.reshape(inputs.ids.size, values.shape[-1]))


def embed_backward_undivided(d_hidden: jax.Array, inputs: Inputs) -> Rows:
    """word2vec.c's CBOW: every real context word receives d_hidden undivided, though the mean was
    fed forward.

    This is not the gradient of the loss (it is count times too large, arXiv 2012.15332) and cannot
    pass a gradient check; it is offered to reproduce the C tool, gensim and fastText:
    ``backward(..., embed_backward=this)``.
    """
    real = inputs._replace(weights=(inputs.weights != 0).astype(d_hidden.dtype))
    return embed_backward(d_hidden, real)
