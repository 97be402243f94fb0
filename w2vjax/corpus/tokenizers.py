"""What a word is. A tokenizer is a function from a line to a list of words."""

import re
from collections.abc import Callable, Sequence

from w2vjax.errors import require_function

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
    given = tokenize_whitespace if tokenizer is None else tokenizer
    require_function("tokenizer", given, "Pass a function from a line to its words.")
