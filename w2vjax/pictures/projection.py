"""From D dimensions to the two of a picture: principal components, or t-SNE by scikit-learn.

A projection is a function of a matrix [n, D] to a :class:`Projection`, so a picture takes your own
one too. Pictures give it vectors at length 1. Near words are then near by cosine, as in queries.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError, shown
from w2vjax.vectors.nearest import finite, float32


class Projection(NamedTuple):
    """Where n words are in a picture.

    Attributes:
        points: [n, 2] float32.
        axes: what the two coordinates mean.
    """

    points: np.ndarray
    axes: tuple[str, str]


class Components(NamedTuple):
    """The two directions of largest variance of n vectors.

    Attributes:
        mean: [D].
        directions: [2, D] orthonormal; the second one is zero if D is 1.
        explained: [2] the shares of the variance, in [0, 1].
    """

    mean: np.ndarray
    directions: np.ndarray
    explained: np.ndarray

    @property
    def axes(self) -> tuple[str, str]:
        """What the two coordinates mean, for the axes of a picture."""
        first, second = (f"{share:.1%} of the variance" for share in self.explained.tolist())
        return f"principal component 1 ({first})", f"principal component 2 ({second})"

    def apply(self, rows: ArrayLike) -> np.ndarray:
        """[n, D] -> [n, 2]. Linear but for the mean, so a parallelogram stays one."""
        centered = np.asarray(rows, np.float32) - self.mean
        return np.asarray(centered @ self.directions.T, np.float32)


Project: TypeAlias = Callable[[Any], Projection]


def projected(project: Project, unit: np.ndarray) -> Projection:
    """What a function makes of unit vectors [n, D]. Refuses anything but n finite points."""
    found = project(unit) if callable(project) else project
    good = isinstance(found, Projection) and np.shape(found.points) == (len(unit), 2)
    if not good or not np.isfinite(found.points).all():
        cause = f"project={shown(project)} gives no Projection of {len(unit):,} finite points"
        raise SettingError(f"{cause}. Pass w2vjax.pictures.pca or tsne, or a function like them.")
    return found


def principal_components(matrix: ArrayLike) -> Components:
    r"""The leading eigenvectors :math:`u_1, u_2` of a covariance (Pearson 1901).

    .. math:: \Sigma u_k = \lambda_k u_k, \qquad
        \Sigma = \tfrac1n \sum_i (x_i - \bar x)(x_i - \bar x)^\top, \qquad
        \text{explained}_k = \lambda_k / \operatorname{tr} \Sigma

    The sign of an eigenvector is arbitrary and differs between libraries. Here its largest
    component is positive, so the same vectors give the same picture.

    Args:
        matrix: [n, D], n vectors.

    Returns:
        The mean, the two directions and their shares of the variance.

    Raises:
        SettingError: the matrix has no row or no column, or is not finite.

    >>> found = principal_components([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    >>> found.directions.round(3).tolist(), found.explained.round(3).tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [0.8999999761581421, 0.10000000149011612])
    """
    rows = finite(float32("matrix", matrix))
    if rows.ndim != 2 or 0 in rows.shape:
        cause = f"There is nothing to project: the shape is {rows.shape}"
        raise SettingError(f"{cause}. Give one vector or more.")
    mean, directions, explained = map(np.asarray, _components(rows))
    if rows.shape[1] == 1:
        directions, explained = np.vstack([directions, [[0.0]]]), np.append(explained, 0.0)
    return Components(mean, directions.astype(np.float32), explained.astype(np.float32))


@jax.jit
def _components(rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[n, D] -> mean [D], directions [min(2, D), D], explained [min(2, D)]."""
    mean = jnp.mean(rows, axis=0)
    centered = rows - mean[None]
    # The covariance is D x D, so its decomposition costs the same for every number of words.
    covariance = jnp.matmul(centered.T, centered, precision="highest")
    values, columns = jnp.linalg.eigh(covariance)  # ascending
    directions, values = columns.T[::-1][:2], jnp.maximum(values[::-1][:2], 0.0)
    largest = jnp.argmax(jnp.abs(directions), axis=1)
    signs = jnp.sign(jnp.take_along_axis(directions, largest[:, None], axis=1))
    total = jnp.trace(covariance)
    return mean, directions * signs, values / jnp.where(total > 0, total, 1.0)


def pca(matrix: ArrayLike) -> Projection:
    r"""The two principal components of each row, by :func:`principal_components`.

    .. math:: y_{ik} = u_k^\top (x_i - \bar x), \qquad k = 1, 2

    Args:
        matrix: [n, D], n vectors.

    Returns:
        The points [n, 2] float32. The axes give the share of the variance.

    Raises:
        SettingError: as :func:`principal_components`.

    >>> pca([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0], [3.0, 1.0]]).points.round(3).tolist()
    [[-1.5, -0.5], [1.5, -0.5], [-1.5, 0.5], [1.5, 0.5]]
    """
    found = principal_components(matrix)
    return Projection(found.apply(matrix), found.axes)


def tsne(matrix: ArrayLike) -> Projection:
    """t-SNE's two dimensions (van der Maaten and Hinton 2008), from a fixed seed.

    It shows which words are near each other. Distances between groups and the axes mean nothing.

    Args:
        matrix: [n, D], n vectors. The perplexity is (n - 1) / 3, at most 30.

    Returns:
        The points [n, 2] float32, and names for the axes.

    Raises:
        SettingError: scikit-learn is not installed, there are fewer than 4 rows, D is 1, all rows
            are equal, or one is not finite.

    >>> tsne([[0.0, 1.0]] * 9)
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: t-SNE needs different vectors of 2 numbers or more, ...
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        cause = "t-SNE needs scikit-learn, which is not installed: pip install scikit-learn"
        raise SettingError(f"{cause}. Or use PCA.") from error
    rows = finite(float32("matrix", matrix))
    if rows.ndim == 2 and len(rows) < 4:
        raise SettingError(f"t-SNE needs 4 words or more, and there are {len(rows)}. Use PCA.")
    alike = rows.ndim != 2 or rows.shape[1] < 2 or (rows == rows[0]).all()
    if alike:  # scikit-learn crashes on equal rows
        cause = "t-SNE needs different vectors of 2 numbers or more"
        raise SettingError(f"{cause}, and these have the shape {rows.shape}. Use PCA.")
    perplexity = min(30.0, (len(rows) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(rows)
    return Projection(np.asarray(points, np.float32), ("t-SNE 1", "t-SNE 2"))
