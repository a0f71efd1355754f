"""The tissue labels that prepare writes and that drawing and synthesis are conditioned on."""

from enum import IntEnum


class Tissue(IntEnum):
    """Label values of a tissue map."""

    BACKGROUND = 0
    CSF = 1
    CORTEX = 2
    WHITE_MATTER = 3
    DEEP_GREY = 4
    VENTRICLE = 5
    INFRATENTORIAL = 6


# The tissues that a lesion lies in.
CEREBRAL = (Tissue.CORTEX, Tissue.WHITE_MATTER)

# Prepared intensity v = INTENSITY_MEDIAN + INTENSITY_PER_SD * z inside the brain, clipped to
# [0, 1], where z is the robust z-score of the brain's voxels; exactly 0 outside the brain.
INTENSITY_MEDIAN = 0.5
INTENSITY_PER_SD = 0.1
