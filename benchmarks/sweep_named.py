"""The named sweeps of ``sweep.py``: functions that return groups of cells. The lists are data.

``--cells``, ``--grid``, ``--seeds``, ``--epochs`` and ``--held-out`` of the command line replace a
group's own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sweep_cells import MAIN, PAIRS, Cell, Pair, Settings, cells_of, product

SOFTMAX = tuple(pair for pair in PAIRS if pair[1] == "softmax")
OTHERS = tuple(pair for pair in PAIRS if pair[1] != "softmax" and pair != MAIN)
FAST = (MAIN, *OTHERS)


class Group(NamedTuple):
    """Cells of one text and pair: every change with every seed. All have the fixed settings."""

    corpus: str
    pair: Pair
    changes: list[Settings]
    fixed: Settings
    seeds: tuple[int, ...] = (1,)
    tool: str = "w2vjax"

    def cells(self) -> list[Cell]:
        return cells_of(self.corpus, self.pair, self.changes, self.seeds, self.tool, **self.fixed)


# One setting at a time. What is left out here is the default: rate and words x1, window 5, 5
# negatives, dim 100, 1e-3.
ALONE: dict[str, tuple[Any, ...]] = {
    "learning_rate_times": (0.25, 0.5, 2, 4),
    "batch_words_times": (4, 16),
    "window": (2, 10, 20),
    "negatives": (2, 15, 30),
    "dim": (25, 300),
    "sample": (0.0, 1e-5),
}
LARGE = {
    "learning_rate_times": 4,
    "batch_words_times": 16,
    "window": 20,
    "negatives": 30,
    "sample": 0.0,
}
TOGETHER: list[Settings] = [
    {"learning_rate_times": 4, "batch_words_times": 16},
    {"window": 10, "negatives": 15},
    {"window": 20, "negatives": 30},
    {"learning_rate_times": 4, "window": 20},
    LARGE,
    {**LARGE, "dim": 300},
]
ALL = [{}, *({name: value} for name, values in ALONE.items() for value in values), *TOGETHER]
FEW: list[Settings] = [{}, {"learning_rate_times": 4}, {"window": 10, "negatives": 15}, LARGE]
# What of the grid is trained on a text: {level: the changes of skip-gram negative, of other pairs,
# of softmax}.
LEVELS: dict[str, tuple[list[Settings], list[Settings], list[Settings]]] = {
    "all": (ALL, ALL, ALL),
    "main": (ALL, FEW, []),
    "few": (FEW, FEW, []),
    "none": ([], [], []),
}
USUAL_LEVELS = {"words100": "all", "10mb": "all", "100mb": "main"}
GRID_EPOCHS = {"words100": 2, "10mb": 1, "100mb": 1}


def fitting(changes: list[Settings], pair: Pair) -> list[Settings]:
    """The changes without what the pair does not have, each once.

    >>> fitting([{"window": 20, "negatives": 30}, {"window": 20}], ("cbow", "softmax"))
    [{'window': 20}]
    """
    if pair[1] == "negative":
        return changes
    kept = [
        {name: value for name, value in change.items() if name != "negatives"} for change in changes
    ]
    return [change for place, change in enumerate(kept) if change not in kept[:place]]


def grid(levels: Mapping[str, str] = USUAL_LEVELS) -> list[Group]:
    """Every default alone and with others, on three texts.

    A full softmax costs V D a word, so it gets the first MB of 10mb, and does not get 100mb.
    """
    groups = []
    for corpus, level in levels.items():
        main, other, softmax = LEVELS[level]
        fixed = {"epochs": GRID_EPOCHS[corpus], "held_out": 0.01}
        groups += [
            Group(corpus, pair, fitting(main if pair == MAIN else other, pair), fixed)
            for pair in FAST
        ]
        if corpus != "100mb":
            small = "1mb" if corpus == "10mb" else corpus
            groups += [Group(small, pair, fitting(softmax, pair), fixed) for pair in SOFTMAX]
    return groups


def left_out_of_grid(cells: Sequence[Cell]) -> dict[str, str]:
    """The share of the full grid that ``cells`` has, for each text and pair that lacks some.

    >>> cells = [cell for group in grid() for cell in group.cells()]
    >>> left_out_of_grid(cells)["100mb cbow-negative"]
    '4 of 23 cells'
    """
    names, found = {cell.name for cell in cells}, {}
    groups = grid(dict.fromkeys(GRID_EPOCHS, "all"))
    groups += [
        Group("100mb", pair, fitting(ALL, pair), {"epochs": GRID_EPOCHS["100mb"]})
        for pair in SOFTMAX
    ]
    for group in groups:
        every = {cell.name for cell in group.cells()}
        if not every <= names:
            text = f"{group.corpus} {'-'.join(group.pair)}"
            found[text] = f"{len(every & names)} of {len(every)} cells"
    return found


def bounds() -> list[Group]:
    """The constants of the bound, at small and at large steps."""
    pairs = [{"a": a, "b": b} for a, b in ((2, 3), (4, 6), (8, 3), (8, 6), (8, 20), (16, 6))]
    words = [{"batch_words": 384}, {"batch_words": 8192}]
    changes = [{**pair, **size} for size in words for pair in pairs]
    return [Group("10mb", MAIN, changes, {"epochs": 5}, (1, 2))]


def shared() -> list[Group]:
    """Negatives that blocks share, on a short and on a long text."""
    few = ((48, 3), (32, 4), (16, 1), (16, 2))
    changes: list[Settings] = [{"shared": k, "span": span} for k, span in few]
    seeds = (1, 2, 3)
    return [
        Group("10mb", MAIN, changes, {"epochs": 15}, seeds),
        Group("100mb", MAIN, changes, {"epochs": 3}, seeds),
        Group("100mb", ("cbow", "negative"), changes[:3], {"epochs": 3}, seeds),
    ]


def words() -> list[Group]:
    """Words of a step with learning rates: smaller steps want a smaller rate."""
    trees, cbow = ("skip-gram", "hierarchical"), ("cbow", "negative")
    rates: dict[Pair, list[tuple[int, float]]] = {
        MAIN: [(384, 0.1), (192, 0.1), (192, 0.075)],
        trees: [(256, 0.05), (32, 0.05), (32, 0.035)],
        cbow: [(384, 0.5), (192, 0.5), (192, 0.35)],
        ("cbow", "hierarchical"): [(96, 0.15), (48, 0.15)],
    }
    changes = {
        pair: [{"batch_words": size, "learning_rate": rate} for size, rate in each]
        for pair, each in rates.items()
    }
    three, six = (1, 2, 3), (1, 2, 3, 4, 5, 6)
    groups = [Group("10mb", pair, each, {"epochs": 15}, three) for pair, each in changes.items()]
    return [
        *(Group("100mb", pair, changes[pair], {"epochs": 3}, six) for pair in (MAIN, cbow)),
        Group("100mb", trees, changes[trees][1:], {"epochs": 3}, three),
        *groups,
        *(Group("lee", pair, changes[pair], {"epochs": 10}, three) for pair in (MAIN, trees)),
    ]


def rates() -> list[Group]:
    """Half, once and twice the default learning rate, by three seeds."""
    changes: list[Settings] = [{"learning_rate_times": times} for times in (0.5, 1, 2)]
    texts = (("10mb", 15, FAST), ("100mb", 3, FAST), ("1mb", 15, SOFTMAX))
    return [
        Group(text, pair, changes, {"epochs": epochs}, (1, 2, 3))
        for text, epochs, pairs in texts
        for pair in pairs
    ]


def batch() -> list[Group]:
    """Words a step against quality."""
    changes = [{"batch_words": words} for words in (384, 768, 3072, 8192, 32768)]
    return [Group("100mb", MAIN, changes, {"epochs": 3})]


def copies() -> list[Group]:
    """Copies of the tables, and one copy with the numbers that two copies take."""
    changes: list[Settings] = [{"copies": number} for number in (4, 8, 16)]
    of_two: list[Settings] = [{}, {"batch_words": 192, "learning_rate": 0.075}]
    one, cbow, seeds = {"copies": 1}, ("cbow", "negative"), (1, 2, 3)
    of_cbow: list[Settings] = [{}, {"learning_rate": 0.5}]
    return [
        Group("100mb", MAIN, of_two, {"epochs": 3, **one}, seeds),
        Group("100mb", MAIN, changes, {"epochs": 3}, (1, 2)),
        Group("100mb", cbow, of_cbow, {"epochs": 3, **one}, seeds),
        Group("10mb", cbow, of_cbow, {"epochs": 15, **one}, seeds),
    ]


def joins() -> list[Group]:
    """Words between two joins of two copies. The default of this text is about 2^19."""
    changes: list[Settings] = [{"join_words": 1 << 18}, {}]
    cells = (
        (MAIN, changes, 9),
        (MAIN, [{"join_words": 1 << 20}], 3),
        (MAIN, [{"copies": 1}, {"copies": 8}], 2),
        (("cbow", "negative"), changes, 6),
        (("skip-gram", "hierarchical"), changes, 3),
    )
    return [
        Group("100mb", pair, each, {"epochs": 3}, tuple(range(1, seeds + 1)))
        for pair, each, seeds in cells
    ]


def wide() -> list[Group]:
    """Many negatives and wide windows, at the default rate and around it."""
    cbow, trees = ("cbow", "negative"), ("skip-gram", "hierarchical")

    def tried(name: str, *numbers: int, **rates: tuple[float, ...]) -> list[Settings]:
        """Each number at the default rate, and those of ``rates`` (``x30``) at these rates."""
        return [
            *product({name: numbers}),
            *(
                {name: int(number[1:]), "learning_rate": rate}
                for number, each in rates.items()
                for rate in each
            ),
        ]

    one, three = {"epochs": 1, "held_out": 0.01}, {"epochs": 3, "held_out": 0.01}
    both = tried("negatives", 5, 15, 30, 60, x30=(0.1,), x60=(0.1, 0.03))
    both += tried("window", 10, 20, 50, 100, x20=(0.1,), x50=(0.1,), x100=(0.1, 0.016))
    long = tried("negatives", 5, 15, 30, 60, x60=(0.075,))
    long += tried("window", 10, 20, 50, 100, x20=(0.075,), x50=(0.075,), x100=(0.075,))
    of_cbow = [*tried("negatives", 60, x60=(0.25,)), *tried("window", 100, x100=(0.25,))]
    return [
        Group("10mb", MAIN, both, three, (1, 2)),
        Group("10mb", cbow, of_cbow, three),
        Group("10mb", trees, tried("window", 20, 50, x20=(0.05,), x50=(0.05,)), one, (1, 2)),
        Group("1mb", SOFTMAX[0], tried("window", 100, x100=(0.2,)), three),
        Group("100mb", MAIN, long, one),
        Group("lee", MAIN, tried("negatives", 30, 60, x60=(0.1,)), {"epochs": 10}, (1, 2, 3)),
        *small_text()[:2],  # the same text at two rates, by w2vjax and by gensim
    ]


def small_text() -> list[Group]:
    """300 articles by w2vjax and by gensim, whose CBOW also gets the rate of skip-gram."""
    negatives, cbow = product({"negatives": (2, 5, 15, 30)}), ("cbow", "negative")
    readings = product({"epochs": (5, 20, 50)})
    both = product({"epochs": (5, 20, 50), "learning_rate": (0.025, 0.05)})
    seeds = (1, 2, 3)
    rates = product({"negatives": (2, 5, 15, 30), "learning_rate": (0.05, 0.1)})
    return [
        Group("lee", MAIN, rates, {"epochs": 10}, seeds),
        Group("lee", MAIN, negatives, {"epochs": 10, "learning_rate": 0.05}, seeds, "gensim"),
        Group("lee", cbow, readings, {}, seeds),
        Group("lee", cbow, both, {}, seeds, "gensim"),
        Group("lee", ("cbow", "hierarchical"), readings, {}, seeds),
        Group("lee", ("cbow", "hierarchical"), both, {}, seeds, "gensim"),
        Group("lee", ("cbow", "softmax"), readings, {}, seeds),
        # what CBOW's rate on a short text follows from
        Group(
            "lee",
            cbow,
            product({"epochs": (5, 20, 50), "learning_rate": (0.05, 0.1, 0.2, 0.4)}),
            {},
        ),
        Group(
            "10mb", cbow, product({"epochs": (1, 15), "learning_rate": (0.1, 0.25, 0.5, 1.0)}), {}
        ),
    ]


SWEEPS: dict[str, Callable[..., list[Group]]] = {
    "grid": grid,
    "bounds": bounds,
    "shared": shared,
    "rates": rates,
    "batch": batch,
    "words": words,
    "copies": copies,
    "joins": joins,
    "wide": wide,
    "small-text": small_text,
}
