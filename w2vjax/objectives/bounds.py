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
constants are faster and still stable.
"""

import jax.numpy as jnp
from jax import Array

# Measured: benchmarks/results/cpu-2-cores/sweep-bounds.json
A, B = 8.0, 6.0


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
