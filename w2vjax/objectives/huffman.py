"""Hierarchical softmax: a word is a series of binary decisions along its path in a Huffman tree.

    p(w | hidden) = prod_l sigmoid((1 - 2 * code[w, l]) * hidden . output[node[w, l]])

Frequent words have short paths, so a pair costs at most about log2 V scores. Each decision is a
logistic loss with label 1 - code, so loss and backward are those of negative sampling. Morin and
Bengio 2005; Mikolov et al. 2013.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from w2vjax.errors import SettingError
from w2vjax.lazy import cached
from w2vjax.objectives.bounds import A, B
from w2vjax.objectives.hidden import hidden_vectors
from w2vjax.objectives.logistic import (
    logistic_rows_backward,
    logistic_rows_bounded,
    logistic_rows_loss,
)
from w2vjax.real import number, sound_counts
from w2vjax.types import Batch, Draws, Objective, Params, Targets

# The most levels whose nodes 64-bit integers can number. A word so deep has a share below 2^-42.
_MOST_LEVELS = 62
_NUMBERS = 1 << 24  # the most scores of paths that are made at once


class Huffman(NamedTuple):
    """Paths from the root to each word, padded to the longest.

    Attributes:
        nodes: [V, L] int32, rows 0 .. V-2 of the output table, the root first; padding is node 0.
        codes: [V, L] uint8, the branch taken at each node.
        lengths: [V] int32, the steps of each path.
    """

    nodes: Array
    codes: Array
    lengths: Array


def huffman_lengths(counts: np.ndarray) -> np.ndarray:
    """How far each word lies from the root, [V] int64, in O(V log V).

    Leaves are taken in the order of their counts, and inner nodes in the order of their creation,
    which is also the order of their weights. So two queues replace a heap.

    >>> huffman_lengths(np.asarray([4, 2, 1])).tolist()
    [1, 2, 2]
    """
    size = len(counts)
    order = np.argsort(counts, kind="stable").tolist()
    weights = [float(c) for c in counts] + [0.0] * (size - 1)
    parent = np.zeros(2 * size - 1, np.int64)  # of words first, then of inner nodes, the root last
    leaf, inner = 0, size
    for node in range(size, 2 * size - 1):
        for _ in range(2):
            if leaf < size and (inner >= node or weights[order[leaf]] <= weights[inner]):
                child, leaf = order[leaf], leaf + 1
            else:
                child, inner = inner, inner + 1
            weights[node] += weights[child]
            parent[child] = node
    root = 2 * size - 2
    lengths, at = np.zeros(size, np.int64), np.arange(size)
    while (climbing := at != root).any():
        lengths += climbing
        at = np.where(climbing, parent[at], root)
    return lengths


def limited_lengths(counts: np.ndarray, longest: int) -> np.ndarray:
    """The lengths [V] int64 of the cheapest tree with at most ``longest`` >= log2 V levels.

    Package-merge: a word's length is how many of the 2V - 2 cheapest items it is in, where items
    are words or pairs of the level before.

    Source: Larmore and Hirschberg, "A Fast Algorithm for Optimal Length-Limited Huffman Codes",
    1990.

    >>> counts = np.array([8, 4, 2, 1, 1])
    >>> huffman_lengths(counts).tolist(), limited_lengths(counts, 3).tolist()
    ([1, 2, 3, 4, 4], [1, 3, 3, 3, 3])
    """
    size = len(counts)
    order = np.argsort(counts, kind="stable")
    words = np.asarray(counts, np.float64)[order]
    merged, levels = words, [np.ones(size, bool)]
    for _ in range(longest - 1):
        pairs = merged[: len(merged) // 2 * 2].reshape(-1, 2).sum(1)
        is_word = np.ones(size + len(pairs), bool)
        is_word[np.searchsorted(words, pairs, side="right") + np.arange(len(pairs))] = False
        merged = np.empty(len(is_word))
        merged[is_word], merged[~is_word] = words, pairs
        levels.append(is_word)
    ranked, taken = np.zeros(size, np.int64), 2 * size - 2
    for is_word in reversed(levels):
        cheapest = int(is_word[:taken].sum())
        ranked[:cheapest] += 1
        taken = 2 * (taken - cheapest)
    lengths = np.empty(size, np.int64)
    lengths[order] = ranked
    return lengths


def huffman_tree(counts: ArrayLike, spare: float | None = None) -> Huffman:
    """Huffman's tree, or the best tree with levels for V * (1 + spare) leaves.

    Every path costs as much as the longest, padding included, and rare words make a tree deep. With
    a third of the leaves to spare, a tree of 68,000 words has 17 levels in place of 22, and a word
    of a text lies 4 % deeper. Words are laid from left to right by length. Nodes are numbered from
    the root, level by level.

    Args:
        counts: [V].
        spare: share of leaves more than words; None sets no limit.

    Returns:
        The paths of all words.

    Raises:
        SettingError: counts are empty, negative or not finite, or spare is negative or not finite.

    >>> tree = huffman_tree([4, 2, 1])
    >>> tree.lengths.tolist(), tree.nodes.tolist()
    ([1, 2, 2], [[0, 0], [0, 1], [0, 1]])
    """
    mass = sound_counts(counts)
    if spare is not None and not 0 <= number("spare", spare) < math.inf:
        raise SettingError(f"spare={spare} cannot work. Use about 1/3, or None for no limit.")
    size = mass.size
    leaves = 2.0**_MOST_LEVELS if spare is None else size * (1 + spare)
    longest = min(_MOST_LEVELS, math.ceil(math.log2(leaves)))
    lengths = huffman_lengths(mass)
    if lengths.max() > longest:
        lengths = limited_lengths(mass, longest)
    order = np.lexsort((np.arange(size), -mass, lengths))
    nodes, codes = lay_out(lengths[order])
    back = np.argsort(order)
    return Huffman(*jax.device_put((nodes[back], codes[back], lengths.astype(np.int32))))


def lay_out(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [V, L] int32 and codes [V, L] uint8 of a tree, for lengths [V] in rising order.

    A leaf at depth l takes 2^-l of the line from 0 to 1. Its code is the bits of the place where it
    begins. Two leaves share a node if their codes agree up to this node.
    """
    deepest = int(lengths.max())
    width = np.left_shift(1, deepest - lengths)
    begin = np.cumsum(width) - width
    # one padded step for V=1, whose only word is certain
    nodes = np.zeros((len(lengths), max(deepest, 1)), np.int32)
    codes = np.zeros(nodes.shape, np.uint8)
    known = 0
    for depth in range(deepest):
        below = np.flatnonzero(lengths > depth)
        prefix = begin[below] >> (deepest - depth)
        nodes[below, depth] = known + np.cumsum(np.diff(prefix, prepend=prefix[:1]) > 0)
        codes[below, depth] = (begin[below] >> (deepest - depth - 1)) & 1
        known = nodes[below[-1], depth] + 1
    return nodes, codes


