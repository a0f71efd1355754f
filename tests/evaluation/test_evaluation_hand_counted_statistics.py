"""Areas, intervals and paired tests of small cohorts, counted by hand.

Every subject is written as NIfTI and scored; the figures are those of Report. A subject is a row
of 16 x 4 x 4 voxels of 1 mm. Its lesions lie at x = 2, 6, 10 (one voxel each, at y = z = 1), a hit
is a cluster on a lesion, and a false cluster lies at y = z = 3, x = 14, 12, 10 and so on: it shares
no voxel with a lesion.
"""

from dataclasses import replace
from math import exp, log, sqrt

import pytest
from hand_counted import CohortBench, Z, check, registry, values, wilson

from fcdsynth.evaluation.compare import compare

CASES, case = registry()


@pytest.fixture
def bench(arrays, make_grid, tmp_path):
    return CohortBench(arrays, make_grid, tmp_path)


@case
def auroc_with_ties(bench):
    """Highest scores 0.9, 0.5 of patients, 0.5, 0.1 of controls. Of 4 pairs 3 won, 1 tied: 3.5/4.
    Whether the cluster hits does not matter to a subject's score."""
    report = bench.report(
        bench.patient(0.9, false=[0.2]), bench.patient(None, false=[0.5]), bench.control(0.5),
        bench.control(0.1),
    )  # fmt: skip
    yield values(report, "auroc"), (3.5 / 4,)


@case
def auroc_of_subjects_without_a_cluster(bench):
    """They score 0. Patients 0.8, 0; controls 0, 0.3: won, won; tied, lost: 2.5/4."""
    report = bench.report(
        bench.patient(0.8), bench.patient(None), bench.control(), bench.control(0.3)
    )
    yield values(report, "auroc"), (2.5 / 4,)


@case
def delong_interval(bench):
    """Patients 0.9, 0.5, controls 0.5, 0.1, area 7/8. Shares won by the patients: 1 and 3/4, by
    the controls 3/4 and 1: each has variance 1/32 (n - 1), so the area's is 1/64 + 1/64 = 1/32.
    On the logit scale: log 7 -+ z sqrt(1/32) / (7/8 x 1/8), turned back."""
    report = bench.report(
        bench.patient(0.9), bench.patient(0.5), bench.control(0.5), bench.control(0.1)
    )
    figure, half = report.figure("auroc"), Z * sqrt(1 / 32) / (7 / 64)
    yield figure.low, 1 / (1 + exp(-(log(7) - half)))
    yield figure.high, 1 / (1 + exp(-(log(7) + half)))


@case
def wilson_interval_of_one_of_one(bench):
    """1/1: from 1 / (1 + z^2) = 0.2065 to 1."""
    figure = bench.report(bench.patient(0.9)).figure("subject_sensitivity")
    yield (figure.low, figure.high), (1 / (1 + Z**2), 1)
    yield (figure.low, figure.high), wilson(1, 1)


@case
def no_false_positive_in_three_patients(bench):
    """Exact Poisson: exp(-3 x high) = 0.025, so high = -ln(0.025) / 3 = 1.2296."""
    report = bench.report(*[bench.patient(0.9) for _ in range(3)])
    figure = report.figure("false_positives_per_patient")
    yield (figure.low, figure.high), (0, -log(0.025) / 3)


@case
def figures_of_one_site(bench):
    """Site a: 1 of 2 patients, 1 of 1 control clean. Site b: 1 of 1 patient, 0 of 1 clean."""
    report = bench.report(
        bench.patient(0.9, site="a"), bench.patient(None, site="a"), bench.control(site="a"),
        bench.patient(0.8, site="b"), bench.control(0.4, site="b"),
    )  # fmt: skip
    names = ("subject_sensitivity", "specificity")
    yield values(report, *names), (2 / 3, 1 / 2)
    yield values(report, *names, scope="site=a"), (1 / 2, 1)
    yield values(report, *names, scope="site=b"), (1, 0)


@case
def site_probability_counts_missed_lesions(bench):
    """Lesions of one voxel: found at 0.9 and 0.5, missed where the map says 0: mean 1.4/3."""
    report = bench.report(bench.patient(0.9, None), bench.patient(0.5), bench.control(0.9))
    figure = report.figure("site_probability_mean")
    yield (figure.value, figure.n), (1.4 / 3, 3)
    yield report.figure("dice_found_lesions").value, 1


@case
def published_shares_of_61_patients(bench):
    """22, 27 and 45 of 61 are 36.1, 44.3 and 73.8 %; Wilson 25-49, 33-57 and 62-83 %.
    From 22 to 27 with 6 gained and 1 lost, exact McNemar: 2 (C(7,0) + C(7,1)) / 2^7 = 16/128."""
    hit, miss = bench.patient(0.9), bench.patient(None)

    def arm(pattern):
        return bench.report(
            *[replace(hit if found else miss, id=f"p{n}") for n, found in enumerate(pattern)]
        )

    first = arm([True] * 22 + [False] * 39)
    second = arm([False] + [True] * 21 + [True] * 6 + [False] * 33)
    third = arm([True] * 45 + [False] * 16)
    for report, count, percent, ends in (
        (first, 22, 36.1, (25, 49)), (second, 27, 44.3, (33, 57)), (third, 45, 73.8, (62, 83)),
    ):  # fmt: skip
        figure = report.figure("subject_sensitivity")
        yield (figure.count, figure.n), (count, 61)
        yield (figure.low, figure.high), wilson(count, 61)
        yield round(100 * figure.value, 1), percent
        yield (round(100 * figure.low), round(100 * figure.high)), ends
    paired = next(
        f for f in compare(first, second, bootstrap=100).figures
        if (f.name, f.rule) == ("subject_sensitivity", "overlap")
    )  # fmt: skip
    yield (paired.gained, paired.lost, paired.p), (6, 1, 16 / 128)


@case
def wilcoxon_of_five_gains(bench):
    """Site means of five patients rise by 0.1 to 0.5, all of them: of 2^5 patterns of signs 2 are
    as extreme, p = 2/32."""
    before = [bench.patient(0.1 * n) for n in range(1, 6)]
    after = [replace(bench.patient(0.2 * n), id=s.id) for n, s in enumerate(before, 1)]
    result = compare(bench.report(*before), bench.report(*after), bootstrap=100)
    figure = next(f for f in result.figures if f.name == "whole_mask_probability_mean")
    yield figure.p, 2 / 32
    yield figure.difference, 0.3


@pytest.mark.parametrize("name", CASES)
def test_hand_counted(bench, name):
    check(CASES[name](bench))
