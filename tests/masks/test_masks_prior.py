"""Size, site, depth laws and placement against scipy, formulas and simulated masks."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, ndimage, stats

from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.masks.depth_rank import depth_rank
from fcdsynth.masks.host import load_host, make_host
from fcdsynth.masks.laws.depth import DepthSlope, fit_depth
from fcdsynth.masks.laws.fit import Example, fit_prior, prior_from
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.site import SiteLaw, spread_points
from fcdsynth.masks.laws.size import SizeLaw, fit_size
from fcdsynth.masks.placement import draw_kind, draw_spec, place
from fcdsynth.masks.spec import Growth
from fcdsynth.measure.lobes import LOBES, lobe_index

sys.path.insert(0, str(Path(__file__).parent))
from banks import folded_head
from phantom import prepared_cohort


def test_enough_masks_give_the_maximum_likelihood_of_scipy():
    volumes = stats.lognorm.rvs(0.9, scale=4.0, size=60, random_state=1)
    law = fit_size(volumes)
    shape, _, scale = stats.lognorm.fit(volumes, floc=0)
    assert law.median_ml == pytest.approx(scale, rel=1e-4)
    assert law.sigma_ln == pytest.approx(shape, rel=1e-4)
    expected = stats.kstest(volumes, "lognorm", args=(shape, 0, scale)).statistic
    assert law.ks == pytest.approx(expected, abs=1e-4)


def test_few_masks_shrink_by_n_over_twenty():
    law = fit_size([1.0, math.e**2])  # mean of ln 1, variance 1, weight 0.1
    assert math.log(law.median_ml) == pytest.approx(0.1 * 1 + 0.9 * math.log(2.8))
    assert law.sigma_ln**2 == pytest.approx(0.1 * 1 + 0.9 * 1.25**2)
    assert law.n == 2
    assert fit_size([]) == SizeLaw()


def test_published_quantiles():
    # Quantiles 1/5/25/75/95/99 % of the untruncated law, in ml (synthesis notes, section 3).
    loose = SizeLaw(lower_ml=1e-4, upper_ml=1e5)
    found = loose.quantile(np.array([0.01, 0.05, 0.25, 0.75, 0.95, 0.99]))
    np.testing.assert_allclose(found, [0.15, 0.36, 1.2, 6.5, 22, 51], rtol=0.03)


def test_draws_follow_the_truncated_law():
    law = SizeLaw()
    rng = np.random.default_rng(0)
    volumes = np.array([law.draw(rng) for _ in range(2000)])
    assert volumes.min() >= 0.12
    assert volumes.max() <= 60
    a, b = (np.log([0.12, 60]) - np.log(2.8)) / 1.25
    oracle = stats.truncnorm(a, b, np.log(2.8), 1.25)
    assert stats.kstest(np.log(volumes), oracle.cdf).pvalue > 0.01


def test_size_of_simulated_masks_is_recovered():
    rng = np.random.default_rng(3)
    truth = SizeLaw(median_ml=5.0, sigma_ln=0.7, lower_ml=0.01, upper_ml=500)
    law = fit_size([truth.draw(rng) for _ in range(2000)])
    assert law.median_ml == pytest.approx(5.0, rel=0.05)
    assert law.sigma_ln == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize("values", [
    {"median_ml": -1}, {"sigma_ln": 0}, {"lower_ml": 5, "upper_ml": 4},
    {"lower_ml": 1e9, "upper_ml": 2e9},
])  # fmt: skip
def test_bad_size_laws(values):
    with pytest.raises(SettingsError, match="size"):
        SizeLaw(**values)


def test_bad_volumes():
    with pytest.raises(SettingsError, match="positive"):
        fit_size([1.0, 0.0])


def test_published_slope_puts_small_lesions_at_the_bottom():
    slope = DepthSlope().at(0.8)
    share = integrate.quad(lambda d: math.exp(slope * d), 0.6, 1)[0]
    share /= integrate.quad(lambda d: math.exp(slope * d), 0, 1)[0]
    assert share == pytest.approx(0.81, abs=0.01)
    assert DepthSlope().b1 < 0
    assert DepthSlope().at(20) == pytest.approx(0.5, abs=0.02)


def test_depth_fit_recovers_slopes_and_shrinks():
    rng = np.random.default_rng(0)
    volumes = np.exp(rng.normal(1, 1.2, 3000))
    slopes = 1.0 - 0.3 * np.log(volumes)
    # Inverse of the truncated exponential's distribution function.
    ranks = np.log1p(rng.random(3000) * np.expm1(slopes)) / slopes
    fitted = fit_depth(ranks.tolist(), volumes.tolist())
    assert fitted.b0 == pytest.approx(1.0, abs=0.25)
    assert fitted.b1 == pytest.approx(-0.3, abs=0.15)
    assert fit_depth([], []) == DepthSlope()
    one = fit_depth([0.5], [2.8])
    assert abs(one.b0 - DepthSlope().b0) < 1


@pytest.mark.parametrize(("point", "lobe"), [
    ((40, 35, 25), "FL"),     # middle frontal gyrus
    ((-5, 50, 10), "FL"),     # medial frontal
    ((-30, 45, -14), "FL"),   # orbitofrontal
    ((45, -60, 40), "PL"),    # angular gyrus
    ((-8, -60, 45), "PL"),    # precuneus
    ((-55, -20, -10), "TL"),  # middle temporal gyrus
    ((38, 10, -35), "TL"),    # temporal pole
    ((10, -90, 5), "OL"),     # calcarine
    ((-36, 5, 2), "IL"),      # insula
])  # fmt: skip
def test_lobes_of_landmarks(point, lobe):
    assert LOBES[int(lobe_index(point))] == lobe


def test_site_weights_sum_to_one_and_follow_lesions():
    ribbon = np.stack(np.meshgrid(*[np.arange(-60, 61, 6.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    lesion = (((40.0, 30.0, 20.0),),)
    law = SiteLaw(lesion, fwhm_mm=16, lobe_weight=0.0, mirror=0.5)
    weights = law.weights(ribbon)
    assert weights.sum() == pytest.approx(1)
    for centre in ([40, 30, 20], [-40, 30, 20]):
        away = np.linalg.norm(ribbon - centre, axis=1)
        within = stats.chi2.cdf((16 / (16 / 2.355)) ** 2, 3)  # of a Gaussian in three dimensions
        assert weights[away < 16].sum() == pytest.approx(0.5 * within, abs=0.02)
        half = weights[np.argmin(away)] / 2
        ring = weights[(away > 7) & (away < 9)]
        assert np.median(ring) == pytest.approx(half, rel=0.35)  # half maximum at 8 mm


def test_large_lesions_do_not_dominate():
    small = ((40.0, 30.0, 20.0),)
    large = tuple((-40.0 + dx, -60.0, 30.0) for dx in np.linspace(-8, 8, 24))
    law = SiteLaw((small, large), lobe_weight=0.0, mirror=0.0)
    ribbon = np.stack(np.meshgrid(*[np.arange(-90, 91, 6.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    assert law.weights(ribbon)[ribbon[:, 0] > 0].sum() == pytest.approx(0.5, abs=0.02)


def test_lobe_mixture_by_hand():
    points = np.array([[40, 35, 25], [40, 35, 30], [45, -60, 40], [10, -90, 5]])  # FL FL PL OL
    weights = SiteLaw().weights(points)
    np.testing.assert_allclose(weights, np.array([27.5, 27.5, 18, 5]) / 78)


@pytest.mark.parametrize("values", [
    {"fwhm_mm": 0}, {"lobe_weight": 2}, {"mirror": -1}, {"lobes": (1.0,)}, {"lobe_weight": 0.5},
])  # fmt: skip
def test_bad_site_laws(values):
    with pytest.raises(SettingsError, match="site"):
        SiteLaw(**values)


def test_points_are_spread():
    points = np.arange(300, dtype=float).reshape(100, 3)
    chosen = spread_points(points, 5)
    assert len(chosen) == 5
    assert (chosen[0], chosen[-1]) == (tuple(points[0]), tuple(points[-1]))
    assert spread_points(points[:1]) == (tuple(points[0]),)


def example(i, **more):
    values = {"volume_ml": 1.0 + i, "rank": 0.8, "ribbon_fraction": 0.4 + 0.01 * i,
              "points_mm": ((30.0, 20.0, 10.0 + i),), "subtype": "IIb"}  # fmt: skip
    return Example(f"sub-{i:05d}", **(values | more))


def test_prior_json_round_trip(tmp_path):
    for prior in (LesionPrior(), prior_from([example(i) for i in range(12)])):
        path = prior.write(tmp_path / "prior.json")
        again = LesionPrior.read(path)
        assert again.to_json() == prior.to_json()
        assert again.digest == prior.digest
        json.loads(path.read_text(), parse_constant=pytest.fail)  # no NaN: plain JSON


def test_prior_from_examples_by_hand():
    prior = prior_from([example(i) for i in range(12)])
    assert prior.fitted_on == tuple(f"sub-{i:05d}" for i in range(12))
    assert prior.site.lobe_weight == pytest.approx(20 / 32)
    assert dict(prior.subtypes)["IIb"] == pytest.approx((12 + 20 * 0.68) / 32)
    fractions = [0.4 + 0.01 * i for i in range(12)]
    assert prior.ribbon_floor == pytest.approx(np.quantile(fractions, 0.05))
    assert prior_from([example(0)]).ribbon_floor == 0.3
    unplaced = prior_from([example(i, points_mm=()) for i in range(3)])
    assert unplaced.site.lobe_weight == 1


@pytest.mark.parametrize("text", [
    "{", "[1]", '{"sise": {}}', '{"size": {"median_ml": -2}}', '{"subtypes": [["IIa", 0.2]]}',
    '{"track_share": 3}', '{"depth": {"b0": NaN}}',
])  # fmt: skip
def test_bad_priors(text):
    with pytest.raises(SettingsError):
        LesionPrior.from_json(text)


def test_prior_file_absent(tmp_path):
    with pytest.raises(SettingsError, match="no file"):
        LesionPrior.read(tmp_path / "none.json")


def test_fit_reads_masks(tmp_path):
    cohort = prepared_cohort(tmp_path, patients=3, controls=1)
    patients = [s for s in cohort.subjects if s.is_patient]
    prior = fit_prior(cohort, patients)
    assert prior.fitted_on == tuple(s.id for s in patients)
    assert prior.size.n == 3
    assert len(prior.site.lesions) == 3
    for lesion, centre in zip(prior.site.lesions, [(34, 20, 12), (-34, 18, 14), (30, -22, 20)],
                              strict=True):  # fmt: skip
        assert np.linalg.norm(np.mean(lesion, axis=0) - centre) < 8


def test_unusable_training_masks(tmp_path):
    cohort = prepared_cohort(tmp_path, patients=1, controls=1)
    patient = cohort.subjects[0]
    path = cohort.path(patient, "lesion")
    grid = Grid.of((24, 24, 24), np.eye(4))
    with_hole = Volume(np.zeros((24, 24, 24), dtype=bool), load_host(cohort, patient).grid)
    write_volume(path, with_hole)
    with pytest.raises(CohortError, match="no lesion voxel"):
        fit_prior(cohort, [patient])
    write_volume(path, Volume(np.ones((24, 24, 24), dtype=bool), grid))
    with pytest.raises(GeometryError, match="tissue"):
        fit_prior(cohort, [patient])


def test_depth_rank_is_high_at_the_bottom_of_a_groove_and_uniform():
    cortex = np.ones((30, 30, 30), dtype=bool)
    depth = np.full(cortex.shape, 5.0)
    depth[15] = 12
    ranks = depth_rank(depth, cortex, (2.0, 2.0, 2.0))
    assert ranks[15].min() > ranks[np.arange(30) != 15].max()
    np.testing.assert_allclose(np.sort(ranks.ravel()), np.linspace(0, 1, 27000), atol=1e-6)


def test_placement_follows_prior_times_slope():
    host = folded_head()
    placement = place(host, LesionPrior())
    site = LesionPrior().site.weights(host.to_mni(host.ribbon_vox))
    expected = site * np.exp(DepthSlope().at(1.5) * host.ribbon_rank)
    np.testing.assert_allclose(placement.probabilities(1.5), expected / expected.sum())
    # Small lesions sit deeper than large ones.
    small, large = (placement.probabilities(v) @ host.ribbon_rank for v in (0.5, 30.0))
    assert small > large + 0.15


def test_seeds_lie_on_the_ribbon_as_often_as_asked():
    host = folded_head(spacing_mm=6.0, size=22)
    placement = place(host, LesionPrior())
    rng = np.random.default_rng(0)
    drawn = [draw_spec(placement, rng, "lesion", Growth(), 2.0, "IIa", False) for _ in range(2000)]
    assert all(host.tissue[s.centre_vox] == Tissue.CORTEX for s in drawn)
    assert len({s.seed for s in drawn}) == 2000
    right = host.right[tuple(host.ribbon_vox.T)]
    p = placement.probabilities(2.0)[right].sum()
    assert stats.binomtest(sum(s.side == "R" for s in drawn), 2000, p).pvalue > 0.001
    spec = drawn[0]
    assert spec.size_vox == round(2.0 / host.grid.voxel_ml)
    np.testing.assert_allclose(spec.centre_mm, host.grid.to_mm(spec.centre_vox), atol=1e-3)


def test_without_mni_the_site_is_uniform_and_unnamed():
    known = folded_head(spacing_mm=6.0, size=22)
    host = make_host("x", known.grid, known.tissue, known.brain, known.depth_mm)
    placement = place(host, LesionPrior())
    assert np.ptp(placement.site) == 0
    spec = draw_spec(placement, np.random.default_rng(1), "lesion", Growth(), 1.0, "", False)
    assert (spec.lobe, spec.centre_mni_mm) == ("", None)
    assert host.right.mean() == pytest.approx(0.5, abs=0.05)


def test_kinds_follow_their_shares():
    prior = replace(LesionPrior(), subtypes=(("IIa", 0.25), ("IIb", 0.75)), track_share=0.4)
    rng = np.random.default_rng(0)
    kinds = [draw_kind(prior, rng) for _ in range(2000)]
    n_b = sum(subtype == "IIb" for _, subtype, _ in kinds)
    tracks = sum(track for *_, track in kinds)
    assert stats.binomtest(n_b, 2000, 0.75).pvalue > 0.001
    assert stats.binomtest(tracks, n_b, 0.4).pvalue > 0.001
    assert not any(track for _, subtype, track in kinds if subtype != "IIb")


def test_a_mid_plane_that_is_off_cuts_no_cortex():
    x = np.arange(41)[:, None, None] - 20 + np.zeros((1, 9, 9))
    tissue = np.full(x.shape, Tissue.WHITE_MATTER, dtype=np.int16)
    tissue[np.abs(x) <= 6] = Tissue.CORTEX
    tissue[np.abs(x) <= 1] = Tissue.CSF
    affine = np.eye(4)
    affine[0, 3] = -20
    mni = np.eye(4)
    mni[0, 3] = -4  # the plane x = 4 mm runs through the right side's medial cortex
    brain = np.ones(x.shape, dtype=bool)
    host = make_host("x", Grid.of(x.shape, affine), tissue, brain, np.zeros(x.shape), None, mni)
    cortex = tissue == Tissue.CORTEX
    assert (host.right[cortex] == (x > 0)[cortex]).all()


def test_seeds_keep_clear_of_deep_grey_and_cerebellum():
    host = folded_head()
    other = np.isin(host.tissue, (Tissue.DEEP_GREY, Tissue.INFRATENTORIAL))
    away = ndimage.distance_transform_edt(~other, sampling=host.grid.spacing_mm)
    assert away[tuple(host.ribbon_vox.T)].min() > 4
    near = (host.tissue == Tissue.CORTEX) & (away <= 4)
    assert near.any()


@pytest.mark.parametrize("tissue", [Tissue.CORTEX, Tissue.WHITE_MATTER])
def test_host_needs_both_tissues(tissue):
    host = folded_head(spacing_mm=6.0, size=22)
    labels = np.where(host.tissue == tissue, Tissue.CSF, host.tissue)
    with pytest.raises(CohortError, match="no voxel labelled"):
        make_host("x", host.grid, labels, host.brain, host.depth_mm)


def test_bad_transforms(tmp_path):
    cohort = prepared_cohort(tmp_path, patients=0, controls=1)
    cohort.path(cohort.subjects[0], "transforms").write_text("{")
    with pytest.raises(CohortError, match="unreadable"):
        load_host(cohort, cohort.subjects[0])
