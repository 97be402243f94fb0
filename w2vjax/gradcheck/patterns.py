"""What a wrong gradient looks like: a factor, a sign, a transposition, a missing row or example."""

from collections.abc import Mapping, Sequence

import numpy as np

Array = np.ndarray
Others = Mapping[str, Array]

# A pattern explains a difference if it leaves at most this share of it.
LEFT = 1e-2


def looks_like(
    found: Array, wanted: Array, others: Others | None = None, parts: Sequence[Array] | None = None
) -> str:
    """How a leaf differs from its reference, as the predicate of a sentence about the leaf.

    ``others`` are the references of the other leaves, by name. ``parts`` are what each example adds
    to the reference, if that is known.

    >>> wanted = np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> looks_like(2 * wanted, wanted)
    'is 2.0 times too large in every row'
    >>> looks_like(wanted * np.asarray([[1.0], [0.0], [1.0]]), wanted)
    'is zero in row 1'
    """
    if found.shape != wanted.shape:
        shape = f"has the shape {found.shape} where {wanted.shape} is expected"
        turned = found.shape == wanted.T.shape and explains(found.T, wanted, np.abs(wanted).max())
        return f"is transposed: it {shape}" if turned else shape
    if not np.isfinite(found).all():
        return f"is not finite in {np.sum(~np.isfinite(found))} of {found.size} entries"
    if not np.isfinite(wanted).all():
        return "cannot be judged, because its reference is not finite"
    if not wanted.any():
        return "is not zero, and its reference is zero"
    if not found.any():
        return "is zero everywhere"
    whole = as_a_whole(found, wanted, others or {})
    return whole or (parts and by_example(found, wanted, parts)) or by_row(found, wanted)


def explains(guess: Array, found: Array, gap: float) -> bool:
    """Whether a guess leaves little of the largest difference ``gap``."""
    return bool(np.abs(guess - found).max() <= LEFT * gap)


def factor_of(found: Array, wanted: Array) -> float | None:
    """c if found = c * wanted, and None if there is no such number."""
    square = float((wanted * wanted).sum())
    if not square:
        return None
    factor = float((found * wanted).sum()) / square
    return factor if explains(factor * wanted, found, np.abs(found - wanted).max()) else None


def factor_words(factor: float) -> str:
    """A factor in words.

    >>> factor_words(2.0), factor_words(0.2), factor_words(-1.0), factor_words(1.001)
    ('is 2.0 times too large', 'is 5.0 times too small', 'has the wrong sign', 'is 0.1 % too large')
    """

    def number(size: float) -> str:
        return f"{size:.1f}" if size < 100 else f"{size:.3g}"

    if factor == 0:
        return "is zero"
    if abs(factor + 1) < 1e-6:
        return "has the wrong sign"
    if factor < 0:
        return f"has the wrong sign and is {number(-factor)} times as large"
    if abs(factor - 1) < 0.05:
        return f"is {100 * abs(factor - 1):.1g} % too {'large' if factor > 1 else 'small'}"
    if factor > 1:
        return f"is {number(factor)} times too large"
    return f"is {number(1 / factor)} times too small"


def as_a_whole(found: Array, wanted: Array, others: Others) -> str:
    """A pattern of the whole leaf, or nothing."""
    gap, everywhere = np.abs(found - wanted).max(), "in every row" if found.ndim > 1 else ""
    if (factor := factor_of(found, wanted)) is not None:
        return f"{factor_words(factor)} {everywhere}".strip()
    if found.ndim == 2 and found.shape[0] == found.shape[1] and explains(wanted.T, found, gap):
        return "is transposed"
    for name, other in others.items():
        if other.shape == found.shape and explains(other, found, gap):
            return f"is the gradient of {name}"
    for shift in (1, -1):
        if found.ndim and explains(np.roll(wanted, shift, 0), found, gap):
            return f"has its rows shifted by {shift}"
    return ""


def by_example(found: Array, wanted: Array, parts: Sequence[Array]) -> str:
    """A pattern of the examples, or nothing. The parts add up to the reference."""
    gap = found - wanted
    largest = np.abs(gap).max()
    if found.ndim and (which := one_of_several(found, gap, np.stack(parts))):
        return which
    each = np.stack([part.reshape(-1) for part in parts])  # [B, entries]
    fitted = np.rint(np.linalg.lstsq(each.T, gap.reshape(-1), rcond=None)[0])
    for sign, words in ((-1, "lacks"), (1, "counts twice")):
        for counts in (*(sign * np.eye(len(each))), sign * (fitted == sign)):
            odd = np.flatnonzero(counts)
            few = 0 < odd.size <= len(each) / 2
            if few and explains(counts @ each, gap.reshape(-1), largest):
                return f"{words} {listed('example', odd)}"
    return ""


def one_of_several(found: Array, gap: Array, parts: Array) -> str:
    """The pattern of a gradient that sets rows where it has to add to them, or nothing.

    Then only the rows that several examples touch differ, and each has the part of one example.
    """
    touching = np.abs(parts).reshape(*parts.shape[:2], -1).max(-1) > 0  # [B, rows]
    several = np.flatnonzero(touching.sum(0) > 1)
    off = np.flatnonzero(np.abs(gap).reshape(len(gap), -1).max(-1) > LEFT * np.abs(gap).max())
    if not np.array_equal(off, several):
        return ""
    for which, kept in (("first", touching.argmax(0)), ("last", -1 - touching[::-1].argmax(0))):
        if explains(parts[kept[off], off], found[off], np.abs(gap).max()):
            return f"counts only the {which} of several examples in {listed('row', off)}"
    return ""


def by_row(found: Array, wanted: Array) -> str:
    """A pattern of single rows."""
    if not found.ndim:
        return "differs"
    rows, right = found.reshape(len(found), -1), wanted.reshape(len(found), -1)
    gaps = np.abs(rows - right).max(-1)
    off = np.flatnonzero(gaps > 1e-3 * gaps.max())
    where = "every row" if off.size == len(rows) else listed("row", off, len(rows))
    if not rows[off].any():
        return f"is zero in {where}"
    if (factor := factor_of(rows[off], right[off])) is not None:
        return f"{factor_words(factor)} in {where}"
    gap = np.abs(found - wanted)
    if len(places := np.argwhere(gap > 1e-3 * gap.max())) == 1:
        return f"differs in one entry, [{', '.join(map(str, places[0].tolist()))}]"
    factors = [factor_of(rows[row], right[row]) for row in off]
    known = [factor for factor in factors if factor is not None]
    if len(known) == len(factors) and rows.shape[1] > 1:
        return f"has another factor in each row, {min(known):.3g} to {max(known):.3g}, in {where}"
    return f"differs in {where}"


def listed(what: str, numbers: Array, of: int | None = None) -> str:
    """Up to three numbers in words, or how many there are.

    >>> listed("row", np.asarray([2, 5])), listed("row", np.arange(9))
    ('rows 2 and 5', '9 rows')
    """
    if len(numbers) > 3:
        return f"{len(numbers)} of {of} {what}s" if of else f"{len(numbers)} {what}s"
    first, last = [str(number) for number in numbers[:-1]], str(numbers[-1])
    return f"{what}s {', '.join(first)} and {last}" if first else f"{what} {last}"
