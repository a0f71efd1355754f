"""Hits, misses, extra and false clusters of one subject, counted by hand.

Maps and masks are written as NIfTI and scored by score_subject. Each case says in its docstring
what is right and how it is counted. Voxels are 1 mm cubes, boxes are half-open ranges, clusters
are numbered in the order in which they are listed.
"""

from math import sqrt

import numpy as np
import pytest
from hand_counted import SubjectBench, box, check, cube, finders, registry, roles

from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule

TRUE, EXTRA, FALSE = Role.TRUE, Role.EXTRA, Role.FALSE
OVERLAP, IOU, CENTRE, NEAR = Rule
CASES, case = registry()


@pytest.fixture
def bench(arrays, make_grid, tmp_path):
    return SubjectBench(arrays, make_grid, tmp_path)


# --- hits, rule by rule ---------------------------------------------------------------------


@case
def one_lesion_one_correct_detection(bench):
    """The same cube twice: found by every rule, a true cluster, Dice 1."""
    record = bench.score([cube(4, 8)], [cube(4, 8)], [0.7])
    for rule in Rule:
        yield finders(record, rule), [1]
        yield roles(record, rule), [TRUE]
        yield record.lesions[0].found[rule].dice, 1
        yield record.lesions[0].found[rule].score, 0.7


@case
def three_clusters_under_four_rules(bench):
    """Lesion of 4 x 4 x 4 at 4..7, its centre at 5.5.

    Cluster 1, one voxel at the lesion's corner (4, 4, 4): overlap; IoU 1/64; centres apart
    1.5 sqrt(3) = 2.6 mm, a hit; gap 0. Cluster 2, one voxel at (15, 5, 5): no overlap; centres
    apart sqrt(9.5^2 + 0.5) = 9.53 mm, a hit; gap 15 - 7 = 8 mm. Cluster 3 at (25, 5, 5): centres
    19.5 mm apart, no hit; gap 25 - 7 = 18 mm, near. One to one, the higher score wins: by centre
    cluster 2 (0.6) is taken and 1 (0.5) is extra.
    """
    record = bench.score(
        [cube(4, 8)], [box(4, 4, 4), box(15, 5, 5), box(25, 5, 5)], [0.5, 0.6, 0.7],
        shape=(32, 16, 16),
    )  # fmt: skip
    yield roles(record, OVERLAP), [TRUE, FALSE, FALSE]
    yield roles(record, IOU), [FALSE, FALSE, FALSE]
    yield roles(record, CENTRE), [EXTRA, TRUE, FALSE]
    yield roles(record, NEAR), [EXTRA, EXTRA, TRUE]
    yield [c.gap_mm for c in sorted(record.clusters, key=lambda c: c.cluster)], [0, 8, 18]


@case
def gaps_of_8_15_and_25_mm(bench):
    """A lesion voxel at x = 2, cluster voxels at x = 10, 17 and 27: gaps 8, 15 and 25 mm.

    A cluster of one voxel has its centre where its gap is measured, so within 10 mm is within
    20 mm: the rules nest. 25 mm is beyond reach, and no distance is given.
    """
    record = bench.score(
        [box(2, 2, 2)], [box(10, 2, 2), box(17, 2, 2), box(27, 2, 2)], [0.9, 0.8, 0.7],
        shape=(32, 8, 8),
    )  # fmt: skip
    yield [c.gap_mm for c in record.clusters], [8, 15, None]
    yield roles(record, OVERLAP), [FALSE] * 3
    yield roles(record, CENTRE), [TRUE, FALSE, FALSE]
    yield roles(record, NEAR), [TRUE, EXTRA, FALSE]


@case
def iou_of_exactly_a_tenth_hits(bench):
    """10 voxels, 1 of them covered: 1 / 10 = 0.1, a hit."""
    record = bench.score([box((2, 12), 3, 3)], [box(2, 3, 3)], [0.5])
    yield finders(record, IOU), [1]
    yield record.lesions[0].found[IOU].dice, 2 * 1 / (10 + 1)


@case
def iou_of_an_eleventh_does_not_hit(bench):
    """11 voxels, 1 of them covered: 1 / 11 < 0.1, missed, though it overlaps."""
    record = bench.score([box((2, 13), 3, 3)], [box(2, 3, 3)], [0.5])
    yield finders(record, IOU), [None]
    yield finders(record, OVERLAP), [1]
    yield roles(record, IOU), [FALSE]


@case
def a_huge_cluster_overlaps_but_is_no_iou_hit(bench):
    """8 lesion voxels inside 10^3: overlap yes, IoU 8/1000 no."""
    record = bench.score([cube(4, 6)], [cube(1, 11)], [0.9])
    yield finders(record, OVERLAP), [1]
    yield finders(record, IOU), [None]
    yield record.lesions[0].found[OVERLAP].dice, 2 * 8 / (8 + 1000)


