from w2vjax.pictures.html import write_html as write_html
from w2vjax.pictures.plot import plot_analogy as plot_analogy
from w2vjax.pictures.plot import plot_heatmap as plot_heatmap
from w2vjax.pictures.plot import plot_map as plot_map
from w2vjax.pictures.projection import Projection as Projection
from w2vjax.pictures.projection import pca as pca
from w2vjax.pictures.projection import tsne as tsne

__all__: list[str]
