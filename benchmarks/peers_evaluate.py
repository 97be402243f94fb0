"""What ``peers.py`` does to a corpus before the runs and to vectors after each, in own processes.

    python benchmarks/peers_evaluate.py prepare CORPUS LINED WORDS MIN_COUNT LINE_WORDS
    python benchmarks/peers_evaluate.py vectors VECTORS WORDS DIM EVAL_DIR

``prepare`` cuts the corpus into lines of LINE_WORDS words, because gensim's corpus_file mode trains
on the beginning of an endless line and skips the rest, and writes the words that must come out.
``vectors`` checks a tool's vectors against those words and scores them, with the same code for
every tool.
"""

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 99  # bytes of a word that word2vec.c and pWord2Vec keep
END_OF_LINE = "</s>"  # a word of its own in word2vec.c, pWord2Vec and fastText
PUBLIC = {
    "wordsim353": "wordsim353.tsv",
    "simlex999": "simlex999.tsv",
    "google": "questions-words.txt",
}
RESTRICT_VOCAB = 30_000


class CheckFailed(Exception):
    """The vectors are not those of this corpus, or nobody trained them."""


def prepare(
    corpus: Path, lined: Path, words: Path, min_count: int, line_words: int
) -> dict[str, Any]:
    """Write the corpus in lines of ``line_words`` words (0: unchanged), and its frequent words."""
    counts: Counter[bytes] = Counter()
    digest = hashlib.sha256()
    total = lines = longest = 0
    with open(corpus, "rb") as source, open(lined, "wb") as target:
        waiting: list[bytes] = []
        rest = b""
        while block := source.read(1 << 20):
            digest.update(block)
            if line_words == 0:
                target.write(block)
            # A word may go on in the next block, so the piece after the last space waits for it.
            head, space, rest = (rest + block).rpartition(b" ")
            found = (head + space).split()
            counts.update(found)
            if line_words:
                waiting += found
                whole = len(waiting) // line_words * line_words
                for begin in range(0, whole, line_words):
                    target.write(b" ".join(waiting[begin : begin + line_words]) + b"\n")
                waiting = waiting[whole:]
        last = rest.split()
        counts.update(last)
        if line_words and waiting + last:
            target.write(b" ".join(waiting + last) + b"\n")
    total = sum(counts.values())
    with open(lined, "rb") as file:
        for line in file:
            lines, longest = lines + 1, max(longest, len(line.split()))
    if longest > 10_000:
        raise CheckFailed(
            f"A line has {longest:,} words and gensim skips words past 10,000. Give --line-words "
            "1000."
        )
    kept = {word.decode(): count for word, count in counts.items() if count >= min_count}
    words.write_text(json.dumps(kept))
    return {
        "sha256": digest.hexdigest(),
        "bytes": corpus.stat().st_size,
        "words": total,
        "vocabulary": len(kept),
        "kept_words": sum(kept.values()),
        "lines": lines,
        "longest_line": longest,
    }


def check_vectors(
    words: list[str], matrix: np.ndarray, expected: dict[str, int], dim: int
) -> dict[str, Any]:
    """The vectors have the corpus' words, the asked width and finite values, and were trained.

    Untrained vectors have lengths of about sqrt(1 / (3 dim)) in gensim and fastText, .058 at dim
    100, and half of it in the others; training takes frequent words to 1 and more, and a single
    pass over 1 MB beyond .06.
    """
    if matrix.shape != (len(words), dim):
        raise CheckFailed(f"The vectors have shape {matrix.shape}, not {(len(words), dim)}.")
    if not np.isfinite(matrix).all():
        raise CheckFailed(f"{int((~np.isfinite(matrix)).any(1).sum())} vectors are not finite.")
    need = {word for word in expected if len(word.encode()) <= LONGEST}
    long = {word for word in expected if word not in need}
    missing = need - set(words)
    cut = {word.encode()[:LONGEST].decode("utf-8", "ignore") for word in long}
    extra = set(words) - need - long - cut - {END_OF_LINE}
    if len(missing) + len(extra) > len(need) // 1000:
        some = sorted(missing)[:5] + sorted(extra)[:5]
        raise CheckFailed(
            f"{len(missing)} words are missing and {len(extra)} are not the corpus': {some} ..."
        )
    place = {word: at for at, word in enumerate(words)}
    frequent = sorted(need & set(words), key=lambda word: -expected[word])[:1000]
    length = float(np.median(np.linalg.norm(matrix[[place[word] for word in frequent]], axis=1)))
    if not length > 1.05 * (1 / (3 * dim)) ** 0.5:
        raise CheckFailed(f"Frequent words have length {length:.3g}: the vectors were not trained.")
    return {"missing_words": len(missing), "other_words": len(extra), "median_length": length}


def evaluation_sets(folder: Path) -> dict[str, Path]:
    """The public sets in the folder. Without them, each .tsv (pairs) and .txt (analogies) there."""
    public = {name: folder / file for name, file in PUBLIC.items() if (folder / file).is_file()}
    return public or {
        path.stem: path for path in sorted(folder.iterdir()) if path.suffix in {".tsv", ".txt"}
    }


def score(loaded: Any, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """({set: score}, {set: share of its questions with known words}) of ``w2vjax.Vectors``."""
    import w2vjax as w2v

    quality: dict[str, float] = {}
    coverage: dict[str, float] = {}
    for name, path in evaluation_sets(folder).items():
        if path.suffix == ".tsv":
            pairs = w2v.evaluate_word_pairs(loaded, path)
            quality[name], coverage[name] = pairs.spearman, pairs.coverage
        else:
            overall = w2v.evaluate_word_analogies(
                loaded, path, restrict_vocab=RESTRICT_VOCAB
            ).overall
            quality[name], coverage[name] = overall.accuracy, overall.coverage
    answered = {
        name: float(value) for name, value in quality.items() if value == value and coverage[name]
    }
    return answered, coverage


def evaluate(vectors: Path, expected: dict[str, int], dim: int, folder: Path) -> dict[str, Any]:
    import w2vjax as w2v

    loaded = w2v.load(vectors)
    checks = check_vectors(list(loaded.words), np.asarray(loaded.matrix), expected, dim)
    quality, coverage = score(loaded, folder)
    return {"quality": quality, "coverage": coverage, "checks": checks}


def main(arguments: list[str]) -> None:
    if arguments[0] == "prepare":
        corpus, lined, words = map(Path, arguments[1:4])
        result = prepare(corpus, lined, words, int(arguments[4]), int(arguments[5]))
    else:
        expected = json.loads(Path(arguments[2]).read_text())
        result = evaluate(Path(arguments[1]), expected, int(arguments[3]), Path(arguments[4]))
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
