"""Trees of arrays: their float leaves, which have gradients, and their names and bits."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from w2vjax.errors import SettingError, shown
from w2vjax.types import Rows, Tree

Array = np.ndarray


def is_float(leaf: object) -> bool:
    """Whether a leaf can be differentiated."""
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def float_dtype(dtype: DTypeLike) -> np.dtype:
    """A dtype of floats. SettingError for another, in which weights of 1/2 would be 0.

    >>> float_dtype("bfloat16").itemsize
    2
    """
    try:
        found = jnp.dtype(dtype)
    except TypeError:  # this names no dtype
        found = np.dtype(object)
    if not jnp.issubdtype(found, jnp.floating):
        names = "float32, float64, bfloat16, float16"
        raise SettingError(f"dtype={shown(dtype)} is not a dtype of floats. Use one of: {names}.")
    return found


# jaxlib 0.10 adds to rows of float32 in pairs if their size is even and no multiple of 4. On a CPU
# that is 16 times slower: 2.8 ns a number against .17, 512 rows of 50 numbers. Later versions do
# not. Other types are not slower in pairs.
_SLOW_IN_PAIRS = jax.__version_info__ < (0, 11)


def add_rows(table: jax.Array, ids: jax.Array, values: jax.Array) -> jax.Array:
    """A table [V, D] with values [N, D] added to its rows ids [N]. Repeated ids add up.

    >>> add_rows(jnp.zeros((2, 2)), jnp.asarray([1, 1]), jnp.ones((2, 2))).tolist()
    [[0.0, 0.0], [2.0, 2.0]]
    """
    dim = table.shape[1]
    if not (_SLOW_IN_PAIRS and dim % 4 == 2 and table.dtype == jnp.float32):
        return table.at[ids].add(values)
    first = table.at[ids, : dim - 1].add(values[:, : dim - 1])
    return first.at[ids, dim - 1].add(values[:, dim - 1])


def sum_repeated(ids: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(order, sums): the places of ``ids`` [N] in rising order, and each id's sum at its last.

    sums [N, D] is 0 everywhere else, so (ids[order], sums) is the same gradient with each row in
    one piece. The order of additions is fixed, which a scatter's on a GPU is not: this is what the
    deterministic mode rests on.

    >>> order, sums = sum_repeated(jnp.asarray([4, 2, 4]), jnp.asarray([[1.0], [10.0], [100.0]]))
    >>> order.tolist(), sums.ravel().tolist()
    ([1, 0, 2], [10.0, 0.0, 101.0])
    """
    order = jnp.argsort(ids, stable=True)
    ranked = ids[order]
    starts = jnp.concatenate([jnp.ones(1, bool), ranked[1:] != ranked[:-1]])[: ids.shape[0]]
    ends = jnp.concatenate([starts[1:], jnp.ones(1, bool)])[: ids.shape[0]]

    def join(left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]) -> Any:
        (left_start, left_sum), (right_start, right_sum) = left, right
        return left_start | right_start, jnp.where(right_start, right_sum, left_sum + right_sum)

    _, sums = jax.lax.associative_scan(join, (starts[:, None], values[order]))
    return order, jnp.where(ends[:, None], sums, jnp.zeros_like(sums))


def coalesce(rows: Rows) -> Rows:
    """The same gradient, ids in order, each id's sum in one place and zeros in the others."""
    order, sums = sum_repeated(rows.ids, rows.values)
    return Rows(rows.ids[order], sums)


def of_floats(function: Any, tree: Tree) -> tuple[list[Any], Any]:
    """The float leaves of a tree, and the function as one of these leaves alone."""
    leaves = jax.tree.leaves(tree)
    structure: Any = jax.tree.structure(tree)
    places = [i for i, leaf in enumerate(leaves) if is_float(leaf)]

    def of_leaves(floats: Sequence[Any]) -> Any:
        given = dict(zip(places, floats, strict=True))
        return function(structure.unflatten([given.get(i, x) for i, x in enumerate(leaves)]))

    return [leaves[i] for i in places], of_leaves


def in_place(floats: Sequence[Any], tree: Tree) -> Any:
    """The values of the float leaves in the structure of a tree, None for the other leaves."""
    values = iter(floats)
    return jax.tree.map(lambda leaf: next(values) if is_float(leaf) else None, tree)


