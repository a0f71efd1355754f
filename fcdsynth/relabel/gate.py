"""The model-free gate: faults of a mask that show without any detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.causes import Cause, Severity
from fcdsynth.relabel.facts import MaskFacts

_NEAR_MIDLINE_MM = 5.0
_LEAST_VOLUME_SPREAD = 0.25  # of log volume; published FCD cohorts have about 1.25
_FEWEST_FOR_VOLUME = 5
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one mask.

    Args:
        subject: Subject id.
        cause: What is wrong.
        severity: What it means for the queue.
        evidence: One plain sentence with the numbers behind it.
    """

    subject: str
    cause: Cause
    severity: Severity
    evidence: str


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Limits of the gate.

    Args:
        twin_dice: Dice with another subject's mask, in voxel space, above which one of them is
            taken for a copy.
        outside_share: Share of a mask's voxels outside the brain that is still accepted.
        volume_deviations: Accepted distance of ln(volume) from the median, robust standard
            deviations (1.4826 times the median absolute deviation).
        debris_vox: Components with fewer voxels are called specks.
        lobe_share: Least share of a component in the lobes and on the side that the participants
            table names.

    Raises:
        SettingsError: If a limit is out of range.
    """

    twin_dice: float = 0.95
    outside_share: float = 0.05
    volume_deviations: float = 3.0
    debris_vox: int = 5
    lobe_share: float = 0.1

    def __post_init__(self) -> None:
        limits = {"twin_dice": 1, "outside_share": 1, "volume_deviations": 100, "debris_vox": 10000,
                  "lobe_share": 1}  # fmt: skip
        for name, high in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= high:
                raise SettingsError(name, str(value), f"0 to {high}", "Change the setting.")


def check_masks(masks: Sequence[MaskFacts], settings: GateSettings) -> tuple[Finding, ...]:
    """Check every mask alone and against the others.

    Args:
        masks: All subjects of a cohort, those without a mask too.
        settings: Limits.

    Returns:
        Findings in the order of the subjects, gravest first within each.
    """
    findings = [found for facts in masks for found in _alone(facts, settings)]
    findings += _twins(masks, settings)
    findings += _volumes(masks, settings)
    order = {facts.subject.id: index for index, facts in enumerate(masks)}
    grave = list(Severity)
    return tuple(sorted(findings, key=lambda f: (order[f.subject], grave.index(f.severity))))


def _alone(facts: MaskFacts, settings: GateSettings) -> list[Finding]:
    subject = facts.subject
    found: list[Finding] = []

    def add(cause: Cause, severity: Severity, evidence: str) -> None:
        found.append(Finding(subject.id, cause, severity, evidence))

    if subject.is_patient and facts.empty:
        what = "No mask file is listed" if facts.grid is None else "The mask holds no voxel"
        add(Cause.EMPTY, Severity.ERROR, f"{what} although the subject is a patient.")
    if facts.grid is None:
        return found
    if not subject.is_patient and not facts.empty:
        add(Cause.IN_CONTROL, Severity.ERROR,
            f"A mask of {facts.volume_ml:.2f} ml although the subject is a control.")  # fmt: skip
    if not facts.binary:
        shown = ", ".join(f"{value:g}" for value in facts.values[:8])
        more = " and more" if len(facts.values) > 8 else ""
        add(Cause.NOT_BINARY, Severity.ERROR, f"The mask holds the values {shown}{more}.")
    for key, digest in facts.image_digests.items():
        if digest == facts.digest:
            add(Cause.SAME_AS_IMAGE, Severity.ERROR, f"Voxel for voxel the same as its {key}.")
    if facts.image_grid is not None and not facts.image_grid.close_to(facts.grid):
        add(Cause.OTHER_GRID, Severity.ERROR,
            f"The mask has {facts.grid.describe()}; its image has "
            f"{facts.image_grid.describe()}.")  # fmt: skip
    if facts.empty:
        return found
    if facts.outside_share is not None and facts.outside_share > settings.outside_share:
        add(Cause.OUTSIDE_BRAIN, Severity.WARNING,
            f"{facts.outside_share:.0%} of the mask lies outside the brain "
            f"(accepted: {settings.outside_share:.0%}).")  # fmt: skip
    found += _side(facts)
    found += _lobe(facts, settings)
    specks = [c for c in facts.components if c.size_vox < settings.debris_vox]
    if specks:
        add(Cause.DEBRIS, Severity.NOTE,
            f"{len(specks)} of {len(facts.components)} components have fewer than "
            f"{settings.debris_vox} voxels; they are not scored.")  # fmt: skip
    return found


def _side(facts: MaskFacts) -> list[Finding]:
    named = facts.subject.side.strip().upper()[:1]
    if named not in ("L", "R") or facts.midplane is None or facts.centre_mm is None:
        return []
    right_mm = float(facts.midplane.right_mm(facts.centre_mm))
    if (right_mm >= 0) == (named == "R"):
        return []
    words = {"L": "left", "R": "right"}
    near = abs(right_mm) < _NEAR_MIDLINE_MM
    evidence = (
        f"The table says {words[named]}; the mask's centre lies {abs(right_mm):.0f} mm to the "
        f"{words['R' if right_mm >= 0 else 'L']} of the midline ({facts.midplane.source})"
        + (", close to it." if near else ".")
    )
    severity = Severity.WARNING if near else Severity.ERROR
    return [Finding(facts.subject.id, Cause.WRONG_SIDE, severity, evidence)]


def _lobe(facts: MaskFacts, settings: GateSettings) -> list[Finding]:
    """Components that lie outside the lobes that the table names."""
    found = []
    for component, share in zip(facts.components, facts.in_named_lobe, strict=False):
        if component.size_vox >= settings.debris_vox and share < settings.lobe_share:
            named = f"{facts.subject.side} {facts.subject.lobe}".strip()
            evidence = (
                f"The table says {named}; {share:.0%} of a component of "
                f"{component.volume_ml:.2f} ml lies there (expected: at least "
                f"{settings.lobe_share:.0%})."
            )
            found.append(
                Finding(facts.subject.id, Cause.WRONG_LOBE, Severity.WARNING, evidence)
            )  # fmt: skip
    return found[:1]


def _twins(masks: Sequence[MaskFacts], settings: GateSettings) -> list[Finding]:
    """Same voxels in two subjects: voxel space is compared, so headers cannot hide a copy."""
    found = []
    filled = [facts for facts in masks if not facts.empty]
    for index, first in enumerate(filled):
        for second in filled[index + 1 :]:
            if first.shape != second.shape:
                continue
            dice = _dice(first, second, settings.twin_dice)
            if dice <= settings.twin_dice:
                continue
            same = dice == 1.0
            cause = Cause.SAME_AS_OTHER if same else Cause.LIKE_OTHER
            for mine, other in ((first, second), (second, first)):
                detail = "voxel for voxel" if same else f"with a Dice overlap of {dice:.3f}"
                found.append(
                    Finding(mine.subject.id, cause, Severity.ERROR,
                            f"The same mask as {other.subject.id}, {detail}.")
                )  # fmt: skip
    return found


def _dice(first: MaskFacts, second: MaskFacts, enough: float) -> float:
    a, b = len(first.voxels), len(second.voxels)
    # Unequal sizes bound the overlap, and spare most comparisons of a large cohort.
    if 2 * min(a, b) / (a + b) <= enough:
        return 0.0
    shared = len(np.intersect1d(first.voxels, second.voxels, assume_unique=True))
    return 2 * shared / (a + b)


def _volumes(masks: Sequence[MaskFacts], settings: GateSettings) -> list[Finding]:
    patients = [f for f in masks if f.subject.is_patient and not f.empty]
    if len(patients) < _FEWEST_FOR_VOLUME:
        return []
    logs = np.log([facts.volume_ml for facts in patients])
    middle = float(np.median(logs))
    spread = _MAD_TO_SD * float(np.median(np.abs(logs - middle)))
    # Where masks happen to be alike, a little more or less is not unusual.
    spread = max(spread, _LEAST_VOLUME_SPREAD)
    found = []
    for facts, value in zip(patients, logs, strict=True):
        deviation = (float(value) - middle) / spread
        if abs(deviation) > settings.volume_deviations:
            found.append(
                Finding(
                    facts.subject.id, Cause.ODD_VOLUME, Severity.WARNING,
                    f"{facts.volume_ml:.2f} ml is {abs(deviation):.1f} robust deviations "
                    f"{'above' if deviation > 0 else 'below'} the cohort's median of "
                    f"{np.exp(middle):.2f} ml (n = {len(patients)}, log volume).",
                )
            )  # fmt: skip
    return found
