"""A mesh with the one axis "copy", and what lies on it.

Each device trains chunks of its own on tables of its own. In the other layouts all devices take
each step together: :mod:`w2vjax.devices.tables`. Copy r is on device r % devices. A device trains
its copies one after the other, in as many turns. An array of a turn has one row a device.
"""

import math
import os
from collections.abc import Callable
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from w2vjax.errors import SettingError, shown
from w2vjax.lazy import cached
from w2vjax.types import Tree

AXIS = "copy"
SHARDED, REPLICATED = PartitionSpec(AXIS), PartitionSpec()


def trains_copies(mesh: Mesh | None) -> TypeGuard[Mesh]:
    """Whether each device of a mesh trains its own copies of the tables."""
    return mesh is not None and mesh.axis_names == (AXIS,)


def copies_on(mesh: Mesh | None, copies: int | None) -> int | None:
    """The copies of the tables that a caller asks for, by number or by a mesh. None: the usual."""
    if not isinstance(mesh, Mesh):  # what is no mesh is refused later
        return copies
    return (copies or mesh.size or None) if trains_copies(mesh) else 1


def spans_processes(mesh: Mesh | None) -> bool:
    """Whether several processes train on a mesh."""
    return mesh is not None and len({device.process_index for device in mesh.devices.flat}) > 1


def require_backend() -> None:
    """Start JAX, or say why it cannot: a wrong JAX_PLATFORMS, or a missing plugin.

    Raises:
        SettingError: JAX finds no device.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise _no_device(error) from error


def backend_error(error: Exception) -> SettingError | None:
    """What to say if JAX found no device and raised this error. None if it has another cause."""
    if str(error).startswith("Unable to initialize backend"):
        return _no_device(error)  # asked again, JAX takes the platforms that it could start
    try:
        require_backend()
    except SettingError as found:
        return found
    return None


def _no_device(error: Exception) -> SettingError:
    asked = jax.config.values["jax_platforms"]
    asked_for = f" for JAX_PLATFORMS={asked!r}" if asked else ""
    remedy = "Unset it, or set it to cpu" if asked else "Set JAX_PLATFORMS=cpu"
    # without its plugin, CUDA ends in an AssertionError that says nothing
    said = str(error).partition(" (set ")[0].rstrip(".") or "its plugin is not installed"
    return SettingError(f"JAX finds no device{asked_for}: {said}. {remedy}.")


def mesh_of(devices: int | None) -> Mesh | None:
    """A mesh of this many devices, equally many of each process. None if one device trains alone.

    Args:
        devices: of all processes together. None is all devices if the run has several processes,
            and one device otherwise.

    Raises:
        SettingError: there are fewer devices, or the processes cannot share them equally.

    >>> mesh_of(1) is None
    True
    """
    processes, there = jax.process_count(), jax.device_count()
    many: Any = (1 if processes == 1 else there) if devices is None else devices
    if isinstance(many, bool) or not isinstance(many, int | np.integer) or not 1 <= many <= there:
        remedy = f"Use a whole number from 1 to {there}."
        if jax.default_backend() == "cpu":
            remedy += " XLA_FLAGS=--xla_force_host_platform_device_count=N simulates N on a CPU."
        raise SettingError(f"devices={shown(many)} cannot work: JAX has {there}. {remedy}")
    if many == 1 == processes:
        return None
    share, rest = divmod(int(many), processes)
    everyones = [[d for d in jax.devices() if d.process_index == p] for p in range(processes)]
    fewest = min(map(len, everyones))
    if rest or share > fewest:
        raise SettingError(
            f"devices={many} cannot be shared out equally to {processes} processes, of which "
            f"one has {fewest}. Use a multiple of {processes}, {fewest * processes} at most."
        )
    return Mesh(np.array([device for own in everyones for device in own[:share]]), (AXIS,))


def own_device(mesh: Mesh | None) -> jax.Device:
    """A device of the mesh that this process can reach."""
    if mesh is None:
        chosen = getattr(jax.config, "jax_default_device", None)  # a device, or a platform's name
        return chosen if isinstance(chosen, jax.Device) else jax.local_devices(backend=chosen)[0]
    return next(d for d in mesh.devices.flat if d.process_index == jax.process_index())


def on_accelerator(mesh: Mesh | None) -> bool:
    """Whether a run is on a GPU or TPU."""
    devices = mesh.devices.flat if isinstance(mesh, Mesh) else ()
    return bool(next(iter(devices), own_device(None)).platform != "cpu")


def memory(device: jax.Device) -> int:
    """The bytes of a device's own memory. A CPU has none: it reads the memory map."""
    own = None if device.platform == "cpu" else device.memory_stats()
    return int((own or {}).get("bytes_limit", 0))


