"""A hash table from words to numbers that looks up a whole block of words at once, in NumPy.

A word is read in pieces of eight bytes, each an unsigned 64-bit integer. Its last piece has 0 to 7
bytes and is filled up with zero bytes. No word holds a zero byte, which is a separator. So the last
piece differs from all others, and different words have different pieces.

Steps (state, piece) -> state lead from state 0, the empty word, to the state of the whole word,
which is the word's number. Pieces are compared in full, so no two words are ever confused.

Threads share a table. They look up without a lock, and add words under one. A state never changes.
It is complete before its slot shows it, so whoever sees the slot sees the state.
"""

from threading import RLock
from typing import NamedTuple

import numpy as np

PIECE = 8  # bytes
PIECES = 8  # words of PIECES * PIECE bytes or more, rare in any text, go through a dict
MASKS = np.array([(1 << (8 * n)) - 1 for n in range(PIECE + 1)], np.uint64)  # keep n bytes
_MULTIPLIERS = np.random.default_rng(0x77327661).integers(1 << 63, 1 << 64, 32, np.uint64)
_MULTIPLIERS |= np.uint64(1)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth, TAOCP 3, section 6.4
_ROUNDS = 500  # probes before the next multiplier is taken; only crafted words come near
# Slots for each state. Fewer make searches longer; with more, the table does not fit the cache.
_ROOM = 4


class _Slots(NamedTuple):
    """Open addressing: a power of two of states, 0 in a free slot."""

    states: np.ndarray  # [slots] int64
    claims: np.ndarray  # [slots] int32, which of several new states gets a slot
    multiplier: np.uint64

    def home(self, parent: np.ndarray | None, piece: np.ndarray) -> np.ndarray:
        """The slot [n] where the search for (parent, piece) begins. Multiply-shift hashing."""
        key = piece if parent is None else piece ^ (parent.view(np.uint64) * _SPREAD)
        mixed: np.ndarray = key * self.multiplier
        mixed >>= np.uint64(65 - len(self.states).bit_length())
        return mixed.view(np.int64)


