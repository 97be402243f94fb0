"""The arguments of ``train`` and ``plan``: the settings, and what goes with them.

The keywords of both are the fields of :class:`Arguments`. So a type checker, ``help`` and the run
itself see the same names, and a name that is not one of them is refused with a suggestion.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

from w2vjax.errors import SettingError, did_you_mean
from w2vjax.files import AnyPath
from w2vjax.real import true_or_false
from w2vjax.training.settings import ELSEWHERE, RENAMED, Settings, objective_name

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from w2vjax.corpus.sources import Reading
    from w2vjax.corpus.tokenizers import Tokenizer
    from w2vjax.runs.checkpoint import Checkpoints
    from w2vjax.training.methods import Method
    from w2vjax.types import EmbedBackward, OptimizerMaker, Params, Reach, ScalarOrSchedule, Windows
    from w2vjax.vectors.vectors import Vectors
    from w2vjax.vocab import Vocab

Keywords = ParamSpec("Keywords")
Result = TypeVar("Result")
Answer = TypeVar("Answer", covariant=True)


def about(sentence: str, default: object = None) -> Any:
    """A field of :class:`Arguments` with its sentence for the help."""
    return field(default=default, metadata={"about": sentence})


@dataclass(frozen=True, kw_only=True)
class Arguments(Settings):
    """Every keyword of ``train``: the settings first, then these."""

    method: "Method | None" = about(
        "Functions and numbers as one value, from w2vjax.method. It says model and objective too."
    )
    windows: "Windows | None" = about("(tokens, segments, reach) -> Batch, not the method's.")
    optimizer: "OptimizerMaker | None" = about(
        "schedule -> optax transformation, such as row_adagrad, instead of the method's."
    )
    reach: "Reach | None" = about(
        "How far each center looks: draw_reach (the method's) draws it, full_reach is always the "
        "window."
    )
    embed_backward: "EmbedBackward | None" = about(
        "embed_backward_undivided is word2vec.c's gradient of CBOW. Its default learning rate is "
        "0.05."
    )
    schedule: "ScalarOrSchedule | None" = about(
        "step -> learning rate, or one rate for all steps. Default: a linear fall from "
        "learning_rate to 1e-4 of it."
    )
    start: "Params | None" = about("Tables to go on from, [V, D] for this corpus's vocabulary.")
    devices: int | None = about(
        "Devices that train copies of the tables side by side. Default: one; all of them if the "
        "run has several processes."
    )
    mesh: "Mesh | None" = about(
        'Devices with the axis "copy", or with some of "data", "dim" and "vocabulary".'
    )
    step_timeout: float = about(
        "With several processes: the run ends after these seconds without progress.", 600.0
    )
    deterministic: bool = about(
        "Equal bits on a GPU too, by sorting, which is slower. A CPU's are always equal.", False
    )
    tokenizer: "Tokenizer | None" = about("line -> words. Default: words between spaces.")
    vocab: "Vocab | None" = about(
        "Words and counts to use as they are, instead of a choice by min_count and max_vocab."
    )
    reading: "Reading | None" = about(
        "How files are read, such as w2vjax.corpus.Reading(encoding='latin-1')."
    )
    cache: AnyPath | None = about("A folder that keeps the encoded corpus for the next run.")
    checkpoint: "AnyPath | Checkpoints | None" = about(
        "A folder for checkpoints, or w2vjax.Checkpoints(folder, every, resume, allow)."
    )
    progress: bool = about("Show a bar on standard error.", False)
    log: AnyPath | None = about("A file that gets every record as a line of JSON.")
    log_every: float | str = about(
        'Seconds from one record to the next, or a text such as "100 steps", "1e6 words" or '
        '"1 epoch". Records are made between chunks, which have hundreds of steps.',
        1.0,
    )
    callback: Callable[[dict[str, Any]], Any] | None = about(
        "It is called with every record. If it returns a true value, the run stops after one more "
        "round of chunks, which is already under way. help(w2vjax.Trained) lists the keys."
    )
    on_epoch: "Callable[[dict[str, Any], Vectors], Any] | None" = about(
        "It is called with a record and the vectors at the end of each epoch. If it returns a true "
        "value, the run stops there. Of several processes, the first one calls it, and all need it."
    )

    def check_values(self) -> None:
        """Refuse arguments of the wrong type, and two that say the same."""
        from w2vjax.training.methods import Method
        from w2vjax.types import Params
        from w2vjax.vocab import Vocab

        kinds = {"method": Method, "start": Params, "vocab": Vocab}
        for name, remedy in _VALUE_OF.items():
            value = getattr(self, name)
            fits = isinstance(value, kinds[name]) if name in kinds else callable(value)
            if value is not None and not fits:
                shown = " ".join(repr(value).split())[:60]
                raise SettingError(f"{name}={shown} cannot work. {remedy}")
        for name in ("progress", "deterministic"):
            true_or_false(name, getattr(self, name))
        if self.schedule is not None:
            from w2vjax.devices.tracing import check_schedule  # JAX takes long to import

            check_schedule(self.schedule, self.learning_rate)

    def chosen_mesh(self) -> "Mesh | None":
        """The devices of the run. None for one device."""
        from w2vjax.devices.mesh import mesh_of

        if self.mesh is None:
            return mesh_of(self.devices)
        if self.devices is not None:
            cause = f"devices={self.devices} cannot go with a mesh, which says the devices"
            raise SettingError(f"{cause}. Leave one of them out.")
        return self.mesh

    def settings(self) -> Settings:
        """The settings alone."""
        return Settings(**{each.name: getattr(self, each.name) for each in fields(Settings)})

    def reading_without_results(self) -> "Reading":
        """How files are read, without what this run writes."""
        from w2vjax.corpus.sources import READING, check_reading
        from w2vjax.devices.mesh import spans_processes

        reading = READING if self.reading is None else self.reading
        check_reading(reading)
        kept: Any = self.checkpoint
        together = spans_processes(self.chosen_mesh())
        return reading.without(getattr(kept, "folder", kept), self.log)._replace(together=together)

    def chosen_method(self, words: int | None = None) -> "Method":
        """The method for ``words`` words; None before they are read and functions are checked."""
        from w2vjax.devices.mesh import copies_on
        from w2vjax.objectives.hidden import embed_backward_undivided
        from w2vjax.training import methods
        from w2vjax.training.setup import copies_of
        from w2vjax.training.updates import row_sgd

        asked, own = (self.chosen_mesh(), self.copies), self.optimizer or row_sgd
        copies = copies_on(*asked) if words is None else copies_of(*asked, own)
        numbers = words, self.epochs, copies, self.negatives, self.window
        chosen = self.method or methods.method(self.model, self.objective, *numbers)
        named = self.model, self.objective
        if self.method is not None and named != (Settings.model, Settings.objective):
            raise SettingError(
                f"model={self.model!r} and objective={objective_name(self.objective)!r} cannot go "
                "with a method, which says both. Leave them out, or change the method by "
                "method._replace(...)."
            )
        if self.embed_backward is embed_backward_undivided:
            chosen = methods.undivided(chosen)
        names = ("windows", "optimizer", "reach", "embed_backward")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return chosen._replace(**given)


# What an argument that is no setting has to be.
_FUNCTION = "Pass a function: help(w2vjax.train) says of what."
_VALUE_OF = {
    "method": "Pass a w2vjax.Method, which w2vjax.method(model, objective) gives.",
    "start": "Pass w2vjax.Params(input, output), two tables.",
    "vocab": "Pass a w2vjax.Vocab, which w2vjax.Vocab.load(path) reads from a file.",
    **dict.fromkeys(("windows", "reach", "embed_backward", "tokenizer"), _FUNCTION),
    **dict.fromkeys(("callback", "on_epoch"), _FUNCTION),
}


class Takes(Protocol[Keywords, Answer]):
    """A function of a corpus and of keywords."""

    def __call__(
        self, corpus: Any = None, *_: Keywords.args, **named: Keywords.kwargs
    ) -> Answer: ...


def keywords_of(
    made: Callable[Keywords, Arguments],
) -> Callable[[Callable[..., Result]], Takes[Keywords, Result]]:
    """Give a function the signature and the help of the fields of :class:`Arguments`."""
    lines = [f"{each.name}: {each.metadata['about']}" for each in fields(Arguments)]
    wrap = textwrap.TextWrapper(92, subsequent_indent=" " * 4)
    told = "".join(wrap.fill(line) + "\n" for line in lines)

    def describe(act: Callable[..., Result]) -> Takes[Keywords, Result]:
        corpus = inspect.Parameter("corpus", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
        keywords = inspect.signature(made).parameters.values()
        act.__signature__ = inspect.Signature([corpus, *keywords])  # type: ignore[attr-defined]
        if "**keywords:\n" in (act.__doc__ or ""):  # python -OO has none
            # Python 3.13 takes the indentation of a docstring away, 3.11 and 3.12 leave it
            before, _, after = str(act.__doc__).partition("**keywords:\n")
            indent = " " * (len(before) - len(before.rstrip(" ")))
            act.__doc__ = before.rstrip(" ") + textwrap.indent(told, indent) + after
        return cast(Takes[Keywords, Result], act)

    return describe


# What gensim and earlier versions call an argument that is no setting: what takes its place.
_INSTEAD = {
    **ELSEWHERE,
    **dict.fromkeys(("min_alpha", "end_alpha"), "schedule"),
    **dict.fromkeys(("sentences", "corpus_file", "corpus_iterable"), "the first argument, corpus"),
    "cbow_mean": "embed_backward",
    "shrink_windows": "reach",
    "topn": "an argument of vectors.most_similar",
    "callbacks": "callback",
    "checkpoint_every": "checkpoint=Checkpoints(folder, every=...)",
    "resume": "checkpoint=Checkpoints(folder, resume=True)",
    "allow": "checkpoint=Checkpoints(folder, resume=True, allow=...)",
    # here the values differ as well as the name
    "sg": 'model="skip-gram" or model="cbow"',
    "hs": 'objective="hierarchical"',
    "loss": 'objective="negative", "hierarchical" or "softmax"',
}


def arguments_of(keywords: Mapping[str, Any]) -> Arguments:
    """The arguments of these keywords. SettingError for a name that is not known.

    >>> arguments_of({"dmi": 3})
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: There is no setting dmi. Did you mean dim?
    """
    known = {each.name: each.name for each in fields(Arguments)}
    for name in keywords:
        if new := RENAMED.get(name):
            raise SettingError(f"The setting {name} is now called {new}. Use {new}.")
        if name in _INSTEAD:
            raise SettingError(f"There is no setting {name}. In w2vjax it is {_INSTEAD[name]}.")
        if name not in known:
            remedy = did_you_mean(name, ELSEWHERE | known)
            remedy = remedy or "help(w2vjax.train) lists the settings."
            raise SettingError(f"There is no setting {name}. {remedy}")
    return Arguments(**keywords)
