"""Training: the post's run, what is drawn and learned, equal bits, and further training."""

import contextlib
import itertools
import json
import os
import pickle
import warnings
from copy import deepcopy
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from marks import slow
from planted import SMALL, bits, planted_text

import w2vjax as w2v
from w2vjax import errors
from w2vjax.corpus.encode import Corpus, prepare
from w2vjax.data import machine_learning_text, published_figures
from w2vjax.devices.feed import feed, longest_call, marked, rounded_size
from w2vjax.devices.mesh import on_accelerator
from w2vjax.objectives.bounds import MANY, totals_of
from w2vjax.objectives.softmax import softmax
from w2vjax.runs import loop
from w2vjax.training import methods
from w2vjax.training.copies import join, join_states
from w2vjax.training.settings import Settings
from w2vjax.training.step import Recipe, State, compile_chunk, train_chunk
from w2vjax.training.updates import (
    RepeatedRows,
    WholeTables,
    apply_gradients,
    check_optimizer,
    parts,
)
from w2vjax.types import Params, Rows
from w2vjax.windows.cbow import cbow_block_batch
from w2vjax.windows.sampling import chunk_seed, full_reach, keep_thresholds, split_lines
from w2vjax.windows.skipgram import block_batch


@pytest.mark.usefixtures("x64")
def test_the_posts_run_through_this_engine_ends_in_its_published_vectors():
    figures = published_figures()
    words = w2v.reference.tokenize(machine_learning_text())
    order = figures["vocabulary"]
    ids = {word: place for place, word in enumerate(order)}
    vocab = w2v.Vocab(tuple(order), [words.count(word) for word in order])
    corpus = Corpus(
        vocab, np.array([ids[w] for w in words], np.int32), np.zeros(1, np.int64), "the post", False
    )
    random = np.random.RandomState(figures["settings"]["numpy_seed"])
    w1, w2 = random.randn(60, 10), random.randn(10, 60)
    trained = w2v.train(
        corpus,
        start=Params(jnp.asarray(w1), jnp.asarray(w2.T)),
        dim=10,
        window=2,
        epochs=50,
        sample=0.0,
        min_count=0,
        batch_words=84,
        block_words=12,
        objective=softmax(),
        optimizer=optax.sgd,
        reach=full_reach,
        schedule=optax.constant_schedule(0.05),
        dtype="float64",
    )
    error = np.abs(np.asarray(trained.params.input) - np.array(figures["w1"])).max()
    assert error <= 1e-8  # measured 4.99e-9: the printed digits


