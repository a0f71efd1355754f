"""How much each of the generator's losses weighs at each step."""

from __future__ import annotations

from typing import Any

_CONSTANT = ("inside", "outside", "texture", "contrast", "spread", "perceptual")


def adversarial_weight(settings: Any, step: int) -> float:
    """Weight of the hinge loss: 0 while the discriminators rest, then it rises."""
    into = step - settings.adversarial_from
    if into < 0:
        return 0.0
    return float(settings.adversarial * min(1.0, (into + 1) / max(settings.adversarial_ramp, 1)))


def weights_at(settings: Any, step: int) -> dict[str, float]:
    """Weights by the losses' names; one that is not computed at this step weighs 0.

    Args:
        settings: Those of `SynthesisTask`.
        step: Training steps done.
    """
    adversarial = adversarial_weight(settings, step)
    # Every few steps alone, and then as much more, so that the sum does not depend on how often.
    lazy = settings.region_every if (step + 1) % settings.region_every == 0 else 0
    weights = {name: float(settings[name]) for name in _CONSTANT}
    return weights | {
        "kl": float(settings.kl * min(1.0, (step + 1) / max(settings.kl_ramp, 1))),
        "region_same": float(settings.region * lazy),
        "region_different": float(settings.region * lazy),
        "adversarial": adversarial,
        "matching": adversarial * float(settings.matching),
    }
