"""Row updates: what a gradient does to the tables, as optax transformations of rows.

A batch touches few rows. So a gradient is a pair of ids [N] and values [N, D]
(:class:`~w2vjax.types.Rows`); a dense optimizer's step over [V, D] would cost a hundred times the
gradient. The transformations here are optax's. ``update`` gets the *values* as its updates and the
rest as extra arguments, so ``optax.chain`` and schedules work::

    update(values, state, params, ids=..., bounds=...) -> values, state

    values  Params of [N, D]: what is added to the rows ([V, D] for a dense gradient)
    ids     Params of [N] int32; None for a dense leaf
    bounds  Params of [N], or [V] for a dense leaf: the curvature bound of each example
            (:mod:`w2vjax.objectives.bounds`)

The state of a transformation, and of any chain that holds it, shows what it takes:

    WholeTables   whole tables. Row gradients are expanded for it: see :func:`dense`.
    RepeatedRows  rows whose ids repeat, one for each example: :func:`row_sgd`,
                  :func:`row_adagrad`. What stands before them in a chain gets these rows too:
                  ``optax.clip`` then clips each example.
    neither       rows whose ids are distinct. The examples of a row are added up first, by a sort.

The summed gradients of many words at once make frequent rows step too far and diverge. So
:func:`row_sgd` and :func:`row_adagrad` step by their own size or by 1 / bound, whichever is less.
The bound of a row is the sum over its examples.
"""

from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from w2vjax.errors import SettingError
from w2vjax.objectives.bounds import StepTotals, bounded_steps, zero_totals
from w2vjax.objectives.model import to_dense
from w2vjax.real import number
from w2vjax.trees import add_rows, coalesce, sum_repeated
from w2vjax.types import Gradient, Params, Rows, ScalarOrSchedule

# The state of an optax transformation: a pytree of its own.
OptState: TypeAlias = Any

# The share of its start that the learning rate ends at, as in word2vec.c.
_LAST_RATE = 1e-4


class LinearDecay(NamedTuple):
    """word2vec's schedule: a learning rate that falls linearly, and is constant after ``steps``.

    ``fall`` is the first rate less the ``last`` one, and ``steps`` are at least 1. These numbers
    are arguments of the compiled program. So runs with other numbers share a program.
    """

    fall: float
    last: float
    steps: int

    def __call__(self, step: ArrayLike) -> jax.Array:
        # times 1 / steps: the form to which XLA brings a division by a constant
        count = jnp.asarray(jnp.minimum(step, self.steps), float)
        return self.last + self.fall * (1 - count * (1 / self.steps))


def linear_decay(learning_rate: float, steps: int) -> LinearDecay:
    """From the learning rate down to 1e-4 of it, as in word2vec.c::

        rate(step) = learning_rate * max(1e-4, 1 - (1 - 1e-4) * step / steps)

    Args:
        learning_rate: of step 0.
        steps: from which on the rate is constant.

    Returns:
        step -> rate. Equal arguments give equal schedules, which share a compiled program.

    >>> [round(float(linear_decay(0.5, 10)(step)), 5) for step in (0, 5, 10, 99)]
    [0.5, 0.25003, 5e-05, 5e-05]
    """
    last = learning_rate * _LAST_RATE
    return LinearDecay(learning_rate - last, last, max(steps, 1))


class RepeatedRows(NamedTuple):
    """Part of the state of a transformation that takes rows whose ids repeat. It holds nothing."""


class WholeTables(NamedTuple):
    """The state of a transformation of whole tables, ``inner``: see :func:`dense`."""

    inner: OptState


def parts(state: OptState, kind: type) -> bool:
    """Whether a state has a part of this class, at any depth.

    >>> params = Params(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
    >>> state = optax.chain(optax.clip(1.0), row_sgd(0.1)).init(params)
    >>> parts(state, RepeatedRows), parts(state, WholeTables)
    (True, False)
    """
    leaves = jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, kind))
    return any(isinstance(leaf, kind) for leaf in leaves)


