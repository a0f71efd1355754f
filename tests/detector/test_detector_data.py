"""Patches: what is drawn, how often, and that a draw repeats."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantom import prepared_cohort, tiny_grid, tiny_head

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.subject import Origin, Split
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.detector.augment import Augment, padded
from fcdsynth.detector.data import DetectorData
from fcdsynth.detector.inputs import check_inputs, load_channels, standardise
from fcdsynth.detector.patches import cut, kind_number, pool_of_epoch
from fcdsynth.measure.mirror import Midplane
from fcdsynth.measure.mirror_map import mirror_difference, mirror_warp
from fcdsynth.training.data import load_arrays

BOTH = ("t1w", "flair")


@pytest.fixture
def cohort(tmp_path):
    """Two patients, a synthetic one, a control, and a synthetic control with a region."""
    made = prepared_cohort(tmp_path / "cohort", patients=3, controls=2)
    region = np.zeros((24, 24, 24), bool)
    region[15:18, 8:11, 14:17] = True
    write_volume(made.folder / "region.nii.gz", Volume(region, tiny_grid()))
    rows = [replace(s, split=Split.TRAIN) for s in made.subjects]
    rows[2] = replace(rows[2], origin=Origin.SYNTHETIC)
    rows[4] = replace(
        rows[4], origin=Origin.SYNTHETIC, files={**rows[4].files, "region": "region.nii.gz"}
    )
    made = Cohort(made.folder, tuple(rows))
    made.write()
    return made


def with_rows(cohort, *rows):
    by_id = {s.id: s for s in cohort.subjects} | {r.id: r for r in rows}
    changed = Cohort(cohort.folder, tuple(by_id.values()))
    changed.write()
    return changed


def data_of(cohort, **settings):
    settings = {"patch_size": (16, 16, 16), "augment": 0.0} | settings
    return DetectorData(str(cohort.folder), **settings)


def training_set(cohort, **settings):
    data = data_of(cohort, **settings)
    return data.make_dataset(data.cohort, training=True)


def test_cut_by_hand():
    array = np.arange(5 * 4 * 3).reshape(1, 5, 4, 3)
    box = cut(array, np.array([0, 2, 1]), (3, 2, 5))
    # Axis 0 moved inside (0 to 2), axis 1 from 1 to 2, axis 2 padded by one on both sides.
    assert np.array_equal(box[0, :, :, 1:4], array[0, 0:3, 1:3, :])
    assert box[0, :, :, 0].max() == box[0, :, :, 4].max() == 0


def test_a_draw_depends_on_seed_and_index_alone(cohort):
    one, other = (training_set(cohort, augment=1.0) for _ in range(2))
    for index in (3, 1_000_003, 3):
        a, b = one[index], other[index]
        assert a["subject"] == b["subject"]
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["lesion"], b["lesion"])
    assert not torch.equal(one[3]["image"], one[4]["image"])


def test_kinds_come_in_the_ratio_of_their_weights(cohort):
    patches = training_set(cohort, real_weight=2, synthetic_weight=1, control_weight=1)
    counts = Counter(patches[i]["subject"] for i in range(400))
    real = counts["sub-00001"] + counts["sub-00002"]
    # Not left to luck: binomial draws would miss 200 by more than 3 three times in four.
    assert abs(real - 200) <= 3
    assert abs(counts["sub-00003"] - 100) <= 3
    assert abs(counts["sub-00004"] + counts["sub-00005"] - 100) <= 3


def test_any_few_draws_hold_the_kinds_in_their_ratio():
    shares = np.array([0.5, 0.25, 0.25])
    for first in range(0, 300, 7):
        kinds = np.bincount([kind_number(first + i, shares, 0.3) for i in range(16)], minlength=3)
        assert np.abs(kinds - [8, 4, 4]).max() <= 1


def test_every_epoch_draws_another_part_of_the_pool():
    pool = list(range(50))
    parts = [tuple(pool_of_epoch(pool, 10, 7, epoch, 1)) for epoch in range(30)]
    assert all(len(set(part)) == 10 for part in parts)
    assert len(set(parts)) == 30
    # Over 30 epochs a member is missed with probability 0.8^30, about 1 in 800.
    assert len({member for part in parts for member in part}) >= 48
    assert parts[3] == tuple(pool_of_epoch(pool, 10, 7, 3, 1))
    assert pool_of_epoch(pool, 0, 7, 0, 1) is pool


def test_an_epoch_keeps_to_its_part_of_the_pool(cohort):
    rows = [replace(cohort["sub-00003"], id=f"syn-{n}") for n in range(6)]
    changed = with_rows(cohort, *rows)
    patches = training_set(
        changed, real_weight=0.0, control_weight=0.0, synthetic_per_epoch=2, steps_per_epoch=10
    )
    epochs = [{patches[20 * e + i]["subject"] for i in range(20)} for e in range(6)]
    assert all(len(names) == 2 for names in epochs)
    assert len({tuple(sorted(names)) for names in epochs}) > 1


def test_the_cache_gives_what_loading_gives_and_notices_a_change(cohort, tmp_path):
    plain = training_set(cohort)
    first = training_set(cohort, cache=str(tmp_path / "cache"))
    places = sorted(p.name for p in (tmp_path / "cache").iterdir())
    again = training_set(cohort, cache=str(tmp_path / "cache"))
    assert len(places) == 5
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == places
    for index in range(6):
        for other in (first, again):
            assert torch.equal(plain[index]["image"], other[index]["image"])
            assert torch.equal(plain[index]["lesion"], other[index]["lesion"])
    mask = np.zeros((24, 24, 24), bool)
    mask[15:17, 9:11, 14:16] = True
    write_volume(cohort.path(cohort["sub-00001"], "lesion"), Volume(mask, tiny_grid()))
    data = data_of(cohort, cache=str(tmp_path / "cache"))
    assert data.load(cohort, cohort["sub-00001"]).lesion.sum() == 8


def test_a_kind_that_is_not_there_drops_out(cohort):
    patients = cohort.select(lambda s: s.id in ("sub-00001", "sub-00003"))
    patches = data_of(cohort, synthetic_weight=3.0).make_dataset(patients, training=True)
    assert patches.shares.tolist() == [0.25, 0.75, 0.0]


def test_lesions_are_oversampled(cohort):
    patients = {"control_weight": 0.0, "synthetic_weight": 0.0}
    always = training_set(cohort, lesion_share=1.0, **patients)
    assert all(always[i]["lesion"].any() for i in range(30))
    never = training_set(cohort, lesion_share=0.0, patch_size=(8, 8, 8), **patients)
    assert sum(bool(never[i]["lesion"].any()) for i in range(30)) < 20


def test_synthetic_controls_are_shown_where_they_were_redrawn(cohort):
    data = data_of(cohort)
    loaded = data.load(cohort, cohort["sub-00005"])
    assert loaded.kind == "control"
    assert loaded.lesion.sum() == 0
    assert loaded.focus.min(0).tolist() == [15, 8, 14]
    assert loaded.focus.max(0).tolist() == [17, 10, 16]
    assert len(data.load(cohort, cohort["sub-00004"]).focus) == 0


def test_validation_patches_are_fixed_and_half_on_the_lesion(cohort):
    data = data_of(cohort)
    fixed = data.make_dataset(cohort, training=False)
    assert len(fixed) == 20
    assert fixed[0]["lesion"].any()
    assert torch.equal(fixed[7]["image"], fixed[7]["image"])


def test_augmentation_moves_image_and_label_together():
    head = tiny_head(tiny_grid(), 0, (34.0, 20.0, 12.0))
    label = head["lesion"][None].astype(np.uint8)
    image = np.repeat(0.2 + 0.6 * label.astype(np.float32), 2, axis=0)
    assert padded((16, 16, 16)) == (20, 20, 20)
    centre = np.argwhere(head["lesion"]).mean(0)
    patch_image, patch_label = (cut(a, centre, (20, 20, 20)) for a in (image, label))
    seen = set()
    for seed in range(12):
        moved, mask = Augment((16, 16, 16), BOTH)(patch_image, patch_label, seed)
        assert moved.shape == (2, 16, 16, 16)
        assert mask.shape == (1, 16, 16, 16)
        inside, outside = moved[0][mask[0] > 0], moved[0][(mask[0] == 0) & (moved[0] > 0)]
        assert inside.mean() > outside.mean() + 0.25
        seen.add(mask.tobytes())
    assert len(seen) > 3


def test_flips_along_all_axes_or_left_to_right_alone():
    ramp = np.stack(np.meshgrid(*[np.linspace(0.2, 0.8, 20)] * 3, indexing="ij")).astype(np.float32)
    label = np.zeros((1, 20, 20, 20), np.uint8)

    def turned(flips):
        """Which axes of the ramps run backwards, over many seeds."""
        augment = Augment((16, 16, 16), ("t1w", "flair", "depth"), 1.0, flips)
        rows = [augment._move(ramp, label, np.random.default_rng(n))[0] for n in range(40)]
        return {tuple(bool(np.diff(r[a].mean(axis=tuple({0, 1, 2} - {a}))).mean() < 0)
                      for a in range(3)) for r in rows}  # fmt: skip

    assert len(turned(True)) == 8
    assert turned(False) == {(False, False, False), (True, False, False)}


def test_no_strength_changes_nothing_but_the_size():
    image = np.random.default_rng(0).uniform(0.2, 0.8, (2, 20, 20, 20)).astype(np.float32)
    image[:, :4] = 0
    label = (image[:1] > 0.7).astype(np.uint8)
    moved, mask = Augment((16, 16, 16), BOTH, 0.0)(image, label, 5)
    assert np.allclose(moved, image[:, 2:18, 2:18, 2:18], atol=1e-5)
    assert np.array_equal(mask, label[:, 2:18, 2:18, 2:18])


def test_standardise_keeps_the_outside_at_zero():
    values = np.float32([0, 0.5, 0.7, 0.01]).reshape(1, 4, 1, 1)
    assert standardise(values, ("t1w",)).ravel().tolist() == pytest.approx([0, 0, 2, -4.9])


def test_maps_are_scaled_and_bounded():
    values = np.float32([[0, 25], [3, -40]]).reshape(2, 2, 1, 1)
    done = standardise(values, ("flair_z", "depth"))
    assert done[0].ravel().tolist() == [0, 8]
    assert done[1].ravel().tolist() == pytest.approx([0.3, -4])


@pytest.mark.parametrize("inputs", [("flair", "t1w"), ("t1w", "t1w"), ("depth",), ("t2w",), ()])
def test_inputs_that_cannot_be(inputs):
    with pytest.raises(SettingsError, match=r"data.inputs"):
        check_inputs(inputs, "data.inputs")


def test_the_mirror_map_of_a_synthetic_subject_is_its_own(cohort):
    """No file of it is written for synthetic subjects: it comes from their own images."""
    made = cohort["sub-00003"]
    image, _, grid = load_channels(cohort, made, ("t1w", "flair", "flair_mirror"), False, True)
    arrays, _ = load_arrays(cohort, made, ("t1w", "flair", "brain", "tissue"))
    brain, tissue = Volume(arrays["brain"] > 0, grid), Volume(arrays["tissue"], grid)
    plane = Midplane.fitted(brain)
    warp = mirror_warp(Volume(arrays["t1w"], grid), plane)
    expected = mirror_difference(Volume(arrays["flair"], grid), brain, tissue, plane, warp)
    assert np.abs(expected).max() > 0
    assert np.allclose(image[2], expected)


def test_dropping_flair_drops_all_that_was_made_of_it(cohort):
    inputs = ("t1w", "flair", "flair_mirror")
    patches = training_set(cohort, inputs=inputs, flair_dropout=0.5)
    seen = [p["image"].flatten(1).any(1).tolist() for p in map(patches.__getitem__, range(30))]
    assert {tuple(row) for row in seen} == {(True, True, True), (True, False, False)}


def test_z_scores_that_are_not_there_are_asked_for(cohort):
    with pytest.raises(CohortError, match=r"sub-00001: found no flair_z; .*controls"):
        training_set(cohort, inputs=("t1w", "flair", "flair_z"))


def test_flair_dropout_blanks_and_accepts_its_absence(cohort):
    first = cohort["sub-00001"]
    bare = replace(first, files={k: v for k, v in first.files.items() if k != "flair"})
    changed = with_rows(cohort, bare)
    with pytest.raises(CohortError, match=r"sub-00001: found no flair; .*flair_dropout"):
        training_set(changed)
    patches = training_set(changed, flair_dropout=0.5)
    blank = [not p["image"][1].any() for p in map(patches.__getitem__, range(40))]
    assert 10 < sum(blank) < 40


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda s: replace(s, files={k: v for k, v in s.files.items() if k != "lesion"}),
         CohortError, "a patient without any lesion voxel"),
        (lambda s: replace(s, group="control"), CohortError, "a control with a lesion mask"),
        (lambda s: replace(s, files={**s.files, "t1w": "absent.nii.gz"}), CohortError, "absent"),
    ],
)  # fmt: skip
def test_bad_subjects_are_named(cohort, change, error, text):
    data = data_of(cohort)
    with pytest.raises(error, match=text):
        data.load(cohort, change(cohort["sub-00001"]))


def test_mixed_voxel_sizes_are_refused(cohort):
    other = tiny_grid(spacing_mm=5.0)
    write_volume(cohort.path(cohort["sub-00002"], "t1w"), Volume(np.zeros(other.shape), other))
    with pytest.raises(GeometryError, match=r"sub-00002: found voxels of \(5.0, 5.0, 5.0\) mm"):
        _ = data_of(cohort).spacing_mm