def of_floats_only(change: Callable[[Array], object], tree: Tree) -> Any:
    """A tree with its float leaves changed; keys and ids as they are."""
    return jax.tree.map(lambda leaf: change(leaf) if is_float(leaf) else leaf, tree)


def host_copy(tree: Tree) -> Any:
    """Floats as NumPy arrays, which no configuration of JAX narrows; keys and ids as they are."""
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf) if isinstance(leaf, float) else leaf, tree)
    return of_floats_only(np.asarray, arrays)


def widen(tree: Tree) -> Any:
    """The same numbers in float64; keys and ids as they are."""
    return of_floats_only(lambda leaf: np.asarray(leaf).astype(np.float64), tree)


def scaled(tree: Tree, factor: float) -> Any:
    """The float leaves times a factor, each in its dtype."""
    return of_floats_only(lambda leaf: (leaf * factor).astype(leaf.dtype), tree)


def largest(leaf: Array) -> float:
    """The largest magnitude of the finite entries."""
    return float(np.abs(leaf[np.isfinite(leaf)]).max(initial=0))


def above(tolerance: float, leaf: Array, floor: float = 0.0) -> Array:
    """A leaf with 0 in the entries that are within the tolerance of 0."""
    return np.where(np.abs(leaf) > tolerance * max(largest(leaf), floor), leaf, 0)


def live_rows(trees: Sequence[dict[str, Array]]) -> dict[tuple[str, int], Array]:
    """By leaf and axis: which rows have an entry in one of the trees that is finite and not zero.

    >>> live_rows([{"table": np.asarray([[1.0, 0.0], [0.0, 0.0]])}])["table", 1].tolist()
    [True, False]
    """
    found = {}
    for name, shape in ((name, np.shape(leaf)) for name, leaf in trees[0].items()):
        entries = np.any([np.isfinite(tree[name]) & (tree[name] != 0) for tree in trees], 0)
        for axis in range(max(1, len(shape))):
            others = tuple(i for i in range(len(shape)) if i != axis)
            # without entries, no rows to exercise
            found[name, axis] = np.atleast_1d(entries.any(others))[: np.size(entries)]
    return found


def name_of(path: tuple[object, ...]) -> str:
    """The place of a leaf in a tree: "layers.0.weights"."""
    return jax.tree_util.keystr(path, simple=True, separator=".") or "params"


def equal_bits(first: Tree, second: Tree) -> bool:
    """Whether two trees hold the same bits."""
    pairs = zip(*(jax.tree.leaves(of_arrays(tree)) for tree in (first, second)), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def of_arrays(tree: Tree) -> Any:
    """A tree in NumPy, with the words of random keys."""

    def array(leaf: Any) -> Array:
        key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if key else leaf)

    return jax.tree.map(array, tree)


def can_trace(function: Callable[..., Any], *inputs: Tree) -> bool:
    """Whether JAX can trace a function. If not, a later call of it raises the reason."""
    try:
        jax.eval_shape(function, *inputs)
    except (TypeError, ValueError, NotImplementedError):
        return False
    return True


def as_floats(function: Callable[..., Any], first: Tree, *others: Tree) -> Tree:
    """``others``, with whole numbers in float64 where the function takes them, not as indices.

    Where there are arrays in float64, nothing is changed.
    """
    leaves = jax.tree.leaves(others)
    unflatten: Any = jax.tree.structure(others).unflatten  # type: ignore[attr-defined]

    def kind(leaf: Any) -> str:
        """That of an array's dtype; random keys have none."""
        found: str = getattr(getattr(leaf, "dtype", None), "kind", "") if np.ndim(leaf) else ""
        return found

    for i, leaf in enumerate(leaves):
        if kind(leaf) in ("i", "u") and "f" not in map(kind, jax.tree.leaves(others)):
            floats = [*leaves[:i], np.asarray(leaf, np.float64), *leaves[i + 1 :]]
            # a caller's function may raise anything for what it was not given
            with suppress(Exception):
                jax.eval_shape(function, first, *unflatten(floats))
                leaves = floats
    return unflatten(leaves)
