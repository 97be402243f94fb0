"""Wrong gradients: which of them does a check find, and how long does it take?

    check_gradients                every entry against the gradient in float64
    jax.test_util.check_grads      one random direction against a central difference

Both run with their defaults. They get the wrong gradients of this package's tests, on the same
batches in float64: ordinary ones first, then difficult ones, until one is found out. A right
gradient meets all batches, and a check that fails it has given a false alarm. The hollow cases are
wrong gradients at params where the right gradient is zero, or the same.

    python benchmarks/gradient_checks.py --write
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.test_util
from timing import report, table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import test_hollow_checks as hollow
import test_mutants as battery

import w2vjax as w2v

KINDS = ("ordinary", "scores past 6", "everything equal", "half padded", "two words")
Check = Callable[..., bool]


def by_entry(loss: Any, backward: Any, inputs: Any) -> bool:
    """Whether check_gradients passes the gradient of a batch, with its defaults."""
    return w2v.check_gradients(loss, backward, *inputs).passed


def by_direction(loss: Any, backward: Any, inputs: Any) -> bool:
    """Whether jax.test_util.check_grads passes the gradient: its check of reverse mode."""
    params, *batch = jax.tree.map(jax.numpy.asarray, inputs)
    value, compiled = jax.jit(loss), jax.jit(backward)

    def reverse(params: Any) -> Any:
        gradient = compiled(params, *batch)[1]
        dense = jax.tree.map(w2v.to_dense, gradient, params, is_leaf=is_rows)
        return value(params, *batch), lambda d: (jax.tree.map(lambda leaf: d * leaf, dense),)

    try:
        jax.test_util.check_vjp(lambda p: value(p, *batch), reverse, (params,))
    except AssertionError:
        return False
    return True


def is_rows(leaf: Any) -> bool:
    return isinstance(leaf, w2v.Rows)


def situations(name: str, window: str) -> list[Any]:
    """The inputs of each kind of batch."""
    return [battery.Situation.get(name, window, kind, 0)[1] for kind in KINDS]


def mutated(name: str, mutant: Any) -> Any:
    """The wrong backward of a mutant, with the right loss."""
    objective = battery.OBJECTIVES[name]
    return lambda *inputs: (
        w2v.cross_entropy(objective, *inputs),
        w2v.Params(*mutant(objective, *inputs)),
    )


def measure(label: str, check: Check, most: int | None) -> dict[str, Any]:
    """One row: how many mutants a check finds, and how often it is wrong about right gradients."""
    chosen, missed = battery.QUICK[:most], []
    batches = {pair: situations(*pair) for pair in sorted({row[:2] for row in chosen})}
    start = time.process_time()
    for name, window, mutant, change in chosen:
        loss, backward = battery.functions(name)[0], mutated(name, change)
        if all(check(loss, backward, each) for each in batches[name, window]):
            missed.append(f"{mutant} ({name}, {window})")
    seconds = time.process_time() - start
    right = [
        check(*battery.functions(n), each) for (n, _), found in batches.items() for each in found
    ]
    fooled = [
        name
        for name, (loss, wrong, inputs, _) in hollow.HOLLOW.items()
        if check(loss, wrong, inputs)
    ]
    return {
        "check": label,
        "wrong gradients": len(chosen),
        "found": len(chosen) - len(missed),
        "right gradients": len(right),
        "false alarms": right.count(False),
        "hollow cases": len(hollow.HOLLOW),
        "refused": len(hollow.HOLLOW) - len(fooled),
        "CPU seconds a wrong gradient": round(seconds / len(chosen), 2),
        "missed": missed,
        "fooled": fooled,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only the first four wrong gradients")
    parser.add_argument(
        "--write", action="store_true", help="write benchmarks/results/<device>/...json"
    )
    options = parser.parse_args()
    most = 4 if options.quick else None
    with jax.enable_x64(True):
        rows = [
            measure("w2vjax.check_gradients", by_entry, most),
            measure("jax.test_util.check_grads", by_direction, most),
        ]
    print(table([{k: v for k, v in row.items() if not isinstance(v, list)} for row in rows]))
    if rows[0]["found"] < rows[0]["wrong gradients"] or rows[0]["false alarms"]:
        raise SystemExit(f"check_gradients is wrong: {rows[0]['missed']}")
    settings = {"kinds": list(KINDS), "dtype": "float64"}
    report("gradient_checks", settings, rows, write=options.write, quick=options.quick)


if __name__ == "__main__":
    main()
