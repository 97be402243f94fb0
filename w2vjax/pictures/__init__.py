"""Pictures of vectors and of a training run."""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
