"""Parts of a question by themselves: a condition or a term of a model, read as in a statement about one table."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from queries.agreed.catalogue import Catalogue, NumberColumn
from queries.agreed.names import find
from queries.answers.normal import normal
from queries.asked.plan import Every, FlagKey, ModelTerm, NumberTerm, Predicate
from queries.asked.predicates import Field, Sites
from queries.asked.question import Draft
from queries.errors import StatementError
from queries.sql.keys import key
from queries.sql.parse import tree_of
from queries.sql.predicates import is_condition, predicate
from queries.sql.terms import Scope, bare, subject
from queries.sql.tokens import places_of

_BEFORE = "SELECT "

_TERM = "write a number column, a column of codes, LEVEL, BAND, a part of a date, a fact about hospitals or a condition"


@dataclass(frozen=True, kw_only=True)
class Fragments:
    """Reads fragments about one table; refusals point into the fragment."""

    draft: Draft
    """The question that they are parts of."""

    @classmethod
    def about(cls, table: str, catalogue: Catalogue, sites: Sites) -> Fragments:
        """Return the reader of fragments about a table by its name; raise StatementError where there is none."""
        found = catalogue.table(find(table, (each.name for each in catalogue.tables), "table"))
        return cls(draft=Draft(catalogue, found, sites))

    def rows(self, condition: str) -> None:
        """Limit the rows to those that meet a condition; an empty one holds of all."""
        if not condition:
            return
        node, scope = self._parsed(condition)
        with _within(condition), scope.places.at(node):
            self.draft.where(predicate(node, scope))

    def limit(self, condition: Predicate) -> None:
        """Limit the rows further."""
        self.draft.where(Every(terms=(self.draft.condition, condition)))

    def term(self, text: str) -> ModelTerm:
        """Return what a fragment stands for among the terms of a model."""
        node, scope = self._parsed(text)
        with _within(text), scope.places.at(node):
            if is_condition(node):
                return FlagKey(term=normal(predicate(node, scope), self.draft.table))
            about = subject(node, scope)
            if isinstance(about, Field) and about.level is None:
                column = self.draft.rows.column(about.name)
                if isinstance(column, NumberColumn):
                    return NumberTerm(column=column.name)
            found = key(node, scope)
            if found is None:
                raise scope.places.refusal(node, "this is no term of a model", _TERM)
            return found

    def number(self, text: str) -> NumberColumn:
        """Return the number column that a fragment names."""
        found = self.term(text)
        if isinstance(found, NumberTerm):
            column = self.draft.table.column(found.column)
            if isinstance(column, NumberColumn):
                return column
        raise StatementError(
            "a number column is expected", remedy="name a number column", text=text, start=0, end=len(text)
        )

    def _parsed(self, text: str) -> tuple[exp.Expression, Scope]:
        """Return the one expression that a fragment is; raise StatementError where it is less or more."""
        name = self.draft.table.name
        with _within(text):
            places = places_of(f'{_BEFORE}{text}\nFROM "{name}"')
            tree = tree_of(places)
            given = {part for part, value in tree.args.items() if value}
            if len(tree.expressions) != 1 or given != {"expressions", "from_"}:
                raise places.refusal(places.whole(), "one column, group or condition is expected", _TERM)
            if isinstance(tree.expressions[0], exp.Alias):
                raise places.refusal(tree.expressions[0], "a term has no alias", "leave it out")
        return bare(tree.expressions[0]), Scope(draft=self.draft, places=places, names=(name.casefold(),))


class _within:  # noqa: N801  reads as a word where it is used
    """Makes refusals that point into a statement point into the fragment that it was made of."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, StatementError) or error.text == self._text:
            return
        start, end = (
            (min(max(place - len(_BEFORE), 0), len(self._text)) for place in (error.start, error.end))
            if error.text
            else (0, len(self._text))
        )
        raise StatementError(error.message, remedy=error.remedy, text=self._text, start=start, end=end) from error


def columns_in(term: Predicate) -> frozenset[str]:
    """Return the columns that a condition reads."""
    parts = getattr(term, "terms", None)
    if parts is not None:
        return frozenset[str]().union(*map(columns_in, parts))
    inner = getattr(term, "term", None)
    if inner is not None:
        return columns_in(inner)
    column = getattr(term, "column", None)
    return frozenset() if column is None else frozenset({column})
