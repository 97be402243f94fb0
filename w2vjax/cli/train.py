"""``w2vjax train`` and ``w2vjax plan``: from text files to vectors on disk."""

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from tyro.conf import OmitArgPrefixes, arg

from w2vjax.cli.arguments import AS_USUAL, Corpus, Files, NewFileOrOutput, Text, together
from w2vjax.cli.output import write_json
from w2vjax.errors import SettingError
from w2vjax.runs.arguments import Arguments
from w2vjax.training.settings import ModelName, ObjectiveName, Settings

Folder = Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")]


def _option(setting: Any, kind: Any, about: str = "") -> tuple[str, Any, Any]:
    """A field of :class:`Options`. It is None or False if the option is not given.

    The help shows the default of the setting itself.
    """
    usual = setting.default
    default = "" if usual is None or usual is False else f"(default: {usual})"
    names = "{" + ",".join(get_args(kind)) + "}" if get_args(kind) else None
    metavar = names or {int: "N", float: "X", bool: None, Path: "PATH"}[kind]
    about = about or setting.metadata["about"]
    shown = arg(help=about, help_behavior_hint=default, metavar=metavar)
    if kind is bool:
        return setting.name, Annotated[bool, shown], field(default=False)
    return setting.name, Annotated[kind | None, shown], field(default=None)


# What train takes beside the settings: its type on the command line, and its sentence if that of
# the Python argument does not fit.
_POST = "whitespace: words between spaces. post: the post's words, lower case, no punctuation."
_VOCAB = "A file with a word and its count a line. It replaces the choice by --min-count."
_BESIDE: dict[str, tuple[Any, ...]] = {
    "tokenizer": (Literal["whitespace", "post"], _POST),
    "vocab": (Path, _VOCAB),
    "cache": (Path,),
    "devices": (int,),
    "step_timeout": (float,),
    "deterministic": (bool,),
}
_SETTINGS = [_option(setting, setting.metadata["kind"]) for setting in fields(Settings)]
_OTHERS = [_option(each, *_BESIDE[each.name]) for each in fields(Arguments) if each.name in _BESIDE]
_SUM = (
    "With --model cbow: word2vec.c's gradient, not divided by the number of neighbours, and its "
    "rate of 0.05."
)
_UNDIVIDED = Annotated[bool, arg(help=_SUM, help_behavior_hint="")]
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


@dataclass(frozen=True)
class Processes:
    """Several processes, which the same command starts on every host.

    Args:
        distributed: Train one model by several processes. SLURM, Open MPI and Cloud TPU say which.
            Elsewhere the next three options do.
        coordinator: An address of process 0 that all processes reach.
        processes: How many processes there are.
        process: The number of this process, from 0.
        start_timeout: Seconds within which all processes have to come.
        heartbeat: Seconds after which a silent process is taken to be dead.
    """

    distributed: bool = False
    coordinator: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    processes: Annotated[int | None, arg(metavar="N")] = None
    process: Annotated[int | None, arg(metavar="I")] = None
    start_timeout: float = 300.0
    heartbeat: float = 100.0


_ALONE = Processes()


@dataclass(frozen=True)
class Saving:
    """The checkpoints of a run.

    Args:
        checkpoint: Folder for checkpoints. With it, Ctrl-C (SIGINT), SIGTERM and SIGUSR1 save one
            before the command ends.
        checkpoint_every: Seconds between checkpoints.
        resume: Go on from the last checkpoint, if there is one.
        allow: Fields that may differ from the checkpoint's, such as "jax version".
    """

    checkpoint: Folder = None
    checkpoint_every: float = 60.0
    resume: bool = False
    allow: Annotated[tuple[str, ...], arg(metavar="FIELD ...", help_behavior_hint="")] = ()

    def checkpoints(self) -> Any:
        """The value of train's ``checkpoint``. Without a folder, other options are refused."""
        from w2vjax.runs.checkpoint import Checkpoints

        if self.checkpoint is not None:
            return Checkpoints(self.checkpoint, self.checkpoint_every, self.resume, self.allow)
        for name, given in (("--resume", self.resume), ("--allow", self.allow)):
            if given:
                raise SettingError(
                    f"{name} is for going on from a checkpoint, and no folder is named. Name it "
                    "with --checkpoint."
                )
        return None


_UNSAVED = Saving()


