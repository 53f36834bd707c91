"""`farr models`: the models that were trained from this home, and runs that are not at their end."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.options import AsJson, Home
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.flower.kept import Kept
    from farr.training.runs import Run
    from farr.training.trained import Trained

app = typer.Typer(add_completion=False, no_args_is_help=True, help=N_("Models that were trained: list, show, save."))

APP = N_("app")
"""What the list calls a run of a Flower app, beside the kinds of models."""

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
    from farr.flower import kept
    from farr.training import runs

    member = _home(home)
    found = [
        *map(_of_model, runs.every(member, lambda error: _warn(error.message))),
        *map(_of_app, kept.every(member, lambda error: _warn(error.message))),
    ]
    found.sort(key=lambda run: -run.begun_at)
    if as_json:
        output.as_json([run.to_plain() for run in found])
        return
    rows = [
        (
            run.id[:8],
            run.name,
            _(run.kind) if run.kind == APP else run.kind,
            when(run.begun_at),
            _state(run),
            str(run.rounds),
            f"{_epsilon(run.spent):.3g} / {_epsilon(run.price):.3g}",
        )
        for run in found
    ]
    headers = (_("id"), _("model"), _("kind"), _("begun at"), _("state"), _("rounds"), _("epsilon"))
    output.table(tables.table(headers, rows, numbers=(5,), tight=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A run in the list, of a model or of an app."""

    id: str
    name: str
    kind: str
    state: str
    why: str
    begun_at: int
    rounds: int
    price: int
    spent: int

    def to_plain(self) -> dict[str, object]:
        from farr.figures.result import plain_units

        return {**asdict(self), "price": plain_units(self.price), "spent": plain_units(self.spent)}


def _of_model(run: Run) -> _Listed:
    return _Listed(
        id=run.id,
        name=run.recipe.name,
        kind=run.recipe.kind,
        state=run.state,
        why=run.why,
        begun_at=run.begun_at,
        rounds=len(run.answered),
        price=run.rho_units,
        spent=run.committed_units,
    )


def _of_app(run: Kept) -> _Listed:
    """Return a run of a Flower app; whether the app came to its end is its own affair."""
    return _Listed(
        id=run.id,
        name=run.name,
        kind=APP,
        state="",
        why="",
        begun_at=run.number // 1_000_000_000,
        rounds=sum(each.state == "answered" for each in run.done_rounds),
        price=run.rho_units,
        spent=run.spent_units,
    )


def _epsilon(units: int) -> float:
    from queries.cost.accounting import epsilon_of, rho_of_units

    return epsilon_of(rho_of_units(units)) if units else 0.0


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
    from farr.flower import kept
    from farr.training import runs
    from farr.training.saved import JSON, SAFETENSORS, load_model

    if which.endswith((JSON, SAFETENSORS)):
        return load_model(which)
    member = _home(home)
    try:
        run = runs.find(member, which)
    except FarrError:
        kept.refuse(member, which)
        raise
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


def _state(run: _Listed) -> str:
    words = {"running": _("not at its end"), "finished": _("finished"), "stopped": _("stopped ({why})")}
    return words.get(run.state, "").format(why=run.why)
