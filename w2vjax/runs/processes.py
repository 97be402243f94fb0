"""Several processes, on one host or on many, that train one model together.

JAX connects them (``jax.distributed``), and moves what they exchange. This module adds what a run
needs beside that: errors as sentences, wishes that all processes hear of at the same round, and a
guard. The guard of a process is a thread. Every second it leaves a note at JAX's coordinator and
reads those of the others. It ends the process if another one has failed, died or got stuck. A
process that waits for another one in a collective cannot do that itself.
"""

import atexit
import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from w2vjax.errors import ProcessError, SettingError, StoppedError

_BEAT = 0.5  # seconds from one note of a guard to the next
_GRACE = 3.0  # seconds that a process has to end by its own error, when another one has failed
_NOTES = "w2vjax/notes/"
_SAME = "Give all the same --coordinator and --processes, and each its own --process."


class Wishes(NamedTuple):
    """What a process wants at the end of a round. All processes do what any of them wants."""

    signal: int = 0
    save: int = 0
    stop: int = 0


def is_first() -> bool:
    """Whether this process writes results, log and checkpoints."""
    return bool(jax.process_index() == 0)


def agreed(own: Wishes, noted: np.ndarray | None, started: bool) -> Wishes:
    """What all processes have to do.

    Args:
        own: the wishes of this process now.
        noted: what everyone wished when a round began, [devices, 3], if the round told so.
        started: whether a round has ended.
    """
    if jax.process_count() == 1:
        return own
    if not started:
        return Wishes()
    if noted is None:
        noted = np.asarray(multihost_utils.process_allgather(np.array(own, np.int32)))
    return Wishes(*noted.max(0).tolist())


