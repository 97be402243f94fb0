"""``w2vjax gradcheck``: prove the handwritten gradients on this machine, element by element."""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Literal

import numpy as np
from tyro.conf import arg

from w2vjax.cli.arguments import Flag, Json
from w2vjax.cli.output import columns, write_json
from w2vjax.errors import SettingError
from w2vjax.gradcheck.cases import KINDS
from w2vjax.gradcheck.check import DIFFERENCE_TOLERANCE, GradientCheck
from w2vjax.gradcheck.objectives import (
    Record,
    check_objectives,
    check_shipped,
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
    json: Json = None,
    audit: Flag = False,
) -> int:
    """Check every handwritten gradient against jax.grad in float64, on batches that are made to
    break it.

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
    The exit code is 1 if anything is off.

    The columns of the table: "error" is max |gradient - reference| / max |reference| of a table,
    where the reference is jax.grad in float64 at the same parameters. An error of 16 roundings of
    terms that cancel is allowed. "differences" is the same against central differences of the loss,
    on sampled elements, and at most 1e-7. "element" is the place of the largest error.

    Args:
        objective: all, reference, an objective as train calls it, the name of one form of it, or
            package.module:name of an Objective or of a function that makes one.
        dtype: Types of the parameters: float64, float32, bfloat16. Default: all three.
        kind: Kinds of batch, such as ordinary or "huge logits". A wrong name lists them all.
            Default: all kinds.
        json: Write JSON to this file. With '-', write it to standard output, and nothing else.
        audit: Report how far loss and gradient are from float64. Nothing is judged.
    """
    require_work(objective, dtype, kind, audit)
    if unknown := set(kind) - set(KINDS):
        raise SettingError(
            f"There is no batch kind {min(unknown)!r}. It is one of: {', '.join(KINDS)}."
        )
    if ":" in objective and os.getcwd() not in sys.path:
        # as python -m does, so that a file in this folder can be named
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
    # Nearly all of the time is compilation, which runs outside Python's lock: two objectives at a
    # time.
    with ThreadPoolExecutor(2) as threads:
        records = [record for done in threads.map(collect, jobs) for record in done]
    if not records:
        raise SettingError(
            "These options leave nothing to check. Name more batch kinds, or leave --kind out."
        )
    failed = [record for record in records if not record.passed]
    if json is not None:
        write_json(json, [record.row() for record in records])
    if json != "-":
        print(summary(records))
        for record in failed:
            print(failure(record))
        print(f"{len(records) - len(failed)}/{len(records)} checks passed")
    return 1 if failed else 0


def require_work(
    objective: str, dtype: tuple[str, ...], kind: tuple[str, ...], audit: bool
) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` for options that leave nothing to check, or have
    no effect.
    """
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
    """All records, with a line on standard error so that minutes of compiling do not look like
    hanging.
    """
    name, check = job
    print(f"checking {name} ...", file=sys.stderr, flush=True)
    return list(check())


def summary(records: list[Record]) -> str:
    """The worst of each objective, window and dtype as a table."""
    head = [
        "objective",
        "window",
        "dtype",
        "checks",
        "error",
        "tolerance",
        "differences",
        "worst case",
        "element",
    ]
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.objective, record.window, record.check.dtype), []).append(record)
    rows = []
    for key, group in groups.items():
        worst = max(group, key=lambda record: np.nan_to_num(record.check.error, nan=np.inf))
        differences = [
            r.check.difference_error for r in group if r.check.difference_error is not None
        ]
        error = "raised" if worst.check.raised else f"{worst.check.error:.1e}"
        rows.append(
            [
                *key,
                str(len(group)),
                error,
                f"{worst.check.tolerance:.0e}",
                f"{max(differences):.1e}" if differences else "-",
                f"{worst.kind}; {worst.size}",
                worst.check.worst or "-",
            ]
        )
    return columns([head, *rows])


def failure(record: Record) -> str:
    """One line that says which part of a check failed, by how much, and where."""
    place = (
        f"{record.objective}, {record.window}, {record.size}, {record.kind}, {record.check.dtype}"
    )
    wrong = "" if record.check.passed else wrong_parts(record.check)
    if record.bounded is not None and not record.bounded.passed:
        wrong += f"{'; ' if wrong else ''}beside bounds: {wrong_parts(record.bounded)}"
    return f"FAILED {place}: {wrong}"


def wrong_parts(check: GradientCheck) -> str:
    """What is off in a check that has failed."""
    if check.raised:
        return f"raised {check.raised}"
    parts = {
        "gradient": check.error,
        "loss": check.loss_error,
        "without jit": check.eager_error,
        "forward mode": check.forward_error,
    }
    wrong = [
        f"{name} {error:.1e}"
        for name, error in parts.items()
        if error is not None and not error <= check.tolerance
    ]
    if check.difference_error is not None and not check.difference_error <= DIFFERENCE_TOLERANCE:
        wrong.append(f"central differences {check.difference_error:.1e}")
    wrong += [] if check.repeatable else ["two runs differ"]
    wrong += [] if check.finite else ["not finite"]
    return f"{', '.join(wrong)} (tolerance {check.tolerance:.0e}), worst at {check.worst}"


def report_drift(drifts: list[Drift], json: str | None) -> int:
    """The audit as a table or as JSON."""
    if json is not None:
        write_json(json, [drift._asdict() for drift in drifts])
    if json != "-":
        head = [
            "objective",
            "window",
            "dtype",
            "loss",
            "gradient",
            "loss, stored",
            "gradient, stored",
        ]
        rows = [
            [
                *drift[:3],
                *(f"{value:.1e}" if not drift.raised else "raised" for value in drift[3:7]),
            ]
            for drift in drifts
        ]
        print(columns([head, *rows]))
        print(
            "Drift from float64: of the arithmetic alone, then with the params rounded to the "
            "dtype as stored."
        )
        for drift in drifts:
            if drift.raised:
                print(
                    f"FAILED {drift.objective}, {drift.window}, {drift.dtype}: raised "
                    f"{drift.raised}"
                )
    return 1 if any(drift.raised for drift in drifts) else 0
