from w2vjax.corpus.count import build_vocab as build_vocab
from w2vjax.corpus.encode import Corpus as Corpus
from w2vjax.corpus.encode import Encoded as Encoded
from w2vjax.corpus.encode import prepare as prepare
from w2vjax.corpus.neighbours import npmi_score as npmi_score
from w2vjax.corpus.neighbours import word2phrase_score as word2phrase_score
from w2vjax.corpus.phrases import ENGLISH_CONNECTORS as ENGLISH_CONNECTORS
from w2vjax.corpus.phrases import Phrase as Phrase
from w2vjax.corpus.phrases import Phrases as Phrases
from w2vjax.corpus.sources import Reading as Reading
from w2vjax.corpus.tokenizers import tokenize_whitespace as tokenize_whitespace
from w2vjax.vocab import Vocab as Vocab

__all__: list[str]
