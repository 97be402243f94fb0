"""What the threads that read a source count together, and what each writes of its parts."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

import numpy as np

from w2vjax.corpus.sources import SEPARATOR
from w2vjax.corpus.table import PIECE, WordTable
from w2vjax.processes.exchange import everyones_words

NEVER = np.iinfo(np.int64).max  # the place of a word that was not met
NEWLINE = 0x0A
_PLACES = 40  # bits of a place within a part; the bits above are the number of the part
_TOGETHER = 1 << 19  # tokens counted at a time


class Written(NamedTuple):
    """The numbers [tokens] int32 of a part of a source, on disk. ~number begins a line."""

    file: IO[bytes] | None  # None if they were not asked for
    begin: int  # the first byte in the file
    tokens: int
    lines: int  # that begin in this part
    begins_line: bool  # whether the first word begins a line
    ends_line: bool  # whether the next word begins a line


class NumberedWords(NamedTuple):
    """The next words of a source, each as its number."""

    numbers: np.ndarray  # [n] int64
    opens: np.ndarray  # [m] int64, rising: how many of these words stand before each line start
    size: int  # numbers below this exist


def words_of_blocks(found: Iterable[np.ndarray], table: WordTable) -> Iterator[NumberedWords]:
    """The words of blocks, each as its number in the table."""
    for block in found:
        separators = np.flatnonzero(block <= SEPARATOR)
        starts: np.ndarray = np.zeros_like(separators)
        np.add(separators[:-1], 1, out=starts[1:])
        lengths: np.ndarray = separators - starts
        opens: np.ndarray = np.zeros(0, np.int64)  # for every newline, the words before it
        if NEWLINE in block:
            newline = np.flatnonzero(block.take(separators) == NEWLINE)
            opens = newline + 1 if lengths.all() else np.cumsum(lengths > 0)[newline]
        if not lengths.all():
            real = np.flatnonzero(lengths)
            starts, lengths = starts[real], lengths[real]
        padded = np.concatenate([block, np.zeros(PIECE, np.uint8)])
        yield NumberedWords(table.numbers(padded, starts, lengths), opens, table.size)


class Tally:
    """The words of a source, their counts and first places. Threads share it."""

    def __init__(self) -> None:
        self.table = WordTable()
        self.counts = np.zeros(1 << 10, np.int64)
        self.first = np.full(1 << 10, NEVER)  # the part and the place within it
        self.own: np.ndarray | None = None  # the counts of this process, if several share a text

    def reserve(self, size: int) -> None:
        """Room for ``size`` numbers."""
        with self.table.lock:
            if size > len(self.counts):
                more = max(size, 2 * len(self.counts)) - len(self.counts)
                self.counts = np.pad(self.counts, (0, more))
                self.first = np.pad(self.first, (0, more), constant_values=NEVER)

    def add(self, batches: list[np.ndarray]) -> None:
        """Count the words of batches. ``np.add.at`` would keep other threads from running."""
        counts = np.bincount(np.concatenate(batches))
        with self.table.lock:
            self.counts[: len(counts)] += counts

    def add_other_processes(self) -> None:
        """Add up the counts of all processes, this one included."""
        own, self.own = np.flatnonzero(self.counts), self.counts
        found = everyones_words(self.table.spell, own, self.own[own], self.first[own])
        self.counts = np.zeros_like(self.own)
        for text, counts, first in found:
            [batch] = words_of_blocks([np.frombuffer(text, np.uint8)], self.table)
            self.reserve(batch.size)
            self.counts[batch.numbers] += counts
            self.first[batch.numbers] = np.minimum(self.first[batch.numbers], first)


class Reader:
    """Reads parts for one thread: it counts into the shared tally, and writes a file of its own."""

    def __init__(self, tally: Tally, scratch: Callable[[], IO[bytes]] | None) -> None:
        self.tally, self.file = tally, scratch() if scratch else None
        self._unmet = np.ones(1 << 10, np.bool_)  # of this reader, by number

    def read(self, part: int, batches: Iterable[NumberedWords]) -> Written:
        """Count the words of part number ``part``, and write their numbers."""
        begin = self.file.tell() if self.file else 0
        begins_line = line_begins = False
        tokens = found_lines = 0
        waiting: list[np.ndarray] = []
        for batch in batches:
            opens, line_begins = _line_starts(batch.opens, line_begins, len(batch.numbers))
            if not tokens:
                begins_line = bool(len(opens)) and int(opens[0]) == 0
            self.tally.reserve(batch.size)
            self._meet(batch, (part << _PLACES) + tokens)
            if self.file is not None:
                numbers = batch.numbers.astype("<i4")
                numbers[opens] = ~numbers[opens]
                self.file.write(numbers.data)
            tokens += len(batch.numbers)
            found_lines += len(opens)
            waiting.append(batch.numbers)
            # a count takes as long as the table is large, so large tables count more at a time
            if sum(map(len, waiting)) >= max(_TOGETHER, batch.size):
                self.tally.add(waiting)
                waiting = []
        if waiting:
            self.tally.add(waiting)
        return Written(self.file, begin, tokens, found_lines, begins_line, line_begins)

    def _meet(self, batch: NumberedWords, place: int) -> None:
        """Note the places of words that are new to this reader. The batch begins at ``place``."""
        if batch.size > len(self._unmet):
            more = max(batch.size, 2 * len(self._unmet)) - len(self._unmet)
            self._unmet = np.pad(self._unmet, (0, more), constant_values=True)
        new = np.flatnonzero(self._unmet.take(batch.numbers))
        numbers, places = batch.numbers[new], place + new
        # parts come in their order, so a later meeting cannot be earlier in the text
        self._unmet[numbers] = False
        earlier = np.flatnonzero(self.tally.first.take(numbers) > places)
        if len(earlier):
            with self.tally.table.lock:
                np.minimum.at(self.tally.first, numbers[earlier], places[earlier])


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