class RowSgdState(NamedTuple):
    """The number of ``steps``, [] int32, and their ``totals``. It ``takes`` rows."""

    steps: jax.Array
    totals: StepTotals
    takes: RepeatedRows = RepeatedRows()


def row_sgd(learning_rate: ScalarOrSchedule) -> optax.GradientTransformationExtraArgs:
    """Gradient descent: a row moves by min(learning rate, 1 / bound) times its summed gradient.

    The bound of a row is the sum of the curvature bounds of its examples in this step. On
    a CPU bounds count up to four times where rows have very many examples
    (:mod:`w2vjax.objectives.bounds`). Plain gradient descent without a bound is
    ``optax.sgd(learning_rate)``.

    Args:
        learning_rate: a number, or step -> number.

    Returns:
        A transformation of rows: see the head of this module.

    >>> optimizer = row_sgd(0.5)
    >>> params = Params(jnp.zeros((3, 1)), jnp.zeros((3, 1)))
    >>> rows = Rows(jnp.asarray([0, 0, 0, 0, 1]), jnp.ones((5, 1)))  # row 0 has four examples
    >>> bounds = Params(jnp.ones(5), jnp.ones(5))
    >>> state, gradients = optimizer.init(params), Params(rows, rows)
    >>> params, state = apply_gradients(optimizer, state, params, gradients, bounds)
    >>> print(params.input.ravel().round(2))  # 4 / 4, not 4 * .5
    [-1.  -0.5  0. ]
    """

    def init(params: Params) -> RowSgdState:
        return RowSgdState(jnp.zeros((), jnp.int32), zero_totals(params))

    def update(
        values: Params, state: RowSgdState, *_: object, ids: Params, bounds: Params, **__: object
    ) -> tuple[Params, RowSgdState]:
        size = learning_rate(state.steps) if callable(learning_rate) else learning_rate
        values, totals = bounded_steps(values, ids, bounds, Params(size, size), state.totals)
        return values, RowSgdState(optax.safe_increment(state.steps), totals)

    return optax.GradientTransformationExtraArgs(init, update)


class RowAdagradState(NamedTuple):
    """Each row's ``total`` of mean squared gradients, [V], beside the fields of RowSgdState.

    ``steps`` is [] int32, and ``totals`` are theirs. It ``takes`` rows.
    """

    total: Params
    steps: jax.Array
    totals: StepTotals
    takes: RepeatedRows = RepeatedRows()


