"""safetensors: the native format. Matrices, vocabulary, counts, settings and a checksum in one
file, memory-mapped.

    8 bytes   N, the length of the header, little-endian
    N bytes   JSON: {"__metadata__": {...}, name: {"dtype", "shape", "data_offsets"}, ...}
    the rest  the tensors, one after the other

    input [V, D], output [V or V-1, D]     the tables (vectors alone have no output)
    words.bytes, words.offsets [V+1]       all words as UTF-8, and where each starts
    counts [V]                             occurrences, where known

The format has no checksum of its own: ``__metadata__`` holds the SHA-256 of the header (with the
digest's own place filled with zeros) and of all that follows it.
"""

import hashlib
import itertools
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import FormatError
from w2vjax.files import atomic_file
from w2vjax.reading import Data, contents, refuse, refuse_foreign

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LONGEST_HEADER = 100_000_000  # the limit of the format's own library
_ALIGNMENT = 64
_ZEROS = "0" * 64


class Tensors(NamedTuple):
    """A file's tensors, read-only views of its memory map, and its metadata."""

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    # the verified SHA-256; None where the file has none or it was not looked at
    checksum: str | None


def write_tensors(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write tensors, in the given order, with metadata and a checksum."""
    header: dict[str, Any] = {"__metadata__": {**metadata, "sha256": _ZEROS}}
    ready = {name: _stored(path, name, array) for name, array in arrays.items()}
    position = 0
    for name, array in ready.items():
        dtype, size = _NAMES[array.dtype], array.nbytes
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [position, position + size],
        }
        position += size
    # ASCII keeps the header's length the same whatever the digest; spaces at its end align the
    # tensors for mapping.
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > _LONGEST_HEADER:
        raise FormatError(
            f"{path}: the metadata takes {len(text):,} bytes of JSON, and the format allows "
            f"{_LONGEST_HEADER:,}. Store less of it."
        )
    digest = hashlib.sha256(text)
    for array in ready.values():
        digest.update(array.reshape(-1).view(np.uint8).data)
    place = text.index(_digest_entry(_ZEROS))
    final = _digest_entry(digest.hexdigest())
    with atomic_file(path) as file:
        file.write(struct.pack("<Q", len(text)) + text[:place] + final + text[place + len(final) :])
        for array in ready.values():
            file.write(array.reshape(-1).view(np.uint8).data)


def _digest_entry(digest: str) -> bytes:
    return f'"sha256":"{digest}"'.encode()


def _stored(path: Path, name: str, array: ArrayLike) -> np.ndarray:
    plain = np.asarray(array, order="C")  # ascontiguousarray would give a scalar a dimension
    little = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    if little.dtype not in _NAMES:
        raise FormatError(
            f"{path}: tensor {name!r} has the type {plain.dtype}. Use one of {', '.join(_DTYPES)}."
        )
    return little


def read_tensors(path: Path, verify: bool = True) -> Tensors:
    """The tensors of any safetensors file; with ``verify``, the checksum of one of ours is compared
    (0.7 GB/s).

    Raises:
        FormatError: with file and byte, for a header that is no JSON or lies about types, shapes or
            places, gaps or overlaps between tensors, a truncated or too long file, and a checksum
            that does not match.
    """
    data = contents(path)
    refuse_foreign(path, data[:8])
    text = _header_text(path, data)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        refuse(path, "byte 8", f"the header is not JSON ({str(error)[:100]})")
    if not isinstance(header, dict):
        refuse(path, "byte 8", "the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        refuse(path, "byte 8", "__metadata__ is not a JSON object of strings")
    start = 8 + len(text)
    places = sorted(
        (_place(path, name, entry) for name, entry in header.items()), key=lambda place: place[2:]
    )
    position = 0
    for name, _, begin, end in places:
        if begin != position:
            refuse(
                path,
                f"byte {start + position:,}",
                f"tensor {name!r} starts at {begin:,} of the data, not {position:,}",
            )
        position = end
    if start + position != len(data):
        refuse(
            path,
            f"byte {len(data):,}",
            f"the file ends here, and its tensors end at byte {start + position:,}",
        )
    arrays = {
        name: np.frombuffer(
            data, kind, count=math.prod(header[name]["shape"]), offset=start + begin
        ).reshape(header[name]["shape"])
        for name, kind, begin, _ in places
    }
    digest = _verified(path, data, text, metadata.get("sha256")) if verify else None
    return Tensors(arrays, metadata, digest)


def _header_text(path: Path, data: Data) -> bytes:
    if len(data) < 8:
        cause = "the file ends here, and the length of the header takes 8 bytes"
        refuse(path, f"byte {len(data)}", cause)
    if data[8:9] not in {b"{", b""}:
        cause = f"it is not a safetensors file, whose header starts with '{{', not {data[8:9]!r}"
        refuse(path, "byte 8", cause, "Give a .safetensors file, as training writes one.")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(len(data) - 8, _LONGEST_HEADER):
        cause = (
            f"the header claims {length:,} bytes; {len(data) - 8:,} follow, and "
            f"{_LONGEST_HEADER:,} are allowed"
        )
        refuse(path, "byte 0", cause)
    return bytes(data[8 : 8 + length])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a name stands in it twice")
    return dict(pairs)


def _place(path: Path, name: str, entry: object) -> tuple[str, np.dtype, int, int]:
    """(name, dtype, begin, end) of a tensor whose entry agrees with itself."""
    where = f"byte 8, tensor {name[:60]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        refuse(path, where, "its entry does not hold just dtype, shape and data_offsets")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        refuse(
            path, where, f"its dtype {str(entry['dtype'])[:40]!r} is none of {', '.join(_DTYPES)}"
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(
            type(number) is int and 0 <= number < 2**48 for number in numbers
        ):
            refuse(path, where, f"{str(numbers)[:60]} is not a list of sizes")
    if (
        len(offsets) != 2
        or len(shape) > 8
        or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize
    ):
        refuse(
            path,
            where,
            f"its shape {str(shape)[:60]} does not fill data_offsets {str(offsets)[:60]}",
        )
    return name, dtype, offsets[0], offsets[1]


def _verified(path: Path, data: Data, text: bytes, claimed: str | None) -> str | None:
    if claimed is None:
        return None
    if not re.fullmatch("[0-9a-f]{64}", claimed):
        refuse(path, "byte 8, __metadata__", f"sha256 {claimed[:70]!r} is not a SHA-256")
    digest = hashlib.sha256(text.replace(_digest_entry(claimed), _digest_entry(_ZEROS), 1))
    view = memoryview(data)
    for start in range(8 + len(text), len(data), 1 << 24):
        digest.update(view[start : start + (1 << 24)])
    if digest.hexdigest() != claimed:
        refuse(
            path,
            "checksum",
            f"the SHA-256 is {digest.hexdigest()[:12]}... and the file says {claimed[:12]!r}...: "
            "it was damaged or edited",
            "Restore it from a copy.",
        )
    return claimed


def pack_words(name: str, words: Sequence[bytes]) -> dict[str, np.ndarray]:
    """V words as ``name.bytes``, one run of bytes, and ``name.offsets`` [V+1] into it."""
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    return {f"{name}.offsets": offsets, f"{name}.bytes": np.frombuffer(b"".join(words), np.uint8)}


def unpack_words(path: Path, tensors: Tensors, name: str) -> list[str]:
    """The words stored as ``name.bytes`` and ``name.offsets``."""
    try:
        run, offsets = tensors.arrays[f"{name}.bytes"], tensors.arrays[f"{name}.offsets"]
    except KeyError:
        refuse(
            path,
            "",
            f"it holds no {name}; its tensors are {', '.join(list(tensors.arrays)[:8]) or 'none'}",
            "Give a file that w2vjax wrote, with its vocabulary inside.",
        )
    right = (
        run.dtype == np.uint8 and run.ndim == 1 and offsets.dtype == np.int64 and offsets.ndim == 1
    )
    if (
        not right
        or not len(offsets)
        or offsets[0] != 0
        or offsets[-1] != len(run)
        or (np.diff(offsets) < 0).any()
    ):
        refuse(
            path,
            f"tensor '{name}.offsets'",
            f"it does not cut the {run.size:,} bytes of '{name}.bytes' into words",
        )
    joined, cuts = run.tobytes(), offsets.tolist()
    words = []
    for row, (start, end) in enumerate(itertools.pairwise(cuts)):
        try:
            words.append(joined[start:end].decode())
        except UnicodeDecodeError:
            refuse(
                path,
                f"tensor '{name}.bytes', byte {start:,} (row {row})",
                f"{joined[start:end][:40]!r} is not UTF-8",
            )
    return words
