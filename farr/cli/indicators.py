"""`farr indicators`: what a commission reports every month, as one signed pack that is asked in one round."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from farr.cli import output
from farr.cli.options import AsJson, Feared, Home, IfLate, Patience, Progress, Purpose, Reason
from farr.questions.late import Late
from farr.texts import N_, _
from protocols.farrsum.parameters import Trust

if TYPE_CHECKING:
    from farr.packs.signed_packs import Held
    from queries.agreed.pack import Pack

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=N_("Indicators that are reported every month: list, show, run, check, sign, verify."),
)

EPSILON = 0.5
"""Privacy loss of a run that names no other: all indicators share it."""

PackFile = Annotated[
    Path | None,
    typer.Option(
        "--pack", metavar="FILE", help=N_("The pack; else the home's own, else the one that ships with Farr.")
    ),
]
PackArgument = Annotated[Path, typer.Argument(metavar="PACK", help=N_("A pack, TOML."))]

RUN = N_(
    "Ask for indicators, several or all of them in one round: one cost, one answer.\n\n\b\n"
    "  farr indicators run --all --period 2026-10 --region 3301 --dry-run --expect 60000\n"
    "  farr indicators run --all --period 2026-10 --region 3301 --epsilon 1\n"
    "  farr indicators run readmission_31 mortality --period 2026-Q3 --by level\n"
    "  farr indicators run 35 --period 2026 --public population=9600000"
)
SIGN = N_(
    "Sign a pack with the key of a registrar's home; writes PACK.sig beside it.\n\n\b\n"
    "  farr indicators sign monthly.toml --home r"
)


@app.command("list", help=N_("List the indicators of a pack.\n\n\b\n  farr indicators list"))
def list_(
    *,
    home: Home = None,
    pack: PackFile = None,
    markdown: Annotated[bool, typer.Option("--markdown", help=N_("Print the table of docs/indicators.md."))] = False,
    as_json: AsJson = False,
) -> None:
    """List the indicators."""
    from farr.cli import indicator_pages
    from farr.packs.pack_document import document

    held = _held(pack, home)
    if markdown:
        typer.echo(document(held.pack), nl=False)
    elif as_json:
        output.as_json(indicator_pages.plain(held, held.pack.indicators))
    else:
        indicator_pages.listing(held)


@app.command(help=N_("Show how an indicator is defined and asked.\n\n\b\n  farr indicators show readmission_31"))
def show(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help=N_("Names or numbers of indicators."))],
    home: Home = None,
    pack: PackFile = None,
    as_json: AsJson = False,
) -> None:
    """Show indicators in full."""
    from farr.cli import indicator_pages

    held = _held(pack, home)
    chosen = held.pack.named(tuple(names))
    if as_json:
        output.as_json(indicator_pages.plain(held, chosen))
        return
    for indicator in chosen:
        indicator_pages.one(held.pack, indicator)


@app.command(help=RUN)
def run(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help=N_("Names or numbers of indicators."))
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help=N_("All indicators of the pack; those that cannot be asked are named."))
    ] = False,
    period: Annotated[
        str, typer.Option(metavar="PERIOD", help=N_("2026, 2026-Q3, 2026-10, 2026-W41, or 2026-09..2026-10."))
    ],
    region: Annotated[
        str,
        typer.Option(metavar="CODES", help=N_("Hospitals in these regions: 3301, 33; several with commas.")),
    ] = "",
    residence: Annotated[
        str, typer.Option(metavar="CODES", help=N_("Patients who live in these regions: 330102, 3301, 33."))
    ] = "",
    by: Annotated[
        str, typer.Option(metavar="NAMES", help=N_("Group by these, with commas: month,level,prefecture."))
    ] = "",
    public: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help=N_("A public number, such as population=9600000.")),
    ] = None,
    home: Home = None,
    pack: PackFile = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help=N_("Take a pack that the registrar has not signed."))
    ] = False,
    epsilon: Annotated[
        float, typer.Option(metavar="E", help=N_("Privacy loss to spend on all of them together."))
    ] = EPSILON,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=N_("Show the cost and the expected error; ask nothing, read no record."))
    ] = False,
    expect: Annotated[
        float | None,
        typer.Option(metavar="N", help=N_("Discharges that you expect in the whole answer, for --dry-run.")),
    ] = None,
    minimum: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=N_("Fewest hospitals for an answer, else four in five."))
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help=N_("Pay for a new answer although a released one would serve."))
    ] = False,
    trust: Feared = Trust.THIRD,
    late: IfLate = Late.STOP,
    purpose: Purpose = "",
    reason: Reason = "",
    patience: Patience = "1d",
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help=N_("Wait at most S seconds; the request goes on."))
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=N_("Also draw it: of several indicators each in FILE-NAME.png, or .svg or .pdf.")
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help=N_("Also write the figures as .csv, .xlsx, .parquet or .json."))
    ] = None,
    progress: Progress = None,
    as_json: AsJson = False,
) -> None:
    """Ask for indicators, or say what asking would cost."""
    from farr import connect
    from farr.cli import indicator_pages
    from farr.cli.showing import Wanted, draw
    from farr.cli.waiting import Waiting
    from farr.errors import FarrError
    from farr.packs.indicator_report import report_of
    from farr.packs.indicators import Run, Scope, reason_of, round_of
    from farr.packs.signed_packs import trusted
    from farr.questions.asking import Terms
    from farr.questions.mandated import patience_of
    from farr.questions.periods import period_of

    if bool(names) == everything:
        raise click.UsageError(_("name indicators, or ask for all of them with --all"))
    Wanted(plot=plot, export=export).check()
    held = _held(pack, home)
    chosen = trusted(held, unsigned=unsigned)
    scope = Scope(
        period=period_of(period),
        region=_words(region),
        residence=_words(residence),
        by=_words(by),
        public=_numbers(chosen, public or []),
    )
    with connect(home) as federation:
        run = Run(pack=chosen, scope=scope, catalogue=federation.catalogue, sites=federation.known.roster.nodes)
        asked = round_of(run, chosen.named(tuple(names or ())), skip=everything)
        terms = Terms(
            epsilon=epsilon,
            minimum=minimum,
            purpose=purpose,
            reason=reason_of(asked, reason),
            pack=chosen.digest,
            # Where patients live is what a run by residence alone is about, so the mandate is read that way.
            by_residence=bool(scope.residence and not scope.region),
            patience=patience_of(patience),
            fresh=fresh,
            trust=trust,
            late=late,
        )
        if dry_run:
            asking = federation.estimate(asked.question, terms)
            indicator_pages.foresee(federation, asking, asked, held, expect, as_json=as_json)
            return
        if held.signer == "" and not as_json:
            output.line(_("This pack is not signed: {pack}.").format(pack=chosen.title))
        with Waiting(wanted=progress, as_json=as_json) as waiting:
            result = federation.ask(asked.question, terms, timeout=timeout, told=waiting.told)
    report = report_of(asked, result, held.signer)
    # Where a picture cannot be made, the figures, which were paid for, are printed before that is said.
    failed = None
    try:
        if export is not None and export.suffix.lower() == ".csv":
            export.write_bytes(report.to_csv())
        elif export is not None:
            result.export(export)
        if plot is not None:
            draw(result, plot)
    except FarrError as error:
        failed = error
    if not as_json:
        indicator_pages.report(report)
    elif failed is None:
        output.as_json(report.to_plain())
    if failed is not None:
        raise failed


@app.command(help=N_("Check that a pack can be read and asked.\n\n\b\n  farr indicators check monthly.toml"))
def check(
    pack: PackArgument,
    catalogue: Annotated[
        Path | None, typer.Option(metavar="FILE", help=N_("The catalogue that it is about; else your federation's."))
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Read every indicator of a pack over a catalogue."""
    from farr.cli import indicator_pages
    from farr.membership.home import CATALOGUE
    from farr.packs.pack_check import faults_of
    from farr.packs.signed_packs import read
    from queries.agreed.catalogue_file import read_catalogue

    held = read(pack)
    if catalogue is None:
        from farr.membership import home as homes

        agreed = read_catalogue(homes.read(_folder(home)).catalogue, CATALOGUE)
    else:
        agreed = read_catalogue(catalogue.read_bytes(), catalogue.name)
    faults = faults_of(held, agreed)
    indicator_pages.checked(held, faults, as_json=as_json)
    if faults:
        raise typer.Exit(1)


