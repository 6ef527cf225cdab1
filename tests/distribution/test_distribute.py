"""Requested devices, rejected options, and the rows of each process."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNetBackbone
from keras_involution.distribution import (
    Hosts,
    distribute,
    scaled_learning_rate,
    shard_dataset,
    shard_files,
    shard_rows,
    simulate_devices,
)
from keras_involution.distribution._devices import Request
from keras_involution.distribution.data import ShardedDataset
from keras_involution.distribution.layout import (
    REDNET_LAYOUTS,
    FullyShardedLayouts,
    NamedLayouts,
)
from keras_involution.models import DataParallelModel
from keras_involution.training import Budget, Trainer
from tests.marks import one_backend

BACKEND = keras.config.backend()
AT = ("10.0.0.1:12355",)

ENVIRONMENTS = {
    "no launcher": ({}, (0, 1, None)),
    "torchrun": (
        {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a",
         "MASTER_PORT": "1"}, (3, 4, "a:1")),
    "KERAS_DISTRIBUTION": (
        {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2", "JOB_COMPLETION_INDEX": "1",
         "KERAS_DISTRIBUTION_JOB_ADDRESSES": "pod-0.svc:1"}, (1, 2, "pod-0.svc:1")),
    "TF_CONFIG": (
        {"TF_CONFIG": '{"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}, '
                      '"task": {"type": "worker", "index": 1}}'}, (2, 3, "a:1")),
    "SLURM": (
        {"SLURM_STEP_NODELIST": "gpu[08-10,12],login", "SLURM_STEP_NUM_TASKS": "5",
         "SLURM_PROCID": "2", "SLURM_JOB_ID": "20001"}, (2, 5, "gpu08:12356")),
    "a TPU slice": (
        {"TPU_WORKER_HOSTNAMES": "t0,t1", "TPU_WORKER_ID": "1"}, (1, 2, "t0:8476")),
}  # fmt: skip


@one_backend
@pytest.mark.parametrize("source", ENVIRONMENTS)
def test_launchers_are_read(source):
    environment, expected = ENVIRONMENTS[source]
    hosts = Hosts.from_environment(environment)
    assert (hosts.rank, hosts.world_size, hosts.coordinator) == expected
    assert hosts.source == source


@one_backend
def test_a_batch_script_of_slurm_is_one_process():
    """Its environment lists all tasks, but only srun starts them."""
    found = {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_NODELIST": "n[1-4]"}
    assert Hosts.from_environment(found).world_size == 1


@one_backend
@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "0", "WORLD_SIZE": "2"},
        {"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
        {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2"},
        {"TF_CONFIG": "{"},
        {"SLURM_STEP_NODELIST": "n1", "SLURM_PROCID": "x", "SLURM_STEP_NUM_TASKS": "2"},
    ],
)
def test_half_of_an_environment_is_an_error(environment):
    with pytest.raises(ValueError, match=r"variables are missing.*Received: source="):
        Hosts.from_environment(environment)


@one_backend
def test_devices_are_chosen():
    found = {"gpu": ["g0", "g1", "g2"], "cpu": ["c0"]}
    for asked, expected in {
        "auto": ("gpu", ["g0", "g1", "g2"]),
        2: ("gpu", ["g0", "g1"]),
        "1": ("gpu", ["g0"]),
        "cpu": ("cpu", ["c0"]),
        "gpu:2,gpu:0": ("gpu", ["g2", "g0"]),
    }.items():
        assert Request.of(asked).choose(found) == expected
    for wrong in ("gpus", "gpu:0,cpu:0", "gpu:0,gpu:0", 0, -1, True, "gpu:x", []):
        with pytest.raises(ValueError, match="Received"):
            Request.of(wrong)
    with pytest.raises(ValueError, match="it has 3 GPUs, 1 CPU"):
        Request.of(4).choose(found)


@one_backend
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 30])
def test_every_row_is_read_once(processes, count):
    parts = [shard_rows(count, Hosts(AT, processes, p)) for p in range(processes)]
    assert np.concatenate(parts).tolist() == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@one_backend
def test_files_and_streams_are_sharded():
    import grain

    hosts = [Hosts(AT, 3, process) for process in range(3)]
    files = [shard_files(list("abcdefg"), host) for host in hosts]
    assert sorted(name for part in files for name in part) == list("abcdefg")
    with pytest.raises(ValueError, match=r"one file per process.*Received: files=2"):
        shard_files(["a", "b"], hosts[0])
    streams = [shard_dataset(grain.MapDataset.range(7), host) for host in hosts]
    assert sorted(n for stream in streams for n in stream) == list(range(7))
    with pytest.raises(ValueError, match="must be a `grain"):
        shard_dataset([1, 2, 3], hosts[0])


@one_backend
def test_the_batches_of_all_processes_are_those_of_one():
    x = np.arange(23)
    whole = ShardedDataset((x, None, None), 6, Hosts(), shuffle=True, seed=4)
    parts = [
        ShardedDataset((x, None, None), 6, Hosts(AT, 3, p), shuffle=True, seed=4)
        for p in range(3)
    ]
    orders = []
    for _ in range(2):
        for step in range(len(whole)):
            pieces = [part[step][0] for part in parts]
            assert all(len(piece) == 2 for piece in pieces)
            assert np.concatenate(pieces).tolist() == whole[step][0].tolist()
        orders.append([whole[step][0].tolist() for step in range(len(whole))])
        for dataset in (whole, *parts):
            dataset.on_epoch_end()
    assert len(whole) == 3 and orders[0] != orders[1]
    later = ShardedDataset((x, None, None), 6, Hosts(), shuffle=True, seed=4, epoch=1)
    assert [later[step][0].tolist() for step in range(3)] == orders[1]
    with pytest.raises(ValueError, match="`batch_size` must be divisible"):
        ShardedDataset((x, None, None), 7, Hosts(AT, 3, 0), shuffle=True, seed=0)
    with pytest.raises(ValueError, match=r"rows for one batch. Received: rows=23"):
        ShardedDataset((x, None, None), 24, Hosts(), shuffle=True, seed=0)


@one_backend
def test_rates_grow_with_the_batch():
    assert scaled_learning_rate(0.1, 1024, 256) == pytest.approx(0.4)
    assert scaled_learning_rate(0.1, 1024, 256, "square_root") == pytest.approx(0.2)
    assert scaled_learning_rate(0.1, 1024, 256, "constant") == 0.1
    with pytest.raises(ValueError, match="`rule` must be one of"):
        scaled_learning_rate(0.1, 1024, 256, "cubic")


def test_what_the_backend_would_ignore_is_refused():
    if BACKEND != "jax":
        with pytest.raises(
            ValueError, match=r"Only JAX shards.*Received: strategy='model'"
        ):
            distribute(strategy="model")
    if BACKEND == "torch":
        with pytest.raises(ValueError, match="one process per device"):
            distribute(2)
        with pytest.raises(ValueError, match="one process per device"):
            simulate_devices(2)
    else:
        with pytest.raises(ValueError, match="not have these devices; it has 1 CPU"):
            distribute(2)
        with pytest.raises(ValueError, match="has already started computing"):
            simulate_devices(2)
    for arguments in (
        {"model_devices": 2}, {"layouts": {}}, {"strategy": "pipeline"},
        {"timeout": 0}, {"devices": "tpus"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="Received"):
            distribute(**arguments)
    if BACKEND == "tensorflow":
        with pytest.raises(ValueError, match="the address of every process"):
            distribute(hosts=Hosts(AT, 2, 0))


@pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="on PyTorch it is no error; JAX is asked in test_runs",
)
def test_a_model_from_outside_of_the_block_is_refused():
    image = keras.Input((2,))
    model = DataParallelModel(image, keras.layers.Dense(1)(image))
    model.compile("sgd", "mse")
    x = np.ones((4, 2), "float32")
    outside = r"outside the `with distribute\(\.\.\.\)` block.*Received: model="
    with distribute("cpu", verbose=False) as devices:
        data = devices.dataset(x, x[:, :1], batch_size=4)
        for use in (
            lambda: model.fit(data, verbose=0),
            lambda: model.train_on_batch(x, x[:, :1]),
            lambda: model.evaluate(x, x[:, :1], verbose=0),
            lambda: model.predict(x, verbose=0),
            lambda: model.predict_on_batch(x),
            lambda: devices.predict(model, x),
            lambda: Trainer(model, None, Budget(1, 1)).run(),
        ):
            with pytest.raises(ValueError, match=outside):
                use()
        inside = keras.models.clone_model(model)
        inside.compile("sgd", "mse")
        inside.fit(data, verbose=0)
    model.fit(x, x[:, :1], verbose=0)


def test_batches_that_cannot_be_shared_are_refused():
    with distribute("cpu", verbose=False) as devices:
        assert (
            devices.global_batch_size(8) == 8 == devices.global_batch_size(8, "global")
        )
        assert devices.learning_rate(0.1) == 0.1
        devices.hosts = Hosts(AT, 3, 1)
        assert not devices.is_main_process
        assert devices.global_batch_size(8) == 24
        assert devices.learning_rate(0.1) == pytest.approx(0.3)
        assert devices.learning_rate(0.1, rule="square_root") == pytest.approx(
            0.1732, 1e-3
        )
        with pytest.raises(
            ValueError, match=r"number of model copies.*batch_size=8, replicas=3"
        ):
            devices.dataset(np.ones((9, 1)), batch_size=8)


@pytest.fixture
def two_processes(monkeypatch):
    """Simulates the first of two PyTorch processes; returns the tensors it sums."""
    import torch.distributed

    summed: list = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, source: None)
    monkeypatch.setattr(torch.distributed, "all_reduce", summed.append)
    devices = distribute("cpu", verbose=False)
    devices.hosts = Hosts(AT, 2, 0)
    return devices, summed


def small(kind):
    inputs = keras.Input((2,))
    model = kind(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    return model


@one_backend
def test_what_every_process_would_train_by_itself_is_refused(two_processes):
    devices, _ = two_processes
    plain, model = small(keras.Model), small(DataParallelModel)
    x = np.ones((4, 2), "float32")
    data = devices.dataset(x, x[:, :1], batch_size=4)
    with devices:
        for wrong in (data, x):
            y = None if wrong is data else x[:, :1]
            with pytest.raises(ValueError, match=r"does not average.*world_size=2"):
                plain.fit(wrong, y, verbose=0)
        with pytest.raises(ValueError, match=r"would train on all rows.*Received: x="):
            model.fit(x, x[:, :1], verbose=0)
        model.fit(data, validation_data=(x, x[:, :1]), verbose=0)
        assert model.predict(x, verbose=0).shape == (4, 1)
        # After a step of our model, a plain model is still rejected.
        with pytest.raises(ValueError, match="does not average"):
            plain.train_on_batch(x, x[:, :1])


@one_backend
def test_nothing_of_keras_is_replaced(two_processes):
    devices, _ = two_processes
    before = {name: getattr(keras.Model, name) for name in dir(keras.Model)}
    model = small(DataParallelModel)
    x = np.ones((4, 2), "float32")
    with devices:
        model.train_on_batch(x, x[:, :1])
        assert before == {name: getattr(keras.Model, name) for name in dir(keras.Model)}
    names = {name for name, value in vars(model).items() if callable(value)}
    assert not names & {"fit", "train_step", "get_metrics_result", "predict"}
    assert "apply" not in vars(model.optimizer)


@one_backend
def test_a_model_that_is_compiled_again_trains_on_all_processes(two_processes):
    devices, summed = two_processes
    model = small(DataParallelModel)
    x = np.ones((4, 2), "float32")
    with devices:
        for rate in (0.1, 0.2):
            model.compile(keras.optimizers.SGD(rate), "mse")
            summed.clear()
            model.train_on_batch(x, x[:, :1])
            # Two weights, one bias, and sum and number of the losses.
            assert [tuple(t.shape) for t in summed] == [(5,)]


@one_backend
def test_keras_own_distribution_of_pytorch_is_used_where_it_answers(monkeypatch):
    """Keras 3.15 has none; this tests the interface of later versions."""
    entered = []

    class DataParallel:
        def __init__(self, devices, auto_shard_dataset):
            self.devices = devices

        def scope(self):
            import contextlib

            entered.append(self.devices)
            return contextlib.nullcontext()

    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    monkeypatch.setattr(keras.distribution, "DataParallel", DataParallel)
    with distribute("cpu", verbose=False):
        assert entered == [["cpu:0"]]


@one_backend
def test_layouts_follow_the_layer_names_and_the_shapes():
    class Mesh:
        axis_names, shape = ("batch", "model"), (2, 4)

    class Line:
        axis_names, shape = ("batch",), (4,)

    named = NamedLayouts(Mesh, REDNET_LAYOUTS)
    layouts = FullyShardedLayouts(Line)
    backbone = RedNetBackbone([64, 128], [1, 1], [1, 2], data_format="channels_last")
    axes = {v.path: named.axes(v.path, tuple(v.shape)) for v in backbone.variables}
    block = "stack0_block0_"
    assert axes[f"{block}1_conv/kernel"] == (None, None, None, "model")
    assert axes[f"{block}1_bn/gamma"] == ("model",)
    assert axes[f"{block}2_involution/reduce/kernel"] == (None, None, "model", None)
    # 4 groups of 49 weights: a group is not split.
    assert axes[f"{block}2_involution/span/kernel"] == (None, None, None, "model")
    assert axes[f"{block}3_conv/kernel"] == (None, None, "model", None)
    assert axes[f"{block}3_bn/gamma"] == (None,)
    # 18 outputs of the stem's involution are not divisible by 4.
    assert axes["stem_2_involution/span/kernel"] == (None, None, None, None)
    assert layouts.axes("w", (1, 1, 64, 256)) == (None, None, None, "batch")
    assert layouts.axes("w", (3, 3, 130, 6)) == (None, None, None, None)
    assert layouts.axes("w", (64,)) == (None,)
