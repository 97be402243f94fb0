"""Runs that diverge are stopped. Runs with nothing to train on are refused."""

import itertools
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import OBJECTIVES
from marks import slow
from planted import SMALL, bits, planted_text

import w2vjax as w2v
from w2vjax import errors
from w2vjax.objectives.untrained import Untrained, untrained_loss
from w2vjax.runs.checkpoint import Position
from w2vjax.runs.watch import Watch, advice, require_sound, untrained_beside
from w2vjax.training.methods import METHODS
from w2vjax.training.settings import Settings
from w2vjax.training.setup import set_up
from w2vjax.types import Params

ZIPF = np.floor(1e5 / np.arange(1, 400))


def test_the_loss_of_untrained_tables_is_the_formula():
    assert untrained_loss(w2v.softmax(), (), ZIPF).loss == pytest.approx(
        np.log(len(ZIPF)), rel=1e-5
    )
    tree = w2v.hierarchical_softmax()
    tables = tree.init(ZIPF)
    depth = (ZIPF * np.asarray(tables.lengths)).sum() / ZIPF.sum() * np.log(2)
    # measured 1e-3
    assert untrained_loss(tree, tables, ZIPF).loss == pytest.approx(depth, rel=0.01)
    for negatives in (2, 5, 20):
        objective = w2v.negative_sampling(negatives, shared=500)
        noise, share = ZIPF**0.75 / (ZIPF**0.75).sum(), ZIPF / ZIPF.sum()
        # a positive is no negative
        exact = (1 + negatives * (1 - (noise * share).sum())) * np.log(2)
        assert untrained_loss(objective, objective.init(ZIPF), ZIPF).loss == pytest.approx(
            exact, rel=0.01
        )


@pytest.mark.parametrize("name", list(OBJECTIVES))
@pytest.mark.parametrize("size", [2, pytest.param(60, marks=pytest.mark.slow), 70_000])
def test_every_objective_has_one_and_it_does_not_take_much_memory(name, size):
    if name == "softmax" and size > 60:
        size = 20_000
    objective = OBJECTIVES[name]
    found = untrained_loss(objective, objective.init(np.ones(size)), np.ones(size))
    assert 0.1 < found.loss < 100


def test_an_objective_that_cannot_be_asked_is_not_judged_by_its_loss(planted):
    def picky(hidden, output, targets):
        assert hidden.shape[-1] == 8
        return w2v.softmax().loss(hidden, output, targets)

    own = w2v.softmax()._replace(loss=picky)
    assert untrained_loss(own, (), ZIPF) is None
    assert untrained_loss(w2v.softmax(), (), [3]) is None  # log 1 is no loss to compare with
    summary = w2v.train(planted, **SMALL | {"learning_rate": 0.01}, objective=own).summary
    assert summary["untrained_loss"] is None
    assert summary["loss"] < np.log(24)


def stepping(rate, steps=7):
    """Gradient descent without any bound on a step, which stops before the numbers overflow."""
    return lambda schedule: optax.sgd(
        lambda step: jnp.where(step < steps, jnp.float32(rate), jnp.float32(0))
    )


@pytest.mark.parametrize(
    ("model", "name", "rate", "copies"),
    [
        ("skip-gram", "negative", 2.0, 2),
        *slow(
            ("skip-gram", "negative", 0.5, 1),
            ("cbow", "hierarchical", 4.0, 1),
            ("skip-gram", "softmax", 0.5, 1),
            ("cbow", "negative", 2.0, 1),
            ("cbow", "negative", 8.0, 1),
        ),
    ],
)
def test_a_loss_that_explodes_and_stays_finite_is_divergence(
    planted, tmp_path, model, name, rate, copies
):
    says = (
        r"the loss is [\d.,e+]+ nats a positive pair, "
        r"and tables that have learned nothing have [34]\.\d+\. Lower "
    )
    with pytest.raises(errors.DivergedError, match=says) as caught:
        w2v.train(
            planted,
            **SMALL | {"batch_words": 256},
            model=model,
            objective=name,
            learning_rate=0.07,
            # A softmax computes scores twice, and some CPUs round them differently each time.
            # Beyond 1e9 the exponential of the difference is infinite.
            optimizer=stepping(rate, steps=3 if name == "softmax" else 7),
            copies=copies,
            checkpoint=tmp_path / "kept",
        )
    assert "learning_rate=0.07 or batch_words=256" in str(caught.value)
    assert not list((tmp_path / "kept").glob("*"))  # nor the folder


