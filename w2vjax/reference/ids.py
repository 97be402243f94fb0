"""The model of :mod:`w2vjax.reference` on ids, without one-hot matrices: the same numbers.

A one-hot product ``X w1`` reads rows of ``w1``, and ``X.T da1`` adds to them. With ids ``centers``
[B] and ``contexts`` [B] they are a gather and a scatter-add. ``sum(y * a2)`` is a lookup, and
``z - y`` subtracts 1 at one place of each row. Memory for the data falls from B * V to B numbers.
JAX clamps or wraps a bad id instead of raising, so ids are checked here unless they are traced.
"""

from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError
from w2vjax.ids import check_ids
from w2vjax.reference import one_hot
from w2vjax.reference.one_hot import Params, _widen, softmax


def forward(params: Params, centers: ArrayLike, return_cache: bool = True) -> Any:
    """What :func:`w2vjax.reference.forward` returns, for center ids [B].

    Raises:
        IdError: an id is not in [0, V).

    >>> params = {"w1": jnp.array([[1.0], [2.0]]), "w2": jnp.array([[0.0, 0.0]])}
    >>> forward(params, [1])["a1"].tolist()
    [[2.0]]
    """
    a1 = _widen(params["w1"][_ids(centers, params)])  # [B, D]
    a2 = a1 @ _widen(params["w2"])
    z = softmax(a2)
    return {"a1": a1, "a2": a2, "z": z} if return_cache else z


def cross_entropy(a2: jax.Array, contexts: jax.Array) -> jax.Array:
    """``sum_b(log(sum(exp(a2[b]))) - a2[b, contexts[b]])`` of logits [B, V] and context ids [B].

    >>> float(cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1])))
    20000.0
    """
    logits = _widen(a2)
    logits = logits - jnp.max(logits, axis=-1, keepdims=True)
    log_total = jnp.log(jnp.sum(jnp.exp(logits), axis=-1))
    return jnp.sum(log_total - jnp.take_along_axis(logits, contexts[:, None], axis=-1)[:, 0])


def backward(params: Params, centers: ArrayLike, contexts: ArrayLike) -> tuple[jax.Array, Params]:
    """What :func:`w2vjax.reference.backward` returns, for ids of centers [B] and contexts [B].

    Raises:
        IdError: an id is not in [0, V).
        SettingError: centers and contexts differ in length.

    >>> params = {"w1": jnp.array([[1.0], [2.0]]), "w2": jnp.array([[0.0, 0.0]])}
    >>> backward(params, [1], [0])[1]["w2"].tolist()
    [[-1.0, 1.0]]
    """
    rows, wanted = _ids(centers, params), _ids(contexts, params)
    if rows.shape != wanted.shape or rows.ndim != 1:
        cause = f"Centers {rows.shape} and contexts {wanted.shape} make no pairs"
        raise SettingError(f"{cause}. Give two arrays [B] of one length.")
    cache = forward(params, rows)
    da2 = cache["z"].at[jnp.arange(len(wanted)), wanted].add(-1)  # [B, V] z - y
    dw2 = cache["a1"].T @ da2  # [D, V]
    da1 = da2 @ _widen(params["w2"]).T  # [B, D]
    # [V, D] centers that occur again add up
    dw1 = jnp.zeros(params["w1"].shape, da1.dtype).at[rows].add(da1)
    gradients = {"w1": dw1.astype(params["w1"].dtype), "w2": dw2.astype(params["w2"].dtype)}
    return cross_entropy(cache["a2"], wanted), gradients


def train(
    params: Params, centers: ArrayLike, contexts: ArrayLike, learning_rate: float, steps: int
) -> tuple[Params, jax.Array]:
    """:func:`w2vjax.reference.train` on ids.

    Raises:
        IdError: an id is not in [0, V).
        SettingError: centers and contexts differ in length; and what
            :func:`w2vjax.reference.train` raises.

    >>> centers, contexts = one_hot.training_pairs(["a", "b", "c"], {"a": 0, "b": 1, "c": 2}, 1)
    >>> params = one_hot.init_network(3, 2, jax.random.key(0))
    >>> _, history = train(params, centers, contexts, learning_rate=0.1, steps=20)
    >>> bool(history[-1] < history[0])
    True
    """
    rows, wanted = _ids(centers, params), _ids(contexts, params)
    return one_hot.train(params, rows, wanted, learning_rate, steps, backward)


def _ids(ids: ArrayLike, params: Params) -> jax.Array:
    """Ids as an int32 array; those on the host have to be integers in [0, V)."""
    if isinstance(ids, jax.core.Tracer):
        return ids
    return jnp.asarray(check_ids(ids, len(params["w1"])))
