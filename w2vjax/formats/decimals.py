"""Decimals in text files: read exactly and fast, written as short as float32 allows."""

import re
import warnings
from pathlib import Path

import numpy as np

from w2vjax.reading import refuse

NUMBER = re.compile(
    rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE
)
_PLAIN = b"0123456789+-.eE "


def plain_numbers(rows: list[bytes], dim: int) -> np.ndarray | None:
    """[n, D] float32 of n rows of D decimals between single spaces; None if a row is not plain.

    >>> plain_numbers([b"1 2.5", b"-3e-1 4"], 2).round(6).tolist()
    [[1.0, 2.5], [-0.30000001192092896, 4.0]]
    >>> plain_numbers([b"1 two"], 2) is None
    True
    """
    joined = b" ".join(rows)
    if (
        any(row.count(b" ") != dim - 1 for row in rows)
        or b"  " in joined
        or joined.translate(None, _PLAIN)
    ):
        return None
    with warnings.catch_warnings():  # how NumPy says that it stopped early; then the sizes differ
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            numbers = np.fromstring(joined, np.float64, sep=" ")
        except ValueError:
            return None
    return _to_float32(numbers).reshape(len(rows), dim) if numbers.size == len(rows) * dim else None


def slow_numbers(path: Path, place: str, fields: list[bytes]) -> np.ndarray:
    """[D] float32, or the sentence that names the field that is not a number."""
    for field in fields:
        if not NUMBER.fullmatch(field):
            refuse(path, place, f"{field[:40]!r} is not a number")
    return _to_float32(np.array([float(field) for field in fields]))


def _to_float32(numbers: np.ndarray) -> np.ndarray:
    # 1e300 becomes infinity, which the checks of all formats refuse.
    with np.errstate(over="ignore", under="ignore"):
        return numbers.astype(np.float32)


def decimals(row: np.ndarray, separator: str = " ") -> bytes:
    """The decimals of [D] float64. The repr of a list is one call into C."""
    return repr(row.tolist())[1:-1].replace(", ", separator).encode()


def shortest(matrix: np.ndarray) -> np.ndarray:
    """[n, D] float64 whose ``repr`` is the shortest decimal of each float32 of a matrix [n, D].

    It rounds to 6, 7, 8 and 9 significant digits until the float32 comes back. 9 are always enough.

    >>> shortest(np.array([0.1, 1 / 3], np.float32)).tolist()
    [0.1, 0.33333334]
    """
    wide = matrix.astype(np.float64).ravel()
    result, left = wide.copy(), np.flatnonzero(wide)
    # A power of ten up to 10**22 is exact in float64, so mantissa / power is the nearest float64.
    plain = left[(np.abs(wide[left]) > 1e-13) & (np.abs(wide[left]) < 1e5)]
    rest = np.setdiff1d(left, plain, assume_unique=True)
    exponent = np.floor(np.log10(np.abs(wide[plain])))
    for digits in (6, 7, 8, 9):
        power = 10.0 ** (digits - 1 - exponent)
        candidate = np.rint(wide[plain] * power) / power
        fits = candidate.astype(np.float32) == matrix.ravel()[plain]
        result[plain[fits]] = candidate[fits]
        plain, exponent = plain[~fits], exponent[~fits]
    for index in (*rest, *plain):  # very small and very large numbers
        result[index] = float(np.format_float_scientific(matrix.ravel()[index], unique=True))
    return result.reshape(matrix.shape)
