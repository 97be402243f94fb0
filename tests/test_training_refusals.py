"""Arguments without effect, or that contradict each other, are refused before any reading."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from faults import as_nobody
from jax.sharding import Mesh
from marks import slow
from planted import SMALL, Unread, bits, planted_text

import w2vjax as w2v
from w2vjax import errors
from w2vjax.corpus import Reading
from w2vjax.reading import ReadOptions
from w2vjax.runs import loop
from w2vjax.runs.arguments import Arguments, arguments_of
from w2vjax.runs.checkpoint import check_folder
from w2vjax.runs.loop import make_run, require_alike
from w2vjax.training.settings import Settings
from w2vjax.training.updates import linear_decay
from w2vjax.types import Params
from w2vjax.windows.skipgram import block_batch

NAN = float("nan")
FUNCTIONS = ("windows", "reach", "embed_backward", "tokenizer", "callback", "on_epoch")
DEVICE = np.array(jax.devices()[:1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"resume": True},
            r"There is no setting resume.* checkpoint=Checkpoints\(folder, resume=True",
        ),
        ({"allow": ("settings.epochs",)}, r"There is no setting allow.* checkpoint=Checkpoints"),
        ({"checkpoint_every": 5}, r"There is no setting checkpoint_every.* checkpoint=Checkpoints"),
        ({"every": -5}, r"every=-5 .* cannot work"),
        ({"every": NAN}, r"every=nan .* cannot work"),
        ({"every": "60"}, r"every='60' .* cannot work"),
        ({"every": True}, r"every=True .* cannot work"),
        ({"log_every": NAN}, "log_every=nan cannot work"),
        ({"log_every": -1e-9}, "log_every=-1e-09 cannot work"),
        ({"log_every": None}, "log_every=None cannot work"),
        *(
            ({"log_every": each}, f"log_every='{each}' cannot work.* seconds, steps, words, epochs")
            for each in (
                "epoch",
                "1 parsec",
                "0 steps",
                "1 stepsss",
                "-1 words",
                "inf words",
                "nan epochs",
                "",
            )
        ),
        ({"schedule": 0}, "schedule=0 cannot work"),
        ({"schedule": NAN}, "schedule=nan cannot work"),
        ({"schedule": "linear"}, "schedule='linear' cannot work"),
        ({"schedule": 0.1, "learning_rate": 0.1}, "learning_rate=0.1 cannot go with a schedule"),
        *(
            ({"optimizer": ready}, r"optimizer=lambda schedule: w2vjax.dense\(")
            for ready in (
                optax.adam(1e-3),
                optax.sgd(0.1),
                optax.adagrad(0.1),
                optax.chain(optax.clip(1.0), optax.sgd(0.1)),
            )
        ),
        ({"optimizer": optax.adam}, r"Wrap it: w2vjax.dense\(optimizer\)"),
        (
            {"optimizer": lambda s: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(s))},
            r"fails .* Wrap it: w2vjax.dense\(optimizer\)",
        ),
        (
            {"optimizer": lambda s: optax.chain(optax.add_decayed_weights(0.1), w2v.row_sgd(s))},
            r"fails .* Wrap it",
        ),
        ({"optimizer": "adam"}, "function of the schedule"),
        ({"optimizer": lambda schedule: 3}, "function of the schedule"),
        ({"start": (np.ones((2, 2)), np.ones((2, 2)))}, "start=.*Params"),
        ({"method": "cbow"}, "method='cbow' cannot work"),
        ({"vocab": "vocab.txt"}, r"Vocab.load\(path\)"),
        *(({name: 3}, f"{name}=3 cannot work. Pass a function") for name in FUNCTIONS),
        ({"mesh": "all"}, "A mesh needs the axis"),
        ({"mesh": Mesh(DEVICE.reshape(1, 1), ("x", "y"))}, r"a mesh of \('x', 'y'\)"),
        ({"mesh": Mesh(DEVICE[:0], ("copy",))}, "no device of process 0"),
        ({"mesh": Mesh(DEVICE.reshape(1, 1), ("data", "copy"))}, "A mesh needs the axis"),
        ({"mesh": Mesh(DEVICE.reshape(1, 1), ("data", "dim")), "copies": 2}, "copies=2 cannot go"),
    ],
)
def test_what_cannot_work_is_refused_before_the_corpus_is_read(arguments, says, tmp_path):
    if "every" in arguments:
        arguments = {"checkpoint": w2v.Checkpoints(tmp_path / "none", **arguments)}
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=says):
            act(Unread(), **SMALL, **arguments, log=tmp_path / "log")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("axis", ["copy", "data", "dim", "vocabulary"])
def test_a_mesh_without_a_process_of_the_run_is_refused_in_all_of_them(axis, monkeypatch):
    """The processes of the mesh would wait for ever for the other one."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(errors.SettingError, match="no device of process 1"):
        w2v.train(Unread(), **SMALL, mesh=Mesh(DEVICE, (axis,)))


