"""How a hospital's files fit the catalogue: counts, shares and a verdict for each column, for its operator alone."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from farr.doctor.finding import Finding
from farr.hospital.nodes import explained, mapping_of
from farr.texts import N_, _

if TYPE_CHECKING:
    from node.records.mapping import SourceMapping
    from node.records.report import ColumnReport, TableReport
    from node.settings import Source
    from queries.agreed.catalogue import Catalogue

TOO_MUCH = Fraction(5, 100)
"""Share of a column's values that were lost or changed above which somebody should look at it."""

FINE, LOOK, NEVER = "fine", "look", "never-present"
VERDICTS = {FINE: N_("fine"), LOOK: N_("look at it"), NEVER: N_("never present")}
"""What is said of a column, for scripts and for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """What became of one table's rows and values.

    Guarantee: names of the catalogue, counts and a day that the operator wrote; no value of a record. Test:
    tests/farr/test_conformance.py::test_no_value_of_a_record_is_shown.
    """

    table: TableReport
    """As the node's preparation counted."""
    loaded_through: date | None
    """The day to which the operator says the table is complete."""


def verdict(column: ColumnReport) -> str:
    """Return FINE, LOOK where above 5 % of the values were lost or changed, or NEVER where no row has a value."""
    present = column.rows - column.missing
    if present == 0:
        return NEVER
    lost = column.unusable + column.clipped + column.cut
    return LOOK if Fraction(lost, present) > TOO_MUCH else FINE


def rehearse(catalogue: Catalogue, source: Source) -> Finding:
    """Check files and mapping against a catalogue without a node's home: what is prepared is deleted again.

    Raises FarrError where they cannot be prepared at all. The folder is the process's own and goes with it; only a
    process that is killed leaves it behind.
    """
    with tempfile.TemporaryDirectory(prefix="farr-check-") as folder:
        return conformance(Path(folder), catalogue, source, secrets.token_bytes(32))


def conformance(home: Path, catalogue: Catalogue, source: Source, site_key: bytes) -> Finding:
    """Prepare the data in ``home``, as `farr node serve` would, and say how they fit; raise FarrError."""
    from node.records.prepare import prepare

    mapping = mapping_of(source)
    with explained():
        prepared = prepare(home, source.data, mapping, catalogue, site_key, memory_limit=source.memory_limit)
    days = _days(mapping, catalogue)
    found = tuple(Conformance(table=table, loaded_through=days.get(table.name)) for table in prepared.tables)
    if not found:
        text = _("no table of the catalogue has a file in {folder}").format(folder=source.data)
        remedy = _('name the mapping in node.toml, mapping = "...", or correct the folder or the names of its files')
        return Finding(name="data", good=False, code="no-data", text=text, remedy=remedy)
    return Finding(name="data", good=True, text="\n".join(map(_summary, found)), tables=found)


def plain(found: Conformance) -> dict[str, object]:
    """Return a table's conformance for scripts: counts, and shares from 0 to 1."""
    table = found.table
    return {
        "table": table.name,
        "read": table.read,
        "kept": table.kept,
        "unreadable": table.unreadable,
        "no_patient": table.no_patient,
        "no_date": table.no_date,
        "over_cap": table.over_cap,
        "loaded_through": found.loaded_through and found.loaded_through.isoformat(),
        "columns": [_plain_column(column) for column in table.columns],
    }


def _plain_column(column: ColumnReport) -> dict[str, object]:
    present = column.rows - column.missing
    counts = {
        "unusable": column.unusable,
        "unmapped": column.unmapped,
        "outside": column.outside,
        "clipped": column.clipped,
        "cut": column.cut,
    }
    return {
        "column": column.name,
        "derived": column.derived,
        "verdict": verdict(column),
        "rows": column.rows,
        "missing": column.missing,
        **counts,
        "missing_share": _share(column.missing, column.rows),
        **{f"{name}_share": _share(count, present) for name, count in counts.items()},
    }


def _share(count: int, of: int) -> float:
    return round(count / of, 6) if of else 0.0


def headers() -> tuple[str, ...]:
    """Return the headers of ``lines``."""
    return (
        _("column"),
        _("verdict"),
        _("missing"),
        _("not usable"),
        _("not in the mapping"),
        _("outside the days"),
        _("clipped"),
        _("list cut"),
    )


def lines(found: Conformance) -> Sequence[tuple[str, ...]]:
    """Return a line for each column: the verdict, then counts with their shares.

    Missing is a share of the rows; all else is a share of the values that are there.
    """
    rows = []
    for column in found.table.columns:
        present = column.rows - column.missing
        lost = (column.unusable, column.unmapped, column.outside, column.clipped, column.cut)
        name = _("{column} (derived)").format(column=column.name) if column.derived else column.name
        rows.append(
            (
                name,
                _(VERDICTS[verdict(column)]),
                _counted(column.missing, column.rows),
                *(_counted(count, present) for count in lost),
            )
        )
    return rows


def _counted(count: int, of: int) -> str:
    return f"{count} ({count / of:.1%})" if count and of else str(count)


def _summary(found: Conformance) -> str:
    table = found.table
    text = _(
        "{table}: {read} rows read, {kept} kept; left out: {unreadable} unreadable, {no_patient} without a "
        "patient, {no_date} without a date, {over_cap} above the cap"
    ).format(
        table=table.name,
        read=table.read,
        kept=table.kept,
        unreadable=table.unreadable,
        no_patient=table.no_patient,
        no_date=table.no_date,
        over_cap=_counted(table.over_cap, table.read),
    )
    if found.loaded_through is not None:
        text += _("; complete to {day}").format(day=found.loaded_through)
    return text


def _days(mapping: SourceMapping | None, catalogue: Catalogue) -> dict[str, date]:
    return dict(mapping.loaded(catalogue)) if mapping is not None else {}
