"""`farr renew`, `farr node renew`, `farr coordinator renew`: a new certificate in the same folder."""

from __future__ import annotations

import time
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
    "Renew the coordinator's certificate in place, and restart it afterwards. Once it has ended, two files are carried "
    "by hand.\n\n\b\n"
    "  farr coordinator renew --home c\n"
    "  farr coordinator renew --home c --by-hand\n"
    "  farr coordinator renew --home c --admission coordinator-admission.json"
)
REGISTRAR = N_(
    "Renew the coordinator's certificate by a file that was carried here, also after its end. Ask its operator by "
    "telephone first.\n\n\b\n"
    "  farr registrar renew --home r --coordinator renewal.json"
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


def coordinator(
    *,
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help=N_("The coordinator's own folder."))],
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help=N_("Write renewal.json, for a person to carry to the registrar, and end."))
    ] = False,
    admission: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=N_("coordinator-admission.json, which the registrar wrote for it.")),
    ] = None,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Renew as the coordinator, over its own state (its certificate serves and cannot dial) or by hand."""
    from farr.membership import renewing
    from farr.membership.coordinating import CoordinatorAdmission

    if by_hand and admission:
        raise typer.BadParameter(_("give one of --by-hand and --admission"))
    if by_hand:
        file = renewing.ask_by_hand(home)
        if as_json:
            output.as_json({"renewal": str(file)})
        else:
            output.line(_("Bring {file} to the registrar: farr registrar renew --coordinator FILE").format(file=file))
        return
    if admission:
        renewed = renewing.take_by_hand(home, CoordinatorAdmission.from_file(admission), now=int(time.time()))
    else:
        renewed = _renew(home, timeout=timeout, carry=renewing.through_state(home))
    _show(renewed, as_json=as_json)
    if not as_json:
        output.line(_("Restart the coordinator: it shows the new certificate from then on."))


def registrar(
    *,
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help=N_("The registrar's own folder: keep it to yourself."))
    ],
    coordinator: Annotated[
        Path, typer.Option(metavar="FILE", help=N_("renewal.json, as `farr coordinator renew --by-hand` wrote it."))
    ],
    as_json: AsJson = False,
) -> None:
    """Renew the coordinator's certificate by hand."""
    from farr.membership.coordinating import read_renewal
    from farr.registrar.carried import renew_coordinator
    from farr.registrar.founding import at_work

    signed = read_renewal(coordinator)
    with at_work(home) as office:
        file = renew_coordinator(office, home, signed, now=int(time.time()))
    if as_json:
        output.as_json({"admission": str(file)})
    else:
        output.line(_("Bring {file} to the coordinator: farr coordinator renew --admission FILE").format(file=file))


def say_if_coordinator_ends(ends: int, now: int) -> None:
    """Tell the registrar, who looks after the federation, that nobody renews the coordinator's certificate.

    Both are seconds since 1970, UTC.
    """
    from farr.membership.renewing import DAY, EARLY

    if ends - now < EARLY * DAY:
        text = _("The coordinator's certificate ends on {day}. Its operator renews it: farr coordinator renew")
        output.line(text.format(day=time.strftime("%Y-%m-%d", time.gmtime(ends))))


def _renew(home: Path, *, timeout: float, new_identity: bool = False, carry: Carry | None = None) -> Home:
    from farr.membership.renewing import renew

    return renew(
        home, new_identity=new_identity, carry=carry, timeout=timeout, say=lambda text: typer.echo(text, err=True)
    )


def _show(renewed: Home, *, as_json: bool) -> None:
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
