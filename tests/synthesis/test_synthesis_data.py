"""Crops, regions and the patches that training sees."""

from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.subject import Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, write_volume
from fcdsynth.synthesis.augment import Bend, Light, bent, draw_bend, draw_light, relit, strengthened
from fcdsynth.synthesis.crops import cut, paste
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.healthy import Donor, Turn, draw_turn, laid
from fcdsynth.synthesis.regions import near, soft_map

TRAIN = {f"sub-{n:05d}": Split.TRAIN for n in range(1, 9)}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return prepared_cohort(folder, splits=TRAIN)


def patches(table, training=True, **settings):
    settings = {"full_share": 0.0} | settings
    data = SynthesisData(str(table.folder), crop=16, margin_mm=8.0, **settings)
    return data.make_dataset(data.cohort, training)


def test_cut_and_paste_over_the_edge():
    array = np.arange(27).reshape(3, 3, 3)
    crop = cut(array, (-1, 1, 2), (2, 2, 2))
    assert crop.tolist() == [[[0, 0], [0, 0]], [[5, 0], [8, 0]]]
    paste(array, crop + 100, (-1, 1, 2))
    assert array[0, 1, 2] == 105
    assert array[0, 2, 2] == 108
    assert array.sum() == sum(range(27)) + 200
    far = cut(array, (7, 0, 0), (2, 2, 2))
    assert not far.any()


def test_near_measures_millimetres():
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, 4] = True
    reach = near(mask, 2.0, (2.0, 1.0, 0.5))
    assert reach[4, 4].sum() == 9  # 4 voxels of 0.5 mm to each side
    assert reach[4, :, 4].sum() == 5
    assert reach[:, 4, 4].sum() == 3
    assert not near(np.zeros_like(mask), 5.0, (1, 1, 1)).any()


