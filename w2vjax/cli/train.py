"""``w2vjax train`` and ``w2vjax plan``: from text files to vectors on disk."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro

from w2vjax.cli.output import write_json
from w2vjax.corpus.sources import Reading
from w2vjax.errors import FileError, SettingError
from w2vjax.training.arguments import Arguments
from w2vjax.training.settings import ModelName, ObjectiveName, Settings

Corpus = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS...")]


def _option(setting: Any, kind: Any, about: str = "") -> tuple[str, Any, Any]:
    """A field of :class:`Options`. None says that nothing was given; the help shows the setting's
    own default.
    """
    default = (
        ""
        if setting.default is None or setting.default is False
        else f"(default: {setting.default})"
    )
    names = "{" + ",".join(get_args(kind)) + "}" if get_args(kind) else None
    metavar = names or {int: "N", float: "X", bool: None, Path: "PATH"}[kind]
    about = about or setting.metadata["about"]
    shown = tyro.conf.arg(help=about, help_behavior_hint=default, metavar=metavar)
    if kind is bool:
        return setting.name, Annotated[bool, shown], field(default=False)
    return setting.name, Annotated[kind | None, shown], field(default=None)


# What train takes beside the settings: the type on the command line, and the sentence where a value
# is another one.
_BESIDE: dict[str, tuple[Any, ...]] = {
    "tokenizer": (
        Literal["whitespace", "post"],
        "whitespace: words between spaces. post: the post's words, lower case without punctuation.",
    ),
    "vocab": (
        Path,
        "A vocabulary file, a word and its count a line, to use instead of the words that "
        "--min-count would choose.",
    ),
    "cache": (Path,),
    "deterministic": (bool,),
}
_SETTINGS = [_option(setting, setting.metadata["kind"]) for setting in fields(Settings)]
_OTHERS = [_option(each, *_BESIDE[each.name]) for each in fields(Arguments) if each.name in _BESIDE]
_UNDIVIDED = Annotated[
    bool,
    tyro.conf.arg(
        help="With --model cbow: word2vec.c's gradient, not divided by the number of neighbours, "
        "and its rate of 0.05.",
        help_behavior_hint="",
    ),
]
if TYPE_CHECKING:
    Options = argparse.Namespace
else:
    Options = make_dataclass(
        "Options",
        [*_SETTINGS, *_OTHERS, ("cbow_sum_gradient", _UNDIVIDED, field(default=False))],
        frozen=True,
    )
    Options.__doc__ = "Every setting, from the one place where it is written."
_NONE_GIVEN = Options()


def train(
    corpus: Corpus = (),
    /,
    training: tyro.conf.OmitArgPrefixes[Options] = _NONE_GIVEN,
    *,
    out: Path = Path("vectors"),
    encoding: str = "utf-8",
    invalid: Literal["strict", "replace"] = "strict",
    checkpoint: Path | None = None,
    checkpoint_every: float = 60.0,
    resume: bool = False,
    allow: tuple[str, ...] = (),
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    quiet: bool = False,
    json_: Annotated[str | None, tyro.conf.arg(name="json", metavar="FILE|-")] = None,
) -> int:
    """Train word vectors on text files.

    Examples:
      w2vjax train text.txt --out run
      w2vjax train articles/ more.txt.gz --out run --dim 300 --epochs 3 --model cbow
      w2vjax train text.txt --out run --checkpoint run/checkpoints --resume
      w2vjax train newer.txt --out further --from run
      zcat huge.gz | w2vjax train - --out run

    A text has one document or sentence a line, and spaces between words. The command writes
    OUT/vectors.bin (word2vec binary), OUT/model.safetensors (both tables, vocabulary, settings),
    OUT/log.jsonl and OUT/summary.json. Without CORPUS it trains on a built-in text of 84 words.

    Exit codes: 0 done, 2 a setting, 3 the corpus, 5 the checkpoint, 6 diverged, 7 a file, 128 + N
    stopped by signal N.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input.
        training: Settings of the model and of its training.
        out: Folder for the results, made if need be. A folder of text is read without it.
        encoding: Encoding of the text, such as latin-1, cp1252 or utf-16.
        invalid: strict: invalid bytes are an error. replace: U+FFFD takes their place.
        checkpoint: Folder for checkpoints; SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 then save and
            leave.
        checkpoint_every: Seconds between checkpoints.
        resume: Go on from the last checkpoint, if there is one.
        allow: Fields that may differ from the checkpoint's, such as "jax version".
        from_: Go on from the model of this folder; new words of this corpus join its vocabulary.
            Without --model and --objective it goes on with those of the folder.
        quiet: No bar and no summary.
        json_: Write the summary as JSON.
    """
    from w2vjax.training.arguments import arguments_of
    from w2vjax.training.checkpoint import checkpoints_in
    from w2vjax.training.loop import check_arguments
    from w2vjax.training.loop import train as run

    given = _given(training)
    if from_ is not None:
        from_, given = _as_in(from_, given)
    keywords = _keywords(corpus, given)
    keywords["reading"] = Reading(invalid, encoding=encoding).without(out, checkpoint, json_)
    keywords["checkpoint"] = _checkpoints(checkpoint, checkpoint_every, resume, allow)
    # what cannot work is refused before anything is read or made
    asked = arguments_of(keywords)
    check_arguments(asked, checkpoints_in(asked.checkpoint))
    with _removed_if_empty(out, *([] if checkpoint is None else [checkpoint])):
        try:
            os.makedirs(out, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"{out} cannot be made: {error.strerror}. Name another folder with --out."
            ) from error
        text = _source(corpus)
        if from_ is not None:
            text, grown = _grown(from_, text, given, asked)
            keywords = {**keywords, **grown}
        trained = run(text, **keywords, progress=not quiet, log=out / "log.jsonl")
    names = trained.summary["settings"]
    summary = {**trained.summary, "model": names["model"], "objective": names["objective"]}
    _save(trained, out, summary)
    if json_ is not None:
        write_json(json_, summary)
    if not quiet:
        print(_sentences(summary, out), file=sys.stderr if json_ == "-" else sys.stdout)
    return 0


def plan(
    corpus: Corpus = (),
    /,
    training: tyro.conf.OmitArgPrefixes[Options] = _NONE_GIVEN,
    *,
    encoding: str = "utf-8",
    invalid: Literal["strict", "replace"] = "strict",
    json_: Annotated[str | None, tyro.conf.arg(name="json", metavar="FILE|-")] = None,
) -> int:
    """Say what a training run will take, in memory and time, before it is started. Takes the
    settings of train.

    Examples:
      w2vjax plan text.txt --dim 300 --epochs 3
      w2vjax plan text.txt --json -

    The command counts and encodes the corpus, compiles the program and times a few chunks. It
    writes nothing.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input.
        training: Settings of the model and of its training.
        encoding: Encoding of the text, such as latin-1, cp1252 or utf-16.
        invalid: strict: invalid bytes are an error. replace: U+FFFD takes their place.
        json_: Write the plan as JSON.
    """
    from w2vjax.training.plan import plan as make

    reading = Reading(invalid, encoding=encoding).without(json_)
    result = make(_source(corpus), **_keywords(corpus, _given(training)), reading=reading)
    if json_ is not None:
        write_json(json_, result._asdict())
    if json_ != "-":
        print(result)
    return 0


@contextlib.contextmanager
def _removed_if_empty(*folders: Path) -> Iterator[None]:
    """Where the work fails, remove the folders that were not there before it and have nothing in
    them.
    """
    wanted = {place for folder in folders for place in (folder, *folder.parents)}
    missing = sorted(
        (place for place in wanted if not place.exists()), key=lambda place: -len(place.parts)
    )
    try:
        yield
    except BaseException:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def _source(corpus: tuple[str, ...]) -> Any:
    return list(corpus) if len(corpus) > 1 else corpus[0] if corpus else None


def _given(options: Options) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {
        name: value
        for name, value in vars(options).items()
        if value is not None and value is not False
    }


def _keywords(corpus: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Keywords of :func:`w2vjax.training.loop.train` from the options that were given."""
    from w2vjax.objectives.hidden import embed_backward_undivided
    from w2vjax.reference import tokenize
    from w2vjax.vocab import Vocab

    keywords = dict(given)
    if keywords.pop("cbow_sum_gradient", False):
        if given.get("model") != "cbow":
            raise SettingError(
                "--cbow-sum-gradient is for --model cbow, and this is "
                f"{given.get('model', Settings.model)}. Leave it out."
            )
        keywords["embed_backward"] = embed_backward_undivided
    # without CORPUS the text is the post's, and so are its words
    tokenizer = keywords.pop("tokenizer", None)
    if tokenizer == "post" or not corpus:
        keywords["tokenizer"] = tokenize
    if "vocab" in given:
        keywords["vocab"] = Vocab.load(given["vocab"])
    elif not corpus:
        keywords.setdefault("min_count", 1)
    return keywords