@app.command(help=SIGN)
def sign(
    pack: PackArgument,
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help=N_("The registrar's own folder, or a member's."))],
    as_json: AsJson = False,
) -> None:
    """Sign a pack."""
    from farr.packs.signed_packs import read, write_signature

    target, signer = write_signature(pack, home)
    title = read(pack).title
    if as_json:
        output.as_json({"pack": title, "signer": signer, "signature": str(target)})
        return
    output.line(_("{signer} signed {pack}: {file}").format(signer=signer, pack=title, file=target))
    output.line(_("Hand both files to the analysts: farr indicators run --pack {file}").format(file=pack))


@app.command(help=N_("Verify who signed a pack.\n\n\b\n  farr indicators verify monthly.toml"))
def verify(pack: PackArgument, home: Home = None, as_json: AsJson = False) -> None:
    """Verify a signature; end with code 1 where the registrar's does not hold."""
    from farr.packs.signed_packs import find, trusted

    held = find(pack, _folder(home))
    trusted(held, unsigned=False)
    if as_json:
        output.as_json({"pack": held.pack.title, "digest": held.pack.digest.hex(), "signer": held.signer})
    else:
        output.line(_("{pack} is signed by {signer}.").format(pack=held.pack.title, signer=held.signer))


def _held(pack: Path | None, home: Path | None) -> Held:
    from farr.packs.signed_packs import find

    return find(pack, _folder(home))


def _folder(home: Path | None) -> Path:
    from farr.lab.record import analyst_home
    from farr.membership import home as homes

    return analyst_home(home or homes.default_home())


def _words(written: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in (each.strip() for each in written.split(",")) if part))


def _numbers(pack: Pack, written: list[str]) -> dict[str, Fraction]:
    from farr.errors import FarrError
    from queries.agreed.names import offer

    found = {}
    for each in written:
        name, _equals, value = each.partition("=")
        if name not in pack.public:
            raise FarrError(
                "public", _("the pack has no public number {name}").format(name=name), remedy=offer(name, pack.public)
            )
        plain = value.strip().replace(",", "").replace("_", "")
        if not plain.replace(".", "", 1).isdecimal() or not plain.isascii() or not Fraction(plain):
            raise FarrError(
                "public",
                _("{value} is not a number above 0").format(value=value),
                remedy=_("write --public population=9600000"),
            )
        found[name] = Fraction(plain)
    return found
