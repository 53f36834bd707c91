"""`farr registrar`: found a federation, invite, admit and remove members."""

from __future__ import annotations

import errno
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import mandates, output
from farr.cli import renew as renewing
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.registrar.admit import Outcome
    from protocols.roster import Member, Roster
    from protocols.wire_pb2 import Role

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Admit and remove members: init, token, admit, roster, mandate, revoke, renew."),
)

Home = Annotated[
    Path, typer.Option("--home", metavar="DIR", help=N_("The registrar's own folder: keep it to yourself."))
]

Address = Annotated[
    str, typer.Option(metavar="HOST:PORT", help=N_("Where the coordinator answers, if not at its own address."))
]

INIT = N_(
    "Found a federation: make its CA, and admit its coordinator.\n\n\b\n"
    "  farr coordinator init --home c --address hub.example.org:7443\n"
    "  farr registrar init --home r --federation stroke --catalogue stroke.toml --coordinator c/application.json\n"
    "  farr coordinator serve --home c --admission r/coordinator-admission.json"
)
TOKEN = N_(
    "Make a one-time join token for a hospital or an analyst. Hand it over in person or by a sealed way: whoever has "
    "it can join in that member's place until it is used.\n\n\b\n"
    '  farr registrar token --home r --node st-mary --label "St Mary\'s" --attribute country=UK --out st-mary.token\n'
    "  farr registrar token --home r --analyst li --authority prefecture --region 3301 --purpose statistics"
)
ADMIT = N_(
    "Visit the coordinator: admit whoever applied with a good token, and publish the new roster.\n\n\b\n"
    "  farr registrar admit --home r --wait 2"
)
ROSTER = N_("List the members.\n\n\b\n  farr registrar roster --home r")
REVOKE = N_(
    "Remove a member, at once and for good; or make a token void that was not used yet.\n\n\b\n"
    "  farr registrar revoke --home r st-mary"
)


@app.command(help=INIT)
def init(
    home: Home,
    federation: Annotated[str, typer.Option(metavar="NAME", help=N_("Name of the federation: a-z 0-9 . _ -"))],
    catalogue: Annotated[Path, typer.Option(metavar="FILE", help=N_("The catalogue that its members agreed on."))],
    coordinator: Annotated[
        Path, typer.Option(metavar="FILE", help=N_("application.json, as `farr coordinator init` wrote it."))
    ],
    as_json: AsJson = False,
) -> None:
    """Found a federation."""
    from farr.membership.coordinating import CoordinatorApplication
    from farr.registrar.founding import found_federation
    from queries.agreed.catalogue_file import read_catalogue

    admission = found_federation(
        home,
        name=federation,
        catalogue=read_catalogue(catalogue.read_bytes(), str(catalogue)),
        application=CoordinatorApplication.from_file(coordinator),
        now=_now(),
    )
    if as_json:
        output.as_json({"federation": federation, "admission": str(admission)})
        return
    output.line(_("The federation {federation} is founded. Back up {home}: its keys cannot be made again.").format(
        federation=federation, home=home
    ))  # fmt: skip
    output.line(_("Bring {file} to the coordinator: farr coordinator serve --admission FILE").format(file=admission))


