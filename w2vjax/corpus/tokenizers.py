"""What a word is. A tokenizer is a function from a line to a list of words."""

import re
from collections.abc import Callable, Sequence

from w2vjax.errors import SettingError, shown

Tokenizer = Callable[[str], Sequence[str]]
_WORD = re.compile("[^\0- ]+")


def tokenize_whitespace(line: str) -> list[str]:
    r"""Split at white space: characters up to U+0020, such as space, tab, newline and NUL.

    Other spaces, such as the no-break space U+00A0, belong to words, as they do in word2vec. This
    is the default. Files are then split by the same rule as bytes, without a call of this function.

    Args:
        line: any text.

    Returns:
        Its words, in order.

    >>> tokenize_whitespace("The king,\tthe  queen.")
    ['The', 'king,', 'the', 'queen.']
    """
    return _WORD.findall(line)


def check_tokenizer(tokenizer: object) -> None:
    """Raise SettingError for something that is no function. None is the default tokenizer."""
    if tokenizer is not None and not callable(tokenizer):
        remedy = "Pass a function from a line to its words."
        raise SettingError(f"tokenizer={shown(tokenizer)} is no function. {remedy}")
