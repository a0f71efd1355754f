"""Lesions in a folded head of known shape: where they lie, what they do, what is recorded."""

from dataclasses import replace

import numpy as np
import pytest
from folded import folded_head, radius_of
from scipy import ndimage

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.components import label_components
from fcdsynth.phantom.appearance import paint_lesion
from fcdsynth.phantom.contrast import draw_contrast, draw_site, painter
from fcdsynth.phantom.lesion import grow
from fcdsynth.phantom.lesionlaw import LesionLaw, draw_lesion
from fcdsynth.phantom.lesiontruth import lobes_and_side, truth_of
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.placement import choose_centre
from fcdsynth.phantom.pose import axes_of
from fcdsynth.phantom.world import VARIANTS

SHAPES = [("field", ""), ("funnel", ""), *(("rebel", v) for v in VARIANTS)]


@pytest.fixture(scope="module")
def head():
    return folded_head()


def a_lesion(law="field", variant="", **changes):
    base = draw_lesion(np.random.default_rng(0), LesionLaw())
    settings = {
        "lobe": "FL", "side": "L", "volume_ml": 3.0, "law": law, "variant": variant,
        "tail": False, "subtype": "IIa", "contrast_sd": 2.0, "cortex_share": 0.6,
        "below_share": 0.8, "thickening_mm": 1.2, "blur_mm": 1.5, "at_bottom": True,
    }  # fmt: skip
    return replace(base, **(settings | changes))


def pieces(lesion):
    return label_components(lesion.mask, lesion.grid, 0.03)[1]


@pytest.mark.parametrize(("law", "variant"), SHAPES)
@pytest.mark.parametrize("volume_ml", [0.6, 12.0])
def test_volume_tissue_and_side_are_as_asked(head, law, variant, volume_ml):
    lesion = grow(a_lesion(law, variant, volume_ml=volume_ml, seed=3), head)
    got = lesion.mask.sum() * lesion.grid.voxel_ml
    assert got == pytest.approx(volume_ml, rel=0.12)
    parts = head.parts[lesion.box][lesion.mask]
    assert set(np.unique(parts)) <= {Part.CORTEX, Part.WHITE}
    assert head.mm[(0, *lesion.box)][lesion.mask].max() < 0
    again = grow(lesion.spec, head)
    assert again.share.tobytes() == lesion.share.tobytes()
    assert again.grey.tobytes() == lesion.grey.tobytes()
    other = grow(replace(lesion.spec, seed=4), head)
    assert other.centre_mm != lesion.centre_mm


@pytest.mark.parametrize("seed", range(4))
def test_field_and_funnel_are_one_piece_and_partly_cortex(head, seed):
    for law in ("field", "funnel"):
        lesion = grow(a_lesion(law, seed=seed), head)
        assert len(pieces(lesion)) == 1
        assert (lesion.border_mm[lesion.mask] < 0).mean() > 0.25


def test_a_funnel_narrows_towards_the_white_matter(head):
    ratios = []
    for seed in range(6):
        lesion = grow(a_lesion("funnel", volume_ml=5.0, seed=seed), head)
        points = lesion.grid.to_mm(np.argwhere(lesion.mask))
        # The folds of this head run across y, so depth is the distance from the hull's centre.
        radius = radius_of(points.T)
        deep = radius < np.quantile(radius, 0.25)
        upper = radius > np.quantile(radius, 0.6)
        wide = [points[of][:, [1]].std() for of in (deep, upper)]
        ratios.append(wide[0] / wide[1])
    assert np.median(ratios) < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_rebels_break_what_stage_1_assumes(head, seed):
    across = grow(a_lesion("rebel", "across", seed=seed, at_bottom=False), head)
    sizes = sorted((p.volume_ml for p in pieces(across)), reverse=True)
    assert len(sizes) == 2  # two banks
    assert sizes[1] > 0.25 * across.spec.volume_ml
    labels, parts = label_components(across.mask, across.grid)
    banks = [across.grid.to_mm(np.argwhere(labels.array == p.label)) for p in parts[:2]]
    gap = np.linalg.norm(banks[0][:, None] - banks[1][None], axis=2)
    nearest = gap.argmin(axis=0)
    facing = np.flatnonzero(gap.min(axis=0) < 9)
    crosses = []
    for b in facing:  # a straight line from bank to bank leaves the brain
        line = np.linspace(banks[0][nearest[b]], banks[1][b], 9)
        seen = across.parts[tuple(np.rint(across.grid.to_vox(line)).astype(int).T)]
        crosses.append(Part.CSF in seen)
    assert np.mean(crosses) > 0.5

    patchy = grow(a_lesion("rebel", "patchy", seed=seed), head)
    assert len(pieces(patchy)) >= 3

    deep = grow(a_lesion("rebel", "deep", seed=seed), head)
    assert (deep.border_mm[deep.mask] > 0).mean() > 0.75
    plain = grow(a_lesion("field", seed=seed), head)
    assert deep.border_mm[deep.mask].mean() > plain.border_mm[plain.mask].mean() + 1