WORDS = [f"{topic}{i}" for topic in ("tea", "sea", "key") for i in range(8)]
# counts that are not those of the text: other words are frequent, or hardly any is met
ELSEWHERE = {
    "one": w2v.Vocab((WORDS[0], *WORDS[1:3]), [10**6, 10, 10]),
    "huge": w2v.Vocab(WORDS[:2], [2**62, 1]),
    "absent": w2v.Vocab(("-", *WORDS), [50_000, *[10] * 24]),
    "reversed": w2v.Vocab(tuple(WORDS), [2**i for i in range(24, 0, -1)]),
    "as long": w2v.Vocab(tuple(WORDS), [sum(map(len, planted_text())) - 23, *[1] * 23]),
}


@pytest.mark.parametrize("name", list(ELSEWHERE))
@pytest.mark.parametrize("objective", ["negative", "hierarchical"])
def test_the_untrained_loss_follows_the_words_of_the_text(name, objective):
    corpus = w2v.prepare(planted_text(), vocab=ELSEWHERE[name])
    run = set_up(corpus, Settings(dim=8, sample=0.0, objective=objective))
    share = np.bincount(corpus.ids, minlength=len(corpus.vocab)) / len(corpus.ids)
    if objective == "hierarchical":
        losses = np.asarray(run.tables.lengths)
    else:
        noise = np.asarray(corpus.counts, float) ** run.settings.noise_exponent
        losses = 1 + run.settings.negatives * (1 - noise / noise.sum())
    expected = np.log(2) * (share * losses).sum()
    assert untrained_beside(run)().loss == pytest.approx(expected, rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model", "objective"),
    [
        ("absent", "skip-gram", "negative"),
        ("reversed", "skip-gram", "hierarchical"),
        ("absent", "cbow", "softmax"),
        ("one", "cbow", "negative"),
        ("huge", "cbow", "hierarchical"),
        ("huge", "skip-gram", "negative"),
    ],
)
def test_counts_of_another_text_are_no_divergence(name, model, objective):
    corpus = w2v.prepare(planted_text(), vocab=ELSEWHERE[name])
    for sample in (0.0, 1e-3):  # frequent words are dropped by the counts of the vocabulary
        run = w2v.train(corpus, dim=8, epochs=2, sample=sample, model=model, objective=objective)
        assert run.summary["loss"] < 1.1 * run.summary["untrained_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["negative", "hierarchical"])
def test_a_run_that_diverges_with_counts_of_another_text_is_stopped(objective):
    corpus = w2v.prepare(planted_text(), vocab=ELSEWHERE["absent"])
    options = {**SMALL, "batch_words": 256, "objective": objective, "min_count": None}
    with pytest.raises(errors.DivergedError, match=r"the loss is [\d.,e+]+ nats a positive pair"):
        w2v.train(corpus, **options, optimizer=stepping(0.5, 3))


TINY = list(itertools.product(METHODS, (1, 7), (2, 3, 5), (1, 40)))
# the second has one path longer than the average in the first words of its only step
QUICK = [(("skip-gram", "negative"), 7, 2, 1), (("skip-gram", "hierarchical"), 7, 5, 1)]


@pytest.mark.parametrize(
    ("pair", "epochs", "words", "lines"),
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in TINY],
)
def test_tiny_vocabularies_are_trained(pair, epochs, words, lines):
    model, name = pair
    random = np.random.default_rng(words)
    text = [[f"w{i}" for i in [0, 1, *random.integers(0, words, 7)]] for _ in range(lines)]
    trained = w2v.train(
        text, dim=8, epochs=epochs, min_count=1, sample=0.0, model=model, objective=name
    )
    assert trained.summary["loss"] < 1.1 * trained.summary["untrained_loss"]


