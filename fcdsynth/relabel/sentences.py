"""What a finding or a channel means, in a sentence for a clinician, with its numbers."""

from __future__ import annotations

from fcdsynth.relabel.causes import Cause, Severity
from fcdsynth.relabel.channels import Region
from fcdsynth.relabel.fusion import Suspicion, Verdict

_SIDES = {"L": "left ", "R": "right ", "": ""}
_OTHER = {"L": "right ", "R": "left ", "": "other "}


def evidence(entry: Suspicion, n_scored: int) -> str:
    """Say why a mask stands where it stands.

    Args:
        entry: Its place in the queue.
        n_scored: Number of masks that the percentiles compare.
    """
    gate = sorted(entry.findings, key=lambda f: list(Severity).index(f.severity))
    parts = [finding.evidence for finding in gate if finding.severity is not Severity.NOTE]
    if entry.verdict is not None:
        parts.append(_verdict(entry.verdict))
    if entry.channel is not None and entry.region is not None:
        share = entry.percentiles[entry.channel]
        parts.append(_channel(entry.channel, entry.region))
        parts.append(
            f"More so than in {share:.0%} of the {n_scored} masks compared."
            if n_scored >= 2
            else "No other mask to compare with."
        )
    elif not parts and entry.verdict is None:
        parts.append("No detector map for this subject, so only the gate has looked at it.")
    parts += [finding.evidence for finding in gate if finding.severity is Severity.NOTE]
    return " ".join(parts)


def _verdict(verdict: Verdict) -> str:
    cause, share = verdict.cause, verdict.shares[verdict.cause]
    return (
        f"Probability of an error {verdict.p_err:.2f}, judged by copies of this cohort's masks "
        f"with planted errors; most like those of the kind '{cause.value}' ({share:.0%})."
    )


def _channel(channel: Cause, region: Region) -> str:
    n = region.numbers
    what = f"the {region.volume_ml:.1f} ml region in the {_SIDES[region.side]}hemisphere"
    what = what if region.side else f"the {region.volume_ml:.1f} ml region"
    if channel is Cause.UNSUPPORTED:
        return (
            f"The detector, trained without this patient, sees little in or near {what} "
            f"(probability at most {n['near']:.2f} in nine tenths of it)."
        )
    if channel is Cause.OVERLOOKED:
        far = "" if n["gap_mm"] == float("inf") else f", {n['gap_mm']:.0f} mm from the mask"
        return (
            f"The detector, trained without this patient, marks {what}{far} "
            f"(probability {n['strength']:.2f}); the mask leaves it out."
        )
    if channel is Cause.TOO_LARGE:
        return (
            f"The detector's support fades inside the outline of {what}: {n['inner']:.2f} along "
            f"the inner rim against {n['core']:.2f} at the core."
        )
    if channel is Cause.TOO_SMALL:
        return (
            f"The detector's support goes on outside the outline of {what}: {n['outer']:.2f} "
            f"just outside against {n['core']:.2f} at the core."
        )
    return (
        f"The mirrored place in the {_OTHER[region.side]}hemisphere has more support than "
        f"{what}: mean probability {n['across']:.2f} against {n['here']:.2f}."
    )