@pytest.mark.slow
def test_a_number_of_devices_may_be_numpys():
    assert w2v.plan([["a", "b"]] * 9, dim=4, min_count=1, devices=np.int64(1)).vocabulary == 2
    with pytest.raises(errors.SettingError, match="devices=True cannot work"):
        w2v.train(Unread(), devices=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        *(({"log": value}, "Pass the path of a file") for value in (3, True, ["log"], open)),
        *(({"checkpoint": value}, "Pass the path of a file") for value in (3, True, [], b"kept")),
        *(({"checkpoint": value}, "cannot be the name of a file") for value in ("", "a\0b")),
        ({"checkpoint": w2v.Checkpoints(None)}, "Pass the path of a file"),
        ({"checkpoint": w2v.Checkpoints("kept", allow="corpus")}, r"allow=\['corpus'\] has no"),
        ({"checkpoint": w2v.Checkpoints("kept", allow=None)}, r"allow=\[None\] has no"),
    ],
)
def test_what_is_no_path_or_name_is_refused_before_the_corpus_is_read(arguments, says):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=says):
            act(Unread(), **SMALL, **arguments)


def test_a_log_that_cannot_be_written_is_found_before_the_corpus_is_read(tmp_path):
    (tmp_path / "file").touch()
    for log in (tmp_path, tmp_path / "missing" / "log", tmp_path / "file" / "log"):
        with pytest.raises(errors.FileError, match="cannot be written"):
            w2v.train(Unread(), **SMALL, log=log)
    for log in (os.devnull, tmp_path / "file", tmp_path / "new"):
        with pytest.raises(AssertionError, match="the corpus was read"):
            w2v.train(Unread(), **SMALL, log=log)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_argument_that_decides_on_an_exchange_is_compared_between_processes(monkeypatch):
    """A process that resumes waits for the first one to send the checkpoint, for example."""
    told = []
    monkeypatch.setattr(loop, "spans_processes", lambda mesh: True)
    monkeypatch.setattr(loop, "require_same", told.append)
    corpus = w2v.prepare([["a", "b"]], min_count=1)
    meshes = [Mesh(DEVICE.reshape([1] * len(axes)), axes) for axes in (("copy",), ("data", "dim"))]
    for given in (
        *({}, {"seed": 1}, {"deterministic": True}, {"mesh": meshes[1]}, {"checkpoint": "kept"}),
        {"checkpoint": w2v.Checkpoints("kept", resume=True)},
    ):
        require_alike(corpus, arguments_of({"mesh": meshes[0], **given}))
    assert len(set(map(repr, told))) == len(told) == 6


def test_allow_without_resume_is_refused(tmp_path):
    with pytest.raises(errors.SettingError, match=r"allow=\['corpus'\] .* resume"):
        w2v.train(
            Unread(), **SMALL, checkpoint=w2v.Checkpoints(tmp_path / "none", allow=("corpus",))
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["epochs", *slow("setting.epochs", "typo", "corpus")])
def test_allow_names_a_field_even_where_there_is_no_checkpoint_yet(name, planted, tmp_path):
    given = SMALL | {"checkpoint": w2v.Checkpoints(tmp_path, 60, True, (name,))}
    if name == "corpus":
        assert w2v.train(planted, **given).summary["words"] == 9600
        return
    with pytest.raises(errors.SettingError, match=r"names no field.*settings\.epochs"):
        w2v.train(planted, **given)


