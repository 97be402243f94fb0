"""A stopped run resumes to the same bits. A checkpoint of another run is refused."""

import itertools
import json
import re
import signal
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from marks import slow
from planted import SMALL, Unread, bits, planted_text

import w2vjax as w2v
from w2vjax import errors
from w2vjax.formats.safetensors import read_tensors, write_tensors
from w2vjax.runs import rounds, watch
from w2vjax.runs.checkpoint import (
    Position,
    _compare,
    load_checkpoint,
    prepared,
    run_identity,
    save_checkpoint,
)
from w2vjax.runs.report import StopSignals
from w2vjax.training.copies import Joined
from w2vjax.types import Params


@pytest.fixture(scope="module")
def saved(planted, tmp_path_factory):
    """The checkpoints of a finished run, which the tests below must leave as they are."""
    folder = tmp_path_factory.mktemp("saved")
    w2v.train(planted, **SMALL, checkpoint=folder)
    assert list(folder.glob("checkpoint-*"))
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("copies", "cut"),
    [(1, 7), (2, 1), *(pytest.param(*run, marks=pytest.mark.slow) for run in [(1, 1), (2, 7)])],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(planted, tmp_path, monkeypatch, copies, cut):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    settings = SMALL | {"copies": copies}
    whole = w2v.train(planted, **settings)
    calls, log = itertools.count(1), tmp_path / "log.jsonl"

    def kill(record):
        if next(calls) == cut:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(
        errors.StoppedError, match=r"SIGTERM after .* words; the checkpoint is saved"
    ) as stopped:
        w2v.train(planted, **settings, checkpoint=tmp_path, callback=kill, log=log, log_every=0.0)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    with open(log, "a") as file:
        file.write('{"step": "logged after the checkpoint, and then killed"}\n')
    resumed = w2v.train(
        planted, **settings, checkpoint=w2v.Checkpoints(tmp_path, resume=True), log=log
    )
    assert [json.loads(line) for line in log.read_text().splitlines()] == resumed.history
    assert bits(resumed.params) == bits(whole.params)
    assert resumed.summary["words"] == whole.summary["words"]
    assert resumed.summary["steps"] == whole.summary["steps"]


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    whole = w2v.train(planted, **SMALL, checkpoint=w2v.Checkpoints(tmp_path, every=0.0))
    newest = max(tmp_path.glob("checkpoint-*"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 4
    newest.write_bytes(data)
    with pytest.warns(UserWarning, match="because a later one is damaged"):
        resumed = w2v.train(planted, **SMALL, checkpoint=w2v.Checkpoints(tmp_path, resume=True))
    assert bits(resumed.params) == bits(whole.params)
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(errors.CheckpointError, match=r"No checkpoint in .* is sound"):
        w2v.train(planted, **SMALL, checkpoint=w2v.Checkpoints(tmp_path, resume=True))


IDENTITY = {"program": "p", "start": None} | {
    f"settings.{name}": value for name, value in w2v.Settings().as_json().items()
}


def state(number):
    table = jnp.full((9, 4), float(number))
    return Joined(Params(table, -table), ((jnp.int32(number),),))


@pytest.mark.parametrize(("flips", "cuts"), [(40, 10), *slow((1000, 200))])
def test_no_flipped_bit_and_no_cut_of_a_checkpoint_is_loaded(tmp_path, flips, cuts):
    """The checkpoint before the damaged one is loaded, with a warning. Without one, none is."""
    rng, identity = np.random.default_rng(flips), IDENTITY
    for number in (1, 2):
        save_checkpoint(tmp_path, state(number), Position(words=number), identity, [])
    older, newest = sorted(tmp_path.glob("checkpoint-*"))
    data, sound = newest.read_bytes(), older.read_bytes()

    def check(damaged, alone):
        newest.write_bytes(damaged)
        older.write_bytes(b"" if alone else sound)
        if alone:
            with pytest.raises(errors.CheckpointError, match=r"No checkpoint in .* is sound"):
                load_checkpoint(tmp_path, state(0), identity)
        else:
            with pytest.warns(UserWarning, match="because a later one is damaged"):
                found, place, _ = load_checkpoint(tmp_path, state(0), identity)
            assert (place.words, float(found.params.input[0, 0])) == (1, 1.0)

    for number, bit in enumerate(rng.integers(0, 8 * len(data), flips)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        check(damaged, alone=number % 2)
    for number, size in enumerate([0, *rng.integers(0, len(data), cuts)]):
        check(data[:size], alone=number % 2)
    newest.write_bytes(data)
    assert load_checkpoint(tmp_path, state(0), identity)[1].words == 2


PLACES = (
    '5 {} [0,0,0,0] [1.5,0,0,0,0.0] [-1,0,0,0,0.0] ["0",0,0,0,0.0] [0,0,true,0,0.0] [0,0,0,0,NaN]'
)
WRONG = {
    "format": ["w2vjax checkpoint 0", None],
    "identity": ['{"start":n ull}', "[" * 100_000, '"start"', "[1]", "", None],
    "place": [*PLACES.split(), None],
    "history": ["{}", "[1]", "[]]", "1" * 5_000, "[{}]", '[{"loss": "1"}]', None],
}
NOTES = [{name: text} for name, texts in WRONG.items() for text in texts]


@pytest.mark.parametrize("changed", NOTES, ids=str)
def test_a_checkpoint_with_a_right_checksum_and_wrong_notes_is_passed_over(tmp_path, changed):
    older, newest = (
        save_checkpoint(tmp_path, state(number), Position(words=number), IDENTITY, [])
        for number in (1, 2)
    )
    tensors = read_tensors(newest)
    told = {name: text for name, text in (tensors.metadata | changed).items() if text is not None}
    write_tensors(newest, tensors.arrays, told)
    with pytest.warns(UserWarning, match="because a later one is damaged"):
        assert load_checkpoint(tmp_path, state(0), IDENTITY)[1].words == 1
    older.unlink()
    with pytest.raises(errors.CheckpointError, match=r"2\.safetensors is not a checkpoint of this"):
        load_checkpoint(tmp_path, state(0), IDENTITY)


def test_a_signal_handler_that_is_not_pythons_stays(monkeypatch):
    """Python could not put it back: signal.signal(number, None) is a TypeError."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda *_: pytest.fail("it was replaced"))
    with StopSignals(active=True) as signals:
        assert signals.received is None


def test_a_run_of_any_length_is_resumed_from_its_last_checkpoint(tmp_path):
    """Twelve digits of words are the least that a name has."""
    for words in (999_999_999_998, 999_999_999_999, 10**12, 10**13):
        save_checkpoint(tmp_path, state(1), Position(words=words), IDENTITY, [])
        assert load_checkpoint(tmp_path, state(0), IDENTITY)[1].words == words
        assert len(list(tmp_path.iterdir())) <= 2


@pytest.mark.parametrize("shapes", [[], [(9, 4)], [(9,), (9, 4), (9,)], [(9,)] * 5, [(0,)] * 3])
@pytest.mark.parametrize("leaf", [(9, 4), (9, 2), (9,), ()])
def test_a_checkpoint_of_other_arrays_is_refused(tmp_path, shapes, leaf):
    path = save_checkpoint(tmp_path, state(1), Position(), IDENTITY, [])
    arrays = {str(number): np.zeros(shape, np.float32) for number, shape in enumerate(shapes)}
    write_tensors(path, arrays, read_tensors(path).metadata)
    like = Joined(Params(jnp.ones((9, 4)), jnp.ones((9, 2))), ((jnp.ones(leaf),),))
    with pytest.raises(errors.CheckpointError, match="holds other tables than this run's"):
        load_checkpoint(tmp_path, like, IDENTITY)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3}, r"settings.seed=0 and this run has 3"),
        ({"learning_rate": 0.2}, r"settings.learning_rate=0.1 and this run has 0.2"),
        ({"noise_exponent": 0.5}, r"settings.noise_exponent=0.75 and this run has 0.5"),
        (
            {"objective": w2v.negative_sampling(3, shared=8)},
            "settings.objective='negative' and this run has 'custom'",
        ),
        ({"windows": w2v.windows.cbow_block_batch}, "another program"),
        ({"corpus": planted_text(seed=9)}, "corpus="),
        ({"start": w2v.Params(np.ones((24, 8)), np.ones((24, 8)))}, "start=None and this run has"),
        ({"schedule": 0.05}, r"another program.*schedule"),
        ({"schedule": lambda step: 0.05}, r"another program.*schedule"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_naming_what_differs(planted, saved, change, named):
    before = contents(saved)
    arguments = SMALL | {"corpus": planted} | change
    with pytest.raises(errors.CheckpointError, match=named):
        w2v.train(**arguments, checkpoint=w2v.Checkpoints(saved, resume=True))
    assert contents(saved) == before


def test_every_setting_is_compared():
    for name, value in IDENTITY.items():
        for other in (None if value is not None else 0, f"{value} ", [value]):
            says = "another program" if name == "program" else f"{name}={re.escape(repr(other))}"
            with pytest.raises(errors.CheckpointError, match=says):
                _compare(Path("checkpoint"), IDENTITY | {name: other}, IDENTITY, set())
        less = {key: IDENTITY[key] for key in IDENTITY if key != name}
        if value is not None:
            with pytest.raises(errors.CheckpointError):
                _compare(Path("checkpoint"), less, IDENTITY, set())


def test_every_difference_of_the_start_is_another_run(planted):
    job = w2v.set_up(planted, w2v.Settings(**SMALL))
    ones, twos = np.ones((24, 8), np.float32), np.full((24, 8), 2, np.float32)
    nearly = ones.copy()
    nearly[-1, -1] = np.nextafter(np.float32(1), np.float32(2))  # one bit
    pairs = itertools.product((ones, twos, nearly), repeat=2)
    starts = [None, *itertools.starmap(Params, pairs)]
    found = [run_identity(job, "p", start) for start in starts]
    for (i, theirs), (j, ours) in itertools.product(enumerate(found), repeat=2):
        if i == j:
            _compare(Path("checkpoint"), theirs, run_identity(job, "p", starts[i]), set())
        else:
            with pytest.raises(errors.CheckpointError, match="was made with start="):
                _compare(Path("checkpoint"), theirs, ours, set())


def test_what_may_differ_is_named_exactly_and_excuses_nothing_else(planted, saved):
    other = SMALL | {"windows": w2v.windows.cbow_block_batch}
    for unknown in ("jax verson", "setting.epochs", "place"):  # before the text is read
        with pytest.raises(
            errors.SettingError, match=rf"allow=\['{unknown}'\] names no field .*settings.epochs"
        ):
            w2v.train(
                Unread(), **SMALL, checkpoint=w2v.Checkpoints(saved, resume=True, allow=unknown)
            )
    with pytest.raises(errors.CheckpointError, match="another program"):
        w2v.train(
            planted, **other, checkpoint=w2v.Checkpoints(saved, resume=True, allow="jax version")
        )


ALLOWED = ("settings.join_words", "settings.copies", "words of a chunk", "program")


def stopped_after(records, text, folder, **settings):
    """The words of a run that its callback stopped, with its checkpoint in ``folder``."""
    calls = itertools.count(1)
    trained = w2v.train(
        *(text,),
        **settings,
        checkpoint=folder,
        log_every=0.0,
        callback=lambda record: next(calls) == records,
    )
    return trained.summary["words"]


@pytest.mark.parametrize(("first", "then"), [(480, 960), (960, 480), (480, 512)])
def test_a_run_goes_on_with_chunks_of_another_size_at_the_end_of_an_epoch_alone(
    planted, tmp_path, first, then
):
    """Within an epoch, a chunk of another size has another place: text was skipped or repeated."""
    mine, other = (SMALL | {"copies": 1, "join_words": words} for words in (first, then))
    whole = w2v.train(planted, **mine).summary["words"]
    assert 0 < stopped_after(1, planted, tmp_path / "within", **mine) < whole
    going_on = w2v.Checkpoints(tmp_path / "within", resume=True, allow=ALLOWED)
    before = contents(tmp_path / "within")
    with pytest.raises(errors.CheckpointError, match=rf"of {first} words each.* of {then} words"):
        w2v.train(planted, **other, checkpoint=going_on)
    assert contents(tmp_path / "within") == before
    assert w2v.train(planted, **mine, checkpoint=going_on).summary["words"] == whole
    one = {"epochs": 1}
    w2v.train(planted, **mine | one, checkpoint=tmp_path / "epoch")
    allow = (*ALLOWED, "settings.epochs")
    going_on = w2v.Checkpoints(tmp_path / "epoch", resume=True, allow=allow)
    assert w2v.train(planted, **other, checkpoint=going_on).summary["words"] == whole


@pytest.mark.parametrize(("first", "then"), [(2, 1), (4, 2), (1, 2)])
def test_a_checkpoint_of_other_copies_is_refused(planted, tmp_path, first, then):
    """The optimizer of a copy that is left out was taken for that of the first one."""
    settings = SMALL | {"join_words": 480}
    stopped_after(1, planted, tmp_path, **settings, copies=first)
    going_on = w2v.Checkpoints(tmp_path, resume=True, allow=ALLOWED)
    with pytest.raises(errors.CheckpointError, match="holds other tables"):
        w2v.train(planted, **settings, copies=then, checkpoint=going_on)


@pytest.mark.parametrize("damaged", [0, 1])
def test_two_sound_checkpoints_are_kept_beside_damaged_ones_that_are_later(tmp_path, damaged):
    for number in (1, 2, *range(7, 7 + damaged)):
        save_checkpoint(tmp_path, state(number), Position(words=number), IDENTITY, [])
    for path in sorted(tmp_path.glob("checkpoint-*"))[2 - damaged :][:damaged]:
        path.write_bytes(b"damaged")
    for number in (3, 4):
        save_checkpoint(tmp_path, state(number), Position(words=number), IDENTITY, [])
    found = sorted(int(path.stem.partition("-")[2]) for path in tmp_path.glob("checkpoint-*"))
    assert found == [3, 4, 7][: 2 + damaged]


def failing_at(failing):
    """save_checkpoint, whose call number ``failing`` has no room on the disk. 0: every call."""
    calls = itertools.count(1)

    def save(folder, *rest):
        if next(calls) == failing or not failing:
            raise errors.FileError(f"{folder} cannot be written: no space. Free some.")
        return save_checkpoint(folder, *rest)

    return save


def test_a_last_checkpoint_that_cannot_be_written_loses_no_result(planted, tmp_path, monkeypatch):
    whole = w2v.train(planted, **SMALL)
    monkeypatch.setattr(rounds, "save_checkpoint", failing_at(0))
    with pytest.warns(UserWarning, match=r"no space.* gives its results without this checkpoint"):
        trained = w2v.train(planted, **SMALL, checkpoint=tmp_path)
    assert bits(trained.params) == bits(whole.params)
    with pytest.warns(UserWarning, match="without this checkpoint"):  # a callback stops it
        w2v.train(planted, **SMALL, checkpoint=tmp_path, log_every=0.0, callback=lambda _: True)


@pytest.mark.parametrize("at", ["a signal", "an interval"])
def test_a_checkpoint_that_cannot_be_written_ends_a_run_that_goes_on(
    planted, tmp_path, monkeypatch, at
):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    monkeypatch.setattr(rounds, "save_checkpoint", failing_at(0 if at == "a signal" else 2))
    send = (lambda _: signal.raise_signal(signal.SIGTERM)) if at == "a signal" else None
    every = 60.0 if at == "a signal" else 0.0
    with pytest.raises(errors.FileError, match="no space"):
        w2v.train(
            planted,
            **SMALL,
            checkpoint=w2v.Checkpoints(tmp_path, every),
            callback=send,
            log_every=0.0,
        )
    assert len(list(tmp_path.glob("checkpoint-*"))) == (at == "an interval")


def test_a_folder_of_checkpoints_belongs_to_one_run_at_a_time(planted, saved, tmp_path):
    for folder, resume in ((tmp_path / "new", False), (saved, True)):
        mine = w2v.Checkpoints(folder, resume=resume)
        before = contents(folder) if resume else {}
        with prepared(mine), pytest.raises(errors.FileError, match="Another run writes into"):
            w2v.train(planted, **SMALL, checkpoint=mine)
        assert not folder.exists() or contents(folder) == before


def test_a_new_run_does_not_overwrite_an_old_ones_checkpoints(planted, saved):
    before = contents(saved)
    with pytest.raises(errors.CheckpointError, match=r"of an earlier run\. Resume it"):
        w2v.train(planted, **SMALL, checkpoint=saved)
    assert contents(saved) == before


def test_a_diverging_run_stops_names_step_and_table_and_saves_nothing(planted, tmp_path):
    with pytest.raises(
        errors.DivergedError, match=r"not finite at step \d+: .* against the output table"
    ):
        w2v.train(
            planted,
            **SMALL | {"learning_rate": 1e6, "epochs": 9},
            optimizer=optax.sgd,
            checkpoint=tmp_path,
        )
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_table_that_is_not_finite_is_named():
    params = Params(jnp.ones((2, 2)), jnp.asarray([[1.0, np.nan], [1.0, 1.0]]))
    with pytest.raises(
        errors.DivergedError, match="The output table holds NaN or infinity at a test"
    ):
        watch.require_sound(params, "a test", 3, np.inf, "")


@pytest.mark.slow
def test_noise_of_another_kind_is_another_run(planted, tmp_path):
    """The tables of an objective of one's own are in no setting and not in the program's text."""
    arguments = SMALL | {"corpus": planted}
    w2v.train(
        **arguments, objective=w2v.negative_sampling(5, exponent=0.75), checkpoint=tmp_path / "own"
    )
    with pytest.raises(errors.CheckpointError, match="objective's tables="):
        w2v.train(
            **arguments,
            objective=w2v.negative_sampling(5, exponent=0.5),
            checkpoint=w2v.Checkpoints(tmp_path / "own", resume=True),
        )


@pytest.mark.parametrize("every", [0.0, 1e9], ids=["save due", "no save due"])
@pytest.mark.parametrize("copies", [2, *slow(1)])
def test_a_run_that_its_callback_stops_goes_on_to_the_same_bits(
    planted, tmp_path, monkeypatch, copies, every
):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    settings = SMALL | {"copies": copies, "log_every": 0.0}
    whole = w2v.train(planted, **settings)
    rounds = -(-whole.run.feed.chunks // copies) * settings["epochs"]
    for stops in [(1,), (3,), (rounds,), (2, 3)]:
        folder, seen = tmp_path / "-".join(map(str, stops)), []
        for session, stop in enumerate(stops):
            mine = []

            def callback(record, mine=mine, stop=stop):
                mine.append(record)
                return len(mine) == stop

            checkpoint = w2v.Checkpoints(folder, every, resume=session > 0)
            run = w2v.train(planted, **settings, checkpoint=checkpoint, callback=callback)
            assert len(mine) == stop  # never called again once it said stop
            seen += mine
            assert run.history == seen  # called once for every record
        resumed = w2v.train(planted, **settings, checkpoint=w2v.Checkpoints(folder, resume=True))
        assert bits(resumed.params) == bits(whole.params), stops
        for name in ("steps", "words"):
            assert resumed.summary[name] == whole.summary[name], (stops, name)


def test_what_a_stopped_run_returns_is_what_its_checkpoint_holds(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("w2vjax.devices.feed.CHUNK", 512)
    stopped = w2v.train(
        planted, **SMALL, checkpoint=tmp_path, log_every=0.0, callback=lambda record: True
    )
    whole = w2v.train(planted, **SMALL)
    assert 0 < stopped.summary["steps"] < whole.summary["steps"]
    assert 0 < stopped.summary["words"] < whole.summary["words"]
    tensors = read_tensors(max(tmp_path.glob("checkpoint-*")))
    place = Position(*json.loads(tensors.metadata["place"]))
    assert (place.steps, place.words) == (stopped.summary["steps"], stopped.summary["words"])
    saved = [array.tobytes() for array in tensors.arrays.values()]
    assert np.asarray(stopped.params.input).tobytes() in saved
