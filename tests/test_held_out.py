"""The held-out loss: one definition of a likelihood, corrected for noise and for subsampling."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow

import w2vjax as w2v
from w2vjax.objectives.huffman import dropped_paths, log_normaliser
from w2vjax.objectives.model import score_offsets
from w2vjax.runs.held_out import evaluate_held_out, held_out_batches


def test_the_correction_of_paths_is_that_of_the_whole_distribution() -> None:
    tree = w2v.hierarchical_softmax().init([5, 3, 2, 2])
    random = np.random.default_rng(0)
    hidden, output = (jnp.asarray(random.standard_normal((4, 3)), jnp.float32) for _ in range(2))
    keep = np.array([0.25, 0.5, 1.0, 1.0])
    scores, nodes, codes, lengths = (np.asarray(a) for a in (hidden @ output.T, *tree))
    p = np.array(
        [
            [
                math.prod(
                    1 / (1 + math.exp(-s[n] * (1 - 2 * int(c))))
                    for n, c in zip(ns[:l], cs, strict=False)
                )
                for ns, cs, l in zip(nodes, codes, lengths, strict=True)
            ]
            for s in scores
        ]
    )
    assert p.sum(1) == pytest.approx(1, abs=1e-6)
    dropped = dropped_paths(tree, keep)
    assert len(dropped.spared) == 2
    found = log_normaliser(hidden, output[dropped.rows], dropped)
    # 1e-7 was measured
    assert np.asarray(found) == pytest.approx(np.log((p / keep).sum(1)), abs=1e-5)


def branches(tree: Any, mass: np.ndarray) -> np.ndarray:
    """The score of each node with which the tree gives each word its share of ``mass``."""
    sides = np.zeros((len(mass), 2))
    for nodes, codes, length, share in zip(*map(np.asarray, tree), mass, strict=True):
        np.add.at(sides, (nodes[:length], codes[:length]), share)
    return np.log(np.maximum(sides[:, 0], 1e-9) / np.maximum(sides[:, 1], 1e-9))


@pytest.mark.parametrize("objective", ["negative", *slow("hierarchical", "softmax")])
@pytest.mark.slow
def test_a_model_of_the_frequencies_it_was_shown_has_the_loss_of_the_unigrams(
    objective: str,
) -> None:
    counts = np.array([600, 250, 100, 50])
    text = np.random.default_rng(0).permutation(np.repeat(list("abcd"), counts))
    corpus = w2v.prepare([text.tolist()], min_count=1)
    run = w2v.set_up(
        corpus,
        w2v.Settings(dim=2, window=1, sample=1e-2, min_count=1, held_out=0.5, objective=objective),
    )
    shown = counts * w2v.windows.keep_probabilities(counts, 1e-2)
    if objective == "hierarchical":
        scores = branches(run.tables, shown)
    else:
        scores = np.log(shown / (counts**0.75 if objective == "negative" else 1))
    # every hidden vector is (1, 0), so that the first number of an output row is its score
    params = w2v.Params(
        *(jnp.asarray(np.c_[first, 0 * first], jnp.float32) for first in (np.ones(4), scores))
    )
    found = evaluate_held_out(run, params)
    # 1.5e-4 was measured: the library adds one to each count of its unigram distribution
    assert found["loss"] == pytest.approx(found["unigram_loss"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "sample"), [("negative", 1e-2), ("softmax", 1e-2), ("negative", 0.0)]
)
def test_both_public_losses_are_one(objective: str, sample: float) -> None:
    """evaluate_held_out of a corpus is the mean of held_out_loss over its batches."""
    text = np.random.default_rng(1).choice(
        list("abcdefg"), 400, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05]
    )
    corpus = w2v.prepare([text.tolist()], min_count=1)
    run = w2v.set_up(
        corpus,
        w2v.Settings(
            dim=3, window=2, sample=sample, min_count=1, held_out=0.5, objective=objective
        ),
    )
    random = np.random.default_rng(2)
    params = w2v.Params(*(jnp.asarray(random.normal(size=(7, 3)), jnp.float32) for _ in range(2)))
    counts = corpus.vocab.counts
    noise = counts**0.75 / (counts**0.75).sum() if objective == "negative" else None
    keep = w2v.windows.keep_probabilities(counts, sample)
    offset = score_offsets(noise, keep)
    held_out_loss = jax.jit(partial(w2v.objectives.held_out_loss, offset=offset))
    total = pairs = 0.0
    for batch in held_out_batches(run.recipe, run.feed, 10**6):
        weight = float(batch.weights.sum())
        total += weight * float(held_out_loss(params, batch))
        pairs += weight
    found = evaluate_held_out(run, params)
    assert found["pairs"] == pairs > 300
    assert found["loss"] == pytest.approx(total / pairs, rel=1e-5)  # measured 2e-8
    unsampled = run._replace(settings=replace(run.settings, sample=0.0, noise_exponent=None))
    plain = w2v.evaluate_held_out(unsampled, params)
    assert (objective == "softmax" and sample == 0) or abs(plain["loss"] - found["loss"]) > 1e-3
