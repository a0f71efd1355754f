"""Anatomies made ready once per run: read, measured and registered, then kept on disk."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fcdsynth.core.progress import map_items
from fcdsynth.phantom.anatomy import Anatomy
from fcdsynth.phantom.ribbon import Ribbon
from fcdsynth.phantom.shells import Outside
from fcdsynth.phantom.sources import TEMPLATE, load_labels, load_template
from fcdsynth.phantom.ventricles import Ventricles


def fill_bank(
    bank: Path, names: Sequence[str], folder: Path | None = None, workers: int = 1
) -> None:
    """Make anatomies ready for subjects to be drawn from; those in the bank are left alone.

    Args:
        bank: Folder to keep them in.
        names: File names of label maps, or the template's name.
        folder: Folder of the label maps, None for the template alone.
        workers: Number of processes.

    Raises:
        CohortError: If a label map cannot be read or is no whole brain.
    """
    bank.mkdir(parents=True, exist_ok=True)
    missing = [name for name in sorted(set(names)) if not _file(bank, name).exists()]
    work = functools.partial(_deposit, bank, folder)
    map_items(work, missing, "preparing anatomies", workers)


def _file(bank: Path, name: str) -> Path:
    return bank / f"{name}.npz"


def _deposit(bank: Path, folder: Path | None, name: str) -> None:
    anatomy = _read(name, folder)
    partial = bank / f".partial-{name}.npz"
    fields = {
        "parts": anatomy.parts,
        "lobes": anatomy.lobes,
        "to_vox": anatomy.to_vox,
        "scale": anatomy.scale,
        "ends": np.array([anatomy.lower_mm, anatomy.upper_mm]),
        "ribbon_lower": np.array(anatomy.ribbon.lower_vox),
        "border": anatomy.ribbon.border,
        "depth": anatomy.ribbon.depth,
        "room": anatomy.ribbon.room,
        "pull": anatomy.ventricles.pull,
        "ventricles_lower": np.array(anatomy.ventricles.lower_mm),
        "strengths": anatomy.ventricles.strengths,
        "volumes": anatomy.ventricles.volumes,
    }
    if anatomy.shares is not None:
        fields |= {"grey": anatomy.shares[0], "white": anatomy.shares[1]}
    if anatomy.outside is not None:
        out = anatomy.outside
        fields |= {
            "distance": out.distance_mm,
            "place": np.array([*out.lower_mm, *out.stem_mm, out.bottom_mm]),
        }
    np.savez_compressed(partial, **fields)  # type: ignore[arg-type]
    os.replace(partial, _file(bank, name))


def _read(name: str, folder: Path | None) -> Anatomy:
    return load_template() if name == TEMPLATE or folder is None else load_labels(folder / name)


def take(bank: Path, name: str) -> Anatomy:
    """An anatomy of a filled bank; the last one taken stays in memory.

    Raises:
        FileNotFoundError: If it was not deposited.
    """
    path = _file(bank, name)
    return _load(path, name, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _load(path: Path, name: str, changed_ns: int) -> Anatomy:
    with np.load(path) as kept:
        ends, corner = kept["ends"].tolist(), kept["ribbon_lower"].tolist()
        place = kept["place"].tolist() if "place" in kept else None
        return Anatomy(
            name,
            kept["parts"],
            kept["lobes"],
            kept["to_vox"],
            float(kept["scale"]),
            tuple(ends[0]),
            tuple(ends[1]),
            Ribbon(tuple(corner), kept["border"], kept["depth"], kept["room"]),
            Ventricles(
                kept["pull"],
                tuple(kept["ventricles_lower"].tolist()),
                kept["strengths"],
                kept["volumes"],
            ),
            (kept["grey"], kept["white"]) if "grey" in kept else None,
            Outside(kept["distance"], tuple(place[:3]), tuple(place[3:5]), place[5])
            if place
            else None,
        )
