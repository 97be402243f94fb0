"""One cell of ``sweep.py`` in a process: train, measure, print a JSON object as the last line.

    python benchmarks/sweep_job.py '{"corpus": "words100.txt", "settings": {"epochs": 1}, ...}'

An error of w2vjax is a result: its exit code and its sentence. Any other exception ends the
process, and ``sweep.py`` calls that a crash.
"""

import json
import math
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import w2vjax as w2v
from w2vjax.runs.held_out import evaluate_held_out
from w2vjax.training.methods import make_objective, method
from w2vjax.training.settings import RENAMED

Settings = dict[str, Any]
CUSTOM = ("shared", "span", "a", "b")  # of the objective, which is then a caller's own
TIMES = "_times"  # learning_rate_times=4 is four times the default of the pair
MOST_BATCH_WORDS = 65_536  # of Settings
GARBAGE = 1.5  # held-out loss, over that of the unigram distribution
ABOVE = 1.1  # loss, over the untrained one. A short run measures few pairs, and the loss varies.


def pair_defaults(settings: Settings, corpus: Any) -> Any:
    """The complete settings that the library chooses for model, objective and corpus."""
    names = {
        name: settings[name]
        for name in ("model", "objective", "copies", "epochs", "negatives", "window")
        if name in settings
    }
    return w2v.set_up(corpus, w2v.Settings(dim=1, **names)).settings


def resolved(asked: Settings, corpus: Any) -> Settings:
    """The arguments of ``w2v.train`` that a cell's settings stand for."""
    settings = {RENAMED.get(name, name): value for name, value in asked.items() if name != "chunk"}
    relative = [name for name in settings if name.endswith(TIMES)]
    custom = any(name in settings for name in CUSTOM)
    usual = pair_defaults(settings, corpus) if relative or custom else None
    for name in relative:
        plain = name.removesuffix(TIMES)
        settings[plain] = settings.pop(name) * getattr(usual, plain)
        if plain == "batch_words":
            block = settings.get("block_words", usual.block_words)
            settings[plain] = min(MOST_BATCH_WORDS, math.ceil(settings[plain] / block) * block)
    if custom:
        for name in ("learning_rate", "batch_words", "block_words"):
            settings.setdefault(name, getattr(usual, name))
    return with_functions(settings, len(corpus.ids))


def with_functions(settings: Settings, words: int = 0) -> Settings:
    """Settings for a text of ``words`` words, with functions in place of their names."""
    plain = dict(settings)
    if "optimizer" in plain:
        plain["optimizer"] = getattr(w2v, plain["optimizer"])
    if any(name in plain for name in CUSTOM):
        names = plain.get("model", "skip-gram"), plain.pop("objective", "negative")
        noise = plain.pop("negatives", 5), plain.pop("noise_exponent", 0.75)
        if "shared" in plain:
            objective = w2v.shared_negatives(*noise, plain.pop("shared"), plain.pop("span"))
        else:
            objective = make_objective(names[1], *noise, words, names[0])
        constants = {name: plain.pop(name) for name in ("a", "b") if name in plain}
        plain["objective"] = objective._replace(bounded=partial(objective.bounded, **constants))
        plain.setdefault("windows", method(*names, words).windows.__name__)
        plain.setdefault("optimizer", method(*names).optimizer)
    if "windows" in plain:
        plain["windows"] = getattr(w2v.windows, plain["windows"])
    return plain


def finite(value: Any) -> float | None:
    """The number, or None for what JSON has no word for."""
    return float(value) if value is not None and math.isfinite(value) else None


def tables(params: Any) -> dict[str, Any]:
    """Largest norm of a row and finiteness, of both tables."""
    arrays = {name: np.asarray(table, np.float64) for name, table in params._asdict().items()}
    return {
        "finite": all(bool(np.isfinite(array).all()) for array in arrays.values()),
        **{
            f"largest_{name}_row": finite(np.linalg.norm(array, axis=1).max())
            for name, array in arrays.items()
        },
    }


