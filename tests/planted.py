"""A small text with a structure to find, settings to train on it, and the hash of a result."""

import hashlib

import numpy as np

from w2vjax.types import Params

SMALL = {"dim": 8, "epochs": 2, "min_count": 1, "sample": 0.0, "batch_words": 32, "block_words": 8}


class Unread:
    """A corpus that must not be touched."""

    def __iter__(self):
        raise AssertionError("the corpus was read")


def planted_text(lines: int = 400, seed: int = 0, words: int = 8) -> list[list[str]]:
    """Sentences over three topics. Neighbours share a topic, so their vectors must come close."""
    random = np.random.default_rng(seed)
    topics = [[f"{name}{i}" for i in range(words)] for name in ("tea", "sea", "key")]
    return [list(random.choice(topics[line % 3], 12)) for line in range(lines)]


def bits(params: Params) -> str:
    return hashlib.sha256(b"".join(np.asarray(table).tobytes() for table in params)).hexdigest()
