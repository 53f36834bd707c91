"""`farr renew`, `farr node renew`, `farr coordinator renew`: a new certificate in the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AsJson
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.membership.home import Home
    from farr.membership.renewing import Carry

app = typer.Typer(add_completion=False, help=N_("Renew your certificate as an analyst, in place."))

ANALYST = N_(
    "Renew your certificate as an analyst, in place, before it ends. The registrar's next visit issues it.\n\n\b\n"
    "  farr renew"
)
NODE = N_(
    "Renew the hospital's certificate in place. A node that serves does it by itself in the last 60 days.\n\n\b\n"
    "  farr node renew --home n"
)
COORDINATOR = N_(
    "Renew the coordinator's certificate in place, and restart it afterwards.\n\n\b\n  farr coordinator renew --home c"
)

Timeout = Annotated[
    float, typer.Option(min=0, metavar="S", help=N_("Seconds to wait for the registrar; run it again to wait on."))
]
NewIdentity = Annotated[
    bool,
    typer.Option(
        "--new-identity",
        help=N_("Make a new signing key too; the registrar has to allow it: admit --rotate ID."),
    ),
]


@app.command(help=ANALYST)
def analyst(
    home: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=N_("Folder of your keys; else $FARR_HOME, else ~/.farr."), show_default=False),
    ] = None,
    timeout: Timeout = 3600.0,
    new_identity: NewIdentity = False,
    as_json: AsJson = False,
) -> None:
    """Renew as an analyst."""
    from farr.membership.home import default_home

    _show(_renew(home or default_home(), new_identity=new_identity, timeout=timeout), as_json=as_json)


def node(
    *,
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help=N_("The node's own folder."))],
    timeout: Timeout = 3600.0,
    new_identity: NewIdentity = False,
    as_json: AsJson = False,
) -> None:
    """Renew as a hospital; a node that serves takes the new certificate by itself."""
    from farr.hospital.nodes import read_home

    read_home(home)
    _show(_renew(home, new_identity=new_identity, timeout=timeout), as_json=as_json)
    if new_identity and not as_json:
        output.line(_("Start the node again: it signs with the new key from then on."))


def coordinator(home: Path, *, timeout: float, as_json: bool) -> None:
    """Renew as the coordinator, over its own state: its certificate serves and cannot dial."""
    from farr.membership.renewing import through_state

    _show(_renew(home, timeout=timeout, carry=through_state(home)), as_json=as_json)
    if not as_json:
        output.line(_("Restart the coordinator before the old certificate ends."))


def _renew(home: Path, *, timeout: float, new_identity: bool = False, carry: Carry | None = None) -> Home:
    from farr.membership.renewing import renew

    return renew(
        home, new_identity=new_identity, carry=carry, timeout=timeout, say=lambda text: typer.echo(text, err=True)
    )


def _show(renewed: Home, *, as_json: bool) -> None:
    import time

    from farr.membership.renewing import days_left

    credentials, days = renewed.credentials, days_left(renewed, time.time())
    if as_json:
        output.as_json({"id": credentials.member, "federation": credentials.federation, "certificate_days": days})
    else:
        output.line(
            _("{member}: the certificate was renewed and holds {days} days").format(
                member=credentials.member, days=days
            )
        )
