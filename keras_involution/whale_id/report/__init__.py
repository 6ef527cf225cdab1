"""HTML reports in which a person reviews the answers."""

from keras_involution.whale_id.report.heatmaps import Heatmaps as Heatmaps
from keras_involution.whale_id.report.page import write_report as write_report