def test_soft_map_falls_from_the_seed():
    mask = np.zeros((7, 3, 3), bool)
    mask[1:6, 1, 1] = True
    soft = soft_map(mask, np.array([1, 1, 1]), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(soft[:, 1, 1], [0, 1, 0.75, 0.5, 0.25, 0.01, 0])
    assert soft.sum() == pytest.approx(2.51)
    mask[6, 2, 2] = False
    island = mask.copy()
    island[0, 0, 0] = True  # touches nothing
    assert soft_map(island, np.array([1, 1, 1]), (2.0,) * 3)[0, 0, 0] == pytest.approx(0.01)


def test_a_lesion_laid_in_one_tissue_is_its_mask_mirrored_and_turned():
    lesion = np.zeros((9, 9, 9), bool)
    lesion[2:6, 3:5, 4] = True
    lesion[2, 5, 4] = True
    donor = Donor.of("a", lesion, np.full((9, 9, 9), Tissue.CORTEX))
    assert donor.voxels == {Tissue.CORTEX: 9}
    room = np.full((20, 20, 20), Tissue.CORTEX)
    turn = Turn((1, 2, 0), (False, True, True))
    shape = laid(donor, turn, room, np.array([10, 9, 8]), (2.0, 2.0, 2.0))
    assert shape[10, 9, 8]
    expected = np.flip(lesion[2:6, 3:6, 4:5].transpose(1, 2, 0), (1, 2))
    where = np.argwhere(shape)
    low, high = where.min(0), where.max(0) + 1
    assert np.array_equal(shape[tuple(map(slice, low, high))], expected)


def test_a_laid_lesion_keeps_its_size_and_its_tissues():
    rng = np.random.default_rng(0)
    tissue = rng.integers(0, 4, (24, 24, 24))
    lesion = np.zeros(tissue.shape, bool)
    lesion[3:8, 3:8, 3:8] = True
    donor = Donor.of("a", lesion, tissue)
    wanted = np.bincount(tissue[lesion], minlength=4)
    for number in range(5):
        room = np.random.default_rng(number + 1).integers(0, 4, (24, 24, 24))
        seed = np.argwhere(room[8:16, 8:16, 8:16] == Tissue.CORTEX)[7] + 8
        shape = laid(donor, draw_turn(rng, (1.0,) * 3), room, seed, (1.0,) * 3)
        found = np.bincount(room[shape], minlength=4)
        assert found[0] == 0  # background is never taken
        assert np.abs(found - wanted)[1:].max() <= 1  # the seed belongs to it in any case
        assert np.linalg.norm(np.argwhere(shape) - seed, axis=1).max() < 9


def test_turns_keep_millimetres():
    rng = np.random.default_rng(0)
    assert {draw_turn(rng, (1.0, 1.0, 2.0)).axes for _ in range(30)} == {(0, 1, 2)}
    assert len({draw_turn(rng, (2.0, 2.0, 2.0)) for _ in range(500)}) == 48


def test_healthy_regions_have_the_sizes_of_training_lesions(tmp_path):
    splits = TRAIN | {"sub-00003": Split.VAL, "sub-00004": Split.VAL, "sub-00008": Split.VAL}
    cohort = prepared_cohort(tmp_path, splits=splits)
    sizes = {}
    for name in ("sub-00001", "sub-00002"):
        lesion = read_mask(cohort.path(cohort[name], "lesion")).array
        tissue = read_labels(cohort.path(cohort[name], "tissue")).array
        sizes[name] = int((lesion & (tissue > 0)).sum())
    data = SynthesisData(str(tmp_path), crop=24, margin_mm=6.0)
    for split, training in ((Split.TRAIN, True), (Split.VAL, False)):
        dataset = data.make_dataset(data.cohort.of_split(split), training)
        assert [s.id for s in dataset.donors] == ["sub-00001", "sub-00002"]
        head = dataset.head(next(s for s in dataset.subjects if not s.is_patient))
        rng = np.random.default_rng(0)
        drawn = [int(dataset.healthy_place(head, rng, 24)[1].sum()) for _ in range(12)]
        # The seed may add one voxel; two heads have the same tissues all around.
        assert {min(sizes.values(), key=lambda n: abs(n - d)) for d in drawn} == {*sizes.values()}
        assert all(min(abs(n - d) for n in sizes.values()) <= 1 for d in drawn)


def test_without_a_training_lesion_there_is_no_law_of_healthy_regions(tmp_path):
    cohort = prepared_cohort(tmp_path, 1, 2, splits=TRAIN | {"sub-00001": Split.VAL})
    data = SynthesisData(str(cohort.folder), crop=16)
    with pytest.raises(CohortError, match="no training patient with a lesion mask"):
        data.make_dataset(data.cohort.of_split(Split.VAL), training=False)


def test_a_control_with_a_drawn_region_has_it_redrawn_half_of_the_time(tmp_path):
    cohort = prepared_cohort(tmp_path, 1, 1, splits=TRAIN)
    control = cohort["sub-00002"]
    tissue = read_labels(cohort.path(control, "tissue"))
    shape = np.zeros(tissue.grid.shape, bool)
    shape[15:17, 13:15, 12:14] = True
    write_volume(tmp_path / "region.nii.gz", Volume(shape, tissue.grid))
    files = {**control.files, "region": "region.nii.gz"}
    replace(cohort, subjects=(cohort["sub-00001"], replace(control, files=files))).write()
    dataset = patches(cohort)
    head = dataset.head(dataset.subjects[1])
    rng, same = np.random.default_rng(0), 0
    for _ in range(40):
        corner, drawn = dataset.healthy_place(head, rng, 24)
        same += np.array_equal(drawn, cut(shape, corner, (24, 24, 24)))
    assert 10 < same < 30


def test_light_changes_the_brain_smoothly_and_leaves_the_outside():
    rng = np.random.default_rng(0)
    image = rng.uniform(0.2, 0.8, (2, 8, 8, 8)).astype(np.float32)
    image[:, :2] = 0
    made = relit(image, draw_light(np.random.default_rng(1), 2, 0.1))
    assert not made[:, :2].any()
    # x ** g * f with g and f in exp(+-0.1), at the ends of 0.2 to 0.8.
    assert np.abs(np.log(made[:, 2:] / image[:, 2:])).max() < 0.1 + 0.1052 * -np.log(0.2)
    assert (np.abs(made - image)[:, 2:].mean((1, 2, 3)) > 0.001).all()
    one = np.full((1, 5, 5, 5), 0.5, np.float32)
    light = Light(np.array([1.0]), np.array([[0.1, 0.0, 0.0]]), np.zeros((1, 3)))
    np.testing.assert_allclose(
        relit(one, light)[0, :, 0, 0], 0.5 * np.exp([-0.1, -0.05, 0, 0.05, 0.1]), rtol=1e-6
    )


def test_a_lesion_is_strengthened_tissue_by_tissue_and_contrast_by_contrast():
    tissue = np.full((30, 30, 30), int(Tissue.WHITE_MATTER))
    tissue[:, :, :15] = Tissue.CORTEX
    lesion = np.zeros(tissue.shape, dtype=bool)
    lesion[9:21, 9:21, 9:21] = True
    ring = np.ones_like(lesion)
    ring[:2] = False
    image = np.where(tissue == Tissue.CORTEX, 0.3, 0.6)[None].repeat(2, 0)
    image[:, lesion & (tissue == Tissue.CORTEX)] += 0.1  # white matter does not stand out
    image[:, :2] = 0
    made = strengthened(image.astype(np.float32), tissue, lesion, ring, np.array([2.0, 0.5]))
    assert made[:, 15, 15, 10] == pytest.approx([0.5, 0.35], abs=0.01)
    assert made[:, 15, 15, 19] == pytest.approx([0.6, 0.6])
    assert not made[:, :2].any()
    assert made[:, 3, 3, 3] == pytest.approx([0.3, 0.3])
    same = strengthened(image.astype(np.float32), tissue, lesion, ring, np.ones(2))
    np.testing.assert_allclose(same, image, atol=1e-6)


def test_bending_moves_whole_voxels_of_image_and_labels_alike():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, (36, 36, 36))
    image = np.stack([labels * 2.0, rng.normal(size=labels.shape)])
    bend = draw_bend(np.random.default_rng(3), 2.0)
    assert bend.reach == 2
    moved = bent({"image": image, "labels": labels}, bend)
    assert moved["labels"].shape == (32, 32, 32)
    assert np.array_equal(moved["image"][0], moved["labels"] * 2.0)
    assert (moved["labels"] != labels[2:-2, 2:-2, 2:-2]).any()
    still = bent({"labels": labels}, bend.straightened())
    assert np.array_equal(still["labels"], labels[2:-2, 2:-2, 2:-2])
    # No grain is lost; interpolating linearly between voxels would leave (2 / 3) ** 3 of it.
    assert moved["image"][1].var() == pytest.approx(image[1].var(), rel=0.03)
    axis = np.abs(np.diff(moved["image"][1], axis=0)).mean()
    assert axis == pytest.approx(np.abs(np.diff(image[1], axis=0)).mean(), rel=0.05)


