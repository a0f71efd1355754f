"""Pictures of a study: annotated, drawn, synthetic and detected lesions, and flagged masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.core.volume import Volume, read_mask, read_volume
from fcdsynth.measure.components import label_components
from fcdsynth.review.pictures import Embedded, Panel, png_bytes, slice_row, three_planes
from fcdsynth.review.planes import Content
from fcdsynth.study.kept import is_kept
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm
from fcdsynth.study.tracing import Tracing

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Picture(Embedded):
    """One picture of the report.

    Args:
        section: Where it stands in the report.
        caption: What it shows, in a sentence.
        png: The image.
    """

    section: str
    caption: str
    png: bytes


def _centre(mask: Volume) -> Point:
    """Voxel of the largest component nearest its centre of mass, RAS+ mm; always inside it."""
    labels, found = label_components(mask.array, mask.grid)
    if not found:
        middle = mask.grid.to_mm((np.asarray(mask.grid.shape) - 1) / 2)
        return (float(middle[0]), float(middle[1]), float(middle[2]))
    inside = mask.grid.to_mm(np.argwhere(labels.array == 1))
    nearest = np.argmin(np.linalg.norm(inside - np.asarray(found[0].centre_mm), axis=1))
    x, y, z = inside[nearest]
    return (float(x), float(y), float(z))


def _pair(cohort: Cohort, subject: Subject) -> tuple[Volume, Volume | None]:
    flair = read_volume(cohort.path(subject, "flair")) if subject.has("flair") else None
    return read_volume(cohort.path(subject, "t1w")), flair


def _window(volumes: Sequence[Volume | None]) -> tuple[float, float] | None:
    """One window for volumes that are to be compared."""
    windows = [Content.of(volume).window for volume in volumes if volume is not None]
    if not windows:
        return None
    return (min(low for low, _ in windows), max(high for _, high in windows))


def annotated(folder: StudyFolder, plan: Plan, limit: int) -> Iterator[Picture]:
    """Training patients with the annotator's mask."""
    cohort = Cohort.read(folder.prepared)
    for name in plan.draws[0].train_patients[:limit]:
        subject = cohort[name]
        t1w, flair = _pair(cohort, subject)
        mask = read_mask(cohort.path(subject, "lesion"))
        figure = three_planes(t1w, flair, {"annotator's mask": mask}, _centre(mask), name)
        yield Picture("annotated", f"{name}: the annotator's mask on T1w and FLAIR.",
                      png_bytes(figure))  # fmt: skip


