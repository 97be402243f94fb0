"""``w2vjax reproduce``: compute every figure of the post again, and compare it with the post."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
from tyro.conf import arg

from w2vjax import data
from w2vjax.cli.arguments import Files, Json, PathOrNone, together
from w2vjax.cli.output import write_json
from w2vjax.errors import CorpusError, FileError
from w2vjax.files import atomic_file
from w2vjax.reference.published import Check, Recomputed, Training, compute, conclude, judge

Folder = Annotated[Path | None, Files.FOLDER, arg(metavar="FOLDER", help_behavior_hint="")]


_OF_THE_POST = Training()


def reproduce(
    dtype: Literal["float64", "float32", "bfloat16"] = "float64",
    json: Json = None,
    out: Folder = None,
    text: PathOrNone = None,
    word: str = "learning",
    vector_of: str = "machine",
    training: Annotated[Training, together] = _OF_THE_POST,
) -> int:
    """Recompute every figure of the post "Word2vec from Scratch", and compare it with the post.

    Examples:
      w2vjax reproduce
      w2vjax reproduce --dtype float32 --out figures
      w2vjax reproduce --json - | python -m json.tool
      w2vjax reproduce --learning-rate 0.0505         1 % off: exit code 1
      w2vjax reproduce --text my.txt --word tea --vector-of tea

    The exit code is 0 if all figures agree, and 1 if one is off. Other settings than the post's
    give other figures, which shows that the check can fail. The post has no figures for another
    text, so none are judged.

    Args:
        dtype: Precision of this run. Figures in bfloat16 are not judged.
        out: Write loss.png and embedding.txt (word2vec text) into this folder.
        text: Train on this text file instead of the built-in one.
        word: Rank the vocabulary for this word.
        vector_of: Show the vector of this word.
        training: Settings of the model and of its training.
    """
    published = data.published_figures() if text is None else None
    source = data.machine_learning_text() if text is None else _read(text)
    order = published["vocabulary"] if published else None
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"):
        run = compute(source, order, dtype, word, vector_of, training)
    checks = judge(run, published, dtype, word, vector_of) if published else []
    verdict = conclude(run, checks, published, dtype)
    judged = [check.ok for check in checks if check.ok is not None]
    ok = all(judged) if judged else None
    if json != "-":
        print_report(run, checks, published, word, vector_of, dtype)
    if out is not None:
        write_files(run, out, quiet=json == "-")
    if json is not None:
        named = {"seed": "numpy_seed"}
        settings = {named.get(name, name): value for name, value in vars(training).items()}
        record = {
            "command": "reproduce",
            "dtype": dtype,
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "settings": settings,
            "ok": ok,
            "verdict": verdict,
            "source": published and published["source"],
            "note": published and published["losses"]["note"],
            "checks": [check._asdict() for check in checks],
            "ranked_for": word,
            "vector_of": vector_of,
            **run._asdict(),
            "w1": run.w1.tolist(),
        }
        write_json(json, record)
    if json != "-":
        print(f"\n{verdict}")
    return 1 if ok is False else 0


def print_report(
    run: Recomputed,
    checks: list[Check],
    published: dict[str, Any] | None,
    word: str,
    vector_of: str,
    dtype: str,
) -> None:
    """The post's figures in its order, published beside computed."""
    device = jax.devices()[0].device_kind
    print(f"word2vec from scratch in {dtype} on {device}, {len(run.history)} steps")
    if published:
        print("published: {author}, {title}, {date}, {url}".format(**published["source"]))
    rows = [
        ("tokens", run.tokens),
        ("words", len(run.vocabulary)),
        ("X", run.shapes[0]),
        ("y", run.shapes[1]),
        ("loss, first step", run.history[0]),
        ("loss, last step", run.history[-1]),
    ]
    known = {check.name: check for check in checks}
    print(f"\n{'':20}{'published':24}computed")
    for name, value in rows:
        check = known.get(name)
        label = f"{name} *" if check and name.startswith("loss") else name
        print(f"{label:20}{check.published if check else '-'!s:24}{value}{_mark(check)}")
    if published:
        print(f"* {published['losses']['note']}")
    print(f'\nwords ranked for "{word}"')
    _print_ranking(run.ranking, _of_word(published, "ranking", "words", word))
    values = _of_word(published, "vector", "values", vector_of)
    print(f'\nvector of "{vector_of}"\n{"":8}{"published":>14}{"computed":>14}')
    for i, value in enumerate(run.vector):
        print(f"{i + 1:>8}{values[i] if i < len(values) else '-':>14}{value:>14.8f}")


def _of_word(published: dict[str, Any] | None, figure: str, part: str, word: str) -> list[Any]:
    """A part of a published figure, or nothing if the figure is that of another word."""
    return published[figure][part] if published and published[figure]["word"] == word else []


def _mark(check: Check | None) -> str:
    return "   OFF" if check and check.ok is False else ""


def _print_ranking(found: list[str], expected: list[str]) -> None:
    """Two columns of rank, published word, computed word."""
    cells = []
    for i, word in enumerate(found):
        other = expected[i] if i < len(expected) else "-"
        mark = " " if word == other or not expected else "!"
        cells.append(f"{i + 1:>4}  {other:<15}{word:<15}{mark}")
    half = (len(cells) + 1) // 2
    print("  ".join([f"      {'published':<15}{'computed':<15} "] * min(2, len(cells))).rstrip())
    for i in range(half):
        print("  ".join(cells[i::half]).rstrip())


def write_files(run: Recomputed, folder: Path, quiet: bool = False) -> None:
    """``loss.png`` (with matplotlib) and ``embedding.txt`` into ``folder``."""
    stream = sys.stderr if quiet else sys.stdout
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "embedding.txt") as file:
        lines = [f"{len(run.vocabulary)} {run.w1.shape[1]}"]
        for word, row in zip(run.vocabulary, run.w1.tolist(), strict=True):
            lines.append(f"{word} {' '.join(map(repr, row))}")
        file.write(("\n".join(lines) + "\n").encode())
    print(f"\nwrote {folder / 'embedding.txt'}", file=stream)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        remedy = "pip install 'w2vjax[plot]' and run this again."
        print(f"loss.png needs matplotlib: {remedy}", file=stream)
        return
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(run.history) + 1), run.history, color="tab:blue", linewidth=2)
    axes.set(xlabel="step", ylabel="cross-entropy, in nats", ylim=(0, None))
    first, last = run.history[0], run.history[-1]
    axes.set_title(f"Loss over {run.shapes[0][0]:,} pairs, from {first:,.1f} to {last:,.1f}")
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_file(folder / "loss.png") as file:
        figure.savefig(file, format="png", dpi=120)
    print(f"wrote {folder / 'loss.png'}", file=stream)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}. Check its name and permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 text: byte {error.start} cannot be decoded. Convert it to UTF-8."
        ) from error
