"""`farr node check`: whether a node is fit to serve, and how a hospital's files fit the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.node_records import EitherHome
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.doctor.finding import Finding

Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", envvar="FARR_DATA", help=N_("Folder of the hospital's files: TABLE.csv or .parquet.")),
]
Mapping = Annotated[
    Path | None,
    typer.Option(metavar="FILE", envvar="FARR_MAPPING", help=N_("How the files are written, where not as agreed.")),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", envvar="FARR_MEMORY_LIMIT", help=N_("Memory of a scan, such as 512MB."))
]

CHECK = N_(
    "Check whether the node is fit to serve, and how its files fit the catalogue. Asks no question. With a catalogue "
    "file, check files and mapping alone, before the hospital joins.\n\n\b\n"
    "  farr node check --home n\n"
    "  farr node check --home n --long --report check.json\n"
    "  farr node check --catalogue catalogue.toml --data /srv/farr --mapping mapping.toml"
)


def check(
    *,
    home: EitherHome = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=N_("Check the files against this catalogue, without a node's folder.")),
    ] = None,
    data: Data = None,
    mapping: Mapping = None,
    memory_limit: Memory = None,
    long: Annotated[
        bool, typer.Option("--long", help=N_("Also hold a silent connection for a minute and a half: does it last?"))
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=N_("Write a report to forward: no secret in it, and no count of a record.")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check."""
    from farr.hospital import conformance, nodes
    from farr.membership import home as homes

    if catalogue is not None:
        found = [_rehearsed(catalogue, data, mapping, memory_limit)]
    elif home is not None:
        if not homes.is_joined(home):
            nodes.read_home(home)  # says what it is instead
        source = nodes.source_of(home, data=data, mapping=mapping, threads=None, memory_limit=memory_limit)
        found = _with_long(home, list(nodes.findings(home, source)), long=long)
    else:
        raise typer.BadParameter(_("name the node's own folder with --home"))
    if report is not None:
        _report(report, found, home)
    if as_json:
        output.as_json(
            [
                each.to_plain()
                | ({"tables": [conformance.plain(table) for table in each.tables]} if each.tables else {})
                for each in found
            ]
        )
    else:
        rows = [(_(each.name), _("good") if each.good else _("wrong"), each.text) for each in found]
        output.table(tables.table((_("check"), _("result"), _("found")), rows))
        for each in found:
            if each.remedy:
                output.line(_("What to do about {check}: {remedy}").format(check=_(each.name), remedy=each.remedy))
        for table in (table for each in found for table in each.tables if table.table.columns):
            output.line(f"\n{table.table.name}")
            _show(conformance.headers(), conformance.lines(table))
    if not all(each.good for each in found):
        raise typer.Exit(1)


def _with_long(home: Path, found: list[Finding], *, long: bool) -> list[Finding]:
    """Return the findings, with that of a long silence where it was asked for and the coordinator answers."""
    from farr.doctor import network
    from farr.hospital import nodes

    if long and found and all(each.good for each in found if each.name in {"name", "way", "tls", "coordinator"}):
        found.append(network.held(nodes.caller_of(nodes.read_home(home))))
    return found


def _report(file: Path, found: Sequence[Finding], home: Path | None) -> None:
    import time

    from farr.doctor import report
    from farr.errors import FarrError
    from farr.hospital import nodes
    from protocols.errors import Rejected

    held = None
    if home is not None:
        try:
            held = nodes.read_home(home)
            held.read_roster()
        except (FarrError, Rejected):
            held = None  # a home that may not be opened is reported all the same
    report.write(file, found, held, now=time.time())


def _rehearsed(catalogue: Path, data: Path | None, mapping: Path | None, memory_limit: str | None) -> Finding:
    from farr.errors import FarrError
    from farr.hospital.conformance import rehearse
    from node.settings import Source
    from queries.agreed.catalogue_file import read_catalogue

    if data is None or not data.is_dir():
        text = _("{path} is not a folder").format(path=data or "--data")
        raise FarrError("no-data", text, remedy=_("name the folder of the tables' files"))
    agreed = read_catalogue(catalogue.read_bytes(), catalogue.name)
    source = Source(data=data, mapping=mapping)
    return rehearse(agreed, replace(source, memory_limit=memory_limit or source.memory_limit))


def _show(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the lines of a table, without the columns that are 0 in all of them."""
    shown = [place for place in range(len(headers)) if any(row[place] != "0" for row in rows)]
    drawn = tables.table(
        [headers[place] for place in shown],
        [[row[place] for place in shown] for row in rows],
        numbers=range(2, len(shown)),
    )
    output.table(drawn)
