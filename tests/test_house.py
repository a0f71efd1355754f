"""The house rules that a reader could break without noticing."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fcdsynth"
MODULES = sorted(PACKAGE.rglob("*.py"))
CUPBOARDS = {"utils", "util", "common", "helpers", "helper", "misc"}
ROOMS = {
    "core", "measure", "ledger", "phantom", "prepare", "masks", "training", "synthesis",
    "detector", "evaluation", "relabel", "review", "study",
}  # fmt: skip


def name_of(path):
    return str(path.relative_to(PACKAGE))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_rooms_are_those_of_the_design():
    assert {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()} == ROOMS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_holds_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert path.stem not in CUPBOARDS


def test_the_median_module_is_short():
    sizes = sorted(len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES)
    assert sizes[len(sizes) // 2] <= 150


def test_only_volume_imports_nibabel():
    users = {name_of(p) for p in MODULES if any(i.split(".")[0] == "nibabel" for i in imports(p))}
    assert users == {"core/volume.py"}


def test_only_cli_reads_argv():
    assert {name_of(p) for p in MODULES if "sys.argv" in p.read_text()} == {"cli.py"}


def test_only_pytorch_lightning_is_imported():
    for path in MODULES:
        assert not any(name.split(".")[0] == "lightning" for name in imports(path)), path


def test_exact_masks_are_for_the_evaluator_alone():
    allowed = {"core", "phantom", "prepare", "evaluation", "study"}
    for path in MODULES:
        room = path.relative_to(PACKAGE).parts[0]
        if room not in allowed and not room.endswith(".py"):
            assert '"truth"' not in path.read_text(encoding="utf-8"), path


def test_nothing_downloads():
    network = {"requests", "urllib.request", "httpx", "socket", "huggingface_hub", "boto3"}
    for path in MODULES:
        assert not network.intersection(imports(path)), path
