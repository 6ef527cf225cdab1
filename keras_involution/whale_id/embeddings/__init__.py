"""Computes, stores and loads embeddings of photos.

`Embeddings` contains a table, one vector for each photo, and `extras`: further arrays
by name, with one row per photo (`np.ndarray`) or a varying number of rows per photo
(`RaggedArray`, such as keypoints and descriptors). Extras keep their dtype, such as
float16 or int8, and are memory-mapped from an `.npz` file. A collection whose
descriptors are larger than memory can therefore be opened and read in parts.

    keypoints = RaggedArray.of([array_of_first_photo, array_of_second, ...])
    Embeddings(features, table, extras={"keypoints": keypoints}).save("e.npz")
    Embeddings.load("e.npz").extras["keypoints"][1]  # of the second photo

`Shards` is a growing folder of `.npz` files: every file contains the embeddings of some
rows with their extras, and marks these rows as finished. `embed_table` fills it, in
this process or in several, and continues with the missing rows after an interruption.
The `extra` argument of `embed_rows` computes extras while photos are embedded.
"""

from keras_involution.whale_id.embeddings.embed import embed as embed
from keras_involution.whale_id.embeddings.embed import (
    embed_photos as embed_photos,
)
from keras_involution.whale_id.embeddings.embeddings import SUFFIXES as SUFFIXES
from keras_involution.whale_id.embeddings.embeddings import Embeddings as Embeddings
from keras_involution.whale_id.embeddings.embeddings import check_free as check_free
from keras_involution.whale_id.embeddings.ragged import RaggedArray as RaggedArray
from keras_involution.whale_id.embeddings.shards import Shards as Shards
