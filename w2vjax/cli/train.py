"""``w2vjax train`` and ``w2vjax plan``: from text files to vectors on disk."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from w2vjax.cli.output import write_json
from w2vjax.errors import FileError, SettingError

Corpus = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS...")]


@dataclass(frozen=True)
class Options:
    """What train and plan have in common."""

    model: Literal["skip-gram", "cbow"] | None = None
    """skip-gram (when not given) predicts the neighbours of a word, cbow a word from the mean of its neighbours."""
    objective: Literal["negative", "hierarchical", "softmax"] | None = None
    """Negative sampling (when not given), hierarchical softmax, or the full softmax (for small vocabularies)."""
    dim: int = 100
    """Numbers in a vector."""
    window: int = 5
    """The most words to either side; each center draws its own reach from 1 to this."""
    epochs: int = 5
    """Passes over the corpus."""
    negatives: int | None = None
    """Negatives that each positive meets: 5."""
    noise_exponent: float | None = None
    """Negatives are drawn from the counts to this power: 0.75."""
    min_count: int | None = None
    """Leave out words seen less often: 5, or 1 for the built-in text."""
    max_vocab: int | None = None
    """Keep this many of the most frequent words."""
    sample: float = 1e-3
    """Threshold for dropping frequent words at random; 0 keeps all."""
    learning_rate: float | None = None
    """Where the linear decay starts; the default was measured for each model and objective."""
    batch_words: int | None = None
    """Words of a step, after subsampling; the default was measured for each model and objective."""
    run: int | None = None
    """Consecutive words that a step reads together, 16 by default; batch-words is a multiple of it."""
    seed: int = 0
    """Everything random follows from it."""
    tokenizer: Literal["whitespace", "post"] = "whitespace"
    """Words between spaces, or the post's: lower case, no punctuation."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the tables."""
    held_out: float = 0.0
    """Share of the corpus, at its end, that is left out of training; its exact loss is reported (of 100,000 words)."""
    replicas: int | None = None
    """Copies of the tables trained side by side; 2 on a CPU for all but small corpora."""
    vocab: Path | None = None
    """A vocabulary file (a word and its count a line) to use as it is, in place of what --min-count would choose."""
    cache: Path | None = None
    """A folder that keeps the encoded corpus for the next run."""
    cbow_sum_gradient: bool = False
    """With --model cbow: word2vec.c's gradient, not divided by the number of neighbours, and its rate of 0.05."""
    deterministic: bool = False
    """Equal bits on a GPU too, at some cost; a CPU's are always equal."""


def train(
    corpus: Corpus = (),
    /,
    training: tyro.conf.OmitArgPrefixes[Options] = Options(),
    *,
    out: Path = Path("vectors"),
    checkpoint: Path | None = None,
    checkpoint_every: float = 60.0,
    resume: bool = False,
    allow: tuple[str, ...] = (),
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    quiet: bool = False,
    json_: Annotated[str | None, tyro.conf.arg(name="json", metavar="FILE|-")] = None,
) -> int:
    """Train word vectors on text: one document or sentence a line, words between spaces.

    Writes OUT/vectors.bin (word2vec binary), OUT/model.safetensors (both tables, vocabulary, settings), OUT/log.jsonl
    and OUT/summary.json. Without CORPUS it trains on the built-in text.

    Examples:
        w2vjax train text.txt --out run1
        w2vjax train articles/ more.txt.gz --out run2 --dim 300 --epochs 3 --model cbow
        zcat huge.gz | w2vjax train - --out run3
        w2vjax train text.txt --out run4 --checkpoint run4/checkpoints --resume
        w2vjax train newer.txt --out run5 --from run1

    Exit codes: 0 done, 2 a setting, 3 the corpus, 5 the checkpoint, 6 diverged, 7 a file, 128 + N stopped by signal N.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input.
        training: Settings of the model and of its training.
        out: Folder for the results, made if need be.
        checkpoint: Folder for checkpoints; SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 then save and leave.
        checkpoint_every: Seconds between checkpoints.
        resume: Go on from the last checkpoint, if there is one.
        allow: Fields that may differ from the checkpoint's, such as "jax version".
        from_: Go on from the model of this folder; new words of this corpus join its vocabulary. Without --model and
            --objective it goes on with those of the folder.
        quiet: No bar and no summary.
        json_: Write the summary as JSON.
    """
    from w2vjax.training.checkpoint import check_saving
    from w2vjax.training.loop import train as run
    from w2vjax.training.settings import Settings

    if from_ is not None:
        from_, training = _as_in(from_, training)
    arguments = _arguments(corpus, training)
    # what cannot work is refused before anything is read or made
    given = {name: arguments[name] for name in Settings._fields if arguments.get(name) is not None}
    Settings(**given).check()
    check_saving(checkpoint, checkpoint_every, resume, allow, 0)
    with _removed_if_empty(out, *([] if checkpoint is None else [checkpoint])):
        try:
            os.makedirs(out, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"{out} cannot be made: {error.strerror}. Name another folder with --out."
            ) from error
        if from_ is not None:
            arguments |= _grown(training, from_, arguments)
        trained = run(**arguments, checkpoint=checkpoint, checkpoint_every=checkpoint_every, resume=resume,
                      allow=allow, progress=not quiet, log=out / "log.jsonl")  # fmt: skip
    summary = {**trained.summary, **{name: arguments[name] for name in ("model", "objective")}}
    _save(trained, out, summary)
    if json_ is not None:
        write_json(json_, summary)
    if not quiet:
        print(_sentences(summary, out), file=sys.stderr if json_ == "-" else sys.stdout)
    return 0


