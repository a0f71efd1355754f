"""Lobe truth: registered once per anatomy, on the anatomy's own sides, kept through a flip."""

from dataclasses import replace

import numpy as np
import pytest
from ball_head import SHELL, STILL, ball_anatomy

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.measure.lobes import RIGHT
from fcdsynth.phantom import bank, lobemap
from fcdsynth.phantom.contrast import draw_site
from fcdsynth.phantom.head import make_head
from fcdsynth.phantom.landmarks import _PAIRS
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import rotation
from fcdsynth.phantom.simulate import simulate
from fcdsynth.phantom.sources import TEMPLATE, load_template
from fcdsynth.phantom.spec import draw_subject

NAME = "tilted.nii.gz"


def tilted_template(folder):
    """The ICBM152 brain as FreeSurfer labels of 2 mm, the head thrown back by 20 degrees."""
    template = load_template()
    parts = template.parts[::2, ::2, ::2]
    matrix = np.linalg.inv(template.to_vox)
    matrix[:3, :3] *= 2
    mm = Grid.of(parts.shape, matrix).to_mm(np.moveaxis(np.indices(parts.shape), 0, -1))
    left = mm[..., 0] <= 0
    labels = np.zeros(parts.shape, np.int16)
    pairs = {Part.CORTEX: (3, 42), Part.WHITE: (2, 41), Part.DEEP_GREY: (13, 52),
             Part.VENTRICLE: (4, 43), Part.LOWER_GREY: (8, 47), Part.LOWER_WHITE: (7, 46),
             Part.CSF: (24, 24)}  # fmt: skip
    for part, (one, other) in pairs.items():
        labels[parts == part] = np.where(left, one, other)[parts == part]
    for (one, other), centre in _PAIRS.items():
        if one != 8:
            near = np.linalg.norm(np.abs(mm[..., :1]) - centre[0], axis=-1)
            near = np.hypot(near, np.linalg.norm(mm[..., 1:] - centre[1:], axis=-1)) < 4
            labels[near] = np.where(left, one, other)[near]
    turn = np.eye(4)
    turn[:3, :3] = rotation((20.0, 2.0, -4.0))
    turn[:3, 3] = (4, -10, 7)
    grid = Grid.of(parts.shape, turn @ matrix)
    write_volume(folder / NAME, Volume(labels, grid))
    return mm, labels


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lobes")
    mm, labels = tilted_template(folder)
    bank.fill_bank(folder / "bank", [NAME, TEMPLATE, NAME], folder)
    return folder / "bank", mm, labels


def test_the_registered_map_is_that_of_the_template_it_was_made_of(filled):
    folder, mm, labels = filled
    anatomy = bank.take(folder, NAME)
    cortex = np.isin(labels, (3, 42))
    grid = Grid.of(anatomy.parts.shape, np.linalg.inv(anatomy.to_vox))
    # The bank crops empty margins off: look the voxels up by their place.
    index = np.argwhere(labels > 0)
    crop = index.min(0) - 1
    own = anatomy.lobes[tuple((np.argwhere(cortex) - np.maximum(crop, 0)).T)]
    expected = lobemap.labels_at(mm[cortex])
    assert (own > 0).all()
    assert ((own > RIGHT) == (labels[cortex] == 42)).all()
    assert (own % RIGHT == expected % RIGHT).mean() > 0.95
    # Canonical space is upright again: turned by the landmarks, it agrees with MNI152.
    gap = np.linalg.norm(grid.to_mm(np.argwhere(cortex) - np.maximum(crop, 0)) - mm[cortex], axis=1)
    assert np.median(gap) < 4


def test_a_bank_is_filled_once_and_returns_what_was_put_in(filled):
    folder, _, _ = filled
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert set(before) == {f"{NAME}.npz", f"{TEMPLATE}.npz"}
    bank.fill_bank(folder, [NAME, TEMPLATE], None)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    kept, made = bank.take(folder, TEMPLATE), load_template()
    assert kept.lower_mm == made.lower_mm
    assert kept.outside.stem_mm == made.outside.stem_mm
    for one, other in ((kept.parts, made.parts), (kept.lobes, made.lobes),
                       (kept.shares[1], made.shares[1]), (kept.ribbon.border, made.ribbon.border),
                       (kept.ventricles.pull, made.ventricles.pull),
                       (kept.outside.distance_mm, made.outside.distance_mm)):  # fmt: skip
        np.testing.assert_array_equal(one, other)


def test_a_map_without_a_brain_leaves_nothing_in_the_bank(tmp_path):
    water = Volume(np.full((12, 12, 12), 24, np.int16), Grid.of((12,) * 3, np.eye(4)))
    write_volume(tmp_path / "water.nii.gz", water)
    with pytest.raises(CohortError, match="water"):
        bank.fill_bank(tmp_path / "bank", ["water.nii.gz"], tmp_path)
    assert not list((tmp_path / "bank").iterdir())


def test_sides_are_those_of_the_labels_whatever_the_place(monkeypatch):
    class Still:
        def points(self, points_mm):
            return points_mm

    monkeypatch.setattr(lobemap, "warp_to", lambda *_: Still())
    grid = Grid.covering((-60, -60, -20), (60, 60, 60), 5.0)
    parts = np.full(grid.shape, Part.CORTEX, np.uint8)
    x = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))[..., 0]
    sides = np.zeros(grid.shape, np.int8)
    sides[np.abs(x) < 20] = 1
    lobes = lobemap.lobe_map(parts, sides, grid, np.eye(4), Volume(np.zeros(grid.shape), grid))
    right = lobes > RIGHT
    assert right[np.abs(x) < 20].all()
    assert (right == (x > 0))[np.abs(x) >= 20].all()
    plain = lobemap.lobe_map(parts, 0 * sides, grid, np.eye(4), Volume(np.zeros(grid.shape), grid))
    assert (plain % RIGHT == lobes % RIGHT).all()


def test_a_flip_mirrors_places_and_swaps_sides():
    ball = ball_anatomy()
    plain = make_head(STILL, SHELL, ball, 2.0)
    flipped = make_head(replace(STILL, flip=True), SHELL, ball, 2.0)
    mirrored = plain.lobes[::-1]
    swapped = np.where(mirrored > RIGHT, mirrored - RIGHT, mirrored + RIGHT * (mirrored > 0))
    assert (flipped.lobes == swapped).mean() > 0.995
    x = plain.grid.to_mm(np.moveaxis(np.indices(plain.grid.shape), 0, -1))[..., 0]
    for head in (plain, flipped):
        assert (head.lobes[x < -1] <= RIGHT).all()
        assert (head.lobes[x > 1] != 1).all()
    assert (plain.lobes == 2 + RIGHT).any()
    assert (flipped.lobes == 2).any()
    assert not (flipped.lobes == 2 + RIGHT).any()


def test_simulated_lobes_cover_the_ribbon_on_the_t1w_grid(filled):
    folder, _, _ = filled
    spec = draw_subject("sub-00002", False, draw_site(0, 1), (NAME,), (0, 1, 0), None)
    made = simulate(spec, draw_site(0, 1), 4.0, folder)
    assert made.lobes.grid == made.t1w.grid
    ribbon = np.isin(made.tissue.array, (Tissue.CORTEX, Tissue.WHITE_MATTER))
    np.testing.assert_array_equal(made.lobes.array > 0, ribbon)
    assert set(np.unique(made.lobes.array)) == {0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15}
    again = simulate(spec, draw_site(0, 1), 4.0, folder)
    np.testing.assert_array_equal(again.flair.array, made.flair.array)
    np.testing.assert_array_equal(again.lobes.array, made.lobes.array)
