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
from w2vjax.windows.cbow import cbow_lone_batch, cbow_run_batch
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


_steps_of_50 = partial(row_sgd, cap=50.0)

CHOICES: dict[tuple[str, str], Choice] = {
    ("skip-gram", "negative"): Choice(block_batch, _negative(48, 3), row_sgd, 0.05, 16, 768),
    ("skip-gram", "hierarchical"): Choice(
        fan_batch, lambda *_: hierarchical_softmax(spare=0), _steps_of_50, 0.03, 16, 256
    ),
    ("skip-gram", "softmax"): Choice(block_batch, lambda *_: softmax(4096), row_adagrad, 0.2, 16, 1024),
    ("cbow", "negative"): Choice(cbow_run_batch, _negative(48, 4), partial(row_sgd, cap=25.0), 0.25, 16, 768),
    ("cbow", "hierarchical"): Choice(
        cbow_lone_batch, lambda *_: hierarchical_softmax(spare=0), _steps_of_50, 0.1, 16, 256
    ),
    ("cbow", "softmax"): Choice(cbow_run_batch, lambda *_: softmax(4096), row_adagrad, 0.2, 16, 1024),
}


# The name of an objective that is the caller's own; it gets the defaults of "negative".
CUSTOM = "custom"
# From this many words on, fewer negatives do: what they lack in one step, the many steps of an epoch make up for.
LARGE_WORDS = 1 << 23
LARGE: dict[tuple[str, str], Choice] = {
    ("skip-gram", "negative"): Choice(
        block_batch, _negative(32, 4), partial(row_sgd, cap=150.0), 0.05, 16, 384
    ),
}


def choice(model: str, objective: str, words: int = 0) -> Choice:
    """What a pair of names stands for, measured best for a corpus of ``words`` words.

    Models: "skip-gram", "cbow". Objectives: "negative", "hierarchical", "softmax". Raises
    :class:`~w2vjax.errors.SettingError` for names it does not know.

    >>> choice("skip-gram", "negative").batch_words, choice("skip-gram", "negative", words=10**8).batch_words
    (768, 384)
    """
    pair = (model, "negative" if objective == CUSTOM else objective)
    try:
        return LARGE[pair] if words >= LARGE_WORDS and pair in LARGE else CHOICES[pair]
    except (KeyError, TypeError):
        models, objectives = (sorted({pair[i] for pair in CHOICES}) for i in (0, 1))
        raise SettingError(
            f"model={model!r} with objective={objective!r} is not known. Models: {', '.join(models)}; "
            f"objectives: {', '.join(objectives)}."
        ) from None
