"""What a locked plan may fix: the runs as they were cut, and one primary endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fcdsynth.core.errors import SettingsError

# Figures that a comparison tests on the same subjects, and those that a single run can answer.
_BOTH = (
    "subject_sensitivity", "specificity", "false_positives_per_patient",
    "false_positives_per_control", "auroc", "lesion_recall_at_0.5_fp_per_control",
    "lesion_recall_at_1_fp_per_control",
)  # fmt: skip
PAIRED = (
    *_BOTH, "whole_mask_probability_max", "whole_mask_probability_mean",
    "whole_mask_probability_p95", "lesion_recall_at_common_fp_per_control",
)  # fmt: skip
ENDPOINTS = (
    *_BOTH, "false_positives_per_subject", "lesion_recall", "ppv", "cluster_f1", "dice_whole_mask",
    "site_probability_max", "site_probability_mean", "site_probability_p95",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run as the plan fixes it.

    Args:
        name: Name of the run.
        maps: What its maps hold: ``probability``, ``binary`` or ``labels``.
        threshold: Where maps are cut; None where that is not known.
        min_volume_ml: Volume of the smallest cluster, ml; None as above.
        temperature: Divides the logits; None as above.
        pattern: Which of another tool's files are its maps; None for detect.
        n_chosen_on: Number of validation subjects behind these.
        chosen_on_sha256: Hash of their sorted ids.
    """

    name: str
    maps: str
    threshold: float | str | None
    min_volume_ml: float | str | None
    temperature: float | str | None
    pattern: str | None
    n_chosen_on: int
    chosen_on_sha256: str

    @classmethod
    def of(cls, name: str, maps: str, operating_point: Mapping[str, Any]) -> PlannedRun:
        """Take what a plan needs from an operating point as a plain dictionary."""
        chosen = sorted(operating_point.get("chosen_on", ()))
        threshold, volume, temperature, pattern = (
            operating_point.get(key)
            for key in ("threshold", "min_volume_ml", "temperature", "pattern")
        )
        return cls(
            name, maps, threshold, volume, temperature, pattern, len(chosen), sha256_of(chosen)
        )  # fmt: skip


def check_endpoint(endpoint: str, compared: Sequence[str], runs: Sequence[PlannedRun]) -> None:
    """Raise unless a plan names one primary endpoint that its runs can give.

    Args:
        endpoint: Name of the figure.
        compared: The two runs, or arms of several seeds, that it compares; empty for none.
        runs: The runs.

    Raises:
        SettingsError: If there is no such figure or run.
    """
    allowed = PAIRED if compared else ENDPOINTS
    if endpoint not in allowed:
        raise SettingsError(
            "endpoint", repr(endpoint), ", ".join(allowed),
            "Choose the one figure that the conclusion rests on.",
        )  # fmt: skip
    names = {run.name for run in runs}
    wrong = [name for name in compared if not any(_is_of(run, name) for run in names)]
    if wrong or len(compared) not in (0, 2) or len(set(compared)) != len(compared):
        raise SettingsError(
            "compare", " ".join(compared), f"two of the runs or arms {', '.join(sorted(names))}",
            "Name two of them.",
        )  # fmt: skip


def _is_of(run: str, name: str) -> bool:
    return run == name or run.startswith(f"{name}/")


def sha256_of(content: Any) -> str:
    """Hash of plain content, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
