"""Masks and label versions written into a ledger by hand."""

import numpy as np

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.records import LabelMade, LabelStatus, SubjectAdded, label_id

GRID = Grid.of((8, 9, 10), [[2, 0, 0.1, -7], [0, 2, 0, 3], [-0.1, 0, 2, 5], [0, 0, 0, 1]])


def mask_of(seed):
    """A mask of its own for every seed."""
    return Volume(np.random.default_rng(seed).random(GRID.shape) > 0.7, GRID)


def add_label(ledger, subject, seed, origin="human", rank=2, parent="", status="active"):
    """Write a label version, and its subject where it is new; the label's id."""
    mask = mask_of(seed)
    digest = ledger.store_mask(mask)
    label = label_id(subject, digest)
    if subject not in ledger.state.subjects:
        ledger.append(SubjectAdded(subject, "patient", "real"), "test")
    ledger.append(LabelMade(label, subject, digest, origin, rank, parent=parent), "test")
    if status:
        ledger.append(LabelStatus(label, status, "test"), "test")
    return label