def train(
    corpus: Corpus = (),
    /,
    training: OmitArgPrefixes[Options] = _NONE_GIVEN,
    *,
    hosts: Annotated[Processes, together] = _ALONE,
    out: Annotated[Path, Files.FOLDER, arg(metavar="FOLDER")] = Path("vectors"),
    text: Text = AS_USUAL,
    saving: Annotated[Saving, together] = _UNSAVED,
    from_: Annotated[Folder, arg(name="from")] = None,
    no_compile_cache: bool = False,
    quiet: bool = False,
    json: NewFileOrOutput = None,
) -> int:
    """Train word vectors on text files.

    Examples:
      w2vjax train text.txt --out run
      w2vjax train articles/ more.txt.gz --out run --dim 300 --epochs 3 --model cbow
      w2vjax train text.txt --out run --checkpoint run/checkpoints --resume
      w2vjax train newer.txt --out further --from run
      zcat huge.gz | w2vjax train - --out run
      srun w2vjax train text.txt --out run --distributed

    A text has one document or sentence a line, and spaces between words. At its end the command
    writes four files into the folder of --out: vectors.bin (word2vec binary), model.safetensors
    (both tables, vocabulary, settings), log.jsonl and summary.json. While it trains, the log is
    called log.jsonl.partial. The built-in text has 84 words.

    The exit code is 0 at the end of a run, and 128 + N if signal N stopped it. Other codes say
    what is wrong: 2 a setting, 3 the corpus, 4 what a file holds, 5 a checkpoint, 6 the run has
    diverged, 7 a file cannot be read or written, 8 another process has failed.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input. Default: the
            built-in text.
        training: Settings of the model and of its training.
        hosts: Several processes, on one host or on many. Process 0 alone writes results.
        out: Folder for the results. It is made if it is not there.
        text: How its bytes are read.
        saving: Where and when checkpoints are saved.
        from_: Go on from the model in this folder. New words of CORPUS join its vocabulary. Model
            and objective are those of the folder, unless they are given.
        no_compile_cache: Keep no compiled programs on disk. They are kept in ~/.cache/w2vjax, or in
            JAX_COMPILATION_CACHE_DIR.
        quiet: Show no progress bar and no summary.
        json: Write the summary as JSON to this file, or to standard output for '-'.
    """
    from w2vjax.devices.compiling import use_compile_cache
    from w2vjax.runs.processes import guarded

    _connect(hosts)
    with guarded(hosts.heartbeat):
        if not no_compile_cache:
            use_compile_cache()
        given = _given(training)
        if from_ is not None:
            from_, given = _as_in(from_, given)
        keywords = _keywords(corpus, given)
        keywords["reading"] = text.reading(out, saving.checkpoint, json)
        keywords["checkpoint"] = saving.checkpoints()
        summary = _train_into(out, corpus, given, keywords, from_, not quiet)
    if summary is None:  # process 0 has the results
        return 0
    if json is not None:
        write_json(json, summary)
    if not quiet:
        print(_sentences(summary, out), file=sys.stderr if json == "-" else sys.stdout)
    return 0


def _connect(hosts: Processes) -> None:
    """Join the other processes, if there are some."""
    from w2vjax.runs.processes import connect

    values = vars(hosts).copy()
    if values.pop("distributed"):
        connect(**values)
    for name in ("coordinator", "processes", "process"):
        if not hosts.distributed and values[name] is not None:
            raise SettingError(f"--{name} is for several processes. Add --distributed.")


def _train_into(
    out: Path,
    corpus: tuple[str, ...],
    given: dict[str, Any],
    keywords: dict[str, Any],
    from_: Path | None,
    progress: bool,
) -> dict[str, Any] | None:
    """Train, and write the results if this is the first process. It returns the summary."""
    from w2vjax.files import appearing_together, claimed, removed_if_empty
    from w2vjax.runs.arguments import arguments_of
    from w2vjax.runs.checkpoint import checkpoints_in
    from w2vjax.runs.loop import check_arguments
    from w2vjax.runs.loop import train as run
    from w2vjax.runs.processes import is_first

    # what cannot work is refused before anything is read or made
    asked = arguments_of(keywords)
    checkpoints = checkpoints_in(asked.checkpoint)
    check_arguments(asked, checkpoints)
    first, log = is_first(), out / "log.jsonl.partial"
    with ExitStack() as places:
        if first:
            made = [] if checkpoints is None else [checkpoints.folder]
            places.enter_context(removed_if_empty(*made))
            places.enter_context(claimed(out))
        text = _source(corpus)
        if from_ is not None:
            text, grown = _grown(from_, text, given, asked)
            keywords = {**keywords, **grown}
        trained = run(text, **keywords, progress=progress, log=log)
        if not first:
            return None
        names = trained.summary["settings"]
        summary = {**trained.summary, "model": names["model"], "objective": names["objective"]}
        with appearing_together(out) as place:
            _save(trained, place, summary)
        log.unlink(missing_ok=True)
    return summary


