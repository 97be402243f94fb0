"""Every file format of vectors, by name and by extension; :func:`load` and :func:`save`.

>>> import tempfile, numpy as np
>>> path = tempfile.mkdtemp() + "/pets.txt"
>>> save(Vectors(["cat", "dog"], np.array([[1, 2], [3, 0.1]], np.float32)), path)
>>> print(Path(path).read_text(), end="")
2 2
cat 1.0 2.0
dog 3.0 0.1
>>> load(path)["dog"].tolist() == np.array([3, 0.1], np.float32).tolist()
True
"""

import functools
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from w2vjax.compressed import is_compressed, refuse_compressed
from w2vjax.errors import FileError, SettingError, shown
from w2vjax.files import AnyPath, as_path, current_path
from w2vjax.formats import model_file, npy, projector, word2vec_binary, word2vec_text, words_only
from w2vjax.formats.table import Format, describe_vectors
from w2vjax.reading import ReadOptions, contents, refuse, refuse_foreign
from w2vjax.real import true_or_false
from w2vjax.vectors.vectors import Vectors, require_vectors
from w2vjax.vocabulary_file import counted_bytes, write_vocabulary

# A new format is a module with a FORMAT like these, its import, and its line here.
FORMATS: dict[str, Format] = {
    "safetensors": model_file.FORMAT,
    "text": word2vec_text.FORMAT,
    "binary": word2vec_binary.FORMAT,
    "npy": npy.FORMAT,
    "projector": projector.FORMAT,
    "vocabulary": words_only.FORMAT,
}


def load(
    path: AnyPath,
    *,
    format: str | None = None,
    table: str = "input",
    vocabulary: AnyPath | None = None,
    allow: Collection[str] = (),
    unicode_errors: str = "strict",
    limit: int | None = None,
    verify: bool = True,
) -> Vectors:
    """Read vectors from a file. Reading runs no code from the file.

    Args:
        path: the file. A ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` is decompressed, up to 64 MiB or
            100 times its size.
        format: a key of :data:`FORMATS`. By default the extension names it, or else the first bytes
            of the file show it.
        table: ``"output"`` takes the output table of a model (safetensors only). Hierarchical
            softmax has none: its rows are the inner nodes of a tree.
        vocabulary: a vocabulary file, for the words of a ``.npy`` and for the counts of text,
            binary and projector.
        allow: the faults to accept: ``"duplicates"`` (the first is kept), ``"non-finite"``,
            ``"trailing-bytes"``, ``"nameless-rows"`` (they are left out), ``"unfinished-line"`` (a
            text file whose last line has no end).
        unicode_errors: ``"replace"`` or ``"ignore"`` for words that are not UTF-8.
        limit: read only the first so many rows.
        verify: compare the checksum of a safetensors file, which reads all of it once.

    Returns:
        The words, their vectors [V, D] in float32, and their counts if the file has them.

    Raises:
        FormatError: the file breaks a rule of its format; the message names file and line or byte.
        FileError: the file cannot be read.
        SettingError: an option is not known, or the format does not use it.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "pets.txt")
    >>> _ = path.write_text("2 2\\ncat 1 2\\ndog 3 0.5\\n")
    >>> load(path)["dog"].tolist()
    [3.0, 0.5]
    >>> folder.cleanup()
    """
    path = as_path(path)
    options = ReadOptions(allow, unicode_errors, limit, table, vocabulary, verify)
    form = _format(format or format_of(path))
    for name, given in {"table": table != "input", "vocabulary": vocabulary is not None}.items():
        if given and name not in form.takes:
            cause = f"the option {name} has no effect on {form.about}"
            raise SettingError(f"{path}: {cause}. Leave it out.")
    return form.read(path, options)


