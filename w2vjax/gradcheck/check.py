"""Is a handwritten gradient right? Entry by entry, to the noise floor of its dtype.

The reference is JAX's own gradient of the loss in float64, at the params as rounded to their dtype.
Automatic differentiation in bfloat16 is itself off by 0.17 where ids repeat. A probe along one
random direction (``jax.test_util.check_grads``) passes 18 of 23 broken softmax gradients. The error
of a leaf is relative to its largest entry, because a saturated softmax has entries of exactly 0::

    error = max |gradient - reference| / max(max |reference|, floor)

The floor is 0 unless the caller says what the ``terms`` of an entry add up to in magnitude. Where
they cancel, no arithmetic keeps a digit of what is left: a sum of n numbers is known to n unit
roundoffs u of their magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
section 4.2). So a gradient passes if it is off by at most tolerance * max |reference| or 16 u *
terms::

    floor = 16 u / tolerance * terms          u = 2^-53 in float64, 2^-24 below: sums are float32

In ``w2vjax gradcheck`` the floor decides for a vocabulary of one word only, whose gradient vanishes
(at most 13 u measured). With 60 words every batch passes with a floor of 0 (float64 1.6e-14,
float32 3.0e-6), and a test keeps it so. Losses are judged alike.

A reference of zero proves nothing: a backward that forgets the leaf, or multiplies it by -17, has
the same zero there. Nor does one below the tolerance. So the check compares at several scales of
the params. It fails where a row or a column that the loss depends on, as random params show, has no
reference above the tolerance at any of them. The tolerance of a dtype narrower than float64 hides
many rows. There the check fails where the reference is zero, and the sentence names the rows that
are too small to judge.

Where JAX has no derivative of the loss, as for a callback to NumPy, central differences of every
entry are the reference, and the tolerance is at least theirs, 1e-7. A wrong forward has a wrong
``jax.grad`` too. Central differences see a discontinuous one, and an independent loss sees any.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax import trees
from w2vjax.custom_rules import ruled
from w2vjax.errors import SettingError, as_names, require_function, whole_number
from w2vjax.gradcheck import compare
from w2vjax.gradcheck.compare import TOLERANCES, Exercise, dense, leaf_error
from w2vjax.gradcheck.compiled import AnyBackward, AnyLoss, Compiled, compiled
from w2vjax.gradcheck.differences import TOLERANCE as DIFFERENCES
from w2vjax.gradcheck.differences import difference_error, difference_gradient
from w2vjax.gradcheck.patterns import looks_like
from w2vjax.gradcheck.report import GradientCheck, LeafCheck
from w2vjax.real import number, real_numbers
from w2vjax.trees import as_floats, can_trace, is_float, name_of, widen
from w2vjax.types import Tree

Array = np.ndarray
Leaves = dict[str, Array]
Tolerance: TypeAlias = float | dict[str, float] | None  # of all leaves, or by the name of a leaf

EVERYTHING = ("eager", "vmap", "examples")
SCALES = (1.0, 4.0, 0.25)
# How far the probes are from the params, in units of the largest one. Each goes there and to the
# opposite side, because a unit that is dead on one side is often alive on the other.
FAR = (1.0, 1.0, 4.0, 4.0)
# Examples that are taken one by one to explain a failure.
FEW_EXAMPLES = 64


def check_gradients(
    loss: AnyLoss,
    backward: AnyBackward | None,
    params: Tree,
    *batch: Tree,
    tolerance: Tolerance = None,
    samples: int = 6,
    also: Sequence[str] = EVERYTHING,
    scales: Sequence[float] = SCALES,
    allow_zero: bool | Sequence[str] = False,
    terms: Tree = 0.0,
    loss_terms: float = 0.0,
) -> GradientCheck:
    """Check backward(params, *batch) -> (loss, gradients) against loss(params, *batch) -> scalar.

    The head of this module defines the error. All runs ask for matrix products in the "highest"
    precision, so a GPU uses no TF32. Give params in float64 where you can: a narrower dtype has a
    wider tolerance, and is checked at one scale only. Beside float64 params, the batch is taken in
    float64 too. Pass the same functions again, not new lambdas, and nothing is compiled twice.

    Args:
        loss: any function of one number. A ``custom_vjp`` or ``custom_jvp`` rule of your own in it
            is left out of the reference. It may call NumPy, if params have few entries.
        backward: the function to check. Its gradients are like params, and a leaf may be
            :class:`~w2vjax.types.Rows`. None checks the gradient that ``jax.grad`` takes of the
            loss, with its own rules, for all arguments; the loss may then return any arrays.
        params: a pytree. Its float leaves are checked; integers and keys are constants.
        *batch: pytrees, constants too.
        tolerance: the largest error that passes, for all leaves or by the name of a leaf. By
            default it follows the dtype of the leaf: float64 1e-12, float32 1e-5, float16 5e-3,
            bfloat16 5e-2.
        samples: the number of entries that meet central differences (float64 only).
        also: what is run beside the jitted backward: "eager" without jit (float64 only), "vmap"
            on two params at once, "examples" to see which examples have a part in the gradient.
        scales: what the params are multiplied by, 1 first (float64 only).
        allow_zero: True, or the names of leaves, where a zero reference is allowed.
        terms: a tree like params, or one number: the magnitude of what an entry adds up, before
            anything cancels. By default no rounding error is excused.
        loss_terms: the same for the loss, which may be near zero because numbers cancel.

    Returns:
        The result. Nothing is raised for a wrong gradient: ask ``check.passed``, and print
        ``check.report``. :func:`assert_gradients` raises.

    Raises:
        SettingError: params hold no floats, or floats without a tolerance; an option cannot work;
            or a function does not return what it should.

    >>> loss = lambda w, x: jnp.sum(jnp.tanh(x @ w))
    >>> def backward(w, x):
    ...     a = jnp.tanh(x @ w)
    ...     return a.sum(), x.T @ (1 - a * a)
    >>> def halved(w, x):
    ...     value, gradient = backward(w, x)
    ...     return value, gradient / 2
    >>> w, x = np.ones((3, 2)), np.eye(3)
    >>> check_gradients(loss, backward, w, x).passed
    True
    >>> check_gradients(loss, halved, w, x, also=()).sentence
    'params is 2.0 times too small in every row.'
    >>> check_gradients(loss, backward, 0 * w, 0 * x, also=()).sentence
    'params agrees; not exercised: params in 3 of 3 rows.'
    """
    rules = None
    for name, given in {"loss": loss, "backward": backward or loss}.items():
        require_function(name, given, "Pass a function of (params, *batch).")
    if backward is None:
        rules = ruled(loss)
        loss, backward = rules.loss, rules.backward
        params, batch = {f"argument {i}": each for i, each in enumerate((params, *batch))}, ()
    params, batch = trees.host_copy(params), trees.host_copy(batch)
    leaves = compare.float_leaves(params)
    check_options(leaves, tolerance, samples, also, scales, allow_zero)
    # the narrowest dtype has the widest tolerance
    dtype = max((leaf.dtype.name for leaf in leaves.values()), key=TOLERANCES.__getitem__)
    exact = dtype == "float64"
    # what the backward makes of the batch alone is then as exact as the reference
    batch = widen(batch) if exact else batch
    # infinities are findings here, not accidents worth a warning
    with jax.default_matmul_precision("highest"), np.errstate(all="ignore"):
        run = start(loss, compiled(loss, backward), params, batch)
        limits = leaf_limits(leaves, tolerance, terms, 0.0 if run.value is None else DIFFERENCES)
        points = points_at(run, params, scales if exact else scales[:1])
        first = points[0]
        tested, clear, examples = exercises(run, points, "examples" in also, limits)
        tested = clear if exact else tested
        checks = judged(run, points, limits, tested)
        sizes = [float(call(run, rules.size, p.params)) if rules else 0.0 for p in points]
        figures = summary(dtype, checks, points, number("loss_terms", loss_terms), sizes)
        missing = untested([*tested, *examples], allow_zero)
        result = figures._replace(
            repeatable=repeatable(run, first, limits),
            examples=tuple(examples),
            untested=missing,
            faint=untested([p for p in clear if not any(map(p.names, missing))], allow_zero),
            reference="jax.grad" if run.value is None else "central differences",
            bend=rules and float(call(run, rules.bend, params)),
        )
        if any(first.gradient[name].shape != leaf.shape for name, leaf in leaves.items()):
            return result  # it has failed already, and has no entries to compare
        if exact and run.value is None:
            result = with_exact_parts(result, run, first, samples, limits)
        others = also if all(leaf.passed for leaf in checks) else ()  # else they repeat the error
        if exact and "eager" in others:
            with jax.disable_jit(), jax.enable_x64(True):
                # NumPy's arrays have no ``at``, and a backward may write into them
                given = jax.tree.map(jnp.asarray, (params, *run.batch))
                slow = dense(backward(*given)[1], params)
            result = result._replace(eager_error=excess([(named(slow), first)], limits))
        if "vmap" in others:
            result = result._replace(vmap_error=under_vmap(run, points, limits))
    return result


def assert_gradients(
    loss: AnyLoss, backward: AnyBackward | None, params: Tree, *batch: Tree, **options: Any
) -> None:
    """:func:`check_gradients` for tests: raises AssertionError with the report if it fails.

    >>> square = lambda w: (w**2).sum()
    >>> assert_gradients(square, lambda w: (square(w), 2 * w), np.ones(3))
    >>> assert_gradients(square, lambda w: (square(w), 5 * w), np.ones(3))
    Traceback (most recent call last):
    ...
    AssertionError: leaf    error    tolerance  rows tested  worst entries: found, expected
    params  1.5e+00  1e-12      3 of 3       [0] 5, 2; [1] 5, 2; [2] 5, 2
    FAILED (float64 on ...): params is 2.5 times too large.
    """
    check = check_gradients(loss, backward, params, *batch, **options)
    if not check.passed:
        raise AssertionError(check.report)


def check_options(
    leaves: Leaves,
    tolerance: Tolerance,
    samples: int,
    also: Sequence[str],
    scales: Sequence[float],
    allow_zero: bool | Sequence[str],
) -> None:
    """Raise SettingError for an option that cannot work, or that names what is not there."""
    whole_number("samples", samples, least=0)
    sizes = real_numbers("scales", scales)
    if sizes.ndim != 1 or not sizes.size or sizes[0] != 1 or not np.isfinite(sizes).all():
        raise SettingError(f"scales={scales} cannot work. Begin with 1, the params as they are.")
    limits: dict[str, Any] = tolerance if isinstance(tolerance, dict) else {"": tolerance}
    for limit in limits.values():
        if limit is not None and not number("tolerance", limit) > 0:
            raise SettingError(f"A tolerance of {limit} cannot work. Use a number above 0.")
    named = limits if isinstance(tolerance, dict) else ()
    allowed = () if isinstance(allow_zero, bool) else as_names(allow_zero)
    zeros = [name for name in allowed if not str(name).startswith("batch.")]
    for names, known in ((as_names(also), EVERYTHING), (named, leaves), (zeros, leaves)):
        if unknown := [name for name in names if name not in known]:
            raise SettingError(f"There is no {unknown[0]!r}. Use one of: {', '.join(known)}.")


class Limit(NamedTuple):
    """How far one leaf may be off: by tolerance * max(max |reference|, floor)."""

    tolerance: float
    floor: float


class Prepared(NamedTuple):
    """The compiled functions of a check, and what it passes to them beside the params."""

    calls: Compiled
    batch: Tree
    counted: Tree  # the batch as its examples are counted
    direction: Tree  # like params, in float64, of both signs and near 1
    wide: bool  # whether the backward runs with 64 bits enabled
    value: AnyLoss | None = None  # the loss, if JAX has no derivative of it


class Point(NamedTuple):
    """Losses and gradients at the params times a scale, leaf by leaf in float64."""

    scale: float
    params: Tree
    raw: Any  # what the backward gave
    gradient: Leaves
    loss: float
    wanted: Leaves
    slope: float


def named(tree: Tree) -> Leaves:
    """The float leaves of a tree by name, as NumPy arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(trees.host_copy(tree))
    return {name_of(path): np.asarray(leaf) for path, leaf in leaves if is_float(leaf)}


