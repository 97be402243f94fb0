"""Benchmarks check before they time: the timing module, and a benchmark that is broken."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_speed
import timing

SIZE = ((7, 3, 12),)


def test_the_steps_agree_and_are_timed() -> None:
    rows = reference_speed.measure(SIZE, rounds=2)
    assert [row["name"] for row in rows] == ["handwritten", "jax.grad", "NumPy", "handwritten, ids"]
    assert all(row["error"] <= reference_speed.TOLERANCE and row["median_s"] > 0 for row in rows)
    assert "| handwritten, ids |" in timing.table(rows)


def test_a_wrong_gradient_stops_the_benchmark_before_it_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true_backward = reference_speed.reference.backward

    def wrong(params: Any, X: Any, y: Any) -> Any:
        loss, gradients = true_backward(params, X, y)
        return loss, {**gradients, "w1": 1.001 * gradients["w1"]}

    monkeypatch.setattr(reference_speed.reference, "backward", wrong)
    monkeypatch.setattr(
        reference_speed, "compare", lambda *_, **__: pytest.fail("it went on to time")
    )
    with pytest.raises(timing.CheckFailed, match=r"handwritten, V=7.*w1"):
        reference_speed.measure(SIZE, rounds=2)


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ({"w": jnp.array([1.0, 2.1])}, "error"),
        ({"w": jnp.array([1.0, jnp.nan])}, "error nan"),
        ({"w": jnp.array([1.0])}, "shape"),
        ({"v": jnp.array([1.0, 2.0])}, "structures"),
    ],
)
def test_check_close_fails_loudly(got: Any, message: str) -> None:
    expected = {"w": np.array([1.0, 2.0])}
    with timing.exact_products():
        assert timing.check_close("w", {"w": jnp.array([1.0, 2.0])}, expected, 1e-6) == 0
        with pytest.raises(timing.CheckFailed, match=message):
            timing.check_close("w", got, expected, 1e-6)


def test_a_check_has_exact_products_in_all_threads_and_the_timing_has_not() -> None:
    seen, before = [], jax.config.jax_default_matmul_precision

    def product() -> Any:
        seen.append(jax.config.jax_default_matmul_precision)
        return jnp.eye(2) @ jnp.eye(2)

    with jax.default_matmul_precision(None):
        with pytest.raises(timing.CheckFailed, match="exact_products"):
            timing.check_close("w", product(), np.eye(2), 1e-6)
        timing.compare({"a": product}, rounds=1, sample_seconds=1e-9)
    assert set(seen) == {None}
    seen.clear()
    with timing.exact_products(), ThreadPoolExecutor(1) as thread:
        timing.check_close("w", product(), thread.submit(product).result(), 1e-6)
    assert seen == ["highest"] * 2
    assert jax.config.jax_default_matmul_precision == before


def test_candidates_take_turns() -> None:
    calls: list[str] = []

    def candidate(name: str) -> Callable[[], None]:
        return lambda: calls.append(name)

    timings = timing.compare(
        {"a": candidate("a"), "b": candidate("b")}, rounds=3, warmup=1, sample_seconds=1e-9
    )
    assert "".join(calls) == "aabb" + "ab" * 3  # a warm-up and a calibration each, then turns
    assert all(
        len(t.seconds) == 3 and t.quartiles[0] <= t.median <= t.quartiles[1]
        for t in timings.values()
    )


def test_a_report_says_where_and_on_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "HERE", tmp_path / "benchmarks")
    (tmp_path / "benchmarks").mkdir()
    timing.report("x", {"rounds": 1}, [{"name": "a", "median_s": 1.0}], write=True)
    (path,) = (tmp_path / "benchmarks" / "results").rglob("*.json")
    environment = json.loads(path.read_text())["environment"]
    assert environment["device"]["platform"] in {"cpu", "gpu", "tpu"}
    assert environment["clock"]["implementation"]
    assert environment["versions"]["jax"]
    assert environment["matmul_precision"]["float32_products"]
    assert environment["matmul_precision"]["checks"] == "highest"
    assert environment["commit"] is None, "a folder outside any repository"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4e-6, "4 us"), (5e-9, "5 ns")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert timing.duration(seconds) == shown
