"""Settings that cannot work, the plan of a run, and the command around it."""

import dataclasses
import inspect
import itertools
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from marks import slow
from planted import SMALL, Unread, planted_text

import w2vjax as w2v
from w2vjax import errors
from w2vjax.cli.options import Options, given_in, keywords_for
from w2vjax.devices.feed import COPY_WORDS
from w2vjax.devices.mesh import on_accelerator
from w2vjax.runs import plan as plan_module
from w2vjax.runs import watch
from w2vjax.runs.arguments import Arguments
from w2vjax.runs.loop import make_run
from w2vjax.training import methods, setup
from w2vjax.training.step import State, train_chunk
from w2vjax.windows.sampling import keep_thresholds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dim", 0),
        ("dim", -4),
        ("dim", 2.5),
        ("window", 0),
        ("window", -1),
        ("epochs", 0),
        ("epochs", True),
        ("batch_words", 0),
        ("batch_words", 1 << 20),
        ("batch_words", 33),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", -1.0),
        ("learning_rate", 0),
        ("sample", -1e-3),
        ("sample", float("nan")),
        ("sample", 2),
        ("min_count", -1),
        ("max_vocab", 0),
        ("seed", 2**64),
        ("seed", -1),
        ("held_out", 1.0),
        ("dtype", "int8"),
        ("block_words", 0),
        ("negatives", 0),
        ("noise_exponent", float("nan")),
        ("model", "glove"),
        ("objective", "nce"),
    ],
)
def test_bad_settings_are_refused_before_the_corpus_is_read(name, value, tmp_path):
    unread = Unread()
    with pytest.raises(errors.SettingError, match=name):
        w2v.train(unread, **SMALL | {name: value}, checkpoint=tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("objective", ["negative", "hierarchical", "softmax"])
@pytest.mark.parametrize("output", [(23, 8), (25, 8), (24, 9), (24,), (1, 8)])
def test_tables_to_start_from_have_a_row_for_each_word(planted, output, objective):
    for shapes in (((24, 8), output), (output, (24, 8))):
        start = w2v.Params(*map(np.ones, shapes))
        settings = w2v.Settings(**SMALL | {"objective": objective})
        with pytest.raises(errors.SettingError, match="24 words of dim=8"):
            w2v.set_up(planted, settings, start=start)


def test_numbers_of_numpy_and_jax_are_settings():
    settings = w2v.Settings(
        dim=np.int64(20),
        epochs=np.uint8(3),
        seed=np.array(5),
        window=jnp.int32(2),
        learning_rate=np.float32(0.5),
        sample=np.float64(0.25),
    )
    given = ("dim", "epochs", "seed", "window", "learning_rate", "sample")
    values = [methods.completed(settings).as_json()[name] for name in given]
    assert json.dumps(values) == "[20, 3, 5, 2, 0.5, 0.25]"
    for value in (np.bool_(True), np.float64(4), np.array([4]), np.int64(0)):
        with pytest.raises(errors.SettingError, match="dim="):
            methods.completed(w2v.Settings(dim=value))


def test_compiled_programs_are_kept_where_jax_keeps_them_or_nowhere(tmp_path, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    assert str(w2v.use_compile_cache()) == before  # the tests have a folder
    (tmp_path / "file").touch()
    assert w2v.use_compile_cache(tmp_path / "file" / "folder") is None
    assert jax.config.jax_compilation_cache_dir == before


@pytest.mark.parametrize(
    ("value", "said", "kept"),
    [(1.0, False, 0.1), (1.0, True, 1.0), (0.5, False, 0.5), (0, False, 0)],
)
def test_a_compile_cache_leaves_the_least_seconds_of_the_user_alone(
    tmp_path, monkeypatch, value, said, kept
):
    least = "jax_persistent_cache_min_compile_time_secs"
    found = {"jax_compilation_cache_dir": None, least: value}
    config = SimpleNamespace(**found, update=found.__setitem__)
    monkeypatch.setattr("w2vjax.devices.compiling.jax", SimpleNamespace(config=config))
    monkeypatch.delenv(least.upper(), raising=False)
    if said:
        monkeypatch.setenv(least.upper(), "1")
    monkeypatch.setattr("w2vjax.devices.compiling.reset_cache", lambda: None)
    assert w2v.use_compile_cache(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    assert found == {"jax_compilation_cache_dir": str(tmp_path / "a" / "b"), least: kept}


def test_a_file_in_the_place_of_the_compile_cache_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    found = SimpleNamespace(jax_compilation_cache_dir=str(tmp_path / "file"))
    monkeypatch.setattr("w2vjax.devices.compiling.jax", SimpleNamespace(config=found))
    with pytest.raises(errors.SettingError, match=r"file is a file, and .* Name a folder"):
        w2v.use_compile_cache()


def test_tables_that_a_device_cannot_hold_are_refused(planted, monkeypatch):
    settings = w2v.Settings(**SMALL | {"dim": 100})
    words = len(planted.vocab)
    for share in (0.5, 0.9, 0.99):
        have = round(2 * 4 * words * 100 * share)
        monkeypatch.setattr(setup, "memory_for_tables", lambda _, have=have: have)
        with pytest.raises(errors.SettingError, match=rf"Use dim={int(100 * share)} or less"):
            w2v.set_up(planted, settings)
    monkeypatch.setattr(setup, "memory_for_tables", lambda _: 2 * 4 * words * 100)
    w2v.set_up(planted, settings)


@pytest.mark.parametrize(("cores", "turns"), [(1, 8), (2, 4), (3, 3), (16, 1)])
def test_a_plan_trains_no_more_copies_at_a_time_than_there_are_cores(
    planted, monkeypatch, cores, turns
):
    monkeypatch.setattr(plan_module, "usable_cores", lambda: cores)
    monkeypatch.setattr(plan_module.time, "perf_counter", itertools.count().__next__)
    made = w2v.plan(planted, **SMALL, copies=8)
    # every chunk takes a second, and has a copy's share of the words
    run = make_run(planted, Arguments(**SMALL, copies=8))
    seconds = made.words / run.feed.size * turns / 8
    assert made.train_seconds == pytest.approx(seconds, rel=0.2)


def test_plan_counts_what_train_uses(planted):
    made = w2v.plan(planted, **SMALL)
    assert made.params_bytes == 2 * 24 * 8 * 4
    assert made.words == 2 * len(planted.ids)
    assert made.steps == w2v.train(planted, **SMALL).summary["steps"]
    assert "temporaries" in str(made)
    assert "does not fit" not in str(made._replace(device_bytes=10**9))
    assert "does not fit: 0.0 GB of 0.0 GB. Use a smaller" in str(made._replace(device_bytes=9))


def test_every_option_of_the_command_reaches_training(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("a 2\nb 1\n")
    other = {
        "model": "cbow",
        "objective": "softmax",
        "dim": 7,
        "window": 2,
        "epochs": 9,
        "negatives": 3,
        "noise_exponent": 0.5,
        "min_count": 2,
        "max_vocab": 50,
        "sample": 0.1,
        "learning_rate": 0.4,
        "batch_words": 64,
        "block_words": 8,
        "seed": 4,
        "tokenizer": "post",
        "dtype": "bfloat16",
        "held_out": 0.2,
        "copies": 3,
        "join_words": 700,
        "devices": 1,
        "step_timeout": 9.5,
        "log_every": "2 epochs",
        "cache": Path("kept"),
        "vocab": words,
        "cbow_sum_gradient": True,
        "deterministic": True,
    }
    assert set(other) == {field.name for field in dataclasses.fields(Options)}
    assert keywords_for(("text.txt",), given_in(Options())) == {}
    known = {field.name for field in dataclasses.fields(Arguments)}
    for name in other.keys() - {"cbow_sum_gradient"}:
        keywords = keywords_for(("text.txt",), given_in(Options(**{name: other[name]})))
        assert set(keywords) == {name} <= known
        assert getattr(Arguments(**keywords), name) != getattr(Arguments(), name)


def test_the_gradient_of_word2vec_c_comes_with_its_rate_and_means_that_weigh_alike(planted):
    given = {"model": "cbow", "cbow_sum_gradient": True}
    undivided = keywords_for(("text.txt",), given)["embed_backward"]
    assert undivided is w2v.objectives.embed_backward_undivided
    for given, rate in ((None, 0.05), (0.1, 0.1)):
        asked = Arguments(
            dim=8, min_count=1, model="cbow", learning_rate=given, embed_backward=undivided
        )
        assert make_run(planted, asked).settings.learning_rate == rate
    for backward, windows, objective in (
        (w2v.objectives.embed_backward, w2v.windows.cbow_weighted_batch, "hierarchical"),
        (w2v.objectives.embed_backward_undivided, w2v.windows.cbow_single_batch, "hierarchical"),
        (w2v.objectives.embed_backward, w2v.windows.cbow_weighted_block_batch, "negative"),
        (w2v.objectives.embed_backward_undivided, w2v.windows.cbow_block_batch, "negative"),
        (w2v.objectives.embed_backward_undivided, w2v.windows.cbow_block_batch, "softmax"),
    ):
        asked = Arguments(model="cbow", objective=objective, embed_backward=backward)
        assert asked.chosen_method(methods.SHORT_TEXT - 1).windows is windows
    with pytest.raises(errors.SettingError, match="is for --model cbow, and this is skip-gram"):
        keywords_for(("text.txt",), {"cbow_sum_gradient": True})


def test_cbow_reads_a_short_text_at_a_smaller_rate(planted):
    """By hand: .5 * 2^12 / 2^13 = .25, and a second reading halves it."""
    for model, words, epochs, rate in (
        ("cbow", 1 << 12, 1, 0.25),
        ("cbow", 1 << 12, 2, 0.12),
        ("cbow", 1 << 13, 1, 0.5),
        ("cbow", 1 << 30, 9, 0.5),
        ("cbow", None, 50, 0.5),
        ("cbow", 1, 1, 0.05),
        ("cbow", 0, 1, 0.05),
        ("skip-gram", 9, 50, 0.1),
    ):
        assert w2v.method(model, words=words, epochs=epochs).learning_rate == rate
    run = w2v.set_up(planted, w2v.Settings(dim=8, min_count=1, model="cbow", epochs=5))
    assert (
        run.settings.learning_rate
        == w2v.method("cbow", words=len(planted.ids), epochs=5).learning_rate
        < 0.5
    )
    given = w2v.Settings(dim=8, min_count=1, model="cbow", learning_rate=0.3)
    assert w2v.set_up(planted, given).settings.learning_rate == 0.3
    # a method that is passed trains as it stands
    passed = w2v.set_up(planted, w2v.Settings(dim=8, min_count=1, epochs=5), w2v.method("cbow"))
    assert (passed.settings.learning_rate, passed.recipe.windows) == (
        0.5,
        w2v.windows.cbow_block_batch,
    )


@pytest.mark.parametrize(
    ("name", "number", "long", "short"),
    [
        ("negatives", 1, 0.075, 0.1),
        ("negatives", 14, 0.075, 0.1),
        ("negatives", 16, 0.075, 0.094),
        ("negatives", 30, 0.068, 0.068),
        ("negatives", 100, 0.037, 0.037),
        ("window", 1, 0.075, 0.1),
        ("window", 10, 0.075, 0.1),
        ("window", 11, 0.072, 0.095),
        ("window", 40, 0.037, 0.05),
        ("window", 1000, 0.0075, 0.01),
    ],
)
def test_many_negatives_and_wide_windows_take_a_smaller_rate(planted, name, number, long, short):
    """By hand: 0.375 / sqrt(16) = .09375, .1 sqrt(10 / 40) = .05. At .1, 60 negatives unlearned."""
    given = {name: number}
    for words, rate in ((None, long), (1000, short)):
        found, usual = w2v.method(words=words, **given), w2v.method(words=words)
        assert found.learning_rate == rate
        accelerated = found.learning_rate * found.accelerator_rate
        most = usual.learning_rate * usual.accelerator_rate
        if name == "negatives":
            most = min(most, 0.375 / number**0.5)
        else:
            most *= min(1, 10 / number) ** 0.5
        # a rate that is no larger on an accelerator has two digits
        assert accelerated == pytest.approx(most, rel=0.02 if found.accelerator_rate == 1 else 1e-9)
    for pair in (("cbow", "negative"), ("cbow", "hierarchical"), ("cbow", "softmax")):
        assert w2v.method(*pair, **given) == w2v.method(*pair)
    settings = w2v.Settings(dim=8, min_count=1, **given)
    assert w2v.set_up(planted, settings).settings.learning_rate == short
    assert methods.completed(settings).learning_rate == long
    assert Arguments(**given).chosen_method(1000).learning_rate == short
    own = dataclasses.replace(settings, learning_rate=0.3)
    assert w2v.set_up(planted, own).settings.learning_rate == 0.3


@pytest.mark.parametrize(
    ("objective", "rates"), [("hierarchical", (0.035, 0.018)), ("softmax", (0.2, 0.1))]
)
def test_a_wide_window_takes_a_smaller_rate_with_every_objective(objective, rates):
    found = [w2v.method("skip-gram", objective, window=window) for window in (10, 40)]
    assert tuple(each.learning_rate for each in found) == rates
    usual = w2v.method("skip-gram", objective)
    for each, share in zip(found, (1, 0.5), strict=True):
        accelerated = each.learning_rate * each.accelerator_rate
        most = usual.learning_rate * usual.accelerator_rate * share
        assert accelerated == pytest.approx(most, rel=1e-9)
    assert w2v.method("skip-gram", objective, negatives=100) == usual


@pytest.mark.parametrize(("name", "most"), [("window", 1_000), ("negatives", 10_000)])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "5", 10**400])
def test_a_window_or_negatives_that_cannot_work_have_one_sentence(name, most, value):
    said = rf"^{name}=.* cannot work\. Use a whole number from 1 to {most}\.$"
    for call in (w2v.method, w2v.Settings):
        with pytest.raises(errors.SettingError, match=said):
            getattr(call(**{name: value}), "check", list)()
    with pytest.raises(errors.SettingError, match=said):
        w2v.train(Unread(), **{name: value})


def test_the_undivided_gradient_takes_no_larger_rate_than_its_window_allows():
    for window, rate in ((5, 0.05), (40, 0.05), (1000, 0.01)):
        assert methods.undivided(w2v.method(words=1000, window=window)).learning_rate == rate


def test_an_objective_of_the_callers_own_takes_the_rate_of_its_window():
    own = w2v.negative_sampling(5)
    assert w2v.method("skip-gram", own, window=40).learning_rate == 0.037


@pytest.mark.parametrize(
    ("model", "words", "copies", "numbers"),
    [
        ("skip-gram", None, 1, (384, 0.05)),
        ("skip-gram", methods.MANY_WORDS, 1, (384, 0.05)),
        ("skip-gram", methods.MANY_WORDS - 1, 1, (192, 0.1)),
        ("skip-gram", None, 2, (192, 0.075)),
        ("skip-gram", None, 16, (192, 0.075)),
        ("cbow", None, 1, (384, 0.25)),
        ("cbow", 2 * COPY_WORDS, 1, (384, 0.25)),
        ("cbow", 2 * COPY_WORDS - 1, 1, (384, 0.5)),
        ("cbow", None, None, (384, 0.5)),
    ],
)
def test_one_copy_of_a_long_text_has_numbers_of_its_own(model, words, copies, numbers):
    """With the numbers of two copies it learned less than gensim."""
    found = w2v.method(model, words=words, copies=copies)
    assert (found.batch_words, found.learning_rate) == numbers
    usual, accelerated = w2v.method(model, words=words), found.accelerator_rate
    assert accelerated * found.learning_rate == pytest.approx(
        usual.accelerator_rate * usual.learning_rate
    )
    asked = Arguments(model=model, copies=copies)
    assert asked.chosen_method(words) == found
    own = w2v.method(model, w2v.negative_sampling(5), words, copies=copies)
    assert own._replace(objective="negative") == found
    for_trees = w2v.method(model, "hierarchical", words=words, copies=copies)
    assert for_trees == w2v.method(model, "hierarchical", words=words)


def test_a_run_of_one_copy_takes_its_numbers(planted, monkeypatch):
    pair = ("skip-gram", "negative")
    monkeypatch.setattr(methods, "MANY_WORDS", 100)
    monkeypatch.setitem(methods._OF_ONE_COPY, pair, (100, methods._OF_ONE_COPY[pair][1]))
    usual = {"dim": 8, "min_count": 1, "block_words": 16}
    for given, numbers in (({"copies": 1}, (384, 0.05)), ({"copies": 2}, (192, 0.075))):
        run = w2v.set_up(planted, w2v.Settings(**usual, **given))
        assert (run.settings.batch_words, run.settings.learning_rate) == numbers
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
    run = w2v.set_up(planted, w2v.Settings(**usual), mesh=mesh)
    assert (run.feed.copies, run.settings.batch_words) == (1, 384)


def test_a_copy_that_nobody_asked_for_is_one_copy_too():
    """An optimizer that counts no steps trains one copy, whether the caller says so or not."""
    for model, words in (("cbow", 2 * COPY_WORDS), ("skip-gram", methods.MANY_WORDS)):
        for optimizer in (optax.sgd, lambda schedule: w2v.dense(optax.sgd(schedule))):
            chosen = [
                Arguments(model=model, optimizer=optimizer, copies=copies).chosen_method(words)
                for copies in (None, 1)
            ]
            assert chosen[0] == chosen[1] != Arguments(model=model).chosen_method(words)
        counting = Arguments(model=model, optimizer=w2v.row_adagrad).chosen_method(words)
        assert counting.learning_rate == w2v.method(model, words=words).learning_rate


def test_cbow_counts_the_words_of_a_mean_on_a_short_text(planted, monkeypatch):
    counted, plain = w2v.windows.cbow_weighted_block_batch, w2v.windows.cbow_block_batch
    asked = Arguments(dim=8, min_count=1, model="cbow")
    assert make_run(planted, asked).recipe.windows is counted
    assert (
        make_run(planted, dataclasses.replace(asked, objective=w2v.softmax())).recipe.windows
        is counted
    )
    # if asked for
    assert make_run(planted, dataclasses.replace(asked, windows=plain)).recipe.windows is plain
    assert (
        w2v.set_up(planted, w2v.Settings(dim=8, min_count=1, model="cbow")).recipe.windows
        is counted
    )
    monkeypatch.setattr(methods, "SHORT_TEXT", len(planted.ids))
    assert make_run(planted, asked).recipe.windows is plain


@pytest.mark.slow
def test_long_texts_share_fewer_negatives(planted, monkeypatch):
    words, weights = jnp.zeros((24, 26), jnp.int32), jnp.ones((24, 16, 26))
    for many, shape in ((len(planted.ids) + 1, (8, 48)), (len(planted.ids), (6, 32))):
        monkeypatch.setattr(methods, "MANY_WORDS", many)
        run = w2v.set_up(planted, w2v.Settings(dim=8, min_count=1))
        draws = run.recipe.objective.draw(jax.random.key(0), run.tables, (24,))
        select = run.recipe.objective.select
        targets = jax.eval_shape(select, draws, run.tables, words, weights)
        assert targets.negatives.shape == draws.shape == shape


@pytest.mark.parametrize(("negatives", "drawn"), [(5, 48), (12, 48), (13, 52), (30, 120)])
def test_many_negatives_are_drawn_from_more_words(planted, negatives, drawn):
    words, weights = jnp.zeros((24, 26), jnp.int32), jnp.ones((24, 16, 26))
    run = w2v.set_up(planted, w2v.Settings(dim=8, min_count=1, negatives=negatives))
    draws = run.recipe.objective.draw(jax.random.key(0), run.tables, words.shape[:1])
    targets = jax.eval_shape(run.recipe.objective.select, draws, run.tables, words, weights)
    assert targets.negatives.shape == (8, drawn)


def test_copies_are_trained_where_the_optimizer_counts_its_steps(
    planted, monkeypatch, standard_promotion
):
    monkeypatch.setattr("w2vjax.devices.feed.COPY_WORDS", 1)
    settings = w2v.Settings(dim=8, min_count=1)
    for optimizer, copies in (
        (None, 2),
        (w2v.row_adagrad, 2),
        (optax.sgd, 1),
        (lambda s: w2v.dense(optax.adam(s)), 1),
    ):
        chosen = w2v.method() if optimizer is None else w2v.method()._replace(optimizer=optimizer)
        copies = 1 if on_accelerator(None) else copies
        assert w2v.set_up(planted, settings, chosen).feed.copies == copies


@pytest.mark.parametrize(
    ("copies", "join_words"),
    [(3, 512), *slow((1, 512), (2, 512), (3, 2000), (4, 1024), (8, 4800))],
)
def test_the_rate_ends_where_the_first_copy_does(planted, copies, join_words, tmp_path):
    """Also where copies have not equally many chunks, and where some have none."""
    settings = {"copies": copies, "join_words": join_words, "epochs": 3}
    trained = w2v.train(planted, **SMALL | settings, log_every=0.0)
    run = trained.run
    sizes = [run.feed.chunk(number)[2] for number in range(run.feed.chunks)]
    assert run.steps == 3 * sum(-(-int(size) // 32) for size in sizes[::copies])
    rates = [record["learning_rate"] for record in trained.history]
    assert rates[-1] == pytest.approx(1e-4 * run.settings.learning_rate, rel=1e-3)
    firsts = np.cumsum(3 * [-(-int(size) // 32) for size in sizes[::copies]])
    expected = [float(run.recipe.schedule(int(steps))) for steps in firsts]
    assert rates == pytest.approx(expected, rel=1e-3)
    resumed = w2v.train(
        planted,
        **SMALL | settings,
        log_every=0.0,
        checkpoint=w2v.Checkpoints(stopped(planted, settings, tmp_path), resume=True),
    )
    near = {"abs": 2 * run.settings.learning_rate / run.steps}
    known = {record["step"]: record["learning_rate"] for record in trained.history}
    for record in resumed.history:
        assert record["learning_rate"] == pytest.approx(known[record["step"]], **near)


def stopped(corpus, settings, folder):
    """The folder of a run that was stopped at its second record."""
    seen = []
    stop = lambda record: bool(seen.append(record)) or len(seen) > 1  # noqa: E731
    w2v.train(corpus, **SMALL | settings, log_every=0.0, callback=stop, checkpoint=folder)
    return folder


@pytest.mark.parametrize(
    "schedule",
    [np.float64(0.05), *slow(0.05, np.float32(0.05), 1, lambda step: 0.1 / jnp.float32(1 + step))],
)
def test_a_schedule_of_ones_own_is_not_told_as_the_usual_rate(planted, schedule):
    trained = w2v.train(planted, **SMALL, schedule=schedule)
    assert trained.summary["settings"]["learning_rate"] is None
    assert watch.remedy(trained.run) == "Lower the schedule or batch_words=32."
    usual = w2v.train(planted, **SMALL, learning_rate=0.07)
    assert usual.summary["settings"]["learning_rate"] == 0.07
    assert watch.remedy(usual.run) == "Lower learning_rate=0.07 or batch_words=32."


def test_a_long_text_gets_a_smaller_rate_and_an_accelerator_larger_steps_at_the_old_one(planted):
    numbers = {"dim": 8, "min_count": 1, "copies": 1}
    for objective, rates in (("negative", (0.1, 0.075)), ("hierarchical", (0.05, 0.035))):
        many = methods.MANY_WORDS
        short, long = (w2v.method("skip-gram", objective, words) for words in (many - 1, many))
        assert (short.learning_rate, long.learning_rate) == rates
        assert w2v.method("skip-gram", objective) == long != short
        settings = w2v.Settings(objective=objective)
        for chosen in (short, long):
            assert methods.completed(settings, chosen).learning_rate == chosen.learning_rate
            assert methods.completed(settings, chosen, accelerator=True).learning_rate == rates[0]
    for model in ("cbow", "skip-gram"):  # a mean of words, and a softmax, keep theirs
        plain = w2v.method(model, "softmax")
        assert methods.completed(w2v.Settings(), plain, True).learning_rate == plain.learning_rate
    short, long = w2v.method(words=1000), w2v.method()
    given = w2v.Settings(learning_rate=0.3)
    assert methods.completed(given, long, accelerator=True).learning_rate == 0.3
    words = short.accelerator_words if on_accelerator(None) else short.batch_words
    usual = w2v.set_up(planted, w2v.Settings(**numbers))
    assert (usual.settings.batch_words, usual.settings.learning_rate) == (words, 0.1)
    assert (
        w2v.set_up(planted, w2v.Settings(**numbers, block_words=256)).settings.batch_words % 256
        == 0
    )
    own = w2v.Settings(**numbers, objective=w2v.softmax())
    assert w2v.set_up(planted, own).settings.batch_words == words
    for pair, row in methods.METHODS.items():
        settings = w2v.Settings(model=pair[0], objective=pair[1])
        assert methods.completed(settings).batch_words == row.batch_words
        assert (
            methods.completed(settings, accelerator=True).batch_words
            == row.accelerator_words
            >= 4096
        )


@pytest.mark.parametrize("objective", [None, 5, "custom", "nce"])
def test_an_objective_that_is_none_is_refused_before_the_corpus_is_read(objective):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match="objective="):
            act(Unread(), objective=objective)
    with pytest.raises(errors.SettingError, match="negatives=7 is for objective='negative'"):
        w2v.train(Unread(), objective="softmax", negatives=7)


def test_names_and_functions_choose_what_trains(planted):
    job = w2v.set_up(planted, w2v.Settings(**SMALL, model="cbow", objective="hierarchical"))
    chosen = w2v.method("cbow", "hierarchical", len(planted.ids), SMALL["epochs"])
    assert job.recipe.windows is chosen.windows
    assert (job.settings.learning_rate, job.settings.negatives) == (chosen.learning_rate, None)
    own = w2v.set_up(planted, w2v.Settings(**SMALL, objective=w2v.softmax()))
    assert (own.settings.as_json()["objective"], own.recipe.windows) == (
        "custom",
        w2v.windows.block_batch,
    )
    with pytest.raises(errors.SettingError, match=r"model=.skipgram..*Models: cbow, skip-gram"):
        w2v.train(Unread(), **SMALL, model="skipgram")


def test_the_command_writes_vectors_model_log_and_summary(cli, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(line) for line in planted_text()))
    options = "--dim 8 --epochs 2 --sample 0 --held-out 0.1 --json -".split()
    done = cli("train", text, "--out", tmp_path / "out", *options, "--log-every", "1 epoch")
    assert done.code == 0
    log = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]
    for wrong in ("1 parsec", "-1"):
        refused = cli("train", text, "--out", tmp_path / "no", f"--log-every={wrong}")
        assert (refused.code, f"log_every='{wrong}' cannot work" in refused.err) == (2, True)
    summary = json.loads(done.out)
    assert summary["vocabulary"] == 24
    assert summary["held_out"]["loss"] < summary["held_out"]["unigram_loss"] + 0.1
    vectors = w2v.load(tmp_path / "out" / "vectors.bin")
    model = w2v.load_model(tmp_path / "out" / "model.safetensors")
    np.testing.assert_array_equal(vectors.matrix, model.params.input)
    for refused in (["--max-vocab", "9"], ["--dim", "9"]):
        again = cli(
            "train", text, "--out", tmp_path / "no", "--from", tmp_path / "out", "--quiet", *refused
        )
        assert (again.code, refused[0] in again.err) == (2, True)
    options = ("--from", tmp_path / "out", "--quiet", "--epochs", 1, "--held-out", 0.1)
    further = cli("train", text, "--out", tmp_path / "more", *options)
    assert further.code == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["words"] == summary["words"]


def test_going_on_from_a_model_is_with_its_model_and_objective(cli, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(line) for line in planted_text(60)))
    names = ("--model", "cbow", "--objective", "hierarchical")
    first = cli(
        "train", text, "--out", tmp_path / "a", "--dim", "8", "--epochs", "1", "--quiet", *names
    )
    again = cli(
        "train", text, "--out", tmp_path / "b", "--from", tmp_path / "a", "--epochs", "1", "--quiet"
    )
    assert (first.code, again.code) == (0, 0)
    summary = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert (summary["model"], summary["objective"]) == ("cbow", "hierarchical")
    model = w2v.load_model(tmp_path / "a" / "model.safetensors")
    w2v.save_model(tmp_path / "bare.safetensors", model.params, model.words, model.counts)
    unsaid = cli(
        "train", text, "--out", tmp_path / "c", "--from", tmp_path / "bare.safetensors", "--quiet"
    )
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


@pytest.mark.parametrize("batch_words", [16, *slow(48, 96, 400, 768, 1024)])
def test_the_loss_is_read_off_whole_spans_whatever_the_batch(batch_words: int) -> None:
    """Blocks may share negatives. The loss is measured on whole groups of such blocks."""
    random = np.random.default_rng(3)
    ids, counts = random.integers(0, 50, 2048).astype(np.int32), np.full(50, 40)
    objective = w2v.shared_negatives(5, shared=8, span=3)
    groups = batch_words // 16
    recipe = w2v.Recipe(
        objective,
        w2v.windows.block_batch,
        w2v.row_sgd,
        0.05,
        groups=groups,
        block_words=16,
        measured=max(1, groups // 8),
    )
    params = w2v.init_params(jax.random.key(0), 50, 8)
    keep = keep_thresholds(counts, 0)
    _, progress = jax.jit(partial(train_chunk, recipe, 2048))(
        State(params, recipe.optimizer.init(params)),
        objective.init(counts),
        keep,
        (jnp.asarray(ids), jnp.int32(0), jnp.int32(2048)),
        jax.random.key(1),
    )
    # Untrained output rows are zero: each positive and its five negatives lose log 2
    assert float(progress.loss / progress.pairs) == pytest.approx(6 * np.log(2), rel=0.35)
    assert int(progress.failed) == -1


def words_of(text):
    """A text without the lines and boxes that it is printed in."""
    return " ".join(text.replace("│", " ").split())


def test_a_setting_is_written_once_and_read_everywhere(cli):
    """Signature, help, command, checks and checkpoint take names and defaults from Settings."""
    settings = {field.name: field for field in dataclasses.fields(w2v.Settings)}
    shown = words_of(cli("train", "--help").out).partition("raining options")[2]
    for act in (w2v.train, w2v.plan):
        parameters = inspect.signature(act).parameters
        assert list(parameters) == [
            "corpus",
            *(field.name for field in dataclasses.fields(Arguments)),
        ]
        assert list(parameters)[1 : len(settings) + 1] == list(settings)
        for name, field in settings.items():
            assert parameters[name].default == field.default
    for name, field in settings.items():
        option, about = f"--{name.replace('_', '-')} ", field.metadata["about"]
        assert f"{name}: {about}" in words_of(w2v.train.__doc__)
        assert option in shown
        said = shown.partition(option)[2].partition(" ")[2]
        assert said.startswith(about)
        if field.default is not None:
            default = re.match(r"\W*[Dd]efault: ([^\s)]+)[).] ", said.removeprefix(about))[1]
            assert type(field.default)(default) == field.default
        with pytest.raises(errors.SettingError, match=f"{name}=<object"):
            w2v.train(Unread(), **{name: object()})
    assert list(w2v.Settings().as_json()) == list(settings)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dmi", r"Did you mean dim\?"),
        ("learning_rte", r"Did you mean learning_rate\?"),
        ("vectr_size", r"Did you mean dim\?"),
        ("xyzzy", r"help\(w2vjax.train\) lists the settings"),
        ("run", "now called block_words"),
        ("replicas", "now called copies"),
        ("vector_size", "In w2vjax it is dim"),
        ("size", "it is dim"),
        ("sg", 'it is model="skip-gram" or model="cbow"'),
        ("workers", "it is copies"),
        ("alpha", "it is learning_rate"),
        ("min_alpha", "it is schedule"),
        ("negative", "it is negatives"),
        ("hs", 'it is objective="hierarchical"'),
        ("iter", "it is epochs"),
        ("ns_exponent", "it is noise_exponent"),
        ("sentences", "it is the first argument, corpus"),
    ],
)
def test_a_name_that_is_no_setting_is_refused_with_a_suggestion(name, says):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=says):
            act(Unread(), **{name: 3})


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--run", "--block-words"),
        ("--replicas=2", "--copies"),
        ("--vector-size", "--dim"),
        ("--negative", "--negatives"),
    ],
)
def test_an_option_of_another_name_is_refused_with_the_name_here(cli, option, says):
    for command in ("train", "plan"):
        done = cli(command, option, 3)
        assert (done.code, done.out) == (2, "")
        name = option.partition("=")[0]
        told = f"There is no option {name}. Did you mean {says}?"
        assert done.err == (
            f"w2vjax {command}: {told} w2vjax {command} --help lists the options.\n"
        )


