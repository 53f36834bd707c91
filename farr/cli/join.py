"""`farr join`: become a member with a token."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import mandates, output
from farr.cli.options import AsJson
from farr.texts import N_, _

if TYPE_CHECKING:
    from protocols.token import JoinToken
    from protocols.wire_pb2 import Role

app = typer.Typer(add_completion=False, help=N_("Join a federation as an analyst, with a token from its registrar."))

JOIN = N_(
    "Join a federation as an analyst, with a token from its registrar. Your keys are made here and never leave this "
    "machine. Without TOKEN, the token is asked for or read from standard input: other users of this machine can see "
    "what stands on a command line.\n\n\b\n"
    "  farr join --token-file li.token\n"
    "  farr join < li.token"
)

TOKEN_VARIABLE = "FARR_TOKEN"  # noqa: S105 - a name, not a secret
"""Environment variable that may hold the token, for services that are given secrets that way."""

Token = Annotated[
    str, typer.Argument(metavar="[TOKEN]", help=N_("The token; - or nothing: $FARR_TOKEN or standard input."))
]

TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help=N_("Read the token from a file."))]

Timeout = Annotated[
    float, typer.Option(min=0, metavar="S", help=N_("Seconds to wait for the registrar; run it again to wait on."))
]


@app.command(help=JOIN)
def join(
    token: Token = "",
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help=N_("Folder for your keys; else $FARR_HOME, else ~/.farr."), show_default=False
        ),
    ] = None,
    token_file: TokenFile = None,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Join as an analyst."""
    from farr.membership import home as homes
    from farr.membership.joining import join as join_federation
    from protocols.wire_pb2 import Role

    folder = home or homes.default_home()
    given = read_token(token, token_file, Role.ROLE_ANALYST)
    joined = join_federation(folder, given, timeout=timeout, say=lambda text: typer.echo(text, err=True))
    credentials = joined.credentials
    mandate = joined.read_roster().by_id[credentials.member].mandate
    if as_json:
        held = {"federation": credentials.federation, "id": credentials.member, "home": str(folder)}
        output.as_json({**held, "mandate": mandates.plain(mandate)})
    else:
        output.line(
            _('You are {member} of {federation}. Ask: farr query "SELECT COUNT(*) FROM ..."').format(
                member=credentials.member, federation=credentials.federation
            )
        )
        output.line(
            _("{member} may ask: {mandate}").format(member=credentials.member, mandate=mandates.in_words(mandate))
        )


def read_token(token: str, token_file: Path | None, role: Role) -> JoinToken:
    """Return the token from where it was given; raise FarrError when it is cut or admits to another role."""
    from farr.errors import FarrError
    from farr.membership.home import role_name
    from farr.membership.joining import read_token as read
    from protocols.wire_pb2 import Role

    given = read(_text(token, token_file))
    if given.role != role:
        raise FarrError(
            "wrong-role",
            _("this token admits a member of another role: {role}").format(role=role_name(given.role)),
            remedy=_("use `farr node join`") if given.role == Role.ROLE_NODE else _("use `farr join`"),
        )
    return given


def _text(token: str, token_file: Path | None) -> str:
    if token_file is not None:
        if token:
            raise typer.BadParameter(_("give the token or --token-file, not both"))
        # A token is ASCII: what is no text at all is named so where it is read.
        return token_file.read_bytes().decode(errors="replace")
    if token not in {"", "-"}:
        typer.echo(_("Other users of this machine can see a token on a command line: use --token-file."), err=True)
        return token
    if named := os.environ.get(TOKEN_VARIABLE, ""):
        return named
    if sys.stdin.isatty():
        return str(typer.prompt(_("Token"), hide_input=True, err=True))
    return sys.stdin.read()