@app.command(help=TOKEN)
def token(  # noqa: PLR0917 - options are named on a command line
    home: Home,
    node: Annotated[str, typer.Option(metavar="ID", help=N_("Member id of a hospital."))] = "",
    analyst: Annotated[str, typer.Option(metavar="ID", help=N_("Member id of an analyst."))] = "",
    label: Annotated[str, typer.Option(metavar="TEXT", help=N_("Its name for people, in English."))] = "",
    label_zh: Annotated[str, typer.Option(metavar="TEXT", help=N_("Its name for people, in Chinese."))] = "",
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=CODE", help=N_("A public fact, as the catalogue has it."))
    ] = None,
    address: Address = "",
    days: Annotated[int, typer.Option(min=1, max=90, help=N_("Days for which the token can be used."))] = 7,
    authority: mandates.AuthorityName = None,
    region: mandates.Region = None,
    purpose: mandates.Purpose = None,
    table: mandates.TableName = None,
    project: mandates.Project = None,
    until: mandates.Until = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=N_("Write it to a new file that only you can read."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give out a token."""
    from farr import files
    from farr.membership.coordinating import checked_address
    from farr.registrar.founding import at_work
    from farr.registrar.mandates import Wish, offered
    from farr.registrar.tokens import Invitation, give

    member, role = _invited(node, analyst)
    wish = mandates.wish_of(authority, region, purpose, table, project, until)
    if node and wish != Wish():
        raise typer.BadParameter(_("a hospital asks nothing: give a mandate with --analyst"))
    if out is not None and out.exists():
        raise FileExistsError(errno.EEXIST, _("there is a file already"), str(out))
    if out is not None and not out.parent.is_dir():
        # Said before the token is made, which would void the one before it.
        raise FileNotFoundError(errno.ENOENT, _("there is no such folder"), str(out.parent))
    now = _now()
    with at_work(home) as registrar:
        mandate = None if node else offered(registrar, analyst, wish, now=now)
        invitation = Invitation(
            member=member,
            role=role,
            address=checked_address(address or registrar.federation.address),
            label_en=label,
            label_zh=label_zh,
            attributes=dict(_attribute(each) for each in attribute or ()),
            days=days,
            mandate=mandate,
        )
        line = give(registrar, invitation, now=now)
    if out is not None:
        files.create_private(out, line.encode() + b"\n")
    if as_json:
        given = {} if node else {"mandate": mandates.plain(mandate)}
        output.as_json({"member": member, "days": days, **given, **({"file": str(out)} if out else {"token": line})})
    elif out is None:
        sys.stdout.write(line + "\n")
    if not as_json:
        _say(_("Good for {days} days, once: whoever has it can join as {member}.").format(days=days, member=member))
    if analyst and not as_json:
        _say(_("{member} may ask: {mandate}").format(member=member, mandate=mandates.in_words(mandate)))


@app.command(help=ADMIT)
def admit(
    *,
    home: Home,
    wait: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help=N_("Go on until N members were admitted or renewed, or no token is left.")
        ),
    ] = 0,
    timeout: Annotated[float, typer.Option(min=0, metavar="S", help=N_("Seconds to wait at most."))] = 600.0,
    rotate: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help=N_("Let this member have a new signing key, after asking it by telephone.")),
    ] = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Admit those who applied."""
    from farr.registrar.admit import admit as visit
    from farr.registrar.founding import at_work

    with at_work(home) as registrar:
        outcome = visit(registrar, wait=wait, timeout=timeout, rotate=rotate or (), address=address, say=_say)
        ends = registrar.roster()[1].coordinator.expires_at
    if as_json:
        output.as_json(
            {
                "version": outcome.version,
                "admitted": list(outcome.admitted),
                "renewed": list(outcome.renewed),
                "rotating": list(outcome.rotating),
                "refused": [{"member": each.member, "code": each.code} for each in outcome.refused],
            }
        )
    else:
        _show_outcome(outcome)
        renewing.say_if_coordinator_ends(ends, _now())


@app.command(help=ROSTER)
def roster(home: Home, as_json: AsJson = False) -> None:
    """List the members."""
    from farr.registrar.founding import at_work

    with at_work(home) as registrar:
        _signed, held = registrar.roster()
        invited = registrar.registry.outstanding(_now())
    if as_json:
        output.as_json(
            {
                "federation": held.federation,
                "version": held.version,
                "catalogue": held.catalogue_digest.hex(),
                "members": [_plain(member) for member in held.members],
                "invited": [{"id": grant.member, "expires": mandates.moment(grant.expires_at)} for grant in invited],
            }
        )
    else:
        _show_roster(held)
        for grant in invited:
            output.line(
                _("{member} is invited until {day}.").format(
                    member=grant.member, day=mandates.moment(grant.expires_at)[:10]
                )
            )


app.command(help=mandates.MANDATE)(mandates.mandate)
app.command("renew", help=renewing.REGISTRAR)(renewing.registrar)


@app.command(help=REVOKE)
def revoke(
    home: Home,
    member: Annotated[str, typer.Argument(metavar="ID", help=N_("Member id."))],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Remove a member."""
    from farr.errors import FarrError
    from farr.registrar.admission import revoke as strike
    from farr.registrar.admit import publish
    from farr.registrar.founding import at_work
    from farr.registrar.tokens import withdraw

    with at_work(home) as registrar:
        if withdraw(registrar, member) and member not in registrar.roster()[1].by_id:
            if as_json:
                output.as_json({"withdrawn": member})
            else:
                output.line(_("The token for {member} is void; nobody joined with it.").format(member=member))
            return
        held = strike(registrar, member, now=_now())
        try:
            publish(registrar, address=address)
        except FarrError as error:
            kept = _("{member} is off the roster, but the coordinator does not know yet: {reason}").format(
                member=member, reason=error.message
            )
            retry = _("publish it soon: farr registrar admit --home {home}").format(home=home)
            raise FarrError(
                error.code, kept, remedy="; ".join(part for part in (error.remedy, retry) if part)
            ) from error
    if as_json:
        output.as_json({"revoked": member, "version": held.version})
    else:
        output.line(
            _("{member} is no longer a member. Roster {version} says so, and the coordinator has it.").format(
                member=member, version=held.version
            )
        )


def _invited(node: str, analyst: str) -> tuple[str, Role]:
    from protocols.wire_pb2 import Role

    if bool(node) == bool(analyst):
        raise typer.BadParameter(_("give one of --node and --analyst"))
    return (node, Role.ROLE_NODE) if node else (analyst, Role.ROLE_ANALYST)


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(_("write --attribute NAME=CODE, such as country=UK"))
    return name, value


def _plain(member: Member) -> dict[str, object]:
    from farr.membership.home import role_name

    return {
        "id": member.id,
        "role": role_name(member.role),
        "label": {"en": member.label_en, "zh": member.label_zh},
        "attributes": dict(member.attributes),
        "joined": mandates.moment(member.joined_at),
        "expires": mandates.moment(member.expires_at),
        **({"mandate": mandates.plain(member.mandate)} if member.mandate else {}),
    }


def _show_roster(held: Roster) -> None:
    from farr.membership.home import role_name
    from protocols.wire_pb2 import Role

    output.line(_("{federation}, roster {version}").format(federation=held.federation, version=held.version))
    headers = (_("id"), _("role"), _("label"), _("attributes"), _("joined"), _("expires"))
    rows = [
        (
            member.id,
            role_name(member.role),
            " ".join(label for label in (member.label_en, member.label_zh) if label),
            ", ".join(f"{name}={value}" for name, value in member.attributes.items()),
            mandates.moment(member.joined_at)[:10],
            mandates.moment(member.expires_at)[:10],
        )
        for member in held.members
    ]
    output.table(tables.table(headers, rows))
    renewing.say_if_coordinator_ends(held.coordinator.expires_at, _now())
    for member in held.members:
        if member.role == Role.ROLE_ANALYST:
            output.line(
                _("{member} may ask: {mandate}").format(member=member.id, mandate=mandates.in_words(member.mandate))
            )


def _show_outcome(outcome: Outcome) -> None:
    from farr.problems import advice

    output.line(
        _("{count} admitted, {renewed} renewed. Roster {version} holds, and the coordinator has it.").format(
            count=len(outcome.admitted), renewed=len(outcome.renewed), version=outcome.version
        )
    )
    for member in outcome.rotating:
        output.line(
            _("{member} asks for a new signing key. Ask it by telephone, then: {command}").format(
                member=member, command=f"farr registrar admit --rotate {member}"
            )
        )
    for refused in outcome.refused:
        output.line(
            _("Refused {member} ({code}): {reason}").format(
                member=refused.member or _("somebody"), code=refused.code, reason=advice(refused.code)
            )
        )


def _now() -> int:
    return int(time.time())


def _say(text: str) -> None:
    typer.echo(text, err=True)