def test_a_method_of_your_own_is_what_trains(planted):
    mine = w2v.method("cbow", "negative")._replace(
        optimizer=w2v.row_adagrad, learning_rate=0.02, block_words=8, batch_words=48
    )
    run = w2v.train(planted, dim=8, epochs=1, method=mine).run
    assert (run.settings.model, run.settings.learning_rate, run.settings.batch_words) == (
        "cbow",
        0.02,
        48,
    )
    assert (run.recipe.windows, run.recipe.block_words) == (w2v.windows.cbow_block_batch, 8)
    softmax = mine._replace(objective=w2v.softmax())
    own = make_run(planted, Arguments(dim=8, epochs=1, method=softmax)).settings.as_json()
    assert (own["model"], own["objective"]) == ("cbow", "custom")
    for beside in ({"model": "cbow"}, {"objective": "softmax"}, {"objective": w2v.softmax()}):
        with pytest.raises(errors.SettingError, match="cannot go with a method"):
            w2v.train(Unread(), method=mine, **beside)
    with pytest.raises(
        errors.SettingError, match="batch_words=50 is not a multiple of block_words=8"
    ):
        w2v.train(Unread(), method=mine._replace(batch_words=50), batch_words=50)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block_words", 0),
        ("block_words", 2.5),
        ("batch_words", 0),
        ("accelerator_words", 0),
        ("accelerator_words", 65_537),
        ("accelerator_rate", 0.0),
        ("accelerator_rate", float("nan")),
        ("learning_rate", float("nan")),
        ("learning_rate", -1.0),
    ],
)
def test_a_number_of_a_method_is_checked_as_the_setting_is(name, value):
    with pytest.raises(errors.SettingError, match=f"{name}={value}"):
        w2v.train(Unread(), method=w2v.method()._replace(**{name: value}))


