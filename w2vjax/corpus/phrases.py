"""Phrases: words that stand together more often than chance are joined, as in ``new_york``.

:mod:`w2vjax.corpus.neighbours` counts and scores the pairs. A further pass over the result joins
longer phrases. The text is read once, into ids on disk. Counting and joining read the ids in
batches and count one part of the pairs at a time, so memory does not grow with the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from typing import Any, NamedTuple

import numpy as np

from w2vjax.compressed import refuse_compressed
from w2vjax.corpus import neighbours
from w2vjax.corpus.encode import mapped, prepare
from w2vjax.corpus.neighbours import LONGEST_GAP, Score, npmi_score, word2phrase_score
from w2vjax.corpus.sources import READING, Reading, Source
from w2vjax.corpus.tokenizers import Tokenizer
from w2vjax.errors import SettingError, require_function, shown, whole_number
from w2vjax.files import AnyPath, as_path, atomic_file, naming, temporary_folder
from w2vjax.reading import encoded
from w2vjax.real import real_numbers
from w2vjax.vocab import listed_words
from w2vjax.vocabulary_file import SPACES

ENGLISH_CONNECTORS = frozenset("a an and at by for from in of on or the to with without".split())
_SCORES = "Pass word2phrase_score, npmi_score, or a function of the same arguments."
USUAL_THRESHOLDS: dict[Score, float] = {word2phrase_score: 100.0, npmi_score: 0.5}


class Phrase(NamedTuple):
    """A phrase that one pass has found.

    Attributes:
        parts: words, or phrases of an earlier pass.
        seen: how often the parts stand together.
        score: what the score function gave it.
    """

    parts: tuple[str, ...]
    seen: int
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Phrases:
    """What :func:`phrases` found. ``lines()`` is the corpus with its phrases joined.

    Attributes:
        found: for every pass, by score descending.
        delimiter: what joins the words.
        connectors: words that may stand inside a phrase.
        words: the different words of the joined corpus, phrases included.
        ids: [N] int32, read-only memory map: the joined corpus in ids of words.
        starts: [S] int64, read-only memory map, rising: the places in ids where lines begin.
    """

    found: tuple[tuple[Phrase, ...], ...]
    delimiter: str
    connectors: frozenset[str]
    words: tuple[str, ...]
    ids: np.ndarray
    starts: np.ndarray

    def __repr__(self) -> str:
        found = " + ".join(f"{len(rules):,}" for rules in self.found)
        return f"Phrases({found} found, {len(self.ids):,} tokens, {len(self.starts):,} lines)"

    def lines(self) -> "Lines":
        """The joined corpus as token lists, which can be iterated over again and again."""
        return Lines(self)

    def join(self, tokens: Iterable[str]) -> list[str]:
        """Join the phrases in one line of other text.

        Raises:
            SettingError: the tokens are one string or a set, or a token is not a string.

        >>> found = phrases([["new", "york"], ["old", "boat"]] * 20, min_count=5, threshold=1.0)
        >>> found.join(["a", "new", "york", "boat"])
        ['a', 'new_york', 'boat']
        """
        return reduce(self._join, self._rules, listed_words(tokens))

    @cached_property
    def _rules(self) -> list[set[tuple[str, ...]]]:
        """The parts of the phrases that each pass joins."""
        return [{phrase.parts for phrase in rules} for rules in self.found]

    def _join(self, line: list[str], rules: set[tuple[str, ...]]) -> list[str]:
        joined: list[str] = []
        place = 0
        while place < len(line):
            end = place + 1
            # as long as a gap can be: a longer search for each word would take too long
            while end < min(len(line), place + 1 + LONGEST_GAP) and line[end] in self.connectors:
                end += 1
            parts = tuple(line[place : end + 1])
            whole = line[place] not in self.connectors and parts in rules
            joined.append(self.delimiter.join(parts) if whole else line[place])
            place = end + 1 if whole else place + 1
        return joined

    def save_corpus(self, path: AnyPath) -> None:
        """Write the joined corpus as text, with spaces between words. Empty lines are left out.

        Raises:
            FormatError: a word holds white space, which would cut it in two, or is not Unicode.
            SettingError: the path ends in .gz, .bz2, .xz or .zst.
            FileError: the file cannot be written.
        """
        refuse_compressed(as_path(path))
        words = encoded(as_path(path), self.words, SPACES, "a text", "Train on lines()")
        with atomic_file(path) as file:
            for line, ids in _in_pieces(self.ids, self.starts):
                text = b" ".join([words[i] for i in ids.tolist()])
                file.write((b"\n" if line == "first" else b" ") * (file.tell() > 0) + text)
            file.write(b"\n")

    def save_list(self, path: AnyPath) -> None:
        """Write the phrases by pass and score: ``phrase<TAB>count<TAB>score<TAB>pass`` a line.

        Raises as :meth:`save_corpus` does.
        """
        refuse_compressed(as_path(path))
        found = [(number, each) for number, rules in enumerate(self.found, 1) for each in rules]
        names = [self.delimiter.join(phrase.parts) for _, phrase in found]
        lines = encoded(as_path(path), names, SPACES, "a list of phrases", "Use found")
        with atomic_file(path) as file:
            file.write(b"phrase\tcount\tscore\tpass\n")
            for name, (number, (_, seen, score)) in zip(lines, found, strict=True):
                file.write(name + f"\t{seen}\t{score:.6g}\t{number}\n".encode())


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines with joined phrases: token lists, which can be iterated over again and again."""

    found: Phrases

    def __iter__(self) -> Iterator[list[str]]:
        line: list[str] = []
        for kind, ids in _in_pieces(self.found.ids, self.found.starts):
            if kind == "first" and line:
                yield line
                line = []
            line += [self.found.words[i] for i in ids.tolist()]
        yield line


