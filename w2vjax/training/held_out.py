"""How well a model predicts text it has not seen: the exact negative log-likelihood of a positive, in nats.

Full softmax and hierarchical softmax are probabilities as they stand. A score of negative sampling is, at its optimum,
log p(w | c) - log(num_negatives * q(w)) for noise q (Levy and Goldberg 2014), so the model's probability of a word is
softmax(scores + log q): the noise joins the scores as one more column of the tables.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.objectives.hidden import hidden_vectors
from w2vjax.objectives.model import cross_entropy
from w2vjax.objectives.negative import noise_mass
from w2vjax.objectives.softmax import softmax
from w2vjax.training.feed import Feed, marked
from w2vjax.training.setup import Run
from w2vjax.training.step import Recipe, split_lines
from w2vjax.types import Batch, Objective, Params
from w2vjax.windows.sampling import full_reach

_CHUNK = 4096  # words of the vocabulary at a time
_MOST_WORDS = 100_000  # of the held-out text; more than enough for three digits


def evaluate_held_out(
    recipe: Recipe,
    params: Params,
    tables: Any,
    feed: Feed,
    noise: np.ndarray | None = None,
    probabilistic: bool = False,
    most_words: int = _MOST_WORDS,
) -> dict[str, float | None]:
    """Nats a positive pair over the held-out end of a corpus, for the model and for the unigram distribution.

    noise [V]: the probabilities that negatives were drawn from, None for a softmax; ``probabilistic``: the objective's
    own loss is a log-likelihood (hierarchical softmax). The whole window counts and no word is dropped, up to
    ``most_words`` of the held-out text.

    Returns {"loss", "unigram_loss", "pairs"}, both losses None where there is no pair. Windows that weigh some centers
    more do so here. The unigram distribution is that of the vocabulary's counts, plus one each; if they are of the
    whole corpus, what is held out included, that favours the distribution.
    """
    # bfloat16 has three digits, of a score as of log q
    params = Params(*(table.astype(jnp.promote_types(table.dtype, jnp.float32)) for table in params))
    counts = feed.corpus.counts
    objective: Objective = recipe.objective if probabilistic else softmax(min(_CHUNK, len(counts)))
    if not probabilistic and noise is not None:
        params = with_noise(params, noise)
    unigram = jnp.asarray(np.log((counts + 1) / (counts + 1).sum()), jnp.float32)

    def measure(params: Params, tables: Any, batch: Batch) -> tuple[jax.Array, jax.Array, jax.Array]:
        targets = objective.select(
            jax.random.key(0), tables if probabilistic else (), batch.words, batch.weights
        )
        base = -(batch.weights.sum(1) * unigram[batch.words]).sum()
        return _cross_entropy(objective, params, batch, targets, noise is not None), base, batch.weights.sum()

    compiled = jax.jit(measure)
    sums = np.zeros(3)
    for batch in held_out_batches(recipe, feed, most_words):
        sums += np.array([float(value) for value in compiled(params, tables, batch)])
    loss, base, pairs = sums.tolist()
    if not pairs:
        return {"loss": None, "unigram_loss": None, "pairs": 0.0}
    return {"loss": loss / pairs, "unigram_loss": base / pairs, "pairs": pairs}


def of_run(run: Run, params: Params) -> dict[str, float | None]:
    """:func:`evaluate_held_out` of a run's own objective, "negative", "hierarchical" or "softmax"."""
    noise = None
    if run.settings.objective == "negative":
        mass = noise_mass(run.feed.corpus.counts, run.settings.noise_exponent)
        noise = mass / mass.sum()
    probabilistic = run.settings.objective == "hierarchical"
    return evaluate_held_out(run.recipe, params, run.tables, run.feed, noise, probabilistic)


def with_noise(params: Params, noise: np.ndarray) -> Params:
    """The tables with log q as one more column of the output: a hidden vector ending in 1 then scores s + log q."""
    column = jnp.log(jnp.maximum(jnp.asarray(noise, params.output.dtype), 1e-30))[:, None]
    return Params(params.input, jnp.concatenate([params.output, column], 1))


def _cross_entropy(
    objective: Objective, params: Params, batch: Batch, targets: Any, noisy: bool
) -> jax.Array:
    if not noisy:
        return cross_entropy(objective, params, batch, targets)

    hidden = hidden_vectors(params.input, batch)
    one = jnp.ones((*hidden.shape[:-1], 1), hidden.dtype)
    return objective.loss(jnp.concatenate([hidden, one], -1), params.output, targets).sum()


def held_out_batches(recipe: Recipe, feed: Feed, most_words: int = _MOST_WORDS) -> Any:
    """The batches of the words that were held out, whole windows, in order; the last one padded."""
    size, window = recipe.groups * recipe.run, recipe.window
    begin = feed.words
    end = min(len(feed.corpus.ids), begin + most_words)
    if begin == end:
        return
    ids = marked(feed.corpus, begin, end - begin, -(-(end - begin) // size) * size)
    tokens, segments = split_lines(jnp.asarray(ids), jnp.int32(end - begin))
    tokens = jnp.pad(tokens, window)
    segments = jnp.pad(segments, window, constant_values=-1)
    width = jnp.arange(recipe.run + 2 * window, dtype=jnp.int32)[None]
    for start in range(0, len(ids), size):
        at = start + jnp.arange(recipe.groups, dtype=jnp.int32)[:, None] * recipe.run + width
        reach = full_reach(jax.random.key(0), (recipe.groups, recipe.run), window)
        yield recipe.windows(tokens[at], segments[at], reach)