def leaf_limits(
    leaves: Leaves, tolerance: Tolerance, terms: Tree, least: float
) -> dict[str, Limit]:
    """The tolerance, of at least ``least``, and the floor of each leaf."""
    flat = jax.tree_util.tree_leaves_with_path(terms)
    alone = jax.tree_util.all_leaves([terms])
    sizes = {name: terms for name in leaves} if alone else {name_of(at): x for at, x in flat}
    if missing := set(leaves) - set(sizes):
        cause = f"The terms have no number for {min(missing)}"
        raise SettingError(f"{cause}. Give one number, or a tree like the params.")
    limits = {}
    for name, leaf in leaves.items():
        usual = TOLERANCES[leaf.dtype.name]
        given = tolerance.get(name, usual) if isinstance(tolerance, dict) else tolerance
        allowed = max(least, usual if given is None else given)
        floor = compare.rounding_floor(leaf.dtype.name, allowed, number("terms", sizes[name]))
        limits[name] = Limit(allowed, floor)
    return limits


def start(loss: AnyLoss, calls: Compiled, params: Tree, batch: Tree) -> Prepared:
    """The run of a check. A softmax would not change along a direction of equal numbers."""
    rng = np.random.default_rng(0)
    direction = trees.of_floats_only(
        lambda leaf: rng.choice([-1.0, 1.0], leaf.shape) * rng.uniform(0.5, 1.5, leaf.shape), params
    )
    wide = any(leaf.dtype == np.float64 for leaf in compare.float_leaves(params).values())
    inputs = widen(params), *widen(batch)
    with jax.enable_x64(True):
        by_jax = can_trace(calls.reference, inputs[0], direction, *inputs[1:])
        value = None if by_jax else jax.jit(loss) if can_trace(loss, *inputs) else loss
        return Prepared(calls, batch, as_floats(loss, *inputs), direction, wide, value)


