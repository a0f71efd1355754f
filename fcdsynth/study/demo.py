"""The verb demo: simulated patients and a small study on them."""

from __future__ import annotations

from pathlib import Path

import yaml

from fcdsynth.study.settings import Arm, find_config
from fcdsynth.study.study import study


def demo(out: str, workers: int = 2, seed: int = 0) -> Path:
    """Simulate patients and controls, then run the whole chain on them; a quarter of an hour.

    Everything in it is simulated: it shows what fcdsynth does, not how well it does on people.
    A stopped demo goes on where it was.

    Args:
        out: Folder of the demo; the simulated BIDS folder is ``bids`` in it, the study
            ``study``.
        workers: Processes for per-subject work.
        seed: Seed of the simulated subjects and of the study.

    Returns:
        Path of the study's ``report.html``.

    Raises:
        RunError: If ``out`` holds something else.
    """
    from fcdsynth.phantom.phantom import phantom

    settings = yaml.safe_load(find_config("study/demo.yaml").read_text(encoding="utf-8"))
    simulated = yaml.safe_load(find_config("study/demo-phantom.yaml").read_text(encoding="utf-8"))
    arms = [Arm(**arm) for arm in settings.pop("arms")]
    bids = phantom(str(Path(out) / "bids"), **simulated, seed=seed, workers=workers)
    return study(
        str(bids), str(Path(out) / "study"), arms=arms, **settings, workers=workers, seed=seed
    )
