"""One style for the help and the mistakes of every command.

tyro reads the options of a command from its signature. It prints help and mistakes in boxes, with
Python's names for types and defaults. This module reads that text and writes it anew: purpose,
examples and options of the command, in the width of the terminal.
"""

import contextlib
import functools
import inspect
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, NamedTuple

from w2vjax.cli.arguments import check_files
from w2vjax.errors import SettingError, did_you_mean
from w2vjax.training.settings import ELSEWHERE, RENAMED

# What other word2vec programs and earlier versions call an option.
_SYNONYMS = {
    **{name.replace("_", "-").lower(): ours for name, ours in (ELSEWHERE | RENAMED).items()},
    **{"output": "out", "read-vocab": "vocab", "k": "topn", "format": "to"},
}
# One column of boxes: tyro starts a second one at 130.
_TYRO_COLUMNS = "120"
_TYPES = {"INT": "N", "FLOAT": "X", "STR": "TEXT"}
_NOTHING = {"", "None", "False", "()"}
_CHOICE = r"[Ii]nvalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)\."
_NUMBER = r"Error parsing (\S+): .*?(?:invalid literal for (int)|could not convert).*: '(.*)'"
_NUMBERS = r"Error parsing (\S+): Could not find valid parse for arguments: \[(.*)\]"
_VALUE = r"Missing value for argument '(.*)'\."


class Group(NamedTuple):
    """The options of one box: its title, and (how it is written, what it does) of each."""

    title: str
    entries: list[tuple[str, str]]


def run(command: Callable[..., int], arguments: Sequence[str], prog: str) -> int:
    """Parse the arguments of a command and run it. Returns its exit code, or 2 for a mistake."""
    # "--out $FOLDER" of an unset variable would name the folder that one is in
    if empty := [word for word in _before_words(arguments) if re.fullmatch("(--[^=]*=)?", word)]:
        raise SettingError(f"The argument {empty[0]!r} is empty. Give a value, or leave it out.")
    call, told = _parse(command, arguments, prog)
    if isinstance(call, functools.partial):
        check_files(call)
        return call() or 0
    if call == 0:
        print(help_of(command, prog, told))
        return 0
    said = mistake(told, arguments, _names(command, prog))
    print(f"{prog}: {said} {prog} --help lists the options.", file=sys.stderr)
    return 2


def _before_words(given: Sequence[str]) -> Sequence[str]:
    """The arguments before --, after which only words come."""
    return given[: given.index("--")] if "--" in given else given


def _parse(command: Callable[..., int], arguments: Sequence[str], prog: str) -> tuple[Any, str]:
    """The command with its arguments bound, or tyro's exit code and what tyro printed."""
    import tyro

    @functools.wraps(command)
    def bind(*positional: Any, **named: Any) -> Callable[[], int]:
        return functools.partial(command, *positional, **named)

    with _captured() as taken:
        try:
            return tyro.cli(bind, args=list(arguments), prog=prog, description=""), ""
        except SystemExit as stop:
            return int(stop.code or 0), taken.getvalue().decode()


@contextlib.contextmanager
def _captured() -> Iterator[io.BytesIO]:
    """Take in what tyro prints, at a fixed width. tyro draws boxes in UTF-8 only."""
    taken, before = io.BytesIO(), os.environ.get("COLUMNS")
    stream = io.TextIOWrapper(taken, encoding="utf-8", write_through=True)
    os.environ["COLUMNS"] = _TYRO_COLUMNS
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield taken
    finally:
        stream.detach()
        os.environ.pop("COLUMNS")
        os.environ |= {} if before is None else {"COLUMNS": before}


def help_of(command: Callable[..., int], prog: str, told: str) -> str:
    """The help of a command: its docstring up to "Args:", the usage, and the options."""
    width = min(max(shutil.get_terminal_size().columns, 40), 100)
    text = (inspect.getdoc(command) or "").partition("\nArgs:\n")[0].strip()
    order = _order(command)
    found = [
        Group(title, sorted(entries, key=lambda entry: order.get(entry[0].partition(" ")[0], -1)))
        for title, entries in groups(told)
    ]
    positional = [name for name, _ in found[0].entries if found[0].title == "Arguments"]
    usage = " ".join(["Usage:", prog, *positional, "[OPTIONS]"])
    names = [name for group in found for name, _ in group.entries]
    column = 4 + max((len(name) for name in names if len(name) <= 24), default=20)
    parts = [_filled(paragraph, width) for paragraph in [*text.split("\n\n"), usage]]
    return "\n\n".join(parts + [_options(group, column, width) for group in found])


def _order(command: Callable[..., int]) -> dict[str, int]:
    """The place of each option in the signature. tyro lists the options of a dataclass last."""
    names: list[str] = []
    for name, parameter in inspect.signature(command).parameters.items():
        names += vars(parameter.default) if is_dataclass(parameter.default) else [name]
    return {f"--{name.strip('_').replace('_', '-')}": place for place, name in enumerate(names)}


def _filled(paragraph: str, width: int) -> str:
    """A paragraph in the width of the terminal. Indented lines, such as examples, stay."""
    text = " ".join(paragraph.split())
    return paragraph if "\n " in paragraph else textwrap.fill(text, width, break_on_hyphens=False)


