"""`farr query`: ask the hospitals a question in SQL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import (
    AlarmMethod,
    AsJson,
    ByResidence,
    Export,
    Feared,
    Home,
    IfLate,
    Patience,
    Plot,
    Progress,
    Purpose,
    Reason,
)
from farr.figures import tables
from farr.questions.late import Late
from farr.texts import N_, _
from protocols.farrsum.parameters import Trust

if TYPE_CHECKING:
    from farr.client import Federation
    from farr.figures.methods import Method
    from farr.questions.asking import Asking, Terms
    from queries.agreed.catalogue import Catalogue

app = typer.Typer(add_completion=False)

QUERY = N_(
    "Ask the hospitals a question in SQL: aggregates over public groups, answered with noise and error bars.\n\n\b\n"
    '  farr query "SELECT sex, COUNT(*) AS n, AVG(age) AS age FROM admission GROUP BY sex"\n'
    '  farr query "SELECT consciousness AS 意识, COUNT(*) AS 人数 FROM admission GROUP BY consciousness"\n'
    '  farr query --dry-run --epsilon 1 "SELECT BAND(age, 10) AS age, COUNT(*) AS n FROM admission GROUP BY age"\n'
    '  farr query --within 5% --expect 800 "SELECT site.country, COUNT(*) AS n FROM admission GROUP BY site.country"'
)


@app.command(help=QUERY)
def query(
    *,
    statement: Annotated[str, typer.Argument(metavar="SQL", help=N_("The question; - reads it from standard input."))],
    home: Home = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            metavar="E", help=N_("Privacy loss to spend, by default 0.5: more buys less noise."), show_default=False
        ),
    ] = None,
    within: Annotated[
        str,
        typer.Option(metavar="P%|N", help=N_("Find the cost for a 95 % half-width of N, or of P percent of --expect.")),
    ] = "",
    expect: Annotated[
        float | None,
        typer.Option(metavar="N", help=N_("The rows that you expect in a cell, for --within and --dry-run.")),
    ] = None,
    minimum: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=N_("Fewest hospitals for an answer, else four in five; the fewer may be absent, the less noise."),
        ),
    ] = None,
    rows_per_patient: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=N_("Count at most N rows of a patient: fewer than agreed, less noise.")),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=N_("Show the cost and the expected error; ask nothing, read no record."))
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help=N_("Pay for a new answer although a released one would serve."))
    ] = False,
    trust: Feared = Trust.THIRD,
    late: IfLate = Late.STOP,
    suppress: Annotated[
        bool, typer.Option("--suppress", help=N_("Show — where the noise is more than a third of the figure."))
    ] = False,
    purpose: Purpose = "",
    reason: Reason = "",
    by_residence: ByResidence = False,
    patience: Patience = "1d",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help=N_("Wait for the answer, or print the request's id."))
    ] = True,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help=N_("Wait at most S seconds; the request goes on."))
    ] = None,
    plot: Plot = None,
    export: Export = None,
    alarms: AlarmMethod = None,
    progress: Progress = None,
    as_json: AsJson = False,
) -> None:
    """Ask, or say what asking would cost."""
    from farr import connect
    from farr.cli.showing import Wanted, show
    from farr.cli.waiting import Waiting
    from farr.questions.asking import Terms
    from farr.questions.mandated import patience_of

    wanted = Wanted(plot=plot, export=export, alarms=alarms)
    wanted.check()
    text = _read() if statement == "-" else statement
    terms = Terms(
        epsilon=epsilon, within=within, expect=expect, minimum=minimum, purpose=purpose, reason=reason,
        by_residence=by_residence, patience=patience_of(patience), fresh=fresh, trust=trust, late=late,
    )  # fmt: skip
    with connect(home) as federation:
        if dry_run:
            foresee(federation, federation.estimate(text, terms, rows_per_patient=rows_per_patient), as_json=as_json)
            return
        if alarms is not None:
            _rehearse(federation, text, terms, rows_per_patient, alarms)
        if not wait:
            _submit(federation, text, terms, rows_per_patient, as_json=as_json)
            return
        with Waiting(wanted=progress, as_json=as_json) as waiting:
            result = federation.ask(text, terms, rows_per_patient=rows_per_patient, timeout=timeout, told=waiting.told)
    show(result, wanted, as_json=as_json, suppress=suppress)


def _read() -> str:
    from farr.errors import FarrError

    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise FarrError(
            "encoding",
            _("standard input is not {encoding}").format(encoding=error.encoding.upper()),
            remedy=_("save the question as UTF-8"),
        ) from error


def _rehearse(federation: Federation, text: str, terms: Terms, rows: int | None, method: Method) -> None:
    from farr.figures.alarms import rehearse

    rehearse(federation.estimate(text, terms, rows_per_patient=rows), federation.catalogue, method)


def foresee(federation: Federation, asking: Asking, *, as_json: bool) -> None:
    """Print what a question would cost and how exact its answer would be."""
    from farr.figures.result import plain_units
    from farr.questions.asking import advise, foreseen, half_widths, settings

    catalogue, question = federation.catalogue, asking.question
    widths, shared, advice = half_widths(asking, catalogue), asking.sharing, advise(asking, catalogue)
    under = settings(asking, catalogue)
    cost = asking.measurement.cost
    asked = [hospital for hospital in federation.hospitals if hospital.id in question.sites]
    left = {each.id: each.remaining_units for each in asked if each.remaining_units is not None}
    short = sorted(site for site, units in left.items() if units < cost)
    waiting = federation.late(asking)
    bounds = [part.bound for part in question.plan.parts]
    rows_bound, groups_bound = max(each.rows for each in bounds), max(each.groups for each in bounds)
    if as_json:
        output.as_json(
            {
                "dry_run": True,
                "half_width": widths,
                "figures": {
                    name: {"value": each.value, "relative": each.relative, "reliability": each.reliability}
                    for name, each in foreseen(asking, catalogue).items()
                },
                "coarser": advice
                and {"replace": advice.instead.before, "by": advice.instead.after, "relative": advice.relative},
                "not_ready": {site: {"table": table, "loaded": str(day)} for site, (table, day) in waiting.items()},
                "trust": asking.terms.trust.value,
                "m": shared.minimum,
                "c": shared.colluders,
                "h": shared.honest,
                "settings": {
                    trust.value: {"c": other.colluders, "h": other.honest, "half_width": halves}
                    for trust, (other, halves) in under.items()
                },
                "cost": plain_units(cost),
                "remaining": {site: plain_units(units) for site, units in left.items()},
                "too_little_left": short,
                "sites": {
                    "asked": len(asked),
                    "connected": sum(hospital.connected for hospital in asked),
                    "needed": asking.minimum,
                    "names": list(question.sites),
                },
                "rows_per_patient": rows_bound,
                "groups_per_patient": groups_bound,
                "entries": sum(block.entries for block in asking.measurement.blocks),
            }
        )
        return
    _foreseen(asking, catalogue)
    output.line(
        _("Noise: shared by at least {h} honest hospitals of at least {m} in the sum; masks: farrsum.").format(
            h=shared.honest, m=shared.minimum
        )
        if shared.honest > 1
        else _("Noise: so few hospitals that each adds the whole of it; masks: farrsum.")
    )
    if len({other.honest for other, _halves in under.values()}) > 1:
        output.line(_("What the fear of collusion costs at the same price (--trust):"))
        choices = [
            (trust.value, str(other.colluders), str(other.honest), *map(_half, halves.values()))
            for trust, (other, halves) in under.items()
        ]
        output.table(tables.table((_("feared"), "c", "h", *widths), choices))
        output.line()
    output.line(
        _(
            "Cost: epsilon {epsilon:.3g}; rows of one patient: at most {rows}. Nothing was asked, no record was read."
        ).format(epsilon=asking.epsilon, rows=rows_bound)
    )
    output.line(
        _("Hospitals: {asked} would be asked, {connected} are connected, {needed} must answer.").format(
            asked=len(asked), connected=sum(hospital.connected for hospital in asked), needed=asking.minimum
        )
    )
    if left:
        least = min(left, key=lambda site: left[site])
        epsilon = plain_units(left[least])["epsilon"]
        output.line(_("Least budget left: epsilon {epsilon:.3g} ({site}).").format(epsilon=epsilon, site=least))
    if waiting:
        output.line(
            _("Not ready, by their own word: {sites}").format(
                sites=", ".join(f"{site} ({table}: {day})" for site, (table, day) in sorted(waiting.items()))
            )
        )
    if short:
        output.line(_("Too little left at: {sites}").format(sites=", ".join(short)))


def _foreseen(asking: Asking, catalogue: Catalogue) -> None:
    """Print what to expect of each figure, and the coarser way to ask where that would be too little."""
    from farr.cli.figures import USES, number
    from farr.questions.asking import advise, foreseen

    found = foreseen(asking, catalogue)
    headers = [_("figure"), _("expected 95 % half-width, noise only")]
    rows = [[name, _half(each.half)] for name, each in found.items()]
    if any(each.relative is not None for each in found.values()):
        headers += [_("of an expected"), _("that is"), _("use")]
        for row, each in zip(rows, found.values(), strict=True):
            value = "" if each.value is None else number(each.value, each.half or 0.0)
            share = "" if each.relative is None else f"{100 * each.relative:.3g} %"
            row += [value, share, _(USES[each.reliability]) if each.reliability else ""]
    output.table(tables.table(headers, rows))
    output.line()
    if advice := advise(asking, catalogue):
        after = advice.instead.after
        text = (
            _("Too noisy for these groups. Reliable at this price: {after} instead of {before} (within {share:.2g} %).")
            if after
            else _("Too noisy for these groups. Reliable at this price: without {before} (within {share:.2g} %).")
        )
        output.line(text.format(before=advice.instead.before, after=after, share=100 * advice.relative))


def _half(half: float | None) -> str:
    from farr.cli.figures import number

    return _("depends on the answer") if half is None else _("± {half}").format(half=number(half, half))


def _submit(federation: Federation, text: str, terms: Terms, rows: int | None, *, as_json: bool) -> None:
    identifier = federation.submit(text, terms, rows_per_patient=rows)
    if as_json:
        output.as_json({"id": identifier})
    else:
        output.line(identifier)
