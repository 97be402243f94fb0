"""The loss curve: a picture of the log that training writes, one JSON object a line."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from w2vjax.errors import FormatError, SettingError, as_names
from w2vjax.files import AnyPath, as_path
from w2vjax.pictures import figures
from w2vjax.pictures.figures import COLORS, GREY, drawable, new_figure, save_figure
from w2vjax.reading import contents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Losses(NamedTuple):
    """The curve of one run.

    Attributes:
        steps: [n] int64.
        words: [n] float64, the words of text read so far; NaN if the log does not say.
        losses: [n] float64, NaN and infinity as they were written.
        unfinished: whether the last line has no end, as while training writes; it is left out.
    """

    steps: np.ndarray
    words: np.ndarray
    losses: np.ndarray
    unfinished: bool


def read_losses(path: AnyPath) -> Losses:
    """The losses of a training log.

    A line is a JSON object with ``step``, ``loss`` and, if known, ``words``. Objects without
    ``loss``, other events, are left out. A resumed run repeats the steps after its checkpoint: the
    later line of a step counts, and the lines logged before it for later steps are left out.

    Raises:
        FileError: the file cannot be read.
        FormatError: a line is not a JSON object, its step or loss is not a number, or no line has a
            loss.

    >>> import pathlib, tempfile
    >>> log = pathlib.Path(tempfile.mkdtemp(), "log.jsonl")
    >>> _ = log.write_text('{"step": 1, "loss": 4.0}\\n{"step": 2, "loss": 3.5}\\n')
    >>> read_losses(log).losses.tolist()
    [4.0, 3.5]
    """
    *lines, last = bytes(contents(as_path(path))).split(b"\n")
    records: list[tuple[int, float, float]] = []
    for number, line in enumerate(lines, 1):
        if line.strip() and (record := _record(path, number, line)):
            while records and records[-1][0] >= record[0]:
                records.pop()
            records.append(record)
    if not records:
        raise FormatError(f'{path}: no line has a "loss". Give the log that training wrote.')
    steps, words, losses = zip(*records, strict=True)
    numbers = np.array(steps, np.int64), np.array(words, float), np.array(losses, float)
    return Losses(*numbers, bool(last.strip()))


def _record(path: AnyPath, number: int, line: bytes) -> tuple[int, float, float] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        cause = f"{path}, line {number}: it is not JSON"
        raise FormatError(f"{cause}. Give the log that training wrote.") from error
    if not isinstance(record, dict):
        cause = f"{path}, line {number}: it is not a JSON object"
        raise FormatError(f"{cause}. Give the log that training wrote.")
    if "loss" not in record:
        return None

    def value(name: str, kinds: type | UnionType, absent: object = None) -> Any:
        found = record.get(name, absent)
        large = isinstance(found, int) and found.bit_length() > 63
        if large or isinstance(found, bool) or not isinstance(found, kinds):
            cause = f'{path}, line {number}: "{name}" is {found!r:.40}, not a number of 64 bits'
            raise FormatError(f"{cause}. Mend the line.")
        return found

    # null: no pair was measured since the last record
    loss = math.nan if record["loss"] is None else value("loss", int | float)
    return value("step", int), float(value("words", int | float, math.nan)), float(loss)


def plot_loss(
    logs: AnyPath | Sequence[AnyPath], path: AnyPath | None = None, *, title: str | None = None
) -> "Figure":
    """The loss of one or more runs over the words read, or over steps if a log has no words.

    Runs of 100 points and more are drawn twice: all points in a pale colour, and their moving
    average. A loss that was not measured (null) or is not finite leaves a gap. The legend counts
    the gaps.

    Args:
        logs: the log that training wrote, or several to compare.
        path: the picture, .png or .svg; None only returns the figure.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        FileError, FormatError: as :func:`read_losses`.
        SettingError: there is no log or more than eight, the path is neither .png nor .svg, or
            matplotlib is missing.

    >>> import pathlib, tempfile
    >>> log = pathlib.Path(tempfile.mkdtemp(), "log.jsonl")
    >>> _ = log.write_text('{"step": 1, "loss": 4.0}\\n{"step": 2, "loss": 3.5}\\n')
    >>> plot_loss(log).axes[0].lines[0].get_ydata().tolist()
    [4.0, 3.5]
    """
    figures.check_suffix(path)
    figure = new_figure(12.0, 6.5)
    paths = (logs,) if hasattr(logs, "read") else as_names(logs)  # an open file is refused
    if not 1 <= len(paths) <= len(COLORS):
        cause = f"{len(paths)} logs do not make a readable picture"
        raise SettingError(f"{cause}. Give 1 to {len(COLORS)}.")
    runs = [read_losses(log) for log in paths]
    by_words = all(np.isfinite(run.words).all() for run in runs)
    most = max(float((run.words if by_words else run.steps).max()) for run in runs)
    scale, unit = (1e6, "million ") if by_words and most >= 2e6 else (1.0, "")
    axes = figure.add_subplot()
    names = _names(paths)
    for name, run, color in zip(names, runs, COLORS, strict=False):
        _curve(axes, (run.words if by_words else run.steps) / scale, run, name, color)
    axes.set(
        xlabel=f"{unit}words read" if by_words else "step", ylabel="loss per positive pair, in nats"
    )
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(drawable(title or "Training loss"), parse_math=False)
    for text in axes.legend(frameon=False).get_texts():
        text.set_parse_math(False)
    return save_figure(figure, path)


def _curve(axes: "Axes", x: np.ndarray, run: Losses, name: str, color: str) -> None:
    finite = np.isfinite(run.losses)
    if gaps := int((~finite).sum()):
        name += f" ({gaps:,} points without a finite loss)"
    if run.unfinished:
        name += " (last line unfinished)"
    y = np.where(finite, run.losses, np.nan)
    if len(y) < 100:
        marker = "o" if len(y) < 30 else ""
        axes.plot(x, y, color=color, linewidth=2, marker=marker, markersize=4, label=name)
        return
    axes.plot(x, y, color=color, alpha=0.25, linewidth=0.8)
    axes.plot(x, moving_average(y, len(y) // 50), color=color, linewidth=2, label=name)


def moving_average(values: np.ndarray, width: int) -> np.ndarray:
    """[n] the mean of each value and up to ``width`` before and after it; NaN stays NaN.

    >>> moving_average(np.array([1.0, 2.0, 6.0, np.nan]), 1).tolist()
    [1.5, 3.0, 4.0, nan]
    """
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    places = np.arange(len(values))
    low, high = np.maximum(places - width, 0), np.minimum(places + width + 1, len(values))
    means = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.where(finite, means, np.nan)


def _names(paths: Sequence[AnyPath]) -> list[str]:
    """The files' names, with their folders if two have the same name."""
    names = [Path(path).name for path in paths]
    return [
        drawable(name if names.count(name) == 1 else str(path))
        for name, path in zip(names, paths, strict=True)
    ]
