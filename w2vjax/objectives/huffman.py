"""Hierarchical softmax: the probability of a word as a product of binary decisions along its Huffman path.

    p(w | hidden) = prod_l sigmoid((1 - 2 * code[w, l]) * hidden . output[node[w, l]])

Morin and Bengio 2005; Mikolov et al. 2013. Frequent words have short paths, so a pair costs at most about
log2 V scores. Every decision is one logistic loss with label 1 - code: loss and backward are those of negative
sampling.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.errors import SettingError
from w2vjax.objectives.logistic import logistic_rows_backward, logistic_rows_loss
from w2vjax.types import Objective, Targets


class Huffman(NamedTuple):
    """Paths from the root to each word, padded to the longest. Nodes are rows 0 .. V-2 of the output table."""

    nodes: jax.Array  # [V, L] int32, root first; padding is node 0
    codes: jax.Array  # [V, L] uint8, the branch taken at each node
    lengths: jax.Array  # [V] int32, real steps in each path


def huffman_parents(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parent and branch (0 or 1) of each of the 2V-1 nodes, words first, root last; O(V log V) for the sort.

    Leaves are taken in order of count and inner nodes in order of creation, which is also in order of weight: two
    queues replace the heap.
    """
    size = len(counts)
    order = np.argsort(counts, kind="stable").tolist()
    weights = [float(c) for c in counts] + [0.0] * (size - 1)
    parent, branch = np.zeros(2 * size - 1, np.int64), np.zeros(2 * size - 1, np.uint8)
    leaf, inner = 0, size
    for node in range(size, 2 * size - 1):
        for side in (0, 1):
            if leaf < size and (inner >= node or weights[order[leaf]] <= weights[inner]):
                child, leaf = order[leaf], leaf + 1
            else:
                child, inner = inner, inner + 1
            weights[node] += weights[child]
            parent[child], branch[child] = node, side
    return parent, branch


def huffman_tree(counts: Any) -> Huffman:
    """The tree over words with these counts [V]. Raises SettingError for empty, negative or non-finite counts.

    >>> tree = huffman_tree([4, 2, 1])
    >>> tree.lengths.tolist(), tree.nodes.tolist()
    ([1, 2, 2], [[1, 0], [1, 0], [1, 0]])
    """
    mass = np.asarray(counts, np.float64)
    if mass.ndim != 1 or not mass.size or not np.isfinite(mass).all() or (mass < 0).any():
        raise SettingError(
            "Word counts must be finite and at least 0, one for each word. Count the vocabulary again."
        )
    size, root = mass.size, 2 * mass.size - 2
    parent, branch = huffman_parents(mass)
    at = np.arange(size)
    nodes, codes = [], []  # leaf first, one [V] array for each level that some path still climbs
    lengths = np.zeros(size, np.int32)
    while (climbing := at != root).any():
        nodes.append(np.where(climbing, parent[at] - size, -1))
        codes.append(branch[at])
        lengths += climbing
        at = np.where(climbing, parent[at], root)
    longest = max(len(nodes), 1)  # one padded step for V=1, whose only word is certain
    step = np.arange(longest)
    back = np.clip(lengths[:, None] - 1 - step, 0, None)  # root first: reverse each path
    real = step < lengths[:, None]
    stack = np.stack(nodes, 1) if nodes else np.zeros((size, 1), np.int64)
    bits = np.stack(codes, 1) if codes else np.zeros((size, 1), np.uint8)
    return Huffman(
        jnp.asarray(np.where(real, np.take_along_axis(stack, back, 1), 0), jnp.int32),
        jnp.asarray(np.where(real, np.take_along_axis(bits, back, 1), 0), jnp.uint8),
        jnp.asarray(lengths),
    )


def select_paths(key: jax.Array, tree: Huffman, words: jax.Array, weights: jax.Array) -> Targets:
    """The paths of ``words`` [B, P] as targets with R = P * L rows; nothing is drawn, so ``key`` is unused."""
    del key
    groups, hidden, positives = weights.shape
    longest = tree.nodes.shape[1]
    rows = positives * longest
    real = jnp.arange(longest, dtype=jnp.int32)[None, None] < tree.lengths[words][..., None]  # [B, P, L]
    path_weights = weights[..., None] * real[:, None].astype(weights.dtype)  # [B, T, P, L]
    path_weights = path_weights.reshape(groups, hidden, rows)
    labels = (1 - tree.codes[words]).astype(weights.dtype).reshape(groups, 1, rows)
    return Targets(
        tree.nodes[words].reshape(groups, rows), jnp.broadcast_to(labels, path_weights.shape), path_weights
    )


def hierarchical_softmax() -> Objective:
    """Skip-gram or CBOW with hierarchical softmax over a Huffman tree of the counts.

    The output table keeps V rows, one more than the tree has nodes: tables of one shape for every objective. ``init``
    raises SettingError for counts that are empty, negative or not finite.

    >>> objective = hierarchical_softmax()
    >>> objective.init([7, 7]).codes.tolist()
    [[0], [1]]
    """
    return Objective(huffman_tree, select_paths, logistic_rows_loss, logistic_rows_backward)
