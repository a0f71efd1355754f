"""Density, site law and the choice of its settings, against brute force and known laws."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.density import MAP_GRID, Density, kernel_density
from fcdsynth.masks.laws.site import SiteLaw, lobe_factor
from fcdsynth.masks.laws.site_fit import FWHM_MM, fit_site
from fcdsynth.measure.lobes import BONN_LOBES, LOBES, lobe_index

sys.path.insert(0, str(Path(__file__).parent))
from patients import egg, patient


def lattice(step=6.0, reach=60.0):
    axis = np.arange(-reach, reach + 1, step)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def law_of(lesions, fwhm_mm=16.0, lobe_weight=0.0, mirror=0.5):
    return SiteLaw(kernel_density(lesions, fwhm_mm, mirror), fwhm_mm, lobe_weight, mirror)


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


def test_map_is_symmetric_about_the_mid_plane():
    ends = MAP_GRID.to_mm([[0, 0, 0], [MAP_GRID.shape[0] - 1, 0, 0]])
    assert ends[0, 0] == -ends[1, 0]


def test_density_is_a_gaussian_of_integral_one_shared_between_the_sides():
    density = kernel_density([[(40.0, 28.0, 20.0)]], 16.0, 0.25)
    assert density.per_ml.sum() * MAP_GRID.voxel_ml == pytest.approx(1, abs=1e-4)
    sigma = 16 / 2.355  # mm
    peak = 1000 / (2 * np.pi * sigma**2) ** 1.5  # of one lesion, per ml
    for x, share in ((40.0, 0.75), (-40.0, 0.25)):
        assert density.at([(x, 28.0, 20.0)])[0] == pytest.approx(share * peak, rel=0.01)
    half = density.at([(48.0, 28.0, 20.0)])[0]
    assert half == pytest.approx(0.5 * 0.75 * peak, rel=0.01)  # half the maximum at 8 mm


def test_site_weights_sum_to_one_and_follow_lesions():
    ribbon = lattice()
    weights = law_of([[(40.0, 30.0, 20.0)]]).weights(ribbon)
    assert weights.sum() == pytest.approx(1)
    for centre in ([40, 30, 20], [-40, 30, 20]):
        away = np.linalg.norm(ribbon - centre, axis=1)
        within = stats.chi2.cdf((16 / (16 / 2.355)) ** 2, 3)  # of a Gaussian in three dimensions
        assert weights[away < 16].sum() == pytest.approx(0.5 * within, abs=0.02)


def test_large_lesions_do_not_dominate():
    small = [(40.0, 30.0, 20.0)]
    large = [(-40.0 + dx, -60.0, 30.0) for dx in np.linspace(-8, 8, 24)]
    ribbon = lattice(reach=90.0)
    weights = law_of([small, large], mirror=0.0).weights(ribbon)
    assert weights[ribbon[:, 0] > 0].sum() == pytest.approx(0.5, abs=0.02)


def test_lobe_mixture_by_hand():
    points = np.array([[40, 35, 25], [40, 35, 30], [45, -60, 40], [10, -90, 5]])  # FL FL PL OL
    expected = np.array([27.5, 27.5, 18, 5]) / 78
    np.testing.assert_allclose(SiteLaw().weights(points), expected)
    # A law of one lesion on the first point, and lobes by 30 %.
    kernel = law_of([[tuple(map(float, points[0]))]]).weights(points)
    both = law_of([[tuple(map(float, points[0]))]], lobe_weight=0.3).weights(points)
    np.testing.assert_allclose(both, 0.7 * kernel + 0.3 * expected)
    # Lobes with no weight that are all a ribbon has: even.
    np.testing.assert_allclose(lobe_factor([0, 0, 0, 0, 1], [3, 1, 0, 0, 0]), [2 / 3, 2, 0, 0, 0])


def test_a_host_that_no_lesion_reaches_falls_back_to_lobes():
    far = np.array([[-60.0, -80.0, -20.0], [-55.0, -20.0, -10.0]])
    law = law_of([[(40.0, 40.0, 60.0)]], fwhm_mm=8.0, mirror=0.0)
    np.testing.assert_allclose(law.weights(far), SiteLaw().weights(far))


@pytest.mark.parametrize("values", [
    {"fwhm_mm": 1}, {"lobe_weight": 1.5}, {"mirror": -0.1}, {"lobes": (1, 2)},
    {"lobes": (0, 0, 0, 0, 0)}, {"lobe_weight": 0.5}, {"lobes": (1, 1, 1, 1, float("nan"))},
])  # fmt: skip
def test_bad_site_laws(values):
    with pytest.raises(SettingsError, match="site"):
        SiteLaw(**values)


@pytest.mark.parametrize("array", [
    np.ones((2, 2, 2), dtype=np.float32), np.ones(MAP_GRID.shape),
    np.zeros(MAP_GRID.shape, dtype=np.float32), np.full(MAP_GRID.shape, np.nan, np.float32),
])  # fmt: skip
def test_bad_maps(array):
    with pytest.raises(SettingsError, match="site map"):
        Density(array)


def test_maps_are_equal_by_their_values():
    one = kernel_density([[(10.0, 20.0, 30.0)]], 12.0, 0.0)
    same = Density(one.per_ml.copy())
    assert (one == same, hash(one) == hash(same)) == (True, True)
    assert one != kernel_density([[(10.0, 20.0, 30.0)]], 12.0, 0.1)


def cohort_at(points, per_patient=1):
    points = np.asarray(points, dtype=float)
    return [
        patient(f"sub-{i:05d}", points[i * per_patient : (i + 1) * per_patient])
        for i in range(len(points) // per_patient)
    ]


def test_leaving_out_equals_brute_force():
    ribbon = egg()
    picks = np.random.default_rng(2).choice(len(ribbon), 12, replace=False)
    patients = cohort_at(ribbon[picks], per_patient=2)  # six patients of two lesions
    fit = fit_site(patients, fwhm_mm=20.0, lobe_weight=0.3, mirror=0.2)
    expected = []
    for left in range(6):
        others = np.delete(picks, [2 * left, 2 * left + 1])
        counts = np.bincount(lobe_index(ribbon[others]), minlength=5)
        lobes = 20 * np.array([BONN_LOBES[n] for n in LOBES]) / 91 + counts
        density = kernel_density([[ribbon[i]] for i in others], 20.0, 0.2)
        weights = SiteLaw(density, 20.0, 0.3, 0.2, tuple(lobes)).weights(ribbon)
        expected += [np.log(weights[i] * len(ribbon)) for i in picks[2 * left : 2 * left + 2]]
    found = np.log(np.concatenate([fit.seeds[p.subject] for p in patients]))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert [s.gain for s in fit.curve] == [pytest.approx(np.mean(expected), abs=2e-3)]
    counts = np.bincount(lobe_index(ribbon[picks]), minlength=5)
    weight = 20 * np.array([BONN_LOBES[n] for n in LOBES]) / 91 + counts
    np.testing.assert_allclose(fit.law.lobes, weight / 32, atol=1e-4)


def draw_points(centres, sd_mm, count, seed=0):
    """Ribbon points drawn from a mixture of Gaussians, and the truth on the ribbon."""
    ribbon = egg()
    away = np.linalg.norm(ribbon[:, None] - np.asarray(centres, dtype=float), axis=2)
    p = np.exp(-((away / sd_mm) ** 2) / 2).sum(axis=1)
    p /= p.sum()
    return ribbon[np.random.default_rng(seed).choice(len(ribbon), count, p=p)], p


def test_one_sided_clusters_choose_a_narrow_kernel_and_no_mirror():
    points, truth = draw_points([(50, 10, 35), (30, -80, 35)], 7.0, 30)
    fit = fit_site(cohort_at(points))
    assert fit.law.fwhm_mm <= 20  # of 16.5 mm the truth, and so is a kernel on 15 lesions each
    assert fit.law.mirror == 0
    assert fit.law.lobe_weight <= 0.2
    # The law foresees new lesions about as well as the truth itself can.
    fitted = fit.law.weights(egg())
    best, ours = (float(truth @ np.log(p * len(truth))) for p in (truth, fitted))
    assert best > 2
    assert ours > 0.75 * best


def test_symmetric_clusters_share_the_sides():
    points, _ = draw_points([(50, 10, 35), (-50, 10, 35)], 7.0, 30, seed=1)
    assert fit_site(cohort_at(points)).law.mirror >= 0.3


def test_lesions_by_lobe_alone_choose_the_lobes():
    ribbon = egg()
    p = SiteLaw().weights(ribbon)
    chosen = ribbon[np.random.default_rng(3).choice(len(ribbon), 30, p=p)]
    law = fit_site(cohort_at(chosen)).law
    assert law.lobe_weight >= 0.5 or law.fwhm_mm >= 24


def test_curve_covers_the_bandwidths_and_given_values_are_kept():
    points, _ = draw_points([(50, 10, 35)], 10.0, 6)
    patients = cohort_at(points)
    fit = fit_site(patients)
    assert tuple(s.fwhm_mm for s in fit.curve) == FWHM_MM
    best = max(fit.curve, key=lambda s: s.gain)
    law = fit.law
    assert (law.fwhm_mm, law.lobe_weight, law.mirror) == (
        best.fwhm_mm, best.lobe_weight, best.mirror)  # fmt: skip
    assert min(s.lobe_weight for s in fit.curve) >= 5 / 11 - 1e-4  # 5 / (5 + 6)
    given = fit_site(patients, lobe_weight=0.25).law
    assert given.lobe_weight == 0.25
    assert fit_site(patients, fwhm_mm=11.0, lobe_weight=0.25, mirror=0.35).law.fwhm_mm == 11
    with pytest.raises(SettingsError, match="mirror"):
        fit_site(patients, mirror=1.5)


def test_few_lesions_leave_it_to_the_lobes():
    points, _ = draw_points([(50, 10, 35)], 7.0, 4)
    fit = fit_site(cohort_at(points))
    assert (fit.law.density, fit.law.lobe_weight, fit.curve) == (None, 1.0, ())
    assert fit_site(cohort_at(points), lobe_weight=0.5).law.density is not None
    unknown = [patient(f"sub-{i:05d}", None) for i in range(8)]
    nowhere = fit_site(unknown, lobe_weight=0.5)
    assert (nowhere.law.density, nowhere.seeds) == (None, {})
    assert nowhere.law.lobe_weight == 1
