"""`whale-id serve`: answers over HTTP."""

from __future__ import annotations

import click

from keras_involution._commands import reported


@click.command()
@click.argument("model", type=click.Path(exists=True))
@click.argument("database", type=click.Path(exists=True, dir_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--token", envvar="WHALE_ID_TOKEN", help="Bearer token; better as WHALE_ID_TOKEN."
)
@click.option(
    "--calibration", type=click.Path(exists=True), help="File that `evaluate` wrote."
)
@click.option("--reduce", default="best", show_default=True, help="Or centre.")
@click.option(
    "--max-files", default=20, show_default=True, help="Photographs a request."
)
@click.option("--max-megabytes", default=30, show_default=True, help="Of a photograph.")
@click.option(
    "--max-megapixels", default=60, show_default=True, help="Of a photograph."
)
@click.option("--top", default=10, show_default=True, help="Animals an answer.")
def command(
    model: str,
    database: str,
    host: str,
    port: int,
    token: str | None,
    calibration: str | None,
    reduce: str,
    max_files: int,
    max_megabytes: int,
    max_megapixels: int,
    top: int,
) -> None:
    """Answer which animal a photograph shows, over HTTP.

    MODEL is the folder of `whale-id train`, DATABASE the file of `whale-id embed` with
    the known animals. Outside of this machine (--host) a token is needed: `POST /match`
    and `GET /metrics` ask for it as `Authorization: Bearer TOKEN`, and so does the
    upload page at `/`. `GET /health` is open.
    """
    with reported():
        if token is None and host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(
                "A server that others can reach needs a token: set WHALE_ID_TOKEN."
            )
        import uvicorn

        from keras_involution.whale_id import Calibration, Embeddings
        from keras_involution.whale_id.runs import load_run
        from keras_involution.whale_id.serve import Limits, Matcher, create_app

        matcher = Matcher(
            load_run(model).network,
            Embeddings.load(database),
            None if calibration is None else Calibration.load(calibration),
            reduce,
        )
        limits = Limits(
            files=max_files,
            file_bytes=max_megabytes * 1_000_000,
            pixels=max_megapixels * 1_000_000,
            top=top,
        )
        app = create_app(matcher, token=token, limits=limits)
    uvicorn.run(app, host=host, port=port)
