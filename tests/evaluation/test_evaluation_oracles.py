"""The evaluator against libraries of the field that compute the same thing in their own way."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.evaluation.froc import froc
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import auroc, wilson
from fcdsynth.evaluation.statistics.paired import mcnemar_exact, wilcoxon_signed

APART = range(0, 16, 2)  # neighbours would be one lesion


@pytest.fixture
def row(arrays, make_grid, tmp_path):
    """Subjects in a row of 16 x 4 x 4 voxels: one-voxel lesions and clusters at given x."""

    def make(lesions, clusters):
        """``lesions``: x of each; ``clusters``: x to score. Those at a lesion's x lie on it."""
        at = [(x, 1, 1) if x in lesions else (x, 3, 3) for x in clusters]
        subject = arrays(
            make_grid((16, 4, 4)), [(x, 1, 1) for x in lesions], at, list(clusters.values())
        )
        return subject.score(tmp_path)

    return make


def monai_curve(subjects):
    """MONAI's FROC from the same clusters and lesions: (false positives an image, sensitivity)."""
    from monai.metrics.froc import compute_fp_tp_probs_nd, compute_froc_curve_data

    false, true, targets = [], [], 0
    for lesions, clusters in subjects:
        mask = np.zeros((16, 4, 4), int)
        for number, x in enumerate(lesions, 1):
            mask[x, 1, 1] = number
        points = [(x, 1, 1) if x in lesions else (x, 3, 3) for x in clusters]
        fp, tp, n = compute_fp_tp_probs_nd(
            np.array(list(clusters.values()), float), np.array(points, int).reshape(-1, 3), mask
        )
        false.append(fp)
        true.append(tp.astype(float))
        targets += n
    return compute_froc_curve_data(
        np.concatenate(false), np.concatenate(true), targets, len(subjects)
    )  # fmt: skip


def our_curve(records):
    points = froc(records, Rule.OVERLAP)
    return [(p.false_positives_per_subject, p.lesion_recall) for p in points]


def test_monai_says_0_where_one_lesion_was_found(row):
    """One lesion, one detection inside it. Sensitivity is 1 of 1 at no false positive."""
    from monai.metrics.froc import compute_froc_score

    subject = ([4], {4: 0.75})
    fps, sensitivity = monai_curve([subject])
    assert (fps.tolist(), sensitivity.tolist()) == ([0], [0])
    assert compute_froc_score(fps, sensitivity) == 0
    assert our_curve([row(*subject)]) == [(0, 0), (0, 1)]


def test_monai_loses_the_lesion_of_the_lowest_score(row):
    """Hits at 0.75 and 0.25, false at 0.5: MONAI stops at 1 of 2, ours reaches 2 of 2 at 1 FP."""
    subject = ([4, 8], {4: 0.75, 8: 0.25, 12: 0.5})
    fps, sensitivity = monai_curve([subject])
    theirs = sorted(zip(fps.tolist(), sensitivity.tolist(), strict=True))
    assert theirs == [(0, 0), (0, 0.5), (1, 0.5)]
    assert our_curve([row(*subject)]) == [(0, 0), (0, 0.5), (1, 0.5), (1, 1)]


