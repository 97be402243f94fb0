"""The caller's functions, traced for what they give. Nothing is computed or compiled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.errors import SettingError, shown
from w2vjax.lazy import cached
from w2vjax.objectives.hidden import hidden_vectors
from w2vjax.types import (
    Batch,
    EmbedBackward,
    Inputs,
    Objective,
    Params,
    Reach,
    Rows,
    ScalarOrSchedule,
    Tables,
    Windows,
)

# What each function has to be.
_FORMS = {
    "schedule": "of the step that returns one rate",
    "reach": "of (key, shape, window) that returns whole numbers of this shape",
    "windows": "of (tokens, segments, reach) that returns a w2vjax.Batch with whole ids and "
    "weights of floats, whose shapes fit each other",
    "embed_backward": "of (d_hidden, inputs) that returns w2vjax.Rows: ids [N] and values [N, D]",
    "objective.draw": "of (key, tables, shape) that returns arrays",
    "objective.select": "of (draws, tables, words, weights) that returns arrays",
    "objective.loss": "of (hidden, output, targets) that returns losses [B, T] of floats",
    "objective.backward": "of (hidden, output, targets) that returns d_hidden [B, T, D] and "
    "d_output [V, D], or w2vjax.Rows: ids [N] and values [N, D]",
    "objective.bounded": "of (backward, hidden, output, targets) that returns what backward "
    "returns, bounds [B, T], and a bound for each row of d_output",
    "measure": "of three arrays of cosines that returns a score for each of their places",
}


def _traced(
    name: str, fits: Callable[[Any], bool], function: Callable[..., Any], *given: object
) -> Any:
    """The shapes that a function gives. SettingError if it cannot be traced, or they do not fit."""
    cause = f"{name} has to be a function {_FORMS[name]}, and this one"
    try:
        # JAX keeps a weak reference to what it traces, which a NamedTuple does not allow
        found = jax.eval_shape(lambda *shapes: function(*shapes), *given)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        fault = next(iter(str(error).splitlines()), "")
        raise SettingError(f"{cause} fails ({fault:.100}). Write it with jax.numpy.") from error
    if not fits(found):
        raise SettingError(f"{cause} returns {_outlined(found)}. Write it with jax.numpy.")
    return found


def _outlined(found: object) -> str:
    """What a function has returned, with the dtype and shape of each array."""
    arrays = [leaf for leaf in jax.tree.leaves(found) if isinstance(leaf, jax.ShapeDtypeStruct)]
    if not arrays:
        return shown(found)
    kind = "" if isinstance(found, jax.ShapeDtypeStruct) else f"{type(found).__name__} of "
    return kind + ", ".join(f"{leaf.dtype.name}{list(leaf.shape)}" for leaf in arrays)


def _has(found: Any, shape: tuple[int, ...], *kinds: Any) -> bool:
    """Whether something is one array of this shape and of one of these kinds of numbers."""
    is_array = isinstance(found, jax.ShapeDtypeStruct) and found.shape == shape
    return is_array and any(jnp.issubdtype(found.dtype, kind) for kind in kinds)


def _is_gradient(found: object, shape: tuple[int, ...], dense: bool = True) -> bool:
    """Whether something is Rows of a table of this shape, or, if ``dense``, an array of it."""
    if not isinstance(found, Rows):
        return dense and _has(found, shape, jnp.floating)
    many = getattr(found.ids, "shape", ())
    return (
        len(many) == 1
        and _has(found.ids, many, jnp.integer)
        and _has(found.values, (*many, shape[1]), jnp.floating)
    )


def _is_batch(found: object) -> bool:
    if not (isinstance(found, Batch) and isinstance(found.inputs, Inputs)):
        return False
    (ids, shares), words, weights = found
    if [getattr(leaf, "ndim", -1) for leaf in (ids, shares, words, weights)] != [3, 3, 2, 3]:
        return False
    (groups, many, each), (blocks, positives) = shares.shape, words.shape
    return (
        any(_has(ids, (groups, own, each), jnp.integer) for own in {1, many})
        and _has(shares, shares.shape, jnp.floating)
        and _has(words, words.shape, jnp.integer)
        and _has(weights, (blocks, weights.shape[1], positives), jnp.floating)
        and groups * many == blocks * weights.shape[1]
    )


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
    kinds = int | float | np.integer | np.float16 | np.float32
    number = isinstance(schedule, kinds) and not isinstance(schedule, bool)
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
    batch = _traced("windows", _is_batch, windows, tokens, tokens, far)
    inputs = batch.inputs
    d_hidden = jax.ShapeDtypeStruct((*batch.weights.shape[:2], dim), inputs.weights.dtype)
    _traced(
        "embed_backward",
        lambda found: _is_gradient(found, (0, dim), dense=False),
        *(embed_backward, d_hidden, inputs),
    )


@cached
def check_objective(
    objective: Objective,
    windows: Windows,
    shape: tuple[int, int],
    window: int,
    tables: Tables,
    params: Params,
) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` unless the functions of an objective fit.

    Args:
        objective: the caller's own.
        windows: (tokens, segments, reach) -> Batch.
        shape: (B, T) of a step.
        window: the largest reach.
        tables: the shapes of what its ``init`` has made.
        params: the shapes of the tables [V, D].
    """
    words = jax.ShapeDtypeStruct((shape[0], shape[1] + 2 * window), jnp.int32)
    reach = jax.ShapeDtypeStruct(shape, jnp.int32)
    batch = jax.eval_shape(lambda *given: windows(*given), words, words, reach)
    hidden, output = jax.eval_shape(hidden_vectors, params.input, batch), params.output
    key = jax.eval_shape(lambda: jax.random.key(0))

    def draw(key: jax.Array, tables: Tables) -> Any:
        return objective.draw(key, tables, batch.words.shape[:1])

    def select(key: jax.Array, tables: Tables, words: jax.Array, weights: jax.Array) -> Any:
        return objective.select(draw(key, tables), tables, words, weights)

    def is_loss(found: Any) -> bool:
        return _has(found, hidden.shape[:2], jnp.floating)

    def is_pair(found: Any) -> bool:
        if not (isinstance(found, tuple | list) and len(found) == 2):
            return False
        return _has(found[0], hidden.shape, jnp.floating) and _is_gradient(found[1], output.shape)

    def is_bounded(found: Any) -> bool:
        if not (isinstance(found, tuple | list) and len(found) == 4 and is_pair(found[:2])):
            return False
        rows = found[1].ids.shape if isinstance(found[1], Rows) else output.shape[:1]
        return is_loss(found[2]) and _has(found[3], rows, jnp.floating)

    def is_there(found: Any) -> bool:
        return found is not None

    def check(name: str, fits: Callable[[Any], bool], function: Callable[..., Any]) -> None:
        def given(hidden: jax.Array, output: jax.Array, *of_goal: Any) -> Any:
            return function(hidden, output, select(*of_goal))

        _traced(f"objective.{name}", fits, given, hidden, output, key, tables, *batch[1:])

    _traced("objective.draw", lambda found: True, draw, key, tables)
    _traced("objective.select", is_there, select, key, tables, *batch[1:])
    check("loss", is_loss, objective.loss)
    check("backward", is_pair, objective.backward)
    if objective.bounded is not None:
        check("bounded", is_bounded, partial(objective.bounded, objective.backward))
