"""What the user sees of a run: records, a progress bar, a JSONL log, and the answer to signals."""

import contextlib
import json
import os
import signal
import threading
import time
import warnings
from types import FrameType
from typing import TYPE_CHECKING, Any

from w2vjax.errors import DivergedError, FileError, StoppedError
from w2vjax.files import AnyPath, as_path, check_writable
from w2vjax.runs.arguments import Arguments
from w2vjax.runs.checkpoint import Position
from w2vjax.training.step import Progress, rate_at

if TYPE_CHECKING:
    from w2vjax.training.setup import Run

# Windows has no SIGUSR1.
_SIGNALS = [
    getattr(signal, each) for each in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, each)
]


class Reporter:
    """Gathers what chunks report into records: one every ``every`` seconds, and the last.

    A record: epoch, step, words (raw, so far), loss (nats a positive pair, mean since the last
    record; None where no pair was measured), learning_rate, words_per_second (raw), seconds,
    seconds_left.
    """

    def __init__(
        self, run: "Run", position: Position, arguments: Arguments, history: list[dict[str, Any]]
    ):
        self.run, self.history = run, list(history)
        self.every, self._callback = arguments.log_every, arguments.callback
        self.steps, self.total = position.steps, run.feed.words * run.settings.epochs
        self._begin, self._written = position, (time.perf_counter(), position.words)
        self._loss = self._pairs = 0.0
        self._log = None if arguments.log is None else Log(arguments.log, self.history)
        self._bar = _bar(self.total, position.words) if arguments.progress else None

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._log is not None:
            self._log.close(failed=failure is not None)

    def take_in(self, round_: list[Progress]) -> None:
        """Add up what one round's chunks report; this waits for them.

        Raises :class:`~w2vjax.errors.DivergedError` if its loss was not finite.
        """
        for progress in round_:
            if int(progress.failed) >= 0:
                settings, step = self.run.settings, self.steps + int(progress.failed)
                raise DivergedError(
                    f"The loss is not finite at step {step}: a score of the input against the "
                    f"output table overflowed. Lower learning_rate={settings.learning_rate} or "
                    f"batch_words={settings.batch_words}; the last checkpoint, if any, is "
                    "untouched."
                )
            self.steps += int(progress.steps)
            self._loss += float(progress.loss)
            self._pairs += float(progress.pairs)

    def round(self, position: Position) -> bool:
        """Show a round, and make a record if it is time. True if the callback stops the run."""
        done = position.words >= self.total
        if self._bar is not None:
            self._bar.update(position.words - self._bar.n)
        if not done and time.perf_counter() - self._written[0] < self.every:
            return False
        record = self._record(position)
        self.history.append(record)
        if self._log is not None:
            self._log.write(record)
        if self._bar is not None:
            loss = "-" if record["loss"] is None else f"{record['loss']:.3f}"
            self._bar.set_postfix_str(f"loss {loss}, lr {record['learning_rate']:.4f}")
        # a copy: what the callback does with it changes neither history nor summary
        return self._callback is not None and _is_true(self._callback(dict(record)))

    def _record(self, position: Position) -> dict[str, Any]:
        now = time.perf_counter()
        since, words = self._written
        speed = (position.words - words) / max(now - since, 1e-9)
        record = {
            "epoch": position.epoch,
            "step": self.steps,
            "words": position.words,
            "loss": self._loss / self._pairs if self._pairs else None,
            "learning_rate": rate_at(self.run.recipe, self.steps // self.run.feed.copies),
            "words_per_second": speed,
            "seconds": position.seconds,
            "seconds_left": (self.total - position.words) / max(speed, 1e-9),
        }
        self._written, self._loss, self._pairs = (now, position.words), 0.0, 0.0
        return record


def check_log(path: AnyPath) -> None:
    """Refuse a log that could not be opened. Makes nothing. A device or a pipe can be a log."""
    log = as_path(path)
    if log.is_dir() or not log.exists():
        check_writable(log)


class Log:
    """Records as lines of JSON. A resumed run first writes those of its checkpoint again.

    A run that fails before it measures a loss leaves the old log, or none. A log that can no longer
    be written, because the disk is full say, does not end a run: a warning names the file.
    """

    def __init__(self, path: AnyPath, history: list[dict[str, Any]]):
        self.path, self._waiting, self._broken = os.fspath(path), list(history), False
        self._new, self._begun = not os.path.lexists(path), False
        try:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            said = f"{self.path} cannot be written: {error.strerror}. Name another file."
            raise FileError(said) from error
        if history:
            self._flush()

    def write(self, record: dict[str, Any]) -> None:
        """Write a record; those without a loss wait for the first that has one."""
        self._waiting.append(record)
        if self._begun or record["loss"] is not None:
            self._flush()

    def close(self, failed: bool) -> None:
        """Close the file. A failed run that wrote nothing leaves no new file."""
        if not failed:
            self._flush()
        with contextlib.suppress(OSError):  # a warning has already named the file
            self._file.close()
        if self._new and not self._begun:
            os.unlink(self.path)

    def _flush(self) -> None:
        if not self._begun and self._file.seekable():
            with contextlib.suppress(OSError):  # a device such as /dev/null has no length
                self._file.truncate(0)
        self._begun = True
        records, self._waiting = self._waiting, []
        if self._broken:
            return
        try:
            self._file.writelines(json.dumps(record) + "\n" for record in records)
            self._file.flush()
        except OSError as error:
            self._broken = True
            said = f"{self.path} cannot be written: {error.strerror}. The run goes on without it."
            warnings.warn(said, stacklevel=2)


def _is_true(answer: object) -> bool:
    """Whether a callback stops the run. An answer that is neither does not, so nothing is lost."""
    try:
        return bool(answer)
    except (TypeError, ValueError):  # an array of several numbers
        said = f"The callback returned {answer!r:.60}, which is neither true nor false"
        warnings.warn(f"{said}. The run goes on: return True to stop it.", stacklevel=2)
        return False


def _bar(total: int, done: int) -> Any:
    from tqdm import tqdm

    shown = {"unit": " words", "unit_scale": True, "dynamic_ncols": True, "mininterval": 0.2}
    return tqdm(total=total, initial=done, **shown)


class StopSignals:
    """While ``active``, SIGTERM, SIGINT and SIGUSR1 make a run save and leave."""

    def __init__(self, active: bool):
        self.received: int | None = None
        # handlers belong to the main thread; elsewhere the caller decides
        self._active = active and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if self._active:
            for number in _SIGNALS:
                # a handler that is not Python's could not be put back: it stays
                if signal.getsignal(number) is not None:
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = number

    @staticmethod
    def leave(position: Position, number: int) -> None:
        """Raise StoppedError if ``number`` is a signal and not 0. The checkpoint is saved."""
        if not number:
            return
        name = signal.Signals(number).name
        error = StoppedError(
            f"Stopped by {name} after {position.words:,} words; the checkpoint is saved. Go on "
            "with --resume."
        )
        error.exit_code = 128 + number
        raise error
