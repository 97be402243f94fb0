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
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.objectives.hidden import hidden_vectors
from w2vjax.objectives.huffman import Huffman
from w2vjax.objectives.model import held_out_loss
from w2vjax.objectives.negative import noise_mass
from w2vjax.training.feed import Feed, marked
from w2vjax.training.setup import Run
from w2vjax.training.step import Recipe, split_lines
from w2vjax.types import Batch, Objective, Params, Tables
from w2vjax.windows.sampling import full_reach, keep_probabilities

_CHUNK = 4096  # words of the vocabulary at a time
_MOST_WORDS = 100_000  # of the held-out text; more than enough for three digits
_BATCH_WORDS = 1024  # the most that are scored at once, whatever a step of training has
_SMALLEST = 1e-30  # a probability of 0 has no logarithm
_NUMBERS = 1 << 24  # the most scores of paths that are made at once


def evaluate_held_out(
    run: Run, params: Params, most_words: int = _MOST_WORDS
) -> dict[str, float | None]:
    """The loss on the held-out end of a corpus, of a model and of the unigram distribution.

    The whole window counts and no word is dropped. Windows that weigh some centers more do so here.
    The unigram distribution is that of the vocabulary's counts, plus one each. If they are of the
    whole corpus, that favours the distribution. An objective of your own is taken to be a softmax.

    Args:
        run: of :func:`~w2vjax.training.setup.set_up` or ``trained.run``.
        params: [V, D] each.
        most_words: of the held-out text that are looked at.

    Returns:
        {"loss", "unigram_loss", "pairs"}. Both losses are None if there is no pair.
    """
    # bfloat16 has three digits, of a score as of log q
    params = Params(
        *(table.astype(jnp.promote_types(table.dtype, jnp.float32)) for table in params)
    )
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
    offset = None if hierarchical else offsets(noise, keep)
    measure = partial(_measure, objective, params, run.tables, unigram, offset, dropped)
    groups = min(run.recipe.groups, max(1, _BATCH_WORDS // run.recipe.block_words))
    sums = np.zeros(3)
    # a GPU's products have three digits otherwise
    with jax.default_matmul_precision("highest"):
        for batch in held_out_batches(run.recipe._replace(groups=groups), run.feed, most_words):
            sums += np.array([float(value) for value in measure(batch)])
    loss, base, pairs = sums.tolist()
    if not pairs:
        return {"loss": None, "unigram_loss": None, "pairs": 0.0}
    return {"loss": loss / pairs, "unigram_loss": base / pairs, "pairs": pairs}


@partial(jax.jit, static_argnums=0)
def _measure(
    objective: Objective | None,
    params: Params,
    tables: Tables,
    unigram: jax.Array,
    offset: jax.Array | None,
    dropped: "Dropped | None",
    batch: Batch,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(loss of the model, loss of the unigram distribution, pairs) of one batch, summed."""
    pairs = batch.weights.sum()
    base = -(batch.weights.sum(1) * unigram[batch.words]).sum()
    chunk = min(_CHUNK, unigram.shape[0])
    loss = held_out_loss(params, batch, objective, tables, chunk, offset) * pairs
    if dropped is not None:
        loss = loss + path_correction(params, batch, dropped)
    return loss, base, pairs


def offsets(noise: np.ndarray | None, keep: np.ndarray | None) -> jax.Array | None:
    """log noise - log keep, [V] float32: what joins the scores. None where there is neither.

    >>> print(offsets(np.array([0.75, 0.25]), np.array([0.75, 1.0])).round(4))
    [ 0.     -1.3863]
    """
    if noise is None and keep is None:
        return None
    top = np.ones(1) if noise is None else noise
    return jnp.asarray(
        np.log(np.maximum(top, _SMALLEST)) - (0 if keep is None else np.log(keep)), jnp.float32
    )


class Dropped(NamedTuple):
    """The F words that subsampling drops at all, in a Huffman tree: see :func:`path_correction`."""

    rows: np.ndarray  # the nodes on their paths; of few words there are few to score
    paths: Huffman  # [F, L], whose nodes count ``rows``
    spared: np.ndarray  # [F] 1 / keep - 1, float32
    log_keep: np.ndarray  # [V] float32


def dropped_paths(tree: Huffman, keep: np.ndarray) -> Dropped:
    """What :func:`path_correction` needs of a tree and of keep [V], on the host."""
    ids = np.flatnonzero(keep < 1)
    nodes, codes, lengths = (np.asarray(leaf)[ids] for leaf in tree)
    rows, places = np.unique(nodes, return_inverse=True)
    paths = Huffman(*map(jnp.asarray, (places.reshape(nodes.shape), codes, lengths)))
    return Dropped(
        rows, paths, (1 / keep[ids] - 1).astype(np.float32), np.log(keep).astype(np.float32)
    )


def path_correction(params: Params, batch: Batch, dropped: Dropped) -> jax.Array:
    """The sum of log keep(w) + log Z(h) over a batch, which a tree's loss lacks.

    A tree has no score of a word for an offset to join. Z is 1 + sum_v p'(v | h) (1 / keep(v) - 1),
    as p' adds up to 1.
    """
    hidden, output = hidden_vectors(params.input, batch), params.output[dropped.rows]
    each = max(1, _NUMBERS // (hidden.shape[1] * dropped.paths.nodes.size))
    log_z = jax.lax.map(
        lambda group: log_normaliser(group, output, dropped), hidden, batch_size=each
    )
    correction: jax.Array = (
        batch.weights * (log_z[..., None] + jnp.asarray(dropped.log_keep)[batch.words][:, None])
    ).sum()
    return correction


def log_normaliser(hidden: jax.Array, output: jax.Array, dropped: Dropped) -> jax.Array:
    """log Z [T] of ``hidden`` [T, D] for the scores of ``output``, the rows of ``dropped``."""
    nodes, codes, lengths = dropped.paths
    steps = (hidden @ output.T)[:, nodes]  # [T, F, L]
    turned = jnp.where(codes[None] == 0, steps, -steps)
    real = jnp.arange(nodes.shape[1], dtype=jnp.int32)[None] < lengths[:, None]
    log_p = jnp.where(real[None], jax.nn.log_sigmoid(turned), 0.0).sum(-1)
    return jnp.log1p(jnp.exp(log_p) @ dropped.spared)


def held_out_batches(recipe: Recipe, feed: Feed, most_words: int = _MOST_WORDS) -> Iterator[Batch]:
    """The batches of the words that were held out, whole windows, in order; the last one padded."""
    size, window = recipe.groups * recipe.block_words, recipe.window
    begin = feed.words
    end = min(len(feed.corpus.ids), begin + most_words)
    if begin == end:
        return
    ids = marked(feed.corpus, begin, end - begin, -(-(end - begin) // size) * size)
    tokens, segments = split_lines(jnp.asarray(ids), jnp.int32(end - begin))
    tokens = jnp.pad(tokens, window)
    segments = jnp.pad(segments, window, constant_values=-1)
    width = jnp.arange(recipe.block_words + 2 * window, dtype=jnp.int32)[None]
    for start in range(0, len(ids), size):
        at = (
            start + jnp.arange(recipe.groups, dtype=jnp.int32)[:, None] * recipe.block_words + width
        )
        reach = full_reach(jax.random.key(0), (recipe.groups, recipe.block_words), window)
        yield recipe.windows(tokens[at], segments[at], reach)
