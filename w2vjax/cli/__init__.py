"""``w2vjax COMMAND``: thin. Each command's file parses its arguments, calls the library and prints.

The table names where a command lives, so that ``w2vjax reproduce`` does not pay for what
``w2vjax train`` imports.
"""

import contextlib
import importlib
import importlib.metadata
import os
import sys

from w2vjax.errors import FileError, W2VError

# command: (module, function, one line for ``w2vjax --help``)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "reproduce": (
        "w2vjax.cli.reproduce",
        "reproduce",
        "recompute every figure of the post, beside the published ones",
    ),
    "phrases": (
        "w2vjax.cli.phrases",
        "phrases",
        "join words that belong together, as in new_york, before training",
    ),
    "train": ("w2vjax.cli.train", "train", "train vectors on text files"),
    "plan": ("w2vjax.cli.train", "plan", "say what training will take, in memory and time"),
    "gradcheck": (
        "w2vjax.cli.gradcheck",
        "gradcheck",
        "prove the handwritten gradients on this machine",
    ),
    "nn": ("w2vjax.cli.query", "nn", "show the nearest words"),
    "analogy": ("w2vjax.cli.query", "analogy", "answer: A is to B as C is to what?"),
    "similarity": ("w2vjax.cli.query", "similarity", "show how similar words are"),
    "odd": ("w2vjax.cli.query", "odd", "show which word does not belong"),
    "eval": ("w2vjax.cli.evaluate", "evaluate", "score vectors on word pairs and analogies"),
    "convert": ("w2vjax.cli.files", "convert", "copy vectors from one file format to another"),
    "export": ("w2vjax.cli.files", "export", "write vectors for another program, or as a web page"),
    "plot": (
        "w2vjax.cli.plot",
        "plot",
        "draw a loss curve, a map of words, analogies or a heat map",
    ),
    "info": (
        "w2vjax.cli.files",
        "info",
        "say what a file of vectors holds, and whether it is sound",
    ),
}


def usage() -> str:
    width = max(map(len, COMMANDS), default=0)
    lines = [f"  {name:<{width}}  {line}" for name, (_, _, line) in COMMANDS.items()]
    return "\n".join(
        [
            "Train word vectors, ask them, prove their gradients.",
            "",
            "Examples:",
            "  w2vjax train text.txt --out run",
            "  w2vjax nn run/vectors.bin king",
            "",
            "Usage: w2vjax COMMAND [OPTIONS]",
            "",
            "Commands:",
            *lines,
            "",
            "w2vjax COMMAND --help shows the options of a command.",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors raised on purpose come out as one line on
    standard error.
    """
    arguments = sys.argv[1:] if argv is None else argv
    name = " ".join(["w2vjax", *arguments[:1]])
    try:
        code = _run(arguments)
        sys.stdout.flush()  # a full disk behind ">" shows here, or after the exit code was decided
        return code
    except W2VError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except MemoryError as error:
        print(
            f"{name}: There is not enough memory: {error}. Choose smaller sizes.", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()
        return 141
    except OSError as error:
        _drop_output()
        file = (
            f"{error.filename} cannot be used"
            if error.filename
            else "standard output cannot be written"
        )
        print(
            f"{name}: {file}: {error.strerror or error}. Check the file and the disk.",
            file=sys.stderr,
        )
        return FileError.exit_code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"w2vjax {importlib.metadata.version('w2vjax')}")
        return 0
    name, *rest = arguments
    from w2vjax.cli.help import closest, run

    if name not in COMMANDS:
        print(
            f"w2vjax: There is no command {name!r}. {closest(name, list(COMMANDS))}w2vjax --help "
            "lists the commands.",
            file=sys.stderr,
        )
        return 2
    module, function, _ = COMMANDS[name]
    return run(getattr(importlib.import_module(module), function), rest, f"w2vjax {name}")


def _drop_output() -> None:
    """Send what is still buffered nowhere: Python would tell of the same failure once more on its
    way out.
    """
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
