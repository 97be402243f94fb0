"""The page: what its file holds, and what it does in a real browser that is offline."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser

import w2vjax as w2v
from w2vjax.pictures.html import MOST_PAGE_WORDS, write_html

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<!--<script>",
    "<img src=x onerror=window.hacked=1>",
    *("&lt;", "{{title}}", "'\"`${1}", "\\u003c", "\u2028", "a\nb"),
    *("", "日本語", "שלום", "x" * 300, "__proto__", "#word=a"),
]


def some_vectors(words: list[str], dim: int = 10) -> w2v.Vectors:
    matrix = np.random.default_rng(5).normal(size=(len(words), dim)) + 0.5
    return w2v.Vectors(words, matrix, counts=np.arange(len(words), 0, -1))


class Content(HTMLParser):
    """Elements with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts[-1] += data


def page_data(path: Path) -> dict[str, Any]:
    return json.loads(Content(path.read_text()).scripts[0])


def numbers(text: str, dtype: str, columns: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(-1, columns)


# ---- the file


def test_the_page_loads_nothing_and_words_stay_words(tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    write_html(some_vectors(HOSTILE), path, title="<b>{{data}}</b>")
    text = path.read_bytes().decode("ascii")
    content = Content(text)
    assert [tag for tag, _ in content.elements].count("script") == 2
    addresses = [
        attrs[name]
        for _, attrs in content.elements
        for name in ("src", "href", "action")
        if attrs.get(name)
    ]
    assert addresses == ["data:,"]
    assert not re.search(
        r"https?:|url\(|@import|import\(|fetch\(|XMLHttpRequest|WebSocket|\beval\(|innerHTML", text
    )
    policy = next(attrs["content"] for tag, attrs in content.elements if "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "<title>&lt;b&gt;{{data}}&lt;/b&gt;</title>" in text
    shown = page_data(path)["words"]
    assert shown[:7] == HOSTILE[:7]
    assert shown[7:10] == [r"'\u2028'", r"a\nb", "(empty)"]
    assert shown[10:] == HOSTILE[10:]


def test_neighbours_are_those_of_a_search_among_the_words_of_the_page(tmp_path: Path) -> None:
    vectors = some_vectors([f"w{i}" for i in range(120)])
    page = write_html(vectors, tmp_path / "map.html", limit=50)
    assert (page.words, page.left_out, page.bytes) == (
        50,
        70,
        (tmp_path / "map.html").stat().st_size,
    )
    data = page_data(tmp_path / "map.html")
    k = data["neighbours"]
    ids, similarities = numbers(data["ids"], "<u2", k), numbers(data["similarities"], "<i2", k)
    assert (k, data["vocabulary"], data["counts"][:2]) == (20, 120, [120, 119])
    for row, word in enumerate(vectors.words[:50]):
        expected = vectors.most_similar(word, topn=k, restrict_vocab=50)
        assert [vectors.words[i] for i in ids[row]] == [word for word, _ in expected]
        apart = np.abs(similarities[row] / 10_000 - [value for _, value in expected])
        assert apart.max() <= 0.5001e-4  # rounding


def test_points_are_those_of_the_projection_in_one_scale(tmp_path: Path) -> None:
    vectors = some_vectors([f"w{i}" for i in range(40)])
    write_html(vectors, tmp_path / "map.html")
    found = numbers(page_data(tmp_path / "map.html")["points"], "<u2", 2).astype(float)
    points = w2v.pictures.pca(np.asarray(vectors.unit)).points.astype(float)
    expected = (points - points.min(axis=0)) / np.ptp(points, axis=0).max() * 65_535
    assert np.abs(found - expected).max() <= 0.51  # rounding to a whole number
    assert found.max() == 65_535


@pytest.mark.parametrize("n", [1, 2, 30])
def test_few_and_equal_words_are_not_their_own_neighbours(n: int, tmp_path: Path) -> None:
    write_html(w2v.Vectors([f"w{i}" for i in range(n)], np.ones((n, 3))), tmp_path / "map.html")
    data = page_data(tmp_path / "map.html")
    assert data["neighbours"] == min(20, n - 1)
    if n > 1:
        ids = numbers(data["ids"], "<u2", data["neighbours"])
        assert (ids != np.arange(n)[:, None]).all()
        assert all(len(set(row)) == len(row) for row in ids.tolist())


def test_the_same_vectors_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_html(some_vectors(["x", "y", "z"]), tmp_path / name, title="t")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_a_page_is_refused(tmp_path: Path) -> None:
    vectors = some_vectors(["x", "y"])
    for limit in (0, -1, 1.5, True, MOST_PAGE_WORDS + 1):
        with pytest.raises(w2v.errors.SettingError, match="limit="):
            write_html(vectors, tmp_path / "map.html", limit=limit)
    with pytest.raises(w2v.errors.SettingError, match="no words to show"):
        write_html(w2v.Vectors([], np.zeros((0, 3))), tmp_path / "map.html")
    with pytest.raises(w2v.errors.DivergedError, match="'y'"):
        write_html(w2v.Vectors(["x", "y"], [[1.0, 0.0], [0.0, np.inf]]), tmp_path / "map.html")
    with pytest.raises(w2v.errors.FileError, match="cannot be written"):
        write_html(vectors, tmp_path / "no" / "map.html")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_page_and_tells_what_is_not_on_it(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    w2v.save(some_vectors([f"w{i}" for i in range(30)]), tmp_path / "v.bin")
    done = cli("export", tmp_path / "v.bin", tmp_path / "map.html", "--html", "--limit", 12)
    assert done.code == 0
    assert "12 words" in done.out
    assert "18 rarer words are not on the page" in done.err
    done = cli("export", tmp_path / "v.bin", tmp_path / "v.txt", "--method", "tsne")
    assert done.code == 2
    assert "Add --html" in done.err
    done = cli("export", tmp_path / "v.bin", tmp_path / "map.png", "--html")
    assert done.code == 2
    assert "End the name in .html" in done.err
    assert not (tmp_path / "map.png").exists()


# ---- in a browser

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Iterator[Browser]:
    """A page of 400 words and the hostile ones. At the end it has requested only itself."""
    words = [f"{'kstn'[i % 4]}{'aeiou'[i % 5]}{i}" for i in range(400)]
    path = tmp_path / "map.html"
    write_html(some_vectors(words + HOSTILE), path)
    chromium.events.clear()
    chromium.open(path)
    yield chromium
    assert set(chromium.requests()) == {path.resolve().as_uri()}
    assert not chromium.complaints()


def labels(page: Browser) -> np.ndarray:
    """[n, 4] left, top, right, bottom of each label on the map, in the order of prominence."""
    return np.array(page.run("drawn.map(box => [box.left, box.top, box.right, box.bottom])"))


def neighbours(page: Browser) -> list[str]:
    found: list[str] = page.run(
        "[...document.querySelectorAll('#neighbours bdi')].map(word => word.textContent)"
    )
    return found


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("zoom", [1, 3, 9])
def test_labels_do_not_overlap_at_any_zoom(page: Browser, zoom: int) -> None:
    page.run(f"zoom({zoom})")
    boxes = labels(page)
    assert len(boxes) >= 5
    shared = (boxes[:, None, :2] < boxes[None, :, 2:]) & (boxes[:, None, 2:] > boxes[None, :, :2])
    assert np.triu(shared.all(axis=2), 1).sum() == 0
    if zoom == 1:  # the ten most frequent words are labelled, and large enough to read
        assert page.run("drawn.slice(0, 10).map(box => box.i)") == list(range(10))
        assert (boxes[:10, 3] - boxes[:10, 1]).min() >= 16


@pytest.mark.slow
@needs_browser
def test_search_suggests_and_enter_shows_the_nearest_words(page: Browser) -> None:
    page.run("query.focus()")
    page.type("KA1")
    offered = page.run("[...list.children].map(row => row.textContent)")
    words = page.run("words")
    assert offered
    assert all(word.startswith("ka1") for word in offered)
    assert offered == sorted(offered, key=words.index)
    page.press("ArrowDown", 40)
    page.press("Enter", 13)
    assert page.run("element('word').textContent") == offered[1]
    ids = page.run(f"neighboursOf(words.indexOf({offered[1]!r}))")
    assert neighbours(page) == [words[i] for i in ids]
    page.run("query.focus()")
    page.type("no such word")
    assert "No word on this page" in page.run("list.textContent")


@pytest.mark.slow
@needs_browser
def test_clicks_choose_words_and_back_returns(page: Browser) -> None:
    box = labels(page)[0]
    page.click(float(box[[0, 2]].mean()), float(box[[1, 3]].mean()))
    assert page.run("element('word').textContent") == page.run("words[0]")
    first = neighbours(page)[0]
    page.run("document.querySelector('#neighbours button').click()")
    assert page.run("element('word').textContent") == first
    page.run("history.back()")
    page.run("new Promise(done => setTimeout(done, 300))")
    assert page.run("chosen") == 0
    page.run("fit()")
    x, y = page.run("[screenX(300), screenY(300)]")
    page.click(x, y)  # a dot or a label over it, in either case a word near by
    assert page.run("chosen") >= 0
    page.click(3, 790)
    assert page.run("chosen") == -1
    assert page.run("element('chosen').hidden")


@pytest.mark.slow
@needs_browser
def test_dragging_moves_and_the_wheel_zooms_about_the_pointer(page: Browser) -> None:
    before = page.run("[view.x, view.y, view.scale]")
    page.drag((200, 300), (260, 270))
    after = page.run("[view.x, view.y, view.scale]")
    assert np.abs(np.subtract(after, before) - [60, -30, 0]).max() < 1e-9
    assert page.run("chosen") == -1, "a drag is no click"
    under = "[(250 - view.x) / view.scale, (400 - view.y) / view.scale]"
    fixed = page.run(under)
    page.wheel(250, 400, -200)
    page.run("1")
    assert page.run("view.scale") > after[2] * 1.2
    assert np.abs(np.subtract(page.run(under), fixed)).max() < 1e-3 * abs(fixed[0])
    page.run("element('fit').click()")
    assert np.abs(np.subtract(page.run("[view.x, view.y, view.scale]"), before)).max() < 1e-9


@pytest.mark.slow
@needs_browser
def test_hostile_words_are_shown_as_text_and_nothing_runs(page: Browser) -> None:
    for i in range(400, 400 + len(HOSTILE)):
        page.run(f"choose({i}, true)")
        assert page.run("element('word').textContent") == page.run(f"words[{i}]")
    assert page.run("typeof window.hacked") == "undefined"
    assert page.run("document.images.length") == 0
    address = page.run("(choose(words.indexOf('__proto__')), location.href)")
    assert address.endswith("#word=__proto__")


@pytest.mark.slow
@needs_browser
def test_dark_light_and_small_screens(page: Browser, tmp_path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.run("element('theme').click()")
    assert page.run(ground) != light
    for scheme, expected in (("light", light), ("dark", "rgb(21, 24, 28)")):
        page.open(tmp_path / "map.html", width=380, height=700, scheme=scheme)
        assert page.run(ground) == expected
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(tmp_path / "small.png")
    assert int.from_bytes((tmp_path / "small.png").read_bytes()[16:20], "big") == 380


@pytest.mark.slow
@needs_browser
def test_five_thousand_words_are_drawn_within_a_frame_or_two(
    chromium: Browser, tmp_path: Path
) -> None:
    write_html(some_vectors([f"word{i}" for i in range(5_000)], dim=50), tmp_path / "map.html")
    chromium.open(tmp_path / "map.html")
    milliseconds = chromium.run(
        "(() => { const begin = performance.now(); for (let n = 0; n < 20; n++) draw(); "
        "return (performance.now() - begin) / 20; })()"
    )
    assert milliseconds < 60  # measured: 8 on two busy cores
