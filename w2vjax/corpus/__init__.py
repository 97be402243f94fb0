"""Text to ids: from files to one flat array of word ids on disk, in one pass over the text.

    text --blocks--> bytes --scan--> numbers on disk --Vocab--> ids [N] int32, starts [S] int64

One call does all of it::

    corpus = w2v.prepare(source, cache_dir, min_count=5, max_vocab=None, tokenizer=None)

Its two halves are for a vocabulary that is shared, saved or loaded::

    vocab = w2v.build_vocab(source, min_count=5, max_vocab=None, tokenizer=None)
    vocab.save(path); Vocab.load(path)     a vocabulary file: a word and its count a line
    vocab["king"]; vocab.lookup(["king", "queen"])                     ids
    encoded = corpus.encode.encode(source, vocab, path)

A source is one of these:

- a path of a text file, plain or compressed (.gz, .bz2, .xz, .zst), or "-" for standard input;
- a path of a folder, which is read with its folders in sorted order, without names that begin with
  a dot. A link to a folder, a pipe, a socket or a device in it is an error;
- a list of paths; None for the built-in text; or an iterable of token lists.

``reading=Reading(...)`` reads another encoding (UTF-8 is the default), invalid text, or a folder
without some of its files. A byte order mark is dropped.

A thread for each core reads files of more than 8 MiB in all, with an equal result. A plain file is
cut between words for that. A compressed file, or one in another encoding, has one thread. Streams,
token lists and a tokenizer of your own are read by the main thread alone.

To the default tokenizer a word is a longest sequence of bytes above 0x20. Space, tab, newline, NUL
and the other control characters separate words. A line is one document or sentence, and windows do
not cross lines. A newline and the end of a file end a line.
"""

from w2vjax.lazy import names_of

__all__, __getattr__ = names_of(__file__, globals())
