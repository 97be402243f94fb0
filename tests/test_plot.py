"""Pictures: labels that never overlap as they are drawn, files, the command."""

import re
import sys
import warnings
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import slow

import w2vjax as w2v
from w2vjax.pictures.label_layout import place_labels, printable

pytest.importorskip("matplotlib")


def some_vectors(n: int = 60, dim: int = 12, spread: float = 1.0) -> w2v.Vectors:
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=dim) + spread * rng.normal(size=(n, dim))
    words = [
        "".join(rng.choice(list("aeioulmnrst"), size=rng.integers(3, 12))) + str(i)
        for i in range(n)
    ]
    return w2v.Vectors(words, matrix)


# ---- labels


def overlaps(boxes: np.ndarray) -> int:
    """How many pairs of boxes [n, 4] (left, bottom, right, top) share more than an edge."""
    low, high = boxes[:, :2], boxes[:, 2:]
    shared = (low[:, None] < high[None] - 1e-6) & (high[:, None] > low[None] + 1e-6)
    return int(np.triu(shared.all(axis=2), 1).sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.sampled_from([0.0, 1.0, 30.0, 300.0]))
def test_labels_never_overlap_and_the_first_ten_always_find_room(
    seed: int, n: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    points = np.clip(rng.normal(500, spread, size=(n, 2)), 1, 999)
    sizes = np.stack([rng.uniform(10, 160, n), rng.uniform(8, 20, n)], axis=1)
    places = place_labels(points, sizes, (0, 0, 1000, 1000), sure=10, gap=5.0)
    assert all(place is not None for place in places[:10])
    boxes = np.array(
        [[p.x, p.y, p.x + w, p.y + h] for p, (w, h) in zip(places, sizes, strict=True) if p]
    )
    assert overlaps(boxes) == 0
    assert boxes.min() >= 0
    assert boxes.max() <= 1000


def test_a_label_too_large_for_the_picture_is_refused_or_left_out() -> None:
    point, size = np.array([[5.0, 5.0]]), np.array([[50.0, 5.0]])
    assert place_labels(point, size, (0, 0, 10, 10), sure=0, gap=1.0) == [None]
    with pytest.raises(w2v.errors.SettingError, match="fits nowhere"):
        place_labels(point, size, (0, 0, 10, 10), sure=1, gap=1.0)


@pytest.mark.parametrize("word", ["", " ", "\n", "a\0b", "a" * 1000, "\u2028", "\ufeff", "ok"])
def test_printable_words_are_short_visible_and_not_empty(word: str) -> None:
    text = printable(word)
    assert text.strip()
    assert text.isprintable()
    assert len(text) <= 28


def drawn_boxes(figure: Any) -> tuple[list[str], np.ndarray]:
    """Words of the labels and their boxes in pixels, as the renderer draws them."""
    figure.canvas.draw()
    texts = figure.axes[0].texts
    return [text.get_text() for text in texts], np.array(
        [text.get_window_extent().extents for text in texts]
    )


# Spread out, in a heap, and all on one point.
@pytest.mark.parametrize("spread", [1.0, 0.0, *slow(0.02)])
def test_a_map_labels_the_ten_most_prominent_words_readably_and_without_overlap(
    spread: float, tmp_path: Path
) -> None:
    vectors = some_vectors(150, spread=spread)
    figure = w2v.plot_map(vectors, tmp_path / "map.png")
    words, boxes = drawn_boxes(figure)
    assert set(vectors.words[:10]) <= set(words)
    assert overlaps(boxes) == 0
    width, height = figure.canvas.get_width_height()
    assert width == 1200
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [width, height]).all()
    # measured: 17 px for the ten, 12.5 px and more for the others
    heights = dict(zip(words, boxes[:, 3] - boxes[:, 1], strict=True))
    assert min(heights[word] for word in vectors.words[:10]) >= 13
    assert min(heights.values()) >= 9
    missing = len(vectors) - len(words)
    title = figure.axes[0].get_title()
    assert (f"{missing} have no label" in title) == (missing > 0)


