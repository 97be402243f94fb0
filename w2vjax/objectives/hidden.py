"""Input side: the hidden vector of skip-gram (one word) and CBOW (the mean of several words).

    hidden[b, t] = sum_c weights[b, t, c] * table[ids[b, t, c]]

``weights`` hold the mean (1/count) and the mask (0). They also set the dtype of the arithmetic: a
batch has float32 weights by default, so bfloat16 params are read once and computed with in float32.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from w2vjax.types import Batch, Inputs, Rows


def embed(table: Array, inputs: Inputs) -> Array:
    """The weighted sums of input rows.

    Args:
        table: [V, D].
        inputs: ids and weights [B, T, C]. Ids are trusted.

    Returns:
        hidden [B, T, D], in the wider dtype of table and weights.

    >>> table = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> print(embed(table, Inputs(jnp.asarray([[[0, 1]]]), jnp.asarray([[[0.5, 0.5]]]))))
    [[[2. 3.]]]
    """
    # NumPy's promotion also works under jax_numpy_dtype_promotion="strict"
    dtype = np.promote_types(table.dtype, inputs.weights.dtype)
    weights = inputs.weights.astype(dtype)
    if shared(inputs):
        return jnp.einsum("btc,bcd->btd", weights, table[inputs.ids[:, 0]].astype(dtype))
    return jnp.einsum("btc,btcd->btd", weights, table[inputs.ids].astype(dtype))


def shared(inputs: Inputs) -> bool:
    """Whether the T hidden vectors of a group are sums of the same C words: ids [B, 1, C]."""
    return inputs.ids.shape[1] == 1 < inputs.weights.shape[1]


def hidden_vectors(table: Array, batch: Batch) -> Array:
    """:func:`embed` of a batch: hidden[b, t] = sum_c weights[b, t, c] * table[ids[b, t, c]].

    Args:
        table: [V, D].
        batch: B groups. Ids are trusted.

    Returns:
        hidden [B, T, D] with the B and T of ``batch.weights``, in the dtype of :func:`embed`.

    >>> from w2vjax.windows.cbow import cbow
    >>> hidden_vectors(jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), cbow([[0, 1]], [1])).tolist()
    [[[2.0, 3.0]]]
    """
    hidden = embed(table, batch.inputs)
    return hidden.reshape(*batch.weights.shape[:2], hidden.shape[-1])


def embed_backward(d_hidden: Array, inputs: Inputs) -> Rows:
    """The derivative of :func:`embed`: each word receives its weight times d_hidden.

    Args:
        d_hidden: [B, T, D], in any grouping.
        inputs: as in :func:`embed`.

    Returns:
        Rows with ids [B*T*C] and values [B*T*C, D]; [B*C] where the words of a group are shared. A
        word that occurs twice has two values, which add up.

    >>> inputs = Inputs(jnp.asarray([[[0, 1]]]), jnp.asarray([[[0.5, 0.5]]]))
    >>> embed_backward(jnp.asarray([[[2.0, 4.0]]]), inputs).values.tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    weights = inputs.weights.astype(d_hidden.dtype)
    d_hidden = d_hidden.reshape(*weights.shape[:2], d_hidden.shape[-1])
    if shared(inputs):
        # The smaller factor is transposed in memory: a CPU multiplies by a transposed view at half
        # the speed.
        turned = jax.lax.optimization_barrier(weights.swapaxes(1, 2))
        values = jnp.einsum("bct,btd->bcd", turned, d_hidden)
    else:
        values = weights[..., None] * d_hidden[:, :, None]  # [B, T, C, D]
    return Rows(inputs.ids.reshape(-1), values.reshape(inputs.ids.size, values.shape[-1]))


def embed_backward_undivided(d_hidden: Array, inputs: Inputs) -> Rows:
    """The step of word2vec.c's CBOW: every context word receives d_hidden, not divided by count.

    This is not the gradient of the loss: it is count times too large. It fails a gradient check,
    and it is here to reproduce word2vec.c, gensim and fastText: ``backward(...,
    embed_backward=embed_backward_undivided)``.

    Source: arXiv 2012.15332.

    Args:
        d_hidden, inputs: as in :func:`embed_backward`.

    Returns:
        Rows as there, with [weights[b, t, c] != 0] in place of weights[b, t, c]: 1 on real words.

    >>> inputs = Inputs(jnp.asarray([[[0, 1, 0]]]), jnp.asarray([[[0.5, 0.5, 0.0]]]))
    >>> embed_backward_undivided(jnp.asarray([[[2.0, 4.0]]]), inputs).values.tolist()
    [[2.0, 4.0], [2.0, 4.0], [0.0, 0.0]]
    """
    real = inputs._replace(weights=(inputs.weights != 0).astype(d_hidden.dtype))
    return embed_backward(d_hidden, real)
