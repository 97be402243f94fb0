"""How far float32 and bfloat16 are from float64, by their arithmetic and by what they store."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import jax
import numpy as np

from w2vjax.gradcheck import objectives as forms
from w2vjax.gradcheck.cases import SIZES, make_case
from w2vjax.gradcheck.check import check_gradients
from w2vjax.gradcheck.compare import TOLERANCES, dense, leaf_error
from w2vjax.gradcheck.compiled import compiled
from w2vjax.gradcheck.report import failed_check
from w2vjax.types import Objective


class Drift(NamedTuple):
    """The drift of one objective, window and dtype from float64.

    Both sides of ``loss`` and ``gradient`` are at the rounded params: the arithmetic alone. The two
    "stored" ones include the rounding of the params.
    """

    objective: str
    window: str
    dtype: str
    loss: float  # relative
    gradient: float  # norm-wise
    loss_stored: float
    gradient_stored: float
    raised: str | None = None  # what ended the measurement; all numbers are then NaN


def audit(objectives: dict[str, Objective], dtypes: forms.Names = forms.DTYPES) -> Iterator[Drift]:
    """The drift on an ordinary batch of 60 words, for each objective, window and dtype.

    An objective that raises has a Drift that says so.

    >>> from w2vjax.objectives.softmax import softmax
    >>> drift = next(audit({"softmax": softmax()}, ["float32"]))
    >>> drift.window, drift.gradient < 1e-5
    ('pairs', True)
    """
    for name, window, dtype in product(objectives, forms.WINDOWS, dtypes):
        try:
            yield drift_of(name, objectives[name], window, dtype)
        except MemoryError:
            raise
        except Exception as error:  # of a caller's own objective
            said = failed_check(dtype, TOLERANCES[dtype], error).raised
            yield Drift(name, window, dtype, np.nan, np.nan, np.nan, np.nan, said)


def drift_of(name: str, objective: Objective, window: str, dtype: str) -> Drift:
    """One :class:`Drift`."""
    size = SIZES[forms.MAIN_SIZE]
    case, (loss, handwritten) = make_case("ordinary", size), forms.functions(objective)
    exact = forms.make_inputs(objective, forms.WINDOWS[window], size, case, "float64")
    backward = compiled(loss, handwritten).backward
    with jax.enable_x64(True):
        true_loss, true_gradient = backward(*exact)
    inputs = forms.make_inputs(objective, forms.WINDOWS[window], size, case, dtype)
    options = {"also": (), **forms.AS_IT_IS, **forms.magnitudes(*inputs[:2])}
    check = check_gradients(loss, handwritten, *inputs, **options)
    with jax.enable_x64(dtype == "float64"):
        found_loss, found = backward(*inputs)
    tables = zip(dense(found, exact[0]), dense(true_gradient, exact[0]), strict=True)
    error = max(leaf_error(*pair, 1e-30)[0] for pair in tables)
    loss_error = abs(float(found_loss) - float(true_loss)) / max(abs(float(true_loss)), 1.0)
    return Drift(name, window, dtype, check.loss_error, check.error, loss_error, error)
