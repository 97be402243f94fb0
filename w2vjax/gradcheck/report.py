"""The result of a check, and its report: one closing sentence and a table of the leaves."""

from typing import Any, NamedTuple

import numpy as np

from w2vjax.gradcheck.compare import Entry, Exercise
from w2vjax.gradcheck.differences import TOLERANCE as DIFFERENCES


class LeafCheck(NamedTuple):
    """What a check found for one leaf of the params.

    Attributes:
        name: its place in the params, "input".
        error: max |gradient - reference| / max |reference|, at the scale shown.
        tolerance: the largest error that passes.
        scale: what the params were multiplied by where the leaf failed first, or was worst.
        worst: the entries with the largest differences.
        looks: "agrees", or what the difference looks like.
        exercise: the rows that the reference exercises.
    """

    name: str
    error: float
    tolerance: float
    scale: float
    worst: tuple[Entry, ...]
    looks: str
    exercise: Exercise

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


class GradientCheck(NamedTuple):
    """What one check found. ``None`` stands for a part that does not apply.

    Attributes:
        dtype: the narrowest of the params.
        error: of the worst leaf, against the reference in float64.
        tolerance: of that leaf.
        worst: the entry with the largest error, "input[3, 2]".
        loss_error: relative, of the loss that backward returns.
        eager_error: without jit.
        vmap_error: on two params at once; infinite if vmap raises.
        forward_error: against forward mode along a random direction.
        difference_error: against central differences, on sampled entries.
        difference_estimate: how exact these differences are, by their estimate.
        repeatable: whether two runs gave equal bits.
        finite: whether loss and gradient are finite at the params as given.
        untested: what the check has not exercised, "input in 1 of 5 rows (at 2)".
        faint: rows with a reference below the tolerance. In float64 they are untested.
        leaves: what was found for each leaf.
        examples: float parts of the batch, and the rows of them that the gradient needs.
        precision: dtype, device and precision of products in which the backward ran.
        reference: "jax.grad", or "central differences" where JAX has no derivative.
        bend: how far a function's own rule is from linear in its cotangent.
        raised: what ended the check. Other parts are then NaN or None.
    """

    dtype: str
    error: float
    tolerance: float
    worst: str
    loss_error: float
    eager_error: float | None = None
    vmap_error: float | None = None
    forward_error: float | None = None
    difference_error: float | None = None
    difference_estimate: float | None = None
    repeatable: bool | None = None
    finite: bool | None = None
    untested: tuple[str, ...] = ()
    faint: tuple[str, ...] = ()
    leaves: tuple[LeafCheck, ...] = ()
    examples: tuple[Exercise, ...] = ()
    precision: str = ""
    reference: str = "jax.grad"
    bend: float | None = None
    raised: str | None = None

    @property
    def passed(self) -> bool:
        """Whether all parts are within their tolerances, and all was exercised."""
        return not self.faults and all(leaf.passed for leaf in self.leaves)

    @property
    def faults(self) -> list[str]:
        """What is wrong beside the leaves, as clauses of a sentence.

        Other runs of a leaf that has failed are left out: they only repeat its error.
        """
        if self.raised:
            return [f"it raised {self.raised}"]
        runs = {
            "the gradient without jit": self.eager_error,
            "the gradient under vmap": self.vmap_error if self.vmap_error != np.inf else None,
            "forward mode": self.forward_error,
        }
        parts = {"the loss": self.loss_error}
        if all(leaf.passed for leaf in self.leaves):
            parts |= {name: error for name, error in runs.items() if error is not None}
            if self.difference_error is not None and not self.difference_error <= DIFFERENCES:
                parts["the reference, against central differences,"] = self.difference_error
        most = max((leaf.tolerance for leaf in self.leaves), default=self.tolerance)
        off = {name: error for name, error in parts.items() if not error <= most}
        found = [f"{name} is off by {error:.1e}" for name, error in off.items()]
        if self.bend is not None and not self.bend <= most:
            found.append("the rule is not linear in its cotangent")
        found += ["it cannot run under vmap"] if self.vmap_error == np.inf else []
        found += [] if self.repeatable else ["two runs differ"]
        found += [] if self.finite else ["not all is finite"]
        return found + [f"not exercised: {which}" for which in self.untested]

    @property
    def sentence(self) -> str:
        """What the check says, in one sentence.

        >>> GradientCheck("float64", np.nan, 1e-12, "", np.nan, raised="ValueError: no").sentence
        'it raised ValueError: no.'
        """
        good = [leaf.name for leaf in self.leaves if leaf.passed]
        agree = f"{' and '.join(good) if len(good) < 3 else f'{len(good)} leaves'} "
        clauses = [agree + ("agrees" if len(good) == 1 else "agree")] if good else []
        for leaf in self.leaves:
            if not leaf.passed:
                at = "" if leaf.scale == 1 else f" at {leaf.scale:g} times the params"
                clauses.append(f"{leaf.name} {leaf.looks}{at}")
        faint = [f"too small to judge in {self.dtype}: {which}" for which in self.faint]
        return "; ".join(clauses + self.faults + faint) + "."

    @property
    def report(self) -> str:
        """The closing sentence, below a table of the leaves: errors, rows, worst entries."""
        rows = [["leaf", "error", "tolerance", "rows tested", "worst entries: found, expected"]]
        for leaf in self.leaves:
            entries = [f"[{e.place}] {e.found:.6g}, {e.expected:.6g}" for e in leaf.worst]
            tested = f"{leaf.exercise.tested} of {leaf.exercise.touched}"
            shown = "-" if leaf.passed else "; ".join(entries)
            rows.append([leaf.name, f"{leaf.error:.1e}", f"{leaf.tolerance:.0e}", tested, shown])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        how = self.precision + f"; reference: {self.reference}" * (self.reference != "jax.grad")
        lines.append(f"{'passed' if self.passed else 'FAILED'} ({how}): {self.sentence}")
        flat = [which.partition(" in ")[0] for which in self.untested]
        return "\n".join(lines + [f"Only where the loss is flat: allow_zero={flat}."] * bool(flat))

    def row(self) -> dict[str, Any]:
        """All parts for JSON: leaves and examples as dicts."""
        leaves = []
        for leaf in self.leaves:
            worst = [entry._asdict() for entry in leaf.worst]
            leaves.append({**leaf._asdict(), "worst": worst, "exercise": leaf.exercise._asdict()})
        examples = [each._asdict() for each in self.examples]
        return {**self._asdict(), "leaves": leaves, "examples": examples, "sentence": self.sentence}


def failed_check(dtype: str, tolerance: float, error: Exception) -> GradientCheck:
    """The check of a loss or backward that raised, with the first line of what it said."""
    said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    return GradientCheck(dtype, np.nan, tolerance, "", np.nan, raised=said)
