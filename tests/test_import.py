"""What ``import w2vjax`` loads and costs. Every public name and command exists."""

import importlib
import importlib.resources
import inspect
import json
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from mypy import api

import w2vjax
from w2vjax.cli import COMMANDS
from w2vjax.lazy import homes

FORBIDDEN = {"tyro", "tqdm", "matplotlib", "pyarrow", "optax"}


def run(program: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_import_brings_in_no_command_line_plot_or_progress_library() -> None:
    loaded = run(
        "import json, sys, w2vjax; w2vjax.reference.tokenize; "
        "print(json.dumps(dict.fromkeys(sys.modules)))"
    )
    assert not FORBIDDEN & set(loaded)


def test_import_costs_at_most_three_tenths_of_a_second_over_jax() -> None:
    program = (
        "import json, time, jax, jax.numpy\n"
        "start = time.process_time()\nimport w2vjax\n"
        "print(json.dumps({'seconds': time.process_time() - start}))"
    )
    seconds = min(float(str(run(program)["seconds"])) for _ in range(2))
    assert seconds <= 0.3  # measured: 0.003 s


ROOMS = ("corpus", "evaluation", "formats", "objectives", "pictures", "windows")


@pytest.mark.parametrize("package", ["w2vjax", *(f"w2vjax.{room}" for room in ROOMS)])
def test_every_public_name_is_what_its_stub_says(package: str) -> None:
    module = importlib.import_module(package)
    for name, (home, there) in homes(str(module.__file__)).items():
        assert name in module.__all__
        found = getattr(module, name)
        # the very object, and not a module of the same name that hides it
        if not inspect.ismodule(found):
            assert found is getattr(importlib.import_module(home), there)


def test_about_fifty_names_stand_at_the_top() -> None:
    assert (
        len([name for name in w2vjax.__all__ if not inspect.ismodule(getattr(w2vjax, name))]) <= 56
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SettingError", "It is w2vjax.errors.SettingError."),
        ("tokenize", "It is w2vjax.reference.tokenize."),
        ("block_batch", "It is w2vjax.windows.block_batch."),
        ("apply_gradients", "It is w2vjax.updates.apply_gradients."),
        ("tsne", "It is w2vjax.pictures.tsne."),
        ("encode", "from w2vjax.corpus.encode import encode."),
    ],
)
def test_a_name_that_is_not_at_the_top_says_where_it_is(name: str, says: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'.*{re.escape(says)}$"):
        getattr(w2vjax, name)


@pytest.mark.parametrize("name", ["", ".", "a.b", "errors.Setting", "a b", "a/b", "a\0b"])
def test_what_is_no_name_is_not_there(name: str) -> None:
    assert not hasattr(w2vjax, name)


USER = """
import w2vjax as w2v

trained = w2v.train("wiki.txt", dim=300, epochs=3, method=w2v.method("cbow"), callback=print)
kept = w2v.Checkpoints("kept", resume=True)
plan: w2v.Plan = w2v.plan(["wiki.txt"], objective=w2v.softmax(), checkpoint=kept)
vectors: w2v.Vectors = trained.vectors
many: w2v.Params = w2v.train_many("wiki.txt", seeds=[1, 2], learning_rates=[0.1, 0.2], dim=20)
run = w2v.set_up(w2v.prepare("wiki.txt"), w2v.Settings(dim=20))
"""


MISTAKES = {
    "w2v.train('x', dmi=3)": 'Unexpected keyword argument "dmi"',
    "w2v.train_many('x', [1], dmi=3)": 'Unexpected keyword argument "dmi"',
    "w2v.plan('x', dmi=3)": 'Unexpected keyword argument "dmi"',
    "w2v.Settings(dmi=3)": 'Unexpected keyword argument "dmi"',
    "w2v.train('x', dim='3')": "incompatible type",
    "w2v.train('x', model='glove')": "incompatible type",
    "w2v.trian('x')": 'has no attribute "trian"',
    "trained.vectors.most_simlar('x')": 'has no attribute "most_simlar"',
    "w2v.windows.blok_batch": 'has no attribute "blok_batch"',
}


def test_a_type_checker_sees_the_front_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds each mistake, at its line, and nothing in the correct lines above."""
    (tmp_path / "user.py").write_text(USER + "\n".join(MISTAKES) + "\n")
    monkeypatch.setenv("MYPYPATH", str(Path(w2vjax.__file__).parents[1]))
    # without JAX and NumPy, whose types are not asked for, it takes 2 s of 22
    alone = "--strict --no-site-packages --ignore-missing-imports --follow-imports=silent".split()
    arguments = [*alone, "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "user.py")]
    out, err, code = api.run(arguments)
    assert (code, err) == (1, ""), out
    found = re.findall(r"user\.py:(\d+): error: (.*)", out)
    first = USER.count("\n") + 1
    assert [int(line) for line, _ in found] == list(range(first, first + len(MISTAKES))), out
    assert all(says in told for says, (_, told) in zip(MISTAKES.values(), found, strict=True)), out


@pytest.mark.slow
def test_a_type_checker_accepts_the_code_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists are arrays where the README passes them. Its functions have no annotations."""
    readme = Path(w2vjax.__file__).parents[1] / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)
    more = "w2v.train_many('x', np.arange(3))\nw2v.cbow([[0, 1]], [1], [[1, 0]])\n"
    (tmp_path / "readme.py").write_text("\n".join([*blocks, "import numpy as np", more]))
    monkeypatch.setenv("MYPYPATH", str(Path(w2vjax.__file__).parents[1]))
    cache = ["--cache-dir", str(tmp_path / "cache")]
    out, err, _ = api.run(["--strict", *cache, str(tmp_path / "readme.py")])
    errors = [line for line in out.splitlines() if ": error: " in line]
    assert not err
    assert [line for line in errors if "[no-untyped-def]" not in line] == []


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


