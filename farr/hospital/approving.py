"""Approving, denying and revoking requests that the hospital's policy holds: what the operator sees, and their word.

No text of a command or a page is here, so that both decide in one way.
"""

from __future__ import annotations

from collections.abc import Iterator

from farr.errors import FarrError
from farr.hospital import ruling_words, run_words
from farr.hospital.cases import ANSWERED, DENIED, ENDED, HELD, OVER, READY, Case, Closely, Left
from farr.hospital.office import Office
from farr.hospital.overlap import overlaps
from farr.texts import _
from node.authority import approvals, runs, standing
from node.authority.decisions import APPROVE, DENY, REVOKE, UNBOUND
from node.authority.judging import Outcome, Question
from node.authority.policy import Policy
from node.authority.proposals import judged
from node.authority.reads import columns, keys
from node.authority.standing import Against
from node.books.ledger import Ledger, Spent
from protocols import checks
from protocols import request as requests
from protocols.errors import Rejected
from protocols.wire_pb2 import Request as RequestMessage
from protocols.wire_pb2 import Signed, Stand
from queries.agreed.catalogue import Table
from queries.asked.conditions import in_words
from queries.asked.plan import EVERYTHING, Aggregate, AttributeKey, DateKey, FlagKey, Key, Part, SiteKey

__all__ = [
    "ANSWERED", "DENIED", "ENDED", "HELD", "OVER", "READY", "Case", "Closely", "Left",
    "approve", "cases", "closely", "deny", "find", "revoke", "room",
]  # fmt: skip

_WORDS = {Stand.STAND_READY: READY, Stand.STAND_HELD: HELD, Stand.STAND_DENIED: DENIED}


def cases(office: Office) -> Iterator[Case]:
    """Yield the requests that the coordinator asked about, newest first."""
    rows = office.bench.connection.execute(
        "SELECT request, signed, arrived, request IN (SELECT request FROM charges), "
        "request IN (SELECT request FROM ended) FROM proposals ORDER BY arrived DESC, request"
    ).fetchall()
    for request, message, arrived, answered, over in rows:
        signed = checks.parse(Signed, bytes(message))
        yield _case(office, bytes(request), signed, int(arrived), answered=bool(answered), over=bool(over))


def find(office: Office, identifier: str) -> Case:
    """Return the request whose id, or the newest one whose run's id, begins so; raise FarrError where that is not one.

    Of a run whose rounds waited here, the newest that still does stands for all: a word on it is a word on the run.
    """
    every, prefix = list(cases(office)), identifier.lower()
    found = [case for case in every if case.id.startswith(prefix)]
    if not found:
        rounds = [(case, case.run) for case in every if case.run is not None and case.run.id.hex().startswith(prefix)]
        rounds.sort(key=lambda each: (each[0].stand not in {ANSWERED, ENDED}, each[0].arrived, each[1].round))
        found = list({(run.id, case.analyst): case for case, run in rounds}.values())
    if len(found) != 1:
        raise FarrError(
            "unknown-request",
            _("no request here begins with {id}").format(id=identifier)
            if not found
            else _("{count} requests begin with {id}").format(count=len(found), id=identifier),
            remedy=_("see them all: farr node approvals list --all"),
            details={"found": len(found)},
        )
    return found[0]


def closely(office: Office, case: Case) -> Closely:
    """Return a case with budgets, groupings and overlaps; raise FarrError where it cannot be judged any more."""
    question = _question(case)
    parts, policy = question.plan.parts, office.policy()

    def table(part: Part) -> Table:
        return question.catalogue.table(part.table)

    return Closely(
        case=case,
        tables=question.plan.tables,
        columns=tuple(sorted({column for part in parts for column in columns(part)})),
        figures=tuple(dict.fromkeys(_figure(each, table(part)) for part in parts for each in part.aggregates)),
        rows=tuple(
            dict.fromkeys(
                f"{part.table}: {in_words(part.where, table(part))}" for part in parts if part.where != EVERYTHING
            )
        ),
        groupings=tuple(dict.fromkeys(_grouping(key, table(part)) for part in parts for key in keys(part))),
        hospitals=len(question.asked),
        counted=sum(site in question.counted for site in question.asked),
        minimum=question.request.minimum,
        left=_left(office, policy, question),
        overlaps=overlaps(question.plan, question.catalogue, office.bench.connection),
        standing=_standing(office, case),
    )


