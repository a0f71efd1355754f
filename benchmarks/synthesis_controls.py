"""Synthetic controls before a trained detector: does "redrawn" come to mean "lesion"?

A detector is fitted on patients that the generator has not seen. It looks at every synthetic
control and at the host, whose place was not touched: a false cluster counts where it overlaps
the redrawn place. Beside that, the mean over places of the largest probability there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from figures import Figures
from fits import fitted
from synthesis_looks import add_mean, host_of

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.core.volume import Volume
from fcdsynth.detector.ensemble import Ensemble, mean_probability
from fcdsynth.detector.inputs import load_channels
from fcdsynth.measure.clusters import find_clusters
from fcdsynth.training.data import load_arrays


@dataclass(frozen=True)
class Detector:
    """How the detector is trained.

    Args:
        config: Its config.
        width: Channels at full resolution.
        steps: Training steps.
        validated: Patients its operating point is chosen on.
    """

    config: str = "configs/detector/demo.yaml"
    width: int = 16
    steps: int = 800
    validated: int = 15


def detector(work: Path, table: Cohort, how: Detector) -> Path:
    """Fit it on the test patients, who are not in the generator; its own are the last of them."""
    patients = [s.id for s in table.of_split(Split.TEST).subjects if s.is_patient]
    controls = [s.id for s in table.of_split(Split.VAL).subjects if not s.is_patient]
    splits = {name: Split.TRAIN for name in (*patients[: -how.validated], *controls)}
    splits |= {name: Split.VAL for name in patients[-how.validated :]}
    cohort = work / "detector-cohort"
    table.with_splits(splits).write(cohort)
    return fitted(work / "detector", cohort, how.config, "--model.width", str(how.width),
                  "--trainer.max_steps", str(how.steps))  # fmt: skip


def measure_controls(figures: Figures, run: Path, table: Cohort, made: Cohort) -> None:
    """Add the figures of synthetic controls.

    Args:
        figures: Where to.
        run: The detector.
        table: The real subjects.
        made: Written by ``synthesize``.
    """
    model = Ensemble.open(run)
    hits, peaks = [], []
    for subject in made.subjects:
        if subject.is_patient:
            continue
        place = load_arrays(made, subject, ["region"])[0]["region"] > 0
        rows = [_looked(model, made, subject, place),
                _looked(model, table, host_of(table, subject), place)]  # fmt: skip
        hits.append([hit for hit, _ in rows])
        peaks.append([peak for _, peak in rows])
    seen = [s for s in table.of_split(Split.TEST).subjects if s.is_patient][-15:]
    found = 0
    for subject in seen:
        lesion = load_arrays(table, subject, ["lesion"])[0]["lesion"] > 0
        found += _looked(model, table, subject, lesion)[0]
    figures.add_share("control_fp_redrawn", sum(h for h, _ in hits), len(hits))
    figures.add_share("control_fp_host", sum(h for _, h in hits), len(hits))
    for name, pairs in (("control_fp_excess", hits), ("control_peak_excess", peaks)):
        goal = {"at_most": 0.0} if name == "control_fp_excess" else {}
        add_mean(figures, name, [a - float(b) for a, b in pairs], 29, **goal)
    figures.add_share("control_detector_sensitivity", found, len(seen))


@torch.inference_mode()
def _looked(model: Ensemble, cohort: Cohort, subject, place) -> tuple[bool, float]:
    """Whether a cluster overlaps a place, and the largest probability in it."""
    first = model.models[0]
    image, _, grid = load_channels(cohort, subject, first.inputs, False, lesion=False)
    found = mean_probability(model.models, image, torch.device("cpu"), False, 2)
    labels, _ = find_clusters(subject.id, Volume(found, grid), model.point, None)
    return bool((labels.array[place] > 0).any()), float(found[place].max())
