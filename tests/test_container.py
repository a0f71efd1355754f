"""The Dockerfile names files that exist, and its environment is the pinned one."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

TOP = Path(__file__).parents[1]


def pins():
    lines = (TOP / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.lower().replace("_", "-"): Version(version) for name, version in pairs}


def test_copied_paths_exist():
    text = (TOP / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for path in line.split():
            assert (TOP / path).exists(), path


def test_pins_agree_with_the_project():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    pinned = pins()
    for line in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        requirement = Requirement(line)
        name = requirement.name.lower().replace("_", "-")
        assert name in pinned, f"{name} is not pinned in constraints.txt"
        assert pinned[name] in requirement.specifier
    assert str(pinned["torch"]) == "2.13.0"
