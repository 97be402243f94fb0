"""Marks some cases of a parametrized test slow. Each test keeps one case in the default run."""

from typing import Any

import pytest


def slow(*cases: Any) -> list[Any]:
    """The cases, marked slow; a tuple is the arguments of one case."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for case in cases
    ]
