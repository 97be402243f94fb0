"""Is a handwritten gradient right? Element by element, to the noise floor of its dtype.

The reference is ``jax.grad`` of the loss in float64, at the params as rounded to their own dtype:
automatic differentiation in bfloat16 is itself off by 0.17 where ids repeat, and a probe along one
random direction (``jax.test_util.check_grads``) passes 18 of 23 broken softmax gradients. The error is relative, leaf by leaf::

    error = max |gradient - reference| / max(max |reference|, floor)

(norm-wise: ratios of single elements mean nothing where a softmax saturates and the reference is
exactly 0). The floor is 0 unless the caller says what an element's ``terms`` add up to in
magnitude. Where they cancel, no arithmetic keeps a digit of what is left, and only then does the
floor act: it makes 16 unit roundoffs u of that magnitude weigh as much as the tolerance (a sum of n
numbers is known to n u of their magnitudes: Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 4.2)::

    floor = 16 u / tolerance * terms          u = 2^-53 in float64, 2^-24 below, where sums are float32

So a gradient passes if it is off by at most tolerance * max |reference|, or by at most 16 u *
terms. In the battery of ``w2vjax gradcheck`` that second half decides for a vocabulary of one word
only, whose gradient vanishes (at most 13 u measured); with 60 words every batch passes with a floor
of 0 (float64 1.6e-14, float32 3.0e-6), and a test keeps it so. Losses are judged alike, by
``loss_terms``. ``jax.grad`` of a wrong forward is wrong too: central differences see a
discontinuous one, an independent loss any.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.types import Gradient, Rows, Tree

AnyLoss: TypeAlias = Callable[..., jax.Array]  # (params, *batch) -> a scalar
AnyBackward: TypeAlias = Callable[
    ..., tuple[jax.Array, Tree]
]  # (params, *batch) -> loss, gradients like params

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}
DIFFERENCE_TOLERANCE = 1e-7  # fourth-order central differences in float64
DIFFERENCE_STEPS = (1e-3, 1e-4, 1e-2, 1e-5, 1e-6)
ROUNDOFFS = 16  # the hardest batch needs 12.3: shared negatives, V = 1, every score past 6


class GradientCheck(NamedTuple):
    """What one check found. ``None`` stands for a part that does not apply."""

    dtype: str  # the narrowest of the params
    error: float  # of the jitted gradient against jax.grad in float64
    tolerance: float
    worst: str  # the element with the largest error: "input[3, 2]"
    loss_error: float  # of the loss that backward returns
    eager_error: float | None  # of the gradient without jit (float64 only, as all below)
    # against forward mode along a random direction; None under custom_vjp
    forward_error: float | None
    difference_error: float | None  # against central differences on sampled coordinates
    repeatable: bool | None  # two runs gave equal bits
    finite: bool | None
    # what ended the check: it has failed, and all other parts are NaN or None
    raised: str | None = None

    @property
    def passed(self) -> bool:
        """Every part within its tolerance."""
        exact = (self.error, self.loss_error, self.eager_error, self.forward_error)
        within = all(error is None or error <= self.tolerance for error in exact)
        differences = self.difference_error is None or self.difference_error <= DIFFERENCE_TOLERANCE
        return (
            self.raised is None
            and within
            and differences
            and bool(self.repeatable)
            and bool(self.finite)
        )


def failed_check(dtype: str, error: Exception) -> GradientCheck:
    """The check of a loss or backward that raised, with the first line of what it said."""
    said = next(iter(str(error).splitlines()), "")
    return GradientCheck(
        dtype,
        np.nan,
        TOLERANCES[dtype],
        "",
        np.nan,
        None,
        None,
        None,
        None,
        None,
        f"{type(error).__name__}: {said}",
    )


def check_gradients(
    loss: AnyLoss,
    backward: AnyBackward,
    params: Tree,
    *batch: Tree,
    tolerance: float | None = None,
    samples: int = 6,
    eager: bool = True,
    seed: int = 0,
    terms: Tree = 0.0,
    loss_terms: float = 0.0,
) -> GradientCheck:
    """Check backward(params, *batch) -> (loss, gradients) against loss(params, *batch) -> scalar,
    on any pytree.

    Gradients have the structure of params; a leaf may be :class:`Rows`. ``tolerance`` defaults by
    dtype (float64 1e-12, float32 1e-5, bfloat16 5e-2); ``samples`` coordinates meet central
    differences and ``eager`` runs backward without jit as well, both in float64 only. ``terms``,
    one number or a tree of them like params, and ``loss_terms`` are the magnitudes that an element
    of each gradient and the loss add up before anything cancels; 16 unit roundoffs of them are no
    error. By default nothing is excused. The head of this module defines the error. Nothing is
    raised for a wrong gradient: ask ``check.passed``. Pass the same functions again, not new
    lambdas, and nothing is compiled twice.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.sum(jnp.tanh(x @ w))
    >>> def backward(w, x):
    ...     a = jnp.tanh(x @ w)
    ...     return a.sum(), x.T @ (1 - a * a)
    >>> def forgetful(w, x):
    ...     return loss(w, x), x.T @ jnp.ones_like(x @ w)
    >>> w, x = jnp.ones((3, 2)), jnp.eye(3)
    >>> check_gradients(loss, backward, w, x).passed, check_gradients(loss, forgetful, w, x).passed
    (True, False)
    """
    params, batch = jax.tree.map(np.asarray, params), host_copy(batch)
    wide_params, wide_batch = widen(params), widen(batch)
    dtype, calls = narrowest(params), compiled(loss, backward)
    exact = dtype == "float64"
    limit = TOLERANCES[dtype] if tolerance is None else tolerance
    floor = rounding_floors(dtype, limit, terms, wide_params)
    rng = np.random.default_rng(seed)
    direction = jax.tree.map(lambda leaf: rng.choice([-1.0, 1.0], leaf.shape), wide_params)
    # infinities are findings here, not accidents worth a warning
    with jax.default_matmul_precision("highest"), np.errstate(all="ignore"):
        with jax.enable_x64(True):
            reference_loss, reference, slope = calls.reference(wide_params, direction, *wide_batch)
            reference = jax.tree.map(np.asarray, reference)
        with jax.enable_x64(exact):
            found_loss, found = calls.backward(params, *batch)
            repeatable = equal_bits((found_loss, found), calls.backward(params, *batch))
            gradient = dense(found, wide_params)
            error, worst = largest_error(gradient, reference, floor)
            eager_error = forward_error = differences = None
            # a gradient of another shape has failed already, and has no elements to compare
            exact = exact and np.isfinite(error)
            if exact and eager:
                with jax.disable_jit():
                    slow = dense(backward(params, *batch)[1], wide_params)
                eager_error = largest_error(slow, reference, floor)[0]
            if exact:
                least = max(jax.tree.leaves(floor), default=0.0)
                forward_error = directional_error(slope, direction, gradient, least)

                def value(params: Tree) -> float:
                    return float(calls.reference(params, direction, *wide_batch)[0])

                differences = difference_error(value, gradient, wide_params, samples, rng, least)
    loss_size = max(abs(float(reference_loss)), rounding_floor(dtype, limit, loss_terms))
    loss_error = abs(float(found_loss) - float(reference_loss)) / loss_size
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, float(found_loss))))
    return GradientCheck(
        dtype,
        error,
        limit,
        worst,
        loss_error,
        eager_error,
        forward_error,
        differences,
        repeatable,
        finite,
    )


class Compiled(NamedTuple):
    """The compiled forms of one loss and backward, kept so that many batches of one shape compile
    once.
    """

    reference: Callable[
        ..., Any
    ]  # (params, direction, *batch) -> loss, jax.grad, directional derivative or None
    backward: AnyBackward


def compiled(loss: AnyLoss, backward: AnyBackward) -> Compiled:
    """The compiled forms of a loss and a backward: those of an earlier call where it is the same
    function.
    """
    return Compiled(compiled_reference(loss), compiled_backward(backward))


@lru_cache(maxsize=256)
def compiled_backward(backward: AnyBackward) -> Callable[..., Any]:
    """One jitted function for each backward."""
    return jax.jit(backward)


@lru_cache(maxsize=256)
def compiled_reference(loss: AnyLoss) -> Callable[..., Any]:
    """(params, direction, *batch) -> loss, ``jax.grad``, and the directional derivative or None."""

    def slopeless(params: Tree, direction: Tree, *batch: Tree) -> Any:
        del direction
        return *jax.value_and_grad(loss)(params, *batch), None

    def sloped(params: Tree, direction: Tree, *batch: Tree) -> Any:
        slope = jax.jvp(lambda p: loss(p, *batch), (params,), (direction,))[1]
        return *jax.value_and_grad(loss)(params, *batch), slope

    # the reference is run a few times only: compiling it with less optimisation halves the time of
    # the whole battery
    quick = {"xla_backend_optimization_level": 0}
    with_slope, without = (
        jax.jit(sloped, compiler_options=quick),
        jax.jit(slopeless, compiler_options=quick),
    )

    def reference(*inputs: Tree) -> Any:
        try:
            return with_slope(*inputs)
        except TypeError:  # what JAX raises, when it compiles, for a function with a custom_vjp
            return without(*inputs)

    return reference


def is_float(leaf: object) -> bool:
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def host_copy(tree: Tree) -> Any:
    """Float arrays as NumPy, which no configuration of JAX narrows; keys and ids as they are."""
    return jax.tree.map(lambda leaf: np.asarray(leaf) if is_float(leaf) else leaf, tree)


def widen(tree: Tree) -> Any:
    """The same numbers in float64; integers and keys untouched."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf).astype(np.float64) if is_float(leaf) else leaf, tree
    )


