"""The random bits of ``jax.random``, several times as fast on a CPU.

Threefry turns a key and the number of a draw, two words each, into two random words: 20 rounds of
add, rotate and exclusive or. For a CPU, JAX compiles the rounds as a loop over the whole array,
which goes through memory in every turn. Written out and drawn in pieces, they stay in registers.
The draws of a chunk of training are the column "random ns" of
benchmarks/results/cpu-2-cores/step_speed.json. Salmon et al., "Parallel Random Numbers: As Easy as
1, 2, 3", 2011.
"""

import math
from functools import partial
from numbers import Integral

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)  # bits, in turns of four rounds
_PARITY = 0x1BD11BDA
# Numbers of a pass of the loop. The loop puts them in memory. Without it, XLA would compute them
# again for every use. So few numbers that they fill no two passes are left to JAX.
_PIECE = 1 << 15


def random_bits(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.uint32) -> Array:
    """``jax.random.bits(key, shape, dtype)``, bit for bit. Jit-able.

    It is JAX's own on a GPU or TPU, for keys of another kind than JAX's usual one, and for few
    numbers.

    Args:
        key: of the random numbers.
        shape: of the result.
        dtype: uint32, uint16 or uint8.

    >>> key = jax.random.key(0)
    >>> bool((random_bits(key, (400, 300)) == jax.random.bits(key, (400, 300))).all())
    True
    """
    by_jax = partial(jax.random.bits, shape=shape, dtype=dtype)
    usual = str(jax.random.key_impl(key)) == "threefry2x32" and key.shape == ()
    usual &= bool(getattr(jax.config, "jax_threefry_partitionable", True))
    usual &= all(isinstance(size, Integral) for size in shape)  # jax.export has sizes without value
    if not usual or not 2 * _PIECE <= math.prod(shape) < 1 << 32:
        return by_jax(key)
    by_pieces = partial(_by_pieces, shape=tuple(shape), dtype=dtype)
    bits: Array = jax.lax.platform_dependent(key, cpu=by_pieces, default=by_jax)
    return bits


@partial(jax.jit, static_argnames=("shape", "dtype"))  # outside jit, each call would compile
def _by_pieces(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    first, second = jax.random.key_data(key)
    size = math.prod(shape)

    def piece(number: Array) -> Array:
        place = jax.lax.iota(jnp.uint32, _PIECE) + number * jnp.uint32(_PIECE)
        x, y = threefry(first, second, jnp.zeros_like(place), place)
        return (x ^ y).astype(dtype)

    bits: Array = jax.lax.map(piece, jnp.arange(-(-size // _PIECE), dtype=jnp.uint32))
    return bits.reshape(-1)[:size].reshape(shape)


def threefry(first: Array, second: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """The two random words for a key of two words and a count of two words, all uint32.

    >>> zero = jnp.uint32(0)
    >>> [f"{int(word):08x}" for word in threefry(zero, zero, zero, zero)]  # as published
    ['6b200159', '99ba4efe']
    """
    words = first, second, first ^ second ^ jnp.uint32(_PARITY)
    x, y = x + words[0], y + words[1]
    for turn in range(5):
        for left in _ROTATIONS[turn % 2]:
            x = x + y
            y = x ^ ((y << jnp.uint32(left)) | (y >> jnp.uint32(32 - left)))
        x = x + words[(turn + 1) % 3]
        y = y + words[(turn + 2) % 3] + jnp.uint32(turn + 1)
    return x, y
