"""A method of training: its functions, and the numbers that were measured for them.

A step of bounded size (:mod:`w2vjax.objectives.bounds`) does not diverge near these numbers, and
with them it learned best of what was tried. Comments name the committed results that chose them.
"""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

from w2vjax.devices.feed import COPY_WORDS
from w2vjax.errors import SettingError, whole_number
from w2vjax.objectives.hidden import embed_backward, embed_backward_undivided
from w2vjax.objectives.huffman import hierarchical_softmax
from w2vjax.objectives.shared import shared_negatives
from w2vjax.objectives.softmax import softmax
from w2vjax.real import number
from w2vjax.training.settings import MOST_BATCH_WORDS, Complete, ModelName, ObjectiveName, Settings
from w2vjax.training.updates import row_sgd
from w2vjax.types import EmbedBackward, Objective, OptimizerMaker, Reach, Windows
from w2vjax.windows import cbow
from w2vjax.windows.sampling import draw_reach
from w2vjax.windows.skipgram import block_batch, to_center_batch

# From this many words on, blocks share fewer negatives: a long text draws each word often enough.
# Skip-gram takes a smaller rate from here on (benchmarks/results/cpu-2-cores/sweep-words.json).
MANY_WORDS = 1 << 23
# CBOW takes a smaller rate where words / epochs are fewer than this, down to a tenth of it.
FEW_WORDS = 1 << 13
# On a text of fewer words than this, CBOW by negatives or softmax weighs a mean by its number of
# words (benchmarks/results/cpu-2-cores/sweep-small-text.json).
SHORT_TEXT = 1 << 17
_LEAST_SHARE = 0.1
# A center of skip-gram meets all positives of its window in one step, each with its negatives. With
# many of them it goes too far at the usual rate: 60 negatives learned less than the unigram
# distribution (benchmarks/results/cpu-2-cores/sweep-wide.json). So a window above _WIDE takes
# sqrt(_WIDE / window) of the rate, and the rate is at most _MOST_BY_NEGATIVES / sqrt(negatives).
# CBOW needs neither: a mean has one positive. Neither was measured on a GPU.
_WIDE, _MOST_BY_NEGATIVES = 10, 0.375
# What one copy takes, where a text has so many words or more that it usually gets two. Joins take
# the mean of frequent rows, so two copies may take noisier steps. On an accelerator nothing changes
# (benchmarks/results/cpu-2-cores/sweep-copies.json).
_OF_ONE_COPY: dict[tuple[object, object], tuple[int, dict[str, Any]]] = {
    ("skip-gram", "negative"): (
        MANY_WORDS,
        {"batch_words": 384, "learning_rate": 0.05, "accelerator_rate": 2.0},
    ),
    ("cbow", "negative"): (2 * COPY_WORDS, {"learning_rate": 0.25, "accelerator_rate": 2.0}),
}
# What negatives and noise_exponent are if they are not given: word2vec.c's.
NEGATIVES, NOISE_EXPONENT = 5, 0.75


class Method(NamedTuple):
    """How a model is trained. ``_replace`` changes a part; ``train(method=...)`` takes it.

    Attributes:
        model: what logs, checkpoints and model files call the windows.
        objective: a shipped one by its name, or your own.
        windows, reach, embed_backward: as in :class:`~w2vjax.training.step.Recipe`.
        learning_rate: of the first step.
        batch_words: of a step on a CPU.
        accelerator_words: of a step on a GPU or TPU, where a small one costs as much as a large one
            (benchmarks/results/nvidia-h100-80gb-hbm3/gpu-train.json).
        accelerator_rate: what learning_rate is multiplied by there, because steps are larger. The
            rate is then rounded to two digits.
        block_words: T, consecutive words in a block.
        optimizer: schedule -> optax transformation.
    """

    model: ModelName
    objective: ObjectiveName | Objective
    windows: Windows
    learning_rate: float
    batch_words: int
    accelerator_words: int = 8192
    accelerator_rate: float = 1.0
    block_words: int = 16
    optimizer: OptimizerMaker = row_sgd
    reach: Reach = draw_reach
    embed_backward: EmbedBackward = embed_backward


# Of a long text. Words of a step and learning rates: benchmarks/results/cpu-2-cores/
# sweep-words.json. A core takes small steps faster, because their rows stay in its cache
# (step_speed.json: two copies by 20 %, with trees by 28 %). On a long text they learn as much only
# at a smaller rate, and CBOW less at any. The rates of larger steps: sweep-rates.json and
# sweep-rates-trees.json. The softmaxes: sweep-rates-softmax.json and sweep-words-softmax.json, on
# 1 MB and from one seed. A second look with four seeds: 256 words learned no more than 1,024, and
# CBOW at twice its rate learned more there, but far less on a small text read 20 times.
_SHIPPED = (
    Method("skip-gram", "negative", block_batch, 0.075, 192, accelerator_rate=4 / 3),
    Method("skip-gram", "hierarchical", to_center_batch, 0.035, 32, accelerator_rate=10 / 7),
    Method("skip-gram", "softmax", block_batch, 0.2, 1024),
    Method("cbow", "negative", cbow.cbow_block_batch, 0.5, 384),
    Method("cbow", "hierarchical", cbow.cbow_weighted_batch, 0.15, 96),
    Method("cbow", "softmax", cbow.cbow_block_batch, 0.5, 1024),
)
SHIPPED_WINDOWS = {*(each.windows for each in _SHIPPED), *cbow.WEIGHTED, *cbow.UNWEIGHTED}
METHODS: dict[tuple[str, str], Method] = {
    (each.model, str(each.objective)): each for each in _SHIPPED
}


