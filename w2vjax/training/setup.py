"""Before the first step: tables, schedule, feed and program of a run."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from w2vjax.corpus.encode import Corpus
from w2vjax.errors import SettingError
from w2vjax.lazy import kept
from w2vjax.objectives.model import init_params
from w2vjax.training import methods
from w2vjax.training.copies import chunks_on, counts_of
from w2vjax.training.devices import EACH, WHOLE, own_device, replicated, trains_copies
from w2vjax.training.feed import CHUNK, Feed, feed, longest_call, memory
from w2vjax.training.methods import Method, completed, make_objective
from w2vjax.training.settings import Complete, Settings, changed, objective_name
from w2vjax.training.step import Program, Recipe, State, schedule_argument
from w2vjax.training.updates import check_optimizer, linear_decay
from w2vjax.types import OptimizerMaker, Params, ScalarOrSchedule
from w2vjax.windows.sampling import keep_probabilities, keep_thresholds

# Programs that took fewer seconds to compile are not written to disk, and JAX's own number for it.
_WORTH_KEEPING, _WORTH_KEEPING_TO_JAX = 0.1, 1.0


class Run(NamedTuple):
    """Everything a run needs before its first step; what :func:`set_up` makes."""

    settings: Complete
    feed: Feed
    recipe: Recipe
    steps: int  # expected, of the whole run and one copy of the tables
    state: State
    tables: Any
    keep: jax.Array

    def __repr__(self) -> str:
        settings, words = self.settings, len(self.feed.corpus.vocab)
        return (
            f"Run({settings.model}, {objective_name(settings.objective)}, {words:,} words x "
            f"{settings.dim}, {self.feed.words:,} words in an epoch, {self.steps:,} steps)"
        )


def expected_steps(feed: Feed, counts: np.ndarray, settings: Complete) -> int:
    """Steps of one copy in the whole run, from the words that subsampling is expected to keep.

    What it keeps differs by chance, by a thousandth of the total; the schedule is built on this
    number.
    """
    share = float(
        (counts * keep_probabilities(counts, settings.sample)).sum() / max(counts.sum(), 1)
    )
    sizes = np.full(feed.chunks, feed.size)
    sizes[-1] = feed.words - feed.size * (feed.chunks - 1)
    steps = np.ceil(sizes * share / settings.batch_words).sum() / feed.copies
    return int(np.ceil(settings.epochs * steps))


def counts_steps(optimizer: OptimizerMaker, learning_rate: float) -> bool:
    """Whether an optimizer counts how far its steps go. A join of copies needs it."""
    table = jax.ShapeDtypeStruct((1, 1), jnp.float32)
    state = jax.eval_shape(optimizer(linear_decay(learning_rate, 1)).init, Params(table, table))
    return counts_of(state) is not None


def check_optimizer_maker(make: OptimizerMaker) -> None:
    """Raise SettingError unless ``make(schedule)`` is an optimizer for row gradients."""
    made = make(linear_decay(0.1, 1)) if callable(make) else None
    if not isinstance(made, optax.GradientTransformation):
        raise SettingError(
            "The optimizer has to be a function of the schedule that returns an optax "
            "transformation. Write optimizer=lambda schedule: w2vjax.dense(optax.adam(schedule))."
        )
    table = jax.ShapeDtypeStruct((9, 2), jnp.float32)
    check_optimizer(made, Params(table, table))


def on_accelerator(mesh: Mesh | None) -> bool:
    """Whether a run is on a GPU or TPU."""
    device = own_device(mesh if isinstance(mesh, Mesh) else None)
    return bool(device.platform != "cpu")


def check_mesh(mesh: Mesh | None, settings: Complete) -> None:
    """Raise SettingError for a mesh that does not divide the tables or the groups of a step."""
    if mesh is None:
        return
    if isinstance(mesh, Mesh) and trains_copies(mesh):
        if settings.copies is not None and settings.copies % mesh.size:
            raise SettingError(
                f"copies={settings.copies} cannot be shared out to {mesh.size} devices. Use a "
                f"multiple of {mesh.size}, or leave it out."
            )
        return
    if not isinstance(mesh, Mesh) or set(mesh.axis_names) != {"data", "dim"}:
        axes = f"a mesh of {mesh.axis_names}" if isinstance(mesh, Mesh) else repr(mesh)[:60]
        raise SettingError(
            f'A mesh needs the axis "copy", or the two axes "data" and "dim", and this is {axes}. '
            'Use jax.sharding.Mesh(devices, ("copy",)).'
        )
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise SettingError(
            f"A mesh needs axes of the type Auto, and this has {mesh.axis_types}. Use "
            'jax.sharding.Mesh(devices, ("data", "dim")).'
        )
    if settings.copies not in (None, 1):
        raise SettingError(
            f"copies={settings.copies} cannot go with a mesh, whose devices train one copy of the "
            "tables. Leave it out."
        )
    groups = settings.batch_words // settings.block_words
    for name, number, what in (
        ("dim", settings.dim, f"dim={settings.dim}"),
        ("data", groups, f"the {groups} blocks of a step (batch_words / block_words)"),
    ):
        if number % mesh.shape[name]:
            raise SettingError(
                f'The axis "{name}" of the mesh has {mesh.shape[name]} devices, which do not '
                f"divide {what}. Use a multiple, or another mesh."
            )


def check_memory(
    have: int, table_bytes: int, dim: int, copies: int, mesh: Mesh | None = None
) -> None:
    """Raise SettingError if a device of ``have`` bytes cannot hold both tables; 0: it is not known.

    A device holds its copies, and what they were when they were last joined.

    >>> check_memory(80 * 10**9, 10**9, 100, 1)
    >>> check_memory(8 * 10**9, 10**10, 300, 1)
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: The tables take 10.0 GB of a device that has 8.0 GB. Use dim=240 ...
    """
    columns = 1 if mesh is None else dict(mesh.shape).get("dim", 1)
    own = -(-copies // (mesh.size if mesh is not None and trains_copies(mesh) else 1))
    needed = table_bytes // columns * (own + (copies > 1))
    if have and needed > have:
        raise SettingError(
            f"The tables take {needed / 1e9:.1f} GB of a device that has {have / 1e9:.1f} GB. Use "
            f'dim={dim * have // needed} or less, dtype="bfloat16", a higher min_count, fewer '
            'copies, or a mesh whose axis "dim" divides the columns.'
        )


def check_start(start: Params | None, shape: tuple[int, int]) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` for tables of another shape than the run's."""
    for name, table in () if start is None else start._asdict().items():
        if np.shape(table) != shape:
            raise SettingError(
                f"The start has an {name} table of shape {np.shape(table)}, and the run "
                f"{shape[0]} words of dim={shape[1]}. Grow the table first, or use its dim."
            )


