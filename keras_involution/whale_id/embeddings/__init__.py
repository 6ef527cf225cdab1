"""Embeddings: what a network sees in photos, made, stored and read back.

`Embeddings` holds a table, one vector for each photo, and `extras`: further arrays
by name, with one row for each photo (`np.ndarray`) or with another number of rows
for each (`RaggedArray`, such as keypoints and descriptors). Extras keep their dtype, as
float16 or int8, and are mapped from an `.npz` file, so that a collection whose
descriptors are larger than the memory can be opened and read where it is needed.

    keypoints = RaggedArray.of([array_of_first_photo, array_of_second, ...])
    Embeddings(features, table, extras={"keypoints": keypoints}).save("e.npz")
    Embeddings.load("e.npz").extras["keypoints"][1]  # of the second photo

`Shards` is a folder of `.npz` files that grows: every file holds the embeddings of some
rows with their extras, and marks these rows as finished. `embed_table` fills it, in
this process or in several, and goes on with what is missing after it was interrupted.
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
