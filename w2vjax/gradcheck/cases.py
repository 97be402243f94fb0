"""Batches that break wrong gradients. On ordinary batches, 6 of 23 wrong softmax gradients pass.

A case is params and blocks of tokens, of which every window shape makes its batch. Each kind below
changes one thing about an ordinary case. Shapes stay, so all kinds of one size share their
compilations.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from w2vjax.errors import SettingError

Array = np.ndarray


class Size(NamedTuple):
    """The size of a case.

    Attributes:
        vocab_size: V.
        dim: D.
        blocks: B.
        centers: T, the words of a block.
        window: how many words each center sees to each side, at most.
    """

    vocab_size: int
    dim: int
    blocks: int
    centers: int
    window: int


class Case(NamedTuple):
    """Params, and blocks of tokens as the window shapes take them.

    Attributes:
        input: [V, D].
        output: [V, D].
        tokens: [B, T + 2*window] int32.
        segments: [B, T + 2*window] int32, the lines; -1 on padding.
        reach: [B, T] int32, how far each center looks.
    """

    input: Array
    output: Array
    tokens: Array
    segments: Array
    reach: Array


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
    ranks = np.arange(1, size.vocab_size + 1, dtype=np.float64)
    return np.asarray(np.floor(1e6 / ranks**1.3) + 1)


def ordinary(size: Size, rng: np.random.Generator) -> Case:
    """Uniform tokens on lines of random length; params of size one half."""
    shape = (size.blocks, size.centers + 2 * size.window)
    return Case(
        0.5 * rng.normal(size=(size.vocab_size, size.dim)),
        0.5 * rng.normal(size=(size.vocab_size, size.dim)),
        rng.integers(0, size.vocab_size, shape).astype(np.int32),
        np.cumsum(rng.random(shape) < 0.1, axis=1).astype(np.int32),
        rng.integers(1, size.window + 1, (size.blocks, size.centers)).astype(np.int32),
    )


def one_line(case: Case) -> Case:
    """Every center sees its whole window."""
    window = (case.tokens.shape[1] - case.reach.shape[1]) // 2
    return case._replace(
        segments=np.zeros_like(case.segments), reach=np.full_like(case.reach, window)
    )


def padded(case: Case, columns: Array) -> Case:
    """Tokens in ``columns`` become padding, a valid id that must count for nothing."""
    segments = np.where(columns, np.int32(-1), case.segments)
    return case._replace(segments=segments, tokens=np.where(columns, np.int32(0), case.tokens))


def repeated_centers(case: Case, rng: np.random.Generator) -> Case:
    """All centers are one word; its neighbours differ."""
    tokens = case.tokens.copy()
    window = (tokens.shape[1] - case.reach.shape[1]) // 2
    tokens[:, window : window + case.reach.shape[1] : 2] = tokens[0, window]
    return one_line(case._replace(tokens=tokens))


def zipf(case: Case, rng: np.random.Generator) -> Case:
    """Ids as text has them: a few words fill most places."""
    size = len(case.input)
    return case._replace(tokens=(size ** rng.random(case.tokens.shape) - 1).astype(np.int32))


def two_words(case: Case, rng: np.random.Generator) -> Case:
    """Two frequent words only: positives that are negatives of their neighbours."""
    return one_line(case._replace(tokens=case.tokens % min(2, len(case.input))))


def everything_equal(case: Case, rng: np.random.Generator) -> Case:
    """Center = context = most negatives: one id, 0, everywhere."""
    return one_line(case._replace(tokens=np.zeros_like(case.tokens)))


def last_id(case: Case, rng: np.random.Generator) -> Case:
    """All at id V - 1, to which an id that is too large is clamped."""
    return one_line(case._replace(tokens=np.full_like(case.tokens, len(case.input) - 1)))


def half_padded(case: Case, rng: np.random.Generator) -> Case:
    """The second half of every block is padding."""
    width = case.tokens.shape[1]
    return padded(case, np.broadcast_to(np.arange(width) >= width // 2, case.tokens.shape))


def fully_padded(case: Case, rng: np.random.Generator) -> Case:
    """Nothing but padding: loss 0, gradient 0."""
    return padded(case, np.ones(case.tokens.shape, bool))


def one_word_lines(case: Case, rng: np.random.Generator) -> Case:
    """Every token on a line of its own: centers without any context."""
    return case._replace(
        segments=np.broadcast_to(np.arange(case.tokens.shape[1], dtype=np.int32), case.tokens.shape)
    )


def one_real_pair(case: Case, rng: np.random.Generator) -> Case:
    """A single line of two words in a batch of padding."""
    real = np.zeros(case.tokens.shape, bool)
    window = (case.tokens.shape[1] - case.reach.shape[1]) // 2
    real[0, window : window + 2] = True
    return padded(case, ~real)


def huge_logits(case: Case, rng: np.random.Generator) -> Case:
    """Scores up to +-2e4: sigmoid and softmax saturate, probabilities underflow."""
    size, dim = case.input.shape
    # no two scores are equal
    rank = np.arange(1, size + 1) * np.where(np.arange(size) % 2, -1.0, 1.0)
    inputs = np.repeat(rng.integers(1, 4, (size, 1)).astype(float), dim, 1)
    outputs = np.repeat(rank[:, None] * (2e4 / (3 * size * dim)), dim, 1)
    return case._replace(input=inputs, output=outputs)


def past_six(case: Case, rng: np.random.Generator) -> Case:
    """Scores of +-5 to +-50: beyond the +-6 at which word2vec implementations clip."""
    return case._replace(input=4 * case.input, output=4 * case.output)


def zero_output(case: Case, rng: np.random.Generator) -> Case:
    """The start of word2vec.c: inputs of size 1 / (2 D), outputs 0."""
    return case._replace(input=case.input / case.input.shape[1], output=np.zeros_like(case.output))


def zero_params(case: Case, rng: np.random.Generator) -> Case:
    """All params zero: the gradient vanishes."""
    return case._replace(input=np.zeros_like(case.input), output=np.zeros_like(case.output))


def uneven_rows(case: Case, rng: np.random.Generator) -> Case:
    """Rows whose sizes span six orders of magnitude."""
    size = len(case.input)
    scale = 10.0 ** np.linspace(-5, 1, size)[:, None]
    return case._replace(input=case.input * scale, output=case.output * scale[::-1])


def short_reach(case: Case, rng: np.random.Generator) -> Case:
    """Every center sees one word to each side, so most words of a block weigh nothing."""
    return case._replace(reach=np.ones_like(case.reach))


def empty(case: Case, rng: np.random.Generator) -> Case:
    """No blocks: B = 0."""
    return case._replace(tokens=case.tokens[:0], segments=case.segments[:0], reach=case.reach[:0])


KINDS: dict[str, Callable[[Case, np.random.Generator], Case]] = {
    "ordinary": lambda case, rng: case,
    "whole windows": lambda case, rng: one_line(case),
    "repeated centers": repeated_centers,
    "zipf duplicates": zipf,
    "two words": two_words,
    "everything equal": everything_equal,
    "all at the last id": last_id,
    "half padded": half_padded,
    "fully padded": fully_padded,
    "one-word lines": one_word_lines,
    "one real pair": one_real_pair,
    "huge logits": huge_logits,
    "scores past 6": past_six,
    "zero output": zero_output,
    "zero params": zero_params,
    "uneven rows": uneven_rows,
    "short reach": short_reach,
    "empty": empty,
}


def make_case(kind: str, size: Size, seed: int = 60) -> Case:
    """The case of one kind.

    Args:
        kind: a key of KINDS.
        size: shapes.
        seed: of the random numbers.

    Raises:
        SettingError: there is no such kind.

    >>> make_case("half padded", SIZES["V=2, D=1"]).segments.tolist()
    [[0, 0, -1, -1, -1], [0, 0, -1, -1, -1]]
    """
    if kind not in KINDS:
        raise SettingError(f"There is no batch kind {kind!r}. It is one of: {', '.join(KINDS)}.")
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    return KINDS[kind](ordinary(size, rng), rng)