def test_a_map_of_chosen_words_shows_them_where_pca_puts_them() -> None:
    vectors = some_vectors()
    chosen = [vectors.words[i] for i in (40, 3, 17, 3)]
    axes = w2v.plot_map(vectors, words=chosen).axes[0]
    shown = np.vstack([collection.get_offsets() for collection in axes.collections])
    expected = w2v.pictures.pca(
        vectors[chosen[:3]] / np.linalg.norm(vectors[chosen[:3]], axis=1, keepdims=True)
    ).points
    # measured: 1.9e-7
    assert np.abs(np.sort(shown, axis=0) - np.sort(expected, axis=0)).max() < 2e-6
    assert {text.get_text() for text in axes.texts} == set(chosen)


def test_characters_without_a_font_are_told_once(cli: Callable[..., Any], tmp_path: Path) -> None:
    vectors = w2v.Vectors(["\U00012000\U00012001", "\U00012000b", "c"], np.eye(3))  # cuneiform
    with pytest.warns(UserWarning, match="No installed font has 2 of the characters") as told:
        w2v.plot_map(vectors, tmp_path / "map.png")
    assert len(told) == 1
    w2v.save(vectors, tmp_path / "v.bin")
    done = cli("plot", "map", tmp_path / "v.bin", tmp_path / "map.png")
    assert done.code == 0
    assert done.err.count("No installed font") == 1


def test_words_with_markup_and_invisible_characters_are_drawn_as_they_are(tmp_path: Path) -> None:
    words = ["$x$", "$", r"\frac", "<b>&", "a\nb", "", "日本", "_{", "x" * 100]
    vectors = w2v.Vectors(words, np.random.default_rng(0).normal(size=(9, 4)))
    with warnings.catch_warnings():
        # a machine may have no font for 日本
        warnings.filterwarnings("ignore", message="No installed font")
        figure = w2v.plot_map(vectors, tmp_path / "map.svg", title="$100 <or> $200")
        w2v.pictures.plot_heatmap(vectors, words, tmp_path / "heat.svg")
        w2v.pictures.plot_analogy(vectors, [words[:4], words[4:8]], tmp_path / "analogy.svg")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:6] == ["$x$", "$", r"\frac", "<b>&", r"a\nb", "(empty)"]
    for name in ("map", "heat", "analogy"):
        xml.etree.ElementTree.parse(tmp_path / f"{name}.svg")


@pytest.mark.parametrize(
    ("title", "drawn"),
    [
        ("\x01\n\t\ufffe\udcff", "\\x01\n\\t\\ufffe\\udcff"),
        *slow(
            ("a\x01b", r"a\x01b"),
            ("\x00\x1f\x7f\x85", r"\x00\x1f\x7f\x85"),
            ("two\nlines, a\ttab", "two\nlines, a\\ttab"),
            ("\ufffe\uffff\udcff", r"\ufffe\uffff\udcff"),
            ("no\xa0break", "no\xa0break"),
        ),
    ],
)
def test_a_title_with_control_characters_makes_a_sound_file(
    tmp_path: Path, title: str, drawn: str
) -> None:
    words = ["a", "b", "c", "d"]
    vectors = w2v.Vectors(words, np.random.default_rng(0).normal(size=(4, 3)))
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    pictures = {
        "map": w2v.plot_map(vectors, tmp_path / "map.svg", title=title),
        "heat": w2v.pictures.plot_heatmap(vectors, words, tmp_path / "heat.svg", title=title),
        "analogy": w2v.pictures.plot_analogy(
            vectors, [words], tmp_path / "analogy.svg", title=title
        ),
        "loss": w2v.plot_loss(log, tmp_path / "loss.svg", title=title),
    }
    for name, figure in pictures.items():
        xml.etree.ElementTree.parse(tmp_path / f"{name}.svg")
        assert figure.axes[0].get_title() == drawn
    w2v.pictures.write_html(vectors, tmp_path / "map.html", title=title)
    assert (
        f"<title>{drawn}</title>".encode("ascii", "xmlcharrefreplace")
        in (tmp_path / "map.html").read_bytes()
    )