def test_a_constant_bend_is_a_shift():
    index = np.arange(6**3).reshape(6, 6, 6)
    knots = np.zeros((3, 3, 3, 3))
    knots[0] = 1.0
    assert np.array_equal(bent({"a": index}, Bend(knots, 1))["a"], index[2:, 1:-1, 1:-1])


def test_training_patches_are_bent_and_lit_and_fixed_ones_are_not(table):
    plain = {"flip": False, "light": 0.0, "bend_vox": 0.0}
    first, changed = patches(table, **plain), patches(table, **plain | {"light": 0.1})
    differ = [not np.array_equal(first[i]["target"], changed[i]["target"]) for i in range(6)]
    assert all(differ)
    assert all(np.array_equal(first[i]["tissue"], changed[i]["tissue"]) for i in range(6))
    for index in range(8):
        a = patches(table, training=False, **plain)[index]
        b = patches(table, training=False, light=0.3, bend_vox=1.0)[index]
        assert all(np.array_equal(a[k], b[k]) for k in ("target", "tissue", "region", "soft"))


def test_one_index_is_one_patch_whatever_was_drawn_before(table):
    first, second = patches(table), patches(table)
    [second[i] for i in range(5)]
    for index in (7, 3):
        a, b = first[index], second[index]
        assert a["subject"] == b["subject"]
        assert all(np.array_equal(a[k], b[k]) for k in ("target", "region", "soft", "lesion"))
    assert not np.array_equal(first[0]["target"], first[1]["target"])


