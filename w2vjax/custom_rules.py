"""Functions without the ``custom_vjp`` and ``custom_jvp`` rules that somebody wrote for them.

The rules of JAX's own functions, such as ``jax.nn.relu``, stay. A rule is JAX's own if both the
function and the rule stand in a file of JAX.
"""

import os
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from types import FunctionType
from typing import Any

import jax
import jax.extend.core as core

from w2vjax.types import Tree

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


def inner_programs(step: core.JaxprEqn) -> dict[str, list[core.ClosedJaxpr]]:
    """The programs in the parameters of one step of a program, such as the body of a loop."""
    found = {}
    for name, value in step.params.items():
        each = value if isinstance(value, tuple | list) else [value]
        several = [core.ClosedJaxpr(x, ()) if isinstance(x, core.Jaxpr) else x for x in each]
        if several and all(isinstance(each, core.ClosedJaxpr) for each in several):
            found[name] = several
    return found


def own_rule(step: core.JaxprEqn) -> bool:
    """Whether one step of a program is a function with a rule that is not JAX's own."""
    if not step.primitive.name.startswith(("custom_vjp_call", "custom_jvp_call")):
        return False
    (inner,) = inner_programs(step)["call_jaxpr"]
    files = {str(inner.jaxpr.debug_info.func_filename)}
    for rule in step.params.values():
        if file := rule_file(rule):
            # defjvps wraps the rules that it is given
            files |= files_within(rule, set()) if file == _SHORTHANDS else {file}
    return not all(file.startswith(_JAX) for file in files)


def rule_file(rule: object) -> str | None:
    """The file of a rule, None for anything else among the parameters of a step."""
    return getattr(getattr(rule, "debug_info", None), "func_filename", None)


def files_within(rule: Any, seen: set[int]) -> set[str]:
    """The files of a function and of the functions that it holds on to."""
    if id(rule) in seen:
        return set()
    seen.add(id(rule))
    held: list[Any] = list(rule) if isinstance(rule, tuple | list) else []
    found = set()
    if isinstance(rule, FunctionType):
        found.add(rule.__code__.co_filename)
        held += [cell.cell_contents for cell in rule.__closure__ or ()]
    elif rule_file(rule):  # as JAX wraps it
        held.append(getattr(rule, "f", None))
    return found.union(*(files_within(each, seen) for each in held))


def has_rules(program: core.ClosedJaxpr) -> bool:
    """Whether a program, or one inside it, has a rule that is not JAX's own."""
    return any(
        own_rule(step) or any(map(has_rules, chain(*inner_programs(step).values())))
        for step in program.jaxpr.eqns
    )


def evaluate(program: core.ClosedJaxpr, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of a program, each function with an own rule replaced by its forward."""
    names = [*program.jaxpr.constvars, *program.jaxpr.invars]
    known: dict[Any, Any] = dict(zip(names, [*program.consts, *inputs], strict=True))

    def read(name: Any) -> Any:
        return name.val if isinstance(name, core.Literal) else known[name]

    for step in program.jaxpr.eqns:
        found = outputs(step, [read(name) for name in step.invars])
        known.update(zip(step.outvars, found, strict=True))
    return [read(name) for name in program.jaxpr.outvars]


def outputs(step: core.JaxprEqn, values: list[Any]) -> Sequence[Any]:
    """The outputs of one step of a program."""
    inner, params = inner_programs(step), dict(step.params)
    calls = own_rule(step) or step.primitive.name in {"jit", "pjit", "closed_call", "checkpoint"}
    if calls and (own_rule(step) or any(map(has_rules, chain(*inner.values())))):
        return evaluate(next(iter(inner.values()))[0], values)
    for name, programs in inner.items():  # of loops and branches
        if any(map(has_rules, programs)):
            rewritten = [rewrite(each) for each in programs]
            params[name] = tuple(rewritten) if isinstance(params[name], tuple) else rewritten[0]
    settings = step.primitive.get_bind_params(params)
    functions, settings = settings if isinstance(settings, tuple) else ((), settings)
    found = step.primitive.bind(*functions, *values, **settings)
    return found if step.primitive.multiple_results else [found]


def rewrite(program: core.ClosedJaxpr) -> core.ClosedJaxpr:
    """The program of a loop's body or a branch without own rules."""
    shapes = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in program.in_avals]
    return jax.make_jaxpr(lambda *inputs: evaluate(program, inputs))(*shapes)
