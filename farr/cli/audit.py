"""`farr audit`: what proves an answer or a log, fetched once and checked without asking anybody."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AsJson, Home
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.evidence import Verified
    from farr.hospital.learnt import Learnt

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("What proves an answer, checked without asking anybody: export, verify."),
)

EXPORT = N_(
    "Write what proves a released answer to anybody: the request, the hospitals' logs, the coordinator's log.\n\n\b\n"
    "  farr audit export 5f44 --out strokes.evidence"
)
VERIFY = N_(
    "Check evidence, an exported log, or the log in a hospital's or coordinator's home; asks nobody.\n\n\b\n"
    "  farr audit verify strokes.evidence --registrar-key registrar.pub"
)

PATIENCE = 15.0
"""Seconds for hospitals to show their part of a fresh answer."""


@app.command(help=EXPORT)
def export(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help=N_("Id of the release, or its beginning."))],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help=N_("Where to; else RELEASE.evidence here."), show_default=False),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Export."""
    from farr import connect, files

    with connect(home) as federation:
        data = federation.evidence(release, timeout=PATIENCE)
    file = out or Path(f"{release[:8]}.evidence")
    files.replace(file, data)
    if as_json:
        output.as_json({"file": str(file), "bytes": len(data)})
    else:
        output.line(_("Written to {file}. Check it with: farr audit verify {file}").format(file=file))


