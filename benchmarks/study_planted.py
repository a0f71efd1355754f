"""A planted artefact: are the false positives that it causes traced to the cases that hold it?

On the development world two arms train on the same real subjects and the same synthetic ones
(CarveMix, which needs no generator). In one arm half of the synthetic patients carry an artefact:
a bright spot of white matter on FLAIR, of the kind that healthy heads have too, that is labelled
as lesion. A detector that learns it finds such spots in test subjects. Its new false positives
should look most like the planted training lesions, and those of the clean arm should not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import Figures
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_volume, write_volume
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Plan
from fcdsynth.study.settings import Arm
from fcdsynth.study.tracing import trace

SPOT_MM, SPOT_SD = 3.0, 3.0


def planted_pool(pool: Cohort, out: Path) -> tuple[Path, frozenset[str]]:
    """A pool whose every other patient has a bright spot for a lesion.

    Args:
        pool: The clean pool.
        out: Folder to write.

    Returns:
        The folder, and the ids of the planted subjects.
    """
    moved, rows = pool.moved(out), []
    patients = [s.id for s in pool.subjects if s.is_patient]
    planted = frozenset(patients[::2])
    for s in moved.subjects:
        rows.append(_plant(moved, s, out) if s.id in planted else s)
    Cohort(out, tuple(rows), "planted", fitted_on=pool.fitted_on).write()
    return out, planted


def _plant(cohort: Cohort, subject: Subject, out: Path) -> Subject:
    rng = np.random.default_rng([17, *subject.id.encode()])
    flair = read_volume(cohort.path(subject, "flair"))
    tissue = read_labels(cohort.path(subject, "tissue")).array
    white = tissue == Tissue.WHITE_MATTER
    spacing = flair.grid.spacing_mm
    deep = ndimage.distance_transform_edt(white, sampling=spacing) > SPOT_MM
    places = np.argwhere(deep if deep.any() else white)
    centre = places[int(rng.integers(len(places)))]
    axes = [(np.arange(n) - c) * mm
            for n, c, mm in zip(flair.array.shape, centre, spacing, strict=True)]  # fmt: skip
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    spot = np.exp(-(x**2 + y**2 + z**2) / (2 * (SPOT_MM / 2) ** 2))
    spread = float(flair.array[white].std())
    bright = np.clip(flair.array + SPOT_SD * spread * spot, 0, 1).astype(np.float32)
    lesion = (spot > np.exp(-2.0)) & (flair.array > 0)
    folder = out / subject.id
    write_volume(folder / "flair.nii.gz", Volume(bright, flair.grid))
    write_volume(folder / "lesion.nii.gz", Volume(lesion, flair.grid))
    files = {**subject.files, "flair": f"{subject.id}/flair.nii.gz",
             "lesion": f"{subject.id}/lesion.nii.gz"}  # fmt: skip
    return replace(subject, files=files)


def measure_planted(
    figures: Figures, folder: StudyFolder, plan: Plan, clean: Arm, planted: Arm,
    ids: frozenset[str],
) -> None:  # fmt: skip
    """Add how many new false positives each arm has, and how many lead to the planted cases."""
    shares = {}
    for word, arm in (("clean", clean), ("planted", planted)):
        found = trace(folder, plan, arm).introduced
        hits = sum(t.alike[0].training_subject in ids for t in found)
        shares[word] = (hits, len(found))
        figures.add(f"introduced_{word}", len(found), len(plan.test), (len(found), len(found)))
    # The same subjects, unplanted, are in the clean arm too: what chance and looks alike give.
    figures.add_share("traced_clean", *shares["clean"])
    figures.add_share("traced_planted", *shares["planted"], at_least=0.5)
