"""Identification of animals from photographs: tables, embeddings, rankings, answers."""

from keras_involution.whale_id.embeddings import Embeddings as Embeddings
from keras_involution.whale_id.retrieve import Index as Index
from keras_involution.whale_id.retrieve import Ranking as Ranking
from keras_involution.whale_id.retrieve import identify as identify
from keras_involution.whale_id.retrieve import rank_scores as rank_scores
from keras_involution.whale_id.retrieve import results_table as results_table
from keras_involution.whale_id.retrieve import write_results as write_results
from keras_involution.whale_id.splits import split_table as split_table
from keras_involution.whale_id.tables import SPECIES as SPECIES
from keras_involution.whale_id.tables import UNKNOWN as UNKNOWN
from keras_involution.whale_id.tables import Problem as Problem
from keras_involution.whale_id.tables import check_table as check_table
from keras_involution.whale_id.tables import clean_species as clean_species
from keras_involution.whale_id.tables import fix_table as fix_table
from keras_involution.whale_id.tables import from_wildlife as from_wildlife
from keras_involution.whale_id.tables import read_coco as read_coco
from keras_involution.whale_id.tables import read_folder as read_folder
from keras_involution.whale_id.tables import read_kaggle as read_kaggle
from keras_involution.whale_id.tables import read_miewid as read_miewid
from keras_involution.whale_id.tables import read_table as read_table
from keras_involution.whale_id.tables import write_table as write_table