def _in_pieces(ids: np.ndarray, starts: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """("first" or "next", ids) for each piece of a line. A long line has several pieces."""
    size = neighbours.BATCH
    for begin in range(0, len(starts), size):
        some = starts[begin : begin + size + 1].tolist()
        for start, end in zip(some[:size], [*some[1:], len(ids)], strict=False):
            for place in range(start, end, size):
                yield "first" if place == start else "next", ids[place : min(place + size, end)]


def phrases(
    source: Source = None,
    min_count: int = 5,
    threshold: float | Sequence[float] | None = None,
    passes: int = 1,
    score: Score = word2phrase_score,
    connectors: Iterable[str] = (),
    delimiter: str = "_",
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
) -> Phrases:
    """Find the phrases of a source and join them.

    Args:
        source: files, folders or token lists; see :mod:`w2vjax.corpus`.
        min_count: words that occur less often are not joined.
        threshold: a pair with a higher score is joined. One number, or one for each pass. Default:
            100 for :func:`word2phrase_score` and 0.5 for :func:`npmi_score`.
        passes: how often the text is searched. Two passes find phrases of up to four words.
        score: the function that scores pairs, or your own with the same arguments.
        connectors: words that may stand inside a phrase, up to three in a row, but not at its ends.
            ``ENGLISH_CONNECTORS`` is a list of them.
        delimiter: what joins the words.
        tokenizer: a function from a line to its words. Default: words between white space.
        reading: how files are read.

    Returns:
        The phrases of each pass with their counts and scores, and the joined corpus.

    Raises:
        SettingError: a setting cannot work. Nothing was read.
        CorpusError: the source cannot be read or holds no words.
        FileError: the folder for temporary files cannot be written to.

    >>> text = [["machine", "learning", "is", "fun"], ["machine", "learning", "works"]] * 10
    >>> found = phrases([*text, ["it", "works"]], min_count=5, threshold=1.5)
    >>> found.found[0][0]
    Phrase(parts=('is', 'fun'), seen=10, score=3.6)
    >>> next(iter(found.lines()))
    ['machine_learning', 'is_fun']
    """
    whole_number("min_count", min_count)
    linking = _connectors(connectors)
    _check(score, delimiter)
    limits = _limits(threshold, passes, score)
    corpus = prepare(source, None, 1, tokenizer=tokenizer, reading=reading)
    ids_of, ids, starts = dict(corpus.vocab.ids), corpus.ids, corpus.starts
    found = []
    for limit in limits:
        stream = neighbours.pair_stream(list(ids_of), ids, starts, linking, min_count)
        keys, pair_counts, scores = neighbours.choose_pairs(stream, partial(_ask, score), limit)
        rules = list(map(Phrase, stream.spell(keys), pair_counts.tolist(), scores.tolist()))
        found.append(tuple(sorted(rules, key=lambda phrase: -phrase.score)))
        joined = [delimiter.join(phrase.parts) for phrase in rules]
        numbers = np.array([ids_of.setdefault(each, len(ids_of)) for each in joined], np.int32)
        with temporary_folder() as folder:
            paths = folder / "ids", folder / "starts"
            with naming(paths[0]), open(paths[0], "wb") as out, open(paths[1], "wb") as begins:
                neighbours.write_joined(stream, keys, numbers, out, begins)
            ids, starts = mapped(*paths)
    return Phrases(tuple(found), delimiter, linking, tuple(ids_of), ids, starts)


def _connectors(words: Iterable[str]) -> frozenset[str]:
    several = isinstance(words, Iterable) and not isinstance(words, (str, bytes))
    given: list[Any] = list(words) if several else [None]
    if all(isinstance(word, str) for word in given):
        return frozenset(given)
    raise SettingError(f"connectors={shown(words)} is no list of words. Pass a list of strings.")


def _check(score: object, delimiter: object) -> None:
    require_function("score", score, _SCORES)
    if not isinstance(delimiter, str) or any(character <= " " for character in delimiter):
        raise SettingError(f"delimiter={shown(delimiter)} is no string without spaces. Use '_'.")


def _ask(score: Score, *counts: Any) -> Any:
    """What a score function returns. SettingError if it cannot take what it is given."""
    try:
        return score(*counts)
    except (TypeError, ValueError) as error:
        cause = f"score={shown(score)} failed: {error!s:.80}".rstrip(".")
        raise SettingError(f"{cause}. {_SCORES}") from error


def _limits(threshold: float | Sequence[float] | None, passes: int, score: Score) -> list[float]:
    """The threshold of each pass."""
    whole_number("passes", passes)
    if threshold is None and (threshold := USUAL_THRESHOLDS.get(score)) is None:
        raise SettingError("A score of your own has no usual threshold. Pass threshold.")
    given = real_numbers("threshold", threshold).astype(np.float64)
    limits: list[float] = given.tolist() if given.ndim else [float(given)] * passes
    if np.shape(limits) != (passes,) or not all(np.isfinite(limits)):
        cause = f"threshold={shown(threshold)} is not one finite number, or one for each of"
        raise SettingError(f"{cause} {passes} passes. Pass such a number.")
    if score is npmi_score and max(limits) > 1:
        raise SettingError(f"threshold={max(limits)} is above every npmi. Use 1 or less.")
    return limits
