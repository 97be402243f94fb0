"""word2vec in JAX: pure functions, handwritten and proven gradients, fast on CPU and GPU.

>>> import w2vjax as w2v
>>> w2v.reference.tokenize("Machine learning, again!")
['machine', 'learning', 'again']

The letters of shapes, in every docstring::

    V  words in the vocabulary          D  length of a vector (dim)
    B  groups in a batch                T  hidden vectors of a group: 1 for pairs and CBOW,
    C  words averaged into one hidden      the words of a block otherwise
    P  positive words of a group        K  negatives of a group
    R  rows of the output table that    L  longest Huffman code
       are scored for a group           N  rows of a gradient, or words of a text
    M  words of a chunk                 S  neighbouring groups that share targets

The stub, ``__init__.pyi``, lists the public names. Each is loaded when it is first used: importing
the package costs little, and loads no command line, plot or progress library.
"""

from importlib.util import find_spec
from typing import Any

from w2vjax.lazy import names_of

__all__, _load = names_of(__file__, globals())
__version__ = "0.1.0"
# The rooms to search for a name that is not at the top, in this order.
_ROOMS = (
    *("errors", "windows", "updates", "objectives", "gradcheck", "evaluation"),
    *("formats", "pictures", "corpus", "ids", "reference"),
)
# A room cannot hold a function with the name of one of its modules.
_ELSEWHERE = {
    "encode": "w2vjax.corpus.encode",
    **dict.fromkeys(("State", "chunk_key", "train_chunk"), "w2vjax.training.step"),
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _load(name)
    # "from w2vjax import data" calls this first, and _where would load every room for it
    known = not name.isidentifier() or name.startswith("_") or find_spec(f"{__name__}.{name}")
    said = "" if known else _where(name)
    raise AttributeError(f"module 'w2vjax' has no attribute {name!r}{said}")


def _where(name: str) -> str:
    """The end of the sentence about a name that is not at the top: it says where the name is."""
    if name in _ELSEWHERE:
        return f". It is in {_ELSEWHERE[name]}: from {_ELSEWHERE[name]} import {name}."
    room = next((room for room in _ROOMS if hasattr(_load(room), name)), None)
    return "" if room is None else f". It is w2vjax.{room}.{name}."


def __dir__() -> list[str]:
    return __all__
