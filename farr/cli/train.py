"""`farr train`: train a model over the hospitals, round by round, through the same gate as a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer
from click.core import ParameterSource

from farr.cli import output
from farr.cli.options import AsJson, ByResidence, Home, Patience, Progress, Purpose, Reason
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.client import Federation
    from farr.training.recipe import Recipe
    from farr.training.run import Told
    from farr.training.trained import Trained

app = typer.Typer(add_completion=False)

FAKE = "_fake"
"""At the end of the name of a model that was trained on fake rows."""

TRAIN = N_(
    "Train a model over the hospitals: a MODEL.toml that Farr trains, or with --app a Flower app of your own.\n\n"
    "Each round is a question to the hospitals: every patient's part is clipped there, noise is added, and the whole "
    "run is charged at most its epsilon. Ctrl-C leaves a run that goes on with --resume.\n\n\b\n"
    "  farr train stroke_death.toml --dry-run\n"
    "  farr train stroke_death.toml --epsilon 1 --output models\n"
    "  farr train --resume 5f44\n"
    "  farr models list"
)


@app.command(help=TRAIN)
def train(
    *,
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL.toml]", help=N_("The model to train: see docs/researcher.md."))
    ] = None,
    home: Home = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            metavar="E", help=N_("Privacy loss of the whole run, in place of the model's own."), min=0.0001, max=100
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=N_("Most rounds of training, in place of the model's own."))
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=N_("Show cost, rounds, bytes and the noise to expect; ask nothing.")),
    ] = False,
    fake: Annotated[
        bool,
        typer.Option("--fake", help=N_("Train on fake rows made from the catalogue alone, on this machine.")),
    ] = False,
    patients: Annotated[
        int,
        typer.Option(metavar="N", min=10, max=1_000_000, help=N_("Fake patients of --dry-run and --fake, in all.")),
    ] = 5000,
    resume: Annotated[str, typer.Option(metavar="ID", help=N_("Take up a run that was cut short."))] = "",
    folder: Annotated[
        Path | None, typer.Option("--app", metavar="DIR", help=N_("Run a Flower app instead: its folder."))
    ] = None,
    config: Annotated[str, typer.Option(metavar="TOML", help=N_("With --app: settings to replace."))] = "",
    to: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help=N_("Also save model, card and curve in this folder.")),
    ] = None,
    purpose: Purpose = "",
    reason: Reason = "",
    by_residence: ByResidence = False,
    patience: Patience = "1d",
    progress: Progress = None,
    as_json: AsJson = False,
) -> None:
    """Train, rehearse, or say what training would cost."""
    from farr import connect

    if folder is not None:
        from farr.cli.train_app import train_app
        from farr.questions.asking import Terms
        from farr.questions.mandated import patience_of

        if model is not None or fake or to is not None:
            raise click.UsageError(_("--app takes no MODEL.toml, --fake or --output"))
        if resume and dry_run:
            raise click.UsageError(_("--resume goes on with a run, --dry-run only tells: give one of the two"))
        _check_resumed(resume)
        _check_patients(rehearsed=False)
        terms = Terms(
            epsilon=epsilon, purpose=purpose, reason=reason, by_residence=by_residence, patience=patience_of(patience)
        )
        with connect(home) as federation:
            train_app(
                federation, folder, terms, rounds=rounds, config=config, resume=resume, dry_run=dry_run,
                progress=progress, as_json=as_json,
            )  # fmt: skip
        return
    if model is None and not resume:
        raise click.UsageError(_("name a MODEL.toml, or a run with --resume"))
    if resume and (model is not None or dry_run or fake):
        raise click.UsageError(_("a run goes on as it was begun: --resume takes no MODEL.toml, --dry-run or --fake"))
    if config:
        raise click.UsageError(_("--config is of --app"))
    if model is not None and model.is_dir():
        raise click.UsageError(_("{folder} is a folder: a Flower app is run with --app {folder}").format(folder=model))
    _check_resumed(resume)
    if fake and dry_run:
        raise click.UsageError(_("--fake trains, --dry-run only tells: give one of the two"))
    if dry_run and to is not None:
        raise click.UsageError(_("--dry-run makes no model: --output has nothing to save"))
    _check_patients(rehearsed=dry_run or fake)
    recipe = None if model is None else _recipe(model, epsilon, rounds, purpose, reason)
    if recipe is not None and fake:
        _fake(recipe, home, patients, to, as_json=as_json)
        return
    with connect(home) as federation:
        if recipe is not None and dry_run:
            _foresee(federation, recipe, patients, by_residence=by_residence, as_json=as_json)
            return
        trained = _train(
            federation, recipe, resume, by_residence=by_residence, patience=patience, progress=progress, as_json=as_json
        )
        _finish(trained, federation.folder, to, as_json=as_json)


def _check_resumed(resume: str) -> None:
    """Refuse what a run that was begun does not take any more."""
    for option in ("--epsilon", "--rounds", "--config", "--purpose", "--reason", "--by-residence", "--patience"):
        if resume and _was_given(option):
            raise click.UsageError(_("a run goes on as it was begun: --resume takes no {option}").format(option=option))


def _check_patients(*, rehearsed: bool) -> None:
    if not rehearsed and _was_given("--patients"):
        raise click.UsageError(_("--patients is of --dry-run and --fake: a run trains on the hospitals' patients"))


def _was_given(option: str) -> bool:
    """Return whether whoever called wrote an option, be it its default."""
    source = click.get_current_context().get_parameter_source(option.removeprefix("--").replace("-", "_"))
    return source is ParameterSource.COMMANDLINE


def _recipe(model: Path, epsilon: float | None, rounds: int | None, purpose: str, reason: str) -> Recipe:
    from dataclasses import replace

    from farr.training.model_file import read_file

    recipe = read_file(model)
    return replace(
        recipe,
        epsilon=recipe.epsilon if epsilon is None else epsilon,
        rounds=recipe.rounds if rounds is None else rounds,
        purpose=purpose or recipe.purpose,
        reason=reason or recipe.reason,
    )


def _train(
    federation: Federation,
    recipe: Recipe | None,
    resume: str,
    *,
    by_residence: bool,
    patience: str,
    progress: bool | None,
    as_json: bool,
) -> Trained:
    from farr.cli.training_pages import Watched
    from farr.training import run

    with Watched(wanted=progress, as_json=as_json) as watched:
        if recipe is None:
            return _resumed(federation, resume, watched.told)
        return run.train(federation, recipe, by_residence=by_residence, patience=patience, told=watched.told)


def _resumed(federation: Federation, identifier: str, told: Told) -> Trained:
    from farr.errors import FarrError
    from farr.flower import kept
    from farr.training import run

    try:
        return run.resume(federation, identifier, told=told)
    except FarrError as error:
        if error.code == "unknown-run":
            kept.refuse(federation.folder, identifier)
        raise


def _finish(trained: Trained, home: Path, to: Path | None, *, as_json: bool) -> None:
    """Save the model before anything is shown, so that it is there whoever reads the output."""
    from farr.cli.training_pages import model_page, plain
    from farr.training import runs
    from farr.training.curve import draw
    from farr.training.saved import save

    paths = [] if trained.run is None else [save(trained, runs.folder_of(home, trained.run.id))]
    if to is not None:
        paths += [save(trained, to), to / f"{trained.prepared.recipe.name}.md"]
        drawn = draw(trained, to / f"{trained.prepared.recipe.name}.png")
        paths += [] if drawn is None else [drawn]
    if as_json:
        output.as_json(plain(trained) | {"files": [str(path) for path in paths]})
    else:
        model_page(trained)
        for path in paths[1:] if trained.run is not None and to is not None else paths:
            output.line(_("saved: {path}").format(path=path))
    if trained.stopped is not None:
        raise trained.stopped


def _fake(recipe: Recipe, home: Path | None, patients: int, to: Path | None, *, as_json: bool) -> None:
    from dataclasses import replace

    from farr.lab.record import analyst_home
    from farr.membership import home as homes
    from farr.training.foreseen import fake
    from queries.agreed.catalogue_file import read_catalogue
    from queries.agreed.section import LONGEST_NAME

    held = homes.read(analyst_home(home or homes.default_home()))
    catalogue = read_catalogue(held.catalogue, homes.CATALOGUE)
    # A name of its own, so that it takes no trained model's place in the folder.
    named = replace(recipe, name=f"{recipe.name[: LONGEST_NAME - len(FAKE)]}{FAKE}")
    trained = fake(named, catalogue, held.read_roster().nodes, rows=patients)
    _finish(trained, Path(), to, as_json=as_json)


def _foresee(federation: Federation, recipe: Recipe, patients: int, *, by_residence: bool, as_json: bool) -> None:
    from farr.cli.training_pages import foreseen_page, foreseen_plain
    from farr.training.foreseen import foresee

    found = foresee(federation, recipe, patients=patients, by_residence=by_residence)
    if as_json:
        output.as_json(foreseen_plain(found))
    else:
        foreseen_page(found)
