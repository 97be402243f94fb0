"""``train``: the loop most people would have written, from a corpus to vectors.

    corpus --prepare--> ids --feed--> chunks --compile_chunk--> params --> Vectors

A chunk is one compiled call of a few hundred steps. Between two calls the loop looks at what came back: it logs, stops
at a run that has diverged, at a signal or when the callback says so, and saves. The parts are public, for a loop of
one's own.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from w2vjax.corpus.encode import USUAL_MIN_COUNT, Corpus, chosen_by, prepare
from w2vjax.objectives.hidden import embed_backward
from w2vjax.training.checkpoint import (
    Place,
    check_folder,
    check_saving,
    load_checkpoint,
    prepare_folder,
    run_identity,
    save_checkpoint,
)
from w2vjax.training.choices import CUSTOM, named
from w2vjax.training.feed import rounds
from w2vjax.training.held_out import of_run
from w2vjax.training.replicas import Crew, Replicas, crew, replicate
from w2vjax.training.report import Reporter, StopSignals
from w2vjax.training.settings import Settings
from w2vjax.training.setup import Run, lower, set_up
from w2vjax.training.step import Progress, State, chunk_seed
from w2vjax.training.watch import Watch, require_neighbours, untrained_beside
from w2vjax.types import Objective, Params
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import Vocab
from w2vjax.windows.sampling import draw_reach


class Trained(NamedTuple):
    """What :func:`train` returns."""

    vocab: Vocab
    params: Params
    vectors: Vectors
    history: list[dict[str, Any]]  # one record a log interval: what the bar and the JSONL log show
    summary: dict[str, Any]  # totals: seconds, words a second, loss, settings, versions
    run: Run


def train(
    corpus: Any = None,
    *,
    dim: int = 100,
    window: int = 5,
    epochs: int = 5,
    sample: float = 1e-3,
    min_count: int | None = None,
    max_vocab: int | None = None,
    learning_rate: float | None = None,
    batch_words: int | None = None,
    run: int | None = None,
    seed: int = 0,
    held_out: float = 0.0,
    replicas: int | None = None,
    dtype: str = "float32",
    model: str = "skip-gram",
    objective: str | Objective = "negative",
    negatives: int | None = None,
    noise_exponent: float | None = None,
    windows: Any = None,
    optimizer: Callable[[Any], Any] | None = None,
    schedule: Callable[[Any], Any] | None = None,
    start: Params | None = None,
    reach: Any = draw_reach,
    embed_backward: Any = embed_backward,
    mesh: Mesh | None = None,
    deterministic: bool = False,
    tokenizer: Any = None,
    vocab: Vocab | None = None,
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
        dim, window, epochs, sample, min_count, max_vocab, learning_rate, batch_words, run, seed, replicas,
            dtype: see :class:`~w2vjax.training.settings.Settings`. min_count is 5 for a text; a Corpus and a vocab have
            theirs, and another one, or another max_vocab, is refused beside them.
        model: "skip-gram" or "cbow".
        objective: "negative", "hierarchical" or "softmax", or an :class:`~w2vjax.types.Objective` of your own. What is
            left at None was measured for the two names: numbers as well as functions.
        negatives, noise_exponent: of "negative"; 5 and 0.75.
        windows: (tokens, segments, reach) -> Batch: block_batch is skip-gram, cbow_run_batch CBOW.
        optimizer: schedule -> optax transformation: row_sgd, row_adagrad, ``lambda s: w2v.dense(optax.adam(s))``.
        schedule: step -> learning rate; linear decay from ``learning_rate`` to 1e-4 of it by default.
        start: params to go on from, [V, dim] for this corpus' vocabulary.
        reach: draw_reach shrinks windows at random, full_reach does not.
        embed_backward: embed_backward_undivided for word2vec.c's CBOW, whose learning rate of 0.05 is then the default.
        mesh: devices with axes "data" and "dim".
        deterministic: equal bits on a GPU too, by sorting; slower.
        held_out: a share of the corpus, at its end, that is not trained on. The summary then has "held_out", the exact
            loss of its first 100,000 words (of an objective of one's own: :func:`evaluate_held_out`).
        vocab: words and counts to use as they are, in place of what min_count and max_vocab would choose.
        cache: a folder for the encoded corpus, used again while corpus and settings are the same.
        checkpoint, checkpoint_every, resume: a folder, seconds between saves (inf: only the last), go on.
        allow: with resume, names of fields that may differ from the checkpoint's.
        progress: a bar on standard error. log: a JSONL file. log_every: seconds. callback: called with every record;
            a true value stops the run early, after one more round of chunks that is already under way.

    Raises:
        SettingError, CorpusError, FileError, CheckpointError: before anything is trained.
        CorpusError: also where no pair of words was trained.
        DivergedError: a loss stopped being finite, or stays above that of tables that have learned nothing; the last
            checkpoint is untouched.
        StoppedError: SIGTERM, SIGINT or SIGUSR1 while ``checkpoint`` is set; the checkpoint is saved.

    >>> trained = train([["a", "rose", "is", "a", "rose"]] * 20, dim=4, epochs=2, min_count=1, sample=0)
    >>> trained.vocab.words, trained.vectors.matrix.shape, trained.summary["words"]
    (('a', 'rose', 'is'), (3, 4), 200)
    """
    name, own = named(objective)
    check_saving(checkpoint, checkpoint_every, resume, allow, log_every)
    least = USUAL_MIN_COUNT if min_count is None else min_count
    settings = Settings(dim, window, epochs, sample, least, max_vocab, learning_rate, batch_words, run, seed,
                        held_out, replicas, dtype, model, name, negatives, noise_exponent).check()  # fmt: skip
    if checkpoint is not None:
        check_folder(checkpoint, resume)  # before hours of reading
    began = time.perf_counter()
    corpus = prepare(corpus, cache, min_count, max_vocab, tokenizer, vocab=vocab)
    least, most = chosen_by(corpus.vocab)
    settings = settings._replace(min_count=least, max_vocab=max_vocab or most)
    prepared = time.perf_counter()
    job = set_up(corpus, settings, own, windows, optimizer, schedule, start, reach, embed_backward, mesh,
                 deterministic)  # fmt: skip
    if windows is None:  # those of a caller's own may make pairs of single words
        require_neighbours(job)
    lowered = lower(job)
    untrained = untrained_beside(job)
    compiled = lowered.compile()
    ready = time.perf_counter()
    standing, history, identity = begin(job, lowered, checkpoint, resume, allow)
    with (
        StopSignals(checkpoint is not None) as signals,
        Reporter(job, standing.place, progress, log, log_every, history) as report,
    ):
        save = None if checkpoint is None else _saver(checkpoint, identity, report)
        watch = Watch(job, standing.place, untrained, start)
        replicas_, place, _ = run_rounds(
            job, compiled, standing, report, watch, signals, save, checkpoint_every, callback
        )
    params = replicas_.states[0].params
    words = corpus.vocab
    vectors = Vectors(words.words, np.asarray(params.input, np.float32), words.counts, dropped=words.dropped,
                      min_count=words.min_count)  # fmt: skip
    seconds = {
        "corpus_seconds": prepared - began, "compile_seconds": ready - prepared, "train_seconds": place.seconds,
        "raw_words_per_second": place.words / max(place.seconds, 1e-9),
        "total_seconds": time.perf_counter() - began,
    }  # fmt: skip
    job = job._replace(state=State(params, None))
    summary = summarize(corpus, job, place, report, seconds)
    found = untrained()
    summary["untrained_loss"] = None if found is None else found.loss
    return Trained(words, params, vectors, report.history, summary, job)


