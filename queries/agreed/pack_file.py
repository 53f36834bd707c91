"""Reading a pack of indicators: one TOML file, read as strictly as a catalogue.

    name = "monthly"                      catalogue = "common"
    version = "2026-11"                   label = { en = "...", zh = "..." }
    [groupings.month]                     label and expression, such as "MONTH({date})"
    [public.population]                   label: a number that whoever runs the pack gives
    [means.discharge]                     los = 8.8: about the mean of a column, for foresight only
    [defaults]                            source, groupings and reliability of indicators that name none
    [[indicator]]                         see farr/packs/monthly.toml

That its questions fit a catalogue is seen when they are read: ``farr indicators check``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from queries.agreed.names import offer
from queries.agreed.pack import FIGURE, Given, Grouping, Indicator, Pack, Reliability, Side
from queries.agreed.section import Section
from queries.cost.tally import FULL
from queries.errors import CatalogueError

MOST_BYTES = 1 << 20
"""Longest accepted file."""

MOST_INDICATORS = 128
"""Most indicators of a pack."""

LONGEST_FIGURE = 2000
"""Most characters of a figure or a condition."""

MOST_WEIGHT = 1000 // FULL
"""Greatest weight of an indicator."""

_TOP = ("name", "version", "catalogue", "label", "groupings", "public", "means", "defaults", "indicator")
_SIDE = ("table", "figure", "where", "dated_by", "rows", "volume", "share")
_INDICATOR = (
    "id", "name", "label", "definition", "numerator", "denominator", "source", "unit", "top", "bottom", "factor",
    "base", "by", "groupings", "without", "note", "public", "reliability", "weight",
)  # fmt: skip
_PLACE = re.compile(r"\{([^{}]*)\}")


def read_pack(source: bytes, file: str) -> Pack:
    """Read a pack; raise CatalogueError with ``file``, the dotted key and the remedy for anything wrong.

    Guarantee: a pack holds texts and numbers only; what they ask is read by the same reader as any statement, so a
    pack can ask nothing that an analyst could not. Test: tests/queries/test_pack.py::test_a_pack_is_read_strictly.
    """
    top = Section(file=file, path="", values=_parse(source, file))
    top.only(_TOP)
    name = top.name("name", 'name the pack, such as name = "monthly"')
    groupings = _groupings(top)
    public = _public(top)
    defaults = _defaults(top)
    found: list[Indicator] = []
    for section in top.sections("indicator", "write one [[indicator]] for each"):
        indicator = _indicator(section, defaults, groupings, public)
        if indicator.name in {each.name for each in found}:
            section.refuse("name", f"there are two indicators {indicator.name}", "names are unique")
        found.append(indicator)
    if len(found) > MOST_INDICATORS:
        top.refuse("indicator", f"more than {MOST_INDICATORS} indicators", "make two packs")
    return Pack(
        name=name,
        version=top.text("version", 'write version = "2026-11", and change it whenever anything changes'),
        catalogue=top.name("catalogue", 'name the catalogue that the questions are about, such as "common"'),
        label=top.label("label", name),
        groupings=MappingProxyType(groupings),
        public=MappingProxyType(public),
        means=_means(top),
        indicators=tuple(found),
        source=source,
    )


def _parse(source: bytes, file: str) -> Mapping[str, object]:
    if len(source) > MOST_BYTES:
        raise CatalogueError(f"longer than {MOST_BYTES:,} bytes", file=file, key="(file)", remedy="make two packs")
    try:
        return tomllib.loads(source.decode(), parse_float=Decimal)
    except (UnicodeDecodeError, ValueError, RecursionError, ArithmeticError) as error:
        message = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not TOML in UTF-8"
        raise CatalogueError(message, file=file, key="(file)", remedy="correct the TOML there") from error


def _groupings(top: Section) -> dict[str, Grouping]:
    if not top.has("groupings"):
        return {}
    remedy = 'write [groupings.month] with label and expression = "MONTH({date})"'
    chosen = top.section("groupings", remedy)
    found = {}
    for name in chosen.names():
        section = chosen.section(name, remedy)
        section.only(("label", "expression"))
        expression = _sql(section, "expression", remedy)
        _check_places(section, "expression", expression, {"date"})
        found[name] = Grouping(name=name, label=section.label("label", name), expression=expression)
    return found


def _public(top: Section) -> dict[str, Given]:
    if not top.has("public"):
        return {}
    remedy = "write [public.population] with a label"
    chosen = top.section("public", remedy)
    found = {}
    for name in chosen.names():
        section = chosen.section(name, remedy)
        section.only(("label",))
        found[name] = Given(name=name, label=section.label("label", name))
    return found


def _means(top: Section) -> Mapping[str, Mapping[str, Fraction]]:
    if not top.has("means"):
        return MappingProxyType({})
    remedy = "write [means.discharge] with los = 8.8"
    chosen = top.section("means", remedy)
    found = {}
    for table in chosen.names():
        section = chosen.section(table, remedy)
        found[table] = MappingProxyType({name: section.decimal(name, remedy) for name in section.names()})
    return MappingProxyType(found)


def _defaults(top: Section) -> Section:
    section = top.section("defaults", "write [defaults] with source, groupings and reliability")
    section.only(("source", "groupings", "reliability"))
    return section


def _indicator(
    section: Section, defaults: Section, groupings: Mapping[str, Grouping], public: Mapping[str, Given]
) -> Indicator:
    section.only((*_INDICATOR, *_SIDE))
    remedy = "give both languages: { en = ..., zh = ... }"
    for wanted in ("label", "definition", "numerator", "denominator", "unit"):
        section.required(wanted, remedy)
    name = section.name("name", 'name the indicator, such as name = "los_mean"')
    if section.has("top") and section.has("bottom"):
        if section.has("figure"):
            section.refuse("figure", "an indicator has a figure, or top and bottom", "leave out either")
        sides: list[Side] = [_side(section.section(end, "name table and figure"), public) for end in ("top", "bottom")]
    elif section.has("top") or section.has("bottom"):
        section.refuse("", "top and bottom belong together", "write both, or table and figure")
    else:
        sides = [_side(section, public, alone=True)]
    used = {place for side in sides for place in _PLACE.findall(side.figure)}
    by = _names(section, "by", groupings, "grouping") if section.has("by") else ()
    chosen = section if section.has("groupings") else defaults
    without = section.items("without", 'list codes, such as ["plague"]') if section.has("without") else []
    if not all(isinstance(code, str) for code in without):
        section.refuse("without", "not a list of codes", 'list codes, such as ["plague"]')
    return Indicator(
        number=section.whole("id", 1, 999, "give its number in the catalogue of indicators"),
        name=name,
        label=section.label("label", name),
        definition=section.label("definition", name),
        numerator=section.label("numerator", ""),
        denominator=section.label("denominator", ""),
        source=(section if section.has("source") else defaults).text("source", "say who defines it"),
        unit=section.label("unit", ""),
        top=sides[0],
        bottom=sides[1] if len(sides) > 1 else None,
        factor=section.decimal("factor", "write factor = 100") if section.has("factor") else Fraction(1),
        base=_sql(section, "base", f'write "{FIGURE}", or COUNT(*)') if section.has("base") else "",
        by=by,
        groupings=tuple(each for each in _names(chosen, "groupings", groupings, "grouping") if each not in by),
        without=tuple(map(str, without)),
        note=section.label("note", "") if section.has("note") else None,
        public=tuple(each for each in public if each in used),
        reliability=_reliability(section if section.has("reliability") else defaults),
        weight=section.whole("weight", 1, MOST_WEIGHT, f"a whole number up to {MOST_WEIGHT}")
        if section.has("weight")
        else 1,
    )


def _side(section: Section, public: Mapping[str, Given], *, alone: bool = False) -> Side:
    if not alone:
        section.only(_SIDE)
    figure = _sql(section, "figure", "write a figure in Farr's SQL, such as 100 * SHARE(disch_way = '5')")
    _check_places(section, "figure", figure, {*public, "days"})
    where = _sql(section, "where", "write a condition on rows") if section.has("where") else ""
    _check_places(section, "where", where, set())
    one = Fraction(1)
    return Side(
        table=section.name("table", "name a table of the catalogue"),
        figure=figure,
        where=where,
        dated_by=section.name("dated_by", "name the date column that the period is about"),
        rows=section.whole("rows", 1, 1_000_000, "give the most rows of a patient and month that shall count"),
        volume=section.decimal("volume", "about how many rows for each discharge") if section.has("volume") else one,
        share=section.decimal("share", "about how large the share is") if section.has("share") else one / 2,
    )


def _reliability(section: Section) -> Reliability:
    remedy = "write reliability = { least = 10, caution = 16.6, suppress = 33.3 }"
    rule = section.section("reliability", remedy)
    rule.only(("least", "caution", "suppress"))
    caution, suppress = rule.decimal("caution", remedy), rule.decimal("suppress", remedy)
    if not 0 < caution <= suppress:
        rule.refuse("caution", "not above 0 and up to suppress", remedy)
    return Reliability(least=rule.whole("least", 0, 1_000_000, remedy), caution=caution, suppress=suppress)


def _names(section: Section, key: str, known: Mapping[str, object], what: str) -> tuple[str, ...]:
    found = []
    for place, name in enumerate(section.items(key, f"list names of {what}s")):
        if not isinstance(name, str) or name not in known:
            section.refuse(f"{key}[{place}]", f"there is no {what} {name!r}", offer(str(name), known))
        if name in found:
            section.refuse(f"{key}[{place}]", f"{name} is there twice", "name each once")
        found.append(name)
    return tuple(found)


def _sql(section: Section, key: str, remedy: str) -> str:
    """Return a piece of SQL: one line that ends nothing but itself."""
    value = section.required(key, remedy)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_FIGURE:
        section.refuse(key, f"not a text of up to {LONGEST_FIGURE:,} characters", remedy)
    text = " ".join(value.split())
    if not text.isprintable() or ";" in text or "--" in text or "/*" in text:
        section.refuse(key, "has a comment, a semicolon or control characters", remedy)
    return text


def _check_places(section: Section, key: str, text: str, known: set[str]) -> None:
    for place in _PLACE.findall(text):
        if place not in known:
            section.refuse(key, f"{{{place}}} stands for nothing", offer(place, known))
    if "{" in _PLACE.sub("", text) or "}" in _PLACE.sub("", text):
        section.refuse(key, "has a brace without its partner", "write {population} for a public number")
