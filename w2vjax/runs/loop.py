"""``train``: the loop most people would have written, from a corpus to vectors.

    corpus --prepare--> ids --feed--> chunks --compile_chunk--> params --> Vectors

A chunk is one compiled call of a few hundred steps. Between two calls the loop looks at what came
back: it logs, stops at a run that has diverged, at a signal or when the callback says so, and
saves. The parts are public, for a loop of your own.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from w2vjax.corpus.encode import Corpus, chosen_by, prepare
from w2vjax.corpus.sources import Source
from w2vjax.devices.mesh import on_host, on_own_device, own_device, placed_like, trains_copies
from w2vjax.devices.tables import cut
from w2vjax.errors import SettingError
from w2vjax.reference import tokenize
from w2vjax.runs.arguments import Arguments, arguments_of, keywords_of
from w2vjax.runs.checkpoint import (
    Checkpoints,
    Position,
    check_seconds,
    checkpoints_in,
    digest,
    load_checkpoint,
    prepared,
    run_identity,
    save_checkpoint,
)
from w2vjax.runs.held_out import evaluate_held_out
from w2vjax.runs.processes import (
    Wishes,
    agreed,
    forward,
    guarded,
    is_first,
    told_by_first,
)
from w2vjax.runs.report import Reporter, StopSignals
from w2vjax.runs.watch import Untrained, Watch, advice, require_neighbours, untrained_beside
from w2vjax.training.copies import (
    Copies,
    Joined,
    Workers,
    chunks_on,
    joined_on_host,
    own_part,
    read_reports,
    spread,
)
from w2vjax.training.feed import rounds as rounds_of
from w2vjax.training.methods import SHIPPED_WINDOWS, completed
from w2vjax.training.settings import changed
from w2vjax.training.setup import (
    Run,
    check_optimizer_maker,
    check_run_mesh,
    lower,
    on_accelerator,
    set_up,
)
from w2vjax.training.step import State, chunk_seed, compile_chunk
from w2vjax.types import Params
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import Vocab


class Trained(NamedTuple):
    """What :func:`train` returns."""

    vocab: Vocab
    params: Params
    vectors: Vectors
    history: list[dict[str, Any]]  # one record a log interval: what the bar and the JSONL log show
    summary: dict[str, Any]  # totals: seconds, words a second, loss, settings, versions
    run: Run

    def __repr__(self) -> str:
        words, dim = self.vectors.shape
        loss = self.summary["loss"]
        found = "no loss measured" if loss is None else f"loss {loss:.4f}"
        return f"Trained({words:,} words x {dim}, {self.summary['words']:,} words read, {found})"


@keywords_of(Arguments)
def train(corpus: "Source | Corpus" = None, **keywords: Any) -> Trained:
    """Train word vectors on a corpus: skip-gram with negative sampling unless told otherwise.

    Args:
        corpus: files, folders, a list of token lists, ... (see
            :func:`~w2vjax.corpus.encode.prepare`), a :class:`~w2vjax.corpus.encode.Corpus`, or None
            for the built-in text.
        **keywords:

    Returns:
        Vectors, params, the records of the log, and a summary of the run.

    Raises:
        SettingError: a setting is not known or cannot work. Nothing was read.
        CorpusError, FileError, CheckpointError: before anything is trained.
        CorpusError: also where no pair of words was trained.
        DivergedError: a loss stopped being finite, or stays above that of tables that have learned
            nothing; the last checkpoint is untouched.
        StoppedError: SIGTERM, SIGINT or SIGUSR1 while ``checkpoint`` is set; the checkpoint is
            saved.

    >>> text = [["a", "rose", "is", "a", "rose"]] * 20
    >>> trained = train(text, dim=4, epochs=2, min_count=1, sample=0)
    >>> trained.vocab.words, trained.vectors.matrix.shape, trained.summary["words"]
    (('a', 'rose', 'is'), (3, 4), 200)
    """
    arguments = arguments_of(keywords)
    checkpoints = checkpoints_in(arguments.checkpoint)
    began = time.perf_counter()
    with guarded(step_timeout=arguments.step_timeout):
        # hours of reading come after these checks
        check_arguments(arguments, checkpoints)
        if not is_first():
            arguments = replace(arguments, progress=False, log=None, callback=None)
        read = read_corpus(corpus, arguments)
        with prepared(checkpoints) if is_first() else nullcontext():
            return train_prepared(read, arguments, checkpoints, began)


def train_prepared(
    corpus: Corpus, arguments: Arguments, checkpoints: Checkpoints | None, began: float
) -> Trained:
    """:func:`train` on a corpus of ids. Reading it ``began`` at this time."""
    encoded = time.perf_counter()
    job = make_run(corpus, arguments)
    program = compile_chunk(job.recipe, job.feed.size)
    lowered = lower(job, program)
    untrained = untrained_beside(job)
    lowered.compile()  # as the first call would
    ready = time.perf_counter()
    standing, history, identity = fresh_or_resumed(job, lowered, checkpoints, arguments.start)
    with (
        StopSignals(checkpoints is not None) as signals,
        Reporter(job, standing.position, arguments, history) as report,
        Workers(program, job.feed.copies, job.tables, job.keep, job.recipe.mesh) as workers,
    ):
        watch = Watch(job, standing.position, untrained, arguments.start)
        saver = None if checkpoints is None else Saver(checkpoints, identity, report)
        standing = run_rounds(job, workers, standing, report, watch, signals, saver)
    position = standing.position
    seconds = {
        "corpus_seconds": encoded - began,
        "compile_seconds": ready - encoded,
        "train_seconds": position.seconds,
        "raw_words_per_second": position.words / max(position.seconds, 1e-9),
        "total_seconds": time.perf_counter() - began,
    }
    params, rows = standing.copies.params, job.state.params.input.shape[0]
    if rows > len(corpus.vocab):
        params = of_words(job, jax.tree.map(on_host, params))
    elif trains_copies(job.recipe.mesh) or jax.process_count() > 1:
        params = jax.tree.map(on_own_device, params)
    job = job._replace(state=State(params, None))
    return trained_by(job, position, report, seconds, untrained())


def check_arguments(arguments: Arguments, checkpoints: Checkpoints | None) -> None:
    """Refuse what cannot work before the corpus is read or a file is made."""
    arguments.check_values()
    method = arguments.chosen_method()
    mesh = arguments.chosen_mesh()
    check_run_mesh(mesh, completed(arguments.settings(), method, on_accelerator(mesh)))
    check_optimizer_maker(method.optimizer)
    check_seconds(f"log_every={arguments.log_every!r}", arguments.log_every)
    check_seconds(f"step_timeout={arguments.step_timeout!r}", arguments.step_timeout)
    if arguments.step_timeout < 1:
        raise SettingError(
            f"step_timeout={arguments.step_timeout!r} would end every run of several processes. "
            "Use 1 second or more."
        )
    if checkpoints is not None and is_first():
        checkpoints.check()


def read_corpus(corpus: "Source | Corpus", arguments: Arguments) -> Corpus:
    """The corpus as ids, by the arguments that say what is a word."""
    tokenizer, least = arguments.tokenizer, arguments.min_count
    if corpus is None:  # the built-in text of 84 words
        tokenizer = tokenizer or tokenize
        least = 1 if least is None and arguments.vocab is None else least
    return prepare(
        corpus,
        arguments.cache,
        least,
        arguments.max_vocab,
        tokenizer,
        reading=arguments.reading_without_results(),
        vocab=arguments.vocab,
    )


def make_run(corpus: Corpus, arguments: Arguments) -> Run:
    """The run of a corpus. Its settings say by which counts the words were chosen, here or earlier.

    Raises :class:`~w2vjax.errors.CorpusError` if the shipped windows would make no pair of the
    corpus.
    """
    require_alike(corpus, arguments)
    least, most = chosen_by(corpus.vocab)
    settings = changed(
        arguments.settings(), {"min_count": least, "max_vocab": arguments.max_vocab or most}
    )
    method = arguments.chosen_method(len(corpus.ids))
    job = set_up(
        corpus,
        settings,
        method,
        schedule=arguments.schedule,
        start=arguments.start,
        mesh=arguments.chosen_mesh(),
        deterministic=arguments.deterministic,
    )
    if method.windows in SHIPPED_WINDOWS:  # windows of your own may make pairs of single words
        require_neighbours(job)
    return job


def require_alike(corpus: Corpus, arguments: Arguments) -> None:
    """Refuse to train one model by processes that have other corpora, settings or tables.

    Raises:
        SettingError: they differ. The message names the field.
    """
    mesh = arguments.chosen_mesh()
    if mesh is None or len({device.process_index for device in mesh.devices.flat}) == 1:
        return
    start = None if arguments.start is None else digest(arguments.start)
    facts = {
        **arguments.settings().as_json(),
        "corpus": corpus.digest,
        "start": start,
        "jax version": jax.__version__,
        "checkpoint (whether there is one)": arguments.checkpoint is not None,
    }
    hashes = [hashlib.sha256(repr(value).encode()).digest() for value in facts.values()]
    own = np.stack([np.frombuffer(each, np.uint8) for each in hashes])
    everyones = np.asarray(multihost_utils.process_allgather(own))  # [processes, facts, 32]
    for name, each in zip(facts, everyones.swapaxes(0, 1), strict=True):
        if (each != each[0]).any():
            raise SettingError(
                f"The processes of this run differ in {name}. Give every process the same corpus "
                "and the same settings."
            )


class Standing(NamedTuple):
    """Where a run stands. Tables and position change together and are saved together."""

    copies: Copies
    position: Position
    # of the round that led here, until the reporter has taken them in
    reports: Any = None


def fresh_or_resumed(
    job: Run, lowered: jax.stages.Lowered, checkpoints: Checkpoints | None, start: Params | None
) -> tuple[Standing, list[dict[str, Any]], dict[str, Any]]:
    """(standing, history, identity) of a new run, or of the checkpoint it goes on from."""
    joined = Joined(job.state.params, (job.state.optimizer,) * job.feed.copies)
    like, found = jax.eval_shape(partial(of_words, job), joined), None
    identity: dict[str, Any] = {}
    if checkpoints is not None:
        identity = run_identity(job, program_text(job, lowered), start)
        if checkpoints.resume and is_first():
            found = load_checkpoint(checkpoints.folder, like, identity, checkpoints.allow)
    arrays, position, history = found or (None, Position(), [])
    if checkpoints is not None and checkpoints.resume and jax.process_count() > 1:
        blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        told = json.dumps([arrays is None, position, history])
        said, arrays = told_by_first(told, arrays or blank)
        fresh, place, history = json.loads(said)
        arrays, position = None if fresh else arrays, Position(*place)
    if arrays is not None:
        joined = jax.tree.map(placed_like, arrays, joined)
    return Standing(spread(joined, job.recipe.mesh), position), history, identity


def of_words(job: Run, tree: Any) -> Any:
    """Arrays of a run without the rows that only make the shares of devices equal."""
    return cut(tree, job.state.params.input.shape[0], len(job.feed.corpus.vocab))


def program_text(job: Run, lowered: jax.stages.Lowered) -> str:
    """The program as it is for one device. So a run can go on with other devices."""
    if job.recipe.mesh is None:
        return lowered.as_text()
    alone = job.recipe._replace(mesh=None)
    state = jax.eval_shape(partial(of_words, job), job.state)
    given = (state, job.tables, job.keep, *job.feed.chunk(0), chunk_seed(0, 0, 0))
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), given)
    text: str = compile_chunk(alone, job.feed.size).lower(*shapes).as_text()
    return text


def trained_by(
    job: Run,
    position: Position,
    report: Reporter,
    seconds: dict[str, float],
    untrained: Untrained | None,
) -> Trained:
    """What :func:`train` returns of a run whose state holds the trained params."""
    vocab, params = job.feed.corpus.vocab, job.state.params
    vectors = Vectors(
        vocab.words,
        np.asarray(params.input, np.float32),
        vocab.counts,
        dropped=vocab.dropped,
        min_count=vocab.min_count,
    )
    summary = summarize(job, position, report, seconds)
    summary["untrained_loss"] = None if untrained is None else untrained.loss
    summary["advice"] = advice(summary["loss"], summary["untrained_loss"], position.steps)
    return Trained(vocab, params, vectors, report.history, summary, job)


def summarize(
    job: Run, position: Position, report: Reporter, seconds: dict[str, float]
) -> dict[str, Any]:
    """What a run did, as plain as JSON."""
    corpus = job.feed.corpus
    summary = {
        "words": position.words,
        "steps": position.steps,
        "epochs": job.settings.epochs,
        "vocabulary": len(corpus.vocab),
        "loss": report.history[-1]["loss"] if report.history else None,
        **seconds,
        "settings": job.settings.as_json(),
        "corpus": "" if corpus.vocab.report is None else str(corpus.report),
        "device": own_device(job.recipe.mesh).device_kind,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
    }
    if job.settings.held_out and isinstance(job.settings.objective, str):
        summary["held_out"] = evaluate_held_out(job, job.state.params)
    return summary


def run_rounds(
    job: Run,
    workers: Workers,
    standing: Standing,
    report: Reporter,
    watch: Watch,
    signals: StopSignals,
    saver: "Saver | None",
) -> Standing:
    """Train all chunks from ``standing`` on. While a round trains, the last one is reported.

    So a callback that stops the run does so after one more round, whose tables and position are
    what is saved.
    """
    rounds = Rounds(standing.position.seconds, report, watch, signals, saver)
    asked = Wishes()
    for coming in rounds_ahead(job, standing.position):
        following = advance(job, workers, standing, rounds.wishes(), *coming)
        forward()
        _, asked = rounds.settle(standing)
        standing = following
        if not asked.stop and (asked.signal or asked.save):
            signal = asked.signal
            standing, asked = rounds.settle(standing)
            rounds.save(standing)
            signals.leave(standing.position, signal)
        if asked.stop:
            break
    jax.block_until_ready(standing.copies)
    standing, _ = rounds.settle(standing, record=not asked.stop)
    watch.end(standing.copies.params, standing.position.steps, whole=not asked.stop)
    rounds.save(standing)
    forward(training=False)
    if asked.stop:
        signals.leave(standing.position, asked.signal)
    return standing


class Rounds:
    """What is done between two rounds: reports are taken in, wishes are told, tables are saved."""

    def __init__(
        self,
        seconds: float,
        report: Reporter,
        watch: Watch,
        signals: StopSignals,
        saver: "Saver | None",
    ):
        self._report, self._watch, self._signals, self._saver = report, watch, signals, saver
        self._begin, self._stopped = time.perf_counter() - seconds, False

    def wishes(self) -> Wishes:
        """Of this process."""
        due = self._saver is not None and self._saver.due()
        return Wishes(self._signals.received or 0, int(due), int(self._stopped))

    def settle(self, standing: Standing, record: bool = True) -> tuple[Standing, Wishes]:
        """Wait for a round's reports and count its steps; what all processes then have to do."""
        report = self._report
        forward(standing.reports and own_part(standing.reports))
        reports, noted = read_reports(standing.reports or [])
        report.take_in(reports)
        self._watch.round(reports, report.steps)
        seconds = time.perf_counter() - self._begin
        position = standing.position._replace(steps=report.steps, seconds=seconds)
        self._stopped |= record and bool(reports) and report.round(position)
        settled = Standing(standing.copies, position)
        return settled, agreed(self.wishes(), noted, bool(reports))

    def save(self, standing: Standing) -> None:
        """Save a checkpoint, if the run has them and its tables are sound."""
        if self._saver is not None:
            steps = standing.position.steps
            self._watch.tables(standing.copies.params, "a checkpoint", steps)
            self._saver.save(standing)


