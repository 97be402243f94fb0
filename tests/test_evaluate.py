"""Evaluation by hand, by brute force and by gensim. Bad files are refused by line."""

import dataclasses
import gzip
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keyed_vectors import keyed_vectors

import w2vjax as w2v
from w2vjax.evaluation import analogies as solving
from w2vjax.evaluation import word_pairs as scoring


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def world():
    """Vectors that answer a third of the analogies: city = country + offset + noise."""
    rng = np.random.default_rng(3)
    D, n = 20, 60
    countries, kings = rng.standard_normal((2, n, D))
    offset, crown = rng.standard_normal((2, D))
    rows = {f"country{i}": countries[i] for i in range(n)}
    rows |= {f"City{i}": countries[i] + offset + 0.9 * rng.standard_normal(D) for i in range(n)}
    rows |= {
        f"CITY{i}": rows[f"City{i}"] + 0.01 * rng.standard_normal(D) for i in range(0, n, 7)
    }  # other spellings
    rows |= {f"king{i}": kings[i] for i in range(n)}
    rows |= {f"queen{i}": kings[i] + crown + 0.9 * rng.standard_normal(D) for i in range(n)}
    rows |= {f"noise{i}": rng.standard_normal(D) for i in range(200)}
    words = list(rows)
    rng.shuffle(words)
    return w2v.Vectors(words, np.array([rows[word] for word in words]))


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    rng = np.random.default_rng(4)
    lines = []
    for name, first, second in (
        ("capitals", "Country", "City"),
        ("gram royal", "king", "Queen"),
        ("unknown", "x", "y"),
    ):
        lines.append(f": {name}")
        for _ in range(150):
            i, j = rng.integers(0, 64, 2)  # 60 to 63 are unknown
            lines.append(f"{first}{i} {second}{i} {first}{j} {second}{j}")
    return write(tmp_path_factory.mktemp("sets") / "questions.txt", "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def judgements(tmp_path_factory, world):
    rng = np.random.default_rng(5)
    lines = ["# a comment"]
    for _ in range(300):
        a, b = rng.choice(len(world), 2)
        swap = str.swapcase if rng.random() < 0.5 else str
        # with ties
        score = round(5 + 5 * world.similarity(world.words[a], world.words[b]) + rng.normal(), 1)
        lines.append(f"{swap(world.words[a])}\t{world.words[b]}\t{score}")
    lines += ["nowhere\tking1\t3.5", "king1\tnothing\t9", "king2\tking2\t10"]
    return write(tmp_path_factory.mktemp("sets") / "pairs.tsv", "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def oracle(world):
    return keyed_vectors(world)


@pytest.mark.parametrize("restrict_vocab", [300_000, 250])
@pytest.mark.parametrize("case_insensitive", [True, False])
def test_pairs_are_gensims(world, judgements, oracle, restrict_vocab, case_insensitive):
    options = {"restrict_vocab": restrict_vocab, "case_insensitive": case_insensitive}
    ours = w2v.evaluate_word_pairs(world, judgements, **options)
    pearson, spearman, missing = oracle.evaluate_word_pairs(str(judgements), **options)
    # measured: 2.4e-9 (rounding of gensim's float32 cosines)
    assert ours.pearson == pytest.approx(pearson[0], abs=1e-6)
    assert ours.spearman == pytest.approx(spearman[0], abs=1e-6)
    assert 100 * (1 - ours.coverage) == pytest.approx(missing, abs=1e-9)
    pearson, spearman, _ = oracle.evaluate_word_pairs(
        str(judgements), dummy4unknown=True, **options
    )
    assert ours.pearson_all == pytest.approx(pearson[0], abs=1e-6)
    assert ours.spearman_all == pytest.approx(spearman[0], abs=1e-6)


@pytest.mark.parametrize("restrict_vocab", [300_000, 250])
@pytest.mark.parametrize("case_insensitive", [True, False])
def test_analogies_are_gensims(world, questions, oracle, restrict_vocab, case_insensitive):
    options = {"restrict_vocab": restrict_vocab, "case_insensitive": case_insensitive}
    ours = w2v.evaluate_word_analogies(world, questions, **options)
    accuracy, sections = oracle.evaluate_word_analogies(str(questions), **options)
    assert ours.accuracy == pytest.approx(accuracy, abs=1e-12)
    for mine, theirs in zip((*ours.sections, ours.overall), sections, strict=True):
        correct, wrong = len(theirs["correct"]), len(theirs["incorrect"])
        assert (mine.correct, mine.answered) == (correct, correct + wrong)
    over_all, _ = oracle.evaluate_word_analogies(str(questions), dummy4unknown=True, **options)
    assert ours.accuracy_all == pytest.approx(over_all, abs=1e-12)
    if case_insensitive and restrict_vocab > 250:
        assert [part.total for part in ours.sections] == [150, 150, 150]
        # neither all right nor all wrong: the comparison means something
        assert 0.2 < ours.accuracy < 0.9
        assert ours.sections[2].coverage == ours.sections[2].accuracy == 0


def brute_force(vectors, path, score):
    """One question at a time, in float64."""
    matrix = np.asarray(vectors.matrix, np.float64)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    upper = [word.upper() for word in vectors.words]
    correct = 0
    for section in w2v.evaluation.read_word_analogies(path).values():
        for question in section:
            a, b, c, d = (word.upper() for word in question)
            if {a, b, c, d} <= set(upper):
                cosines = [unit @ unit[upper.index(word)] for word in (a, b, c)]
                ranking = np.argsort(-score(*cosines), kind="stable")
                correct += next(upper[row] for row in ranking if upper[row] not in (a, b, c)) == d
    return correct


def test_both_measures_are_what_brute_force_gives(world, questions):
    add = w2v.evaluate_word_analogies(world, questions)
    mul = w2v.evaluate_word_analogies(world, questions, measure=w2v.evaluation.three_cos_mul)
    assert add.overall.correct == brute_force(world, questions, lambda a, b, c: b - a + c)
    expected = brute_force(
        world, questions, lambda a, b, c: (1 + b) * (1 + c) / 4 / ((1 + a) / 2 + 1e-6)
    )
    assert mul.overall.correct == expected
    assert mul.overall.correct != add.overall.correct


def test_how_the_work_is_cut_changes_nothing(world, questions, monkeypatch):
    whole = w2v.evaluate_word_analogies(world, questions)
    monkeypatch.setattr(solving, "_COSINES", 1)
    monkeypatch.setattr(solving, "_SCORES", 5000)
    monkeypatch.setattr(solving, "_NARROWEST", 150)  # 449 words: three slices, the last overlapping
    assert w2v.evaluate_word_analogies(world, questions) == whole
    monkeypatch.setattr(solving, "_NARROWEST", 7)
    assert w2v.evaluate_word_analogies(world, questions) == whole


def test_analogy_ties_go_to_the_first_word_and_inputs_never_answer():
    words = ["a", "b", "c", "d", "e"]
    same = w2v.Vectors(words, np.ones((5, 3)))
    ask = w2v.evaluate_word_analogies
    assert ask(same, [("a", "b", "c", "d")]).overall.correct == 1
    assert ask(same, [("a", "b", "c", "e")]).overall.correct == 0
    assert ask(same, [("a", "b", "c", "b")]).overall.correct == 0
    three = ask(same, [("a", "b", "c", "a")], restrict_vocab=3)  # nothing is left to answer with
    assert three.overall[1:] == (0, 1, 1)


def test_sections_and_questions_given_as_values(world):
    question = ("country1", "City1", "country2", "City2")
    listed = w2v.evaluate_word_analogies(world, iter([question, ("no", "such", "words", "here")]))
    named = w2v.evaluate_word_analogies(
        world, {"s": iter([question]), "t": [("no", "such", "words", "here")], "u": []}
    )
    assert listed.overall == named.overall
    assert [part[2:] for part in named.sections] == [(1, 1), (0, 1), (0, 0)]
    assert w2v.evaluate_word_analogies(world, []).coverage == 0


def test_correlations_are_scipys_with_ties():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 9, (2, 40)) + rng.integers(0, 5, 40)
        x, y = x.astype(float), y * 1e6
        # measured 1.2e-16
        assert scoring.spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-14)
        assert scoring.pearson(x, y) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-14)
        np.testing.assert_array_equal(scoring.average_ranks(x), stats.rankdata(x))


