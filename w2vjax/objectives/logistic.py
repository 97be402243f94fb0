"""The logistic loss of negative sampling and of hierarchical softmax: a score against a label.

    loss = weight * (softplus(s) - label * s)          d loss / d s = weight * (sigmoid(s) - label)

For label 1 that is -log sigmoid(s), for label 0 -log sigmoid(-s). Both are exact at any size of s:
there is no table and no clipping at 6. Mikolov et al., "Distributed Representations of Words and
Phrases and their Compositionality", 2013.
"""

import jax
import jax.numpy as jnp
from jax import Array

from w2vjax.objectives.bounds import A, B
from w2vjax.objectives.scores import score, score_backward, score_bound
from w2vjax.types import Backward, Bounded, Rows, Targets


def logistic(scores: Array, labels: Array, weights: Array) -> Array:
    """Weighted logistic losses, elementwise, in the dtype of the scores.

    >>> print(logistic(jnp.asarray([0.0, 1e4, -1e4]), jnp.ones(3), jnp.ones(3)).round(4))
    [6.931e-01 0.000e+00 1.000e+04]
    """
    return weights.astype(scores.dtype) * (
        jax.nn.softplus(scores) - labels.astype(scores.dtype) * scores
    )


def sigmoid(scores: Array) -> Array:
    """1 / (1 + exp(-s)) as a hyperbolic tangent, which XLA vectorises on a CPU, unlike exp.

    The absolute error is at most one rounding of 1, which ``sigmoid(s) - 1`` has in any form. The
    digits of smaller tails are lost.

    >>> print(sigmoid(jnp.asarray([-1e4, 0.0, 1e4])))
    [0.  0.5 1. ]
    """
    half = jnp.asarray(0.5, scores.dtype)
    return half + half * jnp.tanh(half * scores)


def logistic_backward(scores: Array, labels: Array, weights: Array) -> Array:
    """The derivative of :func:`logistic` by the scores, which the package calls ``error``.

    >>> logistic_backward(jnp.zeros(2), jnp.asarray([1.0, 0.0]), jnp.ones(2)).tolist()
    [-0.5, 0.5]
    """
    return weights.astype(scores.dtype) * (sigmoid(scores) - labels.astype(scores.dtype))


def logistic_rows_loss(hidden: Array, output: Array, targets: Targets) -> Array:
    """Logistic losses summed over the rows of the targets, for s[t, r] = hidden[t] . output[id_r].

        loss[t] = sum_r weights[t, r] * (softplus(s[t, r]) - labels[t, r] * s[t, r])

    Args:
        hidden: [B, T, D].
        output: [V, D].
        targets: R rows of each group.

    Returns:
        Losses [B, T], in nats.

    >>> targets = Targets(jnp.asarray([[2, 0]]), jnp.asarray([[[1.0, 0.0]]]), jnp.ones((1, 1, 2)))
    >>> print(logistic_rows_loss(jnp.ones((1, 1, 3)), jnp.zeros((4, 3)), targets).round(4))  # log 4
    [[1.3863]]
    """
    scores = score(hidden, output, targets.ids)
    return logistic(scores, targets.labels, targets.weights).sum(-1)


def logistic_rows_error(hidden: Array, output: Array, targets: Targets) -> Array:
    """d loss / d scores [B, T, R], of which gradient and bound are made."""
    return logistic_backward(score(hidden, output, targets.ids), targets.labels, targets.weights)


def logistic_rows_backward(hidden: Array, output: Array, targets: Targets) -> tuple[Array, Rows]:
    """The gradient of the sum of :func:`logistic_rows_loss`.

        error[t, r] = weights[t, r] * (sigmoid(s[t, r]) - labels[t, r])
        d_hidden[t] = sum_r error[t, r] * output[id_r]     d_row[r] = sum_t error[t, r] * hidden[t]

    Args:
        hidden, output, targets: as in :func:`logistic_rows_loss`.

    Returns:
        d_hidden [B, T, D] and Rows with ids [B*R] and values [B*R, D].

    >>> targets = Targets(jnp.asarray([[2, 0]]), jnp.asarray([[[1.0, 0.0]]]), jnp.ones((1, 1, 2)))
    >>> logistic_rows_backward(jnp.ones((1, 1, 1)), jnp.zeros((4, 1)), targets)[1].values.tolist()
    [[-0.5], [0.5]]
    """
    error = logistic_rows_error(hidden, output, targets)
    return score_backward(error, hidden, output, targets.ids)


def logistic_rows_bounded(
    backward: Backward, hidden: Array, output: Array, targets: Targets, a: float = A, b: float = B
) -> Bounded:
    """The gradient by :func:`logistic_rows_backward`, with bounds of hidden [B, T], rows [B*R]."""
    error = jnp.abs(logistic_rows_error(hidden, output, targets))
    of_hidden, of_rows = score_bound(error, hidden, output[targets.ids].astype(hidden.dtype), a, b)
    return *backward(hidden, output, targets), of_hidden, of_rows.reshape(-1)
