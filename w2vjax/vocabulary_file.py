"""word2vec's vocabulary file (``-save-vocab``): on each line a word, one space and its count.

Beside a ``.npy`` the file may hold words without counts.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from w2vjax import reading
from w2vjax.compressed import refuse_compressed
from w2vjax.errors import FormatError
from w2vjax.files import AnyPath, as_path, atomic_file
from w2vjax.reading import MARK, STRICT, ReadOptions, contents, decode, encoded, refuse
from w2vjax.real import whole_counts

SPACES = "".join(map(chr, range(33)))  # what separates words in a text
FORBIDDEN = " \t\n\r\v\f\0"  # the C tools split at all white space
_LINE = re.compile(rb"([^ \t\n\r\v\f\0]+)(?: ([0-9]{1,19}))?")
_MOST = np.iinfo(np.int64).max


def read_vocabulary(
    path: AnyPath, options: ReadOptions = STRICT
) -> tuple[list[str], np.ndarray | None]:
    """Read the words and the counts of a vocabulary file.

    Args:
        path: the file. A ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` is decompressed.
        options: their ``allow`` and ``unicode_errors`` are used, as in :func:`w2vjax.load`.

    Returns:
        (words, counts [V] int64). The counts are None if the file holds words only.

    Raises:
        FileError: the file cannot be read.
        FormatError: a line is not a word, one space and a count; a word occurs twice; only some
            lines have counts; the last line has no end. The message names the line.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/pets.vocab"
    >>> write_vocabulary(path, ["cat", "dog"], [5, 3])
    >>> words, counts = read_vocabulary(path)
    >>> words, counts.tolist()
    (['cat', 'dog'], [5, 3])
    """
    path = as_path(path)
    data = contents(path)
    reading.refuse_foreign(path, data[:8])
    reading.refuse_unfinished(path, data, options)
    words: dict[str, int | None] = {}
    lines = reading.split_lines(data)
    refuse_empty_end(path, lines)
    for number, line in enumerate(lines, 1):
        place = f"line {number}"
        if "nameless-rows" in options.allow and re.fullmatch(rb" +[0-9]{1,19}", line):
            continue
        match = _LINE.fullmatch(line)
        if match is None or int(match[2] or 0) > _MOST:
            cause = f"{line[:60]!r} is not a word, one space and a count"
            refuse(path, place, cause, "Correct the line.")
        word = decode(path, match[1], place, options)
        if word not in words:
            words[word] = None if match[2] is None else int(match[2])
        elif "duplicates" not in options.allow:
            remedy = "Keep one of them. In Python, allow='duplicates' keeps the first."
            refuse(path, place, f"the word {word!r} is on an earlier line too", remedy)
        if (match[2] is None) != (next(iter(words.values())) is None):
            cause = "only one of this line and line 1 has a count"
            refuse(path, place, cause, "Give every word a count.")
    counts = list(words.values())
    return list(words), None if not counts or counts[0] is None else np.array(counts, np.int64)


def refuse_empty_end(path: Path, lines: Sequence[bytes]) -> None:
    """Refuse empty lines at the end of a file by number, before one counts as a row."""
    rows = len(lines)
    while rows and not lines[rows - 1]:
        rows -= 1
    if rows < len(lines):
        refuse(path, f"line {rows + 1}", "the line is empty", "Delete it.")


def vocabulary_bytes(
    path: Path, words: Sequence[str], counts: np.ndarray | Sequence[int] | None
) -> bytes:
    """The bytes of the file, without counts if ``counts`` is None. Refuses unfit words."""
    refuse_compressed(path)
    names = encoded(path, words, FORBIDDEN, "a vocabulary file")
    if names and names[0].startswith(MARK):
        what = "a vocabulary file cannot start with a byte order mark"
        cause = f"{what}, and the word {words[0]!r} does"
        refuse(path, "", cause, "Write safetensors, or remove the mark.")
    if counts is None:
        return b"".join(name + b"\n" for name in names)
    numbers = whole_counts("counts", counts)
    if numbers.shape != (len(names),):
        cause = f"{len(names)} words have counts of shape {numbers.shape}"
        refuse(path, "", cause, "Give one for each word.")
    pairs = zip(names, numbers.tolist(), strict=True)
    return b"".join(b"%b %d\n" % pair for pair in pairs)


def counted_bytes(
    path: Path, words: Sequence[str], counts: np.ndarray | Sequence[int] | None
) -> bytes:
    """The bytes of the file. Refuses words without counts, too."""
    if counts is None:
        raise FormatError(
            f"{path}: a vocabulary file needs counts, and these words have none. "
            "Read them from a model, or with a vocabulary file beside them."
        )
    return vocabulary_bytes(path, words, counts)


def write_vocabulary(
    path: AnyPath, words: Sequence[str], counts: np.ndarray | Sequence[int] | None
) -> None:
    """Write words and counts as the C tool's ``-save-vocab`` does.

    Args:
        path: the file. An older file stays until the new one is on the disk.
        words: V words.
        counts: [V] how often each word occurs.

    Raises:
        FormatError: there is not one count for each word, a word is empty or holds white space or
            NUL, or the first one begins with a byte order mark.
        SettingError: a count is not a whole number from 0 to 2^63 - 1, or the path ends in .gz,
            .bz2, .xz or .zst.
        FileError: the file cannot be written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/pets.vocab"
    >>> write_vocabulary(path, ["cat", "dog"], [9, 5])
    >>> Path(path).read_text()
    'cat 9\\ndog 5\\n'
    """
    path = as_path(path)
    data = counted_bytes(path, words, counts)
    with atomic_file(path) as file:
        file.write(data)
