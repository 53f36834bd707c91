"""The columns of a catalogue file: codes, numbers and days, each with its public bounds."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from queries.agreed.catalogue import CodeColumn, CodeSet, Column, DateColumn, NumberColumn
from queries.agreed.codes import flat_codes
from queries.agreed.section import Section

MOST_STEPS = 1 << 31
"""Most steps from a number's bounds to zero and to each other: every value fits 32 bits."""

MOST_IN_LIST = 200
"""Most codes that a list may hold in one row."""

_KIND = "give one of codes = ..., number = { low, high, step }, date = { first, last }"
_BOUND = "give the bounds that the members agreed on: a missing bound would mean no noise"
_STEP = "write the finest difference that matters, such as 1 or 0.01"
_TIME = "write time = true where derived columns need the time of day"
_CODES = 'name a set of [codes], such as codes = "sex", or write the codes here: codes = { F = "female", M = "male" }'


def read_column(section: Section, name: str, code_sets: Mapping[str, CodeSet], version: str) -> Column:
    """Read ``[tables.<table>.columns.<name>]``; raise CatalogueError."""
    section.only(("label", "codes", "number", "date", "unit", "most"))
    kinds = [kind for kind in ("codes", "number", "date") if section.has(kind)]
    if len(kinds) != 1:
        section.refuse("", f"{len(kinds)} kinds of column at once" if kinds else "no kind of column", _KIND)
    if section.has("unit") and kinds != ["number"]:
        section.refuse("unit", "only numbers have a unit", "take it away")
    if section.has("most") and kinds != ["codes"]:
        section.refuse("most", "only codes come in lists", "take it away")
    label = section.label("label", name)
    if kinds == ["codes"]:
        codes = read_codes(section, code_sets, version)
        return CodeColumn(name=name, label=label, codes=codes, most=_most(section))
    if kinds == ["number"]:
        return _number(section, name)
    days = section.section("date", "write date = { first = 2020-01-01, last = 2030-12-31 }")
    days.only(("first", "last", "time"))
    first, last = days.day("first", _BOUND), days.day("last", _BOUND)
    if first > last:
        days.refuse("last", "earlier than first", "exchange them")
    time = days.required("time", _TIME) if days.has("time") else False
    if not isinstance(time, bool):
        days.refuse("time", "neither true nor false", _TIME)
    return DateColumn(name=name, label=label, first=first, last=last, time=time)


def read_codes(section: Section, code_sets: Mapping[str, CodeSet], version: str) -> CodeSet:
    """Read ``codes``: the name of a set of the catalogue, or the codes themselves."""
    value = section.required("codes", _CODES)
    if not isinstance(value, str):
        return CodeSet(name=section.path, version=version, codes=flat_codes(section, "codes"))
    if value not in code_sets:
        section.refuse(
            "codes", f"there is no code set {value!r}", "the catalogue's: " + (", ".join(code_sets) or "none")
        )
    return code_sets[value]


def _most(section: Section) -> int:
    remedy = "give the most codes that one row may hold, such as most = 10; leave it out where a row holds one"
    return section.whole("most", 2, MOST_IN_LIST, remedy) if section.has("most") else 1


def _number(section: Section, name: str) -> NumberColumn:
    bounds = section.section("number", "write number = { low = 0, high = 120, step = 1 }")
    bounds.only(("low", "high", "step"))
    low, high = bounds.decimal("low", _BOUND), bounds.decimal("high", _BOUND)
    step = bounds.decimal("step", _STEP) if bounds.has("step") else Fraction(1)
    if step <= 0:
        bounds.refuse("step", "not above 0", _STEP)
    if low >= high:
        bounds.refuse("high", "not above low", _BOUND)
    for end, value in (("low", low), ("high", high)):
        if (value / step).denominator != 1:
            bounds.refuse(end, "not a whole number of steps", "move it to a multiple of step")
    if max(high - low, abs(low), abs(high)) / step >= MOST_STEPS:
        bounds.refuse("step", f"the bounds span more than {MOST_STEPS:,} steps", "use a coarser step or closer bounds")
    return NumberColumn(
        name=name,
        label=section.label("label", name),
        low=int(low / step),
        high=int(high / step),
        step=step,
        unit=section.text("unit", 'write unit = "mmHg"') if section.has("unit") else "",
    )
