"""Before the first step: tables, schedule, feed and program of a run."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from w2vjax.corpus.encode import Corpus
from w2vjax.devices import tables as split
from w2vjax.devices.feed import CHUNK, Feed, chunks_on, feed, longest_call
from w2vjax.devices.mesh import (
    REPLICATED,
    SHARDED,
    copies_on,
    memory_for_tables,
    on_accelerator,
    own_device,
    trains_copies,
)
from w2vjax.devices.tracing import check_objective, check_schedule
from w2vjax.errors import SettingError, shown
from w2vjax.lazy import cached
from w2vjax.objectives.bounds import totals_of
from w2vjax.objectives.model import init_params
from w2vjax.real import true_or_false
from w2vjax.training import methods
from w2vjax.training.methods import Method, completed, make_objective
from w2vjax.training.settings import Complete, Settings, changed, objective_name
from w2vjax.training.step import Program, Recipe, State, schedule_argument, schedule_as_it_is_now
from w2vjax.training.updates import check_optimizer, linear_decay
from w2vjax.types import Objective, OptimizerMaker, Params, ScalarOrSchedule
from w2vjax.windows.sampling import keep_probabilities, keep_thresholds, text_counts


class Run(NamedTuple):
    """Everything a run needs before its first step; what :func:`set_up` makes.

    Beside the settings, the feed and the recipe: ``steps``, expected of the first copy in all;
    the first ``state``; the ``tables`` of the objective; ``keep`` [V], thresholds of subsampling;
    ``occurrences`` [V], how often the text has each word.
    """

    settings: Complete
    feed: Feed
    recipe: Recipe
    steps: int
    state: State
    tables: Any
    keep: jax.Array
    occurrences: np.ndarray

    def __repr__(self) -> str:
        settings, words = self.settings, len(self.feed.corpus.vocab)
        return (
            f"Run({settings.model}, {objective_name(settings.objective)}, {words:,} words x "
            f"{settings.dim}, {self.feed.words:,} words in an epoch, {self.steps:,} steps)"
        )


def expected_steps(feed: Feed, occurrences: np.ndarray, settings: Complete) -> int:
    """Steps of the first copy in the whole run, from the words that subsampling should keep.

    The schedule follows from it. What is kept differs by chance, by a thousandth or so.
    """
    keep = keep_probabilities(feed.corpus.counts, settings.sample)
    share = float((occurrences * keep).sum() / max(occurrences.sum(), 1))
    sizes = np.full(feed.chunks, feed.size)
    sizes[-1] = feed.words - feed.size * (feed.chunks - 1)
    steps = np.ceil(sizes * share / settings.batch_words)
    return settings.epochs * int(steps[:: feed.copies].sum())


def copies_of(mesh: Mesh | None, copies: int | None, optimizer: OptimizerMaker) -> int | None:
    """The copies of a run, by number, mesh or optimizer. None: as the text and the device say.

    A join of copies needs an optimizer that counts how far its steps go. Others train one copy.
    """
    found = copies_on(mesh, copies)
    if found is not None:
        return found
    table = jax.ShapeDtypeStruct((1, 1), jnp.float32)
    state = jax.eval_shape(optimizer(linear_decay(1.0, 1)).init, Params(table, table))
    return 1 if totals_of(state) is None else None


@cached  # a run asks before it reads, and again when it is set up
def check_optimizer_maker(make: OptimizerMaker, dtype: str = "float32") -> None:
    """Raise SettingError unless ``make(schedule)`` is an optimizer of tables of this dtype."""
    try:
        made = make(linear_decay(0.1, 1)) if callable(make) else make
    except (AttributeError, TypeError, ValueError) as error:
        made = error
    if not (callable(make) and isinstance(made, optax.GradientTransformation)):
        raise SettingError(
            "The optimizer has to be a function of the schedule that returns an optax "
            f"transformation, and {'gives' if callable(make) else 'is'} {shown(made)}. "
            "Write optimizer=lambda schedule: w2vjax.dense(optax.adam(schedule)), with the "
            "transformation that you want, and give its rate as learning_rate."
        )
    table = jax.ShapeDtypeStruct((9, 2), dtype)
    check_optimizer(made, Params(table, table))


def check_run_mesh(mesh: Mesh | None, settings: Complete) -> None:
    """Raise SettingError for a mesh that does not divide what the settings make of a step."""
    groups = settings.batch_words // settings.block_words
    split.check_mesh(
        mesh, settings.copies, settings.dim, groups, objective_name(settings.objective)
    )


def measured(run_feed: Feed, settings: Complete, logged: bool = True) -> tuple[int, int]:
    """(groups, every): the loss is computed on ``groups`` groups of one step in ``every``."""
    steps = run_feed.room // settings.batch_words
    groups = settings.batch_words // settings.block_words
    if logged and run_feed.chunks == 1 and run_feed.words <= CHUNK:
        return groups, max(1, min(32, steps // 8))  # fewer losses would be noise in a log
    return max(1, groups // 8), max(1, min(32, steps // 4))


def _feed_of(
    corpus: Corpus, settings: Complete, method: Method, mesh: Mesh | None
) -> tuple[Complete, Feed]:
    """The feed of a run. With a mesh of copies, the settings get the number of copies."""
    copies = copies_of(mesh, settings.copies, method.optimizer)
    if trains_copies(mesh):
        settings = replace(settings, copies=copies)  # the result depends on it
    words, dim = len(corpus.vocab), settings.dim
    table_bytes = 2 * words * dim * jnp.dtype(settings.dtype).itemsize
    split.check_memory(memory_for_tables(own_device(mesh)), table_bytes, dim, copies or 1, mesh)
    sizes = settings.held_out, settings.batch_words, copies, words
    most = longest_call(objective_name(settings.objective), words, dim, settings.window)
    return settings, feed(corpus, *sizes, most=most, mesh=mesh, join_words=settings.join_words)


def set_up(
    corpus: Corpus,
    settings: Settings,
    method: Method | None = None,
    *,
    schedule: ScalarOrSchedule | None = None,
    start: Params | None = None,
    mesh: Mesh | None = None,
    deterministic: bool = False,
) -> Run:
    """Tables, optimizer and shapes of a run. Nothing is trained or compiled yet.

    Args:
        corpus: the text as ids.
        settings: of the run. Complete ones, as a Run has, may stand beside a schedule.
        method: the shipped one of the settings' model and objective unless another is given. Then
            its names count.
        schedule: step -> learning rate, or one rate. Default: a linear fall over the run's steps.
        start: tables to go on from, [V, D] each.
        mesh: devices with the axis "copy", or with some of "data", "dim" and "vocabulary".
        deterministic: equal bits on a GPU too.

    Returns:
        The run before its first step.

    Raises:
        CorpusError: the corpus has no two words to train on.
        SettingError: the settings cannot work, alone or together.

    >>> from w2vjax.corpus.encode import prepare
    >>> set_up(prepare([["a", "rose", "is", "a", "rose"]] * 9), Settings(dim=8, epochs=2))
    Run(skip-gram, negative, 3 words x 8, 45 words in an epoch, 2 steps)
    """
    true_or_false("deterministic", deterministic)
    check_schedule(schedule, None if isinstance(settings, Complete) else settings.learning_rate)
    method = method or methods.method(
        *(settings.model, settings.objective, len(corpus.ids), settings.epochs),
        *(copies_on(mesh, settings.copies), settings.negatives, settings.window),
    )
    settings = changed(settings, {"model": method.model, "objective": method.objective})
    settings = completed(settings, method, on_accelerator(mesh))
    check_run_mesh(mesh, settings)
    check_optimizer_maker(method.optimizer, settings.dtype)
    start = split.check_start(start, settings.dtype, (len(corpus.vocab), settings.dim))
    counts = corpus.counts
    noise = settings.negatives, settings.noise_exponent, len(corpus.ids)
    alone = mesh is None or trains_copies(mesh)  # a kernel of ours cannot be divided
    platform = own_device(mesh).platform if alone else "cpu"
    objective = make_objective(settings.objective, *noise, settings.model, platform)
    settings, run_feed = _feed_of(corpus, settings, method, mesh)
    occurrences = text_counts(corpus.ids, len(counts))
    steps = expected_steps(run_feed, occurrences, settings)
    if steps > (most := np.iinfo(np.int32).max):
        cause = f"{steps:,} steps are more than the {most:,} that a run can count"
        raise SettingError(f"{cause}. Use fewer epochs or a larger batch_words.")
    usual: Any = linear_decay(settings.learning_rate, steps)
    recipe = Recipe(
        objective,
        method.windows,
        method.optimizer,
        usual if schedule is None else schedule_as_it_is_now(schedule),
        settings.window,
        settings.batch_words // settings.block_words,
        settings.block_words,
        method.reach,
        method.embed_backward,
        deterministic,
        *measured(run_feed, settings),
        mesh,
        own_device(mesh).platform,
    )
    state = first_state(recipe, settings, len(corpus.vocab), start)
    keep = keep_thresholds(counts, settings.sample)
    tables = objective.init(counts)
    if isinstance(settings.objective, Objective):
        shape = recipe.groups, settings.block_words
        shapes = jax.eval_shape(lambda *given: given, tables, state.params)
        check_objective(objective, method.windows, shape, settings.window, *shapes)
    return Run(settings, run_feed, recipe, steps, state, tables, keep, occurrences)


def first_state(recipe: Recipe, settings: Settings, words: int, start: Params | None) -> State:
    """The first state of a run: ``start`` or drawn params, placed on the recipe's mesh."""
    mesh = None if trains_copies(recipe.mesh) else recipe.mesh  # copies are made later
    shape = split.rows_of(mesh, words), settings.dim
    if start is not None and mesh is None:
        # a copy, for the caller's tables are not donated
        given = jax.tree.map(lambda t: jnp.array(t, settings.dtype, copy=True), start)
        return State(given, recipe.optimizer.init(given))
    if start is not None and mesh is not None:
        start = jax.tree.map(partial(split.divided, mesh, shape, settings.dtype), start)
    begin = _begin(recipe.make_optimizer, shape, settings.dtype, mesh)
    state: State = begin(schedule_argument(recipe), np.uint32(settings.seed), start)
    return state


