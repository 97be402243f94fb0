"""How far a gradient is from its reference, leaf by leaf, and which rows it exercises."""

from typing import Any, NamedTuple

import jax
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.real import real_numbers
from w2vjax.trees import is_float, name_of
from w2vjax.types import Gradient, Rows, Tree

Array = np.ndarray

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}
ROUNDOFFS = 16  # the hardest batch needs 12.3: shared negatives, V = 1, every score past 6


class Entry(NamedTuple):
    """One entry of a gradient.

    Attributes:
        place: the indices, "3, 2".
        found: as the backward gives it.
        expected: as the reference gives it.
    """

    place: str
    found: float
    expected: float


class Exercise(NamedTuple):
    """How much of one leaf a check has exercised.

    Attributes:
        name: its place in the params, or in the batch behind "batch.".
        rows: indices of the axis; 1 for a number.
        touched: rows that the loss depends on.
        tested: touched rows whose reference is not zero at one of the scales; in float64, those
            where it is above the tolerance.
        axis: of the leaf: 0 for rows, 1 for columns, and so on.
        missing: the first four touched rows that are not tested.
    """

    name: str
    rows: int
    touched: int
    tested: int
    axis: int = 0
    missing: tuple[int, ...] = ()

    def names(self, part: str) -> bool:
        """Whether a text such as "input in 5 of 5 rows" is about this leaf."""
        return part.startswith(f"{self.name} in ")


def float_leaves(params: Tree) -> dict[str, Array]:
    """The leaves that have a gradient, by name; SettingError if there are none, or complex ones.

    >>> list(float_leaves({"ids": np.arange(3), "table": np.ones((3, 2))}))
    ['table']
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kinds = [(path, leaf) for path, leaf in leaves if is_float(leaf) or np.iscomplexobj(leaf)]
    named = {name_of(path): leaf for path, leaf in kinds}
    if len(named) < len(kinds):
        names = [name_of(path) for path, _ in kinds]
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingError(f"Two leaves of the params are called {twice}. Rename a key.")
    if not named:
        raise SettingError("The parameters hold no floats, so they have no gradient. Give floats.")
    for name, leaf in named.items():
        if leaf.dtype.name not in TOLERANCES:
            cause = f"{name} is {leaf.dtype.name}, which has no tolerance"
            raise SettingError(f"{cause}. Use one of: {', '.join(TOLERANCES)}.")
    return named


def dense(gradient: Tree, params: Tree) -> Any:
    """A gradient in float64 and in the structure of params; None where a leaf is not a float.

    Values of :class:`Rows` with one id are summed in float64. Where an id names no row, or a float
    leaf has no gradient, all is NaN. SettingError for other numbers than floats and for other
    shapes of Rows.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    structure: Any = jax.tree.structure(params)

    def leaf(part: Gradient | None, path: Any, param: Any) -> Array | None:
        what, shape = f"gradient of {name_of(path)}", np.shape(param)
        if not is_float(param):
            return None
        if part is None:
            return np.full(shape, np.nan)
        if not isinstance(part, Rows):
            return floats(what, part)
        ids, values = np.asarray(part.ids), floats(what, part.values)
        expected = (ids.size, *shape[1:])
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or not shape or values.shape != expected:
            cause = f"The {what} has {ids.dtype} ids {ids.shape} and values {values.shape}"
            wanted = ", ".join(map(str, ("N", *shape[1:])))
            raise SettingError(f"{cause}. Give whole numbers as ids [N], and values [{wanted}].")
        total = np.zeros(shape)
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(param):
            return np.full(shape, np.nan)  # NumPy would take -1 for the last row
        np.add.at(total, ids, values)
        return total

    try:
        parts = structure.flatten_up_to(gradient)
        if not jax.tree_util.all_leaves([x for x in parts if not isinstance(x, Rows | None)]):
            raise ValueError("it has a tree in the place of a leaf")
    except ValueError as error:
        cause = f"The gradient has another structure than the params: {str(error).splitlines()[0]}"
        raise SettingError(f"{cause}. Return one leaf for each leaf of the params.") from None
    return structure.unflatten([leaf(part, *at) for part, at in zip(parts, leaves, strict=True)])


def floats(what: str, given: object) -> Array:
    """Floats of any dtype in float64. SettingError for others: a mask might pass for ones."""
    found = real_numbers(what, given)
    if not is_float(found):
        raise SettingError(f"The {what} is {found.dtype}. Give floats.")
    return found.astype(np.float64)


def rounding_floor(dtype: str, tolerance: float, terms: float) -> float:
    """The gradient for which 16 roundoffs of ``terms`` are as much as the tolerance, never 0."""
    # float64 sums in float64, and everything else in float32
    roundoff = float(np.finfo("float64" if dtype == "float64" else "float32").eps) / 2
    return max(ROUNDOFFS * roundoff * float(terms) / tolerance, 1e-300)


def leaf_error(found: Array, wanted: Array, floor: float) -> tuple[float, tuple[int, ...]]:
    """The norm-wise error of one leaf, and the place of its worst entry. NaN counts as infinite."""
    if found.shape != wanted.shape:
        return np.inf, ()
    if not found.size:
        return 0.0, ()
    gap = np.nan_to_num(np.abs(found - wanted), nan=np.inf)
    at = np.unravel_index(int(np.argmax(gap)), gap.shape)
    return float(gap[at] / max(float(np.abs(wanted).max()), floor)), tuple(map(int, at))


def place_of(name: str, found: Array, wanted: Array, at: tuple[int, ...]) -> str:
    """An entry as a report names it, or what is wrong with the shape of its leaf."""
    if found.shape != wanted.shape:
        return f"{name}: shape {found.shape} where {wanted.shape} is expected"
    return f"{name}[{', '.join(map(str, at))}]"


def worst_entries(found: Array, wanted: Array) -> tuple[Entry, ...]:
    """The three entries with the largest differences, the worst first."""
    if found.shape != wanted.shape:
        return ()
    gap = np.nan_to_num(np.abs(found - wanted), nan=np.inf).reshape(-1)
    at = [i for i in np.argsort(-gap, kind="stable")[:3].tolist() if gap[i] > 0]
    places = [tuple(map(int, np.unravel_index(i, found.shape))) for i in at]
    return tuple(Entry(", ".join(map(str, p)), float(found[p]), float(wanted[p])) for p in places)
