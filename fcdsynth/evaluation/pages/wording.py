"""Numbers and names as a reader of the report sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.pages.blocks import Cell
from fcdsynth.evaluation.rules import Rule
from fcdsynth.measure.lobes import LOBE_WORDS

# Name of each figure in tables, and whether it is a share.
NAMES: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "subject_sensitivity": ("Patients found (sensitivity)", True),
        "specificity": ("Controls without a cluster (specificity)", True),
        "false_positives_per_patient": ("False positives per patient", False),
        "false_positives_per_control": ("False positives per control", False),
        "lesion_recall": ("Lesions found (recall)", True),
        "ppv": ("Clusters that hit a lesion (PPV)", True),
        "ppv_patients_only": ("The same, clusters of patients only", True),
        "cluster_f1": ("Cluster F1", False),
        "extra_clusters_per_patient": ("Extra clusters on found lesions, per patient", False),
        "dice_found_lesions": ("Dice of found lesions", False),
        "assd_found_lesions_mm": ("Surface distance of found lesions, mm", False),
        "hd95_found_lesions_mm": ("95th percentile of it, mm", False),
        "dice_whole_mask": ("Dice of the whole mask", False),
        "auroc": ("AUROC of the highest score", False),
        "site_probability_max": ("Lesion-site probability, maximum", False),
        "site_probability_mean": ("Lesion-site probability, mean", False),
        "site_probability_p95": ("Lesion-site probability, 95th percentile", False),
        "lesion_recall_at_common_fp_per_control": (
            "Lesions found at the highest rate of false positives per control that all reach",
            True,
        ),
        "whole_mask_probability_max": ("Probability in the whole mask, maximum", False),
        "whole_mask_probability_mean": ("Probability in the whole mask, mean", False),
        "whole_mask_probability_p95": ("Probability in the whole mask, 95th percentile", False),
        "mirror_probability_max": ("Mirrored site, maximum", False),
        "mirror_probability_mean": ("Mirrored site, mean", False),
        "mirror_probability_p95": ("Mirrored site, 95th percentile", False),
        "random_probability_max": ("Random sites, maximum", False),
        "random_probability_mean": ("Random sites, mean", False),
        "random_probability_p95": ("Random sites, 95th percentile", False),
        "false_positives_per_subject": ("False positives per subject", False),
    }
)
RULES: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.OVERLAP: "overlap: any shared voxel",
        Rule.IOU: "IoU of at least 0.1",
        Rule.CENTRE: "centres within 10 mm",
        Rule.NEAR: "any voxel within 20 mm",
    }
)
REFERENCES: Mapping[str, str] = MappingProxyType(
    {"truth": "exact masks (truth)", "lesion_t1w": "annotators' masks on the native T1w"}
)


def label(name: str) -> str:
    """A figure's name in words."""
    if name in NAMES:
        return NAMES[name][0]
    rate = name.removeprefix("lesion_recall_at_").removesuffix("_fp_per_control")
    if rate != name:
        return f"Lesions found at {rate} false positives per control"
    return name.replace("_", " ")


def is_share(name: str) -> bool:
    """Whether a figure is read as a percentage."""
    return NAMES.get(name, ("", name.startswith("lesion_recall_at_")))[1]


def number(value: float | None, share: bool, signed: bool = False) -> str:
    """One number: percent (differences: points) with one decimal for a share, else two decimals."""
    if value is None:
        return "none"
    plus = "+" if signed else ""
    unit = "points" if signed else "%"
    return f"{100 * value:{plus}.1f} {unit}" if share else f"{value:{plus}.2f}"


def interval(low: float | None, high: float | None, share: bool, signed: bool = False) -> str:
    """An interval in square brackets, or a word where there is none."""
    if low is None or high is None:
        return "no interval"
    ends = (number(end, share, signed).partition(" ")[0] for end in (low, high))
    return f"[{', '.join(ends)}]"


def counted(figure: Figure) -> str:
    """Count and n: "16 of 24 patients", or "n = 24 patients"."""
    if figure.count is not None and is_share(figure.name):
        return f"{figure.count} of {figure.n} {figure.unit}"
    if figure.count is not None:
        return f"{figure.count} in {figure.n} {figure.unit}"
    return f"n = {figure.n} {figure.unit}"


def chance(figure: Figure) -> str:
    """Chance level in words, empty where there is none."""
    return "" if figure.chance is None else f"chance {number(figure.chance, is_share(figure.name))}"


def cell(figure: Figure | None) -> Cell:
    """A figure in one cell: value and interval, then count, method and chance level."""
    if figure is None:
        return Cell("not computed")
    if figure.value is None:
        return Cell("none", figure.reason)
    share = is_share(figure.name)
    words = [counted(figure), chance(figure)]
    return Cell(
        f"{number(figure.value, share)} {interval(figure.low, figure.high, share)}",
        "; ".join(word for word in words if word), number=True,
    )  # fmt: skip


def narrow_cell(figure: Figure | None) -> Cell:
    """A figure in a cell of a wide table: the value, and everything else in small letters."""
    if figure is None or figure.value is None:
        return cell(figure)
    share = is_share(figure.name)
    between = " of " if share else " in "
    of = f"n = {figure.n}" if figure.count is None else f"{figure.count}{between}{figure.n}"
    words = [interval(figure.low, figure.high, share), of, chance(figure)]
    return Cell(number(figure.value, share), "; ".join(word for word in words if word))


def where(lobe: str, side: str) -> str:
    """Lobe and side in words; empty where neither is known."""
    sides = {"L": "left", "R": "right"}
    return " ".join(word for word in (LOBE_WORDS.get(lobe, lobe), sides.get(side, side)) if word)


def p_value(p: float | None) -> str:
    """A p value with three digits, never 0."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def names_of(ids: Sequence[str], most: int = 12) -> str:
    """Ids in a row, cut short where they are many."""
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more


def plural(n: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 patient", "2 patients"."""
    return f"{n} {one if n == 1 else many or one + 's'}"
