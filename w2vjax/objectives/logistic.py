"""The logistic loss of a score against a label in {0, 1}: the loss of negative sampling and of
hierarchical softmax.

    loss = weight * (softplus(s) - label * s)          d loss / d s = weight * (sigmoid(s) - label)

For label 1 that is -log sigmoid(s), for label 0 -log sigmoid(-s), exact for both, at any size of s
(no table, no clipping at 6). Mikolov et al., "Distributed Representations of Words and Phrases and
their Compositionality", 2013.
"""

import jax
import jax.numpy as jnp

from w2vjax.objectives.bounds import A, B
from w2vjax.objectives.scores import score, score_backward, score_bound
from w2vjax.types import Backward, Bounded, Rows, Targets


def logistic(scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted logistic losses, elementwise, in the dtype of the scores.

    >>> import jax.numpy as jnp
    >>> print(logistic(jnp.asarray([0.0, 1e4, -1e4]), jnp.asarray([1.0, 1.0, 1.0]), jnp.ones(3)).round(4))
    [6.931e-01 0.000e+00 1.000e+04]
    """
    return weights.astype(scores.dtype) * (
        jax.nn.softplus(scores) - labels.astype(scores.dtype) * scores
    )


def sigmoid(scores: jax.Array) -> jax.Array:
    """1 / (1 + exp(-s)) as a hyperbolic tangent, which XLA vectorises on a CPU where it does not
    vectorise exp.

    Absolute error at most one rounding of 1, which ``sigmoid(s) - 1`` has in any spelling; digits
    of tails below that are given up.

    >>> import jax.numpy as jnp
    >>> print(sigmoid(jnp.asarray([-1e4, 0.0, 1e4])))
    [0.  0.5 1. ]
    """
    half = jnp.asarray(0.5, scores.dtype)
    return half + half * jnp.tanh(half * scores)


def logistic_backward(scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """The derivative of :func:`logistic` by the scores, called ``error`` everywhere."""
    return weights.astype(scores.dtype) * (sigmoid(scores) - labels.astype(scores.dtype))


def logistic_rows_loss(hidden: jax.Array, output: jax.Array, targets: Targets) -> jax.Array:
    """Sum of the logistic losses over the rows that ``targets`` name: [B, T]."""
    scores = score(hidden, output, targets.ids)
    return logistic(scores, targets.labels, targets.weights).sum(-1)


def logistic_rows_error(hidden: jax.Array, output: jax.Array, targets: Targets) -> jax.Array:
    """d loss / d scores [B, T, R], which gradient and bound are made of."""
    return logistic_backward(score(hidden, output, targets.ids), targets.labels, targets.weights)


def logistic_rows_backward(
    hidden: jax.Array, output: jax.Array, targets: Targets
) -> tuple[jax.Array, Rows]:
    """The gradient of the sum of :func:`logistic_rows_loss`: d_hidden [B, T, D] and output Rows
    [B*R, D].
    """
    error = logistic_rows_error(hidden, output, targets)
    return score_backward(error, hidden, output, targets.ids)


def logistic_rows_bounded(
    backward: Backward,
    hidden: jax.Array,
    output: jax.Array,
    targets: Targets,
    a: float = A,
    b: float = B,
) -> Bounded:
    """The gradient by ``backward``, :func:`logistic_rows_backward`, with the bounds of hidden [B,
    T] and rows [B*R].
    """
    error = jnp.abs(logistic_rows_error(hidden, output, targets))
    of_hidden, of_rows = score_bound(error, hidden, output[targets.ids].astype(hidden.dtype), a, b)
    return *backward(hidden, output, targets), of_hidden, of_rows.reshape(-1)
