"""Word ids are checked on the host, where a batch or a corpus is made.

JAX raises no error for a bad id: a gather past the end reads the last row, -1 wraps around, a
scatter past the end is dropped, a 64-bit id is cut to 32 bits. After this check, functions under
jit can trust their ids.
"""

from operator import index

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from w2vjax.errors import IdError
from w2vjax.types import Batch


def check_ids(ids: ArrayLike, vocab_size: int) -> np.ndarray:
    """Ids as an int32 array. Each is checked to lie in [0, vocab_size).

    Args:
        ids: integers in any nesting, or an array of integers.
        vocab_size: V, from 1 to 2^31.

    Raises:
        IdError: an id is not an integer (a float, NaN, a boolean, text) or lies outside; or the
            dtype is too narrow for the vocabulary, so that ids may have wrapped around.

    >>> check_ids([0, 2, 1], vocab_size=3)
    array([0, 2, 1], dtype=int32)
    >>> check_ids([3], vocab_size=3)
    Traceback (most recent call last):
    w2vjax.errors.IdError: Id 3 at position 0 is outside [0, 3). Encode the text with ...
    """
    if not isinstance(vocab_size, int | np.integer) or not 0 < vocab_size <= 2**31:
        cause = f"vocab_size={vocab_size} cannot be indexed by int32 ids"
        raise IdError(f"{cause}. Use a vocabulary of 1 to 2^31 words.")
    array = integers(ids)
    narrow = (
        isinstance(ids, np.ndarray | np.generic | jax.Array)
        and np.iinfo(array.dtype).max < vocab_size - 1
    )
    if narrow and array.size:
        raise IdError(
            f"Ids of dtype {array.dtype} cannot name all of {vocab_size} words and may have "
            "wrapped around. Encode them as int32."
        )
    bad = (array < 0) | (array >= vocab_size)
    if bad.any():
        place = int(np.argmax(bad))
        cause = f"Id {array.reshape(-1)[place]} at position {place} is outside [0, {vocab_size})"
        raise IdError(f"{cause}. Encode the text with the vocabulary of this model.")
    return array.astype(np.int32)


def integers(ids: ArrayLike) -> np.ndarray:
    """Ids as a NumPy integer array of any width. Raises IdError for anything but integers."""
    is_array = isinstance(ids, np.ndarray | np.generic | jax.Array)
    try:
        # object, because NumPy would make [0, True] and [0, 2**63] arrays of one innocent dtype
        array = np.asarray(ids) if is_array else np.asarray(ids, object)
    except (ValueError, TypeError) as error:
        cause = f"Ids are not an array of integers ({error})"
        raise IdError(f"{cause}. Pass equally long rows of integers.") from None
    if array.dtype != object:
        if np.issubdtype(array.dtype, np.integer):
            return array
        first = array.reshape(-1)[0] if array.size else "none"
        cause = f"Ids must be integers, not {array.dtype} (the first is {first})"
        raise IdError(f"{cause}. Encode the words as int32.")
    for place, item in enumerate(array.reshape(-1).tolist()):
        try:  # an integer of Python, NumPy or JAX
            number = None if isinstance(item, bool) else index(item)
        except TypeError:
            number = None
        if number is None:
            cause = f"Id {item!r} at position {place} is not an integer"
            raise IdError(f"{cause}. Pass ids in [0, vocab_size).")
        if not -(2**63) <= number < 2**63:
            cause = f"Id {item} at position {place} is wider than 64 bits"
            raise IdError(f"{cause}. Pass ids in [0, vocab_size).")
    return array.astype(np.int64)


def as_ids(ids: ArrayLike, vocab_size: int | None) -> jax.Array:
    """int32 ids for a batch, checked on the host. Under jit only the dtype can be checked.

    ``vocab_size`` None checks that they are ids, of any vocabulary.
    """
    if (
        vocab_size is None
        and isinstance(ids, jax.core.Tracer)
        and jnp.issubdtype(ids.dtype, jnp.integer)
    ):
        return ids.astype(jnp.int32)
    if vocab_size is not None:
        return jnp.asarray(check_ids(ids, vocab_size))
    array = integers(ids)
    wide = array if array.dtype.itemsize > 4 else array.astype(np.int64)
    return jnp.asarray(check_ids(wide, np.iinfo(np.int32).max))


def check_batch(batch: Batch, vocab_size: int) -> Batch:
    """The batch, if its ids are ids of the vocabulary. Raises IdError.

    >>> import w2vjax as w2v
    >>> check_batch(w2v.pairs([0, 1], [1, 2]), vocab_size=3).words.tolist()
    [[1], [2]]
    """
    inputs = batch.inputs._replace(ids=jnp.asarray(check_ids(batch.inputs.ids, vocab_size)))
    return batch._replace(inputs=inputs, words=jnp.asarray(check_ids(batch.words, vocab_size)))
