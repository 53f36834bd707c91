"""What to say of each construct outside the subset, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlglot import exp

from queries.statistics import FUNCTIONS as CALLS

COMPARING: Mapping[type, str] = MappingProxyType(
    {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
)
"""The comparisons, and how plans and views write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """On one construct."""

    message: str
    """What is wrong."""
    remedy: str
    """What to do instead."""
    words: tuple[str, ...] = ()
    """Keywords that it is written with, each of which is refused wherever it stands; empty: mark what it covers."""
    after: str = ""
    """A keyword that comes before it, where one of ``words`` has a harmless use too."""
    known: bool = True
    """Whether the construct was foreseen."""


_BANDS = "use QUANTILE(column, 0.5), or BAND(column, ...) with COUNT(*) to see the distribution"
_FILTER = "use COUNT(*) FILTER (WHERE ...)"
_ONE_TABLE = "ask about one table; what other tables hold is not linked"
_BESIDE = "for a ratio across tables write FROM (SELECT ...) AS v JOIN (SELECT ...) AS d USING (group)"
_PARTS = "use YEAR, QUARTER, MONTH, WEEK, DAY, MONTH_OF_YEAR or WEEKDAY of a date column"
_PLAIN = "write the value itself"
_TODAY = "write the day, such as '2019-01-31': an answer must mean the same tomorrow"
_WHERE = "use = <> < <= > >= BETWEEN, IN, IS NULL, LIKE 'I63%', AND, OR and NOT"

FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "": "the functions are "
        + ", ".join(("COUNT", "SUM", "AVG", *CALLS))
        + "; for groups BAND, LEVEL, YEAR, QUARTER, MONTH, WEEK, DAY, MONTH_OF_YEAR, WEEKDAY",
        **dict.fromkeys(("MIN", "MAX", "PERCENTILE_CONT", "PERCENTILE_DISC", "MODE"), _BANDS),
        **dict.fromkeys(("MEAN", "AVERAGE"), "use AVG of a column"),
        **dict.fromkeys(("STDDEV_SAMP", "STDDEV_POP", "VAR_SAMP", "VAR_POP"), "use STDDEV or VARIANCE of a column"),
        **dict.fromkeys(("COUNT_IF", "COUNTIF", "IF", "IIF", "DECODE"), _FILTER),
        **dict.fromkeys(("NOW", "TODAY", "GETDATE", "CURRENT_DATE", "CURRENT_TIMESTAMP"), _TODAY),
        **dict.fromkeys(("DAYOFWEEK", "DAYOFMONTH", "DAYOFYEAR", "DATE_PART", "DATEPART", "STRFTIME"), _PARTS),
        **dict.fromkeys(("READ_CSV", "READ_CSV_AUTO", "READ_PARQUET", "READ_JSON", "GLOB"), _ONE_TABLE),
        **dict.fromkeys(("REGEXP_MATCHES", "REGEXP_LIKE", "CONTAINS", "STARTS_WITH", "SUBSTRING", "LEFT"), _WHERE),
        **dict.fromkeys(("COALESCE", "IFNULL", "NVL", "NULLIF"), "count rows without a value: FILTER (... IS NULL)"),
        "APPROX_DISTINCT": "use COUNT(DISTINCT ...) of the patient key",
    }
)
"""What to do instead of a function; the empty name holds for all others."""

