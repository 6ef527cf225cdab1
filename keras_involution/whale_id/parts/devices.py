"""`whale-id embed --devices`: several processes, on this host or on several."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Sequence

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.distribution.hosts import Hosts
from keras_involution.distribution.launch import launch
from keras_involution.distribution.local import (
    available_cores,
    parted_threads,
    visible_gpus,
)
from keras_involution.whale_id.embeddings import check_free
from keras_involution.whale_id.parts.folder import Job, open_folder, remove_folder
from keras_involution.whale_id.parts.join import Joined, join_parts
from keras_involution.whale_id.runs import RunFiles

_LOOK_EVERY = 1.0
_CORES_A_PROCESS = 2


def embed_on_devices(
    job: Job,
    files: RunFiles,
    command: Callable[[str], Sequence[str]],
    devices: int | str = "auto",
    *,
    hosts: Hosts | None = None,
    timeout: float = 3600.0,
    force: bool = False,
) -> Joined | None:
    """Has the parts of a job written by several processes, and joins them.

    Parts that are there already are left as they are. Where a launcher has started
    several processes, on one host or on several with a folder that all of them see,
    each writes its share and the first one joins.

    Args:
        job: `Job`.
        files: `RunFiles` of the network.
        command: Function that makes the command of a worker from the share that it
            takes: `"any:NAME"` or `"PROCESS/PROCESSES"`.
        devices: Integer, processes on this host; `"auto"` takes one for each GPU, or
            without GPUs for every two cores.
        hosts: `Hosts`; `None` for what the environment says.
        timeout: Float, seconds that the first process waits for the next part of the
            others.
        force: Boolean, whether to replace a file and parts that are there.

    Returns:
        `Joined`; `None` in all processes but the first.

    Raises:
        ChildProcessError: If a process fails; the parts that are complete are kept.
        TimeoutError: If parts of the other processes do not come.
        ValueError: If `devices` or `timeout` makes no sense, there are fewer GPUs than
            processes, or the parts that are there belong to something else.
    """
    _arguments.not_negative(timeout, "timeout")
    hosts = hosts or Hosts.from_environment()
    check_free(job.table, job.out.suffix.lower())
    open_folder(job, force)
    if hosts.processes > 1:
        _start_share(job, command, hosts)
        if hosts.process:
            return None
        _wait_for_the_others(job, timeout)
    else:
        _start_all(job, command, number_of_processes(devices))
    joined = join_parts(job, files.head, force=force)
    remove_folder(job)
    return joined


def number_of_processes(devices: int | str) -> int:
    """How many `devices` stands for on this host.

    Raises:
        ValueError: If it is neither a positive integer nor `"auto"`.
    """
    if devices != "auto":
        return _arguments.positive_integer(devices, "devices")
    return len(visible_gpus()) or max(1, available_cores() // _CORES_A_PROCESS)


def _start_all(
    job: Job, command: Callable[[str], Sequence[str]], processes: int
) -> None:
    for claim in job.folder.glob("*.claim"):
        claim.unlink(missing_ok=True)
    missing = job.missing()
    if not missing:
        return
    processes = min(processes, len(missing))
    gpus = bool(visible_gpus())
    _launch(
        job,
        command(f"any:{secrets.token_hex(4)}"),
        processes,
        {} if gpus else parted_threads(processes),
        gpus,
    )


def _start_share(
    job: Job, command: Callable[[str], Sequence[str]], hosts: Hosts
) -> None:
    """The share of one process of several, in a process that sees its GPU alone."""
    gpus = visible_gpus()
    environment = {}
    if len(gpus) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[hosts.local_process % len(gpus)]
    share = f"{hosts.process}/{hosts.processes}"
    _launch(job, command(share), 1, environment, False)


def _launch(
    job: Job,
    command: Sequence[str],
    processes: int,
    environment: dict[str, str],
    gpus: bool,
) -> None:
    try:
        launch(
            command,
            processes,
            environment=environment,
            gpus=gpus,
            others_finish=True,
            output=sys.stderr,
        )
    except ChildProcessError as error:
        missing = len(job.missing())
        raise ChildProcessError(
            f"{job.count - missing} of {job.count} parts are written; the same command "
            f"goes on with the others. {error}"
        ) from error


def _wait_for_the_others(job: Job, timeout: float) -> None:
    before, since = -1, time.monotonic()
    while missing := job.missing():
        if len(missing) != before:
            before, since = len(missing), time.monotonic()
        if time.monotonic() - since > timeout:
            raise TimeoutError(
                f"{len(missing)} of {job.count} parts are missing, and for {timeout:g} "
                "seconds no other process has written one. The same command goes on "
                f"with them. {received(missing=missing[:20], folder=str(job.folder))}"
            )
        time.sleep(min(_LOOK_EVERY, timeout / 10))
