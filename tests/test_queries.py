"""Queries: values by hand, gensim as an oracle, and the selection of the largest."""

import types
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyed_vectors import keyed_vectors

import w2vjax as w2v
from w2vjax.vectors import batches as search
from w2vjax.vectors.nearest import best, largest, unit_rows
from w2vjax.vocab import Vocab

# float32 cosines of 40 numbers, ours and gensim's: measured at most 2.4e-7 over all tests here
TOLERANCE = 1e-6


def random_vectors(V=500, D=40, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.1, 5, (V, 1))
    return w2v.Vectors([f"w{i}" for i in range(V)], rng.standard_normal((V, D)) * lengths)


@pytest.fixture(scope="module")
def vectors():
    return random_vectors()


@pytest.fixture(scope="module")
def oracle(vectors):
    return keyed_vectors(vectors)


@pytest.fixture
def pets():
    return w2v.Vectors(
        ["cat", "dog", "tea", "nil"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0], [0.0, 0.0]]
    )


def same(ours, theirs):
    assert [word for word, _ in ours] == [word for word, _ in theirs]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], atol=TOLERANCE, rtol=0)


def test_by_hand(pets):
    # cos(cat, dog) = 24/25, cos(cat, tea) = 0, cos(dog, tea) = -7/25
    assert pets.similarity("cat", "dog") == pytest.approx(0.96, abs=1e-7)
    assert pets.similarity("cat", "cat") == 1
    assert pets.similarity("dog", "tea") == pytest.approx(-0.28, abs=1e-7)
    assert [word for word, _ in pets.most_similar("dog")] == ["cat", "nil", "tea"]
    assert dict(pets.most_similar("dog"))["nil"] == 0
    np.testing.assert_allclose(pets.distances("cat"), [0, 0.04, 1, 1], atol=1e-7)
    np.testing.assert_allclose(pets.distances("cat", ["tea", "dog"]), [1, 0.04], atol=1e-7)
    assert (pets.rank("cat", "dog"), pets.rank("cat", "tea"), pets.rank("cat", "cat")) == (1, 2, 1)
    assert pets.doesnt_match(["cat", "dog", "tea"]) == "tea"
    # unit mean of cat and dog is (.7, .7): 3CosAdd takes any positive multiple of it
    np.testing.assert_allclose(pets.mean_vector(["cat", "dog"]), [0.7, 0.7], atol=1e-7)
    np.testing.assert_allclose(pets.mean_vector(["cat", "cup"]), [0.6, 0.8], atol=1e-7)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("w3", None),
        (["w3"], []),
        (["w3", "w4"], ["w5"]),
        ([("w3", 2.0), "w9"], [("w4", -0.5)]),
        (None, ["w7"]),
    ],
)
@pytest.mark.parametrize("restrict_vocab", [None, 37])
def test_most_similar_is_gensims(vectors, oracle, positive, negative, restrict_vocab):
    options = {"topn": 12, "restrict_vocab": restrict_vocab}
    same(
        vectors.most_similar(positive, negative, **options),
        oracle.most_similar(positive, negative, **options),
    )


@pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`:DeprecationWarning")
def test_other_queries_are_gensims(vectors, oracle):
    same(
        vectors.most_similar_cosmul(["w1", "w2"], ["w3"]),
        oracle.most_similar_cosmul(["w1", "w2"], ["w3"]),
    )
    same(vectors.most_similar_cosmul("w1"), oracle.most_similar_cosmul("w1"))
    free = np.arange(40, dtype=np.float32) - 7
    same(vectors.similar_by_vector(free), oracle.similar_by_vector(free))
    same(vectors.most_similar([free, "w1"], "w2"), oracle.most_similar([free, "w1"], ["w2"]))
    close = {"abs": TOLERANCE}
    assert vectors.similarity("w1", "w2") == pytest.approx(oracle.similarity("w1", "w2"), **close)
    sets = ["w1", "w2", "w8"], ["w3", "w4"]
    assert vectors.n_similarity(*sets) == pytest.approx(oracle.n_similarity(*sets), **close)
    np.testing.assert_allclose(vectors.distances("w1"), oracle.distances("w1"), atol=TOLERANCE)
    for other in ("w2", "w77", "w499"):
        assert vectors.rank("w1", other) == oracle.rank("w1", other)
    for start in range(0, 40, 5):
        words = [f"w{i}" for i in range(start, start + 5)]
        assert vectors.doesnt_match(words) == oracle.doesnt_match(words)
    for pre in (True, False):
        options = {"weights": [1.0, -2.0, 0.5], "pre_normalize": pre, "post_normalize": True}
        ours, theirs = (
            v.mean_vector if v is vectors else v.get_mean_vector for v in (vectors, oracle)
        )
        np.testing.assert_allclose(
            ours(sets[0], **options), theirs(sets[0], **options), atol=TOLERANCE
        )


def test_a_batch_is_its_queries_one_by_one(vectors):
    positive = ["w1", ["w2", "w3"], ["w4", "w5", "w6"], *(f"w{i}" for i in range(300))]
    negative = [[], "w9", ["w7", "w8"], *([None] * 300)]
    batch = vectors.most_similar_batch(positive, negative, topn=4)
    assert len(batch) == 303
    # both sides of the edge between two products, and the padded end
    for place in (0, 1, 2, 3, 258, 259, 302):
        same(batch[place], vectors.most_similar(positive[place], negative[place], topn=4))
    assert vectors.most_similar_batch([]) == []


def test_the_words_of_the_query_are_never_answers(vectors):
    query = [f"w{i}" for i in range(20)]
    answer = vectors.most_similar(query[:10], query[10:], topn=500)
    assert len(answer) == 480
    assert not {word for word, _ in answer} & set(query)
    assert len(vectors.most_similar("w0", restrict_vocab=3)) == 2
    assert len(vectors.most_similar("w400", topn=50, restrict_vocab=3)) == 3
    assert vectors.most_similar("w0", restrict_vocab=1) == []


def test_equal_similarities_keep_the_order_of_the_vocabulary():
    equal = w2v.Vectors([f"w{i}" for i in range(2000)], np.ones((2000, 8)))
    assert [word for word, _ in equal.most_similar("w2", topn=4)] == ["w0", "w1", "w3", "w4"]
    assert equal.doesnt_match(["w7", "w3"]) == "w7"


def test_nearest_leaves_nothing_out_and_gives_zero_queries_zero(vectors):
    ids, similarities = vectors.nearest(np.stack([vectors["w5"], np.zeros(40)]), topn=3)
    assert ids[0, 0] == 5
    assert similarities[0, 0] == pytest.approx(1, abs=TOLERANCE)
    assert (ids[1].tolist(), similarities[1].tolist()) == ([0, 1, 2], [0, 0, 0])
    assert vectors.nearest(np.zeros((0, 40))).ids.shape == (0, 10)
    assert vectors.nearest(vectors.matrix[:2], topn=10**6).ids.shape == (2, 500)


def test_on_any_scale_the_answers_are_the_same():
    plain = random_vectors(100, 8)
    words = [word for word, _ in plain.most_similar("w0")]
    for scale in (1e-25, 1e30):
        scaled = w2v.Vectors(plain.words, plain.matrix * np.float32(scale))
        assert [word for word, _ in scaled.most_similar("w0")] == words


top_k = jax.jit(search.top_k, static_argnums=1)


@settings(max_examples=60, deadline=None)
@given(
    length=st.sampled_from([1, 31, 64, 65, 500, 1281]),
    k=st.sampled_from([1, 2, 20]),
    levels=st.sampled_from([1, 2, 10, 10**6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_top_k_is_the_sorting_one_ties_and_all(length, k, levels, seed):
    scores = np.random.default_rng(seed).integers(0, levels, (3, length)).astype(np.float32) - 5
    k = min(k, length)
    values, ids = top_k(jnp.asarray(scores), k)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal([largest(row, k) for row in scores], expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))


@pytest.mark.parametrize("topn", [1, 15, 16, 17, 499, 500])
def test_many_queries_and_few_have_the_same_answers(vectors, topn):
    """Eight and more go to JAX, padded to 16, 32, ... neighbours; fewer are answered by NumPy."""
    few = [vectors.nearest(vectors.matrix[i : i + 2], topn) for i in range(0, 10, 2)]
    many = vectors.nearest(vectors.matrix[:10], topn)
    np.testing.assert_array_equal(np.concatenate([found.ids for found in few]), many.ids)
    values = np.concatenate([found.similarities for found in few])
    np.testing.assert_allclose(values, many.similarities, atol=TOLERANCE, rtol=0)


def test_equal_rows_have_equal_scores_wherever_they_are():
    """The last rows of a matrix product may be computed in another order than the others."""
    rng = np.random.default_rng(0)
    for D in (3, 40, 101):
        rows = np.tile(rng.standard_normal(D), (67, 1))
        alike = w2v.Vectors(map(str, range(67)), rows)
        for queries in (3, 9):
            ids = alike.nearest(rng.standard_normal((queries, D)), 67).ids
            assert (ids == np.arange(67)).all()


@pytest.mark.usefixtures("x64")
def test_ids_are_int32_where_jax_counts_in_int64():
    rows = np.random.default_rng(0).normal(size=(2000, 4))
    vectors = w2v.Vectors(map(str, range(2000)), rows)
    for queries in (rows[:2], rows[:9]):
        found = vectors.nearest(queries, 3)
        assert (found.ids.dtype, found.ids[:, 0].tolist()) == (np.int32, list(range(len(queries))))


def test_top_k_takes_the_blockwise_path_here():
    scores = jnp.zeros((1, 1500))
    assert "reduce_window_max" in str(jax.make_jaxpr(lambda s: search.top_k(s, 20))(scores))
    assert "reduce_window_max" not in str(jax.make_jaxpr(lambda s: search.top_k(s, 40))(scores))


@pytest.mark.parametrize("topn", [0, -1, 2.5, True, None, "3"])
def test_topn_must_be_a_positive_integer(pets, topn):
    for ask in (pets.most_similar, pets.most_similar_cosmul):
        with pytest.raises(w2v.errors.SettingError, match="topn="):
            ask("cat", topn=topn)
        if topn is not None:
            with pytest.raises(w2v.errors.SettingError, match="restrict_vocab="):
                ask("cat", restrict_vocab=topn)


@pytest.mark.parametrize(
    ("positive", "negative", "says"),
    [
        (None, None, "empty or adds up to the zero vector"),
        ([], [], "empty or adds up to the zero vector"),
        ("cat", "cat", "adds up to the zero vector"),
        ("nil", None, "adds up to the zero vector"),
        ([np.ones(3)], None, r"vector of shape \(2,\)"),
        ([7], None, "A query is a word or a vector"),
        (3, None, "3 is of type int. Give a word"),
        (2.5, None, "of type float"),
        ("cat", object(), "of type object"),
        ([[1, [2]]], None, "A query is a word or a vector"),
        ({"cat", "dog"}, None, "is a set"),
        ("cat", frozenset(["dog"]), "is a set"),
        ([np.array([np.nan, 1])], None, "A vector or a weight holds NaN"),
        ([("cat", float("inf"))], None, "a weight holds NaN"),
        (np.array(3), None, "of type ndarray. Give a word"),
        (jnp.float32(3), None, "Give a word, a vector"),
    ],
)
def test_bad_queries_are_refused(pets, positive, negative, says):
    with pytest.raises(w2v.errors.SettingError, match=says):
        pets.most_similar(positive, negative)


def test_words_and_weights_come_as_arrays_too(pets):
    for words in (np.array(["cat", "tea"]), np.array(["cat", "tea"], object)):
        assert pets.most_similar(words) == pets.most_similar(["cat", "tea"])
        assert pets.most_similar("dog", words) == pets.most_similar("dog", ["cat", "tea"])
        assert pets.most_similar_cosmul(words) == pets.most_similar_cosmul(["cat", "tea"])
    for weight in (np.float32(2), np.array(2), jnp.float32(2)):
        assert pets.most_similar([("cat", weight), "tea"]) == pets.most_similar(
            [("cat", 2.0), "tea"]
        )


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-20, 1e20, 1e200, 1e300])
def test_a_query_vector_has_any_length_that_float64_holds(pets, scale):
    vector = np.array([3.0, 1.0])
    expected = dict(pets.most_similar([vector]))
    assert dict(pets.most_similar([vector * scale])) == pytest.approx(expected)
    assert pets.distances(vector * scale).tolist() == pytest.approx(pets.distances(vector).tolist())


@pytest.mark.parametrize(
    ("given", "says"), [("cat", "one string"), ({"cat", "dog"}, "is a set"), (7, "of type int")]
)
def test_a_list_of_words_is_neither_a_string_nor_a_set(pets, given, says):
    """The items of a string are letters, and the order of a set depends on the hash seed."""
    for ask in (
        pets.mean_vector,
        pets.doesnt_match,
        pets.most_similar_batch,
        lambda words: pets.n_similarity(words, ["tea"]),
        lambda words: pets.n_similarity(["tea"], words),
        lambda words: pets.distances("tea", words),
    ):
        with pytest.raises(w2v.errors.SettingError, match=says):
            ask(given)
    with pytest.raises(w2v.errors.SettingError, match="is a set"):
        pets[{"cat", "dog"}]
    assert pets.doesnt_match(word for word in ("cat", "tea", "dog")) == "tea"
    assert pets.mean_vector(iter(["cat", "cat"])).tolist() == pytest.approx([0.6, 0.8])
    assert pets.doesnt_match(dict.fromkeys(["cat", "tea", "dog"])) == "tea"


# Each question for one word or a list of words, with a place for it.
WORDS_ASKED = {
    "most_similar": lambda pets, words: pets.most_similar(words),
    "negative": lambda pets, words: pets.most_similar("tea", words),
    "cosmul": lambda pets, words: pets.most_similar_cosmul(words),
    "cosmul negative": lambda pets, words: pets.most_similar_cosmul("tea", words),
    "batch": lambda pets, words: pets.most_similar_batch([words]),
    "by_vector": lambda pets, words: pets.similar_by_vector(words),
    "nearest": lambda pets, words: pets.nearest(words),
    "similarity": lambda pets, words: pets.similarity(words, "cat"),
    "similarity to": lambda pets, words: pets.similarity("cat", words),
    "n_similarity": lambda pets, words: pets.n_similarity(words, ["cat"]),
    "n_similarity to": lambda pets, words: pets.n_similarity(["cat"], words),
    "distances": lambda pets, words: pets.distances(words),
    "distances to": lambda pets, words: pets.distances("cat", words),
    "rank": lambda pets, words: pets.rank(words, "cat"),
    "rank of": lambda pets, words: pets.rank("cat", words),
    "doesnt_match": lambda pets, words: pets.doesnt_match(words),
    "mean_vector": lambda pets, words: pets.mean_vector(words),
    "all of them": lambda pets, words: pets.mean_vector(words, ignore_missing=False),
    "rows": lambda pets, words: pets[words],
    "lookup": lambda pets, words: pets.vocab.lookup(words),
    "vocab": lambda pets, words: Vocab(words),
}


@pytest.mark.parametrize("ask", WORDS_ASKED.values(), ids=WORDS_ASKED)
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"cat": 2.0, "dog": -1}, "{'cat': 2.0, 'dog': -1}"),
        (Counter(["cat", "dog"]), "Counter"),
        (types.MappingProxyType({"cat": 0, "dog": 1}), "mappingproxy"),
        (b"cat", "b'cat'"),
        ([b"cat", "dog"], "b'cat'"),
        (["cat", None, 3], "None"),
        (np.array(["cat", None], object), "None"),
        (np.array([b"cat", b"dog"]), "b'cat'"),
        (["cat", float("nan")], "nan"),
        (["cat", ("tea", "2")], "('tea', '2')"),
    ],
)
def test_what_is_no_word_is_named_and_never_left_out(pets, ask, words, named):
    with pytest.raises(w2v.errors.SettingError) as caught:
        ask(pets, words)
    assert named in str(caught.value) or repr(words)[:30] in " ".join(str(caught.value).split())


def test_the_refusal_of_a_dict_names_what_works(pets):
    weights = {"cat": 2.0, "dog": -1}
    with pytest.raises(w2v.errors.SettingError, match=r"its items where pairs \(word, weight\)"):
        pets.most_similar(weights)
    for words in (weights, b"cat", bytearray(b"cat")):
        with pytest.raises(w2v.errors.SettingError, match=r"would be left out|decode it"):
            pets.most_similar_batch(words)
    assert pets.most_similar(weights.items()) == pets.most_similar([("cat", 2.0), ("dog", -1)])
    assert pets.mean_vector(["cat", "unheard-of"]).tolist() == pets.mean_vector(["cat"]).tolist()


def test_bad_arguments_are_refused(pets):
    for words in ("abc", [["a"]], [object()]):
        with pytest.raises(w2v.errors.SettingError, match="is not an array of real numbers"):
            pets.nearest(words)
    with pytest.raises(w2v.errors.SettingError, match="is not an array of real numbers"):
        pets.similar_by_vector("cat")
    with pytest.raises(w2v.errors.SettingError, match="1 positive but 2 negative"):
        pets.most_similar_batch(["cat"], [[], []])
    with pytest.raises(w2v.errors.SettingError, match="no weights"):
        pets.most_similar_cosmul([("cat", 2.0)])
    with pytest.raises(w2v.errors.SettingError, match="no positive word"):
        pets.most_similar_cosmul([], "cat")
    with pytest.raises(w2v.errors.SettingError, match=r"must be \[Q, 2\]"):
        pets.nearest(np.ones(2))
    with pytest.raises(w2v.errors.SettingError, match="odd only among others"):
        pets.doesnt_match(["cat"])
    with pytest.raises(w2v.errors.SettingError, match="There is no mean"):
        pets.mean_vector(["cup"])
    with pytest.raises(w2v.errors.SettingError, match="as many weights"):
        pets.mean_vector(["cat"], [1, 2])
    for weight in (np.nan, np.inf, -np.inf, 1e300):
        with pytest.raises(w2v.errors.SettingError, match="or is too large"):
            pets.mean_vector(["cat", "dog"], [weight, 1])
    broken = w2v.Vectors(["a", "b"], [[np.nan, 1], [1, 2]])
    with pytest.raises(w2v.errors.SettingError, match="A vector or a weight holds NaN"):
        broken.mean_vector(["a", "b"], pre_normalize=False)
    for unknown in (
        lambda: pets.most_similar(["cat", "cup"]),
        lambda: pets.doesnt_match(["cat", "cup"]),
        lambda: pets.n_similarity(["cat"], ["cup"]),
        lambda: pets.mean_vector(["cup"], ignore_missing=False),
        lambda: pets.distances("cat", ["cup"]),
        lambda: pets.rank("cat", "cup"),
    ):
        with pytest.raises(w2v.errors.UnknownWordError, match="'cup'"):
            unknown()


@pytest.mark.parametrize("V", [1, 2, 7, 1000, 5000])
@pytest.mark.parametrize("alike", [0.0, 1e-7, 1.0])
def test_the_best_rows_are_those_of_exact_scores_however_alike_they_are(monkeypatch, V, alike):
    """A product whose last digits are wrong, as a matrix product's may be, changes no answer."""
    rng = np.random.default_rng(V)
    query = unit_rows(rng.standard_normal((1, 33)))[0]
    unit = unit_rows(query + alike * rng.standard_normal((V, 33)))
    unit[-1] = unit[0]
    exact = np.vecdot(unit, query)

    class Rough(np.ndarray):
        """Rows whose product with a vector is off by as much as rounding may be."""

        def __matmul__(self, other):
            off = rng.uniform(-1, 1, len(self)) * 2 * len(other) * np.finfo(np.float32).eps
            return (np.asarray(self) @ other + off).astype(np.float32)

    for k in {1, min(V, 5), V}:
        expected = np.argsort(-exact, kind="stable")[:k]
        for rows in (unit, np.asfortranarray(unit), unit.view(Rough)):
            found, cosines = best(rows, query, k)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(cosines, exact[expected].clip(-1.0, 1.0))


@pytest.mark.parametrize("scale", [1e-300, 1e-60, 1e-44, 1e60, 1e300])
@pytest.mark.parametrize("many", [1, 9])
def test_nearest_takes_queries_of_any_length(pets, scale, many):
    queries = np.array([[3.0, 1.0]] * many)
    expected, found = pets.nearest(queries), pets.nearest(queries * scale)
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_allclose(found.similarities, expected.similarities, rtol=1e-6)
    alone = pets.similar_by_vector(queries[0] * scale)
    assert dict(alone) == pytest.approx(dict(pets.similar_by_vector(queries[0])))


NOT_REAL = [
    np.array([1j, 1]),
    [1 + 2j, 3],
    jnp.array([1j, 2]),
    np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"),
    np.array([1, 2], "timedelta64[s]"),
    np.ma.array([1.0, 2.0], mask=[True, False]),
    jax.random.split(jax.random.key(0), 2),
    [10**400, 1],
    np.array([None, 1.0]),
    np.array([b"1", b"2"]),
]


@pytest.mark.parametrize("vector", NOT_REAL, ids=lambda vector: f"{vector!r:.30}")
@pytest.mark.filterwarnings("error")
def test_only_real_numbers_are_a_vector(pets, vector):
    real = "real numbers"
    with pytest.raises(w2v.errors.SettingError, match=real):
        pets.most_similar([vector])
    with pytest.raises(w2v.errors.SettingError, match=real):
        pets.similar_by_vector(vector)
    with pytest.raises(w2v.errors.SettingError, match=real):
        pets.mean_vector(["cat", "tea"], vector)
    rows = vector[None] if hasattr(vector, "dtype") else [vector]
    with pytest.raises(w2v.errors.SettingError, match=real):
        pets.nearest(rows)
    with pytest.raises(w2v.errors.SettingError, match=real):
        w2v.Vectors(["a"], rows)


def test_numbers_of_other_libraries_and_of_object_arrays_are_real():
    for row in ([Fraction(1, 2), Decimal(2)], np.array([1, 2.5], object), [10**25, True]):
        expected = np.array([[float(number) for number in row]], np.float32)
        assert w2v.Vectors(["a"], [row]).matrix.tolist() == expected.tolist()
    for dtype in ("bfloat16", "float8_e4m3fn", "float16", "uint8"):
        assert w2v.Vectors(["a"], jnp.ones((1, 2), dtype)).matrix.tolist() == [[1, 1]]
        assert w2v.Vectors(["a"], np.asarray(jnp.ones((1, 2), dtype))).matrix.tolist() == [[1, 1]]
    assert w2v.Vectors(["a"], np.ones((1, 2), np.longdouble)).matrix.dtype == np.float32


@pytest.mark.parametrize(
    "weight",
    [10**400, -(10**9999), np.array("x"), np.array(None), np.array(1j)],
    ids=["1e400", "-1e9999", "text", "None", "1j"],
)
def test_a_weight_that_is_no_number_of_float64_is_refused(pets, weight):
    with pytest.raises(w2v.errors.SettingError, match=r"weight=.* is not an array of real"):
        pets.most_similar([("cat", weight)])


def test_a_number_too_long_to_print_is_refused_too(pets):
    for ask in (pets.nearest, pets.most_similar, pets.similar_by_vector):
        with pytest.raises(w2v.errors.SettingError, match="real numbers"):
            ask([[1, 10**9999]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("ask", ["most_similar", "most_similar_cosmul", "distances"])
def test_a_broken_word_is_named_by_every_query(ask, bad):
    vectors = w2v.Vectors(["cat", "dog", "tea"], [[bad, 4.0], [4.0, 3.0], [-4.0, 3.0]])
    for word in ("cat", "dog"):
        with pytest.raises(w2v.errors.DivergedError, match=r"The vector of 'cat' \(row 0\)"):
            getattr(vectors, ask)(word)
