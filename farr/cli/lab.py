"""`farr lab`: a whole federation on this machine, for trying out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from farr.cli import output
from farr.cli.options import AsJson, Progress
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farr.lab.hospitals import Hospital

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=N_("A whole federation on this machine: up, down, status.")
)

LIFETIME_EPSILON = 50.0
"""Budget for life of a lab's hospitals: a lab is for trying out."""

DEAR = ("most_epsilon_per_question", "approval_above_epsilon")
"""What --most-epsilon sets: a question that is allowed waits for nobody."""

Home = Annotated[Path, typer.Option("--home", metavar="DIR", help=N_("The lab's folder."))]

UP = N_(
    "Start a federation on this machine: a coordinator and one process for each hospital. Returns when all hospitals "
    "are connected.\n\nThe data are one folder for each hospital, with one file for each table, such as "
    "north/admission.csv; or one file that is split by a column.\n\n\b\n"
    "  farr lab up --home lab --catalogue stroke.toml --data hospitals\n"
    "  farr lab up --home lab --catalogue stroke.toml --mapping ist.toml \\\n"
    "      --split-by HOSPNUM --table admission --sites 20 --data ist.csv\n"
    '  farr query --home lab "SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex"\n'
    "  farr lab down --home lab"
)


@app.command(help=UP)
def up(
    *,
    home: Home,
    catalogue: Annotated[Path, typer.Option(metavar="FILE", help=N_("What the hospitals agree on, TOML."))],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help=N_("The file to split, if --data does not name it."))
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help=N_("A folder of hospitals' folders; with --split-by, a file."))
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help=N_("How the files are written, where not as agreed."))
    ] = None,
    split_by: Annotated[str, typer.Option(metavar="COLUMN", help=N_("Split the file by this column."))] = "",
    table: Annotated[str, typer.Option(metavar="NAME", help=N_("The table that a file to split holds."))] = "",
    sites: Annotated[int | None, typer.Option(min=1, metavar="N", help=N_("Only the N largest hospitals."))] = None,
    lifetime_epsilon: Annotated[
        float | None,
        typer.Option(metavar="E", help=N_("Every hospital's budget for life, by default 50."), show_default=False),
    ] = None,
    most_epsilon: Annotated[
        float | None,
        typer.Option(
            metavar="E",
            help=N_("What one question or run of training may cost there, by default 1."),
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help=N_("Every hospital's policy, in place of the default one."))
    ] = None,
    progress: Progress = None,
    as_json: AsJson = False,
) -> None:
    """Start a lab."""
    from farr.lab import up as labs
    from farr.lab.watchdog import Watch
    from queries.agreed.catalogue_file import read_catalogue

    begun = time.monotonic()
    source = _source(data, file, split_by)
    agreed = read_catalogue(catalogue.read_bytes(), catalogue.name)
    text = _policy(policy, lifetime_epsilon, most_epsilon)
    if mapping is not None and not mapping.is_file():
        raise FileNotFoundError(2, "no such file", str(mapping))
    found = _hospitals(home, source, split_by, table or (agreed.tables[0].name if agreed.tables else ""), sites)
    federation = labs.Federation(catalogue=agreed, hospitals=found, mapping=mapping, policy=text)
    with Watch(home.resolve()) as watch, tables.Live.on_stderr(wanted=progress, as_json=as_json) as live:
        live.say(_("starting {count} hospitals").format(count=len(found)))
        lab = labs.up(
            home,
            federation,
            watch,
            progress=lambda connected, of: live.say(
                _("{connected} of {of} hospitals connected").format(connected=connected, of=of)
            ),
        )
        watch.release()
    seconds = time.monotonic() - begun
    if as_json:
        ids = [hospital.id for hospital in found]
        kept = None if lab.earlier is None else str(lab.earlier)
        output.as_json(
            {"home": str(home), "address": lab.address, "hospitals": ids, "seconds": round(seconds, 2), "earlier": kept}
        )
        return
    output.line(_("{count} hospitals are up after {seconds:.1f} s.").format(count=len(found), seconds=seconds))
    output.line(_("Ask:   farr query --home {home} 'SELECT COUNT(*) AS n FROM {table}'").format(
        home=home, table=agreed.tables[0].name
    ))  # fmt: skip
    output.line(_("Look:  farr catalogue show --home {home}").format(home=home))
    output.line(_("Stop:  farr lab down --home {home}").format(home=home))
    if lab.earlier is not None:
        output.line(
            _("What the earlier lab held, its models too, is kept: farr models list --home {folder}").format(
                folder=lab.earlier
            )
        )