def test_where_no_correlation_exists_it_is_nan_and_says_so_by_coverage(world):
    for pairs in ([], [("king1", "king2", 1.0)], [("x", "y", 1.0), ("y", "z", 2.0)]):
        scores = w2v.evaluate_word_pairs(world, pairs)
        assert np.isnan(scores.spearman)
        assert np.isnan(scores.pearson)
        assert scores.answered == sum(a in world for a, _, _ in pairs)
    assert scores.unknown == ("x", "y", "z")
    constant = w2v.evaluate_word_pairs(world, [("king1", "king2", 1.0), ("king1", "king3", 1.0)])
    assert np.isnan(constant.pearson)
    assert constant.coverage == 1


def test_a_zero_vector_scores_zero_and_words_equal_themselves():
    vectors = w2v.Vectors(
        ["nil", "a", "b", "c"], np.array([[0, 0, 0], [1, 2, 3], [0.1, -0.7, 0.3], [5, 5, 1]])
    )
    # nil: 0, then exactly 1 for each word with itself: two ties at rank 2.5
    pairs = [("nil", "a", 1.0), ("a", "a", 2.0), ("b", "b", 3.0)]
    assert w2v.evaluate_word_pairs(vectors, pairs).spearman == pytest.approx(
        np.sqrt(0.75), abs=1e-12
    )


