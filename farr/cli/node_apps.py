"""`farr node apps`: the researchers' Flower apps that a hospital holds, what is in them and how they ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.node_records import Home, utc
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.hospital.apps import Kept

app = typer.Typer(no_args_is_help=True, help=N_("Researchers' own Flower apps: list, allow, show, forbid."))

ALLOW = N_(
    "Look at an app and keep a copy on the node. It runs once policy.toml names it too.\n\n\b\n"
    "  farr node apps allow --home n heart-app/"
)
SHOW = N_(
    "Show an app's files, and how its last rounds ended. None of this leaves the hospital.\n\n\b\n"
    "  farr node apps show --home n 1a2b --file heart/client_app.py"
)
Source = Annotated[Path, typer.Argument(metavar="APP", help=N_("The app's folder, or its archive."))]
Named = Annotated[str, typer.Argument(metavar="DIGEST", help=N_("The beginning of its digest."))]
File = Annotated[str, typer.Option("--file", metavar="PATH", help=N_("Print this file of it."))]
Said = Annotated[bool, typer.Option("--output", help=N_("Print what it wrote in its last round; may name patients."))]


@app.command("list", help=N_("List the apps that are here or that the policy names, and whether any could run."))
def listed(home: Home, as_json: AsJson = False) -> None:
    """List apps."""
    from farr.hospital import apps

    found, why = apps.kept(home), apps.why_no_sandbox()
    if as_json:
        output.as_json({"apps": [each.to_plain() for each in found], "sandbox": not why, "why": why})
        return
    rows = [
        (each.digest[:16], each.told.name if each.told else "", each.told.version if each.told else "", _state(each))
        for each in found
    ]
    if rows:
        output.table(tables.table((_("digest"), _("app"), _("version"), _("state")), rows))
    else:
        output.line(_("No app is here, and the policy names none."))
    if why:
        output.line(_("No sandbox can be made on this machine, so no app runs: {why}").format(why=why))
    else:
        output.line(_("Apps run in a sandbox: no network, no file but their rows, no other process."))


@app.command("allow", help=ALLOW)
def allow(source: Source, home: Home, as_json: AsJson = False) -> None:
    """Keep an app."""
    from farr.hospital import apps

    kept = apps.allow(home, source)
    if as_json:
        output.as_json(kept.to_plain())
        return
    _describe(kept)
    if kept.allowed:
        output.line(_("It is kept, and the policy names it: it may run."))
    else:
        output.line(
            _("It is kept. Read its code; to let it run, add its digest to apps under [training] in policy.toml:")
        )
        output.line(f'  apps = ["{kept.digest}"]')


@app.command("show", help=SHOW)
def show(named: Named, home: Home, *, file: File = "", said: Said = False, as_json: AsJson = False) -> None:
    """Show an app."""
    from farr.errors import FarrError
    from farr.hospital import apps

    kept = apps.find(home, named)
    reports = apps.latest(home, kept.digest)
    if file:
        if file not in kept.files:
            raise FarrError("app", _("the app has no file {path}").format(path=file))
        output.line(kept.files[file].decode(errors="replace"))
        return
    if said:
        output.line(reports[0].said if reports else "")
        return
    if as_json:
        rounds = [
            {"at": each.at, "kind": each.kind, "seconds": each.seconds, "ending": each.ending, "detail": each.detail}
            for each in reports
        ]
        output.as_json({**kept.to_plain(), "rounds": rounds})
        return
    _describe(kept)
    output.line(_("State: {state}").format(state=_state(kept)))
    if reports:
        rows = [(utc(each.at), each.kind, f"{each.seconds:.1f}", each.ending, each.detail) for each in reports]
        headers = (_("time"), _("kind"), _("seconds"), _("ending"), _("why"))
        output.table(tables.table(headers, rows, numbers=(2,)))


@app.command("forbid", help=N_("Remove an app from the node: it does not run any more, whatever the policy says."))
def forbid(named: Named, home: Home, as_json: AsJson = False) -> None:
    """Remove an app."""
    from farr.hospital import apps

    kept = apps.forbid(home, named)
    if as_json:
        output.as_json({"digest": kept.digest, "removed": True})
        return
    output.line(_("{digest} is removed.").format(digest=kept.digest))
    if kept.allowed:
        output.line(_("The policy still names it: take it out of apps under [training] in policy.toml."))


def _describe(kept: Kept) -> None:
    if kept.told is not None:
        output.line(f"{kept.told.name} {kept.told.version}", style="bold")
        output.line(_("ClientApp: {client}").format(client=kept.told.client))
    output.line(_("Digest: {digest}").format(digest=kept.digest))
    rows = [(path, str(len(content))) for path, content in kept.files.items()]
    if rows:
        output.table(tables.table((_("file"), _("bytes")), rows, numbers=(1,)))


def _state(kept: Kept) -> str:
    if kept.told is None:
        return _("named by the policy, but its code is not here")
    return _("may run") if kept.allowed else _("kept; the policy does not name it")
