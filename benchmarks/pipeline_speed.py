"""Text to ids: count the words, build the vocabulary, encode the text, ids on disk.

    python benchmarks/pipeline_speed.py                          a generated text, 20 MB
    python benchmarks/pipeline_speed.py --corpus text8 --write   a file of yours, the result kept

Candidates, all of which keep the words that occur five times and write the same ids:

- w2vjax: ``prepare``, everything a user pays for, checks and checksums and the flush to the disk
  among it;
- w2vjax, without the disk: the same but for checksums and flush, into a file in memory, as the
  others do;
- split + Counter + dict: what people write first;
- NumPy sort: ``np.unique`` over the words as fixed-width strings, in blocks (longer ones than 24
  bytes by a dict);
- Arrow: words cut out by NumPy, ``dictionary_encode`` by pyarrow (skipped where it is not
  installed).

All of them have one core. The two of w2vjax are then timed again on all cores, with one thread and
with as many as there are cores, in turns. On a machine that others use, compare ``cpu_s``: the
seconds of all cores together, of the system too.

Before anything is timed every candidate has to give the ids that split + Counter + dict gives.
"""

import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from timing import CheckFailed, compare, parser_of, report, table

from w2vjax.corpus.count import rank, spelled
from w2vjax.corpus.encode import prepare
from w2vjax.corpus.scan import renumber, scan
from w2vjax.corpus.sources import Reading
from w2vjax.files import scratch_files

MIN_COUNT = 5


def generated(folder: str, megabytes: int) -> Path:
    """A Zipf-distributed text of random words, one endless line, the same every time."""
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, (200_000, 14), np.uint8)
    lengths = np.clip(rng.poisson(5.5, len(letters)), 1, 13)
    letters[np.arange(14) >= lengths[:, None]] = 32
    words = [bytes(row).split()[0] for row in letters]
    path = Path(folder, "generated.txt")
    size = 0
    with open(path, "wb") as file:
        while size < megabytes * 1_000_000:
            draw = (rng.zipf(1.15, 100_000) - 1) % len(words)
            size += file.write(b" ".join([words[i] for i in draw.tolist()]) + b" ")
    return path


def by_counter(path: Path) -> np.ndarray:
    """The definition, and the check of all others."""
    words = path.read_bytes().split()
    counts = Counter(words)
    kept = [
        word for word in sorted(counts, key=lambda word: -counts[word]) if counts[word] >= MIN_COUNT
    ]
    ids_of = {word: place for place, word in enumerate(kept)}
    return np.array([ids_of[word] for word in words if word in ids_of], np.int32)


def by_w2vjax(path: Path, threads: int = 1) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        return prepare(path, folder, MIN_COUNT, reading=Reading(threads=threads)).ids


def by_w2vjax_in_memory(path: Path, threads: int = 1) -> np.ndarray:
    with scratch_files(tempfile.gettempdir()) as scratch:
        ids, starts = scratch(), scratch()
        seen = scan(path, reading=Reading(threads=threads), scratch=scratch)
        kept, dropped, ids_of = rank(seen, MIN_COUNT, None)
        spelled(seen, kept, dropped, MIN_COUNT)
        renumber(seen, ids_of, ids, starts)
        ids.seek(0)
        return np.fromfile(ids, "<i4")


