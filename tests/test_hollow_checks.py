"""Checks that prove nothing are refused, and a report says how a gradient differs."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import OBJECTIVES
from marks import slow

import w2vjax as w2v
from w2vjax.custom_rules import without_rules
from w2vjax.gradcheck import assert_gradients, check_gradients
from w2vjax.gradcheck import objectives as battery
from w2vjax.gradcheck.cases import make_case
from w2vjax.gradcheck.patterns import looks_like

README = Path(__file__).resolve().parent.parent / "README.md"
quick = partial(check_gradients, also=())
normal = np.random.default_rng(0).normal


def square(w: Any) -> Any:
    return (w**2).sum()


def weighted(w: Any, x: Any, weights: Any) -> Any:
    return (weights * jax.nn.relu(x @ w)).sum()


def weighted_right(w: Any, x: Any, weights: Any) -> Any:
    return weighted(w, x, weights), x.T @ jnp.where(x @ w > 0, weights, 0.0)


def weighted_linear(w: Any, x: Any, weights: Any) -> Any:
    """Wrong: the relu is forgotten."""
    return weighted(w, x, weights), x.T @ weights


def clip(w: Any) -> Any:
    """Wrong beyond 6, which no entry of the params reaches."""
    return jax.nn.softplus(w).sum(), jnp.where(jnp.abs(w) > 6, 0.0, jax.nn.sigmoid(w))


def two(params: Any) -> Any:
    return square(params["a"] * params["b"].sum())


def dead(params: Any, x: Any) -> Any:
    return (jax.nn.relu(x @ params["w1"]) @ params["w2"]).sum()


def times_17_at_2(gradient: Any) -> Any:
    w1, w2 = gradient["w1"], gradient["w2"]
    return {"w1": w1.at[:, 2].multiply(-17.0), "w2": w2.at[2].multiply(-17.0)}


def product(params: Any) -> Any:
    return square(params["a"] @ params["b"])


def cubes(params: Any) -> Any:
    return square(params["a"] * params["b"])


M17 = np.asarray([[1.0, -17.0, 1.0]])
X = np.abs(normal(size=(4, 3)))
# A wrong backward for each way of being hollow: at these params it equals the right gradient.
HOLLOW: dict[str, tuple[Any, Any, tuple[Any, ...], str]] = {
    "all params zero": (square, lambda w: (square(w), 5 * w), (np.zeros(3),), "3 of 3"),
    "one row zero": (
        square,
        lambda w: (square(w), jnp.where(w == 0, 1e-300 * w, 2 * w)),
        (np.asarray([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]),),
        "1 of 3",
    ),
    "a leaf zero through another": (
        two,
        lambda p: (two(p), {"a": 0 * p["a"], "b": 0 * p["b"]}),
        ({"a": normal(size=3), "b": np.zeros(2)},),
        "a in 3 of 3",
    ),
    "all weights zero": (
        weighted,
        weighted_linear,
        (normal(size=3), X, np.zeros(4)),
        "params in 3 of 3",
    ),
    "an example that is switched off": (
        weighted,
        lambda w, x, k: (weighted(w, x, k), x[:3].T @ jnp.where(x @ w > 0, k, 0.0)[:3]),
        (np.ones(3), np.concatenate([X[:3], [[-1.0, 1.0, -0.1]]]), np.ones(4)),
        "batch.0 in 1 of 4",
    ),
    "a dead unit": (
        dead,
        lambda p, x: (dead(p, x), times_17_at_2(jax.grad(dead)(p, x))),
        (
            {"w1": np.abs(normal(size=(3, 4))) * [1, 1, -1, 1], "w2": normal(size=(4, 1))},
            np.abs(normal(size=(6, 3))),
        ),
        "w1 in 1 of 4 columns (at 2); not exercised: w2 in 1 of 4 rows (at 2)",
    ),
    "a dead unit of one input and one example": (
        dead,
        lambda p, x: (dead(p, x), times_17_at_2(jax.grad(dead)(p, x))),
        ({"w1": np.asarray([[1.0, 0.5, -2.0]]), "w2": np.ones((3, 1))}, np.ones((1, 1))),
        "w1 in 1 of 3 columns (at 2); not exercised: w2 in 1 of 3 rows (at 2)",
    ),
    "a dead unit behind a bias": (
        lambda w: (jax.nn.relu(w - 5.0) ** 2).sum(),
        lambda w: ((jax.nn.relu(w - 5.0) ** 2).sum(), jnp.where(w < 5, 0.0, 2 * w - 10)),
        (np.asarray([0.3, 9.0, 0.2]),),
        "2 of 3 rows (at 0, 2)",
    ),
    "a column that another leaf hides": (
        product,
        lambda p: (product(p), {**jax.grad(product)(p), "a": jax.grad(product)(p)["a"] * M17}),
        ({"a": normal(size=(4, 3)), "b": normal(size=(3, 2)) * [[1.0], [0.0], [1.0]]},),
        "a in 1 of 3 columns (at 1)",
    ),
    "a place of a third axis": (
        cubes,
        lambda p: (cubes(p), {**jax.grad(cubes)(p), "a": jax.grad(cubes)(p)["a"] * M17[None]}),
        ({"a": normal(size=(2, 2, 3)), "b": np.asarray([[[1.0, 0.0, 2.0]]])},),
        "a in 1 of 3 places of axis 2 (at 1)",
    ),
    "scores that are too small": (
        lambda w: jax.nn.softplus(w).sum(),
        clip,
        (normal(size=3) + 3,),
        "at 4",
    ),
}


@pytest.mark.parametrize("name", HOLLOW)
def test_a_hollow_check_fails_and_says_where(name: str) -> None:
    loss, wrong, inputs, where = HOLLOW[name]
    check = check_gradients(loss, wrong, *inputs, also=("examples",))
    assert not check.passed
    assert where in check.sentence


def test_the_caller_can_allow_a_gradient_of_zero() -> None:
    right = lambda w: (square(w), 2 * w)  # noqa: E731
    start = np.zeros(3)
    assert quick(square, right, start).untested == ("params in 3 of 3 rows",)
    assert quick(square, right, start, allow_zero=True).passed
    assert quick(square, right, start, allow_zero=["params"]).passed
    assert quick(square, right, start, allow_zero="params").passed
    for other in (["other"], "other params"):
        with pytest.raises(w2v.errors.SettingError, match=r"no 'other.*Use one of: params"):
            quick(square, right, start, allow_zero=other)
    # rows that the loss never reads need no permission, a table that is never read does
    table = normal(size=(5, 2))
    assert quick(lambda w: square(w[:2]), jax.value_and_grad(lambda w: square(w[:2])), table).passed
    unread = quick(lambda w: jnp.sum(0.0 * w), lambda w: (jnp.sum(0.0 * w), 0 * w), table)
    assert unread.untested == ("params in 5 of 5 rows",)
    half = quick(lambda w: (jax.nn.relu(w) ** 2).sum(), None, np.array([1.0, *[-1] * 6]))
    assert half.untested == ("argument 0 in 6 of 7 rows (at 1, 2, 3, ...)",)


def readme_names(section: str, names: dict[str, Any]) -> dict[str, Any]:
    """The names that the Python block of a section of the README leaves."""
    text = README.read_text().partition(f"## {section}\n")[2]
    block = re.search(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    head = block[1].partition("\nfor name, gradient in ")[0].partition("\nprint(")[0]
    exec(compile(head, "README.md", "exec"), names)
    return names


def planted() -> dict[str, Any]:
    """Wrong gradients of the README's hinge, each a change of its handwritten one."""
    names = readme_names("Verify a gradient", {"w2v": w2v, "__name__": "__page__"})
    names = readme_names("Add an objective", names)
    hinge, params = names["hinge"], names["params"]

    def error(rule: Any) -> Any:
        def wrong(hidden: Any, output: Any, targets: Any) -> Any:
            sides = 2 * targets.labels - 1
            scores = names["score"](hidden, output, targets.ids)
            found = rule(targets.weights, sides, sides * scores, scores)
            return names["score_backward"](found.astype(hidden.dtype), hidden, output, targets.ids)

        return partial(w2v.backward, hinge._replace(backward=wrong))

    def after(change: Any) -> Any:
        def wrong(*inputs: Any) -> Any:
            value, gradient = names["backward"](*inputs)
            return value, w2v.Params(*change(gradient))

        return wrong

    def put(rows: Any) -> Any:
        return jnp.zeros(params.input.shape, rows.values.dtype).at[rows.ids].set(rows.values)

    wrong = {
        "margin forgotten": error(lambda w, side, margin, s: -w * side),
        "17 times the other way": error(lambda w, side, margin, s: 17 * w * side * (margin < 1)),
        "squared hinge": error(lambda w, side, margin, s: -w * side * jax.nn.relu(1 - margin)),
        "weights forgotten": error(lambda w, side, margin, s: -side * (margin < 1)),
        "sides forgotten": error(lambda w, side, margin, s: -w * (margin < 1)),
        "clipped at 6": error(
            lambda w, side, margin, s: -w * side * (margin < 1) * (jnp.abs(s) < 6)
        ),
        "input forgotten": after(lambda g: (g.input._replace(values=0 * g.input.values), g.output)),
        "output forgotten": after(
            lambda g: (g.input, g.output._replace(values=0 * g.output.values))
        ),
        "tables swapped": after(lambda g: (g.output, g.input)),
        "input set, not added": after(lambda g: (put(g.input), g.output)),
        "output set, not added": after(lambda g: (g.input, put(g.output))),
        "last pair lost": after(
            lambda g: (g.input._replace(values=g.input.values.at[-1].set(0)), g.output)
        ),
    }
    return names | {"wrong": wrong}


