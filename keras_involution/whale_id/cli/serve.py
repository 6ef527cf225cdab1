"""`whale-id serve`: answers over HTTP."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._options import (
    calibration_option,
    pairs_option,
    reduce_option,
    shortlist_option,
)

# Flag, field of `Limits`, default, and the limited quantity.
_LIMITS = (
    ("max-files", "files", 20, "Photos per request."),
    ("max-megabytes", "file_bytes", 30, "Size of a photo's file."),
    ("max-megapixels", "pixels", 60, "Size of a photo."),
    ("top", "top", 10, "Animals per answer."),
    ("max-waiting", "waiting", 200, "Photos that wait for the network."),
    ("max-connections", "connections", 500, "Open connections."),
    ("max-upload-megabytes", "upload_bytes", 1000, "Total size of open uploads."),
    ("header-seconds", "header_seconds", 10.0, "Time for the headers of a request."),
    ("body-seconds", "body_seconds", 120.0, "Time for the body of a request."),
    ("stall-seconds", "stall_seconds", 20.0, "Time between two pieces of a body."),
    ("keep-alive-seconds", "keep_alive_seconds", 15.0, "Idle time of a connection."),
    ("shutdown-seconds", "shutdown_seconds", 10.0, "Time to stop after SIGTERM."),
    ("decoders", "decoders", 2, "Processes that decode images."),
    ("decode-seconds", "decode_seconds", 5.0, "CPU time per image."),
    ("decode-megabytes", "decode_bytes", 1000, "Memory per image."),
)
_FIELDS = {flag.replace("-", "_"): field for flag, field, *_ in _LIMITS}
_SCALES = {name: 1_000_000 for name in _FIELDS if name.endswith("megabytes")}
_SCALES["max_megapixels"] = 1_000_000


def _limit_option(flag: str, _: str, default: float, words: str) -> Any:
    return cloup.option(f"--{flag}", default=default, help=words)


@cloup.command(cls=Command, extras=("serve",))
@click.argument("model")
@click.argument("database", type=click.Path(exists=True, dir_okay=False))
@cloup.option_group(
    "Server",
    cloup.option("--host", default="127.0.0.1", help="Address to listen on."),
    cloup.option(
        "--port",
        default=8000,
        type=click.IntRange(0, 65535),
        help="Port to listen on; 0 selects a free port.",
    ),
    cloup.option(
        "--token",
        envvar="WHALE_ID_TOKEN",
        help="Bearer token; better set in WHALE_ID_TOKEN.",
    ),
    cloup.option(
        "--allowed-host",
        "hosts",
        multiple=True,
        metavar="NAME",
        help="Additional host name that browsers may use for this server, besides its "
        "addresses, its host name and localhost; * allows all.",
    ),
    cloup.option(
        "--reload",
        is_flag=True,
        help="Reload DATABASE when the file changes.",
    ),
)
@cloup.option_group(
    "Answers",
    reduce_option,
    calibration_option(": enables probabilities and detection of new animals."),
    shortlist_option,
    pairs_option,
)
@cloup.option_group("Limits", *(_limit_option(*limit) for limit in _LIMITS))
def command(
    model: str,
    database: str,
    host: str,
    port: int,
    token: str | None,
    calibration: str | None,
    reduce: str,
    shortlist: int,
    pairs: str,
    reload: bool,
    hosts: tuple[str, ...],
    **limits: float,
) -> None:
    """Answer which animal a photo shows, over HTTP.

    MODEL is the folder of `whale-id train` or a preset (name, folder or
    hf://user/name). DATABASE is a file of `whale-id embed` with the known animals.
    If other machines can reach the server (--host), a token is required: `POST /match`,
    `GET /metrics` and the upload page at `/` require `Authorization: Bearer TOKEN`.
    `GET /health` needs no token.
    """
    with reported():
        if token is None and host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(
                "A server that others can reach needs a token: set WHALE_ID_TOKEN."
            )
        from keras_involution.whale_id import Embeddings
        from keras_involution.whale_id.fusion import FusionCalibration
        from keras_involution.whale_id.runs import load_run
        from keras_involution.whale_id.serve import (
            Limits,
            Matcher,
            build_server,
            create_app,
        )

        given: dict[str, Any] = {
            _FIELDS[n]: _SCALES.get(n, 1) * v for n, v in limits.items()
        }
        chosen = Limits(**given)
        matcher = Matcher(
            load_run(model).network,
            Embeddings.load(database),
            None if calibration is None else FusionCalibration.load(calibration),
            reduce,
            shortlist,
            pairs,
        )
        app = create_app(
            matcher,
            token=token,
            limits=chosen,
            hosts=hosts,
            watch=database if reload else None,
        )
    # uvicorn raises the signal again when it has finished. Python would exit at once
    # and leave the temporary folder of the decoder processes behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    build_server(app, host=host, port=port).run()
