"""Every figure of the post again, beside the figure that the post prints."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from w2vjax.reference import one_hot

# "w1" is the largest |w1 - published|. The post prints 8 decimals, so rounding alone gives 5e-9
# (measured: 4.99e-9). float32 on a CPU gives 7.2e-4, and 2e-3 leaves room for another order of
# summation. "loss" is absolute in float64 (measured: 2.7e-11) and relative in float32 (measured:
# 4.7e-5). Figures in bfloat16 are shown and not judged.
TOLERANCES = {"float64": {"w1": 1e-8, "loss": 1e-6}, "float32": {"w1": 2e-3, "loss": 1e-4}}


@dataclass(frozen=True)
class Training:
    """The settings of the post.

    Args:
        window: Neighbours to each side.
        dim: Length of a vector.
        learning_rate: Step length of gradient descent.
        steps: Steps, each on all pairs.
        seed: Seed of NumPy's legacy generator.
    """

    window: int = 2
    dim: int = 10
    learning_rate: float = 0.05
    steps: int = 50
    seed: int = 42


class Recomputed(NamedTuple):
    """What one run computed, on the host."""

    tokens: int
    vocabulary: list[str]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    history: list[float]
    w1: np.ndarray
    ranking: list[str]
    vector: list[float]


class Check(NamedTuple):
    """One figure beside its published value. ``ok`` is None if it is shown and not judged."""

    name: str
    published: Any
    computed: Any
    ok: bool | None


def compute(
    text: str, order: list[str] | None, dtype: str, word: str, vector_of: str, training: Training
) -> Recomputed:
    """Compute everything that the post prints, from its text to its last figure."""
    tokens = one_hot.tokenize(text)
    word_to_id, _ = one_hot.mapping(tokens, order)
    X, y = one_hot.generate_training_data(tokens, word_to_id, training.window)
    params = one_hot.init_network(
        len(word_to_id), training.dim, numpy_seed=training.seed, dtype=dtype
    )
    params, history = one_hot.train(params, X, y, training.learning_rate, training.steps)
    vector = one_hot.get_embedding(params, vector_of, word_to_id)
    shapes, ranking = (X.shape, y.shape), one_hot.predict_context(params, word, word_to_id)
    losses, w1 = np.asarray(history, np.float64).tolist(), np.asarray(params["w1"], np.float64)
    values = np.asarray(vector, np.float64).tolist()
    return Recomputed(len(tokens), [*word_to_id], shapes, losses, w1, ranking, values)


def judge(
    run: Recomputed, published: dict[str, Any], dtype: str, word: str, vector_of: str
) -> list[Check]:
    """Each published figure beside the computed one. The post has one ranking and one vector."""
    tolerance, shape = TOLERANCES.get(dtype, {}), tuple(published["shape"])

    def verdict(agrees: bool) -> bool | None:
        return agrees if tolerance else None

    def exact(name: str, expected: object, found: object) -> Check:
        return Check(name, expected, found, verdict(found == expected))

    def close(name: str, expected: float, found: float) -> Check:
        error = abs(found - expected) / (abs(expected) if dtype == "float32" else 1.0)
        return Check(name, expected, found, verdict(error <= tolerance.get("loss", 0.0)))

    def within(name: str, expected: ArrayLike, found: ArrayLike) -> Check:
        error = error_of(found, expected)
        return Check(name, 0.0, error, verdict(error <= tolerance.get("w1", 0.0)))

    checks = [
        exact("tokens", published["tokens"], run.tokens),
        exact("words", published["words"], len(run.vocabulary)),
        exact("X", shape, run.shapes[0]),
        exact("y", shape, run.shapes[1]),
        close("loss, first step", published["losses"]["first"], run.history[0]),
        close("loss, last step", published["losses"]["last"], run.history[-1]),
        within("max |w1 - published|", published["w1"], run.w1),
    ]
    if word == published["ranking"]["word"]:
        expected = published["ranking"]["words"]
        checks.append(exact("ranks equal", len(expected), equal_ranks(run.ranking, expected)))
    if vector_of == published["vector"]["word"]:
        checks.append(within("max |vector - published|", published["vector"]["values"], run.vector))
    return checks


def error_of(found: ArrayLike, expected: ArrayLike) -> float:
    """max |found - expected|. It is infinite if the shapes differ."""
    if np.shape(found) != np.shape(expected):
        return float("inf")
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())


def equal_ranks(found: list[str], expected: list[str]) -> int:
    return sum(f == e for f, e in zip(found, expected, strict=False))


def conclude(
    run: Recomputed, checks: list[Check], published: dict[str, Any] | None, dtype: str
) -> str:
    """The closing sentence: what agrees, and what is off."""
    if published is None:
        return f"Nothing is published for this text, so nothing is judged ({dtype})."
    parts = [f"max |w1 - published| = {error_of(run.w1, published['w1']):.1e} ({dtype})"]
    ranks = [check for check in checks if check.name == "ranks equal"]
    parts = [f"{check.computed}/{check.published} ranks equal" for check in ranks] + parts
    if off := [check.name for check in checks if check.ok is False]:
        parts.append(f"OFF: {'; '.join(off)}")
    elif dtype not in TOLERANCES:
        parts.append("not judged")
    return "; ".join(parts)
