"""The runs of ``peers.py`` as a table, as sentences on the winners, and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timing import table

Row = dict[str, Any]
REFERENCE, REFERENCE_RATE = "gensim", 0.05
OURS = "w2vjax"
MARKERS = {("sg", "ns"): "o", ("sg", "hs"): "s", ("cbow", "ns"): "^", ("cbow", "hs"): "D"}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def summarise(runs: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each tool and setting: means over seeds, and ratios to gensim's run of the pair."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        key = run["key"]
        groups.setdefault((key["model"], key["objective"], key["tool"], key["rate"]), []).append(
            run
        )
    tools = list(dict.fromkeys(run["key"]["tool"] for run in runs))
    # a tool's rates one below the other
    order = sorted(groups, key=lambda name: (*name[:2], tools.index(name[2])))
    rows = [_row(*name, groups[name]) for name in order]
    for row in rows:
        base = reference(row, rows)
        for kind in ("training", "whole"):
            speed = row[f"{kind}_words_per_s"]
            known = base is not None and speed is not None
            row[f"{kind}_times_{REFERENCE}"] = (
                speed / base[f"{kind}_words_per_s"] if known else None
            )
    return rows


def _row(
    model: str, objective: str, tool: str, rate: float | None, group: list[dict[str, Any]]
) -> Row:
    names = list(dict.fromkeys(name for run in group for name in run.get("quality", {})))
    quality = {
        name: mean([run["quality"][name] for run in group if name in run.get("quality", {})])
        for name in names
    }
    anonymous = [run["peak_anonymous_mb"] for run in group if run["peak_anonymous_mb"] is not None]
    seconds = {kind: mean([run[f"{kind}_s"] for run in group]) for kind in ("training", "whole")}
    complete = all(run["complete"] for run in group)
    words = group[0]["training_words_per_s"] * group[0]["training_s"]
    return {
        "model": model,
        "objective": objective,
        "tool": tool,
        "rate": rate,
        "seeds": len(group),
        "complete": complete,
        "training_s": seconds["training"],
        "whole_s": seconds["whole"],
        "training_words_per_s": words / seconds["training"]
        if complete
        else group[0]["training_words_per_s"],
        "whole_words_per_s": words / seconds["whole"] if complete else None,
        "quality": quality,
        "mean": mean(list(quality.values())) if quality else None,
        "compile_s": mean([run["compile_s"] for run in group]) if "compile_s" in group[0] else None,
        "peak_rss_mb": max(run["peak_rss_mb"] for run in group),
        "peak_anonymous_mb": max(anonymous, default=None),
    }


def alike(tool: str, row: Row, rows: Sequence[Row]) -> list[Row]:
    """The rows of a tool with the row's model and objective."""
    kind = (row["model"], row["objective"])
    return [
        other
        for other in rows
        if other["tool"] == tool and (other["model"], other["objective"]) == kind
    ]


def reference(row: Row, rows: Sequence[Row]) -> Row | None:
    """gensim at .05 for the row's model and objective; at the rate it has where it has but one."""
    same = alike(REFERENCE, row, rows)
    return next(
        (r for r in same if r["rate"] == REFERENCE_RATE), same[0] if len(same) == 1 else None
    )


def setting_name(row: Row) -> str:
    rate = "default rate" if row["rate"] is None else f"rate {row['rate']:g}"
    return f"{row['model']}-{row['objective']}, {rate}"


def cells(row: Row) -> Row:
    """A row as people read it."""

    def speed(words: float | None) -> str:
        return (
            "-" if words is None else f"{words / 1e6:.3f}" if words >= 1e4 else f"{words / 1e6:.2g}"
        )

    def ratio(kind: str) -> str:
        value = row[f"{kind}_times_{REFERENCE}"]
        return "-" if value is None else f"{value:.2f}x"

    training, compiled = f"{row['training_s']:.1f} s" if row["complete"] else "stopped early", None
    if row["compile_s"] is not None:
        training += f" ({row['compile_s']:.1f} compiling)"
        alone = row["training_s"] - row["compile_s"]
        compiled = row["training_words_per_s"] * row["training_s"] / alone if alone > 0 else None
    shown: Row = {
        "tool": row["tool"],
        "setting": setting_name(row),
        "seeds": row["seeds"],
        "training": training,
        "M words/s": speed(row["training_words_per_s"]),
        "without compiling": speed(compiled),
        f"to {REFERENCE}": ratio("training"),
        "whole job": f"{row['whole_s']:.1f} s" if row["complete"] else "-",
        f"to {REFERENCE}'s": ratio("whole"),
    }
    shown |= {name: f"{value:.3f}" for name, value in row["quality"].items()}
    shown["mean"] = "-" if row["mean"] is None else f"{row['mean']:.3f}"
    return shown | {"peak MB": f"{row['peak_rss_mb']:,.0f}"}


