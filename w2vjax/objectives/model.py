"""The public calls that join an input side to any objective: targets, loss, gradient.

    batch.inputs --embed--> hidden --objective.loss--> [B, T]
    d_input Rows <--embed_backward-- d_hidden <--objective.backward--> d_output

Everything is a pure function of its arguments; ids are trusted (JAX hides bad ones: see
:mod:`w2vjax.ids`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from w2vjax.errors import SettingError
from w2vjax.objectives import hidden as hidden_side
from w2vjax.objectives.bounds import A, B, stiffness
from w2vjax.objectives.hidden import hidden_vectors
from w2vjax.objectives.scores import score_bound
from w2vjax.objectives.softmax import SoftmaxTargets, softmax
from w2vjax.types import (
    Backward,
    Batch,
    Bounded,
    EmbedBackward,
    Goal,
    Gradient,
    Objective,
    Params,
    Rows,
    Tables,
    Weighted,
)


def init_params(
    key: jax.Array, vocab_size: int, dim: int, dtype: DTypeLike = jnp.float32
) -> Params:
    """The start: input rows uniform in (-1, 1) / dim, output rows 0; both [V, D] for every
    objective.

    word2vec.c draws from (-0.5, 0.5) / dim. Vectors twice as long, as gensim's, leave the slow
    beginning of a run sooner, which a short text notices
    (benchmarks/results/cpu-2-cores/sweep-small-text.json).

    >>> import jax
    >>> params = init_params(jax.random.key(0), vocab_size=5, dim=3)
    >>> params.input.shape, float(abs(params.input).max()) < 1 / 3, float(abs(params.output).max())
    ((5, 3), True, 0.0)
    """
    wide = jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32
    values = jax.random.uniform(key, (vocab_size, dim), wide, -1, 1) / dim
    return Params(values.astype(dtype), jnp.zeros((vocab_size, dim), dtype))


def draw_targets(objective: Objective, key: jax.Array, tables: Tables, batch: Batch) -> Goal:
    """The targets of one batch: what the objective draws with ``key``, and what it selects with
    that.

    tables: what ``objective.init`` made of the counts.

    >>> from w2vjax.windows.skipgram import pairs
    >>> targets = draw_targets(softmax(), jax.random.key(0), (), pairs([0, 1], [1, 3]))
    >>> targets.ids.tolist()
    [[1], [3]]
    """
    draws = objective.draw(key, tables, (batch.words.shape[0],))
    return objective.select(draws, tables, batch.words, batch.weights)


def cross_entropy(objective: Objective, params: Params, batch: Batch, targets: Goal) -> jax.Array:
    """The loss summed over the batch, a scalar in nats; in the wider dtype of the input table and
    the batch.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params, batch = softmax(), init_params(jax.random.key(0), 4, 2), pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> print(cross_entropy(objective, params, batch, targets).round(4))  # output rows are 0: 2 log 4
    2.7726
    """
    return objective.loss(hidden_vectors(params.input, batch), params.output, targets).sum()


def backward(
    objective: Objective,
    params: Params,
    batch: Batch,
    targets: Goal,
    embed_backward: EmbedBackward = hidden_side.embed_backward,
) -> tuple[jax.Array, Params]:
    """(loss, gradients): :func:`cross_entropy` and its handwritten gradient in the structure of
    ``params``.

    Leaves are :class:`Rows` where few rows are touched, dense otherwise, in the dtype of the
    arithmetic (float32 for bfloat16 params). ``embed_backward`` may be replaced by
    ``embed_backward_undivided`` for word2vec.c's CBOW.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params, batch = softmax(), init_params(jax.random.key(0), 4, 2), pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> loss, gradients = backward(objective, params, batch, targets)
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
    """(gradients, bounds): those of :func:`backward`, with how strongly each of its rows bends the
    loss.

    Bounds are Params of [N], or [V] beside a dense gradient;
    :func:`~w2vjax.training.updates.apply_gradients` takes both. See
    :mod:`w2vjax.objectives.bounds`. A mean of several words moves by what they move together, so
    each gets its weight times the bound of the hidden vector, as it gets its weight times the
    gradient.

    Raises SettingError where an objective without ``bounded`` has targets without ids and weights.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params, batch = softmax(), init_params(jax.random.key(0), 4, 2), pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> gradients, bounds = bounded_backward(objective, params, batch, targets)
    >>> print(bounds.input.round(4))  # output rows are 0: (1/4 * 3 + 3/4) / 6
    [0.25 0.25]
    """
    hidden = hidden_vectors(params.input, batch)
    bounded = bounded_by_weights if objective.bounded is None else objective.bounded
    d_hidden, d_output, of_hidden, of_output = bounded(
        objective.backward, hidden, params.output, targets
    )
    many = d_output.values.shape[0] if isinstance(d_output, Rows) else d_output.shape[0]
    if of_hidden.shape != hidden.shape[:2] or of_output.shape != (many,):
        raise SettingError(
            f"The objective gives bounds of shapes {of_hidden.shape} and {of_output.shape} for "
            f"hidden vectors {hidden.shape[:2]} and {many} rows. Give one for each."
        )
    of_input = embed_backward(of_hidden[..., None], batch.inputs).values[:, 0]
    return Params(embed_backward(d_hidden, batch.inputs), d_output), Params(of_input, of_output)


