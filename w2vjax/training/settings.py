"""The numbers and names of a run. This file is the one place where a setting is written.

A field of :class:`Settings` holds name, type, default, bounds and a sentence. ``train``, ``plan``,
their signatures and help, ``w2vjax train --help``, the checks, the checkpoints and the summary all
read it. To add a setting, add a field.
"""

import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from w2vjax.errors import SettingError, shown

if TYPE_CHECKING:
    from w2vjax.types import Objective

ModelName = Literal["skip-gram", "cbow"]
ObjectiveName = Literal["negative", "hierarchical", "softmax"]
DtypeName = Literal["float32", "float64", "bfloat16"]
Value = TypeVar("Value")

# A larger step makes most rows of a text step on stale gradients, and gains little on any device.
MOST_BATCH_WORDS = 65_536
# With more, the sums that bound a step would lose digits (objectives/bounds.py, StepTotals).
MOST_JOIN_WORDS = 1 << 22
# What earlier versions called a setting.
RENAMED = {"run": "block_words", "replicas": "copies"}
# What gensim, word2vec.c and fastText call a setting.
ELSEWHERE = {
    **dict.fromkeys(("vector_size", "size", "layer1_size"), "dim"),
    **dict.fromkeys(("negative", "neg"), "negatives"),
    "ns_exponent": "noise_exponent",
    **dict.fromkeys(("alpha", "start_alpha", "lr"), "learning_rate"),
    **dict.fromkeys(("iter", "epoch", "passes"), "epochs"),
    **dict.fromkeys(("workers", "threads", "thread"), "copies"),
    "ws": "window",
    "t": "sample",
    "minCount": "min_count",
    **dict.fromkeys(("max_final_vocab", "max_vocab_size"), "max_vocab"),
    **dict.fromkeys(("sg", "cbow"), "model"),
    **dict.fromkeys(("hs", "loss"), "objective"),
}


def whole(default: Value, about: str, low: int, high: int) -> Value:
    """A field for a whole number from ``low`` to ``high``."""
    return field(default=default, metadata={"about": about, "kind": int, "low": low, "high": high})


def real(default: Value, about: str, low: float, high: float) -> Value:
    """A field for a finite number from ``low`` to ``high``."""
    bounds = {"low": low, "high": high}
    return field(default=default, metadata={"about": about, "kind": float, **bounds})


