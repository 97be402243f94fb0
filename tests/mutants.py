"""Wrong backwards, one line each. A check is worth what it catches.

Each takes (objective, params, batch, targets) and returns a wrong (d_input, d_output). The loss
stays right. All can be jitted.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import w2vjax as w2v
from w2vjax.objectives.logistic import sigmoid
from w2vjax.objectives.scores import logits, logits_backward, score, score_backward

Mutant = Callable[[Any, Any, Any, Any], Any]


def right(
    objective: Any,
    params: Any,
    batch: Any,
    targets: Any,
    embed_backward: Any = w2v.objectives.embed_backward,
) -> Any:
    return dense(params, w2v.backward(objective, params, batch, targets, embed_backward)[1])


def dense(params: Any, gradients: Any) -> Any:
    return tuple(w2v.to_dense(g, p) for g, p in zip(gradients, params, strict=True))


def after(change: Callable[[Any, Any], Any]) -> Mutant:
    """A change to the finished gradients."""
    return lambda o, p, b, t: change(*right(o, p, b, t))


def retargeted(change: Callable[[Any, Any], Any]) -> Mutant:
    """A backward that looks at other targets than the loss does."""
    return lambda o, p, b, t: right(o, p, b, change(b, t))


def with_error(rule: Callable[[Any, Any], Any]) -> Mutant:
    """A logistic backward with another error: rule(scores, targets)."""

    def mutant(o: Any, p: Any, b: Any, t: Any) -> Any:
        hidden = w2v.objectives.embed(p.input, b.inputs)
        error = rule(score(hidden, p.output, t.ids), t)
        d_hidden, d_output = score_backward(error, hidden, p.output, t.ids)
        return dense(p, (w2v.objectives.embed_backward(d_hidden, b.inputs), d_output))

    return mutant


def with_softmax_error(rule: Callable[[Any, Any], Any]) -> Mutant:
    """A softmax backward with another error: rule(logits, targets)."""

    def mutant(o: Any, p: Any, b: Any, t: Any) -> Any:
        hidden = w2v.objectives.embed(p.input, b.inputs)
        d_hidden, d_output = logits_backward(rule(logits(hidden, p.output), t), hidden, p.output)
        return dense(p, (w2v.objectives.embed_backward(d_hidden, b.inputs), d_output))

    return mutant


def with_inputs(change: Callable[[Any], Any]) -> Mutant:
    """A backward of the hidden vector with other input weights."""
    return lambda o, p, b, t: right(
        o, p, b, t, lambda d, inputs: w2v.objectives.embed_backward(d, change(inputs))
    )


def scale_row(table: Any, factor: float) -> Any:
    """The row with the largest entry, times a factor."""
    return table.at[jnp.abs(table).max(-1).argmax()].multiply(factor)


def one_element(table: Any) -> Any:
    """The largest entry, off by a part in 10^9 of 1."""
    at = jnp.unravel_index(jnp.abs(table).argmax(), table.shape)
    return table.at[at].add(1e-9)


def set_rows(which: int) -> Mutant:
    """``set`` instead of ``add``: of repeated rows one survives."""

    def mutant(o: Any, p: Any, b: Any, t: Any) -> Any:
        gradients = w2v.backward(o, p, b, t)[1]
        found = list(dense(p, gradients))
        ids, values = gradients[which]
        found[which] = jnp.zeros_like(found[which]).at[ids].set(values)
        return found

    return mutant


def first_rows(which: int) -> Mutant:
    """Only the first of repeated rows counts."""

    def mutant(o: Any, p: Any, b: Any, t: Any) -> Any:
        gradients = w2v.backward(o, p, b, t)[1]
        found = list(dense(p, gradients))
        ids, values = gradients[which]
        again = jnp.tril(ids[:, None] == ids[None], -1).any(1)[:, None]
        values = jnp.where(again, jnp.zeros_like(values), values)
        found[which] = jnp.zeros_like(found[which]).at[ids].add(values)
        return found

    return mutant


def onehot(z: Any, t: Any) -> Any:
    rows = (t.ids[:, :, None] == jnp.arange(z.shape[-1])).astype(z.dtype)
    return jnp.einsum("btp,bpv->btv", t.weights, rows)


def softmax(z: Any) -> Any:
    powers = jnp.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def total(t: Any) -> Any:
    return t.weights.sum(-1, keepdims=True)


def weights_of(change: Callable[[Any], Any]) -> Mutant:
    return retargeted(lambda b, t: t._replace(weights=change(t.weights)))


def without_clash(b: Any, t: Any) -> Any:
    """Positives that were drawn as negatives are pushed away like any other."""
    drawn = t.ids.shape[1] - b.words.shape[1]
    full = jnp.broadcast_to(
        b.weights.sum(-1, keepdims=True) * (5 / drawn), (*b.weights.shape[:2], drawn)
    )
    return t._replace(weights=jnp.concatenate([b.weights, full], -1))


def clash_drops_the_block(b: Any, t: Any) -> Any:
    """A negative that is a positive of any word in the block is dropped for all."""
    P = b.words.shape[1]
    clear = (t.ids[:, P:, None] != b.words[:, None]).all(-1)
    weights = t.weights[..., P:] * clear[:, None].astype(t.weights.dtype)
    return t._replace(weights=jnp.concatenate([t.weights[..., :P], weights], -1))


def clipped(scores: Any, t: Any) -> Any:
    """Nothing is learnt beyond +-6 (gensim)."""
    error = t.weights * (sigmoid(scores) - t.labels)
    return jnp.where(jnp.abs(scores) > 6, jnp.zeros_like(error), error)


def saturated(scores: Any, t: Any) -> Any:
    """A sigmoid table that ends at +-6 (fastText ends at +-8)."""
    return t.weights * (sigmoid(jnp.clip(scores, -6, 6)) - t.labels)


def one_step(change: Callable[[Any, int], Any]) -> Mutant:
    """Path weights [B, T, P * L] changed at the real steps of each path."""
    return lambda o, p, b, t: right(o, p, b, change(t, t.ids.shape[1] // b.words.shape[1]))


def drop_step(t: Any, longest: int, step: int) -> Any:
    keep = (jnp.arange(t.ids.shape[1]) % longest != step % longest).astype(t.weights.dtype)
    return t._replace(weights=t.weights * keep[None, None])


def path_padding_leaks(b: Any, t: Any) -> Any:
    longest = t.ids.shape[1] // b.words.shape[1]
    return t._replace(weights=jnp.repeat(b.weights, longest, -1))


def flip_one_bit(b: Any, t: Any) -> Any:
    """The first decision of one real path."""
    at = jnp.unravel_index((t.weights.reshape(-1) != 0).argmax(), t.weights.shape)
    return t._replace(labels=t.labels.at[at].set(1 - t.labels[at]))


def chunked_away(keep: Callable[[Any, int], Any]) -> Mutant:
    """A slice of the vocabulary missing from the gradient."""

    def rule(z: Any, t: Any) -> Any:
        error = total(t) * softmax(z) - onehot(z, t)
        return error * keep(jnp.arange(z.shape[-1]), z.shape[-1])[None, None].astype(z.dtype)

    return with_softmax_error(rule)


ANY: dict[str, Mutant] = {
    "input row zeroed": after(lambda i, o: (scale_row(i, 0), o)),
    "output row zeroed": after(lambda i, o: (i, scale_row(o, 0))),
    "input row off by 1e-3": after(lambda i, o: (scale_row(i, 1.001), o)),
    "output row off by 1e-3": after(lambda i, o: (i, scale_row(o, 0.999))),
    "input sign": after(lambda i, o: (-i, o)),
    "output sign": after(lambda i, o: (i, -o)),
    "all times 1.001": after(lambda i, o: (1.001 * i, 1.001 * o)),
    "all zero": after(lambda i, o: (0 * i, 0 * o)),
    "tables swapped": after(lambda i, o: (o, i)),
    "rounded to float32": after(lambda i, o: (i.astype(jnp.float32).astype(i.dtype), o)),
    "last word forgotten": after(lambda i, o: (i.at[-1].set(0), o)),
    "rows shifted by one": after(lambda i, o: (jnp.roll(i, 1, 0), o)),
    "one element": after(lambda i, o: (i, one_element(o))),
    "input set, not added": set_rows(0),
    "input first duplicate only": first_rows(0),
    "last group lost": weights_of(lambda w: w.at[-1].set(0)),
    "padding leaks": weights_of(lambda w: jnp.where(w == 0, jnp.ones_like(w), w)),
    "weights squared": weights_of(lambda w: 2 * w * w),
    "mean over the batch": after(lambda i, o: (i / 3, o / 3)),
}
LOGISTIC: dict[str, Mutant] = {
    "output set, not added": set_rows(1),
    "output first duplicate only": first_rows(1),
    "clipped at 6": with_error(clipped),
    "sigmoid table ends at 6": with_error(saturated),
    "label forgotten": with_error(lambda s, t: t.weights * sigmoid(s)),
    "labels flipped": with_error(lambda s, t: t.weights * (sigmoid(s) - 1 + t.labels)),
    "weights forgotten": with_error(lambda s, t: sigmoid(s) - t.labels),
    "squared loss": with_error(
        lambda s, t: t.weights * (sigmoid(s) - t.labels) * sigmoid(s) * sigmoid(-s)
    ),
    "tanh for sigmoid": with_error(lambda s, t: t.weights * (jnp.tanh(s) - t.labels)),
}
NEGATIVE: dict[str, Mutant] = {
    "positive counted as negative": retargeted(without_clash),
    "clash drops the block": retargeted(clash_drops_the_block),
    "last negative lost": weights_of(lambda w: w.at[..., -1].set(0)),
    "first positive lost": weights_of(lambda w: w.at[..., 2].set(0)),
    "negatives doubled": with_error(
        lambda s, t: t.weights * (2 - t.labels) * (sigmoid(s) - t.labels)
    ),
}
SHARED: dict[str, Mutant] = {
    "K in place of num_negatives": with_error(
        lambda s, t: t.weights * (t.labels + (1 - t.labels) * 12 / 5) * (sigmoid(s) - t.labels)
    )
}
# of examples/nce.py, whose targets have shift [B, 1, R]: log(num_negatives * q)
NCE: dict[str, Mutant] = {
    "shift forgotten": with_error(lambda s, t: t.weights * (sigmoid(s) - t.labels)),
    "shift added": with_error(lambda s, t: t.weights * (sigmoid(s + t.shift) - t.labels)),
    "shift of negatives alone": with_error(
        lambda s, t: t.weights * (sigmoid(s - t.shift * (1 - t.labels)) - t.labels)
    ),
    "shift without num_negatives": retargeted(lambda b, t: t._replace(shift=t.shift - jnp.log(5))),
    "shift of the next row": retargeted(lambda b, t: t._replace(shift=jnp.roll(t.shift, 1, -1))),
}
HUFFMAN: dict[str, Mutant] = {
    "code bit flipped": retargeted(flip_one_bit),
    "all codes flipped": retargeted(lambda b, t: t._replace(labels=1 - t.labels)),
    "root skipped": one_step(lambda t, L: drop_step(t, L, 0)),
    "second node skipped": one_step(lambda t, L: drop_step(t, L, 1)),
    "deepest node skipped": one_step(lambda t, L: drop_step(t, L, L - 1)),
    "path padding leaks": retargeted(path_padding_leaks),
    "node ids off by one": retargeted(lambda b, t: t._replace(ids=(t.ids + 1) % 12)),
}
SOFTMAX: dict[str, Mutant] = {
    "one-hot forgotten": with_softmax_error(lambda z, t: total(t) * softmax(z)),
    "one-hot doubled": with_softmax_error(lambda z, t: total(t) * softmax(z) - 2 * onehot(z, t)),
    "softmax term forgotten": with_softmax_error(lambda z, t: -onehot(z, t)),
    "positives uncounted": with_softmax_error(lambda z, t: softmax(z) - onehot(z, t)),
    "repeated positives set": with_softmax_error(
        lambda z, t: total(t) * softmax(z) - jnp.minimum(onehot(z, t), jnp.ones((), z.dtype))
    ),
    "exp not normalised": with_softmax_error(
        lambda z, t: total(t) * jnp.exp(z - z.max(-1, keepdims=True)) - onehot(z, t)
    ),
    "sigmoid for softmax": with_softmax_error(lambda z, t: total(t) * sigmoid(z) - onehot(z, t)),
    "logits clipped at 6": with_softmax_error(
        lambda z, t: total(t) * softmax(jnp.clip(z, -6, 6)) - onehot(z, t)
    ),
    "last chunk dropped": chunked_away(lambda v, V: v < V - V % 5),
    "first chunk dropped": chunked_away(lambda v, V: v >= 5),
    "last word of each chunk dropped": chunked_away(lambda v, V: v % 5 != 4),
    "each chunk normalised alone": with_softmax_error(
        lambda z, t: (
            total(t) * jnp.concatenate([softmax(z[..., :5]), softmax(z[..., 5:])], -1)
            - onehot(z, t)
        )
    ),
}
CBOW: dict[str, Mutant] = {
    "mean forgotten": with_inputs(
        lambda x: x._replace(weights=(x.weights > 0).astype(x.weights.dtype))
    ),
    "mean doubled": with_inputs(lambda x: x._replace(weights=x.weights**2)),
    "mean over slots, padding included": with_inputs(
        lambda x: x._replace(weights=(x.weights > 0).astype(x.weights.dtype) / x.weights.shape[-1])
    ),
    "padding slots learn": with_inputs(
        lambda x: x._replace(weights=jnp.full_like(x.weights, x.weights.max()))
    ),
    "last context lost": with_inputs(lambda x: x._replace(weights=x.weights.at[..., -1].set(0))),
    "contexts reversed": with_inputs(lambda x: x._replace(ids=x.ids[..., ::-1])),
}
# for hidden vectors that share their words
BLOCKS: dict[str, Mutant] = {
    "first hidden vector of a block alone": with_inputs(
        lambda x: x._replace(weights=x.weights.at[:, 1:].set(0))
    ),
    "last hidden vector of a block lost": with_inputs(
        lambda x: x._replace(weights=x.weights.at[:, -1].set(0))
    ),
    "weights of the next hidden vector": with_inputs(
        lambda x: x._replace(weights=jnp.roll(x.weights, 1, 1))
    ),
    "words of the next block": with_inputs(lambda x: x._replace(ids=jnp.roll(x.ids, 1, 0))),
}
