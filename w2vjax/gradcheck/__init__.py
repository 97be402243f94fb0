"""Is a gradient right? :mod:`w2vjax.gradcheck.check` defines the error.

The other modules make difficult batches, and run every objective on them.
"""

from w2vjax.gradcheck.check import assert_gradients as assert_gradients
from w2vjax.gradcheck.check import check_gradients as check_gradients
from w2vjax.gradcheck.report import GradientCheck as GradientCheck