def test_the_readme_accepts_none_of_twelve_planted_gradients(standard_promotion: None) -> None:
    names = planted()
    inputs = names["params"], names["batch"], names["targets"]
    assert len(names["wrong"]) == 12
    accepted = [
        n for n, wrong in names["wrong"].items() if quick(names["loss"], wrong, *inputs).passed
    ]
    assert accepted == []
    assert quick(names["loss"], names["backward"], *inputs).passed


W = normal(size=(4, 4))
PARTS = [np.zeros((4, 4)) for _ in range(6)]
for row, part in zip([0, 1, 2, 3, 0, 1], PARTS, strict=True):
    part[row] = normal(size=4)
WHOLE = np.sum(PARTS, axis=0)
LAST = WHOLE.copy()
LAST[:2] = PARTS[4][:2] + PARTS[5][:2]
BUT_ROW_2 = np.asarray([1.0, 1.0, 1.001, 1.0])[:, None]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (2 * WHOLE, "is 2.0 times too large in every row"),
        (0.5 * WHOLE, "is 2.0 times too small in every row"),
        (1.001 * WHOLE, "is 0.1 % too large in every row"),
        (-WHOLE, "has the wrong sign in every row"),
        (-3 * WHOLE, "has the wrong sign and is 3.0 times as large in every row"),
        (0 * WHOLE, "is zero everywhere"),
        (WHOLE.T, "is transposed"),
        (WHOLE[:, :3], "has the shape (4, 3) where (4, 4) is expected"),
        (WHOLE * np.nan, "is not finite in 16 of 16 entries"),
        (W, "is the gradient of other"),
        (np.roll(WHOLE, 1, 0), "has its rows shifted by 1"),
        (WHOLE - PARTS[2], "lacks example 2"),
        (WHOLE - PARTS[1] - PARTS[4], "lacks examples 1 and 4"),
        (WHOLE + PARTS[3], "counts twice example 3"),
        (LAST, "counts only the last of several examples in rows 0 and 1"),
        (BUT_ROW_2 * WHOLE, "is 0.1 % too large in row 2"),
        (WHOLE + normal(size=(4, 4)), "differs in every row"),
    ],
)
def test_a_difference_is_named(found: Any, words: str) -> None:
    with np.errstate(all="ignore"):
        assert looks_like(found, WHOLE, {"other": W}, PARTS) == words


