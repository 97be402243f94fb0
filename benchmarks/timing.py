"""How every benchmark here measures: check equality, warm up, then time the candidates in turns.

A benchmark is four calls::

    from timing import check_close, compare, exact_products, report, table

    with exact_products():
        check_close("step", handwritten(), reference(), tolerance=1e-5)  # raises if they differ
    timings = compare({"handwritten": handwritten, "jax.grad": reference})  # A B A B ...
    rows = [timing.row() for timing in timings.values()]
    print(table(rows))
    report("reference_speed", settings, rows, write=write)  # JSON with device, versions, commit

Candidates take no argument and return what they computed; every sample ends in
``jax.block_until_ready`` on it. Turns are interleaved because a machine's clock, temperature and
neighbours drift over seconds: each candidate meets the same weather. Medians and quartiles, not
means, because interruptions only ever add time.

A GPU multiplies float32 in TF32, with three digits, unless it is asked for more. Checks ask for
more ("highest"), and what is timed does not: it multiplies as training does. On a CPU both are one.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).resolve().parent
# set by run_all.py --quick, for scripts without an option of that name
QUICK = "W2VJAX_QUICK_BENCHMARKS"
CHECKED = "highest"  # the precision of matrix products in checks
PACKAGES = "w2vjax jax jaxlib numpy optax safetensors pyarrow gensim fasttext torch".split()


class CheckFailed(Exception):
    """Two candidates that should compute the same thing do not: nothing has been timed."""


class Timing(NamedTuple):
    """The samples of one candidate, in seconds per call, in the order they were taken."""

    name: str
    seconds: tuple[float, ...]
    calls: int  # calls per sample

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)

    def row(self, **more: Any) -> dict[str, Any]:
        """A flat record for :func:`table` and :func:`report`. The caller's columns come first."""
        low, high = self.quartiles
        return {
            **more,
            "name": self.name,
            "median_s": self.median,
            "q1_s": low,
            "q3_s": high,
            "samples": len(self.seconds),
            "calls_per_sample": self.calls,
        }


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32 keep float32 on every device: for checks, and not for what is timed.

    A program that is compiled here stays exact, so that a timed one has to be compiled elsewhere.
    """
    before = jax.config.jax_default_matmul_precision
    # jax.default_matmul_precision would be for this thread alone
    jax.config.update("jax_default_matmul_precision", CHECKED)
    try:
        yield
    finally:
        jax.config.update("jax_default_matmul_precision", before)


def check_close(what: str, got: Any, expected: Any, tolerance: float) -> float:
    """The largest error over two pytrees, max|got - expected| / max(max|expected|, 1) leaf by leaf.

    Raises :class:`CheckFailed`, naming the leaf, if it exceeds ``tolerance``, if structures or
    shapes differ, or outside :func:`exact_products`, where a GPU's products have three digits.
    """
    if jax.config.jax_default_matmul_precision != CHECKED:
        raise CheckFailed(f"{what}: a check has to be made in exact_products().")
    if (left := jax.tree.structure(got)) != (right := jax.tree.structure(expected)):
        raise CheckFailed(f"{what}: the results have different structures, {left} and {right}.")
    worst = 0.0
    leaves = zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(expected), strict=True)
    for (path, g), e in leaves:
        g, e = np.asarray(g, np.float64), np.asarray(e, np.float64)
        place = what + jax.tree_util.keystr(path)
        if g.shape != e.shape:
            raise CheckFailed(f"{place}: shape {g.shape} where {e.shape} is expected.")
        if g.size == 0:
            continue
        error = float(np.max(np.abs(g - e)) / max(float(np.max(np.abs(e))), 1.0))
        if not error <= tolerance:  # written so that NaN fails
            raise CheckFailed(f"{place}: error {error:.3g} exceeds {tolerance:.3g}.")
        worst = max(worst, error)
    return worst


def sample(call: Callable[[], Any], calls: int) -> float:
    """Seconds per call over ``calls`` calls in a row, the last result waited for."""
    start = time.perf_counter()
    for _ in range(calls - 1):
        call()
    jax.block_until_ready(call())
    return (time.perf_counter() - start) / calls


def compare(
    candidates: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 15,
    warmup: int = 2,
    sample_seconds: float = 0.02,
) -> dict[str, Timing]:
    """Time the candidates in turns: ``warmup`` calls each, then ``rounds`` samples each.

    A sample is as many calls as take about ``sample_seconds``, so that the clock's own cost
    disappears; a slow candidate gets one call per sample.
    """
    calls = {}
    for name, call in candidates.items():
        for _ in range(max(warmup, 1)):
            jax.block_until_ready(call())
        calls[name] = max(1, min(10_000, round(sample_seconds / max(sample(call, 1), 1e-7))))
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            taken[name].append(sample(call, calls[name]))
    return {name: Timing(name, tuple(seconds), calls[name]) for name, seconds in taken.items()}


def float32_products() -> str:
    """What a float32 product keeps here: 'float32' or 'reduced (TF32 or bfloat16)'.

    1 + 2^-12 has more bits than TF32 (10) or bfloat16 (7) store, so times the identity it comes
    back as 1 there.
    """
    value = np.float32(1 + 2**-12)
    product = jax.jit(jnp.matmul)(jnp.full((256, 256), value), jnp.eye(256))
    return "float32" if bool(jnp.all(product == value)) else "reduced (TF32 or bfloat16)"


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the docstring of a script, with the option ``--write``."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=style)
    told = "keep the result under benchmarks/results"
    parser.add_argument("--write", action="store_true", help=told)
    return parser


def _command(*arguments: str) -> str | None:
    try:
        done = subprocess.run(arguments, cwd=HERE, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _clock() -> dict[str, Any]:
    """The clock that ``time.perf_counter`` reads, and on Linux what the kernel derives it from."""
    info = time.get_clock_info("perf_counter")
    kernel = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    source = kernel.read_text().strip() if kernel.is_file() else None
    return {
        "implementation": info.implementation,
        "resolution_s": info.resolution,
        "kernel_source": source,
    }


def environment() -> dict[str, Any]:
    """What a reader needs to judge a number: device, clock, precision, versions, commit, flags."""
    device = jax.devices()[0]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    commit = _command("git", "rev-parse", "HEAD")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
        },
        "processor": {"name": _processor(), "usable_cores": usable},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "clock": _clock(),
        "matmul_precision": {
            "setting": jax.config.jax_default_matmul_precision or "default",
            "float32_products": float32_products(),
            "checks": CHECKED,
        },
        "versions": {
            "python": platform.python_version(),
            **{package: found for package in PACKAGES if (found := _installed(package))},
        },
        "commit": commit,
        "code": code_digest(),
        "uncommitted_changes": bool(_command("git", "status", "--porcelain", "-uno"))
        if commit
        else None,
        "flags": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("XLA_", "JAX_"))
        },
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def code_digest() -> str:
    """SHA-256 of the sources of the library and the benchmarks."""
    digest = hashlib.sha256()
    for path in sorted([*(HERE.parent / "w2vjax").rglob("*.py"), *HERE.glob("*.py")]):
        digest.update(path.relative_to(HERE.parent).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def command_line(argv: Sequence[str]) -> str:
    """A command as another machine can give it: file names only, and no --write.

    >>> command_line(["/x/peers.py", "--corpus", "/data/a.txt", "--program", "C=/x/c", "--write"])
    'python benchmarks/peers.py --corpus a.txt --program C=c'
    """
    kept: list[str] = []
    words = iter(["=".join(os.path.basename(part) for part in word.split("=")) for word in argv])
    for word in words:
        if word in {"--log", "--work"}:
            next(words, None)
        elif word not in {"--resume", "--write"}:
            kept.append(word)
    return f"python benchmarks/{' '.join(kept)}"


def device_folder() -> str:
    """The name of this device under ``results``: 'cpu-2-cores', 'nvidia-h100-80gb-hbm3'."""
    device = jax.devices()[0]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = f"cpu {usable} cores" if device.platform == "cpu" else device.device_kind
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def result_path(benchmark: str, quick: bool = False) -> Path:
    """The file of a result: ``results/DEVICE/BENCHMARK.json`` (``quick``: DEVICE-quick)."""
    folder = device_folder() + ("-quick" if quick or QUICK in os.environ else "")
    return HERE / "results" / folder / f"{benchmark}.json"


def report(
    benchmark: str,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    *,
    write: bool,
    quick: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Return the record of one benchmark. With ``write``, save it under ``benchmarks/results``.

    A quick one goes to ``results/<device>-quick``: small sizes must not replace what a full run
    measured.
    """
    record = {
        "benchmark": benchmark,
        "environment": environment(),
        "command": command_line(sys.argv),
        "settings": dict(settings),
        "rows": [dict(row) for row in rows],
        **more,
    }
    if write:
        path = result_path(benchmark, quick)
        write_json(path, record)
        print(f"wrote {path.relative_to(HERE.parent)}")
    return record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write by temporary file and rename, so that a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def duration(seconds: float) -> str:
    """Three digits with a unit: '12.3 us', '4.56 ms', '1.20 s'."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table. Columns ending in ``_s``, ``_ns``, ``_per_second`` get units."""
    if not rows:
        return "(nothing measured)"
    columns = list(dict.fromkeys(column for row in rows for column in row))

    def cell(column: str, value: Any) -> str:
        if value is None:
            return "-"
        if isinstance(value, float) and column.endswith("_per_second"):
            return f"{value / 1e6:.3g} M"
        if isinstance(value, float) and column.endswith("_ns"):
            return f"{value:,.0f}"
        if isinstance(value, float):
            return duration(value) if column.endswith("_s") else f"{value:.4g}"
        return (
            f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        )

    heads = [column.removesuffix("_s").replace("_", " ") for column in columns]
    cells = [[cell(column, row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)) + " |"
        for line in [heads, *cells]
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * w for w in widths) + " |", *lines[1:]])