def memory_for_tables(device: jax.Device) -> int:
    """The bytes of the memory that a device keeps tables in: its own, or the host's. 0 if unknown.

    >>> memory_for_tables(jax.devices()[0]) >= 0
    True
    """
    own = memory(device)
    if own or device.platform != "cpu" or "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return own
    return max(0, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def bytes_of_a_device(array: jax.Array) -> int:
    """The bytes of an array that lie on one of its devices."""
    return math.prod(array.sharding.shard_shape(array.shape)) * array.dtype.itemsize


def placed_like(array: np.ndarray, other: jax.Array) -> jax.Array:
    """An array of the host, padded with zeros to the shape of another array, and placed like it."""
    missing = [more - less for more, less in zip(other.shape, array.shape, strict=True)]
    if any(missing):
        array = np.pad(array, [(0, number) for number in missing])
    if len(other.sharding.device_set) == 1:
        return jnp.array(array)
    return jax.make_array_from_callback(array.shape, other.sharding, lambda index: array[index])


def on_host(array: jax.Array) -> np.ndarray:
    """An array whose parts may lie in several processes, which then call this together."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return gathered(array)


def gathered(array: jax.Array, block: int = 1 << 26) -> np.ndarray:
    """A divided array on the host, in parts of about ``block`` bytes: no device need hold it all.

    It lies on a mesh, with an axis of the mesh for each axis of the array that is divided.
    """
    sharding = array.sharding
    if not array.size:
        return np.zeros(array.shape, array.dtype)
    assert isinstance(sharding, NamedSharding)
    assert isinstance(sharding.mesh, Mesh)
    rows = sharding.shard_shape(array.shape)[0]
    shares = array.shape[0] // rows
    size = max(1, min(rows, block * rows // max(1, array.nbytes)))
    part_of = rows_of_each_device(sharding.mesh, sharding.spec, size)
    whole = np.empty((shares, rows, *array.shape[1:]), array.dtype)
    for begin in range(0, rows, size):
        begin = min(begin, rows - size)
        whole[:, begin : begin + size] = part_of(array, np.int32(begin))
    return whole.reshape(array.shape)


@cached
def rows_of_each_device(mesh: Mesh, spec: PartitionSpec, size: int) -> Any:
    """(array, begin) -> rows [shares, size, ...], of each share from ``begin`` on."""

    def local(array: jax.Array, begin: jax.Array) -> jax.Array:
        part = jax.lax.dynamic_slice_in_dim(array, begin, size)
        for at, axis in enumerate(spec[1:], 1):
            if axis is not None:
                part = jax.lax.all_gather(part, axis, axis=at, tiled=True)
        first = spec[0] if spec else None
        return part[None] if first is None else jax.lax.all_gather(part, first)

    return jax.jit(
        jax.shard_map(
            local, mesh=mesh, in_specs=(spec, REPLICATED), out_specs=REPLICATED, check_vma=False
        )
    )


def on_own_device(array: jax.Array) -> jax.Array | np.ndarray:
    """An array on one device of this process, or on the host if devices share it.

    All processes call it together.
    """
    return array.addressable_data(0) if array.is_fully_replicated else on_host(array)


def replicated(mesh: Mesh, tree: Tree) -> Any:
    """The arrays of a tree, whole on every device of a mesh. No process sends them to another."""

    def put(leaf: jax.Array) -> jax.Array:
        host = np.asarray(leaf)
        sharding = NamedSharding(mesh, REPLICATED)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree)


def stacked(mesh: Mesh, piece: Callable[[int], Tree]) -> Any:
    """Arrays with one row a device: row d is ``piece(d)``. Each process makes its own rows."""
    own = jax.process_index()

    def put(d: int, device: jax.Device) -> Any:
        return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)[None], device), piece(d))

    rows = [put(d, at) for d, at in enumerate(mesh.devices.flat) if at.process_index == own]

    def join(*leaves: jax.Array) -> jax.Array:
        shape = (mesh.size, *leaves[0].shape[1:])
        return jax.make_array_from_single_device_arrays(
            shape, NamedSharding(mesh, SHARDED), list(leaves)
        )

    return jax.tree.map(join, *rows)


def on_each_device(mesh: Mesh, program: Callable[..., Any]) -> Callable[..., Any]:
    """``program`` for one turn: every device runs it on its own rows, without any exchange.

    Args:
        mesh: with the axis "copy".
        program: (schedule, state, tables, keep, ids, offset, count, seed) -> (state, progress).

    Returns:
        The same function for a state, offset, count and seed with one row a device. Schedule,
        tables and keep are whole on every device, and so are ids if they are of the whole corpus.
    """

    def run(schedule: Any, state: Any, tables: Any, keep: Any, ids: Any, *piece: Any) -> Any:
        own = ids.ndim == 2

        def local(schedule: Any, state: Any, tables: Any, keep: Any, ids: Any, *piece: Any) -> Any:
            state, piece = jax.tree.map(lambda leaf: leaf[0], (state, piece))
            done = program(schedule, state, tables, keep, ids[0] if own else ids, *piece)
            return jax.tree.map(lambda leaf: leaf[None], done)

        specs = (
            REPLICATED,
            SHARDED,
            REPLICATED,
            REPLICATED,
            SHARDED if own else REPLICATED,
            *[SHARDED] * len(piece),
        )
        spread = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=SHARDED, check_vma=False)
        return spread(schedule, state, tables, keep, ids, *piece)

    return run
