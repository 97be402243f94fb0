"""Faults for tests of writing: the n-th system call fails, or the process is killed there."""

import builtins
import errno
import os
import signal

from w2vjax import files


class Faults:
    """Counts the system calls that writing makes and lets one of them fail."""

    def __init__(self, monkeypatch, fail_at=None, number=errno.ENOSPC):
        self.calls, self.fail_at, self.number = [], fail_at, number
        for name in ("fsync", "replace", "dup"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))
        monkeypatch.setattr(files, "open", self.open, raising=False)

    def step(self, name):
        self.calls.append(name)
        if len(self.calls) - 1 == self.fail_at:
            raise OSError(self.number, os.strerror(self.number))

    def wrap(self, name, function):
        def call(*arguments, **options):
            self.step(name)
            return function(*arguments, **options)

        return call

    def open(self, *arguments, **options):
        self.step("open")
        file = builtins.open(*arguments, **options)  # noqa: SIM115
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

            def fileno(self):
                return file.fileno()

        return Wrapped()


class Kill(Faults):
    """The process dies where Faults would fail."""

    def step(self, name):
        self.calls.append(name)
        if len(self.calls) - 1 == self.fail_at:
            os.kill(os.getpid(), signal.SIGKILL)