def one_of(names: object, default: Value, about: str) -> Value:
    """A field for one of the strings of a ``Literal``."""
    return field(default=default, metadata={"about": about, "kind": names})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run, as plain as JSON but for an objective of your own.

    A setting that is None has a default that depends on others:
    :func:`w2vjax.training.methods.completed` fills it in.
    """

    model: ModelName = one_of(
        ModelName,
        "skip-gram",
        "skip-gram predicts the neighbours of a word; cbow predicts a word from the mean of its "
        "neighbours.",
    )
    objective: "ObjectiveName | Objective" = one_of(
        ObjectiveName,
        "negative",
        "negative sampling, hierarchical softmax, or the full softmax, which suits small "
        "vocabularies.",
    )
    dim: int = whole(100, "Numbers in a vector.", 1, 100_000)
    window: int = whole(
        5,
        "The most words on either side. Each center draws its own reach, from 1 to this.",
        1,
        1_000,
    )
    epochs: int = whole(5, "Passes over the corpus.", 1, 1_000_000)
    negatives: int | None = whole(
        None,
        "Negatives that each positive meets; for the objective negative only. Default: 5.",
        1,
        10_000,
    )
    noise_exponent: float | None = real(
        None,
        "Negatives are drawn from the counts to this power; for the objective negative only. "
        "Default: 0.75.",
        -10,
        10,
    )
    min_count: int | None = whole(
        None,
        "Words that occur less often are left out. Default: 5; a prepared corpus or a vocabulary "
        "has its own.",
        0,
        2**62,
    )
    max_vocab: int | None = whole(
        None, "Only this many of the most frequent words are kept. Default: all.", 1, 2**31 - 2
    )
    sample: float = real(
        1e-3, "Threshold for dropping frequent words at random. 0 keeps all words.", 0, 1
    )
    learning_rate: float | None = real(
        None,
        "The learning rate falls from this to 1e-4 of it, linearly. Default: measured for the "
        "method, and less for skip-gram with a wide window or many negatives.",
        0,
        1e6,
    )
    batch_words: int | None = whole(
        None,
        "Words in a step, after subsampling. Default: measured for the method, on a CPU and on an "
        "accelerator.",
        1,
        MOST_BATCH_WORDS,
    )
    block_words: int | None = whole(
        None,
        "Consecutive words that a step reads together. batch_words is a multiple of it. Default: "
        "16.",
        1,
        4_096,
    )
    seed: int = whole(0, "All random numbers follow from it.", 0, 2**32 - 1)
    held_out: float = real(
        0.0,
        "Share of the corpus, at its end, that is not trained on. The summary has the exact loss "
        "of its first 100,000 words.",
        0,
        0.9,
    )
    copies: int | None = whole(
        None,
        "Copies of the tables that are trained side by side. Default: 2 on a CPU if the corpus "
        "has more than half a million words, otherwise 1. Several devices: one on each.",
        1,
        1_024,
    )
    join_words: int | None = whole(
        None,
        "Words that each copy trains between two joins. A signal is answered at the next join. "
        "Default: measured; fewer for many copies, more for large tables.",
        1,
        MOST_JOIN_WORDS,
    )
    dtype: DtypeName = one_of(
        DtypeName,
        "float32",
        "Type of the tables. bfloat16 halves their memory. On a CPU it trains many times slower, "
        "the more the larger the vocabulary, because XLA converts both tables in every step.",
    )

    def __post_init__(self) -> None:
        """Make a Python number of each number of NumPy or JAX."""
        for name, value in list(vars(self).items()):
            if getattr(value, "ndim", None) == 0:
                if _is_traced(value):
                    cause = f"{name} is traced by JAX, and settings are numbers"
                    raise SettingError(f"{cause}. Use w2vjax.train_many for many.")
                object.__setattr__(self, name, value.item())

    def check(self) -> None:
        """Raise SettingError for the first value that cannot work by itself.

        >>> Settings(dim=0).check()
        Traceback (most recent call last):
            ...
        w2vjax.errors.SettingError: dim=0 cannot work. Use a whole number from 1 to 100000.
        """
        for each in fields(Settings):
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                check_value(each, value)
        if self.learning_rate == 0:
            raise SettingError("learning_rate=0 trains nothing. Leave it out for the default.")
        for name in ("negatives", "noise_exponent"):
            if (value := getattr(self, name)) is not None and self.objective != "negative":
                raise SettingError(
                    f"{name}={value!r} is for objective='negative', and this is "
                    f"{objective_name(self.objective)!r}. Leave it out."
                )

    def as_json(self) -> dict[str, Any]:
        """Name and value of every setting. An objective of your own is called "custom".

        >>> Settings(dim=20).as_json()["dim"]
        20
        """
        values = {each.name: getattr(self, each.name) for each in fields(Settings)}
        return values | {"objective": objective_name(self.objective)}


@dataclass(frozen=True, kw_only=True)
class Complete(Settings):
    """Settings with the numbers of the method filled in. ``methods.completed`` makes them."""

    learning_rate: float
    batch_words: int
    block_words: int


# help(Settings) has the sentence of each field
_SENTENCES = [f"    {each.name}: {each.metadata['about']}" for each in fields(Settings)]
Settings.__doc__ = "\n".join([cleandoc(Settings.__doc__ or ""), "", "Attributes:", *_SENTENCES])


def objective_name(objective: "str | Objective") -> str:
    """The name of an objective in logs, checkpoints and model files. Your own is called "custom".

    >>> objective_name("softmax")
    'softmax'
    """
    return objective if isinstance(objective, str) else "custom"


def _is_traced(value: object) -> bool:
    """Whether JAX traces a value. A derivative with respect to a setting would be 0."""
    jax = sys.modules.get("jax")  # whoever has a traced value has imported it
    return jax is not None and isinstance(value, jax.core.Tracer)


def check_value(setting: "Field[Any]", value: object) -> None:
    """Raise SettingError if a value has the wrong type or is out of the setting's bounds."""
    name, kind = setting.name, setting.metadata["kind"]
    if kind not in (int, float):
        return _check_name(name, kind, value)
    low, high = setting.metadata["low"], setting.metadata["high"]
    number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        what = "whole" if kind is int else "finite"
        raise SettingError(
            f"{name}={shown(value)} cannot work. Use a {what} number from {low} to {high}."
        )


def _check_name(name: str, kind: Any, value: object) -> None:
    if name == "objective" and not isinstance(value, str):
        from w2vjax.types import Objective

        if isinstance(value, Objective):
            return
    if not isinstance(value, str) or value not in get_args(kind):
        own = ", or pass an Objective of your own" if name == "objective" else ""
        raise SettingError(
            f"{name}={value!r} cannot work. Use one of {', '.join(get_args(kind))}{own}."
        )
    if value == "float64":
        import jax

        if not jax.config.read("jax_enable_x64"):
            raise SettingError(
                "dtype='float64' needs the 64-bit numbers of JAX, which are off. Set the "
                "environment variable JAX_ENABLE_X64=1, or use float32."
            )


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with other values, of those that are not None.

    >>> changed(Settings(), {"dim": 20, "epochs": None}).dim
    20
    """
    return replace(settings, **{name: value for name, value in values.items() if value is not None})
