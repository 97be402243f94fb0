"""Every example in every docstring and in the README runs, and prints what it is said to print."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import w2vjax

ROOT = Path(__file__).resolve().parent.parent
MODULES = ["w2vjax", *(module.name for module in pkgutil.walk_packages(w2vjax.__path__, "w2vjax."))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# The set-up commands build an environment and run this very test: .ci/run runs the second one as it stands.
SETUP = "python3 -m venv"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        failures, _ = doctest.testmod(module, optionflags=FLAGS)
    assert failures == 0, output.getvalue()


def test_there_are_docstring_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(examples) >= 15


def readme_blocks() -> list[tuple[str, str]]:
    """(language, content) of each fenced block, in order."""
    return re.findall(
        r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )


def console_commands(block: str) -> list[tuple[str, str]]:
    """(command, expected output) for each line that starts with '$ '."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def assert_output(found: str, expected: str, what: str) -> None:
    example = doctest.Example(what, expected)
    if expected and not doctest.OutputChecker().check_output(expected, found, FLAGS):
        pytest.fail(f"{what}\n" + doctest.OutputChecker().output_difference(example, found, FLAGS))


def test_readme_examples(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standard_promotion: None
) -> None:
    """Python and console blocks run in order in one folder; a ``text`` block after Python is what it prints."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__readme__"}
    printed = ""
    for language, content in readme_blocks():
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(content, "README.md", "exec"), names)
            printed = stream.getvalue()
        elif language == "text":
            assert_output(printed, content, "the Python block above")
        elif language == "console":
            for command, expected in console_commands(content):
                program, *arguments = shlex.split(command, comments=True)
                assert program == "w2vjax", f"{command}: only w2vjax commands are run here"
                done = cli(*arguments)
                assert done.code == 0, f"{command}: {done.err}"
                assert_output(done.out, expected, command)
        else:
            assert language == "sh", f"a README block is python, text, console or sh, not {language!r}"


def test_readme_has_the_two_setup_commands() -> None:
    setup = [line for language, block in readme_blocks() if language == "sh" for line in block.splitlines()]
    setup = [line for line in setup if line.startswith(SETUP)]
    assert len(setup) == 2
    assert setup[0].endswith("w2vjax reproduce")
    assert setup[1].endswith("pytest")


def test_readme_links_and_pictures_exist() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / "README.md").read_text())
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert not missing
