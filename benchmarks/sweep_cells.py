"""The cells of ``sweep.py``: which settings are trained on which text. The lists are data.

A cell's settings are arguments of ``w2v.train``, and besides:

    learning_rate_times, batch_words_times    multiples of the library's default for the pair, the
                                              window and the number of negatives
    optimizer, windows                        names of the library's functions
    a, b                                      the constants of the objective's bound
    shared, span                              of shared_negatives
    chunk                                     words of one copy of the tables between two joins
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Pair = tuple[str, str]
Settings = dict[str, Any]
PAIRS: tuple[Pair, ...] = tuple(
    itertools.product(("skip-gram", "cbow"), ("negative", "hierarchical", "softmax"))
)
MAIN = PAIRS[0]
CORPORA = ("words100", "1mb", "10mb", "100mb", "lee")
SPECIAL = {"learning_rate_times", "batch_words_times", "shared", "span", "chunk", "a", "b"}


class Cell(NamedTuple):
    """One training run: the text by name, and the settings that differ from the defaults."""

    corpus: str
    settings: Settings  # with model, objective and seed
    tool: str = "w2vjax"

    @property
    def pair(self) -> Pair:
        return self.settings["model"], self.settings["objective"]

    @property
    def name(self) -> str:
        """Corpus, pair and what was set, without the seed.

        >>> Cell("10mb", {"model": "cbow", "objective": "negative", "window": 20, "seed": 1}).name
        '10mb cbow-negative window=20'
        """
        left_out = {"model", "objective", "seed", "held_out"}
        parts = [f"{key}={value}" for key, value in self.settings.items() if key not in left_out]
        tool = [] if self.tool == "w2vjax" else [self.tool]
        return " ".join([self.corpus, *tool, "-".join(self.pair), *parts])


def cells_of(
    corpus: str,
    pair: Pair,
    changes: Iterable[Mapping[str, Any]],
    seeds: Sequence[int],
    tool: str = "w2vjax",
    **fixed: Any,
) -> list[Cell]:
    """A cell for each change and seed. ``fixed`` settings are in all; a change can replace them."""
    names = {"model": pair[0], "objective": pair[1]}
    return [
        Cell(corpus, {**names, **fixed, **change, "seed": seed}, tool)
        for change in changes
        for seed in seeds
    ]


def product(axes: Mapping[str, Sequence[Any]]) -> list[Settings]:
    """Every combination of the values.

    >>> product({"window": [5, 10], "dim": [100]})
    [{'window': 5, 'dim': 100}, {'window': 10, 'dim': 100}]
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def value_of(text: str) -> Any:
    """A value as typed: a number, a power such as 2^18, None, true, false or a name.

    >>> [value_of(text) for text in ("3", "2^18", ".05", "none", "false", "row_sgd")]
    [3, 262144, 0.05, None, False, 'row_sgd']
    """
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    if power := re.fullmatch(r"(\d+)\^(\d+)", text):
        return int(power[1]) ** int(power[2])
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def axes_of(words: Iterable[str]) -> dict[str, list[Any]]:
    """The axes of --grid.

    >>> axes_of(["learning_rate=.05,.1", "chunk=2^18"])
    {'learning_rate': [0.05, 0.1], 'chunk': [262144]}
    """
    axes = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not values:
            raise SystemExit(f"sweep.py: --grid {word}: give NAME=VALUE,VALUE.")
        axes[name] = [value_of(value) for value in values.split(",")]
    return axes
