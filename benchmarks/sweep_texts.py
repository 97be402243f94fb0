"""The texts of ``sweep.py`` by name. Texts made from others are made once and kept."""

import hashlib
from pathlib import Path

import numpy as np
from scaling import MEGABYTE, sized

DIFFERENT, SENTENCE, SENTENCES, TOPICS = 100, 20, 10_000, 5
OF_TOPIC = 10  # times more frequent in sentences on its topic is a word


def words100(seed: int = 0) -> list[list[str]]:
    """200,000 tokens of 100 words: rank r weighs 1 / r, ten times that in sentences on its topic.

    >>> sentences = words100()
    >>> sum(map(len, sentences)), len({word for sentence in sentences for word in sentence})
    (200000, 100)
    """
    random = np.random.default_rng(seed)
    rank = np.arange(DIFFERENT)
    words = np.array([f"word{r}" for r in rank])
    sentences = []
    for topic in random.integers(TOPICS, size=SENTENCES):
        weight = np.where(rank % TOPICS == topic, OF_TOPIC, 1) / (rank + 1)
        sentences.append(random.choice(words, SENTENCE, p=weight / weight.sum()).tolist())
    return sentences


def lee() -> list[list[str]]:
    """The 300 news articles that come with gensim, as lower-cased words between spaces."""
    from gensim.test.utils import datapath

    text = Path(datapath("lee_background.cor")).read_text(encoding="utf-8")
    return [line.lower().split() for line in text.splitlines()]


def articles_of(path: str | Path) -> list[list[str]]:
    """The articles of a text, one a line."""
    return [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]


def path_of(name: str, folder: Path, given: dict[str, Path | None]) -> Path:
    """The path of a named text. ``given``: paths of "10mb" and "100mb" from the command line."""
    if name in given:
        path = given[name]
        if path is None:
            option = {"10mb": "--small-corpus", "100mb": "--corpus"}[name]
            raise SystemExit(
                f"sweep.py: the corpus {name} is needed. Give its file with {option} FILE."
            )
        return path.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.txt"
    if not target.is_file():
        beside = target.with_suffix(".part")
        if name == "1mb":
            sized(path_of("10mb", folder, given), MEGABYTE, beside)
        else:
            sentences = {"words100": words100, "lee": lee}[name]()
            beside.write_text("\n".join(map(" ".join, sentences)) + "\n", encoding="utf-8")
        beside.replace(target)
    return target


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
