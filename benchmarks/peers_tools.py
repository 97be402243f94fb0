"""The tools that ``peers.py`` runs: their abilities, commands, times and vectors.

A tool is a record of functions. To compare with one more, write its record.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from peers_job import Finished, JobFailed, training_seconds

HERE = Path(__file__).resolve().parent


class Setting(NamedTuple):
    """One run. The same numbers go to every tool; ``rate`` None is the tool's own default."""

    tool: str
    model: str  # sg or cbow
    objective: str  # ns (negative sampling) or hs (hierarchical softmax)
    rate: float | None
    seed: int
    passes: int
    dim: int = 100
    window: int = 5
    negatives: int = 5
    min_count: int = 5
    sample: float = 1e-3
    threads: int = 2
    torch_seconds: float = 120.0


class Trained(NamedTuple):
    """What a finished run says of its training."""

    seconds: float
    words: int | None  # as the tool counted them; None where it does not
    complete: bool = True
    more: Mapping[str, Any] = {}


class Tool(NamedTuple):
    """A tool. Its functions are ``command(setting, corpus, out, program)`` and ``trained``."""

    program: str  # what to run it with if the user names nothing; "" where a path has to be given
    can: tuple[tuple[str, str], ...]  # (model, objective)
    rates: tuple[float | None, ...]  # tried by default
    command: Callable[[Setting, Path, Path, str], list[str]]
    trained: Callable[[Finished, Path], Trained]
    version: Callable[[str], str]
    vectors: str = "vectors.bin"
    about: str = ""


ALL = (("sg", "ns"), ("sg", "hs"), ("cbow", "ns"), ("cbow", "hs"))


def _worker(script: str) -> Callable[[Setting, Path, Path, str], list[str]]:
    def command(setting: Setting, corpus: Path, out: Path, program: str) -> list[str]:
        settings = {**setting._asdict(), "corpus": str(corpus), "out": str(out)}
        return [program, str(HERE / script), json.dumps(settings)]

    return command


def _c_tool(*fixed: str, model: bool) -> Callable[[Setting, Path, Path, str], list[str]]:
    """word2vec.c and its descendants. Paths are relative: their buffers hold 99 bytes."""

    def command(setting: Setting, corpus: Path, out: Path, program: str) -> list[str]:
        hierarchical = setting.objective == "hs"
        options = {
            "train": corpus.name,
            "output": f"{out.name}/vectors.bin",
            "binary": 1,
            "size": setting.dim,
            "window": setting.window,
            "negative": 0 if hierarchical else setting.negatives,
            "sample": setting.sample,
            "min-count": setting.min_count,
            "iter": setting.passes,
            "alpha": setting.rate,
            "threads": setting.threads,
        }
        if model:
            options |= {"cbow": int(setting.model == "cbow"), "hs": int(hierarchical)}
        words = [text for name, value in options.items() for text in (f"-{name}", str(value))]
        return [program, *words, *fixed]

    return command


def _w2vjax(setting: Setting, corpus: Path, out: Path, program: str) -> list[str]:
    options: dict[str, Any] = {
        "out": out,
        "model": {"sg": "skip-gram", "cbow": "cbow"}[setting.model],
        "objective": {"ns": "negative", "hs": "hierarchical"}[setting.objective],
        "dim": setting.dim,
        "window": setting.window,
        "min-count": setting.min_count,
        "sample": setting.sample,
        "epochs": setting.passes,
        "seed": setting.seed,
    }
    if setting.objective == "ns":
        options["negatives"] = setting.negatives
    if setting.rate is not None:
        options["learning-rate"] = setting.rate
    words = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    code = "from w2vjax.cli import main; raise SystemExit(main())"  # what the w2vjax command does
    return [program, "-c", code, "train", str(corpus), *words]


def _from_summary(finished: Finished, out: Path) -> Trained:
    summary = json.loads((out / "summary.json").read_text())
    return Trained(
        summary["train_seconds"], summary["raw_words_trained"], summary.get("complete", True)
    )


