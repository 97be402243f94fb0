"""Tables that several devices hold together, and the mesh for it.

All devices take each step together. The mesh has one or more of these axes:

    "data"        divides the groups of a step
    "dim"         divides the columns of the tables
    "vocabulary"  divides the rows of the tables, and what the optimizer keeps of each row

Rows cross the wire, and tables never do. To read a row, each device gathers it from its share of
the table, or zeros if another device holds it, and an all-reduce adds them up. The gradients of a
step are then whole on every device, and each adds those of its own rows. This module only says
where arrays lie, and XLA makes the program from that.

JAX divides arrays into equal shares only. So tables get rows at their end that no step reads.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from w2vjax.devices.mesh import trains_copies
from w2vjax.errors import SettingError
from w2vjax.real import is_real, not_real, real_numbers
from w2vjax.types import Params, Rows, Tree

AXES = DATA, DIM, VOCABULARY = "data", "dim", "vocabulary"


def _real_table(what: str, table: Any, dtype: str) -> Any:
    """A table as an array of real numbers that are finite in ``dtype``.

    Raises:
        SettingError: it is no table of finite real numbers. The message begins with ``what``.
    """
    if isinstance(table, jax.core.Tracer):
        raise SettingError(f"{what} is traced by JAX. Train outside of jit, and pass arrays.")
    on_device = isinstance(table, jax.Array) and is_real(table.dtype)
    found: Any = table if on_device else real_numbers(what, table)
    if found.dtype == bool:
        raise not_real(what, table, "its type is bool")
    library = jnp if on_device else np
    with np.errstate(over="ignore"):
        sound = library.isfinite(library.asarray(found, jnp.dtype(dtype))).all()
    if not sound:
        cause = f"{what} holds NaN, infinity or numbers that are not finite in {dtype}"
        raise SettingError(f"{cause}. Look at the run that made it.")
    return found


def check_start(
    start: Params | None, dtype: str, shape: tuple[int, int] | None = None
) -> Params | None:
    """The tables to start from as arrays. ``shape`` is that of the run's tables, if it is known.

    Raises :class:`~w2vjax.errors.SettingError` for tables of other shapes or no finite numbers.
    """
    if start is None:
        return None
    tables = start._asdict().items()
    found = Params(*(_real_table(f"The start's {name} table", t, dtype) for name, t in tables))
    for name, table in found._asdict().items():
        if shape is not None and table.shape != shape:
            raise SettingError(
                f"The start has an {name} table of shape {table.shape}, and the run "
                f"{shape[0]} words of dim={shape[1]}. Grow the table first, or use its dim."
            )
    return found


def count(mesh: Mesh | None, axis: str) -> int:
    """The devices along an axis: 1 if the mesh lacks it."""
    return 1 if mesh is None else dict(mesh.shape).get(axis, 1)


def sharding(mesh: Mesh, *axes: str | None) -> NamedSharding:
    """How an array is divided: the axis of the mesh for each axis of the array."""
    return NamedSharding(mesh, PartitionSpec(*(a if a in mesh.axis_names else None for a in axes)))


def rows_of(mesh: Mesh | None, words: int) -> int:
    """The rows of a table of so many words: rounded up to equal shares.

    >>> rows_of(None, 21)
    21
    """
    shares = count(mesh, VOCABULARY)
    return -(-words // shares) * shares


def places(mesh: Mesh, state: Tree, shape: tuple[int, ...]) -> Any:
    """How each array of a state of tables of this shape is divided: by rows, by columns."""

    def of(leaf: Any) -> NamedSharding:
        pairs = zip(leaf.shape, shape, (VOCABULARY, DIM), strict=False)
        return sharding(mesh, *(axis if size == whole else None for size, whole, axis in pairs))

    return jax.tree.map(of, state)


def kept_in_place(mesh: Mesh, state: Tree, shape: tuple[int, ...]) -> Any:
    """A state, within a program, divided as :func:`places` says."""
    return jax.lax.with_sharding_constraint(state, places(mesh, state, shape))


def divided(mesh: Mesh, shape: tuple[int, ...], dtype: str, table: Any) -> jax.Array:
    """A table [V, D] of the host on a mesh, with zeros up to the rows of ``shape``."""
    host = np.asarray(table).astype(dtype)
    host = np.pad(host, ((0, shape[0] - len(host)), (0, 0)))
    return jax.make_array_from_callback(shape, places(mesh, host, shape), lambda at: host[at])


def cut(tree: Tree, rows: int, words: int) -> Any:
    """The arrays of a tree without the rows at their end that stand for no word."""
    return jax.tree.map(lambda leaf: leaf[:words] if leaf.shape[:1] == (rows,) else leaf, tree)


def on_every_device(mesh: Mesh, rows: Tree) -> Any:
    """The gradients of a step, whole on every device. So XLA sums no tables over the devices."""

    def of(leaf: jax.Array) -> jax.Array:
        axes = (None, DIM) if leaf.ndim == 2 else ()
        placed: jax.Array = jax.lax.with_sharding_constraint(leaf, sharding(mesh, *axes))
        return placed

    return jax.tree.map(of, rows)


class SplitTable:
    """A table [V, D] that sends the rows of each ``ids`` once, however often a step reads them.

    On one device, XLA reads equal rows once. It does not know that two exchanges are equal.
    """

    def __init__(self, table: jax.Array, ids: Tree):
        self._table = table
        leaves = [leaf for leaf in jax.tree.leaves(ids) if jnp.issubdtype(leaf.dtype, jnp.integer)]
        self._read = [(leaf, table[leaf]) for leaf in leaves]

    def __getitem__(self, ids: jax.Array) -> jax.Array:
        read = [rows for leaf, rows in self._read if leaf is ids]
        return read[0] if read else self._table[ids]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def __jax_array__(self) -> jax.Array:
        return self._table


def check_mesh(
    mesh: Mesh | None, copies: int | None, dim: int, groups: int, objective: str
) -> None:
    """Raise SettingError for a mesh that does not divide the tables or the groups of a step."""
    if mesh is None:
        return
    check_axes(mesh)
    if trains_copies(mesh):
        if copies is not None and copies % mesh.size:
            raise SettingError(
                f"copies={copies} cannot be shared out to {mesh.size} devices. Use a multiple of "
                f"{mesh.size}, or leave it out."
            )
        return
    if copies not in (None, 1):
        raise SettingError(
            f"copies={copies} cannot go with a mesh, whose devices train one copy of the tables. "
            "Leave it out."
        )
    if objective == "softmax" and count(mesh, VOCABULARY) > 1:
        raise SettingError(_DENSE)
    for name, number, what in (
        (DIM, dim, f"dim={dim}"),
        (DATA, groups, f"the {groups} blocks of a step (batch_words / block_words)"),
    ):
        if number % count(mesh, name):
            raise SettingError(
                f'The axis "{name}" of the mesh has {count(mesh, name)} devices, which do not '
                f"divide {what}. Use a multiple, or another mesh."
            )


def check_axes(mesh: object) -> None:
    """Raise SettingError for a mesh with other axes, or without a device of each process."""
    if not isinstance(mesh, Mesh) or not (trains_copies(mesh) or set(mesh.axis_names) <= set(AXES)):
        given = f"a mesh of {mesh.axis_names}" if isinstance(mesh, Mesh) else repr(mesh)[:60]
        raise SettingError(
            'A mesh needs the axis "copy", or some of the axes "data", "dim" and "vocabulary", and '
            f'this is {given}. Use jax.sharding.Mesh(devices, ("copy",)).'
        )
    if lacking := set(range(jax.process_count())) - {d.process_index for d in mesh.devices.flat}:
        raise SettingError(
            f"The mesh has no device of process {min(lacking)}, and each process of a run trains. "
            "Use jax.devices(), which has the devices of all processes."
        )
    if not trains_copies(mesh) and any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise SettingError(
            f"A mesh needs axes of the type Auto, and this has {mesh.axis_types}. Use "
            'jax.sharding.Mesh(devices, ("data", "dim")).'
        )


_DENSE = (
    "A softmax reads every row of the output table at each step, so its tables cannot be divided "
    'over the axis "vocabulary". Use negative sampling, hierarchical softmax, or the axis "dim".'
)


def check_rows(mesh: Mesh, gradients: Tree) -> None:
    """Raise SettingError for a gradient of whole tables where devices hold rows of them."""
    whole = not all(isinstance(gradient, Rows) for gradient in gradients)
    if whole and count(mesh, VOCABULARY) > 1:
        raise SettingError(_DENSE)


def check_memory(
    have: int, table_bytes: int, dim: int, copies: int, mesh: Mesh | None = None
) -> None:
    """Raise SettingError if a device of ``have`` bytes cannot hold its part of both tables.

    A device holds its copies, and what they were when they were last joined.

    Args:
        have: bytes of a device; 0 if they are not known.
        table_bytes: of both tables.
        dim: D.
        copies: of the tables, on all devices.
        mesh: of the run.

    >>> check_memory(80 * 10**9, 10**9, 100, 1)
    >>> check_memory(8 * 10**9, 10**10, 300, 1)
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: The tables take 10.0 GB of a device that has 8.0 GB. Use dim=240 ...
    """
    parts = count(mesh, DIM) * count(mesh, VOCABULARY)
    own = -(-copies // (mesh.size if trains_copies(mesh) else 1))
    needed = table_bytes // parts * (own + (copies > 1))
    if have and needed > have:
        most = dim * have // needed
        raise SettingError(
            f"The tables take {needed / 1e9:.1f} GB of a device that has {have / 1e9:.1f} GB. Use "
            f'{f"dim={most} or less, " if most else ""}dtype="bfloat16", a higher min_count, fewer '
            'copies, or a mesh whose axis "dim" or "vocabulary" divides the tables.'
        )