def test_a_transposed_gradient_of_another_shape_is_named() -> None:
    assert looks_like(X.T, X).startswith("is transposed: it has the shape (3, 4)")


def test_parts_of_a_batch_explain_a_failure() -> None:
    inputs = normal(size=3), np.abs(normal(size=(8, 3))), np.ones(8)

    def lost(w: Any, x: Any, weights: Any) -> Any:
        return weighted_right(w, x, weights.at[5].set(0))

    params = np.abs(inputs[0])
    check = quick(weighted, lost, params, *inputs[1:])
    assert "params lacks example 5" in check.sentence
    assert "the loss is off by" in check.sentence


def test_any_pytree_with_integers_and_keys_under_jit_and_vmap() -> None:
    def loss(params: Any, key: Any, scale: int) -> Any:
        noise = jax.random.normal(key, params["table"].shape, params["table"].dtype)
        return scale * (params["table"] * noise)[params["ids"]].sum() * params["layers"][0]

    def rule(params: Any, key: Any, scale: int) -> Any:
        table, size = params["table"], params["layers"][0]
        noise = jax.random.normal(key, table.shape, table.dtype)
        rows = scale * size * noise[params["ids"]]
        by_size = scale * (table * noise)[params["ids"]].sum()
        gradient = {"table": w2v.Rows(params["ids"], rows), "ids": None, "layers": (by_size,)}
        return loss(params, key, scale), gradient

    params = {"table": normal(size=(4, 2)), "ids": np.asarray([0, 2, 2]), "layers": (1.5,)}
    check = check_gradients(loss, rule, params, jax.random.key(0), 3)
    assert check.passed, check.report
    assert check.vmap_error is not None
    assert [leaf.exercise[1:5] for leaf in check.leaves] == [(1, 1, 1, 0), (4, 2, 2, 0)]

    def unmapped(w: Any) -> Any:
        shape = jax.ShapeDtypeStruct(w.shape, w.dtype)
        return square(w), jax.pure_callback(lambda x: 2 * x, shape, w)

    check = check_gradients(square, unmapped, normal(size=3), also=("vmap",))
    assert check.vmap_error == np.inf
    assert "cannot run under vmap" in check.sentence


def test_a_gradient_of_another_structure_or_params_without_floats_are_refused() -> None:
    with pytest.raises(w2v.errors.SettingError, match="another structure"):
        quick(two, lambda p: (two(p), (p["a"], p["b"])), {"a": np.ones(2), "b": np.ones(2)})
    with pytest.raises(w2v.errors.SettingError, match="no floats"):
        quick(square, lambda w: (square(w), w), np.arange(3))
    with pytest.raises(w2v.errors.SettingError, match="complex128"):
        quick(square, lambda w: (square(w), w), np.ones(2, complex))


def ruled(factor: float, kind: Any) -> Any:
    """A sine whose own rule is wrong by a factor."""

    @kind
    def sine(x: Any, scale: Any) -> Any:
        return scale * jnp.sin(x)

    if kind is jax.custom_vjp:
        sine.defvjp(
            lambda x, scale: (sine(x, scale), (x, scale)),
            lambda saved, d: (
                factor * d * saved[1] * jnp.cos(saved[0]),
                (d * jnp.sin(saved[0])).sum(),
            ),
        )
    else:
        sine.defjvps(
            lambda t, out, x, scale: factor * t * scale * jnp.cos(x),
            lambda t, out, x, scale: t * jnp.sin(x),
        )
    return sine


@pytest.mark.parametrize("kind", [jax.custom_vjp, *slow(jax.custom_jvp)])
def test_own_rules_are_checked_wherever_they_stand(kind: Any, standard_promotion: None) -> None:
    x, scale = normal(size=3), np.asarray(0.7)
    wrong, right = ruled(3.0, kind), ruled(1.0, kind)
    places: list[Any] = [
        lambda f: f,
        lambda f: lambda x, scale: jax.lax.fori_loop(0, 2, lambda _, y: f(y, scale), x),
        lambda f: lambda x, scale: jax.lax.cond(x[0] > -9, f, lambda x, scale: x, x, scale),
    ]
    for place in places:
        assert quick(place(right), None, x, scale).passed
        assert not quick(place(wrong), None, x, scale).passed
    assert quick(wrong, None, x, scale).sentence == (
        "argument 1 agrees; argument 0 is 3.0 times too large."
    )
    with pytest.raises(AssertionError, match="argument 0 is 3"):
        assert_gradients(wrong, None, x, scale, also=())