class WordTable:
    """``size`` states: the words seen so far, and the beginnings of longer words."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.size = 1
        self.piece = np.zeros(1 << 12, np.uint64)  # [capacity] the piece that led to a state
        self.parent = np.zeros(1 << 12, np.int64)  # [capacity] where from; -1 for long words
        self.long_words: dict[bytes, int] = {}
        self._used = [0, 0]
        # one table for the first pieces of words, and one for all other pieces
        self._slots = [_Slots(np.zeros(1, np.int64), np.zeros(1, np.int32), _MULTIPLIERS[0])] * 2

    def numbers(self, text: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The numbers [words] int64 of words. New words get new numbers.

        Args:
            text: uint8, with PIECE more bytes behind the last word.
            starts: [words] int64, where in text each word begins.
            lengths: [words] int64, in bytes.
        """
        # the 8 bytes from each byte on
        windows = np.ndarray((len(text) - PIECE + 1,), "<u8", buffer=text, strides=(1,))
        piece = windows[starts]
        piece &= MASKS.take(lengths, mode="clip")
        found = self._step(None, piece)
        longer = np.flatnonzero(lengths >= PIECE)
        for level in range(1, PIECES):
            if not len(longer):
                return found
            left = lengths[longer] - level * PIECE
            piece = windows[starts[longer] + level * PIECE]
            piece &= MASKS.take(left, mode="clip")
            found[longer] = self._step(found[longer], piece)
            longer = longer[left >= PIECE]
        for word in longer.tolist():
            found[word] = self._long(text[starts[word] : starts[word] + lengths[word]].tobytes())
        return found

    def _long(self, word: bytes) -> int:
        """The state of a word of PIECES * PIECE bytes or more."""
        if word not in self.long_words:  # a lock for every word would take too long
            with self.lock:
                if word not in self.long_words:
                    self.long_words[word] = self._make(np.array(-1), np.zeros(1, np.uint64)).item()
        return self.long_words[word]

    def spell(self, states: np.ndarray) -> list[str]:
        """The words that end in the given states."""
        words: list[str] = []
        for begin in range(0, len(states), 1 << 12):
            words += self._spell(states[begin : begin + (1 << 12)])
        if self.long_words:
            long = {state: word for word, state in self.long_words.items()}
            for place in np.flatnonzero(self.parent[states] < 0).tolist():
                words[place] = long[int(states[place])].decode()
        return words

    def _spell(self, state: np.ndarray) -> list[str]:
        """Writes the words' pieces, from last to first, into one text with a word a line."""
        columns = [np.full(len(state), ord("\n"), "<u8")]
        while (state > 0).any():
            state = np.maximum(state, 0)
            columns.append(self.piece[state])
            state = self.parent[state]
        text = np.stack(columns[::-1], axis=1).view(np.uint8)
        spelled: str = text[text != 0].tobytes().decode()
        return spelled.split("\n")[:-1]

    def _step(self, parent: np.ndarray | None, piece: np.ndarray) -> np.ndarray:
        """Where (parent, piece) leads [words]. ``parent`` None is the empty word."""
        found, slot, absent, slots = self._find(parent, piece)
        if len(absent):
            some = None if parent is None else parent[absent]
            with self.lock:
                found[absent] = self._add(some, piece[absent], slot[absent], slots)
        return found

    def _find(
        self, parent: np.ndarray | None, piece: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, _Slots]:
        """(states [n], the slots [n] where the searches ended, what was not found [m], the table).

        A state that was not found is 0. A search that takes too many rounds ends at slot -1.
        """
        slots = self._slots[parent is not None]
        slot = slots.home(parent, piece)
        found = slots.states.take(slot)
        left = missed = np.flatnonzero(self._other(found, parent, piece))
        for distance in range(1, _ROUNDS):
            if not len(left := left[found[left] > 0]):
                break
            slot[left] = (slot[left] + distance) & (len(slots.states) - 1)
            found[left] = slots.states[slot[left]]
            some = None if parent is None else parent[left]
            left = left[self._other(found[left], some, piece[left])]
        found[left], slot[left] = 0, -1
        return found, slot, missed[found[missed] == 0], slots

    def _other(self, state: np.ndarray, parent: np.ndarray | None, piece: np.ndarray) -> np.ndarray:
        """Which states [n] bool are not those of (parent, piece)."""
        other: np.ndarray = self.piece.take(state) != piece
        if parent is not None:
            other |= self.parent.take(state) != parent
        return other

    def _add(
        self, parent: np.ndarray | None, piece: np.ndarray, slot: np.ndarray, slots: _Slots
    ) -> np.ndarray:
        """New states [n] for what a search did not find. The search ended at ``slot`` [n]."""
        kind, found = int(parent is not None), np.zeros(len(piece), np.int64)
        left = np.arange(len(piece))
        while len(left):
            # of several that claim a slot, one gets it, and the others search again
            slots.claims[slot] = left
            won = np.flatnonzero((slots.claims[slot] == left) & (slots.states[slot] == 0))
            used, failed = self._used[kind] + len(won), bool((slot < 0).any())
            if failed or _ROOM * used > len(slots.states):
                self._rebuild(kind, used, failed)
            elif slots is self._slots[kind]:  # else another thread has rebuilt them
                new, slot = left[won], slot[won]
                parents = np.zeros(len(new), np.int64) if parent is None else parent[new]
                found[new] = slots.states[slot] = self._make(parents, piece[new])
                self._used[kind] = used
                left = left[found[left] == 0]
            some = None if parent is None else parent[left]
            found[left], slot, absent, slots = self._find(some, piece[left])
            left, slot = left[absent], slot[absent]
        return found

    def _make(self, parent: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """New states."""
        size = self.size + len(piece)
        if size > len(self.piece):
            more = max(size, 2 * len(self.piece)) - len(self.piece)
            self.piece, self.parent = np.pad(self.piece, (0, more)), np.pad(self.parent, (0, more))
        states = np.arange(self.size, size)
        self.piece[states], self.parent[states] = piece, parent
        self.size = size
        return states

    def _rebuild(self, kind: int, used: int, has_failed: bool) -> None:
        """Enter all states of a kind anew, with room for more or by the next multiplier."""
        multiplier, count = self._slots[kind].multiplier, 1 << (_ROOM * used - 1).bit_length()
        if has_failed:
            next_one = np.flatnonzero(multiplier == _MULTIPLIERS)[0] + 1
            multiplier = _MULTIPLIERS[next_one % len(_MULTIPLIERS)]
        count = max(count, 1 << 16)
        fresh = _Slots(np.zeros(count, np.int64), np.empty(count, np.int32), multiplier)
        parent = self.parent[: self.size]
        left = np.flatnonzero(parent > 0) if kind else np.flatnonzero(parent == 0)[1:]
        slot, distance = fresh.home(parent[left] if kind else None, self.piece[left]), 0
        while len(left):
            # backwards, so that of two states that claim a slot the older one wins
            free = np.flatnonzero(fresh.states[slot] == 0)[::-1]
            fresh.states[slot[free]] = left[free]
            lost = np.flatnonzero(fresh.states[slot] != left)
            distance += 1
            left, slot = left[lost], (slot[lost] + distance) & (count - 1)
        self._slots[kind] = fresh
