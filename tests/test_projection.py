"""Projections to two dimensions: principal components against NumPy, and t-SNE."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import w2vjax as w2v
from w2vjax.pictures.projection import principal_components

HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None


def test_principal_components_are_those_of_numpy_in_float64() -> None:
    matrix = np.random.default_rng(0).normal(size=(500, 40)) * np.linspace(3, 1, 40)
    found = principal_components(matrix)
    centered = matrix - matrix.mean(axis=0)
    _, values, rows = np.linalg.svd(centered)
    rows = rows[:2] * np.sign(np.take_along_axis(rows[:2], np.abs(rows[:2]).argmax(1)[:, None], 1))
    share = (values**2 / (values**2).sum())[:2]
    # measured: directions 4.3e-7, shares 2.6e-8, points 9.4e-6; a margin of ten
    assert np.abs(found.directions - rows).max() < 4e-6
    assert np.abs(found.explained - share).max() < 2e-7
    assert np.abs(w2v.pictures.pca(matrix).points - centered @ rows.T).max() < 1e-4


def test_signs_do_not_depend_on_the_order_or_on_mirroring() -> None:
    matrix = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32) * np.arange(
        1, 7, dtype=np.float32
    )
    whole = principal_components(matrix)
    for other in (matrix[::-1], -matrix):  # the mirror image has the same covariance
        apart = np.abs(principal_components(other).directions - whole.directions)
        assert apart.max() < 1e-5  # measured: 8.6e-7
    largest = np.take_along_axis(whole.directions, np.abs(whole.directions).argmax(1)[:, None], 1)
    assert (largest > 0).all()


@pytest.mark.parametrize(
    "matrix", [np.ones((1, 3)), np.ones((4, 3)), np.arange(4.0)[:, None], np.ones((1, 1))]
)
def test_too_little_for_two_components_is_drawn_flat(matrix: np.ndarray) -> None:
    found = w2v.pictures.pca(matrix)
    assert found.points.shape == (len(matrix), 2)
    assert np.isfinite(found.points).all()
    assert not found.points[:, 1].any()


@pytest.mark.parametrize("matrix", [np.zeros((0, 3)), np.zeros((3, 0)), [[1.0, np.nan]]])
def test_nothing_to_project_is_refused(matrix: Any) -> None:
    with pytest.raises(w2v.errors.SettingError, match=r"nothing to project|NaN"):
        w2v.pictures.pca(matrix)


@pytest.mark.skipif(not HAS_SKLEARN, reason="scikit-learn is not installed")
def test_tsne_keeps_groups_apart_and_repeats() -> None:
    rng = np.random.default_rng(3)
    matrix = np.repeat(10 * np.eye(3, 8), 8, axis=0) + rng.normal(size=(24, 8))
    points = w2v.pictures.tsne(matrix).points
    group = np.repeat(np.arange(3), 8)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(axis=1)] == group).all()
    assert (w2v.pictures.tsne(matrix).points == points).all()
    with pytest.raises(w2v.errors.SettingError, match="4 words or more, and there are 3"):
        w2v.pictures.tsne(matrix[:3])
    for shape in ((5,), (), (5, 2, 2), (2, 2, 2), (5, 0)):
        with pytest.raises(w2v.errors.SettingError, match="needs different vectors"):
            w2v.pictures.tsne(np.arange(np.prod(shape)).reshape(shape))
    nearly = np.ones((5, 3), np.float32)
    nearly[3, 1] = np.nextafter(np.float32(1), np.float32(2))
    assert np.isfinite(w2v.pictures.tsne(nearly).points).all()
    # scikit-learn divides by the spread of the rows, and then crashes the process
    for flat in (np.ones((5, 3)), np.zeros((40, 2)), np.arange(5.0)[:, None]):
        with pytest.raises(w2v.errors.SettingError, match="needs different vectors"):
            w2v.pictures.tsne(flat)
    with pytest.raises(w2v.errors.SettingError, match="NaN"):
        w2v.pictures.tsne(np.full((5, 3), np.nan))


@pytest.mark.parametrize(
    "project",
    [
        "pca",
        None,
        lambda unit: None,
        lambda unit: unit[:, :2],
        lambda unit: w2v.pictures.Projection(np.ones((3, 2)), ("x", "y")),
        lambda unit: w2v.pictures.Projection(np.ones((len(unit), 3)), ("x", "y")),
        lambda unit: w2v.pictures.Projection(np.full((len(unit), 2), np.nan), ("x", "y")),
    ],
)
def test_a_projection_that_gives_no_point_for_a_word_is_refused(
    project: Any, tmp_path: Path
) -> None:
    """Three points of five were drawn without a word, and NaN was called a lack of room."""
    vectors = w2v.Vectors(list("abcde"), np.eye(5))
    with pytest.raises(w2v.errors.SettingError, match="gives no Projection of 5 finite points"):
        w2v.plot_map(vectors, project=project)
    with pytest.raises(w2v.errors.SettingError, match="gives no Projection of 5 finite points"):
        w2v.pictures.write_html(vectors, tmp_path / "page.html", project=project)
    assert not list(tmp_path.iterdir())


def test_a_projection_of_ones_own_is_drawn() -> None:
    vectors = w2v.Vectors(list("abcde"), np.eye(5))
    figure = w2v.plot_map(
        vectors, project=lambda unit: w2v.pictures.Projection(unit[:, :2], ("x", "y")), title="5"
    )
    assert figure.axes[0].get_xlabel() == "x"
