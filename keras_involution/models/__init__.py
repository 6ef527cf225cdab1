"""RedNet models, and necks and heads for detectors."""

from keras_involution.models.cost import Cost as Cost
from keras_involution.models.cost import LayerCost as LayerCost
from keras_involution.models.cost import model_cost as model_cost
from keras_involution.models.data_parallel import (
    DataParallelModel as DataParallelModel,
)
from keras_involution.models.feature_pyramid import (
    InvolutionFeaturePyramid as InvolutionFeaturePyramid,
)
from keras_involution.models.fused_inference import (
    fuse_for_inference as fuse_for_inference,
)
from keras_involution.models.involution_tower import InvolutionTower as InvolutionTower
from keras_involution.models.predictions import Prediction as Prediction
from keras_involution.models.predictions import Predictions as Predictions
from keras_involution.models.rednet_backbone import RedNetBackbone as RedNetBackbone
from keras_involution.models.rednet_depths import RedNet26 as RedNet26
from keras_involution.models.rednet_depths import RedNet38 as RedNet38
from keras_involution.models.rednet_depths import RedNet50 as RedNet50
from keras_involution.models.rednet_depths import RedNet101 as RedNet101
from keras_involution.models.rednet_depths import RedNet152 as RedNet152
from keras_involution.models.rednet_image_classifier import (
    RedNetImageClassifier as RedNetImageClassifier,
)
from keras_involution.models.rednet_image_converter import (
    RedNetImageConverter as RedNetImageConverter,
)
