"""How well readers told real from synthetic, and how well they agreed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.synthesis.kit.choice import SYNTHETIC
from fcdsynth.synthesis.kit.sheets import Read, Sheet

BOTH = "both"
_BOOTSTRAPS = 4000


@dataclass(frozen=True)
class Share:
    """A share of reads with its 95 % Wilson interval."""

    hits: int
    n: int
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, n: int) -> Share | None:
        """The share; None where there is nothing to share."""
        if n == 0:
            return None
        low, high = proportion_confint(hits, n, alpha=0.05, method="wilson")
        return cls(hits, n, hits / n, float(low), float(high))


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa, between -1 and 1, 0 by chance, with its 95 % interval (asymptotic).

    The interval is None where one side gave one answer only: kappa is 0 then, whatever the other.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Reading:
    """One reader in one contrast, or in both together.

    Args:
        reader: Who.
        contrast: ``t1w``, ``flair`` or ``both``.
        accuracy: Share of right answers.
        p: Two-sided binomial p against one half.
        sensitivity: Share of synthetic images called synthetic.
        specificity: Share of real images called real.
        kappa: Against the truth; None where the answers or the truth are all the same.
        confidence_right: Mean confidence of right answers, None where not given.
        confidence_wrong: Of wrong answers.
    """

    reader: str
    contrast: str
    accuracy: Share
    p: float
    sensitivity: Share | None
    specificity: Share | None
    kappa: Kappa | None
    confidence_right: float | None
    confidence_wrong: float | None


@dataclass(frozen=True)
class Agreement:
    """Kappa of two readers on the same images."""

    first: str
    second: str
    contrast: str
    n: int
    same: int
    kappa: Kappa | None


@dataclass(frozen=True)
class Pooled:
    """All readers in one contrast.

    Args:
        contrast: Which.
        readers: Their number.
        images: Images each has read.
        accuracy: Mean over readers.
        low: 2.5 % quantile over bootstrap samples of images, real and synthetic apart. Several
            answers to one image are not independent, so images are drawn, not answers.
        high: 97.5 % quantile.
    """

    contrast: str
    readers: int
    images: int
    accuracy: float
    low: float
    high: float


def kappa(first: Sequence[bool], second: Sequence[bool]) -> Kappa | None:
    """Cohen's kappa (1960) of two sequences; None where both are one and the same value."""
    a, b = np.asarray(first, dtype=int), np.asarray(second, dtype=int)
    table = np.array([[int(((a == i) & (b == j)).sum()) for j in (0, 1)] for i in (0, 1)])
    if len(np.unique(np.concatenate([a, b]))) < 2:
        return None
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return Kappa(0.0, None, None)
    result = cohens_kappa(table)
    # The asymptotic interval may reach beyond what kappa can be.
    low, high = (float(np.clip(v, -1, 1)) for v in (result.kappa_low, result.kappa_upp))
    return Kappa(float(result.kappa), low, high)


def reading(reader: str, contrast: str, reads: Sequence[Read]) -> Reading:
    """Score one reader's answers.

    Args:
        reader: Who.
        contrast: What the answers are called.
        reads: At least one.
    """
    right = sum(r.correct for r in reads)
    made = [r for r in reads if r.item.kind == SYNTHETIC]
    real = [r for r in reads if r.item.kind != SYNTHETIC]
    accuracy = Share.of(right, len(reads))
    assert accuracy is not None
    return Reading(
        reader, contrast, accuracy, float(stats.binomtest(right, len(reads), 0.5).pvalue),
        Share.of(sum(r.correct for r in made), len(made)),
        Share.of(sum(r.correct for r in real), len(real)),
        kappa([r.synthetic for r in reads], [r.item.kind == SYNTHETIC for r in reads]),
        _confidence(reads, True), _confidence(reads, False),
    )  # fmt: skip


def _confidence(reads: Sequence[Read], correct: bool) -> float | None:
    levels = [r.confidence for r in reads if r.correct is correct and r.confidence is not None]
    return float(np.mean(levels)) if levels else None


def of_contrast(sheet: Sheet, contrast: str) -> tuple[Read, ...]:
    """The answers of one contrast, or all of them for ``both``."""
    return tuple(r for r in sheet.reads if contrast in (BOTH, r.item.contrast))


def agreements(sheets: Sequence[Sheet], contrast: str) -> list[Agreement]:
    """Kappa of every two readers."""
    found = []
    for a, b in combinations(sheets, 2):
        first, second = ([r.synthetic for r in of_contrast(s, contrast)] for s in (a, b))
        same = sum(x == y for x, y in zip(first, second, strict=True))
        found.append(Agreement(a.reader, b.reader, contrast, len(first), same,
                               kappa(first, second)))  # fmt: skip
    return found


def pooled(sheets: Sequence[Sheet], contrast: str, seed: int) -> Pooled:
    """Mean accuracy of all readers with an interval over images."""
    right = np.array([[r.correct for r in of_contrast(s, contrast)] for s in sheets], dtype=float)
    truth = np.array([r.item.kind == SYNTHETIC for r in of_contrast(sheets[0], contrast)])
    image = right.mean(axis=0)
    rng = np.random.default_rng(seed)
    totals = np.zeros(_BOOTSTRAPS)
    for kind in (image[truth], image[~truth]):
        if len(kind):
            totals += kind[rng.integers(len(kind), size=(_BOOTSTRAPS, len(kind)))].sum(axis=1)
    low, high = (float(q) for q in np.quantile(totals / len(image), [0.025, 0.975]))
    return Pooled(contrast, len(sheets), len(image), float(image.mean()), low, high)
