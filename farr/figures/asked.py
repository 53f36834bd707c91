"""What two statements ask: whether a figure is the same statistic in both, and whether they are about the same rows.

Read from the words alone: a saved answer comes without the catalogue. What cannot be told from them is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from queries.errors import QueryError
from queries.statistics import FUNCTIONS

if TYPE_CHECKING:
    from sqlglot import exp

    from queries.answers.answer import Answer

RATIOS = frozenset(
    {"ODDS_RATIO", "RISK_RATIO", "LOGISTIC_ODDS", "POISSON_RATES", "RELATIVE_RISK", "HAZARD_RATIO"}
    | {"STRATIFIED_HAZARD_RATIO", "SMR", "LIFT"}
)
"""Functions whose figures are ratios: no difference is 1, and errors are even on the logarithmic scale."""

Window = tuple[date | None, date | None]
"""First and last day; None: open."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A statement, as far as its words go."""

    statistics: Mapping[str, str]
    """By column of figures, what is computed, in one spelling; empty where that cannot be told."""
    ratios: frozenset[str]
    """The columns whose figures are ratios."""
    conditions: str
    """What WHERE says, in one spelling."""
    windows: tuple[Mapping[str, Window], ...] = field(default=())
    """By table that is read, the days that WHERE limits a column to; empty where nothing can be told."""

    @property
    def known(self) -> bool:
        """Return whether there is a statement that could be read."""
        return bool(self.windows)


NOTHING = Asked(statistics={}, ratios=frozenset(), conditions="")
"""What can be told of a question that was built in Python."""


def asked(statement: str, answer: Answer) -> Asked:
    """Return what a statement asks whose answer this is; NOTHING where there is none or it cannot be read.

    Guarantee: what is said of a stranger's statement holds no control character that a terminal would obey. Test:
    tests/farr/test_comparison.py::test_a_strangers_statement_is_read_or_passed_over.
    """
    from sqlglot import exp

    from queries.sql.parse import tree_of
    from queries.sql.tokens import places_of

    try:
        tree = tree_of(places_of(statement)) if " ".join(statement.split()).isprintable() else None
    except QueryError:
        tree = None
    if tree is None or tree.args.get("from_") is None:
        return NOTHING
    sides = [each for each in tree.find_all(exp.Select) if not _joins(each)]
    conditions = [each.args["where"].this for each in sides if each.args.get("where")]
    windows = tuple(_windows(each) for each in sides)
    source = _source(tree)
    written = _figures(tree, answer)
    return Asked(
        statistics={name: f"{node.sql(normalize=True)} {source}" for name, node in written.items()},
        ratios=frozenset(name for name, node in written.items() if _is_ratio(node)),
        conditions="; ".join(each.sql(normalize=True) for each in conditions),
        windows=windows,
    )


def apart(one: Asked, two: Asked) -> bool:
    """Return whether the statements surely ask about different days, so that no row is in both.

    Guarantee: never true where a row could meet the conditions of both. Test:
    tests/farr/test_comparison.py::test_periods_that_may_share_a_day_are_not_apart.
    """
    if not one.known or len(one.windows) != len(two.windows):
        return False
    return all(_apart(mine, other) for mine, other in zip(one.windows, two.windows, strict=True))


def _apart(mine: Mapping[str, Window], other: Mapping[str, Window]) -> bool:
    for column in mine.keys() & other.keys():
        (first, last), (begin, end) = mine[column], other[column]
        if (last and begin and last < begin) or (end and first and end < first):
            return True
    return False


def _figures(tree: exp.Select, answer: Answer) -> dict[str, exp.Expr]:
    """Return by column of figures the expression that it shows; none where they cannot be told apart."""
    names = [column.name for column in answer.columns if column.kind == "estimate"]
    written = [node.unalias() for node in tree.expressions if _computes(node)]
    if len(written) == len(names):
        return dict(zip(names, written, strict=True))
    by_alias = {node.alias_or_name: node.unalias() for node in tree.expressions}
    return {name: by_alias[name] for name in names if name in by_alias}


def _computes(node: exp.Expr) -> bool:
    from sqlglot import exp

    return node.find(exp.AggFunc) is not None or any(name in FUNCTIONS for name in _calls(node))


def _is_ratio(node: exp.Expr) -> bool:
    return any(name in RATIOS for name in _calls(node))


def _calls(node: exp.Expr) -> Iterator[str]:
    from sqlglot import exp

    return (each.name.upper() for each in node.find_all(exp.Anonymous))


def _source(tree: exp.Select) -> str:
    """Return what is read, without the conditions on rows."""
    from sqlglot import exp

    bare = tree.copy()
    for each in list(bare.find_all(exp.Where)):
        if not isinstance(each.parent, exp.Filter):
            each.pop()
    parts = [bare.args.get("from_"), *(bare.args.get("joins") or [])]
    return " ".join(part.sql(normalize=True) for part in parts if part is not None)


def _joins(select: exp.Select) -> bool:
    return bool(select.args.get("joins"))


def _windows(select: exp.Select) -> dict[str, Window]:
    """Return the days that the outer conjunction of WHERE limits each column to, never fewer than the rows have."""
    where = select.args.get("where")
    found: dict[str, Window] = {}
    for term in where.this.flatten() if where and _is_and(where.this) else [where.this] if where else []:
        read = _limits(_bare(term))
        if read is None:
            continue
        column, (first, last) = read
        begin, end = found.get(column, (None, None))
        found[column] = (
            max(filter(None, (first, begin)), default=None),
            min(filter(None, (last, end)), default=None),
        )
    return found


def _is_and(node: exp.Expr) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.And)


def _limits(term: Any) -> tuple[str, Window] | None:
    """Return the column and the days of a term such as ``admitted >= '2026-01-01'``; None for any other."""
    from sqlglot import exp

    if isinstance(term, exp.Between):
        first, last = _day(term.args["low"]), _day(term.args["high"])
        return _of_column(term.this, (first, last)) if first and last else None
    sign = {exp.GTE: ">=", exp.GT: ">", exp.LTE: "<=", exp.LT: "<", exp.EQ: "="}.get(type(term))
    if sign is None:
        return None
    column, day = term.this, _day(term.expression)
    if day is None:
        column, day = term.expression, _day(term.this)
        sign = {">=": "<=", ">": "<", "<=": ">=", "<": ">", "=": "="}[sign]
    if day is None:
        return None
    step = timedelta(days=1)
    ends: dict[str, Window] = {
        ">=": (day, None),
        ">": (day + step if day < date.max else day, None),
        "<=": (None, day),
        "<": (None, day - step if day > date.min else day),
        "=": (day, day),
    }
    return _of_column(column, ends[sign])


def _of_column(node: Any, window: Window) -> tuple[str, Window] | None:
    from sqlglot import exp

    node = _bare(node)
    return (node.name.casefold(), window) if isinstance(node, exp.Column) else None


def _day(node: Any) -> date | None:
    from sqlglot import exp

    node = _bare(node)
    if isinstance(node, exp.Cast):
        node = _bare(node.this)
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    try:
        return date.fromisoformat(node.name)
    except ValueError:
        return None


def _bare(node: Any) -> Any:
    from sqlglot import exp

    while isinstance(node, exp.Paren):
        node = node.this
    return node
