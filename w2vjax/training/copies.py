"""Copies of the tables: each is trained on a chunk of its own, and they are joined every round.

XLA splits a product of one training step over the cores of a CPU, and gains nothing: a step is
fifty operations of some ten microseconds. Two programs side by side do use the second core. A round
trains R chunks on R copies of the same tables, each by a thread. Then their changes are added up,
row by row::

    table = start + gamma * sum_r (copy_r - start)

A step of size lr on a row whose examples bend the loss by ``bound`` goes the share c = lr * bound
of the way to where the row belongs (:mod:`w2vjax.objectives.bounds`). A copy whose steps sum to c
has gone 1 - exp(-c) of the way. R copies, one after the other, would have gone
1 - exp(-sum_r c_r). So the changes are scaled to that::

    gamma = (1 - exp(-sum_r c_r)) / sum_r (1 - exp(-c_r))

A rare row gets the sum of what few copies saw of it. A frequent row, which every copy has brought
to where it belongs, gets the mean: R full corrections would overshoot. Row optimizers count c, one
number a row. For an optimizer that does not count, rows get the mean.

The join happens at fixed places of the corpus, so a run repeats bit for bit, whatever the timing of
the threads. The number of copies is a setting and not the machine's number of cores. Model
averaging between rounds is pWord2Vec's (Ji et al. 2016). The weight of each row is ours.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.training.step import Progress, State
from w2vjax.training.updates import Gone, OptState, cleared
from w2vjax.types import Params, Tables

# (state, tables, keep, ids, offset, count, seed) -> (state, progress), the state overwritten
Compiled = Callable[..., tuple[State, Progress]]


class Copies(NamedTuple):
    """R states whose params are equal when a round begins. Optimizer states differ. A pytree."""

    # the params at the start of the round; None for a single copy, which needs no joining
    start: Params | None
    states: tuple[State, ...]


def replicate(state: State, copies: int) -> Copies:
    """R copies of a state. Each has its own memory, which the program overwrites."""
    if copies == 1:
        return Copies(None, (state,))
    return Copies(
        state.params, tuple(jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), [state] * copies))
    )


def join(start: jax.Array, copies: Sequence[jax.Array], gone: Sequence[jax.Array]) -> jax.Array:
    """The table [V, D] joined from copies that began at ``start`` and went c = ``gone[r]`` [V].

    >>> start, moved = jnp.zeros((2, 1)), jnp.ones((2, 1))
    >>> rare_and_frequent = jnp.asarray([1e-4, 1e4])
    >>> print(join(start, [moved, moved], [rare_and_frequent] * 2).ravel().round(3))
    [2. 1.]
    """
    way = sum(-jnp.expm1(-c) for c in gone)
    together = -jnp.expm1(-sum(gone))
    gamma = jnp.where(
        way > 0, together / jnp.where(way > 0, way, 1), 1
    )  # a row that no copy moved is at its start
    change = sum((copy - start for copy in copies[1:]), copies[0] - start)
    return start + gamma[:, None].astype(start.dtype) * change


def mean(start: jax.Array, copies: Sequence[jax.Array], active: jax.Array) -> jax.Array:
    """The mean of the copies that trained in this round; the others are still at ``start``."""
    change = sum((copy - start for copy in copies[1:]), copies[0] - start)
    return start + change / active.astype(start.dtype)


def join_states(
    start: Params, states: tuple[State, ...], active: jax.Array
) -> tuple[Params, tuple[State, ...]]:
    """The joined params, and R states that begin there with their counts at 0.

    ``active`` of the copies trained in this round. States whose optimizer counts nothing get the
    mean.
    """
    counted = [found for state in states if (found := counts_of(state.optimizer)) is not None]
    joined = []
    for at, table in enumerate(start):
        copies = [state.params[at] for state in states]
        gone = [found[at] for found in counted]
        joined.append(join(table, copies, gone) if gone else mean(table, copies, active))
    params = Params(*joined)
    return params, tuple(
        State(jax.tree.map(jnp.copy, params), cleared(state.optimizer)) for state in states
    )


def counts_of(optimizer_state: OptState) -> Params | None:
    """What an optimizer counted for the join, anywhere in its state. None if it does not count."""
    leaves = jax.tree.leaves(optimizer_state, is_leaf=lambda leaf: isinstance(leaf, Gone))
    return next((leaf.rows for leaf in leaves if isinstance(leaf, Gone)), None)


_join_states = jax.jit(join_states, donate_argnums=(0, 1))


class Workers:
    """The program of a chunk, and a thread for each of R copies. A context manager."""

    def __init__(self, program: Compiled, copies: int):
        self._program = program
        self._threads = ThreadPoolExecutor(copies, "w2vjax-copy") if copies > 1 else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown()

    def train(
        self, copies: Copies, tables: Tables, keep: jax.Array, chunks: Sequence[tuple[Any, ...]]
    ) -> tuple[Copies, list[Progress]]:
        """One round: copy r trains ``chunks[r]``. The last round may have fewer chunks."""
        if self._threads is None or copies.start is None:
            state, progress = self._program(copies.states[0], tables, keep, *chunks[0])
            return Copies(None, (state,)), [progress]

        def run(state: State, chunk: tuple[Any, ...]) -> tuple[State, Progress]:
            # waits for the end: a CPU runs a program in the thread that waits for it
            done: tuple[State, Progress] = jax.block_until_ready(
                self._program(state, tables, keep, *chunk)
            )
            return done

        done = list(self._threads.map(run, copies.states, chunks))
        states = [*(state for state, _ in done), *copies.states[len(done) :]]
        start, joined = _join_states(copies.start, tuple(states), np.float32(len(done)))
        return Copies(start, joined), [progress for _, progress in done]
