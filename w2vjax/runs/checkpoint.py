"""Checkpoints: files with tables, optimizer state, position and settings, for going on later.

The last two are kept. Loading takes the newest that is sound, and says so when it has to pass over
a damaged one. A checkpoint knows the run it belongs to (corpus, settings, program, versions, random
numbers) and goes on with no other.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from w2vjax.errors import CheckpointError, FileError, FormatError, SettingError, as_names
from w2vjax.files import AnyPath, as_path, claimed, naming, remove_leftovers
from w2vjax.formats.safetensors import Tensors, read_tensors, write_tensors
from w2vjax.real import check_seconds
from w2vjax.training.copies import Joined
from w2vjax.training.settings import Settings
from w2vjax.training.setup import Run
from w2vjax.training.step import schedule_argument
from w2vjax.types import Params, Tree

Record: TypeAlias = dict[str, Any]
_FORMAT = "w2vjax checkpoint 1"
_NAME = re.compile(r"checkpoint-(\d{12,})\.safetensors")
_KEPT = 2
_OF_A_CHUNK = "words of a chunk"
# What has to be the same for a run to go on.
_FIELDS = (
    *(f"settings.{name}" for name in Settings().as_json()),
    *("corpus", "start", _OF_A_CHUNK, "objective's tables"),
    *("program", "jax version", "platform", "random numbers"),
)
_SAME = "Resume with what it was made with, or start again in an empty folder."
_MORE_EPOCHS = (
    "To train for another number of epochs, allow it: --allow settings.epochs "
    '(allow=("settings.epochs",)). The learning rate then follows the new number.'
)


class Position(NamedTuple):
    """Where a run stands: the next chunk to train, and what was counted on the way there."""

    epoch: int = 0
    chunk: int = 0
    steps: int = 0
    words: int = 0  # raw words trained on
    seconds: float = 0.0  # spent training, over all sessions


class Checkpoints(NamedTuple):
    """Where and how a run saves its state, and whether it goes on from there.

    Attributes:
        folder: of the checkpoints of this run alone.
        every: seconds from one to the next; inf saves the last only.
        resume: go on from the last one, if there is one.
        allow: with resume: fields that may differ from the checkpoint's, such as "jax version".

    >>> Checkpoints("kept", every=600).resume
    False
    """

    folder: AnyPath
    every: float = 60.0
    resume: bool = False
    allow: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse values and folders that cannot work. Makes nothing."""
        what = f"The time between checkpoints, every={self.every!r} (--checkpoint-every),"
        check_seconds(what, self.every)
        if not self.resume and list(self.allow):
            cause = f"allow={list(self.allow)} has no effect on a run that starts anew"
            raise SettingError(f"{cause}. Go on with resume (--resume), or leave it out.")
        if unknown := [name for name in self.allow if name not in _FIELDS]:
            cause = f"allow={unknown} names no field of a checkpoint"
            raise SettingError(f"{cause}. Fields: {', '.join(sorted(_FIELDS))}.")
        check_folder(self.folder, self.resume)


def checkpoints_in(given: AnyPath | Checkpoints | None) -> Checkpoints | None:
    """What ``checkpoint`` of train stands for: a folder is short for ``Checkpoints(folder)``.

    One name to ``allow`` is short for a tuple of it.
    """
    if given is None:
        return None
    found = given if isinstance(given, Checkpoints) else Checkpoints(given)
    return found._replace(folder=as_path(found.folder), allow=as_names(found.allow))


def run_identity(job: Run, program: str, start: Params | None) -> Record:
    """What has to be the same for a run to go on, as JSON, with a digest of its ``program``."""
    config = jax.config.values
    numbers = jax.tree.leaves(schedule_argument(job.recipe))
    values = [
        *job.settings.as_json().values(),
        job.feed.corpus.digest,
        digest(start),
        job.feed.size,
        digest(job.tables),
        hashlib.sha256(f"{numbers}\n{program}".encode()).hexdigest(),
        jax.__version__,
        jax.default_backend(),
        f"{config['jax_default_prng_impl']}, partitionable={config['jax_threefry_partitionable']}",
    ]
    return dict(zip(_FIELDS, values, strict=True))


def digest(arrays: Tree) -> str | None:
    """The SHA-256 of a tree of arrays. None of None."""
    if arrays is None:
        return None
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(arrays):
        found.update(np.ascontiguousarray(leaf).view(np.uint8).data)
    return found.hexdigest()


def save_checkpoint(
    folder: AnyPath, state: Joined, position: Position, identity: Record, history: list[Record]
) -> Path:
    """Write a checkpoint and remove all but the last two. Failure raises FileError."""
    folder = Path(folder)
    # words only grow: the newest comes last
    path = folder / f"checkpoint-{position.words:012d}.safetensors"
    leaves = {f"state.{i:03d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    record = {
        "format": _FORMAT,
        "place": json.dumps(position),
        "identity": json.dumps(identity, sort_keys=True),
        "history": json.dumps(history),
    }
    write_tensors(path, leaves, record)
    found = _checkpoints(folder)
    # one that is later is damaged, since this run has not gone on from it
    for old in found[found.index(path) + _KEPT :]:
        try:
            old.unlink(missing_ok=True)
        except OSError as error:
            cause = f"{old} of an earlier checkpoint cannot be removed: {error.strerror}"
            raise FileError(f"{cause}. Remove it.") from error
    return path


