"""Texts for benchmarks: fetched and checked, copied, or generated. Nothing uses the network."""

import hashlib
import zipfile
from pathlib import Path

import corpus
import numpy as np
import pytest

import w2vjax as w2v


def test_planted_text_has_its_analogies_and_neighbours() -> None:
    """Counts of words that stand within two words of each other answer the planted analogies."""
    sentences = list(corpus.planted_corpus(4000, seed=1))
    words = sorted({word for sentence in sentences for word in sentence})
    place = {word: at for at, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)), np.float32)
    for sentence in sentences:
        ids = [place[word] for word in sentence]
        for step in (1, 2):
            for left, right in zip(ids, ids[step:], strict=False):
                counts[left, right] += 1
                counts[right, left] += 1
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    vectors = w2v.Vectors(words, np.log1p(counts / expected).astype(np.float32))
    # measured 1.0
    assert w2v.evaluate_word_analogies(vectors, corpus.planted_analogies()).accuracy > 0.9
    # ties keep it from 1; .8 measured
    assert w2v.evaluate_word_pairs(vectors, corpus.planted_pairs()).spearman > 0.6


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a packed text8 of five words, and a source that describes it."""
    folder = tmp_path / "local"
    folder.mkdir()
    with zipfile.ZipFile(folder / "text8.zip", "w") as archive:
        archive.writestr("text8", "a rose is a rose")
    md5 = hashlib.md5(b"a rose is a rose").hexdigest()
    monkeypatch.setitem(corpus.SOURCES, "text8", corpus.SOURCES["text8"]._replace(size=16, md5=md5))
    return folder


def test_fetch_takes_local_files_and_checks_them(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corpus.fetch("text8", tmp_path / "into", local)
    assert path.read_text() == "a rose is a rose"
    path.write_text("a rose is a nose")
    with pytest.raises(corpus.FetchFailed, match="has MD5"):
        corpus.fetch("text8", tmp_path / "into", local)
    path.write_text("a rose")
    with pytest.raises(corpus.FetchFailed, match="6 bytes, not 16"):
        corpus.fetch("text8", tmp_path / "into", local)
    with pytest.raises(corpus.FetchFailed, match="has no questions-words"):
        corpus.fetch("google", tmp_path / "into", local)
    monkeypatch.setitem(corpus.SOURCES, "text8", corpus.SOURCES["text8"]._replace(md5="0" * 32))
    with pytest.raises(corpus.FetchFailed, match="has MD5"):
        corpus.fetch("text8", tmp_path / "other", local)
    assert list((tmp_path / "other").iterdir()) == [], "a damaged file was left"


def test_no_network_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(corpus.urllib.request, "urlopen", refuse)
    with pytest.raises(corpus.FetchFailed, match="give its folder with --from"):
        corpus.fetch("text8", tmp_path)


def by_address(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setitem(
        corpus.SOURCES, "text8", corpus.SOURCES["text8"]._replace(address=path.as_uri())
    )


def test_fetch_by_address(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's address takes the same way as a network's."""
    by_address(monkeypatch, local / "text8.zip")
    assert corpus.main(["fetch", "text8", "--into", str(tmp_path / "into")]) == 0
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["text8"]
    assert (tmp_path / "into" / "text8").read_text() == "a rose is a rose"
    assert "MD5 as http" in capsys.readouterr().out
    monkeypatch.setitem(corpus.SOURCES, "text8", corpus.SOURCES["text8"]._replace(md5=None))
    assert corpus.main(["fetch", "text8", "--into", str(tmp_path / "into")]) == 0
    said = capsys.readouterr().out
    assert hashlib.sha256(b"a rose is a rose").hexdigest() in said
    assert "no published checksum" in said


def damaged(path: Path, how: str) -> None:
    """The archive with one bit of its member flipped, cut off, or with another member."""
    data = bytearray(path.read_bytes())
    if how == "bit":
        data[data.index(b"rose")] ^= 1
    elif how == "cut":
        del data[len(data) // 2 :]
    path.write_bytes(data)
    if how == "other":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("text9", "a rose is a rose")


@pytest.mark.parametrize(
    ("how", "message"),
    [("bit", "cannot be unpacked"), ("cut", "bytes, not 16"), ("other", "cannot be unpacked")],
)
def test_a_damaged_download_is_refused(
    local: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    how: str,
    message: str,
) -> None:
    damaged(local / "text8.zip", how)
    by_address(monkeypatch, local / "text8.zip")
    assert corpus.main(["fetch", "text8", "--into", str(tmp_path / "into")]) == 1
    assert message in capsys.readouterr().err
    assert list((tmp_path / "into").iterdir()) == [], "a damaged file was left"


def test_planted_files_are_what_the_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "some" / "planted.txt"
    assert corpus.main(["planted", str(path), "--sentences", "300"]) == 0
    assert [len(line.split()) for line in path.read_text().splitlines()] == [12] * 300
    words = sorted({word for line in path.read_text().splitlines() for word in line.split()})
    vectors = w2v.Vectors(
        words, np.random.default_rng(0).standard_normal((len(words), 8)).astype(np.float32)
    )
    folder = tmp_path / "some" / "planted"
    assert w2v.evaluate_word_pairs(vectors, folder / "planted-pairs.tsv").coverage == 1
    assert len(w2v.evaluation.read_word_analogies(folder / "planted-analogies.txt")) == 6
