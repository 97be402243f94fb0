"""The names of models and objectives, and the defaults that measurement chose for each pair.

A step of bounded size (:mod:`w2vjax.objectives.bounds`) learns at any rate and any number of words; these are where it
learned best. Each row names the committed result that chose it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from w2vjax.errors import SettingError
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.training.updates import row_sgd
from w2vjax.types import Objective
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.cbow import cbow_counted_batch, cbow_counted_run_batch
from w2vjax.windows.fans import fan_batch


class Choice(NamedTuple):
    """The functions and numbers behind one pair of names."""

    windows: Callable[..., Any]
    objective: Callable[..., Objective]  # (num_negatives, exponent, words of the corpus)
    optimizer: Callable[[Any], Any]
    learning_rate: float  # of a long text: see usual_rate
    run: int  # T
    batch_words: int  # on a CPU
    accelerator_words: int  # on a GPU or TPU, where a small step costs as much as a large one


# From this many words on, blocks share fewer negatives: a long text draws each word often enough.
MANY_WORDS = 1 << 23


def _negative(num_negatives: int, exponent: float, words: int = 0) -> Objective:
    # benchmarks/results/cpu-2-cores/sweep-shared.json
    shared, span = (32, 4) if words >= MANY_WORDS else (48, 3)
    return shared_negatives(num_negatives, exponent, shared, span)


def _hierarchical(*_: Any) -> Objective:
    return hierarchical_softmax(spare=1 / 3)


def _softmax(*_: Any) -> Objective:
    return softmax(4096)


# Rates: benchmarks/results/cpu-2-cores/sweep-rates.json. Words a step of skip-gram with negatives: sweep-bounds.json.
CHOICES: dict[tuple[str, str], Choice] = {
    ("skip-gram", "negative"): Choice(block_batch, _negative, row_sgd, 0.1, 16, 384, 8192),
    ("skip-gram", "hierarchical"): Choice(fan_batch, _hierarchical, row_sgd, 0.1, 16, 256, 8192),
    ("skip-gram", "softmax"): Choice(block_batch, _softmax, row_sgd, 0.2, 16, 1024, 8192),
    ("cbow", "negative"): Choice(cbow_counted_run_batch, _negative, row_sgd, 0.5, 16, 384, 8192),
    ("cbow", "hierarchical"): Choice(cbow_counted_batch, _hierarchical, row_sgd, 0.3, 16, 96, 8192),
    ("cbow", "softmax"): Choice(cbow_counted_run_batch, _softmax, row_sgd, 0.5, 16, 1024, 8192),
}


# CBOW takes a smaller rate where words / epochs are fewer than this, down to a tenth of it.
FEW_WORDS = 1 << 13
_LEAST_SHARE = 0.1


def usual_rate(model: str, objective: str, words: int | None = None, epochs: int = 1) -> float:
    """The learning rate for a text of ``words`` that is read ``epochs`` times; None for a long text.

    A mean of context words is nearly unique to its place, so CBOW learns a short text by heart where skip-gram, whose
    pairs come again, does not. Its rate is that of a long text times words / epochs / 2^13, which is held between 0.1
    and 1, to two digits (benchmarks/results/cpu-2-cores/sweep-small-text.json).

    >>> usual_rate("cbow", "negative"), usual_rate("cbow", "negative", 48_000, 20)
    (0.5, 0.15)
    """
    rate = choice(model, objective).learning_rate
    if model != "cbow" or words is None:
        return rate
    share = min(1.0, max(_LEAST_SHARE, words / epochs / FEW_WORDS))
    return float(f"{rate * share:.2g}")


# The name of an objective that is the caller's own.
CUSTOM = "custom"


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


def choice(model: str, objective: str) -> Choice:
    """What a pair of names stands for.

    Models: "skip-gram", "cbow". Objectives: "negative", "hierarchical", "softmax", and "custom" for one of the caller's
    own, which gets what "negative" has. Raises :class:`~w2vjax.errors.SettingError` for names it does not know.

    >>> choice("skip-gram", "negative").run
    16
    """
    pair = (model, "negative" if objective == CUSTOM else objective)
    try:
        return CHOICES[pair]
    except (KeyError, TypeError):
        models, objectives = (sorted({pair[i] for pair in CHOICES}) for i in (0, 1))
        raise SettingError(
            f"model={model!r} with objective={objective!r} is not known. Models: {', '.join(models)}; "
            f"objectives: {', '.join(objectives)}."
        ) from None
