"""The server: an upload page, and `POST /match` as the CRRU Photo ID App asks for it.

A request holds photos of one animal as `images[]` and, if the server has a token,
`Authorization: Bearer TOKEN`. The answer is
`{"matches": [{"rank": 1, "id": "...", "rating": 0.97, "details": "..."}, ...]}`.
`POST /compare`, which the page uses, adds photos and matched points.
`GET /metrics` asks for the token too; `GET /health` and the page are open.
"""

# FastAPI reads the annotations of the routes while they are made, so they stay types.
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
    """The application, for `build_server` or any other ASGI server.

    Deadlines of connections belong to the server: `build_server` has them.

    Args:
        matcher: `Matcher`.
        token: String that every request but those to `/` and `/health` must have;
            `None` asks for none.
        limits: `Limits`.
        hosts: Collection of strings, names of this server that a `Host` header may
            have, beside its addresses, its host name and `localhost`. `"*"` allows all.
        watch: Path of the file of `whale-id embed` that `matcher` was made of. When the
            file changes, the server takes the new one without a restart.

    Returns:
        `fastapi.FastAPI` with `/`, `/match`, `/compare`, `/health`, `/metrics` and
        `/openapi.json`; nothing that it serves needs another server.

    Raises:
        ValueError: If the token is empty, or holds what no header carries.
    """
    if token is not None:
        _check_usable(token)
    service = _Service(matcher, limits or Limits())
    # FastAPI's own pages load their scripts from elsewhere: on a boat they are blank.
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

    @app.post("/match")
    async def match(request: Request) -> dict[str, Any]:
        with service.counted():
            _check_token(request, token)
            matcher = service.matcher
            features, images = await service.embedded(request, matcher.needs_images)
            found = await service.evidence.matches(matcher, features, images)
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
    """What the routes share; `matcher` is replaced when its file changes."""

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
        # What the network compiles on its first call is not left to the first client.
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
                with contextlib.suppress(ValueError):  # the watcher has logged it
                    self.matcher = self.matcher.with_database(database)

    async def embedded(
        self, request: Request, shown: bool = False
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Embeddings of a request's photos, and images of them to show."""
        try:
            size = self.matcher.network.image_size
            images, larger = await self.uploads(request, size, shown)
            self.metrics.photos.inc(len(images))
            return await self.batcher(images), larger
        except ClientDisconnect:
            # Nobody reads this: it is for the metrics, and in place of a traceback.
            raise HTTPException(499, "The client has gone away.") from None
        except Full:
            raise HTTPException(
                503, "Too many photos wait.", {"Retry-After": "5"}
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
    """Sizes that a backend which compiles gets to see; PyTorch takes any as it is."""
    if keras.config.backend() == "torch":
        return ()
    return tuple(dict.fromkeys((1, max(1, largest // 4), largest)))


def _check_usable(token: str) -> None:
    """The error leaves the token out: it may end up in a log."""
    if not token.strip():
        raise ValueError("An empty token protects nothing; `None` asks for none.")
    if not all("!" <= sign <= "~" for sign in token):
        raise ValueError(
            "A token is made of letters, digits and signs of ASCII, without blanks and "
            f"ends of lines. {received(characters=len(token))}"
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
