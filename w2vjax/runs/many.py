"""Many small models of one corpus, which differ in seed or rate, trained by one program."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.corpus.encode import Corpus
from w2vjax.corpus.sources import Source
from w2vjax.devices.compiling import compiler_options
from w2vjax.devices.mesh import require_backend
from w2vjax.errors import CorpusError, DivergedError, SettingError, shown
from w2vjax.lazy import cached
from w2vjax.objectives.untrained import Untrained
from w2vjax.runs.arguments import Arguments, Keywords, arguments_of
from w2vjax.runs.checkpoint import Position
from w2vjax.runs.loop import check_arguments, make_run, read_corpus
from w2vjax.runs.watch import Watch, remedy, untrained_beside
from w2vjax.threads import usable_cores
from w2vjax.training.setup import Run, drawn_params, measured
from w2vjax.training.step import Progress, Recipe, State, schedule_argument, train_chunk
from w2vjax.training.updates import linear_decay
from w2vjax.types import Params, Tables
from w2vjax.windows.sampling import chunk_key

# Keywords of ``train`` that say something of one run, or how it is divided.
_OF_ONE_RUN = (
    *("seed", "learning_rate", "copies", "join_words", "devices", "mesh", "start"),
    *("checkpoint", "progress", "log", "log_every", "callback", "on_epoch"),
)


class TakesMany(Protocol[Keywords]):
    """The signature of :func:`train_many`, with the keywords of a run by name."""

    def __call__(
        self,
        corpus: Any = None,
        seeds: Sequence[int] | np.ndarray | None = ...,
        learning_rates: Sequence[float] | np.ndarray | None = None,
        *_: Keywords.args,
        **keywords: Keywords.kwargs,
    ) -> Params: ...


def _typed(
    made: Callable[Keywords, Arguments],
) -> Callable[[Callable[..., Params]], TakesMany[Keywords]]:
    """Show a type checker the fields of :class:`~w2vjax.runs.arguments.Arguments`."""
    del made
    return lambda act: cast(TakesMany[Keywords], act)


@_typed(Arguments)
def train_many(
    corpus: "Source | Corpus" = None,
    seeds: Sequence[int] | np.ndarray | None = None,
    learning_rates: Sequence[float] | np.ndarray | None = None,
    **keywords: Any,
) -> Params:
    """The tables of many models: those of ``train(corpus, seed=..., learning_rate=..., copies=1)``.

    All models are trained in one call, so small ones do not wait for Python. A CPU trains them one
    after the other, each core its share. A GPU trains them side by side, by ``jax.vmap``.

    Args:
        corpus: as in :func:`~w2vjax.runs.loop.train`.
        seeds: one for each model. None for 0 to 9, or for 0 with each rate.
        learning_rates: one for each model. None for the usual rate.
        **keywords: of :func:`~w2vjax.runs.loop.train`, the same for all models. Not those of a
            single run: copies, join_words, devices, mesh, start, checkpoint, progress, log,
            log_every, callback, on_epoch.

    Returns:
        Params of [models, V, D]. Row v is word v of ``w2v.prepare(corpus, ...).vocab.words``, the
        words in the order of their counts.

    Raises:
        SettingError: there are no seeds, or not as many rates; a keyword is not known, or cannot
            work here.
        CorpusError, FileError: as in ``train``.
        DivergedError: models have diverged. The message names them.

    >>> text = [["a", "rose", "is", "a", "rose"]] * 20
    >>> train_many(text, seeds=[1, 2, 3], dim=4, epochs=2, min_count=1, sample=0).input.shape
    (3, 3, 4)
    """
    given = _arguments_of_each(seeds, learning_rates, keywords)
    job = make_run(read_corpus(corpus, given[0]), given[0])
    if (words := job.feed.words) > (most := np.iinfo(np.int32).max):
        cause = f"{words:,} words are more than the {most:,} that train_many can count"
        raise CorpusError(f"{cause}. Call train, or give less text.")
    untrained = untrained_beside(job)
    settings = job.settings
    # the losses only tell whether a model has diverged
    groups, every = measured(job.feed, settings, logged=False)
    recipe = job.recipe._replace(schedule=0.0, measured=groups, every=every)
    program = _program(recipe, job.feed.room, settings.dim, settings.dtype)
    ids = job.feed.all_ids()
    calls = [_call(job, ids, part) for part in _shares(given, job.recipe.platform)]
    program.lower(*calls[0]).compile()  # once, and not in each thread
    with ThreadPoolExecutor(len(calls), "w2vjax-many") as pool:
        done = list(pool.map(lambda call: jax.device_get(program(*call)), calls))
    params, progress = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(given)], *done)
    bad: list[tuple[str, DivergedError]] = []
    reports = itertools.starmap(Progress, zip(*progress, strict=True))
    for each, *tables, report in zip(given, *params, reports, strict=True):
        try:
            _judge(job, each, untrained, Params(*tables), report)
        except DivergedError as error:
            rate = "" if learning_rates is None else f", learning_rate={each.learning_rate}"
            bad.append((f"seed={each.seed}{rate}", error))
    if bad:
        (_, first), *others = bad
        more = f"{len(others)} more of {len(given)} have diverged"
        also = f" {more}: {'; '.join(name for name, _ in others)}." if others else ""
        raise DivergedError(f"{first}{also}") from first
    return Params(*params)


def _arguments_of_each(
    seeds: Sequence[int] | np.ndarray | None,
    learning_rates: Sequence[float] | np.ndarray | None,
    keywords: dict[str, Any],
) -> list[Arguments]:
    """The arguments of each model, checked."""
    require_backend()
    if jax.process_count() > 1:
        raise SettingError("train_many trains in one process. Call train, or start one process.")
    for name in _OF_ONE_RUN:
        if name in keywords:
            raise SettingError(
                f"{name} cannot go with train_many, whose models share one program. Leave it out, "
                "or call train."
            )
    for name, values in ("seeds", seeds), ("learning_rates", learning_rates):
        if values is not None and (np.asarray(values, object).ndim != 1 or not len(values)):
            raise SettingError(f"{name}={shown(values)} is no list of numbers. Use {name}=[1, 2].")
    if seeds is None:
        seeds = range(10) if learning_rates is None else [0] * len(learning_rates)
    rates = [None] * len(seeds) if learning_rates is None else list(learning_rates)
    if len(rates) != len(seeds):
        raise SettingError(
            f"{len(seeds)} seeds cannot go with {len(rates)} learning rates. Give a rate for each "
            "seed, or none."
        )
    given = [
        arguments_of({**keywords, "copies": 1, "seed": seed, "learning_rate": rate})
        for seed, rate in zip(seeds, rates, strict=True)
    ]
    check_arguments(given[0], None)
    for each in given[1:]:
        each.settings().check()
        each.check_values()
    return given


def _shares(given: list[Arguments], platform: str) -> list[list[Arguments]]:
    """The models of each core, as many for each: the last may train a model once more."""
    parts = min(len(given), usable_cores()) if platform == "cpu" else 1
    size = -(-len(given) // parts)
    shares = [given[begin : begin + size] for begin in range(0, len(given), size)]
    shares[-1] += shares[-1][-1:] * (size - len(shares[-1]))
    return shares


def _call(job: Run, ids: np.ndarray, share: list[Arguments]) -> tuple[Any, ...]:
    """The arguments of :func:`_program` for some models."""
    feed = job.feed

    def schedule(arguments: Arguments) -> Any:
        if arguments.schedule is not None:
            return schedule_argument(job.recipe)
        return linear_decay(arguments.learning_rate or job.settings.learning_rate, job.steps)

    schedules = jax.tree.map(lambda *leaves: np.stack(leaves), *map(schedule, share))
    begins = np.arange(0, feed.chunks * feed.size, feed.size, dtype=np.int32)
    counts = np.minimum(feed.size, feed.words - begins).astype(np.int32)
    seeds = np.array([arguments.seed for arguments in share], np.uint32)
    epochs = np.int32(job.settings.epochs)
    return schedules, seeds, epochs, job.tables, job.keep, ids, begins, counts


@cached
def _program(recipe: Recipe, size: int, dim: int, dtype: str) -> Any:
    """(schedules, seeds, epochs, tables, keep, ids, begins, counts) -> (params, progress).

    Schedules, seeds and results have an axis of the models in front. The loss is that of the last
    chunk, ``words`` are those of all, and ``failed`` is a step of the first chunk that met a number
    which is not finite.
    """

    def one(schedule: Any, seed: jax.Array, epochs: Any, tables: Tables, *text: Any) -> Any:
        keep, ids, begins, counts = text
        made, chunks = recipe._replace(schedule=schedule), len(begins)

        def train(number: jax.Array, carry: tuple[State, Progress]) -> tuple[State, Progress]:
            state, before = carry
            epoch, chunk = number // chunks, number % chunks
            piece = ids, begins[chunk], counts[chunk]
            key = chunk_key(jnp.stack([seed, epoch.astype(seed.dtype), chunk.astype(seed.dtype)]))
            state, progress = train_chunk(made, size, state, tables, keep, piece, key)
            failed = jnp.where(before.failed < 0, progress.failed, before.failed)
            return state, progress._replace(words=before.words + progress.words, failed=failed)

        params = drawn_params(seed, (len(keep), dim), dtype)
        zero, none = jnp.zeros((), jnp.float32), jnp.int32(0)
        start = Progress(zero, zero, none, none, jnp.int32(-1))
        state = State(params, made.optimizer.init(params))
        state, progress = jax.lax.fori_loop(0, epochs * chunks, train, (state, start))
        return state.params, progress

    def all_of(schedules: Any, seeds: jax.Array, *shared: Any) -> Any:
        if recipe.platform == "cpu":
            return jax.lax.map(lambda own: one(*own, *shared), (schedules, seeds))
        return jax.vmap(lambda *own: one(*own, *shared))(schedules, seeds)

    return jax.jit(all_of, compiler_options=compiler_options(recipe.platform, recipe.deterministic))


def _judge(
    job: Run,
    arguments: Arguments,
    untrained: Callable[[], Untrained | None],
    params: Params,
    progress: Progress,
) -> None:
    """Raise what ``train`` raises of a model that has diverged, or learned from no pair."""
    rate = arguments.learning_rate or job.settings.learning_rate
    job = job._replace(settings=replace(job.settings, seed=arguments.seed, learning_rate=rate))
    if arguments.schedule is None:
        usual: Any = linear_decay(rate, job.steps)
        job = job._replace(recipe=job.recipe._replace(schedule=usual))
    watch = Watch(job, Position(), untrained, None)
    try:
        if int(progress.failed) >= 0:
            raise DivergedError(f"The loss of a step is not finite. {remedy(job)}")
        watch.round([progress], job.steps)
        watch.end(params, job.steps)
    except DivergedError as error:
        raise DivergedError(f"The model of seed={arguments.seed}: {error}") from error
