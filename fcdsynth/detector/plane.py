"""A subject's way to MNI space, and the mid-sagittal plane that comes from it."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane


def midplane_of(to_mni: ArrayLike | None, brain: Volume) -> Midplane:
    """The plane of MNI space, or that of the brain's symmetry where no way there is known."""
    return Midplane.fitted(brain) if to_mni is None else Midplane.from_mni(to_mni)