class Standing(NamedTuple):
    """Where a run stands. Tables and place change together, so that what is saved belongs together."""

    replicas: Replicas
    place: Place
    reports: list[Progress] | None = None  # of the round that led here, until the reporter has taken them in


def begin(
    job: Run, lowered: Any, checkpoint: Any, resume: bool, allow: tuple[str, ...]
) -> tuple[Standing, list[dict[str, Any]], dict[str, Any]]:
    """(standing, history, identity) of the checkpoint that a run goes on from, or of its own first step."""
    replicas = replicate(job.state, job.feed.copies)
    if checkpoint is None:
        return Standing(replicas, Place()), [], {}
    program = hashlib.sha256(lowered.as_text().encode()).hexdigest()
    identity = run_identity(
        job.settings._asdict(), job.feed.corpus.digest, job.feed.size, program, job.tables
    )
    prepare_folder(checkpoint, resume)
    found = load_checkpoint(checkpoint, replicas, identity, allow) if resume else None
    replicas, place, history = found or (replicas, Place(), [])
    return Standing(replicas, place), history, identity


def summarize(
    corpus: Corpus, job: Run, place: Place, report: Reporter, seconds: dict[str, float]
) -> dict[str, Any]:
    """What a run did, as plain as JSON: totals, ``seconds``, settings, device, versions, and the held-out loss."""
    summary = {
        "words": place.words, "steps": place.steps, "epochs": job.settings.epochs, "vocabulary": len(corpus.vocab),
        "loss": report.history[-1]["loss"] if report.history else None, **seconds,
        "settings": job.settings._asdict(), "corpus": "" if corpus.vocab.report is None else str(corpus.report),
        "device": jax.devices()[0].device_kind, "versions": {"jax": jax.__version__, "numpy": np.__version__},
    }  # fmt: skip
    if job.settings.held_out and job.settings.objective != CUSTOM:
        summary["held_out"] = of_run(job, job.state.params)
    return summary


