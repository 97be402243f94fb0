"""The rounds of a run. In a round, each copy of the tables trains one chunk.

While a round trains, the reports of the round before are read. So a callback that stops the run
does so after one more round, and the tables and the position of that round are saved.
"""

import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from w2vjax.devices.feed import chunks_on, rounds
from w2vjax.errors import FileError
from w2vjax.processes.connect import Requests, agreed, is_first
from w2vjax.processes.exchange import meet
from w2vjax.processes.guard import mark_progress
from w2vjax.runs.checkpoint import Checkpoints, Position, save_checkpoint
from w2vjax.runs.report import Reporter, StopSignals
from w2vjax.runs.watch import Watch
from w2vjax.training import copies
from w2vjax.training.copies import Copies, Workers, read_reports
from w2vjax.training.setup import Run, of_words
from w2vjax.vectors.vectors import Vectors


class Standing(NamedTuple):
    """Where a run stands. Tables and position change together and are saved together."""

    copies: Copies
    position: Position
    reports: Any = None  # of the round that led here, until they are read


class Round(NamedTuple):
    """The chunks that are trained side by side, on the device."""

    epoch: int
    numbers: range
    chunks: list[tuple[Any, ...]]


class Saver:
    """Writes the checkpoints of a run, and knows when the next one is due."""

    def __init__(self, checkpoints: Checkpoints, identity: dict[str, Any], report: Reporter):
        self._checkpoints, self._identity, self._report = checkpoints, identity, report
        self._saved = time.perf_counter()

    def due(self) -> bool:
        """Whether a checkpoint is due. The first process decides that."""
        return is_first() and time.perf_counter() - self._saved > self._checkpoints.every

    def save(self, standing: Standing) -> None:
        """Write a checkpoint. All processes call it together, and the first one writes."""
        folder, history = self._checkpoints.folder, self._report.history
        run = self._report.run
        joined = of_words(run, copies.joined_on_host(standing.copies, run.recipe.mesh))
        mark_progress(training=False)  # a large file may take its time, and all wait for it
        try:
            if is_first():
                save_checkpoint(folder, joined, standing.position, self._identity, history)
        finally:
            meet()
        self._saved = time.perf_counter()


@dataclass
class Trainer:
    """Trains the rounds of a run. Between two of them it reports, judges, saves and stops."""

    workers: Workers
    report: Reporter
    watch: Watch
    signals: StopSignals
    saver: Saver | None
    _begin: float = 0.0  # when the run began, less what earlier sessions trained
    _stopped: bool = False

    def train(self, standing: Standing) -> Standing:
        """Train all chunks from ``standing`` on, and return where the run then stands."""
        self._begin, asked = time.perf_counter() - standing.position.seconds, Requests()
        job = self.report.run
        for coming in rounds_ahead(job, standing.position):
            following = advance(job, self.workers, standing, self._requests(), coming)
            mark_progress()
            _, asked = self._settle(standing)
            standing = following
            if not asked.stop and (asked.signal or asked.save):
                signal = asked.signal
                standing, asked = self._settle(standing)
                self._save(standing)
                self.signals.leave(standing.position, signal)
            if not asked.stop and self._ends_an_epoch(standing):
                standing, asked = self._settle(standing)
            if asked.stop:
                break
        jax.block_until_ready(standing.copies)
        standing, _ = self._settle(standing, not asked.stop or self._ends_an_epoch(standing))
        self.watch.end(standing.copies.params, standing.position.steps, whole=not asked.stop)
        try:
            self._save(standing)
        except FileError as error:
            if asked.signal:  # the checkpoint is all that such a run leaves
                raise
            message = f"{error} The run has ended, and gives its results without this checkpoint."
            warnings.warn(message, stacklevel=2)
        mark_progress(training=False)
        if asked.stop:
            self.signals.leave(standing.position, asked.signal)
        return standing

    def _requests(self) -> Requests:
        """What this process wants."""
        due = self.saver is not None and self.saver.due()
        return Requests(self.signals.received or 0, int(due), int(self._stopped))

    def _settle(self, standing: Standing, record: bool = True) -> tuple[Standing, Requests]:
        """Wait for a round's reports and count its steps.

        Returns:
            Where the run stands then, and what all processes have to do.
        """
        report = self.report
        mark_progress(standing.reports and copies.own_part(standing.reports))
        reports, noted = read_reports(standing.reports or [])
        report.take_in(reports)
        self.watch.round(reports, report.steps)
        seconds = time.perf_counter() - self._begin
        position = standing.position._replace(steps=report.steps, seconds=seconds)
        vectors = self._vectors(standing) if record and reports else None
        if record and reports:
            self._stopped |= report.round(position, vectors)
        # the notes of a round were made before on_epoch answered, so all are asked again
        requests = agreed(self._requests(), noted if vectors is None else None, bool(reports))
        mark_progress()
        return Standing(standing.copies, position), requests

    def _ends_an_epoch(self, standing: Standing) -> bool:
        """Whether an epoch has ended here, and somebody asks for its vectors."""
        return self.report.on_epoch is not None and not standing.position.chunk

    def _vectors(self, standing: Standing) -> Vectors | None:
        """The vectors at the end of an epoch, if somebody asks for them. All processes call it."""
        if not self._ends_an_epoch(standing):
            return None
        run = self.report.run
        joined = of_words(run, copies.joined_on_host(standing.copies, run.recipe.mesh))
        mark_progress(training=False)  # what is done with the vectors may take its time
        return Vectors(run.feed.corpus.vocab, np.asarray(joined.params.input, np.float32))

    def _save(self, standing: Standing) -> None:
        """Save a checkpoint, if the run has them and its tables are sound."""
        if self.saver is not None:
            self.watch.tables(standing.copies.params, "a checkpoint", standing.position.steps)
            self.saver.save(standing)


def advance(
    job: Run, workers: Workers, standing: Standing, requests: Requests, coming: Round
) -> Standing:
    """Start one round. Tables, position and reports after it are still being computed."""
    feed, numbers = job.feed, coming.numbers
    tables, reports = workers.train(standing.copies, coming.chunks, len(numbers), requests)
    last = numbers.stop == feed.chunks
    end = feed.words if last else numbers.stop * feed.size
    words = standing.position.words + end - numbers.start * feed.size
    chunk = 0 if last else numbers.stop
    position = standing.position._replace(epoch=coming.epoch + last, chunk=chunk, words=words)
    return Standing(tables, position, reports)


def rounds_ahead(job: Run, position: Position) -> Iterator[Round]:
    """Each round from ``position`` on. A thread makes the next one while a round trains."""

    def make(epoch: int, numbers: range) -> Round:
        chunks = chunks_on(job.recipe.mesh, job.feed, job.settings.seed, epoch, numbers)
        return Round(epoch, numbers, chunks)

    with ThreadPoolExecutor(1, "w2vjax-feed") as maker:
        waiting = None
        for round_ in rounds(job.feed, job.settings.epochs, (position.epoch, position.chunk)):
            coming = maker.submit(make, *round_)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
