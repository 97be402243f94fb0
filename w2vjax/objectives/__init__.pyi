from w2vjax.objectives.hidden import embed as embed
from w2vjax.objectives.hidden import embed_backward as embed_backward
from w2vjax.objectives.hidden import embed_backward_undivided as embed_backward_undivided
from w2vjax.objectives.hidden import hidden_vectors as hidden_vectors
from w2vjax.objectives.huffman import hierarchical_softmax as hierarchical_softmax
from w2vjax.objectives.logistic import logistic_rows_backward as logistic_rows_backward
from w2vjax.objectives.logistic import logistic_rows_loss as logistic_rows_loss
from w2vjax.objectives.model import bounded_backward as bounded_backward
from w2vjax.objectives.model import bounded_by_weights as bounded_by_weights
from w2vjax.objectives.model import compose as compose
from w2vjax.objectives.model import gradient_norms as gradient_norms
from w2vjax.objectives.model import held_out_loss as held_out_loss
from w2vjax.objectives.model import per_example_backward as per_example_backward
from w2vjax.objectives.negative import negative_sampling as negative_sampling
from w2vjax.objectives.shared import shared_negatives as shared_negatives

__all__: list[str]
