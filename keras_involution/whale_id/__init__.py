"""Identification of animals from photographs: tables, embeddings, rankings, answers."""

from keras_involution.whale_id.augment import Augmentation as Augmentation
from keras_involution.whale_id.config import TrainConfig as TrainConfig
from keras_involution.whale_id.config import load_config as load_config
from keras_involution.whale_id.eda import write_eda as write_eda
from keras_involution.whale_id.embed import embed as embed
from keras_involution.whale_id.embeddings import Embeddings as Embeddings
from keras_involution.whale_id.evaluation import Evaluation as Evaluation
from keras_involution.whale_id.evaluation import evaluate as evaluate
from keras_involution.whale_id.heads import ArcFace as ArcFace
from keras_involution.whale_id.heads import SoftmaxHead as SoftmaxHead
from keras_involution.whale_id.heads import count_margins as count_margins
from keras_involution.whale_id.images import PhotographError as PhotographError
from keras_involution.whale_id.images import read_photograph as read_photograph
from keras_involution.whale_id.kernel_maps import kernel_maps as kernel_maps
from keras_involution.whale_id.metrics import auroc as auroc
from keras_involution.whale_id.metrics import average_precisions as average_precisions
from keras_involution.whale_id.metrics import cumulative_match as cumulative_match
from keras_involution.whale_id.metrics import map_at_5 as map_at_5
from keras_involution.whale_id.model import EmbeddingNetwork as EmbeddingNetwork
from keras_involution.whale_id.open_set import Calibration as Calibration
from keras_involution.whale_id.open_set import Threshold as Threshold
from keras_involution.whale_id.open_set import choose_threshold as choose_threshold
from keras_involution.whale_id.open_set import fit_calibration as fit_calibration
from keras_involution.whale_id.open_set import insert_new as insert_new
from keras_involution.whale_id.open_set import open_truths as open_truths
from keras_involution.whale_id.pooling import (
    GeneralizedMeanPooling2D as GeneralizedMeanPooling2D,
)
from keras_involution.whale_id.random_affine import RandomAffine as RandomAffine
from keras_involution.whale_id.report import Heatmaps as Heatmaps
from keras_involution.whale_id.report import write_report as write_report
from keras_involution.whale_id.retrieve import Index as Index
from keras_involution.whale_id.retrieve import Ranking as Ranking
from keras_involution.whale_id.retrieve import identify as identify
from keras_involution.whale_id.retrieve import rank_scores as rank_scores
from keras_involution.whale_id.retrieve import results_table as results_table
from keras_involution.whale_id.retrieve import write_results as write_results
from keras_involution.whale_id.runs import Run as Run
from keras_involution.whale_id.runs import load_run as load_run
from keras_involution.whale_id.splits import split_table as split_table
from keras_involution.whale_id.submission import pseudo_labels as pseudo_labels
from keras_involution.whale_id.submission import (
    read_sample_submission as read_sample_submission,
)
from keras_involution.whale_id.submission import submission_table as submission_table
from keras_involution.whale_id.submission import write_submission as write_submission
from keras_involution.whale_id.tables import Problem as Problem
from keras_involution.whale_id.tables import check_table as check_table
from keras_involution.whale_id.tables import clean_species as clean_species
from keras_involution.whale_id.tables import fix_table as fix_table
from keras_involution.whale_id.tables import from_wildlife as from_wildlife
from keras_involution.whale_id.tables import join_tables as join_tables
from keras_involution.whale_id.tables import read_coco as read_coco
from keras_involution.whale_id.tables import read_folder as read_folder
from keras_involution.whale_id.tables import read_kaggle as read_kaggle
from keras_involution.whale_id.tables import read_miewid as read_miewid
from keras_involution.whale_id.tables import read_table as read_table
from keras_involution.whale_id.tables import write_table as write_table
from keras_involution.whale_id.tfrecords import count_tfrecords as count_tfrecords
from keras_involution.whale_id.tfrecords import read_tfrecords as read_tfrecords
from keras_involution.whale_id.tfrecords import tfrecord_dataset as tfrecord_dataset
from keras_involution.whale_id.tfrecords import write_tfrecords as write_tfrecords
from keras_involution.whale_id.train import train as train