def select_paths(draws: Draws, tree: Huffman, words: Array, weights: Array) -> Targets:
    """The paths of words [B, P] as targets with R = P * L rows."""
    del draws
    groups, hidden, positives = weights.shape
    longest = tree.nodes.shape[1]
    rows = positives * longest
    # [B, P, L]
    real = jnp.arange(longest, dtype=jnp.int32)[None, None] < tree.lengths[words][..., None]
    path_weights = weights[..., None] * real[:, None].astype(weights.dtype)  # [B, T, P, L]
    path_weights = path_weights.reshape(groups, hidden, rows)
    labels = (1 - tree.codes[words]).astype(weights.dtype).reshape(groups, 1, rows)
    return Targets(
        tree.nodes[words].reshape(groups, rows),
        jnp.broadcast_to(labels, path_weights.shape),
        path_weights,
    )


@cached
def hierarchical_softmax(spare: float | None = None, a: float = A, b: float = B) -> Objective:
    """Skip-gram or CBOW with hierarchical softmax over a Huffman tree of the counts.

    The output table has V rows, as for every objective. The tree has V - 1 nodes.

    Args:
        spare: share of leaves more than words, see :func:`huffman_tree`.
        a, b: the constants of the bound, see :func:`~w2vjax.objectives.bounds.stiffness`.

    Returns:
        An objective whose ``init`` raises what :func:`huffman_tree` raises.

    Raises:
        SettingError: a or b is not above 0.

    >>> objective = hierarchical_softmax()
    >>> objective.init([7, 7]).codes.tolist()
    [[0], [1]]
    """
    if not (number("a", a) > 0 and number("b", b) > 0):
        raise SettingError(f"a={a}, b={b} cannot work. Use numbers above 0, such as {A} and {B}.")
    tree = partial(huffman_tree, spare=spare)
    logistic = logistic_rows_loss, logistic_rows_backward
    bounded = partial(logistic_rows_bounded, a=a, b=b)
    return Objective(tree, select_paths, *logistic, bounded=bounded)


class Dropped(NamedTuple):
    """The F words that subsampling may drop, in a Huffman tree: see :func:`path_correction`."""

    rows: np.ndarray  # the nodes on their paths; few words have few nodes to score
    paths: Huffman  # [F, L], whose nodes count ``rows``
    spared: np.ndarray  # [F] 1 / keep - 1, float32
    log_keep: np.ndarray  # [V] float32


def dropped_paths(tree: Huffman, keep: np.ndarray) -> Dropped:
    """The argument of :func:`path_correction`, from a tree and keep [V], on the host."""
    ids = np.flatnonzero(keep < 1)
    nodes, codes, lengths = (np.asarray(leaf)[ids] for leaf in tree)
    rows, places = np.unique(nodes, return_inverse=True)
    paths = Huffman(*map(jnp.asarray, (places.reshape(nodes.shape), codes, lengths)))
    spared = (1 / keep[ids] - 1).astype(np.float32)
    return Dropped(rows, paths, spared, np.log(keep).astype(np.float32))


def path_correction(params: Params, batch: Batch, dropped: Dropped) -> Array:
    """The sum of log keep(w) + log Z(h) over a batch, which a tree's loss lacks.

    A tree has no score of its own for each word, so no offset can be added to it. As p' adds up to
    1, Z is 1 + sum_v p'(v | h) (1 / keep(v) - 1).
    """
    hidden, output = hidden_vectors(params.input, batch), params.output[dropped.rows]
    each = max(1, _NUMBERS // (hidden.shape[1] * dropped.paths.nodes.size))
    log_z = jax.lax.map(lambda one: log_normaliser(one, output, dropped), hidden, batch_size=each)
    log_keep = jnp.asarray(dropped.log_keep)[batch.words][:, None]
    correction: Array = (batch.weights * (log_z[..., None] + log_keep)).sum()
    return correction


def log_normaliser(hidden: Array, output: Array, dropped: Dropped) -> Array:
    """log Z [T] of ``hidden`` [T, D] for the scores of ``output``, the rows of ``dropped``."""
    nodes, codes, lengths = dropped.paths
    steps = (hidden @ output.T)[:, nodes]  # [T, F, L]
    turned = jnp.where(codes[None] == 0, steps, -steps)
    real = jnp.arange(nodes.shape[1], dtype=jnp.int32)[None] < lengths[:, None]
    log_p = jnp.where(real[None], jax.nn.log_sigmoid(turned), 0.0).sum(-1)
    return jnp.log1p(jnp.exp(log_p) @ dropped.spared)
