"""What `farr train --app DIR` does: a researcher's own Flower app over the hospitals, or what that would cost."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farr.cli import output
from farr.errors import FarrError
from farr.figures.result import plain_units
from farr.texts import N_, _
from queries.cost.accounting import epsilon_of, rho_of_units

if TYPE_CHECKING:
    from farr.client import Federation
    from farr.flower.app import Ran
    from farr.flower.kept import Kept
    from farr.flower.rounds import Progress
    from farr.flower.settings import Settings
    from farr.questions.asking import Terms

EPSILON = 1.0
"""Of a run that names no other."""

KINDS = {"train": N_("training"), "evaluate": N_("evaluation"), "query": N_("query")}

STATES = {
    "asked": N_("{hospitals} hospitals asked"),
    "held": N_("waits for hospitals to approve the run"),
    "answered": N_("{hospitals} hospitals answered"),
    "late": N_("given up: not answered in the time that the app gives"),
    "skipped": N_("not asked: the app declares no numbers of it"),
}


def train_app(
    federation: Federation,
    folder: Path,
    terms: Terms,
    *,
    rounds: int | None = None,
    config: str = "",
    resume: str = "",
    dry_run: bool = False,
    progress: bool | None = None,
    as_json: bool = False,
) -> None:
    """Run the app in a folder, or take up a run of it, and print what came of it.

    ``terms.epsilon`` is the price of the whole run; ``rounds`` the questions over which it is divided. A run that is
    taken up goes on as it was begun, whatever ``terms`` says. Raises FarrError where it was stopped, when all that is
    known has been printed.
    """
    try:
        from farr.flower import app
        from farr.flower.federated import Federated
    except ModuleNotFoundError as missing:
        raise FarrError(
            "extra",
            _("Flower is not installed: {name}").format(name=missing.name),
            remedy=_("install it with: pip install 'farr[train]'"),
        ) from None
    epsilon = EPSILON if terms.epsilon is None else terms.epsilon
    home = federation.folder
    begun = (
        app.resume(folder, home, resume)
        if resume
        else app.begin(folder, home, epsilon=epsilon, rounds=rounds, config=config, terms=terms)
    )
    if dry_run:
        _foresee(*begun, Federated(federation, *begun), as_json=as_json)
        return
    # What an app prints is its own; a script's JSON stays whole.
    aside = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    shown = (sys.stderr.isatty() and not as_json) if progress is None else progress
    try:
        with aside:
            ran = app.run(
                folder,
                begun,
                lambda settings, kept: Federated(federation, settings, kept),
                _say if shown else _silent,
            )
    except BaseException:
        # Whatever cut it, an error of the app's own too: rounds that were answered are not paid for again.
        _kept(folder, begun[1])
        raise
    if as_json:
        output.as_json(plain(ran))
    else:
        _show(ran)
    if ran.stopped is not None:
        if ran.stopped.code != "run-over":
            _kept(folder, ran.kept)
        raise ran.stopped


def _kept(folder: Path, kept: Kept) -> None:
    """Say how a run that was cut is taken up, where anything of it was asked."""
    from farr.flower.kept import FILE, read

    if (kept.folder / FILE).is_file() and read(kept.folder).done_rounds:
        text = _("the run is kept; take it up with: farr train --app {folder} --resume {id}")
        sys.stderr.write(text.format(folder=folder, id=kept.id[:8]) + "\n")


def _say(state: Progress) -> None:
    # A line among those that Flower itself writes there: one that changes in place would be torn apart.
    sys.stderr.write(_line(state) + "\n")


def _silent(_state: Progress) -> None:
    """Say nothing."""


def plain(ran: Ran) -> dict[str, Any]:
    """Return a run as JSON can hold it."""
    kept = ran.kept
    return {
        "run": kept.id,
        "app": {"name": kept.name, "digest": kept.app, "config": kept.config},
        "rounds": [
            {
                "number": each.number,
                "kind": each.kind,
                "state": each.state,
                "asked": list(each.sites),
                "answered": list(each.answered),
                "release": each.release,
                "noise_sd": each.noise,
            }
            for each in kept.done_rounds
        ],
        "price": plain_units(kept.rho_units),
        "spent": plain_units(kept.spent_units),
        "model": None if ran.model is None else str(ran.model),
        "stopped": None if ran.stopped is None else ran.stopped.code,
    }


def _line(state: Progress) -> str:
    text = _("round {number} of {rounds}, {kind}: {state}").format(
        number=state.number,
        rounds=state.rounds,
        kind=_(KINDS[state.kind]),
        state=_(STATES[state.state]).format(hospitals=state.hospitals),
    )
    if state.noise:
        text += " " + _("(noise in each number ± {noise:.2g})").format(noise=1.96 * state.noise)
    return text


def _show(ran: Ran) -> None:
    kept = ran.kept
    rounds = sum(each.state == "answered" for each in kept.done_rounds)
    text = _("Run {id}: {rounds} rounds answered, epsilon {spent:.3g} of {price:.3g} spent at most.")
    if rounds == 1:
        text = _("Run {id}: one round answered, epsilon {spent:.3g} of {price:.3g} spent at most.")
    output.line(
        text.format(
            id=kept.id[:8],
            rounds=rounds,
            spent=epsilon_of(rho_of_units(kept.spent_units)) if kept.spent_units else 0.0,
            price=epsilon_of(rho_of_units(kept.rho_units)),
        )
    )
    if ran.model is not None:
        output.line(_("The last model: {path}").format(path=ran.model))


def _foresee(app: Settings, kept: Kept, rounds: Any, *, as_json: bool) -> None:
    noise, hospitals = rounds.noise(), len(rounds.hospitals())
    if as_json:
        output.as_json(
            {
                "app": {"name": app.name, "digest": kept.app, "config": kept.config},
                "table": app.table,
                "columns": list(app.columns),
                "rounds": kept.rounds,
                "price": plain_units(kept.rho_units),
                "price_of_a_round": plain_units(kept.share),
                "hospitals": hospitals,
                "clip": app.clip,
                "noise_sd": noise,
                "seconds": app.seconds,
            }
        )
        return
    output.line(_("The app {name}, {digest}").format(name=app.name, digest=kept.app))
    output.line(
        _("is handed {columns} of {table} at {hospitals} hospitals, at most {seconds} seconds a round.").format(
            columns=", ".join(app.columns), table=app.table, hospitals=hospitals, seconds=app.seconds
        )
    )
    output.line(
        _("{rounds} rounds share an epsilon of {epsilon:.3g}: {share:.3g} each, if it were the only one.").format(
            rounds=kept.rounds,
            epsilon=epsilon_of(rho_of_units(kept.rho_units)),
            share=epsilon_of(rho_of_units(kept.share)),
        )
    )
    output.line(
        _(
            "Each hospital's update is clipped to {clip:g}; each number of their mean has noise of ± {noise:.2g}."
        ).format(clip=app.clip, noise=1.96 * noise)
    )
    output.line(_("The app's code was not run, and nothing was asked."))
