"""Importing this module registers RedNet with keras-hub.

`import keras_involution` alone is enough for
`keras_hub.models.ImageClassifier.from_preset` to load the presets of this package, and
for this package to load presets saved by keras-hub. Importing this module also enables
`from_preset` of `Backbone`, `ImageConverter` and `ImageClassifierPreprocessor`. All
four accept folders, `hf://` handles and built-in names. `RedNetBackbone` also becomes a
feature-pyramid backbone for the detectors and segmenters of keras-hub. Two classes add
the involution neck to its RetinaNet.

Preset files are the same with and without this module. Classifiers of keras-hub have no
`class_names`, so presets saved by keras-hub do not contain them.
`RedNetImageClassifier.from_preset(folder, class_names=names)` restores them.
"""

from keras_involution.integrations.keras_hub._backbone import (
    RedNetBackbone as RedNetBackbone,
)
from keras_involution.integrations.keras_hub._presets import register_presets
from keras_involution.integrations.keras_hub._retinanet import (
    InvolutionRetinaNetBackbone as InvolutionRetinaNetBackbone,
)
from keras_involution.integrations.keras_hub._retinanet import (
    InvolutionRetinaNetObjectDetector as InvolutionRetinaNetObjectDetector,
)

register_presets(RedNetBackbone)
del register_presets
