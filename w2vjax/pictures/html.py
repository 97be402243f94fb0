"""One HTML page, which works offline: a map of words to search and zoom, and their neighbours.

The page is ``data/map.html`` with its style, its script and the data written into it. It loads no
library, font or picture, and its content security policy forbids the browser to load any. The
neighbours are exact: they are those of ``w2vjax nn --restrict-vocab`` at the page's number of
words.
"""

import base64
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from w2vjax.compressed import refuse_compressed
from w2vjax.errors import SettingError, whole_number
from w2vjax.files import AnyPath, as_path, atomic_file
from w2vjax.pictures.figures import drawable
from w2vjax.pictures.label_layout import printable
from w2vjax.pictures.projection import Project, pca, projected
from w2vjax.vectors.nearest import nearest
from w2vjax.vectors.vectors import Vectors

PAGE_WORDS = 5_000
MOST_PAGE_WORDS = 50_000  # ids take 16 bits, and beyond this a browser is slow to draw
_NEIGHBOURS = 20
_SCALE = 10_000  # similarities are stored to four decimals


class Page(NamedTuple):
    """What a written page holds.

    Attributes:
        words: the number of words on the page.
        left_out: the number of words of the vocabulary that are not on it.
        bytes: the size of the file.
    """

    words: int
    left_out: int
    bytes: int


def write_html(
    vectors: Vectors,
    path: AnyPath,
    *,
    limit: int = PAGE_WORDS,
    project: Project = pca,
    title: str | None = None,
) -> Page:
    """Write the first ``limit`` words, the most frequent, as one HTML page.

    Each word has its 20 nearest words on the page, with similarities of four decimals. A word takes
    about 130 bytes. The same vectors give the same bytes.

    Args:
        vectors: the words and their vectors, which are brought to length 1.
        path: the page.
        limit: the number of words, 1 to 50,000.
        project: :func:`pca`, :func:`tsne`, or another function of a matrix [n, D] to a
            :class:`Projection`.
        title: above the map; by default the name of the file.

    Returns:
        How many words are on the page and how many were left out.

    Raises:
        SettingError: there are no words, ``limit`` is not a whole number of 1 to 50,000, or the
            path ends in .gz, .bz2, .xz or .zst.
        DivergedError: a vector holds NaN or infinity.
        FileError: the page cannot be written.

    >>> import tempfile
    >>> vectors = Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> page = write_html(vectors, tempfile.mkdtemp() + "/map.html", limit=2)
    >>> page.words, page.left_out
    (2, 1)
    """
    path = as_path(path)
    refuse_compressed(path)
    shown = vectors[: whole_number("limit", limit, most=MOST_PAGE_WORDS)]
    if not len(shown):
        raise SettingError("There are no words to show. Give vectors of one word or more.")
    projection = projected(project, np.asarray(shown.unit))
    data = {
        "words": [printable_in_page(word) for word in shown.words],
        "counts": None if shown.counts is None else shown.counts.tolist(),
        "points": _base64(_to_16_bits(projection.points)),
        "axes": projection.axes,
        **_neighbours(shown),
        "vocabulary": len(vectors),
        "dim": vectors.dim,
    }
    text = _fill(title or path.stem, data)
    with atomic_file(path) as file:
        file.write(text)
    return Page(len(shown), len(vectors) - len(shown), len(text))


def printable_in_page(word: str) -> str:
    r"""A word as the page shows and searches it: whole, with invisible characters escaped.

    >>> printable_in_page("tea"), printable_in_page("a\nb"), printable_in_page("")
    ('tea', 'a\\nb', '(empty)')
    """
    if word and not word.isspace():
        return word if word.isprintable() else repr(word)[1:-1]
    return printable(word)


def _neighbours(shown: Vectors) -> dict[str, Any]:
    """The nearest words of every word: k ids and k similarities each, nearest first."""
    n = len(shown)
    k = min(_NEIGHBOURS, n - 1)
    if not k:
        return {"neighbours": 0, "ids": "", "similarities": ""}
    found = nearest(shown, shown.unit, topn=k + 1)
    # A word is not its own neighbour. With equal vectors it may be at any place, or missing: then
    # the last one is left out. A stable sort by "is this the word itself" does both.
    itself = found.ids == np.arange(n)[:, None]
    order = np.argsort(itself, axis=1, kind="stable")[:, :k]
    ids = np.take_along_axis(found.ids, order, axis=1).astype("<u2")
    scaled = np.rint(np.take_along_axis(found.similarities, order, axis=1) * _SCALE)
    return {"neighbours": k, "ids": _base64(ids), "similarities": _base64(scaled.astype("<i2"))}


def _to_16_bits(points: np.ndarray) -> np.ndarray:
    """Points [n, 2] as integers of 0 to 65,535, on one scale for both axes."""
    points = np.asarray(points, np.float64)
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    integers: np.ndarray = np.rint((points - low) / (extent or 1.0) * 65_535).astype("<u2")
    return integers


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


@cache
def _data_file(name: str) -> str:
    return files("w2vjax.data").joinpath(name).read_text(encoding="utf-8")


def _fill(title: str, data: dict[str, Any]) -> bytes:
    """The page's bytes, all ASCII, so that no encoding can be guessed wrong."""
    parts = {
        "title": html.escape(drawable(title)),
        "style": _data_file("map.css"),
        "script": "\n".join(map(_data_file, ("map.js", "search.js"))),
        # Inside a script element only "<" can end it or open a comment. JSON can escape it.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    # One pass, so that a title or a word that looks like a mark of the template is not replaced.
    page = re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _data_file("map.html"))
    return page.encode("ascii", "xmlcharrefreplace")
