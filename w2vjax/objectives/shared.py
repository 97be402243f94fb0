"""Negative sampling with negatives shared by a run of blocks, in the form that trains fastest on a
CPU.

The same loss as ``negative_sampling(num_negatives, exponent, shared=K)`` of
:mod:`w2vjax.objectives.negative`, which is the clear form and the oracle: for the same negatives
both give the same gradient. There, negative k weighs num_negatives / K * sum_p w[t, p] * [id_k !=
id_p], a product over t, k and p. Here every negative weighs n[t] = sum_p w[t, p], and what that
counts too much is taken back at the positives, whose scores are the same numbers because the rows are the same::

    c[p]    = num_negatives / K * #{k: id_k = id_p}
    loss[t] = sum_p w[t, p] * ((1 - c[p]) * softplus(s_p) - s_p)  +  num_negatives / K * n[t] *
    sum_k softplus(s_k)

    d loss / d s_p = w[t, p] * ((1 - c[p]) * sigmoid(s_p) - 1)
    d loss / d s_k = num_negatives / K * n[t] * sigmoid(s_k)

Counting needs K * P comparisons a block where the product needs T * K * P multiplications. And
because positives and negatives no longer meet, S neighbouring blocks can share K negatives: short
blocks waste little on words outside the window, while many negatives, each scored against S * T
hidden vectors, keep the noise diverse. Legend: S ``span``.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from w2vjax.errors import SettingError
from w2vjax.lazy import kept
from w2vjax.objectives.bounds import A, B, stiffness
from w2vjax.objectives.logistic import sigmoid
from w2vjax.objectives.negative import Alias, draw, negative_sampling
from w2vjax.objectives.scores import score
from w2vjax.types import Backward, Bounded, Objective, Rows


class SharedTargets(NamedTuple):
    """P positives of each block, and K negatives of each span of S blocks."""

    words: jax.Array  # [B, P] int32
    negatives: jax.Array  # [B/S, K] int32
    weights: jax.Array  # [B, T, P] w
    kept: jax.Array  # [B, P] 1 - c
    scale: jax.Array  # [B, 1] num_negatives / K

    @property
    def ids(self) -> jax.Array:
        """[B, P + K] the rows that each block is scored with, positives first."""
        return jnp.concatenate(
            [self.words, jnp.repeat(self.negatives, blocks_of_a_span(self), 0)], 1
        )


def blocks_of_a_span(targets: SharedTargets) -> int:
    """S, how many neighbouring blocks share their negatives."""
    return targets.words.shape[0] // max(targets.negatives.shape[0], 1)


def in_spans(blocks: jax.Array, targets: SharedTargets) -> jax.Array:
    """Hidden vectors [B, T, D] (or anything of B blocks of T) as [B/S, S*T, D]."""
    spans = targets.negatives.shape[0]
    return blocks.reshape(
        spans, blocks.shape[0] * blocks.shape[1] // max(spans, 1), *blocks.shape[2:]
    )


def shared_loss(hidden: jax.Array, output: jax.Array, targets: SharedTargets) -> jax.Array:
    """The loss of each hidden vector, [B, T]."""
    positive = score(hidden, output, targets.words)  # [B, T, P]
    negative = score(in_spans(hidden, targets), output, targets.negatives)  # [B/S, S*T, K]
    w, kept = targets.weights.astype(hidden.dtype), targets.kept.astype(hidden.dtype)
    of_positives = (w * (kept[:, None] * jax.nn.softplus(positive) - positive)).sum(-1)
    of_negatives = jax.nn.softplus(negative).sum(-1).reshape(hidden.shape[:2])
    return of_positives + targets.scale.astype(hidden.dtype) * w.sum(-1) * of_negatives


def shared_errors(
    hidden: jax.Array, output: jax.Array, targets: SharedTargets
) -> tuple[jax.Array, jax.Array]:
    """d loss / d scores of the positives [B, P, T], which are <= 0, and of the negatives [B/S, K,
    S*T], >= 0.

    Scores have rows before hidden vectors: of the two factors of a product by a transpose, XLA's
    CPU library has to turn the second, and hidden is the smaller.
    """
    w, kept = targets.weights.astype(hidden.dtype), targets.kept.astype(hidden.dtype)
    # summed before the transposition: the compiler adds them up once
    # [B/S, 1, S*T]
    share = in_spans(targets.scale.astype(hidden.dtype) * w.sum(-1), targets)[:, None]
    words, noise = (
        output[targets.words].astype(hidden.dtype),
        output[targets.negatives].astype(hidden.dtype),
    )
    positive = sigmoid(jnp.einsum("brd,btd->brt", words, hidden))
    negative = sigmoid(jnp.einsum("brd,btd->brt", noise, in_spans(hidden, targets)))
    error: tuple[jax.Array, jax.Array] = jax.lax.optimization_barrier(
        (
            w.swapaxes(1, 2) * (kept[..., None] * positive - jnp.ones((), hidden.dtype)),
            share * negative,
        )
    )
    return error


def shared_backward(
    hidden: jax.Array, output: jax.Array, targets: SharedTargets
) -> tuple[jax.Array, Rows]:
    """The gradient of the sum of :func:`shared_loss`: d_hidden [B, T, D] and Rows [B*P + B/S*K, D],
    positives first.
    """
    positive, negative = shared_errors(hidden, output, targets)
    words, noise = (
        output[targets.words].astype(hidden.dtype),
        output[targets.negatives].astype(hidden.dtype),
    )
    d_hidden, d_words = product_backward(positive, words, hidden)
    d_spans, d_noise = product_backward(negative, noise, in_spans(hidden, targets))
    dim = hidden.shape[-1]
    ids = jnp.concatenate([targets.words.reshape(-1), targets.negatives.reshape(-1)])
    values = jnp.concatenate([d_words.reshape(-1, dim), d_noise.reshape(-1, dim)])
    return d_hidden + d_spans.reshape(hidden.shape), Rows(ids, values)


def product_backward(
    error: jax.Array, rows: jax.Array, hidden: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(d_hidden [B, T, D], d_rows [B, R, D]) for error [B, R, T], turned in memory once.

    The barrier keeps the compiler from folding the turning into a product at half the speed.
    """
    turned = jax.lax.optimization_barrier(error.swapaxes(1, 2))
    return jnp.einsum("btr,brd->btd", turned, rows), jnp.einsum("brt,btd->brd", error, hidden)


