"""Word vectors as a layer of a classifier, which learns from few labels and from many sentences.

``compose`` makes a loss for larger programs: its ``jax.grad`` is the handwritten gradient.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import w2vjax as w2v

WORDS, DIM, STEPS = 40, 8, 200
objective = w2v.negative_sampling(num_negatives=5)
tables, word2vec_loss = objective.init(np.ones(WORDS)), w2v.objectives.compose(objective)


def sentences(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Words [number, 10] and topics [number]. Most words are of the half of the topic."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, 2, number)
    halves = topics[:, None] ^ (rng.random((number, 10)) > 0.85)
    return rng.integers(0, WORDS // 2, (number, 10)) + halves * WORDS // 2, topics


def scores(params: Any, words: jax.typing.ArrayLike) -> jax.Array:
    return params["vectors"].input[words].mean(1) @ params["layer"]


def accuracy(share: float, frozen: bool = False) -> float:
    """The share of right answers. share: how much the loss of word2vec counts."""
    (words, topics), (many, _) = sentences(8, seed=0), sentences(500, seed=1)
    batch = w2v.pairs(many[:, :-1].ravel(), many[:, 1:].ravel())  # each word and the next

    def loss(params: Any, key: jax.Array) -> jax.Array:
        if frozen:
            params = {**params, "vectors": jax.lax.stop_gradient(params["vectors"])}
        targets = w2v.draw_targets(objective, key, tables, batch)
        of_words = word2vec_loss(params["vectors"], batch, targets) / many.size
        of_labels = jax.nn.log_softmax(scores(params, words))[np.arange(len(topics)), topics]
        return share * of_words - of_labels.mean()

    def step(number: jax.Array, carry: Any) -> Any:
        updates, state = adam.update(jax.grad(loss)(carry[0], jax.random.key(number)), carry[1])
        return optax.apply_updates(carry[0], updates), state

    vectors = w2v.init_params(jax.random.key(0), WORDS, DIM)
    params, adam = {"vectors": vectors, "layer": jnp.zeros((DIM, 2))}, optax.adam(0.02)
    train = jax.jit(lambda *carry: jax.lax.fori_loop(0, STEPS, step, carry))
    params, _ = train(params, adam.init(params))
    new, right = sentences(1000, seed=2)
    return float((scores(params, new).argmax(1) == right).mean())


if __name__ == "__main__":
    for name, way in {"as drawn": (0, True), "labels": (0,), "labels and words": (1,)}.items():
        print(f"{name:<16} {accuracy(*way):.3f}")