def call(run: Prepared, function: Callable[..., Any], params: Tree) -> Any:
    """A function of the caller, with 64 bits where the params have them."""
    with jax.enable_x64(run.wide):
        return function(params, *run.batch)


def reference(run: Prepared, params: Tree) -> tuple[float, Leaves, float]:
    """Loss, gradient and slope of the loss in float64."""
    with jax.enable_x64(True):
        if (value := run.value) is not None:
            wide, batch = widen(params), widen(run.batch)
            loss = value(wide, *batch)
            total = number("loss", loss)
            gradient = difference_gradient(lambda moved: value(moved, *batch), wide)
            return total, dict(zip(named(params), gradient, strict=True)), 0.0
        found = run.calls.reference(widen(params), run.direction, *widen(run.batch))
        return float(found[0]), named(found[1]), float(found[2])


def points_at(run: Prepared, params: Tree, scales: Sequence[float]) -> list[Point]:
    """The points of a check, without the scales other than 1 where the reference is not finite."""
    points = []
    for scale in scales:
        there = params if scale == 1 else trees.scaled(params, scale)
        loss, wanted, slope = reference(run, there)
        finite = np.isfinite([loss, *(np.abs(leaf).sum() for leaf in wanted.values())]).all()
        if finite or scale == 1:
            try:
                raw = call(run, run.calls.backward, there)
            except jax.errors.TracerArrayConversionError as error:
                cause = "The backward takes an array out of JAX, as functions of NumPy do"
                raise SettingError(f"{cause}. Write it with jax.numpy.") from error
            if not (isinstance(raw, tuple | list) and len(raw) == 2 and np.shape(raw[0]) == ()):
                raise SettingError(
                    "The backward returns something else than a loss and a gradient. Return "
                    "(loss, gradient), as jax.value_and_grad does."
                )
            number("loss of the backward", raw[0])
            gradient = named(dense(raw[1], params))
            points.append(Point(scale, there, raw, gradient, loss, wanted, slope))
    return points


