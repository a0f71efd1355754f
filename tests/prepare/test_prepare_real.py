"""Real raw scans (open_ms_data): FLAIR on T1w as the data's authors found it, a plausible brain."""

import numpy as np
from scipy import ndimage

from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.prepare.brain import check_brain, deep_brain
from fcdsynth.prepare.registration import register

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def authors_flair_to_t1w(path):
    """The ITK text file's affine in RAS+: the file's transform maps FLAIR points to T1w points."""
    lines = path.read_text().splitlines()
    numbers = np.array(lines[3].split()[1:], float)
    centre = np.array(lines[4].split()[1:], float)
    matrix = np.eye(4)
    matrix[:3, :3] = numbers[:9].reshape(3, 3)
    matrix[:3, 3] = numbers[9:] + centre - matrix[:3, :3] @ centre
    return FLIP @ matrix @ FLIP


def test_raw_flair_is_registered_as_the_authors_did(shared_data):
    """patient12: its FLAIR lies up to 4 mm off the T1w, so doing nothing would fail."""
    folder = shared_data / "openms-raw" / "patient12"
    t1w = read_volume(folder / "study1_T1W.nii.gz")
    flair = read_volume(folder / "study1_FLAIR.nii.gz")
    brain = deep_brain(t1w, "patient12")
    assert 1300 < check_brain(brain, "patient12", given=False) < 1700
    near = Volume(ndimage.binary_dilation(brain.array, iterations=4), t1w.grid)
    found = register(t1w, flair, near).matrix
    wanted = np.linalg.inv(authors_flair_to_t1w(folder / "study1_T1W_intrastudy_to_FLAIR.txt"))
    points = t1w.grid.to_mm(np.argwhere(brain.array)[::5000])

    def gap(one, other):
        moved = points @ (one - other)[:3, :3].T + (one - other)[:3, 3]
        return np.linalg.norm(moved, axis=1)

    assert gap(found, wanted).max() < 1.5
    assert gap(np.eye(4), wanted).max() > 2.5
    assert gap(found, wanted).mean() < 1.0
