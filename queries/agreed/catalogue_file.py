"""Reading a catalogue: one TOML file that every member of a federation holds, byte for byte.

    name = "stroke"                       sites_per_patient = 1
    version = "2026-11"                   rows_per_site = 100_000
    [site.country]                        a public fact about hospitals: label, codes
    [codes.diagnosis]                     a code set: version and codes, perhaps levels; or use = "icd-10"
    [tables.admission]                    label, patient, rows_per_patient, perhaps dated_by
    [tables.admission.columns.age]        label, and one of codes, number, date
    [tables.admission.derived.again]      label, and one of next_within, first, any and others
    [tables.diagnosis]                    label, rows_per_patient, each: the elements of another table's lists

Nothing has a default that would weaken privacy: a bound or a cap that is missing or misspelt is refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet, Column, DateColumn, SiteAttribute, Table
from queries.agreed.catalogue_columns import read_codes, read_column
from queries.agreed.catalogue_derived import read_derived
from queries.agreed.codes import read_code_set
from queries.agreed.derived import Elements
from queries.agreed.names import offer
from queries.agreed.section import Section
from queries.errors import CatalogueError

MOST_BYTES = 8 << 20
"""Longest accepted file: a few hundred thousand codes."""

_CAP = "give the most rows that one patient may contribute: a missing cap would mean no noise"
_EACH = 'write each = { table = "discharge", lists = ["dx_other"] }'
_TABLE = "write [tables.admission] with label, patient, rows_per_patient and columns"


def read_catalogue(source: bytes, file: str) -> Catalogue:
    """Read a catalogue; raise CatalogueError with ``file``, the dotted key and the remedy for anything wrong.

    Guarantee: every number column of the result has bounds, every table a patient key and a cap, and every level's
    groups are runs of neighbouring codes; what sensitivities rest on is never a default.
    Test: tests/queries/test_catalogue.py::test_a_missing_bound_or_cap_is_refused.
    """
    top = Section(file=file, path="", values=_parse(source, file))
    top.only(("name", "version", "label", "sites_per_patient", "rows_per_site", "site", "codes", "tables"))
    name = top.name("name", 'name the catalogue, such as name = "stroke"')
    version = top.text("version", 'write version = "2026-11", and change it whenever anything changes')
    code_sets = _code_sets(top)
    tables = top.section("tables", _TABLE)
    return Catalogue(
        name=name,
        version=version,
        tables=_tables(tables, code_sets, version),
        site_attributes=_site_attributes(top, code_sets, version),
        sites_per_patient=top.whole(
            "sites_per_patient", 1, 1000, "give the most hospitals that hold rows of one patient, such as 1"
        ),
        rows_per_site=top.whole(
            "rows_per_site", 1, 1 << 40, "give the most rows of one hospital's table, such as 100_000_000"
        ),
        source=source,
        label=top.label("label", name),
    )


def _parse(source: bytes, file: str) -> Mapping[str, object]:
    if len(source) > MOST_BYTES:
        raise CatalogueError(
            f"longer than {MOST_BYTES:,} bytes", file=file, key="(file)", remedy="leave out codes that nobody uses"
        )
    try:
        return tomllib.loads(source.decode(), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise CatalogueError(
            "not UTF-8", file=file, key=f"byte {error.start}", remedy="save the file as UTF-8 without a mark"
        ) from error
    except (ValueError, RecursionError, ArithmeticError) as error:
        message = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not TOML"
        place = re.search(r"\s*\(at (line \d+, column \d+|end of document)\)", message)
        raise CatalogueError(
            message[: place.start()] if place else message,
            file=file,
            key=place.group(1) if place else "(file)",
            remedy="correct the TOML there",
        ) from error


def _code_sets(top: Section) -> dict[str, CodeSet]:
    if not top.has("codes"):
        return {}
    remedy = 'write [codes.sex] with version = "1" and codes = { F = "female", M = "male" }'
    sets = top.section("codes", remedy)
    return {name: read_code_set(sets.section(name, remedy), name) for name in sets.names()}


def _site_attributes(top: Section, code_sets: Mapping[str, CodeSet], version: str) -> tuple[SiteAttribute, ...]:
    if not top.has("site"):
        return ()
    remedy = 'write [site.country] with label and codes = { UK = "United Kingdom" }'
    chosen = top.section("site", remedy)
    found = []
    for name in chosen.names():
        section = chosen.section(name, remedy)
        section.only(("label", "codes"))
        codes = read_codes(section, code_sets, version)
        found.append(SiteAttribute(name=name, label=section.label("label", name), codes=codes))
    return tuple(found)


def _tables(section: Section, code_sets: Mapping[str, CodeSet], version: str) -> tuple[Table, ...]:
    """Read the tables in the file's order; those of elements after the tables that hold the lists."""
    sections = {name: section.section(name, _TABLE) for name in section.names()}
    held = {name: _table(given, name, code_sets, version) for name, given in sections.items() if not given.has("each")}
    return tuple(held[name] if name in held else _elements(given, name, held) for name, given in sections.items())


