"""Writes the report of the demo as one self-contained HTML file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from examples._demo.photos import UNKNOWN, Fin
from examples._demo.ranking import Candidate, Ranking, count_right
from keras_involution.visualization.overlay import COLORS
from keras_involution.whale_id.local import draw_matches

SHOWN = 3
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class HeatMaps:
    """The heat maps of one involution, drawn over the fins."""

    layer: str
    window: tuple[int, ...]
    groups: int
    grid: tuple[int, ...]
    images: list[np.ndarray]


@dataclass(frozen=True)
class Results:
    """The results of the demo.

    `class_accuracies` are the accuracies of the fine-tuned network, `from_scratch`
    those of the network trained from scratch.
    """

    class_names: tuple[str, ...]
    class_accuracies: list[float]
    from_scratch: list[float]
    held_out: int
    preset: str
    setting: str
    seconds: float
    rankings: list[Ranking]
    heatmaps: HeatMaps


def write_report(results: Results, path: Path) -> None:
    """Writes the page, with images and styles embedded."""
    right, possible = count_right(results.rankings)
    maps = results.heatmaps
    page = Template((_HERE / "report.html").read_text("utf-8")).substitute(
        style=(_HERE / "report.css").read_text("utf-8"),
        preset=escape(results.preset),
        accuracy=f"{np.mean(results.class_accuracies):.1%}",
        from_scratch=f"{np.mean(results.from_scratch):.1%}",
        gain=f"{100 * np.mean(_gains(results)):+.1f}",
        held_out=results.held_out,
        guessing=f"{1 / len(results.class_names):.0%}",
        right=right,
        possible=possible,
        minutes=f"{results.seconds / 60:.1f}",
        setting=escape(results.setting),
        classes=_class_rows(results),
        layer=escape(maps.layer),
        window=_by(maps.window),
        groups=maps.groups,
        grid=_by(maps.grid),
        colors=", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in COLORS),
        queries="\n".join(map(_query, results.rankings, maps.images)),
        credits="\n".join(_credit(ranking.query) for ranking in results.rankings),
    )
    path.write_text(page, "utf-8")


def _gains(results: Results) -> np.ndarray:
    return np.subtract(results.class_accuracies, results.from_scratch)


def _class_rows(results: Results) -> str:
    rows = zip(results.class_names, results.class_accuracies, results.from_scratch)
    return "\n".join(
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th>'
        f'<td><div class="bar" style="width: {after:.0%}"></div>'
        f'<div class="bar before" style="width: {before:.0%}"></div></td>'
        f'<td class="number">{after:.0%}</td>'
        f'<td class="number soft">{before:.0%}</td></tr>'
        for name, after, before in rows
    )


def _query(ranking: Ranking, heatmap: np.ndarray) -> str:
    fin = ranking.query
    verdict, kind = _verdict(ranking)
    images = [
        _figure(fin.image, f"Fin {fin.image_id}", "The query", "large"),
        _figure(heatmap, f"Heat map over fin {fin.image_id}", "Kernel sums", "large"),
        _matched_points(ranking),
        *(_candidate(c, fin) for c in ranking.candidates[:SHOWN]),
    ]
    return (
        f'<section class="query"><header><h3>{escape(fin.image_id)}: '
        f'{_known(fin.identity)} <span class="soft">({escape(fin.orientation)} side)'
        f'</span></h3><span class="verdict {kind}">{verdict}</span></header>'
        f"<p>{escape(ranking.conclusion)}</p>"
        f'<div class="images">{"".join(images)}</div></section>'
    )


def _matched_points(ranking: Ranking) -> str:
    """Draws the matched points of a query and its best candidate."""
    best, image = ranking.candidates[0], ranking.query.image
    shown = np.ascontiguousarray(image[:, ::-1]) if best.mirrored else image
    drawing = draw_matches(shown, best.fin.image, best.match)
    mirrored = ", the query mirrored" if best.mirrored else ""
    alt = f"Matched points of fins {ranking.query.image_id} and {best.fin.image_id}"
    caption = f"{len(best.match)} matched points{mirrored}"
    return _figure(drawing, alt, caption, "large")


def _verdict(ranking: Ranking) -> tuple[str, str]:
    answer = escape(ranking.answer)
    if not ranking.answerable:
        return (
            f"Looks most like {answer}; there is no other photo of its animal",
            "none",
        )
    if ranking.right:
        return f"Looks most like {answer}: right", "right"
    return f"Looks most like {answer}: wrong", "wrong"


def _candidate(candidate: Candidate, query: Fin) -> str:
    fin = candidate.fin
    same = fin.identity == query.identity
    caption = (
        f'<span class="{"right" if same else ""}">{escape(fin.identity)}'
        f"{', same animal' if same else ''}</span><br>"
        f'<span class="score">{len(candidate.match)} points</span> '
        f'<span class="soft">{escape(fin.image_id)}, {escape(fin.orientation)}</span>'
    )
    return _figure(fin.image, f"Candidate {fin.image_id}", caption)


def _known(identity: str) -> str:
    return "animal not known" if identity == UNKNOWN else escape(identity)


def _figure(image: np.ndarray, alt: str, caption: str, kind: str = "") -> str:
    return (
        f'<figure class="{kind}"><img src="{_data_uri(image)}" alt="{escape(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _data_uri(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _credit(fin: Fin) -> str:
    return f"<li>{escape(fin.image_id)}: {escape(fin.credit)}</li>"


def _by(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
