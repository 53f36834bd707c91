"""The statement as a tree of allowed nodes."""

from __future__ import annotations

from sqlglot import Dialect, exp, parse
from sqlglot import parser as base
from sqlglot.errors import ParseError, SqlglotError

from queries.errors import StatementError
from queries.sql.advice import ADVICE
from queries.sql.allowed import check_allowed
from queries.sql.places import Places
from queries.statistics import FUNCTIONS as CALLS


class Questions(Dialect):
    """SQL in which Farr's statistics are plain calls, also those that the parser has nodes of its own for."""

    class Parser(base.Parser):
        """The parser without its own idea of these functions."""

        FUNCTIONS = {name: made for name, made in base.Parser.FUNCTIONS.items() if name not in CALLS}  # noqa: RUF012


_UNREADABLE = "check the spelling, commas and parentheses here"


def tree_of(places: Places) -> exp.Select:
    """Parse one SELECT; raise StatementError where the parser stops or at the first part outside the subset.

    Guarantee: no error of the parser's passes through, whatever the text.
    Test: tests/queries/test_sql_fuzz.py::test_any_text_is_answered_or_refused.
    """
    try:
        trees = parse(places.statement, read=Questions)
    except ParseError as error:
        raise _unreadable(places, error) from error
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise places.refusal(places.whole(), "this cannot be read as SQL", _UNREADABLE) from error
    tree = trees[0]
    if not isinstance(tree, exp.Select):
        advice = ADVICE.get(type(tree).__name__)
        place = (advice and places.keyword(*advice.words)) or places.whole()
        if advice:
            raise places.refusal(place, advice.message, advice.remedy)
        raise places.refusal(place, "this is not a SELECT", "ask SELECT groups and aggregates FROM one table")
    check_allowed(tree, places)
    return tree


def _unreadable(places: Places, error: ParseError) -> StatementError:
    """Point at the token where the parser stopped."""
    found = error.errors[0] if error.errors else {}
    for token in places.tokens:
        if token is not places.tokens[-1] and (token.line, token.col) == (found.get("line"), found.get("col")):
            return places.refusal((token.start, token.end + 1), f"{token.text} is not expected here", _UNREADABLE)
    last = places.tokens[-1]
    return places.refusal(
        (last.start, last.end + 1), "the statement is not complete, or stops in the wrong place", _UNREADABLE
    )
