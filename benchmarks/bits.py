"""The bits of a short training run of each pair of model and objective, to compare two commits.

Run it on both commits, on one machine. Equal lines mean that training computes equal numbers::

    python benchmarks/bits.py > after.txt
    PYTHONPATH=path/of/the/other/checkout python benchmarks/bits.py > before.txt
    diff before.txt after.txt

A change of JAX, of the processor or of the number of cores may change the bits too.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from itertools import product

import numpy as np
from corpus import planted_corpus

import w2vjax as w2v

PAIRS = list(product(("skip-gram", "cbow"), ("negative", "hierarchical", "softmax")))
SENTENCES = 500  # of 12 words


def sha256_of_run(model: str, objective: str, seed: int = 1) -> str:
    """The SHA-256 of both tables, [V, D] each, after one epoch over 6,000 words."""
    sentences = list(planted_corpus(SENTENCES))
    trained = w2v.train(
        sentences, model=model, objective=objective, dim=16, epochs=1, min_count=1, seed=seed
    )
    tables = [np.asarray(table) for table in (trained.params.input, trained.params.output)]
    return hashlib.sha256(b"".join(table.tobytes() for table in tables)).hexdigest()


def lines(seed: int = 1) -> Iterator[str]:
    """A line for each of the six pairs: model, objective, SHA-256."""
    for model, objective in PAIRS:
        yield f"{model:10}{objective:14}{sha256_of_run(model, objective, seed)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="the seed of the runs (default: 1)")
    arguments = parser.parse_args()
    print(f"w2vjax from {w2v.__file__}", file=sys.stderr)
    for line in lines(arguments.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
