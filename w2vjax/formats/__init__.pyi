from w2vjax.formats.formats import load as load
from w2vjax.formats.formats import load_word2vec_format as load_word2vec_format
from w2vjax.formats.formats import save as save
from w2vjax.formats.formats import save_word2vec_format as save_word2vec_format
from w2vjax.formats.model_file import Model as Model
from w2vjax.formats.model_file import load_model as load_model
from w2vjax.formats.model_file import save_model as save_model
from w2vjax.vocabulary_file import read_vocabulary as read_vocabulary
from w2vjax.vocabulary_file import write_vocabulary as write_vocabulary

__all__: list[str]
