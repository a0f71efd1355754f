"""What panoptica and picai_eval say about the same volumes; run by the python that has them.

They pin an older numpy than fcdsynth needs, so they live in an environment of their own and
this file imports nothing of fcdsynth. ``agree FOLDER OUT`` reads the cases that
evaluation_oracles.py wrote and leaves JSON; ``time`` answers on standard input, one request a
line, so that the two sides can be timed in turn.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from panoptica import InputType, Metric, Panoptica_Evaluator
from panoptica.instance_approximator import ConnectedComponentsInstanceApproximator
from panoptica.instance_matcher import MaxBipartiteMatching, NaiveThresholdMatching
from panoptica.metrics._surface_distances import _surface_distance_pair
from panoptica.utils.citation_reminder import disable_citation_reminder
from panoptica.utils.edge_case_handling import (
    EdgeCaseHandler,
    EdgeCaseResult,
    MetricZeroTPEdgeCaseHandling,
)
from panoptica.utils.input_check_and_conversion.sanity_checker import (
    sanity_check_and_convert_to_array,
)
from panoptica.utils.speed_toggles import PanopticaSpeedToggles
from picai_eval.eval import evaluate, evaluate_case
from scipy import stats
from scipy.spatial.distance import cdist
from statsmodels.stats.proportion import proportion_confint

METRICS = [Metric.DSC, Metric.IOU, Metric.ASSD, Metric.HD95, Metric.CEDI]
MATCHERS = {
    "overlap": lambda: NaiveThresholdMatching(Metric.IOU, 0.0, strict_threshold=True),
    "iou": lambda: MaxBipartiteMatching(Metric.IOU, 0.1),
}
# The metrics its evaluator computes when none are named, and the cheapest that say found or not.
SETTINGS = {
    "default": [Metric.DSC, Metric.IOU, Metric.ASSD, Metric.RVD],
    "lightest": [Metric.DSC, Metric.IOU],
}


def evaluator(matcher: str, metrics: list[Metric], **more: object) -> Panoptica_Evaluator:
    """Panoptica on binary masks, or on labelled ones when ``expected_input`` says so."""
    edges = {m: MetricZeroTPEdgeCaseHandling(default_result=EdgeCaseResult.NAN) for m in Metric}
    edges |= EdgeCaseHandler().listmetric_zeroTP_handling
    settings = {
        "expected_input": InputType.SEMANTIC,
        "instance_approximator": ConnectedComponentsInstanceApproximator(),
        "instance_matcher": MATCHERS[matcher](),
        "edge_case_handler": EdgeCaseHandler(edges),
        "instance_metrics": metrics,
        "global_metrics": [Metric.DSC],
    }
    return Panoptica_Evaluator(**{**settings, **more})


def surfaces(ref: NDArray, pred: NDArray, spacing: list[float]) -> dict[str, float]:
    """Panoptica's surface distances, averaged the two ways and cut at 95 % the two ways."""
    to_pred, to_ref = _surface_distance_pair(ref, pred, voxelspacing=spacing)
    both = np.concatenate([to_pred, to_ref])
    return {
        "assd_pooled": float(both.mean()),
        "assd_halves": float((to_pred.mean() + to_ref.mean()) / 2),
        "hd95_larger": float(max(np.percentile(to_pred, 95), np.percentile(to_ref, 95))),
        "hd95_pooled": float(np.percentile(both, 95)),
    }


def panoptica_says(case: dict[str, NDArray], matcher: str) -> dict[str, object]:
    """Counts, and the metrics of every matched pair; a component is named by its first voxel."""
    lesion, spacing = case["lesion"], [float(x) for x in case["spacing"]]
    run = evaluator(matcher, METRICS, speed_toggles=PanopticaSpeedToggles(crop_at_start=False))
    result = run.evaluate(
        (case["detection"] > 0).astype(np.uint8), lesion, voxelspacing=spacing,
        log_intermediate_steps=True,
    )["ungrouped"]  # fmt: skip
    pairs = []
    if result.tp:
        steps = result.intermediate_steps_data
        ref = steps.reference_arr(InputType.MATCHED_INSTANCE)
        pred = steps.prediction_arr(InputType.MATCHED_INSTANCE)
        matched = [n for n in np.unique(ref[ref > 0]) if (pred == n).any()]
        for place, number in enumerate(matched):
            one, other = ref == number, pred == number
            pairs.append(
                {"lesion": int(np.flatnonzero(one)[0]), "cluster": int(np.flatnonzero(other)[0])}
                | {m.name: float(result.get_list_metric(m, "ALL")[place]) for m in METRICS}
                | surfaces(one, other, spacing)
            )
    return {
        "tp": int(result.tp), "fp": int(result.fp), "fn": int(result.fn),
        "dice": float(result.global_bin_dsc), "pairs": pairs,
    }  # fmt: skip


def picai_says(case: dict[str, NDArray]) -> list[list[float]]:
    """Its list of (lesion or not, confidence, overlap), missed lesions at confidence 0."""
    found, *_ = evaluate_case(case["detection"], case["lesion"])
    return [[float(x) for x in entry] for entry in found]


