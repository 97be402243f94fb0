"""How well a model predicts new text: the exact negative log-likelihood of a positive, in nats.

Full softmax and hierarchical softmax are probabilities as they stand. A score of negative sampling
is, at its optimum, log p(w | h) - log(num_negatives * q(w)) for noise q (Levy and Goldberg 2014),
so the model's probability of a word is softmax(scores + log q).

Subsampling drops words before training sees them, and held-out text is whole. Training meets the
share keep(w) of the occurrences of w, and so learns p'(w | h) = p(w | h) keep(w) / C(h). What the
model says of whole text is

    p(w | h) = p'(w | h) / (keep(w) Z(h))        Z(h) = sum_v p'(v | h) / keep(v)

that is softmax(scores + log q - log keep). Without this correction a model of a few frequent words
loses to the unigram distribution, however well it is trained.
"""

from collections.abc import Iterator
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.devices.feed import Feed, marked
from w2vjax.objectives.huffman import Dropped, dropped_paths, path_correction
from w2vjax.objectives.model import held_out_loss, score_offsets
from w2vjax.objectives.negative import noise_mass
from w2vjax.training.setup import Run
from w2vjax.training.step import Recipe
from w2vjax.types import Batch, Objective, Params, Tables
from w2vjax.windows.sampling import full_reach, keep_probabilities, split_lines

# The objective's tables, log p of the unigram distribution, the offsets, the dropped words.
Given: TypeAlias = tuple[Tables, jax.Array, jax.Array | None, Dropped | None]
_CHUNK = 4096  # words of the vocabulary at a time
_BATCH_WORDS = 1024  # the most that are scored at once, whatever a step of training has


def evaluate_held_out(
    run: Run, params: Params, most_words: int = 100_000
) -> dict[str, float | None]:
    """The loss on the held-out end of a corpus, of a model and of the unigram distribution.

    The whole window counts and no word is dropped. Windows that weigh some centers more do so here.
    The unigram distribution is that of the vocabulary's counts, plus one each. If they are of the
    whole corpus, that favours the distribution. An objective of your own is taken to be a softmax.

    Args:
        run: of :func:`~w2vjax.training.setup.set_up` or ``trained.run``.
        params: [V, D] each.
        most_words: of the held-out text that are read. 100,000 give three digits.

    Returns:
        {"loss", "unigram_loss", "pairs"}. Both losses are None if there is no pair.

    >>> from w2vjax.corpus.encode import prepare
    >>> from w2vjax.training.setup import set_up
    >>> from w2vjax.training.settings import Settings
    >>> run = set_up(prepare([["a", "rose", "is", "a", "rose"]] * 9), Settings(dim=4))
    >>> evaluate_held_out(run, run.state.params)  # nothing is held out
    {'loss': None, 'unigram_loss': None, 'pairs': 0.0}
    """
    # bfloat16 has three digits, of a score as of log q
    params = Params(*(x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in params))
    counts, noise, dropped = run.feed.corpus.counts, None, None
    unigram = jnp.asarray(np.log((counts + 1) / (counts + 1).sum()), jnp.float32)
    if run.settings.noise_exponent is not None:  # set for "negative" alone
        mass = noise_mass(counts, run.settings.noise_exponent)
        noise = mass / mass.sum()
    keep = np.maximum(keep_probabilities(counts, run.settings.sample), 1e-9)
    hierarchical = run.settings.objective == "hierarchical"
    if hierarchical and (keep < 1).any():
        dropped = dropped_paths(run.tables, keep)
    objective = run.recipe.objective if hierarchical else None
    offset = None if hierarchical else score_offsets(noise, keep)
    measure = partial(_measure, objective, params, (run.tables, unigram, offset, dropped))
    groups = min(run.recipe.groups, max(1, _BATCH_WORDS // run.recipe.block_words))
    sums = np.zeros(3)
    # a GPU's products have three digits otherwise
    with jax.default_matmul_precision("highest"):
        for batch in held_out_batches(run.recipe._replace(groups=groups), run.feed, most_words):
            sums += np.array([float(value) for value in measure(batch)])
    *losses, pairs = sums.tolist()
    means = [each / pairs if pairs else None for each in losses]
    return {"loss": means[0], "unigram_loss": means[1], "pairs": pairs}


@partial(jax.jit, static_argnums=0)
def _measure(
    objective: Objective | None, params: Params, given: Given, batch: Batch
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(loss of the model, loss of the unigram distribution, pairs) of one batch, summed."""
    tables, unigram, offset, dropped = given
    pairs = batch.weights.sum()
    base = -(batch.weights.sum(1) * unigram[batch.words]).sum()
    chunk = min(_CHUNK, len(unigram))
    loss = held_out_loss(params, batch, objective, tables, chunk, offset) * pairs
    if dropped is not None:
        loss = loss + path_correction(params, batch, dropped)
    return loss, base, pairs


def held_out_batches(recipe: Recipe, feed: Feed, most_words: int) -> Iterator[Batch]:
    """The batches of the words that were held out, whole windows, in order; the last one padded."""
    size, window = recipe.groups * recipe.block_words, recipe.window
    begin, end = feed.words, min(len(feed.corpus.ids), feed.words + most_words)
    if begin == end:
        return
    ids = marked(feed.corpus, begin, end - begin, -(-(end - begin) // size) * size)
    tokens, segments = split_lines(jnp.asarray(ids), jnp.int32(end - begin))
    tokens = jnp.pad(tokens, window)
    segments = jnp.pad(segments, window, constant_values=-1)
    width = jnp.arange(recipe.block_words + 2 * window, dtype=jnp.int32)[None]
    for start in range(0, len(ids), size):
        first = start + jnp.arange(recipe.groups, dtype=jnp.int32)[:, None] * recipe.block_words
        at = first + width
        reach = full_reach(jax.random.key(0), (recipe.groups, recipe.block_words), window)
        yield recipe.windows(tokens[at], segments[at], reach)
