"""The page on which a person decides."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import positive_integer, received
from keras_involution._files import check_outputs, replaced_file
from keras_involution.whale_id._pages import SUFFIXES, Thumbnails, fill, image
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.report.heatmaps import Heatmaps
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.tables import UNKNOWN

_HERE = Path(__file__).parent
_SIDE = 400


def write_report(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame,
    path: str | Path,
    *,
    top: int = 5,
    confidence: np.ndarray | None = None,
    heatmaps: Heatmaps | None = None,
    title: str = "Which animal is it?",
    protocol: str = "",
    on_error: str = "skip",
    warn: Callable[[str], Any] | None = None,
    force: bool = False,
) -> list[str]:
    """Writes one HTML file with every query beside its most likely animals.

    A person accepts an animal, rejects it, or marks the query as a new animal. The
    browser keeps the decisions, and gives them as a CSV file with the columns
    `image_id, decision, identity, rank, score, confidence`, in which a name that a
    spreadsheet would run as a formula has an apostrophe in front. Everything is inside
    the file; it needs no network.

    Args:
        ranking: `Ranking` (Q, K) with `images`, as `identify` gives it, with or without
            the label of new animals.
        queries: DataFrame, the table of the Q queries.
        database: DataFrame, the table that `ranking.images` counts in.
        path: File.
        top: Integer, how many animals to show beside a query.
        confidence: Array (Q, K), from a `Calibration`.
        heatmaps: `Heatmaps` of queries and database.
        title: String.
        protocol: String, how scores and confidence came about.
        on_error: String: a photograph that cannot be read is named in its place
            (`"skip"`), or stops the work (`"stop"`).
        warn: Function that is told of every photograph that cannot be read.
        force: Boolean, whether to replace a file that is there.

    Returns:
        List of strings, the photographs that cannot be read, with the reasons.

    Raises:
        ValueError: If sizes do not fit, the name does not end in `.html`, the file is
            there and `force` is false, or a photograph cannot be read and `on_error` is
            "stop".
    """
    check_outputs(force, path=(path, SUFFIXES))
    _check(ranking, queries, confidence)
    page = _Page(
        ranking,
        positive_integer(top, "top"),
        queries,
        database,
        None if confidence is None else np.asarray(confidence),
        heatmaps,
        Thumbnails(on_error, warn),
    )
    script = (_HERE / "report.js").read_text("utf-8")
    text = fill(
        _HERE / "report.html",
        style=(_HERE / "report.css").read_text("utf-8"),
        script=script,
        digest=base64.b64encode(
            hashlib.sha256(f"\n{script}\n".encode()).digest()
        ).decode(),
        title=escape(title),
        protocol=escape(protocol),
        key=_key(title, page),
        count=len(ranking),
        maps="" if heatmaps is not None else " hidden",
        queries="\n".join(page.sections()),
    )
    with replaced_file(path, force, SUFFIXES) as draft:
        draft.write_text(text, "utf-8")
    return page.thumbnails.skipped


@dataclass
class _Page:
    ranking: Ranking
    top: int
    queries: pd.DataFrame
    database: pd.DataFrame
    confidence: np.ndarray | None
    heatmaps: Heatmaps | None
    thumbnails: Thumbnails

    def sections(self) -> Iterator[str]:
        for number, (_, query) in enumerate(self.queries.iterrows()):
            candidates = "".join(self._candidates(number))
            name, facts = escape(str(query["image_id"])), escape(_facts(query))
            yield (
                f'<section class="query" data-image="{name}"><header><h2>{name}</h2>'
                f'<span class="soft">{facts}</span>{_told(query)}'
                '<span class="answer"></span></header>'
                f'<div class="sides"><div class="asked">'
                f"{self._photograph(query, 'The query')}"
                '<button type="button" class="new" aria-pressed="false">New animal'
                f'</button></div><div class="candidates">{candidates}</div></div>'
                "</section>"
            )

    def _candidates(self, number: int) -> Iterator[str]:
        labels, scores = self.ranking.labels[number], self.ranking.scores[number]
        known = 0
        for place, (label, score) in enumerate(zip(labels, scores)):
            known += label != NEW_LABEL
            if known > self.top or (known == self.top and label == NEW_LABEL):
                return
            if label == NEW_LABEL:
                yield (
                    '<div class="limit"><strong>New animal</strong><span>more likely '
                    f"than all that follow (limit {score:.3f})</span></div>"
                )
            else:
                yield self._candidate(number, place, str(label), float(score))

    def _candidate(self, number: int, place: int, label: str, score: float) -> str:
        chance = None if self.confidence is None else self.confidence[number, place]
        shown = "" if chance is None else _chance(float(chance))
        name = escape(label)
        facts = (
            f'data-identity="{name}" data-rank="{place + 1}" data-score="{score:.6f}"'
        )
        if chance is not None:
            facts += f' data-confidence="{float(chance):.6f}"'
        return (
            f'<figure class="candidate" {facts}>{self._best_image(number, place)}'
            f'<figcaption><strong>{name}</strong><span class="soft">score {score:.3f}'
            f"</span>{shown}</figcaption>"
            '<div class="buttons"><button type="button" class="accept" '
            f'aria-pressed="false" aria-label="Accept {name}">Accept</button>'
            '<button type="button" class="reject" aria-pressed="false" '
            f'aria-label="Reject {name}">Reject</button></div></figure>'
        )

    def _best_image(self, number: int, place: int) -> str:
        assert self.ranking.images is not None
        row = int(self.ranking.images[number, place])
        if row < 0:
            return '<div class="missing">No other photograph</div>'
        return self._photograph(self.database.iloc[row], "A candidate")

    def _photograph(self, row: pd.Series, what: str) -> str:
        name = str(row["image_id"])
        picture = self.thumbnails.read(row["path"], row.get("bbox"), _SIDE)
        shown = image(picture, f"{what}: {name}")
        if picture is None:
            return shown
        heat = None if self.heatmaps is None else self.heatmaps.picture(name, picture)
        layer = "" if heat is None else image(heat, f"{what}: {name}, kernel heat map")
        kind = "photograph" if heat is None else "photograph mapped"
        return (
            f'<button type="button" class="{kind}" aria-label="Compare {escape(name)}">'
            f'{shown}<span class="map">{layer}</span></button>'
        )


def _facts(query: pd.Series) -> str:
    """What is known about a query."""
    names = ("species", "viewpoint", "date")
    values = [query[name] for name in names if name in query]
    return ", ".join(str(v) for v in values if pd.notna(v) and v != "")


def _told(query: pd.Series) -> str:
    """The identity in the table, folded up so that it sways nobody."""
    if query["identity"] == UNKNOWN:
        return ""
    name = escape(str(query["identity"]))
    return f"<details><summary>In the table</summary>{name}</details>"


def _chance(chance: float) -> str:
    percent = f"{chance:.0%}"
    return (
        f'<span class="chance"><meter min="0" max="1" value="{chance:.4f}"></meter> '
        f"{percent} sure</span>"
    )


def _key(title: str, page: _Page) -> str:
    """Under what the browser keeps the decisions: another page, another key."""
    parts = [title, *page.queries["image_id"].astype(str)]
    parts += [str(label) for label in page.ranking.labels.ravel()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _check(
    ranking: Ranking, queries: pd.DataFrame, confidence: np.ndarray | None
) -> None:
    shape = None if confidence is None else np.shape(confidence)
    if ranking.images is None or len(queries) != len(ranking):
        raise ValueError(
            "`ranking` must have `images`, and `queries` one row for each query. "
            f"{received(ranking=len(ranking), queries=len(queries))}"
        )
    if shape not in (None, ranking.labels.shape):
        raise ValueError(
            "`confidence` must have the shape of the ranking. "
            f"{received(confidence=shape, ranking=ranking.labels.shape)}"
        )
