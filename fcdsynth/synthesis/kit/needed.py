"""How many reads it takes to bound the accuracy of readers."""

from __future__ import annotations

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.core.errors import SettingsError

_MOST = 20000
_STEADY = 60  # the power of a test on counts goes up in a sawtooth


def power_of(n: int, bound: float, truth: float) -> float:
    """Chance that the upper end of the 95 % Wilson interval falls below a bound.

    Args:
        n: Independent reads.
        bound: Accuracy to be excluded.
        truth: True accuracy, below the bound.
    """
    hits = np.arange(n + 1)
    high = proportion_confint(hits, n, alpha=0.05, method="wilson")[1]
    most = int(np.count_nonzero(np.asarray(high) < bound)) - 1
    return float(stats.binom.cdf(most, n, truth)) if most >= 0 else 0.0


def reads_needed(bound: float = 0.6, truth: float = 0.5, power: float = 0.8) -> int:
    """Fewest reads from which the power stays at least as wanted.

    Args:
        bound: Accuracy to be excluded.
        truth: True accuracy, below the bound.
        power: Wanted chance to exclude it.

    Raises:
        SettingsError: If ``truth`` is not below ``bound``, the power no share, or more than
            20,000 reads were needed.
    """
    if not 0 < truth < bound < 1 or not 0 < power < 1:
        raise SettingsError(
            "bound", f"bound {bound}, true accuracy {truth}, power {power}",
            "0 < true accuracy < bound < 1 and a power between 0 and 1", "Change the settings.",
        )  # fmt: skip
    gap = (stats.norm.ppf(0.975) * np.sqrt(bound * (1 - bound))
           + max(stats.norm.ppf(power), 0) * np.sqrt(truth * (1 - truth)))  # fmt: skip
    about = (gap / (bound - truth)) ** 2
    if about > _MOST:
        raise SettingsError("bound", f"about {about:.0f} reads needed", f"at most {_MOST}",
                            "Choose a wider bound.")  # fmt: skip
    n = max(int(0.7 * about), 2)
    run = 0
    while run < _STEADY:
        run = run + 1 if power_of(n, bound, truth) >= power else 0
        n += 1
    return n - _STEADY
