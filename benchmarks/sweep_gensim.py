"""A cell of ``sweep.py`` by gensim. Settings that the cell omits are the defaults of w2vjax."""

import time
from typing import Any

import numpy as np
from sweep_texts import articles_of

import w2vjax as w2v
from w2vjax.corpus.encode import USUAL_MIN_COUNT


def train_gensim(cell: dict[str, Any]) -> dict[str, Any]:
    """The report of a cell trained by gensim in one thread, with its vectors."""
    from gensim.models import Word2Vec

    asked = {**w2v.Settings().as_json(), "min_count": USUAL_MIN_COUNT, **cell["settings"]}
    negatives = (asked["negatives"] or 5) if asked["objective"] == "negative" else 0
    model = Word2Vec(
        vector_size=asked["dim"],
        window=asked["window"],
        min_count=asked["min_count"],
        sample=asked["sample"],
        negative=negatives,
        hs=int(asked["objective"] == "hierarchical"),
        sg=int(asked["model"] == "skip-gram"),
        alpha=asked["learning_rate"],
        epochs=asked["epochs"],
        seed=asked["seed"],
        workers=1,
    )
    articles = articles_of(cell["corpus"])
    model.build_vocab(articles)
    start = time.perf_counter()
    _, words = model.train(articles, total_examples=model.corpus_count, epochs=asked["epochs"])
    seconds = time.perf_counter() - start
    vectors = w2v.Vectors(tuple(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32))
    finite_rows = bool(np.isfinite(vectors.matrix).all())
    return {"train_s": seconds, "words": int(words), "finite": finite_rows, "vectors": vectors}
