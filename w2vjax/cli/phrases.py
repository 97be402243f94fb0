"""``w2vjax phrases``: join words that belong together, before training."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Optional

from w2vjax.cli import arguments
from w2vjax.cli.arguments import Corpus, Count, Files, Json, NewFileOrOutput, Text, shown
from w2vjax.cli.output import columns, write_json, write_lines
from w2vjax.corpus.neighbours import npmi_score, word2phrase_score
from w2vjax.corpus.phrases import ENGLISH_CONNECTORS, Phrases
from w2vjax.corpus.phrases import phrases as find
from w2vjax.errors import SettingError, whole_number

SCORES = {"word2phrase": word2phrase_score, "npmi": npmi_score}
Numbers = Annotated[tuple[float, ...], shown("X [X ...]")]
Connectors = Annotated[tuple[str, ...], shown("WORD [WORD ...]")]


@dataclass(frozen=True)
class Joining:
    """Which words are joined, and how.

    Args:
        score: How a pair is scored.
        threshold: Scores above this are joined: one number, or one for each pass.
            Default: 100 for word2phrase, 0.5 for npmi.
        passes: Number of passes over the text.
        min_count: Words that occur less often are not joined.
        connectors: Words that may stand inside a phrase, as in bill_of_rights. 'english' is a list
            of them.
        delimiter: What joins the words.
    """

    score: Literal["word2phrase", "npmi"] = "word2phrase"
    threshold: Numbers = ()
    passes: Count = 1
    min_count: Count = 5
    connectors: Connectors = ()
    delimiter: str = "_"


def phrases(
    corpus: Corpus = (),
    out: NewFileOrOutput = None,
    list_: Annotated[Optional[Path], Files.WRITTEN, shown("FILE", name="list")] = None,
    joining: Annotated[Joining, arguments.together] = Joining(),
    text: Text = arguments.TextOptions(),
    topn: Count = 20,
    json: Json = None,
) -> int:
    """Find words that stand together more often than by chance, and join them, as in new_york.

    Examples:
      w2vjax phrases text8 --out text8.phrases.txt
      w2vjax phrases corpus.txt.gz --passes 2 --threshold 200 100 --out out.txt
      w2vjax phrases corpus.txt --score npmi --threshold 0.6 --connectors english
      zcat corpus.gz | w2vjax phrases - --json -

    word2phrase scores a pair by (count(a b) - min_count) * tokens / (count(a) * count(b)). npmi is
    the normalised pointwise mutual information, from -1 to 1. Pairs above the threshold are joined
    from left to right. Two passes find phrases of up to four words.

    Args:
        corpus: Text files (plain, .gz, .bz2, .xz, .zst), folders, or - for standard input. Default:
            the built-in text.
        out: Write the corpus with its phrases joined to this file, line by line. With '-', write it
            to standard output, and the summary to standard error.
        list_: Write the phrases to this file: phrase, count, score, pass, with tabs between.
        topn: Number of phrases of each pass to print; 0 for none.
    """
    options, threshold = dict(vars(joining)), joining.threshold
    if not joining.delimiter:
        raise SettingError("delimiter='' would not join words. Use '_'.")
    whole_number("topn", topn, least=0)
    options["score"] = SCORES[joining.score]
    options["threshold"] = threshold[0] if len(threshold) == 1 else threshold or None
    if joining.connectors == ("english",):
        options["connectors"] = ENGLISH_CONNECTORS
    found = find(list(corpus) or None, **options, reading=text.reading(out, list_, json))
    if out == "-":
        write_lines(" ".join(line) for line in found.lines())
    elif out is not None:
        found.save_corpus(out)
    if list_ is not None:
        found.save_list(list_)
    if json is not None:
        fields = ("phrase", "count", "score")
        passes = [[dict(zip(fields, row, strict=True)) for row in rows] for rows in _rows(found)]
        write_json(json, {"command": "phrases", "tokens": len(found.ids), "passes": passes})
    if json != "-":
        print(_summary(found, topn, out), file=sys.stderr if out == "-" else sys.stdout)
    return 0


def _rows(found: Phrases) -> list[list[tuple[str, int, float]]]:
    """(phrase, count, score) of each phrase, for each pass."""
    join = found.delimiter.join
    return [[(join(parts), count, score) for parts, count, score in rules] for rules in found.found]


def _summary(found: Phrases, topn: int, out: str | None) -> str:
    """The phrases with the highest scores, a table for each pass."""
    lines = []
    for number, rules in enumerate(_rows(found), 1):
        lines.append(f"pass {number}: {len(rules):,} phrases above the threshold")
        rows = [(phrase, f"{count:,}", f"{score:.4g}") for phrase, count, score in rules[:topn]]
        if rows:
            lines.append(columns([("phrase", "count", "score"), *rows]))
    written = f", written to {out}" if out not in (None, "-") else ""
    return "\n".join([*lines, f"{len(found.ids):,} tokens with the phrases joined{written}"])
