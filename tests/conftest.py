"""What every test shares: strict JAX promotion, a float64 context, and the command line run
in-process.

Strict dtype and rank promotion turn a silent widening or an accidental broadcast, the two commonest
ways for array code to be wrong and look right, into an error. They are set here and nowhere in the
package. A test that needs a library which relies on promotion (optax.adam does) asks for the
``standard_promotion`` fixture.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import pytest
from hypothesis import HealthCheck, settings
from planted import planted_text

from w2vjax.corpus.encode import Corpus, prepare

os.environ.setdefault("MPLBACKEND", "Agg")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile the same programs again and again, each behind functions of its own: within one
# session, compile once.
_PROGRAMS = tempfile.TemporaryDirectory(prefix="w2vjax-programs-")
jax.config.update("jax_compilation_cache_dir", _PROGRAMS.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Generated examples are the same in every run, however slow the machine; some slow tests draw new
# ones.
settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
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
    """``cli("reproduce", "--json", "-")`` runs a command in this process: no second start-up of JAX
    per test.
    """
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
