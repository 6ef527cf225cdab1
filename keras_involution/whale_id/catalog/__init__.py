"""A catalog of animals, updated by the decisions of reviewers, with its history."""

from keras_involution.whale_id.catalog.apply import apply_decisions as apply_decisions
from keras_involution.whale_id.catalog.apply import undo_decisions as undo_decisions
from keras_involution.whale_id.catalog.decisions import read_decisions as read_decisions
from keras_involution.whale_id.catalog.history import history_path as history_path
from keras_involution.whale_id.catalog.history import read_history as read_history
from keras_involution.whale_id.catalog.history import write_history as write_history
