"""`farr coordinator`: run the service that convenes the hospitals."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli import renew as renewing
from farr.cli.options import AsJson
from farr.texts import N_, _, translate

if TYPE_CHECKING:
    from farr.membership.home import Home as MemberHome

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Run the service that convenes the hospitals: init, serve, renew."),
)

Home = Annotated[Path, typer.Option("--home", metavar="DIR", help=N_("The coordinator's own folder."))]

INIT = N_(
    "Make the coordinator's keys, and write application.json for the registrar.\n\n\b\n"
    "  farr coordinator init --home c --address hub.example.org:7443"
)
SERVE = N_(
    "Run the coordinator until SIGTERM or Ctrl-C. The first time with the registrar's admission.\n\n\b\n"
    "  farr coordinator serve --home c --admission coordinator-admission.json"
)


@app.command(help=INIT)
def init(
    home: Home,
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help=N_("Where members will dial it."))],
    member: Annotated[str, typer.Option("--id", metavar="ID", help=N_("Its member id."))] = "coordinator",
    as_json: AsJson = False,
) -> None:
    """Make keys and an application."""
    from farr.membership import coordinating

    application = coordinating.apply(home, address, member=member)
    if as_json:
        output.as_json({"application": str(application)})
    else:
        output.line(_("Bring {file} to the registrar: farr registrar init --coordinator FILE").format(file=application))


@app.command(help=SERVE)
def serve(
    home: Home,
    admission: Annotated[
        Path | None, typer.Option(metavar="FILE", help=N_("coordinator-admission.json, as the registrar wrote it."))
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            envvar="FARR_LISTEN",
            help=N_("Where to answer; by default on every network at the port of the own address."),
            show_default=False,
        ),
    ] = "",
    round_seconds: Annotated[
        float,
        typer.Option(
            min=1, metavar="S", envvar="FARR_ROUND_SECONDS", help=N_("Seconds that hospitals have for an answer.")
        ),
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Serve."""
    import asyncio

    from coordinator.errors import CoordinatorError
    from coordinator.serve import serve as serve_coordinator
    from coordinator.settings import CoordinatorSettings
    from farr.errors import FarrError
    from farr.membership.renewing import EARLY, days_left

    held = _complete(home, admission)
    credentials = held.credentials
    if (days := days_left(held, time.time())) < 0:
        raise FarrError(
            "expired-certificate",
            _("the coordinator's certificate ended {days} days ago by this machine's clock").format(days=-days),
            remedy=_(
                "farr coordinator renew --by-hand says what to carry to the registrar; or set the clock if it is wrong"
            ),
        )
    if days < EARLY:
        text = _("The certificate holds {days} more days. Before its end: farr coordinator renew --home {home}")
        typer.echo(text.format(days=days, home=home), err=True)
    _log_to_stderr()

    def started(address: str) -> None:
        if as_json:
            output.as_json({"address": address})
        else:
            output.line(
                _("{federation}: the coordinator answers at {address}").format(
                    federation=credentials.federation, address=address
                )
            )
        sys.stdout.flush()

    settings = CoordinatorSettings(
        credentials=credentials,
        home=home,
        roster=held.roster,
        catalogue=held.catalogue,
        listen=listen or f"0.0.0.0:{credentials.address.rpartition(':')[2]}",
        round_seconds=round_seconds,
    )
    try:
        asyncio.run(serve_coordinator(settings, started))
    except CoordinatorError as error:
        raise FarrError("coordinator", translate(str(error))) from error


app.command("renew", help=renewing.COORDINATOR)(renewing.coordinator)


def _complete(folder: Path, admission: Path | None) -> MemberHome:
    from farr.errors import FarrError
    from farr.membership import coordinating
    from farr.membership import home as homes

    if homes.is_joined(folder):
        return homes.read(folder)
    if admission is None:
        raise FarrError(
            "no-admission",
            _("{folder} is not the home of an admitted coordinator").format(folder=folder),
            remedy=_("farr coordinator init, then farr registrar init there, then --admission FILE here"),
        )
    return coordinating.complete(folder, coordinating.CoordinatorAdmission.from_file(admission), now=int(time.time()))


def _log_to_stderr() -> None:
    import logging

    from protocols.logs import JsonLines

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