def _negative(num_negatives: int, exponent: float, words: int, **_: str) -> Objective:
    # benchmarks/results/cpu-2-cores/sweep-shared.json
    shared, span = (32, 4) if words >= MANY_WORDS else (48, 3)
    # 30 negatives of 48 were too much alike: NPMI .189 on a small text, against .211 for 5. Of 120,
    # they give .208 (sweep-small-text.json).
    return shared_negatives(num_negatives, exponent, max(shared, 4 * num_negatives), span)


def _hierarchical(model: str) -> Objective:
    # benchmarks/results/cpu-2-cores/sweep-bounds-trees.json. There a = 128 was .002 better
    # (cpu-16-cores), and on a short text it diverged at 16 times the words a step.
    return hierarchical_softmax(1 / 3, **({"b": 24.0} if model == "cbow" else {}))


# (negatives, noise exponent, words of the text, model=) -> objective
OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "negative": _negative,
    "hierarchical": lambda *_, model: _hierarchical(model),
    "softmax": lambda *_, **__: softmax(4096),
}


def method(
    model: ModelName = "skip-gram",
    objective: ObjectiveName | Objective = "negative",
    words: int | None = None,
    epochs: int = 1,
    copies: int | None = None,
    negatives: int | None = None,
    window: int | None = None,
) -> Method:
    """The method that was measured for a model, an objective and a length of text.

    ``train`` takes this method, with these numbers of its run, unless another is given. Rates are
    for the usual number of copies. One copy alone takes a smaller one by negative sampling, if the
    text is long: skip-gram 0.05 with 384 words a step, and CBOW half. On fewer than MANY_WORDS
    words, skip-gram takes the rate of an accelerator on a CPU too. With a window above 10 it takes
    sqrt(10 / window) of its rate, and by negative sampling 0.375 / sqrt(negatives) at most, on
    every device. A mean of context words is nearly unique to its place, so CBOW learns a short text
    by heart. Its rate is that of a long text times, to two digits::

        min(1, max(1 / 10, words / epochs / FEW_WORDS))

    On fewer than SHORT_TEXT words CBOW also weighs a mean by its number of words
    (:func:`~w2vjax.windows.cbow.cbow_weighted_block_batch`).

    Source: sweep-words.json, sweep-small-text.json and sweep-wide.json in
    benchmarks/results/cpu-2-cores.

    Args:
        model: "skip-gram" or "cbow".
        objective: "negative", "hierarchical" or "softmax". An :class:`~w2vjax.types.Objective` of
            your own gets the functions and numbers of "negative".
        words: of the text; None for a long one.
        epochs: how many times the text is read.
        copies: of the tables, if the caller says how many; None for the usual number.
        negatives, window: of the run; None for the usual numbers.

    Returns:
        The method, whose parts ``_replace`` changes.

    Raises:
        SettingError: a name is not known, or a number is not a whole one from 0 or 1 on.

    >>> method("cbow").learning_rate, method("cbow", words=48_000, epochs=20).learning_rate
    (0.5, 0.15)
    >>> method().learning_rate, method(words=48_000).learning_rate
    (0.075, 0.1)
    >>> method(copies=1).learning_rate, method(words=48_000, copies=1).learning_rate
    (0.05, 0.1)
    >>> method(negatives=30).learning_rate, method(negatives=60).learning_rate
    (0.068, 0.048)
    >>> method(window=20).learning_rate, method(window=100).learning_rate
    (0.053, 0.024)
    >>> method("cbow").windows.__name__, method("cbow", words=48_000).windows.__name__
    ('cbow_block_batch', 'cbow_weighted_block_batch')
    >>> from w2vjax.training.updates import row_adagrad
    >>> mine = method("cbow")._replace(optimizer=row_adagrad, learning_rate=0.05)
    """
    if isinstance(objective, Objective):
        chosen = method(model, "negative", words, epochs, copies, window=window)
        return chosen._replace(objective=objective)
    try:
        chosen = METHODS[model, objective]
    except (KeyError, TypeError):
        models, objectives = (sorted({names[i] for names in METHODS}) for i in (0, 1))
        raise SettingError(
            f"model={model!r} with objective={objective!r} is not known. Models: "
            f"{', '.join(models)}; objectives: {', '.join(objectives)}."
        ) from None
    whole_number("words", 0 if words is None else words, least=0)
    whole_number("epochs", epochs)
    whole_number("copies", 1 if copies is None else copies, most=1_024)
    negatives = whole_number("negatives", NEGATIVES if negatives is None else negatives, 1, 10_000)
    window = whole_number("window", 1 if window is None else window, 1, 1_000)
    least, alone = _OF_ONE_COPY.get((model, objective), (0, {}))
    if copies == 1 and (words is None or words >= least):
        chosen = chosen._replace(**alone)
    if model == "skip-gram":
        if words is not None and words < MANY_WORDS:
            chosen = chosen._replace(learning_rate=_larger_rate(chosen), accelerator_rate=1.0)
        most = _MOST_BY_NEGATIVES / math.sqrt(negatives) if objective == "negative" else math.inf
        usual = chosen.learning_rate, chosen.learning_rate * chosen.accelerator_rate
        rates = [min(each * math.sqrt(min(1.0, _WIDE / window)), most) for each in usual]
        if rates == [*usual]:
            return chosen
        rate = float(f"{rates[0]:.2g}")
        return chosen._replace(learning_rate=rate, accelerator_rate=max(1.0, rates[1] / rate))
    if words is not None:
        share = min(1.0, max(_LEAST_SHARE, words / epochs / FEW_WORDS))
        chosen = chosen._replace(learning_rate=float(f"{chosen.learning_rate * share:.2g}"))
        if words < SHORT_TEXT:
            chosen = chosen._replace(windows=cbow.WEIGHTED.get(chosen.windows, chosen.windows))
    return chosen


