"""Noise-contrastive estimation: logistic in score - log(num_negatives * q(word)).

Source: Gutmann and Hyvarinen, 2010.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import w2vjax as w2v
from w2vjax.objectives.logistic import logistic, logistic_backward
from w2vjax.objectives.scores import score, score_backward


class NceTargets(NamedTuple):
    # [B, R] positives, then negatives; labels and weights [B, T, R] as in w2v.Targets
    ids: jax.Array
    labels: jax.Array
    weights: jax.Array
    shift: jax.Array  # [B, 1, R] log(num_negatives * q)


def nce(num_negatives: int = 5, exponent: float = 0.75) -> w2v.Objective:
    sampling = w2v.negative_sampling(num_negatives, exponent)

    def init(counts: Any) -> Any:
        noise = jnp.asarray(counts, float) ** exponent
        return sampling.init(counts), jnp.log(num_negatives * noise / noise.sum())

    def draw(key: jax.Array, tables: Any, shape: tuple[int, ...]) -> jax.Array:
        return sampling.draw(key, tables[0], shape)

    def select(draws: jax.Array, tables: Any, words: jax.Array, weights: jax.Array) -> NceTargets:
        rows = sampling.select(draws, tables[0], words, weights)
        return NceTargets(*rows, tables[1].astype(weights.dtype)[rows.ids][:, None])

    def loss(hidden: jax.Array, output: jax.Array, targets: NceTargets) -> jax.Array:
        scores = score(hidden, output, targets.ids) - targets.shift
        return logistic(scores, targets.labels, targets.weights).sum(-1)

    def backward(
        hidden: jax.Array, output: jax.Array, targets: NceTargets
    ) -> tuple[jax.Array, w2v.Rows]:
        scores = score(hidden, output, targets.ids) - targets.shift
        error = logistic_backward(scores, targets.labels, targets.weights)
        return score_backward(error, hidden, output, targets.ids)

    return w2v.Objective(init, select, loss, backward, draw)
