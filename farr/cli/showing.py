"""An answer as commands hand it over: printed, as a picture, as a file, with alarms."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farr.cli import output
from farr.figures import tables
from farr.figures.methods import Method
from farr.texts import _, translate

if TYPE_CHECKING:
    from rich.table import Table

    from farr.figures.result import Result
    from queries.series import Alarms


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be made of an answer besides printing it."""

    plot: Path | None = None
    """A picture."""
    export: Path | None = None
    """A file for other programs."""
    alarms: Method | None = None
    """How to judge its periods."""

    def check(self) -> None:
        """Raise FarrError for a file that could not be written, so that nothing is asked before that is known."""
        if self.plot is not None:
            from farr.plots import fonts, sheet

            sheet.checked(self.plot)
            fonts.script()
        if self.export is not None:
            from farr.figures import exports

            exports.checked(self.export)


def show(result: Result, wanted: Wanted, *, as_json: bool, suppress: bool = False) -> None:
    """Print an answer, and make of it what is wanted; files first, so that they are there whoever reads the output.

    Where alarms or a picture cannot be made of it, the answer, which was paid for, is printed before that is said.
    """
    from farr.errors import FarrError
    from farr.figures.alarms import to_plain
    from queries.errors import QueryError

    judged, failed = None, None
    try:
        if wanted.export is not None:
            result.export(wanted.export)
        if wanted.alarms is not None:
            judged = result.alarms(wanted.alarms)
        if wanted.plot is not None:
            draw(result, wanted.plot, wanted.alarms)
    except (FarrError, QueryError) as error:
        failed = error
    if as_json and failed is None:
        output.as_json(result.to_plain() | ({} if judged is None else {"alarms": to_plain(judged)}))
    elif not as_json:
        _tables(result, suppress=suppress)
        if judged is not None:
            _alarms(judged)
    if failed is not None:
        raise failed


def _tables(result: Result, *, suppress: bool) -> None:
    from farr.cli.figures import answer_table, footnotes

    for answer in result.answers:
        if answer.title:
            output.line(answer.title)
        output.table(answer_table(answer, suppress=suppress))
        output.line()
    for line in footnotes(result):
        output.line(line)


def alarm_table(alarms: Alarms) -> Table:
    """Return the periods that were judged, those with an alarm marked."""
    rows = [
        (
            each.label,
            _number(each.value),
            _number(each.expected),
            _number(each.threshold),
            _number(each.score, 2),
            "▲" if each.alarm else "",
        )
        for each in alarms.periods
        if each.alarm is not None
    ]
    headers = (_("period"), _("released"), _("expected"), _("threshold"), _("score"), _("alarm"))
    return tables.table(headers, rows, numbers=(1, 2, 3, 4))


def _alarms(alarms: Alarms) -> None:
    output.line()
    output.table(alarm_table(alarms))
    output.line()
    judged = sum(each.alarm is not None for each in alarms.periods)
    output.line(
        _("{method}: {raised} alarms in {judged} periods that could be judged; the noise is in the thresholds.").format(
            method=alarms.method, raised=len(alarms.raised), judged=judged
        )
    )
    if alarms.warning is not None:
        output.line(translate(alarms.warning))


def draw(result: Result, path: Path, alarms: Method | None = None) -> None:
    """Write the picture; of several tables one each, with the title in the name."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        if len(result.answers) == 1:
            result.plot(path, alarms=alarms)
        else:
            for answer in result.answers:
                named = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in answer.title)
                result.plot(path.with_name(f"{path.stem}-{named}{path.suffix}"), table=answer.title)
    for each in said:
        sys.stderr.write(f"{each.message}\n")


def _number(value: float | None, decimals: int = 1) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "∞" if value > 0 else "-∞"