SUM: Any = lambda x: (x**2).sum()  # noqa: E731
# What is wrong with a rule: how it uses its cotangent d. name -> function, gradient, what is said
COTANGENTS: dict[str, tuple[Any, Any, str]] = {
    "forgotten": (SUM, lambda x, d: 2 * x, "agrees; the rule is not linear"),
    "squared": (SUM, lambda x, d: 2 * x * d**2, "agrees; the rule is not linear"),
    "its size alone": (SUM, lambda x, d: 2 * x * abs(d), "agrees; the rule is not linear"),
    "cut at 1": (jnp.sin, lambda x, d: jnp.cos(x) * jnp.clip(d, -1, 1), "not linear"),
    "cut at 20": (jnp.sin, lambda x, d: jnp.cos(x) * jnp.clip(d, -20, 20), "not linear"),
    "small ones lost": (jnp.exp, lambda x, d: jnp.exp(x) * jnp.where(abs(d) < 0.1, 0, d), "not li"),
    "one for all": (jnp.tan, lambda x, d: d[0] / jnp.cos(x) ** 2, "differs"),
    "added to": (jnp.sin, lambda x, d: jnp.cos(x) * (d + 1e-3), "not linear"),
}


@pytest.mark.parametrize("dtype", ["float64", *slow("float32", "bfloat16")])
@pytest.mark.parametrize("name", COTANGENTS)
def test_a_rule_has_to_use_its_cotangent(name: str, dtype: str, standard_promotion: None) -> None:
    function, gradient, said = COTANGENTS[name]
    x = jnp.asarray([0.3, -0.7, 1.1], dtype) if dtype != "float64" else np.asarray([0.3, -0.7, 1.1])

    def with_rule(rule: Any) -> Any:
        ruled = jax.custom_vjp(lambda x: function(x))
        ruled.defvjp(lambda x: (function(x), x), lambda x, d: (rule(x, d).astype(x.dtype),))
        return ruled

    check = quick(with_rule(gradient), None, x)
    if (name, dtype) != ("added to", "bfloat16"):  # 1e-3 is no error there
        assert not check.passed
    assert check.passed or dtype == "bfloat16" or said in check.sentence
    assert quick(with_rule(lambda x, d: jax.vjp(function, x)[1](d)[0]), None, x).passed


def test_large_right_gradients_are_no_false_alarm(standard_promotion: None) -> None:
    """In float16 a larger cotangent overflows, and float32 ends at 3e38."""
    losses: list[tuple[Any, str]] = [
        (lambda x: (x * 3000).sum(), "float16"),
        (lambda x: (x * x).sum() + 50000, "float16"),
        (lambda x: (x * 1e39).sum(), "float64"),
        (lambda x: (x * 1e-30).sum(), "float32"),
    ]
    for loss, dtype in losses:
        check = quick(loss, None, np.asarray([0.3, -0.7, 1.1], dtype), scales=(1,))
        assert check.passed, (dtype, check.sentence)
    ruled = jax.custom_vjp(lambda x: (x**2).sum())  # the numbers shown are those of jax.grad
    ruled.defvjp(lambda x: ((x**2).sum(), x), lambda x, d: (5 * d * x,))
    assert "[0] 5, 2; [1] 5, 2" in quick(ruled, None, np.ones(2)).report


def test_a_package_whose_name_begins_as_that_of_jax_is_not_jax(standard_promotion: None) -> None:
    names = {"jax": jax}
    code = "sine = jax.custom_vjp(lambda x: jax.numpy.sin(x))\n"
    code += "sine.defvjp(lambda x: (jax.numpy.sin(x), x), lambda x, d: (17 * d,))"
    for package in ("jaxopt", "jax_md", "jaxtyping/jax"):
        place = f"{Path(jax.__file__).parent.parent}/{package}/rules.py"
        exec(compile(code, place, "exec"), names)
        check = quick(names["sine"], None, np.ones(3))
        assert "too large" in check.sentence


@pytest.mark.parametrize("function", [jax.nn.relu, jnp.sin, *slow(jax.nn.softplus, jax.nn.silu)])
def test_an_own_rule_of_a_function_of_jax_is_not_its_own_reference(
    function: Any, standard_promotion: None
) -> None:
    x = np.asarray([0.3, 0.7, 1.1])
    by_jvp, by_jvps = jax.custom_jvp(function), jax.custom_jvp(function)
    by_jvp.defjvp(lambda at, t: (function(*at), 17 * t[0]))
    by_jvps.defjvps(lambda t, out, x: 17 * t)
    by_vjp, right = jax.custom_vjp(function), jax.custom_vjp(function)
    by_vjp.defvjp(lambda x: (function(x), x), lambda x, d: (17 * d,))
    right.defvjp(lambda x: (function(x), x), lambda x, d: jax.vjp(function, x)[1](d))
    gradient = jax.custom_gradient(lambda x: (function(x), lambda d: 17 * d))
    for wrong in (by_jvp, by_jvps, by_vjp, gradient):
        assert not quick(wrong, None, x.astype(np.float32)).passed
    assert quick(right, None, x).passed
    assert quick(function, None, x).passed  # JAX's own rule stays


