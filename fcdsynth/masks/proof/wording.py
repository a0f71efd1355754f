"""What the page says: names of features and statistics, verdicts, rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fcdsynth.masks.proof.comparison import Comparison
    from fcdsynth.masks.proof.matched import Spread

ALPHA = 0.05
SLIGHT = 0.65  # an AUROC above which a difference is more than slight


@dataclass(frozen=True, slots=True)
class Label:
    """How a feature is shown.

    Args:
        words: Its name.
        unit: Its unit, or what its ends mean.
        logarithm: Whether the feature is a natural logarithm of what is shown.
    """

    words: str
    unit: str
    logarithm: bool = False


LABELS: Mapping[str, Label] = {
    "ln_volume": Label("Volume", "ml", True),
    "ln_sphericity": Label("Sphericity", "1 = ball", True),
    "ln_middle_ratio": Label("Middle over long axis, squared", "1 = as wide as long", True),
    "ln_short_ratio": Label("Short over long axis, squared", "1 = as thick as long", True),
    "cortex_share": Label("Share of cortex", "rest: white matter"),
    "mean_depth_mm": Label("Mean depth below the brain hull", "mm"),
    "ln_thickness": Label("Greatest thickness", "mm", True),
    "solidity": Label("Solidity", "1 = convex"),
    "mni_abs_x_mm": Label("Distance from the mid-plane", "mm, MNI"),
    "mni_y_mm": Label("Back to front", "mm, MNI"),
    "mni_z_mm": Label("Bottom to top", "mm, MNI"),
    "depth_rank": Label("Depth rank of its middle", "1 = bottom of a sulcus"),
}
CLASSIFIER_WORDS: Mapping[str, str] = {
    "trees": "extremely randomised trees",
    "logistic": "logistic regression on features and squares",
}


def verdict(comparison: Comparison) -> str:
    """The outcome in plain words."""
    test, beside = comparison.headline, comparison.matched.statistics["auroc_trees"]
    n_drawn, n_real = len(comparison.drawn), len(comparison.real)
    first = (
        f"A classifier tells drawn from real masks with AUROC {interval(beside.drawn)} "
        f"(real against real {interval(beside.real)}, n = {comparison.matched.n} each, "
        f"{comparison.matched.repeats} splits)."
    )
    second = f" On all {n_drawn} drawn and {n_real} real masks: {test.auroc:.2f}"
    if test.p is None or test.chance is None:
        return first + second + "."
    low, high = test.chance
    second += f" (chance alone: {low:.2f} to {high:.2f}; p = {p_words(test.p)})."
    if told_apart(comparison):
        return first + second + " So drawn masks can be told from real ones."
    return first + second + (
        " So no difference was found; at these numbers one would have to exceed AUROC "
        f"{high:.2f} to stand out."
    )  # fmt: skip


def told_apart(comparison: Comparison) -> bool:
    """Whether the headline classifier did better than shuffled labels allow."""
    return comparison.headline.p is not None and comparison.headline.p <= ALPHA


def convincing(comparison: Comparison) -> bool:
    """Whether a difference would have been seen had there been more than a slight one."""
    chance = comparison.headline.chance
    return not told_apart(comparison) and chance is not None and chance[1] <= SLIGHT


def interval(spread: Spread) -> str:
    """Mean with the 95 % range over the repeats."""
    return f"{spread.mean:.2f} [{spread.low:.2f} to {spread.high:.2f}]"


def p_words(p: float | None) -> str:
    """A p value; ``-`` where there is none."""
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def outside_words(comparison: Comparison) -> str:
    """How much of the given masks is left out, and what it would give away."""
    shares = [np.array([e.outside for e in side if e.number == 0])
              for side in (comparison.drawn, comparison.real)]  # fmt: skip
    text = [
        f"{100 * np.median(s):.1f} % (n = {len(s)}, highest {100 * s.max():.0f} %)" for s in shares
    ]
    beside = comparison.matched.statistics["auroc_with_outside"]
    return (
        f"Share of the given mask outside cortex and white matter, median: drawn {text[0]}, real "
        f"{text[1]}. An annotator's outline crosses the fluid of a sulcus; a drawn mask never "
        "does, by design, so this share is left out of all that is above, on both sides. A "
        f"classifier that is given it as well reaches AUROC {interval(beside.drawn)} (real "
        f"against real {interval(beside.real)}), {comparison.with_outside:.2f} on all masks."
    )


def copy_words(comparison: Comparison) -> str:
    """What the search for copies found."""
    copies = comparison.copies
    if copies is None:
        return "No search for copies: too few masks of 0.3 ml or more."
    best = max(copies.drawn, key=lambda m: m.shape_dice)
    return (
        f"Each mask was laid, centred and axis along axis, mirrored or not, on every real one. The "
        f"best fit of a drawn mask with a real one is Dice {best.shape_dice:.2f}; of a real one "
        f"with another patient's {copies.shape_limit:.2f}. In MNI space a real mask overlaps "
        f"another patient's by at most {copies.place_limit:.2f}. Drawn masks above either: "
        f"{len(copies.flagged)} of {len(copies.drawn)}; were they real, about "
        f"{copies.expected:.1f} would be above each. Masks below 0.3 ml are too small to tell "
        f"({copies.left_out} left out)."
    )


def status_words(name: str, seen: Sequence[str], compared: Sequence[str]) -> tuple[str, bool]:
    """What the drawn masks' prior saw of the patients compared with, and whether it is alarming.

    Args:
        name: What the real masks are called.
        seen: Patients that the prior was fitted on or that gave a shape.
        compared: Patients compared with.
    """
    both = len(set(seen) & set(compared))
    if both:
        return (
            f"The masks were drawn from a prior that saw {both} of these {len(compared)} {name} "
            "patients. Likeness to them is partly by construction: it shows that the prior was "
            "learnt, not that it holds for new patients.", True,
        )  # fmt: skip
    if not seen:
        return "The masks were drawn from the published prior, which saw no patient.", False
    return (f"The prior saw {len(seen)} patients, none of the {len(compared)} {name} ones.", False)