def run_rounds(
    job: Run,
    compiled: Any,
    standing: Standing,
    report: Reporter,
    watch: Watch,
    signals: StopSignals,
    save: Any,
    save_every: float,
    callback: Any,
) -> Standing:
    """Train every chunk from where the run stands. One round is always under way while the one before it is reported.

    So a callback that stops the run does so after one more round, whose tables and place are what is saved.
    """
    hands = crew(compiled, job.feed.copies)
    saved = began = time.perf_counter()
    before, stopped = standing.place.seconds, False

    def settle(standing: Standing, record: bool = True) -> tuple[Standing, bool]:
        """Wait for the reports of the last round and count its steps. True if the callback stops the run."""
        reports = jax.block_until_ready(standing.reports) or []
        report.take_in(reports)
        watch.round(reports, report.steps)
        place = standing.place._replace(steps=report.steps, seconds=before + time.perf_counter() - began)
        stop = record and bool(reports) and report.round(place, callback)
        return Standing(standing.replicas, place), stop

    def checkpoint(standing: Standing) -> None:
        if save is not None:
            watch.tables(standing.replicas.states[0].params, "a checkpoint", standing.place.steps)
            save(standing.replicas, standing.place)

    for coming in made_ahead(job, standing.place):
        following = advance(job, hands, standing, *coming)
        _, stopped = settle(standing)
        standing = following
        due = save is not None and time.perf_counter() - saved > save_every
        if not stopped and (signals.received or due):
            standing, stopped = settle(standing)
            checkpoint(standing)
            saved = time.perf_counter()
            signals.leave(standing.place)
        if stopped:
            break
    jax.block_until_ready(standing.replicas)
    standing, _ = settle(standing, record=not stopped)
    watch.end(standing.replicas.states[0].params, standing.place.steps, whole=not stopped)
    checkpoint(standing)
    if stopped:
        signals.leave(standing.place)
    return standing


def advance(
    job: Run, hands: Crew, standing: Standing, epoch: int, numbers: range, chunks: list[tuple[Any, ...]]
) -> Standing:
    """Start one round: the tables after it, the place after it, and its reports, all still being computed."""
    replicas, reports = hands.train(standing.replicas, job.tables, job.keep, chunks)
    last = numbers.stop == job.feed.chunks
    words = standing.place.words + sum(int(chunk[2]) for chunk in chunks)
    place = standing.place._replace(epoch=epoch + last, chunk=0 if last else numbers.stop, words=words)
    return Standing(replicas, place, reports)


def made_ahead(job: Run, place: Place) -> Iterator[tuple[int, range, list[tuple[Any, ...]]]]:
    """(epoch, numbers, chunks) of every round from ``place`` on, each made while the one before it is trained."""

    seed = job.settings.seed

    def make(epoch: int, numbers: range) -> tuple[int, range, list[tuple[Any, ...]]]:
        return epoch, numbers, [(*job.feed.chunk(n), chunk_seed(seed, epoch, n)) for n in numbers]

    with ThreadPoolExecutor(1, "w2vjax-feed") as maker:
        waiting = None
        for round_ in rounds(job.feed, job.settings.epochs, (place.epoch, place.chunk)):
            coming = maker.submit(make, *round_)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()


def _saver(folder: Any, identity: dict[str, Any], report: Reporter) -> Callable[[Replicas, Place], Any]:
    return lambda replicas, place: save_checkpoint(folder, replicas, place, identity, report.history)
