"""Writing files so that nobody sees half of a file: after a crash, on a full disk, while it grows.

A writer writes to a temporary name in the same folder, flushes the file to the disk (``fsync``),
renames it over the old one and flushes the folder. So the name always holds the old bytes or the
new ones. A process that dies leaves its temporary file behind. The next writer to the folder
removes it. A living writer holds a lock on its temporary file, so no other writer removes that.
"""

import errno
import hashlib
import itertools
import json
import mmap
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

from w2vjax.errors import FileError, SettingError, W2VError, shown

if sys.platform != "win32":
    import fcntl

AnyPath: TypeAlias = str | os.PathLike[str]
Given = TypeVar("Given")
_OURS = ".w2vjax-"  # what the name of every file or folder holds that a writer makes for itself
_TEMPORARY = f"{_OURS}tmp"
_JOURNAL = f"{_OURS}journal"
_LOCK = f"{_OURS}lock"
_PIECE = 1 << 25  # bytes that are hashed at a time
_SHOWN = 50  # characters of a name in that of its temporary file: at most 200 of 255 bytes
# Folders inside a folder of results: the files being written, and those that only have to be moved.
_STAGED, _COMPLETE = f"{_OURS}staged", f"{_OURS}complete"


def as_path(path: object) -> Path:
    """The path of a file. Raises SettingError for an open file or anything else that is no path."""
    if not isinstance(path, str | os.PathLike):
        kind = type(path).__name__
        raise SettingError(f"{shown(path)} is of type {kind}. Pass the path of a file, as text.")
    with suppress(UnicodeEncodeError):  # half of a surrogate pair, which no name holds either
        name = os.fsencode(path)
        if name and b"\0" not in name:
            return Path(os.fsdecode(name))
    raise SettingError(f"{os.fspath(path)!r:.60} cannot be the name of a file. Pass another path.")


@contextmanager
def atomic_file(path: AnyPath) -> Iterator[IO[bytes]]:
    """A binary file to write to. It appears under ``path`` whole, or not at all.

    Raises:
        FileError: a write, flush, close or rename failed. The message names ``path``, which still
            holds the old file.

    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp(), "notes.txt")
    >>> with atomic_file(target) as file:
    ...     _ = file.write(b"whole")
    >>> target.read_bytes()
    b'whole'
    """
    with atomic_files([path]) as (file,):
        yield file


@contextmanager
def atomic_files(paths: Sequence[AnyPath]) -> Iterator[list[IO[bytes]]]:
    """Several files of one folder that change together, such as a matrix and its vocabulary.

    No rename covers two names. Between the renames a journal beside the first file tells
    :func:`settled` and the next writer which temporary files already count as written.

    Raises:
        FileError: as in :func:`atomic_file`, or the files lie in different folders.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic_files([folder / "a", folder / "b"]) as (first, second):
    ...     _ = first.write(b"1"), second.write(b"2")
    >>> sorted(file.name for file in folder.iterdir())
    ['a', 'b']
    """
    targets = [_followed(path) for path in paths]
    folder = targets[0].parent
    if any(target.parent != folder for target in targets):
        names = " and ".join(map(str, targets))
        cause = f"{names} cannot be written together: they lie in different folders"
        raise FileError(f"{cause}. Choose one folder.")
    with naming(targets[0]), ExitStack() as locks:
        for path in paths:
            _check_replaceable(Path(path))
        remove_leftovers(folder)
        temporaries: list[Path] = []
        try:
            opened = []
            for target in targets:
                opened.append(_open_temporary(target, temporaries, locks))
            yield opened
            for file in opened:
                _flush_and_close(file)
            if len(targets) == 1:
                os.replace(temporaries[0], targets[0])
            else:
                _rename_together(targets, temporaries)
            sync_folder(folder)
        except BaseException:
            # with a journal, the temporary files count as written and must stay
            if not os.path.exists(_journal(targets[0])):
                _remove(temporaries)
            raise


def _remove(temporaries: Sequence[Path]) -> None:
    for temporary in temporaries:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def scratch_files(folder: AnyPath) -> Iterator[Callable[[], IO[bytes]]]:
    """A function that makes files without a name. They vanish when the work or the process ends.

    Raises:
        FileError: the folder cannot be written to.

    >>> with scratch_files(tempfile.gettempdir()) as scratch:
    ...     file = scratch()
    ...     _ = file.write(b"numbers"), file.seek(0)
    ...     file.read()
    b'numbers'
    """
    with ExitStack() as opened:

        def scratch() -> IO[bytes]:
            try:
                file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            except OSError as error:
                cause = f"{folder} cannot be written to: {error.strerror}"
                raise FileError(f"{cause}. Name another folder.") from error
            # close() flushes once more and may fail, but nobody needs the file then
            opened.callback(_close_quietly, file)
            return file

        yield scratch


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end. Memory maps of its files can be read on.

    Raises:
        FileError: the system has no folder for temporary files that can be written to.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="w2vjax-", ignore_cleanup_errors=True)
    except OSError as error:
        cause = f"No temporary folder can be made: {error.strerror or error}"
        raise FileError(f"{cause}. Set TMPDIR to a folder that can be written to.") from error
    with made as folder:
        yield Path(folder)