def approve(office: Office, case: Case, by: str) -> int:
    """Approve exactly what the case shows; return the decision's number. Raises FarrError where no word is needed.

    Guarantee: the word is bound to the request, the policy file and the price that this case was judged with, so it is
    none for what anything else became meanwhile. Test:
    tests/farr/test_approving.py::test_an_approval_is_of_what_was_shown.
    """
    question = _question(case)
    ruling = case.judged.ruling if case.judged else None
    held = case.judged.held if case.judged else None
    if ruling is None or held is None or ruling.outcome is Outcome.WITHHELD:
        raise FarrError(
            "withheld",
            _("the policy does not allow {id}, whoever approves: {rule}: {detail}").format(
                id=case.id[:8], rule=case.rule, detail=ruling_words.in_words(case.detail)
            ),
            remedy=_("change policy.toml where the hospital wants such questions answered"),
        )
    if ruling.outcome is Outcome.ALLOWED and (case.word is None or case.word.kind == APPROVE):
        raise FarrError(
            "not-held",
            _("{id} needs no approval: the policy allows it").format(id=case.id[:8]),
        )
    if held.request.run is not None:
        limits = runs.limits_of(held.request, held.policy, held.hospitals)
        subject, binding = runs.subject_of(held.request), runs.binding_of(limits)
        return office.decide(APPROVE, by=by, subject=subject, binding=binding, facts=runs.facts_of(limits))
    facts = {"analyst": question.request.analyst, "purpose": question.request.purpose, "units": held.cost}
    return office.decide(
        APPROVE,
        by=by,
        subject=question.request.id,
        binding=held.binding,
        facts=facts | {"policy": held.policy.hex()},
    )


def deny(office: Office, case: Case, by: str, reason: str = "") -> int:
    """Deny a request: it is not answered here, whatever the policy becomes, until another word; return the number.

    Of a round of training, the run is denied: what was answered stays charged, and no other round is answered.
    """
    _refuse_ended(case)
    facts = {"reason": reason} if reason else {}
    return office.decide(DENY, by=by, subject=_subject(case), binding=UNBOUND, facts=facts)


def revoke(office: Office, case: Case, by: str) -> int:
    """Take the last word on a request, or on its run, back: where the policy holds it, it waits again.

    Returns the number.
    """
    _refuse_ended(case)
    if case.word is None or case.word.kind == REVOKE:
        raise FarrError(
            "no-decision",
            _("nobody decided on {id}, so there is nothing to take back").format(id=case.id[:8]),
        )
    return office.decide(REVOKE, by=by, subject=_subject(case), binding=UNBOUND)


def _case(office: Office, request: bytes, signed: Signed, arrived: int, *, answered: bool, over: bool) -> Case:
    asked = checks.parse(RequestMessage, signed.body)
    analyst = office.roster.by_id.get(signed.signer)
    mandate = analyst.mandate if analyst is not None else None
    found, stand, rule, detail = None, ANSWERED if answered else ENDED, "", ""
    if not answered:
        try:
            found = judged(office.bench, signed, office.roster, office.now)
            stand = _WORDS[found.stand]
            rule, detail = (found.ruling.rule, found.ruling.detail) if found.ruling else (found.why, "")
        except Rejected as rejected:
            rule = rejected.code
        else:
            if over:
                found, stand, rule, detail = None, ENDED, OVER, ""
    connection = office.bench.connection
    read = requests.asked_for(signed)
    on_run = runs.last_word(connection, read)
    return Case(
        id=request.hex(),
        asked=asked,
        analyst=signed.signer,
        authority="" if mandate is None else mandate.authority,
        arrived=arrived,
        stand=stand,
        rule=rule,
        detail=detail,
        word=on_run or approvals.last_word(connection, request),
        judged=found,
        request=read,
        trained=Ledger(connection=connection).trained(read),
        catalogue=office.catalogue,
    )


