"""Words a second for each dim: ``python examples/speed.py text.txt 50 100 300``.

The dims take turns, because a machine is faster at one moment than at another. The first turn warms
up and is left out. Compilation and the reading of the text are not in the times.
``benchmarks/quick.py`` compares methods too, with gensim and with what the machine could do.
"""

import statistics
import sys
from collections.abc import Sequence

import w2vjax as w2v


def speeds(corpus: w2v.Corpus, dims: Sequence[int], turns: int = 3) -> dict[int, list[float]]:
    """Raw words a second of one epoch, of each dim in each turn."""
    found: dict[int, list[float]] = {dim: [] for dim in dims}
    for turn in range(turns + 1):
        for dim in dims:
            trained = w2v.train(corpus, dim=dim, epochs=1, seed=turn)
            found[dim].append(trained.summary["raw_words_per_second"])
    return {dim: each[1:] for dim, each in found.items()}


def main(path: str, dims: Sequence[int]) -> None:
    corpus = w2v.prepare(path)
    print(f"{len(corpus.ids):,} words, {len(corpus.vocab):,} different ones")
    print(f"{'dim':>5} {'words/s':>12} {'slowest':>12} {'fastest':>12}")
    for dim, each in speeds(corpus, dims).items():
        print(f"{dim:>5} {statistics.median(each):>12,.0f} {min(each):>12,.0f} {max(each):>12,.0f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("python examples/speed.py TEXT [DIM ...]: name a text.")
    main(sys.argv[1], [int(dim) for dim in sys.argv[2:]] or [50, 100, 300])
