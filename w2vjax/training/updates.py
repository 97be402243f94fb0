"""Row updates: what a gradient does to the tables, as optax transformations that see rows instead of whole tables.

A batch touches few rows, so a gradient is a pair of ids [N] and values [N, D] (:class:`~w2vjax.types.Rows`) and a dense
optimizer's step over [V, D] would cost a hundred times the gradient. The transformations here are optax's: ``update``
gets the *values* as its updates and the rest as extra arguments, so ``optax.chain``, schedules and clipping work::

    update(values, state, params, ids=..., hits=...) -> values, state

    values  Params of [N, D], what is to be added to the rows (dense [V, D] where an objective gives a dense gradient)
    ids     Params of [N] int32, None for a dense leaf
    hits    Params of [N], the summed weights of the examples behind each row; None for a dense leaf

Summing the gradients of many words at once makes frequent rows step too far and diverge. :func:`clip_by_count` bounds
the step of a row to that of ``cap`` examples; :func:`scale_by_row_adagrad` lets a row's own history bound it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from w2vjax.errors import SettingError
from w2vjax.model import to_dense
from w2vjax.types import Params, Rows


class RowTransformation(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """An optax transformation that takes rows whose ids repeat; any other is given rows whose ids are distinct."""


class DenseTransformation(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """A transformation of whole tables, which row gradients are expanded for: see :func:`dense`."""


def row_sgd(learning_rate: Any, cap: float | None = 75.0) -> RowTransformation:
    """Gradient descent on rows: each moves by the learning rate times min(1, cap / n) times its summed gradient.

    n is the summed weight of the examples that hit the row in this step (a positive mostly weighs 1, a shared negative
    what it stands for). ``learning_rate`` is a number or an optax schedule over steps; ``cap=None`` is plain SGD.

    >>> optimizer = row_sgd(0.5, cap=2.0)
    >>> params = Params(jnp.zeros((3, 1)), jnp.zeros((3, 1)))
    >>> rows = Rows(jnp.asarray([0, 0, 0, 0, 1]), jnp.ones((5, 1)))  # row 0 is hit four times
    >>> hits = Params(jnp.ones(5), jnp.ones(5))
    >>> params, state = apply_gradients(optimizer, optimizer.init(params), params, Params(rows, rows), hits)
    >>> print(params.input.ravel())
    [-1.  -0.5  0. ]
    """
    scale = optax.scale_by_learning_rate(learning_rate)
    chain = scale if cap is None else optax.chain(clip_by_count(cap), scale)
    return RowTransformation(*optax.with_extra_args_support(chain))


def row_adagrad(learning_rate: Any, epsilon: float = 1e-6) -> RowTransformation:
    """Row-wise AdaGrad: one accumulated squared gradient for each row, a mean over its D entries.

    Duchi, Hazan and Singer, 2011, with one step size a row: g / sqrt(sum of mean(g^2) + epsilon).
    """
    chain = optax.chain(scale_by_row_adagrad(epsilon), optax.scale_by_learning_rate(learning_rate))
    return RowTransformation(*optax.with_extra_args_support(chain))


def dense(optimizer: optax.GradientTransformation) -> DenseTransformation:
    """Any dense optax optimizer (adam, lion, ...), at its dense cost: for small vocabularies.

    >>> optimizer = dense(optax.adam(1e-3))
    """
    return DenseTransformation(*optax.with_extra_args_support(optimizer))


class ClipState(NamedTuple):
    """Room to count hits in, [V] for each table and all zero between steps.

    A step clears the few places it has used. Fresh zeros in every step would cost more than the rest of it once the
    vocabulary is large.
    """

    hits: Params


def clip_by_count(cap: float) -> optax.GradientTransformationExtraArgs:
    """Scale each row by min(1, cap / n), n its summed hits in this step. Raises SettingError for cap <= 0."""
    if not (np.isfinite(cap) and cap > 0):
        raise SettingError(f"cap={cap} cannot work. Use about 75, or None for no cap.")

    def init(params: Params) -> ClipState:
        return ClipState(Params(*(jnp.zeros(table.shape[0], jnp.float32) for table in params)))

    def clip(
        values: jax.Array, ids: jax.Array | None, hits: jax.Array | None, room: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        if ids is None or hits is None:
            return values, room
        total = room.at[ids].add(hits.astype(room.dtype))
        here = total[ids]
        share = jnp.minimum(1.0, cap / jnp.maximum(here, cap))
        # 0, as hits are not negative; made of what was read, so that the reading is seen to come before the clearing
        cleared = total.at[ids].set(jnp.minimum(here, 0))
        return values * share[:, None].astype(values.dtype), cleared

    def update(
        values: Params, state: ClipState, params: Any = None, *, ids: Params, hits: Params, **_: Any
    ) -> Any:
        del params
        clipped = [clip(*leaf) for leaf in zip(values, ids, hits, state.hits, strict=True)]
        return Params(*(leaf[0] for leaf in clipped)), ClipState(Params(*(leaf[1] for leaf in clipped)))

    return optax.GradientTransformationExtraArgs(init, update)


class RowAdagradState(NamedTuple):
    """Accumulated mean squared gradient of every row."""

    total: Params  # of [V]


def scale_by_row_adagrad(epsilon: float = 1e-6) -> optax.GradientTransformationExtraArgs:
    """Divide each row by the root of its accumulated mean square. Repeated ids are added up first."""

    def init(params: Params) -> RowAdagradState:
        return RowAdagradState(Params(*(jnp.zeros(table.shape[0], jnp.float32) for table in params)))

    def scale(values: jax.Array, ids: jax.Array | None, total: jax.Array) -> tuple[jax.Array, jax.Array]:
        if ids is None:
            total = total + jnp.square(values).mean(1)
            return values / jnp.sqrt(total + epsilon)[:, None].astype(values.dtype), total
        # values of one row may lie in several places: their sum is what is squared
        order, summed = sum_repeated(ids, values)
        total = total.at[ids[order]].add(jnp.square(summed).mean(1).astype(total.dtype))
        return values / jnp.sqrt(total[ids] + epsilon)[:, None].astype(values.dtype), total

    def update(values: Params, state: RowAdagradState, params: Any = None, *, ids: Params, **_: Any) -> Any:
        del params
        scaled = [scale(*leaf) for leaf in zip(values, ids, state.total, strict=True)]
        return Params(*(leaf[0] for leaf in scaled)), RowAdagradState(Params(*(leaf[1] for leaf in scaled)))

    return optax.GradientTransformationExtraArgs(init, update)


def sum_repeated(ids: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(order, sums): the places of ``ids`` [N] in rising order, and at the last place of each id its summed values.

    sums [N, D] is 0 everywhere else, so (ids[order], sums) is the same gradient with each row in one piece. The order
    of additions is fixed, which a scatter's on a GPU is not: this is what the deterministic mode rests on.

    >>> order, sums = sum_repeated(jnp.asarray([4, 2, 4]), jnp.asarray([[1.0], [10.0], [100.0]]))
    >>> order.tolist(), sums.ravel().tolist()
    ([1, 0, 2], [10.0, 0.0, 101.0])
    """
    order = jnp.argsort(ids, stable=True)
    ranked = ids[order]
    starts = jnp.concatenate([jnp.ones(1, bool), ranked[1:] != ranked[:-1]])[: ids.shape[0]]
    ends = jnp.concatenate([starts[1:], jnp.ones(1, bool)])[: ids.shape[0]]

    def join(left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]) -> Any:
        (left_start, left_sum), (right_start, right_sum) = left, right
        return left_start | right_start, jnp.where(right_start, right_sum, left_sum + right_sum)

    _, sums = jax.lax.associative_scan(join, (starts[:, None], values[order]))
    return order, jnp.where(ends[:, None], sums, jnp.zeros_like(sums))


