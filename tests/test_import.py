"""What ``import w2vjax`` brings in and costs, and that every public name and command is really there."""

import importlib
import importlib.resources
import json
import subprocess
import sys

import pytest

import w2vjax
from w2vjax.cli import COMMANDS

FORBIDDEN = {"tyro", "tqdm", "matplotlib", "pyarrow", "optax"}


def run(program: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_import_brings_in_no_command_line_plot_or_progress_library() -> None:
    loaded = run("import json, sys, w2vjax; w2vjax.tokenize; print(json.dumps(dict.fromkeys(sys.modules)))")
    assert not FORBIDDEN & set(loaded)


def test_import_costs_at_most_three_tenths_of_a_second_over_jax() -> None:
    program = (
        "import json, time, jax, jax.numpy\n"
        "start = time.process_time()\nimport w2vjax\n"
        "print(json.dumps({'seconds': time.process_time() - start}))"
    )
    seconds = min(float(str(run(program)["seconds"])) for _ in range(2))
    assert seconds <= 0.3  # measured: 0.003 s


@pytest.mark.parametrize("name", w2vjax.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(w2vjax, name) is not None
    assert name in dir(w2vjax)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'word3vec'"):
        w2vjax.word3vec  # noqa: B018


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_has_examples(name: str) -> None:
    module, function, line = COMMANDS[name]
    command = getattr(importlib.import_module(module), function)
    assert f"w2vjax {name}" in (command.__doc__ or ""), "its help shows how to call it"
    assert line


def test_the_package_declares_its_types() -> None:
    assert importlib.resources.files("w2vjax").joinpath("py.typed").is_file()
