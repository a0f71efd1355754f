"""A page that shows a fitted prior against the masks it was fitted on."""

from __future__ import annotations

from collections.abc import Sequence

from fcdsynth.masks.laws.measured import Measured
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.prior_pictures import law_figure, site_figure, white_png
from fcdsynth.measure.lobes import LOBES
from fcdsynth.review.page import render
from fcdsynth.review.pictures import data_address


def prior_page(prior: LesionPrior, patients: Sequence[Measured]) -> str:
    """Make the page.

    Args:
        prior: The prior.
        patients: The training patients it was fitted on.
    """
    site = site_figure(prior, patients)
    lesions = sum(len(p.lesions) for p in patients)
    cohort = prior.report.cohort if prior.report else ""
    return render(
        "fcdsynth.masks", "prior.html.j2",
        title=f"Lesion prior of {cohort}" if cohort else "Lesion prior",
        lead=f"Fitted on {lesions} lesion{'s' * (lesions != 1)} of {len(patients)} training "
             f"patient{'s' * (len(patients) != 1)}. Digest {prior.digest}.",
        laws=data_address(white_png(law_figure(prior, patients))),
        site=None if site is None else data_address(white_png(site)),
        rows=_rows(prior),
    )  # fmt: skip


def _rows(prior: LesionPrior) -> list[tuple[str, str, str]]:
    """Name, value and origin of each law."""
    size, site, report = prior.size, prior.site, prior.report
    few = f" (shrunk to the published law: {size.n} of 20 lesions)" if 0 < size.n < 20 else ""
    low, high = size.bounds_ml
    rows = [
        ("Volume", f"log-normal, median {size.median_ml:.2f} ml, SD of ln {size.sigma_ln:.2f}, "
         f"drawn from {low:.2f} to {high:.1f} ml", f"{size.n} lesions{few}"),
    ]  # fmt: skip
    if size.goodness is not None:
        g = size.goodness
        rows.append(("Is it log-normal?", f"Kolmogorov-Smirnov {g.ks:.3f} (p = {g.ks_p:.3f}), "
                     f"Anderson-Darling {g.ad:.3f} (p = {g.ad_p:.3f})",
                     "p simulated, parameters fitted anew each time"))  # fmt: skip
    one, two, more = prior.number.shares
    rows.append(("Lesions per patient", f"one {one:.0%}, two {two:.0%}, three or more {more:.0%}",
                 f"{prior.number.n} patients"))  # fmt: skip
    total = sum(site.lobes)
    lobes = ", ".join(f"{n} {w / total:.0%}" for n, w in zip(LOBES, site.lobes, strict=True))
    rows.append(("Lobes", lobes, "20 patients' worth of Bonn's counts, and the lesions"))
    if site.density is None:
        rows.append(("Site", "lobes alone", "too few lesions, or no better by likelihood"))
    else:
        rows.append(("Site", f"kernel of {site.fwhm_mm:g} mm (full width at half maximum), lobes "
                     f"{site.lobe_weight:.0%}, {site.mirror:.0%} shared with the other side",
                     _chosen(prior)))  # fmt: skip
    rows.append(("Sulcal depth", f"slope {prior.depth.b0:.2f} at 1 ml, {prior.depth.b1:+.2f} for "
                 "each unit of ln volume", "around the published slopes"))  # fmt: skip
    preferences = f"{prior.depth.fundus:+.2f}, {prior.depth.medial:+.2f}"
    rows.append(("Bottom of the sulcus, medial wall", preferences,
                 "0 where nothing speaks for more or fewer"))  # fmt: skip
    rows.append(("Transmantle tracks", f"{prior.track_share:.0%} of IIb",
                 "as outlined; the published share below 20 lesions of IIb"))  # fmt: skip
    if prior.shapes is not None:
        refused = f"{prior.shapes.refused:.1%}"
        rows.append(("Shape", f"eight descriptors; {refused} of the training lesions would be "
                     "refused by the law of the others", f"{prior.shapes.n} lesions"))  # fmt: skip
    rows.append(("Growth", f"{len(prior.growths.examples)} settings to draw from",
                 "the nearest at each lesion, weighted so that all together make such shapes"
                 if prior.growths.examples else "default settings"))  # fmt: skip
    floor = "none: too few lesions" if prior.site_floor is None else f"{prior.site_floor:.2f}"
    rows.append(("Floors of the tests", f"share of cortex {prior.ribbon_floor:.2f}; ln of the "
                 f"site law over an even draw {floor}",
                 "5 % and 1 % quantiles of the training lesions"))  # fmt: skip
    if report is not None:
        rows.append(("Software", ", ".join(f"{n} {v}" for n, v in report.software),
                     f"seed {report.seed}"))  # fmt: skip
    return rows


def _chosen(prior: LesionPrior) -> str:
    curve = prior.report.curve if prior.report else ()
    if not curve:
        return "as given"
    return (f"best of {len(curve)} bandwidth{'s' * (len(curve) != 1)}, leaving one patient out: "
            f"{max(s.gain for s in curve):+.2f} nats over an even draw")  # fmt: skip
