"""Kept: what one arm of one draw came to, as one small file that other machines and days take up.

A file's key is a hash of all that decides the result: who trains, validates and tests, the lesion
masks that they are trained on and judged by, the arm, the training configs, seed and folds. Arms
are put back only under the same key, so a study on another machine, or one that gained arms or
draws since, trains what is missing and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import RunError
from fcdsynth.core.volume import read_volume, voxel_hash
from fcdsynth.detector.likeness import FILE as LIKENESS
from fcdsynth.detector.likeness import TRAINING
from fcdsynth.evaluation.report import FILE as REPORT
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.opening import Opening, add_openings, openings
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm

ABOUT = "about.json"
_FILES = (f"evaluation/{REPORT}", "evaluation/figures.csv", f"curve/{REPORT}")
_OF_SYNTHETIC = (f"likeness/{LIKENESS}", f"likeness/{TRAINING}")
_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is written


def is_kept(folder: StudyFolder, draw: Draw, arm: Arm) -> bool:
    """Whether an arm's results were put back into a study that did not train it."""
    return folder.kept(draw, arm).is_file()


@dataclass(frozen=True)
class Shelf:
    """A folder of kept results, for any number of studies.

    Args:
        root: The folder.
        folder: The study.
        plan: Its plan, locked.
    """

    root: Path
    folder: StudyFolder
    plan: Plan

    def lay_down(self, plan_file: Path) -> None:
        """Copy the locked plan beside the results, before anything is trained."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / f"plan-{self.plan.key[:12]}.json"
        if not path.is_file():
            path.write_bytes(plan_file.read_bytes())

    def path(self, draw: Draw, arm: Arm) -> Path:
        """Where an arm of a draw is kept."""
        return self.root / f"{draw.name}-{arm.name}-{self.key(draw, arm)[:12]}.zip"

    def keep(self, draw: Draw, arm: Arm) -> Path:
        """Keep the evaluations of an arm; one that is there already is left as it is."""
        path = self.path(draw, arm)
        if path.is_file():
            return path
        mine = [o for o in openings(self.folder.openings)
                if (o.draw, o.arm) == (draw.name, arm.name)]  # fmt: skip
        about = {
            "key": self.key(draw, arm), "version": __version__,
            "decides": self._told(draw, arm), "openings": [asdict(o) for o in mine],
        }  # fmt: skip
        partial = path.with_name(f".partial-{path.name}")
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as archive:
            texts = {ABOUT: json.dumps(about, indent=1).encode()} | {
                name: (self.folder.arm(draw, arm) / name).read_bytes() for name in _names(arm)
            }  # fmt: skip
            for name, data in texts.items():
                info = zipfile.ZipInfo(name, _DATE)
                info.compress_type = zipfile.ZIP_LZMA
                archive.writestr(info, data)
        return partial.replace(path)

    def put_back(self) -> list[str]:
        """Take up every arm that is kept and not in the study's folder; their names.

        The looks at test subjects that they took are noted in the study too.

        Raises:
            RunError: If a file is not what its name says.
        """
        found = []
        for draw in self.plan.draws:
            for arm in self.plan.arms:
                path, place = self.path(draw, arm), self.folder.arm(draw, arm)
                there = all((place / name).is_file() for name in _names(arm))
                if there or not path.is_file():
                    continue
                about, texts = _read(path, _names(arm))
                if about.get("key") != self.key(draw, arm):
                    raise RunError(str(path), "results of something else", "what its name says",
                                   "Remove the file.")  # fmt: skip
                for name, data in texts.items():
                    (place / name).parent.mkdir(parents=True, exist_ok=True)
                    (place / name).write_bytes(data)
                add_openings(self.folder.openings, [Opening(**o) for o in about["openings"]])
                self.folder.kept(draw, arm).write_text(json.dumps(about, indent=1) + "\n")
                found.append(f"{draw.name} {arm.name}")
        return found

    def key(self, draw: Draw, arm: Arm) -> str:
        """Hash of what decides an arm's results."""
        text = json.dumps(self._told(draw, arm), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _told(self, draw: Draw, arm: Arm) -> dict[str, Any]:
        plan = self.plan
        patients, controls = plan.training(draw, arm)
        told = {name: value for name, value in asdict(arm).items() if name != "name"}
        for name in ("pool", "labels"):
            if told[name] is not None:
                told[name] = _sha256((Path(told[name]) / TABLE).read_bytes())
        return {
            "arm": told, "train": [*patients, *controls], "validation": list(draw.validation),
            "test": list(draw.test), "folds": plan.folds, "seed": plan.seed, "rule": plan.rule,
            "place": plan.draws.index(draw), "recipe": dict(plan.recipe),
            "masks": self._masks([*patients, *draw.validation, *draw.test]),
        }  # fmt: skip

    def _masks(self, names: Sequence[str]) -> str:
        return _sha256("".join(self._mask_of[name] for name in names).encode())

    @cached_property
    def _mask_of(self) -> dict[str, str]:
        """Hash of each subject's masks, of those that any draw uses; empty for controls."""
        cohort = Cohort.read(self.folder.prepared)
        used = {name for draw in self.plan.draws
                for name in (*draw.train_patients, *draw.validation, *draw.test)}  # fmt: skip
        found = {}
        for s in cohort.subjects:
            if s.id in used:
                files = [k for k in ("lesion", "lesion_t1w", "truth") if s.has(k)]
                found[s.id] = "".join(voxel_hash(read_volume(cohort.path(s, k))) for k in files)
        return found


def _names(arm: Arm) -> tuple[str, ...]:
    return _FILES + (_OF_SYNTHETIC if arm.synthetic else ())


def _read(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The record and the files of an archive; only the names asked for are unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            about = dict(json.loads(archive.read(ABOUT)))
            return about, {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise RunError(str(path), f"{type(error).__name__}: {error}",
                       "results that a study kept", "Remove the file.") from error  # fmt: skip


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