def test_tolerances_follow_the_dtype_of_each_leaf_and_can_be_given(
    standard_promotion: None,
) -> None:
    params = {"a": np.ones(3), "b": np.ones(2, np.float32)}

    def rule(p: Any) -> Any:
        value, gradient = jax.value_and_grad(two)(p)
        return value, {name: leaf * (1 + 1e-7) for name, leaf in gradient.items()}

    check = quick(two, rule, params)
    assert [leaf.tolerance for leaf in check.leaves] == [1e-12, 1e-5]
    assert [leaf.passed for leaf in check.leaves] == [False, True]
    assert quick(two, rule, params, tolerance={"a": 1e-6}).passed
    assert quick(two, rule, params, tolerance=1e-6).passed
    assert "highest" in check.precision
    assert check.precision.startswith("float32 on ")


def test_a_battery_of_zeros_fails(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--objective", "chunked_softmax", "--dtype", "float32", "--kind"]
    monkeypatch.setattr(
        "w2vjax.gradcheck.objectives.check_objectives",
        partial(battery.check_objectives, windows=["blocks"], sizes=[battery.MAIN_SIZE]),
    )
    alone = cli("gradcheck", *arguments, "zero params")
    assert alone.code == 1
    assert "FAILED: the reference is zero everywhere" in alone.out
    real = make_case
    monkeypatch.setattr(battery, "make_case", lambda kind, *rest: real("zero output", *rest))
    hollow = cli("gradcheck", *arguments, "ordinary")
    assert hollow.code == 1
    assert "FAILED chunked_softmax, blocks, float32: the reference is zero in " in hollow.out
    assert "1/1 checks passed" in hollow.out


HINGE = """
import jax
import w2vjax as w2v
from w2vjax.objectives.scores import score, score_backward

def margins(hidden, output, targets):
    return 1 - (2 * targets.labels - 1) * score(hidden, output, targets.ids)

def loss(hidden, output, targets):
    return (targets.weights * jax.nn.relu(margins(hidden, output, targets))).sum(-1)

def backward(hidden, output, targets):
    live = margins(hidden, output, targets) > 0
    error = -targets.weights * (2 * targets.labels - 1)
    return score_backward(jax.numpy.where(live, error, 0), hidden, output, targets.ids)

hinge = w2v.negative_sampling(5)._replace(loss=loss, backward=backward, bounded=None)
always = hinge._replace(backward=lambda h, o, t: score_backward(
    -t.weights * (2 * t.labels - 1), h, o, t.ids))
"""


def test_a_loss_that_is_flat_somewhere_passes_where_that_is_allowed(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "flat.py").write_text(HINGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        "w2vjax.gradcheck.objectives.check_objectives",
        partial(battery.check_objectives, windows=["pairs"], sizes=[battery.MAIN_SIZE]),
    )
    arguments = ["--dtype", "float64", "--kind", "everything equal"]
    told = cli("gradcheck", "--objective", "flat:hinge", *arguments)
    assert told.code == 1
    assert told.out.count("FAILED flat:hinge, pairs, float64: the reference is zero in ") == 1
    assert told.out.rstrip().endswith("; too little is tested")
    share = re.search(r"allow it: --least-tested ([0-9]+)", told.out)
    assert share is not None
    for least, code in ((share[1], 0), (int(share[1]) + 1, 1), ("nan", 1)):
        done = cli("gradcheck", "--objective", "flat:hinge", *arguments, "--least-tested", least)
        assert done.code == code, done.out
    wrong = cli("gradcheck", "--objective", "flat:always", *arguments, "--least-tested", 0)
    assert wrong.code == 1
    assert "FAILED flat:always, 1 of 1 checks." in wrong.out


def shift_changed(factor: float) -> Any:
    """The example's NCE with another shift in the backward than in the loss."""
    whole = OBJECTIVES["nce"]

    def backward(hidden: Any, output: Any, targets: Any) -> Any:
        return whole.backward(hidden, output, targets._replace(shift=factor * targets.shift))

    return whole._replace(backward=backward)


@pytest.mark.slow
def test_mutants_of_the_example_are_caught() -> None:
    """The shift of NCE forgotten, doubled, and with the wrong sign."""
    size = battery.SIZES[battery.MAIN_SIZE]
    for factor, passed in ((1.0, True), (0.0, False), (2.0, False), (-1.0, False)):
        inputs = battery.WINDOWS["pairs"], size, "ordinary", "float64", False, False
        assert battery.check_case(shift_changed(factor), *inputs)[0].passed == passed


def outside(x: Any) -> Any:
    """A loss of NumPy, which JAX can call but not differentiate."""
    total = jax.ShapeDtypeStruct((), x.dtype)
    ask = lambda x: np.asarray(np.sinh(x).sum(), x.dtype)  # noqa: E731
    return jax.pure_callback(ask, total, x, vmap_method="sequential")


def outside_times(rule: Any) -> Any:
    """:func:`outside` of x times a whole number, with a gradient of its own."""

    @jax.custom_vjp
    def times(x: Any, number: Any) -> Any:
        return outside(x * number)

    times.defvjp(lambda x, n: (times(x, n), (x, n)), lambda kept, d: (d * rule(*kept), None))
    return times


def branch(x: Any) -> Any:
    """A loss that looks at the numbers, which ``jit`` refuses."""
    return 3 * x.sum() if x[0] > 0 else x.sum()


@pytest.mark.parametrize(
    ("loss", "backward", "inputs", "said"),
    [
        (outside_times(lambda x, n: n * jnp.cosh(n * x)), None, (X, 2), ""),
        (
            outside_times(lambda x, n: jnp.cosh(n * x)),
            None,
            (X, 2),
            "2.0 times too small in every row",
        ),
        (outside, lambda x: (outside(x), jnp.cosh(x)), (X,), ""),
        (outside, lambda x: (outside(x), jnp.cosh(x)), (X.astype(np.float32),), ""),
        (outside, lambda x: (outside(x), (1 + 1e-5) * jnp.cosh(x)), (X,), "0.001 % too large"),
        (outside, lambda x: (outside(x), jnp.sinh(x)), (X[:1],), "params differs"),
        (branch, lambda x: (3 * x.sum(), jnp.full_like(x, 3)), (X[0],), ""),
        (lambda x: np.tanh(np.asarray(x)).sum(), jax.value_and_grad(jnp.tanh), (X[0, 0],), ""),
    ],
)
def test_differences_are_the_reference_where_jax_has_no_derivative(
    loss: Any, backward: Any, inputs: Any, said: str
) -> None:
    check = check_gradients(loss, backward, *inputs, also=("vmap",), scales=(1,))
    assert check.reference == "central differences"
    assert check.passed is not bool(said), check.report
    assert said in check.sentence
    assert check.report.count("central differences") == 1


def test_what_differences_cannot_answer_is_refused() -> None:
    square = lambda x: (outside(x), 2 * x)  # noqa: E731
    with pytest.raises(w2v.errors.SettingError, match=r"5,000 entries.*give at most 4,096"):
        check_gradients(outside, square, np.ones(5000))
    with pytest.raises(ValueError, match="mismatch in its core"):  # the loss says what is wrong
        check_gradients(lambda x: x @ np.ones(7), square, np.ones(3))


@pytest.mark.parametrize("params", [[1, 1e-14], [1e-20, 1, 3], [[1.0, 2.0], [1e-15, 0.0]]])
def test_a_row_below_the_tolerance_is_not_tested(params: Any) -> None:
    small = np.asarray(params) < 1e-12
    wrong = lambda w: (square(w), jnp.where(small, -17, 2) * w)  # noqa: E731
    assert "not exercised: params in 1 of " in quick(square, wrong, np.asarray(params)).sentence
    assert quick(square, wrong, np.asarray(params), allow_zero=True).passed
    narrow = quick(square, wrong, np.asarray(params, np.float32))
    assert narrow.passed
    assert "too small to judge in float32: params in 1 of " in narrow.sentence
    alike = np.where(small, 1e-10, params)  # above it the error is seen
    assert "wrong sign" in quick(square, wrong, alike).sentence


def test_an_example_whose_influence_is_below_the_tolerance_is_not_tested() -> None:
    def loss(w: Any, x: Any) -> Any:
        return jnp.exp(-x * w.sum()).sum()

    def first_alone(w: Any, x: Any) -> Any:
        slopes = (-x * jnp.exp(-x * w.sum())).at[1:].set(0)
        return loss(w, x), jnp.full_like(w, slopes.sum())

    w = np.ones(3)
    for far in (160.0, 500.0):
        check = check_gradients(loss, first_alone, w, np.asarray([0.5, far]))
        assert check.sentence == "params agrees; not exercised: batch.0 in 1 of 2 rows (at 1)."
        assert check.report.endswith("\nOnly where the loss is flat: allow_zero=['batch.0'].")
    assert not check_gradients(loss, first_alone, w, np.asarray([0.5, 1.0])).passed


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_reference_that_is_not_finite_is_all_that_is_said(dtype: str) -> None:
    for rule in (jax.value_and_grad(lambda w: jnp.sqrt(w).sum()), None):
        said = quick(lambda w: jnp.sqrt(w).sum(), rule, np.arange(3, dtype=dtype)).sentence
        assert "is not finite in 1 of 3 entries; not all is finite; not exercised: " in said
        assert "in 1 of 3 rows" in said
        assert "linear" not in said
        assert "too small" not in said


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 6), *slow((3, 300), (255, 299))])
def test_two_outputs_that_are_exchanged_are_found(one: int, other: int) -> None:
    function = lambda x: [x * (i + 1) for i in range(other + 1)]  # noqa: E731

    def exchanged(x: Any, d: Any) -> Any:
        d[one], d[other] = d[other], d[one]
        return sum((i + 1) * each for i, each in enumerate(d))

    assert not quick(with_rule(function, exchanged), None, np.float64(0.7)).passed


