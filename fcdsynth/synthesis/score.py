"""The verb readers score: what returned sheets of a reading kit say."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.run import Run
from fcdsynth.core.whole import write_whole
from fcdsynth.review.page import render
from fcdsynth.synthesis.kit.accuracy import (
    BOTH,
    Agreement,
    Kappa,
    Pooled,
    Reading,
    Share,
    agreements,
    of_contrast,
    pooled,
    reading,
)
from fcdsynth.synthesis.kit.choice import CONTRASTS, Item, read_key
from fcdsynth.synthesis.kit.needed import power_of, reads_needed
from fcdsynth.synthesis.kit.sheets import Sheet, read_sheets

_WORDS = {"t1w": "T1w", "flair": "FLAIR", BOTH: "both"}


def score(
    sheets: list[str],
    key: str,
    out: str,
    bound: float = 0.6,
    true_accuracy: float = 0.5,
    power: float = 0.8,
    seed: int = 0,
) -> Path:
    """Score returned answer sheets: accuracy per contrast, agreement, and how many reads it takes.

    Writes report.html, scores.json (every number) and answers.csv (a row an answer).

    Args:
        sheets: Answer sheets, one a reader, each named after its reader.
        key: The key folder that readers wrote, or its key.csv.
        out: Folder to write.
        bound: Accuracy that a study is to exclude.
        true_accuracy: Accuracy to plan with; one half where nobody can tell.
        power: Chance to exclude the bound that a study is to have.
        seed: Seed of the bootstrap of images.

    Returns:
        The output folder.

    Raises:
        CohortError: If a sheet or the key is absent, or an answer missing or malformed; its row is
            named.
        SettingsError: If bound, true accuracy and power do not go together.
    """
    paths = [Path(sheet) for sheet in sheets]
    needed = reads_needed(bound, true_accuracy, power)
    items = read_key(Path(key))
    answers = read_sheets(paths, items)
    settings = {
        "sheets": sheets,
        "key": key,
        "bound": bound,
        "true_accuracy": true_accuracy,
        "power": power,
    }
    run = Run(out, "readers score", settings, [*paths, Path(key)], seed)
    if run.complete:
        return run.out
    names = [c for c in CONTRASTS if any(i.contrast == c for i in items)]
    names += [BOTH] if len(names) > 1 else []
    found = [reading(s.reader, c, of_contrast(s, c)) for c in names for s in answers]
    pairs = [pair for c in names for pair in agreements(answers, c)]
    together = [pooled(answers, c, seed) for c in names]
    plan = {"bound": bound, "true_accuracy": true_accuracy, "power": power, "reads": needed,
            "images_now": len(items) // max(len(CONTRASTS), 1),
            "power_now": power_of(_per_contrast(items), bound, true_accuracy)}  # fmt: skip
    with run:
        record = {"verdict": _verdict(together), "readings": [asdict(r) for r in found],
                  "agreements": [asdict(p) for p in pairs],
                  "pooled": [asdict(p) for p in together], "needed": plan}  # fmt: skip
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        (run.folder / "scores.json").write_text(text, encoding="utf-8")
        _write_answers(run.folder / "answers.csv", answers)
        _write_page(run.folder / "report.html", found, pairs, together, plan, answers)
    return run.out


def _per_contrast(items: Sequence[Item]) -> int:
    return max(sum(i.contrast == c for i in items) for c in CONTRASTS)


def _verdict(together: Sequence[Pooled]) -> str:
    parts = [f"{_WORDS[p.contrast]} {100 * p.accuracy:.0f} % [{100 * p.low:.0f} to "
             f"{100 * p.high:.0f}]" for p in together if p.contrast != BOTH]  # fmt: skip
    each = [p for p in together if p.contrast != BOTH]
    n, images = each[0].readers, each[0].images
    told = [_WORDS[p.contrast] for p in each if p.low > 0.5]
    first = (
        f"{n} reader{'s' if n > 1 else ''}, {images} images of each contrast: right answers on "
        f"{', '.join(parts)}; guessing gives 50 %. "
    )
    if told:
        return first + f"Synthetic images were told from real ones on {' and '.join(told)}."
    return first + (
        "Synthetic images were not told from real ones; whether they cannot be is not shown by so "
        "few reads."
    )


def _write_answers(path: Path, sheets: Sequence[Sheet]) -> None:
    columns = ("reader", "contrast", "case", "kind", "subject", "answer", "correct",
               "confidence", "cue")  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for sheet in sheets:
            for r in sheet.reads:
                writer.writerow([
                    sheet.reader, r.item.contrast, r.item.case, r.item.kind, r.item.subject,
                    "synthetic" if r.synthetic else "real", "yes" if r.correct else "no",
                    "" if r.confidence is None else r.confidence, r.cue,
                ])  # fmt: skip


def _write_page(
    path: Path, found: Sequence[Reading], pairs: Sequence[Agreement], together: Sequence[Pooled],
    plan: dict[str, Any], sheets: Sequence[Sheet],
) -> None:  # fmt: skip
    cues = [
        {"reader": s.reader, "image": f"{_WORDS[r.item.contrast]} {r.item.case}",
         "answer": "synthetic" if r.synthetic else "real", "kind": r.item.kind,
         "cue": r.cue, "far": "" if r.correct else "far"}
        for s in sheets for r in s.reads if r.cue
    ]  # fmt: skip
    page = render(
        "fcdsynth.synthesis.kit", "score.html.j2", title="Reading study: real or synthetic?",
        verdict=_verdict(together), readings=found, agreements=pairs, pooled=together, plan=plan,
        cues=cues, words=_WORDS, share=_share, kappa=_kappa, version=__version__,
    )  # fmt: skip
    write_whole(path, page)


def _share(share: Share | None) -> str:
    if share is None:
        return "-"
    return (f"{100 * share.value:.0f} % [{100 * share.low:.0f} to {100 * share.high:.0f}], "
            f"{share.hits} of {share.n}")  # fmt: skip


def _kappa(found: Kappa | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f} to {found.high:.2f}]"
