"""Rows of the page's tables."""

from __future__ import annotations

import math

from fcdsynth.masks.proof.comparison import Comparison
from fcdsynth.masks.proof.matched import Beside
from fcdsynth.masks.proof.wording import ALPHA, CLASSIFIER_WORDS, LABELS, interval, p_words


def summary_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Statistics of all features at once, equal numbers beside and all masks."""
    beside = comparison.matched.statistics
    rows = [
        _row("Classifier, " + CLASSIFIER_WORDS[name], beside.get(f"auroc_{name}"),
             f"AUROC {test.auroc:.2f}", test.p, "0.5: cannot be told apart; 1: always")
        for name, test in comparison.classifiers.items()
    ]  # fmt: skip
    rows.append(
        _row("Shape: maximum mean discrepancy", beside.get("mmd_shape"),
             f"{comparison.shape.statistic:.3f}", comparison.shape.p, "about 0: same law")
    )  # fmt: skip
    if comparison.place is not None:
        rows.append(
            _row("Place: energy distance", beside.get("energy_place"),
                 f"{comparison.place.statistic:.3f}", comparison.place.p, "lower: more alike")
        )  # fmt: skip
    for name, test, key in (("Lobes", comparison.lobes, "cramers_v_lobe"),
                            ("Sides", comparison.sides, "cramers_v_side")):  # fmt: skip
        if test is not None:
            rows.append(
                _row(f"{name}: Cramér's V of the chi-square", beside.get(key),
                     f"{test.cramers_v:.2f} (chi-square {test.chi2:.1f})", test.p,
                     "0: same shares")
            )  # fmt: skip
    rows += [
        _row("Density", beside.get("density"), f"{comparison.near.density:.2f}", None,
             "about 1; lower: drawn masks where no real ones are"),
        _row("Coverage", beside.get("coverage"), f"{comparison.near.coverage:.2f}", None,
             "about 0.97; lower: kinds of real masks that are not drawn"),
    ]  # fmt: skip
    return rows


def _row(
    name: str, beside: Beside | None, whole: str, p: float | None, words: str
) -> dict[str, str]:
    return {
        "name": name, "words": words,
        "drawn": "-" if beside is None else interval(beside.drawn),
        "real": "-" if beside is None else interval(beside.real),
        "all": whole, "p": p_words(p),
    }  # fmt: skip


def feature_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Tests feature by feature."""
    rows = []
    for test in comparison.features:
        label = LABELS[test.name]
        beside = comparison.matched.statistics.get(f"ks/{test.name}")
        apart = comparison.matched.statistics.get(f"wasserstein/{test.name}")
        medians = ["-", "-"]
        if test.medians is not None:
            medians = [f"{math.exp(m) if label.logarithm else m:.3g}" for m in test.medians]
        rows.append(
            {
                "name": label.words, "unit": label.unit, "drawn": medians[0], "real": medians[1],
                "n": f"{test.n} / {test.m}",
                "ks": "-" if test.ks is None else f"{test.ks:.2f}",
                "p": p_words(test.p), "holm": p_words(test.p_holm),
                "far": "far" if test.p_holm is not None and test.p_holm <= ALPHA else "",
                "ks_drawn": "-" if beside is None else interval(beside.drawn),
                "ks_real": "-" if beside is None else interval(beside.real),
                "apart_drawn": "-" if apart is None else interval(apart.drawn),
                "apart_real": "-" if apart is None else interval(apart.real),
            }
        )  # fmt: skip
    return rows


def copy_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Drawn masks nearer to a real one than two patients' masks are."""
    flagged = () if comparison.copies is None else comparison.copies.flagged
    return [
        {
            "name": m.name, "shape": f"{m.shape_dice:.2f}", "place": f"{m.place_dice:.2f}",
            "alike": m.alike + (" (its donor)" if m.donor else ""), "nearby": m.nearby or "-",
        }
        for m in flagged
    ]  # fmt: skip
