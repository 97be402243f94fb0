"""Negative sampling with negatives shared by neighbouring blocks: the fastest form on a CPU.

The loss is that of ``negative_sampling(num_negatives, exponent, shared=K)`` in
:mod:`w2vjax.objectives.negative`, the clear form. For the same negatives both have the same
gradient. There, negative k weighs num_negatives / K * sum_p w[t, p] * [id_k != id_p], a product
over t, k and p. Here every negative weighs n[t] = sum_p w[t, p]. That is too much where a negative
and positive p are one word. The positive has the same row and the same score there, so the surplus
is subtracted from its weight::

    c[p]    = num_negatives / K * #{k: id_k = id_p}
    loss[t] = sum_p w[t, p] * ((1 - c[p]) * softplus(s_p) - s_p)
              + num_negatives / K * n[t] * sum_k softplus(s_k)

    d loss / d s_p = w[t, p] * ((1 - c[p]) * sigmoid(s_p) - 1)
    d loss / d s_k = num_negatives / K * n[t] * sigmoid(s_k)

Counting takes K * P comparisons a block; the product takes T * K * P multiplications. Positives and
negatives no longer meet in one product, so S (``span``) neighbouring blocks can share K negatives.
Short blocks waste little on words outside the window, and many negatives, each scored against S * T
hidden vectors, keep the noise diverse.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from w2vjax.errors import whole_number
from w2vjax.lazy import cached
from w2vjax.objectives.bounds import A, B, stiffness
from w2vjax.objectives.logistic import sigmoid
from w2vjax.objectives.negative import Alias, draw, negative_sampling
from w2vjax.objectives.scores import score
from w2vjax.types import Backward, Bounded, Objective, Rows


class SharedTargets(NamedTuple):
    """P positives of each block, and K negatives of each span of S blocks.

    Attributes:
        words: [B, P] int32, the positives.
        negatives: [B/S, K] int32.
        weights: [B, T, P] w.
        kept: [B, P] 1 - c.
        scale: [B, 1] num_negatives / K.
    """

    words: Array
    negatives: Array
    weights: Array
    kept: Array
    scale: Array

    @property
    def ids(self) -> Array:
        """[B, P + K] the rows that are scored for each block, positives first."""
        negatives = jnp.repeat(self.negatives, blocks_of_a_span(self), 0)
        return jnp.concatenate([self.words, negatives], 1)


def blocks_of_a_span(targets: SharedTargets) -> int:
    """S, the number of neighbouring blocks that share negatives."""
    return targets.words.shape[0] // max(targets.negatives.shape[0], 1)


def in_spans(blocks: Array, targets: SharedTargets) -> Array:
    """Hidden vectors [B, T, D], or any [B, T, ...], as [B/S, S*T, ...]."""
    spans = targets.negatives.shape[0]
    rows = blocks.shape[0] * blocks.shape[1] // max(spans, 1)
    return blocks.reshape(spans, rows, *blocks.shape[2:])


def weights_of_negatives(weights: Array, targets: SharedTargets) -> Array:
    """num_negatives / K * n of each hidden vector, [B/S, S*T], from its weights w [B, T, P]."""
    return in_spans(targets.scale.astype(weights.dtype) * weights.sum(-1), targets)


def in_one(words: Array, negatives: Array) -> Array:
    """An array [B, P, ...] of the positives, then one [B/S, K, ...] of the negatives, as rows."""
    return jnp.concatenate([each.reshape(-1, *each.shape[2:]) for each in (words, negatives)])


def scored_rows(targets: SharedTargets, output: Array, hidden: Array) -> tuple[Array, Array]:
    """The rows of the positives [B, P, D] and of the negatives [B/S, K, D], as wide as hidden."""
    words, negatives = output[targets.words], output[targets.negatives]
    return words.astype(hidden.dtype), negatives.astype(hidden.dtype)


def shared_loss(hidden: Array, output: Array, targets: SharedTargets) -> Array:
    """The loss of each hidden vector, [B, T]."""
    positive = score(hidden, output, targets.words)  # [B, T, P]
    negative = score(in_spans(hidden, targets), output, targets.negatives)  # [B/S, S*T, K]
    w, kept = targets.weights.astype(hidden.dtype), targets.kept.astype(hidden.dtype)
    of_positives = (w * (kept[:, None] * jax.nn.softplus(positive) - positive)).sum(-1)
    of_negatives = jax.nn.softplus(negative).sum(-1).reshape(hidden.shape[:2])
    return of_positives + targets.scale.astype(hidden.dtype) * w.sum(-1) * of_negatives


def shared_errors(hidden: Array, output: Array, targets: SharedTargets) -> tuple[Array, Array]:
    """d loss / d scores of positives [B, P, T], at most 0, and negatives [B/S, K, S*T], at least 0.

    Scores have rows before hidden vectors. XLA's CPU library transposes the second factor of such a
    product, and hidden is the smaller one.
    """
    w, kept = targets.weights.astype(hidden.dtype), targets.kept.astype(hidden.dtype)
    # [B/S, 1, S*T], summed before the transposition, so that the compiler adds them up once
    share = weights_of_negatives(w, targets)[:, None]
    words, noise = scored_rows(targets, output, hidden)
    positive = sigmoid(jnp.einsum("brd,btd->brt", words, hidden))
    negative = sigmoid(jnp.einsum("brd,btd->brt", noise, in_spans(hidden, targets)))
    of_words = w.swapaxes(1, 2) * (kept[..., None] * positive - jnp.ones((), hidden.dtype))
    error: tuple[Array, Array] = jax.lax.optimization_barrier((of_words, share * negative))
    return error


def shared_backward(hidden: Array, output: Array, targets: SharedTargets) -> tuple[Array, Rows]:
    """The gradient of :func:`shared_loss`, summed: d_hidden [B, T, D] and Rows [B*P + B/S*K, D]."""
    positive, negative = shared_errors(hidden, output, targets)
    words, noise = scored_rows(targets, output, hidden)
    d_hidden, d_words = product_backward(positive, words, hidden)
    d_spans, d_noise = product_backward(negative, noise, in_spans(hidden, targets))
    rows = Rows(in_one(targets.words, targets.negatives), in_one(d_words, d_noise))
    return d_hidden + d_spans.reshape(hidden.shape), rows


def product_backward(error: Array, rows: Array, hidden: Array) -> tuple[Array, Array]:
    """(d_hidden [B, T, D], d_rows [B, R, D]) for error [B, R, T], transposed in memory once.

    Without the barrier the compiler puts the transposition into a product, at half the speed.
    """
    turned = jax.lax.optimization_barrier(error.swapaxes(1, 2))
    return jnp.einsum("btr,brd->btd", turned, rows), jnp.einsum("brt,btd->brd", error, hidden)


def shared_bounded(
    backward: Backward,
    hidden: Array,
    output: Array,
    targets: SharedTargets,
    a: float = A,
    b: float = B,
) -> Bounded:
    """The gradient by :func:`shared_backward`, with the bounds of hidden [B, T] and of its rows.

    The signs of the errors are known. A curvature w * |1 - c| * sigma' is at most
    |error| = w * (1 - (1 - c) * sigma).
    """
    positive, negative = shared_errors(hidden, output, targets)
    words, noise = scored_rows(targets, output, hidden)
    of_hidden = stiffness(hidden, a, b)
    of_words = -jnp.einsum("brt,bt->br", positive, of_hidden)
    of_noise = jnp.einsum("brt,bt->br", negative, in_spans(of_hidden, targets))
    by_noise = jnp.einsum("brt,br->bt", negative, stiffness(noise, a, b)).reshape(of_hidden.shape)
    of_hidden = by_noise - jnp.einsum("brt,br->bt", positive, stiffness(words, a, b))
    return *backward(hidden, output, targets), of_hidden, in_one(of_words, of_noise)


@cached
def shared_negatives(
    num_negatives: int = 5, exponent: float = 0.75, shared: int = 48, span: int = 3
) -> Objective:
    """Skip-gram or CBOW with negative sampling, and negatives shared by neighbouring blocks.

    Args:
        num_negatives: negatives that each positive counts, on average.
        exponent: of the counts that the noise follows.
        shared: K, the negatives drawn for a span.
        span: S, the blocks that share them. Where the blocks of a batch are no multiple of it, the
            greatest common divisor is used.

    Returns:
        An objective with :class:`SharedTargets`. Its ``init`` is that of ``negative_sampling``.

    Raises:
        SettingError: a number is not a whole number of at least 1, or the exponent is not finite.

    >>> objective, clear = shared_negatives(2, shared=3, span=1), negative_sampling(2, shared=3)
    >>> tables, words = clear.init([5, 3, 2]), jnp.asarray([[1, 0]])
    >>> draws, weights = clear.draw(jax.random.key(0), tables, (1,)), jnp.ones((1, 1, 2))
    >>> mine, other = (each.select(draws, tables, words, weights) for each in (objective, clear))
    >>> hidden, output = jnp.ones((1, 1, 2)), jnp.ones((3, 2))
    >>> bool(jnp.allclose(objective.loss(hidden, output, mine), clear.loss(hidden, output, other)))
    True
    """
    clear = negative_sampling(num_negatives, exponent, shared)
    whole_number("span", span)
    return Objective(
        clear.init,
        partial(_select, num_negatives),
        *(shared_loss, shared_backward),
        partial(_draw_shared, shared, span),
        shared_bounded,
        sharing=blocks_of_a_span,
        ahead=True,
    )


def _draw_shared(
    number: int, span: int, key: Array, tables: Alias, shape: tuple[int, ...]
) -> Array:
    *steps, blocks = shape
    return draw(key, tables, (*steps, blocks // math.gcd(span, blocks), number))


def _select(number: int, negatives: Array, _: Alias, words: Array, weights: Array) -> SharedTargets:
    of_block = jnp.repeat(negatives, words.shape[0] // max(negatives.shape[0], 1), 0)  # [B, K]
    repeats = (words[:, :, None] == of_block[:, None, :]).sum(-1).astype(weights.dtype)
    scale = jnp.full((words.shape[0], 1), number / negatives.shape[1], weights.dtype)
    return SharedTargets(words, negatives, weights, 1 - scale * repeats, scale)