def test_monai_is_ours_without_the_lowest_threshold(row):
    """On random cohorts its curve is ours, its last point apart; a missed lesion, which MONAI
    keeps as a hit of score 0, takes that place."""
    rng = np.random.default_rng(3)
    complete = cut = 0
    for _ in range(12):
        subjects = []
        for patient in (True, True, False):
            some = rng.choice(APART, rng.integers(1, 4), replace=False).tolist()
            lesions = sorted(some) if patient else []
            at = rng.choice(APART, rng.integers(0, 6), replace=False).tolist()
            at += [x for x in lesions if rng.random() < 0.6 and x not in at]
            subjects.append((lesions, {x: int(rng.integers(1, 16)) / 16 for x in at}))
        ours = sorted(set(our_curve([row(*s) for s in subjects])))
        if not any(clusters for _, clusters in subjects):
            continue
        fps, sensitivity = monai_curve(subjects)
        theirs = sorted(set(zip(fps.tolist(), sensitivity.tolist(), strict=True)))
        missed = sum(x not in clusters for lesions, clusters in subjects for x in lesions)
        if missed:
            assert np.allclose(theirs, ours)
            complete += 1
        else:
            assert set(theirs) < set(ours)
            cut += 1
    assert complete
    assert complete + cut > 8


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.5, 3.0)], ids=str)
def test_dice_and_surface_distances_are_monais(arrays, make_grid, tmp_path, spacing):
    """Symmetric mean over both surfaces, the larger of two 95th percentiles, Dice."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
    )

    rng = np.random.default_rng(5)
    for _ in range(6):
        starts, sizes = rng.integers(2, 8, (2, 3)), rng.integers(2, 9, (2, 3))
        boxes = [
            tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
            for start, size in zip(starts, sizes, strict=True)
        ]
        masks = torch.zeros((2, 1, 1, 20, 20, 20))
        for mask, box in zip(masks, boxes, strict=True):
            mask[(0, 0, *box)] = 1
        if not (masks[0] * masks[1]).any():
            continue
        grid = make_grid((20, 20, 20), spacing)
        record = arrays(grid, boxes[:1], boxes[1:], [0.5]).score(tmp_path)
        fate = record.lesions[0].found[Rule.OVERLAP]
        how = {"include_background": True, "spacing": spacing}
        assd = compute_average_surface_distance(masks[1], masks[0], symmetric=True, **how)
        hd95 = compute_hausdorff_distance(masks[1], masks[0], percentile=95, **how)
        assert fate.dice == pytest.approx(float(compute_dice(masks[1], masks[0])), abs=1e-6)
        assert fate.assd_mm == pytest.approx(float(assd), abs=1e-4)
        assert fate.hd95_mm == pytest.approx(float(hd95), abs=1e-4)


def test_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    for n, m in ((3, 4), (20, 10), (50, 60)):
        patients, controls = rng.integers(0, 8, n) / 8 + 0.1, rng.integers(0, 8, m) / 8
        area, _ = auroc(patients, controls)
        labels = [1] * n + [0] * m
        assert area == pytest.approx(roc_auc_score(labels, [*patients, *controls]))


def test_delongs_variance_is_that_of_midranks():
    """Sun and Xu (2014) get DeLong's components from midranks, ours from all pairs."""
    rng = np.random.default_rng(1)
    for n, m in ((4, 6), (30, 25)):
        x, y = rng.integers(2, 12, n) / 10, rng.integers(0, 10, m) / 10
        both = stats.rankdata([*x, *y])
        won = (both[:n] - stats.rankdata(x)) / m
        kept = 1 - (both[n:] - stats.rankdata(y)) / n
        sd = np.sqrt(won.var(ddof=1) / n + kept.var(ddof=1) / m)
        area, interval = auroc(x, y)
        logit = np.log(area / (1 - area)) + np.array([-1, 1]) * 1.959963984540054 * sd / (
            area * (1 - area)
        )
        assert area == pytest.approx(won.mean())
        assert (interval.low, interval.high) == pytest.approx(tuple(1 / (1 + np.exp(-logit))))


@pytest.mark.parametrize(("count", "n"), [(0, 5), (5, 5), (22, 61), (27, 61), (45, 61), (1, 400)])
def test_wilson_is_statsmodels_and_scipys(count, n):
    mine = wilson(count, n)
    assert (mine.low, mine.high) == pytest.approx(proportion_confint(count, n, method="wilson"))
    other = stats.binomtest(count, n).proportion_ci(0.95, "wilson")
    assert (mine.low, mine.high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_mcnemar_is_a_binomial_test():
    for gained, lost in product(range(10), repeat=2):
        p = mcnemar_exact(gained, lost)
        if gained + lost:
            assert p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
            assert p == pytest.approx(mcnemar([[3, gained], [lost, 5]], exact=True).pvalue)
        else:
            assert p == 1


def test_wilcoxon_is_the_share_of_all_sign_patterns():
    """By brute force over 2^n patterns of signs, ties and zeros included."""
    rng = np.random.default_rng(2)
    for n in (3, 5, 8):
        values = rng.integers(-4, 7, n) / 4
        kept = values[values != 0]
        ranks = stats.rankdata(np.abs(kept))
        seen = ranks[kept > 0].sum()
        sums = np.array([ranks[list(p)].sum() for p in product([False, True], repeat=len(kept))])
        p = min(1, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean()))
        assert wilcoxon_signed(values) == pytest.approx(p)


def test_counts_are_scikit_learns(row):
    """Places as a classification: at every second x there is a lesion or not, a cluster or not."""
    rng = np.random.default_rng(4)
    truth, called, records = [], [], []
    for _ in range(8):
        lesions = sorted(rng.choice(APART, 3, replace=False).tolist())
        clusters = {int(x): 0.5 for x in rng.choice(APART, 4, replace=False)}
        records.append(row(lesions, clusters))
        truth += [x in lesions for x in APART]
        called += [x in clusters for x in APART]
    right = sum(s.n_role(Rule.OVERLAP, Role.TRUE) for s in records)
    wrong = sum(s.n_role(Rule.OVERLAP, Role.FALSE) for s in records)
    found, lesions = sum(s.n_found(Rule.OVERLAP) for s in records), 8 * 3
    assert right / (right + wrong) == pytest.approx(precision_score(truth, called))
    assert found / lesions == pytest.approx(recall_score(truth, called))
    f1 = 2 * found / (found + lesions + wrong)
    assert f1 == pytest.approx(f1_score(truth, called))