@pytest.mark.parametrize("objective", ["hierarchical", "softmax"])
def test_settings_of_another_objective_are_refused_beside_a_method(objective):
    for setting in ({"negatives": 15}, {"noise_exponent": 0.5}):
        with pytest.raises(errors.SettingError, match="is for objective='negative'"):
            w2v.train(Unread(), **SMALL, method=w2v.method("skip-gram", objective), **setting)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--resume"], "--checkpoint"),
        (["--allow", "settings.epochs"], "--checkpoint"),
        *((["--checkpoint-every", n], "Name it with --checkpoint.") for n in ("0", "5", "-5")),
        (["--heartbeat", "100"], "--heartbeat is for several processes"),
        (["--start-timeout", "9"], "--start-timeout is for several processes"),
        (["--checkpoint", "ck", "--checkpoint-every", "nan"], "every=nan (--checkpoint-every)"),
        (["--checkpoint", "ck", "--checkpoint-every", "-1"], "every=-1.0 (--checkpoint-every)"),
        (["--checkpoint", "ck", "--allow", "corpus"], "--resume"),
    ],
)
def test_the_command_refuses_it_with_one_sentence_and_makes_nothing(
    cli, tmp_path, monkeypatch, arguments, says
):
    monkeypatch.chdir(tmp_path)
    done = cli("train", "missing.txt", "--out", "out", *arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", [".", "one", "one/two"])
def test_a_folder_that_cannot_hold_checkpoints_is_told_of_before_the_corpus_is_read(
    tmp_path, cli, inside
):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(errors.FileError, match="cannot hold checkpoints"):
        w2v.train(Unread(), **SMALL, checkpoint=file / inside)
    done = cli("train", "missing.txt", "--out", tmp_path / "out", "--checkpoint", file / inside)
    assert (done.code, "cannot hold checkpoints" in done.err) == (7, True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0, 1, 2, 4, 5, 6, 7])
def test_a_folder_where_permission_is_lacking_is_refused(mode):
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above, "kept")
        folder.mkdir()
        os.chmod(above, 0o755)
        with as_nobody(folder):
            os.chmod(folder, mode << 6)
            for place in (folder, folder / "new"):
                lacking = pytest.raises(errors.FileError, match="permission is lacking")
                with lacking if mode < 7 else contextlib.nullcontext():
                    check_folder(place, resume=False)


def test_checkpoints_of_an_earlier_run_are_told_of_before_the_corpus_is_read(tmp_path):
    (tmp_path / "checkpoint-000000000001.safetensors").write_text("")
    with pytest.raises(errors.CheckpointError, match="of an earlier run"):
        w2v.train(Unread(), **SMALL, checkpoint=tmp_path)


LINES = [["a", "b", "c"]] * 200 + [["a", "rare"]] * 2


@pytest.mark.parametrize(
    "made", [{"min_count": 1}, {"min_count": 2}, {"min_count": 2, "max_vocab": 3}]
)
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"min_count": 100}, "min_count=100"),
        ({"min_count": 5}, "min_count=5"),
        ({"max_vocab": 2}, "max_vocab=2"),
        ({"tokenizer": str.split}, "tokenizer="),
        ({"cache": "folder"}, "cache"),
    ],
)
def test_what_a_corpus_was_made_by_cannot_be_changed_beside_it(
    made, given, says, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    corpus = w2v.prepare(LINES, **made)
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=says):
            act(corpus, dim=4, epochs=1, **given)
    assert not list(tmp_path.iterdir())


def test_a_corpus_that_was_cut_cannot_be_given_room_for_more():
    corpus = w2v.prepare(LINES, min_count=1, max_vocab=2)
    with pytest.raises(errors.SettingError, match=r"max_vocab=3 .* 2 words"):
        w2v.train(corpus, dim=4, epochs=1, max_vocab=3)


@pytest.mark.parametrize(
    ("made", "given", "used"),
    [
        ({"min_count": 1}, {}, (1, None)),
        ({"min_count": 2}, {"min_count": 2}, (2, None)),
        ({"min_count": 0}, {"min_count": 1}, (1, None)),
        ({"min_count": 2, "max_vocab": 3}, {"min_count": 2, "max_vocab": 3}, (2, 3)),
        ({"min_count": 2, "max_vocab": 3}, {}, (2, 3)),
        ({"min_count": 1, "max_vocab": 9}, {"max_vocab": 9}, (1, 9)),
    ],
)
def test_the_settings_say_what_the_words_of_a_corpus_were_chosen_by(made, given, used):
    corpus = w2v.prepare(LINES, **made)
    settings = make_run(corpus, Arguments(dim=4, epochs=1, **given)).settings
    assert (settings.min_count, settings.max_vocab) == used


@pytest.mark.slow
def test_the_summary_says_it_too():
    corpus = w2v.prepare(LINES, min_count=2, max_vocab=3)
    settings = w2v.train(corpus, dim=4, epochs=1).summary["settings"]
    assert (settings["min_count"], settings["max_vocab"]) == (2, 3)


