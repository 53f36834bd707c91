"""Training a model over a federation, round by round: each a question, asked, verified and told to the algorithm."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from farr.errors import FarrError
from farr.questions import mandated, opening, sending, states
from farr.questions.asking import Asking, Terms
from farr.questions.late import Late
from farr.questions.opening import Opened
from farr.questions.states import RequestState
from farr.texts import _
from farr.training import runs
from farr.training.budget import check_budget, check_price, price_of
from farr.training.model_file import read_file
from farr.training.recipe import Recipe, settled
from farr.training.refused import ended, explained, is_in_doubt, may_have_charged, stated
from farr.training.runs import KeptRound, Run
from farr.training.terms import Prepared, prepare
from farr.training.trained import Trained
from protocols import request as requests
from protocols.errors import Rejected
from queries.asked.canonical import decode, encode
from queries.asked.design import design_of
from queries.asked.plan import Part, SiteKey, Step
from queries.asked.question import Question
from queries.errors import PlanError, QueryError
from queries.models import descent, training
from queries.models.fitted import Fitted
from queries.models.glm import turns_of
from queries.models.training import Sums, Turn
from queries.models.units import in_units

if TYPE_CHECKING:
    from farr.client import Federation

PACE = 5.0
"""Least seconds between two writings of a run that goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    run: str
    """Its id."""
    number: int
    """Of the round, from 1."""
    rounds: int
    """Most rounds."""
    state: RequestState | None
    """Of the round's request, while it is under way."""
    fitted: Fitted | None
    """The model before this round; None: there is none yet."""
    spent_units: int
    """By the rounds that were answered, in ledger units."""
    replayed: bool = False
    """Whether the round had been answered before the run was resumed."""
    prepared: Prepared | None = None
    """What is trained, in the catalogue's terms."""


Told = Callable[[Progress], None]


def train(
    federation: Federation,
    model: Recipe | str | Path,
    *,
    epsilon: float | None = None,
    rounds: int | None = None,
    purpose: str = "",
    reason: str = "",
    by_residence: bool = False,
    patience: str = "1d",
    told: Told = lambda _progress: None,
) -> Trained:
    """Train a model and wait for it; what is given here comes before what the recipe says.

    Ctrl-C leaves the run resumable. A run that stops for its budget, or because a round was refused, returns the last
    model with ``stopped`` set; where there is none yet, the refusal is raised. Raises FarrError or QueryError; what is
    refused before the first round costs nothing.
    """
    recipe = model if isinstance(model, Recipe) else read_file(Path(model))
    recipe = replace(
        recipe,
        epsilon=recipe.epsilon if epsilon is None else epsilon,
        rounds=recipe.rounds if rounds is None else rounds,
        purpose=purpose or recipe.purpose,
        reason=reason or recipe.reason,
    )
    run = begin(federation, recipe, by_residence=by_residence, patience=mandated.patience_of(patience))
    return conduct(federation, run, told=told)


def resume(federation: Federation, identifier: str, *, told: Told = lambda _progress: None) -> Trained:
    """Take up a run by its id or the beginning of it: answered rounds are verified again, and none is paid twice."""
    federation.refresh()
    return conduct(federation, runs.find(federation.folder, identifier), told=told)


def begin(federation: Federation, recipe: Recipe, *, by_residence: bool, patience: int) -> Run:
    """Return a new run, kept in the home; raise FarrError or QueryError where it may not be asked or afforded."""
    asking, prepared = first_round(federation, recipe, by_residence=by_residence, patience=patience, late=False)
    recipe = prepared.recipe
    run = Run(
        id=runs.new_id(),
        recipe=recipe,
        catalogue=prepared.catalogue.digest.hex(),
        part=encode(prepared.part).decode(),
        sites=asking.question.sites,
        minimum=asking.minimum,
        rho_units=price_of(recipe),
        most_rounds=rounds_of(prepared),
        purpose=asking.terms.purpose,
        patience=patience,
        by_residence=by_residence,
        begun_at=int(time.time()),
    )
    check_budget(federation, run.sites, run.minimum, run.rho_units)
    runs.write(federation.folder, run)
    return run


