"""What the processes of a run tell one another while they read a text: facts, errors and files.

Every exchange begins with the sizes of what each process sends. So processes that are not at the
same exchange do not wait for ever, and :func:`require_same` says in what they differ.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import SEEK_END, BytesIO
from itertools import count
from typing import IO, Any, TypeVar

import numpy as np

from w2vjax.errors import CorpusError, SettingError

AT_ONCE = 1 << 23  # bytes of all processes that are sent at a time; more leave the cache
WORDS = 1 << 18  # that a process sends at a time
_WEEK = 7 * 24 * 3600 * 1000  # milliseconds
_exchanges = count()
Result = TypeVar("Result")


def own_number() -> int:
    """The number of this process, from 0."""
    import jax

    return int(jax.process_index())


def how_many() -> int:
    """How many processes the run has."""
    import jax  # only where several processes read: a text is read in less than its import takes

    return int(jax.process_count())


def _arrays(own: np.ndarray) -> np.ndarray:
    """The bytes [processes, bytes] of all processes, of which each gives equally many."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(own))


def meet() -> None:
    """Wait for all processes. One may take hours longer, and a collective would time out."""
    if how_many() > 1:
        from w2vjax.processes.guard import coordinator

        coordinator().wait_at_barrier(f"w2vjax/exchange/{next(_exchanges)}", _WEEK)


