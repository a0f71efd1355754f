"""Pages in the shared style: escaped, complete, and standing alone."""

import re
from importlib import resources

import pytest
from jinja2 import UndefinedError

from fcdsynth.core.whole import write_whole
from fcdsynth.review.page import render

SUBJECT = {
    "subject": "sub-<1>",
    "lead": "a & b",
    "warnings": [],
    "picture": "data:image/png;base64,AA==",
    "caption": "c",
    "numbers": [],
    "file": "f.json",
}


def test_values_are_escaped_but_the_style_is_not():
    page = render("fcdsynth.prepare", "subject.html.j2", **SUBJECT)
    assert "sub-&lt;1&gt;" in page
    assert "a &amp; b" in page
    style = resources.files("fcdsynth.review").joinpath("page.css").read_text("utf-8")
    assert page.count(style) == 1  # with its quotation marks, which a browser needs as they are
    assert '"Segoe UI"' in style


def test_a_value_that_the_template_names_must_be_given():
    with pytest.raises(UndefinedError, match="caption"):
        render("fcdsynth.prepare", "subject.html.j2", **{k: v for k, v in SUBJECT.items()
                                                         if k != "caption"})  # fmt: skip


@pytest.mark.parametrize("package", ["prepare", "phantom", "study", "evaluation.pages"])
def test_every_template_uses_the_one_style(package):
    room = resources.files(f"fcdsynth.{package}")
    templates = [f for f in room.iterdir() if f.name.endswith(".html.j2")]
    assert templates
    for template in templates:
        inside = re.search(r"<style>(.*?)</style>", template.read_text("utf-8"), re.S)[1]
        assert inside.strip().startswith("{{ style }}"), template.name
        assert inside.count("{") <= 4, template.name  # at most one rule of its own
    assert not [f.name for f in room.iterdir() if f.name.endswith(".css")]


def test_the_style_reads_nothing_from_elsewhere():
    style = resources.files("fcdsynth.review").joinpath("page.css").read_text("utf-8")
    assert "url(" not in style
    assert "@import" not in style
    assert "table-header-group" in style  # table heads are repeated in print


def test_a_page_appears_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    assert write_whole(path, "new ü") == path
    assert path.read_text(encoding="utf-8") == "new ü"
    assert [f.name for f in tmp_path.iterdir()] == ["page.html"]
