"""How good are vectors? Word pairs and analogies."""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
