"""The prior as a whole: fitted by hand, written and read back, refused when it is not whole."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import load_host, make_host
from fcdsynth.masks.laws.density import MAP_GRID, Density
from fcdsynth.masks.laws.depth import DepthSlope
from fcdsynth.masks.laws.fit import fit_prior, prior_from
from fcdsynth.masks.laws.held_out import held_out_gain
from fcdsynth.masks.laws.lesions import lesions_of, mask_of
from fcdsynth.masks.laws.measured import RIBBON_SAMPLE, measured_from, spread
from fcdsynth.masks.laws.prior import LesionPrior, map_beside
from fcdsynth.masks.laws.site import SiteLaw
from fcdsynth.masks.laws.site_fit import fit_site
from fcdsynth.masks.placement import place

sys.path.insert(0, str(Path(__file__).parent))
from banks import folded_head, spec_at
from patients import egg, lesion, patient
from phantom import prepared_cohort


def cohort_of(count, **more):
    """Patients with one lesion each, in a cluster on the right."""
    ribbon = egg()
    near = np.argsort(np.linalg.norm(ribbon - [50, 10, 35], axis=1))
    return [
        patient(f"sub-{i:05d}", ribbon[near[4 * i]],
                lesions=(lesion(f"sub-{i:05d}", volume_ml=1.0 + i, cortex=0.3 + 0.01 * i, **more),))
        for i in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    return prior_from(cohort_of(14), fwhm_mm=20.0, cohort="tiny")


def test_no_patients_give_the_published_prior():
    assert prior_from([]) == LesionPrior()


def test_prior_by_hand():
    patients = cohort_of(12)
    prior = prior_from(patients, fwhm_mm=20.0, seed=3, cohort="tiny")
    assert prior.fitted_on == tuple(f"sub-{i:05d}" for i in range(12))
    assert dict(prior.subtypes)["IIb"] == pytest.approx((12 + 20 * 0.68) / 32)
    shares = [0.3 + 0.01 * i for i in range(12)]
    assert prior.ribbon_floor == pytest.approx(np.quantile(shares, 0.05))
    assert (prior.size.n, prior.number.n, prior.shapes.n) == (12, 12, 12)
    left_out = fit_site(patients, fwhm_mm=20.0).seeds
    expected = np.log(np.quantile(np.concatenate(list(left_out.values())), 0.01))
    assert prior.site_floor == pytest.approx(expected, abs=1e-3)
    assert prior.site.density is not None
    report = prior.report
    assert (report.cohort, report.patients, report.lesions, report.placed, report.seed) == (
        "tiny", 12, 12, 12, 3)  # fmt: skip


def test_few_lesions_leave_the_floors_and_shapes_at_their_defaults():
    prior = prior_from(cohort_of(4))
    assert (prior.ribbon_floor, prior.site_floor, prior.shapes) == (0.3, None, None)
    assert prior.site.density is None
    unplaced = prior_from([patient(f"sub-{i:05d}", None) for i in range(12)])
    assert (unplaced.site.lobe_weight, unplaced.site_floor, unplaced.report.placed) == (1, None, 0)


def test_the_same_patients_give_the_same_prior_and_in_any_order_the_same_choice():
    patients = cohort_of(7)
    one, again, back = (prior_from(p, fwhm_mm=20.0) for p in (patients, patients, patients[::-1]))
    assert one.digest == again.digest
    assert back.fitted_on == one.fitted_on
    assert (back.site.lobe_weight, back.site.mirror) == (one.site.lobe_weight, one.site.mirror)


def test_round_trip_through_the_files(tmp_path, fitted):
    for name, prior in (("published.json", LesionPrior()), ("prior.json", fitted)):
        path = prior.write(tmp_path / name)
        again = LesionPrior.read(path)
        assert again == prior
        assert (again.to_json(), again.digest) == (prior.to_json(), prior.digest)
        json.loads(path.read_text(), parse_constant=pytest.fail)  # no NaN: plain JSON
    # The published prior needs no map; the fitted one has it as a volume that viewers open.
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "prior.json", "prior_site.nii.gz", "published.json"]  # fmt: skip
    volume = read_volume(tmp_path / "prior_site.nii.gz")
    assert volume.grid.close_to(MAP_GRID)
    assert volume.array.sum() * MAP_GRID.voxel_ml == pytest.approx(1, abs=0.01)
    points = egg()
    np.testing.assert_array_equal(again.site.weights(points), fitted.site.weights(points))


def test_the_json_holds_no_place_of_a_lesion(fitted):
    record = json.loads(fitted.to_json())
    assert set(record["site"]) == {"fwhm_mm", "lobe_weight", "mirror", "lobes", "map"}
    assert set(record["site"]["map"]) == {"holds", "grid", "sha256"}
    assert "seed_vox" not in fitted.to_json()


def test_digest_covers_everything(fitted):
    other = np.array(fitted.site.density.per_ml)
    other[20, 20, 20] += 1e-6
    changed = [
        replace(fitted, site=replace(fitted.site, density=Density(other))),
        replace(fitted, site_floor=-3.0),
        replace(fitted, depth=DepthSlope(1.0, 0.0)),
        replace(fitted, shapes=None),
        replace(fitted, fitted_on=("sub-00099",)),
        replace(fitted, report=None),
        replace(fitted, number=replace(fitted.number, n=99)),
    ]
    assert len({p.digest for p in [fitted, *changed]}) == 8


def test_a_prior_without_its_map_is_refused(tmp_path, fitted):
    path = fitted.write(tmp_path / "prior.json")
    beside = map_beside(path)
    whole = read_volume(beside)
    beside.unlink()
    with pytest.raises(SettingsError, match="no site map"):
        LesionPrior.read(path)
    write_volume(beside, Volume(whole.array * 1.01, whole.grid))
    with pytest.raises(SettingsError, match="not those that were fitted"):
        LesionPrior.read(path)
    moved = MAP_GRID.matrix.copy()
    moved[0, 3] += 4
    write_volume(beside, Volume(whole.array, Grid.of(MAP_GRID.shape, moved)))
    with pytest.raises(SettingsError, match=r"prior_site.*51 x 56 x 51"):
        LesionPrior.read(path)
    beside.write_bytes(b"no image")
    with pytest.raises(SettingsError, match="readable NIfTI"):
        LesionPrior.read(path)


def test_a_prior_of_another_template_is_refused(tmp_path, fitted):
    path = fitted.write(tmp_path / "prior.json")
    record = json.loads(path.read_text()) | {"template": "colin27"}
    path.write_text(json.dumps(record))
    with pytest.raises(SettingsError, match="space of colin27"):
        LesionPrior.read(path)


@pytest.mark.parametrize("text", [
    "{", "[1]", '{"sise": {}}', '{"size": {"median_ml": -2}}', '{"subtype_shares": {"IIa": 0.2}}',
    '{"track_share": 3}', '{"depth": {"b0": NaN}}', '{"site": {"lobe_weight": 0.5}}',
    '{"site": {"lobes": {"FL": 1}}}', '{"lesions_per_patient": {"shares_1_2_3": [1], "n": 1}}',
    '{"growths": {}}', '{"shapes": {"mean": {}}}', '{"site_floor_ln": Infinity}',
    '{"fit": {"cohort": "x"}}', '{"size": {"goodness": {"ks": 1}}}',
])  # fmt: skip
def test_bad_priors(text):
    with pytest.raises(SettingsError):
        LesionPrior.from_json(text)


def test_prior_file_absent(tmp_path):
    with pytest.raises(SettingsError, match="no file"):
        LesionPrior.read(tmp_path / "none.json")


def seeded_patient(name="folded", lesion_at=(0.3,)):
    """The folded head of 6 mm voxels with lesions of eight voxels around some ribbon voxels."""
    host = folded_head(spacing_mm=6.0, size=22)
    mask = np.zeros(host.grid.shape, dtype=bool)
    for share in lesion_at:
        x, y, z = host.ribbon_vox[int(share * (len(host.ribbon_vox) - 1))]
        mask[x : x + 2, y : y + 2, z : z + 2] = True
    return replace(host, subject=name), lesions_of(host, mask)


def test_gain_is_the_log_probability_that_placement_gives(fitted):
    host, lesions = seeded_patient(lesion_at=(0.05, 0.75))
    assert len(host.ribbon_vox) < RIBBON_SAMPLE  # the sample is the whole ribbon
    assert len(lesions) == 2
    gain = held_out_gain(fitted, [measured_from(host, lesions)])
    for one, (_, number, value) in zip(lesions, gain.per_lesion, strict=True):
        index = np.flatnonzero((host.ribbon_vox == one.seed_vox).all(axis=1))[0]
        p = place(host, fitted).probabilities(one.volume_ml)[index]
        assert value == pytest.approx(math.log(p * len(host.ribbon_vox)), abs=1e-4)
        assert number == one.number
    assert gain.mean == pytest.approx(np.mean([v for *_, v in gain.per_lesion]))
    assert (gain.n_lesions, gain.n_patients) == (2, 1)


def test_gain_without_a_known_position_is_of_depth_alone(fitted):
    known, lesions = seeded_patient()
    host = make_host("x", known.grid, known.tissue, known.brain, known.depth_mm)
    gain = held_out_gain(fitted, [measured_from(host, lesions)])
    assert gain.site == 0
    slope, rank = fitted.depth.at(lesions[0].volume_ml), lesions[0].seed_rank
    fundus = fitted.depth.fundus
    even = np.exp(slope * host.ribbon_rank) / (1.02 - host.ribbon_rank) ** fundus
    own = slope * rank - fundus * math.log(1.02 - rank)
    assert gain.mean == pytest.approx(own - math.log(even.mean()), abs=1e-4)


def test_gain_interval_excludes_zero_only_where_there_is_something_to_know():
    ribbon = egg()
    away = np.linalg.norm(ribbon - [50, 10, 35], axis=1)
    cluster = np.exp(-((away / 12) ** 2) / 2)
    flat = replace(LesionPrior(), depth=DepthSlope(0.0, 0.0))
    for p, informative in ((cluster / cluster.sum(), True), (np.full(1500, 1 / 1500), False)):
        picks = np.random.default_rng(1).choice(1500, 60, p=p)
        everyone = [patient(f"sub-{i:05d}", ribbon[k]) for i, k in enumerate(picks)]
        site = fit_site(everyone[:20], fwhm_mm=20.0, mirror=0.0).law
        gain = held_out_gain(replace(flat, site=site), everyone[20:])
        assert (gain.low > 0) is informative
        assert gain.low < gain.mean < gain.high


def test_gain_refuses_patients_that_the_prior_has_seen(fitted):
    with pytest.raises(CohortError, match="sub-00002, which it was fitted on"):
        held_out_gain(fitted, cohort_of(3)[2:])
    with pytest.raises(CohortError, match="no patient"):
        held_out_gain(fitted, [])


def test_a_sample_of_the_ribbon_stands_for_all_of_it(monkeypatch):
    host, lesions = seeded_patient()
    prior = LesionPrior()  # lobes and depth
    whole = held_out_gain(prior, [measured_from(host, lesions)]).mean
    monkeypatch.setattr("fcdsynth.masks.laws.measured.RIBBON_SAMPLE", 300)
    sampled = [held_out_gain(prior, [measured_from(host, lesions, seed)]).mean for seed in range(9)]
    assert np.mean(sampled) == pytest.approx(whole, abs=0.05)
    assert 0 < np.std(sampled) < 0.15


def test_rows_are_spread():
    rows = np.arange(300).reshape(100, 3)
    chosen = spread(rows, 5)
    np.testing.assert_array_equal(chosen[:, 0] / 3, [0, 24, 49, 74, 99])
    assert spread(rows[:2], 24).shape == (2, 3)


def test_tracks_are_drawn_as_often_as_outlines_have_them():
    lesions = [lesion(f"sub-{i:05d}", to_ventricle=i % 4 == 0) for i in range(20)]
    far = [lesion(f"sub-{i:05d}", subtype="IIa", to_ventricle=True) for i in range(20, 25)]
    measured = [patient(one.subject, None, lesions=(one,)) for one in lesions + far]
    assert prior_from(measured).track_share == pytest.approx(0.25)
    # Half of the trust with ten of them: 0.5 x 3 / 10 + 0.5 x 0.64.
    assert prior_from(measured[:10]).track_share == pytest.approx(0.47)
    assert prior_from(measured[20:]).track_share == pytest.approx(0.64)


def test_an_outline_reaches_the_ventricle_by_its_track_alone():
    host = folded_head()
    found = {}
    for index in range(0, len(host.ribbon_vox), 97):
        voxel = tuple(int(v) for v in host.ribbon_vox[index])
        spec = spec_at(host, voxel, 900, subtype="IIb", track=True)
        grown = grow(host, spec)
        if grown.on_track.any():
            for on in (True, False):
                vox = grown.vox if on else grown.vox[~grown.on_track]
                pieces = lesions_of(host, mask_of(vox, host.grid))
                found.setdefault(on, []).append(any(one.to_ventricle for one in pieces))
    assert all(found[True])
    assert not any(found[False])


def test_fit_reads_masks(tmp_path):
    cohort = prepared_cohort(tmp_path, patients=3, controls=1)
    patients = [s for s in cohort.subjects if s.is_patient]
    prior = fit_prior(cohort, patients, 16.0, 0.0, 0.0, growth_trials=2)
    assert prior.fitted_on == tuple(s.id for s in patients)
    assert prior.size.n == 3
    assert len(prior.growths.examples) == 3  # two growths: one searches, one is repeated
    for centre in [(34, 20, 12), (-34, 18, 14), (30, -22, 20)]:
        near = prior.site.density.at([centre])[0]
        far = prior.site.density.at([(-centre[0], -80.0, -20.0)])[0]
        assert near > 100 * far
    assert fit_prior(cohort, []) == LesionPrior()


def test_unusable_training_masks(tmp_path):
    cohort = prepared_cohort(tmp_path, patients=1, controls=1)
    one = cohort.subjects[0]
    path = cohort.path(one, "lesion")
    write_volume(path, Volume(np.zeros((24, 24, 24), dtype=bool), load_host(cohort, one).grid))
    with pytest.raises(CohortError, match="none in cortex or white matter"):
        fit_prior(cohort, [one])
    write_volume(path, Volume(np.ones((24, 24, 24), dtype=bool), Grid.of((24, 24, 24), np.eye(4))))
    with pytest.raises(GeometryError, match="lesion"):
        fit_prior(cohort, [one])


def test_site_law_without_a_density_is_the_published_one():
    assert LesionPrior().site == SiteLaw()
    assert LesionPrior().digest == LesionPrior().digest