def with_rule(function: Any, rule: Any) -> Any:
    ruled = jax.custom_vjp(function)
    ruled.defvjp(lambda x: (function(x), x), lambda x, d: (rule(x, d),))
    return ruled


SUMS: Any = lambda x: (x.sum(), (x**2).sum())  # noqa: E731


@pytest.mark.parametrize(
    ("function", "rule", "said"),
    [
        (SUMS, lambda x, d: d[1] + 2 * x * d[0], "argument 0"),  # two numbers, exchanged
        (SUMS, lambda x, d: d[0] + 2 * x * d[0], "argument 0"),
        (lambda x: jnp.outer(x, x), lambda x, d: 2 * d @ x, "argument 0"),
        (SUM, lambda x, d: 2 * x * jnp.exp(jnp.log(d)), "not linear"),  # NaN below 0
        (SUM, lambda x, d: 2 * x * jnp.where(d < 0, jnp.inf, d), "not linear"),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", *slow("float32", "float16", "bfloat16")])
def test_a_rule_that_mixes_its_cotangents_up_fails(
    function: Any, rule: Any, said: str, dtype: str, standard_promotion: None
) -> None:
    x = jnp.asarray([0.3, -0.7, 1.1], dtype) if dtype != "float64" else np.asarray([0.3, -0.7, 1.1])
    check = quick(with_rule(function, rule), None, x)
    assert not check.passed
    assert said in check.sentence
    assert quick(with_rule(function, lambda x, d: jax.vjp(function, x)[1](d)[0]), None, x).passed


@pytest.mark.parametrize("size", [300, *slow(1, 44, 710, 5000)])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_many_outputs_of_a_narrow_dtype_are_no_false_alarm(size: int, dtype: str) -> None:
    """Their weighted sum is near zero, and bfloat16 ends counting at 256."""
    check = quick(lambda x: 3 * x, None, jnp.ones(size, dtype))
    assert check.passed, check.sentence
    assert not check.faint


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: jnp.arcsin(w[0]),
        lambda w: jnp.arcsin(w[:2]).sum() + jnp.sqrt(1 - w[0] ** 2),
        lambda w: jnp.log(w).sum(),
    ],
)
def test_a_loss_of_a_bounded_domain_can_be_checked(loss: Any, standard_promotion: None) -> None:
    params = np.asarray([0.999, 0.5, 100.0])
    assert check_gradients(loss, jax.value_and_grad(loss), params).passed
    nowhere = lambda w: loss(w) + jnp.log(-1 - w[0] ** 2)  # noqa: E731
    check = check_gradients(nowhere, jax.value_and_grad(nowhere), params)
    assert "not all is finite" in check.sentence


