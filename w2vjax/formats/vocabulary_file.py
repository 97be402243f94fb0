"""The word2vec vocabulary file (``-save-vocab``): a line per word, the word, a space, its count."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from w2vjax.errors import FormatError
from w2vjax.files import atomic_file
from w2vjax.formats.reading import (
    STRICT,
    ReadOptions,
    contents,
    decode,
    encoded,
    refuse,
    refuse_foreign,
    refuse_unfinished,
)
from w2vjax.formats.word2vec_text import FORBIDDEN

_COUNT = re.compile(rb"[0-9]{1,18}")
_MARK = b"\xef\xbb\xbf"


def read_vocabulary(
    path: str | PathLike[str], options: ReadOptions = STRICT
) -> tuple[list[str], np.ndarray | None]:
    """Words and their counts [V] int64, or None where the file holds no counts (only words).

    Raises:
        FormatError: with file and line, for a missing count, a count that is none, an empty line, a word twice.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/pets.vocab"
    >>> write_vocabulary(path, ["cat", "dog"], [5, 3])
    >>> words, counts = read_vocabulary(path)
    >>> words, counts.tolist()
    (['cat', 'dog'], [5, 3])
    """
    path = Path(path)
    data = contents(path)
    refuse_foreign(path, data[:8])
    refuse_unfinished(path, data, options)
    lines = bytes(data).removeprefix(_MARK).split(b"\n")
    if not lines[-1]:
        lines.pop()
    words: dict[str, int | None] = {}
    for number, line in enumerate(lines, 1):
        place = f"line {number}"
        name, space, count = line.rstrip(b"\r ").partition(b" ")
        if not name or b"\0" in name:
            refuse(path, place, f"{line[:40]!r} does not start with a word")
        if space and not _COUNT.fullmatch(count):
            refuse(path, place, f"{count[:40]!r} is not a count")
        word = decode(path, name, place, options)
        if word not in words:
            words[word] = int(count) if space else None
        elif "duplicates" not in options.allow:
            refuse(path, place, f"the word {word!r} stands there again",
                   "Keep one of them, or read with allow='duplicates' to keep the first.")  # fmt: skip
        if (words[word] is None) != (next(iter(words.values())) is None):
            refuse(path, place, "it has a count and line 1 has none, or the other way round")
    counts = list(words.values())
    return list(words), None if not counts or counts[0] is None else np.array(counts, np.int64)


def vocabulary_bytes(path: Path, words: Sequence[str], counts: Any) -> bytes:
    """The file as bytes; refuses a word it cannot carry."""
    names = encoded(path, words, FORBIDDEN, "a vocabulary file")
    if names and names[0].startswith(_MARK):
        refuse(path, "", f"a vocabulary file cannot start with a byte order mark, and the word {words[0]!r} does",
               "Write safetensors, or remove the mark.")  # fmt: skip
    if counts is None:
        return b"".join(name + b"\n" for name in names)
    return b"".join(b"%b %d\n" % pair for pair in zip(names, np.asarray(counts).tolist(), strict=True))


def write_vocabulary(path: str | PathLike[str], words: Sequence[str], counts: Any) -> None:
    """Words and counts [V] as the C tool's ``-save-vocab`` writes them.

    Raises:
        FormatError: there are no counts, or a word holds white space or NUL.
        FileError: the file cannot be written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/pets.vocab"
    >>> write_vocabulary(path, ["cat", "dog"], [9, 5])
    >>> Path(path).read_text()
    'cat 9\\ndog 5\\n'
    """
    path = Path(path)
    if counts is None:
        raise FormatError(f"{path}: a vocabulary file needs counts, and these vectors carry none. Read them from a "
                          "model, or with a vocabulary file beside them.")  # fmt: skip
    data = vocabulary_bytes(path, words, counts)
    with atomic_file(path) as file:
        file.write(data)
