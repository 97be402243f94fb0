"""The gradient check itself, and every objective under it."""

import itertools
import json
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    LISTED,
    OBJECTIVES,
    QUICK_OBJECTIVES,
    QUICK_WINDOW,
    WINDOWS,
    largest_error,
    rounding_floors,
)
from marks import slow

import w2vjax as w2v
from w2vjax.cli import gradcheck as command
from w2vjax.cli.gradcheck import verdict
from w2vjax.gradcheck import objectives as battery
from w2vjax.gradcheck.cases import KINDS, SHIPPED_SIZES, SIZES, counts, make_case
from w2vjax.gradcheck.compare import TOLERANCES
from w2vjax.gradcheck.compiled import compiled
from w2vjax.gradcheck.objectives import MAIN_SIZE, applies, check_objectives, check_shipped
from w2vjax.gradcheck.one_hot import check_reference
from w2vjax.objectives.huffman import huffman_tree
from w2vjax.objectives.model import to_dense
from w2vjax.training.methods import MANY_WORDS, METHODS, SHORT_TEXT, make_objective, method
from w2vjax.types import Rows

# variations of other kinds, and the empty batch: in the slow test
LATER = (
    "empty",
    "whole windows",
    "all at the last id",
    "one-word lines",
    "zero params",
    "short reach",
)


LONGEST = ("softmax", "hierarchical_softmax", "shared_negatives")


