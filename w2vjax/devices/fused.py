"""Negative sampling on a GPU: gradients and bounds by one kernel, launched once a step.

XLA launches a kernel for each gather, product and sum of a backward, about ten a step, and passes
everything through memory. Here each program takes one group to the chip, H hidden vectors and R
rows of the output table, and makes of it::

    s[r, h]       = row_r . hidden_h
    e[r, h]       = u[h, r] * sigmoid(s[r, h]) - v[h, r]               = d loss / d s[r, h]
    d_row[r]      = sum_h e[r, h] * hidden_h
    d_hidden[h]   = sum_r e[r, h] * row_r
    bound(row_r)  = sum_h |e[r, h]| * stiffness(hidden_h)              bound(hidden_h) likewise

The positives of a block are such a group, with u = w * (1 - c) and v = w in the words of
:mod:`w2vjax.objectives.shared`. So are the negatives of a span, with u = num_negatives / K * n and
v = 0. Each sum is made by one program, so the result repeats bit for bit.

Measured: benchmarks/results/nvidia-h100-80gb-hbm3/gpu-kernel.json.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from w2vjax.objectives.bounds import A, B
from w2vjax.objectives.logistic import sigmoid
from w2vjax.objectives.shared import (
    SharedTargets,
    in_one,
    in_spans,
    shared_bounded,
    weights_of_negatives,
)
from w2vjax.types import Backward, Bounded, Objective, Rows

# Columns of a vector that are on the chip at once. Longer vectors are read twice, in parts.
_COLUMNS = 128
# The most scores of a group. With twice as many, those of 30 negatives, a program spills 1 kB of
# its registers a thread; with these, those of 15 negatives, it spills nothing.
_SCORES = 1 << 12
# Groups of 32 threads in a program. With 8, a step takes 17 % longer (gpu-chunk.json, beside it).
_WARPS = 4


class Groups(NamedTuple):
    """G groups of hidden vectors, each with the rows that it is scored against.

    Attributes:
        hidden: [G, H, D].
        ids: [G, R] int32, rows of the output table.
        u: [G, H, R], or [G, H, 1] for the same of all rows.
        v: [G, H, R] or [G, H, 1]; None for 0.
    """

    hidden: Array
    ids: Array
    u: Array
    v: Array | None = None

    @property
    def fit(self) -> bool:
        """Whether a program has the registers for a group."""
        sizes = self.hidden.shape[1], self.ids.shape[1]
        return _padded(sizes[0]) * _padded(sizes[1]) <= _SCORES and self.hidden.dtype == jnp.float32


class Scored(NamedTuple):
    """d_hidden [G, H, D], d_rows [G, R, D], bounds of hidden [G, H] and of rows [G, R]."""

    d_hidden: Array
    d_rows: Array
    of_hidden: Array
    of_rows: Array


def scored(output: Array, parts: Sequence[Groups], interpret: bool = False) -> list[Scored]:
    """The gradients and bounds of all groups of all parts, by one launch.

    Args:
        output: [V, D].
        parts: groups of different sizes, which share nothing but the table.
        interpret: compute without a GPU, slowly. For tests.

    Returns:
        What each part makes.

    >>> hidden, output, ids = jnp.ones((1, 1, 2)), jnp.zeros((3, 2)), jnp.asarray([[2]])
    >>> one = jnp.ones((1, 1, 1))
    >>> (found,) = scored(output, [Groups(hidden, ids, one, one)], interpret=True)
    >>> print(found.d_rows, found.of_rows.round(4))  # 0.5 * (2 / 8 + 1 / 6)
    [[[-0.5 -0.5]]] [[0.2083]]
    """
    inputs = [[leaf for leaf in part if leaf is not None] for part in parts]
    shapes, ends = [], [0]
    for hidden, ids, *_ in parts:
        (groups, many, dim), rows = hidden.shape, ids.shape[1]
        for shape in (many, dim), (rows, dim), (many,), (rows,):
            shapes.append(jax.ShapeDtypeStruct((groups, *shape), hidden.dtype))
        ends.append(ends[-1] + groups)

    def kernel(table: Any, *refs: Any) -> None:
        program, at = pl.program_id(0), 0
        results = refs[-len(shapes) :]
        for number, (begin, end) in enumerate(pairwise(ends)):
            given = refs[at : at + len(inputs[number])]
            at += len(given)
            made = Scored(*results[4 * number : 4 * number + 4])
            work = partial(_group, program - begin, table, given, made)
            pl.when((begin <= program) & (program < end))(work)

    # From JAX 0.11 on, each compilation warns. Without Triton, make_objective takes XLA's kernels.
    warnings.filterwarnings("ignore", "The Pallas Triton backend is deprecated", DeprecationWarning)
    found = pl.pallas_call(
        kernel,
        out_shape=shapes,
        grid=(ends[-1],),
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=_WARPS, num_stages=1),
        name="w2v_scored",
    )(output, *(leaf for given in inputs for leaf in given))
    return [Scored(*found[at : at + 4]) for at in range(0, len(found), 4)]


def _padded(size: int) -> int:
    """The least power of two from ``size`` and 16 on: Triton multiplies arrays of no other size."""
    return max(16, int(pl.next_power_of_2(size)))


def _read(ref: Any, index: tuple[Any, ...], mask: Array) -> Array:
    """The values at ``index``. They are 0 where the mask is false, which is in the padding."""
    return triton.load(ref.at[index], mask=mask, other=0)


def _write(ref: Any, index: tuple[Any, ...], values: Array, mask: Array) -> None:
    triton.store(ref.at[index], values, mask=mask)


def _group(group: Array, table: Any, given: Any, made: Any) -> None:
    """The work of one program: it reads group number ``group`` and writes its :class:`Scored`."""
    hidden_ref, ids_ref, u_ref, *v_ref = given
    (_, many, dim), (_, rows) = hidden_ref.shape, ids_ref.shape
    width = min(_COLUMNS, _padded(dim))
    h, r, column = (jnp.arange(_padded(n), dtype=jnp.int32) for n in (many, rows, width))
    is_hidden, is_row = h < many, r < rows
    ids = _read(ids_ref, (group, r), is_row)

    def columns(begin: int) -> tuple[Array, Array, Array]:
        """The numbers of the columns from ``begin`` on, with hidden and rows [., width] there."""
        at = (begin + column)[None, :]
        inside = at < dim
        index = group, h[:, None], at
        hidden = _read(hidden_ref, index, is_hidden[:, None] & inside)
        row = _read(table, (ids[:, None], at), is_row[:, None] & inside)
        return at, hidden, row.astype(hidden.dtype)

    def weights(ref: Any) -> Array:
        of_row = r[:, None] if ref.shape[2] > 1 else jnp.zeros_like(r)[:, None]
        return _read(ref, (group, h[None, :], of_row), is_row[:, None] & is_hidden[None, :])

    parts = range(0, dim, width)
    whole = columns(0) if len(parts) == 1 else None  # stays on the chip
    score: Any = 0.0
    of_hidden: Any = 1 / B
    of_rows: Any = 1 / B
    for begin in parts:
        _, hidden, row = whole or columns(begin)
        score += triton.dot(row, hidden, trans_b=True)  # [R, H]
        of_hidden += jnp.square(hidden).sum(1) / A
        of_rows += jnp.square(row).sum(1) / A
    error = weights(u_ref) * sigmoid(score)
    for ref in v_ref:
        error -= weights(ref)
    size = jnp.abs(error)
    _write(made.of_hidden, (group, h), (size * of_rows[:, None]).sum(0), is_hidden)
    _write(made.of_rows, (group, r), (size * of_hidden[None, :]).sum(1), is_row)
    for begin in parts:
        at, hidden, row = whole or columns(begin)
        d_row, d_hidden = triton.dot(error, hidden), triton.dot(error, row, trans_a=True)
        inside = at < dim
        _write(made.d_rows, (group, r[:, None], at), d_row, is_row[:, None] & inside)
        _write(made.d_hidden, (group, h[:, None], at), d_hidden, is_hidden[:, None] & inside)


def shared_bounded_on_gpu(
    backward: Backward,
    hidden: Array,
    output: Array,
    targets: SharedTargets,
    interpret: bool = False,
) -> Bounded:
    """:func:`~w2vjax.objectives.shared.shared_bounded` by the kernel, where it fits."""
    w, kept = targets.weights.astype(hidden.dtype), targets.kept.astype(hidden.dtype)
    share = weights_of_negatives(w, targets)[..., None]
    # The largest groups come first: those that begin last should end early.
    parts = (
        Groups(in_spans(hidden, targets), targets.negatives, share),
        Groups(hidden, targets.words, w * kept[:, None], w),
    )
    if not all(part.fit for part in parts):
        return shared_bounded(backward, hidden, output, targets)
    noise, words = scored(output, parts, interpret)
    return (
        words.d_hidden + noise.d_hidden.reshape(hidden.shape),
        Rows(in_one(targets.words, targets.negatives), in_one(words.d_rows, noise.d_rows)),
        words.of_hidden + noise.of_hidden.reshape(words.of_hidden.shape),
        in_one(words.of_rows, noise.of_rows),
    )


def on_gpu(objective: Objective) -> Objective:
    """The objective with the kernel in place of ``shared_bounded``. Others are returned unchanged.

    Trees have no kernel, because their time on a GPU goes into additions to the rows near the root.
    """
    if objective.bounded is not shared_bounded:
        return objective
    return objective._replace(bounded=shared_bounded_on_gpu)
