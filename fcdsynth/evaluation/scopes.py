"""The figures of a whole evaluation: all subjects, then by site, scanner, lesion size and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.metrics import Figure, Sums, headline, precision, probabilities, whole
from fcdsynth.evaluation.rules import Rule

_BY: tuple[tuple[str, Callable[[SubjectRecord], str]], ...] = (
    ("site", lambda s: s.site or "unknown"),
    ("scanner", lambda s: s.scanner or "unknown"),
    ("flair", lambda s: "yes" if s.flair else "no"),
    ("subtype", lambda s: s.subtype),
    ("mri_negative", lambda s: s.mri_negative),
    ("lobe", lambda s: s.lobe),
)
_TERTILES = ("small", "middle", "large")


def all_figures(subjects: Sequence[SubjectRecord], draws: int, seed: int) -> tuple[Figure, ...]:
    """Compute every figure from the records.

    Args:
        subjects: Records of the evaluated subjects.
        draws: Bootstrap samples.
        seed: Seed of the bootstrap.
    """
    everyone = Sums(subjects, "all", draws, seed)
    figures = [figure for rule in Rule for figure in headline(everyone, rule)]
    figures += [figure for rule in Rule for figure in precision(everyone, rule)]
    figures += probabilities(everyone) + whole(everyone)
    for name, key in _BY:
        # A blank is "not said" for what belongs to patients only, so it makes no scope.
        values = sorted({key(s) for s in subjects} - {""})
        for value in values if len(values) > 1 or name == "site" else ():
            members = [s for s in subjects if key(s) == value]
            part = Sums(members, f"{name}={value}", draws, seed)
            figures += [figure for rule in Rule for figure in headline(part, rule)]
            figures += probabilities(part)[:3]
    return (*figures, *_by_size(subjects, draws, seed))


def _by_size(subjects: Sequence[SubjectRecord], draws: int, seed: int) -> list[Figure]:
    volumes = [lesion.volume_ml for s in subjects for lesion in s.lesions]
    if len(volumes) < len(_TERTILES):
        return []
    low, high = np.quantile(volumes, [1 / 3, 2 / 3])
    edges = ((0.0, low), (low, high), (high, np.inf))
    words = (f"up to {low:.2f} ml", f"up to {high:.2f} ml", f"above {high:.2f} ml")
    figures = []
    for name, (above, limit), range_ml in zip(_TERTILES, edges, words, strict=True):
        parts = []
        for s in subjects:
            kept = tuple(le for le in s.lesions if above < le.volume_ml <= limit)
            if kept:
                parts.append(replace(s, lesions=kept))
        part = Sums(parts, f"size={name} ({range_ml})", draws, seed)
        recall = [f for rule in Rule for f in headline(part, rule) if f.name == "lesion_recall"]
        figures += recall + probabilities(part)[:3]
    return figures