def exercises(
    run: Prepared, points: Sequence[Point], examples: bool, limits: dict[str, Limit]
) -> tuple[list[Exercise], list[Exercise], list[Exercise]]:
    """(rows and columns of each leaf, the same, rows of the batch's leaves) that points exercise.

    The reference of the first is not zero; that of the second is above the tolerance.
    """

    def live(found: Sequence[tuple[Leaves, Leaves]]) -> list[dict[tuple[str, int], Array]]:
        params, batch = (trees.live_rows(each) for each in zip(*found, strict=True))
        return [params, {place: rows for place, rows in batch.items() if not place[1]}]

    def seen(point: Point, name: str, leaf: Array) -> Array:
        floor = floor_at(point, points[0], name, limits[name])
        return trees.above(limits[name].tolerance, leaf, floor)

    def needed(params: Tree) -> Leaves:
        found = influence(run, params) if examples else {}
        return {name: trees.above(TOLERANCES["float64"], leaf) for name, leaf in found.items()}

    tested = live([(p.wanted, needed(p.params)) for p in points])
    clear = [{name: seen(p, name, leaf) for name, leaf in p.wanted.items()} for p in points]
    parts = [(tested[0], 0, ""), (trees.live_rows(clear), 0, ""), (tested[1], 1, "batch.")]
    probed: list[dict[tuple[str, int], Array]] = []
    if not all(rows.all() for part, *_ in parts for rows in part.values()):
        found = probe(run, points[0].params, examples)
        probed = live(found) if found else []

    def counted(part: dict[tuple[str, int], Array], which: int, prefix: str) -> list[Exercise]:
        counts = []
        for (name, axis), rows in part.items():
            # without a probe, every row is taken to be touched
            alive = tested[which][name, axis]
            touched = alive | probed[which][name, axis] if probed else np.ones_like(rows)
            numbers = rows.size, int(touched.sum()), int(rows.sum())
            missing = tuple(np.flatnonzero(touched & ~rows)[:4].tolist())
            counts.append(Exercise(prefix + name, *numbers, axis, missing))
        return counts

    first, second, third = (counted(*part) for part in parts)
    return first, second, third


