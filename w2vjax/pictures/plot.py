"""Pictures of vectors: a labelled map, analogies as parallelograms, a heat map of similarities.

Each returns matplotlib's figure and writes it, as PNG 1,200 px wide or as SVG, if a path is given.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from w2vjax.errors import SettingError, shown, whole_number
from w2vjax.files import AnyPath
from w2vjax.pictures import figures
from w2vjax.pictures.figures import BLUE, COLORS, GREY, INK, new_figure, save_figure
from w2vjax.pictures.label_layout import place_labels, printable
from w2vjax.pictures.projection import Project, pca, principal_components, projected
from w2vjax.vectors.nearest import several, unit_rows
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import listed_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

PROMINENT = 10  # words that are drawn larger, and always labelled
_MOST_WORDS = 2_000
_MOST_IN_HEATMAP = 60


def plot_map(
    vectors: Vectors,
    path: AnyPath | None = None,
    *,
    words: Sequence[str] | None = None,
    limit: int = 150,
    project: Project = pca,
    title: str | None = None,
) -> "Figure":
    """A map of words. Words whose vectors point the same way are near each other.

    No two labels overlap. The first ten words always have a label, the others if there is room near
    their points. The title says how many have none.

    Args:
        vectors: the words and their vectors, which are brought to length 1.
        path: the picture, .png or .svg; None only returns the figure.
        words: the words to show; None for the first ``limit`` words.
        limit: the number of words.
        project: :func:`pca`, :func:`tsne`, or another function of a matrix [n, D] to a
            :class:`Projection`.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: there are no words or more than 2,000, the path is neither .png nor .svg, or
            matplotlib is missing.
        DivergedError: a vector holds NaN or infinity.

    >>> vectors = Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> plot_map(vectors).axes[0].get_xlabel()
    'principal component 1 (98.6% of the variance)'
    """
    figures.check_suffix(path)
    figure = new_figure()
    if words is None:
        chosen = list(vectors.words[: whole_number("limit", limit)])
    else:
        chosen = list(dict.fromkeys(listed_words(words)))
    if not 1 <= len(chosen) <= _MOST_WORDS:
        cause = f"A map of {len(chosen):,} words is not readable"
        raise SettingError(f"{cause}. Choose 1 to {_MOST_WORDS:,}.")
    projection = projected(project, _units(vectors, chosen))
    axes = figure.add_subplot()
    axes.set(xlabel=projection.axes[0], ylabel=projection.axes[1])
    axes.margins(0.06)
    first = min(PROMINENT, len(chosen))
    points = projection.points
    axes.scatter(points[first:, 0], points[first:, 1], s=10, color=GREY, linewidths=0, zorder=2)
    axes.scatter(points[:first, 0], points[:first, 1], s=26, color=BLUE, linewidths=0, zorder=3)
    axes.spines[["top", "right"]].set_visible(False)
    first_words = f"The first {len(chosen):,} words"
    title = title or (first_words if words is None else f"{len(chosen):,} chosen words")
    title = figures.drawable(str(title))
    # The title has its final height before the layout is measured.
    heading = axes.set_title(title, parse_math=False)
    styles: list[dict[str, Any]] = [{"size": 12, "weight": "bold", "color": INK}] * first
    styles += [{"size": 9, "color": "#3f444b"}] * (len(chosen) - first)
    labelled = _label(figure, axes, points, chosen, styles, first)
    if labelled < len(chosen):
        heading.set_text(f"{title}; {len(chosen) - labelled:,} have no label, for lack of room")
    return save_figure(figure, path)


def plot_analogy(
    vectors: Vectors,
    analogies: Sequence[Sequence[str]],
    path: AnyPath | None = None,
    *,
    title: str | None = None,
) -> "Figure":
    """Analogies "a is to b as c is to d" as parallelograms, on two principal components.

    Solid arrows go from a to b and from c to d. The shaded parallelogram ends at a ring, b - a + c:
    the place that the arithmetic predicts for d. The projection is linear, so it keeps
    parallelograms. The legend gives the cosine of the prediction and d in all D dimensions.

    Args:
        vectors: the words and their vectors.
        analogies: 1 to 8 analogies of four words, or of three; the fourth is then the answer of
            ``vectors.most_similar([b, c], [a])``.
        path: the picture, .png or .svg; None only returns the figure.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: an analogy does not have three or four words, there is none or more than
            eight, the path is neither .png nor .svg, or matplotlib is missing.

    >>> words = ["man", "king", "woman", "queen"]
    >>> vectors = Vectors(words, [[1.0, 0.0], [1.0, 2.0], [2.0, 0.0], [2.0, 3.0]])
    >>> figure = plot_analogy(vectors, [("man", "king", "woman", "queen")])
    >>> [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    ['man', 'king', 'woman', 'queen']
    """
    figures.check_suffix(path)
    figure, analogies = new_figure(), several(analogies)
    if not 1 <= len(analogies) <= len(COLORS):
        cause = f"{len(analogies)} analogies do not make a readable picture"
        raise SettingError(f"{cause}. Give 1 to {len(COLORS)}.")
    fours = [_four(vectors, analogy) for analogy in analogies]
    words = list(dict.fromkeys(word for four in fours for word in four))
    units = _units(vectors, words)
    row = {word: position for position, word in enumerate(words)}
    predicted = np.stack([units[row[b]] - units[row[a]] + units[row[c]] for a, b, c, _ in fours])
    components = principal_components(units)
    points, ends = components.apply(units), components.apply(predicted)
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.14)
    cosines = np.einsum("nd,nd->n", unit_rows(predicted), units[[row[four[3]] for four in fours]])
    lines = []
    for four, end, cosine, color in zip(fours, ends, cosines.tolist(), COLORS, strict=False):
        a, b, c, d = (printable(word) for word in four)
        label = f"{a} : {b} = {c} : {d}   cosine of {b} − {a} + {c} and {d}: {cosine:.3f}"
        corners = points[[row[word] for word in four]]
        _parallelogram(axes, corners, end, color, label)
        ends_of = ((0, corners[1]), (2, corners[3]), (1, end), (2, end))
        lines += [(corners[start], stop) for start, stop in ends_of]
    axes.scatter(points[:, 0], points[:, 1], s=30, color=INK, linewidths=0, zorder=4)
    axes.set_title(figures.drawable(title or "Analogies as parallelograms"), parse_math=False)
    axes.set(xlabel=components.axes[0], ylabel=components.axes[1])
    axes.spines[["top", "right"]].set_visible(False)
    for text in figure.legend(loc="outside lower left", frameon=False, fontsize=10).get_texts():
        text.set_parse_math(False)
    styles = [{"size": 12, "weight": "bold", "color": INK}] * len(words)
    _label(figure, axes, points, words, styles, len(words), _along(lines))
    return save_figure(figure, path)


def plot_heatmap(
    vectors: Vectors, words: Sequence[str], path: AnyPath | None = None, *, title: str | None = None
) -> "Figure":
    """The cosine similarity of every two words, as colours from -1 to 1.

    Args:
        vectors: the words and their vectors.
        words: 2 to 60 words. Up to 20 words the picture has the numbers too.
        path: the picture, .png or .svg; None only returns the figure.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        UnknownWordError: a word is not in the vocabulary.
        SettingError: there are fewer than 2 words or more than 60, the path is neither .png nor
            .svg, or matplotlib is missing.

    >>> vectors = Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    >>> plot_heatmap(vectors, ["cat", "dog"]).axes[0].images[0].get_array().round(3).tolist()[0]
    [1.0, 0.9599999785423279]
    """
    figures.check_suffix(path)
    figure = new_figure(12.0, 10.0)
    chosen = list(dict.fromkeys(listed_words(words)))
    if not 2 <= len(chosen) <= _MOST_IN_HEATMAP:
        cause = f"A heat map shows 2 to {_MOST_IN_HEATMAP} different words, not {len(chosen)}"
        raise SettingError(f"{cause}. Choose others.")
    units = _units(vectors, chosen)
    cosines = np.clip(units @ units.T, -1, 1)
    axes = figure.add_subplot()
    # Always the whole range, so that two heat maps can be compared. White means no similarity.
    image = axes.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1)
    size, angle = (12, 45) if len(chosen) <= 30 else (9, 90)
    names = [printable(word) for word in chosen]
    axes.set_xticks(
        range(len(names)), names, rotation=angle, ha="right", rotation_mode="anchor", va="center"
    )
    axes.set_yticks(range(len(names)), names)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set(size=size, family=figures.fonts(), parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(chosen) <= 20:
        for (i, j), value in np.ndenumerate(cosines):
            color = "white" if abs(value) > 0.65 else INK
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", size=10, color=color)
    figure.colorbar(image, ax=axes, shrink=0.8, label="cosine similarity")
    axes.set_title(figures.drawable(title or "Cosine similarity"), parse_math=False)
    return save_figure(figure, path)


def _units(vectors: Vectors, words: Sequence[str]) -> np.ndarray:
    """[n, D] the words' vectors at length 1. Refuses NaN and infinity, and names the word."""
    rows = np.asarray(vectors[list(words)])
    return np.asarray(Vectors(words, rows).unit)


def _four(vectors: Vectors, analogy: Sequence[str]) -> tuple[str, str, str, str]:
    """An analogy with its fourth word."""
    words = several(analogy)
    if len(words) not in (3, 4):
        remedy = "Give three words, or four: a is to b as c is to d."
        raise SettingError(f"{shown(analogy)} is not an analogy. {remedy}")
    a, b, c, *rest = words
    found = rest or [word for word, _ in vectors.most_similar([b, c], [a], topn=1)]
    if not found:
        raise SettingError("No fourth word is left. Give four words.")
    return a, b, c, found[0]


def _parallelogram(
    axes: "Axes", corners: np.ndarray, end: np.ndarray, color: str, label: str
) -> None:
    """Draw the corners [4, 2] of a, b, c, d and the predicted place of d."""
    a, b, c, d = corners
    axes.fill(*np.stack([a, b, end, c]).T, color=color, alpha=0.10, linewidth=0, zorder=1)
    for start, stop in ((a, c), (b, end), (c, end)):
        axes.plot(*np.stack([start, stop]).T, color=color, linewidth=1, linestyle="--", zorder=2)
    arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2}
    for start, stop, name in ((a, b, label), (c, d, None)):
        axes.plot(*np.stack([start, stop]).T, color=color, linewidth=2, zorder=3, label=name)
        axes.annotate("", stop, start, arrowprops=arrow, zorder=3)
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": color, "linewidths": 1.8}
    axes.scatter(end[0], end[1], s=110, zorder=4, **ring)


