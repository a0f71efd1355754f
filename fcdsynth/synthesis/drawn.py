"""A drawn subject made ready: its host's volumes, the region to redraw, the crop around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Role, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.contrasts import redrawn_region
from fcdsynth.synthesis.crops import Corner, cut, enclosing
from fcdsynth.synthesis.heads import contrasts_of
from fcdsynth.synthesis.redraw import Scene
from fcdsynth.synthesis.styles import Styles
from fcdsynth.training.data import load_arrays

_REMEDY = "Run fcdsynth draw again."


def host_of(subject: Subject) -> str:
    """Id of the subject whose images are redrawn.

    Raises:
        CohortError: If there is none or more than one.
    """
    hosts = [p.subject for p in subject.parents if p.role is Role.HOST]
    if len(hosts) != 1:
        raise CohortError(
            subject.id, f"{len(hosts)} host parents", "exactly one",
            "Give the cohort that fcdsynth draw wrote.",
        )  # fmt: skip
    return hosts[0]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One drawn subject.

    Args:
        subject: Its row.
        grid: Grid of its volumes.
        image: The host's prepared intensities, shape (contrast, x, y, z).
        tissue: The host's labels, shape (x, y, z).
        region: Voxels to redraw, shape (x, y, z).
        corner: First voxel of the crop.
        size: Sizes of the crop.
        scene: The crop.
        shape: What was drawn, lesion or healthy, in the crop.
        ring: The shape and the rim around it, in the crop: what contrast is measured in. In
            insert mode it is what is redrawn.
    """

    subject: Subject
    grid: Grid
    image: NDArray[np.float32]
    tissue: NDArray[Any]
    region: NDArray[np.bool_]
    corner: Corner
    size: Corner
    scene: Scene
    shape: NDArray[np.bool_]
    ring: NDArray[np.bool_]


def load_drawn(
    cohort: Cohort, subject: Subject, known: Styles, reach_vox: int, multiple: int,
    whole: bool = False,
) -> Drawn:  # fmt: skip
    """Load a subject that draw wrote.

    Args:
        cohort: Its cohort.
        subject: Its row.
        known: Geometry and channels of the generator.
        reach_vox: How far around a region the generator looks; a larger crop is of no use.
        multiple: Sides of the crop are multiples of this.
        whole: Whether the whole brain is redrawn.

    Raises:
        CohortError: If a file is absent, the lesion is empty or the region holds no brain.
        SettingsError: If the spacing is not the generator's.
    """
    contrasts = contrasts_of(known.flair)
    cohort.path(subject, "region")
    keys = [*contrasts, "tissue", "region"]
    if subject.is_patient:
        cohort.path(subject, "lesion")
        keys += ["lesion", "soft"]
    arrays, grid = load_arrays(cohort, subject, keys)
    if not np.allclose(grid.spacing_mm, known.spacing_mm, rtol=0.01):
        raise SettingsError(
            f"{subject.id} spacing", f"{grid.spacing_mm} mm",
            f"{known.spacing_mm} mm, at which the generator was trained",
            "Prepare both cohorts with one spacing.",
        )  # fmt: skip
    empty = np.zeros(grid.shape, dtype=np.uint8)
    lesion: NDArray[Any] = arrays.get("lesion", empty) > 0
    soft = arrays.get("soft", empty).astype(np.float32)
    if subject.is_patient and not lesion.any():
        raise CohortError(subject.id, "an empty lesion mask", "at least one voxel", _REMEDY)
    # Around a drawn shape lies a redrawn rim, as in training.
    shape = (arrays["region"] > 0) | lesion
    ring = redrawn_region(shape, arrays["tissue"], known.margin_mm, grid.spacing_mm)
    if not ring.any():
        raise CohortError(subject.id, "no brain in the region", "a region inside the brain",
                          _REMEDY)  # fmt: skip
    region = ring
    corner, size = enclosing(ring, reach_vox + 1, multiple)
    if whole:
        region = arrays["tissue"] != Tissue.BACKGROUND
        corner, size = enclosing(region, 1, 1, known.crop)
    image = np.stack([arrays[key] for key in contrasts]).astype(np.float32, copy=False)
    scene = Scene.cut(image, arrays["tissue"], lesion, soft, region, corner, size)
    return Drawn(subject, grid, image, arrays["tissue"], region, corner, size, scene,
                 cut(shape, corner, size), cut(ring, corner, size))  # fmt: skip
