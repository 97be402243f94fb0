"""The vocabulary: words, their counts, and what is known of the words that were left out."""

import difflib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import FormatError, SettingError, UnknownWordError, shown, whole_number
from w2vjax.files import AnyPath
from w2vjax.real import whole_counts
from w2vjax.vocabulary_file import read_vocabulary, write_vocabulary

# An unknown word is compared with the most frequent words, up to this length. Aligning two words
# takes about the product of their lengths, and the products add up to this. A clock would give
# other hints on other machines. All of it takes a fraction of a second.
_SEARCHED = 50_000
_LONGEST = 100
_ALIGNED = 500_000
_ALIKE = 0.7  # difflib's ratio of a close spelling
REMEMBERED = 200_000  # words that were left out and that a vocabulary still knows


class Report(NamedTuple):
    """What a corpus holds.

    Attributes:
        lines: that hold a word.
        words_kept, words_dropped: different words.
        tokens_kept, tokens_dropped: all words of the text, repeated ones too.
    """

    lines: int
    words_kept: int
    words_dropped: int
    tokens_kept: int
    tokens_dropped: int

    def __str__(self) -> str:
        words, tokens = self.words_kept + self.words_dropped, self.tokens_kept + self.tokens_dropped
        return (
            f"{self.lines:,} lines, {tokens:,} tokens of {words:,} words; kept {self.words_kept:,} "
            f"words ({self.words_kept / max(words, 1):.1%}), {self.tokens_kept:,} tokens "
            f"({self.tokens_kept / max(tokens, 1):.1%})"
        )


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Vocab:
    """V different words and their counts. The id of a word is its position.

    A vocabulary that is counted from a text has the frequent words first.

    Args:
        words: V different strings.
        counts: [V] how often each word occurs, kept as read-only int64; None if not known.
        min_count: the threshold that chose the words; 1 if not known.
        dropped: the most frequent words that were left out (at most 200,000), with their counts.
        report: what the corpus held, if the words come from one.

    Raises:
        SettingError: a word is not a string or occurs twice; a count is missing, negative or no
            whole number; the words are one string, a set or a dict; or ``dropped`` is no dict of
            words and counts.

    >>> vocab = Vocab(("a", "rose"), [3, 2], min_count=2, dropped={"is": 1})
    >>> vocab["rose"], vocab.counts.tolist()
    (1, [3, 2])
    >>> vocab["is"]
    Traceback (most recent call last):
    w2vjax.errors.UnknownWordError: The word 'is' is not among the 2 words: it was seen 1 time, ...
    """

    words: tuple[str, ...]
    counts: np.ndarray | None
    min_count: int
    dropped: Mapping[str, int]
    report: Report | None

    def __init__(
        self,
        words: Iterable[str],
        counts: ArrayLike | None = None,
        min_count: int = 1,
        dropped: Mapping[str, int] | None = None,
        report: Report | None = None,
    ) -> None:
        kept = None if counts is None else whole_counts("counts", counts)
        # A frozen dataclass has no other way to set what its __init__ converts.
        vars(self).update(words=tuple(listed(words)), counts=kept)
        vars(self).update(min_count=whole_number("min_count", min_count, least=0), report=report)
        vars(self).update(dropped={} if dropped is None else _whole_dropped(dropped))
        _check(self)

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """{word: id}, read-only."""
        return MappingProxyType(dict(zip(self.words, range(len(self.words)), strict=True)))

    def __repr__(self) -> str:
        return f"Vocab({len(self):,} words{'' if self.counts is None else ', with counts'})"

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self.ids

    def __getitem__(self, word: str) -> int:
        """The id of a word.

        Raises:
            UnknownWordError: the word is not in the vocabulary. The message gives close spellings.
            SettingError: the word is not a string.
        """
        if not isinstance(word, str):
            raise not_a_word(word)
        if (found := self.ids.get(word)) is None:
            raise unknown_word(word, self.ids, self._why_dropped(word))
        return found

    # jit hashes the static part of a pytree at every call and compares it at every hit. So both
    # must be quick for every V: the hash is of three things, and the comparison ends at identity.
    def __hash__(self) -> int:
        return hash((len(self.words), self.words[:1], self.words[-1:]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocab):
            return NotImplemented
        return self is other or (
            self.words == other.words
            and _equal(self.counts, other.counts)
            and (self.min_count, self.dropped) == (other.min_count, other.dropped)
        )

    def __reduce__(self) -> tuple[type["Vocab"], tuple[object, ...]]:
        return Vocab, (self.words, self.counts, self.min_count, self.dropped, self.report)

    def _why_dropped(self, word: str) -> str:
        seen = self.dropped.get(word)
        if seen is None:
            return ""
        limit = ", and max_vocab left it out"
        if seen < self.min_count:
            limit = f", min_count={self.min_count}"
        return f": it was seen {seen:,} time{'' if seen == 1 else 's'}{limit}"

    def lookup(self, words: Iterable[str]) -> np.ndarray:
        """The ids [n] int32 of n words. Raises as ``vocab[word]`` does, and for a string or a set.

        >>> Vocab(("a", "rose")).lookup(["rose", "a", "rose"]).tolist()
        [1, 0, 1]
        """
        return np.array([self[word] for word in listed(words)], np.int32)

    def grow(self, new: "Vocab", min_count: int = 1) -> "Vocab":
        """The vocabulary to continue training with on new text.

        The words of this vocabulary keep their ids. New words follow, if they are frequent enough.
        The counts of both texts add up, also for a known word that is rare in the new text.

        Args:
            new: all words of the new text, with their counts.
            min_count: a new word joins if the new text has it this many times.

        Raises:
            SettingError: ``new`` is no vocabulary, one of the two has no counts, or min_count is
                not a whole number of 0 or more.

        >>> grown = Vocab(("a", "b"), [5, 2]).grow(Vocab(("c", "b", "d"), [4, 1, 1]), min_count=2)
        >>> grown.words, grown.counts.tolist(), grown.dropped
        (('a', 'b', 'c'), [5, 3, 4], {'d': 1})
        """
        whole_number("min_count", min_count, least=0)
        _require_vocab(new)
        if self.counts is None or new.counts is None:
            cause = "Counts of both texts are needed to add them up"
            raise SettingError(f"{cause}. Pass vocabularies with counts.")
        seen = {**dict(zip(new.words, new.counts.tolist(), strict=True)), **new.dropped}
        grown = dict(zip(self.words, self.counts.tolist(), strict=True))
        dropped: dict[str, int] = {}
        for word, count in seen.items():
            frequent = count >= min_count and word not in new.dropped
            kept = grown if word in grown or frequent else dropped
            kept[word] = kept.get(word, 0) + count
        rare = dict(islice(dropped.items(), REMEMBERED))
        least = max(min_count, new.min_count)
        return Vocab(list(grown), list(grown.values()), least, rare, new.report)

    def save(self, path: AnyPath) -> None:
        """Write a vocabulary file: :func:`~w2vjax.vocabulary_file.write_vocabulary`."""
        write_vocabulary(path, self.words, self.counts)

    @classmethod
    def load(cls, path: AnyPath) -> "Vocab":
        """Read a vocabulary file: :func:`~w2vjax.vocabulary_file.read_vocabulary`.

        Raises:
            FormatError: also where the file holds no words or no counts.
        """
        words, counts = read_vocabulary(path)
        if counts is None:
            missing = "counts" if words else "words"
            cause = f"{os.fspath(path)} holds no {missing}"
            raise FormatError(f"{cause}. Give a word and its count on each line.")
        return cls(words, counts)


def _require_vocab(given: object) -> None:
    if not isinstance(given, Vocab):
        cause = f"{shown(given)} is of type {type(given).__name__} and no Vocab"
        raise SettingError(f"{cause}. Pass one, such as corpus.vocab or vectors.vocab.")


def _check(vocab: Vocab) -> None:
    words, counts = vocab.words, vocab.counts
    if not isinstance(vocab.report, Report | None):
        raise SettingError(f"report={shown(vocab.report)} is no Report. Leave it out.")
    if not _all_strings(words):
        position, word = next(
            (place, word) for place, word in enumerate(words) if not isinstance(word, str)
        )
        raise SettingError(
            f"Word {position} is {shown(word)}, not a string. Decode or convert it first."
        )
    if len(vocab.ids) != len(words):
        places = enumerate(words)
        position, word = next((place, word) for place, word in places if vocab.ids[word] != place)
        cause = f"The word {word!r} is in the vocabulary twice, at {position} and {vocab.ids[word]}"
        raise SettingError(f"{cause}. Keep one of them.")
    if counts is not None and counts.shape != (len(words),):
        cause = f"{len(words)} words need as many counts; their shape is {counts.shape}"
        raise SettingError(f"{cause}. Pass one count for each word.")


def _all_strings(words: Iterable[object]) -> bool:
    # a set of few types is ten times as fast as to look at each word
    return all(issubclass(kind, str) for kind in set(map(type, words)))


def _whole_dropped(dropped: object) -> dict[str, int]:
    """Words that were left out, with their counts as ints of Python. Raises SettingError."""
    if not isinstance(dropped, Mapping) or not _all_strings(dropped):
        cause = f"dropped={shown(dropped)} cannot work"
        raise SettingError(f"{cause}. Pass a dict of words and their counts.")
    kept = dict(dropped)
    counts = whole_counts("dropped", list(kept.values()))
    if counts.ndim != 1:
        cause = f"dropped={shown(dropped)} has an array for a count"
        raise SettingError(f"{cause}. Pass one count for each word.")
    if set(map(type, kept.values())) - {int}:  # to make a dict anew is slow
        kept.update(zip(kept, counts.tolist(), strict=True))
    return kept


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def chosen_by(vocab: Vocab) -> tuple[int, int | None]:
    """(min_count, max_vocab) that chose the words of a vocabulary; None if there was no limit.

    >>> chosen_by(Vocab(["a", "rose"], [2, 2], min_count=1, dropped={"is": 1}))
    (1, 2)
    """
    frequent = max(vocab.dropped.values(), default=0) >= vocab.min_count
    return vocab.min_count, len(vocab) if frequent else None


def require_chosen_by(vocab: Vocab, min_count: int | None, max_vocab: int | None) -> None:
    """Raise SettingError for a vocabulary that cannot be trained with, or not with these numbers.

    The numbers may be those that chose its words; None fits every choice. Training divides by the
    sum of the counts, which may be too large for int64 or 0.
    """
    total = 1 if vocab.counts is None else sum(vocab.counts.tolist())
    if not 1 <= total < 2**63:
        cause = f"The counts of the vocabulary's {len(vocab):,} words sum to {total:,}"
        raise SettingError(f"{cause}. Pass counts with a sum from 1 to 2^63 - 1.")
    least, most = chosen_by(vocab)
    if min_count is not None and max(min_count, 1) != max(least, 1):
        cause = f"min_count={min_count} has no effect on a vocabulary that min_count={least} has"
        raise SettingError(f"{cause} chosen. Leave min_count out, or prepare the corpus with it.")
    if max_vocab is not None and (len(vocab) > max_vocab or (most or max_vocab) < max_vocab):
        cause = f"max_vocab={max_vocab} has no effect on a vocabulary of {len(vocab):,} words that"
        remedy = "Leave max_vocab out, or prepare the corpus with it."
        raise SettingError(f"{cause} is there already. {remedy}")


def listed(words: object) -> list[Any]:
    """The items as a list, where their order counts and nothing else comes with them.

    Refuses a string, whose items are letters, a set, without order, and a dict that has values;
    those of ``dict.fromkeys`` are None.

    >>> listed(word for word in ("cat", "dog"))
    ['cat', 'dog']
    >>> listed("a cat")
    Traceback (most recent call last):
    w2vjax.errors.SettingError: 'a cat' is one string, not a list of words. Pass a list of words.
    """
    if isinstance(words, str):
        cause = f"{words!r:.60} is one string, not a list of words"
        raise SettingError(f"{cause}. Pass a list of words.")
    if isinstance(words, set | frozenset):
        cause = f"{words!r:.60} is a set. Its order, and so the result, differs from run to run"
        raise SettingError(f"{cause}. Pass a list: sorted(words).")
    if isinstance(words, Mapping) and any(value is not None for value in words.values()):
        cause = f"The values of {shown(words)} would be left out"
        remedy = "Pass a list: its words, or its items where pairs (word, weight) are allowed."
        raise SettingError(f"{cause}. {remedy}")
    if isinstance(words, bytes | bytearray):
        raise not_a_word(words)
    if not isinstance(words, Iterable) or getattr(words, "ndim", 1) == 0:
        kind = type(words).__name__
        raise SettingError(f"{shown(words)} is of type {kind}. Pass a list of words.")
    return list(words)


def listed_words(words: object) -> list[str]:
    """The words as a list. Refuses what :func:`listed` refuses, and what is no string."""
    given = listed(words)
    for word in given:
        if not isinstance(word, str):
            raise not_a_word(word)
    return given


def not_a_word(value: object) -> SettingError:
    """The error for a word that is not a string."""
    remedy = "decode it" if isinstance(value, bytes | bytearray) else "pass one"
    cause = f"{shown(value)} is of type {type(value).__name__}"
    return SettingError(f"{cause}. A word is a string: {remedy}.")


def unknown_word(word: str, ids: Mapping[str, int], why: str = "") -> UnknownWordError:
    """The error for a word that is not among ``ids``. ``why`` ends its first sentence."""
    forms = [unicodedata.normalize(form, word) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    if known := [form for form in forms if form in ids]:
        remedy = f"Ask for {known[0]!r}, {known[0]!a}: the text has this Unicode form."
        named = f"The word {word!r:.60}, {word!a:.60},"
        return UnknownWordError(f"{named} is not among the {len(ids):,} words{why}. {remedy}")
    close = closest_spellings(word, ids)
    meant = f"Did you mean {', '.join(map(_shown, close))}?"
    remedy = meant if close else "Check its spelling and its capitals."
    cause = f"The word {word!r:.60} is not among the {len(ids):,} words{why}"
    return UnknownWordError(f"{cause}. {remedy}")


def _shown(word: str) -> str:
    """A word that somebody may have meant. What looks like other characters is escaped, too."""
    plain = unicodedata.is_normalized("NFKC", word)
    return f"{word!r}" if plain else f"{word!r} ({word!a})"


def _plain(word: str) -> str:
    """A word without capitals, ligatures, wide letters and other forms of the same letters."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())


def closest_spellings(word: str, ids: Mapping[str, int]) -> list[str]:
    """At most 3 words of ``ids`` with a spelling like ``word``: first other capitals and forms.

    >>> closest_spellings("wommen", {"woman": 0, "king": 1, "women": 2})
    ['women', 'woman']
    """
    folded, plain = word.casefold(), _plain(word)
    searched = [other for other in islice(ids, _SEARCHED) if len(other) <= _LONGEST]
    same = [other for other in (folded, word.title(), word.upper()) if other in ids]
    same += [other for other in searched if _plain(other) == plain]
    found = dict.fromkeys(same)
    likely = (other for other in searched if abs(len(other) - len(word)) <= 2)
    near = [other for other in likely if other not in found]
    return [*found, *_most_alike(folded, near)][:3]


def _most_alike(word: str, others: list[str]) -> list[str]:
    """difflib's ``get_close_matches``, the likely words first, as far as the room goes.

    First come those with the most letters in common: no ratio is above theirs. Of equals, those
    with more letters at the same place from the start and from the end.
    """
    lengths = np.array([len(other) for other in others], np.int64)
    table, shared = np.array(others, np.str_), np.zeros(len(others), np.int64)
    for letter, times in Counter(word).items():
        shared += np.minimum(np.char.count(table, letter), times)
    bounds = 2 * shared / (len(word) + lengths)
    places = np.flatnonzero(bounds >= _ALIKE)
    width, same = max(len(word), *map(len, others), 1), np.zeros(len(places), np.int64)
    for step in (1, -1):
        turned = [word[::step], *(others[place][::step] for place in places)]
        codes = np.array(turned, f"U{width}").view(np.uint32).reshape(-1, width)
        same += (codes[1:] == codes[0]).sum(axis=1)
    matcher, room, best = difflib.SequenceMatcher(b=word), _ALIGNED, list[tuple[float, str]]()
    for place in places[np.lexsort((-same, -bounds[places]))].tolist():
        room -= len(word) * len(others[place])
        if room < 0 or (len(best) == 3 and best[-1][0] > bounds[place]):
            break
        matcher.set_seq1(others[place])
        if (ratio := matcher.ratio()) >= _ALIKE:
            best = sorted([*best, (ratio, others[place])], reverse=True)[:3]
    return [other for _, other in best]