@pytest.mark.parametrize("name", ["dim", "seed", "learning_rate", "sample"])
def test_a_number_too_large_for_a_float_is_refused(name):
    with pytest.raises(errors.SettingError, match=rf"^{name}=1000.{{0,99}} cannot work"):
        w2v.Settings(**{name: 10**400}).check()


@pytest.mark.parametrize(
    ("block", "given", "use"), [(3, 65_536, 65_535), (3, 65_534, 65_535), (16, 8, 16)]
)
def test_the_remedy_for_words_of_a_step_can_work(block, given, use):
    settings = w2v.Settings(block_words=block, batch_words=given)
    with pytest.raises(errors.SettingError, match=rf"multiple .* Use {use}\."):
        methods.completed(settings)
    assert methods.completed(dataclasses.replace(settings, batch_words=use)).batch_words == use


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
@pytest.mark.parametrize("arguments", [{"epochs": 0}, {"words": -1}, {"words": float("nan")}])
def test_a_method_is_for_a_text_that_is_read_at_least_once(model, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(errors.SettingError, match=rf"{name}={value} cannot work. Use .* or more"):
        w2v.method(model, **{"words": 100, **arguments})


def test_a_text_that_is_held_out_is_said_to_be():
    with pytest.raises(errors.CorpusError, match=r"1 of 3 tokens .* held_out"):
        w2v.train([["a", "b", "a"]], min_count=1, held_out=0.9)


def test_float64_tables_need_the_64_bit_numbers_of_jax():
    with pytest.raises(errors.SettingError, match="JAX_ENABLE_X64=1"):
        w2v.train(Unread(), dtype="float64")
