"""Several copies of the tables, each trained by a thread of its own on its own chunk, joined after every round.

XLA splits one product of a training step over the cores of a CPU, and gains nothing: a step is fifty operations of some
ten microseconds. Two programs side by side do gain the second core. A round trains R chunks on R copies of the same
tables; what each copy learned is then added up, row by row::

    table = start + gamma * sum_r (copy_r - start)          gamma = 1 / (1 + (R - 1) * n / (n + n0))

n is how often a row is expected to be hit by one copy in one round. A rare row gets the sum of what few copies saw of
it; a frequent one, which every copy has brought to where it belongs, gets the mean: adding R full corrections would
overshoot. The join happens at fixed places of the corpus, whatever the threads' timing, so a run repeats bit for bit;
the number of copies is a setting and not the machine's number of cores. Model averaging between rounds is pWord2Vec's
(Ji et al. 2016); the row-wise weight is ours.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.training.step import Progress, State
from w2vjax.types import Params

# Hits of a row in a round at which its copies' changes weigh half way between sum and mean.
_HALF_WAY = 50.0


class Replicas(NamedTuple):
    """R states that start each round with equal params; the optimizers' states stay each copy's own. A pytree."""

    start: (
        Params | None
    )  # the params at the start of the round; None for a single copy, which needs no joining
    states: tuple[State, ...]


def replicate(state: State, copies: int) -> Replicas:
    """R copies of a state, each in memory of its own: the compiled program overwrites what it is given."""
    if copies == 1:
        return Replicas(None, (state,))
    return Replicas(
        state.params, tuple(jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), [state] * copies))
    )


def join_weights(counts: np.ndarray, noise: np.ndarray, words: int, half_way: float = _HALF_WAY) -> Params:
    """n / (n + n0) for every row, Params of [V] float32: counts for input rows, counts and noise for output rows.

    words: how many a copy trains in a round.
    """
    share, drawn = counts / max(counts.sum(), 1), noise / max(noise.sum(), 1e-300)
    hits = Params(share * words, (share + drawn) * words)
    return Params(*(jax.device_put((n / (n + half_way)).astype(np.float32)) for n in hits))


def join(
    start: Params, params: tuple[Params, ...], weights: Params, active: jax.Array
) -> tuple[Params, tuple[Params, ...]]:
    """The joined tables, once as the next start and once for every copy; ``active`` copies trained in this round.

    >>> start = Params(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
    >>> moved = Params(jnp.ones((2, 1)), jnp.ones((2, 1)))
    >>> rare_and_frequent = Params(jnp.asarray([0.0, 1.0]), jnp.asarray([0.0, 1.0]))
    >>> joined, _ = join(start, (moved, moved), rare_and_frequent, 2)
    >>> print(joined.input.ravel())
    [2. 1.]
    """

    def one(table: jax.Array, weight: jax.Array, *copies: jax.Array) -> jax.Array:
        gamma = (1 / (1 + (active - 1) * weight))[:, None].astype(table.dtype)
        change = copies[0] - table
        for copy in copies[1:]:
            change = change + (copy - table)
        return table + gamma * change

    joined = Params(*(one(*leaves) for leaves in zip(start, weights, *params, strict=True)))
    return joined, tuple(jax.tree.map(jnp.copy, joined) for _ in params)


class Crew(NamedTuple):
    """The compiled program of a chunk with what runs it on R copies at once."""

    program: Callable[..., tuple[State, Progress]]
    joined: Callable[..., Any]  # :func:`join`, compiled, its params donated
    weights: Params | None
    threads: ThreadPoolExecutor | None

    def train(
        self, replicas: Replicas, tables: Any, keep: jax.Array, chunks: Sequence[tuple[Any, ...]]
    ) -> tuple[Replicas, list[Progress]]:
        """One round: copy r trains ``chunks[r]`` = (ids, offset, count, seed); the last round may have fewer chunks."""
        if self.threads is None or replicas.start is None:
            state, progress = self.program(replicas.states[0], tables, keep, *chunks[0])
            return Replicas(None, (state,)), [progress]

        def run(state: State, chunk: tuple[Any, ...]) -> tuple[State, Progress]:
            # waits for the end: a CPU runs a program in the thread that waits for it
            done: tuple[State, Progress] = jax.block_until_ready(self.program(state, tables, keep, *chunk))
            return done

        done = list(self.threads.map(run, replicas.states, chunks))
        states = [*(state for state, _ in done), *replicas.states[len(done) :]]
        params = tuple(state.params for state in states)
        start, copies = self.joined(replicas.start, params, self.weights, np.float32(len(done)))
        states = [state._replace(params=own) for state, own in zip(states, copies, strict=True)]
        return Replicas(start, tuple(states)), [progress for _, progress in done]


def crew(program: Any, copies: int, weights: Params | None = None) -> Crew:
    """A crew of ``copies`` threads; none for a single copy."""
    threads = ThreadPoolExecutor(copies, "w2vjax-replica") if copies > 1 else None
    return Crew(program, jax.jit(join, donate_argnums=(0, 1)), weights, threads)
