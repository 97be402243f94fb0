"""Central differences of a loss, with an estimate of their own error."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.trees import of_floats
from w2vjax.types import Tree

TOLERANCE = 1e-7  # fourth-order central differences in float64
# A loss of 1e6 needs a long step because of rounding, and logits of 1e4 a short one because of
# curvature.
STEPS = (1e-3, 1e-4, 1e-2, 1e-5, 1e-6)
# If the estimate is above this share of the gradient, no step suits the loss, and no error is
# excused.
MOST = 1e-4
# What a loss is off by, relative to itself: 16 unit roundoffs of float64.
_ROUNDING = 16 * 2.0**-53
# Without a derivative from JAX, every entry takes up to twenty losses.
MOST_ENTRIES = 4096


def difference(
    change: Callable[[float], float], size: float, enough: float, noise: float = 0
) -> tuple[float, float]:
    """The slope at 0 of a function of one number, and an estimate of its error.

    ``change(h)`` is f(h) - f(-h), and steps are relative to ``size``::

        slope(h) = (8 change(h) - change(2h)) / 12h              in error by h^4

    The estimate is how far the slopes of two steps are apart. A loss that is off by ``noise`` makes
    a slope that is off by about noise / h, and two such slopes may agree by chance. So the estimate
    is at least noise / h of the longer step. The two steps with the smallest estimate win. No more
    steps are tried once it is below ``enough``.

    >>> slope, estimate = difference(lambda h: np.exp(h) - np.exp(-h), 1.0, 1e-9)
    >>> bool(abs(slope - 1) < 1e-10 and estimate < 1e-9)
    True
    """
    slopes: list[tuple[float, float]] = []
    best = (np.nan, np.inf)
    for step in STEPS:
        h = step * size
        slope = (8 * change(h) - change(2 * h)) / (12 * h)
        means = (
            ((other + slope) / 2, max(abs(other - slope), noise / max(h, longer)))
            for longer, other in slopes
        )
        best = min([best, *means], key=lambda mean: mean[1])
        slopes.append((h, slope))
        if best[1] <= enough:
            break
    return best


def slopes(
    value_of: Callable[[Tree], Any], params: Tree, places: Sequence[int], enough: float
) -> list[tuple[float, float]]:
    """The slope of a loss at some entries of the params, with an estimate of its error.

    ``params`` has float64 leaves, whose entries count as one array, and others, which stay as they
    are. :func:`difference` says what is ``enough``.
    """
    leaves, value = of_floats(value_of, params)
    ends = np.cumsum([leaf.size for leaf in leaves])

    def slope(place: int) -> tuple[float, float]:
        which = int(np.searchsorted(ends, place, side="right"))
        at = int(place - ends[which] + leaves[which].size)
        here = float(leaves[which].reshape(-1)[at])

        def loss(number: float) -> float:
            leaf = leaves[which].copy()
            leaf.reshape(-1)[at] = number
            return float(value([*leaves[:which], leaf, *leaves[which + 1 :]]))

        noise = _ROUNDING * abs(loss(here))
        return difference(
            lambda h: loss(here + h) - loss(here - h), max(1.0, abs(here)), enough, noise
        )

    return [slope(place) for place in places]


def difference_error(
    value_of: Callable[[Tree], Any], gradient: Tree, params: Tree, samples: int, floor: float
) -> tuple[float, float] | None:
    """Sampled entries of a gradient against differences of the loss; None without an entry.

    Args:
        value_of: params -> loss, in float64.
        gradient: what is checked: a tree of the float leaves of ``params``.
        floor: the least size of a gradient that errors are relative to.

    Returns:
        The largest error and the largest estimate of the error of a difference, both relative to
        the largest entry of the gradient. An entry within its estimate has error 0.
    """
    flat = np.concatenate([np.zeros(0), *map(np.ravel, jax.tree.leaves(gradient))])
    if not flat.size:
        return None
    scale = max(floor, float(np.abs(flat).max()))
    places = np.random.default_rng(0).choice(flat.size, min(samples, flat.size), replace=False)
    found = slopes(value_of, params, places.tolist(), 0.1 * TOLERANCE * scale)
    slope, estimate = np.reshape(found, (-1, 2)).T
    gap, estimate = np.abs(slope - flat[places]) / scale, estimate / scale
    gap[(gap <= estimate) & (estimate <= MOST)] = 0
    largest = np.nan_to_num([gap, estimate], nan=np.inf).max(1, initial=0)
    return float(largest[0]), float(largest[1])


def difference_gradient(value_of: Callable[[Tree], Any], params: Tree) -> list[np.ndarray]:
    """The gradient of a loss by central differences, for each float leaf.

    >>> difference_gradient(lambda p: np.square(p["w"]).sum(), {"w": np.ones(2)})[0].round(9)
    array([2., 2.])

    Raises:
        SettingError: the params have more than 4096 entries.
    """
    leaves, _ = of_floats(value_of, params)
    total = sum(leaf.size for leaf in leaves)
    if total > MOST_ENTRIES:
        what = "JAX has no derivative of the loss, where custom rules are left out"
        cause = f"{what}, and its params have {total:,} entries"
        raise SettingError(f"{cause}. Each takes a difference: give at most {MOST_ENTRIES:,}.")
    flat = np.array([slope for slope, _ in slopes(value_of, params, range(total), 0.0)])
    parts = np.split(flat, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
