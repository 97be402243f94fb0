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

from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from w2vjax.errors import SettingError
from w2vjax.formats.decimals import NUMBER
from w2vjax.formats.model_file import read_safetensors, write_safetensors
from w2vjax.formats.npy import read_npy, write_npy
from w2vjax.formats.projector import read_projector, write_projector
from w2vjax.formats.reading import ReadOptions, contents, reading, refuse, refuse_foreign
from w2vjax.formats.vocabulary_file import read_vocabulary, write_vocabulary
from w2vjax.formats.word2vec_binary import read_binary, write_binary
from w2vjax.formats.word2vec_text import read_text, write_text
from w2vjax.vectors.vectors import Vectors


class Format(NamedTuple):
    """One way to store vectors."""

    suffixes: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Vectors] | None  # None: it holds no vectors
    write: Callable[[Path, Vectors], None]
    about: str


def _write_vocabulary(path: Path, vectors: Vectors) -> None:
    write_vocabulary(path, vectors.words, vectors.counts)


FORMATS = {
    "safetensors": Format(
        (".safetensors",), read_safetensors, write_safetensors, "safetensors with words and checksum"
    ),
    "text": Format((".txt", ".vec"), read_text, write_text, "word2vec or GloVe text"),
    "binary": Format((".bin",), read_binary, write_binary, "word2vec binary"),
    "npy": Format((".npy",), read_npy, write_npy, "NumPy matrix, its words in a .vocab file"),
    "projector": Format(
        (".tsv",), read_projector, write_projector, "TensorBoard projector, its words in a metadata file"
    ),
    "vocabulary": Format((".vocab",), None, _write_vocabulary, "word2vec vocabulary, words and counts"),
}
_COMPRESSED = {".gz", ".bz2", ".xz"}


def load(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    table: str = "input",
    vocabulary: str | PathLike[str] | None = None,
    allow: Collection[str] = (),
    unicode_errors: str = "strict",
    limit: int | None = None,
    verify: bool = True,
) -> Vectors:
    """Read vectors from a file. No format runs code, and no header is believed beyond the size of the file.

    Args:
        path: the file; ``.gz``, ``.bz2`` and ``.xz`` are decompressed, up to 100 times their size.
        format: a key of :data:`FORMATS`; by default the extension says, and where it does not, the file's first bytes.
        table: ``"output"`` takes the output table of a model (safetensors only).
        vocabulary: a vocabulary file, for the words of a ``.npy`` and for the counts of word2vec text and binary.
        allow: what to forgive: ``"duplicates"`` (the first is kept), ``"non-finite"``,
            ``"trailing-bytes"``, ``"unfinished-line"`` (a text file without a line end at its end).
        unicode_errors: ``"replace"`` or ``"ignore"`` for words that are not UTF-8.
        limit: read the first rows only.
        verify: compare the checksum of a safetensors file, which reads all of it once.

    Raises:
        FormatError: the file breaks a rule of its format; the message names file and line or byte.
        FileError: the file cannot be read.
        SettingError: an option has no meaning.

    The example of :func:`save` reads back what it wrote.
    """
    path, options = Path(path), reading(allow, unicode_errors, limit)
    name = format or format_of(path)
    read = _format(name).read
    if read is None:
        refuse(path, "", "a vocabulary file holds no vectors", "Read it with w2vjax.formats.read_vocabulary.")
    if name == "safetensors":
        return read_safetensors(path, options, table, verify)
    if table != "input":
        raise SettingError(
            f"{path}: table={table!r} is only in safetensors files; {name} holds one table. Leave it out."
        )
    if name == "npy":
        return read_npy(path, options, None if vocabulary is None else Path(vocabulary))
    vectors = read(path, options)
    return vectors if vocabulary is None else _with_counts(vectors, Path(vocabulary), options)


