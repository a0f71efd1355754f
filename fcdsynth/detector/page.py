"""The page of one subject for the reader of its images, and the list of all pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.detection import Detections
from fcdsynth.detector.told import HEADINGS, MEANINGS, NOTICE, Facts, Told, cells, place
from fcdsynth.review.page import render
from fcdsynth.review.pictures import Embedded

INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Picture(Embedded):
    """One picture of a page.

    Args:
        caption: What it shows.
        png: The image.
    """

    caption: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One subject of the list.

    Args:
        subject: Subject id.
        address: Its page, seen from the list.
        count: Number of clusters.
        score: The best score, or empty.
        place: Where that cluster lies, in words.
    """

    subject: str
    address: str
    count: int
    score: str
    place: str


def page_name(subject: str) -> str:
    """File name of a subject's page."""
    return f"{subject}.html"


def write_page(folder: Path, told: Told, pictures: Sequence[Picture], pdf: str = "") -> Path:
    """Write a subject's page; it needs no other file.

    Args:
        folder: The subject's folder.
        told: What it tells.
        pictures: Of the clusters that are drawn.
        pdf: File name of the same as PDF beside it, or empty.
    """
    page = render(
        "fcdsynth.detector",
        "subject.html.j2",
        subject=told.subject,
        lead=told.lead,
        notice=NOTICE,
        headings=HEADINGS,
        lines=[cells(cluster) for cluster in told.clusters],
        meanings=MEANINGS,
        pictures=pictures,
        undrawn=len(told.clusters) - len(pictures),
        facts=told.facts,
        pdf=pdf,
    )
    path = folder / page_name(told.subject)
    path.write_text(page, encoding="utf-8")
    return path


def write_index(found: Detections, facts: Facts) -> Path:
    """Write the list of all subjects, best score first, into the folder of the detections."""
    ranked = sorted(found.subjects, key=lambda name: -max((c.score for c in found.of(name)),
                                                          default=-1.0))  # fmt: skip
    lines = []
    for subject in ranked:
        mine = found.of(subject)
        score, where = (f"{mine[0].score:.2f}", place(mine[0])) if mine else ("", "")
        address = f"{subject}/{page_name(subject)}"
        lines.append(Line(subject, address, len(mine), score, where))
    page = render(
        "fcdsynth.detector",
        "subjects.html.j2",
        notice=NOTICE,
        with_clusters=sum(line.count > 0 for line in lines),
        lines=lines,
        facts=facts,
    )
    path = found.folder / INDEX
    path.write_text(page, encoding="utf-8")
    return path
