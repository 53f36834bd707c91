"""From an answer to its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.plots import alarms as alarmed
from farr.plots import bars, fonts, forest, heat, lines, network, numbers, sheet
from farr.plots.fonts import Script
from farr.plots.shape import Laid, Shape, laid_out
from farr.plots.sheet import Drawn, Heading, Picture
from farr.questions.states import shortened
from farr.texts import N_, _
from queries.answers.answer import Answer
from queries.answers.figures import Estimate
from queries.series import Alarms

if TYPE_CHECKING:
    from farr.figures.graph import Graph
    from farr.figures.result import Result

MOST_PANELS = 4
"""Figures of one picture, each on axes of its own."""

SIDE_BY_SIDE = {
    Shape.BARS: bars.bars,
    Shape.COLUMNS: bars.columns,
    Shape.LINES: lines.lines,
    Shape.CURVE: lines.lines,
    Shape.FOREST: forest.forest,
    Shape.HEAT: heat.heat,
    Shape.NUMBERS: numbers.numbers,
}
"""By shape, what draws it."""


def picture(result: Result, table: str | None = None) -> Picture:
    """Return the picture that fits a table of an answer; ``table`` is its title, else the first is drawn.

    Raises FarrError where there is nothing to draw, and where Matplotlib is not installed.
    """
    script = fonts.script()
    answer = _table(result, table)
    laid = laid_out(answer)
    if not laid.columns or not laid.figures:
        raise FarrError("no-picture", _("the answer shows no figure"), remedy=_("leave HAVING out, or ask for a COUNT"))
    with script.in_use():
        if laid.shape is Shape.GRAPH:
            from farr.figures.graph import graph_of

            graph = graph_of(answer)
            if graph.certain().edges:
                return _graph(graph, heading(result, answer, script), script)
        panels = 1 if laid.shape is Shape.NUMBERS else min(MOST_PANELS, len(laid.columns))
        figure, axes = sheet.blank(panels)
        drawn = SIDE_BY_SIDE.get(laid.shape, heat.heat)(axes, laid, script)
        return sheet.finished(figure, heading(result, answer, script), _with_left_out(drawn, laid, script), script)


def alarm_picture(result: Result, alarms: Alarms, column: str | None = None) -> Picture:
    """Return the picture of a series with alarms, as ``farr.figures.alarms.alarms_of`` judged it."""
    script = fonts.script()
    answer = result.answer
    names = [each.name for each in answer.columns]
    found = next(each for each in answer.columns if each.kind == "estimate" and column in (None, each.name))
    key = next(place for place, each in enumerate(answer.columns) if each.kind == "key")
    cells = {str(row.cells[key]): row.cells[names.index(found.name)] for row in answer.rows}
    figures = [cell if isinstance(cell := cells.get(judged.label), Estimate) else None for judged in alarms.periods]
    with script.in_use():
        figure, (axes,) = sheet.blank(1)
        drawn = alarmed.series(axes, found, figures, alarms, script)
        return sheet.finished(figure, heading(result, answer, script), drawn, script)


def heading(result: Result, answer: Answer, script: Script) -> Heading:
    """Return the title of a picture, and where its figures come from."""
    question = " ".join(result.statement.split())
    sites = result.sites
    source = script.say(
        N_("Privacy: epsilon {epsilon:.3g}. Hospitals: {answered} of {asked} answered. Release {id}.")
    ).format(
        epsilon=result.privacy.epsilon, answered=len(sites.answered), asked=len(sites.asked), id=result.release[:8]
    )
    lines = [source]
    if sites.silent or sites.zeros:
        missing = (*sites.silent, *sites.zeros)
        lines.append(script.say(N_("Without: {sites}.")).format(sites=script.name(shortened(missing))))
    if answer.hidden:
        lines.append(script.say(N_("{count:,} rows are not shown; they were answered and charged.")).format(
            count=answer.hidden
        ))  # fmt: skip
    if not result.sites.charged:
        lines.append(
            script.say(N_("No hospital's records are in these figures: they are noise around zero, and cost nothing."))
        )
    return Heading(title=script.name(answer.title or question or script.say(N_("Answer"))), source=tuple(lines))


def _graph(graph: Graph, around: Heading, script: Script) -> Picture:
    figure, (axes,) = sheet.blank(1)
    drawn = network.network(axes, graph, script)
    return sheet.finished(figure, around, drawn, script)


def _with_left_out(drawn: Drawn, laid: Laid, script: Script) -> Drawn:
    left = len(laid.columns) - MOST_PANELS
    if laid.shape is Shape.NUMBERS or left <= 0:
        return drawn
    note = script.say(N_("{count} further columns are not drawn.")).format(count=left)
    return Drawn(body=drawn.body, legend=drawn.legend, notes=(*drawn.notes, note))


def _table(result: Result, title: str | None) -> Answer:
    if title is None:
        return result.answer
    for answer in result.answers:
        if answer.title == title:
            return answer
    raise FarrError(
        "no-table",
        _("the answer has no table called {name}").format(name=repr(title)),
        remedy=_("choose one of {names}").format(names=", ".join(answer.title for answer in result.answers)),
    )
