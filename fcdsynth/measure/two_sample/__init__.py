"""Tests of whether two samples come from one law: feature by feature, and all features at once."""

from fcdsynth.measure.two_sample.classifier import (
    CLASSIFIERS,
    HEADLINE,
    ClassifierTest,
    classifier_auroc,
    classifier_test,
)
from fcdsynth.measure.two_sample.counts import CountTest, count_test
from fcdsynth.measure.two_sample.distances import DistanceTest, energy_test, mmd_test
from fcdsynth.measure.two_sample.features import FeatureTest, feature_tests
from fcdsynth.measure.two_sample.neighbours import Neighbours, neighbours
from fcdsynth.measure.two_sample.samples import Pooled, pool, shuffled_labels

__all__ = [
    "CLASSIFIERS",
    "HEADLINE",
    "ClassifierTest",
    "CountTest",
    "DistanceTest",
    "FeatureTest",
    "Neighbours",
    "Pooled",
    "classifier_auroc",
    "classifier_test",
    "count_test",
    "energy_test",
    "feature_tests",
    "mmd_test",
    "neighbours",
    "pool",
    "shuffled_labels",
]
