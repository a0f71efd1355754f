"""Draws of one subject until one passes the tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fcdsynth.synthesis.change import Trimmed, change, grain, trim
from fcdsynth.synthesis.contrasts import Contrasts, ring_contrasts
from fcdsynth.synthesis.drawn import Drawn, host_of
from fcdsynth.synthesis.honesty import Fault, Judge
from fcdsynth.synthesis.redraw import RedrawSpec, WholeSpec, draw
from fcdsynth.synthesis.scans import HOST, SAMPLED, code_of, sample
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.task import SynthesisTask
from fcdsynth.synthesis.thickness import thickened
from fcdsynth.synthesis.thinned import thinned
from fcdsynth.synthesis.windows import draw_whole

StyleSource = Literal["training", "normal"]


@dataclass(frozen=True, eq=False)
class Attempt:
    """One draw of one subject with what the tests say.

    Args:
        spec: Its random part.
        image: New prepared intensities of the crop, shape (contrast, x, y, z).
        tissue: Labels that it was drawn from, shape (x, y, z); in a lesion cortex may be thicker
            than the host's.
        lesion: The lesion mask it may keep, empty for a control, shape (x, y, z).
        trimmed: How the drawn mask and the changed voxels agree; None for a control.
        shown: Contrast of the mask, or of a control's redrawn shape, one number per channel.
        faults: The tests it failed.
    """

    spec: RedrawSpec
    image: NDArray[np.float32]
    tissue: NDArray[Any]
    lesion: NDArray[np.bool_]
    trimmed: Trimmed | None
    shown: Contrasts
    faults: tuple[Fault, ...]


def attempts(
    task: SynthesisTask,
    drawn: Drawn,
    known: Styles,
    judge: Judge,
    styles: StyleSource,
    rng: np.random.Generator,
    scan_style: str | None = None,
) -> Iterator[Attempt]:
    """Draw a subject again and again, each time with a new lesion style and new noise.

    Args:
        task: The trained task, in evaluation mode.
        drawn: The subject.
        known: Styles of the generator's training lesions.
        judge: The tests.
        styles: Where a lesion's look comes from.
        rng: The subject's own random numbers.
        scan_style: In full mode, whose scan's style the image has; ``sampled`` is drawn again
            each time. None in insert mode.
    """
    host = _host_code(task, drawn) if scan_style == HOST else ()
    while True:
        spec = _spec(task, drawn, known, styles, rng)
        if scan_style is not None:
            spec = replace(spec, feather_vox=0, whole=_whole(known, scan_style, host, rng))
        yield (
            _lesional(task, drawn, judge, spec)
            if drawn.subject.is_patient
            else _healthy(task, drawn, judge, spec)
        )


def _spec(
    task: SynthesisTask,
    drawn: Drawn,
    known: Styles,
    styles: StyleSource,
    rng: np.random.Generator,
) -> RedrawSpec:
    style, code = "", np.zeros(task.hparams.lesion_style, dtype=np.float32)
    border: float | None = None
    if drawn.subject.is_patient and known.lesions:
        chosen = known.lesions[int(rng.integers(len(known.lesions)))]
        border = round(chosen.border, 6) if np.isfinite(chosen.border) else None
        if styles == "training":
            style, code = chosen.subject, known.code_like(chosen, rng)
        else:
            code = known.code_between(rng)
    return RedrawSpec(
        drawn.subject.id, host_of(drawn.subject), style,
        tuple(round(float(x), 6) for x in code), int(rng.integers(2**31)),
        drawn.corner, drawn.size, int(task.hparams.feather_vox), border,
    )  # fmt: skip


def _host_code(task: SynthesisTask, drawn: Drawn) -> tuple[float, ...]:
    # The host's own images: what was drawn into it is not in them. The crop holds its brain.
    image, tissue = drawn.scene.image, drawn.scene.tissue
    nothing = np.zeros(tissue.shape, dtype=bool)
    return code_of(task.drawer, thinned(image, tissue, nothing, drawn.grid.spacing_mm))


def _whole(
    known: Styles, scan_style: str, host: tuple[float, ...], rng: np.random.Generator
) -> WholeSpec:
    if scan_style == HOST:
        code = host
    elif scan_style == SAMPLED:
        code = sample(known.scans, rng)
    else:
        code = next(scan.code for scan in known.scans if scan.subject == scan_style)
    return WholeSpec(scan_style, code, known.crop)


def _lesional(task: SynthesisTask, drawn: Drawn, judge: Judge, spec: RedrawSpec) -> Attempt:
    host, spacing = drawn.scene, drawn.grid.spacing_mm
    scene = host
    if spec.border is not None:
        scene = replace(host, tissue=thickened(host.tissue, host.lesion, spec.border, spacing))
    if spec.whole is None:
        image = draw(task.drawer, scene, spec)
        empty = draw(task.drawer, host, spec, lesional=False)
    else:
        image, empty = draw_whole(task.drawer, scene, host, spec, spec.whole)
    moved = change(image, empty, grain(host.image, host.tissue))
    trimmed = trim(scene.lesion, scene.region, moved >= judge.checks.least_change)
    lesion = trimmed.mask if judge.checks.refuse else scene.lesion
    shown = ring_contrasts(image, lesion, drawn.ring, scene.tissue)
    faults = [*judge.changed(trimmed), *judge.lesion(shown)]
    return Attempt(spec, image, scene.tissue, lesion, trimmed, shown, tuple(faults))


def _healthy(task: SynthesisTask, drawn: Drawn, judge: Judge, spec: RedrawSpec) -> Attempt:
    scene = drawn.scene
    if spec.whole is None:
        image = draw(task.drawer, scene, spec)
    else:
        image, _ = draw_whole(task.drawer, scene, scene, spec, spec.whole)
    shown = ring_contrasts(image, drawn.shape, drawn.ring, scene.tissue)
    return Attempt(
        spec, image, scene.tissue, scene.lesion, None, shown, tuple(judge.control(shown))
    )
