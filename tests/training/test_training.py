"""Schedules, learning rates per layer, averages, checkpoints."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.training import (
    averaged_weights,
    build_optimizer,
    build_schedule,
    load_checkpoint,
    save_checkpoint,
)
from keras_involution.training.schedules import SCHEDULES
from tests.marks import one_backend

OWN = [name for name in SCHEDULES if name.islower()]


def rates(name: str, steps=range(0, 101), **arguments) -> np.ndarray:
    schedule = build_schedule(name, 1.0, 100, warm_up_steps=20, **arguments)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    values = [float(schedule(step)) for step in steps]
    assert values == [float(again(step)) for step in steps]
    return np.array(values)


@pytest.mark.parametrize("name", OWN)
def test_every_schedule_rises_and_never_passes_its_rate(name):
    values = rates(name, steps_per_epoch=10)
    assert (np.diff(values[:20]) > 0).all() and values.max() <= 1 + 1e-6
    assert values[20] == pytest.approx(1)
    assert (np.diff(values[20:]) <= 1e-7).all()


def test_schedules_are_their_closed_forms():
    x = np.arange(81) / 80
    cosine = 0.01 + 0.99 * (1 + np.cos(np.pi * x)) / 2
    np.testing.assert_allclose(rates("cosine")[20:], cosine, atol=1e-6)
    np.testing.assert_allclose(rates("linear")[20:], 1 - 0.99 * x, atol=1e-6)
    polynomial = 0.01 + 0.99 * (1 - x) ** 3
    found = rates("polynomial", power=3.0)[20:]
    np.testing.assert_allclose(found, polynomial, atol=1e-6)
    exponential = 0.9 ** (np.arange(81) / 10)
    found = rates("exponential", steps_per_epoch=10)[20:]
    np.testing.assert_allclose(found, exponential, rtol=1e-5)
    step = rates("step")[20:]
    np.testing.assert_allclose(step[[0, 39, 50, 70, 80]], [1, 1, 0.1, 0.01, 0.01])
    np.testing.assert_allclose(rates("constant")[20:], 1)


def test_the_warm_up_is_a_line_that_begins_above_zero():
    np.testing.assert_allclose(rates("linear")[:20], np.arange(1, 21) / 20, rtol=1e-6)
    cosine = 0.05 + 0.95 * np.arange(21) / 20
    np.testing.assert_allclose(rates("cosine")[:21], cosine, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Received: schedule='wild'"):
        build_schedule("wild", 1.0, 10)
    with pytest.raises(ValueError, match="Received: warm_up_steps=10, steps=10"):
        build_schedule("cosine", 1.0, 10, warm_up_steps=10)
    with pytest.raises(ValueError, match="Received: optimizer='wild'"):
        build_optimizer("wild")
    with pytest.raises(TypeError, match=r"did you mean `momentum`\?.*momentun=1"):
        build_optimizer("sgd", momentun=1)
    with pytest.raises(TypeError, match=r"did you mean `power`\?.*Received: powr=1"):
        build_schedule("polynomial", 1.0, 10, powr=1)
    with pytest.raises(TypeError, match="`ExponentialLR` needs the argument `gamma`"):
        build_schedule("ExponentialLR", 1.0, 10)
    for count in (0, 2.5):
        with pytest.raises(
            ValueError, match=f"`step_size` .*Received: step_size={count}"
        ):
            build_schedule("StepLR", 1.0, 10, step_size=count)


@one_backend
@pytest.mark.parametrize(
    ("name", "kwargs"),
    (
        ("ExponentialLR", {"gamma": 0.8}),
        ("StepLR", {"step_size": 3, "gamma": 0.5}),
        ("LinearLR", {"start_factor": 0.25, "total_iters": 4}),
        ("LinearLR", {}),
        ("PolynomialLR", {"total_iters": 6, "power": 2.0}),
        ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ),
    ids=str,
)
def test_schedules_of_pytorch_have_its_rates(name, kwargs):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = getattr(torch.optim.lr_scheduler, name)(optimizer, **kwargs)
    expected = []
    for _ in range(10):
        expected += [optimizer.param_groups[0]["lr"]] * 4
        optimizer.step()
        theirs.step()
    ours = build_schedule(name, 0.3, 40, steps_per_epoch=4, **kwargs)
    found = [float(ours(step)) for step in range(40)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ours)
    )
    assert [float(again(step)) for step in range(40)] == found


@one_backend
@pytest.mark.parametrize(
    ("name", "kwargs"),
    (
        ("CosineDecay", {"alpha": 0.1}),
        ("ExponentialDecay", {"decay_rate": 0.5, "decay_steps": 10}),
        ("PiecewiseConstantDecay", {"boundaries": [10], "values": [1.0, 0.5]}),
        ("InverseTimeDecay", {"decay_rate": 0.5}),
    ),
)
def test_schedules_of_keras_have_their_arguments(name, kwargs):
    ours = build_schedule(name, 0.3, 40, **kwargs)
    theirs = getattr(keras.optimizers.schedules, name)
    if name != "PiecewiseConstantDecay":
        kwargs = {"initial_learning_rate": 0.3, "decay_steps": 40, **kwargs}
    for step in (0, 9, 20, 40):
        assert float(ours(step)) == pytest.approx(float(theirs(**kwargs)(step)))


@one_backend
def test_optimizers_are_those_of_keras_in_any_case():
    optimizer = build_optimizer("RMSprop", 0.5, rho=0.7, momentum=0.2, ema_decay=0.9)
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert (optimizer.rho, optimizer.momentum) == (0.7, 0.2)
    assert optimizer.use_ema and optimizer.ema_momentum == 0.9
    assert build_optimizer("sgd").nesterov
    assert not build_optimizer("SGD", nesterov=False).nesterov


def model_with_head(**arguments) -> keras.Model:
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, use_bias=False, name="body")(inputs)
    x = keras.layers.Dropout(0.5, seed=1)(x)
    outputs = keras.layers.Dense(2, use_bias=False, name="some_head")(x)
    model = keras.Model(inputs, outputs)
    arguments = {"multipliers": {"some_head/.*": 10.0}, **arguments}
    name = arguments.pop("name", "sgd")
    rate = arguments.pop("rate", 1e-3)
    model.compile(build_optimizer(name, rate, **arguments), "mse")
    return model


def batch(number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(number)
    return random.standard_normal((8, 4)), random.standard_normal((8, 2))


@pytest.mark.parametrize("name", ("sgd", "adam", "adamw"))
def test_the_head_learns_ten_times_as_fast(name):
    models = [
        model_with_head(name=name, multipliers=multipliers)
        for multipliers in (None, {"some_head/.*": 10.0})
    ]
    models[1].set_weights(models[0].get_weights())
    before = models[0].get_weights()
    for model in models:
        model.train_on_batch(*batch())
    body, head = ([m.get_weights()[i] - before[i] for m in models] for i in (0, 1))
    np.testing.assert_allclose(body[1], body[0], atol=1e-7)
    np.testing.assert_allclose(head[1], 10 * head[0], rtol=1e-3, atol=1e-6)


def test_gradients_are_clipped():
    model = model_with_head(clip_norm=1e-3, momentum=0.0, rate=1.0, multipliers=None)
    before = model.get_weights()
    model.train_on_batch(*batch())
    change = [b - a for a, b in zip(before, model.get_weights())]
    norm = np.sqrt(sum((c**2).sum() for c in change))
    assert norm == pytest.approx(1e-3, rel=1e-2)


def test_the_averages_stand_in_for_the_weights():
    model = model_with_head(ema_decay=0.5, rate=0.1)
    values = []
    for number in range(4):
        model.train_on_batch(*batch(number))
        values.append(model.get_weights())
    expected = values[0]
    for value in values[1:]:
        expected = [0.5 * e + 0.5 * v for e, v in zip(expected, value)]
    state = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    with averaged_weights(model):
        inside = model.get_weights()
    for one, two in zip(inside, expected):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    for one, two in zip(model.get_weights(), values[-1]):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(model.optimizer.variables, state):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), two)


@pytest.mark.parametrize("name", ("sgd", "adamw"))
def test_a_checkpoint_holds_all_that_matters(name, tmp_path):
    path = tmp_path / "checkpoint.npz"
    model = model_with_head(name=name, ema_decay=0.9)
    for number in range(3):
        model.train_on_batch(*batch(number))
    save_checkpoint(path, model, {"step": 3})
    expected = [float(model.train_on_batch(*batch(n))) for n in range(3, 6)]
    again = model_with_head(name=name, ema_decay=0.9)
    assert load_checkpoint(path, again) == {"step": 3}
    found = [float(again.train_on_batch(*batch(n))) for n in range(3, 6)]
    assert found == expected
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    model = model_with_head()
    model.train_on_batch(*batch())
    save_checkpoint(path, model, {"step": 1})
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model, {"step": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    model = model_with_head()
    model.train_on_batch(*batch())
    save_checkpoint(path, model, {})
    with pytest.raises(ValueError, match="another model"):
        load_checkpoint(path, model_with_head(ema_decay=0.9))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="The checkpoint cannot be read: "):
        load_checkpoint(path, model)
