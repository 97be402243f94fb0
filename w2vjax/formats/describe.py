"""What a file of vectors holds, found by reading all of it."""

from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import Any

from w2vjax.formats.formats import format_of, load
from w2vjax.formats.model_file import metadata, open_tensors
from w2vjax.formats.reading import reading
from w2vjax.formats.vocabulary_file import read_vocabulary


def describe(
    path: str | PathLike[str], *, format: str | None = None, allow: Collection[str] = ()
) -> dict[str, Any]:
    """A file's format, sizes, tables, settings and first words, after every check that :func:`~w2vjax.load` makes.

    Raises as :func:`~w2vjax.load`; only values that JSON holds are returned.

    >>> import tempfile, numpy as np, w2vjax as w2v
    >>> path = tempfile.mkdtemp() + "/pets.txt"
    >>> w2v.save(w2v.Vectors(["cat", "dog"], np.eye(2)), path)
    >>> found = describe(path)
    >>> found["format"], found["words"], found["dim"], found["first_words"]
    ('text', 2, 2, ['cat', 'dog'])
    """
    path = Path(path)
    name = format or format_of(path)
    found: dict[str, Any] = {"file": str(path), "format": name, "holds": "vectors"}
    if name == "vocabulary":
        words, counts = read_vocabulary(path, reading(allow))
        found |= {"holds": "vocabulary", "words": len(words), "dim": None, "first_words": words[:8]}
    else:
        vectors = load(path, format=name, allow=allow)
        counts = vectors.counts
        found |= {"words": len(vectors), "dim": vectors.dim, "first_words": list(vectors.words[:8])}
    found["tokens"] = None if counts is None else int(counts.sum())
    if name == "safetensors":
        tensors = open_tensors(path, verify=False)  # load() compared the checksum
        tables = {key: tensors.arrays[key] for key in ("input", "output") if key in tensors.arrays}
        found["holds"] = "model" if "output" in tables else "vectors"
        found["tables"] = {
            key: {"shape": list(table.shape), "dtype": str(table.dtype)} for key, table in tables.items()
        }
        found["settings"] = metadata(path, tensors)
        found["sha256"] = tensors.metadata.get("sha256")
    found["bytes"] = path.stat().st_size
    return found
