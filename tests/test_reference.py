"""The reference model: start and forward by hand, training as a plain loop, and its use."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from w2vjax import data, reference
from w2vjax.errors import CorpusError, DivergedError, IdError, SettingError, UnknownWordError
from w2vjax.reference import ids as reference_ids

FLOATS = (jnp.float64, jnp.float32, jnp.float16, jnp.bfloat16)

IDS = {"a": 0, "b": 1, "c": 2}


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
        ({"vocab_size": 0, "dim": 2, "numpy_seed": 1}, "vocab_size=0"),
        ({"vocab_size": 2, "dim": 0, "numpy_seed": 1}, "dim=0"),
        ({"vocab_size": 2, "dim": 1.5, "numpy_seed": 1}, "dim=1.5"),
        ({"vocab_size": 2, "dim": True, "numpy_seed": 1}, "dim=True"),
        ({"vocab_size": 2, "dim": 2}, "Give either"),
        ({"vocab_size": 2, "dim": 2, "numpy_seed": -1}, "numpy_seed=-1"),
        ({"vocab_size": 2, "dim": 2, "numpy_seed": 2**32}, "numpy_seed=4294967296"),
    ],
)
def test_init_network_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        reference.init_network(**arguments)


def test_forward_by_hand_with_and_without_jit(x64: None) -> None:
    # word 1: a1 = (0, 1); a2 = (0, ln 3), so z = (1, 3) / 4
    params = {
        "w1": jnp.array([[9.0, 9.0], [0.0, 1.0]]),
        "w2": jnp.array([[5.0, 5.0], [0.0, np.log(3.0)]]),
    }
    for forward in (reference.forward, jax.jit(reference.forward)):
        cache = forward(params, jnp.array([[0, 1]]))
        np.testing.assert_allclose(cache["a1"], [[0, 1]], rtol=1e-15)
        np.testing.assert_allclose(cache["a2"], [[0, np.log(3)]], rtol=1e-15)
        np.testing.assert_allclose(cache["z"], [[0.25, 0.75]], rtol=1e-15)
    # one row, a list, as the post passes it
    alone = reference.forward(params, [0, 1], return_cache=False)
    np.testing.assert_allclose(alone, [0.25, 0.75], rtol=1e-15)


def test_cross_entropy_by_hand_with_and_without_jit(x64: None) -> None:
    a2, y = jnp.array([[0.0, np.log(3.0)], [2.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    for cross_entropy in (reference.cross_entropy, jax.jit(reference.cross_entropy)):
        np.testing.assert_allclose(cross_entropy(a2, y), np.log(4) + np.log(2), rtol=1e-15)
        assert cross_entropy(a2, jnp.zeros_like(y)) == 0
        assert cross_entropy(a2[:0], y[:0]) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_extreme_logits_stay_finite_and_right(dtype: Any, x64: None) -> None:
    """330 logits to +-1e4 in every dtype. Their sum, 6.6e6, would overflow float16."""
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


def test_ids_outside_the_vocabulary_are_refused() -> None:
    params = reference.init_network(3, 2, jax.random.key(0))
    for bad in ([-1], [3], [2**31 + 3], [2**32 + 1], [1.5], [np.nan]):
        with pytest.raises(IdError):
            reference_ids.forward(params, bad)
        with pytest.raises(IdError):
            reference_ids.backward(params, [0], bad)
        with pytest.raises(IdError):
            reference_ids.train(params, [0], bad, 0.1, 2)


@pytest.mark.parametrize(("centers", "contexts"), [([0, 1, 2], [1]), ([0], [1, 2]), (0, 1)])
def test_ids_of_different_lengths_are_refused(centers: Any, contexts: Any) -> None:
    """One context for three centers would have the loss of three pairs and the gradient of one."""
    params = reference.init_network(3, 2, jax.random.key(0))
    with pytest.raises(SettingError, match="make no pairs"):
        reference_ids.backward(params, centers, contexts)
    with pytest.raises(SettingError, match="make no pairs"):
        reference_ids.train(params, centers, contexts, 0.1, 2)


def test_a_mapping_takes_any_iterable_of_words() -> None:
    wanted = reference.mapping(["b", "a", "b"])
    for tokens in (np.array(["b", "a", "b"]), (word for word in "bab"), "bab"):
        assert reference.mapping(tokens) == wanted
    for empty in (np.array([]), iter(()), ""):
        with pytest.raises(CorpusError, match="no words"):
            reference.mapping(empty)


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
        reference.train(
            reference.init_network(3, 2, jax.random.key(0)), np.eye(3), np.eye(3), rate, 1
        )


def test_train_refuses_no_steps_no_pairs_and_divergence() -> None:
    params = reference.init_network(3, 2, jax.random.key(0))
    with pytest.raises(SettingError, match="steps=0"):
        reference.train(params, np.eye(3), np.eye(3), 0.1, 0)
    with pytest.raises(CorpusError, match="no pair"):
        reference.train(params, np.eye(3)[:0], np.eye(3)[:0], 0.1, 1)
    with pytest.raises(DivergedError, match=r"at step \d+"):
        reference.train(params, np.eye(3), np.eye(3)[::-1].copy(), 1e30, 10)


def test_predict_context_ranks_all_words_and_names_an_unknown_one() -> None:
    params = {"w1": jnp.array([[1.0], [0.0], [0.0]]), "w2": jnp.array([[1.0, 1e4, -1e4]])}
    assert reference.predict_context(params, "a", IDS) == ["b", "a", "c"]
    # equals keep the order of ids
    assert reference.predict_context(params, "b", IDS) == ["a", "b", "c"]
    assert reference.get_embedding(params, "a", IDS).tolist() == [1.0]
    for function in (reference.predict_context, reference.get_embedding):
        with pytest.raises(UnknownWordError, match="'kettle'"):
            function(params, "kettle", IDS)
        with pytest.raises(KeyError):
            function(params, "kettle", IDS)
