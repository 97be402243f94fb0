"""One compiled call of training: it takes a chunk of the corpus and makes hundreds of steps.

    ids [M] --lines--> segments --subsample--> tokens --blocks--> [B, T + 2*window]
    [B, T + 2*window] --windows--> Batch
    Batch --select--> Targets --backward--> gradients --optimizer--> params      (once a step)

Everything is drawn on the device from (seed, epoch, chunk, step). So a run repeats bit for bit and
can go on from any chunk. A chunk's end is treated as a line's end: windows do not reach over it.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from w2vjax import types
from w2vjax.devices import tables as split
from w2vjax.devices.compiling import compiler_options
from w2vjax.devices.mesh import on_each_device, trains_copies
from w2vjax.lazy import Now, as_it_is_now, cached
from w2vjax.objectives.bounds import cleared
from w2vjax.objectives.hidden import embed_backward, hidden_vectors
from w2vjax.objectives.model import bounded_backward, draw_targets
from w2vjax.training.updates import LinearDecay, apply_gradients
from w2vjax.types import Batch, Goal, Objective, Params, Tables
from w2vjax.windows.sampling import chunk_key, draw_reach, split_lines, subsample


class Recipe(NamedTuple):
    """What stays fixed during a run: the functions it is made of and the shapes of a step.

    A recipe has a hash, and equal recipes share a compiled program. Recipes that differ in the
    numbers of a :class:`~w2vjax.training.updates.LinearDecay` or of a constant rate share it too.

    Attributes:
        objective: loss and gradient of a batch.
        windows: (tokens [B, T + 2*window], segments, reach [B, T]) -> the batch.
        make_optimizer: schedule -> optax transformation, such as row_sgd.
        schedule: step -> learning rate, or one rate for all steps.
        window: the most words on either side of a center.
        groups: B, blocks in a step.
        block_words: T, consecutive words in a block.
        reach: (key, shape, window) -> how far each center looks, int32 of this shape.
        embed_backward: (d_hidden [B, T, D], inputs) -> the gradient of the input rows.
        deterministic: fixed order of additions on a GPU, by sorting.
        measured: the loss is computed on this many blocks. All would slow training by 10 %.
        every: the loss is computed once in this many steps.
        mesh: with the axis "copy", or those of devices/tables.py.
        platform: of the run's devices: it decides about compiler options.
    """

    objective: Objective
    windows: types.Windows
    make_optimizer: types.OptimizerMaker
    schedule: types.ScalarOrSchedule
    window: int = 5
    groups: int = 64
    block_words: int = 16
    reach: types.Reach = draw_reach
    embed_backward: types.EmbedBackward = embed_backward
    deterministic: bool = False
    measured: int = 4
    every: int = 1
    mesh: Mesh | None = None
    platform: str = "cpu"

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """The transformation that steps by the schedule."""
        return self.make_optimizer(self.schedule)


class State(NamedTuple):
    """``params`` and the state of the ``optimizer``: a pytree, donated to every call."""

    params: Params
    optimizer: Any

    def __repr__(self) -> str:
        leaves = jax.tree.leaves(tuple(self))
        return f"State({len(leaves)} arrays, {sum(np.size(leaf) for leaf in leaves):,} numbers)"


class Progress(NamedTuple):
    """What a chunk reports. Losses are sums: ``loss / pairs`` is nats a positive pair.

    ``words`` were kept after subsampling, for these ``steps``. ``failed`` is the first step that
    met a number which is not finite, -1 if there was none.
    """

    loss: jax.Array
    pairs: jax.Array
    words: jax.Array
    steps: jax.Array
    failed: jax.Array


def gradient_step(
    recipe: Recipe,
    state: State,
    tables: Tables,
    batch: Batch,
    key: jax.Array,
    measure: bool | jax.Array = True,
) -> tuple[State, jax.Array, jax.Array]:
    """One step on one batch: draw, select, backward, update. Pure, for a loop of your own.

    If a table or a score is not finite, the loss is NaN, even if ``measure`` is false. The
    optimizer then gets zeros, so row_sgd and row_adagrad move no row.

    Args:
        recipe: the functions and shapes. Its schedule has to fit the steps of your loop.
        state: the params and what the optimizer keeps.
        tables: what ``objective.init`` made of the counts.
        batch: inputs and positives.
        key: draws the targets.
        measure: whether to compute the loss.

    Returns:
        (state, loss, pairs). The loss before the step and its positive pairs, float32, are sums
        over the first ``recipe.measured`` blocks and those that share their targets. Both are 0 if
        ``measure`` is false.

    >>> from w2vjax.training.methods import method
    >>> from w2vjax.training.updates import row_sgd
    >>> from w2vjax.objectives.softmax import softmax
    >>> from w2vjax.windows.skipgram import block_batch, pairs
    >>> recipe = Recipe(softmax(), block_batch, row_sgd, 0.1)
    >>> params = Params(jnp.ones((4, 2)), jnp.zeros((4, 2)))
    >>> state = State(params, recipe.optimizer.init(params))
    >>> state, loss, _ = gradient_step(recipe, state, (), pairs([0], [1]), jax.random.key(0))
    >>> print(loss.round(4), state.params.output.sum().round(4))  # log 4; as much up as down
    1.3863 0.0
    """
    targets = draw_targets(recipe.objective, key, tables, batch)
    zero = jnp.zeros((), jnp.float32)
    loss, pairs = jax.lax.cond(
        measure,
        lambda params: measured_loss(recipe, params, batch, targets),
        lambda _: (zero, zero),
        state.params,
    )
    state, sound = descend(recipe, state, batch, targets, jnp.isfinite(loss))
    return state, jnp.where(sound, loss, jnp.nan), pairs


def descend(
    recipe: Recipe, state: State, batch: Batch, targets: Goal, sound: bool | jax.Array = True
) -> tuple[State, jax.Array]:
    """One step on one batch with its targets: backward, update.

    If a table or a score is not finite, or ``sound`` is false, the optimizer gets zeros.

    Returns:
        (state, sound): whether ``sound`` was true and all numbers of this step are finite.
    """
    mesh, params = recipe.mesh, state.params
    if split.count(mesh, split.VOCABULARY) > 1:
        params = params._replace(output=split.SplitTable(params.output, targets))
    gradients, bounds = bounded_backward(
        recipe.objective, params, batch, targets, recipe.embed_backward
    )
    # The bounds of hidden vectors are made of every row and every error of the step, so their sum
    # sees all that is not finite.
    sound &= jnp.isfinite(bounds.input.sum())
    if recipe.objective.bounded is None:  # bounds by weights have not seen the errors
        values = [leaf for leaf in jax.tree.leaves(gradients) if leaf.ndim == 2]
        sound &= jnp.isfinite(sum(leaf.sum() for leaf in values))
    gradients = jax.tree.map(
        lambda leaf: jnp.where(sound, leaf, jnp.zeros_like(leaf)) if leaf.ndim == 2 else leaf,
        gradients,
    )
    bounds = jax.tree.map(lambda leaf: jnp.where(sound, leaf, jnp.zeros_like(leaf)), bounds)
    if mesh is not None:
        split.check_rows(mesh, gradients)
        gradients, bounds = split.on_every_device(mesh, (gradients, bounds))
    given = state.optimizer, state.params, gradients, bounds, recipe.deterministic
    after = State(*apply_gradients(recipe.optimizer, *given))
    if mesh is not None:
        after = split.kept_in_place(mesh, after, state.params.input.shape)
    return after, sound


def measured_loss(
    recipe: Recipe, params: Params, batch: Batch, targets: Goal
) -> tuple[jax.Array, jax.Array]:
    """(loss, positive pairs), both summed over the first blocks of a batch, float32 scalars."""
    whole = batch.words.shape[0]
    together = max(1, math.lcm(batch.regrouped, recipe.objective.sharing(targets)))  # 0 if empty
    # windows that regroup have several groups in each block, such as one for each center
    wanted = recipe.measured * max(1, whole // recipe.groups)
    groups = min(whole, -(-wanted // together) * together)

    # an axis counts groups, or what some neighbouring groups share: see types.Batch and
    # types.Objective
    def first(leaf: jax.Array) -> jax.Array:
        return leaf[: groups * leaf.shape[0] // max(whole, 1)]

    part, few = jax.tree.map(first, (batch, targets))
    losses = recipe.objective.loss(hidden_vectors(params.input, part), params.output, few)
    return losses.sum(dtype=jnp.float32), part.weights.sum(dtype=jnp.float32)


def cut_streams(
    recipe: Recipe, tokens: jax.Array, segments: jax.Array, kept: jax.Array, key: jax.Array
) -> tuple[list[jax.Array], jax.Array]:
    """(streams, steps) of ``kept`` of M tokens: tokens, lines, reaches, B rows each; and steps.

    Row b is stream b with ``window`` words on either side, as long as the longest can be: a step
    then reads a slice of each row. key: what the reaches are drawn with.
    """
    size, window = recipe.groups * recipe.block_words, recipe.window
    length = -(-tokens.shape[0] // size) * recipe.block_words + 2 * window
    tokens = jnp.pad(tokens, (window, window + size))
    segments = jnp.pad(segments, (window, window + size), constant_values=-1)
    reach = recipe.reach(key, tokens.shape, window)
    steps = (kept + size - 1) // size
    starts = jnp.arange(recipe.groups, dtype=jnp.int32) * steps * recipe.block_words

    def cut(row: jax.Array) -> jax.Array:
        return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(row, start, length))(starts)

    return [cut(row) for row in (tokens, segments, reach)], steps


class Stream(NamedTuple):
    """What the steps of a chunk read, in the order of their numbers."""

    recipe: Recipe
    tables: Tables
    rows: list[jax.Array]  # from cut_streams
    drawn: Any  # the draws of all steps, or their key if the objective does not draw ahead

    def read(self, number: jax.Array) -> tuple[list[jax.Array], Any]:
        """What step ``number`` reads: three arrays [B, T + 2*window], and its draws or its key."""
        count = self.recipe.block_words
        wide = [
            jax.lax.dynamic_slice_in_dim(row, number * count, count + 2 * self.recipe.window, 1)
            for row in self.rows
        ]
        if not self.recipe.objective.ahead:
            return wide, jax.random.fold_in(self.drawn, number)
        return wide, jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False), self.drawn
        )

    def examples(self, found: tuple[list[jax.Array], Any]) -> tuple[Batch, Goal]:
        """The batch of a step and its targets, from what it read."""
        (words, lines, reach), random = found
        recipe, objective = self.recipe, self.recipe.objective
        batch = recipe.windows(words, lines, reach[:, : recipe.block_words])
        if recipe.mesh is not None:
            batch = jax.lax.with_sharding_constraint(batch, split.sharding(recipe.mesh, split.DATA))
        groups = batch.words.shape[:1]
        draws = random if objective.ahead else objective.draw(random, self.tables, groups)
        return batch, objective.select(draws, self.tables, batch.words, batch.weights)


def train_chunk(
    recipe: Recipe,
    chunk: int,
    state: State,
    tables: Tables,
    keep: jax.Array,
    piece: tuple[jax.Array, jax.Array, jax.Array],
    key: jax.Array,
) -> tuple[State, Progress]:
    """All steps of one piece of the text; jit with recipe and chunk static, state donated.

    The words that subsampling leaves are cut into B streams of equal length that are read in
    parallel, T words a step, so that a step's words come from B places of the text. Every word is a
    center exactly once; the last step is padded.

    Args:
        recipe: the functions and shapes.
        chunk: M, the most words of a piece.
        state: the params and what the optimizer keeps.
        tables: what ``objective.init`` made of the counts.
        keep: [V] uint32, from :func:`~w2vjax.windows.sampling.keep_thresholds`.
        piece: (ids, offset, count). The words are the ``count`` ids from ``offset`` on, of at least
            offset + M, int32. ``~id`` opens a line.
        key: all random numbers follow from it.
    """
    ids, offset, count = piece
    state = state._replace(optimizer=cleared(state.optimizer))
    tokens, segments = split_lines(jax.lax.dynamic_slice_in_dim(ids, offset, chunk), count)
    for_words, for_reaches, for_draws = jax.random.split(key, 3)
    tokens, segments, kept = subsample(for_words, tokens, segments, keep)
    rows, steps = cut_streams(recipe, tokens, segments, kept, for_reaches)
    most = -(-chunk // (recipe.groups * recipe.block_words))
    objective, shape = recipe.objective, (most, recipe.groups)
    drawn = objective.draw(for_draws, tables, shape) if objective.ahead else for_draws
    return all_steps(Stream(recipe, tables, rows, drawn), state, steps, kept)


def all_steps(
    stream: Stream, state: State, steps: jax.Array, kept: jax.Array
) -> tuple[State, Progress]:
    """The steps of a chunk, ``recipe.every`` of them between two losses.

    On a CPU, each step also reads the words of the next step, and the loop carries them, which puts
    them in memory. Otherwise XLA would fuse the slices into the masks, and read the words again for
    every entry of a mask. On a GPU, the fused form is faster than kernels that only slice.
    """
    recipe, every = stream.recipe, stream.recipe.every
    early = recipe.platform == "cpu"

    def step(number: jax.Array, carry: tuple[State, jax.Array, Any]) -> Any:
        state, failed, carried = carry
        carried = carried if early else stream.read(number)
        state, sound = descend(recipe, state, *stream.examples(carried), failed < 0)
        failed = jnp.where((failed < 0) & ~sound, number, failed)
        return state, failed, stream.read(number + 1) if early else ()

    def block(i: jax.Array, carry: tuple[State, Progress, Any]) -> Any:
        """``every`` steps, or those that are left. The loss is that of the first step.

        The steps depend on the loss. Otherwise XLA would copy both tables to compute it.
        """
        state, progress, carried = carry
        number = i * every
        found = carried if early else stream.read(number)
        if not recipe.objective.ahead:  # the first step draws by this key again, as it should
            found = found[0], jax.random.clone(found[1])
        loss, pairs = measured_loss(recipe, state.params, *stream.examples(found))
        failed = jnp.where((progress.failed < 0) & ~jnp.isfinite(loss), number, progress.failed)
        state, failed, carried = jax.lax.fori_loop(
            number, jnp.minimum(number + every, steps), step, (state, failed, carried)
        )
        loss = progress.loss + jnp.where(failed < 0, loss, jnp.nan)
        return state, Progress(loss, progress.pairs + pairs, kept, steps, failed), carried

    zero = jnp.zeros((), jnp.float32)
    start = Progress(zero, zero, kept, steps, jnp.int32(-1))
    first = stream.read(jnp.int32(0)) if early else ()
    state, progress, _ = jax.lax.fori_loop(0, -(-steps // every), block, (state, start, first))
    return state, progress


@dataclass(frozen=True)
class Program:
    """What :func:`compile_chunk` returns: ``jitted(schedule, *arguments)`` -> (state, progress)."""

    jitted: Any
    schedule: Any

    def __call__(self, *arguments: Any) -> tuple[State, Progress]:
        """Train one chunk: (state, tables, keep, ids, offset, count, chunk_seed)."""
        done: tuple[State, Progress] = self.jitted(self.schedule, *arguments)
        return done

    def lower(self, *arguments: Any) -> Any:
        """The program for arguments of these shapes, traced and lowered."""
        return self.jitted.lower(self.schedule, *arguments)


def schedule_argument(recipe: Recipe) -> Any:
    """The schedule as a pytree. A function of your own is its structure, and no leaf."""
    schedule = schedule_as_it_is_now(recipe.schedule)
    return jax.tree_util.Partial(schedule) if isinstance(schedule, Now) else schedule


def schedule_as_it_is_now(schedule: types.ScalarOrSchedule) -> types.ScalarOrSchedule:
    """A run asks once, so that its log has the rates of its program."""
    given: Any = schedule  # a LinearDecay keeps its class
    plain = not callable(given) or isinstance(given, LinearDecay)
    found: types.ScalarOrSchedule = given if plain else as_it_is_now(given)
    return found


@jax.jit
def _rate_at(schedule: types.ScalarOrSchedule, step: jax.Array) -> jax.typing.ArrayLike:
    return schedule(step) if callable(schedule) else schedule


def rate_at(recipe: Recipe, step: int) -> float:
    """The learning rate of a step."""
    return float(_rate_at(schedule_argument(recipe), np.int32(step)))


@cached
def _jitted(recipe: Recipe, chunk: int) -> Any:
    mesh = None if trains_copies(recipe.mesh) else recipe.mesh

    def program(schedule: types.ScalarOrSchedule, state: State, *arguments: Any) -> Any:
        made = recipe._replace(schedule=schedule, mesh=mesh)
        tables, keep, *piece, seed = arguments
        return train_chunk(made, chunk, state, tables, keep, tuple(piece), chunk_key(seed))

    if recipe.mesh is not None and mesh is None:
        program = on_each_device(recipe.mesh, program)
    options = compiler_options(recipe.platform, recipe.deterministic)
    return jax.jit(program, donate_argnums=1, compiler_options=options)


def compile_chunk(recipe: Recipe, chunk: int) -> Program:
    """:func:`train_chunk` compiled for one recipe and size, at its first call.

    The program overwrites the state that it is given. It has compiler options of its own, so it
    cannot be part of another ``jit``: take train_chunk for that. Equal recipes and sizes share one
    compiled program.

    Args:
        recipe: the functions and shapes.
        chunk: M, the most words of a piece.

    Returns:
        (state, tables, keep, ids, offset, count, chunk_seed) -> (state, progress).

    >>> from w2vjax.corpus.encode import prepare
    >>> from w2vjax.training.settings import Settings
    >>> from w2vjax.training.setup import set_up
    >>> run = set_up(prepare([["a", "rose", "is", "a", "rose"]] * 9), Settings(dim=8, sample=0))
    >>> program, seed = compile_chunk(run.recipe, run.feed.room), np.array([0, 0, 0], np.uint32)
    >>> state, progress = program(run.state, run.tables, run.keep, *run.feed.chunk(0), seed)
    >>> progress.words.item(), progress.steps.item()
    (45, 1)
    """
    # one program for all schedules of a kind
    return Program(_jitted(recipe._replace(schedule=0.0), chunk), schedule_argument(recipe))
