"""Full softmax over the vocabulary: dense, and chunked with memory that does not grow with V.

    loss[t] = sum_p w[t, p] * (logsumexp(logits[t]) - logits[t, p])
    d loss / d logits[t] = sum_p w[t, p] * (softmax(logits[t]) - onehot(p))

The chunked form adds up the log-sum-exp over slices of the output table, and computes the logits
again in the backward. This is the idea of FlashAttention (Dao et al. 2022) for a vocabulary. It
takes O(B T chunk) memory, and four matrix products instead of three.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from w2vjax.errors import whole_number
from w2vjax.lazy import cached
from w2vjax.objectives.bounds import A, B, stiffness
from w2vjax.objectives.scores import logits as all_logits
from w2vjax.objectives.scores import logits_backward, score, score_bound
from w2vjax.types import Backward, Bounded, Draws, Objective, Rows, Tables

Pair = tuple[Array, Array]
Carry = TypeVar("Carry")


class SoftmaxTargets(NamedTuple):
    """Targets of the full softmax: the positives.

    Attributes:
        ids: [B, P] int32.
        weights: [B, T, P].
    """

    ids: Array
    weights: Array


class Total(NamedTuple):
    """logsumexp in two parts, top + log(total).

    Their sum in float32 would lose the digits of the logarithm at logits of 1e4.

    Attributes:
        top: [B, T] the largest logit, a constant for derivatives; where all logits are -inf, the
            lowest finite number.
        total: [B, T] sum of exp(logits - top).
    """

    top: Array
    total: Array


def add_logits(so_far: Total, logits: Array) -> Total:
    """The total with more logits [B, T, any number]; it is rescaled if they raise the top."""
    top = jnp.maximum(so_far.top, jax.lax.stop_gradient(logits).max(-1))
    total = so_far.total * jnp.exp(so_far.top - top) + jnp.exp(logits - top[..., None]).sum(-1)
    return Total(top, total)


def no_logits(hidden: Array) -> Total:
    """The total of no logits, for hidden [B, T, D]. Its top is finite: -inf less -inf is NaN."""
    lowest = jnp.full(hidden.shape[:2], float(np.finfo(hidden.dtype).min), hidden.dtype)
    return Total(lowest, jnp.zeros_like(lowest))


def softmax_loss(total: Total, picked: Array, weights: Array) -> Array:
    """sum_p w[t, p] * (logsumexp[t] - picked[t, p]), [B, T].

    Args:
        total: of all logits.
        picked: [B, T, P], the logits of the positives.
        weights: [B, T, P]. A weight of 0 gives 0, even at infinite logits.
    """
    losses = (total.top[..., None] - picked) + jnp.log(total.total)[..., None]
    weights = weights.astype(picked.dtype)
    return (weights * jnp.where(weights != 0, losses, jnp.zeros_like(losses))).sum(-1)


def softmax_backward(logits: Array, total: Total, ids: Array, weights: Array) -> Array:
    """error = d loss / d logits, in the shape of the logits.

    The one-hot is subtracted here, before any product. This keeps a saturated softmax exact:
    probability 1 less one-hot 1 is 0.

    Args:
        logits: [B, T, N], any N consecutive words.
        total: of all logits.
        ids: [B, P], counted from the first of these words; others are ignored.
        weights: [B, T, P].
    """
    weights = weights.astype(logits.dtype)
    # the total is 0 where all logits are -inf
    tiny = jnp.asarray(np.finfo(logits.dtype).tiny, logits.dtype)
    scale = weights.sum(-1) / jnp.maximum(total.total, tiny)
    error = scale[..., None] * jnp.exp(logits - total.top[..., None])
    group = jnp.arange(ids.shape[0], dtype=jnp.int32)[:, None, None]
    hidden = jnp.arange(weights.shape[1], dtype=jnp.int32)[None, :, None]
    # an id before these words is negative: drop it, and do not count it from the end
    at = error.at[group, hidden, ids[:, None, :]]
    return at.add(-weights, mode="drop", wrap_negative_indices=False)


def dense_loss(hidden: Array, output: Array, targets: SoftmaxTargets) -> Array:
    """Cross-entropy over all V words, [B, T]."""
    logits = all_logits(hidden, output)
    ids = jnp.broadcast_to(targets.ids[:, None], targets.weights.shape)
    picked = jnp.take_along_axis(logits, ids, -1)
    return softmax_loss(add_logits(no_logits(hidden), logits), picked, targets.weights)


def dense_backward(hidden: Array, output: Array, targets: SoftmaxTargets) -> tuple[Array, Array]:
    """The gradient of :func:`dense_loss`, summed: d_hidden [B, T, D] and d_output [V, D]."""
    logits = all_logits(hidden, output)
    total = add_logits(no_logits(hidden), logits)
    error = softmax_backward(logits, total, targets.ids, targets.weights)
    return logits_backward(error, hidden, output)


def fold_chunks(
    step: Callable[[Carry, Array, Array], Carry], carry: Carry, output: Array, chunk: int
) -> Carry:
    """step(carry, start, rows [chunk, D]) for all slices of output; the last may be shorter."""
    whole, rest = divmod(output.shape[0], chunk)

    def body(i: Array, carry: Carry) -> Carry:
        start = i * chunk
        return step(carry, start, jax.lax.dynamic_slice_in_dim(output, start, chunk))

    if whole:
        carry = jax.lax.fori_loop(0, whole, body, carry)
    return step(carry, jnp.int32(whole * chunk), output[whole * chunk :]) if rest else carry


def chunked_total(hidden: Array, output: Array, chunk: int) -> Total:
    """The total of all V logits, in one pass over the vocabulary."""

    def step(total: Total, start: Array, rows: Array) -> Total:
        del start
        return add_logits(total, all_logits(hidden, rows))

    return fold_chunks(step, no_logits(hidden), output, chunk)


def chunked_loss(hidden: Array, output: Array, targets: SoftmaxTargets, chunk: int) -> Array:
    """:func:`dense_loss` with ``chunk`` words of the vocabulary in memory at a time, [B, T]."""
    picked = score(hidden, output, targets.ids)
    return softmax_loss(chunked_total(hidden, output, chunk), picked, targets.weights)


def chunked_backward(
    hidden: Array, output: Array, targets: SoftmaxTargets, chunk: int
) -> tuple[Array, Array]:
    """The gradient of :func:`chunked_loss`, summed: d_hidden [B, T, D] and d_output [V, D]."""
    total = chunked_total(hidden, output, chunk)

    def step(carry: Pair, start: Array, rows: Array) -> Pair:
        d_hidden, d_output = carry
        logits, ids = all_logits(hidden, rows), targets.ids - start
        error = softmax_backward(logits, total, ids, targets.weights)
        d_part, d_rows = logits_backward(error, hidden, rows)
        return d_hidden + d_part, jax.lax.dynamic_update_slice_in_dim(d_output, d_rows, start, 0)

    empty = jnp.zeros_like(hidden), jnp.zeros(output.shape, hidden.dtype)
    return fold_chunks(step, empty, output, chunk)


def widened(hidden: Array, output: Array, a: float, b: float) -> tuple[Array, Array]:
    """Vectors of D + 2 numbers with the same logits; two columns of their gradient are bounds.

        hidden' = [hidden, 0, stiffness(hidden)]         output' = [output, stiffness(output), 0]

        d_hidden' = error @ output'      column D:     sum_v error[t, v] * stiffness(o_v)
        d_output' = error.T @ hidden'    column D + 1: sum_t error[t, v] * stiffness(h_t)

    So one loop over the vocabulary makes gradient and bounds. hidden [B, T, D], output [V, D].
    """
    of_hidden, of_output = stiffness(hidden, a, b)[..., None], stiffness(output, a, b)[..., None]
    wide_hidden = jnp.concatenate([hidden, jnp.zeros_like(of_hidden), of_hidden], -1)
    return wide_hidden, jnp.concatenate([output, of_output, jnp.zeros_like(of_output)], -1)


def softmax_bounded(
    backward: Backward,
    hidden: Array,
    output: Array,
    targets: SoftmaxTargets,
    chunk: int | None = None,
    a: float = A,
    b: float = B,
) -> Bounded:
    """The gradient by ``backward``, with the bounds of hidden [B, T] and of all rows [V].

    A bound adds up the absolute errors of each positive alone. Where the positives of one hidden
    vector are as frequent as the model says, their errors cancel, but the curvature does not. With
    n = sum_p w[p] and m[v] the sum of w[p] where p is v, the absolute errors add up to::

        n * p[v] + m[v] * (1 - 2 * p[v]) = error[v] + 2 * m[v] * (1 - p[v])

    Args:
        backward: dense or chunked.
        hidden: [B, T, D].
        output: [V, D].
        targets: the positives.
        chunk: words at a time, None for all.
        a, b: the constants of :func:`~w2vjax.objectives.bounds.stiffness`.
    """
    dim, ids = hidden.shape[-1], targets.ids
    output = output.astype(hidden.dtype)
    wide = widened(hidden, output, a, b)
    d_hidden, d_output = backward(*wide, targets)
    assert not isinstance(d_output, Rows)  # both forms of the backward are dense
    # the compiler sees that backward has made the same total
    total = (
        chunked_total(*wide, chunk) if chunk else add_logits(no_logits(wide[0]), all_logits(*wide))
    )
    tiny = jnp.asarray(np.finfo(hidden.dtype).tiny, hidden.dtype)
    relative = jnp.exp(score(hidden, output, ids) - total.top[..., None])
    share = relative / jnp.maximum(total.total, tiny)[..., None]  # p of each positive, [B, T, P]
    missed = 2 * targets.weights.astype(hidden.dtype) * (1 - share)
    of_hidden, of_positives = score_bound(missed, hidden, output[ids], a, b)
    of_hidden = d_hidden[..., dim] + of_hidden
    of_rows = add_to_rows(d_output[:, dim + 1], ids.reshape(-1), of_positives.reshape(-1))
    # rounding may leave a number below 0
    bounds = jnp.maximum(of_hidden, 0), jnp.maximum(of_rows, 0)
    return d_hidden[..., :dim], d_output[:, :dim], *bounds


def add_to_rows(bounds: Array, ids: Array, more: Array) -> Array:
    """``bounds`` [V] and ``more`` [N], added to the rows ``ids`` [N]. Equal arguments, equal bits.

    A CPU adds one number after the other. A GPU adds them in any order, and other orders have other
    bits. So it adds up the numbers of a row first, by N * N additions, and each place of the row
    then writes the same sum.

    >>> print(add_to_rows(jnp.asarray([1.0, 2.0]), jnp.asarray([1, 1]), jnp.asarray([10.0, 20.0])))
    [ 1. 32.]
    """

    def one_by_one(bounds: Array, ids: Array, more: Array) -> Array:
        return bounds.at[ids].add(more)

    added: Array = jax.lax.platform_dependent(
        bounds, ids, more, cpu=one_by_one, default=add_sums_to_rows
    )
    return added


def add_sums_to_rows(bounds: Array, ids: Array, more: Array) -> Array:
    """:func:`add_to_rows` on a GPU."""
    sums = jnp.where(ids[:, None] == ids[None], more[None], jnp.zeros_like(more)[None]).sum(1)
    return bounds.at[ids].set(bounds[ids] + sums)


@cached
def softmax(chunk: int | None = None) -> Objective:
    """Skip-gram or CBOW with the exact softmax over V words.

    Args:
        chunk: words at a time; None takes all at once.

    Returns:
        An objective that draws nothing and has no tables.

    Raises:
        SettingError: chunk is not a whole number of at least 1.

    >>> objective = softmax(chunk=2)
    >>> targets = objective.select((), (), jnp.asarray([[1]]), jnp.ones((1, 1, 1)))
    >>> print(objective.loss(jnp.zeros((1, 1, 4)), jnp.ones((5, 4)), targets))  # log 5
    [[1.609438]]
    """
    if chunk is None:
        dense = dense_loss, dense_backward
        return Objective(no_tables, select_words, *dense, bounded=softmax_bounded)
    chunk = whole_number("chunk", chunk)
    return Objective(
        no_tables,
        select_words,
        partial(chunked_loss, chunk=chunk),
        partial(chunked_backward, chunk=chunk),
        bounded=partial(softmax_bounded, chunk=chunk),
    )


def no_tables(counts: ArrayLike) -> tuple[()]:
    """The exact softmax has no tables."""
    del counts
    return ()


def select_words(draws: Draws, tables: Tables, words: Array, weights: Array) -> SoftmaxTargets:
    """The positives are the targets."""
    del draws, tables
    return SoftmaxTargets(words, weights)
