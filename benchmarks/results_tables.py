"""The tables and pictures of the READMEs, from the JSON under ``results``."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
READMES = (HERE / "README.md", HERE.parent / "README.md")
NOT_YET = "not yet measured"
# The devices a README speaks of, whether they have been measured or not: folder of results, name.
DEVICES = {"cpu-2-cores": "two CPU cores", "nvidia-h100-80gb-hbm3": "NVIDIA H100"}
# Left out of the tables; the JSON has them. The quartiles stand beside the median.
LEFT_OUT = {"samples", "calls_per_sample", "q1_s", "q3_s", "expected_words"}
# Of a benchmark with more columns than a page has room for.
COLUMNS = {
    "step_speed": (
        "model objective dim window negatives run batch_words words_per_second "
        "two_copies_words_per_second step_ns gather_ns products_ns scatter_ns random_ns rest_ns "
        "products_GFLOPs"
    ).split()
}


def peers_section(record: dict[str, Any], folder: Path) -> list[str]:
    from peers_table import markdown, peer_wins

    name, rows = record["benchmark"], record["rows"]
    parts = [markdown(rows)]
    if wins := peer_wins(rows):
        parts.append("Where a peer wins:\n\n" + "\n".join(f"- {sentence}" for sentence in wins))
    if skipped := record.get("skipped"):
        parts.append(
            "Skipped: " + ", ".join(f"{tool} ({why})" for tool, why in skipped.items()) + "."
        )
    if (folder / f"{name}.png").is_file():
        at = (folder / f"{name}.png").relative_to(RESULTS.parent)
        parts.append(f"![{name}: speed against quality]({{base}}{at.as_posix()})")
    return parts


def plain_row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    from timing import duration

    shown: dict[str, Any] = {}
    for key, value in row.items():
        if key == "median_s" and "q1_s" in row:
            shown["median (quartiles)"] = (
                f"{duration(value)} ({duration(row['q1_s'])}, {duration(row['q3_s'])})"
            )
        elif not isinstance(value, dict | list):
            shown[key] = value
    columns = COLUMNS.get(name, [key for key in shown if key not in LEFT_OUT])
    return {key: shown.get(key) for key in columns}


def plain_section(record: dict[str, Any], folder: Path) -> list[str]:
    del folder
    from timing import table

    parts = [table([plain_row(record["benchmark"], row) for row in record["rows"]])]
    if "slopes" in record:
        from scaling import slope_table

        parts.append("Slopes of log(time) against log(size):\n\n" + slope_table(record["slopes"]))
    return parts


def grid_section(record: dict[str, Any], folder: Path) -> list[str]:
    """How many cells of each text and pair had which verdict, and the cells that are not fine."""
    del folder
    from timing import table

    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in record["rows"]:
        verdicts = counts.setdefault(tuple(row["cell"].split()[:2]), {})
        verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
    kinds = dict.fromkeys(
        ["fine", "unlearned", "refused", "garbage", *(row["verdict"] for row in record["rows"])]
    )
    rows = [
        {
            "text": text,
            "pair": pair,
            "cells": sum(found.values()),
            **{kind: found.get(kind, 0) for kind in kinds},
        }
        for (text, pair), found in counts.items()
    ]
    others = [
        f"- {row['cell']}: {row['verdict']}, exit {row['exit']}"
        for row in record["rows"]
        if row["verdict"] != "fine"
    ]
    parts = [table(rows), "Not fine:\n\n" + ("\n".join(others) or "- none")]
    if left_out := record.get("left_out"):
        trained = "; ".join(f"{name}: {share}" for name, share in left_out.items())
        parts.append(f"Trained only in part: {trained}.")
    return parts


def settings_line(record: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    plain = {
        key: value
        for key, value in record["settings"].items()
        if not isinstance(value, dict | list)
    }
    plain.pop("command", None)
    return ", ".join(f"{key.replace('_', ' ')} {shown(value)}" for key, value in plain.items())


def command_of(record: dict[str, Any]) -> str:
    fallback = record["settings"].get("command", f"python benchmarks/{record['benchmark']}.py")
    return f"`{record.get('command', fallback)}`"


def section(name: str, base: str) -> str:
    """The tables of one result, device by device; a device without a result says so."""
    found = {path.parent.name for path in RESULTS.glob(f"*/{name}.json")}
    found = {device for device in found if not device.endswith("-quick")}
    parts = []
    for device in [*DEVICES, *sorted(found - set(DEVICES))]:
        title = f"**{DEVICES.get(device, device)}**"
        if device not in found:
            parts.append(f"{title}: {NOT_YET}")
            continue
        record = json.loads((RESULTS / device / f"{name}.json").read_text(encoding="utf-8"))
        show: Callable[[dict[str, Any], Path], list[str]] = (
            peers_section
            if name.startswith("peers")
            else grid_section
            if name.startswith("sweep-grid")
            else plain_section
        )
        environment = record["environment"]
        names = environment["processor"]["name"], environment["device"]["kind"]
        where = ", ".join([*names, environment["date"][:10]])
        shown = [*show(record, RESULTS / device), settings_line(record), command_of(record)]
        parts.append("\n\n".join([f"{title} ({where})", *shown]).replace("{base}", base))
    return "\n\n".join(parts)


def claims(base: str) -> str:
    """Three sentences with figures from two CPU cores, each with a link to its table."""

    def rows(name: str) -> list[dict[str, Any]]:
        path = RESULTS / "cpu-2-cores" / f"{name}.json"
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return found

    peers = {row["tool"]: row for row in rows("peers-100mb")}
    ours, gensim = peers["w2vjax"], peers["gensim"]
    speed, peer_speed = (row["training_words_per_s"] / 1e6 for row in (ours, gensim))
    gradients = {(row["V"], row["name"]): row for row in rows("handwritten_vs_autodiff")}
    by_hand, derived = gradients[100_000, "row-sparse"], gradients[100_000, "jax.grad"]
    queries = {(row["task"], row["name"]): row for row in rows("query_speed")}
    batch, loop = (
        queries["similarity", "w2vjax, one batch"],
        queries["similarity", "gensim, a loop"],
    )
    sentences = [
        f"Training on 100 MB of Wikipedia: {speed:.2f} million words/s, {speed / peer_speed:.1f} "
        f"times gensim's {peer_speed:.2f}. The mean score on wordsim353, simlex999 and Google's "
        f"analogies is {ours['mean']:.3f}, gensim's {gensim['mean']:.3f}. Memory is "
        f"{ours['peak_rss_mb']:.0f} MB, gensim's {gensim['peak_rss_mb']:.0f}. "
        f"[Table]({base}#100-mb-of-wikipedia-3-passes)",
        "The gradient of a batch, 100,000 words in the vocabulary: "
        f"{by_hand['median_s'] * 1e3:.0f} ms by hand, {derived['median_s'] * 1e3:.0f} ms by "
        f"`jax.grad`. [Table]({base}#gradients-by-hand-and-by-autodiff)",
        f"The nearest words of {batch['count']:,} words: {batch['median_s']:.2f} s in one batch, "
        f"{loop['median_s']:.2f} s in a loop of gensim. [Table]({base}#queries)",
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def renew(text: str, base: str) -> str:
    """The text with what stands between "<!-- table:NAME -->" and "<!-- end -->" made anew.

    >>> print(renew("<!-- table:no-such -->old<!-- end -->", "").splitlines()[2])
    **two CPU cores**: not yet measured
    """
    opened, closed = len(re.findall(r"<!-- table:", text)), len(re.findall(r"<!-- end -->", text))
    if opened != closed:
        raise ValueError(
            f"There are {opened} lines '<!-- table:NAME -->' and {closed} lines '<!-- end -->'."
        )

    def fresh(match: re.Match[str]) -> str:
        made = claims(f"{base}README.md") if match[2] == "claims" else section(match[2], base)
        return f"{match[1]}\n\n{made}\n\n<!-- end -->"

    return re.sub(r"(<!-- table:([\w.-]+) -->).*?<!-- end -->", fresh, text, flags=re.DOTALL)


def renew_files(write: bool) -> list[Path]:
    """The READMEs that differ from the results. ``write`` renews them and the pictures."""
    from peers_table import picture

    if write:
        for path in sorted(RESULTS.glob("*/peers*.json")):
            picture(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".png"))
    stale = []
    for path in READMES:
        if not path.is_file():
            continue
        old = path.read_text(encoding="utf-8")
        new = renew(old, "" if path.parent == HERE else "benchmarks/")
        if new != old:
            stale.append(path)
            if write:
                path.write_text(new, encoding="utf-8")
    return stale
