"""Heat maps of the kernels that an involution generates."""

from keras_involution.visualization.heatmap_grid import heatmap_grid as heatmap_grid
from keras_involution.visualization.image_heatmaps import (
    image_heatmaps as image_heatmaps,
)
from keras_involution.visualization.kernel_heatmaps import (
    kernel_heatmaps as kernel_heatmaps,
)
from keras_involution.visualization.overlay import overlay as overlay
