"""Connect the processes of a run, and let all of them know the same."""

import atexit
import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from w2vjax.errors import ProcessError, SettingError
from w2vjax.processes.exchange import everyones
from w2vjax.processes.guard import (
    HEARTBEAT,
    LEAST_HEARTBEAT,
    end_now,
    expect,
    leave,
    reason_of,
    tell_failure,
    time_of_jax,
)

_claims: list[socket.socket] = []  # held until this process ends
_SAME = "Give all the same --coordinator and --processes, and each its own --process."


@contextmanager
def libraries_on_stderr() -> Iterator[None]:
    """Send what libraries print on standard output to standard error, and Python's prints too.

    Gloo, by which JAX joins CPUs, prints a line for each connection that it makes.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


class Requests(NamedTuple):
    """What a process asks for at the end of a round. All processes do what any of them asks for.

    Attributes:
        signal: its number, or 0.
        save: 1 for a checkpoint.
        stop: 1 to end the run.
    """

    signal: int = 0
    save: int = 0
    stop: int = 0


def connected() -> bool:
    """Whether this process is one of several, or could be."""
    return bool(jax.distributed.is_initialized())


def is_first() -> bool:
    """Whether this process writes results, log and checkpoints."""
    return bool(jax.process_index() == 0)


def agreed(own: Requests, noted: np.ndarray | None, started: bool) -> Requests:
    """What all processes have to do.

    Args:
        own: the requests of this process now.
        noted: the requests of all devices when a round began, [devices, 3]. With None, all
            processes are asked now.
        started: whether this round has trained. Otherwise nothing has to be done.
    """
    if jax.process_count() == 1:
        return own
    if not started:
        return Requests()
    if noted is None:
        noted = np.asarray(multihost_utils.process_allgather(np.array(own, np.int32)))
    return Requests(*noted.max(0).tolist())


def told_by_first(value: Any, arrays: Any) -> tuple[Any, Any]:
    """What process 0 says: a string, and a tree of arrays of known shapes. All call it together."""
    if jax.process_count() == 1:
        return value, arrays
    text, *_ = everyones(value.encode() if is_first() else b"")
    return text.decode(), jax.tree.map(array_of_first, arrays)


def array_of_first(own: Any, block: int = 1 << 26) -> np.ndarray:
    """The array of process 0, in parts of ``block`` bytes: no device need hold it all.

    They are sent as bytes. JAX adds zeros to what it sends, and -0.0 would become 0.0.
    """
    array = np.ascontiguousarray(own)
    flat = array.reshape(-1).view(np.uint8)
    parts = [flat[begin : begin + block] for begin in range(0, flat.size, block)]
    told = [np.asarray(multihost_utils.broadcast_one_to_all(part)) for part in parts]
    return np.concatenate([flat[:0], *told]).view(array.dtype).reshape(np.shape(own))


def connect(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    start_timeout: float = 300.0,
    heartbeat: float = HEARTBEAT,
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
        SettingError: the address, numbers or times cannot work, or the port or number is taken.
        ProcessError: JAX cannot connect.
    """
    for name, seconds, least in (
        ("--start-timeout", start_timeout, 1),
        ("--heartbeat", heartbeat, LEAST_HEARTBEAT),
    ):
        if not least <= seconds <= 1e6:
            cause = f"{name} {seconds:g} cannot work"
            raise SettingError(f"{cause}. Use {least:g} to 1,000,000 seconds.")
    _check(coordinator, processes, process)
    # SIGTERM is ours: it saves a checkpoint
    jax.config.update("jax_enable_preemption_service", False)
    expect(heartbeat)
    too_late = (
        f"After {start_timeout:g} s, not all of the {processes or 'other'} processes have come to "
        f"{coordinator or 'the coordinator'}. Start all of them. {_SAME}"
    )
    late = threading.Timer(start_timeout, end_now, (too_late,))
    late.daemon = True
    late.start()
    # JAX kills a process when its own time ends. The timer and the guard end before that, and their
    # message names the process that is missing.
    timing: dict[str, Any] = {
        "initialization_timeout": int(start_timeout) + 10,
        "heartbeat_timeout_seconds": time_of_jax(heartbeat),
    }
    try:
        jax.distributed.initialize(coordinator, processes, process, **timing)
        there = jax.process_count()
    except (RuntimeError, ValueError, TypeError) as error:
        raise ProcessError(
            f"JAX cannot connect the processes of this run: {reason_of(error)} {_SAME}"
        ) from error
    finally:
        late.cancel()
    if processes not in (None, there):
        atexit.register(leave, SettingError.exit_code)  # the others are not waited for
        told = f"This process expects {processes} processes, and {there} have come. {_SAME}"
        tell_failure(told)
        raise SettingError(told)


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
    _claim(f"{coordinator} {process}", process)
    if process == 0:
        _check_port(int(port))


def _claim(name: str, process: int) -> None:
    """Refuse a number that another process of this host has. JAX would abort one of the two.

    A socket with the name of the number shows it. Linux removes the socket when a process ends.
    """
    if sys.platform != "linux":
        return
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0w2vjax {name}")
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            cause = f"Another process of this host is process {process} already"
            raise SettingError(f"{cause}. {_SAME}") from error
        return  # a sandbox without such sockets
    _claims.append(claim)


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
