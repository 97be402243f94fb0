"""The arguments of ``train`` and ``plan``: the settings, and what goes with them.

The keywords of both are the fields of :class:`Arguments`. So a type checker, ``help`` and the run
itself see the same names, and a name that is not one of them is refused with a suggestion.
"""

import inspect
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar, cast

from w2vjax.errors import SettingError, did_you_mean
from w2vjax.training.settings import ELSEWHERE, RENAMED, Settings, Value, objective_name

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from w2vjax.corpus.sources import Reading
    from w2vjax.corpus.tokenizers import Tokenizer
    from w2vjax.runs.checkpoint import Checkpoints
    from w2vjax.training.methods import Method
    from w2vjax.types import EmbedBackward, OptimizerMaker, Params, Reach, ScalarOrSchedule, Windows
    from w2vjax.vocab import Vocab

Keywords = ParamSpec("Keywords")
Result = TypeVar("Result")
Answer = TypeVar("Answer", covariant=True)


def described(default: Value, about: str) -> Value:
    """A field of :class:`Arguments` with its sentence."""
    made: Any = field(default=default, metadata={"about": about})
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Arguments(Settings):
    """Every keyword of ``train``: the settings first, then these."""

    method: "Method | None" = described(
        None,
        "Functions and numbers as one value, from w2vjax.method. It says model and objective too.",
    )
    windows: "Windows | None" = described(
        None, "(tokens, segments, reach) -> Batch, instead of the method's."
    )
    optimizer: "OptimizerMaker | None" = described(
        None, "schedule -> optax transformation, such as row_adagrad, instead of the method's."
    )
    reach: "Reach | None" = described(
        None,
        "How far each center looks: draw_reach (the method's) draws it, full_reach is always the "
        "window.",
    )
    embed_backward: "EmbedBackward | None" = described(
        None,
        "embed_backward_undivided is word2vec.c's gradient of CBOW. Its default learning rate is "
        "0.05.",
    )
    schedule: "ScalarOrSchedule | None" = described(
        None,
        "step -> learning rate, or one rate for all steps. Default: a linear fall from "
        "learning_rate to 1e-4 of it.",
    )
    start: "Params | None" = described(
        None, "Tables to go on from, [V, D] for the vocabulary of this corpus."
    )
    devices: int | None = described(
        None,
        "Devices that train copies of the tables side by side. Default: one; all of them if the "
        "run has several processes.",
    )
    mesh: "Mesh | None" = described(
        None, 'Devices with the axis "copy", or with some of "data", "dim" and "vocabulary".'
    )
    step_timeout: float = described(
        600.0, "With several processes: seconds without a step forward after which the run ends."
    )
    deterministic: bool = described(
        False, "Equal bits on a GPU too, by sorting, which is slower. A CPU's are always equal."
    )
    tokenizer: "Tokenizer | None" = described(None, "line -> words. Default: words between spaces.")
    vocab: "Vocab | None" = described(
        None,
        "Words and counts to use as they are, instead of those that min_count and max_vocab "
        "choose.",
    )
    reading: "Reading | None" = described(
        None, "How files are read, such as w2vjax.corpus.Reading(encoding='latin-1')."
    )
    cache: str | os.PathLike[str] | None = described(
        None, "A folder that keeps the encoded corpus for the next run."
    )
    checkpoint: "str | os.PathLike[str] | Checkpoints | None" = described(
        None, "A folder for checkpoints, or w2vjax.Checkpoints(folder, every, resume, allow)."
    )
    progress: bool = described(False, "Show a bar on standard error.")
    log: str | os.PathLike[str] | None = described(
        None, "A file that gets every record as a line of JSON."
    )
    log_every: float = described(1.0, "Seconds from one record to the next.")
    callback: Callable[[dict[str, Any]], Any] | None = described(
        None,
        "It is called with every record. If it returns a true value, the run stops after one more "
        "round of chunks, which is already under way.",
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
        if self.schedule is not None:
            self._check_schedule(self.schedule)

    def _check_schedule(self, schedule: "ScalarOrSchedule") -> None:
        if self.learning_rate is not None:
            raise SettingError(
                f"learning_rate={self.learning_rate} cannot go with a schedule, which says every "
                "rate. Leave one of them out."
            )
        number = isinstance(schedule, int | float) and not isinstance(schedule, bool)
        if not callable(schedule) and not (number and 0 < schedule <= 1e6):
            raise SettingError(
                f"schedule={schedule!r:.60} cannot work. Pass a rate above 0, or a function of the "
                "step."
            )

    def chosen_mesh(self) -> "Mesh | None":
        """The devices of the run. None for one device."""
        from w2vjax.devices.mesh import mesh_of

        if self.mesh is None:
            return mesh_of(self.devices)
        if self.devices is not None:
            raise SettingError(
                f"devices={self.devices} cannot go with a mesh, which says the devices. Leave one "
                "of them out."
            )
        return self.mesh

    def settings(self) -> Settings:
        """The settings alone."""
        return Settings(**{each.name: getattr(self, each.name) for each in fields(Settings)})

    def reading_without_results(self) -> "Reading":
        """How files are read, without what this run writes."""
        from w2vjax.corpus.sources import READING, check_reading

        reading = READING if self.reading is None else self.reading
        check_reading(reading)
        kept: Any = self.checkpoint
        return reading.without(getattr(kept, "folder", kept), self.log)

    def chosen_method(self, words: int | None = None) -> "Method":
        """The method for ``words`` words, with the functions that are given beside it."""
        from w2vjax.objectives.hidden import embed_backward_undivided
        from w2vjax.training import methods

        chosen = self.method or methods.method(self.model, self.objective, words, self.epochs)
        if self.method is not None and (self.model, self.objective) != (
            Settings.model,
            Settings.objective,
        ):
            raise SettingError(
                f"model={self.model!r} and objective={objective_name(self.objective)!r} cannot go "
                "with a method, which says both. Leave them out, or change the method by "
                "method._replace(...)."
            )
        if self.embed_backward is embed_backward_undivided:
            chosen = methods.undivided(chosen)
        given = {
            name: getattr(self, name)
            for name in ("windows", "optimizer", "reach", "embed_backward")
        }
        return chosen._replace(
            **{name: value for name, value in given.items() if value is not None}
        )


# What an argument that is no setting has to be.
_FUNCTION = "Pass a function: help(w2vjax.train) says of what."
_VALUE_OF = {
    "method": "Pass a w2vjax.Method, which w2vjax.method(model, objective) gives.",
    "start": "Pass w2vjax.Params(input, output), two tables.",
    "vocab": "Pass a w2vjax.Vocab, which w2vjax.Vocab.load(path) reads from a file.",
    **dict.fromkeys(("windows", "reach", "embed_backward", "tokenizer", "callback"), _FUNCTION),
}


class Takes(Protocol[Keywords, Answer]):
    """A function of a corpus and of keywords."""

    def __call__(
        self, corpus: Any = None, *_: Keywords.args, **keywords: Keywords.kwargs
    ) -> Answer: ...


def keywords_of(
    made: Callable[Keywords, Arguments],
) -> Callable[[Callable[..., Result]], Takes[Keywords, Result]]:
    """Give a function the signature and the help of the fields of :class:`Arguments`."""

    def describe(act: Callable[..., Result]) -> Takes[Keywords, Result]:
        corpus = inspect.Parameter("corpus", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
        keywords = inspect.signature(made).parameters.values()
        act.__signature__ = inspect.Signature([corpus, *keywords])  # type: ignore[attr-defined]
        if act.__doc__:  # python -OO has none
            act.__doc__ = act.__doc__.replace("        **keywords:\n", help_text())
        return cast(Takes[Keywords, Result], act)

    return describe


def help_text() -> str:
    """A paragraph for each keyword, as a docstring has them."""
    lines = [f"{each.name}: {each.metadata['about']}" for each in fields(Arguments)]
    wrap = textwrap.TextWrapper(100, initial_indent=" " * 8, subsequent_indent=" " * 12)
    return "".join(wrap.fill(line) + "\n" for line in lines)


def arguments_of(keywords: Mapping[str, Any]) -> Arguments:
    """The arguments of these keywords. A name that is not known raises SettingError.

    >>> arguments_of({"dmi": 3})
    Traceback (most recent call last):
        ...
    w2vjax.errors.SettingError: There is no setting dmi. Did you mean dim?
    """
    known = {each.name for each in fields(Arguments)}
    for name in keywords:
        if name not in known:
            refuse(name, known)
    return Arguments(**keywords)


# What gensim and earlier versions call an argument that is no setting: what takes its place.
_INSTEAD = {
    **dict.fromkeys(("min_alpha", "end_alpha"), "schedule"),
    "cbow_mean": "embed_backward",
    "shrink_windows": "reach",
    "topn": "an argument of vectors.most_similar",
    "callbacks": "callback",
    **dict.fromkeys(("sentences", "corpus_file", "corpus_iterable"), "the first argument, corpus"),
    "checkpoint_every": "checkpoint=Checkpoints(folder, every=...)",
    "resume": "checkpoint=Checkpoints(folder, resume=True)",
    "allow": "checkpoint=Checkpoints(folder, resume=True, allow=...)",
}
# The values that differ as well as the name.
_VALUES = {
    "sg": 'model="skip-gram" or model="cbow"',
    "hs": 'objective="hierarchical"',
    "loss": 'objective="negative", "hierarchical" or "softmax"',
}


def refuse(name: str, known: set[str]) -> NoReturn:
    """Raise SettingError for a name that is none of ``known``, with a suggestion."""
    if name in RENAMED:
        raise SettingError(
            f"The setting {name} is now called {RENAMED[name]}. Use {RENAMED[name]}."
        )
    if instead := _VALUES.get(name) or ELSEWHERE.get(name) or _INSTEAD.get(name):
        raise SettingError(f"There is no setting {name}. In w2vjax it is {instead}.")
    names = {**ELSEWHERE, **{each: each for each in known}}
    remedy = did_you_mean(name, names) or "help(w2vjax.train) lists the settings."
    raise SettingError(f"There is no setting {name}. {remedy}")
