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
not, but sane: the text was too short; "garbage", a table that is not finite, a loss above the
untrained one, or a held-out loss of more than 1.5 times the unigram one; "refused", an error of the
library; "finite", where nothing was held out.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep_cells import CORPORA, MAIN, PAIRS, SPECIAL, Cell, axes_of, product
from sweep_named import LEVELS, SWEEPS, USUAL_LEVELS, Group, grid, left_out_of_grid
from sweep_run import BAD, LOCAL, Options, rows_of, run_all


def arguments_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sweep", choices=["custom", *SWEEPS])
    add("--corpus", type=Path, help='the text "100mb"')
    add("--small-corpus", type=Path, help='the text "10mb", whose beginning is "1mb"')
    add(
        "--eval-dir",
        type=Path,
        help="folder with wordsim353.tsv, simlex999.tsv, questions-words.txt",
    )
    add(
        "--pair",
        nargs=2,
        action="append",
        metavar=("MODEL", "OBJECTIVE"),
        help="only this; may be repeated",
    )
    add("--corpus-name", nargs="+", choices=CORPORA, help="only these texts; custom needs one")
    add(
        "--cells",
        type=json.loads,
        metavar="JSON",
        help="a list of objects, each the settings of a cell",
    )
    add(
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help="multiply the cells by these",
    )
    add("--epochs", type=int)
    add("--held-out", type=float, help="share of the text that is held out")
    add(
        "--held-out-words",
        type=int,
        default=Options._field_defaults["held_out_words"],
        help="the most to score",
    )
    add("--seeds", type=int, nargs="+")
    add(
        "--level", nargs="+", default=[], metavar="TEXT=LEVEL", help=f"of grid: {', '.join(LEVELS)}"
    )
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="SUBSTRING",
        help="cells whose name has one of these",
    )
    add("--list", action="store_true", help="print the cells and train nothing")
    add("--jobs", type=int, default=1, help="cells at once; their seconds are then not comparable")
    add(
        "--limit",
        type=float,
        default=Options._field_defaults["limit"],
        help="seconds that a cell may take",
    )
    add("--name", help="of the result, results/DEVICE/NAME.json (default: sweep-SWEEP)")
    add("--resume", action="store_true", help="do not repeat cells that local/NAME.jsonl has")
    add("--write", action="store_true", help="keep the result under benchmarks/results")
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