@case
def centres_exactly_10_mm_apart_hit(bench):
    """Voxels at x = 2 and x = 12: 10 mm, a hit; sqrt(10^2 + 1) = 10.05 mm is none."""
    record = bench.score([box(2, 2, 2)], [box(12, 2, 2)], [0.5])
    yield finders(record, CENTRE), [1]
    yield finders(bench.score([box(2, 2, 2)], [box(12, 3, 2)], [0.5]), CENTRE), [None]


@case
def a_gap_of_exactly_20_mm_hits(bench):
    """Lesion to x = 4, cluster from x = 24: 20 mm, near; from x = 25: 21 mm, not."""
    lesion = box((2, 5), 2, 2)
    near = bench.score([lesion], [box((24, 28), 2, 2)], [0.5], shape=(32, 8, 8))
    far = bench.score([lesion], [box((25, 28), 2, 2)], [0.5], shape=(32, 8, 8))
    yield finders(near, NEAR), [1]
    yield near.clusters[0].gap_mm, 20
    yield finders(far, NEAR), [None]
    yield far.clusters[0].gap_mm, None


@case
def anisotropic_voxels_count_in_mm(bench):
    """Voxels of 1 x 2 x 5 mm. Four slices on: 4 x 5 = 20 mm, near. Five rows: 5 x 2 = 10 mm, by
    centre. Eleven columns: 11 mm, not by centre though only 11 voxels."""
    lesion = box(2, 2, 2)
    for at, gap, by_centre in ((box(2, 2, 6), 20, None), (box(2, 7, 2), 10, 1),
                               (box(13, 2, 2), 11, None)):  # fmt: skip
        record = bench.score([lesion], [at], [0.5], spacing=(1, 2, 5))
        yield record.clusters[0].gap_mm, gap
        yield finders(record, NEAR), [1]
        yield finders(record, CENTRE), [by_centre]
        yield record.lesions[0].volume_ml, 0.01


@case
def centre_of_a_large_lesion_is_far_from_its_tip(bench):
    """A rod x 0..30, centre 15; a voxel at its tip x = 1 overlaps, but lies 14 mm from centre."""
    record = bench.score([box((0, 31), 4, 4)], [box(1, 4, 4)], [0.5], shape=(32, 8, 8))
    yield finders(record, OVERLAP), [1]
    yield finders(record, CENTRE), [None]


# --- several lesions, several clusters ------------------------------------------------------


@case
def extra_clusters_on_a_found_lesion(bench):
    """Three voxels in one lesion: the best (0.9) is true, two are extra, none is false."""
    record = bench.score(
        [cube(2, 8)], [box(2, 2, 2), box(4, 4, 4), box(7, 7, 7)], [0.5, 0.9, 0.7]
    )  # fmt: skip
    yield finders(record, OVERLAP), [2]
    yield roles(record, OVERLAP), [EXTRA, TRUE, EXTRA]
    yield record.n_role(OVERLAP, FALSE), 0
    yield record.lesions[0].found[OVERLAP].score, 0.9


@case
def a_cluster_across_two_lesions(bench):
    """Two lesions of 2 x 4 x 4 = 32 voxels, at x 2..3 and 8..9; a cluster over x 2..9, 128 voxels.

    Overlap lets it find both. IoU is 32/128 = 0.25 for each, but one to one: it finds one only.
    Near is not one to one. By centre: the cluster's x is 5.5, the lesions' 2.5 and 8.5: 3 mm, one.
    """
    a, b = box((2, 4), (2, 6), (2, 6)), box((8, 10), (2, 6), (2, 6))
    record = bench.score([a, b], [box((2, 10), (2, 6), (2, 6))], [0.8])
    yield [record.n_found(rule) for rule in (OVERLAP, IOU, CENTRE, NEAR)], [2, 1, 1, 2]
    yield [roles(record, rule) for rule in Rule], [[TRUE]] * 4


