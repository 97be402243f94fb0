"""The clear version: word2vec as one hidden layer on one-hot vectors, every derivative by hand.

Skip-gram with a full softmax (Mikolov et al. 2013, arXiv:1301.3781), for one-hot centers ``X`` and
contexts ``y`` [B, V], with ``w1`` [V, D] and ``w2`` [D, V]::

    a1 = X w1                 [B, D]   the rows of w1 that X selects: the embeddings
    a2 = a1 w2                [B, V]   logits
    z  = softmax(a2)          [B, V]   which words to expect around each center
    L  = -sum(y * log z)      []       cross-entropy, summed over the B examples

    dL/da2 = z - y            [B, V]
    dL/dw2 = a1.T (z - y)     [D, V]
    dL/dw1 = X.T (z - y) w2.T [V, D]

It follows Jake Tae's post "Word2vec from Scratch" (https://jaketae.github.io/study/word2vec/)
function by function. Docstrings say where and why it differs. ``w2vjax reproduce`` checks it
against the figures of the post, and every faster form in this package is checked against it.
:mod:`w2vjax.reference.ids` is the same model without one-hot matrices.

Params are a dict ``{"w1": [V, D], "w2": [D, V]}``. Nothing is changed in place.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from w2vjax.errors import CorpusError, DivergedError, SettingError, whole_number
from w2vjax.ids import check_ids
from w2vjax.lazy import cached
from w2vjax.vocab import unknown_word

Params = dict[str, jax.Array]


def tokenize(text: str) -> list[str]:
    """Words in lower case: letters, digits, ``_``, ``^`` and ``'``, with at least one of a to z.

    >>> tokenize("In 2013, word2vec didn't exist.")
    ['in', 'word2vec', "didn't", 'exist']
    """
    return [run for run in re.findall(r"[\w^']+", text.lower()) if re.search("[a-z]", run)]


def mapping(
    tokens: Sequence[str], order: Sequence[str] | None = None
) -> tuple[dict[str, int], dict[int, str]]:
    """``(word_to_id, id_to_word)``; the most frequent word has id 0.

    Words of equal count go by their first occurrence. The post numbers words in the order of a
    Python ``set``, which changes from one run to the next. Give ``order`` to reproduce the order
    that it prints.

    Args:
        tokens: of the text.
        order: each word once; None orders by frequency.

    Raises:
        CorpusError: there are no tokens, or the order lacks one.
        SettingError: the order repeats a word.

    >>> mapping(["to", "be", "or", "not", "to", "be"])[0]
    {'to': 0, 'be': 1, 'or': 2, 'not': 3}
    """
    if not (tokens := list(tokens)):
        raise CorpusError("The text holds no words. Give a text with at least one word.")
    words = [word for word, _ in Counter(tokens).most_common()] if order is None else list(order)
    word_to_id = {word: i for i, word in enumerate(words)}
    if len(word_to_id) != len(words):
        repeated = Counter(words).most_common(1)[0][0]
        raise SettingError(f"The order holds {repeated!r} more than once. List each word once.")
    if missing := set(tokens) - set(words):
        cause = f"The order lacks {min(missing)!r}, a word of the text"
        raise CorpusError(f"{cause}. List every word once.")
    return word_to_id, dict(enumerate(words))


def one_hot_encode(id: ArrayLike, vocab_size: int) -> np.ndarray:
    """[..., V] float32, 1 at ``id`` and 0 elsewhere.

    Args:
        id: one id or an array of them.
        vocab_size: V.

    Raises:
        IdError: an id is not in [0, V). The post takes a negative one from the end.

    >>> one_hot_encode([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    ids = check_ids(id, vocab_size)
    return np.asarray(ids[..., None] == np.arange(vocab_size), np.float32)


def training_pairs(
    tokens: Sequence[str], word_to_id: Mapping[str, int], window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of centers [B] and contexts [B]: each token with its neighbours, in text order.

    Args:
        tokens: of the text.
        word_to_id: the id of each word.
        window: the number of neighbours to each side.

    Raises:
        SettingError: the window is below 1.
        UnknownWordError: a token has no id.

    >>> centers, contexts = training_pairs(["a", "b", "c"], {"a": 0, "b": 1, "c": 2}, window=1)
    >>> list(zip(centers.tolist(), contexts.tolist()))
    [(0, 1), (1, 0), (1, 2), (2, 1)]
    """
    whole_number("window", window)
    ids = np.array([_id_of(token, word_to_id) for token in tokens], np.int32)
    pairs = [
        (i, j)
        for i in range(len(ids))
        for j in range(max(0, i - window), min(len(ids), i + window + 1))
        if i != j
    ]
    center, context = np.array(pairs, np.int64).reshape(-1, 2).T
    return ids[center], ids[context]


def generate_training_data(
    tokens: Sequence[str], word_to_id: Mapping[str, int], window: int
) -> tuple[np.ndarray, np.ndarray]:
    """One-hot ``X`` and ``y`` [B, V] of :func:`training_pairs`, which says what is raised.

    One token alone has no neighbours, so B = 0.

    >>> X, y = generate_training_data(["a", "b", "c"], {"a": 0, "b": 1, "c": 2}, 2)
    >>> X.shape, y.shape
    ((6, 3), (6, 3))
    """
    centers, contexts = training_pairs(tokens, word_to_id, window)
    return one_hot_encode(centers, len(word_to_id)), one_hot_encode(contexts, len(word_to_id))


def init_network(
    vocab_size: int,
    dim: int,
    key: jax.Array | None = None,
    *,
    numpy_seed: int | None = None,
    dtype: DTypeLike = float,
) -> Params:
    """Standard normal ``w1`` [V, D] and ``w2`` [D, V].

    The post uses a hidden global seed. Here it is an argument.

    Args:
        vocab_size: V.
        dim: D.
        key: of JAX's random numbers.
        numpy_seed: of NumPy's old generator instead, to repeat the post.
        dtype: ``float`` is JAX's default, float32 unless 64 bits are enabled.

    Raises:
        SettingError: a size is below 1, or not exactly one of key and numpy_seed is given.

    >>> params = init_network(60, 10, jax.random.key(0))
    >>> params["w1"].shape, params["w2"].shape
    ((60, 10), (10, 60))
    """
    whole_number("vocab_size", vocab_size)
    whole_number("dim", dim)
    shapes = {"w1": (vocab_size, dim), "w2": (dim, vocab_size)}
    if (key is None) == (numpy_seed is None):
        cause = "The start is random"
        remedy = "Give either key=jax.random.key(0) or numpy_seed=42, and not both."
        raise SettingError(f"{cause}. {remedy}")
    if key is None:
        legacy = np.random.RandomState(whole_number("numpy_seed", numpy_seed, 0, 2**32 - 1))
        return {name: jnp.asarray(legacy.randn(*shape), dtype) for name, shape in shapes.items()}
    keys = jax.random.split(key)
    return {
        name: jax.random.normal(k, shape, dtype)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def softmax(x: jax.Array) -> jax.Array:
    """``exp(x) / sum(exp(x))`` along the last axis, shifted by the maximum.

    The form of the post overflows from x = 710 on.

    >>> softmax(jnp.array([[0.0, 0.0], [1e4, -1e4]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    powers = jnp.exp(x - jnp.max(x, axis=-1, keepdims=True))
    return powers / jnp.sum(powers, axis=-1, keepdims=True)


def forward(params: Params, X: ArrayLike, return_cache: bool = True) -> Any:
    """``{"a1": X w1, "a2": a1 w2, "z": softmax(a2)}``, or ``z`` alone.

    Params narrower than float32 are computed with in float32: sums in bfloat16 stall.

    Args:
        params: w1 and w2.
        X: [B, V] or one row [V], of any dtype.
        return_cache: False returns ``z`` alone.

    >>> params = {"w1": jnp.array([[1.0], [2.0]]), "w2": jnp.array([[0.0, 0.0]])}
    >>> cache = forward(params, [[0, 1]])
    >>> cache["a1"].tolist(), cache["z"].tolist()
    ([[2.0]], [[0.5, 0.5]])
    """
    w1, w2 = _widen(params["w1"]), _widen(params["w2"])
    a1 = jnp.asarray(X, w1.dtype) @ w1  # 0 and 1 are exact in every dtype
    a2 = a1 @ w2
    z = softmax(a2)
    return {"a1": a1, "a2": a2, "z": z} if return_cache else z


def cross_entropy(a2: jax.Array, y: ArrayLike) -> jax.Array:
    """``-sum(y * log softmax(a2))`` over all examples.

    The post takes probabilities. One that underflows to 0 makes its loss infinite. Logits, in at
    least float32, keep the loss finite for |a2| <= 1e4 in every float dtype.

    Args:
        a2: logits [B, V].
        y: one-hot [B, V]; a row of zeros is padding.

    >>> float(cross_entropy(jnp.array([[1e4, -1e4]]), [[0, 1]]))
    20000.0
    """
    logits = _widen(a2)
    logits = logits - jnp.max(logits, axis=-1, keepdims=True)
    log_total = jnp.log(jnp.sum(jnp.exp(logits), axis=-1, keepdims=True))
    return jnp.sum(jnp.asarray(y, logits.dtype) * (log_total - logits))


def backward(params: Params, X: ArrayLike, y: ArrayLike) -> tuple[jax.Array, Params]:
    """``(loss, {"w1": dL/dw1, "w2": dL/dw2})``.

    The post also takes the step in this function; here it is :func:`gradient_step`. Gradients are
    rounded to the dtype of their params at the end, and only there.

    Args:
        params: w1 and w2.
        X: one-hot centers [B, V].
        y: one-hot contexts [B, V]; a row of zeros is padding.

    >>> params = {"w1": jnp.array([[1.0], [2.0]]), "w2": jnp.array([[0.0, 0.0]])}
    >>> loss, gradients = backward(params, [[0, 1]], [[1, 0]])  # a1 = 2, z = (.5, .5)
    >>> gradients["w2"].tolist(), f"{loss:.6f}"
    ([[-1.0, 1.0]], '0.693147')
    """
    cache = forward(params, X)
    inputs, wanted = jnp.asarray(X, cache["z"].dtype), jnp.asarray(y, cache["z"].dtype)
    # [B, V] z - y, and 0 where a row of y is padding
    da2 = cache["z"] * jnp.sum(wanted, axis=-1, keepdims=True) - wanted
    dw2 = cache["a1"].T @ da2  # [D, V]
    da1 = da2 @ _widen(params["w2"]).T  # [B, D]
    dw1 = inputs.T @ da1  # [V, D] centers that occur again add up
    gradients = {"w1": dw1.astype(params["w1"].dtype), "w2": dw2.astype(params["w2"].dtype)}
    return cross_entropy(cache["a2"], wanted), gradients


def gradient_step(params: Params, gradients: Params, learning_rate: float | jax.Array) -> Params:
    """``w - learning_rate * dL/dw`` for each weight: gradient descent.

    >>> gradient_step({"w1": jnp.array(1.0)}, {"w1": jnp.array(2.0)}, 0.25)["w1"].item()
    0.5
    """
    return {name: w - learning_rate * gradients[name] for name, w in params.items()}


def train(
    params: Params,
    X: ArrayLike,
    y: ArrayLike,
    learning_rate: float,
    steps: int,
    backward: Callable[..., Any] = backward,
) -> tuple[Params, jax.Array]:
    """Gradient descent on the whole batch, as one compiled loop.

    Args:
        params: w1 and w2.
        X: one-hot centers [B, V], or what the backward takes.
        y: one-hot contexts [B, V], or what the backward takes.
        learning_rate: of each step.
        steps: how many.
        backward: another one, such as that of :mod:`w2vjax.reference.ids`.

    Returns:
        The params, and the history [steps]: ``history[i]`` is the loss before step i + 1, as in the
        post.

    Raises:
        SettingError: the learning rate is not a positive number, or steps is below 1.
        CorpusError: B = 0.
        DivergedError: a loss is not finite.

    >>> X, y = generate_training_data(["a", "b", "c"], {"a": 0, "b": 1, "c": 2}, 1)
    >>> _, history = train(init_network(3, 2, jax.random.key(0)), X, y, learning_rate=0.1, steps=20)
    >>> bool(history[-1] < history[0])
    True
    """
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        cause = f"learning_rate is {learning_rate}"
        raise SettingError(f"{cause}. Give a positive number, such as 0.05.")
    whole_number("steps", steps)
    if not np.size(X):
        cause = "There is no pair of neighbouring words to train on"
        raise CorpusError(f"{cause}. Give a text of at least two words.")
    params, history = _descent(backward)(params, X, y, learning_rate, steps)
    finite = np.isfinite(np.asarray(history, np.float64))
    if not finite.all():
        first = int(np.argmin(finite))
        cause = f"The loss is {history[first]} at step {first + 1}"
        raise DivergedError(f"{cause}. Lower learning_rate={learning_rate}.")
    return params, history


@cached
def _descent(backward: Callable[..., Any]) -> Callable[..., tuple[Params, jax.Array]]:
    @partial(jax.jit, static_argnames="steps")
    def descend(
        params: Params, X: jax.Array, y: jax.Array, rate: jax.Array, steps: int
    ) -> tuple[Params, jax.Array]:
        def step(params: Params, _: None) -> tuple[Params, jax.Array]:
            loss, gradients = backward(params, X, y)
            return gradient_step(params, gradients, rate), loss

        return jax.lax.scan(step, params, length=steps)

    return descend


def predict_context(params: Params, word: str, word_to_id: Mapping[str, int]) -> list[str]:
    """All V words, the most probable beside ``word`` first; equal ones in the order of their ids.

    Raises:
        UnknownWordError: the word has no id. The post prints a line, and then fails.

    >>> params = {"w1": jnp.array([[1.0], [-1.0]]), "w2": jnp.array([[3.0, 4.0]])}
    >>> predict_context(params, "tea", {"tea": 0, "time": 1})
    ['time', 'tea']
    """
    one_hot = one_hot_encode(_id_of(word, word_to_id), len(word_to_id))
    # logits rank the words as z does, and do not underflow to 0
    logits = np.asarray(_forward(params, one_hot)["a2"], np.float64)
    words = {i: other for other, i in word_to_id.items()}
    return [words[i] for i in np.argsort(-logits, kind="stable").tolist()]


def get_embedding(params: Params, word: str, word_to_id: Mapping[str, int]) -> jax.Array:
    """The vector [D] of ``word``, a row of ``w1``.

    Raises:
        UnknownWordError: the word has no id.

    >>> params = {"w1": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
    >>> get_embedding(params, "time", {"tea": 0, "time": 1}).tolist()
    [3.0, 4.0]
    """
    return params["w1"][_id_of(word, word_to_id)]


_forward = jax.jit(forward)


def _id_of(word: str, word_to_id: Mapping[str, int]) -> int:
    if word not in word_to_id:
        raise unknown_word(word, word_to_id)
    return word_to_id[word]


def _widen(x: jax.Array) -> jax.Array:
    """``x`` in float32 if it is narrower: its sums would overflow or stall."""
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)
