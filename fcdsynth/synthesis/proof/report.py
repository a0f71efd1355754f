"""The report of realism: a page that stands alone, every number as JSON, a row a subject."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth import __version__
from fcdsynth.core.provenance import git_state
from fcdsynth.core.whole import write_whole
from fcdsynth.review.page import render
from fcdsynth.review.pictures import data_address
from fcdsynth.synthesis.numbers import write_rows
from fcdsynth.synthesis.proof import rows
from fcdsynth.synthesis.proof.findings import Findings, Known, numbers_of
from fcdsynth.synthesis.proof.hand import head_names, lesion_names
from fcdsynth.synthesis.proof.pictures import pictures_of
from fcdsynth.synthesis.proof.plots import contrast_plot, distance_plot
from fcdsynth.synthesis.proof.sides import Sides
from fcdsynth.synthesis.proof.wording import notices, reasons, verdict

PAGE, RECORD, TABLE = "report.html", "realism.json", "subjects.csv"
RULES: Mapping[str, str] = {
    "lesions": "the part of a mask in cortex and white matter; ring: 8 mm (at least 2 voxels) "
    "around it; contrast: lesion less ring tissue by tissue, in robust SD of the brain",
    "kid": "unbiased squared MMD with kernel (x.y/d + 1)^3 on features in pooled SD, or on their "
    "first 64 principal components (Binkowski et al. 2018)",
    "mmd": "unbiased, Gaussian kernel of median bandwidth (Gretton et al. 2012)",
    "null": "real people split into halves at random; the other half against that half beside "
    "the synthetic subjects against it, equal n; synthetic rows of people in it are left out",
    "p": "share of label shuffles between people at least as extreme, on all rows; none where "
    "real people are in synthetic ones too",
    "auroc": "logistic regression on features and squares, cross-validated, nobody split",
    "diversity": "MS-SSIM on three scales over random pairs of crops of different people; "
    "interval by bootstrap of subjects",
    "fidelity": "against the host where its own lesion, a healthy place or the whole brain (less "
    "lesions) was redrawn; range 1",
    "dice": "Otsu's thresholds on T1w in the mantle against the labels the image was made from",
    "copies": "flagged: nearer than the 1 % quantile of training lesions' nearest distances, or "
    "correlated above the 99 % quantile of their highest correlations",
    "nyquist": "share of power at 0.375 cycles per voxel and above in the redrawn region, log2 "
    "of synthetic over host",
}


def write_report(
    folder: Path, sides: Sides, findings: Findings, made: Known, real: Known,
    settings: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write ``report.html``, ``realism.json`` and ``subjects.csv``.

    Args:
        folder: Where to.
        sides: Who was compared.
        findings: What was found.
        made: Synthetic subjects as measured.
        real: Real ones.
        settings: Settings that decide the numbers.
    """
    _write_subjects(folder / TABLE, sides, findings, made, real)
    told = notices(sides, findings)
    record = {
        "verdict": verdict(findings), "told_apart_by": reasons(findings), "notices": told,
        "settings": dict(settings), "rules": RULES,
        "n": {"synthetic": len(made), "real": len(real), "synthetic_lesions": findings.lesions[0],
              "real_lesions": findings.lesions[1], "training_lesions": len(sides.training),
              "real_patients_seen": len(sides.seen)},
        "features": {"lesion": lesion_names(sides.contrasts), "head": head_names(sides.contrasts)},
        "findings": asdict(findings),
        "flagged": [n.id for n in findings.copies.flagged] if findings.copies else [],
        "flagged_by_chance": findings.copies.expected if findings.copies else None,
    }  # fmt: skip
    text = json.dumps(_plain(record), indent=1, allow_nan=False) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")
    contrasts = [
        np.array([[known[s.id].contrast[c] for c in sides.contrasts]
                  for s in group if known[s.id].contrast])
        for group, known in ((sides.made, made), (sides.chosen, real))
    ]  # fmt: skip
    page = render(
        "fcdsynth.synthesis.proof", "report.html.j2",
        title=f"Is it real? {sides.synthetic.name} against {sides.real.name}",
        lead=f"{len(made)} synthetic and {len(real)} real subjects.",
        verdict=verdict(findings),
        good=not reasons(findings),
        notices=told,
        findings=findings,
        pictures=pictures_of(sides),
        distance_plot=data_address(distance_plot(findings.distances)),
        contrast_plot=data_address(contrast_plot(contrasts[0], contrasts[1], sides.contrasts)),
        distances=rows.distance_rows(findings),
        aurocs=[rows.auroc_words(d) for d in findings.distances],
        features=rows.feature_rows(findings),
        contrasts=rows.contrast_rows(findings),
        pairs=rows.pair_rows(findings),
        fidelity=rows.fidelity_rows(findings),
        dice=rows.dice_rows(findings),
        copies=rows.copy_rows(findings),
        spectrum=rows.spectrum_rows(findings),
        diversity=[(name, d.pairs, f"{d.mean:.3f} [{d.low:.3f} to {d.high:.3f}]") for name, d in
                   zip(("synthetic", "real"), findings.diversity, strict=True) if d],
        estimate=rows.estimate, span=rows.span, number=rows.number,
        facts=[
            ("Settings", ", ".join(f"{k} {v}" for k, v in settings.items())),
            ("Files", f"{RECORD} holds every number, {TABLE} a row a subject"),
            ("Software", f"fcdsynth {__version__} {git_state().get('commit', '')[:12]}".strip()),
            *RULES.items(),
        ],
    )  # fmt: skip
    write_whole(folder / PAGE, page)


def _write_subjects(path: Path, sides: Sides, findings: Findings, made: Known, real: Known) -> None:
    nearest = {n.id: n for n in findings.copies.synthetic} if findings.copies else {}
    flagged = {n.id for n in findings.copies.flagged} if findings.copies else set()
    names = lesion_names(sides.contrasts)
    table = []
    for group, known in ((sides.made, made), (sides.chosen, real)):
        for subject in group:
            measured = known[subject.id]
            row: dict[str, Any] = {"id": subject.id, "origin": subject.origin.value,
                                   "group": subject.group.value}  # fmt: skip
            row |= numbers_of(measured)
            if measured.lesion is not None:
                row |= {f"feature_{k}": v for k, v in zip(names, measured.lesion, strict=True)}
            if group is sides.made and subject.id in nearest:
                found = asdict(nearest[subject.id])
                row |= {f"copy_{k}": v for k, v in found.items() if k != "id"}
                row["copy_flagged"] = "yes" if subject.id in flagged else "no"
            table.append(row)
    write_rows(path, table, ".5g")


def _plain(value: Any) -> Any:
    """JSON's own types; numbers that are not known become null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
