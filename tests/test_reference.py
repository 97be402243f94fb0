"""The reference model: the post's figures, each function by hand, its derivative, and wrong derivatives."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2vjax import data, reference, reference_ids
from w2vjax.errors import CorpusError, DivergedError, IdError, SettingError, UnknownWordError

FLOATS = (jnp.float64, jnp.float32, jnp.float16, jnp.bfloat16)
IDS = {"a": 0, "b": 1, "c": 2}


# ---------------------------------------------------------------------------------------------- text and training data


@given(st.text(alphabet="aZé9_^' ,.\n\u0130中-", max_size=30))
@settings(max_examples=200, deadline=None)
def test_tokenize_agrees_with_a_loop_over_characters(text: str) -> None:
    expected, run = [], ""
    for character in text.lower() + " ":
        if character.isalnum() or character in "_^'":
            run += character
            continue
        if any("a" <= c <= "z" for c in run):
            expected.append(run)
        run = ""
    assert reference.tokenize(text) == expected


def test_the_built_in_text_gives_the_published_counts() -> None:
    published = data.published_figures()
    tokens = reference.tokenize(data.machine_learning_text())
    word_to_id, id_to_word = reference.mapping(tokens, published["vocabulary"])
    assert len(tokens) == published["tokens"]
    assert list(word_to_id) == published["vocabulary"]
    assert all(word_to_id[word] == i for i, word in id_to_word.items())
    X, y = reference.generate_training_data(tokens, word_to_id, 2)
    assert X.shape == y.shape == tuple(published["shape"])
    assert (X.sum(axis=1) == 1).all()
    assert (y.sum(axis=1) == 1).all()


@given(st.lists(st.sampled_from("abcdef"), min_size=1))
@settings(max_examples=100, deadline=None)
def test_mapping_orders_by_frequency_then_first_occurrence(tokens: list[str]) -> None:
    word_to_id, id_to_word = reference.mapping(tokens)
    counts = Counter(tokens)
    assert list(id_to_word.values()) == sorted(counts, key=lambda w: (-counts[w], tokens.index(w)))
    assert {id_to_word[i] for i in range(len(counts))} == set(word_to_id)


def test_twenty_hash_seeds_give_one_vocabulary() -> None:
    # Arrays play no part in it and importing them is nearly all of the start-up, so stand-ins take their place.
    program = (
        "import sys; from unittest.mock import MagicMock\n"
        "sys.modules.update(dict.fromkeys(['jax', 'jax.numpy', 'numpy'], MagicMock()))\n"
        "from w2vjax import data, reference\n"
        "tokens = reference.tokenize(data.machine_learning_text())\n"
        "print(reference.mapping(tokens), list(set(tokens)))"
    )
    outputs = set()
    for seed in range(20):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=True
        )
        mapped, shuffled = done.stdout.split(b") [")
        outputs.add((mapped, shuffled))
    assert len({mapped for mapped, _ in outputs}) == 1
    assert len({shuffled for _, shuffled in outputs}) > 1, "the seeds did change the order of a set"


def test_mapping_refuses_what_cannot_be_numbered() -> None:
    with pytest.raises(CorpusError, match="no words"):
        reference.mapping(reference.tokenize("2013, 42!"))
    with pytest.raises(CorpusError, match="lacks 'tea'"):
        reference.mapping(["tea", "time"], ["time"])
    with pytest.raises(SettingError, match="'time' more than once"):
        reference.mapping(["tea", "time"], ["time", "tea", "time"])
    assert reference.mapping(["tea"], ["time", "tea"])[0] == {"time": 0, "tea": 1}


@given(st.lists(st.sampled_from("abc"), max_size=9), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_training_pairs_are_all_pairs_within_the_window(tokens: list[str], window: int) -> None:
    centers, contexts = reference.training_pairs(tokens, IDS, window)
    near = [
        (IDS[a], IDS[b])
        for i, a in enumerate(tokens)
        for j, b in enumerate(tokens)
        if 0 < abs(i - j) <= window
    ]
    assert list(zip(centers.tolist(), contexts.tolist(), strict=True)) == near
    X, y = reference.generate_training_data(tokens, IDS, window)
    assert X.shape == y.shape == (len(near), 3)
    np.testing.assert_array_equal(X.argmax(1)[: len(near)], centers)
    np.testing.assert_array_equal(y.argmax(1)[: len(near)], contexts)


def test_small_texts() -> None:
    assert reference.tokenize("") == []
    assert reference.generate_training_data(["a"], {"a": 0}, 2)[0].shape == (0, 1)  # one word: no neighbour
    assert reference.generate_training_data(["a", "b", "a"], {"a": 0, "b": 1}, 99)[0].shape == (6, 2)
    with pytest.raises(UnknownWordError, match="'kettle'"):
        reference.generate_training_data(["kettle"], IDS, 2)


def test_one_hot_encode_refuses_ids_outside_the_vocabulary() -> None:
    assert reference.one_hot_encode(1, 3).tolist() == [0, 1, 0]
    assert reference.one_hot_encode(np.zeros((2, 0), np.int32), 3).shape == (2, 0, 3)
    for bad in (-1, 3, [0, 3], 1.0, 2**40):
        with pytest.raises(IdError):
            reference.one_hot_encode(bad, 3)


# --------------------------------------------------------------------------------------------------- start and forward


def test_init_network_from_a_key_and_from_the_legacy_seed(x64: None) -> None:
    again = [reference.init_network(5, 3, jax.random.key(7)) for _ in range(2)]
    np.testing.assert_array_equal(again[0]["w1"], again[1]["w1"])
    assert not jnp.any(again[0]["w1"] == reference.init_network(5, 3, jax.random.key(8))["w1"])
    legacy = np.random.RandomState(42)
    params = reference.init_network(5, 3, numpy_seed=42)
    np.testing.assert_array_equal(params["w1"], legacy.randn(5, 3))
    np.testing.assert_array_equal(params["w2"], legacy.randn(3, 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 0, "dim": 2, "numpy_seed": 1}, "vocab_size is 0"),
        ({"vocab_size": 2, "dim": 0, "numpy_seed": 1}, "dim is 0"),
        ({"vocab_size": 2, "dim": 1.5, "numpy_seed": 1}, "dim is 1.5"),
        ({"vocab_size": 2, "dim": True, "numpy_seed": 1}, "dim is True"),
        ({"vocab_size": 2, "dim": 2}, "Give either"),
        ({"vocab_size": 2, "dim": 2, "numpy_seed": -1}, "numpy_seed is -1"),
        ({"vocab_size": 2, "dim": 2, "numpy_seed": 2**32}, "numpy_seed is 4294967296"),
    ],
)
def test_init_network_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        reference.init_network(**arguments)


def test_forward_by_hand_with_and_without_jit(x64: None) -> None:
    # word 1: a1 = (0, 1); a2 = (0, ln 3), so z = (1, 3) / 4
    params = {"w1": jnp.array([[9.0, 9.0], [0.0, 1.0]]), "w2": jnp.array([[5.0, 5.0], [0.0, np.log(3.0)]])}
    for forward in (reference.forward, jax.jit(reference.forward)):
        cache = forward(params, jnp.array([[0, 1]]))
        np.testing.assert_allclose(cache["a1"], [[0, 1]], rtol=1e-15)
        np.testing.assert_allclose(cache["a2"], [[0, np.log(3)]], rtol=1e-15)
        np.testing.assert_allclose(cache["z"], [[0.25, 0.75]], rtol=1e-15)
    alone = reference.forward(params, [0, 1], return_cache=False)  # one row, a list, as the post passes it
    np.testing.assert_allclose(alone, [0.25, 0.75], rtol=1e-15)


def test_cross_entropy_by_hand_with_and_without_jit(x64: None) -> None:
    a2, y = jnp.array([[0.0, np.log(3.0)], [2.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    for cross_entropy in (reference.cross_entropy, jax.jit(reference.cross_entropy)):
        np.testing.assert_allclose(cross_entropy(a2, y), np.log(4) + np.log(2), rtol=1e-15)
        assert cross_entropy(a2, jnp.zeros_like(y)) == 0
        assert cross_entropy(a2[:0], y[:0]) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_extreme_logits_stay_finite_and_right(dtype: Any, x64: None) -> None:
    """Logits to +-1e4 in every dtype, 330 of them at once: the sum, 6.6e6, would overflow float16."""
    a2 = jnp.tile(jnp.array([[1e4, -1e4, 0.0]], dtype), (330, 1))
    top, spread = float(a2[0, 0]), float(a2[0, 0]) - float(a2[0, 1])
    for target, expected in ((0, 0.0), (1, spread), (2, top)):
        loss = reference.cross_entropy(a2, np.eye(3)[[target] * 330])
        ids_loss = reference_ids.cross_entropy(a2, jnp.full(330, target))
        assert loss.dtype == (jnp.float64 if dtype == jnp.float64 else jnp.float32)
        np.testing.assert_allclose(float(loss), 330 * expected, rtol=1e-6)
        assert float(ids_loss) == float(loss)
    np.testing.assert_array_equal(
        np.asarray(reference.softmax(a2), np.float32), np.tile([1.0, 0, 0], (330, 1))
    )


# ----------------------------------------------------------------------------------------------------------- gradients


def random_params(vocab_size: int, dim: int, scale: float = 1.0, seed: int = 0) -> reference.Params:
    rng = np.random.default_rng(seed)
    return {"w1": jnp.asarray(scale * rng.standard_normal((vocab_size, dim))),
            "w2": jnp.asarray(rng.standard_normal((dim, vocab_size)))}  # fmt: skip


def batches() -> dict[str, tuple[reference.Params, np.ndarray, np.ndarray]]:
    """Params and one-hot batches on which a wrong derivative has nowhere to hide; padding is a row of zeros in y."""
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


def autodiff(params: reference.Params, X: Any, y: Any) -> tuple[jax.Array, reference.Params]:
    return jax.value_and_grad(lambda p: reference.cross_entropy(reference.forward(p, X)["a2"], y))(params)


def gradient_error(found: reference.Params, expected: reference.Params) -> float:
    """max|found - expected| / max(max|expected|, 1) over both weights; NaN counts as infinite."""
    errors = []
    for name, e in expected.items():
        f, e = np.asarray(found[name], np.float64), np.asarray(e, np.float64)
        error = np.abs(f - e).max() / max(np.abs(e).max(), 1.0) if f.shape == e.shape else np.inf
        errors.append(np.inf if np.isnan(error) else float(error))
    return max(errors)


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_backward_equals_autodiff_on_every_batch(jit: bool, x64: None) -> None:
    backward = jax.jit(reference.backward) if jit else reference.backward
    for name, (params, X, y) in batches().items():
        (loss, gradients), (expected_loss, expected) = backward(params, X, y), autodiff(params, X, y)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-14, err_msg=name)
        error = gradient_error(gradients, expected)
        assert error <= 1e-12, f"{name}: {error}"  # measured: at most 5.2e-16


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 5e-2)])
def test_backward_in_low_precision_is_near_float64(dtype: Any, tolerance: float, x64: None) -> None:
    """Against float64 at the same rounded params; measured: 1.8e-7 (float32) and 3.6e-3 (bfloat16)."""
    for name, (params, X, y) in batches().items():
        rounded = {key: w.astype(dtype) for key, w in params.items()}
        exact = {key: w.astype(jnp.float64) for key, w in rounded.items()}
        loss, gradients = reference.backward(rounded, X, y)
        assert np.isfinite(float(loss))
        assert gradients["w1"].dtype == gradients["w2"].dtype == dtype
        error = gradient_error(gradients, autodiff(exact, X, y)[1])
        assert error <= tolerance, f"{name}: {error}"


def numpy_loss(w1: np.ndarray, w2: np.ndarray, X: np.ndarray, y: np.ndarray) -> float:
    """The loss again, example by example, sharing no code with the package."""
    total = 0.0
    for x, target in zip(X, y, strict=True):
        logits = w1[x.argmax()] @ w2
        total += target.sum() * np.log(np.exp(logits - logits.max()).sum()) + target @ (logits.max() - logits)
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
            # truncation is of the order step^2, rounding of 1e-16 * loss / step: measured at most 2e-9
            assert abs((ends[0] - ends[1]) / (2 * step) - float(gradients[name][place])) <= 1e-7, (
                name,
                place,
            )


# Each mutant is the backward with one mistake that people make: (params, X, y, a1, z, da2) -> (dw1, dw2).
def correct(p: Any, X: Any, y: Any, a1: Any, z: Any, da2: Any) -> tuple[Any, Any]:
    return X.T @ (da2 @ p["w2"].T), a1.T @ da2


def _first_seen(X: Any) -> Any:
    """1 for each example whose center did not occur before it, as a column."""
    return ((jnp.cumsum(X, axis=0) * X).sum(axis=1, keepdims=True) == 1).astype(X.dtype)


def _overflowing(a2: Any, y: Any) -> Any:
    return jnp.exp(a2) / jnp.exp(a2).sum(axis=1, keepdims=True) * y.sum(axis=1, keepdims=True)


MUTANTS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "last row of dw1 zeroed": lambda p, X, y, a1, z, e: (correct(p, X, y, a1, z, e)[0].at[-1].set(0), a1.T @ e),
    "dw1 with the wrong sign": lambda p, X, y, a1, z, e: (-X.T @ (e @ p["w2"].T), a1.T @ e),
    "dw2 with the wrong sign": lambda p, X, y, a1, z, e: (X.T @ (e @ p["w2"].T), -a1.T @ e),
    "one-hot not subtracted": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e + y),
    "one-hot subtracted twice": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e - y),
    "a tenth of a per cent too long": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, 1.001 * e),
    "last example lost": lambda p, X, y, a1, z, e: correct(p, X[:-1], y[:-1], a1[:-1], z[:-1], e[:-1]),
    "first duplicate of a center only": lambda p, X, y, a1, z, e: (X.T @ (_first_seen(X) * (e @ p["w2"].T)), a1.T @ e),
    "duplicates averaged": lambda p, X, y, a1, z, e: (
        X.T @ (e @ p["w2"].T) / jnp.maximum(X.sum(axis=0), 1)[:, None], a1.T @ e),
    "mean instead of sum": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e / max(len(X), 1)),
    "padding counted": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, z - y),
    "softmax not shifted": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, _overflowing(a1 @ p["w2"], y) - y),
    "squared-error derivative": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e * z * (1 - z)),
    "center's own logit skipped": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, e * (1 - X)),
    "contexts off by one example": lambda p, X, y, a1, z, e: correct(p, X, y, a1, z, z - jnp.roll(y, 1, axis=0)),
    "w2 stepped before dw1": lambda p, X, y, a1, z, e: (X.T @ (e @ (p["w2"] - 0.05 * a1.T @ e).T), a1.T @ e),
    "gradients exchanged": lambda p, X, y, a1, z, e: ((a1.T @ e).T, (X.T @ (e @ p["w2"].T)).T),
    "one entry off by 1e-9": lambda p, X, y, a1, z, e: (X.T @ (e @ p["w2"].T), (a1.T @ e).at[0, 0].multiply(1 + 1e-9)),
    "error rounded to float32": lambda p, X, y, a1, z, e: correct(
        p, X, y, a1, z, e.astype(jnp.float32).astype(jnp.float64)),
}  # fmt: skip


def worst_error(rule: Callable[..., tuple[Any, Any]]) -> float:
    worst = 0.0
    for params, X, y in batches().values():
        X, y = jnp.asarray(X), jnp.asarray(y)
        cache = reference.forward(params, X)
        da2 = cache["z"] * y.sum(axis=1, keepdims=True) - y
        dw1, dw2 = rule(params, X, y, cache["a1"], cache["z"], da2)
        worst = max(worst, gradient_error({"w1": dw1, "w2": dw2}, autodiff(params, X, y)[1]))
    return worst


@pytest.mark.parametrize("name", MUTANTS)
def test_every_wrong_backward_is_caught(name: str, x64: None) -> None:
    assert (
        worst_error(MUTANTS[name]) > 1e-10
    )  # a hundred times the tolerance; the mildest, 1e-9 off, still shows


def test_the_right_backward_is_never_accused(x64: None) -> None:
    assert worst_error(correct) <= 1e-12


# -------------------------------------------------------------------------------------------------- ids, steps and use


def test_ids_give_the_numbers_of_the_one_hot_form(x64: None) -> None:
    by_ids, one_hot = jax.jit(reference_ids.backward), jax.jit(reference.backward)
    for name, (params, X, y) in batches().items():
        if "padded" in name or name == "empty":  # a row of zeros has no id; an empty batch is below
            continue
        centers, contexts = X.argmax(1), y.argmax(1)
        expected_loss, expected = one_hot(params, X, y)
        for backward in (by_ids, reference_ids.backward) if name == "Zipf duplicates" else (by_ids,):
            loss, gradients = backward(params, centers, contexts)
            np.testing.assert_allclose(loss, expected_loss, rtol=1e-14, err_msg=name)
            assert gradient_error(gradients, expected) <= 1e-12, name  # measured: at most 2.3e-16
        logits = jax.jit(reference.forward)(params, X)["a2"]
        np.testing.assert_allclose(jax.jit(reference_ids.forward)(params, centers)["a2"], logits, rtol=1e-13)
    loss, gradients = reference_ids.backward(params, [], [])
    assert float(loss) == 0
    assert not jnp.any(gradients["w1"])


def test_ids_outside_the_vocabulary_are_refused() -> None:
    params = reference.init_network(3, 2, jax.random.key(0))
    for bad in ([-1], [3], [2**31 + 3], [2**32 + 1], [1.5], [np.nan]):
        with pytest.raises(IdError):
            reference_ids.forward(params, bad)
        with pytest.raises(IdError):
            reference_ids.backward(params, [0], bad)
        with pytest.raises(IdError):
            reference_ids.train(params, [0], bad, 0.1, 2)


def test_train_is_the_loop_one_would_write_and_changes_nothing(x64: None) -> None:
    tokens = reference.tokenize(data.machine_learning_text())
    word_to_id, _ = reference.mapping(tokens)
    X, y = reference.generate_training_data(tokens, word_to_id, 2)
    start = reference.init_network(len(word_to_id), 10, numpy_seed=3)
    before, params, losses = {name: np.array(w) for name, w in start.items()}, start, []
    backward = jax.jit(reference.backward)
    for _ in range(10):
        loss, gradients = backward(params, X, y)
        params = reference.gradient_step(params, gradients, 0.05)
        losses.append(float(loss))
    trained, history = reference.train(start, X, y, 0.05, 10)
    by_ids, ids_history = reference_ids.train(
        start, *reference.training_pairs(tokens, word_to_id, 2), 0.05, 10
    )
    # ten steps of a summed loss magnify the last bit: measured 4e-14
    np.testing.assert_allclose(history, losses, rtol=1e-11)
    np.testing.assert_allclose(ids_history, losses, rtol=1e-11)
    for name in ("w1", "w2"):
        np.testing.assert_allclose(trained[name], params[name], atol=1e-11)
        np.testing.assert_allclose(by_ids[name], params[name], atol=1e-11)
        np.testing.assert_array_equal(start[name], before[name])
    again = reference.train(start, X, y, 0.05, 10)
    np.testing.assert_array_equal(trained["w1"], again[0]["w1"])


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.0, -0.1])
def test_train_refuses_a_learning_rate(rate: float) -> None:
    with pytest.raises(SettingError, match="learning_rate is"):
        reference.train(reference.init_network(3, 2, jax.random.key(0)), np.eye(3), np.eye(3), rate, 1)


def test_train_refuses_no_steps_no_pairs_and_divergence() -> None:
    params = reference.init_network(3, 2, jax.random.key(0))
    with pytest.raises(SettingError, match="steps is 0"):
        reference.train(params, np.eye(3), np.eye(3), 0.1, 0)
    with pytest.raises(CorpusError, match="no pair"):
        reference.train(params, np.eye(3)[:0], np.eye(3)[:0], 0.1, 1)
    with pytest.raises(DivergedError, match=r"at step \d+"):
        reference.train(params, np.eye(3), np.eye(3)[::-1].copy(), 1e30, 10)


def test_predict_context_ranks_all_words_and_names_an_unknown_one() -> None:
    params = {"w1": jnp.array([[1.0], [0.0], [0.0]]), "w2": jnp.array([[1.0, 1e4, -1e4]])}
    assert reference.predict_context(params, "a", IDS) == ["b", "a", "c"]
    assert reference.predict_context(params, "b", IDS) == ["a", "b", "c"]  # equals keep the order of ids
    assert reference.get_embedding(params, "a", IDS).tolist() == [1.0]
    for function in (reference.predict_context, reference.get_embedding):
        with pytest.raises(UnknownWordError, match="'kettle'"):
            function(params, "kettle", IDS)
        with pytest.raises(KeyError):
            function(params, "kettle", IDS)
