"""The baseline's logistic and operating point, from validation subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logit

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.progress import track
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import read_mask
from fcdsynth.detector.operating import HeldOut, sweep_thresholds
from fcdsynth.detector.peers.evidence import Evidence
from fcdsynth.detector.peers.standard import Standard, fit_logistic, highest_peaks


@dataclass(frozen=True)
class Tuned:
    """What turns evidence into probability, and what cuts clusters from it."""

    standard: Standard
    point: OperatingPoint


def tune(
    standard: Standard, cohort: Cohort, evidence: Evidence, held_out: Sequence[Subject]
) -> Tuned:
    """Fit the logistic to the validation subjects' peaks, then choose the operating point.

    So a probability is that of a peak of this height to lie in a lesion; a logistic fitted to
    voxels would be tiny everywhere, lesions being a few voxels in a thousand. Where no peak lies
    in a lesion, or no threshold finds one, the standard and the default operating point stay. Of
    equal operating points that nearest to the default is taken.

    Args:
        standard: As the controls give it, slope 1 and intercept 0.
        cohort: The table the subjects belong to.
        evidence: How their maps are made.
        held_out: Validation subjects, patients with their annotator's mask; perhaps none.
    """
    default = OperatingPoint(chosen_on=tuple(s.id for s in held_out))
    looked, values, hits = [], [], []
    for subject in track(held_out, "looking at validation subjects"):
        map_ = evidence.of(cohort, subject)
        brain = np.isfinite(map_.array)
        lesion = np.zeros(brain.shape, dtype=bool)
        if subject.is_patient:
            lesion = read_mask(cohort.path(subject, "lesion")).array
        looked.append(HeldOut(subject.id, standard.logits(map_), brain, lesion, map_.grid))
        peaks = tuple(highest_peaks(looked[-1].logits, brain, map_.grid.spacing_mm).T)
        values.append(looked[-1].logits[peaks])
        hits.append(lesion[peaks])
    fitted = fit_logistic(np.concatenate(values), np.concatenate(hits)) if looked else None
    if fitted is None:
        return Tuned(standard, default)
    moved = replace(standard, slope=fitted[0], intercept=fitted[1])
    best = max(
        sweep_thresholds([_moved(s, *fitted) for s in looked], 1.0),
        key=lambda r: (
            r.f1,
            -abs(float(logit(r.threshold))),
            -abs(float(np.log(r.min_volume_ml / default.min_volume_ml))),
        ),
    )
    if best.found == 0:
        return Tuned(standard, default)
    point = replace(default, threshold=best.threshold, min_volume_ml=best.min_volume_ml)
    return Tuned(moved, point)


def _moved(subject: HeldOut, slope: float, intercept: float) -> HeldOut:
    logits = np.where(subject.brain, slope * subject.logits + intercept, subject.logits)
    return replace(subject, logits=logits.astype(np.float32))
