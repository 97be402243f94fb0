"""Where to write the words of a map, so that no two overlap: geometry only, y upwards."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from w2vjax.errors import SettingError

_LONGEST = 28  # characters; a longer label is cut
_NEAR = 3  # gaps; at this distance a label is still read with its point
# The order of cartography: to the right of the point first, then above, below and left.
_ANGLES = np.deg2rad([0, 45, -45, 90, -90, 135, -135, 180, 22, -22, 68, -68, 112, -112, 158, -158])
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)  # [16, 2]


class Place(NamedTuple):
    """Where a label is.

    Attributes:
        x: of its lower left corner.
        y: of its lower left corner.
        far: whether it is so far from its point that a line should join them.
    """

    x: float
    y: float
    far: bool


def printable(word: str) -> str:
    r"""A word as it is drawn: with invisible characters escaped, cut if it is very long.

    >>> printable("tea"), printable("a\nb"), printable(""), printable("a" * 50)
    ('tea', 'a\\nb', '(empty)', 'aaaaaaaaaaaaaaaaaaaaaaaaaaa…')
    """
    if not word:
        return "(empty)"
    if word.isspace():
        return repr(word)
    text = word if word.isprintable() else repr(word)[1:-1]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def place_labels(
    points: np.ndarray, sizes: np.ndarray, bounds: Sequence[float], sure: int, gap: float
) -> list[Place | None]:
    """A place for each of n labels, most prominent first; None if there is no room near the point.

    Each label takes the position around its point that overlaps no earlier label and covers the
    fewest points. The first ``sure`` labels search as far as they must.

    Args:
        points: [n or more, 2] what the labels name. Points beyond n are kept free of labels.
        sizes: [n, 2] width and height of each label.
        bounds: left, bottom, right and top of the area that labels stay in.
        sure: how many labels, from the first, must have a place.
        gap: the distance between a point and its label, and half of that between labels.

    Returns:
        n places, or None for a label without one.

    Raises:
        SettingError: one of the first ``sure`` labels fits nowhere.

    >>> points, sizes = np.array([[5.0, 5.0]] * 2), np.array([[4.0, 1.0]] * 2)
    >>> two = place_labels(points, sizes, (0, 0, 20, 10), 2, 1.0)
    >>> [(place.x, round(place.y, 1)) for place in two[:1]], two[1].far
    ([(6.0, 4.5)], False)
    """
    low, high = np.array(bounds[:2], float), np.array(bounds[2:], float)
    taken = np.empty((0, 4))  # left, bottom, right, top
    places: list[Place | None] = []
    farthest = max(1, math.ceil(np.linalg.norm(high - low) / gap))
    for position, (point, size) in enumerate(zip(points, sizes, strict=False)):
        rings = range(1, farthest + 1) if position < sure else range(1, _NEAR + 1)
        corner, least, far = None, math.inf, False
        for ring in rings:
            if corner is not None and (ring > _NEAR or least == 0):
                break
            found, covered = _best_corner(point, size, ring * gap, (low, high), taken, points)
            if covered < least:
                corner, least, far = found, covered, ring > _NEAR
        if corner is None:
            if position < sure:
                label = f"Label {position} of {size[0]:.0f} x {size[1]:.0f}"
                raise SettingError(f"{label} fits nowhere. Show fewer words.")
            places.append(None)
            continue
        margin = gap / 2
        taken = np.vstack([taken, [*(corner - margin), *(corner + size + margin)]])
        places.append(Place(float(corner[0]), float(corner[1]), far))
    return places


def _best_corner(
    point: np.ndarray,
    size: np.ndarray,
    distance: float,
    area: tuple[np.ndarray, np.ndarray],
    taken: np.ndarray,
    points: np.ndarray,
) -> tuple[np.ndarray | None, float]:
    """The free lower left corner that covers the fewest points, and how many; or None, infinity."""
    low, high = area
    # The side of the box that faces the point touches the circle.
    centers = point + _DIRECTIONS * distance + np.sign(_DIRECTIONS.round(6)) * size / 2  # [16, 2]
    corners, ends = centers - size / 2, centers + size / 2
    free = ((corners >= low) & (ends <= high)).all(axis=1)
    apart = (corners[:, None] >= taken[None, :, 2:]) | (ends[:, None] <= taken[None, :, :2])
    free &= apart.any(axis=2).all(axis=1)  # of [16, placed, 2]
    inside = ((points[None] > corners[:, None]) & (points[None] < ends[:, None])).all(axis=2)
    covered = np.where(free, inside.sum(axis=1), math.inf)
    best = int(np.argmin(covered))
    return (corners[best], float(covered[best])) if free[best] else (None, math.inf)
