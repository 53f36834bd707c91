"""Printing: JSON for scripts, tables and lines for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from farr.figures import tables

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

READING_WIDTH = 100
"""Columns of a paragraph."""

PAGE_WIDTH = 120
"""Columns of what people read of a file or a pipe: long texts are wrapped."""


def as_json(value: object) -> None:
    """Print one JSON document; text stays as it is in any script, and only finite numbers are numbers."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def line(text: str = "", style: str = "") -> None:
    """Print a line of text, wrapped on a terminal only; brackets in it mean nothing."""
    console = tables.console()
    console.print(tables.visible(text), markup=False, style=style or None, soft_wrap=not console.is_terminal)


def paragraph(text: str) -> None:
    """Print a text to be read, in lines of a comfortable length."""
    console = tables.console()
    console.print(tables.visible(text), markup=False, width=min(console.width, READING_WIDTH))


def statement(text: str) -> None:
    """Print a question's text: wrapped on a terminal, and in lines of a page's width where it is read later."""
    console = tables.console()
    console.print(tables.visible(text), markup=False, width=_page(console))


def table(drawn: Table, *, paged: bool = False) -> None:
    """Print a table; ``paged``: one with texts of any length, which is no wider than a page, terminal or not."""
    console = tables.console()
    console.print(drawn, width=_page(console) if paged else None)


def _page(console: Console) -> int:
    return console.width if console.is_terminal else PAGE_WIDTH
