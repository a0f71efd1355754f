"""What training and validation leave behind: losses, lesion codes, patches for a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from fcdsynth.synthesis.conditions import LESION, to_prepared
from fcdsynth.synthesis.objective import Drawing
from fcdsynth.synthesis.pictures import Sample

_ACTIVE = 0.01


class Watch:
    """Looks at the drawings of one validation.

    Args:
        pictures: Patches to keep; of several the last one is healthy, where there is one, and of
            three and more one is drawn whole, where full mode is trained.
    """

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self._lesional: list[Sample] = []
        self._healthy: list[Sample] = []
        self._whole: list[Sample] = []
        self._codes: list[Tensor] = []

    def add(self, drawing: Drawing, subjects: Sequence[str]) -> None:
        """Take what is needed of a batch.

        Args:
            drawing: The batch as drawn.
            subjects: Its subjects' ids.
        """
        if drawing.style is not None:
            if not self._whole and self._pictures > 2:
                self._whole.append(_sample(drawing, 0, f"{subjects[0]}, whole"))
            return
        self._codes.append(drawing.mean[drawing.present > 0].cpu())
        for number, subject in enumerate(subjects):
            kept = self._lesional if drawing.present[number] > 0 else self._healthy
            if len(kept) < self._pictures:
                kept.append(_sample(drawing, number, subject))

    @property
    def samples(self) -> list[Sample]:
        """The patches of the picture, lesional ones first."""
        room = self._pictures - len(self._whole)
        healthy = min(len(self._healthy), max(room - len(self._lesional), 1))
        healthy = healthy if room > 1 or not self._lesional else 0
        chosen = self._lesional[: room - healthy] + self._healthy[:healthy]
        return chosen[:room] + self._whole

    def active_units(self) -> int | None:
        """Parts of the lesion code whose mean differs between lesions; None with fewer than two.

        Active units are those with a variance above 0.01 (Burda et al. 2016, ICLR).
        """
        codes = torch.cat(self._codes) if self._codes else torch.zeros(0, 1)
        return int((codes.var(0) > _ACTIVE).sum()) if len(codes) > 1 else None


def note(
    trainer: pl.Trainer, terms: Mapping[str, Tensor], weights: Mapping[str, float], step: int,
    full: bool,
) -> None:  # fmt: skip
    """Log what a training step computed; Lightning's `log` would repeat what an older one did.

    Args:
        trainer: Whose loggers are told, every ``log_every_n_steps`` steps.
        terms: The losses by name.
        weights: Those of all losses.
        step: Number of the step, from 0.
        full: Whether whole brains were drawn; their losses go by names of their own.
    """
    if (step + 1) % trainer.log_every_n_steps:
        return
    shown = {f"full_{name}" if full else name: float(term.detach())
             for name, term in terms.items()}  # fmt: skip
    shown |= {f"{name}_weight": weights[name] for name in ("adversarial", "kl")}
    for logger in trainer.loggers:
        logger.log_metrics({f"synthesis/train/{k}": v for k, v in shown.items()}, step)


def _sample(drawing: Drawing, number: int, subject: str) -> Sample:
    images = (drawing.target, drawing.context, drawing.whole)
    host, blank, redrawn = (to_prepared(i[number].float()).cpu().numpy() for i in images)
    lesion = drawing.labels[number, LESION].cpu().numpy() > 0
    region = drawing.region[number, 0].cpu().numpy() > 0
    return Sample(subject, host, blank, redrawn, lesion, region)
