"""One step of the reference model: derivatives by hand, by ``jax.grad`` and in plain NumPy.

    python benchmarks/reference_speed.py [--quick] [--write]

At the post's size (V = 60, D = 10, B = 330) and at V = 1,000 and 10,000, on whatever device JAX
finds, in float32. All three take the same step from the same parameters; that is checked first, and
nothing is timed unless it holds. On a GPU the check is exact, and what is timed multiplies in TF32,
JAX's default. The step by integer ids joins in, to show what one-hot matrices cost. ``--write``
puts the JSON under ``results/``.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import check_close, compare, exact_products, parser_of, report, table

from w2vjax import reference
from w2vjax.reference import ids as reference_ids

SIZES = ((60, 10, 330), (1_000, 100, 1_024), (10_000, 100, 1_024))  # V, D, B
# the post's: a step long enough for a wrong gradient to show in the parameters
LEARNING_RATE = 0.05
TOLERANCE = 1e-5  # float32 against NumPy in float32; measured at most 1.4e-6


def autodiff_loss(params: reference.Params, X: Any, y: Any) -> jax.Array:
    return reference.cross_entropy(reference.forward(params, X)["a2"], y)


def stepper(gradients: Callable[..., Any]) -> Callable[..., Any]:
    """A compiled ``(params, X, y) -> (params, loss)``."""

    def step(params: reference.Params, X: Any, y: Any) -> tuple[reference.Params, jax.Array]:
        loss, d_params = gradients(params, X, y)
        return reference.gradient_step(params, d_params, LEARNING_RATE), loss

    return jax.jit(step)


def numpy_step(
    params: dict[str, np.ndarray], X: np.ndarray, y: np.ndarray
) -> tuple[dict[str, np.ndarray], Any]:
    """The same equations in NumPy, out of place like the others."""
    w1, w2 = params["w1"], params["w2"]
    a1 = X @ w1
    a2 = a1 @ w2
    a2 -= a2.max(axis=1, keepdims=True)
    z = np.exp(a2)
    total = z.sum(axis=1, keepdims=True)
    loss = np.sum(y * (np.log(total) - a2))
    error = z / total - y
    return {
        "w1": w1 - LEARNING_RATE * (X.T @ (error @ w2.T)),
        "w2": w2 - LEARNING_RATE * (a1.T @ error),
    }, loss


def candidates(vocab_size: int, dim: int, batch: int) -> dict[str, Callable[[], Any]]:
    """The four steps on one batch of Zipf-distributed words, data already on the device."""
    rng = np.random.default_rng(0)
    centers, contexts = np.minimum(rng.zipf(1.3, (2, batch)) - 1, vocab_size - 1).astype(np.int32)
    X, y = (
        reference.one_hot_encode(centers, vocab_size),
        reference.one_hot_encode(contexts, vocab_size),
    )
    host = {
        "w1": rng.standard_normal((vocab_size, dim), np.float32) / dim**0.5,
        "w2": rng.standard_normal((dim, vocab_size), np.float32),
    }
    params = {name: jnp.asarray(w) for name, w in host.items()}
    data, ids = jax.device_put((X, y)), jax.device_put((centers, contexts))
    by_hand = stepper(reference.backward)
    by_grad = stepper(jax.value_and_grad(autodiff_loss))
    by_ids = stepper(reference_ids.backward)
    return {
        "handwritten": lambda: by_hand(params, *data),
        "jax.grad": lambda: by_grad(params, *data),
        "NumPy": lambda: numpy_step(host, X, y),
        "handwritten, ids": lambda: by_ids(params, *ids),
    }


def measure(sizes: Any, rounds: int) -> list[dict[str, Any]]:
    """Check, then time, each size. A row has the time over that of the handwritten step."""
    rows = []
    for vocab_size, dim, batch in sizes:
        steps = candidates(vocab_size, dim, batch)
        expected = steps["NumPy"]()
        with exact_products():
            errors = {
                name: check_close(f"{name}, V={vocab_size}", step(), expected, TOLERANCE)
                for name, step in steps.items()
            }
        timings = compare(steps, rounds=rounds)
        for name, timing in timings.items():
            times = timing.median / timings["handwritten"].median
            rows.append(
                timing.row(V=vocab_size, D=dim, B=batch)
                | {"times_handwritten": times, "error": errors[name]}
            )
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="5 samples instead of 21")
    options = parser.parse_args(arguments)
    rounds = 5 if options.quick else 21
    rows = measure(SIZES, rounds)
    record = report(
        "reference_speed",
        {"rounds": rounds, "dtype": "float32", "tolerance": TOLERANCE},
        rows,
        write=options.write,
        quick=options.quick,
    )
    environment = record["environment"]
    print(
        f"{environment['device']['kind']}, {environment['processor']['name']}, "
        f"{environment['date']}\n"
    )
    print(table(rows))


if __name__ == "__main__":
    main()
