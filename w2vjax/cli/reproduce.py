"""``w2vjax reproduce``: compute every figure of the post again, and compare it with the post."""

import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import jax

from w2vjax import data
from w2vjax.cli.arguments import Holds, Json, PathOrNone, shown, together
from w2vjax.cli.output import answer
from w2vjax.errors import CorpusError, SettingError
from w2vjax.files import atomic_file
from w2vjax.pictures.figures import BLUE, new_figure, save_figure
from w2vjax.reading import contents, refuse_foreign
from w2vjax.reference.published import Recomputed, Training, compute, conclude, judge
from w2vjax.reference.report import report


def reproduce(
    dtype: Literal["float64", "float32", "bfloat16"] = "float64",
    json: Json = None,
    out: Annotated[Optional[Path], Holds(("embedding.txt", "loss.png")), shown("FOLDER")] = None,
    text: PathOrNone = None,
    word: str = "learning",
    vector_of: str = "machine",
    training: Annotated[Training, together] = Training(),
) -> int:
    """Recompute every figure of the post "Word2vec from Scratch", and compare it with the post.

    Examples:
      w2vjax reproduce
      w2vjax reproduce --dtype float32 --out figures
      w2vjax reproduce --json - | python -m json.tool
      w2vjax reproduce --learning-rate 0.0505         1 % off: exit code 1
      w2vjax reproduce --text my.txt --word tea --vector-of tea

    The exit code is 0 if all figures agree with the post, and 1 if one does not. Other settings
    than the post's give other figures. The post has no figures for a text of your own, so nothing
    is judged.

    Args:
        dtype: Precision of this run. Figures in bfloat16 are not judged.
        out: Write loss.png and embedding.txt (word2vec text) into this folder.
        text: Train on this text file instead of the built-in one.
        word: Rank the vocabulary for this word.
        vector_of: Show the vector of this word.
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
        print(*report(run, checks, published, word, vector_of, dtype), sep="\n")
    if out is not None:
        write_files(run, out, quiet=json == "-")
    record = {
        **{"command": "reproduce", "dtype": dtype, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
        "settings": {"numpy_seed" if k == "seed" else k: v for k, v in vars(training).items()},
        **{"ok": ok, "verdict": verdict},
        "source": published and published["source"],
        "note": published and published["losses"]["note"],
        "checks": [check._asdict() for check in checks],
        **{"ranked_for": word, "vector_of": vector_of},
        **run._asdict(),
        "w1": run.w1.tolist(),
    }
    answer(json, record, f"\n{verdict}")
    return 1 if ok is False else 0


def write_files(run: Recomputed, folder: Path, quiet: bool) -> None:
    """``loss.png`` (with matplotlib) and ``embedding.txt`` into ``folder``."""
    stream = sys.stderr if quiet else sys.stdout
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "embedding.txt") as file:
        rows = zip(run.vocabulary, run.w1.tolist(), strict=True)
        lines = [f"{word} {' '.join(map(repr, row))}" for word, row in rows]
        lines.insert(0, f"{len(run.vocabulary)} {run.w1.shape[1]}")
        file.write(("\n".join(lines) + "\n").encode())
    print(f"\nwrote {folder / 'embedding.txt'}", file=stream)
    try:
        figure = new_figure(7.2, 4.08)
    except SettingError as error:  # there is no matplotlib
        print(f"loss.png: {error}", file=stream)
        return
    axes = figure.add_subplot()
    axes.plot(range(1, len(run.history) + 1), run.history, color=BLUE, linewidth=2)
    axes.set(xlabel="step", ylabel="cross-entropy, in nats", ylim=(0, None))
    first, last = run.history[0], run.history[-1]
    axes.set_title(f"Loss over {run.shapes[0][0]:,} pairs, from {first:,.1f} to {last:,.1f}")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, folder / "loss.png")
    print(f"wrote {folder / 'loss.png'}", file=stream)


def _read(path: Path) -> str:
    data = bytes(contents(path))
    refuse_foreign(path, data[:8])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cause = f"{path} is not UTF-8 text: byte {error.start} cannot be decoded"
        raise CorpusError(f"{cause}. Convert it to UTF-8.") from error
