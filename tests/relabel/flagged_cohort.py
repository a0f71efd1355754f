"""A prepared cohort with hand-made out-of-fold maps, as flag reads it."""

import csv
from dataclasses import replace

import numpy as np
import yaml
from phantom import prepared_cohort
from scipy import ndimage

from fcdsynth.core.detection import Detections, OperatingPoint
from fcdsynth.core.volume import Volume, read_mask, read_volume, write_volume


def make_cohort(folder, patients=6, controls=2):
    """A prepared cohort whose truth files are gone: what still works never opened them."""
    cohort = prepared_cohort(folder, patients=patients, controls=controls)
    rows = []
    for subject in cohort.subjects:
        files = dict(subject.files)
        if subject.is_patient:
            mask = read_mask(cohort.path(subject, "lesion"))
            # Patients share four places in the test phantom: make their masks differ.
            index = cohort.subjects.index(subject)
            array = mask.array | np.roll(mask.array, index // 4 + index % 3, axis=1)
            array &= read_mask(cohort.path(subject, "brain")).array
            path = f"{subject.id}/{subject.id}_mask.nii.gz"
            write_volume(folder / path, Volume(array, mask.grid))
            files |= {"lesion_t1w": path, "truth": f"{subject.id}/gone_truth.nii.gz"}
        rows.append(replace(subject, files=files))
    cohort = replace(cohort, subjects=tuple(rows))
    cohort.write()
    return cohort


def make_maps(cohort, folder, out_of_fold=True):
    """Maps as soft copies of the masks, beside a weak blob of noise."""
    for subject in cohort.subjects:
        grid = read_mask(cohort.path(subject, "brain")).grid
        array = np.zeros(grid.shape, np.float32)
        if subject.is_patient:
            mask = read_mask(cohort.path(subject, "lesion_t1w")).array
            array = 0.9 * ndimage.gaussian_filter(mask.astype(np.float32), 0.6)
        maps = Detections(folder, (), (), OperatingPoint())
        write_volume(maps.probability_path(subject.id), Volume(array, grid))
    ids = tuple(subject.id for subject in cohort.subjects)
    Detections(folder, ids, (), OperatingPoint(threshold=0.4), ids).write_tables()
    (folder / "config.yaml").write_text(yaml.safe_dump({"out_of_fold": out_of_fold}))


def set_mask(cohort, number, array, grid=None):
    subject = cohort.subjects[number]
    old = read_volume(cohort.path(subject, "lesion_t1w"))
    write_volume(cohort.path(subject, "lesion_t1w"), Volume(array, grid or old.grid))


def mask_of(cohort, number):
    return read_mask(cohort.path(cohort.subjects[number], "lesion_t1w")).array


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
