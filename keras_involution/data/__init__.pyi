# The public names; `__init__.py` imports each on first use.

from .collection import ImageCollection as ImageCollection
from .decoded import DecodedImages as DecodedImages
from .decoded import LabeledImages as LabeledImages
from .decoded import decode as decode
from .duplicates import find_duplicates as find_duplicates
from .images import ImageError as ImageError
from .images import read_image as read_image
from .open_collection import open_collection as open_collection
from .splits import read_split as read_split
from .splits import split_by_counts as split_by_counts
from .splits import split_by_fractions as split_by_fractions
from .splits import write_split as write_split
from .tfrecords import count_tfrecords as count_tfrecords
from .tfrecords import read_tfrecords as read_tfrecords
from .tfrecords import tfrecord_dataset as tfrecord_dataset
from .tfrecords import write_tfrecords as write_tfrecords