def _larger_rate(chosen: Method) -> float:
    """The rate of an accelerator, to two digits where it is another one."""
    if chosen.accelerator_rate == 1:
        return chosen.learning_rate
    return float(f"{chosen.learning_rate * chosen.accelerator_rate:.2g}")


def undivided(chosen: Method) -> Method:
    """The method with word2vec.c's undivided gradient of CBOW, and the rate for it.

    >>> undivided(method("cbow")).learning_rate
    0.05
    """
    # That gradient counts a mean by its words already.
    chosen = chosen._replace(windows=cbow.UNWEIGHTED.get(chosen.windows, chosen.windows))
    chosen = chosen._replace(embed_backward=embed_backward_undivided, accelerator_rate=1.0)
    return chosen._replace(learning_rate=min(0.05, chosen.learning_rate))


def make_objective(
    objective: str | Objective,
    negatives: int | None = None,
    noise_exponent: float | None = None,
    words: int = 0,
    model: str = "skip-gram",
    platform: str = "cpu",
) -> Objective:
    """The objective that a model trains on a corpus of ``words``; your own as it is.

    On the platform "gpu" it has its kernel (:mod:`w2vjax.devices.fused`), if there is one and JAX
    has Triton.

    >>> make_objective("negative").ahead, make_objective("softmax").ahead
    (True, False)
    """
    whole_number("words", words, least=0)
    if not isinstance(objective, Objective):
        many = NEGATIVES if negatives is None else negatives
        power = NOISE_EXPONENT if noise_exponent is None else noise_exponent
        objective = OBJECTIVES[objective](many, power, words, model=model)
    if platform != "gpu":
        return objective
    try:
        from w2vjax.devices.fused import on_gpu  # Pallas takes long to import
    except ImportError:  # a JAX without Triton
        return objective
    return on_gpu(objective)


def completed(
    settings: Settings, chosen: Method | None = None, accelerator: bool = False
) -> Complete:
    """The settings, checked, with the numbers of a method where they are None.

    Args:
        settings: of the run.
        chosen: the shipped method of model and objective unless another is given.
        accelerator: whether the run is on a GPU or TPU.

    Raises:
        SettingError: a setting cannot work, alone or with another.

    >>> completed(Settings()).batch_words, completed(Settings(batch_words=160)).batch_words
    (192, 160)
    """
    settings.check()
    asked = settings.copies, settings.negatives, settings.window
    chosen = chosen or method(settings.model, settings.objective, None, 1, *asked)
    for name in ("batch_words", "accelerator_words"):  # of both devices, on whichever it runs
        whole_number(name, getattr(chosen, name), most=MOST_BATCH_WORDS)
    if not 0 < number("accelerator_rate", chosen.accelerator_rate) < math.inf:
        cause = f"accelerator_rate={chosen.accelerator_rate} cannot work"
        raise SettingError(f"{cause}. Use a number above 0, such as 1.")
    usual: dict[str, Any] = {
        "learning_rate": _larger_rate(chosen) if accelerator else chosen.learning_rate,
        "block_words": chosen.block_words,
        "batch_words": chosen.accelerator_words if accelerator else chosen.batch_words,
    }
    if settings.objective == "negative":
        usual |= {"negatives": NEGATIVES, "noise_exponent": NOISE_EXPONENT}
    given = {each.name: getattr(settings, each.name) for each in fields(Settings)}
    full = Complete(**given | {name: value for name, value in usual.items() if given[name] is None})
    full.check()  # once more: a method of your own may have any numbers
    block = full.block_words
    whole = block * math.ceil(full.batch_words / block)
    if settings.batch_words is None:
        return replace(full, batch_words=whole)
    if full.batch_words != whole:
        raise SettingError(
            f"batch_words={full.batch_words} is not a multiple of block_words={block}. "
            f"Use {whole if whole <= MOST_BATCH_WORDS else whole - block}."
        )
    return full
