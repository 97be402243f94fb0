"""Models and vectors in safetensors files.

A model holds the input and the output table, so it can be trained further. Vectors hold the input
table only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.compressed import refuse_compressed
from w2vjax.errors import FormatError, SettingError, shown
from w2vjax.files import AnyPath, as_path
from w2vjax.formats import safetensors
from w2vjax.formats.safetensors import Tensors, read_tensors, write_tensors
from w2vjax.formats.table import Format, Table, checked, describe_vectors, first_non_finite
from w2vjax.reading import ReadOptions, encoded, refuse
from w2vjax.real import true_or_false
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocab import Vocab

if TYPE_CHECKING:  # it imports JAX, which reading vectors does not need
    from w2vjax.types import Params

TABLES = ("input", "output")
_FLOATS = "fV"  # the kinds of NumPy's floats, and of bfloat16
_FORMAT = "w2vjax 1"
_REMEDY = "Give the model.safetensors that training wrote."


class Model(NamedTuple):
    """A trained model, read from its file.

    Attributes:
        params: input [V, D] and output [V or V-1, D], read-only views of the memory map.
        words: V words.
        counts: [V] int64, or None.
        metadata: what was saved with the model: settings, versions, the corpus.
    """

    params: "Params"
    words: list[str]
    counts: np.ndarray | None
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        return f"Model({len(self.words):,} words x {self.params.input.shape[1]})"


def save_model(
    path: AnyPath,
    params: "Params",
    words: Sequence[str],
    counts: ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    dropped: Mapping[str, int] | None = None,
) -> None:
    """Write both tables, the vocabulary, its counts, metadata and a checksum to one file.

    Args:
        path: the file, usually ``model.safetensors``. It appears whole or not at all.
        params: ``input`` [V, D] and ``output`` [V, D], or [V-1, D] for the inner nodes of a Huffman
            tree. Their types are kept.
        words: V words.
        counts: [V] how often each word occurs.
        metadata: the settings of the run, as JSON can hold them. The error for a rare word gives
            ``metadata["min_count"]``. With ``metadata["objective"]`` "hierarchical", the output
            table is not read as vectors of words.
        dropped: the counts of the words that ``min_count`` left out.

    Raises:
        FormatError: shapes disagree, a table holds NaN, infinity or no floats, or a word is not
            text.
        SettingError: there are not two tables, a word is not a string or occurs twice, there is not
            one count of 0 or more for each word, the metadata is not a dict of JSON, or the
            extension names a compression.
        FileError: the file cannot be written.

    >>> import tempfile, numpy as np
    >>> from w2vjax.types import Params
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> save_model(path, Params(np.eye(2), np.ones((2, 2))), ["a", "b"], [3, 2], {"dim": 2})
    >>> model = load_model(path)
    >>> model.words, model.counts.tolist(), model.metadata, model.params.output.shape
    (['a', 'b'], [3, 2], {'dim': 2}, (2, 2))
    """
    path, vocab = as_path(path), Vocab(words, counts, dropped=dropped)
    refuse_compressed(path)
    if not isinstance(metadata, Mapping | None):
        raise SettingError(f"The metadata {shown(metadata)} is not a dict. Pass one.")
    try:
        tables = {name: np.asarray(table) for name, table in zip(TABLES, params, strict=True)}
    except (TypeError, ValueError) as error:
        cause = f"{shown(params)} is not two tables of numbers"
        raise SettingError(f"{cause}. Pass w2v.Params(input, output).") from error
    for name, table in tables.items():
        shape, dims = table.shape, tables["input"].shape[1:]
        if table.ndim != 2 or shape[1:] != dims or len(table) not in _fitting(name, len(vocab)):
            cause = f"{len(vocab)} words do not fit the {name} table's shape {shape}"
            other = f", with {tables['input'].shape} of the input table" if name == "output" else ""
            raise FormatError(f"{path}: {cause}{other}. Give the words of these tables.")
        if table.dtype.kind not in _FLOATS:
            raise FormatError(f"{path}: the {name} table is of type {table.dtype}. Give floats.")
    _write(path, tables, vocab, metadata or {})


def _fitting(name: str, words: int) -> set[int]:
    """The numbers of rows that a table may have. A tree has one inner node less than leaves."""
    return {words} if name == "input" else {words, words - 1}


def write_safetensors(path: Path, vectors: Vectors) -> None:
    """Vectors alone, with their counts."""
    vocab = vectors.vocab
    metadata = {} if vocab.min_count == 1 else {"min_count": vocab.min_count}
    tables = {"input": np.asarray(vectors.matrix)}
    _write(path, tables, vocab, metadata)


def _write(
    path: Path, tables: Mapping[str, np.ndarray], vocab: Vocab, metadata: Mapping[str, Any]
) -> None:
    for name, table in tables.items():
        if (row := first_non_finite(table)) is not None:
            cause = f"row {row} of the {name} table holds NaN or infinity and is not written"
            raise FormatError(f"{path}: {cause}. Train again with a lower learning rate.")
    try:
        settings = json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        cause = f"{path}: the metadata is not JSON ({error})"
        raise SettingError(f"{cause}. Pass numbers, text, lists and dicts.") from error
    arrays = dict(tables)
    arrays |= safetensors.pack_words("words", encoded(path, vocab.words, "", "safetensors"))
    if vocab.counts is not None:
        arrays["counts"] = vocab.counts
    if vocab.dropped:
        arrays["dropped.counts"] = np.array(list(vocab.dropped.values()), np.int64)
        arrays |= safetensors.pack_words("dropped", encoded(path, vocab.dropped, "", "safetensors"))
    write_tensors(path, arrays, {"format": _FORMAT, "settings": settings})


def load_model(path: AnyPath, *, verify: bool = True) -> Model:
    """Read what :func:`save_model` wrote. The tables are memory-mapped.

    Args:
        path: the file.
        verify: compare the checksum, which reads the whole file once (0.7 GB/s).

    Returns:
        The tables, the words, their counts and the metadata.

    Raises:
        FormatError: the file is damaged, is not a model, or holds vectors without an output table.
        FileError: the file cannot be read.
        SettingError: ``verify`` is not True or False.

    >>> import tempfile
    >>> from w2vjax.types import Params
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/model.safetensors"
    >>> save_model(path, Params(np.eye(2), np.ones((2, 2))), ["a", "b"])
    >>> load_model(path)
    Model(2 words x 2)
    >>> folder.cleanup()
    """
    path = as_path(path)
    true_or_false("verify", verify)
    tensors = open_tensors(path, verify)
    if "input" in tensors.arrays and "output" not in tensors.arrays:
        cause = "it holds vectors without the output table, so it cannot be trained further"
        refuse(path, "", cause, _REMEDY)
    words = safetensors.unpack_words(path, tensors, "words")
    for name in TABLES:
        _table(path, tensors, name, len(words))
    from w2vjax.types import Params

    params = Params(tensors.arrays["input"], tensors.arrays["output"])
    counts = _counts(path, tensors, "counts", len(words))
    return Model(params, words, counts, metadata(path, tensors))


def open_tensors(path: Path, verify: bool = True) -> Tensors:
    """The tensors of a file. A file that w2vjax wrote must have its checksum."""
    tensors = read_tensors(path, verify)
    form, place = tensors.metadata.get("format"), "byte 8, __metadata__"
    if "sha256" in tensors.metadata and form not in {None, _FORMAT}:
        cause = f"its format is {form[:40]!r}, not {_FORMAT!r}"
        refuse(path, place, cause, "Read it with the version of w2vjax that wrote it.")
    if "sha256" not in tensors.metadata and form == _FORMAT:
        cause = "its checksum is gone: it was damaged or edited"
        refuse(path, place, cause, "Restore it from a copy.")
    return tensors


def read_safetensors(path: Path, options: ReadOptions) -> Vectors:
    """The words with the input or the output table of a model, or with the vectors of a file."""
    return _vectors(path, open_tensors(path, options.verify), options)


def _vectors(path: Path, tensors: Tensors, options: ReadOptions) -> Vectors:
    words, settings = safetensors.unpack_words(path, tensors, "words"), metadata(path, tensors)
    matrix = _table(path, tensors, options.table, len(words))
    tree = options.table == "output" and settings.get("objective") == "hierarchical"
    if tree or len(matrix) != len(words):
        cause = f"its {len(matrix):,} rows are the inner nodes of a Huffman tree, not words"
        refuse(path, f"tensor '{options.table}'", cause, "Take the input table.")
    # A verified file was checked when it was written. A second look for NaN would read all of it.
    if tensors.checksum and matrix.itemsize <= 4:
        options = replace(options, allow=(*options.allow, "non-finite"))
    dropped = None
    if "dropped.bytes" in tensors.arrays:
        rare = safetensors.unpack_words(path, tensors, "dropped")
        rare_counts = _counts(path, tensors, "dropped.counts", len(rare))
        dropped = dict(zip(rare, [] if rare_counts is None else rare_counts.tolist(), strict=False))
    min_count = settings.get("min_count")
    least = min_count if type(min_count) is int and min_count >= 0 else 1
    table = Table(words, matrix, _counts(path, tensors, "counts", len(words)), dropped, least)
    return checked(path, table, options, lambda row: f"row {row}")


def _describe(path: Path, options: ReadOptions) -> dict[str, Any]:
    tensors = open_tensors(path, options.verify)
    found = describe_vectors(_vectors(path, tensors, options))
    tables = {name: tensors.arrays[name] for name in TABLES if name in tensors.arrays}
    return found | {
        "holds": "model" if "output" in tables else "vectors",
        "tables": {
            name: {"shape": list(table.shape), "dtype": str(table.dtype)}
            for name, table in tables.items()
        },
        "settings": metadata(path, tensors),
        "sha256": tensors.metadata.get("sha256"),
    }


def metadata(path: Path, tensors: Tensors) -> dict[str, Any]:
    """The settings stored in the file."""
    try:
        settings = json.loads(tensors.metadata.get("settings", "{}"))
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        refuse(path, "byte 8, __metadata__", "the settings are not a JSON object")
    return settings


def _table(path: Path, tensors: Tensors, name: str, rows: int) -> np.ndarray:
    table = tensors.arrays.get(name)
    if table is None:
        names = ", ".join(list(tensors.arrays)[:8]) or "none"
        refuse(path, "", f"it holds no {name} table; its tensors are {names}", _REMEDY)
    if table.ndim != 2 or len(table) not in _fitting(name, rows) or table.dtype.kind not in _FLOATS:
        cause = f"{table.dtype} {table.shape} is not a table for {rows:,} words"
        refuse(path, f"tensor '{name}'", cause)
    return table


def _counts(path: Path, tensors: Tensors, name: str, rows: int) -> np.ndarray | None:
    counts = tensors.arrays.get(name)
    if counts is not None and (
        counts.shape != (rows,) or counts.dtype != np.int64 or (counts < 0).any()
    ):
        cause = f"{counts.dtype} {counts.shape} are not counts of {rows:,} words"
        refuse(path, f"tensor '{name}'", cause)
    return counts


def _sniff(start: bytes, size: int) -> bool:
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size


_ABOUT, _TAKES = "safetensors with words and checksum", frozenset({"table"})
FORMAT = Format(
    _ABOUT, (".safetensors",), _sniff, read_safetensors, write_safetensors, _TAKES, _describe
)
