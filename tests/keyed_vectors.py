"""gensim's form of our vectors, for tests that hold one against the other; skipped where gensim is
not installed.
"""

import numpy as np
import pytest


def keyed_vectors(vectors):
    models = pytest.importorskip("gensim.models")
    keyed = models.KeyedVectors(vectors.dim)
    keyed.add_vectors(list(vectors.words), np.array(vectors.matrix))
    return keyed
