"""The detector's network: a residual-encoder U-Net with deep supervision."""

from __future__ import annotations

from monai.networks.nets import SegResNetDS

from fcdsynth.core.errors import SettingsError


def make_network(
    channels: int, width: int, blocks: tuple[int, ...], supervised: int
) -> SegResNetDS:
    """Make MONAI's SegResNetDS: residual blocks on the way down, one light block on the way up.

    It maps (batch, channels, x, y, z) to logits (batch, 1, x, y, z); in training mode to a list
    of logits, full resolution first, each next one halved. Sizes must be divisible by
    ``2 ** (len(blocks) - 1)``.

    Args:
        channels: Input channels.
        width: Feature channels at full resolution, doubled at each level.
        blocks: Residual blocks of each level, full resolution first.
        supervised: Number of resolutions that give logits in training.

    Raises:
        SettingsError: If the numbers do not make a network.
    """
    if width < 4 or len(blocks) < 2 or min(blocks) < 1:
        raise SettingsError(
            "model.width, model.blocks", f"{width}, {list(blocks)}",
            "a width from 4 up and two or more levels of at least one block", "Change the setting.",
        )  # fmt: skip
    if not 1 <= supervised < len(blocks):
        raise SettingsError("model.supervised", str(supervised), f"1 to {len(blocks) - 1}",
                            "Supervise fewer levels than the network has.")  # fmt: skip
    return SegResNetDS(
        spatial_dims=3,
        init_filters=width,
        in_channels=channels,
        out_channels=1,
        # Instances, not batches: two patches are too few for batch statistics.
        norm="INSTANCE",
        blocks_down=tuple(blocks),
        dsdepth=supervised,
    )
