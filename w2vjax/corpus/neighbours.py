"""Counting, scoring and joining neighbouring words, in batches of ids.

Mikolov et al. 2013 (arXiv:1310.4546, section 4) score a pair of neighbours a, b by

    (count(a b) - min_count) * N / (count(a) * count(b))             N tokens in the corpus

and join those above a threshold, from left to right. The other score is the normalised pointwise
mutual information of Bouma 2009, between -1 and 1:

    log(p(a b) / (p(a) p(b))) / -log p(a b)

Connector words ("of", "the") may stand between a and b; they are then part of the pair, and are
skipped in looking for neighbours. A pair is one integer, its key: (what is between, a, b) as
digits.
"""

from collections.abc import Callable
from typing import IO, NamedTuple

import numpy as np

from w2vjax.errors import SettingError

LONGEST_GAP = 3  # connector words that may stand inside a phrase
BATCH = 1 << 20  # ids handled at a time; above LONGEST_GAP
PART = 1 << 26  # pairs counted in one round over the ids, which bounds the memory

Score = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], np.ndarray]


def word2phrase_score(
    pair: np.ndarray, a: np.ndarray, b: np.ndarray, tokens: int, min_count: int
) -> np.ndarray:
    """(pair - min_count) * tokens / (a * b), from counts [n]; the usual threshold is 100.

    >>> word2phrase_score(np.array([15]), np.array([20]), np.array([50]), 100_000, 5).tolist()
    [1000.0]
    """
    score: np.ndarray = (pair - min_count) / a / b * tokens
    return score


def npmi_score(
    pair: np.ndarray, a: np.ndarray, b: np.ndarray, tokens: int, min_count: int
) -> np.ndarray:
    """log(p_pair / (p_a p_b)) / -log p_pair, from counts [n]: 1 where the two only come together, 0
    by chance.

    Pairs seen fewer than ``min_count`` times get -inf. The usual threshold is 0.5.

    >>> npmi_score(np.array([10]), np.array([10]), np.array([10]), 1000, 5).round(9).tolist()
    [1.0]
    """
    score = np.log(pair / a / b * tokens) / np.log(tokens / pair)
    return np.where(pair >= min_count, score, -np.inf)


class PairStream(NamedTuple):
    """The ids of one pass, and what tells which of them can make a phrase. F words are frequent and
    no connectors.
    """

    words: list[str]  # [V]
    ids: np.ndarray  # [N] int32
    starts: np.ndarray  # [S] int64
    counts: np.ndarray  # [V] int64
    connector: np.ndarray  # [V] int64: 1, 2, ... for connectors, 0 for other words
    connectors: np.ndarray  # the ids of connectors 1, 2, ...
    rank: np.ndarray  # [V] int64: place among the frequent, -1 for others
    frequent: np.ndarray  # [F] ids
    min_count: int

    def spell(self, keys: np.ndarray) -> list[tuple[str, ...]]:
        """The words of each key."""
        rest, b = np.divmod(keys, max(len(self.frequent), 1))
        between, a = np.divmod(rest, max(len(self.frequent), 1))
        found = []
        for first, gap, last in zip(
            self.frequent[a].tolist(), between.tolist(), self.frequent[b].tolist(), strict=True
        ):
            inside: list[str] = []
            while gap:
                gap, digit = divmod(gap, len(self.connectors) + 1)
                inside.insert(0, self.words[self.connectors[digit - 1]])
            found.append((self.words[first], *inside, self.words[last]))
        return found


def neighbours(
    words: list[str],
    ids: np.ndarray,
    starts: np.ndarray,
    connectors: frozenset[str],
    min_count: int,
) -> PairStream:
    """Count the words of a pass and rank those that can be part of a phrase."""
    counts = np.zeros(len(words), np.int64)
    for begin in range(0, len(ids), BATCH):
        np.add.at(counts, ids[begin : begin + BATCH], 1)
    linking = np.array([place for place, word in enumerate(words) if word in connectors], np.int64)
    connector, rank = np.zeros(len(words), np.int64), np.full(len(words), -1, np.int64)
    connector[linking] = np.arange(1, len(linking) + 1)
    frequent = np.flatnonzero((counts >= min_count) & (connector == 0))
    rank[frequent] = np.arange(len(frequent))
    if (len(linking) + 1) ** LONGEST_GAP * len(frequent) ** 2 >= 1 << 63:
        raise SettingError(
            f"{len(frequent):,} words and {len(linking)} connectors make more pairs than 64 bits "
            "can number. "
            "Raise min_count."
        )
    return PairStream(words, ids, starts, counts, connector, linking, rank, frequent, min_count)


class Stretch(NamedTuple):
    """Some ids in a row. The last word that could begin a pair comes again as the first of the next
    stretch.
    """

    ids: np.ndarray  # [n]
    opens: np.ndarray  # [n] bool: a line begins here
    left: np.ndarray  # [p] places in ids of neighbours, the earlier one
    right: np.ndarray  # [p] the later one
    keys: np.ndarray  # [p] int64, -1 for neighbours that make no phrase
    # where the next batch may begin: the last word that could begin a pair, n if there is none
    last: int


