"""Copies of the tables: each is trained on a chunk of its own, and they are joined every round.

XLA splits a product of one training step over the cores of a CPU, and gains nothing: a step is
fifty operations of about ten microseconds. Two programs side by side do use the second core. A
round trains a chunk on each of several copies of the same tables, each by a thread. Then their
changes are added up, row by row::

    table = start + gamma * sum_r (copy_r - start)

A small step of size lr, on a row with the curvature bound ``bound``
(:mod:`w2vjax.objectives.bounds`), covers the fraction c = lr * bound of the distance to the optimum
of the row. A step that is limited to 1 / bound still adds its whole c, which is above 1. A copy
whose steps add up to c has covered 1 - exp(-c) of the distance. All copies, one after the other,
would have covered 1 - exp(-sum_r c_r). So the changes are scaled to that::

    gamma = (1 - exp(-sum_r c_r)) / sum_r (1 - exp(-c_r))

A rare row gets the sum of the few changes. A frequent row, which every copy has brought to its
optimum, gets the mean: the corrections of all copies would overshoot. Row optimizers count c, one
number a row. For an optimizer that does not count, rows get the mean.

On several devices (:mod:`w2vjax.devices.mesh`) the copies lie on them, and a join is one
all-reduce in two halves. First each device gets its share of the rows of every copy, and joins
them. Then it gets the other shares. The copies are added in the order of their numbers. So the
result depends on the number of copies, and not on the number of devices.

The join happens at fixed places of the corpus, so a run repeats bit for bit, whatever the timing of
the threads. The number of copies is a setting and not the machine's number of cores. Model
averaging between rounds is pWord2Vec's (Ji et al. 2016). The gamma of each row is new here.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from w2vjax.devices.feed import Chunk
from w2vjax.devices.mesh import (
    AXIS,
    REPLICATED,
    SHARDED,
    on_host,
    replicated,
    stacked,
    trains_copies,
)
from w2vjax.lazy import cached
from w2vjax.objectives.bounds import cleared, totals_of
from w2vjax.training.step import Progress, State
from w2vjax.training.updates import OptState
from w2vjax.types import Params, Tables

# (state, tables, keep, ids, offset, count, seed) -> (state, progress), the state overwritten
ChunkProgram = Callable[..., tuple[State, Progress]]


class Copies(NamedTuple):
    """States whose params are equal when a round begins. Optimizer states differ. A pytree.

    On several devices there is one state for each turn, and its arrays have one row a device.
    """

    # the params at the start of the round; None for a single copy, which needs no joining
    start: Params | None
    states: tuple[State, ...]

    @property
    def params(self) -> Params:
        """The params of a copy when a round begins."""
        return self.states[0].params if self.start is None else self.start


class Joined(NamedTuple):
    """All copies when a round begins, without what is the same in each. A pytree.

    It is what a checkpoint holds, and it does not depend on the number of devices.
    """

    params: Params
    optimizers: tuple[OptState, ...]  # of each copy


def spread(joined: Joined, mesh: Mesh | None = None) -> Copies:
    """The copies, each with its own memory, which the program overwrites."""
    params, optimizers = joined
    if trains_copies(mesh):
        host: Params = jax.tree.map(np.asarray, params)

        def turn(first: int) -> Any:
            return stacked(mesh, lambda d: State(host, optimizers[first + d]))

        turns = range(0, len(optimizers), mesh.size)
        return Copies(replicated(mesh, host), tuple(map(turn, turns)))
    if len(optimizers) == 1:
        return Copies(None, (State(params, optimizers[0]),))
    states = tuple(State(params, each) for each in optimizers)
    return Copies(params, jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), states))


def joined_on_host(copies: Copies, mesh: Mesh | None = None) -> Joined:
    """The inverse of :func:`spread`, as NumPy arrays. All processes call it together."""
    optimizers = [jax.tree.map(on_host, state.optimizer) for state in copies.states]
    if trains_copies(mesh):
        optimizers = [
            jax.tree.map(lambda leaf, d=d: leaf[d], turn)
            for turn in optimizers
            for d in range(mesh.size)
        ]
    return Joined(jax.tree.map(on_host, copies.params), tuple(optimizers))


def join(start: jax.Array, copies: Sequence[jax.Array], totals: Sequence[jax.Array]) -> jax.Array:
    """The table [V, D] joined from copies that began at ``start`` and added up c = ``totals[r]``.

    totals: [V] of each copy r.

    >>> start, moved = jnp.zeros((2, 1)), jnp.ones((2, 1))
    >>> rare_and_frequent = jnp.asarray([1e-4, 1e4])
    >>> print(join(start, [moved, moved], [rare_and_frequent] * 2).ravel().round(3))
    [2. 1.]
    """
    way = sum(-jnp.expm1(-c) for c in totals)
    together = -jnp.expm1(-sum(totals))
    # a row that no copy moved has a change of 0, and any gamma
    gamma = jnp.where(way > 0, together / jnp.where(way > 0, way, 1), 1)
    change = sum((copy - start for copy in copies[1:]), copies[0] - start)
    return start + gamma[:, None].astype(start.dtype) * change


def mean(start: jax.Array, copies: Sequence[jax.Array], active: jax.Array) -> jax.Array:
    """The mean of the copies that trained in this round; the others are still at ``start``."""
    change = sum((copy - start for copy in copies[1:]), copies[0] - start)
    return start + change / active.astype(start.dtype)


def join_states(
    start: Params, states: tuple[State, ...], active: jax.Array
) -> tuple[Params, tuple[State, ...]]:
    """The joined params, and the states that begin there with their counts at 0.

    ``active`` of the copies trained in this round.
    """
    params = joined_params(start, states, active, lambda table: table, lambda leaf: [leaf])
    return params, tuple(
        State(jax.tree.map(jnp.copy, params), cleared(state.optimizer)) for state in states
    )


def joined_params(
    start: Params,
    states: Sequence[State],
    active: jax.Array,
    rows: Callable[[jax.Array], jax.Array],
    copies: Callable[[jax.Array], Iterable[jax.Array]],
) -> Params:
    """The rows of the joined params. States whose optimizer counts nothing get the mean.

    Args:
        start: the params at the start of the round, [V, D] each.
        states: of the copies, or of the turns of several devices.
        active: how many copies trained in this round.
        rows: table of ``start`` -> the rows of it that are joined here.
        copies: array of a state -> these rows of it, for each copy that it holds.
    """
    counted = [found for state in states if (found := totals_of(state.optimizer)) is not None]
    counts = [one for found in counted for one in copies(found)]
    joined = []
    for at, table in enumerate(start):
        tables = [one for state in states for one in copies(state.params[at])]
        totals = [one[:, at] for one in counts]
        before = rows(table)
        joined.append(join(before, tables, totals) if totals else mean(before, tables, active))
    return Params(*joined)


_join_states = jax.jit(join_states, donate_argnums=(0, 1))


@cached
def join_on(mesh: Mesh) -> Any:
    """:func:`join_states` for the turns of several devices, compiled. It also shares the notes.

    (start, states, active, notes [devices, ...]) -> (params, states, the notes on every device).
    """
    devices = mesh.size

    def padded(leaf: jax.Array) -> jax.Array:
        return jnp.pad(leaf, ((0, -leaf.shape[0] % devices), *[(0, 0)] * (leaf.ndim - 1)))

    def rows(table: jax.Array) -> jax.Array:
        size = -(-table.shape[0] // devices)
        begin = jax.lax.axis_index(AXIS) * size
        return jax.lax.dynamic_slice_in_dim(padded(table), begin, size)

    def exchanged(leaf: jax.Array) -> Iterable[jax.Array]:
        """This device's rows of every copy of one turn."""
        parts = padded(leaf[0]).reshape(devices, -1, *leaf.shape[2:])
        return list(jax.lax.all_to_all(parts, AXIS, 0, 0))

    def local(
        start: Params, states: tuple[State, ...], active: jax.Array, notes: jax.Array
    ) -> tuple[Params, tuple[State, ...], jax.Array]:
        own = joined_params(start, states, active, rows, exchanged)
        params = Params(
            *(
                jax.lax.all_gather(part, AXIS, tiled=True)[: len(table)]
                for part, table in zip(own, start, strict=True)
            )
        )
        each = jax.tree.map(lambda table: table[None], params)
        begun = tuple(State(each, cleared(state.optimizer)) for state in states)
        return params, begun, jax.lax.all_gather(notes[0], AXIS)

    specs = (REPLICATED, SHARDED, REPLICATED, SHARDED)
    spread = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=specs,
        out_specs=(REPLICATED, SHARDED, REPLICATED),
        check_vma=False,
    )
    return jax.jit(spread, donate_argnums=(0, 1))


