"""The quality page of one subject: warnings, pictures, numbers, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fcdsynth.prepare.concerns import KEPT
from fcdsynth.prepare.numbers import NUMBERS
from fcdsynth.prepare.pictures import quality_sheet, thumbnail
from fcdsynth.prepare.scene import Scene
from fcdsynth.review.page import render
from fcdsynth.review.pictures import data_address, png_bytes

_DPI, _THUMBNAIL_DPI = 90, 60


def page_name(subject: str) -> str:
    """File name of a subject's quality page."""
    return f"{subject}_quality.html"


def thumbnail_name(subject: str) -> str:
    """File name of the small picture on the cohort page."""
    return f"{subject}_thumbnail.png"


def write_page(folder: Path, scene: Scene, quality: Mapping[str, Any]) -> Path:
    """Write a subject's page and the small picture for the cohort page.

    Args:
        folder: The subject's folder.
        scene: Its volumes.
        quality: Its quality record, warnings included.
    """
    subject = scene.subject.id
    png = png_bytes(quality_sheet(scene), _DPI)
    (folder / thumbnail_name(subject)).write_bytes(png_bytes(thumbnail(scene), _THUMBNAIL_DPI))
    page = render(
        "fcdsynth.prepare",
        "subject.html.j2",
        subject=subject,
        lead=_lead(scene, quality),
        warnings=quality["warnings"],
        picture=data_address(png),
        caption=_caption(scene),
        numbers=_numbers(scene, quality),
        file=f"{subject}_quality.json",
    )
    path = folder / page_name(subject)
    path.write_text(page, encoding="utf-8")
    return path


def _lead(scene: Scene, quality: Mapping[str, Any]) -> str:
    who = scene.subject
    scanner = f"scanner {who.scanner}" if who.scanner else "scanner unknown"
    if scene.flair is None:
        how = "no FLAIR: prepared from T1w alone"
    elif quality["flair_registration"] == KEPT:
        how = "FLAIR left where its header puts it: the search found nothing better"
    else:
        how = (
            f"FLAIR registered to T1w, {quality['flair_shift_mm']:.1f} mm and "
            f"{quality['flair_turn_deg']:.1f} degrees from where its header puts it"
        )
    return f"{who.group.value}, {scanner}; {how}."


def _caption(scene: Scene) -> str:
    parts = []
    if scene.flair is not None:
        parts.append(
            "squares of T1w and FLAIR (edges must run on across the squares); FLAIR under the edge "
            "of the T1w's white matter"
        )
    parts.append("the brain mask on the T1w as acquired; tissue on the prepared T1w")
    text = "; ".join(parts)
    through = (
        "" if scene.lesion is None else " All slices but the second go through the lesion mask."
    )
    return f"From top to bottom: {text}.{through}"


def _numbers(scene: Scene, quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(n.label, n.text(quality)) for n in NUMBERS if n.get(quality) is not None]
    rows.append(("Brain mask", str(quality["brain_mask"])))
    for name, voxels in quality["voxels_mm"].items():
        rows.append((f"Voxels of the {name}", " x ".join(f"{mm:.3g}" for mm in voxels) + " mm"))
    size = scene.t1w.grid.spacing_mm[0]
    rows.append(("Prepared grid", f"{' x '.join(map(str, scene.t1w.grid.shape))} of {size:g} mm"))
    if nats := quality.get("alignment_nats"):
        rows.append((
            "Shared information at 4 mm",
            f"{nats['header']:.2f} nats by the headers, {nats['chosen']:.2f} as placed, "
            f"{nats['mirrored']:.2f} with FLAIR mirrored",
        ))  # fmt: skip
    if scene.lesion is not None:
        rows.append((
            "Lesion mask",
            f"{quality['lesion_ml']:.2f} ml drawn on {quality['lesion_drawn_on']}, "
            f"{quality['lesion_prepared_ml']:.2f} ml on the prepared grid, "
            f"{quality['lesion_in_brain']:.0%} of it in the brain, side {quality['lesion_side']}",
        ))  # fmt: skip
    return rows
