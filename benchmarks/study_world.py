"""The world of the study: simulated heads, a part an anatomy, none both trained on and tested.

Its seed serves the study alone; whatever is tuned is tuned on `detector_world`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from figures import ROOT

from fcdsynth.core.subject import Split
from fcdsynth.phantom.parted import Part
from fcdsynth.phantom.phantom import phantom

SEED = 911
_TRAIN, _VAL, _TEST = range(1, 9), range(9, 11), range(11, 15)


def study_world(work: Path, anatomies: Path | None, workers: int, quick: bool) -> Path:
    """Simulate it: 8 training anatomies of 9 + 9, 2 of 6 + 6 for validation, 4 of 60 + 30.

    Any four training anatomies hold 36 + 36, so that each draw takes its 35 + 35 from four.

    Args:
        work: Folder to keep it in.
        anatomies: Folder of the label maps.
        workers: Processes.
        quick: The tiny heads of the tests instead.
    """
    folder = work / "phantom"
    if quick:
        turns = (Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST)
        splits = {f"sub-{k + 1:05d}": turns[k % 4] for k in range(16)}
        _tiny_heads().prepared_cohort(folder, 8, 8, splits=splits)
        return folder
    groups = ((_TRAIN, 9, 9, Split.TRAIN), (_VAL, 6, 6, Split.VAL), (_TEST, 60, 30, Split.TEST))
    parts = [
        Part((f"training_seg_{k:02d}.nii.gz",), patients, controls, split.value)
        for numbers, patients, controls, split in groups
        for k in numbers
    ]
    return phantom(
        str(folder), seed=SEED, workers=workers, parts=parts, sites=3, spacing=2.0,
        anatomies=str(anatomies), difficulty="study", prepared=True, report=False,
    )  # fmt: skip


def _tiny_heads() -> ModuleType:
    """The tests' own heads; by their path, as a benchmark has the module's name."""
    place = importlib.util.spec_from_file_location("tiny_heads", ROOT / "tests" / "phantom.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module