def _from_our_summary(finished: Finished, out: Path) -> Trained:
    """Compilation happens once a run and nobody trains without it, so it counts as training."""
    summary = json.loads((out / "summary.json").read_text())
    compiling = summary["compile_seconds"]
    more = {"compile_s": compiling, "summary": summary}
    return Trained(compiling + summary["train_seconds"], summary["words"], more=more)


def _from_progress(finished: Finished, out: Path) -> Trained:
    return Trained(training_seconds(finished.progress), None)


def _python_package(package: str) -> Callable[[str], str]:
    def version(program: str) -> str:
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        done = subprocess.run([program, "-c", code], capture_output=True, text=True)
        if done.returncode != 0:
            raise LookupError(
                f"{package} is not installed; `pip install {package}`, or name a Python that has it"
            )
        return done.stdout.strip()

    return version


def _binary(program: str) -> str:
    if not program:
        raise LookupError("no path to its binary was given")
    if not Path(program).is_file():
        raise LookupError(f"{Path(program).name}: there is no such file")
    return "sha256 " + hashlib.sha256(Path(program).read_bytes()).hexdigest()[:16]


def _sources(program: str) -> str:
    """Version and code digest of the package: a resumed run never mixes two states of it."""
    digest = hashlib.sha256()
    for path in sorted((HERE.parent / "w2vjax").rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{_python_package('w2vjax')(program)} code {digest.hexdigest()[:16]}"


TOOLS: dict[str, Tool] = {
    "gensim": Tool(
        sys.executable,
        ALL,
        (0.05, 0.025),
        _worker("peers_gensim.py"),
        _from_summary,
        _python_package("gensim"),
        about="corpus_file mode; training is model.train()",
    ),
    "w2vjax": Tool(
        sys.executable,
        ALL,
        (None,),
        _w2vjax,
        _from_our_summary,
        _sources,
        about="w2vjax train; training includes compilation",
    ),
    "pWord2Vec": Tool(
        "",
        (("sg", "ns"),),
        (0.05, 0.025),
        _c_tool("-batch-size", "11", model=False),
        _from_progress,
        _binary,
        about="takes no seed: runs differ by the timing of threads",
    ),
    "word2vec.c": Tool(
        "",
        ALL,
        (0.05, 0.025),
        _c_tool(model=True),
        _from_progress,
        _binary,
        about="eof reset between passes; takes no seed: runs differ by the timing of threads",
    ),
    "fastText": Tool(
        sys.executable,
        ALL,
        (0.05, 0.025),
        _worker("peers_fasttext.py"),
        _from_progress,
        _python_package("fasttext"),
        "vectors.txt",
        about="10 threads, no subwords, noise exponent .5, no seed",
    ),
    "PyTorch": Tool(
        sys.executable,
        (("sg", "ns"),),
        (0.001,),
        _worker("peers_torch.py"),
        _from_summary,
        _python_package("torch"),
        about="sparse embeddings and SparseAdam; stopped after --torch-seconds, then without "
        "quality",
    ),
}


def environment(setting: Setting) -> dict[str, str]:
    """Thread counts for libraries that would use every core, equal to the tool's own option."""
    return (
        {"OMP_NUM_THREADS": str(setting.threads), "MKL_NUM_THREADS": "1"}
        if setting.tool != "w2vjax"
        else {}
    )


def check_words(setting: Setting, trained: Trained, corpus: Mapping[str, Any]) -> None:
    """A tool that counts its words has to have trained on the whole corpus, every pass.

    gensim's workers read in batches of 10,000 words: each may be off by one at the end of a pass.
    w2vjax has to be exact, in words of the corpus or in those of the vocabulary.
    """
    if trained.words is None or not trained.complete:
        return
    expected = corpus["words"] * setting.passes
    if setting.tool == "w2vjax":
        right = trained.words in {expected, corpus["kept_words"] * setting.passes}
    else:
        right = (
            abs(trained.words - expected)
            <= 0.01 * expected + 10_000 * setting.threads * setting.passes
        )
    if not right:
        raise JobFailed(
            f"{setting.tool} trained on {trained.words:,} words instead of {expected:,}."
        )