def _options(group: Group, column: int, width: int) -> str:
    lines = [f"{group.title}:"]
    for name, text in group.entries:
        if len(name) + 4 > column:
            lines.append(f"  {name}")
            name = ""
        first, indent = f"  {name:<{column - 2}}", " " * column
        lines += textwrap.TextWrapper(width, first, indent, break_on_hyphens=False).wrap(text)
    return "\n".join(lines)


def groups(told: str) -> list[Group]:
    """The boxes of tyro's help, with this program's names for types and defaults.

    >>> box = "╭─ options ───╮\\n│ --dim {None}|INT │\\n│     Size. (default: 60.0) │\\n╰───╯"
    >>> groups(box)
    [Group(title='Options', entries=[('--dim N', 'Size. Default: 60.')])]
    """
    found = []
    for title, body in re.findall(r"^╭─ (.*?) ─*╮$(.*?)^╰", told, re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^│ (.*?) *│$", body, re.MULTILINE)
        rows = rows[max((at + 1 for at, row in enumerate(rows) if set(row) == {"─"}), default=0) :]
        entries: list[list[str]] = []
        for row in rows:
            if row.startswith(" "):
                entries[-1][1] += " " + row.strip()
            else:
                entries.append([part.strip() for part in row.partition("  ")[::2]])
        shown = "Arguments" if title.startswith("positional") else title.capitalize()
        found.append(Group(shown, [(_written(name), _said(text)) for name, text in entries]))
    return found


def _written(invocation: str) -> str:
    """How an option is written: one name, and N, X or TEXT for its type."""
    name = re.sub(r", --no-\S+$", "", invocation)
    name = name.replace("{None}|", "").replace("{None,", "{").replace(",None}", "}")
    name = re.sub(r"\[([^\s\[\]]+) \[.*\.\.\.\]\]$", r"\1 ...", name)  # [STR [STR ...]]
    name = re.sub(r"(\S+) \[\1 \.\.\.\]$", r"\1 ...", name)  # FILE [FILE ...]
    return re.sub(r"\b(INT|FLOAT|STR)\b", lambda match: _TYPES[match[1]], name)


def _said(text: str) -> str:
    """What an option does, with its default as a sentence where there is one."""
    text = text.strip().replace("show this help message and exit", "Show this help.")
    text, _, default = text.removesuffix(" (required)").partition(" (default: ")
    default = re.sub(r"(?<=[0-9])[.]0$", "", default.removesuffix(")"))
    return text if default in _NOTHING else f"{text} Default: {default}."


def mistake(told: str, given: Sequence[str], known: Collection[str]) -> str:
    """One sentence for arguments that tyro could not parse, with the name that was meant."""
    before = _before_words(given)
    options = [word.partition("=")[0] for word in before if re.match("--|-[^0-9.]", word)]
    if unknown := [option for option in options if option.replace("_", "-") not in known]:
        return unknown_option(unknown[0], known)
    rows = re.findall(r"^│ (.*?) *│$", told, re.MULTILINE)
    rows = rows[: next((at for at, row in enumerate(rows) if set(row) == {"─"}), len(rows))]
    said = " ".join(row.strip() for row in rows)
    if said.startswith("Missing from"):
        names = [row.strip() for row in rows if re.match(" {4}[^ ]", row)]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing."
    if said.startswith("Unrecognized"):
        left = said.partition(": ")[2]
        return f"{left!r} is left over. Leave it out, or write it before the options."
    if found := re.search(_CHOICE, said):
        choices = sorted(set(re.findall(r"'(.*?)'", found[3])) - {"None"})
        near = did_you_mean(found[1], {choice: choice for choice in choices})
        remedy = near or f"It is one of: {', '.join(choices)}."
        return f"{found[2]} cannot be {found[1]!r}. {remedy}"
    if found := re.search(_NUMBER, said):
        return f"{found[1]} takes a {'whole ' if found[2] else ''}number, not {found[3]!r}."
    if found := re.search(_NUMBERS, said):
        return f"{found[1]} takes numbers, not {found[2]}."
    if found := re.search(_VALUE, said):
        return f"{found[1]} has no value. Give one after it."
    return said


def _names(command: Callable[..., int], prog: str) -> set[str]:
    """Every long name of a command's options. A flag has two: --FLAG and --no-FLAG."""
    _, told = _parse(command, ["--help"], prog)
    written = re.findall(r"^│ (-.*?)(?:  |│$)", told, re.MULTILINE)
    return set(re.findall(r"(?<!\S)--[\w-]+", " ".join(written)))


def unknown_option(option: str, known: Collection[str]) -> str:
    """A sentence for an option that the command does not have, with one that it has.

    >>> unknown_option("--vector-size", ["--dim", "--window"])
    'There is no option --vector-size. Did you mean --dim?'
    """
    ours = {name: "--" + setting.replace("_", "-") for name, setting in _SYNONYMS.items()}
    ours |= {option.removeprefix("--"): option for option in known}
    names = {name: option for name, option in ours.items() if option in known}
    meant = did_you_mean(option.lstrip("-").replace("_", "-").lower(), names)
    no_option = "" if option.startswith("--") else "A word that begins with - comes last, after --."
    return f"There is no option {option}. {meant or no_option}".strip()
