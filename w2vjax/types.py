"""The types of the data, and the interface of an objective.

``help(w2vjax)`` explains the letters of shapes. The data flow, forward on top::

    input rows --embed--> hidden --score--> scores --loss--> [B, T]
    input rows <--Rows--- d_hidden <------- error  <-------- weights
                          d_rows  ---Rows--> output rows

Weights are mask and mean at once: padding is a valid id with weight 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy.typing as npt
from jax.typing import ArrayLike


class Params(NamedTuple):
    """The model, a pytree. A gradient has this structure, each leaf an array or :class:`Rows`.

    Attributes:
        input: [V, D] the vectors that are exported: w1 of the reference model.
        output: [V, D] the vectors of words or Huffman nodes: w2 of the reference model, transposed.
    """

    input: Any
    output: Any


class Rows(NamedTuple):
    """The gradient of a few rows of a table [V, D]; values of one id add up.

    Attributes:
        ids: [N] int32, the rows.
        values: [N, D] what is added to each.
    """

    ids: jax.Array
    values: jax.Array


class Inputs(NamedTuple):
    """The words that are averaged or summed into each hidden vector.

    Attributes:
        ids: [B, T, C] int32; [B, 1, C] where the hidden vectors of a group share their words.
        weights: [B, T, C] 0 on padding; on a real word 1 / count for a mean and 1 for a sum.
    """

    ids: jax.Array
    weights: jax.Array


class Batch(NamedTuple):
    """What a window shape makes of consecutive ids: inputs, and the words that each predicts.

    The positives may be grouped anew, in the same order: where the inputs have B groups of T hidden
    vectors, words and weights may have B*T groups of 1.

    Attributes:
        inputs: the words of each hidden vector, :class:`Inputs`.
        words: [B, P] int32, the positive words of each group.
        weights: [B, T, P] how much hidden vector t of group b has to predict word p: mostly 1 or 0.
    """

    inputs: Inputs
    words: jax.Array
    weights: jax.Array

    @property
    def regrouped(self) -> int:
        """Groups of positives for each group of inputs: 1, or T where each mean is a group."""
        return self.weights.shape[0] // max(self.inputs.weights.shape[0], 1)


class Targets(NamedTuple):
    """The rows of the output table that an objective scores, and what it wants of them.

    Attributes:
        ids: [B, R] int32, the rows.
        labels: [B, T, R] 1 for a positive, 0 for a negative.
        weights: [B, T, R] how much each score counts.
    """

    ids: jax.Array
    labels: jax.Array
    weights: jax.Array


Tree: TypeAlias = Any  # a pytree of arrays
# Pytrees that an objective makes and only the same objective reads:
Tables: TypeAlias = Tree  # made of the word counts, once: a noise distribution, a tree
Draws: TypeAlias = Tree  # what is drawn at random for a step
Goal: TypeAlias = Tree  # the targets of one batch: a Targets, or an own NamedTuple

# The gradient of a table [V, D]: Rows [N] if few rows are touched, otherwise an array [V, D].
Gradient: TypeAlias = jax.Array | Rows
# d_hidden [B, T, D], d_output, bounds of hidden [B, T], bounds of the rows of d_output [N] or [V]
Bounded: TypeAlias = tuple[jax.Array, Gradient, jax.Array, jax.Array]

# The functions of an objective; see :class:`Objective` for what they mean.
# (counts [V])
Init: TypeAlias = Callable[[npt.ArrayLike], Tables]
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


def no_draws(key: jax.Array, tables: Tables, shape: tuple[int, ...]) -> tuple[()]:
    """The draws of an objective that draws nothing."""
    del key, tables, shape
    return ()


def not_shared(targets: Goal) -> int:
    """1: each group has targets of its own."""
    del targets
    return 1


class Objective(NamedTuple):
    """A training objective as pure functions, like optax's ``GradientTransformation``.

    The first four fields are needed, the others have defaults. An objective that draws at random
    needs ``draw``. Do not decorate ``loss`` with ``custom_vjp``: ``jax.grad`` would then call the
    handwritten rule. :func:`w2vjax.objectives.compose` makes a loss with such a rule.

    Attributes:
        init: (counts [V]) -> tables. Runs once, on the host. Tables are passed to the other
            functions, never closed over.
        select: (draws, tables, words [B, P], weights [B, T, P]) -> targets. Each leaf begins with
            an axis of B, or of B / S where S neighbouring groups share what it holds.
        loss: (hidden [B, T, D], output [V, D], targets) -> losses [B, T], not summed.
        backward: (hidden, output, targets) -> d_hidden [B, T, D], d_output Rows or [V, D].
        draw: (key, tables, shape) -> draws. The last number of ``shape`` counts groups. Leaves
            begin with the other numbers, so that (steps, B) draws for many steps at once.
        bounded: (backward, hidden, output, targets) -> :data:`Bounded`: the gradient by this
            backward, and how strongly each row bends the loss, at least 0
            (:mod:`w2vjax.objectives.bounds`). None takes the bounds from the weights of the
            targets, which then need fields ``ids`` [B, R], the rows that are scored, and
            ``weights`` [B, T, R], how much each score counts. That is right for losses whose first
            and second derivatives in a score are at most 1.
        sharing: (targets) -> S, the number of neighbouring groups that share targets.
        ahead: True: training draws for all steps of a call at once, because a generator costs more
            to start than to run. The draws of all steps then lie in memory.
    """

    init: Init
    select: Select
    loss: Loss
    backward: Backward
    draw: Draw = no_draws
    bounded: Bound | None = None
    sharing: Callable[[Goal], int] = not_shared
    ahead: bool = False