@pytest.mark.parametrize("name", [*(n for n in LISTED if n not in LONGEST), *slow(*LONGEST)])
def test_every_objective_in_float64_with_a_floor_of_zero(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 60 words no gradient vanishes, so no rounding has to be excused.

    The batches exercise every row that they touch, but for kinds with zero gradients on purpose.
    """
    monkeypatch.setattr(battery, "magnitudes", lambda *_: {})
    kinds = [kind for kind in KINDS if kind not in LATER]
    records = list(
        check_objectives({name: OBJECTIVES[name]}, [QUICK_WINDOW], [MAIN_SIZE], kinds, ["float64"])
    )
    assert len(records) == len(kinds) >= 12
    assert [record for record in records if not record.passed] == []
    ((tested, touched),) = battery.exercised(records).values()
    # measured 487 with drawn negatives, the fewest; a row of NCE is below the tolerance of its leaf
    assert touched - (name == "nce") <= tested <= touched
    assert touched >= 480


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_objective_window_kind_size_and_dtype(name: str) -> None:
    """What the command runs; 95 % of the rows that the batches touch are exercised."""
    records = list(check_objectives({name: OBJECTIVES[name]}))
    assert [record for record in records if not record.passed] == []
    assert {(r.window, r.kind, r.check.dtype) for r in records} == set(
        product(WINDOWS, KINDS, battery.DTYPES)
    )
    shares = battery.exercised(records)
    assert len(shares) == len(WINDOWS) * len(battery.DTYPES)
    assert all(tested >= battery.LEAST_SHARE * touched for tested, touched in shares.values())


def truth(name: str, kind: str) -> tuple[Any, Any]:
    """The float64 gradient of one batch, and what its elements add up to."""
    objective, case, size = OBJECTIVES[name], make_case(kind, SIZES[MAIN_SIZE]), SIZES[MAIN_SIZE]
    params, *batch = battery.make_inputs(objective, WINDOWS[QUICK_WINDOW], size, case, "float64")
    with jax.enable_x64(True):
        found = compiled(*battery.functions(objective)).reference(params, params, *batch)[1]
    return jax.tree.map(np.asarray, found), battery.magnitudes(params, batch[0])["terms"]


def with_leaf(gradient: Any, leaf: str, change: Any) -> Any:
    return gradient._replace(**{leaf: change(getattr(gradient, leaf).copy())})


@pytest.mark.parametrize("name", QUICK_OBJECTIVES)
def test_small_errors_are_seen_in_every_kind_of_batch(name: str) -> None:
    """Any row that is off by 1e-3 in each dtype, and by 1e-5 in float64."""
    judged = set()
    for kind in KINDS:
        if kind == "empty":
            continue
        gradient, terms = truth(name, kind)
        for leaf in ("input", "output"):
            rows = np.abs(getattr(gradient, leaf)).max(-1)
            if not rows.any():
                continue
            judged.add((kind, leaf))
            # a smaller row is lost in the norm of its table
            for row in np.flatnonzero(rows >= 1e-6 * rows.max()):
                off = np.zeros((len(rows), 1))
                off[row] = 1e-5
                changed = with_leaf(gradient, leaf, lambda table, off=off: table * (1 + off))
                floors = rounding_floors("float64", 1e-12, terms)
                assert largest_error(changed, gradient, floors)[0] > 1e-12, (kind, leaf, row)
            for dtype in ("float64", "float32"):
                off = 1e-3 * (np.arange(len(rows)) == rows.argmax())[:, None]
                changed = with_leaf(gradient, leaf, lambda table, off=off: table * (1 + off))
                floors = rounding_floors(dtype, TOLERANCES[dtype], terms)
                assert largest_error(changed, gradient, floors)[0] > TOLERANCES[dtype], (
                    kind,
                    leaf,
                    dtype,
                )
    silent = {
        ("fully padded", "input"),
        ("fully padded", "output"),
        ("one-word lines", "input"),
        ("one-word lines", "output"),
        ("zero params", "input"),
        ("zero params", "output"),
        ("zero output", "input"),
    }
    assert judged == set(product(KINDS, ("input", "output"))) - silent - {
        ("empty", "input"),
        ("empty", "output"),
    }


def test_terms_excuse_sixteen_roundoffs_and_no_more() -> None:
    """floor = 16 u / tolerance * terms: an error of 16 u * terms just meets the tolerance."""
    terms, reference = {"a": 3.0, "b": 1e3}, {"a": np.zeros(2), "b": np.zeros(2)}
    for dtype, roundoff in (("float64", 2.0**-53), ("float32", 2.0**-24), ("bfloat16", 2.0**-24)):
        limit = TOLERANCES[dtype]
        floors = rounding_floors(dtype, limit, terms)
        for leaf in terms:
            gap = 16 * roundoff * terms[leaf]
            error, worst = largest_error(
                {**reference, leaf: np.asarray([0.0, gap])}, reference, floors
            )
            assert error == pytest.approx(limit, rel=1e-12)
            assert worst == f"{leaf}[1]"


@pytest.mark.slow
def test_the_reference_model() -> None:
    records = list(check_reference())
    assert [record for record in records if not record.passed] == []


def test_kinds_keep_the_shapes_of_an_ordinary_case() -> None:
    for size in SIZES.values():
        ordinary = make_case("ordinary", size)
        for kind in KINDS:
            case = make_case(kind, size)
            if kind != "empty":
                assert [leaf.shape for leaf in case] == [leaf.shape for leaf in ordinary]
            assert case.tokens.min(initial=0) >= 0
            assert case.tokens.max(initial=0) < size.vocab_size


def loss(params: Any, x: Any) -> Any:
    return jnp.sum(jnp.sin(params["a"] @ x)) * params["b"][0]


def right(params: Any, x: Any) -> Any:
    a, b = params["a"], params["b"]
    return loss(params, x), {
        "a": b[0] * jnp.cos(a @ x)[:, None] * x[None],
        "b": jnp.sum(jnp.sin(a @ x))[None],
    }


def off(params: Any, x: Any) -> Any:
    value, gradients = right(params, x)
    return value, {**gradients, "a": gradients["a"].at[2, 1].multiply(1.001)}


def subtly_off(params: Any, x: Any) -> Any:
    value, gradients = right(params, x)
    return value, {**gradients, "a": gradients["a"].at[2, 1].multiply(1.00001)}


def wrong_loss(params: Any, x: Any) -> Any:
    return 1.001 * loss(params, x), right(params, x)[1]


def explodes(params: Any, x: Any) -> Any:
    return loss(params, x), jax.tree.map(
        lambda leaf: leaf / jnp.zeros_like(leaf), right(params, x)[1]
    )


def pytree(dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    a, x = rng.normal(size=(4, 3)), rng.normal(size=3)
    return {"a": a.astype(dtype), "b": np.ones(1, dtype)}, x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_any_pair_of_functions_on_any_pytree(dtype: Any) -> None:
    check = w2v.check_gradients(loss, right, *pytree(dtype))
    assert check.passed
    assert (check.forward_error is None) == (dtype is np.float32)
    check = w2v.check_gradients(loss, off, *pytree(dtype))
    assert not check.passed
    assert check.worst == "a[2, 1]"
    if dtype is np.float64:  # an error of 1e-5 is within float32's tolerance
        assert w2v.check_gradients(loss, subtly_off, *pytree(dtype)).worst == "a[2, 1]"
        assert not w2v.check_gradients(loss, subtly_off, *pytree(dtype)).passed
    assert not w2v.check_gradients(loss, wrong_loss, *pytree(dtype)).passed
    assert not w2v.check_gradients(loss, explodes, *pytree(dtype)).finite


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scales": ()}, "Begin with 1"),
        ({"scales": (2.0, 1.0)}, "Begin with 1"),
        ({"samples": -1}, "samples=-1"),
        ({"tolerance": 0}, "tolerance of 0"),
        ({"tolerance": {"a": float("nan")}}, "tolerance of nan"),
        ({"tolerance": {"c": 1e-3}}, "no 'c'. Use one of: a, b"),
        ({"also": ("vmpa",)}, "no 'vmpa'"),
        ({"terms": {"a": 1.0}}, "no number for b"),
        *(
            ({"scales": scales}, "scales=")
            for scales in (1.0, None, "1", iter([1]), [[1]], (1, 1j))
        ),
        *(({"scales": (1.0, bad)}, "Begin with 1") for bad in (np.nan, np.inf)),
        *(({"tolerance": bad}, "tolerance") for bad in ("1e-3", [1.0], np.ones(2), {"a": 1j})),
        *(({"terms": bad}, "terms") for bad in ("a", {"a": 1.0, "b": "x"}, {"a": 1.0, "b": 1j})),
        *(({"loss_terms": bad}, "loss_terms") for bad in ("q", [1.0, 2.0], 1j, None)),
        *(({"also": names}, "no 3") for names in ([3, "x"], (3,), 3)),
        *(({"allow_zero": names}, "no 'B'") for names in ("B", ["a", "B"], {"B"})),
    ],
)
def test_an_option_that_would_be_ignored_or_cannot_work_is_refused(options: Any, says: str) -> None:
    with pytest.raises(w2v.errors.SettingError, match=says):
        w2v.check_gradients(loss, right, *pytree(np.float64), **{"also": (), **options})


def test_terms_may_be_any_numbers() -> None:
    for terms in (1, np.float32(1), np.int64(1), {"a": 1, "b": 2.0}):
        assert w2v.check_gradients(loss, right, *pytree(np.float64), also=(), terms=terms).passed


@pytest.mark.parametrize(("loss", "backward"), [(3, jnp.sum), (jnp.sum, 3), (None, None), ("x", 1)])
def test_what_is_no_function_is_refused(loss: Any, backward: Any) -> None:
    with pytest.raises(w2v.errors.SettingError, match=r"(loss|backward)=.* is no function\. Pass"):
        w2v.check_gradients(loss, backward, np.ones(3))


@pytest.mark.parametrize(
    ("function", "rule", "says"),
    [
        (lambda p, x: p["a"] @ x, right, r"array of shape \(4,\)"),
        (loss, jax.grad(loss), "Return .loss, gradient."),
        (loss, lambda p, x: p["a"], "Return .loss, gradient."),
        (loss, lambda p, x: (loss(p, x), {"a": p, "b": p["b"]}), "a tree in the place of a leaf"),
        *((lambda p, x, bad=bad: bad, right, "loss=") for bad in (None, "x", {}, 1j)),
        *((loss, lambda p, x, bad=bad: (bad, right(p, x)[1]), "loss") for bad in (None, 1j)),
        *((lambda p, x, bad=bad: bad, None, "no real numbers") for bad in (None, 3, ())),
        (lambda p, x: 1j, None, "complex numbers. Return their real"),
        (loss, lambda p, x: (loss(p, x), jax.tree.map(np.asarray, p)), "Write it with jax.numpy"),
    ],
)
def test_a_function_that_returns_something_else_is_told_so(
    function: Any, rule: Any, says: str
) -> None:
    with pytest.raises(w2v.errors.SettingError, match=says):
        w2v.check_gradients(function, rule, *pytree(np.float64), also=())


def squares(w: Any) -> Any:
    return (w**2).sum()


@pytest.mark.parametrize(
    ("gradient", "says"),
    [
        (lambda w: jax.lax.complex(2 * w, 5 * w), "its type is complex128"),
        (lambda w: jax.lax.complex(2 * w, 0 * w), "its type is complex128"),
        (lambda w: Rows(jnp.arange(3), (2 * w)[:, :1]), r"values \(3, 1\)"),
        (lambda w: Rows(jnp.arange(3), (2 * w)[0]), r"values \(2,\)"),
        (lambda w: Rows(jnp.arange(3), jnp.float64(2.0)), r"values \(\)"),
        (lambda w: Rows(jnp.arange(3)[:, None], 2 * w), r"ids \(3, 1\)"),
        (lambda w: Rows(jnp.arange(2), 2 * w), r"ids \(2,\) and values \(3, 2\)"),
        (lambda w: Rows(jnp.ones(3, bool), 2 * w), "bool ids"),
        (lambda w: Rows(jnp.arange(3.0), 2 * w), "float64 ids"),
        (lambda w: Rows(jnp.arange(3), jax.lax.complex(0 * w, w)), "its type is complex128"),
        (lambda w: Rows(jnp.arange(3), 2 * w.astype(complex)), "its type is complex128"),
        *(
            (lambda w, of=of, dtype=dtype: of((2 * w).astype(dtype)), f"is {dtype}")
            for of in (lambda w: w, lambda w: Rows(jnp.arange(3), w))
            for dtype in ("bool", "int32", "uint8")
        ),
    ],
)
def test_a_gradient_that_numpy_would_make_fit_is_refused(gradient: Any, says: str) -> None:
    with pytest.raises(w2v.errors.SettingError, match=says):
        w2v.check_gradients(squares, lambda w: (squares(w), gradient(w)), np.ones((3, 2)))


def test_rows_of_a_number_are_refused_and_keys_agree_with_themselves() -> None:
    with pytest.raises(w2v.errors.SettingError, match=r"as ids \[N\], and values \[N\]"):
        w2v.check_gradients(
            lambda w: w**2,
            lambda w: (w**2, Rows(jnp.zeros(1, int), (2 * w)[None])),
            np.float64(3.0),
        )
    params = {"w": np.ones((3, 2)), "key": jax.random.key(0)}
    check = w2v.check_gradients(
        lambda p: squares(p["w"]), lambda p: (squares(p["w"]), {**p, "w": 2 * p["w"]}), params
    )
    assert check.passed, check.sentence


@pytest.mark.parametrize(
    "gradient",
    [
        jnp.ones((1, 2)),
        jnp.ones((3, 1)),
        jnp.ones(2),
        Rows(jnp.arange(3), jnp.ones((3, 1))),
        Rows(jnp.arange(3), jnp.ones(2)),
        Rows(jnp.arange(2), jnp.ones((1, 2))),
        Rows(jnp.arange(2), jnp.ones((3, 2))),
    ],
    ids=lambda gradient: str(jax.tree.map(jnp.shape, gradient)),
)
def test_a_gradient_of_another_shape_is_not_spread_over_a_table(gradient: Any) -> None:
    with pytest.raises(w2v.errors.SettingError, match="cannot be added"):
        to_dense(gradient, jnp.zeros((3, 2)))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_a_leaf_without_entries_agrees(shape: tuple[int, ...]) -> None:
    def value(params: Any) -> Any:
        return jnp.sum(params["a"] ** 2) + jnp.sum(params["none"])

    params = {"a": np.ones(2), "none": np.zeros(shape)}
    check = w2v.check_gradients(value, jax.value_and_grad(value), params)
    assert check.passed, check.sentence


def test_the_rule_of_a_custom_vjp_is_not_its_own_reference() -> None:
    """jax.grad would only repeat the rule. The reference is the gradient of the forward."""

    @jax.custom_vjp
    def decorated(params: Any, x: Any) -> Any:
        return loss(params, x)

    decorated.defvjp(lambda p, x: (loss(p, x), (p, x)), lambda saved, d: (off(*saved)[1], None))
    check = w2v.check_gradients(decorated, off, *pytree(np.float64), samples=13, also=())
    assert check.sentence == "b agrees; a differs in one entry, [2, 1]."
    assert check.difference_error is not None
    assert check.difference_error > 1e-6
    assert w2v.check_gradients(decorated, right, *pytree(np.float64), also=()).passed


@pytest.mark.slow
def test_command_passes_and_prints_one_record_for_each_case(cli: Callable[..., Any]) -> None:
    done = cli(
        "gradcheck",
        "--objective",
        "chunked_softmax",
        "--dtype",
        "float32",
        "--kind",
        "ordinary",
        "--json",
        "-",
    )
    assert done.code == 0, done.err
    records = json.loads(done.out)
    for record in records:  # a softmax over one word is 1, and its gradient vanishes
        seen = record["leaves"][0]["exercise"]
        touched = 0 if record["size"] == "V=1" else seen["touched"]
        assert seen["tested"] == touched
        assert (touched > 0) == (record["size"] != "V=1")
    assert len(records) == sum(
        applies(window, size, "ordinary") for window, size in product(WINDOWS, SIZES)
    )
    assert all(
        record["passed"] and record["error"] <= record["tolerance"] == 1e-5 for record in records
    )
    beside = [record for record in records if record["bounded"] is not None]
    assert [(record["window"], record["size"]) for record in beside] == [("blocks", MAIN_SIZE)]
    assert 0 < beside[0]["bounded"]["error"] <= 1e-5


def broken() -> w2v.Objective:
    """A softmax whose output gradient is a thousandth too large."""
    whole = w2v.softmax()

    def backward(*inputs: Any) -> Any:
        d_hidden, d_output = whole.backward(*inputs)
        return d_hidden, d_output * jnp.asarray(1.001, d_output.dtype)

    return whole._replace(backward=backward)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def made(:", "SyntaxError"),
        ("made = lambda: 1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def made(): raise SystemExit('closed')", "SystemExit: closed"),
        ("assert False, 'not here'", "AssertionError: not here"),
        ("made = lambda: {}['x']", "KeyError: 'x'"),
        ("made = lambda: made()", "RecursionError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("other = 1", "AttributeError"),
    ],
)
def test_whatever_a_module_raises_is_told(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path.name  # no two tests import one module
    (tmp_path / f"{name}.py").write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(w2v.errors.SettingError, match=f"{name}:made.*cannot be loaded .{says}"):
        battery.find_objectives(f"{name}:made")


@pytest.mark.slow
def test_command_exits_1_and_names_the_element(cli: Callable[..., Any], tmp_path: Path) -> None:
    target = tmp_path / "records.json"
    done = cli(
        "gradcheck",
        "--objective",
        "test_gradcheck:broken",
        "--dtype",
        "float32",
        "--kind",
        "ordinary",
        "--json",
        target,
    )
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert "input agrees; output is 0.1 % too large in every row (" in line
    assert "checks passed" in done.out
    assert {record["passed"] for record in json.loads(target.read_text())} == {False, True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "sofmax"], "sofmax"),
        (["--objective", "no.such:thing"], "no.such"),
        (["--objective", "w2vjax.types:Params"], "Params"),
        (["--kind", "easy"], "easy"),
    ],
)
def test_command_refuses_what_does_not_exist(
    cli: Callable[..., Any], arguments: list[str], message: str
) -> None:
    done = cli("gradcheck", *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_audit(cli: Callable[..., Any]) -> None:
    done = cli("gradcheck", "--objective", "negative_sampling", "--audit", "--json", "-")
    assert done.code == 0
    drifts = json.loads(done.out)
    assert {drift["dtype"] for drift in drifts} == {"float64", "float32", "bfloat16"}
    assert all(
        d["gradient"] <= {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2}[d["dtype"]]
        for d in drifts
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gradient_of_another_shape_or_of_no_row_fails_and_says_so(dtype: Any) -> None:
    params = {"table": np.ones((3, 2), dtype)}

    def loss(params: Any) -> Any:
        return (params["table"] ** 2).sum()

    def narrow(params: Any) -> Any:
        return loss(params), {"table": 2 * params["table"][:2]}

    def past_the_end(row: int) -> Any:
        return lambda params: (
            loss(params),
            {"table": Rows(jnp.asarray([0, 1, row]), 2 * params["table"])},
        )

    shape = w2v.check_gradients(loss, narrow, params)
    assert not shape.passed
    assert "shape (2, 2) where (3, 2)" in shape.worst
    assert w2v.check_gradients(loss, past_the_end(2), params).passed
    for row in (-1, 3):
        assert not w2v.check_gradients(loss, past_the_end(row), params).passed, row


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dtype"], "--dtype"),
        (["--objective", "softmax", "--dtype"], "--dtype"),
        (["--objective", "reference", "--dtype"], "--dtype"),
        (["--objective", "softmax", "--kind"], "--kind"),
        (["--objective", "softmax", "--audit", "--dtype"], "--dtype"),
        (["--objective", "reference", "--audit"], "--audit"),
        (["--objective", "softmax", "--audit", "--kind", "empty"], "--kind"),
    ],
)
def test_a_command_that_would_check_nothing_is_refused(
    cli: Callable[..., Any], arguments: Any, says: str
) -> None:
    done = cli("gradcheck", *arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_a_run_of_no_checks_does_not_pass(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("w2vjax.gradcheck.objectives.check_objectives", lambda *_, **__: iter(()))
    done = cli("gradcheck", "--objective", "chunked_softmax")
    assert done.code == 2
    assert "Nothing is left to check" in done.err


def picky() -> w2v.Objective:
    """A softmax that cannot take a batch of nothing, nor paddings."""
    whole = w2v.softmax()

    def select(draws: Any, tables: Any, words: Any, weights: Any) -> Any:
        if not words.shape[0]:
            raise ValueError("a batch of nothing\nhas no words")
        return whole.select(draws, tables, words, weights)

    return whole._replace(select=select)


def fails_at_once() -> w2v.Objective:
    """Raises where the tables are made."""

    def init(counts: Any) -> Any:
        raise w2v.errors.SettingError("These counts cannot work.")

    return w2v.softmax()._replace(init=init)


@pytest.mark.parametrize(
    ("name", "kinds", "failed", "says"),
    [
        ("picky", ["ordinary", "empty"], {"empty"}, "ValueError: a batch of nothing"),
        ("fails_at_once", ["ordinary"], {"ordinary"}, "SettingError: These counts cannot work."),
    ],
)
def test_an_objective_that_raises_has_failed_checks_with_its_words(
    cli: Callable[..., Any],
    tmp_path: Path,
    name: str,
    kinds: list[str],
    failed: set[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        command.forms,
        "check_objectives",
        partial(check_objectives, windows=["pairs"], sizes=[MAIN_SIZE]),
    )
    target = tmp_path / "records.json"
    done = cli(
        "gradcheck",
        "--objective",
        f"test_gradcheck:{name}",
        "--dtype",
        "float32",
        "--kind",
        *kinds,
        "--json",
        target,
    )
    assert done.code == 1
    assert f"FAILED test_gradcheck:{name}, " in done.out
    assert says in done.out
    assert "Traceback" not in done.err + done.out
    records = json.loads(
        target.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert {record["kind"] for record in records if not record["passed"]} == failed
    for record in records:
        assert record["raised"] == (None if record["passed"] else says)
        if not record["passed"]:
            assert record["sentence"] == f"it raised {says}."
            assert (
                record["error"]
                is record["repeatable"]
                is record["finite"]
                is record["loss_error"]
                is None
            )


def test_an_audit_of_an_objective_that_raises_is_a_failed_row_with_its_words(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    target = tmp_path / "drifts.json"
    done = cli(
        "gradcheck",
        "--objective",
        "test_gradcheck:fails_at_once",
        "--audit",
        "--dtype",
        "float32",
        "--json",
        target,
    )
    assert done.code == 1
    said = "SettingError: These counts cannot work."
    assert f"FAILED test_gradcheck:fails_at_once, pairs, float32: raised {said}" in done.out
    assert "Traceback" not in done.err + done.out
    drifts = json.loads(
        target.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert [drift["window"] for drift in drifts] == list(WINDOWS)
    assert all(drift["raised"] == said and drift["gradient"] is None for drift in drifts)


def test_train_and_gradcheck_speak_of_the_same_objectives() -> None:
    assert set(battery.FORMS) >= {objective for _, objective in METHODS}
    for name, forms in battery.FORMS.items():
        assert battery.find_objectives(name) == forms
        assert {(one.model, one.name) for one in battery.find_shipped(name)} == {
            pair for pair in METHODS if pair[1] == name
        }
    for name, form in battery.OBJECTIVES.items():
        assert form in battery.find_objectives(name).values()
    assert (
        battery.find_shipped("negative_sampling")
        == battery.find_shipped("test_gradcheck:picky")
        == []
    )
    assert battery.find_shipped("all") == list(battery.shipped())


def negatives_drawn(objective: w2v.Objective, tables: Any) -> Any:
    return getattr(objective.draw(jax.random.key(0), tables, (12,)), "shape", None)


@pytest.mark.parametrize(
    "words", [0, 1000, SHORT_TEXT - 1, SHORT_TEXT, MANY_WORDS - 1, MANY_WORDS, 10 * MANY_WORDS]
)
@pytest.mark.parametrize("pair", list(METHODS))
def test_what_train_uses_for_a_text_is_among_what_is_checked(
    pair: tuple[str, str], words: int
) -> None:
    chosen = method(*pair, words)
    objective = make_objective(pair[1], words=words, model=pair[0])
    tables = objective.init(np.arange(1, 50))
    assert any(
        (one.model, one.name) == pair
        and one.windows is chosen.windows
        and negatives_drawn(one.objective, tables) == negatives_drawn(objective, tables)
        for one in battery.shipped()
    )


def test_what_ships_is_checked_with_its_own_parameters() -> None:
    """48 or 32 negatives, 60 for 15 a positive; a third of a tree to spare; 4096 words a time."""
    mass, drawn = counts(SHIPPED_SIZES["4500 x 3, 12 blocks"]), set()
    for one in battery.shipped():
        tables = one.objective.init(mass)
        if one.name == "negative":
            drawn.add((one.model, one.text, negatives_drawn(one.objective, tables)))
        elif one.name == "hierarchical":
            for mine, wanted in zip(tables, huffman_tree(mass, 1 / 3), strict=True):
                np.testing.assert_array_equal(mine, wanted)
        else:
            assert one.objective.backward.keywords == {"chunk": 4096}
    assert drawn == {
        ("skip-gram", "short text", (4, 48)),
        ("skip-gram", "long text", (3, 32)),
        ("skip-gram", "15 negatives", (4, 60)),
        ("cbow", "short text", (4, 48)),
        ("cbow", "middling text", (4, 48)),
        ("cbow", "long text", (3, 32)),
    }


def in_the_default_run(one: Any) -> bool:
    """Negatives on the window of skip-gram, and the tree on that of CBOW."""
    if one.model == "skip-gram":
        return (one.name, one.text) == ("negative", "long text")
    return one.name == "hierarchical"


QUICK_SHIPPED = [
    pytest.param(one, marks=[] if in_the_default_run(one) else pytest.mark.slow)
    for one in battery.shipped()
]


@pytest.mark.parametrize("shipped", QUICK_SHIPPED, ids=lambda one: f"{one.name}, {one.window}")
def test_what_ships_is_proven(shipped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under jit, as it trains. A softmax divides the words of the large size into chunks.

    The slow test below checks all sizes, also without jit.
    """
    small, large = SHIPPED_SIZES
    sizes = [large if shipped.name == "softmax" else small]
    monkeypatch.setattr(battery, "EAGER_KINDS", ())
    monkeypatch.setattr(battery, "SHIPPED_SIZES", {size: SHIPPED_SIZES[size] for size in sizes})
    kinds = ("ordinary", "two words", "half padded")
    records = list(check_shipped([shipped], kinds, ["float64"]))
    assert {(record.size, record.kind) for record in records} == set(product(sizes, kinds))
    assert [record for record in records if not record.passed] == []
    assert all(record.bounded is not None and record.bounded.error <= 1e-12 for record in records)


THIRTY = battery.shipped()[-1]._replace(
    text="30 negatives", objective=make_objective("negative", negatives=30)
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shipped", [*battery.shipped(), THIRTY], ids=lambda one: f"{one.name}, {one.window}"
)
def test_what_ships_is_proven_on_every_kind_and_dtype(shipped: Any) -> None:
    records = list(check_shipped([shipped]))
    assert len(records) == len(SHIPPED_SIZES) * len(KINDS) * len(battery.DTYPES)
    assert [record for record in records if not record.passed] == []


def twice_beside_bounds() -> w2v.Objective:
    """A softmax whose gradient is right, and twice as large beside bounds."""
    whole = w2v.softmax()

    def bounded(backward: Any, *inputs: Any) -> Any:
        d_hidden, d_output, *bounds = whole.bounded(backward, *inputs)
        return d_hidden, d_output + d_output, *bounds

    return whole._replace(bounded=bounded)


def test_the_command_fails_for_a_gradient_that_is_wrong_beside_bounds(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        command.forms,
        "check_objectives",
        partial(check_objectives, windows=["blocks"], sizes=["V=2, D=1", MAIN_SIZE]),
    )
    done = cli(
        "gradcheck",
        "--objective",
        "test_gradcheck:twice_beside_bounds",
        "--dtype",
        "float32",
        "--kind",
        "ordinary",
    )
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert "1 of 2 checks. beside bounds: input agrees; output is 2.0 times too large in " in line
    assert "the first: blocks, 60 x 10, 330 pairs, ordinary, float32)" in line


@pytest.mark.slow
def test_the_independent_check_of_the_reference_reports_what_it_has_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def independent() -> Any:
        return list(check_reference(sizes=(), kinds=()))

    (record,) = independent()
    assert record.check.passed
    assert record.check.worst  # of a comparison that was made
    calls = itertools.count()
    backward = w2v.reference.backward

    def differs(*inputs: Any) -> Any:
        value, gradient = backward(*inputs)
        return value, {**gradient, "w1": gradient["w1"] * (1 + 1e-9)}

    monkeypatch.setattr(w2v.reference, "backward", differs)
    (record,) = independent()
    assert record.check.error == pytest.approx(1e-9, rel=0.1)
    assert not record.check.passed
    monkeypatch.setattr(
        w2v.reference, "backward", lambda *inputs: (next(calls), backward(*inputs)[1])
    )
    (record,) = independent()
    assert not record.check.passed


def test_the_verdict_names_a_check_of_the_dtype_that_it_counts():
    def record(number: int, dtype: str, sentence: str) -> SimpleNamespace:
        check = SimpleNamespace(dtype=dtype, sentence=sentence, passed=False)
        place = {"window": "pairs", "size": "60 x 10", "kind": str(number)}
        return SimpleNamespace(passed=False, check=check, bounded=None, **place)

    said = [("float64", "a."), ("float32", "b."), ("float64", "b."), ("float64", "b.")]
    records = [record(number, *each) for number, each in enumerate(said)]
    assert verdict("mine", records) == (  # type: ignore[arg-type]
        "FAILED mine, 4 of 4 checks. b (2 of 3 in float64; the first: pairs, 60 x 10, 2, float64)."
    )
