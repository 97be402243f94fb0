"""``w2vjax convert``, ``export`` and ``info``: copy vectors to another format, describe a file."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypeAlias

from tyro.conf import DisallowNone, Positional

from w2vjax.cli import arguments
from w2vjax.cli.arguments import Files, Flag, Json, Number, PathOrNone, Source, Target, shown
from w2vjax.cli.output import answer
from w2vjax.errors import SettingError
from w2vjax.files import check_writable, refuse_to_overwrite
from w2vjax.formats.formats import (
    FORMATS,
    by_suffix,
    check_second,
    describe,
    format_of,
    lines_of,
    load,
    save,
)
from w2vjax.formats.projector import SHOWN
from w2vjax.formats.table import beside
from w2vjax.reading import ALLOWANCES

if TYPE_CHECKING:
    Allowance: TypeAlias = str
    Fault: TypeAlias = str
else:  # the command line offers the names that the table lists; NaN is read, and never written
    Allowance, Fault = (
        Literal[(*ALLOWANCES,)],
        Literal[(*(a for a in ALLOWANCES if a != "non-finite"),)],
    )
File = Positional[Annotated[Path, Files.READ, shown("FILE")]]
To = DisallowNone[Annotated[Optional[str], shown("FORMAT")]]
From = DisallowNone[Annotated[Optional[str], shown("FORMAT", name="from")]]
Allowances = Annotated[tuple[Allowance, ...], shown("FAULT ...")]
Faults = Annotated[tuple[Fault, ...], shown("FAULT ...")]


def convert(
    source: Source,
    out: Target,
    to: To = None,
    from_: From = None,
    table: Literal["input", "output"] = "input",
    vocabulary: PathOrNone = None,
    allow: Faults = (),
    unicode_errors: Literal["strict", "replace", "ignore"] = "strict",
    limit: Number = None,
) -> int:
    """Copy vectors from one file format to another, without losing a bit.

    Examples:
      w2vjax convert model.safetensors vectors.bin
      w2vjax convert glove.6B.300d.txt glove.safetensors
      w2vjax convert GoogleNews-vectors-negative300.bin.gz news.safetensors
      w2vjax convert model.safetensors tensors.tsv --limit 10000
      w2vjax convert model.safetensors contexts.txt --table output
      w2vjax convert old.vectors new.safetensors --from binary --allow duplicates

    The extension names the format: {formats}. The file to read may be compressed (.gz, .bz2, .xz,
    .zst). It is an error if the new format cannot hold a word.

    Args:
        source: File to read.
        out: File to write.
        to: Format of the new file, if its extension does not name it. The error for a wrong name
            lists all names.
        from_: Format of the file to read, if neither its extension nor its first bytes show it.
        table: The table of a model to take.
        vocabulary: Vocabulary file: the words of a .npy, or the counts of a .txt, .bin or .tsv.
        allow: Faults to accept: duplicates (the first is kept), trailing-bytes, nameless-rows (they
            are left out), unfinished-line.
        unicode_errors: What to do with words that are not UTF-8.
        limit: Take only the first N words.
    """
    read = [*_files(source, from_), vocabulary or source]
    for file in _files(out, to):
        check_writable(file)
        refuse_to_overwrite(file, read)
    if (written := FORMATS.get(to or by_suffix(out) or "")) is not None:
        check_second(out, written)
    how: dict[str, Any] = {"allow": allow, "unicode_errors": unicode_errors, "limit": limit}
    vectors = load(source, format=from_, table=table, vocabulary=vocabulary, **how)
    save(vectors, out, to)
    form = to or format_of(out)
    sizes = f"{len(vectors):,} words" + ("" if form == "vocabulary" else f" x {vectors.dim}")
    print(f"{out}: {sizes}, {FORMATS[form].about} ({out.stat().st_size:,} bytes)")
    if form == "projector" and len(vectors) > SHOWN:
        said = f"The projector shows about {SHOWN:,} rows. Take the first: --limit {SHOWN}."
        warnings.warn(said, stacklevel=2)
    return 0


_NAMED = "; ".join(f"{' or '.join(form.suffixes)}, {form.about}" for form in FORMATS.values())
convert.__doc__ = str(convert.__doc__).replace("{formats}", _NAMED)  # a new format needs no line


def _files(path: Path, named: str | None) -> list[Path]:
    """A file, and the second one of its format, which no option names."""
    form = FORMATS.get(named or by_suffix(path) or "")
    return [path, beside(path, form.beside)] if form and form.beside else [path]


def export(
    vectors: arguments.VectorsFile,
    out: Target,
    to: To = None,
    html: Flag = False,
    limit: Number = None,
    method: Literal["pca", "tsne"] = "pca",
) -> int:
    """Write vectors for another program, or as a web page that works offline.

    Examples:
      w2vjax export model.safetensors vectors.bin
      w2vjax export model.safetensors map.html --html
      w2vjax export model.safetensors map.html --html --limit 10000 --method tsne

    Args:
        out: File to write.
        to: Format of the new file, if its extension does not name it. The error for a wrong name
            lists all names.
        html: Write one page with a map to search and the nearest words of each word.
        limit: Take only the N most frequent words. Default: 5000 for a page, otherwise all.
        method: Projection of the map: principal components, or t-SNE, which needs scikit-learn.
    """
    if not html and method != "pca":
        raise SettingError(f"--method {method} is for the map of a page. Add --html.")
    if not html:
        return convert(vectors, out, to, limit=limit)
    if to is not None:
        raise SettingError(f"--html and --to {to} exclude each other. Leave one out.")
    if out.suffix.lower() not in {".html", ".htm"}:
        raise SettingError(f"{out}: browsers open a page by its extension. End the name in .html.")
    from w2vjax.pictures.html import PAGE_WORDS, write_html
    from w2vjax.pictures.projection import pca, tsne

    most, project = PAGE_WORDS if limit is None else limit, tsne if method == "tsne" else pca
    page = write_html(load(vectors), out, limit=most, project=project)
    print(f"{out}: {page.words:,} words; open it in a browser ({page.bytes:,} bytes)")
    if page.left_out:
        said = f"{page.left_out:,} rarer words are not on the page. Take more: --limit."
        warnings.warn(said, stacklevel=2)
    return 0


def info(file: File, from_: From = None, allow: Allowances = (), json: Json = None) -> int:
    """Say what a file of vectors holds. All of it is read, and a damaged file is an error.

    Examples:
      w2vjax info model.safetensors
      w2vjax info vectors.bin --json -
      w2vjax info vectors.txt && echo sound

    Args:
        file: Vectors, a model or a vocabulary, in a format that `w2vjax convert` reads.
        from_: Format of the file, if neither its extension nor its first bytes show it.
        allow: Faults to accept. `w2vjax convert --help` lists them.
    """
    found = describe(file, format=from_, allow=allow)
    answer(json, found, *(f"{name:<9} {line}" for name, line in lines_of(found)))
    return 0
