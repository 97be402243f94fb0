"""NumPy's ``.npy`` with a word2vec vocabulary file beside it: ``vectors.npy`` and ``vectors.vocab``.

The matrix is memory-mapped. The header of a ``.npy`` is a Python literal; it is matched here against the one form that
a plain matrix has, and never evaluated.
"""

import re
import struct
from pathlib import Path

import numpy as np

from w2vjax.errors import SettingError
from w2vjax.files import atomic_files, settled
from w2vjax.formats.reading import ReadOptions, Table, checked, contents, refuse, refuse_foreign, writable
from w2vjax.formats.vocabulary_file import read_vocabulary, vocabulary_bytes
from w2vjax.formats.word2vec_text import FORBIDDEN
from w2vjax.vectors.vectors import Vectors

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]f[248])', 'fortran_order': (True|False), 'shape': \(([0-9]{1,18}), ([0-9]{1,18})\), \} *\n"
)


def read_npy(path: Path, options: ReadOptions, vocabulary: Path | None = None) -> Vectors:
    """The matrix of ``path``, mapped, with the words of ``vocabulary`` (by default the same name with ``.vocab``).

    Raises:
        FormatError: with file and byte, for anything that is not a plain two-dimensional array of floats, a size that
            disagrees with the file's or with the vocabulary's.
    """
    beside = vocabulary or path.with_suffix(".vocab")
    matrix_file, words_file = settled([path, beside]) if beside.parent == path.parent else [path, beside]
    matrix, start = _matrix(path, contents(matrix_file))
    words, counts = read_vocabulary(words_file, options._replace(allow=options.allow - {"duplicates"}))
    if len(words) != len(matrix):
        refuse(beside, f"line {len(words)}", f"it holds {len(words):,} words, and {path} {len(matrix):,} vectors",
               "Give the vocabulary that was written with the matrix.")  # fmt: skip
    width = matrix.shape[1] * matrix.itemsize
    vectors = checked(
        path, Table(words, matrix, counts), options, lambda row: f"byte {start + row * width:,} (row {row})"
    )
    return vectors[: options.limit] if options.limit else vectors


def _matrix(path: Path, data: bytes) -> tuple[np.ndarray, int]:
    """The array as a view of the file, and the byte at which it starts."""
    refuse_foreign(path, data[:8])
    if data[:6] != _MAGIC or len(data) < 12 or data[6] not in (1, 2, 3):
        refuse(path, "byte 0", f"{bytes(data[:8])!r} is not how an .npy file of version 1, 2 or 3 starts")
    size, kind = (2, "<H") if data[6] == 1 else (4, "<I")
    (length,) = struct.unpack(kind, data[8 : 8 + size])
    start = 8 + size + length
    text = bytes(data[8 + size : 8 + size + min(length, 4096)])
    match = _HEADER.fullmatch(text)
    if not match:
        refuse(path, f"byte {8 + size}", f"the header {text[:80]!r} is not that of a two-dimensional array of floats",
               "Save a float32 matrix [V, D] with numpy.save.")  # fmt: skip
    dtype, rows, dim = np.dtype(match[1].decode()), int(match[3]), int(match[4])
    if start + rows * dim * dtype.itemsize != len(data):
        refuse(path, f"byte {len(data):,}", f"the file ends here, and {rows:,} x {dim:,} {dtype} end at byte "
               f"{start + rows * dim * dtype.itemsize:,}")  # fmt: skip
    flat = np.frombuffer(data, dtype, count=rows * dim, offset=start)
    return flat.reshape((rows, dim), order="F" if match[2] == b"True" else "C"), start


def write_npy(path: Path, vectors: Vectors) -> None:
    """``path`` and, beside it, the vocabulary; both appear together. Without counts a line holds just a word."""
    if path.suffix == ".vocab":
        raise SettingError(
            f"{path} is where the words of an .npy go. Name the matrix {path.with_suffix('.npy').name}."
        )
    _, matrix = writable(path, vectors, FORBIDDEN, "a vocabulary file")
    rows = np.ascontiguousarray(matrix, "<f4")
    words = vocabulary_bytes(path.with_suffix(".vocab"), vectors.words, vectors.counts)
    with atomic_files([path, path.with_suffix(".vocab")]) as (matrix_file, words_file):
        # numpy.save would write with ndarray.tofile, which loses the error of a full disk.
        np.lib.format.write_array_header_1_0(matrix_file, np.lib.format.header_data_from_array_1_0(rows))
        matrix_file.write(rows.reshape(-1).view(np.uint8).data)
        words_file.write(words)