def _checkpoints(folder: Path | None, every: float, resume: bool, allow: tuple[str, ...]) -> Any:
    """The value of train's ``checkpoint``. Refuses options that have no effect without a folder."""
    from w2vjax.training.checkpoint import Checkpoints

    if folder is not None:
        return Checkpoints(folder, every, resume, allow)
    for name, given in (("--resume", resume), ("--allow", allow)):
        if given:
            raise SettingError(
                f"{name} is for going on from a checkpoint, and no folder is named. Name it with "
                "--checkpoint."
            )
    return None


def _as_in(folder: Path, given: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The model's file, and the options with the names that it was trained with where none are
    given.
    """
    from w2vjax.formats.model_file import load_model

    path = folder / "model.safetensors" if folder.is_dir() else folder
    kept = load_model(path).metadata
    names = {}
    for name, known in (("model", get_args(ModelName)), ("objective", get_args(ObjectiveName))):
        names[name] = given.get(name, kept.get(name))
        if names[name] not in known:
            raise SettingError(
                f"{path} does not say what it was trained with. Pass --{name}: "
                f"{' or '.join(sorted(known))}."
            )
    return path, given | names


def _grown(
    path: Path, text: Any, given: dict[str, Any], asked: Arguments
) -> tuple[Any, dict[str, Any]]:
    """(the new text by the words of both, the keywords that go with it) for going on from a model."""
    from w2vjax.corpus.encode import USUAL_MIN_COUNT
    from w2vjax.training.continued import continue_from

    for name in ("max_vocab", "cache", "vocab"):
        if name in given:
            raise SettingError(
                f"--{name.replace('_', '-')} cannot go with --from. Leave one of them out."
            )
    least = USUAL_MIN_COUNT if asked.min_count is None else asked.min_count
    grown, start = continue_from(
        path,
        text,
        least,
        asked.tokenizer,
        asked.seed,
        trees=asked.objective == "hierarchical",
        reading=asked.reading_without_results(),
    )
    dim = start.input.shape[1]
    if given.get("dim", dim) != dim:
        raise SettingError(f"--dim {given['dim']} differs from the model's {dim}. Leave it out.")
    return grown, {"start": start, "dim": dim, "tokenizer": None, "min_count": None}


def _save(trained: Any, out: Path, summary: dict[str, Any]) -> None:
    from w2vjax.files import atomic_file
    from w2vjax.formats.formats import save
    from w2vjax.formats.model_file import save_model

    save(trained.vectors, out / "vectors.bin")
    metadata = {**summary["settings"], "model": summary["model"], "objective": summary["objective"]}
    vocab = trained.vocab
    save_model(
        out / "model.safetensors",
        trained.params,
        vocab.words,
        vocab.counts,
        metadata,
        dropped=vocab.dropped,
    )
    with atomic_file(out / "summary.json") as file:
        file.write(json.dumps(summary, indent=2).encode() + b"\n")


def _beside(untrained: float | None) -> str:
    return "" if untrained is None else f"; untrained tables have {untrained:.4f}"


def _sentences(summary: dict[str, Any], out: Path) -> str:
    loss = summary["loss"]
    lines = [
        summary["corpus"],
        f"{summary['words']:,} words in {summary['steps']:,} steps: {summary['train_seconds']:.1f} "
        f"s training ({summary['raw_words_per_second'] / 1e6:.2f} M words/s), "
        f"{summary['corpus_seconds']:.1f} s reading, {summary['compile_seconds']:.1f} s compiling, "
        f"{summary['total_seconds']:.1f} s in all",
        "no pair was left to measure a loss on"
        if loss is None
        else f"loss {loss:.4f} nats a positive pair at the end"
        + _beside(summary["untrained_loss"]),
    ]
    if "held_out" in summary:
        held = summary["held_out"]
        lines.append(
            "no pair was held out: use a larger --held-out"
            if held["loss"] is None
            else f"held out: {held['loss']:.4f} nats a pair; the unigram distribution has "
            f"{held['unigram_loss']:.4f}"
        )
    lines.append(f"wrote vectors.bin, model.safetensors, log.jsonl and summary.json to {out}")
    return "\n".join(lines)