def markdown(rows: Sequence[Row]) -> str:
    shown = [cells(row) for row in rows]
    columns = list(
        dict.fromkeys(
            column for row in shown for column in row if column not in {"mean", "peak MB"}
        )
    )
    columns += ["mean", "peak MB"]
    return table([{column: row.get(column, "-") for column in columns} for row in shown])


def peer_wins(rows: Sequence[Row]) -> list[str]:
    """A sentence for each case in which a peer is better: time, whole job, memory or quality."""
    sentences = []
    for peer in rows:
        ours = alike(OURS, peer, rows)
        if peer["tool"] == OURS or not ours or not peer["complete"]:
            continue
        best = next((r for r in ours if r["rate"] is None), ours[0])
        won = [
            f"{what} ({peer[field]:{form}} against {best[field]:{form}} {unit})".replace(" )", ")")
            for what, field, form, unit in (
                ("training", "training_s", ".1f", "s"),
                ("the whole job", "whole_s", ".1f", "s"),
                ("peak memory", "peak_rss_mb", ",.0f", "MB"),
            )
            if peer[field] < best[field]
        ]
        won += [
            f"{name} ({value:.3f} against {best['quality'][name]:.3f})"
            for name, value in peer["quality"].items()
            if name in best["quality"] and value > best["quality"][name]
        ]
        if won:
            sentences.append(
                f"{peer['tool']} ({setting_name(peer)}) is ahead of {OURS} in {', '.join(won)}."
            )
    return sentences


def print_tables(rows: Sequence[Row]) -> None:
    print(markdown(rows))
    for sentence in peer_wins(rows):
        print(sentence)


def picture(record: dict[str, Any], path: Path) -> bool:
    """Speed against quality, a point for each tool and setting. False if there is nothing to draw.

    A tool that was stopped early has a speed and no quality: a dotted line.
    """
    try:
        import matplotlib
    except ImportError:
        return False
    rows = [row for row in record["rows"] if row["mean"] is not None]
    if not rows:
        return False
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.8))
    draw(axes, record["rows"], list(dict.fromkeys(row["tool"] for row in record["rows"])))
    axes.set_xlabel("training, million raw words per second (right is faster)")
    axes.set_ylabel("mean of " + ", ".join(rows[0]["quality"]) + "\n(up is better)")
    settings, device = record["settings"], record["environment"]["processor"]
    machine = f"{device['usable_cores']} cores ({device['name']})"
    axes.set_title(f"{settings['corpus']}, {settings['passes']} passes, {machine}", fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
    return True


def draw(axes: Any, rows: Sequence[Row], tools: Sequence[str]) -> None:
    """The points and their legend on matplotlib axes."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for row in rows:
        x, kind, color = (
            row["training_words_per_s"] / 1e6,
            (row["model"], row["objective"]),
            f"C{tools.index(row['tool'])}",
        )
        if row["mean"] is None:
            axes.axvline(x, color=color, linestyle=":")
            continue
        axes.scatter(x, row["mean"], color=color, marker=MARKERS[kind], s=50, zorder=3)
        rate = "default" if row["rate"] is None else f"{row['rate']:g}"
        axes.annotate(
            rate,
            (x, row["mean"]),
            xytext=(6, 3),
            textcoords="offset points",
            fontsize=7,
            color=color,
        )
    for place, tool in enumerate(tools):
        scored = any(row["mean"] is not None for row in rows if row["tool"] == tool)
        if scored:
            axes.scatter([], [], color=f"C{place}", label=tool)
        else:
            axes.plot([], [], color=f"C{place}", linestyle=":", label=f"{tool}, stopped early")
    for kind in dict.fromkeys((row["model"], row["objective"]) for row in rows):
        axes.scatter([], [], color="grey", marker=MARKERS[kind], label="-".join(kind))
    title = "numbers: learning rate"
    axes.legend(
        fontsize=8, title=title, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.margins(0.15)
