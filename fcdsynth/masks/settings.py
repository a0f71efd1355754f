"""Settings of draw that are out of range or contradict each other, told before anything is read."""

from __future__ import annotations

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.growths import TRIALS


def check_trials(growth_trials: int) -> None:
    """Refuse a number of growths per lesion that teaches nothing.

    Raises:
        SettingsError: If it is negative or 1.
    """
    if growth_trials < 0 or growth_trials == 1:
        raise SettingsError("growth_trials", str(growth_trials), "0 for none, or at least 2",
                            "Change the setting.")  # fmt: skip


def trials_of(
    prior: str | None, fwhm_mm: float | None, lobe_weight: float | None, growth_trials: int | None
) -> int:
    """Growths tried at each training lesion: as asked, 160 by default, none with a prior given.

    Args:
        prior: The prior that is given, None where one is fitted.
        fwhm_mm: As in `fcdsynth.masks.draw.draw`; a setting of the fit, like the next two.
        lobe_weight: The same.
        growth_trials: The same.

    Raises:
        SettingsError: If it is out of range, or a setting of the fit is given with a prior.
    """
    if prior is None:
        trials = TRIALS if growth_trials is None else growth_trials
        check_trials(trials)
        return trials
    fit = {"fwhm_mm": fwhm_mm, "lobe_weight": lobe_weight, "growth_trials": growth_trials}
    for name, value in fit.items():
        if value is not None:
            raise SettingsError(
                name, f"{value} beside the prior {prior}, which is not fitted here",
                "settings of the fit only where a prior is fitted",
                f"Leave out --{name}, or leave out --prior and have one fitted.",
            )  # fmt: skip
    return 0


def check_aims(per_subject: int | None, method: str, target: str | None) -> None:
    """Refuse what no subject can be drawn by.

    Args:
        per_subject: Lesions of each subject, None for as many as the prior says.
        method: How masks are made.
        target: The file of targets, None for none.

    Raises:
        SettingsError: If there are fewer than 1, or targets are given to ellipsoids.
    """
    if per_subject is not None and per_subject < 1:
        raise SettingsError("per_subject", str(per_subject), "at least 1, or null",
                            "Change the setting.")  # fmt: skip
    if method == "ellipsoid" and target is not None:
        raise SettingsError(
            "target", f"{target} with method ellipsoid, which starts anywhere in the brain",
            "a method that places lesions", "Use growth or transplant, or leave out --target.",
        )  # fmt: skip
