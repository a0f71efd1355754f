"""The causes for which a mask can be flagged, and how sure each kind is."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """What a finding of the gate means for the queue."""

    ERROR = "error"  # cannot be right
    WARNING = "warning"  # unlikely to be right
    NOTE = "note"  # worth knowing; does not move the mask up


class Cause(StrEnum):
    """Why a mask is flagged: the gate's causes, the channels of support, and what planting adds."""

    EMPTY = "empty mask in a patient"
    IN_CONTROL = "mask in a control"
    NOT_BINARY = "values other than 0 and 1"
    OTHER_GRID = "grid differs from its image"
    SAME_AS_IMAGE = "identical to its image"
    SAME_AS_OTHER = "identical to another subject's mask"
    LIKE_OTHER = "almost identical to another subject's mask"
    OUTSIDE_BRAIN = "outside the brain"
    WRONG_SIDE = "side differs from the participants table"
    WRONG_LOBE = "lobe differs from the participants table"
    ODD_VOLUME = "unusual volume"
    DEBRIS = "specks"

    MIRRORED = "mirrored"
    OVERLOOKED = "overlooked lesion"
    UNSUPPORTED = "unsupported"
    TOO_SMALL = "too small"
    TOO_LARGE = "too large"
    ROUGH = "rough outline"
    HOLES = "slices left out"
    SHIFTED = "shifted"
    OTHER_LESION = "another subject's lesion"


# Most telling first: a mirrored mask is also unsupported and leaves its lesion overlooked.
CHANNELS = (
    Cause.MIRRORED,
    Cause.OVERLOOKED,
    Cause.UNSUPPORTED,
    Cause.TOO_SMALL,
    Cause.TOO_LARGE,
)
