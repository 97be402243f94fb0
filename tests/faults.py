"""Faults for tests of writing: the n-th system call fails, or the process is killed there."""

import builtins
import contextlib
import errno
import os
import signal
import tempfile

from w2vjax import files


@contextlib.contextmanager
def as_nobody(*owned):
    """Work as a user whom permissions stop. Root becomes nobody, who gets the files ``owned``."""
    root = os.getresuid() == (0, 0, 0)
    if root:
        for path in owned:
            os.chown(path, 65534, -1)
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


class Faults:
    """Counts the system calls that writing makes and lets one of them fail."""

    def __init__(self, monkeypatch, fail_at=None, number=errno.ENOSPC):
        self.calls, self.fail_at, self.number = [], fail_at, number
        for name in ("fsync", "replace", "dup"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))
        monkeypatch.setattr(files, "open", self.opening(builtins.open), raising=False)
        scratch = self.opening(tempfile.TemporaryFile)
        monkeypatch.setattr(tempfile, "TemporaryFile", scratch)

    def step(self, name):
        self.calls.append(name)
        if len(self.calls) - 1 == self.fail_at:
            raise OSError(self.number, os.strerror(self.number))

    def wrap(self, name, function):
        def call(*arguments, **options):
            self.step(name)
            return function(*arguments, **options)

        return call

    def opening(self, function):
        def call(*arguments, **options):
            self.step("open")
            return self.wrapped(function(*arguments, **options))

        return call

    def wrapped(self, file):
        faults = self

        class Wrapped:
            def write(self, data):
                faults.step("write")
                file.write(data[: len(data) // 2])
                file.flush()
                faults.step("write, second half")
                return file.write(data[len(data) // 2 :])

            def flush(self):
                faults.step("flush")
                file.flush()

            def close(self):
                already = file.closed
                file.close()
                if not already:
                    faults.step("close")

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.close()

            def __getattr__(self, name):
                return getattr(file, name)

        return Wrapped()


class Kill(Faults):
    """The process dies where Faults would fail."""

    def step(self, name):
        self.calls.append(name)
        if len(self.calls) - 1 == self.fail_at:
            os.kill(os.getpid(), signal.SIGKILL)
