"""The rules for the help of every command, and the sentence for a mistake in its arguments."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields

import pytest

from w2vjax.cli import COMMANDS, usage
from w2vjax.cli.help import unknown_option
from w2vjax.formats.formats import FORMATS
from w2vjax.training.settings import Settings

# What tyro writes and people should not have to read.
TYPES = (
    r"\bINT\b",
    r"\bFLOAT\b",
    r"\bSTR\b",
    r"\{None",
    r"\(default",
    r"\(required",
    "[╭│]",
    ", --no-",
)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_follows_the_rules(cli, command):
    done = cli(command, "--help")
    assert (done.code, done.err) == (0, "")
    first, examples, *rest = done.out.split("\n\n")
    assert first.endswith(".")
    assert not first.startswith("Usage")
    assert examples.startswith("Examples:\n")
    assert len(examples.splitlines()) >= 3, "two examples"
    assert re.search(rf"^Usage: w2vjax {command} ", "\n".join(rest), re.MULTILINE)
    too_long = [line for line in done.out.splitlines() if len(line) > 80]
    assert not too_long
    assert not re.findall("|".join(TYPES), done.out)
    for default in re.findall(r"Default:\s(.*?)\.(?:\s|$)", done.out):
        assert default
        assert default not in {"None", "False"}
        assert not re.fullmatch(r"\d+\.0", default), "60, not 60.0"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_sentence(cli, command):
    listed = cli(command, "--help").out.partition("\nOptions:\n")[2]
    listed = re.sub(r"\n\n\w.*:$", "", listed, flags=re.MULTILINE)  # the title of the next group
    options = re.split(r"\n  (?=-)", "\n" + listed)[1:]
    assert len(options) >= 2
    for option in options:
        text = re.sub(r"^\S.*?(  +|\n)", "", " " + option, count=1).strip()
        assert re.search(r"[a-z].*\.$", text, re.DOTALL), option


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_name_options_that_the_command_has(cli, command):
    text = cli(command, "--help").out
    for line in re.findall(rf"^ +(?:\S.* \| )?w2vjax {command} (.*)$", text, re.MULTILINE):
        words = shlex.split(re.split(r"   +| \| | && | < ", line)[0])
        options = {word for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[\w-]+", text.partition("\nOptions:\n")[2])), line


def test_help_fits_a_wide_and_a_narrow_terminal(cli, monkeypatch):
    widths = {}
    for columns in ("40", "80", "400"):
        monkeypatch.setenv("COLUMNS", columns)
        text = cli("nn", "--help").out
        widths[columns] = max(map(len, text.partition("\nUsage")[2].splitlines()))
        assert text.split() == cli("nn", "--help").out.split()
    assert widths["40"] <= 40 < widths["80"] <= 80 < widths["400"] <= 100


def test_the_help_of_convert_names_every_format(cli):
    told = " ".join(cli("convert", "--help").out.split())
    for form in FORMATS.values():
        assert form.about in told
        assert all(suffix in told for suffix in form.suffixes)


def test_the_overview_lists_every_command(cli):
    done = cli("--help")
    assert done.code == 0
    assert [command for command in COMMANDS if f"\n  {command} " not in done.out] == []
    assert done.out.index("Examples:") < done.out.index("Usage:")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trian text.txt", "There is no command 'trian'. Did you mean train"),
        *(
            (wrong, f"There is no command '{wrong}'. Did you mean {right}")
            for wrong, right in (("analgy", "analogy"), ("conver", "convert"), ("Plott", "plot"))
        ),
        ("frobnicate", "There is no command 'frobnicate'. w2vjax --help lists"),
        ("train --size 3", "There is no option --size.*--dim"),
        ("train --vector-size=3", "There is no option --vector-size.*--dim"),
        ("train --vector_size 3", "There is no option --vector_size.*--dim"),
        ("train --widnow 3", "There is no option --widnow. Did you mean --window"),
        ("train --alpha 3", "There is no option --alpha.*--learning-rate"),
        ("train --vectr-size 3", "There is no option --vectr-size. Did you mean --dim"),
        ("train --Sizee=3", "There is no option --Sizee. Did you mean --dim"),
        ("plan --alhpa 3", "There is no option --alhpa. Did you mean --learning-rate"),
        ("train --colour red", "There is no option --colour. w2vjax train --help lists"),
        ("plot map a b --methd pca", "There is no option --methd. Did you mean --method"),
        ("nn vectors.bin tea --top 3", "There is no option --top. Did you mean --topn"),
        ("nn vectors.bin tea --size 3", "There is no option --size. w2vjax nn --help lists"),
        ("nn vectors.bin --topn", "--topn has no value. Give one after it."),
        ("nn vectors.bin --topn ten", "--topn takes a whole number, not 'ten'."),
        ("nn vectors.bin --restrict-vocab ten", "--restrict-vocab takes a whole number, not 'ten'"),
        ("eval vectors.bin --restrict-vocab none", "takes a whole number, not 'none'."),
        ("train --dim 1.5", "--dim takes a whole number, not '1.5'."),
        ("plan --sample few", "--sample takes a number, not 'few'."),
        ("convert a b --limit x", "--limit takes a whole number, not 'x'."),
        ("phrases --threshold 1 y", "--threshold takes numbers, not '1', 'y'."),
        ("nn vectors.bin -lrb-", "no option -lrb-. A word that begins with - comes last, after --"),
        ("convert -a b", "There is no option -a."),
        ("nn vectors.bin --topn x -- -lrb- --", "--topn takes a whole number, not 'x'."),
        ("reproduce --learning-rate fast", "--learning-rate takes a number, not 'fast'."),
        ("train --model cbwo", "--model cannot be 'cbwo'. Did you mean cbow"),
        ("plot tree a b", "kind cannot be 'tree'. It is one of: analogy, heatmap, loss, map."),
        ("nn", "VECTORS is missing."),
        ("convert", "IN and OUT are missing."),
        ("convert a b c", "'c' is left over."),
        ("train a.txt --out ''", "The argument '' is empty. Give a value, or leave it out."),
        ("train a.txt --cache= --dim 3", "The argument '--cache=' is empty."),
        ("nn '' tea", "The argument '' is empty."),
    ],
)
def test_a_mistake_is_one_sentence_with_its_remedy(cli, line, said):
    done = cli(*shlex.split(line))
    assert (done.code, done.out) == (2, "")
    assert re.search(said, done.err)
    assert done.err.count("\n") == 1
    assert re.match(r"w2vjax( \w+)?: ", done.err)


def test_a_letter_that_is_missing_or_swapped_leads_to_the_option():
    known = {f"--{each.name.replace('_', '-')}" for each in fields(Settings)}
    for option in known:
        for at in range(2, len(option) - 1):
            swapped = option[:at] + option[at + 1] + option[at] + option[at + 2 :]
            for typo in {option[:at] + option[at + 1 :], swapped} - known:
                assert f"Did you mean {option}?" in unknown_option(typo, known)


def test_names_with_underscores_and_negated_flags_are_accepted(cli, tmp_path):
    done = cli(
        "reproduce", "--learning_rate", "0.05", "--steps=1", "--out", tmp_path, "--json", "-"
    )
    assert done.code == 1, "one step is not the 50 of the post"
    assert '"steps": 1' in done.out
    assert cli("train", "--no-quiet", "--dim", "0").err.startswith("w2vjax train: dim=0")


@pytest.mark.parametrize(
    ("word", "code", "said"), [("--help", 0, usage()), ("trian", 2, "Did you mean train")]
)
def test_python_runs_the_package_as_the_command(word, code, said):
    done = subprocess.run(
        [sys.executable, "-m", "w2vjax", word], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert said in done.stdout + done.stderr
