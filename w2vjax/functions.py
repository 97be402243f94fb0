"""What a function refers to.

A program is compiled for a function as it is. It must not be used for what the function becomes,
as when a cell of a notebook is run again.
"""

import hashlib
import sysconfig
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

# Functions in these folders are taken not to change, but those that they hold on to may.
_LIBRARIES = (
    str(Path(__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), CodeType)
# Beyond so many objects, or bytes of an array, only the identity of an object counts.
_MOST, _BYTES = 10_000, 1 << 20


class Same:
    """Equal to another if both hold one and the same object, which stays alive as long."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value


def state_of(value: object) -> Hashable:
    """A key that changes if what a function refers to has changed since.

    These are its code, defaults and closure, the globals that it names, the attributes of the
    objects among them, and so on. What happens inside objects of other languages is not seen.

    >>> times = 2
    >>> double = FunctionType((lambda x: x * times).__code__, {"times": times})
    >>> before = state_of(double)
    >>> double.__globals__["times"] = 3
    >>> state_of(double) == before
    False
    """
    seen: dict[int, int] = {}
    kept = []  # an id holds only as long as its object lives
    left = _MOST

    def key(value: Any) -> Hashable:
        nonlocal left
        left -= 1
        if isinstance(value, _PLAIN):
            return type(value), repr(value) if isinstance(value, float | complex) else value
        if id(value) in seen:
            return seen[id(value)]
        seen[id(value)] = len(seen)
        kept.append(value)
        if isinstance(value, np.ndarray) and value.nbytes <= _BYTES and value.dtype != object:
            return value.shape, value.dtype, hashlib.sha256(value.tobytes()).digest()
        held = list(islice(parts(value), max(left, 0) + 1))
        if len(held) > left:
            return Same(value)
        return itself(value), *map(key, held)

    return key(value)


def itself(value: Any) -> Hashable:
    """What tells an object from others beside its parts."""
    if isinstance(value, tuple | list | Mapping | FunctionType | MethodType | partial):
        kind: type = type(value)
        return kind
    try:
        hash(value)
    except TypeError:
        return Same(value)
    return type(value), value


def parts(value: Any) -> Iterator[Any]:
    """What an object holds on to, as far as a function may use it."""
    if isinstance(value, tuple | list):
        yield from value
    elif isinstance(value, Mapping):
        for name in value:
            yield from (name, value[name])
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        for cell in value.__closure__ or ():
            yield cell.cell_contents if _is_filled(cell) else None
        if not value.__code__.co_filename.startswith(_LIBRARIES):
            yield from _globals(value)
    elif isinstance(value, type):
        if not _is_library(value):
            yield from (each for each in vars(value).values() if isinstance(each, FunctionType))
    elif not isinstance(value, ModuleType) and hasattr(value, "__dict__"):
        yield from (getattr(value, "__wrapped__", None), vars(value), type(value))


def _is_filled(cell: Any) -> bool:
    try:
        return cell is not None and cell.cell_contents is not cell
    except ValueError:  # of a function that is not made yet
        return False


def _is_library(kind: type) -> bool:
    methods = [each for each in vars(kind).values() if isinstance(each, FunctionType)]
    return all(each.__code__.co_filename.startswith(_LIBRARIES) for each in methods)


def _globals(function: FunctionType) -> Iterator[Any]:
    """The globals that a function names, and the attributes of modules that it may name."""
    names = dict.fromkeys(_names(function.__code__))
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        yield from (name, value)
        file = getattr(value, "__file__", None) if isinstance(value, ModuleType) else None
        if isinstance(file, str) and not file.startswith(_LIBRARIES):
            yield from (vars(value)[each] for each in names if each in vars(value))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
