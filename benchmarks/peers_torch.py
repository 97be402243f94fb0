"""One PyTorch run for ``peers.py``: skip-gram with negatives on sparse embeddings.

Two ``nn.Embedding(sparse=True)``, ``SparseAdam``, batches of 1,024 pairs made on the host: the
shape of the common tutorials. Such a run takes hours on a real corpus, so it stops after
``torch_seconds`` and then has a speed and no quality.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BATCH = 1024
LINES = 20


def pairs(
    line: np.ndarray, keep: np.ndarray, window: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Centers and contexts of one line: subsampled, with shrunken windows."""
    kept = line[rng.random(len(line)) < keep[line]]
    reach = rng.integers(1, window + 1, len(kept))
    centers, contexts = [], []
    for step in range(1, window + 1):
        near = np.flatnonzero(reach >= step)
        for other in (near - step, near + step):
            inside = (other >= 0) & (other < len(kept))
            centers.append(kept[near[inside]])
            contexts.append(kept[other[inside]])
    return np.concatenate(centers), np.concatenate(contexts)


def batches(
    lines: list[np.ndarray], keep: np.ndarray, window: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(centers, contexts, words used) in batches of one pass, shuffled within LINES lines."""
    for begin in range(0, len(lines), LINES):
        some = lines[begin : begin + LINES]
        made = [pairs(line, keep, window, rng) for line in some]
        centers, contexts = (np.concatenate(side) for side in zip(*made, strict=True))
        order = rng.permutation(len(centers))
        words = sum(map(len, some))
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            yield (
                centers[batch],
                contexts[batch],
                round(words * min(1.0, (at + BATCH) / len(order))) - round(words * at / len(order)),
            )


def read(path: str, min_count: int) -> tuple[list[str], np.ndarray, list[np.ndarray], float]:
    """Words by count, their counts, the lines as ids, and the raw words for each word kept."""
    text = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    counts = Counter(word for line in text for word in line)
    words = [word for word, count in counts.most_common() if count >= min_count]
    ids = {word: place for place, word in enumerate(words)}
    lines = [np.array([ids[word] for word in line if word in ids], np.int64) for line in text]
    raw = sum(map(len, text)) / max(sum(map(len, lines)), 1)
    return words, np.array([counts[word] for word in words], np.float64), lines, raw


def train(
    settings: dict, counts: np.ndarray, lines: list[np.ndarray]
) -> tuple[np.ndarray, int, float, bool]:
    import torch
    from torch import nn
    from torch.nn.functional import logsigmoid

    torch.manual_seed(settings["seed"])
    torch.set_num_threads(settings["threads"])
    rng = np.random.default_rng(settings["seed"])
    input = nn.Embedding(len(counts), settings["dim"], sparse=True)
    output = nn.Embedding(len(counts), settings["dim"], sparse=True)
    nn.init.uniform_(input.weight, -0.5 / settings["dim"], 0.5 / settings["dim"])
    nn.init.zeros_(output.weight)
    optimizer = torch.optim.SparseAdam(
        [*input.parameters(), *output.parameters()], lr=settings["rate"]
    )
    ratio = settings["sample"] * counts.sum() / counts
    keep, noise = np.minimum(np.sqrt(ratio) + ratio, 1), torch.tensor(counts**0.75)
    used, start = 0, time.perf_counter()
    for _ in range(settings["passes"]):
        for centers, contexts, words in batches(lines, keep, settings["window"], rng):
            draws = torch.multinomial(noise, len(centers) * settings["negatives"], replacement=True)
            hidden = input(torch.from_numpy(centers))
            positive = (hidden * output(torch.from_numpy(contexts))).sum(-1)
            negative = torch.bmm(
                output(draws.view(len(centers), -1)), hidden.unsqueeze(-1)
            ).squeeze(-1)
            loss = -(logsigmoid(positive) + logsigmoid(-negative).sum(-1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            used += words
            if time.perf_counter() - start > settings["torch_seconds"]:
                return input.weight.detach().numpy(), used, time.perf_counter() - start, False
    return input.weight.detach().numpy(), used, time.perf_counter() - start, True


def main() -> None:
    settings = json.loads(sys.argv[1])
    folder = Path(settings["out"])
    words, counts, lines, raw = read(settings["corpus"], settings["min_count"])
    vectors, used, seconds, complete = train(settings, counts, lines)
    with open(folder / "vectors.bin", "wb") as file:
        file.write(f"{len(words)} {settings['dim']}\n".encode())
        for word, vector in zip(words, vectors, strict=True):
            file.write(word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n")
    summary = {
        "train_seconds": seconds,
        "raw_words_trained": round(used * raw),
        "complete": complete,
    }
    (folder / "summary.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    main()