def test_what_is_not_finite_is_refused(world):
    with pytest.raises(
        w2v.errors.FormatError, match=r"Pair 1 is .* not two words and a finite score"
    ):
        w2v.evaluate_word_pairs(world, [("king1", "king2", 1.0), ("king1", "king2", float("nan"))])
    for score in (10**400, np.float32("inf"), 1j, np.complex64(1), "1"):
        with pytest.raises(w2v.errors.FormatError, match="not two words and a finite score"):
            w2v.evaluate_word_pairs(world, [("king1", "king2", score)])
    broken = w2v.Vectors(["a", "b", "c", "d"], np.array([[1.0], [np.nan], [2.0], [3.0]]))
    with pytest.raises(w2v.errors.SettingError, match="NaN"):
        w2v.evaluate_word_pairs(broken, [("a", "b", 1.0)])
    with pytest.raises(w2v.errors.DivergedError, match="'b'"):
        w2v.evaluate_word_analogies(broken, [("a", "b", "c", "d")])
    with pytest.raises(w2v.errors.SettingError, match="restrict_vocab=0"):
        w2v.evaluate_word_pairs(world, [], restrict_vocab=0)


def test_vectors_on_the_device_score_the_same(world, judgements, questions):
    moved = jax.tree.map(jax.numpy.asarray, world)
    assert w2v.evaluate_word_pairs(moved, judgements) == w2v.evaluate_word_pairs(world, judgements)
    assert w2v.evaluate_word_analogies(moved, questions) == w2v.evaluate_word_analogies(
        world, questions
    )


@pytest.mark.parametrize(
    "text",
    [
        "cat\tdog\t1.5\nnew york\tcity\t2\n",
        "cat,dog,1.5\r\nnew york,city,2\r\n",
        "\ufeffword1\tword2\tscore\n\n# note\ncat\tdog\t1.5\nnew york\tcity\t2",
        "cat \t dog \t 1.5\n\n\nnew york\t city\t2 \n",
        # quotes around every word are no part of it
        '"cat","dog",1.5\n"new york","city",2\n',
        '"word1","word2","score"\r\n"cat","dog","1.5"\r\n"new york","city","2"\r\n',
        '"cat"\t"dog"\t1.5\n# note\n"new york"\t"city"\t"2"',
        'word1, word2, Human (mean)\n"cat", "dog", 1.5\n"new york", "city", 2\n',
    ],
)
def test_pairs_are_read_in_the_usual_spellings(tmp_path, text):
    path = write(tmp_path / "pairs", text)
    assert w2v.evaluation.read_word_pairs(path) == [("cat", "dog", 1.5), ("new york", "city", 2.0)]
    vectors = w2v.Vectors(["cat", "dog", "city"], np.eye(3))
    assert w2v.evaluate_word_pairs(vectors, path).coverage == 0.5


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ('"a" "b" 1\n"c" "d" "2"', [("a", "b", 1), ("c", "d", 2)]),
        ('"a ""b""","""",1', [('a "b"', '"', 1)]),
        # words that have quotes of their own
        ('"\tcat\t1\n"a"\t"b"\t2', [('"', "cat", 1), ('"a"', '"b"', 2)]),
        ('"a",b,1\n"c",d,2', [('"a"', "b", 1), ('"c"', "d", 2)]),
        ("'a','b',1", [("'a'", "'b'", 1)]),
        # no words, or no scores
        ('"a","",1', None),
        ('"a","b",""\n"a","b",1', None),
        ('"a","b","nan"\n"a","b",1', None),
        ('"a","b","7x"\n"a","b",1', None),
        ('"a, b","c",1', None),
    ],
)
def test_quotes_of_words_and_damaged_quoted_lines(tmp_path, text, pairs):
    path = write(tmp_path / "pairs.csv", text)
    if pairs is not None:
        assert w2v.evaluation.read_word_pairs(path) == pairs
        return
    with pytest.raises(w2v.errors.FormatError, match=r"line 1: .* is not two words and a number"):
        w2v.evaluation.read_word_pairs(path)