def save(vectors: Vectors, path: AnyPath, format: str | None = None) -> None:
    """Write vectors to a file, whole or not at all, without losing a bit.

    Args:
        vectors: what to write.
        path: the file. An older file stays until the new one is on the disk.
        format: a key of :data:`FORMATS`. By default the extension names it.

    Raises:
        FormatError: the format cannot hold a word (a space in word2vec text), or a vector holds
            NaN. The message names the word.
        FileError: the file cannot be written, or the second file of a format, such as the words of
            a .npy, would replace a file that belongs to another one.
        SettingError: these are no vectors, or neither the extension nor ``format`` names a format.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/pets.safetensors"
    >>> save(Vectors(["cat", "my dog"], np.eye(2)), path)
    >>> load(path).words
    ('cat', 'my dog')
    """
    require_vectors(vectors)
    path = as_path(path)
    refuse_compressed(path)
    name = format or by_suffix(path)
    if name is None:
        known = ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
        remedy = f"Use one, or name the format: {', '.join(FORMATS)}."
        raise SettingError(f"{path} has no known extension ({known}). {remedy}")
    form = _format(name)
    check_second(path, form)
    form.write(path, vectors)


def check_second(path: Path, form: Format) -> None:
    """Refuse to replace the second file of a format where there is no first one.

    It is then not of an earlier ``path``: text8.vocab has the counts of text8.bin, and would be
    replaced by the words of text8.npy.
    """
    if form.beside is None or os.path.lexists(path):
        return
    if os.path.lexists(second := form.beside(path)):
        cause = f"{second} is there, and {path}, which it would belong to, is not"
        raise FileError(f"{cause}. Move it away, or name another file.")


def load_word2vec_format(
    path: AnyPath,
    fvocab: AnyPath | None = None,
    binary: bool = False,
    unicode_errors: str = "strict",
    limit: int | None = None,
    *,
    allow: Collection[str] = (),
) -> Vectors:
    """gensim's ``KeyedVectors.load_word2vec_format``.

    A missing header (GloVe) is recognised, so ``no_header`` is not needed.

    Args:
        path, unicode_errors, limit, allow: as in :func:`load`.
        fvocab: a vocabulary file, for the counts.
        binary: the file is of the binary format, not of text.

    Returns:
        The words, their vectors [V, D] in float32, and their counts if ``fvocab`` is given.

    Raises:
        FormatError, FileError, SettingError: as :func:`load`.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "glove.txt")
    >>> _ = path.write_text("cat 1 2\\ndog 3 0.5\\n")
    >>> load_word2vec_format(path).words
    ('cat', 'dog')
    >>> folder.cleanup()
    """
    true_or_false("binary", binary)
    read = functools.partial(load, path, format="binary" if binary else "text", vocabulary=fvocab)
    return read(allow=allow, unicode_errors=unicode_errors, limit=limit)


def save_word2vec_format(
    vectors: Vectors, path: AnyPath, fvocab: AnyPath | None = None, binary: bool = False
) -> None:
    """gensim's ``save_word2vec_format``; the words keep their order.

    Args:
        vectors, path: as in :func:`save`.
        fvocab: a vocabulary file to write too, with the counts.
        binary: write the binary format, not text.

    Raises:
        FormatError, FileError, SettingError: as :func:`save` and :func:`write_vocabulary`.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> pets = Vectors(["cat", "dog"], [[1.0, 2.0], [3.0, 0.5]], counts=[9, 5])
    >>> save_word2vec_format(pets, folder + "/pets", fvocab=folder + "/pets.vocab", binary=True)
    >>> back = load_word2vec_format(folder + "/pets", fvocab=folder + "/pets.vocab", binary=True)
    >>> back["dog"].tolist(), back.counts.tolist()
    ([3.0, 0.5], [9, 5])
    """
    require_vectors(vectors)
    true_or_false("binary", binary)
    if fvocab is None:
        save(vectors, path, "binary" if binary else "text")
        return
    if os.path.realpath(fvocab) == os.path.realpath(path):
        raise SettingError(f"{path} is named for both files. Name another file for one.")
    # what cannot be written is refused before either file is replaced
    counted_bytes(as_path(fvocab), vectors.words, vectors.counts)
    save(vectors, path, "binary" if binary else "text")
    write_vocabulary(fvocab, vectors.words, vectors.counts)