def test_text_is_still_read_with_a_min_count_of_five():
    text = [["a", "b"]] * 5 + [["c", "a"]] * 4
    trained = w2v.train(text, dim=4, epochs=1, sample=0)
    assert (trained.vocab.words, trained.summary["settings"]["min_count"]) == (("a", "b"), 5)
    assert w2v.plan(text, dim=4, epochs=1, sample=0).vocabulary == 2
    assert (
        make_run(w2v.prepare(text, min_count=1), Arguments(dim=4)).state.params.input.shape[0] == 3
    )
    assert w2v.prepare(text).vocab.words == ("a", "b")


def test_a_min_count_beside_a_vocabulary_that_is_there_is_refused():
    vocab = w2v.Vocab(("b", "a"), [9, 7])
    with pytest.raises(errors.SettingError, match="min_count=3"):
        w2v.train(Unread(), dim=4, vocab=vocab, min_count=3)
    settings = w2v.train([["a", "b"]] * 5, dim=4, epochs=1, sample=0, vocab=vocab).summary[
        "settings"
    ]
    assert settings["min_count"] == 1


@pytest.mark.slow
def test_the_command_goes_on_from_a_model_with_either_tokenizer(cli, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(line) for line in planted_text(40)))
    first = cli("train", text, "--out", tmp_path / "a", "--dim", "4", "--epochs", "1", "--quiet")
    options = "--epochs 1 --quiet --tokenizer post --min-count 2".split()
    again = cli("train", text, "--out", tmp_path / "b", "--from", tmp_path / "a", *options)
    assert (first.code, again.code) == (0, 0), again.err
    assert json.loads((tmp_path / "b" / "summary.json").read_text())["settings"]["min_count"] == 2


# --- functions, flags and tables of the wrong kind ------------------------------------------------

FLAGS = [
    *(("progress", value) for value in ("no", 0, 1, None, [], "False")),
    *(("deterministic", value) for value in ("no", 0, 2.0, ())),
]


@pytest.mark.parametrize(("name", "value"), FLAGS)
def test_a_flag_is_true_or_false(name, value):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=f"{name}=.* is unclear[.] Use True or False"):
            act(Unread(), **SMALL, **{name: value})


@pytest.mark.parametrize("value", ["no", 0, 1, None])
def test_the_flags_of_the_parts_are_true_or_false(value, tmp_path):
    vectors = w2v.Vectors(["a", "b"], np.eye(2))
    for make in (
        lambda: w2v.train(Unread(), checkpoint=w2v.Checkpoints(tmp_path / "kept", resume=value)),
        lambda: w2v.train(Unread(), reading=Reading(together=value)),
        lambda: ReadOptions(verify=value),
        lambda: w2v.set_up(None, Settings(), deterministic=value),
        lambda: vectors.mean_vector(["a"], pre_normalize=value),
        lambda: vectors.mean_vector(["a"], post_normalize=value),
        lambda: vectors.mean_vector(["a"], ignore_missing=value),
        lambda: w2v.evaluate_word_pairs(vectors, [("a", "b", 1)], case_insensitive=value),
        lambda: w2v.evaluate_word_analogies(vectors, [tuple("abab")], case_insensitive=value),
        lambda: w2v.load_model(tmp_path / "none", verify=value),
        lambda: w2v.formats.load_word2vec_format(tmp_path / "none", binary=value),
        lambda: w2v.formats.save_word2vec_format(vectors, tmp_path / "none", binary=value),
    ):
        with pytest.raises(errors.SettingError, match=r"is unclear\. Use True or False"):
            make()


def test_a_flag_may_be_numpys():
    given = {"progress": np.False_, "deterministic": np.True_, "reading": Reading(together=False)}
    with pytest.raises(AssertionError, match="the corpus was read"):
        w2v.train(Unread(), **SMALL, **given, checkpoint=w2v.Checkpoints("kept", resume=np.False_))


@pytest.mark.parametrize(
    "schedule",
    [
        lambda: 1,
        lambda step: "x",
        lambda step: None,
        lambda step: np.ones(3),
        lambda step: jnp.ones((1,)),
        lambda step: 1j,
        lambda step: step > 3,
        lambda step: 0.1 if step < 3 else 0.01,
        lambda step: (0.1, 0.2),
        optax.adam,
    ],
)
def test_a_schedule_that_gives_no_rate_is_refused_before_the_corpus_is_read(schedule):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match="schedule has to be a function of the step"):
            act(Unread(), **SMALL, schedule=schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        linear_decay(0.1, 5),
        0.1,
        np.float32(0.1),
        lambda step: 0.1,
        lambda step: 1,
        lambda step: jnp.where(step < 3, 0.1, 0.01),
    ],
)
def test_a_schedule_that_gives_a_rate_is_taken(schedule):
    with pytest.raises(AssertionError, match="the corpus was read"):
        w2v.train(Unread(), **SMALL, schedule=schedule)


