"""Ids on disk: a corpus as two memory-mapped files, made once and used again."""

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from w2vjax import files
from w2vjax.corpus import sources
from w2vjax.corpus.count import check_counts, rank, spelled
from w2vjax.corpus.scan import Seen, renumber, scan
from w2vjax.corpus.sources import READING, Reading, Source, TextSource, is_text
from w2vjax.corpus.tokenizers import Tokenizer, tokenize_whitespace
from w2vjax.data import machine_learning_text
from w2vjax.errors import CorpusError, FileError, SettingError, W2VError, shown
from w2vjax.files import AnyPath, atomic_files, scratch_files, sha256_of, temporary_folder
from w2vjax.processes.exchange import if_all_have
from w2vjax.threads import in_order
from w2vjax.vocab import Report, Vocab, require_chosen_by

FORMAT = 2  # to be raised when the files, or what is a word, change; older files are made again
USUAL_MIN_COUNT = 5
ENDS = 1 << 20  # bytes at each end of a source file whose hash shows a change of the file

Recorded: TypeAlias = dict[str, Any]
Marks: TypeAlias = list[list[Any]]
Read: TypeAlias = Callable[..., Seen]


class Encoded(NamedTuple):
    """A source as ids of a vocabulary.

    Attributes:
        ids: [N] int32, read-only memory map: every kept token, in the order of the text.
        starts: [S] int64, read-only memory map, rising: the places in ids where lines begin.
        report: what was kept and dropped.
    """

    ids: np.ndarray
    starts: np.ndarray
    report: Report


class Corpus(NamedTuple):
    """What training reads: a vocabulary, and a source as its ids.

    Attributes:
        vocab: words and counts [V], frequent words first.
        ids: [N] int32, read-only memory map: every kept token, in the order of the text.
        starts: [S] int64, read-only memory map, rising: the places in ids where lines begin.
        digest: the SHA-256 of the other three, which a checkpoint compares.
        reused: whether the cache held the files already.
    """

    vocab: Vocab
    ids: np.ndarray
    starts: np.ndarray
    digest: str
    reused: bool

    def __repr__(self) -> str:
        sizes = f"{len(self.vocab):,} words, {len(self.ids):,} tokens, {len(self.starts):,} lines"
        return f"Corpus({sizes})"

    @property
    def counts(self) -> np.ndarray:
        """[V] int64: how often each word occurs."""
        return np.asarray(self.vocab.counts)

    @property
    def report(self) -> Report:
        """What was kept and dropped."""
        if self.vocab.report is None:
            cause = "The vocabulary of this corpus comes without a report"
            raise SettingError(f"{cause}. Make the corpus by prepare.")
        return self.vocab.report


def encode(
    source: Source,
    vocab: Vocab,
    path: AnyPath,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
) -> Encoded:
    """Write a source as ids of a vocabulary. Words that it lacks are left out.

    Args:
        source: files, folders or token lists; see :mod:`w2vjax.corpus`.
        vocab: the words.
        path: the file for the ids. The line starts go to ``path.starts``.
        tokenizer: a function from a line to its words. Default: words between white space.
        reading: how files are read.

    Raises:
        CorpusError: the source cannot be read, or holds no word of the vocabulary.
        FileError: a file cannot be written.
        SettingError: ``vocab`` is no vocabulary, or ``path`` no path.

    >>> import tempfile
    >>> vocab, path = Vocab(("a", "rose"), [2, 2]), tempfile.mkdtemp() + "/rose.ids"
    >>> encoded = encode([["a", "rose", "is"], ["a", "rose"]], vocab, path)
    >>> encoded.ids.tolist(), encoded.starts.tolist()
    ([0, 1, 0, 1], [0, 2])
    """
    _require_vocab(vocab)
    sources.check_reading(reading)
    target = files.as_path(path)
    starts_path = target.with_name(target.name + ".starts")
    sources.keep_text(source, target, starts_path)
    made = atomic_files([target, starts_path])
    with scratch_files(target.parent) as scratch, made as (ids_out, starts_out):
        seen = scan(source, tokenizer, reading.without(target, starts_path), scratch)
        met = np.flatnonzero(seen.counts)
        ids_of = np.full(len(seen.counts), -1, np.int32)
        ids_of[met] = [vocab.ids.get(word, -1) for word in seen.spell(met)]
        kept = renumber(seen, ids_of, ids_out, starts_out)
        if not kept:
            cause = f"None of the {seen.tokens:,} tokens of the corpus is among the vocabulary's"
            remedy = "Check that corpus, tokenizer and vocabulary belong together."
            raise CorpusError(f"{cause} {len(vocab):,} words. {remedy}")
    words = int(np.count_nonzero(ids_of >= 0))
    report = Report(seen.lines, words, len(met) - words, kept, seen.tokens - kept)
    return Encoded(*mapped(target, starts_path), report)


