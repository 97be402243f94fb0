"""A model of Equinox that learns labels of words and, in the same steps, the text that they are in.

``compose`` makes the loss of word2vec from a part of the model. ``jax.grad`` of the whole loss goes
through the handwritten backward there, and gives what JAX derives from the plain loss.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import w2vjax as w2v

DIM, STEPS = 10, 60
corpus = w2v.prepare()
batch = w2v.pairs(corpus.ids[:-1], corpus.ids[1:])  # each word and the next
labels = jnp.array([len(word) > 7 for word in corpus.vocab.words], float)  # is it a long word?
objective = w2v.negative_sampling(num_negatives=5)


class Model(eqx.Module):
    vectors: w2v.Params
    layer: eqx.nn.Linear  # from a vector to the score of its label

    def __init__(self, key: jax.Array):
        self.vectors = w2v.init_params(key, len(labels), DIM)
        self.layer = eqx.nn.Linear(DIM, "scalar", key=key)


def loss(of_words: Any, model: Model, targets: Any) -> jax.Array:
    scores = jax.vmap(model.layer)(model.vectors.input)
    of_labels = optax.sigmoid_binary_cross_entropy(scores, labels).mean()
    return of_labels + of_words(model.vectors, batch, targets) / len(batch.words)


def train() -> tuple[list[float], bool]:
    """The loss of each step, and whether the last gradient is the one that JAX derives."""
    forms = w2v.objectives.compose(objective), partial(w2v.cross_entropy, objective)
    by_hand, by_jax = (jax.jit(jax.value_and_grad(partial(loss, form))) for form in forms)
    draw = jax.jit(partial(w2v.draw_targets, objective))
    tables, model, adam = objective.init(corpus.counts), Model(jax.random.key(0)), optax.adam(0.02)
    state, losses = adam.init(model), []
    for key in jax.random.split(jax.random.key(1), STEPS):
        targets, before = draw(key, tables, batch), model
        value, gradient = by_hand(model, targets)
        updates, state = adam.update(gradient, state)
        model = eqx.apply_updates(model, updates)
        losses.append(float(value))
    derived = by_jax(before, targets)[1]
    return losses, bool(eqx.tree_equal(gradient, derived, rtol=1e-5, atol=1e-7))


if __name__ == "__main__":
    losses, agree = train()
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; the gradients agree: {agree}")
