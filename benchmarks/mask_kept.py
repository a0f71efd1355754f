"""Parts of a benchmark that take long, made once for a work folder and the sources they hang on."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from figures import ROOT

_SOURCES = ("fcdsynth/masks/**/*.py", "fcdsynth/measure/**/*.py", "benchmarks/mask_*.py")


def kept(work: Path, world: int, size: Any, name: str, make: Callable[[], Any]) -> tuple[Any, Path]:
    """The pickled result of a part; another size, commit or edit makes a new one.

    Args:
        work: Folder that is kept.
        world: Which world.
        size: How large the benchmark is; all of it counts.
        name: The part.
        make: Makes it.

    Returns:
        The result and its file.
    """
    given = hashlib.sha256(f"{size!r} {_sources()}".encode()).hexdigest()[:12]
    path = work / f"{name}-{world}-{given}.pickle"
    if not path.exists():
        began = time.monotonic()
        made = make()
        partial = path.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(made))
        partial.replace(path)
        print(f"world {world}: {name} took {time.monotonic() - began:.0f} s", flush=True)
    return pickle.loads(path.read_bytes()), path


@lru_cache(maxsize=1)
def _sources() -> str:
    """Commit and a hash of the sources, as they were when first asked."""
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    digest = hashlib.sha256()
    for path in sorted(p for pattern in _SOURCES for p in ROOT.glob(pattern)):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return f"{commit} {digest.hexdigest()}"
