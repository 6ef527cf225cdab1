"""Pages from templates. Jinja escapes every text that is inserted."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import atomic_write
from keras_involution.whale_id.pages.thumbnails import data_uri

if TYPE_CHECKING:
    from jinja2 import Environment

SUFFIXES = (".html", ".htm")
_COMPARING = ("report", "upload")
"""Pages that show two photos in large size."""
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Thumbnail:
    """An image of a page with its alternative text.

    Args:
        pixels: Array of bytes (h, w, 3), `None` for a photo that cannot be read.
        alt: String.
        caption: String.
    """

    pixels: np.ndarray | None
    alt: str
    caption: str = ""

    @property
    def uri(self) -> str:
        return "" if self.pixels is None else data_uri(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        shape = (0, 0) if self.pixels is None else self.pixels.shape
        return shape[1], shape[0]


def render(name: str, **parts: Any) -> str:
    """Renders `templates/<name>.html` with its style and script included.

    The page has a Content-Security-Policy: only the style and the script with the given
    hashes are allowed. Nothing that a table or a server inserts into the page can run.

    Args:
        name: String, the name of the template and of the optional files
            `static/<name>.css` and `static/<name>.js`.
        **parts: Variables of the template.

    Returns:
        String.
    """
    shared = ("compare",) if name in _COMPARING else ()
    parts_of = (*shared, name)
    style = "".join(_static(f"{part}.css") for part in ("page", *parts_of))
    script = "".join(_static(f"{part}.js") for part in parts_of)
    page = _environment().get_template(f"{name}.html")
    return page.render(
        style=style, script=script, policy=_policy(style, script), **parts
    )


def write_page(path: str | Path, page: str, *, force: bool = False) -> None:
    """Writes a page to a file, completely or not at all."""
    with atomic_write(path, force, SUFFIXES) as draft:
        draft.write_text(page, "utf-8")


def _policy(style: str, script: str) -> str:
    """Allows images inside the page and requests to its own server only."""
    scripts = f"'{_digest(script)}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data: blob:; style-src '{_digest(style)}'; "
        f"script-src {scripts}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'"
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _static(name: str) -> str:
    file = _HERE / "static" / name
    return file.read_text("utf-8") if file.is_file() else ""


@functools.cache
def _environment() -> Environment:
    try:
        import jinja2
    except ImportError as error:
        raise ValueError(
            'HTML pages need Jinja: pip install "keras-involution[whale-id]". '
            f"{received(jinja2=None)}"
        ) from error
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
