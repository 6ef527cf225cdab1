"""Recipes, optimizers and learning rates by name, and checkpoints to resume from."""

from keras_involution.training.augmentation import Augmentation as Augmentation
from keras_involution.training.checkpoint import load_checkpoint as load_checkpoint
from keras_involution.training.checkpoint import save_checkpoint as save_checkpoint
from keras_involution.training.coupled_decay import (
    SGDWithCoupledDecay as SGDWithCoupledDecay,
)
from keras_involution.training.distillation import build_distiller as build_distiller
from keras_involution.training.distillation import (
    teacher_of_classes as teacher_of_classes,
)
from keras_involution.training.epoch_cosine import EpochCosine as EpochCosine
from keras_involution.training.optimizers import averaged_weights as averaged_weights
from keras_involution.training.optimizers import build_optimizer as build_optimizer
from keras_involution.training.recipe import Recipe as Recipe
from keras_involution.training.recipes import RECIPES as RECIPES
from keras_involution.training.schedules import RampSustainDecay as RampSustainDecay
from keras_involution.training.schedules import WarmUp as WarmUp
from keras_involution.training.schedules import build_schedule as build_schedule
from keras_involution.training.statistics import renew_statistics as renew_statistics