def _followed(path: AnyPath) -> Path:
    """The file that a symbolic link stands for, because a rename would replace the link."""
    path = as_path(path)
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def _check_replaceable(target: Path) -> None:
    """Refuse what a rename would destroy instead of filling it, such as /dev/null."""
    if target.exists() and not target.is_file():
        raise FileError(f"{target} cannot be written: it is {_kind_of(target)}. Name a file.")


def _kind_of(place: Path) -> str:
    return "a folder" if os.path.isdir(place) else "a device or a pipe"


@contextmanager
def naming(target: Path) -> Iterator[None]:
    """Turn a failed system call into a FileError that names the file being written."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        named = isinstance(error.filename, str | os.PathLike)
        of = Path(os.fsdecode(error.filename)) if named else None
        ours = of in (None, target, target.parent) or any(_OURS in name for name in of.parts[-2:])
        if not ours:
            raise  # the error is of another file, which the caller reads while writing this one
        folder = target.parent
        there = os.path.isdir(folder)
        missing = "Write elsewhere." if there else f"Create the folder {folder} first."
        remedy = {
            errno.ENOSPC: "Free some space or write elsewhere.",
            errno.EDQUOT: "Free some of the quota or write elsewhere.",
            errno.ENOENT: missing,
            errno.ENOTDIR: f"{folder} is no folder: write elsewhere.",
            errno.ENAMETOOLONG: "Choose a shorter name.",
            errno.EEXIST: "It is no folder: name another one.",
            errno.EACCES: "Ask for write permission or write elsewhere.",
            errno.EROFS: "The disk is read-only: write elsewhere.",
            errno.ELOOP: f"A link stands where w2vjax keeps its own files ({of}): remove it.",
        }.get(error.errno or 0, "Check the disk and try again.")
        said = f"{target} cannot be written: {error.strerror or error}. {remedy}"
        raise FileError(said) from error


def _open_temporary(target: Path, temporaries: list[Path], locks: ExitStack) -> IO[bytes]:
    """A new file beside ``target``, noted in ``temporaries``. ``locks`` closes and unlocks it."""
    while True:
        name = f".{target.name[:_SHOWN]}.{secrets.token_hex(8)}{_TEMPORARY}"
        temporary = target.with_name(name)
        temporaries.append(temporary)
        file = open(temporary, "xb", buffering=1 << 20)  # noqa: SIM115
        locks.callback(_close_quietly, file)
        if sys.platform == "win32":  # no locks there: leftovers are left alone
            return file
        # The file is closed before it is renamed, because close() may report an error. The second
        # descriptor keeps the lock meanwhile.
        lock = os.dup(file.fileno())
        locks.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if temporary.exists():  # else another writer removed it before it was locked
            return file
        temporaries.pop()


def _close_quietly(file: IO[bytes]) -> None:
    with suppress(OSError):  # an earlier error is already on its way
        file.close()


def _flush_and_close(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _rename_together(targets: Sequence[Path], temporaries: Sequence[Path]) -> None:
    """Write the journal, rename the files, remove the journal.

    As long as there is a journal, the temporary files that it names count as written.
    """
    journal = _journal(targets[0])
    pairs = zip(targets, temporaries, strict=True)
    names = {target.name: temporary.name for target, temporary in pairs}
    written: list[Path] = []
    with ExitStack() as locks:
        try:
            file = _open_temporary(journal, written, locks)
            file.write(json.dumps(names).encode())
            _flush_and_close(file)
            os.replace(written[0], journal)
        except BaseException:
            _remove(written)
            raise
        sync_folder(journal.parent)
        _roll_forward(journal, names)


def _roll_forward(journal: Path, names: dict[str, str]) -> None:
    for name, temporary in names.items():
        with suppress(FileNotFoundError):  # renamed before the crash
            os.replace(journal.with_name(temporary), journal.with_name(name))
    sync_folder(journal.parent)
    journal.unlink(missing_ok=True)


def _journal(first: Path) -> Path:
    return first.with_name(f".{first.name}{_JOURNAL}")


def _read_journal(journal: Path) -> dict[str, str]:
    """{name: temporary name}; empty if there is no journal, or if it is not one of ours."""
    try:
        # a pipe would be waited for
        names = json.loads(journal.read_bytes()) if os.path.isfile(journal) else {}
        os.fsencode("".join(names))  # JSON can hold what no name of a file holds
    except (OSError, TypeError, ValueError, RecursionError):
        return {}
    plain = isinstance(names, dict) and all(
        isinstance(temporary, str)
        and re.fullmatch(f"{re.escape(f'.{name[:_SHOWN]}.')}[0-9a-f]{{16}}{_TEMPORARY}", temporary)
        and not {"/", "\\", "\0"} & set(name)
        and name not in {"", ".", ".."}
        for name, temporary in names.items()
    )
    return names if plain else {}


def settled(paths: Sequence[AnyPath]) -> list[Path]:
    """Where to read what :func:`atomic_files` wrote, even if the writer died between renames.

    Raises:
        FileError: a file beside the first is a folder, a device or a pipe.
    """
    targets = [_followed(path) for path in paths]
    for target in targets[1:]:
        if os.path.exists(target) and not os.path.isfile(target):
            cause = f"{target} is read with {targets[0]}, and it is {_kind_of(target)}"
            raise FileError(f"{cause}. Put the file in its place.")
    names = _read_journal(_journal(targets[0]))
    temporaries = [target.with_name(names.get(target.name, target.name)) for target in targets]
    pairs = zip(temporaries, targets, strict=True)
    return [new if os.path.exists(new) else old for new, old in pairs]


def remove_leftovers(folder: AnyPath) -> list[Path]:
    """Finish or remove what dead writers left in ``folder``. Returns the files that were removed.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / ".model.0123456789abcdef.w2vjax-tmp").write_bytes(b"half")
    >>> [file.name for file in remove_leftovers(folder)]
    ['.model.0123456789abcdef.w2vjax-tmp']
    """
    if sys.platform == "win32":
        return []
    removed = []
    # journals first: the temporary files they name are not leftovers
    for suffix in (_JOURNAL, _TEMPORARY):
        # a pipe of such a name would be waited for
        for leftover in filter(os.path.isfile, sorted(Path(folder).glob(f".*{suffix}"))):
            with suppress(OSError), leftover.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if suffix == _JOURNAL:
                    _roll_forward(leftover, _read_journal(leftover))
                else:
                    leftover.unlink()
                removed.append(leftover)
    return removed


def sync_folder(folder: AnyPath) -> None:
    """Flush a folder's names, so that a rename survives a power cut. Windows need not do so."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: AnyPath) -> str:
    """The SHA-256 of a file, in hexadecimal.

    It is mapped in large pieces. ``hashlib.file_digest`` reads small ones, and waits for Python's
    lock before each.

    >>> import tempfile, pathlib
    >>> empty = pathlib.Path(tempfile.mkdtemp(), "empty")
    >>> empty.touch()
    >>> sha256_of(empty)[:16]
    'e3b0c44298fc1c14'
    """
    found = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        for begin in range(0, size, _PIECE):
            part = file.fileno(), min(_PIECE, size - begin)
            with mmap.mmap(*part, access=mmap.ACCESS_READ, offset=begin) as data:
                found.update(data)
    return found.hexdigest()


