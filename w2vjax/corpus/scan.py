"""One pass over a source: give each new word a number, count the words, write the numbers to disk.

The ids are known only once every word has been counted. :func:`renumber` then reads the numbers,
not the text. It replaces them by ids and drops the words that are not in the vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import IO, NamedTuple

import numpy as np

from w2vjax.corpus import sources
from w2vjax.corpus.reader import NumberedWords, Reader, Tally, Written
from w2vjax.corpus.sources import READING, Block, Part, Reading, Source, TextSource, is_text
from w2vjax.corpus.table import PIECE, WordTable
from w2vjax.corpus.threads import how_many, in_order, share
from w2vjax.corpus.tokenizers import Tokenizer, check_tokenizer, tokenize_whitespace
from w2vjax.errors import CorpusError

BATCH = 1 << 18  # numbers handled at a time, by renumber and when tokens come from Python
NEWLINE = 0x0A


class Seen(NamedTuple):
    """What a pass has met. S numbers exist. A number with a count of 0 stands for no word."""

    counts: np.ndarray  # [S] int64
    first: np.ndarray  # [S] int64, rises with the place where a word is first met
    spell: Callable[[np.ndarray], list[str]]  # numbers -> words
    tokens: int
    lines: int  # that hold a token
    written: list[Written]  # in the order of the text
    threads: int  # that read it


def scan(
    source: Source,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
    scratch: Callable[[], IO[bytes]] | None = None,
) -> Seen:
    """Read a source once. Writes the numbers to files that ``scratch()`` makes, if it is given."""
    check_tokenizer(tokenizer)
    tally, threads = Tally(), 1
    spell: Callable[[np.ndarray], list[str]] = tally.table.spell
    if is_text(source) and tokenizer in (None, tokenize_whitespace):
        written, threads = _read_text(source, reading, tally, scratch)
    else:
        ids: dict[str, int] = {}
        lists = _words_of_lists(_token_lists(source, tokenizer, reading), ids)
        written = [Reader(tally, scratch).read(0, lists)]

        def spell(numbers: np.ndarray) -> list[str]:
            words = list(ids)
            return [words[number] for number in numbers.tolist()]

    written = _with_line_begins(written)
    tokens, begun = sum(part.tokens for part in written), sum(part.lines for part in written)
    if not tokens:
        raise CorpusError(_empty(source))
    return Seen(tally.counts, tally.first, spell, tokens, begun, written, threads)


def _read_text(
    source: TextSource, reading: Reading, tally: Tally, scratch: Callable[[], IO[bytes]] | None
) -> tuple[list[Written], int]:
    """(the parts of a text, the threads that have read them)."""
    found = sources.parts(source, reading)
    readers = [Reader(tally, scratch) for _ in range(how_many(found, reading))]
    if len(readers) > 1:
        found = [piece for part in found for piece in sources.split(part, reading)]
    return share(list(enumerate(found)), readers, partial(_read_part, reading)), len(readers)


def _read_part(
    reading: Reading, reader: Reader, numbered: tuple[int, Part], wanted: Callable[[], bool]
) -> Written:
    number, part = numbered
    found = takewhile(lambda block: wanted(), sources.blocks_of(part, reading))
    return reader.read(number, _words_of_blocks(found, reader.tally.table))


def _with_line_begins(written: Iterable[Written]) -> list[Written]:
    """The same parts. Each knows now whether the part before it ends a line."""
    line_begins, found = True, []
    for part in written:
        begins_line = line_begins or part.begins_line
        more = int(part.tokens > 0 and begins_line and not part.begins_line)
        found.append(part._replace(begins_line=begins_line, lines=part.lines + more))
        line_begins = part.ends_line or (line_begins and not part.tokens)
    return found


def _empty(source: Source) -> str:
    if hasattr(source, "__next__"):  # a generator or another iterator
        cause = "The corpus gave no tokens: it is an iterator, which can be read only once"
        return f"{cause}. Pass a list, or an object whose __iter__ starts anew."
    return "The corpus holds no words: it is empty, or nothing but white space. Read more text."


def _words_of_blocks(found: Iterable[Block], table: WordTable) -> Iterator[NumberedWords]:
    for block in found:
        separators = np.flatnonzero(block.data <= sources.SEPARATOR)
        starts: np.ndarray = np.roll(separators + 1, 1)
        starts[0] = 0
        lengths: np.ndarray = separators - starts
        opens: np.ndarray = np.zeros(0, np.int64)  # for every newline, the words before it
        if NEWLINE in block.data:
            newline = np.flatnonzero(block.data.take(separators) == NEWLINE)
            opens = newline + 1 if lengths.all() else np.cumsum(lengths > 0)[newline]
        if not lengths.all():
            real = np.flatnonzero(lengths)
            starts, lengths = starts[real], lengths[real]
        padded = np.concatenate([block.data, np.zeros(PIECE, np.uint8)])
        yield NumberedWords(table.numbers(padded, starts, lengths), opens, table.size)


def _token_lists(
    source: Source, tokenizer: Tokenizer | None, reading: Reading
) -> Iterator[Sequence[str]]:
    if is_text(source):
        tokenizer = tokenizer or tokenize_whitespace
        for line in sources.lines(source, reading):
            yield tokenizer(line)
        return
    if not isinstance(source, Iterable) or hasattr(source, "decode"):  # bytes
        remedy = "Pass a path, or an iterable of token lists."
        raise CorpusError(f"A corpus cannot be read from a {type(source).__name__}. {remedy}")
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
            cause = f"The tokenizer returned the string {tokens[:40]!r} for line {line}"
            raise CorpusError(f"{cause}. It has to return a list of words.")
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


def renumber(seen: Seen, ids_of: np.ndarray, ids_out: IO[bytes], starts_out: IO[bytes]) -> int:
    """Write the ids and the line starts, and return the number of ids.

    ``ids_of`` [S] int32 is the id of each number, or -1 for a word that is dropped. A line that
    keeps no word has no start.
    """
    kept, held = 0, np.zeros(0, np.int64)  # the last start, written once a kept word follows it
    found = in_order(partial(_ids_of_batch, ids_of), _batches(seen.written), seen.threads)
    for ids, starts in found:
        starts = np.concatenate([held, starts + kept])
        starts = starts[np.diff(starts, prepend=-1) > 0]
        starts_out.write(starts[:-1].astype("<i8").data)
        held = starts[-1:]
        ids_out.write(ids.astype("<i4", copy=False).data)
        kept += len(ids)
    starts_out.write(held[held < kept].astype("<i8").data)
    return kept


def _batches(written: Iterable[Written]) -> Iterator[tuple[bytes, bool]]:
    """(numbers, whether their first begins a line), in the order of the text."""
    for part in written:
        assert part.file is not None
        for done in range(0, part.tokens, BATCH):
            part.file.seek(part.begin + 4 * done)
            data = part.file.read(4 * min(BATCH, part.tokens - done))
            yield data, part.begins_line and done == 0


def _ids_of_batch(
    ids_of: np.ndarray, data: bytes, begins_line: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(the ids that are kept, for each place where a line begins the kept ids before it)."""
    numbers = np.frombuffer(data, "<i4")
    opens = np.flatnonzero(numbers < 0)
    ids = ids_of.take(numbers ^ (numbers >> 31))  # ~number for what is negative
    kept = np.flatnonzero(ids >= 0)
    if begins_line:
        opens = np.concatenate([[0], opens])
    return ids.take(kept), np.searchsorted(kept, opens)
