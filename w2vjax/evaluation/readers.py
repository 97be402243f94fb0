"""Read evaluation sets: word pairs that people have scored, and analogy questions by section.

Nothing is skipped in silence: a line that does not fit stops the reading with file and line number.
A ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` is decompressed.
"""

import math
import re
from collections.abc import Iterator
from typing import TypeAlias

from w2vjax.corpus.tokenizers import tokenize_whitespace
from w2vjax.errors import FormatError
from w2vjax.files import AnyPath, as_path
from w2vjax.reading import contents, refuse_foreign
from w2vjax.vocabulary_file import SPACES

ScoredPair: TypeAlias = tuple[str, str, float]
Question: TypeAlias = tuple[str, str, str, str]  # a is to b as c is to d

# float() takes other numbers too: 7_5 is 75, and there are digits of many scripts.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile("[+-]?(inf|infinity|nan)", re.IGNORECASE)


def read_word_pairs(path: AnyPath) -> list[ScoredPair]:
    """Read lines of two words and a score, as in wordsim353.

    A line is separated by tabs, or if it has none by commas, or by spaces. Empty lines, lines that
    start with ``#`` and a header are left out. A header is a first line of three names; the last of
    them has no digit, so that a damaged score is not taken for a name. Double quotes around
    every word of the file, as programs write CSV, are left out.

    Args:
        path: the file. A ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` is decompressed.

    Returns:
        (word, word, score) triples in the order of the file.

    Raises:
        FileError: the file cannot be read.
        FormatError: a line does not have two words and a finite number, or no line has.
        SettingError: ``path`` is not a path.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "pairs.tsv")
    >>> _ = path.write_text("tiger\\tcat\\t7.35\\n")
    >>> read_word_pairs(path)
    [('tiger', 'cat', 7.35)]
    >>> folder.cleanup()
    """
    pairs: list[ScoredPair] = []
    header_allowed = True
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        fields = _fields(line)
        three = len(fields) == 3 and all(map(_unquoted, fields))
        third = _unquoted(fields[2]) if three else ""
        score = float(third) if _NUMBER.fullmatch(third) else math.nan
        if math.isfinite(score):
            pairs.append((fields[0], fields[1], score))
        elif not (header_allowed and three and _is_name(third)):
            cause = f"{line!r:.80} is not two words and a number"
            remedy = "Separate the three by tabs, one pair on a line."
            raise FormatError(f"{path}, line {number}: {cause}. {remedy}")
        header_allowed = False
    if not pairs:
        cause = f"{path} holds no word pairs"
        raise FormatError(f"{cause}. Give lines of two words and a score, separated by tabs.")
    # a single word may have quotes of its own
    if all(_unquoted(word) != word for pair in pairs for word in pair[:2]):
        return [(_unquoted(first), _unquoted(second), score) for first, second, score in pairs]
    return pairs


def read_word_analogies(path: AnyPath) -> dict[str, list[Question]]:
    """Read questions of four words a line under ``: section`` lines, as in questions-words.txt.

    Sections of the same name are joined. Empty lines are left out.

    Args:
        path: the file. A ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` is decompressed.

    Returns:
        The questions by section, in the order of the file.

    Raises:
        FileError: the file cannot be read.
        FormatError: a question stands before the first section or does not have four words, or
            there is none.
        SettingError: ``path`` is not a path.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "questions.txt")
    >>> _ = path.write_text(": capitals\\nAthens Greece Oslo Norway\\n")
    >>> read_word_analogies(path)
    {'capitals': [('Athens', 'Greece', 'Oslo', 'Norway')]}
    >>> folder.cleanup()
    """
    sections: dict[str, list[Question]] = {}
    current: list[Question] | None = None
    for number, line in _lines(path):
        words = tokenize_whitespace(line)
        # ":) happy :( sad" is a question
        if line.startswith(":") and (words[0] == ":" or len(words) != 4):
            current = sections.setdefault(line.lstrip(":").strip(SPACES), [])
            continue
        if current is None or len(words) != 4:
            what = "is not four words" if current is not None else "stands before the first section"
            remedy = "Write ': name' above each section and four words on each line under it."
            raise FormatError(f"{path}, line {number}: {line!r:.80} {what}. {remedy}")
        current.append((words[0], words[1], words[2], words[3]))
    if not any(sections.values()):
        cause = f"{path} holds no questions"
        raise FormatError(f"{cause}. Give lines of four words under ': name' lines.")
    return sections


def _lines(path: AnyPath) -> Iterator[tuple[int, str]]:
    """The number and the text of each line that is not empty. Only CR and LF end a line."""
    path = as_path(path)
    data = bytes(contents(path))
    refuse_foreign(path, data[:8])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cause = f"{path} is not UTF-8 at byte {error.start}"
        raise FormatError(f"{cause}. Convert it to UTF-8.") from error
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        if stripped := line.strip(SPACES):
            yield number, stripped


def _fields(line: str) -> list[str]:
    """The fields of a line of pairs. A word may hold spaces where another character separates."""
    separator = "\t" if "\t" in line else "," if "," in line else None
    if separator is None:
        return tokenize_whitespace(line)
    return [field.strip(SPACES) for field in line.split(separator)]


def _unquoted(field: str) -> str:
    """A field of CSV without the double quotes around it. A quote within them is written twice."""
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"') if quoted else field


def _is_name(field: str) -> bool:
    """Whether the third field of a first line names the scores and is no damaged score."""
    return not any(map(str.isdigit, field)) and not _NOT_FINITE.fullmatch(field)
