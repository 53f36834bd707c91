"""What `farr indicators` prints: lists of indicators, what to expect of a run, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from farr.cli import output
from farr.cli.figures import figures, footnotes, number
from farr.figures import tables
from farr.figures.result import plain_units
from farr.questions.foreseeing import CAUTION, SHOW, SUPPRESS, Expected, expected
from farr.texts import N_, _, language

if TYPE_CHECKING:
    from farr.client import Federation
    from farr.packs.indicator_report import Figure, Report, Reported
    from farr.packs.indicators import Round
    from farr.packs.pack_check import Fault
    from farr.packs.signed_packs import Held
    from farr.questions.asking import Asking
    from queries.agreed.pack import Indicator, Pack

DISPLAYS = {SHOW: N_("free"), CAUTION: N_("with caution"), SUPPRESS: N_("not to be shown"), "": ""}
"""What an indicator's rule says, for people."""


def listing(held: Held) -> None:
    """Print the indicators of a pack."""
    chinese = language()
    head = (_("number"), _("name"), _("indicator"), _("unit"), _("tables"), _("always by"))
    rows = [
        (
            str(each.number), each.name, each.label.in_language(chinese), each.unit.in_language(chinese),
            ", ".join(dict.fromkeys(side.table for side in each.sides)), ", ".join(each.by),
        )
        for each in held.pack.indicators
    ]  # fmt: skip
    output.table(tables.table(head, rows, numbers=(0,)))
    output.line()
    output.line(_identity(held.pack, held.signer))


def one(pack: Pack, indicator: Indicator) -> None:
    """Print one indicator in full."""
    chinese = language()
    rule = indicator.reliability
    facts = [
        (_("number"), str(indicator.number)),
        (_("definition"), indicator.definition.in_language(chinese)),
        (_("numerator"), indicator.numerator.in_language(chinese)),
        (_("denominator"), indicator.denominator.in_language(chinese)),
        (_("unit"), indicator.unit.in_language(chinese)),
        (_("source"), indicator.source),
    ]
    for side in indicator.sides:
        facts.append((_("asked"), f"{side.figure} FROM {side.table}" + (f" WHERE {side.where}" if side.where else "")))
        facts.append((_("dated by"), side.dated_by))
        facts.append((_("most rows of a patient and month"), str(side.rows)))
    if indicator.by:
        facts.append((_("always by"), ", ".join(indicator.by)))
    facts.append((_("may be grouped by"), ", ".join(indicator.groupings) or _("nothing")))
    if indicator.public:
        named = [f"{name} ({pack.public[name].label.in_language(chinese)})" for name in indicator.public]
        facts.append((_("public numbers"), ", ".join(named)))
    text = _("with caution from a noise of {caution:g} %, not to be shown from {suppress:g} %")
    facts.append((_("shown"), text.format(caution=float(rule.caution), suppress=float(rule.suppress))))
    if indicator.note is not None:
        facts.append((_("note"), indicator.note.in_language(chinese)))
    output.line(f"{indicator.name}  {indicator.label.in_language(chinese)}")
    output.table(tables.table(("", ""), facts))
    output.line()


def checked(pack: Pack, faults: Sequence[Fault], *, as_json: bool) -> None:
    """Print what cannot be asked of a pack."""
    from farr.problems import problem_of

    said = [(fault, problem_of(fault.error)) for fault in faults]
    if as_json:
        output.as_json(
            {
                "pack": pack.title,
                "digest": pack.digest.hex(),
                "indicators": len(pack.indicators),
                "numbers": list(pack.numbers),
                "faults": [
                    {"name": fault.indicator.name, "by": fault.by, **(problem.to_plain() if problem else {})}
                    for fault, problem in said
                ],
            }
        )
        return
    for fault, problem in said:
        where = f"{fault.indicator.name} BY {fault.by}" if fault.by else fault.indicator.name
        output.line(f"{where}: {problem.to_text() if problem else fault.error}")
    if not faults:
        output.line(
            _("{pack} holds {figures} figures of {numbers} indicators, and all can be asked.").format(
                pack=pack.title, figures=len(pack.indicators), numbers=len(pack.numbers)
            )
        )


def report(report: Report) -> None:
    """Print answered indicators: those without groups in one table, the others in one each."""
    single = [each for each in report.reported if len(each.figures) == 1 and not each.figures[0].group]
    if single:
        _together(single)
    for each in report.reported:
        if each not in single:
            _apart(each)
    for note in dict.fromkeys(each.indicator.note.in_language(language()) for each in report.reported
                              if each.indicator.note is not None):  # fmt: skip
        output.line(f"·  {note}")
    if any(figure.display == SUPPRESS for each in report.reported for figure in each.figures):
        output.line(_("—  not shown: by the indicator's rule too few rows, or too much noise for the figure."))
    for left in report.asked.left:
        output.line(_("Not asked: {why}").format(why=left.why))
    output.line(_identity(report.asked.pack, report.signer) + " " + report.asked.scope.written)
    output.line(_("Charged: epsilon {epsilon:.3g} for all of them.").format(
        epsilon=plain_units(report.result.cost_units)["epsilon"]
    ))  # fmt: skip
    for line in footnotes(report.result):
        output.line(line)


def _together(reported: Sequence[Reported]) -> None:
    head = (_("number"), _("indicator"), _("figure"), _("unit"), _("use"))
    rows = []
    for each in reported:
        figure, indicator = each.figures[0], each.indicator
        rows.append(
            (
                str(indicator.number), indicator.label.in_language(language()), _shown(figure),
                indicator.unit.in_language(language()), _(DISPLAYS[figure.display]),
            )
        )  # fmt: skip
    output.table(tables.table(head, rows, numbers=(0, 2)))
    output.line()


