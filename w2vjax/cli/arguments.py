"""The types of arguments that several commands share, with their names in the help.

A type also says whether its files are read or written, for :func:`check_files`.
"""

import inspect
import os
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Optional, TypeAlias

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from w2vjax.compressed import refuse_compressed
from w2vjax.corpus.sources import Reading
from w2vjax.errors import SettingError
from w2vjax.files import AnyPath, check_writable, refuse_to_overwrite


class Files(Enum):
    """What a command does with the files that an argument names."""

    READ = "read"
    WRITTEN = "written"
    PRINTED = "written, or printed for -"


class Holds(NamedTuple):
    """An argument names a folder, into which the command writes files of these names."""

    names: tuple[str, ...]


# To see that () is a tuple[str, ...] and that None is an int | None, tyro loads a type checker,
# which takes a tenth of a second. For a plain tuple and for Optional, tyro loads none.
if TYPE_CHECKING:
    Strings: TypeAlias = tuple[str, ...]
else:
    Strings = Annotated[
        tuple,
        PrimitiveConstructorSpec("*", "TEXT", tuple, lambda given: isinstance(given, tuple), list),
    ]


def shown(metavar: str | None = None, about: str | None = None, name: str | None = None) -> object:
    """How the help shows an option. Without a hint tyro appends "(default: None)"."""
    return arg(name=name, help=about, metavar=metavar, help_behavior_hint="")


Flag = FlagCreatePairsOff[Annotated[bool, shown()]]
_VECTORS = "File of vectors, in a format that `w2vjax convert` reads."
_JSON = "Write JSON to this file. With '-', write it to standard output, and nothing else."
VectorsFile = Positional[Annotated[Path, Files.READ, shown("VECTORS", _VECTORS)]]
Source = Positional[Annotated[Path, Files.READ, shown("IN")]]
Target = Positional[Annotated[Path, Files.WRITTEN, shown("OUT")]]
Corpus = Positional[Annotated[Strings, Files.READ, shown("[CORPUS ...]")]]
Words = Positional[Annotated[Strings, shown("[WORD ...]")]]
SomeWords = Positional[Annotated[Strings, shown("WORD ...")]]
Paths = Annotated[tuple[Path, ...], Files.READ, shown("FILE [FILE ...]")]
PathOrNone = Annotated[Optional[Path], Files.READ, shown("FILE")]
NewFileOrOutput = Annotated[Optional[str], Files.PRINTED, shown("FILE|-")]
Json = Annotated[Optional[str], Files.PRINTED, shown("FILE|-", _JSON)]
Number = Annotated[Optional[int], shown("N")]
Count = Annotated[int, arg(metavar="N")]


@dataclass(frozen=True)
class TextOptions:
    """How the bytes of a text are read.

    Args:
        encoding: Encoding of the text, such as latin-1, cp1252 or utf-16.
        invalid: strict: invalid bytes are an error. replace: U+FFFD takes their place.
    """

    encoding: str = "utf-8"
    invalid: Literal["strict", "replace"] = "strict"

    def reading(self, *results: AnyPath | None) -> Reading:
        """These options for the library. A walk through a folder leaves out the ``results``."""
        return Reading(self.invalid, encoding=self.encoding).without(*results)


# The options of a group stand among the others in the help, and have no prefix.
together = arg(name="")
Text = Annotated[TextOptions, together]


def refuse_stream(folder: AnyPath | None) -> None:
    """Refuse '-' for a folder. Elsewhere it is a standard stream, and here it would be made."""
    if folder is not None and os.fspath(folder) == "-":
        raise SettingError("'-' is standard output, and a folder is needed here. Name a folder.")


def check_files(call: partial[Any]) -> None:
    """Refuse files that cannot be written, or that are read too, before the command begins."""
    bound = inspect.signature(call.func).bind(*call.args, **call.keywords)
    bound.apply_defaults()
    named: dict[Files, list[str]] = {use: [] for use in Files}
    held = []
    for name, hint in inspect.get_annotations(call.func).items():
        value = bound.arguments.get(name)
        values = value if isinstance(value, tuple) else [] if value is None else [value]
        for use in getattr(hint, "__metadata__", ()):
            if isinstance(use, Files):
                named[use] += map(os.fspath, values)
            if isinstance(use, Holds) and value is not None:
                refuse_stream(value)
                check_writable(value, folder=True)
                held += [os.path.join(value, inside) for inside in use.names]
    if "-" in named[Files.WRITTEN]:
        raise SettingError("'-' is standard output, and a file is written here. Name a file.")
    written = [file for file in named[Files.WRITTEN] + named[Files.PRINTED] if file != "-"]
    if named[Files.PRINTED].count("-") > 1:
        raise SettingError("Standard output is named for two results. Name a file for one of them.")
    for place, times in Counter(map(os.path.realpath, written + held)).items():
        if times > 1:
            raise SettingError(f"{place} is named for two results. Name another file for one.")
    for file in written:
        refuse_compressed(Path(file))
    for file in written + [file for file in held if os.path.lexists(file)]:
        check_writable(file)
        refuse_to_overwrite(file, named[Files.READ])
