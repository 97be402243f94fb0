"""Settings that cannot work, the plan of a run, and the command around it."""

import dataclasses
import inspect
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from planted import SMALL, planted_text

import w2vjax as w2v
from w2vjax import errors
from w2vjax.cli.train import Options, _arguments
from w2vjax.training import choices
from w2vjax.training.step import State, train_chunk
from w2vjax.windows.sampling import keep_thresholds


class Unread:
    """A corpus that must not be touched."""

    def __iter__(self):
        raise AssertionError("the corpus was read")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dim", 0), ("dim", -4), ("dim", 2.5), ("window", 0), ("window", -1), ("epochs", 0), ("epochs", True),
        ("batch_words", 0), ("batch_words", 1 << 20), ("batch_words", 33), ("learning_rate", float("nan")),
        ("learning_rate", float("inf")), ("learning_rate", -1.0), ("learning_rate", 0), ("sample", -1e-3),
        ("sample", float("nan")), ("sample", 2), ("min_count", -1), ("max_vocab", 0), ("seed", 2**64), ("seed", -1),
        ("held_out", 1.0), ("dtype", "int8"), ("run", 0), ("negatives", 0), ("noise_exponent", float("nan")),
        ("model", "glove"), ("objective", "nce"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_before_the_corpus_is_read(name, value, tmp_path):
    unread = Unread()
    with pytest.raises(errors.SettingError, match=name):
        w2v.train(unread, **SMALL | {name: value}, checkpoint=tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_plan_counts_what_train_uses(planted):
    made = w2v.plan(planted, **SMALL)
    assert made.params_bytes == 2 * 24 * 8 * 4
    assert made.words == 2 * len(planted.ids)
    assert made.steps == w2v.train(planted, **SMALL).summary["steps"]
    assert "temporaries" in str(made)


def test_every_option_of_the_command_reaches_training(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("a 2\nb 1\n")
    other = {
        "model": "cbow", "objective": "softmax", "dim": 7, "window": 2, "epochs": 9, "negatives": 3,
        "noise_exponent": 0.5, "min_count": 2, "max_vocab": 50, "sample": 0.1, "learning_rate": 0.4, "batch_words": 64,
        "run": 8, "seed": 4, "tokenizer": "post", "dtype": "bfloat16", "held_out": 0.2, "replicas": 3,
        "cache": Path("kept"), "vocab": words, "cbow_sum_gradient": True, "deterministic": True,
    }  # fmt: skip
    usual = _arguments(("text.txt",), Options(model="skip-gram"))
    assert set(other) == {field.name for field in dataclasses.fields(Options)}
    assert set(usual) <= set(inspect.signature(w2v.train).parameters)
    for name in other.keys() - {"cbow_sum_gradient"}:
        changed = _arguments(("text.txt",), dataclasses.replace(Options(), **{name: other[name]}))
        assert changed[name] != usual[name]
        assert {k for k in usual if changed[k] != usual[k]} == {name}


def test_the_gradient_of_word2vec_c_comes_with_its_rate_and_means_that_weigh_alike(planted):
    undivided = _arguments(("text.txt",), Options(model="cbow", cbow_sum_gradient=True))["embed_backward"]
    assert undivided is w2v.embed_backward_undivided
    for given, rate in ((None, 0.05), (0.1, 0.1)):
        settings = w2v.Settings(dim=8, min_count=1, model="cbow", learning_rate=given)
        assert w2v.set_up(planted, settings, backward_of_embed=undivided).settings.learning_rate == rate
    for backward, windows, objective in (
        (w2v.embed_backward, w2v.cbow_counted_batch, "hierarchical"),
        (w2v.embed_backward_undivided, w2v.cbow_lone_batch, "hierarchical"),
        (w2v.embed_backward, w2v.cbow_counted_run_batch, "negative"),
        (w2v.embed_backward_undivided, w2v.cbow_run_batch, "negative"),
        (w2v.embed_backward_undivided, w2v.cbow_run_batch, "softmax"),
    ):
        settings = w2v.Settings(dim=8, min_count=1, model="cbow", objective=objective)
        assert w2v.set_up(planted, settings, backward_of_embed=backward).recipe.windows is windows
    with pytest.raises(errors.SettingError, match="is for --model cbow, and this is skip-gram"):
        _arguments(("text.txt",), Options(cbow_sum_gradient=True))


def test_cbow_reads_a_short_text_at_a_smaller_rate(planted):
    """By hand: .5 * 2^12 / 2^13 = .25, and a reading more halves it; skip-gram has the full rate."""
    for model, words, epochs, rate in (
        ("cbow", 1 << 12, 1, 0.25), ("cbow", 1 << 12, 2, 0.12), ("cbow", 1 << 13, 1, 0.5), ("cbow", 1 << 30, 9, 0.5),
        ("cbow", None, 50, 0.5), ("cbow", 1, 1, 0.05), ("cbow", 0, 1, 0.05), ("skip-gram", 9, 50, 0.1),
    ):  # fmt: skip
        assert choices.usual_rate(model, "negative", words, epochs) == rate
    run = w2v.set_up(planted, w2v.Settings(dim=8, min_count=1, model="cbow", epochs=5))
    assert run.settings.learning_rate == choices.usual_rate("cbow", "negative", len(planted.ids), 5) < 0.5
    given = w2v.Settings(dim=8, min_count=1, model="cbow", learning_rate=0.3)
    assert w2v.set_up(planted, given).settings.learning_rate == 0.3


def test_long_texts_share_fewer_negatives(planted, monkeypatch):
    words, weights = jnp.zeros((24, 26), jnp.int32), jnp.ones((24, 16, 26))
    for many, shape in ((len(planted.ids) + 1, (8, 48)), (len(planted.ids), (6, 32))):
        monkeypatch.setattr(choices, "MANY_WORDS", many)
        run = w2v.set_up(planted, w2v.Settings(dim=8, min_count=1))
        targets = run.recipe.objective.select(jax.random.key(0), run.tables, words, weights)
        assert targets.negatives.shape == shape


def test_copies_are_trained_where_the_optimizer_counts_its_steps(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.training.feed.COPY_WORDS", 1)
    settings = w2v.Settings(dim=8, min_count=1)
    for optimizer, copies in ((None, 2), (w2v.row_adagrad, 2), (optax.sgd, 1),
                              (lambda s: w2v.dense(optax.adam(s)), 1)):  # fmt: skip
        assert w2v.set_up(planted, settings, optimizer=optimizer).feed.copies == copies


def test_every_corpus_gets_the_same_rate_and_an_accelerator_larger_steps(planted):
    numbers = {"dim": 8, "min_count": 1, "replicas": 1}
    chosen = choices.choice("skip-gram", "negative")
    usual = w2v.set_up(planted, w2v.Settings(**numbers))
    assert (usual.settings.batch_words, usual.settings.learning_rate) == (
        chosen.batch_words,
        chosen.learning_rate,
    )
    assert w2v.set_up(planted, w2v.Settings(**numbers, run=256)).settings.batch_words % 256 == 0
    assert (
        w2v.set_up(planted, w2v.Settings(**numbers), w2v.softmax()).settings.batch_words == chosen.batch_words
    )
    for pair, row in choices.CHOICES.items():
        settings = w2v.Settings(model=pair[0], objective=pair[1])
        assert settings.complete().batch_words == row.batch_words
        assert settings.complete(accelerator=True).batch_words == row.accelerator_words >= 4096


@pytest.mark.parametrize("objective", [None, 5, "custom", "nce"])
def test_an_objective_that_is_none_is_refused_before_the_corpus_is_read(objective):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match="objective="):
            act(Unread(), objective=objective)
    with pytest.raises(errors.SettingError, match="negatives=7 is for objective='negative'"):
        w2v.train(Unread(), objective="softmax", negatives=7)


def test_names_and_functions_choose_what_trains(planted):
    job = w2v.set_up(planted, w2v.Settings(**SMALL, model="cbow", objective="hierarchical"))
    chosen = choices.choice("cbow", "hierarchical")
    assert job.recipe.windows is chosen.windows
    assert (job.settings.learning_rate, job.settings.negatives) == (chosen.learning_rate, None)
    own = w2v.set_up(planted, w2v.Settings(**SMALL), w2v.softmax())
    assert (own.settings.objective, own.recipe.windows) == ("custom", w2v.block_batch)
    with pytest.raises(errors.SettingError, match="none is passed"):
        w2v.set_up(planted, w2v.Settings(**SMALL, objective="custom"))
    with pytest.raises(errors.SettingError, match=r"model=.skipgram..*Models: cbow, skip-gram"):
        w2v.train(Unread(), **SMALL, model="skipgram")


def test_the_command_writes_vectors_model_log_and_summary(cli, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(line) for line in planted_text()))
    done = cli("train", text, "--out", tmp_path / "out", "--dim", "8", "--epochs", "2", "--sample", "0", "--json", "-",
               "--held-out", "0.1")  # fmt: skip
    assert done.code == 0
    summary = json.loads(done.out)
    assert summary["vocabulary"] == 24
    assert summary["held_out"]["loss"] < summary["held_out"]["unigram_loss"] + 0.1
    vectors = w2v.load(tmp_path / "out" / "vectors.bin")
    model = w2v.load_model(tmp_path / "out" / "model.safetensors")
    np.testing.assert_array_equal(vectors.matrix, model.params.input)
    for refused in (["--max-vocab", "9"], ["--dim", "9"]):
        again = cli("train", text, "--out", tmp_path / "no", "--from", tmp_path / "out", "--quiet", *refused)
        assert (again.code, refused[0] in again.err) == (2, True)
    further = cli(
        "train", text, "--out", tmp_path / "more", "--from", tmp_path / "out", "--quiet", "--epochs", "1"
    )
    assert further.code == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["words"] == summary["words"]


def test_going_on_from_a_model_is_with_its_model_and_objective(cli, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(line) for line in planted_text(60)))
    names = ("--model", "cbow", "--objective", "hierarchical")
    first = cli("train", text, "--out", tmp_path / "a", "--dim", "8", "--epochs", "1", "--quiet", *names)
    again = cli("train", text, "--out", tmp_path / "b", "--from", tmp_path / "a", "--epochs", "1", "--quiet")
    assert (first.code, again.code) == (0, 0)
    summary = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert (summary["model"], summary["objective"]) == ("cbow", "hierarchical")
    model = w2v.load_model(tmp_path / "a" / "model.safetensors")
    w2v.save_model(tmp_path / "bare.safetensors", model.params, model.words, model.counts)
    unsaid = cli("train", text, "--out", tmp_path / "c", "--from", tmp_path / "bare.safetensors", "--quiet")
    assert (unsaid.code, "Pass --model: cbow or skip-gram" in unsaid.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--dim", "0"], 2, "dim=0 cannot work"),
        (["--learning-rate", "nan"], 2, "learning_rate=nan cannot work"),
        (["missing.txt"], 3, "missing.txt"),
    ],
)
def test_the_command_refuses_with_one_sentence(cli, tmp_path, arguments, code, says):
    done = cli("train", *arguments, "--out", tmp_path / "out", "--quiet")
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()  # nothing is left behind


