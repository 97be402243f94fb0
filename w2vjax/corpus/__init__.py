"""Text to ids: from files to one flat array of word ids on disk, in one pass over the text.

    text --blocks--> bytes --scan--> numbers on disk --Vocab--> ids [N] int32, starts [S] int64

One call does all of it::

    corpus = w2v.prepare(source, cache_dir, min_count=5, max_vocab=None, tokenizer=None)
    corpus.vocab    Vocab: words and counts [V] int64, frequent words first
    corpus.ids      [N] int32, read-only memory map: every kept token, in the order of the text
    corpus.starts   [S] int64, read-only memory map, rising: the places in ids where lines begin
    corpus.report   Report: lines, words and tokens, kept and dropped
    corpus.digest   SHA-256 of the vocabulary, ids and starts, which a checkpoint compares

Its two halves are for a vocabulary that is shared, saved or loaded::

    vocab = w2v.build_vocab(source, min_count=5, max_vocab=None, tokenizer=None)
    vocab.save(path); Vocab.load(path)     a vocabulary file: a word and its count a line
    vocab["king"]; vocab.lookup(["king", "queen"])                     ids
    encoded = corpus.encode.encode(source, vocab, path)

A source is one of these:

- a path of a text file, plain or compressed (.gz, .bz2, .xz, .zst);
- a path of a folder, which is read with its folders in sorted order, without names that begin with
  a dot. A link to a folder, a pipe, a socket or a device in it is an error;
- "-" for standard input, a list of paths, or None for the built-in text;
- an iterable of token lists, such as the ``lines()`` of ``w2v.phrases(source)``.

``reading=Reading(...)`` reads another encoding, invalid text, or a folder without some of its
files. Files are UTF-8 if it names no other encoding. A byte order mark is dropped.

Files of more than 8 MiB in all are read by a thread for each core, at most 8, with an equal result.
A plain file is cut between words for that. A compressed file, or one in another encoding, has one
thread. Streams, token lists and a tokenizer of your own are read by the main thread alone.

To the default tokenizer a word is a longest sequence of bytes above 0x20. Space, tab, newline,
carriage return and the other control characters, also NUL, separate words. A line is one document
or sentence, and windows do not cross lines. A newline and the end of a file end a line. A file that
is one endless line has starts = [0].
"""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
