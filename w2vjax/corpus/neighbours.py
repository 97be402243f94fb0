"""Count, score and join neighbouring words, in batches of ids.

Pairs whose score is above a threshold are joined from left to right, as in Mikolov et al. 2013
(arXiv:1310.4546, section 4).

Connector words ("of", "the") may stand between a and b. They do not end the search for a neighbour,
and a pair includes the connectors between its words. The key of a pair is one integer. Its digits
are the connectors, a and b.
"""

from collections.abc import Callable
from typing import IO, NamedTuple

import numpy as np

from w2vjax.errors import SettingError

LONGEST_GAP = 3  # the most connectors between two words of a phrase
BATCH = 1 << 20  # ids read at a time; more than LONGEST_GAP
PART = 1 << 26  # the most pairs counted in one pass over the ids; bounds the memory

Score = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], np.ndarray]


def word2phrase_score(
    pair: np.ndarray, a: np.ndarray, b: np.ndarray, tokens: int, min_count: int
) -> np.ndarray:
    """(pair - min_count) * tokens / (a * b). The usual threshold is 100.

    Mikolov et al. 2013 (arXiv:1310.4546, section 4).

    Args:
        pair: [n] how often the words a and b of each pair stand together.
        a, b: [n] how often each of them occurs.
        tokens: the number of words in the text.
        min_count: what is taken off each count of a pair, so that rare pairs score low.

    Returns:
        [n] float64. It is negative for a pair that occurs fewer than ``min_count`` times.

    >>> word2phrase_score(np.array([15]), np.array([20]), np.array([50]), 100_000, 5).tolist()
    [1000.0]
    """
    return np.asarray((pair - min_count) / a / b * tokens)


def npmi_score(
    pair: np.ndarray, a: np.ndarray, b: np.ndarray, tokens: int, min_count: int
) -> np.ndarray:
    """log(p_pair / (p_a p_b)) / -log p_pair, with p = count / tokens. The usual threshold is 0.5.

    The normalised pointwise mutual information (Bouma 2009).

    Args:
        pair, a, b, tokens: as in :func:`word2phrase_score`.
        min_count: how often a pair has to occur.

    Returns:
        [n] float64 between -1 and 1. Two words that occur only together get 1. Independent words
        get 0. A pair that occurs fewer than ``min_count`` times gets -inf.

    >>> npmi_score(np.array([10]), np.array([10]), np.array([10]), 1000, 5).round(9).tolist()
    [1.0]
    """
    score = np.log(pair / a / b * tokens) / np.log(tokens / pair)
    return np.where(pair >= min_count, score, -np.inf)


