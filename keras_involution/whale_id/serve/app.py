"""The server: an upload page, and `POST /match` as the CRRU Photo ID App asks for it.

A request holds photographs of one animal as `images[]` and, if the server has a token,
`Authorization: Bearer TOKEN`. The answer is
`{"matches": [{"rank": 1, "id": "...", "rating": 0.97, "details": "..."}, ...]}`.
`GET /metrics` asks for the token too; `GET /health` and the page are open.
"""

# FastAPI reads the annotations of the routes while they are made, so they stay types.
import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

import keras
import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from keras_involution._arguments import received
from keras_involution.whale_id.images import PhotographError, read_photograph
from keras_involution.whale_id.serve.batcher import Batcher, Full
from keras_involution.whale_id.serve.figures import Figures
from keras_involution.whale_id.serve.limits import BodyLimit, Limits
from keras_involution.whale_id.serve.matcher import Matcher

FIELDS = ("images[]", "images")


def create_app(
    matcher: Matcher, *, token: str | None = None, limits: Limits | None = None
) -> FastAPI:
    """The application, for uvicorn or any other ASGI server.

    Args:
        matcher: `Matcher`.
        token: String that `POST /match` and `GET /metrics` ask for; `None` asks for
            none. `GET /health`, which load balancers ask, is always open.
        limits: `Limits`.

    Returns:
        `fastapi.FastAPI` with `/`, `/match`, `/health`, `/metrics` and `/openapi.json`;
        nothing that it serves needs another server.

    Raises:
        ValueError: If the token is empty, or holds what no header carries.
    """
    if token is not None:
        _check_usable(token)
    limits = limits or Limits()
    figures = Figures()
    sizes = _batch_sizes(limits.batch)

    def embed(images: Any) -> np.ndarray:
        return matcher.embed(images, sizes)

    batcher = Batcher(embed, limits.batch, limits.waiting, figures.batch)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # What the network compiles on its first call is not left to the first client.
        blank = np.zeros((*matcher.network.image_size, 3), "uint8")
        for size in sizes or (1,):
            await asyncio.to_thread(embed, [blank] * size)
        yield
        batcher.close()

    # FastAPI's own pages load their scripts from elsewhere: on a boat they are blank.
    app = FastAPI(title="whale-id", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, largest=limits.body_bytes)

    @app.middleware("http")
    async def counted(request: Request, call_next: Any) -> Any:
        begun = time.perf_counter()
        response = await call_next(request)
        if request.url.path == "/match":
            figures.add(f'requests_total{{code="{response.status_code}"}}')
            figures.add("request_seconds_total", time.perf_counter() - begun)
        return response

    @app.post("/match")
    async def match(request: Request) -> dict[str, Any]:
        _check_token(request, token)
        try:
            images = await _photographs(request, matcher.network.image_size, limits)
        except ClientDisconnect:
            # Nobody reads this: it is for the metrics, and in place of a traceback.
            raise HTTPException(499, "The client has gone away.") from None
        figures.add("photographs_total", len(images))
        try:
            features = await batcher(images)
        except Full:
            raise HTTPException(
                503, "Too many photographs wait.", {"Retry-After": "5"}
            ) from None
        found = await asyncio.to_thread(matcher.matches, features, limits.top)
        return {"matches": found}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "animals": len(matcher.index.classes),
            "photographs": len(matcher.names),
        }

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> str:
        _check_token(request, token)
        return figures.text()

    @app.get("/", response_class=HTMLResponse)
    async def page() -> str:
        file = resources.files("keras_involution.whale_id.serve") / "page.html"
        return file.read_text("utf-8")

    return app


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


async def _photographs(
    request: Request, image_size: tuple[int, int], limits: Limits
) -> list[np.ndarray]:
    """The uploads as pictures of the network's size."""
    # A file too many is let in, so that the answer can say what is wrong.
    async with request.form(max_files=limits.files + 1, max_fields=20) as form:
        uploads = [
            item
            for field in FIELDS
            for item in form.getlist(field)
            if isinstance(item, UploadFile)
        ]
        if not uploads:
            raise HTTPException(422, "There are no files in the field `images[]`.")
        if len(uploads) > limits.files:
            raise HTTPException(413, f"More than {limits.files} photographs.")
        return [await _photograph(u, image_size, limits) for u in uploads]


async def _photograph(
    upload: UploadFile, image_size: tuple[int, int], limits: Limits
) -> np.ndarray:
    name = upload.filename or "a photograph"
    data = await upload.read(limits.file_bytes + 1)
    if len(data) > limits.file_bytes:
        raise HTTPException(413, f"{name}: more than {limits.file_bytes:,} bytes.")

    def read() -> np.ndarray:
        return read_photograph(data, image_size, max_pixels=limits.pixels)

    try:
        return await asyncio.to_thread(read)
    except PhotographError as error:
        raise HTTPException(422, f"{name}: {error}") from None