class Workers:
    """Runs the program of a chunk for each copy. A context manager.

    On one device, each copy has a thread. Several devices run the program at the same time.
    """

    def __init__(
        self, program: ChunkProgram, copies: int, tables: Tables, keep: jax.Array, mesh: Mesh | None
    ):
        self._program, self._mesh = program, mesh if trains_copies(mesh) else None
        self._given = (tables, keep) if mesh is None else replicated(mesh, (tables, keep))
        # a thread does not inherit it
        self._wide = jnp.result_type(float) == jnp.float64
        threads = copies > 1 and self._mesh is None
        self._threads = ThreadPoolExecutor(copies, "w2vjax-copy") if threads else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown()

    def train(
        self, copies: Copies, chunks: Sequence[Chunk], active: int, requests: Sequence[int] = ()
    ) -> tuple[Copies, Any]:
        """One round: copy r trains ``chunks[r]``. The last round may have fewer chunks.

        Args:
            copies: the state before the round.
            chunks: of :func:`chunks_on`.
            active: how many copies train.
            requests: whole numbers that this process tells all processes, such as "stop".

        Returns:
            The joined copies, and reports for :func:`read_reports`. On several devices, the reports
            hold the requests of every process.
        """
        if self._mesh is not None:
            return self._train_on_devices(self._mesh, copies, chunks, active, requests)
        if self._threads is None or copies.start is None:
            state, progress = self._program(copies.states[0], *self._given, *chunks[0])
            return Copies(None, (state,)), [progress]

        def run(state: State, chunk: Chunk) -> tuple[State, Progress]:
            # waits for the end: a CPU runs a program in the thread that waits for it
            with jax.enable_x64(self._wide):
                done: tuple[State, Progress] = jax.block_until_ready(
                    self._program(state, *self._given, *chunk)
                )
            return done

        done = list(self._threads.map(run, copies.states, chunks))
        states = [*(state for state, _ in done), *copies.states[len(done) :]]
        start, joined = _join_states(copies.start, tuple(states), np.float32(active))
        return Copies(start, joined), [progress for _, progress in done]

    def _train_on_devices(
        self,
        mesh: Mesh,
        copies: Copies,
        chunks: Sequence[Chunk],
        active: int,
        requests: Sequence[int],
    ) -> tuple[Copies, Any]:
        done = [
            self._program(state, *self._given, *chunk)
            for state, chunk in zip(copies.states, chunks, strict=False)
        ]
        states = [*(state for state, _ in done), *copies.states[len(done) :]]
        wished = stacked(mesh, lambda _: np.asarray(requests, np.int32))
        notes = _noted([each for _, each in done], wished)
        given = copies.start, tuple(states), np.float32(active), notes
        start, joined, shared = join_on(mesh)(*given)
        return Copies(start, joined), Noted(done[-1][1], shared, len(done))


