"""The corpus as the program reads it: pieces of M ids, or all ids in the device's memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh

from w2vjax.corpus.encode import Corpus
from w2vjax.devices.mesh import memory, own_device, replicated, stacked, trains_copies
from w2vjax.errors import CorpusError
from w2vjax.windows.sampling import chunk_seed

# Words handed to one compiled call, unless _NUMBERS allows fewer. A call's fixed cost and its last,
# padded step are then small.
CHUNK = 1 << 18
# The same on a GPU or TPU, which trains them in about 20 ms.
ACCELERATOR_CHUNK = 1 << 21
# The most numbers that one call reads on a CPU: for each word the D numbers of its vector, times
# window / 5 for wide windows, and times V for a full softmax. A signal, a bar and a checkpoint wait
# for the end of a call. Objectives of your own are taken to cost as much as hierarchical softmax.
_NUMBERS = {"negative": 3 * 10**8, "hierarchical": 75 * 10**6, "softmax": 3 * 10**10}
# The fewest words an epoch must have for copies of the tables on a CPU: with fewer, joins would be
# few and far apart.
COPY_WORDS = 1 << 19
# Words that a copy trains between two joins, times the square of the number of copies. Copies drift
# apart by the words that each trains alone, and all copies together train that many times more
# (benchmarks/results/cpu-2-cores/sweep-copies.json).
JOIN_WORDS = 1 << 20
# Copies on a CPU by default. A constant, not the machine's number of cores: the result depends on
# it.
_COPIES = 2
# A join of this many rows takes 5 % of the time that a CHUNK trains. Tables of more rows are joined
# after more CHUNKs, up to _MOST_CHUNKS, if an epoch keeps _FEWEST_JOINS joins
# (benchmarks/results/cpu-2-cores/sweep-joins.json).
_JOINED_ROWS, _MOST_CHUNKS, _FEWEST_JOINS = 50_000, 16, 15
# A call has at least this many steps, however many numbers they read.
_FEWEST_STEPS = 8
# The share of a device's memory that a resident corpus may take; the rest is for tables and
# temporaries.
_RESIDENT_SHARE = 0.25


# (ids, offset, count, seed) of one chunk, or of a turn of devices
Chunk: TypeAlias = tuple[Any, ...]


class Feed(NamedTuple):
    """Where the ids of a chunk are. ``chunk(number)`` gives (ids, offset, count).

    Attributes:
        corpus: the text as ids.
        words: trained on in an epoch; what lies behind them is held out.
        size: M, the most words in a chunk.
        copies: of the tables, which are trained side by side.
        resident: all ids, on the device; None if they stay on disk. Zeros fill them up.
    """

    corpus: Corpus
    words: int
    size: int
    copies: int
    resident: jax.Array | None

    @property
    def chunks(self) -> int:
        return -(-self.words // self.size)

    @property
    def room(self) -> int:
        """The words that the program of a chunk has room for."""
        return rounded_size(self.size)

    def of_first(self, epoch: int, chunk: int) -> int:
        """The words that the first copy has trained where ``chunk`` of ``epoch`` comes next."""
        last = (self.chunks - 1) // self.copies * self.copies
        whole = last // self.copies * self.size + min(self.size, self.words - last * self.size)
        return epoch * whole + chunk // self.copies * self.size

    def chunk(self, number: int) -> tuple[Any, np.int32, np.int32]:
        """Chunk ``number`` of an epoch; every chunk but the last has ``size`` words."""
        begin = number * self.size
        count = min(self.size, self.words - begin)
        if self.resident is not None:
            return self.resident, np.int32(begin), np.int32(count)
        return marked(self.corpus, begin, count, self.room), np.int32(0), np.int32(count)

    def all_ids(self) -> np.ndarray:
        """All words as :func:`marked`, with room for a chunk that begins at any multiple of M."""
        length = rounded_size((self.chunks - 1) * self.size + self.room)
        return marked(self.corpus, 0, self.words, length)


def rounded_size(words: int) -> int:
    """A number of words, rounded up by an eighth at most. Similar texts then share a program.

    What is drawn for the first words does not depend on how many follow.

    >>> rounded_size(99_000), rounded_size(100_000), rounded_size(2), rounded_size(CHUNK)
    (106496, 106496, 2, 262144)
    """
    unit = 1 << max(0, words.bit_length() - 4)
    return -(-words // unit) * unit


def marked(corpus: Corpus, begin: int, count: int, size: int) -> np.ndarray:
    """``count`` ids from ``begin`` on, zeros up to ``size``; ``~id`` where a line opens."""
    piece = np.zeros(size, np.int32)
    piece[:count] = corpus.ids[begin : begin + count]
    first, last = np.searchsorted(corpus.starts, [begin, begin + count])
    opens = np.asarray(corpus.starts[first:last]) - begin
    piece[opens] = ~piece[opens]
    return piece


def longest_call(objective: str, vocab_size: int, dim: int, window: int) -> int:
    """The most words of one call on a CPU, so that it ends within a few seconds.

    >>> longest_call("negative", 70_000, 100, 5), longest_call("softmax", 70_000, 100, 5)
    (3000000, 4285)
    """
    numbers = _NUMBERS.get(objective, _NUMBERS["hierarchical"])
    rows = vocab_size if objective == "softmax" else 1
    return max(1, int(numbers / (rows * dim * max(1.0, window / 5))))


def join_interval(copies: int, rows: int, words: int) -> int:
    """The most words that each copy trains between two joins. Tables of many rows get more.

    A join takes as long as the tables have numbers, and so does the training of some words. So
    their ratio depends on the rows, and not on the numbers of a row. A short text has few joins, so
    it gets no more words between them.

    Args:
        copies: of the tables.
        rows: of a table.
        words: of an epoch.

    >>> [join_interval(copies, 70_000, words=10**8) for copies in (2, 4, 8, 16)]
    [524288, 131072, 32768, 8192]
    >>> [join_interval(2, 200_000, words) for words in (10**6, 10**7, 2 * 10**7, 10**8)]
    [262144, 262144, 524288, 1048576]
    """
    least = max(1, min(CHUNK, JOIN_WORDS // copies**2))
    wanted, allowed = -(-rows // _JOINED_ROWS), words // (copies * _FEWEST_JOINS * least)
    return least * max(1, min(wanted, allowed, _MOST_CHUNKS))


def feed(
    corpus: Corpus,
    held_out: float,
    step_words: int,
    copies: int | None = 1,
    rows: int = 0,
    most: int = _MOST_CHUNKS * CHUNK,
    mesh: Mesh | None = None,
    join_words: int | None = None,
) -> Feed:
    """Where chunks come from: the memory map, or an accelerator's memory if that has room.

    Chunks are as equal as whole steps allow, and mostly as many for each copy.

    Args:
        corpus: the text as ids.
        held_out: the share at its end that is not trained on.
        step_words: words of a step.
        copies: of the tables. None for 2 on a CPU with COPY_WORDS words, and for 1 elsewhere.
        rows: of a table. A join moves all rows of all copies, so tables of many rows get long
            chunks.
        most: words of a chunk on a CPU.
        mesh: every device of it gets the ids.
        join_words: words of a chunk, rounded up to whole steps. Chunks are then the same for any
            number of copies.

    Raises:
        CorpusError: nothing is left to train on.
    """
    words = len(corpus.ids) - int(len(corpus.ids) * held_out)
    if words < 2:
        raise CorpusError(
            f"{words} of {len(corpus.ids)} tokens are left to train on, and a word needs a "
            "neighbour. Lower min_count or held_out, or read more text."
        )
    device = own_device(mesh)
    if copies is None:
        copies = _COPIES if device.platform == "cpu" and words >= COPY_WORDS else 1
    longest = CHUNK if device.platform == "cpu" else ACCELERATOR_CHUNK
    if copies > 1:
        longest = max(step_words, join_interval(copies, rows, words))
    if device.platform == "cpu":
        # few steps to a call would leave the number of all steps, and so the learning rate's decay,
        # to chance
        longest = max(min(longest, most), min(longest, _FEWEST_STEPS * step_words))
    chunks = -(-words // (copies * longest)) * copies
    size = -(-words // (chunks * step_words)) * step_words
    if join_words is not None:
        size = -(-min(join_words, words) // step_words) * step_words
    mapped = Feed(corpus, words, size, copies, None)
    whole = rounded_size((mapped.chunks - 1) * size + mapped.room)
    if 4 * whole > _RESIDENT_SHARE * memory(device) or whole > np.iinfo(np.int32).max:
        return mapped
    ids = mapped.all_ids()
    # Without a mesh the ids are not bound to the device. JAX would compile the program once more
    # for tables that a bound argument has bound.
    return mapped._replace(resident=jax.device_put(ids) if mesh is None else replicated(mesh, ids))


def rounds(feed: Feed, epochs: int, begin: tuple[int, int] = (0, 0)) -> Iterator[tuple[int, range]]:
    """(epoch, the chunks trained side by side) in order, from (epoch, chunk) ``begin`` on."""
    for epoch in range(begin[0], epochs):
        for chunk in range(begin[1] if epoch == begin[0] else 0, feed.chunks, feed.copies):
            yield epoch, range(chunk, min(chunk + feed.copies, feed.chunks))


def chunks_on(mesh: Mesh | None, feed: Feed, seed: int, epoch: int, numbers: range) -> list[Chunk]:
    """What a round reads: (ids, offset, count, seed) of each chunk, or of each turn of devices.

    The text and the seed of a chunk follow from its number, whoever trains it. In a turn with too
    few chunks, the last devices get a chunk of no words.
    """

    def chunk(number: int) -> Chunk:
        return (*feed.chunk(number), chunk_seed(seed, epoch, number))

    if mesh is None or not trains_copies(mesh):
        found = [chunk(number) for number in numbers]
        # a GPU gets the next chunk while it trains this one
        ahead = mesh is None and own_device(None).platform != "cpu"
        return jax.device_put(found) if ahead else found

    def piece(number: int) -> Chunk:
        if number < numbers.stop:
            found = chunk(number)
        else:
            found = (np.zeros(feed.room, np.int32), *np.zeros(2, np.int32), chunk_seed(seed, 0, 0))
        return found if feed.resident is None else found[1:]

    def turn(first: int) -> Chunk:
        own: Chunk = stacked(mesh, lambda d: piece(first + d))
        return own if feed.resident is None else (feed.resident, *own)

    return [turn(first) for first in numbers[:: mesh.size]]


def require_neighbours(feed: Feed) -> None:
    """Raise CorpusError if no line has two words. Windows end where lines do."""
    starts, words = feed.corpus.starts, feed.words
    block = 1 << 20
    for begin in range(0, len(starts), block):
        rest = [words] if begin + block >= len(starts) else []
        opens = np.append(starts[begin : begin + block + 1], rest)
        if (np.diff(np.minimum(opens, words)) >= 2).any():
            return
    raise CorpusError(
        f"No line has two words of the vocabulary, so that none of the {words:,} words has a "
        "neighbour to learn from. Put a sentence or a document on each line, or lower min_count "
        "(--min-count)."
    )
