"""Metrics of rankings, as reported in the literature."""

from keras_involution.whale_id.metrics.bootstrap import (
    bootstrap_interval as bootstrap_interval,
)
from keras_involution.whale_id.metrics.bootstrap import (
    paired_difference as paired_difference,
)
from keras_involution.whale_id.metrics.frames import (
    frame_distances as frame_distances,
)
from keras_involution.whale_id.metrics.images import (
    image_average_precisions as image_average_precisions,
)
from keras_involution.whale_id.metrics.open_class import auroc as auroc
from keras_involution.whale_id.metrics.open_class import baks as baks
from keras_involution.whale_id.metrics.open_class import baus as baus
from keras_involution.whale_id.metrics.ranks import (
    average_precisions as average_precisions,
)
from keras_involution.whale_id.metrics.ranks import (
    cumulative_match as cumulative_match,
)
from keras_involution.whale_id.metrics.ranks import map_at_5 as map_at_5
from keras_involution.whale_id.metrics.reliability import (
    calibration_error as calibration_error,
)
from keras_involution.whale_id.metrics.reliability import (
    plot_reliability as plot_reliability,
)
from keras_involution.whale_id.metrics.reliability import (
    reliability_table as reliability_table,
)
