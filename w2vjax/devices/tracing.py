"""The caller's functions, traced for what they give. Nothing is computed or compiled."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from w2vjax.errors import SettingError, shown
from w2vjax.types import Batch, EmbedBackward, Inputs, Reach, Rows, ScalarOrSchedule, Windows

# What each function has to be.
_FORMS = {
    "schedule": "of the step that returns one rate",
    "reach": "of (key, shape, window) that returns whole numbers of this shape",
    "windows": "of (tokens, segments, reach) that returns a w2vjax.Batch of arrays",
    "embed_backward": "of (d_hidden, inputs) that returns w2vjax.Rows of arrays",
    "measure": "of three arrays of cosines that returns a score for each of their places",
}


def _traced(
    name: str, fits: Callable[[Any], bool], function: Callable[..., Any], *given: object
) -> Any:
    """The shapes that a function gives. SettingError if it cannot be traced, or they do not fit."""
    try:
        # JAX keeps a weak reference to what it traces, which a NamedTuple does not allow
        found = jax.eval_shape(lambda *shapes: function(*shapes), *given)
        fault = "" if fits(found) else f"returns {shown(found)}"
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        fault = f"fails ({next(iter(str(error).splitlines()), ''):.100})"
    if fault:
        cause = f"{name} has to be a function {_FORMS[name]}, and this one {fault}"
        raise SettingError(f"{cause}. Write it with jax.numpy.")
    return found


def _has(found: Any, shape: tuple[int, ...], *kinds: Any) -> bool:
    """Whether something is one array of this shape and of one of these kinds of numbers."""
    is_array = isinstance(found, jax.ShapeDtypeStruct) and found.shape == shape
    return is_array and any(jnp.issubdtype(found.dtype, kind) for kind in kinds)


def _axes(found: object) -> list[int]:
    return [leaf.ndim for leaf in jax.tree.leaves(found)]


def check_schedule(schedule: ScalarOrSchedule | None, learning_rate: float | None) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` unless a schedule gives one rate for a step.

    A schedule says every rate, so a learning rate beside it is refused too. None is the usual one.
    """
    if schedule is None:
        return
    if learning_rate is not None:
        cause = f"learning_rate={learning_rate} cannot go with a schedule, which says every rate"
        raise SettingError(f"{cause}. Leave one of them out.")
    if callable(schedule):
        step = jax.ShapeDtypeStruct((), jnp.int32)
        _traced("schedule", lambda rate: _has(rate, (), jnp.floating, jnp.integer), schedule, step)
        return
    number = isinstance(schedule, int | float) and not isinstance(schedule, bool)
    if not (number and 0 < schedule <= 1e6):
        remedy = "Pass a rate above 0, or a function of the step."
        raise SettingError(f"schedule={shown(schedule)} cannot work. {remedy}")


def check_measure(measure: Callable[..., Any], shape: tuple[int, int]) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` unless a measure scores cosines of this shape."""
    cosines = [jax.ShapeDtypeStruct(shape, jnp.float32)] * 3
    _traced("measure", lambda s: _has(s, shape, jnp.floating, jnp.integer), measure, *cosines)


def check_functions(
    windows: Windows,
    reach: Reach,
    embed_backward: EmbedBackward,
    shape: tuple[int, int],
    window: int,
    dim: int,
) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` unless windows, reach and embed_backward fit.

    Args:
        windows: (tokens, segments, reach) -> Batch.
        reach: (key, shape, window) -> int32 of this shape.
        embed_backward: (d_hidden, inputs) -> Rows.
        shape: (B, T) of a step.
        window: the largest reach.
        dim: D.
    """
    if all(
        str(getattr(each, "__module__", "")).startswith("w2vjax.")
        for each in (windows, reach, embed_backward)
    ):
        return  # ours do, and tracing takes time
    key = jax.eval_shape(lambda: jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((shape[0], shape[1] + 2 * window), jnp.int32)

    def reaches(key: jax.Array) -> Any:
        return reach(key, shape, window)

    far = _traced("reach", lambda found: _has(found, shape, jnp.integer), reaches, key)

    def is_batch(found: object) -> bool:
        whole = isinstance(found, Batch) and isinstance(found.inputs, Inputs)
        return whole and _axes(found) == [3, 3, 2, 3]

    batch = _traced("windows", is_batch, windows, tokens, tokens, far)
    inputs = batch.inputs
    d_hidden = jax.ShapeDtypeStruct((*batch.weights.shape[:2], dim), inputs.weights.dtype)

    def is_rows(found: object) -> bool:
        return isinstance(found, Rows) and _axes(found) == [1, 2]

    _traced("embed_backward", is_rows, embed_backward, d_hidden, inputs)
