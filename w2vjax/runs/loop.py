"""``train``: from a corpus to vectors.

    corpus --prepare--> ids --feed--> chunks --compile_chunk--> params --> Vectors

A chunk is one compiled call of a few hundred steps. Between two calls, :mod:`w2vjax.runs.rounds`
reads the reports, logs and saves. It also ends a run that has diverged, at a signal, or when the
callback asks for it. The parts are public, for a loop of your own.
"""

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from w2vjax.corpus.encode import Corpus, prepare
from w2vjax.corpus.sources import Source, keep_text
from w2vjax.devices.feed import require_neighbours
from w2vjax.devices.mesh import (
    on_accelerator,
    on_host,
    on_own_device,
    own_device,
    placed_like,
    require_backend,
    spans_processes,
    trains_copies,
)
from w2vjax.devices.tables import check_start
from w2vjax.devices.tracing import check_functions
from w2vjax.errors import CheckpointError, SettingError
from w2vjax.log_file import check_free, check_log, interval
from w2vjax.objectives.untrained import Untrained
from w2vjax.processes.connect import is_first, told_by_first
from w2vjax.processes.exchange import require_same
from w2vjax.processes.guard import guarded
from w2vjax.real import check_seconds, true_or_false
from w2vjax.runs import checkpoint
from w2vjax.runs.arguments import Arguments, arguments_of, keywords_of
from w2vjax.runs.checkpoint import Checkpoints, Position, digest
from w2vjax.runs.held_out import evaluate_held_out
from w2vjax.runs.report import Reporter, StopSignals
from w2vjax.runs.rounds import Saver, Standing, Trainer
from w2vjax.runs.watch import (
    Watch,
    advice,
    first_rate,
    times_usual_rate,
    untrained_beside,
)
from w2vjax.training import setup
from w2vjax.training.copies import Joined, Workers, spread
from w2vjax.training.methods import SHIPPED_WINDOWS, completed
from w2vjax.training.settings import changed
from w2vjax.training.setup import Run, lower, of_words, set_up
from w2vjax.training.step import State, compile_chunk
from w2vjax.types import Params
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import Vocab, chosen_by
from w2vjax.windows.sampling import chunk_seed