def _stretch(stream: PairStream, begin: int) -> Stretch:
    ids = np.array(stream.ids[begin : begin + BATCH])
    opens = np.zeros(len(ids), bool)
    some = slice(*np.searchsorted(stream.starts, [begin, begin + len(ids)]))
    opens[stream.starts[some] - begin] = True
    connector = stream.connector.take(ids)
    places = np.flatnonzero(connector == 0)
    left, right = places[:-1], places[1:]
    line = np.cumsum(opens)
    gap = right - left - 1
    a, b = stream.rank.take(ids[left]), stream.rank.take(ids[right])
    between = np.zeros(len(left), np.int64)
    for step in range(1, LONGEST_GAP + 1):
        rows = np.flatnonzero(gap >= step)
        between[rows] = between[rows] * (len(stream.connectors) + 1) + connector[left[rows] + step]
    valid = (line[left] == line[right]) & (a >= 0) & (b >= 0) & (gap <= LONGEST_GAP)
    keys = np.where(valid, (between * len(stream.frequent) + a) * len(stream.frequent) + b, -1)
    at_end = begin + len(ids) == len(stream.ids)
    pending = not at_end and len(places) and len(ids) - int(places[-1]) <= LONGEST_GAP + 1
    return Stretch(ids, opens, left, right, keys, int(places[-1]) if pending else len(ids))


def choose_pairs(
    stream: PairStream, score: Score, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The keys of pairs scored above ``threshold``, rising, with their counts and scores: three
    arrays [n].
    """
    parts = -(-len(stream.ids) // PART)
    chosen = [
        _scored(stream, *_count(stream, parts, part), score, threshold) for part in range(parts)
    ]
    keys, counts, scores = (np.concatenate(arrays) for arrays in zip(*chosen, strict=True))
    order = np.argsort(keys)
    return keys[order], counts[order], scores[order]


def _count(stream: PairStream, parts: int, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, rising, and their counts, of one part of all keys."""
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    waiting = [(keys, counts)]
    begin = 0
    while begin < len(stream.ids):
        stretch = _stretch(stream, begin)
        mine = stretch.keys[(stretch.keys >= 0) & (stretch.keys % parts == part)]
        waiting.append(np.unique(mine, return_counts=True))
        if (
            sum(len(some) for some, _ in waiting) > len(keys) + BATCH
        ):  # rarely enough for the whole to stay cheap
            keys, counts = _merged([(keys, counts), *waiting])
            waiting = []
        begin += stretch.last
    return _merged([(keys, counts), *waiting])


def _merged(pieces: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys, counts = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts


def _scored(
    stream: PairStream, keys: np.ndarray, counts: np.ndarray, score: Score, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rest, b = np.divmod(keys, max(len(stream.frequent), 1))
    a = rest % max(len(stream.frequent), 1)
    word_counts = stream.counts[stream.frequent]
    scores = np.asarray(
        score(counts, word_counts[a], word_counts[b], len(stream.ids), stream.min_count), np.float64
    )
    above = scores > threshold
    return keys[above], counts[above], scores[above]


def write_joined(
    stream: PairStream,
    keys: np.ndarray,
    numbers: np.ndarray,
    ids_out: IO[bytes],
    starts_out: IO[bytes],
) -> None:
    """Write the ids with every chosen pair (``keys``, rising) replaced by its number, and where the
    lines then begin.

    Pairs are joined from left to right: of pairs in a row that share words, the first, the third
    and so on.
    """
    begin = written = 0
    while begin < len(stream.ids):
        stretch = _stretch(stream, begin)
        slot = np.minimum(np.searchsorted(keys, stretch.keys), max(len(keys) - 1, 0))
        chosen = keys[slot] == stretch.keys if len(keys) else np.zeros(len(stretch.keys), bool)
        pair = np.arange(len(chosen))
        run = (
            np.maximum.accumulate(np.where(chosen, -1, pair)) if len(pair) else pair
        )  # the last pair not chosen
        joined = np.flatnonzero(chosen & ((pair - run) % 2 == 1))
        stretch.ids[stretch.left[joined]] = numbers[slot[joined]]
        inside = np.zeros(
            len(stretch.ids) + 1, np.int64
        )  # 1 where the rest of a phrase begins, -1 behind its end
        inside[stretch.left[joined] + 1] += 1
        inside[stretch.right[joined] + 1] -= 1
        end = stretch.last
        # it is used up, and can begin nothing
        if len(joined) and int(stretch.right[joined[-1]]) == end:
            end = len(stretch.ids)
        keep = np.cumsum(inside)[:end] == 0
        before = np.cumsum(keep) - 1
        starts_out.write((before[stretch.opens[:end]] + written).astype("<i8").data)
        ids_out.write(stretch.ids[:end][keep].astype("<i4").data)
        written += int(np.count_nonzero(keep))
        begin += end
