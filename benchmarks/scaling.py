"""How the time of training grows with text, vocabulary, dim and devices, as slopes.

    python benchmarks/scaling.py --quick
    python benchmarks/scaling.py --corpus enwiki.txt --sizes 1 10 100 1000 --write

Each point is a run of skip-gram with negative sampling in its own process, text to vectors. The
corpus is cut or repeated to the size. The slope is that of log(time) against log(size): 1 is
proportional, below 1 a fixed cost still shows. Devices of a CPU are simulated, which shows the cost
of sharding, not a gain: they share the same cores.

Checked before a time counts: every word of the vocabulary was trained on in every pass, the loss
came below that of an untrained model, and the loss on several devices is that on one.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers_job import JobFailed, run_job

Row = dict[str, Any]
MEGABYTE = 1_000_000
BLOCK = 1 << 20  # bytes copied at once; words are shorter
UNTRAINED = 6 * math.log(2)  # nats a positive pair and its 5 negatives, every score being 0
SAME_LOSS = 1e-3  # relative; devices add in another order, which moves the loss by about 1e-6


def sized(corpus: Path, size: int, target: Path) -> Path:
    """The corpus, repeated and cut after a word to at most ``size`` bytes.

    Copied in blocks: what this process ever held would count as the peak memory of every job it
    starts.
    """
    left = size
    with open(target, "wb") as file:
        while left > 0:
            with open(corpus, "rb") as source:
                while left > 0 and (block := source.read(min(left, BLOCK))):
                    left -= file.write(block)
            if left > 0:
                left -= file.write(b"\n")
    _cut_after_a_word(corpus, target)
    return target


def _cut_after_a_word(corpus: Path, target: Path) -> None:
    """Drop the last word if it is only the beginning of one."""
    size, whole = target.stat().st_size, corpus.stat().st_size
    if size % (whole + 1) == whole:  # ends where the corpus does
        return
    with open(target, "r+b") as file:
        file.seek(max(0, size - BLOCK))
        tail = file.read()
        end = max(tail.rfind(b" "), tail.rfind(b"\n")) + 1
        file.truncate(size - len(tail) + end)


def one(settings: dict[str, Any]) -> None:
    """A run, in this process: what the child does."""
    import jax

    from w2vjax.runs.loop import train

    mesh = None
    if settings["devices"] > 1:
        auto = (jax.sharding.AxisType.Auto,) * 2
        mesh = jax.make_mesh((settings["devices"], 1), ("data", "dim"), axis_types=auto)
    trained = train(
        settings["corpus"],
        dim=settings["dim"],
        epochs=1,
        max_vocab=settings["vocab"],
        seed=1,
        mesh=mesh,
        # one loss, of the whole run, however long it takes
        copies=settings["copies"],
        log_every=float("inf"),
    )
    expected = int(trained.vocab.counts.sum())
    times = [f"{what}_seconds" for what in ("corpus", "compile", "train", "total")]
    kept = {name: trained.summary[name] for name in ("words", "loss", "vocabulary", *times)}
    print(json.dumps({"expected": expected, **kept}))


def check(row: Row, first: Row | None) -> None:
    """Raise :class:`JobFailed` if the run did other work than it should, or than one device did."""
    what = f"{row['axis']} {row['value']:,}"
    if row["words"] != row["expected_words"]:
        raise JobFailed(f"{what}: trained on {row['words']:,} words of {row['expected_words']:,}.")
    if row["loss"] is None or not row["loss"] < UNTRAINED:
        raise JobFailed(
            f"{what}: the loss is {row['loss']}, that of an untrained model {UNTRAINED:.3f}."
        )
    if row["axis"] == "devices" and first is not None:
        difference = abs(row["loss"] - first["loss"]) / first["loss"]
        if not difference <= SAME_LOSS:
            raise JobFailed(f"{what}: the loss is {row['loss']}, on one device {first['loss']}.")


def measure(
    axis: str, value: int, work: Path, corpus: Path, vocab: int | None, dim: int, devices: int
) -> Row:
    # devices train one copy of the tables together, so on that axis one device does too
    settings = {
        "corpus": str(corpus),
        "vocab": vocab,
        "dim": dim,
        "devices": devices,
        "copies": 1 if axis == "devices" else None,
    }
    environment = {}
    if devices > 1:  # read when the platform is the CPU, ignored where there are real devices
        flag = f"--xla_force_host_platform_device_count={devices}"
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    finished = run_job([sys.executable, __file__, "--one", json.dumps(settings)], work, environment)
    found = json.loads(finished.output.strip().splitlines()[-1])
    return {
        "axis": axis,
        "value": value,
        "megabytes": corpus.stat().st_size / MEGABYTE,
        "vocabulary": found["vocabulary"],
        "dim": dim,
        "devices": devices,
        "words": found["words"],
        "expected_words": found["expected"],
        "loss": found["loss"],
        "text_to_ids_s": found["corpus_seconds"],
        "compiling_s": found["compile_seconds"],
        "training_s": found["train_seconds"],
        "whole_s": finished.seconds,
        "peak_rss_mb": finished.peak_rss_mb,
        "peak_anonymous_mb": finished.peak_anonymous_mb,
    }


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares of log y against log x; None below two different x.

    >>> round(slope([(1, 3), (10, 30), (100, 300)]), 6)
    1.0
    """
    logs = [(math.log(x), math.log(y)) for x, y in points]
    if len({x for x, _ in logs}) < 2:
        return None
    middle_x, middle_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    above = sum((x - middle_x) * (y - middle_y) for x, y in logs)
    return above / sum((x - middle_x) ** 2 for x, _ in logs)


