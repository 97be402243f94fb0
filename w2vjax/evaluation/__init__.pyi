from w2vjax.evaluation.analogies import evaluate_word_analogies as evaluate_word_analogies
from w2vjax.evaluation.analogies import three_cos_add as three_cos_add
from w2vjax.evaluation.analogies import three_cos_mul as three_cos_mul
from w2vjax.evaluation.readers import read_word_analogies as read_word_analogies
from w2vjax.evaluation.readers import read_word_pairs as read_word_pairs
from w2vjax.evaluation.word_pairs import evaluate_word_pairs as evaluate_word_pairs

__all__: list[str]
