"""Numbers and flags are checked where they enter, because NumPy and Python accept other values."""

import sys
from contextlib import suppress
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError, shown

_NUMBERS = (Real, Decimal, np.bool_)


def real_numbers(what: str, given: object) -> np.ndarray:
    """The numbers as an array in their own dtype, of any shape; those of Python as NumPy has them.

    NumPy would drop the imaginary part of complex numbers and the mask of a masked array, and would
    make numbers of dates and of text.

    Args:
        what: the name of the numbers, for the message.
        given: numbers in any nesting, or an array. An array of JAX comes back in NumPy.

    Raises:
        SettingError: this is no array, or it holds something else than real numbers, or a number
            beyond float64.

    >>> real_numbers("weights", [1, 2.5]).tolist()
    [1.0, 2.5]
    >>> real_numbers("weights", [1j])
    Traceback (most recent call last):
    w2vjax.errors.SettingError: weights=[1j] is not an array of real numbers: its type is complex...
    """
    try:
        array = np.asarray(given)
        if array.dtype.kind == "O" and all(isinstance(x, _NUMBERS) for x in array.flat):
            array = array.astype(np.float64)
    except OverflowError as error:
        raise not_real(what, given, "a number is too large for float64") from error
    except (TypeError, ValueError) as error:  # rows of different lengths, and random keys of JAX
        raise not_real(what, given, "NumPy makes no array of it") from error
    if not is_real(array.dtype):
        raise not_real(what, given, f"its type is {array.dtype}")
    if _is_masked_array(given):
        raise not_real(what, given, "some may be masked")
    return array


def _is_masked_array(given: object) -> bool:
    # numpy.ma takes 15 ms to import, and before it is imported, nobody has such an array
    masked = sys.modules.get("numpy.ma")
    return isinstance(given, getattr(masked, "MaskedArray", ()))


def number(what: str, given: object) -> float:
    """One real number as a float. SettingError for anything else."""
    try:
        found = real_numbers(what, given)
    except SettingError as error:
        cause = f"{what}={shown(given)} is no real number"
        raise SettingError(f"{cause}. Give one.") from error
    if found.shape:
        raise SettingError(f"The {what} is an array of shape {found.shape}. Give one number.")
    return float(found)


def sound_counts(counts: object, least: int = 1) -> np.ndarray:
    """Counts of ``least`` words or more as [V] float64.

    Raises:
        SettingError: they are no real numbers, too few, negative or not finite.
    """
    mass = real_numbers("counts", counts).astype(np.float64)
    if mass.ndim != 1 or mass.size < least or not np.isfinite(mass).all() or (mass < 0).any():
        cause = "Word counts must be finite and at least 0, one for each word"
        raise SettingError(f"{cause}. Count the vocabulary again.")
    return mass


def is_real(dtype: object) -> bool:
    """Whether a dtype of NumPy or JAX is of real numbers, those of ml_dtypes among them.

    >>> is_real(np.dtype("float16")), is_real(np.dtype("complex64")), is_real(np.dtype("<M8[D]"))
    (True, False, False)
    """
    # float128 cannot be cast safely, and the kind of bfloat16 says nothing. A random key of JAX has
    # a dtype that NumPy does not know.
    return isinstance(dtype, np.dtype) and (dtype.kind == "f" or np.can_cast(dtype, np.float64))


def not_real(what: str, given: object, why: str) -> SettingError:
    """The error for what is not an array of real numbers."""
    cause = f"{what}={shown(given)} is not an array of real numbers: {why}"
    return SettingError(f"{cause}. Give such numbers.")


def true_or_false(name: str, value: object) -> None:
    """Raise SettingError for a flag that is not True or False. Python takes "no" for true.

    >>> true_or_false("progress", "no")
    Traceback (most recent call last):
    w2vjax.errors.SettingError: progress='no' is unclear. Use True or False.
    """
    if not isinstance(value, bool | np.bool_):
        raise SettingError(f"{name}={shown(value)} is unclear. Use True or False.")


def check_seconds(what: str, value: Any) -> None:
    """Raise SettingError, which begins with ``what``, if a time is not 0 or more seconds."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not value >= 0:
        raise SettingError(f"{what} cannot work. Use a number of seconds from 0 on.")


def whole_counts(name: str, counts: ArrayLike) -> np.ndarray:
    """Counts as a read-only int64 array. Raises SettingError if int64 would change one."""
    with suppress(OverflowError, TypeError, ValueError):
        given = np.asarray(counts)
        if given.dtype.kind in "iufO" and not (
            _is_masked_array(counts) and np.ma.is_masked(counts)
        ):
            with np.errstate(invalid="ignore"):
                whole = np.array(given, np.int64)
            if ((whole == given) & (whole >= 0)).all():
                whole.setflags(write=False)
                return whole
    cause = f"{name}={shown(counts)} cannot work"
    raise SettingError(f"{cause}. Pass whole numbers from 0 to 2^63 - 1.")
