"""A Flower run's rounds as questions: each is a plan with one step of the app, signed, paid for and verified."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from farr import blobs
from farr.channel import Line
from farr.client import Federation
from farr.errors import FarrError
from farr.flower.kept import Kept
from farr.flower.rounds import LOOK, Outcome, Round, RoundFailedError, RoundRefusedError
from farr.flower.settings import Settings
from farr.membership import home as homes
from farr.questions import opening, submitted
from farr.questions.opening import Opened
from farr.questions.states import PASSING, RequestState
from farr.texts import _
from farr.training.budget import check_budget
from farr.training.refused import ended, explained, is_in_doubt, may_have_charged, stated
from protocols.errors import Rejected
from protocols.request import Run
from queries.asked.design import design_of
from queries.asked.plan import EVERYTHING, ONE, Aggregate, AppStep, Part, Plan
from queries.asked.question import Question
from queries.asked.view import AggregateTerm, Output, Pages, View
from queries.errors import QueryError
from queries.models.clipping import BOUND_UPDATE
from queries.sql import read as read_sql
from queries.statistics.app import update_unit

LEAST_WAIT: Final = 0.05
"""Seconds of a wait that is only a look."""


class Federated:
    """The rounds of one run of an app, asked of a federation."""

    def __init__(self, federation: Federation, app: Settings, kept: Kept) -> None:
        """Read what the app asks about; raise QueryError or FarrError where the catalogue has none of it."""
        self._federation, self._app, self._kept = federation, app, kept
        self._credentials = homes.read(federation.folder).credentials
        self._question = self._about()

    def hospitals(self) -> Mapping[str, bool]:
        """Return the hospitals in which such rows can lie, and whether each is connected just now."""
        self._federation.refresh()
        connected = {hospital.id: hospital.connected for hospital in self._federation.hospitals}
        return {site: connected.get(site, False) for site in self._question.sites}

    def ask(self, asked: Round, request: bytes) -> None:
        """Send the message, once, and ask the round under its request's id, unless that was done before.

        Guarantee: a round that the coordinator has is not judged anew, so one that was paid for is not forgotten
        because its price was most of what was left. Test:
        tests/farr/test_flower_federated.py::test_a_round_that_was_asked_is_not_held_against_the_budget_again.
        """
        if self._asked(request) is not None:
            return
        try:
            self._hand_in(asked, request)
        except (FarrError, QueryError, Rejected) as error:
            if is_in_doubt(error):
                raise
            raise RoundRefusedError(stated(error)) from error

    def _hand_in(self, asked: Round, request: bytes) -> None:
        sent = asked.sent
        self._insist_alike(asked)
        plan = self._plan(sent.kind, sent.digest, len(sent.data), sent.entries, asked.clip)
        question = replace(self._question, plan=plan, sites=asked.sites)
        priced = self._federation.priced(question, self._kept.terms, self._kept.share)
        run = Run(
            id=bytes.fromhex(self._kept.id),
            design=design_of(plan),
            round=asked.number,
            rounds=self._kept.rounds,
            rho_units=self._kept.rho_units,
        )
        check_budget(self._federation, asked.sites, priced.minimum, self._kept.share)
        self._send(sent.data)
        self._federation.ask_round(priced, request, run)

    def _insist_alike(self, asked: Round) -> None:
        """Raise FarrError for a query in a run that trains, or the other way round: hospitals would refuse it.

        What an operator approves is one or the other, since a query answers whatever it was written to answer.
        """
        if any((each.kind == "query") != (asked.sent.kind == "query") for each in self._kept.done_rounds):
            raise FarrError(
                "wrong-run",
                _("an app's queries and its training cannot be one run"),
                remedy=_("train and evaluate in one run, query in another"),
            )

    def wait(self, request: bytes, seconds: float | None, held: Callable[[], None]) -> Outcome:
        """Wait for the verified release of a round; see ``Rounds``."""
        clock = _Clock()

        def told(state: RequestState) -> None:
            is_held = state.state == "waiting" and state.held > 0
            if clock.stands != is_held:
                clock.stand(still=is_held)
                if is_held:
                    held()

        while True:
            left = None if seconds is None else max(seconds - clock.counted(), LEAST_WAIT)
            try:
                opened = self._federation.opened(request, left, told)
            except FarrError as error:
                if error.code == "timeout" and seconds is not None and LOOK < seconds > clock.counted() + LEAST_WAIT:
                    continue
                if error.code not in (*PASSING, "timeout") and (state := self._asked(request)) and ended(state):
                    raise RoundFailedError(explained(error, self._step()), charged=may_have_charged(state)) from error
                raise
            return outcome(opened)

    def _asked(self, request: bytes) -> RequestState | None:
        """Return a round's request as the coordinator has it; None where it was not asked from this home."""
        if submitted.kept(self._federation.folder, request) is None:
            return None
        return next(iter(self._federation.requests(start=request.hex())), None)

    def cancel(self, request: bytes) -> bool:
        """Give a round up, unless it has been answered; return whether it was given up."""
        return self._federation.cancel(request.hex()).state != "answered"

    def _send(self, data: bytes) -> None:
        """Have the coordinator keep a message, on a line of its own: it does not hold up whoever watches a round."""
        line = Line(self._credentials)
        try:
            blobs.send(line, data)
        finally:
            line.close()

    def _about(self) -> Question:
        """Return a question about the same rows, by which hospitals, rows and bounds are read as those of any other."""
        app = self._app
        where = f" WHERE {app.where}" if app.where else ""
        federation = self._federation
        sites = federation.known.roster.nodes
        statement = f"SELECT count(*) FROM {app.table}{where}"  # noqa: S608  read by Farr's own reader, run by nobody
        question = read_sql(statement, federation.catalogue, sites, rows_per_patient=app.rows_per_patient)
        table = federation.catalogue.table(app.table)
        for name in app.columns:
            table.column(name)
        view = View(columns=(Output(name="update", expression=AggregateTerm(aggregate=0)),))
        return replace(question, pages=Pages(views=(view,)))

    def noise(self) -> float:
        """Return the standard deviation of the noise in each number of a training round's mean, if all take part.

        It depends on the clip, the price of a round and the hospitals, and on nothing that the app sends.
        """
        question = replace(self._question, plan=self._plan("train", bytes(32), 1, 1, self._app.clip))
        priced = self._federation.priced(question, self._kept.terms, self._kept.share)
        (block,) = priced.measurement.blocks
        unit = clip_of(self._app.clip) / ONE / BOUND_UPDATE
        return math.sqrt(float(block.variance(priced.sharing.hospitals))) * unit / len(priced.question.sites)

    def _plan(self, kind: str, message: bytes, size: int, entries: int, clip: float) -> Plan:
        part: Part = self._question.part
        step = self._step(kind=kind, message=message, size=size, entries=entries, clip=clip_of(clip))
        aggregate = Aggregate(statistic="app", where=EVERYTHING, step=step)
        return replace(self._question.plan, parts=(replace(part, aggregates=(aggregate,)),))

    def _step(
        self, *, kind: str = "train", message: bytes = bytes(32), size: int = 1, entries: int = 1, clip: int = 1
    ) -> AppStep:
        """Return a step of the app; by default one that only says whose it is."""
        return AppStep(
            app=self._app.digest,
            message=message,
            size=size,
            kind=kind,
            columns=self._app.columns,
            entries=entries,
            clip=clip,
            seconds=self._app.seconds,
        )