def gathered(own: IO[bytes], out: IO[bytes]) -> list[int]:
    """Write what is left in the files of all processes to ``out``, in the order of the processes.

    Returns:
        The bytes of each process.
    """
    meet()
    begin = own.tell()
    size = np.array([own.seek(0, SEEK_END) - begin])
    own.seek(begin)
    sizes = _arrays(size.view(np.uint8)).view(np.int64).ravel().tolist()
    # a power of two, so that few programs are compiled
    piece = min(AT_ONCE // len(sizes), max(1 << 10, 1 << (max(sizes) - 1).bit_length()))
    places = np.cumsum([out.tell(), *sizes]).tolist()
    for done in range(0, max(sizes), piece):
        data = np.frombuffer(own.read(piece), np.uint8)
        found = _arrays(np.pad(data, (0, piece - len(data))))
        for each, size_of_it, place in zip(found, sizes, places, strict=False):
            if done < size_of_it:
                out.seek(place + done)
                out.write(each[: size_of_it - done].data)
    out.seek(places[-1])
    return sizes


def everyones(own: bytes) -> list[bytes]:
    """What each process says, in the order of the processes. All call it together."""
    out = BytesIO()
    sizes = gathered(BytesIO(own), out)
    out.seek(0)
    return [out.read(size) for size in sizes]


def require_same(facts: Mapping[str, object]) -> None:
    """Refuse processes that differ in a fact. All call it together. The error names what differs.

    Raises:
        SettingError: in every process.
    """
    hashes = {name: hashlib.sha256(repr(fact).encode()).hexdigest() for name, fact in facts.items()}
    said = [json.loads(each) for each in everyones(json.dumps(hashes).encode())]
    names = dict.fromkeys(name for each in said for name in each)
    differ = [name for name in names if len({each.get(name) for each in said}) > 1]
    known = [name for name in differ if all(name in each for each in said)]
    if differ:
        remedy = "Give every process the same corpus and the same settings."
        named = " and ".join(known or differ)
        raise SettingError(f"The processes of this run differ in {named}. {remedy}")


def if_all_have(value: Result | None, name: str, together: bool) -> Result | None:
    """A value, if every process has one. Only those that work ``together`` ask the others."""
    if not together:
        return value
    require_same({name: True})
    return value if all(everyones(b"yes" if value is not None else b"")) else None


def all_done(work: Callable[[], Result]) -> Result:
    """The result of what each process does. If it fails, all raise the error of the first process.

    Raises:
        CorpusError: a process cannot read its text.
    """
    failed, results = "", []
    try:
        results.append(work())
    except CorpusError as error:
        failed = str(error)
    for said in everyones(failed.encode()):
        if said:
            raise CorpusError(said.decode())
    return results[0]


def readers_of(sizes: Sequence[int], processes: int) -> np.ndarray:
    """The process [parts] that reads each part: neighbouring parts, about equally many bytes.

    >>> readers_of([4, 4, 4, 1], processes=2).tolist()
    [0, 0, 1, 1]
    """
    middles = np.cumsum(sizes, dtype=np.float64) - np.array(sizes) / 2
    readers = (middles * processes / max(sum(sizes), 1)).astype(np.int64)
    return np.minimum(readers, processes - 1)


def checksum(
    part: tuple[str | None, int, int | None], wanted: Callable[[], bool]
) -> tuple[str, int]:
    """(SHA-256, bytes) of a part: a file, where it begins, and where it ends, if not at the end."""
    path, begin, end = str(part[0]), part[1], part[2]
    found, left = hashlib.sha256(), (end or sys.maxsize) - begin
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            while wanted() and (piece := file.read(min(left, 1 << 20))):
                found.update(piece)
                left -= len(piece)
            return found.hexdigest(), file.tell() - begin
    except OSError as error:
        cause = f"{path}: cannot be read: {error.strerror}"
        raise CorpusError(f"{cause}. Check the path and its permissions.") from error


def read_share(
    checksums: Callable[[], list[tuple[str, int]]],
    read: Callable[[slice], list[Result]],
    note: Callable[[Result], object],
) -> tuple[slice, list[Result], list[Any]]:
    """Read some of the parts of a text, if all processes have the same text.

    Args:
        checksums: () -> a checksum of every part, and its bytes.
        read: own parts -> what this process has read of each.
        note: result -> what the other processes have to know of it, as plain as JSON.

    Returns:
        The own parts, what was read of them, and the notes of all parts in their order.
    """
    parts = all_done(checksums)
    require_same({"corpus": parts})
    readers = readers_of([size for _, size in parts], how_many())
    own = slice(*np.searchsorted(readers, [own_number(), own_number() + 1]).tolist())
    found = all_done(lambda: read(own))
    said = everyones(json.dumps([note(part) for part in found]).encode())
    return own, found, [part for each in said for part in json.loads(each)]


def everyones_words(
    spell: Callable[[np.ndarray], list[str]],
    own: np.ndarray,
    counts: np.ndarray,
    places: np.ndarray,
) -> Iterator[tuple[bytes, np.ndarray, np.ndarray]]:
    """Some (words, counts, places) of each process at a time, until all have sent theirs.

    Args:
        spell: numbers -> words.
        own: [W] the numbers of the own words.
        counts: [W] int64 of the own words.
        places: [W] int64, where they are first met.

    Returns:
        Of each: words in UTF-8 with a newline behind each, counts, places.
    """
    sizes = [int(size) for size in everyones(b"%d" % len(counts))]
    for begin in range(0, max(sizes), WORDS):
        some = slice(begin, begin + WORDS)
        numbers = np.stack([counts[some], places[some]]).astype("<i8")
        words = "".join(f"{word}\n" for word in spell(own[some])).encode()
        said = everyones(numbers.tobytes() + words)
        for each, size in zip(said, sizes, strict=True):
            if (there := min(size - begin, WORDS)) > 0:
                told = np.frombuffer(each, "<i8", 2 * there).reshape(2, there)
                yield each[told.nbytes :], told[0], told[1]


def write_together(
    write: Callable[[IO[bytes], IO[bytes], int], tuple[int, bool]],
    kept: int,
    scratch: Callable[[], IO[bytes]],
    ids_out: IO[bytes],
    starts_out: IO[bytes],
) -> int:
    """Write the ids and the line starts of all processes, and return the number of ids.

    ``write(ids, starts, begin)`` writes the ``kept`` ids of this process, which stand behind
    ``begin`` others. It returns where they end, and whether a line begins there.
    """
    everyones_kept = [int(each) for each in everyones(b"%d" % kept)]
    before = everyones_kept[: own_number()]
    begin = np.array(sum(before), "<i8").tobytes()
    ids, starts = scratch(), scratch()
    starts.write(begin)  # of a line that begins in the share of an earlier process
    _, opens = write(ids, starts, sum(before))
    line_begins = False
    for words, said in zip(before, everyones(b"line" if opens else b""), strict=False):
        line_begins = bool(said) or (line_begins and not words)
    starts.seek(len(begin))
    own_line = starts.read(len(begin)) == begin
    starts.seek(0 if line_begins and kept and not own_line else len(begin))
    ids.seek(0)
    gathered(ids, ids_out)
    gathered(starts, starts_out)
    return sum(everyones_kept)
