"""Ids on disk: a corpus as two memory-mapped files that are made once and used again."""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from w2vjax.corpus.count import check_counts, choose
from w2vjax.corpus.scan import renumber, scan
from w2vjax.corpus.sources import READING, Reading, Source, TextSource, builtin, files, is_text
from w2vjax.corpus.tokenizers import Tokenizer, tokenize_whitespace
from w2vjax.errors import CorpusError, FileError, SettingError
from w2vjax.files import atomic_files, settled, sha256_of
from w2vjax.vocab import Report, Vocab

FORMAT = 1  # raised when the files, or what is a word, change: older ones are then made again
USUAL_MIN_COUNT = 5  # for a text
ENDS = 1 << 20  # bytes at each end of a source file whose hash tells whether it has changed


class Encoded(NamedTuple):
    """A source as ids. ``ids`` [N] int32; ``starts`` [S] int64, where in ids the lines begin; both
    read-only maps.
    """

    ids: np.ndarray
    starts: np.ndarray
    report: Report


class Corpus(NamedTuple):
    """What training reads: :class:`Encoded` with its vocabulary. ``digest`` is the SHA-256 of all
    three.
    """

    vocab: Vocab
    ids: np.ndarray  # [N] int32, a read-only memory map
    starts: np.ndarray  # [S] int64, a read-only memory map
    digest: str
    reused: bool  # the files were there already

    @property
    def counts(self) -> np.ndarray:
        """[V] int64: how often each word occurs. :func:`prepare` refuses a vocabulary without
        counts.
        """
        return np.asarray(self.vocab.counts)

    @property
    def report(self) -> Report:
        """What was kept and dropped, which the vocabulary knows."""
        report = self.vocab.report
        if report is None:
            raise SettingError(
                "The vocabulary of this corpus comes without a report. Make the corpus by prepare."
            )
        return report


def encode(
    source: Source,
    vocab: Vocab,
    path: str | os.PathLike[str],
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
) -> Encoded:
    """Write a source as ids of ``vocab`` to ``path`` and its line starts to ``path.starts``; other
    words are left out.

    Raises :class:`~w2vjax.errors.CorpusError` if the source cannot be read or holds no word of the
    vocabulary.

    >>> vocab = Vocab(("a", "rose"), [2, 2])
    >>> encoded = encode([["a", "rose", "is"], ["a", "rose"]], vocab, tempfile.mkdtemp() + "/rose.ids")
    >>> encoded.ids.tolist(), encoded.starts.tolist()
    ([0, 1, 0, 1], [0, 2])
    """
    target = Path(path)
    beside = target.with_name(target.name + ".starts")
    with (
        _scratch(target.parent) as numbers,
        _scratch(target.parent) as starts,
        atomic_files([target, beside]) as (ids_out, starts_out),
    ):
        seen = scan(source, tokenizer, reading, numbers, starts)
        met = np.flatnonzero(seen.counts)
        ids_of = np.full(len(seen.counts), -1, np.int32)
        ids_of[met] = [vocab.ids.get(word, -1) for word in seen.spell(met)]
        kept = renumber(numbers, starts, ids_of, ids_out, starts_out)
        if not kept:
            raise CorpusError(
                f"None of the {seen.tokens:,} tokens of the corpus is among the vocabulary's "
                f"{len(vocab):,} words. "
                "Check that corpus, tokenizer and vocabulary belong together."
            )
    words = int(np.count_nonzero(ids_of >= 0))
    report = Report(seen.lines, words, len(met) - words, kept, seen.tokens - kept)
    return Encoded(_mapped(target, "<i4"), _mapped(beside, "<i8"), report)


