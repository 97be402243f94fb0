"""The reference model's derivatives against autodiff and differences. Wrong ones are caught."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from w2vjax import reference
from w2vjax.reference import ids as reference_ids


def random_params(vocab_size: int, dim: int, scale: float = 1.0, seed: int = 0) -> reference.Params:
    rng = np.random.default_rng(seed)
    return {
        "w1": jnp.asarray(scale * rng.standard_normal((vocab_size, dim))),
        "w2": jnp.asarray(rng.standard_normal((dim, vocab_size))),
    }


def batches() -> dict[str, tuple[reference.Params, np.ndarray, np.ndarray]]:
    """Params and one-hot batches that show any wrong derivative. Padding is a zero row of y."""
    rng = np.random.default_rng(1)
    one, usual, ids = np.eye(7), random_params(7, 3), np.arange(12) % 7
    zipf, mixed = np.minimum(rng.zipf(1.5, (2, 12)) - 1, 6), rng.integers(0, 7, (2, 12))
    half = np.where(np.arange(12)[:, None] % 2, one[mixed[1]], 0)
    return {
        "mixed": (usual, one[mixed[0]], one[mixed[1]]),
        "repeated center": (usual, one[[4] * 12], one[ids]),
        "repeated context": (usual, one[ids], one[[6] * 12]),
        "Zipf duplicates": (usual, one[zipf[0]], one[zipf[1]]),
        "center is context": (usual, one[mixed[0]], one[mixed[0]]),
        "half padded": (usual, one[mixed[0]], half),
        "all padded": (usual, one[mixed[0]], np.zeros((12, 7))),
        "all at the last id": (usual, one[[6] * 12], one[[6] * 12]),
        "logits to 2e4": (random_params(7, 3, scale=1e4), one[mixed[0]], one[mixed[1]]),
        "V = 1": (random_params(1, 3), np.ones((4, 1)), np.ones((4, 1))),
        "V = 2, D = 1": (random_params(2, 1), np.eye(2)[[0, 1, 1]], np.eye(2)[[1, 0, 1]]),
        "empty": (usual, one[:0], one[:0]),
    }


@jax.jit
def autodiff(params: reference.Params, X: Any, y: Any) -> tuple[jax.Array, reference.Params]:
    return jax.value_and_grad(lambda p: reference.cross_entropy(reference.forward(p, X)["a2"], y))(
        params
    )


def gradient_error(found: reference.Params, expected: reference.Params) -> float:
    """max|found - expected| / max(max|expected|, 1) over both weights; NaN counts as infinite."""
    errors = []
    for name, e in expected.items():
        f, e = np.asarray(found[name], np.float64), np.asarray(e, np.float64)
        error = np.abs(f - e).max() / max(np.abs(e).max(), 1.0) if f.shape == e.shape else np.inf
        errors.append(np.inf if np.isnan(error) else float(error))
    return max(errors)


jitted = jax.jit(reference.backward)


@pytest.mark.parametrize(
    "jit", [pytest.param(False, id="eager", marks=pytest.mark.slow), pytest.param(True, id="jit")]
)
def test_backward_equals_autodiff_on_every_batch(jit: bool, x64: None) -> None:
    backward = jitted if jit else reference.backward
    for name, (params, X, y) in batches().items():
        (loss, gradients), (expected_loss, expected) = (
            backward(params, X, y),
            autodiff(params, X, y),
        )
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-14, err_msg=name)
        error = gradient_error(gradients, expected)
        assert error <= 1e-12, f"{name}: {error}"  # measured: at most 5.2e-16


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 5e-2)])
def test_backward_in_low_precision_is_near_float64(dtype: Any, tolerance: float, x64: None) -> None:
    """Against float64 at the same rounded params: measured 1.8e-7 (float32), 3.6e-3 (bfloat16)."""
    for name, (params, X, y) in batches().items():
        rounded = {key: w.astype(dtype) for key, w in params.items()}
        exact = {key: w.astype(jnp.float64) for key, w in rounded.items()}
        loss, gradients = jitted(rounded, X, y)
        assert np.isfinite(float(loss))
        assert gradients["w1"].dtype == gradients["w2"].dtype == dtype
        error = gradient_error(gradients, autodiff(exact, X, y)[1])
        assert error <= tolerance, f"{name}: {error}"


def numpy_loss(w1: np.ndarray, w2: np.ndarray, X: np.ndarray, y: np.ndarray) -> float:
    """The loss again, example by example, sharing no code with the package."""
    total = 0.0
    for x, target in zip(X, y, strict=True):
        logits = w1[x.argmax()] @ w2
        total += target.sum() * np.log(np.exp(logits - logits.max()).sum()) + target @ (
            logits.max() - logits
        )
    return total


def test_backward_equals_central_differences_of_an_independent_loss(x64: None) -> None:
    params, X, y = batches()["Zipf duplicates"]
    weights, step = {name: np.array(w) for name, w in params.items()}, 1e-5
    loss, gradients = reference.backward(params, X, y)
    assert abs(float(loss) - numpy_loss(**weights, X=X, y=y)) <= 1e-12 * float(loss)
    for name, w in weights.items():
        for place in np.ndindex(w.shape):
            ends = []
            for sign in (1, -1):
                moved = w.copy()
                moved[place] += sign * step
                ends.append(numpy_loss(**{**weights, name: moved}, X=X, y=y))
            # truncation is of the order step^2, rounding of 1e-16 * loss / step: measured at most
            # 2e-9
            assert abs((ends[0] - ends[1]) / (2 * step) - float(gradients[name][place])) <= 1e-7, (
                name,
                place,
            )


# Each mutant is the backward with one mistake that people make: (params, X, y, a1, z, da2) -> (dw1,
# dw2).
def correct(p: Any, X: Any, y: Any, a1: Any, z: Any, da2: Any) -> tuple[Any, Any]:
    return X.T @ (da2 @ p["w2"].T), a1.T @ da2


def _first_seen(X: Any) -> Any:
    """1 for each example whose center did not occur before it, as a column."""
    return ((jnp.cumsum(X, axis=0) * X).sum(axis=1, keepdims=True) == 1).astype(X.dtype)


def _overflowing(a2: Any, y: Any) -> Any:
    return jnp.exp(a2) / jnp.exp(a2).sum(axis=1, keepdims=True) * y.sum(axis=1, keepdims=True)


MUTANTS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "last row of dw1 zeroed": lambda p, X, y, a1, z, e: (
        correct(p, X, y, a1, z, e)[0].at[-1].set(0),
        a1.T @ e,
    ),
    "dw1 with the wrong sign": lambda p, X, y, a1, z, e: (-X.T @ (e @ p["w2"].T), a1.T @ e),
    "dw2 with the wrong sign": lambda p, X, y, a1, z, e: (X.T @ (e @ p["w2"].T), -a1.T @ e),
    "one-hot not subtracted": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e + y),
    "one-hot subtracted twice": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e - y),
    "a tenth of a per cent too long": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, 1.001 * e),
    "last example lost": lambda p, X, y, a1, z, e: correct(
        p, X[:-1], y[:-1], a1[:-1], z[:-1], e[:-1]
    ),
    "first duplicate of a center only": lambda p, X, y, a1, z, e: (
        X.T @ (_first_seen(X) * (e @ p["w2"].T)),
        a1.T @ e,
    ),
    "duplicates averaged": lambda p, X, y, a1, z, e: (
        X.T @ (e @ p["w2"].T) / jnp.maximum(X.sum(axis=0), 1)[:, None],
        a1.T @ e,
    ),
    "mean instead of sum": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e / max(len(X), 1)),
    "padding counted": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, z - y),
    "softmax not shifted": lambda p, X, y, a1, z, e: correct(
        p, X, y, a1, z, _overflowing(a1 @ p["w2"], y) - y
    ),
    "squared-error derivative": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e * z * (1 - z)),
    "center's own logit skipped": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e * (1 - X)),
    "contexts off by one example": lambda p, X, y, a1, z, e: correct(
        p, X, y, a1, z, z - jnp.roll(y, 1, axis=0)
    ),
    "w2 stepped before dw1": lambda p, X, y, a1, z, e: (
        X.T @ (e @ (p["w2"] - 0.05 * a1.T @ e).T),
        a1.T @ e,
    ),
    "gradients exchanged": lambda p, X, y, a1, z, e: ((a1.T @ e).T, (X.T @ (e @ p["w2"].T)).T),
    "one entry off by 1e-9": lambda p, X, y, a1, z, e: (
        X.T @ (e @ p["w2"].T),
        (a1.T @ e).at[0, 0].multiply(1 + 1e-9),
    ),
    "error rounded to float32": lambda p, X, y, a1, z, e: correct(
        p, X, y, a1, z, e.astype(jnp.float32).astype(jnp.float64)
    ),
}


@lru_cache(maxsize=1)
def situations() -> list[tuple[Any, ...]]:
    """The inputs of a rule for each batch and the float64 gradient it should find, made once."""
    made: list[tuple[Any, ...]] = []
    for params, X, y in batches().values():
        X, y = jnp.asarray(X), jnp.asarray(y)
        cache = reference.forward(params, X)
        da2 = cache["z"] * y.sum(axis=1, keepdims=True) - y
        made.append((params, X, y, cache["a1"], cache["z"], da2, autodiff(params, X, y)[1]))
    return made


def worst_error(rule: Callable[..., tuple[Any, Any]]) -> float:
    rules = ((rule(*inputs), expected) for *inputs, expected in situations())
    return max(gradient_error({"w1": dw1, "w2": dw2}, expected) for (dw1, dw2), expected in rules)


@pytest.mark.parametrize("name", MUTANTS)
def test_every_wrong_backward_is_caught(name: str, x64: None) -> None:
    # a hundred times the tolerance; the mildest, 1e-9 off, still shows
    assert worst_error(MUTANTS[name]) > 1e-10


def test_the_right_backward_is_never_accused(x64: None) -> None:
    assert worst_error(correct) <= 1e-12


def test_ids_give_the_numbers_of_the_one_hot_form(x64: None) -> None:
    by_ids, forward = jax.jit(reference_ids.backward), jax.jit(reference.forward)
    forward_by_ids = jax.jit(reference_ids.forward)
    for name, (params, X, y) in batches().items():
        if "padded" in name or name == "empty":  # a row of zeros has no id; an empty batch is below
            continue
        centers, contexts = X.argmax(1), y.argmax(1)
        expected_loss, expected = jitted(params, X, y)
        for backward in (
            (by_ids, reference_ids.backward) if name == "Zipf duplicates" else (by_ids,)
        ):
            loss, gradients = backward(params, centers, contexts)
            np.testing.assert_allclose(loss, expected_loss, rtol=1e-14, err_msg=name)
            assert gradient_error(gradients, expected) <= 1e-12, name  # measured: at most 2.3e-16
        logits = forward(params, X)["a2"]
        np.testing.assert_allclose(forward_by_ids(params, centers)["a2"], logits, rtol=1e-13)
    loss, gradients = reference_ids.backward(params, [], [])
    assert float(loss) == 0
    assert not jnp.any(gradients["w1"])
