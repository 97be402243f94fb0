"""The options of ``w2vjax train`` and ``plan``, and the keywords that they stand for.

The options are the fields of Settings and some of Arguments. So each is written in one place.
"""

import argparse
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypeAlias, get_args

from tyro.conf import arg

from w2vjax.cli.arguments import Strings, refuse_stream, shown
from w2vjax.errors import SettingError
from w2vjax.runs.arguments import Arguments
from w2vjax.training.settings import Settings

if TYPE_CHECKING:
    from w2vjax.runs.checkpoint import Checkpoints

Given: TypeAlias = dict[str, Any]  # options or keywords by name


def _option(setting: Any, kind: Any, about: str = "") -> tuple[str, Any, Any]:
    """A field of :class:`Options`: None or False if it is not given. The help shows the default."""
    usual = setting.default
    default = "" if usual is None or usual is False else f"(default: {usual})"
    names = "{" + ",".join(get_args(kind)) + "}" if get_args(kind) else None
    metavar = names or {int: "N", float: "X", bool: None, str: "TEXT", Path: "PATH"}[kind]
    about = about or setting.metadata["about"]
    told = arg(help=about, help_behavior_hint=default, metavar=metavar)
    if kind is bool:
        return setting.name, Annotated[bool, told], field(default=False)
    return setting.name, Annotated[Optional[kind], told], field(default=None)


# What train takes beside the settings: its type on the command line, and its sentence if that of
# the Python argument does not fit.
_POST = "whitespace: words between spaces. post: the post's words, lower case, no punctuation."
_VOCAB = (
    "The vocabulary: a file with a word and its count on each line. Without it, --min-count "
    "chooses the words."
)
_KINDS = {
    "cache": Path,
    "devices": int,
    "step_timeout": float,
    "deterministic": bool,
    "log_every": str,  # a number of seconds, or a number and a unit
}
_BESIDE: dict[str, tuple[Any, ...]] = {
    "tokenizer": (Literal["whitespace", "post"], _POST),
    "vocab": (Path, _VOCAB),
    **{name: (kind,) for name, kind in _KINDS.items()},
}
_SETTINGS = [_option(setting, setting.metadata["kind"]) for setting in fields(Settings)]
_OTHERS = [_option(each, *_BESIDE[each.name]) for each in fields(Arguments) if each.name in _BESIDE]
_SUM = (
    "With --model cbow: word2vec.c's gradient, not divided by the number of neighbours, and its "
    "rate of 0.05."
)
_UNDIVIDED = ("cbow_sum_gradient", Annotated[bool, shown(about=_SUM)], field(default=False))
if TYPE_CHECKING:
    Options = argparse.Namespace
else:
    Options = make_dataclass("Options", [*_SETTINGS, *_OTHERS, _UNDIVIDED], frozen=True)
    Options.__doc__ = "Every setting, from the one place where it is written."


@dataclass(frozen=True)
class Processes:
    """Several processes, which the same command starts on every host.

    Args:
        distributed: Train one model by several processes. On SLURM, Open MPI and Cloud TPU they
            find each other. Elsewhere give the next three options to each process.
        coordinator: An address of process 0 that all processes reach.
        processes: How many processes there are.
        process: The number of this process, from 0.
        start_timeout: Seconds within which all processes have to connect. Default: 300.
        heartbeat: Seconds of silence after which a process counts as dead. Default: 100.
    """

    distributed: bool = False
    coordinator: Annotated[Optional[str], arg(metavar="HOST:PORT")] = None
    processes: Annotated[Optional[int], arg(metavar="N")] = None
    process: Annotated[Optional[int], arg(metavar="I")] = None
    start_timeout: Optional[float] = None
    heartbeat: Optional[float] = None


@dataclass(frozen=True)
class Saving:
    """The checkpoints of a run.

    Args:
        checkpoint: Folder for checkpoints. Ctrl-C, SIGTERM and SIGUSR1 save one, then end the run.
        checkpoint_every: Seconds between checkpoints. Default: 60.
        resume: Go on from the last checkpoint, if there is one.
        allow: Fields that may differ from the checkpoint's, such as "jax version".
    """

    checkpoint: Annotated[Optional[Path], shown("FOLDER")] = None
    checkpoint_every: Optional[float] = None
    resume: bool = False
    allow: Annotated[Strings, shown("FIELD ...")] = ()

    def checkpoints(self) -> "Checkpoints | None":
        """The value of train's ``checkpoint``. Without a folder, other options are refused."""
        from w2vjax.runs.checkpoint import Checkpoints

        refuse_stream(self.checkpoint)
        if self.checkpoint is not None:
            every = 60.0 if self.checkpoint_every is None else self.checkpoint_every
            return Checkpoints(self.checkpoint, every, self.resume, self.allow)
        if given := vars(self).items() - vars(Saving()).items():
            name = min(given)[0].replace("_", "-")
            raise SettingError(f"--{name} needs a folder. Name it with --checkpoint.")
        return None


def source_of(corpus: Strings) -> Any:
    return list(corpus) if len(corpus) > 1 else corpus[0] if corpus else None


def given_in(options: Options) -> Given:
    """The options that were given on the command line."""
    given = vars(options).items()
    return {name: value for name, value in given if value is not None and value is not False}


def keywords_for(corpus: Strings, given: Given) -> Given:
    """Keywords of :func:`w2vjax.runs.loop.train` from the options that were given."""
    from w2vjax.objectives.hidden import embed_backward_undivided
    from w2vjax.reference import tokenize
    from w2vjax.vocab import Vocab

    keywords = dict(given)
    refuse_stream(given.get("cache"))
    if keywords.pop("cbow_sum_gradient", False):
        if (model := given.get("model", Settings.model)) != "cbow":
            cause = f"--cbow-sum-gradient is for --model cbow, and this is {model}"
            raise SettingError(f"{cause}. Leave it out.")
        keywords["embed_backward"] = embed_backward_undivided
    # Without CORPUS the text is the post's, and it is cut into words as the post does it.
    if keywords.pop("tokenizer", None) == "post" or not corpus:
        keywords["tokenizer"] = tokenize
    if "vocab" in given:
        keywords["vocab"] = Vocab.load(given["vocab"])
    elif not corpus:
        keywords.setdefault("min_count", 1)
    return keywords