def probe(run: Prepared, params: Tree, examples: bool) -> list[tuple[Leaves, Leaves]]:
    """Gradients and influences at random params, which show the rows that the loss depends on.

    Two are near the given params, the others are far, in pairs. Where the loss is not finite, none.
    """
    given = widen(params)

    def near(leaf: Array, rng: np.random.Generator, least: float) -> Array:
        """The sign of every entry, and not its size."""
        return leaf * rng.uniform(least, least + 1, leaf.shape)

    def away(leaf: Array, rng: np.random.Generator, times: float) -> Array:
        size = np.abs(leaf).max(initial=0) or 1.0
        return leaf + times * size * rng.normal(size=leaf.shape)

    # the second only shrinks, for losses of a bounded domain
    moves: list[Any] = [partial(near, rng=np.random.default_rng(1), least=x) for x in (0.5, 0.0)]
    for seed, times in enumerate(FAR if run.value is None else FAR[-1:]):  # differences take long
        rngs = np.random.default_rng(seed), np.random.default_rng(seed)  # the same numbers twice
        moves += [partial(away, rng=r, times=t) for r, t in zip(rngs, (times, -times), strict=True)]
    found = []
    for move in moves:
        there = trees.of_floats_only(move, given)
        loss, wanted, _ = reference(run, there)
        if np.isfinite(loss):
            found.append((wanted, influence(run, there) if examples else {}))
    return found


def influence(run: Prepared, params: Tree) -> Leaves:
    """How the gradient depends on each float array of the batch. {} if JAX cannot derive that."""
    try:
        with jax.enable_x64(True):
            found = run.calls.influence(widen(params), run.direction, *widen(run.counted))
    except (TypeError, ValueError, NotImplementedError):  # no derivative, or no second one
        return {}
    return {name: leaf for name, leaf in named(found).items() if leaf.ndim and leaf.size}


