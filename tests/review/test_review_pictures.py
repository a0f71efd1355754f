"""Pictures: the patient's right is where the convention says, whatever the file's orientation."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from phantom import ORIENTATIONS, tiny_grid, tiny_head

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane
from fcdsynth.review.pictures import Panel, png_bytes, slice_row, three_planes, write_png
from fcdsynth.review.planes import Content, Plane
from fcdsynth.review.sheet import COLOURS

RIGHT_FRONT = (30.0, 24.0, 12.0)
MIDPLANE = Midplane.through((0, 0, 0), (1, 0, 0), "centre")


def _ball(grid, centre, radius=9.0):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    return Volume(np.linalg.norm(grid.to_mm(index) - np.asarray(centre), axis=-1) < radius, grid)


def _head(orientation, key="t1w"):
    grid = tiny_grid(orientation)
    return Volume(tiny_head(grid)[key], grid)


def _coloured(figure, axes, colour, dpi=100):
    """Mean position of an outline's pixels inside a picture, as shares from left and bottom."""
    pixels = imread(io.BytesIO(png_bytes(figure, dpi)))[..., :3]
    height, width = pixels.shape[:2]
    box = axes.get_position()
    part = pixels[
        int((1 - box.y1) * height) : int((1 - box.y0) * height),
        int(box.x0 * width) : int(box.x1 * width),
    ]
    hit = np.argwhere(np.abs(part - np.asarray(to_rgb(colour))).max(axis=-1) < 0.2)
    assert len(hit) > 10
    return hit[:, 1].mean() / part.shape[1], 1 - hit[:, 0].mean() / part.shape[0]


def _letters(axes):
    """Letters of a picture from left to right."""
    texts = [text for text in axes.texts if text.get_text() in ("L", "R", "A", "P")]
    return [text.get_text() for text in sorted(texts, key=lambda text: text.get_position()[0])]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_a_marker_on_the_patients_right_is_where_the_convention_says(orientation, convention):
    t1w = _head(orientation)
    marker = _ball(t1w.grid, RIGHT_FRONT)
    figure = three_planes(
        t1w, None, {"mask": marker}, RIGHT_FRONT, "", MIDPLANE, convention=convention
    )
    axial, coronal, sagittal, close, mirrored = figure.axes
    radiological = convention == "radiological"
    for axes in (axial, coronal):
        x, y = _coloured(figure, axes, COLOURS[0])
        assert x < 0.4 if radiological else x > 0.6
        assert y > 0.5  # frontal is up in the axial slice, superior in the coronal one
        assert _letters(axes) == (["R", "L"] if radiological else ["L", "R"])
    assert _coloured(figure, sagittal, COLOURS[0])[0] > 0.6
    assert _letters(sagittal) == ["P", "A"]
    np.testing.assert_allclose(_coloured(figure, close, COLOURS[0]), 0.5, atol=0.06)
    assert _letters(mirrored) == _letters(axial)[::-1]
    where = "left" if radiological else "right"
    texts = " ".join(text.get_text() for text in figure.texts)
    assert f"the patient's right is on the {where} of the picture" in texts


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_bright_voxels_themselves_are_on_the_right_side(orientation):
    """The grey image, not only the outline: a bright ball in an otherwise flat head."""
    grid = tiny_grid(orientation)
    array = np.where(tiny_head(grid)["brain"], 0.3, 0).astype(np.float32)
    array[_ball(grid, RIGHT_FRONT).array] = 1
    figure = three_planes(Volume(array, grid), None, {}, RIGHT_FRONT)
    axial = figure.axes[0]
    image = np.asarray(axial.images[0].get_array())
    left, right, low, high = axial.images[0].get_extent()
    row, column = np.argwhere(image > 0.8).mean(axis=0)
    x = left + (column + 0.5) / image.shape[1] * (right - left)
    y = low + (row + 0.5) / image.shape[0] * (high - low)
    np.testing.assert_allclose((x, y), RIGHT_FRONT[:2], atol=3)
    assert axial.get_xlim()[0] > axial.get_xlim()[1]  # radiological: x runs to the left