def check_folder(folder: AnyPath, resume: bool) -> None:
    """Refuse a folder that cannot be made or that holds checkpoints. Makes nothing."""
    path = Path(folder)
    above = (each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    there = next(above, path)
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        why = "permission is lacking" if os.path.isdir(there) else "it is not a folder"
        raise FileError(f"{folder} cannot hold checkpoints: {there}: {why}. Name another folder.")
    with naming(path):  # its name may be too long
        found = _checkpoints(path) if path.is_dir() and not resume else []
    if found:
        cause = f"{folder} holds {found[0].name} of an earlier run"
        raise CheckpointError(f"{cause}. Resume it (--resume), or name an empty folder.")


@contextmanager
def prepared(checkpoints: Checkpoints | None) -> Iterator[None]:
    """Make the folder, keep other runs out of it, and clear what a killed writer left.

    Raises:
        CheckpointError: see :func:`check_folder`.
        FileError: the folder cannot be made, or another run saves its checkpoints there.
    """
    if checkpoints is None:
        yield
        return
    with claimed(checkpoints.folder, ".w2vjax-checkpoints"):
        check_folder(checkpoints.folder, checkpoints.resume)
        remove_leftovers(checkpoints.folder)
        yield


def load_checkpoint(
    folder: AnyPath, like: Joined, identity: Record, allow: Iterable[str] = ()
) -> tuple[Joined, Position, list[Record]] | None:
    """The newest sound checkpoint of this very run. None if the folder has no checkpoint at all.

    Args:
        like: a state of the run's shapes. The arrays that are returned are NumPy's.
        identity: see :func:`run_identity`. The fields in ``allow`` may differ.

    Raises:
        CheckpointError: every checkpoint is damaged, or a field differs, which is named.
    """
    damaged: list[str] = []
    for path in _checkpoints(Path(folder)):
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
            damaged.append(f"{path} is not a file.")
            continue
        try:
            tensors = read_tensors(path)
        except (FormatError, FileError) as error:
            damaged.append(str(error))
            continue
        if (notes := _notes(tensors)) is None:
            damaged.append(f"{path} is not a checkpoint of this version.")
            continue
        if damaged:
            message = f"Going on from {path.name}, because a later one is damaged: {damaged[0]}"
            warnings.warn(message, stacklevel=2)
        theirs, position, history = notes
        _compare(path, theirs, identity, set(allow))
        _require_chunks(path, position, theirs, identity)
        return _state_of(path, list(tensors.arrays.values()), like), position, history
    if damaged:
        cause = f"No checkpoint in {folder} is sound: {damaged[0]}"
        raise CheckpointError(f"{cause} Start again in an empty folder.")
    return None


def _notes(tensors: Tensors) -> tuple[Record, Position, list[Record]] | None:
    """(identity, position, history) of a checkpoint. None if it is no sound one of this version."""
    try:
        names = ("identity", "place", "history")
        identity, numbers, history = (json.loads(tensors.metadata[name]) for name in names)
        kinds = [type(number) for number in numbers]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    sound = (
        tensors.metadata.get("format") == _FORMAT
        and tensors.checksum is not None
        and kinds == [int, int, int, int, float]
        and all(number >= 0 for number in numbers)
        and isinstance(history, list)
        and all(isinstance(record, dict) for record in [identity, *history])
        and all(isinstance(record.get("loss", ""), float | None) for record in history)
    )
    return (identity, Position(*numbers), history) if sound else None


def _state_of(path: Path, arrays: list[np.ndarray], like: Joined) -> Joined:
    """The state that a checkpoint holds."""
    leaves, structure = jax.tree.flatten(like)
    if [(a.shape, a.dtype) for a in arrays] != [(leaf.shape, leaf.dtype) for leaf in leaves]:
        cause = f"{path} holds other tables than this run's"
        raise CheckpointError(f"{cause}. Resume with the settings it was made with.")
    state: Joined = jax.tree.unflatten(structure, arrays)
    return state


def _compare(path: Path, theirs: Record, ours: Record, allow: set[str]) -> None:
    different = [name for name in ours | theirs if theirs.get(name) != ours.get(name)]
    for name in different:
        # the program follows from everything else: it is the last to be blamed
        if name not in allow and name != "program":
            remedy = _MORE_EPOCHS if name == "settings.epochs" else _SAME
            raise CheckpointError(
                f"{path.name} was made with {name}={theirs.get(name)!r} and this run has "
                f"{ours.get(name)!r}. {remedy}"
            )
    # what is allowed to differ may have changed the program too
    if "program" in different and not allow & set(different):
        raise CheckpointError(
            f"{path.name} was made by another program: objective, windows, optimizer, schedule or "
            f"the package's version differ. {_SAME} If only the version does: --allow program."
        )


def _require_chunks(path: Path, position: Position, theirs: Record, ours: Record) -> None:
    """Refuse a position between two chunks of an epoch, if this run has chunks of another size."""
    size, own = theirs.get(_OF_A_CHUNK), ours.get(_OF_A_CHUNK)
    if position.chunk and size != own:
        cause = f"{path.name} stands after chunk {position.chunk:,} of an epoch, of {size} words"
        raise CheckpointError(
            f"{cause} each, and this run has chunks of {own} words. {_SAME} Only at the end of an "
            "epoch can a run go on with chunks of another size."
        )


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest first."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        said = f"{folder} cannot be read: {error.strerror}. Check its permissions."
        raise FileError(said) from error
    found = {int(match[1]): folder / match[0] for match in map(_NAME.fullmatch, names) if match}
    return [found[words] for words in sorted(found, reverse=True)]
