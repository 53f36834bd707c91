"""`farr node check`: whether a node is fit to serve, and how a hospital's files fit the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr import tables
from farr.cli import output
from farr.cli.node_records import EitherHome
from farr.cli.options import AsJson
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.nodes import Finding

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
    as_json: AsJson = False,
) -> None:
    """Check."""
    from farr import conformance, nodes

    if catalogue is not None:
        found = [_rehearsed(catalogue, data, mapping, memory_limit)]
    elif home is not None:
        source = nodes.source_of(home, data=data, mapping=mapping, threads=None, memory_limit=memory_limit)
        found = list(nodes.findings(home, source))
    else:
        raise typer.BadParameter(_("name the node's own folder with --home"))
    if as_json:
        output.as_json(
            [
                {"check": each.name, "good": each.good, "text": each.text}
                | ({"tables": [conformance.plain(table) for table in each.tables]} if each.tables else {})
                for each in found
            ]
        )
    else:
        rows = [(each.name, _("good") if each.good else _("wrong"), each.text) for each in found]
        output.table(tables.table((_("check"), _("result"), _("found")), rows))
        for table in (table for each in found for table in each.tables if table.table.columns):
            output.line(f"\n{table.table.name}")
            _show(conformance.headers(), conformance.lines(table))
    if not all(each.good for each in found):
        raise typer.Exit(1)


def _rehearsed(catalogue: Path, data: Path | None, mapping: Path | None, memory_limit: str | None) -> Finding:
    from farr.conformance import rehearse
    from farr.errors import FarrError
    from node.settings import Source
    from queries.catalogue_file import read_catalogue

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
