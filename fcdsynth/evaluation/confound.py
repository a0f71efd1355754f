"""Does the scanner or the site give the group away?"""

from __future__ import annotations

from collections.abc import Sequence

from fcdsynth.evaluation.cases import SubjectRecord

WARN_SHARE = 0.2


def audit_confounds(subjects: Sequence[SubjectRecord]) -> tuple[str, ...]:
    """Warn where acquisition predicts the group, so that specificity may be an artefact.

    The simplest cheating rule calls everyone on a scanner without controls a patient: its
    specificity is 100 %, its sensitivity the share of patients on such scanners. The mirrored
    rule is looked at too. Nothing is said below 20 % or when only one group was evaluated.

    Args:
        subjects: The evaluated subjects.

    Returns:
        One sentence a finding.
    """
    warnings = []
    for what in ("scanner", "site"):
        places = [getattr(s, what) for s in subjects]
        patients = [p for p, s in zip(places, subjects, strict=True) if s.is_patient and p]
        controls = [p for p, s in zip(places, subjects, strict=True) if not s.is_patient and p]
        if not patients or not controls:
            continue
        for mine, theirs, names in (
            (patients, controls, ("patients", "controls")),
            (controls, patients, ("controls", "patients")),
        ):
            alone = sum(place not in set(theirs) for place in mine)
            if alone / len(mine) >= WARN_SHARE:
                warnings.append(
                    f"{alone} of {len(mine)} {names[0]} were scanned on a {what} without "
                    f"{names[1]}: the {what} alone tells them apart, so specificity and AUROC "
                    "may be an artefact of acquisition."
                )
    return tuple(warnings)