def first_round(
    federation: Federation, recipe: Recipe, *, by_residence: bool, patience: int, late: bool
) -> tuple[Asking, Prepared]:
    """Return a recipe's first round, priced, and the recipe in the catalogue's terms. Nothing is asked.

    ``late``: whether hospitals that have not loaded the whole period may be among those asked.
    """
    recipe = settled(recipe)
    known = federation.refresh()
    sites = known.roster.nodes
    prepared = prepare(recipe, known.catalogue, sites)
    terms = _terms(recipe, recipe.minimum, recipe.purpose, by_residence=by_residence, patience=patience, late=late)
    price = max(1, int(price_of(recipe) * first_turn(prepared).share))
    asking = federation.priced(prepared.question(first_turn(prepared).step), terms, price)
    if asking.question.sites != prepared.sites and any(isinstance(key, SiteKey) for key in prepared.step.strata):
        # A baseline of its own for each hospital that is asked, and none for others.
        prepared = prepare(recipe, known.catalogue, {site: sites[site] for site in asking.question.sites})
        asking = federation.priced(prepared.question(first_turn(prepared).step), terms, price)
    return asking, prepared


def first_turn(prepared: Prepared) -> Turn:
    """Return what a run asks first: it follows from the recipe alone."""
    return next(training.train(prepared.model, prepared.shape))


def rounds_of(prepared: Prepared) -> int:
    """Return the most rounds of a run, its evaluation counted."""
    if prepared.recipe.kind == "network":
        turns = prepared.recipe.rounds or descent.ROUNDS
    else:
        turns = turns_of(prepared.model, prepared.shape)
    return turns + bool(prepared.recipe.held_out)


def conduct(federation: Federation, run: Run, *, told: Told = lambda _progress: None) -> Trained:
    """Drive a run to its end, or to where it has to stop; its rounds that were answered are replayed.

    ``run`` says which: how far it is follows from what is kept of it.
    """
    folder = federation.folder
    with runs.alone(runs.folder_of(folder, run.id)):
        # Read only now: another process, or this one, may have taken it further since.
        run = runs.recovered(folder, runs.find(folder, run.id))
        return _Course(federation, run, told).play()


class _Stopped(Exception):
    """A round that has no answer and will not have one."""

    def __init__(self, error: FarrError) -> None:
        super().__init__(error.code)
        self.error = error


