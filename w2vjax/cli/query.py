"""``w2vjax nn``, ``analogy``, ``similarity`` and ``odd``: ask a file of vectors."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from w2vjax.cli.arguments import Count, Json, Number, SomeWords, VectorsFile, Words
from w2vjax.cli.output import answer, columns, write_json
from w2vjax.corpus.tokenizers import tokenize_whitespace
from w2vjax.errors import SettingError, UnknownWordError
from w2vjax.formats.formats import load
from w2vjax.processes.streams import standard_input
from w2vjax.vectors.vectors import Vectors, require_words

Record = dict[str, Any]
Reply = Callable[[Sequence[str]], Record]


def nn(
    vectors: VectorsFile,
    words: Words = (),
    topn: Count = 10,
    restrict_vocab: Number = None,
    json: Json = None,
) -> int:
    """Show the nearest words of a word: their vectors have the largest cosines with its vector.

    Examples:
      w2vjax nn vectors.bin king
      w2vjax nn vectors.bin king queen --topn 5
      w2vjax nn vectors.bin king --json - | jq '.queries[0].neighbours[].word'
      w2vjax nn vectors.bin                           asks for words
      w2vjax nn vectors.bin < words.txt               one query a line

    Each word on the command line is a query of its own. Without a word, the command reads queries
    from standard input until the input ends (Ctrl-D). Several words on one line are one query: the
    mean of their vectors. The exit code is 1 if a line of a file or a pipe has no answer.

    Args:
        words: Words to look up.
        topn: How many words to show.
        restrict_vocab: Search only the N most frequent words.
    """
    loaded = load(vectors)

    def reply(query: Sequence[str]) -> Record:
        require_words(loaded, query)
        found = loaded.most_similar(list(query), topn=topn, restrict_vocab=restrict_vocab)
        return {"query": list(query), "neighbours": _answers(found, "similarity")}

    if not words:
        return _finish("nn", vectors, _converse("word> ", reply, json), json)
    require_words(loaded, words)
    if len(words) * len(loaded) < 20_000_000:  # NumPy is done before JAX is imported
        batch = [loaded.most_similar(word, (), topn, restrict_vocab) for word in words]
    else:
        batch = loaded.most_similar_batch(words, topn=topn, restrict_vocab=restrict_vocab)
    records = [
        {"query": [word], "neighbours": _answers(found, "similarity")}
        for word, found in zip(words, batch, strict=True)
    ]
    return _finish("nn", vectors, _shown(records, json), json)


def analogy(
    vectors: VectorsFile,
    words: Words = (),
    topn: Count = 10,
    measure: Literal["3cosadd", "3cosmul"] = "3cosadd",
    restrict_vocab: Number = None,
    json: Json = None,
) -> int:
    """Answer "A is to B as C is to what?": the words nearest to B - A + C, without the three.

    Examples:
      w2vjax analogy vectors.bin man king woman       queen, if the vectors are good
      w2vjax analogy vectors.bin france paris italy --topn 3
      w2vjax analogy vectors.bin man king woman --measure 3cosmul
      w2vjax analogy vectors.bin                      asks for words

    Without words, the command reads three words a line from standard input until the input ends
    (Ctrl-D). The exit code is 1 if a line of a file or a pipe has no answer.

    Args:
        words: The three words A, B and C.
        topn: How many words to show.
        measure: 3cosadd adds cosines (Mikolov et al. 2013). 3cosmul multiplies them (Levy and
            Goldberg 2014).
        restrict_vocab: Search only the N most frequent words.
    """
    if words:
        _three(words)
    loaded = load(vectors)

    def reply(query: Sequence[str]) -> Record:
        a, b, c = _three(query)
        require_words(loaded, query)
        if measure == "3cosadd":
            found, column = loaded.most_similar([b, c], [a], topn, restrict_vocab), "similarity"
        else:
            found, column = loaded.most_similar_cosmul([b, c], [a], topn, restrict_vocab), "score"
        return {"query": [a, b, c], "measure": measure, "neighbours": _answers(found, column)}

    records = _shown([reply(words)], json) if words else _converse("A B C> ", reply, json)
    return _finish("analogy", vectors, records, json)


def similarity(vectors: VectorsFile, words: SomeWords, json: Json = None) -> int:
    """Show the cosine similarity of two words, from -1 to 1, or of each pair of more words.

    Examples:
      w2vjax similarity vectors.bin cat dog
      w2vjax similarity vectors.bin cat dog tea coffee
      w2vjax similarity vectors.bin cat dog --json -

    Args:
        words: Two or more words.
    """
    if len(words) < 2:
        raise SettingError(f"{_given(words)}, and a similarity is between words. Give two or more.")
    loaded = holding(vectors, words)
    pairs = [(a, b) for place, a in enumerate(words) for b in words[place + 1 :]]
    asked = [(pair, loaded.similarity(*pair)) for pair in pairs]
    rows = [[f"{a} {b}", f"{value:.6f}"] for (a, b), value in asked]
    found = [{"words": list(pair), "similarity": value} for pair, value in asked]
    record = {"command": "similarity", "vectors": str(vectors), "pairs": found}
    answer(json, record, columns(rows) if len(rows) > 1 else rows[0][1])
    return 0


def odd(vectors: VectorsFile, words: SomeWords, json: Json = None) -> int:
    """Show which word does not belong: its cosine with the mean of all words is the smallest.

    Examples:
      w2vjax odd vectors.bin breakfast cereal dinner lunch
      w2vjax odd vectors.bin cat dog tea horse --json -

    Args:
        words: Two or more words.
    """
    found = holding(vectors, words).doesnt_match(words)
    record = {"command": "odd", "vectors": str(vectors), "words": list(words), "odd": found}
    answer(json, record, found)
    return 0


def holding(source: Path, words: Sequence[str]) -> Vectors:
    """The vectors of a file. UnknownWordError names all of ``words`` that it lacks."""
    vectors = load(source)
    require_words(vectors, words)
    return vectors


def _three(words: Sequence[str]) -> Sequence[str]:
    if len(words) != 3:
        remedy = "Give three, A B C, to ask: A is to B as C is to what?"
        raise SettingError(f"{_given(words)}: {' '.join(words)}. {remedy}")
    return words


def _given(words: Sequence[str]) -> str:
    return f"{len(words)} word{'' if len(words) == 1 else 's'} given"


def _answers(found: Sequence[tuple[str, float]], column: str) -> list[Record]:
    return [{"word": word, column: value} for word, value in found]


def _converse(prompt: str, reply: Reply, json: str | None) -> list[Record]:
    """Answer each line of standard input as it comes. After a mistake the next line is read."""
    records = []
    for words in _lines(prompt):
        try:
            record = reply(words)
        except (UnknownWordError, SettingError) as error:
            print(error, file=sys.stderr)
            records.append({"query": list(words), "error": str(error)})
            continue
        records.append(record)
        if json != "-":
            if not _at_a_terminal():  # nobody sees the question beside its answer
                print(f"{' '.join(words)}:")
            print(_neighbours(record), flush=True)
    return records


def _at_a_terminal() -> bool:
    """Whether a person types the questions and sees the answers below them."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _lines(prompt: str) -> Iterator[list[str]]:
    """The words of each line of standard input that has some. A person gets a prompt."""
    standard_input()  # closed, it is refused; input() reads it
    if _at_a_terminal():
        with contextlib.suppress(ImportError):  # it gives input() a history and cursor keys
            importlib.import_module("readline")
    while True:
        try:
            if sys.stdin.isatty() and not sys.stdout.isatty():  # a prompt is no answer
                print(prompt, end="", file=sys.stderr, flush=True)
            line = input(prompt if _at_a_terminal() else "")
        except (EOFError, KeyboardInterrupt):
            if sys.stdin.isatty():
                print(file=sys.stderr)
            return
        # A file may begin with a byte order mark.
        if words := tokenize_whitespace(line.removeprefix("\ufeff")):
            yield words


def _shown(records: list[Record], json: str | None) -> list[Record]:
    """The records, printed for people."""
    for record in records if json != "-" else ():
        if len(records) > 1:
            print(f"{' '.join(record['query'])}:")
        print(_neighbours(record))
    return records


def _finish(command: str, vectors: Path, records: list[Record], json: str | None) -> int:
    """Write the records, and return the exit code.

    It is 1 if a question from a file or a pipe had no answer. A person at a terminal asks again.
    """
    if json is not None:
        write_json(json, {"command": command, "vectors": str(vectors), "queries": records})
    return int(any("error" in record for record in records) and not sys.stdin.isatty())


def _neighbours(record: Record) -> str:
    column = "score" if record.get("measure") == "3cosmul" else "similarity"
    rows = [[found["word"], f"{found[column]:.6f}"] for found in record["neighbours"]]
    return columns([["word", column], *rows])