def bounded_by_weights(
    backward: Backward,
    hidden: jax.Array,
    output: jax.Array,
    targets: Goal,
    a: float = A,
    b: float = B,
) -> Bounded:
    """The bounds of an objective that gives none: |d loss / d scores| is taken to be
    ``targets.weights`` [B, T, R].

    That holds for losses whose first and second derivatives in a score are at most 1 (hinge,
    logistic, NCE). It is more than the errors of a trained model: an objective that gives its own
    bounds may take larger steps. Beside a dense gradient [V, D], as of a softmax, the positives
    have these errors, and all V rows together have as much again.

    Rows of the gradient have to stand in the order of targets.ids. Raises SettingError where
    targets have no ids [B, R] and weights [B, T, R].
    """
    ids, weights = require_weights(targets)
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


def require_weights(targets: Goal) -> tuple[jax.Array, jax.Array]:
    """The ids [B, R] and the weights [B, T, R] of :class:`~w2vjax.types.Weighted` targets;
    SettingError for others.
    """
    if not isinstance(targets, Weighted) or targets.weights.shape[-1] != targets.ids.shape[-1]:
        raise SettingError(
            f"{type(targets).__name__} has no ids [B, R] with weights [B, T, R], so the steps of "
            "its rows cannot be bounded. Give the objective a function ``bounded``: see "
            "w2vjax.types.Objective."
        )
    return targets.ids, targets.weights


def to_dense(gradient: Gradient, table: jax.Array) -> jax.Array:
    """A gradient as an array of the table's shape; repeated ids are added in the gradient's own
    dtype.
    """
    if not isinstance(gradient, Rows):
        return jnp.asarray(gradient)
    return jnp.zeros(table.shape, gradient.values.dtype).at[gradient.ids].add(gradient.values)


def compose(objective: Objective) -> Callable[[Params, Batch, Goal], jax.Array]:
    """:func:`cross_entropy` whose ``jax.grad`` is the handwritten rule, dense, for larger programs
    and any optimiser.

    loss(params, batch, targets) -> scalar. Differentiable by ``params`` alone, in reverse mode
    (``custom_vjp`` ends forward mode and Hessians: differentiate :func:`cross_entropy` for those).

    >>> import jax
    >>> objective, params = softmax(), init_params(jax.random.key(0), 4, 2)
    >>> from w2vjax.windows.skipgram import pairs
    >>> batch = pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> jax.grad(compose(objective))(params, batch, targets).output.shape
    (4, 2)
    """

    @jax.custom_vjp
    def loss(params: Params, batch: Batch, targets: Goal) -> jax.Array:
        return cross_entropy(objective, params, batch, targets)

    def loss_forward(params: Params, batch: Batch, targets: Goal) -> tuple[jax.Array, Params]:
        total, gradients = backward(objective, params, batch, targets)
        dense = (to_dense(g, p) for g, p in zip(gradients, params, strict=True))
        return total, Params(*(g.astype(p.dtype) for g, p in zip(dense, params, strict=True)))

    def loss_backward(gradients: Params, d_loss: jax.Array) -> tuple[Params, None, None]:
        return jax.tree.map(lambda g: d_loss.astype(g.dtype) * g, gradients), None, None

    loss.defvjp(loss_forward, loss_backward)
    return loss