class _Course:
    """One run on its way; ``run`` is what is known of it, written now and then, and whenever it stops."""

    def __init__(self, federation: Federation, run: Run, told: Told) -> None:
        self._federation = federation
        self._told = told
        self.run = run
        self._prepared = _prepared(federation, run)
        self._design = design_of(self._prepared.plan)
        self._written = time.monotonic()

    def play(self) -> Trained:
        """Return the model that the run gives, as far as it comes; whatever cuts it, what it has learnt is kept."""
        try:
            return self._play()
        except BaseException:
            runs.write(self._federation.folder, self.run)
            raise

    def _play(self) -> Trained:
        prepared = self._prepared
        course = training.train(prepared.model, prepared.shape)
        fitted: Fitted | None = None
        turn, number = next(course), 0
        while True:
            number, fitted = number + 1, turn.so_far or fitted
            try:
                sums = self._round(turn, number)
            except _Stopped as stopped:
                self._keep(replace(self.run, state=runs.STOPPED, why=stopped.error.code))
                if fitted is None:
                    raise stopped.error from None
                return Trained(fitted=fitted, prepared=prepared, run=self.run, stopped=stopped.error)
            try:
                turn = course.send(sums)
            except StopIteration as end:
                self._keep(replace(self.run, state=runs.FINISHED, why=""))
                return Trained(fitted=end.value, prepared=prepared, run=self.run)

    def _keep(self, run: Run) -> None:
        runs.write(self._federation.folder, run)
        self.run, self._written = run, time.monotonic()

    def _round(self, turn: Turn, number: int) -> Sums:
        """Ask one round, or wait for it, or take up its release; return what it tells."""
        price = int(self.run.rho_units * Fraction(turn.share))
        question = replace(self._prepared.question(turn.step), sites=self.run.sites)
        kept = self.run.round(number)
        replayed = kept is not None and bool(kept.release)

        def tell(state: RequestState | None) -> None:
            self._told(
                Progress(
                    run=self.run.id,
                    number=number,
                    rounds=self.run.most_rounds,
                    state=state,
                    fitted=turn.so_far,
                    spent_units=self.run.spent_units,
                    replayed=replayed,
                    prepared=self._prepared,
                )
            )

        tell(None)
        if kept is None:
            kept = self._begin(number, price)
            self._ask(kept, question)
        elif not replayed and self._asked(kept) is None:
            kept = self._ask_late(kept, question)
        try:
            opened = self._federation.opened(bytes.fromhex(kept.request), told=tell)
        except FarrError as error:
            if error.code in (*states.PASSING, "timeout") or (state := self._asked(kept)) is None or not ended(state):
                raise
            lost = kept.rho_units if may_have_charged(state) else 0
            self._keep(self.run.changed(kept.request, failed=error.code, rho_units=lost))
            raise _Stopped(explained(error, turn.step)) from error
        return self._learnt(turn.step, question, kept, opened)

    def _ask_late(self, kept: KeptRound, question: Question) -> KeptRound:
        """Ask a round that was kept and never taken, anew where its request has expired meanwhile; return it."""
        try:
            self._ask(kept, question)
        except _Stopped as stopped:
            if stopped.error.code != "expired":
                raise
            kept = self._begin(kept.number, kept.rho_units)
            self._ask(kept, question)
        return kept

    def _asked(self, kept: KeptRound) -> RequestState | None:
        """Return a round's request as the coordinator has it; None where it has not, and never took it."""
        return next(iter(self._federation.requests(start=kept.request)), None)

    def _begin(self, number: int, price: int) -> KeptRound:
        """Note that a round is about to be asked; raise _Stopped where it cannot be paid for."""
        run = self.run
        try:
            check_price(run.committed_units, price, run.rho_units)
            check_budget(self._federation, run.sites, run.minimum, price)
        except FarrError as error:
            raise _Stopped(error) from error
        kept = KeptRound(number=number, request=sending.new_id().hex(), rho_units=price)
        self.run = self.run.asked(kept)
        if time.monotonic() - self._written > PACE:
            self._keep(self.run)
        return kept

    def _ask(self, kept: KeptRound, question: Question) -> None:
        """Hand in a round's request; raise _Stopped where it is refused before any hospital has heard of it."""
        run = self.run
        terms = _terms(run.recipe, run.minimum, run.purpose, by_residence=run.by_residence, patience=run.patience)
        claim = requests.Run(
            id=bytes.fromhex(run.id),
            design=self._design,
            round=kept.number,
            rounds=max(run.most_rounds, kept.number),
            rho_units=run.rho_units,
        )
        try:
            asking = self._federation.priced(question, terms, kept.rho_units)
            self._federation.ask_round(asking, bytes.fromhex(kept.request), claim)
        except (FarrError, QueryError, Rejected) as error:
            if is_in_doubt(error):
                raise
            # Refused here or at the door: none of its price is lost.
            refused = stated(error)
            self._keep(run.changed(kept.request, failed=refused.code, rho_units=0))
            raise _Stopped(refused) from error

    def _learnt(self, step: Step, question: Question, kept: KeptRound, opened: Opened) -> Sums:
        """Note which release answered a round; return its sums. Raise Rejected where it answers another round.

        Guarantee: a resumed run is told the sums of the very rounds that it asked, at the points that follow from the
        rounds before. Test: tests/farr/test_training_run.py::test_a_release_of_another_round_is_refused.
        """
        request = opened.announcement.request
        if opened.plan != question.plan or request.rho_units != kept.rho_units:
            raise Rejected("replayed", "a release of another round")
        contributors = len(opened.release.contributors)
        # Written later: the kept request finds its release again.
        self.run = self.run.changed(
            kept.request,
            charged_units=opened.measurement.cost,
            release=opened.release.id.hex(),
            released_at=opened.release.released_at,
            answered=opening.answered(opened),
            contributors=contributors,
        )
        variances = tuple(float(block.variance(contributors)) for block in opened.measurement.blocks)
        return in_units(step, opening.sums(opened), variances, contributors)


def _prepared(federation: Federation, run: Run) -> Prepared:
    """Return a run's recipe in the catalogue's terms, as it was when the run began."""
    catalogue = federation.catalogue
    if catalogue.digest.hex() != run.catalogue:
        raise FarrError(
            "wrong-catalogue",
            _("the federation has agreed on another catalogue since the run began"),
            remedy=_("begin another run"),
        )
    try:
        part = decode(Part, run.part.encode())
    except PlanError as error:
        raise FarrError("damaged-run", _("the question of run {id} is damaged").format(id=run.id[:8])) from error
    return Prepared(recipe=run.recipe, part=part, sites=run.sites, catalogue=catalogue)


def _terms(
    recipe: Recipe,
    minimum: int | None,
    purpose: str,
    *,
    by_residence: bool,
    patience: int,
    late: bool = True,
) -> Terms:
    return Terms(
        minimum=minimum,
        purpose=purpose,
        reason=recipe.reason,
        by_residence=by_residence,
        patience=patience,
        fresh=True,
        trust=recipe.trust,
        # Who takes part is settled when the run begins; later rounds are of the same hospitals.
        late=Late.ASK if late else Late.STOP,
    )
