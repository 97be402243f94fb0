"""Going on from a finished model on new text, with the words of both."""

import jax
import jax.numpy as jnp
import numpy as np

from w2vjax.corpus.count import build_vocab, check_counts
from w2vjax.corpus.encode import Corpus, prepare
from w2vjax.corpus.sources import READING, Reading, Source, is_text, parts, sizes_of
from w2vjax.corpus.tokenizers import Tokenizer
from w2vjax.errors import SettingError
from w2vjax.files import AnyPath
from w2vjax.formats.model_file import load_model
from w2vjax.objectives.model import init_params
from w2vjax.types import Params
from w2vjax.vocab import Vocab


def continue_from(
    path: AnyPath,
    source: Source,
    min_count: int = 5,
    tokenizer: Tokenizer | None = None,
    seed: int = 0,
    trees: bool = False,
    reading: Reading = READING,
) -> tuple[Corpus, Params]:
    """Prepare new text and a finished model for ``train``.

    Old words keep their ids and rows, even those that the new text lacks. New words get fresh rows.
    Counts add up, so noise and subsampling follow both texts.

    Args:
        path: of the model, as ``save_model`` writes it.
        source: the new text. It is read twice.
        min_count: how often a new word has to occur. Known words count however rare they are.
        tokenizer: line -> words.
        seed: of the fresh rows.
        trees: the output table is to belong to a Huffman tree. The tree follows the counts, so all
            output rows, its inner nodes, start at 0 again. They also do for a model by trees.
        reading: how files are read.

    Returns:
        (corpus, params): the new text as ids of the grown vocabulary, and the tables [V, D].

    Raises:
        SettingError: the text cannot be read twice.
        CorpusError, FileError, FormatError: text or model cannot be read.

    >>> import tempfile
    >>> from w2vjax.formats.model_file import save_model
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/model.safetensors"
    >>> save_model(path, Params(jnp.eye(2), jnp.ones((2, 2))), ["a", "rose"], [3, 2])
    >>> corpus, params = continue_from(path, [["a", "rose", "is"], ["is", "it"]], min_count=2)
    >>> corpus.vocab.words, corpus.counts.tolist(), corpus.ids.tolist(), params.input.shape
    (('a', 'rose', 'is'), [4, 3, 2], [0, 1, 2, 2], (3, 2))
    >>> folder.cleanup()
    """
    if not _repeatable(source, reading):
        cause = "Going on needs a source that can be read twice"
        raise SettingError(f"{cause}. Pass files or a list of token lists.")
    check_counts(min_count, None)
    model = load_model(path)
    counts = np.ones(len(model.words), np.int64) if model.counts is None else model.counts
    new = build_vocab(source, 1, tokenizer=tokenizer, reading=reading)
    vocab = Vocab(model.words, counts).grow(new, min_count)
    dim, dtype = model.params.input.shape[1], model.params.input.dtype
    fresh = init_params(jax.random.key(seed), len(vocab) - len(model.words), dim, dtype)
    few = len(model.params.output) < len(counts)
    trees = trees or few or model.metadata.get("objective") == "hierarchical"
    output = jnp.zeros((0, dim), dtype) if trees else jnp.asarray(model.params.output)
    start = Params(
        jnp.concatenate([jnp.asarray(model.params.input), fresh.input]),
        jnp.concatenate([output, jnp.zeros((len(vocab) - len(output), dim), dtype)]),
    )
    return prepare(source, tokenizer=tokenizer, vocab=vocab, reading=reading), start


def _repeatable(source: Source, reading: Reading) -> bool:
    """Whether a source can be read twice: files and lists, but no pipe and no iterator."""
    if source is None or not is_text(source):
        return not hasattr(source, "__next__")
    return sizes_of(parts(source, reading)) is not None
