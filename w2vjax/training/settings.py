"""The numbers of a run, checked before anything is read or made."""

import math
from typing import NamedTuple

from w2vjax.errors import SettingError

# beyond this many words a step, even capped rows move too far on a stale gradient for the shipped learning rates
MOST_BATCH_WORDS = 65_536


class Settings(NamedTuple):
    """The numbers of a run, as plain as JSON. Functions (objective, windows, optimizer) are passed beside them.

    Words of a batch are counted after subsampling. ``learning_rate`` is where the linear descent starts; it ends at
    1e-4 of it. ``replicas`` copies of the tables are trained side by side (:mod:`w2vjax.training.replicas`); None is 2
    on a CPU for corpora of more than half a million words, and 1 elsewhere.
    """

    dim: int = 100
    window: int = 5
    epochs: int = 5
    sample: float = 1e-3
    min_count: int = 5
    max_vocab: int | None = None
    learning_rate: float = 0.05
    batch_words: int = 768
    run: int = 16
    seed: int = 0
    held_out: float = 0.0
    replicas: int | None = None
    dtype: str = "float32"

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
            if value is None and name in {"max_vocab", "replicas"}:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise SettingError(f"{name}={value!r} cannot work. Use a whole number from {low} to {high}.")
        for name, least, most in _REAL:
            value = getattr(self, name)
            real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not real or not least <= value <= most:
                raise SettingError(
                    f"{name}={value!r} cannot work. Use a finite number from {least} to {most}."
                )
        if self.learning_rate == 0:
            raise SettingError("learning_rate=0 trains nothing. Use about 0.05.")
        if self.dtype not in _DTYPES:
            raise SettingError(f"dtype={self.dtype!r} cannot work. Use one of {', '.join(_DTYPES)}.")
        if self.batch_words % self.run:
            raise SettingError(
                f"batch_words={self.batch_words} is not a multiple of run={self.run}. "
                f"Use {self.run * math.ceil(self.batch_words / self.run)}."
            )
        return self


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
)
_REAL = (("sample", 0, 1), ("learning_rate", 0, 1e6), ("held_out", 0, 0.9))
_DTYPES = ("float32", "float64", "bfloat16")
