"""Pages that stand alone: a room's template in the style that all pages share."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


def render(package: str, template: str, **values: Any) -> str:
    """Fill a template of a package; it finds the shared style sheet as ``style``.

    Values are escaped, and a name that the template uses but is not given is an error.

    Args:
        package: Dotted name of the room, such as ``fcdsynth.prepare``.
        template: File name of the template in it.
        values: What the template names.

    Returns:
        The page. It needs no other file when its images are given as data addresses.
    """
    text = resources.files(package).joinpath(template).read_text("utf-8")
    style = resources.files("fcdsynth.review").joinpath("page.css").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(text).render(style=Markup(style), **values)