def test_every_word_is_a_center_once_and_every_pair_counted_once():
    lengths = [1, 2, 3, 30, 7, 64, 5]
    lines = [[str(i) for i in range(n)] for n in lengths]
    corpus = prepare(lines, min_count=0)
    seen = []

    def spy(tokens, segments, reach):
        batch = block_batch(tokens, segments, reach)
        jax.debug.callback(lambda weights: seen.append(float(weights.sum())), batch.weights)
        return batch

    w2v.train(corpus, **SMALL | {"epochs": 1}, windows=spy, reach=full_reach, window=3)
    pairs = sum(min(n - 1, i + 3) - max(0, i - 3) for n in lengths for i in range(n))
    jax.effects_barrier()
    # Every step of so short a text is measured. So each batch is made twice: for the loss too.
    assert sum(seen) == 2 * pairs
    # the last, partial batch is padded and not dropped
    assert len(seen) == 2 * -(-sum(lengths) // SMALL["batch_words"])


def test_a_chunk_of_the_engine_equals_a_loop_over_pairs_in_numpy():
    random = np.random.default_rng(1)
    ids = random.integers(0, 9, 40).astype(np.int32)
    params = Params(*(jnp.asarray(random.normal(size=(9, 4)), jnp.float32) for _ in range(2)))
    recipe = Recipe(
        softmax(), block_batch, optax.sgd, 0.1, 2, groups=1, block_words=8, reach=full_reach
    )
    keep = keep_thresholds(np.ones(9), 0)
    state = State(jax.tree.map(jnp.copy, params), recipe.optimizer.init(params))
    arguments = ((jnp.asarray(ids), jnp.int32(0), jnp.int32(40)), jax.random.key(0))
    state, progress = jax.jit(partial(train_chunk, recipe, 40))(state, (), keep, *arguments)
    w1, w2 = (np.asarray(table, np.float64) for table in params)
    for start in range(0, 40, 8):
        g1, g2 = np.zeros_like(w1), np.zeros_like(w2)
        for t, p in itertools.product(range(start, start + 8), range(40)):
            if 0 < abs(t - p) <= 2:
                scores = w2 @ w1[ids[t]]
                error = (
                    np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
                    - np.eye(9)[ids[p]]
                )
                g1[ids[t]] += error @ w2
                g2 += np.outer(error, w1[ids[t]])
        w1, w2 = w1 - 0.1 * g1, w2 - 0.1 * g2
    assert int(progress.steps) == 5
    # measured 3e-6 in float32 on values up to 6
    np.testing.assert_allclose(state.params.input, w1, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(state.params.output, w2, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["negative", "hierarchical", "softmax"])
@pytest.mark.parametrize("windows", [block_batch, cbow_block_batch])
def test_all_six_pairs_beat_the_unigram_distribution_on_held_out_text(name, windows):
    trained = w2v.train(
        planted_text(600),
        **SMALL | {"epochs": 6, "learning_rate": 0.2 if name == "softmax" else 0.05},
        held_out=0.2,
        windows=windows,
        objective=name,
        optimizer=w2v.row_adagrad if name == "softmax" else w2v.row_sgd,
    )
    held = w2v.evaluate_held_out(trained.run, trained.params)
    # knowing the topic is worth log 3 = 1.10 nats of log 24 = 3.18; a third of that is the bar
    assert held["pairs"] > 1000
    assert held["loss"] < held["unigram_loss"] - 0.36
    assert abs(held["unigram_loss"] - np.log(24)) < 0.05


@pytest.mark.parametrize("words", [24, *slow(1500)])
@pytest.mark.parametrize(
    ("model", "name"),
    [
        pytest.param(*pair, marks=[] if pair == ("cbow", "negative") else pytest.mark.slow)
        for pair in methods.METHODS
    ],
)
@pytest.mark.slow
def test_what_ships_beats_the_unigram_distribution(model, name, words):
    text = planted_text(600) if words == 24 else planted_text(3000, words=500)
    trained = w2v.train(
        text, dim=16, epochs=20, min_count=1, sample=0.0, model=model, objective=name, held_out=0.2
    )
    held = trained.summary["held_out"]
    assert held["pairs"] > 1000
    # of the 1.10 that there are to learn; measured 1.08 on 24 words, .57 on 1,500 by CBOW with
    # negatives
    assert held["loss"] < held["unigram_loss"] - (0.9 if words == 24 else 0.45)
    assert np.abs(trained.vectors.matrix).max() < 10


def test_a_share_that_holds_no_pair_out_says_so():
    summary = w2v.train(planted_text(20), **SMALL, held_out=0.001).summary
    assert summary["held_out"] == {"loss": None, "unigram_loss": None, "pairs": 0}


@pytest.fixture(scope="module")
def plain(planted):
    """A run with nothing special."""
    return w2v.train(planted, **SMALL)


def test_two_runs_give_the_same_bits_and_another_seed_others(planted, plain):
    assert bits(w2v.train(planted, **SMALL).params) == bits(plain.params)
    assert bits(w2v.train(planted, **SMALL | {"seed": 1}).params) != bits(plain.params)


@pytest.fixture
def in_chunks(monkeypatch):
    """Chunks so short that a small text has several."""
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)


@pytest.mark.parametrize("cores", [3, *slow(1, 2, 9)])
def test_many_runs_are_what_each_would_be_alone_on_any_number_of_cores(
    planted, in_chunks, monkeypatch, cores
):
    monkeypatch.setattr("w2vjax.runs.many.usable_cores", lambda: cores)
    seeds, rates = [0, 7, 2**32 - 1, 7], [0.1, 0.05, 0.1, 0.2]
    many = w2v.train_many(planted, seeds, rates, **SMALL)
    assert len(many.input) == len(many.output) == 4
    chosen = range(4) if cores == 3 else (3,)
    for at in chosen:
        own = {"seed": seeds[at], "learning_rate": rates[at], "copies": 1}
        alone = w2v.train(planted, **SMALL, **own)
        assert alone.run.feed.chunks > 1
        for table, expected in zip(many, alone.params, strict=True):
            np.testing.assert_array_equal(table[at], expected)


@pytest.mark.parametrize("pair", [{}, *slow({"objective": "hierarchical", "model": "cbow"})])
def test_many_runs_without_rates_take_the_usual_one_or_the_schedule(
    planted, in_chunks, monkeypatch, pair
):
    monkeypatch.setattr("w2vjax.runs.many.usable_cores", lambda: 1)  # the shapes of three cores
    given = SMALL | pair
    usual = w2v.train_many(planted, range(2), **given).input
    for schedule, equal in ((None, True), (w2v.linear_decay(0.01, 300), False)):
        alone = w2v.train(planted, **given, copies=1, seed=1, schedule=schedule).params.input
        assert np.array_equal(usual[1], alone) == equal
        if schedule:
            many = w2v.train_many(planted, range(2), schedule=schedule, **given).input
            np.testing.assert_array_equal(many[1], alone)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": []}, "seeds=\\[\\] is no list of numbers"),
        ({"seeds": 5}, "seeds=5 is no list of numbers"),
        ({"seeds": None, "learning_rates": []}, "learning_rates=.* is no list of numbers"),
        ({"learning_rates": [0.1, 0.2], "log_every": 1.0}, "log_every cannot go with train_many"),
        ({"on_epoch": print}, "on_epoch cannot go with train_many"),
        ({"seeds": {1, 2}}, r"seeds=\{1, 2\} is no list of numbers"),
        ({"seeds": [[1]]}, "is no list of numbers"),
        ({"seeds": [1, -1]}, "seed=-1"),
        ({"seeds": [[1, 2], [3]]}, r"seed=\[1, 2\]"),
        ({"seeds": ["1"]}, "seed='1'"),
        ({"seeds": [1, 2], "learning_rates": [0.1]}, "2 seeds cannot go with 1 learning rates"),
        ({"seeds": [1], "learning_rates": [-1.0]}, "learning_rate=-1"),
        ({"seeds": [1], "learning_rates": 0.1}, "learning_rates=0.1 is no list"),
        ({"seeds": [1], "learning_rates": [0.1], "schedule": 0.1}, "cannot go with a schedule"),
        ({"copies": 2}, "copies cannot go with train_many"),
        ({"checkpoint": "here"}, "checkpoint cannot go with train_many"),
        ({"dmi": 3}, "Did you mean dim"),
    ],
)
def test_many_runs_refuse_what_cannot_be_theirs(planted, given, message):
    with pytest.raises(w2v.errors.SettingError, match=message):
        w2v.train_many(planted, **given)