_SETS = Advice(
    words=("ROLLUP", "CUBE", "GROUPING SETS"),
    message="only GROUP BY ROLLUP (...) answers subtotals",
    remedy="write GROUP BY ROLLUP (a, b) and nothing beside it; or ask each grouping by itself",
)
_COMBINED = Advice(
    words=("UNION", "INTERSECT", "EXCEPT"), message="one question is one SELECT", remedy="ask each SELECT by itself"
)
_INNER = Advice(
    words=("SELECT",),
    after="SELECT",
    message="a query inside another is not answered",
    remedy="write its condition in WHERE or FILTER; " + _BESIDE,
)
_SAMPLE = Advice(
    words=("TABLESAMPLE", "SAMPLE"), message="samples are not drawn", remedy="ask about all rows; the cost is the same"
)
_LINKED = Advice(words=("JOIN", "LATERAL"), message="tables are not joined", remedy=_BESIDE)
_CONDITIONAL = Advice(words=("CASE", "IF"), message="values are not computed case by case", remedy=_FILTER)
_CAST = Advice(words=("CAST", "TRY_CAST", "::"), message="values are not converted", remedy=_PLAIN)
_PARAMETER = Advice(words=("?", "@", ":"), message="parameters are not filled in", remedy=_PLAIN)
_MATCH = Advice(
    words=("ILIKE", "SIMILAR TO", "GLOB", "RLIKE", "REGEXP", "ESCAPE"),
    message="text is not searched",
    remedy="use = or IN with codes; LIKE 'I63%' matches how a code of a hierarchical set begins",
)
_LIMITED = Advice(
    words=("FETCH", "PERCENT", "TIES"),
    message="LIMIT takes a whole number",
    remedy="write LIMIT 10",
)
_SIGNS = Advice(
    words=("%", "||", "&", "|", "^", "//", "DIV", "<<", ">>", "#", "->", "->>"),
    message="this sign is not answered",
    remedy="the signs are + - * / between aggregates and numbers",
)

