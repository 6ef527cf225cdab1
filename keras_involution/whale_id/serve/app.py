"""The server: an upload page, and `POST /match` for the CRRU Photo ID App.

A request contains photos of one animal as `images[]` and, if the server has a token,
`Authorization: Bearer TOKEN`. The response is
`{"matches": [{"rank": 1, "id": "...", "rating": 0.97, "details": "..."}, ...]}`.
If keypoints are compared and no photo has any, the status is 422: there is no rating.
Without a calibration, all ratings are 0.
`POST /compare`, which the page uses, adds photos and matched points.
`GET /metrics` also requires the token; `GET /health` and the page do not.
"""

# FastAPI reads the annotations of routes when they are created, so they must be types.
import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.requests import ClientDisconnect

from keras_involution._arguments import received
from keras_involution.data.decoders import Decoders
from keras_involution.whale_id.fusion.candidates import NO_KEYPOINTS
from keras_involution.whale_id.pages import render
from keras_involution.whale_id.serve.batcher import Batcher, Full
from keras_involution.whale_id.serve.evidence import Evidence
from keras_involution.whale_id.serve.gate import Gate
from keras_involution.whale_id.serve.limits import Limits
from keras_involution.whale_id.serve.matcher import Matcher
from keras_involution.whale_id.serve.metrics import Metrics
from keras_involution.whale_id.serve.uploads import Uploads
from keras_involution.whale_id.serve.watch import watched_database


def create_app(
    matcher: Matcher,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] = (),
    watch: str | Path | None = None,
) -> FastAPI:
    """Creates the application, for `build_server` or any other ASGI server.

    Connection timeouts are set in the server: `build_server` has them.

    Args:
        matcher: `Matcher`.
        token: String that every request must have, except to `/` and `/health`; `None`
            requires no token.
        limits: `Limits`.
        hosts: Collection of strings, names of this server that are allowed in a `Host`
            header, in addition to its addresses, its host name and `localhost`. `"*"`
            allows all.
        watch: Path of the file of `whale-id embed` from which `matcher` was built. When
            the file changes, the server reloads it without a restart.

    Returns:
        `fastapi.FastAPI` with `/`, `/match`, `/compare`, `/health`, `/metrics` and
        `/openapi.json`; its pages load nothing from other servers.

    Raises:
        ValueError: If the token is empty, or contains characters that are not allowed
            in a header.
    """
    if token is not None:
        _check_usable(token)
    service = _Service(matcher, limits or Limits())
    # FastAPI's own pages load scripts from other servers: offline they are blank.
    app = FastAPI(
        title="whale-id",
        lifespan=lambda _: service.running(watch),
        docs_url=None,
        redoc_url=None,
    )
    app.state.limits, app.state.metrics = service.limits, service.metrics
    app.add_middleware(
        Gate,
        limits=service.limits,
        hosts=hosts,
        on_dropped=lambda name: service.metrics.dropped.labels(name).inc(),
    )

    unusable = "A photo cannot be read, or no photo has keypoints to compare."

    @app.post("/match", responses={422: {"description": unusable}})
    async def match(request: Request) -> dict[str, Any]:
        with service.counted():
            _check_token(request, token)
            matcher = service.matcher
            features, images = await service.embedded(request, matcher.needs_images)
            found = await service.evidence.matches(matcher, features, images)
            if found and found[0]["rating"] is None:  # a rating must be a number
                raise HTTPException(422, f"No answer: {NO_KEYPOINTS}.")
            return {"matches": found}

    @app.post("/compare")
    async def compare(request: Request) -> dict[str, Any]:
        _check_token(request, token)
        features, images = await service.embedded(request, shown=True)
        return await service.evidence(service.matcher, features, images)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        current = service.matcher
        return {
            "status": "ok",
            "animals": len(current.search.classes),
            "photos": len(current.names),
        }

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> str:
        _check_token(request, token)
        return service.metrics.text()

    page = render("upload", title="Which animal is this?", token=token is not None)

    @app.get("/", response_class=HTMLResponse)
    async def upload_page() -> str:
        return page

    return app


class _Service:
    """The shared state of the routes; `matcher` is replaced when its file changes."""

    def __init__(self, matcher: Matcher, limits: Limits) -> None:
        self.matcher, self.limits, self.metrics = matcher, limits, Metrics()
        self.sizes = _batch_sizes(limits.batch)
        self.batcher = Batcher(
            self._embed, limits.batch, limits.waiting, self.metrics.batch
        )
        self.decoders = Decoders(
            limits.decoders, limits.decode_seconds, limits.decode_bytes
        )
        self.uploads = Uploads(self.decoders, limits)
        self.evidence = Evidence(limits)

    def _embed(self, images: Any) -> np.ndarray:
        return self.matcher.embed(images, self.sizes)

    @contextlib.asynccontextmanager
    async def running(self, watch: str | Path | None) -> AsyncIterator[None]:
        # Compiles the network now, so that the first client does not have to wait.
        await asyncio.to_thread(self.decoders.start)
        blank = np.zeros((*self.matcher.network.image_size, 3), "uint8")
        for size in self.sizes or (1,):
            await asyncio.to_thread(self._embed, [blank] * size)
        watcher = asyncio.create_task(self._follow(watch))
        try:
            yield
        finally:
            watcher.cancel()
            self.batcher.close()
            self.evidence.close()
            self.uploads.close()
            self.decoders.close()

    async def _follow(self, watch: str | Path | None) -> None:
        if watch is not None:
            async for database in watched_database(Path(watch)):
                with contextlib.suppress(ValueError):  # already logged by the watcher
                    self.matcher = self.matcher.with_database(database)

    async def embedded(
        self, request: Request, shown: bool = False
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Embeddings of a request's photos, and images to show."""
        try:
            size = self.matcher.network.image_size
            images, larger = await self.uploads(request, size, shown)
            self.metrics.photos.inc(len(images))
            return await self.batcher(images), larger
        except ClientDisconnect:
            # The client is gone: this is for the metrics, and avoids a traceback.
            raise HTTPException(499, "The client has disconnected.") from None
        except Full:
            raise HTTPException(
                503, "Too many photos are waiting.", {"Retry-After": "5"}
            ) from None

    @contextlib.contextmanager
    def counted(self) -> Any:
        """Counts a request to `/match` and its time."""
        begun, code = time.perf_counter(), 500
        try:
            yield
            code = 200
        except HTTPException as error:
            code = error.status_code
            raise
        finally:
            self.metrics.requests.labels(str(code)).inc()
            self.metrics.seconds.observe(time.perf_counter() - begun)


def _batch_sizes(largest: int) -> tuple[int, ...]:
    """Batch sizes for backends that compile; PyTorch uses any size."""
    if keras.config.backend() == "torch":
        return ()
    return tuple(dict.fromkeys((1, max(1, largest // 4), largest)))


def _check_usable(token: str) -> None:
    """Checks a token. The error omits the token, which might be logged."""
    if not token.strip():
        raise ValueError("The token must not be empty; `None` requires no token.")
    if not all("!" <= sign <= "~" for sign in token):
        raise ValueError(
            "A token consists of ASCII letters, digits and signs, without spaces and "
            f"line breaks. {received(characters=len(token))}"
        )


def _check_token(request: Request, token: str | None) -> None:
    if token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not same:
        raise HTTPException(
            401, "The bearer token is missing or wrong.", {"WWW-Authenticate": "Bearer"}
        )