def told_by_first(value: Any, arrays: Any) -> tuple[Any, Any]:
    """What process 0 says: a string, and a tree of arrays of known shapes. All call it together."""
    if jax.process_count() == 1:
        return value, arrays
    text = np.frombuffer(value.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    if not is_first():
        text = np.zeros(size, np.uint8)
    said = multihost_utils.broadcast_one_to_all(text)
    host = jax.tree.map(np.asarray, arrays)
    return said.tobytes().decode(), multihost_utils.broadcast_one_to_all(host)


def connect(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    start_timeout: float = 300.0,
    heartbeat: float = 100.0,
) -> None:
    """Make this process one of several, before it uses JAX for anything else.

    On SLURM, Open MPI and Cloud TPU, JAX knows the first three.

    Args:
        coordinator: HOST:PORT of process 0.
        processes: how many there are.
        process: the number of this one, from 0.
        start_timeout: seconds within which all have to come. Otherwise this process ends.
        heartbeat: seconds after which a silent process is taken to be dead.

    Raises:
        SettingError: the address, the numbers or the times cannot work, or the port is taken.
        ProcessError: JAX cannot connect.
    """
    for name, seconds in (("--start-timeout", start_timeout), ("--heartbeat", heartbeat)):
        if not 1 <= seconds <= 1e6:  # a guard with no time would end every run
            raise SettingError(f"{name} {seconds:g} cannot work. Use 1 to 1,000,000 seconds.")
    _check(coordinator, processes, process)
    # SIGTERM is ours: it saves a checkpoint
    jax.config.update("jax_enable_preemption_service", False)
    too_late = (
        f"After {start_timeout:g} s, not all of the {processes or 'other'} processes have come to "
        f"{coordinator or 'the coordinator'}. Start all of them. {_SAME}"
    )
    late = threading.Timer(start_timeout, _end, (too_late,))
    late.daemon = True
    late.start()
    # JAX ends a process by a signal when its own time is over. The timer and the guard are there
    # before, and say who it was.
    timing: dict[str, Any] = {
        "initialization_timeout": int(start_timeout) + 10,
        "heartbeat_timeout_seconds": int(heartbeat) + 8,
    }
    try:
        jax.distributed.initialize(coordinator, processes, process, **timing)
        there = jax.process_count()
    except (RuntimeError, ValueError, TypeError) as error:
        raise ProcessError(
            f"JAX cannot connect the processes of this run: {_reason(error)} {_SAME}"
        ) from error
    finally:
        late.cancel()
    if processes not in (None, there):
        atexit.register(_leave, SettingError.exit_code)  # the others are not waited for
        raise SettingError(
            f"This process expects {processes} processes, and {there} have come. {_SAME}"
        )


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if coordinator is None and processes is None and process is None:
        return
    if coordinator is None or processes is None or process is None:
        cause = "--coordinator, --processes and --process go together, and one is missing"
        raise SettingError(f"{cause}. Give all three, or none on SLURM, Open MPI and Cloud TPU.")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        cause = f"--coordinator {coordinator} is no address"
        raise SettingError(f"{cause}. Use HOST:PORT of process 0, such as 10.0.0.1:1234.")
    if not 0 <= process < processes:
        cause = f"--process {process} is not one of {processes} processes"
        raise SettingError(f"{cause}. Number them from 0 to {processes - 1}.")
    if process == 0:
        _check_port(int(port))


def _check_port(port: int) -> None:
    """Refuse a port that is taken. JAX says so in its log alone."""
    for family, host in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # no IPv6 here, say
                continue
            cause = f"Port {port} of this host cannot be used: {error.strerror}"
            raise SettingError(f"{cause}. Name another port with --coordinator.") from error


def _end(message: str) -> NoReturn:
    """End this process at once, with a sentence. Its main thread may wait for ever."""
    print(f"w2vjax train: {message}", file=sys.stderr, flush=True)
    os._exit(ProcessError.exit_code)


class Guard:
    """Ends this process if another one has failed, is dead or stuck. One thread, one run."""

    def __init__(self, client: Any, heartbeat: float, step_timeout: float):
        self._client, self._own = client, jax.process_index()
        # Process 0 waits for the others before it ends, and JAX must not be the first
        self._silence = max(heartbeat / 2, heartbeat - 5)
        self.step_timeout = step_timeout
        self._mark, self._since, self._training = 0, time.monotonic(), False
        self._heard: dict[int, tuple[str, float]] = {}
        self._failed: dict[int, tuple[float, str]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="w2vjax-guard", daemon=True)
        self._thread.start()

    def mark(self, training: bool = True) -> None:
        """This process has come one step further."""
        self._mark, self._since, self._training = self._mark + 1, time.monotonic(), training

    def end(self, failure: BaseException | None) -> None:
        """Stop watching, and tell the others why if the run has failed."""
        self._over.set()
        self._thread.join(5)
        reason = "" if failure is None or isinstance(failure, StoppedError) else _reason(failure)
        self._leave_note(f"failed {reason}" if reason else "done")
        if reason and self._own == 0:
            time.sleep(_GRACE)  # the notes end with this process, and the others have to read them

    def in_words(self, error: jax.errors.JaxRuntimeError) -> ProcessError:
        """JAX's error as a sentence. If another process is its cause, the guard names that."""
        if "RESOURCE_EXHAUSTED" in str(error):
            return ProcessError(f"There is not enough memory: {_reason(error)} Use smaller tables.")
        time.sleep(self._silence + _GRACE)
        return ProcessError(
            f"An exchange with the other processes has failed: {_reason(error)} Look at their "
            "hosts and the network, and start all processes again with --resume."
        )

    def _leave(self, message: str) -> NoReturn:
        """End this process. The notes end with process 0, so it gives the others time to read."""
        if self._own == 0:
            self._leave_note(f"failed {message}")
            time.sleep(_GRACE)
        _end(message)

    def _leave_note(self, note: str) -> None:
        self._client.key_value_set(f"{_NOTES}{self._own}", note, allow_overwrite=True)

    def _watch(self) -> None:
        try:
            while not self._over.wait(_BEAT):
                self._look()
        except jax.errors.JaxRuntimeError as error:  # JAX is about to end this process itself
            for process, (_, said) in self._failed.items():  # the failure that process 0 ended by
                _end(f"Process {process} has ended, so this one ends too. It said: {said}")
            _end(
                f"Process 0, which connects the others, cannot be reached: {_reason(error)} "
                "Look why it or its host has ended, and start all processes again with --resume."
            )

    def _look(self) -> None:
        now, marks = time.monotonic(), {self._own: self._mark}
        self._leave_note(f"alive {self._mark} {now}")
        for key, note in self._client.key_value_dir_get(_NOTES):
            process = int(key.rpartition("/")[2])
            if process != self._own:
                self._judge(process, note, now, marks)
        if self._training and now - self._since > self.step_timeout:
            self._stuck(marks)

    def _judge(self, process: int, note: str, now: float, marks: dict[int, int]) -> None:
        kind, _, rest = note.partition(" ")
        if kind == "failed" and now - self._failed.setdefault(process, (now, rest))[0] > _GRACE:
            _end(f"Process {process} has ended, so this one ends too. It said: {rest}")
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
        if len(behind) == len(marks):
            what = "A round of all processes has"
        self._leave(
            f"{what} not gone on for {self.step_timeout:g} s. Look at what it waits for, or raise "
            "step_timeout (--step-timeout)."
        )


def _reason(failure: BaseException) -> str:
    return (" ".join(str(failure).split()) or type(failure).__name__)[:500]


_guards: list[Guard] = []


def forward(waits_for: Any = None, training: bool = True) -> None:
    """Tell the guard, if there is one, that this process is a step further when this is there."""
    if _guards:
        jax.block_until_ready(waits_for)
        _guards[0].mark(training)


@contextmanager
def guarded(heartbeat: float = 100.0, step_timeout: float = float("inf")) -> Iterator[None]:
    """A guard beside what is done here, if the run has several processes. One serves all.

    If it fails, the process ends without waiting for the others at JAX's last barrier.
    """
    if _guards or not jax.distributed.is_initialized() or jax.process_count() == 1:
        for guard in _guards:
            guard.step_timeout = step_timeout
        yield
        return
    from jax._src import distributed  # the coordinator's notes have no public name

    guard = Guard(distributed.global_state.client, heartbeat, step_timeout)
    _guards.append(guard)
    failure: BaseException | None = None
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        failure = guard.in_words(error)
        raise failure from error
    except BaseException as error:
        failure = error
        raise
    finally:
        _guards.clear()
        guard.end(failure)
        if failure is not None and not isinstance(failure, StoppedError):
            atexit.register(_leave, getattr(failure, "exit_code", 1))


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
