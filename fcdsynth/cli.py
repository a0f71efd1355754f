"""The verb table and the only reader of argv."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Idle OpenMP threads must sleep, not spin: on a busy machine spinning was 45 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from fcdsynth import __version__
from fcdsynth.core.errors import FcdsynthError

VERBS: dict[str, tuple[str, str]] = {
    "phantom": ("fcdsynth.phantom.phantom", "write a BIDS folder of simulated patients"),
    "index": ("fcdsynth.prepare.index", "read a BIDS folder into a cohort, naming every fault"),
    "prepare": ("fcdsynth.prepare.prepare", "register, mask, label and normalise every subject"),
    "coverage": ("fcdsynth.masks.coverage", "map where a cohort's lesions are thin"),
    "draw": ("fcdsynth.masks.draw", "draw lesion masks in controls"),
    "draw fit-prior": ("fcdsynth.masks.fit_prior", "fit what draw draws from, as a file"),
    "draw check": ("fcdsynth.masks.check", "compare drawn masks with real ones"),
    "synthesize": ("fcdsynth.synthesis.synthesize", "make T1w and FLAIR volumes from masks"),
    "carvemix": ("fcdsynth.synthesis.carvemix", "paste training lesions over training heads"),
    "realism": ("fcdsynth.synthesis.realism", "measure whether synthetic images look real"),
    "readers": ("fcdsynth.synthesis.readers", "make a blinded reading kit of real and synthetic"),
    "readers score": ("fcdsynth.synthesis.score", "score the answer sheets of a reading kit"),
    "folds": ("fcdsynth.training.folds", "split a cohort into folds or left-out sites"),
    "fit plan": ("fcdsynth.detector.plan", "write a detector's settings for a cohort"),
    "detect": ("fcdsynth.detector.detect", "find lesions in a prepared cohort"),
    "baseline": ("fcdsynth.detector.peers.baseline", "find lesions without training"),
    "export nnunet": ("fcdsynth.detector.peers.export", "write a cohort as nnU-Net's raw data"),
    "import nnunet": ("fcdsynth.detector.peers.importing", "read nnU-Net's predictions"),
    "evaluate": ("fcdsynth.evaluation.evaluate", "score detections against lesion masks"),
    "flag": ("fcdsynth.relabel.flag", "rank real masks that are probably wrong"),
    "plan": ("fcdsynth.relabel.plan", "share out expert minutes over all kinds of work"),
    "plan outcome": ("fcdsynth.relabel.outcome", "compare a round with its plan, and close it"),
    "adopt": ("fcdsynth.relabel.adopt", "make the next cohort from signed decisions"),
    "ledger record": ("fcdsynth.ledger.record", "write a cohort's masks into a ledger"),
    "ledger verify": ("fcdsynth.ledger.verify", "check that a ledger is whole"),
    "ledger log": ("fcdsynth.ledger.log", "tell the history of masks"),
    "ledger export": ("fcdsynth.ledger.export", "write a ledger as JSON lines and BIDS masks"),
    "study": ("fcdsynth.study.study", "compare training arms through the whole chain"),
    "demo": ("fcdsynth.study.demo", "phantom and study, small"),
    "benchmark relabel": (
        "fcdsynth.study.relabelling.relabel",
        "measure re-labelling on classification sets",
    ),
}
TRAINED = {
    "fit": "train a generator or a detector from a config",
    "validate": "validate a checkpoint on the validation subjects",
    "test": "run a checkpoint's losses on the test subjects",
}


def _help() -> str:
    lines = [
        f"fcdsynth {__version__}: more from few and imperfect FCD annotations.",
        "Not a medical device.",
        "",
        "usage: fcdsynth VERB [-h] ...     (fcdsynth VERB --help explains a verb)",
        "",
    ]
    table = {name: text for name, (_, text) in VERBS.items()} | TRAINED
    order = ("phantom", "index", "prepare", "coverage", "draw fit-prior", "draw", "draw check",
             "folds", "fit plan", "fit", "validate", "test", "synthesize", "carvemix", "realism",
             "readers", "readers score", "detect", "baseline", "export nnunet", "import nnunet",
             "evaluate", "flag", "plan", "plan outcome", "ledger record", "ledger log",
             "ledger verify", "ledger export", "adopt", "study", "demo",
             "benchmark relabel")  # fmt: skip
    lines += [f"  {name:<17} {table[name]}" for name in order]
    return "\n".join(lines)


def _run_verb(verb: str, words: Sequence[str]) -> Any:
    from jsonargparse import ActionConfigFile, ArgumentParser

    name = verb.split()[-1].replace("-", "_")
    function = getattr(importlib.import_module(VERBS[verb][0]), name)
    summary, _, rest = (inspect.getdoc(function) or "").partition("\n\nArgs:")
    result = rest.partition("\nReturns:")[2].partition("\nRaises:")[0].strip()
    parser = ArgumentParser(prog=f"fcdsynth {verb}", description=f"{summary}\n\nResult: {result}")
    parser.add_argument("-c", "--config", action=ActionConfigFile, help="YAML file of options")
    several = _several(parser, function)
    added = parser.add_function_arguments(
        function, as_positional=True, fail_untyped=True, skip=set(several)
    )
    settings = parser.parse_args(list(words))
    ready = parser.instantiate(settings)
    return function(**{name: ready[name] for name in [*several, *added]})


def _several(parser: Any, function: Any) -> list[str]:
    """Add the arguments that take several words: ``A B C OUT`` and ``--compare A B``.

    Left to itself jsonargparse wants lists of strings in brackets.
    """
    from docstring_parser import parse

    told = {p.arg_name: p.description for p in parse(inspect.getdoc(function) or "").params}
    names = []
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if parameter.annotation == list[str] and parameter.default is parameter.empty:
            parser.add_argument(name, nargs="+", type=str, help=told.get(name))
        elif parameter.annotation == tuple[str, str] | None:
            parser.add_argument(f"--{name}", nargs=2, type=str, help=told.get(name))
        else:
            continue
        names.append(name)
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: Words after the program name; those of the process when None.

    Returns:
        0 on success, 1 when a verb failed with an error the user can mend, 2 when the words
        could not be understood.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    verb, rest = words[0], words[1:]
    if " ".join(words[:2]) in VERBS:  # a verb of two words
        verb, rest = " ".join(words[:2]), words[2:]
    if verb not in VERBS and verb not in TRAINED:
        print(f"fcdsynth: no verb {verb!r}\n\n{_help()}", file=sys.stderr)
        return 2
    try:
        if verb in TRAINED:
            from fcdsynth.training.command import train

            train(verb, rest)
        else:
            result = _run_verb(verb, rest)
            if isinstance(result, Path | str):
                print(result)
    except FcdsynthError as error:
        print(f"fcdsynth {verb}: {error}", file=sys.stderr)
        return 1
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
