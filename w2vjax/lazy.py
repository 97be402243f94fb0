"""A package whose names are loaded when they are first used.

The names stand in the stub of the package, ``__init__.pyi``, and nowhere else. A type checker reads
it, and so does this module. So importing ``w2vjax`` is quick, and a command loads only what it
uses.
"""

import ast
import importlib
from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")


def cached(make: Callable[Given, Made], most: int = 64) -> Callable[Given, Made]:
    """``make``, which returns the same object for equal arguments. The last ``most`` are kept.

    A program is compiled for the functions that it is made of. So equal settings have to give the
    same functions. A function that refers to something else than before, such as a helper of the
    same name, is another one. Arguments without a hash are not kept.

    >>> pair = cached(lambda a, b: [a, b])
    >>> pair(1, 2) is pair(1, 2), pair(1, 2) is pair(1, 2.0), pair([], 0) is pair([], 0)
    (True, False, False)
    """

    @lru_cache(most, typed=True)
    def made(state: Hashable, *given: Given.args, **named: Given.kwargs) -> Made:
        del state  # it only tells the arguments from what they were before
        return make(*given, **named)

    @wraps(make)
    def call(*given: Given.args, **named: Given.kwargs) -> Made:
        from w2vjax.functions import state_of  # it imports NumPy

        try:
            state = state_of((given, named))
            hash((state, given, tuple(named.values())))
        except Exception:  # what a caller's object raises
            return make(*given, **named)
        return made(state, *given, **named)  # type: ignore[arg-type]

    return call


class Now:
    """A function that ``jax.jit`` takes for another one than before: see :func:`as_it_is_now`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._function(*given, **named)


_now = cached(Now)


def as_it_is_now(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as another object if something has changed that it refers to.

    ``jax.jit`` knows a function by its identity, and would take the program of what it was before.

    >>> as_it_is_now(len) is as_it_is_now(len), as_it_is_now(len)("abc")
    (True, 3)
    """
    return function if isinstance(function, Now) else _now(function)


def homes(init: str) -> dict[str, tuple[str, str]]:
    """name -> (module, name there) for every import of a package's stub.

    The stub lies beside ``init``, the ``__file__`` of the package.

    >>> import w2vjax
    >>> homes(w2vjax.__file__)["train"]
    ('w2vjax.runs.loop', 'train')
    """
    imports = ast.parse(Path(init).with_suffix(".pyi").read_text(encoding="utf-8")).body
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in imports
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def names_of(init: str, package: dict[str, Any]) -> tuple[list[str], Callable[[str], Any]]:
    """(``__all__``, ``__getattr__``) of a package, from its ``__file__`` and its ``globals()``."""
    found = homes(init)

    def load(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        module, there = found[name]
        holder = importlib.import_module(module)
        is_module = hasattr(holder, "__path__")  # a stub imports only modules from a package
        inner = importlib.import_module(f"{module}.{there}") if is_module else None
        package[name] = inner or getattr(holder, there)
        return package[name]

    return sorted(found), load