def test_redrawn_never_means_lesion(table):
    dataset = patches(table, light=0.0)
    kinds = set()
    for index in range(40):
        patch = dataset[index]
        region, lesion = patch["region"] > 0, patch["lesion"] > 0
        assert region.any()
        assert (patch["tissue"][region] != Tissue.BACKGROUND).all()
        kinds.add((bool(patch["lesional"]), patch["subject"]))
        if patch["lesional"]:
            assert lesion.any()
            assert (region | ~lesion | (patch["tissue"] == 0)).all()
            assert np.array_equal(patch["soft"] > 0, lesion)
        else:
            assert not lesion.any()
            assert not patch["soft"].any()
            # The tiny lesions are bright on FLAIR (0.25 over both tissues): none is redrawn here.
            inside = region & (patch["tissue"] == Tissue.CORTEX)
            assert (patch["target"][1][inside] < 0.72).all()
    patients = {f"sub-{n:05d}" for n in range(1, 5)}
    assert {s for k, s in kinds if k} == patients
    assert {s for k, s in kinds if not k} & patients
    assert {s for k, s in kinds if not k} - patients


def test_fixed_patches_go_through_the_subjects_once(table):
    dataset = patches(table, training=False)
    assert [dataset[i]["subject"] for i in range(len(dataset))] == sorted(TRAIN)
    assert [bool(dataset[i]["lesional"]) for i in range(8)] == [True] * 4 + [False] * 4


def test_mirroring_turns_every_array_alike(table):
    plain, mirrored = patches(table, flip=False), patches(table, flip=True)
    turned = 0
    for index in range(10):
        a, b = plain[index], mirrored[index]
        if np.array_equal(a["target"], b["target"]):
            continue
        turned += 1
        for key in ("target", "tissue", "region", "soft"):
            assert np.array_equal(a[key][..., ::-1, :, :], b[key])
    assert 0 < turned < 10


def test_t1w_alone_needs_no_flair(tmp_path):
    cohort = prepared_cohort(tmp_path, 1, 1, splits=TRAIN)
    for file in tmp_path.rglob("*_flair.nii.gz"):
        file.unlink()
    assert patches(cohort, flair=False)[0]["target"].shape == (1, 16, 16, 16)
    with pytest.raises(CohortError, match="flair"):
        patches(cohort)[0]


def test_an_empty_lesion_mask_is_named(tmp_path):
    cohort = prepared_cohort(tmp_path, 1, 1, splits=TRAIN)
    path = cohort.path(cohort["sub-00001"], "lesion")
    mask = read_mask(path)
    write_volume(path, Volume(np.zeros_like(mask.array), mask.grid))
    with pytest.raises(CohortError, match="sub-00001: found an empty lesion mask"):
        patches(cohort, lesion_share=1.0)[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crop", 4),
        ("margin_mm", 0.0),
        ("lesion_share", 1.5),
        ("keep", 0),
        ("light", 0.6),
        ("bend_vox", 12.0),
        ("full_share", 1.5),
    ],
)
def test_settings_out_of_range(key, value):
    with pytest.raises(SettingsError, match=f"data.{key}"):
        SynthesisData("anywhere", **{key: value})