# ---- files


@pytest.mark.parametrize("suffix", [".png", ".svg", *slow(".PNG")])
def test_the_same_picture_is_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    vectors = some_vectors(20)
    for name in ("a", "b"):
        w2v.plot_map(vectors, tmp_path / f"{name}{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert data == (tmp_path / f"b{suffix}").read_bytes()
    assert data.startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")
    if suffix != ".svg":
        assert int.from_bytes(data[16:20], "big") == 1200


def test_other_names_missing_folders_and_unknown_words_are_refused(tmp_path: Path) -> None:
    vectors = some_vectors(5)
    with pytest.raises(
        w2v.errors.SettingError, match=r"map\.jpg: pictures are written as PNG or SVG"
    ):
        w2v.plot_map(vectors, tmp_path / "map.jpg")
    with pytest.raises(w2v.errors.FileError, match=r"map\.png cannot be written"):
        w2v.plot_map(vectors, tmp_path / "no" / "map.png")
    with pytest.raises(w2v.errors.UnknownWordError, match="absent"):
        w2v.plot_map(vectors, words=["absent"])
    with pytest.raises(w2v.errors.SettingError, match="A map of 0 words"):
        w2v.plot_map(vectors, words=[])
    with pytest.raises(w2v.errors.SettingError, match="limit=0"):
        w2v.plot_map(vectors, limit=0)
    with pytest.raises(w2v.errors.DivergedError, match="'b'"):
        w2v.plot_map(w2v.Vectors(["a", "b"], [[1.0, 0.0], [np.nan, 0.0]]))
    assert not list(tmp_path.iterdir())


def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any], tmp_path: Path
) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("matplotlib", "sklearn")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    w2v.save(some_vectors(5), tmp_path / "v.txt")
    done = cli("plot", "map", tmp_path / "v.txt", tmp_path / "map.png")
    assert done.code == 2
    assert "pip install 'w2vjax[plot]'" in done.err
    with pytest.raises(w2v.errors.SettingError, match="pip install scikit-learn"):
        w2v.pictures.tsne(np.eye(5))


# ---- analogies and heat maps


def test_an_analogy_closes_the_parallelogram_and_tells_the_cosine() -> None:
    vectors = some_vectors(30)
    a, b, c, d = vectors.words[:4]
    figure = w2v.pictures.plot_analogy(vectors, [(a, b, c, d)])
    axes = figure.axes[0]
    points = dict(zip([a, b, c, d], np.asarray(axes.collections[-1].get_offsets()), strict=True))
    ring = np.asarray(axes.collections[0].get_offsets())[0]
    # measured: 1.5e-8
    assert np.abs(ring - (points[b] - points[a] + points[c])).max() < 1e-6
    unit = {word: vectors[word] / np.linalg.norm(vectors[word]) for word in (a, b, c, d)}
    target = unit[b] - unit[a] + unit[c]
    cosine = float(target @ unit[d] / np.linalg.norm(target))
    legend = figure.legends[0].get_texts()[0].get_text()
    # three decimals
    assert float(re.findall(r"-?\d\.\d+", legend)[-1]) == pytest.approx(cosine, abs=5.1e-4)
    _, boxes = drawn_boxes(figure)
    labels = boxes[[bool(text.get_text()) for text in axes.texts]]
    assert len(labels) == 4
    assert overlaps(labels) == 0