def gaps(case: dict[str, NDArray]) -> dict[str, float]:
    """Smallest distance from each cluster to any lesion voxel, by the cluster's first voxel."""
    clusters = cc3d.connected_components(case["detection"] > 0, connectivity=26)
    lesion = np.argwhere(case["lesion"]) * case["spacing"]
    if not len(lesion):
        return {}
    return {
        str(np.flatnonzero(clusters == n)[0]): float(
            cdist(np.argwhere(clusters == n) * case["spacing"], lesion).min()
        )
        for n in range(1, clusters.max() + 1)
    }


def cohort_says(cases: list[dict[str, NDArray]]) -> dict[str, object]:
    """AUROC, average precision and FROC by picai_eval; Wilson and McNemar by two libraries."""
    metrics = evaluate(
        [case["detection"] for case in cases], [case["lesion"] for case in cases],
        num_parallel_calls=1,
    )  # fmt: skip
    patients = [bool(case["lesion"].any()) for case in cases]
    two = 0 < sum(patients) < len(cases)
    counts = metrics.calculate_counts()
    hits = [any(e[0] and e[1] > 0 for e in metrics.lesion_results[i]) for i in range(len(cases))]
    n_hit, n = sum(hits), sum(patients)
    ways = {
        "statsmodels": proportion_confint(n_hit, n, method="wilson"),
        "scipy": tuple(stats.binomtest(n_hit, n).proportion_ci(0.95, "wilson")),
    }
    return {
        "auroc": float(metrics.auroc) if two else None,
        "ap": float(metrics.AP),
        "thresholds": [float(x) for x in metrics.thresholds],
        "tp": [float(x) for x in counts["TP"]],
        "fp": [None if np.isinf(x) else float(x) for x in counts["FP"]],
        "n_lesions": int(metrics.num_lesions),
        "wilson": {name: [float(x) for x in ends] for name, ends in ways.items()},
        "wilson_of": [n_hit, n],
        "mcnemar": [
            [a, b, float(stats.binomtest(a, a + b).pvalue) if a + b else 1.0]
            for a in range(9) for b in range(9)
        ],
    }  # fmt: skip


def agree(folder: Path, out: Path) -> None:
    """Everything both libraries say about the cases of a folder."""
    cases = []
    for path in sorted(folder.glob("case-*.npz")):
        with np.load(path) as kept:
            cases.append({name: kept[name] for name in kept.files})
    cohorts: dict[int, list[dict[str, NDArray]]] = {}
    for case in cases:
        cohorts.setdefault(int(case["cohort"]), []).append(case)
    answer = {
        "cases": [
            {name: panoptica_says(case, name) for name in MATCHERS}
            | {"picai": picai_says(case), "gaps": gaps(case)}
            for case in cases
        ],
        "cohorts": {str(n): cohort_says(members) for n, members in cohorts.items()},
    }
    out.write_text(json.dumps(answer))


def answer_timings() -> None:
    """Answer requests, one a line, with seconds as JSON; see `time_one` and `time_sweep`."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = time_sweep(request) if "keep" in request else time_one(request)
        print(json.dumps(answer), flush=True)


def time_one(request: dict[str, Any]) -> dict[str, Any]:
    """One rule at one threshold: from arrays in memory, and with panoptica reading the files."""
    run = evaluator("overlap", SETTINGS[request["metrics"]],
                    expected_input=InputType[request["input"]])  # fmt: skip
    paths = request["clusters"], request["lesion"]
    (arrays, about), _ = sanity_check_and_convert_to_array(*paths)
    seconds: dict[str, list[float]] = {"arrays": [], "files": []}
    for _ in range(request["repeats"]):
        start = time.perf_counter()
        run.evaluate(*arrays, voxelspacing=about["voxelspacing"])
        seconds["arrays"].append(time.perf_counter() - start)
        start = time.perf_counter()
        run.evaluate(*paths)
        seconds["files"].append(time.perf_counter() - start)
    return seconds


def time_sweep(request: dict[str, Any]) -> dict[str, Any]:
    """What a FROC by overlap and one by IoU need: a run for each rule and each set of clusters.

    Dropping the clusters below a threshold is not timed.
    """
    start = time.perf_counter()
    (arrays, about), _ = sanity_check_and_convert_to_array(request["clusters"], request["lesion"])
    reading = time.perf_counter() - start
    clusters, lesion = arrays
    total = 0.0
    for matcher in MATCHERS:
        run = evaluator(matcher, SETTINGS[request["metrics"]])
        for labels in request["keep"]:
            kept = np.where(np.isin(clusters, labels), clusters, 0)
            start = time.perf_counter()
            run.evaluate(kept, lesion, voxelspacing=about["voxelspacing"])
            total += time.perf_counter() - start
    return {"arrays": [total], "files": [total + reading]}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    disable_citation_reminder()
    if sys.argv[1] == "agree":
        agree(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        answer_timings()