def test_pairs_are_read_when_spaces_separate(tmp_path):
    assert w2v.evaluation.read_word_pairs(write(tmp_path / "p", "cat  dog 1\ncat tea -2e0")) == [
        ("cat", "dog", 1),
        ("cat", "tea", -2),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cat\tdog\t1\ncat\tdog\n", "line 2: 'cat\\\\tdog' is not two words and a number"),
        ("cat\tdog\t1\n\n#\ncat\tdog\tmuch\n", "line 4"),
        ("cat\tdog\t1\ncat\tdog\tnan\n", "line 2"),
        ("cat\tdog\t1\n\tdog\t1\n", "line 2"),
        ("cat\tdog\t1\t2\ncat\tdog\t1\t2\n", "line 1"),
        ("", "holds no word pairs"),
        ("# only\n", "holds no word pairs"),
        ("a\tb\tc\n", "holds no word pairs"),
    ],
)
def test_a_bad_file_of_pairs_is_refused_by_line(tmp_path, text, says):
    with pytest.raises(w2v.errors.FormatError, match=f"pairs.tsv.*{says}"):
        w2v.evaluation.read_word_pairs(write(tmp_path / "pairs.tsv", text))


def test_analogies_are_read(tmp_path):
    path = write(
        tmp_path / "q",
        "\ufeff: one two\r\na b c d\r\n\r\n:three\ne\tf g  h\n: one two\ni j k l\n: empty\n",
    )
    assert w2v.evaluation.read_word_analogies(path) == {
        "one two": [("a", "b", "c", "d"), ("i", "j", "k", "l")],
        "three": [("e", "f", "g", "h")],
        "empty": [],
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a b c d\n", "line 1: 'a b c d' stands before the first section"),
        (": s\na b c d\na b c\n", "line 3: 'a b c' is not four words"),
        (": s\na b c d e\n", "line 2"),
        (": s\n: t\n", "holds no questions"),
        ("", "holds no questions"),
    ],
)
def test_a_bad_file_of_analogies_is_refused_by_line(tmp_path, text, says):
    with pytest.raises(w2v.errors.FormatError, match=f"questions.txt.*{says}"):
        w2v.evaluation.read_word_analogies(write(tmp_path / "questions.txt", text))