def test_without_jit_a_backward_gets_arrays_of_jax() -> None:
    def rule(w: Any, ids: Any) -> Any:
        found = (2 * w).at[ids].get(mode="clip")
        w *= 0  # of an array of NumPy this would change the caller's numbers
        return square(w + found / 2), found + w

    params, ids = np.asarray([1.0, 2.0, 3.0]), np.asarray([0, 1, 9])
    check = check_gradients(lambda w, ids: square(w), rule, params, ids)
    assert check.passed, check.sentence
    assert params.tolist() == [1, 2, 3]


def test_what_has_no_name_or_number_of_its_own_is_refused() -> None:
    twice = {"a": {"b": np.ones(2)}, "a.b": np.ones(2)}
    with pytest.raises(w2v.errors.SettingError, match=r"Two leaves .* are called a\.b"):
        quick(lambda p: square(p["a.b"]), lambda p: (square(p["a.b"]), p), twice)
    with pytest.raises(w2v.errors.SettingError, match="complex"):
        quick(lambda x: (x.sum(), 1j * x), None, np.ones(2))


def test_a_function_without_a_hash_can_be_checked() -> None:
    class Square:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, w: Any) -> Any:
            return square(w)

    assert quick(Square(), lambda w: (square(w), 2 * w), np.ones(2)).passed
    assert quick(Square(), None, np.ones(2)).passed
    assert not quick(Square(), lambda w: (square(w), 3 * w), np.ones(2)).passed


@pytest.mark.parametrize(("noise", "passed"), [(1e-15, True), (1e-9, False)])
def test_a_gpu_may_add_in_another_order(
    noise: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = iter([0.0, *[noise] * 9])

    def rule(w: Any) -> Any:
        shape = jax.ShapeDtypeStruct((), w.dtype)
        moved = jax.pure_callback(lambda: np.float64(next(runs)), shape, vmap_method="sequential")
        return square(w), 2 * w * (1 + moved)

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert quick(square, rule, np.ones(3), scales=(1,)).passed == passed


class Jvp:
    """A rule that is an object, right or 17 times too large."""

    def __init__(self, times: float) -> None:
        self.times = times

    def __call__(self, primals: Any, tangents: Any) -> Any:
        return jnp.sin(primals[0]), self.times * jnp.cos(primals[0]) * tangents[0]


class Forward:
    def __call__(self, x: Any) -> Any:
        return jnp.sin(x), x


class Back:
    def __init__(self, times: float) -> None:
        self.times = times

    def __call__(self, x: Any, d: Any) -> Any:
        return (self.times * d * jnp.cos(x),)


def without_file(kind: str, times: float) -> Any:
    """JAX's own sine with a rule that has no file of its own."""
    if kind == "partial":
        sine: Any = jax.custom_jvp(jnp.sin)
        sine.defjvps(partial(lambda by, t, out, x: by * jnp.cos(x) * t, times))
    elif kind == "object":
        sine = jax.custom_jvp(jnp.sin)
        sine.defjvp(Jvp(times))
    elif kind == "method":
        sine = jax.custom_jvp(jnp.sin)
        sine.defjvp(Jvp(times).__call__)
    else:
        sine = jax.custom_vjp(jnp.sin)
        sine.defvjp(Forward(), Back(times))
    return sine


@pytest.mark.parametrize("kind", ["partial", "objects of a vjp", *slow("object", "method")])
@pytest.mark.parametrize("dtype", ["float32", *slow("float64", "bfloat16")])
def test_a_rule_without_a_file_is_not_its_own_reference(kind: str, dtype: str) -> None:
    x = jnp.asarray([0.25, 0.75], dtype) if dtype != "float64" else np.array([0.25, 0.75])
    check = check_gradients(without_file(kind, 17.0), None, x, samples=0)
    assert not check.passed, check.report
    check = check_gradients(without_file(kind, 1.0), None, x, samples=0)
    assert check.passed, check.report


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "shape", [(4, 3), *[pytest.param(s, marks=pytest.mark.slow) for s in ((2, 3), (5, 3), (3, 1))]]
)
def test_a_softmax_of_any_shape_is_not_accused(shape: tuple[int, int], dtype: Any) -> None:
    x, y = normal(size=(8, shape[0])).astype(dtype), np.arange(8) % shape[1]

    def loss(w: Any, x: Any, y: Any) -> Any:
        scores = (
            jnp.concatenate([x @ w, jnp.zeros((8, 1), w.dtype)], 1) if w.shape[1] == 1 else x @ w
        )
        return -jax.nn.log_softmax(scores)[jnp.arange(8), y].mean()

    for seed in range(6):
        w = np.random.default_rng(seed).normal(size=shape).astype(dtype)
        check = check_gradients(loss, jax.value_and_grad(loss), w, x, y, also=("examples",))
        assert check.passed, check.report


