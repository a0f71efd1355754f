"""Crops, regions and the patches that training sees."""

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.subject import Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_mask, write_volume
from fcdsynth.synthesis.crops import covering, cut, paste
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.regions import healthy_shape, near, soft_map

TRAIN = {f"sub-{n:05d}": Split.TRAIN for n in range(1, 9)}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return prepared_cohort(folder, splits=TRAIN)


def patches(table, training=True, **settings):
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


def test_the_box_covers_the_mask_with_margin_and_multiple():
    mask = np.zeros((40, 40, 40), bool)
    mask[5:25, 10:12, 39] = True
    corner, size = covering(mask, least=16, margin=2, multiple=8)
    assert size == (24, 24, 24)
    low, high = np.array(corner), np.array(corner) + 24
    assert (low <= [3, 8, 37]).all()
    assert (high >= [27, 14, 40]).all()
    assert covering(mask[:, :, :1] | True, 8, 0, 8)[1] == (40, 40, 40)


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


def test_healthy_shapes_hang_together_in_cortex_and_white_matter():
    rng = np.random.default_rng(0)
    tissue = rng.integers(1, 4, (20, 20, 20))
    for _ in range(5):
        seed = np.argwhere(tissue == Tissue.CORTEX)[rng.integers(50)]
        shape = healthy_shape(rng, tissue, seed, (2.0, 2.0, 2.0))
        assert shape[tuple(seed)]
        assert set(np.unique(tissue[shape])) <= {Tissue.CORTEX, Tissue.WHITE_MATTER}


def test_one_index_is_one_patch_whatever_was_drawn_before(table):
    first, second = patches(table), patches(table)
    [second[i] for i in range(5)]
    for index in (7, 3):
        a, b = first[index], second[index]
        assert a["subject"] == b["subject"]
        assert all(np.array_equal(a[k], b[k]) for k in ("target", "region", "soft", "lesion"))
    assert not np.array_equal(first[0]["target"], first[1]["target"])


def test_redrawn_never_means_lesion(table):
    dataset = patches(table)
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
    ("key", "value"), [("crop", 4), ("margin_mm", 0.0), ("lesion_share", 1.5), ("keep", 0)]
)
def test_settings_out_of_range(key, value):
    with pytest.raises(SettingsError, match=f"data.{key}"):
        SynthesisData("anywhere", **{key: value})