@pytest.mark.parametrize("batch_words", [16, 48, 96, 400, 768, 1024])
def test_the_loss_is_read_off_whole_spans_whatever_the_batch(batch_words: int) -> None:
    """48, 16 or a single block may share their negatives: those whose loss is read off bring all of theirs."""
    random = np.random.default_rng(3)
    ids, counts = random.integers(0, 50, 2048).astype(np.int32), np.full(50, 40)
    objective, optimizer = w2v.shared_negatives(5, shared=8, span=3), w2v.row_sgd(0.05)
    groups = batch_words // 16
    recipe = w2v.Recipe(
        objective, w2v.block_batch, optimizer, groups=groups, run=16, measured=max(1, groups // 8)
    )
    params = w2v.init_params(jax.random.key(0), 50, 8)
    keep = keep_thresholds(counts, 0)
    _, progress = train_chunk(recipe, 2048, State(params, optimizer.init(params)), objective.init(counts), keep,
                              jnp.asarray(ids), jnp.int32(0), jnp.int32(2048), jax.random.key(1))  # fmt: skip
    # Untrained output rows are zero: each positive and its five negatives lose log 2
    assert float(progress.loss / progress.pairs) == pytest.approx(6 * np.log(2), rel=0.35)
    assert int(progress.failed) == -1
