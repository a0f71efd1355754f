"""What a subject's page says in words: its clusters as lines, and how they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fcdsynth import __version__
from fcdsynth.core.detection import CONTRASTS, Detection, OperatingPoint
from fcdsynth.core.subject import Subject
from fcdsynth.detector.ensemble import Ensemble
from fcdsynth.measure.lobes import LOBE_WORDS

NOTICE = (
    "Research software, not a medical device. A cluster is a place to look at, no diagnosis; "
    "and no cluster does not mean no lesion."
)
HEADINGS = (
    "Cluster", "Score", "Volume", "Where", "Centre, mm", "MNI, mm", "T1w", "FLAIR", "Mirrored",
)  # fmt: skip
MEANINGS = (
    ("Score", "calibrated probability, 0 to 1, that the cluster lies in a lesion, from the "
     "lesion volume expected in its most probable 2.8 ml; it compares between subjects."),
    ("Centre", "centre of mass in the world of the native T1w: x to the right, y to the front, "
     "z upwards."),
    ("T1w, FLAIR", "mean of the cluster less that of the 8 mm around it, cortex against cortex "
     "and white matter against white matter, in robust standard deviations (SD) of the brain."),
    ("Mirrored", "mean difference from the mirrored place of the other side, on FLAIR where there "
     "is one, in the same unit."),
)  # fmt: skip
_SIDES = {"L": "left", "R": "right"}
_CHANNELS = {
    "t1w": "T1w", "flair": "FLAIR", "t1w_z": "T1w z-scores", "flair_z": "FLAIR z-scores",
    "t1w_mirror": "T1w against the other side", "flair_mirror": "FLAIR against the other side",
    "depth": "sulcal depth",
}  # fmt: skip
_DIGEST = 12  # digits of a hash that tell weights apart
Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Told:
    """What the page of one subject tells beside the pictures.

    Args:
        subject: Subject id.
        clusters: Its clusters, best score first.
        inputs: What the model looked at in this subject, in words.
        facts: Model, operating point and settings, as pairs of a name and a text.
    """

    subject: str
    clusters: tuple[Detection, ...]
    inputs: str
    facts: Facts

    @property
    def lead(self) -> str:
        """How much was found, and in what."""
        count = len(self.clusters)
        if count == 0:
            return f"No cluster. The model looked at {self.inputs}."
        best = f"{_counted(count, 'cluster')}, best score {self.clusters[0].score:.2f}"
        return f"{best}. The model looked at {self.inputs}."


def place(cluster: Detection) -> str:
    """Side and lobe of a cluster in words."""
    words = (_SIDES.get(cluster.side, cluster.side), LOBE_WORDS.get(cluster.lobe, cluster.lobe))
    return " ".join(word for word in words if word)


def cells(cluster: Detection) -> tuple[str, ...]:
    """A cluster as a line of the table, in the order of `HEADINGS`."""
    mni = cluster.centre_mni_mm
    contrasts = [getattr(cluster, name) for name in CONTRASTS]
    return (
        str(cluster.cluster),
        f"{cluster.score:.2f}",
        f"{cluster.volume_ml:.2f} ml",
        place(cluster),
        _point(cluster.centre_mm),
        "" if mni is None else _point(mni),
        # Adding 0 turns a rounded -0.0 into 0.0.
        *("" if value is None else f"{round(value, 1) + 0.0:+.1f} SD" for value in contrasts),
    )


def caption(cluster: Detection) -> str:
    """What a cluster's picture shows, in a sentence."""
    return (
        f"Cluster {cluster.cluster}, {place(cluster)}, score {cluster.score:.2f}, "
        f"{cluster.volume_ml:.2f} ml, on the prepared volumes, cut through its voxel nearest "
        "the centre."
    )


def inputs_in_words(subject: Subject, inputs: Sequence[str]) -> str:
    """What a model looks at in a subject, and that FLAIR was missing where it was."""
    without = not subject.has("flair") and any(key.startswith("flair") for key in inputs)
    used = [key for key in inputs if not (without and key.startswith("flair"))]
    lacking = ", without FLAIR, which this subject lacks" if without else ""
    return _listed(used) + lacking


def run_facts(
    ensemble: Ensemble, point: OperatingPoint, hashes: Mapping[str, str], mirror: bool
) -> Facts:
    """What is the same for all subjects of one call.

    Args:
        ensemble: The models.
        point: Operating point that was used.
        hashes: SHA-256 of the checkpoints by their path.
        mirror: Whether left and right were averaged.
    """
    models, stored = ensemble.models, ensemble.point
    first = models[0]
    weights = ", ".join(hashes[str(m.run.checkpoint)][:_DIGEST] for m in models)
    size = " x ".join(f"{mm:g}" for mm in first.spacing_mm)
    chosen = f"chosen on {_counted(len(stored.chosen_on), 'validation subject')}"

    def origin(used: float, kept: float) -> str:
        return chosen if used == kept else f"given by hand; the model's own is {kept:g}"

    low, least = point.threshold, point.min_volume_ml
    facts = [
        ("Model", f"{_counted(len(models), 'detector')}, weights {weights}"),
        ("Trained on", _counted(len(ensemble.trained_on), "subject")),
        ("Made for", f"{_listed(first.inputs)}, voxels of {size} mm"
         + (", works without FLAIR" if first.flair_optional else "")),
        ("Threshold", f"probability {low:g} ({origin(low, stored.threshold)})"),
        ("Smallest cluster", f"{least:g} ml ({origin(least, stored.min_volume_ml)})"),
    ]  # fmt: skip
    if mirror:
        facts.append(("Left and right", "averaged with the result of the mirrored volume"))
    return (*facts, ("Software", f"fcdsynth {__version__}"))


def _listed(inputs: Sequence[str]) -> str:
    *most, last = (_CHANNELS.get(key, key) for key in inputs)
    return f"{', '.join(most)} and {last}" if most else last


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _point(mm: Sequence[float]) -> str:
    return ", ".join(f"{round(x):d}" for x in mm)
