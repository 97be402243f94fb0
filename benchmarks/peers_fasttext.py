"""One fastText run for ``peers.py``, without subwords, so that it is word2vec.

The wrapper prints the percentages by which the training is timed. fastText below 10 threads leaves
part of its input vectors unset (NaN may follow), so 10 run, on however many cores there are.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    import fasttext

    settings = json.loads(sys.argv[1])
    model = fasttext.train_unsupervised(
        settings["corpus"],
        model={"sg": "skipgram", "cbow": "cbow"}[settings["model"]],
        loss=settings["objective"],
        dim=settings["dim"],
        ws=settings["window"],
        neg=settings["negatives"],
        minCount=settings["min_count"],
        t=settings["sample"],
        lr=settings["rate"],
        epoch=settings["passes"],
        thread=max(10, settings["threads"]),
        minn=0,
        maxn=0,
        bucket=0,
        verbose=2,
    )
    words = model.words
    with open(Path(settings["out"], "vectors.txt"), "w", encoding="utf-8") as file:
        file.write(f"{len(words)} {settings['dim']}\n")
        for word in words:
            file.write(
                word
                + " "
                + " ".join(f"{value:.5g}" for value in model.get_word_vector(word))
                + "\n"
            )


if __name__ == "__main__":
    main()
