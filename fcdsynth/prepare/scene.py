"""A prepared subject's volumes and matrices in memory, for the second look and the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume
from fcdsynth.measure.mirror import Midplane


@dataclass(frozen=True, eq=False)
class Scene:
    """One subject after preparation.

    Args:
        subject: The subject's row.
        sources: Raw files by key.
        t1w_native: T1w as acquired.
        flair_native: FLAIR as acquired, or None.
        t1w: Prepared T1w.
        flair: Prepared FLAIR, or None.
        brain: Brain mask on the prepared grid.
        tissue: Tissue labels on the prepared grid.
        lesion: Lesion mask on the prepared grid, or None.
        flair_to_t1w: 4 x 4 world matrix, RAS+ mm, or None.
        t1w_to_mni: 4 x 4 world matrix, RAS+ mm, or None when not trusted.
        quality: What was measured while preparing.
    """

    subject: Subject
    sources: Mapping[str, Path]
    t1w_native: Volume
    flair_native: Volume | None
    t1w: Volume
    flair: Volume | None
    brain: Volume
    tissue: Volume
    lesion: Volume | None
    flair_to_t1w: NDArray[np.float64] | None
    t1w_to_mni: NDArray[np.float64] | None
    quality: Mapping[str, Any]

    @classmethod
    def read(cls, subject: Subject, folder: Path, sources: Mapping[str, Path]) -> Scene:
        """Read a subject's folder as ``prepare`` wrote it.

        Args:
            subject: The subject's row.
            folder: The subject's folder.
            sources: Raw files by key.
        """

        def file(key: str, ending: str = "nii.gz") -> Path:
            return folder / f"{subject.id}_{key}.{ending}"

        ways = json.loads(file("transforms", "json").read_text(encoding="utf-8"))
        matrices = {
            key: None if ways[key] is None else np.asarray(ways[key], dtype=np.float64)
            for key in ("flair_to_t1w", "t1w_to_mni")
        }
        with_flair = "flair" in sources
        return cls(
            subject,
            sources,
            read_volume(sources["t1w"]),
            read_volume(sources["flair"]) if with_flair else None,
            read_volume(file("t1w")),
            read_volume(file("flair")) if with_flair else None,
            read_mask(file("brain")),
            read_labels(file("tissue")),
            read_mask(file("lesion")) if "lesion" in sources else None,
            matrices["flair_to_t1w"],
            matrices["t1w_to_mni"],
            json.loads(file("quality", "json").read_text(encoding="utf-8")),
        )

    @cached_property
    def midplane(self) -> Midplane:
        """Mid-sagittal plane, from MNI space where that is trusted, else from the brain's shape."""
        if self.t1w_to_mni is not None:
            return Midplane.from_mni(self.t1w_to_mni)
        return Midplane.fitted(self.brain)