def _apart(reported: Reported) -> None:
    indicator = reported.indicator
    names = [name for name, _code in reported.figures[0].group] if reported.figures else []
    head = (*names, f"{indicator.label.in_language(language())} [{indicator.unit.in_language(language())}]", _("use"))
    rows = [(*figure.labels, _shown(figure), _(DISPLAYS[figure.display])) for figure in reported.figures]
    output.line(f"{indicator.number}  {indicator.name}")
    output.table(tables.table(head, rows, numbers=(len(names),)))
    output.line()


def _shown(figure: Figure) -> str:
    return "—" if figure.display == SUPPRESS else figures([figure.estimate])[0]


def foresee(
    federation: Federation, asking: Asking, asked: Round, held: Held, discharges: float | None, *, as_json: bool
) -> None:
    """Print what a run would cost and what to expect of each indicator; nothing is asked."""
    found = expected(asking, asked, federation.catalogue, discharges)
    left = {each.id: each.remaining_units for each in federation.hospitals if each.id in asked.question.sites}
    known = {site: units for site, units in left.items() if units is not None}
    waiting = federation.late(asking)
    if as_json:
        output.as_json(
            {
                "dry_run": True,
                "pack": {"name": asked.pack.name, "digest": asked.pack.digest.hex(), "signer": held.signer},
                "purpose": asking.terms.purpose,
                "reason": asking.terms.reason,
                "indicators": [_plain(each) for each in found],
                "left_out": [{"name": each.indicator.name, "why": each.why} for each in asked.left],
                "cost": plain_units(asking.measurement.cost),
                "remaining": {site: plain_units(units) for site, units in known.items()},
                "too_little_left": sorted(site for site, units in known.items() if units < asking.measurement.cost),
                "not_ready": {site: {"table": table, "loaded": str(day)} for site, (table, day) in waiting.items()},
                "sites": {"asked": len(asked.question.sites), "needed": asking.minimum},
            }
        )
        return
    head = [
        _("number"),
        _("indicator"),
        _("expected"),
        _("95 % half-width, noise only"),
        _("unit"),
        _("use"),
        _("instead"),
    ]
    rows = [
        (
            str(each.indicator.number), each.indicator.label.in_language(language()), _value(each), _half(each),
            each.indicator.unit.in_language(language()), _(DISPLAYS[each.display]), _instead(each),
        )
        for each in found
    ]  # fmt: skip
    output.table(tables.table(head, rows, numbers=(0, 2, 3)))
    output.line()
    for skipped in asked.left:
        output.line(_("Not asked: {why}").format(why=skipped.why))
    output.line(_identity(asked.pack, held.signer) + " " + asked.scope.written)
    output.line(
        _("Cost: epsilon {epsilon:.3g} for all of them, in one round. Nothing was asked, no record was read.").format(
            epsilon=plain_units(asking.measurement.cost)["epsilon"]
        )
    )
    if known:
        least = min(known, key=lambda site: known[site])
        epsilon = plain_units(known[least])["epsilon"]
        output.line(_("Least budget left: epsilon {epsilon:.3g} ({site}).").format(epsilon=epsilon, site=least))
    if waiting:
        output.line(
            _("Not ready, by their own word: {sites}").format(
                sites=", ".join(f"{site} ({table}: {day})" for site, (table, day) in sorted(waiting.items()))
            )
        )


def plain(held: Held, indicators: Sequence[Indicator]) -> list[dict[str, object]]:
    """Return indicators of a pack as JSON can hold them, each with the pack that it is from."""
    pack = held.pack
    source = {"name": pack.name, "version": pack.version, "digest": pack.digest.hex(), "signer": held.signer}
    return [
        {
            "number": each.number,
            "name": each.name,
            "label": {"en": each.label.en, "zh": each.label.zh},
            "definition": {"en": each.definition.en, "zh": each.definition.zh},
            "source": each.source,
            "unit": {"en": each.unit.en, "zh": each.unit.zh},
            "by": list(each.by),
            "groupings": list(each.groupings),
            "public": list(each.public),
            "weight": each.weight,
            "pack": source,
        }
        for each in indicators
    ]


def _plain(each: Expected) -> dict[str, object]:
    return {
        "number": each.indicator.number,
        "name": each.indicator.name,
        "value": each.found.value,
        "half_width": each.found.half,
        "relative": each.found.relative,
        "display": each.display,
        "rows_needed": each.more,
        "without": each.coarser,
    }


def _value(each: Expected) -> str:
    return "" if each.found.value is None else number(each.found.value, each.found.half or 0.0)


def _half(each: Expected) -> str:
    if each.found.half is None:
        return _("depends on the answer")
    return _("± {half}").format(half=number(each.found.half, each.found.half))


def _instead(each: Expected) -> str:
    if each.display != SUPPRESS:
        return ""
    if each.coarser:
        return _("without {grouping}").format(grouping=each.coarser)
    if each.more is None:
        return _("far more rows: a longer period or a larger region")
    return _("{more:.1f} times the rows: a longer period or a larger region").format(more=each.more)


def _identity(pack: Pack, signer: str) -> str:
    if signer:
        return _("Pack {pack}, signed by {signer}.").format(pack=pack.title, signer=signer)
    return _("Pack {pack}, not signed.").format(pack=pack.title)
