"""A prepared phantom: what prepare would write, told from the truth."""

import json

import numpy as np
import pytest

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.subject import Group, Origin, Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume
from fcdsynth.phantom.mistakes import mistaken_brain, mistaken_tissue
from fcdsynth.phantom.phantom import phantom

SPACING = 3.0


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "cohort"
    return Cohort.read(phantom(
        str(out), 1, 1, spacing=SPACING, difficulty="easy", error_share=0.0, prepared=True,
        report=False, split=True, seed=3,
    ))  # fmt: skip


def test_the_table_is_that_of_a_prepared_cohort(cohort):
    one_grid = ("t1w", "flair", "lesion", "brain", "tissue", "depth", "lobes", "ribbon",
                "t1w_mirror", "flair_mirror")  # fmt: skip
    assert cohort.check(one_grid=one_grid) == []
    patient, control = cohort.subjects
    assert (patient.group, control.group) == (Group.PATIENT, Group.CONTROL)
    assert {s.origin for s in cohort.subjects} == {Origin.PHANTOM}
    assert {s.split for s in cohort.subjects} == {Split.TRAIN}
    assert set(one_grid) <= set(patient.files)
    assert not control.has("lesion")
    assert not control.has("truth")
    assert patient.has("truth")
    assert patient.has("lesion_t1w")


def test_images_are_prepared_intensities_aligned_by_the_truth(cohort):
    for subject in cohort.subjects:
        brain = read_mask(cohort.path(subject, "brain")).array
        tissue = read_labels(cohort.path(subject, "tissue")).array
        for key in ("t1w", "flair"):
            image = read_volume(cohort.path(subject, key)).array
            assert not image[~brain].any()
            assert np.median(image[brain]) == pytest.approx(0.5, abs=0.01)
            assert image.max() <= 1
        t1w, flair = (read_volume(cohort.path(subject, key)).array for key in ("t1w", "flair"))
        white, grey = tissue == Tissue.WHITE_MATTER, tissue == Tissue.CORTEX
        assert t1w[white].mean() > t1w[grey].mean()
        assert flair[white].mean() < flair[grey].mean()
        transforms = json.loads(cohort.path(subject, "transforms").read_text())
        truth = cohort.folder / "bids/derivatives/truth" / subject.id / f"{subject.id}_truth.json"
        wanted = json.loads(truth.read_text())["flair_to_t1w"]
        np.testing.assert_allclose(transforms["flair_to_t1w"], wanted, atol=1e-6)


def test_labels_are_mistaken_as_a_program_would_be(cohort):
    for subject in cohort.subjects:
        found = read_labels(cohort.path(subject, "tissue"))
        native = cohort.folder / "bids/derivatives/truth" / subject.id / "anat"
        dseg = read_labels(native / f"{subject.id}_space-T1w_dseg.nii.gz")
        true = resample(dseg, found.grid, 0).array
        for label, low, high in ((Tissue.CORTEX, 0.7, 0.97), (Tissue.WHITE_MATTER, 0.78, 0.98)):
            assert low < dice(found.array == label, true == label) < high
        assert 0.97 < dice(found.array > 0, true > 0) < 0.9999


def test_the_annotated_mask_lies_on_the_lesion(cohort):
    subject = cohort.subjects[0]
    truth = read_mask(cohort.path(subject, "truth"))
    drawn = read_mask(cohort.path(subject, "lesion"))
    assert dice(resample_mask(truth, drawn.grid).array, drawn.array) > 0.4
    native = read_mask(cohort.path(subject, "lesion_t1w"))
    assert native.grid.close_to(truth.grid)
    assert dice(native.array, truth.array) > 0.4


def test_a_noisy_image_makes_more_mistakes_than_a_clear_one():
    grid = Grid.covering([-30] * 3, [30] * 3, 2.0)
    mm = grid.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))
    radius = np.linalg.norm(mm, axis=-1)
    kinds = [Tissue.WHITE_MATTER, Tissue.CORTEX, Tissue.CSF]
    true = np.select([radius < 14, radius < 20, radius < 26], kinds, 0).astype(np.uint8)
    clear = np.choose(true, [0, 20, 60, 100, 0, 0, 0]).astype(np.float32)
    brain = Volume(true > 0, grid)
    noise = np.random.default_rng(0).normal(0, 1, grid.shape).astype(np.float32)
    found = [mistaken_tissue(Volume(true, grid), Volume(clear + sd * noise, grid), brain).array
             for sd in (1.0, 30.0)]  # fmt: skip
    right = [(labels == true)[brain.array].mean() for labels in found]
    assert right[0] > 0.999
    assert 0.7 < right[1] < 0.99
    moved = mistaken_brain(brain, (4,))
    assert 0.9 < dice(moved.array, brain.array) < 0.9999
    again = mistaken_brain(brain, (4,))
    np.testing.assert_array_equal(moved.array, again.array)
