"""Output side: hidden vectors against a few rows of the output table (scores) or all (logits).

    scores[b, t, r] = hidden[b, t] . output[ids[b, r]]
    d_hidden = error @ rows
    d_rows = error.T @ hidden

A bfloat16 table is read in bfloat16 and multiplied in the dtype of ``hidden``, so sums are float32.
"""

import jax
import jax.numpy as jnp
from jax import Array

from w2vjax.objectives.bounds import stiffness
from w2vjax.types import Rows


def score(hidden: Array, output: Array, ids: Array) -> Array:
    """Scores [B, T, R] of hidden [B, T, D] against the rows ids [B, R] of output [V, D].

    Ids are trusted.

    >>> output = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> print(score(jnp.ones((1, 1, 2)), output, jnp.asarray([[1, 0, 1]])))
    [[[7. 3. 7.]]]
    """
    return jnp.einsum("btd,brd->btr", hidden, output[ids].astype(hidden.dtype))


def score_backward(error: Array, hidden: Array, output: Array, ids: Array) -> tuple[Array, Rows]:
    """The derivative of :func:`score`.

    Args:
        error: d loss / d scores, [B, T, R].
        hidden, output, ids: as in :func:`score`.

    Returns:
        d_hidden [B, T, D] and Rows [B*R, D].

    >>> hidden, output = jnp.ones((1, 1, 2)), jnp.asarray([[1.0, 2.0]])
    >>> d_hidden, d_output = score_backward(
    ...     jnp.full((1, 1, 1), 3.0), hidden, output, jnp.asarray([[0]])
    ... )
    >>> d_hidden.tolist(), d_output.values.tolist()
    ([[[3.0, 6.0]]], [[3.0, 3.0]])
    """
    # [B, R, D]; the compiler shares this gather with that of the forward
    rows = output[ids].astype(hidden.dtype)
    d_hidden = jnp.einsum("btr,brd->btd", error, rows)
    # Transposed in memory: XLA's CPU compiler would multiply by a transposed view, at half the
    # speed.
    turned = jax.lax.optimization_barrier(error.swapaxes(1, 2))  # [B, R, T]
    d_rows = jnp.einsum("brt,btd->brd", turned, hidden)
    return d_hidden, Rows(ids.reshape(-1), d_rows.reshape(-1, d_rows.shape[-1]))


def score_bound(
    error: Array, hidden: Array, rows: Array, a: float, b: float
) -> tuple[Array, Array]:
    """The curvature bounds of the vectors of :func:`score`: see :mod:`w2vjax.objectives.bounds`.

        bound(h_t) = sum_r error[t, r] * stiffness(o_r)
        bound(o_r) = sum_t error[t, r] * stiffness(h_t)

    Args:
        error: |d loss / d scores|, [B, T, R].
        hidden: [B, T, D].
        rows: [B, R, D].
        a, b: the constants of :func:`~w2vjax.objectives.bounds.stiffness`.

    Returns:
        Bounds [B, T] of hidden and [B, R] of the rows.

    >>> error, hidden, rows = jnp.full((1, 1, 2), 0.5), jnp.ones((1, 1, 3)), jnp.zeros((1, 2, 3))
    >>> of_hidden, of_rows = score_bound(error, hidden, rows, a=1.0, b=1.0)
    >>> print(of_hidden, of_rows)  # .5 * (0 + 1) twice; .5 * (3 + 1)
    [[1.]] [[2. 2.]]
    """
    of_hidden = jnp.einsum("btr,br->bt", error, stiffness(rows, a, b))
    return of_hidden, jnp.einsum("btr,bt->br", error, stiffness(hidden, a, b))


def logits(hidden: Array, output: Array) -> Array:
    """Scores [B, T, V] of hidden [B, T, D] against every row of output [V, D]."""
    return jnp.einsum("btd,vd->btv", hidden, output.astype(hidden.dtype))


def logits_backward(error: Array, hidden: Array, output: Array) -> tuple[Array, Array]:
    """The derivative of :func:`logits` for error [B, T, V]: d_hidden [B, T, D], d_output [V, D]."""
    d_hidden = jnp.einsum("btv,vd->btd", error, output.astype(hidden.dtype))
    return d_hidden, jnp.einsum("btv,btd->vd", error, hidden)
