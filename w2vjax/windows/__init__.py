"""Windows: what a model is shown of consecutive words, and how the words are sampled."""

from typing import Any

from w2vjax.lazy import names_of

__all__, _load = names_of(__file__, globals())
# What earlier versions called a window shape.
_RENAMED = {
    "cbow_run_batch": "cbow_block_batch",
    "cbow_counted_run_batch": "cbow_counted_block_batch",
}


def __getattr__(name: str) -> Any:
    if new := _RENAMED.get(name):
        raise AttributeError(f"The window shape {name} is now called {new}. Use {new}.")
    return _load(name)
