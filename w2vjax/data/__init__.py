"""Package data: the post's text and the figures it prints, read through ``importlib.resources``."""

import json
from importlib.resources import files
from typing import Any


def machine_learning_text() -> str:
    """The excerpt on machine learning that the post trains on (Wikipedia, CC BY-SA; see
    ``ATTRIBUTION.md``).

    >>> machine_learning_text()[:16]
    'Machine learning'
    """
    return files(__name__).joinpath("machine_learning.txt").read_text(encoding="utf-8")


def published_figures() -> dict[str, Any]:
    """What the post prints, with its source: vocabulary in its order, shapes, a ranking, a vector
    and all of ``w1``.

    The losses are only plotted there; ``["losses"]["note"]`` says how they were recomputed.

    >>> published_figures()["ranking"]["words"][0]
    'machine'
    """
    figures: dict[str, Any] = json.loads(
        files(__name__).joinpath("published.json").read_text(encoding="utf-8")
    )
    return figures
