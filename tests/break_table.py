"""Defects that `tests/breaks.py` introduces, and the tests that must detect them.

Each is a realistic mistake in one place. `tests/test_break_table.py` checks that every
quoted text still occurs exactly once in its file.
"""

from __future__ import annotations

from dataclasses import dataclass

PACKAGE = "keras_involution"


@dataclass(frozen=True)
class Break:
    """A defect that is introduced by replacing text in a file.

    Args:
        name: String, description of the defect.
        file: String, path below the package.
        old: String, text that occurs once in the file.
        new: String, text that replaces it.
        tests: Tuple of strings, ids of tests below `tests/`, of which one must fail.
        tier: String, `"test"` or `"rest"`, the part of the suite with these tests.
        backend: String, the backend of Keras that the tests run on.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    tier: str = "test"
    backend: str = "torch"


_DEFINITION = "ops/test_implementations.py::test_equals_the_definition"
_DAMAGED = (
    "ops/test_kernel_cache.py::test_a_damaged_library_is_made_again_and_never_loaded"
)
_STRIDED = "8x7-k3x3-g2of8-s2-d1-last-float32"

_OPERATOR = [
    Break(
        "operator: the border ignores the dilation",
        "ops/_geometry.py",
        "(k - 1) // 2 * d for k, d in zip(self.kernel_size, self.dilation_rate)",
        "(k - 1) // 2 for k in self.kernel_size",
        (f"{_DEFINITION}[portable-6x5-k5x3-g2of8-s1-d(1,2)-last-float32]",),
    ),
    Break(
        "operator: the gradient of the inputs looks ahead",
        "ops/_sums.py",
        "back = [s - m for s, m in zip(start, geometry.steps(tap))]",
        "back = [s + m for s, m in zip(start, geometry.steps(tap))]",
        (f"{_DEFINITION}[native-{_STRIDED}]",),
        backend="jax",
    ),
    Break(
        "operator: the gradient of the kernels steps over one group of a row",
        "ops/_kernels_gradient.py",
        "start[-1] = start[-1] * geometry.groups",
        "start[-1] = start[-1]",
        (f"{_DEFINITION}[native-{_STRIDED}]",),
        backend="jax",
    ),
    Break(
        "operator in C++: a band of rows begins without its strides",
        "ops/_cpp/work.h",
        "plane.first = task.top * p.strides[1] - padding(p, 1);",
        "plane.first = task.top - padding(p, 1);",
        ("ops/test_cpp.py::test_beyond_what_fits_registers_and_cache",),
    ),
    Break(
        "operator in C++: the gradient of the kernels leaves out the last tap",
        "ops/_cpp/kernel_gradient.h",
        "for (; tap + count <= window.taps; tap += count) {",
        "for (; tap + count < window.taps; tap += count) {",
        (f"{_DEFINITION}[cpp-{_STRIDED}]",),
    ),
    Break(
        "cache of kernels: a digest is there, but not compared",
        "ops/_cpp/cache.py",
        "return digest.read_text() == _digest(path)",
        "return bool(digest.read_text())",
        (f"{_DAMAGED}[one bit]",),
        tier="rest",
    ),
]  # fmt: skip

_NETWORKS = [
    Break(
        "layer: its config has no momentum",
        "layers/_base.py",
        "            momentum=self.momentum,\n            epsilon=self.epsilon,\n"
        "            implementation=",
        "            epsilon=self.epsilon,\n            implementation=",
        ("layers/test_involution_2d.py::test_configuration_round_trip",),
    ),
    Break(
        "layer: fixed statistics are added with the wrong sign",
        "layers/_batch_normalization.py",
        "offset = -mean * scale",
        "offset = mean * scale",
        ("layers/test_fused_inference.py::test_equals_the_layers_one_after_the_other",),
    ),
    Break(
        "network: normalization with the epsilon of Keras",
        "models/rednet_blocks.py",
        "epsilon=1e-5,",
        "epsilon=1e-3,",
        ("models/test_published_values.py",),
    ),
    Break(
        "strict arguments: models accept those of layers in silence",
        "_strict.py",
        "(_OF_MODELS if issubclass(cls, keras.Model) else _OF_LAYERS)",
        "_OF_MODELS + _OF_LAYERS",
        ("models/test_strict_arguments.py::test_constructors",),
    ),
    Break(
        "converter: mean and variance of a checkpoint are exchanged",
        "models/rednet_names.py",
        '"running_mean", "running_var")',
        '"running_var", "running_mean")',
        ("models/test_published_values.py",),
    ),
    Break(
        "converter: height and width of a window are exchanged",
        "models/rednet_names.py",
        "_OUTPUTS_FIRST = {4: (2, 3, 1, 0)",
        "_OUTPUTS_FIRST = {4: (3, 2, 1, 0)",
        ("models/test_published_values.py",),
    ),
    Break(
        "images: the central crop is half a pixel off",
        "models/rednet_image_converter.py",
        "place = (steps + begin + 0.5) * (size / resized) - 0.5",
        "place = (steps + begin) * (size / resized)",
        ("models/test_published_evaluation.py::test_within_one_gray_level_of_opencv",),
    ),
    Break(
        "images: integers are cut off instead of rounded",
        "models/rednet_image_converter.py",
        "x = self.backend.numpy.round(x)",
        "x = self.backend.numpy.floor(x)",
        ("models/test_published_evaluation.py::test_lists_batches_and_floats",),
    ),
]  # fmt: skip

_HUB = [
    Break(
        "presets: a converter without a scale gets that of ImageNet",
        "hub/_format.py",
        'for key, neutral in (("scale", 1.0), ("offset", 0.0)):',
        'for key, neutral in (("scale", None), ("offset", None)):',
        ("hub/test_round_trip.py::test_a_converter_of_keras_hub_without_scale_leaves_the_values",),
    ),
    Break(
        "presets: a network larger than its weights is built",
        "hub/load.py",
        "if size < least:",
        "if not size:",
        ("hub/test_trust.py::test_a_network_larger_than_its_weights_is_not_built",),
    ),
    Break(
        "push: a commit replaces what came in between",
        "hub/push.py",
        "parent_commit=None if create_pr else info.sha,",
        "parent_commit=None,",
        ("hub/test_push.py::TestRefusals::test_somebody_else_pushed_meanwhile",),
    ),
    Break(
        "push: all files of the folder are sent",
        "hub/push.py",
        "if path.is_file() and is_preset_file(path.name)",
        "if path.is_file()",
        ("hub/test_push.py::TestFolder::test_only_the_files_of_a_preset",),
    ),
    Break(
        "pull: a cached file is not compared with the listing",
        "hub/client.py",
        "if path.is_file() and content.is_that_of(path):",
        "if path.is_file():",
        ("hub/test_pull.py::test_a_file_damaged_in_the_cache_is_fetched_again",),
    ),
    Break(
        "download: a short file of unknown length is accepted",
        "hub/_parts.py",
        "    if size < expected.least:",
        "    if not size:",
        ("hub/test_transfer.py::test_what_no_second_try_can_mend[file of 1000 bytes]",),
    ),
    Break(
        "download: the part of another file is continued",
        "hub/_parts.py",
        "whole != str(part.total) or _is_other(response, part):",
        "whole != str(part.total):",
        ("hub/test_transfer.py::test_a_part_of_another_file_is_not_continued",),
    ),
    Break(
        "download: the SHA-256 of a file that is there is not compared",
        "hub/published.py",
        "        else:\n            check(path)\n",
        "",
        ("hub/test_transfer.py::test_a_file_that_somebody_put_there",),
    ),
    Break(
        "checkpoints: a tensor may have one number more than its storage",
        "hub/checkpoints/torch_file.py",
        "if last >= storage.size and 0 not in shape:",
        "if last > storage.size and 0 not in shape:",
        ("hub/test_convert.py::test_tensors_larger_than_their_numbers",),
    ),
    Break(
        "checkpoints: the budget is that of the largest array alone",
        "hub/checkpoints/budget.py",
        "total = sum(array.nbytes for array in arrays.values())",
        "total = max((array.nbytes for array in arrays.values()), default=0)",
        ("hub/test_checkpoint_budget.py::test_a_shared_array_is_read_once",),
    ),
]  # fmt: skip

_TRAINING = [
    Break(
        "trainer: a checkpoint keeps the position where the run began",
        "training/trainer.py",
        "self.progress.data = _encoded(self.data.get_state())",
        "self.progress.data = _encoded(self._data_state)",
        ("training/test_trainer.py::test_a_run_is_resumed_with_the_same_losses_wherever_it_was_interrupted",),
    ),
    Break(
        "trainer: the averages are not what they were after an evaluation",
        "training/optimizers.py",
        "variables = [*model.trainable_variables, *model.optimizer.variables]",
        "variables = [*model.trainable_variables]",
        ("training/test_training.py::test_the_averages_stand_in_for_the_weights",),
    ),
    Break(
        "schedule: the warm-up begins with a rate of zero",
        "training/schedules.py",
        "line = self.learning_rate * (step + 1.0) / self.steps",
        "line = self.learning_rate * step / self.steps",
        ("training/test_training.py::test_the_warm_up_is_a_line_that_begins_above_zero",),
    ),
    Break(
        "batches: all epochs have one order",
        "training/batches.py",
        "np.random.default_rng((self.seed, 0, epoch))",
        "np.random.default_rng((self.seed, 0))",
        ("training/test_batches.py::test_an_epoch_has_every_image_once_in_an_order_of_its_own",),
    ),
    Break(
        "devices: two processes train on the same rows",
        "distribution/data.py",
        "start = step * self.batch_size + self.hosts.rank * self.local",
        "start = step * self.local + self.hosts.rank * self.local",
        ("distribution/test_distribute.py::test_the_batches_of_all_processes_are_those_of_one",),
    ),
    Break(
        "export: height and width are those of the example",
        "export/_writers.py",
        "dict.fromkeys(open_axes(spec), torch",
        "dict.fromkeys(open_axes(spec)[:1], torch",
        ("export/test_export.py::test_open_sizes",),
        tier="rest",
    ),
    Break(
        "commands: a missing file is a traceback",
        "_commands.py",
        "except (ValueError, OSError) as error:",
        "except ValueError as error:",
        ("test_commands.py::test_wrong_values_and_missing_files_are_messages",),
    ),
]  # fmt: skip

_WHALE_ID = [
    Break(
        "split: a gap as long as allowed begins another encounter",
        "whale_id/splits/encounters.py",
        "number = (step.isna() | (step > gap)).cumsum()",
        "number = (step.isna() | (step >= gap)).cumsum()",
        ("whale_id/test_splits.py::test_what_tells_no_encounters",),
    ),
    Break(
        "split: animals linked over a third one are torn apart",
        "whale_id/splits/_units.py",
        "sorted((root(animal), root(first.setdefault(name, animal))))",
        "sorted((animal, first.setdefault(name, animal)))",
        ("whale_id/test_splits.py::test_encounters_stay_together",),
    ),
    Break(
        "matching: pairs need not be mutual",
        "whale_id/local/matching.py",
        "(values >= self.min_similarity) & (values == best)",
        "values >= self.min_similarity",
        ("whale_id/test_local.py::test_pairs_are_mutual_and_similar_enough",),
    ),
    Break(
        "matching: as many pairs as fix a transform verify each other",
        "whale_id/local/matching.py",
        "if len(one) <= least or",
        "if len(one) < least or",
        ("whale_id/test_local.py::test_as_many_pairs_as_fix_a_transform_verify_nothing",),
    ),
    Break(
        "calibration: two outcomes are exchanged",
        "whale_id/fusion/calibration.py",
        "coefficients = np.concatenate([0 * coefficients, coefficients])",
        "coefficients = np.concatenate([coefficients, 0 * coefficients])",
        ("whale_id/test_fusion.py::test_probabilities_come_true_where_no_animal_is_new",),
    ),
    Break(
        "open set: the new label stands before animals with the same score",
        "whale_id/open_set/new_label.py",
        "order = np.argsort(-scores, axis=1, kind=\"stable\")",
        "order = np.argsort(scores, axis=1, kind=\"stable\")[:, ::-1]",
        ("whale_id/test_open_set.py::test_the_place_of_the_new_label",),
    ),
    Break(
        "ranking: a photo finds its own mirror image",
        "whale_id/retrieve/index.py",
        "similarities[row, self._places.get(name, [])] = -1",
        "similarities[row, self._places.get(name, [])[:1]] = -1",
        ("whale_id/test_retrieve.py::test_a_photo_is_not_its_own_candidate",),
    ),
    Break(
        "evaluation: animals with a photo of the encounter are left out",
        "whale_id/evaluation.py",
        "bool((known[places.get(animal, [])] != encounter).any())",
        "bool((known[places.get(animal, [])] != encounter).all())",
        ("whale_id/test_evaluation.py::test_encounters_apart",),
    ),
    Break(
        "server: the bytes of a finished request stay counted",
        "whale_id/serve/gate.py",
        "self.gate.held -= self.taken",
        "self.taken = 0",
        ("whale_id/test_serve.py::test_uploads_beyond_the_bytes_at_a_time_wait",),
    ),
]  # fmt: skip

BREAKS = [*_OPERATOR, *_NETWORKS, *_HUB, *_TRAINING, *_WHALE_ID]