def per_example_backward(
    objective: Objective, params: Params, batch: Batch, targets: Goal
) -> tuple[jax.Array, Params]:
    """:func:`backward` of each group alone, by ``vmap``: losses [B] and gradients with a leading
    axis B.

    The gradients sum to those of :func:`backward`. A full softmax has a dense [V, D] for every
    group: mind the memory. Raises SettingError where groups share negatives, and with them a part
    of their gradient.

    >>> from w2vjax.windows.skipgram import pairs
    >>> objective, params, batch = softmax(), init_params(jax.random.key(0), 4, 2), pairs([0, 1], [1, 3])
    >>> targets = objective.select((), (), batch.words, batch.weights)
    >>> losses, gradients = per_example_backward(objective, params, batch, targets)
    >>> losses.shape, gradients.output.shape
    ((2,), (2, 4, 2))
    """
    if objective.sharing(targets) > 1 or batch.regrouped > 1:
        raise SettingError(
            "Groups that share negatives or input words have no gradients of their own. Use "
            "span=1, and a window shape with one group of positives for each group of inputs."
        )

    def one(group: tuple[Batch, Goal]) -> tuple[jax.Array, Params]:
        return backward(objective, params, *jax.tree.map(lambda leaf: leaf[None], group))

    return jax.vmap(one)((batch, targets))


def held_out_loss(
    params: Params,
    batch: Batch,
    objective: Objective | None = None,
    tables: Tables = (),
    chunk: int = 8192,
    offset: jax.Array | None = None,
) -> jax.Array:
    """Exact negative log-likelihood per positive, in nats, of words the model has not seen; a
    scalar.

    By default the full softmax over scores + ``offset`` [V], ``chunk`` words at a time. The scores
    of a softmax need no offset. Those of negative sampling leave out the noise q: give log q.
    Subsampling changes the frequencies that a model learns: subtract the log of the share of each
    word that it kept. :func:`~w2vjax.runs.held_out.evaluate_held_out` does both. A model of
    hierarchical softmax has its own exact likelihood: pass its objective and tables. A batch
    without examples has 0.

    >>> from w2vjax.windows.skipgram import pairs
    >>> params = init_params(jax.random.key(0), vocab_size=4, dim=2)
    >>> print(held_out_loss(params, pairs([0, 1], [1, 3])).round(4))  # output rows are 0: log 4
    1.3863
    >>> offset = jnp.log(jnp.asarray([0.4, 0.4, 0.1, 0.1]))
    >>> print(f"{held_out_loss(params, pairs([0, 1], [1, 3]), offset=offset):.4f}")  # (-log 0.4 - log 0.1) / 2
    1.6094
    """
    total = batch.weights.sum()
    if objective is None:
        hidden, output = hidden_vectors(params.input, batch), params.output
        # one more column: a hidden vector that ends in 1 then scores s + offset
        if offset is not None:
            hidden = jnp.concatenate([hidden, jnp.ones((*hidden.shape[:-1], 1), hidden.dtype)], -1)
            output = jnp.concatenate([output, offset[:, None].astype(output.dtype)], 1)
        loss = softmax(chunk).loss(hidden, output, SoftmaxTargets(batch.words, batch.weights)).sum()
    else:
        targets = draw_targets(objective, jax.random.key(0), tables, batch)
        loss = cross_entropy(objective, params, batch, targets)
    return loss / jnp.where(total > 0, total, jnp.ones_like(total))