def synthetic(folder: StudyFolder, draw: Draw, arm: Arm, limit: int) -> Iterator[Picture]:
    """Synthetic subjects of an arm's first fold beside their hosts, lesional ones first."""
    if is_kept(folder, draw, arm):
        return
    made = Cohort.read(folder.fold(draw, arm, 0) / "training").select(_is_synthetic)
    hosts = Cohort.read(folder.prepared)
    lesional = [s for s in made.subjects if s.is_patient][:limit]
    healthy = [s for s in made.subjects if not s.is_patient][: max(1, limit // 2)]
    for subject in (*lesional, *healthy):
        host = hosts[next(p.subject for p in subject.parents if p.role == "host")]
        region = read_mask(made.path(subject, "lesion" if subject.is_patient else "region"))
        what = "drawn lesion" if subject.is_patient else "redrawn healthy region"
        centre = _centre(region)
        pairs = {
            "host": _pair(hosts, host),
            "synthetic": _pair(made, subject),
        }
        windows = [_window([pair[k] for pair in pairs.values()]) for k in range(2)]
        panels = [
            Panel(f"{whose} {contrast}", volume, centre, window=window)
            for whose, pair in pairs.items()
            for contrast, volume, window in zip(("T1w", "FLAIR"), pair, windows, strict=True)
            if volume is not None
        ]
        last = panels[-1]
        panels.append(
            Panel(f"with the {what}", last.volume, centre, {what: region}, window=last.window)
        )
        row = slice_row(panels, f"{arm.name} {subject.id}")
        caption = f"{subject.id}, made from {host.id}: host, synthetic pair, and the {what}."
        yield Picture("synthetic", caption, png_bytes(row))


def detected(folder: StudyFolder, plan: Plan, names: Sequence[str]) -> Iterator[Picture]:
    """Test patients with the reference mask and what each arm's detector marked."""
    draw = plan.draws[0]
    cohort = Cohort.read(folder.test_cohort(draw))
    results = {arm.name: Detections.read(folder.detections(draw, arm)) for arm in plan.arms
               if not is_kept(folder, draw, arm)}  # fmt: skip
    for name in names:
        subject = cohort[name]
        reference = read_mask(
            cohort.path(subject, "truth" if subject.has("truth") else "lesion_t1w")
        )
        volume = read_volume(cohort.path(subject, "flair" if subject.has("flair") else "t1w"))
        centre = _centre(reference)
        panels = [Panel("reference mask", volume, centre, {"reference": reference})]
        for arm, detections in results.items():
            clusters = _clusters(detections, name)
            number = len(detections.of(name))
            marked = "1 cluster" if number == 1 else f"{number} clusters"
            outlines = {"reference": reference, "detected": clusters}
            panels.append(Panel(f"{arm}: {marked}", volume, centre, outlines))
        caption = f"{name}: the reference mask, and what each arm's detector marked in this slice."
        yield Picture("detected", caption, png_bytes(slice_row(panels, name)))


def _is_synthetic(subject: Subject) -> bool:
    return subject.origin is Origin.SYNTHETIC


def _clusters(detections: Detections, subject_id: str) -> Volume:
    """All clusters of a subject as one mask (native T1w grid)."""
    labels = read_volume(detections.clusters_path(subject_id))
    return Volume(labels.array > 0, labels.grid)


def introduced(
    folder: StudyFolder, plan: Plan, tracing: Tracing, limit: int
) -> Iterator[Picture]:  # fmt: skip
    """New false positives of the first draw beside the training lesion most like each."""
    draw, arm = plan.draws[0], plan.arm(tracing.arm)
    if is_kept(folder, draw, arm):
        return
    tested = Cohort.read(folder.test_cohort(draw))
    taught = Cohort.read(folder.fold(draw, arm, 0) / "training")
    found = Detections.read(folder.detections(draw, arm))
    for traced in [t for t in tracing.introduced if t.draw == draw.name][:limit]:
        subject, nearest = tested[traced.subject], traced.alike[0]
        labels = read_volume(found.clusters_path(subject.id))
        cluster = Volume(labels.array == traced.cluster, labels.grid)
        giver = taught[nearest.training_subject]
        lesion = read_mask(taught.path(giver, "lesion"))
        panels = []
        for cohort, one, mask, what in ((tested, subject, cluster, "false positive"),
                                        (taught, giver, lesion, "training lesion")):  # fmt: skip
            for name, volume in zip(("T1w", "FLAIR"), _pair(cohort, one), strict=True):
                if volume is not None:
                    panels.append(Panel(f"{one.id} {name}", volume, _centre(mask), {what: mask}))
        caption = (
            f"Cluster {traced.cluster} of {subject.id}, score {traced.score:.2f}; of the training "
            f"lesions that of {giver.id} ({giver.origin.value}) looks most like it, "
            f"likeness {nearest.likeness:.2f}."
        )
        yield Picture("introduced", caption, png_bytes(slice_row(panels, subject.id)))


def flagged(folder: StudyFolder, limit: int) -> Iterator[Picture]:
    """The pictures that flag drew of the most suspicious masks."""
    for path in sorted((folder.flags / "pictures").glob("*.png"))[:limit]:
        rank, _, name = path.stem.partition("_")
        yield Picture("flagged", f"Rank {int(rank)}: {name}.", path.read_bytes())
