"""The figures of a whole evaluation: all subjects, then by site, scanner, lesion size and more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from fcdsynth.evaluation.cases import LesionRecord, SubjectRecord
from fcdsynth.evaluation.fixed_rate import recall_at_rates
from fcdsynth.evaluation.metrics import Figure, Sums, headline, precision, probabilities, whole
from fcdsynth.evaluation.rules import Rule

_SITE = ("site", "scanner")
_BY: tuple[tuple[str, Callable[[SubjectRecord], str]], ...] = (
    ("site", lambda s: s.site or "unknown"),
    ("scanner", lambda s: s.scanner or "unknown"),
    ("seen_site", lambda s: s.seen_site),
    ("flair", lambda s: s.flair),
    ("subtype", lambda s: s.subtype),
    ("mri_negative", lambda s: s.mri_negative),
)
_TERTILES = ("small", "middle", "large")


def all_figures(subjects: Sequence[SubjectRecord], draws: int, seed: int) -> tuple[Figure, ...]:
    """Compute every figure from the records.

    Scopes are ``all``; ``site=``, ``scanner=``, ``seen_site=``, ``flair=``, ``subtype=`` and
    ``mri_negative=`` for subjects; ``size=``, ``lobe=`` and ``side=`` for lesions; and
    ``without site=`` and ``without scanner=``, everyone but one place, which shows what a single
    place contributes. A blank is "not said" and makes no scope, but a
    site or scanner that is not said is ``unknown``.

    Args:
        subjects: Records of the evaluated subjects.
        draws: Bootstrap samples.
        seed: Seed of the bootstrap.
    """
    everyone = Sums(subjects, "all", draws, seed)
    figures = [figure for rule in Rule for figure in headline(everyone, rule)]
    figures += [figure for rule in Rule for figure in precision(everyone, rule)]
    figures += [figure for rule in Rule for figure in recall_at_rates(everyone, rule)]
    figures += probabilities(everyone) + whole(everyone)
    for name, key in _BY:
        values = sorted({key(s) for s in subjects} - {""})
        for value in values if len(values) > 1 or name == "site" else ():
            members = [s for s in subjects if key(s) == value]
            figures += _short(Sums(members, f"{name}={value}", draws, seed))
        for value in values if len(values) > 1 and name in _SITE else ():
            others = [s for s in subjects if key(s) != value]
            figures += _short(Sums(others, f"without {name}={value}", draws, seed))
    for scope, parts in _lesion_scopes(subjects):
        part = Sums(parts, scope, draws, seed)
        recall = [f for rule in Rule for f in headline(part, rule) if f.name == "lesion_recall"]
        figures += recall + probabilities(part)[:3]
    return tuple(figures)


def _short(part: Sums) -> list[Figure]:
    figures = [figure for rule in Rule for figure in headline(part, rule)]
    return figures + probabilities(part)[:3]


def _lesion_scopes(
    subjects: Sequence[SubjectRecord],
) -> Iterator[tuple[str, list[SubjectRecord]]]:
    """Names of the scopes of lesions, and patients with only the lesions inside."""
    for name in ("lobe", "side"):
        values = sorted({getattr(le, name) for s in subjects for le in s.lesions} - {""})
        for value in values if len(values) > 1 else ():
            yield f"{name}={value}", _with_lesions(subjects, partial(_is, name, value))
    volumes = [lesion.volume_ml for s in subjects for lesion in s.lesions]
    if len(volumes) < len(_TERTILES):
        return
    low, high = np.quantile(volumes, [1 / 3, 2 / 3])
    if not min(volumes) <= low < high < max(volumes):
        return
    edges = ((0.0, low), (low, high), (high, np.inf))
    words = (f"up to {low:.2f} ml", f"up to {high:.2f} ml", f"above {high:.2f} ml")
    for name, (above, limit), range_ml in zip(_TERTILES, edges, words, strict=True):
        parts = _with_lesions(subjects, partial(_is_between, float(above), float(limit)))
        yield f"size={name} ({range_ml})", parts


def _is(name: str, value: str, lesion: LesionRecord) -> bool:
    return bool(getattr(lesion, name) == value)


def _is_between(above: float, limit: float, lesion: LesionRecord) -> bool:
    return above < lesion.volume_ml <= limit


def _with_lesions(
    subjects: Sequence[SubjectRecord], keep: Callable[[LesionRecord], bool]
) -> list[SubjectRecord]:
    parts = []
    for s in subjects:
        kept = tuple(le for le in s.lesions if keep(le))
        if kept:
            parts.append(replace(s, lesions=kept))
    return parts
