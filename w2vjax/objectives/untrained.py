"""The loss of tables that have learned nothing, by which the loss of a run is judged.

Output rows are zero then, and so are scores. The loss follows from the objective alone:
(1 + negatives) log 2 for negative sampling, log V for a softmax, log 2 times the length of a path
for hierarchical softmax.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.lazy import cached
from w2vjax.types import Objective, Tables

# How many positives the loss is computed on, and the most numbers that a dense softmax may compute
# for them.
_WORDS, _NUMBERS = 256, 1 << 22


class Untrained(NamedTuple):
    """The loss of tables that have learned nothing, in nats a pair, and its standard deviation."""

    loss: float
    deviation: float


def untrained_loss(
    objective: Objective, tables: Tables, mass: Sequence[float] | np.ndarray
) -> Untrained | None:
    """The loss of ``objective`` at scores of zero, for positives spread over ``mass`` [V].

    None for an objective of the caller's own that cannot be computed for single pairs, or has no
    loss above zero there.

    >>> from w2vjax.objectives.softmax import softmax
    >>> print(round(untrained_loss(softmax(), (), [5, 3, 1, 1]).loss, 4))  # log 4
    1.3863
    """
    size = len(mass)
    words = min(_WORDS, max(_WORDS // 4, _NUMBERS // size))
    quantiles = np.cumsum(mass) / np.sum(mass)
    places = np.searchsorted(quantiles, (np.arange(words) + 0.5) / words)
    ids = places.clip(0, size - 1).astype(np.int32)
    try:
        losses = np.asarray(_losses_of_zeros(objective, size)(tables, ids), np.float64)
    except Exception:  # of a caller's own objective: the run is then judged by its tables alone
        return None
    found = Untrained(float(losses.mean()), float(losses.std()))
    return found if np.isfinite(found.loss) and found.loss > 0 else None


@cached
def _losses_of_zeros(objective: Objective, size: int) -> Callable[..., jax.Array]:
    """(tables, words [n]) -> the loss of each as the one positive of a hidden vector of zeros."""

    def losses(tables: Tables, words: jax.Array) -> jax.Array:
        weights = jnp.ones((len(words), 1, 1), jnp.float32)
        draws = objective.draw(jax.random.key(0), tables, (len(words),))
        targets = objective.select(draws, tables, words[:, None], weights)
        hidden, output = (jnp.zeros(shape, jnp.float32) for shape in (weights.shape, (size, 1)))
        return objective.loss(hidden, output, targets).reshape(-1)

    return jax.jit(losses, compiler_options={"xla_backend_optimization_level": 0})
