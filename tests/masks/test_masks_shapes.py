"""The shape law against a normal law that is known."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.shapes import ShapeLaw, fit_shapes
from fcdsynth.measure.shape import DESCRIPTORS

sys.path.insert(0, str(Path(__file__).parent))
from patients import lesion

SD = np.array([1.0, 0.2, 0.3, 0.4, 0.08, 4.0, 0.2, 0.05])


def shapes(count, seed=0):
    """Shapes whose descriptors are normal, the first two correlated by -0.6."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, 8))
    z[:, 1] = -0.6 * z[:, 0] + 0.8 * z[:, 1]
    rows = z * SD + lesion().shape.descriptors()
    found = []
    for row in rows:
        volume = np.exp(row[0])
        surface = np.cbrt(np.pi * (6 * volume * 1000) ** 2) / np.exp(row[1])
        shape = replace(
            lesion().shape, volume_ml=volume, surface_mm2=surface, middle_ratio=np.exp(row[2]),
            short_ratio=np.exp(row[3]), ribbon_fraction=row[4], white_fraction=1 - row[4],
            mean_depth_mm=row[5], thickness_mm=np.exp(row[6]), solidity=row[7],
        )  # fmt: skip
        np.testing.assert_allclose(shape.descriptors(), row)
        found.append(shape)
    return found, rows


def test_a_known_law_is_recovered_and_refuses_one_in_a_hundred():
    law = fit_shapes(shapes(600)[0])
    assert law.n == 600
    np.testing.assert_allclose(np.sqrt(np.diag(law.covariance)), SD, rtol=0.1)
    assert -0.65 < law.covariance[0][1] / (SD[0] * SD[1]) < -0.4  # shrunk towards 0
    _, others = shapes(4000, seed=1)
    beyond = int((law.distance2(others) > law.limit).sum())
    assert law.limit == pytest.approx(18.48, abs=0.01)  # chi-square, 7 degrees, tables
    assert 0.004 < beyond / 4000 < 0.02
    assert 0 <= law.refused < 0.03


def test_few_lesions_are_shrunk_but_units_are_kept():
    found, rows = shapes(14)
    law = fit_shapes(found)
    np.testing.assert_allclose(np.diag(law.covariance), rows.var(axis=0), rtol=0.8)
    # Without shrinkage the smallest eigenvalue of 14 rows of 8 is far nearer to 0.
    scale = np.outer(rows.std(axis=0), rows.std(axis=0))
    shrunk = np.linalg.eigvalsh(np.asarray(law.covariance) / scale).min()
    assert shrunk > 2 * np.linalg.eigvalsh(np.cov(rows.T, bias=True) / scale).min()
    assert fit_shapes(found[:11]) is None


def test_lesions_all_alike_still_give_a_law():
    law = fit_shapes([lesion().shape] * 12)
    alike = lesion().shape.descriptors()
    assert law.distance2(alike) == pytest.approx(0, abs=1e-6)
    assert law.distance2(alike + 0.1) > law.limit


def test_distance_by_hand():
    eye = tuple(tuple(4.0 * (i == j) for j in range(8)) for i in range(8))
    law = ShapeLaw((1.0,) * 8, eye, 20, 0.0)
    assert law.distance2([1.0, 3.0, *[1.0] * 6]) == pytest.approx(1)  # (2 / 2)^2
    assert law.distance2([9.0, *[1.0] * 7]) == pytest.approx(0)  # any volume will do
    assert law.distance2(np.ones((5, 8))).shape == (5,)
    # Volume and sphericity correlated by -0.6: given a volume 2 SD up, sphericity is expected
    # 1.2 SD down with a variance of 0.64.
    tied = np.eye(8)
    tied[0, 1] = tied[1, 0] = -0.6
    law = ShapeLaw((0.0,) * 8, tuple(map(tuple, tied.tolist())), 20, 0.0)
    assert law.distance2([2.0, -1.2, *[0.0] * 6]) == pytest.approx(0)
    assert law.distance2([2.0, -0.4, *[0.0] * 6]) == pytest.approx(0.8**2 / 0.64)
    assert stats.chi2.sf(law.limit, 7) == pytest.approx(0.01)


def test_record_round_trip_and_foreign_descriptors():
    law = fit_shapes(shapes(20)[0])
    record = law.to_record()
    assert tuple(record["mean"]) == DESCRIPTORS
    assert ShapeLaw.from_record(record) == law
    renamed = {f"{name}_x": value for name, value in record["mean"].items()}
    with pytest.raises(ValueError, match="descriptors"):
        ShapeLaw.from_record(record | {"mean": renamed})


@pytest.mark.parametrize("covariance", [((1.0,),), tuple((0.0,) * 8 for _ in range(8))])
def test_bad_laws(covariance):
    with pytest.raises(SettingsError, match="shapes"):
        ShapeLaw((0.0,) * 8, covariance, 20, 0.0)