@case
def maximum_matching_where_greedy_would_fail(bench):
    """One row. Lesion A: x 0..9, B: x 12..15. Cluster 1: x 7..14, score 0.9. Cluster 2: x 0..3.

    IoU: 1 with A 3/(10+8-3) = 0.2; 1 with B 3/(4+8-3) = 0.33; 2 with A 4/10 = 0.4. So 1 may go
    to A or B, 2 only to A. Greedy by score in the order of the lesions gives 1 to A and misses B;
    the maximum matching finds both. With cluster 2 in B (x 15, IoU 1/4) it is the other way round.
    """
    a, b, one = box((0, 10), 3, 3), box((12, 16), 3, 3), box((7, 15), 3, 3)
    record = bench.score([a, b], [one, box((0, 4), 3, 3)], [0.9, 0.4])
    yield finders(record, IOU), [2, 1]
    other = bench.score([a, b], [one, box(15, 3, 3)], [0.9, 0.4], shape=(17, 8, 8))
    # 7..14 and 15 are two labels of one map; 1 has A 0.2 and B 0.33, 2 has B 0.25 alone.
    yield finders(other, IOU), [1, 2]
    yield roles(other, IOU), [TRUE, TRUE]


@case
def equal_scores_are_settled_by_overlap(bench):
    """8 lesion voxels; clusters of 2 and of 4 of them, both 0.5: IoU 0.25 and 0.5. The second."""
    record = bench.score([box((2, 10), 2, 2)], [box((2, 4), 2, 2), box((6, 10), 2, 2)], [0.5, 0.5])
    yield finders(record, OVERLAP), [2]
    yield roles(record, IOU), [EXTRA, TRUE]


@case
def the_score_decides_before_the_overlap(bench):
    """As above, but the smaller cluster scores 0.6: it is the finder, Dice 2 x 2 / (8 + 2)."""
    record = bench.score([box((2, 10), 2, 2)], [box((2, 4), 2, 2), box((6, 10), 2, 2)], [0.6, 0.5])
    yield finders(record, OVERLAP), [1]
    yield record.lesions[0].found[OVERLAP].dice, 0.4


@case
def voxels_that_share_a_corner_are_one_lesion(bench):
    """(2,2,2) and (3,3,3) are 26-neighbours: one lesion of 2; (6,6,6) is another of 1."""
    record = bench.score([box(2, 2, 2), box(3, 3, 3), box(6, 6, 6)], [box(3, 3, 3)], [0.5])
    yield [lesion.size_vox for lesion in record.lesions], [2, 1]
    yield finders(record, OVERLAP), [1, None]
    yield record.lesions[0].centre_mm, (2.5, 2.5, 2.5)


@case
def a_cluster_across_a_corner_does_not_overlap(bench):
    """Lesion 2..3, cluster voxel at 4: they touch at a corner, share nothing, gap sqrt(3) mm."""
    record = bench.score([cube(2, 4)], [box(4, 4, 4)], [0.5])
    yield finders(record, OVERLAP), [None]
    yield record.clusters[0].gap_mm, sqrt(3)
    yield finders(record, NEAR), [1]


@case
def a_lesion_of_one_voxel(bench):
    """Found by its own voxel: Dice 1, distances 0, volume 0.001 ml, max = mean = p95."""
    record = bench.score([box(5, 5, 5)], [box(5, 5, 5)], [0.25])
    fate = record.lesions[0].found[IOU]
    yield (fate.dice, fate.assd_mm, fate.hd95_mm), (1, 0, 0)
    yield record.lesions[0].volume_ml, 0.001
    site = record.lesions[0].site
    yield (site.max, site.mean, site.p95), (0.25, 0.25, 0.25)


@case
def a_lesion_outside_the_brain(bench):
    """Brain from 8 on, lesion at 2..3 with its own cluster: it counts as found; inside 0; no
    random cluster of 8 voxels in the brain can share a voxel with it: chance by overlap and IoU
    is 0."""
    brain = np.zeros((16, 16, 16), bool)
    brain[8:, 8:, 8:] = True
    record = bench.score([cube(2, 4)], [cube(2, 4)], [0.5], brain=brain, draws=5)
    yield record.lesions[0].inside_brain, 0
    yield [record.n_found(rule) for rule in Rule], [1, 1, 1, 1]
    yield (record.chance[OVERLAP], record.chance[IOU]), (0, 0)


@case
def a_lesion_half_inside_the_brain(bench):
    """Lesion x 6..9, brain from x = 8: half of its voxels inside."""
    brain = np.zeros((16, 16, 16), bool)
    brain[8:] = True
    record = bench.score([box((6, 10), 3, 3)], brain=brain)
    yield record.lesions[0].inside_brain, 0.5


@case
def patient_without_a_cluster(bench):
    """Missed by every rule; Dice of the whole mask 0; highest score 0; chance 0 by every rule."""
    record = bench.score([cube(4, 8)], draws=3)
    yield [record.n_found(rule) for rule in Rule], [0, 0, 0, 0]
    yield (record.dice, record.score), (0, 0)
    yield [record.chance[rule] for rule in Rule], [0, 0, 0, 0]


@pytest.mark.parametrize("name", CASES)
def test_hand_counted(bench, name):
    check(CASES[name](bench))