def plan(
    corpus: Corpus = (),
    /,
    training: tyro.conf.OmitArgPrefixes[Options] = Options(),
    *,
    json_: Annotated[str | None, tyro.conf.arg(name="json", metavar="FILE|-")] = None,
) -> int:
    """Say what a training run will take, in memory and time, before it is started. Takes the options of train.

    The corpus is counted and encoded, the program compiled, and a few chunks are timed; nothing is written.

    Examples:
        w2vjax plan text.txt --dim 300 --epochs 3
        w2vjax plan text.txt --json -

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input.
        training: Settings of the model and of its training.
        json_: Write the plan as JSON.
    """
    from w2vjax.training.plan import plan as make

    result = make(**_arguments(corpus, training))
    if json_ is not None:
        write_json(json_, result._asdict())
    if json_ != "-":
        print(result)
    return 0


@contextlib.contextmanager
def _removed_if_empty(*folders: Path) -> Iterator[None]:
    """Where the work fails, remove the folders that were not there before it and have nothing in them."""
    wanted = {place for folder in folders for place in (folder, *folder.parents)}
    missing = sorted((place for place in wanted if not place.exists()), key=lambda place: -len(place.parts))
    try:
        yield
    except BaseException:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def _arguments(corpus: tuple[str, ...], options: Options) -> dict[str, Any]:
    """The options as arguments of :func:`w2vjax.training.loop.train`, under the same names."""
    from w2vjax.objectives.hidden import embed_backward_undivided
    from w2vjax.reference import tokenize
    from w2vjax.vocab import Vocab

    arguments = {field.name: getattr(options, field.name) for field in fields(options)}
    arguments |= {"model": options.model or "skip-gram", "objective": options.objective or "negative"}
    if arguments.pop("cbow_sum_gradient"):
        if arguments["model"] != "cbow":
            raise SettingError(
                f"--cbow-sum-gradient is for --model cbow, and this is {arguments['model']}. Leave it out."
            )
        arguments["embed_backward"] = embed_backward_undivided
    # without CORPUS the text is the post's, and so are its words
    post = arguments["tokenizer"] == "post" or not corpus
    return arguments | {
        "corpus": list(corpus) if len(corpus) > 1 else corpus[0] if corpus else None,
        "min_count": 1 if options.min_count is None and not (corpus or options.vocab) else options.min_count,
        "tokenizer": tokenize if post else None,
        "vocab": None if options.vocab is None else Vocab.load(options.vocab),
    }


def _as_in(folder: Path, options: Options) -> tuple[Path, Options]:
    """The model's file, and the options with the names that it was trained with where none are given."""
    from w2vjax.formats.model_file import load_model
    from w2vjax.training.choices import CHOICES

    path = folder / "model.safetensors" if folder.is_dir() else folder
    kept = load_model(path).metadata
    for at, name in enumerate(("model", "objective")):
        if getattr(options, name) is None:
            known, value = sorted({names[at] for names in CHOICES}), kept.get(name)
            if value not in known:
                raise SettingError(
                    f"{path} does not say what it was trained with. Pass --{name}: {' or '.join(known)}."
                )
            options = replace(options, **{name: value})
    return path, options


def _grown(options: Options, path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    from w2vjax.corpus.encode import USUAL_MIN_COUNT
    from w2vjax.training.continued import continue_from

    for name in ("max_vocab", "cache", "vocab"):
        if getattr(options, name) is not None:
            raise SettingError(f"--{name.replace('_', '-')} cannot go with --from. Leave one of them out.")
    least = USUAL_MIN_COUNT if arguments["min_count"] is None else arguments["min_count"]
    grown, start = continue_from(path, arguments["corpus"], least, arguments["tokenizer"], options.seed,
                                 trees=arguments["objective"] == "hierarchical")  # fmt: skip
    dim = start.input.shape[1]
    if options.dim not in (Options.dim, dim):
        raise SettingError(f"--dim {options.dim} differs from the model's {dim}. Leave it out.")
    return {"corpus": grown, "start": start, "dim": dim, "tokenizer": None}


def _save(trained: Any, out: Path, summary: dict[str, Any]) -> None:
    from w2vjax.files import atomic_file
    from w2vjax.formats.formats import save
    from w2vjax.formats.model_file import save_model

    save(trained.vectors, out / "vectors.bin")
    metadata = {**summary["settings"], "model": summary["model"], "objective": summary["objective"]}
    vocab = trained.vocab
    save_model(
        out / "model.safetensors", trained.params, vocab.words, vocab.counts, metadata, dropped=vocab.dropped
    )
    with atomic_file(out / "summary.json") as file:
        file.write(json.dumps(summary, indent=2).encode() + b"\n")


def _beside(untrained: float | None) -> str:
    return "" if untrained is None else f"; untrained tables have {untrained:.4f}"


def _sentences(summary: dict[str, Any], out: Path) -> str:
    loss = summary["loss"]
    lines = [
        summary["corpus"],
        f"{summary['words']:,} words in {summary['steps']:,} steps: {summary['train_seconds']:.1f} s training "
        f"({summary['raw_words_per_second'] / 1e6:.2f} M words/s), {summary['corpus_seconds']:.1f} s reading, "
        f"{summary['compile_seconds']:.1f} s compiling, {summary['total_seconds']:.1f} s in all",
        "no pair was left to measure a loss on"
        if loss is None
        else f"loss {loss:.4f} nats a positive pair at the end" + _beside(summary["untrained_loss"]),
    ]
    if "held_out" in summary:
        held = summary["held_out"]
        lines.append(
            "no pair was held out: use a larger --held-out"
            if held["loss"] is None
            else f"held out: {held['loss']:.4f} nats a pair; the unigram distribution has {held['unigram_loss']:.4f}"
        )
    lines.append(f"wrote vectors.bin, model.safetensors, log.jsonl and summary.json to {out}")
    return "\n".join(lines)
