"""The programs of a check: the reference gradient, the backward, and the influence of the examples.

The reference is JAX's gradient of the forward alone. A ``custom_vjp`` or ``custom_jvp`` rule in the
loss is taken out first: with the rule, the check would compare the rule with itself. The rules of
JAX's own functions, such as ``jax.nn.relu``, stay.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.extend.core as core

from w2vjax.trees import in_place, of_floats
from w2vjax.types import Tree

# (params, *batch) -> a scalar; (params, *batch) -> loss, gradients like params
AnyLoss: TypeAlias = Callable[..., Any]
AnyBackward: TypeAlias = Callable[..., tuple[jax.Array, Tree]]

_JAX = str(Path(jax.__file__).parent)
# A reference runs a few times only. Less optimisation halves the time of the whole battery.
QUICK = {"xla_backend_optimization_level": 0}


class Compiled(NamedTuple):
    """The compiled forms of one loss and one backward. Batches of one shape share them.

    Gradients have None in the place of a leaf that is not a float. The derivative by the batch is 0
    for an example that has no part in the gradient.
    """

    reference: Callable[..., Any]  # (params, direction, *batch) -> loss, gradient, slope along it
    backward: AnyBackward  # (params, *batch) -> loss, gradients
    influence: Callable[..., Any]  # (params, direction, *batch) -> derivative of the slope by batch
    under_vmap: AnyBackward  # (two params, stacked, *batch) -> two losses and gradients, stacked


def compiled(loss: AnyLoss, backward: AnyBackward) -> Compiled:
    """The programs of a loss and a backward. The same functions get the same programs again."""
    (reference, influence), (single, under_vmap) = compiled_loss(loss), compiled_backward(backward)
    return Compiled(reference, single, influence, under_vmap)


@lru_cache(maxsize=256)
def compiled_backward(backward: AnyBackward) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``backward`` and ``under_vmap`` of :class:`Compiled`."""

    def both(params: Tree, *batch: Tree) -> Any:
        return jax.vmap(lambda each: backward(each, *batch))(params)

    return jax.jit(backward), jax.jit(both, compiler_options=QUICK)


@lru_cache(maxsize=256)
def compiled_loss(loss: AnyLoss) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``reference`` and ``influence`` of :class:`Compiled`."""
    plain = without_rules(loss)

    def slope_of(params: Tree, direction: Tree, batch: Tree) -> Any:
        floats, value = of_floats(lambda p: plain(p, *batch), params)
        return jax.jvp(value, (floats,), (of_floats(None, direction)[0],))[1]

    def reference(params: Tree, direction: Tree, *batch: Tree) -> Any:
        floats, value = of_floats(lambda p: plain(p, *batch), params)
        try:
            total, gradient = jax.value_and_grad(value)(floats)
        except ValueError as error:
            if "Reverse-mode differentiation does not work" not in str(error):
                raise
            # a while loop has a derivative in forward mode only
            total, gradient = value(floats), jax.jacfwd(value)(floats)
        return total, in_place(gradient, params), slope_of(params, direction, batch)

    def influence(params: Tree, direction: Tree, *batch: Tree) -> Any:
        floats, value = of_floats(lambda b: slope_of(params, direction, b), batch)
        return in_place(jax.grad(value)(floats), batch)

    return jax.jit(reference, compiler_options=QUICK), jax.jit(influence, compiler_options=QUICK)


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
    return not str(inner.jaxpr.debug_info.func_filename).startswith(_JAX)


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
