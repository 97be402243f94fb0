"""The post's figures as text, in its order: published beside computed."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import jax

from w2vjax.reference.published import Check, Recomputed

Published: TypeAlias = dict[str, Any] | None  # what the post prints; None for another text


def report(
    run: Recomputed,
    checks: list[Check],
    published: Published,
    word: str,
    vector_of: str,
    dtype: str,
) -> Iterator[str]:
    """The lines of a report. A figure that is off is marked."""
    device = jax.devices()[0].device_kind
    yield f"word2vec from scratch in {dtype} on {device}, {len(run.history)} steps"
    if published:
        yield "published: {author}, {title}, {date}, {url}".format(**published["source"])
    names = ("tokens", "words", "X", "y", "loss, first step", "loss, last step")
    values = run.tokens, len(run.vocabulary), *run.shapes, run.history[0], run.history[-1]
    known = {check.name: check for check in checks}
    yield f"\n{'':20}{'published':24}computed"
    for name, value in zip(names, values, strict=True):
        check = known.get(name)
        label = f"{name} *" if check and name.startswith("loss") else name
        mark = "   OFF" if check and check.ok is False else ""
        yield f"{label:20}{check.published if check else '-'!s:24}{value}{mark}"
    if published:
        yield f"* {published['losses']['note']}"
    yield f'\nwords ranked for "{word}"'
    yield from ranking(run.ranking, part_of(published, "ranking", "words", word))
    expected = part_of(published, "vector", "values", vector_of)
    yield f'\nvector of "{vector_of}"\n{"":8}{"published":>14}{"computed":>14}'
    for i, value in enumerate(run.vector):
        yield f"{i + 1:>8}{expected[i] if i < len(expected) else '-':>14}{value:>14.8f}"


def part_of(published: Published, figure: str, part: str, word: str) -> list[Any]:
    """A part of a published figure. Empty if the figure is that of another word."""
    return published[figure][part] if published and published[figure]["word"] == word else []


def ranking(found: list[str], expected: list[str]) -> Iterator[str]:
    """Two columns of rank, published word, computed word."""
    cells = []
    for i, word in enumerate(found):
        other = expected[i] if i < len(expected) else "-"
        mark = " " if word == other or not expected else "!"
        cells.append(f"{i + 1:>4}  {other:<15}{word:<15}{mark}")
    half = (len(cells) + 1) // 2
    yield "  ".join([f"      {'published':<15}{'computed':<15} "] * min(2, len(cells))).rstrip()
    yield from ("  ".join(cells[i::half]).rstrip() for i in range(half))