def mapped(ids: Path, starts: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read-only maps of two files that were written."""
    try:
        return np.memmap(ids, "<i4", "r"), np.memmap(starts, "<i8", "r")
    except OSError as error:
        cause = f"{ids} cannot be read: {error.strerror or error}"
        raise FileError(f"{cause}. Check the disk.") from error


def prepare(
    source: "Source | Corpus" = None,
    cache_dir: AnyPath | None = None,
    min_count: int | None = None,
    max_vocab: int | None = None,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
    vocab: Vocab | None = None,
) -> Corpus:
    """Vocabulary and ids of a source, in one pass over its text.

    The cache is used again if files, settings and version are the same. A file is the same if path,
    size, time of modification and the hash of its first and last MiB are. The checksums of the
    cache are compared, and a damaged cache is made again. Token lists, standard input and a
    tokenizer of your own are read every time, because nothing shows whether they have changed.

    Args:
        source: files, folders or token lists; see :mod:`w2vjax.corpus`. None is the built-in text.
        cache_dir: a folder that keeps the files, made if need be. Without it they are temporary.
        min_count: a word is kept if it occurs this many times. None is 5, or 1 for the built-in
            text.
        max_vocab: keep at most this many words, the most frequent ones.
        tokenizer: a function from a line to its words. Default: words between white space, and
            those of the post for the built-in text.
        reading: how files are read.
        vocab: words and counts to use as they are, instead of those that min_count chooses.

    Returns:
        The words and counts [V], and the text as ids [N] int32 and line starts [S] int64. A source
        that is a :class:`Corpus` is returned as it is.

    Raises:
        CorpusError: nothing can be read, or no word is frequent enough.
        FileError: the cache cannot be written.
        SettingError: a setting cannot work, or has no effect on a ``vocab`` or Corpus.

    >>> corpus = prepare([["a", "rose", "is", "a", "rose"], ["is", "it"]], min_count=2)
    >>> corpus.vocab.words, corpus.ids.tolist(), corpus.starts.tolist()
    (('a', 'rose', 'is'), [0, 1, 2, 0, 1, 2], [0, 5])
    >>> print(corpus.report)
    2 lines, 7 tokens of 4 words; kept 3 words (75.0%), 6 tokens (85.7%)
    >>> prepare([["it", "is", "a", "rose"]], vocab=corpus.vocab).ids.tolist()
    [2, 0, 1]
    """
    if source is None:  # the built-in text of 84 words
        from w2vjax.reference import tokenize  # JAX takes long to import

        tokenizer = tokenizer or tokenize
        min_count = 1 if min_count is None and vocab is None else min_count
    least = USUAL_MIN_COUNT if min_count is None else min_count
    check_counts(least, max_vocab)
    sources.check_reading(reading)
    if cache_dir is not None:
        files.as_path(cache_dir)
    if isinstance(source, Corpus):
        given = {"vocab": vocab, "cache": cache_dir, "tokenizer": tokenizer}
        given |= {name: getattr(reading, name) for name in ("encoding", "errors")}
        for name, value in given.items():
            if value not in (None, getattr(READING, name, None)):
                cause = f"{name}={shown(value)} has no effect on a Corpus, which is read already"
                raise SettingError(f"{cause}. Pass it to prepare, or leave it out.")
        require_chosen_by(source.vocab, min_count, max_vocab)
        return source
    if vocab is not None:
        _check_vocab(vocab, min_count, max_vocab, cache_dir)
        return _with_words_of(vocab, source, tokenizer, reading)
    reading = reading.without(cache_dir)
    settings = {
        "format": FORMAT,
        "min_count": int(least),
        "max_vocab": max_vocab and int(max_vocab),
        "tokenizer": _name(tokenizer),
        "errors": reading.errors,
        "source": _names(source, reading),
    }
    if not reading.is_utf8():
        settings["encoding"] = reading.encoding
    read = partial(scan, source, tokenizer, reading)
    if cache_dir is None:
        with temporary_folder() as folder:
            return _make(_paths(folder, settings), settings, None, read)
    return _cached(cache_dir, settings, source, read, reading)


def _cached(
    folder: AnyPath, settings: Recorded, source: Source, read: Read, reading: Reading
) -> Corpus:
    """The corpus that a folder keeps, made if it is missing, damaged or of another text."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        cause = f"{os.fspath(folder)!r} cannot be made: {error.strerror}"
        raise FileError(f"{cause}. Name a folder for the cache.") from error
    paths, marks = _paths(folder, settings), None
    if settings["tokenizer"] and settings["source"] and is_text(source):
        marks = _fingerprints(source, reading)
        # if one process lacks the cache, every process reads its share
        if corpus := if_all_have(_reuse(paths, settings, marks), "cache", reading.together):
            return corpus
    return _make(paths, settings, marks, read)


def _require_vocab(vocab: Vocab) -> None:
    if not isinstance(vocab, Vocab):
        raise SettingError(f"vocab={shown(vocab)} is no vocabulary. Pass Vocab.load(path).")


def _check_vocab(vocab: Vocab, min_count: int | None, max_vocab: int | None, cache: object) -> None:
    """Raise SettingError for a vocabulary that cannot be used, or not with the other settings."""
    _require_vocab(vocab)
    if cache is not None or max_vocab is not None:
        cause = "A vocab takes the place of one that is chosen or cached"
        raise SettingError(f"{cause}. Leave out max_vocab and cache.")
    if vocab.counts is None:
        cause = "The vocab has no counts, which training needs"
        raise SettingError(f"{cause}. Pass a vocabulary with counts.")
    require_chosen_by(vocab, min_count, None)


def _with_words_of(
    vocab: Vocab, source: Source, tokenizer: Tokenizer | None, reading: Reading
) -> Corpus:
    """A source as ids of a vocabulary that is there already. The report is of the source."""
    with temporary_folder() as folder:
        ids, starts = folder / "ids", folder / "ids.starts"
        report = encode(source, vocab, ids, tokenizer, reading).report
        hashes, vocab = [sha256_of(ids), sha256_of(starts)], replace(vocab, report=report)
        return _open([folder, ids, starts], vocab, hashes, reused=False)


def _name(tokenizer: Tokenizer | None) -> str | None:
    """The name of one of the package's tokenizers; None for a tokenizer of somebody else."""
    if tokenizer in (None, tokenize_whitespace):
        return "whitespace"
    # only the function itself: functools.wraps gives its name to others
    post = getattr(sys.modules.get("w2vjax.reference.one_hot"), "tokenize", None)
    return "w2vjax.reference.tokenize" if tokenizer is post else None


def _names(source: Source, reading: Reading) -> list[str] | None:
    """The files of a source; None if nothing shows whether it has changed."""
    if source is None:
        return ["the built-in text"]
    found = sources.parts(source, reading) if is_text(source) else []
    return [os.path.abspath(str(part.path)) for part in found] if sources.sizes_of(found) else None


def _fingerprints(source: TextSource, reading: Reading) -> Marks:
    """Size, time of modification and hash of both ends, for every file of a source."""
    if source is None:
        return [[hashlib.sha256(machine_learning_text().encode()).hexdigest()]]
    marks: Marks = []
    for path in sources.files(source, reading.leave_out):
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                ends = hashlib.sha256(file.read(ENDS))
                file.seek(max(file.tell(), status.st_size - ENDS))
                ends.update(file.read(ENDS))
        except OSError as error:
            sources.refuse_unreadable(error)
        marks.append([status.st_size, status.st_mtime_ns, ends.hexdigest()])
    return marks


def _paths(folder: AnyPath, settings: Recorded) -> list[Path]:
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    return [Path(folder, f"corpus-{key}.{kind}") for kind in ("json", "ids", "starts")]


def _make(paths: list[Path], settings: Recorded, marks: Marks | None, read: Read) -> Corpus:
    """Read the source and write the three files, which appear together or not at all."""
    with scratch_files(paths[0].parent) as scratch, atomic_files(paths) as (manifest, ids, starts):
        seen = read(scratch)
        kept, dropped, ids_of = rank(seen, settings["min_count"], settings["max_vocab"])

        def words() -> tuple[Vocab, str]:
            vocab = spelled(seen, kept, dropped, settings["min_count"])
            counts, rare = np.asarray(vocab.counts).tolist(), vocab.dropped
            return vocab, json.dumps([vocab.words, counts, [*rare], [*rare.values()], vocab.report])

        def to_disk() -> None:
            for file in (ids, starts):
                os.fsync(file.fileno())

        def checksums() -> list[str]:
            return [sha256_of(ids.name), sha256_of(starts.name)]

        renumber(seen, ids_of, ids, starts)
        for file in (ids, starts):
            file.flush()
        # words() holds Python's lock: renumber would wait for it, a disk and a checksum do not
        calls: list[tuple[Callable[[], Any]]] = [(words,), (to_disk,), (checksums,)]
        threads = 3 if seen.threads > 1 else 1
        (vocab, record), _, hashes = in_order(lambda call: call(), calls, threads)
        # the first line is a checksum, which shows a flipped bit in a word
        data = f"[{json.dumps([settings, marks, hashes])}, {record}]".encode()
        manifest.write(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
    return _open(paths, vocab, hashes, reused=False)


def _reuse(paths: list[Path], settings: Recorded, marks: Marks) -> Corpus | None:
    """The corpus of an earlier run, if it was made from the same text and is whole."""
    paths = files.settled(paths)
    if not os.path.exists(paths[0]):
        return None
    try:
        checksum, _, data = paths[0].read_bytes().partition(b"\n")
        if hashlib.sha256(data).hexdigest().encode() != checksum:
            raise ValueError(f"{paths[0].name} does not match its checksum")
        (*made_of, hashes), (words, counts, *dropped, report) = json.loads(data)
        if made_of != [settings, marks]:
            return None
        for path, expected in zip(paths[1:], hashes, strict=True):
            if sha256_of(path) != expected:
                raise ValueError(f"{path.name} does not match its checksum")
        known, least = dict(zip(*dropped, strict=True)), max(settings["min_count"], 1)
        vocab = Vocab(words, counts, least, known, Report(*report))
        return _open(paths, vocab, hashes, reused=True)
    except (OSError, RecursionError, TypeError, ValueError, W2VError) as error:
        told = f"The prepared corpus in {paths[0].parent} is damaged and is made again"
        warnings.warn(f"{told}: {str(error).rstrip('.')}.", stacklevel=3)
        return None


def _open(paths: list[Path], vocab: Vocab, hashes: list[str], reused: bool) -> Corpus:
    text = "".join(vocab.words).encode("utf-8", "surrogatepass")
    sizes = [
        len(word) if word.isascii() else len(word.encode("utf-8", "surrogatepass"))
        for word in vocab.words
    ]
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    digest = hashlib.sha256("".join(hashes).encode() + text + offsets.tobytes())
    digest.update(np.asarray(vocab.counts).tobytes())
    return Corpus(vocab, *mapped(*paths[1:]), digest.hexdigest(), reused)