def shared_bounded(
    backward: Backward,
    hidden: jax.Array,
    output: jax.Array,
    targets: SharedTargets,
    a: float = A,
    b: float = B,
) -> Bounded:
    """The gradient by ``backward``, :func:`shared_backward`, with the bounds of hidden [B, T] and
    of its rows.

    The signs of the errors are known. A curvature w * |1 - c| * sigma' is at most |error| = w * (1
    - (1 - c) * sigma).
    """
    positive, negative = shared_errors(hidden, output, targets)
    words, noise = (
        output[targets.words].astype(hidden.dtype),
        output[targets.negatives].astype(hidden.dtype),
    )
    of_hidden = stiffness(hidden, a, b)
    of_words = -jnp.einsum("brt,bt->br", positive, of_hidden)
    of_noise = jnp.einsum("brt,bt->br", negative, in_spans(of_hidden, targets))
    by_noise = jnp.einsum("brt,br->bt", negative, stiffness(noise, a, b)).reshape(of_hidden.shape)
    of_hidden = by_noise - jnp.einsum("brt,br->bt", positive, stiffness(words, a, b))
    of_rows = jnp.concatenate([of_words.reshape(-1), of_noise.reshape(-1)])
    return *backward(hidden, output, targets), of_hidden, of_rows


@kept
def shared_negatives(
    num_negatives: int = 5, exponent: float = 0.75, shared: int = 48, span: int = 3
) -> Objective:
    """Skip-gram or CBOW with negative sampling, K = ``shared`` negatives for every ``span``
    neighbouring blocks.

    Where a batch's blocks are no multiple of ``span``, their greatest common divisor is used.

    >>> objective, clear = shared_negatives(2, shared=3, span=1), negative_sampling(2, shared=3)
    >>> tables, words = clear.init([5, 3, 2]), jnp.asarray([[1, 0]])
    >>> draws = clear.draw(jax.random.key(0), tables, (1,))
    >>> mine, other = (o.select(draws, tables, words, jnp.ones((1, 1, 2))) for o in (objective, clear))
    >>> hidden, output = jnp.ones((1, 1, 2)), jnp.ones((3, 2))
    >>> bool(jnp.allclose(objective.loss(hidden, output, mine), clear.loss(hidden, output, other)))
    True
    """
    clear = negative_sampling(num_negatives, exponent, shared)
    if span < 1:
        raise SettingError(f"span={span} blocks cannot share negatives. Use at least 1.")

    def draw_shared(key: jax.Array, tables: Alias, shape: tuple[int, ...]) -> jax.Array:
        *steps, blocks = shape
        return draw(key, tables, (*steps, blocks // math.gcd(span, blocks), shared))

    def select(
        negatives: jax.Array, tables: Alias, words: jax.Array, weights: jax.Array
    ) -> SharedTargets:
        del tables
        of_block = jnp.repeat(negatives, words.shape[0] // max(negatives.shape[0], 1), 0)  # [B, K]
        repeats = (words[:, :, None] == of_block[:, None, :]).sum(-1).astype(weights.dtype)
        scale = jnp.full((words.shape[0], 1), num_negatives / shared, weights.dtype)
        return SharedTargets(words, negatives, weights, 1 - scale * repeats, scale)

    return Objective(
        clear.init,
        select,
        shared_loss,
        shared_backward,
        draw_shared,
        shared_bounded,
        sharing=blocks_of_a_span,
        ahead=True,
    )