@app.command(help=VERIFY)
def verify(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help=N_("A file or a home; else your own home."))
    ] = None,
    registrar_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=N_("The registrar's public key; else that of your home."), show_default=False
        ),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Verify."""
    from farr import evidence
    from farr.errors import FarrError
    from farr.hospital import log_file
    from farr.membership import home as homes

    target = path or home or homes.default_home()
    if target.is_dir():
        _verify_home(target, as_json=as_json)
        return
    data = _bytes_of(target)
    key = _key_of(registrar_key, home)
    if log_file.is_log(data):
        kept, roster = log_file.read(data, registrar_key=key)
        _show_log(log_file.check(kept, roster), as_json=as_json)
        return
    if not evidence.is_evidence(data):
        raise FarrError(
            "wrong-file",
            _("{path} is neither evidence nor an exported log").format(path=target),
            remedy=_("name a file of evidence, or a home"),
        )
    verified = evidence.verify(data, registrar_key=key)
    if as_json:
        output.as_json(verified.to_plain())
    else:
        _show(verified)
    if not verified.good:
        raise typer.Exit(1)


def _verify_home(folder: Path, *, as_json: bool) -> None:
    from farr.hospital import log_file
    from farr.membership import home as homes

    held = homes.read(folder)
    credentials = held.credentials
    kept = log_file.of_home(folder, member=credentials.member, federation=credentials.federation, roster=held.roster)
    _show_log(log_file.check(kept, held.read_roster()), as_json=as_json)


def _show_log(found: object, *, as_json: bool) -> None:
    from farr.hospital.log_file import Checked

    if not isinstance(found, Checked):
        return
    if as_json:
        output.as_json(found.to_plain())
    elif found.good:
        output.line(
            _("All {count} entries of {member} are as they were written. Last digest: {head}").format(
                count=found.entries, member=found.member, head=found.head.hex()
            )
        )
        output.line(
            _("Its keeper has signed the first {signed} of them.").format(signed=found.signed)
            if found.signed
            else _("Its keeper has signed none of them yet.")
        )
    else:
        if found.bad_entry is not None:
            output.line(_("Entry {number} of the log is not as it was written.").format(number=found.bad_entry))
        if found.bad_checkpoint is not None:
            output.line(_("The checkpoint of {size} entries does not fit the log.").format(size=found.bad_checkpoint))
    if not found.good:
        raise typer.Exit(1)


def _learnt(verified: Verified) -> Learnt | None:
    """Return what the run of a release trains, in the units of the catalogue that the evidence holds; None: nothing."""
    from farr.hospital.learnt import learnt_by
    from queries.agreed.catalogue_file import read_catalogue
    from queries.asked.canonical import decode
    from queries.asked.plan import Plan

    proven = verified.proven
    plan = decode(Plan, proven.announcement.request.plan)
    return learnt_by(plan, read_catalogue(proven.catalogue, "catalogue.toml"))


def _show(verified: Verified) -> None:
    from farr.cli.showing import Wanted, show
    from queries.cost.accounting import epsilon_of, rho_of_units

    proven = verified.proven
    request = proven.announcement.request
    mandate = proven.roster.by_id[request.analyst].mandate
    output.line(
        _("Asked by {analyst} ({authority}) for {purpose}, signed: {statement}").format(
            analyst=request.analyst,
            authority="" if mandate is None else _(mandate.authority),
            purpose=request.purpose,
            statement=" ".join((request.statement or request.reason).split()),
        )
    )
    if request.run is not None and (found := _learnt(verified)) is not None:
        output.line(
            _("Round {round} of run {id}, by its plan: {what}; table {table}").format(
                round=request.run.round, id=request.run.id.hex()[:8], what=found.text, table=found.table
            )
        )
    output.line(
        _("Registrar's roster {version} of {federation}; release {digest}").format(
            version=proven.roster.version, federation=proven.roster.federation, digest=proven.digest.hex()
        )
    )
    show(verified.result, Wanted(), as_json=False)
    rows = [
        (
            each.site,
            str(each.number),
            datetime.fromtimestamp(each.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            f"{epsilon_of(rho_of_units(each.units)):.3g}" if each.units else "0",
            each.policy[:12],
            "" if each.approval is None else str(each.approval),
        )
        for each in proven.answered
    ]
    headers = (_("hospital"), _("entry"), _("time"), _("epsilon"), _("policy"), _("approval"))
    output.table(tables.table(headers, rows, numbers=(1, 3)))
    output.line(
        _("The coordinator's log tells of it in {count} entries, which {witnesses} hospitals have witnessed.").format(
            count=len(proven.coordinator), witnesses=len(proven.witnesses)
        )
    )
    for member in proven.missing:
        output.line(_("Not shown: the log of {member}.").format(member=member))
    for flaw in verified.flaws:
        output.line(
            _("FALSE: {member}: {code}: {detail}").format(member=flaw.subject, code=flaw.code, detail=_(flaw.detail))
        )
    output.line(_("Everything that is shown holds.") if verified.good else _("Something in it does not hold."))


def _bytes_of(path: Path, remedy: str = "") -> bytes:
    from farr.errors import FarrError

    try:
        return path.read_bytes()
    except OSError as error:
        raise FarrError(
            "no-file",
            _("{path} cannot be read").format(path=path),
            remedy=remedy or _("name a file of evidence, or a home"),
        ) from error


def _key_of(file: Path | None, home: Path | None) -> bytes:
    """Return the registrar's public key: of the file that was named, else of the member's own home."""
    from farr.errors import FarrError
    from farr.lab.record import analyst_home
    from farr.membership import home as homes
    from protocols.signing import KEY_BYTES

    if file is None:
        try:
            return homes.read(analyst_home(home or homes.default_home())).credentials.registrar_key
        except FarrError as error:
            if error.code != "no-member":
                raise
            raise FarrError(
                "no-key",
                _("the registrar's public key is needed, by which everything else is checked"),
                remedy=_("name it with --registrar-key: registrar.pub of any member's home, from whom you trust"),
            ) from error
    key = b""
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(_bytes_of(file, _("name registrar.pub of a member's home")).decode().strip())
    if len(key) != KEY_BYTES:
        raise FarrError(
            "wrong-file",
            _("{path} is not a registrar's public key").format(path=file),
            remedy=_("name registrar.pub of a member's home"),
        )
    return key