def _ranked(counts: np.ndarray, first: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Numbers in any order to ids by count and first occurrence, words below MIN_COUNT left out."""
    order = np.lexsort((first, -counts))
    ids_of = np.empty(len(counts), np.int32)
    ids_of[order] = np.arange(len(counts), dtype=np.int32)
    ids_of[counts < MIN_COUNT] = -1
    ids = ids_of[numbers]
    return ids[ids >= 0]


def _cut(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the words of a text."""
    separators = np.flatnonzero(data <= 32)
    starts = np.concatenate([[0], separators + 1])
    lengths = np.concatenate([separators, [len(data)]]) - starts
    return starts[lengths > 0], lengths[lengths > 0]


def by_numpy_sort(path: Path) -> np.ndarray:
    data = np.fromfile(path, np.uint8)
    starts, lengths = _cut(data)
    width = 24
    long = np.flatnonzero(lengths > width)
    padded = np.concatenate([data, np.zeros(width, np.uint8)])
    windows = np.ndarray((len(data), width // 8), "<u8", padded, strides=(1, 8))
    masks = np.array([(1 << (8 * n)) - 1 for n in range(9)], np.uint64)
    numbers: np.ndarray = np.empty(len(starts), np.int64)
    seen: dict[bytes, int] = {}
    for begin in range(0, len(starts), 1 << 20):
        block = slice(begin, begin + (1 << 20))
        left = np.clip(lengths[block, None] - np.arange(0, width, 8), 0, 8)
        words = (windows[starts[block]] & masks[left]).view(f"S{width}")[:, 0]
        distinct, inverse = np.unique(words, return_inverse=True)
        place = np.array([seen.setdefault(word, len(seen)) for word in distinct.tolist()])
        numbers[block] = place[inverse]
    for word in long.tolist():
        key = data[starts[word] : starts[word] + lengths[word]].tobytes()
        numbers[word] = seen.setdefault(key, len(seen))
    first = np.empty(len(seen), np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return _ranked(np.bincount(numbers, minlength=len(seen)), first, numbers)


def by_arrow(path: Path) -> np.ndarray:
    import pyarrow as pa

    data = np.fromfile(path, np.uint8)
    _, lengths = _cut(data)
    letters = data[data > 32]
    chunks = []
    ends = np.cumsum(lengths)
    for begin in range(0, len(lengths), 1 << 20):
        stop = min(begin + (1 << 20), len(lengths))
        base = int(ends[begin] - lengths[begin])
        offsets = np.concatenate([[0], ends[begin:stop] - base]).astype(np.int32)
        text = letters[base : int(ends[stop - 1])]
        chunks.append(
            pa.StringArray.from_buffers(stop - begin, pa.py_buffer(offsets), pa.py_buffer(text))
        )
    encoded = pa.chunked_array(chunks).dictionary_encode().unify_dictionaries()
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    counts = np.bincount(numbers)
    # Arrow numbers words by first occurrence
    return _ranked(counts, np.arange(len(counts)), numbers)


CANDIDATES: dict[str, Callable[[Path], np.ndarray]] = {
    "w2vjax": by_w2vjax,
    "w2vjax, without the disk": by_w2vjax_in_memory,
    "split + Counter + dict": by_counter,
    "NumPy sort": by_numpy_sort,
    "Arrow": by_arrow,
}


def available() -> dict[str, Callable[[Path], np.ndarray]]:
    try:
        import pyarrow as pa

        pa.set_cpu_count(1)
        pa.set_io_thread_count(1)
    except ImportError:
        return {name: call for name, call in CANDIDATES.items() if name != "Arrow"}
    return CANDIDATES


def check(path: Path) -> None:
    """Raise CheckFailed with the name of a candidate whose ids are not those of `by_counter`."""
    expected = by_counter(path)
    for name, call in available().items():
        got = np.asarray(call(path))
        if not np.array_equal(got, expected):
            raise CheckFailed(
                f"{name}: {len(got):,} ids, not the {len(expected):,} of split + Counter + dict."
            )


@contextmanager
def one_core() -> Iterator[None]:
    """One core for all threads started inside, where the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def on_all_cores(path: Path, cores: int) -> dict[str, Callable[[], np.ndarray]]:
    """The candidates of w2vjax with one thread and with a thread for each core."""
    ours: list[tuple[str, Callable[..., np.ndarray]]] = list(CANDIDATES.items())[:2]
    return {
        f"{name}, {threads} thread{'s' * (threads > 1)}": partial(read, path, threads)
        for name, read in ours
        for threads in (1, cores)
    }


def with_cpu_seconds(
    calls: dict[str, Callable[[], np.ndarray]], used: dict[str, list[float]]
) -> dict[str, Callable[[], np.ndarray]]:
    """The same calls. Each adds the CPU time of all its threads to ``used``."""

    def timed(name: str, call: Callable[[], np.ndarray]) -> np.ndarray:
        begin = time.process_time()
        result = call()
        used.setdefault(name, []).append(time.process_time() - begin)
        return result

    return {name: partial(timed, name, call) for name, call in calls.items()}


def run(path: Path, rounds: int, write: bool, quick: bool = False) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    with one_core():
        check(path)
    words = len(path.read_bytes().split())
    used: dict[str, list[float]] = {}
    candidates = {name: partial(call, path) for name, call in available().items()}
    options: dict[str, Any] = {"rounds": rounds, "warmup": 1, "sample_seconds": 0.0}
    with one_core():
        timings = compare(with_cpu_seconds(candidates, used), **options)
    if cores > 1:
        timings |= compare(with_cpu_seconds(on_all_cores(path, cores), used), **options)
    rows = [
        timing.row(
            million_words_a_second=words / timing.median / 1e6,
            best_s=min(timing.seconds),
            cpu_s=float(np.median(used[name])),
        )
        for name, timing in timings.items()
    ]
    print(table(rows))
    vocab = prepare(path, None, MIN_COUNT).vocab
    settings = {
        "corpus": path.name,
        "bytes": path.stat().st_size,
        "words": words,
        "min_count": MIN_COUNT,
        "report": str(vocab.report),
        "cores": cores,
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return report(
        "pipeline_speed",
        settings,
        rows,
        write=write,
        quick=quick,
        peak_rss_mb_of_all_candidates=peak,
    )


def main() -> None:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, help="a text file; without one a text is generated")
    add("--megabytes", type=int, default=20, help="size of the generated text")
    add("--rounds", type=int, default=5)
    add("--quick", action="store_true", help="5 MB, 3 rounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.megabytes, arguments.rounds = 5, 3
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.corpus or generated(folder, arguments.megabytes)
        run(path, arguments.rounds, arguments.write, arguments.quick)


if __name__ == "__main__":
    main()
