"""Regions, their deep features, and snapshots of training."""

import numpy as np
import pytest
import torch
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Split
from fcdsynth.core.volume import read_mask
from fcdsynth.detector.features import region_features, regions_of, write_features
from fcdsynth.detector.networks import make_network
from fcdsynth.detector.snapshots import Snapshots, read_snapshots
from fcdsynth.measure.mirror import Midplane

GRID = Grid.of((24, 24, 24), np.array([[4.0, 0, 0, -46], [0, 4, 0, -46], [0, 0, 4, -46],
                                       [0, 0, 0, 1]]))  # fmt: skip
PLANE = Midplane.through((0, 0, 0), (1, 0, 0), "centre")


def scene():
    brain = np.zeros(GRID.shape, bool)
    brain[2:22, 2:22, 2:22] = True
    mask, found = np.zeros_like(brain), np.zeros_like(brain)
    mask[4:7, 10:13, 10:13] = True
    found[15:17, 5:8, 5:8] = True
    return mask, found, brain


def test_regions_by_hand():
    mask, found, brain = scene()
    regions = regions_of(mask, found, brain, GRID, PLANE, [1])
    kinds = [r.kind for r in regions]
    assert kinds[:3] == ["mask", "cluster", "mirror"]
    assert set(kinds[3:]) == {"background"}
    by_kind = {r.kind: r for r in regions}
    assert len(by_kind["mask"].voxels) == 27
    # World x of voxel 4 to 6 is -30 to -22: mirrored 22 to 30, voxels 17 to 19.
    assert by_kind["mirror"].voxels[:, 0].min() == 17
    assert by_kind["mirror"].voxels[:, 0].max() == 19
    assert by_kind["mask"].centre_mm(GRID) == (-26.0, -2.0, -2.0)
    for region in regions:
        if region.kind == "background":
            assert not (mask | found)[tuple(region.voxels.T)].any()
            assert brain[tuple(region.voxels.T)].all()


def test_features_are_means_over_the_region():
    torch.manual_seed(0)
    network = make_network(1, (4, 8), (1, 1), 1).eval()
    mask, found, brain = scene()
    image = (brain * 0.5).astype(np.float32)[None]
    image[0][mask] = 0.9
    regions = regions_of(mask, found, brain, GRID, PLANE, [1])
    rows = region_features(network, image, ("t1w",), (24, 24, 24), regions, torch.device("cpu"))
    assert rows.shape == (len(regions), 4 + 8)
    from fcdsynth.detector.inputs import standardise

    with torch.inference_mode():
        fine = network.features(torch.from_numpy(standardise(image, ("t1w",)))[None])[0][0]
    assert np.allclose(rows[0, :4], fine.numpy()[:, mask].mean(axis=1), atol=1e-5)


def test_features_are_written_with_what_they_are(tmp_path):
    mask, found, brain = scene()
    regions = regions_of(mask, found, brain, GRID, PLANE, [1])
    values = [np.full((len(regions), 3), n, np.float32) for n in range(2)]
    write_features(tmp_path / "r.npz", ["fold-0", "fold-1"], [True, False], values, regions, GRID)
    read = np.load(tmp_path / "r.npz")
    assert read["features"].shape == (2, len(regions), 3)
    assert read["trained"].tolist() == [True, False]
    assert read["kind"][0] == "mask"
    assert read["volume_ml"][0] == pytest.approx(27 * 0.064)


def test_snapshot_steps_end_with_the_last():
    assert Snapshots.steps(4, 8) == [2, 4, 6, 8]
    assert Snapshots.steps(20, 8) == list(range(1, 9))


def test_snapshots_of_a_fit_hold_the_mask_and_its_band(tmp_path):
    cohort = prepared_cohort(tmp_path / "cohort", patients=3, controls=1)
    rows = [Split.TRAIN, Split.TRAIN, Split.VAL, Split.TRAIN]
    cohort.with_splits(dict(zip([s.id for s in cohort.subjects], rows, strict=True))).write()
    out = tmp_path / "run"
    words = ["fit", "-c", "configs/detector/smoke.yaml", "-c", "configs/machine/cpu.yaml",
             "--data.cohort", str(cohort.folder), "--out", str(out),
             "--model.snapshots", "2"]  # fmt: skip
    assert main(words) == 0
    logits, steps = read_snapshots(out)
    assert steps == [4, 8]
    table = Cohort.read(cohort.folder)
    places = np.load(out / "snapshots" / "places.npz")
    patients = [s.id for s in table.subjects if s.is_patient]
    assert sorted(logits) == sorted(patients)
    for name in patients:
        mask = read_mask(table.path(table[name], "lesion")).array
        voxels, given = places[f"{name}/voxels"], places[f"{name}/given"]
        assert np.array_equal(mask.ravel()[voxels], given)
        assert 0 < given.sum() < len(given)
        assert logits[name].shape == (2, len(voxels))
        assert np.isfinite(logits[name]).all()
    assert not np.array_equal(logits[patients[0]][0], logits[patients[0]][1])
