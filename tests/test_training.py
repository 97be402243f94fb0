"""The engine: the post's run through it, what is drawn and cut, exact repetition, resumption, stops and refusals."""

import hashlib
import itertools
import json
import signal
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import w2vjax as w2v
from w2vjax import errors
from w2vjax.corpus.encode import Corpus, prepare
from w2vjax.data import machine_learning_text, published_figures
from w2vjax.objectives.softmax import softmax
from w2vjax.training import loop
from w2vjax.training.feed import feed, marked
from w2vjax.training.replicas import join, join_weights
from w2vjax.training.settings import Settings
from w2vjax.training.step import Recipe, State, chunk_key, compile_chunk, split_lines, train_chunk
from w2vjax.training.updates import row_sgd
from w2vjax.types import Params
from w2vjax.windows.blocks import block_batch
from w2vjax.windows.cbow import cbow_block_batch, cbow_run_batch
from w2vjax.windows.sampling import full_reach, keep_probabilities, keep_thresholds

SMALL = {"dim": 8, "epochs": 2, "min_count": 1, "sample": 0.0, "batch_words": 32, "run": 8}


def planted_text(lines: int = 400, seed: int = 0) -> list[list[str]]:
    """Sentences over three topics of eight words: neighbours share a topic, so their vectors have to as well."""
    random = np.random.default_rng(seed)
    topics = [[f"{name}{i}" for i in range(8)] for name in ("tea", "sea", "key")]
    return [list(random.choice(topics[line % 3], 12)) for line in range(lines)]


def bits(params: Params) -> str:
    return hashlib.sha256(b"".join(np.asarray(table).tobytes() for table in params)).hexdigest()


class Unread:
    """A corpus that must not be touched."""

    def __iter__(self):
        raise AssertionError("the corpus was read")


@pytest.fixture(scope="module")
def planted() -> Corpus:
    return prepare(planted_text(), min_count=1)


@pytest.mark.usefixtures("x64")
def test_the_posts_run_through_this_engine_ends_in_its_published_vectors():
    figures = published_figures()
    words = w2v.tokenize(machine_learning_text())
    order = figures["vocabulary"]
    ids = {word: place for place, word in enumerate(order)}
    vocab = w2v.Vocab(tuple(order), [words.count(word) for word in order])
    corpus = Corpus(
        vocab, np.array([ids[w] for w in words], np.int32), np.zeros(1, np.int64), None, "the post"
    )
    random = np.random.RandomState(figures["settings"]["numpy_seed"])
    w1, w2 = random.randn(60, 10), random.randn(10, 60)
    trained = w2v.train(
        corpus, start=Params(jnp.asarray(w1), jnp.asarray(w2.T)), dim=10, window=2, epochs=50, sample=0.0, min_count=0,
        batch_words=84, run=12, objective=softmax(), optimizer=partial(row_sgd, cap=None), reach=full_reach,
        schedule=optax.constant_schedule(0.05), dtype="float64",
    )  # fmt: skip
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
    assert sum(seen) == pairs
    assert len(seen) == -(
        -sum(lengths) // SMALL["batch_words"]
    )  # the last, partial batch is padded and not dropped


