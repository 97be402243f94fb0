from w2vjax.windows.cbow import cbow_block_batch as cbow_block_batch
from w2vjax.windows.cbow import cbow_single_batch as cbow_single_batch
from w2vjax.windows.cbow import cbow_weighted_batch as cbow_weighted_batch
from w2vjax.windows.cbow import cbow_weighted_block_batch as cbow_weighted_block_batch
from w2vjax.windows.sampling import draw_reach as draw_reach
from w2vjax.windows.sampling import full_reach as full_reach
from w2vjax.windows.sampling import keep_probabilities as keep_probabilities
from w2vjax.windows.sampling import keep_thresholds as keep_thresholds
from w2vjax.windows.sampling import subsample as subsample
from w2vjax.windows.skipgram import block_batch as block_batch
from w2vjax.windows.skipgram import to_center_batch as to_center_batch

__all__: list[str]