@pytest.mark.slow
def test_going_on_with_tables_that_learned_otherwise_is_no_divergence():
    first = w2v.train(planted_text(400), **SMALL | {"epochs": 20})
    words = list(first.vocab.words)
    other = dict(zip(words, words[8:] + words[:8], strict=True))
    mixed = [
        [other[word] if i % 2 else word for i, word in enumerate(line)]
        for line in planted_text(400, seed=1)
    ]
    corpus = w2v.prepare(mixed, vocab=first.vocab)
    for epochs in (1, 3):
        further = w2v.train(
            corpus, dim=8, epochs=epochs, sample=0.0, start=first.params, log_every=0.0
        )
        assert further.summary["words"] == epochs * len(corpus.ids)


FOUR = Untrained(4.0, 0.0)


def watch(untrained=FOUR, start=None, epochs=100, objective="negative"):
    settings = SimpleNamespace(
        epochs=epochs, learning_rate=0.5, batch_words=64, sample=0.0, objective=objective
    )
    feed = SimpleNamespace(chunks=2, copies=2, words=9, size=5)
    job = SimpleNamespace(settings=settings, feed=feed, recipe=SimpleNamespace(schedule=0.5))
    return Watch(job, Position(), lambda: untrained, start)


def reports(*losses, pairs=1000.0):
    return [SimpleNamespace(loss=loss * pairs, pairs=pairs, words=5) for loss in losses]


def rounds_until_stopped(watch, losses, pairs=1000.0):
    for number, loss in enumerate(losses, 1):
        try:
            watch.round(reports(loss, pairs=pairs), number)
        except errors.DivergedError:
            return number
    return None


@pytest.mark.parametrize(
    ("losses", "stopped"),
    [
        ([4.3] * 100, None),
        ([4.5] * 100, 5),  # a twentieth of 100 rounds
        ([4.5] * 4 + [4.3] + [4.5] * 4 + [4.3], None),
        ([3.0, 41.0], 2),
        ([41.0, 3.0, 3.0], None),  # the first round may
        ([3.0, 39.0, 3.0], None),
    ],
)
def test_some_bad_rounds_in_a_row_or_one_that_is_hopeless_end_a_run(losses, stopped):
    assert rounds_until_stopped(watch(), losses) == stopped
    assert rounds_until_stopped(watch(None), losses) is None


def test_a_short_run_has_three_rounds_to_recover_and_its_last_one_counts():
    assert rounds_until_stopped(watch(epochs=20), [4.5] * 9) == 3
    sound = Params(jnp.ones((2, 2)), jnp.ones((2, 2)))
    for losses, ends in (([4.5, 4.5, 4.3], True), ([3.0, 4.5], False), ([4.5], False)):
        one = watch(epochs=20)
        assert rounds_until_stopped(one, losses) is None
        if ends:
            one.end(sound, 3)
        else:
            with pytest.raises(
                errors.DivergedError, match=r"at step 3 the loss is 4\.5 .* nothing have 4\. Lower"
            ):
                one.end(sound, 3)


def test_rounds_without_measured_pairs_do_not_count_and_few_pairs_may_differ_by_chance():
    one = watch()
    for loss in (4.5, 0.0, 4.5, 4.5, 0.0, 4.5):
        one.round(reports(loss, pairs=1000.0 if loss else 0.0), 1)
    with pytest.raises(errors.DivergedError):
        one.round(reports(4.5), 1)
    assert rounds_until_stopped(watch(Untrained(4.0, 1.0)), [6.0] * 9, pairs=10.0) is None
    assert rounds_until_stopped(watch(Untrained(4.0, 1.0)), [6.0] * 9, pairs=1e4) == 5


def test_tables_that_grow_are_divergence_and_those_of_a_start_may_be_large():
    small, large = (
        Params(jnp.ones((2, 2)), jnp.full((2, 2), size, jnp.bfloat16)) for size in (100.0, 1e6)
    )
    watch().tables(small, "a test", 3)
    with pytest.raises(
        errors.DivergedError, match=r"output table holds numbers up to 9.* at a test \(step 3\)"
    ):
        watch().tables(large, "a test", 3)
    watch(start=large).tables(large, "a test", 3)
    watch(objective=w2v.softmax()).tables(large, "a test", 3)
    for bad in (np.inf, np.nan):
        with pytest.raises(errors.DivergedError, match="input table holds NaN or infinity"):
            require_sound(
                Params(jnp.asarray([[1.0, bad]]), jnp.ones((1, 2))), "a test", 3, np.inf, ""
            )