def _along(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Points on the lines, so close together that no label fits between two."""
    steps = np.linspace(0.0, 1.0, 100)[:, None]
    return np.vstack([start + steps * (stop - start) for start, stop in lines])


def _label(
    figure: "Figure",
    axes: "Axes",
    points: np.ndarray,
    words: Sequence[str],
    styles: Sequence[dict[str, Any]],
    sure: int,
    avoid: np.ndarray | None = None,
) -> int:
    """Write the words at their points [n, 2] without overlaps. Returns how many found room.

    ``avoid`` [m, 2] are more points that labels should not cover.
    """
    from matplotlib.patheffects import withStroke

    with figures.without_glyph_warnings():
        # This fixes the layout. The axes must not move after it.
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    axes.autoscale(False)
    common: dict[str, Any] = {"family": figures.fonts(), "parse_math": False, "zorder": 5}
    common["path_effects"] = [withStroke(linewidth=2.5, foreground="white")]
    texts: list[Text] = [
        axes.text(0, 0, printable(word), **common, **style)
        for word, style in zip(words, styles, strict=True)
    ]
    with figures.without_glyph_warnings():
        boxes = [text.get_window_extent() for text in texts]
    sizes = np.array([[box.width, box.height] for box in boxes]).reshape(-1, 2)
    frame = axes.get_window_extent()
    pixels = axes.transData.transform(points)
    if avoid is not None:
        pixels = np.vstack([pixels, axes.transData.transform(avoid)])
    places = place_labels(pixels, sizes, (frame.x0, frame.y0, frame.x1, frame.y1), sure, gap=5.0)
    to_data = axes.transData.inverted()
    for text, box, pixel, place in zip(texts, boxes, pixels, places, strict=False):
        if place is None:
            text.remove()
            continue
        # The box of a text starts below its baseline: keep that offset.
        anchor = axes.transData.transform((0, 0))
        corner = np.array([place.x, place.y]) + anchor - [box.x0, box.y0]
        text.set_position(tuple(to_data.transform(corner)))
        if place.far:
            middle = np.array([place.x + box.width / 2, place.y + box.height / 2])
            axes.plot(*to_data.transform([pixel, middle]).T, color=GREY, linewidth=0.6, zorder=1.5)
    return sum(place is not None for place in places)