def test_bottoms_of_sulci_are_deep_below_the_hull(head):
    """Depth as the radius in the hull's ellipsoid, which placement knows nothing of."""
    lobe = (head.parts == Part.CORTEX) & (head.lobes == 1) & (np.abs(head.mm[0]) > 6)
    cortex = radius_of(head.mm[:, lobe])
    deepest_third = np.quantile(cortex, 1 / 3)

    def radii(at_bottom):
        spec = a_lesion(at_bottom=at_bottom)
        centres = [choose_centre(replace(spec, seed=n), head) for n in range(25)]
        return radius_of(np.array([head.mm[(slice(None), *c)] for c in centres]).T)

    assert np.mean(radii(True) < deepest_third) > 0.9
    assert np.mean(radii(False) > deepest_third) > 0.85


def test_four_fifths_of_the_small_lesions_lie_at_the_bottom(head):
    rng = np.random.default_rng(11)
    law = LesionLaw()
    drawn = (draw_lesion(rng, law) for _ in range(400))
    small = [s for s in drawn if s.volume_ml < 3 and s.lobe == "FL"][:40]
    inside = []
    for spec in small:
        lesion = grow(replace(spec, tail=False), head)
        label = 1 if spec.side == "L" else 11
        lobe = (head.parts == Part.CORTEX) & (head.lobes == label)
        own = lesion.mask & (lesion.parts == Part.CORTEX)
        depth = 1 - radius_of(head.mm[(slice(None), *lesion.box)])[own]
        inside.append(np.median(depth) > np.quantile(1 - radius_of(head.mm[:, lobe]), 0.6))
    # 13 of 16 in Besson and Bernasconi (2006); 40 draws have a standard error of 6 %.
    assert 0.68 <= np.mean(inside) <= 0.95


def test_the_cortex_thickens_into_the_white_matter_and_the_border_blurs(head):
    lesion = grow(a_lesion(thickening_mm=1.6, blur_mm=0.6), head)
    white = lesion.parts == Part.WHITE
    away = ndimage.distance_transform_edt(~lesion.mask) * 1.5
    grey = white & (lesion.grey > 0.5)
    assert grey[away <= 1.5].sum() > 20
    assert not grey[away > 5].any()
    assert lesion.border_mm[grey].max() < 2.4
    blurred = grow(a_lesion(thickening_mm=1.6, blur_mm=3.0), head)
    inside = lesion.mask & (np.abs(lesion.border_mm) < 4)
    mixed = [((g > 0.1) & (g < 0.9))[inside].mean() for g in (lesion.grey, blurred.grey)]
    assert mixed[1] > mixed[0] + 0.15


def test_a_transmantle_band_tapers_to_the_ventricle(head):
    lesion = grow(a_lesion("field", "", subtype="IIb", tail=True, volume_ml=2.0), head)
    band = np.argwhere(lesion.tail > 0.05)
    wall = np.argwhere(lesion.parts == Part.VENTRICLE)
    distance = np.linalg.norm(band[:, None] - wall[None, ::3], axis=2).min(axis=1) * 1.5
    assert distance.min() < 4
    near, far = distance < 6, distance > distance.max() - 6
    assert near.sum() < far.sum()
    strength = lesion.tail[tuple(band.T)]
    assert strength[near].max() < strength[far].max()
    assert not grow(a_lesion(), head).tail.any()


def test_a_second_lesion_keeps_away_from_the_first(head):
    first = grow(a_lesion(volume_ml=5.0), head)
    second = grow(a_lesion(volume_ml=1.5), head, (first,))  # the same seed: it wants the same place
    points = [x.grid.to_mm(np.argwhere(x.mask)) for x in (first, second)]
    gap = np.linalg.norm(points[0][::5, None] - points[1][None], axis=2).min()
    assert gap > 9
    assert second.mask.sum() * second.grid.voxel_ml == pytest.approx(1.5, rel=0.2)


def test_a_head_without_the_lobe_is_refused(head):
    bare = replace(head, parts=np.where(head.parts == Part.CORTEX, Part.CSF, head.parts))
    with pytest.raises(SettingsError, match="FL L"):
        grow(a_lesion(), bare)


