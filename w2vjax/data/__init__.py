"""The text that the post trains on, and the figures that it prints."""

import json
from importlib.resources import files
from typing import Any


def machine_learning_text() -> str:
    """The post's text on machine learning (Wikipedia, CC BY-SA; see ``ATTRIBUTION.md``).

    >>> machine_learning_text()[:16]
    'Machine learning'
    """
    return files(__name__).joinpath("machine_learning.txt").read_text(encoding="utf-8")


def published_figures() -> dict[str, Any]:
    """What the post prints: vocabulary in its order, shapes, a ranking, a vector, all of ``w1``.

    The post only plots its losses. ``["losses"]["note"]`` says how they were recomputed.

    >>> published_figures()["ranking"]["words"][0]
    'machine'
    """
    figures: dict[str, Any] = json.loads(
        files(__name__).joinpath("published.json").read_text(encoding="utf-8")
    )
    return figures
