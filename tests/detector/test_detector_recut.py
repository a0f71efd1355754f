"""Maps of detect, cut again at the detector's own operating point."""

import pytest
from known_detector import known_detector
from phantom import prepared_cohort

from fcdsynth.core.detection import Detections
from fcdsynth.core.errors import RunError
from fcdsynth.core.subject import Split
from fcdsynth.detector.detect import detect
from fcdsynth.detector.recut import recut

STRONG = (slice(10, 13), slice(10, 13), slice(10, 13))
WEAK = (slice(15, 17), slice(10, 12), slice(10, 12))


def test_recut_gives_what_detect_would_have_given(tmp_path, monkeypatch):
    names = [f"sub-{n:05d}" for n in range(1, 5)]
    real = prepared_cohort(tmp_path / "real", 2, 2, splits=dict.fromkeys(names, Split.TEST))
    run = known_detector(
        monkeypatch, tmp_path / "run", {"strong": (STRONG, 0.9), "weak": (WEAK, 0.3)}
    )
    words = (str(run), str(real.folder))
    detect(*words, str(tmp_path / "own"), pages=False)
    detect(*words, str(tmp_path / "low"), pages=False, threshold=0.2, min_volume_ml=0.05)
    recut(str(run), str(tmp_path / "low"), str(real.folder), str(tmp_path / "again"))
    own, low, again = (Detections.read(tmp_path / name) for name in ("own", "low", "again"))
    assert [len(low.of(name)) for name in names] == [2] * 4
    assert [len(own.of(name)) for name in names] == [1] * 4
    assert again.clusters == own.clusters
    assert again.operating_point == own.operating_point
    assert again.trained_on == own.trained_on
    for name in names:
        for path in ("probability_path", "clusters_path"):
            one, other = (getattr(found, path)(name) for found in (own, again))
            assert one.read_bytes() == other.read_bytes()


def test_there_must_be_maps(tmp_path, monkeypatch):
    real = prepared_cohort(tmp_path / "real", 1, 1)
    run = known_detector(monkeypatch, tmp_path / "run", {})
    with pytest.raises(RunError):
        recut(str(run), str(tmp_path / "none"), str(real.folder), str(tmp_path / "out"))
