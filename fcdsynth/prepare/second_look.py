"""What a finished preparation looks like in numbers, and what about it deserves a look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fcdsynth.core.tissue import Tissue
from fcdsynth.prepare.alignment import look_again
from fcdsynth.prepare.concerns import KEPT, REGISTERED, concerns
from fcdsynth.prepare.handedness import header_dispute
from fcdsynth.prepare.scene import Scene
from fcdsynth.prepare.voxels import inside_brain

_GREY = (Tissue.CORTEX, Tissue.DEEP_GREY)


def second_look(scene: Scene) -> dict[str, Any]:
    """Add to a subject's quality record what only the finished volumes tell.

    Returns:
        The record: what prepare measured, how FLAIR was placed, sides, contrast, warnings.

    Raises:
        CohortError: If the lesion mask lies beside the brain.
    """
    quality: dict[str, Any] = dict(scene.quality)
    native = {"T1w": ("t1w", scene.t1w_native), "FLAIR": ("flair", scene.flair_native)}
    quality["voxels_mm"] = {
        name: [round(mm, 3) for mm in volume.grid.spacing_mm]
        for name, (_, volume) in native.items() if volume is not None
    }  # fmt: skip
    disputes = {
        name: header_dispute(scene.sources[key], volume.grid)
        for name, (key, volume) in native.items() if volume is not None
    }  # fmt: skip
    quality["header_disputes"] = {name: text for name, text in disputes.items() if text}
    quality |= _tissue(scene)
    quality |= _flair(scene)
    quality |= _lesion(scene)
    quality["warnings"] = [concern.to_json() for concern in concerns(quality)]
    return quality


def _tissue(scene: Scene) -> Mapping[str, Any]:
    """Shares of the brain, and how far cortex and white matter are apart on T1w."""
    labels, t1w = scene.tissue.array, scene.t1w.array
    brain = max(int(scene.brain.array.sum()), 1)
    white = labels == Tissue.WHITE_MATTER
    cortex = t1w[labels == Tissue.CORTEX]
    record = {
        "grey_share": round(float(np.isin(labels, _GREY).sum()) / brain, 4),
        "white_share": round(float(white.sum()) / brain, 4),
    }
    if white.any() and len(cortex):
        spread = float(t1w[white].std()) or 1.0
        gap = float(np.median(t1w[white]) - np.median(cortex))
        record["t1w_contrast"] = round(gap / spread, 3)
    return record


def _flair(scene: Scene) -> Mapping[str, Any]:
    if scene.flair_native is None or scene.flair_to_t1w is None:
        return {}
    found = look_again(scene.t1w, scene.flair_native, scene.brain, scene.flair_to_t1w,
                       scene.midplane)  # fmt: skip
    kept = np.array_equal(scene.flair_to_t1w, np.eye(4))
    spacing = scene.flair_native.grid.spacing_mm
    thick = (
        {"flair_thick_mm": round(max(spacing), 2)} if scene.flair_native.grid.thick_slices else {}
    )
    return thick | {
        "flair_registration": KEPT if kept else REGISTERED,
        "flair_turn_deg": round(found.turn_deg, 2),
        "flair_shift_mm": round(found.shift_mm, 2),
        "alignment_nats": {
            "header": round(found.header_nats, 4),
            "chosen": round(found.chosen_nats, 4),
            "best": round(found.best_nats, 4),
            "mirrored": round(found.mirrored_nats, 4),
            "flipped": found.flip_suspected,
        },
    }


def _lesion(scene: Scene) -> Mapping[str, Any]:
    if scene.lesion is None:
        return {}
    share = inside_brain(scene.subject.id, scene.lesion, scene.brain)
    right_mm = scene.midplane.right_mm(scene.lesion.grid.to_mm(np.argwhere(scene.lesion.array)))
    return {
        "lesion_in_brain": round(share, 4),
        "lesion_side": "R" if float(np.median(right_mm)) >= 0 else "L",
        "side_told": scene.subject.side,
    }