def _table(section: Section, name: str, code_sets: Mapping[str, CodeSet], version: str) -> Table:
    section.only(("label", "patient", "rows_per_patient", "dated_by", "columns", "derived", "each"))
    patient = section.name("patient", "name the key that says whose a row is: without one, nobody can be protected")
    cap = section.whole("rows_per_patient", 1, 1_000_000, _CAP)
    remedy = f"write [{section.key('columns')}.age] with number = {{ low = 0, high = 120 }}"
    chosen = section.section("columns", remedy)
    recorded = [read_column(chosen.section(column, remedy), column, code_sets, version) for column in chosen.names()]
    lists = tuple(column for column in recorded if isinstance(column, CodeColumn) and column.most > 1)
    columns = tuple(column for column in recorded if not (isinstance(column, CodeColumn) and column.most > 1))
    derived = read_derived(section.section("derived", _TABLE), columns, lists) if section.has("derived") else ()
    _check_names(section, patient, recorded, [column for column, _ in derived])
    dated_by = section.name("dated_by", "name a date column") if section.has("dated_by") else None
    if dated_by and not any(column.name == dated_by and isinstance(column, DateColumn) for column in columns):
        days = ", ".join(column.name for column in columns if isinstance(column, DateColumn)) or "none"
        section.refuse("dated_by", f"{dated_by} is not a date column", f"the table's date columns: {days}")
    return Table(
        name=name,
        label=section.label("label", name),
        patient=patient,
        columns=(*columns, *(column for column, _ in derived)),
        rows_per_patient=cap,
        dated_by=dated_by,
        lists=lists,
        derived=tuple(rule for _, rule in derived),
    )


def _check_names(section: Section, patient: str, recorded: list[Column], derived: list[Column]) -> None:
    known = {column.name.casefold() for column in recorded}
    for column in derived:
        if column.name.casefold() in known:
            section.refuse(f"derived.{column.name}", f"{column.name} is also a recorded column", "rename either")
    if patient.casefold() in known | {column.name.casefold() for column in derived}:
        section.refuse("patient", f"{patient} is also a column", "questions never read the patient key: rename either")


def _elements(section: Section, name: str, held: Mapping[str, Table]) -> Table:
    """Read a table that has one row for each element of another's lists, with that row's columns."""
    section.only(("label", "rows_per_patient", "each"))
    cap = section.whole("rows_per_patient", 1, 1_000_000, _CAP)
    each = section.section("each", _EACH)
    each.only(("table", "lists"))
    of = each.name("table", _EACH)
    if of not in held:
        each.refuse("table", f"no table {of!r} is recorded", offer(of, held))
    base = held[of]
    lists = {column.name: column for column in base.lists}
    chosen: list[CodeColumn] = []
    for place, listed in enumerate(each.items("lists", _EACH)):
        if not isinstance(listed, str) or listed not in lists:
            each.refuse(f"lists[{place}]", f"table {of} has no list {listed!r}", offer(str(listed), lists))
        if lists[listed] in chosen:
            each.refuse(f"lists[{place}]", f"{listed} is there twice", "name each list once")
        chosen.append(lists[listed])
    return Table(
        name=name,
        label=section.label("label", name),
        patient=base.patient,
        columns=(*base.columns, *(replace(column, most=1) for column in chosen)),
        rows_per_patient=cap,
        dated_by=base.dated_by,
        each=Elements(table=of, lists=tuple(column.name for column in chosen)),
    )