def prepare(
    source: "Source | Corpus" = None,
    cache_dir: str | os.PathLike[str] | None = None,
    min_count: int | None = None,
    max_vocab: int | None = None,
    tokenizer: Tokenizer | None = None,
    reading: Reading = READING,
    vocab: Vocab | None = None,
) -> Corpus:
    """Vocabulary and ids of a source, in one pass over its text.

    With a ``cache_dir`` (made if need be) the files stay there and are used again when files,
    settings and version are the same: paths, sizes, modification times and the hash of the first
    and last MiB of every file. They are checked against their checksums first, and made anew if
    damaged. Token lists, standard input and tokenizers other than the package's own are read every
    time, for nothing tells whether they have changed. Without a ``cache_dir`` the files are
    temporary and go when the corpus does.

    ``min_count``: None is 5. ``vocab``: words and counts to use as they are, as ``Vocab.load``
    reads them, in place of what min_count and max_vocab would choose. A source that is a
    :class:`Corpus` already is returned as it is.

    Raises what :func:`build_vocab` raises, :class:`~w2vjax.errors.FileError` if the cache cannot be
    written, and :class:`~w2vjax.errors.SettingError` for a ``vocab`` with a cache, max_vocab or a
    Corpus, and for a min_count, max_vocab, tokenizer or cache that a Corpus or ``vocab`` was not
    made with.

    >>> corpus = prepare([["a", "rose", "is", "a", "rose"], ["is", "it"]], min_count=2)
    >>> corpus.vocab.words, corpus.ids.tolist(), corpus.starts.tolist()
    (('a', 'rose', 'is'), [0, 1, 2, 0, 1, 2], [0, 5])
    >>> print(corpus.report)
    2 lines, 7 tokens of 4 words; kept 3 words (75.0%), 6 tokens (85.7%)
    >>> prepare([["it", "is", "a", "rose"]], vocab=corpus.vocab).ids.tolist()
    [2, 0, 1]
    """
    least = USUAL_MIN_COUNT if min_count is None else min_count
    check_counts(least, max_vocab)
    if vocab is not None and (
        isinstance(source, Corpus) or cache_dir is not None or max_vocab is not None
    ):
        raise SettingError(
            "A vocab takes the place of one that is chosen, cached or in a Corpus. Leave out "
            "max_vocab and cache, and pass the text."
        )
    if isinstance(source, Corpus):
        if tokenizer is not None or cache_dir is not None:
            name, value = (
                ("cache", cache_dir)
                if tokenizer is None
                else ("tokenizer", _name(tokenizer) or tokenizer)
            )
            raise SettingError(
                f"{name}={value!r} has no effect on a Corpus, whose text is read already. "
                f"Pass it to prepare, or leave it out."
            )
        require_chosen_by(source.vocab, min_count, max_vocab)
        return source
    if vocab is not None:
        if vocab.counts is None:
            raise SettingError(
                "The vocab has no counts, which training needs. Pass a vocabulary with counts."
            )
        require_chosen_by(vocab, min_count, None)
        return _with_words_of(vocab, source, tokenizer, reading)
    settings = {
        "format": FORMAT,
        "min_count": int(least),
        "max_vocab": max_vocab and int(max_vocab),
        "tokenizer": _name(tokenizer),
        "errors": reading.errors,
        "source": _names(source),
    }
    if cache_dir is None:
        with tempfile.TemporaryDirectory(prefix="w2vjax-", ignore_cleanup_errors=True) as temporary:
            paths = _paths(temporary, settings)
            return _make(
                paths, settings, None, source, tokenizer, reading
            )  # the maps outlive their files' names
    try:
        os.makedirs(cache_dir, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{os.fspath(cache_dir)} cannot be made: {error.strerror}. Name a folder for the cache."
        ) from error
    paths = _paths(cache_dir, settings)
    marks = (
        _fingerprints(source)
        if settings["tokenizer"] and settings["source"] and is_text(source)
        else None
    )
    if marks is not None and (corpus := _reuse(paths, settings, marks)):
        return corpus
    return _make(paths, settings, marks, source, tokenizer, reading)


def chosen_by(vocab: Vocab) -> tuple[int, int | None]:
    """(min_count, max_vocab) that explain which words are in a vocabulary; None where no word was
    left out for room.

    >>> chosen_by(prepare([["a", "rose", "is", "a", "rose"]], min_count=1, max_vocab=2).vocab)
    (1, 2)
    """
    frequent = max(vocab.dropped.values(), default=0) >= vocab.min_count
    return vocab.min_count, len(vocab) if frequent else None


def require_chosen_by(vocab: Vocab, min_count: int | None, max_vocab: int | None) -> None:
    """Raise :class:`~w2vjax.errors.SettingError` for numbers that would have chosen other words;
    None is not asked.
    """
    least, most = chosen_by(vocab)
    if min_count is not None and max(min_count, 1) != max(least, 1):
        raise SettingError(
            f"min_count={min_count} has no effect on a vocabulary that is there already, chosen by "
            f"min_count={least}. "
            "Leave min_count out, or prepare the corpus with it."
        )
    if max_vocab is not None and (len(vocab) > max_vocab or (most or max_vocab) < max_vocab):
        raise SettingError(
            f"max_vocab={max_vocab} has no effect on a vocabulary that is there already, of "
            f"{len(vocab):,} words. "
            "Leave max_vocab out, or prepare the corpus with it."
        )


def _with_words_of(
    vocab: Vocab, source: Source, tokenizer: Tokenizer | None, reading: Reading
) -> Corpus:
    """A source as ids of a vocabulary that is there already; the report is that of the source."""
    with tempfile.TemporaryDirectory(prefix="w2vjax-", ignore_cleanup_errors=True) as folder:
        ids, starts = Path(folder, "ids"), Path(folder, "ids.starts")
        report = encode(source, vocab, ids, tokenizer, reading).report
        hashes = [sha256_of(ids), sha256_of(starts)]
        # the maps outlive their files' names
        return _open(
            [Path(folder), ids, starts], replace(vocab, report=report), hashes, reused=False
        )


def _name(tokenizer: Tokenizer | None) -> str | None:
    """A name for the tokenizers whose behaviour a name settles: the package's own."""
    if tokenizer in (None, tokenize_whitespace):
        return "whitespace"
    name = f"{getattr(tokenizer, '__module__', '')}.{getattr(tokenizer, '__qualname__', '')}"
    return "w2vjax.reference.tokenize" if name == "w2vjax.reference.one_hot.tokenize" else None


