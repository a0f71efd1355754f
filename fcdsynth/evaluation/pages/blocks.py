"""What a page is made of: sections of text, notices, tables, plots, pictures and definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fcdsynth.review.pictures import data_address
from fcdsynth.review.plots import png_of


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Args:
        text: What it says.
        detail: Said below it in small letters.
        head: Whether it heads its row.
        number: Whether it is to be kept on one line.
    """

    text: str
    detail: str = ""
    head: bool = False
    number: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a section.

    Args:
        kind: ``text``, ``notice``, ``table``, ``image`` or ``definitions``.
        text: The text, or the caption of a table or image.
        heads: Heads of a table's columns.
        rows: Its rows; a row of one cell is a heading across the table.
        source: An image as a data address.
        plain: Whether the image is a plot on white and not a picture of a brain.
        pairs: Terms and what they mean.
    """

    kind: str
    text: str = ""
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    source: str = ""
    plain: bool = False
    pairs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Args:
        title: Its title.
        blocks: What it shows.
    """

    title: str
    blocks: Sequence[Block]


def text(words: str) -> Block:
    """A paragraph."""
    return Block("text", words)


def notice(words: str) -> Block:
    """A paragraph that must not be overlooked."""
    return Block("notice", words)


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Block:
    """A table; its head is repeated on every page in print."""
    return Block("table", caption, heads=heads, rows=rows)


def plot(caption: str, figure: Any) -> Block:
    """A matplotlib figure as an image inside the page."""
    return Block("image", caption, source=data_address(png_of(figure)), plain=True)


def picture(caption: str, source: str) -> Block:
    """A picture that is already a data address."""
    return Block("image", caption, source=source)


def definitions(pairs: Mapping[str, str]) -> Block:
    """Terms with their meaning."""
    return Block("definitions", pairs=pairs)
