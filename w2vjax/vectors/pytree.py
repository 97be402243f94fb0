"""A class becomes a pytree of JAX when JAX is imported, without importing JAX for it."""

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
_MODULE = "jax.tree_util"


def pytree(node: Class) -> Class:
    """Register a class with JAX: at once if JAX is imported, otherwise as soon as it is."""

    def register(tree_util: Any) -> None:
        tree_util.register_pytree_node_class(node)

    if _MODULE in sys.modules:
        register(sys.modules[_MODULE])
    else:
        sys.meta_path.insert(0, _Waiting(register))
    return node


class _Waiting:
    """An entry of ``sys.meta_path`` that calls ``action`` with JAX's module after its import."""

    def __init__(self, action: Callable[[Any], None]) -> None:
        self.action = action

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        if (spec := importlib.util.find_spec(name)) and spec.loader:
            execute = spec.loader.exec_module

            def then_act(module: ModuleType) -> None:
                execute(module)
                self.action(module)

            vars(spec.loader)["exec_module"] = then_act
        return spec