def test_the_command_exits_6_and_writes_no_vectors(cli, tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(line) for line in planted_text()))
    usual = METHODS["skip-gram", "negative"]
    monkeypatch.setitem(
        METHODS, ("skip-gram", "negative"), usual._replace(optimizer=stepping(0.5, 5))
    )
    done = cli("train", text, "--out", tmp_path / "out", "--dim", "8", "--sample", "0", "--quiet")
    assert (done.code, done.out) == (6, "")
    assert "have learned nothing" in done.err
    assert done.err.count("\n") == 1
    assert {path.name for path in (tmp_path / "out").glob("*")} <= {"log.jsonl"}


@pytest.mark.parametrize("untrained", [0.7, 4.1589, 30.0])
@pytest.mark.parametrize(
    ("share", "short"), [(0.5, False), (0.89, False), (0.91, True), (1.0, True), (1.5, True)]
)
def test_a_run_that_learned_little_is_told_what_to_try(untrained, share, short):
    said = advice(share * untrained, untrained, 1234)
    assert (said is not None) == short
    if said:
        assert f"its loss of {share * untrained:.4f} is near the {untrained:.4f} of untr" in said
        assert "It had 1,234 steps. Try ten times as many epochs, or a longer text." in said
        many = advice(share * untrained, untrained, 1234, copies=256)
        assert "Try ten times as many epochs, fewer copies than 256, or a longer text." in many
    assert advice(None, untrained, 1) is advice(share, None, 1) is None


@pytest.mark.parametrize(
    ("times", "named"), [(1e-30, True), (0.04, True), (0.25, False), (4, False), (40, True)]
)
def test_a_rate_that_is_far_from_the_usual_one_is_named_as_the_cause(times, named):
    said = advice(4.0, 4.0, 9, times)
    sentence = f"Its learning rate is {times:.3g} times the usual one. Leave the rate out."
    assert (sentence in said) == named
    assert ("Try ten times as many epochs" in said) != named


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_the_advice_of_a_run_follows_from_its_rate(model):
    text = planted_text(lines=20)
    for rate in (1e-9, None, 1e5):
        trained = w2v.train(text, model=model, dim=8, epochs=1, min_count=1, learning_rate=rate)
        said = trained.summary["advice"] or ""
        assert ("the usual one" in said) == (rate is not None), (rate, said)


@pytest.mark.parametrize(
    ("mine", "base", "told"),
    [(7.396, 7.345, True), (7.0, 7.0, True), (6.9, 7.0, False), (None, None, False)],
)
def test_a_model_no_better_than_frequencies_on_held_out_text_is_told_what_to_try(mine, base, told):
    said = advice(2.0, 4.16, 5, held_out={"loss": mine, "unigram_loss": base, "pairs": 1.0})
    assert (said is not None) == told
    if said:
        assert f"its loss there is {mine:.4f}, and theirs {base:.4f}" in said
        assert said.endswith("a longer text, another number of epochs, or the usual learning rate.")
        far = advice(2.0, 4.16, 5, 0.01, held_out={"loss": mine, "unigram_loss": base})
        assert far.endswith("Its learning rate is 0.01 times the usual one. Leave the rate out.")


@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_the_advice_of_a_run_looks_at_the_text_that_was_held_out(model):
    noise = np.random.default_rng(0).integers(0, 30, (60, 20)).astype(str).tolist()
    for text, learned in ((planted_text(lines=200), True), (noise, False)):
        trained = w2v.train(
            text, model=model, dim=8, epochs=20, min_count=1, sample=0, held_out=0.2
        )
        held = trained.summary["held_out"]
        assert (held["loss"] < held["unigram_loss"]) == learned, held
        said = trained.summary["advice"] or ""
        assert ("predicts held-out text no better" in said) != learned, said


def test_the_command_says_what_untrained_tables_have(cli, tmp_path):
    done = cli("train", "--out", tmp_path / "out", "--dim", "4", "--epochs", "2")
    assert done.code == 0
    assert "nats a positive pair at the end; untrained tables have " in done.out
    assert "Try ten times as many epochs" in done.out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 3.0 < summary["untrained_loss"] < 6 * np.log(2)


