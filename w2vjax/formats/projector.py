"""TensorBoard's embedding projector: ``tensors.tsv``, a line of numbers a word, and its labels.

The labels are in ``metadata.tsv``. One column (words) has no header, and two (words and counts)
need one. The projector shows about 10,000 rows: save the most frequent words, ``vectors[:10_000]``.
"""

import re
from pathlib import Path

import numpy as np

from w2vjax import reading
from w2vjax.files import atomic_files, settled
from w2vjax.formats.decimals import decimals, plain_numbers, shortest, slow_numbers
from w2vjax.formats.table import Format, Table, beside, checked, never, writable
from w2vjax.reading import ReadOptions, contents, decode, refuse
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocabulary_file import refuse_empty_end

FORBIDDEN = "\t\n\r\0"
SHOWN = 10_000
_HEADER = b"word\tcount"


def metadata_path(path: Path) -> Path:
    """Where the labels of a file of vectors are.

    >>> metadata_path(Path("tensors.tsv")).name, metadata_path(Path("english.tsv")).name
    ('metadata.tsv', 'english_metadata.tsv')
    """
    if "tensors" in path.name:
        return path.with_name("metadata".join(path.name.rsplit("tensors", 1)))
    return path.with_name(f"{path.stem}_metadata{path.suffix}")


def read_projector(path: Path, options: ReadOptions) -> Vectors:
    """Vectors of ``tensors.tsv`` with the words (and counts) of ``metadata.tsv``.

    Raises:
        FormatError: with file and line, for rows of different widths, a field or a count that is
            not a number, and another number of labels.
    """
    names = beside(path, metadata_path)
    tensors, labels = settled([path, names])
    data = contents(tensors)
    reading.refuse_foreign(path, data[:8])
    reading.refuse_unfinished(path, data, options)
    rows = reading.split_lines(data)
    if not rows:
        refuse(path, "line 1", "it is empty")
    refuse_empty_end(path, rows)
    dim = rows[0].count(b"\t") + 1
    for number, row in enumerate(rows, 1):
        if row.count(b"\t") != dim - 1:
            cause = f"there are {row.count(9) + 1} numbers, and line 1 has {dim}"
            refuse(path, f"line {number}", cause)
    plain = None
    if data.find(b" ") < 0:
        plain = plain_numbers([row.replace(b"\t", b" ") for row in rows], dim)
    if plain is None:
        fields = [row.split(b"\t") for row in rows]
        plain = np.stack([slow_numbers(path, f"line {n}", row) for n, row in enumerate(fields, 1)])
    label_data = contents(labels)
    reading.refuse_unfinished(names, label_data, options)
    words, counts, first = _labels(names, reading.split_lines(label_data), len(rows), path, options)

    def place(row: int) -> str:
        return f"line {row + 1} (label line {row + first})"

    return checked(path, Table(words, plain, counts), options, place)


def _labels(
    path: Path, lines: list[bytes], rows: int, tensors: Path, options: ReadOptions
) -> tuple[list[str], np.ndarray | None, int]:
    """Words, counts if there is a column of them, and the number of the first word's line."""
    refuse_empty_end(path, lines)
    columns = lines[0].split(b"\t") if lines else []
    first = 2 if len(columns) > 1 else 1
    if len(lines) - first + 1 != rows:
        cause = f"it labels {len(lines) - first + 1:,} rows, and {tensors} has {rows:,}"
        remedy = "With two columns or more the first line has to be a header; with one it must not."
        refuse(path, f"line {len(lines)}", cause, remedy)
    count_column = columns.index(b"count") if first == 2 and b"count" in columns else None
    words, counts = [], []
    for number, line in enumerate(lines[first - 1 :], first):
        fields = line.split(b"\t")
        if len(fields) != len(columns):
            cause = f"there are {len(fields)} columns, and line 1 has {len(columns)}"
            refuse(path, f"line {number}", cause)
        if not fields[0] or b"\0" in fields[0]:
            refuse(path, f"line {number}", f"{fields[0][:40]!r} is not a word")
        words.append(decode(path, fields[0], f"line {number}", options))
        if count_column is not None:
            if not re.fullmatch(rb"[0-9]{1,18}", fields[count_column]):
                refuse(path, f"line {number}", f"{fields[count_column][:40]!r} is not a count")
            counts.append(int(fields[count_column]))
    return words, np.array(counts, np.int64) if count_column is not None else None, first


def write_projector(path: Path, vectors: Vectors) -> None:
    """``tensors.tsv`` and ``metadata.tsv``, which appear together."""
    labels = metadata_path(path)
    if not len(vectors):
        refuse(path, "", "the projector cannot carry an empty vocabulary", "Write safetensors.")
    names, matrix = writable(path, vectors, FORBIDDEN, "projector metadata")
    for row, word in enumerate(vectors.words):
        # The projector trims lines and drops empty ones. A byte order mark at the start of a file
        # is not part of its text.
        if not word.strip("\ufeff").strip() or (row == 0 and word.startswith("\ufeff")):
            cause = f"projector metadata cannot carry the word {word[:60]!r} (row {row})"
            why = "it is blank or starts the file with a byte order mark"
            refuse(path, "", f"{cause}: {why}", "Leave the word out, or write safetensors.")
    with atomic_files([path, labels]) as (tensors_file, labels_file):
        for start in range(0, len(matrix), 1024):
            rows = shortest(matrix[start : start + 1024])
            tensors_file.write(b"".join(decimals(row, "\t") + b"\n" for row in rows))
        if vectors.counts is None:
            labels_file.write(b"".join(name + b"\n" for name in names))
        else:
            pairs = zip(names, vectors.counts.tolist(), strict=True)
            labels_file.write(_HEADER + b"\n" + b"".join(b"%b\t%d\n" % pair for pair in pairs))


_ABOUT = "TensorBoard projector, its words in a metadata file"
FORMAT = Format(_ABOUT, (".tsv",), never, read_projector, write_projector, beside=metadata_path)
