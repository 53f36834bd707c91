"""`farr budget`: what each hospital may still release."""

from __future__ import annotations

import typer

from farr.cli import output
from farr.cli.options import AsJson, Home
from farr.figures import tables
from farr.texts import N_, _, language

app = typer.Typer(add_completion=False)

BUDGET = N_(
    "Show what each hospital may still release: its budget for life and what is left of it, as an epsilon at a delta "
    "of one in a million.\n\n\b\n  farr budget"
)


@app.command(help=BUDGET)
def budget(home: Home = None, as_json: AsJson = False) -> None:
    """Show the budgets."""
    from farr import connect
    from farr.figures.result import plain_units

    with connect(home) as federation:
        hospitals = federation.budget()
    if as_json:
        output.as_json(
            [
                {
                    "site": each.id,
                    "label": {"en": each.label.en, "zh": each.label.zh},
                    "attributes": each.attributes,
                    "connected": each.connected,
                    "lifetime": None if each.lifetime_units is None else plain_units(each.lifetime_units),
                    "remaining": None if each.remaining_units is None else plain_units(each.remaining_units),
                    "tables": list(each.tables),
                }
                for each in hospitals
            ]
        )
        return
    rows = [
        (
            each.id,
            each.label.in_language(language()),
            _("connected") if each.connected else _("not connected"),
            _epsilon(each.lifetime_units),
            _epsilon(each.remaining_units),
            ", ".join(each.tables),
        )
        for each in hospitals
    ]
    headers = (_("site"), _("hospital"), _("state"), _("for life"), _("left"), _("tables"))
    output.table(tables.table(headers, rows, numbers=(3, 4)))
    output.line(_("Budgets are epsilons at a delta of one in a million; they never start again."))


def _epsilon(units: int | None) -> str:
    from queries.cost.accounting import epsilon_of, rho_of_units

    return "?" if units is None else f"{epsilon_of(rho_of_units(units)):.2f}"
