"""What a word is. A tokenizer is any function from a line to a list of words; this one is the
default.
"""

import re
from collections.abc import Callable, Sequence

Tokenizer = Callable[[str], Sequence[str]]
_WORD = re.compile("[^\0- ]+")


def tokenize_whitespace(line: str) -> list[str]:
    r"""Split at white space: every character up to U+0020 (space, tab, newline, control characters,
    NUL).

    Other kinds of space, such as the no-break space U+00A0, belong to words, as they do in
    word2vec. Reading files with this tokenizer never calls it: the same rule is applied to their
    bytes, whole blocks at a time.

    >>> tokenize_whitespace("The king,\tthe  queen.")
    ['The', 'king,', 'the', 'queen.']
    """
    return _WORD.findall(line)
