"""`farr node pause`, `resume` and `members`: the operator's word on the node itself and on whom it counts on."""

from __future__ import annotations

from typing import Annotated

import typer

from farr.cli import output
from farr.cli.node_records import Home, operator, utc
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

members = typer.Typer(no_args_is_help=True, help=N_("Which hospitals count in the policy's smallest numbers."))

By = Annotated[
    str, typer.Option(metavar="NAME", help=N_("Who decides; else the name that you are logged in with.")),
]  # fmt: skip
Reason = Annotated[str, typer.Option(metavar="TEXT", help=N_("Why, for the record."))]

PAUSE = N_(
    "Answer no question until resumed: the node adds noise to the others' answers, and no record is read.\n\n\b\n"
    "  farr node pause --home n --reason 'moving the server'"
)

ACCEPT = N_("Let new hospitals count at once.\n\n\b\n  farr node members accept --home n st-anne")


def pause(home: Home, by: By = "", reason: Reason = "", as_json: AsJson = False) -> None:
    """Pause the node."""
    from farr.hospital.operating import pause as pause_node

    _told(pause_node(home, by=operator(by), reason=reason), paused=True, as_json=as_json)


def resume(home: Home, by: By = "", as_json: AsJson = False) -> None:
    """Resume the node."""
    from farr.hospital.operating import resume as resume_node

    _told(resume_node(home, by=operator(by)), paused=False, as_json=as_json)


@members.command("list", help=N_("List the hospitals on the roster, and since when this node has known them."))
def list_members(home: Home, as_json: AsJson = False) -> None:
    """List the hospitals."""
    from farr.hospital.operating import known

    found = known(home)
    if as_json:
        output.as_json([each.to_plain() for each in found])
        return
    rows = []
    for each in found:
        counts = _("yes") if each.counts else _("no")
        if not each.counts and each.counts_from is not None:
            counts = _("from {time}").format(time=utc(each.counts_from))
        since = _("from the start") if each.since == 0 else _("not met") if each.since is None else utc(each.since)
        rows.append((each.member, each.label, since, _("yes") if each.accepted else "", counts))
    headers = (_("hospital"), _("name"), _("known since"), _("accepted"), _("counts"))
    output.table(tables.table(headers, rows))


@members.command("accept", help=ACCEPT)
def accept(
    home: Home,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=N_("Hospitals, by their ids."))] = None,
    every: Annotated[bool, typer.Option("--all", help=N_("All that do not count yet."))] = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Accept hospitals."""
    from farr.hospital.operating import accept as accept_members

    if bool(ids) == every:
        raise typer.BadParameter(_("name the hospitals, or give --all"))
    accepted = accept_members(home, None if every else tuple(ids or ()), by=operator(by))
    if as_json:
        output.as_json({"accepted": accepted})
    elif accepted:
        output.line(_("These hospitals count from now on: {ids}").format(ids=", ".join(accepted)))
    else:
        output.line(_("Every hospital counts already."))


def _told(number: int | None, *, paused: bool, as_json: bool) -> None:
    if as_json:
        output.as_json({"paused": paused, "decision": number})
    elif number is None:
        output.line(_("The node is paused already.") if paused else _("The node is not paused."))
    elif paused:
        output.line(_("The node is paused: it answers no question until farr node resume."))
    else:
        output.line(_("The node answers again, from the next question on."))
