"""What every figure of the page means, in words; the formulas stand in the code they name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GLOSSARY: Mapping[str, str] = MappingProxyType(
    {
        "Lesion, cluster": "A 26-connected part of the reference mask; a cluster of the detector "
        "in native T1w space. Distances are in millimetres between voxel centres.",
        "Hit rules": "Overlap: cluster and lesion share a voxel. IoU: shared voxels over voxels "
        "of either are at least 0.1. Centre: the centres of mass lie within 10 mm. Near: any two "
        "voxels lie within 20 mm, comparable with MELD's border zone. Under IoU and centre one "
        "cluster counts for one lesion (maximum matching).",
        "True, extra and false clusters": "True found a lesion. Extra hits a lesion that another "
        "cluster already found: neither true nor false, counted apart. False hits none.",
        "Sensitivity (patients found)": "Patients with at least one found lesion, over patients.",
        "Lesion recall": "Found lesions over lesions; a patient may have several.",
        "Specificity": "Controls without any cluster, over controls.",
        "False positives per patient, per control": "False clusters over subjects, the two "
        "groups apart: false positives in controls cannot be hidden lesions.",
        "PPV": "True clusters over true and false clusters. It depends on how many controls were "
        "evaluated; beside it stands the same for clusters of patients only.",
        "Cluster F1": "Twice the found lesions over found lesions, all lesions and false clusters "
        "together: the harmonic mean of recall and precision.",
        "Dice": "Twice the shared voxels over the voxels of both. Of found lesions: lesion "
        "against the cluster that found it. Of the whole mask: all lesions against all clusters, "
        "missed patients counted as 0.",
        "Surface distance": "Of a found lesion and its cluster: the mean over both surfaces of "
        "the distance to the other (ASSD), and the 95th percentile of these distances (HD95).",
        "Lesion-site probability": "Maximum, mean and 95th percentile of the map inside a lesion, "
        "found or missed; beside it the same at the mirrored lesion and, averaged, at random "
        "sites of the same volume.",
        "AUROC": "Chance that a random patient's highest score exceeds a random control's, ties "
        "counted half; interval by DeLong.",
        "FROC": "Lesion recall against false positives as the score threshold falls to the "
        "operating point. Recall at a fixed rate: the highest recall with at most that many "
        "false positives per control.",
        "Chance level": "The same figure when the clusters, of the same sizes, are thrown "
        "anywhere into the same brain.",
        "Calibration": "Expected calibration error: mean over units of the distance between "
        "share of hits and mean probability, in bins of equal width. Brier: mean squared "
        "difference of score and hit.",
        "Intervals": "95 %. Wilson for proportions of subjects, with an effective n where lesions "
        "or clusters share a subject; quasi-Poisson for mean counts, exact Poisson where all are "
        "zero; DeLong for AUROC; bias-corrected bootstrap of subjects (BCa) within site and group "
        "otherwise, relatives drawn together.",
        "Tests": "Exact McNemar for found or missed and clean or not; Wilcoxon signed-rank and "
        "paired permutation for probabilities, counts and averages over seeds; DeLong for AUROC; "
        "Holm over compared arms. Two-sided.",
        "Introduced, removed": "A failure in at least half of the second arm's runs and in none "
        "of the first's; the reverse.",
    }
)
