"""What all benchmarks share: the command line, the table on the screen, and the flat JSON file."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from statsmodels.stats.proportion import proportion_confint

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        value: The number.
        n: What it was measured on (subjects, lesions, runs).
        interval: 95 % interval for shares, lowest and highest of the n values otherwise.
        goal: What was asked for, as text; empty when nothing was.
        met: Whether the goal is reached; None without a goal.
    """

    value: float
    n: int
    interval: tuple[float, float]
    goal: str = ""
    met: bool | None = None


@dataclass
class Figures:
    """The figures of one benchmark, in the order in which they were measured."""

    stage: str
    quick: bool
    figures: dict[str, Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self, name: str, value: float, n: int, interval: tuple[float, float],
        at_least: float | None = None, at_most: float | None = None,
    ) -> None:  # fmt: skip
        """Add a figure, with the goal it has in the full benchmark."""
        goal, met = "", None
        if self.quick:  # too small and too coarse to be held against a goal
            at_least = at_most = None
        goals = []
        if at_least is not None:
            goals.append((f">= {at_least:g}", bool(value >= at_least)))
        if at_most is not None:
            goals.append((f"<= {at_most:g}", bool(value <= at_most)))
        if goals:
            goal, met = ", ".join(text for text, _ in goals), all(held for _, held in goals)
        low, high = (float(v) for v in interval)
        self.figures[name] = Figure(float(value), n, (low, high), goal, met)

    def add_values(
        self, name: str, values: Sequence[float], how: str = "median",
        at_least: float | None = None, at_most: float | None = None,
    ) -> None:  # fmt: skip
        """Add the median, max or mean of some values, their range as the interval."""
        array = np.asarray(values, dtype=float)
        value = {"median": np.median, "max": np.max, "mean": np.mean}[how](array)
        self.add(name, float(value), len(array), (array.min(), array.max()), at_least, at_most)

    def add_share(
        self, name: str, hits: int, n: int, at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:  # fmt: skip
        """Add a share with its Wilson interval."""
        low, high = proportion_confint(hits, n, method="wilson") if n else (0.0, 1.0)
        self.add(name, hits / n if n else 0.0, n, (low, high), at_least, at_most)

    def show(self) -> None:
        """Print the table."""
        width = max((len(name) for name in self.figures), default=6)
        print(f"{self.stage}{' (quick)' if self.quick else ''}")
        for name, f in self.figures.items():
            mark = {True: "met", False: "NOT MET", None: ""}[f.met]
            low, high = f.interval
            print(f"  {name:<{width}}  {f.value:9.3f}  n = {f.n:<4d} [{low:.3f}, {high:.3f}]"
                  f"  {f.goal:>9}  {mark}")  # fmt: skip
        for note in self.notes:
            print(f"  {note}")

    def write(self, path: Path) -> None:
        """Write the flat JSON file: figure name to value, n and interval, commit and date."""
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "stage": self.stage,
            "quick": self.quick,
            "commit": commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "cores": os.cpu_count(),
            "notes": self.notes,
            "figures": {name: asdict(f) for name, f in self.figures.items()},
        }
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def part(figures: Figures, folder: Path, name: str, measure: Callable[[Figures], None]) -> None:
    """Add the figures of one part of a long benchmark, measured before by the same code or now.

    Args:
        figures: Where to.
        folder: Where parts are kept.
        name: Name of the part.
        measure: Adds them.
    """
    path, code = folder / f"figures-{name}.json", _code()
    if path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
        if code and record["code"] == code:
            kept = {k: Figure(**{**v, "interval": tuple(v["interval"])})
                    for k, v in record["figures"].items()}  # fmt: skip
            figures.figures |= kept
            figures.notes += record["notes"]
            return
    found = Figures(figures.stage, figures.quick)
    measure(found)
    record = {"code": code, "notes": found.notes,
              "figures": {key: asdict(f) for key, f in found.figures.items()}}  # fmt: skip
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    figures.figures |= found.figures
    figures.notes += found.notes


def keep_part(figures: Figures, name: str) -> None:
    """Keep a part beside the results, with commit and date, for a whole measured over days."""
    path = RESULTS / figures.stage / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"commit": commit(), "date": datetime.now(UTC).date().isoformat(),
              "notes": figures.notes,
              "figures": {key: asdict(f) for key, f in figures.figures.items()}}  # fmt: skip
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def add_kept(figures: Figures, name: str) -> None:
    """Add a part as it was kept; where it was never measured, a note says so."""
    path = RESULTS / figures.stage / f"{name}.json"
    if not path.is_file():
        figures.notes.append(f"{name} was not measured")
        return
    record = json.loads(path.read_text(encoding="utf-8"))
    figures.notes += [f"{name}: commit {record['commit']}, {record['date']}", *record["notes"]]
    figures.figures |= {k: Figure(**{**v, "interval": tuple(v["interval"])})
                        for k, v in record["figures"].items()}  # fmt: skip


def _code() -> str:
    """What the code and the benchmarks are in git; empty when files differ from it."""
    if commit().endswith("+"):
        return ""
    return " ".join(_git("rev-parse", "HEAD:fcdsynth", "HEAD:benchmarks").split())


def commit() -> str:
    """Hash of the commit that is checked out, with ``+`` when files differ from it."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "fcdsynth", "benchmarks",
                   ":!benchmarks/results")  # fmt: skip
    return _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True,
                          check=True).stdout.strip()  # fmt: skip


def arguments(description: str, **more: int | str) -> argparse.Namespace:
    """Options every benchmark has, ``--out``, ``--quick``, ``--work``, and some of its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="a small version, below 50 seconds")
    parser.add_argument(
        "--work", type=Path, help="folder that is kept, so that a stopped run goes on"
    )
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of test data")
    parser.add_argument("--workers", type=int, default=2)
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def data_folder() -> Path:
    """Folder of real data for measurements: FCDSYNTH_DATA, or shared/data beside the checkout."""
    return Path(os.environ.get("FCDSYNTH_DATA", ROOT.parent / "shared" / "data"))


def finish(figures: Figures, out: Path | None) -> None:
    """Print, write where asked for, and end with status 1 when a goal is not met."""
    figures.show()
    if out:
        figures.write(out)
    if any(f.met is False for f in figures.figures.values()):
        sys.exit(1)


def peak_gib() -> float:
    """Largest memory this process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def peak_children_gib() -> float:
    """Largest memory any ended child process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
