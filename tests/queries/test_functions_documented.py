"""The language's page names every function as the registry of statistics does."""

from __future__ import annotations

from pathlib import Path

from queries.statistics import FUNCTIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sql.md"


def rows():
    """The table as it follows from the registry, a line for each function."""
    return [
        f"| `{function.example}` | {function.summary[0].upper()}{function.summary[1:]} |"
        for _, function in FUNCTIONS.values()
    ]


def test_the_page_of_the_language_lists_every_function():
    """Each function is on the page with its example and its summary, in the order of the registry."""
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(rows()) in text
