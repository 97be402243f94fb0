"""``w2vjax gradcheck``: prove the handwritten gradients on this machine, entry by entry."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Literal

import numpy as np
from tyro.conf import arg

from w2vjax.cli.arguments import Flag, NewFileOrOutput
from w2vjax.cli.output import columns, write_json
from w2vjax.errors import SettingError
from w2vjax.gradcheck.cases import KINDS
from w2vjax.gradcheck.objectives import (
    LEAST_SHARE,
    Record,
    check_objectives,
    check_shipped,
    exercised,
    find_objectives,
    find_shipped,
)
from w2vjax.gradcheck.one_hot import check_reference
from w2vjax.gradcheck.precision import Drift
from w2vjax.gradcheck.precision import audit as measure_drift

Dtype = Literal["float64", "float32", "bfloat16"]
Dtypes = Annotated[tuple[Dtype, ...], arg(metavar="DTYPE ...", help_behavior_hint="")]
Kinds = Annotated[tuple[str, ...], arg(metavar="KIND ...", help_behavior_hint="")]


def gradcheck(
    objective: str = "all",
    dtype: Dtypes = ("float64", "float32", "bfloat16"),
    kind: Kinds = tuple(KINDS),
    json: NewFileOrOutput = None,
    audit: Flag = False,
) -> int:
    """Check every handwritten gradient against jax.grad in float64, on difficult batches.

    Examples:
      w2vjax gradcheck --objective negative           what train uses
      w2vjax gradcheck --objective negative_sampling  one of these forms
      w2vjax gradcheck --objective reference --dtype float64
      w2vjax gradcheck --objective examples.nce:nce   an objective of your own
      w2vjax gradcheck --kind ordinary "huge logits" --json -
      w2vjax gradcheck --audit                        rounding errors of other types
      w2vjax gradcheck                                every objective: minutes

    The command runs each objective on every window shape, on sizes down to one word and one
    dimension, and on 18 kinds of batch, such as repeated words, padding, and scores of 20,000. In
    float64 it also compares with forward mode, with central differences and with runs without jit.
    Two runs must give equal bits. What train uses for each model and objective is also checked with
    its own window shape, its own parameters, and the gradient beside its bounds ("train: cbow").
    Matrix products are in the highest precision. The exit code is 1 if anything is off.

    The columns of the table: "failed" counts checks. "tested" is the share of the rows touched by
    the batches whose reference is not zero; a check proves nothing about the others, so 95 % are
    needed. "error" is max |gradient - reference| / max |reference| of a table, where the reference
    is jax.grad in float64 at the same parameters. An error of 16 roundings of terms that cancel is
    allowed. "differences" is the same against central differences of the loss, on sampled entries,
    and at most 1e-7. "entry" is the place of the largest error.

    For each objective that fails, one sentence below the table says how its gradient differs.

    Args:
        objective: all, reference, an objective as train calls it, the name of one form of it, or
            package.module:name of an Objective or of a function that makes one.
        dtype: Types of the parameters: float64, float32, bfloat16. Default: all three.
        kind: Kinds of batch, such as ordinary or "huge logits". A wrong name lists them all.
            Default: all kinds.
        json: Write all checks in full as JSON to this file. With '-', write it to standard output,
            and nothing else.
        audit: Report how far loss and gradient are from float64. Nothing is judged.
    """
    require_work(objective, dtype, kind, audit)
    if unknown := set(kind) - set(KINDS):
        raise SettingError(
            f"There is no batch kind {min(unknown)!r}. It is one of: {', '.join(KINDS)}."
        )
    if ":" in objective and os.getcwd() not in sys.path:
        # a file in this folder can be named, as with python -m
        sys.path.append(os.getcwd())
    chosen = {} if objective == "reference" else find_objectives(objective)
    if audit:
        return report_drift(list(measure_drift(chosen, dtype)), json)
    jobs = [
        (name, partial(check_objectives, {name: found}, kinds=kind, dtypes=dtype))
        for name, found in chosen.items()
    ]
    for method in [] if objective == "reference" else find_shipped(objective):
        label = f"{method.name}, {method.window}"
        jobs.append((label, partial(check_shipped, [method], kinds=kind, dtypes=dtype)))
    if objective in {"all", "reference"}:
        jobs.insert(0, ("reference", partial(check_reference, kinds=kind, dtypes=dtype)))
    # Nearly all of the time is compilation, outside Python's lock: two objectives at a time.
    with ThreadPoolExecutor(2) as threads:
        records = [record for done in threads.map(collect, jobs) for record in done]
    if not records:
        raise SettingError(
            "These options leave nothing to check. Name more batch kinds, or leave --kind out."
        )
    if json is not None:
        write_json(json, [record.row() for record in records])
    failed, hollow = [record for record in records if not record.passed], too_little(records)
    if json != "-":
        print(summary(records))
        for name in dict.fromkeys(record.objective for record in failed):
            print(verdict(name, [record for record in records if record.objective == name]))
        for line in hollow:
            print(line)
        print(f"{len(records) - len(failed)}/{len(records)} checks passed")
    return 1 if failed or hollow else 0


def require_work(
    objective: str, dtype: tuple[str, ...], kind: tuple[str, ...], audit: bool
) -> None:
    """Raise SettingError for options that leave nothing to check, or have no effect."""
    for name, given in (("dtype", dtype), ("kind", kind)):
        if not given:
            raise SettingError(
                f"--{name} has no value, so that nothing would be checked. Name one, or leave it "
                "out."
            )
    if audit and objective == "reference":
        raise SettingError(
            "--audit measures objectives, and --objective reference is none. Leave one of them out."
        )
    if audit and kind != tuple(KINDS):
        raise SettingError(
            "--kind has no effect on --audit, which takes ordinary batches. Leave one of them out."
        )


def collect(job: tuple[str, Callable[[], Iterable[Record]]]) -> list[Record]:
    """All records, with a line on standard error: compiling takes minutes."""
    name, check = job
    print(f"checking {name} ...", file=sys.stderr, flush=True)
    return list(check())


def summary(records: list[Record]) -> str:
    """The worst of each objective, window and dtype as a table."""
    head = ["objective", "window", "dtype", "checks", "failed", "tested", "error", "tolerance"]
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.objective, record.window, record.check.dtype), []).append(record)
    shares, rows = exercised(records), []
    for key, group in groups.items():
        worst = max(group, key=lambda record: np.nan_to_num(record.check.error, nan=np.inf))
        differences = [
            r.check.difference_error for r in group if r.check.difference_error is not None
        ]
        tested, touched = shares.get(key, (0, 0))
        rows.append(
            [
                *key,
                str(len(group)),
                str(sum(not record.passed for record in group)),
                f"{100 * tested / touched:.0f} %" if touched else "-",
                "raised" if worst.check.raised else f"{worst.check.error:.1e}",
                f"{worst.check.tolerance:.0e}",
                f"{max(differences):.1e}" if differences else "-",
                f"{worst.kind}; {worst.size}",
                worst.check.worst or "-",
            ]
        )
    return columns([[*head, "differences", "worst case", "entry"], *rows])


def verdict(name: str, records: list[Record]) -> str:
    """How the gradient of one objective differs, in one sentence, and the first check that says so.

    Of all sentences of failed checks the commonest is taken, and in float64 if there is one.
    """
    failed = [record for record in records if not record.passed]
    said = [
        ("" if part is record.check else "beside bounds: ") + part.sentence
        for record in failed
        for part in [record.bounded if record.check.passed else record.check]
        if part is not None
    ]
    exact = [
        line
        for line, record in zip(said, failed, strict=True)
        if record.check.dtype == failed[0].check.dtype
    ]
    line, times = Counter(exact).most_common(1)[0]
    first = failed[said.index(line)]
    place = ", ".join([first.window, first.size, first.kind, first.check.dtype])
    return (
        f"FAILED {name}, {len(failed)} of {len(records)} checks. {line[:-1]} ({times} of "
        f"{len(exact)} in {first.check.dtype}; the first: {place})."
    )


def too_little(records: list[Record]) -> list[str]:
    """A sentence for each objective, window and dtype that is exercised too little."""
    lines = []
    for (name, window, dtype), (tested, touched) in exercised(records).items():
        if tested < LEAST_SHARE * touched:
            lines.append(
                f"FAILED {name}, {window}, {dtype}: the reference is zero in {touched - tested} of "
                f"{touched} rows that the batches touch, so nothing is proven there. Check more "
                "kinds of batch."
            )
    leaves = [leaf for record in records for leaf in record.check.leaves]
    if leaves and not any(leaf.exercise.tested for leaf in leaves):
        lines.append(
            "FAILED: the reference is zero everywhere, so nothing is proven. Add --kind ordinary."
        )
    return lines


def report_drift(drifts: list[Drift], json: str | None) -> int:
    """The audit as a table or as JSON."""
    if json is not None:
        write_json(json, [drift._asdict() for drift in drifts])
    if json != "-":
        head = ["objective", "window", "dtype", "loss", "gradient"]
        rows = [
            [*drift[:3], *(f"{x:.1e}" if not drift.raised else "raised" for x in drift[3:7])]
            for drift in drifts
        ]
        print(columns([[*head, "loss, stored", "gradient, stored"], *rows]))
        print(
            "Drift from float64: of the arithmetic alone, then with the params rounded to the "
            "dtype as stored."
        )
        for drift in drifts:
            if drift.raised:
                place = f"{drift.objective}, {drift.window}, {drift.dtype}"
                print(f"FAILED {place}: raised {drift.raised}")
    return 1 if any(drift.raised for drift in drifts) else 0
