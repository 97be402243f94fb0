"""``train``: the loop most people would have written, from a corpus to vectors.

    corpus --prepare--> ids --feed--> chunks --compile_chunk--> params --> Vectors

A chunk is one compiled call of a few hundred steps. Between two calls the loop looks at what came back: it logs, stops
at a loss that is not finite, at a signal or when the callback says so, and saves. The parts are public, for a loop of
one's own.
"""

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from w2vjax.corpus.encode import Corpus, prepare
from w2vjax.corpus.vocab import Vocab
from w2vjax.errors import DivergedError, SettingError
from w2vjax.model import init_params
from w2vjax.objectives.hidden import embed_backward
from w2vjax.objectives.negative import negative_sampling
from w2vjax.training.checkpoint import Place, load_checkpoint, prepare_folder, run_identity, save_checkpoint
from w2vjax.training.feed import Feed, feed, plan_of
from w2vjax.training.report import Reporter, StopSignals
from w2vjax.training.settings import Settings
from w2vjax.training.step import Recipe, State, chunk_key, compile_chunk
from w2vjax.training.updates import check_optimizer, row_sgd
from w2vjax.types import Objective, Params
from w2vjax.vectors.vectors import Vectors
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.sampling import draw_reach, keep_probabilities, keep_thresholds

# The share of its start that the learning rate ends at, as in word2vec.c.
_LAST_RATE = 1e-4


class Trained(NamedTuple):
    """What :func:`train` returns."""

    vocab: Vocab
    params: Params
    vectors: Vectors
    history: list[dict[str, Any]]  # one record a log interval: what the bar and the JSONL log show
    summary: dict[str, Any]  # totals: seconds, words a second, loss, settings, versions
    run: "Run"


class Run(NamedTuple):
    """Everything a run needs before its first step; what :func:`set_up` makes."""

    settings: Settings
    feed: Feed
    recipe: Recipe
    schedule: Callable[[Any], Any]  # the learning rate by step
    steps: int  # expected, of the whole run
    state: State
    tables: Any
    keep: jax.Array


def expected_steps(feed: Feed, counts: np.ndarray, settings: Settings) -> int:
    """Steps of the whole run, from the words that subsampling is expected to keep. What it keeps differs by chance, by
    a thousandth of the total; the schedule is built on this number."""
    share = float((counts * keep_probabilities(counts, settings.sample)).sum() / max(counts.sum(), 1))
    sizes = np.full(feed.chunks, feed.size)
    sizes[-1] = feed.words - feed.size * (feed.chunks - 1)
    return int(settings.epochs * np.ceil(sizes * share / settings.batch_words).sum())


def linear_decay(learning_rate: float, steps: int) -> Callable[[Any], Any]:
    """word2vec's schedule: from the learning rate down to 1e-4 of it, linearly, and constant after ``steps``."""
    schedule: Callable[[Any], Any] = optax.linear_schedule(
        learning_rate, learning_rate * _LAST_RATE, max(steps, 1)
    )
    return schedule