@pytest.mark.parametrize("narrow", [np.float32, *slow(jnp.bfloat16)])
def test_a_narrow_batch_beside_wide_params_is_not_accused(narrow: Any) -> None:
    def loss(w: Any, x: Any) -> Any:
        return (w**2 * (jnp.exp(x) / jnp.linalg.norm(x)).astype(w.dtype)).sum()

    x = jnp.asarray([0.1, 0.2, 0.3], narrow)
    check = check_gradients(loss, jax.value_and_grad(loss), np.array([0.5, 1, 2]), x)
    assert check.passed, check.report


@pytest.mark.parametrize("dtype", [np.float64, np.float32, jnp.bfloat16])
def test_a_gradient_that_is_right_for_the_first_of_two_only_is_found(dtype: Any) -> None:
    @jax.custom_batching.custom_vmap
    def twice(w: Any) -> Any:
        return 2 * w

    @twice.def_vmap
    def first_for_all(size: int, batched: Any, w: Any) -> Any:
        return jnp.broadcast_to(2 * w[:1], w.shape), True

    w = jnp.asarray([1, 2, 3], dtype) if dtype != np.float64 else np.array([1.0, 2, 3])
    check = check_gradients(square, lambda w: (square(w), twice(w)), w)
    assert check.sentence.startswith("params agrees; the gradient under vmap is off")


def test_examples_of_whole_numbers_are_counted() -> None:
    x = np.array([[1, 2], [3, -1], [-5, -5], [2, 0]])

    def loss(w: Any, x: Any) -> Any:
        return jax.nn.relu(jnp.asarray(x, w.dtype) @ w).sum()

    def without_the_third(w: Any, x: Any) -> Any:
        x = jnp.asarray(x, w.dtype)[np.array([0, 1, 3])]
        return loss(w, x), x.T @ (x @ w > 0).astype(w.dtype)

    for given in (x, x.astype(np.int8), 1.0 * x):
        check = check_gradients(loss, without_the_third, np.array([1.0, 0.5]), given)
        assert check.sentence == "params agrees; not exercised: batch.0 in 1 of 4 rows (at 2)."


@pytest.mark.parametrize("limits", [{"a": 1e-4}, *slow({"b": 1e-4}, {"a": 1e-4, "b": 1e-6})])
def test_each_leaf_has_its_own_tolerance_in_every_run(limits: dict[str, float]) -> None:
    def loss(p: Any) -> Any:
        return jnp.sin(p["a"]).sum() + (p["b"] ** 2).sum()

    def within(p: Any, share: float) -> Any:
        off = {name: 1 + share * limits.get(name, 1e-12) for name in "ab"}
        return loss(p), {"a": jnp.cos(p["a"]) * off["a"], "b": 2 * p["b"] * off["b"]}

    p = {"a": np.array([0.3, 0.5]), "b": np.array([1.0, 2])}
    half = check_gradients(loss, partial(within, share=0.5), p, tolerance=limits)
    assert half.passed, half.report
    assert not check_gradients(loss, partial(within, share=2.0), p, tolerance=limits).passed


FACTORS = np.linspace(1, 2, 5)  # a constant that the functions below hold
WITHIN: dict[str, Any] = {
    "jit": lambda f: jax.jit(lambda x: f(FACTORS * x)),
    "checkpoint": lambda f: jax.checkpoint(lambda x: f(FACTORS * x)),
    "scan": lambda f: (
        lambda x: jax.lax.scan(lambda y, _: (f(FACTORS * y), None), x, None, length=2)[0]
    ),
    "cond": lambda f: lambda x: jax.lax.cond(x[0] > 0, lambda y: f(FACTORS * y), jnp.exp, x),
    "map": lambda f: lambda x: jax.lax.map(lambda y: f(jnp.asarray(FACTORS)[1] * y), x),
}


@pytest.mark.parametrize("name", WITHIN)
def test_a_rule_inside_another_function_is_left_out_of_the_reference(name: str) -> None:
    wrong = jax.custom_vjp(lambda x: jnp.sin(x))
    wrong.defvjp(lambda x: (jnp.sin(x), x), lambda x, d: (17 * d * jnp.cos(x),))
    x, within = np.arange(1.0, 6.0) / 5, WITHIN[name]
    right, found = (
        jax.grad(lambda x, f=f: f(x).sum())(x)
        for f in (within(jnp.sin), without_rules(within(wrong)))
    )
    np.testing.assert_allclose(found, right, rtol=1e-6)


def test_a_rule_inside_shard_map_is_compared_with_differences() -> None:
    spec, mesh = jax.sharding.PartitionSpec(), jax.make_mesh((1,), ("a",))

    def mapped(times: float) -> Any:
        sine = jax.custom_vjp(lambda x: jnp.sin(x))
        sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, d: (times * d * jnp.cos(x),))
        return lambda x: jax.shard_map(sine, mesh=mesh, in_specs=spec, out_specs=spec)(x)

    for times in (1.0, 17.0):
        check = check_gradients(mapped(times), None, np.array([0.25, 0.75]))
        assert check.passed == (times == 1), check.report
        assert check.reference == "central differences"
