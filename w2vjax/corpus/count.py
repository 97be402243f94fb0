"""From a source to its vocabulary: count the words, and keep the frequent ones."""

import numpy as np

from w2vjax.corpus.scan import Seen, scan
from w2vjax.corpus.sources import READING, Reading, Source
from w2vjax.corpus.tokenizers import Tokenizer
from w2vjax.errors import CorpusError, whole_number
from w2vjax.vocab import REMEMBERED, Report, Vocab


def check_counts(min_count: int, max_vocab: int | None) -> None:
    """Raise SettingError for numbers that cannot work. min_count=0 keeps every word, as 1 does."""
    whole_number("min_count", min_count, least=0)
    if max_vocab is not None:
        whole_number("max_vocab", max_vocab)


def rank(
    seen: Seen, min_count: int, max_vocab: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(numbers of the kept words, of the dropped ones, the id [S] int32 of each number or -1)."""
    met = np.flatnonzero(seen.counts)
    ranked = met[np.lexsort((seen.first[met], -seen.counts[met]))]
    size = int(np.searchsorted(-seen.counts[ranked], -max(min_count, 1), side="right"))
    if size == 0:
        most = f"most frequent: {seen.spell(ranked[:1])[0]!r:.60}, {seen.counts[ranked[0]]:,}"
        cause = f"No word occurs min_count={min_count} times ({most})"
        raise CorpusError(f"{cause}. Lower min_count or read more text.")
    size = min(size, max_vocab or size)
    ids_of = np.full(len(seen.counts), -1, np.int32)
    ids_of[ranked[:size]] = np.arange(size, dtype=np.int32)
    return ranked[:size], ranked[size:], ids_of


def spelled(seen: Seen, kept: np.ndarray, dropped: np.ndarray, min_count: int) -> Vocab:
    """The vocabulary that :func:`rank` has chosen."""
    tokens, known = int(seen.counts[kept].sum()), dropped[:REMEMBERED]
    return Vocab(
        seen.spell(kept),
        seen.counts[kept],
        min_count=max(min_count, 1),
        dropped=dict(zip(seen.spell(known), seen.counts[known].tolist(), strict=True)),
        report=Report(seen.lines, len(kept), len(dropped), tokens, seen.tokens - tokens),
    )


def build_vocab(
    source: Source,
    min_count: int = 5,
    max_vocab: int | None = None,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
) -> Vocab:
    """Count the words of a source and keep the frequent ones.

    Args:
        source: files, folders or token lists; see :mod:`w2vjax.corpus`.
        min_count: a word is kept if it occurs this many times.
        max_vocab: keep at most this many words, the most frequent ones.
        tokenizer: a function from a line to its words. Default: words between white space.
        reading: how files are read.

    Returns:
        The kept words and their counts [V], frequent words first. Words of equal counts stand in
        the order of the text.

    Raises:
        CorpusError: nothing can be read, or no word is frequent enough.
        SettingError: a setting cannot work. Nothing was read.

    >>> build_vocab([["to", "be", "or", "not", "to", "be"]], min_count=1, max_vocab=3).words
    ('to', 'be', 'or')
    """
    check_counts(min_count, max_vocab)
    seen = scan(source, tokenizer, reading)
    return spelled(seen, *rank(seen, min_count, max_vocab)[:2], min_count)
