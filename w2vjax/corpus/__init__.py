"""Text to ids: from files to one flat array of word ids on disk, in one pass over the text.

    text --blocks--> bytes --scan--> first-seen ids on disk --Vocab--> ids [N] int32, starts [lines]
    int64

The whole of it is one call::

    corpus = w2v.prepare(source, cache_dir, min_count=5, max_vocab=None, tokenizer=None)
    corpus.vocab    Vocab: words (tuple of str), counts [V] int64, by count descending, then by first occurrence
    corpus.ids      np.memmap [N] int32, read-only: one entry for every kept token, in the order of the text
    corpus.starts   np.memmap [S] int64, read-only, rising: where in ids the lines begin (those that keep a token)
    corpus.report   Report: lines, words and tokens, kept and dropped
    corpus.digest   SHA-256 of the vocabulary, ids and starts: what a checkpoint compares

and its two halves, for a vocabulary that is shared, saved or loaded::

    vocab = w2v.build_vocab(source, min_count=5, max_vocab=None, tokenizer=None)
    encoded = corpus.encode.encode(source, vocab, path)             ids in path, starts in path + ".starts"
    vocab.save(path); Vocab.load(path)                             word2vec's vocabulary file: a word and a count a line
    vocab["king"]; "king" in vocab; len(vocab); vocab.words[7]; vocab.lookup(["king", "queen"]) ->
    ids [2] int32

Words that belong together are joined before training by ``w2v.phrases(source, ...)``, whose
``lines()`` are a source again. Files that are not quite right are read with
``reading=Reading(errors="replace", max_expansion=1000)``.

A source is: a path (plain text, .gz, .bz2, .xz, .zst, or a folder, read recursively in sorted
order), "-" for standard input, a list of paths, None for the built-in text, or any iterable of
token lists. A line is one document or sentence; windows do not cross lines. A file that is one
endless line has starts = [0].

A word, to the default tokenizer, is a longest run of bytes above 0x20: space, tab, newline,
carriage return and the other control characters, NUL among them, separate words. A line ends at a
newline (so CRLF is one line end) and at the end of a file. Files are UTF-8; a byte-order mark at
the start of a file is dropped.
"""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
