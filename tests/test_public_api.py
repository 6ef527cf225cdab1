"""The list of public names: a name that comes or goes must come or go here too."""

from __future__ import annotations

import types

import keras_involution

PUBLIC = {
    "keras_involution": {
        "RedNet26",
        "RedNet38",
        "RedNet50",
        "RedNet101",
        "RedNet152",
        "RedNetBackbone",
        "RedNetImageClassifier",
        "RedNetImageConverter",
    },
    "keras_involution.layers": {"Involution1D", "Involution2D", "Involution3D"},
    "keras_involution.ops": {"available_implementations", "involution"},
    "keras_involution.distribution": {
        "Distribution",
        "Hosts",
        "distribute",
        "launch",
        "scaled_learning_rate",
        "shard_dataset",
        "shard_files",
        "shard_rows",
        "simulate_devices",
    },
    "keras_involution.export": {"export_model", "run_exported"},
    "keras_involution.visualization": {
        "heatmap_grid",
        "kernel_heatmaps",
        "overlay",
        "photograph_heatmaps",
    },
    "keras_involution.hub": {
        "CardFacts",
        "CheckpointError",
        "Metric",
        "PresetError",
        "describe",
        "from_preset",
        "model_card",
        "pull_folder",
        "push_folder",
        "push_to_hub",
        "read_checkpoint",
        "save_to_preset",
    },
    "keras_involution.models": {
        "Cost",
        "InvolutionFeaturePyramid",
        "InvolutionTower",
        "LayerCost",
        "summary_of_cost",
        "RedNet26",
        "RedNet38",
        "RedNet50",
        "RedNet101",
        "RedNet152",
        "RedNetBackbone",
        "RedNetImageClassifier",
        "RedNetImageConverter",
    },
    "keras_involution.training": {
        "Augmentation",
        "EpochCosine",
        "RECIPES",
        "RampSustainDecay",
        "Recipe",
        "SGDWithCoupledDecay",
        "WarmUp",
        "averaged_weights",
        "build_distiller",
        "build_optimizer",
        "build_schedule",
        "load_checkpoint",
        "renew_statistics",
        "save_checkpoint",
        "teacher_of_classes",
    },
    "keras_involution.whale_id": {
        "ArcFace",
        "Augmentation",
        "Calibration",
        "EmbeddingNetwork",
        "Embeddings",
        "Evaluation",
        "GeneralizedMeanPooling2D",
        "Heatmaps",
        "Index",
        "PhotographError",
        "Problem",
        "RandomAffine",
        "Ranking",
        "Run",
        "SoftmaxHead",
        "Threshold",
        "TrainConfig",
        "auroc",
        "average_precisions",
        "check_table",
        "choose_threshold",
        "clean_species",
        "count_margins",
        "count_tfrecords",
        "cumulative_match",
        "embed",
        "evaluate",
        "fit_calibration",
        "fix_table",
        "from_wildlife",
        "identify",
        "insert_new",
        "join_tables",
        "kernel_maps",
        "load_config",
        "load_run",
        "map_at_5",
        "open_truths",
        "pseudo_labels",
        "rank_scores",
        "read_coco",
        "read_folder",
        "read_kaggle",
        "read_miewid",
        "read_photograph",
        "read_sample_submission",
        "read_table",
        "read_tfrecords",
        "results_table",
        "split_table",
        "submission_table",
        "tfrecord_dataset",
        "train",
        "write_eda",
        "write_report",
        "write_results",
        "write_submission",
        "write_table",
        "write_tfrecords",
    },
    "keras_involution.whale_id.metrics": {
        "auroc",
        "average_precisions",
        "baks",
        "baus",
        "bootstrap_interval",
        "cumulative_match",
        "frame_distances",
        "image_average_precisions",
        "map_at_5",
        "paired_difference",
    },
}


def public_names(module: types.ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


def test_public_names():
    for name, expected in PUBLIC.items():
        module = __import__(name, fromlist=["_"])
        assert public_names(module) == expected, name


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert keras_involution.__version__ == version("keras-involution")
