"""``w2vjax COMMAND``. The file of a command has its arguments. It calls the library and prints.

A command is imported when it is called, so none waits for what another one imports.
"""

import gc
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any

from w2vjax.errors import FileError, W2VError, did_you_mean, memory_error, variable_error
from w2vjax.processes.streams import hold_streams, named_output

# command: (module, function, one line for ``w2vjax --help``)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "reproduce": ("w2vjax.cli.reproduce", "reproduce", "recompute every figure of the post"),
    "phrases": ("w2vjax.cli.phrases", "phrases", "join words that belong together: new_york"),
    "train": ("w2vjax.cli.train", "train", "train vectors on text files"),
    "plan": ("w2vjax.cli.train", "plan", "say what memory and time training will take"),
    "gradcheck": ("w2vjax.cli.gradcheck", "gradcheck", "prove the handwritten gradients"),
    "nn": ("w2vjax.cli.query", "nn", "show the nearest words"),
    "analogy": ("w2vjax.cli.query", "analogy", "answer: A is to B as C is to what?"),
    "similarity": ("w2vjax.cli.query", "similarity", "show how similar words are"),
    "odd": ("w2vjax.cli.query", "odd", "show which word does not belong"),
    "eval": ("w2vjax.cli.evaluate", "evaluate", "score vectors on word pairs and analogies"),
    "convert": ("w2vjax.cli.files", "convert", "copy vectors from one file format to another"),
    "export": ("w2vjax.cli.files", "export", "write vectors for a program, or as a web page"),
    "plot": ("w2vjax.cli.plot", "plot", "draw losses, a map of words, analogies, a heat map"),
    "info": ("w2vjax.cli.files", "info", "say what a file of vectors holds, if it is sound"),
}


def usage() -> str:
    """The text of ``w2vjax --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, (_, _, line) in COMMANDS.items()]
    head = [
        "Train word vectors, ask them, prove their gradients.\n",
        "Examples:\n  w2vjax train text.txt --out run\n  w2vjax nn run/vectors.bin king\n",
        "Usage: w2vjax COMMAND [OPTIONS]\n\nCommands:",
    ]
    return "\n".join([*head, *lines, "\nw2vjax COMMAND --help shows the options of a command."])


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. An error is one line on standard error.

    Without ``argv`` the command is that of the process, and a signal ends the process at once:
    jaxlib may crash when Python shuts down after an interrupted compilation.
    """
    if argv is not None:
        return run_command(argv)
    hold_streams()
    gc.set_threshold(500_000)  # by default a short command spends a tenth on the search for garbage
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        again(number, frame)

    def again(number: int, frame: FrameType | None) -> None:
        # a callback of a library can lose an interruption, so it comes again until the end
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 2)
        raise KeyboardInterrupt(signal.Signals(received[-1]).name)

    tell_unraisable = sys.unraisablehook

    def unraisable(lost: Any) -> None:
        # what interrupts a callback of the garbage collector is lost, and comes again
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            tell_unraisable(lost)

    sys.unraisablehook = unraisable
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, again)
    try:
        code = run_command(sys.argv[1:])
    except Exception:  # a library may turn the interruption into an error of its own
        if not received:
            raise
        code = 128 + received[-1]
        print(f"w2vjax: Stopped by {signal.Signals(received[-1]).name}.", file=sys.stderr)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    if signal.SIGTERM in received:  # a prompt takes it for the end of the conversation
        code = 128 + signal.SIGTERM
    if received and code > 128:
        os._exit(code)
    gc.freeze()  # nothing has to be freed at the end
    return code


def run_command(arguments: Sequence[str]) -> int:
    """:func:`main` for a caller that handles signals itself."""
    name = " ".join(["w2vjax", *arguments[:1]])

    def tell(message: object, *_: object, **__: object) -> None:
        print(f"{name}: {message}", file=sys.stderr)

    try:
        with warnings.catch_warnings(), named_output():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = tell
            code = _dispatch(arguments)
            sys.stdout.flush()  # a full disk behind ">" is found while the exit code can say so
        return code
    except W2VError as error:
        tell(error)
        return error.exit_code
    except KeyboardInterrupt as interruption:
        number = signal.Signals.__members__.get(str(interruption), signal.SIGINT)
        tell(f"Stopped by {number.name}.")
        return 128 + number
    except (RuntimeError, AssertionError, ValueError, MemoryError) as error:
        refused = memory_error(error) or variable_error(error)
        if refused is None and "jax" in sys.modules and not isinstance(error, ValueError):
            from w2vjax.devices.mesh import backend_error

            refused = backend_error(error)  # any command may be the first to ask for a device
        if refused is None:
            raise
        tell(refused)
        return refused.exit_code
    except BrokenPipeError:
        return 141
    except OSError as error:
        tell(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}. Check it.")
        return FileError.exit_code


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"w2vjax {version('w2vjax')}")
        return 0
    name, *rest = arguments
    from w2vjax.cli.help import run

    if name not in COMMANDS:
        meant = did_you_mean(name, {command: command for command in COMMANDS})
        said = " ".join(filter(None, [f"There is no command {name!r}.", meant]))
        print(f"w2vjax: {said} w2vjax --help lists the commands.", file=sys.stderr)
        return 2
    module, function, _ = COMMANDS[name]
    return run(getattr(importlib.import_module(module), function), rest, f"w2vjax {name}")
