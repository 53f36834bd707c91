"""`farr registrar mandate`, and a mandate as options and as people read it."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AsJson
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.registrar.mandates import Wish
    from protocols.mandate import Mandate

MANDATE = N_(
    "Change what an analyst may ask, from the next roster on; what is not named stays as it is.\n\n\b\n"
    "  farr registrar mandate --home r li --authority prefecture --region 3301\n"
    "  farr registrar mandate --home r li --purpose research --purpose statistics --until 2027-06-30"
)

AuthorityName = Annotated[
    str | None,
    typer.Option(
        metavar="A",
        help=N_(
            "On whose authority an analyst asks: nation, province, prefecture, county, insurer, researcher, auditor."
        ),
    ),
]
Region = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE", help=N_("How far that reaches: a code of the list of regions, or all; repeatable.")),
]
Purpose = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help=N_("What for, such as statistics or research; repeatable."))
]
TableName = Annotated[
    list[str] | None,
    typer.Option("--table", metavar="T", help=N_("A table that may be asked about, or all; repeatable.")),
]
Project = Annotated[str | None, typer.Option(metavar="TEXT", help=N_("A researcher's project, or a case number."))]
Until = Annotated[str | None, typer.Option(metavar="DATE", help=N_("Last day of the mandate, such as 2027-06-30."))]


def mandate(  # noqa: PLR0917 - options are named on a command line
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help=N_("The registrar's own folder."))],
    member: Annotated[str, typer.Argument(metavar="ID", help=N_("Member id of an analyst."))],
    authority: AuthorityName = None,
    region: Region = None,
    purpose: Purpose = None,
    table: TableName = None,
    project: Project = None,
    until: Until = None,
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help=N_("Where the coordinator answers, if not at its own address."))
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Change a mandate, and publish the roster that says so."""
    from farr.errors import FarrError
    from farr.registrar.admit import publish
    from farr.registrar.founding import at_work
    from farr.registrar.mandates import change

    wish = wish_of(authority, region, purpose, table, project, until)
    with at_work(home) as registrar:
        held = change(registrar, member, wish, now=int(time.time()))
        try:
            publish(registrar, address=address)
        except FarrError as error:
            kept = _("the roster says so, but the coordinator does not know yet: {reason}").format(reason=error.message)
            retry = _("publish it soon: farr registrar admit --home {home}").format(home=home)
            raise FarrError(
                error.code, kept, remedy="; ".join(part for part in (error.remedy, retry) if part)
            ) from error
    found = held.by_id[member].mandate
    if as_json:
        output.as_json({"id": member, "version": held.version, "mandate": plain(found)})
    else:
        output.line(
            _("From roster {version} on, {member} may ask: {mandate}").format(
                version=held.version, member=member, mandate=in_words(found)
            )
        )


def wish_of(  # noqa: PLR0917 - in the order of the options
    authority: str | None,
    regions: list[str] | None,
    purposes: list[str] | None,
    tables: list[str] | None,
    project: str | None,
    until: str | None,
) -> Wish:
    """Return what the options say."""
    from farr.registrar.mandates import Wish

    return Wish(
        authority=authority,
        regions=tuple(regions) if regions else None,
        purposes=tuple(purposes) if purposes else None,
        tables=tuple(tables) if tables else None,
        project=project,
        until=None if until is None else _day(until),
    )


def plain(mandate: Mandate | None) -> dict[str, object] | None:
    """Return a mandate for scripts."""
    if mandate is None:
        return None
    return {
        "authority": mandate.authority,
        "regions": list(mandate.regions) or "all",
        "purposes": list(mandate.purposes),
        "tables": list(mandate.tables) or "all",
        "project": mandate.project,
        "expires": moment(mandate.expires_at) if mandate.expires_at else None,
    }


def in_words(mandate: Mandate | None) -> str:
    """Return a mandate for people, on one line."""
    if mandate is None:
        return _("nothing")
    parts = [
        mandate.authority,
        _("regions {codes}").format(codes=" ".join(mandate.regions)) if mandate.regions else _("the whole federation"),
        _("for {purposes}").format(purposes=" ".join(mandate.purposes))
        if mandate.purposes
        else _("reads, asks nothing"),
        _("tables {names}").format(names=" ".join(mandate.tables)) if mandate.tables else _("every table"),
        *([mandate.project] if mandate.project else []),
        # The moment is where the day after the last one begins.
        _("until {day}").format(day=moment(mandate.expires_at - 1)[:10])
        if mandate.expires_at
        else _("until the certificate ends"),
    ]
    return ", ".join(parts)


def moment(seconds: int) -> str:
    """Return a moment in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _day(written: str) -> date:
    try:
        day = date.fromisoformat(written)
    except ValueError:
        day = date.max
    if day == date.max:  # the calendar's last: nothing can end on the day after it
        raise typer.BadParameter(_("{day} is no day: write 2027-06-30").format(day=written))
    return day
