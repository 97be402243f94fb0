"""Texts and evaluation sets: public ones, fetched or copied, and a generated one with analogies.

    python benchmarks/corpus.py list
    python benchmarks/corpus.py fetch text8 google --into local/data
    python benchmarks/corpus.py fetch text8 --into local/data --from ~/downloads   no network
    python benchmarks/corpus.py planted local/planted.txt --sentences 100000

A file that is already there is not fetched again. Where its publisher states a checksum it is
compared, with the publisher's page as its source; where none is stated, none is made up, and the
SHA-256 found is printed.
"""

import argparse
import hashlib
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np


class FetchFailed(Exception):
    """A file cannot be had, or is not the one its publisher describes."""


class Source(NamedTuple):
    """A public file. ``md5`` is that of the unpacked file at ``published``, or None."""

    file: str
    address: str
    about: str
    size: int | None = None  # bytes after unpacking
    md5: str | None = None
    published: str = ""  # where size and checksum are stated


MAHONEY = "http://mattmahoney.net/dc/"
TEST_DATA = MAHONEY + "textdata.html"
GENSIM = "https://raw.githubusercontent.com/piskvorky/gensim/develop/gensim/test/test_data/"
MIKOLOV = "https://raw.githubusercontent.com/tmikolov/word2vec/master/"
TEXT8 = "17 million words of English Wikipedia, lower case, one endless line"
ENWIK9 = "the first 10^9 bytes of the English Wikipedia of 3 March 2006, XML"
WORDSIM = "353 word pairs (Finkelstein et al. 2002)"
SIMLEX = "999 word pairs (Hill, Reichart, Korhonen 2015)"
GOOGLE, ANALOGIES = "questions-words.txt", "19,544 analogies (Mikolov et al. 2013)"
ENWIK9_MD5 = "e206c3450ac99950df65bf70ef61a12d"
SOURCES = {
    "text8": Source("text8", MAHONEY + "text8.zip", TEXT8, 10**8, None, TEST_DATA),
    "enwik9": Source("enwik9", MAHONEY + "enwik9.zip", ENWIK9, 10**9, ENWIK9_MD5, TEST_DATA),
    "google": Source(GOOGLE, MIKOLOV + GOOGLE, ANALOGIES),
    "wordsim353": Source("wordsim353.tsv", GENSIM + "wordsim353.tsv", WORDSIM),
    "simlex999": Source("simlex999.tsv", GENSIM + "simlex999.txt", SIMLEX),
}


def digests(path: Path) -> tuple[str, str]:
    """(MD5, SHA-256) of a file, in constant memory."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
    return md5.hexdigest(), sha256.hexdigest()


def check(name: str, path: Path, source: Source) -> str:
    """The file's SHA-256; raises :class:`FetchFailed` if size or MD5 are not the published ones."""
    size = path.stat().st_size
    if size == 0 or (source.size is not None and size != source.size):
        raise FetchFailed(
            f"{name}: {path} has {size:,} bytes, not {source.size or 'some'}. Remove it and fetch "
            "again."
        )
    md5, sha256 = digests(path)
    if source.md5 is not None and md5 != source.md5:
        raise FetchFailed(
            f"{name}: {path} has MD5 {md5}, {source.published} says {source.md5}. Remove it."
        )
    return sha256


def fetch(name: str, into: Path, local: Path | None = None) -> Path:
    """The path of a public file in ``into``. If it is absent it is copied or fetched first."""
    if name not in SOURCES:
        raise FetchFailed(f"There is no {name!r}. It is one of: {', '.join(SOURCES)}.")
    source = SOURCES[name]
    target = into / source.file
    if not target.is_file():
        into.mkdir(parents=True, exist_ok=True)
        packed = into / (source.address.rsplit("/", 1)[1] + ".part")
        try:
            if local is not None:
                _take(name, local, source, packed)
            else:
                _download(name, source, packed)
            fresh = into / (source.file + ".part2")
            _unpack(name, packed, source, fresh)
            check(name, fresh, source)
            fresh.replace(target)
        finally:
            packed.unlink(missing_ok=True)
            (into / (source.file + ".part2")).unlink(missing_ok=True)
    sha256 = check(name, target, source)
    said = f"MD5 as {source.published} says" if source.md5 else "no published checksum"
    print(f"{name}: {target} ({target.stat().st_size:,} bytes, SHA-256 {sha256}; {said})")
    return target


def _unpack(name: str, packed: Path, source: Source, fresh: Path) -> None:
    if not zipfile.is_zipfile(packed):
        shutil.copyfile(packed, fresh)
        return
    try:
        with (
            zipfile.ZipFile(packed) as archive,
            archive.open(source.file) as member,
            open(fresh, "wb") as file,
        ):
            shutil.copyfileobj(member, file, 1 << 20)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FetchFailed(
            f"{name}: {source.file} cannot be unpacked: {error}. Fetch it again."
        ) from error


def _take(name: str, local: Path, source: Source, packed: Path) -> None:
    for candidate in (source.file, source.address.rsplit("/", 1)[1]):
        if (local / candidate).is_file():
            shutil.copyfile(local / candidate, packed)
            return
    raise FetchFailed(
        f"{name}: {local} has no {source.file}. Put it there, or fetch without --from."
    )


