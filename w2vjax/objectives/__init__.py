"""Objectives: losses and their handwritten gradients, one file each, and the model around them."""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