def narrowest(params: Tree) -> str:
    names = [leaf.dtype.name for leaf in jax.tree.leaves(params)]
    return str(max(names, key=lambda name: TOLERANCES[name]))


def dense(gradient: Tree, params: Tree) -> Any:
    """Gradients as float64 arrays in the shapes of params; rows of :class:`Rows` are summed in
    float64.
    """

    def leaf(part: Gradient, param: np.ndarray) -> np.ndarray:
        if not isinstance(part, Rows):
            return np.asarray(part).astype(np.float64)
        total, ids = np.zeros(param.shape), np.asarray(part.ids)
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(param):
            # a row that there is not: NumPy would take -1 for the last one
            return np.full(param.shape, np.nan)
        np.add.at(total, ids, np.asarray(part.values).astype(np.float64))
        return total

    return jax.tree.map(leaf, gradient, params, is_leaf=lambda part: isinstance(part, Rows))


def equal_bits(first: Tree, second: Tree) -> bool:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def rounding_floor(dtype: str, tolerance: float, terms: float) -> float:
    """The size of a gradient at which 16 unit roundoffs of ``terms`` weigh as much as the
    tolerance; never 0.

    Float64 sums in float64, and everything else in float32.
    """
    roundoff = float(np.finfo("float64" if dtype == "float64" else "float32").eps) / 2
    return max(ROUNDOFFS * roundoff * float(terms) / tolerance, 1e-300)


