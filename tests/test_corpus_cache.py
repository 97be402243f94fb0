"""Prepared corpora: equal text gives equal bytes, and a stale corpus is made again."""

import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from marks import slow

import w2vjax as w2v
from w2vjax.corpus.count import build_vocab
from w2vjax.corpus.encode import encode, prepare

TEXT = "to be or not to be\nthat is the question\nto be\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_prepare_is_build_vocab_and_encode(tmp_path, text):
    corpus = prepare(text, tmp_path / "cache", min_count=2)
    vocab = build_vocab(text, 2)
    encoded = encode(text, vocab, tmp_path / "ids")
    assert corpus.vocab == vocab
    assert corpus.vocab.report == vocab.report == corpus.report == encoded.report
    assert vocab.words == ("to", "be")
    assert corpus.ids.tolist() == encoded.ids.tolist() == [0, 1, 0, 1, 0, 1]
    assert corpus.starts.tolist() == encoded.starts.tolist() == [0, 4]
    assert (corpus.ids.dtype, corpus.starts.dtype) == (np.int32, np.int64)
    assert isinstance(corpus.ids, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        corpus.ids[0] = 1


def test_encode_with_another_vocabulary(tmp_path, text):
    vocab = w2v.Vocab(("question", "to", "elsewhere"), [1, 1, 1])
    encoded = encode(text, vocab, tmp_path / "ids")
    assert encoded.ids.tolist() == [1, 1, 0, 1]
    assert encoded.report == (3, 2, 6, 4, 8)
    with pytest.raises(w2v.errors.CorpusError, match="None of the 12 tokens"):
        encode(text, w2v.Vocab(("elsewhere",), [1]), tmp_path / "none")
    for words, path in ((["king"], tmp_path / "none"), (None, tmp_path / "none"), (vocab, 3)):
        with pytest.raises(w2v.errors.SettingError, match=r"\. Pass "):
            encode(text, words, path)
    assert not (tmp_path / "none").exists()


def test_used_again_when_nothing_changed(tmp_path, text):
    first = prepare(text, tmp_path / "cache", min_count=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = prepare(text, tmp_path / "cache", min_count=1)
    assert not first.reused
    assert again.reused
    assert again.vocab == first.vocab
    assert again.digest == first.digest
    assert again.report == first.report
    assert again.vocab.report == first.vocab.report
    assert np.array_equal(again.ids, first.ids)
    assert prepare(None, tmp_path / "cache", 1).reused is False
    assert prepare(None, tmp_path / "cache", 1).reused is True


def test_dropped_words_are_still_known_from_the_cache(tmp_path, text):
    for _ in range(2):
        corpus = prepare(text, tmp_path / "cache", min_count=2)
        with pytest.raises(w2v.errors.UnknownWordError, match="seen 1 time, min_count=2"):
            corpus.vocab["question"]
    assert corpus.reused


@pytest.mark.parametrize(
    "options",
    [
        {"min_count": 2},
        {"max_vocab": 3},
        {"tokenizer": w2v.reference.tokenize},
        {"reading": w2v.corpus.Reading("replace")},
    ],
)
def test_other_settings_are_another_corpus(tmp_path, text, options):
    prepare(text, tmp_path, min_count=1)
    assert not prepare(text, tmp_path, **{"min_count": 1, **options}).reused
    assert prepare(text, tmp_path, **{"min_count": 1, **options}).reused
    assert prepare(text, tmp_path, min_count=1).reused


def test_a_changed_text_is_read_again(tmp_path, text):
    first = prepare(text, tmp_path, min_count=1)
    stamp = os.stat(text).st_mtime_ns
    text.write_text(TEXT.replace("question", "QUESTION"))
    os.utime(text, ns=(stamp, stamp))  # the same size and time: the bytes tell
    second = prepare(text, tmp_path, min_count=1)
    assert not second.reused
    assert "QUESTION" in second.vocab
    assert first.digest != second.digest
    assert first.ids.tolist() == second.ids.tolist()
    os.utime(text, ns=(stamp + 1, stamp + 1))
    assert not prepare(text, tmp_path, min_count=1).reused


def test_what_cannot_be_recognised_is_read_every_time(tmp_path, text):
    for source, tokenizer in [([["a", "b"]], None), (text, lambda line: line.split())]:
        for _ in range(2):
            assert not prepare(source, tmp_path / "cache", 1, tokenizer=tokenizer).reused


def test_standard_input_is_not_taken_for_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("a file")
    for given in ("one two", "three four"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        corpus = prepare("-", tmp_path / "cache", 1)
        assert (" ".join(corpus.vocab), corpus.reused) == (given, False)
    assert prepare("./-", tmp_path / "cache", 1).vocab.words == ("a", "file")


DAMAGE = [("flip", 10), ("cut", 1), ("remove", 1), *slow(("flip", 350), ("cut", 70))]


@pytest.mark.parametrize("kind", ["json", "ids", "starts"])
@pytest.mark.parametrize(("damage", "times"), DAMAGE)
def test_a_damaged_cache_is_noticed_and_made_again(tmp_path, text, kind, damage, times):
    cache = tmp_path / "cache"
    whole = prepare(text, cache, min_count=1)
    expected = (whole.vocab, whole.digest, whole.ids.tolist(), whole.starts.tolist())
    (path,) = cache.glob(f"*.{kind}")
    data = path.read_bytes()
    rng = np.random.default_rng(times)
    for size in [0, *rng.integers(0, len(data), times)]:
        changed = bytearray(data if damage == "flip" else data[:size])
        if damage == "flip":
            changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        if damage == "remove":
            path.unlink()
        if damage == "remove" and kind == "json":
            corpus = prepare(text, cache, min_count=1)
        else:
            with pytest.warns(UserWarning, match="is damaged and is made again"):
                corpus = prepare(text, cache, min_count=1)
        assert not corpus.reused
        found = (corpus.vocab, corpus.digest, corpus.ids.tolist(), corpus.starts.tolist())
        assert found == expected
    assert len(list(cache.iterdir())) == 3


RECORDS = ["5", "[" * 100_000, "{}", "[[], []]", "[[{}, [], []], [[], []]]"]
# words, counts, the words left out, their counts, and the report
ENTRIES = [(0, ["a"]), (0, [1, 2]), (1, "xx"), (2, ["a"]), (3, 7), (4, [1, 2]), (4, None)]


def test_a_cache_with_a_right_checksum_and_a_wrong_record_is_made_again(tmp_path, text):
    whole = prepare(text, tmp_path / "cache", min_count=1)
    (path,) = (tmp_path / "cache").glob("*.json")
    made_of, found = json.loads(path.read_bytes().partition(b"\n")[2])
    wrong = [json.dumps([made_of, [*found[:at], to, *found[at + 1 :]]]) for at, to in ENTRIES]
    *ids_of, hashes = made_of
    for ending in (".ids", ".starts"):  # an empty file, and a record that knows it
        nothing = hashlib.sha256(b"").hexdigest()
        told = [hashes[0], nothing] if ending == ".starts" else [nothing, hashes[1]]
        wrong.append((path.with_suffix(ending), json.dumps([[*ids_of, told], found])))
    for record in RECORDS + wrong:
        if isinstance(record, tuple):
            record[0].write_bytes(b"")
            record = record[1]
        data = record.encode()
        path.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        with pytest.warns(UserWarning, match=r"is damaged and is made again: .*[^.]\.$"):
            again = prepare(text, tmp_path / "cache", min_count=1)
        assert (again.reused, again.digest) == (False, whole.digest)


def test_maps_stay_valid_when_the_cache_is_replaced_or_temporary(tmp_path, text):
    first = prepare(text, tmp_path / "cache", min_count=1)
    ids = first.ids.tolist()
    text.write_text("entirely other words now")
    prepare(text, tmp_path / "cache", min_count=1)
    assert first.ids.tolist() == ids
    temporary = prepare([["a", "b"], ["a"]], min_count=1)
    assert temporary.ids.tolist() == [0, 1, 0]


def test_a_failure_leaves_no_files(tmp_path, text):
    text.write_bytes(b"good words\n" * 100 + b"\xff")
    with pytest.raises(w2v.errors.CorpusError, match="invalid UTF-8 at byte 1,100"):
        prepare(text, tmp_path / "cache", min_count=1)
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(
        w2v.errors.CorpusError, match=r"No word occurs min_count=5 times \(most frequent: 'a', 2\)"
    ):
        prepare([["a", "a", "b"]], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_folders_that_cannot_be_written_are_named(tmp_path, text):
    (tmp_path / "file").write_text("")
    with pytest.raises(w2v.errors.FileError, match="cannot be made"):
        prepare(text, tmp_path / "file" / "cache", min_count=1)
    with pytest.raises(w2v.errors.FileError, match="nowhere/ids cannot be written"):
        encode(text, build_vocab(text, 1), tmp_path / "nowhere" / "ids")


KILLED = """
import sys, w2vjax as w2v
from w2vjax.corpus import encode
renumber = encode.renumber
def stuck(*arguments):
    renumber(*arguments)
    print("ready", flush=True)
    sys.stdin.read()
encode.renumber = stuck
w2v.prepare(sys.argv[1], sys.argv[2], 1)
"""


def test_a_killed_run_leaves_nothing_that_is_taken_for_a_corpus(tmp_path, text):
    cache = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, text, cache], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert list(cache.iterdir())
    assert not prepare(text, cache, 1).reused
    assert sorted(path.suffix for path in cache.iterdir()) == [".ids", ".json", ".starts"]


HASHED = """
import hashlib, sys, w2vjax as w2v
corpus = w2v.prepare(sys.argv[1], None, 2)
vocab = w2v.build_vocab([line.split() for line in open(sys.argv[1], encoding="utf-8")], 2)
assert vocab == corpus.vocab
print(corpus.digest, hashlib.sha256("\\n".join(vocab.words).encode()).hexdigest())
"""


def digests(text, seeds, folders):
    found = set()
    for seed in range(seeds):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "LC_ALL": ["C", "C.UTF-8", "POSIX"][seed % 3],
            "JAX_PLATFORMS": "cpu",
        }
        done = subprocess.run(
            [sys.executable, "-c", HASHED, text],
            env=environment,
            cwd=folders[seed % 2],
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    return found


def many_words(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "many.txt"
    path.write_text(
        "\n".join(" ".join(f"wört{i}" for i in rng.zipf(1.3, 30) % 5000) for _ in range(300)),
        "utf-8",
    )
    return path


def test_two_hash_seeds_one_digest(tmp_path):
    assert len(digests(many_words(tmp_path), 2, [tmp_path, "/"])) == 1


@pytest.mark.slow
def test_fifty_hash_seeds_three_locales_two_folders_one_digest(tmp_path):
    assert len(digests(many_words(tmp_path), 50, [tmp_path, "/"])) == 1


def test_the_digest_is_of_words_counts_ids_and_starts(tmp_path, text):
    corpus = prepare(text, tmp_path / "cache", 1)
    hashes = [hashlib.sha256(array.tobytes()).hexdigest() for array in (corpus.ids, corpus.starts)]
    words = "".join(corpus.vocab.words).encode()
    offsets = np.cumsum([0, *(len(word.encode()) for word in corpus.vocab.words)])
    whole = "".join(hashes).encode() + words + offsets.tobytes() + corpus.vocab.counts.tobytes()
    assert corpus.digest == hashlib.sha256(whole).hexdigest()


def test_a_vocabulary_that_is_there_is_used_as_it_is_and_instead_of_nothing_else(tmp_path, text):
    vocab = w2v.Vocab(("question", "be"), [7, 3])
    vocab.save(tmp_path / "words.txt")
    corpus = prepare(text, vocab=w2v.Vocab.load(tmp_path / "words.txt"))
    assert (corpus.vocab.words, corpus.vocab.counts.tolist()) == (vocab.words, [7, 3])
    assert (corpus.ids.tolist(), corpus.starts.tolist()) == ([1, 1, 0, 1], [0, 2, 3])
    assert prepare(corpus) is corpus
    trained = w2v.train(text, vocab=vocab, dim=2, epochs=1, sample=0.0)
    assert trained.vectors.words == vocab.words
    with pytest.raises(w2v.errors.SettingError, match="Pass a vocabulary with counts"):
        prepare(text, vocab=w2v.Vocab(("question", "be")))
    for other in (
        {"source": corpus},
        {"source": text, "cache_dir": tmp_path},
        {"source": text, "max_vocab": 1},
    ):
        with pytest.raises(w2v.errors.SettingError, match="vocab"):
            prepare(**other, vocab=vocab)


def test_a_tokenizer_that_borrows_a_name_gets_no_corpus_of_another(tmp_path):
    path, tokenize = tmp_path / "text.txt", w2v.reference.tokenize
    path.write_text("the cat sat the\n" * 5)

    @functools.wraps(tokenize)
    def mine(line):
        return [word for word in tokenize(line) if word != "the"]

    given = {"cache_dir": tmp_path / "cache", "min_count": 1}
    w2v.prepare(path, **given, tokenizer=tokenize)
    assert w2v.prepare(path, **given, tokenizer=mine).vocab.words == ("cat", "sat")
    assert w2v.prepare(path, **given, tokenizer=tokenize).reused
