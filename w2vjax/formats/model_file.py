"""What a trained model and vectors are called inside a safetensors file: saving and loading both.

A model holds the input and the output table and so can be trained further; vectors hold the input
table.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import FormatError, SettingError
from w2vjax.formats.safetensors import (
    Tensors,
    pack_words,
    read_tensors,
    unpack_words,
    write_tensors,
)
from w2vjax.formats.table import Format, Table, checked, describe_vectors, first_non_finite
from w2vjax.reading import ReadOptions, encoded, refuse
from w2vjax.types import Params
from w2vjax.vectors.vectors import Vectors

TABLES = ("input", "output")
_FORMAT = "w2vjax 1"


class Model(NamedTuple):
    """A trained model as it lies in its file."""

    params: Params  # input [V, D], output [V or V-1, D], read-only views of the memory map
    words: list[str]  # [V]
    counts: np.ndarray | None  # [V] int64
    metadata: dict[str, Any]  # what the saver gave: settings, versions, the corpus


def save_model(
    path: str | PathLike[str],
    params: Params,
    words: Sequence[str],
    counts: ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    dropped: Mapping[str, int] | None = None,
) -> None:
    """Write both tables, the vocabulary, its counts, ``metadata`` (anything JSON holds) and a
    checksum to one file.

    Args:
        path: the file, usually ``model.safetensors``; it appears whole or not at all.
        params: ``input`` [V, D] and ``output`` [V, D], or [V-1, D] for the inner nodes of a Huffman
            tree; their types are kept.
        words: V words.
        counts: [V] occurrences.
        metadata: the settings of the run. ``metadata["min_count"]`` is told to whoever asks for a
            rare word.
        dropped: the counts of the words that ``min_count`` left out.

    Raises:
        FormatError: shapes that disagree, NaN or infinity in a table, a word that is not text.
        FileError: the file cannot be written.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> save_model(path, Params(np.eye(2), np.ones((2, 2))), ["a", "b"], [3, 2], {"dim": 2})
    >>> model = load_model(path)
    >>> model.words, model.counts.tolist(), model.metadata, model.params.output.shape
    (['a', 'b'], [3, 2], {'dim': 2}, (2, 2))
    """
    tables = {name: np.asarray(table) for name, table in zip(TABLES, params, strict=True)}
    rows, dim = len(words), tables["input"].shape[-1]
    for name, table in tables.items():
        if (
            table.ndim != 2
            or table.shape[1] != dim
            or len(table) not in ({rows} if name == "input" else {rows, rows - 1})
        ):
            raise FormatError(
                f"{path}: {rows} words and dim {dim} do not fit the {name} table's shape "
                f"{table.shape}."
            )
    _write(Path(path), tables, words, counts, metadata or {}, dropped)


def write_safetensors(path: Path, vectors: Vectors) -> None:
    """Vectors alone, with their counts."""
    vocab = vectors.vocab
    metadata = {} if vocab.min_count == 1 else {"min_count": vocab.min_count}
    _write(
        path,
        {"input": np.asarray(vectors.matrix)},
        vocab.words,
        vocab.counts,
        metadata,
        vocab.dropped,
    )


def _write(
    path: Path,
    tables: Mapping[str, np.ndarray],
    words: Sequence[str],
    counts: ArrayLike | None,
    metadata: Mapping[str, Any],
    dropped: Mapping[str, int] | None,
) -> None:
    for name, table in tables.items():
        if (row := first_non_finite(table)) is not None:
            raise FormatError(
                f"{path}: row {row} of the {name} table holds NaN or infinity and is not written. "
                "Train again with a lower learning rate."
            )
    try:
        settings = json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"{path}: the metadata is not JSON ({error}). Pass numbers, text, lists and dicts."
        ) from error
    arrays = dict(tables)
    arrays |= pack_words("words", encoded(path, words, "", "safetensors"))
    if counts is not None:
        arrays["counts"] = np.asarray(counts, np.int64)
    if dropped:
        arrays["dropped.counts"] = np.array(list(dropped.values()), np.int64)
        arrays |= pack_words("dropped", encoded(path, dropped, "", "safetensors"))
    write_tensors(path, arrays, {"format": _FORMAT, "settings": settings})


def load_model(path: str | PathLike[str], *, verify: bool = True) -> Model:
    """Read back what :func:`save_model` wrote, to train further or to look inside. The tables are
    memory-mapped.

    Args:
        path: the file.
        verify: compare the checksum, which reads the whole file once (0.7 GB/s).

    Raises:
        FormatError: the file is damaged, is not a model, or holds vectors without an output table.
        FileError: the file cannot be read.

    The example of :func:`save_model` reads back what it wrote.
    """
    path = Path(path)
    tensors = open_tensors(path, verify)
    if "input" in tensors.arrays and "output" not in tensors.arrays:
        refuse(
            path,
            "",
            "it holds vectors without the output table, so it cannot be trained further",
            "Give the model.safetensors that training wrote.",
        )
    words = unpack_words(path, tensors, "words")
    for name in TABLES:
        _table(path, tensors, name, len(words))
    params = Params(tensors.arrays["input"], tensors.arrays["output"])
    return Model(
        params, words, _counts(path, tensors, "counts", len(words)), metadata(path, tensors)
    )


def open_tensors(path: Path, verify: bool = True) -> Tensors:
    """The tensors of a file; one that w2vjax wrote has to have its checksum still."""
    tensors = read_tensors(path, verify)
    if (
        "format" in tensors.metadata
        and tensors.metadata["format"] != _FORMAT
        and "sha256" in tensors.metadata
    ):
        refuse(
            path,
            "byte 8, __metadata__",
            f"its format is {tensors.metadata['format'][:40]!r}, not {_FORMAT!r}",
            "Read it with the version of w2vjax that wrote it.",
        )
    if tensors.metadata.get("format") == _FORMAT and "sha256" not in tensors.metadata:
        refuse(
            path,
            "byte 8, __metadata__",
            "its checksum is gone: it was damaged or edited",
            "Restore it from a copy.",
        )
    return tensors


def read_safetensors(path: Path, options: ReadOptions) -> Vectors:
    """The words with the input or the output table of a model, or the vectors of a file that holds
    only them.
    """
    tensors = open_tensors(path, options.verify)
    words = unpack_words(path, tensors, "words")
    if options.table not in tensors.arrays:
        refuse(
            path,
            "",
            f"it holds no {options.table} table",
            "Give the model.safetensors that training wrote.",
        )
    matrix = _table(path, tensors, options.table, len(words))
    if len(matrix) != len(words):
        cause = f"its {len(matrix):,} rows are the inner nodes of a Huffman tree, not the {len(words):,} words"
        refuse(path, f"tensor '{options.table}'", cause, "Take the input table.")
    # A verified file was checked when it was written. Another look for NaN would read the memory
    # map a second time.
    if tensors.checksum and matrix.itemsize <= 4:
        options = replace(options, allow=(*options.allow, "non-finite"))
    dropped = None
    if "dropped.bytes" in tensors.arrays:
        rare = unpack_words(path, tensors, "dropped")
        rare_counts = _counts(path, tensors, "dropped.counts", len(rare))
        dropped = dict(zip(rare, [] if rare_counts is None else rare_counts.tolist(), strict=False))
    min_count = metadata(path, tensors).get("min_count")
    least = min_count if isinstance(min_count, int) else 1
    table = Table(words, matrix, _counts(path, tensors, "counts", len(words)), dropped, least)
    return checked(path, table, options, lambda row: f"row {row}")


def _describe(path: Path, options: ReadOptions) -> dict[str, Any]:
    found = describe_vectors(read_safetensors(path, options))
    tensors = open_tensors(path, verify=False)  # reading the vectors compared the checksum
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
        refuse(
            path,
            "",
            f"it holds no {name} table; its tensors are "
            f"{', '.join(list(tensors.arrays)[:8]) or 'none'}",
            "Give the model.safetensors that training wrote.",
        )
    fitting = {rows} if name == "input" else {rows, rows - 1}
    if table.ndim != 2 or len(table) not in fitting or table.dtype.kind not in "fV":
        refuse(
            path,
            f"tensor '{name}'",
            f"{table.dtype} {table.shape} is not a table for {rows:,} words",
        )
    return table


def _counts(path: Path, tensors: Tensors, name: str, rows: int) -> np.ndarray | None:
    counts = tensors.arrays.get(name)
    if counts is not None and (
        counts.shape != (rows,) or counts.dtype != np.int64 or (counts < 0).any()
    ):
        refuse(
            path,
            f"tensor '{name}'",
            f"{counts.dtype} {counts.shape} are not counts of {rows:,} words",
        )
    return counts


def _sniff(start: bytes, size: int) -> bool:
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size


FORMAT = Format(
    "safetensors with words and checksum",
    (".safetensors",),
    _sniff,
    read_safetensors,
    write_safetensors,
    frozenset({"table"}),
    _describe,
)
