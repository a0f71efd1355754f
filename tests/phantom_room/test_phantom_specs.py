"""The laws that subjects are drawn from, checked on many draws against the published counts."""

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.provenance import plain
from fcdsynth.phantom.contrast import draw_site
from fcdsynth.phantom.spec import LesionLaw, draw_lesion, draw_subject, draw_volume_ml

LAW = LesionLaw((0.5, 3.0), 1.2, 0.15)


@pytest.fixture(scope="session")
def lesions():
    rng = np.random.default_rng(0)
    return [draw_lesion(rng, LAW) for _ in range(2000)]


def test_volumes_follow_the_truncated_log_normal_law():
    rng = np.random.default_rng(1)
    logs = np.log([draw_volume_ml(rng) for _ in range(3000)])
    low, high = (np.log(v / 2.8) / 1.25 for v in (0.3, 20.0))
    law = stats.truncnorm(low, high, loc=np.log(2.8), scale=1.25)
    assert stats.kstest(logs, law.cdf).pvalue > 0.01


def test_lobes_sides_and_types_match_bonn(lesions):
    share = {lobe: np.mean([x.lobe == lobe for x in lesions]) for lobe in ("FL", "PL", "IL")}
    assert share["FL"] == pytest.approx(55 / 91, abs=0.035)
    assert share["PL"] == pytest.approx(18 / 91, abs=0.03)
    assert share["IL"] == pytest.approx(3 / 91, abs=0.015)
    assert np.mean([x.side == "L" for x in lesions]) == pytest.approx(46 / 85, abs=0.035)
    assert np.mean([x.subtype == "IIb" for x in lesions]) == pytest.approx(34 / 50, abs=0.035)


def test_transmantle_bands_belong_to_type_iib(lesions):
    assert not any(x.tail for x in lesions if x.subtype == "IIa")
    visible = [x.tail for x in lesions if x.subtype == "IIb" and x.contrast_sd > 0]
    assert np.mean(visible) == pytest.approx(0.64, abs=0.05)


def test_about_one_in_twelve_is_mri_negative(lesions):
    assert np.mean([x.mri_negative for x in lesions]) == pytest.approx(7 / 85, abs=0.04)


def test_contrast_keeps_to_its_range_and_some_are_dark(lesions):
    sizes = np.abs([x.contrast_sd for x in lesions])
    assert sizes.min() >= 0.5
    assert sizes.max() <= 3
    assert 0.03 < np.mean([x.contrast_sd < 0 for x in lesions]) < 0.15


def test_a_spec_depends_on_its_seed_alone_and_is_plain_data():
    import json

    one = draw_subject("sub-00001", True, 1, ("icbm152",), (0, 0, 0), LAW)
    assert one == draw_subject("sub-00001", True, 1, ("icbm152",), (0, 0, 0), LAW)
    assert one.pose != draw_subject("sub-00001", True, 1, ("icbm152",), (0, 0, 1), LAW).pose
    assert json.loads(json.dumps(plain(one)))["lesion"]["lobe"] == one.lesion.lobe


def test_sites_differ_and_are_stable():
    first, second = draw_site(0, 1), draw_site(0, 2)
    assert first == draw_site(0, 1)
    assert first.serial != second.serial
    assert first.means["flair"] != second.means["flair"]
