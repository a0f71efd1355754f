"""How a subject was scanned: scanner, protocol, voxel sizes, as far as headers and sidecars say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fcdsynth.core.grid import Grid
from fcdsynth.prepare.bids import Layout, entity, read_json, sidecar_of

_KEYS = {
    "EchoTime": "TE", "RepetitionTime": "TR", "InversionTime": "TI", "FlipAngle": "flip",
    "MRAcquisitionType": "", "ReceiveCoilName": "coil",
}  # fmt: skip


@dataclass(frozen=True)
class Acquisition:
    """Properties that could give the group away; empty where unknown.

    Args:
        scanner: Serial number of the scanner.
        site: Name of the site.
        t1w_protocol: Acquisition label in the T1w's file name.
        flair_protocol: The FLAIR's; ``none`` when there is no FLAIR.
        t1w_voxels: Voxel size of the T1w, mm; the sidecar's slice thickness when there is no image.
        flair_voxels: The FLAIR's.
        t1w_settings: Echo, repetition and inversion time, flip angle, coil of the T1w.
        flair_settings: The FLAIR's.
    """

    scanner: str = ""
    site: str = ""
    t1w_protocol: str = ""
    flair_protocol: str = ""
    t1w_voxels: str = ""
    flair_voxels: str = ""
    t1w_settings: str = ""
    flair_settings: str = ""

    @classmethod
    def of(cls, layout: Layout, grids: Mapping[str, Grid]) -> Acquisition:
        """Read what is known of one subject.

        Args:
            layout: Its files; an image may be absent if its sidecar is there.
            grids: Grids of the images that could be read, by key.
        """
        sidecar = layout.t1w_sidecar
        values = {
            "scanner": str(sidecar.get("DeviceSerialNumber", "")).strip(),
            "site": str(sidecar.get("InstitutionName", "")).strip(),
        }
        for key, path in (("t1w", layout.t1w), ("flair", layout.flair)):
            values |= {f"{key}_{name}": text for name, text in _scan(path, grids.get(key)).items()}
        if layout.flair is None:
            values["flair_protocol"] = "none"
        return cls(**values)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The properties' names, in order."""
        return tuple(field.name for field in fields(cls))


def _scan(path: Path | None, grid: Grid | None) -> dict[str, str]:
    if path is None:
        return {}
    sidecar = read_json(sidecar_of(path))
    if grid is not None:
        # In any order of axes, to a tenth: oblique headers differ in the third decimal.
        voxels = " x ".join(f"{mm:.1f}" for mm in sorted(grid.spacing_mm))
    else:
        thickness = sidecar.get("SliceThickness", "")
        voxels = f"{thickness} mm slices" if thickness != "" else ""
    return {
        "protocol": entity(path, "acq"),
        "voxels": voxels,
        "settings": ", ".join(_settings(sidecar)),
    }


def _settings(sidecar: Mapping[str, Any]) -> list[str]:
    texts = []
    for key, name in _KEYS.items():
        value = sidecar.get(key, "")
        if isinstance(value, float):
            value = f"{value:.3g}"  # times differ in the last digit between subjects
        if value != "":
            texts.append(f"{name} {value}".strip())
    return texts
