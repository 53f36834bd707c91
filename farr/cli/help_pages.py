"""Help, shown whole: typer draws it with rich, which takes brackets for markup and cuts words that are too long.

A Chinese sentence is one word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.text import Text

Show = Callable[[click.Context, click.HelpFormatter], None]


def whole(show: Show) -> Show:
    """Return a command's ``format_help`` that folds what is too long for its column, so that no text is cut."""

    def format_help(ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from typer import rich_utils  # here, since drawing costs every question its import

        before = rich_utils.highlighter

        def folded(text: str | Text) -> Text:
            drawn = before(text)
            drawn.overflow = "fold"
            return drawn

        # Typer puts every text of a page through this, its only seam between a text and its column.
        rich_utils.highlighter = folded  # type: ignore[assignment]
        try:
            show(ctx, formatter)
        finally:
            rich_utils.highlighter = before

    return format_help


def literal(text: str) -> str:
    """Return a text whose brackets are shown: those of ``farr[plot]`` would be a style's name."""
    return text.replace("[", r"\[")
