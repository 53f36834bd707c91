"""Two answers to one question, figure by figure: the change, its interval, and whether it is more than the noise.

Nothing is asked. Each release has noise of its own, so the errors of two releases are independent; a release compared
with itself is refused, since there they are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.figures import saved
from farr.figures.asked import Asked, apart, asked
from farr.figures.comparison_notes import notes_on
from farr.figures.open_ends import uncut
from farr.figures.saved import Saved
from farr.texts import _
from queries.answers.answer import Answer, AnswerColumn
from queries.answers.figures import Estimate
from queries.series.change import Change, Scale, compare_columns

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console, ConsoleOptions, RenderResult

    from farr.figures.result import Result


@dataclass(frozen=True, kw_only=True)
class ComparedCell:
    """One figure in both answers."""

    keys: tuple[str, ...]
    """The codes of its groups."""
    earlier: Estimate
    """As the earlier release has it."""
    later: Estimate
    """As the later one has it."""
    change: Change
    """From the one to the other, with its interval and the verdict."""


@dataclass(frozen=True, kw_only=True)
class ComparedFigure:
    """One column of figures."""

    name: str
    """Its alias."""
    unit: str
    """Of both; empty where there is none."""
    scale: Scale
    """Whether changes are differences or ratios."""
    cells: tuple[ComparedCell, ...]
    """Those that both answers have, in the order of the earlier one."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A column of figures that is not compared."""

    title: str
    """Of its table."""
    name: str
    """Its alias."""
    reason: str
    """In the language in use."""


@dataclass(frozen=True, kw_only=True)
class ComparedTable:
    """One table of both answers."""

    title: str
    """Empty where there is one table."""
    keys: tuple[str, ...]
    """Names of the groups' columns."""
    labels: Mapping[str, Mapping[str, str]]
    """By key column, what each code means."""
    figures: tuple[ComparedFigure, ...]
    """What could be compared."""
    only_earlier: tuple[tuple[str, ...], ...]
    """Cells, by their codes, that the later answer does not show."""
    only_later: tuple[tuple[str, ...], ...]
    """Cells that the earlier answer does not show."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What has changed from one release to another."""

    earlier: Saved
    """The answer that changes start from."""
    later: Saved
    """The answer that they lead to."""
    total: bool
    """Whether intervals allow for sampling too; else for noise only."""
    jointly: bool
    """Whether the intervals of a column hold all at once."""
    tables: tuple[ComparedTable, ...]
    """Those of both answers in which a figure could be compared."""
    refused: tuple[Refused, ...]
    """Figures that could not be."""
    notes: tuple[str, ...]
    """What a reader must know, in the language in use."""

    @property
    def confidence(self) -> float:
        """Return that of every interval."""
        return self.earlier.confidence

    @property
    def changes(self) -> Iterator[Change]:
        """Yield every change."""
        return (cell.change for table in self.tables for figure in table.figures for cell in figure.cells)

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON can hold it: an end that is infinite is null."""
        from farr.figures.comparison_view import to_dict

        return to_dict(self)

    def to_pandas(self) -> DataFrame:
        """Return a row for each figure of each cell; all else is in ``frame.attrs["farr"]``."""
        from farr.figures.comparison_view import to_pandas

        return to_pandas(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from farr.figures.comparison_view import html_of

        return html_of(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print it as ``farr releases compare`` does."""
        from farr.figures.comparison_view import parts

        yield from parts(self)


