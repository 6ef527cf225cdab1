"""Ranks known animals by their similarity to photos."""

from keras_involution.whale_id.retrieve.identify import identify as identify
from keras_involution.whale_id.retrieve.index import Index as Index
from keras_involution.whale_id.retrieve.ranking import Ranking as Ranking
from keras_involution.whale_id.retrieve.ranking import rank_scores as rank_scores
from keras_involution.whale_id.retrieve.results import results_table as results_table
from keras_involution.whale_id.retrieve.results import write_results as write_results
