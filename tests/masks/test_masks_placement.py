"""Where masks start, and the maps of a host that decide it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, stats

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.depth_rank import depth_rank
from fcdsynth.masks.host import load_host, make_host
from fcdsynth.masks.laws.depth import DepthSlope
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.placement import Wanted, draw_spec, draw_wanted, place
from fcdsynth.masks.spec import Growth

sys.path.insert(0, str(Path(__file__).parent))
from banks import folded_head
from phantom import prepared_cohort


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
    found = placement.probabilities(1.5)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5)  # ranks are float32
    slope = DepthSlope(1.0, 0.0, fundus=0.4, medial=-2.0)
    bent = place(host, replace(LesionPrior(), depth=slope)).probabilities(1.5)
    x = np.abs(host.to_mni(host.ribbon_vox)[:, 0])
    expected = site * np.exp(host.ribbon_rank - 2 * np.exp(-x / 8))
    expected /= (1.02 - host.ribbon_rank) ** 0.4
    np.testing.assert_allclose(bent, expected / expected.sum(), rtol=1e-5)
    # Small lesions sit deeper than large ones.
    small, large = (placement.probabilities(v) @ host.ribbon_rank for v in (0.5, 30.0))
    assert small > large + 0.15


def test_seeds_lie_on_the_ribbon_as_often_as_asked():
    host = folded_head(spacing_mm=6.0, size=22)
    placement = place(host, LesionPrior())
    rng = np.random.default_rng(0)
    wanted = Wanted("lesion", 2.0, "IIa", False)
    drawn = [draw_spec(placement, rng, wanted, Growth()) for _ in range(2000)]
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
    spec = draw_spec(
        placement, np.random.default_rng(1), Wanted("lesion", 1.0, "", False), Growth()
    )
    assert (spec.lobe, spec.centre_mni_mm) == ("", None)
    assert host.right.mean() == pytest.approx(0.5, abs=0.05)


def test_kinds_follow_their_shares():
    prior = replace(LesionPrior(), subtypes=(("IIa", 0.25), ("IIb", 0.75)), track_share=0.4)
    rng = np.random.default_rng(0)
    kinds = [draw_wanted(prior, rng, "lesion", 2.0, "growth") for _ in range(2000)]
    n_b = sum(kind.subtype == "IIb" for kind in kinds)
    tracks = sum(kind.track for kind in kinds)
    assert stats.binomtest(n_b, 2000, 0.75).pvalue > 0.001
    assert stats.binomtest(tracks, n_b, 0.4).pvalue > 0.001
    assert not any(kind.track for kind in kinds if kind.subtype != "IIb")


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
