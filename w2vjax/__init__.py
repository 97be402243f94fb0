"""word2vec in JAX: pure functions, handwritten and proven gradients, fast on CPU and GPU.

>>> import w2vjax as w2v
>>> w2v.tokenize("Machine learning, again!")
['machine', 'learning', 'again']

Every public name is here, flat, and is loaded when it is first used: importing the package costs what importing JAX
costs, and no command line, plot or progress library.
"""

import importlib
from typing import Any

# module: the public names it holds
_NAMES: dict[str, tuple[str, ...]] = {
    "w2vjax.errors": ("W2VError", "SettingError", "IdError", "UnknownWordError", "CorpusError", "FormatError",
                      "FileError", "CheckpointError", "DivergedError",
                      "StoppedError"),
    "w2vjax.reference": ("tokenize", "mapping", "one_hot_encode", "training_pairs", "generate_training_data",
                         "init_network", "predict_context", "get_embedding"),
    "w2vjax.corpus.encode": ("Corpus", "Encoded", "encode", "prepare"),
    "w2vjax.corpus.neighbours": ("word2phrase_score", "npmi_score"),
    "w2vjax.corpus.phrases": ("ENGLISH_CONNECTORS", "Phrase", "Phrases", "phrases"),
    "w2vjax.corpus.sources": ("Reading",),
    "w2vjax.corpus.tokenizers": ("tokenize_whitespace",),
    "w2vjax.corpus.count": ("build_vocab",),
    "w2vjax.evaluation.analogies": ("evaluate_word_analogies", "three_cos_add", "three_cos_mul"),
    "w2vjax.evaluation.readers": ("read_word_pairs", "read_word_analogies"),
    "w2vjax.evaluation.word_pairs": ("evaluate_word_pairs",),
    "w2vjax.formats.formats": ("describe", "load", "save", "load_word2vec_format", "save_word2vec_format"),
    "w2vjax.formats.model_file": ("Model", "load_model", "save_model"),
    "w2vjax.gradcheck.check": ("GradientCheck", "check_gradients"),
    "w2vjax.ids": ("check_ids", "check_batch"),
    "w2vjax.objectives.hidden": ("embed", "hidden_vectors", "embed_backward", "embed_backward_undivided"),
    "w2vjax.objectives.huffman": ("hierarchical_softmax",),
    "w2vjax.objectives.logistic": ("logistic_rows_loss", "logistic_rows_backward"),
    "w2vjax.objectives.model": ("init_params", "forward", "cross_entropy", "backward", "to_dense", "compose",
                                "per_example_backward", "held_out_loss", "bounded_backward", "bounded_by_weights"),
    "w2vjax.objectives.negative": ("negative_sampling",),
    "w2vjax.objectives.shared": ("shared_negatives",),
    "w2vjax.objectives.softmax": ("softmax",),
    "w2vjax.pictures.html": ("write_html",),
    "w2vjax.pictures.plot": ("plot_map", "plot_analogy", "plot_heatmap"),
    "w2vjax.pictures.plot_loss": ("plot_loss",),
    "w2vjax.pictures.projection": ("Projection", "pca", "tsne"),
    "w2vjax.training.continued": ("continue_from",),
    "w2vjax.training.held_out": ("evaluate_held_out",),
    "w2vjax.training.loop": ("Trained", "train"),
    "w2vjax.training.setup": ("Run", "set_up"),
    "w2vjax.training.plan": ("Plan", "plan"),
    "w2vjax.training.settings": ("Settings",),
    "w2vjax.training.step": ("Recipe", "State", "chunk_key", "chunk_seed", "compile_chunk", "gradient_step",
                             "train_chunk"),
    "w2vjax.training.updates": ("apply_gradients", "coalesce", "dense", "row_adagrad", "row_sgd"),
    "w2vjax.types": ("Params", "Rows", "Inputs", "Batch", "Targets", "Objective"),
    "w2vjax.vectors.vectors": ("Vectors",),
    "w2vjax.vocab": ("Vocab",),
    "w2vjax.vocabulary_file": ("read_vocabulary", "write_vocabulary"),
    "w2vjax.windows.blocks": ("block_batch",),
    "w2vjax.windows.cbow": ("cbow", "cbow_batch", "cbow_block_batch", "cbow_run_batch", "cbow_lone_batch",
                            "cbow_counted_batch", "cbow_counted_run_batch"),
    "w2vjax.windows.sampling": ("draw_reach", "full_reach", "keep_probabilities", "keep_thresholds", "subsample"),
    "w2vjax.windows.fans": ("fan_batch",),
    "w2vjax.windows.pairs": ("pairs", "pair_batch"),
}  # fmt: skip
_MODULES = {"reference": "w2vjax.reference", "reference_ids": "w2vjax.reference.ids"}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted([*_HOME, *_MODULES])
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _HOME:
        raise AttributeError(f"module 'w2vjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