def test_a_chunk_of_the_engine_equals_a_loop_over_pairs_in_numpy():
    random = np.random.default_rng(1)
    ids = random.integers(0, 9, 40).astype(np.int32)
    params = Params(*(jnp.asarray(random.normal(size=(9, 4)), jnp.float32) for _ in range(2)))
    recipe = Recipe(softmax(), block_batch, row_sgd(0.1, cap=None), 2, groups=1, run=8, reach=full_reach)
    keep = keep_thresholds(np.ones(9), 0)
    state = State(jax.tree.map(jnp.copy, params), recipe.optimizer.init(params))
    arguments = (jnp.asarray(ids), jnp.int32(0), jnp.int32(40), jax.random.key(0))
    state, progress = train_chunk(recipe, 40, state, (), keep, *arguments)
    w1, w2 = (np.asarray(table, np.float64) for table in params)
    for start in range(0, 40, 8):
        g1, g2 = np.zeros_like(w1), np.zeros_like(w2)
        for t, p in itertools.product(range(start, start + 8), range(40)):
            if 0 < abs(t - p) <= 2:
                scores = w2 @ w1[ids[t]]
                error = (
                    np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum() - np.eye(9)[ids[p]]
                )
                g1[ids[t]] += error @ w2
                g2 += np.outer(error, w1[ids[t]])
        w1, w2 = w1 - 0.1 * g1, w2 - 0.1 * g2
    assert int(progress.steps) == 5
    # measured 3e-6 in float32 on values up to 6
    np.testing.assert_allclose(state.params.input, w1, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(state.params.output, w2, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("windows", [block_batch, cbow_run_batch])
@pytest.mark.parametrize("name", ["negative", "hierarchical", "softmax"])
def test_all_six_pairs_beat_the_unigram_distribution_on_held_out_text(windows, name):
    objective = {"negative": w2v.negative_sampling(5, shared=8), "hierarchical": w2v.hierarchical_softmax(),
                 "softmax": softmax(7)}[name]  # fmt: skip
    trained = w2v.train(
        planted_text(600), **SMALL | {"epochs": 6, "learning_rate": 0.2 if name == "softmax" else 0.05}, held_out=0.2,
        windows=windows, objective=objective, optimizer=w2v.row_adagrad if name == "softmax" else w2v.row_sgd,
    )  # fmt: skip
    noise = np.asarray(trained.vocab.counts, float) ** 0.75
    held = w2v.evaluate_held_out(
        trained.run.recipe, trained.params, trained.run.tables, trained.run.feed,
        noise / noise.sum() if name == "negative" else None, name == "hierarchical",
    )  # fmt: skip
    # knowing the topic is worth log 3 = 1.10 nats of log 24 = 3.18; a third of that is the bar
    assert held["pairs"] > 1000
    assert held["loss"] < held["unigram_loss"] - 0.36
    assert abs(held["unigram_loss"] - np.log(24)) < 0.05


def test_neighbours_share_their_topic():
    trained = w2v.train(planted_text(600), **SMALL | {"epochs": 6})
    for word in ("tea1", "sea2", "key3"):
        assert {other[:3] for other, _ in trained.vectors.most_similar(word, topn=5)} == {word[:3]}


def test_two_runs_give_the_same_bits_and_another_seed_others(planted):
    first, second = (w2v.train(planted, **SMALL) for _ in range(2))
    assert bits(first.params) == bits(second.params)
    assert bits(w2v.train(planted, **SMALL | {"seed": 1}).params) != bits(first.params)


def test_copies_of_the_tables_learn_what_one_does_and_repeat_their_bits(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.training.feed.CHUNK", 512)
    one, two, again = (
        w2v.train(planted, **SMALL | {"epochs": 4, "replicas": n}, log_every=0.0) for n in (1, 2, 2)
    )
    assert bits(two.params) == bits(again.params) != bits(one.params)
    assert two.run.feed.chunks % 2 == 0
    assert abs(two.history[-1]["loss"] - one.history[-1]["loss"]) < 0.15  # measured 0.03 of 2.9
    for word in ("tea1", "sea2", "key3"):
        assert {other[:3] for other, _ in two.vectors.most_similar(word, topn=5)} == {word[:3]}


def test_a_join_adds_rare_rows_and_averages_frequent_ones():
    weights = join_weights(np.array([10**6, 1]), np.array([1, 1]), 1000)
    start = Params(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
    moved = tuple(Params(jnp.full((2, 1), x), jnp.zeros((2, 1))) for x in (1.0, 3.0))
    joined, copies = join(start, moved, weights, jnp.float32(2))
    # n = 1000 and 0.001 of n0 = 50: gamma = 1 / (1 + 1000/1050) and 1
    np.testing.assert_allclose(joined.input.ravel(), [4 / (1 + 1000 / 1050), 4], rtol=1e-4)
    alone, _ = join(start, moved[:1], weights, jnp.float32(1))
    np.testing.assert_allclose(alone.input.ravel(), [1, 1], rtol=1e-6)
    assert len(copies) == 2


def test_a_run_is_compiled_once(planted):
    with jax.log_compiles(False):
        job = loop.set_up(planted, Settings(**SMALL))
    program = compile_chunk(job.recipe, 640)
    state = job.state
    for number in range(4):
        ids = marked(planted, 640 * number, min(640, 500 + number), 640)
        count = jnp.int32(500 + number)
        state, _ = program(state, job.tables, job.keep, ids, jnp.int32(0), count, chunk_key(0, 0, number))
    assert program._cache_size() == 1


def test_chunks_are_the_corpus_with_its_lines_marked(planted, monkeypatch):
    monkeypatch.setattr("w2vjax.training.feed.CHUNK", 64)
    place = feed(planted, 0.0, 32)
    tokens, lines = [], []
    for number in range(place.chunks):
        ids, offset, count = place.chunk(number)
        cut, segments = split_lines(jnp.asarray(ids[offset : offset + place.size]), jnp.int32(count))
        tokens += np.asarray(cut)[:count].tolist()
        assert (np.asarray(segments)[count:] == -1).all()
        lines += (np.diff(np.asarray(segments)[:count], prepend=0) > 0).tolist()
    assert tokens == planted.ids.tolist()
    assert np.flatnonzero(lines).tolist() == planted.starts.tolist()


@pytest.mark.parametrize("copies", [1, 2])
def test_an_interrupted_run_goes_on_to_the_same_bits(planted, tmp_path, monkeypatch, copies):
    monkeypatch.setattr("w2vjax.training.feed.CHUNK", 512)
    settings = SMALL | {"replicas": copies}
    whole = w2v.train(planted, **settings)
    for cut in (1, 7):
        folder = tmp_path / str(cut)
        calls = itertools.count(1)

        def kill(record, calls=calls, cut=cut):
            if next(calls) == cut:
                signal.raise_signal(signal.SIGTERM)

        with pytest.raises(
            errors.StoppedError, match=r"SIGTERM after .* words; the checkpoint is saved"
        ) as stopped:
            w2v.train(planted, **settings, checkpoint=folder, callback=kill, log_every=0.0)
        assert stopped.value.exit_code == 128 + signal.SIGTERM
        resumed = w2v.train(planted, **settings, checkpoint=folder, resume=True)
        assert bits(resumed.params) == bits(whole.params)
        assert resumed.summary["words"] == whole.summary["words"]
        assert resumed.summary["steps"] == whole.summary["steps"]


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.training.feed.CHUNK", 512)
    whole = w2v.train(planted, **SMALL, checkpoint=tmp_path, checkpoint_every=0.0)
    newest = max(tmp_path.glob("checkpoint-*"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 4
    newest.write_bytes(data)
    with pytest.warns(UserWarning, match="because a later one is damaged"):
        resumed = w2v.train(planted, **SMALL, checkpoint=tmp_path, resume=True)
    assert bits(resumed.params) == bits(whole.params)
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(errors.CheckpointError, match=r"No checkpoint in .* is sound"):
        w2v.train(planted, **SMALL, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3}, r"settings.seed=0 and this run has 3"),
        ({"learning_rate": 0.1}, r"settings.learning_rate=0.05 and this run has 0.1"),
        ({"objective": w2v.negative_sampling(3, shared=8)}, "another program"),
        ({"corpus": planted_text(seed=9)}, "corpus="),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_naming_what_differs(planted, tmp_path, change, named):
    w2v.train(planted, **SMALL, checkpoint=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = SMALL | {"corpus": planted} | change
    with pytest.raises(errors.CheckpointError, match=named):
        w2v.train(**arguments, checkpoint=tmp_path, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_new_run_does_not_overwrite_an_old_ones_checkpoints(planted, tmp_path):
    w2v.train(planted, **SMALL, checkpoint=tmp_path)
    with pytest.raises(errors.CheckpointError, match=r"of an earlier run\. Resume it"):
        w2v.train(planted, **SMALL, checkpoint=tmp_path)


def test_a_diverging_run_stops_names_step_and_table_and_leaves_the_checkpoint(planted, tmp_path):
    w2v.train(planted, **SMALL, checkpoint=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(errors.DivergedError, match=r"not finite at step \d+: .* against the output table"):
        w2v.train(planted, **SMALL | {"learning_rate": 1e6, "epochs": 9}, optimizer=partial(row_sgd, cap=None),
                  checkpoint=tmp_path / "other")  # fmt: skip
    assert not list((tmp_path / "other").glob("checkpoint-*"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_table_that_is_not_finite_is_named():
    params = Params(jnp.ones((2, 2)), jnp.asarray([[1.0, np.nan], [1.0, 1.0]]))
    with pytest.raises(errors.DivergedError, match="The output table holds NaN or infinity at a test"):
        loop.require_finite(params, "a test", 3)


@pytest.mark.parametrize(
    "optimizer",
    [
        w2v.row_sgd,
        partial(w2v.row_sgd, cap=None),
        w2v.row_adagrad,
        lambda s: w2v.dense(optax.sgd(s)),
        lambda s: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(s)),
    ],
)
def test_optimizers_lower_the_loss(planted, optimizer):
    trained = w2v.train(planted, **SMALL | {"epochs": 4}, optimizer=optimizer, log_every=0.0)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] - 0.2


@pytest.mark.usefixtures("standard_promotion")
def test_adam_is_refused_on_rows_and_works_wrapped(planted):
    with pytest.raises(errors.SettingError, match="cannot take row gradients"):
        w2v.train(planted, **SMALL, optimizer=optax.adam)
    trained = w2v.train(planted, **SMALL | {"learning_rate": 0.01, "epochs": 4},
                        optimizer=lambda s: w2v.dense(optax.adam(s)), log_every=0.0)  # fmt: skip
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] - 0.2


def test_the_deterministic_mode_trains_the_same_model(planted):
    plain, sorted_ = (w2v.train(planted, **SMALL, deterministic=d).params for d in (False, True))
    # only the order of additions differs: measured 2.7e-6 of values up to 3 after 300 steps
    np.testing.assert_allclose(plain.input, sorted_.input, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(plain.output, sorted_.output, rtol=2e-5, atol=2e-5)


def test_a_callback_stops_early_and_the_log_is_json_lines(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.training.feed.CHUNK", 512)
    records = []
    trained = w2v.train(planted, **SMALL, log=tmp_path / "log.jsonl", log_every=0.0,
                        callback=lambda record: records.append(record) or len(records) == 3)  # fmt: skip
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert logged[:3] == records[:3]
    assert trained.summary["words"] < len(planted.ids) * 2
    assert set(records[0]) == {"epoch", "step", "words", "loss", "learning_rate", "words_per_second", "seconds",
                               "seconds_left"}  # fmt: skip
    assert records[0]["learning_rate"] == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dim", 0), ("dim", -4), ("dim", 2.5), ("window", 0), ("window", -1), ("epochs", 0), ("epochs", True),
        ("batch_words", 0), ("batch_words", 1 << 20), ("batch_words", 33), ("learning_rate", float("nan")),
        ("learning_rate", float("inf")), ("learning_rate", -1.0), ("learning_rate", 0), ("sample", -1e-3),
        ("sample", float("nan")), ("sample", 2), ("min_count", -1), ("max_vocab", 0), ("seed", 2**64), ("seed", -1),
        ("held_out", 1.0), ("dtype", "int8"), ("run", 0),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_before_the_corpus_is_read(name, value, tmp_path):
    unread = Unread()
    with pytest.raises(errors.SettingError, match=name):
        w2v.train(unread, **SMALL | {name: value}, checkpoint=tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lines", [[["a"], ["b"]], [["a", "b"]], [["a"] * 9]])
def test_degenerate_corpora_train_to_finite_vectors(lines):
    assert np.isfinite(w2v.train(lines, **SMALL | {"window": 50}).vectors.matrix).all()


def test_a_single_word_is_refused():
    with pytest.raises(errors.CorpusError, match="a word needs a neighbour"):
        w2v.train([["one"]], **SMALL)


def test_going_on_grows_the_vocabulary_and_keeps_old_rows(tmp_path):
    old = w2v.train([["a", "b", "c"]] * 30, **SMALL)
    w2v.save_model(tmp_path / "model.safetensors", old.params, old.vocab.words, old.vocab.counts)
    corpus, start = w2v.continue_from(tmp_path / "model.safetensors", [["b", "d", "e"]] * 9, min_count=2)
    assert corpus.vocab.words == ("a", "b", "c", "d", "e")
    assert corpus.vocab.counts.tolist() == [30, 39, 30, 9, 9]
    np.testing.assert_array_equal(start.input[:3], old.params.input)
    np.testing.assert_array_equal(start.output[:3], old.params.output)
    further = w2v.train(corpus, start=start, **SMALL)
    np.testing.assert_array_equal(further.params.input[0], old.params.input[0])  # "a" is not in the new text
    assert np.abs(further.params.input[1] - old.params.input[1]).max() > 1e-4


def test_keep_probabilities_are_word2vecs():
    counts = np.array([60_000, 3_000, 50, 1])
    f = counts / counts.sum()
    expected = np.minimum(1, (np.sqrt(f / 1e-3) + 1) * 1e-3 / f)
    np.testing.assert_allclose(keep_probabilities(counts, 1e-3), expected, rtol=1e-12)


def test_subsampling_keeps_order_lines_and_the_expected_share():
    random = np.random.default_rng(0)
    tokens, segments = random.integers(0, 3, 20_000), np.repeat(np.arange(200), 100)
    segments[-500:] = -1
    keep = jnp.asarray([2**31, 2**32 - 1, 0], jnp.uint32)
    out, lines, count = jax.jit(w2v.subsample)(
        jax.random.key(3), jnp.asarray(tokens, jnp.int32), jnp.asarray(segments, jnp.int32), keep
    )
    out, lines, count = np.asarray(out), np.asarray(lines), int(count)
    real = segments >= 0
    assert (lines[count:] == -1).all()
    assert (np.diff(lines[:count]) >= 0).all()
    assert set(out[:count]) == {0, 1}
    for line in (0, 57, 194):  # word 1 always stays
        assert (out[lines == line] == 1).sum() == (tokens[segments == line] == 1).sum()
    share = (out[:count] == 0).sum() / (tokens[real] == 0).sum()
    assert abs(share - 0.5) < 0.02  # 3.2 standard deviations of a binomial of 6,500


def test_a_run_of_cbow_equals_its_blocks():
    random = np.random.default_rng(4)
    tokens = jnp.asarray(random.integers(0, 9, (3, 14)), jnp.int32)
    segments = jnp.asarray(np.sort(random.integers(-1, 3, (3, 14)), -1), jnp.int32)
    reach = jnp.asarray(random.integers(1, 4, (3, 8)), jnp.int32)
    params = Params(*(jnp.asarray(random.normal(size=(9, 5)), jnp.float32) for _ in range(2)))
    results = []
    for windows in (cbow_block_batch, cbow_run_batch):
        batch = windows(tokens, segments, reach)
        targets = softmax().select(None, (), batch.words, batch.weights)
        loss, gradients = w2v.backward(softmax(), params, batch, targets)
        results.append((loss, *(w2v.to_dense(g, p) for g, p in zip(gradients, params, strict=True))))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)  # measured 5e-7 in float32


def test_scores_of_shared_negatives_are_those_of_their_rows():
    objective, words = w2v.shared_negatives(2, shared=3, span=2), jnp.asarray([[0, 1], [2, 3]], jnp.int32)
    targets = objective.select(jax.random.key(0), objective.init([5, 3, 2, 1]), words, jnp.ones((2, 1, 2)))
    params = w2v.init_params(jax.random.key(1), 4, 3)._replace(output=jnp.eye(4, 3))
    batch = w2v.block_batch(
        jnp.asarray([[0, 1, 2]]).repeat(2, 0), jnp.zeros((2, 3), jnp.int32), jnp.ones((2, 1), jnp.int32)
    )
    scores = w2v.forward(objective, params, batch, targets)
    expected = jnp.einsum("d,brd->br", params.input[1], params.output[targets.ids])
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-6)
    assert targets.ids.shape == (2, 5)


def test_plan_counts_what_train_uses(planted):
    made = w2v.plan(planted, **SMALL)
    assert made.params_bytes == 2 * 24 * 8 * 4
    assert made.words == 2 * len(planted.ids)
    assert made.steps == w2v.train(planted, **SMALL).summary["steps"]
    assert "temporaries" in str(made)


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
    further = cli(
        "train", text, "--out", tmp_path / "more", "--from", tmp_path / "out", "--quiet", "--epochs", "1"
    )
    assert further.code == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["words"] == summary["words"]


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
    assert (tmp_path / "out").exists() == (code != 2)  # a bad setting leaves nothing behind
