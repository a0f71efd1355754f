"""The calibration error that the benchmark states, by hand."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from detector_froc import expected_calibration_error


def test_calibration_error_by_hand():
    clusters = [(0.1, False), (0.1, True), (0.9, True), (1.0, True)]
    error, rows = expected_calibration_error(clusters)
    # Bins: two of mean 0.1, half hit; two of mean 0.95, all hit.
    assert error == pytest.approx((2 * 0.4 + 2 * 0.05) / 4)
    assert [row[0] for row in rows] == [2, 2]