def test_the_mirrored_picture_shows_the_other_side():
    grid = tiny_grid()
    array = np.where(tiny_head(grid)["brain"], 0.3, 0).astype(np.float32)
    array[_ball(grid, (-RIGHT_FRONT[0], *RIGHT_FRONT[1:])).array] = 1
    figure = three_planes(Volume(array, grid), None, {}, RIGHT_FRONT, midplane=MIDPLANE)
    close, mirrored = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[3:])
    assert close.max() < 0.5
    assert mirrored.max() > 0.9
    row, column = np.argwhere(mirrored > 0.8).mean(axis=0)
    np.testing.assert_allclose((row, column), np.asarray(mirrored.shape) / 2, atol=12)


def test_volumes_on_other_grids_of_the_same_world_fit_together():
    t1w, flair = _head("RAS"), _head("oblique", "flair")
    marker = _ball(tiny_grid("LAS"), RIGHT_FRONT)
    figure = three_planes(t1w, flair, {"mask": marker, "detector": marker}, RIGHT_FRONT)
    assert len(figure.axes) == 8
    one, two = (np.asarray(figure.axes[i].images[0].get_array()) > 0.05 for i in (0, 4))
    assert 2 * (one & two).sum() / (one.sum() + two.sum()) > 0.95
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["mask", "detector"]


def test_a_row_shows_each_volume_at_its_own_centre_and_equal_rows_are_equal_bytes(tmp_path):
    volumes = [_head(orientation) for orientation in ORIENTATIONS]
    panels = [
        Panel(name, volume, (0.0, 0.0, z), {"mask": _ball(volume.grid, RIGHT_FRONT)})
        for name, volume, z in zip(ORIENTATIONS, volumes, (12.0, 12.0, 60.0), strict=True)
    ]
    figure = slice_row(panels, "row")
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(ORIENTATIONS)
    assert len(figure.axes[0].collections) == 1  # the outline
    assert len(figure.axes[2].collections) == 0  # above the head: no outline, no warning
    path = write_png(tmp_path / "deep" / "row.png", figure)
    assert path.read_bytes() == png_bytes(slice_row(panels, "row"))


def test_a_level_other_than_one_half_is_drawn_where_asked():
    t1w = _head("RAS")
    weak = _ball(t1w.grid, RIGHT_FRONT)
    weak = Volume(weak.array.astype(np.float32) * 0.3, t1w.grid)
    none = slice_row([Panel("", t1w, RIGHT_FRONT, {"p": weak})])
    some = slice_row([Panel("", t1w, RIGHT_FRONT, {"p": weak}, {"p": 0.15})])
    assert (len(none.axes[0].collections), len(some.axes[0].collections)) == (0, 1)


def test_content_is_the_head_and_an_empty_volume_is_shown_whole():
    t1w = _head("LAS")
    content = Content.of(t1w, margin_mm=0)
    np.testing.assert_allclose(content.upper_mm, (52, 60, 50), atol=6)
    np.testing.assert_allclose(content.lower_mm, (-52, -60, -50), atol=6)
    empty = Volume(np.zeros(t1w.grid.shape, np.float32), t1w.grid)
    assert Content.of(empty).upper_mm == tuple(t1w.grid.corners_mm().max(axis=0))
    assert len(slice_row([Panel("empty", empty, (0, 0, 0))], plane=Plane.CORONAL).axes) == 1


def test_unknown_words_are_refused():
    t1w = _head("RAS")
    with pytest.raises(SettingsError, match="radiological or neurological"):
        three_planes(t1w, None, {}, (0, 0, 0), convention="mirror")
    with pytest.raises(SettingsError, match="plane"):
        slice_row([Panel("", t1w, (0, 0, 0))], plane="oblique")
    with pytest.raises(SettingsError, match="at least one volume"):
        slice_row([])
