"""Every error that bad input can raise, with its exit code on the command line.

A message is one sentence with the cause and its values, and one with the remedy. The command line
prints it on one line, without a traceback, and exits with ``exit_code``. A failed check of
``w2vjax gradcheck`` or ``reproduce`` is no error; it exits with 1. Each class also derives from the
built-in class that a caller expects, so ``except ValueError`` works.
"""

import difflib
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any


class W2VError(Exception):
    """The base of every error that is raised on purpose."""

    exit_code = 2

    def __str__(self) -> str:
        # KeyError prints the repr of its argument; a sentence must come out as a sentence.
        return " ".join(str(argument) for argument in self.args)


class SettingError(W2VError, ValueError):
    """A setting has a value that cannot work: ``dim=0``, ``learning_rate=nan``, ``window=-1``."""


class IdError(W2VError, ValueError):
    """A word id is not an integer in [0, V). JAX would clamp or wrap it without an error."""


class UnknownWordError(W2VError, KeyError):
    """A word is not in the vocabulary."""


class CorpusError(W2VError, ValueError):
    """A corpus cannot be read, is empty, or holds nothing to train on."""

    exit_code = 3


class FormatError(W2VError, ValueError):
    """A file does not follow its format. The message names the file and the place."""

    exit_code = 4


class FileError(W2VError, OSError):
    """A file cannot be read or written: it is missing, the disk is full, permission is lacking."""

    exit_code = 7


class CheckpointError(W2VError, ValueError):
    """A checkpoint is damaged or of another run. The message names the field that differs."""

    exit_code = 5


class DivergedError(W2VError, FloatingPointError):
    """Training has diverged, or numbers are not finite. The message names step or table."""

    exit_code = 6


class StoppedError(W2VError, RuntimeError):
    """A signal ended the run, whose checkpoint is on disk. The exit code is 128 + the signal."""

    exit_code = 143


class ProcessError(W2VError, RuntimeError):
    """A process of a run has failed, died or got stuck, or did not come. The message names it."""

    exit_code = 8


_JAX, _F2PY = os.path.join("jax", "_src", "config.py"), os.path.join("numpy", "f2py", "rules.py")


def variable_error(error: Exception) -> SettingError | None:
    """What to say if an environment variable caused an error of JAX or NumPy. None for others."""
    said = (str(error).splitlines() or [""])[0].rstrip(".")
    frames = traceback.extract_tb(error.__traceback__)
    place = frames[-1].filename if frames else ""
    guarded = said.partition("Disallowed ")[2].partition(":")[0].endswith("transfer")
    for name, value in os.environ.items():
        named = name in said or name.lower() in said.split() or repr(value) in said
        if (
            (guarded and name.startswith("JAX_TRANSFER_GUARD") and "disallow" in value)
            or (named and name.startswith("JAX_") and place.endswith(_JAX))
            or (named and name == "SOURCE_DATE_EPOCH" and place.endswith(_F2PY))
        ):
            return SettingError(f"{name}={value!r:.60} cannot work: {said:.200}. Unset it.")
    return None


def did_you_mean(given: str, names: Mapping[str, str]) -> str:
    """A question with the value of the key that is spelled most like ``given``. "" if none is near.

    >>> did_you_mean("vectr_size", {"dim": "dim", "vector_size": "dim", "objective": "objective"})
    'Did you mean dim?'
    >>> did_you_mean("colour", {"dim": "dim", "objective": "objective"})
    ''
    """
    near = difflib.get_close_matches(given, sorted(names), 1, cutoff=0.65)  # "dmi" and "dim": 0.67
    return f"Did you mean {names[near[0]]}?" if near else ""


def memory_error(error: BaseException) -> SettingError | None:
    """A lack of memory, which Python and XLA tell in several ways. None for another error.

    >>> memory_error(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."))
    SettingError('There is not enough memory: Out of memory allocating 9 bytes. Choose a smaller ...
    """
    said = " ".join(str(error).split())[:300].rstrip(".")
    found = re.search(r"[^:]*\b([Oo]ut of memory|RESOURCE_EXHAUSTED)\b.*", said)
    if not (isinstance(error, MemoryError) or found):
        return None
    cause = re.sub(r"^\s*RESOURCE_EXHAUSTED:? ?", "", found[0].strip()) if found else said
    remedy = "Choose a smaller dim, fewer copies, smaller batch_words or a higher min_count."
    return SettingError(f"There is not enough memory: {cause or 'it is used up'}. {remedy}")


def as_names(given: object) -> tuple[Any, ...]:
    """The names that an option takes, as a tuple: one string is one name.

    >>> as_names("corpus"), as_names(name for name in ("corpus", "program"))
    (('corpus',), ('corpus', 'program'))
    """
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def shown(given: object) -> str:
    """The start of what Python prints, on one line; the type of what it refuses to print.

    >>> shown([1, 2]), shown(10**9999)
    ('[1, 2]', 'int too long to print')
    """
    try:
        return " ".join(f"{given!r:.60}".split())
    except ValueError:  # Python prints no number of more than 4,300 digits
        return f"{type(given).__name__} too long to print"


def require_function(name: str, given: object, remedy: str) -> None:
    """Raise SettingError for something that cannot be called.

    >>> require_function("measure", 3, "Pass a function of three cosines.")
    Traceback (most recent call last):
    w2vjax.errors.SettingError: measure=3 is no function. Pass a function of three cosines.
    """
    if not callable(given):
        raise SettingError(f"{name}={shown(given)} is no function. {remedy}")


def whole_number(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """A setting as an int. True and False are no numbers.

    Raises:
        SettingError: the value is not a whole number from ``least`` to ``most``.

    >>> whole_number("topn", 10)
    10
    >>> whole_number("min_count", True, least=0)
    Traceback (most recent call last):
    w2vjax.errors.SettingError: min_count=True cannot work. Use a whole number of 0 or more.
    """
    if not isinstance(value, bool) and isinstance(value, Integral):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    allowed = f"of {least} or more" if most is None else f"from {least} to {most}"
    raise SettingError(f"{name}={shown(value)} cannot work. Use a whole number {allowed}.")
