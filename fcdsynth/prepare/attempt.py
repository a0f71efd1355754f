"""One subject from check to quality page: whole in its place, or an error and nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.prepare.page import write_page
from fcdsynth.prepare.person import Job, prepare_one
from fcdsynth.prepare.scene import Scene
from fcdsynth.prepare.second_look import second_look
from fcdsynth.prepare.voxels import check_voxels

_GIB_FIXED = 0.9
_BYTES_NATIVE, _BYTES_PREPARED = 60.0, 150.0
_BRAIN_BOX_MM3 = 180.0 * 210.0 * 190.0


@dataclass(frozen=True)
class Attempt:
    """What one subject's preparation needs; small enough to be sent to another process.

    Args:
        job: Files, grid and brain mask.
        subject: The subject's row, for the page and the side.
    """

    job: Job
    subject: Subject


def attempt(task: Attempt) -> None:
    """Check the voxels, prepare, measure, draw the page, and move the folder into its place.

    Raises:
        CohortError: Naming the subject, for whatever goes wrong with its images.
    """
    job = task.job
    scratch = job.folder / f".scratch-{job.subject}"
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    try:
        check_voxels(job.subject, job.sources)
        prepare_one(replace(job, folder=scratch))
        folder = scratch / job.subject
        scene = Scene.read(task.subject, folder, job.sources)
        quality = second_look(scene)
        text = json.dumps(quality, indent=2) + "\n"
        (folder / f"{job.subject}_quality.json").write_text(text, encoding="utf-8")
        write_page(folder, scene, quality)
        folder.replace(job.folder / job.subject)
    except MemoryError as error:
        raise CohortError(
            job.subject, "not enough memory", "memory for one subject's volumes",
            "Close other programs, or choose a larger --spacing.",
        ) from error  # fmt: skip
    except FcdsynthError:
        raise
    except Exception as error:
        raise CohortError(
            job.subject, f"{type(error).__name__}: {error}", "images that can be prepared",
            "Look at the subject's images; if they are fine, please report this.",
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def gib_needed(grids: Sequence[Grid], spacing_mm: float) -> float:
    """Memory that one subject's preparation takes at its peak, GiB, from above.

    Measured on whole-head phantoms of 241 x 221 x 163 voxels of 1 mm: 1.33 GiB for a prepared
    grid of 2 mm, 1.41 for 1 mm (6.4 million voxels), 2.01 for 0.8 mm (12.3 million). The figure
    given is 1.1 to 1.7 times that: it is better to wait than to be killed.

    Args:
        grids: Grids of the raw images.
        spacing_mm: Voxel size of the prepared grid.
    """
    native = max(int(np.prod(grid.shape)) for grid in grids)
    prepared = _BRAIN_BOX_MM3 / spacing_mm**3
    return _GIB_FIXED + (_BYTES_NATIVE * native + _BYTES_PREPARED * prepared) / 2**30
