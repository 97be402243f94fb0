"""A hash table from words to numbers that looks up a whole block of words at once, in NumPy.

A word is read in pieces of eight bytes, each an unsigned 64-bit integer. A table (state, piece) ->
state leads from the empty word, state 0, to the state of the whole word, which is its number. Most
words take one step. Pieces are compared in full, so no two words are ever confused; hashing only
says where to look first. The last piece is filled up with zero bytes. No word holds a zero byte,
which is a separator, so different words stay different.
"""

import numpy as np

PIECE = 8  # bytes
PIECES = 8  # words longer than PIECES * PIECE bytes, rare in any text, go through a dict
MASKS = np.array([(1 << (8 * n)) - 1 for n in range(PIECE + 1)], np.uint64)  # keep n bytes
_MULTIPLIERS = np.random.default_rng(0x77327661).integers(
    1 << 63, 1 << 64, 32, np.uint64
) | np.uint64(1)
_HALF = np.uint64(32)
_ONE_PARENT = np.uint64(1 << 32)
_ROUNDS = 500  # probes before the next multiplier is taken; only crafted words come near


class WordTable:
    """``size`` states: the words seen so far, and the beginnings of longer words."""

    def __init__(self) -> None:
        self.size = 1  # state 0 is the empty word
        self.piece = np.zeros(1 << 12, np.uint64)  # [capacity] the piece that led to a state
        self.parent = np.zeros(1 << 12, np.int32)  # [capacity] the state it was read in
        self.long_words: dict[bytes, int] = {}
        self._multiplier = 0
        self._rebuild(1 << 16)

    def states(self, text: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The states [words] of words. New words get new states.

        Args:
            text: uint8, with PIECE more bytes behind the last word.
            starts: [words] int64, where in text each word begins.
            lengths: [words] int64, in bytes.
        """
        # the 8 bytes from each byte on
        windows = np.ndarray((len(text) - PIECE + 1,), "<u8", buffer=text, strides=(1,))
        found = self._step(None, windows[starts] & MASKS.take(lengths, mode="clip"))
        longer = np.flatnonzero(lengths > PIECE)
        for level in range(1, PIECES):
            if not len(longer):
                return found
            begin = starts[longer] + level * PIECE
            left = lengths[longer] - level * PIECE
            found[longer] = self._step(
                found[longer], windows[begin] & MASKS.take(left, mode="clip")
            )
            longer = longer[left > PIECE]
        for word in longer.tolist():
            found[word] = self._long(text[starts[word] : starts[word] + lengths[word]].tobytes())
        return found

    def merge(self, other: "WordTable") -> np.ndarray:
        """Add the words of another table. Returns the state here [other.size] of each of its own.

        The words are added by length: a state is found once the state it was read in is.
        """
        found, known = np.zeros(other.size, np.int64), np.zeros(other.size, bool)
        known[0] = True
        left = other._in_pieces()
        while len(left):
            is_ready = known[other.parent[left]]
            ready, left = left[is_ready], left[~is_ready]
            for begin in range(0, len(ready), 1 << 16):
                states = ready[begin : begin + (1 << 16)]
                found[states] = self._step(found[other.parent[states]], other.piece[states])
            known[ready] = True
        for word, state in other.long_words.items():
            found[state] = self._long(word)
        return found

    def _long(self, word: bytes) -> int:
        """The state of a word of more than PIECES * PIECE bytes."""
        if (state := self.long_words.get(word)) is None:
            self._reserve(self.size + 1)
            state = self.long_words[word] = self.size
            self.size += 1
        return state

    def _in_pieces(self) -> np.ndarray:
        """The states that a piece leads to: all but the empty word and the long words."""
        kept = np.ones(self.size, bool)
        kept[[0, *self.long_words.values()]] = False
        return np.flatnonzero(kept)

    def spell(self, states: np.ndarray) -> list[str]:
        """The words that end in the given states."""
        words: list[str] = []
        for begin in range(0, len(states), 1 << 16):
            words += self._spell(states[begin : begin + (1 << 16)].astype(np.intp))
        if self.long_words:
            long = {state: word for word, state in self.long_words.items()}
            words = [
                long[state].decode() if state in long else word
                for state, word in zip(states.tolist(), words, strict=True)
            ]
        return words

    def _spell(self, state: np.ndarray) -> list[str]:
        """Writes the words' pieces, from last to first, into one text with a word a line."""
        text = np.zeros((len(state), PIECES * PIECE + 1), np.uint8)
        text[:, -1] = ord("\n")
        for place in range(PIECES - 1, -1, -1):
            text[:, place * PIECE : (place + 1) * PIECE] = (
                self.piece[state].view(np.uint8).reshape(-1, PIECE)
            )
            state = self.parent[state]
            if not state.any():
                break
        spelled: str = text[text != 0].tobytes().decode()
        return spelled.split("\n")[:-1]

    def _step(self, state: np.ndarray | None, piece: np.ndarray) -> np.ndarray:
        """One step [words]: where (state, piece) leads. ``state`` None is the empty word."""
        parent = np.zeros(1, np.uint64) if state is None else state.view(np.uint64) << _HALF
        slot = self._slot(parent, piece)
        link = self._link.take(slot) ^ parent  # the state alone, where the parent is the same
        missed = np.flatnonzero((self._piece.take(slot) != piece) | (link >= _ONE_PARENT))
        found = link.view(np.int64)
        if len(missed):
            parents = np.zeros(len(missed), np.uint64) if state is None else parent[missed]
            found[missed] = self._search(parents, piece[missed])
        return found

    def _search(self, parent: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """:meth:`_step` by probing further. Makes states for what is not there."""
        self._reserve(self.size + len(piece))
        found = np.zeros(len(piece), np.int64)
        left = np.arange(len(piece))
        slot = self._slot(parent, piece)
        for distance in range(1, _ROUNDS):
            free = np.flatnonzero(self._link[slot] == 0)
            # Several words may claim one free slot. Each writes its place. The last one stays.
            self._link[slot[free]] = free
            won = free[self._link[slot[free]] == free]
            self._make(slot[won], parent[left[won]], piece[left[won]])
            link = self._link[slot] ^ parent[left]
            there = (self._piece[slot] == piece[left]) & (link < _ONE_PARENT)
            found[left[there]] = link[there]
            left, slot = left[~there], (slot[~there] + distance) & self._mask
            if not len(left):
                return found
        self._multiplier += 1
        self._rebuild(len(self._link))
        found[left] = self._search(parent[left], piece[left])
        return found

    def _make(self, slot: np.ndarray, parent: np.ndarray, piece: np.ndarray) -> None:
        state = np.arange(self.size, self.size + len(slot), dtype=np.uint64)
        self.size += len(slot)
        self.piece[state], self.parent[state] = piece, parent >> _HALF
        self._piece[slot], self._link[slot] = piece, parent | state

    def _slot(self, parent: np.ndarray, piece: np.ndarray) -> np.ndarray:
        multiplier = _MULTIPLIERS[self._multiplier % len(_MULTIPLIERS)]
        mixed: np.ndarray = (piece ^ parent) * multiplier
        mixed ^= mixed >> _HALF
        mixed *= multiplier
        return (mixed >> self._shift).view(np.int64)

    def _reserve(self, size: int) -> None:
        """Room for ``size`` states, and a table at most half full."""
        if size > len(self.piece):
            grown = max(size, 2 * len(self.piece))
            self.piece = np.concatenate([self.piece, np.zeros(grown - len(self.piece), np.uint64)])
            self.parent = np.concatenate(
                [self.parent, np.zeros(grown - len(self.parent), np.int32)]
            )
        if 2 * size > len(self._link):
            self._rebuild(1 << (2 * size - 1).bit_length())

    def _rebuild(self, slots: int) -> None:
        self._mask, self._shift = slots - 1, np.uint64(64 - (slots.bit_length() - 1))
        self._piece = np.zeros(slots, np.uint64)
        # parent in the upper half, state in the lower; 0 is a free slot
        self._link = np.zeros(slots, np.uint64)
        # backwards, so that of two states that claim a slot the older one wins
        left = self._in_pieces()[::-1].astype(np.uint64)
        slot = self._slot(self.parent[left].astype(np.uint64) << _HALF, self.piece[left])
        distance = 0
        while len(left):
            free = np.flatnonzero(self._link[slot] == 0)
            self._link[slot[free]] = left[free]
            placed = free[self._link[slot[free]] == left[free]]
            self._piece[slot[placed]] = self.piece[left[placed]]
            self._link[slot[placed]] |= self.parent[left[placed]].astype(np.uint64) << _HALF
            distance += 1
            slot, left = (np.delete(slot, placed) + distance) & self._mask, np.delete(left, placed)
