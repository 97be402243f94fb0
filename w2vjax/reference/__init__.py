"""The model of the post, kept clear.

:mod:`w2vjax.reference.one_hot` takes one-hot vectors, and its functions have their names here too:
``w2vjax.reference.backward``. :mod:`w2vjax.reference.ids` takes ids.
"""

from w2vjax.reference.one_hot import Params as Params
from w2vjax.reference.one_hot import backward as backward
from w2vjax.reference.one_hot import cross_entropy as cross_entropy
from w2vjax.reference.one_hot import forward as forward
from w2vjax.reference.one_hot import generate_training_data as generate_training_data
from w2vjax.reference.one_hot import get_embedding as get_embedding
from w2vjax.reference.one_hot import gradient_step as gradient_step
from w2vjax.reference.one_hot import init_network as init_network
from w2vjax.reference.one_hot import mapping as mapping
from w2vjax.reference.one_hot import one_hot_encode as one_hot_encode
from w2vjax.reference.one_hot import predict_context as predict_context
from w2vjax.reference.one_hot import softmax as softmax
from w2vjax.reference.one_hot import tokenize as tokenize
from w2vjax.reference.one_hot import train as train
from w2vjax.reference.one_hot import training_pairs as training_pairs