@pytest.mark.parametrize("optimizer", [lambda: 3, int, lambda a, b: w2v.row_sgd(a), dict, len])
def test_an_optimizer_that_takes_no_schedule_is_refused(optimizer):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match="has to be a function of the schedule"):
            act(Unread(), **SMALL, optimizer=optimizer)


def nothing(*_):
    return None


@pytest.mark.parametrize("name", ["windows", "reach", "embed_backward"])
@pytest.mark.parametrize(
    "function", [nothing, lambda: 3, lambda *_: "x", lambda *_: 1.5, lambda *_: jnp.ones((2, 3))]
)
def test_a_function_that_gives_something_else_is_refused(name, function):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=f"{name} has to be a function"):
            act(Unread(), **SMALL, **{name: function})
    method = w2v.method()._replace(**{name: function})
    with pytest.raises(errors.SettingError, match=f"{name} has to be a function"):
        w2v.train(Unread(), dim=4, method=method)


def changed_batch(change):
    return lambda *given: change(block_batch(*given))


ODD_WINDOWS = {
    "whole weights": lambda b: b._replace(weights=b.weights.astype(jnp.int32)),
    "boolean weights": lambda b: b._replace(weights=b.weights > 0),
    "weights of one column": lambda b: b._replace(weights=b.weights[..., :1]),
    "weights of one row": lambda b: b._replace(weights=b.weights[:, :1]),
    "weights of one group": lambda b: b._replace(weights=b.weights[:1]),
    "words of floats": lambda b: b._replace(words=b.words.astype(jnp.float32)),
    "words of one block": lambda b: b._replace(words=b.words[:1]),
    "whole weights of inputs": lambda b: b._replace(
        inputs=b.inputs._replace(weights=b.inputs.weights.astype(jnp.int32))
    ),
    "ids of floats": lambda b: b._replace(
        inputs=b.inputs._replace(ids=b.inputs.ids.astype(jnp.float32))
    ),
    "ids of half a block": lambda b: b._replace(inputs=b.inputs._replace(ids=b.inputs.ids[:, :4])),
    "ids of one group": lambda b: b._replace(inputs=b.inputs._replace(ids=b.inputs.ids[:1])),
}


@pytest.mark.parametrize("change", ODD_WINDOWS.values(), ids=ODD_WINDOWS)
def test_windows_whose_arrays_do_not_fit_are_refused(change):
    """Whole weights trained another objective, and a column was repeated, without a word."""
    with pytest.raises(errors.SettingError, match=r"windows has to be .* returns Batch of .*int32"):
        w2v.train(Unread(), **SMALL, windows=changed_batch(change))


@pytest.mark.parametrize(
    "windows",
    [
        changed_batch(lambda b: b),
        changed_batch(lambda b: b._replace(weights=2 * b.weights)),
        w2v.windows.cbow_single_batch,
        lambda *given: w2v.windows.to_center_batch(*given),
        lambda *given: w2v.windows.cbow_block_batch(*given),
        lambda *given: w2v.windows.cbow_weighted_batch(*given),
    ],
)
def test_windows_that_fit_are_taken(windows):
    with pytest.raises(AssertionError, match="the corpus was read"):
        w2v.train(Unread(), **SMALL, windows=windows)


NEGATIVE = w2v.negative_sampling(2)


def after(backward, change):
    return lambda *given: change(*backward(*given))


def values_of(change):
    return lambda d, rows: (d, rows._replace(values=change(rows.values)))


def losing(change):
    return {"loss": lambda *given: change(NEGATIVE.loss(*given))}


def sloping(change):
    return {"backward": after(NEGATIVE.backward, change)}


def bounding(change):
    return {"bounded": lambda *given: change(NEGATIVE.bounded(*given))}


