"""The Python client: one connection of one analyst to one federation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from farr import evidence, federation
from farr.channel import Line
from farr.errors import FarrError
from farr.federation import Hospital, Known
from farr.figures.result import Result
from farr.identifiers import id_of, the_one
from farr.lab.record import analyst_home
from farr.membership import home as homes
from farr.questions import asking as askings
from farr.questions import mandated, opening, readiness, sending, states, submitted
from farr.questions.asking import Asking, Terms
from farr.questions.late import Late
from farr.questions.opening import Opened
from farr.questions.sending import LIFE
from farr.questions.states import RequestState
from farr.texts import _
from protocols import request as requests
from protocols.errors import Rejected
from protocols.farrsum.parameters import Trust
from protocols.request import Request, Run
from protocols.roster import Roster
from protocols.wire_pb2 import RequestStatus, Role, Signed, State
from queries.agreed.catalogue import Catalogue
from queries.answers.quantity import Floats
from queries.asked.build import Builder
from queries.asked.build import question as build
from queries.asked.canonical import encode
from queries.asked.question import Question
from queries.sql import read as read_sql

if TYPE_CHECKING:
    from pandas import DataFrame

    from farr.training.recipe import Recipe
    from farr.training.trained import Trained

PATIENCE = 60.0
"""Seconds for which a coordinator that went away during a wait is tried again."""

Told = Callable[[RequestState], None]


class Federation:
    """A federation, as one of its analysts sees it; also a context manager that closes the connection.

    Members, catalogue, releases and figures are verified or computed here; the coordinator is believed about nothing
    but who is connected and how far a request is.
    """

    def __init__(self, folder: Path) -> None:
        """Read the analyst's home; connects at the first call that needs to."""
        self.folder = folder
        """The analyst's home."""
        self._home = homes.read(folder)
        if self._home.credentials.role != Role.ROLE_ANALYST:
            raise FarrError(
                "wrong-role",
                _("{folder} is not an analyst's home").format(folder=folder),
                remedy=_("questions are asked with an analyst's certificate: name that home with --home"),
            )
        self._line = Line(self._home.credentials)
        self._known: Known | None = None
        self._rosters: dict[int, Roster] = {}

    @classmethod
    def open(cls, home: str | Path | None = None) -> Self:
        """Open a home; a lab's folder stands for that of the lab's analyst."""
        return cls(analyst_home(homes.default_home() if home is None else Path(home).expanduser()))

    def close(self) -> None:
        """Close the connection; requests under way go on."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what may be asked, and of whom

    def refresh(self) -> Known:
        """Ask the coordinator for the newest roster, catalogue and state of the hospitals, and verify them."""
        self._known = federation.read(self._line.describe(), self._home, self.folder)
        return self._known

    @property
    def known(self) -> Known:
        """Return what was last heard and verified."""
        return self._known or self.refresh()

    @property
    def catalogue(self) -> Catalogue:
        """Return the catalogue that the registrar's roster pins."""
        return self.known.catalogue

    @property
    def hospitals(self) -> tuple[Hospital, ...]:
        """Return the hospitals, with what is publicly known of them."""
        return self.known.hospitals

    def budget(self) -> tuple[Hospital, ...]:
        """Return the hospitals with what each may still release, heard just now."""
        return self.refresh().hospitals

    def connected_now(self) -> int:
        """Return how many hospitals are connected at this moment."""
        return sum(hospital.connected for hospital in self.refresh().hospitals)

    def question(self) -> Builder:
        """Begin a question in Python; finish it with ``build()`` and hand it to ``ask``."""
        return build(self.catalogue, self.known.roster.nodes)

    # --- asking

    def sql(
        self,
        statement: str,
        *,
        epsilon: float | None = None,
        expect: float | None = None,
        within: str = "",
        minimum: int | None = None,
        rows_per_patient: int | None = None,
        fresh: bool = False,
        purpose: str = "",
        reason: str = "",
        by_residence: bool = False,
        patience: str = "1d",
        trust: str = Trust.THIRD.value,
        late: str = Late.STOP.value,
        timeout: float | None = None,
    ) -> DataFrame:
        """Ask in SQL and return a table with x, x_low and x_high for every figure x.

        ``epsilon`` is the price, 0.5 unless ``within`` says how exact the answer shall be: ``"5%"`` of ``expect``, or
        a half-width such as ``"20"``. ``trust`` says how many hospitals are feared to collude: ``none``, ``one-fifth``
        or ``one-third``. ``late`` says what to do about hospitals that have not loaded the whole period: ``stop``,
        ``ask`` or ``leave-out``. ``purpose`` is a name from the analyst's mandate, and ``reason`` tells hospitals more;
        ``by_residence`` reads the mandate's regions as where patients live; ``patience`` is how long hospitals that
        hold the question for approval are waited for, such as ``"12h"``. What else there is to know of the answer is
        in ``frame.attrs["farr"]``. Raises FarrError or QueryError; a refused statement costs nothing.
        """
        terms = Terms(
            epsilon=epsilon, expect=expect, within=within, minimum=minimum, purpose=purpose, reason=reason, fresh=fresh,
            by_residence=by_residence, patience=mandated.patience_of(patience),
            trust=askings.trust_of(trust), late=askings.late_of(late),
        )  # fmt: skip
        return self.ask(statement, terms, rows_per_patient=rows_per_patient, timeout=timeout).to_frame()

    def ask(
        self,
        asked: str | Question,
        terms: Terms | None = None,
        *,
        rows_per_patient: int | None = None,
        timeout: float | None = None,
        told: Told = lambda _state: None,
    ) -> Result:
        """Ask a statement or a built question and wait for the answer; ``told`` hears every change of its state.

        When ``timeout`` seconds pass first, FarrError("timeout") is raised and the request goes on.
        """
        before = self.refresh()
        status = self._submit(self._prepare(asked, terms or Terms(), rows_per_patient), LIFE)
        result = self._open(self._follow(status.id, status, timeout, told))
        # A hospital may not have been heard since it answered; it has no more left than before less what it charged.
        left = dict(result.remaining_units)
        for hospital in before.hospitals:
            if hospital.id in left and hospital.remaining_units is not None:
                cost = result.cost_units if hospital.id in result.sites.charged else 0
                left[hospital.id] = min(left[hospital.id], max(0, hospital.remaining_units - cost))
        return replace(result, remaining_units=left)

    def estimate(
        self, asked: str | Question, terms: Terms | None = None, *, rows_per_patient: int | None = None
    ) -> Asking:
        """Price a question without asking it: no request leaves, no record is read, nothing is charged."""
        self.refresh()
        terms = terms or Terms()
        # Whoever only looks may look at a question that some hospitals are not ready for.
        looking = replace(terms, late=Late.ASK) if terms.late is Late.STOP else terms
        return self._prepare(asked, looking, rows_per_patient, foresee=True)

    def late(self, asking: Asking) -> dict[str, tuple[str, date]]:
        """Return the hospitals that are asked and not ready: by id, a table and the day to which it is loaded."""
        asked = [hospital for hospital in self.known.hospitals if hospital.id in asking.question.sites]
        return readiness.late(asking.question.plan, self.catalogue, asked)

    def submit(
        self,
        asked: str | Question,
        terms: Terms | None = None,
        *,
        rows_per_patient: int | None = None,
        life: int = LIFE,
    ) -> str:
        """Ask without waiting; return the request's id. It waits up to ``life`` seconds for enough hospitals."""
        return self._submit(self._prepare(asked, terms or Terms(), rows_per_patient), life).id.hex()

    # --- requests that were made before, here or elsewhere

    def requests(self, *, most: int = 0, only: Sequence[str] = (), start: str = "") -> tuple[RequestState, ...]:
        """Return own requests, newest first: ``most`` (0: all), in states ``only``, whose ids begin as ``start``."""
        return tuple(map(states.read, self._line.requests(most, states.named(only), start.lower())))

    def request(self, identifier: str) -> RequestState:
        """Return a request by its id or the beginning of it."""
        return self._find(identifier)

    def wait(self, identifier: str, timeout: float | None = None, told: Told = lambda _state: None) -> Result:
        """Wait for the answer of an earlier request."""
        request = bytes.fromhex(self._find(identifier).id)
        return self._open(self._follow(request, None, timeout, told))

    def cancel(self, identifier: str) -> RequestState:
        """Give up a request; what hospitals have been charged for it stays charged."""
        return states.read(self._line.cancel(bytes.fromhex(self._find(identifier).id)))

    # --- answers that were given before

    def releases(self) -> Iterator[Result]:
        """Yield the released answers that can be verified and shown with today's roster and catalogue, newest first."""
        known = self.refresh()
        for signed in self._line.releases():
            try:
                yield opening.result_of(self._opened(signed), known)
            except Rejected:
                continue
            except FarrError as error:
                if error.code != "unknown-roster":
                    raise

    def release(self, identifier: str) -> Result:
        """Return a released answer by its id or the beginning of it."""
        known = self.refresh()
        if len(identifier) == 2 * requests.ID_BYTES:
            signed = self._line.release(id_of(identifier))
            return opening.result_of(self._opened(signed), known)
        found = [result for result in self.releases() if result.release.startswith(identifier)]
        return the_one(found, identifier)

    def evidence(self, identifier: str, timeout: float = 0.0) -> bytes:
        """Return a file that proves a release to anybody, by the release's id or the beginning of it.

        Hospitals show their part a few seconds after an answer: for at most ``timeout`` seconds those are waited for.
        """
        release = bytes.fromhex(self.release(identifier).release)
        return evidence.to_bytes(evidence.gathered(lambda: self._line.prove(release), timeout))

    # --- rounds of training: their sums are read by a program, see farr/training and farr/flower

    def train(self, model: Recipe | str | Path, **settings: Any) -> Trained:
        """Train a model, a recipe or a MODEL.toml; ``settings`` are those of ``farr.training.run.train``."""
        from farr.training.run import train

        return train(self, model, **settings)

    def priced(self, question: Question, terms: Terms, rho_units: int) -> Asking:
        """Return a question at a price, within the mandate and to the hospitals that are ready; nothing is asked."""
        return self._prepare(question, terms, None, price=rho_units)

    def ask_round(self, asking: Asking, identifier: bytes, run: Run, life: int = LIFE) -> None:
        """Ask a round under an id; one that was asked under it before is not asked, nor paid, again."""
        kept = submitted.kept(self.folder, identifier)
        if kept is None:
            self._submit(asking, life, identifier, run)
        else:
            self._line.submit(kept)

    def opened(self, identifier: bytes, timeout: float | None = None, told: Told = lambda _state: None) -> Opened:
        """Wait for the release of a request from this home; return it verified, with the sums that it holds."""
        return self._answer(self._follow(identifier, None, timeout, told))[0]

    # --- steps

    def _prepare(
        self, asked: str | Question, terms: Terms, rows: int | None, *, foresee: bool = False, price: int | None = None
    ) -> Asking:
        known = self.known
        if not known.roster.nodes:
            raise federation.no_hospitals()
        statement = "" if isinstance(asked, Question) else asked
        if isinstance(asked, Question):
            question = asked
        else:
            question = read_sql(asked, known.catalogue, known.roster.nodes, rows_per_patient=rows)
        terms, question = self._mandated(question, terms, foresee=foresee)
        question = self._ready(question, terms)
        wanted = foresee or bool(terms.within)
        earlier = self._earlier(encode(question.plan)) if wanted and terms.expect is None else None
        return askings.prepare(
            question, terms, known.catalogue,
            hospitals=len(known.roster.nodes), statement=statement, earlier=earlier, rho_units=price,
        )  # fmt: skip

    def _mandated(self, question: Question, terms: Terms, *, foresee: bool) -> tuple[Terms, Question]:
        """Return the terms with their purpose, and the question within the mandate; raise what is beyond it."""
        mandate = mandated.mandate_of(self.known, self._home.credentials.member, int(time.time()))
        # Whoever only looks need not say yet which of several purposes it is for.
        if terms.purpose or not foresee:
            terms = replace(terms, purpose=mandated.purpose_of(terms.purpose, mandate))
        return terms, mandated.within(question, mandate, self.known, by_residence=terms.by_residence)

    def _ready(self, question: Question, terms: Terms) -> Question:
        """Return the question to the hospitals that shall be asked; raise FarrError where some are not ready."""
        asked = [hospital for hospital in self.known.hospitals if hospital.id in question.sites]
        found = readiness.late(question.plan, self.catalogue, asked)
        if not found or terms.late is Late.ASK:
            return question
        left = tuple(site for site in question.sites if site not in found)
        if terms.late is Late.STOP or not left:
            raise readiness.not_ready(found)
        return replace(question, sites=left)

    def _earlier(self, plan: bytes) -> tuple[Floats, ...] | None:
        """Return the sums of the newest release of a plan, block by block; None where there is none to be seen."""
        for signed in self._line.releases():
            try:
                opened = self._opened(signed)
            except (Rejected, FarrError):
                continue
            if opened.announcement.request.plan == plan:
                return opening.sums(opened)
        return None

    def _submit(
        self, asking: Asking, life: int, identifier: bytes | None = None, run: Run | None = None
    ) -> RequestStatus:
        credentials, now = self._home.credentials, int(time.time())
        identifier = identifier or sending.new_id()
        request = sending.request_of(asking, credentials, identifier, now=now, life=life, run=run)
        signed = requests.write(request, credentials.identity)
        # Kept before it leaves: what comes back is held against it, in this process or a later one.
        submitted.keep(self.folder, request.id, signed)
        return self._line.submit(signed)

    def _follow(self, request: bytes, status: RequestStatus | None, timeout: float | None, told: Told) -> RequestStatus:
        """Return the final status of a request, also across restarts of the coordinator."""
        begun = heard = time.monotonic()
        while status is None or status.state not in states.FINAL:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begun))
            try:
                for newer in self._line.watch(request, left):
                    status, heard = newer, time.monotonic()
                    told(states.read(status))
            except FarrError as error:
                if error.code not in states.PASSING or time.monotonic() - heard > PATIENCE:
                    raise
                time.sleep(0.5)
        return status

    def _open(self, status: RequestStatus) -> Result:
        opened, asked = self._answer(status)
        return opening.result_of(opened, self.known, asked=asked)

    def _answer(self, status: RequestStatus) -> tuple[Opened, Request | None]:
        """Return the release that answers a request, verified, and the request as this home kept it."""
        if status.state != State.STATE_ANSWERED:
            raise states.failure(states.read(status))
        known = self.refresh()
        opened = self._opened(self._line.release(status.release))
        asked = submitted.find(self.folder, status.id, known.roster)
        if asked is not None:
            opening.check_answers(opened, asked)
        elif opened.release.id != status.id:
            # Asked from another machine: only a release of that very request is shown, as its own signed view has it.
            raise FarrError(
                "asked-elsewhere",
                _("this request was made from another machine, and an earlier release answers it"),
                remedy=_("see that release: farr releases show {id}").format(id=status.release.hex()),
            )
        return opened, asked

    def _opened(self, signed: Signed) -> Opened:
        """Verify a release by the roster that it was made for, which may be an earlier one."""
        known = self.known
        version = opening.roster_of(signed)
        if version != known.roster.version and version not in self._rosters:
            self._rosters[version] = federation.read_earlier(self._line.roster(version), version, known, self._home)
        roster = self._rosters.get(version, known.roster)
        return opening.open_release(signed, known, roster, self._line.vector(signed))

    def _find(self, identifier: str) -> RequestState:
        found = self.requests(start=identifier) if identifier else ()
        return the_one(found, identifier)