def of_words(run: Run, tree: object) -> Any:
    """Arrays of a run without the rows that only make the shares of devices equal."""
    return split.cut(tree, run.state.params.input.shape[0], len(run.feed.corpus.vocab))


# One program: to compile each operation alone would take longer than to fill the tables.
@cached
def _begin(
    make_optimizer: OptimizerMaker, shape: tuple[int, int], dtype: str, mesh: Mesh | None
) -> Any:
    """(schedule, seed, params to start from) -> the first state. Each device makes its share."""

    def begin(schedule: ScalarOrSchedule, seed: jax.Array, params: Params | None) -> State:
        if params is None:
            params = drawn_params(seed, shape, dtype)
        state = State(params, make_optimizer(schedule).init(params))
        return state if mesh is None else split.kept_in_place(mesh, state, shape)

    return jax.jit(begin)


def drawn_params(seed: jax.Array, shape: tuple[int, int], dtype: str) -> Params:
    """The first params of a run, [V, D] each, which follow from its seed. Jit-able."""
    return init_params(jax.random.fold_in(jax.random.key(seed), 2**31), *shape, dtype)


def lower(run: Run, program: Program) -> Any:
    """The run's program, traced and lowered for its shapes: ``.compile()`` it, or hash its text."""
    mesh = run.recipe.mesh
    given: tuple[Any, ...] = (run.state, run.tables, run.keep)
    if trains_copies(mesh):

        def like(leaf: jax.Array, spec: PartitionSpec, *rows: int) -> jax.ShapeDtypeStruct:
            sharding = NamedSharding(mesh, spec)
            return jax.ShapeDtypeStruct((*rows, *leaf.shape), leaf.dtype, sharding=sharding)

        state = jax.tree.map(lambda leaf: like(leaf, SHARDED, mesh.size), run.state)
        given = state, *jax.tree.map(lambda leaf: like(leaf, REPLICATED), given[1:])
    return program.lower(*given, *chunks_on(mesh, run.feed, 0, 0, range(1))[0])
