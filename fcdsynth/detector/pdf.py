"""A subject's page as PDF: the table, then one picture a page; equal findings, equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from fcdsynth.detector.told import HEADINGS, MEANINGS, NOTICE, Told, cells

_A4_INCH = (11.69, 8.27)
_LEFT, _TOP, _BOTTOM, _LINE = 0.05, 0.94, 0.05, 0.027
_WIDTH = 140  # letters of a line
_AT = (0.05, 0.12, 0.18, 0.26, 0.43, 0.57, 0.71, 0.80, 0.89)  # one for each heading
_INK, _SOFT = "#1c2430", "#5b6775"


def pdf_name(subject: str) -> str:
    """File name of a subject's PDF."""
    return f"{subject}.pdf"


@contextmanager
def written_pdf(folder: Path, told: Told) -> Iterator[PdfPages]:
    """Write the pages of text, and give the file, to which figures are then saved.

    Args:
        folder: The subject's folder.
        told: What it tells.
    """
    about = {"Title": f"{told.subject}: clusters found", "Creator": "fcdsynth", "Producer": None,
             "CreationDate": None, "ModDate": None}  # fmt: skip
    with PdfPages(folder / pdf_name(told.subject), metadata=about) as pages:
        for page in _text_pages(told):
            pages.savefig(page)
        yield pages


def _text_pages(told: Told) -> list[Figure]:
    text = _Text()
    text.write(told.subject, size=16, gap=1.6)
    text.write(told.lead, colour=_SOFT, gap=1.2)
    text.write(NOTICE, gap=1.8)
    for number, cluster in enumerate(told.clusters):
        if number == 0 or text.full:
            text.row(HEADINGS, weight="bold")
        text.row(cells(cluster))
    for title, pairs in (("How it was found", told.facts), ("What the columns mean", MEANINGS)):
        text.skip()
        text.write(title, size=12, gap=1.6)
        for name, meaning in pairs:
            text.write(f"{name}: {meaning}")
    return text.pages


class _Text:
    """Landscape pages that are filled from the top; a new one when one is full."""

    def __init__(self) -> None:
        self.pages: list[Figure] = []
        self._y = 0.0

    @property
    def full(self) -> bool:
        """Whether the next line starts a page."""
        return self._y < _BOTTOM

    def skip(self, lines: float = 1.0) -> None:
        """Leave lines free."""
        self._y -= lines * _LINE

    def write(self, text: str, size: float = 9, colour: str = _INK, gap: float = 1.0) -> None:
        """Write a text, as many lines as it takes."""
        for line in wrap(text, _WIDTH):
            self._put({_LEFT: line}, size, colour)
        self.skip(gap - 1)

    def row(self, texts: Sequence[str], **style: Any) -> None:
        """Write a line of a table."""
        self._put(dict(zip(_AT, texts, strict=True)), 8, _INK, **style)

    def _put(self, texts: Mapping[float, str], size: float, colour: str, **style: Any) -> None:
        if self.full:
            self.pages.append(Figure(figsize=_A4_INCH, facecolor="white"))
            self._y = _TOP
        for x, text in texts.items():
            # Ids may hold what matplotlib would read as a formula.
            self.pages[-1].text(x, self._y, text, fontsize=size, color=colour, va="baseline",
                                parse_math=False, **style)  # fmt: skip
        self.skip()
