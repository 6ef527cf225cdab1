"""Writes the notebooks of the guides: a badge, an installation, then the guide's cells.

    KERAS_BACKEND=torch python docs/write_notebooks.py [GUIDE ...]

Run from the root of the repository. Each guide is executed, which takes about a minute,
and its outputs are kept. A test fails when the cells of a notebook are not those of its
guide.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path

import jupytext
import nbclient
import nbformat
from PIL import Image

ROOT = Path(__file__).parents[1]
GUIDES = ROOT / "docs" / "guides"
NOTEBOOKS = ROOT / "docs" / "notebooks"
REPOSITORY = "https://github.com/keras-involution/keras-involution"
COLAB = "https://colab.research.google.com"
LARGEST_OUTPUT = 250_000

INSTALL = f'''\
# On Colab and Kaggle: fetches the repository with its photos, and installs the package.
import importlib.util
import subprocess
import sys

missing = importlib.util.find_spec("keras_involution") is None
if not os.path.isdir("examples/data"):
    address = "{REPOSITORY}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", address], check=True)
    os.chdir("keras-involution")
if missing:  # "pip install keras-involution[...]" takes it from the package index
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, ".[whale-id,plots,export,track]"], check=True)'''


def badges(name: str) -> str:
    """Links that open the notebook on Colab and on Kaggle."""
    place = f"blob/main/docs/notebooks/{name}.ipynb"
    owner = REPOSITORY.removeprefix("https://github.com/")
    colab = f"{COLAB}/github/{owner}/{place}"
    kaggle = f"https://kaggle.com/kernels/welcome?src={REPOSITORY}/{place}"
    return (
        f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({colab})\n"
        "[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]"
        f"({kaggle})"
    )


def absolute_links(text: str, folder: str = "docs/guides") -> str:
    """A notebook may stand anywhere, so its links name the repository."""

    def replaced(match: re.Match[str]) -> str:
        target, _, anchor = match[1].partition("#")
        path = os.path.normpath(f"{folder}/{target}")
        return f"]({REPOSITORY}/blob/main/{path}{'#' * bool(anchor)}{anchor})"

    return re.sub(r"\]\((?!https?://)([^)]+)\)", replaced, text)


def notebook_of(guide: Path) -> nbformat.NotebookNode:
    """The notebook of a guide, not executed."""
    notebook = jupytext.reads(guide.read_text("utf-8"), fmt="md")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = absolute_links(cell.source)
    title, *cells = notebook.cells
    title.source = f"{badges(guide.stem)}\n\n{title.source}"
    first = next(i for i, cell in enumerate(cells) if cell.cell_type == "code")
    cells.insert(first + 1, nbformat.v4.new_code_cell(INSTALL))
    notebook.cells = [title, *cells]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{guide.stem}-{number}"
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3", "language": "python", "name": "python3"
        },
        "language_info": {"name": "python"},
    }  # fmt: skip
    return notebook


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Runs all cells from the root of the repository; an error in one raises."""
    client = nbclient.NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        resources={"metadata": {"path": str(ROOT)}},
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # Warnings of libraries are of this machine, not of the guide.
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                shrink_images(output.get("data", {}))
    return notebook


def shrink_images(data: dict[str, str]) -> None:
    """Photos of an output as JPEG, which takes a fifth of PNG's bytes."""
    if "image/png" not in data:
        return
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    file = io.BytesIO()
    image.convert("RGB").save(file, "jpeg", quality=88)
    jpeg = base64.b64encode(file.getvalue()).decode()
    if len(jpeg) < len(data["image/png"]):
        del data["image/png"]
        data["image/jpeg"] = jpeg


def main(names: list[str], folder: Path = NOTEBOOKS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    guides = [GUIDES / f"{name}.md" for name in names] or sorted(GUIDES.glob("*.md"))
    for guide in guides:
        notebook = execute(notebook_of(guide))
        text = nbformat.writes(notebook) + "\n"
        if len(text) > LARGEST_OUTPUT:
            raise ValueError(
                f"The outputs of a notebook must be small. Received: {len(text)} bytes"
            )
        (folder / f"{guide.stem}.ipynb").write_text(text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
