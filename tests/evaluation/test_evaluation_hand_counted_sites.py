"""Chance, overlap, distances, site probability and other storage of one subject, by hand.

Maps and masks are written as NIfTI and scored by score_subject. Each case says in its docstring
what is right and how it is counted. Voxels are 1 mm cubes, boxes are half-open ranges.
"""

from math import sqrt

import numpy as np
import pytest
from hand_counted import SubjectBench, box, check, cube, finders, registry, roles

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, canonical, read_volume, write_volume
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject

FALSE = Role.FALSE
OVERLAP, IOU, CENTRE, NEAR = Rule
CASES, case = registry()


@pytest.fixture
def bench(arrays, make_grid, tmp_path):
    return SubjectBench(arrays, make_grid, tmp_path)


# --- chance, overlap and distances ----------------------------------------------------------


@case
def chance_is_certain_when_the_lesion_fills_the_brain(bench):
    """Any cluster inside the brain lies inside the lesion: overlap and near 1. It has 1 of 512
    voxels, so IoU is never reached: 0."""
    brain = np.zeros((16, 16, 16), bool)
    brain[4:12, 4:12, 4:12] = True
    record = bench.score([cube(4, 12)], [box(0, 0, 0)], [0.5], brain=brain, draws=6)
    yield (record.chance[OVERLAP], record.chance[NEAR], record.chance[IOU]), (1, 1, 0)
    yield finders(record, OVERLAP), [None]


@case
def dice_and_distances_of_a_shifted_cube(bench):
    """4 x 4 x 4 moved by 1 along x. Shared 3 x 16 = 48: Dice 96/128 = 0.75.

    Surface of a cube of 4: 64 - 8 inner = 56 voxels. From lesion to cluster: the free face x = 4
    (16 voxels) is 1 mm from the cluster's first face; at x = 5 and 6 rings meet the cluster's
    surface (0); of the face x = 7 the ring of 12 does, its inner 4 are 1 mm away. So 20 of 56 are
    1 mm away, likewise back: mean 40/112. More than 5 % are 1 mm away: the 95th percentile is 1.
    """
    record = bench.score([cube(4, 8)], [box((5, 9), (4, 8), (4, 8))], [0.5])
    fate = record.lesions[0].found[IOU]
    yield fate.dice, 0.75
    yield fate.assd_mm, 40 / 112
    yield fate.hd95_mm, 1


@case
def distances_are_in_mm(bench):
    """The same with voxels of 2.5 mm: Dice as before, distances 2.5 times as long."""
    record = bench.score([cube(4, 8)], [box((5, 9), (4, 8), (4, 8))], [0.5], spacing=(2.5,) * 3)
    fate = record.lesions[0].found[IOU]
    yield (fate.dice, fate.assd_mm, fate.hd95_mm), (0.75, 2.5 * 40 / 112, 2.5)


@case
def distances_from_a_cube_to_its_middle(bench):
    """Lesion 3 x 3 x 3, cluster its middle voxel: Dice 2/28. The 26 outer voxels lie 1 mm (6
    faces), sqrt 2 (12 edges) and sqrt 3 (8 corners) away, the middle 1 mm from them. Mean of 27:
    (6 + 12 sqrt 2 + 8 sqrt 3 + 1) / 27. 95 % of 26 is within the 8 corners: sqrt 3."""
    record = bench.score([cube(4, 7)], [box(5, 5, 5)], [0.5])
    fate = record.lesions[0].found[OVERLAP]
    yield fate.dice, 2 / 28
    yield fate.assd_mm, (7 + 12 * sqrt(2) + 8 * sqrt(3)) / 27
    yield fate.hd95_mm, sqrt(3)


@case
def dice_of_the_whole_mask(bench):
    """Lesions of 8 + 8 voxels; a cluster on one and one of 4 elsewhere: 2 x 8 / (16 + 12)."""
    record = bench.score(
        [cube(2, 4), cube(8, 10)], [cube(2, 4), box((12, 14), (2, 4), 2)], [0.9, 0.5]
    )  # fmt: skip
    yield record.dice, 16 / 28


# --- probability at the site ----------------------------------------------------------------


@case
def site_probability_of_a_found_lesion(bench):
    """A row of 10 voxels, 1 at 0.9 and 9 at 0.1. Max 0.9; mean (0.9 + 0.9) / 10 = 0.18; 95th
    percentile at place 0.95 x 9 = 8.55 of 0..9: 0.1 + 0.55 x 0.8 = 0.54."""
    record = bench.score([box((2, 12), 3, 3)], [box(4, 3, 3)], [0.9], background=0.1)
    for site in (record.lesions[0].site, record.whole_site):
        yield (site.max, site.mean, site.p95), (0.9, 0.18, 0.54)


@case
def site_probability_of_a_missed_lesion(bench):
    """No cluster near it, but the map says 0.2 everywhere else: 0.2, and not 0."""
    record = bench.score([box(2, 2, 2)], [cube(12, 14)], [0.9], background=0.2)
    yield finders(record, OVERLAP), [None]
    site = record.lesions[0].site
    yield (site.max, site.mean, site.p95), (0.2, 0.2, 0.2)