def untested(parts: Sequence[Exercise], allow_zero: bool | Sequence[str]) -> tuple[str, ...]:
    """The parts whose reference is zero where it need not be, unless the caller allows it."""
    allowed = [part.name for part in parts] if allow_zero is True else as_names(allow_zero or ())
    found: dict[str, str] = {}
    for part in parts:
        silent = part.rows and not (part.tested or part.axis or part.name.startswith("batch."))
        # rows come before columns, which would say the same again
        new = part.name not in allowed and part.name not in found
        if new and (part.tested < part.touched or silent):
            rows = part.touched or part.rows
            kind = {0: "rows", 1: "columns"}.get(part.axis, f"places of axis {part.axis}")
            which = [str(row) for row in part.missing[:3]] + ["..."] * (len(part.missing) > 3)
            where = f" (at {', '.join(which)})" if part.tested else ""
            found[part.name] = f"{part.name} in {rows - part.tested} of {rows} {kind}{where}"
    return tuple(found.values())


def floor_at(point: Point, first: Point, name: str, limit: Limit) -> float:
    """The floor of a leaf. At another scale it is at least the gradient at the first."""
    return max(limit.floor, 0.0 if point is first else trees.largest(first.wanted[name]))


def error_at(point: Point, first: Point, gradient: Leaves, name: str, limit: Limit) -> float:
    """The error of a leaf."""
    floor = floor_at(point, first, name, limit)
    return leaf_error(gradient[name], point.wanted[name], floor)[0]


def repeatable(run: Prepared, first: Point, limits: dict[str, Limit]) -> bool:
    """Whether a second run gives equal bits. A GPU adds in any order: there, an equal gradient."""
    again = call(run, run.calls.backward, first.params)
    if trees.equal_bits(first.raw, again):
        return True
    most = max(limit.tolerance for limit in limits.values())
    off = excess([(named(dense(again[1], first.params)), first)], limits)
    losses = float(again[0]), float(first.raw[0])
    close = off <= most and abs(losses[0] - losses[1]) <= most * abs(losses[1])
    return jax.default_backend() != "cpu" and close


def judged(
    run: Prepared, points: Sequence[Point], limits: dict[str, Limit], exercised: Sequence[Exercise]
) -> tuple[LeafCheck, ...]:
    """Each leaf, at the first point where it fails, or else where its error is largest."""
    parts: dict[float, list[Leaves]] = {}
    rows = {part.name: part for part in exercised if not part.axis}
    checks = []
    for name, limit in limits.items():
        errors = [error_at(p, points[0], p.gradient, name, limit) for p in points]
        failing = [i for i, error in enumerate(errors) if not error <= limit.tolerance]
        at = failing[0] if failing else int(np.argmax(errors))
        point = points[at]
        if failing and point.scale not in parts:
            parts[point.scale] = example_parts(run, point)
        looks = "agrees"
        if failing:
            others = {other: leaf for other, leaf in point.wanted.items() if other != name}
            each = [part[name] for part in parts[point.scale]]
            looks = looks_like(point.gradient[name], point.wanted[name], others, each)
        worst = compare.worst_entries(point.gradient[name], point.wanted[name])
        size = errors[at], limit.tolerance, point.scale
        checks.append(LeafCheck(name, *size, worst, looks, rows[name]))
    return tuple(checks)


def example_parts(run: Prepared, point: Point) -> list[Leaves]:
    """What each example of the batch adds to the reference, or [] if that is not known.

    It is known if all arrays of the batch have one length, and the gradient is the sum or the mean
    of the gradients of single examples.
    """
    sizes = {len(leaf) for leaf in jax.tree.leaves(run.batch) if np.ndim(leaf)}
    if len(sizes) != 1 or not 1 < max(sizes) <= FEW_EXAMPLES:
        return []
    parts = []
    for b in range(max(sizes)):
        one = jax.tree.map(lambda x, b=b: x[b : b + 1] if np.ndim(x) else x, run.batch)
        try:
            parts.append(reference(run._replace(batch=one), point.params)[1])
        except (TypeError, ValueError):  # the function cannot take one example alone
            return []
    for times in (1, len(parts)):
        total = {name: np.sum([part[name] for part in parts], 0) / times for name in point.wanted}
        if all(leaf_error(total[n], leaf, 1e-300)[0] <= 1e-6 for n, leaf in point.wanted.items()):
            return [{name: leaf / times for name, leaf in part.items()} for part in parts]
    return []


