"""Pictures of what an involution computes: its kernels as heat maps."""

from keras_involution.visualization.heatmap_grid import heatmap_grid as heatmap_grid
from keras_involution.visualization.kernel_heatmaps import (
    kernel_heatmaps as kernel_heatmaps,
)
from keras_involution.visualization.overlay import overlay as overlay
from keras_involution.visualization.photograph_heatmaps import (
    photograph_heatmaps as photograph_heatmaps,
)
