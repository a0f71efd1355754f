import numpy as np
import pytest
from phantom import ORIENTATIONS, tiny_grid

from fcdsynth.core.errors import CohortError, GeometryError, RunError
from fcdsynth.core.volume import Volume, canonical, read_volume, write_volume
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.source import SubjectMaps


def _found(record, rule):
    return [lesion.found[rule].cluster for lesion in record.lesions]


def test_two_lesions_three_clusters_by_hand(arrays, make_grid, tmp_path):
    """40-mm cube of 2-mm voxels. Lesions of 4x4x4 (at 2..5) and 2x2x2 (at 14..15) voxels.

    Cluster 1 (score 0.9): 4x4x4 at x 4..7: shares 2*4*4 = 32, IoU 32/96 = 1/3, Dice 0.5,
    centres 4 mm apart. Cluster 2 (0.6): one voxel at the first lesion's corner: IoU 1/64.
    Cluster 3 (0.4): one voxel at (17, 14, 14), 2 voxels beyond the second lesion: gap 4 mm.
    """
    grid = make_grid((20, 20, 20), (2, 2, 2))
    a, b = slice(2, 6), slice(14, 16)
    subject = arrays(
        grid,
        lesions=[(a, a, a), (b, b, b)],
        clusters=[(slice(4, 8), a, a), (2, 2, 2), (17, 14, 14)],
        scores=[0.9, 0.6, 0.4],
        background=0.1,
    )
    record = subject.score(tmp_path)
    first, second = record.lesions
    assert (first.size_vox, second.size_vox) == (64, 8)
    assert first.volume_ml == pytest.approx(0.512)
    assert first.centre_mm == pytest.approx((7, 7, 7))
    assert _found(record, Rule.OVERLAP) == [1, None]
    assert _found(record, Rule.IOU) == [1, None]
    assert _found(record, Rule.CENTRE) == [1, 3]  # (17,14,14) is 5.2 mm from (14.5,14.5,14.5)
    assert _found(record, Rule.NEAR) == [1, 3]
    assert first.found[Rule.OVERLAP].dice == pytest.approx(0.5)
    roles = {c.cluster: c.roles for c in record.clusters}
    assert [roles[i][Rule.OVERLAP] for i in (1, 2, 3)] == [Role.TRUE, Role.EXTRA, Role.FALSE]
    assert [roles[i][Rule.IOU] for i in (1, 2, 3)] == [Role.TRUE, Role.FALSE, Role.FALSE]
    gaps = {c.cluster: c.gap_mm for c in record.clusters}
    assert gaps == pytest.approx({1: 0, 2: 0, 3: 4})
    # Whole mask: 2 * (32 + 1) / (72 + 64 + 1 + 1)
    assert record.dice == pytest.approx(66 / 138)
    # Site: 32 voxels of 0.9, one of 0.6, 31 of 0.1.
    assert first.site.max == pytest.approx(0.9)
    assert first.site.mean == pytest.approx((32 * 0.9 + 0.6 + 31 * 0.1) / 64)
    assert second.site.max == pytest.approx(0.1)


def test_diagonal_voxels_are_one_lesion(arrays, make_grid, tmp_path):
    subject = arrays(make_grid((8, 8, 8)), lesions=[(1, 1, 1), (2, 2, 2), (5, 5, 5)])
    assert [le.size_vox for le in subject.score(tmp_path).lesions] == [2, 1]


def test_control(arrays, make_grid, tmp_path):
    subject = arrays(make_grid((8, 8, 8)), clusters=[(1, 1, 1)], scores=[0.3])
    record = subject.score(tmp_path, draws=5)
    assert record.clusters[0].roles == dict.fromkeys(Rule, Role.FALSE)
    assert (record.dice, record.whole_site, record.chance, record.lesions) == (None, None, None, ())
    clean = arrays(make_grid((8, 8, 8))).score(tmp_path)
    assert clean.clusters == ()
    assert clean.score == 0


def test_lesion_outside_the_brain_counts(arrays, make_grid, tmp_path):
    brain = np.zeros((12, 12, 12), bool)
    brain[6:, 6:, 6:] = True
    at = (slice(1, 3),) * 3
    record = arrays(
        make_grid(brain.shape), lesions=[at], clusters=[at], scores=[0.5], brain=brain
    ).score(tmp_path, draws=3)
    assert record.lesions[0].inside_brain == 0
    assert record.n_found(Rule.IOU) == 1
    assert record.chance[Rule.OVERLAP] == 0


