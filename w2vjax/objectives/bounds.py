"""How far a row may move in one step: the inverse of the curvature of its loss.

A step of size lr along a gradient is stable while lr times the curvature of the loss is of order
one. Take a loss of scores s = h . o with error e = d loss / d s. For a logistic loss and for a
softmax the curvature s'' = d2 loss / d s2 is at most |e|: sigma (1 - sigma) <= |sigma - label| for
labels 0 and 1, and p (1 - p) <= |p - label|. So the Hessian has these blocks, for row o and the
hidden vectors h_t that it is scored against::

    d2 loss / d o d o    = sum_t s''_t h_t h_t'      at most sum_t |e_t| |h_t|^2
    d2 loss / d h_t d o  = e_t I + s''_t o h_t'      the first term adds at most |e_t| for each t

The second block makes the first steps of training explode: both tables are tiny then, each grows
along the other, and |h|^2 alone shows no curvature. So one measure serves for a row of either
table, added up over all its examples in a step::

    bound(row) = sum_t |e_t| * stiffness(other vector)      stiffness(v) = |v|^2 / a + 1 / b

A row moves by the learning rate or by 1 / bound, whichever is less. With a = b = 1 the bound is
above the largest eigenvalue of the block of each row, even if a step holds one pair a thousand
times. Real steps mix many examples, whose curvatures point in different directions, so larger
constants are faster and still stable. But all examples of a row have something in common, such as
the mean of the hidden vectors. The more examples a step has, the more this one direction outweighs
the others. So where rows have very many examples, all bounds of the step count up to four times, as
with constants of a quarter of the size::

    c(row) = lr * bound(row)                     step(row) = lr / max(1, k * c(row))
    k = 1 + 3 m^2 / (m^2 + MANY^2)               m = sum_i c_i c(row of i) / sum_i c_i

where c_i is what example i adds to the c of its row. m is below 1 with the default settings, 5
with 8,192 words a step, and 70 with a window of 20 and 30 negatives. One k for all rows keeps their
steps in proportion: with a k for each row, rare words grew too fast beside frequent ones. k is 1 on
a GPU, and where a gradient is dense, as that of a full softmax is.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from w2vjax.types import Params, Tree

# Measured: benchmarks/results/cpu-2-cores/sweep-bounds.json
A, B = 8.0, 6.0
# Measured: benchmarks/results/cpu-2-cores/sweep-grid.json. At 96 and above, CBOW on 100 different
# words with 16 times its words a step diverged now and then; a smaller number slows 30 negatives.
MANY = 64.0
# Larger ways are cut to this, so that float32 holds their squares.
_LONGEST = 1e15


def stiffness(vectors: Array, a: float = A, b: float = B) -> Array:
    """|v|^2 / a + 1 / b: what an example of error 1 adds to the bound of the other vector.

    Args:
        vectors: [..., D].
        a, b: constants that were measured.

    Returns:
        [...].

    >>> print(stiffness(jnp.asarray([[3.0, 4.0], [0.0, 0.0]]), a=5.0, b=2.0))
    [5.5 0.5]
    """
    return jnp.square(vectors).sum(-1) / a + 1 / b


class StepTotals(NamedTuple):
    """The sum of c = step size * bound of each row, since a chunk began or copies were joined.

    A step reads the sum before and after it adds its own examples. The difference is the c of all
    examples of the row. For that the sum has to stay below about 1e6 in float32. A loop of your own
    with more than about 10,000 steps sets it back to 0 by :func:`cleared`.

    Attributes:
        rows: [V, 2] float32 of input and output rows, so that a GPU adds to both at once.
    """

    rows: Array


def zero_totals(params: Params) -> StepTotals:
    """The state before the first step."""
    return StepTotals(jnp.zeros((params.input.shape[0], 2), jnp.float32))


def totals_of(state: Tree) -> Array | None:
    """The sums of an optimizer, [V, 2], anywhere in its state. None if it keeps none."""
    leaves = jax.tree.leaves(state, is_leaf=lambda leaf: isinstance(leaf, StepTotals))
    return next((leaf.rows for leaf in leaves if isinstance(leaf, StepTotals)), None)


def cleared(state: Tree) -> Tree:
    """An optimizer's state with every :class:`StepTotals` in it at 0.

    >>> print(cleared({"totals": StepTotals(jnp.ones((2, 2))), "steps": 3})["totals"].rows.sum())
    0.0
    """

    def clear(leaf: Tree) -> Tree:
        return jax.tree.map(jnp.zeros_like, leaf) if isinstance(leaf, StepTotals) else leaf

    return jax.tree.map(clear, state, is_leaf=lambda leaf: isinstance(leaf, StepTotals))


def bounded_steps(
    values: Params, ids: Params, bounds: Params, sizes: Params, totals: StepTotals
) -> tuple[Params, StepTotals]:
    """(-step * values, totals). The step of a row follows from its bound over all its examples.

    Args:
        values: [N, D] of rows ids [N], or dense [V, D] for None.
        ids: of both tables.
        bounds: [N] or [V].
        sizes: step sizes, scalars or [N].
        totals: before the step.
    """
    rows = totals.rows
    own = [  # c of each example, or of each row of a dense gradient
        jnp.minimum(jnp.asarray(size, rows.dtype) * jnp.abs(bound).astype(rows.dtype), _LONGEST)
        for size, bound in zip(sizes, bounds, strict=True)
    ]
    found = [at for at in range(2) if ids[at] is not None]
    dense = [at for at in range(2) if at not in found]
    factors = {at: -jnp.asarray(sizes[at] / jnp.maximum(1, own[at])) for at in dense}
    for at in dense:
        rows = rows.at[:, at].add(own[at])
    if found:  # the rows of both tables together: a GPU launches half as many programs
        places = jnp.concatenate([2 * ids[at] + at for at in found])
        size = jnp.concatenate([jnp.broadcast_to(sizes[at], ids[at].shape) for at in found])
        mine = jnp.concatenate([own[at] for at in found])
        flat = rows.reshape(-1)
        # The sum below needs ``before``, so XLA reads it before it adds. Otherwise XLA would copy
        # the array.
        before = jax.lax.optimization_barrier(flat[places])
        flat = flat.at[places].add(mine + jnp.minimum(before, 0))  # min(before, 0) is 0
        rows = flat.reshape(rows.shape)
        whole = jnp.maximum(flat[places] - before, mine)
        # A full softmax needs no k, and learns less with it in few large steps. A GPU would launch
        # four more programs a step, for a k of 1.02 at its 8,192 words.
        one = jnp.float32(1)
        k = one
        if not dense:
            k = jax.lax.platform_dependent(mine, whole, cpu=_times, default=lambda *_: one)
        factor = -size / jnp.maximum(1, k * whole)
        ends = np.cumsum([ids[at].size for at in found])[:-1]
        # without the barrier, XLA computes all factors again for each table
        parted = jnp.split(jax.lax.optimization_barrier(factor), ends)
        factors |= dict(zip(found, parted, strict=True))
    stepped = [factors[at][:, None].astype(value.dtype) * value for at, value in enumerate(values)]
    return Params(*stepped), StepTotals(rows)


def _times(own: Array, whole: Array) -> Array:
    """k for the c of examples [N] and of their rows [N]."""
    m = (own * whole).sum() / jnp.maximum(own.sum(), 1e-20)
    return 4 - 3 / (1 + jnp.square(m / MANY))
