"""Tables of photos: reading, checking, repairing, writing."""

from keras_involution.whale_id.tables._columns import OPEN_CLASS as OPEN_CLASS
from keras_involution.whale_id.tables._columns import UNKNOWN as UNKNOWN
from keras_involution.whale_id.tables.check import Problem as Problem
from keras_involution.whale_id.tables.check import check_table as check_table
from keras_involution.whale_id.tables.coco import read_coco as read_coco
from keras_involution.whale_id.tables.fix import fix_table as fix_table
from keras_involution.whale_id.tables.folder import read_folder as read_folder
from keras_involution.whale_id.tables.join import join_tables as join_tables
from keras_involution.whale_id.tables.kaggle import read_kaggle as read_kaggle
from keras_involution.whale_id.tables.miewid import read_miewid as read_miewid
from keras_involution.whale_id.tables.read import read_table as read_table
from keras_involution.whale_id.tables.species import SPECIES as SPECIES
from keras_involution.whale_id.tables.species import clean_species as clean_species
from keras_involution.whale_id.tables.wildlife import from_wildlife as from_wildlife
from keras_involution.whale_id.tables.write import write_table as write_table