def _world_scene(grid, tmp_path, draws=10):
    """Balls in world millimetres, so that every grid shows one scene."""
    mm = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))

    def ball(centre, radius):
        return np.linalg.norm(mm - centre, axis=-1) < radius

    lesion = ball((20, 10, 5), 9)
    labels = np.zeros(grid.shape, np.int16)
    labels[ball((26, 10, 5), 8)] = 1
    labels[ball((-20, -20, 10), 7)] = 2
    brain = np.linalg.norm(mm, axis=-1) < 55
    probability = (0.05 + 0.9 * (labels == 1) + 0.5 * (labels == 2)).astype(np.float32)
    paths = {}
    for name, array in (("p", probability), ("c", labels), ("truth", lesion), ("brain", brain)):
        paths[name] = write_volume(tmp_path / f"{name}.nii.gz", Volume(array, grid))
    return paths


def _scored(paths, draws=10):
    from fcdsynth.core.detection import Detection
    from fcdsynth.core.subject import Group, Origin, Subject

    found = tuple(
        Detection("s", i, score, 0, 0, (0, 0, 0), "L", 0, 0) for i, score in ((1, 0.95), (2, 0.55))
    )
    files = {"truth": paths["truth"], "brain": paths["brain"]}
    subject = Subject("s", Group.PATIENT, Origin.PHANTOM)
    maps = SubjectMaps(paths["p"], paths["c"], found)
    return score_subject(Scoring(subject, maps, "truth", files, chance_draws=draws))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_and_spacing_do_not_change_the_answer(orientation, tmp_path):
    """One scene on RAS, LAS and oblique grids of 3 mm: same fates, like numbers."""
    grid = tiny_grid(orientation, size=40, spacing_mm=3.0)
    record = _scored(_world_scene(grid, tmp_path))
    lesion = record.lesions[0]
    assert _found(record, Rule.OVERLAP) == _found(record, Rule.IOU) == [1]
    assert _found(record, Rule.CENTRE) == _found(record, Rule.NEAR) == [1]
    assert [c.roles[Rule.NEAR] for c in record.clusters] == [Role.TRUE, Role.FALSE]
    assert lesion.centre_mm == pytest.approx((20, 10, 5), abs=0.5)
    assert lesion.volume_ml == pytest.approx(3.05, rel=0.12)  # 4/3 pi 9^3
    # Balls of 9 and 8 mm, 6 mm apart share pi (9+8-6)^2 * 237 / (12 * 6) = 1251 mm3 of 3054
    # and 2145 mm3: Dice 0.481.
    assert lesion.found[Rule.IOU].dice == pytest.approx(0.481, abs=0.035)
    assert lesion.mirror.max == pytest.approx(0.05)


def test_the_same_image_with_other_axes_gives_the_same_numbers(tmp_path):
    """Flipped and permuted storage of one image: the records are equal, chance included."""
    paths = _world_scene(tiny_grid("RAS", size=32, spacing_mm=4.0), tmp_path)
    plain = _scored(paths)
    from fcdsynth.core.grid import Grid

    for path in paths.values():
        volume = canonical(read_volume(path))
        turn = np.zeros((4, 4))  # new index (i, j, k) -> old index (31 - k, i, j)
        turn[0, 2], turn[0, 3], turn[1, 0], turn[2, 1], turn[3, 3] = -1, 31, 1, 1, 1
        array = np.moveaxis(volume.array[::-1], 0, 2)
        write_volume(path, Volume(array, Grid.of(array.shape, volume.grid.matrix @ turn)))
    assert read_volume(paths["p"]).grid.axis_codes == "ASL"
    assert _scored(paths) == plain


