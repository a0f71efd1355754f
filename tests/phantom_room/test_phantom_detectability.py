"""The trivial methods on a head made by hand: they find what is glaring and nothing else."""

import numpy as np

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.phantom.detectability import (
    METHODS,
    THRESHOLDS_SD,
    Counts,
    best_found,
    count,
    score_map,
)

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def slab_head(lift, both_sides=False, seed=0):
    """Cortex in front, white matter behind, symmetric about x = 0; a bright ball on the right."""
    grid = Grid.covering([-40, -30, -30], [40, 30, 30], 2.0)
    mm = grid.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))
    tissue = np.where(mm[..., 1] > 0, Tissue.CORTEX, Tissue.WHITE_MATTER).astype(np.uint8)
    x = np.abs(mm[..., 0]) if both_sides else mm[..., 0]
    ball = np.linalg.norm(np.stack([x - 20, mm[..., 1] - 12, mm[..., 2]], -1), axis=-1) < 7
    noise = np.random.default_rng(seed).normal(0, 1, grid.shape)
    flair = np.where(tissue == Tissue.CORTEX, 100.0, 76.0) + noise + lift * ball
    return Volume(flair.astype(np.float32), grid), Volume(tissue, grid), Volume(ball, grid)


def test_a_glaring_lesion_is_found_by_both_and_a_faint_one_by_none():
    glaring, tissue, ball = slab_head(4.0)
    faint, _, _ = slab_head(0.05)
    for method, found in zip(METHODS, count(glaring, tissue, ball, np.eye(4), MIRROR), strict=True):
        assert best_found([found], method).share == 1.0
    for method, found in zip(METHODS, count(faint, tissue, ball, np.eye(4), MIRROR), strict=True):
        assert not found.found[THRESHOLDS_SD.index(4.0)], method


def test_what_is_bright_on_both_sides_is_not_asymmetric():
    both, tissue, _ = slab_head(4.0, both_sides=True)
    ball = slab_head(4.0)[2]
    threshold, asymmetry = count(both, tissue, ball, np.eye(4), MIRROR)
    assert best_found([threshold], "flair_threshold").share == 1.0
    assert best_found([asymmetry], "asymmetry").share == 0.0


def test_tissues_are_compared_with_themselves():
    flair, tissue, _ = slab_head(0.0)
    score = score_map("flair_threshold", flair.array, tissue.array, flair.grid, MIRROR)
    for label in (Tissue.CORTEX, Tissue.WHITE_MATTER):
        assert abs(np.median(score[tissue.array == label])) < 0.1
    assert not score_map("asymmetry", flair.array, 0 * tissue.array, flair.grid, MIRROR).any()


def counts(patient, false, found):
    return Counts("asymmetry", patient, tuple(false), tuple(found))


def test_the_best_threshold_keeps_to_the_false_rate():
    n = len(THRESHOLDS_SD)
    # By hand: at the first threshold 3 false a subject and both found, at the second 1 false and
    # one found, from the third on nothing.
    patients = [counts(True, [4, 2] + [0] * (n - 2), [True, True] + [False] * (n - 2)),
                counts(True, [3, 1] + [0] * (n - 2), [True] + [False] * (n - 1))]  # fmt: skip
    control = counts(False, [2] + [0] * (n - 1), [False] * n)
    found = best_found([*patients, control], "asymmetry")
    assert (found.share, found.false_per_subject, found.threshold_sd) == (0.5, 1.0, 1.25)
    assert (found.n_patients, found.n_subjects) == (2, 3)
    assert best_found([*patients, control], "asymmetry", 3.0).share == 1.0
    assert best_found([control], "asymmetry").threshold_sd is None
    assert best_found([], "asymmetry").n_subjects == 0


def test_a_subject_without_lesion_has_false_clusters_alone():
    flair, tissue, _ = slab_head(4.0)
    own = count(flair, tissue, None, np.eye(4), MIRROR)[0]
    assert not own.patient
    assert not any(own.found)
    assert max(own.false_clusters) >= 1
