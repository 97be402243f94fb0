"""The guard of a process. It ends the process if another one has failed, died or got stuck.

A process that waits for another one in a collective cannot do that itself. So the guard is a
thread. Every half second it leaves a note at JAX's coordinator and reads those of the others.
A second thread ends the process if the coordinator, which is in process 0, does not answer.

JAX has a heartbeat of its own. Each process sends it at half of JAX's time, so JAX can notice a
death as early as after the other half. It then kills all processes without a name or a sentence.
So half of JAX's time is longer than the guard needs: see :func:`time_of_jax`.
"""

import atexit
import math
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import jax

from w2vjax.errors import ProcessError, StoppedError, W2VError, memory_error

HEARTBEAT = 100.0  # seconds after which a silent process has ended all others
# The same where your own program has connected the processes: JAX's time is 100 seconds there.
HEARTBEAT_OF_JAX = 45.0
LEAST_HEARTBEAT = 4.0  # a guard that waits for fewer than four notes would end sound runs
_BEAT = 0.5  # seconds from one note of a guard to the next
_GRACE = 3.0  # seconds that a process has to end by its own error, when another one has failed
_FAREWELL = 6.0  # seconds from the last note of process 0 to its end: _GRACE, and some beats
_SPARE = 10.0  # seconds that a guard on busy cores may need besides
_NOTES = "w2vjax/notes/"


def silence_of(heartbeat: float) -> float:
    """Seconds without a new note after which a process counts as dead.

    They are fewer than the heartbeat, because process 0 lets the others read its note before it
    ends.
    """
    return max(heartbeat / 2, heartbeat - 8)


def time_of_jax(heartbeat: float) -> int:
    """The heartbeat_timeout_seconds with which JAX does not end a process before the guard does.

    >>> time_of_jax(100), time_of_jax(6)
    (216, 38)
    """
    return math.ceil(2 * (silence_of(heartbeat) + _FAREWELL + _SPARE))


def end_now(message: str) -> NoReturn:
    """End this process at once, with a sentence. Its main thread may wait for ever."""
    with suppress(OSError, AttributeError):  # standard error may be full, or None
        sys.stderr.write(f"w2vjax train: {message}\n")
        sys.stderr.flush()
    os._exit(ProcessError.exit_code)


class Guard:
    """Ends this process if another one has failed, is dead or stuck. One thread, one run."""

    def __init__(self, client: Any, heartbeat: float, step_timeout: float):
        self._client, self._own = client, jax.process_index()
        self._silence = silence_of(heartbeat)
        self.step_timeout = step_timeout
        self._mark, self._since, self._training = 0, time.monotonic(), False
        self._heard: dict[int, tuple[str, float]] = {}
        self._failed: dict[int, tuple[float, str]] = {}
        self._answered = time.monotonic()
        self._over, self._left = threading.Event(), threading.Event()
        if self._own != 0:  # before the first note, which may wait too
            threading.Thread(target=self._await, name="w2vjax-await", daemon=True).start()
        self._leave_note("alive 0")  # so that a death right after this is noticed
        self._thread = threading.Thread(target=self._watch, name="w2vjax-guard", daemon=True)
        self._thread.start()

    def mark(self, training: bool = True) -> None:
        """This process has come one step further."""
        self._mark, self._since, self._training = self._mark + 1, time.monotonic(), training

    def end(self, failure: BaseException | None) -> None:
        """Stop watching, and tell the others why if the run has failed."""
        self._over.set()
        self._thread.join(5)
        reason = "" if failure is None or isinstance(failure, StoppedError) else reason_of(failure)
        self._answered = time.monotonic()
        try:
            self._leave_note(f"failed {reason}" if reason else "done")
        finally:
            self._left.set()
        if reason and self._own == 0:
            time.sleep(_FAREWELL)  # the notes end with this process, and the others read them

    def in_words(self, error: Exception) -> ProcessError:
        """JAX's error as a sentence. If another process is its cause, the guard names that."""
        if told := memory_error(error):
            return ProcessError(str(told))
        time.sleep(self._silence + _FAREWELL + _GRACE)  # process 0 says farewell before it ends
        return ProcessError(
            f"An exchange with the other processes has failed: {reason_of(error)} Look at their "
            "hosts and the network, and start all processes again with --resume."
        )

    def _leave(self, message: str) -> NoReturn:
        """End this process. The notes end with process 0, so it gives the others time to read."""
        if self._own == 0:
            self._leave_note(f"failed {message}")
            time.sleep(_FAREWELL)
        end_now(message)

    def _leave_note(self, note: str) -> None:
        self._client.key_value_set(f"{_NOTES}{self._own}", note, allow_overwrite=True)

    def _watch(self) -> None:
        try:
            while not self._over.wait(_BEAT):
                self._look()
        except jax.errors.JaxRuntimeError as error:  # JAX is about to end this process itself
            for process, (_, said) in self._failed.items():  # the failure that process 0 ended by
                end_now(f"Process {process} has ended, so this one ends too. It said: {said}")
            end_now(
                f"Process 0, which connects the others, cannot be reached: {reason_of(error)} "
                "Look why it or its host has ended, and start all processes again with --resume."
            )

    def _await(self) -> None:
        """The guard itself waits for an answer of process 0, for ever if that is stopped."""
        woken = time.monotonic()
        while not self._left.wait(_BEAT):
            before, woken = woken, time.monotonic()
            if woken - before > self._silence / 2:  # this process itself was stopped
                self._answered = woken
            if woken - self._answered > self._silence:
                end_now(
                    f"Process 0, which connects the others, has not answered for {self._silence:g} "
                    "s. Look why it or its host has ended, and start all processes again with "
                    "--resume."
                )

    def _look(self) -> None:
        now, marks = time.monotonic(), {self._own: self._mark}
        self._leave_note(f"alive {self._mark} {now}")
        for key, note in self._client.key_value_dir_get(_NOTES):
            process = int(key.rpartition("/")[2])
            if process != self._own:
                self._judge(process, note, now, marks)
        self._answered = now
        # a process that has failed says why itself, and this one waits to hear it
        if self._training and not self._failed and now - self._since > self.step_timeout:
            self._stuck(marks)

    def _judge(self, process: int, note: str, now: float, marks: dict[int, int]) -> None:
        kind, _, rest = note.partition(" ")
        if kind == "failed" and now - self._failed.setdefault(process, (now, rest))[0] > _GRACE:
            end_now(f"Process {process} has ended, so this one ends too. It said: {rest}")
        if kind != "alive":
            return
        marks[process] = int(rest.split()[0])
        before, since = self._heard.get(process, ("", now))
        if note != before:
            self._heard[process] = note, now
        elif now - since > self._silence:
            self._leave(
                f"Process {process} has not been heard of for {self._silence:g} s. Look why it or "
                "its host has ended, and start all processes again with --resume."
            )

    def _stuck(self, marks: dict[int, int]) -> NoReturn:
        behind = [process for process, mark in marks.items() if mark == min(marks.values())]
        what = f"Process {', '.join(map(str, sorted(behind)))} has"
        if len(behind) == jax.process_count():
            what = "A round of all processes has"
        self._leave(
            f"{what} not gone on for {self.step_timeout:g} s. Look at what it waits for, or raise "
            "step_timeout (--step-timeout)."
        )


