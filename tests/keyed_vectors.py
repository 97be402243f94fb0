"""Vectors as gensim's KeyedVectors, to compare the two. Without gensim the test is skipped."""

import numpy as np
import pytest


def keyed_vectors(vectors):
    models = pytest.importorskip("gensim.models")
    keyed = models.KeyedVectors(vectors.dim)
    keyed.add_vectors(list(vectors.words), np.array(vectors.matrix))
    return keyed