@pytest.mark.parametrize(
    "read", [w2v.evaluation.read_word_pairs, w2v.evaluation.read_word_analogies]
)
def test_unreadable_files_are_named(tmp_path, read):
    with pytest.raises(w2v.errors.FileError, match=r"missing\.txt cannot be read: No such file"):
        read(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes(b": s\ncaf\xe9 a b c\n")
    with pytest.raises(w2v.errors.FormatError, match=r"latin\.txt is not UTF-8 at byte 7"):
        read(tmp_path / "latin.txt")
    text = ": s\na b c d\n" if read is w2v.evaluation.read_word_analogies else "a\tb\t1\n"
    packed = gzip.compress(text.encode())
    (tmp_path / "packed.txt.gz").write_bytes(packed)
    assert read(tmp_path / "packed.txt.gz") == read(write(tmp_path / "plain.txt", text))
    for data, says in ((text.encode("utf-16"), "UTF-16 text"), (packed, "compressed by gzip")):
        (tmp_path / "foreign.txt").write_bytes(data)
        with pytest.raises(w2v.errors.FormatError, match=f"foreign.txt, byte 0: it is {says}"):
            read(tmp_path / "foreign.txt")


# Training separates words at characters up to U+0020. All others are parts of words.
JOINED = ["10\xa0000", "b\u2028c", "\u3000x", "y\x85", "\u2009z\u2009"]


@pytest.mark.parametrize("word", JOINED)
def test_evaluation_sets_are_cut_where_training_cuts(tmp_path, word):
    path = tmp_path / "set"
    write(path, f": numbers\n{word} a\tb  {word}\n\x0c\n{word}\x01a c d \n")
    questions = [(word, "a", "b", word), (word, "a", "c", "d")]
    assert w2v.evaluation.read_word_analogies(path) == {"numbers": questions}
    with pytest.raises(w2v.errors.FormatError, match="is not four words"):
        w2v.evaluation.read_word_analogies(write(path, f": s\n{word} a b\n"))
    for line in (f"{word}\t a \t1", f"{word},a,1", f"{word} a 1", f"  {word}\t a\t 1 "):
        assert w2v.evaluation.read_word_pairs(write(path, line)) == [(word, "a", 1.0)]


@pytest.mark.parametrize(
    "line",
    [
        *("cat\tdog\tinf", "cat\tdog\tNaN", "cat\tdog\t-Infinity", "cat\tdog\t1e999"),
        *("cat\tdog", "cat,dog", "cat dog", "cat", "1.5", "a b c d", "cat\tdog\t7.5\t8"),
        *("cat\tdog\t1,5", "cat\tdog\t7x", "cat\tdog\t\u0661", "cat\tdog\t7_5"),
        *("cat\t\tscore", "cat\tdog\t\tscore"),
    ],
)
@pytest.mark.parametrize("before", ["", "# pairs\n\n"])
def test_a_bad_first_line_of_pairs_is_no_header(tmp_path, before, line):
    path = write(tmp_path / "pairs.tsv", f"{before}{line}\ntiger\tcat\t7.35\n")
    place = f"line {1 + before.count(chr(10))}: .* is not two words and a number"
    with pytest.raises(w2v.errors.FormatError, match=place):
        w2v.evaluation.read_word_pairs(path)


@pytest.mark.parametrize(
    "header",
    ["word1\tword2\tscore(mean)", "Word 1,Word 2,Human (mean)", "a b score", "1\t2\tinformation"],
)
def test_a_header_of_pairs_is_left_out(tmp_path, header):
    path = write(tmp_path / "pairs.tsv", f"{header}\ntiger\tcat\t7.35\n")
    assert w2v.evaluation.read_word_pairs(path) == [("tiger", "cat", 7.35)]


@pytest.mark.parametrize("given", [None, 3, 2.5, object()])
def test_what_is_no_evaluation_set_is_refused(given):
    vectors = w2v.Vectors(["cat", "dog"], np.eye(2))
    with pytest.raises(w2v.errors.SettingError, match=r"pairs=.* cannot work. Pass a file or"):
        w2v.evaluate_word_pairs(vectors, given)
    for analogies in (given, {"section": given}):
        with pytest.raises(
            w2v.errors.SettingError, match=r"analogies=.* cannot work. Pass a file or"
        ):
            w2v.evaluate_word_analogies(vectors, analogies)


@pytest.mark.parametrize("measure", ["3cosmul", None, 3])
def test_a_measure_that_is_no_function_is_refused(measure):
    vectors = w2v.Vectors([*"abcd"], np.eye(4))
    with pytest.raises(w2v.errors.SettingError, match=r"measure=.* is no function"):
        w2v.evaluate_word_analogies(vectors, [tuple("abcd")], measure=measure)


def letters():
    return w2v.Vectors([*"abcde"], [[3.0, 4.0], [4.0, 3.0], [-4.0, 3.0], [1.0, 2.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("measure", "says"),
    [
        (lambda a: a, "this one fails .*positional argument"),
        (lambda a, b, c: (a, b), r"this one returns tuple of float32\[1, 5\], float32"),
        (lambda a, b, c: 1.0, r"this one returns float32\[\]\."),
        (lambda a, b, c: None, "this one returns None"),
        (lambda a, b, c: a.sum(axis=1), r"this one returns float32\[1\]\."),
        (lambda a, b, c: a > b, "this one returns .*bool"),
        (lambda a, b, c: a + 1j * b, "this one fails .*complex"),
        (lambda a, b, c: b if a > c else c, "this one fails"),
        (lambda a, b, c: a[a > b], "this one fails"),
        (lambda a, b, c: a.numpy(), "this one fails .*numpy"),
        (lambda a, b, c: math.sqrt(a), "this one fails"),
    ],
)
def test_a_measure_that_gives_no_score_for_each_word_is_refused(measure, says):
    says = f"measure has to be a function of three arrays of cosines .*, and {says}"
    with pytest.raises(w2v.errors.SettingError, match=says):
        w2v.evaluate_word_analogies(letters(), [tuple("abcd")], measure=measure)


@pytest.mark.parametrize(
    "measure",
    [
        lambda a, b, c: a * math.nan,
        lambda a, b, c: jnp.sqrt(b - 2),
        lambda a, b, c: jnp.log(a),  # of which only some are negative
        lambda a, b, c: jnp.where(c > 0.5, b, 0 / (a - a)),
    ],
)
def test_a_measure_that_returns_nan_is_refused(measure):
    with pytest.raises(w2v.errors.SettingError, match="measure returns NaN for some cosines"):
        w2v.evaluate_word_analogies(letters(), [tuple("bade")] * 3, measure=measure)


def test_nan_at_the_words_of_the_question_is_no_fault():
    def measure(a, b, c):
        return jnp.where(b > 0.99, math.nan, b - a + c)

    question, vectors = [tuple("abdc")], letters()
    expected = w2v.evaluate_word_analogies(vectors, question)
    assert w2v.evaluate_word_analogies(vectors, question, measure=measure) == expected


@dataclasses.dataclass
class Weighted:
    """A measure without a hash."""

    weight: float

    def __call__(self, a, b, c):
        return b + self.weight * (c - a)


def test_a_measure_needs_no_hash(world, questions):
    measure = Weighted(1.0)
    expected = w2v.evaluate_word_analogies(world, questions)
    assert w2v.evaluate_word_analogies(world, questions, measure=measure) == expected
    measure.weight = -1.0
    assert w2v.evaluate_word_analogies(world, questions, measure=measure) != expected


def test_a_measure_is_used_as_it_is_now(world, questions):
    """jit knows a function by its identity, and scored by what it was before."""
    names = {"sign": 1.0}
    exec("def measure(a, b, c): return sign * (b + c - a)", names)
    usual, by_sign = w2v.evaluate_word_analogies(world, questions), {}
    for sign in (1.0, -1.0, 1.0):
        names["sign"] = sign
        by_sign[sign] = w2v.evaluate_word_analogies(world, questions, measure=names["measure"])
        assert (by_sign[sign] == usual) == (sign == 1.0)


@pytest.mark.parametrize("vectors", [["a"], None, {"a": [1.0]}, np.eye(2)])
def test_what_is_no_vectors_is_not_evaluated(vectors):
    with pytest.raises(w2v.errors.SettingError, match="no Vectors"):
        w2v.evaluate_word_pairs(vectors, [("a", "b", 1)])
    with pytest.raises(w2v.errors.SettingError, match="no Vectors"):
        w2v.evaluate_word_analogies(vectors, [tuple("abcd")])


def test_a_question_may_begin_with_a_colon(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(": faces\n:) happy :( sad\n:( sad :) happy\n: a b c\ncat dog tea cup\n:end\n")
    found = w2v.evaluation.read_word_analogies(path)
    assert found["faces"] == [(":)", "happy", ":(", "sad"), (":(", "sad", ":)", "happy")]
    assert list(found) == ["faces", "a b c", "end"]


def test_items_that_are_dicts_are_refused():
    vectors = w2v.Vectors(["cat", "dog"], np.eye(2))
    with pytest.raises(w2v.errors.FormatError, match="not two words and a finite score"):
        w2v.evaluate_word_pairs(vectors, [{"word1": "cat", "word2": "dog", "score": 1.0}])
    with pytest.raises(w2v.errors.FormatError, match="not four words"):
        w2v.evaluate_word_analogies(vectors, [{"a": "cat", "b": "dog", "c": "cat", "d": "dog"}])


@pytest.mark.parametrize("size", [1e200, 1e-200, 1.0])
def test_scores_of_any_size_are_correlated(size):
    from w2vjax.evaluation.word_pairs import pearson

    assert pearson(size * np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 4.0])) == pytest.approx(
        pearson(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 4.0]))
    )
