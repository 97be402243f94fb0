"""The reference model on the same batches, and against a loss that shares no line with it."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import jax
import numpy as np

from w2vjax import reference
from w2vjax.gradcheck import objectives as forms
from w2vjax.gradcheck.cases import KINDS, SIZES, Case, Size, make_case
from w2vjax.gradcheck.check import check_gradients
from w2vjax.gradcheck.differences import difference_error
from w2vjax.gradcheck.expansions import pair_batch
from w2vjax.gradcheck.objectives import AS_IT_IS, DTYPES, Names, Record
from w2vjax.gradcheck.report import GradientCheck
from w2vjax.types import Tree

compiled_pairs = jax.jit(pair_batch)


def check_reference(
    sizes: Names = tuple(SIZES), kinds: Names = tuple(KINDS), dtypes: Names = DTYPES
) -> Iterator[Record]:
    """One record for each size, kind and dtype, and one against :func:`numpy_loss`."""
    for size, kind in product(sizes, kinds):
        if not forms.applies("pairs", size, kind):
            continue
        case = make_case(kind, SIZES[size])
        for dtype in dtypes:
            inputs = one_hot_case(case, dtype)
            eager = size == forms.MAIN_SIZE or kind in forms.EAGER_KINDS
            check = self_check(inputs, ("eager",) if eager else ())
            yield Record("reference", "one-hot pairs", size, kind, check)
    inputs = one_hot_case(make_case("ordinary", Size(7, 3, 2, 4, 2)), "float64")
    check = check_independently(*inputs)
    yield Record("reference", "one-hot pairs", "7 x 3", "independent NumPy loss", check)


def self_check(inputs: tuple[Tree, np.ndarray, np.ndarray], also: Sequence[str]) -> GradientCheck:
    """The check of the reference model's own backward on one case."""
    options = {"also": also, **AS_IT_IS, **magnitudes(*inputs)}
    return check_gradients(loss, reference.backward, *inputs, **options)


def loss(params: Tree, X: jax.Array, y: jax.Array) -> jax.Array:
    """The reference model's loss as one function of its params, for ``jax.grad``."""
    return reference.cross_entropy(reference.forward(params, X)["a2"], y)


def one_hot_case(case: Case, dtype: str) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """A case as the reference model takes it: params {"w1", "w2"}, X [B, V], y [B, V].

    A padding row of y is 0.
    """
    batch = compiled_pairs(case.tokens, case.segments, case.reach)
    words = np.eye(len(case.input), dtype=np.float32)
    X = words[np.asarray(batch.inputs.ids)[:, 0, 0]]
    y = words[np.asarray(batch.words)[:, 0]] * np.asarray(batch.weights)[:, 0]
    return {"w1": case.input.astype(dtype), "w2": case.output.T.astype(dtype)}, X, y


def magnitudes(params: Tree, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """What a case adds up before anything cancels: the pairs of its busiest word, and a logit."""
    pairs = y.sum(-1)
    w1, w2 = (float(np.abs(params[name].astype(np.float64)).max()) for name in ("w1", "w2"))
    logit = params["w1"].shape[1] * w1 * w2
    centers, contexts = (X * pairs[:, None]).sum(0).max(initial=0), y.sum(0).max(initial=0)
    terms = {"w1": float(centers) * w2, "w2": float(contexts) * w1}
    return {"terms": terms, "loss_terms": float(pairs.sum()) * (1 + logit)}


def numpy_loss(params: Tree, X: np.ndarray, y: np.ndarray) -> float:
    """The reference model's loss again, pair by pair in plain Python and float64."""
    total = 0.0
    for center, context in zip(X, y, strict=True):
        if context.any():
            logits = params["w2"].T @ params["w1"][int(center.argmax())]
            top = max(logits)
            log_total = top + math.log(math.fsum(math.exp(z - top) for z in logits))
            total += log_total - logits[int(context.argmax())]
    return float(total)


def check_independently(params: Tree, X: np.ndarray, y: np.ndarray) -> GradientCheck:
    """The usual check, with loss and differences of every entry from :func:`numpy_loss`."""
    check = self_check((params, X, y), ("eager",))
    with jax.enable_x64(True):
        value, gradient = jax.tree.map(np.asarray, reference.backward(params, X, y))
    everything = sum(leaf.size for leaf in jax.tree.leaves(params))
    found = difference_error(lambda p: numpy_loss(p, X, y), gradient, params, everything, 1e-3)
    gap, estimate = found or (np.nan, np.nan)
    wanted = numpy_loss(params, X, y)
    loss_error = abs(float(value) - wanted) / max(abs(wanted), 1.0)
    return check._replace(loss_error=loss_error, difference_error=gap, difference_estimate=estimate)