def format_of(path: Path) -> str:
    """A format's name, by the extension or else the first bytes. Raises FormatError if unknown."""
    if named := by_suffix(path):
        return named
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        cause = "a pipe can be read only once, so its first bytes cannot tell its format"
        refuse(path, "", cause, f"Name the format, one of {', '.join(FORMATS)}, or save a file.")
    data = contents(path)
    start = bytes(data[:4096])
    if not start:
        refuse(path, "byte 0", "it is empty")
    refuse_foreign(path, start)
    for name, form in FORMATS.items():
        if form.sniff(start, len(data)):
            return name
    cause = f"neither its extension nor {start[:20]!r} tells its format"
    refuse(path, "byte 0", cause, f"Name it: one of {', '.join(FORMATS)}.")


def describe(
    path: AnyPath, *, format: str | None = None, allow: Collection[str] = ()
) -> dict[str, Any]:
    """A file's format, sizes, tables, settings and first words, after all checks of :func:`load`.

    Args:
        path: the file: vectors, a model or a vocabulary.
        format: a key of :data:`FORMATS`, as in :func:`load`.
        allow: the faults to accept, as in :func:`load`.

    Returns:
        A dict that holds only values of JSON.

    Raises:
        FormatError, FileError, SettingError: as :func:`load`.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/pets.txt"
    >>> save(Vectors(["cat", "dog"], np.eye(2)), path)
    >>> found = describe(path)
    >>> found["format"], found["words"], found["dim"], found["first_words"]
    ('text', 2, 2, ['cat', 'dog'])
    """
    path, options = as_path(path), ReadOptions(allow)
    name = format or format_of(path)
    form = _format(name)
    if form.describe:
        found = form.describe(path, options)
    else:
        found = describe_vectors(form.read(path, options))
    return {"file": str(path), "format": name, **found, "bytes": current_path(path).stat().st_size}


def lines_of(found: dict[str, Any]) -> list[tuple[str, str]]:
    """(label, text) of what :func:`describe` found, for people."""
    sizes = f"{found['words']:,} words" + (f" x {found['dim']}" if found["dim"] else "")
    lines = [
        ("file", f"{found['file']} ({found['bytes']:,} bytes)"),
        ("format", FORMATS[found["format"]].about),
        ("holds", f"{found['holds']}, {sizes}"),
    ]
    if found["tokens"] is not None:
        lines.append(("counts", f"{found['tokens']:,} tokens of text"))
    for name, table in found.get("tables", {}).items():
        shape = " x ".join(f"{size:,}" for size in table["shape"])
        lines.append((name, f"{shape} {table['dtype']}"))
    if found["holds"] == "model":
        lines.append(("training", "can go on from here: both tables are present"))
    if found.get("settings"):
        lines.append(("settings", json.dumps(found["settings"], ensure_ascii=False)))
    if "sha256" in found:
        digest = found["sha256"]
        lines.append(("checksum", f"{digest[:16]}... verified" if digest else "none in the file"))
    words = [word if word.isprintable() and word else repr(word) for word in found["first_words"]]
    return [*lines, ("words", " ".join(words) + (" ..." if found["words"] > len(words) else ""))]


def by_suffix(path: Path) -> str | None:
    """The name of the format that an extension stands for. None if there is none."""
    suffix = (path.with_suffix("") if is_compressed(path) else path).suffix.lower()
    return next((name for name, form in FORMATS.items() if suffix in form.suffixes), None)


def _format(name: str) -> Format:
    if not isinstance(name, str) or name not in FORMATS:
        raise SettingError(f"There is no format {shown(name)}. It is one of: {', '.join(FORMATS)}.")
    return FORMATS[name]
