"""The files of one synthetic subject: volumes, spec, sidecars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth import __version__
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Parent, Role, Subject
from fcdsynth.core.volume import Volume, read_mask, write_volume
from fcdsynth.synthesis.attempt import Attempt
from fcdsynth.synthesis.crops import paste
from fcdsynth.synthesis.drawn import Drawn, host_of
from fcdsynth.synthesis.honesty import Judge
from fcdsynth.synthesis.scans import HOST, SAMPLED
from fcdsynth.synthesis.sidecar import ENDS, file_name, write_sidecars


def what_tests_say(judge: Judge, kept: Attempt) -> dict[str, Any]:
    """What the tests found in the draw that was kept, for its records."""
    shown = zip(judge.names, kept.shown, strict=True)
    said: dict[str, Any] = {
        "contrast": {name: None if np.isnan(v) else round(v, 5) for name, v in shown}
    }
    if kept.trimmed is not None:
        trimmed = kept.trimmed
        said["changed_share"] = round(trimmed.share, 4)
        said["trimmed_share"] = round(1 - trimmed.share, 4) if judge.checks.refuse else 0.0
        said["beyond"] = round(trimmed.beyond, 4)
    return said | {"faults": [asdict(fault) for fault in kept.faults]}


def write_images(folder: Path, name: str, cohort: Cohort, drawn: Drawn, kept: Attempt) -> list[str]:
    """Write the volumes of a subject.

    Args:
        folder: Its folder.
        name: Its BIDS label.
        cohort: The drawn cohort.
        drawn: The subject as drawn.
        kept: The draw to write.

    Returns:
        The cohort keys of what was written.
    """

    def on_grid(crop: NDArray[Any]) -> NDArray[Any]:
        array = np.zeros(drawn.grid.shape, dtype=crop.dtype)
        paste(array, crop, drawn.corner)
        return array

    # Nothing of the host's images stays in full mode.
    whole = drawn.image.copy() if kept.spec.whole is None else np.zeros_like(drawn.image)
    paste(whole, kept.image, drawn.corner)
    arrays: dict[str, NDArray[Any]] = dict(zip(("t1w", "flair"), whole, strict=False))
    arrays["region"] = drawn.region
    if drawn.subject.is_patient:
        if (kept.tissue != drawn.scene.tissue).any():
            arrays["tissue"] = drawn.tissue.astype(np.uint8)
            paste(arrays["tissue"], kept.tissue, drawn.corner)
        arrays["lesion"] = on_grid(kept.lesion)
        soft = np.where(kept.lesion, drawn.scene.soft, 0).astype(np.float32)
        arrays["soft"] = on_grid(soft)
        if drawn.subject.has("track"):
            track = read_mask(cohort.path(drawn.subject, "track")).array & arrays["lesion"]
            arrays |= {"track": track} if track.any() else {}
        arrays["drawn"] = on_grid(drawn.scene.lesion)
    for key, array in arrays.items():
        write_volume(folder / "anat" / file_name(name, ENDS[key]), Volume(array, drawn.grid))
    return list(arrays)


def write_origins(
    folder: Path,
    name: str,
    cohort: Cohort,
    subject: Subject,
    images: Sequence[str],
    origins: Mapping[str, Any],
) -> None:
    """Write the spec and the sidecars of a subject.

    Args:
        folder: Its folder.
        name: Its BIDS label.
        cohort: The drawn cohort.
        subject: Its row there.
        images: Cohort keys of its volumes.
        origins: ``synthesis`` (the random part), ``checks``, ``checkpoint_sha256``,
            ``generator_key`` and ``seed``.
    """
    record = dict(origins)
    if subject.has("spec"):
        record["draw"] = json.loads(cohort.path(subject, "spec").read_text(encoding="utf-8"))
    text = json.dumps(record, indent=1) + "\n"
    (folder / f"{name}_spec.json").write_text(text, encoding="utf-8")
    style, whole = origins["synthesis"]["style"], origins["synthesis"]["whole"]
    scan = "" if whole is None else str(whole["scan"])
    made_by = {
        "Mode": "insert" if whole is None else "full",
        "MaskSpec": record.get("draw"),
        "StyleSource": style
        or ("normal law of the training lesions" if subject.is_patient else "none"),
        "ScanStyle": scan or "the surroundings of the region",
        "CheckpointSHA256": origins["checkpoint_sha256"],
        "GeneratorRunKey": origins["generator_key"],
        "Seed": origins["seed"],
        "Redraw": origins["synthesis"],
        "Checks": origins["checks"],
        "SoftwareName": "fcdsynth synthesize",
        "SoftwareVersion": __version__,
    }
    write_sidecars(
        folder, name, images, parents_of(subject, style, scan), host_of(subject), made_by,
        whole is not None,
    )  # fmt: skip


def parents_of(subject: Subject, style: str, scan: str) -> tuple[Parent, ...]:
    """A drawn subject's parents, and those who gave it a style.

    Args:
        subject: Its row.
        style: The patient whose style its lesion has; empty for none.
        scan: Whose scan's style it has; the host, a sampled style or none add nobody.
    """
    parents = [p for p in subject.parents if p.role is not Role.STYLE]
    givers = dict.fromkeys([style, "" if scan in (HOST, SAMPLED) else scan])
    return (*parents, *(Parent(giver, Role.STYLE) for giver in givers if giver))
