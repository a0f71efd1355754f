"""Execute specs: every lesion of one subject, by its method, each beside the earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.masks.ways.donor import Donor
from fcdsynth.masks.ways.ellipsoid import ellipsoid
from fcdsynth.masks.ways.transplant import transplant

APART_MM = 5.0

Donors = Mapping[tuple[str, int], Donor]


def make(host: Host, spec: LesionSpec, donors: Donors) -> Grown:
    """Make one lesion.

    Args:
        host: The anatomy, earlier lesions taken out.
        spec: The lesion.
        donors: Lesions to transplant, by subject id and number.

    Raises:
        NoRoom: If the front cannot reach the wanted volume.
        SettingsError: If the donor is not there.
    """
    if spec.method == "ellipsoid":
        return ellipsoid(host, spec)
    if spec.method == "transplant":
        donor = donors.get((spec.donor, spec.donor_lesion))
        if donor is None:
            raise SettingsError(
                spec.host, f"no lesion {spec.donor_lesion} of donor {spec.donor}",
                "the training patients that the spec was drawn with", "Draw again.",
            )  # fmt: skip
        return transplant(host, spec, donor)
    return grow(host, spec)


def make_all(host: Host, specs: Sequence[LesionSpec], donors: Donors) -> tuple[Grown, ...]:
    """Make the lesions of one subject in order; they keep 5 mm apart.

    Raises:
        NoRoom: If one of them has no room.
        SettingsError: If a donor is not there.
    """
    made: list[Grown] = []
    for spec in specs:
        if made:
            host = host.beside(made[-1].vox, APART_MM)
        made.append(make(host, spec, donors))
    return tuple(made)
