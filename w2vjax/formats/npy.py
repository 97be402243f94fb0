"""NumPy's ``.npy`` with word2vec's vocabulary file beside it: ``vectors.npy``, ``vectors.vocab``.

The matrix is memory-mapped. The header of a ``.npy`` is a Python literal. It is compared with the
one form that a plain matrix has, and never evaluated.
"""

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2vjax.errors import SettingError
from w2vjax.files import atomic_files, settled
from w2vjax.formats.table import Format, Table, beside, checked, writable
from w2vjax.reading import Data, ReadOptions, contents, refuse, refuse_foreign
from w2vjax.vectors.vectors import Vectors
from w2vjax.vocabulary_file import FORBIDDEN, read_vocabulary, vocabulary_bytes

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]f[248])', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9]{1,18}), ([0-9]{1,18})\), \} *\n"
)


def words_path(path: Path) -> Path:
    """Where the words of a matrix are.

    >>> words_path(Path("pets.npy")).name, words_path(Path("v1.5")).name
    ('pets.vocab', 'v1.5.vocab')
    """
    stem = path.stem if path.suffix.lower() == ".npy" else path.name
    return path.with_name(f"{stem}.vocab")


def read_npy(path: Path, options: ReadOptions) -> Vectors:
    """The matrix, with the words of ``options.vocabulary`` or of the same name with ``.vocab``.

    Raises:
        FormatError: with file and byte, if this is not a plain two-dimensional array of floats, or
            its size disagrees with the size of the file or of the vocabulary.
    """
    named = Path(options.vocabulary or beside(path, words_path))
    files = [path, named]
    matrix_file, words_file = settled(files) if named.parent == path.parent else files
    matrix, start = _matrix(path, contents(matrix_file))
    # Each line names a row, so no line can be left out.
    every = replace(options, allow=set(options.allow) - {"duplicates", "nameless-rows"})
    words, counts = read_vocabulary(words_file, every)
    if len(words) != len(matrix):
        cause = f"it holds {len(words):,} words, and {path} {len(matrix):,} vectors"
        remedy = "Give the vocabulary that was written with the matrix."
        refuse(named, f"line {len(words)}", cause, remedy)
    width = matrix.shape[1] * matrix.itemsize

    def place(row: int) -> str:
        return f"byte {start + row * width:,} (row {row})"

    return checked(path, Table(words, matrix, counts), replace(options, vocabulary=None), place)


def _matrix(path: Path, data: Data) -> tuple[np.ndarray, int]:
    """The array as a view of the file, and the byte at which it starts."""
    refuse_foreign(path, data[:8])
    if data[:6] != _MAGIC or len(data) < 12 or data[6] not in (1, 2, 3):
        cause = f"{bytes(data[:8])!r} is not how an .npy file of version 1, 2 or 3 starts"
        refuse(path, "byte 0", cause)
    size, kind = (2, "<H") if data[6] == 1 else (4, "<I")
    (length,) = struct.unpack(kind, data[8 : 8 + size])
    start = 8 + size + length
    text = bytes(data[8 + size : 8 + size + min(length, 4096)])
    match = _HEADER.fullmatch(text)
    if not match:
        cause = f"the header {text[:80]!r} is not that of a two-dimensional array of floats"
        refuse(path, f"byte {8 + size}", cause, "Save a float32 matrix [V, D] with numpy.save.")
    dtype, rows, dim = np.dtype(match[1].decode()), int(match[3]), int(match[4])
    end = start + rows * dim * dtype.itemsize
    if end != len(data):
        cause = f"the file ends here, and {rows:,} x {dim:,} {dtype} end at byte {end:,}"
        refuse(path, f"byte {len(data):,}", cause)
    flat = np.frombuffer(data, dtype, count=rows * dim, offset=start)
    return flat.reshape((rows, dim), order="F" if match[2] == b"True" else "C"), start


def write_npy(path: Path, vectors: Vectors) -> None:
    """The matrix and its vocabulary, which appear together. Without counts a line is a word."""
    if path.suffix == ".vocab":
        name = path.with_suffix(".npy").name
        raise SettingError(f"{path} is where the words of an .npy go. Name the matrix {name}.")
    _, matrix = writable(path, vectors, FORBIDDEN, "a vocabulary file")
    rows = np.ascontiguousarray(matrix, "<f4")
    words = vocabulary_bytes(words_path(path), vectors.words, vectors.counts)
    with atomic_files([path, words_path(path)]) as (matrix_file, words_file):
        # numpy.save would write with ndarray.tofile, which loses the error of a full disk.
        header = np.lib.format.header_data_from_array_1_0(rows)
        np.lib.format.write_array_header_1_0(matrix_file, header)
        matrix_file.write(rows.reshape(-1).view(np.uint8).data)
        words_file.write(words)


def _sniff(start: bytes, size: int) -> bool:
    return start.startswith(_MAGIC)


_ABOUT = "NumPy matrix, its words in a .vocab file"
FORMAT = Format(_ABOUT, (".npy",), _sniff, read_npy, write_npy, beside=words_path)
