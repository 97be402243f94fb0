"""The losses once more, pair by pair in plain Python and float64, sharing no line with the package.

A wrong forward would pass a comparison with its own ``jax.grad``; it cannot pass these.
"""

import math
from typing import Any

import numpy as np

from w2vjax.objectives.shared import SharedTargets


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))


def hidden_of(params: Any, batch: Any, b: int, t: int) -> np.ndarray:
    """Mean of the real input words of hidden vector (b, t): words of its own or of its group."""
    # the place among the inputs, whose groups may be larger than those of the positives
    b, t = divmod(b * batch.weights.shape[1] + t, batch.inputs.weights.shape[1])
    ids, weights = np.asarray(batch.inputs.ids)[b], np.asarray(batch.inputs.weights)[b, t]
    ids = ids[t] if len(ids) > 1 else ids[0]
    real = [
        np.asarray(params.input, np.float64)[i] for i, w in zip(ids, weights, strict=True) if w != 0
    ]
    return np.mean(real, axis=0) if real else np.zeros(np.asarray(params.input).shape[1])


def positives(batch: Any) -> Any:
    """(b, t, p, word, weight) of every positive that weighs anything."""
    words, weights = np.asarray(batch.words), np.asarray(batch.weights)
    for b, t, p in zip(*np.nonzero(weights), strict=True):
        yield int(b), int(t), int(p), int(words[b, p]), float(weights[b, t, p])


def negatives_of(batch: Any, targets: Any) -> np.ndarray:
    """The words [B, K] drawn for each group."""
    if isinstance(targets, SharedTargets):
        return np.asarray(targets.negatives).repeat(len(batch.words) // len(targets.negatives), 0)
    return np.asarray(targets.ids)[:, np.asarray(batch.words).shape[1] :]


def softmax_loss(params: Any, batch: Any, targets: Any, tables: Any) -> float:
    output, total = np.asarray(params.output, np.float64), 0.0
    for b, t, _, word, weight in positives(batch):
        logits = [float(row @ hidden_of(params, batch, b, t)) for row in output]
        top = max(logits)
        total += weight * (
            top + math.log(math.fsum(math.exp(z - top) for z in logits)) - logits[word]
        )
    return total


def negative_sampling_loss(
    params: Any, batch: Any, targets: Any, tables: Any, num_negatives: int = 5
) -> float:
    """Each positive against the drawn negatives that differ from it, num_negatives / K each."""
    output, total = np.asarray(params.output, np.float64), 0.0
    drawn = negatives_of(batch, targets)
    for b, t, _, word, weight in positives(batch):
        hidden = hidden_of(params, batch, b, t)
        total -= weight * log_sigmoid(float(output[word] @ hidden))
        for negative in drawn[b]:
            if negative != word:
                share = num_negatives / drawn.shape[1]
                total -= weight * share * log_sigmoid(-float(output[negative] @ hidden))
    return total


def hierarchical_softmax_loss(params: Any, batch: Any, targets: Any, tables: Any) -> float:
    output, total = np.asarray(params.output, np.float64), 0.0
    nodes, codes, lengths = map(np.asarray, tables)
    for b, t, _, word, weight in positives(batch):
        hidden = hidden_of(params, batch, b, t)
        for step in range(lengths[word]):
            sign = 1.0 if codes[word, step] == 0 else -1.0
            total -= weight * log_sigmoid(sign * float(output[nodes[word, step]] @ hidden))
    return total


LOSSES = {
    "softmax": softmax_loss,
    "chunked_softmax": softmax_loss,
    "negative_sampling": negative_sampling_loss,
    "negative_sampling_shared": negative_sampling_loss,
    "shared_negatives": negative_sampling_loss,
    "hierarchical_softmax": hierarchical_softmax_loss,
}