ADVICE: Mapping[str, Advice] = MappingProxyType(
    {
        "Select.distinct": Advice(
            words=("DISTINCT",),
            message="SELECT DISTINCT is not answered",
            remedy="leave DISTINCT out: GROUP BY answers every group once; COUNT(DISTINCT ...) counts patients",
        ),
        "Select.joins": _LINKED,
        "Select.laterals": _LINKED,
        "Table.joins": _LINKED,
        "Lateral": _LINKED,
        "Join.on": Advice(message="sides are joined by their groups", remedy="write USING and the names of the groups"),
        **dict.fromkeys(
            ("Join.side", "Join.kind", "Join.method"),
            Advice(
                words=("LEFT", "RIGHT", "FULL", "NATURAL", "SEMI", "ANTI", "ASOF", "POSITIONAL", "OUTER"),
                message="every cell is on all sides",
                remedy="write JOIN and USING",
            ),
        ),
        "Select.with_": Advice(words=("WITH",), message="a query inside another is not answered", remedy=_ONE_TABLE),
        "Select.offset": Advice(words=("OFFSET",), message="rows are not skipped", remedy="use LIMIT alone"),
        "Select.qualify": Advice(words=("QUALIFY",), message="QUALIFY is not answered", remedy="use HAVING"),
        "Select.windows": Advice(words=("WINDOW",), message="windows are not answered", remedy="use GROUP BY"),
        "Select.locks": Advice(words=("FOR",), message="nothing is locked", remedy="leave FOR out", after="FROM"),
        "Select.into": Advice(words=("INTO",), message="nothing is written", remedy="leave INTO out"),
        "Select.sample": _SAMPLE,
        "Table.sample": _SAMPLE,
        "Table.pivots": Advice(words=("PIVOT", "UNPIVOT"), message="PIVOT is not answered", remedy="use GROUP BY"),
        "Select.pivots": Advice(words=("PIVOT", "UNPIVOT"), message="PIVOT is not answered", remedy="use GROUP BY"),
        "Table.db": Advice(message="tables are in no schema", remedy="write the table's name alone"),
        "Table.catalog": Advice(message="tables are in no schema", remedy="write the table's name alone"),
        "Column.db": Advice(message="this name has too many parts", remedy="write the column's name alone"),
        "Column.catalog": Advice(message="this name has too many parts", remedy="write the column's name alone"),
        "TableAlias.columns": Advice(message="columns are not renamed", remedy="write the table's name and no list"),
        "Limit.limit_options": _LIMITED,
        "Limit.expressions": _LIMITED,
        "Fetch": _LIMITED,
        "Star": Advice(message="records are never shown", remedy="name groups and aggregates, such as SELECT COUNT(*)"),
        "Group.all": Advice(
            words=("ALL",), after="GROUP BY", message="GROUP BY ALL is not answered", remedy="name what to group by"
        ),
        "Group.rollup": _SETS,
        "Group.cube": _SETS,
        "Group.grouping_sets": _SETS,
        "Group.totals": Advice(words=("TOTALS",), message="totals are a question of their own", remedy=_SETS.remedy),
        "Cube": _SETS,
        "GroupingSets": _SETS,
        "Window": Advice(words=("OVER",), message="windows are not answered", remedy="use GROUP BY"),
        "Union": _COMBINED,
        "Intersect": _COMBINED,
        "Except": _COMBINED,
        "Subquery": _INNER,
        "Select": _INNER,
        "Exists": _INNER,
        "In.query": _INNER,
        "In.field": Advice(message="a list of values is expected", remedy="write IN ('A', 'B')"),
        "Case": _CONDITIONAL,
        "If": _CONDITIONAL,
        "Cast": _CAST,
        "TryCast": _CAST,
        "Placeholder": _PARAMETER,
        "Parameter": _PARAMETER,
        "SessionParameter": _PARAMETER,
        "ILike": _MATCH,
        "SimilarTo": _MATCH,
        "RegexpLike": _MATCH,
        "RegexpILike": _MATCH,
        "Glob": _MATCH,
        "Escape": _MATCH,
        "Interval": Advice(words=("INTERVAL",), message="days are not calculated", remedy=_TODAY),
        "CurrentDate": Advice(words=("CURRENT_DATE",), message="days are not calculated", remedy=_TODAY),
        "CurrentTimestamp": Advice(words=("CURRENT_TIMESTAMP",), message="days are not calculated", remedy=_TODAY),
        "CurrentTime": Advice(words=("CURRENT_TIME",), message="days are not calculated", remedy=_TODAY),
        "Extract": Advice(words=("EXTRACT",), message="EXTRACT is not answered", remedy=_PARTS),
        "NullSafeEQ": Advice(message="this comparison is not answered", remedy=_WHERE),
        "NullSafeNEQ": Advice(message="this comparison is not answered", remedy=_WHERE),
        "Tuple": Advice(message="a list of columns in parentheses is not answered", remedy="leave the parentheses out"),
        "Between.symmetric": Advice(
            words=("SYMMETRIC",), message="BETWEEN takes the lower end first", remedy="leave SYMMETRIC out"
        ),
        **dict.fromkeys(
            ("Week.mode", "DateTrunc.zone"),
            Advice(message="days and weeks are the catalogue's (ISO 8601)", remedy="write the column alone"),
        ),
        "Any": Advice(words=("ANY", "SOME"), message="ANY is not answered", remedy="write IN ('A', 'B')"),
        "All": Advice(message="ALL is not answered", remedy="write IN ('A', 'B')"),
        "Distinct.on": Advice(words=("DISTINCT",), message="DISTINCT ON is not answered", remedy="use GROUP BY"),
        "Order.this": Advice(
            words=("ORDER BY",), message="rows have no order inside an aggregate", remedy="leave it out"
        ),
        "IgnoreNulls": Advice(words=("IGNORE",), message="missing values never count", remedy="leave it out"),
        "WithinGroup": Advice(words=("WITHIN", "WITHIN GROUP"), message="WITHIN GROUP is not answered", remedy=_BANDS),
        **dict.fromkeys(("Sum.missing", "Avg.missing"), Advice(message="a column is missing", remedy="name one")),
        "Count.missing": Advice(message="what to count is missing", remedy="write COUNT(*), or COUNT of one column"),
        "Count.expressions": Advice(message="COUNT takes one column", remedy="write COUNT(*), or COUNT of one column"),
        "Concat": Advice(message="two texts stand side by side", remedy="write one text"),
        **dict.fromkeys(
            ("Mod", "DPipe", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseLeftShift", "BitwiseRightShift"), _SIGNS
        ),
        "IntDiv": _SIGNS,
        "Struct": Advice(words=("{",), message="values are plain numbers and texts", remedy=_PLAIN),
        "Array": Advice(words=("[",), message="values are plain numbers and texts", remedy="write IN ('A', 'B')"),
        "Pow": _SIGNS,
    }
)
"""By the node's type, or by the type and the argument."""

UNKNOWN = Advice(
    message="this is not in the subset of SQL that Farr answers",
    remedy="ask SELECT groups and aggregates FROM one table, with WHERE, GROUP BY, HAVING, ORDER BY and LIMIT",
    known=False,
)


def advice_on(node: exp.Expression, what: str) -> Advice:
    """Return what to say of an argument (``Type.argument``), else of the node's type, else of anything."""
    return ADVICE.get(what) or ADVICE.get(type(node).__name__) or UNKNOWN
