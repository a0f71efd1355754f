"""The runs of a benchmark, one JSON line each, so that a stopped benchmark goes on."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import track
from fcdsynth.study.relabelling.methods import METHODS, Method
from fcdsynth.study.relabelling.noise import NoiseSettings, Reader
from fcdsynth.study.relabelling.protocol import Curve, Protocol
from fcdsynth.study.relabelling.sets import load_set
from fcdsynth.study.relabelling.simulate import simulate

FILE = "runs.jsonl"
_HERE = Path(__file__).parent
_RELABEL = ("margin", "memory", "neighbours", "weights")
_OWN = ("activelab", "book", "choose", "deepfool", "methods", "network", "noise", "protocol",
        "sets", "simulate", "suspicion")  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large a set's pool, test set and budget are."""

    pool: int
    test: int
    start: int
    batch: int


DIGITS = Size(1257, 540, 100, 60)
LARGER = Size(3000, 2000, 200, 100)


def size_of(data: str) -> Size:
    """The size a set is measured at."""
    return DIGITS if data == "digits" else LARGER


@dataclass(frozen=True)
class Job:
    """One run: what, on what, under which noise, by which seed."""

    data: str
    method: str
    kind: str
    rate: float
    reader: str
    seed: int


def plan(
    data: str, methods: Sequence[Method], noises: Iterable[NoiseSettings], seeds: Iterable[int]
) -> tuple[Job, ...]:
    """All runs, seed by seed; methods without second looks once for both readers.

    Args:
        data: Name of the set.
        methods: What is compared.
        noises: How annotators err.
        seeds: Seeds, shared by all methods.
    """
    jobs = [
        job_of(data, method, noise, seed)
        for noise in noises
        for seed in seeds
        for method in methods
    ]
    return tuple(dict.fromkeys(jobs))


def job_of(data: str, method: Method, noise: NoiseSettings, seed: int) -> Job:
    """The run that serves a method under some noise; without second looks no reader is needed."""
    reader: Reader = noise.reader if method.relabels else "noisy"
    return Job(data, method.name, noise.kind, noise.rate, reader, seed)


def parse_noise(words: str, readers: str) -> tuple[NoiseSettings, ...]:
    """Read ``symmetric-30,pair-10`` and ``clean,noisy``: kinds with percent wrong, readers.

    Raises:
        SettingsError: If a word is not understood.
    """
    found = []
    for word in words.split(","):
        kind, _, percent = word.strip().rpartition("-")
        if not kind or not percent.isdigit():
            raise SettingsError("noise", repr(word), "a kind and a percentage, as symmetric-30",
                                "Write kind-percent, joined by commas.")  # fmt: skip
        for reader in readers.split(","):
            plain = NoiseSettings(rate=int(percent) / 100)
            found.append(replace(plain, kind=kind, reader=reader.strip()))  # type: ignore[arg-type]
    return tuple(found)


def run_jobs(
    jobs: Sequence[Job], folder: Path, source: Path | None = None, protocol: Protocol | None = None
) -> dict[Job, Curve]:
    """Do what is not on file yet, and return all.

    Args:
        jobs: The runs.
        folder: Holds `FILE`, to which each finished run is appended.
        source: Folder of the set's files.
        protocol: Networks, share and rule; start and batch are those of the set's size.

    Raises:
        SettingsError: If a set cannot be read.
    """
    plain = protocol or Protocol()
    stamp = fingerprint(plain)
    known = read_runs(folder, stamp)
    open_ = [job for job in jobs if job not in known]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these networks are too small for two
    try:
        for job in track(open_, "runs"):
            size = size_of(job.data)
            data = load_set(job.data, source, size.pool, size.test, job.seed)
            noise = NoiseSettings(job.kind, job.rate, job.reader)  # type: ignore[arg-type]
            mine = replace(plain, start=size.start, batch=size.batch)
            curve = simulate(data, METHODS[job.method], noise, mine, job.seed)
            line = json.dumps({"code": stamp, "job": asdict(job), "curve": asdict(curve)})
            with (folder / FILE).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            known[job] = curve
    finally:
        torch.set_num_threads(threads)
    return {job: known[job] for job in jobs}


def read_runs(folder: Path, stamp: str) -> dict[Job, Curve]:
    """Runs on file that the same code and protocol made; a torn last line is left out."""
    runs = {}
    for record in _lines(folder / FILE):
        if record["code"] == stamp:
            curve: dict[str, Any] = record["curve"]
            curve |= {name: tuple(curve[name]) for name in ("annotations", "accuracy", "wrong")}
            runs[Job(**record["job"])] = Curve(**curve)
    return runs


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):  # a run was stopped while it wrote
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    for line in text.splitlines():
        yield json.loads(line)


def fingerprint(protocol: Protocol) -> str:
    """Hash of the code that a run depends on (its comments left out), and of the protocol."""
    return hashlib.sha256((_code() + json.dumps(asdict(protocol))).encode()).hexdigest()[:16]


@cache
def _code() -> str:
    room = _HERE.parents[1] / "relabel"
    files = [room / f"{name}.py" for name in _RELABEL] + [_HERE / f"{name}.py" for name in _OWN]
    return hashlib.sha256("".join(_meaning(path) for path in files).encode()).hexdigest()


def _meaning(path: Path) -> str:
    """A module's syntax tree without docstrings, as text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
