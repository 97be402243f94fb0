"""What one thread counts and writes of the parts of a source that it reads."""

from collections.abc import Callable, Iterable, Sequence
from typing import IO, NamedTuple

import numpy as np

from w2vjax.corpus.table import WordTable

NEVER = np.iinfo(np.int64).max  # the place of a word that was not met


class Written(NamedTuple):
    """The numbers [tokens] int32 of a part of a source, on disk. ~number begins a line."""

    file: IO[bytes] | None  # None if they were not asked for
    reader: int  # whose numbers these are
    tokens: int
    lines: int  # that begin in this part
    begins_line: bool  # whether the first word begins a line
    ends_line: bool  # whether the next word begins a line


class NumberedWords(NamedTuple):
    """The next words of a source, each as its number."""

    numbers: np.ndarray  # [n] int64
    opens: np.ndarray  # [m] int64, rising: the words here before each place where a line may begin
    size: int  # numbers below this exist


class Reader:
    """What one thread has met."""

    def __init__(self, name: int, scratch: Callable[[], IO[bytes]] | None) -> None:
        self.name, self.table, self.tokens = name, WordTable(), 0
        self.file = scratch() if scratch else None
        self.counts, self.first = np.zeros(1 << 10, np.int64), np.full(1 << 10, NEVER)
        self.met = np.zeros(1 << 10, bool)  # whether first < NEVER, in an array that fits the cache

    def read(self, batches: Iterable[NumberedWords]) -> Written:
        """Count the words of a part, and write their numbers."""
        begins_line = line_begins = False
        tokens = found_lines = 0
        for batch in batches:
            opens, line_begins = _line_starts(batch.opens, line_begins, len(batch.numbers))
            if not tokens:
                begins_line = bool(len(opens)) and int(opens[0]) == 0
            self._count(batch)
            if self.file is not None:
                numbers = batch.numbers.astype("<i4")
                numbers[opens] = ~numbers[opens]
                self.file.write(numbers.data)
            tokens += len(batch.numbers)
            found_lines += len(opens)
        return Written(self.file, self.name, tokens, found_lines, begins_line, line_begins)

    def _count(self, batch: NumberedWords) -> None:
        self.reserve(batch.size)
        # backwards: the earliest is written last
        new = np.flatnonzero(~self.met.take(batch.numbers))[::-1]
        self.met[batch.numbers[new]] = True
        self.first[batch.numbers[new]] = new + self.tokens
        np.add.at(self.counts, batch.numbers, 1)
        self.tokens += len(batch.numbers)

    def reserve(self, size: int) -> None:
        """Room for ``size`` numbers."""
        if size > len(self.counts):
            more = max(size, 2 * len(self.counts)) - len(self.counts)
            self.counts, self.met = np.pad(self.counts, (0, more)), np.pad(self.met, (0, more))
            self.first = np.pad(self.first, (0, more), constant_values=NEVER)

    def place(self, written: Sequence[Written]) -> None:
        """Turn ``first`` from a place among the tokens of this reader into one among all."""
        tokens = np.array([part.tokens for part in written])
        mine = np.array([part.reader == self.name for part in written])
        begins: np.ndarray = (np.cumsum(tokens) - tokens)[mine]
        own: np.ndarray = np.cumsum(tokens[mine]) - tokens[mine]
        met = np.flatnonzero(self.met)
        part = np.searchsorted(own, self.first[met], "right") - 1
        self.first[met] += (begins - own)[part]

    def join(self, other: "Reader") -> np.ndarray:
        """Add what another reader has met. Returns the number here [S] of each of its numbers."""
        number_of = self.table.merge(other.table)
        self.reserve(self.table.size)
        size = min(len(number_of), len(other.counts))
        self.counts[number_of[:size]] += other.counts[:size]
        first = np.minimum(self.first[number_of[:size]], other.first[:size])
        self.first[number_of[:size]] = first
        return number_of


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
