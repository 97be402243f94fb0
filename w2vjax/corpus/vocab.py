"""The vocabulary: words, their counts, and what became of the words that are not in it."""

import difflib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from w2vjax.corpus.scan import Seen, scan
from w2vjax.corpus.sources import READING, Reading
from w2vjax.corpus.tokenizers import Tokenizer
from w2vjax.errors import CorpusError, FormatError, SettingError, UnknownWordError
from w2vjax.files import atomic_file

REMEMBERED = 200_000  # dropped words that a vocabulary still knows, the most frequent ones


class Report(NamedTuple):
    """What a corpus came to: ``lines`` that hold a word, and distinct words and tokens, kept and dropped."""

    lines: int
    words_kept: int
    words_dropped: int
    tokens_kept: int
    tokens_dropped: int

    def __str__(self) -> str:
        words, tokens = self.words_kept + self.words_dropped, self.tokens_kept + self.tokens_dropped
        return (
            f"{self.lines:,} lines, {tokens:,} tokens of {words:,} words; kept {self.words_kept:,} words "
            f"({self.words_kept / max(words, 1):.1%}), {self.tokens_kept:,} tokens "
            f"({self.tokens_kept / max(tokens, 1):.1%})"
        )


@dataclass(frozen=True, eq=False)
class Vocab:
    """V words and their counts, by count descending and then by first occurrence; a word's place is its id.

    ``counts`` is [V] int64, read-only. ``min_count`` is what the words were chosen by, 1 where that is not known.
    ``dropped`` holds the most frequent words left out (at most 200,000), with their counts.

    >>> vocab = build_vocab([["a", "rose", "is", "a", "rose"]], min_count=2)
    >>> vocab.words, vocab.counts.tolist(), vocab["rose"]
    (('a', 'rose'), [2, 2], 1)
    >>> vocab["is"]
    Traceback (most recent call last):
        ...
    w2vjax.errors.UnknownWordError: 'is' is not in the vocabulary: seen 1 time, min_count=2. Close spellings: none.
    """

    words: tuple[str, ...]
    counts: np.ndarray
    min_count: int = 1
    dropped: Mapping[str, int] = field(default_factory=dict)
    report: Report | None = None

    def __post_init__(self) -> None:
        words, counts = tuple(self.words), np.array(self.counts, np.int64)
        if counts.shape != (len(words),):
            raise SettingError(
                f"{len(words)} words came with counts of shape {counts.shape}. Pass one count a word."
            )
        counts.setflags(write=False)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "counts", counts)
        if len(self.ids) != len(words):
            twice = next(word for place, word in enumerate(words) if self.ids[word] != place)
            raise SettingError(f"The word {twice!r} is in the vocabulary twice. Words have to be distinct.")

    @cached_property
    def ids(self) -> dict[str, int]:
        """{word: id}."""
        return {word: place for place, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    def __getitem__(self, word: str) -> int:
        """The id of a word. Raises :class:`~w2vjax.errors.UnknownWordError` with what is known about it."""
        if (found := self.ids.get(word)) is None:
            raise UnknownWordError(self.explain(word))
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocab):
            return NotImplemented
        return self.words == other.words and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash(self.words)

    def lookup(self, words: Iterable[str]) -> np.ndarray:
        """The ids [n] int32 of several words; an unknown one raises."""
        return np.array([self[word] for word in words], np.int32)

    def explain(self, word: str) -> str:
        """Why a word is not here, in a sentence: how often it was seen, and words that are spelled like it."""
        why = "."
        if seen := self.dropped.get(word, 0):
            limit = f"min_count={self.min_count}" if seen < self.min_count else f"max_vocab={len(self)}"
            why = f": seen {seen:,} time{'s' if seen != 1 else ''}, {limit}."
        close = ", ".join(map(repr, closest(word, self.words))) or "none"
        return f"{word!r} is not in the vocabulary{why} Close spellings: {close}."

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write word2vec's vocabulary file: ``word count`` a line, UTF-8. Refuses words the format cannot carry."""
        for word in self.words:
            if not word or any(character <= " " for character in word):
                raise FormatError(
                    f"{os.fspath(path)}: the word {word!r} cannot be written to a vocabulary file, where spaces and "
                    "newlines separate. Replace its white space before counting."
                )
        with atomic_file(path) as file:
            for word, count in zip(self.words, self.counts.tolist(), strict=True):
                try:
                    file.write(f"{word} {count}\n".encode())
                except UnicodeEncodeError as error:
                    raise FormatError(
                        f"{os.fspath(path)}: the word {word!r} is not valid Unicode text ({error.reason}). "
                        "Replace it before counting."
                    ) from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Vocab":
        """Read word2vec's vocabulary file, in its order. Raises :class:`~w2vjax.errors.FormatError` naming the line."""
        name = os.fspath(path)
        words: dict[str, int] = {}
        try:
            with open(path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if number == 1:
                        line = line.removeprefix(b"\xef\xbb\xbf")
                    word, count = _word_and_count(line, f"{name}, line {number}")
                    if word in words:
                        raise FormatError(
                            f"{name}, line {number}: the word {word!r} has been there before. Remove it."
                        )
                    words[word] = count
        except OSError as error:
            raise FormatError(f"{name} cannot be read: {error.strerror}. Check the path.") from error
        if not words:
            raise FormatError(
                f"{name} holds no words. A vocabulary file has a word and its count on each line."
            )
        counts = np.fromiter(words.values(), np.int64, len(words))
        return cls(tuple(words), counts, min_count=max(1, int(counts.min())))

    def arrays(self) -> dict[str, np.ndarray]:
        """The vocabulary as arrays for a safetensors file: words as UTF-8 bytes and V + 1 offsets, and counts."""
        encoded = [word.encode("utf-8", "surrogatepass") for word in self.words]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        data = np.frombuffer(b"".join(encoded), np.uint8)
        return {"words": data, "offsets": offsets, "counts": np.array(self.counts)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Vocab":
        """The inverse of :meth:`arrays`. Raises :class:`~w2vjax.errors.FormatError` for arrays that do not fit."""
        data, offsets = np.asarray(arrays["words"]).tobytes(), np.asarray(arrays["offsets"]).tolist()
        rises = all(a <= b for a, b in itertools.pairwise(offsets))
        if not offsets or offsets[0] != 0 or offsets[-1] != len(data) or not rises:
            raise FormatError(
                f"The offsets of the words do not cover their {len(data)} bytes. The file is damaged: write it again."
            )
        try:
            words = [data[a:b].decode("utf-8", "surrogatepass") for a, b in itertools.pairwise(offsets)]
            return cls(tuple(words), np.asarray(arrays["counts"]))
        except (UnicodeDecodeError, SettingError) as error:
            raise FormatError(
                f"The words of the vocabulary are damaged: {error} Write the file again."
            ) from None


def _word_and_count(line: bytes, place: str) -> tuple[str, int]:
    word, _, count = line.rstrip(b"\r\n").rpartition(b" ")
    try:
        text, number = word.decode(), int(count) if count.isdigit() and len(count) < 20 else -1
    except UnicodeDecodeError:
        raise FormatError(f"{place}: invalid UTF-8. Convert the file to UTF-8.") from None
    if not text or not 0 <= number < 1 << 63:
        raise FormatError(f"{place}: {line[:60]!r} is not a word, a space and a count. Correct the line.")
    return text, number


def closest(word: str, words: Sequence[str], topn: int = 3) -> list[str]:
    """Up to ``topn`` words spelled like ``word``, closest first; among equals the earlier, more frequent one.

    >>> closest("wommen", ["woman", "king", "women", "queen"])
    ['women', 'woman']
    """
    lowered = [w for w in words if w.lower() == word.lower()][:topn]
    ends = set(word[:2]), set(word[-2:])
    near = [w for w in words if abs(len(w) - len(word)) <= 2 and (w[:1] in ends[0] or w[-1:] in ends[1])]
    found = difflib.get_close_matches(word, near, topn, cutoff=0.7)
    return list(dict.fromkeys([*lowered, *found]))[:topn]


def check_counts(min_count: int, max_vocab: int | None) -> None:
    """Refuse settings that cannot work before anything is read. min_count=0 keeps every word, as 1 does."""
    whole = isinstance(min_count, (int, np.integer)) and not isinstance(min_count, bool)
    if not whole or min_count < 0:
        raise SettingError(
            f"min_count={min_count!r} is not a whole number of at least 0. The usual value is 5."
        )
    whole = isinstance(max_vocab, (int, np.integer)) and not isinstance(max_vocab, bool)
    if max_vocab is not None and (not whole or max_vocab < 1):
        raise SettingError(
            f"max_vocab={max_vocab!r} is not a whole number above 0. Leave it out for no limit."
        )


def choose(seen: Seen, min_count: int, max_vocab: int | None) -> tuple[Vocab, np.ndarray]:
    """The vocabulary of a pass, and the id of every number of it ([S] int32, -1 where the word is dropped)."""
    met = np.flatnonzero(seen.counts)
    ranked = met[np.lexsort((seen.first[met], -seen.counts[met]))]
    size = int(np.searchsorted(-seen.counts[ranked], -max(min_count, 1), side="right"))
    if size == 0:
        word, count = seen.spell(ranked[:1])[0], int(seen.counts[ranked[0]])
        shown = word if len(word) < 60 else word[:57] + "..."
        raise CorpusError(
            f"No word occurs min_count={min_count} times (most frequent: {shown!r}, {count:,}). "
            "Lower min_count or read more text."
        )
    size = min(size, max_vocab or size)
    kept, dropped = ranked[:size], ranked[size:]
    ids_of = np.full(len(seen.counts), -1, np.int32)
    ids_of[kept] = np.arange(size, dtype=np.int32)
    tokens = int(seen.counts[kept].sum())
    known = dropped[:REMEMBERED]
    vocab = Vocab(
        tuple(seen.spell(kept)),
        seen.counts[kept],
        min_count=max(min_count, 1),
        dropped=dict(zip(seen.spell(known), seen.counts[known].tolist(), strict=True)),
        report=Report(seen.lines, size, len(dropped), tokens, seen.tokens - tokens),
    )
    return vocab, ids_of


def build_vocab(
    source: Any,
    min_count: int = 5,
    max_vocab: int | None = None,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
) -> Vocab:
    """Count the words of a source and keep those that occur ``min_count`` times, at most ``max_vocab`` of them.

    ``source`` and ``tokenizer`` are described in :mod:`w2vjax.corpus`. Raises
    :class:`~w2vjax.errors.CorpusError` where nothing can be read or kept, and
    :class:`~w2vjax.errors.SettingError` for settings that cannot work.

    >>> build_vocab([["to", "be", "or", "not", "to", "be"]], min_count=1, max_vocab=3).words
    ('to', 'be', 'or')
    """
    check_counts(min_count, max_vocab)
    return choose(scan(source, tokenizer, reading), min_count, max_vocab)[0]
