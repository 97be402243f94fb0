"""One pass over a source: give each new word a number, count the words, write the numbers to disk.

The ids are known only once every word has been counted. :func:`renumber` then reads the numbers,
not the text. It replaces them by ids and drops the words that are not in the vocabulary.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import IO, Any, NamedTuple, TypeGuard

import numpy as np

from w2vjax.corpus import sources
from w2vjax.corpus.reader import NumberedWords, Reader, Tally, Written, words_of_blocks
from w2vjax.corpus.sources import READING, Part, Reading, Source, TextSource, is_text
from w2vjax.corpus.tokenizers import Tokenizer, check_tokenizer, tokenize_whitespace
from w2vjax.errors import CorpusError, shown
from w2vjax.processes import exchange
from w2vjax.threads import in_order, share

_SETS = set, frozenset  # without an order, the result would differ from run to run
BATCH = 1 << 19  # numbers handled at a time, by renumber and when tokens come from Python


class Seen(NamedTuple):
    """The words that a pass has met, by number. A number with a count of 0 stands for no word."""

    counts: np.ndarray  # [S] int64, of the numbers 0 to S - 1
    first: np.ndarray  # [S] int64, rises with the place where a word is first met
    spell: Callable[[np.ndarray], list[str]]  # numbers -> words
    tokens: int
    lines: int  # that hold a token
    written: list[Written]  # in the order of the text
    threads: int  # that read it
    scratch: Callable[[], IO[bytes]] | None
    own: np.ndarray | None  # [S or fewer] int64, the counts of a share


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
        _is_shared([], reading, scratch)
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
    words = tally.counts, tally.first, spell
    return Seen(*words, tokens, begun, written, threads, scratch, tally.own)


def _read_text(
    source: TextSource, reading: Reading, tally: Tally, scratch: Callable[[], IO[bytes]] | None
) -> tuple[list[Written], int]:
    """(what was written of each part of a text, how many threads have read).

    A part that another process has read has no file here.
    """
    found = sources.parts(source, reading)
    threads = sources.threads_for(found, reading)
    shared = _is_shared(found, reading, scratch)
    if threads > 1 or shared:
        found = [piece for part in found for piece in sources.split(part, reading)]
    readers = [Reader(tally, scratch) for _ in range(min(threads, len(found)))]
    numbered, read = list(enumerate(found)), partial(_read_part, reading)
    if not shared:
        return share(numbered, readers, read), len(readers)
    own, mine, notes = exchange.read_share(
        lambda: share(found, readers, lambda _, part, wanted: exchange.checksum(part, wanted)),
        lambda own: share(numbered[own], readers, read),
        lambda part: part[2:],
    )
    written = [Written(None, 0, *note) for note in notes]
    written[own] = mine
    tally.add_other_processes()
    return written, len(readers)


def _is_shared(found: list[Part], reading: Reading, scratch: object) -> bool:
    """Whether the processes of a run share a text. Refuses processes whose texts differ."""
    facts = {"encoding": reading.encoding, "errors": reading.errors, "start": scratch is None}
    if not reading.together:
        return False
    sizes = sources.sizes_of(found)
    exchange.require_same({"corpus": sizes, **facts})
    return bool(sizes)


def _read_part(
    reading: Reading, reader: Reader, numbered: tuple[int, Part], wanted: Callable[[], bool]
) -> Written:
    number, part = numbered
    found = takewhile(lambda block: wanted(), sources.blocks_of(part, reading))
    return reader.read(number, words_of_blocks(found, reader.tally.table))


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


def _token_lists(
    source: Source, tokenizer: Tokenizer | None, reading: Reading
) -> Iterator[Sequence[str]]:
    if is_text(source):
        yield from map(tokenizer or tokenize_whitespace, sources.lines(source, reading))
        return
    # a dict, or a table as pandas has it, gives the names of its columns
    named = isinstance(source, Mapping) or hasattr(source, "columns")
    if named or not _can_be_read(source) or isinstance(source, (bytes, bytearray, *_SETS)):
        remedy = "Pass a path, a list of paths, or a list of token lists."
        kind = type(source).__name__
        raise CorpusError(f"A corpus cannot be read from an object of type {kind}. {remedy}")
    for number, item in enumerate(source, 1):
        if isinstance(item, str) and tokenizer is not None:
            yield tokenizer(item)
        elif isinstance(item, os.PathLike):
            cause = f"Item {number} of the corpus is the path {os.fspath(item)!r:.60}"
            raise CorpusError(f"{cause}. Pass paths in a list of their own.")
        elif isinstance(item, (str, bytes, Mapping, *_SETS)) or not _can_be_read(item):
            raise CorpusError(
                f"Item {number} of the corpus is {shown(item)}, not a list of tokens. Pass token "
                "lists, as in [line.split() for line in text.splitlines()], or a tokenizer."
            )
        else:
            yield list(item)


def _can_be_read(item: object) -> TypeGuard[Iterable[Any]]:
    """Whether an object gives items. An array without axes says so, and gives none."""
    return isinstance(item, Iterable) and getattr(item, "ndim", 1) != 0


def _words_of_lists(lists: Iterator[Sequence[str]], ids: dict[str, int]) -> Iterator[NumberedWords]:
    numbers: list[int] = []
    starts: list[int] = []
    for line, tokens in enumerate(lists, 1):
        if isinstance(tokens, (str, Mapping, *_SETS)) or not isinstance(tokens, Iterable):
            cause = f"The tokenizer returned {tokens!r:.40} for line {line}"
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
    if seen.own is None or seen.scratch is None:
        return _renumber(seen, ids_of, ids_out, starts_out)[0]
    kept = int(seen.own[ids_of[: len(seen.own)] >= 0].sum())
    write = partial(_renumber, seen, ids_of)
    return exchange.write_together(write, kept, seen.scratch, ids_out, starts_out)


def _renumber(
    seen: Seen, ids_of: np.ndarray, ids_out: IO[bytes], starts_out: IO[bytes], begin: int = 0
) -> tuple[int, bool]:
    """(number of ids up to here, whether a line begins behind them) of the parts with a file."""
    kept, held = begin, np.zeros(0, np.int64)  # the last start, written once a kept word follows it
    for ids, starts in in_order(partial(_kept_ids, ids_of), _batches(seen.written), seen.threads):
        starts = np.concatenate([held, starts + kept])
        starts = starts[np.diff(starts, prepend=-1) > 0]
        starts_out.write(starts[:-1].astype("<i8").data)
        held = starts[-1:]
        ids_out.write(ids.astype("<i4", copy=False).data)
        kept += len(ids)
    starts_out.write(held[held < kept].astype("<i8").data)
    return kept, bool((held == kept).any())


def _batches(written: Iterable[Written]) -> Iterator[tuple[bytes, bool]]:
    """(numbers, whether their first begins a line), in the order of the text."""
    for part in written:
        if part.file is None:  # another process has it
            continue
        for done in range(0, part.tokens, BATCH):
            part.file.seek(part.begin + 4 * done)
            some = 4 * min(BATCH, part.tokens - done)
            yield part.file.read(some), part.begins_line and done == 0


def _kept_ids(ids_of: np.ndarray, data: bytes, begins_line: bool) -> tuple[np.ndarray, np.ndarray]:
    """(the ids that are kept, the number of kept ids before each line start)."""
    numbers = np.frombuffer(data, "<i4")
    opens = np.flatnonzero(numbers < 0)
    ids = ids_of.take(numbers ^ (numbers >> 31))  # ~number for what is negative
    kept = np.flatnonzero(ids >= 0)
    if begins_line:
        opens = np.concatenate([[0], opens])
    return ids.take(kept), np.searchsorted(kept, opens)
