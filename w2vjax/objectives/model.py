"""The public functions that join an input side to any objective: targets, loss, gradient.

    batch.inputs --embed--> hidden --objective.loss--> [B, T]
    d_input Rows <--embed_backward-- d_hidden <--objective.backward--> d_output

All are pure functions. They trust their ids (JAX hides bad ones: see :mod:`w2vjax.ids`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from w2vjax import types
from w2vjax.errors import SettingError, whole_number
from w2vjax.objectives import hidden as hidden_side
from w2vjax.objectives.bounds import A, B, stiffness
from w2vjax.objectives.hidden import hidden_vectors
from w2vjax.objectives.scores import score_bound
from w2vjax.objectives.softmax import SoftmaxTargets, softmax
from w2vjax.trees import add_rows, float_dtype
from w2vjax.types import Batch, EmbedBackward, Goal, Gradient, Objective, Params, Rows, Tables


def init_params(key: Array, vocab_size: int, dim: int, dtype: DTypeLike = jnp.float32) -> Params:
    """The params at the start of training: input rows uniform in (-1, 1) / dim, output rows 0.

    word2vec.c draws from (-0.5, 0.5) / dim. Vectors twice as long, like gensim's, leave the slow
    beginning of training sooner, which helps on a short text.

    Source: benchmarks/results/cpu-2-cores/sweep-small-text.json.

    Args:
        key: of the random numbers.
        vocab_size: V.
        dim: D.
        dtype: of both tables.

    Returns:
        Two tables [V, D], for every objective.

    Raises:
        SettingError: a size is not a whole number, D is below 1, or the dtype is not of floats.

    >>> params = init_params(jax.random.key(0), vocab_size=5, dim=3)
    >>> params.input.shape, float(abs(params.input).max()) < 1 / 3, float(abs(params.output).max())
    ((5, 3), True, 0.0)
    """
    whole_number("vocab_size", vocab_size, least=0)
    whole_number("dim", dim)
    wide = jnp.float64 if float_dtype(dtype) == jnp.float64 else jnp.float32
    values = jax.random.uniform(key, (vocab_size, dim), wide, -1, 1) / dim
    return Params(values.astype(dtype), jnp.zeros((vocab_size, dim), dtype))


def draw_targets(objective: Objective, key: Array, tables: Tables, batch: Batch) -> Goal:
    """The targets of one batch: the objective draws at random, and selects rows to score.

    Args:
        objective: any.
        key: of the random numbers.
        tables: what ``objective.init`` made of the counts.
        batch: B groups.

    Returns:
        What ``objective.select`` returns.

    >>> from w2vjax.windows.skipgram import pairs
    >>> targets = draw_targets(softmax(), jax.random.key(0), (), pairs([0, 1], [1, 3]))
    >>> targets.ids.tolist()
    [[1], [3]]
    """
    draws = objective.draw(key, tables, (batch.words.shape[0],))
    return objective.select(draws, tables, batch.words, batch.weights)


def cross_entropy(objective: Objective, params: Params, batch: Batch, targets: Goal) -> Array:
    """The loss summed over the batch, in nats.

    Args:
        objective: any.
        params: tables [V, D].
        batch: B groups.
        targets: of the batch, from :func:`draw_targets`.

    Returns:
        A scalar, in the wider dtype of the input table and the batch.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params = softmax(), init_params(jax.random.key(0), 4, 2)
    >>> batch = pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> print(cross_entropy(objective, params, batch, targets).round(4))  # scores 0: 2 log 4
    2.7726
    """
    return objective.loss(hidden_vectors(params.input, batch), params.output, targets).sum()


def backward(
    objective: Objective,
    params: Params,
    batch: Batch,
    targets: Goal,
    embed_backward: EmbedBackward = hidden_side.embed_backward,
) -> tuple[Array, Params]:
    """:func:`cross_entropy` and its handwritten gradient.

    Args:
        objective: any.
        params: tables [V, D].
        batch: B groups.
        targets: of the batch, from :func:`draw_targets`.
        embed_backward: the derivative of the input side; ``embed_backward_undivided`` for the CBOW
            of word2vec.c.

    Returns:
        The loss, a scalar, and the gradient in the structure of params. A leaf is
        :class:`~w2vjax.types.Rows` where few rows are touched and an array otherwise, in the dtype
        of the arithmetic: float32 for bfloat16 params.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params = softmax(), init_params(jax.random.key(0), 4, 2)
    >>> batch = pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> loss, gradients = jax.jit(backward, static_argnums=0)(objective, params, batch, targets)
    >>> gradients.input.ids.tolist(), gradients.output.shape
    ([0, 1], (4, 2))
    """
    hidden = hidden_vectors(params.input, batch)
    loss = objective.loss(hidden, params.output, targets).sum()
    d_hidden, d_output = objective.backward(hidden, params.output, targets)
    return loss, Params(embed_backward(d_hidden, batch.inputs), d_output)


def bounded_backward(
    objective: Objective,
    params: Params,
    batch: Batch,
    targets: Goal,
    embed_backward: EmbedBackward = hidden_side.embed_backward,
) -> tuple[Params, Params]:
    """The gradient of :func:`backward`, and the curvature bound of each of its rows.

    :mod:`w2vjax.objectives.bounds` defines the bound. Each word of a mean gets its weight times the
    bound of the hidden vector, as it gets its weight times the gradient.

    Args:
        objective: any.
        params: tables [V, D].
        batch: B groups.
        targets: of the batch, from :func:`draw_targets`.
        embed_backward: as in :func:`backward`.

    Returns:
        The gradient, and Params of the bounds: [N] beside Rows, [V] beside an array.
        :func:`~w2vjax.training.updates.apply_gradients` takes both.

    Raises:
        SettingError: an objective without ``bounded`` has targets without ids and weights, or
            ``bounded`` gives other shapes.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params = softmax(), init_params(jax.random.key(0), 4, 2)
    >>> batch = pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> step = jax.jit(bounded_backward, static_argnums=0)
    >>> gradients, bounds = step(objective, params, batch, targets)
    >>> print(bounds.input.round(4))  # output rows are 0: (1/4 * 3 + 3/4) / 6
    [0.25 0.25]
    """
    hidden = hidden_vectors(params.input, batch)
    bounded = bounded_by_weights if objective.bounded is None else objective.bounded
    found = bounded(objective.backward, hidden, params.output, targets)
    d_hidden, d_output, of_hidden, of_output = found
    many = d_output.values.shape[0] if isinstance(d_output, Rows) else d_output.shape[0]
    if of_hidden.shape != hidden.shape[:2] or of_output.shape != (many,):
        raise SettingError(
            f"The objective gives bounds of shapes {of_hidden.shape} and {of_output.shape} for "
            f"hidden vectors {hidden.shape[:2]} and {many} rows. Give one for each."
        )
    # An infinite hidden vector may meet errors of 0 and 1 alone. Times 0, it makes its bound NaN.
    of_hidden = of_hidden + 0 * stiffness(hidden)
    of_input = embed_backward(of_hidden[..., None], batch.inputs).values[:, 0]
    return Params(embed_backward(d_hidden, batch.inputs), d_output), Params(of_input, of_output)


def bounded_by_weights(
    backward: types.Backward,
    hidden: Array,
    output: Array,
    targets: Goal,
    a: float = A,
    b: float = B,
) -> types.Bounded:
    """The bounds of an objective without ``bounded``, with |d loss / d scores| = targets.weights.

    That holds for losses whose first and second derivatives in a score are at most 1 (hinge,
    logistic, NCE). The errors of a trained model are smaller, so an objective with bounds of its
    own may take larger steps. For a dense gradient [V, D], such as that of a softmax, the positives
    have these errors, and as much again is spread evenly over all V rows.

    Args:
        backward: of the objective. Its Rows have to stand in the order of targets.ids.
        hidden: [B, T, D].
        output: [V, D].
        targets: with ids [B, R] and weights [B, T, R].
        a, b: the constants of :func:`~w2vjax.objectives.bounds.stiffness`.

    Returns:
        The gradient by ``backward``, the bounds of hidden [B, T] and of the rows [N] or [V].

    Raises:
        SettingError: targets have no such ids and weights.

    >>> targets = SoftmaxTargets(jnp.asarray([[1]]), jnp.ones((1, 1, 1)))
    >>> vectors = jnp.ones((1, 1, 2)), jnp.zeros((3, 2))  # of stiffness 2 + 1 and 0 + 1
    >>> print(*bounded_by_weights(softmax().backward, *vectors, targets, a=1.0, b=1.0)[2:])
    [[2.]] [1. 4. 1.]
    """
    ids, weights = (getattr(targets, name, None) for name in ("ids", "weights"))
    if ids is None or weights is None or weights.shape[-1] != ids.shape[-1]:
        raise SettingError(
            f"{type(targets).__name__} has no ids [B, R] with weights [B, T, R], so the steps of "
            "its rows cannot be bounded. Give the objective a function ``bounded``: see "
            "w2vjax.types.Objective."
        )
    d_hidden, d_output = backward(hidden, output, targets)
    error = jnp.abs(weights).astype(hidden.dtype)
    of_hidden, of_rows = score_bound(error, hidden, output[ids].astype(hidden.dtype), a, b)
    if isinstance(d_output, Rows):
        return d_hidden, d_output, of_hidden, of_rows.reshape(-1)
    each = error.sum(-1)  # [B, T]
    of_hidden = of_hidden + each * stiffness(output.astype(hidden.dtype), a, b).mean()
    spread = jnp.full(
        output.shape[0], (each * stiffness(hidden, a, b)).sum() / output.shape[0], hidden.dtype
    )
    return d_hidden, d_output, of_hidden, spread.at[ids.reshape(-1)].add(of_rows.reshape(-1))


def to_dense(gradient: Gradient, table: Array) -> Array:
    """A gradient as an array of the shape of its table. Values of one id add up.

    Args:
        gradient: Rows with ids [N] and values [N, D], or dense [V, D].
        table: [V, D]. Only its shape is read.

    Returns:
        [V, D] in the dtype of the gradient.

    Raises:
        SettingError: the gradient has another shape than the table, or its values than the rows.

    >>> to_dense(Rows(jnp.asarray([2, 0, 2]), jnp.ones((3, 1))), jnp.zeros((3, 1))).ravel().tolist()
    [1.0, 0.0, 2.0]
    """
    ids = gradient.ids if isinstance(gradient, Rows) else None
    values = gradient.values if isinstance(gradient, Rows) else jnp.asarray(gradient)
    expected = table.shape if ids is None else (*ids.shape, *table.shape[1:])
    if values.shape != expected:  # one column or one row would be repeated
        what = "A gradient" if ids is None else "Values of Rows"
        raise SettingError(f"{what} of shape {values.shape} cannot be added. Give {expected}.")
    return values if ids is None else add_rows(jnp.zeros(table.shape, values.dtype), ids, values)


def compose(objective: Objective) -> Callable[[Params, Batch, Goal], Array]:
    """:func:`cross_entropy` for larger programs: its ``jax.grad`` is the handwritten gradient.

    ``jax.grad`` works, and so does what is taken of it: ``jax.jvp`` or ``jax.grad`` of the
    gradient, and ``jax.hessian``. Forward mode of the loss itself does not, as for every
    ``custom_vjp``: take it of :func:`cross_entropy`.

    Args:
        objective: any.

    Returns:
        loss(params, batch, targets) -> scalar. Its gradient in params is handwritten and dense, in
        the dtype of params. In the weights of batch and targets it is that of :func:`jax.grad`.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params = softmax(), init_params(jax.random.key(0), 4, 2)
    >>> batch = pairs([0, 1], [1, 3])
    >>> inputs = params, batch, objective.select((), (), batch.words, batch.weights)
    >>> gradient = jax.jit(jax.grad(compose(objective)))
    >>> gradient(*inputs).output.shape
    (4, 2)
    >>> along = lambda params: gradient(params, *inputs[1:]).input.sum()
    >>> jax.jit(jax.grad(along))(params).output.shape
    (4, 2)
    """

    @jax.custom_vjp
    def loss(params: Params, batch: Batch, targets: Goal) -> Array:
        return cross_entropy(objective, params, batch, targets)

    def loss_forward(*traced: Any) -> tuple[Array, Any]:
        params, batch, targets = jax.tree.map(lambda leaf: leaf.value, traced)
        total, gradients = backward(objective, params, batch, targets)
        dense = (to_dense(g, p) for g, p in zip(gradients, params, strict=True))
        found = Params(*(g.astype(p.dtype) for g, p in zip(dense, params, strict=True)))
        if not any(leaf.perturbed for leaf in jax.tree.leaves(traced[1:])):
            return total, (found, None, None)

        def of_rest(rest: tuple[Batch, Goal]) -> Array:
            return cross_entropy(objective, params, *rest)

        return total, (found, *jax.grad(of_rest, allow_int=True)((batch, targets)))

    def loss_backward(gradients: Any, d_loss: Array) -> Any:
        def times(leaf: Array) -> Array:
            return leaf if leaf.dtype == jax.dtypes.float0 else d_loss.astype(leaf.dtype) * leaf

        return jax.tree.map(times, gradients)

    loss.defvjp(loss_forward, loss_backward, symbolic_zeros=True)
    return loss


def per_example_backward(
    objective: Objective, params: Params, batch: Batch, targets: Goal
) -> tuple[Array, Params]:
    """:func:`backward` of each group alone, by ``vmap``; the gradients add up to that of the batch.

    A full softmax has an array [V, D] for every group, so a large batch needs much memory. Other
    gradients are rows, in which a word may occur twice: :func:`gradient_norms` adds these up.

    Args:
        objective: any whose groups share no negatives.
        params: tables [V, D].
        batch: B groups.
        targets: of the batch, from :func:`draw_targets`.

    Returns:
        Losses [B], and gradients with an axis B in front of each leaf.

    Raises:
        SettingError: groups share negatives or input words, and so a part of their gradient.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params = softmax(), init_params(jax.random.key(0), 4, 2)
    >>> batch = pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> single = jax.jit(per_example_backward, static_argnums=0)
    >>> losses, gradients = single(objective, params, batch, targets)
    >>> losses.shape, gradients.output.shape
    ((2,), (2, 4, 2))
    >>> gradient_norms(gradients.output).shape  # how much each pair matters
    (2,)
    """
    if objective.sharing(targets) > 1 or batch.regrouped > 1:
        raise SettingError(
            "Groups that share negatives or input words have no gradients of their own. Use "
            "span=1, and a window shape with one group of positives for each group of inputs."
        )

    def one(group: tuple[Batch, Goal]) -> tuple[Array, Params]:
        return backward(objective, params, *jax.tree.map(lambda leaf: leaf[None], group))

    return jax.vmap(one)((batch, targets))


def gradient_norms(gradients: Gradient) -> Array:
    """The norms |G_b| of what :func:`per_example_backward` gives for one table.

    Rows of one word add up, without an array [V, D]: |G|^2 = sum of v_n . v_m over all pairs n, m
    of rows with one id.

    Args:
        gradients: Rows with ids [B, N] and values [B, N, D], or dense [B, V, D].

    Returns:
        [B].

    >>> twice = Rows(jnp.asarray([[7, 7], [7, 8]]), jnp.ones((2, 2, 1)))
    >>> print(gradient_norms(twice).round(3))  # 1 + 1, and the root of 1 + 1
    [2.    1.414]
    """
    if not isinstance(gradients, Rows):
        return jnp.sqrt(jnp.square(gradients).sum((1, 2)))
    ids, values = gradients
    products = jnp.einsum("bnd,bmd->bnm", values, values, precision="highest")
    squares = jnp.where(ids[:, :, None] == ids[:, None, :], products, 0).sum((1, 2))
    return jnp.sqrt(jnp.maximum(squares, 0))  # rows that cancel may leave a rounding below 0


def held_out_loss(
    params: Params,
    batch: Batch,
    objective: Objective | None = None,
    tables: Tables = (),
    chunk: int = 8192,
    offset: Array | None = None,
) -> Array:
    """The exact negative log-likelihood per positive, in nats, of words the model has not seen.

    Without an objective, the probabilities are the full softmax of scores + offset. A model that a
    softmax trained needs no offset. A model that negative sampling trained has scores relative to
    the noise q, so its offset is log q. Subsampling changes the frequencies that a model learns:
    subtract the log of the share of each word that it kept.
    :func:`~w2vjax.runs.held_out.evaluate_held_out` does both.

    Args:
        params: tables [V, D].
        batch: B groups.
        objective: None for the full softmax; that of the model for hierarchical softmax, which has
            an exact likelihood of its own.
        tables: of the objective.
        chunk: words of the vocabulary in memory at a time.
        offset: [V], None for 0.

    Returns:
        A scalar, 0 for a batch without examples.

    >>> from w2vjax.windows.skipgram import pairs
    >>> params = init_params(jax.random.key(0), vocab_size=4, dim=2)
    >>> print(held_out_loss(params, pairs([0, 1], [1, 3])).round(4))  # output rows are 0: log 4
    1.3863
    >>> offset = jnp.log(jnp.asarray([0.4, 0.4, 0.1, 0.1]))
    >>> batch = pairs([0, 1], [1, 3])
    >>> print(f"{held_out_loss(params, batch, offset=offset):.4f}")  # (-log 0.4 - log 0.1) / 2
    1.6094
    """
    total = batch.weights.sum()
    if objective is None:
        hidden, output = hidden_vectors(params.input, batch), params.output
        # a hidden vector that ends in 1 scores s + offset against one more column
        if offset is not None:
            hidden = jnp.concatenate([hidden, jnp.ones((*hidden.shape[:-1], 1), hidden.dtype)], -1)
            # in the dtype of hidden: bfloat16 would round an offset of -10 to -10 +- 0.03
            wide = output.astype(hidden.dtype), offset[:, None].astype(hidden.dtype)
            output = jnp.concatenate(wide, 1)
        loss = softmax(chunk).loss(hidden, output, SoftmaxTargets(batch.words, batch.weights)).sum()
    else:
        targets = draw_targets(objective, jax.random.key(0), tables, batch)
        loss = cross_entropy(objective, params, batch, targets)
    return loss / jnp.where(total > 0, total, jnp.ones_like(total))


def score_offsets(noise: np.ndarray | None, keep: np.ndarray) -> Array:
    """The ``offset`` of :func:`held_out_loss`: log noise - log keep, [V] float32.

    No noise counts as 1. A noise of 0 counts as 1e-30, because 0 has no logarithm.

    >>> print(score_offsets(np.array([0.75, 0.25]), np.array([0.75, 1.0])).round(4))
    [ 0.     -1.3863]
    """
    top = np.ones(1) if noise is None else noise
    return jnp.asarray(np.log(np.maximum(top, 1e-30)) - np.log(keep), jnp.float32)
