"""Every example in a docstring, in the README and in docs/ prints what it says it prints."""

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import w2vjax
import w2vjax as w2v

ROOT = Path(__file__).resolve().parent.parent
MODULES = ["w2vjax", *(module.name for module in pkgutil.walk_packages(w2vjax.__path__, "w2vjax."))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
WRAPPED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# The set-up commands build an environment and run this very test: .ci/run runs the second one as it
# stands.
SETUP = "python3 -m venv"
# This command takes as long as all other blocks of its page together. A slow test runs it.
LONG = "w2vjax gradcheck "


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        failures, _ = doctest.testmod(module, optionflags=FLAGS)
    assert failures == 0, output.getvalue()


def test_there_are_docstring_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples
    ]
    assert len(examples) >= 100


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, content) of each fenced block, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def console_commands(block: str) -> list[tuple[str, str]]:
    """(command, expected output) for each line that starts with '$ '."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def assert_output(found: str, expected: str, what: str) -> None:
    example = doctest.Example(what, expected)
    if expected and not doctest.OutputChecker().check_output(expected, found, FLAGS):
        pytest.fail(f"{what}\n" + doctest.OutputChecker().output_difference(example, found, FLAGS))


def run_command(command: str, expected: str, cli: Callable[..., Any]) -> None:
    program, *arguments = shlex.split(command, comments=True)
    assert program == "w2vjax", f"{command}: only w2vjax commands are run here"
    done = cli(*arguments)
    assert done.code == 0, f"{command}: {done.err}"
    assert_output(done.out, expected, command)


def run_blocks(page: Path, cli: Callable[..., Any]) -> dict[str, Any]:
    """Run the Python and console blocks of a page in order, and hold their output against the page.

    A ``text`` block holds what the Python block above it prints. Returns the names that Python has
    left.
    """
    names: dict[str, Any] = {"__name__": "__page__"}
    printed = ""
    for language, content in blocks(page):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(content, page.name, "exec"), names)
            printed = stream.getvalue()
        elif language == "text":
            assert_output(printed, content, "the Python block above")
        elif language == "console":
            for command, expected in console_commands(content):
                if not command.startswith(LONG):
                    run_command(command, expected, cli)
        else:
            assert language == "sh", f"a block is python, text, console or sh, not {language!r}"
    return names


def public_functions() -> dict[str, Any]:
    """Module and name of every function of the package that users are told about."""
    rooms = [name for name in w2v.__all__ if inspect.ismodule(getattr(w2v, name))]
    modules = [w2v, *(getattr(w2v, room) for room in rooms)]
    found = [getattr(module, name) for module in modules for name in getattr(module, "__all__", ())]
    functions = [each for each in found if inspect.isfunction(inspect.unwrap(each))]
    return {f"{each.__module__}.{each.__name__}": each for each in functions}


SECTIONS = ("Args:", "Returns:", "Raises:", ">>> ")


@pytest.mark.parametrize("name", public_functions())
def test_a_public_docstring_has_arguments_results_and_an_example_in_this_order(name: str) -> None:
    function = public_functions()[name]
    doc, signature = str(function.__doc__), inspect.signature(inspect.unwrap(function))
    assert not signature.parameters or "Args:" in doc
    assert signature.return_annotation is None or "Returns:" in doc
    assert ">>> " in doc
    places = [doc.index(section) for section in SECTIONS if section in doc]
    assert places == sorted(places)


def test_every_name_that_a_sentence_or_a_page_tells_is_there() -> None:
    """``w2vjax.NAME`` in error sentences, docstrings and pages."""
    root = Path(w2v.__file__).parent
    told = {page: page.read_text() for page in PAGES}
    for path in root.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
        told[path] = "\n".join(text for text in texts if isinstance(text, str))
    names = {
        (path.name, name)
        for path, text in told.items()
        for name in re.findall(r"(?<![\w/.-])w2v(?:jax)?((?:\.[A-Za-z_]\w*)+)", text)
    }
    assert len(names) > 200
    endings = (".json", ".py", ".toml", ".jsonl")  # files
    missing = [
        (place, name)
        for place, name in sorted(names)
        if not name.endswith(endings) and not is_there(name[1:].split("."))
    ]
    assert missing == []


def is_there(names: Sequence[str]) -> bool:
    """Whether a name of the package is there: a module, or what one holds."""
    found: Any = w2v
    for place, name in enumerate(names):
        module = ".".join(["w2vjax", *names[: place + 1]])
        if not hasattr(found, name):
            try:
                found = importlib.import_module(module)
            except ImportError:
                fields = getattr(found, "__annotations__", {})
                return name in fields and place == len(names) - 1
        else:
            found = getattr(found, name)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(
    page: Path,
    cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    standard_promotion: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    if page.name == "README.md":
        # it trains long enough to gain by the level that training has for users
        monkeypatch.delenv("XLA_FLAGS", raising=False)
    names = run_blocks(page, cli)
    # its wrong gradient is found because no entry of the right one is zero
    if page.name == "README.md":
        loss = partial(w2v.cross_entropy, names["objective"])
        gradient = jax.grad(loss)(names["params"], names["batch"], names["targets"])
        assert all((np.asarray(table) != 0).all() for table in gradient)


@pytest.mark.slow
def test_the_long_command_prints_what_its_page_says(
    cli: Callable[..., Any], standard_promotion: None
) -> None:
    commands = [
        command
        for page in PAGES
        for language, content in blocks(page)
        if language == "console"
        for command in console_commands(content)
    ]
    ((command, expected),) = (each for each in commands if each[0].startswith(LONG))
    run_command(command, expected, cli)


def test_wrong_output_on_a_page_is_found(cli: Callable[..., Any], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n")
    run_blocks(page, cli)
    page.write_text(page.read_text().replace("\n2\n", "\n3\n"))
    with pytest.raises(pytest.fail.Exception, match="Expected"):
        run_blocks(page, cli)


def test_the_readme_is_short_and_has_the_two_setup_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 900
    setup = [
        line
        for language, block in blocks(ROOT / "README.md")
        if language == "sh"
        for line in block.splitlines()
    ]
    setup = [line for line in setup if line.startswith(SETUP)]
    assert len(setup) == 2
    assert setup[0].endswith("w2vjax reproduce")
    assert setup[1].endswith("pytest")


@pytest.mark.parametrize("page", WRAPPED, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped_at_100_columns(page: Path) -> None:
    """Tables and code may be wider."""
    text = re.sub(r"^```.*?^```$|^<!-- table.*?^<!-- end", "", page.read_text(), flags=re.M | re.S)
    assert [line for line in text.splitlines() if len(line) > 100 and line[0] != "|"] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page: Path) -> None:
    """Files, and headings of pages: an anchor is the heading in small letters, with hyphens."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
            anchors = [
                re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
            ]
            assert anchor in anchors, target


def test_every_page_is_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in text
    ] == []


@pytest.mark.parametrize(("page", "named"), [("design.md", "`{}`"), ("loop.md", "`w2vjax/{}/`")])
def test_a_page_names_every_room(page: str, named: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    rooms = [folder.name for folder in Path(w2vjax.__path__[0]).iterdir() if folder.is_dir()]
    assert [room for room in rooms if room[0] != "_" and named.format(room) not in text] == []


def test_the_automatic_checks_are_those_of_the_whole_check() -> None:
    """The hooks run the tools of .ci/run, and CI tests the oldest JAX that is allowed."""
    check = (ROOT / ".ci" / "run").read_text()
    tools = set(re.findall(r"^check \.venv/bin/(\S+)", check, flags=re.MULTILINE))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert tools == set(re.findall(r"entry: \.venv/bin/(\S+)", hooks)) >= {"ruff", "mypy"}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    oldest = re.findall(r'"(jaxlib|jax)>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert len(oldest) == 2
    assert all(f"{name}=={version}" in workflow for name, version in oldest)
    variable = re.findall(r"^ +(\w+): \$\{\{ matrix.jax \}\}", workflow, flags=re.MULTILINE)
    assert f"${{{variable[0]}:-}}" in check
