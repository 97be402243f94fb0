"""Whether a run learns: a run with nothing to train on, or that diverges, is stopped.

A run whose loss stays above that of tables that have learned nothing
(:mod:`w2vjax.objectives.untrained`) has diverged, long before a number stops being finite.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.errors import CorpusError, DivergedError
from w2vjax.objectives.untrained import Untrained, untrained_loss
from w2vjax.runs.checkpoint import Position
from w2vjax.training.methods import method
from w2vjax.training.setup import Run
from w2vjax.training.step import Progress
from w2vjax.training.updates import LinearDecay, linear_decay
from w2vjax.types import Objective, Params
from w2vjax.windows.sampling import keep_probabilities

# A round is bad if its loss is above this many times the untrained one, and hopeless if it is above
# the next.
_BAD, _HOPELESS = 1.1, 10.0
# Bad rounds in a row that end a run: this many, or this share of all rounds.
_ROUNDS, _SHARE = 3, 1 / 20
# A run whose loss is still above this share of the untrained one has learned little. If its rate is
# this many times the usual one, or less than one in so many, the rate is the cause.
_NEAR, _FAR_RATE = 0.9, 16.0
# The mean loss of few pairs varies by chance. A round is bad if it is this many standard deviations
# above the limit. Pairs of a batch share words and negatives, so they are not independent: this
# many pairs count as one.
_DEVIATIONS, _PAIRS_OF_A_SAMPLE = 4.0, 100
# The largest number that tables of the shipped objectives may hold. Measured: 3.6 after 60 passes
# over 24 words, in bfloat16 too; the slow tests keep it under 20 at the steepest steps. Runs that
# diverge go to 1e5 and beyond.
_LARGEST = 200.0


Waiting: TypeAlias = Callable[[], Untrained | None]  # computed in a thread: call it to wait


def untrained_beside(job: Run) -> Waiting:
    """Start :func:`untrained_loss` of a run in a thread. Call the result to wait for it."""
    wide = jnp.result_type(float) == jnp.float64

    def compute() -> Untrained | None:
        mass = job.occurrences * keep_probabilities(job.feed.corpus.counts, job.settings.sample)
        with jax.enable_x64(wide):  # a thread does not inherit it
            return untrained_loss(job.recipe.objective, job.tables, mass)

    thread = ThreadPoolExecutor(1, "w2vjax-untrained")
    coming = thread.submit(compute)
    thread.shutdown(wait=False)
    return coming.result


def advice(
    loss: float | None,
    untrained: float | None,
    steps: int,
    times: float = 1.0,
    copies: int = 1,
    held_out: Mapping[str, float | None] | None = None,
) -> str | None:
    """What to try where a run has not learned much, or nothing of use; None for others.

    Args:
        loss: of the last record.
        untrained: that of tables that have learned nothing.
        steps: of the run.
        times: the learning rate, divided by the usual one.
        copies: of the tables.
        held_out: the loss on held-out text, and that of the unigram distribution.

    >>> advice(4.15, 4.16, 5)
    'The run has learned little: its loss of 4.1500 is near the 4.1600 of untrained tables. It ...'
    >>> advice(4.15, 4.16, 5, times=1e-9)
    'The run has ... tables. Its learning rate is 1e-09 times the usual one. Leave the rate out.'
    """
    mine, base = ((held_out or {}).get(name) for name in ("loss", "unigram_loss"))
    near = loss is not None and untrained is not None and loss >= _NEAR * untrained
    if near:
        little = f"The run has learned little: its loss of {loss:.4f} is near the {untrained:.4f}"
        cause = f"{little} of untrained tables."
    elif mine is not None and base is not None and mine >= base:
        cause = "The model predicts held-out text no better than the frequencies of its words do: "
        cause += f"its loss there is {mine:.4f}, and theirs {base:.4f}."
    else:
        return None
    if not 1 / _FAR_RATE <= times <= _FAR_RATE:
        return f"{cause} Its learning rate is {times:.3g} times the usual one. Leave the rate out."
    if not near:
        return f"{cause} Try a longer text, another number of epochs, or the usual learning rate."
    fewer = f", fewer copies than {copies}" if copies > 2 else ""
    return f"{cause} It had {steps:,} steps. Try ten times as many epochs{fewer}, or a longer text."


def first_rate(job: Run) -> float | None:
    """The learning rate of the first step. None if the caller gave another schedule."""
    rate, schedule = job.settings.learning_rate, job.recipe.schedule
    usual = isinstance(schedule, LinearDecay) and schedule == linear_decay(rate, job.steps)
    return rate if usual else None


def times_usual_rate(job: Run) -> float:
    """The learning rate of the first step, divided by that of the shipped method; 1 for others."""
    settings, rate = job.settings, first_rate(job)
    if rate is None or not isinstance(settings.objective, str):
        return 1.0
    given = len(job.feed.corpus.ids), settings.epochs, job.feed.copies, settings.negatives
    usual = method(settings.model, settings.objective, *given, settings.window)
    return rate / usual.learning_rate


def remedy(job: Run) -> str:
    """What to do about a run that has diverged."""
    rate = first_rate(job)
    lower = "the schedule" if rate is None else f"learning_rate={rate}"
    return f"Lower {lower} or batch_words={job.settings.batch_words}."


class Watch:
    """Judges each round of a run by its measured loss.

    ``start`` are the params that the caller gave the run. They may have learned from other text,
    and lose more on this one than tables that have learned nothing. Later rounds are then judged by
    the loss of the first round.
    """

    def __init__(self, job: Run, position: Position, untrained: Waiting, start: Params | None):
        self.job, self._start, self._wait = job, start, untrained
        rounds = job.settings.epochs * -(-job.feed.chunks // job.feed.copies)
        self._patience = max(_ROUNDS, round(rounds * _SHARE))
        fed, epochs = job.feed, job.settings.epochs
        self._words = fed.words * (epochs - position.epoch) - fed.size * position.chunk
        self._base: float | None = None  # the loss that rounds are judged by
        self._rounds = self._bad = 0
        self._pairs = self._kept = 0.0
        self._last = 0.0, 0.0  # loss and pairs of the last round that measured any
        own = isinstance(job.settings.objective, Objective)  # nothing is known of its tables
        sizes = [float(np.abs(np.asarray(table)).max()) for table in start or ()]
        self._bound = np.inf if own else max([_LARGEST, *(10 * size for size in sizes)])

    def round(self, reports: Sequence[Progress], step: int) -> None:
        """Take in one round. Raises DivergedError if the run has diverged."""
        pairs = sum(float(report.pairs) for report in reports)
        self._kept += sum(int(report.words) for report in reports)
        self._pairs += pairs
        if not pairs:
            return
        loss = sum(float(report.loss) for report in reports) / pairs
        if self._base is None:
            base = self._untrained.loss
            self._base = base if self._start is None else min(max(base, loss), _HOPELESS * base)
        self._rounds += 1
        self._last = loss, pairs
        self._bad = self._bad + 1 if self._above(_BAD) else 0
        if self._bad >= self._patience or (self._rounds > 1 and self._above(_HOPELESS)):
            self._diverged(step)

    def end(self, params: Params, step: int, whole: bool = True) -> None:
        """Judge a run by its last round and its tables. ``whole``: it was not stopped early.

        Raises :class:`~w2vjax.errors.DivergedError`, or :class:`~w2vjax.errors.CorpusError` if
        nothing was trained.
        """
        if self._above(_BAD):
            self._diverged(step)
        self.tables(params, "the end of the run", step)
        if whole and not self._pairs and self._unchanged(params):
            self._nothing()

    def tables(self, params: Params, where: str, step: int) -> None:
        """Raise DivergedError if a table is not finite, or larger than any that learns."""
        require_sound(params, where, step, self._bound, remedy(self.job))

    @cached_property
    def _untrained(self) -> Untrained:
        """Waited for when the first round is judged; training has begun by then."""
        return self._wait() or Untrained(np.inf, 0.0)  # no loss is above that

    def _above(self, factor: float) -> bool:
        if self._base is None:
            return False
        loss, pairs = self._last
        root: float = max(1.0, pairs / _PAIRS_OF_A_SAMPLE) ** 0.5
        return loss > factor * self._base + _DEVIATIONS * self._untrained.deviation / root

    def _diverged(self, step: int) -> None:
        raise DivergedError(
            f"Training has diverged: at step {step:,} the loss is {self._last[0]:,.4g} nats a "
            f"positive pair, and tables that have learned nothing have {self._untrained.loss:.4g}. "
            f"{remedy(self.job)}"
        )

    def _unchanged(self, params: Params) -> bool:
        # equal bits: a step on any pair would have moved an output row
        before = (None, 0) if self._start is None else self._start
        return all(
            np.array_equal(np.asarray(a), np.broadcast_to(np.asarray(b, a.dtype), a.shape))
            for a, b in zip(params, before, strict=True)
            if b is not None
        )

    def _nothing(self) -> None:
        words, sample = self._words, self.job.settings.sample
        if self._kept < words:
            raise CorpusError(
                f"No pair of words was trained: sample={sample} dropped {words - self._kept:,.0f} "
                f"of {words:,} words, and no two of a line were left. Use sample=0 (--sample 0)."
            )
        made = (
            f"the windows made none of {words:,} words" if words > 0 else "not by this run so far"
        )
        cause = f"No pair of words was trained: {made}"
        lower = "" if not sample else f"lower sample={sample} (--sample 0), "
        raise CorpusError(f"{cause}. Put more words on a line, {lower}or use other windows.")


@jax.jit
def _largest(table: jax.Array) -> jax.Array:
    return jnp.abs(table).max().astype(jnp.float32)


def require_sound(params: Params, where: str, step: int, bound: float, remedy: str) -> None:
    """Raise DivergedError, naming the table that is not finite or not within ``bound``."""
    at = f"at {where} (step {step:,})"
    for name, table in params._asdict().items():
        # a program costs more than a small table of NumPy
        host = isinstance(table, np.ndarray)
        size = float(np.abs(table).max(initial=0.0) if host else _largest(table))
        if not np.isfinite(size):
            raise DivergedError(f"The {name} table holds NaN or infinity {at}. {remedy}")
        if size > bound:
            raise DivergedError(
                f"Training has diverged: the {name} table holds numbers up to {size:,.4g} {at}, "
                f"and tables that learn stay below {bound:g}. {remedy}"
            )
