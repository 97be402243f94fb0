"""Batches that break wrong gradients. On ordinary batches, 6 of 23 wrong softmax gradients pass.

A case is params and blocks of tokens. Every window shape makes its batch from the blocks. Each kind
changes one thing about an ordinary case. All kinds of one size have the same shapes, so they
compile once.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from w2vjax.errors import SettingError

Array = np.ndarray


class Size(NamedTuple):
    """The size of a case."""

    vocab_size: int  # V
    dim: int  # D
    blocks: int  # B
    centers: int  # T, the words of a block
    window: int  # the most words that a center sees on either side


class Case(NamedTuple):
    """Params, and blocks of tokens as the window shapes take them."""

    input: Array  # [V, D]
    output: Array  # [V, D]
    tokens: Array  # [B, T + 2*window] int32
    segments: Array  # [B, T + 2*window] int32, the lines; -1 on padding
    reach: Array  # [B, T] int32, how far each center looks

    @property
    def window(self) -> int:
        """The words around a block, on either side."""
        return int(self.tokens.shape[1] - self.reach.shape[1]) // 2


SIZES = {
    "V=1": Size(1, 3, 2, 3, 1),
    "V=2, D=1": Size(2, 1, 2, 3, 1),
    "60 x 10, 330 pairs": Size(60, 10, 5, 11, 3),
    "1000 x 50, 256 pairs": Size(1000, 50, 8, 8, 2),
}
# For what ships. With 12 blocks, spans of 3 and of 4 blocks share negatives. The softmax takes 4096
# words at a time, so 4500 words are a whole chunk and a rest.
SHIPPED_SIZES = {
    "60 x 10, 12 blocks": Size(60, 10, 12, 4, 3),
    "4500 x 3, 12 blocks": Size(4500, 3, 12, 4, 2),
}
# Kinds with zero gradients on purpose: at zero tables, and where a softmax saturates.
ZERO_ON_PURPOSE = ("zero output", "zero params", "huge logits")


def counts(size: Size) -> Array:
    """Zipf counts [V]. The first word makes up much of the noise, so negatives repeat."""
    return np.asarray(np.floor(1e6 / np.arange(1.0, size.vocab_size + 1) ** 1.3) + 1)


def ordinary(size: Size, rng: np.random.Generator) -> Case:
    """Uniform tokens on lines of random length; params of size one half."""
    shape, tables = (size.blocks, size.centers + 2 * size.window), (size.vocab_size, size.dim)
    return Case(
        0.5 * rng.normal(size=tables),
        0.5 * rng.normal(size=tables),
        rng.integers(0, size.vocab_size, shape).astype(np.int32),
        np.cumsum(rng.random(shape) < 0.1, axis=1).astype(np.int32),
        rng.integers(1, size.window + 1, (size.blocks, size.centers)).astype(np.int32),
    )


def one_line(case: Case) -> Case:
    """Every center sees its whole window."""
    reach = np.full_like(case.reach, case.window)
    return case._replace(segments=np.zeros_like(case.segments), reach=reach)


def padded(case: Case, columns: Array) -> Case:
    """Tokens in ``columns`` become padding, a valid id that must count for nothing."""
    segments = np.where(columns, np.int32(-1), case.segments)
    return case._replace(segments=segments, tokens=np.where(columns, np.int32(0), case.tokens))


def repeated_centers(case: Case, rng: np.random.Generator) -> Case:
    """All centers are one word; its neighbours differ."""
    tokens = case.tokens.copy()
    tokens[:, case.window : case.window + case.reach.shape[1] : 2] = tokens[0, case.window]
    return one_line(case._replace(tokens=tokens))


def zipf(case: Case, rng: np.random.Generator) -> Case:
    """Ids as in a text: a few words fill most places."""
    size = len(case.input)
    return case._replace(tokens=(size ** rng.random(case.tokens.shape) - 1).astype(np.int32))


def one_real_pair(case: Case, rng: np.random.Generator) -> Case:
    """A single line of two words in a batch of padding."""
    real = np.zeros(case.tokens.shape, bool)
    real[0, case.window : case.window + 2] = True
    return padded(case, ~real)


def huge_logits(case: Case, rng: np.random.Generator) -> Case:
    """Scores up to +-2e4: sigmoid and softmax saturate, probabilities underflow."""
    size, dim = case.input.shape
    rank = np.arange(1, size + 1) * np.where(np.arange(size) % 2, -1.0, 1.0)  # scores all differ
    inputs = np.repeat(rng.integers(1, 4, (size, 1)).astype(float), dim, 1)
    outputs = np.repeat(rank[:, None] * (2e4 / (3 * size * dim)), dim, 1)
    return case._replace(input=inputs, output=outputs)


def uneven_rows(case: Case, rng: np.random.Generator) -> Case:
    """Rows whose sizes span six orders of magnitude."""
    scale = 10.0 ** np.linspace(-5, 1, len(case.input))[:, None]
    return case._replace(input=case.input * scale, output=case.output * scale[::-1])


def times(case: Case, a: float, b: float) -> Case:
    """Both tables times a number."""
    return case._replace(input=a * case.input, output=b * case.output)


def columns(case: Case) -> Array:
    """The numbers of the columns of tokens."""
    return np.arange(case.tokens.shape[1], dtype=np.int32)


def few_words(case: Case, many: int, first: int = 0) -> Case:
    """A text of at most ``many`` different words, from the id ``first`` on."""
    return one_line(case._replace(tokens=first + case.tokens % min(many, len(case.input))))


KINDS: dict[str, Callable[[Case, np.random.Generator], Case]] = {
    "ordinary": lambda case, _: case,
    "whole windows": lambda case, _: one_line(case),
    "repeated centers": repeated_centers,
    "zipf duplicates": zipf,
    # positives that are negatives of their neighbours
    "two words": lambda case, _: few_words(case, 2),
    # center = context = most negatives
    "everything equal": lambda case, _: few_words(case, 1),
    # an id that is too large is clamped to the last one
    "all at the last id": lambda case, _: few_words(case, 1, len(case.input) - 1),
    "half padded": lambda case, _: padded(case, columns(case) >= len(columns(case)) // 2),
    # loss 0, gradient 0
    "fully padded": lambda case, _: padded(case, np.ones(case.tokens.shape, bool)),
    # centers without any context
    "one-word lines": lambda case, _: case._replace(segments=0 * case.tokens + columns(case)),
    "one real pair": one_real_pair,
    "huge logits": huge_logits,
    # scores of +-5 to +-50, beyond the +-6 at which word2vec implementations clip
    "scores past 6": lambda case, _: times(case, 4, 4),
    # the start of word2vec.c: inputs of size 1 / (2 D)
    "zero output": lambda case, _: times(case, 1 / case.input.shape[1], 0),
    # the gradient vanishes
    "zero params": lambda case, _: times(case, 0, 0),
    "uneven rows": uneven_rows,
    # most words of a block weigh nothing
    "short reach": lambda case, _: case._replace(reach=np.ones_like(case.reach)),
    "empty": lambda case, _: Case(*case[:2], *(blocks[:0] for blocks in case[2:])),
}


def make_case(kind: str, size: Size, seed: int = 60) -> Case:
    """The case of one kind, a key of KINDS. Another name raises SettingError.

    >>> make_case("half padded", SIZES["V=2, D=1"]).segments.tolist()
    [[0, 0, -1, -1, -1], [0, 0, -1, -1, -1]]
    """
    if kind not in KINDS:
        raise SettingError(f"There is no batch kind {kind!r}. It is one of: {', '.join(KINDS)}.")
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    return KINDS[kind](ordinary(size, rng), rng)