class Trained(NamedTuple):
    """What :func:`train` returns.

    ``run`` holds the functions of the run, and pickle writes no lambda. To pickle a run with one,
    pickle ``trained._replace(run=None)``, or define the function in a module.

    Attributes:
        vocab: the words and their counts.
        params: both tables, [V, D] each.
        vectors: the words with their rows of the input table.
        history: the records, a dict each. epoch: those that have ended. step, words: so far, of the
            raw text. loss: nats a positive pair, the mean since the last record; None if none was
            measured. learning_rate. words_per_second: since the last record. seconds: of training,
            with what callbacks take. seconds_left.
        summary: words, steps, epochs, vocabulary: how much. loss: of the last record.
            untrained_loss: what tables have that have learned nothing. held_out: the loss on
            held-out lines, if there are some. advice: what to try if the loss is near that of
            untrained tables, or held-out lines are predicted no better than by frequencies.
            train_seconds, corpus_seconds, compile_seconds, total_seconds, raw_words_per_second.
            settings, corpus, device, versions.
        run: the functions, the settings and the feed.
    """

    vocab: Vocab
    params: Params
    vectors: Vectors
    history: list[dict[str, Any]]
    summary: dict[str, Any]
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
        StoppedError: SIGTERM, SIGINT or SIGUSR1 while ``checkpoint`` is set; a checkpoint is saved
            before.

    >>> text = [["a", "rose", "is", "a", "rose"]] * 20
    >>> trained = train(text, dim=4, epochs=2, min_count=1, sample=0)
    >>> trained.vocab.words, trained.vectors.matrix.shape, trained.summary["words"]
    (('a', 'rose', 'is'), (3, 4), 200)
    """
    arguments = arguments_of(keywords)
    checkpoints = checkpoint.checkpoints_in(arguments.checkpoint)
    began = time.perf_counter()
    with guarded(step_timeout=arguments.step_timeout):
        # hours of reading come after these checks
        check_arguments(arguments, checkpoints)
        keep_text(corpus, arguments.log)
        if arguments.log is not None and is_first():
            check_free(arguments.log)
        if not is_first():
            arguments = replace(arguments, progress=False, log=None, callback=None)
            if arguments.on_epoch is not None:  # all processes gather its vectors together
                arguments = replace(arguments, on_epoch=lambda record, vectors: None)
        read = read_corpus(corpus, arguments)
        with checkpoint.prepared(checkpoints) if is_first() else nullcontext():
            return train_prepared(read, arguments, checkpoints, began)


def train_prepared(
    corpus: Corpus, arguments: Arguments, checkpoints: Checkpoints | None, began: float
) -> Trained:
    """:func:`train` on a corpus of ids. Reading it ``began`` at this time."""
    encoded = time.perf_counter()
    job = make_run(corpus, arguments)
    program = compile_chunk(job.recipe, job.feed.room)
    lowered = lower(job, program)
    identity, together = {}, spans_processes(job.recipe.mesh)
    if together or checkpoints is not None:
        identity = checkpoint.run_identity(job, program_text(job, lowered), arguments.start)
    if together:  # functions have no name that could be compared
        require_same(identity)
    untrained = untrained_beside(job)
    # what is compiled here has the caller's context of JAX, which a thread would not inherit
    train_chunk = partial(lowered.compile(), program.schedule)
    ready = time.perf_counter()
    standing, history = fresh_or_resumed(job, checkpoints, identity)
    # its arrays would stay on the first device, beside the copies
    job = job._replace(state=jax.eval_shape(lambda state: state, job.state))
    with (
        StopSignals(checkpoints is not None) as signals,
        Reporter(job, standing.position, arguments, history) as report,
        Workers(train_chunk, job.feed.copies, job.tables, job.keep, job.recipe.mesh) as workers,
    ):
        watch = Watch(job, standing.position, untrained, arguments.start)
        saver = None if checkpoints is None else Saver(checkpoints, identity, report)
        standing = Trainer(workers, report, watch, signals, saver).train(standing)
    params, rows = standing.copies.params, job.state.params.input.shape[0]
    if rows > len(corpus.vocab):
        params = of_words(job, jax.tree.map(on_host, params))
    elif trains_copies(job.recipe.mesh) or jax.process_count() > 1:
        params = jax.tree.map(on_own_device, params)
    job = job._replace(state=State(params, None))
    seconds = {
        "corpus_seconds": encoded - began,
        "compile_seconds": ready - encoded,
        "total_seconds": time.perf_counter() - began,
    }
    summary = summarize(job, standing.position, report, untrained()) | seconds
    vectors = Vectors(corpus.vocab, np.asarray(params.input, np.float32))
    return Trained(corpus.vocab, params, vectors, report.history, summary, job)


def check_arguments(arguments: Arguments, checkpoints: Checkpoints | None) -> None:
    """Refuse what cannot work before the corpus is read or a file is made."""
    require_backend()
    arguments.check_values()
    method = arguments.chosen_method()
    mesh = arguments.chosen_mesh()
    settings = changed(arguments.settings(), {"model": method.model, "objective": method.objective})
    completed_settings = completed(settings, method, on_accelerator(mesh))
    setup.check_run_mesh(mesh, completed_settings)
    setup.check_optimizer_maker(method.optimizer, completed_settings.dtype)
    block, dim = completed_settings.block_words, completed_settings.dim
    shape = completed_settings.batch_words // block, block
    own = method.windows, method.reach, method.embed_backward
    check_functions(*own, shape, completed_settings.window, dim)
    check_start(arguments.start, completed_settings.dtype)
    interval(arguments.log_every)
    check_seconds(f"step_timeout={arguments.step_timeout!r}", arguments.step_timeout)
    if arguments.step_timeout < 1:
        cause = f"step_timeout={arguments.step_timeout!r} would end every run of several processes"
        raise SettingError(f"{cause}. Use 1 second or more.")
    if arguments.log is not None and is_first():
        check_log(arguments.log)
    if checkpoints is not None:
        true_or_false("resume", checkpoints.resume)
    if checkpoints is not None and is_first():
        checkpoints.check()


def read_corpus(corpus: "Source | Corpus", arguments: Arguments) -> Corpus:
    """The corpus as ids, by the arguments that say what is a word."""
    given = arguments.cache, arguments.min_count, arguments.max_vocab, arguments.tokenizer
    reading = arguments.reading_without_results()
    return prepare(corpus, *given, reading=reading, vocab=arguments.vocab)


def make_run(corpus: Corpus, arguments: Arguments) -> Run:
    """The run of a corpus. Its settings say by which counts the words were chosen, here or earlier.

    Raises:
        CorpusError: the shipped windows would make no pair of the corpus.
        SettingError: the processes of the run differ in the corpus, a setting or the tables.
    """
    require_alike(corpus, arguments)
    least, most = chosen_by(corpus.vocab)
    chosen = {"min_count": least, "max_vocab": arguments.max_vocab or most}
    settings = changed(arguments.settings(), chosen)
    method = arguments.chosen_method(len(corpus.ids))
    names = ("schedule", "start", "deterministic")
    given = {name: getattr(arguments, name) for name in names}
    job = set_up(corpus, settings, method, mesh=arguments.chosen_mesh(), **given)
    if method.windows in SHIPPED_WINDOWS:  # windows of your own may make pairs of single words
        require_neighbours(job.feed)
    return job


def require_alike(corpus: Corpus, arguments: Arguments) -> None:
    """Refuse processes that differ in the corpus, a setting or the tables. The error names it."""
    mesh = arguments.chosen_mesh()
    if mesh is None or not spans_processes(mesh):
        return
    facts = {
        **arguments.settings().as_json(),
        "corpus": corpus.digest,
        "start": digest(arguments.start),
        "jax version": jax.__version__,
        "devices": [mesh.axis_names, mesh.devices.shape, [each.id for each in mesh.devices.flat]],
        "deterministic": bool(arguments.deterministic),
        "checkpoint (whether there is one)": arguments.checkpoint is not None,
        "on_epoch (whether there is one)": arguments.on_epoch is not None,
        "resume": bool(getattr(arguments.checkpoint, "resume", False)),
    }
    require_same(facts)


def fresh_or_resumed(
    job: Run, checkpoints: Checkpoints | None, identity: dict[str, Any]
) -> tuple[Standing, list[dict[str, Any]]]:
    """(standing, history) of a new run, or of the checkpoint it goes on from."""
    joined = Joined(job.state.params, (job.state.optimizer,) * job.feed.copies)
    like, found = jax.eval_shape(partial(of_words, job), joined), None
    resume = checkpoints is not None and checkpoints.resume
    if checkpoints is not None and resume and is_first():
        given = checkpoints.folder, like, identity, checkpoints.allow
        found = checkpoint.load_checkpoint(*given)
    arrays, position, history = found or (None, Position(), [])
    require_epochs(position, job.settings.epochs)
    if resume and jax.process_count() > 1:
        blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        message = json.dumps([arrays is None, position, history])
        message, arrays = told_by_first(message, arrays or blank)
        fresh, numbers, history = json.loads(message)
        arrays, position = None if fresh else arrays, Position(*numbers)
    if arrays is not None:
        joined = jax.tree.map(placed_like, arrays, joined)
    return Standing(spread(joined, job.recipe.mesh), position), history


def require_epochs(position: Position, epochs: int) -> None:
    """Refuse to go on with fewer epochs than are done: the learning rate would not have fallen."""
    done = position.epoch + (position.chunk > 0)
    if done > epochs:
        cause = f"The checkpoint stands in epoch {done:,}, and epochs={epochs:,}"
        raise CheckpointError(f"{cause}. Use {done:,} or more (--epochs {done}).")


def program_text(job: Run, lowered: jax.stages.Lowered) -> str:
    """The program as it is for one device. So a run can go on with other devices."""
    if job.recipe.mesh is None:
        return lowered.as_text()
    alone = job.recipe._replace(mesh=None)
    state = jax.eval_shape(partial(of_words, job), job.state)
    given = (state, job.tables, job.keep, *job.feed.chunk(0), chunk_seed(0, 0, 0))
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), given)
    text: str = compile_chunk(alone, job.feed.room).lower(*shapes).as_text()
    return text


def summarize(
    job: Run, position: Position, report: Reporter, untrained: Untrained | None
) -> dict[str, Any]:
    """What a run did, as plain as JSON."""
    corpus, steps = job.feed.corpus, position.steps
    loss = report.history[-1]["loss"] if report.history else None
    base, held = None if untrained is None else untrained.loss, None
    if job.settings.held_out and isinstance(job.settings.objective, str):
        held = evaluate_held_out(job, job.state.params)
    summary = {
        "words": position.words,
        "steps": steps,
        "epochs": position.epoch,
        "vocabulary": len(corpus.vocab),
        "loss": loss,
        "untrained_loss": base,
        "advice": advice(loss, base, steps, times_usual_rate(job), job.feed.copies, held),
        "train_seconds": position.seconds,
        "raw_words_per_second": position.words / max(position.seconds, 1e-9),
        "settings": job.settings.as_json() | {"learning_rate": first_rate(job)},
        "corpus": "" if corpus.vocab.report is None else str(corpus.report),
        "device": own_device(job.recipe.mesh).device_kind,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
    }
    return summary if held is None else summary | {"held_out": held}
