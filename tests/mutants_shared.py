"""Wrong backwards, made on purpose, of the fast shared negatives."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from mutants import Mutant, dense, first_rows, retargeted, set_rows

import w2vjax as w2v
from w2vjax.objectives.logistic import sigmoid
from w2vjax.objectives.shared import in_spans


def spread(scores: Any, w: Any, kept: Any) -> Any:
    return w * (kept * sigmoid(scores) - 1)


def noise(scores: Any, share: Any) -> Any:
    return share * sigmoid(scores)


def turned(error: Any) -> Any:
    return error.swapaxes(1, 2)


def with_shared_error(positive: Any = spread, negative: Any = noise, turn: Any = turned) -> Mutant:
    """The fast shared negatives with other errors [B, R, T], or an error turned in another way."""

    def mutant(o: Any, p: Any, b: Any, t: Any) -> Any:
        hidden, w = w2v.objectives.embed(p.input, b.inputs), t.weights.swapaxes(1, 2)
        spans, share = in_spans(hidden, t), in_spans(t.scale * w.sum(1), t)[:, None]
        rows, drawn = p.output[t.words], p.output[t.negatives]
        e = positive(jnp.einsum("brd,btd->brt", rows, hidden), w, t.kept[..., None])
        f = negative(jnp.einsum("brd,btd->brt", drawn, spans), share)
        d_hidden = jnp.einsum("btr,brd->btd", turn(e), rows)
        d_spans = jnp.einsum("btr,brd->btd", turn(f), drawn)
        values = [jnp.einsum("brt,btd->brd", e, hidden), jnp.einsum("brt,btd->brd", f, spans)]
        ids = jnp.concatenate([t.words.reshape(-1), t.negatives.reshape(-1)])
        values = jnp.concatenate([v.reshape(-1, v.shape[-1]) for v in values])
        d_input = w2v.objectives.embed_backward(d_hidden + d_spans.reshape(hidden.shape), b.inputs)
        return dense(p, (d_input, w2v.Rows(ids, values)))

    return mutant


def kept_as(change: Callable[[Any], Any]) -> Mutant:
    return retargeted(lambda b, t: t._replace(kept=change(t)))


SPANS: dict[str, Mutant] = {
    "output set, not added": set_rows(1),
    "output first duplicate only": first_rows(1),
    "repeats ignored": kept_as(lambda t: jnp.ones_like(t.kept)),
    "repeats doubled": kept_as(lambda t: 2 * t.kept - 1),
    "repeats not scaled": kept_as(lambda t: 1 - (1 - t.kept) / t.scale),
    "a word drawn twice counts once": kept_as(lambda t: jnp.maximum(t.kept, 1 - t.scale)),
    "repeats take back no more than all": kept_as(
        lambda t: jnp.maximum(t.kept, jnp.zeros_like(t.kept))
    ),
    "repeats of the neighbour": kept_as(lambda t: jnp.roll(t.kept, 1, 0)),
    "scale forgotten": retargeted(lambda b, t: t._replace(scale=jnp.ones_like(t.scale))),
    "negatives of the next span": retargeted(
        lambda b, t: t._replace(negatives=jnp.roll(t.negatives, 1, 0))
    ),
    "kept weighs the label too": with_shared_error(lambda s, w, kept: w * kept * (sigmoid(s) - 1)),
    "kept forgotten": with_shared_error(lambda s, w, kept: w * (sigmoid(s) - 1)),
    "label forgotten": with_shared_error(lambda s, w, kept: w * kept * sigmoid(s)),
    "label counted twice": with_shared_error(lambda s, w, kept: w * (kept * sigmoid(s) - 2)),
    "weights forgotten": with_shared_error(lambda s, w, kept: kept * sigmoid(s) - 1),
    "label on the negatives": with_shared_error(negative=lambda s, share: share * (sigmoid(s) - 1)),
    "negatives forgotten": with_shared_error(negative=lambda s, share: 0 * s),
    "negatives doubled": with_shared_error(negative=lambda s, share: 2 * share * sigmoid(s)),
    "positives of a hidden vector not counted": with_shared_error(
        negative=lambda s, share: jnp.minimum(share, jnp.full_like(share, 0.5)) * sigmoid(s)
    ),
    "positives averaged over the span": with_shared_error(
        negative=lambda s, share: share.mean(-1, keepdims=True) * sigmoid(s)
    ),
    "last negative lost": with_shared_error(
        negative=lambda s, share: noise(s, share).at[:, -1].set(0)
    ),
    "last hidden vector of a span lost": with_shared_error(
        negative=lambda s, share: noise(s, share).at[..., -1].set(0)
    ),
    "third positive lost": with_shared_error(lambda s, w, kept: spread(s, w, kept).at[:, 2].set(0)),
    "error not turned": with_shared_error(
        turn=lambda e: e.reshape(e.shape[0], e.shape[2], e.shape[1])
    ),
    "clipped at 6": with_shared_error(
        lambda s, w, kept: jnp.where(jnp.abs(s) > 6, jnp.zeros_like(s), spread(s, w, kept))
    ),
    "sigmoid table ends at 6": with_shared_error(
        lambda s, w, kept: spread(jnp.clip(s, -6, 6), w, kept),
        lambda s, share: noise(jnp.clip(s, -6, 6), share),
    ),
    "tanh for sigmoid": with_shared_error(negative=lambda s, share: share * jnp.tanh(s)),
}
