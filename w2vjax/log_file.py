"""The log of a run: records as lines of JSON, at intervals. One run at a time writes into a log."""

import contextlib
import json
import math
import os
import warnings
from functools import partial
from typing import Any

from w2vjax.compressed import refuse_compressed
from w2vjax.errors import FileError, SettingError, shown
from w2vjax.files import AnyPath, as_path, check_writable, claim, naming, release
from w2vjax.real import check_seconds

# What an interval of records can be measured in.
_UNITS = ("seconds", "steps", "words", "epochs")


def interval(every: Any) -> tuple[float, str]:
    """From one record to the next: seconds as a number, or a text such as "100 steps".

    >>> interval(2.5), interval("2.5"), interval("1 epoch"), interval("1e6 words")
    ((2.5, 'seconds'), (2.5, 'seconds'), (1.0, 'epochs'), (1000000.0, 'words'))
    """
    if not isinstance(every, str):
        check_seconds(f"log_every={shown(every)}", every)
        return every, "seconds"
    amount, _, unit = every.strip().partition(" ")
    unit = (unit.strip() or "seconds").removesuffix("s") + "s"
    with contextlib.suppress(ValueError):
        number = float(amount)
        fits = number >= 0 if unit == "seconds" else 0 < number < math.inf
        if fits and unit in _UNITS:
            return number, unit
    remedy = (
        f"Use a number of seconds, or a text of a number above 0 and one of: {', '.join(_UNITS)}"
    )
    raise SettingError(f'log_every={shown(every)} cannot work. {remedy}, as in "1 epoch".')


def check_log(path: AnyPath) -> None:
    """Refuse a log that could not be opened. Makes nothing. A device or a pipe can be a log."""
    log = as_path(path)
    refuse_compressed(log)
    if os.path.isdir(log) or not os.path.exists(log):
        check_writable(log)


def check_free(path: AnyPath) -> None:
    """Refuse a log that another run writes. Makes nothing."""
    log = as_path(path)
    if os.path.isfile(log):
        with naming(log), open(log, "ab") as file:
            claim(file, log)
            release(file)


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
        claim(self._file, path)
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
        for end in (partial(release, self._file), self._file.close):
            with contextlib.suppress(OSError):  # a warning has already named the file
                end()
        if self._new and not self._begun:
            with contextlib.suppress(OSError):  # the error of the run says more
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
