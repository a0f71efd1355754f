"""Run: an output folder that is whole or absent, resumes, and says what made it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from fcdsynth.core import provenance
from fcdsynth.core.errors import RunError

_STATE = ".run.json"


class Run:
    """The writing of one verb's output folder.

    Work goes into ``OUT.partial`` and is renamed to ``OUT`` when the ``with`` block ends
    without an error. A later call with the same verb, settings, inputs and seed goes on in the
    partial folder, or finds `complete` true when ``OUT`` is already whole.

    Args:
        out: The output folder.
        verb: Name of the verb.
        settings: What the user chose; written to ``config.yaml``.
        inputs: Input files and folders; their content hashes go into ``provenance.json``.
        seed: Seed of the run, None where nothing is random.

    Raises:
        RunError: If ``out`` exists and was made otherwise, or an input is absent.

    Example:
        ``run = Run(out, "draw", settings, [cohort], seed)``, then ``if run.complete: return
        run.out``, then ``with run: ...`` writing into ``run.folder``.
    """

    def __init__(
        self,
        out: Path | str,
        verb: str,
        settings: Mapping[str, Any],
        inputs: Sequence[Path | str] = (),
        seed: int | None = None,
    ) -> None:
        self.out = Path(out)
        self.folder = self.out.with_name(self.out.name + ".partial")
        self.verb = verb
        self.settings = provenance.plain(settings)
        for path in inputs:
            if not Path(path).exists():
                raise RunError(str(path), "nothing there", "an input file or folder",
                               "Check the path.")  # fmt: skip
        self.inputs = {str(path): provenance.hash_path(path) for path in inputs}
        self.seed = seed
        self.key = provenance.run_key(verb, self.settings, self.inputs, seed)
        self._start = time.monotonic()
        self._earlier_s = 0.0
        self.complete = self._is_complete()

    def _is_complete(self) -> bool:
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return False
        record = self.out / provenance.FILE
        if record.is_file() and json.loads(record.read_text()).get("key") == self.key:
            return True
        raise RunError(
            str(self.out), "a folder made from other inputs, settings or version",
            "a new or empty folder, or the same run again",
            "Give another output folder, or remove this one.",
        )  # fmt: skip

    def _known(self) -> dict[str, Any]:
        state = self.folder / _STATE
        return dict(json.loads(state.read_text())) if state.is_file() else {}

    @property
    def partial_is_foreign(self) -> bool:
        """Whether the partial folder was left by other words; the ``with`` block removes it."""
        return self.folder.exists() and self._known().get("key") != self.key

    def __enter__(self) -> Self:
        if self.partial_is_foreign:
            shutil.rmtree(self.folder)
        self._earlier_s = float(self._known().get("wall_s", 0.0))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._note()
        return self

    def _note(self) -> None:
        wall = self._earlier_s + time.monotonic() - self._start
        text = json.dumps({"key": self.key, "verb": self.verb, "wall_s": wall})
        partial = self.folder / f"{_STATE}.new"
        partial.write_text(text)
        os.replace(partial, self.folder / _STATE)

    def has(self, name: str) -> bool:
        """Whether an item (a subject's sub-folder, say) was finished earlier."""
        return (self.folder / name).exists()

    def item(self, name: str) -> AbstractContextManager[Path]:
        """Context manager: a scratch folder that becomes ``folder/name`` when its block ends."""
        return item_folder(self.folder, name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            if not any(p.name[0] != "." for p in self.folder.iterdir()):
                shutil.rmtree(self.folder)
            else:
                self._note()
            return
        for scratch in self.folder.glob(".scratch-*"):
            shutil.rmtree(scratch)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.settings, sort_keys=False))
        wall = self._earlier_s + time.monotonic() - self._start
        write_provenance(self.folder, self.verb, self.key, self.inputs, self.seed, wall)
        (self.folder / _STATE).unlink()
        if self.out.exists():
            self.out.rmdir()
        os.replace(self.folder, self.out)


@contextmanager
def item_folder(folder: Path, name: str) -> Iterator[Path]:
    """Give a scratch folder that becomes ``folder/name`` when the block ends without error."""
    scratch = folder / f".scratch-{name}"
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    yield scratch
    os.replace(scratch, folder / name)


def write_provenance(
    folder: Path,
    verb: str,
    key: str,
    inputs: Mapping[str, str],
    seed: int | None,
    wall_s: float,
) -> None:
    """Write ``provenance.json`` into a folder."""
    record = {
        "verb": verb,
        "key": key,
        "software": provenance.software(),
        "git": provenance.git_state(),
        "seed": seed,
        "inputs": dict(inputs),
        "wall_s": round(wall_s, 2),
        "peak_memory_mib": round(provenance.peak_memory_mib(), 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    text = json.dumps(record, indent=2) + "\n"
    (folder / provenance.FILE).write_text(text, encoding="utf-8")