def measured_every(place: Feed, settings: Complete) -> int:
    """Every how many steps the loss is computed: 32, or fewer if a chunk has few steps."""
    steps: int = place.size // settings.batch_words
    return max(1, min(32, steps // 4))


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
        settings: of the run.
        method: the shipped one of the settings' model and objective unless another is given. Then
            its names count.
        schedule: step -> learning rate, or one rate. Default: a linear fall over the run's steps.
        start: tables to go on from, [V, D] each.
        mesh: devices with the axis "copy", or with the axes "data" and "dim".
        deterministic: equal bits on a GPU too.

    Raises:
        SettingError: the settings cannot work, alone or together.
    """
    method = method or methods.method(
        settings.model, settings.objective, len(corpus.ids), settings.epochs
    )
    settings = changed(settings, {"model": method.model, "objective": method.objective})
    settings = completed(settings, method, on_accelerator(mesh))
    check_mesh(mesh, settings)
    check_optimizer_maker(method.optimizer)
    shape = (len(corpus.vocab), settings.dim)
    check_start(start, shape)
    counts = corpus.counts
    noise = settings.negatives, settings.noise_exponent
    objective = make_objective(settings.objective, *noise, len(corpus.ids))
    table_bytes = 2 * len(corpus.vocab) * settings.dim * jnp.dtype(settings.dtype).itemsize
    copies = settings.copies
    if mesh is not None and trains_copies(mesh):
        copies = copies or mesh.size
        settings = replace(settings, copies=copies)  # the result depends on it
    elif mesh is not None or (
        copies is None and not counts_steps(method.optimizer, settings.learning_rate)
    ):
        copies = 1
    check_memory(memory(own_device(mesh)), table_bytes, settings.dim, copies or 1, mesh)
    most = longest_call(
        objective_name(settings.objective), len(corpus.vocab), settings.dim, settings.window
    )
    place = feed(
        corpus,
        settings.held_out,
        settings.batch_words,
        copies,
        table_bytes,
        most=most,
        mesh=mesh,
        join_words=settings.join_words,
    )
    steps = expected_steps(place, counts, settings)
    usual: Any = linear_decay(settings.learning_rate, steps)
    groups = settings.batch_words // settings.block_words
    # a corpus of a few steps is measured whole: its log would be noise otherwise
    measured, every = (
        (groups, 1)
        if place.chunks == 1 and place.words <= CHUNK
        else (max(1, groups // 8), measured_every(place, settings))
    )
    recipe = Recipe(
        objective,
        method.windows,
        method.optimizer,
        usual if schedule is None else schedule,
        settings.window,
        groups,
        settings.block_words,
        method.reach,
        method.embed_backward,
        deterministic,
        measured,
        every,
        mesh,
        own_device(mesh).platform,
    )
    state = first_state(recipe, settings, shape, start)
    keep = keep_thresholds(counts, settings.sample)
    return Run(settings, place, recipe, steps, state, objective.init(counts), keep)


def first_state(
    recipe: Recipe, settings: Settings, shape: tuple[int, int], start: Params | None
) -> State:
    """The first state of a run: ``start`` or drawn params, placed on the recipe's mesh."""
    optimizer = recipe.optimizer
    mesh = None if trains_copies(recipe.mesh) else recipe.mesh  # copies are made later
    if start is None:
        draw = _draw_state(recipe.make_optimizer, shape, settings.dtype)
        state: State = draw(schedule_argument(recipe), np.uint32(settings.seed))
        if mesh is None:
            return state
    # a copy, for the caller's tables are not donated
    params = (
        state.params
        if start is None
        else jax.tree.map(lambda t: jnp.array(t, settings.dtype, copy=True), start)
    )
    if mesh is None:
        return State(params, optimizer.init(params))
    params = replicated(mesh, params, PartitionSpec(None, "dim"))
    return State(params, jax.jit(optimizer.init)(params))


# one program: its operations one by one would take longer to compile than the tables to fill
@kept
def _draw_state(make_optimizer: OptimizerMaker, shape: tuple[int, int], dtype: str) -> Any:
    """(schedule, seed) -> the first state."""

    def draw(schedule: ScalarOrSchedule, seed: jax.Array) -> State:
        params = drawn_params(seed, shape, dtype)
        return State(params, make_optimizer(schedule).init(params))

    return jax.jit(draw)


def drawn_params(seed: jax.Array, shape: tuple[int, int], dtype: str) -> Params:
    """The first params of a run, [V, D] each, which follow from its seed. Jit-able."""
    return init_params(jax.random.fold_in(jax.random.key(seed), 2**31), *shape, dtype)


def use_compile_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs in a folder, so that the next process need not compile them again.

    ``w2vjax train`` calls it. A program that cannot be written or read is compiled. Delete the
    folder whenever you like. Programs that compile in less than 0.1 s are not kept, unless
    jax_persistent_cache_min_compile_time_secs says another number.

    Args:
        folder: it is made if it is not there. Default: the folder that JAX uses already
            (JAX_COMPILATION_CACHE_DIR), or else ``w2vjax`` in XDG_CACHE_HOME or ~/.cache.

    Returns:
        The folder, or None if nothing can be written there. Then nothing is kept.
    """
    if folder is None and (given := getattr(jax.config, "jax_compilation_cache_dir", None)):
        return Path(given)
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "w2vjax")
    place = usual if folder is None else Path(folder)
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(place))
    least = "jax_persistent_cache_min_compile_time_secs"
    if getattr(jax.config, least) == _WORTH_KEEPING_TO_JAX and least.upper() not in os.environ:
        jax.config.update(least, _WORTH_KEEPING)
    reset_cache()  # JAX looks for the folder at its first compilation only
    return place


def lower(run: Run, program: Program) -> Any:
    """The run's program, traced and lowered for its shapes: ``.compile()`` it, or hash its text."""
    mesh = run.recipe.mesh
    given: tuple[Any, ...] = (run.state, run.tables, run.keep)
    if mesh is not None and trains_copies(mesh):

        def like(leaf: jax.Array, spec: PartitionSpec, *rows: int) -> jax.ShapeDtypeStruct:
            place = NamedSharding(mesh, spec)
            return jax.ShapeDtypeStruct((*rows, *leaf.shape), leaf.dtype, sharding=place)

        state = jax.tree.map(lambda leaf: like(leaf, EACH, mesh.size), run.state)
        given = state, *jax.tree.map(lambda leaf: like(leaf, WHOLE), given[1:])
    return program.lower(*given, *chunks_on(mesh, run.feed, 0, 0, range(1))[0])
