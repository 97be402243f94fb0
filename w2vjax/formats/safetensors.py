"""safetensors, the native format: tables, words, counts, settings and a checksum in one file.

    8 bytes   N, the length of the header, little-endian
    N bytes   JSON: {"__metadata__": {...}, name: {"dtype", "shape", "data_offsets"}, ...}
    the rest  the tensors, one after the other

    input [V, D], output [V or V-1, D]     the tables (vectors alone have no output)
    words.bytes, words.offsets [V+1]       all words as UTF-8, and where each starts
    counts [V]                             occurrences, where known

The file is memory-mapped. The format has no checksum, so ``__metadata__`` holds one: the SHA-256 of
the header, with zeros in place of the digest, and of all that follows the header.
"""

import functools
import hashlib
import itertools
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import FormatError
from w2vjax.files import atomic_file
from w2vjax.reading import Data, contents, refuse, refuse_foreign

# The format's names of types, and NumPy's.
_CODES = "F64<f8 F32<f4 F16<f2 I64<i8 I32<i4 I16<i2 I8<i1 U64<u8 U32<u4 U16<u2 U8<u1".split()
_LONGEST_HEADER = 100_000_000  # the limit of the format's own library
_ALIGNMENT = 64
_ZEROS = "0" * 64


@functools.cache
def _dtypes() -> dict[str, np.dtype[Any]]:
    import ml_dtypes  # other formats do without

    known = {code[:-3]: np.dtype(code[-3:]) for code in _CODES}
    return known | {"BF16": np.dtype(ml_dtypes.bfloat16), "BOOL": np.dtype("?")}


class Tensors(NamedTuple):
    """What a file holds.

    Attributes:
        arrays: the tensors by name, read-only views of the memory map.
        metadata: the strings of ``__metadata__``.
        checksum: the SHA-256 after it was verified; None if there is none or it was not read.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    checksum: str | None


def write_tensors(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write tensors, in the given order, with metadata and a checksum."""
    header: dict[str, Any] = {"__metadata__": {**metadata, "sha256": _ZEROS}}
    ready = {name: _stored(path, name, array) for name, array in arrays.items()}
    names = {dtype: name for name, dtype in _dtypes().items()}
    position = 0
    for name, array in ready.items():
        offsets = [position, position := position + array.nbytes]
        entry = {"dtype": names[array.dtype], "shape": list(array.shape)}
        header[name] = entry | {"data_offsets": offsets}
    # In ASCII the header has the same length for every digest. Spaces align the tensors.
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > _LONGEST_HEADER:
        cause = f"the metadata takes {len(text):,} bytes of JSON"
        limit = f"the format allows {_LONGEST_HEADER:,}"
        raise FormatError(f"{path}: {cause}, and {limit}. Store less of it.")
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
    if little.dtype not in _dtypes().values():
        cause = f"{path}: tensor {name!r} has the type {plain.dtype}"
        raise FormatError(f"{cause}. Use one of {', '.join(_dtypes())}.")
    return little


def read_tensors(path: Path, verify: bool = True) -> Tensors:
    """The tensors of any safetensors file. ``verify`` compares the checksum, if the file has one.

    Raises:
        FormatError: with file and byte, for a header that is not JSON or is wrong about types,
            shapes or places, gaps or overlaps between tensors, a file that is too short or too
            long, and a checksum that does not match.
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
    start, position, arrays = 8 + len(text), 0, {}
    places = [_place(path, name, entry) for name, entry in header.items()]
    for name, kind, begin, end in sorted(places, key=lambda place: place[2:]):
        if begin != position:
            cause = f"tensor {name!r} starts at {begin:,} of the data, not {position:,}"
            refuse(path, f"byte {start + position:,}", cause)
        position = end
        if start + end <= len(data):
            shape = header[name]["shape"]
            flat = np.frombuffer(data, kind, math.prod(shape), start + begin)
            arrays[name] = flat.reshape(shape)
    if start + position != len(data):
        cause = f"the file ends here, and its tensors end at byte {start + position:,}"
        refuse(path, f"byte {len(data):,}", cause)
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
        claim = f"the header claims {length:,} bytes; {len(data) - 8:,} follow"
        refuse(path, "byte 0", f"{claim}, and {_LONGEST_HEADER:,} are allowed")
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
    dtype = _dtypes().get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        cause = f"its dtype {str(entry['dtype'])[:40]!r} is none of {', '.join(_dtypes())}"
        refuse(path, where, cause)
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        given = numbers if isinstance(numbers, list) else [None]
        if not all(type(number) is int and 0 <= number < 2**48 for number in given):
            refuse(path, where, f"{str(numbers)[:60]} is not a list of sizes")
    # NumPy makes no array of more bytes, even if one of its sizes is 0
    if math.prod(max(number, 1) for number in shape) >= 2**48:
        refuse(path, where, f"its shape {str(shape)[:60]} is that of no array")
    size = math.prod(shape) * dtype.itemsize
    if len(offsets) != 2 or len(shape) > 8 or offsets[1] - offsets[0] != size:
        cause = f"its shape {str(shape)[:60]} does not fill data_offsets {str(offsets)[:60]}"
        refuse(path, where, cause)
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
        found = f"the SHA-256 is {digest.hexdigest()[:12]}..., not {claimed[:12]}... as in the file"
        cause = f"{found}: it was damaged or edited"
        refuse(path, "checksum", cause, "Restore it from a copy.")
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
        names = ", ".join(list(tensors.arrays)[:8]) or "none"
        remedy = "Give a file that w2vjax wrote, with its vocabulary inside."
        refuse(path, "", f"it holds no {name}; its tensors are {names}", remedy)
    kinds = str(run.dtype), run.ndim, str(offsets.dtype), offsets.ndim
    if (
        kinds != ("uint8", 1, "int64", 1)
        or [*offsets[:1], *offsets[-1:]] != [0, len(run)]
        or (np.diff(offsets) < 0).any()
    ):
        cause = f"it does not cut the {run.size:,} bytes of '{name}.bytes' into words"
        refuse(path, f"tensor '{name}.offsets'", cause)
    joined, cuts = run.tobytes(), offsets.tolist()
    words = []
    for row, (start, end) in enumerate(itertools.pairwise(cuts)):
        try:
            words.append(joined[start:end].decode())
        except UnicodeDecodeError:
            place = f"tensor '{name}.bytes', byte {start:,} (row {row})"
            refuse(path, place, f"{joined[start:end][:40]!r} is not UTF-8")
    return words
