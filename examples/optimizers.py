"""Optimizers and schedules of optax beside the one that ships, and a picture of their losses.

``optimizer`` is a function of the schedule. Optimizers that keep a state for every number of the
tables, such as adamw or momentum, are wrapped in ``w2v.dense``. Every step then updates whole
tables, which suits small vocabularies. ``python examples/optimizers.py out`` draws the losses.
"""

import sys
from pathlib import Path
from typing import Any

import optax

import w2vjax as w2v

SETTINGS: dict[str, Any] = {"dim": 20, "epochs": 200, "min_count": 1, "sample": 0.0}


def adamw(schedule: Any) -> Any:
    return w2v.dense(optax.adamw(schedule, weight_decay=1e-4))


def momentum(schedule: Any) -> Any:
    return w2v.dense(optax.sgd(schedule, momentum=0.9))


def train_all(folder: Path) -> dict[str, w2v.Trained]:
    """A run with each optimizer, and its log in the folder."""
    corpus = w2v.prepare()
    steps = w2v.set_up(corpus, w2v.Settings(**SETTINGS)).steps

    def warmup(peak: float) -> optax.Schedule:
        return optax.warmup_cosine_decay_schedule(0.0, peak, steps // 10, steps)

    ways: dict[str, dict[str, Any]] = {
        "shipped": {},
        "adamw": {"optimizer": adamw, "schedule": warmup(0.02)},
        "momentum": {"optimizer": momentum, "schedule": warmup(0.02)},
    }
    return {
        name: w2v.train(corpus, **SETTINGS, **way, log=folder / f"{name}.jsonl", log_every=0)
        for name, way in ways.items()
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    runs = train_all(folder)
    for name, trained in runs.items():
        before, after = trained.summary["untrained_loss"], trained.summary["loss"]
        print(f"{name:<9} loss {before:.3f} -> {after:.3f}")
    w2v.plot_loss([folder / f"{name}.jsonl" for name in runs], folder / "losses.png")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]))