def test_three_words_ask_for_the_fourth() -> None:
    vectors = some_vectors(30)
    a, b, c = vectors.words[:3]
    figure = w2v.pictures.plot_analogy(vectors, [(a, b, c)])
    answer = vectors.most_similar([b, c], [a], topn=1)[0][0]
    assert answer in {text.get_text() for text in figure.axes[0].texts}
    with pytest.raises(w2v.errors.SettingError, match="not an analogy"):
        w2v.pictures.plot_analogy(vectors, [(a, b)])
    assert w2v.pictures.plot_analogy(vectors, iter([(a, b, c)]))
    with pytest.raises(w2v.errors.SettingError, match="0 analogies"):
        w2v.pictures.plot_analogy(vectors, [])


def test_a_heat_map_holds_the_cosines() -> None:
    vectors = some_vectors(30)
    words = vectors.words[5:12]
    axes = w2v.pictures.plot_heatmap(vectors, words).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    expected = [[vectors.similarity(a, b) for b in words] for a in words]
    assert np.abs(shown - expected).max() < 2e-6  # measured: 1.8e-7
    assert [label.get_text() for label in axes.get_yticklabels()] == list(words)
    assert axes.images[0].get_clim() == (-1, 1)
    for count in (1, 61):
        with pytest.raises(w2v.errors.SettingError, match="shows 2 to 60 different words"):
            w2v.pictures.plot_heatmap(some_vectors(61), some_vectors(61).words[:count])


# ---- the command


def test_the_command_draws_every_kind(cli: Callable[..., Any], tmp_path: Path) -> None:
    vectors = some_vectors(30)
    w2v.save(vectors, tmp_path / "v.bin")
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f'{{"step": {i}, "loss": {1.0 / i}}}\n' for i in range(1, 300)))
    calls = [
        ("loss", log, "loss.png", "--compare", log, "--title", "two runs"),
        ("map", tmp_path / "v.bin", "map.svg", "--limit", 20),
        ("map", tmp_path / "v.bin", "chosen.png", *vectors.words[:4]),
        ("analogy", tmp_path / "v.bin", "three.png", *vectors.words[:3]),
        ("analogy", tmp_path / "v.bin", "eight.png", *vectors.words[:8]),
        ("heatmap", tmp_path / "v.bin", "heat.png", *vectors.words[:8]),
    ]
    for kind, source, out, *rest in calls:
        done = cli("plot", kind, source, tmp_path / out, *rest)
        assert done.code == 0, done.err
        assert (f"{out}: any size" if out.endswith(".svg") else f"{out}: 1,200 x ") in done.out
        assert (tmp_path / out).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("loss", "log", "a.png", "word"), "does not use words"),
        (("heatmap", "v", "a.png", "a", "b", "--limit", "3"), "does not use --limit"),
        (("analogy", "v", "a.png", "a", "b", "c", "--method", "pca"), "does not use --method"),
        (("map", "v", "a.png", "--compare", "log"), "does not use --compare"),
        (("map", "v", "a.png", "a", "--limit", "3"), "exclude each other"),
        (("analogy", "v", "a.png", "a", "b"), "Words given for analogies: 2"),
    ],
)
def test_options_without_use_are_refused(
    arguments: tuple[str, ...], message: str, cli: Callable[..., Any]
) -> None:
    done = cli("plot", *arguments)
    assert done.code == 2
    assert message in done.err


def test_an_analogy_without_a_fourth_word_and_words_that_are_lists_are_refused() -> None:
    vectors = w2v.Vectors(["cat", "dog", "tea"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    with pytest.raises(w2v.errors.SettingError, match="No fourth word is left"):
        w2v.pictures.plot_analogy(vectors, [("cat", "dog", "tea")])
    with pytest.raises(w2v.errors.SettingError, match="A word is a string"):
        w2v.pictures.plot_heatmap(vectors, [["cat"], ["dog"]])
    with pytest.raises(w2v.errors.SettingError, match="A word is a string"):
        w2v.pictures.plot_map(vectors, words=[["cat"], ["dog"]])
