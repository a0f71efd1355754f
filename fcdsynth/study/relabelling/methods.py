"""What is compared: how a method picks new items, and which old ones it has labelled again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fcdsynth.core.errors import SettingsError

NewItems = Literal["random", "margin", "deepfool", "activelab"]
OldItems = Literal[
    "none", "random", "self-confidence", "cross-entropy", "activelab", "channels", "oracle"
]
BOUNDARY, NEIGHBOURS = "boundary", "neighbours"


@dataclass(frozen=True)
class Method:
    """One way to spend annotations.

    Args:
        name: Short name, for tables.
        title: What it is, for people.
        new: How unlabelled items are picked.
        old: How labelled items are picked for another look.
        channels: Channels of suspicion, where ``old`` is ``channels``.
        dynamic: Whether their weights follow confirmed hits; equal otherwise.
        smoothed: Whether suspicion is smoothed over rounds.
        withheld: Whether labels that both channels speak against do not train, unless a second
            look agreed with them.
        noise_free: Whether annotators never err: the ceiling.
    """

    name: str
    title: str
    new: NewItems
    old: OldItems = "none"
    channels: tuple[str, ...] = ()
    dynamic: bool = False
    smoothed: bool = False
    withheld: bool = False
    noise_free: bool = False

    @property
    def out_of_fold(self) -> bool:
        """Whether it needs networks that have not seen an item."""
        return self.old in ("self-confidence", "cross-entropy", "activelab") or (
            BOUNDARY in self.channels
        )

    @property
    def plain_labels(self) -> bool:
        """Whether what annotators said trains as it is, without a consensus or withholding."""
        return not self.withheld and self.new != "activelab"

    @property
    def relabels(self) -> bool:
        """Whether it ever looks twice."""
        return self.old != "none"


_BOTH = (BOUNDARY, NEIGHBOURS)
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("passive", "Passive: random new items", "random"),
        Method("none", "Margin active learning, no second looks", "margin"),
        Method("dfal", "DFAL (DeepFool), no second looks", "deepfool"),
        Method("random", "Margin + random second looks", "margin", "random"),
        Method("self-confidence", "Margin + least self-confidence", "margin", "self-confidence"),
        Method("cross-entropy", "Margin + cross-entropy - entropy", "margin", "cross-entropy"),
        Method("activelab", "ActiveLab, its own split", "activelab", "activelab"),
        Method("boundary", "Boundary only", "margin", "channels", (BOUNDARY,)),
        Method("neighbours", "Neighbours only", "margin", "channels", (NEIGHBOURS,)),
        Method("fixed", "Boundary + neighbours, equal weights", "margin", "channels", _BOTH),
        Method("dynamic", "Boundary + neighbours, dynamic weights", "margin", "channels", _BOTH,
               True),
        Method("smoothed", "Boundary + neighbours, dynamic, smoothed", "margin", "channels",
               _BOTH, True, True),
        Method("engine", "Engine: the same, doubted labels withheld", "margin", "channels",
               _BOTH, True, True, True),
        Method("withheld", "Margin, doubted labels withheld, no second looks", "margin", "none",
               _BOTH, withheld=True),
        Method("oracle", "Margin + an oracle that knows what is wrong", "margin", "oracle"),
        Method("noise-free", "Margin, annotators that never err", "margin", noise_free=True),
    )
}  # fmt: skip


def find_methods(names: str) -> tuple[Method, ...]:
    """Methods by name, joined by commas; ``all`` for all.

    Raises:
        SettingsError: If one is unknown.
    """
    if names == "all":
        return tuple(METHODS.values())
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in METHODS:
            raise SettingsError("methods", repr(name), ", ".join(METHODS), "Name one of them.")
    return tuple(METHODS[name] for name in dict.fromkeys(wanted))