def summary(
    dtype: str,
    checks: Sequence[LeafCheck],
    points: Sequence[Point],
    loss_terms: float,
    sizes: Sequence[float],
) -> GradientCheck:
    """The worst leaf, and the loss. ``sizes``: what the loss of each point adds up, if known."""
    worst = max(checks, key=lambda leaf: leaf.error / leaf.tolerance)
    point = next(point for point in points if point.scale == worst.scale)
    found, wanted = point.gradient[worst.name], point.wanted[worst.name]
    at = leaf_error(found, wanted, 1e-300)[1]
    place = compare.place_of(worst.name, found, wanted, at) if found.size else ""
    first = points[0]
    least = max(abs(first.loss), compare.rounding_floor(dtype, worst.tolerance, loss_terms))
    losses = [
        abs(float(p.raw[0]) - p.loss) / max(abs(p.loss), least, size)
        for p, size in zip(points, sizes, strict=True)
    ]
    gradients = [np.isfinite(leaf).all() for leaf in first.gradient.values()]
    figures = worst.error, worst.tolerance, place, float(np.max(losses))
    return GradientCheck(
        dtype,
        *figures,
        finite=bool(np.isfinite(float(first.raw[0])) and all(gradients)),
        leaves=tuple(checks),
        precision=f"{dtype} on {jax.default_backend()}, matrix products in the highest precision",
    )


def with_exact_parts(
    result: GradientCheck, run: Prepared, point: Point, samples: int, limits: dict[str, Limit]
) -> GradientCheck:
    """What float64 adds: forward mode along a direction, and central differences."""
    least = max(limit.floor for limit in limits.values())
    gradient, direction = list(point.gradient.values()), named(run.direction)
    error, estimate = difference_error(
        lambda params: reference(run, params)[0], gradient, point.params, samples, least
    ) or (None, None)
    terms = [leaf * direction[name] for name, leaf in point.gradient.items()]
    scale = max(sum(float(np.abs(term).sum()) for term in terms), least)
    off = abs(sum(float(term.sum()) for term in terms) - point.slope) / scale
    return result._replace(difference_error=error, difference_estimate=estimate, forward_error=off)


def excess(pairs: Sequence[tuple[Leaves, Point]], limits: dict[str, Limit]) -> float:
    """The largest error of other gradients, in units of the widest tolerance."""
    ratios = [
        error_at(point, pairs[0][1], gradient, name, limit) / limit.tolerance
        for gradient, point in pairs
        for name, limit in limits.items()
    ]
    return float(np.max(ratios)) * max(limit.tolerance for limit in limits.values())


def under_vmap(run: Prepared, points: Sequence[Point], limits: dict[str, Limit]) -> float:
    """The error of two backwards under vmap, at the first and last point; infinite if it raises."""
    others = points[1:] or points_at(run, points[0].params, [0.5])  # exact in every dtype
    two = points[0], [*points, *others][-1]

    def stacked(*leaves: Array) -> Any:
        return np.stack(leaves) if is_float(leaves[0]) else jnp.stack([*map(jnp.asarray, leaves)])

    both = jax.tree.map(stacked, *(point.params for point in two))
    try:
        found = trees.of_arrays(call(run, run.calls.under_vmap, both)[1])
    except Exception:  # what a caller's function raises
        return np.inf
    parts = [jax.tree.map(lambda leaf, i=i: leaf[i], found) for i in range(2)]
    dense_parts = [named(dense(part, points[0].params)) for part in parts]
    return excess(list(zip(dense_parts, two, strict=True)), limits)