def rounding_floors(dtype: str, tolerance: float, terms: Tree, params: Tree) -> Any:
    """:func:`rounding_floor` of each leaf of params, for terms of that structure or one number for
    all.
    """
    if isinstance(terms, int | float):
        terms = jax.tree.map(lambda _: terms, params)
    return jax.tree.map(lambda size: rounding_floor(dtype, tolerance, size), terms)


def largest_error(gradient: Tree, reference: Tree, floors: Tree) -> tuple[float, str]:
    """The norm-wise error of the worst leaf, and the name of its worst element. NaN counts as
    infinite.
    """
    worst = (0.0, "")
    leaves = zip(
        jax.tree_util.tree_leaves_with_path(gradient),
        jax.tree.leaves(reference),
        jax.tree.leaves(floors),
        strict=True,
    )
    for (path, found), wanted, floor in leaves:
        if found.shape != wanted.shape:
            return np.inf, f"{name_of(path)}: shape {found.shape} where {wanted.shape} is expected"
        if not found.size:
            continue
        gap = np.nan_to_num(np.abs(found - wanted), nan=np.inf)
        at = np.unravel_index(int(np.argmax(gap)), gap.shape)
        error = float(gap[at] / max(float(np.abs(wanted).max()), floor))
        if error >= worst[0]:
            worst = (error, f"{name_of(path)}[{', '.join(map(str, at))}]")
    return worst


def name_of(path: tuple[object, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".") or "params"


def directional_error(slope: Tree, direction: Tree, gradient: Tree, floor: float) -> float | None:
    """gradient . direction against forward mode's slope, in units of the terms of the sum; None
    without a slope.
    """
    if slope is None:
        return None
    terms = [
        g * v for g, v in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    ]
    scale = max(sum(float(np.abs(term).sum()) for term in terms), floor)
    return abs(sum(float(term.sum()) for term in terms) - float(slope)) / scale


def difference_error(
    value_of: Callable[[Tree], float],
    gradient: Tree,
    params: Tree,
    samples: int,
    rng: np.random.Generator,
    floor: float,
) -> float | None:
    """Sampled elements of the gradient against differences of the loss; the best of several step
    sizes.

    slope = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, in error by h^4. One step cannot suit both
    a loss of 1e6 (rounding asks for a long one) and logits of 1e4 (curvature asks for a short one).
    A wrong gradient disagrees at every step; a right one agrees at the first, as a rule, and the
    others are not tried.
    """
    leaves = jax.tree.leaves(params)
    treedef: Any = jax.tree.structure(params)
    sizes = [leaf.size for leaf in leaves]
    if not sum(sizes):
        return None
    found = jax.tree.leaves(gradient)
    scale = max([floor, *(float(np.abs(g).max(initial=0)) for g in found)])
    places = rng.choice(sum(sizes), min(samples, sum(sizes)), replace=False)
    worst = 0.0
    for place in places:
        which = int(np.searchsorted(np.cumsum(sizes), place, side="right"))
        at = int(place - sum(sizes[:which]))
        here = float(leaves[which].reshape(-1)[at])

        def change(step: float, which: int = which, at: int = at, here: float = here) -> float:
            values = []
            for moved in (here + step, here - step):
                leaf = leaves[which].copy()
                leaf.reshape(-1)[at] = moved
                values.append(
                    value_of(treedef.unflatten([*leaves[:which], leaf, *leaves[which + 1 :]]))
                )
            return values[0] - values[1]

        best = np.inf
        for step in DIFFERENCE_STEPS:
            h = step * max(1.0, abs(here))
            slope = (8 * change(h) - change(2 * h)) / (12 * h)
            best = min(best, abs(slope - float(found[which].reshape(-1)[at])) / scale)
            if best <= 0.5 * DIFFERENCE_TOLERANCE:
                break
        worst = max(worst, best)
    return worst