def paint(head, spec, flair, noise=0.03):
    lesion = grow(spec, head)
    site = draw_site(0, 1)
    contrast = draw_contrast(np.random.default_rng(1))
    brush = painter(site, contrast, "flair" if flair else "t1w", head.grid)
    clean = brush.paint(head.parts, brush.texture(axes_of(head.grid)))
    painted = clean.copy()
    got = paint_lesion(painted, lesion, brush, flair, 1.5, noise)
    return lesion, clean, painted, got


@pytest.mark.parametrize("contrast_sd", [0.5, 1.5, 3.0])
@pytest.mark.parametrize(("law", "variant"), SHAPES)
def test_flair_contrast_is_what_was_asked_for(head, law, variant, contrast_sd):
    spec = a_lesion(law, variant, contrast_sd=contrast_sd, thickening_mm=0.4, blur_mm=0.6)
    lesion, clean, painted, got = paint(head, spec, flair=True)
    assert got.change_sd == pytest.approx(contrast_sd, abs=0.01)
    # By hand on the painted heads: mean change over the mask, seen through the voxel's blur.
    seen = [ndimage.gaussian_filter(p, 1.05 * 1.5 / 2.3548 / 1.5)[lesion.box] for p in
            (clean, painted)]  # fmt: skip
    change = (seen[1] - seen[0])[lesion.mask].mean()
    assert change == pytest.approx(contrast_sd * got.ring_sd, rel=0.03)
    assert np.array_equal(painted[:, :, :5], clean[:, :, :5])


def test_the_unit_is_how_much_healthy_tissue_varies(head):
    _, clean, _, got = paint(head, a_lesion(), flair=True, noise=0.03)
    kinds = [clean[head.parts == part] for part in (Part.CORTEX, Part.WHITE)]
    spreads = [np.hypot(1.4826 * np.median(np.abs(k - np.median(k))), 0.03) for k in kinds]
    assert min(spreads) * 0.75 < got.ring_sd < max(spreads) * 1.25


def test_mid_cortex_may_darken_while_the_white_matter_below_brightens(head):
    dark = a_lesion(cortex_share=-0.9, below_share=0.8, thickening_mm=0.3, blur_mm=0.4)
    lesion, clean, painted, got = paint(head, dark, flair=True)
    assert got.change_sd == pytest.approx(2.0, abs=0.01)
    assert got.cortex_sd < -0.7
    assert got.below_sd > 0.7
    change = (painted - clean)[lesion.box] / got.ring_sd
    middle = lesion.mask & (np.abs(lesion.border_mm + 1.5) < 0.8)
    assert change[middle].mean() < -1
    bright = paint(head, replace(dark, cortex_share=0.9), flair=True)[3]
    assert bright.cortex_sd > 0.7


def test_t1w_loses_the_contrast_of_the_border(head):
    lesion, clean, painted, got = paint(head, a_lesion(blur_mm=2.4), flair=False)
    assert got.change_sd < 0
    change = (painted - clean)[lesion.box]
    below = lesion.mask & (lesion.border_mm > 0) & (lesion.border_mm < 2)
    assert change[below].mean() < -0.1  # white matter towards grey


def test_lobes_and_side_come_from_the_voxels(head):
    lesion = grow(a_lesion(volume_ml=3.0), head)
    voxels = np.argwhere(lesion.mask)
    start = [s.start for s in lesion.box]
    labels = np.zeros_like(head.lobes)
    places = tuple((voxels + start).T)
    n = len(voxels)
    values = np.full(n, 12)  # parietal, right
    values[: int(0.3 * n)] = 13  # temporal
    values[int(0.3 * n) : int(0.45 * n)] = 11  # frontal, 15 %: below a fifth
    labels[places] = values
    assert lobes_and_side(lesion, replace(head, lobes=labels)) == (("PL", "TL"), "R")
    assert lobes_and_side(lesion, head)[1] == "L"


def test_the_record_tells_what_was_achieved(head):
    spec = a_lesion("rebel", "deep", volume_ml=3.0, preset="hard")
    lesion, _, _, flair = paint(head, spec, flair=True)
    t1w = paint(head, spec, flair=False)[3]
    truth = truth_of(lesion, lobes_and_side(lesion, head), flair, t1w)
    assert (truth.law, truth.variant, truth.difficulty) == ("rebel", "deep", "hard")
    assert truth.volume_ml == pytest.approx(3.0, rel=0.12)
    assert truth.visibility == pytest.approx(2.0 * truth.volume_ml ** (1 / 3), rel=0.02)
    assert truth.centre_mm == pytest.approx(
        np.average(lesion.grid.to_mm(np.argwhere(lesion.share > 0)), axis=0,
                   weights=lesion.share[lesion.share > 0]), abs=0.01)  # fmt: skip