ODD_OBJECTIVES = {
    "loss of one number": losing(jnp.sum),
    "loss of blocks": losing(lambda loss: loss.sum(1)),
    "loss of pairs": losing(lambda loss: loss[..., None]),
    "whole loss": losing(lambda loss: loss.astype(jnp.int32)),
    "complex loss": losing(lambda loss: loss + 1j),
    "no loss": losing(lambda loss: None),
    "no gradient": sloping(lambda *_: None),
    "d_hidden of one column": sloping(lambda d, rows: (d[..., :1], rows)),
    "d_hidden of blocks": sloping(lambda d, rows: (d[:, 0], rows)),
    "values of one column": sloping(values_of(lambda values: values[:, :1])),
    "fewer values": sloping(values_of(lambda values: values[1:])),
    "ids of floats": sloping(lambda d, rows: (d, rows._replace(ids=rows.ids.astype(jnp.float32)))),
    "ids of two axes": sloping(lambda d, rows: (d, rows._replace(ids=rows.ids[None]))),
    "a dense column": sloping(lambda d, rows: (d, jnp.zeros((24, 1)))),
    "no d_output": sloping(lambda d, rows: (d, None)),
    "two values of four": bounding(lambda found: found[:2]),
    "a bound for all": bounding(lambda found: (*found[:3], found[3][:1])),
    "no bounds": bounding(lambda found: (*found[:2], None, None)),
    "no targets": {"select": lambda *_: None},
    "draws left out": {"draw": w2v.types.no_draws},
    "draws that fail": {"draw": lambda key: key},
}


@pytest.mark.parametrize("changes", ODD_OBJECTIVES.values(), ids=ODD_OBJECTIVES)
def test_an_objective_that_does_not_fit_is_refused_before_it_trains(planted, changes):
    objective = NEGATIVE._replace(**changes)
    named = next(iter(changes)) if "draw" not in changes else "(draw|select)"
    with pytest.raises(errors.SettingError, match=rf"objective\.{named} has to be a function"):
        w2v.train(planted, **SMALL, objective=objective)


def test_what_an_objective_of_ones_own_fails_with_is_told_and_chained(planted):
    def loss(hidden, output, targets):
        return hidden.no_such_name

    with pytest.raises(errors.SettingError, match=r"no attribute .?no_such_name") as told:
        w2v.train(planted, **SMALL, objective=NEGATIVE._replace(loss=loss))
    assert isinstance(told.value.__cause__, AttributeError)


def rows_of(change):
    def embed_backward(d_hidden, inputs):
        return change(w2v.objectives.hidden.embed_backward(d_hidden, inputs))

    return embed_backward


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows._replace(values=rows.values[:, :1]),
        lambda rows: rows._replace(values=rows.values[1:]),
        lambda rows: rows._replace(ids=rows.ids.astype(jnp.float32)),
        lambda rows: rows._replace(values=rows.values.astype(jnp.int32)),
    ],
)
def test_rows_of_inputs_that_do_not_fit_are_refused(change):
    with pytest.raises(errors.SettingError, match=r"embed_backward has to be .* returns Rows of"):
        w2v.train(Unread(), **SMALL, embed_backward=rows_of(change))


def updating(change):
    return lambda schedule: optax.stateless(lambda values, params: jax.tree.map(change, values))


def counting(change):
    def update(values, state, params=None, **extra):
        return values, change(state)

    return lambda schedule: w2v.dense(
        optax.GradientTransformation(lambda params: jnp.int32(0), update)
    )


ODD_OPTIMIZERS = {
    "one column": (updating(lambda x: x[:, :1]), "The update has the shape"),
    "one row": (updating(lambda x: x[:1]), "The update has the shape"),
    "one row of a table": (
        lambda schedule: w2v.dense(updating(lambda x: x[:1])(schedule)),
        "The update has the shape",
    ),
    "a class of optax": (lambda schedule: w2v.dense(optax.adam), "has no attribute .?.?init"),
    "a loss is needed": (lambda schedule: w2v.dense(optax.lbfgs()), "optimizer fails"),
    "masked": (
        lambda schedule: optax.masked(w2v.row_sgd(schedule), w2v.Params(True, False)),
        "optimizer",
    ),
    "state of another dtype": (counting(lambda n: n + 0.5), "other shapes or dtypes"),
    "state of another shape": (counting(lambda n: n[None]), "other shapes or dtypes"),
    "state that grows": (counting(lambda n: (n, n)), "other shapes or dtypes"),
}


@pytest.mark.parametrize(("optimizer", "says"), ODD_OPTIMIZERS.values(), ids=ODD_OPTIMIZERS)
def test_an_optimizer_that_does_not_fit_is_refused_before_the_corpus_is_read(
    standard_promotion, optimizer, says
):
    for act in (w2v.train, w2v.plan):
        with pytest.raises(errors.SettingError, match=says):
            act(Unread(), **SMALL, optimizer=optimizer)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda schedule: w2v.dense(optax.adam(schedule)),
        lambda schedule: w2v.dense(optax.chain(optax.clip(1.0), optax.sgd(schedule))),
        lambda schedule: optax.chain(optax.clip(1.0), w2v.row_adagrad(schedule)),
        w2v.row_adagrad,
    ],
)
def test_an_optimizer_that_fits_is_taken(standard_promotion, optimizer):
    with pytest.raises(AssertionError, match="the corpus was read"):
        w2v.train(Unread(), **SMALL, optimizer=optimizer)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), "small", None])