def check_writable(path: AnyPath, folder: bool = False) -> None:
    """Refuse a file, or a ``folder`` of files, that could not be written. Makes nothing.

    Raises :class:`~w2vjax.errors.FileError` before the work. The writer would raise it afterwards.

    >>> check_writable("no/such/folder/vectors.bin")
    Traceback (most recent call last):
    w2vjax.errors.FileError: no/such/folder/vectors.bin cannot be written: there is no folder ...
    """
    target = _followed(path)
    with naming(target):
        if not folder:
            _check_replaceable(target)
        inside = target if folder else target.parent
        there = next(place for place in (inside, *inside.absolute().parents) if place.exists())
    if not there.is_dir():
        why, remedy = f"{there} is not a folder", "Write elsewhere."
    elif not folder and there != inside:
        why, remedy = f"there is no folder {inside}", "Create it first."
    elif not os.access(there, os.W_OK | os.X_OK):
        why, remedy = f"permission is lacking in {there}", "Ask for it, or write elsewhere."
    else:
        return
    raise FileError(f"{path} cannot be written: {why}. {remedy}")


@contextmanager
def claimed(folder: AnyPath, lock: str = _LOCK) -> Iterator[None]:
    """Make a folder, and keep other processes from claiming it.

    The claim is a lock on a file in the folder. The system drops it when the process ends, however
    it ends. Folders that were made and are still empty are removed if the work fails.

    Raises :class:`~w2vjax.errors.FileError` if the folder cannot be made, or is in use.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with claimed(folder), claimed(folder):
    ...     pass
    Traceback (most recent call last):
    w2vjax.errors.FileError: Another run writes into ... Wait for its end, or name another folder.
    """
    path = Path(folder)
    with removed_if_empty(path), ExitStack() as locks:
        with naming(path):
            path.mkdir(parents=True, exist_ok=True)
            _lock(path / lock, locks)
        yield


