"""The numbers of a run, checked before anything is read or made."""

import math
from typing import Any, NamedTuple

from w2vjax.errors import SettingError
from w2vjax.training.choices import choice, usual_rate

# beyond this many words a step, most of a text's rows step on stale gradients, and little is gained on any device
MOST_BATCH_WORDS = 65_536


class Settings(NamedTuple):
    """The names and numbers of a run, as plain as JSON. Functions of the caller's own are passed beside them.

    model, objective: see :func:`~w2vjax.training.choices.choice`. None for ``learning_rate``, ``batch_words`` or
    ``run`` is what was measured for them (and ``batch_words`` for a CPU or an accelerator), for ``negatives`` 5 and for
    ``noise_exponent`` 0.75. Words of a batch are counted after
    subsampling, and cut into groups of ``run``. ``learning_rate`` is where the linear descent starts; it ends at 1e-4
    of it. ``replicas`` copies of the tables are trained side by side (:mod:`w2vjax.training.replicas`); None is 2 on a
    CPU for corpora of more than half a million words, and 1 elsewhere.
    """

    dim: int = 100
    window: int = 5
    epochs: int = 5
    sample: float = 1e-3
    min_count: int = 5
    max_vocab: int | None = None
    learning_rate: Any = None  # float; None until :meth:`complete`, as the next two
    batch_words: Any = None  # int
    run: Any = None  # int
    seed: int = 0
    held_out: float = 0.0
    replicas: int | None = None
    dtype: str = "float32"
    model: str = "skip-gram"
    objective: str = "negative"
    negatives: Any = None  # int; of "negative" alone, as the next
    noise_exponent: Any = None  # float

    def check(self) -> "Settings":
        """The settings, with whole numbers as int. Raises :class:`~w2vjax.errors.SettingError` naming the first that
        cannot work.

        >>> Settings(dim=0).check()
        Traceback (most recent call last):
            ...
        w2vjax.errors.SettingError: dim=0 cannot work. Use a whole number from 1 to 100000.
        """
        for name, low, high in _WHOLE:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise SettingError(f"{name}={value!r} cannot work. Use a whole number from {low} to {high}.")
        for name, least, most in _REAL:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not real or not least <= value <= most:
                raise SettingError(
                    f"{name}={value!r} cannot work. Use a finite number from {least} to {most}."
                )
        if self.learning_rate == 0:
            raise SettingError("learning_rate=0 trains nothing. Leave it out for the default.")
        if self.dtype not in _DTYPES:
            raise SettingError(f"dtype={self.dtype!r} cannot work. Use one of {', '.join(_DTYPES)}.")
        for name in ("negatives", "noise_exponent"):
            if getattr(self, name) is not None and self.objective != "negative":
                raise SettingError(
                    f"{name}={getattr(self, name)!r} is for objective='negative', and this is {self.objective!r}. "
                    "Leave it out."
                )
        full = self.complete()
        if full.batch_words % full.run:
            raise SettingError(
                f"batch_words={full.batch_words} is not a multiple of run={full.run}. "
                f"Use {full.run * math.ceil(full.batch_words / full.run)}."
            )
        return self

    def complete(self, accelerator: bool = False, words: int | None = None) -> "Settings":
        """The settings with what is None chosen for the pair of names, a text of ``words``, a CPU or ``accelerator``.

        >>> Settings().complete().batch_words, Settings(batch_words=160).complete().batch_words
        (384, 160)
        """
        chosen = choice(self.model, self.objective)
        step = chosen.accelerator_words if accelerator else chosen.batch_words
        run = chosen.run if self.run is None else self.run
        usual: dict[str, Any] = {
            "learning_rate": usual_rate(self.model, self.objective, words, self.epochs),
            "run": run,
            "batch_words": run * math.ceil(step / run),
        }
        if self.objective == "negative":
            usual |= {"negatives": 5, "noise_exponent": 0.75}
        return self._replace(**{name: value for name, value in usual.items() if getattr(self, name) is None})


_WHOLE = (
    ("dim", 1, 100_000),
    ("window", 1, 1_000),
    ("epochs", 1, 1_000_000),
    ("min_count", 0, 2**62),
    ("max_vocab", 1, 2**31 - 2),
    ("batch_words", 1, MOST_BATCH_WORDS),
    ("run", 1, 4_096),
    ("replicas", 1, 64),
    ("seed", 0, 2**32 - 1),
    ("negatives", 1, 10_000),
)
_REAL = (("sample", 0, 1), ("learning_rate", 0, 1e6), ("held_out", 0, 0.9), ("noise_exponent", -10, 10))
_OPTIONAL = {"max_vocab", "replicas", "learning_rate", "batch_words", "run", "negatives", "noise_exponent"}
_DTYPES = ("float32", "float64", "bfloat16")
