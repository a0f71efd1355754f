"""What the page says first: whether the images can be told from real ones, and by what."""

from __future__ import annotations

from collections.abc import Mapping

from scipy import stats

from fcdsynth.synthesis.proof.contrasts import Estimate
from fcdsynth.synthesis.proof.distances import Distance
from fcdsynth.synthesis.proof.findings import LESION, Findings
from fcdsynth.synthesis.proof.sides import Sides

ALPHA = 0.05
TIMES = 0.32  # log2 of 1.25: high frequencies a quarter stronger, or weaker by a fifth
_DICE_GAP = 0.05  # agreement with the labels may be this much below the host's
CONTRAST_WORDS: Mapping[str, str] = {"t1w": "T1w", "flair": "FLAIR"}


def verdict(findings: Findings) -> str:
    """The outcome in plain words."""
    n_made, n_real = findings.lesions
    first = f"{n_made} synthetic lesions against {n_real} real ones. "
    lesion = next((d for d in findings.distances if d.features == LESION), None)
    faults = reasons(findings)
    if faults:
        return first + "They can be told from real ones: " + "; ".join(faults) + "."
    tail = ""
    if lesion is not None:
        tail = (
            f" With {lesion.n} lesions a side only a KID above {lesion.kid.null_high:.3f} would "
            f"have stood out; it is {lesion.kid.mean:.3f}. More subjects would see smaller "
            "differences."
        )
    return first + "Nothing that was measured tells them from real ones." + tail


def reasons(findings: Findings) -> list[str]:
    """What tells synthetic images from real ones, each with its number."""
    tests = sum(p is not None for d in findings.distances for p in (d.kid_p, d.mmd_p))
    found = [r for d in findings.distances for r in _of_distance(d, max(tests, 1))]
    for c in findings.contrasts:
        name = CONTRAST_WORDS[c.contrast]
        if _leaves(c.difference, c.difference_null, 0.0):
            way = "higher" if c.difference.value > 0 else "lower"
            found.append(f"their {name} contrast is {abs(c.difference.value):.2f} SD {way}")
        if _leaves(c.sd_ratio, c.sd_ratio_null, 1.0):
            found.append(f"their {name} contrast varies {c.sd_ratio.value:.2f} times as much")
    both = findings.together
    if both is not None and not both.gap_null[0] <= both.gap <= both.gap_null[1]:
        found.append(
            f"T1w and FLAIR contrast correlate by {both.synthetic.value:.2f}, in real lesions by "
            f"{both.real.value:.2f}"
        )
    made, real = findings.diversity
    if made is not None and real is not None and made.low > real.high:
        found.append(f"they are more alike (MS-SSIM {made.mean:.3f}, real {real.mean:.3f})")
    copies = findings.copies
    if copies is not None and copies.synthetic:
        n, flagged = len(copies.synthetic), len(copies.flagged)
        if stats.binom.sf(flagged - 1, n, min(copies.expected / n, 1.0)) <= ALPHA and flagged:
            found.append(
                f"{flagged} look like copies of {findings.copies_of} lesions "
                f"(about {copies.expected:.1f} by chance)"
            )
    return found + _of_images(findings)


def _of_distance(d: Distance, tests: int) -> list[str]:
    found = []
    for name, beside, p in (("KID", d.kid, d.kid_p), ("MMD", d.mmd, d.mmd_p)):
        if not beside.inside:
            found.append(
                f"{name} of {d.features} is {beside.mean:.3f}, that of real halves at most "
                f"{beside.null_high:.3f} (n = {d.n} a side)"
            )
        elif p is not None and p * tests <= ALPHA:
            found.append(
                f"{name} of {d.features} stands out on all rows (p = {p:.3f}, {tests} tests)"
            )
    return found


def _of_images(findings: Findings) -> list[str]:
    found = []
    for contrast, word in CONTRAST_WORDS.items():
        axes = {name.split("_")[1]: value for name, (value, _) in findings.summaries.items()
                if name.startswith(f"{contrast}_") and name.endswith("_nyquist_log2")}  # fmt: skip
        strong = {axis: e for axis, e in axes.items() if e.low > TIMES}
        weak = {axis: e for axis, e in axes.items() if e.high < -TIMES}
        for some, what in ((strong, "a checkerboard or noise"), (weak, "too smooth")):
            if some:
                axis = max(some, key=lambda a: abs(some[a].value))
                found.append(
                    f"high frequencies on {word} are {2 ** some[axis].value:.2f} times the host's "
                    f"along {axis} ({what})"
                )
    for tissue, word in (("cortex", "cortex"), ("white", "white matter")):
        gap = findings.summaries.get(f"dice_gap_{tissue}")
        if gap and gap[0].high < -_DICE_GAP:
            found.append(f"their {word} agrees less with the labels, by {-gap[0].value:.2f}")
    return found


def _leaves(estimate: Estimate, null: tuple[float, float], nothing: float) -> bool:
    # Beyond what halves of the real side differ by, and surely so.
    beyond = not null[0] <= estimate.value <= null[1]
    return beyond and not estimate.low <= nothing <= estimate.high


def notices(sides: Sides, findings: Findings) -> list[str]:
    """What a reader must know before the numbers."""
    patients = [s for s in sides.chosen if s.is_patient]
    seen = sides.seen
    found = []
    if seen:
        found.append(
            f"The generator, its mask prior or its lesion styles saw {len(seen)} of these "
            f"{len(patients)} real patients. Likeness to them is partly by construction; compare "
            "with patients it never saw (--split val)."
        )
    without = sum(sides.host(s) is None for s in sides.made)
    if without:
        found.append(
            f"The hosts of {without} of {len(sides.made)} synthetic subjects are in neither "
            "cohort; their fidelity, tissue agreement beside the host and spectrum are left out "
            "(--sources names the cohort they are in)."
        )
    if findings.whole:
        found.append(
            f"{findings.whole} of {len(sides.made)} synthetic subjects were drawn whole: of the "
            "host they show the labels. Their likeness to its scan says little where the style is "
            "another scan's, and copies of whole brains are not looked for."
        )
    if findings.copies is None:
        found.append("Copies were not searched: fewer than 3 patients to look among.")
    elif findings.copies_of == "compared":
        found.append(
            "Fewer than 3 training lesions of the generator are known here; copies were looked "
            "for among the compared lesions instead."
        )
    if len(sides.contrasts) < 2:
        found.append("Only T1w was compared: not everyone has a FLAIR.")
    found += [f"Not compared: {name} ({why})." for name, why in findings.left_out.items()]
    if findings.lesions[1] < 20 or findings.lesions[0] < 20:
        found.append(
            "With fewer than 20 lesions a side only gross differences can be seen: the null "
            "ranges below are wide."
        )
    return found