def test_lossless_upsampling_keeps_every_rule(arrays, make_grid, tmp_path):
    """Each voxel cut into 2 x 2 x 2: fates, Dice and volumes stay, distances to half a voxel."""
    grid = make_grid((12, 12, 12), (4, 3, 5))
    a = slice(2, 6)
    coarse = arrays(grid, [(a, a, a)], [(slice(4, 8), a, a), (10, 10, 10)], [0.9, 0.5])
    first = coarse.score(tmp_path)
    from fcdsynth.core.grid import Grid

    halves = np.diag([2.0, 1.5, 2.5, 1.0])
    halves[:3, 3] = -np.array([4, 3, 5]) / 4
    fine_grid = Grid.of((24, 24, 24), halves)
    b = slice(4, 12)
    c = slice(20, 22)
    fine = arrays(fine_grid, [(b, b, b)], [(slice(8, 16), b, b), (c, c, c)], [0.9, 0.5])
    second = fine.score(tmp_path)
    for rule in Rule:
        assert _found(first, rule) == _found(second, rule)
        assert [x.roles[rule] for x in first.clusters] == [x.roles[rule] for x in second.clusters]
    assert first.dice == pytest.approx(second.dice)
    assert first.lesions[0].volume_ml == pytest.approx(second.lesions[0].volume_ml)
    assert first.lesions[0].centre_mm == pytest.approx(second.lesions[0].centre_mm)


def test_rules_imply_each_other_on_random_scenes(arrays, make_grid, tmp_path):
    """IoU of 0.1 implies overlap, overlap implies near; centre implies and needs neither."""
    rng = np.random.default_rng(4)
    seen = {rule: 0 for rule in Rule}
    centre_only = overlap_only = 0
    for _ in range(40):

        def box():
            start, size = rng.integers(4, 12, 3), rng.integers(1, 8, 3)
            return tuple(slice(int(s), int(s + n)) for s, n in zip(start, size, strict=True))

        subject = arrays(make_grid((24, 24, 24), (3, 3, 3)), [box()], [box()], [0.5])
        record = subject.score(tmp_path)
        hit = {rule: record.n_found(rule) > 0 for rule in Rule}
        assert hit[Rule.OVERLAP] or not hit[Rule.IOU]
        assert hit[Rule.NEAR] or not hit[Rule.OVERLAP]
        for rule in Rule:
            seen[rule] += hit[rule]
        centre_only += hit[Rule.CENTRE] and not hit[Rule.OVERLAP]
        overlap_only += hit[Rule.OVERLAP] and not hit[Rule.CENTRE]
    assert all(seen.values())
    assert centre_only + overlap_only > 0


def test_record_survives_json(arrays, make_grid, tmp_path):
    import json

    a = slice(2, 6)
    subject = arrays(make_grid((12, 12, 12)), [(a, a, a)], [(a, a, a), (9, 9, 9)], [0.9, 0.5])
    record = subject.score(tmp_path, draws=4)
    assert SubjectRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_bad_maps(arrays, make_grid, tmp_path):
    a = slice(2, 6)
    grid = make_grid((12, 12, 12))
    task = arrays(grid, [(a, a, a)], [(a, a, a)], [0.9]).write(tmp_path)
    labels = read_volume(task.maps.clusters)

    write_volume(task.maps.clusters, Volume(np.zeros(grid.shape, np.int16), grid))
    with pytest.raises(RunError, match=r"\[1\] only in the table"):
        score_subject(task)
    write_volume(task.maps.clusters, labels)

    write_volume(task.maps.map, Volume(np.full(grid.shape, 3.0), grid))
    with pytest.raises(CohortError, match=r"probabilities in \[0, 1\]"):
        score_subject(task)

    other = make_grid((12, 12, 13))
    write_volume(task.files["truth"], Volume(np.ones(other.shape, bool), other))
    with pytest.raises(GeometryError, match="truth"):
        task.check()


def test_empty_reference_of_a_patient(arrays, make_grid, tmp_path):
    a = slice(2, 6)
    grid = make_grid((12, 12, 12))
    task = arrays(grid, [(a, a, a)]).write(tmp_path)
    write_volume(task.files["truth"], Volume(np.zeros(grid.shape, bool), grid))
    with pytest.raises(CohortError, match="an empty mask"):
        score_subject(task)


def test_brain_elsewhere(arrays, make_grid, tmp_path):
    from fcdsynth.core.grid import Grid

    a = slice(2, 6)
    task = arrays(make_grid((12, 12, 12)), [(a, a, a)]).write(tmp_path)
    far = np.eye(4)
    far[:3, 3] = 500
    write_volume(task.files["brain"], Volume(np.ones((4, 4, 4), bool), Grid.of((4, 4, 4), far)))
    with pytest.raises(GeometryError, match="brain"):
        score_subject(task)
