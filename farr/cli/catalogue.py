"""`farr catalogue`: what may be asked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AsJson, Home
from farr.figures import tables
from farr.figures.units import in_words
from farr.texts import N_, _, language

if TYPE_CHECKING:
    from queries.agreed.catalogue import Catalogue, Column

app = typer.Typer(add_completion=False, no_args_is_help=True, help=N_("What may be asked: tables, columns, codes."))

MOST_CODES = 12
"""Codes of a column that the overview shows; `--column` shows all."""

FIRST_CODES = 3
"""Codes that it shows of a longer list, as examples."""

SHOW = N_(
    "Show the tables of the federation, or all codes of one column.\n\n\b\n"
    "  farr catalogue show\n"
    "  farr catalogue show --column admission.stroke_type"
)
CHECK = N_("Check a catalogue file before a federation is founded on it.\n\n\b\n  farr catalogue check stroke.toml")


@app.command(help=SHOW)
def show(
    home: Home = None,
    column: Annotated[str, typer.Option(metavar="TABLE.COLUMN", help=N_("Show every code of this column."))] = "",
    as_json: AsJson = False,
) -> None:
    """Show the catalogue of the member's federation, without asking anyone."""
    from farr.lab.record import analyst_home
    from farr.membership import home as homes
    from queries.agreed.catalogue_file import read_catalogue

    held = homes.read(analyst_home(home or homes.default_home()))
    catalogue = read_catalogue(held.catalogue, homes.CATALOGUE)
    if as_json:
        output.as_json(_plain(catalogue))
    elif column:
        _show_codes(catalogue, column)
    else:
        _show(catalogue)


@app.command(help=CHECK)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=N_("A catalogue, TOML."))], as_json: AsJson = False
) -> None:
    """Read a catalogue file and say what it holds."""
    from queries.agreed.catalogue_file import read_catalogue

    catalogue = read_catalogue(file.read_bytes(), file.name)
    if as_json:
        output.as_json(_plain(catalogue))
        return
    output.line(_("{file} is a valid catalogue.").format(file=file))
    output.line(_("digest: {digest}").format(digest=catalogue.digest.hex()))
    _show(catalogue)


def _show(catalogue: Catalogue) -> None:
    from farr.hospital.derivations import elements_in_words, in_words, list_in_words

    chinese = language()
    for described in catalogue.tables:
        most = described.rows_per_patient
        cap = _("one row of a patient") if most == 1 else _("at most {rows} rows of a patient").format(rows=most)
        yearly = _(" per year of {column}").format(column=described.dated_by) if described.dated_by else ""
        output.line(f"\n{described.name}  {described.label.in_language(chinese)}  ({cap}{yearly})")
        if described.each is not None:
            output.line(elements_in_words(described.each))
        headers = (_("column"), _("meaning"), _("values"))
        rules = {derived.name: in_words(derived.rule) for derived in described.derived}
        rows = [
            (each.name, each.label.in_language(chinese), _computed(each, rules.get(each.name, "")))
            for each in described.columns
        ]
        rows += [(each.name, each.label.in_language(chinese), list_in_words(each)) for each in described.lists]
        rows.append(
            (described.patient, _("patient key"), _("only in COUNT(DISTINCT {key})").format(key=described.patient))
        )
        output.table(tables.table(headers, rows))
    output.line("\n" + _("Public facts about hospitals"))
    rows = [("site", _("the hospital"), _("see `farr budget`"))]
    for fact in catalogue.site_attributes:
        codes = ", ".join(code.code for code in fact.codes.codes[:MOST_CODES])
        rows.append((f"site.{fact.name}", fact.label.in_language(chinese), codes))
    output.table(tables.table((_("name"), _("meaning"), _("values")), rows))


def _computed(column: Column, rule: str) -> str:
    """Return a column's values, and how they are computed where they are."""
    from queries.agreed.catalogue import NumberColumn

    if not rule:
        return _values(column)
    if isinstance(column, NumberColumn):
        return _("{values}: {rule}").format(values=_values(column), rule=rule)
    return _("Y where {rule}").format(rule=rule)


def _values(column: Column) -> str:
    from queries.agreed.catalogue import CodeColumn, NumberColumn

    if isinstance(column, NumberColumn):
        low, high = (float(column.in_units(end)) for end in (column.low, column.high))
        return _("{low:,.12g} to {high:,.12g} {unit}").format(low=low, high=high, unit=in_words(column.unit)).rstrip()
    if not isinstance(column, CodeColumn):
        return _("{first} to {last}").format(first=column.first, last=column.last)
    codes = column.codes.codes
    most = MOST_CODES if len(codes) <= MOST_CODES else FIRST_CODES
    named = ((code.code, code.label.in_language(language())) for code in codes[:most])
    shown = ", ".join(code if code == label else f"{code} ({label})" for code, label in named)
    more = _(" and {count:,} more").format(count=len(codes) - most) if len(codes) > most else ""
    levels = "".join(f"; LEVEL({column.name}, '{level.name}')" for level in column.codes.levels)
    return shown + more + levels