def _download(name: str, source: Source, packed: Path) -> None:
    try:
        with (
            urllib.request.urlopen(source.address, timeout=60) as answer,
            open(packed, "wb") as file,
        ):
            shutil.copyfileobj(answer, file, 1 << 20)
    except (urllib.error.URLError, OSError) as error:
        raise FetchFailed(
            f"{name}: {source.address} cannot be read: {error}. Fetch it elsewhere and give its "
            "folder with --from."
        ) from error


# The generated text. A word stands for an entity in a role ("capital of 7"). Around it stand words
# that only its entity uses and words that only its role uses. So words of one entity share half of
# their contexts, words of one role the other half, and entity and role add up: role1 of A is to
# role2 of A as role1 of B is to role2 of B.
ROLES = ("land", "city", "river", "people")
ENTITIES = 20
CONTEXTS = 6  # words of each entity and of each role
FILLERS = 300


def word(role: str, entity: int) -> str:
    return f"{role}{entity}"


def planted_corpus(sentences: int, seed: int = 0) -> Iterator[list[str]]:
    """Sentences of 12 words: fillers by Zipf's law, and planted words of an entity and a role.

    >>> next(planted_corpus(1)) == next(planted_corpus(1))
    True
    """
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(2, FILLERS + 2)
    for _ in range(sentences):
        role, entity = int(rng.integers(len(ROLES))), int(rng.integers(ENTITIES))
        near = [f"of{entity}x{i}" for i in rng.integers(CONTEXTS, size=2)]
        near += [f"{ROLES[role]}ly{i}" for i in rng.integers(CONTEXTS, size=2)]
        near = [near[i] for i in rng.permutation(4)]
        fillers = [f"filler{i}" for i in rng.choice(FILLERS, size=7, p=frequency / frequency.sum())]
        yield [*fillers[:3], *near[:2], word(ROLES[role], entity), *near[2:], *fillers[3:]]


def planted_analogies() -> dict[str, list[tuple[str, str, str, str]]]:
    """{section: questions}: a section for each pair of roles, five questions for each entity."""
    return {
        f"{first}-{second}": [
            (word(first, a), word(second, a), word(first, b), word(second, b))
            for a in range(ENTITIES)
            for b in ((a + step) % ENTITIES for step in range(1, 6))
        ]
        for place, first in enumerate(ROLES)
        for second in ROLES[place + 1 :]
    }


def planted_pairs() -> list[tuple[str, str, float]]:
    """Word pairs with the neighbours they were given. 1 means one entity or role, 0 neither."""
    pairs = [(word(ROLES[0], a), word(role, a), 1.0) for a in range(ENTITIES) for role in ROLES[1:]]
    pairs += [
        (word(role, a), word(role, (a + 1) % ENTITIES), 1.0)
        for a in range(ENTITIES)
        for role in ROLES
    ]
    apart = [
        (word(ROLES[r], a), word(ROLES[(r + 1) % 4], (a + 3) % ENTITIES), 0.0)
        for a in range(ENTITIES)
        for r in range(4)
    ]
    return pairs + apart


def write_planted(path: Path, eval_dir: Path, sentences: int, seed: int = 0) -> Path:
    """Write the text, one sentence a line, and its evaluation sets; returns ``eval_dir``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    eval_dir.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for sentence in planted_corpus(sentences, seed):
            file.write(" ".join(sentence) + "\n")
    lines = [f"{left}\t{right}\t{score}" for left, right, score in planted_pairs()]
    (eval_dir / "planted-pairs.tsv").write_text("\n".join(lines) + "\n")
    sections = [
        line
        for name, questions in planted_analogies().items()
        for line in [f": {name}", *map(" ".join, questions)]
    ]
    (eval_dir / "planted-analogies.txt").write_text("\n".join(sections) + "\n")
    return eval_dir


def text_parser(about: str | None) -> argparse.ArgumentParser:
    """A parser with options for texts and evaluation sets. ``about`` is its help."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=style)
    sets = "folder with wordsim353.tsv, simlex999.tsv, questions-words.txt"
    for name, about in {
        "corpus": "a long text, such as 100 MB of Wikipedia",
        "small-corpus": "a short text, such as its first 10 MB",
        "eval-dir": sets,
    }.items():
        parser.add_argument(f"--{name}", type=Path, help=about)
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what can be fetched")
    fetching = commands.add_parser("fetch", help="fetch public files")
    fetching.add_argument("names", nargs="+", choices=list(SOURCES), metavar="NAME")
    fetching.add_argument("--into", type=Path, default=Path("local/data"))
    fetching.add_argument(
        "--from", dest="local", type=Path, help="a folder that has them; no network is used"
    )
    planting = commands.add_parser("planted", help="generate a text with planted analogies")
    planting.add_argument("path", type=Path)
    planting.add_argument("--sentences", type=int, default=100_000)
    planting.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "list":
            for name, source in SOURCES.items():
                print(f"{name:<12}{source.about}\n{'':<12}{source.address}")
        elif arguments.command == "fetch":
            for name in arguments.names:
                fetch(name, arguments.into, arguments.local)
        else:
            folder = arguments.path.with_suffix("")
            write_planted(arguments.path, folder, arguments.sentences, arguments.seed)
            print(f"wrote {arguments.path}, and its pairs and analogies under {folder}")
    except FetchFailed as error:
        print(f"corpus.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