def compare(
    earlier: Result | Saved,
    later: Result | Saved | str | Path,
    *,
    total: bool = False,
    scale: Scale | None = None,
    jointly: bool = False,
) -> Comparison:
    """Return what has changed; raise FarrError where the answers cannot be compared.

    ``total``: intervals that allow for sampling as well; refused where both are about the same period, whose sampling
    errors are one and the same. ``scale``: for every figure; else ratios for odds, hazard, risk and rate ratios, and
    differences for others. ``jointly``: intervals of a column hold all at once.

    Guarantee: both answers' errors are independent: two answers from one release are refused. Test:
    tests/farr/test_comparison.py::test_two_answers_of_one_release_are_not_compared.
    """
    if scale not in (None, "difference", "ratio"):
        raise FarrError("no-scale", _("the scale is difference or ratio"))
    one, two = _saved(earlier), _saved(later)
    _check_independent(one, two)
    asked_in = [
        (asked(one.statement, mine), asked(two.statement, other)) for mine, other in _pairs(one.answers, two.answers)
    ]
    separate = bool(asked_in) and all(apart(*each) for each in asked_in)
    unknown = not all(mine.known and other.known for mine, other in asked_in)
    if total and not separate and not unknown:
        raise FarrError(
            "same-records",
            _("both answers may be about the same records, whose sampling error is then in both"),
            remedy=_("compare with noise only, or releases of periods that do not overlap, such as two years"),
        )
    matching = _Matching(earlier=one, later=two, total=total, scale=scale, jointly=jointly)
    tables, refused = [], []
    for (mine, other), words in zip(_pairs(one.answers, two.answers), asked_in, strict=True):
        table, left_out = matching.table(mine, other, *words)
        tables.append(table)
        refused += left_out
    shown = tuple(each for each in tables if any(figure.cells for figure in each.figures))
    if not shown:
        raise _nothing(refused)
    notes = notes_on(one, two, asked_in, total=total, separate=separate, unknown=unknown)
    if any(_drowned(cell) for each in shown for figure in each.figures for cell in figure.cells):
        notes.append(_("A ratio whose interval reaches 0 shows no change: compare the difference."))
    return Comparison(
        earlier=one, later=two, total=total, jointly=jointly, tables=shown, refused=tuple(refused), notes=tuple(notes)
    )


@dataclass(frozen=True, kw_only=True)
class _Matching:
    """How the tables of two answers are compared."""

    earlier: Saved
    later: Saved
    total: bool
    scale: Scale | None
    jointly: bool

    def table(self, mine: Answer, other: Answer, spoken: Asked, said: Asked) -> tuple[ComparedTable, list[Refused]]:
        """Match the cells of two tables by their codes, and their figures by name."""
        names = tuple(column.name for column in mine.columns if column.kind == "key")
        theirs = {column.name for column in other.columns if column.kind == "key"}
        # Subtotals and one row without groups are cells too: the codes of a row say which.
        before, after = _cells(mine, names), _cells(other, names) if theirs == set(names) else None
        figures: list[ComparedFigure] = []
        refused: list[Refused] = []
        shared = [codes for codes in before or {} if codes in (after or {})]
        for name in _figure_names(mine, other):
            reason = "" if theirs == set(names) else _("the groups are called differently")
            if not reason and (before is None or after is None):
                reason = _("rows are not told apart by the groups that are shown")
            reason = reason or self._unlike(mine, other, name, spoken, said)
            if not reason and not shared:
                reason = _("no cell is in both answers")
            if reason:
                refused.append(Refused(title=mine.title, name=name, reason=reason))
                continue
            ratio: Scale = "ratio" if name in spoken.ratios else "difference"
            rows = [((before or {})[codes], (after or {})[codes]) for codes in shared]
            figures.append(self._figure(mine, other, name, self.scale or ratio, list(zip(shared, rows, strict=True))))
        table = ComparedTable(
            title=mine.title,
            keys=names,
            labels={name: {**other.labels.get(name, {}), **mine.labels.get(name, {})} for name in names},
            figures=tuple(figures),
            only_earlier=tuple(codes for codes in before or {} if codes not in (after or {})),
            only_later=tuple(codes for codes in after or {} if codes not in (before or {})),
        )
        return table, refused

    def _unlike(self, mine: Answer, other: Answer, name: str, spoken: Asked, said: Asked) -> str:
        """Return why a figure cannot be compared; empty where it can."""
        one, two = _column(mine, name), _column(other, name)
        if one is None or two is None:
            return _("only in the earlier answer") if two is None else _("only in the later answer")
        if one.unit != two.unit:
            return _("the unit differs: {one}, then {other}").format(one=one.unit or "-", other=two.unit or "-")
        wanted, given = spoken.statistics.get(name, ""), said.statistics.get(name, "")
        if wanted and given and wanted != given:
            return _("the statistic differs, or is written differently: {one}, then {other}").format(
                one=wanted, other=given
            )
        if self.total and not (one.total and two.total):
            return _("it has no interval with the sampling error")
        if one.bounds is None or two.bounds is None:
            return _("a file does not say where its intervals are cut: save the answer anew")
        if all(each.low is None and each.high is None for each in (*_estimates(mine, name), *_estimates(other, name))):
            return _("it has no interval")
        return ""

    def _figure(
        self,
        mine: Answer,
        other: Answer,
        name: str,
        scale: Scale,
        matched: Sequence[tuple[tuple[str, ...], tuple[int, int]]],
    ) -> ComparedFigure:
        one, two = _estimates(mine, name), _estimates(other, name)
        pairs = [(one[here], two[there]) for _codes, (here, there) in matched]
        columns = _column(mine, name), _column(other, name)
        before, after = (
            [uncut(each, column.bounds if column else None, total=self.total) for each in figures]
            for column, figures in zip(columns, zip(*pairs, strict=True), strict=True)
        )
        changes = compare_columns(before, after, scale=scale, confidence=self.earlier.confidence, jointly=self.jointly)
        cells = tuple(
            ComparedCell(keys=codes, earlier=early, later=late, change=change)
            for (codes, _rows), (early, late), change in zip(matched, pairs, changes, strict=True)
        )
        return ComparedFigure(name=name, unit=columns[0].unit if columns[0] else "", scale=scale, cells=cells)


