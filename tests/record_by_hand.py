"""Records of evaluated subjects by hand: one rule outcome for all rules."""

from fcdsynth.core.subject import Group
from fcdsynth.evaluation.cases import ClusterRecord, Found, LesionRecord, SubjectRecord, VoxelBins
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import SiteProbability


def make_record(
    name,
    patient=True,
    found=(),
    false=(),
    extra=(),
    site="s",
    scanner="m",
    level=0.5,
    volume_ml=1.0,
    chance=0.25,
    family="",
):
    """``found``: score of the finder or None per lesion; ``false``, ``extra``: scores."""
    lesions, clusters = [], []

    def cluster(score, role):
        clusters.append(
            ClusterRecord(
                len(clusters) + 1,
                score,
                10,
                0.01,
                (0.0, 0.0, 0.0),
                None,
                "FL",
                "L",
                None,
                dict.fromkeys(Rule, role),
            )
        )
        return len(clusters)

    where = SiteProbability(level, level, level)
    for score in found:
        number = None if score is None else cluster(score, Role.TRUE)
        fit = (None, None, None) if score is None else (0.5, 1.0, 3.0)
        fate = Found(number, score, *fit, chance)
        lesions.append(
            LesionRecord(
                len(lesions) + 1,
                100,
                volume_ml,
                (0.0, 0.0, 0.0),
                "FL",
                "L",
                1.0,
                where,
                None,
                where,
                dict.fromkeys(Rule, fate),
            )
        )
    for score in false:
        cluster(score, Role.FALSE)
    for score in extra:
        cluster(score, Role.EXTRA)
    return SubjectRecord(
        name,
        Group.PATIENT if patient else Group.CONTROL,
        "phantom",
        site,
        scanner,
        "",
        "",
        "",
        "3D",
        family,
        "",
        "truth" if patient else "",
        tuple(lesions),
        tuple(clusters),
        0.2 if patient else None,
        where if patient else None,
        None,
        True,
        True,
        "mni" if patient else "",
        "ribbon" if patient else "",
        dict.fromkeys(Rule, chance) if patient else None,
        VoxelBins((90, 10), (1, 9), (9.0, 8.0)),
    )
