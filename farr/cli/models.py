"""`farr models`: the models that were trained from this home, and runs that are not at their end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AsJson, Home
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.training.runs import Run
    from farr.training.trained import Trained

app = typer.Typer(add_completion=False, no_args_is_help=True, help=N_("Models that were trained: list, show, save."))

LIST = N_("List the runs of training that were begun from this home, newest first.\n\n\b\n  farr models list")
SHOW = N_(
    "Show a model, by its run's id or as a file: coefficients, evaluation, what it cost.\n\n\b\n"
    "  farr models show 5f44\n"
    "  farr models show models/stroke_death.json"
)
SAVE = N_("Save a model with its card in a folder.\n\n\b\n  farr models save 5f44 --output models")

Which = Annotated[str, typer.Argument(metavar="ID|FILE", help=N_("The beginning of a run's id, or a saved model."))]


@app.command("list", help=LIST)
def list_models(home: Home = None, as_json: AsJson = False) -> None:
    """List."""
    from farr.cli.requests import when
    from farr.figures import tables
    from farr.figures.result import plain_units
    from farr.training import runs
    from queries.cost.accounting import epsilon_of, rho_of_units

    found = runs.every(_home(home), lambda error: _warn(error.message))
    if as_json:
        output.as_json(
            [
                {
                    "id": run.id,
                    "name": run.recipe.name,
                    "kind": run.recipe.kind,
                    "state": run.state,
                    "why": run.why,
                    "begun_at": run.begun_at,
                    "rounds": len(run.answered),
                    "price": plain_units(run.rho_units),
                    "spent": plain_units(run.spent_units),
                }
                for run in found
            ]
        )
        return
    rows = [
        (
            run.id[:8],
            run.recipe.name,
            run.recipe.kind,
            when(run.begun_at),
            _state(run),
            str(len(run.answered)),
            f"{epsilon_of(rho_of_units(run.spent_units)):.3g} / {epsilon_of(rho_of_units(run.rho_units)):.3g}",
        )
        for run in found
    ]
    headers = (_("id"), _("model"), _("kind"), _("begun at"), _("state"), _("rounds"), _("epsilon"))
    output.table(tables.table(headers, rows, numbers=(5,)))


@app.command(help=SHOW)
def show(which: Which, home: Home = None, as_json: AsJson = False) -> None:
    """Show a model."""
    from farr.cli.training_pages import model_page, plain

    trained = _find(which, home)
    if as_json:
        output.as_json(plain(trained))
    else:
        model_page(trained)


@app.command(help=SAVE)
def save(
    which: Which,
    to: Annotated[Path, typer.Option("--output", metavar="DIR", help=N_("Where to save it."))],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Save a model."""
    from farr.training import saved
    from farr.training.curve import draw

    trained = _find(which, home)
    paths = [saved.save(trained, to), to / f"{trained.prepared.recipe.name}.md"]
    drawn = draw(trained, to / f"{trained.prepared.recipe.name}.png")
    paths += [] if drawn is None else [drawn]
    if as_json:
        output.as_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        output.line(_("saved: {path}").format(path=path))


def _find(which: str, home: Path | None) -> Trained:
    from farr.errors import FarrError
    from farr.training import runs
    from farr.training.saved import JSON, SAFETENSORS, load_model

    if which.endswith((JSON, SAFETENSORS)):
        return load_model(which)
    member = _home(home)
    run = runs.find(member, which)
    folder = runs.folder_of(member, run.id)
    for suffix in (JSON, SAFETENSORS):
        path = folder / f"{run.recipe.name}{suffix}"
        if path.is_file() and path.name != runs.FILE:
            return load_model(path)
    raise FarrError(
        "no-model",
        _("run {id} has no model yet: {rounds} rounds were answered").format(id=run.id[:8], rounds=len(run.answered)),
        remedy=_("take it up: farr train --resume {id}").format(id=run.id[:8]),
    )


def _warn(text: str) -> None:
    from farr.figures.tables import visible

    sys.stderr.write(visible(text) + "\n")


def _home(home: Path | None) -> Path:
    from farr.lab.record import analyst_home
    from farr.membership import home as homes

    return analyst_home(home or homes.default_home())


def _state(run: Run) -> str:
    words = {"running": _("not at its end"), "finished": _("finished"), "stopped": _("stopped ({why})")}
    return words[run.state].format(why=run.why)
