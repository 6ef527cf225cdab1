"""RedNet as one of the families of keras-hub, once this module is imported.

After `import keras_involution` alone, `keras_hub.models.ImageClassifier.from_preset`
reads our presets, and we read what it saves. After the import of this module keras-hub
knows the family as its own: `Backbone`, `ImageConverter` and
`ImageClassifierPreprocessor` have their `from_preset` too, all four for folders,
`hf://` handles and our built-in names, and `RedNetBackbone` is a backbone with feature
pyramid for keras-hub's detectors and segmenters. Two classes put the involution neck
into its RetinaNet.

Presets stay the same files, read with and without this module. What keras-hub saves
has lost the `class_names`: its classifier knows none, so nobody could tell whether they
are still those of its head. `RedNetImageClassifier.from_preset(folder,
class_names=names)` gives them back.
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