class PairStream(NamedTuple):
    """The ids of a text, and which of its V words can begin or end a phrase: the F frequent ones.

    Frequent words occur ``min_count`` times and are no connectors.
    """

    words: list[str]  # [V]
    ids: np.ndarray  # [N] int32
    starts: np.ndarray  # [S] int64, the place in ids where each line begins
    counts: np.ndarray  # [V] int64
    connector: np.ndarray  # [V] int64: 1, 2, ... for connectors and 0 for other words
    connectors: np.ndarray  # ids of connectors 1, 2, ...
    rank: np.ndarray  # [V] int64, the place of a word in frequent, or -1
    frequent: np.ndarray  # [F] ids
    min_count: int

    def digits(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The parts of each key: the number of its connectors, and the ids of a and b."""
        rest, b = np.divmod(keys, max(len(self.frequent), 1))
        between, a = np.divmod(rest, max(len(self.frequent), 1))
        return between, self.frequent[a], self.frequent[b]

    def spell(self, keys: np.ndarray) -> list[tuple[str, ...]]:
        """The words of each key."""
        found = []
        for gap, first, last in zip(*(part.tolist() for part in self.digits(keys)), strict=True):
            inside: list[str] = []
            while gap:
                gap, digit = divmod(gap, len(self.connectors) + 1)
                inside.insert(0, self.words[self.connectors[digit - 1]])
            found.append((self.words[first], *inside, self.words[last]))
        return found


def pair_stream(
    words: list[str], ids: np.ndarray, starts: np.ndarray, linking: frozenset[str], min_count: int
) -> PairStream:
    """Count the words, and number those that can begin or end a phrase."""
    counts = np.zeros(len(words), np.int64)
    for begin in range(0, len(ids), BATCH):
        np.add.at(counts, ids[begin : begin + BATCH], 1)
    connectors = np.array([place for place, word in enumerate(words) if word in linking], np.int64)
    connector, rank = np.zeros(len(words), np.int64), np.full(len(words), -1, np.int64)
    connector[connectors] = np.arange(1, len(connectors) + 1)
    frequent = np.flatnonzero((counts >= min_count) & (connector == 0))
    rank[frequent] = np.arange(len(frequent))
    if (len(connectors) + 1) ** LONGEST_GAP * len(frequent) ** 2 >= 1 << 63:
        cause = f"{len(frequent):,} words and {len(connectors)} connectors make more pairs"
        raise SettingError(f"{cause} than 64 bits can number. Raise min_count.")
    return PairStream(words, ids, starts, counts, connector, connectors, rank, frequent, min_count)


class Stretch(NamedTuple):
    """Up to BATCH consecutive ids, and the p pairs of neighbours among them.

    The last word may have its neighbour in the next stretch, so the next stretch begins with it.
    """

    ids: np.ndarray  # [n]
    opens: np.ndarray  # [n] bool, where a line begins
    left: np.ndarray  # [p] places in ids of the first word of each pair
    right: np.ndarray  # [p] places of the second word
    keys: np.ndarray  # [p] int64, -1 for a pair that is no candidate
    last: int  # where the next stretch begins, counted from the first id of this one


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
    """Keys (rising), counts and scores of the pairs above ``threshold``: three arrays [n]."""
    parts = -(-len(stream.ids) // PART)
    chosen = (_scored(stream, *_count(stream, parts, n), score, threshold) for n in range(parts))
    keys, counts, scores = (np.concatenate(arrays) for arrays in zip(*chosen, strict=True))
    order = np.argsort(keys)
    return keys[order], counts[order], scores[order]


def _count(stream: PairStream, parts: int, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys (rising) and their counts, of the keys that fall into one part."""
    pieces, begin = [(np.zeros(0, np.int64), np.zeros(0, np.int64))], 0
    while begin < len(stream.ids):
        stretch = _stretch(stream, begin)
        mine = stretch.keys[(stretch.keys >= 0) & (stretch.keys % parts == part)]
        pieces.append(np.unique(mine, return_counts=True))
        # merging rarely keeps the sum of all merges cheap
        if sum(len(keys) for keys, _ in pieces[1:]) > len(pieces[0][0]) + BATCH:
            pieces = [_merged(pieces)]
        begin += stretch.last
    return _merged(pieces)


def _merged(pieces: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys, counts = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts


def _scored(
    stream: PairStream, keys: np.ndarray, counts: np.ndarray, score: Score, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, a, b = stream.digits(keys)
    given = counts, stream.counts[a], stream.counts[b], len(stream.ids), stream.min_count
    scores = np.asarray(score(*given))
    if scores.dtype.kind not in "iuf" or scores.shape != keys.shape:
        shown = " ".join(f"{scores!r}"[:60].split())
        cause = f"The score function returned {shown} for {len(keys)} pairs"
        raise SettingError(f"{cause}. It has to return an array with a number for each pair.")
    scores = scores.astype(np.float64)
    above = scores > threshold
    return keys[above], counts[above], scores[above]


def write_joined(
    stream: PairStream, keys: np.ndarray, numbers: np.ndarray, ids_out: IO[bytes], starts: IO[bytes]
) -> None:
    """Write the ids, int32, with each chosen pair as one id, and the line starts, int64.

    The chosen pairs [n] have rising ``keys``; ``numbers`` [n] are their new ids. Pairs are joined
    from left to right. Of pairs that share words, the first, the third and so on are joined.
    """
    begin = written = 0
    while begin < len(stream.ids):
        stretch = _stretch(stream, begin)
        slot = np.minimum(np.searchsorted(keys, stretch.keys), max(len(keys) - 1, 0))
        chosen = keys[slot] == stretch.keys if len(keys) else np.zeros(len(stretch.keys), bool)
        pair = np.arange(len(chosen))
        # for each pair, the nearest pair to its left that is not chosen
        before = np.maximum.accumulate(np.where(chosen, -1, pair)) if len(pair) else pair
        joined = np.flatnonzero(chosen & ((pair - before) % 2 == 1))
        stretch.ids[stretch.left[joined]] = numbers[slot[joined]]
        # 1 where the rest of a phrase begins, -1 behind its end
        inside = np.zeros(len(stretch.ids) + 1, np.int64)
        inside[stretch.left[joined] + 1] += 1
        inside[stretch.right[joined] + 1] -= 1
        end = stretch.last
        # the last word is joined already, so the next stretch begins behind it
        if len(joined) and int(stretch.right[joined[-1]]) == end:
            end = len(stretch.ids)
        keep = np.cumsum(inside)[:end] == 0
        places = np.cumsum(keep) - 1 + written
        starts.write(places[stretch.opens[:end]].astype("<i8").data)
        ids_out.write(stretch.ids[:end][keep].astype("<i4").data)
        written += int(np.count_nonzero(keep))
        begin += end
