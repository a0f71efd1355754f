"""A subject's way to MNI space, and the mid-sagittal plane that comes from it."""

from __future__ import annotations

import json
from typing import Any

from numpy.typing import ArrayLike

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane


def read_to_mni(cohort: Cohort, subject: Subject) -> Any:
    """Matrix (4 x 4) from the native T1w world to MNI as lists, None where there is none."""
    if not subject.has("transforms"):
        return None
    return json.loads(cohort.path(subject, "transforms").read_text()).get("t1w_to_mni")


def midplane_of(to_mni: ArrayLike | None, brain: Volume) -> Midplane:
    """The plane of MNI space, or that of the brain's symmetry where no way there is known."""
    return Midplane.fitted(brain) if to_mni is None else Midplane.from_mni(to_mni)
