"""Involution layers and RedNet image models for Keras 3."""

from keras_involution import distribution as distribution
from keras_involution import layers as layers
from keras_involution import models as models
from keras_involution import ops as ops
from keras_involution import visualization as visualization
from keras_involution.models import RedNet26 as RedNet26
from keras_involution.models import RedNet38 as RedNet38
from keras_involution.models import RedNet50 as RedNet50
from keras_involution.models import RedNet101 as RedNet101
from keras_involution.models import RedNet152 as RedNet152
from keras_involution.models import RedNetBackbone as RedNetBackbone
from keras_involution.models import RedNetImageClassifier as RedNetImageClassifier
from keras_involution.models import RedNetImageConverter as RedNetImageConverter

__version__ = "0.1.0"
