"""Pictures of what an involution computes: its kernels as heat maps."""

from keras_involution.visualization.kernel_heatmaps import (
    kernel_heatmaps as kernel_heatmaps,
)
from keras_involution.visualization.overlay import overlay as overlay
