"""The programs of a check: the reference gradient, the backward, and the influence of the examples.

The reference is JAX's gradient of the forward alone. A ``custom_vjp`` or ``custom_jvp`` rule in the
loss is taken out first: with the rule, the check would compare the rule with itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax

from w2vjax.custom_rules import without_rules
from w2vjax.lazy import cached
from w2vjax.trees import in_place, of_floats
from w2vjax.types import Tree

# (params, *batch) -> a scalar; (params, *batch) -> loss, gradients like params
AnyLoss: TypeAlias = Callable[..., Any]
AnyBackward: TypeAlias = Callable[..., tuple[jax.Array, Tree]]

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
    """The programs of a loss and a backward.

    The same functions get the same programs again, unless something that they refer to has changed.
    """
    (reference, influence), (single, under_vmap) = compiled_loss(loss), compiled_backward(backward)
    return Compiled(reference, single, influence, under_vmap)


@cached
def compiled_backward(backward: AnyBackward) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``backward`` and ``under_vmap`` of :class:`Compiled`."""

    def both(params: Tree, *batch: Tree) -> Any:
        return jax.vmap(lambda each: backward(each, *batch))(params)

    def single(params: Tree, *batch: Tree) -> Any:
        return backward(params, *batch)

    return jax.jit(single), jax.jit(both, compiler_options=QUICK)


@cached
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
