"""Bad and extreme settings, through Python and through the command, in one table.

A bad value is a typed error before anything is read. An extreme value that is allowed gives a sane
result. "Sane" means: finite vectors of the right shape, the same ones in a second run, a loss that
is at most that of untrained tables, and every word of the text counted as trained.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from marks import slow
from planted import Unread

import w2vjax as w2v
from w2vjax import errors

NAN, INF = math.nan, math.inf

# setting: values that cannot work, as Python and as the command line have them
BAD = {
    "dim": [0, -4, 100_001, 2**63, 10**30, 1.5, NAN, INF, "", "ten", "1e3"],
    "window": [0, -1, 1_001, 2.5, NAN, "5 5"],
    "epochs": [0, -1, 1_000_001, 0.5, INF, "all"],
    "negatives": [0, -3, 10_001, 1.5, NAN],
    "noise_exponent": [NAN, INF, -INF, 11, -10.1, "cube"],
    "min_count": [-1, 2**63, 1.5, NAN],
    "max_vocab": [0, -1, 2**31, 0.5],
    "sample": [-1e-3, 2, NAN, INF, "often"],
    "learning_rate": [0, -1, 1e7, NAN, INF, "fast"],
    "batch_words": [0, -16, 33, 1 << 20, 1.5],
    "block_words": [0, -1, 4_097, 2.5],
    "seed": [-1, 2**32, 2**64, 0.5, NAN],
    "held_out": [-0.1, 0.95, 1, NAN, INF],
    "copies": [0, -2, 1_025, 1.5],
    "join_words": [0, -1, 2**31, 1.5, "often"],
    "model": ["glove", "", "CBOW", "skipgram"],
    "objective": ["nce", "", "hs", "Negative"],
    "dtype": ["float16", "int8", "", "float64"],  # float64 is off in JAX by default
}
# values that only Python has
TYPES = [True, [], {}, b"1", object(), np.array([1, 2]), 1j]
PAIRS = [
    ({"objective": "softmax", "negatives": 5}, "negatives=5 is for objective='negative'"),
    ({"objective": "hierarchical", "noise_exponent": 0.5}, "noise_exponent=0.5 is for"),
    ({"batch_words": 96, "block_words": 64}, "batch_words=96 is not a multiple .* Use 128"),
    ({"model": "cbow", "batch_words": 24, "block_words": 16}, "Use 32"),
    ({"max_vocab": 0, "dim": 0}, "dim=0"),
]
NAMES = [(name, value) for name, values in BAD.items() for value in values]


def option(name):
    return f"--{name.replace('_', '-')}"


def test_the_table_is_long_enough_and_has_every_setting():
    assert len(NAMES) + len(PAIRS) + len(TYPES) >= 60
    assert set(BAD) == set(w2v.Settings.__dataclass_fields__)


@pytest.mark.parametrize("name", BAD)
def test_python_refuses_a_bad_value_before_it_reads(name, tmp_path):
    for value in BAD[name] + TYPES:
        for act in (w2v.train, w2v.plan):
            with pytest.raises(errors.SettingError) as raised:
                act(Unread(), **{name: value}, checkpoint=tmp_path / "kept", log=tmp_path / "log")
            said = str(raised.value)
            assert name in said, (value, said)
            assert "\n" not in said
            assert len(said) < 400
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BAD)
def test_the_command_refuses_a_bad_value_before_it_reads(cli, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in BAD[name]:
        # a corpus that is read would be missed first
        done = cli("train", "missing.txt", "--out", "out", f"{option(name)}={value}")
        assert (done.code, done.out) == (2, ""), (value, done.err)
        assert done.err.count("\n") == 1, value
        assert name in done.err or option(name) in done.err, (value, done.err)
        assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("given", "says"), PAIRS)
def test_settings_that_contradict_each_other_are_refused(cli, given, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.SettingError, match=says):
        w2v.train(Unread(), **given)
    done = cli("train", "missing.txt", *(f"{option(name)}={given[name]}" for name in given))
    assert done.code == 2
    with pytest.raises(errors.SettingError, match=says):
        raise errors.SettingError(done.err)
    assert not list(tmp_path.iterdir())


TEXT = [["tea", "cup", "milk"], ["tea", "milk"], ["red", "blue", "green", "red"]] * 12
SMALL = {"dim": 4, "epochs": 2, "min_count": 1, "sample": 0.0}
EXTREME = [
    {"dim": 1, "window": 1, "batch_words": 16, "seed": 2**32 - 1},
    *slow(
        {"dim": 3_000},
        {"window": 1_000, "model": "cbow"},
        {"negatives": 1, "noise_exponent": -10.0},
        {"negatives": 300, "noise_exponent": 10.0},
        {"objective": "softmax", "block_words": 1, "batch_words": 1, "epochs": 1},
        {"objective": "hierarchical", "batch_words": 65_536},
        {"learning_rate": 1e-30},
        {"copies": 64, "block_words": 1, "batch_words": 1},
        {"max_vocab": 2},
        {"min_count": 0, "held_out": 0.9},
        {"epochs": 500, "model": "cbow", "objective": "hierarchical"},
        {"dtype": "bfloat16", "block_words": 4_096, "batch_words": 4_096},
    ),
]


@pytest.mark.parametrize("given", EXTREME)
def test_an_extreme_value_gives_a_sane_result(given, cli, tmp_path):
    settings = SMALL | given
    first, second = (w2v.train(TEXT, **settings) for _ in range(2))
    (tmp_path / "text").write_text("\n".join(map(" ".join, TEXT)))
    options = (f"{option(name)}={value}" for name, value in settings.items())
    done = cli("train", tmp_path / "text", "--out", tmp_path / "out", "--quiet", *options)
    assert (done.code, done.err) == (0, "")
    told = w2v.load(tmp_path / "out" / "vectors.bin")
    assert np.array_equal(told.matrix, first.vectors.matrix)
    assert first.vectors.matrix.shape == (len(first.vocab), settings["dim"])
    assert np.isfinite(first.vectors.matrix).all()
    assert np.array_equal(first.vectors.matrix, second.vectors.matrix)
    summary = first.summary
    assert summary["words"] >= 0.09 * settings["epochs"] * first.vocab.counts.sum()
    assert summary["loss"] is None or 0 < summary["loss"] <= 1.1 * summary["untrained_loss"]


def test_options_of_the_command_that_are_no_settings(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    for given in (
        ["--checkpoint-every", "nan", "--checkpoint", "kept"],
        ["--checkpoint-every", "-1", "--checkpoint", "kept"],
        ["--checkpoint-every", "soon"],
        ["--resume"],
        ["--allow", "corpus"],
        ["--cbow-sum-gradient"],
        ["--tokenizer", "post-office"],
        ["--from", "missing"],
        ["--from", "file"],
        ["--vocab", "missing"],
        ["--vocab", "file"],
        ["--checkpoint", "file"],
        ["--out", "file"],
        ["--json", "no/such/file"],
        ["--quiet", "extra.txt"],
    ):
        done = cli("train", "missing.txt", *given)
        assert done.code in {2, 4, 7}, given
        assert done.out == ""
        assert done.err.count("\n") == 1, given
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