def _subject(case: Case) -> bytes:
    """Return what a word on a case is about: the request, or the run of training that it is a round of."""
    return bytes.fromhex(case.id) if case.request.run is None else runs.subject_of(case.request)


def _question(case: Case) -> Question:
    _refuse_ended(case, to_answer=True)
    if case.rule == OVER:
        raise FarrError(
            "ended",
            _("{id} is over, the coordinator says: cancelled, answered without this hospital, or failed").format(
                id=case.id[:8]
            ),
            remedy=_("should it be asked about again, it waits here again"),
        )
    if case.judged is None or case.judged.question is None:
        raise FarrError("refused", _("{id} is refused: {code}").format(id=case.id[:8], code=case.rule))
    return case.judged.question


def _refuse_ended(case: Case, *, to_answer: bool = False) -> None:
    """Raise FarrError for a request that no word can change any more.

    Guarantee: the coordinator's word that a request is over keeps nobody from denying it or taking an approval back.
    Nor does it that a round of training was answered: the word is on the rounds to come. Tests:
    tests/farr/test_approving.py::test_what_the_coordinator_calls_over_can_be_taken_back_but_not_approved,
    tests/farr/test_approving_runs.py::test_a_word_taken_back_in_mid_run_stops_the_rest.
    """
    if case.run is not None and not to_answer:
        return
    if case.stand == ANSWERED:
        raise FarrError(
            "answered",
            _("{id} was answered; what was charged stays charged").format(id=case.id[:8]),
        )
    if case.stand == ENDED and case.rule != OVER:
        raise FarrError("expired", _("{id} is past its time").format(id=case.id[:8]))


def room(office: Office, case: Case) -> int:
    """Return the most that a question of a case's purpose may cost now, in ledger units: what the scarcest budget has.

    Raises FarrError where the policy cannot be read.
    """
    policy = office.policy()
    spent = Ledger(connection=office.bench.connection).spending(case.asked.purpose, policy.period_start(office.now))
    return max(0, min(left for _budget, left in _budgets(policy, case.asked.purpose, spent)))


def _budgets(policy: Policy, purpose: str, spent: Spent) -> tuple[tuple[str, int], ...]:
    """Return what is left of each budget, in ledger units."""
    return (
        ("lifetime", policy.lifetime_units - spent.lifetime),
        ("purpose", policy.purposes.get(purpose, 0) - spent.purpose),
        ("period", policy.units_per_period - spent.period),
    )


def _left(office: Office, policy: Policy, question: Question) -> tuple[Left, ...]:
    purpose = question.request.purpose
    spent = Ledger(connection=office.bench.connection).spending(purpose, policy.period_start(office.now))
    # Of a run that was not begun, what all of it comes to; of one that was, what is left of it.
    run = question.request.run
    due = question.cost if run is None else run.rho_units - question.trained.units
    return tuple(Left(budget=name, before=left, after=left - due) for name, left in _budgets(policy, purpose, spent))


def _standing(office: Office, case: Case) -> tuple[Against, ...]:
    held = case.judged.held if case.judged else None
    if held is None or case.stand != HELD:
        return ()
    return standing.against(
        office.bench.connection,
        request=held.request,
        plan=held.plan,
        catalogue=held.catalogue,
        hospitals=held.hospitals,
        now=held.now,
    )


def _figure(aggregate: Aggregate, table: Table) -> str:
    """Return what is measured, in words; of which rows, where they are fewer than the part's."""
    if aggregate.step is not None:
        return run_words.step_in_words(aggregate.step, table)
    columns_read = ", ".join(column for column in (aggregate.column, *aggregate.columns) if column is not None)
    of = "" if aggregate.where == EVERYTHING else f" WHERE {in_words(aggregate.where, table)}"
    return f"{aggregate.statistic}({columns_read}){of}"


def _grouping(key: Key, table: Table) -> str:
    if isinstance(key, SiteKey):
        return "site"
    if isinstance(key, AttributeKey):
        return f"site.{key.attribute}"
    if isinstance(key, FlagKey):
        return in_words(key.term, table)
    if isinstance(key, DateKey):
        return f"{key.part.upper()}({key.column})"
    level = getattr(key, "level", None)
    return f"LEVEL({key.column}, '{level}')" if level else key.column
