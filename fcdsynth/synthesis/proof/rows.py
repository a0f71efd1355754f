"""Rows of the page's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fcdsynth.synthesis.proof.contrasts import Estimate
from fcdsynth.synthesis.proof.distances import Distance
from fcdsynth.synthesis.proof.findings import Findings
from fcdsynth.synthesis.proof.wording import ALPHA, CONTRAST_WORDS

Row = Mapping[str, Any]
_PARTS = ("inside", "ring", "outside")


def number(value: float | None, digits: int = 2) -> str:
    """A number; ``-`` where there is none."""
    if value is None or value != value:
        return "-"
    return f"{value:.{digits}f}"


def p_words(p: float | None) -> str:
    """A p value; ``-`` where there is none."""
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def span(pair: tuple[float, float] | None, digits: int = 2) -> str:
    """A range in words."""
    return "-" if pair is None else f"{number(pair[0], digits)} to {number(pair[1], digits)}"


def estimate(value: Estimate | None, digits: int = 2) -> str:
    """A number with its interval."""
    if value is None:
        return "-"
    return f"{number(value.value, digits)} [{span((value.low, value.high), digits)}]"


def distance_rows(findings: Findings) -> list[Row]:
    """KID and MMD of every set of features."""
    rows: list[Row] = []
    for d in findings.distances:
        for name, beside, p in (("KID", d.kid, d.kid_p), ("MMD", d.mmd, d.mmd_p)):
            rows.append({
                "features": d.features, "name": name, "dimensions": d.dimensions,
                "n": f"{d.n} of {d.n_synthetic} and {d.n_real}",
                "made": f"{number(beside.mean, 3)} [{span((beside.low, beside.high), 3)}]",
                "null": span((beside.null_low, beside.null_high), 3),
                "p": p_words(p), "far": "" if beside.inside else "far",
            })  # fmt: skip
    return rows


def auroc_words(d: Distance) -> str:
    """How well a classifier tells one set of features."""
    if d.auroc is None:
        return f"{d.features}: not asked, as {d.shared} real subjects are in synthetic ones too"
    return (f"{d.features}: AUROC {number(d.auroc)} (by chance {span(d.auroc_chance)}; "
            f"{d.n_synthetic} synthetic, {d.n_real} real)")  # fmt: skip


def feature_rows(findings: Findings) -> list[Row]:
    """Every lesion feature, those that differ most first."""
    tests = sorted(findings.features, key=lambda t: -(t.wasserstein or 0))
    return [
        {
            "name": t.name, "made": number(t.medians[0]) if t.medians else "-",
            "real": number(t.medians[1]) if t.medians else "-", "n": f"{t.n} and {t.m}",
            "apart": number(t.wasserstein), "ks": number(t.ks), "p": p_words(t.p),
            "holm": p_words(t.p_holm),
            "far": "far" if t.p_holm is not None and t.p_holm <= ALPHA else "",
        }
        for t in tests
    ]  # fmt: skip


def contrast_rows(findings: Findings) -> list[Row]:
    """Lesion contrast, synthetic against real."""
    return [
        {
            "name": CONTRAST_WORDS[c.contrast], "n": f"{c.n_synthetic} and {c.n_real}",
            "made": f"{number(c.synthetic[0])} (SD {number(c.synthetic[1])})",
            "real": f"{number(c.real[0])} (SD {number(c.real[1])})",
            "difference": estimate(c.difference), "difference_null": span(c.difference_null),
            "ratio": estimate(c.sd_ratio), "ratio_null": span(c.sd_ratio_null),
            "ks": f"{number(c.ks)}, p {p_words(c.ks_p)}",
            "quantiles": f"{number(c.quantile_bias)} [{span(c.quantile_limits)}]",
        }
        for c in findings.contrasts
    ]  # fmt: skip


def pair_rows(findings: Findings) -> list[Row]:
    """Contrast in pairs."""
    return [
        {"name": CONTRAST_WORDS[p.contrast], "n": p.n, "bias": estimate(p.bias),
         "limits": span(p.limits), "correlation": number(p.correlation)}
        for p in findings.pairs
    ]  # fmt: skip


def fidelity_rows(findings: Findings) -> list[Row]:
    """SSIM, PSNR and L1 where the host shows the same thing."""
    rows: list[Row] = []
    for kind, words in (("lesion", "own lesion redrawn"), ("healthy", "healthy place redrawn"),
                        ("whole", "whole brain drawn")):  # fmt: skip
        for contrast, name in CONTRAST_WORDS.items():
            for part in _PARTS:
                found = {m: findings.summaries.get(f"{contrast}_{m}_{part}_{kind}")
                         for m in ("ssim", "psnr", "l1")}  # fmt: skip
                if not any(found.values()):
                    continue
                n = max(v[1] for v in found.values() if v)
                rows.append({"kind": words, "name": name, "part": part, "n": n} | {
                    m: estimate(v[0] if v else None, 1 if m == "psnr" else 3)
                    for m, v in found.items()})  # fmt: skip
    return rows


def dice_rows(findings: Findings) -> list[Row]:
    """Agreement with the labels, beside the host's."""
    rows: list[Row] = []
    for key, words in (("cortex", "cortex, whole brain"), ("white", "white matter, whole brain"),
                       ("cortex_place", "cortex, redrawn place"),
                       ("white_place", "white matter, redrawn place")):  # fmt: skip
        own, host, gap, real = (findings.summaries.get(f"{p}{key}") for p in
                                ("dice_", "host_dice_", "dice_gap_", "real_dice_"))  # fmt: skip
        if own:
            rows.append({
                "name": words, "n": own[1], "made": estimate(own[0], 3),
                "host": estimate(host[0] if host else None, 3),
                "gap": estimate(gap[0] if gap else None, 3),
                "real": estimate(real[0] if real else None, 3),
            })  # fmt: skip
    return rows


def copy_rows(findings: Findings) -> list[Row]:
    """Synthetic lesions nearest to a training lesion, at most ten."""
    copies = findings.copies
    if copies is None:
        return []
    flagged = {n.id for n in copies.flagged}
    nearest = sorted(copies.synthetic, key=lambda n: (n.id not in flagged, -n.correlation))
    return [
        {"id": n.id, "in_features": n.in_features, "distance": number(n.distance),
         "in_image": n.in_image, "correlation": number(n.correlation),
         "far": "far" if n.id in flagged else ""}
        for n in nearest[:10]
    ]  # fmt: skip


def spectrum_rows(findings: Findings) -> list[Row]:
    """High frequencies over the host's, as a ratio."""
    rows: list[Row] = []
    for contrast, name in CONTRAST_WORDS.items():
        for axis in "xyz":
            found = findings.summaries.get(f"{contrast}_{axis}_nyquist_log2")
            if not found:
                continue
            value, n = found
            times = Estimate(2**value.value, 2**value.low, 2**value.high)
            low, high = findings.spectrum_null.get(f"{contrast}_{axis}", (float("nan"),) * 2)
            rows.append({"name": name, "axis": axis, "n": n, "times": estimate(times),
                         "null": span((2**low, 2**high))})  # fmt: skip
    return rows
