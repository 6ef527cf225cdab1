"""The Trainer with one dense layer: resuming, stopping, rejected runs, logs."""

from __future__ import annotations

import csv
import dataclasses
import shutil

import keras
import numpy as np
import pytest

from keras_involution.training import (
    Budget,
    Trainer,
    build_optimizer,
    save_checkpoint,
)
from keras_involution.training.logs import CsvLog
from keras_involution.training.optimizers import RateSetter
from keras_involution.training.progress_line import ProgressLine, clock


class Numbers:
    """Batches that depend only on the position, which is the state.

    The position differs from the number of steps, so resuming must restore the state.
    """

    def __init__(self) -> None:
        self.place, self.fractions = 0, []

    def seek(self, step, state) -> None:
        self.place = step if state is None else state["place"]

    def next_batch(self, fraction):
        self.fractions.append(fraction)
        random = np.random.default_rng(self.place)
        self.place += 2
        x = random.standard_normal((8, 4)).astype("float32")
        return x, x[:, :2] * 3 + 1

    def get_state(self):
        return {"place": self.place}

    def close(self) -> None:
        pass


def new_trainer(folder=None, budget=(3, 4), **options) -> Trainer:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.3, seed=5)(keras.layers.Dense(8)(inputs))
    outputs = keras.layers.Dense(2, name="some_head")(x)
    model = keras.Model(inputs, outputs)
    optimizer = build_optimizer(
        "adamw", 0.01, multipliers={"some_head/.*": 10.0}, ema_decay=0.9
    )
    model.compile(optimizer, "mse")
    rate = keras.optimizers.schedules.CosineDecay(0.05, 12)
    options = {"learning_rate": rate, **options}
    return Trainer(model, Numbers(), Budget(*budget), folder, **options)


def test_a_run_is_resumed_with_the_same_losses_wherever_it_was_interrupted(tmp_path):
    whole = new_trainer(tmp_path / "whole", checkpoint_steps=2)
    whole.logs = [CsvLog(tmp_path / "whole", 0)]
    seen: list[float] = []

    def on_step(progress):
        if progress.step in (2, 6, 7):  # The last step has no checkpoint.
            shutil.copytree(tmp_path / "whole", tmp_path / str(progress.step))

    whole.run(on_step)
    expected = losses(tmp_path / "whole")
    assert len(expected) == 12 and len(whole.progress.history) == 3
    for step, begins in ((2, 2), (6, 6), (7, 6)):
        folder = tmp_path / str(step)
        again = new_trainer(folder, checkpoint_steps=2)
        assert again.progress.step == begins
        again.logs = [CsvLog(folder, begins)]
        again.run()
        assert losses(folder) == expected
        seen.append(again.progress.history[-1]["loss"])
        for one, two in zip(whole.model.get_weights(), again.model.get_weights()):
            np.testing.assert_array_equal(one, two)
    assert set(seen) == {whole.progress.history[-1]["loss"]}


def test_an_interrupted_run_goes_on_when_it_is_run_again(tmp_path):
    def interrupt(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    new_trainer(tmp_path / "whole").run()
    trainer = new_trainer(tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt)
    trainer.run()
    whole, again = new_trainer(tmp_path / "whole"), new_trainer(tmp_path / "again")
    assert whole.progress.history[-1]["loss"] == again.progress.history[-1]["loss"]


def losses(folder) -> list[tuple[str, str, str]]:
    with (folder / "steps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["step"], row["loss"], row["learning_rate"]) for row in rows]


def test_what_is_evaluated_is_saved_and_has_the_averages():
    kept: list = []
    trainer = new_trainer()

    def evaluate(is_over):
        kept.append([trainer.model.get_weights()])
        return {"score": float([0.5, 0.9, 0.2][len(kept) - 1])}

    def save(is_best, is_over):
        kept[-1] += [trainer.model.get_weights(), is_best, is_over]

    trainer.evaluate, trainer.save, trainer.monitor = evaluate, save, "score"
    progress = trainer.run()
    assert [row[2:] for row in kept] == [[True, False], [True, False], [False, True]]
    for evaluated, saved, *_ in kept:
        for one, two in zip(evaluated, saved):
            np.testing.assert_array_equal(one, two)
    assert (progress.best, progress.best_epoch) == (0.9, 2)
    assert any((a != b).any() for a, b in zip(kept[-1][0], trainer.model.get_weights()))


def test_a_run_without_gain_stops():
    trainer = new_trainer(
        budget=(30, 2), evaluate=lambda is_over: {"score": 0.5}, monitor="score",
        patience=2,
    )  # fmt: skip
    progress = trainer.run()
    assert progress.step == 6 and progress.stopped == "no improvement since epoch 1"


def test_minutes_end_a_run_and_its_schedule_and_more_minutes_continue_it(tmp_path):
    short = new_trainer(tmp_path, (3, 4, 1e-7))
    assert short.run().step == 1 and len(short.progress.history) == 1
    line = ProgressLine(short.budget)
    line(short.progress)
    assert line.summary.startswith("epoch 1 of 3, loss ")
    longer = new_trainer(tmp_path)
    assert longer.run().step == 12
    fractions = longer.data.fractions
    np.testing.assert_allclose(fractions, np.arange(1, 12) / 12)


def test_the_head_keeps_its_multiple_of_every_rate():
    trainer = new_trainer()
    trainer.run()
    rates = [float(part.learning_rate) for part in trainer.model.optimizer.optimizers]
    assert rates[0] == pytest.approx(10 * rates[-1])
    assert rates[-1] == pytest.approx(float(trainer.learning_rate(11)), rel=1e-5)
    assert RateSetter(keras.optimizers.SGD(0.1)).factors == [1.0]


def test_other_settings_and_losses_that_are_no_numbers_are_refused(tmp_path):
    new_trainer(tmp_path, settings={"seed": 0, "size": 3}).run()
    with pytest.raises(ValueError, match=r"settings: seed=0\. Received: seed=1$"):
        new_trainer(tmp_path, settings={"seed": 1, "size": 3})
    diverged = new_trainer(learning_rate=lambda step: 1e30)
    with pytest.raises(ValueError, match=r"not finite.*Received: loss="):
        diverged.run()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"backend": "numpy"}, r"KERAS_BACKEND=numpy\. Received: backend='"),
        ({"hours": 3}, "The progress of the run cannot be read: .*hours"),
    ],
)
def test_a_run_of_another_backend_or_form_is_refused(tmp_path, changes, message):
    trainer = new_trainer(tmp_path)
    progress = dataclasses.asdict(trainer.progress) | changes
    save_checkpoint(trainer.path, trainer.model, progress)
    with pytest.raises(ValueError, match=message):
        new_trainer(tmp_path)


def test_another_number_of_processes_goes_on_behind_the_steps(tmp_path):
    trainer = new_trainer(tmp_path, checkpoint_steps=5)
    trainer.progress.world_size = 2  # As if two processes had shared the data.
    trainer.run(lambda progress: setattr(trainer.data, "place", 100))
    again = new_trainer(tmp_path)
    again.run()
    assert again.data.place == 12 and again.progress.world_size == 1


def test_seconds_as_people_write_them():
    assert [clock(s) for s in (5, 65, 3725.4)] == ["0:05", "1:05", "1:02:05"]
