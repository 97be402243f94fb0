"""How alike are the vectors of the three objectives, and of two seeds of each?

Vectors of two runs cannot be compared number by number, because a rotation changes nothing that was
learned. The cosines of all pairs of words can: the table shows their correlation from run to run.
``python examples/objectives.py text.txt`` takes a text, with a few 100,000 words or more.
"""

import sys
from itertools import product
from typing import Any

import numpy as np

import w2vjax as w2v

OBJECTIVES = ("negative", "hierarchical", "softmax")


def cosines(vectors: w2v.Vectors, words: int) -> np.ndarray:
    """The cosines of all pairs of the most frequent words, in one row."""
    unit = vectors.unit[:words]
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


def correlations(corpus: Any, words: int = 500, **settings: Any) -> tuple[list[str], np.ndarray]:
    """The names of six runs, and the correlations of their cosines [6, 6]."""
    runs = {
        f"{objective}, seed {seed}": w2v.train(corpus, objective=objective, seed=seed, **settings)
        for objective, seed in product(OBJECTIVES, (0, 1))
    }
    rows = [cosines(trained.vectors, words) for trained in runs.values()]
    return list(runs), np.corrcoef(rows)


if __name__ == "__main__":
    text = sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__)
    names, table = correlations(w2v.prepare(text), dim=50)
    for name, row in zip(names, table, strict=True):
        print(f"{name:<20}", " ".join(f"{value:5.2f}" for value in row))