class _Clock:
    """Counts seconds, but for those in which somebody had to look at the run."""

    def __init__(self) -> None:
        self.stands = False
        self._before, self._since = 0.0, time.monotonic()

    def counted(self) -> float:
        return self._before + (0.0 if self.stands else time.monotonic() - self._since)

    def stand(self, *, still: bool) -> None:
        self._before = self.counted()
        self.stands, self._since = still, time.monotonic()


def clip_of(norm: float) -> int:
    """Return a clip as plans have it, at least ``norm``."""
    return max(1, math.ceil(norm * ONE))


def outcome(opened: Opened) -> Outcome:
    """Return what came of a round, in the app's units: the hospitals weigh alike."""
    (part,) = opened.plan.parts
    (aggregate,) = part.aggregates
    if not isinstance(aggregate.step, AppStep):
        raise FarrError("malformed", _("the release is of no round of an app"))
    unit = update_unit(aggregate.step)
    release, answered = opened.release, opening.answered(opened)
    (sums,) = opening.sums(opened)
    (block,) = opened.measurement.blocks
    variance = float(block.variance(len(release.contributors)))
    return Outcome(
        mean=np.asarray(sums, dtype=np.float64) * unit / len(answered),
        answered=answered,
        noise=math.sqrt(variance) * unit / len(answered),
        rho_units=opened.measurement.cost,
        release=release.id.hex(),
    )