@contextmanager
def removed_if_empty(*folders: AnyPath) -> Iterator[None]:
    """If the work fails, remove the folders that were not there before it and are empty."""
    wanted = {place for folder in map(Path, folders) for place in (folder, *folder.parents)}
    # sorted backwards, because a folder has to go before the folder that it is in
    missing = sorted(itertools.filterfalse(os.path.exists, wanted), key=str, reverse=True)
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):
                place.rmdir()
        raise


def _lock(file: Path, locks: ExitStack) -> None:
    """Lock a file until ``locks`` close, and remove it then."""
    while sys.platform != "win32":  # no locks there
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        locks.callback(_quietly, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            cause = f"Another run writes into {file.parent}"
            raise FileError(f"{cause}. Wait for its end, or name another folder.") from None
        with suppress(OSError):  # else its last owner removed it before it was locked
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                locks.callback(_quietly, os.unlink, file)  # a lock that stays keeps nobody out
                return


def claim(file: IO[Any], path: AnyPath) -> None:
    """Lock an open file until it is closed. FileError if another run has it. Devices are shared."""
    if sys.platform == "win32" or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        cause = f"Another run writes into {os.fspath(path)}"
        raise FileError(f"{cause}. Wait for its end, or name another file.") from None
    except OSError:  # a file system without locks
        return


def release(file: IO[Any]) -> None:
    """Unlock a file of :func:`claim`, for processes that were forked meanwhile too."""
    if sys.platform != "win32":
        _quietly(lambda number: fcntl.flock(number, fcntl.LOCK_UN), file.fileno())


def _quietly(act: Callable[[Given], None], given: Given) -> None:
    with suppress(OSError):
        act(given)


@contextmanager
def appearing_together(folder: AnyPath) -> Iterator[Path]:
    """A place for files that appear in ``folder`` all together, or not at all if the work fails.

    A process that is killed while it moves them, or that cannot move one, leaves the rest to the
    next one that writes here. Until then :func:`current_path` finds them. Errors name the file as
    it will be called.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with appearing_together(folder) as place:
    ...     (place / "a").touch()
    ...     print(sorted(file.name for file in folder.iterdir()))
    ['.w2vjax-staged']
    >>> [file.name for file in folder.iterdir()]
    ['a']
    """
    target = Path(folder)
    place = target / _STAGED
    with naming(target):
        _move_completed(target)
        _remove_foreign(place)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    try:
        yield place
        with naming(target):
            for file in place.iterdir():
                _check_replaceable(target / file.name)
            sync_folder(place)
            os.replace(place, target / _COMPLETE)
            _move_completed(target)
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, W2VError):
            error.args = (str(error).replace(str(place), str(target)),)
        raise


def _move_completed(folder: Path) -> None:
    """Move files that are complete to their place, and remove the folder that they were in.

    A file that cannot be moved does not keep the others from their places.
    """
    complete, failed = folder / _COMPLETE, []
    _remove_foreign(complete)
    with suppress(FileNotFoundError):
        for file in sorted(complete.iterdir()):
            try:
                os.replace(file, folder / file.name)
            except OSError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        complete.rmdir()
        sync_folder(folder)


def _remove_foreign(place: Path) -> None:
    """Remove what stands in the place of a folder of ours. A link would lead out of the folder."""
    if place.is_symlink() or place.is_file():
        place.unlink()


def current_path(path: Path) -> Path:
    """Where to read a file of :func:`appearing_together`, even if it is not moved yet."""
    complete = path.parent / _COMPLETE
    there = os.path.isfile(complete / path.name) and not os.path.islink(complete)
    return complete / path.name if there else path


def refuse_to_overwrite(file: AnyPath, read: Iterable[AnyPath]) -> None:
    """Refuse to write a file that is one of those to read."""
    there = [other for other in read if os.path.exists(other)]
    if os.path.exists(file) and any(os.path.samefile(file, other) for other in there):
        raise SettingError(f"{file} is the file to read, and would be overwritten. Name another.")