def verdict(cell: dict[str, Any]) -> str:
    """ "fine", "refused", "garbage" or "unlearned"; "finite" where nothing was held out to tell
    more.

    refused: an error of the library, with its exit code. garbage: exit 0, and a table that is not
    finite, a loss above 1.1 times the untrained one, or a held-out loss above 1.5 times that of the
    unigram distribution. unlearned: exit 0, sane, and a held-out loss that is not below the unigram
    one.
    """
    if cell["exit"] != 0:
        return "refused"
    loss, untrained = cell.get("loss"), cell.get("untrained_loss")
    held, unigram = cell.get("held_out"), cell.get("unigram")
    above = loss is not None and untrained is not None and loss > ABOVE * untrained
    if not cell["finite"] or above:
        return "garbage"
    if unigram is None:
        return "finite"
    if held is None or held > GARBAGE * unigram:
        return "garbage"
    return "fine" if held < unigram else "unlearned"


def train_w2vjax(cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell reports of training with w2vjax, and the vectors under "vectors"."""
    from w2vjax.devices import feed
    from w2vjax.runs import loop

    asked = {name: value for name, value in cell["settings"].items() if value is not None}
    corpus = w2v.prepare(
        cell["corpus"], cell["cache"], asked.get("min_count", 5), asked.get("max_vocab")
    )
    with ExitStack() as stack:
        # the held-out loss is measured below, of fewer words
        stack.enter_context(patch.object(loop, "evaluate_held_out", lambda *_: None))
        if "chunk" in asked:
            stack.enter_context(patch.object(feed, "join_interval", lambda *_: int(asked["chunk"])))
        trained = w2v.train(corpus, **resolved(asked, corpus))
    summary = trained.summary
    found = {
        "train_s": summary["train_seconds"],
        "compile_s": summary["compile_seconds"],
        "steps": summary["steps"],
        "words": summary["words"],
        "loss": finite(summary["loss"]),
        "used": summary["settings"],
        "untrained_loss": summary.get("untrained_loss"),
        "copies": trained.run.feed.copies,
        "chunk_words": trained.run.feed.size,
        **tables(trained.params),
        "vectors": trained.vectors,
    }
    if asked.get("held_out"):
        start = time.perf_counter()
        # an objective with shared and span is "negative" too, though it was given as one of the
        # caller's own
        kind, exponent = asked.get("objective", "negative"), asked.get("noise_exponent", 0.75)
        names = {"objective": kind, "noise_exponent": exponent if kind == "negative" else None}
        run = trained.run._replace(settings=replace(trained.run.settings, **names))
        exact = evaluate_held_out(run, trained.params, cell["held_out_words"])
        found |= {
            "held_out": finite(exact["loss"]),
            "unigram": finite(exact["unigram_loss"]),
            "held_out_s": time.perf_counter() - start,
        }
    return found


def near_words(vectors: Any, corpus: str) -> dict[str, float]:
    """How often near words share an article of the text."""
    from sweep_npmi import coherence
    from sweep_texts import articles_of

    return coherence(vectors.words, np.asarray(vectors.matrix), articles_of(corpus))


def quality(vectors: Any, folder: str) -> dict[str, Any]:
    """The score of every evaluation set, and their mean."""
    from peers_evaluate import score

    scores, coverage = score(vectors, Path(folder))
    return {
        "quality": scores,
        "coverage": coverage,
        "mean": float(np.mean(list(scores.values()))) if scores else None,
    }


def run(cell: dict[str, Any]) -> dict[str, Any]:
    """Train and measure one cell."""
    from sweep_gensim import train_gensim

    train = {"w2vjax": train_w2vjax, "gensim": train_gensim}[cell["tool"]]
    try:
        found = {"exit": 0, "sentence": None, **train(cell)}
    except w2v.W2VError as error:
        found = {"exit": error.exit_code, "sentence": str(error)}
    vectors = found.pop("vectors", None)
    if vectors is not None and found["finite"]:
        if cell.get("eval_dir"):
            found |= quality(vectors, cell["eval_dir"])
        if cell.get("npmi"):
            found |= near_words(vectors, cell["corpus"])
    return found | {"verdict": verdict(found)}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1])), allow_nan=False))
