from __future__ import annotations

from types import MappingProxyType

from farr.cli.figures import figures
from farr.figures.result import flag_texts
from queries.answers.answer import Answer, AnswerColumn, AnswerRow, with_small_cells
from queries.answers.figures import Estimate
from tests.farr import drawing


def figure(value, *flags):
    """Return a figure with an interval of two to each side."""
    ends = (None, None) if value is None else (value - 2.0, value + 2.0)
    return Estimate(value=value, low=ends[0], high=ends[1], flags=flags)


def answer(*values, unit="rows"):
    """Return an answer with one column of figures."""
    columns = (AnswerColumn(name="sex", kind="key", unit=""), AnswerColumn(name="n", kind="estimate", unit=unit))
    rows = tuple(AnswerRow(cells=(str(place), value)) for place, value in enumerate(values))
    flags = tuple({flag for value in values for flag in value.flags})
    return Answer(columns=columns, rows=rows, labels=MappingProxyType({}), flags=flags, hidden=0)


def test_a_count_below_the_smallest_is_marked_and_its_value_stays():
    """Below, not at, the smallest count; a negative one too; JSON holds value and flag."""
    marked = with_small_cells(answer(figure(9.5), figure(10.0), figure(-3.0, "negative"), figure(None)), 10)
    plain = marked.to_plain()
    assert [row["n"] for row in plain["rows"]] == [9.5, 10.0, -3.0, None]
    cells = {flag["code"]: [cell["row"] for cell in flag["cells"]] for flag in plain["flags"]}
    assert cells == {"negative": [2], "small-cell": [0, 2]}


def test_pages_show_that_a_count_is_small_and_nothing_else_of_it():
    """Neither value nor interval nor other marks; a legend names the marks that there are."""
    marked = with_small_cells(answer(figure(9.5, "caution"), figure(12.0)), 10)
    texts = figures([row.cells[1] for row in marked.rows])
    assert texts[0] == "<10"
    assert "12" in texts[1]
    assert set(flag_texts(drawing.result(marked))) == {"small-cell"}
    marked = with_small_cells(answer(figure(9.5, "caution"), figure(12.0, "caution")), 10)
    assert set(flag_texts(drawing.result(marked))) == {"small-cell", "caution"}


def test_only_counts_are_marked_and_only_where_somebody_asks_for_it():
    """A mean of 3 is no count of 3; without a smallest count the answer is as it was."""
    assert with_small_cells(answer(figure(3.0), unit="years"), 10) == answer(figure(3.0), unit="years")
    assert with_small_cells(answer(figure(3.0), unit="patients"), 10).flags == ("small-cell",)
    assert with_small_cells(answer(figure(3.0)), 0) == answer(figure(3.0))
