from w2vjax.windows.cbow import cbow_block_batch as cbow_block_batch
from w2vjax.windows.cbow import cbow_counted_batch as cbow_counted_batch
from w2vjax.windows.cbow import cbow_counted_block_batch as cbow_counted_block_batch
from w2vjax.windows.cbow import cbow_lone_batch as cbow_lone_batch
from w2vjax.windows.sampling import draw_reach as draw_reach
from w2vjax.windows.sampling import full_reach as full_reach
from w2vjax.windows.sampling import keep_probabilities as keep_probabilities
from w2vjax.windows.sampling import keep_thresholds as keep_thresholds
from w2vjax.windows.sampling import subsample as subsample
from w2vjax.windows.skipgram import block_batch as block_batch
from w2vjax.windows.skipgram import fan_batch as fan_batch

__all__: list[str]
