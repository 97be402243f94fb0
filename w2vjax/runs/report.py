"""What the user sees of a run: records, a progress bar, and the answer to signals."""

import signal
import threading
import time
import warnings
from types import FrameType
from typing import TYPE_CHECKING, Any

from w2vjax.errors import DivergedError, StoppedError, shown
from w2vjax.log_file import Log, interval
from w2vjax.runs.arguments import Arguments
from w2vjax.runs.checkpoint import Position
from w2vjax.runs.watch import remedy
from w2vjax.training.methods import SHIPPED_WINDOWS
from w2vjax.training.step import Progress, rate_at
from w2vjax.training.updates import LinearDecay, row_sgd

if TYPE_CHECKING:
    from w2vjax.training.setup import Run
    from w2vjax.vectors.vectors import Vectors

# Windows has no SIGUSR1.
_SIGNALS = [
    getattr(signal, each) for each in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, each)
]


def _or_yours(run: "Run") -> str:
    """Another cause of a number that is not finite, where the caller has given functions."""
    recipe, named = run.recipe, isinstance(run.settings.objective, str)
    shipped = recipe.windows in SHIPPED_WINDOWS and recipe.make_optimizer is row_sgd
    ours = named and shipped and isinstance(recipe.schedule, LinearDecay)
    return "" if ours else ", or a function of your own has made NaN"


class Reporter:
    """Gathers what chunks report into records: one at each interval, and the last.

    :class:`~w2vjax.runs.loop.Trained` says what a record holds. With an interval in steps, words or
    epochs, a record is made at each multiple of it, so a resumed run has the same ones.
    """

    def __init__(
        self, run: "Run", position: Position, arguments: Arguments, history: list[dict[str, Any]]
    ):
        self.run, self.history = run, list(history)
        self._every, self._unit = interval(arguments.log_every)
        self._callback, self.on_epoch = arguments.callback, arguments.on_epoch
        self.steps, self.total = position.steps, run.feed.words * run.settings.epochs
        # steps of the first copy: a checkpoint has only those of all
        share = run.feed.of_first(position.epoch, position.chunk) / max(1, position.words)
        self._of_first = round(self.steps * share)
        self._begin, self._written = position, (time.perf_counter(), position.words, self.steps)
        self._loss, self._pairs, self._stops = 0.0, 0.0, False
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
                step = self.steps + int(progress.failed)
                raise DivergedError(
                    f"The loss is not finite at step {step}: a score of the input against the "
                    f"output table overflowed{_or_yours(self.run)}. {remedy(self.run)} The last "
                    "checkpoint, if any, is untouched."
                )
            self.steps += int(progress.steps)
            self._loss += float(progress.loss)
            self._pairs += float(progress.pairs)
        self._of_first += sum(int(progress.steps) for progress in round_[:1])

    def round(self, position: Position, vectors: "Vectors | None" = None) -> bool:
        """Show a round, and make a record if it is time. True if a callback stops the run.

        ``vectors`` are those at the end of an epoch, for ``on_epoch``. They always have a record.
        """
        done = position.words >= self.total or vectors is not None
        if self._bar is not None:
            self._bar.update(position.words - self._bar.n)
        if not done and not self._due(position.words):
            return False
        record = self._record(position)
        self.history.append(record)
        if self._log is not None:
            self._log.write(record)
        if self._bar is not None:
            loss = "-" if record["loss"] is None else f"{record['loss']:.3f}"
            self._bar.set_postfix_str(f"loss {loss}, lr {record['learning_rate']:.4f}")
        # copies: what a callback does with a record changes neither history nor summary
        if self._callback is not None and not self._stops:  # it is not called once it said stop
            self._stops = _is_true(self._callback(dict(record)))
        if vectors is not None and self.on_epoch is not None:
            self._stops |= _is_true(self.on_epoch(dict(record), vectors))
        return self._stops

    def _due(self, words: int) -> bool:
        """Whether an interval has ended since the last record."""
        when, *before = self._written
        if self._unit == "seconds":
            return time.perf_counter() - when >= self._every
        length = self._every * (self.run.feed.words if self._unit == "epochs" else 1)
        at = int(self._unit == "steps")
        return (words, self.steps)[at] // length > before[at] // length

    def _record(self, position: Position) -> dict[str, Any]:
        now = time.perf_counter()
        since, words, _ = self._written
        speed = (position.words - words) / max(now - since, 1e-9)
        record = {
            "epoch": position.epoch,
            "step": self.steps,
            "words": position.words,
            "loss": self._loss / self._pairs if self._pairs else None,
            "learning_rate": rate_at(self.run.recipe, self._of_first),
            "words_per_second": speed,
            "seconds": position.seconds,
            "seconds_left": (self.total - position.words) / max(speed, 1e-9),
        }
        self._written, self._loss, self._pairs = (now, position.words, self.steps), 0.0, 0.0
        return record


def _is_true(answer: object) -> bool:
    """Whether a callback stops the run. An answer that is neither does not, so nothing is lost."""
    try:
        return bool(answer)
    except (TypeError, ValueError):  # an array of several numbers
        said = f"The callback returned {shown(answer)}, which is neither true nor false"
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
            "with resume=True (--resume)."
        )
        error.exit_code = 128 + number
        raise error