def plan(
    corpus: Corpus = (),
    /,
    training: OmitArgPrefixes[Options] = _NONE_GIVEN,
    *,
    text: Text = AS_USUAL,
    json: NewFileOrOutput = None,
) -> int:
    """Say how much memory and time a training run will take. The settings are those of train.

    Examples:
      w2vjax plan text.txt --dim 300 --epochs 3
      w2vjax plan text.txt --json -

    The command counts and encodes the corpus, compiles the program and times a few steps of it.
    It writes no results.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input. Default: the
            built-in text.
        training: Settings of the model and of its training.
        text: How its bytes are read.
        json: Write the plan as JSON to this file, or to standard output for '-'.
    """
    from w2vjax.runs.plan import plan as make

    keywords = _keywords(corpus, _given(training))
    result = make(_source(corpus), **keywords, reading=text.reading(json))
    if json is not None:
        write_json(json, result._asdict())
    if json != "-":
        print(result)
    return 0


def _source(corpus: tuple[str, ...]) -> Any:
    return list(corpus) if len(corpus) > 1 else corpus[0] if corpus else None


def _given(options: Options) -> dict[str, Any]:
    """The options that were given on the command line."""
    given = vars(options).items()
    return {name: value for name, value in given if value is not None and value is not False}


def _keywords(corpus: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Keywords of :func:`w2vjax.runs.loop.train` from the options that were given."""
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


def _as_in(folder: Path, given: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The model's file, and the options with the model and objective that it was trained by."""
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
    """For going on from a model: the text in ids of the grown vocabulary, and more keywords."""
    from w2vjax.corpus.encode import USUAL_MIN_COUNT
    from w2vjax.runs.continued import continue_from

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
    read = dict.fromkeys(("tokenizer", "min_count", "reading"))  # the text is read already
    return grown, {"start": start, "dim": dim, **read}


def _save(trained: Any, folder: Path, summary: dict[str, Any]) -> None:
    """Write the four files of a run."""
    from w2vjax.files import atomic_file
    from w2vjax.formats.formats import save
    from w2vjax.formats.model_file import save_model

    vocab = trained.vocab
    metadata = {**summary["settings"], "model": summary["model"], "objective": summary["objective"]}
    save(trained.vectors, folder / "vectors.bin")
    save_model(
        folder / "model.safetensors",
        trained.params,
        vocab.words,
        vocab.counts,
        metadata,
        dropped=vocab.dropped,
    )
    with atomic_file(folder / "log.jsonl") as log, atomic_file(folder / "summary.json") as file:
        log.writelines(json.dumps(record).encode() + b"\n" for record in trained.history)
        file.write(json.dumps(summary, indent=2).encode() + b"\n")


def _sentences(summary: dict[str, Any], out: Path) -> str:
    """What a run did, for people."""
    loss, untrained = summary["loss"], summary["untrained_loss"]
    beside = "" if untrained is None else f"; untrained tables have {untrained:.4f}"
    lines = [
        summary["corpus"],
        f"{summary['words']:,} words in {summary['steps']:,} steps: {summary['train_seconds']:.1f} "
        f"s training ({summary['raw_words_per_second'] / 1e6:.2f} M words/s), "
        f"{summary['corpus_seconds']:.1f} s reading, {summary['compile_seconds']:.1f} s compiling, "
        f"{summary['total_seconds']:.1f} s in all",
        "no pair was left to measure a loss on"
        if loss is None
        else f"loss {loss:.4f} nats a positive pair at the end{beside}",
    ]
    lines += filter(None, [summary["advice"]])
    if held := summary.get("held_out"):
        lines.append(
            "no pair was held out: use a larger --held-out"
            if held["loss"] is None
            else f"held out: {held['loss']:.4f} nats a pair; the unigram distribution has "
            f"{held['unigram_loss']:.4f}"
        )
    lines.append(f"wrote vectors.bin, model.safetensors, log.jsonl and summary.json to {out}")
    return "\n".join(lines)