def test_a_run_of_many_that_diverges_is_named_by_its_seed(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.runs.watch._LARGEST", 0.2)
    with pytest.raises(w2v.errors.DivergedError, match=r"seed=5: Training has diverged.*rate=3\.0"):
        w2v.train_many(planted, [4, 5], [1e-6, 3.0], **SMALL)
    says = (
        r"seed=5: .*2 more of 4 have diverged: seed=6, learning_rate=2\.0; seed=6, .*rate=1\.0\.$"
    )
    with pytest.raises(w2v.errors.DivergedError, match=says):
        w2v.train_many(planted, [4, 5, 6, 6], [1e-6, 3.0, 2.0, 1.0], **SMALL)


@pytest.mark.slow
def test_equal_runs_of_many_are_all_counted(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.runs.watch._LARGEST", 0.2)
    says = r"seed=3: .* 3 more of 4 have diverged: seed=3; seed=3; seed=4\.$"
    with pytest.raises(w2v.errors.DivergedError, match=says):
        w2v.train_many(planted, [3, 3, 3, 4], **SMALL)


def test_one_copy_of_the_tables_and_two_learn_the_topics_and_two_repeat_their_bits(
    planted, monkeypatch
):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    one, two, again = (
        w2v.train(planted, **SMALL | {"epochs": 4, "copies": n}, log_every=0.0) for n in (1, 2, 2)
    )
    assert bits(two.params) == bits(again.params) != bits(one.params)
    assert two.run.feed.chunks % 2 == 0
    assert abs(two.history[-1]["loss"] - one.history[-1]["loss"]) < 0.15  # measured 0.03 of 2.9
    for trained, word in itertools.product((one, two), ("tea1", "sea2", "key3")):
        assert {other[:3] for other, _ in trained.vectors.most_similar(word, topn=5)} == {word[:3]}


@pytest.mark.parametrize("copies", [2, 4, 16])
def test_a_join_adds_rare_rows_and_averages_frequent_ones(copies):
    start = jnp.asarray([[1.0], [1.0], [1.0], [1.0]])
    moved = [start + r for r in range(1, copies + 1)]
    total = copies * (copies + 1) / 2
    # of a row that no step met, a rare, a usual and a frequent one
    gone = jnp.asarray([0.0, 1e-6, 1.0, 1e6])
    joined = join(start, moved, [gone] * copies).ravel() - 1
    usual = -np.expm1(-copies) / (copies * -np.expm1(-1))
    np.testing.assert_allclose(joined, [total, total, total * usual, total / copies], rtol=1e-4)
    # a row that one copy alone has moved keeps what it learned there
    alone = join(start, [moved[0]] + [start] * (copies - 1), [gone] + [jnp.zeros(4)] * (copies - 1))
    np.testing.assert_allclose(alone, moved[0], rtol=1e-6)


def test_copies_that_go_to_the_same_place_end_there_and_not_beyond():
    """Each of R copies goes by steps of lr * bound to a row's optimum, 1: together they go about as
    far as one after the other, whatever the rate and the number of steps. A step that goes all the
    way counts 1 - 1/e of it.
    """
    for copies, rate, steps in itertools.product((2, 8), (0.001, 0.1, 0.9), (1, 10, 1000)):
        moved = jnp.full((1, 1), 1 - (1 - rate) ** steps)
        gone = jnp.full(1, rate * steps)
        joined = float(join(jnp.zeros((1, 1)), [moved] * copies, [gone] * copies)[0, 0])
        assert joined <= (1.05 if rate < 0.9 else 1 / (1 - np.exp(-1)))  # measured 1.03 and 1.52
        if rate < 0.9:  # measured 0.02
            assert abs(joined - (1 - (1 - rate) ** (copies * steps))) < 0.05


def test_a_join_clears_what_was_counted_and_means_what_was_not():
    for optimizer, counts in (
        (w2v.row_sgd(0.1), True),
        (optax.chain(optax.clip(1.0), w2v.row_adagrad(0.1)), True),
        (optax.sgd(0.1), False),
    ):
        params = Params(jnp.zeros((3, 2)), jnp.zeros((3, 2)))
        apply, states = jax.jit(partial(apply_gradients, optimizer)), []
        for copy in (1, 2):
            rows = Rows(jnp.asarray([0, copy]), jnp.ones((2, 2)))
            bounds = Params(jnp.full(2, 1e-3), jnp.full(2, 1e-3))
            before = optimizer.init(params), params
            states.append(State(*apply(*before, Params(rows, rows), bounds)))
        joined, after = join_states(params, tuple(states), jnp.float32(2))
        moved = sum(np.asarray(state.params.input) for state in states)
        # rows met by next to nothing are added up; a mean halves them
        np.testing.assert_allclose(joined.input, moved if counts else moved / 2, rtol=1e-3)
        for state in after:
            assert bits(state.params) == bits(joined)
            counted = totals_of(state.optimizer)
            assert (counted is not None) == counts
            assert not counts or float(jnp.abs(counted).max()) == 0
        alone, _ = join_states(
            params, (states[0], State(params, optimizer.init(params))), jnp.float32(1)
        )
        np.testing.assert_allclose(alone.input, states[0].params.input, rtol=1e-6)


def test_a_run_is_compiled_once(planted):
    job = loop.set_up(planted, Settings(**SMALL))
    program = compile_chunk(job.recipe, 640)
    state = job.state
    for number in range(4):
        ids = marked(planted, 640 * number, min(640, 500 + number), 640)
        count = jnp.int32(500 + number)
        state, _ = program(
            state, job.tables, job.keep, ids, jnp.int32(0), count, chunk_seed(0, 0, number)
        )
    assert program.jitted._cache_size() == 1


LIKE = [("cbow", "negative", 2), ("skip-gram", "hierarchical", 1), ("cbow", "softmax", 1)]


@pytest.mark.parametrize(
    ("model", "objective", "copies"), [("skip-gram", "negative", 1), *slow(*LIKE)]
)
def test_texts_of_like_size_share_a_program_with_the_bits_of_their_own(
    planted, model, objective, copies
):
    settings = SMALL | {"model": model, "objective": objective, "copies": copies}
    if copies == 2:
        settings |= {"join_words": 512}
    own = prepare(planted_text(396), vocab=planted.vocab)
    runs = [w2v.set_up(corpus, Settings(**settings)) for corpus in (planted, own)]
    whole, less = [compile_chunk(run.recipe, run.feed.room) for run in runs]
    assert less.jitted is whole.jitted
    run = runs[1]
    exact = compile_chunk(run.recipe, run.feed.size)
    for number in range(min(2, run.feed.chunks)):  # the program overwrites what it is given
        given = run.tables, run.keep, *run.feed.chunk(number), chunk_seed(0, 0, number)
        state, told = less(jax.tree.map(jnp.copy, run.state), *given)
        alone, expected = exact(jax.tree.map(jnp.copy, run.state), *given)
        assert bits(jax.tree.leaves((state, told))) == bits(jax.tree.leaves((alone, expected)))


@pytest.mark.parametrize("words", [2, 17, 383, 384, 4097, 99_000, 262_144, 10**7 + 1])
def test_the_room_of_a_chunk_is_an_eighth_larger_at_most(words):
    assert words <= rounded_size(words) <= words * 9 / 8 + 1
    assert rounded_size(rounded_size(words)) == rounded_size(words)


@pytest.mark.parametrize(
    ("words", "join_words"), [(700, 256), (1300, 512), (2049, 384), (600, None)]
)
def test_every_chunk_of_a_resident_text_is_within_its_room(words, join_words, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.memory", lambda _: 1 << 30)
    rng = np.random.default_rng(0)
    corpus = prepare([[f"w{i}" for i in rng.integers(0, 9, words)]], min_count=1)
    place = feed(corpus, 0.0, 32, 2, join_words=join_words)
    assert place.resident is not None
    apart = place._replace(resident=None)
    for number in range(place.chunks):
        ids, offset, count = place.chunk(number)
        assert offset + place.room <= len(ids)
        alone, _, least = apart.chunk(number)
        there = np.asarray(ids)[offset : offset + count]
        assert count == least
        np.testing.assert_array_equal(there, alone[:count])


def test_runs_share_a_program_unless_functions_or_shapes_of_a_step_differ(planted):
    def program(corpus=planted, schedule=None, **other):
        run = w2v.set_up(corpus, Settings(**SMALL | other), schedule=schedule)
        return compile_chunk(run.recipe, run.feed.room).jitted

    usual = program()
    turned = prepare(planted_text()[::-1], min_count=1)
    for other in ({"seed": 7}, {"learning_rate": 0.3}, {"epochs": 9}, {"sample": 1e-3}, {"dim": 9}):
        assert program(**other) is usual
    assert program(turned) is usual
    assert program(schedule=0.1) is program(schedule=0.2) is usual
    others = [
        {"window": 3},
        {"batch_words": 64},
        {"block_words": 16},
        {"negatives": 3},
        {"objective": "softmax"},
        {"model": "cbow"},
    ]
    # dim is seen by the shapes of what the program is given, and compiled for at its first call
    assert len({usual, *(program(**other) for other in others)}) == 7


def test_a_second_run_compiles_nothing(planted, caplog):
    def compiled(**settings):
        caplog.clear()
        with jax.log_compiles(True):
            w2v.train(planted, **SMALL | settings, held_out=0.2)
        return [line for line in caplog.messages if line.startswith("Compiling")]

    assert compiled()
    for settings in ({"seed": 1}, {"learning_rate": 0.01}, {"epochs": 3}):
        assert not compiled(**settings)


def test_what_is_trained_goes_to_other_processes_and_can_be_continued_there(planted, plain):
    for twin in (pickle.loads(pickle.dumps(plain)), deepcopy(plain)):
        assert bits(twin.params) == bits(plain.params)
        assert (twin.summary, twin.history) == (plain.summary, plain.history)
        assert twin.vectors.most_similar("tea1") == plain.vectors.most_similar("tea1")
        targets = (
            w2v.draw_targets(each.run.recipe.objective, jax.random.key(0), each.run.tables, batch)
            for each in (twin, plain)
            for batch in [w2v.pairs([0, 1], [1, 2])]
        )
        assert bits(next(targets)) == bits(next(targets))
    for other in ("hierarchical", "softmax"):
        run = w2v.set_up(planted, Settings(**SMALL | {"objective": other}))
        assert pickle.loads(pickle.dumps(run)).settings == run.settings


def test_what_was_trained_by_a_lambda_is_pickled_without_its_run(planted):
    trained = w2v.train(planted, **SMALL | {"epochs": 1}, optimizer=lambda rate: w2v.row_sgd(rate))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(trained)
    twin = pickle.loads(pickle.dumps(trained._replace(run=None)))
    assert bits(twin.params) == bits(trained.params)
    assert twin.vectors.most_similar("tea1") == trained.vectors.most_similar("tea1")
    assert "_replace(run=None)" in w2v.Trained.__doc__


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("table", ["input", "output"])
@pytest.mark.parametrize("bad", [np.inf, *slow(-np.inf, np.nan)])
@pytest.mark.parametrize(
    ("model", "objective"),
    [("skip-gram", "negative"), *slow(("skip-gram", "hierarchical"), ("cbow", "softmax"))],
)
def test_a_step_with_a_number_that_is_not_finite_moves_nothing(
    planted, model, objective, bad, table, measure
):
    run = w2v.set_up(planted, w2v.Settings(**SMALL, model=model, objective=objective))
    recipe = run.recipe._replace(measured=run.recipe.groups)
    tokens = jnp.asarray(planted.ids[: 4 * 18].reshape(4, 18))
    batch = recipe.windows(tokens, jnp.zeros((4, 18), jnp.int32), jnp.full((4, 8), 5))
    used = int(batch.inputs.ids.reshape(-1)[0]) if table == "input" else int(batch.words[0, 0])
    draw = np.random.default_rng(0).normal
    params = w2v.Params(*(jnp.asarray(draw(size=t.shape), t.dtype) for t in run.state.params))
    for entry in (0, slice(None)):
        spoiled = getattr(params, table).at[used, entry].set(bad)
        given = params._replace(**{table: spoiled})
        before = jax.tree.map(np.asarray, given)
        step = jax.jit(partial(w2v.gradient_step, recipe, measure=measure))
        state, loss, _ = step(
            State(given, run.state.optimizer), run.tables, batch, jax.random.key(0)
        )
        assert np.isnan(loss)
        for found, old in zip(state.params, before, strict=True):
            np.testing.assert_array_equal(found, old)


@pytest.mark.parametrize("objective", ["negative", "hierarchical"])
def test_a_step_on_no_pairs_moves_nothing(planted, objective):
    run = w2v.set_up(planted, Settings(**SMALL | {"objective": objective}))
    step = jax.jit(partial(w2v.gradient_step, run.recipe))
    after, loss, pairs = step(run.state, run.tables, w2v.pairs([], []), jax.random.key(0))
    assert (float(loss), float(pairs)) == (0, 0)
    assert bits(after.params) == bits(run.state.params)


def test_what_a_run_is_shown_as_fits_on_a_line(planted, plain):
    run = w2v.set_up(planted, Settings(**SMALL))
    for shown in map(repr, (plain, run, run.state)):
        assert len(shown) < 130, shown
        assert "\n" not in shown
    assert repr(plain).startswith("Trained(24 words x 8, 9,600 words read, loss ")
    assert "24 words x 8" in repr(run)


def test_the_built_in_text_is_read_as_the_command_reads_it():
    trained = w2v.train(dim=4, epochs=1)
    assert len(trained.vocab) == 60
    assert "ten times as many epochs" in trained.summary["advice"]
    assert w2v.prepare().vocab == trained.vocab
    assert len(w2v.prepare().ids) == 84


@pytest.mark.parametrize("counts", [[10**6, 1], [1, 1], [2**40, 7], [5, 10**6], [2100, 900]])
def test_the_schedule_follows_the_words_of_the_text_and_not_the_counts_of_a_vocabulary(counts):
    """The counts may be those of another text, of as many words too, and its frequent word rare."""
    lines = [["a"] * 3 + ["b"] * 7] * 300
    vocab = w2v.Vocab(["a", "b"], counts)
    settings = {"dim": 2, "epochs": 2, "batch_words": 16, "block_words": 8, "copies": 1}
    trained = w2v.train(lines, vocab=vocab, **settings, log_every=1e9)
    assert 0.9 < trained.summary["steps"] / trained.run.steps < 1.1


def test_what_is_given_for_the_built_in_text_counts(tmp_path):
    by_spaces = w2v.prepare(tokenizer=w2v.corpus.tokenize_whitespace)
    assert len(by_spaces.vocab) == 61
    often = w2v.prepare(min_count=2, cache_dir=tmp_path)
    assert 0 < len(often.vocab) < 60
    assert min(often.vocab.counts) == 2
    assert w2v.prepare(min_count=2, cache_dir=tmp_path).reused
    known = w2v.Vocab(["machine", "learning", "zebra"], [3, 2, 1])
    assert w2v.prepare(vocab=known).vocab.words == known.words
    assert w2v.plan().vocabulary == 60


def test_chunks_are_the_corpus_with_its_lines_marked(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 64)
    place = feed(planted, 0.0, 32)
    tokens, lines = [], []
    for number in range(place.chunks):
        ids, offset, count = place.chunk(number)
        cut, segments = split_lines(
            jnp.asarray(ids[offset : offset + place.size]), jnp.int32(count)
        )
        tokens += np.asarray(cut)[:count].tolist()
        assert (np.asarray(segments)[count:] == -1).all()
        lines += (np.diff(np.asarray(segments)[:count], prepend=0) > 0).tolist()
    assert tokens == planted.ids.tolist()
    assert np.flatnonzero(lines).tolist() == planted.starts.tolist()


@pytest.mark.parametrize(
    "optimizer",
    [
        w2v.row_adagrad,
        pytest.param(w2v.row_sgd, marks=pytest.mark.slow),
        pytest.param(optax.sgd, marks=pytest.mark.slow),
        pytest.param(lambda s: w2v.dense(optax.sgd(s)), marks=pytest.mark.slow),
        pytest.param(
            lambda s: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(s)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_optimizers_lower_the_loss(planted, optimizer):
    settings = SMALL | {"epochs": 4, "learning_rate": 0.05}  # optax.sgd has no bound: .1 diverges
    trained = w2v.train(planted, **settings, optimizer=optimizer, log_every=0.0)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] - 0.2


@pytest.mark.usefixtures("standard_promotion")
def test_adam_is_refused_on_rows_and_works_wrapped(planted):
    with pytest.raises(errors.SettingError, match="cannot take row gradients"):
        w2v.train(planted, **SMALL, optimizer=optax.adam)
    trained = w2v.train(
        planted,
        **SMALL | {"learning_rate": 0.01, "epochs": 4},
        optimizer=lambda s: w2v.dense(optax.adam(s)),
        log_every=0.0,
    )
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] - 0.2


@pytest.mark.usefixtures("standard_promotion")
def test_a_chain_with_a_dense_optimizer_takes_whole_tables():
    """Row 1 occurs twice: its gradient is 2 + 2, which the chain clips to 3 once it is added up."""
    params = Params(jnp.zeros((3, 1)), jnp.zeros((3, 1)))
    rows = Rows(jnp.asarray([1, 1, 2]), jnp.asarray([[2.0], [2.0], [1.0]]))
    optimizer = optax.chain(optax.clip(3.0), w2v.dense(optax.trace(0.5)), optax.scale(-1.0))
    check_optimizer(optimizer, params)
    state, bounds = optimizer.init(params), Params(jnp.ones(3), jnp.ones(3))
    for steps in ([0, -3, -1], [0, -3 - 4.5, -1 - 1.5]):  # the second step adds half of the first
        params, state = apply_gradients(optimizer, state, params, Params(rows, rows), bounds)
        assert params.input.ravel().tolist() == params.output.ravel().tolist() == steps


def one_step(optimizer, rows, bounds, deterministic=False):
    """Both tables [4, 2], of zeros, after one step."""
    params = Params(jnp.zeros((4, 2)), jnp.zeros((4, 2)))
    check_optimizer(optimizer, params)
    step = jax.jit(partial(apply_gradients, optimizer, deterministic=deterministic))
    after, _ = step(optimizer.init(params), params, Params(rows, rows), Params(bounds, bounds))
    return np.asarray(after.input)


CLIP = optax.clip(1.0)


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: optax.chain(CLIP, inner),
        lambda inner: optax.chain(CLIP, optax.chain(optax.identity(), inner)),
        lambda inner: optax.inject_hyperparams(
            lambda scale: optax.chain(CLIP, inner, optax.scale(scale))
        )(scale=1.0),
    ],
)
def test_what_an_optimizer_takes_survives_a_chain(wrap):
    """dense gets tables with one gradient a row; row_sgd gets each example."""
    rows, bounds = Rows(jnp.asarray([2, 0, 2]), jnp.full((3, 2), 0.5)), jnp.full(3, 1e-3)
    state = wrap(w2v.dense(optax.adam(0.1))).init(Params(jnp.zeros((4, 2)), jnp.zeros((4, 2))))
    assert (parts(state, WholeTables), parts(state, RepeatedRows)) == (True, False)
    # Adam's first step is its learning rate for each row that has a gradient
    found = one_step(wrap(w2v.dense(optax.adam(0.1))), rows, bounds)
    np.testing.assert_allclose(found, -0.1 * np.array([[1, 1], [0, 0], [1, 1], [0, 0]]), rtol=1e-5)
    for optimizer in (w2v.row_sgd(0.1), w2v.row_adagrad(0.1)):
        state = wrap(optimizer).init(Params(jnp.zeros((4, 2)), jnp.zeros((4, 2))))
        assert (parts(state, WholeTables), parts(state, RepeatedRows)) == (False, True)
        np.testing.assert_allclose(
            one_step(wrap(optimizer), rows, bounds), one_step(optimizer, rows, bounds), rtol=1e-6
        )


def test_a_chain_with_row_sgd_pays_for_no_sort():
    def program(optimizer):
        params, rows = (
            Params(jnp.zeros((4, 2)), jnp.zeros((4, 2))),
            Rows(jnp.asarray([2, 0, 2]), jnp.ones((3, 2))),
        )
        step = jax.jit(partial(apply_gradients, optimizer))
        arguments = (
            optimizer.init(params),
            params,
            Params(rows, rows),
            Params(jnp.ones(3), jnp.ones(3)),
        )
        return step.lower(*arguments).as_text()

    assert "stablehlo.sort" not in program(optax.chain(CLIP, w2v.row_sgd(0.1)))
    # which needs distinct rows
    assert "stablehlo.sort" in program(optax.chain(CLIP, optax.sgd(0.1)))


def test_clipping_before_row_sgd_clips_each_example_and_before_sgd_each_row():
    rows, bounds = Rows(jnp.asarray([2, 0, 2]), jnp.full((3, 2), 3.0)), jnp.full(3, 1e-3)
    by_row = one_step(optax.chain(CLIP, w2v.row_sgd(0.1)), rows, bounds)
    by_sgd = one_step(optax.chain(CLIP, optax.sgd(0.1)), rows, bounds)
    np.testing.assert_allclose(by_row[:, 0], [-0.1, 0, -0.2, 0], rtol=1e-6)
    np.testing.assert_allclose(by_sgd[:, 0], [-0.1, 0, -0.1, 0], rtol=1e-6)


def row_adagrad_in_numpy(gradient, bounds, rates, epsilon, many):
    """A table [V, D] and how far its rows have gone [V], from zeros, after a step for each rate."""
    table, total, gone = np.zeros_like(gradient), np.zeros(len(gradient)), np.zeros(len(gradient))
    for rate in rates:
        total += (gradient**2).mean(1)
        size = rate / np.sqrt(total + epsilon)
        gone += size * bounds
        way = size * bounds
        mean = (way**2).sum() / way.sum()
        k = 1 + 3 * mean**2 / (mean**2 + many**2)
        table -= (size / np.maximum(1, k * way))[:, None] * gradient
    return table, gone


@pytest.mark.parametrize("ids", [None, [2, 0, 2, 3]])
@pytest.mark.parametrize(
    ("bounds", "epsilon"), [([1e-3] * 4, 1e-6), ([50.0, 1e-3, 7.0, 3.0], 1e-6), ([5.0] * 4, 2.0)]
)
def test_row_adagrad_equals_its_formula_in_numpy(bounds, ids, epsilon):
    """Whole tables, and rows of which one occurs twice. The bounds limit some steps or none."""
    values = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    gradient, total = values.copy(), np.asarray(bounds)
    if ids:
        gradient, total = np.zeros_like(values), np.zeros(4)
        np.add.at(gradient, ids, values)
        np.add.at(total, ids, bounds)
    leaf = Rows(jnp.asarray(ids), jnp.asarray(values)) if ids else jnp.asarray(values)
    rates = [0.5, 0.25, 0.1]
    optimizer = w2v.row_adagrad(lambda step: jnp.asarray(rates)[step], epsilon)
    params = Params(jnp.zeros((4, 3)), jnp.zeros((4, 3)))
    state, bounds = optimizer.init(params), Params(jnp.asarray(bounds), jnp.asarray(bounds))
    step = jax.jit(partial(apply_gradients, optimizer))
    for _ in rates:
        params, state = step(state, params, Params(leaf, leaf), bounds)
    table, gone = row_adagrad_in_numpy(gradient, total, rates, epsilon, MANY if ids else np.inf)
    np.testing.assert_allclose(params.input, table, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(state.totals.rows[:, 0], gone, rtol=1e-5)
    np.testing.assert_array_equal(params.output, params.input)


def test_an_optimizer_of_rows_and_tables_at_once_is_refused():
    params = Params(jnp.zeros((4, 2)), jnp.zeros((4, 2)))
    with pytest.raises(errors.SettingError, match="Use one kind"):
        check_optimizer(optax.chain(w2v.dense(optax.sgd(0.1)), w2v.row_sgd(0.1)), params)
    with pytest.raises(errors.SettingError, match="cannot take row gradients"):
        check_optimizer(optax.chain(optax.scale_by_adam(), w2v.row_sgd(0.1)), params)


@pytest.mark.slow
def test_the_deterministic_mode_trains_the_same_model(planted, plain):
    sorted_ = w2v.train(planted, **SMALL, deterministic=True).params
    # only the order of additions differs: measured 2.7e-6 of values up to 3 after 300 steps
    np.testing.assert_allclose(plain.params.input, sorted_.input, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(plain.params.output, sorted_.output, rtol=2e-5, atol=2e-5)


@contextlib.contextmanager
def as_on_a_gpu(monkeypatch, backwards):
    """Programs for a GPU, on a CPU. A GPU adds to rows in any order: here forwards or backwards."""
    add, calls = jax._src.lax.slicing.scatter_add, []

    def adding(operand, ids, updates, numbers, **how):
        calls.append(ids.shape)
        if backwards:
            axes = set(range(updates.ndim)) - set(numbers.update_window_dims)
            ids, updates = jnp.flip(ids, range(ids.ndim - 1)), jnp.flip(updates, sorted(axes))
        # otherwise XLA may make one rounding of a product and its addition, in one order alone
        ids, updates = jax.lax.optimization_barrier((ids, updates))
        return add(operand, ids, updates, numbers, **how)

    def for_a_gpu(*given, cpu, default):
        return default(*given)

    with monkeypatch.context() as patched:
        patched.setattr(jax._src.lax.slicing, "scatter_add", adding)
        patched.setattr(jax.lax, "platform_dependent", for_a_gpu)
        jax.clear_caches()
        yield
    jax.clear_caches()
    assert calls


@pytest.mark.parametrize(
    ("objective", "model", "optimizer"),
    [
        ("softmax", "skip-gram", w2v.row_sgd),
        *slow(
            ("negative", "skip-gram", w2v.row_sgd),
            ("hierarchical", "skip-gram", w2v.row_sgd),
            ("negative", "cbow", w2v.row_sgd),
            ("hierarchical", "cbow", w2v.row_sgd),
            ("softmax", "cbow", w2v.row_adagrad),
            ("negative", "skip-gram", w2v.row_adagrad),
            ("negative", "cbow", lambda rate: w2v.dense(optax.sgd(rate))),
        ),
    ],
)
def test_the_deterministic_mode_does_not_depend_on_the_order_of_additions(
    planted, model, objective, optimizer, monkeypatch
):
    method = w2v.method(model, objective)._replace(optimizer=optimizer)
    settings = SMALL | {"method": method, "epochs": 1, "learning_rate": 0.01}
    found = []
    for backwards in (False, True):
        with as_on_a_gpu(monkeypatch, backwards):
            for fixed in (True, False):
                found.append(bits(w2v.train(planted, **settings, deterministic=fixed).params))
    assert found[0] == found[2]
    assert found[1] != found[3]


@pytest.mark.slow
def test_records_come_at_whole_multiples_of_steps_words_or_epochs(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    settings = SMALL | {"epochs": 4}
    every = w2v.train(planted, **settings, log_every=0.0).history
    words, steps = every[-1]["words"] // 4, every[-1]["step"]
    assert len(every) > 8
    for text, name, length in (
        ("1 epoch", "words", words),
        ("0.5 epochs", "words", words / 2),
        (f"{steps // 3} steps", "step", steps // 3),
        ("1e12 words", "words", 1e12),
    ):
        found = w2v.train(planted, **settings, log_every=text).history
        ways = [0, *(record[name] for record in every)]
        due = [b // length > a // length for a, b in itertools.pairwise(ways)]
        expected = [r for r, at in zip(every, [*due[:-1], True], strict=True) if at]
        assert [(r["step"], r["words"]) for r in found] == [
            (r["step"], r["words"]) for r in expected
        ], text
    # a run that stops and goes on has its records at the same places
    whole = w2v.train(planted, **settings, log_every="700 words")
    for number in (1, 3):
        folder = w2v.Checkpoints(tmp_path / str(number), 1e9)
        seen = []

        def stop(record: object, seen: list[object] = seen, n: int = number) -> bool:
            seen.append(record)
            return len(seen) == n

        w2v.train(planted, **settings, log_every="700 words", checkpoint=folder, callback=stop)
        resumed = w2v.train(
            planted, **settings, log_every="700 words", checkpoint=folder._replace(resume=True)
        )
        missing = {r["words"] for r in whole.history} - {r["words"] for r in resumed.history}
        assert len(missing) == 1  # of the round that was under way when it stopped
        assert len(resumed.history) == len(whole.history) - 1


@pytest.mark.parametrize("copies", [2, *slow(1)])
def test_the_vectors_of_each_epoch(planted, tmp_path, monkeypatch, copies):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    settings, seen = SMALL | {"epochs": 3, "copies": copies}, []

    def keep(record, vectors):
        w2v.save(vectors, tmp_path / f"{record['epoch']}.npy")
        seen.append((record["epoch"], vectors.matrix.copy(), len(vectors.words)))

    plain = w2v.train(planted, **settings)
    trained = w2v.train(planted, **settings, on_epoch=keep)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3]
    assert {words for *_, words in seen} == {len(trained.vocab)}
    assert {record["epoch"] for record in trained.history} >= {1, 2, 3}
    assert np.array_equal(seen[2][1], trained.vectors.matrix)
    assert np.array_equal(plain.vectors.matrix, trained.vectors.matrix)
    assert np.array_equal(w2v.load(tmp_path / "2.npy").matrix, seen[1][1])
    assert not np.array_equal(seen[0][1], seen[1][1])
    # it stops at the end of an epoch, and goes on to the same bits, without the epoch it has seen
    folder, stopped = tmp_path / "kept", []
    first = w2v.train(planted, **settings, checkpoint=folder, on_epoch=lambda r, _: r["epoch"] == 2)
    assert first.summary["epochs"] == 2  # of three
    assert first.summary["words"] == trained.summary["words"] * 2 // 3
    assert np.array_equal(first.vectors.matrix, seen[1][1])
    resumed = w2v.train(
        planted,
        **settings,
        checkpoint=w2v.Checkpoints(folder, resume=True),
        on_epoch=lambda record, vectors: stopped.append(record["epoch"]),
    )
    assert np.array_equal(resumed.vectors.matrix, trained.vectors.matrix)
    assert stopped == [3]
    # an epoch that ends in the round after a callback has stopped the run is not lost
    rounds = -(-trained.run.feed.chunks // copies)
    calls, ends = [], []
    w2v.train(
        planted,
        **settings,
        log_every=0.0,
        callback=lambda record: calls.append(record["words"]) or len(calls) == rounds - 1,
        on_epoch=lambda record, vectors: ends.append((record["epoch"], vectors.matrix.copy())),
    )
    assert len(calls) == rounds - 1
    assert [epoch for epoch, _ in ends] == [1]
    assert np.array_equal(ends[0][1], seen[0][1])


def test_two_runs_cannot_write_into_one_log(planted, tmp_path):
    log = tmp_path / "log.jsonl"
    inner = []

    def again(record):
        for path in (log, str(log), tmp_path / "." / "log.jsonl"):
            with pytest.raises(w2v.errors.FileError, match=r"Another run writes into .*log\.jsonl"):
                w2v.train(planted, **SMALL, log=path)
            inner.append(path)
        return True

    w2v.train(planted, **SMALL, log=log, callback=again)
    assert len(inner) == 3
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(records) == 1
    w2v.train(planted, **SMALL, log=log)  # it is free again
    # a device is nobody's alone
    inside = partial(w2v.train, planted, **SMALL, log="/dev/null")
    inside(callback=lambda _: inner.append(inside()) or True)
    assert len(inner) == 4


def test_a_callback_stops_early_and_the_log_is_json_lines(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    records = []
    trained = w2v.train(
        planted,
        **SMALL,
        log=tmp_path / "log.jsonl",
        log_every=0.0,
        callback=lambda record: records.append(record) or len(records) == 3,
    )
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert logged[:3] == records[:3]
    assert trained.summary["words"] < len(planted.ids) * 2
    names = "epoch step words loss learning_rate words_per_second seconds seconds_left"
    assert set(records[0]) == set(names.split())
    assert records[0]["learning_rate"] == pytest.approx(trained.run.settings.learning_rate, rel=0.1)


@pytest.mark.parametrize("lines", [[["a"], ["b", "a"]], *slow([["a"] * 9], [["a", "b"]])])
def test_degenerate_corpora_train_to_finite_vectors(lines):
    assert np.isfinite(w2v.train(lines, **SMALL | {"window": 50}).vectors.matrix).all()


def test_a_single_word_is_refused():
    with pytest.raises(errors.CorpusError, match="a word needs a neighbour"):
        w2v.train([["one"]], **SMALL)


@pytest.mark.slow
def test_going_on_grows_the_vocabulary_and_keeps_old_rows(tmp_path):
    old = w2v.train([["a", "b", "c"]] * 30, **SMALL)
    w2v.save_model(tmp_path / "model.safetensors", old.params, old.vocab.words, old.vocab.counts)
    corpus, start = w2v.continue_from(
        tmp_path / "model.safetensors", [["b", "d", "e"]] * 9, min_count=2
    )
    assert corpus.vocab.words == ("a", "b", "c", "d", "e")
    assert corpus.vocab.counts.tolist() == [30, 39, 30, 9, 9]
    assert corpus.report == (9, 3, 0, 27, 0)
    np.testing.assert_array_equal(start.input[:3], old.params.input)
    np.testing.assert_array_equal(start.output[:3], old.params.output)
    further = w2v.train(corpus, start=start, **SMALL | {"min_count": 2})
    # "a" is not in the new text
    np.testing.assert_array_equal(further.params.input[0], old.params.input[0])
    assert np.abs(further.params.input[1] - old.params.input[1]).max() > 1e-4
    turned, _ = w2v.continue_from(
        tmp_path / "model.safetensors", [["e", "d", "b"]] * 9, min_count=2
    )
    assert turned.digest != corpus.digest
    (tmp_path / "text").write_text("b d\n" * 9)
    os.mkfifo(tmp_path / "pipe")
    for piped in (
        *("-", [tmp_path / "text", "-"], iter([["b"]]), map(str.split, ["b d"])),
        *(tmp_path / "pipe", [str(tmp_path / "text"), tmp_path / "pipe"]),
    ):
        with pytest.raises(errors.SettingError, match="read twice"):
            w2v.continue_from(tmp_path / "model.safetensors", piped)


@pytest.mark.parametrize(
    ("text", "least", "words", "counts"),
    [
        ([["a", "b", "c"]] * 4, 5, "abc", [34, 34, 34]),
        ([["c", "b", "n"]] * 4, 5, "abc", [30, 34, 34]),
        ([["a", "n"]] + [["n", "m"]] * 4, 5, "abcn", [31, 30, 30, 5]),
        ([["a", "n"]], 1, "abcn", [31, 30, 30, 1]),
    ],
)
def test_a_known_word_of_a_new_text_counts_however_rare_it_is(tmp_path, text, least, words, counts):
    tables = Params(jnp.ones((3, 2)), jnp.ones((3, 2)))
    w2v.save_model(tmp_path / "model.safetensors", tables, ("a", "b", "c"), [30, 30, 30])
    corpus, start = w2v.continue_from(tmp_path / "model.safetensors", text, least)
    assert (corpus.vocab.words, corpus.vocab.counts.tolist()) == (tuple(words), counts)
    assert start.input.shape == (len(words), 2)


def test_a_resident_corpus_lies_on_every_device_of_a_mesh(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.memory", lambda _: 1 << 30)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "dim"))
    place = feed(planted, 0.0, 32, mesh=mesh)
    assert place.resident.sharding == jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    assert (np.asarray(place.resident)[: len(planted.ids)] >= 0).sum() == len(planted.ids) - len(
        planted.starts
    )


def test_one_call_is_given_no_more_words_than_it_has_time_for(planted):
    if on_accelerator(None):
        pytest.skip("an accelerator's calls have other sizes")
    place = feed(planted, 0.0, 32, copies=2, rows=1 << 40, most=640)
    assert (place.size, place.chunks) == (608, 8)
    usual, wide = (
        w2v.set_up(planted, Settings(**SMALL | {"dim": dim})).feed.size for dim in (8, 100_000)
    )
    assert wide < 3000 < usual
    assert (
        longest_call("softmax", 70_000, 100, 10) * 2 <= longest_call("softmax", 70_000, 100, 5) + 1
    )


@pytest.fixture
def promotion_everywhere():
    """The usual promotion of types in all threads: a context would not reach them."""
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


def test_copies_keep_the_64_bits_of_the_thread_that_trains(planted, promotion_everywhere):
    """A context of JAX does not reach other threads by itself."""
    settings = SMALL | {"copies": 2, "join_words": 512, "dtype": "float64"}
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.filterwarnings("error", "Explicitly requested dtype float64")
        inside = w2v.train(planted, **settings)
    assert inside.params.input.dtype == np.float64
    jax.config.update("jax_enable_x64", True)
    try:
        assert bits(w2v.train(planted, **settings).params) == bits(inside.params)
    finally:
        jax.config.update("jax_enable_x64", False)


def test_copies_train_by_the_program_that_the_caller_compiled(planted):
    """Their threads trace nothing, so every context of JAX holds for them."""
    traced = []

    def windows(*given):
        traced.append(jax.config.jax_default_matmul_precision)
        return w2v.windows.block_batch(*given)

    method = w2v.method("skip-gram", "negative")._replace(windows=windows)
    with jax.default_matmul_precision("highest"):
        w2v.train(planted, **SMALL | {"copies": 2, "join_words": 512}, method=method)
    assert set(traced) == {"highest"}


def test_a_run_knows_how_often_its_text_has_each_word():
    """The counts of a vocabulary that was given are those of another text."""
    vocab = w2v.Vocab(["a", "rose", "is"], [900, 5, 5])
    corpus = prepare([["a", "rose", "is", "a", "rose"]] * 9, vocab=vocab)
    job = w2v.set_up(corpus, Settings(dim=8, held_out=0.1))
    assert job.occurrences.tolist() == [18, 18, 9]