def advance(
    job: Run,
    workers: Workers,
    standing: Standing,
    wishes: Wishes,
    epoch: int,
    numbers: range,
    chunks: list[tuple[Any, ...]],
) -> Standing:
    """Start one round. Tables, position and reports after it are still being computed."""
    copies, reports = workers.train(standing.copies, chunks, len(numbers), wishes)
    place, last = job.feed, numbers.stop == job.feed.chunks
    end = place.words if last else numbers.stop * place.size
    words = standing.position.words + end - numbers.start * place.size
    position = standing.position._replace(
        epoch=epoch + last, chunk=0 if last else numbers.stop, words=words
    )
    return Standing(copies, position, reports)


def rounds_ahead(
    job: Run, position: Position
) -> Iterator[tuple[int, range, list[tuple[Any, ...]]]]:
    """(epoch, numbers, chunks) of each round. A thread makes the next one meanwhile."""

    seed = job.settings.seed

    def make(epoch: int, numbers: range) -> tuple[int, range, list[tuple[Any, ...]]]:
        return epoch, numbers, chunks_on(job.recipe.mesh, job.feed, seed, epoch, numbers)

    with ThreadPoolExecutor(1, "w2vjax-feed") as maker:
        waiting = None
        for round_ in rounds_of(job.feed, job.settings.epochs, (position.epoch, position.chunk)):
            coming = maker.submit(make, *round_)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()


class Saver:
    """Writes checkpoints of a run, and knows when the next one is due."""

    def __init__(self, checkpoints: Checkpoints, identity: dict[str, Any], report: Reporter):
        self._checkpoints, self._identity, self._report = checkpoints, identity, report
        self._saved = time.perf_counter()

    def due(self) -> bool:
        """The first process says when."""
        return is_first() and time.perf_counter() - self._saved > self._checkpoints.every

    def save(self, standing: Standing) -> None:
        """Write a checkpoint. All processes call it together, and the first one writes."""
        folder, history = self._checkpoints.folder, self._report.history
        run = self._report.run
        joined = of_words(run, joined_on_host(standing.copies, run.recipe.mesh))
        if is_first():
            save_checkpoint(folder, joined, standing.position, self._identity, history)
        self._saved = time.perf_counter()
