"""The legend and the types that every other file speaks in.

Legend, used in every shape comment of the package:

    V  vocabulary size                         D  dim, the length of a vector
    B  groups in a batch                       T  hidden vectors per group (1 for pairs, CBOW; a block's words)
    C  input words averaged into one hidden    P  positive words per group
    K  negatives per group                     L  longest Huffman code
    R  rows of the output table scored per group

The data flow, forward on top, backward below::

    input rows --embed--> hidden --score--> scores --loss--> [B, T]
    input rows <--Rows--- d_hidden <------- error  <-------- weights
                          d_rows  ---Rows--> output rows

Weights carry masks and means alike: padding is a valid id with weight 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Params(NamedTuple):
    """The model, a pytree. A gradient has the same structure, each leaf dense or :class:`Rows`."""

    input: Any  # [V, D] the vectors that are exported (the reference model's w1)
    output: Any  # [V, D] word or Huffman-node vectors (the reference model's w2, transposed)


class Rows(NamedTuple):
    """Row-sparse gradient of a [V, D] table: the sum of ``values[n]`` at row ``ids[n]``; repeated ids add up."""

    ids: jax.Array  # [N] int32
    values: jax.Array  # [N, D]


class Inputs(NamedTuple):
    """The words averaged (or summed) into each hidden vector."""

    ids: jax.Array  # [B, T, C] int32, or [B, 1, C] where a group's hidden vectors share their words
    weights: jax.Array  # [B, T, C] 1/count on real words (1 for the undivided sum), 0 on padding


class Batch(NamedTuple):
    """What a window shape makes of consecutive ids: inputs, and the positive words each hidden vector has to predict.

    The hidden vectors may be grouped anew for their positives, in the same order: where inputs have B groups of T,
    words and weights may have B*T groups of 1.
    """

    inputs: Inputs
    words: jax.Array  # [B, P] int32
    weights: jax.Array  # [B, T, P] how much hidden t of group b has to predict word p: mostly 1, or 0


class Targets(NamedTuple):
    """The rows of the output table that an objective scores, and what it wants of them."""

    ids: jax.Array  # [B, R] int32
    labels: jax.Array  # [B, T, R]
    weights: jax.Array  # [B, T, R]


# (tokens [B, T + 2*window], segments [B, T + 2*window], reach [B, T]) -> the batch of these words
Windows = Callable[[jax.Array, jax.Array, jax.Array], Batch]
# (key, shape, window) -> how far each center looks, int32 of that shape, at most window
Reach = Callable[[jax.Array, tuple[int, ...], int], jax.Array]
# (step []) -> learning rate []
Schedule = Callable[[Any], Any]
# (schedule) -> optax.GradientTransformation, whose class carries no types
OptimizerMaker = Callable[[Any], Any]
# (d_hidden [B, T, D], inputs) -> the gradient of the input table
EmbedBackward = Callable[[jax.Array, Inputs], Rows]

# d_hidden [B, T, D] and Rows [N] | [V, D], then the bounds of hidden [B, T] and of the rows [N] | [V]
Bounded = tuple[jax.Array, Any, jax.Array, jax.Array]


class Objective(NamedTuple):
    """A training objective as pure functions; optax's ``GradientTransformation``, transposed to losses.

    ``loss`` is left undecorated and ``backward`` stands directly under it: decorated with ``custom_vjp``, ``jax.grad``
    would call the handwritten rule and a check would compare a function with itself.
    """

    # (counts [V]) -> tables, once, on the host; tables are passed, never closed over
    init: Callable[..., Any]
    # (key, tables, words [B, P], weights [B, T, P]) -> targets, a pytree
    select: Callable[..., Any]
    # (hidden [B, T, D], output [V, D], targets) -> [B, T], never reduced
    loss: Callable[..., jax.Array]
    # (hidden, output, targets) -> d_hidden [B, T, D], Rows | [V, D]
    backward: Callable[..., tuple[jax.Array, Any]]
    # optional: (key, tables, steps, groups) -> draws [steps, ...], one of which select takes in place of the key. What
    # does not depend on the words is then drawn for many steps at once: a generator costs more to start than to run
    draw: Callable[..., Any] | None = None
    # optional: (backward, hidden, output, targets) -> Bounded: the gradient by this backward, and how strongly each row
    # bends the loss, at least 0, see objectives/bounds.py. None: from targets.ids and targets.weights, for errors of at
    # most 1
    bounded: Callable[..., Bounded] | None = None
