"""Animals that are not in the database."""

from keras_involution.whale_id.open_set.new_label import NEW_LABEL as NEW_LABEL
from keras_involution.whale_id.open_set.new_label import insert_new as insert_new
from keras_involution.whale_id.open_set.new_label import open_truths as open_truths