def _show_codes(catalogue: Catalogue, name: str) -> None:
    from farr.errors import FarrError
    from queries.agreed.catalogue import CodeColumn

    table, dot, column = name.rpartition(".")
    if not dot:
        if len(catalogue.tables) != 1:
            raise FarrError("usage", _("{name} names no table").format(name=name), remedy=_("write TABLE.COLUMN"))
        table = catalogue.tables[0].name
    described = catalogue.table(table).column(column)
    if not isinstance(described, CodeColumn):
        output.line(f"{described.name}  {described.label.in_language(language())}  {_values(described)}")
        return
    rows = [(code.code, code.label.en, code.label.zh) for code in described.codes.codes]
    output.table(tables.table((_("code"), "English", "中文"), rows))


def _plain(catalogue: Catalogue) -> dict[str, object]:
    from queries.agreed.catalogue import CodeColumn, NumberColumn

    def column_of(column: Column) -> dict[str, object]:
        plain: dict[str, object] = {"name": column.name, "label": {"en": column.label.en, "zh": column.label.zh}}
        if isinstance(column, CodeColumn):
            codes = [{"code": each.code, "en": each.label.en, "zh": each.label.zh} for each in column.codes.codes]
            return plain | {"codes": codes, "levels": [level.name for level in column.codes.levels]}
        if isinstance(column, NumberColumn):
            low, high, step = (
                float(column.in_units(column.low)),
                float(column.in_units(column.high)),
                float(column.step),
            )
            return plain | {"low": low, "high": high, "step": step, "unit": column.unit}
        days = {"first": column.first.isoformat(), "last": column.last.isoformat()}
        return plain | days | ({"time": True} if column.time else {})

    return {
        "name": catalogue.name,
        "version": catalogue.version,
        "digest": catalogue.digest.hex(),
        "sites_per_patient": catalogue.sites_per_patient,
        "site_attributes": [
            {"name": fact.name, "codes": [code.code for code in fact.codes.codes]} for fact in catalogue.site_attributes
        ],
        "tables": [
            {
                "name": table.name,
                "label": {"en": table.label.en, "zh": table.label.zh},
                "patient": table.patient,
                "rows_per_patient": table.rows_per_patient,
                "dated_by": table.dated_by,
                "columns": [column_of(column) for column in table.columns],
                "lists": [column_of(column) | {"most": column.most} for column in table.lists],
                "derived": [
                    {"name": derived.name, "kind": type(derived.rule).__name__, **asdict(derived.rule)}
                    for derived in table.derived
                ],
                "each": asdict(table.each) if table.each else None,
            }
            for table in catalogue.tables
        ],
    }


SAMPLE = N_(
    "Write fake rows of a table, made from the catalogue alone, to develop against: nobody's, and of no real "
    "distribution.\n\n\b\n"
    "  farr catalogue sample admission -o admission.csv\n"
    "  farr catalogue sample admission --rows 500 --seed 7 -o admission.csv"
)


@app.command(help=SAMPLE)
def sample(
    *,
    table: Annotated[str, typer.Argument(metavar="TABLE", help=N_("A table of the catalogue."))],
    to: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.csv", help=N_("Where to write them."))],
    home: Home = None,
    rows: Annotated[int, typer.Option(metavar="N", min=1, max=10_000_000, help=N_("How many rows."))] = 1000,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help=N_("The same seed gives the same rows."))] = 1,
    as_json: AsJson = False,
) -> None:
    """Write fake rows, without asking anyone."""
    from farr.lab.record import analyst_home
    from farr.membership import home as homes
    from farr.training.sample import fake_rows
    from queries.agreed.catalogue_file import read_catalogue
    from queries.agreed.names import find

    held = homes.read(analyst_home(home or homes.default_home()))
    catalogue = read_catalogue(held.catalogue, homes.CATALOGUE)
    name = find(table, (each.name for each in catalogue.tables), "table")
    fake_rows(catalogue, name, rows, seed).to_csv(to, index=False, lineterminator="\n")
    if as_json:
        output.as_json({"file": str(to), "rows": rows, "seed": seed, "fake": True})
    else:
        output.line(_("{rows:,} fake rows of {table}: {path}").format(rows=rows, table=name, path=to))