def _saved(answer: Result | Saved | str | Path) -> Saved:
    if isinstance(answer, Saved):
        return answer
    return saved.read(answer) if isinstance(answer, (str, Path)) else saved.of_result(answer)


def _check_independent(one: Saved, two: Saved) -> None:
    if one.release == two.release or one.digest == two.digest:
        raise FarrError(
            "one-release",
            _("both answers come from release {id}: their noise is the same, not independent").format(
                id=one.release[:8]
            ),
            remedy=_("compare two releases; farr query --fresh pays for a new one of the same question"),
        )
    if one.confidence != two.confidence:
        raise FarrError(
            "confidence",
            _("the intervals have different confidences: {one:g} and {other:g}").format(
                one=one.confidence, other=two.confidence
            ),
            remedy=_("compare answers of one version of Farr"),
        )


def _nothing(refused: Sequence[Refused]) -> FarrError:
    said = "; ".join(dict.fromkeys(f"{each.name}: {each.reason}" for each in refused))
    return FarrError(
        "nothing-to-compare",
        _("no figure can be compared") + (f" ({said})" if said else ""),
        remedy=_("compare answers to one question; for two years group by MONTH_OF_YEAR rather than MONTH"),
    )


def _pairs(one: Sequence[Answer], two: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    """Return the tables of both answers by their titles; two single tables belong together whatever they are called."""
    if len(one) == len(two) == 1:
        return [(one[0], two[0])]
    titled = {answer.title: answer for answer in two}
    return [(answer, titled[answer.title]) for answer in one if answer.title in titled]


def _cells(answer: Answer, names: Sequence[str]) -> dict[tuple[str, ...], int] | None:
    """Return by codes the place of each row; None where two rows have the same."""
    places = {column.name: place for place, column in enumerate(answer.columns)}
    if not set(names) <= set(places):
        return None
    found = {tuple(str(row.cells[places[name]]) for name in names): at for at, row in enumerate(answer.rows)}
    return found if len(found) == len(answer.rows) else None


def _figure_names(mine: Answer, other: Answer) -> list[str]:
    columns = (*mine.columns, *other.columns)
    return list(dict.fromkeys(column.name for column in columns if column.kind == "estimate"))


def _column(answer: Answer, name: str) -> AnswerColumn | None:
    return next((each for each in answer.columns if each.kind == "estimate" and each.name == name), None)


def _estimates(answer: Answer, name: str) -> list[Estimate]:
    place = next(at for at, each in enumerate(answer.columns) if each.name == name)
    return [cell for cell in (row.cells[place] for row in answer.rows) if isinstance(cell, Estimate)]


def _drowned(cell: ComparedCell) -> bool:
    return cell.change.scale == "ratio" and cell.change.low == 0
