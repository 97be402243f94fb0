"""Functions without the ``custom_vjp`` and ``custom_jvp`` rules that somebody wrote for them.

The rules of JAX's own functions, such as ``jax.nn.relu``, stay. A rule is JAX's own if both the
function and the rule stand in a file of JAX.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.extend.core as core
import jax.numpy as jnp
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.functions import content, parts
from w2vjax.lazy import cached
from w2vjax.trees import in_place, is_float, of_floats
from w2vjax.types import Tree

# A traced program with its constants. Its class has another name from JAX 0.12 on.
Program: TypeAlias = Any
_with_consts: Any = getattr(core, "ClosedJaxpr", core.Jaxpr)
_JAX = str(Path(jax.__file__).parent) + os.sep  # the separator, as jaxopt is not JAX
_SHORTHANDS = str(Path(_JAX, "_src", "custom_derivatives.py"))


def without_rules(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without the ``custom_vjp`` and ``custom_jvp`` rules that are not JAX's own.

    >>> @jax.custom_vjp
    ... def sine(x):
    ...     return jax.numpy.sin(x)
    >>> sine.defvjp(lambda x: (jax.numpy.sin(x), x), lambda x, d: (17 * d,))
    >>> jax.grad(sine)(0.0).item(), jax.grad(without_rules(sine))(0.0).item()
    (17.0, 1.0)
    """

    def plain(*inputs: Tree) -> Any:
        program, shape = jax.make_jaxpr(function, return_shape=True)(*inputs)
        if not has_rules(program):
            return function(*inputs)
        structure: Any = jax.tree.structure(shape)
        return structure.unflatten(evaluate(program, jax.tree.leaves(inputs)))

    return plain


class Ruled(NamedTuple):
    """A function with rules of its own, as a check takes it: functions of a dict of all arguments.

    The loss is the one number that the function returns. Of more numbers it is the sum, each times
    a fixed factor, its cotangent.

    Attributes:
        loss: the forward.
        backward: (loss, gradient) by JAX, with the rules.
        bend: how far the gradient is from linear in the cotangents. A rule that forgets its
            cotangent is right for a cotangent of 1.
        size: the magnitudes that the loss adds up.
    """

    loss: Callable[[Tree], Any]
    backward: Callable[[Tree], tuple[jax.Array, Tree]]
    bend: Callable[[Tree], jax.Array]
    size: Callable[[Tree], jax.Array]


