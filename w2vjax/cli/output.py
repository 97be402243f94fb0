"""How commands print: JSON for scripts, aligned columns for people."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from w2vjax.files import atomic_file


def write_json(target: str, record: Any) -> None:
    """Write a record to a file, whole or not at all, or to standard output for ``-``. NaN becomes
    null.
    """
    text = json.dumps(_finite(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with atomic_file(Path(target)) as file:
        file.write(text.encode())


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as lines, the first column to the left and the others to the right.

    >>> print(columns([["word", "similarity"], ["tea", "0.5"]]))
    word  similarity
    tea          0.5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
