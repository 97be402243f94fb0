"""``w2vjax train`` and ``w2vjax plan``: from text files to vectors on disk."""

import json as json_format
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Optional, get_args

from tyro.conf import OmitArgPrefixes, arg

from w2vjax.cli import arguments
from w2vjax.cli.arguments import Corpus, Holds, Json, Strings, Text, TextOptions, shown
from w2vjax.cli.options import Given, Options, Processes, Saving, given_in, keywords_for, source_of
from w2vjax.cli.output import answer, write_json
from w2vjax.errors import FileError, SettingError
from w2vjax.runs.arguments import Arguments
from w2vjax.training.settings import ModelName, ObjectiveName

_LOG = "log.jsonl.partial"
RESULTS = Holds(("vectors.bin", "model.safetensors", "log.jsonl", "summary.json", _LOG))


def train(
    corpus: Corpus = (),
    /,
    training: OmitArgPrefixes[Options] = Options(),
    *,
    out: Annotated[Path, RESULTS, arg(metavar="FOLDER")] = Path("vectors"),
    text: Text = TextOptions(),
    saving: Annotated[Saving, arguments.together] = Saving(),
    from_: Annotated[Optional[Path], shown("FOLDER", name="from")] = None,
    no_compile_cache: bool = False,
    quiet: bool = False,
    json: Json = None,
    hosts: Annotated[Processes, arguments.together] = Processes(),
) -> int:
    """Train word vectors on text files.

    Examples:
      w2vjax train text.txt --out run
      w2vjax train articles/ more.txt.gz --out run --dim 300 --epochs 3 --model cbow
      w2vjax train text.txt --out run --checkpoint run/checkpoints --resume
      w2vjax train newer.txt --out further --from run
      zcat huge.gz | w2vjax train - --out run
      srun w2vjax train text.txt --out run --distributed

    A text has a sentence or a document on each line, and spaces between words. At the end of a run
    the command writes four files into the folder of --out: vectors.bin (word2vec binary),
    model.safetensors (both tables, vocabulary, settings), log.jsonl and summary.json. During the
    run the log is called log.jsonl.partial. If a run has several processes, process 0 writes.

    The exit code is 0 at the end of a run, and 128 + N if signal N stopped it. Other codes say
    what is wrong: 2 a setting, 3 the corpus, 4 what a file holds, 5 a checkpoint, 6 the run has
    diverged, 7 a file cannot be read or written, 8 another process has failed.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input. Default: the
            built-in text of 84 words.
        out: Folder for the results. It is made if it is not there.
        from_: Go on from the model in this folder. New words of CORPUS join its vocabulary. Model
            and objective are those of the folder, unless they are given.
        no_compile_cache: Keep no compiled programs on disk. They are kept in ~/.cache/w2vjax, or in
            JAX_COMPILATION_CACHE_DIR.
        quiet: Show no progress bar and no summary.
    """
    from w2vjax.devices.compiling import use_compile_cache
    from w2vjax.processes.guard import guarded

    with _connected(hosts), guarded():
        if not no_compile_cache:
            use_compile_cache()
        given = given_in(training)
        if from_ is not None:
            from_, given = _as_in(from_, given)
        keywords = keywords_for(corpus, given)
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


@contextmanager
def _connected(hosts: Processes) -> Iterator[None]:
    """Join the other processes, if there are some. What JAX then prints is not in our output."""
    from w2vjax.processes.connect import connect, libraries_on_stderr

    values = {name: value for name, value in vars(hosts).items() if value is not None}
    if values.pop("distributed"):
        with libraries_on_stderr():
            connect(**values)
            yield
        return
    if values:
        option = min(values).replace("_", "-")
        raise SettingError(f"--{option} is for several processes. Add --distributed.")
    yield


def _train_into(
    out: Path, corpus: Strings, given: Given, keywords: Given, from_: Path | None, progress: bool
) -> Given | None:
    """Train, and write the results if this is the first process. It returns the summary."""
    from w2vjax.files import appearing_together, claimed, removed_if_empty
    from w2vjax.processes.connect import connected, is_first
    from w2vjax.runs import loop
    from w2vjax.runs.arguments import arguments_of
    from w2vjax.runs.checkpoint import checkpoints_in

    # what cannot work is refused before anything is read or made
    asked = arguments_of(keywords)
    checkpoints = checkpoints_in(asked.checkpoint)
    loop.check_arguments(asked, checkpoints)
    if "step_timeout" in given and not connected():
        raise SettingError("--step-timeout is for several processes. Add --distributed.")
    first, log = is_first(), out / _LOG
    with ExitStack() as places:
        if first:
            made = [] if checkpoints is None else [checkpoints.folder]
            places.enter_context(removed_if_empty(*made))
            places.enter_context(claimed(out))
            if log.is_symlink():  # the log would be written where it leads
                raise FileError(f"{log} is a link to {log.resolve()}. Remove it.")
        text = source_of(corpus)
        if from_ is not None:
            text, grown = _grown(from_, text, given, asked)
            keywords = {**keywords, **grown}
        trained = loop.train(text, **keywords, progress=progress, log=log)
        if not first:
            return None
        found = trained.summary
        summary = found | {name: found["settings"][name] for name in ("model", "objective")}
        with appearing_together(out) as place:
            _save(trained, place, summary)
        with suppress(OSError):  # the results are there, and the next run overwrites it
            log.unlink()
    return summary


