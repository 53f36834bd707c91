"""A statement into a question: one SELECT about one table, or several side by side."""

from __future__ import annotations

from sqlglot import exp

from queries.agreed.catalogue import Catalogue
from queries.asked.predicates import Sites
from queries.asked.question import Question
from queries.sql.allowed import sides_of
from queries.sql.joined import joined
from queries.sql.parse import tree_of
from queries.sql.single import question_of, scope_of
from queries.sql.tokens import places_of


def read(
    statement: str,
    catalogue: Catalogue,
    sites: Sites,
    *,
    rows_per_patient: int | None = None,
    groups_per_patient: int | None = None,
) -> Question:
    """Read a statement; raise StatementError, pointing at the text, for anything outside the subset.

    ``sites`` maps certified hospitals' identifiers to their public attributes. The bounds default to all that the
    catalogue lets a patient contribute: fewer rows or groups of a patient mean less noise.

    Guarantee: everything in the question comes from the statement, the catalogue and the public list of hospitals.
    Test: tests/queries/test_refusals.py::test_hostile_and_unsupported_statements_are_refused.
    """
    places = places_of(statement)
    tree = tree_of(places)

    def ask(select: exp.Select) -> Question:
        scope = scope_of(select, places, catalogue, sites)
        return question_of(select, scope, rows=rows_per_patient, groups=groups_per_patient)

    try:
        with places.at(places.whole()):
            return joined(tree, places, catalogue, ask) if sides_of(tree) else ask(tree)
    except RecursionError as error:
        raise places.refusal(places.whole(), "nested too deeply", "write the question more plainly") from error
