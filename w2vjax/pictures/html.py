"""One self-contained HTML page: a searchable, zoomable map of words and their nearest neighbours.
It works offline.

The page is ``data/map.html`` with its style, its script and the data written into it. It loads
nothing: no library, no font, no picture, and its content security policy forbids the browser to.
Neighbours are computed here, exactly, and not in the page from rounded vectors: they are those of
``w2vjax nn --restrict-vocab`` at the page's number of words.
"""

import base64
import html
import json
import re
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from w2vjax.errors import SettingError, whole_number
from w2vjax.files import atomic_file
from w2vjax.pictures.label_layout import printable
from w2vjax.pictures.projection import Project, pca
from w2vjax.vectors.nearest import nearest
from w2vjax.vectors.vectors import Vectors

PAGE_WORDS = 5_000
MOST_PAGE_WORDS = 50_000  # ids take 16 bits, and beyond this a browser is slow to draw
_NEIGHBOURS = 20
_SCALE = 10_000  # similarities are stored to four decimals


class Page(NamedTuple):
    """What a written page holds."""

    words: int  # words on the page
    left_out: int  # words of the vocabulary that are not
    bytes: int


def write_html(
    vectors: Vectors,
    path: str | PathLike[str],
    *,
    limit: int = PAGE_WORDS,
    project: Project = pca,
    title: str | None = None,
) -> Page:
    """Write the first ``limit`` words (the most frequent) as one HTML page; about 130 bytes a word.

    Vectors are brought to length 1 and projected by ``project`` (:func:`pca`, :func:`tsne`, or any
    function of a matrix [n, D] to a :class:`Projection`). Each word comes with its 20 nearest words
    among those of the page, with similarities rounded to four decimals. The same vectors give the
    same bytes.

    Returns:
        How many words are on the page and how many were left out.

    Raises:
        SettingError: there are no words, or ``limit`` is no integer of 1 to 50,000.
        DivergedError: a vector holds NaN or infinity.
        FileError: the page cannot be written.

    >>> import tempfile
    >>> vectors = Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> page = write_html(vectors, tempfile.mkdtemp() + "/map.html", limit=2)
    >>> page.words, page.left_out
    (2, 1)
    """
    if whole_number("limit", limit) > MOST_PAGE_WORDS:
        raise SettingError(
            f"limit={limit:,} words are too many for a page. Show {MOST_PAGE_WORDS:,} or fewer."
        )
    shown = vectors[:limit]
    if not len(shown):
        raise SettingError("There are no words to show. Give vectors of one word or more.")
    projection = project(np.asarray(shown.unit))
    data = {
        "words": [printable_in_page(word) for word in shown.words],
        "counts": None if shown.counts is None else shown.counts.tolist(),
        "points": _base64(_to_16_bits(projection.points)),
        "axes": projection.axes,
        **_neighbours(shown),
        "vocabulary": len(vectors),
        "dim": vectors.dim,
    }
    text = _fill(title or Path(path).stem, data)
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
    # A word is not its own neighbour. It need not come first (equal vectors) or at all (k + 1 equal
    # ones): then the last goes, which a stable sort by "is it the word itself" does for both.
    itself = found.ids == np.arange(n)[:, None]
    order = np.argsort(itself, axis=1, kind="stable")[:, :k]
    ids = np.take_along_axis(found.ids, order, axis=1).astype("<u2")
    similarities = np.rint(np.take_along_axis(found.similarities, order, axis=1) * _SCALE).astype(
        "<i2"
    )
    return {"neighbours": k, "ids": _base64(ids), "similarities": _base64(similarities)}


def _to_16_bits(points: np.ndarray) -> np.ndarray:
    """[n, 2] coordinates as integers of 0 to 65,535, one scale for both axes so that shapes stay."""
    points = np.asarray(points, np.float64)
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    integers: np.ndarray = np.rint((points - low) / (extent or 1.0) * 65_535).astype("<u2")
    return integers


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _fill(title: str, data: dict[str, Any]) -> bytes:
    """The page's bytes, all ASCII, so that no encoding can be guessed wrong."""
    folder = files("w2vjax.data")
    parts = {
        "title": html.escape(title),
        "style": folder.joinpath("map.css").read_text(encoding="utf-8"),
        "script": "\n".join(
            folder.joinpath(name).read_text(encoding="utf-8") for name in ("map.js", "search.js")
        ),
        # Inside a script element only "<" can end it or open a comment; JSON may write it as an
        # escape.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    template = folder.joinpath("map.html").read_text(encoding="utf-8")
    # One pass: a title or a word that looks like a mark of the template stays what it is.
    page = re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], template)
    return page.encode("ascii", "xmlcharrefreplace")
