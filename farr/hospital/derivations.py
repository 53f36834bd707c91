"""Derived columns, lists and tables of elements in words, for those who read a catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from farr.texts import N_, _
from queries.agreed.catalogue import CodeColumn
from queries.agreed.derived import AnyOf, Elements, First, Near, Repeat, Rule

MOST_NAMED = 6
"""Codes that a sentence names."""

PERIODS = {
    "year": N_("it is the first of the patient's rows in its calendar year"),
    "month": N_("it is the first of the patient's rows in its calendar month"),
    "ever": N_("it is the first of the patient's rows"),
}


def in_words(rule: Rule) -> str:
    """Return what a derived column says of a row, in the language in use."""
    if isinstance(rule, Near):
        return _near(rule)
    if isinstance(rule, First):
        return _(PERIODS[rule.per]) + _(", by {column}").format(column=rule.by) + _alike(rule.same)
    if isinstance(rule, Repeat):
        return _("it is not the first of the patient's rows") + _alike(rule.same)
    if isinstance(rule, AnyOf):
        named = _listed(rule.codes) if rule.level is None else f"{_listed(rule.codes)} ({rule.level})"
        return _("one of {codes} is in {columns}").format(codes=named, columns=_listed(rule.of))
    text = _("minutes from {since} to {until}") if rule.unit == "minutes" else _("days from {since} to {until}")
    return text.format(since=rule.since, until=rule.until)


def list_in_words(column: CodeColumn) -> str:
    """Return how many codes a list holds, and that questions cannot read it."""
    return _("a list of at most {most} codes; not in questions").format(most=column.most)


def elements_in_words(each: Elements) -> str:
    """Return what a table of elements is made of."""
    return _("one row for each element of {lists} in {table}").format(lists=_listed(each.lists), table=each.table)


def _near(rule: Near) -> str:
    if rule.after:
        text = _("another row's {until} is 0 to {days} days after this row's {since}")
    else:
        text = _("this row's {until} is 0 to {days} days after another row's {since}")
    words = text.format(until=rule.until, since=rule.since, days=rule.days) + _alike(rule.same)
    for among in rule.where:
        words += _("; there {column} is {codes}").format(column=among.column, codes=_listed(among.codes))
    return words


def _alike(same: tuple[str, ...]) -> str:
    return _(", with the same {columns}").format(columns=_listed(same)) if same else ""


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = _(" and {count:,} more").format(count=len(known) - MOST_NAMED) if len(known) > MOST_NAMED else ""
    return ", ".join(known[:MOST_NAMED]) + more
