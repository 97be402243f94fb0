"""``w2vjax plot``: pictures of vectors and of a training run."""

from dataclasses import dataclass
from typing import Annotated, Literal, Optional

from tyro.conf import DisallowNone, Positional

from w2vjax.cli.arguments import Number, Paths, Source, Target, Words, shown, together
from w2vjax.cli.query import holding
from w2vjax.errors import SettingError
from w2vjax.pictures.figures import DPI
from w2vjax.pictures.plot import plot_analogy, plot_heatmap, plot_map
from w2vjax.pictures.plot_loss import plot_loss
from w2vjax.pictures.projection import pca, tsne

Kind = Positional[Annotated[Literal["loss", "map", "analogy", "heatmap"], shown()]]
Projector = DisallowNone[Annotated[Optional[Literal["pca", "tsne"]], shown()]]


@dataclass(frozen=True)
class MapOptions:
    """What a map shows, and how.

    Args:
        limit: For a map: draw the N most frequent words. Default: 150.
        method: For a map: principal components, or t-SNE, which needs scikit-learn. Default: pca.
    """

    limit: Number = None
    method: Projector = None


def plot(
    kind: Kind,
    source: Source,
    out: Target,
    words: Words = (),
    of_map: Annotated[MapOptions, together] = MapOptions(),
    compare: Paths = (),
    title: Annotated[Optional[str], shown("TEXT")] = None,
) -> int:
    """Draw a training loss, a map of words, analogies as parallelograms, or a heat map.

    Examples:
      w2vjax plot loss log.jsonl loss.png
      w2vjax plot map vectors.bin map.png             the 150 most frequent words
      w2vjax plot map vectors.bin map.png cat dog tea coffee
      w2vjax plot map vectors.bin map.svg --limit 300 --method tsne
      w2vjax plot loss first.jsonl loss.png --compare second.jsonl
      w2vjax plot analogy vectors.bin analogy.png man king woman
      w2vjax plot analogy vectors.bin a.png tea cup beer glass man he woman she
      w2vjax plot heatmap vectors.bin heatmap.svg cat dog tea coffee

    For `loss`, IN is the log that training writes (one JSON object a line). For the other pictures
    IN is a file of vectors. OUT ends in .png or .svg. For an analogy of three words, the command
    finds the fourth. Pictures need matplotlib: pip install 'w2vjax[plot]'.

    Args:
        kind: What to draw.
        source: File to read.
        out: Picture to write.
        words: Words to draw. An analogy takes three words, or groups of four: A is to B as C is to
            D.
        compare: For a loss: logs of other runs, drawn into the same picture.
        title: Text above the picture.
    """
    _refuse_unused(kind, words, of_map, compare)
    if kind == "loss":
        figure = plot_loss([source, *compare], out, title=title)
    elif kind == "map":
        project = tsne if of_map.method == "tsne" else pca
        most = 150 if of_map.limit is None else of_map.limit
        vectors, chosen = holding(source, words), words or None
        figure = plot_map(vectors, out, words=chosen, limit=most, project=project, title=title)
    elif kind == "analogy":
        analogies = _fours(words)
        figure = plot_analogy(holding(source, words), analogies, out, title=title)
    else:
        figure = plot_heatmap(holding(source, words), words, out, title=title)
    width, height = (round(DPI * inches) for inches in figure.get_size_inches())
    size = "any size" if out.suffix.lower() == ".svg" else f"{width:,} x {height:,} pixels"
    print(f"{out}: {size} ({out.stat().st_size:,} bytes)")
    return 0


def _refuse_unused(kind: str, words: Words, options: MapOptions, compare: Paths) -> None:
    """Refuse an option that the picture does not use."""
    given = {"words": words, "--compare": compare}
    given |= {f"--{name}": value for name, value in vars(options).items()}
    used = {"loss": ["--compare"], "map": ["words", "--limit", "--method"]}.get(kind, ["words"])
    for option, value in given.items():
        if value not in (None, ()) and option not in used:
            raise SettingError(f"A {kind} picture does not use {option}. Leave {option} out.")
    if words and options.limit is not None:
        raise SettingError("--limit and chosen words exclude each other. Leave one out.")


def _fours(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    if len(words) == 3:
        return [words]
    if not words or len(words) % 4:
        remedy = "Give three, A B C, or groups of four: A is to B as C is to D."
        raise SettingError(f"Words given for analogies: {len(words)}. {remedy}")
    return [words[start : start + 4] for start in range(0, len(words), 4)]
