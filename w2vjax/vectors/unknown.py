"""What to tell somebody who asked for a word that is not there."""

import difflib
from collections.abc import Mapping
from itertools import islice

from w2vjax.errors import UnknownWordError

# difflib takes about 4 us a candidate: the most frequent words are searched, within a fraction of a second.
_SEARCHED = 50_000


def unknown_word(
    word: str, index: Mapping[str, int], dropped: Mapping[str, int] | None, min_count: int | None
) -> UnknownWordError:
    """The error for a word outside the vocabulary: why it is missing, where that is known, and what is close to it."""
    cause = f"The word {word!r} is not among the {len(index):,} words"
    seen = (dropped or {}).get(word)
    if seen is not None:
        cause += f": it was seen {seen} time{'' if seen == 1 else 's'}, min_count={min_count}"
    close = closest_spellings(word, index)
    remedy = (
        f"Did you mean {', '.join(map(repr, close))}?" if close else "Check its spelling and its capitals."
    )
    return UnknownWordError(f"{cause}. {remedy}")


def closest_spellings(word: str, index: Mapping[str, int], n: int = 3) -> list[str]:
    """At most ``n`` words spelt much like ``word``: the same but for capitals first, then by difflib's ratio."""
    folded = word.casefold()
    same = [other for other in dict.fromkeys((folded, word.title(), word.upper())) if other in index]
    near = [
        other for other in islice(index, _SEARCHED) if abs(len(other) - len(word)) <= 2 and other not in same
    ]
    return [*same, *difflib.get_close_matches(folded, near, n, cutoff=0.7)][:n]
