"""Windows: what a model is shown of consecutive words, and how the words are sampled."""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
