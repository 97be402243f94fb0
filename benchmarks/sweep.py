"""Settings around the defaults: each cell is trained in a process, and each sweep is one JSON.

    python benchmarks/sweep.py custom --corpus-name 10mb --small-corpus text8-10mb \\
        --eval-dir eval --epochs 15 --seeds 1 2 --pair skip-gram negative \\
        --grid learning_rate=.05,.1,.2 batch_words=384,768
    python benchmarks/sweep.py custom --corpus-name words100 --held-out .01 \\
        --cells '[{"window": 20}, {"dim": 300}]'
    python benchmarks/sweep.py grid --corpus text8 --small-corpus text8-10mb --eval-dir eval \\
        --write --resume

``custom`` trains the product of --cells and --grid. Settings are arguments of ``w2v.train``, and
those of ``sweep_cells.py``. The named sweeps are in ``sweep_named.py``; --cells takes the place of
a sweep's cells, --grid multiplies them. --list prints the cells and trains nothing. Finished cells
are kept in local/NAME.jsonl; with --resume those of the same settings, text and code are not
repeated. --write keeps the JSON under results.

A cell that w2vjax refuses, or that diverges, is a result: its exit code and sentence. Any other end
is a crash. A cell that takes longer than --limit seconds is too slow. After either the sweep ends
with 1, and --resume tries them again.

Verdicts: "fine", a held-out loss below that of the unigram distribution; "unlearned", one that is
not, but sane: the text was too short; "garbage", a table that is not finite, a loss above
1.1 times the untrained one, or a held-out loss above 1.5 times the unigram one; "refused", an error
of the library; "finite", where nothing was held out.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from typing import Any

from corpus import text_parser
from sweep_cells import CORPORA, MAIN, PAIRS, SPECIAL, Cell, axes_of, product
from sweep_named import LEVELS, SWEEPS, USUAL_LEVELS, Group, grid, left_out_of_grid
from sweep_run import BAD, LOCAL, Options, rows_of, run_all

# Those that run_all.py has too are in corpus.py.
OPTIONS: dict[str, dict[str, Any]] = {
    "pair": {
        **{"nargs": 2, "action": "append", "metavar": ("MODEL", "OBJECTIVE")},
        "help": "only this; may be repeated",
    },
    "corpus-name": {
        **{"nargs": "+", "choices": CORPORA},
        "help": "only these texts; custom needs one",
    },
    "cells": {"type": json.loads, "metavar": "JSON", "help": "a list of settings, one for a cell"},
    "grid": {"nargs": "+", "metavar": "NAME=VALUE,VALUE", "help": "multiply the cells by these"},
    "epochs": {"type": int},
    "held-out": {"type": float, "help": "share of the text that is held out"},
    "held-out-words": {"type": int, "help": "the most to score"},
    "seeds": {"type": int, "nargs": "+"},
    "level": {"nargs": "+", "metavar": "TEXT=LEVEL", "help": f"of grid: {', '.join(LEVELS)}"},
    "only": {
        **{"nargs": "+", "metavar": "SUBSTRING"},
        "help": "cells whose name has one of these",
    },
    "list": {"action": "store_true", "help": "print the cells and train nothing"},
    "jobs": {"type": int, "help": "cells at once; their seconds are then not comparable"},
    "limit": {"type": float, "help": "seconds that a cell may take"},
    "name": {"help": "of the result, results/DEVICE/NAME.json (default: sweep-SWEEP)"},
    "resume": {"action": "store_true", "help": "do not repeat cells that local/NAME.jsonl has"},
    "write": {"action": "store_true", "help": "keep the result under benchmarks/results"},
}
USUAL = {"grid": [], "level": [], "only": [], "jobs": 1}


def arguments_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = text_parser(__doc__)
    parser.add_argument("sweep", choices=["custom", *SWEEPS])
    for name, option in OPTIONS.items():
        parser.add_argument(f"--{name}", **option)
    usual = {name: Options._field_defaults[name] for name in ("held_out_words", "limit")}
    parser.set_defaults(**USUAL, **usual)
    arguments = parser.parse_args(argv)
    arguments.name = arguments.name or f"sweep-{arguments.sweep}"
    arguments.pair = [tuple(pair) for pair in arguments.pair or []]
    if unknown := set(arguments.pair) - set(PAIRS):
        parser.error(
            f"--pair {' '.join(unknown.pop())}: not a model and an objective of the library"
        )
    if arguments.sweep == "custom" and not arguments.corpus_name:
        parser.error("custom needs --corpus-name NAME")
    return arguments


def levels_of(arguments: argparse.Namespace) -> dict[str, str]:
    """{text: level} of the grid."""
    levels = dict(USUAL_LEVELS)
    for word in arguments.level:
        text, _, level = word.partition("=")
        if text not in levels or level not in LEVELS:
            raise SystemExit(
                f"sweep.py: --level {word}: give one of {', '.join(levels)} = {', '.join(LEVELS)}."
            )
        levels[text] = level
    return levels


def groups_of(arguments: argparse.Namespace) -> list[Group]:
    """The groups of the sweep, with what the command line has in place of their own."""
    if arguments.sweep == "custom":
        pairs = arguments.pair or [MAIN]
        groups = [Group(text, pair, [{}], {}) for text in arguments.corpus_name for pair in pairs]
    elif arguments.sweep == "grid":
        groups = grid(levels_of(arguments))
    else:
        groups = SWEEPS[arguments.sweep]()
    points = product(axes_of(arguments.grid))
    given = {name: getattr(arguments, name) for name in ("epochs", "held_out")}
    own = {name: value for name, value in given.items() if value is not None}
    return [
        group._replace(
            changes=[
                {**change, **point}
                for change in arguments.cells or group.changes
                for point in points
            ],
            fixed={**group.fixed, **own},
            seeds=tuple(arguments.seeds or group.seeds),
        )
        for group in groups
        if group.changes
    ]


def planned(arguments: argparse.Namespace) -> list[Cell]:
    """The cells that the options leave, each once."""
    cells: list[Cell] = []
    for cell in (cell for group in groups_of(arguments) for cell in group.cells()):
        wanted = (
            cell not in cells
            and (not arguments.pair or cell.pair in arguments.pair)
            and (not arguments.corpus_name or cell.corpus in arguments.corpus_name)
            and (not arguments.only or any(part in cell.name for part in arguments.only))
        )
        if wanted:
            check(cell)
            cells.append(cell)
    return cells


def check(cell: Cell) -> None:
    """Refuse a setting that is nobody's before anything is trained."""
    import w2vjax as w2v

    unknown = set(cell.settings) - SPECIAL.union(inspect.signature(w2v.train).parameters)
    if unknown:
        raise SystemExit(
            f"sweep.py: {cell.name}: there is no setting {', '.join(sorted(unknown))}."
        )
    if len({"shared", "span"} & set(cell.settings)) == 1:
        raise SystemExit(f"sweep.py: {cell.name}: shared and span go together. Give both.")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = arguments_of(argv)
    cells = planned(arguments)
    if arguments.list or not cells:
        print("\n".join(f"{cell.name} seed {cell.settings['seed']}" for cell in cells) or "no cell")
        return 0 if cells else 1
    options = Options(
        {"10mb": arguments.small_corpus, "100mb": arguments.corpus},
        LOCAL / f"{arguments.name}.jsonl",
        arguments.eval_dir,
        arguments.held_out_words,
        arguments.limit,
        arguments.jobs,
        arguments.resume,
    )
    runs = run_all(cells, options)
    from timing import report, table

    rows = rows_of(runs)
    print(table(rows))
    settings: dict[str, Any] = {
        "sweep": arguments.sweep,
        "runs": len(runs),
        "jobs": options.jobs,
        "seconds_comparable": options.jobs == 1,
        "limit": options.limit,
        "held_out_words": options.held_out_words,
    }
    left_out = left_out_of_grid(cells) if arguments.sweep == "grid" else {}
    texts = {run["key"]["corpus"]: run["key"]["text"] for run in runs}
    report(
        arguments.name,
        settings,
        rows,
        write=arguments.write,
        sha256=texts,
        left_out=left_out,
        runs=runs,
    )
    bad = [run for run in runs if run["verdict"] in BAD]
    for run in bad:
        print(f"sweep.py: {run['cell']}: {run['verdict']}: {run['sentence']}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
