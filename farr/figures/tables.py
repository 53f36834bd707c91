"""Tables for people: aligned by the width of characters on the screen, so that Chinese ones stay in their columns."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.status import Status
    from rich.table import Table

PLAIN_WIDTH = 1000
"""Columns where the output is no terminal: wide enough that nothing a script reads is cut."""

_HIDDEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]")
"""Characters that command a terminal or turn the direction of text around; a tab and a new line may stay."""


def visible(text: str) -> str:
    """Return a text with U+FFFD in place of each character that would move, hide or recolour what is on the screen.

    Guarantee: whoever writes a question, a reason or a label cannot rewrite what an operator reads beside it, such as
    its price. Test: tests/redteam/test_hostile_texts.py::test_a_reason_cannot_rewrite_the_approvers_screen.
    """
    return _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def console(stream: TextIO | None = None) -> Console:
    """Return a console for people on ``stream``, standard output by default; plain text where it is no terminal."""
    from rich.console import Console

    target = stream or sys.stdout
    return Console(file=target, width=None if target.isatty() else PLAIN_WIDTH, highlight=False, soft_wrap=False)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    whole: Sequence[int] = (),
    tight: bool = False,
) -> Table:
    """Return a table of texts; the columns at the positions ``numbers`` are set to the right.

    ``whole``: columns of short texts of known length, such as days, in which no line is broken; where there is little
    room the others give way. ``tight``: for one with many columns, which then fits on a narrow terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # A table's cells are data: wrapped in Text, no bracket in them is read as a style.
    drawn = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", collapse_padding=tight
    )  # fmt: skip
    for position, header in enumerate(headers):
        side: JustifyMethod = "right" if position in numbers else "left"
        drawn.add_column(Text(visible(header)), justify=side, overflow="fold", no_wrap=position in whole)
    for row in rows:
        drawn.add_row(*(Text(visible(cell)) for cell in row))
    return drawn


def pointer(text: str, start: int, end: int) -> str:
    """Return the line of ``text`` with carets under ``text[start:end]``; wide characters take two cells."""
    from rich.cells import cell_len

    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", start)
    line = text[first : len(text) if last < 0 else last]
    before, marked = line[: start - first], line[start - first : max(end, start) - first]
    return f"{line}\n{' ' * cell_len(before)}{'^' * max(1, cell_len(marked))}"


class Live:
    """One line on standard error that changes in place, for people who wait; silent for scripts."""

    def __init__(self, status: Status | None) -> None:
        """Show on a status line, or nowhere."""
        self._status = status

    @classmethod
    def on_stderr(cls, *, wanted: bool | None, as_json: bool) -> Live:
        """Return a line on standard error: if ``wanted`` says nothing, on a terminal and not for scripts."""
        shown = (sys.stderr.isatty() and not as_json) if wanted is None else wanted
        if not shown:
            return cls(None)
        return cls(console(sys.stderr).status("", spinner="dots"))

    def say(self, text: str) -> None:
        """Replace the line."""
        if self._status is None:
            return
        if self._status.console.is_terminal:
            from rich.text import Text

            self._status.update(Text(visible(text)))
        else:
            self._status.console.print(visible(text), markup=False)

    def __enter__(self) -> Self:
        if self._status is not None and self._status.console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
