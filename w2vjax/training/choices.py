"""The names of models and objectives, and the defaults that measurement chose for each pair and size of corpus."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from w2vjax.errors import SettingError
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.training.updates import row_adagrad, row_sgd
from w2vjax.types import Objective
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.cbow import cbow_counted_batch, cbow_lone_batch, cbow_run_batch
from w2vjax.windows.fans import fan_batch


class Choice(NamedTuple):
    """The functions and numbers behind one pair of names."""

    windows: Callable[..., Any]
    objective: Callable[[int, float], Objective]  # (num_negatives, exponent)
    optimizer: Callable[[Any], Any]
    learning_rate: float
    run: int  # T
    batch_words: int


def _negative(shared: int, span: int) -> Callable[[int, float], Objective]:
    return lambda num_negatives, exponent: shared_negatives(num_negatives, exponent, shared, span)


CHOICES: dict[tuple[str, str], Choice] = {
    ("skip-gram", "negative"): Choice(block_batch, _negative(48, 3), row_sgd, 0.05, 16, 768),
    ("skip-gram", "hierarchical"): Choice(
        fan_batch, lambda *_: hierarchical_softmax(spare=1 / 3), row_sgd, 0.03, 16, 256
    ),
    ("skip-gram", "softmax"): Choice(block_batch, lambda *_: softmax(4096), row_adagrad, 0.2, 16, 1024),
    ("cbow", "negative"): Choice(cbow_run_batch, _negative(48, 4), row_sgd, 0.25, 16, 768),
    ("cbow", "hierarchical"): Choice(
        cbow_lone_batch, lambda *_: hierarchical_softmax(spare=1 / 3), row_sgd, 0.1, 16, 256
    ),
    ("cbow", "softmax"): Choice(cbow_run_batch, lambda *_: softmax(4096), row_adagrad, 0.2, 16, 1024),
}


# The name of an objective that is the caller's own.
CUSTOM = "custom"
# From this many words on, fewer negatives and smaller steps do: what a step lacks, the many of an epoch make up for.
# CBOW by hierarchical softmax, where a text is read few times, gains from windows that weigh by their words.
LARGE_WORDS = 1 << 23
LARGE: dict[tuple[str, str], Choice] = {
    ("skip-gram", "negative"): Choice(
        block_batch, _negative(32, 4), row_sgd, 0.05, 16, 384
    ),
    ("cbow", "hierarchical"): CHOICES["cbow", "hierarchical"]._replace(
        windows=cbow_counted_batch, learning_rate=0.14, batch_words=96
    ),
}
# With fewer different words than these (amino acids, items of a shop), a step hits every row up to its cap, and both
# tables overshoot together. 25 examples a row diverged at 99 words, 15 did not.
FEW_DIFFERENT = 1000
FEW: dict[tuple[str, str], Choice] = {
    ("cbow", "negative"): CHOICES["cbow", "negative"]._replace(optimizer=row_sgd),
}


def named(objective: Any) -> tuple[str, Objective | None]:
    """(name, the caller's own or None) of what ``train`` is given: a name, or an objective.

    Raises :class:`~w2vjax.errors.SettingError` for anything else.

    >>> named("softmax"), named(softmax())[0]
    (('softmax', None), 'custom')
    """
    if isinstance(objective, Objective):
        return CUSTOM, objective
    if not isinstance(objective, str) or objective == CUSTOM:
        raise SettingError(
            f"objective={objective!r} is neither a name nor an Objective. Pass 'negative', 'hierarchical', 'softmax' "
            "or an Objective of your own."
        )
    return objective, None


def choice(model: str, objective: str, words: int = 0, different: int = FEW_DIFFERENT) -> Choice:
    """What a pair of names stands for, measured best for a corpus of ``words`` words, ``different`` of them.

    Models: "skip-gram", "cbow". Objectives: "negative", "hierarchical", "softmax", and "custom" for one of the caller's
    own, which gets what a small corpus has with "negative". Raises :class:`~w2vjax.errors.SettingError` for names it
    does not know.

    >>> choice("skip-gram", "negative").batch_words, choice("skip-gram", "negative", words=10**8).batch_words
    (768, 384)
    """
    pair = (model, objective)
    try:
        if objective == CUSTOM:
            return CHOICES[model, "negative"]
        if different < FEW_DIFFERENT:
            return FEW.get(pair) or CHOICES[pair]
        return LARGE[pair] if words >= LARGE_WORDS and pair in LARGE else CHOICES[pair]
    except (KeyError, TypeError):
        models, objectives = (sorted({pair[i] for pair in CHOICES}) for i in (0, 1))
        raise SettingError(
            f"model={model!r} with objective={objective!r} is not known. Models: {', '.join(models)}; "
            f"objectives: {', '.join(objectives)}."
        ) from None