def set_up(
    corpus: Corpus,
    settings: Settings,
    objective: Objective | None = None,
    windows: Any = block_batch,
    optimizer: Callable[[Any], Any] = row_sgd,
    schedule: Callable[[Any], Any] | None = None,
    start: Params | None = None,
    reach: Any = draw_reach,
    backward_of_embed: Any = embed_backward,
    mesh: Mesh | None = None,
    deterministic: bool = False,
) -> Run:
    """Tables, optimizer and compiled shapes of a run. Arguments as in :func:`train`; nothing is trained yet."""
    settings = settings.check()
    counts = corpus.vocab.counts
    objective = objective or negative_sampling(5, shared=settings.run)
    place = feed(corpus, settings.held_out, settings.batch_words)
    steps = expected_steps(place, counts, settings)
    schedule = schedule or linear_decay(settings.learning_rate, steps)
    groups = settings.batch_words // settings.run
    # a corpus of a few steps is measured whole: its log would be noise otherwise
    measured = groups if place.chunks == 1 else max(1, groups // 16)
    recipe = Recipe(objective, windows, optimizer(schedule), settings.window, groups, settings.run, reach,
                    backward_of_embed, deterministic, measured, mesh)  # fmt: skip
    params = start or init_params(
        jax.random.fold_in(jax.random.key(settings.seed), 2**31),
        len(corpus.vocab),
        settings.dim,
        settings.dtype,
    )
    if params.input.shape != (len(corpus.vocab), settings.dim):
        raise SettingError(
            f"The start has a table of shape {params.input.shape}, and the run {len(corpus.vocab)} words of "
            f"dim={settings.dim}. Grow the table first, or use its dim."
        )
    if mesh is not None:
        params = jax.device_put(params, NamedSharding(mesh, PartitionSpec(None, "dim")))
    check_optimizer(recipe.optimizer, params)
    params = jax.tree.map(
        lambda table: jnp.array(table, copy=True), params
    )  # the caller's tables are not donated
    state = State(params, recipe.optimizer.init(params))
    keep = keep_thresholds(counts, settings.sample)
    return Run(settings, place, recipe, schedule, steps, state, objective.init(counts), keep)


def lower(run: Run) -> Any:
    """The run's program, traced and lowered for its shapes: ``.compile()`` it, or hash its text."""
    arguments = run.feed.chunk(0)
    return compile_chunk(run.recipe, run.feed.size).lower(
        run.state, run.tables, run.keep, *arguments, chunk_key(0, 0, 0)
    )


def train(
    corpus: Any = None,
    *,
    dim: int = 100,
    window: int = 5,
    epochs: int = 5,
    sample: float = 1e-3,
    min_count: int = 5,
    max_vocab: int | None = None,
    learning_rate: float = 0.05,
    batch_words: int = 1024,
    run: int = 16,
    seed: int = 0,
    held_out: float = 0.0,
    dtype: str = "float32",
    objective: Objective | None = None,
    windows: Any = block_batch,
    optimizer: Callable[[Any], Any] = row_sgd,
    schedule: Callable[[Any], Any] | None = None,
    start: Params | None = None,
    reach: Any = draw_reach,
    embed_backward: Any = embed_backward,
    mesh: Mesh | None = None,
    deterministic: bool = False,
    tokenizer: Any = None,
    cache: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
    resume: bool = False,
    allow: tuple[str, ...] = (),
    progress: bool = False,
    log: str | os.PathLike[str] | None = None,
    log_every: float = 1.0,
    callback: Callable[[dict[str, Any]], Any] | None = None,
) -> Trained:
    """Train word vectors on a corpus: skip-gram with negative sampling unless told otherwise.

    Args:
        corpus: files, folders, a list of token lists, ... (see :func:`~w2vjax.corpus.encode.prepare`), a
            :class:`~w2vjax.corpus.encode.Corpus`, or None for the built-in text.
        dim, window, epochs, sample, min_count, max_vocab, learning_rate, batch_words, run, seed, held_out, dtype:
            see :class:`~w2vjax.training.settings.Settings`.
        objective: negative_sampling(5, shared=run) by default.
        windows: (tokens, segments, reach) -> Batch: block_batch is skip-gram, cbow_block_batch CBOW.
        optimizer: schedule -> optax transformation: row_sgd, row_adagrad, ``lambda s: w2v.dense(optax.adam(s))``.
        schedule: step -> learning rate; linear decay from ``learning_rate`` to 1e-4 of it by default.
        start: params to go on from, [V, dim] for this corpus' vocabulary.
        reach: draw_reach shrinks windows at random, full_reach does not.
        embed_backward: embed_backward_undivided for word2vec.c's CBOW.
        mesh: devices with axes "data" and "dim".
        deterministic: equal bits on a GPU too, by sorting; slower.
        cache: a folder for the encoded corpus, used again while corpus and settings are the same.
        checkpoint, checkpoint_every, resume, allow: a folder, seconds between saves, go on from it, fields that may differ.
        progress: a bar on standard error. log: a JSONL file. log_every: seconds. callback: called with every record;
            a true value stops the run early.

    Raises:
        SettingError, CorpusError, FileError, CheckpointError: before anything is trained.
        DivergedError: a loss stopped being finite; the last checkpoint is untouched.
        StoppedError: SIGTERM, SIGINT or SIGUSR1 while ``checkpoint`` is set; the checkpoint is saved.

    >>> trained = train([["a", "rose", "is", "a", "rose"]] * 20, dim=4, epochs=2, min_count=1)
    >>> trained.vocab.words, trained.vectors.matrix.shape, trained.summary["words"]
    (('a', 'rose', 'is'), (3, 4), 200)
    """
    settings = Settings(dim, window, epochs, sample, min_count, max_vocab, learning_rate, batch_words, run, seed,
                        held_out, dtype).check()  # fmt: skip
    began = time.perf_counter()
    if not isinstance(corpus, Corpus):
        corpus = prepare(corpus, cache, min_count, max_vocab, tokenizer)
    prepared = time.perf_counter()
    job = set_up(corpus, settings, objective, windows, optimizer, schedule, start, reach, embed_backward, mesh,
                 deterministic)  # fmt: skip
    lowered = lower(job)
    compiled = lowered.compile()
    ready = time.perf_counter()
    place, history = Place(), []
    identity: dict[str, Any] = {}
    state = job.state
    if checkpoint is not None:
        program = hashlib.sha256(lowered.as_text().encode()).hexdigest()
        identity = run_identity(settings._asdict(), corpus.digest, program)
        prepare_folder(checkpoint, resume)
        if resume and (found := load_checkpoint(checkpoint, state, identity, allow)):
            state, place, history = found
    job = job._replace(state=state)
    with (
        StopSignals(checkpoint is not None) as signals,
        Reporter(job, place, progress, log, log_every, history) as report,
    ):
        save = None if checkpoint is None else _saver(checkpoint, identity, report)
        state, place = run_chunks(job, compiled, place, report, signals, save, checkpoint_every, callback)
    seconds = {
        "corpus_seconds": prepared - began, "compile_seconds": ready - prepared, "train_seconds": place.seconds,
    }  # fmt: skip
    params = jax.block_until_ready(state.params)
    finite = require_finite(params, "the end of the run", place.steps)
    vectors = Vectors(corpus.vocab.words, np.asarray(finite.input, np.float32), corpus.vocab.counts,
                      dropped=corpus.vocab.dropped, min_count=corpus.vocab.min_count)  # fmt: skip
    summary = {
        "words": place.words, "steps": place.steps, "epochs": settings.epochs, "vocabulary": len(corpus.vocab),
        "loss": report.history[-1]["loss"] if report.history else None, **seconds,
        "raw_words_per_second": place.words / max(place.seconds, 1e-9),
        "total_seconds": time.perf_counter() - began, "settings": settings._asdict(), "corpus": "" if corpus.vocab.report is None else str(corpus.report),
        "device": jax.devices()[0].device_kind, "versions": {"jax": jax.__version__, "numpy": np.__version__},
    }  # fmt: skip
    return Trained(
        corpus.vocab, params, vectors, report.history, summary, job._replace(state=State(params, None))
    )


def run_chunks(
    job: Run,
    compiled: Any,
    place: Place,
    report: "Reporter",
    signals: "StopSignals",
    save: Any,
    save_every: float,
    callback: Any,
) -> tuple[State, Place]:
    """Train every chunk from ``place`` on. One call is always under way while the one before it is reported."""
    state, waiting = job.state, None
    saved = began = time.perf_counter()
    before = place.seconds
    for epoch, chunk in plan_of(job.feed, job.settings.epochs, (place.epoch, place.chunk)):
        arguments = job.feed.chunk(chunk)
        count = int(arguments[2])
        state, progress = compiled(
            state, job.tables, job.keep, *arguments, chunk_key(job.settings.seed, epoch, chunk)
        )
        if waiting is not None:
            stop = report.chunk(*waiting, callback)
            place = place._replace(steps=report.steps)
            if stop:
                break
        last = chunk + 1 == job.feed.chunks
        place = Place(epoch + last, 0 if last else chunk + 1, place.steps, place.words + count,
                      before + time.perf_counter() - began)  # fmt: skip
        waiting = (progress, place)
        due = save is not None and (signals.received or time.perf_counter() - saved > save_every)
        if due or signals.received:
            report.chunk(*waiting, callback)
            waiting = None
            place = place._replace(steps=report.steps, seconds=before + time.perf_counter() - began)
            if save is not None:
                require_finite(state.params, "a checkpoint", place.steps)
                save(state, place)
            saved = time.perf_counter()
            signals.leave(place)
    jax.block_until_ready(state)
    place = place._replace(seconds=before + time.perf_counter() - began)
    if waiting is not None:
        report.chunk(*waiting, callback)
        place = place._replace(steps=report.steps)
    if save is not None:
        require_finite(state.params, "a checkpoint", place.steps)
        save(state, place)
    return state, place


def _saver(folder: Any, identity: dict[str, Any], report: "Reporter") -> Callable[[State, Place], Any]:
    return lambda state, place: save_checkpoint(folder, state, place, identity, report.history)


def require_finite(params: Params, where: str, steps: int) -> Params:
    """The params; raises :class:`~w2vjax.errors.DivergedError` naming the table that holds NaN or infinity."""
    for name, table in params._asdict().items():
        if not bool(jnp.isfinite(table).all()):
            raise DivergedError(
                f"The {name} table holds NaN or infinity at {where} (step {steps}). "
                "Lower the learning rate or batch_words."
            )
    return params