NOTHING = {
    "one word a line": ([["a"], ["b"]] * 50, {}, "No line has two words"),
    "one known word a line": (
        [["a", f"rare{i}"] for i in range(50)],
        {"min_count": 2},
        "No line has two words",
    ),
    "what is held out": (
        [["a"]] * 90 + [["a", "b"]] * 5,
        {"held_out": 0.2},
        "No line has two words",
    ),
    "subsampling": (
        [["a", "b", "c"]] * 30,
        {"sample": 1e-12},
        r"sample=1e-12 dropped 180 of 180 words.*sample=0",
    ),
}


@pytest.mark.parametrize("case", list(NOTHING))
def test_a_run_without_a_pair_is_refused_and_leaves_nothing(tmp_path, case):
    lines, settings, says = NOTHING[case]
    old = tmp_path / "old.jsonl"
    old.write_text("an older run\n")
    for log in (tmp_path / "log.jsonl", old):
        with pytest.raises(errors.CorpusError, match=says):
            w2v.train(lines, **SMALL | settings, log=log, log_every=0.0)
    assert old.read_text() == "an older run\n"
    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]


def test_a_resumed_run_that_has_trained_nothing_is_refused_too(tmp_path):
    lines, settings = [["a", "b", "c"]] * 30, SMALL | {"sample": 1e-12, "epochs": 5}
    begun = w2v.train(
        lines, **settings, callback=lambda _: True, log_every=0.0, checkpoint=tmp_path
    )
    assert begun.summary["words"] < 5 * 90
    left = 5 * 90 - begun.summary["words"]
    for says in (
        rf"dropped {left} of {left} words.*sample=0",
        r"not by this run so far.*--sample 0",
    ):
        with pytest.raises(errors.CorpusError, match=says):
            w2v.train(lines, **settings, checkpoint=w2v.Checkpoints(tmp_path, 0, resume=True))


def test_nothing_is_trained_whatever_the_tables_start_from(planted):
    start = w2v.train(planted, **SMALL).params
    for lines in ([["a"], ["b"]] * 9, [["a", "b"]] * 9):
        vocab = w2v.Vocab(tuple("abcdefghijklmnopqrstuvwx"), [9] * 24)
        corpus = w2v.prepare(lines, vocab=vocab)
        with pytest.raises(errors.CorpusError, match=r"No line has two|dropped"):
            w2v.train(corpus, **SMALL | {"sample": 1e-12}, start=start)


@pytest.mark.slow
def test_windows_of_ones_own_may_pair_a_word_with_itself():
    def itself(tokens, segments, reach):
        words, at = w2v.windows.block_batch(tokens, segments, reach), slice(2, -2)
        weights = jnp.eye(8)[None] * (segments[:, at, None] >= 0).astype(jnp.float32)
        return words._replace(words=tokens[:, at], weights=weights)

    trained = w2v.train(
        [["a"], ["b"], ["c"]] * 30, **SMALL | {"epochs": 9}, window=2, windows=itself
    )
    assert trained.summary["loss"] < trained.summary["untrained_loss"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a\nb\n" * 50, ()),
        *slow(("a b c\n" * 50, ("--sample", "1e-12"))),
        ("a x\n" * 9 + "a y\n" * 9, ("--max-vocab", "1")),
    ],
)
def test_the_command_exits_3_and_leaves_nothing(cli, tmp_path, text, options):
    (tmp_path / "text.txt").write_text(text)
    out = tmp_path / "new" / "out"
    usual = ("--dim", 8, "--epochs", 2, "--quiet", "--checkpoint", out / "checkpoints")
    done = cli("train", tmp_path / "text.txt", "--out", out, *usual, *options)
    assert (done.code, done.out) == (3, "")
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_finished_run_can_be_resumed_and_has_nothing_left_to_train(planted, tmp_path):
    whole = w2v.train(planted, **SMALL, checkpoint=tmp_path)
    again = w2v.train(planted, **SMALL, checkpoint=w2v.Checkpoints(tmp_path, resume=True))
    assert bits(again.params) == bits(whole.params)
    assert jax.tree.all(jax.tree.map(lambda table: bool(jnp.isfinite(table).all()), again.params))