@case
def mirrored_site(bench):
    """Brain x 0..15, its centre at 7.5: x = 2..3 is mirrored to 13..12. A false cluster (0.6) on
    x = 12 covers half of it, the rest is 0.1: max 0.6, mean 0.35. The lesion itself is at 0.1."""
    record = bench.score(
        [box((2, 4), (4, 8), (4, 8))], [box(12, (4, 8), (4, 8))], [0.6], background=0.1
    )  # fmt: skip
    mirror = record.lesions[0].mirror
    yield (mirror.max, mirror.mean), (0.6, 0.35)
    yield record.lesions[0].site.mean, 0.1
    yield record.mirror_by, "brain centre"


@case
def a_lesion_across_the_midline_has_no_mirror(bench):
    """x 4..11 of 0..15 is its own mirror image: nothing is left to compare with."""
    record = bench.score([box((4, 12), 3, 3)], background=0.1)
    yield record.lesions[0].mirror, None


@case
def two_lesions_and_the_whole_site(bench):
    """Lesions of 6 and 2 voxels at 0.8 and 0.1: means 0.8 and 0.1, whole (6 x 0.8 + 0.2) / 8."""
    first = box((2, 8), 2, 2)
    record = bench.score([first, box((2, 4), 9, 9)], [first], [0.8], background=0.1)
    yield [lesion.site.mean for lesion in record.lesions], [0.8, 0.1]
    yield record.whole_site.mean, 5.0 / 8


# --- controls -------------------------------------------------------------------------------


@case
def control_without_a_cluster(bench):
    """No lesion, no cluster: nothing found, nothing false, highest score 0, no Dice."""
    record = bench.score([])
    yield (len(record.clusters), record.score), (0, 0)
    yield (record.dice, record.whole_site, record.chance), (None, None, None)


@case
def control_with_one_voxel(bench):
    """One voxel is one false positive by every rule, with no lesion to be far from."""
    record = bench.score([], [box(3, 3, 3)], [0.3])
    yield [roles(record, rule) for rule in Rule], [[FALSE]] * 4
    yield record.clusters[0].gap_mm, None
    yield record.score, 0.3


# --- the same image stored in another way -----------------------------------------------------

_SCENE = (
    [cube(2, 6), box((10, 12), (10, 12), (10, 13))],
    [box((4, 8), (2, 6), (2, 6)), box(10, 10, 10), box(2, 13, 2)],
    [0.9, 0.6, 0.4],
)


def _stored_anew(task, turn):
    """Store every volume of a task with other axes or voxels; ``turn`` maps array and affine."""
    paths = [task.maps.map, task.maps.clusters, *task.files.values()]
    for path in paths:
        volume = canonical(read_volume(path))
        array, matrix = turn(volume.array, volume.grid.matrix)
        write_volume(path, Volume(array, Grid.of(array.shape, matrix)))
    return score_subject(task)


@pytest.mark.parametrize("codes", ["LAS", "RPS", "RAI", "LPI", "ASR", "SLP", "PIL"])
def test_axes_do_not_matter(bench, codes):
    """_SCENE in other axis orders and directions: every number is that of RAS."""
    task = bench.write(*_SCENE, spacing=(1, 2, 1.5), draws=4, background=0.1)
    plain = score_subject(task)
    assert finders(plain, OVERLAP) == [1, 2]
    order = [("RL", "AP", "SI").index(next(p for p in ("RL", "AP", "SI") if c in p)) for c in codes]

    def turn(array, matrix):
        array = array.transpose(order)
        columns = matrix[:, [*order, 3]].copy()
        for axis, code in enumerate(codes):
            if code in "LPI":
                array = np.flip(array, axis)
                columns[:3, 3] += columns[:3, axis] * (array.shape[axis] - 1)
                columns[:3, axis] *= -1
        return np.ascontiguousarray(array), columns

    turned = _stored_anew(task, turn)
    assert read_volume(task.maps.map).grid.axis_codes == codes
    assert turned == plain


@pytest.mark.parametrize("cuts", [(2, 2, 2), (1, 1, 3), (3, 2, 1)], ids=str)
def test_lossless_resampling_does_not_matter(bench, cuts):
    """Each voxel of _SCENE (8 mm long) cut in equal parts: fates, overlap, volumes and site means
    are the same; gaps are between voxel centres, so each shrinks by less than one voxel."""
    task = bench.write(*_SCENE, spacing=(8, 8, 8), background=0.1)
    plain = score_subject(task)

    def turn(array, matrix):
        for axis, n in enumerate(cuts):
            array = np.repeat(array, n, axis)
        fine = matrix @ np.diag([*(1 / np.array(cuts)), 1.0])
        fine[:3, 3] += (fine[:3, :3] - matrix[:3, :3]) @ np.full(3, 0.5)
        return array, fine

    cut = _stored_anew(task, turn)
    for rule in Rule:
        assert finders(cut, rule) == finders(plain, rule)
        assert roles(cut, rule) == roles(plain, rule)
    assert cut.dice == pytest.approx(plain.dice)
    for one, other in zip(cut.lesions, plain.lesions, strict=True):
        assert one.volume_ml == pytest.approx(other.volume_ml)
        assert one.centre_mm == pytest.approx(other.centre_mm)
        assert one.found[OVERLAP].dice == pytest.approx(other.found[OVERLAP].dice)
        assert (one.site.max, one.site.mean) == pytest.approx((other.site.max, other.site.mean))
    for one, other in zip(cut.clusters, plain.clusters, strict=True):
        if one.gap_mm is not None and other.gap_mm is not None:
            assert other.gap_mm - 8 < one.gap_mm <= other.gap_mm


@pytest.mark.parametrize("name", CASES)
def test_hand_counted(bench, name):
    check(CASES[name](bench))
