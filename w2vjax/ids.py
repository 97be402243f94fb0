"""Word ids are checked on the host, where a batch or a corpus is made.

JAX raises for no bad id: a gather past the end reads the last row, -1 wraps around, a scatter past the end is
dropped and a 64-bit id is cut to 32 bits. Functions under jit therefore trust their ids, and this is why they can.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.errors import IdError
from w2vjax.types import Batch


def check_ids(ids: Any, vocab_size: int) -> np.ndarray:
    """ids (any nesting of integers) as an int32 array, after a check that each lies in [0, vocab_size).

    Raises IdError for ids that are no integers (floats, NaN, booleans, text), that lie outside, or whose dtype is too
    narrow to hold every id of the vocabulary, since they may have wrapped around.

    >>> check_ids([0, 2, 1], vocab_size=3)
    array([0, 2, 1], dtype=int32)
    >>> check_ids([3], vocab_size=3)
    Traceback (most recent call last):
    w2vjax.errors.IdError: Id 3 at position 0 is outside [0, 3). Encode the text with the vocabulary of this model.
    """
    if not 0 < vocab_size <= 2**31:
        raise IdError(
            f"vocab_size={vocab_size} cannot be indexed by int32 ids. Use a vocabulary of 1 to 2^31 words."
        )
    array = integers(ids)
    narrow = (
        isinstance(ids, np.ndarray | np.generic | jax.Array) and np.iinfo(array.dtype).max < vocab_size - 1
    )
    if narrow and array.size:
        raise IdError(
            f"Ids of dtype {array.dtype} cannot name all of {vocab_size} words and may have wrapped around. "
            "Encode them as int32."
        )
    bad = (array < 0) | (array >= vocab_size)
    if bad.any():
        place = int(np.argmax(bad))
        raise IdError(
            f"Id {array.reshape(-1)[place]} at position {place} is outside [0, {vocab_size}). "
            "Encode the text with the vocabulary of this model."
        )
    return array.astype(np.int32)


def integers(ids: Any) -> np.ndarray:
    """ids as a NumPy integer array of whatever width they came in; IdError if they are anything but integers."""
    try:
        array = np.asarray(ids)
    except (ValueError, TypeError, OverflowError) as error:
        raise IdError(
            f"Ids are not an array of integers ({error}). Pass equally long rows of integers."
        ) from None
    if array.size == 0 and array.dtype == np.float64:  # what NumPy makes of []
        return array.astype(np.int32)
    if array.dtype == object:  # Python integers past 64 bits
        flat = array.reshape(-1).tolist()
        wrong = next((i for i in flat if type(i) is not int), flat[0] if flat else None)
        raise IdError(f"Id {wrong!r} is not an integer that a word can have. Pass ids in [0, vocab_size).")
    if not np.issubdtype(array.dtype, np.integer):
        first = array.reshape(-1)[0] if array.size else "none"
        raise IdError(
            f"Ids must be integers, not {array.dtype} (the first is {first}). Encode the words as int32."
        )
    return array


def as_ids(ids: Any, vocab_size: int | None) -> jax.Array:
    """int32 ids for a batch: checked on the host given a vocab_size, else trusted, but never floats."""
    if vocab_size is not None:
        return jnp.asarray(check_ids(ids, vocab_size))
    if isinstance(ids, jax.Array) and jnp.issubdtype(ids.dtype, jnp.integer):
        return ids.astype(jnp.int32)
    array = integers(ids)
    limits = np.iinfo(np.int32)
    return jnp.asarray(check_ids(array, limits.max) if array.dtype.itemsize > 4 else array.astype(np.int32))


def check_batch(batch: Batch, vocab_size: int) -> Batch:
    """The batch with its ids checked on the host, for batches put together by hand. Raises IdError."""
    inputs = batch.inputs._replace(ids=jnp.asarray(check_ids(batch.inputs.ids, vocab_size)))
    return batch._replace(inputs=inputs, words=jnp.asarray(check_ids(batch.words, vocab_size)))