def test_a_constant_of_adagrad_is_above_zero(epsilon):
    with pytest.raises(errors.SettingError, match="epsilon"):
        w2v.row_adagrad(0.1, epsilon)


@pytest.mark.parametrize("name", ["learning_rate", "sample", "noise_exponent"])
def test_a_derivative_with_respect_to_a_setting_is_refused(name):
    """It was 0.0, whatever the run did."""

    def sum_of(value):
        return w2v.train(Unread(), **SMALL | {name: value}).params.input.sum()

    for transformed in (jax.grad(sum_of), jax.jit(sum_of)):
        with pytest.raises(errors.SettingError, match=f"{name} is traced by JAX"):
            transformed(0.1)
    with pytest.raises(errors.SettingError, match=f"{name} is traced by JAX"):
        jax.vmap(sum_of)(jnp.ones(2))


SQUARE = np.full((2, 4), 0.1)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([["x"] * 4] * 2, "real numbers"),
        (SQUARE + 1j, "real numbers"),
        (SQUARE > 0, "real numbers"),
        (None, "real numbers"),
        ([[1.0, 2.0], [3.0]], "real numbers"),
        (np.full((2, 4), NAN), "not finite"),
        (jnp.full((2, 4), jnp.inf), "not finite"),
        (np.full((2, 4), -1e300), "not finite"),
        (SQUARE.ravel(), "shape"),
        (0.5, "shape"),
    ],
)
def test_a_start_that_is_no_table_of_numbers_is_refused(table, says):
    for name in ("input", "output"):
        start = w2v.Params(SQUARE, SQUARE)._replace(**{name: table})
        with pytest.raises(errors.SettingError, match=f"(?s)start.*{name} table.*{says}"):
            w2v.train([["a", "b"]] * 9, dim=4, min_count=1, start=start)


def test_a_start_without_numbers_is_refused_before_the_corpus_is_read():
    with pytest.raises(errors.SettingError, match="real numbers"):
        w2v.train(Unread(), dim=4, start=w2v.Params(SQUARE, "tables"))


def test_a_start_of_lists_trains_as_one_of_arrays_does():
    tables = [SQUARE, SQUARE.astype(np.float32), jnp.asarray(SQUARE, jnp.float32), SQUARE.tolist()]
    found = [
        w2v.train(
            [["a", "b"]] * 9, dim=4, min_count=1, epochs=1, sample=0, start=w2v.Params(table, table)
        ).vectors.matrix
        for table in tables
    ]
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


def test_set_up_and_train_many_refuse_a_rate_beside_a_schedule_and_settings_that_jax_traces():
    lines = [["a", "b"]] * 9
    corpus = w2v.prepare(lines, min_count=1)
    for rate, schedule in ((0.3, 0.1), (1.0, lambda step: 0.1)):
        with pytest.raises(w2v.errors.SettingError, match=f"learning_rate={rate} cannot go with a"):
            w2v.set_up(corpus, w2v.Settings(learning_rate=rate), schedule=schedule)
        given = {"schedule": schedule, "dim": 2, "min_count": 1}
        with pytest.raises(w2v.errors.SettingError, match=f"learning_rate={rate} cannot go with a"):
            w2v.train_many(lines, [0, 1], [None, rate], **given)
    settings = w2v.set_up(corpus, w2v.Settings()).settings  # has the rate of its method
    assert w2v.set_up(corpus, settings, schedule=0.1).recipe.schedule == 0.1
    for schedule in (-5, NAN, "x", lambda step: "x"):
        with pytest.raises(w2v.errors.SettingError, match=r"schedule.*(cannot work|returns)"):
            w2v.set_up(corpus, w2v.Settings(), schedule=schedule)
    for name in ("seed", "learning_rate", "dim"):
        with pytest.raises(w2v.errors.SettingError, match=f"{name} is traced by JAX.*train_many"):
            jax.vmap(lambda value, name=name: w2v.Settings(**{name: value}).dim)(np.ones(2))


