# The public names; `__init__.py` imports each on first use.

from .catalog import apply_decisions as apply_decisions
from .catalog import read_decisions as read_decisions
from .catalog import undo_decisions as undo_decisions
from .config import TrainConfig as TrainConfig
from .config import load_config as load_config
from .eda import write_eda as write_eda
from .embeddings import Embeddings as Embeddings
from .embeddings import RaggedArray as RaggedArray
from .embeddings import Shards as Shards
from .embeddings import embed as embed
from .evaluation import Evaluation as Evaluation
from .evaluation import evaluate as evaluate
from .heads import ArcFace as ArcFace
from .heads import SoftmaxHead as SoftmaxHead
from .heads import count_margins as count_margins
from .kernel_maps import kernel_maps as kernel_maps
from .metrics import auroc as auroc
from .metrics import average_precisions as average_precisions
from .metrics import cumulative_match as cumulative_match
from .metrics import map_at_5 as map_at_5
from .model import EmbeddingNetwork as EmbeddingNetwork
from .model import VectorNetwork as VectorNetwork
from .open_set import insert_new as insert_new
from .open_set import open_truths as open_truths
from .pooling import (
    GeneralizedMeanPooling2D as GeneralizedMeanPooling2D,
)
from .report import Heatmaps as Heatmaps
from .report import write_report as write_report
from .retrieve import Index as Index
from .retrieve import Ranking as Ranking
from .retrieve import identify as identify
from .retrieve import rank_scores as rank_scores
from .retrieve import results_table as results_table
from .retrieve import write_results as write_results
from .runs import Run as Run
from .runs import load_run as load_run
from .splits import split_table as split_table
from .submission import pseudo_labels as pseudo_labels
from .submission import (
    read_sample_submission as read_sample_submission,
)
from .submission import submission_table as submission_table
from .submission import write_submission as write_submission
from .tables import Problem as Problem
from .tables import check_table as check_table
from .tables import clean_species as clean_species
from .tables import fix_table as fix_table
from .tables import from_wildlife as from_wildlife
from .tables import join_tables as join_tables
from .tables import read_coco as read_coco
from .tables import read_folder as read_folder
from .tables import read_kaggle as read_kaggle
from .tables import read_miewid as read_miewid
from .tables import read_table as read_table
from .tables import write_table as write_table
from .train import train as train
