"""``w2vjax gradcheck``: prove the handwritten gradients on this machine, entry by entry."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Literal, TypeAlias

import numpy as np

from w2vjax.cli.arguments import Flag, Json, shown
from w2vjax.cli.output import answer, columns
from w2vjax.errors import SettingError
from w2vjax.gradcheck import objectives as forms
from w2vjax.gradcheck.cases import KINDS
from w2vjax.gradcheck.objectives import Record
from w2vjax.gradcheck.one_hot import check_reference
from w2vjax.gradcheck.precision import Drift
from w2vjax.gradcheck.precision import audit as measure_drift

Dtype = Literal["float64", "float32", "bfloat16"]
Dtypes = Annotated[tuple[Dtype, ...], shown("DTYPE ...")]
Kinds = Annotated[tuple[str, ...], shown("KIND ...")]
_HEAD = "objective|window|dtype|checks|failed|tested|error|tolerance|differences|worst case|entry"
Names: TypeAlias = tuple[str, ...]
Job: TypeAlias = Callable[[], Iterable[Record]]


def gradcheck(
    objective: str = "all",
    dtype: Dtypes = ("float64", "float32", "bfloat16"),
    kind: Kinds = tuple(KINDS),
    json: Json = None,
    least_tested: float = 100 * forms.LEAST_SHARE,
    audit: Flag = False,
) -> int:
    """Check every handwritten gradient against jax.grad in float64, on difficult batches.

    Examples:
      w2vjax gradcheck --objective negative           all forms, and those of train
      w2vjax gradcheck --objective negative_sampling  one of these forms
      w2vjax gradcheck --objective examples.nce:nce   an objective of your own
      w2vjax gradcheck --audit                        rounding errors of each dtype
      w2vjax gradcheck                                every objective: minutes

    Each objective runs on every window shape, on sizes down to one word and one dimension, and on
    18 kinds of batch, such as repeated words, padding, and scores of 20,000. In float64 the command
    also compares with forward mode, with central differences and with a run without jit. Two runs
    must give equal bits. The methods of train are also checked with their own windows ("train:
    cbow, long text") and parameters, and with the gradient that training computes together with its
    bounds. The exit code is 1 if a check fails.

    Columns of the table: "tested" is the share of the rows in the batches whose reference is not
    zero. A check proves nothing about other rows: see --least-tested. "error" is max |gradient -
    reference| / max |reference| of a table. "differences" is the same against central differences
    of the loss, and has to be 1e-7 or less. "entry" is the place of the largest error.

    Args:
        objective: all, reference, an objective as train calls it, the name of one form of it, or
            package.module:name of an Objective or of a function that makes one.
        dtype: Types of the parameters: float64, float32, bfloat16. Default: all three.
        kind: Kinds of batch, such as ordinary or "huge logits". The error for a wrong name lists
            all names. Default: all kinds.
        least_tested: The least share of "tested", in percent.
        audit: Report how far loss and gradient are from float64. Nothing is judged.
    """
    require_work(objective, dtype, kind, audit)
    if ":" in objective and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a file in this folder can be named, as with python -m
    chosen = {} if objective == "reference" else forms.find_objectives(objective)
    if audit:
        return report_drift(list(measure_drift(chosen, dtype)), json)
    options = {"kinds": kind, "dtypes": dtype}
    jobs: list[tuple[str, Job]] = [
        (name, partial(forms.check_objectives, {name: found}, **options))
        for name, found in chosen.items()
    ]
    for method in forms.find_shipped(objective):  # none for "reference"
        label = f"{method.name}, {method.window}"
        jobs.append((label, partial(forms.check_shipped, [method], **options)))
    if objective in {"all", "reference"}:
        jobs.insert(0, ("reference", partial(check_reference, **options)))
    # Nearly all of the time is compilation, outside Python's lock: two objectives at a time.
    with ThreadPoolExecutor(2) as threads:
        records = [record for done in threads.map(collect, jobs) for record in done]
    if not records:
        raise SettingError("Nothing is left to check. Name more batch kinds, or leave --kind out.")
    failed = [record for record in records if not record.passed]
    hollow = too_little(records, least_tested)
    names = dict.fromkeys(record.objective for record in failed)
    verdicts = [verdict(name, [one for one in records if one.objective == name]) for name in names]
    where = "".join(max(record.check.precision for record in records).partition(" on ")[1:])
    passed = f"{len(records) - len(failed)}/{len(records)} checks passed{where}"
    passed += "; too little is tested" if hollow else ""
    answer(json, [one.row() for one in records], summary(records), *verdicts, *hollow, passed)
    return 1 if failed or hollow else 0


def require_work(objective: str, dtype: Names, kind: Names, audit: bool) -> None:
    """Raise SettingError for options that leave nothing to check, or have no effect."""
    for name, given in (("dtype", dtype), ("kind", kind)):
        if not given:
            raise SettingError(f"--{name} has no value. Name one, or leave it out.")
    if unknown := set(kind) - set(KINDS):
        known = ", ".join(KINDS)
        raise SettingError(f"There is no batch kind {min(unknown)!r}. Use one of: {known}.")
    if audit and objective == "reference":
        raise SettingError("--audit is not for --objective reference. Leave one of them out.")
    if audit and kind != tuple(KINDS):
        raise SettingError("--kind has no effect on --audit. Leave one of them out.")


def collect(job: tuple[str, Job]) -> list[Record]:
    """All records, with a line on standard error: compiling takes minutes."""
    name, check = job
    print(f"checking {name} ...", file=sys.stderr, flush=True)
    return list(check())


def summary(records: list[Record]) -> str:
    """The worst of each objective, window and dtype as a table."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.objective, record.window, record.check.dtype), []).append(record)
    shares, rows = forms.exercised(records), []
    for key, group in groups.items():
        worst = max(group, key=lambda record: np.nan_to_num(record.check.error, nan=np.inf))
        found = [gap for one in group if (gap := one.check.difference_error) is not None]
        tested, touched = shares.get(key, (0, 0))
        failed = sum(not record.passed for record in group)
        share = f"{100 * tested / touched:.0f} %" if touched else "-"
        error = "raised" if worst.check.raised else f"{worst.check.error:.1e}"
        row = [str(len(group)), str(failed), share, error, f"{worst.check.tolerance:.0e}"]
        row += [f"{max(found):.1e}" if found else "-", f"{worst.kind}; {worst.size}"]
        rows.append([*key, *row, worst.check.worst or "-"])
    return columns([_HEAD.split("|"), *rows])


def verdict(name: str, records: list[Record]) -> str:
    """How the gradient of an objective differs: the commonest sentence of its first dtype."""
    failed = [record for record in records if not record.passed]
    exact = [record for record in failed if record.check.dtype == failed[0].check.dtype]
    said = [
        ("" if part is record.check else "beside bounds: ") + part.sentence
        for record in exact
        for part in [record.bounded if record.check.passed else record.check]
        if part is not None
    ]
    line, times = Counter(said).most_common(1)[0]
    first = exact[said.index(line)]
    place = ", ".join([first.window, first.size, first.kind, first.check.dtype])
    return (
        f"FAILED {name}, {len(failed)} of {len(records)} checks. {line[:-1]} ({times} of "
        f"{len(exact)} in {first.check.dtype}; the first: {place})."
    )


def too_little(records: list[Record], least: float) -> list[str]:
    """A sentence for each objective of which less than ``least`` percent is tested somewhere."""
    lines, worst = [], dict[str, tuple[float, str, int, int]]()
    for (name, window, dtype), (tested, rows) in forms.exercised(records).items():
        found = (tested / rows if rows else 1.0, f"{window}, {dtype}", tested, rows)
        worst[name] = min(found, worst.get(name, found))
    for name, (share, where, tested, rows) in worst.items():
        if not share >= least / 100:
            lines.append(
                f"FAILED {name}, {where}: the reference is zero in {rows - tested} of {rows} rows "
                "that the batches touch, so nothing is proven there. If the loss is flat there, as "
                f"a hinge may be, allow it: --least-tested {int(100 * share)}."
            )
    leaves = [leaf for record in records for leaf in record.check.leaves]
    if leaves and not any(leaf.exercise.tested for leaf in leaves):
        lines.append("FAILED: the reference is zero everywhere. Is --kind ordinary left out?")
    return lines


def report_drift(drifts: list[Drift], json: str | None) -> int:
    """The audit as a table or as JSON."""
    head = "objective|window|dtype|loss|gradient|loss, stored|gradient, stored".split("|")
    rows = [[*d[:3], *("raised" if d.raised else f"{x:.1e}" for x in d[3:7])] for d in drifts]
    raised = [f"FAILED {', '.join(d[:3])}: raised {d.raised}" for d in drifts if d.raised]
    explained = "Drift from float64: of the arithmetic alone, then of the params as stored too."
    records = [drift._asdict() for drift in drifts]
    answer(json, records, columns([head, *rows]), explained, *raised)
    return 1 if raised else 0