def test_no_two_classes_of_the_package_have_one_name() -> None:
    files = Path(w2vjax.__file__).parent.rglob("*.py")
    names = [
        name
        for file in files
        for name in re.findall(r"^class (\w+)", file.read_text(), re.MULTILINE)
    ]
    assert sorted(names) == sorted(set(names))


def public(module: ModuleType) -> Iterator[Any]:
    """The functions and classes of the package that can be reached from a module by name."""
    for name in getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"]):
        found = getattr(module, name)
        if inspect.ismodule(found):
            yield from public(found) if module is w2vjax else ()
        elif getattr(found, "__module__", "").startswith("w2vjax"):
            yield found


def named_by(hint: Any) -> Iterator[Any]:
    """The classes of the package that a type hint names."""
    if inspect.isclass(hint) and hint.__module__.startswith("w2vjax"):
        yield hint
    for part in get_args(hint):
        yield from named_by(part)


def hints_of(thing: Any) -> dict[str, Any]:
    """The types of the fields of a class, or what a function returns; {} if they load lazily."""
    try:
        hints = get_type_hints(thing)
    except NameError:
        return {}
    return hints if inspect.isclass(thing) else {"return": hints.get("return")}


def public_records() -> list[Any]:
    """Each NamedTuple and dataclass that is public, or that a public one or a result holds."""
    left, seen = list(public(w2vjax)), []
    while left:
        thing = left.pop()
        if thing not in seen and callable(thing):
            seen.append(thing)
            left += [each for hint in hints_of(thing).values() for each in named_by(hint)]
    return [each for each in seen if is_dataclass(each) or hasattr(each, "_fields")]


UNDOCUMENTED = ("Complete",)  # its fields are those of Settings


def test_the_help_of_a_public_record_names_each_of_its_fields() -> None:
    records = public_records()
    assert {"Batch", "Corpus", "Recipe", "State", "Report"} <= {each.__name__ for each in records}
    for record in records:
        held = [each.name for each in fields(record)] if is_dataclass(record) else record._fields
        told = inspect.cleandoc(record.__doc__ or "")
        missing = [name for name in held if not re.search(rf"\b{name}\b", told)]
        assert not missing or record.__name__ in UNDOCUMENTED, (record, missing)


def test_help_shows_the_letters_of_shapes_and_the_shapes() -> None:
    told = pydoc.plain(pydoc.render_doc(w2vjax))
    assert "B  groups in a batch                T  hidden vectors of a group" in told
    assert "words: [B, P] int32, the positive words" in pydoc.plain(pydoc.render_doc(w2vjax.Batch))
    assert "ids: [N] int32" in pydoc.plain(pydoc.render_doc(w2vjax.Corpus))
