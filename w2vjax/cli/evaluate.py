"""``w2vjax eval``: score a file of vectors on word pairs and analogies."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

from tyro.conf import arg

from w2vjax.cli.arguments import Flag, Json, Paths, VectorsFile
from w2vjax.cli.output import answer, columns
from w2vjax.errors import SettingError
from w2vjax.evaluation import analogies as questions
from w2vjax.evaluation.analogies import Accuracy, AnalogyScores, evaluate_word_analogies
from w2vjax.evaluation.word_pairs import PairScores, evaluate_word_pairs
from w2vjax.formats.formats import load

Record = dict[str, Any]
MEASURES = {"3cosadd": questions.three_cos_add, "3cosmul": questions.three_cos_mul}


def evaluate(
    vectors: VectorsFile,
    pairs: Paths = (),
    analogies: Paths = (),
    restrict_vocab: Annotated[Optional[int], arg(metavar="N")] = 300_000,
    measure: Literal["3cosadd", "3cosmul", "both"] = "3cosadd",
    case_sensitive: Flag = False,
    json: Json = None,
) -> int:
    """Score vectors: correlation with human scores on word pairs, and accuracy on analogies.

    Examples:
      w2vjax eval vectors.bin --pairs wordsim353.tsv rg65.tsv
      w2vjax eval vectors.bin --analogies questions-words.txt --measure both
      w2vjax eval vectors.bin --pairs wordsim353.tsv --json -

    A line of pairs has two words and a score, with tabs between. A line of analogies has four
    words; a line ": name" begins a section. The columns "over all" also count what has an unknown
    word: such an analogy is wrong, and such a pair has similarity 0. The exit code is 1 if nothing
    in a file could be answered.

    Args:
        pairs: Files of scored word pairs.
        analogies: Files of analogy questions.
        restrict_vocab: Use only the N most frequent words. The word None takes all of them.
        measure: 3cosadd adds cosines (Mikolov et al. 2013). 3cosmul multiplies them (Levy and
            Goldberg 2014).
        case_sensitive: Treat capital and small letters as different.
    """
    if not pairs and not analogies:
        raise SettingError("There is nothing to evaluate on. Give --pairs or --analogies.")
    loaded = load(vectors)
    fold = {"case_insensitive": not case_sensitive}
    scored = [(path, evaluate_word_pairs(loaded, path, restrict_vocab, **fold)) for path in pairs]
    measures = {name: by for name, by in MEASURES.items() if measure in (name, "both")}
    solved = [
        (path, name, evaluate_word_analogies(loaded, path, restrict_vocab, measure=by, **fold))
        for path in analogies
        for name, by in measures.items()
    ]
    record = {
        **{"command": "eval", "vectors": str(vectors), "restrict_vocab": restrict_vocab, **fold},
        "pairs": [
            {"file": str(path), **score._asdict(), "coverage": score.coverage}
            for path, score in scored
        ],
        "analogies": [_analogies_record(*each) for each in solved],
    }
    tables = [_pairs_table(scored)] if scored else []
    answer(json, record, "\n\n".join(tables + [_analogies_table(*each) for each in solved]))
    results = [(path, score.answered) for path, score in scored]
    results += [(path, score.overall.answered) for path, _, score in solved]
    nothing = [str(path) for path, answered in results if not answered]
    for path in dict.fromkeys(nothing):
        warnings.warn(f"{path}: nothing in it could be answered with these vectors.", stacklevel=2)
    return 1 if nothing else 0


def _analogies_record(path: Path, measure: str, scores: AnalogyScores) -> Record:
    def section(part: Accuracy) -> Record:
        figures = ("accuracy", "accuracy_all", "coverage")
        return part._asdict() | {name: getattr(part, name) for name in figures}

    head = {"file": str(path), "measure": measure, "overall": section(scores.overall)}
    return {**head, "sections": [section(part) for part in scores.sections]}


def _pairs_table(scored: Sequence[tuple[Path, PairScores]]) -> str:
    head = "word pairs|spearman|pearson|over all: spearman|pearson|answered|pairs|coverage"
    rows = [head.split("|")]
    for path, s in scored:
        values = (s.spearman, s.pearson, s.spearman_all, s.pearson_all)
        figures = ["-" if value != value else f"{value:.4f}" for value in values]
        rows.append([path.name, *figures, str(s.answered), str(s.total), f"{s.coverage:.1%}"])
    return columns(rows)


def _analogies_table(path: Path, measure: str, scores: AnalogyScores) -> str:
    head = ["accuracy", "over all", "correct", "answered", "questions", "coverage"]
    rows = [[f"{path.name}, {measure}", *head]]
    for part in (*scores.sections, scores.overall):
        accuracy = f"{part.accuracy:.1%}" if part.answered else "-"
        counts = [str(part.correct), str(part.answered), str(part.total)]
        share = f"{part.accuracy_all:.1%}"
        rows.append([part.section, accuracy, share, *counts, f"{part.coverage:.1%}"])
    return columns(rows)
