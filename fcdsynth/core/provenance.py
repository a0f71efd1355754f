"""What made a folder: software versions, git state, settings, seed, hashes of the inputs."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fcdsynth import __version__

FILE = "provenance.json"
_PACKAGES = (
    "numpy", "scipy", "nibabel", "SimpleITK", "scikit-image", "scikit-learn", "torch", "monai",
    "pytorch-lightning", "torchmetrics", "jsonargparse", "deepbet", "dipy", "nilearn",
)  # fmt: skip


def hash_path(path: Path | str) -> str:
    """SHA-256 of a file's bytes, or of a folder's file names and bytes.

    In folders, provenance files are left out (they hold times) and so are hidden files.
    """
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        relative = file.relative_to(path)
        if relative.name == FILE or any(part.startswith(".") for part in relative.parts):
            continue
        digest.update(str(relative).encode())
        digest.update(hash_path(file).encode())
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Turn settings into what JSON and YAML can hold (dataclasses, paths, tuples, enums)."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value if type(value) in (str, bool, int, float, type(None)) else value.__str__()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    return str(value)


def run_key(
    verb: str, settings: Mapping[str, Any], inputs: Mapping[str, str], seed: int | None
) -> str:
    """Hash of everything that decides a run's result: verb, version, settings, inputs, seed."""
    text = json.dumps([verb, __version__, plain(settings), sorted(inputs.values()), seed])
    return hashlib.sha256(text.encode()).hexdigest()


def software() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    versions = {"fcdsynth": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state() -> dict[str, str]:
    """Commit of the code and whether it was changed; empty outside a git checkout."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "changed": str(bool(git("status", "--porcelain")))} if commit else {}


def peak_memory_mib() -> float:
    """Peak resident memory of this process and its finished children so far, MiB (Linux)."""
    peaks = (resource.getrusage(who).ru_maxrss for who in
             (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))  # fmt: skip
    return max(peaks) / 1024
