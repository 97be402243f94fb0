"""One gensim run for ``peers.py``, its fastest way: threads read a corpus file without the lock."""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    from gensim.models import Word2Vec

    settings = json.loads(sys.argv[1])
    corpus, folder = settings["corpus"], Path(settings["out"])
    model = Word2Vec(
        vector_size=settings["dim"],
        window=settings["window"],
        min_count=settings["min_count"],
        sample=settings["sample"],
        negative=settings["negatives"] if settings["objective"] == "ns" else 0,
        hs=int(settings["objective"] == "hs"),
        sg=int(settings["model"] == "sg"),
        alpha=settings["rate"],
        epochs=settings["passes"],
        seed=settings["seed"],
        workers=settings["threads"],
    )
    model.build_vocab(corpus_file=corpus)
    start = time.perf_counter()
    _, raw_words = model.train(
        corpus_file=corpus,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=settings["passes"],
    )
    seconds = time.perf_counter() - start
    model.wv.save_word2vec_format(str(folder / "vectors.bin"), binary=True)
    summary = {"train_seconds": seconds, "raw_words_trained": int(raw_words)}
    (folder / "summary.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    main()
