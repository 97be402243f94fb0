"""One pass over a source: give each new word a number, count the words, write the numbers to disk.

The ids are known only once every word has been counted. :func:`renumber` then replaces the numbers
by ids and drops the words that are not in the vocabulary. It reads the numbers, not the text, which
is much cheaper.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from w2vjax.corpus.sources import (
    READING,
    SEPARATOR,
    Reading,
    Source,
    TextSource,
    blocks,
    is_text,
    lines,
)
from w2vjax.corpus.table import PIECE, WordTable
from w2vjax.corpus.tokenizers import Tokenizer, check_tokenizer, tokenize_whitespace
from w2vjax.errors import CorpusError

BATCH = 1 << 18  # numbers handled at a time, by renumber and when tokens come from Python
NEWLINE = 0x0A


class Seen(NamedTuple):
    """What a pass has met. S numbers exist. A number with a count of 0 stands for no word."""

    counts: np.ndarray  # [S] int64
    first: np.ndarray  # [S] int64, the place among all tokens where the word is first met, or -1
    spell: Callable[[np.ndarray], list[str]]  # numbers -> words
    tokens: int
    lines: int  # that hold a token


class NumberedWords(NamedTuple):
    """The next words of a source, each as its number."""

    numbers: np.ndarray  # [n] int64
    starts: np.ndarray  # [m] int64, the places in numbers where lines begin
    size: int  # numbers below this exist


def scan(
    source: Source,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
    numbers_file: IO[bytes] | None = None,
    starts_file: IO[bytes] | None = None,
) -> Seen:
    """Read a source once. Writes the numbers as int32 and the line starts as int64, if asked to."""
    check_tokenizer(tokenizer)
    spell: Callable[[np.ndarray], list[str]]
    if is_text(source) and tokenizer in (None, tokenize_whitespace):
        table = WordTable()
        batches = _words_of_text(source, table, reading)
        spell = table.spell
    else:
        ids: dict[str, int] = {}
        batches = _words_of_lists(_token_lists(source, tokenizer, reading), ids)

        def spell(numbers: np.ndarray) -> list[str]:
            words = list(ids)
            return [words[number] for number in numbers.tolist()]

    counts, first = np.zeros(1 << 10, np.int64), np.full(1 << 10, -1)
    met = np.zeros(1 << 10, bool)  # whether first >= 0, in an array that fits the cache
    tokens = found_lines = 0
    for batch in batches:
        if batch.size > len(counts):
            more = max(batch.size, 2 * len(counts)) - len(counts)
            counts, met = np.pad(counts, (0, more)), np.pad(met, (0, more))
            first = np.pad(first, (0, more), constant_values=-1)
        # backwards: the earliest is written last
        new = np.flatnonzero(~met.take(batch.numbers))[::-1]
        met[batch.numbers[new]] = True
        first[batch.numbers[new]] = new + tokens
        np.add.at(counts, batch.numbers, 1)
        if numbers_file is not None:
            numbers_file.write(batch.numbers.astype("<i4").data)
        if starts_file is not None:
            starts_file.write((batch.starts + tokens).astype("<i8", copy=False).data)
        tokens += len(batch.numbers)
        found_lines += len(batch.starts)
    if not tokens:
        raise CorpusError(_empty(source))
    return Seen(counts, first, spell, tokens, found_lines)


def _empty(source: Source) -> str:
    if iter_is_self(source):
        return (
            "The corpus gave no tokens: it is an iterator, which can be read only once. Pass a "
            "list, or an object whose __iter__ starts anew."
        )
    return "The corpus holds no words: it is empty, or nothing but white space. Read more text."


def iter_is_self(source: Source) -> bool:
    """Whether a source is a generator or another iterator, which cannot be read twice."""
    return not is_text(source) and hasattr(source, "__next__")


def _words_of_text(
    source: TextSource, table: WordTable, reading: Reading
) -> Iterator[NumberedWords]:
    line_begins = True
    for block in blocks(source, reading):
        separators = np.flatnonzero(block.data <= SEPARATOR)
        starts = np.concatenate([[0], separators[:-1] + 1])
        lengths = separators - starts
        opens = np.zeros(0, np.int64)  # for every newline, the words of this block before it
        if NEWLINE in block.data:
            newline = np.flatnonzero(block.data[separators] == NEWLINE)
            opens = newline + 1 if lengths.all() else np.cumsum(lengths > 0)[newline]
        if not lengths.all():
            real = np.flatnonzero(lengths)
            starts, lengths = starts[real], lengths[real]
        numbers = table.states(
            np.concatenate([block.data, np.zeros(PIECE, np.uint8)]), starts, lengths
        )
        opens, line_begins = _line_starts(opens, line_begins, len(numbers))
        yield NumberedWords(numbers, opens, table.size)


def _line_starts(opens: np.ndarray, line_begins: bool, words: int) -> tuple[np.ndarray, bool]:
    """(places of the first words of lines, whether the next batch begins a line).

    >>> _line_starts(np.array([2, 2, 5]), True, 5)  # two lines, an empty one between them
    (array([0, 2]), True)
    """
    if line_begins:
        opens = np.concatenate([[0], opens])
    opens = opens[np.diff(opens, prepend=-1) > 0]
    begins = bool(len(opens)) and int(opens[-1]) == words
    return (opens[:-1] if begins else opens), begins


def _token_lists(
    source: Source, tokenizer: Tokenizer | None, reading: Reading
) -> Iterator[Sequence[str]]:
    if is_text(source):
        tokenizer = tokenizer or tokenize_whitespace
        for line in lines(source, reading):
            yield tokenizer(line)
        return
    if not isinstance(source, Iterable) or hasattr(source, "decode"):  # bytes
        raise CorpusError(
            f"A corpus cannot be read from a {type(source).__name__}. Pass a path, or an iterable "
            "of token lists."
        )
    for number, item in enumerate(source, 1):
        if isinstance(item, str) and tokenizer is not None:
            yield tokenizer(item)
        elif isinstance(item, (str, bytes)) or not isinstance(item, Iterable):
            shown = repr(item) if len(repr(item)) < 60 else repr(item)[:57] + "..."
            raise CorpusError(
                f"Item {number} of the corpus is {shown}, not a list of tokens. Pass token lists, "
                "as in [line.split() for line in text.splitlines()], or a tokenizer."
            )
        else:
            yield list(item)


def _words_of_lists(
    token_lists: Iterator[Sequence[str]], ids: dict[str, int]
) -> Iterator[NumberedWords]:
    numbers: list[int] = []
    starts: list[int] = []
    for line, tokens in enumerate(token_lists, 1):
        if isinstance(tokens, str):
            raise CorpusError(
                f"The tokenizer returned the string {tokens[:40]!r} for line {line}. It has to "
                "return a list of words."
            )
        before = len(numbers)
        for token in tokens:
            if not isinstance(token, str):
                raise CorpusError(
                    f"Line {line} of the corpus holds {token!r:.60}, a {type(token).__name__}. "
                    "Words are strings: convert them with str."
                )
            if token:  # what line.split(" ") makes of two spaces is no word
                numbers.append(ids.setdefault(token, len(ids)))
        if len(numbers) > before:
            starts.append(before)
        if len(numbers) >= BATCH:
            yield NumberedWords(np.array(numbers, np.int64), np.array(starts, np.int64), len(ids))
            numbers, starts = [], []
    yield NumberedWords(np.array(numbers, np.int64), np.array(starts, np.int64), len(ids))


def renumber(
    numbers_file: IO[bytes],
    starts_file: IO[bytes],
    ids_of: np.ndarray,
    ids_out: IO[bytes],
    starts_out: IO[bytes],
) -> int:
    """Write the ids and the line starts, and return the number of ids.

    ``ids_of`` [S] int32 is the id of each number, or -1 for a word that is dropped. A line that
    keeps no word has no start.
    """
    numbers_file.seek(0)
    starts_file.seek(0)
    read = kept = 0
    pending = _read(starts_file, "<i8", BATCH)
    held = np.zeros(0, np.int64)  # the last start, which is written once a kept word follows it
    while len(numbers := _read(numbers_file, "<i4", BATCH)):
        ids = ids_of.take(numbers)
        keep = ids >= 0
        kept_before: np.ndarray = np.cumsum(keep) - keep
        while True:
            inside = int(np.searchsorted(pending, read + len(numbers)))
            moved = np.concatenate([held, kept + kept_before[pending[:inside] - read]])
            moved = moved[np.diff(moved, prepend=-1) > 0]
            starts_out.write(moved[:-1].astype("<i8").data)
            held, pending = moved[-1:], pending[inside:]
            if len(pending) or not len(pending := _read(starts_file, "<i8", BATCH)):
                break
        ids_out.write(ids[keep].astype("<i4").data)
        read += len(numbers)
        kept += int(np.count_nonzero(keep))
    starts_out.write(held[held < kept].astype("<i8").data)
    return kept


def _read(file: IO[bytes], dtype: str, count: int) -> np.ndarray:
    data = file.read(count * np.dtype(dtype).itemsize)
    return np.frombuffer(data, dtype)
