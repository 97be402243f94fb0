"""Is a gradient right? :mod:`w2vjax.gradcheck.check` defines the error. The other modules make hard
batches.
"""

from w2vjax.gradcheck.check import GradientCheck as GradientCheck
from w2vjax.gradcheck.check import check_gradients as check_gradients
