"""What about a prepared subject deserves a look: warnings with their thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

REGISTERED = "registered"
KEPT = "header alignment kept"
_LEAST_NATS = 0.2  # phantoms 10 mm and 10 degrees off: 0.05 to 0.13; aligned real pairs: 0.35 up
_FAR_MM, _FAR_DEG = 30.0, 20.0
_BRAIN_ML = (900.0, 2000.0)
_LEAST_COVER = 0.95
_LEAST_LESION_INSIDE = 0.7


@dataclass(frozen=True)
class Concern:
    """One warning.

    Args:
        key: What it is about, as a short phrase.
        text: What was found, in a sentence, and what it may mean.
    """

    key: str
    text: str

    def to_json(self) -> dict[str, str]:
        """As a plain dictionary."""
        return asdict(self)


def concerns(quality: Mapping[str, Any]) -> list[Concern]:
    """Read the warnings off a subject's quality record.

    Args:
        quality: Content of ``sub-x_quality.json``; what is absent is not judged.
    """
    found = [*_alignment(quality), *_sides(quality)]
    low, high = _BRAIN_ML
    if not low <= quality.get("brain_ml", low) <= high:
        found.append(Concern("brain volume", f"The brain mask holds {quality['brain_ml']:.0f} ml; "
                             f"adult brains hold {low:.0f} to {high:.0f} ml."))  # fmt: skip
    if quality.get("flair_thick_mm"):
        found.append(Concern("thick-slice FLAIR", f"FLAIR slices are {quality['flair_thick_mm']:g} "
                             "mm thick: small lesions may lie between them."))  # fmt: skip
    if quality.get("flair_cover", 1.0) < _LEAST_COVER:
        found.append(Concern("FLAIR cover", f"Only {quality['flair_cover']:.0%} of the brain lies "
                             "inside the FLAIR's field of view."))  # fmt: skip
    if not quality.get("mni_registration_trusted", True):
        found.append(Concern("MNI placement", "No trustworthy way into MNI space was found; lobes, "
                             "deep grey matter, ventricles and hindbrain are placed by the brain's "
                             "bounding box."))  # fmt: skip
    if quality.get("lesion_in_brain", 1.0) < _LEAST_LESION_INSIDE:
        found.append(Concern("lesion outside", f"Only {quality['lesion_in_brain']:.0%} of the "
                             "lesion mask lies in the brain mask."))  # fmt: skip
    return found


def _alignment(quality: Mapping[str, Any]) -> list[Concern]:
    nats = quality.get("alignment_nats")
    if nats is None:
        return []
    found = []
    if nats["chosen"] < _LEAST_NATS:
        kept = " (as the headers place it)" if quality["flair_registration"] == KEPT else ""
        found.append(Concern("alignment poor", f"FLAIR{kept} and T1w share {nats['chosen']:.2f} "
                             f"nats; aligned pairs share {_LEAST_NATS} and more. They may not "
                             "show one head."))  # fmt: skip
    turn, shift = quality["flair_turn_deg"], quality["flair_shift_mm"]
    if turn > _FAR_DEG or shift > _FAR_MM:
        found.append(Concern("FLAIR moved far", f"FLAIR was turned by {turn:.0f} degrees and "
                             f"moved by {shift:.0f} mm from its header's place."))  # fmt: skip
    if nats["flipped"]:
        found.append(Concern("left-right", f"FLAIR mirrored left to right fits the T1w better "
                             f"({nats['mirrored']:.2f} against {nats['best']:.2f} nats): one of "
                             "the two images may be flipped."))  # fmt: skip
    return found


def _sides(quality: Mapping[str, Any]) -> list[Concern]:
    found = [Concern("left-right" if "left and right" in text else "header", f"{name}: {text}.")
             for name, text in quality.get("header_disputes", {}).items()]  # fmt: skip
    told, seen = quality.get("side_told", ""), quality.get("lesion_side", "")
    if told and seen and told != seen:
        words = {"L": "left", "R": "right"}
        found.append(Concern("left-right", f"participants.tsv says the lesion is on the "
                             f"{words[told]}, the mask lies on the {words[seen]}: table, mask or "
                             "image may be flipped."))  # fmt: skip
    return found
