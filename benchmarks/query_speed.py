"""Vectors in use, against gensim: nearest words, analogies, and reading a file.

    python benchmarks/query_speed.py                    generated vectors, V=100,000, D=300
    python benchmarks/query_speed.py --questions questions-words.txt --write
    python benchmarks/query_speed.py --quick --write    single queries only, V=70,000, D=100

Both candidates get the same vectors. Before anything is timed, they have to give the same answers:
the same words, with similarities within 1e-5; the same number of right answers in each section; the
same words and numbers from the file.

- similarity: 1,000 queries for 10 words each. ``most_similar_batch`` runs once, against a loop over
  ``most_similar``.
- mixed: 1,000 queries of 1 to 6 words for 1 to 50 neighbours. Both run a loop over
  ``most_similar``, on vectors that no batch has used. After a batch the unit vectors lie row after
  row, and one query takes up to twice as long.
- shell: a new process loads a word2vec binary file and answers one query. ``w2vjax nn`` runs
  against a program of three lines.
- train: a new process trains on the built-in text, which says how long a command takes besides its
  work. ``w2vjax train`` has run before, so it finds its compiled programs. It writes four files;
  the program of gensim writes its vectors.
- analogies: 3CosAdd among the 30,000 most frequent words. Gensim takes the same time for each
  question, so it gets every n-th one, ``--peer-questions`` in all. The seconds for one question are
  compared. The first call, with its compilation, is reported too.
- loading: both read a word2vec binary file. It lies in the page cache, as the check has read it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import KeyedVectors
from timing import CheckFailed, check_close, compare, exact_products, report, table

import w2vjax as w2v
from w2vjax.data import machine_learning_text
from w2vjax.formats.formats import load, save

TOLERANCE = 1e-5  # of similarities, in float32: measured 1.5e-7


def generated(V: int, D: int, questions: Path | None) -> w2v.Vectors:
    """Normal vectors of many lengths. The words of the questions are among the first 30,000.

    In each section the second word of a pair is the first one, moved by what the section has in
    common and by noise. So some answers are right and others wrong, and equal counts say something.
    """
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(V)]
    matrix = rng.standard_normal((V, D), np.float32) * rng.uniform(0.5, 3, (V, 1)).astype(
        np.float32
    )
    if questions:
        sections = w2v.evaluation.read_word_analogies(questions).values()
        asked = sorted(
            {word.lower() for part in sections for question in part for word in question}
        )
        rows = dict(
            zip(asked, rng.choice(min(V, 30_000), len(asked), replace=False).tolist(), strict=True)
        )
        for word, row in rows.items():
            words[row] = word
        for part in sections:
            common = 2 * rng.standard_normal(D)
            pairs = {(q[side].lower(), q[side + 1].lower()): None for q in part for side in (0, 2)}
            for left, right in pairs:
                matrix[rows[right]] = matrix[rows[left]] + common + rng.standard_normal(D)
    return w2v.Vectors(words, matrix, np.arange(V, 0, -1))


def generated_questions(folder: str, vectors: w2v.Vectors, number: int) -> Path:
    """Questions whose expected words are partly right: every other one is what 3CosAdd answers."""
    rng = np.random.default_rng(1)
    drawn = rng.choice(min(len(vectors), 30_000), (number, 4), replace=True)
    pool = rng.choice(min(len(vectors), 30_000), 900, replace=False)
    words = np.array(vectors.words)[pool[drawn % len(pool)]]
    batch = vectors.most_similar_batch(
        [[b, c] for _, b, c, _ in words[::2].tolist()],
        [[a] for a, *_ in words[::2].tolist()],
        topn=1,
        restrict_vocab=30_000,
    )
    words[::2, 3] = [answer[0][0] for answer in batch]
    path = Path(folder, "questions.txt")
    path.write_text(
        ": generated\n" + "\n".join(" ".join(question) for question in words.tolist()) + "\n"
    )
    return path


def similarity(
    vectors: w2v.Vectors, peer: KeyedVectors, number: int
) -> dict[str, Callable[[], Any]]:
    queries = [vectors.words[i] for i in np.random.default_rng(2).integers(0, len(vectors), number)]

    def ours() -> Any:
        return vectors.most_similar_batch(queries)

    def theirs() -> Any:
        return [peer.most_similar(word) for word in queries]

    same_answers("similarity", queries, ours(), theirs())
    return {"w2vjax, one batch": ours, "gensim, a loop": theirs}


def same_answers(task: str, queries: list[Any], got: list[Any], expected: list[Any]) -> None:
    """Raise CheckFailed unless both give the same words, with similarities within TOLERANCE."""
    for query, a, b in zip(queries, got, expected, strict=True):
        if [answer for answer, _ in a] != [answer for answer, _ in b]:
            raise CheckFailed(f"{task}: the words for {query!r} differ: {a} and {b}.")
    values = [[value for answer in part for _, value in answer] for part in (got, expected)]
    with exact_products():  # a query asks for them itself, also where it is timed
        worst = check_close(task, *map(np.array, values), TOLERANCE)
    print(f"{task}: the same words, largest difference {worst:.1e}")


def mixed(vectors: w2v.Vectors, peer: KeyedVectors, number: int) -> dict[str, Callable[[], Any]]:
    vectors = w2v.Vectors(vectors.vocab, vectors.matrix)
    rng = np.random.default_rng(3)
    words = [
        [vectors.words[i] for i in rng.integers(0, len(vectors), rng.integers(1, 7))]
        for _ in range(number)
    ]
    queries = list(zip(words, rng.integers(1, 51, number).tolist(), strict=True))

    def ours() -> Any:
        return [vectors.most_similar(words, topn=topn) for words, topn in queries]

    def theirs() -> Any:
        return [peer.most_similar(words, topn=topn) for words, topn in queries]

    same_answers("mixed", queries, ours(), theirs())
    return {"w2vjax, a loop": ours, "gensim, a loop": theirs}


PYTHON = [sys.executable]
NEAREST = """
from gensim.models import KeyedVectors
vectors = KeyedVectors.load_word2vec_format({path!r}, binary=True)
for word, similarity in vectors.most_similar({word!r}): print(word, similarity)
"""
TRAINING = """
from gensim.models import Word2Vec
model = Word2Vec(corpus_file={path!r}, sg=1, negative=5, min_count=1, workers=1)
model.wv.save_word2vec_format({out!r}, binary=True)
"""


def said(*command: str) -> str:
    """What a command writes to standard output."""
    done = subprocess.run([*PYTHON, *command], capture_output=True, text=True)
    if done.returncode:
        raise CheckFailed(f"{command}: {done.stderr}")
    return done.stdout


def shell(vectors: w2v.Vectors, folder: str) -> dict[str, Callable[[], Any]]:
    path, word = str(Path(folder, "vectors.bin")), vectors.words[3]
    save(vectors, path)
    ways = {
        "w2vjax nn": lambda: said("-m", "w2vjax", "nn", path, word),
        "gensim": lambda: said("-c", NEAREST.format(path=path, word=word)),
    }
    got, expected = (
        [line.split()[0] for line in answer().splitlines()[-10:]] for answer in ways.values()
    )
    if got != expected:
        raise CheckFailed(f"shell: the words differ: {got} and {expected}.")
    return ways


def train(folder: str) -> dict[str, Callable[[], Any]]:
    text, out = Path(folder, "built-in.txt"), Path(folder, "trained")
    words = w2v.reference.tokenize(machine_learning_text())
    text.write_text(" ".join(words))
    files = out / "vectors.bin", Path(folder, "gensim.bin")

    def ours() -> None:
        shutil.rmtree(out, ignore_errors=True)
        said("-m", "w2vjax", "train", "--out", str(out))

    def theirs() -> None:
        said("-c", TRAINING.format(path=str(text), out=str(files[1])))

    ours()
    theirs()
    ours()  # the second time
    got, expected = (load(file) for file in files)
    if set(got.words) != set(expected.words) or got.dim != expected.dim:
        raise CheckFailed(f"train: {got} and {expected} are of other words or sizes.")
    return {"w2vjax train": ours, "gensim": theirs}


def every_nth(path: Path, folder: str, number: int) -> Path:
    """A file of about ``number`` questions, evenly from every section."""
    sections = w2v.evaluation.read_word_analogies(path)
    step = max(1, round(sum(map(len, sections.values())) / number))
    if step == 1:
        return path
    lines = []
    for name, part in sections.items():
        lines += [f": {name}", *(" ".join(question) for question in part[::step])]
    sample = Path(folder, "sample.txt")
    sample.write_text("\n".join(lines) + "\n")
    return sample


def analogies(
    vectors: w2v.Vectors, peer: KeyedVectors, path: Path, sample: Path
) -> dict[str, Callable[[], Any]]:
    def ours(path: Path = path) -> Any:
        return w2v.evaluate_word_analogies(vectors, path, 30_000)

    def theirs() -> Any:
        return peer.evaluate_word_analogies(str(sample), 30_000)

    start = time.perf_counter()
    ours()
    print(
        f"analogies: {time.perf_counter() - start:.2f} s for the first call, with the compilation"
    )
    got, expected = ours(sample), theirs()
    right = [len(section["correct"]) for section in expected[1]]
    if [*(part.correct for part in got.sections), got.overall.correct] != right:
        raise CheckFailed(f"analogies: {got} but gensim has {right} right.")
    print(f"analogies: {got.overall.correct} of {got.overall.answered} right, as gensim has it")
    return {"w2vjax": ours, "gensim": theirs}


def loading(vectors: w2v.Vectors, folder: str) -> dict[str, Callable[[], Any]]:
    path = Path(folder, "vectors.bin")
    save(vectors, path)

    def ours() -> Any:
        return load(path)

    def theirs() -> Any:
        return KeyedVectors.load_word2vec_format(str(path), binary=True)

    got, expected = ours(), theirs()
    if list(got.words) != expected.index_to_key or not np.array_equal(got.matrix, expected.vectors):
        raise CheckFailed("loading: the words or the numbers differ.")
    print(f"loading: {path.stat().st_size / 1e6:.0f} MB, equal to the bit")
    return {"w2vjax": ours, "gensim": theirs}


def measure(
    task: str, candidates: Mapping[str, Callable[[], Any]], counts: tuple[int, int], rounds: int
) -> list[dict[str, Any]]:
    """A row for each candidate, which compares the seconds for one of the ``counts`` questions."""
    timings = compare(candidates, rounds=rounds, warmup=0)  # the check has warmed both up
    ours, theirs = timings.values()
    rows = [
        timing.row(task=task, count=count)
        for timing, count in zip((ours, theirs), counts, strict=True)
    ]
    rows[0]["times_faster"] = (theirs.median / counts[1]) / (ours.median / counts[0])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vocab-size", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=300)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument(
        "--questions", type=Path, help="a file of analogies; generated (2,000) by default"
    )
    parser.add_argument(
        "--peer-questions", type=int, default=500, help="how many of them gensim gets, about"
    )
    every = ["similarity", "mixed", "shell", "train", "analogies", "loading"]
    parser.add_argument("--tasks", nargs="+", default=every, choices=every)
    parser.add_argument(
        "--quick", action="store_true", help="only mixed, shell and train, V=70,000, D=100"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--write", action="store_true", help="keep the result under benchmarks/results"
    )
    options = parser.parse_args()
    if options.quick:
        options.tasks = ["mixed", "shell", "train"]
        options.vocab_size, options.dim = 70_000, 100
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="gensim")
    vectors = generated(options.vocab_size, options.dim, options.questions)
    peer = KeyedVectors(vectors.dim)
    peer.add_vectors(list(vectors.words), np.array(vectors.matrix))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        questions = options.questions or generated_questions(folder, vectors, 2000)
        sample = every_nth(questions, folder, options.peer_questions)
        asked, sampled = (
            sum(map(len, w2v.evaluation.read_word_analogies(path).values()))
            for path in (questions, sample)
        )
        tasks: dict[str, tuple[Callable[[], dict[str, Callable[[], Any]]], tuple[int, int]]] = {
            "similarity": (
                lambda: similarity(vectors, peer, options.queries),
                (options.queries,) * 2,
            ),
            "mixed": (lambda: mixed(vectors, peer, options.queries), (options.queries,) * 2),
            "shell": (lambda: shell(vectors, folder), (1, 1)),
            "train": (lambda: train(folder), (1, 1)),
            "analogies": (lambda: analogies(vectors, peer, questions, sample), (asked, sampled)),
            "loading": (lambda: loading(vectors, folder), (1, 1)),
        }
        for task in options.tasks:
            prepare, counts = tasks[task]
            rows += measure(task, prepare(), counts, options.rounds)
            print(table(rows[-2:]), flush=True)
    settings = {"vocab_size": options.vocab_size, "dim": options.dim, "restrict_vocab": 30_000}
    name = "query_speed-quick" if options.quick else "query_speed"
    report(name, settings | {"rounds": options.rounds}, rows, write=options.write)


if __name__ == "__main__":
    main()