def slopes(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """{axis: {what: slope}}."""
    found = {}
    for axis in dict.fromkeys(row["axis"] for row in rows):
        same = [row for row in rows if row["axis"] == axis]
        found[axis] = {
            what: slope([(row["value"], row[what]) for row in same])
            for what in ("text_to_ids_s", "training_s", "whole_s", "peak_rss_mb")
        }
    return found


def slope_table(found: dict[str, dict[str, float | None]]) -> str:
    from timing import table

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    return table(
        [
            {
                "against": axis,
                **{what.rpartition("_")[0]: shown(value) for what, value in each.items()},
            }
            for axis, each in found.items()
        ]
    )


def run(arguments: argparse.Namespace, work: Path) -> list[Row]:
    from_corpus = {size: work / f"{size}.txt" for size in {*arguments.sizes, arguments.megabytes}}
    for size, path in from_corpus.items():
        sized(arguments.corpus, size * MEGABYTE, path)
    base, dim = from_corpus[arguments.megabytes], arguments.dim
    points: list[tuple[str, int, Path, int | None, int, int]] = [
        *(("megabytes", size, from_corpus[size], None, dim, 1) for size in sorted(arguments.sizes)),
        *(("vocabulary", vocab, base, vocab or None, dim, 1) for vocab in arguments.vocabularies),
        *(("dim", each, base, None, each, 1) for each in arguments.dims),
        *(("devices", devices, base, None, dim, devices) for devices in arguments.devices),
    ]
    rows: list[Row] = []
    done: dict[tuple[Any, ...], Row] = {}  # one run serves every axis that it lies on
    for axis, value, *setting in points:
        key = (axis == "devices", *setting)
        if key not in done:
            done[key] = measure(axis, value, work, *setting)
        row = {**done[key], "axis": axis}
        row["value"] = row["vocabulary"] if axis == "vocabulary" else value
        first = next(
            (other for other in rows if other["axis"] == axis and other["value"] == 1), None
        )
        check(row, first)
        rows.append(row)
        print(
            f"{axis} {value:,}: training {row['training_s']:.2f} s, whole {row['whole_s']:.2f} s",
            flush=True,
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--corpus", type=Path, help="a text file; without one a text is generated")
    add("--sizes", type=int, nargs="*", default=[1, 10, 100, 1000], help="megabytes")
    add(
        "--vocabularies",
        type=int,
        nargs="*",
        default=[1_000, 5_000, 20_000, 0],
        help="0: every word",
    )
    add("--dims", type=int, nargs="*", default=[32, 64, 128, 256, 512])
    add("--devices", type=int, nargs="*", default=[1, 2], help="simulated on a CPU")
    add("--megabytes", type=int, default=20, help="size of the text for all but --sizes")
    add("--dim", type=int, default=100)
    add("--quick", action="store_true", help="a text of 1 and 2 MB and two points an axis")
    add("--write", action="store_true", help="keep the result under benchmarks/results")
    add("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        one(json.loads(arguments.one))
        return 0
    if arguments.quick:
        arguments.sizes, arguments.megabytes, arguments.devices = [1, 2], 1, [1, 2]
        arguments.vocabularies, arguments.dims = [100, 0], [arguments.dim, 256]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.corpus is None:
            from corpus import write_planted

            arguments.corpus = Path(folder, "planted.txt")
            write_planted(arguments.corpus, Path(folder, "planted"), sentences=25_000)
        try:
            rows = run(arguments, Path(folder))
        except JobFailed as error:
            print(f"scaling.py: {error}", file=sys.stderr)
            return 1
    from timing import report, table

    found = slopes(rows)
    print(
        table(
            [{key: value for key, value in row.items() if key != "expected_words"} for row in rows]
        )
    )
    print(slope_table(found))
    settings = {
        "corpus": arguments.corpus.name,
        "passes": 1,
        "model": "skip-gram",
        "objective": "negative",
        "megabytes": arguments.megabytes,
        "dim": arguments.dim,
    }
    report("scaling", settings, rows, write=arguments.write, quick=arguments.quick, slopes=found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