def plan(
    corpus: Corpus = (),
    /,
    training: OmitArgPrefixes[Options] = Options(),
    *,
    text: Text = TextOptions(),
    json: Json = None,
) -> int:
    """Say how much memory and time a training run will take. The settings are those of train.

    Examples:
      w2vjax plan text.txt --dim 300 --epochs 3
      w2vjax plan text.txt --json -

    The command reads the corpus, compiles the program and times a few steps. It writes no results.

    Args:
        corpus: Files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input. Default: the
            built-in text of 84 words.
        json: Write the plan as JSON to this file, or to standard output for '-'.
    """
    from w2vjax.runs.plan import plan as make

    keywords = keywords_for(corpus, given_in(training))
    result = make(source_of(corpus), **keywords, reading=text.reading(json))
    answer(json, result._asdict(), str(result))
    return 0


def _as_in(folder: Path, given: Given) -> tuple[Path, Given]:
    """The model's file, and the options with the model and objective that it was trained by."""
    from w2vjax.formats.model_file import load_model

    path = folder / "model.safetensors" if os.path.isdir(folder) else folder
    kept = load_model(path).metadata
    names = {}
    for name, known in (("model", ModelName), ("objective", ObjectiveName)):
        names[name] = given.get(name, kept.get(name))
        if names[name] not in get_args(known):
            remedy = f"Pass --{name}: {' or '.join(sorted(get_args(known)))}."
            raise SettingError(f"{path} does not say what it was trained with. {remedy}")
    return path, given | names


def _grown(path: Path, text: Any, given: Given, asked: Arguments) -> tuple[Any, Given]:
    """For going on from a model: the text in ids of the grown vocabulary, and more keywords."""
    from w2vjax.corpus.encode import USUAL_MIN_COUNT
    from w2vjax.formats.continued import continue_from

    for name in ("max_vocab", "cache", "vocab"):
        if name in given:
            raise SettingError(f"--{name.replace('_', '-')} cannot go with --from. Leave one out.")
    least = USUAL_MIN_COUNT if asked.min_count is None else asked.min_count
    trees, reading = asked.objective == "hierarchical", asked.reading_without_results()
    grown, start = continue_from(path, text, least, asked.tokenizer, asked.seed, trees, reading)
    dim = start.input.shape[1]
    if given.get("dim", dim) != dim:
        raise SettingError(f"--dim {given['dim']} differs from the model's {dim}. Leave it out.")
    read = dict.fromkeys(("tokenizer", "min_count", "reading"))  # the text is read already
    return grown, {"start": start, "dim": dim, **read}


def _save(trained: Any, folder: Path, summary: Given) -> None:
    """Write the four files of a run."""
    from w2vjax.files import atomic_file
    from w2vjax.formats.formats import save
    from w2vjax.formats.model_file import save_model

    vocab = trained.vocab
    save(trained.vectors, folder / "vectors.bin")
    tables = trained.params, vocab.words, vocab.counts, summary["settings"]
    save_model(folder / "model.safetensors", *tables, dropped=vocab.dropped)
    with atomic_file(folder / "log.jsonl") as log, atomic_file(folder / "summary.json") as file:
        log.writelines(json_format.dumps(record).encode() + b"\n" for record in trained.history)
        file.write(json_format.dumps(summary, indent=2).encode() + b"\n")


def _sentences(summary: Given, out: Path) -> str:
    """What a run did, for people."""
    loss, base = summary["loss"], summary["untrained_loss"]
    beside = "" if base is None else f"; untrained tables have {base:.4f}"
    lost = f"loss {loss:.4f} nats a positive pair at the end{beside}" if loss is not None else ""
    lines = [
        summary["corpus"],
        f"{summary['words']:,} words in {summary['steps']:,} steps: {summary['train_seconds']:.1f} "
        f"s training ({summary['raw_words_per_second'] / 1e6:.2f} M words/s), "
        f"{summary['corpus_seconds']:.1f} s reading, {summary['compile_seconds']:.1f} s compiling, "
        f"{summary['total_seconds']:.1f} s in all",
        lost or "no pair was left to measure a loss on",
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
