"""A measured figure, and how figures become the table in ``docs/benchmarks.md``."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    what: str
    """What was measured."""
    value: str
    """With its unit."""
    goal: str = ""
    """What the design asks for, where it does."""


def write(name: str, title: str, command: str, figures: list[Figure], cores: int) -> None:
    """Put a benchmark's table into the document in place of its last one."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    lines = [f"## {title}", "", f"`{command}` on {cores} cores, Python {platform.python_version()}.", ""]
    lines += ["| what | measured | goal |", "|---|---|---|"]
    lines += [f"| {figure.what} | {figure.value} | {figure.goal} |" for figure in figures]
    block = "\n".join([begin, *lines, end])
    text = DOCUMENT.read_text(encoding="utf-8")
    if begin in text:
        before, _, rest = text.partition(begin)
        text = before + block + rest.partition(end)[2]
    else:
        text = text.rstrip("\n") + "\n\n" + block + "\n"
    DOCUMENT.write_text(text, encoding="utf-8")
