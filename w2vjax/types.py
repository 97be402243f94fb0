"""The legend of shapes, the types of the data, and the interface of an objective.

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
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
from jax.typing import ArrayLike


class Params(NamedTuple):
    """The model, a pytree. A gradient has the same structure, each leaf dense or :class:`Rows`."""

    input: Any  # [V, D] the vectors that are exported (the reference model's w1)
    output: Any  # [V, D] word or Huffman-node vectors (the reference model's w2, transposed)


class Rows(NamedTuple):
    """Row-sparse gradient of a [V, D] table: the sum of ``values[n]`` at row ``ids[n]``; repeated
    ids add up.
    """

    ids: jax.Array  # [N] int32
    values: jax.Array  # [N, D]


class Inputs(NamedTuple):
    """The words averaged (or summed) into each hidden vector."""

    ids: jax.Array  # [B, T, C] int32, or [B, 1, C] where a group's hidden vectors share their words
    weights: jax.Array  # [B, T, C] 1/count on real words (1 for the undivided sum), 0 on padding


class Batch(NamedTuple):
    """What a window shape makes of consecutive ids: inputs, and the positive words each hidden
    vector has to predict.

    The positives may be grouped anew, in the same order: where the inputs have B groups of T hidden
    vectors, words and weights may have B*T groups of 1.
    """

    inputs: Inputs
    words: jax.Array  # [B, P] int32
    # [B, T, P] how much hidden t of group b has to predict word p: mostly 1, or 0
    weights: jax.Array

    @property
    def regrouped(self) -> int:
        """How many groups of positives one group of inputs has: 1, or T where each mean is a group
        of its own.
        """
        return self.weights.shape[0] // max(self.inputs.weights.shape[0], 1)


class Targets(NamedTuple):
    """The rows of the output table that an objective scores, and what it wants of them."""

    ids: jax.Array  # [B, R] int32
    labels: jax.Array  # [B, T, R]
    weights: jax.Array  # [B, T, R]


# A pytree of arrays, of whatever structure its maker gives it.
Tree: TypeAlias = Any
# What an objective makes and only the same objective reads: pytrees whose structure is its own
# affair.
Tables: TypeAlias = Tree  # made of the word counts, once: a noise distribution, a tree
Draws: TypeAlias = Tree  # what is drawn at random for a step
Goal: TypeAlias = Tree  # the targets of one batch: a Targets, or an own NamedTuple

# Of a [V, D] table: Rows [N] where few rows are touched, an array [V, D] otherwise.
Gradient: TypeAlias = jax.Array | Rows
# d_hidden [B, T, D] and d_output, then the bounds of hidden [B, T] and of the rows of d_output, [N]
# | [V].
Bounded: TypeAlias = tuple[jax.Array, Gradient, jax.Array, jax.Array]

# The functions of an objective; see :class:`Objective` for what they mean.
# (counts [V])
Init: TypeAlias = Callable[[ArrayLike], Tables]
# (key, tables, shape)
Draw: TypeAlias = Callable[[jax.Array, Tables, tuple[int, ...]], Draws]
# (draws, tables, words [B, P], weights [B, T, P])
Select: TypeAlias = Callable[[Draws, Tables, jax.Array, jax.Array], Goal]
# (hidden [B, T, D], output [V, D], targets)
Loss: TypeAlias = Callable[[jax.Array, jax.Array, Goal], jax.Array]
Backward: TypeAlias = Callable[[jax.Array, jax.Array, Goal], tuple[jax.Array, Gradient]]
# (backward, hidden, output, targets)
Bound: TypeAlias = Callable[[Backward, jax.Array, jax.Array, Goal], Bounded]

# The functions beside the objective that make up a step of training.
# (tokens [B, T + 2*window], segments of that shape, reach [B, T])
Windows: TypeAlias = Callable[[jax.Array, jax.Array, jax.Array], Batch]
# (key, shape, window) -> int32 of this shape, from 1 to window
Reach: TypeAlias = Callable[[jax.Array, tuple[int, ...], int], jax.Array]
# (d_hidden [B, T, D], inputs)
EmbedBackward: TypeAlias = Callable[[jax.Array, Inputs], Rows]
# (step) -> learning rate
Schedule: TypeAlias = Callable[[ArrayLike], jax.Array]
ScalarOrSchedule: TypeAlias = float | Schedule
# (schedule) -> optax.GradientTransformation, whose class carries no types
OptimizerMaker: TypeAlias = Callable[[Any], Any]


@runtime_checkable
class Weighted(Protocol):
    """Targets whose rows can be bounded by their weights alone: see ``Objective.bounded``."""

    @property
    def ids(self) -> jax.Array:
        """The rows of the output table that are scored, [B, R]."""

    @property
    def weights(self) -> jax.Array:
        """How much each counts, [B, T, R]."""


def no_draws(key: jax.Array, tables: Tables, shape: tuple[int, ...]) -> tuple[()]:
    """The draws of an objective that draws nothing."""
    del key, tables, shape
    return ()


def not_shared(targets: Goal) -> int:
    """The number of groups that have a part of their targets in common, where each group has its
    own: 1.
    """
    del targets
    return 1


class Objective(NamedTuple):
    """A training objective as pure functions, in the manner of optax's ``GradientTransformation``.

    The first four fields are needed, the others have defaults. An objective that draws at random
    gives ``draw``.

    ``loss`` is left undecorated and ``backward`` stands directly under it: decorated with
    ``custom_vjp``, ``jax.grad`` would call the handwritten rule and a check would compare a
    function with itself.
    """

    # (counts [V]) -> tables, once, on the host. Tables are passed to the other functions, never
    # closed over.
    init: Init
    # (draws, tables, words [B, P], weights [B, T, P]) -> targets. Each leaf has an axis of B in
    # front, or of B / S where S neighbouring groups share what it holds: see ``sharing``.
    select: Select
    # (hidden [B, T, D], output [V, D], targets) -> [B, T], never reduced
    loss: Loss
    # (hidden, output, targets) -> d_hidden [B, T, D], d_output Rows | [V, D]
    backward: Backward
    # (key, tables, shape) -> draws. The last number of ``shape`` counts groups. Leaves begin with
    # the other numbers of ``shape``, so that (steps, B) draws for many steps at once.
    draw: Draw = no_draws
    # (backward, hidden, output, targets) -> Bounded: the gradient by this backward, and how
    # strongly each row bends the loss, at least 0: see objectives/bounds.py. None takes the bounds
    # from the weights of :class:`Weighted` targets, which is right for losses whose first and
    # second derivatives in a score are at most 1.
    bounded: Bound | None = None
    # (targets) -> S, how many neighbouring groups have a part of their targets in common
    sharing: Callable[[Goal], int] = not_shared
    # True: training draws for all steps of a call at once, as a generator costs more to start than
    # to run. The draws of all steps then lie in memory.
    ahead: bool = False