def coalesce(rows: Rows) -> Rows:
    """The same gradient with every id's values added up in one place and zeros in its other places; ids in order."""
    order, sums = sum_repeated(rows.ids, rows.values)
    return Rows(rows.ids[order], sums)


def check_optimizer(optimizer: optax.GradientTransformation, params: Params) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` for a dense optimizer, which would be silently wrong on rows.

    >>> check_optimizer(optax.adam(1e-3), Params(jnp.zeros((9, 2)), jnp.zeros((9, 2))))
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: The optimizer keeps a state of the tables' shape (9, 2) and cannot take row gradients. \
Wrap it: w2vjax.dense(optimizer), at the cost of a dense step, or use row_sgd or row_adagrad.
    """
    if isinstance(optimizer, RowTransformation | DenseTransformation):
        return
    shapes = {table.shape for table in params}
    for leaf in jax.tree.leaves(jax.eval_shape(optimizer.init, params)):
        if leaf.shape in shapes:
            raise SettingError(
                f"The optimizer keeps a state of the tables' shape {leaf.shape} and cannot take row gradients. "
                "Wrap it: w2vjax.dense(optimizer), at the cost of a dense step, or use row_sgd or row_adagrad."
            )


def apply_gradients(
    optimizer: optax.GradientTransformation,
    state: Any,
    params: Params,
    gradients: Params,
    hits: Params,
    deterministic: bool = False,
) -> tuple[Params, Any]:
    """One step: (params, state) after ``gradients`` (leaves Rows or dense); jit-able.

    hits: Params of [N], see the module's head. ``deterministic`` adds repeated rows in a fixed order (sort and
    segmented sum) where the device's scatter does not: on a GPU. A CPU's does.
    """
    extra = optax.with_extra_args_support(optimizer)
    if isinstance(optimizer, DenseTransformation):
        if deterministic:
            gradients = Params(*(coalesce(g) if isinstance(g, Rows) else g for g in gradients))
        full = Params(*map(to_dense, gradients, params))
        updates, state = extra.update(full, state, params)
        return Params(
            *(table + u.astype(table.dtype) for table, u in zip(params, updates, strict=True))
        ), state
    if deterministic or not isinstance(optimizer, RowTransformation):
        pairs = [_coalesced(g, h) for g, h in zip(gradients, hits, strict=True)]
        gradients, hits = Params(*(g for g, _ in pairs)), Params(*(h for _, h in pairs))
    ids = Params(*(g.ids if isinstance(g, Rows) else None for g in gradients))
    values = Params(*(g.values if isinstance(g, Rows) else g for g in gradients))
    updates, state = extra.update(values, state, params, ids=ids, hits=hits)
    return Params(*map(_add, params, ids, updates)), state


def _coalesced(gradient: Any, hits: Any) -> tuple[Any, Any]:
    if not isinstance(gradient, Rows):
        return gradient, hits
    _, total = sum_repeated(gradient.ids, hits[:, None])
    return coalesce(gradient), total[:, 0]


def _add(table: jax.Array, ids: jax.Array | None, update: jax.Array) -> jax.Array:
    # On a GPU this is XLA's scatter-add, atomic in float32; jaxlib 0.10.2 to 0.11.0 compile it to a slow loop there
    # (openxla/xla issue 46225), which newer ones do not.
    update = update.astype(table.dtype)
    return table + update if ids is None else table.at[ids].add(update)
