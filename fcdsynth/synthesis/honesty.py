"""What a redrawn region must show: the ranges of real lesions and of healthy places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis.change import Trimmed
from fcdsynth.synthesis.contrasts import Contrasts
from fcdsynth.synthesis.ranges import Agreement, Range

CHANGED, BEYOND, AGREEMENT = "changed", "beyond", "agreement"


@dataclass(frozen=True)
class Checks:
    """Tests of each redrawn pair, and what follows from them.

    Args:
        refuse: Whether a pair that fails is drawn again and in the end left out. False keeps
            every first draw with its whole mask, and only writes down what the tests say.
        tries: Draws of a subject before it is left out.
        tail: Share of real lesions (or healthy places) that may lie below, and above, the range.
        agreement: Share of real lesions whose T1w and FLAIR contrasts must count as agreeing.
        least_change: A voxel has changed when the lesion label moved it by this many standard
            deviations of the host's voxel noise, both contrasts taken together.
        least_share: Least share of the drawn mask that must have changed.
        beyond: Most changed voxels off the mask, as a multiple of the mask's size.

    Raises:
        SettingsError: If a value is out of range.
    """

    refuse: bool = True
    tries: int = 5
    tail: float = 0.025
    agreement: float = 0.99
    least_change: float = 0.5
    least_share: float = 0.5
    beyond: float = 1.0

    def __post_init__(self) -> None:
        faults = (
            ("tries", self.tries, self.tries >= 1, "at least 1"),
            ("tail", self.tail, 0 < self.tail < 0.5, "more than 0 and less than 0.5"),
            ("agreement", self.agreement, 0.5 <= self.agreement < 1, "a share in [0.5, 1)"),
            ("least_change", self.least_change, self.least_change > 0, "more than 0"),
            ("least_share", self.least_share, 0 < self.least_share <= 1, "a share in (0, 1]"),
            ("beyond", self.beyond, self.beyond >= 0, "0 or more"),
        )
        for key, value, right, expected in faults:
            if not right:
                raise SettingsError(f"checks.{key}", str(value), expected, "Change the setting.")


@dataclass(frozen=True)
class Fault:
    """One test that a pair failed.

    Args:
        test: Its name.
        found: What was found.
        expected: What is asked for.
    """

    test: str
    found: str
    expected: str


@dataclass(frozen=True, eq=False)
class Judge:
    """The tests of one run, fitted on the generator's training subjects.

    Args:
        names: Names of the contrasts.
        checks: Thresholds.
        lesions: Range of each contrast in real lesions; None where it is not known.
        healthy: The same in untouched healthy places.
        agreement: Joint law of the lesions' contrasts; None where it is not known.
    """

    names: tuple[str, ...]
    checks: Checks
    lesions: tuple[Range | None, ...]
    healthy: tuple[Range | None, ...]
    agreement: Agreement | None

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        checks: Checks,
        lesions: Sequence[Contrasts],
        healthy: Sequence[Contrasts],
    ) -> Judge:
        """Fit ranges and the joint law to measured contrasts, one row per lesion or place."""

        def ranges(rows: Sequence[Contrasts]) -> tuple[Range | None, ...]:
            return tuple(
                Range.of([row[place] for row in rows], checks.tail) for place in range(len(names))
            )

        return cls(
            names, checks, ranges(lesions), ranges(healthy),
            Agreement.of(lesions, checks.agreement),
        )  # fmt: skip

    def changed(self, trimmed: Trimmed) -> list[Fault]:
        """Whether the lesion label changed the tissue that the mask names, and little else."""
        checks, faults = self.checks, []
        if trimmed.least_share < checks.least_share:
            faults.append(Fault(CHANGED, f"{trimmed.least_share:.2f} of the mask changed",
                                f"at least {checks.least_share:.2f}"))  # fmt: skip
        if trimmed.beyond > checks.beyond:
            faults.append(Fault(BEYOND, f"{trimmed.beyond:.2f} times the mask changed beside it",
                                f"at most {checks.beyond:.2f}"))  # fmt: skip
        return faults

    def lesion(self, shown: Contrasts) -> list[Fault]:
        """Whether a lesion's contrasts are those of real lesions, each and together."""
        faults = self._outside("contrast", shown, self.lesions)
        if self.agreement is not None and np.isfinite(shown).all():
            found = self.agreement.distance(shown)
            if found > self.agreement.limit:
                faults.append(Fault(AGREEMENT, f"squared distance {found:.1f} from real lesions",
                                    f"at most {self.agreement.limit:.1f}"))  # fmt: skip
        return faults

    def control(self, shown: Contrasts) -> list[Fault]:
        """Whether a healthy region that was redrawn shows no more than untouched ones."""
        return self._outside("healthy", shown, self.healthy)

    def _outside(self, test: str, shown: Contrasts, ranges: Sequence[Range | None]) -> list[Fault]:
        faults = []
        for name, value, known in zip(self.names, shown, ranges, strict=True):
            if known is not None and not np.isnan(value) and not known.low <= value <= known.high:
                faults.append(Fault(f"{test}_{name}", f"{value:+.4f} against the ring",
                                    f"{known.low:+.4f} to {known.high:+.4f}"))  # fmt: skip
        return faults
