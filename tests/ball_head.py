"""A brain of balls and shells, exact in every dimension, as an anatomy of the phantom."""

from __future__ import annotations

import numpy as np

from fcdsynth.measure.lobes import RIGHT
from fcdsynth.phantom.anatomy import Anatomy
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import PoseSpec
from fcdsynth.phantom.ribbon import measure_ribbon
from fcdsynth.phantom.shells import ShellSpec
from fcdsynth.phantom.ventricles import measure_ventricles

WHITE_MM, CORTEX_MM, CSF_MM = 34.0, 37.0, 42.0
VENTRICLE_MM = (7.0, 15.0, 8.0)
SHELL = ShellSpec(1.5, 1.6, 2.0, 4.0, 2.0)
STILL = PoseSpec(False, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0, 0.0, 3)


def ball_anatomy() -> Anatomy:
    """White matter and cortex 3 mm thick around an ellipsoid of a ventricle; 1 mm voxels."""
    size = 99
    centre = (size - 1) / 2
    x, y, z = (np.indices((size,) * 3) - centre).astype(np.float64)
    radius = np.sqrt(x**2 + y**2 + z**2)
    parts = np.full(radius.shape, Part.AIR, np.uint8)
    parts[radius <= CSF_MM] = Part.CSF
    parts[radius <= CORTEX_MM] = Part.CORTEX
    parts[radius <= WHITE_MM] = Part.WHITE
    a, b, c = VENTRICLE_MM
    parts[(x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1] = Part.VENTRICLE
    ribbon = np.isin(parts, (Part.CORTEX, Part.WHITE))
    # Frontal in front of the middle, occipital behind it; the front right corner is parietal.
    lobes = np.where(ribbon, np.where(y > 0, 1, 4) + RIGHT * (x > 0), 0).astype(np.uint8)
    lobes[ribbon & (x > 10) & (y > 10)] = 2 + RIGHT
    to_vox = np.eye(4)
    to_vox[:3, 3] = centre
    inner = np.argwhere(parts == Part.VENTRICLE) - centre
    end = CSF_MM + 2
    return Anatomy(
        "ball", parts, lobes, to_vox, 1.0, (-end,) * 3, (end,) * 3,
        measure_ribbon(parts, (1.0, 1.0, 1.0)), measure_ventricles(inner, 0.001),
    )  # fmt: skip