def _names(source: Source) -> list[str] | None:
    """What a text source is read from; None where nothing can tell whether it has changed."""
    if source is None:
        return ["the built-in text"]
    names = files(source) if is_text(source) and source is not None else []
    return (
        [os.path.abspath(name) for name in names]
        if names and all(map(os.path.isfile, names))
        else None
    )


def _fingerprints(source: TextSource) -> list[list[Any]]:
    """Size, time of modification and hash of both ends, for every file of a source."""
    if source is None:
        return [[hashlib.sha256(piece).hexdigest() for piece in builtin()]]
    marks: list[list[Any]] = []
    for path in files(source):
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                ends = hashlib.sha256(file.read(ENDS))
                file.seek(max(file.tell(), status.st_size - ENDS))
                ends.update(file.read(ENDS))
        except OSError as error:
            raise CorpusError(
                f"{path}: cannot be read: {error.strerror}. Check its permissions."
            ) from error
        marks.append([status.st_size, status.st_mtime_ns, ends.hexdigest()])
    return marks


def _paths(folder: str | os.PathLike[str], settings: dict[str, Any]) -> list[Path]:
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    return [Path(folder, f"corpus-{key}.{kind}") for kind in ("json", "ids", "starts")]


def _make(
    paths: list[Path],
    settings: dict[str, Any],
    marks: list[list[Any]] | None,
    source: Source,
    tokenizer: Tokenizer | None,
    reading: Reading,
) -> Corpus:
    """Read the source and write the three files, which appear together or not at all."""
    folder = paths[0].parent
    with (
        _scratch(folder) as numbers,
        _scratch(folder) as begins,
        atomic_files(paths) as (manifest, ids, starts),
    ):
        seen = scan(source, tokenizer, reading, numbers, begins)
        vocab, ids_of = choose(seen, settings["min_count"], settings["max_vocab"])
        renumber(numbers, begins, ids_of, ids, starts)
        hashes = []
        for file in (ids, starts):
            file.flush()
            hashes.append(sha256_of(file.name))
        manifest.write(
            _signed(
                {
                    "settings": settings,
                    "files": marks,
                    "sha256": hashes,
                    "report": vocab.report,
                    "words": vocab.words,
                    "counts": np.asarray(vocab.counts).tolist(),
                    "dropped": vocab.dropped,
                }
            )
        )
    return _open(paths, vocab, hashes, reused=False)


def _signed(record: dict[str, Any]) -> bytes:
    """JSON with its own checksum on the line before it: one flipped bit in a word would otherwise
    go unseen.
    """
    data = json.dumps(record).encode()
    return hashlib.sha256(data).hexdigest().encode() + b"\n" + data


def _manifest(path: Path) -> dict[str, Any]:
    """Raises ValueError if the manifest is not what was written."""
    checksum, _, data = path.read_bytes().partition(b"\n")
    if hashlib.sha256(data).hexdigest().encode() != checksum:
        raise ValueError(f"{path.name} does not match its checksum")
    record: dict[str, Any] = json.loads(data)
    return record


def _reuse(paths: list[Path], settings: dict[str, Any], marks: list[list[Any]]) -> Corpus | None:
    """The corpus that was made before, if it was made from the same and is whole."""
    paths = settled(paths)
    if not paths[0].exists():
        return None
    try:
        record = _manifest(paths[0])
        if record["settings"] != settings or record["files"] != marks:
            return None
        for path, expected in zip(paths[1:], record["sha256"], strict=True):
            if sha256_of(path) != expected:
                raise ValueError(f"{path.name} does not match its checksum")
    except (ValueError, OSError) as error:
        warnings.warn(
            f"The prepared corpus in {paths[0].parent} is damaged and is made again: {error}.",
            stacklevel=3,
        )
        return None
    counts, report = np.array(record["counts"], np.int64), Report(*record["report"])
    vocab = Vocab(
        tuple(record["words"]), counts, max(settings["min_count"], 1), record["dropped"], report
    )
    return _open(paths, vocab, record["sha256"], reused=True)


def _open(paths: list[Path], vocab: Vocab, hashes: list[str], reused: bool) -> Corpus:
    words = [word.encode("utf-8", "surrogatepass") for word in vocab.words]
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    digest = hashlib.sha256("".join(hashes).encode() + b"".join(words) + offsets.tobytes())
    digest.update(np.asarray(vocab.counts).tobytes())
    ids, starts = _mapped(paths[1], "<i4"), _mapped(paths[2], "<i8")
    return Corpus(vocab, ids, starts, digest.hexdigest(), reused)


def _mapped(path: Path, dtype: str) -> np.ndarray:
    return np.memmap(path, dtype, mode="r")


@contextmanager
def _scratch(folder: Path) -> Iterator[IO[bytes]]:
    """A file for the numbers of the first pass, without a name: it is gone when it is closed, or
    the process.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        raise FileError(
            f"{folder} cannot be written to: {error.strerror}. Name another folder."
        ) from error
    with file:
        yield file
