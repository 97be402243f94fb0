"""Held-out loss of a cell of ``sweep.py``, corrected for subsampling.

Training meets a word w with the share keep(w) of its occurrences, and so learns p'(w | h) = p(w | h) keep(w) / C(h).
Held-out text is whole. What a model says of it is

    p(w | h) = p'(w | h) / (keep(w) Z(h))        Z(h) = sum_v p'(v | h) / keep(v)

Without the correction a model of a few frequent words loses to the unigram distribution, however well it is trained.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import w2vjax as w2v

SMALLEST = 1e-9  # of keep, for a word without a count
BATCH_WORDS = 1024  # the most that are scored at once, whatever a step of training has
GROUPS = 32  # of a batch that are scored at once


def held_out(trained: Any, objective: str, noise_exponent: float, most_words: int) -> dict[str, float | None]:
    """{"loss", "unigram_loss", "pairs"} of at most ``most_words`` held-out words, as of ``w2v.evaluate_held_out``.

    ``objective``: "negative" also where it was given as one of the caller's own, with shared and span.
    """
    from w2vjax.objectives.negative import noise_mass

    recipe, counts = trained.run.recipe, trained.vocab.counts
    run = trained.run._replace(
        recipe=recipe._replace(groups=min(recipe.groups, max(1, BATCH_WORDS // recipe.block_words)))
    )
    keep = np.maximum(w2v.windows.keep_probabilities(counts, run.settings.sample), SMALLEST)
    # a score is that of p' (of p' / q, with negatives drawn from q); the noise is a factor on exp(score)
    factor = noise_mass(counts, noise_exponent) / keep if objective == "negative" else 1 / keep
    hierarchical = objective == "hierarchical"
    how = (None, True) if hierarchical else (factor / factor.sum(), False)
    found: dict[str, float | None] = w2v.evaluate_held_out(
        run.recipe, trained.params, run.tables, run.feed, *how, most_words
    )
    if hierarchical and found["loss"] is not None and (keep < 1).any():
        found["loss"] += path_correction(run, trained.params, keep, most_words) / found["pairs"]
    return found


def path_correction(run: Any, params: Any, keep: np.ndarray, most_words: int) -> float:
    """Sum of log keep(w) + log Z(h) over the held-out pairs: what hierarchical softmax, which has no score of a word,
    adds to its loss."""
    from w2vjax.training.held_out import held_out_batches

    ids = np.flatnonzero(keep < 1)
    tree = jax.tree.map(lambda array: np.asarray(array)[ids], run.tables)
    rows, places = np.unique(tree.nodes, return_inverse=True)  # of few words there are few nodes to score
    tree = tree._replace(nodes=places.reshape(tree.nodes.shape))
    spared, log_keep = jnp.asarray(1 / keep[ids] - 1, jnp.float32), jnp.asarray(np.log(keep), jnp.float32)

    @jax.jit
    def correction(params: Any, batch: Any) -> jax.Array:
        hidden = w2v.objectives.hidden_vectors(params.input, batch)
        output = params.output[rows]
        # some groups at a time, for all scores of a large batch would take gigabytes
        log_z = jax.lax.map(
            lambda group: log_normaliser(group, output, tree, spared), hidden, batch_size=GROUPS
        )
        return (batch.weights * (log_z[..., None] + log_keep[batch.words][:, None])).sum()

    params = jax.tree.map(lambda table: table.astype(jnp.float32), params)
    return sum(
        float(correction(params, batch)) for batch in held_out_batches(run.recipe, run.feed, most_words)
    )


def log_normaliser(hidden: jax.Array, output: jax.Array, tree: Any, spared: jax.Array) -> jax.Array:
    """log Z [T] of ``hidden`` [T, D]. Z is 1 + sum_v p'(v | h) (1 / keep(v) - 1), as p' adds up to 1.

    tree: paths of the F words that subsampling drops at all, nodes being rows of ``output``. spared [F]: 1/keep - 1.
    """
    steps = (hidden @ output.T)[:, tree.nodes]  # [T, F, L]
    turned = jnp.where(tree.codes[None] == 0, steps, -steps)
    real = jnp.arange(tree.nodes.shape[1], dtype=jnp.int32)[None] < tree.lengths[:, None]
    log_p = jnp.where(real[None], jax.nn.log_sigmoid(turned), 0.0).sum(-1)
    return jnp.log1p(jnp.exp(log_p) @ spared)
