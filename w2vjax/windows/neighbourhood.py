"""Which words are neighbours of a center. Every window shape follows this one definition.

B blocks have T + 2*window consecutive words each: T centers between two margins of ``window``
words. ``segments``, of the same shape, numbers the lines, -1 on padding. ``reach`` [B, T], at most
``window``, is how far each center looks.
"""

import jax.numpy as jnp
from jax import Array


def are_neighbours(own: Array, other: Array, distance: Array, reach: Array) -> Array:
    """Whether a word is a neighbour: not the center, on its line and within its reach.

    Args:
        own: the line of the center.
        other: the line of the word.
        distance: from one to the other, in words.
        reach: of the center.

    Returns:
        A mask; all arguments broadcast.

    >>> line, distance = jnp.asarray([0, 0, 0, 1, -1]), jnp.asarray([0, 1, 3, 1, 1])
    >>> are_neighbours(line[:1], line, distance, jnp.asarray([2])).tolist()
    [False, True, False, False, False]
    """
    # Two comparisons for each pair of words; what one side alone decides is decided there.
    far = jnp.where(distance > 0, distance, 2**31 - 1)
    return (other == own) & (far <= jnp.where(own >= 0, reach, 0))


def in_block(segments: Array, reach: Array) -> Array:
    """The neighbours of T centers among the P = T + 2*window words of a block, a mask [B, T, P].

    >>> in_block(jnp.asarray([[-1, 0, 0, 1]]), jnp.asarray([[1, 1]])).astype(int).tolist()
    [[[0, 0, 1, 0], [0, 1, 0, 0]]]
    """
    count, width = reach.shape[1], segments.shape[1]
    window = (width - count) // 2
    at = jnp.arange(width, dtype=jnp.int32)[:, None]
    center = jnp.arange(window, window + count, dtype=jnp.int32)[None]
    distance = jnp.abs(at - center)[None]  # [1, P, T], a constant
    own = segments[:, None, window : window + count]
    # made as [B, P, T], as the products want it
    mask = are_neighbours(own, segments[..., None], distance, reach[:, None])
    return mask.swapaxes(1, 2)


def around_each(tokens: Array, segments: Array, reach: Array) -> tuple[Array, Array, Array]:
    """The words around each center.

    Args:
        tokens: [B, T + 2*window] ids.
        segments: [B, T + 2*window] lines, -1 on padding.
        reach: [B, T].

    Returns:
        Centers [B, T], contexts [B, T, C] and their mask [B, T, C], with C = 2*window.

    >>> blocks = jnp.asarray([[9, 4, 5, 6]]), jnp.asarray([[-1, 0, 0, 1]])
    >>> centers, contexts, mask = around_each(*blocks, jnp.asarray([[1, 1]]))
    >>> centers.tolist(), contexts.tolist(), mask.astype(int).tolist()
    ([[4, 5]], [[[9, 5], [4, 6]]], [[[0, 1], [1, 0]]])
    """
    count = reach.shape[1]
    window = (tokens.shape[1] - count) // 2
    offsets = [offset for offset in range(-window, window + 1) if offset]

    def shifted(values: Array, offset: int) -> Array:
        return values[:, window + offset : window + offset + count]

    def gathered(values: Array) -> Array:
        columns = [shifted(values, offset) for offset in offsets]
        return jnp.stack(columns, -1) if columns else jnp.zeros((*reach.shape, 0), values.dtype)

    own = shifted(segments, 0)[..., None]
    distance = jnp.asarray([[[abs(offset) for offset in offsets]]], jnp.int32)
    mask = are_neighbours(own, gathered(segments), distance, reach[..., None])
    return shifted(tokens, 0), gathered(tokens), mask