class Noted(NamedTuple):
    """What a round on several devices reports."""

    own: Progress  # of the last turn; it is ready when this process has trained
    notes: jax.Array  # [devices, 5 * turns + requests] int32; floats keep their bits
    turns: int


@jax.jit
def _noted(reports: list[Progress], requests: jax.Array) -> jax.Array:
    """[devices, 5 * turns + requests] int32."""

    def bits(leaf: jax.Array) -> jax.Array:
        return jax.lax.bitcast_convert_type(leaf, jnp.int32)

    numbers = [bits(leaf) for each in reports for leaf in each]
    return jnp.concatenate([jnp.stack(numbers, 1), requests], 1)


def own_part(reports: Any) -> Any:
    """The part of the reports that is ready before the other processes have trained."""
    return reports.own if isinstance(reports, Noted) else reports


def read_reports(reports: Any) -> tuple[list[Progress], np.ndarray | None]:
    """(the Progress of each copy, the requests [devices, ...]) at the end of a round."""
    if not isinstance(reports, Noted):
        return list(jax.block_until_ready(reports)), None
    notes = np.asarray(reports.notes)
    kinds = (np.float32, np.float32, np.int32, np.int32, np.int32)
    progress = [
        Progress(*(row[at : at + 1].view(kind)[0] for at, kind in enumerate(kinds, turn)))
        for turn in range(0, reports.turns * len(kinds), len(kinds))
        for row in notes
    ]
    return progress, notes[:, reports.turns * len(kinds) :]
