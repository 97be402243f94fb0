"""What a function refers to.

A program is compiled for a function as it is. It must not be used for what the function becomes,
as when a cell of a notebook is run again.
"""

import dis
import hashlib
import os
import sys
import sysconfig
import weakref
from collections import deque
from collections.abc import Hashable, Iterator
from functools import lru_cache, partial
from itertools import islice
from types import (
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np

# Functions in these folders are taken not to change, but those that they hold on to may.
_FOLDERS = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_LIBRARIES = tuple(os.path.join(folder, "") for folder in (os.path.dirname(__file__), *_FOLDERS))
_PLAIN = (bool, int, float, complex, str, bytes, type(None), CodeType, np.generic)
_SEQUENCES = (tuple, list, set, frozenset, deque, bytearray)
_MAPPINGS = (dict, MappingProxyType)
_PARTS_ALONE = (*_SEQUENCES, *_MAPPINGS, FunctionType, MethodType, partial, SimpleNamespace)
# Beyond so many parts, so many bytes of arrays, and so deep, only the identity of an object counts.
_MOST, _BYTES, _DEEP = 10_000, 1 << 22, 100


class Same:
    """Equal to another while both hold one and the same object, which may end meanwhile."""

    def __init__(self, value: object) -> None:
        self._hash = id(value)
        try:
            self._get: Any = weakref.ref(value)
        except TypeError:
            self._get = lambda: value

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Same) and (value := self._get()) is not None and value is other._get()
        )


def state_of(value: object) -> Hashable:
    """A key that changes if what a function refers to has changed since.

    These are its code, defaults and closure, the globals that it names, the attributes of the
    objects and classes among them, and so on. What happens inside objects of libraries is not seen,
    but for the functions that they hold.

    >>> times = 2
    >>> double = FunctionType((lambda x: x * times).__code__, {"times": times})
    >>> before = state_of(double)
    >>> double.__globals__["times"] = 3
    >>> state_of(double) == before
    False
    """
    seen: dict[int, int] = {}
    kept = []  # an id holds only as long as its object lives
    left, room = _MOST, _BYTES

    def key(value: object, depth: int) -> Hashable:
        nonlocal left, room
        if isinstance(value, _PLAIN):
            exact = isinstance(value, float | complex | np.generic)
            return type(value), repr(value) if exact else value
        if id(value) in seen:
            return seen[id(value)]
        seen[id(value)] = len(seen)
        kept.append(value)
        if isinstance(value, np.ndarray) and value.dtype.kind != "O":
            room -= value.nbytes
            digest = hashlib.sha256(value.tobytes()).digest() if room >= 0 else Same(value)
            return value.shape, str(value.dtype), digest
        held = list(islice(parts(value), max(left, 0) + 1)) if depth < _DEEP else []
        left -= len(held)
        if depth >= _DEEP or left < 0:
            return Same(value)
        found = [key(each, depth + 1) for each in held]
        whole = frozenset(found) if isinstance(value, set | frozenset) else tuple(found)
        return itself(value), whole

    return key(value, 0)


def itself(value: object) -> Hashable:
    """What tells an object from others beside its parts."""
    kind: type = type(value)
    if isinstance(value, _PARTS_ALONE):
        return kind
    if getattr(kind, "__eq__", None) is object.__eq__ or getattr(kind, "__hash__", None) is None:
        return Same(value)
    hash(value)
    return kind, value


def parts(value: object) -> Iterator[Any]:
    """What an object holds on to, as far as a function may use it."""
    if isinstance(value, _SEQUENCES):
        yield from value
    elif isinstance(value, np.ndarray):  # of objects
        yield from value.flat
    elif isinstance(value, _MAPPINGS):
        for name in value:
            yield from (name, value[name])
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif isinstance(value, FunctionType):
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        for cell in value.__closure__ or ():
            yield content(cell)
        if not value.__code__.co_filename.startswith(_LIBRARIES):
            yield from _globals(value)
    elif isinstance(value, type):
        for kind in value.__mro__:
            if not _is_library(sys.modules.get(kind.__module__)):
                yield from _attributes(kind)
    if isinstance(value, type | ModuleType | property | staticmethod | classmethod):
        return
    yield from _attributes(value)
    if not isinstance(value, _PARTS_ALONE):
        yield type(value)


def _attributes(value: object) -> Iterator[Any]:
    """The attributes of an object or a class; of one of a library's, its functions alone."""
    found = dict(getattr(value, "__dict__", None) or {})
    kind = value if isinstance(value, type) else type(value)
    for each in kind.__mro__:
        slots = vars(each).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if not isinstance(value, type) and hasattr(value, name):
                found[name] = getattr(value, name)
    free = isinstance(value, SimpleNamespace | FunctionType)
    own = free or not _is_library(sys.modules.get(kind.__module__))
    for name, each in found.items():
        dull = name in ("__dict__", "__weakref__", "__doc__", "__module__")
        if not dull and (own or callable(each)):
            yield from (name, each)


def content(cell: Any) -> Any:
    """What a function holds on to in a cell of its closure."""
    try:
        return cell.cell_contents
    except ValueError:  # of a function that is not made yet
        return None


def _is_library(module: ModuleType | None) -> bool:
    """Whether a module stands in a library, or is built in."""
    if module is None or module.__name__ == "__main__":
        return False
    file = vars(module).get("__file__")
    if isinstance(file, str):
        return file.startswith(_LIBRARIES)
    return "__path__" not in vars(module)


def _globals(function: FunctionType) -> Iterator[Any]:
    """The globals that a function names, and the attributes that it may name of modules."""
    names, attributes = _names(function.__code__)
    waiting = [(name, function.__globals__[name]) for name in names if name in function.__globals__]
    met: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        yield from (name, value)
        if isinstance(value, ModuleType) and not _is_library(value) and id(value) not in met:
            met.add(id(value))
            waiting += [(each, vars(value)[each]) for each in attributes if each in vars(value)]


@lru_cache(1000)
def _names(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the globals, the attributes) that some code and the functions in it name."""
    names: dict[str, None] = {}
    attributes: dict[str, None] = {}
    for each in dis.get_instructions(code):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names[each.argval] = None
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes[each.argval] = None
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more = _names(inner)
            names |= dict.fromkeys(more[0])
            attributes |= dict.fromkeys(more[1])
    return tuple(names), tuple(attributes)
