"""Styles of whole scans: those of the training subjects, and new ones of the same law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis.conditions import Batch, label_channels, to_network
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.thinned import STYLE_LESION, STYLE_TARGET, STYLE_TISSUE

HOST, SAMPLED = "host", "sampled"
_FEWEST = 2
_SHOWN = 5


@dataclass(frozen=True)
class Scan:
    """Style of one training scan.

    Args:
        subject: Whose scan.
        site: Where it was made, empty when unknown.
        code: Context style code, from `Generator.encode_style` of the thinned head.
    """

    subject: str
    site: str
    code: tuple[float, ...]


def has_style(batch: Batch) -> bool:
    """Whether a batch holds the thinned heads of its subjects."""
    return STYLE_TARGET in batch


def style_code(generator: Generator, batch: Batch) -> Tensor:
    """Style codes of a batch's thinned heads, shape (batch, style)."""
    tissue, lesion = batch[STYLE_TISSUE], batch[STYLE_LESION]
    none = torch.zeros_like(lesion)
    labels = label_channels(tissue, lesion, none, none)
    code: Tensor = generator.encode_style(to_network(batch[STYLE_TARGET].float()), labels)
    return code


@torch.no_grad()
def code_of(generator: Generator, head: Mapping[str, NDArray[Any]]) -> tuple[float, ...]:
    """Style code of one thinned head, as it is written down."""
    device = next(generator.parameters()).device
    batch = {key: torch.from_numpy(array)[None].to(device) for key, array in head.items()}
    return tuple(round(float(x), 6) for x in style_code(generator, batch)[0])


def law_of(scans: Sequence[Scan]) -> dict[str, Any] | None:
    """Mean and covariance of the codes, in plain numbers; None with fewer than two scans."""
    if len(scans) < _FEWEST:
        return None
    codes = np.array([scan.code for scan in scans])
    return {
        "mean": [round(float(x), 6) for x in codes.mean(0)],
        "covariance": [[round(float(x), 9) for x in row] for row in np.atleast_2d(np.cov(codes.T))],
    }


def normal_like(codes: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a code from the normal law with some codes' mean and covariance.

    Standard normal weights on the codes' deviations have that very law: no matrix is taken
    apart, and the same numbers come out on any machine. Codes are often longer than they are
    many; a new one lies in the space that the known ones span.

    Args:
        codes: Shape (known, code); of a single one comes the same.
        rng: Source of the weights.

    Returns:
        Shape (code,).
    """
    known = np.asarray(codes, dtype=float)
    mean = known.mean(0)
    weights = rng.standard_normal(len(known)) / np.sqrt(max(len(known) - 1, 1))
    return np.asarray(mean + (weights[:, None] * (known - mean)).sum(0))


def sample(scans: Sequence[Scan], rng: np.random.Generator) -> tuple[float, ...]:
    """Draw the code of a scan that could be one of these, see `normal_like`."""
    return tuple(round(float(x), 6) for x in normal_like([scan.code for scan in scans], rng))


def require_scans(scans: Sequence[Scan], scan_style: str) -> None:
    """Refuse full mode with a generator that does not know it, and a style that is not there.

    Raises:
        SettingsError: Naming the setting.
    """
    if not scans:
        raise SettingsError(
            "mode", "full, with a generator trained with data.full_share 0",
            "a generator that was trained to draw whole brains",
            "Fit with configs/synthesis/full.yaml, or another data.full_share above 0.",
        )  # fmt: skip
    if scan_style == SAMPLED and len(scans) < _FEWEST:
        raise SettingsError("scan_style", f"{SAMPLED}, with {len(scans)} training scan",
                            f"at least {_FEWEST} training scans", "Give host.")  # fmt: skip
    known = [scan.subject for scan in scans]
    if scan_style not in (HOST, SAMPLED, *known):
        shown = ", ".join(known[:_SHOWN]) + (" ..." if len(known) > _SHOWN else "")
        raise SettingsError(
            "scan_style", scan_style, f"{HOST}, {SAMPLED} or a training subject: {shown}",
            "Name a training subject of the generator.",
        )  # fmt: skip