def row_adagrad(
    learning_rate: ScalarOrSchedule, epsilon: float = 1e-6
) -> optax.GradientTransformationExtraArgs:
    """Row-wise AdaGrad: one accumulated squared gradient for each row, a mean over its D entries.

    A row steps by learning rate / sqrt(sum of mean(g^2) + epsilon), and by 1 / bound at most, as in
    :func:`row_sgd`. Source: Duchi, Hazan and Singer, 2011.

    Args:
        learning_rate: a number, or step -> number.
        epsilon: keeps the first step finite.

    Returns:
        A transformation of rows: see the head of this module.

    Raises:
        SettingError: epsilon is not a number above 0.

    >>> optimizer = row_adagrad(0.5)
    >>> params = Params(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
    >>> rows, ones = Rows(jnp.asarray([0]), jnp.full((1, 1), 4.0)), jnp.ones(1)
    >>> state, gradients, bounds = optimizer.init(params), Params(rows, rows), Params(ones, ones)
    >>> params, state = apply_gradients(optimizer, state, params, gradients, bounds)
    >>> print(params.input.ravel().round(4))  # .5 / sqrt(4^2) * 4
    [-0.5  0. ]
    """

    given: Any = epsilon  # it may be traced
    if not isinstance(given, jax.core.Tracer) and not number("epsilon", given) > 0:
        raise SettingError(f"epsilon={epsilon} cannot work. Use a number above 0, such as 1e-6.")

    def accumulate(
        values: jax.Array, ids: jax.Array | None, total: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        if ids is None:
            total = total + jnp.square(values).mean(1).astype(total.dtype)
            return total, total
        # values of one row may lie in several places: their sum is what is squared
        order, summed = sum_repeated(ids, values)
        total = total.at[ids[order]].add(jnp.square(summed).mean(1).astype(total.dtype))
        return total, total[ids]

    def init(params: Params) -> RowAdagradState:
        total = Params(*(jnp.zeros(table.shape[0], jnp.float32) for table in params))
        return RowAdagradState(total, jnp.zeros((), jnp.int32), zero_totals(params))

    def update(
        values: Params,
        state: RowAdagradState,
        *_: object,
        ids: Params,
        bounds: Params,
        **__: object,
    ) -> tuple[Params, RowAdagradState]:
        rate = learning_rate(state.steps) if callable(learning_rate) else learning_rate
        sums = list(map(accumulate, values, ids, state.total))
        sizes = Params(*(rate / jnp.sqrt(here + epsilon) for _, here in sums))
        values, totals = bounded_steps(values, ids, bounds, sizes, state.totals)
        total = Params(*(total for total, _ in sums))
        return values, RowAdagradState(total, optax.safe_increment(state.steps), totals)

    return optax.GradientTransformationExtraArgs(init, update)


def dense(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Any dense optax optimizer (adam, lion, ...), at its dense cost: for small vocabularies.

    In a chain with it, every transformation gets whole tables.

    Args:
        optimizer: of arrays [V, D].

    Returns:
        The same optimizer, which :func:`apply_gradients` gives row gradients as tables.

    >>> optimizer = optax.chain(optax.clip(1.0), dense(optax.sgd(1e-3)))
    >>> check_optimizer(optimizer, Params(jnp.zeros((9, 2)), jnp.zeros((9, 2))))
    """
    whole = optax.with_extra_args_support(optimizer)

    def init(params: Params) -> WholeTables:
        return WholeTables(whole.init(params))

    def update(
        gradients: Params, state: WholeTables, params: Params | None = None, **extra: object
    ) -> tuple[Params, WholeTables]:
        updates, inner = whole.update(gradients, state.inner, params, **extra)
        return updates, WholeTables(inner)

    return optax.GradientTransformationExtraArgs(init, update)


def check_optimizer(optimizer: optax.GradientTransformation, params: Params) -> None:
    """Raise SettingError for an optimizer that fails on row gradients, or would be wrong on them.

    >>> check_optimizer(optax.adam(1e-3), Params(jnp.zeros((9, 2)), jnp.zeros((9, 2))))
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: The optimizer keeps a state of the tables' shape and ...
    """
    try:
        state = jax.eval_shape(optimizer.init, params)
    except (AttributeError, TypeError, ValueError) as error:
        raise SettingError(f"The optimizer's init fails ({error}). {_PLAIN}") from error
    whole = parts(state, WholeTables)
    if whole and parts(state, RepeatedRows):
        raise SettingError(
            "The optimizer has parts that take whole tables (w2vjax.dense) and parts that "
            "take rows (row_sgd, row_adagrad). Use one kind."
        )
    shapes = set() if whole else {table.shape for table in params}
    for leaf in jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, StepTotals)):
        if not isinstance(leaf, StepTotals) and leaf.shape in shapes:
            raise SettingError(
                f"The optimizer keeps a state of the tables' shape and {_TABLES_ALONE}"
            )

    def step(state: OptState, params: Params) -> Any:
        many, dim = params.input.shape[0] + 1, params.input.shape[1]  # no table has so many rows
        dtype = np.promote_types(params.input.dtype, np.float32)  # of gradients in training
        rows = Rows(jnp.zeros(many, jnp.int32), jnp.zeros((many, dim), dtype))
        bound = jnp.ones(many, dtype)
        gradients, bounds = Params(rows, rows), Params(bound, bound)
        return apply_gradients(optimizer, state, params, gradients, bounds)

    try:
        _, after = jax.eval_shape(step, state, params)
    except (AttributeError, TypeError, ValueError) as error:
        remedy = f". {_PLAIN}" if whole else f" and {_TABLES_ALONE}"
        raise SettingError(f"The optimizer fails ({error}){remedy}") from error
    leaves = zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=False)
    # a Python number, whose type is weak, takes the type of the first step
    same = [(a.shape, a.dtype) == (b.shape, b.dtype) or a.weak_type for a, b in leaves]
    trees: list[Any] = [jax.tree.structure(each) for each in (state, after)]
    if trees[0] != trees[1] or not all(same):
        raise SettingError(
            "The optimizer's state has other shapes or dtypes after a step than before. Keep those "
            "of init, as in count + jnp.int32(1)."
        )


_PLAIN = (
    "Write optimizer=lambda schedule: w2vjax.dense(optax.adam(schedule)), with the transformation "
    "that you want. It gets gradients and params alone, so one that needs the loss cannot work."
)
_TABLES_ALONE = (
    "cannot take row gradients. Wrap it: w2vjax.dense(optimizer), at the cost of a dense step, or "
    "use row_sgd or row_adagrad."
)


def apply_gradients(
    optimizer: optax.GradientTransformation,
    state: OptState,
    params: Params,
    gradients: Params,
    bounds: Params,
    deterministic: bool = False,
) -> tuple[Params, OptState]:
    """One step: (params, state) after ``gradients``. Jit-able.

    Args:
        optimizer: an optax transformation of rows, or of tables by :func:`dense`.
        state: the optimizer's.
        params: [V, D] each.
        gradients: each leaf Rows or [V, D].
        bounds: Params of [N] or [V]: see the head of the module.
        deterministic: sorts repeated rows, so that a GPU adds them in a fixed order, as a CPU does.
    """
    extra = optax.with_extra_args_support(optimizer)
    if parts(state, WholeTables):
        if deterministic:
            gradients = Params(*(coalesce(g) if isinstance(g, Rows) else g for g in gradients))
        updates, state = extra.update(Params(*map(to_dense, gradients, params)), state, params)
        return Params(*map(_add, params, (None, None), updates)), state
    if deterministic or not parts(state, RepeatedRows):
        pairs = [_coalesced(g, bound) for g, bound in zip(gradients, bounds, strict=True)]
        gradients, bounds = Params(*(g for g, _ in pairs)), Params(*(bound for _, bound in pairs))
    ids = Params(*(g.ids if isinstance(g, Rows) else None for g in gradients))
    values = Params(*(g.values if isinstance(g, Rows) else g for g in gradients))
    updates, state = extra.update(values, state, params, ids=ids, bounds=bounds)
    return Params(*map(_add, params, ids, updates)), state


def _coalesced(gradient: Gradient, bound: jax.Array) -> tuple[Gradient, jax.Array]:
    if not isinstance(gradient, Rows):
        return gradient, bound
    _, total = sum_repeated(gradient.ids, bound[:, None])
    return coalesce(gradient), total[:, 0]


def _add(table: jax.Array, ids: jax.Array | None, update: jax.Array) -> jax.Array:
    # On a GPU this is XLA's scatter-add, atomic in float32; jaxlib 0.10.2 to 0.11.0 compile it to a
    # slow loop there (openxla/xla issue 46225), which newer ones do not.
    wanted = table.shape if ids is None else (*ids.shape, table.shape[1])
    if update.shape != wanted:  # it would be repeated
        cause = f"The update has the shape {update.shape}, and the gradient {wanted}"
        raise SettingError(f"{cause}. Give one number for each.")
    update = update.astype(table.dtype)
    return table + update if ids is None else add_rows(table, ids, update)
