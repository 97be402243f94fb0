"""What a run will take: memory from the compiled program, time from a few timed chunks."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np

from w2vjax.corpus.encode import Corpus
from w2vjax.corpus.sources import Source
from w2vjax.devices.mesh import bytes_of_a_device, memory_for_tables, own_device, trains_copies
from w2vjax.runs.arguments import Arguments, arguments_of, keywords_of
from w2vjax.runs.checkpoint import checkpoints_in
from w2vjax.runs.loop import check_arguments, make_run, read_corpus
from w2vjax.threads import usable_cores
from w2vjax.training.setup import lower
from w2vjax.training.step import compile_chunk
from w2vjax.windows.sampling import chunk_seed

_TIMED = 3  # chunks, after one that warms up


class Plan(NamedTuple):
    """Bytes, steps and seconds of a run. ``print`` it for sentences.

    Attributes:
        device: where it runs.
        vocabulary: the number of words in it.
        words: raw, over all epochs.
        steps: an estimate, of all copies.
        params_bytes: both tables, and their copies on one device.
        optimizer_bytes: what the optimizer keeps, for these copies.
        temporary_bytes: of the compiled program.
        corpus_bytes: of ids: on disk and mapped, or on the device.
        resident: whether the corpus lies on the device.
        device_bytes: the memory for all that: the device's own, or the host's; 0 if not known.
        compile_seconds: measured.
        train_seconds: an estimate, from a few chunks that were timed, without joins of copies.
    """

    device: str
    vocabulary: int
    words: int
    steps: int
    params_bytes: int
    optimizer_bytes: int
    temporary_bytes: int
    corpus_bytes: int
    resident: bool
    device_bytes: int
    compile_seconds: float
    train_seconds: float

    def __str__(self) -> str:
        where = "on the device" if self.resident else "mapped from disk"
        needed = self.params_bytes + self.optimizer_bytes + self.temporary_bytes
        needed += self.corpus_bytes if self.resident else 0
        sizes = self.params_bytes, self.optimizer_bytes, self.temporary_bytes, self.corpus_bytes
        params, optimizer, temporary, ids = (f"{size / 1e6:,.1f} MB" for size in sizes)
        speed = self.words / max(self.train_seconds, 1e-9) / 1e6
        lines = [
            f"{self.vocabulary:,} words in the vocabulary, {self.words:,} words to train on, about "
            f"{self.steps:,} steps on {self.device}",
            f"memory: tables {params}, optimizer {optimizer}, temporaries {temporary}; ids {ids} "
            f"{where}",
            f"time: {self.compile_seconds:.1f} s compiling, about {self.train_seconds:,.0f} s "
            f"training ({speed:.2f} M words/s)",
        ]
        if 0 < self.device_bytes < needed:
            lines.append(
                f"does not fit: {needed / 1e9:.1f} GB of {self.device_bytes / 1e9:.1f} GB. Use a "
                "smaller dim or batch_words, fewer copies, bfloat16, or a higher min_count."
            )
        return "\n".join(lines)


@keywords_of(Arguments)
def plan(corpus: "Source | Corpus" = None, **keywords: Any) -> Plan:
    """Memory and time of ``train(corpus, **keywords)``, from a few chunks that it times.

    It raises the errors of :func:`~w2vjax.runs.loop.train`, and writes nothing.

    Args:
        corpus: as for ``train``.
        **keywords: those of ``train``. The ones that save or report change nothing in the plan.

    Returns:
        Bytes, steps and seconds. ``print`` shows them as sentences.

    >>> text = [["a", "rose", "is", "a", "rose"]] * 9
    >>> plan(text, min_count=1, dim=8).params_bytes  # 2 tables of 3 rows of 8 floats
    192
    """
    arguments = arguments_of(keywords)
    check_arguments(arguments, checkpoints_in(arguments.checkpoint))
    run = make_run(read_corpus(corpus, arguments), arguments)
    spread = run.recipe.mesh
    if trains_copies(spread):  # devices train at the same time, so one of them is timed
        run = run._replace(recipe=run.recipe._replace(mesh=None))
    began = time.perf_counter()
    program = compile_chunk(run.recipe, run.feed.room)
    compiled = lower(run, program).compile()
    compile_seconds = time.perf_counter() - began
    temporaries = compiled.memory_analysis().temp_size_in_bytes
    state, times = run.state, []
    for number in range(1 + _TIMED):
        piece = run.feed.chunk(number % run.feed.chunks)
        began = time.perf_counter()
        state, _ = jax.block_until_ready(
            program(state, run.tables, run.keep, *piece, chunk_seed(run.settings.seed, 0, number))
        )
        times.append((time.perf_counter() - began) / int(piece[2]))
    words, copies = run.feed.words * run.settings.epochs, run.feed.copies
    tables, optimizer = (
        sum(bytes_of_a_device(leaf) for leaf in jax.tree.leaves(part))
        for part in (run.state.params, run.state.optimizer)
    )
    device, corpus_bytes = own_device(run.recipe.mesh), 4 * len(run.feed.corpus.ids)
    # a device of a mesh trains its copies one after the other, and has the joined tables beside
    # them; a CPU trains as many at a time as it has cores
    own, together = copies, copies
    if trains_copies(spread):
        own, together = -(-copies // spread.size), 1
    sizes = tables * (own + (copies > 1)), optimizer * own, temporaries * together
    turns = -(-own // min(together, usable_cores() if device.platform == "cpu" else 1))
    steps = run.steps * run.feed.words // run.feed.of_first(1, 0)  # run.steps are the first copy's
    counts = len(run.feed.corpus.vocab), words, steps
    memory_of_it = run.feed.resident is not None, memory_for_tables(device)
    seconds = compile_seconds, float(np.median(times[1:])) * words * turns / copies
    return Plan(device.device_kind, *counts, *sizes, corpus_bytes, *memory_of_it, *seconds)