# --- callbacks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "callback",
    [
        lambda record: record.clear(),
        lambda record: record.update(loss=-1.0, words="x"),
        lambda record: record.pop("loss") and None,
    ],
)
def test_a_callback_that_edits_its_record_changes_nothing(callback, tmp_path):
    text = [["a", "b", "c"]] * 30
    given = dict(dim=4, min_count=1, epochs=1, sample=0, log_every=0.0)
    plain = w2v.train(text, **given)
    edited = w2v.train(text, **given, callback=callback, log=tmp_path / "log")
    assert edited.summary["loss"] == plain.summary["loss"] > 0
    assert edited.history[-1].keys() == plain.history[-1].keys()
    logged = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert logged["loss"] == plain.summary["loss"]


@pytest.mark.parametrize("answer", [np.zeros(3), jnp.ones((2, 2))])
def test_a_callback_whose_answer_is_neither_true_nor_false_loses_nothing(answer):
    with pytest.warns(UserWarning, match="(?s)callback .* neither true nor false"):
        trained = w2v.train(
            [["a", "b"]] * 9, dim=4, min_count=1, epochs=1, sample=0, callback=lambda record: answer
        )
    assert trained.vectors.matrix.shape == (2, 4)


def test_tables_to_start_from_that_are_traced_are_refused():
    tables = Params(jnp.ones((3, 8)), jnp.ones((3, 8)))
    with pytest.raises(errors.SettingError, match=r"is traced by JAX. Train outside of jit"):
        jax.jit(lambda start: w2v.train(Unread(), dim=8, start=start).params)(tables)


@jax.tree_util.register_pytree_node_class
class Count:
    """A node of a pytree, without an equality of its own."""

    def __init__(self, number):
        self.number = number

    def tree_flatten(self):
        return (self.number,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def counted(first, add):
    """A dense optimizer whose state is ``first`` and then ``add(state)``."""
    return lambda schedule: w2v.dense(
        optax.GradientTransformation(
            lambda params: first, lambda grads, state, params=None: (grads, add(state))
        )
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda schedule: w2v.dense(optax.adam(schedule)),
        lambda schedule: w2v.dense(optax.sgd(schedule, momentum=0.9)),
        lambda schedule: w2v.dense(optax.lion(schedule)),
        lambda schedule: optax.inject_hyperparams(w2v.row_adagrad)(learning_rate=schedule),
        counted(Count(jnp.int32(0)), lambda state: Count(state.number + 1)),
        counted(0, lambda state: state + jnp.float32(1)),
        counted(None, lambda state: None),
        counted(jax.random.key(0), lambda key: jax.random.split(key)[0]),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_optimizers_with_other_states_are_taken(standard_promotion, optimizer, wide):
    with jax.enable_x64(wide):
        for dtype in ("float32", "float64")[: 1 + wide]:
            with pytest.raises(AssertionError, match="the corpus was read"):
                w2v.train(Unread(), **SMALL, optimizer=optimizer, dtype=dtype)


def test_an_optimizer_is_checked_in_the_dtype_of_the_tables(standard_promotion):
    def adam(schedule):
        return w2v.dense(optax.adam(schedule))

    with pytest.raises(errors.SettingError, match="other shapes or dtypes"):
        w2v.train(Unread(), **SMALL, optimizer=adam, dtype="bfloat16")


class Blocks(NamedTuple):
    """Windows that are a tuple, of which JAX keeps no weak reference."""

    times: float = 1.0

    def __call__(self, tokens, segments, reach):
        batch = block_batch(tokens, segments, reach)
        return batch._replace(weights=self.times * batch.weights)


@pytest.mark.parametrize(
    "changes",
    [
        {"draw": lambda key, tables, shape: None, "select": w2v.softmax().select},
        {"backward": lambda *given: list(w2v.softmax().backward(*given))},
        {"bounded": lambda *given: list(w2v.softmax().bounded(*given))},
        {"bounded": None},
    ],
)
def test_objectives_that_fit_are_taken(planted, changes):
    objective = w2v.softmax()._replace(**changes)
    usual = w2v.train(planted, **SMALL, objective=w2v.softmax()).params
    own = w2v.train(planted, **SMALL, objective=objective, windows=Blocks()).params
    # bounds by weights are larger than those of a softmax, so its rows take other steps
    assert (bits(own) == bits(usual)) == (changes.get("bounded", True) is not None)


@pytest.mark.parametrize("allow", [(["program"],), (3, "x"), ({},)])
def test_what_is_allowed_is_the_name_of_a_field(tmp_path, allow):
    going_on = w2v.Checkpoints(tmp_path, resume=True, allow=allow)
    with pytest.raises(errors.SettingError, match="names no field of a checkpoint"):
        w2v.train(Unread(), **SMALL, checkpoint=going_on)