def tell_failure(reason: str) -> None:
    """Let the guards of the other processes know why this one, which has no guard yet, ends."""
    coordinator().key_value_set(f"{_NOTES}{jax.process_index()}", f"failed {reason}")


def coordinator() -> Any:
    """JAX's client of the coordinator, which keeps notes for all processes."""
    from jax._src import distributed  # it has no public name

    return distributed.global_state.client


def reason_of(failure: BaseException) -> str:
    return (" ".join(str(failure).split()) or type(failure).__name__)[:500]


_guards: list[Guard] = []
_heartbeat = HEARTBEAT_OF_JAX


def expect(heartbeat: float) -> None:
    """Set the heartbeat of all guards from now on."""
    global _heartbeat
    _heartbeat = heartbeat


def mark_progress(waits_for: object = None, training: bool = True) -> None:
    """Wait for arrays, and tell the guard, if there is one, that this process has advanced.

    The guard looks for processes that are stuck only while ``training`` is true.
    """
    if _guards:
        jax.block_until_ready(waits_for)
        _guards[0].mark(training)


@contextmanager
def guarded(step_timeout: float = float("inf")) -> Iterator[None]:
    """Run a guard beside the block, if the run has several processes. Nested blocks share it.

    If the block fails, the process ends without waiting for the others at JAX's last barrier.
    """
    if _guards or not jax.distributed.is_initialized() or jax.process_count() == 1:
        for guard in _guards:
            guard.step_timeout = step_timeout
        yield
        return
    guard = Guard(coordinator(), _heartbeat, step_timeout)
    _guards.append(guard)
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        if isinstance(error, Exception) and of_xla(error):
            failure = guard.in_words(error)
            raise failure from error
        raise
    finally:
        _guards.clear()
        guard.end(failure)
        if failure is not None and not isinstance(failure, StoppedError):
            atexit.register(leave, getattr(failure, "exit_code", 1))


def of_xla(error: Exception) -> bool:
    """Whether XLA raised an error. A first call raises its status as a ValueError.

    >>> [of_xla(ValueError(words)) for words in ("UNKNOWN: AllGather failed", "dim: 1.5", "NaN: 3")]
    [True, False, False]
    >>> from w2vjax.errors import CorpusError
    >>> of_xla(CorpusError("README: invalid UTF-8 at byte 3"))
    False
    """
    if isinstance(error, jax.errors.JaxRuntimeError):
        return True
    plain = isinstance(error, ValueError) and not isinstance(error, W2VError)
    return plain and bool(re.match(r"[A-Z]+(_[A-Z]+)*: ", str(error)))


def leave(code: int) -> None:
    """End this process without waiting for the others."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    os._exit(code)