@cached
def ruled(function: Callable[..., Any]) -> Ruled:
    """The loss and the gradient of a function, which may return any arrays."""

    def outputs(arguments: Tree) -> list[Any]:
        ordered = [arguments[f"argument {i}"] for i in range(len(arguments))]
        found = jax.tree.leaves(function(*ordered))
        if any(map(jnp.iscomplexobj, found)):
            cause = "The function returns complex numbers"
            raise SettingError(f"{cause}. Return their real and imaginary parts.")
        if not any(map(is_float, found)):
            raise SettingError("The function returns no real numbers. Return floats.")
        return [out for out in found if is_float(out)]

    def cotangents(values: list[Any]) -> list[Any]:
        if len(values) == 1 and values[0].size == 1:
            return [jnp.ones_like(values[0])]
        ends = np.cumsum([value.size for value in values])
        shuffled = np.random.default_rng(0).permutation
        blocks = [shuffled(256) for _ in range(ends[-1] // 256)]
        # the first ones are far apart, so that bfloat16 sees which is which: 157 / 256 is golden
        draws = np.concatenate([157 * np.arange(256) % 256, *blocks])[: ends[-1]]
        # from 1/2 to 1, of both signs, and with 8 bits, so they are the same in every dtype
        whole = np.split(np.where(draws < 128, -128 - draws, draws), ends[:-1])
        pairs = zip(whole, values, strict=True)
        return [jnp.asarray(w.reshape(v.shape), v.dtype) / 256 for w, v in pairs]

    def terms(arguments: Tree) -> list[Any]:
        values = outputs(arguments)
        return [v * w for v, w in zip(values, cotangents(values), strict=True)]

    def loss(arguments: Tree) -> Any:
        return sum(term.sum() for term in terms(arguments))

    def backward(arguments: Tree) -> tuple[jax.Array, Tree]:
        floats, value = of_floats(loss, arguments)
        total, gradient = jax.value_and_grad(value)(floats)
        return total, in_place(gradient, arguments)

    @jax.jit
    def size(arguments: Tree) -> jax.Array:
        wide = [jnp.abs(term).astype(float).sum() for term in terms(arguments)]
        return jnp.stack(wide).sum()

    @jax.jit
    def bend(arguments: Tree) -> jax.Array:
        floats, of_leaves = of_floats(outputs, arguments)
        values, pull = jax.vjp(of_leaves, floats)
        (gradient,) = pull(cotangents(values))
        apart = []
        for times in (-1.0, -64.0, 1 / 16):  # powers of two change no digit
            (other,) = pull([w * jnp.asarray(times, w.dtype) for w in cotangents(values)])
            for g, far in zip(gradient, other, strict=True):
                wide = g.dtype if g.dtype == jnp.float64 else jnp.float32
                off = jnp.abs(far.astype(wide) / times - g.astype(wide)).max(initial=0)
                off /= jnp.abs(g.astype(wide)).max(initial=1e-30)
                # a larger cotangent may overflow in float16 and float32
                excused = times == -64 and g.dtype != jnp.float64
                off = jnp.where(jnp.isfinite(off), off, 0 if excused else jnp.inf)
                # another part of the check says that a gradient is not finite
                apart.append(jnp.where(jnp.isfinite(g).all(), off, 0))
        return jnp.max(jnp.stack(apart))

    return Ruled(loss, backward, bend, size)


def inner_programs(step: core.JaxprEqn) -> dict[str, list[Program]]:
    """The programs in the parameters of one step of a program, such as the body of a loop."""
    found = {}
    for name, value in step.params.items():
        each = value if isinstance(value, tuple | list) else [value]
        if each and all(hasattr(one, "eqns") for one in each):
            found[name] = [one if hasattr(one, "consts") else _with_consts(one, ()) for one in each]
    return found


def has_own_rule(step: core.JaxprEqn) -> bool:
    """Whether one step of a program is a function with a rule that is not JAX's own."""
    if not step.primitive.name.startswith(("custom_vjp_call", "custom_jvp_call")):
        return False
    (inner,) = inner_programs(step)["call_jaxpr"]
    files = {str(inner.jaxpr.debug_info.func_filename)}
    for rule in step.params.values():
        file = rule_file(rule)
        if file is not None:
            # defjvps wraps the rules that it is given; objects that are called have no file
            known = os.path.isabs(file) and file != _SHORTHANDS
            files |= {file} if known else files_within(rule, set())
    return not all(file.startswith(_JAX) for file in files)


def rule_file(rule: object) -> str | None:
    """The file of a rule, "" if JAX does not know it. None for other parameters of a step."""
    info = getattr(rule, "debug_info", None)
    return None if info is None else str(info.func_filename or "")


def files_within(rule: object, seen: set[int]) -> set[str]:
    """The files of a function, of the functions that it holds on to, and of objects' classes."""
    if id(rule) in seen:
        return set()
    seen.add(id(rule))
    held: list[Any] = []
    found = set()
    if isinstance(rule, FunctionType):
        found.add(rule.__code__.co_filename)
        held += [content(cell) for cell in rule.__closure__ or ()]
    elif isinstance(rule, tuple | list | partial | MethodType):
        held += parts(rule)
    elif rule_file(rule) is not None:  # as JAX wraps it
        held.append(getattr(rule, "f", None))
    elif callable(rule) and not isinstance(rule, type):
        held += [getattr(rule, "__wrapped__", None), vars(type(rule)).get("__call__")]
    return found.union(*(files_within(each, seen) for each in held))


def has_rules(program: Program) -> bool:
    """Whether a program, or one inside it, has a rule that is not JAX's own."""
    return any(
        has_own_rule(step) or any(map(has_rules, chain(*inner_programs(step).values())))
        for step in program.jaxpr.eqns
    )


def evaluate(program: Program, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of a program, each function with a handwritten rule replaced by its forward."""
    names = [*program.jaxpr.constvars, *program.jaxpr.invars]
    known: dict[Any, Any] = dict(zip(names, [*program.consts, *inputs], strict=True))

    def read(name: object) -> Any:
        return name.val if isinstance(name, core.Literal) else known[name]

    for step in program.jaxpr.eqns:
        found = outputs(step, [read(name) for name in step.invars])
        known.update(zip(step.outvars, found, strict=True))
    return [read(name) for name in program.jaxpr.outvars]


def outputs(step: core.JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """The outputs of one step of a program."""
    inner, params = inner_programs(step), dict(step.params)
    own, calls = has_own_rule(step), {"jit", "pjit", "closed_call", "checkpoint", "remat2"}
    within = step.primitive.name in calls and any(map(has_rules, chain(*inner.values())))
    if own or within:
        return evaluate(next(iter(inner.values()))[0], values)
    for name, programs in inner.items():  # of loops and branches
        if any(map(has_rules, programs)):
            closed = isinstance(params[name], tuple | list) or hasattr(params[name], "consts")
            if step.primitive.name == "shard_map" or not closed:
                cause = f"A custom rule inside {step.primitive.name} cannot be left out"
                raise SettingError(f"{cause} of the reference. Check the function there by itself.")
            rewritten = [rewrite(each) for each in programs]
            params[name] = tuple(rewritten) if isinstance(params[name], tuple) else rewritten[0]
    settings = step.primitive.get_bind_params(params)
    functions, settings = settings if isinstance(settings, tuple) else ((), settings)
    found = step.primitive.bind(*functions, *values, **settings)
    return found if step.primitive.multiple_results else [found]


def rewrite(program: Program) -> Program:
    """The program of a loop's body or a branch without own rules."""
    shapes = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in program.in_avals]
    return jax.make_jaxpr(lambda *inputs: evaluate(program, inputs))(*shapes)
