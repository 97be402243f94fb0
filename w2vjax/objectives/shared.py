"""Negative sampling with negatives shared by a block, in the form that trains fastest on a CPU.

The same loss as ``negative_sampling(num_negatives, exponent, shared=K)`` of :mod:`w2vjax.objectives.negative`, which is
the clear form and the oracle: for the same key both draw the same negatives and give the same gradient. There,
negative k weighs num_negatives / K * sum_p w[t, p] * [id_k != id_p], a product over t, k and p. Here every negative weighs
n[t] = sum_p w[t, p], and what that counts too much is taken back at the positives, whose scores are the same numbers
because the rows are the same::

    c[p]    = num_negatives / K * #{k: id_k = id_p}
    loss[t] = sum_p w[t, p] * ((1 - c[p]) * softplus(s_p) - s_p)  +  num_negatives / K * n[t] * sum_k softplus(s_k)

    d loss / d s_p = w[t, p] * ((1 - c[p]) * sigmoid(s_p) - 1)
    d loss / d s_k = num_negatives / K * n[t] * sigmoid(s_k)

Counting needs K * P comparisons a block where the product needs T * K * P multiplications.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from w2vjax.objectives.logistic import sigmoid
from w2vjax.objectives.negative import draw, negative_sampling
from w2vjax.objectives.scores import score
from w2vjax.types import Objective, Rows


class SharedTargets(NamedTuple):
    """P positives and K negatives of each block, R = P + K rows."""

    ids: jax.Array  # [B, R] int32, positives first
    positives: jax.Array  # [B, T, P] weights w
    repeats: jax.Array  # [B, P] how many of the K negatives are this word
    scale: jax.Array  # [B, 1, 1] num_negatives / K

    @property
    def hits(self) -> tuple[jax.Array, jax.Array]:
        """The summed weights of each hidden vector [B, T] and each row [B, R], as row updates count them."""
        each, negatives = self.positives.sum(-1), self.ids.shape[1] - self.positives.shape[2]
        share = jnp.broadcast_to(self.scale[:, 0] * each.sum(-1, keepdims=True), (each.shape[0], negatives))
        return each * (1 + negatives * self.scale[:, 0]), jnp.concatenate([self.positives.sum(1), share], -1)


def coefficients(targets: SharedTargets) -> tuple[jax.Array, jax.Array]:
    """(a, b) [B, R, T] of loss = a * softplus(s) - b * s. Rows before hidden vectors: see :func:`shared_backward`."""
    w = targets.positives.swapaxes(1, 2)  # [B, P, T]
    negatives = targets.ids.shape[1] - w.shape[1]
    kept = 1 - targets.scale * targets.repeats[..., None]
    share = jnp.repeat(targets.scale * w.sum(1, keepdims=True), negatives, 1)  # [B, K, T]
    return jnp.concatenate([w * kept, share], 1), jnp.concatenate([w, jnp.zeros_like(share)], 1)


def shared_loss(hidden: jax.Array, output: jax.Array, targets: SharedTargets) -> jax.Array:
    """The loss of each hidden vector, [B, T]."""
    scores = score(hidden, output, targets.ids).swapaxes(1, 2)
    a, b = (c.astype(scores.dtype) for c in coefficients(targets))
    return (a * jax.nn.softplus(scores) - b * scores).sum(1)


def shared_backward(hidden: jax.Array, output: jax.Array, targets: SharedTargets) -> tuple[jax.Array, Rows]:
    """The gradient of the sum of :func:`shared_loss`: d_hidden [B, T, D] and output Rows [B*R, D].

    Scores are taken as [B, R, T]: of the two factors of a product by a transpose, XLA's CPU library has to turn the
    second, and hidden is the smaller. The error is turned in memory once, for the same reason.
    """
    rows = output[targets.ids].astype(hidden.dtype)  # [B, R, D]
    scores = jnp.einsum("brd,btd->brt", rows, hidden)
    a, b = (c.astype(scores.dtype) for c in coefficients(targets))
    error = jax.lax.optimization_barrier(a * sigmoid(scores) - b)  # [B, R, T]
    d_rows = jnp.einsum("brt,btd->brd", error, hidden)
    turned = jax.lax.optimization_barrier(error.swapaxes(1, 2))
    d_hidden = jnp.einsum("btr,brd->btd", turned, rows)
    return d_hidden, Rows(targets.ids.reshape(-1), d_rows.reshape(-1, d_rows.shape[-1]))


def shared_negatives(num_negatives: int = 5, exponent: float = 0.75, shared: int = 16) -> Objective:
    """Skip-gram or CBOW with negative sampling, K = ``shared`` negatives for each block.

    >>> objective, clear = shared_negatives(2, shared=3), negative_sampling(2, shared=3)
    >>> tables, words, key = clear.init([5, 3, 2]), jnp.asarray([[1, 0]]), jax.random.key(0)
    >>> mine, other = (o.select(key, tables, words, jnp.ones((1, 1, 2))) for o in (objective, clear))
    >>> hidden, output = jnp.ones((1, 1, 2)), jnp.ones((3, 2))
    >>> bool(jnp.allclose(objective.loss(hidden, output, mine), clear.loss(hidden, output, other)))
    True
    """
    clear = negative_sampling(num_negatives, exponent, shared)

    def select(key: jax.Array, tables: Any, words: jax.Array, weights: jax.Array) -> SharedTargets:
        drawn = not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
        negatives = key if drawn else draw_groups(key, tables, words.shape[0])
        repeats = (words[:, :, None] == negatives[:, None, :]).sum(-1).astype(weights.dtype)
        scale = jnp.full((words.shape[0], 1, 1), num_negatives / shared, weights.dtype)
        return SharedTargets(jnp.concatenate([words, negatives], -1), weights, repeats, scale)

    def draw_groups(key: jax.Array, tables: Any, groups: int) -> jax.Array:
        return draw(key, tables, (groups, shared))

    return Objective(clear.init, select, shared_loss, shared_backward, draw_groups)