def save(vectors: Vectors, path: str | PathLike[str], format: str | None = None) -> None:
    """Write vectors to a file, whole or not at all, without losing a bit, or refuse and name the word.

    Args:
        vectors: what to write.
        path: where; an older file stays until the new one is on the disk.
        format: a key of :data:`FORMATS`; by default the extension says.

    Raises:
        FormatError: the format cannot carry a word (a space in word2vec text), or a vector holds NaN.
        FileError: the file cannot be written.
        SettingError: neither the extension nor ``format`` names a format.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/pets.safetensors"
    >>> save(Vectors(["cat", "my dog"], np.eye(2)), path)
    >>> load(path).words
    ('cat', 'my dog')
    """
    path = Path(path)
    if path.suffix.lower() in _COMPRESSED:
        raise SettingError(
            f"{path}: vectors are not written compressed. Leave out {path.suffix} and compress after."
        )
    name = format or _by_suffix(path)
    if name is None:
        known = ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
        raise SettingError(
            f"{path} has no known extension ({known}). Use one, or name the format: {', '.join(FORMATS)}."
        )
    _format(name).write(path, vectors)


def load_word2vec_format(
    path: str | PathLike[str],
    fvocab: str | PathLike[str] | None = None,
    binary: bool = False,
    unicode_errors: str = "strict",
    limit: int | None = None,
    *,
    allow: Collection[str] = (),
) -> Vectors:
    """gensim's ``KeyedVectors.load_word2vec_format``: word2vec text or binary, with counts from ``fvocab``.

    A missing header (GloVe) is recognised, so ``no_header`` is not needed. Raises as :func:`load`. The
    example of :func:`save_word2vec_format` reads back what it wrote.
    """
    form = "binary" if binary else "text"
    return load(path, format=form, vocabulary=fvocab, allow=allow, unicode_errors=unicode_errors, limit=limit)


def save_word2vec_format(
    vectors: Vectors,
    path: str | PathLike[str],
    fvocab: str | PathLike[str] | None = None,
    binary: bool = False,
) -> None:
    """gensim's ``save_word2vec_format``; the words keep their order. Raises as :func:`save`.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> pets = Vectors(["cat", "dog"], [[1.0, 2.0], [3.0, 0.5]], counts=[9, 5])
    >>> save_word2vec_format(pets, folder + "/pets", fvocab=folder + "/pets.vocab", binary=True)
    >>> back = load_word2vec_format(folder + "/pets", fvocab=folder + "/pets.vocab", binary=True)
    >>> back["dog"].tolist(), back.counts.tolist()
    ([3.0, 0.5], [9, 5])
    """
    if fvocab is not None:
        write_vocabulary(Path(fvocab), vectors.words, vectors.counts)
    save(vectors, path, "binary" if binary else "text")


def format_of(path: Path) -> str:
    """A format's name, from the extension or else from the first bytes; raises FormatError where neither tells."""
    if by_suffix := _by_suffix(path):
        return by_suffix
    data = contents(path)
    start = bytes(data[:4096])
    if not start:
        refuse(path, "byte 0", "it is empty")
    refuse_foreign(path, start)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= len(data):
        return "safetensors"
    lines = start.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    fields = lines[0].split()
    if len(fields) > 2 and NUMBER.fullmatch(fields[-1]):
        return "text"
    if len(fields) == 2 and len(lines) > 1:
        numbers = (
            lines[1].split(b" ")[1:]
            if len(lines) > 2 or len(data) < len(start)
            else lines[1].split(b" ")[1:-1]
        )
        plain = bool(numbers) and all(NUMBER.fullmatch(number) for number in numbers if number.strip())
        return "text" if plain else "binary"
    known = ", ".join(FORMATS)
    refuse(
        path,
        "byte 0",
        f"neither its extension nor {start[:20]!r} tells its format",
        f"Name it: one of {known}.",
    )


def _by_suffix(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    return next((name for name, form in FORMATS.items() if suffixes and suffixes[-1] in form.suffixes), None)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise SettingError(f"There is no format {name!r}. It is one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def _with_counts(vectors: Vectors, path: Path, options: ReadOptions) -> Vectors:
    words, counts = read_vocabulary(path, options)
    if counts is None:
        refuse(path, "line 1", "it holds no counts")
    known = dict(zip(words, counts.tolist(), strict=True))
    missing = next((word for word in vectors.words if word not in known), None)
    if missing is not None:
        refuse(
            path,
            "",
            f"it has no count for {missing!r}",
            "Give the vocabulary that was written with the vectors.",
        )
    return Vectors(vectors.words, vectors.matrix, [known[word] for word in vectors.words])
