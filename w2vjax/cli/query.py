"""``w2vjax nn``, ``analogy``, ``similarity``, ``odd`` and ``eval``: ask a file of vectors."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from w2vjax.cli.output import columns, write_json
from w2vjax.errors import SettingError, UnknownWordError
from w2vjax.vectors.analogies import AnalogyScores, evaluate_word_analogies, three_cos_add, three_cos_mul
from w2vjax.vectors.evaluate import PairScores, evaluate_word_pairs
from w2vjax.vectors.formats import load

Record = dict[str, Any]
MEASURES = {"3cosadd": three_cos_add, "3cosmul": three_cos_mul}


def nn(
    vectors: Positional[Path],
    words: Positional[tuple[str, ...]] = (),
    topn: int = 10,
    restrict_vocab: int | None = None,
    json: str | None = None,
) -> int:
    """Show the nearest words: those whose vectors have the largest cosine with a word's vector.

    Without a word it asks for words, one or more on a line, until the input ends (Ctrl-D). Several words on one line
    are taken together: their mean. Several words on the command line are asked one after another.

    examples:
      w2vjax nn vectors.safetensors king
      w2vjax nn vectors.bin king queen --topn 5
      w2vjax nn vectors.txt king --json - | jq '.queries[0].neighbours[].word'
      w2vjax nn vectors.safetensors                      ask again and again
      w2vjax nn vectors.safetensors < words.txt          one query a line

    Args:
        vectors: File of vectors, in any format that `w2vjax convert` reads.
        words: Words to ask for.
        topn: How many words to show.
        restrict_vocab: Look among the first so many words only, the most frequent.
        json: Write JSON to this file, or to standard output with '-', which then carries nothing else.
    """
    loaded = load(vectors)

    def answer(query: Sequence[str]) -> Record:
        found = loaded.most_similar(list(query), topn=topn, restrict_vocab=restrict_vocab)
        return {"query": list(query), "neighbours": _answers(found, "similarity")}

    if words:
        batch = loaded.most_similar_batch(words, topn=topn, restrict_vocab=restrict_vocab)
        records = [
            {"query": [word], "neighbours": _answers(found, "similarity")}
            for word, found in zip(words, batch, strict=True)
        ]
        _show_all(records, json)
    else:
        records = _converse("word> ", answer, json)
    _finish("nn", vectors, records, json)
    return 0


def analogy(
    vectors: Positional[Path],
    words: Positional[tuple[str, ...]] = (),
    topn: int = 10,
    measure: Literal["3cosadd", "3cosmul"] = "3cosadd",
    restrict_vocab: int | None = None,
    json: str | None = None,
) -> int:
    """Answer "A is to B as C is to what?": the words nearest to B - A + C, leaving out the three.

    Without words it asks for three on a line, until the input ends (Ctrl-D).

    examples:
      w2vjax analogy vectors.safetensors man king woman           queen, if the vectors are good
      w2vjax analogy vectors.bin france paris italy --topn 3
      w2vjax analogy vectors.bin man king woman --measure 3cosmul
      w2vjax analogy vectors.safetensors                          ask again and again

    Args:
        vectors: File of vectors, in any format that `w2vjax convert` reads.
        words: The three words A, B and C.
        topn: How many words to show.
        measure: 3cosadd adds cosines (Mikolov et al. 2013), 3cosmul multiplies them (Levy and Goldberg 2014).
        restrict_vocab: Look among the first so many words only, the most frequent.
        json: Write JSON to this file, or to standard output with '-', which then carries nothing else.
    """
    if words:
        _three(words)
    loaded = load(vectors)

    def answer(query: Sequence[str]) -> Record:
        a, b, c = _three(query)
        if measure == "3cosadd":
            found, column = loaded.most_similar([b, c], [a], topn, restrict_vocab), "similarity"
        else:
            found, column = loaded.most_similar_cosmul([b, c], [a], topn, restrict_vocab), "score"
        return {"query": [a, b, c], "measure": measure, "neighbours": _answers(found, column)}

    if words:
        records = [answer(words)]
        _show_all(records, json)
    else:
        records = _converse("A B C> ", answer, json)
    _finish("analogy", vectors, records, json)
    return 0


def similarity(vectors: Positional[Path], words: Positional[tuple[str, ...]], json: str | None = None) -> int:
    """Show the cosine similarity of words, from -1 to 1: of two words one number, of more every pair.

    examples:
      w2vjax similarity vectors.safetensors cat dog
      w2vjax similarity vectors.bin cat dog tea coffee
      w2vjax similarity vectors.safetensors cat dog --json -

    Args:
        vectors: File of vectors, in any format that `w2vjax convert` reads.
        words: Two or more words.
        json: Write JSON to this file, or to standard output with '-', which then carries nothing else.
    """
    if len(words) < 2:
        raise SettingError(f"{len(words)} word given: there is nothing to compare it with. Give two or more.")
    loaded = load(vectors)
    pairs = [(a, b) for place, a in enumerate(words) for b in words[place + 1 :]]
    values = [loaded.similarity(a, b) for a, b in pairs]
    if json is not None:
        pairs_found = [
            {"words": list(pair), "similarity": value} for pair, value in zip(pairs, values, strict=True)
        ]
        write_json(json, {"command": "similarity", "vectors": str(vectors), "pairs": pairs_found})
    if json != "-":
        rows = [[f"{a} {b}", f"{value:.6f}"] for (a, b), value in zip(pairs, values, strict=True)]
        print(columns(rows) if len(rows) > 1 else rows[0][1])
    return 0


def odd(vectors: Positional[Path], words: Positional[tuple[str, ...]], json: str | None = None) -> int:
    """Show which word does not belong: the one farthest, by cosine, from the mean of all of them.

    examples:
      w2vjax odd vectors.safetensors breakfast cereal dinner lunch
      w2vjax odd vectors.bin cat dog tea horse --json -

    Args:
        vectors: File of vectors, in any format that `w2vjax convert` reads.
        words: Two or more words.
        json: Write JSON to this file, or to standard output with '-', which then carries nothing else.
    """
    found = load(vectors).doesnt_match(words)
    if json is not None:
        write_json(json, {"command": "odd", "vectors": str(vectors), "words": list(words), "odd": found})
    if json != "-":
        print(found)
    return 0


def evaluate(
    vectors: Positional[Path],
    pairs: tuple[Path, ...] = (),
    analogies: tuple[Path, ...] = (),
    restrict_vocab: int | None = 300_000,
    measure: Literal["3cosadd", "3cosmul", "both"] = "3cosadd",
    case_sensitive: bool = False,
    json: str | None = None,
) -> int:
    """Score vectors: correlation with people on word pairs, accuracy on analogies, and how much could be answered.

    A file of pairs has a line for each, "word TAB word TAB score" (wordsim353, SimLex-999). A file of analogies has
    four words a line under ": section" lines (questions-words.txt). A question with a word that the vectors lack is
    not answered; "over all" counts it as wrong, and such a pair as similarity 0. Exits 1 if a file had nothing that
    could be answered.

    examples:
      w2vjax eval vectors.safetensors --pairs wordsim353.tsv simlex999.tsv
      w2vjax eval vectors.bin --analogies questions-words.txt --restrict-vocab 30000 --measure both
      w2vjax eval vectors.safetensors --pairs wordsim353.tsv --json -

    Args:
        vectors: File of vectors, in any format that `w2vjax convert` reads.
        pairs: Files of scored word pairs.
        analogies: Files of analogy questions.
        restrict_vocab: Use the first so many words only, the most frequent; None uses all.
        measure: 3cosadd adds cosines (Mikolov et al. 2013), 3cosmul multiplies them (Levy and Goldberg 2014).
        case_sensitive: Tell capitals from small letters.
        json: Write JSON to this file, or to standard output with '-', which then carries nothing else.
    """
    if not pairs and not analogies:
        raise SettingError("There is nothing to evaluate on. Give --pairs FILE or --analogies FILE.")
    loaded = load(vectors)
    fold = {"case_insensitive": not case_sensitive}
    scored = [(path, evaluate_word_pairs(loaded, path, restrict_vocab, **fold)) for path in pairs]
    names = list(MEASURES) if measure == "both" else [measure]
    solved = [
        (path, name, evaluate_word_analogies(loaded, path, restrict_vocab, measure=MEASURES[name], **fold))
        for path in analogies
        for name in names
    ]
    if json is not None:
        record = {"command": "eval", "vectors": str(vectors), "restrict_vocab": restrict_vocab}
        record |= {"case_insensitive": not case_sensitive, "pairs": [_pairs_record(*each) for each in scored]}
        write_json(json, record | {"analogies": [_analogies_record(*each) for each in solved]})
    if json != "-":
        tables = [_pairs_table(scored)] if scored else []
        print("\n\n".join(tables + [_analogies_table(*each) for each in solved]))
    results = [(path, score.answered) for path, score in scored]
    results += [(path, score.overall.answered) for path, _, score in solved]
    nothing = [str(path) for path, answered in results if not answered]
    for path in dict.fromkeys(nothing):
        print(f"w2vjax eval: {path}: none of it could be answered with these vectors.", file=sys.stderr)
    return 1 if nothing else 0


def _three(words: Sequence[str]) -> Sequence[str]:
    if len(words) != 3:
        raise SettingError(
            f"An analogy takes three words, A is to B as C is to what; {len(words)} given: {' '.join(words)}."
        )
    return words


def _answers(found: Sequence[tuple[str, float]], column: str) -> list[Record]:
    return [{"word": word, column: value} for word, value in found]


def _converse(prompt: str, answer: Callable[[Sequence[str]], Record], json: str | None) -> list[Record]:
    """Answer each line of standard input as it comes; a mistake is told and the conversation goes on."""
    records = []
    for words in _lines(prompt):
        try:
            record = answer(words)
        except (UnknownWordError, SettingError) as error:
            print(error, file=sys.stderr)
            continue
        records.append(record)
        if json != "-":
            print(_neighbours(record), flush=True)
    return records


def _lines(prompt: str) -> Iterator[list[str]]:
    asked = sys.stdin.isatty()
    if asked:
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # its import gives input() a history and cursor keys
    while True:
        try:
            # A prompt on a pipe would end up among the answers.
            line = input(prompt) if asked else input()
        except (EOFError, KeyboardInterrupt):
            if asked:
                print()
            return
        if words := line.split():
            yield words


def _show_all(records: Sequence[Record], json: str | None) -> None:
    if json == "-":
        return
    for place, record in enumerate(records):
        if len(records) > 1:
            print(f"{os.linesep if place else ''}{' '.join(record['query'])}:")
        print(_neighbours(record))


def _finish(command: str, vectors: Path, records: Sequence[Record], json: str | None) -> None:
    if json is not None:
        write_json(json, {"command": command, "vectors": str(vectors), "queries": list(records)})


def _neighbours(record: Record) -> str:
    column = "score" if record.get("measure") == "3cosmul" else "similarity"
    rows = [[found["word"], f"{found[column]:.6f}"] for found in record["neighbours"]]
    return columns([["word", column], *rows])


def _pairs_record(path: Path, scores: PairScores) -> Record:
    return {"file": str(path), **scores._asdict(), "coverage": scores.coverage}


def _analogies_record(path: Path, measure: str, scores: AnalogyScores) -> Record:
    def section(part: Any) -> Record:
        figures = {"accuracy": part.accuracy, "accuracy_all": part.accuracy_all, "coverage": part.coverage}
        return {**part._asdict(), **figures}

    sections = [section(part) for part in scores.sections]
    return {"file": str(path), "measure": measure, "overall": section(scores.overall), "sections": sections}


def _pairs_table(scored: Sequence[tuple[Path, PairScores]]) -> str:
    rows = [
        [
            "word pairs",
            "spearman",
            "pearson",
            "over all: spearman",
            "pearson",
            "answered",
            "pairs",
            "coverage",
        ]
    ]
    for path, s in scored:
        values = (s.spearman, s.pearson, s.spearman_all, s.pearson_all)
        figures = ["-" if value != value else f"{value:.4f}" for value in values]
        rows.append([path.name, *figures, str(s.answered), str(s.total), f"{s.coverage:.1%}"])
    return columns(rows)


def _analogies_table(path: Path, measure: str, scores: AnalogyScores) -> str:
    rows = [
        [f"{path.name}, {measure}", "accuracy", "over all", "correct", "answered", "questions", "coverage"]
    ]
    for part in (*scores.sections, scores.overall):
        accuracy = f"{part.accuracy:.1%}" if part.answered else "-"
        counts = [str(part.correct), str(part.answered), str(part.total)]
        rows.append([part.section, accuracy, f"{part.accuracy_all:.1%}", *counts, f"{part.coverage:.1%}"])
    return columns(rows)