@app.command(help=N_("Stop a lab and all its processes.\n\n\b\n  farr lab down --home lab"))
def down(home: Home, as_json: AsJson = False) -> None:
    """Stop a lab."""
    from farr.errors import FarrError
    from farr.lab import up as labs

    left = labs.down(home)
    if left:
        raise FarrError(
            "still-running",
            _("{count} processes would not end").format(count=len(left)),
            remedy=_("look at them: {pids}").format(pids=", ".join(str(process.pid) for process in left)),
        )
    if as_json:
        output.as_json({"home": str(home), "running": 0})
    else:
        output.line(_("The lab is down; none of its processes is left."))


@app.command(help=N_("Show which of a lab's processes run.\n\n\b\n  farr lab status --home lab"))
def status(home: Home, as_json: AsJson = False) -> None:
    """Show the processes."""
    from farr.lab import record
    from farr.lab.processes import alive

    lab = record.read(home.resolve())
    facts = [(process, alive(process)) for process in lab.processes]
    if as_json:
        processes = [{"name": each.name, "pid": each.pid, "running": runs, "log": each.log} for each, runs in facts]
        output.as_json({"home": str(home), "address": lab.address, "processes": processes})
        return
    if not facts:
        output.line(_("The lab is down."))
        return
    rows = [(each.name, str(each.pid), _("running") if runs else _("ended"), each.log) for each, runs in facts]
    output.table(tables.table((_("name"), "pid", _("state"), _("log")), rows, numbers=(1,)))


def _source(data: Path | None, file: Path | None, column: str) -> Path:
    """Return where the data are: named once, and a file as an argument only where it is to be split."""
    source = data or file
    if source is None or (data and file) or (file and not column):
        raise click.UsageError(_("name the data once: --data PATH, or --split-by COLUMN and a file"))
    return source


def _hospitals(home: Path, data: Path, column: str, table: str, most: int | None) -> Sequence[Hospital]:
    from farr.lab import hospitals
    from farr.lab.up import SPLIT, refuse_running

    if not column:
        return hospitals.in_folders(data, most)
    refuse_running(home.resolve())  # before the files that its hospitals read are written anew
    return hospitals.split(data, table, column, home / SPLIT, most)


def _policy(file: Path | None, lifetime_epsilon: float | None, most_epsilon: float | None = None) -> str:
    from farr.errors import FarrError
    from farr.hospital.nodes import explained
    from farr.lab.node_homes import policy_with
    from node.authority import policy as policies

    if file is not None and (lifetime_epsilon is not None or most_epsilon is not None):
        raise FarrError(
            "usage",
            _("--policy sets the budgets, and so do --lifetime-epsilon and --most-epsilon"),
            remedy=_("give one or the other; the file has lines lifetime_epsilon and most_epsilon_per_question"),
        )
    if file is not None:
        with explained():
            policies.parse(file.read_bytes(), file.name)
        return file.read_text(encoding="utf-8")
    # Whoever runs a lab on files of their own is the operator who would have to name each network.
    dear = {} if most_epsilon is None else dict.fromkeys(DEAR, repr(most_epsilon))
    lifetime = LIFETIME_EPSILON if lifetime_epsilon is None else lifetime_epsilon
    text = policy_with(lifetime, networks='"all"', **dear)
    with explained():
        policies.parse(text.encode(), policies.FILE)
    return text
