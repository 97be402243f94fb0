"""What all tests share: strict JAX promotion, fast compilation, and the command line in-process.

Array code that widens a dtype or broadcasts by accident looks right. Strict promotion of dtypes and
ranks makes it an error. Only the tests set this, the package does not. A test that uses a library
which needs ordinary promotion (``optax.adam``) asks for the fixture ``standard_promotion``.
"""

import contextlib
import gc
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import pytest
from hypothesis import HealthCheck, settings
from planted import planted_text

from w2vjax.corpus.encode import Corpus, prepare

MAPS = "/proc/self/maps"
os.environ.setdefault("MPLBACKEND", "Agg")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# A GPU would multiply float32 in TF32, and the tolerances here are those of float32. On a CPU both
# are one. What the tests start has the same: a checkpoint names its program, precision included.
jax.config.update("jax_default_matmul_precision", "highest")
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
# All processes of a test run share one folder of compiled programs: the workers and what they start
# find its name in the environment.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _PROGRAMS = tempfile.TemporaryDirectory(prefix="w2vjax-programs-")
    for _name, _value in {
        "jax_compilation_cache_dir": _PROGRAMS.name,
        "jax_persistent_cache_min_compile_time_secs": 0.05,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        jax.config.update(_name, _value)
        os.environ[_name.upper()] = str(_value)

# Most of the test time is compilation, and these flags halve it. The slow tests run without them,
# on the machine code that users have.
FAST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
PARSE = "from jaxlib import _jax; _jax.CompileOptions().executable_build_options.debug_options"


def pytest_configure(config: pytest.Config) -> None:
    """Compile fast in the default run, if this version of XLA knows the flags."""
    if config.option.markexpr == "not slow" and "XLA_FLAGS" not in os.environ:
        fast = os.environ | {"XLA_FLAGS": FAST}
        # XLA ends the process that gives it a flag it does not know
        if not subprocess.run(
            [sys.executable, "-c", PARSE], env=fast, capture_output=True
        ).returncode:
            os.environ["XLA_FLAGS"] = FAST


def pytest_collection_finish() -> None:
    """Let no garbage collection look again at what the imports have made: 3 % of the time."""
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Drop the compiled programs before they take all memory maps that Linux gives a process.

    A program takes some 20 of 65,530 maps, and XLA crashes where it gets none: a slow run did.
    """
    if item.get_closest_marker("slow") and os.path.exists(MAPS):
        with open(MAPS, "rb") as maps:
            if sum(1 for _ in maps) > 25_000:
                jax.clear_caches()


# Generated examples are the same in every run. Some slow tests draw new ones.
_SLOW = [HealthCheck.too_slow]
settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW
)
settings.load_profile("same")


@pytest.fixture
def standard_promotion() -> Iterator[None]:
    """JAX's ordinary promotion rules for one test."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def x64() -> Iterator[None]:
    """float64 for one test, as a context: the global configuration stays what a user has."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def planted() -> Corpus:
    """A prepared corpus with a structure to find."""
    return prepare(planted_text(), min_count=1)


class Completed(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli() -> Callable[..., Completed]:
    """``cli("reproduce", "--json", "-")`` runs a command in this process, so JAX starts once."""
    from w2vjax.cli import main

    def run(*arguments: object) -> Completed:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as stop:
                # how argument parsing ends: 0 after --help, 2 after a bad option
                code = stop.code if isinstance(stop.code, int) else 1
        return Completed(code, out.getvalue(), err.getvalue())

    return run
