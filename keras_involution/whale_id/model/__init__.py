"""Networks that compute embeddings of photos."""

from keras_involution.whale_id.model.backbones import (
    INVOLUTION_BASELINE as INVOLUTION_BASELINE,
)
from keras_involution.whale_id.model.backbones import build_backbone as build_backbone
from keras_involution.whale_id.model.backbones import (
    involution_baseline as involution_baseline,
)
from keras_involution.whale_id.model.embedding_network import (
    EmbeddingNetwork as EmbeddingNetwork,
)
from keras_involution.whale_id.model.vector_network import (
    VectorNetwork as VectorNetwork,
)
