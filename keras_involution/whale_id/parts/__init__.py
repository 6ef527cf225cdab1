"""Embeddings of a large table in parts, by several processes, joined at the end."""

from keras_involution.whale_id.parts.devices import (
    embed_on_devices as embed_on_devices,
)
from keras_involution.whale_id.parts.folder import Job as Job
from keras_involution.whale_id.parts.folder import build_job as build_job
from keras_involution.whale_id.parts.folder import open_folder as open_folder
from keras_involution.whale_id.parts.join import join_parts as join_parts
from keras_involution.whale_id.parts.work import share_of as share_of
from keras_involution.whale_id.parts.work import write_parts as write_parts
